"""Gibbs sampling of a factorization machine over blocks of features: a sweep draws every number of the model in turn.

The features of a rating are those of a few *block rows* put side by side: the row of its viewer, the row of its title,
the row of its week. With x_j the features of a rating, v_jf their factors and v_j0 their linear weights,

    y = level + sum_j v_j0 x_j + sum_f 1/2 [(sum_j v_jf x_j)^2 - sum_j v_jf^2 x_j^2] + noise,   noise ~ N(0, 1/alpha).

Of one number v = v_jf, all others fixed, this is a straight line: y = (what does not depend on v) + v h, where for a
rating r in block row b

    h_r = x_bj (q_b - v x_bj + c_r)        q_b: the block's own part of sum_j v_jf x_j, c_r: the part of other blocks,

and h_r = x_bj for a linear weight. With the prior v ~ N(mu, 1/lambda) and the residuals e_r = y_r - prediction, its
conditional distribution is normal (Rendle, *Scaling Factorization Machines to Relational Data*, VLDB 2013) with

    precision = lambda + alpha sum_r h_r^2,    mean = (alpha (sum_r h_r e_r + v sum_r h_r^2) + lambda mu) / precision.

All ratings of a block row share x_bj and q_b, so both sums are made of five numbers kept for each block row, n, sum c,
sum c^2, sum e and sum e c, and a sweep costs O(ratings + features that are not 0) for each factor, however many ratings
share a row. A change v -> v + d moves the residuals by -d h_r: each block row keeps what that adds up to, as
e_r += B_b + A_b c_r, and the ratings hear of it once, at the end of the block.

Features come in groups, each with a mean mu_gf and a precision lambda_gf of its own for every factor, drawn from their
normal-gamma conditionals (Salakhutdinov and Mnih, *Bayesian PMF using MCMC*, ICML 2008; Rendle, *Factorization Machines
with libFM*, ACM TIST 2012). Random numbers are drawn outside the compiled loops, by `numpy.random.Generator`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from content_table_parts.solvers import compiled

N, C, CC, E, EC, Q_, A, B = range(8)  # what is kept for each block row: eight numbers, one cache line


class Design(NamedTuple):
    """What a sweep reads: N ratings, R rows in all blocks, F features in G groups.

    where (blocks, N): the row of each rating in each block, counted through all blocks. start (F + 1,), row, value: the
    rows in which a feature is not 0, and its values there. group (G + 1,): the first feature of each group. block
    (blocks + 1,): the first group of each block. first (blocks + 1,): the first row of each block.
    """

    where: np.ndarray
    start: np.ndarray
    row: np.ndarray
    value: np.ndarray
    group: np.ndarray
    block: np.ndarray
    first: np.ndarray


class State(NamedTuple):
    """What a sweep changes. Row 0 of V, Q, mean and precision is that of the linear weights.

    e (N,): residuals. V (1 + k, F): weights and factors. Q (1 + k, R): their sums over the features of each block row.
    mean, precision (1 + k, G): of the prior of each group. level (2,): the level, and the precision alpha of a rating.
    """

    e: np.ndarray
    V: np.ndarray
    Q: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    level: np.ndarray


class Draws(NamedTuple):
    """The random numbers of a sweep: standard normal for V, mean and the level, standard gamma for precisions."""

    V: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    level: np.ndarray


class Prior(NamedTuple):
    """Of every precision (lambda of a group, alpha): gamma with this shape and rate. Of the mean of a group: N(0,
    1 / lambda). Of the level, in standard deviations of the ratings from their mean: N(0, 1 / level)."""

    shape: float = 0.5
    rate: float = 0.02
    level: float = 1.0


PRIOR = Prior()


# ---- The compiled loops ----------------------------------------------------------------------------------------------


@compiled()
def _part_of_others(where, f, q, block, c):
    """c_r of each rating: the part of the other blocks in sum_j v_jf x_j; of a linear weight it is 1."""
    c[:] = 1.0 if f == 0 else 0.0
    for other in range(len(where)):
        if other != block and f > 0:
            _add_rows(where[other], q, c)


@compiled()
def _add_rows(rows, q, c):
    for r in range(len(c)):
        c[r] += q[rows[r]]


@compiled()
def _gather(rows, c, e, S):
    """Sum up, for each row of a block, what its features need to know of the ratings."""
    for r in range(len(e)):
        s = S[rows[r]]
        s[C] += c[r]
        s[CC] += c[r] * c[r]
        s[E] += e[r]
        s[EC] += e[r] * c[r]


@compiled()
def _settle(rows, c, e, S):
    """Tell the residuals what the features of a block have changed."""
    for r in range(len(e)):
        s = S[rows[r]]
        e[r] += s[B] + s[A] * c[r]


@compiled()
def _draw_features(design, first, last, f, S, v, mu, precision, alpha, z):
    """Draw the numbers of the features first..last - 1 of one group, one after the other.

    For a linear weight (f = 0) the same sums serve with q = 0 and c = 1.
    """
    bend = 0.0 if f == 0 else 1.0
    for j in range(first, last):
        old, hh, he = v[j], 0.0, 0.0
        for t in range(design.start[j], design.start[j + 1]):
            x, s = design.value[t], S[design.row[t]]
            q = bend * (s[Q_] - old * x)
            hh += x * x * (q * (q * s[N] + 2 * s[C]) + s[CC])
            he += x * (q * s[E] + s[EC])
        tight = precision + alpha * hh
        v[j] = (alpha * (he + old * hh) + precision * mu) / tight + z[j] / np.sqrt(tight)
        for t in range(design.start[j], design.start[j + 1]):
            x, s = design.value[t], S[design.row[t]]
            q, d = bend * (s[Q_] - old * x), (v[j] - old) * x
            s[E] -= d * (q * s[N] + s[C])
            s[EC] -= d * (q * s[C] + s[CC])
            s[A] -= d
            s[B] -= d * q
            s[Q_] += d


@compiled()
def _draw_prior(v, first, last, mean, precision, g, z, prior):
    """Draw the prior of a group given its features: lambda by the gamma number g, then mu.

    lambda ~ Gamma(shape + (n + 1) / 2, rate + 1/2 (sum (v - mu)^2 + mu^2)), mu ~ N(sum v / (n + 1), 1 / (n + 1) lambda)
    """
    squares, total, n = mean[0] ** 2, 0.0, last - first
    for j in range(first, last):
        squares += (v[j] - mean[0]) ** 2
        total += v[j]
    precision[0] = g / (prior.rate + squares / 2)
    mean[0] = total / (n + 1) + z / np.sqrt((n + 1) * precision[0])


@compiled()
def _begin(design, block, q, S):
    """Forget the sums of a block; what it has of the factor stands beside them."""
    for b in range(design.first[block], design.first[block + 1]):
        S[b, 1:] = 0.0
        S[b, Q_] = q[b]


@compiled()
def _draw_level(state, draws, prior):
    """Draw alpha, then the level: alpha ~ Gamma(shape + N / 2, rate + e'e / 2), level ~ N(., 1 / (p + alpha N))."""
    e, n = state.e, len(state.e)
    alpha = draws.level[1] / (prior.rate + e @ e / 2)
    tight = prior.level + alpha * n
    old = state.level[0]
    new = alpha * (e.sum() + n * old) / tight + draws.level[0] / np.sqrt(tight)
    state.level[0], state.level[1] = new, alpha
    e -= new - old


@compiled()
def sweep(design, state, draws, prior, S, c):
    """Draw every number of the model once, in place. S (R, 8) has the ratings of each row in its first column, and else
    room to work in, as c (N,) is."""
    _draw_level(state, draws, prior)
    for f in range(len(state.V)):
        for block in range(len(design.where)):
            rows, q = design.where[block], state.Q[f]
            _begin(design, block, q, S)
            _part_of_others(design.where, f, q, block, c)
            _gather(rows, c, state.e, S)
            for g in range(design.block[block], design.block[block + 1]):
                first, last = design.group[g], design.group[g + 1]
                mean, precision = state.mean[f, g : g + 1], state.precision[f, g : g + 1]
                _draw_prior(state.V[f], first, last, mean, precision, draws.precision[f, g], draws.mean[f, g], prior)
                _draw_features(design, first, last, f, S, state.V[f], mean[0], precision[0], state.level[1], draws.V[f])
            _settle(rows, c, state.e, S)
            for b in range(design.first[block], design.first[block + 1]):
                q[b] = S[b, Q_]


# ---- Blocks, and the chain -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Block:
    """Features that many ratings share: `rows` (N,) the row of each rating, `table` (rows, features) sparse, and how
    many features each group has, one after the other."""

    rows: np.ndarray
    table: sp.csr_array
    groups: tuple[int, ...]

    @cached_property
    def met(self) -> np.ndarray:
        """Mask of the features that are not 0 in some rating: of the others nothing can be learnt."""
        return np.bincount(self._rated().indices, minlength=self.table.shape[1]) > 0

    def _rated(self):
        """The table without what stands in rows that no rating has."""
        rated = np.bincount(self.rows, minlength=self.table.shape[0]) > 0
        return sp.csr_array(sp.diags_array(rated.astype(float)) @ self.table)


def one_hot(rows: np.ndarray, n: int, *more: sp.csr_array) -> Block:
    """The block of a viewer, a title or a week: a feature of its own for each, then what else is known of it."""
    tables = [sp.eye_array(n, format="csr"), *more]
    return Block(rows, sp.csr_array(sp.hstack(tables)), tuple(table.shape[1] for table in tables))


def normalised_sets(table: sp.csr_array) -> sp.csr_array:
    """Who rated what, by rows, each row divided by the square root of how many there are in it."""
    counts = np.diff(table.indptr)
    values = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts)
    return sp.csr_array((values, table.indices, table.indptr), shape=table.shape)


