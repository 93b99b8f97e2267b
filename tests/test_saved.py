"""Saved weights: what is loaded answers exactly like what was saved."""

import json
import pickle
import re
import warnings
import zipfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ABOUT_ITEMS, ABOUT_USERS, MODELS, RANKERS, about, plain_params
from sklearn.base import clone

import content_table as ct
from content_table_parts import files


@pytest.fixture
def loaded(fitted, tmp_path):
    fitted.save(tmp_path / "model.npz")
    return ct.load_model(tmp_path / "model.npz")


def test_a_loaded_model_is_of_the_same_kind_with_the_same_parameters(fitted, loaded):
    assert type(loaded) is type(fitted)
    assert plain_params(loaded) == plain_params(fitted)
    assert repr(loaded) == repr(fitted)


def test_a_loaded_model_predicts_exactly_the_same(fitted, loaded, table):
    assert np.array_equal(loaded.complete(), fitted.complete())
    assert np.array_equal(loaded.predict(table.user_ids[table.rows], table.item_ids[table.cols]),
                          fitted.predict(table.user_ids[table.rows], table.item_ids[table.cols]))  # fmt: skip


def test_a_loaded_model_recommends_exactly_the_same(fitted, loaded):
    pd.testing.assert_frame_equal(loaded.recommend_all(3), fitted.recommend_all(3))


CONVEX = (ct.BiasBaseline, ct.ALS, ct.NMF, ct.ContentOnly, ct.SpectralRegularization, ct.NuclearNorm)


def test_certificate_and_history_are_kept(fitted, loaded):
    assert loaded.certificate() == fitted.certificate()
    assert (fitted.certificate() is None) == (type(fitted) not in CONVEX or fitted.get_params().get("reg") == 0)
    assert loaded.history_ == fitted.history_
    assert getattr(loaded, "violation_", None) == getattr(fitted, "violation_", None)


def test_the_function_and_the_method_keep_the_ratings_unless_told_otherwise(table, tmp_path):
    model = ct.BiasBaseline().fit(table)
    for name, save in (("function", lambda *given: ct.save_model(model, *given)), ("method", model.save)):
        save(tmp_path / f"{name}.npz")
        assert np.array_equal(ct.load_model(tmp_path / f"{name}.npz").complete(), model.complete())
        save(tmp_path / f"{name}.npz", False)
        with pytest.raises(ValueError, match="saved without its viewers"):
            ct.load_model(tmp_path / f"{name}.npz").complete()
    tuned = ct.Tuned(ct.BiasBaseline(), n_trials=1, n_folds=2).fit(table)
    tuned.save(tmp_path / "tuned.npz")
    assert np.array_equal(ct.load_model(tmp_path / "tuned.npz").complete(), tuned.complete())


def test_the_training_ratings_are_kept_with_titles_names_and_scale(loaded, table):
    assert loaded.ratings_.fingerprint == table.fingerprint
    assert loaded.ratings_.titles.tolist() == table.titles.tolist()
    assert loaded.ratings_.user_names.tolist() == table.user_names.tolist()
    assert loaded.ratings_.times.tolist() == table.times.tolist()
    assert loaded.ratings_.scale == table.scale


def test_every_learnt_array_is_kept(fitted, loaded):
    for name, value in vars(fitted).items():
        if name.endswith("_") and isinstance(value, np.ndarray):
            assert np.array_equal(getattr(loaded, name), value), name


def test_a_loaded_model_can_be_saved_and_fitted_again(loaded, fitted, table, tmp_path):
    loaded.save(tmp_path / "again.npz")
    assert np.array_equal(ct.load_model(tmp_path / "again.npz").complete(), fitted.complete())
    assert np.array_equal(loaded.fit(table).complete(), fitted.complete())


def test_cold_viewers_still_fall_back_after_loading(with_cold, tmp_path):
    for model in (ct.ALS(2), ct.ItemKNN(), ct.SpectralRegularization(1)):
        model.fit(with_cold).save(tmp_path / "model.npz")
        again = ct.load_model(tmp_path / "model.npz")
        (before, _), (after, fallback) = (m.predict([106, 101], [11, 13], return_fallback=True) for m in (model, again))
        assert np.array_equal(after, before)
        assert fallback.tolist() == [True, True]


