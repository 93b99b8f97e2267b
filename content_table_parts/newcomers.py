"""Somebody new, as a fitted model sees them: fold-in, reasons, uncertainty, and the list as it is shown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.preprocessing import normalize

from content_table_parts.doors import check_positions
from content_table_parts.features import Features, genre_mask, item_vectors
from content_table_parts.nonnegative import nnls
from content_table_parts.ratings import Ratings
from content_table_parts.regressions import left_out_squares
from content_table_parts.settings import (
    TIE,
    check_array,
    check_choice,
    check_fitted,
    check_kind,
    check_number,
    check_switch,
    shown,
    whole_number,
)
from content_table_parts.solvers import LEAST_LEFT, best_positions


@dataclass(frozen=True)
class Fold:
    """One new viewer's (or title's) regression on what a model knows of the other side, Z, given in blocks of columns.

    Prediction: offset + Z x with x = solve @ target, so each rating's part in it can be told: Z (solve * target).
    `variance(z)` is what the ratings leave open about z.x, in units of the variance of one rating; None where the
    numbers are not those of a ridge regression solved to its end. `penalty` has one entry for each column of Z, where
    the regression has penalties at all.
    """

    offset: np.ndarray
    blocks: tuple
    solve: np.ndarray
    target: np.ndarray
    variance: Any = None
    penalty: np.ndarray | None = None

    def rows(self, at: ArrayLike) -> np.ndarray:
        """Dense rows of Z."""
        return self._rows(check_positions("at", at, len(self.offset)))

    def _rows(self, at):
        chosen = [block[at] for block in self.blocks]
        return np.hstack([part.toarray() if sp.issparse(part) else part for part in chosen])

    def _spread(self, at: np.ndarray) -> np.ndarray:
        """What the ratings leave open about the predictions at these positions, as `variance` tells it."""
        return self.variance(self._rows(at))

    def scores(self) -> np.ndarray:
        """The prediction for every position of the other side."""
        x, total = self.solve @ self.target, self.offset.copy()
        for block in self.blocks:
            total += block @ x[: block.shape[1]]
            x = x[block.shape[1] :]
        return total


def _set_up(offset, blocks, penalty, at, values):
    """(`Fold` of a regression before it is solved, its Z, its penalties); refuses sizes that do not fit."""
    offset = check_array("offset", offset)
    if not isinstance(blocks, tuple) or not all(getattr(block, "ndim", 0) == 2 for block in blocks):
        raise TypeError(f"blocks must be a tuple of tables of numbers, got {shown(blocks)}.")
    if any(block.shape[0] != len(offset) for block in blocks):
        raise ValueError(f"blocks need {len(offset)} rows, one for each of offset, got {[b.shape for b in blocks]}.")
    penalty = check_array("penalty", penalty, length=sum(block.shape[1] for block in blocks)).astype(float)
    at = check_positions("at", at, len(offset))
    values = check_array("values", values, length=len(at))
    if (penalty < 0).any():
        raise ValueError(f"penalty must be at least 0, got {penalty.min():g}.")
    fold = Fold(offset, blocks, np.zeros((len(penalty), len(at))), values - offset[at], penalty=penalty)
    return fold, fold._rows(at), penalty


def ridge_fold(offset: np.ndarray, blocks: tuple, penalty: ArrayLike, at: np.ndarray, values: np.ndarray) -> Fold:
    """argmin over x of sum (values - offset - Z x)^2 + sum penalty x^2 over the ratings at the positions `at`.

    x = (Z'Z + D)^-1 Z' t; where there are fewer ratings than columns the same by D^-1 Z' (Z D^-1 Z' + I)^-1 t; where a
    penalty is 0 the solution of least norm.
    """
    fold, Z, D = _set_up(offset, blocks, penalty, at, values)
    if not D.all():  # |t - Z x|^2 + |D^1/2 x|^2 as one sum of squares
        whole = np.vstack([Z, np.diag(np.sqrt(D))[D > 0]])
        return replace(fold, solve=np.linalg.pinv(whole, rtol=np.finfo(float).eps * max(whole.shape))[:, : len(Z)])
    spread = Z / D  # Z D^-1
    if len(Z) < Z.shape[1]:
        solve = np.linalg.solve(spread @ Z.T + np.eye(len(Z)), spread).T
        variance = lambda z: (z**2 / D).sum(axis=1) - ((z @ solve) * (z @ spread.T)).sum(axis=1)  # noqa: E731
    else:
        gram = Z.T @ Z + np.diag(D)
        solve = np.linalg.solve(gram, Z.T)
        variance = lambda z: (z * np.linalg.solve(gram, z.T).T).sum(axis=1)  # noqa: E731
    return replace(fold, solve=solve, variance=variance)


def nonnegative_fold(
    offset: np.ndarray, blocks: tuple, penalty: ArrayLike, at: np.ndarray, values: np.ndarray, n_signed: int = 0
) -> Fold:
    """The minimum of `ridge_fold` over x >= 0, the last `n_signed` numbers of either sign; all penalties above 0.

    It is the ridge regression on the columns whose numbers are above 0, so each rating's part can be told there too.
    """
    fold, Z, D = _set_up(offset, blocks, penalty, at, values)
    n_signed = whole_number("n_signed", n_signed)
    if n_signed > len(D):
        raise ValueError(f"n_signed must be at most {len(D)}, the numbers that there are, got {n_signed}.")
    gram, x = Z.T @ Z + np.diag(D), np.zeros(len(D))
    nnls(gram, Z.T @ fold.target, n_signed, x)
    inside = x > 0
    inside[len(x) - n_signed :] = True
    fold.solve[inside] = np.linalg.solve(gram[np.ix_(inside, inside)], Z[:, inside].T)
    return fold


def stopped_fold(
    offset: np.ndarray, blocks: tuple, penalty: ArrayLike, at: np.ndarray, values: np.ndarray, time: float
) -> Fold:
    """A ridge regression by small steps from 0 that are stopped early: x = (I - exp(-T G)) G^-1 Z' t, G = Z'Z + D.

    `time` is T, the sum of the step lengths; without end that is the ridge regression itself. The weight of a column
    that is 0 in all the ratings stays 0.
    """
    check_number("time", time)
    time = float(time)
    fold, Z, D = _set_up(offset, blocks, penalty, at, values)
    met = Z.any(axis=0)
    g, V = np.linalg.eigh(Z[:, met].T @ Z[:, met] + np.diag(D[met]))
    g, passed = np.maximum(g, 0.0), np.full(len(g), time)  # rounding may lead below 0
    np.divide(-np.expm1(-time * g), g, out=passed, where=g * time > 1e-12)
    fold.solve[met] = (V * passed) @ (Z[:, met] @ V).T
    return fold


NOISE_VIEWERS = 8_000  # of more viewers with ratings so many, drawn at random, tell the noise


def residual_noise(model: Any) -> float:
    """Root mean square, over the training ratings, of residual / sqrt(1 - leverage) in each viewer's regression.

    Of more than `NOISE_VIEWERS` viewers over the ratings of so many, always the same for a table.
    """
    table = model.fitted().csr
    rows = np.flatnonzero(np.diff(table.indptr))
    if len(rows) > NOISE_VIEWERS:
        rows = np.sort(np.random.default_rng(0).choice(rows, NOISE_VIEWERS, replace=False))
    table = table[rows]
    squares = _squares_together(model, table)
    if not np.isfinite(squares):
        squares = _squares_one_by_one(model, table)
    return float(np.sqrt(squares / table.nnz))


def _squares_one_by_one(model, table):
    """Sum of residual^2 / (1 - leverage) over a table's ratings, by the regression of each viewer."""
    squares = 0.0
    for start, end in pairwise(table.indptr):
        at, values = table.indices[start:end], table.data[start:end]
        fold = model._newcomer(0, at, values)
        if fold.variance is None:
            raise ValueError(f"{model!r} has no ridge regression, solved to its end, to tell taste from noise by.")
        Z = fold._rows(at)
        leverage = (Z * fold.solve.T).sum(axis=1)
        left = fold.target - Z @ (fold.solve @ fold.target)
        squares += float((left**2 / np.maximum(1 - leverage, LEAST_LEFT)).sum())
    return squares


