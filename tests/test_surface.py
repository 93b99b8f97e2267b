"""The surface: what a reader's program touches, in small; and an installed wheel, away from the clone."""

import os
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from conftest import ABOUT_ITEMS, ABOUT_USERS
from sklearn.base import clone

import content_table as ct

ROOT = Path(ct.__file__).parent


def test_ids_come_back_in_the_type_of_the_ids_however_they_are_asked_for(table):
    for asked in ("102", 102, np.int64(102), "bob"):
        assert type(table.user_id(asked)) is int
        assert table.user_id(asked) == 102
    for asked in ("13", 13, np.int64(13), "cat"):
        assert type(table.item_id(asked)) is int
        assert table.item_id(asked) == 13
    texts = ct.Ratings(["a", "b"], ["x", "y"], [0], [1], [5.0])
    assert type(texts.user_id(np.str_("b"))) is str


@pytest.mark.parametrize("name", ["csr", "csc", "known"])
def test_tables_that_are_kept_cannot_be_written_to(table, name):
    kept = getattr(table, name)
    for array in (kept.data, kept.indices, kept.indptr, table.user_counts, table.item_counts):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 3


@pytest.mark.parametrize(("given", "column"), [("times", "time"), ("titles", "title"), ("user_names", "name")])
def test_arrays_beside_a_frame_are_refused_with_the_way_to_say_it(given, column):
    frame = pd.DataFrame({"who": [2, 1], "what": [1, 2], "rating": [5, 6]})
    with pytest.raises(TypeError, match=rf"takes {given} from a column, {column}='its name'.*of ndarray"):
        ct.Ratings.from_frame(frame, "who", "what", "rating", **{given: np.array(["a", "b"])})


def test_two_features_of_one_name_are_refused():
    with pytest.raises(ValueError, match="one name for each column; 'sad' names several"):
        ct.Features([1, 2], [[1, 0, 1], [0, 1, 1]], ["funny", "sad", "sad"])


def test_features_of_the_other_side_are_refused(table, sample):
    swapped = ct.Features(table.user_ids, np.eye(6), list("abcdef"))
    for model in (ct.ContentMF(swapped), ct.ContentOnly(swapped)):
        with pytest.raises(ValueError, match=r"item_features must be about the items, .* are the two swapped"):
            model.fit(table)
    with pytest.raises(ValueError, match=r"user_features must be about the users, .* are the two swapped"):
        ct.ContentMF(ABOUT_ITEMS, ct.Features(table.item_ids, np.eye(5), list("abcde"))).fit(table)
    genres = ct.load_genres(ct.DATA / "catalogue.csv", sample)
    assert genres.about == "items"
    with pytest.raises(ValueError, match="user_features must be about the users"):
        ct.ContentMF(genres, genres).fit(sample)
    ct.ContentMF(ABOUT_ITEMS, ABOUT_USERS, n_epochs=2, patience=None).fit(table)  # said rightly, it is taken


def test_ids_that_are_the_same_on_both_sides_are_no_swap():
    ratings = ct.Ratings.from_matrix([[5, 3], [4, np.nan]])
    ct.ContentOnly(ct.Features([0, 1], [[1, 0], [0, 1]], ["funny", "sad"])).fit(ratings)


def test_given_splits_are_taken_as_they_are(table):
    splits = [table.split_random(0.3, seed) for seed in (5, 6)]
    models = {"baseline": ct.BiasBaseline(), "mean": ct.GlobalMean()}
    results = ct.evaluate(models, splits=splits)
    expected = [ct.rmse(ct.BiasBaseline().fit(train), test) for train, test in splits]
    assert results.query("model == 'baseline'")["rmse"].tolist() == expected
    assert ct.paired_differences(results, "mean")["verdict"].isin(["tie", "better", "worse", "reference"]).all()
    measured = ct.compare(models, None, 7, splits=splits)
    assert measured.query("model == 'baseline'")["rmse"].tolist() == expected
    by_time = table.split_user_time()
    assert len(ct.evaluate(models, splits=[(by_time[0], by_time[2])])) == 2


@pytest.mark.parametrize("wrong", [[], [1], [("train", "test")]])
def test_splits_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="splits"):
        ct.evaluate({"mean": ct.GlobalMean()}, splits=wrong)


