"""Factors found by Spark: the same objective, an ordinary model afterwards, and nothing left behind.

What needs PySpark and Java is skipped without them; `make test-spark` sets PySpark up.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import content_table as ct
from content_table_parts import spark as parts
from content_table_parts.regressions import regress_rows, solve_all_rows

MISSING = [
    name
    for name, there in (("PySpark", importlib.util.find_spec("pyspark")), ("Java", shutil.which("java")))
    if not there
]
needs_spark = pytest.mark.skipif(
    bool(MISSING),
    reason=f"{' and '.join(MISSING)} missing; make test-spark sets PySpark up, Java 17 comes with the system",
)
FILED = json.loads((Path(ct.__file__).parent / "benchmarks" / "results" / "spark.json").read_text(encoding="utf-8"))
FIT = {"weighted_reg": True, "solver": "spark", "tol": 0}


@pytest.fixture(scope="module")
def session():
    """A session of the reader's own, which no fit may end or change; it has no folder for checkpoints."""
    with parts._session() as (own, _):
        own.sparkContext._jsc.sc().setCheckpointDir(None)
        yield own


@pytest.fixture(scope="module")
def small(sample):
    """A table with a viewer and a title that nobody knows."""
    part = sample.part(np.arange(0, len(sample), 2))
    return part.restrict(np.arange(part.n_users) < 60, np.arange(part.n_items) < 50)


def parquet(ratings, path, users=None):
    """The ratings as a Parquet file with columns of names of their own."""
    users = ratings.user_ids if users is None else users
    columns = {"who": users[ratings.rows], "what": ratings.item_ids[ratings.cols], "points": ratings.values}
    pd.DataFrame(columns).to_parquet(path, index=False)
    return path


COLUMNS = {"user": "who", "item": "what", "rating": "points"}


# ---- Refused before Spark is asked ----


@pytest.mark.parametrize("kind", [ct.ALS, ct.ImplicitALS])
def test_another_objective_than_spark_has_is_refused_with_all_that_is_missing(sample, kind):
    with pytest.raises(ValueError, match=r"needs weighted_reg=True .*, tol=0 "):
        kind(solver="spark").fit(sample)
    with pytest.raises(ValueError, match="needs init='random'"):
        kind(**FIT, init="ones").fit(sample)
    with pytest.raises(ValueError, match="biases=False"):
        ct.ALS(**FIT, biases=True).fit(sample)
    with pytest.raises(ValueError, match="reg above 0"):
        ct.ALS(**FIT, reg=0).fit(sample)


def test_a_preference_of_0_points_is_refused():
    table = ct.Ratings.from_matrix([[0.0, 2.0], [1.0, 3.0]], scale=(0, 3))
    with pytest.raises(ValueError, match="rating of 0 or less for no preference"):
        ct.ImplicitALS(**FIT).fit(table)


def test_without_pyspark_or_java_an_error_says_what_to_install(sample, monkeypatch):
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pyspark", None)
        without.setitem(sys.modules, "pyspark.ml.recommendation", None)
        with pytest.raises(ImportError, match=r"pip install 'pyspark>=4\.0' pyarrow, and Java 17"):
            ct.ALS(**FIT).fit(sample)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImportError, match="there is none on this machine: install it"):
        parts._check_java()
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(ImportError, match="there is none at JAVA_HOME=/nowhere"):
        parts._check_java()


def test_a_file_is_fitted_to_by_models_of_spark_alone_and_arguments_are_checked(tmp_path):
    path, model = tmp_path / "ratings.parquet", ct.ALS(**FIT)
    for wrong, error in ((ct.ALS(), ValueError), (ct.BiasBaseline(), TypeError), (ct.ALS(solver="spark"), ValueError)):
        with pytest.raises(error, match=r"model must|needs weighted_reg"):
            ct.fit_parquet(wrong, path)
    for name, wrong in {"user": 3, "item": None, "rating": b"r", "path": 3.5, "lists": 7}.items():
        with pytest.raises(TypeError, match=name):
            ct.fit_parquet(**{"model": model, "path": path, name: wrong})
    with pytest.raises(ValueError, match="n must be"):
        ct.fit_parquet(model, path, n=0)
    with pytest.raises(ValueError, match="random_state must be"):
        ct.fit_parquet(ct.ALS(**FIT, random_state=np.random.default_rng(1)), path)
    with pytest.raises(ValueError, match="lists must be a folder that does not exist yet"):
        ct.fit_parquet(model, tmp_path, lists=tmp_path)
    with pytest.raises(ValueError, match="there is no "):
        ct.fit_parquet(model, path)


