"""The models: one contract for all, and for each what its formula promises."""

import contextlib
import inspect
import itertools
import re
import warnings

import numpy as np
import pytest
import scipy.linalg
from conftest import ABOUT_ITEMS, plain_params, press_ctrl_c
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from threadpoolctl import threadpool_info

import content_table as ct
from content_table_parts import solvers

NO = np.nan


def learnt(model):
    """The learnt arrays of a model, by name."""
    return {name: value for name, value in vars(model).items() if isinstance(value, np.ndarray)}


def same(one, other):
    """All learnt arrays of two models equal, bit by bit."""
    one, other = learnt(one), learnt(other)
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# ---- The contract ----


def test_fit_returns_the_model_itself(model, table):
    assert model.fit(table) is model


def test_the_constructor_stores_its_arguments_untouched(model):
    params = model.get_params(deep=False)
    assert sorted(params) == sorted(inspect.signature(type(model)).parameters)
    again = type(model)(**params)
    assert all(getattr(again, name) is value for name, value in params.items())
    assert set(vars(again)) == set(params)  # nothing is learnt, checked or made before fit


def test_fitting_changes_no_parameter(fitted):
    assert set(fitted.get_params(deep=False)) <= set(vars(fitted))
    assert repr(clone(fitted)) == repr(fitted)


def test_a_clone_has_the_parameters_and_nothing_learnt(fitted):
    copy = clone(fitted)
    assert plain_params(copy) == plain_params(fitted)
    assert not hasattr(copy, "ratings_")


def test_the_repr_names_the_class_and_what_differs_from_the_defaults():
    assert repr(ct.ALS(n_factors=7)) == "ALS(n_factors=7)"
    assert repr(ct.BiasBaseline()) == "BiasBaseline()"


def test_fitting_again_starts_afresh_and_gives_the_same(model, table, with_cold):
    first = clone(model).fit(table)
    second = model.fit(with_cold).fit(table)
    assert same(first, second)
    assert first.history_ == second.history_
    assert np.array_equal(first.complete(), second.complete())


def test_fitting_again_leaves_nothing_that_was_learnt_later_on(model, table):
    train, later = table.split_random(0.3)
    model.fit(train)
    with contextlib.suppress(ValueError):  # some take nothing more,
        model = model.update(later)
    with contextlib.suppress(ValueError):  # and some have no regression to find it by
        model.noise()
    assert vars(model.fit(table)).keys() == vars(clone(model).fit(table)).keys()


def test_a_validation_part_changes_nothing_where_nothing_is_stopped_or_mixed_by_it(model, table):
    train, validation = table.split_random(0.3)
    alone, watched = clone(model).fit(train), model.fit(train, validation)
    assert watched.ratings_ is train
    for fit in (
        alone,
        watched,
    ):  # alone, it sets a share aside to find the best pass or weight; then all is learnt from
        known = clone(model)
        if getattr(model, "patience", None):
            known.set_params(patience=None, n_epochs=fit.best_epoch_)
        elif getattr(model, "weight", 0) is None:
            known.set_params(weight=fit.weight_)
        assert fit.global_mean_ == pytest.approx(train.values.mean(), rel=1e-15)
        assert np.array_equal(fit.complete(), known.fit(train).complete())
    if getattr(model, "patience", None):
        assert "validation_rmse" in alone.history_[0]
        assert alone.history_ != watched.history_  # it was looked at
    elif getattr(model, "weight", 0) is None:
        assert alone.weight_ != watched.weight_
    else:
        assert np.array_equal(alone.complete(), watched.complete())


def test_predictions_come_one_per_pair_in_the_order_asked(fitted, table):
    filled = fitted.complete()
    users, items = [103, 101, 106], [15, 13, 11]
    assert fitted.predict(users, items) == pytest.approx(filled[[2, 0, 5], [4, 2, 0]], abs=1e-9)


def test_a_single_id_is_repeated_for_all(fitted, table):
    row = fitted.predict(102, table.item_ids)
    assert row.shape == (5,)
    assert row == pytest.approx(fitted.complete()[1], abs=1e-9)
    assert fitted.predict(table.user_ids, 12) == pytest.approx(fitted.complete()[:, 1], abs=1e-9)
    assert fitted.predict(102, 12).shape == (1,)


def test_no_pair_gives_no_prediction(fitted):
    assert fitted.predict([], []).shape == (0,)


def test_predictions_by_id_and_by_position_agree(fitted, table):
    by_id = fitted.predict(table.user_ids[table.rows], table.item_ids[table.cols])
    assert np.array_equal(by_id, fitted.predict_cells(table.rows, table.cols))


def test_a_table_with_every_viewer_and_title_rated_needs_no_fallback(fitted, table):
    assert not fitted.predict(table.user_ids[0], table.item_ids, return_fallback=True)[1].any()
    assert not fitted.predict_cells(table.rows, table.cols, return_fallback=True)[1].any()


def test_a_list_has_rank_id_title_and_predicted_rating(fitted):
    best = fitted.recommend(106, 2)
    assert list(best) == ["rank", "item_id", "title", "predicted_rating"]
    assert best["rank"].tolist() == [1, 2]
    assert list(fitted.recommend_all()) == ["user_id", *best]


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_a_list_has_exactly_min_of_n_and_unseen_rows(fitted, table, n):
    unseen = table.n_items - np.bincount(table.rows, minlength=table.n_users)
    assert [len(fitted.recommend(user, n)) for user in table.user_ids] == np.minimum(unseen, n).tolist()


def test_a_list_for_several_users_is_refused(fitted):
    for users in ([101, 102], (101, 102), np.array([101, 102])):
        with pytest.raises(TypeError, match="got 2 ids; recommend_all makes them all"):
            fitted.recommend(users)


def test_no_list_holds_what_its_viewer_rated(fitted, table):
    rated = set(zip(table.user_ids[table.rows].tolist(), table.item_ids[table.cols].tolist(), strict=True))
    listed = fitted.recommend_all(5)
    assert rated.isdisjoint(zip(listed["user_id"], listed["item_id"], strict=True))
    assert len(listed) + len(rated) == table.n_users * table.n_items


def test_titles_and_ratings_in_a_list_belong_to_its_ids(fitted, table):
    listed = fitted.recommend_all(5)
    assert listed["title"].tolist() == [table.title(item) for item in listed["item_id"]]
    predicted = fitted.predict(listed["user_id"], listed["item_id"])
    assert listed["predicted_rating"].to_numpy() == pytest.approx(predicted, abs=1e-9)


def test_lists_run_from_the_highest_prediction_down(fitted):
    for _, part in fitted.recommend_all(5).groupby("user_id"):
        assert (np.diff(part["predicted_rating"]) <= 1e-8).all()
        assert part["rank"].tolist() == list(range(1, len(part) + 1))


