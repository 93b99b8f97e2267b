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

This file is the chapter to read: errors and RMSE, what every model shares, the models, simplest first, and the course's
comparison. Each model is its objective, its settings, a fit and a prediction; what is long is a solver, one click away
in `content_table_parts`. All public names are imported from here.

>>> import content_table as ct
>>> ratings = ct.load_ratings(ct.DATA / "100x100.csv")
>>> model = ct.SpectralRegularization(reg=8, biases=True).fit(ratings)
>>> model.certificate().relative_gap < 1e-6
True
>>> my_list = model.recommend(ratings.user_ids[0], n=10)
"""

if __name__ == "__main__":  # python -m content_table: run it under its own name, so that nothing is executed twice
    import sys
    from contextlib import suppress

    with suppress(AttributeError, OSError):  # closed, or full: `main` says what is to be said of that
        sys.stderr.write("content_table: one moment, numerical libraries take seconds to load.\n")
        sys.stderr.flush()

    from content_table import main as command_line

    command_line()
    sys.exit()

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, dataclass_transform, overload

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_extraction.text import TfidfTransformer
from tqdm import tqdm

from content_table_parts import command, files
from content_table_parts.autoencoders import PairWeights, autoencoder_certificate, pair_weights
from content_table_parts.bayes import chain, normalised_sets, one_hot
from content_table_parts.certificates import (
    Certificate,
    bias_certificate,
    nuclear_certificate,
    spectral_certificate,
)
from content_table_parts.deep import Descent, layer_sizes, network_layers, network_scores, newcomer_parts, secants
from content_table_parts.doors import (
    batch_epoch,
    best_positions,
    bias_solver,
    check_cells,
    check_positions,
    pair_dots,
    predict_pairs,
    ridge_rows,
    sgd_epoch,
    shrink_singular_values,
    solve_rows,
    spectral_norm_bound,
    squared_loss,
)
from content_table_parts.exports import load_export
from content_table_parts.features import (
    Features,
    item_texts,
    load_features,
    load_genres,
    load_profiles,
    similar_titles,
    tfidf_features,
)
from content_table_parts.fetching import fetch
from content_table_parts.files import FORMAT_VERSION
from content_table_parts.graphs import (
    carried,
    inverse_root,
    layer_weights,
    scaled,
    smooth_directions,
)
from content_table_parts.growing import add_viewer, training_table, update_model
from content_table_parts.interrupts import check_time, may_keep_half, whole_fits
from content_table_parts.lists import FAINT, Screen, best_lists, rows_as_they_are
from content_table_parts.newcomers import (
    EVERYBODY,
    Fold,
    NewTitle,
    Viewer,
    explain,
    nonnegative_fold,
    residual_noise,
    ridge_fold,
    score_columns,
    stopped_fold,
)
from content_table_parts.nonnegative import (
    check_nonnegative,
    leading,
    mean_parts,
    nonnegative_rows,
    part_names,
    steepest,
)
from content_table_parts.pairwise import bpr_pass, bpr_row
from content_table_parts.places import DATA, WEIGHTS
from content_table_parts.policies import (
    Belief,
    PolicyLog,
    cells_mean,
    choose,
    doubly_robust,
    epsilon_greedy,
    inclusion_probabilities,
    ips,
    replay,
    snips,
    thompson,
    ucb,
)
from content_table_parts.posterior import (
    CELLS,
    Link,
    Part,
    Side,
    by_sample,
    cell_draws,
    chain_summary,
    check_features,
    check_size,
    fitted_link,
    in_parts,
    learnt,
    left_out,
    likely_run,
    nearest_step,
    posterior_fold,
    rating_steps,
    sampled,
    unit_of,
)
from content_table_parts.products import table_features
from content_table_parts.ratings import Ratings, context_column, need_ratings
from content_table_parts.readers import OwnList, load_mal_export, load_ratings
from content_table_parts.regressions import check_room, check_solution, regress_rows, ridge, row_scores, solve_all_rows
from content_table_parts.settings import (
    IMAGINARY,
    PER_RATING,
    RANK,
    TIE,
    Range,
    check_array,
    check_choice,
    check_fitted,
    check_function,
    check_in_dtype,
    check_kind,
    check_number,
    check_share,
    check_switch,
    check_texts,
    check_unmasked,
    checked,
    declared_settings,
    setting,
    shown,
    whole_number,
)
from content_table_parts.solvers import (
    BLAS,
    STRIPE,
    TILED,
    DivergenceError,
    SoftImpute,
    Splitting,
    Tiles,
    check_descent,
    check_memory,
    csr_arrays,
    log_certificate,
    neighbour_means,
    one_pass,
    run_splitting,
    similar_rows,
    solve_cvxpy,
    warn_caller,
    writable,
)
from content_table_parts.spark import SparkError, fit_parquet, spark_factors
from content_table_parts.study import (
    PROTOCOLS,
    PUBLISHED_SPACE,
    RANKING_METRICS,
    Tuning,
    check_models,
    compare,
    comparison,
    evaluate,
    inner_splits,
    list_metrics,
    paired_differences,
    rank_differences,
    rank_models,
    rank_summary,
    ranking_metrics,
    score_of,
    scorer,
    select_model,
    split_interval,
    summarize,
    top_lists,
    tune,
)
from content_table_parts.tables import load_table, write_frames
from content_table_parts.titles import plain_title, season_order, series_of
from content_table_parts.variational import Adam, encoded, encoded_parts, network_pass, random_network
from content_table_parts.writing import write_whole

__version__ = "0.3.0"


# ---- Errors ----------------------------------------------------------------------------------------------------------


def errors(model: "Recommender", ratings: Ratings, clip: bool = False) -> np.ndarray:
    """Prediction minus rating for each rating of the part, in rating points; `clip=True` clips to the scale first."""
    known = check_fitted("model", model)
    need_ratings(ratings, "ratings")
    check_switch("clip", clip)
    model.need_rating_points()
    if len(ratings) == 0:
        raise ValueError("there is no rating to score: the part is empty.")
    if known.same_universe(ratings):
        predictions = model._part_scores(ratings, ratings.rows, ratings.cols)
    else:
        try:
            users, items = ratings.user_ids[ratings.rows], ratings.item_ids[ratings.cols]
            predictions = model._part_scores(ratings, known.user_rows(users), known.item_cols(items))
        except KeyError as error:
            raise KeyError(f"ratings must be of users and items that the model has met: {error.args[0]}") from error
    return (np.clip(predictions, *ratings.scale) if clip else predictions) - ratings.values


def rmse(model: "Recommender", ratings: Ratings, clip: bool = False) -> float:
    """Root mean squared error of a fitted model over a part, rating points; 0 is perfect.

    On the part that the model was fitted to this is the *training* error, which says little. Raw predictions are
    scored, unless `clip` clips them to the scale first. Raises ValueError where the part is empty or the model gives no
    rating points.
    """
    return float(np.sqrt(np.mean(errors(model, ratings, clip) ** 2)))


def mae(model: "Recommender", ratings: Ratings, clip: bool = False) -> float:
    """Mean absolute error of a fitted model over a part, rating points; as `rmse` in all else."""
    return float(np.mean(np.abs(errors(model, ratings, clip))))


# ---- What every model shares -----------------------------------------------------------------------------------------


class _History(list):
    """The rows of `history_` while a fit runs: `watch(model, row)` hears of each."""

    def __init__(self, model, watch):
        super().__init__()
        self.model, self.watch = model, watch

    def append(self, row):
        check_time()
        super().append(row)
        if self.watch is not None:
            self.watch(self.model, row)


_PREDICTION = ("_factors", "_scores", "_row_scores", "_known", "_fallback", "predict_cells", "predict_rows")


@dataclass_transform(eq_default=False)  # `reg: float = setting(5.0)` is to a type checker a default like any other
class Recommender(BaseEstimator):
    """Base of all models: a subclass declares its settings in the class body and supplies `_fit` and `_scores`.

    Every subclass becomes a dataclass over scikit-learn's BaseEstimator: `reg: float = setting(5.0, low=0)` in its body
    is an argument of its constructor, a check at the beginning of `fit`, and, with a `search` range, what `tune` tries.

    What a subclass may say, all else follows from it:

    - `_fit(ratings, validation)`: learn; what is learnt ends in `_`.
    - `_scores(rows, cols)`: predictions of pairs of positions.
    - `_row_scores(rows)`: the same of whole rows, where a matrix product is faster than its pairs.
    - `_factors()`: the factors of scores that are made of them, for faster lists.
    - `_known(rows, cols)`: which cells it knows enough about; by default those with a training rating in row and
      column.
    - `_newcomer(axis, at, values, features)`: the regression of somebody new.
    - `_solved(axis)`: the learnt arrays that such a regression gives a row of, for `add` and `update`; rarely also
      `_blank`, `_unexplained` and `_settle`.
    - `certificate()`: where the model is convex.

    `predict` takes ids and gives rating points, unclipped, and changes nothing. A cell that the model does not know
    gets the mean and the biases that are known, never a silent 0; `return_fallback=True` tells which cells did.
    """

    # Longer than a model should be: each public method is short, and this is the one place that has them all.

    score_name: ClassVar[str] = "predicted_rating"  # what `predict` gives; anything else is not in rating points
    reads_features: ClassVar[bool] = False  # whether a new title may come with {feature name: value}
    _one_regression: ClassVar[bool] = False  # whether this class's `_newcomer` has one offset, Z, penalty for all
    half_steps: ClassVar[str] = "both"  # sides that `update` solves again; else "viewers" alone, or "none": it refuses

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        dataclasses.dataclass(eq=False, repr=False)(cls)

    def fit(
        self, ratings: Ratings, validation: Ratings | None = None, watch: Callable[[Any, dict], None] | None = None
    ) -> Self:
        """Learn from `ratings`, afresh; returns self.

        `validation`, a part of the same table, tells the models that stop early or mix two others when to stop or how
        to mix; nothing else is learnt from it, and models that have no use for it ignore it. `watch(model, row)` is
        called after each pass of ALS and of the models by descent, with its row of `history_`; it may raise to end the
        fit.

        Ctrl-C ends a model that goes by passes at the best whole one so far, and a warning says so. With `watch`, and
        within whatever makes many fits (`evaluate`, `tune`, `Blend`, ...), half a fit is no fit: it is a
        KeyboardInterrupt, and nothing learnt stays.
        """
        _check_parts(ratings, validation)
        if watch is not None:
            check_function("watch", watch, "a function (model, row) or None")
        self.check_settings()
        self._plain_numbers()
        self._forget()
        self.ratings_ = ratings
        self.global_mean_ = float(ratings.values.mean())
        self.user_bias_, self.item_bias_ = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
        self.history_: list[dict] = _History(self, watch)
        whole = nullcontext() if watch is None else whole_fits()
        with whole, BLAS.limit(limits=1, user_api="blas"):  # small matrices: threads cost time, and stable digits
            try:
                self._fit(ratings, validation)
            except BaseException:
                self._forget()  # a fit that failed is not a fit
                raise
        self.history_ = list(self.history_)
        return self

    def _plain_numbers(self):
        """Settings as Python numbers from here on: a small NumPy integer would overflow in the middle of a sum."""
        for name in declared_settings(type(self)):
            if isinstance(value := getattr(self, name), np.generic):  # a long double would stay one as an item
                setattr(self, name, float(value) if isinstance(value, np.floating) else value.item())

    def _forget(self):
        """Nothing learnt stays."""
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)

    def _fit(self, ratings, validation):
        """Learn from the training part. `global_mean_` is set, and the biases are zeros to write into."""
        raise NotImplementedError(f"{type(self).__name__} needs a _fit(ratings, validation).")

    def _scores(self, rows, cols):
        """Predictions (len(rows),) of the pairs of positions (rows[e], cols[e])."""
        raise NotImplementedError(f"{type(self).__name__} needs a _scores(rows, cols).")

    def _row_scores(self, rows):
        """Predictions (len(rows), n_items) of whole rows: here pair by pair."""
        every = np.arange(self.ratings_.n_items)
        return self._scores(np.repeat(rows, len(every)), np.tile(every, len(rows))).reshape(len(rows), len(every))

    def _factors(self):
        """(intercept, P, Q) where `_scores` adds up intercept + b_u + b_i + p_u . q_i, the last by `pair_dots`, for the
        cells with a training rating in row and column; else None. Lists of all users are then many times faster."""
        return None

    def _known(self, rows, cols):
        """Mask of the cells that the model knows enough about to predict; `rows` and `cols` broadcast."""
        return (self.ratings_.user_counts[rows] > 0) & (self._item_counts[cols] > 0)

    @property
    def _item_counts(self):
        """How many ratings each title was learnt from: after `add` or `update` perhaps not from all."""
        return getattr(self, "item_counts_", self.ratings_.item_counts)

    def _newcomer(self, axis, at, values, features=None):
        """The `Fold` of a new viewer (axis 0) or title (axis 1): a regression of `values` at the positions `at`.

        Here there is nothing to learn about anybody: the mean for every title, or every viewer.
        """
        n = self.ratings_.shape[1 - axis]
        return ridge_fold(np.full(n, self.global_mean_, dtype=float), (np.zeros((n, 0)),), [], at, values)

    def _viewers_only(self, axis):
        """Refuse a new title, for models that know their titles only beside each other."""
        if axis == 1:
            raise ValueError(f"{type(self).__name__} knows the titles it was fitted to; for a new title fit it again.")

    def _solved(self, axis):
        """The learnt arrays that the regression of a viewer (axis 0) or title (axis 1) gives a row of, in the order of
        its columns; () where nothing is learnt of one alone, None where titles cannot be learnt one by one."""
        raise ValueError(
            f"{type(self).__name__} cannot keep anybody new: it has no _solved(axis), which says what its regression "
            "of a viewer gives; fold_in answers without keeping, or fit it again."
        )

    def _blank(self, name, shape, ids):
        """How a learnt array begins for users or items that were not met before, the `ids`."""
        return np.zeros(shape)

    def _unexplained(self, axis, row, at, values):
        """Ratings of a row, less what is known of it that `_newcomer` does not know of somebody new."""
        return values

    def _settle(self, rows, cols):
        """What else follows once the viewers `rows` and the titles `cols` have been solved again."""

    def _feature_reasons(self, viewer, col):
        """(parts by name, reasons by feature) of a prediction, for models with features."""
        raise ValueError(f"{self!r} knows nothing of what titles are about; explain by ratings.")

    def _part_reasons(self, viewer, col):
        """(other parts by name, reasons by part) of a prediction, for models whose parts only add."""
        raise ValueError(f"{self!r} has no parts that only add, as those of NMF; explain by ratings.")

    def check_settings(self) -> None:
        """Refuse a setting outside its bounds, by an error that names it; `fit` begins with it."""
        for name, declared in declared_settings(type(self)).items():
            declared.check(name, getattr(self, name))

    def in_use(self, name: str) -> Any:
        """The value of a setting that a fit uses: what it is set to, or what None stands for."""
        check_choice("name", name, self._get_param_names())
        return getattr(self, name)

    def search_space(self) -> dict[str, Range]:
        """What `tune` tries: {setting: Range}; a setting that needs a switch only where that is on."""
        declared = declared_settings(type(self)).items()
        switched_on = {name: one for name, one in declared if not one.needs or getattr(self, one.needs)}
        return {name: one.search for name, one in switched_on.items() if one.search is not None}

    def fitted(self) -> Ratings:
        """The training ratings; an error where there are none, because `fit` has not been called."""
        if not hasattr(self, "ratings_"):
            raise NotFittedError(f"this {type(self).__name__} has not been fitted; call fit(ratings) first.")
        return self.ratings_

    def need_rating_points(self) -> None:
        """Refuse a model whose predictions are not rating points, where errors are asked for."""
        if self.score_name != "predicted_rating":
            raise ValueError(
                f"{type(self).__name__} ranks: it gives a {self.score_name}, not rating points to score; measure its "
                "lists (rank_models, compare), and give tune a `score` of lists."
            )

    def errors(self, ratings: Ratings, clip: bool = False) -> np.ndarray:
        """Prediction minus rating: `errors` of this model."""
        return errors(self, ratings, clip)

    def rmse(self, ratings: Ratings, clip: bool = False) -> float:
        """Root mean squared error: `rmse` of this model."""
        return rmse(self, ratings, clip)

    def mae(self, ratings: Ratings, clip: bool = False) -> float:
        """Mean absolute error: `mae` of this model."""
        return mae(self, ratings, clip)

    def n_parameters(self) -> int:
        """How many numbers were learnt, the mean of a model of ratings among them; an array that stayed 0 throughout
        does not count."""
        self.fitted()
        arrays = [array for name in _LEARNT if (array := getattr(self, name, None)) is not None]
        mean = self.score_name == "predicted_rating"
        return mean + sum(array.nnz if sp.issparse(array) else array.size * bool(np.any(array)) for array in arrays)

    def certificate(self) -> Certificate | None:
        """How far the fit can be from the optimum of its objective; None for models that have no such bound."""
        self.fitted()
        return None

    def noise(self) -> float:
        """Standard deviation of a rating about its viewer's regression, rating points: root mean square of residual /
        sqrt(1 - leverage) over the training ratings: one regression a viewer, so it is computed once, and learnt.
        Of more than 8,000 viewers so many are drawn, always the same (`NOISE_VIEWERS`): a standard error of 0.6 % of
        the noise where viewers differ as those of MovieLens do, and of 0.1 % where all are as noisy.

        The item side is taken as known, so a model that overfits its titles sees too little noise.
        """
        self.need_rating_points()
        if not hasattr(self, "noise_"):
            self.noise_ = residual_noise(self)
        return self.noise_

    @property
    def rating_model(self) -> "Recommender":
        """The fitted model whose predicted ratings a list shows: this one, unless it orders by more than these."""
        return self

    def floor(self) -> "Recommender":
        """The model that every ranking is read against: the same list for everybody, not yet fitted."""
        return Popularity()

    @overload
    def predict(self, users: ArrayLike, items: ArrayLike, return_fallback: Literal[False] = False) -> np.ndarray: ...
    @overload
    def predict(
        self, users: ArrayLike, items: ArrayLike, return_fallback: Literal[True]
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def predict(self, users: ArrayLike, items: ArrayLike, return_fallback: bool = False) -> Any:
        """Predicted ratings of the pairs (users[e], items[e]), given as ids; a single id is repeated for all.

        With `return_fallback` also a mask: True where the model knew too little about the viewer or the title, and the
        prediction is the mean and the biases that are known.
        """
        rows, cols = self._cells(users, items)
        return self.predict_cells(rows, cols, return_fallback)

    def _cells(self, users, items):
        """(rows, cols) of pairs of ids; one id is repeated for all."""
        ratings = self.fitted()
        rows, cols = ratings.user_rows(users), ratings.item_cols(items)
        if len(rows) != len(cols) and 1 not in (len(rows), len(cols)):
            raise ValueError(
                f"users and items must be pairs, or one of them a single id, got {len(rows)}, {len(cols)}."
            )
        return np.broadcast_arrays(rows, cols)

    def predict_cells(self, rows: np.ndarray, cols: np.ndarray, return_fallback: bool = False) -> Any:
        """Predictions of the pairs of positions (rows[e], cols[e]) in the training table; with `return_fallback` also
        the mask of the cells that got the mean and the biases that are known."""
        rows, cols = check_cells(rows, cols, self.fitted().shape)
        check_switch("return_fallback", return_fallback)
        known = self._known(rows, cols)
        scores = np.where(known, self._scores(rows, cols), self._fallback(rows, cols))
        return (scores, ~known) if return_fallback else scores

    def _part_scores(self, part, rows, cols):
        """Predictions of the ratings of a part, which lie in these cells; a model may read their context too."""
        return self.predict_cells(rows, cols)

    def _interval_of(self, newcomer, at, interval):
        """(low, high) ends for a `Viewer` or `NewTitle` and the positions `at` of the other side."""
        raise ValueError(
            f"interval must be None for a {type(self).__name__}, which does not know how sure it is, got "
            f"{shown(interval)}; BayesianFM does, and for others uncertainty is a scale."
        )

    def _draws_of(self, newcomer, at):
        """Of a model that keeps samples: means, roots or None, and variances or None, as a `Belief` takes them, of the
        predictions for a `Viewer` or `NewTitle`; means and variances (len(at), s). None of other models."""

    def predict_rows(self, rows: np.ndarray) -> np.ndarray:
        """Predictions of whole rows, (len(rows), n_items), given as positions, unknown cells filled as in `predict`."""
        rows = check_positions("rows", rows, self.fitted().n_users)
        grid = rows[:, None], np.arange(self.ratings_.n_items)[None, :]
        return np.where(self._known(*grid), self._row_scores(rows), self._fallback(*grid))

    @property
    def _mean(self):
        """What the biases of an unknown cell are added to: the mean of the ratings; else no preference, 0."""
        return self.global_mean_ if self.score_name == "predicted_rating" else 0.0

    def _fallback(self, rows, cols):
        """What unknown cells get: the mean and the biases that are known; no preference where that is predicted."""
        return self._mean + self.user_bias_[rows] + self.item_bias_[cols]

    def complete(self) -> np.ndarray:
        """The completed table as a dense (m, n) array: asked for, and refused where it would fill the machine."""
        table = training_table(self, "complete()")
        check_memory(table.shape, "complete(), which predict and recommend do without,")
        return self.predict_rows(np.arange(table.n_users))

    def recommend(self, user: Any, n: int = 10, also_seen: Ratings | None = None, **options: Any) -> pd.DataFrame:
        """The `n` unrated items with the highest predicted rating for one user id or name: rank, item_id, title,
        predicted_rating (or count, or preference, for the models that do not predict ratings).

        The list of `viewer(user).recommend`, whose `options` it takes: genres, diversity, reasons to doubt. min(n,
        unseen) rows, of a work the next season alone; nothing rated in training, or in the Ratings `also_seen`. Ties go
        by item position.
        """
        if isinstance(user, (list, tuple)) or np.ndim(user):
            raise TypeError(f"recommend makes the list of one user, got {len(user)} ids; recommend_all makes them all.")
        return self.viewer(user).recommend(n, also_seen=also_seen, **options)

    def recommend_all(
        self,
        n: int = 10,
        also_seen: Ratings | None = None,
        one_per_work: bool | None = None,
        clip: bool = False,
    ) -> pd.DataFrame:
        """The lists of all users, one under the other, with a user_id column; arguments as in `recommend`. Lists
        that are too many for memory are for `write_lists`."""
        return self._lists(np.arange(self.fitted().n_users), n, also_seen, one_per_work, clip)

    def _lists(self, rows, n, also_seen, one_per_work, clip):
        """The lists of the users at these positions."""
        ratings = self.ratings_
        n = whole_number("n", n, 1)
        check_switch("clip", clip)
        columns = self.top_items(rows, min(n, ratings.n_items), also_seen, ratings.works(one_per_work))
        at, rank = np.nonzero(columns >= 0)
        row, col = rows[at], columns[at, rank]
        who = {"user_id": ratings.user_ids[row], "rank": rank + 1}
        what = {"item_id": ratings.item_ids[col]} | ratings.named(col)
        behind = self.rating_model
        rated = None if behind.score_name == self.score_name else behind.predict_cells(row, col)
        return pd.DataFrame(who | what | score_columns(self, self.predict_cells(row, col), rated, clip))

    def top_items(
        self, rows: np.ndarray, n: int, also_seen: Ratings | None = None, works: np.ndarray | None = None
    ) -> np.ndarray:
        """(len(rows), n) positions of the best unseen items, best first; -1 where a list is shorter than n.

        Scores that agree to `TIE` decimals are ties, and go by position. Of models of factors (`_factors`) a list
        depends on its own user alone, to the last digit, and the order is that of `predict`. Other models are asked for
        blocks of rows: where their `_row_scores` have a matrix product, its last digits may depend on the size of the
        block, and with them the order of two scores that lie 1e-15 beside the edge of a rounding.

        `works`, a whole number for each item, leaves of each work the next season (`season_order`) after those seen;
        without it every item counts, as ranking metrics want it.
        """
        n = whole_number("n", n, 1)
        ratings = self.fitted()
        rows = check_positions("rows", rows, ratings.n_users)
        works = None if works is None else check_array("works", works, length=ratings.n_items, whole=True)
        seen = ratings.known[rows]
        if also_seen is not None:
            ratings.check_universe(also_seen, "also_seen")
            seen = seen + also_seen.known[rows]
        seasons = None if works is None else ratings.seasons(works)
        check_memory((len(rows), n), f"top_items of n={n:,}")
        return best_lists(self._block_of_scores(), rows, seen, seasons, n)

    def _by_factors(self):
        """What `_factors` gives, where that is what the model predicts: not where a class below predicts otherwise."""
        owner = {name: next(kind for kind in type(self).__mro__ if name in vars(kind)) for name in _PREDICTION}
        return self._factors() if all(issubclass(owner["_factors"], kind) for kind in owner.values()) else None

    def _block_of_scores(self):
        """How `best_lists` gets the scores of a block of users."""
        by_factors = self._by_factors()
        if by_factors is None:
            return rows_as_they_are(self.predict_rows)
        intercept, P, Q = by_factors

        def users(rows):
            bias = self.user_bias_[rows]
            return intercept + bias, self._mean + bias, P[rows], self.ratings_.user_counts[rows] == 0

        return Screen(users, (self.item_bias_, self.item_bias_, Q, self._item_counts == 0)).block

    def _row(self, row):
        """Predictions of the whole row of one user, as the lists of all see them."""
        if self._by_factors() is None:
            return self.predict_rows(np.array([row]))[0]
        every = np.arange(self.ratings_.n_items)
        return self.predict_cells(np.full(len(every), row), every)

    def fold_in(self, ratings: Any, unknown: Literal["error", "skip"] = "error") -> Viewer:
        """A viewer whom the model was not trained on, from a few ratings: {item id or title: rating points}.

        The regression that gives a viewer of the training part their numbers, on the item side as trained: exact for
        the biases, ALS, the spectral family and neighbours, whose trained predictions it repeats; for models by descent
        the regression that their steps approach, left as early as they were. Nothing of the model changes.

        Returns a `Viewer`: predict, recommend, explain, uncertainty. Of an `OwnList` it also knows what was seen, and
        does not recommend it. What names no title of the table is an error; with `unknown="skip"` it is left out, and
        stands in `Viewer.unknown`.
        """
        check_choice("unknown", unknown, ("error", "skip"))
        table, seen = self.fitted(), getattr(ratings, "seen", [])
        known, skipped = (ratings, []) if unknown == "error" else table.known_pairs(ratings)
        if unknown == "skip":
            seen = [item for item in seen if item in table._positions[1]]
        viewer = Viewer(self, *table.checked_pairs(known))
        viewer.seen, viewer.unknown = table.item_cols(seen), skipped
        return viewer

    def fold_in_item(self, ratings: dict, features: dict[str, float] | None = None) -> NewTitle:
        """A title that the model was not trained on, from its ratings {user id or name: rating points} and, for models
        with item features, {feature name: value}. Returns a `NewTitle`: predict, audience, explain, uncertainty."""
        table = self.fitted()
        if features is not None and not self.reads_features:
            raise ValueError(f"{self!r} learns nothing from features.")
        return NewTitle(self, *table.checked_pairs(ratings, axis=1), features=features)

    def add(self, viewer: Viewer, user: Any, name: str | None = None) -> Self:
        """A new model that keeps a customer: this one, and the `viewer` that its `fold_in` gave as the user `user`.

        To `predict`, `recommend`, `save` and all else they are a user like the others; `ratings_` has their ratings,
        and the answer for them is that of the fold-in. Nobody else's answer changes. A new model, where scikit-learn's
        `partial_fit` changes its own, because lists, viewers and threads hold on to the old one, and an error leaves it
        whole: `model = model.add(me, user=1007)`. The ratings are copied: many customers at once are for `update`.

        What a viewer has seen and not rated is no rating, so it is not kept, but counted (`left_out` in the last row of
        `updates_`): go on excluding it. A fold-in has no context, so `ratings_` has none either, and a warning says so
        where the model has learnt from it: `ratings_` cannot be scored, nor fitted again, with it.

        Parameters
        ----------
        viewer : Viewer
        user : an id that is new, of the kind of the other ids
        name : str, optional
            By which they are found too; nobody else's.

        Raises
        ------
        ValueError : an id or name that is known; a viewer of another model, or of the training part; a model saved
            without its viewers, or of a class that does not say what a viewer's regression gives (`_solved`).
        TypeError : an id of another kind.
        """
        return add_viewer(self, viewer, user, name)

    def update(self, ratings: Ratings | pd.DataFrame) -> Self:
        """A new model that knows more ratings: added, or in the place of older ones by the same user of the same item.

        Each viewer with a rating that is new or other than before is solved again, as `fold_in` solves them. Where the
        class solves titles by regressions of their own (baseline, popularity, ALS, ImplicitALS, gradient descent,
        spectral), so is each title with such a rating, and then these viewers once more: exact half-steps of the
        training, which cannot raise its objective. Models by stochastic descent solve only those titles that they have
        not learnt; those that weigh pairs of titles (ItemKNN, EASE, GraphFilter, Hybrid), BPR and MultVAE keep what
        they have of them, and refuse new titles; NuclearNorm refuses. Everything else stays as trained, the mean too,
        so it is no refit: benchmarks/update.py says how far off, and a fit in the night makes it whole.

        Parameters
        ----------
        ratings : Ratings or DataFrame
            Of known or new users and items, on the scale of the training. A DataFrame is read as by `load_table`, with
            columns of usual names (user_id, item_id, rating, ...), the last of repeats; others go through `load_table`
            first. A column of the context that a model has learnt from must be in Ratings, as a DataFrame is read
            without it; else `ratings_` loses it, as in `add`.

        Returns
        -------
        a model; the last row of its `updates_` tells how many `users` and `titles` were brought up to date, `new_users`
        and `new_titles` met, and ratings `added`, `replaced`, sent again `unchanged` or `left_out` of the DataFrame.

        Raises
        ------
        ValueError, TypeError : as `add`, `Ratings.updated` and `load_table`.
        """
        return update_model(self, ratings)

    def viewer(self, user: Any) -> Viewer:
        """A viewer of the training part, by id or name, as a `Viewer`: their trained predictions, and reasons."""
        row = self.fitted().user_row(user)
        table = self.ratings_.csr[[row]]
        return Viewer(self, table.indices.astype(np.intp), table.data, row=row)

    def save(self, path: str | Path, with_ratings: bool = True) -> None:
        """Write settings, learnt arrays, training ratings and their hash to one .npz file, whole or not at all.

        With `with_ratings=False` nothing that has a row for each viewer is in it: no ratings, ids, names, profiles,
        biases or factors of theirs. The loaded model knows nobody, and folds in, recommends to and explains to somebody
        new exactly as this one does; EASE and Hybrid of few viewers, and GraphFilter, to rounding. That is not
        anonymity: of models that keep which titles were rated together, lists of single viewers can be told from the
        file, and a warning says so. See docs/SAVED_MODELS.md.
        """
        save_model(self, path, with_ratings)

    def _epochs(self):
        """Pass numbers 1..n_epochs, with a bar if `progress` asks for one."""
        return tqdm(range(1, self.n_epochs + 1), desc=type(self).__name__, disable=not self.progress)

    def _warn_unfinished(self, what):
        tol = getattr(self, "tol", None)
        advice = "; raise n_epochs" if tol is None else f" above tol={tol:g}; raise n_epochs or tol"
        warn_caller(
            f"{type(self).__name__} stopped at n_epochs={self.n_epochs} with {what}{advice}.", ConvergenceWarning
        )

    def _keep_after_interrupt(self):
        """Ctrl-C during a fit keeps what the whole passes so far have learnt; without one there is nothing to keep."""
        if not self.history_ or not may_keep_half():
            raise  # the KeyboardInterrupt that is being handled
        warn_caller(f"stopped by the keyboard after {len(self.history_)} whole passes; these are kept.")


_LEARNT = (
    "user_bias_",
    "item_bias_",
    "user_factors_",
    "item_factors_",
    "feature_weights_",
    "group_weights_",
    "counts_",
    "similarity_",
    "item_weights_",
    "hidden_bias_",
    "factor_weights_",
    "item_degrees_",
    "item_directions_",
    "network_",
    "item_roots_",
)


def _check_parts(ratings, validation):
    """Refuse what no model can be fitted to."""
    for part in (ratings,) if validation is None else (ratings, validation):
        if not isinstance(part, Ratings):
            raise TypeError(f"fit needs Ratings (see load_ratings, from_frame), got {type(part).__name__}.")
    if len(ratings) == 0:
        raise ValueError("fit needs at least one rating, got an empty part.")
    if validation is not None and not (len(validation) and ratings.same_universe(validation)):
        raise ValueError(
            "validation must hold ratings of the same users and items as the training part; take both from one "
            f"split of one table. Training: {ratings}, validation: {validation}."
        )


def _seed(random_state):
    """A whole number to seed generators by; a Generator gives one of its own at each fit, and nothing else is drawn."""
    return int(random_state.integers(2**63)) if isinstance(random_state, np.random.Generator) else random_state


def _set_aside(ratings, share, seed, remedy):
    """(train, validation), where `fit` was given no validation part."""
    if round(len(ratings) * share) in (0, len(ratings)):
        raise ValueError(
            f"{len(ratings)} ratings cannot give a validation share of {share} and leave some to train on; pass a "
            f"validation part to fit, raise validation_size, or {remedy}."
        )
    return ratings.split_random(share, seed)


# ---- Floors: the mean, and the biases --------------------------------------------------------------------------------


class GlobalMean(Recommender):
    """Predicts the mean of the training ratings for every cell: the floor that any model must beat."""

    def _fit(self, ratings, validation):
        pass

    def _scores(self, rows, cols):
        return np.full(len(rows), self.global_mean_)

    def _solved(self, axis):
        return ()


class Popularity(Recommender):
    """Ranks titles by how many viewers rated them, the same for everybody: the floor of every full-catalogue ranking.

    `predict` gives that count, not rating points, so `rmse` refuses it.
    """

    score_name = "count"

    def _fit(self, ratings, validation):
        self.counts_ = ratings.item_counts.astype(float)

    def _scores(self, rows, cols):
        return self.counts_[cols]

    def _row_scores(self, rows):
        return np.broadcast_to(self.counts_, (len(rows), len(self.counts_)))

    def _known(self, rows, cols):
        return np.ones(np.broadcast_shapes(rows.shape, cols.shape), dtype=bool)  # a count of 0 is knowledge

    def _newcomer(self, axis, at, values, features=None):
        counts = np.full(self.ratings_.n_users, float(len(at))) if axis else self.counts_
        return ridge_fold(counts, (np.zeros((len(counts), 0)),), [], at, values)

    def _solved(self, axis):
        return ()

    def _settle(self, rows, cols):
        self.counts_[cols] = self._item_counts[cols]


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

    `certificate()`: the objective is 2 reg-strongly convex, so its gap is at most |gradient|^2 / (4 reg).

    Reference: Matrix Factorization Techniques for Recommender Systems, Computer 42(8), 2009 (baseline with biases).
    """

    _one_regression = True

    reg: float = setting(5.0, low=0, search=IMAGINARY)
    solver: str = setting("direct", among=("direct", "cvxpy"))

    def _fit(self, ratings, validation):
        solve = _baseline_by_cvxpy if self.solver == "cvxpy" else _baseline_directly
        self.user_bias_, self.item_bias_ = solve(ratings, ratings.values - self.global_mean_, self.reg)

    def certificate(self) -> Certificate | None:
        """The certificate of this fit; None at reg = 0."""
        ratings = self.fitted()
        if self.reg == 0:
            return None
        deviations = ratings.values - self.global_mean_
        return bias_certificate(deviations, ratings.rows, ratings.cols, self.user_bias_, self.item_bias_, self.reg)

    def _scores(self, rows, cols):
        return self.global_mean_ + self.user_bias_[rows] + self.item_bias_[cols]

    def _row_scores(self, rows):
        return self.global_mean_ + self.user_bias_[rows, None] + self.item_bias_

    def _factors(self):
        return self.global_mean_, *(np.zeros((side, 0)) for side in self.ratings_.shape)

    def _newcomer(self, axis, at, values, features=None):
        bias = self.user_bias_ if axis else self.item_bias_
        return ridge_fold(self.global_mean_ + bias, (np.ones((len(bias), 1)),), [self.reg], at, values)

    def _solved(self, axis):
        return (self.item_bias_ if axis else self.user_bias_,)