def _squares_together(model, table):
    """The same by one compiled loop; NaN where the viewers' regressions have no table of numbers in common."""
    owners = [_owner(type(model), name) for name in ("_one_regression", "_newcomer")]
    if not model._one_regression or owners[0] is not owners[1]:  # or a class has regressions of its own
        return np.nan
    end = table.indptr[1]
    fold = model._newcomer(0, table.indices[:end], table.data[:end])  # all others differ in their ratings alone
    if fold.variance is None or any(sp.issparse(block) for block in fold.blocks):
        return np.nan
    targets = table.data - fold.offset[table.indices]
    return left_out_squares(table.indptr, table.indices, targets, np.hstack(fold.blocks), fold.penalty)


def _owner(kind, name):
    """The class that a name comes from."""
    return next((one for one in kind.__mro__ if name in vars(one)), None)


class _Newcomer:
    """Somebody, or something, with ratings of their own, as a fitted model sees them.

    `at` and `values` are the positions and ratings given, `scores` a prediction for every position of the other side.
    """

    _axis = 0  # 0: a viewer who meets titles; 1: a title that meets viewers

    def __init__(
        self, model: Any, at: np.ndarray, values: np.ndarray, row: int | None = None, features: dict | None = None
    ):
        sides = check_fitted("model", model).shape
        at = check_positions("at", at, sides[1 - self._axis])
        values = check_array("values", values, length=len(at))
        check_kind("features", features, (dict, type(None)), "{feature name: value}")
        if features and not model.reads_features:
            raise ValueError(
                f"features say nothing to {model!r}, which learns from ratings alone, got {shown(features)}."
            )
        if row is not None:
            check_positions("row", [row], sides[self._axis])
        self.model, self.at, self.values, self.row, self._features = model, at, values, row, features
        self.scores: np.ndarray = self.fold.scores() if row is None else model._row(row)

    @cached_property
    def fold(self) -> Fold:
        """The regression of their ratings on what the model knows of the other side."""
        return self.model._newcomer(self._axis, self.at, self.values, self._features)

    def __repr__(self):
        return f"{type(self).__name__}({len(self.at)} ratings, seen by {self.model!r})"

    def _others(self, ids):
        ratings = self.model.ratings_
        return ratings.user_rows(ids) if self._axis else ratings.item_cols(ids)

    def _other(self, name, one):
        """The position of one id of the other side, the argument `name`."""
        at = self._others(one)
        if np.ndim(one) or len(at) != 1:
            raise TypeError(f"{name} must be one id, got {shown(one)}.")
        return at[0]

    def predict(self, ids: ArrayLike, interval: float | None = None) -> Any:
        """Predictions, one for each of `ids` of the other side; rating points, unclipped, if the model gives these.

        With `interval=.8` also the low and the high end between which a rating lies with that probability, as arrays:
        of models that know how sure they are (`BayesianFM`).
        """
        at = self._others(ids)
        return self.scores[at] if interval is None else (self.scores[at], *self.model._interval_of(self, at, interval))

    def uncertainty(self, ids: ArrayLike, of_a_rating: bool = False) -> np.ndarray:
        """Standard deviation of each prediction, rating points: what so few ratings leave open about the newcomer.

        The penalty is taken for the spread of tastes before a rating is known, and each rating narrows it down:
        noise() sqrt(z' (Z'Z + D)^-1 z). With `of_a_rating` the noise of a single rating is added. Tastes spread more
        widely than a penalty tuned for prediction says, and the other side is an estimate too, so the true error is
        larger, 2.4 times in lesson 13: a scale to compare titles by, not a promise. `BayesianFM` allows for both.
        """
        check_switch("of_a_rating", of_a_rating)
        noise = self.model.noise()
        unknown = self.fold._spread(self._others(ids))
        return noise * np.sqrt(np.maximum(unknown, 0.0) + of_a_rating)

    def explain(self, other: Any, n: int | None = None) -> pd.DataFrame:
        """Where the prediction for one id of the other side comes from: parts that sum to it (reason, rating,
        contribution).

        First what each own rating contributes, the largest first (those after the n-th in one row); then, for a viewer
        of the training part, what a descent has learnt beyond the regression on these ratings; last what everybody
        gets, the mean and the level of the other side. Where what is left is no more than rounding, it goes with the
        largest contribution.
        """
        ratings, at = self.model.ratings_, self._other("other", other)
        names = ratings.user_ids.astype(str) if ratings.user_names is None else ratings.user_names
        labels = (names if self._axis else ratings.item_labels)[self.at].tolist()
        parts = (self.fold._rows([at]) @ (self.fold.solve * self.fold.target))[0]
        start = self.fold.offset[at]
        rest = self.scores[at] - start - parts.sum()
        single = "float32" in [value for name, value in self.model.get_params().items() if name.endswith("dtype")]
        if len(parts) and abs(rest) <= ROUNDING["float32" if single else "float64"] * np.abs(self.scores).max():
            parts[np.abs(parts).argmax()] += rest
            rest = 0.0
        own = list(zip(labels, self.values.tolist(), parts.tolist(), strict=True))
        last = {"the rest of the training": rest, EVERYBODY.format(("title", "viewer")[self._axis]): start}
        return reasons(own, last, n, "ratings")


