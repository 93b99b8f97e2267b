"""A model that grows: customers kept after a fold-in, ratings added or changed, and what stays as it was trained."""

import copy

import numpy as np
import pandas as pd
import pytest
from conftest import ABOUT_ITEMS, ABOUT_USERS, MODELS, RANKERS
from sklearn.base import clone

import content_table as ct
from content_table_parts import growing

NO = np.nan
ALL = {name: model for name, model in (MODELS | RANKERS).items() if name != "damped means"} | {
    "tuned": ct.Tuned(ct.ALS(2, biases=True), n_trials=2, n_folds=2),
    "hybrid, prefit": ct.Hybrid(ct.BiasBaseline(), prefit=True),
}
SOLVES_TITLES = ["baseline", "ALS", "ALS with biases", "ALS, weighted", "ALS with biases, weighted",
                 "NMF", "NMF without biases",
                 "implicit ALS", "implicit ALS, weighted", "implicit ALS of likes", "gradient descent", "spectral",
                 "spectral with biases", "popularity", "blend"]  # fmt: skip
FIXED_TITLES = [
    "item neighbours",
    "two neighbours",
    "EASE",
    "EASE of likes",
    "graph filter",
    "graph filter of likes",
    "BPR",
    "BPR of likes",
    "deep",
    "deep, with the product, of likes",
    "MultVAE",
    "MultVAE of likes",
    "hybrid",
    "hybrid, prefit",
]
UPDATED = [name for name in ALL if not name.startswith("nuclear norm")]
TOLD = {11: 8, 13: 5, 14: 2}


def fit(name, ratings):
    model = clone(ALL[name])
    if getattr(model, "prefit", False):
        model = ct.Hybrid(ct.BiasBaseline().fit(ratings), prefit=True)
    return model.fit(ratings)


def learnt(model):
    """A copy of all arrays, to see whether any changed."""
    return copy.deepcopy({name: value for name, value in vars(model).items() if isinstance(value, np.ndarray)})


