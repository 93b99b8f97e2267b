"""Choosing what to show when what is shown decides what is learnt: beliefs, policies, and what a policy is worth.

A `Belief` is what a model knows of one viewer's ratings, with how sure it is. A policy turns it into the probability of
showing each title; `choose` draws one and keeps its propensity. From a log of what was shown with which propensity, the
estimators below tell what another policy would have earned.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular
from scipy.special import lambertw

from content_table_parts.doors import check_cells, check_positions
from content_table_parts.newcomers import Viewer, ridge_fold
from content_table_parts.ratings import generator
from content_table_parts.settings import (
    check_array,
    check_function,
    check_kind,
    check_number,
    shown,
    whole_number,
)
from content_table_parts.solvers import best_positions, check_memory, compiled

SUM = 1e-9  # how far probabilities may sum from 1
LARGEST = 1e100  # of the numbers given here, so that their squares can be added up


def _numbers(name: str, given: Any, **how: Any) -> np.ndarray:
    """A copy of an array of numbers, in float64, none of them beyond `LARGEST`."""
    numbers = check_array(name, given, **how).astype(float)
    if numbers.size and np.abs(numbers).max() > LARGEST:
        raise ValueError(f"{name} must not go beyond {LARGEST:g}, got {shown(numbers)}.")
    return numbers


def _number(name: str, given: Any, **how: Any) -> float:
    """A float from a setting, not beyond `LARGEST`."""
    check_number(name, given, **how)
    return float(_numbers(name, [given])[0])


# ---- What is known of a viewer ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of one viewer's rating of each title: s cases, equally likely, and in each a normal spread.

    In case c all ratings together are means[c] + roots[c] z + sqrt(variances[c]) z', with z and z' standard normal:
    what titles have in common through their factors, and what each has of its own. The noise of a single rating is left
    out: exploring is about expected ratings.

    Parameters
    ----------
    means : (s, n), rating points
    roots : (1 or s, n, r), optional
    variances : (s, n), optional
    unseen : (n,) of bool, optional
        The titles that may be shown; all, if not told.
    """

    means: np.ndarray
    roots: Any = None
    variances: Any = None
    unseen: Any = None

    def __post_init__(self):
        means = _numbers("means", self.means, ndim=2)
        s, n = means.shape
        if not means.size:
            raise ValueError(f"means must have at least one case and one title, got {s} x {n}.")
        roots = np.zeros((1, n, 0)) if self.roots is None else _numbers("roots", self.roots, ndim=3)
        if len(roots) not in (1, s) or roots.shape[1] != n:
            raise ValueError(f"roots must be 1 or {s} tables of {n} rows, one for each title, got {roots.shape}.")
        variances = np.zeros((s, n)) if self.variances is None else _numbers("variances", self.variances, ndim=2)
        if variances.shape != (s, n) or (variances < 0).any():
            raise ValueError(f"variances must be {s} x {n} numbers from 0, got {shown(self.variances)}.")
        unseen = np.ones(n, dtype=bool) if self.unseen is None else _mask(self.unseen, n)
        for name, value in (("means", means), ("roots", roots), ("variances", variances), ("unseen", unseen)):
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, viewer: Viewer) -> Self:
        """What the model of this `Viewer` (`model.viewer(user)`, `model.fold_in(ratings)`) believes of their ratings.

        Of `BayesianFM` its samples; of models whose newcomers are a ridge regression (`ALS`, `SpectralRegularization`,
        `BiasBaseline`, `ContentOnly`) the posterior of that regression, normal(x, noise()^2 (Z'Z + D)^-1), which takes
        the titles' factors and biases as known: a title that nobody has rated is as sure to it as any other. Rated
        titles are not to be shown.
        """
        check_kind("viewer", viewer, Viewer, "a Viewer, of model.viewer(user) or model.fold_in(ratings)")
        seen, rated = np.concatenate([viewer.at, viewer.seen]).astype(np.intp), viewer.rating
        at = np.arange(len(rated.scores))
        kept = rated.model._draws_of(rated, at)
        if kept is not None:
            means, roots, variances = kept
            return cls(means.T, roots, None if variances is None else variances.T).without(seen)
        fold = rated.fold
        if fold.variance is None:
            raise ValueError(
                "viewer must be seen by a model that knows how sure it is: a ridge regression solved to its end, as of "
                f"ALS, or BayesianFM; got {rated!r}."
            )
        check_memory((len(at), len(fold.solve)), "a belief")
        root = _root(fold._rows(at), fold.penalty, rated.at, rated.model.noise())
        return cls(rated.scores[None], root[None]).without(seen)

    @classmethod
    def ridge(
        cls,
        Z: np.ndarray,
        penalty: ArrayLike,
        at: np.ndarray,
        values: np.ndarray,
        noise: float,
        offset: np.ndarray | None = None,
    ) -> Self:
        """The posterior of offset + Z x, x normal(0, noise^2 / penalty), after the ratings `values` of the rows `at`.

        Parameters
        ----------
        Z : (n, k), a row for each title; penalty : (k,), above 0
        at, values : positions and ratings met so far; a position may stand there more than once
        noise : float above 0
            Standard deviation of one rating.
        offset : (n,), optional
        """
        Z, noise = _numbers("Z", Z, ndim=2), _number("noise", noise, strict=True)
        offset = np.zeros(len(Z)) if offset is None else _numbers("offset", offset, length=len(Z))
        fold = ridge_fold(offset, (Z,), penalty, at, values)
        if fold.variance is None:
            raise ValueError(f"penalty must be above 0, or nothing is believed before a rating, got {shown(penalty)}.")
        return cls(fold.scores()[None], _root(Z, fold.penalty, np.asarray(at, dtype=np.intp), noise)[None])

    @property
    def mean(self) -> np.ndarray:
        """(n,) expected rating of each title, rating points."""
        return self.means.mean(axis=0)

    @property
    def sd(self) -> np.ndarray:
        """(n,) how unsure each is: standard deviation, rating points."""
        within = self.variances.mean(axis=0) + (self.roots**2).sum(axis=2).mean(axis=0)
        return np.sqrt(self.means.var(axis=0) + within)

    def without(self, at: ArrayLike) -> Self:
        """The same belief, in which the titles at these positions are not to be shown: seen, or listed before."""
        unseen = self.unseen.copy()
        unseen[check_positions("at", at, len(unseen))] = False
        return replace(self, unseen=unseen)

    def draw(self, n_draws: int = 1, random_state: Any = 0) -> np.ndarray:
        """(n_draws, n) draws of all ratings at once."""
        n_draws = whole_number("n_draws", n_draws, 1)
        rng, (s, n) = generator(random_state), self.means.shape
        check_memory((n_draws, n), "so many draws")
        cases = rng.integers(s, size=n_draws)
        found = self.means[cases]
        if self.roots.shape[2]:
            z = rng.standard_normal((n_draws, self.roots.shape[2]))
            for case in range(len(self.roots)):
                own = slice(None) if len(self.roots) == 1 else cases == case
                found[own] += z[own] @ self.roots[case].T
        if self.variances.any():
            found += np.sqrt(self.variances[cases]) * rng.standard_normal((n_draws, n))
        return found