ROUNDING = {"float64": 1e-8, "float32": 1e-4}  # of a prediction, as a share of the largest one of somebody
EVERYBODY = "what everybody gets: the mean and this {}'s level"


def reasons(own: list, others: dict, n: int | None, word: str) -> pd.DataFrame:
    """The parts of a prediction as a table; of `own` (reason, rating, contribution) the `n` largest, and their rest."""
    if n is not None:
        n = whole_number("n", n)
    own = sorted(own, key=lambda part: -abs(round(part[2], TIE)))
    if n is not None and len(own) > n:
        own[n:] = [(f"{len(own) - n} other {word}", np.nan, sum(part for _, _, part in own[n:]))]
    last = [(name, np.nan, part) for name, part in others.items() if abs(part) > 1e-9]
    return pd.DataFrame([*own, *last], columns=["reason", "rating", "contribution"])


def score_columns(model: Any, scores: np.ndarray, ratings: np.ndarray | None = None, clip: bool = False) -> dict:
    """The columns of a list with its scores, and before them the predicted `ratings` where it is not by these."""
    columns = ({} if ratings is None else {"predicted_rating": ratings}) | {model.score_name: scores}
    if clip and "predicted_rating" in columns:
        columns["predicted_rating"] = np.clip(columns["predicted_rating"], *model.ratings_.scale)
    return columns