def test_a_file_without_viewers_may_have_titles_that_nobody_rated(with_cold, tmp_path):
    model = ct.ALS(2).fit(with_cold)
    assert with_cold.item_counts.min() == 0
    model.save(tmp_path / "model.npz", with_ratings=False)
    told = {with_cold.item_ids[0]: with_cold.values[0]}
    again = ct.load_model(tmp_path / "model.npz").fold_in(told)
    assert again.predict([with_cold.item_ids[1]]) == model.fold_in(told).predict([with_cold.item_ids[1]])


def test_no_pickle_is_needed_to_read_a_file(fitted, tmp_path):
    fitted.save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(str(arrays["about"]))
    assert about["model"] == type(fitted).__name__
    assert about["format"] == ct.FORMAT_VERSION
    assert about["ratings"] == fitted.ratings_.fingerprint
    assert not any(array.dtype.hasobject for array in arrays.values())


SUBTLE = {
    "content": ct.ContentMF(ABOUT_ITEMS, ABOUT_USERS, n_factors=2, n_epochs=5, patience=None),
    "content, early stopping": ct.ContentMF(ABOUT_ITEMS, n_factors=2, learning_rate=0.1, validation_size=0.2),
    "words of a file": ct.ContentOnly(ct.tfidf_features([11, 12, 13, 14, 15], ["a cat", "dog", "", "cat dog", "elk"])),
    "blend of a blend": ct.Blend(
        ct.Blend(ct.BiasBaseline(), ct.ItemKNN(), weight=0.5), ct.ContentOnly(ABOUT_ITEMS), validation_size=0.3
    ),
    "blend of fitted models": ct.Blend(ct.GlobalMean(), ct.ContentOnly(ABOUT_ITEMS), weight=0.5, prefit=True),
    "popularity": RANKERS["popularity"],
    "implicit ALS": RANKERS["implicit ALS"],
    "hybrid": RANKERS["hybrid"],
}


@pytest.mark.parametrize("name", SUBTLE)
def test_models_with_features_or_models_in_them_are_kept_whole(name, with_cold, tmp_path):
    model = clone(SUBTLE[name])
    if name == "blend of fitted models":
        model.set_params(first=model.first.fit(with_cold), second=model.second.fit(with_cold))
    model.fit(with_cold).save(tmp_path / "model.npz")
    again = ct.load_model(tmp_path / "model.npz", with_cold)
    assert type(again) is type(model)
    assert plain_params(again) == plain_params(model)
    assert np.array_equal(again.complete(), model.complete())
    assert again.history_ == model.history_
    before, after = (one.predict([106, 101], [11, 13], return_fallback=True) for one in (model, again))
    assert after[0].tolist() == before[0].tolist()
    assert after[1].tolist() == before[1].tolist()
    if hasattr(model, "taste"):
        pd.testing.assert_frame_equal(again.taste(101), model.taste(101))
    if name != "popularity":
        assert np.array_equal(clone(again).set_params(prefit=False).fit(with_cold).complete()
                              if name == "blend of fitted models" else clone(again).fit(with_cold).complete(),
                              model.complete())  # fmt: skip


def test_features_are_kept_with_ids_names_and_order(table, tmp_path):
    ct.ContentOnly(ABOUT_ITEMS).fit(table).save(tmp_path / "model.npz")
    features = ct.load_model(tmp_path / "model.npz").item_features
    assert features == ABOUT_ITEMS
    assert features.names.tolist() == ["funny", "sad", "long"]
    assert features.ids.tolist() == [15, 14, 13, 12, 11]


