"""The doors to the solvers, which trust all they are given: what comes from outside is checked here, once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from content_table_parts import regressions, solvers
from content_table_parts.settings import check_array, check_number, check_shape, check_unmasked, checked, shown
from content_table_parts.solvers import compiled, writable


def door(solver: Any, check: Callable) -> Any:
    """The solver, often a compiled loop, `checked`, under its name in this file."""
    enter = checked(solver, check)
    enter.__module__ = __name__
    if hasattr(solver, "py_func"):
        enter.py_func = solver.py_func
    return enter


@compiled()
def _inside(rows, cols, m, n):
    """Whether all positions are those of a table (m, n)."""
    inside = True
    for e in range(len(rows)):
        inside &= (rows[e] >= 0) & (rows[e] < m) & (cols[e] >= 0) & (cols[e] < n)
    return inside


def check_positions(name: str, given: Any, size: int) -> np.ndarray:
    """Positions (whole numbers from 0 to size - 1) as an array that compiled loops take.

    Raises
    ------
    TypeError, ValueError : names the argument, what was expected and what came.
    """
    at = _positions(name, given)
    if len(at) and not _inside(at, at, size, size):
        raise ValueError(f"{name} must hold positions from 0 to {size - 1}, got {at.min()} to {at.max()}.")
    return at


def check_cells(rows: Any, cols: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of positions in a table of this shape, as arrays that compiled loops take; errors as `check_positions`."""
    rows, cols = _positions("rows", rows), _positions("cols", cols)
    if len(rows) != len(cols):
        raise ValueError(f"rows and cols must be pairs of positions, got {len(rows)} rows and {len(cols)} cols.")
    if not _inside(rows, cols, *shape):
        check_positions("rows", rows, shape[0])
        check_positions("cols", cols, shape[1])
    return rows, cols


def _positions(name, given):
    check_unmasked(name, given)
    try:
        at = np.asarray(given)
    except ValueError as error:  # rows of several lengths
        raise TypeError(f"{name} must be one row of positions, whole numbers from 0, got {shown(given)}.") from error
    if at.ndim != 1 or at.dtype.kind not in "iu":
        if at.ndim == 1 and not at.size:
            return np.zeros(0, dtype=np.intp)
        raise TypeError(
            f"{name} must be one row of positions, whole numbers from 0, got {at.dtype} of shape {at.shape}; ids are "
            "turned into positions by user_rows and item_cols."
        )
    return writable(np.ascontiguousarray(at, dtype=np.intp))


def _floats(name, given, *shape):
    """An array of floats of this shape; None is any length. What is written to is not copied, so it must be one."""
    fits = isinstance(given, np.ndarray) and given.dtype == np.float64 and given.ndim == len(shape)
    if not fits or any(size not in (None, length) for size, length in zip(shape, given.shape, strict=True)):
        came = f"{given.dtype} of shape {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__
        sizes = " x ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must be an array of float64, {sizes}, got {came}.")
    return given


def _number(name, value):
    check_number(name, value, low=-np.inf)
    return float(value)


def _table(name, given, m, n):
    """The rows of a CSR table (start, columns, values) of m rows and n columns."""
    if not isinstance(given, (tuple, list)) or len(given) != 3:
        raise ValueError(f"{name} must be the three arrays of a CSR table (indptr, indices, data), got {shown(given)}.")
    start, cols = _rows_of(name, given[0], given[1], m, n)
    return start, cols, _floats(f"the values of {name}", given[2], len(cols))


def _rows_of(name, start, cols, m, n):
    start, cols = np.asarray(start), np.asarray(cols)
    whole = start.dtype.kind == cols.dtype.kind == "i" and start.ndim == cols.ndim == 1
    if not whole or not len(start) or start[0] != 0 or start[-1] != len(cols) or (np.diff(start) < 0).any():
        raise ValueError(f"indptr and indices of {name} are not those of a CSR table.")
    if m not in (None, len(start) - 1):
        raise ValueError(f"{name} must have {m} rows, got {len(start) - 1}.")
    check_positions(f"the columns of {name}", cols, n)
    return start, cols


def _sparse(name, given):
    """A sparse table of finite numbers, by rows or by columns."""
    if not sp.issparse(given) or given.ndim != 2:
        raise TypeError(f"{name} must be a sparse table, got {shown(given)}.")
    table = given if given.format in ("csr", "csc") else sp.csr_array(given)
    check_array(f"the values of {name}", table.data)
    return table


def _check_best_positions(scores, n):
    check_number("n", n, low=1, whole=True)
    return check_array("scores", scores, finite=False), n