def test_all_lists_at_once_are_the_lists_one_by_one(fitted, table):
    together = fitted.recommend_all(2)
    assert together["user_id"].is_monotonic_increasing
    for user in table.user_ids:
        alone = fitted.recommend(user, 2)
        part = together[together["user_id"] == user].drop(columns="user_id").reset_index(drop=True)
        assert part["item_id"].tolist() == alone["item_id"].tolist()
        assert part["predicted_rating"].to_numpy() == pytest.approx(alone["predicted_rating"].to_numpy(), abs=1e-9)


def test_ratings_seen_elsewhere_are_left_out_too(model, table):
    train, validation = table.part(slice(0, None, 2)), table.part(slice(1, None, 2))
    listed = model.fit(train).recommend_all(9, also_seen=validation)
    rated = set(zip(table.user_ids[table.rows].tolist(), table.item_ids[table.cols].tolist(), strict=True))
    assert rated.isdisjoint(zip(listed["user_id"], listed["item_id"], strict=True))
    assert len(listed) + len(rated) == table.n_users * table.n_items


@pytest.mark.parametrize("values", [[0, 1, 1], [-1, 1, 1], [1, -1, 1]])
def test_a_rating_of_zero_counts_as_seen_on_a_scale_that_has_one(values):
    ratings = ct.Ratings([0], [0, 1, 2, 3], [0, 0, 0], [0, 1, 2], values, scale=(-1, 1))
    for also_seen in (ratings, ratings.part([0]), ct.Ratings([0], range(4), [0, 0], [0, 1], [1, 1], scale=(-1, 1))):
        assert ct.GlobalMean().fit(ratings).recommend(0, also_seen=also_seen)["item_id"].tolist() == [3]


def test_ties_go_by_item_position(sample):
    listed = ct.GlobalMean().fit(sample).recommend_all(7)
    positions = sample.item_cols(listed["item_id"])
    assert all((np.diff(positions[listed["user_id"] == user]) > 0).all() for user in sample.user_ids)


def test_rounding_noise_does_not_break_a_tie(table):
    model = ct.BiasBaseline().fit(table)
    model.user_bias_[:], model.item_bias_[:] = 0, [2e-14, -1e-14, 0, 3e-14, 1e-14]
    assert model.recommend(106, 5)["item_id"].tolist() == [11, 15]
    assert model.recommend(102, 5)["item_id"].tolist() == [11, 15]


def test_blocks_of_users_do_not_show_in_the_lists():
    # 20,000 titles: the scores of a hundred viewers at a time, so 250 viewers take three blocks.
    users, one = np.arange(250), np.ones(250, dtype=int)
    ratings = ct.Ratings(users, np.arange(20_000), users, users % 7, 1 + users % 10, titles=np.full(20_000, "a title"))
    model = ct.BiasBaseline().fit(ratings)
    together = model.recommend_all(1)
    assert together["user_id"].tolist() == users.tolist()
    assert together["rank"].tolist() == one.tolist()
    for user in (0, 99, 100, 199, 200, 249):
        assert together["item_id"][user] == model.recommend(user, 1)["item_id"][0]


CLASSES = [ct.BiasBaseline, ct.ItemKNN, ct.EASE, ct.ALS, ct.SpectralRegularization, ct.NuclearNorm]
SHORTER = [ct.NMF, ct.ImplicitALS, ct.BPR, ct.DeepMF, ct.BayesianFM, ct.GradientDescentMF, ct.SGDMF, ct.ContentMF]
SHORTER += [ct.ContentOnly, ct.Blend, ct.GraphFilter, ct.MultVAE]  # "... as in `ALS`"


@pytest.mark.parametrize("kind", SHORTER)
def test_every_parameter_is_documented_or_the_others_are_said_to_be_elsewhere(kind):
    section = inspect.getdoc(kind).split("Parameters\n----------\n")[1].split("\n\n")[0]
    documented = {name for line in re.findall(r"^(\w[\w, ]*)(?: :|$)", section, re.M) for name in line.split(", ")}
    if "the others" in documented:
        documented = documented - {"the others"} | set(inspect.signature(ct.SGDMF).parameters)
    assert documented == set(inspect.signature(kind).parameters)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_parameter_is_documented_and_nothing_else(kind):
    section = inspect.getdoc(kind).split("Parameters\n----------\n")[1].split("\n\n")[0]
    documented = [name for line in re.findall(r"^(\w[\w, ]*)(?: :|$)", section, re.M) for name in line.split(", ")]
    assert documented == [name for name in inspect.signature(kind).parameters if name in documented]
    assert set(inspect.signature(kind).parameters) == set(documented)


@pytest.mark.parametrize("kind", [*CLASSES, *SHORTER, ct.load_ratings])
def test_the_first_quoted_choice_in_a_docstring_is_the_default(kind):
    for name, first in re.findall(r'^ *(\w+) : "(\w+)"', inspect.getdoc(kind), re.M):
        assert inspect.signature(kind).parameters[name].default == first


class Counting(ct.GlobalMean):
    """Looks how many threads a matrix product would take within its fit."""

    def _fit(self, ratings, validation):
        self.threads_ = [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]


@pytest.mark.parametrize("outside", [1, 3])
def test_a_fit_multiplies_on_one_thread_whatever_is_set_outside(four, outside):
    with solvers.BLAS.limit(limits=outside, user_api="blas"):
        assert set(Counting().fit(four).threads_) <= {1}


# ---- The baseline ----


def test_the_baseline_by_hand(four):
    # A = [5 3; 4 ?], mean 4, lambda 1: deviations 1, -1, 0. The normal equations, b for viewers and c for titles:
    # 3 b_1 + c_1 + c_2 = 0, 2 b_2 + c_1 = 0, b_1 + b_2 + 3 c_1 = 1, b_1 + 2 c_2 = -1; b = (1, -4)/21, c = (8, -11)/21.
    # The missing cell: 4 - 4/21 - 11/21 = 69/21 = 23/7.
    model = ct.BiasBaseline(reg=1).fit(four)
    assert model.user_bias_ == pytest.approx(np.array([1, -4]) / 21, abs=1e-14)
    assert model.item_bias_ == pytest.approx(np.array([8, -11]) / 21, abs=1e-14)
    assert model.predict(1, 1) == pytest.approx([23 / 7], abs=1e-14)
    # What is left over: (12, -11, -4)/21; its squares are 281/441, those of the biases 202/441.
    assert model.certificate().primal == pytest.approx(23 / 21, abs=1e-14)
    assert model.certificate().gap < 1e-14