class Viewer(_Newcomer):
    """A viewer as a fitted model sees them, made by `fold_in` (a few ratings) or `viewer` (of the training part).

    `scores` holds a prediction for every title, `at` and `values` the titles (positions) and ratings given, `seen` what
    else is not to be recommended, `unknown` the ids and titles that `fold_in(..., unknown="skip")` left out.
    """

    seen: np.ndarray = np.zeros(0, dtype=np.intp)
    unknown: Sequence = ()

    @cached_property
    def rating(self) -> "Viewer":
        """This viewer as the model sees them whose predicted ratings a list shows (`Recommender.rating_model`)."""
        model = self.model.rating_model
        return self if model.score_name == self.model.score_name else Viewer(model, self.at, self.values, self.row)

    def recommend(
        self,
        n: int = 10,
        *,
        also_seen: Ratings | None = None,
        exclude: Iterable = (),
        exclude_genres: Iterable[str] = (),
        genres: Features | None = None,
        one_per_work: bool | None = None,
        diversity: float = 0.0,
        similarity: Features | None = None,
        uncertainty: bool = False,
        clip: bool = False,
    ) -> pd.DataFrame:
        """A list to choose from tonight: rank, item_id, title and the prediction; fewer rows where fewer are left.

        Where the order is not by predicted ratings but by more (`Hybrid`), these stand before the score that it is by.

        Parameters
        ----------
        n : int
        also_seen : Ratings, optional
            Of a viewer of the training part: what they rated in these is left out too (say, the validation part).
        exclude : ids or titles to leave out, besides the rated ones
        exclude_genres, genres : names of genres to leave out, and the `load_genres` table that knows them
        one_per_work : bool, optional
            Of the seasons and parts of one work (`series_of`) only the next one: the first, in the `season_order`,
            after those that were rated or seen. Default: where the ratings are known to have seasons
            (`Ratings.has_seasons`).
        diversity : float, at least 0
            Maximal marginal relevance: the next title is the one with the largest prediction less `diversity` times
            its largest cosine with those already listed. Rating points that a title loses for being another's twin.
        similarity : Features, optional
            What the cosine is taken of; default: the model's item factors.
        uncertainty : bool
            Also a column with the `uncertainty` of the predicted rating.
        clip : bool
            Show predicted ratings within the scale; the order is by what they are unclipped.

        Reference: The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries, SIGIR
        1998; there both terms have weights that sum to one, here the unit is the rating point.
        """
        n = whole_number("n", n, 1)
        check_number("diversity", diversity)
        check_switch("uncertainty", uncertainty)
        check_switch("clip", clip)
        check_kind("similarity", similarity, (Features, type(None)), "Features, as of load_genres")
        ratings = self.model.ratings_
        left = self._offered(also_seen, exclude, ratings.works(one_per_work))
        left &= ~genre_mask(exclude_genres, genres, ratings)
        scores = np.where(left, self.scores, -np.inf)
        if diversity > 0:
            order = _diverse_positions(scores, n, diversity, unit_rows(item_vectors(self.model, similarity)))
        else:
            order = best_positions(scores, n)
        columns = {"rank": np.arange(1, len(order) + 1), "item_id": ratings.item_ids[order]}
        rated = None if self.rating is self else self.rating.scores[order]
        columns |= ratings.named(order) | score_columns(self.model, self.scores[order], rated, clip)
        if uncertainty:
            columns["uncertainty"] = self.rating.uncertainty(ratings.item_ids[order]) if len(order) else np.zeros(0)
        return pd.DataFrame(columns)

    def _offered(self, also_seen, exclude, works):
        """Mask of the titles that may be listed: unseen, with `works` the next season of each, and not left out."""
        ratings = self.model.ratings_
        seen = np.concatenate([self.at, self.seen])
        if also_seen is not None:
            if self.row is None:
                raise ValueError("also_seen is asked by rows of the training part, and this viewer is new.")
            ratings.check_universe(also_seen, "also_seen")
            seen = np.concatenate([seen, also_seen.csr[[self.row]].indices])
        left = np.ones(ratings.n_items, dtype=bool) if works is None else ratings.seasons(works).next(seen)
        left[seen] = False
        check_kind("exclude", exclude, Iterable, "a list of ids and titles")
        exclude = [exclude] if isinstance(exclude, str) else exclude
        left[[ratings.item_cols(ratings.item_id(item))[0] for item in exclude]] = False
        return left

    def terms(self, item: Any, n: int | None = None) -> pd.DataFrame:
        """Where a prediction comes from, by the words that the title is described with: for models with features."""
        others, own = self.model._feature_reasons(self, self._other("item", item))
        return reasons(own, others, n, "terms")

    def parts(self, item: Any, n: int | None = None) -> pd.DataFrame:
        """Where a prediction comes from, by parts none of which is below 0: for `NMF`."""
        others, own = self.model._part_reasons(self, self._other("item", item))
        return reasons(own, others, n, "parts")