def _baseline_directly(ratings, deviations, reg):
    return bias_solver(ratings.rows, ratings.cols, ratings.shape, reg)(deviations)


def _baseline_by_cvxpy(ratings, deviations, reg):
    import cvxpy as cp  # a second to import: only for those who ask for it

    b_user, b_item = cp.Variable(ratings.n_users), cp.Variable(ratings.n_items)
    error = deviations - b_user[ratings.rows] - b_item[ratings.cols]
    penalty = cp.sum_squares(b_user) + cp.sum_squares(b_item)
    solve_cvxpy(cp.Problem(cp.Minimize(cp.sum_squares(error) + reg * penalty)), solver=cp.CLARABEL)
    return b_user.value, b_item.value


# ---- Neighbours: titles rated alike ----------------------------------------------------------------------------------


class ItemKNN(Recommender):
    """Item neighbours on what the biases leave over: a title is rated as this viewer rated the titles most like it.

    Prediction: mu + b_u + b_i + sum_j w_ij r_uj / (damping + sum_j w_ij), over the `n_neighbors` titles j most similar
    to i among those that u rated, r the residuals of `BiasBaseline(reg)`. The weight w_ij is their cosine over the
    users who rated both, times c / (c + shrinkage) for c such users; only positive weights count.

    Parameters
    ----------
    n_neighbors : int
        At most so many of a viewer's own titles speak for another one.
    shrinkage : float
        So many common raters must two titles have before half of their similarity is believed.
    reg : float
        Penalty of the biases.
    damping : float, at least 0
        The weight of an imaginary neighbour without any residual: a few faint neighbours move a prediction little.

    Attributes
    ----------
    user_bias_ (m,), item_bias_ (n,)
    similarity_ (n, n) : sparse, symmetric; the positive weights, rounded to `TIE` decimals

    Reference: Factor in the Neighbors: Scalable and Accurate Collaborative Filtering, ACM TKDD 4(1), 2010 (item-item
    model with shrunk similarities). Departures: cosine of baseline residuals instead of Pearson correlation, and the
    damping of the mean.
    """

    n_neighbors: int = setting(40, low=1, search=Range(5, 1000, log=True, unit="titles"))
    shrinkage: float = setting(100.0, low=0, search=Range(3.0, 1000.0, log=True, unit="imaginary common raters"))
    reg: float = setting(3.0, low=0, search=IMAGINARY)
    damping: float = setting(0.3, low=0, search=Range(0.01, 10.0, log=True, unit="imaginary neighbours"))

    def _fit(self, ratings, validation):
        self.user_bias_, self.item_bias_ = _baseline_directly(ratings, ratings.values - self.global_mean_, self.reg)
        R = self._residuals()
        C = R.tocsc()
        start, near, weights = similar_rows(*csr_arrays(C), *csr_arrays(R), float(self.shrinkage))
        np.round(weights, TIE, out=weights)
        if start[-1] <= np.iinfo(np.int32).max:
            start = start.astype(np.int32)  # else SciPy makes both of 64 bits
        self.similarity_ = sp.csr_array((weights, near, start), shape=(ratings.n_items,) * 2)
        self.similarity_.sort_indices()
        self.similarity_.eliminate_zeros()

    def _residuals(self):
        """What the biases leave over, as a sparse (m, n) table."""
        ratings = self.ratings_
        left = ratings.values - self._fallback(ratings.rows, ratings.cols)
        biases = np.abs(self.user_bias_)[ratings.rows] + np.abs(self.item_bias_)[ratings.cols]
        terms = np.abs(ratings.values) + abs(self.global_mean_) + biases
        left[np.abs(left) <= FAINT * terms] = 0.0  # what is rounding has a cosine, too
        table = sp.csr_array((left, (ratings.rows, ratings.cols)), shape=ratings.shape)
        table.sort_indices()
        return table

    def _scores(self, rows, cols):
        return _pick_from_rows(self._row_scores, self.ratings_.n_items, rows, cols)

    def _row_scores(self, rows, wanted=None):
        n = self.ratings_.n_items
        wanted = np.ones((len(rows), n), dtype=bool) if wanted is None else wanted
        tables = *csr_arrays(self._residuals()[rows]), *csr_arrays(self.similarity_)
        means = neighbour_means(*tables, self.n_neighbors, float(self.damping), wanted)
        return self._fallback(rows[:, None], np.arange(n)) + means

    def _newcomer(self, axis, at, values, features=None):
        """Z is a column of ones for the bias, and the shares w_ij / (damping + sum w) of the neighbours for what that
        leaves."""
        self._viewers_only(axis)
        offset, n = self.global_mean_ + self.item_bias_, len(at)
        near = self.similarity_[:, at].toarray()
        by_position = np.argsort(at, kind="stable")  # ties go by position
        best_first = np.argsort(-near[:, by_position], axis=1, kind="stable")
        np.put_along_axis(near, by_position[best_first[:, self.n_neighbors :]], 0.0, axis=1)
        weight = near.sum(axis=1, keepdims=True)
        shares = np.divide(near, weight + self.damping, out=np.zeros_like(near), where=weight > 0)
        bias = np.full((1, n), 1 / (n + self.reg)) if n else np.zeros((1, 0))
        solve = np.vstack([bias, np.eye(n) - bias])
        return Fold(offset, (np.ones((len(offset), 1)), shares), solve, values - offset[at])

    def _solved(self, axis):
        return None if axis else (self.user_bias_,)