@pytest.mark.parametrize("solver", ["direct", "cvxpy"])
@pytest.mark.parametrize("reg", [0.1, 5, 300])
def test_residuals_of_each_viewer_and_title_sum_to_lambda_times_the_bias(sample, solver, reg):
    model = ct.BiasBaseline(reg=reg, solver=solver).fit(sample)
    residual = -ct.errors(model, sample)
    accuracy = 1e-9 if solver == "direct" else 1e-4
    for positions, bias in ((sample.rows, model.user_bias_), (sample.cols, model.item_bias_)):
        assert np.bincount(positions, residual, minlength=len(bias)) == pytest.approx(reg * bias, abs=accuracy)


def test_an_infinite_penalty_leaves_the_mean(sample):
    model = ct.BiasBaseline(reg=1e12).fit(sample)
    assert np.abs(model.complete() - sample.values.mean()).max() < 1e-8


def transposed(ratings):
    return ct.Ratings(ratings.item_ids, ratings.user_ids, ratings.cols, ratings.rows, ratings.values, ratings.scale)


@pytest.mark.parametrize("reg", [0, 5])
def test_a_transposed_table_swaps_the_biases(sample, reg):
    model, turned = ct.BiasBaseline(reg).fit(sample), ct.BiasBaseline(reg).fit(transposed(sample))
    assert np.abs(turned.complete().T - model.complete()).max() < 1e-8
    if reg:
        assert turned.item_bias_ == pytest.approx(model.user_bias_, abs=1e-10)


def test_without_a_penalty_the_baseline_is_ordinary_least_squares(noisy):
    entries = np.arange(len(noisy))
    design = np.zeros((len(noisy), noisy.n_users + noisy.n_items))
    design[entries, noisy.rows] = design[entries, noisy.n_users + noisy.cols] = 1
    deviations = noisy.values - noisy.values.mean()
    best = np.linalg.lstsq(design, deviations, rcond=None)[0]
    model = ct.BiasBaseline(reg=0).fit(noisy)
    assert model.certificate() is None
    least = np.mean((deviations - design @ best) ** 2)
    assert ct.rmse(model, noisy) ** 2 == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("reg", [0.5, 5])
def test_conjugate_gradients_and_the_direct_solver_agree(sample, monkeypatch, reg):
    direct = ct.BiasBaseline(reg).fit(sample)
    monkeypatch.setattr(solvers, "DENSE_CELLS", 0)
    assert ct.BiasBaseline(reg).fit(sample).user_bias_ == pytest.approx(direct.user_bias_, abs=1e-10)
    monkeypatch.setattr(solvers, "GRAM_SIDE", 1)
    monkeypatch.setattr(scipy.linalg, "cho_factor", None)  # no way but the iterative one
    iterated = ct.BiasBaseline(reg).fit(sample)
    assert iterated.user_bias_ == pytest.approx(direct.user_bias_, abs=1e-8)
    assert iterated.item_bias_ == pytest.approx(direct.item_bias_, abs=1e-8)


def test_the_baseline_and_cvxpy_reach_the_same_objective(noisy):
    ours, theirs = (ct.BiasBaseline(2, solver).fit(noisy).certificate() for solver in ("direct", "cvxpy"))
    assert ours.primal == pytest.approx(theirs.primal, rel=1e-6)
    assert ours.primal <= theirs.primal + 1e-9


@pytest.mark.parametrize("solver", ["direct", "cvxpy"])
def test_the_baseline_is_stated_for_cvxpy_only_where_that_is_asked_for(noisy, monkeypatch, solver):
    asked, solve = [], ct.solve_cvxpy
    monkeypatch.setattr(ct, "solve_cvxpy", lambda *stated, **options: asked.append(stated) or solve(*stated, **options))
    ct.BiasBaseline(solver=solver).fit(noisy)
    assert len(asked) == (solver == "cvxpy")


def test_a_completed_table_that_would_not_fit_is_refused(table, monkeypatch):
    model = ct.GlobalMean().fit(table)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 6 * 5)
    assert model.complete().shape == (6, 5)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 6 * 5 - 1)
    with pytest.raises(MemoryError, match=r"complete\(\), which predict and recommend do without, needs a dense 6 x 5"):
        model.complete()


def test_the_mean_of_everything_is_predicted_everywhere(table):
    assert np.allclose(ct.GlobalMean().fit(table).complete(), table.values.mean())


# ---- Neighbours ----

NEIGHBOURS = [[5, 4, NO], [1, 2, 1], [NO, NO, 5]]
# With a huge penalty the biases vanish: the residuals are A - 3 = [2 1 ?; -2 -1 -2; ? ? 2].
# Titles 0, 1 share two viewers: cosine (2*1 + 2*1) / sqrt(8 * 2) = 1, shrunk by 2 / (2 + 1) to 2/3.
# Titles 0, 2 share one: cosine 1, shrunk to 1/2; so do titles 1, 2.


def test_neighbours_by_hand():
    model = ct.ItemKNN(n_neighbors=2, shrinkage=1, reg=1e12, damping=0).fit(ct.Ratings.from_matrix(NEIGHBOURS))
    half, thirds = 1 / 2, 2 / 3
    expected = np.array([[0, thirds, half], [thirds, 0, half], [half, half, 0]])
    assert model.similarity_.toarray() == pytest.approx(expected, abs=1e-9)
    # Viewer 0 on title 2: 3 + (1/2 * 2 + 1/2 * 1) / (1/2 + 1/2) = 4.5. Viewer 2 on title 0: only title 2 helps, 3 + 2.
    assert model.predict([0, 2], [2, 0]) == pytest.approx([4.5, 5], abs=1e-9)


def test_the_number_of_neighbours_limits_who_is_asked():
    model = ct.ItemKNN(n_neighbors=1, shrinkage=1, reg=1e12, damping=0).fit(ct.Ratings.from_matrix(NEIGHBOURS))
    # Title 2's neighbours tie, and title 0 comes first: 3 + 2. Title 0's nearest is 1, which viewer 2 has not rated, so
    # the nearest of those that they rated is asked, title 2: 3 + 2.
    assert model.predict([0, 2], [2, 0]) == pytest.approx([5, 5], abs=1e-9)


def test_a_viewer_who_rated_no_neighbour_gets_the_biases():
    # Two groups that share neither viewers nor titles: no title has a neighbour in the other group.
    blocks = [[8, 6, NO, NO], [7, 9, NO, NO], [NO, NO, 3, 5], [NO, NO, 4, 2]]
    ratings = ct.Ratings.from_matrix(blocks)
    ours, biases = ct.ItemKNN().fit(ratings), ct.BiasBaseline(reg=3).fit(ratings)
    assert np.array_equal(ours.predict([0, 3], [3, 0]), biases.predict([0, 3], [3, 0]))


