"""Kept samples of a Bayesian factorization machine: what they say of a cell, of somebody new, and of themselves.

A factorization machine over blocks is matrix factorization with biases once the features of each block row are added
up. With q_b = sum_j v_j x_j over the features of a block row, w_b the sum of their linear weights, and all else as in
`bayes`, its prediction is

    level + sum_b [w_b + 1/2 (|q_b|^2 - sum_jf v_jf^2 x_j^2)] + sum_{b < b'} q_b . q_b'.

What is kept of a sample is, for each viewer, title and week, one bias and k factors. Both are counted from those of a
row of which nothing is known, whose own feature has the mean of its group, so that such a row has zeros: with nu_b that
mean and r_b = q_b - nu_b,

    prediction = level' + sum_b bias_b + sum_{b < b'} r_b . r_b',
    bias_b = w_b - mu_b + 1/2 (...) + r_b . sum_{b' != b} nu_b',
    level' = level + sum_b mu_b + sum_{b < b'} nu_b . nu_b'.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import elementwise
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from content_table_parts.bayes import Block, State
from content_table_parts.interrupts import check_time, may_keep_half
from content_table_parts.newcomers import Fold
from content_table_parts.settings import shown
from content_table_parts.solvers import check_memory, warn_caller

LEAST_UNIT = 1e-6  # rating points: where all ratings are equal, nothing varies, but there must be a unit
UNITS = 1e-150, 1e150  # rating points: variances are squares, which floats must hold
MAX_FEATURE = 100.0  # a larger one would swamp the prior of its weights, which is about features of size 1
LEAST_DRAWS = 4
CELLS = 20_000  # looked at together: of 50 samples and 10 factors 80 MB; and ratings asked for the thresholds


class Sample(NamedTuple):
    """One sample of the posterior, by blocks: `rows` (rows, 1 + k) bias and factors of each row; `weights` (features,
    1 + k) of the features; `prior` (2, 1 + k) mean and precision of a row's own feature. Then level' and noise."""

    rows: list[np.ndarray]
    weights: list[np.ndarray]
    prior: np.ndarray
    level: float
    noise: float


def unit_of(y: np.ndarray, scale: tuple[float, float]) -> float:
    """The standard deviation of the ratings y, in whose unit priors are; where all are equal a small part of the scale.

    Divided by a power of two first, which changes no digit: the squares of ratings near 1e154 would be infinite.
    """
    power = 2.0 ** np.frexp(np.abs(y).max())[1].clip(-1000, 1000)
    unit = max(float((y / power).std() * power), LEAST_UNIT * min(scale[1] - scale[0], 1.0))
    if not UNITS[0] <= unit <= UNITS[1]:
        raise ValueError(
            f"ratings must have a standard deviation of {UNITS[0]:g} to {UNITS[1]:g}, whose square is a number, got "
            f"{unit:.3g}; divide them all by one number, and the scale."
        )
    return unit


def check_features(name: str, names: Sequence[str], at: np.ndarray, values: np.ndarray) -> None:
    """Refuse values of the features `names[at]` that are too large for the priors."""
    large = np.abs(values) > MAX_FEATURE
    if large.any():
        worst = np.flatnonzero(large)[np.abs(values[large]).argmax()]
        raise ValueError(
            f"{name} must be of size about 1, at most {MAX_FEATURE:g}, got {values[worst]:.3g} of "
            f"{shown(str(names[at[worst]]))}; standardise it: subtract its mean, divide by its standard deviation."
        )


MAX_SAMPLE_BYTES = 2**32  # of the samples of a model


def check_size(blocks: Sequence[Block], n_factors: int, n_chains: int, n_kept: int) -> None:
    """Refuse chains, or samples to keep, that would fill the machine."""
    rows, features = np.array([block.table.shape for block in blocks], dtype=object).sum(axis=0)
    check_memory((1 + n_factors, features, n_chains), f"n_factors={n_factors} with n_chains={n_chains}")
    needed = 8 * (1 + n_factors) * rows * n_kept
    if needed > MAX_SAMPLE_BYTES:
        raise MemoryError(
            f"n_factors={n_factors} with {n_kept} samples (n_kept) of {rows:,} viewers and titles take "
            f"{needed / 2**30:,.1f} GiB; the limit is {MAX_SAMPLE_BYTES / 2**30:g} GiB, what a saved model may take "
            "(content_table_parts.posterior.MAX_SAMPLE_BYTES). Lower n_kept or n_factors."
        )


def keep(blocks: Sequence[Block], state: State, unit: float = 1.0) -> Sample:
    """The sample that a chain is at, with the mean of their group for features that no rating has; `unit` is what the
    chain's 1 is in rating points, which factors share by halves, as it is their product that is a rating."""
    scale = np.append(unit, np.full(len(state.V) - 1, np.sqrt(unit)))[:, None]
    state = state._replace(V=state.V * scale, mean=state.mean * scale, precision=state.precision / scale**2)
    weights, at, group = [], 0, 0
    for block in blocks:
        means = [np.repeat(state.mean[:, [group + g]], size, axis=1) for g, size in enumerate(block.groups)]
        V, met = np.hstack(means), block.met
        V[:, met] = state.V[:, at : at + met.sum()]
        weights.append(np.ascontiguousarray(V.T))
        at, group = at + met.sum(), group + len(block.groups)
    own = np.cumsum([0, *(len(block.groups) for block in blocks[:-1])])  # the groups of the rows' own features
    prior = np.stack([state.mean[:, own], state.precision[:, own]]).transpose(2, 0, 1)
    mu, nu = prior[:, 0, 0], prior[:, 0, 1:]
    rows = []
    for block, V, m, n in zip(blocks, weights, mu, nu, strict=True):
        sums = block.table @ V
        q, r = sums[:, 1:], sums[:, 1:] - n
        squares = block.table.power(2) @ (V[:, 1:] ** 2).sum(axis=1)
        bias = sums[:, 0] - m + ((q**2).sum(axis=1) - squares) / 2 + r @ (nu.sum(axis=0) - n)
        rows.append(np.column_stack([bias, r]))
    pairs = (nu.sum(axis=0) ** 2 - (nu**2).sum(axis=0)).sum() / 2
    level = state.level[0] * unit + mu.sum() + pairs
    return Sample(rows, weights, prior, float(level), float(state.level[1] ** -0.5 * unit))