def _mask(unseen, n):
    wanted = f"unseen must be {n} times True or False, one for each title, got {shown(unseen)}."
    try:
        mask = np.asarray(unseen)
    except ValueError as error:  # rows of several lengths
        raise TypeError(wanted) from error
    if mask.dtype != bool or mask.shape != (n,):
        raise TypeError(wanted)
    return mask


def _root(Z, penalty, at, noise):
    """R with R R' = noise^2 Z (Z_at' Z_at + D)^-1 Z'."""
    met = Z[at]
    lower = np.linalg.cholesky(met.T @ met + np.diag(penalty))
    return noise * solve_triangular(lower, Z.T, lower=True).T


# ---- Policies --------------------------------------------------------------------------------------------------------


def _best(belief, scores):
    """Position of the best title that may be shown; ties go by position."""
    return best_positions(np.where(belief.unseen, scores, -np.inf), 1)[0]


def _check_belief(belief):
    check_kind("belief", belief, Belief, "a Belief, of Belief.of(viewer) or Belief.ridge")
    if not belief.unseen.any():
        raise ValueError(f"belief must have a title that may be shown, got all {len(belief.unseen)} seen.")


def epsilon_greedy(belief: Belief, epsilon: float) -> np.ndarray:
    """(n,) probabilities: the title with the highest expected rating, and with probability `epsilon` any unseen one.

    `epsilon` is from 0, which is the greedy list, to 1, which is a random one.
    """
    _check_belief(belief)
    epsilon = _number("epsilon", epsilon)
    if epsilon > 1:
        raise ValueError(f"epsilon must be at most 1, got {shown(epsilon)}.")
    probabilities = np.where(belief.unseen, epsilon / belief.unseen.sum(), 0.0)
    probabilities[_best(belief, belief.mean)] += 1 - epsilon
    return probabilities