def test_one_pair_and_whole_rows_of_neighbours_agree(sample):
    model = ct.ItemKNN().fit(sample)
    rows, cols = np.divmod(np.arange(sample.n_users * sample.n_items), sample.n_items)
    assert model._scores(rows, cols) == pytest.approx(model._row_scores(np.arange(sample.n_users)).ravel(), abs=1e-10)


def test_the_slow_twin_of_the_similarities_agrees(noisy):
    model = ct.ItemKNN(n_neighbors=99, shrinkage=3, reg=2).fit(noisy)
    left = np.full(noisy.shape, NO)
    left[noisy.rows, noisy.cols] = -ct.errors(ct.BiasBaseline(2).fit(noisy), noisy)
    for i in range(noisy.n_items):
        for j in range(noisy.n_items):
            both = ~np.isnan(left[:, i]) & ~np.isnan(left[:, j])
            a, b = left[both, i], left[both, j]
            cosine = 0 if i == j or not both.any() else a @ b / np.sqrt(a @ a * (b @ b)) * len(a) / (len(a) + 3)
            assert model.similarity_[i, j] == pytest.approx(max(cosine, 0), abs=1e-9)


# ---- Alternating least squares ----


def objective(A, P, Q, reg, bias_user=0, bias_item=0, bias_reg=0, mean=0):
    """The objective of ALS as it is written on paper; A is dense, NaN where missing."""
    error = A - mean - np.asarray(bias_user).reshape(-1, 1) - bias_item - P @ Q.T
    return np.nansum(error**2) + reg * ((P**2).sum() + (Q**2).sum()) + bias_reg * (
        np.sum(np.square(bias_user)) + np.sum(np.square(bias_item))
    )  # fmt: skip


def ridge(A, Q, reg):
    """The slow twin of `solve_rows`: one ridge regression for each row of the dense table A, NaN where missing."""
    rows = np.zeros((len(A), Q.shape[1]))
    for u, row in enumerate(A):
        known = ~np.isnan(row)
        rows[u] = np.linalg.solve(Q[known].T @ Q[known] + reg * np.eye(Q.shape[1]), Q[known].T @ row[known])
    return rows


def dense(ratings):
    A = np.full(ratings.shape, NO)
    A[ratings.rows, ratings.cols] = ratings.values
    return A


@pytest.mark.parametrize("reg", [0.01, 1, 100])
def test_solve_rows_and_its_slow_twin_agree(random_ratings, reg):
    Q = np.random.default_rng(1).normal(size=(random_ratings.n_items, 4))
    fast, table = np.empty((random_ratings.n_users, 4)), random_ratings.csr
    ones = np.ones(len(table.data))
    ct.solve_rows(table.indptr, table.indices, ones, table.data, Q, reg * np.eye(4), fast)
    assert fast == pytest.approx(ridge(dense(random_ratings), Q, reg), rel=1e-8, abs=1e-10)


def test_one_pass_from_given_arrays_is_three_ridge_regressions(noisy):
    rng = np.random.default_rng(3)
    P, Q = rng.normal(size=(noisy.n_users, 2)), rng.normal(size=(noisy.n_items, 2))
    model = ct.ALS(n_factors=2, reg=0.7, n_epochs=1, tol=0, init=(P, Q)).fit(noisy)
    A = dense(noisy)
    items = ridge(A.T, ridge(A, Q, 0.7), 0.7)
    assert model.item_factors_ == pytest.approx(items, abs=1e-9)
    assert model.user_factors_ == pytest.approx(ridge(A, items, 0.7), abs=1e-9)
    assert model.init[0] is P  # not written over


def test_with_biases_a_half_step_is_a_ridge_regression_with_a_column_of_ones(noisy):
    model = ct.ALS(n_factors=2, reg=0.7, biases=True, bias_reg=3).fit(noisy)
    A = dense(noisy) - noisy.values.mean() - model.item_bias_
    for u in range(noisy.n_users):
        known = ~np.isnan(A[u])
        X = np.column_stack([model.item_factors_[known], np.ones(known.sum())])
        row = np.linalg.solve(X.T @ X + np.diag([0.7, 0.7, 3]), X.T @ A[u, known])
        assert row == pytest.approx([*model.user_factors_[u], model.user_bias_[u]], abs=1e-8)


@pytest.mark.parametrize("init", ["random", "ones"])
@pytest.mark.parametrize("biases", [False, True])
def test_the_objective_never_rises(sample, init, biases):
    model = ct.ALS(n_factors=8, reg=1, biases=biases, n_epochs=30, tol=0, init=init).fit(sample)
    history = np.array([pass_["objective"] for pass_ in model.history_])
    assert len(history) == 30
    assert (np.diff(history) <= 1e-12 * history[0]).all()
    assert model._objective()[0] <= history[-1] * (1 + 1e-12)  # the last half-step of the users


def test_the_recorded_objective_is_the_one_on_paper(noisy):
    model = ct.ALS(n_factors=3, reg=2, biases=True, bias_reg=4).fit(noisy)
    factors, biases = (model.user_factors_, model.item_factors_), (model.user_bias_, model.item_bias_)
    written = objective(dense(noisy), *factors, 2, *biases, 4, noisy.values.mean())
    assert model.certificate().primal == pytest.approx(written, rel=1e-12)
    assert model._objective()[1] == pytest.approx(ct.rmse(model, noisy), rel=1e-12)


def weighted_objective(A, P, Q, reg, bu, bi, bias_reg, mean):
    known = ~np.isnan(A)
    residual = (A - mean - np.add.outer(bu, bi) - P @ Q.T)[known]
    squares = known.sum(axis=1) @ (P**2).sum(axis=1) + known.sum(axis=0) @ (Q**2).sum(axis=1)
    return residual @ residual + reg * squares + bias_reg * (bu @ bu + bi @ bi)


@pytest.mark.parametrize("biases", [False, True])
def test_a_weighted_penalty_counts_once_for_each_rating(noisy, biases):
    model = ct.ALS(2, 0.2, biases=biases, bias_reg=2, weighted_reg=True, n_epochs=1000, tol=0).fit(noisy)
    parts = [model.user_factors_, model.item_factors_, model.user_bias_, model.item_bias_]
    A, mean = dense(noisy), noisy.values.mean() if biases else 0.0

    def value():
        P, Q, bu, bi = parts
        return weighted_objective(A, P, Q, 0.2, bu, bi, 2, mean)

    assert model._objective()[0] == pytest.approx(value(), rel=1e-12)
    for part in parts[: 4 if biases else 2]:
        for cell in itertools.product(*map(range, part.shape)):
            at, step = part[cell], 1e-4
            part[cell] = at + step
            up = value()
            part[cell] = at - step
            down = value()
            part[cell] = at
            assert (up - down) / (2 * step) == pytest.approx(0, abs=1e-4)


