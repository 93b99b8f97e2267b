"""The linear autoencoder: weights by which the titles of a table explain each other, and their certificate."""

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from content_table_parts.certificates import Certificate
from content_table_parts.interrupts import check_time
from content_table_parts.solvers import DENSE_SPEED, compiled, csr_arrays

MAX_PAIR_BYTES = 2**31  # a table of all pairs of titles above this is refused: 16,384 titles, or 23,170 in float32
BLOCK_CELLS = 4_000_000  # of a block of columns at a time
FEW = 0.5  # viewers for each title, below which the inverse is that of a table of viewers
SAFE = {"float64": 1e-6, "float32": 1e-3}  # of a title's viewers: with a smaller penalty that way loses digits


def check_title_pairs(n: int, what: str, dtype: str = "float64") -> None:
    """Refuse a table of all pairs of so many titles above `MAX_PAIR_BYTES`, naming the memory it would take."""
    size = np.dtype(dtype).itemsize
    needed = size * n * n
    if needed > MAX_PAIR_BYTES:
        raise MemoryError(
            f"{what} need a dense {n:,} x {n:,} table of {needed / 2**30:,.1f} GiB; the limit is "
            f"{MAX_PAIR_BYTES / 2**30:g} GiB, {int((MAX_PAIR_BYTES / size) ** 0.5):,} titles in {dtype} "
            "(content_table_parts.autoencoders.MAX_PAIR_BYTES). "
            + 'EASE(dtype="float32") takes half of it; ' * (size == 8)
            + "Ratings.filter_once leaves out what hardly anybody has rated."
        )


def autoencoder_weights(S: Any, reg: float, dtype: str = "float64") -> np.ndarray:
    """argmin of |S - S B|^2 + reg |B|^2 over B with a diagonal of 0, S (m, n) a sparse table; (n, n).

    B_ij = -P_ij / P_jj off the diagonal, with P = (S'S + reg)^-1: a Cholesky factorisation and an inverse in the one
    table that is returned. Of few viewers the same from W = S' (S S' + reg)^-1 S, by P = (1 - W) / reg: B_ij = W_ij /
    (1 - W_jj). That is n^3 operations, or m^3 and n for each rating.
    """
    S = sp.csr_array(S, dtype=dtype)
    S = S[np.diff(S.indptr) > 0]
    if not S.nnz:
        return np.zeros((S.shape[1],) * 2, dtype)
    counts = np.bincount(S.indices, S.data**2)  # the diagonal of S'S
    few = S.shape[0] < FEW * S.shape[1] and reg >= SAFE[dtype] * counts.max()
    check_time(ahead=float(min(S.shape) if few else S.shape[1]) ** 3 / DENSE_SPEED)
    B = _by_viewers(S, reg) if few else _by_titles(S, reg)
    B /= 1 - B.diagonal() if few else -B.diagonal()
    np.fill_diagonal(B, 0.0)
    return B


def _by_viewers(S, reg):
    """W = S' (S S' + reg)^-1 S."""
    gram = (S @ S.T).toarray()
    gram[np.diag_indices(len(gram))] += reg
    return S.T.tocsr() @ scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram), S.toarray(), overwrite_b=True)


def _by_titles(S, reg):
    """P = (S'S + reg)^-1, formed, factored and inverted in one table."""
    n, columns = S.shape[1], S.tocsc()
    P = np.empty((n, n), S.dtype)
    for own in _blocks(n, n):
        P[own] = (columns[:, own].T @ S).toarray()
    P[np.diag_indices(n)] += reg
    factor, invert = scipy.linalg.get_lapack_funcs(("potrf", "potri"), (P,))
    upper, failed = factor(P.T, lower=0, overwrite_a=1, clean=0)  # P.T: by columns, as LAPACK writes in place
    if not failed:
        upper, failed = invert(upper, lower=0, overwrite_c=1)
    if failed or not np.isfinite(upper.diagonal()).all():
        raise ValueError(f"the weights of pairs of titles are singular in {S.dtype} at reg={reg:g}; raise reg.")
    P = upper.T  # its lower triangle is the inverse's
    for own in _blocks(n, n):
        P[own, own.stop :] = P[own.stop :, own].T
        P[own, own] = np.tril(P[own, own]) + np.tril(P[own, own], -1).T
    return P


def _blocks(n_columns, n_rows):
    """Slices of the columns, of `BLOCK_CELLS` cells each."""
    size = max(1, BLOCK_CELLS // max(n_rows, 1))
    return [slice(at, min(at + size, n_columns)) for at in range(0, n_columns, size)]


def weighed(S: Any, B: np.ndarray) -> np.ndarray:
    """S B of a sparse table S, (rows, n), added up in float64 whatever B has."""
    if B.dtype == np.float64:
        return S @ B
    scores = np.zeros((S.shape[0], B.shape[1]))
    _add_rows(*csr_arrays(S), B, scores)
    return scores


@compiled()
def _add_rows(start, cols, values, B, out):
    """out += S B, S by rows (CSR)."""
    for row in range(len(start) - 1):
        for e in range(start[row], start[row + 1]):
            i, value = cols[e], values[e]
            for j in range(B.shape[1]):
                out[row, j] += value * B[i, j]


def autoencoder_certificate(S: Any, B: np.ndarray, reg: float) -> Certificate:
    """The certificate of any weights B with a diagonal of 0, a block of titles at a time.

    The objective |S - S B|^2 / 2 + reg |B|^2 / 2 is reg-strongly convex, so it is at most |gradient|^2 / (2 reg) above
    its optimum, the gradient taken off the diagonal.
    """
    S, columns, primal, squares = sp.csr_array(S), sp.csc_array(S), 0.0, 0.0
    for own in _blocks(B.shape[1], max(S.shape)):
        check_time()
        weights = np.ascontiguousarray(B[:, own], dtype=float)
        left = columns[:, own].toarray() - S @ weights
        slope = reg * weights - columns.T @ left
        slope[np.arange(own.start, own.stop), np.arange(own.stop - own.start)] = 0.0
        primal += (np.vdot(left, left) + reg * np.vdot(weights, weights)) / 2
        squares += np.vdot(slope, slope)
    return Certificate(float(primal), float(primal - squares / (2 * reg)))
