"""Content Table: fill in a rating table, prove how well it is filled, and recommend from it.

Some cells of a table of viewers (rows) and titles (columns) hold a rating; the models below predict the others.
Convex models come with a certificate, so that "optimal" is a number. Every model is judged on ratings it never saw.

=============================  ==================  ==========================================  =====================
meaning                        maths               code                                        shape, unit
=============================  ==================  ==========================================  =====================
known ratings, where they are  A_ui, Omega         `Ratings`                                   m users x n items
mean, user bias, item bias     mu, b_u, b_i        `global_mean_`, `user_bias_`, `item_bias_`  rating points
user and item factors          P, Q; p_u, q_i      `user_factors_`, `item_factors_`            (m, k), (n, k)
completed matrix               X = U diag(s) Vt    `U_`, `s_`, `Vt_`                           never dense unless asked
item features, weights on them C, W; C_i, w_u      `item_features`, `feature_weights_`         (n, d) sparse, (m, d)
penalty, step                  lambda, eta         `reg`, `learning_rate`                      objective in each class
passes, rank                   -, k                `n_epochs`, `n_factors`
=============================  ==================  ==========================================  =====================

A viewer whom no model has met gets a list by `fold_in`, from a dozen ratings or from `load_mal_export`, and `explain`
says why each title is on it.

Models, simplest first: `GlobalMean`, `Popularity`, `BiasBaseline`, `ItemKNN`, `ALS`, `ImplicitALS`,
`GradientDescentMF`, `SGDMF`, `ContentMF`, `ContentOnly`, `SpectralRegularization`, `NuclearNorm`; `Blend` mixes two,
and `Tuned` chooses the settings of one, or one of several, by `tune`. `compare` measures them all on the same splits.

>>> import content_table as ct
>>> ratings = ct.load_ratings(ct.DATA / "100x100.csv")
>>> model = ct.SpectralRegularization(reg=8, biases=True).fit(ratings)
>>> model.certificate_.relative_gap < 1e-6
True
>>> my_list = model.recommend(ratings.user_ids[0], n=10)
"""

import json
import warnings
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.preprocessing import normalize
from threadpoolctl import ThreadpoolController
from tqdm import tqdm

from content_table_data import *  # the table, its files and its titles: read them first, import them from here

__version__ = "0.1.0"

DATA = Path(__file__).resolve().parent / "data"
WEIGHTS = Path(__file__).resolve().parent / "saved_weights"
MAX_DENSE_BYTES = 2**30  # a dense users x items table above this is refused, not attempted
DENSE_CELLS = 10**6  # up to this many cells the splitting solver works on a dense table: faster, and 8 MB at most
GRAM_SIDE = 5_000  # up to this side a spectral norm is bounded by a dense Gram matrix; above it is only estimated
_BLAS = ThreadpoolController()


class DivergenceError(ArithmeticError):
    """A descent whose steps were too long: the error grew instead of falling. The message names the remedy."""


# ---- Shared linear algebra -------------------------------------------------------------------------------------------


def check_memory(shape, what):
    """Refuse a dense table that would not fit `MAX_DENSE_BYTES`, naming the memory it would take."""
    needed = 8 * int(np.prod(shape, dtype=object))
    if needed > MAX_DENSE_BYTES:
        raise MemoryError(
            f"{what} needs a dense {' x '.join(f'{side:,}' for side in shape)} table of {needed / 2**30:,.1f} GiB; "
            f"the limit is {MAX_DENSE_BYTES / 2**30:g} GiB (content_table.MAX_DENSE_BYTES). "
            "predict and recommend need no such table."
        )


def shrink_singular_values(A, threshold):
    """prox of threshold * nuclear norm: U diag((s - threshold)_+) Vt; returns the kept U, s and Vt.

    Reference: A Singular Value Thresholding Algorithm for Matrix Completion, SIAM J. Optim. 20(4), 2010, Theorem 2.1.
    """
    U, s, Vt = np.linalg.svd(A, full_matrices=False)  # A = U diag(s) Vt
    keep = s > threshold
    return U[:, keep], s[keep] - threshold, Vt[keep]


def spectral_norm_bound(S):
    """(bound, proven): an upper bound on the largest singular value of the sparse matrix S.

    The largest eigenvalue of the smaller Gram matrix, plus a term above all rounding in forming and factoring it. Above
    `GRAM_SIDE` that matrix is too large; Lanczos then estimates the norm, from below, and `proven` is False.
    """
    S = S if S.shape[0] <= S.shape[1] else S.T
    if not S.data.any():
        return 0.0, True
    if S.shape[0] > GRAM_SIDE:
        return float(scipy.sparse.linalg.svds(S, k=1, return_singular_vectors=False, rng=0)[0]), False
    gram = (S @ S.T).toarray()
    top = scipy.linalg.eigvalsh(gram, subset_by_index=[len(gram) - 1] * 2, check_finite=False)[0]
    rounding = 4 * np.finfo(float).eps * sum(S.shape) * float(S.data @ S.data)
    return float(np.sqrt(max(top, 0.0) + rounding)), True


@numba.njit(cache=True, inline="always")
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


@numba.njit(cache=True)
def pair_dots(P, Q, rows, cols):
    """p_u . q_i for each pair (rows[e], cols[e]); read-only positions would be compiled for once more, so copy them."""
    dots = np.empty(len(rows))
    for e in range(len(rows)):
        dots[e] = dot(P[rows[e]], Q[cols[e]])
    return dots


def squared_loss(residual, reg=0.0, *factors):
    """sum residual^2 + reg (|F|^2 over the arrays `factors`): what every model of factors tries to make small."""
    return float(residual @ residual + reg * sum(np.vdot(F, F) for F in factors))


def bias_solver(rows, cols, shape, reg):
    """A function values -> (b_u, b_i) minimising sum (values - b_u - b_i)^2 + reg (|b_u|^2 + |b_i|^2).

    The normal equations are [[D_u + reg, B], [B', D_i + reg]] (b_u; b_i) = (row sums; column sums), B the 0-1 table of
    known cells and D its counts. The longer side is eliminated (its block is diagonal), which leaves a dense system of
    the shorter side, factored once. Where even that side exceeds `GRAM_SIDE`, conjugate gradients solve it instead.
    """
    if shape[0] > shape[1]:
        solve_swapped = bias_solver(cols, rows, shape[::-1], reg)
        return lambda values: solve_swapped(values)[::-1]
    m, n = shape
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
        inner = B @ (B * inv_item).T
        schur = np.diag(d_user) - (inner.toarray() if sp.issparse(inner) else inner)
        try:
            solve_users = partial(scipy.linalg.cho_solve, scipy.linalg.cho_factor(schur), check_finite=False)
        except np.linalg.LinAlgError:  # no penalty to speak of: biases are fixed only up to a constant, so least norm
            solve_users = lambda rhs: np.linalg.lstsq(schur, rhs, rcond=None)[0]  # noqa: E731

    def solve(values):
        sum_user = np.bincount(rows, values, minlength=m)
        sum_item = np.bincount(cols, values, minlength=n)
        user_bias = solve_users(sum_user - B @ (inv_item * sum_item))
        return user_bias, inv_item * (sum_item - B.T @ user_bias)

    return solve


def _conjugate_gradients(A, rhs):
    solution, failed = scipy.sparse.linalg.cg(A, rhs, rtol=1e-12, maxiter=10_000)
    if failed:
        raise RuntimeError("conjugate gradients did not solve the bias equations in 10,000 steps; raise `reg`.")
    return solution


