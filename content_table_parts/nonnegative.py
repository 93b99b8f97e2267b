"""Least squares with numbers that are not negative, for each row of a sparse table: the steps of `NMF`."""

from functools import partial

import numpy as np

from content_table_parts.regressions import GATHERED, _factor, _gather, by_threads, check_room, check_solution
from content_table_parts.solvers import best_positions, compiled, dot, locked
from content_table_parts.vectors import BITS

ROUNDING = 1e-13  # of the largest entry of c: a slope below it is 0


@compiled(error_model="numpy", nogil=True)
def coordinate_sweep(G, c, n_signed, x):
    """One update of each coordinate of x, in turn, in x' G x - 2 c' x + const: its best value with the others held
    fixed, and not below 0; the last `n_signed` may have either sign."""
    for a in range(len(x)):
        x[a] += (c[a] - dot(G[a], x)) / G[a, a]
        if a < len(x) - n_signed:
            x[a] = max(x[a], 0.0)


@compiled(error_model="numpy", nogil=True)
def _solve_on(G, c, inside, z):
    """z = G^-1 c over the coordinates `inside`, 0 in the others: Cholesky, two substitutions."""
    z[:] = 0.0
    y = c[inside]
    k = len(y)
    U = np.zeros((k, k))
    for a in range(k):
        for b in range(a, k):
            U[a, b] = G[inside[a], inside[b]]
    _factor(U)
    for a in range(k):
        for b in range(a):
            y[a] -= U[b, a] * y[b]
        y[a] /= U[a, a]
    for a in range(k - 1, -1, -1):
        for b in range(a + 1, k):
            y[a] -= U[a, b] * y[b]
        y[a] /= U[a, a]
        z[inside[a]] = y[a]


@compiled(error_model="numpy", nogil=True)
def nnls(G, c, n_signed, x):
    """The minimum itself, from an x that is allowed: the active set method of Lawson and Hanson.

    Solve with the coordinates above 0 alone; where that leads below 0, go as far as is allowed and let one of them
    rest at 0; else let one go that rests at 0 and whose slope leads up, until there is none.
    """
    k, least = len(x), ROUNDING * np.abs(c).max()
    z, inside = np.zeros(k), x > 0
    inside[k - n_signed :] = True
    for _ in range(10 * k):
        _solve_on(G, c, np.flatnonzero(inside), z)
        step, blocking = 1.0, -1
        for a in range(k - n_signed):
            if inside[a] and z[a] <= 0 and x[a] / (x[a] - z[a]) < step:
                step, blocking = x[a] / (x[a] - z[a]), a
        for a in range(k):
            x[a] = x[a] + step * (z[a] - x[a]) if blocking >= 0 else z[a]
            if a < k - n_signed:
                x[a] = max(x[a], 0.0)  # rounding may lead below
        if blocking >= 0:
            x[blocking], inside[blocking] = 0.0, False
            continue
        steepest = least
        for a in range(k):
            if not inside[a] and c[a] - dot(G[a], x) > steepest:
                steepest, blocking = c[a] - dot(G[a], x), a
        if blocking < 0:
            break
        inside[blocking] = True


@compiled(error_model="numpy", nogil=True)
def _solve_block(indptr, indices, values, offset, other, penalty, n_signed, n_sweeps, out, first, last):
    """The rows first..last-1 of `out`, each from where it is: so many sweeps, or with `n_sweeps` 0 to the minimum."""
    k, wide = other.shape[1], BITS // 64
    size = (k + 2 * wide) // (2 * wide) * (2 * wide)  # as `_gather` wants it
    H, left, G = np.zeros((size, size)), np.zeros((GATHERED, size)), np.zeros((k, k))
    for u in range(first, last):
        H[: k + 1] = 0.0
        for a in range(k):
            H[a, a] = penalty[a]
        _gather(H, left, left, indptr[u], indptr[u + 1], indices, values, None, offset, other)
        for a in range(k):
            for b in range(a + 1):
                G[a, b] = G[b, a] = H[a, b]
        for _ in range(n_sweeps):
            coordinate_sweep(G, H[k, :k], n_signed, out[u])
        if n_sweeps == 0:
            nnls(G, H[k, :k], n_signed, out[u])


def nonnegative_rows(table, offset, blocks, penalty, own, bias=None, *, n_sweeps, n_jobs=1):
    """For each row of a CSR table its numbers x, the row of `own` (m, k) and where there is one that of `bias` (m,),
    brought nearer to argmin sum (t - z.x)^2 + sum penalty x^2, in place; those of `own` stay at or above 0.

    By so many sweeps of coordinate descent, which cannot raise the sum, or with `n_sweeps` 0 to the minimum. z are the
    rows of the `blocks` beside each other, t the values less offset[i] in column i, the penalties are above 0.
    """
    check_room(own.shape[1])
    x, n_signed = (own.copy(), 0) if bias is None else (np.column_stack([own, bias]), 1)
    other, penalty = np.ascontiguousarray(np.hstack(blocks)), np.asarray(penalty, float)
    arrays = table.indptr, table.indices, table.data, offset, other, penalty
    by_threads(partial(_solve_block, *(locked(a) for a in arrays), n_signed, n_sweeps, x), table.indptr, n_jobs)
    check_solution(x, penalty)
    own[:] = x[:, : own.shape[1]]
    if bias is not None:
        bias[:] = x[:, -1]


def check_nonnegative(name, *arrays):
    """Refuse an entry below 0 in the arrays of an argument."""
    least = min(array.min() for array in arrays)
    if least < 0:
        raise ValueError(f"{name} must have no entry below 0, got {least:g}.")


def steepest(left, reg, bias_reg, other, own, bias=None):
    """The largest slope that the numbers of one side could still follow, `left` (m, n) sparse being what the model
    leaves of the ratings: of x above 0 |dE/dx|, of x at 0 the part of dE/dx below 0; of a bias |dE/db|."""
    slope = 2 * (reg * own - left @ other)
    slopes = [np.where(own > 0, slope, np.minimum(slope, 0.0)).ravel()]
    slopes += [] if bias is None else [2 * (bias_reg * bias - left.sum(axis=1))]
    return float(np.abs(np.concatenate(slopes)).max())


def mean_parts(P, rated):
    """How much the viewers who have rated take of each part, mean over them."""
    if not rated.any():
        raise ValueError("parts are shown by what they add for the viewers, and this model was saved without them.")
    return P[rated].mean(axis=0)


def leading(adds, n):
    """(part, rank, position) of the n largest entries of each column of `adds`, column by column."""
    best = np.array([best_positions(column, min(n, len(column))) for column in adds.T])
    part, rank = np.indices(best.shape)
    return part.ravel(), rank.ravel() + 1, best.ravel()


def part_names(Q, labels):
    """A name for each column of Q: the two titles in which it is largest."""
    _, _, best = leading(Q, 2)
    return [f"part {part}: {', '.join(pair)}" for part, pair in enumerate(labels[best.reshape(Q.shape[1], -1)])]