def ucb(belief: Belief, alpha: float) -> np.ndarray:
    """(n,) probabilities, one of them 1: the title with the highest upper bound, mean + alpha sd.

    With the ridge posterior and the noise for a unit that is LinUCB with a model shared by all titles. Reference: Li,
    Chu, Langford and Schapire, *A Contextual-Bandit Approach to Personalized News Article Recommendation*, WWW 2010.
    """
    _check_belief(belief)
    alpha = _number("alpha", alpha)
    probabilities = np.zeros(len(belief.unseen))
    probabilities[_best(belief, belief.mean + alpha * belief.sd)] = 1.0
    return probabilities


def thompson(belief: Belief, n_draws: int = 1000, scale: float = 1.0, random_state: Any = 0) -> np.ndarray:
    """(n,) probabilities: how often each unseen title is the best one, over draws of the belief.

    To show a title drawn from these is Thompson sampling, whatever `n_draws`, which says how finely the propensities
    are known: given the draws they are exact. With one draw the title is certain, and its propensity 1. A title that is
    never the best has propensity 0, so a log by which other policies are to be judged needs a share of `epsilon_greedy`
    mixed in.

    Parameters
    ----------
    scale : float
        Draws lie `scale` times as far from the mean: above 1 for a model that is surer than it should be.

    Reference: Agrawal and Goyal, *Thompson Sampling for Contextual Bandits with Linear Payoffs*, ICML 2013.
    """
    _check_belief(belief)
    scale = _number("scale", scale)
    draws = belief.draw(n_draws, random_state)
    if scale != 1:
        draws = belief.mean + scale * (draws - belief.mean)
    winners = np.where(belief.unseen, draws, -np.inf).argmax(axis=1)
    return np.bincount(winners, minlength=len(belief.unseen)) / n_draws


def choose(probabilities: ArrayLike, random_state: Any) -> tuple[int, float]:
    """(position, propensity) of one title drawn by these probabilities.

    `random_state` is a generator, one for all draws of a log: with one seed for each call every draw would be the same.
    """
    shares = _distributions("probabilities", probabilities, 1)
    at = generator(random_state).choice(len(shares), p=shares)
    return int(at), float(shares[at])


def _distributions(name, given, ndim):
    """Probabilities that sum to 1 along the last axis."""
    table = check_array(name, given, ndim=ndim).astype(float)
    sums = table.sum(axis=-1)
    if not table.size or (table < 0).any() or (np.abs(sums - 1) > SUM).any():
        far = np.ravel(sums)[np.abs(np.ravel(sums) - 1).argmax()] if np.size(sums) else 0.0
        least = f", the smallest {table.min():g}" if table.size else ""
        raise ValueError(
            f"{name} must be probabilities from 0 that sum to 1, got a sum of {far:.12g}{least}: is a title left out, "
            "or are these scores?"
        )
    return table


