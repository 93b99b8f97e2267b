"""Ridge regressions for many rows: the fast loop against the readable one, to the bit."""

import itertools
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import content_table as ct
from content_table_parts import regressions, solvers

RNG = np.random.default_rng(11)
WAYS = [ct.ALS(5), ct.ALS(5, biases=True), ct.ImplicitALS(5)]
WAYS += [clone(model).set_params(weighted_reg=True) for model in WAYS]


def table(m, n, share=0.3):
    """A CSR table with rows of all lengths, an empty one first."""
    A = sp.random_array((m, n), density=share, format="lil", rng=np.random.default_rng(m))
    A[0] = 0.0
    return sp.csr_array(A)


def readable(A, weights, values, other, base):
    """What `solve_rows`, the loop to be read, says."""
    out = np.empty((A.shape[0], other.shape[1]))
    ct.solve_rows(A.indptr, A.indices, weights, values, other, base, out)
    return out


@pytest.mark.parametrize("k", [1, 3, 4, 7, 16, 33])
@pytest.mark.parametrize("m", [1, 5, 31, 32, 33, 100])
def test_many_rows_at_a_time_are_the_readable_loop_to_the_bit(m, k):
    A, other = table(m, 50), RNG.normal(size=(50, k))
    base = other.T @ other + np.diag(RNG.uniform(1, 2, k))
    offset, arrays = RNG.normal(size=50), (A.indptr, A.indices, A.data, other, base)
    for shift in (None, offset):
        values = A.data if shift is None else A.data - offset[A.indices]
        slow = readable(A, np.ones(A.nnz), values, other, base)
        assert np.array_equal(regressions.solve_all_rows(*arrays, shift), slow)
    extra = 1.7 * A.data
    slow = readable(A, extra, 1 + extra, other, base)
    assert np.array_equal(regressions.solve_all_rows(*arrays, confidence=1.7), slow)


@pytest.mark.parametrize("k", [1, 4, 7, 16])
def test_a_penalty_for_each_rating_is_a_base_of_its_own_for_each_row(k):
    A, other = table(70, 50), RNG.normal(size=(50, k))
    base, per_rating = np.diag(RNG.uniform(1, 2, k)), RNG.uniform(0, 1, k)
    fast = regressions.solve_all_rows(A.indptr, A.indices, A.data, other, base, per_rating=per_rating)
    for u, n_ratings in enumerate(np.diff(A.indptr)):
        own, row = base + np.diag(max(n_ratings, 1) * per_rating), A[[u]]
        assert np.array_equal(fast[[u]], readable(row, np.ones(row.nnz), row.data, other, own))
    arrays = A.indptr, A.indices, A.data, other, base
    assert np.array_equal(regressions.solve_all_rows(*arrays, n_jobs=3, per_rating=per_rating), fast)
    assert np.array_equal(
        regressions.solve_all_rows(*arrays), regressions.solve_all_rows(*arrays, per_rating=0 * other[0])
    )


@pytest.mark.parametrize("n_jobs", [2, 3, 50, -1])
def test_threads_do_not_change_a_bit(n_jobs):
    A, other = table(90, 40), RNG.normal(size=(40, 6))
    alone = regressions.solve_all_rows(A.indptr, A.indices, A.data, other, np.eye(6))
    arrays = A.indptr, A.indices, A.data, other, np.eye(6)
    assert np.array_equal(regressions.solve_all_rows(*arrays, n_jobs=n_jobs), alone)


def shared(lengths, n_jobs):
    """The ranges of rows that are worked on, in order, and whether in the thread that asks."""
    indptr, found, here = np.append(0, np.cumsum(lengths)), [], threading.get_ident()
    regressions.by_threads(lambda *rows: found.append((*map(int, rows), threading.get_ident() == here)), indptr, n_jobs)
    return sorted(found)


@pytest.mark.parametrize("n_jobs", [2, 3, 7])
def test_threads_share_all_rows_and_about_as_many_ratings_each(n_jobs):
    rng = np.random.default_rng(0)
    for busy in (slice(None), slice(0, 60), slice(200, 260)):  # without ratings at one end, too
        lengths = np.zeros(300, int)
        lengths[busy] = rng.integers(0, 9, len(lengths[busy]))
        found = shared(lengths, n_jobs)
        assert np.concatenate([np.arange(first, last) for first, last, _ in found]).tolist() == list(range(300))
        assert len(found) == n_jobs
        for first, last, own in found:
            assert lengths[first:last].sum() == pytest.approx(lengths.sum() / n_jobs, abs=9)
            assert not own