def same_arrays(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def together(ratings, rows):
    """The ratings and more of them, (user, item, rating), as one table made by hand."""
    known = ratings.frame()[["user_id", "item_id", "rating"]]
    more = pd.DataFrame(rows, columns=known.columns)
    both = pd.concat([known, more]).drop_duplicates(["user_id", "item_id"], keep="last")
    return ct.Ratings.from_frame(both, "user_id", "item_id", "rating", scale=ratings.scale)


@pytest.fixture(scope="module", params=ALL)
def grown(request, table):
    """(model, viewer, the model that keeps the viewer), for each kind."""
    model = fit(request.param, table)
    viewer, before = model.fold_in(TOLD), learnt(model)
    found = model, viewer, model.add(viewer, 200, "zoe")
    assert same_arrays(learnt(model), before)
    return found


# ---- A customer who is kept ----


def test_the_answer_for_a_kept_customer_is_that_of_the_fold_in(grown, table):
    _, viewer, model = grown
    np.testing.assert_allclose(model.predict(200, table.item_ids), viewer.scores, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.predict_rows([6])[0], viewer.scores, rtol=0, atol=1e-9)
    pd.testing.assert_frame_equal(model.recommend("zoe", 5), viewer.recommend(5), atol=1e-9)
    everybody = model.recommend_all(5)
    assert everybody.loc[everybody["user_id"] == 200, "item_id"].tolist() == viewer.recommend(5)["item_id"].tolist()


def test_nobody_elses_answer_changes_and_nothing_of_the_old_model(grown, table):
    old, _, model = grown
    before = np.arange(table.n_users)
    np.testing.assert_array_equal(model.predict_rows(before), old.predict_rows(before))
    assert old.ratings_.n_users == 6
    assert not hasattr(old, "updates_")


def test_the_ratings_gain_those_of_the_customer(grown, table):
    model = grown[2]
    assert model.ratings_.user_id("zoe") == 200
    assert len(model.ratings_) == len(table) + 3
    row = model.ratings_.csr[[6]]
    assert dict(zip(table.item_ids[row.indices].tolist(), row.data.tolist(), strict=True)) == TOLD
    assert model.updates_ == [{"users": 0, "new_users": 1, "titles": 0, "new_titles": 0, "added": 3, "replaced": 0,
                               "unchanged": 0, "left_out": 0}]  # fmt: skip


def test_a_grown_model_is_saved_and_grows_on(grown, tmp_path):
    model = grown[2]
    if isinstance(model, ct.Tuned):
        model = model.model_
    model.save(tmp_path / "model.npz")
    again = ct.load_model(tmp_path / "model.npz", model.ratings_)
    users = np.arange(7)
    assert np.array_equal(again.predict_rows(users), model.predict_rows(users))
    assert again.updates_ == model.updates_
    more = again.add(again.fold_in({12: 3}), 201)
    assert more.ratings_.n_users == 8
    assert len(more.updates_) == 2
    assert np.array_equal(more.predict_rows(users), model.predict_rows(users))


def test_a_grown_model_explains_and_folds_in_as_before(grown, table):
    old, viewer, model = grown
    np.testing.assert_allclose(model.fold_in({12: 9}).scores, old.fold_in({12: 9}).scores, atol=1e-12)
    reasons = ct.explain(model, 200, 12)["contribution"].sum()
    assert reasons == pytest.approx(viewer.predict(12)[0], abs=1e-9)


@pytest.mark.parametrize(
    "name", ["ALS", "ALS without a penalty", "spectral", "gradient descent", "content only", "EASE"]
)
def test_a_title_that_nobody_had_rated_stays_unknown_to_the_others(name, with_cold):
    model = fit(name, with_cold)
    viewer = model.fold_in(TOLD)  # title 13 among them, which was not learnt
    more = model.add(viewer, 200)
    rows = np.arange(with_cold.n_users)
    assert np.array_equal(more.predict_rows(rows), model.predict_rows(rows))
    np.testing.assert_allclose(more.predict_rows([6])[0], viewer.scores, rtol=0, atol=1e-9)


def test_a_customer_without_a_rating_can_be_kept(grown):
    old, _, _ = grown
    viewer = old.fold_in({})
    model = old.add(viewer, 300)
    np.testing.assert_allclose(model.predict_rows([6])[0], viewer.scores, rtol=0, atol=1e-9)


def test_what_was_seen_and_not_rated_is_counted(sample):
    mine = ct.load_mal_export(ct.DATA / "animelist.xml", sample)
    model = ct.BiasBaseline().fit(sample)
    viewer = model.fold_in(mine)
    unrated = len(set(viewer.seen.tolist()) - set(viewer.at.tolist()))
    assert unrated > 0
    assert model.add(viewer, 10**6).updates_[-1]["left_out"] == unrated


@pytest.mark.parametrize(("user", "error", "words"), [
    (101, ValueError, "user must be a new id, got 101"),
    ("two hundred", TypeError, "user must be an id like those of the table.*got 'two hundred'"),
    (True, TypeError, "user must be an id"), (2.5, TypeError, "user must be an id"),
    ([200], TypeError, "user must be an id"), (2**70, TypeError, "user must be an id"),
])  # fmt: skip
def test_an_id_that_is_known_or_of_another_kind_is_refused(table, user, error, words):
    model = ct.BiasBaseline().fit(table)
    with pytest.raises(error, match=words):
        model.add(model.fold_in(TOLD), user)


def test_a_table_whose_ids_are_broken_numbers_takes_such_an_id():
    table = ct.Ratings([1.5, 2.5], ["x", "y"], [0, 0, 1], [0, 1, 1], [5.0, 2, 4], scale=(1, 5))
    model = ct.BiasBaseline().fit(table)
    viewer = model.fold_in({"x": 5})
    assert model.add(viewer, 3.25).ratings_.user_ids.tolist() == [1.5, 2.5, 3.25]
    for wrong in (np.nan, np.inf, -np.inf):
        with pytest.raises(TypeError, match="user must be an id like those of the table"):
            model.add(viewer, wrong)


def test_a_name_may_be_an_items_and_not_a_viewers_id():
    table = ct.Ratings(
        ["ann", "bob"], ["x", "y"], [0, 0, 1], [0, 1, 1], [5.0, 2, 4], scale=(1, 5), user_names=["A", "B"]
    )
    model = ct.BiasBaseline().fit(table)
    viewer = model.fold_in({"x": 5})
    with pytest.raises(ValueError, match="name must be nobody else's, got 'bob'"):
        model.add(viewer, user="cid", name="bob")
    assert model.add(viewer, user="cid", name="x").ratings_.user_names.tolist() == ["A", "B", "x"]


def test_a_name_that_is_somebodys_is_refused(table):
    model = ct.BiasBaseline().fit(table)
    with pytest.raises(ValueError, match="name must be nobody else's, got 'bob'"):
        model.add(model.fold_in(TOLD), 200, "bob")
    assert model.add(model.fold_in(TOLD), 200).ratings_.user_names.tolist()[-1] == "200"


def test_a_viewer_of_another_model_or_of_the_training_part_is_refused(table):
    model, other = ct.BiasBaseline().fit(table), ct.BiasBaseline(9).fit(table)
    with pytest.raises(ValueError, match=r"viewer was folded into another model: got BiasBaseline\(reg=9\)"):
        model.add(other.fold_in(TOLD), 200)
    with pytest.raises(ValueError, match="viewer must be somebody new, got 102 of the training part"):
        model.add(model.viewer(102), 200)


def test_a_model_without_its_viewers_cannot_grow_and_says_why(table, tmp_path):
    ct.BiasBaseline().fit(table).save(tmp_path / "published.npz", with_ratings=False)
    model = ct.load_model(tmp_path / "published.npz")
    with pytest.raises(ValueError, match=r"add needs the training ratings.* saved without its viewers"):
        model.add(model.fold_in(TOLD), 200)
    with pytest.raises(ValueError, match="update needs the training ratings"):
        model.update(table)


def test_a_class_that_does_not_say_what_a_regression_gives_is_refused(table):
    model = clone(MODELS["damped means"]).fit(table)
    for grow in (lambda: model.add(model.fold_in(TOLD), 200), lambda: model.update(together(table, [(101, 13, 4)]))):
        with pytest.raises(ValueError, match=r"DampedMeans cannot keep anybody new: it has no _solved\(axis\)"):
            grow()


# ---- Ratings that are added or changed ----


@pytest.mark.parametrize("name", UPDATED)
def test_only_touched_rows_change(name, table):
    model = fit(name, table)
    more = together(table, [(101, 13, 2), (101, 11, 3)])  # one rating added, one changed
    before = learnt(model)
    new = model.update(more)
    kept = name in {*FIXED_TITLES, "content", "content with profiles", "content as published"} - {
        "hybrid",
        "hybrid, prefit",
    }
    kept |= name.startswith(("SGD", "Bayesian"))
    assert new.updates_ == [{"users": 1, "new_users": 0, "titles": 0 if kept else 2, "new_titles": 0, "added": 1,
                             "replaced": 1, "unchanged": len(table) - 1, "left_out": 0}]  # fmt: skip
    others = np.ix_(range(1, 6), [1, 3, 4])  # a match is counted in spreads over all titles, the two that moved too
    old_one, new_one = (each.rating_ if isinstance(each, ct.Hybrid) else each for each in (model, new))
    assert np.array_equal(new_one.complete()[others], old_one.complete()[others])
    assert same_arrays(learnt(model), before)
    assert len(new.ratings_) == len(table) + 1


@pytest.mark.parametrize(
    "name", sorted(set(UPDATED) - {"content with profiles", "Bayesian with features"})
)  # a fold-in does not know these
def test_an_updated_viewer_gets_the_fold_in_of_all_their_ratings(name, table):
    new = fit(name, table).update(together(table, [(101, 13, 2), (101, 11, 3)]))
    own = dict(zip(new.ratings_.item_ids[new.viewer(101).at].tolist(), new.viewer(101).values.tolist(), strict=True))
    assert own == {11: 3, 12: 7, 13: 2, 14: 3, 15: 9}
    np.testing.assert_allclose(new.predict_rows([0])[0], new.fold_in(own).scores, rtol=0, atol=1e-9)


def test_the_profile_of_an_updated_viewer_still_counts(table):
    model = ct.ContentMF(ABOUT_ITEMS, ABOUT_USERS, n_factors=2, n_epochs=20, patience=None).fit(table)
    model.best_epoch_ = 10**5  # without end: the ridge regression
    new = model.update(together(table, [(101, 13, 2)]))
    C, k = model.item_table_.toarray(), 2
    Z = np.column_stack([model.item_factors_, C, np.ones(5)])
    offset = model.global_mean_ + model.item_bias_ + C @ (model.user_table_[[0]].toarray()[0] @ model.group_weights_)
    values = np.array([8, 7, 2, 3, 9])
    often = np.concatenate([[5] * k, np.maximum(np.count_nonzero(C, axis=0), 1), [5]])
    x = np.linalg.solve(Z.T @ Z + model.reg * np.diag(often), Z.T @ (values - offset))
    np.testing.assert_allclose(new.predict_rows([0])[0], offset + Z @ x, atol=1e-8)


@pytest.mark.parametrize("biases", [False, True])
def test_als_takes_half_steps_that_do_not_raise_its_objective(sample, biases):
    train, rest = sample.split_random(0.1)
    model = ct.ALS(5, reg=4, biases=biases).fit(train)
    late = rest.part(slice(0, 40))
    new = model.update(late)
    stale = copy.copy(model)
    stale.ratings_ = new.ratings_
    assert new._objective()[0] < stale._objective()[0]
    rows = np.unique(late.rows)
    again = copy.deepcopy(new)
    again._half_step(new.ratings_.csr, again.user_factors_, again.user_bias_, new.item_factors_, new.item_bias_)
    np.testing.assert_allclose(again.user_factors_[rows], new.user_factors_[rows], atol=1e-9)
    assert new.updates_[-1]["titles"] == len(np.unique(late.cols))


@pytest.mark.parametrize("name", SOLVES_TITLES)
def test_a_new_title_of_new_and_known_viewers_is_learnt(name, table):
    frame = pd.DataFrame({"user_id": [101, 102, 103, 900, 900], "item_id": [77, 77, 77, 77, 11],
                          "rating": [9, 8, 10, 9, 3]})  # fmt: skip
    model = fit(name, table)
    new = model.update(frame)
    assert new.ratings_.shape == (7, 6)
    told = {"users": 3, "new_users": 1, "new_titles": 1, "added": 5, "left_out": 0}
    assert {key: new.updates_[-1][key] for key in told} == told
    prediction, fell_back = new.predict([104], [77], return_fallback=True)
    assert np.isfinite(prediction).all()
    assert not fell_back.any()
    assert np.array_equal(new.complete()[3:6, 1:5], model.complete()[3:6, 1:5])


def test_a_new_title_of_the_baseline_by_hand(table):
    model = ct.BiasBaseline(reg=2).fit(table)
    told = {104: 9.0, 105: 4.0}
    new = model.update(together(table, [(user, 77, value) for user, value in told.items()]))
    mean, titles = model.global_mean_, np.append(model.item_bias_, 0.0)

    def viewers():
        rows = new.ratings_.csr.toarray()
        return {u: sum(v - mean - titles[i] for i, v in enumerate(rows[u]) if v) / (np.sum(rows[u] > 0) + 2)
                for u in (3, 4)}  # fmt: skip

    first = viewers()
    titles[5] = (9 - mean - first[3] + 4 - mean - first[4]) / (2 + 2)
    assert new.item_bias_.tolist() == pytest.approx(titles.tolist())
    assert new.user_bias_[[3, 4]].tolist() == pytest.approx(list(viewers().values()))


def test_content_knows_a_new_title_by_its_features(table):
    features = ct.Features([11, 12, 13, 14, 15, 77], [[0, 1], [1, 0], [0, 1], [1, 1], [1, 0], [0, 2]], ["sad", "fun"])
    for model in (ct.ContentOnly(features), ct.ContentMF(features, n_factors=2, n_epochs=9, patience=None)):
        new = model.fit(table).update(pd.DataFrame({"user_id": [101], "item_id": [77], "rating": [4]}))
        assert new.item_table_.toarray()[-1].tolist() == [0, 2]
        growing._solve_side(new, 1, np.array([5]))  # once more, on the viewers as they are by now
        title = new.fold_in_item({101: 4}, features={"fun": 2.0})
        np.testing.assert_allclose(new.predict([103, 104], 77), title.predict([103, 104]), atol=1e-9)
        assert new.updates_[-1]["new_titles"] == 1


def test_an_update_solves_viewers_then_titles_by_their_features_then_viewers_again(table):
    features = ct.Features([11, 12, 13, 14, 15, 77], [[0, 1], [1, 0], [0, 1], [1, 1], [1, 0], [0, 2]], ["sad", "fun"])
    model = ct.ContentMF(features, n_factors=2, n_epochs=9, patience=None).fit(table)
    new = model.update(pd.DataFrame({"user_id": [101, 103], "item_id": [77, 77], "rating": [4, 9]}))
    slow = growing._extended(model, new.ratings_)
    for axis, at in ((0, [0, 2]), (1, [5]), (0, [0, 2])):
        growing._solve_side(slow, axis, np.array(at))
    for name in ("user_factors_", "user_bias_", "item_factors_", "item_bias_"):
        np.testing.assert_allclose(getattr(new, name), getattr(slow, name), rtol=1e-12)
    assert not np.allclose(new.item_bias_[5], 0)


@pytest.mark.parametrize("name", FIXED_TITLES)
def test_models_of_pairs_of_titles_refuse_new_ones_and_say_what_to_do(name, table):
    model = fit(name, table)
    frame = pd.DataFrame({"user_id": [101, 900], "item_id": [77, 11], "rating": [9, 9]})
    with pytest.raises(ValueError, match=r"weighs the titles.*not met, got \[77\]; fit it again, or leave them out"):
        model.update(frame)
    new = model.update(ct.load_table(frame, scale=(1, 10)).part([1]))  # the title is named, and nobody rated it
    assert new.updates_[-1]["new_users"] == 1
    assert new.ratings_.n_items == 5


def test_the_nuclear_norm_refuses_also_within_a_blend(table):
    for model in (ct.NuclearNorm(), ct.Blend(ct.NuclearNorm(), ct.BiasBaseline(), weight=0.5)):
        with pytest.raises(
            ValueError, match="NuclearNorm has no rows that can be solved again one by one; fit it again"
        ):
            model.fit(table).update(together(table, [(101, 13, 2)]))


def test_a_frame_is_read_as_load_table_reads_it(table):
    frame = pd.DataFrame({"customer": [101, 101, 102, 103], "sku": [13, 13, 11, 11], "stars": [2, 4, NO, 9]})
    new = ct.BiasBaseline().fit(table).update(frame)
    row = new.updates_[-1]
    assert (row["added"], row["replaced"], row["unchanged"], row["left_out"]) == (1, 0, 1, 2)
    assert dict(zip(new.viewer(101).at.tolist(), new.viewer(101).values.tolist(), strict=True))[2] == 4
    assert row["users"] == 1


def test_an_update_counts_what_it_adds_replaces_and_meets_again(table):
    rows = [(101, 13, 4), (102, 11, 5), (102, 15, 2), (101, 77, 6), (101, 11, 3), (104, 12, 5), (103, 11, 9)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "rating"])
    model = ct.BiasBaseline().fit(table)
    new = model.update(frame)
    assert new.updates_ == [{"users": 3, "new_users": 0, "titles": 4, "new_titles": 1, "added": 4, "replaced": 2,
                             "unchanged": 1, "left_out": 0}]  # fmt: skip
    assert np.array_equal(new.item_counts_, new.ratings_.item_counts)
    again = new.update(frame)
    assert again.updates_[:-1] == new.updates_
    assert again.updates_[-1] == dict.fromkeys(new.updates_[0], 0) | {"unchanged": 7}