# ---- What a policy is worth, from a log of another one ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PolicyLog:
    """What was shown, what it earned, and how likely it was to be shown: an entry for each title shown.

    Parameters
    ----------
    rows : positions of the viewers, or of whatever the rows of a policy's table of probabilities are
    cols : positions of the titles shown
    rewards : what each earned, say the rating, rating points
    propensities : the probability with which the title was shown then, above 0 and at most 1
    """

    rows: np.ndarray
    cols: np.ndarray
    rewards: np.ndarray
    propensities: np.ndarray

    def __post_init__(self):
        rows, cols = check_cells(self.rows, self.cols, (2**62, 2**62))
        if not len(rows):
            raise ValueError("rows must have at least one entry, got an empty log.")
        rewards = _numbers("rewards", self.rewards, length=len(rows))
        propensities = _propensities(self.propensities, len(rows))
        made = {"rows": rows.copy(), "cols": cols.copy(), "rewards": rewards, "propensities": propensities}
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def __len__(self):
        return len(self.rows)

    def weights(self, target: ArrayLike) -> np.ndarray:
        """(entries,) how much more likely each entry is under another policy: target[row, col] / propensity.

        `target` is (rows, titles): for each row the probabilities by which that policy would show each title. The log
        is worth sum(w)^2 / sum(w^2) entries of that policy's own.
        """
        shares = _distributions("target", target, 2)
        check_positions("rows", self.rows, shares.shape[0])
        check_positions("cols", self.cols, shares.shape[1])
        return shares[self.rows, self.cols] / self.propensities


def _propensities(given, length):
    propensities = check_array("propensities", given, length=length).astype(float)
    wrong = np.flatnonzero((propensities < 1 / LARGEST) | (propensities > 1))
    if len(wrong):
        raise ValueError(
            f"propensities must be above 0 (at least {1 / LARGEST:g}) and at most 1, got {propensities[wrong[0]]:g} at "
            f"entry {wrong[0]}: what was shown had a chance to be; is it the probability of another policy?"
        )
    return propensities


def _check_log(log):
    check_kind("log", log, PolicyLog, "a PolicyLog")
    return log


def _mean(terms):
    """(mean, its standard error); of a single term nobody knows the error."""
    return float(terms.mean()), float(terms.std(ddof=1) / np.sqrt(len(terms))) if len(terms) > 1 else np.nan


def ips(log: PolicyLog, target: ArrayLike) -> tuple[float, float]:
    """(value, standard error) of another policy by inverse propensity scores: the mean of w r, w = `log.weights`.

    Unbiased where the log could have shown whatever the policy shows; its weights need not sum to the entries, so its
    error is large where they are few and large.
    """
    return _mean(_check_log(log).weights(target) * log.rewards)


def snips(log: PolicyLog, target: ArrayLike) -> tuple[float, float]:
    """(value, standard error) by self-normalised inverse propensity scores: sum w r / sum w.

    Slightly biased, never outside the range of the rewards, and mostly nearer than `ips`. Reference: Swaminathan and
    Joachims, *The Self-Normalized Estimator for Counterfactual Learning*, NIPS 2015.
    """
    return _ratio(_check_log(log).weights(target), log.rewards)


def _ratio(weights, values, own=None):
    """(weighted mean, its standard error by linearisation, of a single entry unknown); `own` has the variance of each
    weight, over its square."""
    total = weights.sum()
    if total <= 0:
        raise ValueError("target must show something that the log has, got probability 0 for all its entries.")
    mean = float(weights @ values / total)
    squares = (weights * (values - mean)) ** 2 * (1.0 if own is None else own)
    return mean, float(np.sqrt(squares.sum()) / total) if len(values) > 1 else np.nan


