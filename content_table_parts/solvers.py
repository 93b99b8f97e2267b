"""Linear algebra and compiled loops, arrays in and arrays out: what the models of `content_table` are solved by."""

import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.csgraph
import scipy.sparse.linalg
from threadpoolctl import ThreadpoolController

from content_table_parts.interrupts import check_time, may_keep_half
from content_table_parts.settings import TIE, check_kind, check_shape

MAX_DENSE_BYTES = 2**30  # a dense users x items table above this is refused, not attempted
DENSE_CELLS = 10**6  # up to this many cells the splitting solver works on a dense table: faster, and 8 MB at most
NO_PENALTY = 1e-9  # a penalty below this on biases is lost in rounding beside counts of ratings
LEAST_LEFT = 1e-9  # of 1 - leverage: a rating that its own regression follows tells nothing about noise
DENSE_SPEED = 1e10  # operations a second, in an SVD or the like on one core: to tell beforehand what takes minutes
EIGEN_SIDE = 1_000  # up to this side a spectral norm is bounded by the eigenvalues of a dense Gram matrix
GRAM_SIDE = 5_000  # up to this side by its Cholesky factorisation (200 MB), and bias equations are solved by one
DOUBT, LANCZOS_STEPS, LANCZOS_BYTES = 1e-9, 300, 2**27  # above, with a probability: of what it is wrong, by what basis
FEWEST_STEPS = 60  # with fewer the bound would be more than 3 % above, and with fewer than 16 be none
PAIRS = "ItemKNN's table of item pairs"
PAIR_STEPS = 10**8  # pairs of ratings looked at in one go: less than a second
SAMPLED_TITLES = 200  # whose pairs tell how many all have
TILED = 1_000_000  # from so many ratings on, stochastic steps go tile by tile: a shuffle of all misses every cache
STRIPE = 640 * 2**10  # bytes of factors on one side of a tile: those of both stay in a processor's second cache
BLOCK = 32  # users, or items, that stay neighbours in a tile
BLAS = ThreadpoolController()
_OURS = (str(Path(__file__).parent), str(Path(__file__).parent.with_name("content_table.py")))


def warn_caller(message, category=UserWarning):
    """A warning that points at the caller's line: the nearest one outside our own files."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def compiled(**options):
    """`numba.njit`, its code kept on disk; where no folder can be written to, each process compiles for itself."""

    def decorate(function):
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # numba found no place for its files
            return numba.njit(**options)(function)

    return decorate


class DivergenceError(ArithmeticError):
    """A descent whose steps were too long: the error grew instead of falling. The message names the remedy."""


def check_memory(shape: Sequence[int], what: str) -> None:
    """Refuse a dense table that would not fit `MAX_DENSE_BYTES`, naming the memory it would take."""
    check_shape(shape)
    check_kind("what", what, str, "text")
    needed = 8 * int(np.prod(shape, dtype=object))
    if needed > MAX_DENSE_BYTES:
        raise MemoryError(
            f"{what} needs a dense {' x '.join(f'{side:,}' for side in shape)} table of {needed / 2**30:,.1f} GiB; "
            f"the limit is {MAX_DENSE_BYTES / 2**30:g} GiB (content_table_parts.solvers.MAX_DENSE_BYTES)."
        )


def check_time_for_svd(shape: tuple[int, int]) -> None:
    """Raise OutOfTime where there is none for an SVD of a dense table, which cannot be stopped half-way."""
    short, long = sorted(shape)
    check_time(ahead=4.0 * long * short**2 / DENSE_SPEED)


def shrink_singular_values(A: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """prox of threshold * nuclear norm: U diag((s - threshold)_+) Vt; returns the kept U, s and Vt.

    Reference: A Singular Value Thresholding Algorithm for Matrix Completion, SIAM J. Optim. 20(4), 2010, Theorem 2.1.
    """
    U, s, Vt = np.linalg.svd(A, full_matrices=False)  # A = U diag(s) Vt
    keep = s > threshold
    return U[:, keep], s[keep] - threshold, Vt[keep]


@compiled()
def _lower_gram(start, cols, values, t_start, t_rows, t_values, out):
    """out -= S S', its lower triangle; S is given by rows (CSR) and by columns, the rows of S'."""
    for r in range(len(start) - 1):
        row = out[r]
        for e in range(start[r], start[r + 1]):
            for f in range(t_start[cols[e]], t_start[cols[e] + 1]):
                if t_rows[f] > r:
                    break
                row[t_rows[f]] -= values[e] * t_values[f]


def _minus_gram(S):
    """-S S' of a sparse S, its upper triangle alone, by columns, as LAPACK takes it without a copy."""
    S, out = sp.csr_array(S), np.zeros((S.shape[0],) * 2)
    _lower_gram(*csr_arrays(S), *csr_arrays(S.T.tocsr()), out)
    return out.T