def test_a_part_of_a_table_brings_nobody_without_a_rating(table):
    few = table.restrict(np.arange(6) < 3, np.arange(5) < 5)
    new = ct.BiasBaseline().fit(few).update(table.part(np.flatnonzero(table.rows == 3)))
    assert new.ratings_.user_ids.tolist() == [101, 102, 103, 104]
    assert new.updates_[0]["new_users"] == 1


def test_what_is_no_viewer_and_no_name_is_refused(table):
    model = ct.BiasBaseline().fit(table)
    for wrong in (TOLD, table, None):
        with pytest.raises(TypeError, match="viewer must be a Viewer, as fold_in gives it"):
            model.add(wrong, 200)
    for wrong in (7, ["zoe"], True):
        with pytest.raises(TypeError, match="name must be a text or None"):
            model.add(model.fold_in(TOLD), 200, wrong)
    with pytest.raises(TypeError, match=r"user must be an id like those of the table, such as \[101\], got 'zoe'"):
        model.add(model.fold_in(TOLD), "zoe")


def test_nothing_new_changes_nothing(table):
    model = ct.ALS(2).fit(table)
    new = model.update(table)
    assert new.updates_[-1] | {"unchanged": 0} == dict.fromkeys(new.updates_[-1], 0)
    assert np.array_equal(new.complete(), model.complete())


