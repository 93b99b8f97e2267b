"""Saved weights: what is loaded answers exactly like what was saved."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest

import content_table as ct


@pytest.fixture
def loaded(fitted, tmp_path):
    fitted.save(tmp_path / "model.npz")
    return ct.load_model(tmp_path / "model.npz")


def test_a_loaded_model_is_of_the_same_kind_with_the_same_parameters(fitted, loaded):
    assert type(loaded) is type(fitted)
    assert loaded.get_params() == fitted.get_params()
    assert repr(loaded) == repr(fitted)


def test_a_loaded_model_predicts_exactly_the_same(fitted, loaded, table):
    assert np.array_equal(loaded.complete(), fitted.complete())
    assert np.array_equal(loaded.predict(table.user_ids[table.rows], table.item_ids[table.cols]),
                          fitted.predict(table.user_ids[table.rows], table.item_ids[table.cols]))  # fmt: skip


def test_a_loaded_model_recommends_exactly_the_same(fitted, loaded):
    pd.testing.assert_frame_equal(loaded.recommend_all(3), fitted.recommend_all(3))


def test_certificate_and_history_are_kept(fitted, loaded):
    before, after = (getattr(model, "certificate_", None) for model in (fitted, loaded))
    assert before == after
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
        assert np.array_equal(again.predict([106, 101], [11, 13]), model.predict([106, 101], [11, 13]))
        assert again.n_fallback_ == 2


def test_no_pickle_is_needed_to_read_a_file(fitted, tmp_path):
    fitted.save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(str(arrays["about"]))
    assert about["model"] == type(fitted).__name__
    assert about["format"] == ct.FORMAT_VERSION
    assert about["ratings"] == fitted.ratings_.fingerprint
    assert not any(array.dtype.hasobject for array in arrays.values())


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
