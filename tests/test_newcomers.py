"""Somebody new: fold-in against training, reasons that add up, uncertainty, and the list as it is shown."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import ABOUT_ITEMS, MODELS, RANKERS, level, random_table
from scipy.linalg import expm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import content_table as ct
from content_table_parts import newcomers
from content_table_parts.newcomers import ridge_fold

EXACT = ["global mean", "baseline", "baseline without a penalty", "baseline by cvxpy", "item neighbours",
         "two neighbours", "ALS as published", "ALS with biases", "ALS", "ALS, weighted",
         "ALS with biases, weighted", "ALS without a penalty", "NMF", "NMF without biases", "content only",
         "blend"]  # fmt: skip
CERTIFIED = [name for name in MODELS if name.startswith(("spectral", "nuclear"))]  # exact at the optimum


def own_ratings(ratings, user):
    row = ratings.csr[[ratings.user_rows(user)[0]]]
    return dict(zip(ratings.item_ids[row.indices].tolist(), row.data.tolist(), strict=True))


def largest_change(model):
    """Folding everybody in with their own training ratings: by how much does any prediction change?"""
    ratings = model.ratings_
    trained = {user: model.predict(user, ratings.item_ids) for user in ratings.user_ids.tolist()}
    return max(
        np.abs(model.fold_in(own_ratings(ratings, user)).predict(ratings.item_ids) - before).max()
        for user, before in trained.items()
    )


# ---- Fold-in is the training's own regression ----


@pytest.mark.parametrize("name", EXACT)
def test_folded_in_with_their_training_ratings_viewers_get_their_trained_predictions(name, table):
    assert largest_change(clone(MODELS[name]).fit(table)) < 1e-9


@pytest.fixture(scope="module")
def thin(table):
    """Viewer 105 and title 14 have no rating, viewer 106 and title 13 one each."""
    rows, cols = table.rows, table.cols
    left_out = (rows == 4) | (cols == 3) | ((rows == 5) & (cols != 1)) | ((cols == 2) & (rows != 1))
    return table.part(~left_out)


@pytest.mark.parametrize("name", EXACT)
def test_also_where_viewers_and_titles_have_one_rating_or_none(name, thin):
    assert all({0, 1} < set(counts.tolist()) for counts in (thin.user_counts, thin.item_counts))
    assert largest_change(clone(MODELS[name]).fit(thin)) < 1e-9


@pytest.mark.parametrize("weighted_reg", [False, True])
@pytest.mark.parametrize("told", [{106: 9}, {101: 8, 103: 4, 105: 7}])
def test_a_new_title_is_a_ridge_regression_and_unknown_viewers_get_the_mean(thin, weighted_reg, told):
    model = ct.ALS(2, 0.4, weighted_reg=weighted_reg).fit(thin)
    P, at = model.user_factors_, thin.user_rows(list(told))
    penalty = 0.4 * (len(told) if weighted_reg else 1)
    q = np.linalg.solve(P[at].T @ P[at] + penalty * np.eye(2), P[at].T @ np.array(list(told.values()), dtype=float))
    expected = np.where(thin.user_counts > 0, P @ q, thin.values.mean())
    assert np.allclose(model.fold_in_item(told).scores, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", CERTIFIED)
def test_for_the_spectral_family_to_the_accuracy_of_the_certificate(name, table):
    assert largest_change(clone(MODELS[name]).fit(table)) < 5e-3


def test_a_sharper_certificate_makes_the_fold_in_sharper(sample):
    def change(tol):
        return largest_change(ct.SpectralRegularization(8, biases=True, tol=tol).fit(sample))

    assert change(1e-9) < 1e-5 < change(1e-3) < 0.1


@pytest.mark.parametrize(
    "ranker", [name for name in RANKERS if not name.startswith(("BPR", "deep"))]
)  # by steps: test_likes
def test_preferences_and_counts_are_folded_in_exactly_too(ranker, table):
    assert largest_change(clone(RANKERS[ranker]).fit(table)) < 1e-12


@pytest.mark.parametrize("name", [name for name in RANKERS if name.startswith("implicit")])
def test_who_has_one_like_alone_or_none_is_folded_in_exactly_too(name, table):
    few = table.part((table.rows > 1) | ((table.rows == 0) & (table.cols == 0)))
    model = clone(RANKERS[name]).fit(few)
    assert model.fold_in({11: 8}).scores == pytest.approx(model.predict(101, few.item_ids), abs=1e-12)
    assert model.predict(101, 14)[0] != 0
    assert not model.fold_in({}).scores.any()


def test_on_a_real_size_table_als_and_neighbours_are_exact(sample):
    for model in (ct.ALS(10, 5, biases=True), ct.ALS(20, 0.1, n_epochs=30, tol=0), ct.ItemKNN()):
        assert largest_change(model.fit(sample)) < 1e-8


def test_a_fold_in_of_descent_models_stops_as_early_as_their_training(sample):
    model = ct.SGDMF(n_factors=10, reg=0.1, learning_rate=0.02, patience=20).fit(sample)

    def away(viewers):
        trained = model.complete()[: len(viewers)]
        return np.sqrt(np.mean((np.array([viewer.scores for viewer in viewers]) - trained) ** 2))

    users = sample.user_ids[:40].tolist()
    stopped = away([model.fold_in(own_ratings(sample, user)) for user in users])
    model.best_epoch_ *= 100  # the ridge regression itself
    ridge = away([model.fold_in(own_ratings(sample, user)) for user in users])
    assert stopped < ridge
    assert stopped < 0.3


@pytest.mark.parametrize(
    ("schedule", "time"),
    [
        ("constant", 3 * 0.05),
        ("inverse", 0.05 * (1 + 1 / 1.5 + 1 / 2)),
        ("exponential", 0.05 * (1 + np.exp(-0.5) + np.exp(-1))),
    ],
)
@pytest.mark.parametrize("told", [{11: 9}, {11: 9, 14: 10}])
@pytest.mark.parametrize("content", [False, True])
def test_a_fold_in_descends_for_as_long_as_the_rates_of_the_passes_add_up_to(table, schedule, time, told, content):
    """Of a bias alone, from 0: its slope is e - G b with G = n + n reg, so for a time T b = (1 - exp(-T G)) / G e."""
    how = {"reg": 0.4, "learning_rate": 0.05, "schedule": schedule, "decay": 0.5, "n_epochs": 3, "patience": None}
    start = np.zeros((6, 1)), np.zeros((5, 1))
    kind = ct.ContentMF(ABOUT_ITEMS, content_weight=0, n_factors=1) if content else ct.SGDMF(1)
    model = kind.set_params(init=start, **how).fit(table)
    known = model.global_mean_ + model.item_bias_
    e = sum(rating - known[table.item_cols([item])[0]] for item, rating in told.items())
    G = len(told) * (1 + 0.4)
    assert model.fold_in(told).scores == pytest.approx(known + (1 - np.exp(-time * G)) / G * e, rel=1e-12)


def test_without_end_the_descent_fold_in_is_the_ridge_regression(table):
    model = ct.SGDMF(n_factors=2, reg=0.3, n_epochs=5, patience=None).fit(table)
    model.best_epoch_ = 10**5
    told = {11: 8, 13: 5, 15: 9}
    Z = np.column_stack([model.item_factors_, np.ones(5)])[[0, 2, 4]]
    target = np.array([8, 5, 9]) - model.global_mean_ - model.item_bias_[[0, 2, 4]]
    x = np.linalg.solve(Z.T @ Z + 0.3 * 3 * np.eye(3), Z.T @ target)
    expected = model.global_mean_ + model.item_bias_ + np.column_stack([model.item_factors_, np.ones(5)]) @ x
    assert np.allclose(model.fold_in(told).scores, expected)


@pytest.mark.parametrize("told", [{12: 9}, {11: 8, 12: 4, 14: 10}])
def test_the_content_fold_in_counts_each_penalty_as_often_as_its_numbers_were_touched(table, told):
    model = ct.ContentMF(ABOUT_ITEMS, n_factors=2, reg=0.3, n_epochs=5, patience=None).fit(table)
    model.best_epoch_ = 10**6  # without end: the ridge regression
    at, C = table.item_cols(list(told)), model.item_table_.toarray()
    Z = np.column_stack([model.item_factors_, C, np.ones(5)])
    touched = np.count_nonzero(C[at], axis=0)
    often = [len(told)] * 2 + [max(count, 1) for count in touched] + [len(told)]
    offset = model.global_mean_ + model.item_bias_ + C @ model.group_weights_[0]
    target = np.array(list(told.values())) - offset[at]
    x = np.linalg.solve(Z[at].T @ Z[at] + 0.3 * np.diag(often), Z[at].T @ target)
    assert np.allclose(model.fold_in(told).scores, offset + Z @ x)


@pytest.mark.parametrize("told", [{102: 9}, {101: 8, 102: 4, 104: 10}])
@pytest.mark.parametrize("content", [False, True])
def test_the_descent_fold_in_of_a_title_counts_the_penalty_once_a_rating(table, told, content):
    options = {"n_factors": 2, "reg": 0.3, "n_epochs": 5, "patience": None}
    model = (ct.ContentMF(ABOUT_ITEMS, **options) if content else ct.SGDMF(**options)).fit(table)
    model.best_epoch_ = 10**6
    at, Z = table.user_rows(list(told)), np.column_stack([model.user_factors_, np.ones(6)])
    about = {"funny": 1.0, "long": 2.0} if content else None
    offset = model.global_mean_ + model.user_bias_
    if content:  # what each viewer thinks of its features
        offset = offset + (model.feature_weights_ + model.group_weights_[0]) @ [1.0, 0.0, 2.0]
    target = np.array(list(told.values())) - offset[at]
    x = np.linalg.solve(Z[at].T @ Z[at] + 0.3 * len(told) * np.eye(3), Z[at].T @ target)
    assert np.allclose(model.fold_in_item(told, features=about).scores, offset + Z @ x)


def test_the_baseline_fold_in_by_hand(table):
    model = ct.BiasBaseline(reg=5).fit(table)
    viewer = model.fold_in({"Apple": 9, "dog": 2})
    deviations = [9 - model.global_mean_ - model.item_bias_[0], 2 - model.global_mean_ - model.item_bias_[3]]
    expected = model.global_mean_ + model.item_bias_[1] + sum(deviations) / (2 + 5)
    assert viewer.predict(12)[0] == pytest.approx(expected)


def test_the_als_fold_in_is_half_a_pass(sample):
    model = ct.ALS(5, reg=2, biases=True, bias_reg=3).fit(sample)
    told = {sample.item_ids[4].item(): 9.0, sample.item_ids[90].item(): 3.0}
    cells = sample.item_cols(list(told))
    target = np.zeros(sample.n_items)
    target[cells] = np.array(list(told.values())) - model.global_mean_ - model.item_bias_[cells]
    row = sp.csr_array((target[cells], (np.zeros(2, dtype=int), cells)), shape=(1, sample.n_items))
    x = ct.ridge_rows(row, np.column_stack([model.item_factors_, np.ones(sample.n_items)]), [2] * 5 + [3])[0]
    viewer = model.fold_in(told)
    assert np.allclose(viewer.scores, model.global_mean_ + model.item_bias_ + model.item_factors_ @ x[:-1] + x[-1])


def test_more_ratings_than_numbers_and_fewer_give_the_same_regression():
    rng = np.random.default_rng(0)
    Z, penalty = rng.normal(size=(9, 4)), rng.uniform(0.5, 2, 4)
    for count in (2, 4, 7):
        at, values = np.arange(count), rng.normal(size=count)
        fold = ct.ridge_fold(np.zeros(9), (Z,), penalty, at, values)
        gram = Z[:count].T @ Z[:count] + np.diag(penalty)
        assert np.allclose(fold.scores(), Z @ np.linalg.solve(gram, Z[:count].T @ values))
        assert np.allclose(fold.variance(Z), np.einsum("ij,jk,ik->i", Z, np.linalg.inv(gram), Z))


def test_without_a_rating_a_viewer_gets_what_is_known_of_the_titles(fitted, table):
    parts = [fitted.first_, fitted.second_] if isinstance(fitted, ct.Blend) else [fitted]
    for part in parts:
        part.user_bias_ = np.append(part.user_bias_, 0.0)  # of a viewer who rated nothing
    try:
        expected = [level(fitted, -1, col) for col in range(table.n_items)]
    finally:
        for part in parts:
            part.user_bias_ = part.user_bias_[:-1]
    assert np.allclose(fitted.fold_in({}).scores, expected)


def test_a_new_viewer_has_no_row_in_a_table_of_what_was_seen(table):
    viewer = ct.ALS(2).fit(table).fold_in({table.item_ids[0]: 8.0})
    with pytest.raises(ValueError, match="also_seen is asked by rows of the training part, and this viewer is new"):
        viewer.recommend(2, also_seen=table)


def test_a_cold_title_gets_what_predict_would_give_it(model, with_cold):
    model.fit(with_cold)
    told = {11: 8, 12: 6}
    viewer = model.fold_in(told)
    assert np.isfinite(viewer.scores).all()
    assert 1 <= viewer.predict(13)[0] <= 11
    assert np.allclose(model.fold_in(told | {13: 9}).at, [0, 1, 2])  # and may be rated all the same


def test_factors_that_no_rating_has_moved_say_nothing_to_somebody_new(with_cold):
    model = ct.GradientDescentMF(2, learning_rate=1e-4, n_epochs=3, tol=0).fit(with_cold)
    mean = with_cold.values.mean()
    assert model.item_factors_[2].all()  # those of the start, nearly
    assert model.fold_in({11: 8, 14: 4}).scores[2] == pytest.approx(mean, rel=1e-14)
    assert model.user_factors_[5].all()
    assert model.fold_in_item({101: 8, 103: 4}).scores[5] == pytest.approx(mean, rel=1e-14)


def test_nothing_of_the_model_changes(fitted, table):
    before = fitted.complete()
    fitted.fold_in({11: 10, 14: 1}).recommend(3)
    if not isinstance(fitted, ct.ItemKNN) and not isinstance(getattr(fitted, "first_", None), ct.ItemKNN):
        fitted.fold_in_item({101: 9})
    assert np.array_equal(fitted.complete(), before)


def test_a_saved_model_folds_in_as_before(fitted, tmp_path):
    fitted.save(tmp_path / "model.npz")
    told = {11: 8, 12: 3}
    assert np.array_equal(ct.load_model(tmp_path / "model.npz").fold_in(told).scores, fitted.fold_in(told).scores)


def test_a_saved_model_has_the_same_noise(table, tmp_path):
    model = ct.BiasBaseline().fit(table)
    before = model.noise()
    model.save(tmp_path / "model.npz")
    assert ct.load_model(tmp_path / "model.npz").noise() == before == model.noise()


def test_a_tuned_model_folds_in_with_the_model_it_chose(sample):
    tuned = ct.Tuned(ct.BiasBaseline(), n_trials=2, n_folds=2).fit(sample)
    told = {sample.item_ids[0].item(): 9}
    assert np.array_equal(tuned.fold_in(told).scores, tuned.model_.fold_in(told).scores)


# ---- The regressions by themselves ----


def case_of(seed, n=7, sizes=(2, 3), told=4):
    """(offset, blocks, penalty, at, values, Z): the first block sparse, and a position told out of order."""
    rng = np.random.default_rng(seed)
    blocks = tuple(rng.normal(size=(n, size)) for size in sizes)
    Z = np.hstack(blocks)
    at = rng.permutation(n)[:told]
    sparse = (sp.csr_array(blocks[0]), *blocks[1:])
    return rng.normal(size=n), sparse, rng.uniform(0.5, 2, Z.shape[1]), at, rng.normal(size=told), Z


@pytest.mark.parametrize("told", [0, 1, 4, 5, 7])
def test_a_ridge_fold_is_the_minimum_and_its_variance_what_the_ratings_leave_open(told):
    offset, blocks, penalty, at, values, Z = case_of(told, told=told)
    fold = ct.ridge_fold(offset, blocks, penalty, at, values)
    gram = Z[at].T @ Z[at] + np.diag(penalty)
    x = np.linalg.solve(gram, Z[at].T @ (values - offset[at]))
    np.testing.assert_allclose(fold.solve @ fold.target, x, atol=1e-12)
    np.testing.assert_allclose(fold.scores(), offset + Z @ x, atol=1e-12)
    np.testing.assert_allclose(fold.rows([3, 0]), Z[[3, 0]], atol=0)
    np.testing.assert_allclose(fold.target, values - offset[at], atol=0)
    np.testing.assert_allclose(fold.penalty, penalty, atol=0)
    spread = np.diag(Z @ np.linalg.inv(gram) @ Z.T)
    np.testing.assert_allclose(fold.variance(Z), spread, atol=1e-12)
    np.testing.assert_allclose(fold._spread(np.array([2, 5])), spread[[2, 5]], atol=1e-12)


@pytest.mark.parametrize(("n_signed", "error"), [(-1, "at least 0"), (3, "at most 2"), (1.5, "whole")])
def test_numbers_of_either_sign_are_counted_from_none_to_all(n_signed, error):
    Z, values = np.array([[1.0, 2], [3, 1], [1, 1]]), np.array([3.0, 4, -1])
    problem = np.zeros(3), (Z,), np.ones(2), np.arange(3), values
    with pytest.raises((TypeError, ValueError), match=f"n_signed .*{error}"):
        ct.nonnegative_fold(*problem, n_signed)
    free = ct.nonnegative_fold(*problem, 2)  # no number is bound
    assert free.solve == pytest.approx(ct.ridge_fold(*problem).solve)
    assert ct.nonnegative_fold(*problem).solve.tobytes() == ct.nonnegative_fold(*problem, 0).solve.tobytes()


@pytest.mark.parametrize("penalty", [[0.0, 5.0, 1.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
def test_a_column_without_a_penalty_leaves_those_of_the_others(penalty):
    rng = np.random.default_rng(0)
    Z, target = rng.normal(size=(8, 3)), rng.normal(size=8)
    fold = ct.ridge_fold(np.zeros(8), (Z,), penalty, np.arange(8), target)
    assert fold.solve @ fold.target == pytest.approx(np.linalg.solve(Z.T @ Z + np.diag(penalty), Z.T @ target))


@pytest.mark.parametrize("told", [2, 6])
def test_without_a_penalty_it_is_the_solution_of_least_norm_and_has_no_variance(told):
    offset, blocks, _, at, values, Z = case_of(1, told=told)
    fold = ct.ridge_fold(offset, blocks, np.zeros(5), at, values)
    x = np.linalg.lstsq(Z[at], values - offset[at], rcond=None)[0]
    np.testing.assert_allclose(fold.solve @ fold.target, x, atol=1e-10)
    assert fold.variance is None
    # Two columns that say the same share what they say, though rounding tells them apart.
    twin = np.column_stack([Z[:, 0], Z[:, 0] * (1 + 4e-16)])
    x = ct.ridge_fold(offset, (twin,), np.zeros(2), at, values).solve @ fold.target
    assert x[0] == pytest.approx(x[1], rel=1e-9)


@pytest.mark.parametrize("told", [1, 2, 4, 8, 12])
def test_with_hardly_a_penalty_it_is_near_the_solution_of_least_norm(told):
    """Each of the two forms would lose half of the digits where the other is used."""
    rng = np.random.default_rng(told)
    Z, at, values = rng.normal(size=(12, 5)), rng.permutation(12)[:told], rng.normal(size=told)
    fold = ct.ridge_fold(np.zeros(12), (Z,), np.full(5, 1e-12), at, values)
    np.testing.assert_allclose(fold.solve @ values, np.linalg.lstsq(Z[at], values, rcond=None)[0], atol=1e-9)


def test_a_direction_below_the_rounding_of_so_many_ratings_says_nothing():
    Z = np.zeros((6, 2))
    Z[0, 0], Z[1, 1] = 1.0, 4 * np.finfo(float).eps  # up to 6 eps are rounding
    x = ct.ridge_fold(np.zeros(6), (Z,), np.zeros(2), np.arange(6), np.ones(6))
    assert (x.solve @ x.target).tolist() == [1.0, 0.0]
    Z[1, 1] *= 2
    assert ct.ridge_fold(np.zeros(6), (Z,), np.zeros(2), np.arange(6), np.ones(6)).solve[1, 1] > 1e14


@pytest.mark.parametrize("n_signed", [0, 1, 3])
def test_a_fold_of_numbers_not_below_0_is_the_minimum_over_these(n_signed):
    for seed in range(8):
        offset, blocks, penalty, at, values, Z = case_of(seed)
        fold = ct.nonnegative_fold(offset, blocks, penalty, at, values, *[n_signed] * (n_signed > 0))
        x, free = fold.solve @ fold.target, np.arange(5) >= 5 - n_signed
        slope = Z[at].T @ (Z[at] @ x - (values - offset[at])) + penalty * x
        assert (x[~free] >= 0).all()
        np.testing.assert_allclose(slope[free | (x > 0)], 0, atol=1e-8)
        assert (slope[~free] > -1e-8).all()
        assert not fold.solve[~free & (x <= 0)].any()
        np.testing.assert_allclose(fold.scores(), offset + Z @ x, atol=1e-12)
        assert fold.variance is None


@pytest.mark.parametrize("time", [0.0, 0.05, 0.7, 2, 1e4])
@pytest.mark.parametrize("penalised", [False, True])
def test_a_stopped_fold_is_where_the_flow_down_the_slope_has_come_to(time, penalised):
    offset, blocks, penalty, at, values, Z = case_of(3, told=3)
    penalty, Z = penalty * penalised, Z.copy()
    Z[at, 1] = 0.0  # a column that is 0 in all that was told, and one that is 0 in a part
    Z[at[0], 3] = 0.0
    blocks = sp.csr_array(Z[:, :2]), Z[:, 2:]
    fold = ct.stopped_fold(offset, blocks, penalty, at, values, time)
    # x' = Z' t - G x from x = 0, as one matrix exponential of the state (x, 1).
    flow = np.zeros((6, 6))
    flow[:5, :5] = -(Z[at].T @ Z[at] + np.diag(penalty))
    flow[:5, 5] = Z[at].T @ (values - offset[at])
    x = expm(time * flow)[:5, 5]
    np.testing.assert_allclose(fold.solve @ fold.target, x, atol=1e-7)
    assert not fold.solve[1].any()
    assert fold.variance is None


def test_sizes_that_do_not_fit_are_refused_by_name():
    offset, blocks, penalty, at, values, _ = case_of(0)
    for fold in (ct.ridge_fold, ct.nonnegative_fold, lambda *given: ct.stopped_fold(*given, 1.0)):
        with pytest.raises(ValueError, match=r"blocks need 6 rows, one for each of offset, got \[\(7, 2\), \(7, 3\)\]"):
            fold(offset[:6], blocks, penalty, at % 6, values)
        with pytest.raises(ValueError, match="blocks need 7 rows"):
            fold(offset, (blocks[0], blocks[1][:6]), penalty, at, values)
        for wrong in (list(blocks), (blocks[0], np.ones(7)), (blocks[0], None)):
            with pytest.raises(TypeError, match="blocks must be a tuple of tables of numbers"):
                fold(offset, wrong, penalty, at, values)
        with pytest.raises(ValueError, match="penalty"):
            fold(offset, blocks, penalty[:-1], at, values)
        with pytest.raises(ValueError, match=r"penalty must be at least 0, got -0\.25"):
            fold(offset, blocks, [1, 1, -0.25, 1, 1], at, values)
        with pytest.raises(ValueError, match="offset"):
            fold(np.where(offset == offset[6], np.nan, offset), blocks, penalty, at, values)
        assert fold(offset.tolist(), blocks, penalty.tolist(), at, values).offset.tolist() == offset.tolist()
        with pytest.raises(ValueError, match="values"):
            fold(offset, blocks, penalty, at, values[:-1])
        with pytest.raises(ValueError, match="at must hold positions from 0 to 6"):
            fold(offset, blocks, penalty, np.array([0, 1, 2, 7]), values)
    with pytest.raises(ValueError, match="time"):
        ct.stopped_fold(offset, blocks, penalty, at, values, -1.0)


# ---- A new title ----


@pytest.mark.parametrize("name", ["global mean", "baseline", "baseline by cvxpy", "ALS with biases"])
def test_a_title_folded_in_with_its_own_ratings_gets_its_column_back(name, table):
    options = {"tol": 1e-13, "n_epochs": 3000} if "ALS" in name else {}  # its last half-step was the viewers'
    model = clone(MODELS[name]).set_params(**options).fit(table)
    for item in table.item_ids.tolist():
        column = table.csc[:, [table.item_cols(item)[0]]].tocoo()
        told = dict(zip(table.user_ids[column.coords[0]].tolist(), column.data.tolist(), strict=True))
        new = model.fold_in_item(told)
        assert np.abs(new.predict(table.user_ids) - model.predict(table.user_ids, item)).max() < 1e-4


def test_a_new_title_is_known_by_its_features(table):
    for name in ("content", "content with profiles", "content only"):
        model = clone(MODELS[name]).fit(table)
        features = {"funny": 0.3, "sad": 0.3}  # those of title 13
        expected = model.predict(table.user_ids, 13)
        if isinstance(model, ct.ContentMF):  # without the bias and the factors that its ratings taught
            expected = expected - model.item_bias_[2] - model.user_factors_ @ model.item_factors_[2]
        assert np.allclose(model.fold_in_item({}, features).predict(table.user_ids), expected)


def test_unknown_features_and_models_without_any_are_refused(table):
    model = clone(MODELS["content only"]).fit(table)
    with pytest.raises(ValueError, match=r"unknown features \['scary'\]; the 3 known ones"):
        model.fold_in_item({}, {"scary": 1})
    with pytest.raises(ValueError, match="learns nothing from features"):
        ct.BiasBaseline().fit(table).fold_in_item({}, {"funny": 1})
    with pytest.raises(ValueError, match="for a new title fit it again"):
        ct.ItemKNN().fit(table).fold_in_item({101: 5})


def test_the_audience_is_who_would_like_it_most_and_has_not_rated_it(table):
    new = ct.BiasBaseline().fit(table).fold_in_item({"ann": 9, 103: 8})
    audience = new.audience(10)
    assert audience.columns.tolist() == ["rank", "user_id", "predicted_rating"]
    assert sorted(audience["user_id"]) == [102, 104, 105, 106]
    assert audience["predicted_rating"].is_monotonic_decreasing
    reasons = new.explain(106)
    assert set(reasons["reason"]) == {"ann", "cy", "what everybody gets: the mean and this viewer's level"}
    assert reasons["contribution"].sum() == pytest.approx(new.predict(106)[0])


# ---- Reasons ----


def test_reasons_sum_to_the_prediction(fitted, table):
    newcomer = fitted.fold_in({11: 9, 14: 2, 15: 7})
    for viewer in (newcomer, fitted.viewer("ann"), fitted.viewer(104)):
        for item in table.item_ids.tolist():
            for n in (None, 1):
                table_of_reasons = ct.explain(fitted, viewer, item, n)
                assert table_of_reasons["contribution"].sum() == pytest.approx(viewer.predict(item)[0], abs=1e-8)


def test_reasons_of_a_large_table_sum_to_the_prediction_to_1e_8(sample):
    for model in (ct.BiasBaseline(), ct.ALS(20, 0.1, n_epochs=20, tol=0), ct.SpectralRegularization(8, biases=True),
                  ct.SpectralRegularization(5), ct.NuclearNorm(), ct.SGDMF(patience=None, n_epochs=10)):  # fmt: skip
        model.fit(sample)
        for user in sample.user_ids[:5].tolist():
            for item in sample.item_ids[::20].tolist():
                total = ct.explain(model, user, item)["contribution"].sum()
                assert abs(total - model.predict(user, item)[0]) < 1e-8


@pytest.mark.parametrize(
    "model",
    [
        ct.ImplicitALS(5, dtype="float32"),
        ct.ALS(5, dtype="float32", biases=True),
        ct.Hybrid(ct.ALS(5, dtype="float32")),
        ct.NMF(12, reg=1e-7),
    ],
    ids=repr,
)
def test_rounding_is_no_reason(model):
    ratings = random_table(2, (25, 14), 0.4)
    model.fit(dataclasses.replace(ratings, values=np.round(np.clip(ratings.values, 1, 10)), scale=(1.0, 10.0)))
    for user in ratings.user_ids.tolist():
        why = ct.explain(model, user, 2)
        assert "the rest of the training" not in set(why["reason"])
        assert why["contribution"].sum() == pytest.approx(model.predict(user, 2)[0], abs=1e-8)


def test_each_rating_contributes_in_proportion_to_its_deviation(sample):
    model = ct.ALS(5, 5, biases=True).fit(sample)
    first, second, item = sample.item_ids[[3, 8, 20]].tolist()

    def part(score):
        reasons = ct.explain(model, model.fold_in({first: score, second: 6}), item).set_index("reason")
        return reasons.loc[sample.title(first), "contribution"]

    expected = model.global_mean_ + model.item_bias_[3]
    assert part(10) / part(4) == pytest.approx((10 - expected) / (4 - expected))


def test_the_largest_reasons_come_first_and_the_rest_is_one_row(sample):
    model = ct.BiasBaseline().fit(sample)
    item = sample.item_ids[0].item()
    short, whole = ct.explain(model, "viewer1149", item, 3), ct.explain(model, "viewer1149", item)
    own = whole.iloc[:-1]
    assert own["contribution"].abs().is_monotonic_decreasing
    assert len(short) == 3 + 1 + 1
    assert short["reason"].iloc[-2] == f"{len(own) - 3} other ratings"
    assert "everybody" in whole["reason"].iloc[-1]
    assert whole["contribution"].iloc[-1] == model.global_mean_ + model.item_bias_[0]
    assert short["contribution"].sum() == pytest.approx(whole["contribution"].sum())


def test_terms_sum_to_the_prediction_too(table):
    for name in ("content", "content with profiles", "content as published", "content only"):
        model = clone(MODELS[name]).fit(table)
        for viewer in (model.fold_in({15: 9, 12: 2}), model.viewer(101), model.viewer("fay")):
            for item in table.item_ids.tolist():
                terms = ct.explain(model, viewer, item, by="terms")
                assert terms["contribution"].sum() == pytest.approx(viewer.predict(item)[0], abs=1e-8)
        assert {"funny", "long"} <= set(ct.explain(model, 101, 15, by="terms")["reason"])
    with pytest.raises(ValueError, match="knows nothing of what titles are about"):
        ct.explain(ct.BiasBaseline().fit(table), 101, 11, by="terms")
    with pytest.raises(ValueError, match="by must be"):
        ct.explain(model, 101, 11, by="genres")


def test_reasons_for_a_viewer_of_another_model_are_refused(table):
    one, other = ct.BiasBaseline().fit(table), ct.BiasBaseline(1).fit(table)
    with pytest.raises(ValueError, match="folded into another model"):
        ct.explain(one, other.fold_in({11: 5}), 12)


@pytest.mark.parametrize(("dtype", "share"), [("float64", 1e-8), ("float32", 1e-4)])
def test_what_is_left_is_a_reason_from_the_edge_of_rounding_on(dtype, share, table):
    model = ct.ALS(2, biases=True, dtype=dtype).fit(table)
    for size, told in ((0.5 * share, False), (2 * share, True), (-0.5 * share, False), (-2 * share, True)):
        viewer = model.fold_in({11: 9, 14: 2, 15: 4})
        viewer.scores = viewer.scores * [1, 1, 1, 1, 0]  # it is the largest of somebody's scores that counts
        before = viewer.explain(12).set_index("reason")["contribution"]
        away = size * np.abs(viewer.scores).max()
        viewer.scores = viewer.scores + away * (np.arange(5) == 1)
        after = viewer.explain(12).set_index("reason")["contribution"]
        changed = (after - before).dropna()
        if told:
            assert after["the rest of the training"] == pytest.approx(away, rel=0.1)
            assert np.abs(changed).max() < 0.1 * abs(away)
        else:
            assert list(after.index) == list(before.index)
            assert changed.iloc[0] == pytest.approx(away, rel=0.1)  # it goes with the largest
            assert np.abs(changed.iloc[1:]).max() < 0.1 * abs(away)


def test_reasons_without_a_rating_are_what_everybody_gets(table):
    model = ct.BiasBaseline().fit(table)
    why = model.fold_in({}).explain(12)
    assert why["reason"].tolist() == ["what everybody gets: the mean and this title's level"]
    assert why["contribution"].tolist() == [model.global_mean_ + model.item_bias_[1]]
    assert np.isnan(why["rating"]).all()


def test_reasons_are_of_one_title(table):
    viewer = ct.BiasBaseline().fit(table).fold_in({11: 9})
    for wrong in ([12], [12, 13], []):
        with pytest.raises(TypeError, match="other must be one id"):
            viewer.explain(wrong)


def test_a_table_of_reasons_by_hand():
    own = [("a", 5.0, 0.25), ("b", 6.0, -2.0), ("c", 7.0, 1.0), ("d", 8.0, 2.0), ("e", 9.0, -0.5)]
    others = {"x": 1e-8, "gone": 1e-10, "gone too": -1e-10, "y": -3.0}
    table = newcomers.reasons(own, others, None, "things")
    assert table.columns.tolist() == ["reason", "rating", "contribution"]
    assert table["reason"].tolist() == ["b", "d", "c", "e", "a", "x", "y"]
    assert table["rating"].tolist()[:5] == [6.0, 8.0, 7.0, 9.0, 5.0]
    assert np.isnan(table["rating"][5:]).all()
    short = newcomers.reasons(own, others, 2, "things")
    assert short["reason"].tolist() == ["b", "d", "3 other things", "x", "y"]
    assert short["contribution"].tolist() == [-2.0, 2.0, 0.75, 1e-8, -3.0]
    assert np.isnan(short["rating"][2])
    assert newcomers.reasons(own, others, 5, "things").equals(table)
    assert newcomers.reasons(own, others, 9, "things").equals(table)
    assert newcomers.reasons(own, {}, 0, "things")["reason"].tolist() == ["5 other things"]
    assert newcomers.reasons(own, {}, 4, "things")["reason"].tolist() == ["b", "d", "c", "e", "1 other things"]
    with pytest.raises(ValueError, match="n must be"):
        newcomers.reasons(own, {}, -1, "things")


def test_reasons_that_rounding_alone_sets_apart_stay_in_their_order():
    own = [("first", 5.0, 1.0), ("second", 5.0, -1.0 - 1e-13), ("third", 5.0, 1.0 + 2e-13)]
    assert newcomers.reasons(own, {}, None, "ratings")["reason"].tolist() == ["first", "second", "third"]


# ---- Uncertainty ----


def test_a_rating_more_never_makes_anything_less_certain(sample):
    model = ct.ALS(5, 5, biases=True).fit(sample)
    told, before = {}, np.full(sample.n_items, np.inf)
    for col in (0, 40, 80, 120):
        now = model.fold_in(told).uncertainty(sample.item_ids)
        assert (now <= before + 1e-12).all()
        told, before = told | {sample.item_ids[col].item(): 7}, now


def test_the_uncertainty_of_the_baseline_by_hand(table):
    model = ct.BiasBaseline(reg=5).fit(table)
    viewer = model.fold_in({11: 9, 12: 6})
    assert viewer.uncertainty(13)[0] == pytest.approx(model.noise() / np.sqrt(2 + 5))
    assert viewer.uncertainty(13, of_a_rating=True)[0] == pytest.approx(model.noise() * np.sqrt(1 + 1 / 7))


@pytest.mark.parametrize("weighted_reg", [False, True])
def test_of_somebody_without_a_rating_the_penalty_alone_is_known(table, weighted_reg):
    model = ct.ALS(2, 0.5, biases=True, bias_reg=4, weighted_reg=weighted_reg).fit(table)
    spread = (model.item_factors_**2).sum(axis=1) / 0.5 + 1 / 4
    assert model.fold_in({}).uncertainty(table.item_ids) == pytest.approx(model.noise() * np.sqrt(spread))


def test_noise_is_found_where_it_was_put():
    rng = np.random.default_rng(0)
    table = 6 + rng.normal(0, 1, (300, 1)) + rng.normal(0, 1, (1, 40)) + rng.normal(0, 0.7, (300, 40))
    known = rng.random(table.shape) < 0.5
    ratings = ct.Ratings.from_matrix(np.where(known, table, np.nan), scale=(-5.0, 15.0))
    assert ct.BiasBaseline(reg=0.49).fit(ratings).noise() == pytest.approx(0.7, rel=0.03)


SOLVED_TOGETHER = [
    ct.BiasBaseline(),
    ct.ALS(3, biases=True),
    ct.ALS(3),
    ct.ALS(12, reg=0.1),
    ct.SpectralRegularization(3.0, biases=True),
    ct.GradientDescentMF(3, learning_rate=1e-3, n_epochs=30, tol=0),
]


@pytest.mark.parametrize("model", SOLVED_TOGETHER, ids=str)
def test_the_compiled_loop_finds_the_noise_of_the_regressions_one_by_one(model, random_ratings, with_cold):
    for ratings in (random_ratings, with_cold):  # viewers with more and with fewer ratings than numbers, and none
        fitted = clone(model).fit(ratings)
        rated = ratings.csr[np.flatnonzero(ratings.user_counts)]
        together = newcomers._squares_together(fitted, rated)
        assert together == pytest.approx(newcomers._squares_one_by_one(fitted, rated), rel=1e-11)
        assert fitted.noise() == np.sqrt(together / len(ratings))


def test_what_the_loop_cannot_solve_is_solved_one_by_one(random_ratings, monkeypatch):
    model = ct.ALS(3, biases=True).fit(random_ratings)
    expected = np.sqrt(newcomers._squares_one_by_one(model, random_ratings.csr) / len(random_ratings))
    monkeypatch.setattr(newcomers, "left_out_squares", lambda *given: np.nan)  # no Cholesky factor
    assert model.noise() == expected


def test_a_regression_of_ones_own_is_asked_viewer_by_viewer(random_ratings):
    class Weighted(ct.ALS):
        def _newcomer(self, axis, at, values, features=None):
            return ridge_fold(*self._regression(axis, len(at), 5.0 * len(at), 5.0), at, values)

    model, plain = (kind(2, biases=True).fit(random_ratings) for kind in (Weighted, ct.ALS))
    table = random_ratings.csr[np.flatnonzero(random_ratings.user_counts)]
    assert np.isnan(newcomers._squares_together(model, table))
    assert model.noise() == np.sqrt(newcomers._squares_one_by_one(model, table) / table.nnz) != plain.noise()


def test_of_many_viewers_a_draw_tells_the_noise_always_the_same(monkeypatch):
    ratings = random_table(0, (300, 20))
    whole = ct.ALS(2, biases=True).fit(ratings)
    monkeypatch.setattr(newcomers, "NOISE_VIEWERS", 100)
    part, again = (ct.ALS(2, biases=True).fit(ratings).noise() for _ in range(2))
    assert part == again
    monkeypatch.undo()
    assert part != whole.noise()
    assert part == pytest.approx(whole.noise(), rel=0.1)
    monkeypatch.setattr(newcomers, "NOISE_VIEWERS", 300)
    assert ct.ALS(2, biases=True).fit(ratings).noise() == whole.noise()


def test_of_one_viewer_too_many_one_is_left_out_and_nobody_counts_twice(monkeypatch):
    ratings = random_table(1, (40, 12))
    model = ct.ALS(2, biases=True).fit(ratings)
    table = ratings.csr[np.flatnonzero(ratings.user_counts)]
    each = np.array([newcomers._squares_one_by_one(model, table[[row]]) for row in range(table.shape[0])])
    counts = np.diff(table.indptr)
    monkeypatch.setattr(newcomers, "NOISE_VIEWERS", table.shape[0] - 1)
    without = np.sqrt((each.sum() - each) / (counts.sum() - counts))
    assert np.abs(without - model.noise()).min() < 1e-12
    assert np.ptp(without) > 1e-3


def test_noise_counts_each_rating_as_its_viewer_s_other_ratings_predict_it(random_ratings):
    # A ridge regression without the rating predicts it at residual / (1 - leverage): noise is that times its root.
    model = ct.BiasBaseline(reg=2).fit(random_ratings)
    squares = 0.0
    for row in range(random_ratings.n_users):
        own = random_ratings.csr[[row]]
        off = own.data - model.global_mean_ - model.item_bias_[own.indices]
        for at in range(len(off)):
            rest = np.delete(off, at)
            leverage = 1 / (len(off) + 2)
            squares += (off[at] - rest.sum() / (len(rest) + 2)) ** 2 * (1 - leverage)
    assert model.noise() == pytest.approx(np.sqrt(squares / len(random_ratings)), rel=1e-9)


def test_regressions_on_sparse_features_tell_the_noise_one_by_one(table):
    model = ct.ContentOnly(ABOUT_ITEMS, reg=2).fit(table)
    one_by_one = newcomers._squares_one_by_one(model, table.csr)
    assert model.noise() == pytest.approx(np.sqrt(one_by_one / len(table)), rel=1e-12)
    C = np.column_stack([model.item_table_.toarray(), np.ones(5)])
    squares = 0.0
    for row in range(6):
        own = table.csr[[row]]
        Z, y = C[own.indices], own.data - model.global_mean_
        hat = Z @ np.linalg.solve(Z.T @ Z + 2 * np.eye(4), Z.T)
        squares += ((y - hat @ y) ** 2 / (1 - np.diag(hat))).sum()
    assert one_by_one == pytest.approx(squares, rel=1e-9)


def test_a_class_whose_regressions_are_one_on_sparse_features_is_asked_one_by_one_too(table):
    class OneRegression(ct.ContentOnly):
        _one_regression = True

        def _newcomer(self, axis, at, values, features=None):
            return super()._newcomer(axis, at, values, features)

    one, other = (kind(ABOUT_ITEMS, reg=2).fit(table) for kind in (OneRegression, ct.ContentOnly))
    assert one.noise() == other.noise()


def test_one_viewer_is_enough_to_tell_the_noise():
    alone = ct.Ratings(["ann"], range(4), np.zeros(4, int), np.arange(4), [3.0, 8.0, 5.0, 9.0])
    model = ct.BiasBaseline().fit(alone)
    assert model.noise() == pytest.approx(np.sqrt(newcomers._squares_one_by_one(model, alone.csr) / 4))


def test_a_regression_without_a_penalty_has_no_noise_to_tell(table):
    for model in (ct.ALS(2, reg=0, n_epochs=5, tol=0), ct.BiasBaseline(reg=0)):
        with pytest.raises(ValueError, match="no ridge regression, solved to its end, to tell taste from noise by"):
            model.fit(table).noise()


def test_uncertainty_below_0_by_rounding_is_none_and_a_rating_adds_its_noise(table):
    model = ct.BiasBaseline(reg=5).fit(table)
    viewer = model.fold_in({11: 9})
    viewer.fold = dataclasses.replace(viewer.fold, variance=lambda z: np.full(len(z), -1e-18))
    assert viewer.uncertainty([12, 13]).tolist() == [0, 0]
    assert viewer.uncertainty([12], of_a_rating=True)[0] == pytest.approx(model.noise())
    with pytest.raises(TypeError, match="of_a_rating"):
        viewer.uncertainty([12], of_a_rating=1)


def test_eighty_of_a_hundred_ratings_lie_within_eighty_per_cent_intervals():
    rng = np.random.default_rng(1)
    table = 6 + rng.normal(0, 1, (400, 1)) + rng.normal(0, 1, (1, 40)) + rng.normal(0, 0.7, (400, 40))
    ratings = ct.Ratings.from_matrix(table[:300], scale=(-5.0, 15.0))
    model, inside = ct.BiasBaseline(reg=0.49).fit(ratings), []
    for row in table[300:]:
        viewer = model.fold_in(dict(enumerate(row[:3].tolist())))
        width = 1.2816 * viewer.uncertainty(np.arange(3, 40), of_a_rating=True)
        inside.append(np.abs(viewer.scores[3:] - row[3:]) < width)
    assert np.mean(inside) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("name", ["item neighbours", "nuclear norm", "SGD", "content", "blend"])
def test_models_that_cannot_tell_taste_from_noise_say_so(name, table):
    with pytest.raises(ValueError, match="to tell taste from noise"):
        clone(MODELS[name]).fit(table).fold_in({11: 5}).uncertainty(12)


def test_a_count_has_no_uncertainty_in_rating_points(table):
    with pytest.raises(ValueError, match="not rating points"):
        ct.Popularity().fit(table).fold_in({11: 5}).uncertainty(12)


def test_fitting_again_forgets_the_noise(table, with_cold):
    model = ct.BiasBaseline().fit(table)
    before = model.noise()
    assert model.fit(with_cold).noise() != before


# ---- What may be told ----


@pytest.mark.parametrize("value", [0, 11, np.nan, True, "9", None])
def test_a_rating_outside_the_scale_or_no_number_is_refused(table, value):
    with pytest.raises(ValueError, match=r"a rating is a number from 1 to 10, got .* for 11"):
        ct.BiasBaseline().fit(table).fold_in({11: value})


def test_unknown_and_ambiguous_titles_are_refused_with_what_may_be_meant(table):
    model = ct.BiasBaseline().fit(table)
    with pytest.raises(KeyError, match="unknown item id 99"):
        model.fold_in({99: 5})
    with pytest.raises(KeyError, match=r"did you mean: Apple \(11\)"):
        model.fold_in({"Aple": 5})
    with pytest.raises(KeyError, match=r"(?s)'Aple'.*'Elkk'"):  # all at once
        model.fold_in({"Aple": 5, "Bear": 6, "Elkk": 7})
    with pytest.raises(KeyError, match="no user has the id or name 'zoe'"):
        model.fold_in_item({"zoe": 5})


def test_one_title_by_id_and_by_name_is_refused(table):
    with pytest.raises(ValueError, match="1 of 2 ratings repeat another: 11 and 'apple' are one thing"):
        ct.BiasBaseline().fit(table).fold_in({11: 5, "apple": 6})
    with pytest.raises(ValueError, match="1 of 4 ratings repeat another: 11 and 'apple' are one thing"):
        ct.BiasBaseline().fit(table).fold_in({13: 4, 11: 5, 15: 2, "apple": 6})


@pytest.mark.parametrize("given", [[(11, 5)], 7, "apple"])
def test_anything_but_a_dict_is_refused(table, given):
    with pytest.raises(TypeError, match=r"expected \{id or name: rating\}"):
        ct.BiasBaseline().fit(table).fold_in(given)


def test_a_pandas_series_will_do(table):
    model = ct.BiasBaseline().fit(table)
    assert np.array_equal(model.fold_in(pd.Series({11: 5.0, 12: 9.0})).scores, model.fold_in({11: 5, 12: 9}).scores)


def test_an_unfitted_model_is_refused():
    with pytest.raises(NotFittedError):
        ct.BiasBaseline().fold_in({})


# ---- The list as it is shown ----


@pytest.fixture(scope="module")
def shown():
    """A model of a table with seasons, genres and factors, and a viewer of it."""
    ratings = ct.load_ratings(ct.DATA / "100x100.csv")
    model = ct.ALS(5, 5, biases=True).fit(ratings)
    viewer = model.fold_in({"Steins;Gate": 10, "Sword Art Online": 2})
    return model, viewer, ct.load_genres(ct.DATA / "catalogue.csv", ratings)


def test_a_shown_list_leaves_out_what_was_rated_and_what_is_not_wanted(shown):
    viewer = shown[1]
    plain = viewer.recommend(20, one_per_work=False)
    assert not {"Steins;Gate", "Sword Art Online"} & set(plain["title"])
    assert plain["predicted_rating"].is_monotonic_decreasing
    unwanted = [plain["item_id"].iloc[0], plain["title"].iloc[2]]
    left = viewer.recommend(18, one_per_work=False, exclude=unwanted)
    assert left["item_id"].tolist() == plain["item_id"].drop([0, 2]).tolist()


def test_a_plain_list_is_the_list_of_recommend(shown):
    model = shown[0]
    assert model.ratings_.has_seasons
    folded, whole = model.recommend_all(10), model.recommend_all(10, one_per_work=False)
    for user in model.ratings_.user_ids[:10].tolist():
        for options, together in (({}, folded), ({"one_per_work": True}, folded), ({"one_per_work": False}, whole)):
            one = model.viewer(user).recommend(10, **options)
            pd.testing.assert_frame_equal(one, model.recommend(user, 10, **options))
            part = together[together["user_id"] == user].drop(columns="user_id").reset_index(drop=True)
            pd.testing.assert_frame_equal(one, part, check_exact=False, rtol=0, atol=1e-9)
    assert not folded.equals(whole)


def test_no_title_of_an_unwanted_genre_is_listed(shown):
    _, viewer, genres = shown
    listed = viewer.recommend(200, exclude_genres=["action", "Slice of Life"], genres=genres)
    about = genres.rows_for(listed["item_id"]).toarray()
    columns = [genres.names.tolist().index(name) for name in ("Action", "Slice of Life")]
    assert len(listed) > 10
    assert about[:, columns].sum() == 0
    assert about.sum() > 0


def test_unknown_genres_and_a_missing_table_of_them_are_named(shown):
    _, viewer, genres = shown
    with pytest.raises(ValueError, match=r"unknown genres \['Westerns'\]; give a list of some of \['Action'"):
        viewer.recommend(exclude_genres=["Westerns"], genres=genres)
    with pytest.raises(ValueError, match="needs genres="):
        viewer.recommend(exclude_genres=["Action"])
    with pytest.raises(TypeError, match="exclude_genres must be a list of texts, got 'Action'"):
        viewer.recommend(exclude_genres="Action", genres=genres)


def test_of_each_work_only_the_next_season_is_listed_unless_asked(shown):
    model, viewer, _ = shown
    ratings = model.ratings_
    whole = viewer.recommend(200, one_per_work=False)
    once = viewer.recommend(200)
    assert len(whole) == ratings.n_items - 2
    works = pd.DataFrame({"work": ratings.series, "place": ct.season_order(ratings.titles, ratings.item_ids)})
    seen = works.loc[viewer.at].groupby("work")["place"].max()
    left = works[works["place"] > works["work"].map(seen).fillna(-1)].sort_values("place").groupby("work").head(1)
    assert once["item_id"].tolist() == [i for i in whole["item_id"] if ratings.item_cols(i)[0] in left.index]
    assert len(once) < len(whole)


SERIES = ["Fox", "Fox 2nd Season", "Fox 3rd Season", "Fox Movie", "Gnu II", "Gnu III", "Hen", "Ibis", "Jay"]
ALONE = SERIES[-3:]


@pytest.mark.parametrize(
    ("seen", "offered"),
    [
        ([], ["Fox", "Gnu II"]),  # no sequel of what was never seen, but the first that the table has
        (["Fox"], ["Fox 2nd Season", "Gnu II"]),
        (["Fox 2nd Season"], ["Fox 3rd Season", "Gnu II"]),  # and not the first
        (["Fox", "Fox 3rd Season", "Gnu II"], ["Fox Movie", "Gnu III"]),
        (["Fox Movie"], ["Fox 2nd Season", "Gnu II"]),  # a film is no later season
        (["Gnu III"], ["Fox"]),
    ],
)
def test_a_work_is_offered_by_its_first_unseen_season(seen, offered):
    rng = np.random.default_rng(0)
    full = ct.Ratings.from_matrix(rng.integers(1, 11, (5, 9)).astype(float), titles=SERIES, has_seasons=True)
    own = np.isin(full.cols, np.flatnonzero(np.isin(SERIES, seen))) | (full.rows > 0)
    model = ct.ALS(2, 1, biases=True).fit(full.part(own))
    somebody = model.fold_in(dict.fromkeys(seen, 5))
    everybody = model.recommend_all(7)
    for listed in (model.viewer(0).recommend(7), everybody[everybody["user_id"] == 0], somebody.recommend(7)):
        assert sorted(listed["title"]) == offered + ALONE
    assert set(somebody.recommend(7, diversity=1.0)["title"]) == {*offered, *ALONE}
    keeper = model.fold_in(ct.OwnList({}, [SERIES.index(title) for title in seen], None, {}))
    assert sorted(keeper.recommend(7)["title"]) == offered + ALONE  # seen, though not rated
    assert sorted(somebody.recommend(7, exclude=["Hen"])["title"]) == offered + ALONE[1:]
    assert model.recommend(0, 7, also_seen=full.part(full.rows == 0)).empty


def test_a_shown_prediction_can_be_kept_within_the_scale(sample):
    model = ct.SpectralRegularization(1, biases=True, tol=1e-3).fit(sample)
    viewer = model.fold_in(dict.fromkeys(sample.item_ids[:12].tolist(), 10))
    raw, clipped = viewer.recommend(20), viewer.recommend(20, clip=True)
    assert raw["predicted_rating"].max() > 10
    assert clipped["predicted_rating"].tolist() == np.minimum(raw["predicted_rating"], 10).tolist()
    assert clipped["item_id"].tolist() == raw["item_id"].tolist()
    everybody, within = model.recommend_all(5), model.recommend_all(5, clip=True)
    assert within["predicted_rating"].tolist() == np.clip(everybody["predicted_rating"], 1, 10).tolist()
    counts = ct.Popularity().fit(sample).fold_in({})
    assert counts.recommend(5, clip=True).equals(counts.recommend(5))  # a count has no scale


def test_mmr_by_hand(table):
    model = ct.BiasBaseline().fit(table)
    viewer = model.fold_in({})
    viewer.scores = np.array([9.0, 8.0, 8.5, 7.0, 1.0])
    alike = ct.Features(table.item_ids, [[1, 0], [0, 1], [1, 0], [0.6, 0.8], [1, 1]], ["x", "y"])
    # After Apple (9): Bear 8, Cat 8.5 - d (Apple's twin), Dog 7 - .6 d.
    assert viewer.recommend(3, diversity=0.4, similarity=alike)["title"].tolist() == ["Apple", "Cat", "Bear"]
    assert viewer.recommend(3, diversity=1, similarity=alike)["title"].tolist() == ["Apple", "Bear", "Cat"]
    # After Apple and Bear, at d = 5: Cat 8.5 - 5, Dog 7 - 5 max(.6, .8) = 3, Elk 1 - 5 / sqrt 2.
    assert viewer.recommend(4, diversity=5, similarity=alike)["title"].tolist() == ["Apple", "Bear", "Cat", "Dog"]


def test_genres_to_leave_out_are_told_by_features(table):
    viewer = ct.BiasBaseline().fit(table).fold_in({})
    for wrong in (5, "genres", np.eye(5)):
        with pytest.raises(TypeError, match="genres must be Features, as of load_genres, got"):
            viewer.recommend(3, exclude_genres=["Drama"], genres=wrong)


def test_mmr_compares_by_features_or_by_the_factors_of_a_model_that_has_some(table):
    viewer = ct.BiasBaseline().fit(table).fold_in({})
    for wrong in ("genres", np.eye(5), {11: [1]}):
        with pytest.raises(TypeError, match="similarity must be Features, as of load_genres, got"):
            viewer.recommend(3, diversity=1, similarity=wrong)
    with pytest.raises(ValueError, match=r"BiasBaseline.* has no item factors to compare titles by; give similarity="):
        viewer.recommend(3, diversity=1)
    assert len(ct.ALS(1, n_epochs=2, tol=0).fit(table).fold_in({}).recommend(3, diversity=1)) == 3


def test_mmr_compares_with_the_nearest_of_those_listed_not_with_the_last_nor_with_all(table):
    viewer = ct.BiasBaseline().fit(table).fold_in({})
    viewer.scores = np.array([9.0, 8.0, 6.0, 6.5, 1.0])
    vectors = [[1, 0, 0], [0, 1, 0], [0.8, 0, 0.6], [0.6, 0.6, 0.28**0.5], [0, 0, 1]]
    alike = ct.Features(table.item_ids, vectors, ["x", "y", "z"])
    # After Apple and Bear, at d = 5: Cat 6 - 5 max(.8, 0) = 2, Dog 6.5 - 5 max(.6, .6) = 3.5. By the last of them alone
    # Cat had 6, and by the sum Dog .5.
    assert viewer.recommend(3, diversity=5, similarity=alike)["title"].tolist() == ["Apple", "Bear", "Dog"]


def test_diversity_makes_lists_more_diverse_at_the_price_it_names(shown):
    model, viewer, genres = shown
    diversity, level = [], []
    for price in (0, 0.5, 2):
        listed = viewer.recommend(10, diversity=price, similarity=genres)
        cols = model.ratings_.item_cols(listed["item_id"].to_numpy())[None, :]
        diversity.append(ct.list_metrics(cols, model.ratings_, genres)["diversity"])
        level.append(listed["predicted_rating"].mean())
    assert diversity[0] < diversity[1] < diversity[2]
    assert level[0] > level[1] > level[2] > level[0] - 2


def test_diversity_needs_something_to_compare_titles_by(table):
    viewer = ct.BiasBaseline().fit(table).fold_in({})
    with pytest.raises(ValueError, match="has no item factors to compare titles by"):
        viewer.recommend(3, diversity=1)
    with pytest.raises(ValueError, match="diversity must be"):
        viewer.recommend(3, diversity=-1)
    with pytest.raises(ValueError, match="n must be"):
        viewer.recommend(0)


def test_a_list_can_carry_its_uncertainty(shown):
    _, viewer, _ = shown
    listed = viewer.recommend(5, uncertainty=True)
    assert np.allclose(listed["uncertainty"], viewer.uncertainty(listed["item_id"]))


def test_a_viewer_who_has_rated_everything_gets_an_empty_list(table):
    viewer = ct.BiasBaseline().fit(table).viewer("dee")
    assert viewer.recommend(5, uncertainty=True).empty
    assert viewer.recommend(5).columns.tolist() == ["rank", "item_id", "title", "predicted_rating"]


def test_without_titles_every_item_is_a_work_of_its_own():
    ratings = random_table(3)
    assert len(set(ratings.series)) == ratings.n_items


def test_a_newcomer_with_what_no_model_knows_is_refused(table):
    model = ct.BiasBaseline().fit(table)
    at, values = np.array([0, 2]), np.array([5.0, 6.0])
    for kind, size, rows in ((newcomers.Viewer, 4, 6), (newcomers.NewTitle, 5, 5)):
        with pytest.raises(ValueError, match=f"at must hold positions from 0 to {size}"):
            kind(model, np.array([0, size + 1]), values)
        with pytest.raises(ValueError, match=f"at must hold positions from 0 to {size}"):
            kind(model, np.array([0, size + 1]), values, row=0)
        with pytest.raises(ValueError, match="values"):
            kind(model, at, values[:1], row=0)
        assert len(kind(model, np.array([0, size]), values).scores) == size + 1
        with pytest.raises(ValueError, match="values"):
            kind(model, at, values[:1])
        with pytest.raises(TypeError, match=r"features must be \{feature name: value\}"):
            kind(model, at, values, features=["funny"])
        with pytest.raises(ValueError, match=f"row must hold positions from 0 to {rows - 1}"):
            kind(model, at, values, row=rows)
        assert kind(model, at, values, features={}).at.tolist() == [0, 2]  # which say nothing
    assert newcomers.Viewer(model, at, values, row=5).scores.tolist() == model.predict_rows([5])[0].tolist()


def test_a_list_leaves_out_what_the_validation_part_has_of_that_viewer_alone(table):
    train, rest = table.split_random(0.3)
    model = ct.BiasBaseline().fit(train)
    for user in table.user_ids.tolist():
        seen = set(table.csr[[table.user_rows(user)[0]]].indices.tolist())
        listed = model.viewer(user).recommend(9, also_seen=rest)["item_id"]
        assert set(table.item_cols(listed.to_numpy()).tolist()) == set(range(5)) - seen
    with pytest.raises(TypeError, match="exclude must be a list of ids and titles"):
        model.viewer(101).recommend(3, exclude=12)
    with pytest.raises(ValueError, match="also_seen"):
        model.viewer(101).recommend(3, also_seen=random_table(0))


def test_ties_of_a_diverse_list_go_by_position_and_nothing_that_is_left_out_is_taken():
    vectors = np.eye(4)[[0, 1, 0, 2]]
    scores = np.array([3.0, 3.0, 3.0 + 1e-13, -np.inf])
    assert newcomers._diverse_positions(scores, 9, 0.5, vectors).tolist() == [0, 1, 2]
    assert newcomers._diverse_positions(scores, 2, 0.5, vectors).tolist() == [0, 1]
    assert newcomers._diverse_positions(np.array([1.0, 5.0]), 1, 2.0, np.eye(2)).tolist() == [1]
    assert newcomers._diverse_positions(np.full(3, -np.inf), 2, 0.5, np.eye(3)).tolist() == []
    # Opposites are no dearer than strangers: a likeness begins at 0 and never falls.
    apart = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    assert newcomers._diverse_positions(np.array([9.0, 5.0, 5.0]), 3, 1.0, apart).tolist() == [0, 1, 2]


def test_rows_of_length_one_and_a_row_of_zeros_stays():
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])
    for given in (rows, sp.csr_array(rows)):
        found = newcomers.unit_rows(given)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [0, -1]], atol=1e-15)


def test_the_columns_of_a_list_have_ratings_before_another_score_and_are_clipped_on_request(table):
    model, score = ct.BiasBaseline().fit(table), np.array([11.0, -2.0])
    plain = newcomers.score_columns(model, score)
    assert {name: each.tolist() for name, each in plain.items()} == {"predicted_rating": [11.0, -2.0]}
    assert newcomers.score_columns(model, score, clip=True)["predicted_rating"].tolist() == [10.0, 1.0]
    counts = ct.Popularity().fit(table)
    both = newcomers.score_columns(counts, score, np.array([12.0, 5.0]), clip=True)
    assert list(both) == ["predicted_rating", counts.score_name]
    assert [each.tolist() for each in both.values()] == [[10.0, 5.0], [11.0, -2.0]]


def test_an_audience_has_so_many_viewers_and_ranks_from_one(table):
    new = ct.BiasBaseline().fit(table).fold_in_item({"ann": 9, 103: 8})
    whole = new.audience()
    assert whole["rank"].tolist() == [1, 2, 3, 4]
    assert np.array_equal(new.predict(whole["user_id"].to_numpy()), whole["predicted_rating"])
    assert new.audience(2).equals(whole[:2])
    assert new.audience(1).equals(whole[:1])
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        new.audience(0)


def test_a_list_has_ten_titles_unless_asked_and_checks_its_switches(shown):
    viewer = shown[1]
    listed = viewer.recommend()
    assert listed["rank"].tolist() == list(range(1, 11))
    assert listed.equals(viewer.recommend(10))
    assert viewer.recommend(1).equals(listed[:1])
    assert "uncertainty" not in listed
    assert len(shown[0].fold_in_item({}).audience()) == 10
    for switch in ("one_per_work", "uncertainty", "clip"):
        with pytest.raises(TypeError, match=f"{switch} must be"):
            viewer.recommend(3, **{switch: "yes"})
    with pytest.raises(TypeError, match="similarity must be Features"):
        viewer.recommend(3, diversity=1.0, similarity="genres")
    with pytest.raises(TypeError, match="similarity must be Features"):
        viewer.recommend(3, similarity="genres")


# ---- Genres, and what is alike ----


def test_genres_keep_their_whole_names(sample, tmp_path):
    genres = ct.load_genres(ct.DATA / "catalogue.csv", sample)
    assert {"Slice of Life", "Sci-Fi", "Action"} <= set(genres.names)
    assert set(genres.matrix.data) == {1.0}
    (tmp_path / "movies.csv").write_text(
        "movieId,title,genres\n" + f"{sample.item_ids[0]},Heat (1995),Crime|Thriller\n"
        f"{sample.item_ids[1]},Blank,(no genres listed)\n"
    )
    films = ct.load_genres(tmp_path, sample)
    assert films.names.tolist() == ["Crime", "Thriller"]
    assert films.rows_for(sample.item_ids[:3]).toarray().tolist() == [[1, 1], [0, 0], [0, 0]]


def test_a_catalogue_without_any_genre_is_refused(sample, tmp_path):
    (tmp_path / "movies.csv").write_text(f"movieId,title,genres\n{sample.item_ids[0]},Heat,\n")
    with pytest.raises(ValueError, match=r"movies.csv names no genre of any of the"):
        ct.load_genres(tmp_path, sample)


def test_titles_are_alike_by_genres_or_by_factors(shown):
    model, _, genres = shown
    ratings = model.ratings_
    by_genre = ct.similar_titles(ratings, genres, "Steins;Gate", 3)
    by_factor = ct.similar_titles(ratings, model, "steins;gate", 3)
    at = ratings.item_cols(ratings.item_id("Steins;Gate"))[0]
    Q = model.item_factors_ / np.linalg.norm(model.item_factors_, axis=1, keepdims=True)
    cosines = np.delete(Q @ Q[at], at)
    assert by_factor["cosine"].tolist() == pytest.approx(np.sort(cosines)[::-1][:3].tolist())
    assert by_genre["title"].tolist() != by_factor["title"].tolist()
    with pytest.raises(ValueError, match="has no item factors"):
        ct.similar_titles(ratings, ct.BiasBaseline().fit(ratings), at)


def test_features_of_fewer_titles_still_compare_those_they_know(table):
    few = ct.Features([15, 14], [[1.0, 0.0], [1.0, 0.1]], ABOUT_ITEMS.names[:2])
    assert ct.similar_titles(table, few, 15, 1)["title"].tolist() == ["Dog"]


@pytest.mark.parametrize("model", [ct.SGDMF(2, patience=None), ct.ImplicitALS(2), ct.ALS(2)])
def test_features_told_to_a_model_that_reads_none_are_refused(model, table):
    with pytest.raises(ValueError, match="learns nothing from features"):
        model.fit(table).fold_in_item({"ann": 6}, features={"funny": 1})


def test_a_blend_passes_features_on_to_those_that_read_them(table):
    mix = ct.Blend(ct.BiasBaseline(), ct.ContentOnly(ABOUT_ITEMS), weight=0.5).fit(table)
    told = {"ann": 6.0, "bob": 8.0}
    parts = mix.first_.fold_in_item(told).scores, mix.second_.fold_in_item(told, features={"funny": 1}).scores
    assert mix.fold_in_item(told, features={"funny": 1}).scores == pytest.approx(sum(parts) / 2, abs=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, "much"])
def test_a_feature_of_a_new_title_is_a_number(value, table):
    with pytest.raises(ValueError, match="feature 'funny' must be a finite number"):
        ct.ContentOnly(ABOUT_ITEMS).fit(table).fold_in_item({}, features={"funny": value})


def test_one_title_to_leave_out_may_stand_alone(table):
    viewer = ct.BiasBaseline().fit(table).fold_in({"Apple": 9})
    assert (
        viewer.recommend(5, exclude="Bear")["title"].tolist() == viewer.recommend(5, exclude=["Bear"])["title"].tolist()
    )


def test_pairs_are_enough_to_make_lists(table):
    class ByPairs(ct.Recommender):
        def _fit(self, ratings, validation=None):
            pass

        def _scores(self, rows, cols):
            return 10.0 * rows + cols

    model = ByPairs().fit(table)
    assert model.complete().tolist() == [[10.0 * row + col for col in range(5)] for row in range(6)]


def test_a_negative_penalty_of_a_regression_is_refused():
    with pytest.raises(ValueError, match="penalty must be at least 0, got -1"):
        ridge_fold(np.zeros(3), (np.ones((3, 1)),), [-1.0], [0], [1.0])


@pytest.mark.parametrize("seed", range(6))
def test_a_direction_of_which_nothing_is_known_is_no_overflow(seed):
    """Three columns that say one thing, without a penalty: G has rounding for two of its eigenvalues, below 0 too."""
    Z = 1e6 * np.outer(np.ones(3), np.random.default_rng(seed).normal(size=3))
    assert np.isfinite(ct.stopped_fold(np.zeros(3), (Z,), [0.0] * 3, [0, 1], [1.0, 2.0], 1e6).solve).all()