@pytest.mark.parametrize(("wrong", "error", "words"), [
    ({"user_id": [101], "item_id": [13], "rating": [11]}, ValueError, "outside the scale"),
    ({"user_id": ["x"], "item_id": [13], "rating": [9]}, TypeError, "user ids like those of this table"),
    ({"user_id": [101], "item_id": ["x"], "rating": [9]}, TypeError, "item ids like those of this table"),
    ({"user_id": [101], "item_id": [13]}, ValueError, "no column is known as the rating"),
])  # fmt: skip
def test_ratings_of_another_kind_are_refused(table, wrong, error, words):
    model = ct.ALS(2).fit(table)
    with pytest.raises(error, match=words):
        model.update(pd.DataFrame(wrong))
    with pytest.raises(TypeError, match="ratings must be Ratings or a DataFrame"):
        model.update(wrong)


def test_noise_is_that_of_the_ratings_as_they_are(table):
    model = ct.BiasBaseline().fit(table)
    before = model.noise()
    new = model.update(together(table, [(101, 13, 1), (102, 11, 1)]))
    assert new.noise() != before
    assert model.noise() == before


# ---- Certificates say nothing false ----


@pytest.mark.parametrize("name", ["baseline", "spectral", "spectral with biases", "content only", "EASE",
                                  "ALS", "ALS with biases"])  # fmt: skip