def test_what_is_kept_of_a_blend_is_the_two_fits_and_their_weight(table, tmp_path):
    model = ct.Blend(ct.BiasBaseline(), ct.ItemKNN(), validation_size=0.3).fit(table)
    model.save(tmp_path / "model.npz")
    again = ct.load_model(tmp_path / "model.npz")
    assert (type(again.first_), type(again.second_)) == (ct.BiasBaseline, ct.ItemKNN)
    assert again.weight_ == model.weight_
    assert again.first_.ratings_.fingerprint == model.first_.ratings_.fingerprint == table.fingerprint
    assert not hasattr(again.first, "ratings_")  # the parameters are the unfitted models


def test_fitted_models_of_a_blend_keep_the_ratings_that_each_was_fitted_to(table, tmp_path):
    train, validation = table.split_random(0.3, 0)
    ct.Blend(ct.BiasBaseline().fit(train), ct.ItemKNN().fit(table), prefit=True).fit(table, validation).save(
        tmp_path / "model.npz"
    )
    again = ct.load_model(tmp_path / "model.npz", table)
    assert again.first_.ratings_.fingerprint == train.fingerprint != table.fingerprint
    assert again.second_.ratings_.fingerprint == again.ratings_.fingerprint == table.fingerprint


@pytest.mark.parametrize("pair", [tuple, list])
def test_starting_arrays_of_als_are_kept(table, tmp_path, pair):
    rng = np.random.default_rng(0)
    start = pair([rng.normal(size=(6, 2)), rng.normal(size=(5, 2))])
    ct.ALS(2, init=start, n_epochs=2, tol=0).fit(table).save(tmp_path / "model.npz")
    again = ct.load_model(tmp_path / "model.npz")
    assert all(np.array_equal(one, other) for one, other in zip(again.init, start, strict=True))
    assert np.array_equal(again.fit(table).complete(), ct.ALS(2, init=start, n_epochs=2, tol=0).fit(table).complete())


@pytest.mark.parametrize(
    "model",
    [ct.ALS(n_factors=np.int64(2)), ct.BiasBaseline(reg=np.float32(2)), ct.ALS(2, biases=np.bool_(True))],
    ids=["int64", "float32", "bool"],
)
def test_numpy_numbers_as_parameters_are_kept(model, table, tmp_path):
    model.fit(table).save(tmp_path / "model.npz")
    assert np.array_equal(ct.load_model(tmp_path / "model.npz").complete(), model.complete())