def test_in_a_full_table_a_weighted_penalty_is_the_plain_one_times_the_side():
    table = ct.Ratings.from_matrix(np.random.default_rng(2).uniform(1, 9, (6, 6)), scale=(1, 9))
    weighted = ct.ALS(2, 0.5, weighted_reg=True).fit(table)
    plain = ct.ALS(2, 3.0).fit(table)
    assert weighted.complete() == pytest.approx(plain.complete(), abs=1e-9)
    ranked = [ct.ImplicitALS(2, reg, weighted_reg=reg < 1).fit(table).complete() for reg in (0.5, 3.0)]
    assert ranked[0] == pytest.approx(ranked[1], abs=1e-9)


def test_weighted_settings_have_defaults_and_a_range_of_their_own():
    kinds = [ct.ALS(), ct.ALS(biases=True), ct.ImplicitALS()]
    assert [model.in_use("reg") for model in kinds] == [5, 12, 10]
    assert [model.set_params(weighted_reg=True).in_use("reg") for model in kinds] == [0.2, 0.3, 0.5]
    assert [model.set_params(reg=2).in_use("reg") for model in kinds] == [2, 2, 2]
    for model in kinds:
        space = model.search_space()["reg"]
        assert (space.low, space.high) == (0.02, 5)
        assert model.set_params(weighted_reg=False).search_space()["reg"].low >= 0.5


@pytest.mark.parametrize("biases", [False, True])
def test_at_convergence_every_partial_derivative_vanishes(noisy, biases):
    model = ct.ALS(n_factors=2, reg=1, biases=biases, bias_reg=2, n_epochs=1000, tol=0).fit(noisy)
    parts = [model.user_factors_, model.item_factors_] + ([model.user_bias_, model.item_bias_] if biases else [])
    A, mean = dense(noisy), noisy.values.mean() if biases else 0.0

    def value():
        P, Q, *b = parts
        return objective(A, P, Q, 1, *(b or (0, 0)), 2, mean)

    for part in parts:
        for at in np.ndindex(part.shape):
            kept, sides = part[at], []
            for step in (1e-5, -1e-5):
                part[at] = kept + step
                sides.append(value())
            part[at] = kept
            assert abs(sides[0] - sides[1]) / 2e-5 < 1e-4


def test_a_hidden_low_rank_matrix_is_recovered(low_rank, hidden):
    model = ct.ALS(n_factors=2, reg=1e-4, n_epochs=300, tol=0).fit(low_rank)
    assert np.abs(model.complete() - hidden).max() < 1e-3 * np.abs(hidden).max()


def test_on_a_complete_table_als_is_the_truncated_svd():
    rng = np.random.default_rng(2)
    A = 5 + np.outer(rng.normal(size=8), rng.normal(size=6)) + 0.1 * rng.normal(size=(8, 6))
    model = ct.ALS(n_factors=2, reg=1e-10, n_epochs=500, tol=0).fit(ct.Ratings.from_matrix(A))
    U, s, Vt = np.linalg.svd(A)
    assert model.complete() == pytest.approx((U[:, :2] * s[:2]) @ Vt[:2], abs=1e-5)


def test_without_a_penalty_each_viewer_gets_the_least_norm_factors(table):
    model = ct.ALS(n_factors=4, reg=0, n_epochs=3, tol=0).fit(table)
    for u in range(table.n_users):
        known = table.rows == u
        least = np.linalg.pinv(model.item_factors_[table.cols[known]]) @ table.values[known]
        assert model.user_factors_[u] == pytest.approx(least, abs=1e-8)
    assert model.certificate() is None


def test_from_all_ones_the_factors_stay_equal_in_the_first_pass(sample):
    model = ct.ALS(n_factors=20, reg=0.1, n_epochs=1, tol=0, init="ones").fit(sample)
    s = np.linalg.svd(model.user_factors_ @ model.item_factors_.T, compute_uv=False)
    assert s[1] < 1e-10 * s[0]
    spread = ct.ALS(n_factors=20, reg=0.1, n_epochs=1, tol=0).fit(sample)
    assert np.linalg.svd(spread.user_factors_ @ spread.item_factors_.T, compute_uv=False)[1] > 0.01 * s[0]


def test_the_seed_decides_the_random_start(table):
    fits = [ct.ALS(n_factors=2, random_state=seed, n_epochs=2, tol=0).fit(table).user_factors_ for seed in (1, 1, 2)]
    assert np.array_equal(fits[0], fits[1])
    assert not np.allclose(fits[0], fits[2])


def test_each_fit_gets_a_seed_of_its_own_from_a_generator(table):
    model = ct.ALS(n_factors=1, random_state=np.random.default_rng(0), n_epochs=1, tol=0)
    assert len({model.fit(table).user_factors_.tobytes() for _ in range(40)}) == 40


@pytest.mark.parametrize("n_factors", [3, 6, 8, 11, 12, 30])
def test_so_many_factors_that_a_table_of_them_would_not_fit_are_refused(table, monkeypatch, n_factors):
    """A dense table of n_factors columns, and as many rows, or one for each viewer and title where these are fewer."""
    needed = 8 * n_factors * min(n_factors, table.n_users + table.n_items)
    model = ct.GradientDescentMF(n_factors, n_epochs=1, tol=0)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", needed)
    assert model.fit(table).user_factors_.shape == (table.n_users, n_factors)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", needed - 1)
    with pytest.raises(MemoryError, match=f"^n_factors={n_factors} needs a dense"):
        model.fit(table)


def test_without_a_tolerance_all_passes_are_run_though_nothing_changes_any_more(four):
    history = ct.ALS(n_factors=1, reg=100, n_epochs=60, tol=0).fit(four).history_  # so large a penalty leaves nothing
    assert len(history) == 60
    assert {row["objective"] for row in history[-9:]} == {5.0**2 + 3**2 + 4**2}


def test_a_fit_without_any_error_is_at_its_end():
    model = ct.ALS(n_factors=2, biases=True).fit(ct.Ratings.from_matrix([[7, 7], [7, 7]]))
    assert [row["objective"] for row in model.history_] == [0, 0]  # the second pass has nothing to gain


@pytest.mark.parametrize(
    ("model", "unit"),
    [(ct.ALS(1, 1000), 2e154), (ct.ALS(1, 1000), 1e200), (ct.ALS(1, biases=True), 1e155)],
    ids=["in the objective", "in the regressions", "in biases"],
)
def test_ratings_too_large_to_square_are_an_error_and_no_model(model, unit):
    model = clone(model)
    with pytest.raises(ValueError, match="are singular in floating point; raise reg, or divide ratings"):
        model.fit(ct.Ratings.from_matrix(np.array([[5, 1], [1, 4]]) * unit, scale=(unit, 5 * unit)))
    assert not hasattr(model, "item_factors_")


