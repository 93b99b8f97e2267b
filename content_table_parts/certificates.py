"""How far from the optimum a fit can be: a primal value, a dual bound, and the gap between them."""

import inspect
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from content_table_parts.doors import check_cells
from content_table_parts.settings import check_array, check_number, check_shape, checked, shown
from content_table_parts.solvers import (
    EIGEN_SIDE,
    check_time_for_svd,
    estimated_spectral_norm,
    spectral_norm_bound,
)


@dataclass(frozen=True)
class Certificate:
    """Primal value, a dual lower bound on the optimum, and the gap between: no better fit is further below than `gap`.

    `proven` is False where the spectral norm behind the dual point is bounded with a probability of 1 - 1e-9 only: see
    `spectral_norm_bound`.
    """

    primal: float
    dual: float
    proven: bool = True

    @property
    def gap(self) -> float:
        """No better fit is further below the primal value than this."""
        return self.primal - self.dual

    @property
    def relative_gap(self) -> float:
        """The gap as a share of the primal value; 0 if both are 0."""
        if self.primal == 0:
            return 0.0 if self.dual == 0 else np.inf
        return self.gap / self.primal

    def __repr__(self):
        word = "" if self.proven else ", not proven"
        return (
            f"Certificate(primal {self.primal:.6g}, dual {self.dual:.6g}, relative gap {self.relative_gap:.1e}{word})"
        )


def bias_certificate(
    deviations: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    user_bias: np.ndarray,
    item_bias: np.ndarray,
    reg: float,
) -> Certificate:
    """Certificate of sum (deviations - b_u - b_i)^2 + reg (|b_u|^2 + |b_i|^2) at any biases.

    The objective is 2 reg-strongly convex, so its minimum lies at most |gradient|^2 / (4 reg) below.
    """
    check_number("reg", reg, strict=True)
    residual = deviations - user_bias[rows] - item_bias[cols]
    slope_user = 2 * (reg * user_bias - np.bincount(rows, residual, minlength=len(user_bias)))
    slope_item = 2 * (reg * item_bias - np.bincount(cols, residual, minlength=len(item_bias)))
    primal = residual @ residual + reg * (user_bias @ user_bias + item_bias @ item_bias)
    gap = (slope_user @ slope_user + slope_item @ slope_item) / (4 * reg)
    return Certificate(float(primal), float(primal - gap))


def spectral_certificate(
    target: np.ndarray,
    residual: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    shape: tuple[int, int],
    reg: float,
    nuclear_norm: float,
    biases: tuple[np.ndarray, np.ndarray] | None = None,
    bias_reg: float = 0.0,
    tol: float | None = None,
    scales: tuple[np.ndarray, np.ndarray] | None = None,
) -> Certificate:
    """Certificate of (1/2) sum (target - b_u - b_i - X)^2 + reg |X|_* [+ (bias_reg/2)(|b_u|^2 + |b_i|^2)].

    The residual, scaled until its spectral norm is at most `reg`, is a feasible point theta of the dual
        max <theta, target> - |theta|^2 / 2 - (row sums^2 + column sums^2 of theta) / (2 bias_reg),   |theta|_2 <= reg;
    without biases the last term is absent. Both follow from the Lagrangian of residual = target - b_u - b_i - X.

    With `scales`, positive d (m,) and e (n,), the penalty is reg |diag(d) X diag(e)|_*, `nuclear_norm` being that norm.
    As <theta, X> = <theta / de', diag(d) X diag(e)>, theta is feasible where its entries divided by d_u e_i have a
    spectral norm of at most `reg`; nothing else changes.

    Where an estimate of the spectral norm, which takes a part of the time of a bound, leaves a relative gap above `tol`
    already, it is told instead, not proven.
    """
    scaled = residual if scales is None else residual / (scales[0][rows] * scales[1][cols])
    S = sp.csr_array((scaled, (rows, cols)), shape=shape)
    primal, square = 0.5 * residual @ residual + reg * nuclear_norm, 0.5 * residual @ residual
    if biases is not None:
        sums = np.bincount(rows, residual, minlength=shape[0]), np.bincount(cols, residual, minlength=shape[1])
        primal += 0.5 * bias_reg * sum(b @ b for b in biases)
        square += sum(s @ s for s in sums) / (2 * bias_reg)

    def at(sigma, proven):  # theta = c * residual
        c = min(1.0, reg / sigma) if sigma > 0 else 1.0
        return Certificate(float(primal), float(c * (residual @ target) - c**2 * square), proven)

    if tol is not None and min(shape) > EIGEN_SIDE:
        rough = at(estimated_spectral_norm(S), proven=False)
        if rough.relative_gap > tol:
            return rough
    return at(*spectral_norm_bound(S))


def nuclear_certificate(
    target: np.ndarray, multipliers: np.ndarray, rows: np.ndarray, cols: np.ndarray, X: np.ndarray
) -> Certificate:
    """Certificate of min |X|_* subject to X = target on the known cells, at the feasible point with target pasted in.

    Any multipliers L on the known cells bound the optimum from below by <L, target> / max(1, |L|_2), because the dual
    norm of the nuclear norm is the spectral norm.
    """
    check_time_for_svd(X.shape)
    pasted = X.copy()
    pasted[rows, cols] = target
    sigma, proven = spectral_norm_bound(sp.csr_array((multipliers, (rows, cols)), shape=X.shape))
    return Certificate(float(scipy.linalg.svdvals(pasted).sum()), float(multipliers @ target / max(1.0, sigma)), proven)


def _at_the_door(certificate):
    """The certificate, `checked`: all three by what their arguments are called."""
    signature = inspect.signature(certificate)

    def check(*arguments):
        _check(signature.bind(*arguments).arguments)
        return arguments

    return checked(certificate, check)


def _check(given):
    """Refuse arrays of other sizes than those of the known cells and of the table, and penalties that are none."""
    if "X" in given:
        check_array("X", given["X"], ndim=2)
    for name in ("user_bias", "item_bias"):
        if name in given:
            check_array(name, given[name])
    shape = _shape(given)
    length = len(check_cells(given["rows"], given["cols"], shape)[0])
    for name in {"deviations", "target", "residual", "multipliers"} & set(given):
        check_array(name, given[name], length=length)
    for name in [name for name in ("biases", "scales") if given.get(name) is not None]:
        if not isinstance(given[name], tuple) or len(given[name]) != 2:
            raise TypeError(f"{name} must be a pair of arrays, got {shown(given[name])}.")
        for array, side in zip(given[name], shape, strict=True):
            check_array(name, array, length=side)
            if name == "scales" and not (np.asarray(array) > 0).all():
                raise ValueError(f"scales must be above 0, got {np.min(array):g}.")
    if "nuclear_norm" in given:
        check_number("nuclear_norm", given["nuclear_norm"])
        check_number("reg", given["reg"], strict=True)
        check_number("bias_reg", given.get("bias_reg", 0.0), strict=given.get("biases") is not None)
    if given.get("tol") is not None:
        check_number("tol", given["tol"])


def _shape(given):
    """The size of the table: given, or that of the arrays."""
    if "shape" not in given:
        return given["X"].shape if "X" in given else (len(given["user_bias"]), len(given["item_bias"]))
    check_shape(given["shape"], 2)
    return given["shape"]


bias_certificate = _at_the_door(bias_certificate)
spectral_certificate = _at_the_door(spectral_certificate)
nuclear_certificate = _at_the_door(nuclear_certificate)