def doubly_robust(log: PolicyLog, target: ArrayLike, predicted: ArrayLike) -> tuple[float, float]:
    """(value, standard error): what a model predicts for the policy, mended by the weighted errors of the model.

    The mean over entries of sum_i target[row, i] predicted[row, i] + w (r - predicted[row, col]). Unbiased if the
    propensities are right, whatever the model; a good model makes the error small. `predicted` is (rows, titles) of
    rewards, from a model that has not seen the log. Reference: Dudik, Langford and Li, *Doubly Robust Policy Evaluation
    and Learning*, ICML 2011.
    """
    weights, shares = _check_log(log).weights(target), np.asarray(target, dtype=float)
    table = _numbers("predicted", predicted, ndim=2)
    if table.shape != shares.shape:
        raise ValueError(f"predicted must be {shares.shape[0]} x {shares.shape[1]}, as target, got {table.shape}.")
    expected = (shares * table).sum(axis=1)
    return _mean(expected[log.rows] + weights * (log.rewards - table[log.rows, log.cols]))


def replay(log: PolicyLog, policy: Callable[[int, list], int]) -> tuple[float, float]:
    """(value, standard error) of a policy that learns, by a log of titles shown at random: the mean of what it matches.

    For each entry in turn `policy(row, kept)` says the position of the title that it would show, `kept` being a list of
    the entries (row, col, reward) that it has matched so far; where that is the title shown, the reward counts and the
    entry joins `kept`. Unbiased for logs drawn uniformly from the same number of titles, whose propensities are all
    equal; of others use `ips`. Reference: Li, Chu, Langford and Wang, *Unbiased Offline Evaluation of
    Contextual-Bandit-Based News Article Recommendation Algorithms*, WSDM 2011.
    """
    given = _check_log(log).propensities
    check_function("policy", policy, "a function (row, kept) -> position of a title")
    if np.ptp(given) > SUM * given.max():
        raise ValueError(
            "log must be drawn uniformly from the same number of titles each time, got propensities from "
            f"{given.min():g} to {given.max():g}; use ips or snips."
        )
    kept: list[tuple[int, int, float]] = []
    for entry in zip(log.rows.tolist(), log.cols.tolist(), log.rewards.tolist(), strict=True):
        wanted = policy(entry[0], list(kept))
        check_number("the answer of policy", wanted, whole=True)
        if wanted == entry[1]:
            kept.append(entry)
    if not kept:
        raise ValueError(f"policy must match an entry of the log, got none of {len(log)}: the log is too short.")
    return _mean(np.array([reward for _, _, reward in kept]))


def cells_mean(values: ArrayLike, propensities: ArrayLike, n_cells: int | None = None) -> tuple[float, float]:
    """(mean over all cells of a table, standard error), from the cells that were seen and how likely each was to be.

    With `n_cells`, how many cells the table has, seen or not: sum(values / p) / n_cells, unbiased; without,
    self-normalised: sum(values / p) / sum(1 / p). The error is that of cells seen independently. `values` are ratings,
    or squared errors of a model. Reference: Schnabel, Swaminathan, Singh, Chandak and Joachims, *Recommendations as
    Treatments*, ICML 2016.
    """
    values = _numbers("values", values)
    if not len(values):
        raise ValueError("values must have at least one entry, got none.")
    p = _propensities(propensities, len(values))
    if n_cells is None:
        return _ratio(1 / p, values, 1 - p)
    n_cells = whole_number("n_cells", n_cells, len(values))
    return float((values / p).sum() / n_cells), float(np.sqrt(((1 - p) * (values / p) ** 2).sum()) / n_cells)


# ---- The propensities of several titles drawn without replacement ----------------------------------------------------

FAR = 40.0  # e^-40 is below the rounding of 1
WIDEST = 1e-100  # of the smallest weight above 0, as a share of the largest
NODES = 20  # of Gauss and Legendre, on each stretch of the logarithm of time that is 2 / sqrt(n) long