def _check_bias_solver(rows, cols, shape, reg):
    check_shape(shape, 2)
    check_number("reg", reg)
    return *check_cells(rows, cols, shape), shape, float(reg)


def _check_ridge_rows(table, other, reg=0.0):
    other = check_array("other", other, ndim=2)
    if isinstance(reg, (list, tuple, np.ndarray)):
        reg = check_array("reg", reg, length=other.shape[1])
    else:
        check_number("reg", reg)
    return _sparse("table", table), other, reg


def _check_shrink_singular_values(A, threshold):
    check_number("threshold", threshold)
    return check_array("A", A, ndim=2), threshold


def _check_spectral_norm_bound(S):
    return (_sparse("S", S),)


def _check_squared_loss(residual, reg=0.0, *factors):
    check_number("reg", reg)
    return check_array("residual", residual), reg, *(check_array("factors", F, ndim=np.ndim(F)) for F in factors)


def _check_pair_dots(P, Q, rows, cols):
    P = _floats("P", P, None, None)
    Q = _floats("Q", Q, None, P.shape[1])
    return P, Q, *check_cells(rows, cols, (len(P), len(Q)))


def _check_theta(theta, C, F):
    """The parameters of a model by descent, and its features, of one size throughout."""
    if not isinstance(theta, (tuple, list)) or len(theta) != 6:
        raise ValueError(f"theta must be the six arrays b_u, b_i, P, Q, W, G, got {type(theta).__name__}.")
    b_user, b_item, P, Q, W, G = theta
    m, n = len(_floats("b_u", b_user, None)), len(_floats("b_i", b_item, None))
    k = _floats("P", P, m, None).shape[1]
    d = _floats("W", W, m, None).shape[1]
    _floats("Q", Q, n, k)
    f = _floats("G", G, None, d if len(G) else None).shape[0]
    return tuple(theta), _table("C", C, n, d), _table("F", F, m, f)


def _check_predict_pairs(rows, cols, mean, theta, C, F):
    theta, C, F = _check_theta(theta, C, F)
    return *check_cells(rows, cols, (len(theta[0]), len(theta[1]))), _number("mean", mean), theta, C, F


def _check_epoch(rows, cols, values, mean, theta, C, F, eta, reg, clip):
    rows, cols, mean, theta, C, F = _check_predict_pairs(rows, cols, mean, theta, C, F)
    values = _floats("values", np.asarray(values), len(rows))
    clip = np.inf if isinstance(clip, float) and clip == np.inf else _number("clip", clip)  # which cuts nothing
    return rows, cols, values, mean, theta, C, F, _number("eta", eta), _number("reg", reg), clip


def _check_batch_epoch(rows, cols, values, batch_size, mean, theta, C, F, eta, reg, clip, steps):
    rows, cols, values, *rest = _check_epoch(rows, cols, values, mean, theta, C, F, eta, reg, clip)
    check_number("batch_size", batch_size, low=1, whole=True)
    room, touched = len(_floats("steps", steps, None)), solvers.touched_parameters(rows, cols, *rest[1:4])
    needed = max((touched[at : at + batch_size].sum() for at in range(0, len(rows), batch_size)), default=0)
    if room < needed:
        raise ValueError(f"steps must have room for the {needed} steps of a batch, got {room}.")
    return rows, cols, values, batch_size, *rest, steps


def _check_solve_rows(indptr, indices, weights, targets, other, base, out):
    n, k = _floats("other", other, None, None).shape
    indptr, indices = _rows_of("the table", indptr, indices, None, n)
    weights, targets = (_floats(name, a, len(indices)) for name, a in (("weights", weights), ("targets", targets)))
    _floats("base", base, k, k)
    return indptr, indices, weights, targets, other, base, _floats("out", out, len(indptr) - 1, k)


best_positions = door(solvers.best_positions, _check_best_positions)
bias_solver = door(solvers.bias_solver, _check_bias_solver)
ridge_rows = door(regressions.ridge_rows, _check_ridge_rows)
shrink_singular_values = door(solvers.shrink_singular_values, _check_shrink_singular_values)
spectral_norm_bound = door(solvers.spectral_norm_bound, _check_spectral_norm_bound)
squared_loss = door(solvers.squared_loss, _check_squared_loss)
pair_dots = door(solvers.pair_dots, _check_pair_dots)
predict_pairs = door(solvers.predict_pairs, _check_predict_pairs)
sgd_epoch = door(solvers.sgd_epoch, _check_epoch)
batch_epoch = door(solvers.batch_epoch, _check_batch_epoch)
solve_rows = door(regressions.solve_rows, _check_solve_rows)