def _pick_from_rows(row_scores, n_items, rows, cols):
    """Predictions of pairs, for models that know the titles of a viewer together: a few rows at a time.

    `row_scores(users, wanted)` gives whole rows, of which only the mask `wanted` is read.
    """
    users, at = np.unique(rows, return_inverse=True)
    scores, block = np.zeros(len(rows)), max(1, 2_000_000 // n_items)
    for start in range(0, len(users), block):
        check_time()
        some = users[start : start + block]
        here = (at >= start) & (at < start + block)
        cells = at[here] - start, cols[here]
        wanted = np.zeros((len(some), n_items), dtype=bool)
        wanted[cells] = True
        scores[here] = row_scores(some, wanted)[cells]
    return scores


class _OfLikes:
    """What the models of who liked what share: `liked`, a setting of each, says which ratings count."""

    def in_use(self, name: str) -> Any:
        """The value of a setting that a fit uses; a `liked` of None is 0, where every rating counts."""
        value = super().in_use(name)  # type: ignore[misc]  # of the model beside it
        return 0.0 if value is None and isinstance(name, str) and name == "liked" else value

    def _is_liked(self, values):
        """Mask of the ratings at or above that share of the scale."""
        low, high = self.ratings_.scale
        edge = np.round(low + self.liked * (high - low), TIE) if self.liked else -np.inf
        return values >= edge

    def _liked_part(self, table):
        """The liked ratings of a table by rows, as such a table."""
        if not self.liked:
            return table
        liked = self._is_liked(table.data)
        start = np.append(0, np.cumsum(liked)).astype(table.indptr.dtype)[table.indptr]
        return sp.csr_array((table.data[liked], table.indices[liked], start), table.shape)

    def _likes(self, table):
        """The same with 1 for each liked rating."""
        part = self._liked_part(table)
        return sp.csr_array((np.ones(part.nnz), part.indices, part.indptr), part.shape)

    def _counted(self, table):
        """The liked ratings of a table by rows, as such a table: 1 for each if `binary`, else the rating."""
        return self._likes(table) if self.binary else self._liked_part(table)

    def _told(self, table):
        """How much each of them says: 1 if `binary`, else its share of the scale."""
        part = self._counted(table)
        weights = part.data if self.binary else self._share(part.data)
        return sp.csr_array((weights, part.indices, part.indptr), part.shape)

    def _share(self, values):
        """Where ratings lie on the scale, from 0 to 1."""
        low, high = self.ratings_.scale
        return (values - low) / (high - low)

    def _counted_ratings(self, ratings):
        """The same as ratings, for Spark."""
        part = ratings.part(self._is_liked(ratings.values)) if self.liked else ratings
        return part._with({"values": np.ones(len(part))}) if self.binary else part

    def _told_of(self, values):
        """How much each rating of somebody new says, 0 where it is not liked."""
        return self._is_liked(values) * (1.0 if self.binary else self._share(values))

    def _liked_in_order(self, at, values):
        """Where the liked ones stand in `at`, by rising position: the order in which they are told does not matter."""
        liked = np.flatnonzero(self._is_liked(values))
        return liked[np.argsort(at[liked], kind="stable")]

    def _need_likes(self, ratings):
        """Refuse a table in which nobody likes anything: there would be nothing to learn."""
        if not self._is_liked(ratings.values).any():
            raise ValueError(
                f"nobody likes anything: liked={self.liked:g} asks for ratings in the upper part of the scale "
                f"{ratings.scale}, and the highest is {ratings.values.max():g}; lower liked."
            )


class _OfPairs(_OfLikes):
    """What the models share that weigh the titles that were liked beside each other."""

    item_roots_ = None  # of a model saved before there were any

    def _learn_pairs(self, S, dtype="float64"):
        found = pair_weights(S, self.reg, dtype, f"{type(self).__name__}'s weights of pairs of titles")
        self.item_weights_, self.item_roots_ = found.table, found.roots

    def _pairs(self):
        return PairWeights(self.item_weights_, self.item_roots_)


class EASE(_OfPairs, Recommender):
    """The linear autoencoder: a title is preferred for the titles that were liked beside it, weights in closed form.

    Objective: |S - S B|^2 / 2 + reg |B|^2 / 2 over B with a zero diagonal (no title may explain itself), S the table of
    who liked what: 1 where liked, or by how much, 0 elsewhere. Convex; the multipliers of the diagonal give
    B_ij = -P_ij / P_jj off it, with P = (S'S + reg)^-1.

    `predict` gives a preference (near 1: likes to watch; near 0: does not), not rating points; `rmse` refuses it. A
    viewer who likes nothing gets 0 for every title. A MemoryError where its table takes more than 2 GiB: n x n, 16,384
    titles or 23,170 in float32; with fewer than half as many viewers, and a reg that is no rounding beside their likes,
    n x viewers.

    Parameters
    ----------
    reg : float, above 0
    liked : float from 0 to 1, optional
        A rating counts at or above this share of the scale: 0.75 is 8 of 1 to 10, and 4 of 0.5 to 5. A lower one is
        taken for no rating at all. None, or 0: every rating counts, also a low one.
    binary : bool
        Whether all of them count alike, 1 in S; else each by its share of the scale, 0 at its low end and 1 at its
        high end: better lists on MovieLens, and no worse ones on the real tables (benchmarks/lists.py).
    dtype : "float64" or "float32"
        Of B, and of the arithmetic that it comes from. float32 needs half of the memory and of the time (20,000 titles:
        1.5 GiB); on sparse tables B is off by about the number of viewers / reg times 1e-7, on nearly full ones by
        about ten times as much.

    Attributes
    ----------
    item_weights_ (n, n) : B; None where the second of these tables was made
    item_roots_ (n, r) : then it is V, of r viewers: B_ij = (V V')_ij / (1 - (V V')_jj) off the diagonal; None else

    `certificate()`: the objective is reg-strongly convex, so its gap is at most |gradient|^2 / (2 reg), the gradient
    taken off the diagonal; in float64, whatever B has.

    Reference: Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019.
    """

    score_name = "preference"

    reg: float = setting(100.0, above=0, search=Range(1.0, 10_000.0, log=True, unit="imaginary viewers"))
    liked: float | None = setting(None, low=0, high=1)
    binary: bool = setting(True)
    dtype: str = setting("float64", among=("float64", "float32"))

    def _fit(self, ratings, validation):
        self._need_likes(ratings)
        self._learn_pairs(self._told(ratings.csr), self.dtype)

    def certificate(self) -> Certificate:
        """The certificate of this fit."""
        return autoencoder_certificate(self._told(self.fitted().csr), self._pairs(), self.reg)

    def _scores(self, rows, cols):
        return _pick_from_rows(self._row_scores, self.ratings_.n_items, rows, cols)

    def _row_scores(self, rows, wanted=None):
        return self._pairs().weighed(self._told(self.ratings_.csr[rows]))

    def _newcomer(self, axis, at, values, features=None):
        """Each liked title adds its row of B."""
        self._viewers_only(axis)
        shares = self._pairs().rows(at).T
        return Fold(np.zeros(len(shares)), (shares,), np.eye(len(at)), self._told_of(values))

    def _solved(self, axis):
        return None if axis else ()  # the preferences of a viewer follow from their ratings


class GraphFilter(_OfLikes, Recommender):
    """Likes carried along the graph of viewers and titles, a low-pass filter: LightGCN without its training.

    S (m, n) is the table of likes, D_u and D_i its sums by viewer and by title (degrees), T = D_u^-1/2 S D_i^-1/2.
    Scores: T H D_i^popularity with H = sum_j c_j (T'T)^j + low_pass (sum_j c_j) V V'. The first part is LightGCN with
    one-hot embeddings instead of trained ones: each embedding is the mean of its `n_layers` + 1 layers, and a score the
    product of two. T'T makes a round, from titles to their viewers and on to what these like. V (n, n_factors) are the
    singular vectors of T with the largest singular values. So H multiplies the direction of a singular value s by
    sum_j c_j s^(2j), and by a constant more where it is among the first: a low-pass filter.

    `predict` gives a preference, which orders the titles of one viewer and has no scale of its own; `rmse` refuses it.
    A viewer who likes nothing gets 0 for every title. Scores are linear in T's row, so `explain` is exact. T'T is never
    formed: a round of a list takes a step for each like of the table.

    Parameters
    ----------
    n_layers : int from 1 to 100
        Layers K of LightGCN. 1 stays at one's own titles, 2 makes one round beyond them, each more another one: nearer
        to popularity.
    n_factors : int
        Singular directions of the low-pass part; 0: none. Those that tie with the next one are left out.
    low_pass : float, at least 0
        How much the low-pass part counts, as a share of what the layers make of the first direction.
    popularity : float from 0 to 1
        Exponent of a title's degree that its score is multiplied by. 0 is LightGCN; 0.5 with two layers orders unseen
        titles by how likely three random steps from the viewer end there.
    liked, binary : as in `EASE`

    Attributes
    ----------
    item_degrees_ (n,), item_roots_ (n, viewers) sparse, item_directions_ (n, r) : D_i, T' of who likes something, V

    References: LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation, SIGIR 2020; How
    Powerful is Graph Convolution for Recommendation?, CIKM 2021 (GF-CF adds one step from S and a low-pass part with
    the exponent 0.5); Blockbusters and Wallflowers, RecSys 2015 (three random steps, less popularity).
    """

    score_name = "preference"

    n_layers: int = setting(2, low=1, high=100, search=Range(2, 4, unit="layers"))
    n_factors: int = setting(0, low=0, search=Range(0, 200, unit="directions"))
    low_pass: float = setting(0.03, low=0, search=Range(0.003, 1.0, log=True, unit="share"))
    popularity: float = setting(0.0, low=0, high=1, search=Range(0.0, 0.5, unit="exponent"))
    liked: float | None = setting(None, low=0, high=1)
    binary: bool = setting(False)

    def _fit(self, ratings, validation):
        self._need_likes(ratings)
        likes = self._told(ratings.csr)
        self.item_degrees_ = np.asarray(likes.sum(axis=0), dtype=float)
        T = scaled(likes, inverse_root(self.item_degrees_))
        self.item_roots_ = sp.csr_array(T[np.diff(T.indptr) > 0].T)
        self.item_directions_ = smooth_directions(T, self.n_factors if self.low_pass else 0)
        if self.n_layers == 1 and not self.item_directions_.size:
            raise ValueError(
                "n_layers must be at least 2 where there is no low-pass part: one layer stays at one's own titles, and "
                f"of n_factors={self.n_factors}, low_pass={self.low_pass:g} no direction is left: those that tie go."
            )

    def _filtered(self, rows):
        """Rows of T, sparse, times H D_i^popularity."""
        weights, V = layer_weights(self.n_layers), self.item_directions_
        scores = carried(rows, self.item_roots_, weights) + self.low_pass * weights.sum() * ((rows @ V) @ V.T)
        return scores * self.item_degrees_**self.popularity

    def _scores(self, rows, cols):
        return _pick_from_rows(self._row_scores, self.ratings_.n_items, rows, cols)

    def _row_scores(self, rows, wanted=None):
        return self._filtered(scaled(self._told(self.ratings_.csr[rows]), inverse_root(self.item_degrees_)))

    def _newcomer(self, axis, at, values, features=None):
        """Each liked title adds its own row of D_i^-1/2 H D_i^popularity."""
        self._viewers_only(axis)
        likes = self._told_of(values)
        start = inverse_root(self.item_degrees_)[at]
        own = sp.csr_array((start, at, np.arange(len(at) + 1)), (len(at), len(self.item_degrees_)))
        target = likes * inverse_root(likes.sum(keepdims=True))
        return Fold(np.zeros(own.shape[1]), (self._filtered(own).T,), np.eye(len(at)), target)

    def _solved(self, axis):
        return None if axis else ()  # the preferences of a viewer follow from their ratings


# ---- Factors: what all models of the form intercept + b_u + b_i + p_u . q_i share ------------------------------------


class FactorModel(Recommender):
    """Models of the form intercept + b_u + b_i + p_u . q_i; without `biases` it is p_u . q_i alone."""

    # Longer than a model should be: it is what all models of factors share.

    biases = True  # settings of some, facts about others
    weighted_reg = False
    _usual_reg: ClassVar[dict] = {(False, False): 5.0, (True, False): 12.0, (False, True): 0.2, (True, True): 0.3}

    @property
    def _one_regression(self) -> bool:  # type: ignore[override]  # of this model's settings
        return not self.weighted_reg

    def in_use(self, name: str) -> Any:
        """The value of a setting that a fit uses: an open `reg` depends on `biases` and `weighted_reg`."""
        if isinstance(name, str) and name == "reg":  # of some a fact, not a setting
            return self._usual_reg[bool(self.biases), bool(self.weighted_reg)] if self.reg is None else self.reg
        return super().in_use(name)

    def search_space(self) -> dict[str, Range]:
        """What `tune` tries, {setting: Range}; a `reg` that is weighted by counts of ratings in its own range."""
        space = super().search_space()
        return space | {"reg": PER_RATING} if self.weighted_reg and "reg" in space else space

    @property
    def _intercept(self):
        return self.global_mean_ if self.biases else 0.0

    def _scores(self, rows, cols):
        base = self._intercept + self.user_bias_[rows] + self.item_bias_[cols]
        return base + pair_dots.unchecked(self.user_factors_, self.item_factors_, writable(rows), writable(cols))

    def _row_scores(self, rows):
        base = self._intercept + self.user_bias_[rows, None] + self.item_bias_
        return base + self.user_factors_[rows] @ self.item_factors_.T

    def _factors(self):
        return self._intercept, self.user_factors_, self.item_factors_

    def _newcomer(self, axis, at, values, features=None):
        times = max(len(at), 1) if self.weighted_reg else 1
        penalties = times * self.in_use("reg"), getattr(self, "bias_reg", 0.0)
        return ridge_fold(*self._regression(axis, len(at), *penalties), at, values)

    def _regression(self, axis, n_ratings, reg, bias_reg):
        """(offset, blocks of Z, penalties) of somebody new with so many ratings, on the factors of the other side."""
        factors, bias = (self.user_factors_, self.user_bias_) if axis else (self.item_factors_, self.item_bias_)
        penalty = np.full(factors.shape[1], float(reg))
        if self.biases:
            return self._intercept + bias, (factors, np.ones((len(factors), 1))), np.append(penalty, bias_reg)
        counts = self.ratings_.user_counts if axis else self._item_counts
        lost = (counts == 0) | (n_ratings == 0)  # these get the mean, as in `predict`
        offset = np.where(lost, self.global_mean_, self._intercept)
        return offset, (np.where(lost[:, None], 0.0, factors),), penalty

    def _penalized(self):
        """(P, Q) as the penalty sees them: reg times the sum of their squares."""
        factors = self.user_factors_, self.item_factors_
        if not self.weighted_reg:
            return factors
        return tuple(np.sqrt(n)[:, None] * own for n, own in zip(self._times(), factors, strict=True))

    def _times(self):
        """How many ratings of each user and item the penalty counts."""
        return self.ratings_.user_counts, self.ratings_.item_counts

    def _solved(self, axis):
        own = (self.item_factors_, self.item_bias_) if axis else (self.user_factors_, self.user_bias_)
        return own if self.biases else own[:1]

    def _start(self, ratings, seed, scale=0.1):
        """(P, Q) to start from: small random numbers, all ones, or the arrays that `init` gives."""
        shapes = ((ratings.n_users, self.n_factors), (ratings.n_items, self.n_factors))
        check_memory((min(sum(ratings.shape), self.n_factors), self.n_factors), f"n_factors={self.n_factors:,}")
        if isinstance(self.init, str) and self.init == "ones":
            return tuple(np.ones(shape) for shape in shapes)
        if isinstance(self.init, str) and self.init == "random":
            rng = np.random.default_rng(seed)
            return tuple(rng.normal(0.0, scale, shape) for shape in shapes)
        check_unmasked("init", self.init)
        try:
            given = tuple(np.array(P, dtype=float, order="C") for P in self.init)
        except (TypeError, ValueError):  # not a pair of arrays, or not of numbers
            given = ()
        if tuple(start.shape for start in given) != shapes:
            raise ValueError(
                f"init must be 'random', 'ones' or finite arrays P, Q of shapes {shapes}, got "
                f"{[start.shape for start in given] or shown(self.init)}."
            )
        if not all(np.isfinite(start).all() for start in given):
            raise ValueError("init must be finite arrays P, Q, got some with entries that are NaN or infinite.")
        return given

    def _begin(self, ratings):
        """((P, b_u), (Q, b_i)) of ALS to be learnt in place: as `_start` draws them, or as Spark has found them."""
        others = {name: getattr(self, name, 0.0) for name in ("bias_reg", "confidence")}
        check_in_dtype(self.dtype, reg=self.in_use("reg"), **others)
        check_room(self.n_factors)
        seed = _seed(self.random_state)
        found = self._start(ratings, seed) if self.solver == "cholesky" else spark_factors(self, ratings, seed)
        self.user_factors_, self.item_factors_ = found
        return (self.user_factors_, self.user_bias_), (self.item_factors_, self.item_bias_)

    def _left(self):
        """Rating minus prediction, row by row, of `ALS` and `NMF`."""
        cells, (intercept, P, Q) = self.ratings_.csr, self._factors()
        return cells.data - row_scores(cells, intercept, self.user_bias_, self.item_bias_, P, Q, self.n_jobs)

    @np.errstate(over="ignore")
    def _objective(self):
        """(objective, training RMSE) of `ALS` and `NMF`."""
        residual = self._left()
        loss = squared_loss.unchecked(residual, self.in_use("reg"), *self._penalized())
        penalty = self.bias_reg * (self.user_bias_ @ self.user_bias_ + self.item_bias_ @ self.item_bias_)
        found = float(loss + penalty), float(np.sqrt(np.mean(residual**2)))
        check_solution(found, self.in_use("reg"))
        return found

    def _run_passes(self, learn):
        """Repeat `learn()`, one pass that returns a row for `history_`, until its objective has settled."""
        before = np.inf
        try:
            for epoch in self._epochs():
                row = learn(epoch)
                self.history_.append({"epoch": epoch} | row)
                if self.tol > 0 and abs(before - row["objective"]) <= self.tol * row["objective"]:
                    break
                before = row["objective"]
            else:
                if self.tol > 0:
                    self._warn_unfinished("the change of the objective in one pass")
        except KeyboardInterrupt:
            self._keep_after_interrupt()


# ---- Alternating least squares ---------------------------------------------------------------------------------------


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
    reg : float, optional
        lambda. 0 is allowed without biases: least-norm regressions, no certificate, and where factors become nearly
        dependent the objective may rise by what is left out as rounding. None: 12 with biases, where the
        factors have only what the biases leave to explain, 5 without.
    biases, bias_reg : bool, float above 0
        Whether to add mu + b_u + b_i, solved together with the factors; lambda_b.
    weighted_reg : bool
        Whether the penalty of a row counts once for each of its ratings, as in the paper: reg (sum_u n_u |p_u|^2 +
        sum_i n_i |q_i|^2), n_u and n_i the numbers of ratings; that of the biases does not. A `reg` of None is then 0.3
        with biases, 0.2 without. Rows with many ratings are held as firmly as those with few.
    n_epochs, tol : int, float
        At most `n_epochs` passes (users, then items); stop when a pass lowers the objective by less than `tol` of it.
        `tol=0` runs all passes. The fit ends with one more user half-step, so p_u is the exact regression on the final
        Q.
    init : "random", "ones", or a pair of arrays (P, Q)
        Normal(0, 0.1) entries, the course's all-ones trap (notebook 05), or a start of your own.
    random_state : int or Generator
        A Generator gives one number at each fit, which seeds it.
    dtype : "float64" or "float32"
        Of the arithmetic within a half-step. float32 takes about two thirds of the time on ten million ratings; a
        half-step is off by about 1e-6 of the factors, so `tol` should not be much smaller.
    n_jobs : int
        Threads; -1 is one for each core. The digits do not depend on it.
    solver : "cholesky" or "spark"
        "spark" hands the ratings to pyspark.ml.recommendation.ALS: to the SparkSession that is active, on whatever
        cluster, else to one of its own on the cores of this machine, which ends with the fit (and takes seconds to
        start). Spark's penalty is weighted and it has no biases, no `tol` and a start of its own, so it needs
        weighted_reg=True, biases=False, tol=0 and init="random"; `dtype`, `n_jobs` and `progress` say nothing to it. It
        keeps factors in single precision and adds up in the order in which parts arrive, so digits may differ from run
        to run. `history_` has its last pass alone. Ratings too many for memory are for `fit_parquet`.
    progress : bool

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k), user_bias_, item_bias_
    history_ : list of dict
        epoch, objective, train_rmse after each pass.

    References: Large-Scale Parallel Collaborative Filtering for the Netflix Prize, AAIM 2008 (the method; its penalty
    is that of `weighted_reg`). Maximum-Margin Matrix Factorization, NIPS 2004 (the factored nuclear
    norm).
    """

    n_factors: int = setting(20, low=1, search=RANK)
    reg: float | None = setting(None, low=0, search=IMAGINARY)
    biases: bool = setting(False)
    bias_reg: float = setting(5.0, low=0, search=IMAGINARY, needs="biases")
    weighted_reg: bool = setting(False)
    n_epochs: int = setting(500, low=1)
    tol: float = setting(1e-6, low=0)
    init: str | tuple[np.ndarray, np.ndarray] = "random"
    random_state: int | np.random.Generator = setting(0, low=0)
    dtype: str = setting("float64", among=("float64", "float32"))
    n_jobs: int = setting(1, low=-1)
    solver: str = setting("cholesky", among=("cholesky", "spark"))
    progress: bool = setting(False)

    def _fit(self, ratings, validation):
        if self.in_use("reg") == 0 and self.biases:
            raise ValueError("reg=0 with biases leaves the biases undetermined; use a small positive reg.")
        if self.biases:
            check_number("bias_reg", self.bias_reg, strict=True)
        users, items = self._begin(ratings)

        def learn(epoch):
            self._half_step(ratings.csr, *users, *items)
            self._half_step(ratings.csc.T, *items, *users)
            return dict(zip(("objective", "train_rmse"), self._objective(), strict=True))

        if self.solver == "cholesky":
            self._run_passes(learn)
        self._half_step(ratings.csr, *users, *items)
        if self.solver == "spark":
            row = dict(zip(("objective", "train_rmse"), self._objective(), strict=True))
            self.history_.append({"epoch": self.n_epochs} | row)

    def _half_step(self, table, factors, bias, other, other_bias):
        """Solve every row of `table` for its factors (and bias, a factor whose other side is 1), in place."""
        reg, how = np.full(self.n_factors, float(self.in_use("reg"))), (self.dtype, self.n_jobs)
        penalty, per_rating = (np.zeros_like(reg), reg) if self.weighted_reg else (reg, None)
        if not self.biases:
            factors[:] = regress_rows(table, other, penalty, None, *how, per_rating)
            return
        other = np.column_stack([other, np.ones(len(other))])
        penalty, offset = np.append(penalty, self.bias_reg), self.global_mean_ + other_bias
        per_rating = np.append(reg, 0.0) if self.weighted_reg else None
        rows = regress_rows(table, other, penalty, offset, *how, per_rating)
        factors[:], bias[:] = rows[:, :-1], rows[:, -1]

    def certificate(self) -> Certificate | None:
        """The certificate of this fit, from a convex fit that is made for it; None at reg = 0.

        The objective at P, Q is at least twice the spectral one at P Q' (same lambda, same lambda_b), because
        |X|_* = min (|P|^2 + |Q|^2) / 2 over X = P Q'. So twice a dual value of the convex problem bounds it from below.
        The convex fit begins at this one.

        With `weighted_reg` the penalty is at least 2 reg |diag(sqrt n_u) P Q' diag(sqrt n_i)|_*, in the same way, and
        what is convex is the objective with that norm (`scales` of `spectral_certificate`). The dual point is then the
        residual of this fit, or of a second one with four times as many factors, whichever bounds better.
        """
        self.fitted()
        if self.in_use("reg") == 0:
            return None
        return _factored_certificate(self, _weighted_bound if self.weighted_reg else _spectral_bound, self.ratings_)


def _factored_certificate(model, bound_of, ratings):
    """The certificate of a product of factors on the ratings, by a bound of the convex problem."""
    with warnings.catch_warnings(), whole_fits(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)  # any dual point bounds; a rough one only loosely
        bound = bound_of(model, ratings)
    return Certificate(model._objective()[0], 2 * bound.dual, bound.proven)


def _spectral_bound(model, ratings):
    """The certificate of a spectral fit to the ratings, with the penalties of an ALS on these."""
    convex = SpectralRegularization(model.in_use("reg"), biases=model.biases, n_epochs=1000)
    if model.biases:
        convex.set_params(bias_reg=model.bias_reg)
    convex._beginning = model.user_factors_, model.item_factors_, -model.errors(model.ratings_)
    bound = convex.fit(ratings).certified_
    if model.biases and model.global_mean_ != convex.global_mean_:  # after `update`: the objective has the older mean
        bound = convex._certify_from(model.global_mean_)
    return bound


def _weighted_bound(model, ratings):
    """The same with the weights of `weighted_reg`: the better of two residuals as dual points."""
    target = ratings.values - model._intercept
    wider = clone(model).set_params(n_factors=min(4 * model.n_factors, *ratings.shape), solver="cholesky")
    wider.set_params(init="random", random_state=0, n_epochs=300, tol=1e-6, progress=False)
    scales = tuple(np.sqrt(np.maximum(counts, 1)) for counts in (ratings.user_counts, ratings.item_counts))
    biases = (model.user_bias_, model.item_bias_) if model.biases else None
    reg, bias_reg = model.in_use("reg"), model.bias_reg if model.biases else 0.0

    def bound(fit):
        residual = ratings.values - fit._scores(ratings.rows, ratings.cols)
        cells = ratings.rows, ratings.cols, ratings.shape
        return spectral_certificate(target, residual, *cells, reg, 0.0, biases, bias_reg, scales=scales)

    found = [bound(model)]
    with suppress(ValueError):  # with hardly a penalty so many factors may have no solution in floating point
        found.append(bound(wider.fit(ratings)))
    return max(found, key=lambda one: one.dual)


class NMF(FactorModel):
    """Non-negative matrix factorization on the known cells: a prediction is a sum of parts, and none is taken away.

    Objective, over P >= 0 and Q >= 0: sum (A - mu - b_u - b_i - p.q)^2 + bias_reg (|b_u|^2 + |b_i|^2) +
    reg (|P|^2 + |Q|^2), the biases of either sign; without `biases`, sum (A - low - p.q)^2 + reg (|P|^2 + |Q|^2), low
    the lower end of the rating scale.

    Coordinate descent: each number in turn gets its best value with all others held fixed, and 0 where that is below
    0: p_uf = max(0, sum_i q_if (A_ui - the prediction without part f) / (sum_i q_if^2 + reg)). A pass has all viewers,
    then all titles. So the objective never rises. The problem is not convex: where a fit stops depends on the start,
    and `stationarity` says how far it is from a point where no single number can be improved.

    Parameters
    ----------
    n_factors : int
        Parts; one that does not pay for its penalty fades to 0.
    reg : float above 0, optional
        lambda. None: 8 with biases, 5 without.
    biases, bias_reg : bool, float above 0
        Whether to add mu + b_u + b_i, found together with the parts. Without them the parts have to explain the level
        too, at a cost in accuracy (benchmarks/nmf.py).
    n_epochs, tol : int, float
        As in `ALS`. The fit ends with the viewers: p_u is the exact minimum given the final Q.
    init : "random", "ones", or a pair of arrays (P, Q)
        None below 0. From all ones the parts stay equal.
    random_state, n_jobs, progress : as in `ALS`

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k), user_bias_, item_bias_
    history_ : list of dict
        epoch, objective, train_rmse after each pass.

    `certificate()`: the bound of `ALS` holds with fewer P, Q to choose from. It does not know that they are not
    negative, so its gap stays open at the best fit too.

    Reference: Fast Local Algorithms for Large Scale Nonnegative Matrix and Tensor Factorizations, IEICE Transactions on
    Fundamentals E92-A(3), 2009 (the updates, for full tables and without a penalty).
    """

    _usual_reg: ClassVar[dict] = {(False, False): 5.0, (True, False): 8.0}
    _one_regression = False

    n_factors: int = setting(10, low=1, search=RANK)
    reg: float | None = setting(None, above=0, search=IMAGINARY)
    biases: bool = setting(True)
    bias_reg: float = setting(5.0, above=0, search=IMAGINARY, needs="biases")
    n_epochs: int = setting(500, low=1)
    tol: float = setting(1e-5, low=0)
    init: str | tuple[np.ndarray, np.ndarray] = "random"
    random_state: int | np.random.Generator = setting(0, low=0)
    n_jobs: int = setting(1, low=-1)
    progress: bool = setting(False)

    @property
    def _intercept(self):
        return self.global_mean_ if self.biases else self.ratings_.scale[0]

    @np.errstate(over="ignore")  # of ratings too large to square: `check_solution` says so
    def _fit(self, ratings, validation):
        level = ratings.values.std() if self.biases else self.global_mean_ - self._intercept
        start = self._start(ratings, _seed(self.random_state), np.sqrt(level / self.n_factors))
        if not isinstance(self.init, str):
            check_nonnegative("init", *start)
        self.user_factors_, self.item_factors_ = (np.abs(P) for P in start)  # a random start has both signs
        self._run_passes(self._one_pass)
        self._half_step(0, 0)

    def _one_pass(self, epoch):
        self._half_step(0, 1)
        self._half_step(1, 1)
        return dict(zip(("objective", "train_rmse"), self._objective(), strict=True))

    def _half_step(self, axis, n_sweeps):
        """So many sweeps over the numbers of each viewer (axis 0) or title (axis 1); with 0, to their minimum."""
        table = self.ratings_.csc.T if axis else self.ratings_.csr
        problem = self._regression(axis, 1, self.in_use("reg"), self.bias_reg)
        nonnegative_rows(table, *problem, *self._solved(axis), n_sweeps=n_sweeps, n_jobs=self.n_jobs)

    def _newcomer(self, axis, at, values, features=None):
        problem = self._regression(axis, len(at), self.in_use("reg"), self.bias_reg)
        return nonnegative_fold(*problem, at, values, int(self.biases))

    def stationarity(self) -> float:
        """The largest slope of the objective that a number could still follow: |dE/dx|, of a number at 0 only what of
        dE/dx is below 0. At 0 the Karush-Kuhn-Tucker conditions hold, which a minimum needs; another may lie lower."""
        cells, penalties = self.fitted().csr, (self.in_use("reg"), self.bias_reg)
        R = sp.csr_array((self._left(), cells.indices, cells.indptr), cells.shape)
        (P, *b_user), (Q, *b_item) = self._solved(0), self._solved(1)
        return max(steepest(R, *penalties, Q, P, *b_user), steepest(R.T, *penalties, P, Q, *b_item))

    def certificate(self) -> Certificate:
        """The certificate of this fit, from a convex fit that is made for it, as in `ALS`."""
        low, high = self.fitted().scale  # without biases P Q' explains the height above the end of the scale
        heights = {} if self.biases else {"values": self.ratings_.values - low, "scale": (0.0, high - low)}
        return _factored_certificate(self, _spectral_bound, dataclasses.replace(self.ratings_, **heights))

    def titles_of_parts(self, n: int = 5) -> pd.DataFrame:
        """The `n` titles that each part adds most to, part by part: part (the column of the factors), rank, item_id,
        title, and `adds`, rating points, mean over the viewers of the training part."""
        ratings = self.fitted()
        n = whole_number("n", n, 1)
        adds = self.item_factors_ * mean_parts(self.user_factors_, ratings.user_counts > 0)
        part, rank, col = leading(adds, n)
        what = {"item_id": ratings.item_ids[col]} | ratings.named(col) | {"adds": adds[col, part]}
        return pd.DataFrame({"part": part, "rank": rank} | what)

    def _part_reasons(self, viewer, col):
        x = viewer.fold.solve @ viewer.fold.target
        if viewer.row is not None:
            x = np.append(self.user_factors_[viewer.row], self.user_bias_[viewer.row])
        adds, own = x[: self.n_factors] * self.item_factors_[col], x[self.n_factors :].sum()
        others = {"this viewer": own, "what everybody gets": viewer.scores[col] - adds.sum() - own}
        names = part_names(self.item_factors_, self.ratings_.item_labels)
        return others, [(name, np.nan, add) for name, add in zip(names, adds.tolist(), strict=True) if add > 0]


def _check_counted(values):
    """Refuse liked ratings below 0, of a fit or of somebody new."""
    if (values < 0).any():
        raise ValueError(f"confidence grows with the rating, which must not be negative: {values.min():g}.")


class ImplicitALS(_OfLikes, FactorModel):
    """Matrix factorization of *who rated what*: every cell counts, and a rating raises the confidence of its cell.

    Objective: sum over all cells of c (s - p.q)^2 + reg (|P|^2 + |Q|^2); s = 1 where liked, else 0; c = 1 + confidence
    times the rating where liked, else 1. Alternating exact regressions: the other cells enter through Q'Q, which all
    users share, so a pass costs no more than a pass of `ALS`.

    `predict` gives a preference (near 1: likes to watch; near 0: does not), not rating points; `rmse` refuses it. A
    user who likes nothing and an item without a training rating get 0.

    Parameters
    ----------
    n_factors, reg, weighted_reg, n_epochs, tol, init, random_state, dtype, n_jobs, solver, progress : as in `ALS`
        `reg` is above 0; None: 10, and with `weighted_reg` 0.5. Spark takes ratings above 0 alone.
    confidence : float, at least 0
        How much more a liked cell counts, for each rating point; with `binary` how much more it counts.
    liked : float from 0 to 1, optional
        A cell is liked that is rated at or above this share of the scale, as in `EASE`; every other one has s = 0 and
        c = 1, as if it were not rated. None, or 0: every rated cell.
    binary : bool
        Whether all liked cells count alike, c = 1 + confidence: that somebody rates a title tells what there is to
        know, and how high does not matter.

    Reference: Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008 (objective and the Q'Q device; there c
    grows with how often something was watched, here with the rating).
    """

    score_name = "preference"
    biases = False
    _usual_reg: ClassVar[dict] = {(False, False): 10.0, (False, True): 0.5}

    n_factors: int = setting(20, low=1, search=RANK)
    reg: float | None = setting(None, above=0, search=Range(1.0, 300.0, log=True, unit="lambda"))
    weighted_reg: bool = setting(False)
    confidence: float = setting(1.0, low=0, search=Range(0.05, 20.0, log=True, unit="for each rating point"))
    n_epochs: int = setting(50, low=1)
    tol: float = setting(1e-4, low=0)
    init: str | tuple[np.ndarray, np.ndarray] = "random"
    random_state: int | np.random.Generator = setting(0, low=0)
    dtype: str = setting("float64", among=("float64", "float32"))
    n_jobs: int = setting(1, low=-1)
    solver: str = setting("cholesky", among=("cholesky", "spark"))
    progress: bool = setting(False)
    liked: float | None = setting(None, low=0, high=1)
    binary: bool = setting(False)

    def _fit(self, ratings, validation):
        self._need_likes(ratings)
        by_user, by_item = self._counted(ratings.csr), self._counted(ratings.csc.T)
        _check_counted(by_user.data)
        (P, _), (Q, _) = self._begin(self._counted_ratings(ratings))

        def learn(epoch):
            self._half_step(by_user, P, Q)
            self._half_step(by_item, Q, P)
            return {"objective": self._objective(ratings)}

        if self.solver == "cholesky":
            self._run_passes(learn)
        self._half_step(by_user, P, Q)
        if self.solver == "spark":
            self.history_.append({"epoch": self.n_epochs, "objective": self._objective(ratings)})

    def _times(self):
        tables = self.ratings_.csr, self.ratings_.csc.T
        return tuple(np.diff(self._liked_part(table).indptr) for table in tables)

    def _half_step(self, table, factors, other):
        reg = float(self.in_use("reg"))
        per_rating = np.full(self.n_factors, reg) if self.weighted_reg else None
        base = other.T @ other + (0.0 if self.weighted_reg else reg) * np.eye(self.n_factors)
        given = table.indptr, table.indices, table.data, other, base  # c - 1 is confidence times the rating
        options = {"confidence": self.confidence, "per_rating": per_rating, "dtype": self.dtype, "n_jobs": self.n_jobs}
        factors[:] = solve_all_rows(*given, **options)
        check_solution(factors, reg, f", lower confidence={self.confidence:g}")

    def _objective(self, ratings):
        P, Q, cells = self.user_factors_, self.item_factors_, self._counted(ratings.csr)
        c = 1 + self.confidence * cells.data
        x = row_scores(cells, 0.0, self.user_bias_, self.item_bias_, P, Q, self.n_jobs)  # biases are 0
        other = np.vdot(P.T @ P, Q.T @ Q) - x @ x  # sum of (p.q)^2 over all cells, less the liked ones
        P, Q = self._penalized()
        return float(other + c @ (1 - x) ** 2 + self.in_use("reg") * (np.vdot(P, P) + np.vdot(Q, Q)))

    def _newcomer(self, axis, at, values, features=None):
        """A half-step of the fit for one row: every liked title is a preference of 1, with its confidence."""
        other = self.user_factors_ if axis else self.item_factors_
        liked, rated = self._is_liked(values)[:, None], other[at]
        counted = liked * (1.0 if self.binary else values[:, None])
        _check_counted(counted)
        extra = float(self.confidence) * counted
        reg = float(self.in_use("reg")) * (max(liked.sum(), 1) if self.weighted_reg else 1)
        gram = other.T @ other + reg * np.eye(self.n_factors) + rated.T @ (extra * rated)
        solve = np.linalg.solve(gram, (rated * (liked + extra)).T)
        return Fold(np.zeros(len(other)), (other,), solve, np.ones(len(at)))


# ---- Pairs of titles of which somebody prefers the first -------------------------------------------------------------


def _checked_loss(model, loss, epoch, chance, *learnt):
    """The loss of a pass, unless its steps were too long; `learnt` are the arrays that it leaves."""
    if not loss < 100 or not all(np.abs(array).max(initial=0.0) < 1e100 for array in learnt):  # products of two follow
        reached = f"reached {loss:.3g}" + ", and numbers that it learnt lie beyond 1e100" * bool(loss < 100)
        raise DivergenceError(
            f"{type(model).__name__} diverged in pass {epoch}: its loss, {chance:.3g} by chance, {reached}. "
            f"learning_rate={model.learning_rate:g} is too long a step here; try {model.learning_rate / 10:g}"
            f"{_also_long(model)}."
        )
    return loss


def _also_long(model):
    """What else than the step makes it too long: settings above their defaults, and a start of one's own."""
    usual = {name: one.default for name, one in declared_settings(type(model)).items() if name in ("reg", "beta")}
    others = [f"{name}={getattr(model, name):g}" for name in usual if getattr(model, name) > usual[name]]
    others += ["init"] * (not isinstance(getattr(model, "init", ""), str))
    return f", or smaller values of {', '.join(others)}" if others else ""


