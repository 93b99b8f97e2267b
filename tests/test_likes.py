"""What counts as liked: one meaning for all models of lists; binary positives; and BPR, by hand, by differences, on
planted tribes."""

import contextlib
import copy
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import TYPED, press_ctrl_c, random_table
from sklearn.base import clone

import content_table as ct
from content_table_parts import autoencoders, files
from content_table_parts.interrupts import OutOfTime, in_time
from content_table_parts.pairwise import bpr_pass, bpr_row, doubt, other_title

NO = np.nan
MODELS = {
    "EASE": ct.EASE(2),
    "EASE, graded": ct.EASE(2, binary=False),
    "graph filter": ct.GraphFilter(3, 2, binary=True),
    "graph filter, graded": ct.GraphFilter(),
    "implicit ALS": ct.ImplicitALS(2, reg=1),
    "implicit ALS, binary": ct.ImplicitALS(2, reg=1, binary=True),
    "BPR": ct.BPR(2, n_epochs=10),
    "deep": ct.DeepMF(2, (4, 3), n_epochs=10, batch_size=4),
    "MultVAE": ct.MultVAE(2, 3, n_epochs=10),
    "MultDAE, binary": ct.MultVAE(2, 3, n_epochs=10, variational=False, binary=True),
}
LIKED = {"liked": 0.7}  # of 1 to 10: 7.3, so 8 and better


@pytest.fixture(params=MODELS)
def lister(request):
    return clone(MODELS[request.param])


def told(ratings, row):
    own = ratings.csr[[row]]
    return dict(zip(ratings.item_ids[own.indices].tolist(), own.data.tolist(), strict=True))


def without_the_rest(ratings, edge):
    return ratings.part(ratings.values >= edge)


# ---- Liked ----


@pytest.mark.parametrize("nothing", [None, 0, 0.0])
def test_without_a_threshold_every_rating_counts(lister, nothing, table):
    same = clone(lister).set_params(liked=nothing).fit(table)
    assert np.array_equal(lister.fit(table).complete(), same.complete())
    assert lister.in_use("liked") == 0.0


def test_a_threshold_that_is_set_is_the_one_in_use(lister):
    assert lister.set_params(**LIKED).in_use("liked") == 0.7
    assert all(lister.in_use(name) == getattr(lister, name) for name in lister.get_params() if name != "reg")


def test_what_is_not_liked_is_as_if_it_were_not_rated(lister, table):
    model = clone(lister).set_params(**LIKED).fit(table)
    assert not np.allclose(model.complete(), lister.fit(table).complete())
    alone = clone(lister).fit(without_the_rest(table, 8))
    if isinstance(lister, ct.EASE):
        assert np.array_equal(model.item_weights_, alone.item_weights_)
    elif isinstance(lister, ct.GraphFilter):
        assert model.complete() == pytest.approx(alone.complete(), abs=1e-14)
    else:
        assert np.array_equal(model.user_factors_, alone.user_factors_)


@pytest.mark.parametrize(("share", "edge"), [(0.75, 4), (7 / 9, 4), (1.0, 5), (0.1, 1), (0.0, 0.5)])
def test_the_share_is_one_of_the_scale(share, edge):
    values = np.arange(0.5, 5.5, 0.5)
    ratings = ct.Ratings(range(10), [1, 2], range(10), [0] * 10, values, scale=(0.5, 5.0))
    S = ct.EASE(liked=share).fit(ratings)._likes(ratings.csr)
    assert np.array_equal(np.flatnonzero(np.diff(S.indptr)), np.flatnonzero(values >= edge))


def test_hybrid_and_the_others_mean_the_same(sample):
    hybrid = ct.Hybrid(ct.BiasBaseline(), liked=0.6, reg=30).fit(sample)
    assert np.array_equal(hybrid.item_weights_, ct.EASE(30, liked=0.6).fit(sample).item_weights_)


def test_an_own_list_says_what_is_liked(lister, table):
    """Newcomers: a rating below counts for nothing, the others for what they count in training."""
    model = clone(lister).set_params(**LIKED).fit(table)
    both, liked = model.fold_in({11: 9, 12: 3, 15: 10}), model.fold_in({11: 9, 15: 10})
    assert both.scores == pytest.approx(liked.scores, abs=1e-12)
    assert not np.allclose(both.scores, model.fold_in({11: 9}).scores)
    reasons = ct.explain(model, both, 13).set_index("reason")["contribution"]
    assert reasons["Bear"] == 0
    assert reasons["Apple"] != 0
    assert reasons.sum() == pytest.approx(both.predict(13)[0], abs=1e-9)


def test_the_order_in_which_a_newcomer_tells_does_not_matter(lister, table):
    model = lister.fit(table)
    one, other = model.fold_in({11: 9, 12: 3, 15: 10}), model.fold_in({15: 10, 11: 9, 12: 3})
    assert one.scores == pytest.approx(other.scores, abs=1e-12)


def test_who_likes_nothing_has_no_preference_or_gets_what_everybody_likes(lister, table):
    table = table.part((table.rows != 3) | (table.values < 8))  # viewer 104 keeps 2, 4, 3 and 1
    model = clone(lister).set_params(**LIKED).fit(table)
    expected = model.item_bias_ if isinstance(model, (ct.BPR, ct.DeepMF, ct.MultVAE)) else np.zeros(5)
    for scores in (model.predict(104, table.item_ids), model.fold_in({11: 2, 12: 4}).scores, model.fold_in({}).scores):
        assert scores == pytest.approx(expected, abs=1e-12)
    listed = model.fold_in({}).recommend(5)["item_id"].tolist()
    assert listed == table.item_ids[np.argsort(-expected, kind="stable")].tolist()


def test_where_nobody_likes_anything_there_is_nothing_to_learn(lister, table):
    with pytest.raises(ValueError, match=r"nobody likes anything: liked=1 .*highest is 9; lower liked"):
        clone(lister).set_params(liked=1.0).fit(table.part(table.values < 10))