def test_a_certificate_after_an_update_bounds_a_refit(name, sample):
    train, late = sample.split_random(0.02)
    model = ALL[name]
    if name == "content only":
        model = ct.ContentOnly(ct.load_genres(ct.DATA / "catalogue.csv", sample))
    model = clone(model).fit(train)
    new, viewer = model.update(late), model.fold_in({sample.item_ids[0].item(): 3})
    for grown in (new, model.add(viewer, 10**6)):
        again = clone(model).fit(grown.ratings_)
        optimum = again.certificate()
        ours = grown.certificate()
        assert ours.gap > -1e-9 * ours.primal
        assert (ours.gap > 1e-6) is (name != "content only")  # there each viewer is alone, and so solved whole
        assert ours.primal >= optimum.dual * (1 - 1e-3)  # the mean moved by little: nearly the same problem
        assert ours.dual <= optimum.primal * (1 + 1e-3)
        if not getattr(model, "biases", True):  # without a mean it is the same problem
            assert ours.dual <= optimum.primal * (1 + 1e-9)
            assert ours.primal >= optimum.dual * (1 - 1e-9)
        assert ours.primal != model.certificate().primal


def test_the_spectral_objective_after_an_update_by_hand(sample):
    train, late = sample.split_random(0.02)
    new = ct.SpectralRegularization(8, biases=True).fit(train).update(late)
    X = new.user_factors_ @ new.item_factors_.T
    np.testing.assert_allclose((new.U_ * new.s_) @ new.Vt_, X, atol=1e-9)
    left = new.ratings_.values - new.predict_cells(new.ratings_.rows, new.ratings_.cols)
    biases = new.user_bias_ @ new.user_bias_ + new.item_bias_ @ new.item_bias_
    objective = left @ left / 2 + 8 * np.linalg.svd(X, compute_uv=False).sum() + 5 / 2 * biases
    assert new.certificate().primal == pytest.approx(objective)
    assert new.certificate() != new.certified_


