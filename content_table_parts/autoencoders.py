"""The linear autoencoder: weights by which the titles of a table explain each other, and their certificate."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from content_table_parts.certificates import Certificate
from content_table_parts.interrupts import check_time
from content_table_parts.settings import check_in_dtype
from content_table_parts.solvers import DENSE_SPEED, compiled, csr_arrays

MAX_PAIR_BYTES = 2**31  # a table of all pairs of titles above this is refused: 16,384 titles, or 23,170 in float32
BLOCK_CELLS = 4_000_000  # of a block of columns at a time
FEW = 0.5  # viewers for each title, below which they stand for the pairs of titles
SAFE = {"float64": 1e-6, "float32": 1e-3}  # of a title's viewers: with a smaller penalty that way loses digits


@dataclass(frozen=True)
class PairWeights:
    """argmin of |S - S B|^2 + reg |B|^2 over B (n, n) with a diagonal of 0: as `table`, B, or of few viewers as `roots`
    V (n, r), where W = V V' and B_ij = W_ij / (1 - W_jj) off the diagonal; one of them is None."""

    table: Any
    roots: Any

    @cached_property
    def _own(self):
        """W_jj of all titles."""
        return np.einsum("ij,ij->i", self.roots, self.roots).astype(float)

    def rows(self, at: Any) -> np.ndarray:
        """The rows of B of the titles `at`, in float64."""
        if self.roots is None:
            return self.table[at].astype(float)
        B = (self.roots[at] @ self.roots.T) / (1 - self._own)
        B[np.arange(len(at)), at] = 0.0
        return B

    def columns(self, own: slice) -> np.ndarray:
        """Some columns of B, in float64."""
        if self.roots is None:
            return np.ascontiguousarray(self.table[:, own], dtype=float)
        B = (self.roots @ self.roots[own].T) / (1 - self._own[own])
        B[np.arange(own.start, own.stop), np.arange(own.stop - own.start)] = 0.0
        return B

    def weighed(self, S: Any) -> np.ndarray:
        """S B of a sparse table by rows, (rows, n)."""
        if self.roots is None:
            return _weighed(S, self.table)
        scores = ((S.astype(self.roots.dtype) @ self.roots) @ self.roots.T).astype(float, copy=False)
        own = S.tocoo()
        scores[own.row, own.col] -= own.data * self._own[own.col]  # what a title would say of itself
        scores /= 1 - self._own
        return scores


def pair_weights(S: Any, reg: float, dtype: str, what: str) -> PairWeights:
    """The weights of a sparse table S (m, n); `what` they are, for the MemoryError where they would not fit.

    Of many viewers B_ij = -P_ij / P_jj off the diagonal, with P = (S'S + reg)^-1: a Cholesky factorisation and an
    inverse in the one table that is kept, n^3 operations. Of few W = S' (S S' + reg)^-1 S, by P = (1 - W) / reg: with
    L L' = S S' + reg the roots are V = S' L'^-1, m^2 n operations, and B is never formed.
    """
    check_in_dtype(dtype, reg=reg)
    S = sp.csr_array(S, dtype=dtype)
    S = S[np.diff(S.indptr) > 0]
    m, n = S.shape
    few = m < FEW * n and reg >= SAFE[dtype] * np.bincount(S.indices, S.data**2, 1).max()
    _check_size(n, m if few else n, dtype, what)
    check_time(ahead=float(m if few else n) ** 2 * n / DENSE_SPEED)
    if few:
        return PairWeights(None, _by_viewers(S, reg))
    B = _by_titles(S, reg)
    B /= -B.diagonal()
    np.fill_diagonal(B, 0.0)
    return PairWeights(B, None)


def _check_size(n, width, dtype, what):
    """Refuse a table above `MAX_PAIR_BYTES`, naming the memory it would take."""
    size = np.dtype(dtype).itemsize
    needed = size * n * width
    if needed > MAX_PAIR_BYTES:
        raise MemoryError(
            f"{what} need a dense {n:,} x {width:,} table of {needed / 2**30:,.1f} GiB; the limit is "
            f"{MAX_PAIR_BYTES / 2**30:g} GiB (content_table_parts.autoencoders.MAX_PAIR_BYTES)"
            + f", {int((MAX_PAIR_BYTES / size) ** 0.5):,} titles in {dtype}" * (width == n)
            + ". "
            + 'EASE(dtype="float32") takes half of it; ' * (size == 8)
            + "Ratings.filter_once leaves out what hardly anybody has rated."
        )


def _by_viewers(S, reg):
    """V = S' L'^-1 by rows, L L' = S S' + reg."""
    gram = (S @ S.T).toarray()
    gram[np.diag_indices(len(gram))] += reg
    factor = scipy.linalg.cholesky(gram, lower=True, overwrite_a=True)
    return scipy.linalg.solve_triangular(factor, S.T.toarray().T, lower=True, overwrite_b=True).T


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


def _weighed(S, B):
    """S B, added up in float64 whatever B has."""
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


def autoencoder_certificate(S: Any, B: PairWeights, reg: float) -> Certificate:
    """The certificate of any weights B with a diagonal of 0, a block of titles at a time.

    The objective |S - S B|^2 / 2 + reg |B|^2 / 2 is reg-strongly convex, so it is at most |gradient|^2 / (2 reg) above
    its optimum, the gradient taken off the diagonal.
    """
    S, columns, primal, squares = sp.csr_array(S), sp.csc_array(S), 0.0, 0.0
    for own in _blocks(S.shape[1], max(S.shape)):
        check_time()
        weights = B.columns(own)
        left = columns[:, own].toarray() - S @ weights
        slope = reg * weights - columns.T @ left
        slope[np.arange(own.start, own.stop), np.arange(own.stop - own.start)] = 0.0
        primal += (np.vdot(left, left) + reg * np.vdot(weights, weights)) / 2
        squares += np.vdot(slope, slope)
    return Certificate(float(primal), float(primal - squares / (2 * reg)))