def test_a_model_with_a_generator_as_random_state_says_that_it_needs_a_number(table, tmp_path):
    model = ct.ALS(2, random_state=np.random.default_rng(3)).fit(table)
    with pytest.raises(ValueError, match="a random_state must be a whole number"):
        model.save(tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_ids_may_be_text(tmp_path):
    frame = pd.DataFrame({"who": ["ann", "bob", "ann"], "what": ["Bear", "Bear", "Cat"], "mark": [7, 8, 9]})
    ratings = ct.Ratings.from_frame(frame, "who", "what", "mark")
    model = ct.BiasBaseline().fit(ratings)
    model.save(tmp_path / "model.npz")
    again = ct.load_model(tmp_path / "model.npz", ratings)
    assert again.predict("bob", "Cat") == model.predict("bob", "Cat")
    assert again.recommend("bob", 1)["item_id"].tolist() == ["Cat"]


def test_the_folder_and_the_name_are_kept_as_given(table, tmp_path):
    ct.GlobalMean().fit(table).save(tmp_path / "no suffix")
    ct.GlobalMean().fit(table).save(str(tmp_path / "text.npz"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["no suffix", "text.npz"]


def test_a_failing_save_leaves_the_old_file_and_no_temporary_one(table, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    ct.GlobalMean().fit(table).save(path)
    old = path.read_bytes()

    def break_off(file, **arrays):
        file.write(b"half of")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", break_off)
    with pytest.raises(OSError, match="disk full"):
        ct.BiasBaseline().fit(table).save(path)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


def test_saving_replaces_an_older_file(table, tmp_path):
    ct.GlobalMean().fit(table).save(tmp_path / "model.npz")
    ct.BiasBaseline().fit(table).save(tmp_path / "model.npz")
    assert isinstance(ct.load_model(tmp_path / "model.npz"), ct.BiasBaseline)


def test_a_fitted_model_travels_to_another_process(fitted):
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).complete(), fitted.complete())


class NotListed(ct.GlobalMean):
    """A model of somebody's own that has not joined `MODELS`."""


@pytest.mark.parametrize("model", [NotListed(), ct.Blend(NotListed(), ct.GlobalMean(), weight=0.5)])
def test_what_could_not_be_loaded_is_not_saved(model, table, tmp_path):
    with pytest.raises(ValueError, match="load_model would not know NotListed; first let it join"):
        model.fit(table).save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_the_same_ratings_on_another_scale_are_other_ratings(table, tmp_path):
    ct.GlobalMean().fit(table).save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match=r"trained on other data: .*scale \(1.0, 10.0\)\), not the given"):
        ct.load_model(tmp_path / "model.npz", replace(table, scale=(1.0, 20.0)))


def changed(path, change):
    """The same file with its description changed, as by somebody who means no good, and its hash with it."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(str(arrays["about"]))
    arrays.pop("about")
    change(about["content"]["state"], arrays)
    about["sha256"] = files._sha256(about, arrays)
    np.savez(path, **arrays | {"about": np.array(json.dumps(about))})


def cut(state, arrays):
    name = state["item_factors_"]["array"]
    arrays[name] = arrays[name][:3]


def negative(state, arrays):
    state["reg"] = -5


def hooked(state, arrays):
    state["predict"] = "hello"


@pytest.mark.parametrize("change", [cut, negative, hooked])
def test_a_file_whose_parts_do_not_fit_each_other_is_refused(change, table, tmp_path):
    ct.ALS(2).fit(table).save(tmp_path / "model.npz")
    changed(tmp_path / "model.npz", change)
    with pytest.raises(ValueError, match="is damaged or is not a saved model"):
        ct.load_model(tmp_path / "model.npz", table)


def test_keys_of_a_dict_keep_their_type():
    arrays = {}
    packed = json.dumps(files._pack({7: 1.5, "a": {2: np.ones(2)}}, arrays, {}))
    assert files._unpack(json.loads(packed), arrays, {})[7] == 1.5


# ---- Without the viewers ----

EVERY = MODELS | RANKERS
TOLD = [{11: 9, 14: 2, "Elk": 7}, {12: 4}, {}, {item: 5 for item in range(11, 16)}]


@pytest.fixture(params=EVERY)
def pair(request, secret, tmp_path):
    """Each kind of model, and what its file says without the viewers."""
    model = about(clone(EVERY[request.param]), secret).fit(secret)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*keeps which titles were rated together")
        model.save(tmp_path / "bare.npz", with_ratings=False)
    return model, ct.load_model(tmp_path / "bare.npz"), tmp_path / "bare.npz"


@pytest.fixture(scope="module")
def secret(table):
    """The typed-in table with ids and names that nothing else would be called, and a title that nobody rated."""
    ids, names = np.arange(6) + 8_675_309, [f"viewer{letter}xyz" for letter in "ABCDEF"]
    known = table.cols != 2
    return replace(
        table.part(known), user_ids=ids, user_names=names, times=table.times[known] + 1_234_567_890, dropped={"x": 3}
    )


def same(one, other):
    """Equal tables, or the same refusal."""

    def asked(ask):
        try:
            return ask()
        except ValueError as error:
            return str(error)

    first, second = asked(one), asked(other)
    if isinstance(first, pd.DataFrame):
        pd.testing.assert_frame_equal(first, second)
    else:
        assert np.array_equal(first, second)


def close(model):
    """Equal to the last digit; to rounding where what viewers did is turned to axes that are nobody's."""
    turned = getattr(model, "item_roots_", None) is not None
    return partial(np.allclose, rtol=1e-12, atol=1e-14) if turned else np.array_equal


def lengths(thing):
    """The lengths of all axes of all arrays in a model, down to the bottom."""
    if hasattr(thing, "shape") and hasattr(thing, "dtype"):
        return set(thing.shape)
    inside = list(thing) if isinstance(thing, (list, tuple)) else list(getattr(thing, "__dict__", {}).values())
    return set().union(*map(lengths, inside))


@pytest.mark.parametrize("told", TOLD)
def test_without_its_viewers_a_model_folds_in_exactly_as_before(pair, told):
    model, bare, _ = pair
    viewer, again = model.fold_in(told), bare.fold_in(told)
    assert type(bare) is type(model)
    assert bare.ratings_.n_users == 0
    assert close(bare)(again.scores, viewer.scores)
    same(lambda: again.recommend(3), lambda: viewer.recommend(3))
    for item in (11, 13, 15):
        same(lambda item=item: again.explain(item), lambda item=item: viewer.explain(item))
        same(lambda item=item: ct.explain(bare, again, item, 1), lambda item=item: ct.explain(model, viewer, item, 1))
    if model.score_name == "predicted_rating" and viewer.fold.variance is not None:
        assert again.uncertainty([11, 13]).tolist() == viewer.uncertainty([11, 13]).tolist()
        assert bare.noise() == model.noise()


def test_the_file_has_nothing_of_the_viewers(pair, secret):
    _, bare, path = pair
    with zipfile.ZipFile(path) as archive:
        content = path.read_bytes() + b"".join(archive.read(name) for name in archive.namelist())
    words = [*secret.user_names.tolist(), *map(str, secret.user_ids.tolist())]
    for word in words:
        assert not any(word.encode(code) in content for code in ("utf-8", "utf-32-le"))
    numbers = [*secret.user_ids.tolist(), *secret.times.tolist()]
    assert not any(number.to_bytes(8, "little") in content for number in numbers)
    assert secret.n_users not in lengths(bare)  # nor a row for each of them


def test_whom_the_file_was_saved_without_is_told(pair, secret):
    _, bare, _ = pair
    for ask in (
        lambda: bare.predict(secret.user_ids[0], 11),
        lambda: bare.recommend(secret.user_names[0]),
        lambda: bare.viewer(8_675_309),
        lambda: bare.fold_in_item({secret.user_names[0]: 5}),
    ):
        with pytest.raises(KeyError, match="saved without its viewers"):
            ask()
    for ask in (lambda: bare.fit(bare.ratings_), lambda: bare.ratings_.frame(), lambda: len(bare.ratings_)):
        with pytest.raises(ValueError, match="saved without its viewers: their ratings are not in the file"):
            ask()
    with pytest.raises(AttributeError, match="has no 'rowz'"):
        bare.ratings_.rowz  # noqa: B018


def test_a_certificate_that_needs_the_ratings_is_refused_and_one_that_was_kept_is_given(pair):
    model, bare, _ = pair
    before = model.certificate()
    if before is None or hasattr(model, "certified_"):
        assert bare.certificate() == before
    else:
        with pytest.raises(ValueError, match="saved without its viewers"):
            bare.certificate()


def test_without_its_viewers_a_file_still_knows_what_it_was_trained_on(pair, secret, four, tmp_path):
    model, bare, path = pair
    assert bare.ratings_.fingerprint == secret.fingerprint
    assert ct.load_model(path, secret).ratings_.fingerprint == secret.fingerprint
    with pytest.raises(ValueError, match=r"trained on other data: Ratings.saved without its viewers, 5 items"):
        ct.load_model(path, four)
    bare.save(tmp_path / "again.npz")  # as it is
    again = ct.load_model(tmp_path / "again.npz", secret)
    assert close(bare)(again.fold_in({11: 9}).scores, model.fold_in({11: 9}).scores)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*keeps which titles were rated together")
        bare.save(tmp_path / "again.npz", with_ratings=False)
    assert ct.load_model(tmp_path / "again.npz", secret).ratings_.titles.tolist() == secret.titles.tolist()


def test_saving_without_the_viewers_leaves_the_model_as_it_was(pair, secret):
    model, *_ = pair
    assert model.ratings_ is secret
    assert len(model.user_bias_) == secret.n_users
    assert model.predict(secret.user_ids[0], 11).shape == (1,)


@pytest.mark.filterwarnings("ignore:.*keeps which titles were rated together")
@pytest.mark.parametrize("name", ["content", "blend of a blend", "blend of fitted models"])
def test_models_with_models_in_them_leave_all_of_their_viewers_out(name, secret, tmp_path):
    model = clone(SUBTLE[name])
    if name == "content":
        profiles = ct.Features(secret.user_ids, np.eye(6), list("abcdef"), "users")
        model.set_params(user_features=profiles)
        model = ct.Blend(model, ct.BiasBaseline(), weight=0.5)
    if name == "blend of fitted models":
        model.set_params(first=model.first.fit(secret), second=model.second.fit(secret))
    model.fit(secret).save(tmp_path / "bare.npz", with_ratings=False)
    bare = ct.load_model(tmp_path / "bare.npz", secret)
    assert secret.n_users in lengths(model)
    assert secret.n_users not in lengths(bare)
    assert np.array_equal(bare.fold_in({11: 9, 13: 2}).scores, model.fold_in({11: 9, 13: 2}).scores)


def test_starting_points_of_the_viewers_are_left_out(secret, tmp_path):
    rng = np.random.default_rng(0)
    model = ct.ALS(2, init=(rng.normal(size=(6, 2)), rng.normal(size=(5, 2)))).fit(secret)
    model.save(tmp_path / "bare.npz", with_ratings=False)
    assert ct.load_model(tmp_path / "bare.npz").init == "random"


@pytest.mark.parametrize("model", [ct.ItemKNN(), ct.EASE(), ct.GraphFilter(), ct.Hybrid(ct.BiasBaseline())], ids=repr)
def test_a_model_of_pairs_says_that_lists_can_be_told_from_its_file(model, secret, tmp_path):
    """Here they are: of EASE the table of who rated two titles together, from weights and settings alone."""
    with pytest.warns(UserWarning, match=f"{type(model).__name__} keeps which titles were rated together"):
        model.fit(secret).save(tmp_path / "bare.npz", with_ratings=False)
    if isinstance(model, ct.EASE):
        bare = ct.load_model(tmp_path / "bare.npz")
        C = np.linalg.inv(np.eye(len(bare.item_weights_)) - bare.item_weights_)
        together = np.diag((secret.item_counts + bare.reg) / np.diag(C)) @ C - bare.reg * np.eye(len(C))
        assert together == pytest.approx((secret.known.T @ secret.known).toarray(), abs=1e-8)


def test_of_models_within_models_it_says_so_once(secret, tmp_path):
    inner = ct.Blend(ct.ItemKNN(), ct.BiasBaseline(), weight=0.5)
    with pytest.warns(UserWarning, match="ItemKNN keeps which titles") as said:
        ct.Blend(inner, ct.ItemKNN(), weight=0.5).fit(secret).save(tmp_path / "bare.npz", with_ratings=False)
    assert len(said) == 1


@dataclass
class Keeper(ct.BiasBaseline):
    """A model of somebody's own with a setting of a name that another class has."""

    n_kept: int = 3


def test_a_setting_of_ones_own_may_have_the_name_of_anothers(secret, tmp_path, monkeypatch):
    monkeypatch.setattr(ct, "MODELS", (*ct.MODELS, Keeper))
    Keeper().fit(secret).save(tmp_path / "own.npz")
    assert ct.load_model(tmp_path / "own.npz", secret).n_kept == 3


def test_a_tuned_model_saves_its_choice_without_the_viewers(sample, tmp_path):
    tuned = ct.Tuned(ct.BiasBaseline(), n_trials=2, n_folds=2).fit(sample)
    tuned.save(tmp_path / "bare.npz", with_ratings=False)
    told = {sample.item_ids[0].item(): 9}
    assert np.array_equal(ct.load_model(tmp_path / "bare.npz", sample).fold_in(told).scores, tuned.fold_in(told).scores)


class Clustered(ct.GlobalMean):
    """A model of somebody's own whose names do not tell what they are about."""

    def _fit(self, ratings, validation):
        self.clusters_ = np.arange(ratings.n_users)


def test_where_nothing_tells_what_is_about_viewers_nothing_is_saved(secret, tmp_path, monkeypatch):
    monkeypatch.setattr(ct, "MODELS", (*ct.MODELS, Clustered))
    model = Clustered().fit(secret)
    model.save(tmp_path / "whole.npz")
    with pytest.raises(ValueError, match=r"nothing tells whether its clusters_ is about viewers; one .* user_"):
        model.save(tmp_path / "bare.npz", with_ratings=False)
    model.user_clusters_ = vars(model).pop("clusters_")
    model.save(tmp_path / "bare.npz", with_ratings=False)
    assert len(ct.load_model(tmp_path / "bare.npz").user_clusters_) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bare.npz", "whole.npz"]


# ---- What cannot be kept ----


def test_ids_that_json_does_not_know_are_no_bare_type_error(tmp_path):
    ratings = ct.Ratings.from_matrix([[5, 3], [4, np.nan]])
    vars(ratings)["user_ids"] = np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]")
    model = ct.GlobalMean().fit(ratings)
    for with_ratings in (True, False):
        with pytest.raises(ValueError, match="this model cannot be saved"):
            model.save(tmp_path / "model.npz", with_ratings)
    assert list(tmp_path.iterdir()) == []