def _is_bound(S, bound):
    """Whether bound^2 I - S S' is positive definite, which proves that all singular values of S are below `bound`.

    A Cholesky factorisation that ends is that of a matrix nearby: as its rows have the squared length of its diagonal,
    at most bound^2, rounding moves no eigenvalue by more than (m + 1) eps times m bound^2, and forming S S' by no more
    than eps times its longest sum for each of the rows. So much is taken off before (Higham, *Accuracy and Stability
    of Numerical Algorithms*, chapter 10).
    """
    m = S.shape[0]
    rounding = 2 * np.finfo(float).eps * ((m + 1) * m * bound**2 + sum(S.shape) * float(S.data @ S.data))
    A = _minus_gram(S)
    A[np.diag_indices(m)] += bound**2 - rounding
    try:
        scipy.linalg.cholesky(A, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return False
    return True


def _lanczos(S, settled=0.0):
    """(largest value, doubt) of Lanczos' method on A = S S' (m, m), from a start that is uniform on the sphere.

    The largest eigenvalue of A is at least that value, and but with a probability of `DOUBT` at most value / (1 -
    doubt): after k steps the value is below (1 - e) times the eigenvalue with a probability of at most 1.648 sqrt(m)
    exp(-sqrt(e) (2 k - 1)), whatever A is. It ends early where ten steps have raised the value by less than `settled`
    of it. Reference: Estimating the Largest Eigenvalue by the Power and Lanczos Algorithms with a Random Start, SIAM J.
    Matrix Anal. Appl. 13(4), 1992.
    """
    m = S.shape[0]
    k = min(m, max(FEWEST_STEPS, min(LANCZOS_STEPS, LANCZOS_BYTES // (8 * m))))
    basis, diagonal, beside, tops = np.zeros((k, m)), [], [], []
    q = np.random.default_rng(0).standard_normal(m)
    transposed = S.T.tocsr()
    for step in range(k):
        check_time()
        basis[step] = q / np.linalg.norm(q)
        q = S @ (transposed @ basis[step])
        diagonal.append(basis[step] @ q)
        for _ in range(2):  # all of the basis is taken off, twice, or rounding would let the same direction in again
            q = q - basis[: step + 1].T @ (basis[: step + 1] @ q)
        tops.append(scipy.linalg.eigvalsh_tridiagonal(diagonal, beside, select="i", select_range=(step, step))[0])
        beside.append(np.linalg.norm(q))
        if step + 1 == m or beside[-1] <= 1e-12 * tops[-1]:  # all that a start can meet has been met
            return tops[-1], 0.0
        if settled and step > 10 and tops[-1] - tops[-10] < settled * tops[-1]:
            break
    return tops[-1], (np.log(1.648 * np.sqrt(m) / DOUBT) / (2 * len(tops) - 1)) ** 2


def estimated_spectral_norm(S: Any) -> float:
    """The largest singular value of the sparse matrix S by Lanczos' method: from below, if anything."""
    S = _wide(S)
    return float(np.sqrt(_lanczos(S, settled=1e-8)[0])) if S.data.any() else 0.0


def _wide(S):
    return sp.csr_array(S if S.shape[0] <= S.shape[1] else S.T)


def spectral_norm_bound(S: Any) -> tuple[float, bool]:
    """(bound, proven): an upper bound on the largest singular value of the sparse matrix S.

    Up to a short side of `EIGEN_SIDE` it is the root of the largest eigenvalue of the smaller Gram matrix, plus a term
    above all rounding. Up to `GRAM_SIDE` Lanczos' method estimates it, and a Cholesky factorisation proves that
    slightly more, by 1e-5 at most, is a bound: a fifth of the time. Above that such a matrix is too large; then the
    bound holds with a probability of at least 1 - 1e-9 over the random start of Lanczos' method, is 0.1 % above what
    that finds (3 % at most, for a short side of hundreds of thousands), and `proven` is False.
    """
    S = _wide(S)
    if not S.data.any():
        return 0.0, True
    if S.shape[0] > GRAM_SIDE:
        top, doubt = _lanczos(S)
        return float(np.sqrt(top / (1 - doubt)) * (1 + 1e-12)), False
    if S.shape[0] > EIGEN_SIDE:
        norm = estimated_spectral_norm(S)
        for more in (1e-7, 1e-6, 1e-5):
            if _is_bound(S, norm * (1 + more)):
                return norm * (1 + more), True
    gram = (S @ S.T).toarray()
    try:
        top = scipy.linalg.eigvalsh(gram, subset_by_index=[len(gram) - 1] * 2, check_finite=False)[0]
    except np.linalg.LinAlgError:  # LAPACK's routine for a few eigenvalues gives up on some; the one for all does not
        top = np.linalg.eigvalsh(gram)[-1]
    rounding = 4 * np.finfo(float).eps * sum(S.shape) * float(S.data @ S.data)
    return float(np.sqrt(max(top, 0.0) + rounding)), True


@compiled(inline="always")
def dot(p, q):
    """p . q as four partial sums: a processor adds them side by side, and always in the same order."""
    k = len(p) // 4 * 4
    a = b = c = d = 0.0
    for f in range(0, k, 4):
        a += p[f] * q[f]
        b += p[f + 1] * q[f + 1]
        c += p[f + 2] * q[f + 2]
        d += p[f + 3] * q[f + 3]
    for f in range(k, len(p)):
        a += p[f] * q[f]
    return (a + b) + (c + d)


@compiled()
def pair_dots(P: np.ndarray, Q: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """p_u . q_i for each pair (rows[e], cols[e])."""
    dots = np.empty(len(rows))
    for e in range(len(rows)):
        dots[e] = dot(P[rows[e]], Q[cols[e]])
    return dots


def squared_loss(residual: np.ndarray, reg: float = 0.0, *factors: np.ndarray) -> float:
    """sum residual^2 + reg (|F|^2 over the arrays `factors`): what every model of factors tries to make small."""
    return float(residual @ residual + reg * sum(np.vdot(F, F) for F in factors))


def bias_solver(
    rows: np.ndarray, cols: np.ndarray, shape: tuple[int, int], reg: float
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """A function values -> (b_u, b_i) minimising sum (values - b_u - b_i)^2 + reg (|b_u|^2 + |b_i|^2).

    The normal equations are [[D_u + reg, B], [B', D_i + reg]] (b_u; b_i) = (row sums; column sums), B the 0-1 table of
    known cells and D its counts. The longer side is eliminated (its block is diagonal), which leaves a dense system of
    the shorter side, factored once. Where even that side exceeds `GRAM_SIDE`, conjugate gradients solve it instead.

    Without a penalty (below `NO_PENALTY`) each part of the table that ratings connect leaves a constant open, which
    users and items could pass on to each other: the solution is the one of least norm.
    """
    if shape[0] > shape[1]:
        solve_swapped = bias_solver(cols, rows, shape[::-1], reg)
        return lambda values: solve_swapped(values)[::-1]
    m, n = (int(side) for side in shape)
    B = sp.csr_array((np.ones(len(rows)), (rows, cols)), shape=shape)
    if m * n <= DENSE_CELLS:
        B = B.toarray()
    d_user = np.bincount(rows, minlength=m) + reg
    d_item = np.bincount(cols, minlength=n) + reg
    inv_item = np.divide(1.0, d_item, out=np.zeros(n), where=d_item > 0)
    if m > GRAM_SIDE:
        matvec = lambda b: d_user * b - B @ (inv_item * (B.T @ b))  # noqa: E731
        schur = scipy.sparse.linalg.LinearOperator((m, m), matvec=matvec, dtype=float)
        solve_users = lambda rhs: _conjugate_gradients(schur, rhs)  # noqa: E731
    else:
        schur = _minus_gram(B * np.sqrt(inv_item)) if sp.issparse(B) else -(B @ (B * inv_item).T)
        schur[np.diag_indices(m)] += d_user
        if reg < NO_PENALTY:  # constants on a part solve it for 0: so much of them that they count, and are left out
            user_part = _connected_parts(rows, cols, shape)[:m]
            schur += (user_part[:, None] == user_part) / np.bincount(user_part)[user_part]
        solve_users = partial(scipy.linalg.cho_solve, scipy.linalg.cho_factor(schur), check_finite=False)

    def solve(values):
        sum_user = np.bincount(rows, values, minlength=m)
        sum_item = np.bincount(cols, values, minlength=n)
        user_bias = solve_users(sum_user - B @ (inv_item * sum_item))
        item_bias = inv_item * (sum_item - B.T @ user_bias)
        return (user_bias, item_bias) if reg >= NO_PENALTY else _least_norm(user_bias, item_bias, rows, cols)

    return solve


def _connected_parts(rows, cols, shape):
    """For each user, then each item, the number of the part of the table that ratings connect it with."""
    ends = rows, shape[0] + np.asarray(cols)
    graph = sp.coo_array((np.ones(len(rows)), ends), shape=(sum(shape),) * 2)
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1]


def _least_norm(user_bias, item_bias, rows, cols):
    """The same sums b_u + b_i on each connected part, with the smallest |b_u|^2 + |b_i|^2."""
    part = _connected_parts(rows, cols, (len(user_bias), len(item_bias)))
    given = np.concatenate([-user_bias, item_bias])
    shift = (np.bincount(part, given) / np.bincount(part))[part]
    return user_bias + shift[: len(user_bias)], item_bias - shift[len(user_bias) :]


def _conjugate_gradients(A, rhs):
    solution, failed = scipy.sparse.linalg.cg(A, rhs, rtol=1e-12, maxiter=10_000)
    if failed:
        raise RuntimeError("conjugate gradients did not solve the bias equations in 10,000 steps; raise `reg`.")
    return solution


def solve_cvxpy(problem, solver, **options):
    """Solve, and read the status before any value: an inaccurate solution is not a solution."""
    data, chain, inverse = problem.get_problem_data(solver, solver_opts=options)
    raw = chain.solve_via_data(problem, data, solver_opts=options)
    if isinstance(raw, dict) and raw["info"]["status"] == "interrupted":  # SCS takes Ctrl-C for itself
        raise KeyboardInterrupt
    problem.unpack_results(raw, chain, inverse)
    if problem.status != "optimal":
        raise RuntimeError(f"cvxpy's solver ended with status {problem.status!r}; loosen tol, or take our solver.")


@compiled()
def _similar_row(i, item_start, item_users, item_left, user_start, user_items, left, shrinkage, sums, near):
    """Shrunk cosines of title i with every title that one of its viewers rated: how many are positive, named in `near`,
    their values in sums[0].

    `sums` (4, n), all 0 before: inner product, common viewers, squares of i and of j over them. `left` are the
    residuals in the order of `user_items`, `item_left` in that of `item_users`.
    """
    count = 0
    for e in range(item_start[i], item_start[i + 1]):
        u, mine = item_users[e], item_left[e]
        for f in range(user_start[u], user_start[u + 1]):
            j, theirs = user_items[f], left[f]
            if sums[1, j] == 0:
                near[count] = j
                count += 1
            sums[0, j] += mine * theirs
            sums[1, j] += 1
            sums[2, j] += mine * mine
            sums[3, j] += theirs * theirs
    kept = 0
    for a in range(count):
        j = near[a]
        weight = 0.0
        if j != i and sums[0, j] > 0:
            weight = sums[0, j] / np.sqrt(sums[2, j] * sums[3, j]) * sums[1, j] / (sums[1, j] + shrinkage)
        sums[0, j], sums[1, j], sums[2, j], sums[3, j] = 0.0, 0.0, 0.0, 0.0
        if weight > 0:
            sums[0, j] = weight
            near[kept] = j
            kept += 1
    return kept


@compiled()
def _count_similar(
    titles, item_start, item_users, item_left, user_start, user_items, left, shrinkage, sums, near, counts
):
    """How many positive cosines each of these titles has, into `counts`."""
    for a in range(len(titles)):
        counts[a] = _similar_row(
            titles[a], item_start, item_users, item_left, user_start, user_items, left, shrinkage, sums, near
        )
        for b in range(counts[a]):
            sums[0, near[b]] = 0.0


@compiled()
def _store_similar(
    titles, item_start, item_users, item_left, user_start, user_items, left, shrinkage, sums, near, at, indices, weights
):
    """The positive cosines of these titles, row after row from the position `at`."""
    for i in titles:
        kept = _similar_row(i, item_start, item_users, item_left, user_start, user_items, left, shrinkage, sums, near)
        for a in range(kept):
            indices[at + a] = near[a]
            weights[at + a] = sums[0, near[a]]
            sums[0, near[a]] = 0.0
        at += kept


def _blocks_of_titles(item_start, item_users, user_start):
    """The titles, as many at a time as take `PAIR_STEPS` steps: in between a fit can be stopped."""
    steps = np.append(0, np.cumsum(np.diff(user_start)[item_users]))[item_start]  # up to each title
    cuts = np.searchsorted(steps, np.arange(PAIR_STEPS, steps[-1], PAIR_STEPS))
    return [block for block in np.split(np.arange(len(item_start) - 1), cuts) if len(block)]


def _check_pairs(count, n):
    """Refuse a table of item pairs that surely would not fit, from the pairs of a few titles in a hundred steps."""
    some = np.random.default_rng(0).choice(n, min(n, SAMPLED_TITLES), replace=False)
    counts = count(np.sort(some))
    error = counts.std() / np.sqrt(len(some)) * np.sqrt(1 - len(some) / n)  # of the mean of a part of all titles
    check_memory((2, max(0, int(n * (counts.mean() - 4 * error)))), PAIRS)


def similar_rows(item_start, item_users, item_left, user_start, user_items, left, shrinkage):
    """The positive shrunk cosines of all pairs of titles, as the rows of a CSR table, unsorted: computed twice, stored
    once. The residuals are given twice, as CSC (by titles) and as CSR (by viewers) of one table.

    Memory is that of the pairs kept; where it surely does not do, a few titles tell so first (`MemoryError`).

    No compiled loop returns a tuple: Ctrl-C would end it in a SystemError.
    """
    n = len(item_start) - 1
    tables = item_start, item_users, item_left, user_start, user_items, left, shrinkage
    room = np.zeros((4, n)), np.zeros(n, np.int32)

    def count(titles):
        check_time()
        counts = np.zeros(len(titles), np.int64)
        _count_similar(titles, *tables, *room, counts)
        return counts

    if n > SAMPLED_TITLES:
        _check_pairs(count, n)
    blocks = _blocks_of_titles(item_start, item_users, user_start)
    start = np.append(0, np.cumsum(np.concatenate([count(block) for block in blocks])))
    check_memory((2, int(start[-1])), PAIRS)
    indices, weights = np.empty(start[-1], np.int32), np.empty(start[-1])
    for block in blocks:
        check_time()
        _store_similar(block, *tables, *room, start[block[0]], indices, weights)
    return start, indices, weights


@compiled()
def _kth_largest(values, k):
    """The k-th largest of the values, which are reordered (quickselect)."""
    low, high = 0, len(values) - 1
    while low < high:
        pivot, i, j = values[(low + high) // 2], low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i, j = i + 1, j - 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break
    return values[k - 1]


@compiled()
def _damped_mean(weight, value, count, damping):
    """sum w v / (sum w + damping) over the `count` largest weights; ties go by position; 0 where there is none."""
    least, ties = 0.0, 0
    if len(weight) > count:
        least = _kth_largest(weight.copy(), count)
        ties = count
        for c in range(len(weight)):
            ties -= weight[c] > least
    above, below = 0.0, 0.0
    for c in range(len(weight)):
        tied = weight[c] == least and ties > 0
        ties -= tied
        if weight[c] > least or tied:
            above += weight[c] * value[c]
            below += weight[c]
    return above / (below + damping) if below > 0 else 0.0


@compiled()
def neighbour_means(start, rated, left, near_start, near, weights, n_neighbors, damping, wanted):
    """(viewers, n): for each viewer and `wanted` title i the damped mean, weighted by w_ij, of what the viewer's own
    residuals are on the `n_neighbors` titles j most similar to i among those that they rated; 0 elsewhere.

    Viewer u rated the titles rated[start[u]:start[u + 1]], in the order of their positions, with the residuals `left`;
    `near_start`, `near`, `weights` are the rows of the symmetric CSR table of similarities. The candidates of all
    titles are gathered from the rows of the rated ones. `wanted` is a mask (viewers, n).
    """
    n = len(near_start) - 1
    out, first = np.zeros(wanted.shape), np.zeros(n + 1, np.int64)
    for u in range(len(start) - 1):
        first[:] = 0
        for f in range(start[u], start[u + 1]):
            for h in range(near_start[rated[f]], near_start[rated[f] + 1]):
                first[near[h] + 1] += wanted[u, near[h]]
        for i in range(n):
            first[i + 1] += first[i]  # where the candidates of title i begin
        weight, value, at = np.empty(first[n]), np.empty(first[n]), first[:n].copy()
        for f in range(start[u], start[u + 1]):
            for h in range(near_start[rated[f]], near_start[rated[f] + 1]):
                i = near[h]
                if wanted[u, i]:
                    weight[at[i]], value[at[i]] = weights[h], left[f]
                    at[i] += 1
        for i in range(n):
            a, b = first[i], first[i + 1]
            if b > a:
                out[u, i] = _damped_mean(weight[a:b], value[a:b], n_neighbors, damping)
    return out


def writable(array):
    """The array, or a copy where it is read-only: compiled loops would be compiled for those once more."""
    return array if array.flags.writeable else array.copy()


def locked(array):
    """A view that is read-only, as the tables of `Ratings` are: compiled loops are compiled for those alone."""
    view = array.view()
    view.flags.writeable = False
    return view


def check_descent(name, learning_rate, error, epoch, scale):
    """Raise before a step that was too long leaves NaN behind: the error has outgrown the scale ten times."""
    if not error < 10 * max(abs(end) for end in scale):
        raise DivergenceError(
            f"{name} diverged in pass {epoch}: the training RMSE "
            f"{f'reached {error:.3g}' if np.isfinite(error) else 'overflowed'} on a scale of "
            f"{scale[0]:g} to {scale[1]:g}. learning_rate={learning_rate:g} is too long a step here; try "
            f"{learning_rate / 10:g}."
        )


@compiled(inline="always")
def content_part(u, i, w, G, C_start, C_col, C_val, F_start, F_col, F_val):
    """(w_u + F_u G) . C_i, with `w` = w_u; C and F are CSR tables: where each row starts, columns, values."""
    total = 0.0
    for t in range(C_start[i], C_start[i + 1]):
        total += w[C_col[t]] * C_val[t]
    for s in range(F_start[u], F_start[u + 1]):
        g = G[F_col[s]]
        for t in range(C_start[i], C_start[i + 1]):
            total += F_val[s] * g[C_col[t]] * C_val[t]
    return total


@compiled()
def predict_pairs(rows, cols, mean, theta, C, F):
    """mu + b_u + b_i + p_u . q_i + (w_u + F_u G) . C_i for each pair (rows[e], cols[e])."""
    b_user, b_item, P, Q, W, G = theta
    (C_start, C_col, C_val), (F_start, F_col, F_val) = C, F
    scores = np.empty(len(rows))
    for e in range(len(rows)):
        u, i = rows[e], cols[e]
        content = content_part(u, i, W[u], G, C_start, C_col, C_val, F_start, F_col, F_val)
        scores[e] = mean + b_user[u] + b_item[i] + dot(P[u], Q[i]) + content
    return scores


@compiled(inline="always")
def clipped(value, clip):
    """The value, at most `clip` in size; without a clip the compiler takes the question out of the loop."""
    return min(max(value, -clip), clip) if clip < np.inf else value


@compiled()
def sgd_epoch(rows, cols, values, mean, theta, C, F, eta, reg, clip):
    """One pass, rating by rating in the order of the arrays: theta += eta (e * d prediction / d theta - reg * theta).

    That is half the negative gradient of the rating's own term, e^2 + reg |what it touches|^2; each entry of a step is
    cut to [-clip, clip]. Every step uses the values before it, so those that two updates need are read first. Returns
    the sum of e^2, each e as it was met.
    """
    b_user, b_item, P, Q, W, G = theta
    (C_start, C_col, C_val), (F_start, F_col, F_val) = C, F
    squares = 0.0
    for rating in range(len(values)):
        u, i = rows[rating], cols[rating]
        p, q, w = P[u], Q[i], W[u]
        content = content_part(u, i, w, G, C_start, C_col, C_val, F_start, F_col, F_val)
        e = values[rating] - (mean + b_user[u] + b_item[i] + dot(p, q) + content)
        squares += e * e
        b_user[u] += eta * clipped(e - reg * b_user[u], clip)
        b_item[i] += eta * clipped(e - reg * b_item[i], clip)
        for f in range(len(p)):
            p_f, q_f = p[f], q[f]
            p[f] = p_f + eta * clipped(e * q_f - reg * p_f, clip)
            q[f] = q_f + eta * clipped(e * p_f - reg * q_f, clip)
        for t in range(C_start[i], C_start[i + 1]):  # non-zeros only: other weights feel neither error nor penalty
            j, c = C_col[t], C_val[t]
            w[j] += eta * clipped(e * c - reg * w[j], clip)
        for s in range(F_start[u], F_start[u + 1]):
            g = G[F_col[s]]
            for t in range(C_start[i], C_start[i + 1]):
                j, c = C_col[t], F_val[s] * C_val[t]
                g[j] += eta * clipped(e * c - reg * g[j], clip)
    return squares


@compiled(inline="always")
def _batch_steps(rows, cols, values, start, stop, mean, theta, C, F, reg, clip, steps):
    """The steps of the ratings start..stop-1, before eta, one after the other; all at the values before the batch.
    Returns the sum of their e^2."""
    b_user, b_item, P, Q, W, G = theta
    (C_start, C_col, C_val), (F_start, F_col, F_val) = C, F
    k, at, squares = P.shape[1], 0, 0.0
    for rating in range(start, stop):
        u, i = rows[rating], cols[rating]
        p, q, w = P[u], Q[i], W[u]
        content = content_part(u, i, w, G, C_start, C_col, C_val, F_start, F_col, F_val)
        e = values[rating] - (mean + b_user[u] + b_item[i] + dot(p, q) + content)
        squares += e * e
        steps[at] = e - reg * b_user[u]
        steps[at + 1] = e - reg * b_item[i]
        step_p, step_q = steps[at + 2 : at + 2 + k], steps[at + 2 + k : at + 2 + 2 * k]
        for f in range(k):
            step_p[f] = e * q[f] - reg * p[f]
        for f in range(k):
            step_q[f] = e * p[f] - reg * q[f]
        at += 2 + 2 * k
        for t in range(C_start[i], C_start[i + 1]):
            steps[at] = e * C_val[t] - reg * w[C_col[t]]
            at += 1
        for s in range(F_start[u], F_start[u + 1]):
            for t in range(C_start[i], C_start[i + 1]):
                steps[at] = e * F_val[s] * C_val[t] - reg * G[F_col[s], C_col[t]]
                at += 1
    for s in range(at):
        steps[s] = clipped(steps[s], clip)
    return squares


@compiled(inline="always")
def _add_steps(rows, cols, start, stop, theta, C, F, eta, steps):
    """Take the steps of a batch, in the order in which `_batch_steps` wrote them."""
    b_user, b_item, P, Q, W, G = theta
    (C_start, C_col, _), (F_start, F_col, _) = C, F
    k, at = P.shape[1], 0
    for rating in range(start, stop):
        u, i = rows[rating], cols[rating]
        p, q, w = P[u], Q[i], W[u]
        b_user[u] += eta * steps[at]
        b_item[i] += eta * steps[at + 1]
        step_p, step_q = steps[at + 2 : at + 2 + k], steps[at + 2 + k : at + 2 + 2 * k]
        for f in range(k):
            p[f] += eta * step_p[f]
        for f in range(k):
            q[f] += eta * step_q[f]
        at += 2 + 2 * k
        for t in range(C_start[i], C_start[i + 1]):
            w[C_col[t]] += eta * steps[at]
            at += 1
        for s in range(F_start[u], F_start[u + 1]):
            for t in range(C_start[i], C_start[i + 1]):
                G[F_col[s], C_col[t]] += eta * steps[at]
                at += 1


@compiled()
def batch_epoch(rows, cols, values, batch_size, mean, theta, C, F, eta, reg, clip, steps):
    """One pass in batches: the steps of a batch are computed at the values before it, kept in `steps`, then added.
    Returns the sum of e^2, each e at the values before its batch."""
    squares = 0.0
    for start in range(0, len(values), batch_size):
        stop = min(start + batch_size, len(values))
        squares += _batch_steps(rows, cols, values, start, stop, mean, theta, C, F, reg, clip, steps)
        _add_steps(rows, cols, start, stop, theta, C, F, eta, steps)
    return squares


def touched_parameters(rows, cols, theta, C, F):
    """How many parameters the step of each rating changes."""
    return 2 + 2 * theta[2].shape[1] + np.diff(C[0])[cols] * (1 + np.diff(F[0])[rows])


class Tiles:
    """The ratings of a pass in another order each time: a few of a table's users and items after the other.

    Each side is cut at random into stripes, a user stripe and an item stripe meet in a tile, and the ratings are kept
    sorted by tile. A pass visits the user stripes in random order, each item stripe with one in random order, and the
    ratings of a tile in random order, all drawn anew: so the factors of a tile stay in the cache while its ratings ask
    for them. With one stripe a side that is a plain shuffle.
    """

    def __init__(self, data, shape, stripes, rng):
        """`data` = (rows, cols, values) of a table of this `shape`, (users, items); `stripes` of each side."""
        self.data, self.stripes, self.starts = data, stripes, np.array([0, len(data[0])])
        if max(stripes) == 1:
            return
        of_user, of_item = (_stripe_of(size, n, rng) for size, n in zip(shape, stripes, strict=True))
        tile, count = of_user.take(data[0]) * stripes[1] + of_item.take(data[1]), stripes[0] * stripes[1]
        tile = tile.astype(np.min_scalar_type(count))  # NumPy sorts small whole numbers fastest
        order = np.argsort(tile, kind="stable")
        self.data = tuple(array.take(order) for array in data)
        self.starts = np.append(0, np.cumsum(np.bincount(tile, minlength=count)))

    def shuffled(self, rng):
        """All ratings of a pass, as one (rows, cols, values) after the other."""
        users, items = self.stripes
        for tile in (a * items + b for a in rng.permutation(users) for b in rng.permutation(items)):
            order = rng.permutation(self.starts[tile + 1] - self.starts[tile])
            order += self.starts[tile]
            yield tuple(array.take(order) for array in self.data)


def _stripe_of(size, stripes, rng):
    """The stripe of each user, or item. `BLOCK` neighbours stay together, because they lie in the same pages of memory;
    longer runs would be titles of one age, which many tables are sorted by."""
    block = np.arange(size) // BLOCK
    return rng.permutation(block[-1] + 1)[block] % stripes


def one_pass(rows, cols, values, batch_size, mean, theta, C, F, eta, reg, clip):
    """One pass of descent over the ratings in the order of the arrays, changing the arrays of `theta` in place.

    Parameters
    ----------
    rows, cols, values : one entry a rating
    batch_size : int or None
        1 is `sgd_epoch`, more `batch_epoch`, None all ratings in one batch.
    mean : float
    theta : (b_u, b_i, P, Q, W, G)
    C, F : features of the items and of the users, as `csr_arrays` gives them
    eta, reg, clip : float; clip None or infinite cuts nothing

    Returns
    -------
    float : the sum of the squared errors, each as its step met it.
    """
    eta, reg, clip = float(eta), float(reg), np.inf if clip is None else float(clip)
    if batch_size == 1:
        return sgd_epoch(rows, cols, values, mean, theta, C, F, eta, reg, clip)
    batch_size = len(values) if batch_size is None else batch_size
    touched = touched_parameters(rows, cols, theta, C, F)
    steps = np.empty(min(int(touched.sum()), batch_size * int(touched.max())))
    return batch_epoch(rows, cols, values, batch_size, mean, theta, C, F, eta, reg, clip, steps)


def best_positions(scores: np.ndarray, n: int) -> np.ndarray:
    """Positions of the `n` largest scores, best first; what is not finite is left out, and ties go by position."""
    below = -np.round(scores, TIE)
    order = np.flatnonzero(np.isfinite(below))
    if n < len(order):  # only the n largest, and what ties with the last of them, need to be sorted
        order = order[below[order] <= np.partition(below[order], n - 1)[n - 1]]
    return order[np.argsort(below[order], kind="stable")][:n]


def csr_arrays(table):
    """A CSR table as the compiled loops take it; SciPy has indices of two sizes, and each would be compiled for."""
    start, columns = table.indptr.astype(np.int64, copy=False), table.indices.astype(np.int32, copy=False)
    return writable(start), writable(columns), table.data


BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam, as in its paper


@compiled()
def adam_step(theta, slope, mean, square, rate, t):
    """The t-th step of Adam, in place: theta -= rate m / (sqrt(s) + 1e-8), with the running means m of the slope and s
    of its square, begun at 0 and each divided by the share of the slopes that it holds so far.

    Reference: Adam: A Method for Stochastic Optimization, ICLR 2015.
    """
    mean_share, square_share = 1 - BETA_1**t, 1 - BETA_2**t
    for e in range(len(theta)):
        mean[e] = BETA_1 * mean[e] + (1 - BETA_1) * slope[e]
        square[e] = BETA_2 * square[e] + (1 - BETA_2) * slope[e] ** 2
        theta[e] -= rate * (mean[e] / mean_share) / (np.sqrt(square[e] / square_share) + EPSILON)


TOO_LONG = "the steps of the splitting, ratings / reg, overflow; raise reg, or divide ratings that are very large."


def _power_step(Z, V):
    """One warm-started step of block power iteration: approximate top singular triplets of Z, largest first.

    `Z` (m, n) is a dense array or a LinearOperator, `V` (n, b) a guess of its top right singular vectors. The columns
    of Z V are made orthonormal, and the triplets are read off the small matrix Z'Q (Rayleigh-Ritz).
    """
    basis = np.linalg.qr(Z @ V)[0]  # (m, b)
    B = Z.T @ basis  # (n, b)
    squares = B.T @ B
    if not np.isfinite(squares).all():
        raise ValueError(TOO_LONG)
    squares, rotation = np.linalg.eigh(squares)
    s = np.sqrt(np.maximum(squares[::-1], np.finfo(float).tiny))
    rotation = rotation[:, ::-1]
    return basis @ rotation, s, (B @ rotation) / s


class Splitting:
    """Relaxed Douglas-Rachford splitting for   min f(X on the known cells) + reg |X|_*.

    With z = X + step * subgradient as the state, one pass is: X = shrink the singular values of Z by step * reg;
    W = prox of f at the reflection 2X - Z (f touches known cells only, elsewhere W is the reflection); Z += rho (W -
    X). It converges for every `step`; we set it so that the threshold is a fixed `share` of the largest singular value
    of the data, the share found by trying (passes on the course tables). Singular vectors change little from pass to
    pass, so one block power step a pass, warm-started, replaces the SVD. Up to `DENSE_CELLS` cells Z is a dense array
    and rho = 1.9; beyond, rho = 1, for which Z = X + (a sparse matrix), and no dense table is ever formed.

    Reference: On the Douglas-Rachford Splitting Method and the Proximal Point Algorithm for Maximal Monotone Operators,
    Mathematical Programming 55, 1992 (method and over-relaxation).
    """

    def __init__(self, rows, cols, shape, target, reg, share=0.5, random_state=0):
        self.rows, self.cols, self.shape = np.array(rows), np.array(cols), shape  # as compiled loops take them
        self.dense = np.prod(self.shape, dtype=float) <= DENSE_CELLS
        self.rho = 1.9 if self.dense else 1.0
        self.flat = self.rows * self.shape[1] + self.cols
        self.rng = np.random.default_rng(random_state)
        self.z = target.copy()  # Z on the known cells
        self.by_row = np.lexsort((self.cols, self.rows))
        start = np.searchsorted(self.rows, np.arange(shape[0] + 1), sorter=self.by_row)
        self.pattern = self.cols[self.by_row].astype(np.int32), start.astype(np.int32)
        table = self._sparse(self.z)
        self.Z = table.toarray() if self.dense else scipy.sparse.linalg.aslinearoperator(table)
        self.V = np.linalg.qr(self.rng.standard_normal((self.shape[1], min(10, *self.shape))))[0]
        for _ in range(3):
            _, s, self.V = _power_step(self.Z, self.V)
        self.threshold = share * s[0] if target.any() else 1.0  # nothing to explain: X = 0 at once
        with np.errstate(over="ignore"):
            self.step = self.threshold / reg
        if not np.isfinite(self.step):
            raise ValueError(TOO_LONG)

    def _sparse(self, values):
        return sp.csr_array((values[self.by_row], *self.pattern), shape=self.shape)

    def begin_at(self, P, Q, residual):
        """Z = P Q' + step * residual, which the pass leaves as it is where P Q' is an optimum with this residual."""
        x = pair_dots(P, Q, self.rows, self.cols)
        right, small = np.linalg.qr(Q)
        turned = np.linalg.svd(np.linalg.qr(P)[1] @ small.T)[2].T
        self.z = x + self.step * residual
        self.V = np.hstack([right @ turned, self.rng.standard_normal((self.shape[1], 4))])[:, : min(self.shape)]
        if self.dense:
            self.Z = P @ Q.T
            self.Z.put(self.flat, self.z)
        else:
            as_operator = scipy.sparse.linalg.aslinearoperator
            self.Z = as_operator(P) @ as_operator(Q.T) + as_operator(self._sparse(self.z - x))

    def shrink(self):
        """X = U diag(s) V' from Z; returns X on the known cells."""
        U, s, V = _power_step(self.Z, self.V)
        rank = int((s > self.threshold).sum())
        self.U, self.s, self.right = U[:, :rank], s[:rank] - self.threshold, V[:, :rank]
        width = min(rank + max(4, rank // 6), *self.shape)  # room for the rank to grow
        fresh = self.rng.standard_normal((self.shape[1], max(0, width - V.shape[1])))
        self.V = np.hstack([V[:, :width], fresh])
        if self.dense:
            self.X = (self.U * self.s) @ self.right.T
            return self.X.take(self.flat)
        return pair_dots(self.U * self.s, np.ascontiguousarray(self.right), self.rows, self.cols)

    def point(self, x):
        """Where the prox of f is taken, on the known cells: the reflection of Z in X."""
        return 2 * x - self.z

    def reflect(self, x, w):
        """Z += rho (W - X), given X and W on the known cells; elsewhere W - X = X - Z."""
        self.z = self.z + self.rho * (w - x)
        if self.dense:
            self.Z += self.rho * (self.X - self.Z)
            self.Z.put(self.flat, self.z)
        else:
            as_operator = scipy.sparse.linalg.aslinearoperator
            self.Z = as_operator(self.U * self.s) @ as_operator(self.right.T) + as_operator(self._sparse(self.z - x))

    def multipliers(self, x):
        """(Z - X) / step on the known cells: the subgradient that the shrinkage used."""
        return (self.z - x) / self.step


class SoftImpute:
    """Accelerated proximal gradient, the method of the lecture, with the same verbs as `Splitting`.

    Y = X + momentum; fill the holes of the table with Y; X = shrink its singular values by reg (a full SVD); restart
    the momentum when it points uphill.
    """

    def __init__(self, rows, cols, shape, target, reg):
        check_memory(shape, "solver='soft_impute'")
        self.rows, self.cols, self.reg, self.speed = rows, cols, reg, 1.0
        self.X = self.Y = np.zeros(shape)
        self.reflect(None, target)

    def shrink(self):
        check_time_for_svd(self.filled.shape)
        self.U, self.s, Vt = shrink_singular_values(self.filled, self.reg)
        self.right, self.before, self.X = Vt.T, self.X, (self.U * self.s) @ Vt
        if np.vdot(self.Y - self.X, self.X - self.before) > 0:
            self.speed = 1.0
        return self.X[self.rows, self.cols]

    def point(self, x):
        faster = (1 + np.sqrt(1 + 4 * self.speed**2)) / 2
        self.Y = self.X + (self.speed - 1) / faster * (self.X - self.before)
        self.speed = faster
        return self.Y[self.rows, self.cols]

    def reflect(self, x, w):
        self.filled = self.Y.copy()
        self.filled[self.rows, self.cols] = w


def run_splitting(state, prox_data, certify, epochs, tol, history):
    """Alternate until `certify(x)`, a pair (certificate, excess), finds everything within `tol`; returns the last pair.

    `state` is a `Splitting` or a `SoftImpute`, `prox_data` the prox of the data term on the known cells, `epochs` the
    numbers of the passes. `history` gets a row for each check. Ctrl-C ends it by what was reached, certified, where
    half a fit may be kept.
    """
    next_check, certificate, excess, epoch = 10, None, np.inf, 0
    try:
        for epoch in epochs:
            check_time()
            x = state.shrink()
            if epoch >= next_check or epoch == len(epochs):
                certificate, excess = certify(x)
                log_certificate(history, epoch, certificate, len(state.s), excess)
                if excess <= tol:
                    break
                next_check = _next_check(history, tol)
            state.reflect(x, prox_data(state.point(x)))
    except KeyboardInterrupt:
        if not may_keep_half():
            raise
        warn_caller(f"stopped by the keyboard in pass {epoch}; what was reached is kept.")
        certificate, excess = certify(state.shrink())
        log_certificate(history, epoch, certificate, len(state.s), excess)
        return certificate, 0.0  # it was told why it is not at its end
    return certificate, excess


def log_certificate(history, epoch, certificate, rank, excess):
    """One check of a certificate, as a row of `history_`."""
    row = {"epoch": epoch, "primal": certificate.primal, "dual": certificate.dual}
    history.append(row | {"relative_gap": certificate.relative_gap, "rank": rank, "excess": float(excess)})


def _next_check(history, tol):
    """A certificate costs more than a pass: look again where the line through the last two log-excesses reaches tol."""
    wait = 10
    if len(history) > 1 and 0 < history[-1]["excess"] < history[-2]["excess"]:
        (e0, g0), (e1, g1) = ((h["epoch"], h["excess"]) for h in history[-2:])
        wait = np.clip(0.8 * np.log(g1 / max(tol, 1e-15)) * (e1 - e0) / np.log(g0 / g1), 5, 50)
    return history[-1]["epoch"] + int(wait)