def inclusion_probabilities(weights: ArrayLike, n: int) -> np.ndarray:
    """(titles,) the chance of each to be among `n` drawn one by one without replacement, in proportion to `weights`.

    This is successive sampling, the first n of a Plackett-Luce ranking. Such draws are the first n of exponential
    clocks with these rates, so title i is among them with probability integral of w e^(-w t) P(fewer than n of the
    others before t) dt, which is computed as it stands: to about 1e-10.

    Parameters
    ----------
    weights : (titles,), from 0; a title of weight 0 is never drawn. The others may differ by a factor of 1e100.
    n : int
        At most the number of titles with a weight above 0.
    """
    weights = _numbers("weights", weights)
    n = whole_number("n", n, 1)
    drawn = weights > 0
    if (weights < 0).any() or drawn.sum() < n:
        raise ValueError(f"weights must be from 0, and {n} or more of them above 0, got {shown(weights)}.")
    found = np.zeros(len(weights))
    if drawn.sum() == n:
        found[drawn] = 1.0
        return found
    w = weights[drawn] / weights[drawn].max()
    if w.min() < WIDEST:
        raise ValueError(
            f"weights must be 0 or at least {WIDEST:g} of the largest, got {w.min():g} of it; set such to 0."
        )
    check_memory((len(w) + 1, n), f"drawing {n:,} of {len(w):,} titles")
    low, high = _when(w, n)
    found[drawn] = -np.expm1(-w * low) + _among_first(w, n, *_nodes(low, high, n))
    return found


def _nodes(low, high, n):
    """(times, their steps) of an integral from `low` to `high`, in stretches of the logarithm of time."""
    ends = np.linspace(np.log(low), np.log(high), 1 + int(np.ceil(np.log(high / low) * np.sqrt(n) / 2)))
    u, h = np.polynomial.legendre.leggauss(NODES)
    half = np.diff(ends)[:, None] / 2
    times = np.exp(ends[:-1, None] + half * (u + 1))
    return times.ravel(), (half * h * times).ravel()


def _when(w, n):
    """(low, high): times before which fewer than n clocks ring, and after which n do, but for a chance of e^-FAR.

    By Chernoff's bound both chances are at most (e mean / n)^n e^-mean, whose logarithm is -FAR at the two branches of
    Lambert's W.
    """
    means = [-n * lambertw(-np.exp(-1 - FAR / n), branch).real for branch in (0, -1)]
    ends = np.full(2, -2 * FAR), np.full(2, np.log(2 * FAR / w.min()))
    for _ in range(60):  # the times at which so many are expected to have rung, by bisection
        middle = (ends[0] + ends[1]) / 2
        early = -np.expm1(-np.outer(np.exp(middle), w)).sum(axis=1) < np.minimum(means, len(w))
        ends = np.where(early, middle, ends[0]), np.where(early, ends[1], middle)
    return np.exp(ends[1])


@compiled()
def _add_clock(counts, p):
    """Probabilities of 0, 1, ... clocks that have rung, after one more that has rung with probability p."""
    for k in range(len(counts) - 1, 0, -1):
        counts[k] += p * (counts[k - 1] - counts[k])
    counts[0] *= 1 - p


@compiled()
def _among_first(w, n, times, steps):
    """Sum over the times of step w e^(-w t) P(fewer than n others before t), for each clock."""
    total, before, later = np.zeros(len(w)), np.zeros((len(w) + 1, n)), np.zeros(n)
    for t in range(len(times)):
        p = -np.expm1(-w * times[t])
        before[0, 0] = 1.0
        for i in range(len(w)):
            before[i + 1] = before[i]
            _add_clock(before[i + 1], p[i])
        later[:] = 0.0
        later[0] = 1.0
        for i in range(len(w) - 1, -1, -1):
            fewer, at_most = 0.0, 0.0
            for k in range(n):  # at most k of the later ones, and n - 1 - k of the earlier
                at_most += later[k]
                fewer += before[i, n - 1 - k] * at_most
            total[i] += steps[t] * w[i] * np.exp(-w[i] * times[t]) * fewer
            _add_clock(later, p[i])
    return total