# ---- The figures on file ----


@pytest.mark.parametrize("table", FILED["tables"])
def test_what_the_page_says_of_spark_beside_ours(table):
    run = FILED["tables"][table]
    assert run["Spark"]["train_rmse"] == pytest.approx(run["ours"]["train_rmse"], abs=0.002)
    assert run["Spark"]["objective"] == pytest.approx(run["ours"]["objective"], rel=1e-4)
    assert 0 < run["Spark"]["relative_gap"] < 0.005
    assert run["overlap"]["Spark and ours"] > run["overlap"]["ours from two starts"] - 0.02
    assert run["seconds"]["ours"] < run["seconds"]["Spark, later fit"]


def test_our_side_of_the_figures_on_file_comes_out_again(sample):
    run = FILED["tables"]["embedded"]
    ours = ct.ALS(n_factors=20, reg=0.3, weighted_reg=True, n_epochs=60, tol=0).fit(sample)
    assert repr(ours) == run["settings"]
    assert ours.history_[-1]["train_rmse"] == pytest.approx(run["ours"]["train_rmse"], abs=1e-4)
    assert ours.certificate().primal == pytest.approx(run["ours"]["objective"], rel=1e-5)


# ---- A session of our own ----

ALONE = """
import os, signal, sys, tempfile
import content_table as ct

if __name__ == "__main__":
    ratings, handler = ct.load_ratings(ct.DATA / "100x100.csv"), signal.getsignal(signal.SIGINT)
    model = ct.ALS(3, 0.5, **{fit}, n_epochs={passes})
    print("begin", flush=True)
    try:
        model.fit(ratings)
    except KeyboardInterrupt:
        print("interrupted", hasattr(model, "item_factors_"), flush=True)
    else:
        model.save("model.npz")
    import pyspark
    print(pyspark.SparkContext._gateway, pyspark.SparkContext._active_spark_context)
    print(signal.getsignal(signal.SIGINT) is handler, os.listdir(tempfile.gettempdir()))
"""


def alone(tmp_path, passes):
    """A process that fits in a session of its own, and then tells what is left."""
    (tmp_path / "tmp").mkdir()
    program = tmp_path / "alone.py"
    program.write_text(textwrap.dedent(ALONE.format(fit=FIT, passes=passes)), encoding="utf-8")
    paths = os.pathsep.join([str(Path(ct.__file__).parent), *filter(None, sys.path)])
    java = f"{os.environ.get('JDK_JAVA_OPTIONS', '')} -XX:-UsePerfData"  # which writes to /tmp, whatever is said
    env = os.environ | {"PYTHONPATH": paths, "TMPDIR": str(tmp_path / "tmp"), "JDK_JAVA_OPTIONS": java}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, program], cwd=tmp_path, env=env, **pipes)


@needs_spark
def test_a_session_of_our_own_is_quiet_ends_and_finds_what_we_find(tmp_path, sample):
    out, errors = alone(tmp_path, passes=20).communicate(timeout=100)
    assert errors == ""
    assert out.split("\n") == ["begin", "None None", "True []", ""]
    theirs = ct.load_model(tmp_path / "model.npz", sample)
    ours = ct.ALS(3, 0.5, weighted_reg=True, tol=0, n_epochs=20).fit(sample)
    assert theirs.rmse(sample) == pytest.approx(ours.rmse(sample), abs=0.002)
    assert theirs.certificate().primal == pytest.approx(ours.certificate().primal, rel=1e-3)
    assert 0 < theirs.certificate().relative_gap < 0.05
    assert len(theirs.history_) == 1