def test_few_rows_are_worked_on_by_who_asks_and_others_join_from_32_rows_on():
    for rows, n_jobs, threads in [(31, 9, 1), (32, 9, 2), (63, 9, 2), (64, 9, 3), (300, 1, 1), (0, 4, 1)]:
        found = shared(np.ones(rows, int), n_jobs)
        assert len(found) == threads
        assert (found[0][0], found[-1][1]) == (0, rows)
        assert all(own == (threads == 1) for _, _, own in found)


def test_scores_of_known_cells_are_those_of_the_formula():
    A = table(40, 9)
    b_user, b_item, P, Q = RNG.normal(size=40), RNG.normal(size=9), RNG.normal(size=(40, 5)), RNG.normal(size=(9, 5))
    rows, cols = np.repeat(np.arange(40), np.diff(A.indptr)), A.indices
    expected = 3.0 + b_user[rows] + b_item[cols] + (P[rows] * Q[cols]).sum(axis=1)
    for n_jobs in ({}, {"n_jobs": 2}):
        assert regressions.row_scores(A, 3.0, b_user, b_item, P, Q, **n_jobs) == pytest.approx(expected, abs=1e-12)


# ---- Left out, without a penalty, and refused ----


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]])
def test_errors_of_ratings_left_out_are_those_of_the_inverse(order):
    """Rows of 0, 1, 3 and 8 ratings: the longest first, last or between."""
    rng, k = np.random.default_rng(4), 3
    Z, penalty = rng.normal(size=(10, k)), np.array([0.5, 2.0, 0.1])
    lengths = np.array([0, 1, 3, 8])[order]
    indptr, indices = np.append(0, np.cumsum(lengths)), np.concatenate([rng.permutation(10)[:n] for n in lengths])
    targets, total = rng.normal(size=12), 0.0
    for first, last in itertools.pairwise(indptr):
        own, t = Z[indices[first:last]], targets[first:last]
        hat = own @ np.linalg.inv(own.T @ own + np.diag(penalty)) @ own.T
        total += ((t - hat @ t) ** 2 / (1 - np.diag(hat))).sum()
    arrays = indptr, indices.astype(np.int32), targets, Z, penalty
    assert regressions.left_out_squares(*arrays) == pytest.approx(total, rel=1e-12)


def test_without_rows_nothing_is_left_out():
    assert (
        regressions.left_out_squares(np.zeros(1, int), np.zeros(0, np.int32), np.zeros(0), np.ones((4, 3)), np.ones(3))
        == 0
    )


def test_a_rating_that_its_own_regression_follows_counts_a_little():
    one = np.array([0, 1]), np.zeros(1, np.int32), np.array([5.0]), np.array([[1e9]]), np.ones(1)
    assert 0 <= regressions.left_out_squares(*one) < 1e-9  # leverage 1: rounding over LEAST_LEFT, not over 0


def test_without_a_penalty_rows_are_least_squares_of_least_norm():
    A, other = table(12, 9, 0.4), RNG.normal(size=(9, 4))
    rows = ct.ridge_rows(A, other)
    for u in range(12):
        known = A[[u]].indices
        assert rows[u] == pytest.approx(np.linalg.pinv(other[known]) @ A[[u]].data, abs=1e-9)
    assert (rows[0] == 0).all()
    assert ct.ridge_rows(A, other, [0, 0, 0, 0]) == pytest.approx(rows, abs=1e-12)


@pytest.mark.parametrize(
    ("penalty", "per_rating"),
    [([0.0, 1.0, 2.0], None), ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]), ([0.0, 0.0, 0.0], [1, 2, 0])],
)
def test_some_penalties_may_be_0_and_those_of_the_ratings_come_to_them(penalty, per_rating):
    A, other = table(30, 20, 0.6), RNG.normal(size=(20, 3))
    A, per = A[np.diff(A.indptr) > 4], None if per_rating is None else np.array(per_rating, float)
    rows = regressions.regress_rows(A, other, np.array(penalty), per_rating=per)
    for u, n_ratings in enumerate(np.diff(A.indptr)):
        own, weights = other[A[[u]].indices], np.array(penalty) + (0 if per is None else n_ratings * per)
        expected = np.linalg.solve(own.T @ own + np.diag(weights), own.T @ A[[u]].data)
        assert rows[u] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6)])
def test_one_regression_is_the_same_by_both_gram_matrices(shape):
    X, target = table(*shape, 0.6), RNG.normal(size=shape[0])
    expected = np.linalg.solve((X.T @ X).toarray() + 0.7 * np.eye(shape[1]), X.T @ target)
    assert regressions.ridge(X, target, 0.7) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", [(5, 12), (12, 5)])