def design_of(blocks: Sequence[Block]) -> Design:
    """The blocks side by side as a sweep reads them; features that no rating has are left out."""
    first = np.cumsum([0, *(block.table.shape[0] for block in blocks)])
    where = np.array([start + block.rows for start, block in zip(first, blocks, strict=False)], dtype=np.int32)
    columns = [sp.csc_array(block._rated()[:, block.met]) for block in blocks]
    lengths = np.concatenate([np.diff(column.indptr) for column in columns])
    row = np.concatenate([start + column.indices for start, column in zip(first, columns, strict=False)])
    sizes = [np.add.reduceat(block.met, _starts(block.groups)) for block in blocks]
    return Design(
        where,
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        row.astype(np.int32),
        np.concatenate([column.data for column in columns]),
        np.cumsum([0, *np.concatenate(sizes)]),
        np.cumsum([0, *(len(block.groups) for block in blocks)]),
        first,
    )


def _starts(groups):
    return np.cumsum([0, *groups[:-1]])


def starting_state(
    design: Design, blocks: Sequence[Block], y: np.ndarray, n_factors: int, rng: np.random.Generator
) -> State:
    """The state before the first sweep: no weights, and factors of N(0, 0.1^2), which some direction must break."""
    n_groups, n_features = len(design.group) - 1, len(design.start) - 1
    V = np.vstack([np.zeros(n_features), rng.normal(0, 0.1, (n_factors, n_features))])
    state = State(
        y.copy(),
        V,
        np.zeros((1 + n_factors, design.first[-1])),
        np.zeros((1 + n_factors, n_groups)),
        np.ones((1 + n_factors, n_groups)),
        np.zeros(2),
    )
    squares, features = np.zeros(design.first[-1]), design.group[design.block]
    for at, block in enumerate(blocks):
        rows, own = slice(*design.first[at : at + 2]), V[:, features[at] : features[at + 1]]
        table = block.table[:, block.met]
        state.Q[:, rows] = (table @ own.T).T
        squares[rows] = table.power(2) @ (own[1:] ** 2).sum(axis=0)
    q = state.Q[1:, design.where].sum(axis=1)
    state.e[:] -= ((q**2).sum(axis=0) - squares[design.where].sum(axis=0)) / 2
    return state