def test_new_ratings_are_liked_by_the_same_rule(lister, table):
    model = clone(lister).set_params(**LIKED).fit(table)
    low, high = (ct.Ratings([101], table.item_ids, [0], [2], [value], table.scale) for value in (2.0, 10.0))
    before = model.predict(101, table.item_ids)
    assert model.update(high).predict(101, [11, 12, 14]) != pytest.approx(before[[0, 1, 3]], abs=1e-6)
    if not isinstance(model, ct.ImplicitALS):  # there title 13 is solved again by all who rated it
        again = model.update(low).predict(101, table.item_ids)
        same = model.fold_in(told(table, 0)).scores
        assert again == pytest.approx(same, abs=1e-9)


def test_a_certificate_is_of_who_liked_what(table):
    model = ct.EASE(2, **LIKED).fit(table)
    assert abs(model.certificate().relative_gap) < 1e-12
    assert model.certificate() == ct.EASE(2).fit(without_the_rest(table, 8)).certificate()
    assert model.set_params(liked=None).certificate().relative_gap > 1e-3  # of another objective


def test_models_of_likes_are_saved_and_files_from_before_are_read(lister, table, tmp_path, monkeypatch):
    model = clone(lister).set_params(**LIKED).fit(table)
    model.save(tmp_path / "model.npz")
    loaded = ct.load_model(tmp_path / "model.npz", table)
    assert np.array_equal(loaded.complete(), model.complete())
    assert loaded.liked == 0.7
    if isinstance(lister, (ct.BPR, ct.DeepMF, ct.MultVAE)):
        return
    packed = files._pack

    def as_before(value, arrays, kinds):
        found = packed(value, arrays, kinds)
        if isinstance(found, dict) and found.get("kind") in ("EASE", "ImplicitALS"):
            for name in ("liked", "binary", "dtype", "n_jobs"):
                found["state"].pop(name, None)
        return found

    plain = clone(lister).set_params(liked=None).fit(table)
    if plain.binary is not isinstance(plain, ct.EASE):  # as it could not be said before
        return
    with monkeypatch.context() as patch:
        patch.setattr(files, "_LATER", {})
        patch.setattr(files, "_pack", as_before)
        patch.setattr(files, "_whole", lambda *given: None)
        plain.save(tmp_path / "old.npz")
    old = ct.load_model(tmp_path / "old.npz")
    assert np.array_equal(old.complete(), plain.complete())
    assert old.get_params() == plain.get_params()


def test_what_counts_as_liked_can_be_tuned(sample):
    space = {"liked": ct.Range(0.0, 0.9), "reg": ct.Range(1, 300, log=True)}
    found = ct.tune(ct.EASE(), sample, space=space, n_trials=4, score="ndcg", threshold=8)
    assert next(trial.params["liked"] for trial in found.study.trials) == 0
    assert found.model.liked == found.study.best_params["liked"]


# ---- Binary positives ----


def test_binary_positives_are_those_of_a_table_with_the_same_rating_everywhere(table):
    ones = ct.Ratings(table.user_ids, table.item_ids, table.rows, table.cols, np.ones(len(table)), (1.0, 10.0))
    binary = ct.ImplicitALS(2, reg=1, confidence=3, binary=True).fit(table)
    plain = ct.ImplicitALS(2, reg=1, confidence=3).fit(ones)
    assert np.array_equal(binary.complete(), plain.complete())
    assert binary.history_ == plain.history_
    assert binary.fold_in({11: 2, 15: 10}).scores == pytest.approx(plain.fold_in({11: 1, 15: 1}).scores, abs=1e-12)


def test_how_high_a_binary_positive_is_rated_does_not_matter(table):
    model = ct.ImplicitALS(2, reg=1, binary=True, liked=0.7).fit(table)
    assert model.fold_in({11: 8}).scores == pytest.approx(model.fold_in({11: 10}).scores, abs=0)
    model = ct.ImplicitALS(2, reg=1, liked=0.7).fit(table)
    assert not np.allclose(model.fold_in({11: 8}).scores, model.fold_in({11: 10}).scores)


def test_binary_positives_may_be_ratings_below_0():
    ratings = ct.Ratings.from_matrix([[-1, 1, NO], [NO, -1, 1]], scale=(-1, 1))
    assert np.isfinite(ct.ImplicitALS(1, binary=True).fit(ratings).complete()).all()
    assert np.isfinite(ct.ImplicitALS(1, liked=1.0).fit(ratings).complete()).all()  # of the others none counts
    model = ct.ImplicitALS(1).fit(ratings.part(ratings.values > 0))
    for ask in (
        lambda: ct.ImplicitALS(1).fit(ratings),
        lambda: model.fold_in({0: -1, 2: 1}),
        lambda: model.update(ratings),
    ):
        with pytest.raises(ValueError, match="confidence grows with the rating, which must not be negative: -1"):
            ask()


@pytest.mark.parametrize("reg", [0.5, 4.0])
def test_graded_likes_are_the_optimum_of_their_problem(table, reg):
    A = np.nan_to_num(TYPED)
    S = np.where(A > 0, (A - 1) / 9, 0.0)  # a share of the scale from 1 to 10
    P = np.linalg.inv(S.T @ S + reg * np.eye(5))
    B = -P / np.diag(P) * (1 - np.eye(5))
    model = ct.EASE(reg, binary=False).fit(table)
    assert model.item_weights_ == pytest.approx(B, abs=1e-12)
    assert model.complete() == pytest.approx(S @ B, abs=1e-12)
    assert abs(model.certificate().relative_gap) < 1e-12
    assert model.certificate().primal == pytest.approx((np.sum((S - S @ B) ** 2) + reg * np.sum(B**2)) / 2, rel=1e-12)
    assert model.fold_in({11: 10, 12: 1}).scores == pytest.approx(B[0], abs=1e-12)  # the lowest rating says nothing