def test_a_regression_of_almost_no_penalty_is_that_of_least_norm(shape):
    """By the larger Gram matrix, which is singular but for the penalty, it would keep three digits."""
    rng = np.random.default_rng(0)
    X, target = rng.normal(size=shape), rng.normal(size=shape[0])
    expected = np.linalg.lstsq(X, target, rcond=None)[0]
    assert regressions.ridge(sp.csr_array(X), target, 1e-12) == pytest.approx(expected, abs=1e-9)


def test_a_regression_without_a_finite_solution_is_an_error():
    huge = sp.csr_array([[1e300, 0.0], [1.0, 1.0]])
    with pytest.raises(ValueError, match=r"ridge regressions of reg=0\.5 are singular .*; raise reg, or"):
        ct.ridge_rows(huge, np.array([[1e20], [1.0]]), 0.5)
    with pytest.raises(ValueError, match=r"of reg=2 are singular .*; raise reg or wait, or"):
        regressions.check_solution(np.array([1.0, np.nan]), np.array([3.0, 2.0]), " or wait")
    regressions.check_solution(np.ones(2), 1.0)


@pytest.mark.parametrize("reg", [[1, 0], [0, 1]])
def test_a_penalty_is_above_0_for_all_factors_or_0_for_all(reg):
    with pytest.raises(ValueError, match="reg must be above 0, or 0 for all factors"):
        ct.ridge_rows(table(3, 4), np.ones((4, 2)), reg)


def test_factors_of_another_side_are_told():
    with pytest.raises(ValueError, match=r"`other` must have one row of factors for each of the table's 4 columns"):
        ct.ridge_rows(table(3, 4), np.ones((3, 2)), 1.0)


def test_factors_are_as_many_as_a_vector_of_their_tables_fits(monkeypatch):
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * (1 + 8) * 4 * 4)  # one table, and eight rows' side by side
    regressions.check_room(4)
    with pytest.raises(MemoryError, match="a ridge regression on n_factors=5"):
        regressions.check_room(5)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * (1 + 8) * 4 * 4 - 1)
    with pytest.raises(MemoryError, match="a ridge regression on n_factors=4"):
        regressions.check_room(4)


def test_a_table_without_rows_or_ratings_has_no_answers_or_zeros():
    other = RNG.normal(size=(4, 3))
    none = regressions.solve_all_rows(np.zeros(1, int), np.zeros(0, int), np.zeros(0), other, np.eye(3))
    assert none.shape == (0, 3)
    empty = sp.csr_array((70, 4))
    assert (ct.ridge_rows(empty, other, 2.0) == 0).all()
    arrays = empty.indptr, empty.indices, empty.data, other, np.eye(3)
    assert (regressions.solve_all_rows(*arrays, n_jobs=2) == 0).all()


def test_half_the_digits_are_told_apart_from_all_of_them():
    A, other = table(80, 40), RNG.normal(size=(40, 5))
    arrays = A.indptr, A.indices, A.data, other, np.eye(5)
    double, single = (regressions.solve_all_rows(*arrays, dtype=dtype) for dtype in ("float64", "float32"))
    assert single.dtype == np.float64
    assert single == pytest.approx(double, rel=1e-3, abs=1e-5)
    assert not np.array_equal(single, double)


@pytest.mark.parametrize("model", WAYS, ids=repr)
def test_settings_of_the_arithmetic_change_digits_or_nothing(model, sample):
    def fitted(**settings):
        return clone(model).set_params(**settings).fit(sample)

    plain, threads, single = fitted(), fitted(n_jobs=2), fitted(dtype="float32")
    assert np.array_equal(plain.user_factors_, threads.user_factors_)
    assert np.array_equal(plain.item_factors_, threads.item_factors_)
    assert single.user_factors_.dtype == np.float64
    assert not np.array_equal(plain.user_factors_, single.user_factors_)
    assert single.history_[-1]["objective"] == pytest.approx(plain.history_[-1]["objective"], rel=5e-3)


@pytest.mark.parametrize(
    ("settings", "said"), [({"dtype": "float16"}, "dtype"), ({"n_jobs": 0}, "n_jobs"), ({"n_jobs": 1.5}, "n_jobs")]
)
def test_settings_of_the_arithmetic_are_checked(settings, said, sample):
    with pytest.raises((ValueError, TypeError), match=said):
        ct.ALS(2, **settings).fit(sample)