def test_each_split_is_a_pair_of_ratings_of_one_universe_with_something_to_test(table, four):
    train, test = table.split_random()
    nothing = table.part([])
    wrong = [(train, test, test), (train,), [train, test], (train, "test"), ("train", test), (train, four)]
    for part in [*wrong, (four, test), (train, nothing)]:
        with pytest.raises(
            ValueError, match=r"splits are pairs \(train, test\) of Ratings with the same users and items"
        ):
            ct.evaluate({"mean": ct.GlobalMean()}, splits=[(train, test), part])
    with pytest.raises(ValueError, match="fit needs at least one rating"):  # of the model, not of the pair
        ct.evaluate({"mean": ct.GlobalMean()}, splits=[(nothing, test)])
    assert len(ct.evaluate({"mean": ct.GlobalMean()}, splits=iter([(train, test)]))) == 1


def test_without_ratings_and_without_splits_there_is_nothing_to_measure():
    with pytest.raises(TypeError, match="expected Ratings to split, or splits=, got NoneType"):
        ct.evaluate({"mean": ct.GlobalMean()})


@pytest.mark.parametrize("file", ["100x100.csv", "100x100_2.csv", "sparse.csv"])
def test_one_recommend_one_answer_by_whichever_route(file):
    ratings = ct.load_ratings(ct.DATA / file)
    model = ct.BiasBaseline().fit(ratings)
    together = model.recommend_all(10).groupby("user_id")["item_id"].agg(list)
    for user in ratings.user_ids.tolist():
        alone = model.recommend(user)["item_id"].tolist()
        assert alone == model.viewer(user).recommend()["item_id"].tolist() == together[user]


def test_seasons_are_folded_where_they_are_known_or_when_asked(table):
    assert not table.has_seasons
    titles = ["Apple", "Apple 2nd Season", "Cat", "Apple Movie", "Elk"]
    known = ct.Ratings(table.user_ids, table.item_ids, table.rows, table.cols, table.values, titles=titles)
    for has_seasons in (False, True):
        ratings = known.part(slice(0, None, 3))
        ratings = ct.Ratings(**{**vars(ratings), "has_seasons": has_seasons})
        model = ct.BiasBaseline().fit(ratings)
        for asked, folded in ((None, has_seasons), (True, True), (False, False)):
            for user in (101, 102, 103):
                works = [title.split()[0] for title in model.recommend(user, one_per_work=asked)["title"]]
                assert (len(works) == len(set(works))) or not folded
        assert any(
            model.recommend(user, one_per_work=False)["title"].str.startswith("Apple").sum() > 1
            for user in table.user_ids
        )


@pytest.mark.parametrize("n", [1, 10, 60, 349, 500, 10**12])
def test_the_best_positions_are_those_of_a_full_sort(n):
    rng = np.random.default_rng(n)
    for _ in range(20):
        scores = rng.integers(0, 60, 500) / 7  # with ties
        scores[rng.random(500) < 0.3] = -np.inf
        expected = [at for at in np.argsort(-scores, kind="stable").tolist() if np.isfinite(scores[at])]
        assert ct.best_positions(scores, n).tolist() == expected[:n]


def test_predict_may_be_asked_from_many_threads_at_once(sample):
    models = [ct.ItemKNN(), ct.SGDMF(n_epochs=5, patience=None), ct.SpectralRegularization(8.0, biases=True)]
    for model in models:
        model.fit(sample)
        expected = model.predict_cells(sample.rows, sample.cols)
        found = [None] * 8

        def ask(at, model=model, found=found):
            found[at] = model.predict_cells(sample.rows, sample.cols)

        threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(found))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(np.array_equal(one, expected) for one in found)


def test_a_plain_fit_learns_from_all_ratings(sample):
    plain = ct.SGDMF(n_factors=3, learning_rate=0.03, random_state=4).fit(sample)
    same = clone(plain).set_params(patience=None, n_epochs=plain.best_epoch_).fit(sample)
    assert np.array_equal(plain.complete(), same.complete())
    assert plain.global_mean_ == sample.values.mean()


def test_an_open_penalty_suits_what_the_factors_have_to_explain(noisy):
    for kind in (ct.ALS, ct.SpectralRegularization):
        for biases, reg in ((False, 5.0), (True, 12.0)):
            model, told = kind(biases=biases), kind(biases=biases, reg=reg)
            assert model.in_use("reg") == reg
            assert np.array_equal(model.fit(noisy).complete(), told.fit(noisy).complete())
            assert model.certificate() == told.certificate()
        first = ct.tune(kind(biases=True), noisy, n_trials=1).study.trials[0]
        assert first.params["reg"] == 12.0