@pytest.mark.parametrize("how", [{"liked": 0.7}, {"binary": True}])
def test_likes_from_parquet_are_refused_before_spark_is_asked(how, tmp_path):
    model = ct.ImplicitALS(2, solver="spark", weighted_reg=True, tol=0, **how)
    with pytest.raises(ValueError, match="fit_parquet learns from all ratings as they stand, without liked and binary"):
        ct.fit_parquet(model, tmp_path / "ratings.parquet")


def test_a_weighted_penalty_counts_likes(table):
    how = {"reg": 0.3, "weighted_reg": True}
    model = ct.ImplicitALS(2, **how, **LIKED).fit(table)
    alone = ct.ImplicitALS(2, **how).fit(without_the_rest(table, 8))
    assert np.array_equal(model.complete(), alone.complete())
    assert model.history_ == alone.history_
    assert model.fold_in({11: 9, 12: 3}).scores == pytest.approx(alone.fold_in({11: 9}).scores, abs=1e-12)


def test_what_spark_is_sent_is_what_counts(table):
    sent = ct.ImplicitALS(2, binary=True, **LIKED).fit(table)._counted_ratings(table)
    assert np.array_equal(sent.cols, table.cols[table.values >= 8])
    assert np.array_equal(sent.rows, table.rows[table.values >= 8])
    assert (sent.values == 1).all()