@needs_spark
def test_ctrl_c_ends_spark_and_leaves_nothing(tmp_path):
    process = alone(tmp_path, passes=500)
    assert process.stdout.readline() == "begin\n"
    while not list((tmp_path / "tmp").glob("content-table-*/checkpoints/*/*")):  # until it learns
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert out.split("\n") == ["interrupted False", "None None", "True []", ""]
    assert not (tmp_path / "model.npz").exists()


# ---- A session that is there ----


@needs_spark
@pytest.mark.parametrize(
    "model", [ct.ALS(4, 0.3, **FIT), ct.ImplicitALS(4, 0.3, **FIT)], ids=lambda m: type(m).__name__
)
def test_spark_solves_the_regressions_of_weighted_reg(session, small, model):
    P, Q = parts.spark_factors(clone(model).set_params(n_epochs=3), small, 1)
    assert (P.shape, Q.shape) == ((60, 4), (50, 4))
    A, per_rating = small.csr, np.full(4, 0.3)
    if isinstance(model, ct.ALS):
        rows = regress_rows(A, Q, np.zeros(4), per_rating=per_rating)
    else:
        rows = solve_all_rows(A.indptr, A.indices, A.data, Q, Q.T @ Q, confidence=1.0, per_rating=per_rating)
    np.testing.assert_allclose(P, rows, rtol=1e-4, atol=1e-5)


@needs_spark
def test_whom_nobody_rated_gets_zeros_and_the_session_goes_on(session, small):
    holes = small.part((small.rows != 7) & (small.cols != 3))
    model = ct.ALS(3, 0.3, **FIT, n_epochs=5).fit(holes)
    assert (model.user_factors_[7] == 0).all()
    assert (model.item_factors_[3] == 0).all()
    assert np.abs(np.delete(model.item_factors_, 3, axis=0)).min(axis=0).max() > 0
    assert session.range(3).count() == 3
    with pytest.raises(ValueError, match=r"n_epochs=11 passes, more than 10, .*setCheckpointDir"):
        ct.ALS(3, 0.3, **FIT, n_epochs=11).fit(holes)


@needs_spark
def test_the_model_is_like_any_other(session, small, tmp_path):
    model = ct.ALS(3, 0.3, **FIT, n_epochs=10).fit(small)
    table = small.csr[[5]]
    told = dict(zip(small.item_ids[table.indices].tolist(), table.data.tolist(), strict=True))
    assert model.fold_in(told).scores == pytest.approx(model.predict_rows(np.array([5]))[0], abs=1e-9)
    assert len(model.recommend(small.user_ids[5], 4)) == 4
    newer = model.update(small.part(slice(0, 1)))  # an exact half-step without Spark, which stays the solver
    assert newer.updates_[-1]["unchanged"] == 1
    model.save(tmp_path / "model.npz")
    again = ct.load_model(tmp_path / "model.npz", small)
    assert again.get_params() == model.get_params()
    assert np.array_equal(again.complete(), model.complete())


@needs_spark
def test_to_a_cluster_the_ratings_go_without_a_file(session, small, tmp_path):
    far = SimpleNamespace(
        sparkContext=SimpleNamespace(master="spark://far:7077"), createDataFrame=session.createDataFrame
    )
    sent = parts._sent(far, small, tmp_path).toArrow().to_pandas()
    assert list(tmp_path.iterdir()) == []
    near = parts._sent(session, small, tmp_path).toArrow().to_pandas()
    assert [path.name for path in tmp_path.iterdir()] == ["ratings.parquet"]
    for frame in (sent, near):
        assert np.array_equal(frame["user"], small.rows)
        assert np.array_equal(frame["item"], small.cols)
        assert np.array_equal(frame["rating"], small.values)


# ---- From a file ----