class BPR(_OfLikes, FactorModel):
    """Bayesian personalised ranking: of a title that somebody likes and one that they do not, the first comes first.

    Objective: sum over likes (u, i) of the mean over j, not liked by u, of -ln sigma(x_uij) + the penalty, with x_uij =
    b_i - b_j + p_u.(q_i - q_j), sigma(x) = 1 / (1 + exp(-x)): a smooth form of the share of such j that stand before i,
    1 - AUC. A pass takes every like once, in a new order, each with a j drawn uniformly from what the user does not
    like, and one step of each: theta -= learning_rate d/dtheta [-ln sigma(x_uij) + reg/2 |p_u, q_i, q_j, b_i, b_j|^2].

    `predict` gives a preference, b_i + p_u.q_i: it says what comes before what and has no scale of its own. Somebody
    who likes nothing has p = 0, and gets the list by b_i, the same for everybody.

    Parameters
    ----------
    n_factors : int
    reg : float, at least 0
        lambda, once for each step that touches a number, as in the paper; there it may differ for p, q_i and q_j.
    learning_rate : float, above 0
    n_epochs : int
        Passes; all are made, and the last is kept.
    liked : float from 0 to 1, optional
        As in `EASE`. What somebody rated lower is among the titles that they do not like.
    init, random_state, progress : as in `ALS`

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k), item_bias_ (n,)
    history_ : list of dict
        epoch; train_loss, the mean of -ln sigma(x), each as its step met it: 0.693 is chance.

    Somebody new gets as many passes over their own likes, from p = 0, with the titles held fixed and always the same
    draws.

    Raises
    ------
    DivergenceError : the steps are too long.

    Reference: BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009. Departures: passes over all likes
    instead of draws with replacement, in which each pair counts alike however many titles its viewer does not like; a
    bias for each title.
    """

    score_name = "preference"
    half_steps = "viewers"
    _intercept = 0.0

    n_factors: int = setting(20, low=1, search=RANK)
    reg: float = setting(0.03, low=0, search=Range(1e-4, 0.3, log=True, unit="lambda, once for each step"))
    learning_rate: float = setting(0.05, above=0, search=Range(5e-3, 0.3, log=True, unit="step of one pair"))
    n_epochs: int = setting(100, low=1)
    liked: float | None = setting(None, low=0, high=1)
    init: str | tuple[np.ndarray, np.ndarray] = "random"
    random_state: int | np.random.Generator = setting(0, low=0)
    progress: bool = setting(False)

    def _fit(self, ratings, validation):
        self._need_likes(ratings)
        rng, likes = np.random.default_rng(_seed(self.random_state)), self._likes(ratings.csr)
        self.user_factors_, self.item_factors_ = P, Q = self._start(ratings, rng)
        counts = np.diff(likes.indptr)
        rows, cols = np.repeat(np.arange(len(counts)), counts), likes.indices
        others = ratings.n_items - counts[rows]  # so many titles stand against each like
        rows, cols, others = rows[others > 0], cols[others > 0], others[others > 0]
        try:
            for epoch in self._epochs():
                order = rng.permutation(len(rows))
                draws = (rng.random(len(rows)) * others[order]).astype(np.int64)
                table = likes.indptr, likes.indices, self.item_bias_, P, Q
                loss = bpr_pass(rows[order], cols[order], draws, *table, float(self.learning_rate), float(self.reg))
                loss = _checked_loss(self, loss / max(len(rows), 1), epoch, np.log(2), P, Q, self.item_bias_)
                self.history_.append({"epoch": epoch, "train_loss": loss})
        except KeyboardInterrupt:
            self._keep_after_interrupt()
        P[(counts == 0) | (counts == ratings.n_items)] = 0.0  # who likes nothing, or everything, prefers nothing
        Q[ratings.item_counts == 0] = 0.0

    def _newcomer(self, axis, at, values, features=None):
        """The steps of the fit for one viewer alone; what each like has added to p is told apart."""
        self._viewers_only(axis)
        Q, liked = self.item_factors_, self._liked_in_order(at, values)
        solve, others = np.zeros((Q.shape[1], len(at))), len(Q) - len(liked)
        if others:
            draws = np.random.default_rng(0).random((len(self.history_), len(liked)))
            draws, parts = (draws * others).astype(np.int64), np.zeros((len(liked), Q.shape[1]))
            steps = float(self.learning_rate), float(self.reg)
            bpr_row(at[liked].astype(np.int64), draws, self.item_bias_, Q, *steps, parts)
            solve[:, liked] = parts.T
        return Fold(self.item_bias_, (Q,), solve, np.ones(len(at)))

    def _solved(self, axis):
        return None if axis else (self.user_factors_,)