# ---- Certificates: how far from the optimum a fit can be -------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """Primal value, a dual lower bound on the optimum, and the gap between: no better fit is further below than `gap`.

    `proven` is False where the spectral norm behind the dual point could only be estimated.
    """

    primal: float
    dual: float
    proven: bool = True

    @property
    def gap(self):
        return self.primal - self.dual

    @property
    def relative_gap(self):
        if self.primal == 0:
            return 0.0 if self.dual == 0 else np.inf
        return self.gap / self.primal

    def __repr__(self):
        word = "" if self.proven else ", estimated"
        return (
            f"Certificate(primal {self.primal:.6g}, dual {self.dual:.6g}, relative gap {self.relative_gap:.1e}{word})"
        )


def bias_certificate(deviations, rows, cols, user_bias, item_bias, reg):
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


def spectral_certificate(target, residual, rows, cols, shape, reg, nuclear_norm, biases=None, bias_reg=None):
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


def nuclear_certificate(target, multipliers, rows, cols, X):
    """Certificate of min |X|_* subject to X = target on the known cells, at the feasible point with target pasted in.

    Any multipliers L on the known cells bound the optimum from below by <L, target> / max(1, |L|_2), because the dual
    norm of the nuclear norm is the spectral norm.
    """
    pasted = X.copy()
    pasted[rows, cols] = target
    sigma, proven = spectral_norm_bound(sp.csr_array((multipliers, (rows, cols)), shape=X.shape))
    return Certificate(float(scipy.linalg.svdvals(pasted).sum()), float(multipliers @ target / max(1.0, sigma)), proven)


# ---- What every model shares -----------------------------------------------------------------------------------------


def _store(model, arguments):
    """A constructor keeps its arguments untouched, each under its own name, as scikit-learn expects."""
    vars(model).update({name: value for name, value in arguments.items() if name not in ("self", "__class__")})


class Recommender(BaseEstimator):
    """Base of all models: `fit`, `predict`, `recommend`, `complete`, `save`; subclasses supply `_fit` and `_scores`.

    `predict` takes ids and gives rating points, unclipped. A user or item without a training rating gets the biases
    that are known, then the mean, never a silent 0; `n_fallback_` counts the cells of the last `predict` that did.
    """

    score_name = "predicted_rating"  # what `predict` gives; anything else is not in rating points
    _positive = ()  # hyper-parameters that must be above 0
    _not_negative = ("reg", "bias_reg", "tol")
    _whole = ("n_factors", "n_epochs", "n_neighbors")  # whole numbers from 1
    _optional = ()  # may be None
    _space = {}
    _watch = _noise = None
    _reads_features = False  # whether a new title may come with {feature name: value}

    def fit(self, ratings, validation=None, watch=None):
        """Learn from `ratings`, afresh; returns self.

        `validation`, a part of the same table, tells the models that stop early or mix two others when to stop or how
        to mix; nothing else is learnt from it, and models that have no use for it ignore it. `watch(model, row)` is
        called after each pass of ALS and of the models by descent, with its row of `history_`; it may raise to end the
        fit.
        """
        self._check(ratings, validation)
        if validation is not None and not (len(validation) and ratings.same_universe(validation)):
            raise ValueError(
                "validation must hold ratings of the same users and items as the training part; take both from one "
                f"split of one table. Training: {ratings}, validation: {validation}."
            )
        self.ratings_ = ratings
        self.global_mean_ = float(ratings.values.mean())
        self.user_bias_, self.item_bias_ = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
        self.history_, self._watch, self._noise = [], watch, None
        with _BLAS.limit(limits=1, user_api="blas"):  # small matrices: threads cost time, and stable digits
            try:
                self._fit(ratings, validation)
            except BaseException:
                for name in [name for name in vars(self) if name.endswith("_")]:
                    delattr(self, name)  # a fit that failed is not a fit
                raise
            finally:
                self._watch = None
        return self

    @property
    def search_space(self):
        """What `tune` tries: {hyper-parameter: Range}; the penalty on biases only where the model has them."""
        return {name: r for name, r in self._space.items() if name != "bias_reg" or getattr(self, "biases", True)}

    @property
    def n_parameters_(self):
        """How many numbers were learnt, the mean among them; what stayed 0 throughout does not count."""
        self._fitted()
        names = ("user_bias_", "item_bias_", "user_factors_", "item_factors_", "feature_weights_", "group_weights_")
        arrays = [getattr(self, name, np.zeros(0)) for name in names]
        return 1 + sum(array.size for array in arrays if np.any(array))

    def _record(self, row):
        self.history_.append(row)
        if self._watch is not None:
            self._watch(self, row)

    def _check(self, ratings, validation):
        for part in (ratings,) if validation is None else (ratings, validation):
            if not isinstance(part, Ratings):
                raise TypeError(f"fit needs Ratings (see load_ratings, from_frame), got {type(part).__name__}.")
        if len(ratings) == 0:
            raise ValueError("fit needs at least one rating, got an empty part.")
        for name, value in self.get_params(deep=False).items():
            if value is None and name in self._optional:
                continue
            if name in self._whole:
                check_number(name, value, low=1, whole=True)
            elif name in self._not_negative or name in self._positive:
                check_number(name, value, strict=name in self._positive)

    def _fitted(self):
        if not hasattr(self, "ratings_"):
            raise NotFittedError(f"this {type(self).__name__} has not been fitted; call fit(ratings) first.")
        return self.ratings_

    @property
    def cold_users_(self):
        """Mask of users without a training rating."""
        return self._fitted().user_counts == 0

    @property
    def cold_items_(self):
        """Mask of items without a training rating."""
        return self._fitted().item_counts == 0

    def predict(self, users, items):
        """Predicted ratings of the pairs (users[e], items[e]), given as ids; a single id is repeated for all."""
        ratings = self._fitted()
        pairs = np.broadcast_arrays(ratings.user_rows(users), ratings.item_cols(items))
        return self.predict_cells(*(np.ascontiguousarray(positions) for positions in pairs))

    def predict_cells(self, rows, cols):
        """The same for positions, as a part of the training table's own universe has them."""
        self._fitted()
        scores, lost = self._filled(rows, cols)
        self.n_fallback_ = int(lost.sum())
        return scores

    def _filled(self, rows, cols):
        lost = self._lost(rows, cols)
        return np.where(lost, self._level(rows, cols), self._scores(rows, cols)), lost

    def _all_scores(self, rows):
        """Scores of whole rows, (len(rows), n_items): here pair by pair, a subclass may know a faster way."""
        every = np.arange(self.ratings_.n_items)
        return self._scores(np.repeat(rows, len(every)), np.tile(every, len(rows))).reshape(len(rows), -1)

    def _row_scores(self, rows):
        """Predictions of whole rows, (len(rows), n_items), with the same fallback as `predict`."""
        grid = rows[:, None], np.arange(self.ratings_.n_items)[None, :]
        return np.where(self._lost(*grid), self._level(*grid), self._all_scores(rows))

    def _lost(self, rows, cols):
        """Mask of the cells that the model knows too little about: no training rating in their row or column."""
        return self.cold_users_[rows] | self.cold_items_[cols]

    def _level(self, rows, cols):
        """What these cells get instead: the mean and the biases that are known."""
        return self.global_mean_ + self.user_bias_[rows] + self.item_bias_[cols]

    def complete(self):
        """The completed table as a dense (m, n) array: asked for, and refused where it would fill the machine."""
        check_memory(self._fitted().shape, "complete()")
        return self._row_scores(np.arange(self.ratings_.n_users))

    def recommend(self, user, n=10, also_seen=None):
        """The `n` unrated items with the highest predicted rating for one user id or name: rank, item_id, title,
        predicted_rating (or count, or preference, for the models that do not predict ratings).

        Exactly min(n, unseen) rows; nothing rated in training, or in the Ratings `also_seen`. Ties go by item position.
        """
        if np.ndim(user):
            raise TypeError(f"recommend makes the list of one user, got {len(user)} ids; recommend_all makes them all.")
        return self._lists(np.array([self._fitted().user_row(user)]), n, also_seen).drop(columns="user_id")

    def recommend_all(self, n=10, also_seen=None):
        """The lists of all users, one under the other, with a user_id column."""
        return self._lists(np.arange(self._fitted().n_users), n, also_seen)

    def _lists(self, rows, n, also_seen):
        ratings = self._fitted()
        columns = self._top_items(rows, n, also_seen)
        row, rank = np.nonzero(columns >= 0)
        col, users = columns[row, rank], rows[row]
        who = {"user_id": ratings.user_ids[users], "rank": rank + 1}
        what = {"item_id": ratings.item_ids[col], "title": ratings.item_labels[col]}
        return pd.DataFrame(who | what | {self.score_name: self._filled(users, col)[0]})

    def _top_items(self, rows, n, also_seen=None):
        """(len(rows), n) positions of the best unseen items, best first; -1 where a list is shorter than n."""
        check_number("n", n, low=1, whole=True)
        ratings = self._fitted()
        seen = ratings.known
        if also_seen is not None:
            if not ratings.same_universe(also_seen):
                raise ValueError(
                    "also_seen must have the users and items of the training ratings, as parts of one table do."
                )
            seen = seen + also_seen.known
        block = max(1, 2_000_000 // ratings.n_items)  # a few MB of scores at a time, however many users there are
        tops = [self._block_top(rows[at : at + block], n, seen) for at in range(0, len(rows), block)]
        return np.concatenate(tops)

    def _block_top(self, rows, n, seen):
        best = np.full((len(rows), n), -1)
        for top, row, score in zip(best, rows, self._row_scores(rows), strict=True):
            below = -np.round(score, TIE)
            below[seen.indices[seen.indptr[row] : seen.indptr[row + 1]]] = np.inf
            candidates = np.flatnonzero(np.isfinite(below))
            if len(candidates) > n:
                candidates = candidates[below[candidates] <= np.partition(below, n - 1)[n - 1]]
            order = candidates[np.argsort(below[candidates], kind="stable")[:n]]
            top[: len(order)] = order
        return best

    def _epochs(self):
        """Pass numbers 1..n_epochs, with a bar if `progress` asks for one."""
        return tqdm(range(1, self.n_epochs + 1), desc=type(self).__name__, disable=not self.progress)

    def _warn_unfinished(self, what):
        tol = getattr(self, "tol", None)
        advice = "; raise n_epochs" if tol is None else f" above tol={tol:g}; raise n_epochs or tol"
        warnings.warn(
            f"{type(self).__name__} stopped at n_epochs={self.n_epochs} with {what}{advice}.",
            ConvergenceWarning,
            stacklevel=4,
        )

    def _keep_after_interrupt(self):
        """Ctrl-C during a fit keeps what the whole passes so far have learnt; without one there is nothing to keep."""
        if not self.history_ or self._watch is not None:  # who watches wants whole fits
            raise  # the KeyboardInterrupt that is being handled
        warnings.warn(f"stopped by the keyboard after {len(self.history_)} whole passes; these are kept.", stacklevel=4)

    # -- somebody new --

    def fold_in(self, ratings):
        """A viewer whom the model was not trained on, from a few ratings: {item id or title: rating points}.

        The regression that gives a viewer of the training part their numbers, on the item side as trained: exact for
        the biases, ALS, the spectral family and neighbours, whose trained predictions it repeats; for models by descent
        the regression that their steps approach, left as early as they were. Nothing of the model changes.

        Returns a `Viewer`: predict, recommend, explain, uncertainty. Of an `OwnList` it also knows what was seen, and
        does not recommend it.
        """
        viewer = Viewer(self, *self._fitted().told(ratings))
        viewer.seen = self.ratings_.item_cols(getattr(ratings, "seen", []))
        return viewer

    def fold_in_item(self, ratings, features=None):
        """A title that the model was not trained on, from its ratings {user id or name: rating points} and, for models
        with item features, {feature name: value}. Returns a `NewTitle`: predict, audience, explain, uncertainty."""
        if features is not None and not self._reads_features:
            raise ValueError(f"{self!r} learns nothing from features.")
        return NewTitle(self, *self._fitted().told(ratings, axis=1), features=features)

    def viewer(self, user):
        """A viewer of the training part, by id or name, as a `Viewer`: their trained predictions, and reasons."""
        row = self._fitted().user_row(user)
        table = self.ratings_.csr[[row]]
        return Viewer(self, table.indices.astype(np.intp), table.data, row=row)

    def _fold(self, axis, at, values, features=None):
        """The regression of a new viewer (axis 0) or title (axis 1)."""
        return _ridge_fold(*self._half(axis, at, features), at, values)

    def _half(self, axis, at, features=None):
        """(offset, blocks of Z, penalties) of that regression: here there is nothing to learn about anybody."""
        n = self.ratings_.shape[1 - axis]
        return np.full(n, self.global_mean_), (np.zeros((n, 0)),), np.zeros(0)

    def _other_side(self, axis):
        """Biases, factors and cold mask of the side that stays as trained."""
        names = (("item_bias_", "item_factors_", "cold_items_"), ("user_bias_", "user_factors_", "cold_users_"))[axis]
        return tuple(getattr(self, name, None) for name in names)

    def _start_parts(self, start, axis):
        """What a prediction starts from, in words."""
        mean = self.global_mean_ if start and self.score_name == "predicted_rating" else 0.0
        return {"the mean of all ratings": mean, ("this title", "this viewer")[axis]: start - mean}

    def _terms(self, viewer, col, n):
        raise ValueError(f"{self!r} knows nothing of what titles are about; explain by ratings.")

    @property
    def noise_(self):
        """Standard deviation of a rating about its viewer's regression, rating points: root mean square of residual /
        sqrt(1 - leverage) over the training ratings. The item side is taken as known, so a model that overfits its
        titles sees too little noise."""
        if self._noise is None:
            _need_rating_points(self)
            squares, table = 0.0, self._fitted().csr
            for u in np.flatnonzero(np.diff(table.indptr)):
                known = slice(table.indptr[u], table.indptr[u + 1])
                fold = self._fold(0, table.indices[known], table.data[known])
                if fold.variance is None:
                    raise ValueError(
                        f"{self!r} has no ridge regression, solved to its end, to tell taste from noise by."
                    )
                Z = fold.rows(table.indices[known])
                leverage = (Z * fold.solve.T).sum(axis=1)
                left = fold.target - Z @ (fold.solve @ fold.target)
                squares += float((left**2 / np.maximum(1 - leverage, 1e-9)).sum())
            self._noise = float(np.sqrt(squares / table.nnz))
        return self._noise

    def save(self, path):
        """Write parameters, learnt arrays, training ratings and their hash to one .npz file, whole or not at all."""
        save_model(self, path)


class FactorModel(Recommender):
    """Models of the form intercept + b_u + b_i + p_u . q_i."""

    @property
    def _intercept(self):
        return self.global_mean_ if getattr(self, "biases", True) else 0.0

    def _scores(self, rows, cols):
        base = self._intercept + self.user_bias_[rows] + self.item_bias_[cols]
        return base + pair_dots(self.user_factors_, self.item_factors_, np.array(rows), np.array(cols))

    def _all_scores(self, rows):
        base = self._intercept + self.user_bias_[rows, None] + self.item_bias_[None, :]
        return base + self.user_factors_[rows] @ self.item_factors_.T

    def _half(self, axis, at, features=None):
        bias, factors, cold = self._other_side(axis)
        reg, bias_reg = self._penalties(len(at))
        penalty = np.full(factors.shape[1], float(reg))
        if getattr(self, "biases", True):
            return self._intercept + bias, (factors, np.ones((len(factors), 1))), np.append(penalty, bias_reg)
        lost = cold | (len(at) == 0)  # these get the mean, as in `predict`
        return np.where(lost, self._level_of_the_lost, 0.0), (np.where(lost[:, None], 0.0, factors),), penalty

    @property
    def _level_of_the_lost(self):
        return self.global_mean_

    def _penalties(self, n_ratings):
        """Of the factors and of the bias of a viewer with so many ratings."""
        return self.reg, getattr(self, "bias_reg", 0.0)

    def _start(self, ratings, rng, scale=0.1):
        """(P, Q) to start from: small random numbers, all ones, or the arrays that `init` gives."""
        k = self.n_factors
        shapes = ((ratings.n_users, k), (ratings.n_items, k))
        if isinstance(self.init, str) and self.init == "ones":
            return tuple(np.ones(shape) for shape in shapes)
        if isinstance(self.init, str) and self.init == "random":
            rng = np.random.default_rng(rng)
            return tuple(rng.normal(0.0, scale, shape) for shape in shapes)
        given = () if isinstance(self.init, str) else tuple(np.array(P, dtype=float, order="C") for P in self.init)
        if tuple(start.shape for start in given) != shapes or not all(np.isfinite(start).all() for start in given):
            raise ValueError(
                f"init must be 'random', 'ones' or finite arrays P, Q of shapes {shapes}, got "
                f"{[start.shape for start in given] or self.init!r}."
            )
        return given

    def _run_passes(self, one_pass):
        """Repeat `one_pass(epoch)`, which learns and returns a row for `history_`, until its objective has settled."""
        before = np.inf
        try:
            for epoch in self._epochs():
                row = one_pass(epoch)
                self._record({"epoch": epoch} | row)
                if self.tol > 0 and abs(before - row["objective"]) <= self.tol * row["objective"]:
                    break
                before = row["objective"]
            else:
                if self.tol > 0:
                    self._warn_unfinished("the change of the objective in one pass")
        except KeyboardInterrupt:
            self._keep_after_interrupt()


# ---- Floors: the mean, and the biases --------------------------------------------------------------------------------


class GlobalMean(Recommender):
    """Predicts the mean of the training ratings for every cell: the floor that any model must beat."""

    def _fit(self, ratings, validation=None):
        pass

    def _scores(self, rows, cols):
        return np.full(len(rows), self.global_mean_)


class Popularity(Recommender):
    """Ranks titles by how many viewers rated them, the same for everybody: the floor of every full-catalogue ranking.

    `predict` gives that count, not rating points, so `rmse` refuses it.
    """

    score_name = "count"

    def _fit(self, ratings, validation=None):
        self.counts_ = ratings.item_counts.astype(float)

    def _half(self, axis, at, features=None):
        _, blocks, penalty = super()._half(axis, at)
        return (np.full(len(blocks[0]), float(len(at))) if axis else self.counts_), blocks, penalty

    def _lost(self, rows, cols):
        return np.zeros(np.broadcast_shapes(rows.shape, cols.shape), dtype=bool)  # a count of 0 is knowledge

    def _scores(self, rows, cols):
        return self.counts_[cols]

    def _all_scores(self, rows):
        return np.broadcast_to(self.counts_, (len(rows), len(self.counts_)))


class BiasBaseline(Recommender):
    """A generous user and a good title: mu + b_u + b_i, a convex model with a closed form.

    Objective: sum (A - mu - b_u - b_i)^2 + reg (|b_u|^2 + |b_i|^2), mu the plain mean of the training ratings.

    Parameters
    ----------
    reg : float, at least 0
        lambda; like `reg` imaginary ratings of 0 deviation for each user and item. At 0 no certificate is defined.
    solver : "direct" or "cvxpy"
        The normal equations, or the problem as stated on paper.

    Attributes
    ----------
    global_mean_, user_bias_ (m,), item_bias_ (n,) : rating points
    certificate_ : Certificate
        The objective is 2 reg-strongly convex, so its gap is at most |gradient|^2 / (4 reg).

    Reference: Matrix Factorization Techniques for Recommender Systems, Computer 42(8), 2009 (baseline with biases).
    """

    _space = {"reg": IMAGINARY}

    def __init__(self, reg=5.0, solver="direct"):
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        _check_solver(self.solver, ("direct", "cvxpy"))
        deviations = ratings.values - self.global_mean_
        solve = _baseline_by_cvxpy if self.solver == "cvxpy" else _baseline_directly
        self.user_bias_, self.item_bias_ = solve(ratings, deviations, self.reg)
        where = (ratings.rows, ratings.cols)
        self.certificate_ = (
            bias_certificate(deviations, *where, self.user_bias_, self.item_bias_, self.reg) if self.reg > 0 else None
        )

    def _half(self, axis, at, features=None):
        bias = self._other_side(axis)[0]
        return self.global_mean_ + bias, (np.ones((len(bias), 1)),), np.array([float(self.reg)])

    def _scores(self, rows, cols):
        return self._level(rows, cols)

    def _all_scores(self, rows):
        return self._level(rows[:, None], np.arange(self.ratings_.n_items))


def _check_solver(solver, known):
    if solver not in known:
        raise ValueError(f"solver must be one of {list(known)}, got {solver!r}.")


def _baseline_directly(ratings, deviations, reg):
    return bias_solver(ratings.rows, ratings.cols, ratings.shape, reg)(deviations)


def _baseline_by_cvxpy(ratings, deviations, reg):
    import cvxpy as cp  # a second to import: only for those who ask for it

    b_user, b_item = cp.Variable(ratings.n_users), cp.Variable(ratings.n_items)
    error = deviations - b_user[ratings.rows] - b_item[ratings.cols]
    penalty = cp.sum_squares(b_user) + cp.sum_squares(b_item)
    _solve_cvxpy(cp.Problem(cp.Minimize(cp.sum_squares(error) + reg * penalty)), solver=cp.CLARABEL)
    return b_user.value, b_item.value


def _solve_cvxpy(problem, **options):
    """Solve, and read the status before any value: an inaccurate solution is not a solution."""
    problem.solve(**options)
    if problem.status != "optimal":
        raise RuntimeError(f"cvxpy's solver ended with status {problem.status!r}; loosen tol, or take our solver.")


# ---- Neighbours: titles rated alike ----------------------------------------------------------------------------------


class ItemKNN(Recommender):
    """Item neighbours on what the biases leave over: a title is rated as this viewer rated the titles most like it.

    Prediction: mu + b_u + b_i + sum_j w_ij r_uj / sum_j |w_ij|, over the `n_neighbors` most similar items j of i that u
    rated, r the residuals of `BiasBaseline(reg)`. The weight w_ij is their cosine over the users who rated both, times
    c / (c + shrinkage) for c such users; only positive weights count.

    Parameters
    ----------
    n_neighbors : int
        Neighbours kept for each item (whoever asks; a viewer may have rated none of them and then gets the biases).
    shrinkage : float
        So many common raters must two titles have before half of their similarity is believed.
    reg : float
        Penalty of the biases.

    Reference: Factor in the Neighbors: Scalable and Accurate Collaborative Filtering, ACM TKDD 4(1), 2010 (item-item
    model with shrunk similarities). Departures: cosine of baseline residuals instead of Pearson correlation, and the
    neighbours of an item are chosen once, not for each user.
    """

    _not_negative = ("reg", "shrinkage")

    _space = {"n_neighbors": Range(5, 100, log=True, unit="titles"), "reg": IMAGINARY,
              "shrinkage": Range(1.0, 100.0, log=True, unit="imaginary common raters")}  # fmt: skip

    def __init__(self, n_neighbors=40, shrinkage=10.0, reg=5.0):
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        deviations = ratings.values - self.global_mean_
        self.user_bias_, self.item_bias_ = _baseline_directly(ratings, deviations, self.reg)
        self.similarity_ = self._similarities(self._residuals())

    def _residuals(self):
        """What the biases leave over, as a sparse (m, n) table."""
        ratings = self.ratings_
        left = ratings.values - self.global_mean_ - self.user_bias_[ratings.rows] - self.item_bias_[ratings.cols]
        return sp.csr_array((left, (ratings.rows, ratings.cols)), shape=ratings.shape)

    def _similarities(self, R):
        """Shrunk cosines of the columns of R over common rows, the best `n_neighbors` of each column: sparse (n, n)."""
        pairs = float((np.diff(R.indptr).astype(float) ** 2).sum())  # at least as many as there are pairs of items
        check_memory((3, min(int(pairs), R.shape[1] ** 2)), "ItemKNN's table of item pairs")
        known = self.ratings_.known
        inner = (R.T @ R).tocsr()
        inner.eliminate_zeros()
        pairs_of = inner.astype(bool).astype(float)  # pairs whose weight is not 0: the same pattern in all three
        common = (known.T @ known).multiply(pairs_of).tocsr()
        squares = ((R**2).T @ known).multiply(pairs_of).tocsr()  # [i, j]: squares of i over the users who also rated j
        for table in (inner, common, squares):
            table.sort_indices()
        norms = np.sqrt(squares.data * squares.T.tocsr().data)
        cosine = np.divide(inner.data, norms, out=np.zeros_like(norms), where=norms > 0)
        inner.data = cosine * common.data / (common.data + self.shrinkage)
        inner.setdiag(0.0)
        return _best_of_each_row(inner, self.n_neighbors)

    def _scores(self, rows, cols):
        near, left, known = self.similarity_, self._residuals(), self.ratings_.known
        weighted = left[rows].multiply(near[cols]).sum(axis=1)
        weight = known[rows].multiply(near[cols]).sum(axis=1)
        return self._level(rows, cols) + np.divide(weighted, weight, out=np.zeros(len(rows)), where=weight > 0)

    def _all_scores(self, rows):
        near, left, known = self.similarity_, self._residuals()[rows], self.ratings_.known[rows]
        weighted, weight = (left @ near.T).toarray(), (known @ near.T).toarray()
        step = np.divide(weighted, weight, out=np.zeros_like(weighted), where=weight > 0)
        return self._level(rows[:, None], np.arange(self.ratings_.n_items)) + step

    def _fold(self, axis, at, values, features=None):
        """Z is a column of ones for the bias, and the shares w_ij / sum |w| of the neighbours for what that leaves."""
        if axis == 1:
            raise ValueError("ItemKNN compares the titles it was fitted to; for a new title fit it again.")
        offset, n = self.global_mean_ + self.item_bias_, len(at)
        near = self.similarity_[:, at].toarray()
        weight = near.sum(axis=1, keepdims=True)
        shares = np.divide(near, weight, out=np.zeros_like(near), where=weight > 0)
        bias = np.full((1, n), 1 / (n + self.reg)) if n else np.zeros((1, 0))
        return _Fold(
            offset, (np.ones((len(offset), 1)), shares), np.vstack([bias, np.eye(n) - bias]), values - offset[at]
        )


def _best_of_each_row(table, count):
    """A sparse table with only the `count` largest positive entries of each row; ties go by column."""
    rows = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    order = np.lexsort((table.indices, -np.round(table.data, TIE), rows))
    rank = np.arange(len(rows)) - table.indptr[rows]
    keep = order[(rank < count) & (table.data[order] > 0)]
    return sp.csr_array((table.data[keep], (rows[keep], table.indices[keep])), shape=table.shape)


# ---- Alternating least squares ---------------------------------------------------------------------------------------


@numba.njit(cache=True, error_model="numpy")
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


def _solve_rows_unpenalised(indptr, indices, weights, targets, other, base, out):
    """The same without a penalty, where a row may leave its factors undetermined: the least-norm solution."""
    for u in range(len(indptr) - 1):
        known = slice(indptr[u], indptr[u + 1])
        out[u] = np.linalg.lstsq(other[indices[known]], targets[known], rcond=None)[0]


def _check_solution(rows, reg):
    if not np.isfinite(rows).all():
        raise ValueError(f"the ridge regressions of reg={np.min(reg):g} are singular in floating point; raise reg.")


def ridge_rows(table, other, reg=0.0):
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
    table = sp.csr_array(table, dtype=float)
    other = np.ascontiguousarray(other, dtype=float)
    if other.ndim != 2 or len(other) != table.shape[1]:
        raise ValueError(
            f"`other` must have one row of factors for each of the table's {table.shape[1]} columns, got shape "
            f"{other.shape}; to solve for the items, pass ratings.csc.T and the user factors."
        )
    penalty = np.full(other.shape[1], reg, dtype=float)
    if not (penalty > 0).all() and penalty.any():
        raise ValueError(f"reg must be above 0, or 0 for all factors, got {reg}.")
    solve = solve_rows if penalty.any() else _solve_rows_unpenalised
    rows = np.empty((table.shape[0], other.shape[1]))
    solve(table.indptr, table.indices, np.ones(table.nnz), table.data, other, np.diag(penalty), rows)
    _check_solution(rows, reg)
    return rows


class ALS(FactorModel):
    """Alternating least squares: with one side of P Q' fixed, the other is a ridge regression for each row.

    Objective: sum (A - p.q)^2 + reg (|P|^2 + |Q|^2); with `biases`,
    sum (A - mu - b_u - b_i - p.q)^2 + bias_reg (|b_u|^2 + |b_i|^2) + reg (|P|^2 + |Q|^2), where b_u is solved together
    with p_u (a factor whose other side is fixed at 1), and b_i with q_i. Each half-step is exact, so the objective
    never rises; the problem as a whole is not convex, so where it stops depends on the start.

    Parameters
    ----------
    n_factors : int
        Rank k.
    reg : float
        lambda. 0 is allowed without biases: least-norm regressions, no certificate.
    biases, bias_reg : bool, float above 0
        Whether to add mu + b_u + b_i, solved together with the factors; lambda_b.
    n_epochs, tol : int, float
        At most `n_epochs` passes (users, then items); stop when a pass lowers the objective by less than `tol` of it.
        `tol=0` runs all passes. The fit ends with one more user half-step, so p_u is the exact regression on the final
        Q.
    init : "random", "ones", or a pair of arrays (P, Q)
        Normal(0, 0.1) entries, the course's all-ones trap (notebook 05), or a start of your own.
    random_state : int or Generator
    progress : bool

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k), user_bias_, item_bias_
    history_ : list of dict
        epoch, objective, train_rmse after each pass.
    certificate_ : Certificate, computed when first asked for
        The objective at P, Q is at least twice the spectral one at P Q' (same lambda, same lambda_b), because
        |X|_* = min (|P|^2 + |Q|^2) / 2 over X = P Q'. So twice a dual value of the convex problem bounds it from below.

    References: Large-Scale Parallel Collaborative Filtering for the Netflix Prize, AAIM 2008 (the method; its penalty
    is weighted by rating counts, ours is not). Maximum-Margin Matrix Factorization, NIPS 2004 (the factored nuclear
    norm).
    """

    _space = {"n_factors": RANK, "reg": IMAGINARY, "bias_reg": IMAGINARY}

    def __init__(self, n_factors=20, reg=5.0, biases=False, bias_reg=5.0, n_epochs=500, tol=1e-6, init="random",
                 random_state=0, progress=False):  # fmt: skip
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        if self.reg == 0 and self.biases:
            raise ValueError("reg=0 with biases leaves the biases undetermined; use a small positive reg.")
        if self.biases:
            check_number("bias_reg", self.bias_reg, strict=True)
        self.user_factors_, self.item_factors_ = self._start(ratings, self.random_state)
        self._certificate = None

        def one_pass(epoch):
            self._half_step(ratings.csr, self.user_factors_, self.user_bias_, self.item_factors_, self.item_bias_)
            self._half_step(ratings.csc.T, self.item_factors_, self.item_bias_, self.user_factors_, self.user_bias_)
            return dict(zip(("objective", "train_rmse"), self._objective(ratings), strict=True))

        self._run_passes(one_pass)
        self._half_step(ratings.csr, self.user_factors_, self.user_bias_, self.item_factors_, self.item_bias_)

    def _half_step(self, table, factors, bias, other, other_bias):
        """Solve every row of `table` for its factors (and bias, a factor whose other side is 1), in place."""
        if not self.biases:
            factors[:] = ridge_rows(table, other, self.reg)
            return
        table = sp.csr_array(table, copy=True)
        table.data -= self.global_mean_ + other_bias[table.indices]
        reg = np.append(np.full(self.n_factors, float(self.reg)), self.bias_reg)
        rows = ridge_rows(table, np.column_stack([other, np.ones(len(other))]), reg)
        factors[:], bias[:] = rows[:, :-1], rows[:, -1]

    def _objective(self, ratings):
        """(objective, training RMSE)."""
        residual = ratings.values - self._scores(ratings.rows, ratings.cols)
        loss = squared_loss(residual, self.reg, self.user_factors_, self.item_factors_)
        penalty = self.bias_reg * (self.user_bias_ @ self.user_bias_ + self.item_bias_ @ self.item_bias_)
        return float(loss + penalty), float(np.sqrt(np.mean(residual**2)))

    @property
    def certificate_(self):
        self._fitted()
        if self._certificate is None and self.reg > 0:
            convex = SpectralRegularization(self.reg, biases=self.biases, bias_reg=self.bias_reg, n_epochs=1000)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # any dual point bounds; a rough one only loosely
                bound = convex.fit(self.ratings_).certificate_
            self._certificate = Certificate(self._objective(self.ratings_)[0], 2 * bound.dual, bound.proven)
        return self._certificate


class ImplicitALS(FactorModel):
    """Matrix factorization of *who rated what*: every cell counts, and a rating raises the confidence of its cell.

    Objective: sum over all cells of c (s - p.q)^2 + reg (|P|^2 + |Q|^2); s = 1 where rated, else 0; c = 1 + confidence
    times the rating where rated, else 1. Alternating exact regressions: the unrated cells enter through Q'Q, which all
    users share, so a pass costs no more than a pass of `ALS`.

    `predict` gives a preference (near 1: likes to watch; near 0: does not), not rating points; `rmse` refuses it. A
    user or item without a training rating gets 0.

    Parameters
    ----------
    n_factors, reg, n_epochs, tol, init, random_state, progress : as in `ALS`; `reg` must be above 0.
    confidence : float, at least 0
        How much more a rated cell counts, for each rating point.

    Reference: Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008 (objective and the Q'Q device; there c
    grows with how often something was watched, here with the rating).
    """

    score_name = "preference"
    biases = False
    _positive = ("reg",)
    _not_negative = ("tol", "confidence")
    _space = {"n_factors": RANK, "reg": Range(1.0, 300.0, log=True, unit="lambda"),
              "confidence": Range(0.05, 5.0, log=True, unit="for each rating point")}  # fmt: skip

    def __init__(self, n_factors=20, reg=10.0, confidence=1.0, n_epochs=50, tol=1e-4, init="random", random_state=0,
                 progress=False):  # fmt: skip
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        if ratings.values.min() < 0:
            raise ValueError(f"confidence grows with the rating, which must not be negative: {ratings.values.min():g}.")
        self.user_factors_, self.item_factors_ = P, Q = self._start(ratings, self.random_state)

        def one_pass(epoch):
            self._half_step(ratings.csr, P, Q)
            self._half_step(ratings.csc.T, Q, P)
            return {"objective": self._objective(ratings)}

        self._run_passes(one_pass)
        self._half_step(ratings.csr, P, Q)

    def _level(self, rows, cols):
        return np.zeros(np.broadcast_shapes(rows.shape, cols.shape))  # nothing watched, nothing preferred

    def _fold(self, axis, at, values, features=None):
        """As in a half-step: every rated title is a preference of 1, with its confidence."""
        other = self._other_side(axis)[1]
        extra, rated = self.confidence * values[:, None], other[at]
        gram = other.T @ other + self.reg * np.eye(self.n_factors) + rated.T @ (extra * rated)
        solve = np.linalg.solve(gram, (rated * (1 + extra)).T)
        return _Fold(np.zeros(len(other)), (other,), solve, np.ones(len(at)))

    def _half_step(self, table, factors, other):
        table = sp.csr_array(table)
        extra = self.confidence * table.data  # c - 1
        base = other.T @ other + self.reg * np.eye(self.n_factors)
        solve_rows(table.indptr, table.indices, extra, 1 + extra, other, base, factors)
        _check_solution(factors, self.reg)

    def _objective(self, ratings):
        P, Q, c = self.user_factors_, self.item_factors_, 1 + self.confidence * ratings.values
        x = pair_dots(P, Q, ratings.rows, ratings.cols)
        unrated = np.vdot(P.T @ P, Q.T @ Q) - x @ x  # sum of (p.q)^2 over all cells, less the rated ones
        return float(unrated + c @ (1 - x) ** 2 + self.reg * (np.vdot(P, P) + np.vdot(Q, Q)))


# ---- One step at a time: gradient descent, and its stochastic form with biases ---------------------------------------


def _set_aside(ratings, share, rng, remedy):
    """(train, validation), where `fit` was given no validation part."""
    if share >= 1:
        raise ValueError(f"validation_size must be a share below 1, got {share}.")
    if round(len(ratings) * share) in (0, len(ratings)):
        raise ValueError(
            f"{len(ratings)} ratings cannot give a validation share of {share} and leave some to train on; pass a "
            f"validation part to fit, raise validation_size, or {remedy}."
        )
    return ratings.split_random(share, rng)


def _check_descent(model, error, epoch, scale):
    """Raise before a step that was too long leaves NaN behind: the error has outgrown the scale ten times."""
    if not error < 10 * max(abs(end) for end in scale):
        raise DivergenceError(
            f"{type(model).__name__} diverged in pass {epoch}: the training RMSE "
            f"{f'reached {error:.3g}' if np.isfinite(error) else 'overflowed'} on a scale of "
            f"{scale[0]:g} to {scale[1]:g}. learning_rate={model.learning_rate:g} is too long a step here; try "
            f"{model.learning_rate / 10:g}."
        )


class GradientDescentMF(FactorModel):
    """Full-batch gradient descent on the objective of `ALS`: all of P and Q take one step downhill together.

    Objective E = sum (A - p.q)^2 + reg (|P|^2 + |Q|^2). With the residuals R = A - P Q' on the known cells, zero
    elsewhere, dE/dP = 2 (reg P - R Q) and dE/dQ = 2 (reg Q - R' P); one pass is P -= learning_rate dE/dP, Q -=
    learning_rate dE/dQ, both from the values before it.

    Parameters
    ----------
    n_factors, reg, init, random_state, progress : as in `ALS`; reg may be 0.
    learning_rate : float, above 0
        eta. Too small crawls; too large diverges, which is a `DivergenceError`.
    n_epochs, tol : int, float
        At most `n_epochs` passes; stop when one lowers the objective by less than `tol` of it. `tol=0` runs all.

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k)
    history_ : list of dict
        epoch, objective, train_rmse after each pass.
    """

    biases = False
    _positive = ("learning_rate",)
    _space = {"n_factors": RANK, "reg": IMAGINARY,
              "learning_rate": Range(1e-5, 1e-2, log=True, unit="step of the whole table")}  # fmt: skip

    def __init__(self, n_factors=5, reg=5.0, learning_rate=1e-3, n_epochs=5000, tol=1e-6, init="random",
                 random_state=0, progress=False):  # fmt: skip
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        self.user_factors_, self.item_factors_ = self._start(ratings, self.random_state)

        def one_pass(epoch):
            P, Q = self.user_factors_, self.item_factors_
            with np.errstate(over="ignore", invalid="ignore"):  # `_check_descent` says it in words
                slope_P, slope_Q = self.gradient(ratings, P, Q)
                P, Q = P - self.learning_rate * slope_P, Q - self.learning_rate * slope_Q
                objective, error = self.objective(ratings, P, Q)
            _check_descent(self, error, epoch, ratings.scale)
            self.user_factors_, self.item_factors_ = P, Q
            return {"objective": objective, "train_rmse": error}

        self._run_passes(one_pass)

    def gradient(self, ratings, P, Q):
        """(dE/dP, dE/dQ) at any factors."""
        left = ratings.values - pair_dots(P, Q, ratings.rows, ratings.cols)
        R = sp.csr_array((left, (ratings.rows, ratings.cols)), shape=ratings.shape)
        return 2 * (self.reg * P - R @ Q), 2 * (self.reg * Q - R.T @ P)

    def objective(self, ratings, P, Q):
        """(E, training RMSE) at any factors."""
        left = ratings.values - pair_dots(P, Q, ratings.rows, ratings.cols)
        return squared_loss(left, self.reg, P, Q), float(np.sqrt(np.mean(left**2)))


@numba.njit(cache=True, inline="always")
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


@numba.njit(cache=True)
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


@numba.njit(cache=True, inline="always")
def cut(value, clip):
    """The value, at most `clip` in size; without a clip the compiler takes the question out of the loop."""
    return min(max(value, -clip), clip) if clip < np.inf else value


@numba.njit(cache=True)
def sgd_epoch(rows, cols, values, mean, theta, C, F, eta, reg, clip):
    """One pass, rating by rating in the order of the arrays: theta += eta (e * d prediction / d theta - reg * theta).

    That is half the negative gradient of the rating's own term, e^2 + reg |what it touches|^2; each entry of a step is
    cut to [-clip, clip]. Every step uses the values before it, so those that two updates need are read first.
    """
    b_user, b_item, P, Q, W, G = theta
    (C_start, C_col, C_val), (F_start, F_col, F_val) = C, F
    for rating in range(len(values)):
        u, i = rows[rating], cols[rating]
        p, q, w = P[u], Q[i], W[u]
        content = content_part(u, i, w, G, C_start, C_col, C_val, F_start, F_col, F_val)
        e = values[rating] - (mean + b_user[u] + b_item[i] + dot(p, q) + content)
        b_user[u] += eta * cut(e - reg * b_user[u], clip)
        b_item[i] += eta * cut(e - reg * b_item[i], clip)
        for f in range(len(p)):
            p_f, q_f = p[f], q[f]
            p[f] = p_f + eta * cut(e * q_f - reg * p_f, clip)
            q[f] = q_f + eta * cut(e * p_f - reg * q_f, clip)
        for t in range(C_start[i], C_start[i + 1]):  # non-zeros only: other weights feel neither error nor penalty
            j, c = C_col[t], C_val[t]
            w[j] += eta * cut(e * c - reg * w[j], clip)
        for s in range(F_start[u], F_start[u + 1]):
            g = G[F_col[s]]
            for t in range(C_start[i], C_start[i + 1]):
                j, c = C_col[t], F_val[s] * C_val[t]
                g[j] += eta * cut(e * c - reg * g[j], clip)


@numba.njit(cache=True)
def batch_epoch(rows, cols, values, batch_size, mean, theta, C, F, eta, reg, clip, steps):
    """The same in batches: all steps of a batch are computed at the values before it, kept in `steps`, then added."""
    b_user, b_item, P, Q, W, G = theta
    (C_start, C_col, C_val), (F_start, F_col, F_val) = C, F
    k = P.shape[1]
    for start in range(0, len(values), batch_size):
        batch = range(start, min(start + batch_size, len(values)))
        at = 0
        for rating in batch:
            u, i = rows[rating], cols[rating]
            p, q, w = P[u], Q[i], W[u]
            content = content_part(u, i, w, G, C_start, C_col, C_val, F_start, F_col, F_val)
            e = values[rating] - (mean + b_user[u] + b_item[i] + dot(p, q) + content)
            steps[at] = e - reg * b_user[u]
            steps[at + 1] = e - reg * b_item[i]
            step_p, step_q = steps[at + 2 : at + 2 + k], steps[at + 2 + k : at + 2 + 2 * k]
            for f in range(k):
                step_p[f] = e * q[f] - reg * p[f]
            for f in range(k):
                step_q[f] = e * p[f] - reg * q[f]
            at += 2 + 2 * k
            for t in range(C_start[i], C_start[i + 1]):
                j, c = C_col[t], C_val[t]
                steps[at] = e * c - reg * w[j]
                at += 1
            for s in range(F_start[u], F_start[u + 1]):
                for t in range(C_start[i], C_start[i + 1]):
                    steps[at] = e * F_val[s] * C_val[t] - reg * G[F_col[s], C_col[t]]
                    at += 1
        for s in range(at):
            steps[s] = cut(steps[s], clip)
        at = 0
        for rating in batch:
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


def _arrays(tables):
    """CSR tables as the compiled loops take them; SciPy has indices of two sizes, and each would be compiled for."""
    return tuple((table.indptr.astype(np.int64), table.indices.astype(np.int32), table.data) for table in tables)


class SGDMF(FactorModel):
    """Biases and factors by stochastic gradient descent: one rating, or a small batch of them, at a time.

    Objective: sum [(A - mu - b_u - b_i - p.q)^2 + reg (b_u^2 + b_i^2 + |p_u|^2 + |q_i|^2)], so the penalty counts once
    for every *rating*: somebody with ten times the ratings is held back ten times as strongly. One step is theta +=
    learning_rate * (e * d prediction / d theta - reg * theta), half the negative gradient of one term.

    Parameters
    ----------
    n_factors, reg : int, float
    learning_rate : float, above 0
        eta in the first pass.
    n_epochs : int
        At most so many passes, each over a fresh shuffle of the ratings.
    batch_size : int or None
        Steps of so many ratings are taken together, from the values before them, and *added up* (so the same
        `learning_rate` moves about as far in a pass, until the batch is so large that it overshoots); None is all.
    schedule, decay : "constant", "inverse" or "exponential"; float, at least 0
        eta in pass t: learning_rate, learning_rate / (1 + decay (t - 1)), or learning_rate exp(-decay (t - 1)).
    clip : float or None
        Each entry of a rating's step, before eta, is cut to [-clip, clip].
    patience : int or None
        Stop after so many passes without a lower validation RMSE and keep the best pass. None runs all `n_epochs` and
        keeps the last; a validation part is then only measured. On small tables the error can rest on the level of the
        biases for a dozen passes before the factors begin to matter: be patient there.
    validation_size : float
        Share of the ratings set aside, and not learnt from, where `fit` is given no validation part and `patience` is
        set.
    init, init_scale : as in `ALS`; standard deviation of the random start.
    random_state : int or Generator
    progress : bool

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k), user_bias_ (m,), item_bias_ (n,)
        Zero for users and items without a rating to learn from.
    best_epoch_ : int
        The pass that was kept: the one of smallest validation RMSE (never of the regularised loss), or the last.
    history_ : list of dict
        epoch, train_rmse, train_loss, and with validation validation_rmse, validation_loss; a loss is the published
        (sum e^2 + reg * |all parameters|^2) / count.

    Raises
    ------
    DivergenceError : the steps are too long, also where an earlier pass was a good one.

    Reference: Matrix Factorization Techniques for Recommender Systems, Computer 42(8), 2009 (biases, factors, and their
    stochastic steps).
    """

    _positive = ("learning_rate", "init_scale", "clip", "validation_size")
    _not_negative = ("reg", "decay")
    _whole = ("n_factors", "n_epochs", "batch_size", "patience")
    _optional = ("clip", "batch_size", "patience")
    _features = None  # the tables as the compiled loops take them
    _space = {"n_factors": RANK, "learning_rate": Range(1e-3, 1e-1, log=True, unit="step of one rating"),
              "reg": Range(1e-3, 0.3, log=True, unit="lambda, once for each rating")}  # fmt: skip

    def __init__(self, n_factors=20, reg=0.02, learning_rate=0.01, n_epochs=200, batch_size=1, schedule="constant",
                 decay=0.0, clip=None, patience=5, validation_size=0.1, init="random", init_scale=0.01, random_state=0,
                 progress=False):  # fmt: skip
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        schedules = ("constant", "inverse", "exponential")
        if self.schedule not in schedules:
            raise ValueError(f"schedule must be one of {schedules}, got {self.schedule!r}.")
        rng = np.random.default_rng(self.random_state)
        if validation is None and self.patience is not None:
            ratings, validation = _set_aside(ratings, self.validation_size, rng, "set patience=None")
        self.global_mean_ = float(ratings.values.mean())
        self._prepare(ratings, rng)
        self._descend(ratings, validation, rng)

    def _prepare(self, ratings, rng):
        """Where the descent starts; what has no rating to learn from starts, and stays, at 0."""
        self.user_factors_, self.item_factors_ = self._start(ratings, rng, self.init_scale)
        self.user_factors_[ratings.user_counts == 0] = 0.0
        self.item_factors_[ratings.item_counts == 0] = 0.0

    @property
    def _tables(self):
        """Features of the items and of the users, sparse (n, d) and (m, f): none here."""
        return sp.csr_array((len(self.item_factors_), 0)), sp.csr_array((len(self.user_factors_), 0))

    @property
    def _weights(self):
        """The weights W and G on them."""
        return np.zeros((len(self.user_factors_), 0)), np.zeros((0, 0))

    @property
    def _theta(self):
        return self.user_bias_, self.item_bias_, self.user_factors_, self.item_factors_, *self._weights

    def _penalties(self, n_ratings):
        return (self.reg * max(n_ratings, 1),) * 2  # it counts once for every rating

    def _fold(self, axis, at, values, features=None):
        """The ridge regression of the objective, left as early as the training was: early stopping held the trained
        factors back more than the penalty did.

        Small steps from 0 that add up to a time T lead to x = (I - exp(-T G)) G^-1 Z' t with G = Z'Z + D; for T without
        end that is the ridge regression itself.
        """
        offset, blocks, penalty = self._half(axis, at, features)
        fold = _Fold(offset, blocks, np.zeros((len(penalty), len(at))), values - offset[at])
        Z = fold.rows(at)
        met = Z.any(axis=0)  # the weight of a feature that was never met stays 0
        g, V = np.linalg.eigh(Z[:, met].T @ Z[:, met] + np.diag(penalty[met]))
        time_ = sum(self._step(epoch) for epoch in range(1, self.best_epoch_ + 1))
        passed = np.where(g * time_ > 1e-12, -np.expm1(-time_ * g) / np.maximum(g, 1e-300), time_)
        fold.solve[met] = (V * passed) @ (Z[:, met] @ V).T
        return fold

    def _descend(self, ratings, validation, rng):
        theta, data = self._theta, (ratings.rows, ratings.cols, ratings.values)
        self._features = _arrays(self._tables)  # made once: on small tables the passes cost less than making it
        lowest, kept = np.inf, None
        try:
            for epoch in self._epochs():
                order = rng.permutation(len(ratings))
                self._one_pass(epoch, *(array.take(order) for array in data))
                row = self._measure(epoch, ratings, validation)
                _check_descent(self, row["train_rmse"], epoch, ratings.scale)
                better = self.patience is None or row["validation_rmse"] < lowest
                if better:
                    lowest, kept = row.get("validation_rmse"), (epoch, [array.copy() for array in theta])
                self._record(row)
                if not better and epoch - kept[0] >= self.patience:
                    break
            else:
                if self.patience is not None and kept[0] == self.n_epochs:
                    self._warn_unfinished("the validation RMSE still falling")
        except KeyboardInterrupt:
            self._keep_after_interrupt()
        self.best_epoch_, values = kept
        for array, value in zip(theta, values, strict=True):
            array[:] = value

    def _one_pass(self, epoch, rows, cols, values):
        C, F = self._features
        clip = np.inf if self.clip is None else float(self.clip)
        rest = self.global_mean_, self._theta, C, F, self._step(epoch), self.reg, clip
        if self.batch_size == 1:
            sgd_epoch(rows, cols, values, *rest)
            return
        batch_size = len(values) if self.batch_size is None else self.batch_size
        touched = 2 + 2 * self.n_factors + np.diff(C[0])[cols] * (1 + np.diff(F[0])[rows])
        steps = np.empty(min(int(touched.sum()), batch_size * int(touched.max())))
        batch_epoch(rows, cols, values, batch_size, *rest, steps)

    def _scores(self, rows, cols):
        C, F = self._features or _arrays(self._tables)
        return predict_pairs(np.array(rows), np.array(cols), self.global_mean_, self._theta, C, F)

    def _step(self, epoch):
        """eta in this pass."""
        shrink = {"constant": 1.0, "inverse": 1 / (1 + self.decay * (epoch - 1)),
                  "exponential": np.exp(-self.decay * (epoch - 1))}  # fmt: skip
        return self.learning_rate * shrink[self.schedule]

    def _measure(self, epoch, ratings, validation):
        row, norms = {"epoch": epoch}, sum(float(np.vdot(array, array)) for array in self._theta)
        for name, part in (("train", ratings), ("validation", validation)):
            if part is not None:
                with np.errstate(over="ignore", invalid="ignore"):  # `_check_descent` says it in words
                    squares = float(np.sum((part.values - self._scores(part.rows, part.cols)) ** 2))
                row[f"{name}_rmse"] = float(np.sqrt(squares / len(part)))
                row[f"{name}_loss"] = (squares + self.reg * norms) / len(part)
        return row


# ---- What the titles are about: factors helped by features, and features alone ---------------------------------------


class _ContentModel(Recommender):
    """Models with a linear taste: weights of each viewer on the features of the titles."""

    _reads_features = True

    def _item_table(self, ratings):
        return self._rows_of("item_features", ratings.item_ids)

    def _rows_of(self, name, ids):
        features = getattr(self, name)
        if not isinstance(features, Features):
            raise TypeError(
                f"{type(self).__name__} needs {name}, a Features table (see load_features), got "
                f"{type(features).__name__}."
            )
        return features.rows_for(ids)

    def _lost(self, rows, cols):
        """A cold title with features, or a cold viewer with a profile, is known after all."""
        unknown_item = self.cold_items_ & (np.diff(self.item_table_.indptr) == 0)
        return self._unknown_users[rows] | unknown_item[cols]

    @property
    def _unknown_users(self):
        return self.cold_users_

    def _new_item(self, features):
        """The row of C of a new title, from {feature name: value}."""
        names = {name: j for j, name in enumerate(self.item_features.names.tolist())}
        unknown = sorted(set(features or {}) - set(names))
        if unknown:
            raise ValueError(f"unknown features {unknown}; the {len(names)} known ones are such as {list(names)[:5]}.")
        row = np.zeros(len(names))
        for name, value in (features or {}).items():
            check_number(f"feature {name!r}", value, low=-np.inf)
            row[names[name]] = value
        return getattr(self, "content_weight", 1.0) * row

    def _terms(self, viewer, col, n):
        x, z = viewer._fold.solve @ viewer._fold.target, viewer._fold.rows([col])[0]
        if viewer.row is not None:
            x = self._trained_row(viewer.row)
        k, shared = len(x) - 1 - self.item_table_.shape[1], self._shared_taste(viewer.row)
        at = np.flatnonzero(z[k:-1])
        parts = ((x[k:-1] + shared) * z[k:-1])[at]
        own = list(zip(self.item_features.names[at].tolist(), [np.nan] * len(at), parts.tolist(), strict=True))
        head = {"the mean of all ratings": self.global_mean_, "this title": self.item_bias_[col],
                "this viewer": x[-1], "hidden factors": x[:k] @ z[:k]}  # fmt: skip
        return _reasons(head, own, {}, n, "terms")

    def taste(self, user):
        """The weights of one viewer, by feature, largest first: own, and with what all viewers share added."""
        row = self._fitted().user_row(user)
        own = self.feature_weights_[row]
        table = pd.DataFrame({"feature": self.item_features.names, "own": own, "weight": own + self._shared_taste(row)})
        return table.sort_values("weight", ascending=False, kind="stable", ignore_index=True)

    def _shared_taste(self, row):
        return 0.0

    def _trained_row(self, row):
        """The numbers of a viewer of the training part, in the order of the blocks of `_half`."""
        return np.append(self.feature_weights_[row], self.user_bias_[row])


class ContentMF(_ContentModel, SGDMF):
    """`SGDMF` helped by what the titles are about: each viewer also has a weight on every feature of an item.

    Prediction: mu + b_u + b_i + p_u . q_i + (w_u + F_u G) . C_i, with C_i the features of the item (times
    `content_weight`), w_u the viewer's own weights on them, and F_u G the weights of people like the viewer: F_u is 1,
    then the viewer's features (profile), so the first row of G is what everybody shares. Objective: that of `SGDMF`
    with this prediction, and the penalty of a rating extended to the weights it touches: w_uj where C_ij is not 0, G_fj
    where F_uf is not 0 either. **Only the non-zeros of C_i are touched**: a weight is shrunk by the ratings of items
    that have its feature, not by every rating of the viewer; a weight whose feature a viewer has never met stays 0. (A
    penalty on all of w_u at every rating would cost d steps instead of a dozen, and shrink rare features to nothing.)

    A title without a rating is predicted from its features; a viewer without one from F_u G. Only where these are
    missing too does the prediction fall back, counted in `n_fallback_`.

    Parameters
    ----------
    item_features : Features
        Matched to the ratings by item id: the order of its rows does not matter.
    user_features : Features, optional
        The profile, matched by user id.
    content_weight : float, at least 0
        Balance of the two parts: multiplies the item features. 0 leaves `SGDMF`.
    shared_weights : bool
        Whether F_u begins with the 1; without it and without `user_features` the model is the published one, p.q + w_u
        . C_i.
    the others : as in `SGDMF`

    Attributes
    ----------
    feature_weights_ (m, d), group_weights_ (f, d) : W, G
    item_table_ (n, d), user_table_ (m, f) : C and F as fitted, sparse
    the others : as in `SGDMF`
    """

    _not_negative = ("reg", "decay", "content_weight")
    _space = SGDMF._space | {"content_weight": Range(0.2, 3.0, log=True, unit="times the features")}

    def __init__(self, item_features=None, user_features=None, content_weight=1.0, shared_weights=True, n_factors=20,
                 reg=0.02, learning_rate=0.01, n_epochs=200, batch_size=1, schedule="constant", decay=0.0, clip=None,
                 patience=5, validation_size=0.1, init="random", init_scale=0.01, random_state=0,
                 progress=False):  # fmt: skip
        _store(self, locals())

    def _prepare(self, ratings, rng):
        super()._prepare(ratings, rng)
        self.item_table_ = self.content_weight * self._item_table(ratings)
        self.item_table_.eliminate_zeros()  # content_weight=0 leaves nothing known
        self.user_table_ = self._user_table(ratings)
        shapes = (ratings.n_users, self.item_table_.shape[1]), (self.user_table_.shape[1], self.item_table_.shape[1])
        check_memory(shapes[0], "one weight for each user and feature (features.reduced() has fewer)")
        self.feature_weights_, self.group_weights_ = np.zeros(shapes[0]), np.zeros(shapes[1])

    def _user_table(self, ratings):
        columns = [sp.csr_array(np.ones((ratings.n_users, int(self.shared_weights))))]
        if self.user_features is not None:
            columns.append(self._rows_of("user_features", ratings.user_ids))
        return sp.csr_array(sp.hstack(columns))

    @property
    def _weights(self):
        return self.feature_weights_, self.group_weights_

    @property
    def _tables(self):
        return self.item_table_, self.user_table_

    @property
    def _unknown_users(self):
        return self.cold_users_ & (np.diff(self.user_table_.indptr) <= int(self.shared_weights))  # no profile either

    def _shared_taste(self, row):
        """What people like this viewer share; of somebody new only the 1 of their profile is known."""
        if row is None:
            return self.group_weights_[0] if self.shared_weights else 0.0
        return (self.user_table_[[row]] @ self.group_weights_)[0]

    def _trained_row(self, row):
        return np.concatenate([self.user_factors_[row], super()._trained_row(row)])

    def _half(self, axis, at, features=None):
        reg = self._penalties(len(at))[0]
        if axis == 1:
            offset, blocks, penalty = super()._half(axis, at)
            tastes = self.feature_weights_ + self.user_table_ @ self.group_weights_
            return offset + tastes @ self._new_item(features), blocks, penalty
        C = self.item_table_
        offset = self.global_mean_ + self.item_bias_ + C @ np.broadcast_to(self._shared_taste(None), C.shape[1])
        touched = np.bincount(C[at].indices, minlength=C.shape[1])  # only the weights of features that were met
        penalty = [np.full(self.n_factors, reg), self.reg * np.maximum(touched, 1), [reg]]
        return offset, (self.item_factors_, C, np.ones((len(offset), 1))), np.concatenate(penalty)

    def _all_scores(self, rows):
        tastes = self.feature_weights_[rows] + self.user_table_[rows] @ self.group_weights_
        return super()._all_scores(rows) + (self.item_table_ @ tastes.T).T

    def _filled(self, rows, cols):
        return self._scores(rows, cols), self._lost(rows, cols)  # what is cold has weights 0: no other fallback needed

    def _row_scores(self, rows):
        return self._all_scores(rows)


def _ridge(X, target, reg):
    """argmin |target - X w|^2 + reg |w|^2, by the smaller of the two Gram matrices of a sparse X."""
    if X.shape[0] < X.shape[1]:
        return X.T @ np.linalg.solve((X @ X.T).toarray() + reg * np.eye(X.shape[0]), target)
    return np.linalg.solve((X.T @ X).toarray() + reg * np.eye(X.shape[1]), X.T @ target)


class ContentOnly(_ContentModel):
    """What the titles are about, and nothing else: a ridge regression for each viewer on the features of their titles.

    Objective: sum (A - mu - b_u - w_u . C_i)^2 + reg (b_u^2 + |w_u|^2) for each viewer on their own: convex, solved
    directly. Other viewers' ratings matter only through mu.

    Parameters
    ----------
    item_features : Features
    reg : float, above 0

    Attributes
    ----------
    user_bias_ (m,), feature_weights_ (m, d)
    certificate_ : Certificate
        The objective is 2 reg-strongly convex, so its gap is at most |gradient|^2 / (4 reg).
    """

    _positive = ("reg",)
    _space = {"reg": IMAGINARY}

    def __init__(self, item_features=None, reg=1.0):
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        self.item_table_ = C = self._item_table(ratings)
        check_memory((ratings.n_users, C.shape[1]), "one weight for each user and feature")
        self.feature_weights_ = np.zeros((ratings.n_users, C.shape[1]))
        with_one = sp.csr_array(sp.hstack([C, np.ones((C.shape[0], 1))]))  # the bias is the weight on a constant
        table = ratings.csr
        for u in np.flatnonzero(np.diff(table.indptr)):
            known = slice(table.indptr[u], table.indptr[u + 1])
            target = table.data[known] - self.global_mean_
            weights = _ridge(with_one[table.indices[known]], target, self.reg)
            self.feature_weights_[u], self.user_bias_[u] = weights[:-1], weights[-1]
        self.certificate_ = self._certify(ratings)

    def _half(self, axis, at, features=None):
        if axis == 1:  # the features are all that counts
            offset = self.global_mean_ + self.user_bias_ + self.feature_weights_ @ self._new_item(features)
            return offset, (np.zeros((len(offset), 0)),), np.zeros(0)
        C = self.item_table_
        blocks = C, np.ones((C.shape[0], 1))
        return np.full(C.shape[0], self.global_mean_), blocks, np.full(C.shape[1] + 1, float(self.reg))

    def _certify(self, ratings):
        left = ratings.values - self._scores(ratings.rows, ratings.cols)
        R = sp.csr_array((left, (ratings.rows, ratings.cols)), shape=ratings.shape)
        W, b = self.feature_weights_, self.user_bias_
        half_W, half_b = self.reg * W - R @ self.item_table_, self.reg * b - R.sum(axis=1)  # half the gradient
        primal = left @ left + self.reg * (np.vdot(W, W) + b @ b)
        return Certificate(float(primal), float(primal - ((np.square(half_W)).sum() + half_b @ half_b) / self.reg))

    def _scores(self, rows, cols):
        base = self.global_mean_ + self.user_bias_[rows]
        return base + self.item_table_[cols].multiply(self.feature_weights_[rows]).sum(axis=1)

    def _all_scores(self, rows):
        return self.global_mean_ + self.user_bias_[rows, None] + (self.item_table_ @ self.feature_weights_[rows].T).T


# ---- The convex pair: spectral regularization, and the nuclear norm as its limit -------------------------------------


def _power_step(Z, V):
    """One warm-started step of block power iteration: approximate top singular triplets of Z, largest first.

    `Z` (m, n) is a dense array or a LinearOperator, `V` (n, b) a guess of its top right singular vectors. The columns
    of Z V are made orthonormal, and the triplets are read off the small matrix Z'Q (Rayleigh-Ritz).
    """
    basis = np.linalg.qr(Z @ V)[0]  # (m, b)
    B = Z.T @ basis  # (n, b)
    squares, rotation = np.linalg.eigh(B.T @ B)
    s = np.sqrt(np.maximum(squares[::-1], np.finfo(float).tiny))
    rotation = rotation[:, ::-1]
    return basis @ rotation, s, (B @ rotation) / s


class _Splitting:
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

    def __init__(self, ratings, target, reg, share=0.5, random_state=0):
        self.rows, self.cols, self.shape = ratings.rows, ratings.cols, ratings.shape
        self.dense = np.prod(self.shape, dtype=float) <= DENSE_CELLS
        self.rho = 1.9 if self.dense else 1.0
        self.flat = self.rows * self.shape[1] + self.cols
        self.rng = np.random.default_rng(random_state)
        self.z = target.copy()  # Z on the known cells
        table = self._sparse(self.z)
        self.Z = table.toarray() if self.dense else scipy.sparse.linalg.aslinearoperator(table)
        self.V = np.linalg.qr(self.rng.standard_normal((self.shape[1], min(10, *self.shape))))[0]
        for _ in range(3):
            _, s, self.V = _power_step(self.Z, self.V)
        self.threshold = share * s[0] if target.any() else 1.0  # nothing to explain: X = 0 at once
        self.step = self.threshold / reg

    def _sparse(self, values):
        return sp.csr_array((values, (self.rows, self.cols)), shape=self.shape)

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


class _SoftImpute:
    """Accelerated proximal gradient, the method of the lecture, with the same verbs as `_Splitting`.

    Y = X + momentum; fill the holes of the table with Y; X = shrink its singular values by reg (a full SVD); restart
    the momentum when it points uphill.
    """

    def __init__(self, ratings, target, reg):
        check_memory(ratings.shape, "solver='soft_impute'")
        self.rows, self.cols, self.reg, self.speed = ratings.rows, ratings.cols, reg, 1.0
        self.X = self.Y = np.zeros(ratings.shape)
        self.reflect(None, target)

    def shrink(self):
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


def _run_splitting(model, state, prox_data, certify):
    """Alternate until `certify` finds everything within tol; fills `history_`, `certificate_`."""
    next_check, excess = 10, np.inf
    try:
        for epoch in model._epochs():
            x = state.shrink()
            if epoch >= next_check or epoch == model.n_epochs:
                certificate, excess = certify(x)
                _log(model.history_, epoch, certificate, len(state.s), excess)
                if excess <= model.tol:
                    break
                next_check = _next_check(model.history_, model.tol)
            state.reflect(x, prox_data(state.point(x)))
    except KeyboardInterrupt:
        warnings.warn(f"stopped by the keyboard in pass {epoch}; what was reached is kept.", stacklevel=5)
        certificate, excess = certify(state.shrink())
        _log(model.history_, epoch, certificate, len(state.s), excess)
    else:
        if excess > model.tol:
            model._warn_unfinished(
                f"a relative gap of {certificate.relative_gap:.1e} (worst of gap and violation {excess:.1e})"
            )
    model.certificate_ = certificate


def _log(history, epoch, certificate, rank, excess):
    history.append({"epoch": epoch, "primal": certificate.primal, "dual": certificate.dual,
                    "relative_gap": certificate.relative_gap, "rank": rank, "excess": float(excess)})  # fmt: skip


def _next_check(history, tol):
    """A certificate costs more than a pass: look again where the line through the last two log-excesses reaches tol."""
    wait = 10
    if len(history) > 1 and 0 < history[-1]["excess"] < history[-2]["excess"]:
        (e0, g0), (e1, g1) = ((h["epoch"], h["excess"]) for h in history[-2:])
        wait = np.clip(0.8 * np.log(g1 / max(tol, 1e-15)) * (e1 - e0) / np.log(g0 / g1), 5, 50)
    return history[-1]["epoch"] + int(wait)


class _LowRank(FactorModel):
    """A completed matrix X = U diag(s) Vt, with balanced factors P = U sqrt(s), Q = V sqrt(s) to predict from."""

    def _keep(self, U, s, Vt):
        signs = np.sign(Vt[np.arange(len(s)), np.abs(Vt).argmax(axis=1)]) if len(s) else np.ones(0)
        self.U_, self.s_, self.Vt_ = U * signs, s, Vt * signs[:, None]  # the largest entry of each v is positive
        self.user_factors_ = np.ascontiguousarray(self.U_ * np.sqrt(s))
        self.item_factors_ = np.ascontiguousarray(self.Vt_.T * np.sqrt(s))


class SpectralRegularization(_LowRank):
    """Low rank by a convex penalty on the singular values; with biases, all of it jointly convex.

    Objective: (1/2) sum (A - X)^2 + reg |X|_*; with `biases`,
    (1/2) sum (A - mu - b_u - b_i - X)^2 + (bias_reg / 2)(|b_u|^2 + |b_i|^2) + reg |X|_*, |X|_* the sum of singular
    values.

    Parameters
    ----------
    reg : float, above 0
        lambda; singular values below about lambda vanish, so it decides the rank.
    biases, bias_reg : bool, float above 0
    n_epochs, tol : int, float
        At most `n_epochs` passes, until the certified relative gap is at most `tol`.
    solver : "splitting", "soft_impute" or "cvxpy"
        Douglas-Rachford splitting (fast, any size); the accelerated proximal gradient method of the lecture (a full
        SVD a pass, dense); or the problem as stated on paper (SCS, dense and slow).
    progress : bool

    Attributes
    ----------
    U_ (m, r), s_ (r,), Vt_ (r, n) : the completed matrix (without mu and biases)
    user_factors_, item_factors_ : U sqrt(s) and V sqrt(s)
    certificate_ : Certificate
    history_ : list of dict
        epoch, primal, dual, relative_gap, rank at each check of the certificate.

    Reference: Spectral Regularization Algorithms for Learning Large Incomplete Matrices, JMLR 11, 2010 (objective and
    soft-impute).
    """

    _positive = ("reg", "bias_reg")

    _space = {"reg": Range(0.5, 50.0, log=True, unit="rating points off each singular value"), "bias_reg": IMAGINARY}

    def __init__(
        self, reg=5.0, biases=False, bias_reg=5.0, n_epochs=3000, tol=1e-6, solver="splitting", progress=False
    ):
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        solvers = {"splitting": self._fit_splitting, "soft_impute": self._fit_soft_impute, "cvxpy": self._fit_cvxpy}
        _check_solver(self.solver, solvers)
        target = ratings.values - self._intercept
        if not self.biases:
            self._solve_biases = lambda values: (self.user_bias_, self.item_bias_)  # they stay at 0
        else:
            self._solve_biases = bias_solver(ratings.rows, ratings.cols, ratings.shape, self.bias_reg)
        try:
            solvers[self.solver](ratings, target)
        finally:
            del self._solve_biases

    def _certify(self, ratings, target, x, nuclear_norm):
        """Certificate at X (on the known cells); with biases they are first solved exactly for this X."""
        self.user_bias_, self.item_bias_ = self._solve_biases(target - x)
        residual = target - x - self.user_bias_[ratings.rows] - self.item_bias_[ratings.cols]
        biases = (self.user_bias_, self.item_bias_) if self.biases else None
        where = (ratings.rows, ratings.cols, ratings.shape)
        return spectral_certificate(target, residual, *where, self.reg, nuclear_norm, biases, self.bias_reg)

    def _fit_splitting(self, ratings, target):
        state = _Splitting(ratings, target, self.reg)
        t = state.step
        if self.biases:  # minimising the biases out of the prox: the same equations, with (1 + t) times the penalty
            solve = bias_solver(ratings.rows, ratings.cols, ratings.shape, self.bias_reg * (1 + t))

        def prox_data(v):  # argmin (1/2)(target - b - w)^2 + (w - v)^2 / (2t) over w (and b)
            if not self.biases:
                return (v + t * target) / (1 + t)
            b_user, b_item = solve(target - v)
            return (v + t * (target - b_user[ratings.rows] - b_item[ratings.cols])) / (1 + t)

        self._iterate(ratings, target, state, prox_data)

    def _fit_soft_impute(self, ratings, target):
        def step_data(y):  # a gradient step of length 1 from Y lands on the ratings, less the biases that fit best
            b_user, b_item = self._solve_biases(target - y)
            return target - b_user[ratings.rows] - b_item[ratings.cols]

        self._iterate(ratings, target, _SoftImpute(ratings, target, self.reg), step_data)

    def _iterate(self, ratings, target, state, prox_data):
        def certify(x):
            certificate = self._certify(ratings, target, x, state.s.sum())
            return certificate, certificate.relative_gap

        nothing = self._certify(ratings, target, np.zeros(len(target)), 0.0)
        if nothing.relative_gap <= 1e-12:  # reg is at least the residual's spectral norm: X = 0 is proven optimal
            _log(self.history_, 0, nothing, 0, nothing.relative_gap)
            self.certificate_ = nothing
            self._keep(np.zeros((ratings.n_users, 0)), np.zeros(0), np.zeros((0, ratings.n_items)))
            return
        _run_splitting(self, state, prox_data, certify)
        self._keep(state.U, state.s, state.right.T)

    def _fit_cvxpy(self, ratings, target):
        import cvxpy as cp

        check_memory(ratings.shape, "solver='cvxpy'")
        X, b_user, b_item = cp.Variable(ratings.shape), cp.Variable(ratings.n_users), cp.Variable(ratings.n_items)
        error = target - X[ratings.rows, ratings.cols]
        penalty = self.reg * cp.normNuc(X)
        if self.biases:
            error = error - b_user[ratings.rows] - b_item[ratings.cols]
            penalty = penalty + self.bias_reg / 2 * (cp.sum_squares(b_user) + cp.sum_squares(b_item))
        problem = cp.Problem(cp.Minimize(cp.sum_squares(error) / 2 + penalty))
        _solve_cvxpy(problem, solver=cp.SCS, eps_abs=self.tol, eps_rel=self.tol, max_iters=100_000)
        U, s, Vt = np.linalg.svd(X.value, full_matrices=False)
        self.certificate_ = self._certify(ratings, target, X.value[ratings.rows, ratings.cols], s.sum())
        self._keep(U, s, Vt)


class NuclearNorm(_LowRank):
    """The completion of smallest nuclear norm that repeats every known rating exactly.

    Objective: |X|_* subject to X = A on the known cells; spectral regularization in the limit of lambda -> 0.

    Parameters
    ----------
    n_epochs, tol : int, float
        At most `n_epochs` passes, until the certified relative gap is at most `tol` and X repeats every known rating to
        within `tol` rating points.
    solver : "splitting" or "cvxpy"
        Both keep a dense table (within `MAX_DENSE_BYTES`), which the feasible point of the certificate needs.
    progress : bool

    Attributes
    ----------
    U_, s_, Vt_, user_factors_, item_factors_ : the low-rank X, before the known ratings are pasted into it
    violation_ : float
        max |X - A| over the known cells, rating points.
    certificate_ : Certificate
        Of the feasible point: X with the known ratings pasted in.
    history_ : list of dict

    Reference: Exact Matrix Completion via Convex Optimization, Found. Comput. Math. 9, 2009 (the problem and when it
    recovers the truth).
    """

    biases = False  # predictions are X itself, without a mean
    reg = 0.0  # the limit: of all factors that repeat the ratings, those of least norm

    def __init__(self, n_epochs=20_000, tol=1e-6, solver="splitting", progress=False):
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        _check_solver(self.solver, ("splitting", "cvxpy"))
        check_memory(ratings.shape, "NuclearNorm's feasible point")
        (self._fit_cvxpy if self.solver == "cvxpy" else self._fit_splitting)(ratings, ratings.values)

    def _fit_splitting(self, ratings, target):
        state = _Splitting(ratings, target, reg=1.0, share=0.3)

        def certify(x):
            X = state.X if state.dense else (state.U * state.s) @ state.right.T
            certificate = nuclear_certificate(target, state.multipliers(x), ratings.rows, ratings.cols, X)
            self.violation_ = float(np.abs(x - target).max())
            return certificate, max(certificate.relative_gap, self.violation_)

        _run_splitting(self, state, lambda v: target, certify)  # prox of the constraint: the known ratings themselves
        self._keep(state.U, state.s, state.right.T)

    def _fit_cvxpy(self, ratings, target):
        import cvxpy as cp

        X = cp.Variable(ratings.shape)
        constraint = X[ratings.rows, ratings.cols] == target
        problem = cp.Problem(cp.Minimize(cp.normNuc(X)), [constraint])
        _solve_cvxpy(problem, solver=cp.SCS, eps_abs=self.tol, eps_rel=self.tol, max_iters=100_000)
        multipliers = -constraint.dual_value  # cvxpy's Lagrangian adds dual * (X - A); ours subtracts
        self.certificate_ = nuclear_certificate(target, multipliers, ratings.rows, ratings.cols, X.value)
        self.violation_ = float(np.abs(X.value[ratings.rows, ratings.cols] - target).max())
        self._keep(*np.linalg.svd(X.value, full_matrices=False))


# ---- Two models mixed ------------------------------------------------------------------------------------------------


class Blend(Recommender):
    """A convex mix of two models: weight * first + (1 - weight) * second, cell by cell.

    The weight minimises the squared error on the validation part, sum (A - weight a - (1 - weight) b)^2 over [0, 1],
    which has a closed form; ratings that either model was fitted to would favour the one that remembers better.

    Parameters
    ----------
    first, second : Recommender
        Cloned and fitted to the training ratings; with `prefit`, two fitted models taken as they are.
    weight : float in [0, 1], optional
        None: chosen as above.
    prefit : bool
        A clone of such a blend has two models that are not fitted, so it cannot be compared by `evaluate`.
    validation_size, random_state : as in `SGDMF`, where `fit` is given no validation part and the weight is not fixed.

    Attributes
    ----------
    first_, second_ : the fitted models
    weight_ : float
    """

    _positive = ("validation_size",)

    def __init__(self, first=None, second=None, weight=None, prefit=False, validation_size=0.1, random_state=0):
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        for name in ("first", "second"):
            model = getattr(self, name)
            if not isinstance(model, Recommender) or model.score_name != "predicted_rating":
                raise TypeError(f"{name} must be a model that predicts ratings, got {model!r}.")
        if self.weight is not None:
            check_number("weight", self.weight)
            if self.weight > 1:
                raise ValueError(f"weight is a share between 0 and 1, got {self.weight}.")
        elif validation is None and self.prefit:
            raise ValueError(
                "fitted models need a validation part that neither has learnt from: fit(train, validation)."
            )
        elif validation is None:
            ratings, validation = _set_aside(ratings, self.validation_size, self.random_state, "fix the weight")
        if self.prefit:
            for model in (self.first, self.second):
                if not model._fitted().same_universe(ratings):
                    raise ValueError(f"{model} was fitted to a table with other users or items than {ratings}.")
        pair = (self.first, self.second)
        pair = pair if self.prefit else [clone(model).fit(ratings, validation) for model in pair]
        self.first_, self.second_ = pair
        self.weight_ = float(self._best_weight(validation) if self.weight is None else self.weight)

    @property
    def n_parameters_(self):
        self._fitted()
        return self.first_.n_parameters_ + self.second_.n_parameters_ + 1  # and the weight

    def _best_weight(self, validation):
        a, b = (model.predict_cells(validation.rows, validation.cols) for model in (self.first_, self.second_))
        apart = (a - b) @ (a - b)
        return np.clip((validation.values - b) @ (a - b) / apart, 0.0, 1.0) if apart > 0 else 1.0

    _reads_features = property(lambda self: self.first_._reads_features or self.second_._reads_features)

    def _mix(self, a, b):
        return self.weight_ * a + (1 - self.weight_) * b

    def _filled(self, rows, cols):
        (a, lost_a), (b, lost_b) = self.first_._filled(rows, cols), self.second_._filled(rows, cols)
        return self._mix(a, b), lost_a & lost_b

    def _row_scores(self, rows):
        return self._mix(self.first_._row_scores(rows), self.second_._row_scores(rows))

    def _fold(self, axis, at, values, features=None):
        pair = self.first_, self.second_
        first, second = (m._fold(axis, at, values, features if m._reads_features else None) for m in pair)
        shares = (self.weight_, first), (1 - self.weight_, second)
        blocks = tuple(share * block for share, fold in shares for block in fold.blocks)
        solve = np.vstack([first.solve * first.target, second.solve * second.target])
        return _Fold(self._mix(first.offset, second.offset), blocks, solve, np.ones(len(at)))


# ---- A list for somebody new: fold-in, reasons, and the list as it is shown ------------------------------------------


def _need_rating_points(model):
    if model.score_name != "predicted_rating":
        raise ValueError(f"{type(model).__name__} ranks: it gives a {model.score_name}, not rating points to score; "
                         "measure its lists (rank_models, compare), and give tune a `score` of lists.")  # fmt: skip


@dataclass(frozen=True)
class _Fold:
    """One new viewer's (or title's) regression on what a model knows of the other side, Z, given in blocks of columns.

    Prediction: offset + Z x with x = solve @ target, so each rating's part in it can be told: Z (solve * target).
    `variance(z)` is what the ratings leave open about z.x, in units of the variance of one rating.
    """

    offset: np.ndarray
    blocks: tuple
    solve: np.ndarray
    target: np.ndarray
    variance: object = None

    def rows(self, at):
        """Dense rows of Z."""
        chosen = [block[at] for block in self.blocks]
        return np.hstack([part.toarray() if sp.issparse(part) else part for part in chosen])

    def scores(self):
        x, total = self.solve @ self.target, self.offset.copy()
        for block in self.blocks:
            total += block @ x[: block.shape[1]]
            x = x[block.shape[1] :]
        return total


def _ridge_fold(offset, blocks, penalty, at, values):
    """argmin over x of sum (values - offset - Z x)^2 + sum penalty x^2 over the ratings at the positions `at`.

    x = (Z'Z + D)^-1 Z' t; where there are fewer ratings than columns the same by D^-1 Z' (Z D^-1 Z' + I)^-1 t; without
    a penalty the solution of least norm.
    """
    fold = _Fold(offset, blocks, None, values - offset[at])
    Z = fold.rows(at)
    if not penalty.all():
        return replace(fold, solve=np.linalg.pinv(Z, rtol=np.finfo(float).eps * max(Z.shape)))
    spread = Z / penalty  # Z D^-1
    if len(Z) < Z.shape[1]:
        solve = np.linalg.solve(spread @ Z.T + np.eye(len(Z)), spread).T
        variance = lambda z: (z**2 / penalty).sum(axis=1) - ((z @ solve) * (z @ spread.T)).sum(axis=1)  # noqa: E731
    else:
        gram = Z.T @ Z + np.diag(penalty)
        solve = np.linalg.solve(gram, Z.T)
        variance = lambda z: (z * np.linalg.solve(gram, z.T).T).sum(axis=1)  # noqa: E731
    return replace(fold, solve=solve, variance=variance)


class _Newcomer:
    """Somebody, or something, with ratings of their own, as a fitted model sees them.

    `at` and `values` are the positions and ratings given, `scores` a prediction for every position of the other side.
    """

    _axis = 0  # 0: a viewer who meets titles; 1: a title that meets viewers

    def __init__(self, model, at, values, row=None, features=None):
        self.model, self.at, self.values, self.row = model, at, values, row
        self._fold = model._fold(self._axis, at, values, features)
        self.scores = self._fold.scores() if row is None else model._row_scores(np.array([row]))[0]

    def __repr__(self):
        return f"{type(self).__name__}({len(self.at)} ratings, seen by {self.model!r})"

    def _others(self, ids):
        ratings = self.model.ratings_
        return ratings.user_rows(ids) if self._axis else ratings.item_cols(ids)

    def predict(self, ids):
        """Predictions, one for each of `ids` of the other side; rating points, unclipped, if the model gives these."""
        return self.scores[self._others(ids)]

    def uncertainty(self, ids, of_a_rating=False):
        """Standard deviation of each prediction, rating points: what so few ratings leave open about the newcomer.

        The penalty is taken for the spread of tastes before a rating is known, and each rating narrows it down:
        noise_ sqrt(z' (Z'Z + D)^-1 z). With `of_a_rating` the noise of a single rating is added. Tastes spread more
        widely than a penalty tuned for prediction says, and the other side is an estimate too, so the true error is
        larger, about twice in lesson 13: a scale to compare titles by, not a promise.
        """
        noise = self.model.noise_
        unknown = self._fold.variance(self._fold.rows(self._others(ids)))
        return noise * np.sqrt(np.maximum(unknown, 0.0) + of_a_rating)

    def explain(self, other, n=None):
        """Where the prediction for one id of the other side comes from: parts that sum to it (reason, rating,
        contribution).

        First the mean and the bias of the other side; then what each own rating contributes, the largest first (those
        after the n-th in one row); last, for a viewer of the training part, what a descent has learnt beyond the
        regression on these ratings.
        """
        ratings, at = self.model.ratings_, self._others(other)[0]
        names = ratings.user_ids.astype(str) if ratings.user_names is None else ratings.user_names
        labels = (names if self._axis else ratings.item_labels)[self.at].tolist()
        parts = (self._fold.rows([at]) @ (self._fold.solve * self._fold.target))[0]
        start = self._fold.offset[at]
        own = list(zip(labels, self.values.tolist(), parts.tolist(), strict=True))
        rest = {"the rest of the training": self.scores[at] - start - parts.sum()}
        return _reasons(self.model._start_parts(start, self._axis), own, rest, n, "ratings")


def _reasons(head, own, tail, n, word):
    """The parts of a prediction as a table; of `own` (reason, rating, contribution) the `n` largest, and their rest."""
    own = sorted(own, key=lambda part: -abs(round(part[2], TIE)))
    if n is not None and len(own) > n:
        check_number("n", n, whole=True)
        own[n:] = [(f"{len(own) - n} other {word}", np.nan, sum(part for _, _, part in own[n:]))]
    head, tail = ([(name, np.nan, part) for name, part in side.items() if abs(part) > 1e-9] for side in (head, tail))
    return pd.DataFrame([*head, *own, *tail], columns=["reason", "rating", "contribution"])


class Viewer(_Newcomer):
    """A viewer as a fitted model sees them, made by `fold_in` (a few ratings) or `viewer` (of the training part).

    `scores` holds a prediction for every title, `at` and `values` the titles (positions) and ratings given, `seen` what
    else is not to be recommended.
    """

    seen = np.zeros(0, dtype=np.intp)

    def recommend(self, n=10, *, exclude=(), exclude_genres=(), genres=None, one_per_work=True, diversity=0.0,
                  similarity=None, uncertainty=False):  # fmt: skip
        """A list to choose from tonight: rank, item_id, title and the prediction; fewer rows where fewer are left.

        Parameters
        ----------
        n : int
        exclude : ids or titles to leave out, besides the rated ones
        exclude_genres, genres : names of genres to leave out, and the `load_genres` table that knows them
        one_per_work : bool
            Of the seasons and parts of one work (`series_of`) only the first of the list.
        diversity : float, at least 0
            Maximal marginal relevance: the next title is the one with the largest prediction less `diversity` times
            its largest cosine with those already listed. Rating points that a title loses for being another's twin.
        similarity : Features, optional
            What the cosine is taken of; default: the model's item factors.
        uncertainty : bool
            Also a column with `uncertainty(item_id)`.

        Reference: The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries, SIGIR
        1998; there both terms have weights that sum to one, here the unit is the rating point.
        """
        check_number("n", n, low=1, whole=True)
        check_number("diversity", diversity)
        ratings = self.model.ratings_
        left = np.ones(ratings.n_items, dtype=bool)
        left[self.at] = left[self.seen] = False
        exclude = [exclude] if isinstance(exclude, str) else exclude
        left[[ratings.item_cols(ratings.item_id(item))[0] for item in exclude]] = False
        left &= ~of_genres(exclude_genres, genres, ratings)
        vectors = _unit_rows(item_vectors(self.model, similarity)) if diversity > 0 else None
        order = self._pick(left, n, ratings.series if one_per_work else None, diversity, vectors)
        columns = {"rank": np.arange(1, len(order) + 1), "item_id": ratings.item_ids[order]}
        columns |= {"title": ratings.item_labels[order], self.model.score_name: self.scores[order]}
        if uncertainty:
            columns["uncertainty"] = self.uncertainty(ratings.item_ids[order]) if len(order) else np.zeros(0)
        return pd.DataFrame(columns)

    def _pick(self, left, n, works, diversity, vectors):
        """Positions, best first: greedy, one by one; ties go by position."""
        value, likeness, order = np.round(self.scores, TIE), np.zeros(len(left)), []
        left = left.copy()
        while len(order) < n and left.any():
            best = int(np.argmax(np.where(left, value - diversity * likeness, -np.inf)))
            order.append(best)
            left[best] = False
            if works is not None:
                left &= works != works[best]
            if diversity > 0:
                likeness = np.maximum(likeness, vectors @ vectors[best])
        return np.array(order, dtype=np.intp)

    def terms(self, item, n=None):
        """The same prediction by the words that the title is described with, for models with features."""
        return self.model._terms(self, self._others(item)[0], n)


class NewTitle(_Newcomer):
    """A title that a fitted model has not been trained on, as it sees it: made by `fold_in_item`."""

    _axis = 1

    def audience(self, n=10):
        """The `n` viewers with the highest predictions who have not rated it: rank, user_id and the prediction."""
        check_number("n", n, low=1, whole=True)
        ratings = self.model.ratings_
        value = -np.round(self.scores, TIE)
        value[self.at] = np.inf
        order = np.argsort(value, kind="stable")[: min(n, len(value) - len(self.at))]
        columns = {"rank": np.arange(1, len(order) + 1), "user_id": ratings.user_ids[order]}
        return pd.DataFrame(columns | {self.model.score_name: self.scores[order]})


def explain(model, viewer, title, n=None, by="ratings"):
    """Why this title: the parts that the prediction is the sum of, as a table (reason, rating, contribution).

    Parameters
    ----------
    model : fitted Recommender
    viewer : user id or name, or the `Viewer` that `model.fold_in` gave
    title : item id, or a title, or a part of it that no other title has
    n : int, optional
        Only the `n` reasons that contribute most; the others are one row, so the sum stays.
    by : "ratings" or "terms"
        What the viewer's own ratings contribute; or what the words that describe the title do, for models with
        features.
    """
    if by not in ("ratings", "terms"):
        raise ValueError(f"by must be 'ratings' or 'terms', got {by!r}.")
    if not isinstance(viewer, Viewer):
        viewer = model.viewer(viewer)
    elif viewer.model is not model:
        raise ValueError(f"this viewer was folded into another model: {viewer.model!r}, not {model!r}.")
    item = model.ratings_.item_id(title)
    return viewer.explain(item, n) if by == "ratings" else viewer.terms(item, n)


def _unit_rows(vectors):
    """Rows of length 1, dense; a row of zeros stays."""
    vectors = normalize(vectors)
    return vectors.toarray() if sp.issparse(vectors) else vectors


# ---- Saving and loading ----------------------------------------------------------------------------------------------

FORMAT_VERSION = 3
MODELS = (GlobalMean, Popularity, BiasBaseline, ItemKNN, ALS, ImplicitALS, GradientDescentMF, SGDMF, ContentMF,
          ContentOnly, SpectralRegularization, NuclearNorm, Blend)  # fmt: skip


def _kinds():
    """What a saved file may hold, by name: nothing else is ever made from one. A model of your own joins `MODELS`."""
    return {kind.__name__: kind for kind in (Ratings, Features, Certificate, *MODELS)}


def save_model(model, path):
    """Write a fitted model to one compressed .npz: parameters, learnt numbers, ids, training ratings and their hash."""
    ratings, arrays = model._fitted(), {}
    about = {"format": FORMAT_VERSION, "model": type(model).__name__, "ratings": ratings.fingerprint}
    try:
        arrays["about"] = np.array(json.dumps(about | {"content": _pack(model, arrays)}))
    except TypeError as error:
        raise ValueError(f"this model cannot be saved: {error}.") from error

    def write(temporary):
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    write_whole(path, write)


def _pack(value, arrays):
    """What JSON can hold of a value; its arrays go to `arrays`, and their names take their places."""
    if isinstance(value, np.ndarray):
        name = f"array {len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        return value.item()
    if sp.issparse(value):
        return {"sparse": [_pack(part, arrays) for part in (value.data, value.indices, value.indptr)],
                "shape": list(value.shape)}  # fmt: skip
    if isinstance(value, (tuple, list)):
        return {"tuple" if isinstance(value, tuple) else "list": [_pack(part, arrays) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[_pack(key, arrays), _pack(part, arrays)] for key, part in value.items()]}
    if isinstance(value, Recommender):
        learnt = {
            name: part for name, part in vars(value).items() if name.endswith("_") or name in ("_certificate", "_noise")
        }
        state = value.get_params(deep=False) | learnt
    elif isinstance(value, (Ratings, Features, Certificate)):
        state = {part.name: getattr(value, part.name) for part in fields(value)}
    elif value is None or isinstance(value, (bool, int, float, str)):
        return value
    else:
        raise TypeError(f"a {type(value).__name__} among its parameters; a random_state must be a whole number")
    if _kinds().get(type(value).__name__) is not type(value):
        raise TypeError(f"load_model would not know {type(value).__name__}; first let it join content_table.MODELS")
    return {"kind": type(value).__name__, "state": {name: _pack(part, arrays) for name, part in state.items()}}


def _unpack(packed, arrays):
    """The inverse of `_pack`; only the `_kinds` are ever made."""
    if not isinstance(packed, dict):
        return packed
    if "array" in packed:
        return arrays[packed["array"]]
    if "sparse" in packed:
        return sp.csr_array(tuple(_unpack(part, arrays) for part in packed["sparse"]), shape=packed["shape"])
    for sequence in (tuple, list):
        if sequence.__name__ in packed:
            return sequence(_unpack(part, arrays) for part in packed[sequence.__name__])
    if "dict" in packed:
        return {_unpack(key, arrays): _unpack(part, arrays) for key, part in packed["dict"]}
    kind, state = _kinds()[packed["kind"]], {name: _unpack(part, arrays) for name, part in packed["state"].items()}
    if not issubclass(kind, Recommender):
        return kind(**state)
    model = kind(**{name: state.pop(name) for name in kind._get_param_names()})
    if not all(name.endswith("_") or name in ("_certificate", "_noise") for name in state):
        raise ValueError(f"{sorted(state)} are not all learnt")
    vars(model).update(state)
    if "ratings_" in state:
        _check_learnt(model)
    return model


def _check_learnt(model):
    """What was learnt must fit the ratings that it came with: compiled loops trust the sizes."""
    model._check(model.ratings_, None)
    sizes = {"user": model.ratings_.n_users, "item": model.ratings_.n_items}
    for name, value in vars(model).items():
        size = sizes.get(name.split("_")[0])
        if hasattr(value, "shape") and size not in (None, value.shape[0]):
            raise ValueError(f"{name} has {value.shape[0]} rows, its ratings {size}")


def load_model(path, ratings=None):
    """Read a model written by `save`; with `ratings`, refuse one that was trained on other data."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no saved model at {path}; train one and call its save(path).")
    name = Path(path).name
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        about = json.loads(str(arrays.pop("about")))
        version, kind = about["format"], about["model"]
    except Exception as error:  # whatever a damaged or foreign file provokes in zip, NumPy or JSON
        raise ValueError(f"{name} is damaged or is not a saved model: {type(error).__name__}: {error}") from error
    if version != FORMAT_VERSION:
        raise ValueError(f"{name} has format {version}, this version reads {FORMAT_VERSION}; train the model again.")
    kinds = {kind.__name__: kind for kind in MODELS}
    if kind not in kinds:
        raise ValueError(f"{name} holds a model of kind {kind!r}; known are {sorted(kinds)}.")
    try:
        model = _unpack(about["content"], arrays)
        found = model._fitted().fingerprint
    except Exception as error:
        raise ValueError(f"{name} is damaged or is not a saved model: {type(error).__name__}: {error}") from error
    if found != about["ratings"]:
        raise ValueError(f"{name} is damaged: its training ratings do not match their own hash.")
    if ratings is not None and ratings.fingerprint != about["ratings"]:
        raise ValueError(
            f"{name} was trained on other data: {model.ratings_}, not the given {ratings}; train it again."
        )
    return model


# ---- Comparing, ranking and tuning: in a file of their own, which builds on this one ---------------------------------

STUDY = ("errors", "rmse", "mae", "evaluate", "split_interval", "summarize", "paired_differences", "choose", "Tuning",
         "tune", "Tuned", "PUBLISHED_SPACE", "frequent_titles", "RANKING_METRICS", "PROTOCOLS", "top_lists",
         "ranking_metrics", "rank_models", "rank_summary", "rank_differences", "list_metrics", "compare", "comparison",
         "course_models", "main")  # fmt: skip


def __getattr__(name):
    """What the names in STUDY stand for: `content_table_study` is read when one of them is first asked for."""
    if name not in STUDY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import content_table_study

    return getattr(content_table_study, name)


def __dir__():
    return sorted([*globals(), *STUDY])


if __name__ == "__main__":
    from content_table_study import main as run

    run()