@needs_spark
@pytest.mark.parametrize("kind", [ct.ALS, ct.ImplicitALS])
def test_a_file_gives_the_fit_of_the_table_and_the_lists_of_all(session, small, tmp_path, kind):
    rated = small.restrict(small.user_counts > 0, small.item_counts > 0)
    names = np.array([f"viewer {1000 + row}" for row in range(rated.n_users)])
    model = kind(3, 0.3, **FIT, n_epochs=4)
    fitted = ct.fit_parquet(model, parquet(rated, tmp_path / "r.parquet", names), **COLUMNS, lists=tmp_path / "l", n=5)
    whole = kind(3, 0.3, **FIT, n_epochs=4).fit(rated)
    assert not hasattr(model, "item_factors_")
    assert fitted.item_factors_ == pytest.approx(whole.item_factors_, rel=1e-3, abs=1e-4)
    assert np.array_equal(fitted.ratings_.item_ids, rated.item_ids)
    assert np.array_equal(fitted.ratings_.item_counts, rated.item_counts)
    assert fitted.global_mean_ == pytest.approx(rated.values.mean())
    lists = pd.read_parquet(tmp_path / "l").sort_values(["user_id", "rank"], ignore_index=True)
    ours = whole.recommend_all(5, one_per_work=False, clip=kind is ct.ALS)
    assert lists["user_id"].tolist() == names[rated.user_rows(ours["user_id"])].tolist()
    assert lists["rank"].tolist() == ours["rank"].tolist()
    assert (lists["item_id"] == ours["item_id"]).mean() > 0.97  # near ties, in single precision
    assert lists[whole.score_name].to_numpy() == pytest.approx(ours[whole.score_name].to_numpy(), abs=1e-3)


@needs_spark
def test_who_is_known_to_spark_alone_is_folded_in(session, small, tmp_path):
    rated = small.restrict(small.user_counts > 0, small.item_counts > 0)
    model = ct.fit_parquet(ct.ALS(3, 0.3, **FIT, n_epochs=4), parquet(rated, tmp_path / "r.parquet"), **COLUMNS)
    whole = ct.ALS(3, 0.3, **FIT, n_epochs=4).fit(rated)
    assert model.history_[-1]["train_rmse"] == pytest.approx(whole.history_[-1]["train_rmse"], rel=1e-3)
    table = rated.csr[[4]]
    told = dict(zip(rated.item_ids[table.indices].tolist(), table.data.tolist(), strict=True))
    assert model.fold_in(told).scores == pytest.approx(whole.predict_rows(np.array([4]))[0], abs=1e-2)
    model.save(tmp_path / "m.npz")
    again = ct.load_model(tmp_path / "m.npz")
    assert np.array_equal(again.fold_in(told).scores, model.fold_in(told).scores)
    for ask in (again.certificate, again.noise):
        with pytest.raises(ValueError, match="fitted by fit_parquet without its viewers: their ratings are not in"):
            ask()
    with pytest.raises(KeyError, match="fitted by fit_parquet without its viewers; fold_in"):
        again.recommend(1)


@needs_spark
def test_what_a_file_may_not_hold(session, tmp_path):
    model, path = ct.ALS(2, **FIT, n_epochs=2), tmp_path / "r.parquet"
    good = {"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "rating": [3.0, 4.0, 5.0]}
    wrong = {
        r"path must have the columns .* without \['item_id'\]": {"user_id": [1], "item": ["a"], "rating": [3.0]},
        "column 'rating' must be one of": good | {"rating": ["3", "4", "5"]},
        "column 'user_id' must be one of": good | {"user_id": [1.5, 2.5, 3.5]},
        "got 2 ratings by 1 of 'a'": good | {"item_id": ["a", "a", "a"]},
        "at least one rating, got none": good | {"rating": np.full(3, np.nan)},
        "ratings must be finite": good | {"rating": [3.0, 4.0, np.inf]},
    }
    for said, columns in wrong.items():
        pd.DataFrame(columns).to_parquet(path)
        with pytest.raises(ValueError, match=said):
            ct.fit_parquet(model, path)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(ct.SparkError, match=r"Spark stopped: .*not a Parquet file"):
        ct.fit_parquet(model, path)
    with pytest.raises(NotFittedError):
        model.recommend(1)
