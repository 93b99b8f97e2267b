"""The best titles of many viewers at a time: exactly those of a slow twin, and of nobody beside them in the block."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import MODELS, RANKERS, about, random_table
from sklearn.base import clone

import content_table as ct
from content_table_parts import lists


def twin(model, n, also_seen=None, works=None, rows=None):
    """Row by row: all scores rounded, what may not be listed left out, sorted; ties by position."""
    ratings = model.ratings_
    rows = np.arange(ratings.n_users) if rows is None else rows
    best = np.full((len(rows), n), -1)
    every = np.arange(ratings.n_items)
    for top, row in zip(best, rows, strict=True):
        seen = ratings.csr[[row]].indices
        if also_seen is not None:
            seen = np.concatenate([seen, also_seen.csr[[row]].indices])
        left = ~np.isin(every, seen) if works is None else ratings.seasons(works).next(seen)
        by_factors = model._by_factors() is not None  # then to the digits of `predict_cells`
        scores = model.predict_cells(np.full(len(every), row), every) if by_factors else model.predict_rows([row])[0]
        scores = np.where(left, np.round(scores, ct.TIE), np.nan)
        order = np.argsort(-scores, kind="stable")
        order = order[np.isfinite(scores[order])][:n]
        top[: len(order)] = order
    return best


def some_works(n_items, seed=0):
    return np.random.default_rng(seed).integers(0, max(1, n_items // 2), n_items)


@pytest.fixture(params=MODELS | RANKERS)
def any_model(request):
    return clone((MODELS | RANKERS)[request.param])


@pytest.mark.parametrize("part", ["table", "with_cold"])
def test_lists_are_those_of_the_slow_twin(any_model, part, request):
    ratings = request.getfixturevalue(part)
    model = any_model.fit(ratings)
    rows = np.arange(ratings.n_users)
    for n in (1, 2, 3, 5, 7):
        assert np.array_equal(model.top_items(rows, n), twin(model, n))
        assert np.array_equal(model.top_items(rows, n, None, some_works(5)), twin(model, n, None, some_works(5)))


SAMPLE_MODELS = {
    "spectral": ct.SpectralRegularization(reg=8, biases=True, tol=1e-3),
    "ALS of nine factors": ct.ALS(9, 5, biases=True),
    "implicit ALS": ct.ImplicitALS(3, 1, tol=0.01),
}
SAMPLE_MODELS |= {name: RANKERS[name] for name in ("popularity", "EASE", "graph filter", "BPR", "deep", "MultVAE")}
SAMPLE_MODELS["hybrid"] = RANKERS["hybrid"]
for name in ("global mean", "baseline", "item neighbours", "ALS", "SGD", "content", "content only", "blend"):
    SAMPLE_MODELS[name] = MODELS[name]


@pytest.fixture(scope="module", params=SAMPLE_MODELS)
def on_sample(request, sample):
    """Fitted to the sample without the ratings of three viewers and of two titles."""
    train = sample.part((sample.rows % 48 != 9) & (sample.cols % 80 != 3))
    return about(clone(SAMPLE_MODELS[request.param]), train).fit(train)


def test_lists_of_the_sample_are_those_of_the_slow_twin(on_sample, sample):
    rows, works = np.arange(sample.n_users), sample.series
    some, seen = rows[::3], sample.part(slice(0, None, 3))
    longest = sample.n_items + 9
    plain, by_seasons = twin(on_sample, longest, None, None, some), twin(on_sample, longest, seen, works, some)
    for n in (1, 10, 40, sample.n_items, longest):  # a shorter list is the beginning of a longer one
        assert np.array_equal(on_sample.top_items(rows, n)[::3], plain[:, :n])
        assert np.array_equal(on_sample.top_items(some, n, seen, works), by_seasons[:, :n])


@pytest.mark.parametrize("cells", [1, 1000])
@pytest.mark.parametrize("long", [1, 10**9])
def test_neither_blocks_nor_a_look_ahead_show_in_the_lists(on_sample, sample, monkeypatch, cells, long):
    rows, works = np.arange(sample.n_users), sample.series
    whole = {n: (on_sample.top_items(rows, n), on_sample.top_items(rows, n, None, works)) for n in (1, 10, 130)}
    monkeypatch.setattr(lists, "CELLS", cells)
    monkeypatch.setattr(lists, "LONG", long)
    shuffled = np.random.default_rng(0).permutation(rows)
    for n, (plain, by_seasons) in whole.items():
        assert np.array_equal(on_sample.top_items(shuffled, n), plain[shuffled])
        assert np.array_equal(on_sample.top_items(shuffled, n, None, works), by_seasons[shuffled])


def test_one_list_is_that_of_all(on_sample, sample):
    rows = np.arange(sample.n_users)
    for options in ({}, {"one_per_work": False}, {"clip": True}):
        together = on_sample.recommend_all(10, **options).groupby("user_id")
        for user in sample.user_ids[::9]:
            alone = on_sample.recommend(user, 10, **options)
            part = together.get_group(user).drop(columns="user_id").reset_index(drop=True)
            assert part["item_id"].tolist() == alone["item_id"].tolist()
            assert on_sample.score_name in alone
            for name in {"predicted_rating", on_sample.score_name} & set(alone):
                np.testing.assert_allclose(part[name], alone[name], rtol=0, atol=1e-12)
    best = on_sample.top_items(rows, 3)
    user, left_out = sample.user_ids[5], sample.item_ids[best[5, 0]]
    alone = on_sample.recommend(user, 2, one_per_work=False, exclude=[left_out])
    assert alone["item_id"].tolist() == sample.item_ids[best[5, 1:]].tolist()


def factors(ratings, P, Q, biases=True, intercept=7.0, kind=ct.ALS):
    """A model of these factors, of normal biases, and of these ratings."""
    rng = np.random.default_rng(1)
    model = kind(n_factors=P.shape[1], biases=biases) if kind is ct.ALS else kind(n_factors=P.shape[1])
    model.ratings_, model.global_mean_, model.history_ = ratings, intercept, []
    model.user_bias_, model.item_bias_ = (rng.normal(0, 0.5 * biases, side) for side in ratings.shape)
    model.user_factors_, model.item_factors_ = P, Q
    return model


@pytest.fixture(scope="module")
def wide():
    """60 viewers and 900 titles, some without a rating, with 12 factors."""
    rng = np.random.default_rng(3)
    rows, cols = np.nonzero(rng.random((60, 900)) < 0.02)
    kept = (rows % 20 != 4) & (cols % 30 != 5)
    values = rng.integers(1, 11, int(kept.sum()))
    ratings = ct.Ratings(np.arange(60), np.arange(900), rows[kept], cols[kept], values)
    return ratings, rng.normal(size=(60, 12)), rng.normal(size=(900, 12))


@pytest.mark.parametrize("kind", [ct.ALS, ct.ImplicitALS])
@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("scale", [0.0, 1e-25, 1e-9, 1e-3, 1.0, 1e4, 1e9, 1e20, 1e80, 1e150, 1e290])
def test_factors_of_every_size(wide, scale, biases, kind):
    """From all equal, over steps that single precision does not see, to what it cannot hold."""
    ratings, P, Q = wide
    model = factors(ratings, P * scale, Q, biases, kind=kind)
    assert model._by_factors() is not None
    for n in (1, 10, 250, 900):
        with np.errstate(over="ignore"):  # of the twin, in np.round: what overflows there is in no list
            assert np.array_equal(model.top_items(np.arange(60), n), twin(model, n))


def test_titles_closer_than_single_precision_can_tell(wide, monkeypatch):
    """Scores a few units of TIE apart, far below the rounding of the screen; many tie, and go by position."""
    ratings, P, Q = wide
    rng = np.random.default_rng(4)
    near = np.tile(Q[0], (900, 1)) + rng.integers(-9, 10, (900, 1)) * 1e-9 * np.eye(12)[0]
    model = factors(ratings, 50 + P, near)
    model.item_bias_[:] = 0.0
    for long in (lists.LONG, 1):
        monkeypatch.setattr(lists, "LONG", long)
        for n in (1, 7, 300):
            best = model.top_items(np.arange(60), n)
            assert np.array_equal(best, twin(model, n))
    scores = model.predict_rows(np.array([0]))[0]
    assert len(np.unique(scores.astype(np.float32))) < 10 < len(np.unique(np.round(scores, ct.TIE)))


@pytest.mark.parametrize("intercept", [0.0, 1e7, 1e12])
def test_scores_far_from_0_tie_where_their_digits_end(wide, intercept, monkeypatch):
    """Of 10^12 the next number is 0.0001 away: what the screen can tell apart there ties, and goes by position."""
    ratings, P, Q = wide
    model = factors(ratings, 1e-4 * P, Q, biases=False, intercept=intercept)
    for long in (lists.LONG, 1):
        monkeypatch.setattr(lists, "LONG", long)
        for n in (1, 7, 300):
            assert np.array_equal(model.top_items(np.arange(60), n), twin(model, n))


def test_the_slack_is_above_the_error_of_the_screen(wide):
    ratings, P, Q = wide
    for scale in (1e-6, 1.0, 1e5):
        model = factors(ratings, P * scale, Q, biases=False)
        screen, _, shift, slack = model._block_of_scores()(np.arange(60))
        warm = ratings.user_counts > 0
        errors = np.abs(screen + shift[:, None] - model.predict_rows(np.arange(60)))[warm]
        assert np.array_equal(np.isfinite(slack), warm)
        assert (2 * errors.max(axis=1) < slack[warm]).all()
        assert (slack[warm] < 1e-4 * (1e-4 + np.abs(screen[warm]).max(axis=1))).all()  # and still tells titles apart


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_in_no_list(wide, fault):
    ratings, P, Q = wide
    P, Q = P.copy(), Q.copy()
    P[3, 2] = Q[11, 0] = Q[12, 5] = fault
    model = factors(ratings, P, Q)
    with np.errstate(invalid="ignore"):
        best = model.top_items(np.arange(60), 950)
        assert np.array_equal(best, twin(model, 950))
    assert not np.isin([11, 12], best[0]).any()
    assert (best[3] >= 0).sum() <= (ratings.item_counts == 0).sum()  # only what has no factors


@pytest.mark.parametrize("long", [1, 10**9])
def test_scores_of_rows_that_are_not_finite(wide, monkeypatch, long):
    monkeypatch.setattr(lists, "LONG", long)
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(60, 900))
    scores[rng.random(scores.shape) < 0.1] = np.nan
    scores[rng.random(scores.shape) < 0.1] = np.inf
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    scores[7], scores[8] = np.nan, 1e300  # rounded to TIE decimals by np.round it is infinite
    nobody = sp.csr_array((60, 900))
    best = lists.best_lists(lists.rows_as_they_are(lambda rows: scores[rows]), np.arange(60), nobody, None, 20)
    for row, found in zip(scores, best, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            expected = ct.best_positions(row, 20)
        assert found[found >= 0].tolist() == expected.tolist()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_scores_of_rows_in_any_form(order, dtype):
    scores = np.asarray(np.random.default_rng(6).integers(0, 5, (9, 70)), dtype=dtype, order=order)
    block = lists.rows_as_they_are(lambda rows: scores[rows])
    best = lists.best_lists(block, np.arange(9), sp.csr_array((9, 70)), None, 12)
    assert np.array_equal(best, np.argsort(-scores, axis=1, kind="stable")[:, :12])


def test_next_seasons_are_those_of_one_viewer_at_a_time():
    rng = np.random.default_rng(8)
    for turn in range(20):
        n_items = int(rng.integers(1, 60))
        parts = np.where(rng.random(n_items) < 0.2, "Movie", np.arange(n_items).astype(str))
        titles = [f"{name} {part}" for name, part in zip(rng.choice([*"abcde"], n_items), parts, strict=True)]
        known = rng.random((12, n_items)) < rng.random()
        known[0, 0] = True
        rows, cols = np.nonzero(known)
        ratings = ct.Ratings(np.arange(12), np.arange(n_items), rows, cols, np.full(len(rows), 5.0), titles=titles)
        model, works = ct.GlobalMean().fit(ratings), some_works(n_items, turn) if turn % 2 else ratings.series
        assert np.array_equal(model.top_items(np.arange(12), n_items, None, works), twin(model, n_items, None, works))


class Shifted(ct.ALS):
    """Says another thing of pairs than the model below it, and nothing of how it is made."""

    def _scores(self, rows, cols):
        return super()._scores(rows, cols) - 3.0 * cols

    def _row_scores(self, rows):
        return super()._row_scores(rows) - 3.0 * np.arange(self.ratings_.n_items)


class Knowing(ct.ALS):
    """Knows everybody."""

    def _known(self, rows, cols):
        return np.ones(np.broadcast_shapes(rows.shape, cols.shape), dtype=bool)


class Otherwise(Shifted, Knowing):
    """Says all of it itself, but how it is made."""

    def _fallback(self, rows, cols):
        return np.broadcast_to(-1.0 * cols, np.broadcast_shapes(rows.shape, cols.shape))

    def predict_cells(self, rows, cols, return_fallback=False):
        return super().predict_cells(rows, cols, return_fallback)

    def predict_rows(self, rows):
        return super().predict_rows(rows)


@pytest.mark.parametrize("kind", [Shifted, Knowing, Otherwise])
def test_a_model_that_predicts_otherwise_is_not_taken_for_its_factors(with_cold, kind):
    model = kind(2, 1).fit(with_cold)
    assert model._by_factors() is None
    rows = np.arange(with_cold.n_users)
    assert np.array_equal(model.top_items(rows, 4), twin(model, 4))
    assert np.array_equal(model._row(5), model.predict_rows([5])[0])


def test_what_says_its_factors_adds_them_up(any_model, with_cold):
    model = any_model.fit(with_cold)
    if model._by_factors() is None:
        assert not isinstance(model, ct.FactorModel) or isinstance(model, (ct.ContentMF, ct.BayesianFM))
        return
    intercept, P, Q = model._by_factors()
    rows, cols = np.divmod(np.arange(with_cold.n_users * with_cold.n_items), with_cold.n_items)
    added = intercept + model.user_bias_[rows] + model.item_bias_[cols] + ct.pair_dots(P.copy(), Q.copy(), rows, cols)
    known = model._known(rows, cols)
    assert np.array_equal(model.predict_cells(rows, cols)[known], added[known])
    assert known.any()
    assert not known.all()


def test_a_viewer_sees_the_digits_of_predict(on_sample, sample):
    if on_sample._by_factors() is not None:
        user = sample.user_ids[3]
        assert np.array_equal(on_sample.viewer(user).scores, on_sample.predict(user, sample.item_ids))


def test_titles_alike_stand_by_position_in_every_list():
    """Twins have equal scores to the last digit, so none stands before the other because of a product's rounding."""
    ratings = random_table(0, shape=(40, 16))
    rng = np.random.default_rng(2)
    P, Q = rng.normal(size=(40, 31)), np.repeat(rng.normal(size=(8, 31)), 2, axis=0)
    model = factors(ratings, P, Q, biases=False)
    best = model.top_items(np.arange(40), 16)
    for row, one in enumerate(best):
        at = {item: rank for rank, item in enumerate(one.tolist())}
        pairs = [(2 * twin, 2 * twin + 1) for twin in range(8) if 2 * twin in at and 2 * twin + 1 in at]
        assert pairs or ratings.user_counts[row] > 4
        assert all(at[second] == at[first] + 1 for first, second in pairs)