def test_a_small_table_whose_few_eigenvalues_cannot_be_had_is_certified_all_the_same():
    rows, cols = [2, 2, 1, 1, 2, 0, 0, 0, 0, 1], [1, 3, 0, 2, 0, 1, 2, 0, 3, 3]
    ratings = ct.Ratings(range(3), range(4), rows, cols, [3.0, 6, 4, 6, 2, 7, 5, 1, 8, 10])
    assert ct.NuclearNorm().fit(ratings).certificate().relative_gap < 1e-5


def test_where_lapack_gives_up_on_a_few_eigenvalues_all_are_asked_for(sample, monkeypatch):
    def gives_up(routine):
        def call(*given, subset_by_index=None, **options):
            if subset_by_index is not None:
                raise np.linalg.LinAlgError("Internal Error.")
            return routine(*given, **options)

        return call

    table = sample.restrict(sample.user_counts > 5, sample.item_counts > 5)
    models = ct.SpectralRegularization(8), ct.GraphFilter(n_factors=3)
    expected = [clone(model).fit(table) for model in models]
    bound = expected[0].certificate()
    for name in ("eigvalsh", "eigh"):
        monkeypatch.setattr(scipy.linalg, name, gives_up(getattr(scipy.linalg, name)))
    found = [clone(model).fit(table) for model in models]
    assert found[0].certificate().dual == pytest.approx(bound.dual, rel=1e-9)
    np.testing.assert_allclose(found[1].complete(), expected[1].complete(), atol=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        ct.SGDMF(n_factors=np.uint8(200), n_epochs=3, batch_size=4, patience=None),
        ct.SGDMF(n_factors=np.uint8(130), n_epochs=np.int8(3), patience=None),
        ct.ALS(n_factors=3, n_epochs=np.uint8(255), tol=0),
        ct.ItemKNN(n_neighbors=np.int8(100)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_small_numpy_integers_are_numbers_like_others(table, model):
    plain = {
        name: value.item() if isinstance(value, np.generic) else value for name, value in model.get_params().items()
    }
    assert np.array_equal(clone(model).fit(table).complete(), type(model)(**plain).fit(table).complete())


def test_what_is_masked_is_not_learnt():
    matrix = np.ma.masked_equal([[5, 1], [4, 3]], 1)
    assert ct.Ratings.from_matrix(matrix).values.tolist() == [5, 4, 3]
    with pytest.raises(ValueError, match=r"needs a table of users and items, got an array of shape \(3,\)"):
        ct.Ratings.from_matrix([1, 2, 3])


def test_what_is_masked_in_rows_is_not_learnt_and_no_position(table):
    rows = [np.ma.masked_array([5.0, 7], mask=[0, 1]), np.ma.masked_array([3.0, 4]), [1.0, 2.0]]
    assert ct.Ratings.from_matrix(rows).values.tolist() == [5, 3, 4, 1, 2]
    with pytest.raises(ValueError, match="from_matrix needs a dense table"):
        ct.Ratings.from_matrix([np.ma.masked_array([5.0, 7], mask=[0, 1]), [1.0]])
    masked = np.ma.masked_array([0, 1, 2], mask=[0, 1, 0])
    model = ct.BiasBaseline().fit(table)
    for call in (
        lambda: table.part(masked),
        lambda: table.part(np.ma.masked_array([True] * len(table), mask=[1] + [0] * (len(table) - 1))),
        lambda: model.predict_cells(masked, [0, 1, 2]),
        lambda: model.predict_rows(masked),
        lambda: model.top_items(masked, 2),
        lambda: ct.ranking_metrics(np.ma.masked_array([[0]] * 6, mask=True), table, 5),
    ):
        with pytest.raises(ValueError, match=r"masked entr.*; leave them out"):
            call()
    assert len(table.part(np.ma.masked_array([0, 1]))) == 2  # a masked array of which nothing is masked


def test_a_missing_number_of_pandas_is_a_missing_rating():
    frame = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.array([2.5, 3], dtype="Float64")})
    assert ct.Ratings.from_matrix(frame).values.tolist() == [1, 2.5, 3]


def test_moments_are_no_ratings():
    moments = pd.to_datetime(["2020-01-01", "2021-01-01"])
    for columns in ({"a": moments, "b": [1, 2]}, {"a": moments}, {"a": moments - moments[0]}):
        with pytest.raises(ValueError, match="from_matrix needs a dense table of numbers"):
            ct.Ratings.from_matrix(pd.DataFrame(columns), scale=(0, 1e300))