def test_a_direction_of_no_length_stays_one_for_whoever_is_kept(noisy):
    model = ct.SpectralRegularization(1).fit(noisy)
    assert len(model.s_) > 1
    model.s_[-1] = model.user_factors_[:, -1] = model.item_factors_[:, -1] = 0.0
    viewer = model.fold_in({0: 5.0, 3: 7.0})
    kept = model.add(viewer, 900)
    assert kept.U_[-1, -1] == 0
    assert (kept.U_[-1] * model.s_) @ model.Vt_ == pytest.approx(viewer.scores, abs=1e-12)


def test_the_nuclear_norm_has_no_bound_any_more_and_says_how_far_it_repeats(table):
    model = ct.NuclearNorm().fit(table)
    assert model.certificate() is not None
    new = model.add(model.fold_in(TOLD), 200)
    assert new.certificate() is None
    assert new.violation_ == pytest.approx(np.abs(new.errors(new.ratings_)).max())


# ---- Tables joined ----


def test_newer_ratings_take_the_place_of_older_ones(table):
    newer = ct.Ratings([101, 7], [13, 99], [0, 0, 1], [0, 1, 0], [1, 2, 3], titles=["Puma", "Yak"], times=[90, 91, 92])
    both = table.updated(newer)
    assert both.user_ids.tolist() == [101, 102, 103, 104, 105, 106, 7]
    assert both.titles.tolist() == ["Apple", "Bear", "Cat", "Dog", "Elk", "Yak"]
    assert both.user_names.tolist()[-1] == "7"
    assert both.dropped == {}
    assert both.times.tolist()[-3:] == [90, 91, 92]
    again = both.updated(newer.part([1]))
    assert again.dropped == {"replaced by newer ratings": 1}
    assert again.fingerprint == both.fingerprint


def test_times_are_kept_where_they_can_be(table):
    newer = ct.Ratings([101], [13], [0], [0], [1])
    both = table.updated(newer)
    assert both.times.tolist() == [*table.times.tolist(), table.times.max()]
    assert "count as given at the last" in repr(both)
    dated = ct.Ratings([101], [13], [0], [0], [1], times=pd.to_datetime(["2024-05-31"]))
    with pytest.raises(TypeError, match="newer must have times as these"):
        table.updated(dated)
    assert newer.updated(dated).times is None