class DeepMF(_OfLikes, Recommender):
    """A network on two embeddings: score s_ui = network([p_u, q_i]), hidden layers of ReLUs; who likes i, and who not.

    Objective: sum over the likes (u, i), each with `n_negatives` titles j that u does not like, drawn uniformly and
    anew in each pass, of ln(1 + exp(-s_ui)) + sum_j ln(1 + exp(s_uj)), and for each of these pairs reg/2 |p_u, q,
    network|^2. Not convex. Steps of Adam along its mean over `batch_size` likes; embeddings that a batch does not meet
    stay where they are, as their running means do (lazy Adam).

    `predict` gives a preference, s_ui, the logarithm of the odds that u likes i rather than not, among such pairs.
    Somebody who likes nothing has p = 0, and gets the list by network([0, q_i]), the same for everybody.

    Parameters
    ----------
    n_factors : int
        Of p and of q.
    hidden : tuple of int
        Units of the hidden layers, first to last; () is a weighted sum of [p, q], which gives everybody the same list
        unless there is a `dot_product`.
    dot_product : bool
        Whether the score is network([p_u, q_i]) + p_u.q_i.
    n_negatives : int, at most 10,000
    reg : float, at least 0
    learning_rate : float, above 0
        Of Adam: about the length of a step of each number, and up to three times that where one is first met late.
    batch_size : int
        Likes a step.
    n_epochs : int
        Passes; all are made, and the last is kept.
    liked : float from 0 to 1, optional
        As in `EASE`. What somebody rated lower is among the titles that they do not like.
    random_state, progress : as in `ALS`

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k), network_ (weights,), of which `layers()` gives W and b of each layer
    item_bias_ (n,) : network([0, q_i])
    history_ : list of dict
        epoch; train_loss, the mean of the logarithms, each as its step met it: 0.693 is a coin.

    Somebody new gets a hundred steps of Adam from p = 0 with everything else held fixed, always with the same draws.

    Raises
    ------
    DivergenceError : the steps are too long.

    References: the MLP of Neural Collaborative Filtering, WWW 2017, there with an embedding of its own beside a
    weighted product (NeuMF); Neural Collaborative Filtering vs. Matrix Factorization Revisited, RecSys 2020; Adam: A
    Method for Stochastic Optimization, ICLR 2015.
    """

    score_name = "preference"
    half_steps = "viewers"

    n_factors: int = setting(16, low=1, search=Range(4, 32, log=True, unit="factors"))
    hidden: tuple[int, ...] = (32, 16)
    dot_product: bool = setting(False)
    n_negatives: int = setting(4, low=1, high=10_000)
    reg: float = setting(3e-4, low=0, high=1e100, search=Range(1e-5, 3e-3, log=True, unit="lambda, once for each pair"))
    learning_rate: float = setting(0.005, above=0, search=Range(1e-3, 0.02, log=True, unit="step of Adam"))
    batch_size: int = setting(64, low=1)
    n_epochs: int = setting(20, low=1)
    liked: float | None = setting(None, low=0, high=1)
    random_state: int | np.random.Generator = setting(0, low=0)
    progress: bool = setting(False)

    def _fit(self, ratings, validation):
        self._need_likes(ratings)
        how = self.n_factors, self.hidden, self.dot_product, self.n_negatives
        descent = Descent(self._likes(ratings.csr), *how, np.random.default_rng(_seed(self.random_state)))
        nobody, every = np.zeros((1, self.n_factors)), np.arange(ratings.n_items)
        try:
            for epoch in self._epochs():
                loss = descent.run_pass(self.batch_size, self.learning_rate, self.reg)
                self.user_factors_, self.item_factors_, self.network_ = learnt = descent.learnt()
                self.item_bias_ = network_scores(np.zeros_like(every), every, nobody, *self._fixed())
                loss = _checked_loss(self, loss, epoch, np.log(2), *learnt, self.item_bias_)
                self.history_.append({"epoch": epoch, "train_loss": loss})
        except KeyboardInterrupt:
            self._keep_after_interrupt()

    def check_settings(self) -> None:
        """Refuse a setting outside its bounds, by an error that names it; `fit` begins with it."""
        super().check_settings()
        layer_sizes(self.n_factors, self.hidden)

    def _fixed(self):
        """What stays as it is when somebody new comes: the titles, and the network."""
        return self.item_factors_, self.network_, layer_sizes(self.n_factors, self.hidden), bool(self.dot_product)

    def layers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(W, b) of each layer, [p, q] first: ReLU(x W + b), the last of them without a ReLU."""
        self.fitted()
        return network_layers(self.network_, layer_sizes(self.n_factors, self.hidden))

    def _scores(self, rows, cols):
        return network_scores(rows, cols, self.user_factors_, *self._fixed())

    def _newcomer(self, axis, at, values, features=None):
        """Steps for one viewer alone; what each like has added to p is told apart, and secants make a line of ReLUs."""
        self._viewers_only(axis)
        liked = self._liked_in_order(at, values)
        solve = np.zeros((self.n_factors, len(at)))
        solve[:, liked] = newcomer_parts(at[liked], self.n_negatives, *self._fixed(), self.reg).T
        Z = secants(solve.sum(axis=1), *self._fixed())
        Z[self._item_counts == 0] = 0.0  # as for those whom the model was trained on
        return Fold(self.item_bias_, (Z,), solve, np.ones(len(at)))

    def _solved(self, axis):
        return None if axis else (self.user_factors_,)

    def n_parameters(self) -> int:
        """How many numbers were learnt: two tables of embeddings, and the weights of the network."""
        return super().n_parameters() - self.item_bias_.size * bool(np.any(self.item_bias_))


# ---- Factors that a network reads out of the likes -------------------------------------------------------------------


class MultVAE(_OfLikes, FactorModel):
    """The variational autoencoder: a network reads what somebody likes and says where their factors lie, how surely.

    Objective: sum over users of [-sum_i s_ui ln pi_ui + beta KL(N(mu_u, sigma_u^2) || N(0, 1))] + reg/2 |weights|^2,
    s_ui = 1 where liked, or by how much, else 0; pi_u = softmax(z_u Q' + c), z_u drawn from N(mu_u, sigma_u^2): how
    surely the titles that somebody likes are drawn from all. The encoder: mu and ln sigma^2 are linear in tanh(x_u W +
    a), x_u the row s_u divided by its length, of which in each pass a share `dropout` is left out, the rest grown
    by 1 / (1 - dropout). Not convex; steps of Adam, each for a batch of users, with the gradient in
    `content_table_parts/variational.py`.

    `predict` gives a preference, b_i + p_u.q_i, which is what `softmax` takes at z = mu_u. It says what comes before
    what and has no scale of its own. p_u = mu_u - mu(nothing), so somebody who likes nothing has p = 0, and gets
    the list by b_i, the same for everybody; somebody new has their p by one pass of the encoder, as in training.

    Parameters
    ----------
    n_factors : int
    n_hidden : int
        Units of the encoder's hidden layer. The decoder has none: scores are linear in z, which made better lists on
        MovieLens and on one real table, and as good ones on the other.
    beta : float, at least 0
        Weight of the divergence from N(0, 1): below 1 factors may say more of their user than a posterior would.
    anneal : int
        Passes over which beta grows from 0.
    dropout : float, at least 0 and below 1
    reg : float, at least 0
        lambda.
    learning_rate : float, above 0
    batch_size : int
        Users in a step.
    n_epochs : int
        Passes; all are made, and the last is kept.
    variational : bool
        Whether z is drawn. False: z is mu and beta 0, which is the denoising autoencoder, MultDAE.
    liked : float from 0 to 1, optional
        As in `EASE`.
    binary : bool
        As in `EASE`; False made better lists on all three data sets of benchmarks/lists.py.
    random_state, progress : as in `ALS`

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k), item_bias_ (n,) : p, q, and c + Q mu(nothing)
    item_weights_ (n, h), hidden_bias_ (h,), factor_weights_ (h, k) : W, a, and the weights of mu
    history_ : list of dict
        epoch; train_loss, the mean of -ln pi over the likes, weighted by s, as its step met it: ln n is chance;
        divergence, the mean KL of a user, not of a denoising autoencoder.

    Raises
    ------
    DivergenceError : the steps are too long.

    Reference: Variational Autoencoders for Collaborative Filtering, WWW 2018. Departures: the decoder has no hidden
    layer, and likes may be graded.
    """

    score_name = "preference"
    half_steps = "viewers"
    _intercept = 0.0

    n_factors: int = setting(20, low=1, search=RANK)
    n_hidden: int = setting(100, low=1)
    beta: float = setting(
        0.2, low=0, high=1e100, search=Range(0.01, 1.0, log=True, unit="share of the divergence"), needs="variational"
    )
    anneal: int = setting(20, low=0)
    dropout: float = setting(0.5, low=0, below=1)
    reg: float = setting(1.0, low=0, high=1e100, search=Range(0.01, 10.0, log=True, unit="lambda"))
    learning_rate: float = setting(5e-3, above=0, search=Range(1e-3, 1e-2, log=True, unit="step of one batch"))
    batch_size: int = setting(100, low=1)
    n_epochs: int = setting(100, low=1)
    variational: bool = setting(True)
    liked: float | None = setting(None, low=0, high=1)
    binary: bool = setting(False)
    random_state: int | np.random.Generator = setting(0, low=0)
    progress: bool = setting(False)

    def _fit(self, ratings, validation):
        self._need_likes(ratings)
        rng, told = np.random.default_rng(_seed(self.random_state)), self._told(ratings.csr)
        likes = told[told.sum(axis=1) > 0]
        check_memory(
            (min(self.batch_size, likes.shape[0]), ratings.n_items),
            f"a step of batch_size={self.batch_size} (try fewer)",
        )
        net = random_network(ratings.n_items, self.n_hidden, self.n_factors, rng)
        net.W[told.sum(axis=0) == 0] = 0.0  # what nobody likes says nothing
        adam = Adam(net, float(self.learning_rate))
        how = self.dropout, self.reg, self.beta if self.variational else None, self.anneal
        try:
            for epoch in self._epochs():
                entropy, divergence = network_pass(adam, likes, rng, self.batch_size, *how)
                learnt, loss = self._as_factors(net, told), entropy / max(likes.sum(), 1e-300)
                loss = _checked_loss(self, loss, epoch, np.log(ratings.n_items), *learnt.values())
                vars(self).update(learnt)
                further = {"divergence": divergence / max(likes.shape[0], 1)} if self.variational else {}
                self.history_.append({"epoch": epoch, "train_loss": loss} | further)
        except KeyboardInterrupt:
            self._keep_after_interrupt()

    @np.errstate(over="ignore", invalid="ignore")  # steps that are too long: what is not finite is refused
    def _as_factors(self, net, told):
        """The learnt arrays that a network stands for, copies all."""
        Q = np.where(self.ratings_.item_counts[:, None] > 0, net.Q, 0.0)
        bias = net.c + Q @ (np.tanh(net.a) @ net.M + net.b)
        learnt = {"user_factors_": encoded(net, told), "item_factors_": Q, "item_bias_": bias}
        encoder = {"item_weights_": net.W, "hidden_bias_": net.a, "factor_weights_": net.M}
        return learnt | {name: array.copy() for name, array in encoder.items()}

    def _newcomer(self, axis, at, values, features=None):
        """One pass of the encoder; what each like adds to p is told apart."""
        self._viewers_only(axis)
        x = self._told_of(values)
        x = x / (np.sqrt(x @ x) or 1.0)
        parts = encoded_parts(self.item_weights_[at], self.hidden_bias_, self.factor_weights_, x)
        return Fold(self.item_bias_, (self.item_factors_,), parts.T, np.ones(len(at)))

    def _solved(self, axis):
        return None if axis else (self.user_factors_,)


# ---- One step at a time: gradient descent, and its stochastic form with biases ---------------------------------------


def _check_factors(model, ratings, P, Q):
    """The arguments of `gradient` and `objective`: ratings, and factors of their users and items."""
    need_ratings(ratings, "ratings")
    check_array("P", P, ndim=2, finite=False)  # a step too long may overflow; what is said then is said by the fit
    check_array("Q", Q, ndim=2, finite=False)
    if (len(P), len(Q)) != ratings.shape:
        raise ValueError(f"ratings of {len(P)} users and {len(Q)} items are needed, as many as P and Q, got {ratings}.")
    return model, ratings, P, Q


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

    n_factors: int = setting(5, low=1, search=RANK)
    reg: float = setting(5.0, low=0, search=IMAGINARY)
    learning_rate: float = setting(1e-3, above=0, search=Range(1e-5, 1e-2, log=True, unit="step of the whole table"))
    n_epochs: int = setting(5000, low=1)
    tol: float = setting(1e-6, low=0)
    init: str | tuple[np.ndarray, np.ndarray] = "random"
    random_state: int | np.random.Generator = setting(0, low=0)
    progress: bool = setting(False)

    def _fit(self, ratings, validation):
        self.user_factors_, self.item_factors_ = self._start(ratings, _seed(self.random_state))

        def learn(epoch):
            P, Q = self.user_factors_, self.item_factors_
            with np.errstate(over="ignore", invalid="ignore"):  # `check_descent` says it in words
                slope_P, slope_Q = self.gradient(ratings, P, Q)
                P, Q = P - self.learning_rate * slope_P, Q - self.learning_rate * slope_Q
                objective, error = self.objective(ratings, P, Q)
            check_descent(type(self).__name__, self.learning_rate, error, epoch, ratings.scale)
            self.user_factors_, self.item_factors_ = P, Q
            return {"objective": objective, "train_rmse": error}

        self._run_passes(learn)

    def gradient(self, ratings: Ratings, P: np.ndarray, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(dE/dP, dE/dQ) at any factors."""
        left = ratings.values - pair_dots(P, Q, ratings.rows, ratings.cols)
        R = sp.csr_array((left, (ratings.rows, ratings.cols)), shape=ratings.shape)
        return 2 * (self.reg * P - R @ Q), 2 * (self.reg * Q - R.T @ P)

    gradient = checked(gradient, _check_factors)

    def objective(self, ratings: Ratings, P: np.ndarray, Q: np.ndarray) -> tuple[float, float]:
        """(E, training RMSE) at any factors."""
        left = ratings.values - pair_dots(P, Q, ratings.rows, ratings.cols)
        return squared_loss.unchecked(left, self.reg, P, Q), float(np.sqrt(np.mean(left**2)))

    objective = checked(objective, _check_factors)


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
        At most so many passes, each over a fresh shuffle of the ratings. From 1,000,000 ratings on (`TILED`) and one
        rating at a time, a pass goes by tiles instead, a random part of the users with a random part of the items, the
        tiles and the ratings in each freshly shuffled: a shuffle of all would wait for the memory at every rating.
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
        Where `fit` is given no validation part and `patience` is set: the share of the ratings that is set aside to
        find the best pass by. Then everything is learnt afresh from *all* ratings, for so many passes.
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
        (sum e^2 + reg * |all parameters|^2) / count. Where a part was set aside: the passes that looked for the best.
        From 1,000,000 ratings on the training errors e are those that the steps of the pass met, each before its own
        step, so they stand above those after the pass, which `rmse(model, ratings)` measures; validation errors are
        always those after it.

    Raises
    ------
    DivergenceError : the steps are too long, also where an earlier pass was a good one.

    Reference: Matrix Factorization Techniques for Recommender Systems, Computer 42(8), 2009 (biases, factors, and their
    stochastic steps).
    """

    # Longer than most: early stopping, and the refit after it, are part of the method.

    half_steps = "viewers"  # the descent was stopped early: titles solved to their end were further from a refit

    n_factors: int = setting(20, low=1, search=RANK)
    reg: float = setting(0.02, low=0, search=Range(1e-3, 0.3, log=True, unit="lambda, once for each rating"))
    learning_rate: float = setting(0.01, above=0, search=Range(1e-3, 1e-1, log=True, unit="step of one rating"))
    n_epochs: int = setting(200, low=1)
    batch_size: int | None = setting(1, low=1)
    schedule: str = setting("constant", among=("constant", "inverse", "exponential"))
    decay: float = setting(0.0, low=0)
    clip: float | None = setting(None, above=0)
    patience: int | None = setting(5, low=1)
    validation_size: float = setting(0.1, above=0, below=1)
    init: str | tuple[np.ndarray, np.ndarray] = "random"
    init_scale: float = setting(0.01, above=0)
    random_state: int | np.random.Generator = setting(0, low=0)
    progress: bool = setting(False)

    def _fit(self, ratings, validation):
        seed = _seed(self.random_state)
        if validation is not None or self.patience is None:
            self._descend(ratings, validation, np.random.default_rng(seed), self.n_epochs)
            return
        rng = np.random.default_rng(seed)
        train, aside = _set_aside(ratings, self.validation_size, rng, "set patience=None")
        if self._descend(train, aside, rng, self.n_epochs):
            self._refit(ratings, np.random.default_rng(seed))

    def _refit(self, ratings, rng):
        """Everything afresh, from all ratings, for as many passes as were best without those that were set aside."""
        found, history = dict(vars(self)), self.history_
        self.history_ = []
        try:
            with whole_fits():
                self._descend(ratings, None, rng, self.best_epoch_)
        except KeyboardInterrupt:  # what was found is a whole fit, on all but the ratings that were set aside
            if not may_keep_half():
                raise
            vars(self).update(found)
            warn_caller("stopped by the keyboard before the refit to all ratings; the fit to a part of them is kept.")
        self.history_ = history

    def _prepare(self, ratings, rng):
        """Where the descent starts; what has no rating to learn from starts, and stays, at 0."""
        self.global_mean_ = float(ratings.values.mean())
        self.user_bias_, self.item_bias_ = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
        self.user_factors_, self.item_factors_ = self._start(ratings, rng, self.init_scale)
        self.user_factors_[ratings.user_counts == 0] = 0.0
        self.item_factors_[ratings.item_counts == 0] = 0.0

    def _tables(self):
        """Features of the items and of the users, sparse (n, d) and (m, f), as compiled loops take them: none here."""
        nothing = np.zeros(0, np.int32), np.zeros(0)
        return tuple((np.zeros(len(P) + 1, np.int64), *nothing) for P in (self.item_factors_, self.user_factors_))

    def _theta(self):
        """All that is learnt, in the order of the compiled loops: b_u, b_i, P, Q, and the feature weights W and G."""
        weights = np.zeros((len(self.user_factors_), 0)), np.zeros((0, 0))
        return self.user_bias_, self.item_bias_, self.user_factors_, self.item_factors_, *weights

    def _descend(self, ratings, validation, rng, n_epochs):
        """Passes until the validation error has not fallen for `patience` of them; the best one is kept. False where
        Ctrl-C ended them."""
        self._prepare(ratings, rng)
        tables, theta, patient = self._tables(), self._theta(), self.patience is not None and validation is not None
        data, kept, finished = self._in_tiles(ratings, rng), (0, np.inf, []), True
        try:
            for epoch in tqdm(range(1, n_epochs + 1), desc=type(self).__name__, disable=not self.progress):
                rest = self.batch_size, self.global_mean_, theta, *tables, self._rate(epoch), self.reg, self.clip
                met = sum(one_pass(*piece, *rest) for piece in data.shuffled(rng))
                row = self._measure(epoch, theta, tables, {"train": ratings, "validation": validation}, met)
                error = row["train_rmse"] + 0 * row["train_loss"]  # NaN too where the last steps overflowed
                check_descent(type(self).__name__, self.learning_rate, error, epoch, ratings.scale)
                if not np.isfinite(row.get("validation_rmse", 0.0)):
                    raise DivergenceError(
                        f"{type(self).__name__}: the validation RMSE overflowed in pass {epoch}; start from smaller "
                        f"factors, or try learning_rate={self.learning_rate / 10:g}."
                    )
                error = row["validation_rmse"] if patient else -epoch  # without patience the last pass is the best
                if error < kept[1]:
                    kept = epoch, error, [array.copy() for array in theta]
                self.history_.append(row)
                if patient and epoch - kept[0] >= self.patience:
                    break
            else:
                if patient and kept[0] == n_epochs:
                    self._warn_unfinished("the validation RMSE still falling")
        except KeyboardInterrupt:
            self._keep_after_interrupt()
            finished = False
        self.best_epoch_ = kept[0]
        for array, value in zip(theta, kept[2], strict=True):
            array[:] = value
        return finished

    def _in_tiles(self, ratings, rng):
        """The ratings in the orders of the passes: a large table by tiles, any other as one."""
        large = len(ratings) >= TILED and self.batch_size == 1  # a batch within a tile would meet its titles more often
        factors = self.user_factors_, self.item_factors_
        stripes = [-(-side.nbytes // STRIPE) if large else 1 for side in factors]
        return Tiles((ratings.rows, ratings.cols, ratings.values), ratings.shape, stripes, rng)

    def _measure(self, epoch, theta, tables, parts, met):
        """The row of a pass: error and regularised loss on each part that there is; `met` are the squared errors that
        the steps met, which stand for those of a large training part."""
        with np.errstate(over="ignore", invalid="ignore"):  # `check_descent` says it in words
            row, norms = {"epoch": epoch}, sum(float(np.vdot(array, array)) for array in theta)
            for name, part in parts.items():
                if part is None:
                    continue
                squares = met
                if name != "train" or len(part) < TILED:
                    cells = check_cells(part.rows, part.cols, part.shape)
                    scores = predict_pairs.unchecked(*cells, self.global_mean_, theta, *tables)
                    squares = float(np.sum((part.values - scores) ** 2))
                row[f"{name}_rmse"] = float(np.sqrt(squares / len(part)))
                row[f"{name}_loss"] = (squares + self.reg * norms) / len(part)
        return row

    def _rate(self, epoch):
        """eta in this pass."""
        if self.schedule == "inverse":
            return self.learning_rate / (1 + self.decay * (epoch - 1))
        return self.learning_rate * (np.exp(-self.decay * (epoch - 1)) if self.schedule == "exponential" else 1.0)

    def _scores(self, rows, cols):
        cells = check_cells(rows, cols, self.ratings_.shape)
        return predict_pairs.unchecked(*cells, self.global_mean_, self._theta(), *self._tables())

    def _factors(self):
        return super()._factors()  # without features `predict_pairs` adds up what `FactorModel._scores` does

    def _newcomer(self, axis, at, values, features=None):
        """The regression of the objective, left as early as the training was: early stopping held the trained factors
        back more than the penalty did."""
        reg = self.reg * max(len(at), 1)  # the penalty counts once for every rating
        return stopped_fold(*self._regression(axis, len(at), reg, reg), at, values, self._time())

    def _time(self):
        """How far the steps led: the sum of their rates."""
        return sum(self._rate(epoch) for epoch in range(1, self.best_epoch_ + 1))


# ---- What the titles are about: factors helped by features, and features alone ---------------------------------------


def _features(model, name, about):
    """The rows of a table of features, a setting of the model, for the "items" or "users" of its training part."""
    features, ratings = getattr(model, name), model.ratings_
    if not isinstance(features, Features):
        raise TypeError(
            f"{type(model).__name__} needs {name}, a Features table (see load_features), got {type(features).__name__}."
        )
    own, other = ratings.item_ids, ratings.user_ids
    own, other = (own, other) if about == "items" else (other, own)
    swapped = not np.isin(own, features.ids).all() and np.array_equal(np.sort(features.ids), np.sort(other))
    if features.about not in ("", about) or swapped:
        raise ValueError(f"{name} must be about the {about}, got features of the other side; are the two swapped?")
    return features.rows_for(own)


def _described(features, given):
    """The row of a new title in a table of features, from {feature name: value}."""
    names = {name: j for j, name in enumerate(features.names.tolist())}
    unknown = sorted(set(given or {}) - set(names))
    if unknown:
        raise ValueError(f"unknown features {unknown}; the {len(names)} known ones are such as {list(names)[:5]}.")
    row = np.zeros(len(names))
    for name, value in (given or {}).items():
        check_number(f"feature {name!r}", value, low=-np.inf)
        row[names[name]] = value
    return row


class _ContentModel(Recommender):
    """Models with a linear taste: weights of each viewer on the features of the titles."""

    reads_features = True

    item_features: Features | None = None

    def _known(self, rows, cols):
        """A cold title with features is known after all."""
        described = np.diff(self.item_table_.indptr) > 0
        return (self.ratings_.user_counts[rows] > 0) & ((self._item_counts > 0) | described)[cols]

    def _blank(self, name, shape, ids):
        known = self.item_features
        if name == "item_table_" and isinstance(known, Features) and np.isin(ids, known.ids).any():
            return known.rows_for(ids)
        return super()._blank(name, shape, ids)

    def _feature_reasons(self, viewer, col):
        x, z = viewer.fold.solve @ viewer.fold.target, viewer.fold.rows([col])[0]
        if viewer.row is not None:
            x = self._learnt_of(viewer.row)
        k, shared = len(x) - 1 - self.item_table_.shape[1], self._shared_taste(viewer.row)
        at = np.flatnonzero(z[k:-1])
        parts = ((x[k:-1] + shared) * z[k:-1])[at]
        others = {"this viewer": x[-1], "hidden factors": x[:k] @ z[:k]}
        others[EVERYBODY.format("title")] = self.global_mean_ + self.item_bias_[col]
        return others, list(zip(self.item_features.names[at].tolist(), [np.nan] * len(at), parts.tolist(), strict=True))

    def taste(self, user: Any) -> pd.DataFrame:
        """The weights of one viewer, by feature, largest first: own, and with what all viewers share added."""
        row = self.fitted().user_row(user)
        own = self.feature_weights_[row]
        features: Any = self.item_features  # a fitted model has them
        table = pd.DataFrame({"feature": features.names, "own": own, "weight": own + self._shared_taste(row)})
        return table.sort_values("weight", ascending=False, kind="stable", ignore_index=True)

    def _shared_taste(self, row):
        """What people like the viewer of a row share; `row` None is somebody of whom nothing is known."""
        return 0.0

    def _learnt_of(self, row):
        """The numbers of a viewer of the training part, in the order of the blocks of their regression."""
        return np.append(self.feature_weights_[row], self.user_bias_[row])


class _ProfiledModel(_ContentModel):
    """Content models whose viewers have profiles: the settings that stand before those of the descent."""

    user_features: Features | None = None
    content_weight: float = setting(1.0, low=0, search=Range(0.1, 3.0, log=True, unit="times the features"))
    shared_weights: bool = setting(True)


class ContentMF(SGDMF, _ProfiledModel):
    """`SGDMF` helped by what the titles are about: each viewer also has a weight on every feature of an item.

    Prediction: mu + b_u + b_i + p_u . q_i + (w_u + F_u G) . C_i, with C_i the features of the item (times
    `content_weight`), w_u the viewer's own weights on them, and F_u G the weights of people like the viewer: F_u is 1,
    then the viewer's features (profile), so the first row of G is what everybody shares. Objective: that of `SGDMF`
    with this prediction, and the penalty of a rating extended to the weights it touches: w_uj where C_ij is not 0, G_fj
    where F_uf is not 0 either. **Only the non-zeros of C_i are touched**: a weight is shrunk by the ratings of items
    that have its feature, not by every rating of the viewer; a weight whose feature a viewer has never met stays 0. (A
    penalty on all of w_u at every rating would cost d steps instead of a dozen, and shrink rare features to nothing.)

    A title without a rating is predicted from its features; a viewer without one from F_u G. Only where these are
    missing too does the prediction fall back.

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

    def _prepare(self, ratings, rng):
        super()._prepare(ratings, rng)
        self.item_table_ = self.content_weight * _features(self, "item_features", "items")
        self.item_table_.eliminate_zeros()  # content_weight=0 leaves nothing known
        self.user_table_ = self._profiles(ratings)
        shapes = (ratings.n_users, self.item_table_.shape[1]), (self.user_table_.shape[1], self.item_table_.shape[1])
        check_memory(shapes[0], "one weight for each user and feature (features.reduced() has fewer)")
        self.feature_weights_, self.group_weights_ = np.zeros(shapes[0]), np.zeros(shapes[1])

    def _profiles(self, ratings):
        columns = [sp.csr_array(np.ones((ratings.n_users, int(self.shared_weights))))]
        if self.user_features is not None:
            columns.append(_features(self, "user_features", "users"))
        return sp.csr_array(sp.hstack(columns))

    def _theta(self):
        return *super()._theta()[:4], self.feature_weights_, self.group_weights_

    def _tables(self):
        return csr_arrays(self.item_table_), csr_arrays(self.user_table_)

    def _known(self, rows, cols):
        """A title with features is known, and so is a viewer with a profile, or with at least the shared taste."""
        profiled = np.diff(self.user_table_.indptr) > 0
        described = np.diff(self.item_table_.indptr) > 0
        learnt = (self.ratings_.user_counts > 0) | profiled, (self._item_counts > 0) | described
        return learnt[0][rows] & learnt[1][cols]

    def _row_scores(self, rows):
        tastes = self.feature_weights_[rows] + self.user_table_[rows] @ self.group_weights_
        return super()._row_scores(rows) + (self.item_table_ @ tastes.T).T

    def _newcomer(self, axis, at, values, features=None):
        reg = self.reg * max(len(at), 1)
        if axis == 1:
            offset, blocks, penalty = self._regression(axis, len(at), reg, reg)
            tastes = self.feature_weights_ + self.user_table_ @ self.group_weights_
            offset = offset + tastes @ (self.content_weight * _described(self.item_features, features))
            return stopped_fold(offset, blocks, penalty, at, values, self._time())
        C = self.item_table_
        offset = self.global_mean_ + self.item_bias_ + C @ np.broadcast_to(self._shared_taste(None), C.shape[1])
        touched = np.bincount(C[at].indices, minlength=C.shape[1])  # only the weights of features that were met
        penalty = np.concatenate([np.full(self.n_factors, reg), self.reg * np.maximum(touched, 1), [reg]])
        blocks = self.item_factors_, C, np.ones((len(offset), 1))
        return stopped_fold(offset, blocks, penalty, at, values, self._time())

    def _shared_taste(self, row):
        """The weights that people with the profile of a row share; of somebody new only the 1 of it is known."""
        if row is None:
            return self.group_weights_[0] if self.shared_weights else 0.0
        return (self.user_table_[[row]] @ self.group_weights_)[0]

    def _learnt_of(self, row):
        return np.concatenate([self.user_factors_[row], super()._learnt_of(row)])

    def _solved(self, axis):
        return super()._solved(1) if axis else (self.user_factors_, self.feature_weights_, self.user_bias_)

    def _blank(self, name, shape, ids):
        block = super()._blank(name, shape, ids)
        if name == "user_table_":
            block[:, : int(self.shared_weights)] = 1.0  # of somebody new nothing else is known
        return self.content_weight * block if name == "item_table_" else block

    def _unexplained(self, axis, row, at, values):
        if axis == 1:  # what each viewer thinks of its features
            tastes = self.feature_weights_[at] + self.user_table_[at] @ self.group_weights_
            return values - tastes @ self.item_table_[[row]].toarray()[0]
        own = self._shared_taste(row) - self._shared_taste(None)  # by their profile
        return values - self.item_table_[at] @ np.broadcast_to(own, self.item_table_.shape[1])


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

    `certificate()`: the objective is 2 reg-strongly convex, so its gap is at most |gradient|^2 / (4 reg).
    """

    reg: float = setting(1.0, above=0, search=IMAGINARY)

    def _fit(self, ratings, validation):
        self.item_table_ = C = _features(self, "item_features", "items")
        check_memory((ratings.n_users, C.shape[1]), "one weight for each user and feature")
        self.feature_weights_ = np.zeros((ratings.n_users, C.shape[1]))
        with_one = sp.csr_array(sp.hstack([C, np.ones((C.shape[0], 1))]))  # the bias is the weight on a constant
        table = ratings.csr
        for u in np.flatnonzero(np.diff(table.indptr)):
            known = slice(table.indptr[u], table.indptr[u + 1])
            target = table.data[known] - self.global_mean_
            weights = ridge(with_one[table.indices[known]], target, self.reg)
            self.feature_weights_[u], self.user_bias_[u] = weights[:-1], weights[-1]

    def certificate(self) -> Certificate:
        """The certificate of this fit: that of all viewers' regressions together."""
        ratings = self.fitted()
        left = ratings.values - self._scores(ratings.rows, ratings.cols)
        R = sp.csr_array((left, (ratings.rows, ratings.cols)), shape=ratings.shape)
        W, b = self.feature_weights_, self.user_bias_
        half_W, half_b = self.reg * W - R @ self.item_table_, self.reg * b - R.sum(axis=1)  # half the gradient
        primal = left @ left + self.reg * (np.vdot(W, W) + b @ b)
        return Certificate(float(primal), float(primal - ((np.square(half_W)).sum() + half_b @ half_b) / self.reg))

    def _scores(self, rows, cols):
        base = self.global_mean_ + self.user_bias_[rows]
        return base + self.item_table_[cols].multiply(self.feature_weights_[rows]).sum(axis=1)

    def _row_scores(self, rows):
        return self.global_mean_ + self.user_bias_[rows, None] + (self.item_table_ @ self.feature_weights_[rows].T).T

    def _newcomer(self, axis, at, values, features=None):
        if axis == 1:  # the features are all that counts
            offset = (
                self.global_mean_ + self.user_bias_ + self.feature_weights_ @ _described(self.item_features, features)
            )
            return ridge_fold(offset, (np.zeros((len(offset), 0)),), [], at, values)
        C = self.item_table_
        blocks, penalty = (C, np.ones((C.shape[0], 1))), np.full(C.shape[1] + 1, float(self.reg))
        return ridge_fold(np.full(C.shape[0], self.global_mean_), blocks, penalty, at, values)

    def _solved(self, axis):
        return () if axis else (self.feature_weights_, self.user_bias_)