def draw(design: Design, n_factors: int, prior: Prior, rng: np.random.Generator) -> Draws:
    """The random numbers of one sweep. Their shapes depend on nothing that is drawn."""
    sizes, n_features = np.diff(design.group), len(design.start) - 1
    shapes = np.broadcast_to(prior.shape + (sizes + 1) / 2, (1 + n_factors, len(sizes)))
    level = [rng.standard_normal(), rng.standard_gamma(prior.shape + design.where.shape[1] / 2)]
    return Draws(
        rng.standard_normal((1 + n_factors, n_features)),
        rng.standard_normal(shapes.shape),
        rng.standard_gamma(shapes),
        np.array(level),
    )


def chain(
    blocks: Sequence[Block], y: np.ndarray, n_factors: int, rng: np.random.Generator, prior: Prior = PRIOR
) -> Iterator[State]:
    """The states of a Markov chain after each sweep, without an end: the same arrays each time, changed in place."""
    design = design_of(blocks)
    state = starting_state(design, blocks, y, n_factors, rng)
    S, c = np.zeros((design.first[-1], 8)), np.empty(len(y))
    S[:, N] = np.bincount(design.where.ravel(), minlength=len(S))
    while True:
        sweep(design, state, draw(design, n_factors, prior, rng), prior, S, c)
        yield state