class Thinned:
    """So many out of a stream whose length nobody knows yet, evenly spaced: while it runs up to twice as many."""

    def __init__(self, n: int) -> None:
        self.n, self.step, self.met, self.kept = n, 1, 0, []  # type: ignore[var-annotated]

    def offer(self, make: Callable[[], Any]) -> None:
        """The next one, made only if it is kept."""
        self.met += 1
        if self.met % self.step == 0:
            self.kept.append(make())
        if len(self.kept) == 2 * self.n:
            self.kept, self.step = self.kept[1::2], 2 * self.step

    def chosen(self) -> list:
        """At most n of them."""
        at = np.linspace(0, len(self.kept) - 1, min(self.n, len(self.kept)))
        return [self.kept[each] for each in at.round().astype(int)]


def sampled(
    chains: Sequence[Iterator[State]],
    blocks: Sequence[Block],
    unit: float,
    epochs: Iterable[int],
    burn_in: int,
    n_kept: int,
) -> tuple[list[Sample], list[dict]]:
    """(samples of all chains after `burn_in` sweeps, those of one chain after those of another; a row of each sweep).

    Ctrl-C keeps the samples so far, where there are any and half a fit may be kept.
    """
    kept, history = Thinned(-(-n_kept // len(chains))), []
    try:
        for epoch in epochs:
            check_time()
            states = [next(one) for one in chains]
            if epoch > burn_in:
                kept.offer(partial(_keep_all, blocks, states, unit))
            noises = {f"noise_{at}": float(state.level[1] ** -0.5 * unit) for at, state in enumerate(states, 1)}
            history.append({"epoch": epoch} | noises)
    except KeyboardInterrupt:
        if not kept.kept or not may_keep_half():
            raise
        warn_caller(f"stopped by the keyboard after {len(history)} sweeps; the samples of these are kept.")
    return [sample for one in zip(*kept.chosen(), strict=True) for sample in one], history


def _keep_all(blocks, states, unit):
    return [keep(blocks, state, unit) for state in states]


def learnt(samples: Sequence[Sample], blocks: Sequence[Block], implicit: bool) -> dict[str, Any]:
    """What a model keeps of its samples, by the names of its attributes; None where the machine has no such features.

    The rows of a context's columns stand one after the other; each column ends in a row of zeros, for what is unknown.
    """
    found: dict[str, Any] = {"noises_": np.array([sample.noise for sample in samples])}
    found["priors_"] = np.stack([sample.prior for sample in samples], axis=2)
    for at, (side, met) in enumerate((("user", "rated"), ("item", "rater"))):
        found[f"{side}_biases_"], found[f"{side}_factors_"] = _stacked(samples, at)
        sizes = iter(blocks[at].groups)
        end = next(sizes)
        described = len(blocks[at].groups) > 1 + implicit
        for name, there in ((f"{met}_weights_", implicit), (f"{side}_feature_weights_", described)):
            start, end = end, end + (next(sizes) if there else 0)
            weights = [sample.weights[at][start:end] for sample in samples] if there else None
            found[name] = None if weights is None else np.stack(weights, axis=1)
    found |= {"context_biases_": None, "context_factors_": None}
    columns = [_stacked(samples, at) for at in range(2, len(blocks))]
    for name, parts in zip(("biases", "factors"), zip(*columns, strict=True), strict=False):
        found[f"context_{name}_"] = np.vstack([np.vstack([part, np.zeros((1, part.shape[1]))]) for part in parts])
    return found


def _stacked(samples, block):
    """(biases (rows, s), factors (rows, s k)) of the rows of a block in all samples, the factors divided by sqrt(s), so
    that the product of two rows is the mean of their products over the samples."""
    rows = np.stack([sample.rows[block] for sample in samples], axis=1)
    factors = rows[:, :, 1:].reshape(len(rows), len(samples) * (rows.shape[2] - 1)) / np.sqrt(len(samples))
    return np.ascontiguousarray(rows[:, :, 0]), factors


# ---- A cell ----------------------------------------------------------------------------------------------------------


def by_sample(factors: np.ndarray, n_samples: int) -> np.ndarray:
    """Factors of rows, (rows, s k) as `_stacked` makes them, as (rows, s, k)."""
    return factors.reshape(len(factors), n_samples, factors.shape[1] // n_samples) * np.sqrt(n_samples)


class Part(NamedTuple):
    """The rows of one block that some cells have: biases (cells, s), factors (cells, s, k), and where the samples know
    nothing of the row itself, so that its own feature is as its `prior` (2, s, 1 + k) says."""

    biases: np.ndarray
    factors: np.ndarray
    unknown: np.ndarray
    prior: np.ndarray


def cell_draws(levels: np.ndarray, parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray]:
    """(means, variances), both (cells, s), of the predictions of cells in each sample, noise apart.

    level' + sum_b bias_b + 1/2 (|sum_b r_b|^2 - sum_b |r_b|^2); the feature of a row of which nothing is known stands
    in a straight line with the slope (1, sum_b r_b + sum of nu over the other blocks), and two of them in a product.
    """
    total = np.add.reduce([part.factors for part in parts])
    squares = (total**2 - np.add.reduce([part.factors**2 for part in parts])).sum(axis=2)
    means = levels + np.add.reduce([part.biases for part in parts]) + squares / 2
    nu, variances = np.add.reduce([part.prior[0, :, 1:] for part in parts]), np.zeros(means.shape)
    for part in parts:
        at = np.flatnonzero(part.unknown)
        mean, precision = part.prior
        slope = total[at] + nu - mean[:, 1:]
        variances[at] += 1 / precision[:, 0] + (slope**2 / precision[:, 1:]).sum(axis=2)
    for one, other in combinations(parts, 2):
        at = np.flatnonzero(one.unknown & other.unknown)
        variances[at] += (1 / (one.prior[1][:, 1:] * other.prior[1][:, 1:])).sum(axis=1)
    return means, variances


def in_parts(function: Callable, *arrays: np.ndarray) -> list[np.ndarray]:
    """`function`, which gives several arrays, of arrays of one length, `CELLS` entries at a time."""
    starts = range(0, max(len(arrays[0]), 1), CELLS)
    parts = [function(*(array[at : at + CELLS] for array in arrays)) for at in starts]
    return [np.concatenate(found) for found in zip(*parts, strict=True)]


MAX_STEPS = 100  # of more distinct ratings the range is cut into so many


def rating_steps(values: np.ndarray) -> np.ndarray:
    """The distinct ratings, rising; where they are too many to be steps of a scale, evenly spaced ones instead."""
    steps = np.unique(values)
    return steps if len(steps) <= MAX_STEPS else np.linspace(steps[0], steps[-1], MAX_STEPS)


def nearest_step(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The position of the step that each rating is nearest to."""
    return np.searchsorted((steps[1:] + steps[:-1]) / 2, values)


class Link(NamedTuple):
    """How a prediction and its noise become a rating: step r where their sum lies between the thresholds r - 1 and r
    (ordered probit); the logarithm of the noise's standard deviation varies by `spread` between ratings."""

    steps: np.ndarray
    thresholds: np.ndarray
    spread: float

    def below(self, threshold: Any, means: np.ndarray, sd: np.ndarray) -> np.ndarray:
        """The probability of lying below a threshold: three noises by Gauss and Hermite, the mean square as it is."""
        z = (threshold - means) / sd
        if self.spread == 0:
            return ndtr(z)
        factors = np.exp(np.sqrt(3.0) * self.spread * np.array([-1.0, 0.0, 1.0]))
        weights = np.array([1.0, 4.0, 1.0]) / 6
        factors /= np.sqrt(weights @ factors**2)
        return sum(weight * ndtr(z / factor) for weight, factor in zip(weights, factors, strict=True))

    def chances(self, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
        """(cells, steps) probabilities, by the mixture over the samples of N(means, variances), both (cells, s)."""
        below, sd = np.ones((len(means), len(self.steps))), np.sqrt(variances)
        for at, threshold in enumerate(self.thresholds):
            below[:, at] = self.below(threshold, means, sd).mean(axis=1)
        return np.diff(below, axis=1, prepend=0.0)


def likely_run(chances: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(first, last) step of the likeliest run of steps whose probability is as near to `share` as whole steps allow:
    from the likeliest step on, the likelier neighbour joins while that brings the sum nearer."""
    cells, n_steps = np.arange(len(chances)), chances.shape[1]
    first = last = chances.argmax(axis=1)
    total = chances[cells, first]
    padded = np.pad(chances, ((0, 0), (1, 1)), constant_values=-1.0)
    for _ in range(n_steps - 1):
        left, right = padded[cells, first], padded[cells, last + 2]
        more = np.maximum(left, right)
        joins = np.abs(total + more - share) < np.abs(total - share)
        first, last = first - (joins & (left >= right)), last + (joins & (left < right))
        total = np.where(joins, total + more, total)
    return first, last


def left_out(means: np.ndarray, variances: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, sd) of each rating as the others predict it: samples count by 1 / likelihood of the rating, which is what
    they owe to it.

    Reference: Vehtari, Gelman and Gabry, *Practical Bayesian Model Evaluation Using Leave-One-Out Cross-Validation and
    WAIC*, Statistics and Computing 2017 (importance weights; truncated at the root of their number times their mean).
    """
    likelihood = -((values[:, None] - means) ** 2) / (2 * variances) - np.log(variances) / 2
    weights = np.exp(likelihood.min(axis=1, keepdims=True) - likelihood)
    weights = np.minimum(weights, weights.mean(axis=1, keepdims=True) * np.sqrt(means.shape[1]))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = (weights * means).sum(axis=1)
    return mean, np.sqrt((weights * ((means - mean[:, None]) ** 2 + variances)).sum(axis=1))


SPREADS = np.arange(9) / 10


def fitted_link(mean: np.ndarray, sd: np.ndarray, values: np.ndarray, steps: np.ndarray) -> Link:
    """The `Link` by which as many ratings of each step are expected as there are, of the spread that makes these
    ratings likeliest; `mean` and `sd` are those of each rating as the others predict it."""
    at = nearest_step(values, steps)
    shares = np.bincount(at, minlength=len(steps)).cumsum()[:-1] / len(at)
    links = [_matched(Link(steps, steps[:0], float(spread)), shares, mean, sd) for spread in SPREADS]
    scores = []
    for link in links:
        ends = np.concatenate([[-np.inf], link.thresholds, [np.inf]])
        chance = link.below(ends[at + 1], mean, sd) - link.below(ends[at], mean, sd)
        scores.append(np.log(np.maximum(chance, 1e-12)).mean())
    return links[int(np.argmax(scores))]


def _matched(link, shares, mean, sd):
    """The link with the thresholds below which these shares of the ratings are expected."""

    def too_many(threshold, share):
        return link.below(threshold[:, None], mean, sd).mean(axis=1) - share

    ends = np.full(len(shares), (mean - 20 * sd).min()), np.full(len(shares), (mean + 20 * sd).max())
    inside = shares.clip(1e-12, 1 - 1e-12)  # none, or all, of the ratings met lie below some threshold
    found = elementwise.find_root(too_many, ends, args=(inside,))
    return link._replace(thresholds=np.maximum.accumulate(found.x))


# ---- Somebody new ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PosteriorFold(Fold):
    """A `Fold` whose numbers are posterior means: `cover(at)` gives means and variances of the predictions at these
    positions in each sample, both (len(at), s), and `roots(at)` (s, len(at), 1 + k) R of their covariances R R'; `row`
    is (biases (s,), factors (s k,)) of the new row."""

    cover: Any = None
    roots: Any = None
    noise: float = 1.0
    row: tuple = ()

    def _spread(self, at: np.ndarray) -> np.ndarray:
        """Variance of each prediction over the posterior, in units of the variance of one rating."""
        means, variances = self.cover(at)
        return (means.var(axis=1) + variances.mean(axis=1)) / self.noise**2


class Side(NamedTuple):
    """What the samples say of one side, to which somebody new is added, and of the other, which they meet.

    levels (s,), noises (s,); prior (2, s, 1 + k) mean and precision of a row's own feature; others (s, k): sum of nu
    over the other blocks; biases (n, s) and factors (n, s, k) of the rows met; met (n, s, 1 + k) or None: weights of
    having met each row; described (d, s, 1 + k) or None: weights of features, of which the newcomer has `about` (d,).
    """

    levels: np.ndarray
    noises: np.ndarray
    prior: np.ndarray
    others: np.ndarray
    biases: np.ndarray
    factors: np.ndarray
    met: np.ndarray | None = None
    described: np.ndarray | None = None
    about: np.ndarray | None = None


def posterior_fold(side: Side, at: np.ndarray, values: np.ndarray, noise: float) -> PosteriorFold:
    """Somebody new, with ratings `values` of the rows `at`: exact in each sample, and the mean over all samples.

    Of their own feature the machine is a straight line, so that given the rest of a sample its bias and factors are
    normal: a ridge regression with the group's mean and precision for a prior. With eta the factors' distance from nu,
    s what the set of rows met and the features add to q, and N the sum of nu over the other blocks,

        prediction = [what everybody gets] + lin + s . (r_i + nu + N + s / 2) - squares / 2
                     + omega + eta . (r_i + s + N),

    the last two terms from the regression, (omega, eta) = M^-1 Z' t / noise^2, M = diag(lambda) + Z'Z / noise^2. Every
    part but the features' is one of a row that was met or rated, and `solve` has a column for each.
    """
    n_samples, columns = len(side.levels), side.prior.shape[2]
    nu, N = side.prior[0, :, 1:], side.others
    sets = np.zeros((len(at), n_samples, columns))
    if side.met is not None:
        sets = side.met[at] / np.sqrt(max(len(at), 1))
    about, about_squares = _described(side)
    lin, s = sets.sum(axis=0)[:, 0] + about[:, 0], sets.sum(axis=0)[:, 1:] + about[:, 1:]
    squares = (sets[:, :, 1:] ** 2).sum(axis=2)
    # what is no regression:
    plain = lin + (s * (nu + N + s / 2)).sum(axis=1) - (squares.sum(axis=0) + about_squares) / 2
    r = side.factors[at]
    target = values[:, None] - side.levels - side.biases[at] - plain - (r * s).sum(axis=2)
    Z = np.concatenate([np.ones((len(at), n_samples, 1)), r + s + N], axis=2).transpose(1, 0, 2)
    alpha = (side.noises**-2)[:, None, None]
    M = alpha * (Z.transpose(0, 2, 1) @ Z) + side.prior[1][:, :, None] * np.eye(columns)
    own = alpha * np.linalg.solve(M, Z.transpose(0, 2, 1)) * target.T[:, None, :]  # (s, 1 + k, ratings)
    own = own.transpose(2, 0, 1)
    factors = own[:, :, 1:] + sets[:, :, 1:]
    biases = own[:, :, 0] + (own[:, :, 1:] * (s + N)).sum(axis=2)
    biases += sets[:, :, 0] + (sets[:, :, 1:] * (nu + N + s / 2)).sum(axis=2) - squares / 2
    rest = about[:, 0] + (about[:, 1:] * (nu + N + s / 2)).sum(axis=1) - about_squares / 2
    flat = factors.reshape(len(at), n_samples * (columns - 1)) / np.sqrt(n_samples)
    solve = np.hstack([flat, biases]).T
    ones = np.broadcast_to(1 / n_samples, (len(side.biases), n_samples))
    flat = side.factors.reshape(len(side.factors), n_samples * (columns - 1)) / np.sqrt(n_samples)
    offset = (side.levels + side.biases + rest).mean(axis=1) + flat @ about[:, 1:].ravel() / np.sqrt(n_samples)

    def cover(met):
        total, z = factors.sum(axis=0) + about[:, 1:], side.factors[met]
        means = side.levels + side.biases[met] + biases.sum(axis=0) + rest + (z * total).sum(axis=2)
        return means, (roots(met) ** 2).sum(axis=2).T

    def roots(met):
        z = np.concatenate([np.ones((len(met), n_samples, 1)), side.factors[met] + s + N], axis=2).transpose(1, 2, 0)
        return np.linalg.solve(np.linalg.cholesky(M), z).transpose(0, 2, 1)

    row = biases.sum(axis=0) + rest, (factors.sum(axis=0) + about[:, 1:]).ravel() / np.sqrt(n_samples)
    return PosteriorFold(offset, (flat, ones), solve, np.ones(len(at)), cover=cover, roots=roots, noise=noise, row=row)


def _described(side):
    """((s, 1 + k) sums of the weights of the newcomer's features, (s,) sums of their squared parts)."""
    if side.described is None or side.about is None:
        return np.zeros(side.prior.shape[1:]), np.zeros(len(side.levels))
    parts = side.about[:, None, None] * side.described
    return parts.sum(axis=0), (parts[:, :, 1:] ** 2).sum(axis=(0, 2))


# ---- What the samples say of themselves ------------------------------------------------------------------------------


def chain_summary(draws: np.ndarray) -> dict[str, float]:
    """mean, sd, r_hat and effective_size of what chains drew, (chains, draws); the last two are NaN where a chain has
    fewer than `LEAST_DRAWS`, so that its halves have no variance."""
    told = draws.shape[1] >= LEAST_DRAWS
    sizes = {"r_hat": split_r_hat(draws) if told else np.nan}
    sizes["effective_size"] = effective_size(draws) if told else np.nan
    return {"mean": float(draws.mean()), "sd": float(draws.std())} | sizes


def split_r_hat(draws: np.ndarray) -> float:
    """How much wider all chains together are than one, (chains, draws): near 1 where they have forgotten their start.

    Chains are split in halves and draws are ranked and made normal: sqrt(((n - 1) / n W + B / n) / W), and the same of
    the distances from the median, which sees chains of unequal width. The larger of the two counts, as Vehtari et al.
    advise (*Rank-Normalization, Folding, and Localization*, Bayesian Analysis 2021).
    """
    return float(np.fmax(_r_hat(draws), _r_hat(np.abs(draws - np.median(draws)))))


def _r_hat(draws):
    between, within, n = _spreads(_halves(_normal_ranks(draws)))
    if within > 0:
        return np.sqrt(((n - 1) / n * within + between / n) / within)
    return np.inf if between > 0 else np.nan


def effective_size(draws: np.ndarray) -> float:
    """How many independent draws these, (chains, draws), are worth for a mean: m n / tau, tau = -1 + 2 sum of Geyer's
    initial monotone sequence of autocorrelations, of chains split in halves and ranked as in `split_r_hat`."""
    halves = _halves(_normal_ranks(draws))
    between, within, n = _spreads(halves)
    if not within > 0:
        return np.nan
    total = (n - 1) / n * within + between / n
    covariances = np.array([_autocovariances(chain) for chain in halves])
    rho = 1 - (within - n / (n - 1) * covariances.mean(axis=0)) / total
    rho[0] = 1.0
    pairs = rho[: n - n % 2].reshape(-1, 2).sum(axis=1)
    end = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)
    tau = -1 + 2 * np.minimum.accumulate(pairs[:end]).sum() if end else 1.0
    size = halves.size
    return float(min(size / max(tau, 1e-12), size * np.log10(size)))


def _halves(draws):
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, draws.shape[1] - half :]])


def _normal_ranks(draws):
    """Draws by their ranks among all, as normal quantiles."""
    ranks = rankdata(draws).reshape(draws.shape)
    return ndtri((ranks - 0.375) / (draws.size + 0.25))


def _spreads(chains):
    """(B, W, length): variance between the means of the chains, times n, and the mean variance within them."""
    n = chains.shape[1]
    return n * chains.mean(axis=1).var(ddof=1), chains.var(axis=1, ddof=1).mean(), n


def _autocovariances(chain):
    """Of each lag, divided by n as for a spectrum, by a Fourier transform of twice the length."""
    n, centred = len(chain), chain - chain.mean()
    power = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    return np.fft.irfft(power, 2 * n)[:n] / n