# ---- Averaged over what the ratings leave open: the Bayesian factorization machine -----------------------------------


class BayesianFM(FactorModel):
    """A factorization machine, averaged over the posterior: who rated what, features of both sides, week, and how sure.

    Model: y = level + sum_j w_j x_j + sum_f 1/2 [(sum_j v_jf x_j)^2 - sum_j v_jf^2 x_j^2] + noise. The features x of a
    rating are those of its viewer (one of their own; with `implicit` 1 / sqrt(n) for each of the n titles that they
    rated in training; `user_features`), of its title (one of its own; 1 / sqrt(n) for each of the n viewers who rated
    it; `item_features`) and one for each entry of its `context`. Two ids alone are matrix factorization with biases.

    Priors: w_j and v_jf are normal, with a mean and a precision for each kind of feature and factor, which are
    normal-gamma (shape 0.5, rate 0.02; so is the precision of the noise), and the level is N(mean of the ratings, 1),
    where ratings have a standard deviation of 1: wide, and the same on every scale. Nothing is tuned but the rank: the
    sampler finds how much to shrink. A prediction is the mean over the kept samples.

    Parameters
    ----------
    n_factors : int
        Rank k; 0 is Bayesian linear regression on the features.
    n_sweeps : int
        Times that every number is drawn anew.
    implicit : bool
        Whether who rated what is known of both sides.
    context : texts
        Columns of `Ratings.context` to learn from, each once, say ("week",). A value that was not met counts as the
        average one, for which lists are made.
    item_features, user_features : Features, optional
        Matched by id. A cold title, or viewer, is predicted from them. They are taken as they are, and the priors are
        about features of size 1: 0 and 1, or standardised; one above 100 is refused.
    burn_in : int, optional
        Sweeps before the first sample; None: a third of all, at most 100.
    n_kept : int
        Samples kept, and saved: evenly spaced over the sweeps after that, of each chain the same number, so that it may
        be up to `n_chains` - 1 more. They take 8 (m + n) (k + 1) bytes each, twice that with `implicit`.
    n_chains : int
        Chains from different starts, of `n_sweeps` each, whose samples are put together: 2 for `diagnostics`, and more
        on a small table, where they end in several places and together predict better than one.
    random_state : int or Generator
    progress : bool

    Attributes
    ----------
    levels_, noises_ (s,) : the level, and the standard deviation of a rating about its prediction, of s samples
    user_factors_ (m, s k), item_factors_ (n, s k), user_biases_ (m, s), item_biases_ (n, s) : of all samples, counted
        from those of an average row; a product of factors is the mean over the samples
    history_ : list of dict
        epoch (the sweep), and the noise of each chain.

    Ctrl-C keeps the samples so far. References: Scaling Factorization Machines to Relational Data, VLDB 2013 (blocks);
    Factorization Machines with libFM, ACM TIST 2012; Bayesian Probabilistic Matrix Factorization using Markov Chain
    Monte Carlo, ICML 2008 (priors); On the Difficulty of Evaluating Baselines, arXiv 2019 (who rated what, and time).
    """

    # Longer than a model should be: it also says how sure it is, of cells, of somebody new and of its chains.

    half_steps = "viewers"
    _one_regression = False

    n_factors: int = setting(10, low=0, search=Range(1, 30, log=True, unit="factors"))
    n_sweeps: int = setting(300, low=1)
    implicit: bool = setting(True)
    context: tuple[str, ...] = ()
    item_features: Features | None = None
    user_features: Features | None = None
    burn_in: int | None = setting(None, low=0)
    n_kept: int = setting(50, low=1)
    n_chains: int = setting(1, low=1)
    random_state: int | np.random.Generator = setting(0, low=0)
    progress: bool = setting(False)

    def in_use(self, name: str) -> Any:
        """The value of a setting that a fit uses; `burn_in` None is a third of the sweeps, at most 100."""
        value = Recommender.in_use(self, name)
        return min(self.n_sweeps // 3, 100) if name == "burn_in" and value is None else value

    @property
    def reads_features(self) -> bool:  # type: ignore[override]  # where it was given any
        """Whether a new title may come with features."""
        return self.item_features is not None

    def _fit(self, ratings, validation):
        if self.in_use("burn_in") >= self.n_sweeps:
            raise ValueError(f"burn_in must be below n_sweeps, {self.n_sweeps}, got {self.burn_in}.")
        self.context_values_ = self._values_of_context(ratings)
        for name in ("user", "item"):
            given = getattr(self, f"{name}_features")
            table = None if given is None else _features(self, f"{name}_features", f"{name}s")
            if table is not None:
                check_features(f"{name}_features", given.names, table.indices, table.data)
            setattr(self, f"{name}_table_", table if table is not None and table.shape[1] else None)
        self.user_sampled_ = (ratings.user_counts > 0).astype(float)
        order = np.lexsort((ratings.cols, ratings.rows))  # what the chain draws depends on no order of a file
        blocks = self._blocks(ratings, order)
        a_chain = min(-(-self.n_kept // self.n_chains), self.n_sweeps - self.in_use("burn_in"))
        check_size(blocks, self.n_factors, self.n_chains, a_chain * self.n_chains)
        seeds = np.random.SeedSequence(_seed(self.random_state)).spawn(self.n_chains)
        y = ratings.values[order] - self.global_mean_
        unit = unit_of(y, ratings.scale)  # priors are of ratings whose standard deviation is 1
        chains = [chain(blocks, y / unit, self.n_factors, np.random.default_rng(seed)) for seed in seeds]
        epochs = tqdm(range(1, self.n_sweeps + 1), desc=type(self).__name__, disable=not self.progress)
        samples, history = sampled(chains, blocks, unit, epochs, self.in_use("burn_in"), self.n_kept)
        self.history_ += history
        self.levels_ = self.global_mean_ + np.array([sample.level for sample in samples])
        vars(self).update(learnt(samples, blocks, self.implicit))
        self._settle([], [])
        self._find_thresholds(ratings)

    def _find_thresholds(self, ratings):
        """Between the steps of the scale, by a part of the ratings where they are many."""
        part = np.random.default_rng(0).permutation(len(ratings))[:CELLS] if len(ratings) > CELLS else slice(None)
        asked = ratings.part(part)
        means, variances = self._draws(asked.rows, asked.cols, self._codes(asked.context, len(asked)))
        mean, sd = left_out(means, variances + self.noises_**2, asked.values)
        link = fitted_link(mean, sd, asked.values, rating_steps(ratings.values))
        self.steps_, self.thresholds_, self.noise_spread_ = link

    def _values_of_context(self, ratings):
        names = check_texts("context", self.context)
        if missing := [name for name in names if name not in ratings.context]:
            raise ValueError(f"context must be columns of Ratings.context, {list(ratings.context)}, got {missing}.")
        if len(set(names)) < len(names):
            raise ValueError(f"context must have each column once, got {names}.")
        return tuple(np.unique(ratings.context[name]) for name in names)

    def _blocks(self, ratings, order):
        """The blocks of viewers, of titles, and of each column of the context."""
        sides = (ratings.rows, ratings.known, self.user_table_), (ratings.cols, ratings.known.T, self.item_table_)
        blocks = []
        for rows, known, table in sides:
            sets = [normalised_sets(sp.csr_array(known))] * self.implicit
            blocks.append(one_hot(rows[order], known.shape[0], *sets, *([] if table is None else [table])))
        codes = self._codes(ratings.context, len(ratings))
        columns = zip(codes, self.context_values_, strict=True)
        return blocks + [one_hot(code[order], len(values)) for code, values in columns]

    def _codes(self, context, n):
        """The position of each entry of each column of the context among its values; of an unknown one their number."""
        codes = []
        for name, values in zip(self.context, self.context_values_, strict=True):
            column = np.asarray(context.get(name, values[:0]))
            if (column.dtype.kind == "U") != (values.dtype.kind == "U") and column.size:
                raise TypeError(f"context {name!r} must be like {values[:2].tolist()}, got {shown(column)}.")
            at = np.minimum(np.searchsorted(values, column), len(values) - 1)
            at = np.where(values[at] == column, at, len(values))
            codes.append(np.broadcast_to(at if column.size else len(values), n))
        return codes

    # -- what is predicted: the mean over the samples is matrix factorization, with s k factors --

    def _settle(self, rows, cols):
        for row in np.asarray(rows, dtype=int).tolist():  # given the samples, exactly, and with their profile
            self.user_sampled_[row] = 0.0
            self.user_biases_[row], self.user_factors_[row] = self._fold_of(row).row
        shift = self.levels_.mean() - self.global_mean_
        for name, known in zip(("user", "item"), self._rows_known(), strict=True):
            bias = getattr(self, f"{name}_biases_").mean(axis=1) + shift
            setattr(self, f"{name}_bias_", np.where(known, bias, 0.0))

    def _rows_known(self):
        """Masks of the viewers and titles of which something is known: ratings, or features."""
        counts = (self.ratings_.user_counts, self.user_table_), (self._item_counts, self.item_table_)
        return [(n > 0) | (False if table is None else np.diff(table.indptr) > 0) for n, table in counts]

    def _known(self, rows, cols):
        """A cold title with features is known after all, and so is a viewer with a profile."""
        viewers, titles = self._rows_known()
        return viewers[rows] & titles[cols]

    @property
    def _intercept(self):
        return 2 * self.global_mean_ - self.levels_.mean()  # both biases have what the level lies above the mean

    def _factors(self):
        return super()._factors() if self.n_factors and self.user_table_ is None and self.item_table_ is None else None

    def _solved(self, axis):
        return None if axis else (self.user_factors_, self.user_biases_)

    def _part_scores(self, part, rows, cols):
        """With their context, where the model has learnt from it."""
        return self._with_context(rows, cols, self._codes_of(part))

    def _codes_of(self, part):
        """The codes of the ratings of a part, which must have the context that the model has learnt from."""
        if missing := [name for name in self.context if name not in part.context]:
            raise ValueError(f"ratings must have the context {missing}, which the model has learnt from, got {part!r}.")
        return self._codes(part.context, len(part))

    def _with_context(self, rows, cols, codes):
        scores = self.predict_cells(rows, cols)
        if not codes:
            return scores
        return np.where(self._known(rows, cols), self._draws(rows, cols, codes)[0].mean(axis=1), scores)

    # -- how sure it is --

    def predict(  # more than other models can say
        self,
        users: ArrayLike,
        items: ArrayLike,
        return_fallback: bool = False,
        *,
        interval: float | None = None,
        context: dict[str, Any] | None = None,
    ) -> Any:
        """Predicted ratings of pairs, as of all models; on request also a mask, and the ends of an interval.

        Parameters
        ----------
        users, items, return_fallback : as in `Recommender.predict`
        interval : float between 0 and 1, optional
            The probability with which a rating shall lie from `low` to `high`, both of them ratings of the scale: the
            likeliest run of ratings that has it, as nearly as whole ratings allow.
        context : dict of name -> value, or one for each pair, optional
            What is left out, or was not met in training, counts as the average one.

        Returns
        -------
        predictions, then the mask with `return_fallback`, then `low` and `high` with `interval`; arrays of one length.
        """
        check_switch("return_fallback", return_fallback)
        rows, cols, codes = self._asked(users, items, context)
        found = [self._with_context(rows, cols, codes)] + [~self._known(rows, cols)] * bool(return_fallback)
        if interval is not None:
            check_share("interval", interval)
            found += [self.steps_[at] for at in likely_run(self._probabilities(rows, cols, codes), interval)]
        return found[0] if len(found) == 1 else tuple(found)

    def rating_probabilities(self, users: ArrayLike, items: ArrayLike, context: dict | None = None) -> pd.DataFrame:
        """How likely each rating is for each pair, given as in `predict`: a row for each pair, which sums to 1, and a
        column for each rating that the training part has (`steps_`; of more than 100, so many evenly spaced).

        A rating is a step of the scale where the prediction and its noise lie between two `thresholds_` (ordered
        probit); these were fitted so that each step is as frequent as it is. Rounding to the nearest step says less:
        on the two course tables its log score is 0.04 to 0.05 lower."""
        rows, cols, codes = self._asked(users, items, context)
        return pd.DataFrame(self._probabilities(rows, cols, codes), columns=self.steps_)

    def _probabilities(self, rows, cols, codes):
        return in_parts(lambda *at: (self._chances(*self._draws(at[0], at[1], at[2:])),), rows, cols, *codes)[0]

    def _chances(self, means, variances):
        link = Link(self.steps_, self.thresholds_, self.noise_spread_)
        return link.chances(means, variances + self.noises_**2)

    def log_score(self, ratings: Ratings) -> float:
        """Mean logarithm of the probability of each rating of a part; 0 is perfect, and guessing among ten is -2.30.

        A rating that the training part has nowhere counts as the nearest one that it has, and no probability as less
        than 1e-12, so that one surprise costs at most 27.6. The part must have the context that the model has learnt
        from.
        """
        known = self.fitted()
        need_ratings(ratings, "ratings")
        known.check_universe(ratings, "ratings")
        if not len(ratings):
            raise ValueError("there is no rating to score: the part is empty.")
        at = nearest_step(ratings.values, self.steps_)
        chances = self._probabilities(ratings.rows, ratings.cols, self._codes_of(ratings))
        return float(np.log(np.maximum(chances[np.arange(len(at)), at], 1e-12)).mean())

    def diagnostics(self, users: ArrayLike | None = None, items: ArrayLike | None = None) -> pd.DataFrame:
        """Whether the chains have settled: a row for the noise, and one for the prediction of each pair (users, items),
        or of 100 cells drawn at random, always the same: quantity, mean, sd, r_hat, effective_size.

        `r_hat` compares chains, and the halves of each, and should be below 1.01 (Vehtari et al., Bayesian Analysis
        2021; below 1.1 in older texts); `effective_size` is the number of independent draws that the samples are worth
        for a mean. Of the noise all sweeps after `burn_in` count, of predictions the kept samples; where a chain has
        fewer than four, both are NaN.
        """
        if (users is None) != (items is None):
            raise TypeError(f"users and items are given together or not at all, got {shown(users)}, {shown(items)}.")
        if users is None:
            if isinstance(known := self.fitted(), files.TitlesOnly):
                raise ValueError(f"diagnostics must draw cells of viewers, and the model was {known.origin}.")
            rows, cols = np.random.default_rng(0).integers(0, known.shape, (100, 2)).T
        else:
            rows, cols, _ = self._asked(users, items, None)
        names = [f"noise_{at}" for at in range(1, self.n_chains + 1)]
        noise = np.array([[row[name] for row in self.history_[self.in_use("burn_in") :]] for name in names])
        means, _ = self._draws(rows, cols, self._codes({}, len(rows)))
        pairs = zip(self.ratings_.user_ids[rows].tolist(), self.ratings_.item_ids[cols].tolist(), strict=True)
        draws: list[tuple[Any, np.ndarray]] = [("noise", noise)]
        draws += [(pair, row.reshape(self.n_chains, -1)) for pair, row in zip(pairs, means, strict=True)]
        return pd.DataFrame([{"quantity": name} | chain_summary(one) for name, one in draws])

    def noise(self) -> float:
        """Standard deviation of a rating about its prediction, rating points: root mean square over the samples."""
        self.fitted()
        return float(np.sqrt(np.mean(self.noises_**2)))

    def _asked(self, users, items, context):
        """(rows, cols, codes of the context) of pairs of ids."""
        rows, cols = self._cells(users, items)
        check_kind("context", context, (dict, type(None)), "a dict of name: value, or one for each pair")
        if unknown := [name for name in context or {} if name not in self.context]:
            raise ValueError(f"context must be of {list(self.context)}, got {unknown}.")
        told = {name: context_column(name, given, len(rows)) for name, given in (context or {}).items()}
        return rows, cols, self._codes(told, len(rows))

    def _draws(self, rows, cols, codes):
        """(means, variances), both (cells, s), of predictions in each sample."""
        means, variances = in_parts(lambda *at: cell_draws(self.levels_, self._parts(*at)), rows, cols, *codes)
        added = (self.user_sampled_ == 0) & (self.ratings_.user_counts > 0)  # by `add` or `update`, not the chain
        for row in np.unique(rows[added[rows]]).tolist():
            at = rows == row
            variances[at] = self._fold_of(row).cover(cols[at])[1]
        return means, variances

    def _parts(self, rows, cols, *codes):
        """What the samples know of the viewers, titles and contexts of some cells."""
        n, at = len(self.levels_), 0
        sides = [("user", rows, self.user_sampled_[rows] == 0), ("item", cols, self._item_counts[cols] == 0)]
        for code, values in zip(codes, self.context_values_, strict=True):
            sides.append(("context", at + code, code == len(values)))
            at += len(values) + 1
        found = []
        for (name, row, unknown), prior in zip(sides, self.priors_, strict=True):
            factors = by_sample(getattr(self, f"{name}_factors_")[row], n)
            found.append(Part(getattr(self, f"{name}_biases_")[row], factors, unknown, prior))
        return found

    # -- somebody new --

    def _newcomer(self, axis, at, values, features=None):
        if features is None:
            return self._fold(axis, at, values, None)
        about = _described(self.item_features, features)
        check_features("features", self.item_features.names, np.arange(len(about)), about)
        return self._fold(axis, at, values, about)

    def _fold_of(self, row):
        """A viewer of the training part, as somebody new with their ratings and their profile."""
        ratings = self.ratings_.csr[[row]]
        about = None if self.user_table_ is None else self.user_table_[[row]].toarray()[0]
        return self._fold(0, ratings.indices.astype(np.intp), ratings.data, about)

    def _fold(self, axis, at, values, about):
        own, other = ("item", "user") if axis else ("user", "item")
        nu = self.priors_[:, 0, :, 1:].sum(axis=0) - self.priors_[axis, 0, :, 1:]
        biases, factors = getattr(self, f"{other}_biases_"), getattr(self, f"{other}_factors_")
        sets = self.rater_weights_ if axis else self.rated_weights_
        side = Side(self.levels_, self.noises_, self.priors_[axis], nu, biases, by_sample(factors, len(self.levels_)),
                    sets, getattr(self, f"{own}_feature_weights_"), about)  # fmt: skip
        fold = posterior_fold(side, at, values, self.noise())
        lost = ~self._rows_known()[1 - axis] & (len(at) == 0) & (about is None)  # these get the mean, as in `predict`
        fold.offset[lost] = self.global_mean_
        return fold

    def _feature_reasons(self, viewer, col):
        """Part of feature j: x_j (w_j + v_j . (r_u + N + (r_i + nu - v_j x_j) / 2)), mean over the samples; N is the
        sum of nu over the other blocks. What the title's own feature, and who rated it, add is the rest."""
        if self.item_table_ is None:
            return super()._feature_reasons(viewer, col)
        row, n = self.item_table_[[col]], len(self.levels_)
        biases, factors = viewer.fold.row if viewer.row is None else self._learnt_row(viewer.row)
        r_u, r_i = by_sample(factors[None], n)[0], by_sample(self.item_factors_[[col]], n)[0]
        nu, x, weights = self.priors_[:, 0, :, 1:], row.data[:, None], self.item_feature_weights_[row.indices]
        slope = r_u + nu.sum(axis=0) - nu[1] + (r_i + nu[1] - weights[:, :, 1:] * x[:, :, None]) / 2
        parts = (x * (weights[:, :, 0] + (weights[:, :, 1:] * slope).sum(axis=2))).mean(axis=1)
        names = self.item_features.names[row.indices].tolist()
        others = {"this viewer": biases.mean()}
        others["the title itself"] = viewer.scores[col] - self.levels_.mean() - biases.mean() - parts.sum()
        others["what everybody gets: the mean"] = self.levels_.mean()
        return others, list(zip(names, [np.nan] * len(names), parts.tolist(), strict=True))

    def _learnt_row(self, row):
        return self.user_biases_[row], self.user_factors_[row]

    def _draws_of(self, newcomer, at):
        row = newcomer.row
        if row is None or (self.user_sampled_[row] == 0 and len(newcomer.at)):  # the chain has not met them
            return newcomer.fold.cover(at)[0], newcomer.fold.roots(at), None
        means, variances = self._draws(np.full(len(at), row), at, self._codes({}, len(at)))
        return means, None, variances

    def _interval_of(self, newcomer, at, interval):
        check_share("interval", interval)
        means, roots, variances = self._draws_of(newcomer, at)
        variances = (roots**2).sum(axis=2).T if variances is None else variances
        return tuple(self.steps_[each] for each in likely_run(self._chances(means, variances), interval))


# ---- The convex pair: spectral regularization, and the nuclear norm as its limit -------------------------------------


class _LowRank(FactorModel):
    """A completed matrix X = U diag(s) Vt, with balanced factors P = U sqrt(s), Q = V sqrt(s) to predict from."""

    def certificate(self) -> Certificate | None:
        """The certificate with which the fit ended; after `add` or `update` that of the model as it is, on the ratings
        it has by now, with the mean as trained, or None where there is none."""
        self.fitted()
        return self._certify_again() if hasattr(self, "updates_") else self.certified_

    def _certify_again(self):
        """The certificate of the model as it is; None where the fit has not left what its bound is made of."""
        return None

    def _settle(self, rows, cols):
        root = np.sqrt(self.s_)
        inverse = np.divide(1, root, out=np.zeros(len(root)), where=root > 0)
        self.U_[rows], self.Vt_[:, cols] = self.user_factors_[rows] * inverse, (self.item_factors_[cols] * inverse).T

    def _split(self, U, s, Vt):
        """Store X and its factors, the largest entry of each right singular vector positive."""
        signs = np.sign(Vt[np.arange(len(s)), np.abs(Vt).argmax(axis=1)]) if len(s) else np.ones(0)
        self.U_, self.s_, self.Vt_ = U * signs, s, Vt * signs[:, None]
        self.user_factors_ = np.ascontiguousarray(self.U_ * np.sqrt(s))
        self.item_factors_ = np.ascontiguousarray(self.Vt_.T * np.sqrt(s))

    def _run_splitting(self, state, prox_data, certify):
        """Solve, keep the rows of the checks and the last certificate, and say so where it is not at its end."""
        rows = []
        self.certified_, excess = run_splitting(state, prox_data, certify, self._epochs(), self.tol, rows)
        self.history_.extend(rows)
        if excess > self.tol:
            gap = self.certified_.relative_gap
            self._warn_unfinished(f"a relative gap of {gap:.1e} (worst of gap and violation {excess:.1e})")
        self._split(state.U, state.s, state.right.T)


class SpectralRegularization(_LowRank):
    """Low rank by a convex penalty on the singular values; with biases, all of it jointly convex.

    Objective: (1/2) sum (A - X)^2 + reg |X|_*; with `biases`,
    (1/2) sum (A - mu - b_u - b_i - X)^2 + (bias_reg / 2)(|b_u|^2 + |b_i|^2) + reg |X|_*, |X|_* the sum of singular
    values.

    Parameters
    ----------
    reg : float above 0, optional
        lambda; singular values below about lambda vanish, so it decides the rank. None: 12 with biases, 5 without.
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
    history_ : list of dict
        epoch, primal, dual, relative_gap, rank at each check of the certificate.

    Reference: Spectral Regularization Algorithms for Learning Large Incomplete Matrices, JMLR 11, 2010 (objective and
    soft-impute).
    """

    # Three solvers of one problem stand side by side, so that a reader can compare them: longer than most.

    _beginning = None  # factors, and what they leave, that the splitting begins at instead of at the ratings

    reg: float | None = setting(
        None, above=0, search=Range(0.5, 50.0, log=True, unit="rating points off each singular value")
    )
    biases: bool = setting(False)
    bias_reg: float = setting(5.0, above=0, search=IMAGINARY, needs="biases")
    n_epochs: int = setting(3000, low=1)
    tol: float = setting(1e-6, low=0)
    solver: str = setting("splitting", among=("splitting", "soft_impute", "cvxpy"))
    progress: bool = setting(False)

    def _fit(self, ratings, validation):
        target = ratings.values - self._intercept
        if self.solver == "cvxpy":
            self._fit_cvxpy(ratings, target)
            return
        solve_biases = self._bias_solver(ratings)
        method = self._splitting if self.solver == "splitting" else self._soft_impute
        state, prox_data = method(ratings, target, solve_biases)
        nothing = self._certify(ratings, target, np.zeros(len(target)), 0.0, solve_biases, 1e-12)
        if nothing.relative_gap <= 1e-12:  # reg is at least the residual's spectral norm: X = 0 is proven optimal
            rows = []  # not watched: there is nothing to ask yet
            log_certificate(rows, 0, nothing, 0, nothing.relative_gap)
            self.history_.extend(rows)
            self.certified_ = nothing
            self._split(np.zeros((ratings.n_users, 0)), np.zeros(0), np.zeros((0, ratings.n_items)))
            return

        def certify(x):
            certificate = self._certify(ratings, target, x, state.s.sum(), solve_biases, self.tol)
            return certificate, certificate.relative_gap

        self._run_splitting(state, prox_data, certify)
        if not self.certified_.proven:  # it ended far from its goal, where a check takes no proof
            self.certified_ = self._certify_again()

    def _bias_solver(self, ratings):
        """A function values -> (b_u, b_i), the best biases for them; without `biases` they stay at 0."""
        if not self.biases:
            return lambda values: (self.user_bias_, self.item_bias_)
        return bias_solver(ratings.rows, ratings.cols, ratings.shape, self.bias_reg)

    def _certify(self, ratings, target, x, nuclear_norm, solve_biases, tol=None):
        """Certificate at X (on the known cells), proven where it is within `tol`; with biases they are first solved
        exactly for this X."""
        self.user_bias_, self.item_bias_ = solve_biases(target - x)
        residual = target - x - self.user_bias_[ratings.rows] - self.item_bias_[ratings.cols]
        biases = (self.user_bias_, self.item_bias_) if self.biases else None
        where = (ratings.rows, ratings.cols, ratings.shape)
        return spectral_certificate(
            target, residual, *where, self.in_use("reg"), nuclear_norm, biases, self.bias_reg, tol
        )

    def _certify_from(self, mean):
        """The certificate of this X in the problem with another mean, to which the biases are solved."""
        ratings = self.ratings_
        x = pair_dots(self.user_factors_, self.item_factors_, ratings.rows, ratings.cols)
        return self._certify(ratings, ratings.values - mean, x, self.s_.sum(), self._bias_solver(ratings))

    def _certify_again(self):
        ratings, (P, Q) = self.ratings_, (self.user_factors_, self.item_factors_)
        target = ratings.values - self._intercept
        residual = ratings.values - self._scores(ratings.rows, ratings.cols)
        norm = np.linalg.svdvals(np.linalg.qr(P)[1] @ np.linalg.qr(Q)[1].T).sum()  # of P Q', without forming it
        biases = (self.user_bias_, self.item_bias_) if self.biases else None
        where = ratings.rows, ratings.cols, ratings.shape
        return spectral_certificate(target, residual, *where, self.in_use("reg"), norm, biases, self.bias_reg)

    def _splitting(self, ratings, target, solve_biases):
        """(state, prox of the data term) of the splitting method."""
        state = Splitting(ratings.rows, ratings.cols, ratings.shape, target, self.in_use("reg"))
        if self._beginning is not None:
            state.begin_at(*self._beginning)
        t = state.step
        if self.biases:  # minimising the biases out of the prox: the same equations, with (1 + t) times the penalty
            solve = bias_solver(ratings.rows, ratings.cols, ratings.shape, self.bias_reg * (1 + t))

        def prox_data(v):  # argmin (1/2)(target - b - w)^2 + (w - v)^2 / (2t) over w (and b)
            if not self.biases:
                return (v + t * target) / (1 + t)
            b_user, b_item = solve(target - v)
            return (v + t * (target - b_user[ratings.rows] - b_item[ratings.cols])) / (1 + t)

        return state, prox_data

    def _soft_impute(self, ratings, target, solve_biases):
        """(state, step on the known cells) of the accelerated proximal gradient method."""

        def step_data(y):  # a gradient step of length 1 from Y lands on the ratings, less the biases that fit best
            b_user, b_item = solve_biases(target - y)
            return target - b_user[ratings.rows] - b_item[ratings.cols]

        return SoftImpute(ratings.rows, ratings.cols, ratings.shape, target, self.in_use("reg")), step_data

    def _fit_cvxpy(self, ratings, target):
        import cvxpy as cp

        check_memory(ratings.shape, "solver='cvxpy'")
        X, b_user, b_item = cp.Variable(ratings.shape), cp.Variable(ratings.n_users), cp.Variable(ratings.n_items)
        error = target - X[ratings.rows, ratings.cols]
        penalty = self.in_use("reg") * cp.normNuc(X)
        if self.biases:
            error = error - b_user[ratings.rows] - b_item[ratings.cols]
            penalty = penalty + self.bias_reg / 2 * (cp.sum_squares(b_user) + cp.sum_squares(b_item))
        problem = cp.Problem(cp.Minimize(cp.sum_squares(error) / 2 + penalty))
        solve_cvxpy(problem, solver=cp.SCS, eps_abs=self.tol, eps_rel=self.tol, max_iters=100_000)
        U, s, Vt = np.linalg.svd(X.value, full_matrices=False)
        known = X.value[ratings.rows, ratings.cols]
        self.certified_ = self._certify(ratings, target, known, s.sum(), self._bias_solver(ratings))
        self._split(U, s, Vt)


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
    history_ : list of dict

    `certificate()` is that of the feasible point: X with the known ratings pasted in; None after `add`, because its
    bound needs a multiplier of every known cell, and of the new ones there is none.

    Reference: Exact Matrix Completion via Convex Optimization, Found. Comput. Math. 9, 2009 (the problem and when it
    recovers the truth).
    """

    half_steps = "none"  # it repeats every rating exactly, which a row alone, with the others fixed, can do only wildly
    biases = False  # predictions are X itself, without a mean
    reg = 0.0  # the limit: of all factors that repeat the ratings, those of least norm

    n_epochs: int = setting(20_000, low=1)
    tol: float = setting(1e-6, low=0)
    solver: str = setting("splitting", among=("splitting", "cvxpy"))
    progress: bool = setting(False)

    def _fit(self, ratings, validation):
        check_memory(ratings.shape, "NuclearNorm's feasible point")
        (self._fit_cvxpy if self.solver == "cvxpy" else self._fit_splitting)(ratings, ratings.values)

    def _fit_splitting(self, ratings, target):
        state = Splitting(ratings.rows, ratings.cols, ratings.shape, target, reg=1.0, share=0.3)

        def certify(x):
            X = state.X if state.dense else (state.U * state.s) @ state.right.T
            certificate = nuclear_certificate(target, state.multipliers(x), ratings.rows, ratings.cols, X)
            self.violation_ = float(np.abs(x - target).max())
            return certificate, max(certificate.relative_gap, self.violation_)

        self._run_splitting(state, lambda v: target, certify)  # prox of the constraint: the known ratings themselves

    def _fit_cvxpy(self, ratings, target):
        import cvxpy as cp

        X = cp.Variable(ratings.shape)
        constraint = X[ratings.rows, ratings.cols] == target
        problem = cp.Problem(cp.Minimize(cp.normNuc(X)), [constraint])
        solve_cvxpy(problem, solver=cp.SCS, eps_abs=self.tol, eps_rel=self.tol, max_iters=100_000)
        multipliers = -constraint.dual_value  # cvxpy's Lagrangian adds dual * (X - A); ours subtracts
        self.certified_ = nuclear_certificate(target, multipliers, ratings.rows, ratings.cols, X.value)
        self.violation_ = float(np.abs(X.value[ratings.rows, ratings.cols] - target).max())
        self._split(*np.linalg.svd(X.value, full_matrices=False))

    def _settle(self, rows, cols):
        super()._settle(rows, cols)
        self.violation_ = float(np.abs(self.errors(self.ratings_)).max())


# ---- Models made of models: two mixed, and one that chooses its settings ---------------------------------------------


class _ModelOfModels(Recommender):
    """Models made of others, by which all is learnt: these grow."""

    def _solved(self, axis):
        return ()

    def _settle(self, rows, cols):
        for name in ("global_mean_", "user_bias_", "item_bias_"):  # what an unknown cell gets
            setattr(self, name, self._level(name))


class Blend(_ModelOfModels):
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
    validation_size, random_state : float, int
        Where `fit` is given no validation part and the weight is not fixed: the share that is set aside to find the
        weight by. Then both models are fitted afresh, to *all* ratings.

    Attributes
    ----------
    first_, second_ : the fitted models
    weight_ : float
    """

    # Longer than a model should be by a line: it hands on all that its models can say.

    first: Recommender | None = None
    second: Recommender | None = None
    weight: float | None = setting(None, low=0, high=1)
    prefit: bool = setting(False)
    validation_size: float = setting(0.1, above=0, below=1)
    random_state: int | np.random.Generator = setting(0, low=0)

    def _fit(self, ratings, validation):
        for name in ("first", "second"):
            model = getattr(self, name)
            if not isinstance(model, Recommender) or model.score_name != "predicted_rating":
                raise TypeError(f"{name} must be a model that predicts ratings, got {model!r}.")
        aside = self.weight is None and validation is None
        if aside and self.prefit:
            raise ValueError(
                "fitted models need a validation part that neither has learnt from: fit(train, validation)."
            )
        train = ratings
        if aside:
            train, validation = _set_aside(ratings, self.validation_size, _seed(self.random_state), "fix the weight")
        self.first_, self.second_ = self._pair(train, validation)
        self.weight_ = float(self._best_weight(validation) if self.weight is None else self.weight)
        if aside:
            self.first_, self.second_ = self._pair(ratings, None)
        self._settle([], [])

    def _level(self, name):
        return self._mix(getattr(self.first_, name), getattr(self.second_, name))

    def _pair(self, ratings, validation):
        """The two models, fitted."""
        if not self.prefit:
            with whole_fits():
                return [clone(model).fit(ratings, validation) for model in (self.first, self.second)]
        for model in (self.first, self.second):
            if not model.fitted().same_universe(ratings):
                raise ValueError(f"{model} was fitted to a table with other users or items than {ratings}.")
        return self.first, self.second

    def _best_weight(self, validation):
        a, b = (one._part_scores(validation, validation.rows, validation.cols) for one in (self.first_, self.second_))
        apart = (a - b) @ (a - b)
        return np.clip((validation.values - b) @ (a - b) / apart, 0.0, 1.0) if apart > 0 else 1.0

    def _mix(self, a, b):
        return self.weight_ * a + (1 - self.weight_) * b

    def _scores(self, rows, cols):
        return self._mix(self.first_.predict_cells(rows, cols), self.second_.predict_cells(rows, cols))

    def _part_scores(self, part, rows, cols):
        return self._mix(self.first_._part_scores(part, rows, cols), self.second_._part_scores(part, rows, cols))

    def _row_scores(self, rows):
        return self._mix(self.first_.predict_rows(rows), self.second_.predict_rows(rows))

    def _known(self, rows, cols):
        return self.first_._known(rows, cols) | self.second_._known(rows, cols)

    def _newcomer(self, axis, at, values, features=None):
        pair = self.first_, self.second_
        first, second = (m._newcomer(axis, at, values, features if m.reads_features else None) for m in pair)
        shares = (self.weight_, first), (1 - self.weight_, second)
        blocks = tuple(share * block for share, fold in shares for block in fold.blocks)
        solve = np.vstack([first.solve * first.target, second.solve * second.target])
        return Fold(self._mix(first.offset, second.offset), blocks, solve, np.ones(len(at)))

    def n_parameters(self) -> int:
        """How many numbers both models have learnt, and the weight."""
        self.fitted()
        return self.first_.n_parameters() + self.second_.n_parameters() + 1

    @property
    def reads_features(self) -> bool:  # type: ignore[override]  # of its models
        """Whether one of the two does."""
        return self.first_.reads_features or self.second_.reads_features


class Hybrid(_OfPairs, Recommender):
    """A list that follows the viewer: predicted ratings, and what the titles that somebody likes say besides.

    Match: a + spread(a) (likes_weight e / spread(e) + content_weight c / spread(c)), where a are the ratings that a
    model predicts for the viewer; e the preferences of `EASE`, fitted to who *liked* what and given what the viewer
    liked; c the sums of cosines (TF-IDF of the features) with these titles; the spread is the standard deviation over
    all titles. A rating model alone gives somebody whose ratings are all high nearly the list for everybody: that they
    rate high explains them. Without a liked title the match is the predicted rating.

    `predict` gives the match, which ranks: rating points and what is added to them; `rmse` refuses it. Lists show the
    predicted rating, of `rating_`, beside it. A MemoryError as of `EASE`.

    Parameters
    ----------
    rating : Recommender that predicts ratings
        Cloned and fitted to the training ratings; with `prefit`, a fitted model taken as it is.
    item_features : Features, optional
        What titles are about, say genres; without them there is no c.
    likes_weight, content_weight : float from 0 to 1e6
        The two shares, in spreads of the predicted ratings.
    liked : float from 0 to 1
        A title is liked that is rated at or above this share of the scale: 0.75 is 8 of 1 to 10, and 4 of 0.5 to 5.
    reg : float, above 0
        Of `EASE`.
    prefit : bool

    Attributes
    ----------
    rating_ : the fitted model of ratings
    item_weights_ (n, n) or item_roots_ (n, r), item_table_ (n, d) : as of `EASE`; unit rows of TF-IDF, sparse

    Reference: Hybrid Recommender Systems: Survey and Experiments, UMUAI 12, 2002 (the weighted kind). The weights were
    chosen on viewers who tell nothing but favourites: benchmarks/favourites.py.
    """

    score_name = "match"

    rating: Recommender | None = None
    item_features: Features | None = None
    likes_weight: float = setting(0.5, low=0, high=1e6)
    content_weight: float = setting(0.5, low=0, high=1e6)
    liked: float = setting(0.75, low=0, high=1)
    reg: float = setting(100.0, above=0)
    prefit: bool = setting(False)

    def _fit(self, ratings, validation):
        if not isinstance(self.rating, Recommender) or self.rating.score_name != "predicted_rating":
            raise TypeError(f"rating must be a model that predicts ratings, got {shown(self.rating)}.")
        check_kind("item_features", self.item_features, (Features, type(None)), "Features, as of load_genres")
        if self.prefit and not self.rating.fitted().same_universe(ratings):
            raise ValueError(f"{self.rating} was fitted to a table with other users or items than {ratings}.")
        self._learn_pairs(self._likes(ratings.csr))
        with whole_fits():
            self.rating_ = self.rating if self.prefit else clone(self.rating).fit(ratings, validation)
        about = sp.csr_array((ratings.n_items, 0))
        if self.item_features is not None and len(self.item_features.names):
            about = TfidfTransformer().fit_transform(self.item_features.rows_for(ratings.item_ids))
        self.item_table_ = sp.csr_array(about)

    @property
    def rating_model(self) -> Recommender:
        """The model of ratings."""
        return self.rating_

    def _shares(self, ratings, *others):
        """What each of the other scores is multiplied by: its weight, in spreads of the predicted ratings (rows)."""
        spread = ratings.std(axis=-1)
        for weight, other in zip((self.likes_weight, self.content_weight), others, strict=True):
            apart = other.std(axis=-1)
            yield np.where(apart > 1e-9, weight * spread / np.maximum(apart, 1e-9), 0.0)

    def _row_scores(self, rows, wanted=None):
        likes, C = self._likes(self.ratings_.csr[rows]), self.item_table_
        ratings = self.rating_.predict_rows(rows)
        others = self._pairs().weighed(likes), (C @ (likes @ C).toarray().T).T
        shares = self._shares(ratings, *others)
        return ratings + sum(share[:, None] * other for share, other in zip(shares, others, strict=True))

    def _scores(self, rows, cols):
        return _pick_from_rows(self._row_scores, self.ratings_.n_items, rows, cols)

    def _known(self, rows, cols):
        return np.ones(np.broadcast_shapes(rows.shape, cols.shape), dtype=bool)  # `rating_` has its own fallback

    def _newcomer(self, axis, at, values, features=None):
        self._viewers_only(axis)
        fold, liked = self.rating_._newcomer(0, at, values), self._is_liked(values).astype(float)
        others = self._pairs().rows(at).T, (self.item_table_ @ self.item_table_[at].T).toarray()
        shares = self._shares(fold.scores(), *(other @ liked for other in others))
        blocks = tuple(share * other for share, other in zip(shares, others, strict=True))
        solve = np.vstack([fold.solve * fold.target, np.diag(liked), np.diag(liked)])
        return Fold(fold.offset, (*fold.blocks, *blocks), solve, np.ones(len(at)))

    def _solved(self, axis):
        return None if axis else ()  # what a viewer likes follows from their ratings

    def n_parameters(self) -> int:
        """How many numbers were learnt: those of the model of ratings, and the weights of pairs of titles."""
        return super().n_parameters() + self.rating_.n_parameters()


class Tuned(_ModelOfModels):
    """A model that chooses its own settings, and itself among several, from the training ratings alone.

    `fit` runs `tune` for every candidate, by cross-validation inside whatever it is given, and keeps the one with the
    smallest mean validation score, refitted to all of it. So `evaluate` and `compare` judge a whole procedure, choice
    included, on ratings that no part of it has seen: nested evaluation.

    Parameters
    ----------
    candidates : Recommender or dict of name -> Recommender
        One without settings to tune is only scored.
    n_trials, space, score, threshold, n, n_folds, validation_size, sampler, random_state : as in `tune`
        For a dict of candidates `space` is a dict too: the spaces of those that shall not search their own.

    Attributes
    ----------
    model_ : the chosen model, refitted
    chosen_ : str, its name
    scores_ : dict of name -> best mean validation score
    """

    # Longer than most, because all that is asked of it is asked of the chosen model.

    candidates: Recommender | dict[str, Recommender] | None = None
    n_trials: int = setting(20, low=1)
    space: dict | None = None
    score: Any = "rmse"
    threshold: float | None = None
    n: int = setting(10, low=1)
    n_folds: int = setting(5, low=1)
    validation_size: float = setting(0.2, above=0, below=1)
    sampler: str = setting("tpe", among=("tpe", "random"))
    random_state: int = setting(0, low=0)

    def _named(self):
        return self.candidates if isinstance(self.candidates, dict) else {"model": self.candidates}

    def _fit(self, ratings, validation):
        candidates = self._named()
        check_models(candidates, "candidates must be a model or a dict of models")
        scorer(self.score, self.threshold, self.n)
        check_kind("space", self.space, (dict, type(None)), "a dict of name: Range(low, high), or None")
        kinds = {name: model.score_name for name, model in candidates.items()}
        if len(set(kinds.values())) > 1:
            raise ValueError(f"candidates must all give the same kind of score, got {kinds}.")
        spaces = self.space or {} if isinstance(self.candidates, dict) else {"model": self.space}
        if strange := sorted(set(spaces) - set(candidates)):
            raise ValueError(f"space names {strange}, which are no candidates.")
        with whole_fits():
            found = {name: self._tuned(model, ratings, spaces.get(name)) for name, model in candidates.items()}
        self.scores_ = {name: float(value) for name, (_, value) in found.items()}
        finite = {name: value for name, value in self.scores_.items() if np.isfinite(value)}
        if not finite:
            raise ValueError(f"no candidate has a finite validation score: {self.scores_}.")
        self.chosen_ = min(finite, key=lambda name: finite[name])
        self.model_ = found[self.chosen_][0]
        self._settle([], [])

    def _level(self, name):
        return getattr(self.model_, name)

    def _tuned(self, model, ratings, space):
        """(model refitted with its best settings, its mean validation score)."""
        inner = {name: getattr(self, name) for name in ("n_folds", "validation_size", "random_state")}
        space = model.search_space() if space is None else space
        if not space:
            score = scorer(self.score, self.threshold, self.n)
            folds = inner_splits(ratings, **inner)
            values = [score_of(score, clone(model).fit(train), part) for train, part in folds]
            return clone(model).fit(ratings), np.mean(values)
        how = {name: getattr(self, name) for name in ("n_trials", "score", "threshold", "n", "sampler")}
        tuning = tune(model, ratings, space=space, **how, **inner)
        return tuning.model, tuning.study.best_value

    @property
    def score_name(self) -> str:  # type: ignore[override]  # of its candidates
        """What the candidates predict."""
        return next((model.score_name for model in self._named().values() if isinstance(model, Recommender)), "nothing")

    @property
    def reads_features(self) -> bool:  # type: ignore[override]  # of the chosen model
        """Whether the chosen model does."""
        return self.model_.reads_features

    @property
    def rating_model(self) -> Recommender:
        """That of the chosen model."""
        return self.model_.rating_model

    def save(self, path: str | Path, with_ratings: bool = True) -> None:
        """Write the chosen model; what else was tried is not kept."""
        self.fitted()
        self.model_.save(path, with_ratings)

    def n_parameters(self) -> int:
        """How many numbers the chosen model has learnt."""
        self.fitted()
        return self.model_.n_parameters()

    def certificate(self) -> Certificate | None:
        """The certificate of the chosen model."""
        self.fitted()
        return self.model_.certificate()

    def _scores(self, rows, cols):
        return self.model_.predict_cells(rows, cols)

    def _part_scores(self, part, rows, cols):
        return self.model_._part_scores(part, rows, cols)

    def _interval_of(self, newcomer, at, interval):
        return self.model_._interval_of(newcomer, at, interval)

    def _draws_of(self, newcomer, at):
        return self.model_._draws_of(newcomer, at)

    def _row_scores(self, rows):
        return self.model_.predict_rows(rows)

    def _known(self, rows, cols):
        return self.model_._known(rows, cols)

    def _newcomer(self, axis, at, values, features=None):
        return self.model_._newcomer(axis, at, values, features)

    def _feature_reasons(self, viewer, col):
        return self.model_._feature_reasons(viewer, col)

    def _part_reasons(self, viewer, col):
        return self.model_._part_reasons(viewer, col)


# ---- Saved models, lists in numbers, the course's comparison, the command --------------------------------------------

MODELS: tuple[type[Recommender], ...] = (
    GlobalMean,
    Popularity,
    BiasBaseline,
    ItemKNN,
    EASE,
    GraphFilter,
    ALS,
    NMF,
    ImplicitALS,
    BPR,
    DeepMF,
    MultVAE,
    GradientDescentMF,
    SGDMF,
    ContentMF,
    ContentOnly,
    BayesianFM,
    SpectralRegularization,
    NuclearNorm,
    Blend,
    Hybrid,
)  # what a saved file may hold: nothing else is ever made from one. A model of your own joins: MODELS += (Mine,)


def save_model(model: Recommender, path: str | Path, with_ratings: bool = True) -> None:
    """Write a fitted model to one compressed .npz, whole or not at all; see `Recommender.save`."""
    files.save_model(model, path, MODELS, with_ratings)


def load_model(path: str | Path, ratings: Ratings | None = None) -> Any:
    """Read a model written by `save`; with `ratings`, refuse one that was trained on other data.

    The file may come from a stranger: no code in it is ever run, its sizes are checked before it is read, and a model
    is returned whole or not at all. What its class could not have learnt is refused, and so is a file that does not
    match its own hash. That hash finds damage, not intent: who computes it anew can write any numbers of the right
    shapes. See docs/SAVED_MODELS.md.

    Raises
    ------
    FileNotFoundError : there is no such file.
    ValueError : it is damaged, of another format or kind, or trained on other ratings than the given ones; the message
        names the file, the attribute, what was expected and what came.
    """
    return files.load_model(path, ratings, MODELS)


def write_lists(
    model: Recommender,
    path: str | Path,
    n: int = 10,
    also_seen: Ratings | None = None,
    one_per_work: bool | None = None,
    clip: bool = True,
    progress: bool = False,
) -> None:
    """Write the lists of all users, the rows of `recommend_all`, to a Parquet or CSV file by the end of its name.

    In blocks of users, so that memory does not grow with their number; the file is whole or not there, after Ctrl-C
    too. Columns are user_id, rank, item_id, title, english (where any is known), predicted_rating, within the scale
    unless `clip` is False, and the score that the list is by. `progress` shows a bar.

    Raises
    ------
    ValueError : a name that ends in neither .parquet nor .csv.
    ImportError : Parquet is written by PyArrow, and how to install it.
    FileNotFoundError, IsADirectoryError, OSError : as `write_whole`.
    """
    check_fitted("model", model)
    check_switch("progress", progress)

    def lists(rows):
        return model._lists(rows, n, also_seen, one_per_work, clip)

    write_frames(path, lists, model.ratings_.n_users, progress)


def frequent_titles(models: dict[str, Recommender], n: int = 10) -> pd.DataFrame:
    """How many viewers' n best unseen titles each title is among, for every fitted model of a dict, most frequent
    first; every season counts for itself."""
    check_models(models)
    counts = {}
    for name, model in models.items():
        ratings = model.fitted()
        best = model.top_items(np.arange(ratings.n_users), n)
        counts[name] = np.bincount(best[best >= 0], minlength=ratings.n_items)
    table = pd.DataFrame({"item_id": ratings.item_ids, "title": ratings.item_labels} | counts)
    table["all models"] = table[list(counts)].sum(axis=1)
    table = table[table["all models"] > 0].sort_values(["item_id", "title"], kind="stable")
    return table.sort_values("all models", ascending=False, kind="stable", ignore_index=True)


def course_models(item_features: Features | None = None) -> dict[str, Recommender]:
    """The course's models with the settings it published, and the ones that a fair comparison adds; all unfitted.

    With `item_features`, also `ContentMF`, which needs them.
    """
    check_kind("item_features", item_features, (Features, type(None)), "Features of the items, or None")
    models: dict[str, Recommender] = {
        "global mean": GlobalMean(),
        "baseline": BiasBaseline(reg=5),
        "item neighbours": ItemKNN(),
        "ALS as published": ALS(n_factors=20, reg=0.1, n_epochs=1000, tol=0, init="ones"),
        "ALS with biases": ALS(n_factors=20, reg=8, biases=True, bias_reg=5),
        "spectral": SpectralRegularization(reg=5),
        "spectral with biases": SpectralRegularization(reg=8, biases=True, bias_reg=5),
        "nuclear norm": NuclearNorm(),
        "SGD": SGDMF(n_factors=10, reg=0.1, learning_rate=0.02, patience=20),
    }
    if item_features is not None:
        models["content"] = ContentMF(item_features, n_factors=10, reg=0.1, learning_rate=0.02, patience=20)
    return models


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m content_table`: the honest table of all models on a rating table, and one viewer's list; or yours."""
    list_model = Hybrid(SpectralRegularization(reg=8, biases=True, tol=1e-4))
    rankers = {"popularity": Popularity(), "implicit ALS": ImplicitALS(), "EASE": EASE()}
    command.run(course_models, rankers, list_model, arguments, main.__doc__ or "")


__all__ = [
    "ALS",
    "BPR",
    "DATA",
    "EASE",
    "FORMAT_VERSION",
    "IMAGINARY",
    "MODELS",
    "NMF",
    "PROTOCOLS",
    "PUBLISHED_SPACE",
    "RANK",
    "RANKING_METRICS",
    "SGDMF",
    "TIE",
    "WEIGHTS",
    "BayesianFM",
    "Belief",
    "BiasBaseline",
    "Blend",
    "Certificate",
    "ContentMF",
    "ContentOnly",
    "DeepMF",
    "DivergenceError",
    "FactorModel",
    "Features",
    "Fold",
    "GlobalMean",
    "GradientDescentMF",
    "GraphFilter",
    "Hybrid",
    "ImplicitALS",
    "ItemKNN",
    "MultVAE",
    "NewTitle",
    "NuclearNorm",
    "OwnList",
    "PolicyLog",
    "Popularity",
    "Range",
    "Ratings",
    "Recommender",
    "SparkError",
    "SpectralRegularization",
    "Tuned",
    "Tuning",
    "Viewer",
    "batch_epoch",
    "best_positions",
    "bias_certificate",
    "bias_solver",
    "cells_mean",
    "check_memory",
    "check_number",
    "choose",
    "compare",
    "comparison",
    "course_models",
    "declared_settings",
    "doubly_robust",
    "epsilon_greedy",
    "errors",
    "evaluate",
    "explain",
    "fetch",
    "fit_parquet",
    "frequent_titles",
    "inclusion_probabilities",
    "ips",
    "item_texts",
    "list_metrics",
    "load_export",
    "load_features",
    "load_genres",
    "load_mal_export",
    "load_model",
    "load_profiles",
    "load_ratings",
    "load_table",
    "mae",
    "main",
    "nuclear_certificate",
    "pair_dots",
    "paired_differences",
    "plain_title",
    "predict_pairs",
    "rank_differences",
    "rank_models",
    "rank_summary",
    "ranking_metrics",
    "replay",
    "ridge_fold",
    "ridge_rows",
    "rmse",
    "save_model",
    "season_order",
    "select_model",
    "series_of",
    "setting",
    "sgd_epoch",
    "shrink_singular_values",
    "similar_titles",
    "snips",
    "solve_rows",
    "spectral_certificate",
    "spectral_norm_bound",
    "split_interval",
    "squared_loss",
    "stopped_fold",
    "summarize",
    "table_features",
    "tfidf_features",
    "thompson",
    "top_lists",
    "tune",
    "ucb",
    "write_lists",
    "write_whole",
]


def __dir__() -> list[str]:
    """Only what is meant to be used."""
    return sorted([*__all__, "__all__", "__doc__", "__file__", "__name__", "__version__"])
