"""Ridge regressions for many rows: the fast loop against the readable one, to the bit."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import content_table as ct
from content_table_parts import regressions

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
