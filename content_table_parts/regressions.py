"""A ridge regression for each row of a sparse table: the readable loop, and the same sums for many rows at a time."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from content_table_parts.interrupts import workers
from content_table_parts.solvers import LEAST_LEFT, check_memory, compiled, dot, locked
from content_table_parts.vectors import BITS, divided, load, minus, plus, root, store

GATHERED = 64  # ratings at a time, whose factors then are in a processor's first cache


@compiled(error_model="numpy")
def solve_rows(indptr, indices, weights, targets, other, base, out):
    """out[u] = (base + O_u' diag(w_u) O_u)^-1 O_u' t_u: a ridge regression for each row on the factors `other`.

    `indptr`, `indices` are the rows of a CSR table, `weights` and `targets` its values, `other` (n, k) the factors of
    the other side held fixed, `base` (k, k) what every row shares: the penalty, positive definite. Cholesky in plain
    loops: G = L L', then two substitutions.
    """
    k = other.shape[1]
    G, x = np.zeros((k, k)), np.zeros(k)
    for u in range(len(indptr) - 1):
        for a in range(k):
            x[a] = 0.0
            for b in range(a + 1):
                G[a, b] = base[a, b]
        for e in range(indptr[u], indptr[u + 1]):  # G = base + O_u' diag(w_u) O_u, x = O_u' t_u
            i = indices[e]
            for a in range(k):
                o = other[i, a]
                x[a] += o * targets[e]
                for b in range(a + 1):
                    G[a, b] += weights[e] * o * other[i, b]
        for a in range(k):  # G = L L' in place, and L y = x on the way
            for b in range(a):
                total = G[a, b]
                for c in range(b):
                    total -= G[a, c] * G[b, c]
                G[a, b] = total / G[b, b]
            pivot = G[a, a]
            for c in range(a):
                pivot -= G[a, c] * G[a, c]
                x[a] -= G[a, c] * x[c]
            G[a, a] = np.sqrt(pivot)
            x[a] /= G[a, a]
        for a in range(k - 1, -1, -1):  # L' out = y
            for c in range(a + 1, k):
                x[a] -= G[c, a] * x[c]
            x[a] /= G[a, a]
            out[u, a] = x[a]


@compiled(error_model="numpy", nogil=True)
def _add_products(G, left, right, count, k):
    """G += left' right over `count` ratings, in their order, in the rows 0..k: the lower triangle, and some beside it.

    A tile of G, four rows by two vectors, stays in registers while all ratings pass.
    """
    wide = BITS // 8 // G.itemsize
    for a in range(0, k + 1, 4):
        a0, a1, a2, a3 = left[:, a], left[:, a + 1], left[:, a + 2], left[:, a + 3]
        for b in range(0, min(a + 4, k), 2 * wide):
            c = b + wide
            g0, g1, g2, g3 = load(G, (a, b)), load(G, (a + 1, b)), load(G, (a + 2, b)), load(G, (a + 3, b))
            h0, h1, h2, h3 = load(G, (a, c)), load(G, (a + 1, c)), load(G, (a + 2, c)), load(G, (a + 3, c))
            for e in range(count):
                x, y = load(right, (e, b)), load(right, (e, c))
                g0, g1, g2, g3 = plus(g0, a0[e], x), plus(g1, a1[e], x), plus(g2, a2[e], x), plus(g3, a3[e], x)
                h0, h1, h2, h3 = plus(h0, a0[e], y), plus(h1, a1[e], y), plus(h2, a2[e], y), plus(h3, a3[e], y)
            store(G, (a, b), g0), store(G, (a + 1, b), g1), store(G, (a + 2, b), g2), store(G, (a + 3, b), g3)
            store(G, (a, c), h0), store(G, (a + 1, c), h1), store(G, (a + 2, c), h2), store(G, (a + 3, c), h3)


@compiled(error_model="numpy", nogil=True)
def _gather(G, left, right, first, last, indices, values, confidence, offset, other):
    """G += O' diag(w) O (lower triangle) and G[k] += O' t over the ratings first..last-1, in the order of `solve_rows`.

    Without a `confidence` all weights w are 1, and `right` is `left`; see `solve_all_rows` for w and t.
    """
    k = other.shape[1]
    for start in range(first, last, len(left)):
        count = min(len(left), last - start)
        for e in range(count):
            i, t = indices[start + e], values[start + e]
            if offset is not None:
                t -= offset[i]
            for a in range(k):
                right[e, a] = other[i, a]
            if confidence is not None:
                weight = confidence * t
                for a in range(k):
                    left[e, a] = weight * other[i, a]
                t = 1 + weight
            left[e, k] = t
        _add_products(G, left, right, count, k)


@compiled(error_model="numpy", nogil=True)
def _factor_and_solve(G, x):
    """Cholesky and both substitutions of `solve_rows` for as many rows as a vector has numbers: G is (k, k, numbers),
    x (k, numbers)."""
    k = len(x)
    for a in range(k):
        y = load(x, (a, 0))
        for b in range(a):
            total = load(G, (a, b, 0))
            for c in range(b):
                total = minus(total, load(G, (a, c, 0)), load(G, (b, c, 0)))
            store(G, (a, b, 0), divided(total, load(G, (b, b, 0))))
        pivot = load(G, (a, a, 0))
        for c in range(a):
            pivot = minus(pivot, load(G, (a, c, 0)), load(G, (a, c, 0)))
            y = minus(y, load(G, (a, c, 0)), load(x, (c, 0)))
        store(G, (a, a, 0), root(pivot))
        store(x, (a, 0), divided(y, root(pivot)))
    for a in range(k - 1, -1, -1):
        y = load(x, (a, 0))
        for c in range(a + 1, k):
            y = minus(y, load(G, (c, a, 0)), load(x, (c, 0)))
        store(x, (a, 0), divided(y, load(G, (a, a, 0))))


@compiled(error_model="numpy", nogil=True)
def _solve_block(indptr, indices, values, confidence, offset, other, base, per_rating, out, first, last):
    """The rows first..last-1 of `out`, a vector of them at a time."""
    k, wide = other.shape[1], BITS // 8 // other.itemsize
    size = (k + 2 * wide) // (2 * wide) * (2 * wide)  # k factors and the targets, filled up with zeros to whole tiles
    G, left = np.zeros((size, size), other.dtype), np.zeros((GATHERED, size), other.dtype)
    right = left if confidence is None else np.zeros((GATHERED, size), other.dtype)
    Gs, xs = np.zeros((k, k, wide), other.dtype), np.zeros((k, wide), other.dtype)
    for a in range(k):
        Gs[a, a] = 1.0  # where the last rows leave some of a vector over
    for start in range(first, last, wide):
        count = min(wide, last - start)
        for n in range(count):
            u = start + n
            for a in range(k):
                G[k, a] = 0.0
                for b in range(a + 1):
                    G[a, b] = base[a, b]
                if per_rating is not None:
                    G[a, a] += max(indptr[u + 1] - indptr[u], 1) * per_rating[a]
            _gather(G, left, right, indptr[u], indptr[u + 1], indices, values, confidence, offset, other)
            for a in range(k):
                xs[a, n] = G[k, a]
                for b in range(a + 1):
                    Gs[a, b, n] = G[a, b]
        _factor_and_solve(Gs, xs)
        for n in range(count):
            for a in range(k):
                out[start + n, a] = xs[a, n]


def by_threads(work, indptr, n_jobs):
    """`work(first, last)` over all rows of a CSR table, in threads that have about as many ratings each."""
    n_rows = len(indptr) - 1
    n_threads = min(workers(n_jobs), n_rows // 32 + 1)
    if n_threads == 1:
        work(0, n_rows)
        return
    ends = np.searchsorted(indptr, np.linspace(0, indptr[-1], n_threads + 1))
    ends[0], ends[-1] = 0, n_rows
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(work, ends[:-1], ends[1:]))


@compiled(nogil=True)
def _score_rows(indptr, indices, mean, b_user, b_item, P, Q, scores, first, last):
    for u in range(first, last):
        own, level = P[u], mean + b_user[u]
        for e in range(indptr[u], indptr[u + 1]):
            scores[e] = level + b_item[indices[e]] + dot(own, Q[indices[e]])


def row_scores(table, mean, b_user, b_item, P, Q, n_jobs=1):
    """mean + b_u + b_i + p_u . q_i for each known cell of a CSR table, row by row: what belongs to a user is fetched
    once."""
    scores = np.empty(len(table.indices))
    by_threads(
        partial(_score_rows, table.indptr, table.indices, mean, b_user, b_item, P, Q, scores), table.indptr, n_jobs
    )
    return scores


def solve_all_rows(
    indptr,
    indices,
    values,
    other,
    base,
    offset=None,
    confidence=None,
    per_rating=None,
    dtype="float64",
    n_jobs=1,
):
    """What `solve_rows` puts into `out`, faster and to the same bits; in `n_jobs` threads, which do not change them.

    The targets are the values, less offset[i] in column i, and the weights 1; or, of preferences, with c = `confidence`
    times the value, the weights c and the targets 1 + c. To the diagonal of `base` comes `per_rating` (k,) times the
    number of the row's ratings; a row without any counts as one of them, and gets zeros. In float32, if `dtype` says
    so, the arithmetic is done with half the digits; what is returned is float64.
    """
    given = (values, offset, other, base, per_rating)
    with np.errstate(over="ignore"):  # what is too large for it leaves no finite solution, which is said then
        given = [a if a is None else np.ascontiguousarray(a, dtype) for a in given]
    arrays = [a if a is None else locked(a) for a in (indptr, indices, *given)]
    arrays.insert(3, confidence if confidence is None else np.dtype(dtype).type(confidence))
    out = np.empty((len(indptr) - 1, other.shape[1]), dtype)
    by_threads(partial(_solve_block, *arrays, out), indptr, n_jobs)
    return out.astype(float, copy=False)


def regress_rows(table, other, penalty, offset=None, dtype="float64", n_jobs=1, per_rating=None):
    """`ridge_rows` of a CSR table, with a penalty for each factor, on its values less offset[i] in column i; to the
    penalty comes `per_rating` times the number of the row's ratings."""
    lightest = penalty if per_rating is None else penalty + per_rating
    if not lightest.any():
        return _least_norm_rows(table, other)
    arrays = table.indptr, table.indices, table.data, other, np.diag(penalty)
    rows = solve_all_rows(*arrays, offset, per_rating=per_rating, dtype=dtype, n_jobs=n_jobs)
    check_solution(rows, lightest)
    return rows


def check_room(k: int) -> None:
    """Refuse so many factors that the tables of one regression, those of its vector of rows, would not fit."""
    check_memory((1 + BITS // 64, k, k), f"a ridge regression on n_factors={k:,}")


@compiled(inline="always")
def _take_off(x, factor, y):
    for e in range(len(x)):
        x[e] -= factor * y[e]


@compiled(inline="always", error_model="numpy")
def _factor(U):
    """The upper triangle G becomes U, G = U'U (Cholesky)."""
    for a in range(len(U)):
        scale = 1 / np.sqrt(U[a, a])
        for b in range(a, len(U)):
            U[a, b] *= scale
        for c in range(a + 1, len(U)):
            _take_off(U[c, c:], U[a, c], U[a, c:])


@compiled(error_model="numpy")
def left_out_squares(indptr, indices, targets, Z, penalty):
    """Sum over all ratings of residual^2 / (1 - leverage), in a ridge regression on the rows of Z for each row of a
    CSR table: sum (t - z.x)^2 + sum penalty x^2; the leverage of a rating is z' (Z_u'Z_u + D)^-1 z.

    With Z_u'Z_u + D = U'U, y = U'^-1 Z_u't and w = U'^-1 z, the leverage is w.w and the fitted value w.y. The inner
    loops run along the ratings of a row, which `own` has a column for. Not finite where rounding leaves the matrix
    without a Cholesky factor.
    """
    k, most, total = Z.shape[1], 0, 0.0
    for u in range(len(indptr) - 1):
        most = max(most, indptr[u + 1] - indptr[u])
    U, y, table = np.empty((k, k)), np.empty(k), np.empty((k + 1, most))
    for u in range(len(indptr) - 1):
        at, t = indices[indptr[u] : indptr[u + 1]], targets[indptr[u] : indptr[u + 1]]
        own, left = table[:k, : len(t)], table[k, : len(t)]
        for e in range(len(t)):
            left[e] = t[e]
            for a in range(k):
                own[a, e] = Z[at[e], a]
        for a in range(k):
            y[a] = dot(own[a], t)
            for b in range(a, k):
                U[a, b] = dot(own[a], own[b])
            U[a, a] += penalty[a]
        _factor(U)
        for a in range(k):  # a substitution for Z_u't and for all ratings at once: own = U'^-1 own
            scale = 1 / U[a, a]
            y[a] *= scale
            for e in range(len(t)):
                own[a, e] *= scale
            for b in range(a + 1, k):
                _take_off(own[b], U[a, b], own[a])
                y[b] -= U[a, b] * y[a]
            _take_off(left, y[a], own[a])
        for e in range(len(t)):
            leverage = 0.0
            for a in range(k):
                leverage += own[a, e] ** 2
            total += left[e] ** 2 / max(1 - leverage, LEAST_LEFT)
    return total


def _least_norm_rows(table, other):
    """Without a penalty a row may leave its factors undetermined: the least-norm solution."""
    rows = np.empty((table.shape[0], other.shape[1]))
    for u in range(len(rows)):
        known = slice(table.indptr[u], table.indptr[u + 1])
        rows[u] = np.linalg.lstsq(other[table.indices[known]], table.data[known], rcond=None)[0]
    return rows


def check_solution(rows, reg, remedy=""):
    if not np.isfinite(rows).all():
        raise ValueError(
            f"the ridge regressions of reg={np.min(reg):g} are singular in floating point; raise reg{remedy}, or "
            "divide ratings, or an init, that are very large."
        )


def ridge_rows(table: Any, other: np.ndarray, reg: float | np.ndarray = 0.0) -> np.ndarray:
    """The best factors for each row of a sparse table, those of the other side held fixed: half a pass of `ALS`.

    Objective, for each row u on its own: sum over its known cells of (A_ui - x_u . o_i)^2 + reg |x_u|^2.

    Parameters
    ----------
    table : (m, n) sparse
        `ratings.csr` to solve for the users, `ratings.csc.T` for the items.
    other : (n, k)
    reg : float, or (k,) with one penalty for each factor
        All above 0, or 0: plain least squares, and of least norm where the ratings leave factors undetermined.

    Returns
    -------
    (m, k) array; zeros in a row without a rating.
    """
    table, other = sp.csr_array(table, dtype=float), np.asarray(other, dtype=float)
    if other.ndim != 2 or len(other) != table.shape[1]:
        raise ValueError(
            f"`other` must have one row of factors for each of the table's {table.shape[1]} columns, got shape "
            f"{other.shape}; to solve for the items, pass ratings.csc.T and the user factors."
        )
    penalty = np.full(other.shape[1], reg, dtype=float)
    if not (penalty > 0).all() and penalty.any():
        raise ValueError(f"reg must be above 0, or 0 for all factors, got {reg}.")
    return regress_rows(table, other, penalty)


def ridge(X, target, reg):
    """argmin |target - X w|^2 + reg |w|^2, by the smaller of the two Gram matrices of a sparse X."""
    if X.shape[0] < X.shape[1]:
        return X.T @ np.linalg.solve((X @ X.T).toarray() + reg * np.eye(X.shape[0]), target)
    return np.linalg.solve((X.T @ X).toarray() + reg * np.eye(X.shape[1]), X.T @ target)