# ---- EASE of many titles ----


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (30, 30)])
@pytest.mark.parametrize(("dtype", "accuracy"), [("float64", 1e-12), ("float32", 1e-5)])
def test_weights_by_titles_and_by_viewers_are_those_of_the_inverse(shape, dtype, accuracy):
    S = (np.random.default_rng(1).random(shape) < 0.3).astype(float)
    S[0] = 0.0  # somebody who likes nothing
    P = np.linalg.inv(S.T @ S + 2.0 * np.eye(shape[1]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0.0)
    found = autoencoders.pair_weights(sp.csr_array(S), 2.0, dtype, "weights")
    kept = found.table if found.roots is None else found.roots
    assert (found.table is None) == (shape == (12, 40))
    assert kept.dtype == dtype
    assert kept.flags.c_contiguous
    assert found.rows(np.array([3, 0])) == pytest.approx(B[[3, 0]], abs=accuracy)
    assert found.columns(slice(2, 5)) == pytest.approx(B[:, 2:5], abs=accuracy)
    assert found.weighed(sp.csr_array(S)) == pytest.approx(S @ B, abs=10 * accuracy)
    assert found.weighed(sp.csr_array(S)).dtype == found.rows(np.array([0])).dtype == np.float64


def test_both_ways_and_any_blocks_give_the_same_weights(monkeypatch):
    S = sp.random_array((20, 50), density=0.2, rng=np.random.default_rng(2))
    S.data[:] = 1.0
    by_viewers = autoencoders.pair_weights(S, 3.0, "float64", "weights")
    certificate = autoencoders.autoencoder_certificate(S, by_viewers, 3.0)
    monkeypatch.setattr(autoencoders, "FEW", 0)
    monkeypatch.setattr(autoencoders, "BLOCK_CELLS", 350)  # 7 titles at a time
    by_titles = autoencoders.pair_weights(S, 3.0, "float64", "weights")
    assert by_titles.table == pytest.approx(by_viewers.rows(np.arange(50)), abs=1e-12)
    blocks = autoencoders.autoencoder_certificate(S, by_titles, 3.0)
    assert blocks.primal == pytest.approx(certificate.primal, rel=1e-12)
    assert blocks.dual == pytest.approx(certificate.dual, rel=1e-12)


def test_a_table_without_likes_has_no_weights():
    found = autoencoders.pair_weights(sp.csr_array((3, 4)), 2.0, "float64", "weights")
    assert not found.rows(np.arange(4)).any()
    assert not found.weighed(sp.csr_array(np.ones((2, 4)))).any()


@pytest.mark.parametrize(("dtype", "safe"), [("float64", 1e-6), ("float32", 1e-3)])
def test_few_viewers_stand_for_the_pairs_where_the_penalty_is_safe(dtype, safe):
    """Safe beside the squares of a title: of one rated 100 by two, 20,000; and of viewers up to half as many."""
    S = np.eye(4, 10)
    S[:2, 0] = 100
    for rows, reg, few in [(4, 1.1, True), (4, 0.9, False)]:
        reg *= safe * 20_000
        found = autoencoders.pair_weights(sp.csr_array(S[:rows]), reg, dtype, "weights")
        assert (found.table is None) == few
    for n, few in [(8, False), (9, True)]:  # four viewers are half of eight titles, and who likes nothing is none
        found = autoencoders.pair_weights(
            sp.csr_array(np.eye(40, n) * (np.arange(40) < 4)[:, None]), 1.0, dtype, "weights"
        )
        assert (found.table is None) == few


def test_weights_are_given_up_beforehand_where_they_would_not_be_found_in_time(monkeypatch):
    """The square of the viewers, if these are few, by the titles, or the cube of the titles: 80 s and 120 s."""
    for shape, steps in (((3, 10), 3 * 3 * 10), ((9, 10), 10**3)):
        S = sp.csr_array(np.ones(shape))
        for seconds in (80, 120):
            monkeypatch.setattr(autoencoders, "DENSE_SPEED", steps / seconds)
            with in_time(100), pytest.raises(OutOfTime) if seconds > 100 else contextlib.nullcontext():
                autoencoders.pair_weights(S, 1.0, "float64", "weights")


def test_tables_of_pairs_are_refused_above_the_limit_and_not_at_it(monkeypatch):
    for dtype, titles in (("float64", 16_384), ("float32", 23_170)):  # 2 GiB
        autoencoders._check_size(titles, titles, dtype, "weights")
        with pytest.raises(MemoryError, match=f"weights need .* {titles:,} titles in {dtype}"):
            autoencoders._check_size(titles + 1, titles + 1, dtype, "weights")
    for shape, bytes_, said in (((3, 10), 8 * 30, "10 x 3"), ((9, 4), 8 * 16, "4 x 4")):
        S = sp.csr_array(np.ones(shape))
        monkeypatch.setattr(autoencoders, "MAX_PAIR_BYTES", bytes_)
        autoencoders.pair_weights(S, 1.0, "float64", "weights")
        monkeypatch.setattr(autoencoders, "MAX_PAIR_BYTES", bytes_ - 1)
        with pytest.raises(MemoryError, match=f"weights need a dense {said} table"):
            autoencoders.pair_weights(S, 1.0, "float64", "weights")


def test_weights_without_a_finite_solution_are_an_error():
    S = sp.csr_array(np.ones((5, 3)))
    with pytest.raises(ValueError, match="weights of pairs of titles are singular in float32 at reg=1e-12; raise reg"):
        autoencoders.pair_weights(S, 1e-12, "float32", "weights")


def test_a_certificate_can_be_stopped():
    S = sp.csr_array(np.ones((5, 3)))
    with pytest.raises(OutOfTime), in_time(-1):
        autoencoders.autoencoder_certificate(S, autoencoders.PairWeights(np.zeros((3, 3)), None), 1.0)


def test_blocks_are_all_columns_in_order(monkeypatch):
    monkeypatch.setattr(autoencoders, "BLOCK_CELLS", 100)
    for columns, rows, widths in [
        (30, 7, [14, 14, 2]),
        (3, 1000, [1, 1, 1]),
        (150, 1, [100, 50]),
        (5, 0, [5]),
        (0, 9, []),
    ]:
        found = autoencoders._blocks(columns, rows)
        assert [own.stop - own.start for own in found] == widths
        assert np.concatenate([[0], *[np.arange(columns)[own] for own in found]])[1:].tolist() == list(range(columns))


@pytest.mark.parametrize("shape", [(3, 20), (20, 20), (40, 20)])
def test_no_block_of_a_certificate_has_more_cells_than_the_limit_on_either_side(shape, monkeypatch):
    class Weights:
        def columns(self, own):
            widths.append(own.stop - own.start)
            return np.zeros((20, widths[-1]))

    widths = []
    monkeypatch.setattr(autoencoders, "BLOCK_CELLS", 100)
    autoencoders.autoencoder_certificate(sp.csr_array(np.ones(shape)), Weights(), 1.0)
    assert sum(widths) == 20
    assert max(widths) == 100 // max(shape)


def test_the_certificate_is_the_gradient_off_the_diagonal(monkeypatch):
    rng, reg = np.random.default_rng(0), 0.7
    S, B = rng.random((8, 6)), rng.random((6, 6))
    np.fill_diagonal(B, 0.0)
    slope = reg * B - S.T @ (S - S @ B)
    np.fill_diagonal(slope, 0.0)
    primal = (((S - S @ B) ** 2).sum() + reg * (B**2).sum()) / 2
    best = autoencoders.pair_weights(sp.csr_array(S), reg, "float64", "weights").table
    optimum = (((S - S @ best) ** 2).sum() + reg * (best**2).sum()) / 2
    for cells in (10**6, 16):
        monkeypatch.setattr(autoencoders, "BLOCK_CELLS", cells)
        found = autoencoders.autoencoder_certificate(sp.csr_array(S), autoencoders.PairWeights(B, None), reg)
        assert found.primal == pytest.approx(primal, rel=1e-12)
        assert found.dual == pytest.approx(primal - (slope**2).sum() / (2 * reg), rel=1e-12)
        assert found.dual < optimum < primal


@pytest.fixture
def few_viewers():
    """12 viewers of 40 titles: ratings from 1 to 10."""
    rng = np.random.default_rng(3)
    rows, cols = np.nonzero(rng.random((12, 40)) < 0.3)
    return ct.Ratings(np.arange(12), np.arange(40), rows, cols, rng.integers(1, 11, len(rows)).astype(float))


@pytest.mark.parametrize("model", [ct.EASE(5.0), ct.EASE(5.0, binary=False), ct.Hybrid(ct.BiasBaseline(), reg=5.0)])
def test_a_model_of_few_viewers_says_what_the_table_of_pairs_says(monkeypatch, few_viewers, tmp_path, model):
    few = clone(model).fit(few_viewers)
    assert few.item_weights_ is None
    assert few.item_roots_.shape == (40, 12)
    monkeypatch.setattr(autoencoders, "FEW", 0)
    table = clone(model).fit(few_viewers)
    assert table.item_roots_ is None
    assert few.complete() == pytest.approx(table.complete(), abs=1e-10)
    users = few_viewers.user_ids[[4, 7]]
    assert few.predict(users, few_viewers.item_ids[[9, 30]]) == pytest.approx(
        few.complete()[[4, 7], [9, 30]], abs=1e-12
    )
    own = told(few_viewers, 4)
    assert few.fold_in(own).scores == pytest.approx(few.complete()[4], abs=1e-12)
    reasons = [each.fold_in(own).explain(few_viewers.item_ids[9]) for each in (few, table)]
    assert reasons[0].iloc[:, -1].to_numpy() == pytest.approx(reasons[1].iloc[:, -1].to_numpy(), abs=1e-10)
    few.save(tmp_path / "few.npz")
    assert np.array_equal(ct.load_model(tmp_path / "few.npz").complete(), few.complete())


def test_without_its_viewers_a_model_of_few_holds_the_row_of_none(few_viewers, tmp_path):
    model = ct.EASE(5.0).fit(few_viewers)
    first = few_viewers.known.toarray()[0]
    assert np.corrcoef(model.item_roots_[:, 0], first)[0, 1] == pytest.approx(1)  # V = S' L'^-1: one viewer alone
    with pytest.warns(UserWarning, match="EASE keeps which titles were rated together"):
        model.save(tmp_path / "bare.npz", with_ratings=False)
    bare = ct.load_model(tmp_path / "bare.npz")
    known = few_viewers.known.toarray()
    assert np.abs(np.corrcoef(bare.item_roots_.T, known)[:12, 12:]).max() < 0.999
    own = told(few_viewers, 4)
    assert bare.fold_in(own).scores == pytest.approx(model.fold_in(own).scores, abs=1e-10)


def test_a_table_of_pairs_that_would_not_fit_is_refused_with_its_size(table, large, few_viewers, monkeypatch):
    for model, size in ((ct.EASE(), 8), (ct.EASE(dtype="float32"), 4), (ct.Hybrid(ct.BiasBaseline()), 8)):
        monkeypatch.setattr(autoencoders, "MAX_PAIR_BYTES", size * 25)
        model.fit(table)
        monkeypatch.setattr(autoencoders, "MAX_PAIR_BYTES", size * 25 - 1)
        with pytest.raises(MemoryError, match=r"need a dense 5 x 5 table of 0\.0 GiB; the limit is"):
            model.fit(table)
    monkeypatch.setattr(autoencoders, "MAX_PAIR_BYTES", 8 * 40 * 12)
    ct.EASE().fit(few_viewers)
    monkeypatch.setattr(autoencoders, "MAX_PAIR_BYTES", 8 * 40 * 12 - 1)
    with pytest.raises(MemoryError, match=r"EASE's weights of pairs of titles need a dense 40 x 12 table"):
        ct.EASE().fit(few_viewers)
    ct.EASE(dtype="float32").fit(few_viewers)
    width = np.count_nonzero(large.user_counts)
    monkeypatch.setattr(autoencoders, "MAX_PAIR_BYTES", 80_000 * width - 1)
    with pytest.raises(MemoryError, match=rf'10,000 x {width} table of .*MAX_PAIR_BYTES\). .*dtype="float32"'):
        ct.EASE().fit(large)


def test_float32_says_by_its_certificate_how_far_it_is_off(sample):
    model = ct.EASE(30, dtype="float32").fit(sample)
    assert model.item_weights_.dtype == np.float32
    assert -1e-12 < model.certificate().relative_gap < 1e-9
    exact = ct.EASE(30).fit(sample)
    assert model.complete() == pytest.approx(exact.complete(), abs=1e-5)
    assert model.complete().dtype == np.float64
    user = sample.user_ids[3].item()
    assert model.fold_in(told(sample, 3)).scores == pytest.approx(model.viewer(user).scores, abs=1e-12)


SINGLE = {"dtype": "float32"}


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (ct.EASE(reg=1e39, **SINGLE), r"reg must be at most 3\.4e\+38 with dtype='float32', got 1e\+39"),
        (ct.ALS(2, reg=1e39, **SINGLE), "reg must be at most"),
        (ct.ImplicitALS(2, reg=1e39, **SINGLE), "reg must be at most"),
        (ct.ImplicitALS(2, confidence=1e39, **SINGLE), "confidence must be at most"),
        (ct.ImplicitALS(2, confidence=1e38, **SINGLE), r"raise reg, lower confidence=1e\+38, or divide ratings"),
        (ct.ImplicitALS(3, confidence=1e20), r"raise reg, lower confidence=1e\+20, or divide ratings"),
    ],
    ids=repr,
)
def test_what_is_too_large_for_the_arithmetic_is_named(model, said, table, few_viewers):
    for ratings in (table, few_viewers):
        with pytest.raises(ValueError, match=said):
            model.fit(ratings)


