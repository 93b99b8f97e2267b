"""The graph of viewers and titles: likes carried along its edges, and the directions along which they vary least."""

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, eigsh

from content_table_parts.interrupts import check_time
from content_table_parts.solvers import DENSE_SPEED, check_memory

BLOCK_CELLS = 4_000_000  # of the rows that walk together, on their way through viewers and titles
DENSE_SIDE = 2000  # up to so many viewers, or titles if these are fewer, a dense table of their pairs is decomposed
LEAST = 1e-10  # of the largest squared singular value: below that there is no direction, only rounding
TIED = 1e-7  # squared singular values that agree to this share of the largest count as equal


def inverse_root(degrees: np.ndarray) -> np.ndarray:
    """1 / sqrt of each degree, and 0 where there is none."""
    return np.divide(1.0, np.sqrt(degrees), out=np.zeros(len(degrees)), where=degrees > 0)


def scaled(likes: Any, title_scale: np.ndarray) -> Any:
    """Rows of T = D_u^-1/2 S D_i^-1/2 from rows of S, a sparse table of likes; `title_scale` is D_i^-1/2."""
    viewer_scale = inverse_root(np.asarray(likes.sum(axis=1)))
    rows = np.repeat(np.arange(likes.shape[0]), np.diff(likes.indptr))
    weights = likes.data * viewer_scale[rows] * title_scale[likes.indices]
    return sp.csr_array((weights, likes.indices, likes.indptr), likes.shape)


def layer_weights(n_layers: int) -> np.ndarray:
    """c such that the scores of LightGCN with one-hot embeddings are T sum_j c_j (T'T)^j, j < n_layers.

    Its embeddings are the mean of the powers 0..K of A = [[0, T], [T', 0]], applied to the identity, so its scores are
    the viewers x titles block of their square: of the powers of A the odd ones, A^(2j+1), which hold T (T'T)^j, as
    often as two numbers from 0 to K add up to 2j + 1.
    """
    embedding = np.full(n_layers + 1, 1.0 / (n_layers + 1))
    return np.convolve(embedding, embedding)[1::2]


def carried(X: Any, roots: Any, weights: np.ndarray) -> np.ndarray:
    """X sum_j weights_j (roots roots')^j, (rows, n), of sparse rows X: with T' for roots each power is one more round,
    from titles to their viewers and on to what these like."""
    total, size = np.empty(X.shape), max(1, BLOCK_CELLS // max(roots.shape))
    for start in range(0, X.shape[0], size):
        step = sp.csr_array(X[start : start + size].T)
        some = weights[0] * step.toarray()
        for weight in weights[1:]:
            check_time()
            half = roots.T @ step
            step = roots @ (half.toarray() if sp.issparse(half) else half)
            some += weight * step
        total[start : start + size] = some.T
    return total


def smooth_directions(T: Any, n_factors: int) -> np.ndarray:
    """The right singular vectors of T with the `n_factors` largest singular values, (n, r).

    They span the signals on titles that vary least along the graph. r is smaller where T has no more of them, and where
    the last ones tie with the next: those are left out together, because no choice among them would be the same on
    every machine. Signs are arbitrary, V V' is not.
    """
    few_viewers = T.shape[0] <= T.shape[1]
    small = sp.csr_array(T if few_viewers else T.T)
    if not n_factors or not small.nnz:
        return np.zeros((T.shape[1], 0))
    squares, vectors = _top_pairs(small, n_factors + 1)
    keep = squares > LEAST * squares[0]
    if len(squares) > n_factors:
        keep &= squares > squares[n_factors] + TIED * squares[0]
    squares, vectors = squares[keep], vectors[:, keep]
    return small.T @ vectors / np.sqrt(squares) if few_viewers else vectors


def _top_pairs(small, count):
    """The largest eigenvalues of small small', falling, and their vectors: `count` of them, or as many as there are."""
    side = small.shape[0]
    if side <= DENSE_SIDE or count >= side:
        check_memory((side, side), "GraphFilter's n_factors: so many singular directions of so large a table")
        check_time(ahead=10.0 * float(side) ** 3 / DENSE_SPEED)
        last = [max(0, side - count), side - 1]
        gram = (small @ small.T).toarray()
        try:
            squares, vectors = scipy.linalg.eigh(gram, subset_by_index=last)
        except np.linalg.LinAlgError:  # see `spectral_norm_bound`
            squares, vectors = np.linalg.eigh(gram)
    else:
        squares, vectors = _sparse_pairs(small, count)
    order = np.argsort(-squares, kind="stable")
    return squares[order[:count]], vectors[:, order[:count]]


def _sparse_pairs(small, count):
    """`count` of the largest eigenvalues and more, unsorted. Lanczos misses copies of a value that comes several times,
    as 1 does in a graph of several parts: it is asked again, without what it has found, until nothing larger is left.
    """
    turned, start = small.T.tocsr(), np.random.default_rng(0).standard_normal(small.shape[0])
    squares, vectors, asked = np.zeros(0), np.zeros((len(start), 0)), count

    def multiply(x):
        check_time()
        x = x - vectors @ (vectors.T @ x)
        x = small @ (turned @ x)
        return x - vectors @ (vectors.T @ x)

    while True:
        found, directions = eigsh(LinearOperator((len(start),) * 2, multiply, dtype=float), asked, v0=start)
        if len(squares):
            larger = found > np.sort(squares)[-count] + TIED * squares.max()
            found, directions = found[larger], directions[:, larger]
        if not len(found):
            return squares, vectors
        asked = 1 if not len(squares) else min(2 * asked, count)  # mostly there is nothing left
        squares, vectors = np.append(squares, found), np.hstack([vectors, directions])
