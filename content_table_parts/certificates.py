"""How far from the optimum a fit can be: a primal value, a dual bound, and the gap between them."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from content_table_parts.settings import check_number
from content_table_parts.solvers import spectral_norm_bound


@dataclass(frozen=True)
class Certificate:
    """Primal value, a dual lower bound on the optimum, and the gap between: no better fit is further below than `gap`.

    `proven` is False where the spectral norm behind the dual point could only be estimated.
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
        word = "" if self.proven else ", estimated"
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
) -> Certificate:
    """Certificate of (1/2) sum (target - b_u - b_i - X)^2 + reg |X|_* [+ (bias_reg/2)(|b_u|^2 + |b_i|^2)].

    The residual, scaled until its spectral norm is at most `reg`, is a feasible point theta of the dual
        max <theta, target> - |theta|^2 / 2 - (row sums^2 + column sums^2 of theta) / (2 bias_reg),   |theta|_2 <= reg;
    without biases the last term is absent. Both follow from the Lagrangian of residual = target - b_u - b_i - X.
    """
    sigma, proven = spectral_norm_bound(sp.csr_array((residual, (rows, cols)), shape=shape))
    theta = residual * min(1.0, reg / sigma) if sigma > 0 else residual
    primal = 0.5 * residual @ residual + reg * nuclear_norm
    dual = theta @ target - 0.5 * theta @ theta
    if biases is not None:
        sums = np.bincount(rows, theta, minlength=shape[0]), np.bincount(cols, theta, minlength=shape[1])
        primal += 0.5 * bias_reg * sum(b @ b for b in biases)
        dual -= sum(s @ s for s in sums) / (2 * bias_reg)
    return Certificate(float(primal), float(dual), proven)


def nuclear_certificate(
    target: np.ndarray, multipliers: np.ndarray, rows: np.ndarray, cols: np.ndarray, X: np.ndarray
) -> Certificate:
    """Certificate of min |X|_* subject to X = target on the known cells, at the feasible point with target pasted in.

    Any multipliers L on the known cells bound the optimum from below by <L, target> / max(1, |L|_2), because the dual
    norm of the nuclear norm is the spectral norm.
    """
    pasted = X.copy()
    pasted[rows, cols] = target
    sigma, proven = spectral_norm_bound(sp.csr_array((multipliers, (rows, cols)), shape=X.shape))
    return Certificate(float(scipy.linalg.svdvals(pasted).sum()), float(multipliers @ target / max(1.0, sigma)), proven)