def _diverse_positions(scores, n, diversity, vectors):
    """Positions, best first, chosen one by one: each costs the next ones `diversity` times their cosine with it."""
    value, likeness, order = np.round(scores, TIE), np.zeros(len(scores)), []
    left = np.isfinite(scores)
    while len(order) < n and left.any():
        best = int(np.argmax(np.where(left, value - diversity * likeness, -np.inf)))
        order.append(best)
        left[best] = False
        likeness = np.maximum(likeness, vectors @ vectors[best])
    return np.array(order, dtype=np.intp)


class NewTitle(_Newcomer):
    """A title that a fitted model has not been trained on, as it sees it: made by `fold_in_item`."""

    _axis = 1

    def audience(self, n: int = 10) -> pd.DataFrame:
        """The `n` viewers with the highest predictions who have not rated it: rank, user_id and the prediction."""
        n = whole_number("n", n, 1)
        ratings = self.model.ratings_
        scores = self.scores.copy()
        scores[self.at] = -np.inf
        order = best_positions(scores, n)
        columns = {"rank": np.arange(1, len(order) + 1), "user_id": ratings.user_ids[order]}
        return pd.DataFrame(columns | {self.model.score_name: self.scores[order]})


def explain(model: Any, viewer: Any, title: Any, n: int | None = None, by: str = "ratings") -> pd.DataFrame:
    """Why this title: the parts that the prediction is the sum of, as a table (reason, rating, contribution).

    Parameters
    ----------
    model : fitted Recommender
    viewer : user id or name, or the `Viewer` that `model.fold_in` gave
    title : item id, or a title, or a part of it that no other title has
    n : int, optional
        Only the `n` reasons that contribute most; the others are one row, so the sum stays.
    by : "ratings", "terms" or "parts"
        What the viewer's own ratings contribute; what the words that describe the title do, for models with features;
        or what each part does, for `NMF`, where no part is below 0.
    """
    check_choice("by", by, ("ratings", "terms", "parts"))
    check_fitted("model", model)
    if not isinstance(viewer, Viewer):
        viewer = model.viewer(viewer)
    elif viewer.model is not model:
        raise ValueError(f"this viewer was folded into another model: {viewer.model!r}, not {model!r}.")
    item = model.ratings_.item_id(title)
    return {"ratings": viewer.explain, "terms": viewer.terms, "parts": viewer.parts}[by](item, n)


def unit_rows(vectors: Any) -> np.ndarray:
    """Rows of length 1, dense; a row of zeros stays."""
    vectors = normalize(vectors)
    return vectors.toarray() if sp.issparse(vectors) else vectors