def test_ratings_too_large_for_single_precision_are_named_without_a_warning(table):
    large = ct.Ratings(table.user_ids, table.item_ids, table.rows, table.cols, table.values * 1e40, (0.0, 1e41))
    with pytest.raises(ValueError, match="or divide ratings, or an init, that are very large"):
        ct.ImplicitALS(2, dtype="float32").fit(large)


@pytest.mark.parametrize("reg", [2**62, 2**63])
def test_a_penalty_that_is_a_long_whole_number_counts_as_a_float(reg, table):
    whole, real = (ct.ImplicitALS(2, reg=kind(reg), weighted_reg=True).fit(table) for kind in (int, float))
    assert np.array_equal(whole.fold_in({11: 9, 12: 8}).scores, real.fold_in({11: 9, 12: 8}).scores)


# ---- Somebody kept, and nobody ----


def test_who_is_kept_gets_the_answer_of_their_fold_in(lister, with_cold):
    model = lister.fit(with_cold)  # a title of which nobody has rated
    viewer = model.fold_in({11: 9, 12: 2})
    kept = model.add(viewer, 900)
    assert kept.predict(900, with_cold.item_ids) == pytest.approx(viewer.scores, abs=1e-12)
    for item in with_cold.item_ids.tolist():
        assert ct.explain(model, viewer, item)["contribution"].sum() == pytest.approx(viewer.predict(item)[0], abs=1e-9)


@pytest.mark.filterwarnings("ignore:.*keeps which titles were rated together")
def test_nobodys_rows_are_none_and_a_model_without_viewers_says_so(lister, table, tmp_path):
    model = lister.fit(table)
    assert model.predict_rows([]).shape == (0, 5)
    model.save(tmp_path / "bare.npz", with_ratings=False)
    with pytest.raises(ValueError, match="saved without its viewers"):
        ct.load_model(tmp_path / "bare.npz").complete()


# ---- BPR ----


