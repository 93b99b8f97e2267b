"""Saved weights: what is loaded answers exactly like what was saved."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import ABOUT_ITEMS, ABOUT_USERS, RANKERS, plain_params
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


CONVEX = (ct.BiasBaseline, ct.ALS, ct.ContentOnly, ct.SpectralRegularization, ct.NuclearNorm)


def test_certificate_and_history_are_kept(fitted, loaded):
    assert loaded.certificate() == fitted.certificate()
    assert (fitted.certificate() is None) == (type(fitted) not in CONVEX or fitted.get_params().get("reg") == 0)
    assert loaded.history_ == fitted.history_
    assert getattr(loaded, "violation_", None) == getattr(fitted, "violation_", None)


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
    """The same file with its description changed, as by somebody who means no good."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(str(arrays["about"]))
    change(about["content"]["state"], arrays)
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
