"""Non-negative factors: the updates against a slow twin, what only they promise, somebody new, and parts that add."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
from conftest import random_table
from sklearn.base import clone

import content_table as ct
from content_table_parts import solvers
from content_table_parts.nonnegative import check_nonnegative, mean_parts, nnls, nonnegative_rows, steepest

NO = np.nan
KINDS = [ct.NMF(3, 0.7), ct.NMF(3, 0.7, biases=False)]
BOTH = pytest.mark.parametrize("model", KINDS, ids=["biases", "no biases"])


def dense(ratings):
    A = np.full(ratings.shape, NO)
    A[ratings.rows, ratings.cols] = ratings.values
    return A


def one_pass(A, known, theta, reg, bias_reg):
    """The slow twin: every number of one side in turn, in the whole table under a mask, then every one of the other.

    `theta` is (level, b_u, b_i, P, Q); without biases `bias_reg` is None.
    """
    level, *sides = theta
    for _ in range(2):
        b_u, b_i, P, Q = sides
        for f in range(P.shape[1]):
            left = np.where(known, A - level - b_u[:, None] - b_i - P @ Q.T + np.outer(P[:, f], Q[:, f]), 0.0)
            P[:, f] = np.maximum(0, (left @ Q[:, f]) / (known @ Q[:, f] ** 2 + reg))
        if bias_reg is not None:
            left = np.where(known, A - level - b_i - P @ Q.T, 0.0)
            b_u[:] = left.sum(axis=1) / (known.sum(axis=1) + bias_reg)
        A, known, sides = A.T, known.T, [b_i, b_u, Q, P]


def objective(model, A):
    error = (
        A
        - model._intercept
        - model.user_bias_[:, None]
        - model.item_bias_
        - model.user_factors_ @ model.item_factors_.T
    )
    squares = (model.user_factors_**2).sum() + (model.item_factors_**2).sum()
    biases = model.user_bias_ @ model.user_bias_ + model.item_bias_ @ model.item_bias_
    return np.nansum(error**2) + model.in_use("reg") * squares + model.bias_reg * biases


# ---- The updates ----


def test_one_update_by_hand():
    # Ratings 5 and 3 of one viewer, scale 1 to 5: heights 4 and 2 over q = (2, 1), reg 1.
    # p = (2*4 + 1*2) / (4 + 1 + 1) = 10/6; then q = p*height / (p^2 + 1): 60/34 and 30/34; then p for these.
    ratings = ct.Ratings.from_matrix([[5, 3]], scale=(1, 5))
    start = np.array([[1.0]]), np.array([[2.0], [1.0]])
    model = ct.NMF(1, 1, biases=False, init=start, n_epochs=1, tol=0).fit(ratings)
    assert model.item_factors_[:, 0] == pytest.approx([60 / 34, 30 / 34])
    assert model.user_factors_[0, 0] == pytest.approx((60 * 4 + 30 * 2) / 34 / ((3600 + 900) / 34**2 + 1))
    assert model.predict(0, 0) == pytest.approx([1 + model.user_factors_[0, 0] * 60 / 34])


@BOTH
def test_the_slow_twin_with_masks_takes_the_same_steps(model, random_ratings):
    ratings = dataclasses.replace(random_ratings, scale=(np.floor(random_ratings.values.min()), 20.0))
    A, known = dense(ratings), ~np.isnan(dense(ratings))
    rng, (m, n) = np.random.default_rng(5), ratings.shape
    start = rng.uniform(0, 1, (m, 3)), rng.uniform(0, 1, (n, 3))
    fitted = clone(model).set_params(init=start, n_epochs=4, tol=0).fit(ratings)
    theta = [fitted._intercept, np.zeros(m), np.zeros(n), start[0].copy(), start[1].copy()]
    for row in fitted.history_:
        one_pass(A, known, theta, 0.7, 5 if model.biases else None)
        left = (A - theta[0] - theta[1][:, None] - theta[2] - theta[3] @ theta[4].T)[known]
        assert row["train_rmse"] == pytest.approx(np.sqrt(np.mean(left**2)), rel=1e-10)
    assert fitted.item_factors_ == pytest.approx(theta[4], abs=1e-10)
    assert fitted.item_bias_ == pytest.approx(theta[2], abs=1e-10)
    assert (fitted.item_factors_ == 0).any()  # the bound was met on the way
    assert fitted.init[0] is start[0]  # not written over


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("reg", [0.01, 1, 20])
def test_the_objective_never_rises_and_nothing_is_negative(sample, biases, reg):
    model = ct.NMF(6, reg, biases=biases, n_epochs=30, tol=0).fit(sample)
    history = np.array([row["objective"] for row in model.history_])
    assert (np.diff(history) <= 1e-12 * history[0]).all()
    assert model._objective()[0] <= history[-1] * (1 + 1e-12)  # the viewers once more
    assert model._objective()[0] == pytest.approx(objective(model, dense(sample)), rel=1e-12)
    assert min(model.user_factors_.min(), model.item_factors_.min()) >= 0


def test_planted_parts_are_found_up_to_order_and_scale():
    rng = np.random.default_rng(3)
    P, Q = (rng.uniform(0.2, 1, (n, 3)) * (rng.random((n, 3)) < 0.45) for n in (60, 40))
    height = P @ Q.T
    known = rng.random(height.shape) < 0.7
    ratings = ct.Ratings.from_matrix(np.where(known, 1 + height, NO), scale=(1, 6))
    fits = [ct.NMF(3, 1e-6, biases=False, n_epochs=2000, tol=0, random_state=seed).fit(ratings) for seed in range(3)]
    model = min(fits, key=lambda fit: fit._objective()[0])
    assert model.complete() == pytest.approx(1 + height, abs=0.02)
    found, planted = (F / np.linalg.norm(F, axis=0) for F in (model.item_factors_, Q))
    cosines = max((np.diag(planted.T @ found[:, order]) for order in itertools.permutations(range(3))), key=np.sum)
    assert (np.array(cosines) > 0.999).all()


# ---- The end of a fit ----


@BOTH
def test_at_the_end_no_number_can_be_improved_alone(model, noisy):
    fitted = clone(model).set_params(n_epochs=4000, tol=0).fit(noisy)
    assert fitted.stationarity() < 1e-6
    learnt = [*fitted._solved(0), *fitted._solved(1)]
    best, A = objective(fitted, dense(noisy)), dense(noisy)
    for array in learnt:
        for cell in itertools.product(*map(range, array.shape)):
            at = array[cell]
            for step in (1e-3, -1e-3):
                if array.ndim == 1 or at + step >= 0:
                    array[cell] = at + step
                    assert objective(fitted, A) >= best - 1e-8
            array[cell] = at


@BOTH
def test_stationarity_is_the_largest_slope_that_can_be_followed(model, noisy):
    fitted, A = clone(model).set_params(n_epochs=3, tol=0).fit(noisy), dense(noisy)
    largest = 0.0
    for array in [*fitted._solved(0), *fitted._solved(1)]:
        for cell in itertools.product(*map(range, array.shape)):
            at, sides = array[cell], []
            for step in (1e-5, -1e-5):
                array[cell] = at + step
                sides.append(objective(fitted, A))
            array[cell] = at
            slope = (sides[0] - sides[1]) / 2e-5
            largest = max(largest, abs(slope) if array.ndim == 1 or at > 0 else -slope)
    assert fitted.stationarity() == pytest.approx(largest, rel=1e-4)


@BOTH
def test_after_any_number_of_passes_no_number_of_a_viewer_can_be_improved(model, sample):
    fitted = clone(model).set_params(n_factors=6, n_epochs=1, tol=0).fit(sample)
    before, A, rng = objective(fitted, dense(sample)), dense(sample), np.random.default_rng(1)
    for _ in range(20):  # convex in all numbers of a viewer together, so what is nearby tells
        for array, low in zip(fitted._solved(0), (0.0, -np.inf), strict=False):
            kept = array.copy()
            array[:] = np.maximum(low, array + rng.normal(0, 1e-3, array.shape))
            assert objective(fitted, A) > before
            array[:] = kept
    assert fitted.stationarity() > 1  # the titles are far from theirs


@BOTH
def test_a_random_start_is_about_as_high_as_what_is_to_be_explained(model, monkeypatch):
    """k products of two numbers of variance v / k, both of one sign, for a height v: of the ratings above the end of
    the scale, or with biases of their spread."""
    values = np.random.default_rng(2).choice([7.0, 10.0], (300, 40))
    ratings = ct.Ratings.from_matrix(values, scale=(4, 12))
    monkeypatch.setattr(ct.NMF, "_run_passes", lambda model, learn: None)
    start = clone(model).fit(ratings).item_factors_
    height = values.std() if model.biases else values.mean() - 4
    assert np.mean(start**2) == pytest.approx(height / 3, rel=0.3)
    assert (start > 0).all()


@BOTH
def test_the_certificate_bounds_every_start(model, noisy):
    fits = [clone(model).set_params(random_state=seed, n_epochs=2000).fit(noisy) for seed in range(4)]
    certificates = [fit.certificate() for fit in fits]
    assert min(c.primal for c in certificates) >= max(c.dual for c in certificates)
    assert certificates[0].primal == pytest.approx(objective(fits[0], dense(noisy)), rel=1e-12)
    assert all(c.proven and c.dual > 0 for c in certificates)


def test_where_nothing_is_negative_anyway_the_gap_closes():
    # One factor and positive heights: the best of rank one is positive by itself, and is that of ALS on the heights.
    heights = np.outer([1, 2, 3, 4], [2, 1, 2]) + np.eye(4, 3) / 4
    ratings = ct.Ratings.from_matrix(1 + heights, scale=(1, 10))
    model = ct.NMF(1, 6, biases=False, tol=0, n_epochs=500).fit(ratings)
    assert model.certificate().relative_gap < 1e-5
    als = ct.ALS(1, 6, tol=0, n_epochs=500).fit(ct.Ratings.from_matrix(heights, scale=(0, 10)))
    assert model.complete() == pytest.approx(1 + als.complete(), abs=1e-8)


def test_a_part_that_does_not_pay_for_its_penalty_is_left_out(sample):
    model = ct.NMF(4, 1000, n_epochs=100, tol=0).fit(sample)
    assert max(model.user_factors_.max(), model.item_factors_.max()) < 1e-9
    baseline = ct.BiasBaseline(5).fit(sample)
    assert model.complete() == pytest.approx(baseline.complete(), abs=1e-6)


# ---- Somebody new ----


def by_scipy(Z, t, penalty, n_signed):
    """The same least squares by scipy: the penalty as rows, a number of either sign as the difference of two."""
    rows = np.vstack([Z, np.diag(np.sqrt(penalty))])
    rows = np.hstack([rows, -rows[:, len(penalty) - n_signed :]])
    x = scipy.optimize.nnls(rows, np.append(t, np.zeros(len(penalty))))[0]
    x[len(penalty) - n_signed : len(penalty)] -= x[len(penalty) :]
    return x[: len(penalty)]


@BOTH
@pytest.mark.parametrize("axis", [0, 1])
def test_a_fold_in_is_nonnegative_least_squares(model, axis, sample):
    fitted, rng = clone(model).set_params(n_factors=8, tol=1e-3).fit(sample), np.random.default_rng(2)
    ids = sample.user_ids if axis else sample.item_ids
    factors, bias = (fitted.user_factors_, fitted.user_bias_) if axis else (fitted.item_factors_, fitted.item_bias_)
    for n in (1, 3, 12, 60):
        at = np.sort(rng.choice(len(ids), n, replace=False))
        values = rng.integers(1, 11, n).astype(float)
        told = dict(zip(ids[at].tolist(), values.tolist(), strict=True))
        new = (fitted.fold_in_item if axis else fitted.fold_in)(told)
        Z = np.column_stack([factors, np.ones(len(factors))]) if model.biases else factors
        penalty = np.append(np.full(8, 0.7), [5.0] * model.biases)
        offset = fitted._intercept + bias
        x = by_scipy(Z[at], (values - offset[at]), penalty, int(model.biases))
        assert new.fold.solve @ new.fold.target == pytest.approx(x, abs=1e-8)
        assert new.scores == pytest.approx(offset + Z @ x, abs=1e-8)


@pytest.mark.parametrize("n_signed", [0, 1, 2])
def test_the_minimum_from_any_start(n_signed):
    rng = np.random.default_rng(11)
    for k, n in itertools.product((2, 5, 9), (3, 20)):
        Z, t = np.abs(rng.normal(size=(n, k))), rng.normal(size=n) + 0.5
        penalty = rng.uniform(0.01, 2, k)
        expected = by_scipy(Z, t, penalty, n_signed)
        for x in (np.zeros(k), np.full(k, 5.0), rng.uniform(0, 1, k) * (rng.random(k) < 0.5)):
            nnls(Z.T @ Z + np.diag(penalty), Z.T @ t, n_signed, x)
            assert x == pytest.approx(expected, abs=1e-9)
        slow = np.zeros(k)
        nnls.py_func(Z.T @ Z + np.diag(penalty), Z.T @ t, n_signed, slow)
        assert slow == pytest.approx(expected, abs=1e-9)


def test_threads_change_no_digit():
    ratings = random_table(1, (300, 20))
    one, two = (ct.NMF(4, 1, n_epochs=5, tol=0, n_jobs=n_jobs).fit(ratings) for n_jobs in (1, 2))
    assert np.array_equal(one.complete(), two.complete())


# ---- Parts that add ----


@BOTH
def test_parts_add_up_to_the_prediction_and_none_takes_away(model, with_cold):
    fitted = clone(model).fit(with_cold)
    for viewer in (fitted.viewer(101), fitted.viewer(106), fitted.fold_in({11: 9, 14: 2}), fitted.fold_in({})):
        for item in with_cold.item_ids.tolist():
            for n in (None, 1):
                reasons = ct.explain(fitted, viewer, item, n, by="parts")
                assert reasons["contribution"].sum() == pytest.approx(viewer.predict(item)[0], abs=1e-12)
                parts = reasons[reasons["reason"].str.startswith(("part ", "2 other parts"))]
                assert (parts["contribution"] > 0).all()


def test_a_part_is_named_by_the_titles_that_it_adds_most_to(table):
    P, Q = np.zeros((6, 2)), np.zeros((5, 2))
    P[:, 0], P[:3, 1] = 1, 2
    Q[:, 0], Q[:, 1] = [3, 1, 0, 2, 0], [0, 0, 2, 1, 0]
    model = ct.NMF(2, biases=False, n_epochs=1, tol=0).fit(table)
    model.user_factors_, model.item_factors_ = P, Q
    best = model.titles_of_parts(2)
    assert best.columns.tolist() == ["part", "rank", "item_id", "title", "adds"]
    assert best["title"].tolist() == ["Apple", "Dog", "Cat", "Dog"]
    assert best["part"].tolist() == [0, 0, 1, 1]
    assert best["rank"].tolist() == [1, 2, 1, 2]
    assert best["adds"].tolist() == [3, 2, 2, 1]  # the second part: q times the mean of 2 and 0
    reasons = ct.explain(model, 101, "Dog", by="parts")
    assert reasons["reason"].tolist() == ["part 0: Apple, Dog", "part 1: Cat, Dog", "what everybody gets"]
    assert reasons["contribution"].tolist() == [2, 2, 1]
    assert len(model.titles_of_parts(99)) == 10
    assert model.titles_of_parts(1)["title"].tolist() == ["Apple", "Cat"]
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        model.titles_of_parts(0)


def test_models_whose_factors_may_take_away_have_no_such_parts(table):
    with pytest.raises(ValueError, match=r"ALS.* has no parts that only add, as those of NMF; explain by ratings"):
        ct.explain(ct.ALS(2).fit(table), 101, 11, by="parts")
    tuned = ct.Tuned(ct.NMF(2, 1), n_trials=2, n_folds=2).fit(table)
    assert ct.explain(tuned, 101, 11, by="parts")["contribution"].sum() == pytest.approx(tuned.predict(101, 11)[0])


# ---- Errors ----


def test_slopes_that_can_be_followed_by_hand():
    nobody, other = np.zeros((1, 3)), np.array([[1.0], [2.0], [0.0]])
    for x, left, slope in [(0.5, nobody, 1.5), (0.0, nobody, 0.0), (0.0, nobody + 1, 6.0), (0.0, nobody - 1, 0.0)]:
        assert steepest(left, 1.5, 0.0, other, np.array([[x]])) == pytest.approx(slope)  # 2 (1.5 x - left . other)
    assert steepest(nobody + 1, 1.5, 0.5, other, np.zeros((1, 1)), np.array([-8.0])) == pytest.approx(14)


def test_parts_are_averaged_over_who_has_rated():
    P = np.array([[2.0, 0.0], [9.0, 9.0], [4.0, 1.0]])
    assert mean_parts(P, np.array([True, False, True])).tolist() == [3, 0.5]


def test_factors_of_which_the_tables_would_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 9 * 5 * 5 - 1)
    table = sp.csr_array(np.ones((2, 3)))
    with pytest.raises(MemoryError, match="a ridge regression on n_factors=5"):
        nonnegative_rows(table, np.zeros(3), (np.ones((3, 5)),), np.ones(5), np.zeros((2, 5)), n_sweeps=1)


def test_a_start_at_zero_is_none_below(four):
    check_nonnegative("init", np.array([[0.0, 1.0]]), np.array([[2.0]]))
    with pytest.raises(ValueError, match="init must have no entry below 0, got -3"):
        check_nonnegative("init", np.array([[5.0]]), np.array([[-1.0, -3.0]]))


def test_a_start_below_zero_is_refused(four):
    below = np.array([[0.5], [-0.1]])
    with pytest.raises(ValueError, match=r"init must have no entry below 0, got -0\.1"):
        ct.NMF(1, init=(np.ones((2, 1)), below)).fit(four)


@pytest.mark.parametrize(
    ("model", "unit"),
    [
        (ct.NMF(2, biases=False), 1e110),
        (ct.NMF(2), 1e160),
        (ct.NMF(2, biases=False), 1e160),
        (ct.NMF(2, init=(np.full((2, 2), 1e200), np.full((2, 2), 1e200))), 1.0),
        (ct.NMF(4, reg=1e-320), 1.0),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_fit_that_is_not_finite_is_an_error_and_no_model(model, unit):
    ratings = ct.Ratings([0, 1], [0, 1], [0, 0, 1], [0, 1, 0], np.array([1, 2, 1]) * unit, (0.0, 10 * unit))
    with pytest.raises(
        ValueError, match=r"of reg=.* are singular in floating point; raise reg, or divide ratings, or an"
    ):
        model.fit(ratings)
    assert not hasattr(model, "item_factors_")


@pytest.mark.parametrize("reg", [1e-200, 1e-310])
@BOTH
def test_a_penalty_too_small_for_a_certificate_is_named(model, reg, table):
    fitted = clone(model).set_params(reg=reg, n_epochs=5, tol=0).fit(table)
    with pytest.raises(ValueError, match="the steps of the splitting, ratings / reg, overflow; raise reg"):
        fitted.certificate()
    with pytest.raises(ValueError, match="overflow; raise reg"):
        ct.SpectralRegularization(reg=1e-320).fit(table)


def test_without_viewers_parts_have_nobody_to_average_over(table, tmp_path):
    model = ct.NMF(2, 1).fit(table)
    model.save(tmp_path / "titles.npz", with_ratings=False)
    loaded = ct.load_model(tmp_path / "titles.npz")
    with pytest.raises(ValueError, match="viewers"):
        loaded.titles_of_parts()
    told = {11: 9, 14: 2}
    assert ct.explain(loaded, loaded.fold_in(told), 12, by="parts").equals(
        ct.explain(model, model.fold_in(told), 12, by="parts")
    )


def test_rounding_leads_no_number_below_0():
    """Ratings of a millionth and a penalty of a million: what is left of the factors is rounding."""
    rng = np.random.default_rng(0)
    for seed in range(60):
        rows, cols = np.nonzero(rng.random((5, 9)) < 0.9)
        values = rng.integers(0, 9, len(rows)) * 1.25e-7
        ratings = ct.Ratings(np.arange(5), np.arange(9), rows, cols, values, scale=(0.0, 1e-6))
        model = ct.NMF(3, reg=1e6, n_epochs=1, tol=0, random_state=seed).fit(ratings)
        assert min(model.user_factors_.min(), model.item_factors_.min()) >= 0