def test_settings_that_do_not_fit_what_was_learnt_are_not_saved(table, tmp_path):
    model = ct.ALS(2).fit(table).set_params(n_factors=3)
    with pytest.raises(ValueError, match=r"this model cannot be saved: ALS.user_factors_ must be .*k=3"):
        model.save(tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_edited_does_not_match_its_hash(table, tmp_path):
    ct.ALS(2).fit(table).save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as stored:
        arrays = dict(stored)
    about = json.loads(str(arrays["about"]))
    arrays[about["content"]["state"]["item_factors_"]["array"]] += 1e-9
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(ValueError, match=r"model.npz is damaged .*: its content does not match its own hash"):
        ct.load_model(tmp_path / "model.npz")


def test_the_page_about_saved_models_runs(tmp_path, monkeypatch):
    page = (Path(ct.__file__).parent / "docs" / "SAVED_MODELS.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.S)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block, "SAVED_MODELS.md", "exec"), names)
    assert np.array_equal(names["again"].complete(), names["model"].complete())
    assert names["published"].ratings_.n_users == 0
    for name, unit in (("MAX_MODEL_BYTES", "GiB"), ("MAX_DESCRIPTION_BYTES", "MiB")):
        assert f"{getattr(files, name) // {'GiB': 2**30, 'MiB': 2**20}[unit]} {unit}" in page
    assert f"{files.MAX_ARRAYS:,} arrays, {files.MAX_DEPTH} levels" in page
    assert f"| `format` | {ct.FORMAT_VERSION};" in page


@pytest.mark.parametrize("scale", [(1, 5), (np.int8(1), np.int8(5)), (1.0, 5.0)])
def test_a_scale_of_whole_numbers_is_saved_and_read(tmp_path, scale):
    table = ct.Ratings.from_matrix([[1, 5], [3, 4]], scale=scale)
    assert [type(end) for end in table.scale] == [float, float]
    ct.GlobalMean().fit(table).save(tmp_path / "mean.npz")
    with np.load(tmp_path / "mean.npz") as stored:
        arrays = dict(stored)
    about = json.loads(str(arrays.pop("about")))
    about["content"]["state"]["ratings_"]["state"]["scale"] = {"tuple": [1, 5]}  # as earlier versions wrote it
    about["sha256"] = files._sha256(about, arrays)
    np.savez(tmp_path / "old.npz", **arrays, about=np.array(json.dumps(about)))
    for name in ("mean.npz", "old.npz"):
        assert ct.load_model(tmp_path / name, table).ratings_.scale == (1, 5)