def test_every_other_title_is_drawn_by_its_place_among_the_others():
    for liked in ([], [0], [3, 4], [0, 1, 4], [0, 2, 4], [4], [1, 2, 3, 4]):
        others = [other_title.py_func(draw, np.array(liked, dtype=int)) for draw in range(5 - len(liked))]
        assert others == sorted(set(range(5)) - set(liked))


def test_doubt_is_the_logistic_function_at_both_ends():
    for x in (-800.0, -30.0, -1.0, 0.0, 0.5, 30.0, 700.0):
        assert doubt(x) == pytest.approx(1 / (1 + np.exp(x)), rel=1e-9, abs=0)
    assert (doubt(0.0), doubt(800.0)) == (0.5, 0)


def slow_pass(rows, cols, others, b, P, Q, eta, reg):
    """`bpr_pass` as written on paper, the titles drawn given by position."""
    loss = 0.0
    for u, i, j in zip(rows, cols, others, strict=True):
        p, q, o = P[u].copy(), Q[i].copy(), Q[j].copy()
        x = b[i] - b[j] + p @ (q - o)
        s = 1 / (1 + np.exp(x))
        loss += -np.log(1 / (1 + np.exp(-x)))
        b[i] += eta * (s - reg * b[i])
        b[j] += eta * (-s - reg * b[j])
        P[u] += eta * (s * (q - o) - reg * p)
        Q[i] += eta * (s * p - reg * q)
        Q[j] += eta * (-s * p - reg * o)
    return loss


def likes_of(ratings):
    return [np.sort(ratings.csr[[row]].indices) for row in range(ratings.n_users)]


@pytest.mark.parametrize(
    "given",
    [
        random_table(0),
        ct.Ratings.from_matrix([[8, 8, 8, 8], [NO, 8, 8, 8], [NO, NO, NO, 8], [8, NO, 8, NO]]),
        ct.Ratings.from_matrix([[8, 8, 8], [8, NO, NO]]),
    ],
    ids=["some", "all, all but one, and one", "one like that counts"],
)
def test_a_fit_is_that_of_the_slow_twin_with_the_same_draws(given):
    model = ct.BPR(3, reg=0.02, learning_rate=0.1, n_epochs=4, random_state=5).fit(given)
    rng, n = np.random.default_rng(5), given.n_items
    P, Q = (rng.normal(0, 0.1, (size, 3)) for size in given.shape)
    b, likes = np.zeros(n), likes_of(given)
    pairs = [(u, i) for u, own in enumerate(likes) if len(own) < n for i in own]  # a like of all stands against none
    rows, cols = np.array(pairs).T
    for epoch in range(4):
        order = rng.permutation(len(rows))
        at = rng.random(len(rows)) * (n - given.user_counts[rows[order]])
        others = [np.setdiff1d(np.arange(n), likes[u])[int(place)] for u, place in zip(rows[order], at, strict=True)]
        loss = slow_pass(rows[order], cols[order], others, b, P, Q, 0.1, 0.02)
        assert model.history_[epoch] == {"epoch": epoch + 1, "train_loss": pytest.approx(loss / len(rows), rel=1e-12)}
    P[given.user_counts == n] = 0  # who likes everything prefers nothing
    for learnt, expected in ((model.item_bias_, b), (model.user_factors_, P), (model.item_factors_, Q)):
        assert learnt == pytest.approx(expected, abs=1e-12)
    assert not model.user_bias_.any()


def test_a_step_goes_down_the_gradient_of_its_pair():
    """By central differences of -ln sigma(x) + reg/2 |what the step touches|^2."""
    rng, reg, eta = np.random.default_rng(3), 0.07, 1.0
    theta = [rng.normal(size=4), rng.normal(size=(3, 2)), rng.normal(size=(4, 2))]
    pair = np.array([1]), np.array([2]), np.array([1])  # user 1 likes title 2 alone, so the other one is title 1
    start, liked = np.array([0, 0, 1, 1]), np.array([2])

    def objective(b, P, Q):
        x = b[2] - b[1] + P[1] @ (Q[2] - Q[1])
        touched = b[1] ** 2 + b[2] ** 2 + P[1] @ P[1] + Q[1] @ Q[1] + Q[2] @ Q[2]
        return np.log1p(np.exp(-x)) + reg / 2 * touched

    moved = copy.deepcopy(theta)
    loss = bpr_pass(*pair, start, liked, *moved, eta, reg)
    assert loss == pytest.approx(objective(*theta) - reg / 2 * (
        theta[0][1] ** 2 + theta[0][2] ** 2 + np.sum(theta[1][1] ** 2) + np.sum(theta[2][1:3] ** 2)))  # fmt: skip
    for array, after in zip(theta, moved, strict=True):
        for cell in np.ndindex(array.shape):
            at, h = array[cell], 1e-6
            sides = []
            for shift in (h, -h):
                array[cell] = at + shift
                sides.append(objective(*theta))
            array[cell] = at
            assert after[cell] - at == pytest.approx(-(sides[0] - sides[1]) / (2 * h), abs=1e-8)


def test_a_newcomer_is_made_of_the_steps_of_their_likes(noisy):
    model = ct.BPR(3, reg=0.05, learning_rate=0.1, n_epochs=6).fit(noisy)
    liked = np.array([1, 4, 7])
    draws = (np.random.default_rng(0).random((6, 3)) * (noisy.n_items - 3)).astype(np.int64)
    parts, p = np.zeros((3, 3)), np.zeros((1, 3))
    bpr_row(liked, draws, model.item_bias_, model.item_factors_, 0.1, 0.05, parts)
    free = np.setdiff1d(np.arange(noisy.n_items), liked)
    for row in draws:
        for i, place in zip(liked, row, strict=True):  # the titles are held fixed: what moves are copies
            slow_pass([0], [i], [free[place]], model.item_bias_.copy(), p, model.item_factors_.copy(), 0.1, 0.05)
    assert parts.sum(axis=0) == pytest.approx(p[0], abs=1e-12)
    viewer = model.fold_in({int(noisy.item_ids[i]): 5.0 for i in liked[::-1]})
    assert viewer.scores == pytest.approx(model.item_bias_ + model.item_factors_ @ p[0], abs=1e-12)