def test_a_missing_value_among_objects_is_a_missing_rating():
    assert ct.Ratings.from_matrix(pd.DataFrame({"a": [1, pd.NA], "b": [2, 3]}, dtype=object)).values.tolist() == [
        1,
        2,
        3,
    ]


def test_what_is_masked_is_no_feature_no_start_and_no_belief(table):
    masked = np.ma.masked_array(np.eye(table.n_items), mask=np.eye(table.n_items))
    P, Q = np.ones((table.n_users, 2)), np.ones((table.n_items, 2))
    for call in (
        lambda: ct.Features(table.item_ids, masked, [str(i) for i in table.item_ids]),
        lambda: ct.ALS(2, init=(np.ma.masked_array(P, mask=P), Q)).fit(table),
        lambda: ct.Belief([np.ma.masked_array([1.0, 2.0], mask=[1, 0])]),
        lambda: ct.ranking_metrics([np.ma.masked_array([0], mask=[1])] * table.n_users, table, 5),
    ):
        with pytest.raises(ValueError, match=r"masked entries; leave them out"):
            call()


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "uint64", "int8", "int64"])
def test_positions_of_any_whole_kind_make_a_table(kind):
    at = np.array([0, 1], kind), np.array([1, 0], kind)
    assert ct.Ratings([1, 2], [1, 2], *at, [5.0, 6.0]).rows.tolist() == [0, 1]
    if kind == "uint64":
        with pytest.raises(ValueError, match="rows"):
            ct.Ratings([1, 2], [1, 2], np.array([0, 2**64 - 1], kind), at[1], [5.0, 6.0])


def test_a_comparison_in_which_every_model_failed_still_says_why(table):
    class Failing(ct.GlobalMean):
        """Nothing ever works."""

        def _fit(self, ratings, validation):
            raise RuntimeError("no luck")

    results = ct.compare({"failing": Failing()}, table, 7, n_splits=2)
    only = results[results["model"] == "failing"].drop(columns="relative_gap")
    row = ct.comparison(only).iloc[0]
    assert row["failed"] == 2
    assert row["error"] == "RuntimeError: no luck"


def test_a_list_longer_than_the_catalogue_is_the_catalogue(table):
    model = ct.BiasBaseline().fit(table)
    assert len(model.recommend_all(10**12)) == table.n_users * table.n_items - len(table)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        ct.compare({"baseline": model}, table, 7, n=0)


def test_where_nothing_can_be_written_each_process_compiles_for_itself():
    program = """
import numba.core.caching as caching
caching.CacheImpl._locator_classes = []  # no folder will do
import content_table as ct
from content_table_parts import solvers
ratings = ct.load_ratings(ct.DATA / "100x100.csv")
print(ct.ALS(2, 5.0, n_epochs=2, tol=0).fit(ratings).predict(ratings.user_ids[0], ratings.item_ids[0]).shape)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "(1,)\n", done.stderr


# ---- A wheel, away from the clone ----


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")  # a build leaves files behind
    for name in ("pyproject.toml", "README.md", "LICENSE", "content_table.py"):
        shutil.copy(ROOT / name, source)
    for name in ("content_table_parts", "data", "saved_weights"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_carries_the_sample_and_the_weights_and_no_more(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("data/100x100.csv", "data/sparse.csv", "data/animelist.xml", "saved_weights/baseline.npz", "py.typed"):
        assert f"content_table_parts/{name}" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"content_table.py", "content_table_parts"}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="folders have no such mode there")
def test_an_installed_wheel_works_from_another_folder_with_a_read_only_home(wheel, tmp_path):
    site, home = tmp_path / "a folder with spaces", tmp_path / "home"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    home.mkdir()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    snippet = readme.split("```python\n")[1].split("```")[0]
    program = f"{snippet}\nprint(ct.__file__)"
    locked = [site, *(path for path in site.rglob("*") if path.is_dir()), home]
    for path in locked:
        path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
        how = {"capture_output": True, "text": True, "cwd": home, "env": environment}
        done = subprocess.run([sys.executable, "-c", program], **how)
        assert done.returncode == 0, done.stderr
        assert "Certificate(primal" in done.stdout
        assert str(site) in done.stdout.splitlines()[-1]
        listed = subprocess.run([sys.executable, "-m", "content_table", "--splits", "2", "--n", "3"], **how)
        assert listed.returncode == 0, listed.stderr
        assert "simulated viewers over real titles" in listed.stdout
    finally:
        for path in locked:
            path.chmod(stat.S_IRWXU)