def test_als_that_stops_short_names_the_number_to_raise(sample):
    with pytest.warns(ConvergenceWarning, match=r"ALS stopped at n_epochs=3 with .* above tol=1e-06; raise n_epochs"):
        ct.ALS(n_epochs=3).fit(sample)


def test_als_asked_for_an_exact_number_of_passes_is_silent(sample):
    assert len(ct.ALS(n_epochs=3, tol=0).fit(sample).history_) == 3  # warnings are errors here


def test_als_stops_as_soon_as_a_pass_gains_too_little(noisy):
    history = ct.ALS(n_factors=2, tol=1e-4).fit(noisy).history_
    values = np.array([pass_["objective"] for pass_ in history])
    gains = -np.diff(values) / values[1:]
    assert gains[-1] <= 1e-4
    assert (gains[:-1] > 1e-4).all()


# ---- Ctrl-C and progress ----


def survive(call, *arguments):
    """A Ctrl-C that gets out of a model is a failed test, not the end of the test run."""
    try:
        call(*arguments)
    except KeyboardInterrupt:
        pytest.fail("the model is lost")


LONG = {
    "ALS": (ct.ALS(n_factors=3, tol=0), ct, "regress_rows", 12),
    "ALS with biases": (ct.ALS(n_factors=3, biases=True, tol=0), ct, "regress_rows", 13),
    "spectral": (ct.SpectralRegularization(reg=1, tol=1e-12), solvers, "_power_step", 20),
    "spectral with biases": (ct.SpectralRegularization(reg=1, biases=True, tol=1e-12), ct, "spectral_certificate", 2),
    "nuclear norm": (ct.NuclearNorm(tol=1e-12), solvers, "_power_step", 30),
    "soft-impute": (
        ct.SpectralRegularization(reg=1, solver="soft_impute", tol=1e-12), solvers, "shrink_singular_values", 25,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_ctrl_c_keeps_a_usable_model(noisy, monkeypatch, name):
    model, owner, function, at = LONG[name]
    press_ctrl_c(monkeypatch, owner, function, at)
    model = clone(model)
    with pytest.warns(UserWarning, match="stopped by the keyboard"):
        survive(model.fit, noisy)
    assert np.isfinite(model.complete()).all()
    assert len(model.recommend(0, 3)) == 3
    assert model.certificate().gap >= -1e-12 * model.certificate().primal
    assert len(model.history_) < 400


@pytest.mark.parametrize(
    ("name", "passes"), [("spectral", 17), ("nuclear norm", 27), ("soft-impute", 25)]
)  # of power steps three come before the first pass
def test_ctrl_c_in_a_pass_of_the_splitting_is_told_and_what_was_reached_is_certified(noisy, monkeypatch, name, passes):
    model, *ctrl_c = LONG[name]
    press_ctrl_c(monkeypatch, *ctrl_c)
    model = clone(model)
    with pytest.warns(UserWarning, match=f"stopped by the keyboard in pass {passes}; what was reached is kept"):
        survive(model.fit, noisy)
    last = model.history_[-1]
    assert last["epoch"] == passes
    assert last["primal"] == model.certificate().primal
    assert last["excess"] > 0


@pytest.mark.parametrize(
    ("model", "function"),
    [(ct.ALS(n_factors=3), "regress_rows"), (ct.ImplicitALS(n_factors=3), "solve_all_rows")],
    ids=["ALS", "implicit ALS"],
)
def test_ctrl_c_in_the_first_pass_leaves_nothing_to_keep(noisy, monkeypatch, model, function):
    ratings = ct.Ratings.from_matrix(np.abs(dense(noisy)), scale=(0, 40))
    press_ctrl_c(monkeypatch, ct, function, 1)
    model = clone(model)
    with pytest.raises(KeyboardInterrupt):
        model.fit(ratings)
    with pytest.raises(NotFittedError):
        model.predict(0, 0)


SLOW_STARTERS = [ct.ALS(), ct.SpectralRegularization(), ct.NuclearNorm(), ct.ImplicitALS(), ct.NMF(),
                 ct.MultVAE(n_epochs=5), ct.GradientDescentMF(n_epochs=5, tol=0), ct.SGDMF(n_epochs=5, patience=None),
                 ct.ContentMF(ABOUT_ITEMS, n_epochs=5, patience=None)]  # fmt: skip


@pytest.mark.parametrize("model", SLOW_STARTERS, ids=lambda model: type(model).__name__)
def test_progress_is_a_bar_on_the_error_stream_and_silence_otherwise(table, capsys, model):
    clone(model).set_params(progress=True).fit(table)
    printed = capsys.readouterr()
    assert type(model).__name__ in printed.err
    assert printed.out == ""
    clone(model).fit(table)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "model",
    [
        ct.ALS(n_epochs=1),
        ct.SpectralRegularization(n_epochs=1),
        ct.Blend(ct.SpectralRegularization(n_epochs=1), ct.BiasBaseline(), weight=0.5),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_warning_points_at_the_line_of_the_reader(noisy, model):
    with pytest.warns(ConvergenceWarning) as caught:
        clone(model).fit(noisy)
    assert [warning.filename for warning in caught] == [__file__]


# ---- Spectral regularization and the nuclear norm ----


def test_spectral_regularization_by_hand():
    # A = [1 2; 2 1] has singular values 3 and 1; lambda = 1 shrinks them to 2 and 0, so X = [1 1; 1 1].
    # Primal: half the squared residual, 1, plus 2, is 3. Dual at A - X = [0 1; 1 0], of norm 1: 4 - 1 = 3.
    model = ct.SpectralRegularization(reg=1, tol=1e-10).fit(ct.Ratings.from_matrix([[1, 2], [2, 1]]))
    assert model.complete() == pytest.approx(np.ones((2, 2)), abs=1e-6)
    assert model.s_ == pytest.approx([2], abs=1e-6)
    assert (model.certificate().primal, model.certificate().dual) == pytest.approx((3, 3), abs=1e-8)


@pytest.mark.parametrize("solver", ["splitting", "cvxpy"])
def test_the_nuclear_norm_by_hand(solver):
    # [1 2; 2 x]: x = 1 gives singular values 3 and 1, value 4; the matrix of rank one, x = 4, costs 5.
    model = ct.NuclearNorm(tol=1e-8, solver=solver).fit(ct.Ratings.from_matrix([[1, 2], [2, NO]]))
    assert model.predict(1, 1) == pytest.approx([1], abs=1e-3)
    assert model.certificate().primal == pytest.approx(4, abs=1e-6)
    assert model.certificate().dual == pytest.approx(4, abs=1e-6)


@pytest.mark.parametrize("biases", [False, True])
def test_three_solvers_agree_on_the_objective(random_ratings, biases):
    fits = {
        solver: ct.SpectralRegularization(1.5, biases, 2, tol=1e-9, n_epochs=20_000, solver=solver).fit(random_ratings)
        for solver in ("splitting", "soft_impute")
    }
    fits["cvxpy"] = ct.SpectralRegularization(1.5, biases, 2, solver="cvxpy").fit(random_ratings)
    value = {solver: model.certificate().primal for solver, model in fits.items()}
    assert value["splitting"] == pytest.approx(value["soft_impute"], rel=1e-8)
    assert value["splitting"] == pytest.approx(value["cvxpy"], rel=1e-4)
    assert fits["splitting"].complete() == pytest.approx(fits["soft_impute"].complete(), abs=1e-3)
    assert len(fits["splitting"].s_) > 0  # not the trivial answer


@pytest.mark.parametrize(("solver", "passes"), [("splitting", 100), ("soft_impute", 40)])
def test_of_a_table_of_eight_factors_and_noise_these_are_soon_found(solver, passes):
    rng = np.random.default_rng(0)
    full = rng.normal(size=(60, 8)) @ rng.normal(size=(8, 40)) + 0.3 * rng.normal(size=(60, 40))
    ratings = ct.Ratings.from_matrix(np.where(rng.random(full.shape) < 0.6, full, NO), scale=(-30, 30))
    model = ct.SpectralRegularization(8, n_epochs=passes, solver=solver).fit(ratings)  # a fit not at its end would warn
    assert len(model.s_) == 8
    assert model.certificate().relative_gap <= 1e-6
    assert model.history_[-1]["rank"] == 8


@pytest.mark.parametrize("cells", [10**9, 60 * 40, 60 * 40 - 1])
def test_of_a_whole_table_all_factors_above_the_penalty_are_found_though_one_is_far_above_the_others(
    cells, monkeypatch
):
    monkeypatch.setattr(solvers, "DENSE_CELLS", cells)
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.normal(size=(side, 30)))[0] for side in (60, 40))
    s = np.concatenate([[100.0], np.linspace(30, 6, 24), np.linspace(3, 1, 5)])
    model = ct.SpectralRegularization(4, n_epochs=200, tol=1e-9).fit(
        ct.Ratings.from_matrix((U * s) @ V.T, scale=(-200, 200))
    )
    assert model.s_ == pytest.approx(s[:25] - 4, abs=1e-2)
    assert (model.user_factors_ @ model.item_factors_.T) == pytest.approx(
        (U[:, :25] * (s[:25] - 4)) @ V[:, :25].T, abs=1e-2
    )


def test_the_nuclear_norm_and_cvxpy_agree_on_the_objective(random_ratings):
    ours = ct.NuclearNorm().fit(random_ratings)
    theirs = ct.NuclearNorm(solver="cvxpy").fit(random_ratings)
    assert ours.certificate().primal == pytest.approx(theirs.certificate().primal, rel=1e-4)
    assert ours.violation_ <= 1e-6


@pytest.mark.parametrize(
    "model",
    [ct.SpectralRegularization(2), ct.SpectralRegularization(2, True), ct.NuclearNorm()],
    ids=["spectral", "spectral with biases", "nuclear norm"],
)
def test_the_structured_path_agrees_with_the_dense_one(random_ratings, monkeypatch, model):
    usual = clone(model).fit(random_ratings)
    monkeypatch.setattr(solvers, "DENSE_CELLS", 0)
    structured = clone(model).fit(random_ratings)
    assert structured.certificate().primal == pytest.approx(usual.certificate().primal, rel=3e-6)
    assert structured.complete() == pytest.approx(usual.complete(), abs=0.05)
    assert structured.certificate().relative_gap <= 1e-6


def test_predictions_are_mean_biases_and_the_product_of_the_kept_factors(noisy):
    model = ct.SpectralRegularization(1, biases=True).fit(noisy)
    X = (model.U_ * model.s_) @ model.Vt_
    expected = noisy.values.mean() + model.user_bias_[:, None] + model.item_bias_ + X
    assert model.complete() == pytest.approx(expected, abs=1e-9)
    assert np.abs(model.U_.T @ model.U_ - np.eye(len(model.s_))).max() < 1e-8
    assert (np.diff(model.s_) <= 0).all()


@pytest.mark.parametrize("kind", [ct.SpectralRegularization, ct.NuclearNorm])
@pytest.mark.parametrize("solver", ["splitting", "cvxpy"])
def test_the_largest_entry_of_each_right_singular_vector_is_positive(noisy, kind, solver):
    model = kind(solver=solver).set_params(**({"reg": 0.5} if kind is ct.SpectralRegularization else {})).fit(noisy)
    assert len(model.s_) > 3
    assert (model.Vt_.max(axis=1) == np.abs(model.Vt_).max(axis=1)).all()


def test_the_bias_baseline_is_spectral_with_a_large_penalty(sample):
    baseline = ct.BiasBaseline(reg=5).fit(sample)
    residual = np.zeros(sample.shape)
    residual[sample.rows, sample.cols] = -ct.errors(baseline, sample)
    norm = np.linalg.norm(residual, 2)
    above, below = (ct.SpectralRegularization(norm * share, biases=True).fit(sample) for share in (1.001, 0.99))
    assert len(above.s_) == 0
    assert above.complete() == pytest.approx(baseline.complete(), abs=1e-9)
    assert 2 * above.certificate().primal == pytest.approx(baseline.certificate().primal, rel=1e-12)
    assert len(below.s_) >= 1


def test_a_penalty_above_the_norm_of_the_table_leaves_nothing():
    ratings = ct.Ratings.from_matrix([[5, 3], [4, NO]])
    model = ct.SpectralRegularization(reg=7.1).fit(ratings)  # |[5 3; 4 0]|_2 = 6.91
    assert model.complete() == pytest.approx(np.zeros((2, 2)), abs=1e-9)
    assert [(row["epoch"], row["rank"], row["primal"]) for row in model.history_] == [
        (0, 0, 25.0)
    ]  # no pass was needed
    assert (model.U_.shape, model.s_.shape, model.Vt_.shape) == ((2, 0), (0,), (0, 2))
    assert len(ct.SpectralRegularization(reg=6.8).fit(ratings).s_) == 1
    assert ct.SpectralRegularization(reg=6.8, solver="cvxpy").fit(ratings).history_ == []  # it tells of no pass


def test_the_nuclear_norm_recovers_a_low_rank_matrix_exactly(low_rank, hidden):
    model = ct.NuclearNorm().fit(low_rank)
    assert np.abs(model.complete() - hidden).max() < 1e-4
    assert len(model.s_) == 2


def test_the_nuclear_norm_repeats_every_known_rating(both_samples):
    model = ct.NuclearNorm().fit(both_samples)
    assert model.violation_ <= 1e-6
    assert ct.rmse(model, both_samples) <= 1e-6


def test_spectral_regularization_tends_to_the_nuclear_norm(noisy):
    limit = ct.NuclearNorm(tol=1e-8).fit(noisy)
    distance, norms = [], []
    for reg in (1, 0.1, 0.01):
        model = ct.SpectralRegularization(reg, tol=1e-9, n_epochs=50_000).fit(noisy)
        distance.append(np.abs(model.complete() - limit.complete()).max())
        norms.append(model.s_.sum())
    assert distance[0] > distance[1] > distance[2]
    assert norms[0] < norms[1] < norms[2] <= limit.certificate().primal * (1 + 1e-6)
    assert norms[2] == pytest.approx(limit.certificate().primal, rel=1e-3)


@pytest.mark.parametrize("biases", [False, True])
def test_als_of_enough_rank_reaches_twice_the_spectral_objective(noisy, biases):
    convex = ct.SpectralRegularization(2, biases, 3, tol=1e-9, n_epochs=20_000).fit(noisy)
    als = ct.ALS(min(noisy.shape), 2, biases, 3, n_epochs=1000, tol=0).fit(noisy)
    assert als.certificate().primal == pytest.approx(2 * convex.certificate().primal, rel=1e-6)
    assert als.certificate().primal >= 2 * convex.certificate().dual
    assert als.certificate().relative_gap < 1e-5
    assert als.complete() == pytest.approx(convex.complete(), abs=0.02)


@pytest.mark.parametrize("kind", [ct.SpectralRegularization, ct.NuclearNorm])
def test_a_convex_model_that_stops_short_names_its_gap_and_the_number_to_raise(sample, kind):
    with pytest.warns(ConvergenceWarning, match=rf"{kind.__name__} stopped at n_epochs=11 .* gap .*; raise n_epochs"):
        model = kind(n_epochs=11).fit(sample)
    assert model.certificate().relative_gap > 1e-6 or model.violation_ > 1e-6


def test_a_gap_of_just_tol_is_small_enough(noisy):
    with pytest.warns(ConvergenceWarning):
        short = ct.SpectralRegularization(2, tol=0, n_epochs=10).fit(noisy)
    reached = short.certificate().relative_gap
    assert ct.SpectralRegularization(2, tol=reached, n_epochs=10).fit(noisy).certificate().relative_gap == reached
    with pytest.warns(ConvergenceWarning):
        ct.SpectralRegularization(2, tol=np.nextafter(reached, 0), n_epochs=10).fit(noisy)


def test_soft_impute_that_stops_short_says_so_too(noisy):
    with pytest.warns(ConvergenceWarning, match="raise n_epochs or tol"):
        ct.SpectralRegularization(reg=0.01, solver="soft_impute", n_epochs=3).fit(noisy)


def test_shrinking_is_what_the_lemma_says():
    A = np.diag([5.0, 3.0, 1.0])
    U, s, Vt = ct.shrink_singular_values(A, 2)
    assert (U * s) @ Vt == pytest.approx(np.diag([3.0, 1.0, 0.0]), abs=1e-12)
    assert s == pytest.approx([3, 1])


def test_shrinking_keeps_nothing_of_a_singular_value_at_the_threshold():
    U, s, Vt = ct.shrink_singular_values(np.diag([3.0, 1.0]), 1.0)
    assert (U.shape, s.tolist(), Vt.shape) == ((2, 1), [2.0], (1, 2))


def test_shrinking_minimises_distance_plus_nuclear_norm():
    rng = np.random.default_rng(5)
    A = rng.normal(size=(6, 4))
    U, s, Vt = ct.shrink_singular_values(A, 0.8)
    X = (U * s) @ Vt
    near = [X] + [X + 1e-3 * rng.normal(size=X.shape) for _ in range(200)]
    values = [((A - Y) ** 2).sum() / 2 + 0.8 * np.linalg.svd(Y, compute_uv=False).sum() for Y in near]
    assert values[0] < min(values[1:])


def test_fitting_is_silent_on_the_sample_with_the_course_settings(sample):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name, model in ct.course_models().items():
            if name != "ALS as published":  # a thousand passes: the slowest, and silent by tol=0
                model.fit(sample)
    assert [str(warning.message) for warning in caught] == []


def test_a_list_is_asked_for_by_id_or_name(table):
    model = ct.BiasBaseline().fit(table)
    assert model.recommend("bob", 3).equals(model.recommend(102, 3))
    with pytest.raises(KeyError, match="no user has the id or name 'zoe'"):
        model.recommend("zoe")


def test_biases_without_a_penalty_are_those_of_least_norm_whatever_the_order_and_the_parts():
    rng = np.random.default_rng(0)
    for _ in range(100):
        m, n = rng.integers(1, 9, 2)
        cells = rng.permutation(m * n)[: rng.integers(1, m * n + 1)]  # often in unconnected parts, with cold rows
        rows, cols, values = cells // n, cells % n, rng.integers(1, 11, len(cells)).astype(float)
        model = ct.BiasBaseline(reg=0).fit(ct.Ratings(range(m), range(n), rows, cols, values))
        X = np.zeros((len(cells), m + n))
        X[np.arange(len(cells)), rows] = X[np.arange(len(cells)), m + cols] = 1
        expected = np.linalg.lstsq(X, values - values.mean(), rcond=None)[0]
        assert np.concatenate([model.user_bias_, model.item_bias_]) == pytest.approx(expected, abs=1e-9)


def test_the_models_of_the_course_and_their_settings():
    said = {name: " ".join(str(model).split()) for name, model in ct.course_models(ABOUT_ITEMS).items()}
    assert said.pop("content").endswith("learning_rate=0.02, n_factors=10, patience=20, reg=0.1)")
    assert said == {
        "global mean": "GlobalMean()",
        "baseline": "BiasBaseline(reg=5)",
        "item neighbours": "ItemKNN()",
        "ALS as published": "ALS(init='ones', n_epochs=1000, reg=0.1, tol=0)",
        "ALS with biases": "ALS(bias_reg=5, biases=True, reg=8)",
        "spectral": "SpectralRegularization(reg=5)",
        "spectral with biases": "SpectralRegularization(bias_reg=5, biases=True, reg=8)",
        "nuclear norm": "NuclearNorm()",
        "SGD": "SGDMF(learning_rate=0.02, n_factors=10, patience=20, reg=0.1)",
    }