def tribes(seed=3, size=(120, 60)):
    """Two tribes watch two halves of the catalogue."""
    rng = np.random.default_rng(seed)
    tribe, half = np.arange(size[0]) % 2, np.arange(size[1]) % 2
    watched = rng.random(size) < np.where(tribe[:, None] == half, 0.4, 0.03)
    return ct.Ratings.from_matrix(np.where(watched, 7.0, NO)), tribe, half


def test_bpr_tells_two_tribes_apart_and_so_does_its_fold_in():
    ratings, tribe, half = tribes()
    train, test = ratings.split_random(0.3)
    model = ct.BPR(4, n_epochs=60).fit(train)
    results = ct.rank_models({"BPR": model}, test, 5, n=5)
    assert ct.rank_differences(results, "popularity").set_index("model")["verdict"]["BPR"] == "better"
    lists = model.top_items(np.arange(120), 5)
    assert np.mean(half[lists] == tribe[:, None]) > 0.9
    newcomer = model.fold_in(dict.fromkeys(np.flatnonzero(half == 1)[:4].tolist(), 7.0))
    assert np.mean(half[newcomer.recommend(10)["item_id"].to_numpy()] == 1) > 0.9
    folded = np.stack([model.fold_in(told(train, row)).scores for row in range(120)])
    folded[train.known.toarray() > 0] = -np.inf
    assert np.mean(half[np.argsort(-folded, axis=1)[:, :5]] == tribe[:, None]) > 0.9


def test_the_loss_falls_and_the_seed_decides_all(sample):
    model = ct.BPR(5, n_epochs=20).fit(sample)
    losses = [row["train_loss"] for row in model.history_]
    assert losses[0] == pytest.approx(np.log(2), abs=0.03)
    assert losses[-1] < 0.6
    again, other = (ct.BPR(5, n_epochs=20, random_state=seed).fit(sample) for seed in (0, 1))
    assert np.array_equal(again.complete(), model.complete())
    assert not np.allclose(other.complete(), model.complete())


@pytest.mark.parametrize("model", [ct.BPR(2, n_epochs=50), ct.DeepMF(2, n_epochs=100)], ids=repr)
def test_what_somebody_rated_lower_is_among_what_they_do_not_like(model):
    ratings = ct.Ratings.from_matrix([[9, 2, NO], [9, 2, NO], [9, 2, 9]])
    high, low, _ = clone(model).set_params(liked=0.75).fit(ratings).predict(0, [0, 1, 2])
    assert high > low


@pytest.mark.parametrize("kind", [ct.BPR, ct.DeepMF])
def test_who_likes_everything_orders_nothing(kind):
    ratings = ct.Ratings.from_matrix([[8, 8, 8], [8, NO, NO]])
    model = kind(2, n_epochs=30).fit(ratings)
    assert not model.user_factors_[0].any()
    assert model.predict(0, [0, 1, 2]) == pytest.approx(model.item_bias_)
    assert model.fold_in({0: 8, 1: 8, 2: 8}).scores == pytest.approx(model.item_bias_)
    alone = kind(2, n_epochs=3).fit(ct.Ratings.from_matrix([[8, 8]]))  # nobody leaves a title out
    assert np.isfinite(alone.complete()).all()


def test_titles_and_viewers_without_a_rating_get_the_bias_alone(with_cold):
    model = ct.BPR(2, n_epochs=30).fit(with_cold)
    predicted, fallback = model.predict([106, 101, 106], [11, 13, 13], return_fallback=True)
    assert predicted == pytest.approx(model.item_bias_[[0, 2, 2]])
    assert fallback.all()
    assert model.item_bias_[2] == model.item_bias_.min()  # it was never liked, and often drawn
    lists = model.recommend(106, 5)["item_id"].tolist()
    assert lists == with_cold.item_ids[np.argsort(-model.item_bias_, kind="stable")].tolist()


@pytest.mark.parametrize("model", [ct.BPR(5, learning_rate=100, reg=1), ct.DeepMF(5, learning_rate=100)], ids=repr)
def test_steps_that_are_too_long_are_an_error_and_no_fit(model, sample):
    said = rf"{type(model).__name__} diverged in pass \d+: its loss, 0\.693 by chance, .* learning_rate=100 .* try 10"
    with pytest.raises(ct.DivergenceError, match=said):
        model.fit(sample)
    assert not hasattr(model, "item_factors_")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (ct.BPR(2, reg=100), "try 0.005, or smaller values of reg=100"),
        (ct.BPR(2, init=(np.full((6, 2), 1e200), np.full((5, 2), 1e200))), "or smaller values of init"),
        (
            ct.MultVAE(2, 3, learning_rate=1e200, n_epochs=1),
            r"and numbers that it learnt lie beyond 1e100\. learning_rate=1e\+200",
        ),
        (ct.DeepMF(2, (3,), learning_rate=1e300, n_epochs=1), "and numbers that it learnt lie beyond 1e100"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_else_makes_steps_too_long_is_named_without_a_warning(model, said, table):
    with pytest.raises(ct.DivergenceError, match=said):
        model.fit(table)


@pytest.mark.parametrize("loss", [99.75, 100.0, 100.25])
def test_a_mean_loss_of_a_hundred_is_the_end_of_a_fit(loss, table, monkeypatch):
    monkeypatch.setattr(ct, "bpr_pass", lambda rows, *rest: loss * len(rows))
    model = ct.BPR(2, n_epochs=1)
    if loss < 100:
        assert model.fit(table).history_ == [{"epoch": 1, "train_loss": loss}]
        return
    with pytest.raises(ct.DivergenceError, match=r"reached 100\. learning_rate=0\.05 is .* here; try 0\.005\.$"):
        model.fit(table)


def test_numbers_without_end_are_named_beside_a_loss_that_is_none(table, monkeypatch):
    def overflow(*arguments):
        arguments[6][0, 0] = 1e101  # P
        return 99.75 * len(arguments[0])

    monkeypatch.setattr(ct, "bpr_pass", overflow)
    with pytest.raises(ct.DivergenceError, match=r"reached 99\.8, and numbers that it learnt lie beyond 1e100\."):
        ct.BPR(2, n_epochs=1).fit(table)


@pytest.mark.parametrize(("reg", "n_epochs"), [(0.125, 31), (0.125, 30), (0.25, 20)])
def test_numbers_whose_products_would_overflow_are_steps_too_long(reg, n_epochs):
    one = ct.Ratings([0], [0, 1], [0], [0], [1.0], scale=(1, 10))
    with pytest.raises(ct.DivergenceError, match="numbers that it learnt lie beyond 1e100"):
        ct.BPR(1, reg=reg, learning_rate=1e6, n_epochs=n_epochs, random_state=1).fit(one)


@pytest.mark.parametrize("model", [ct.BPR(2, n_epochs=2), ct.DeepMF(2, n_epochs=2)], ids=repr)
def test_a_new_title_is_for_a_new_fit(model, table):
    with pytest.raises(ValueError, match="for a new title fit it again"):
        model.fit(table).fold_in_item({101: 8})


def test_ctrl_c_keeps_the_whole_passes_and_a_newcomer_gets_as_many(table, monkeypatch):
    press_ctrl_c(monkeypatch, ct, "bpr_pass", 4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = ct.BPR(2, n_epochs=10**9).fit(table)
    assert "stopped by the keyboard after 3 whole passes" in str(caught[0].message)
    monkeypatch.undo()
    assert model.fold_in({11: 9}).scores == pytest.approx(ct.BPR(2, n_epochs=3).fit(table).fold_in({11: 9}).scores)


# ---- Lists tuned by name ----


@pytest.mark.parametrize("metric", ct.RANKING_METRICS)
def test_a_metric_of_lists_is_a_score_by_name(metric, sample):
    train, validation = sample.split_random()

    def missed(model, part):
        return -ct.ranking_metrics(ct.top_lists(model, part, 5), part, 8)[metric].mean()

    named = ct.tune(ct.EASE(), train, validation, n_trials=3, score=metric, threshold=8, n=5)
    by_hand = ct.tune(ct.EASE(), train, validation, n_trials=3, score=missed)
    assert [trial.value for trial in named.study.trials] == [trial.value for trial in by_hand.study.trials]
    assert named.study.best_value < 0


def test_models_tune_themselves_for_lists_and_the_best_is_chosen(sample):
    candidates = {"EASE": ct.EASE(), "BPR": ct.BPR(3, n_epochs=3), "VAE": ct.MultVAE(3, 4, n_epochs=3)}
    how = {"score": "ndcg", "threshold": 8, "n_trials": 2, "n_folds": 2}
    tuned = ct.Tuned(candidates, **how).fit(sample)
    assert tuned.scores_[tuned.chosen_] == min(tuned.scores_.values()) < 0
    assert ct.Tuned({"p": ct.Popularity()}, **how).fit(sample).scores_["p"] < 0
    rating_model = ct.tune(ct.BiasBaseline(), sample, score="recall", threshold=8, n_trials=2)
    assert rating_model.study.best_value < 0


def test_a_score_of_lists_needs_its_threshold_and_no_other_has_one(sample):
    for ask in (lambda **how: ct.tune(ct.EASE(), sample, **how), lambda **how: ct.Tuned(ct.EASE(), **how).fit(sample)):
        with pytest.raises(ValueError, match="score='ndcg' needs threshold="):
            ask(score="ndcg")
        with pytest.raises(ValueError, match=r"threshold is for a score of lists, .* got 8 with score='rmse'"):
            ask(score="rmse", threshold=8)
        with pytest.raises(ValueError, match="threshold must be a finite number, got 'high'"):
            ask(score="ndcg", threshold="high")
        with pytest.raises(ValueError, match="n must be at least 1, got 0"):
            ask(score="ndcg", threshold=8, n=0)
        with pytest.raises(TypeError, match=r"score is one of .*'ndcg'.* got 'ndgc'"):
            ask(score="ndgc", threshold=8)


def test_a_stored_study_remembers_the_metric_its_threshold_and_the_length(sample, tmp_path):
    how = {"n_trials": 1, "storage": tmp_path / "study.db", "score": "ndcg"}
    ct.tune(ct.EASE(), sample, threshold=8, **how)
    with pytest.raises(ValueError, match="a study with other score"):
        ct.tune(ct.EASE(), sample, threshold=7, **how)


def test_random_tables_of_every_shape_can_be_learnt_from():
    for seed in range(4):
        ratings = random_table(seed, shape=((12, 9), (3, 14), (14, 3), (2, 2))[seed])
        for model in MODELS.values():
            if isinstance(model, ct.ImplicitALS) and not model.binary:
                continue  # some of these ratings are below 0
            assert np.isfinite(clone(model).set_params(liked=0.5).fit(ratings).complete()).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_penalty_too_small_to_tell_two_titles_apart_is_refused(dtype):
    twins = ct.Ratings.from_matrix([[9, 9, 1], [9, 9, np.nan], [8, 8, 2], [np.nan, np.nan, 3]])
    assert np.isfinite(ct.EASE(reg=1e-2, dtype=dtype).fit(twins).complete()).all()
    with pytest.raises(ValueError, match=f"weights of pairs of titles are singular in {dtype} at reg=1e-30; raise reg"):
        ct.EASE(reg=1e-30, dtype=dtype).fit(twins)
