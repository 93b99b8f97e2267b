"""Factors found by Spark, on one machine or on a cluster: ratings out as Parquet or Arrow, factors in."""

import os
import shutil
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from content_table_parts.files import NO_HASH, TitlesOnly
from content_table_parts.ratings import Ratings
from content_table_parts.settings import as_path, check_kind, check_number, shown, whole_number

PASSES = 10  # Spark's tasks carry the history of this many passes; of more it overflows, unless it may checkpoint


class SparkError(RuntimeError):
    """Spark did not start, or did not finish; the message has what it said."""


# ---- The session -----------------------------------------------------------------------------------------------------


def _imported():
    """PySpark, with what is used of it."""
    try:
        import pyarrow.parquet  # noqa: F401  # here it is only asked whether it is there

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of pandas 3, through which nothing goes here
            import pyspark.ml.recommendation
            import pyspark.sql
            import pyspark.testing  # which a fit would import, and warn
    except ImportError as error:
        raise ImportError(
            f"Spark needs {error.name or 'PySpark'}, which is missing: pip install 'pyspark>=4.0' pyarrow, and Java 17 "
            "or later."
        ) from error
    return pyspark


def _check_java():
    home = os.environ.get("JAVA_HOME")
    if not (os.access(Path(home, "bin", "java"), os.X_OK) if home else shutil.which("java")):
        where = f"at JAVA_HOME={home}" if home else "on this machine"
        raise ImportError(
            f"Spark runs on Java 17 or later, and there is none {where}: install it (Debian and Ubuntu: apt install "
            "openjdk-17-jre-headless; macOS: brew install openjdk@17), or set JAVA_HOME to its folder."
        )


@contextmanager
def _session() -> Iterator[tuple[Any, Path]]:
    """(session, folder for what is temporary): the session that is there, else one of our own that ends with the block,
    as its Java does."""
    pyspark = _imported()
    with tempfile.TemporaryDirectory(prefix="content-table-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        there = pyspark.sql.SparkSession.getActiveSession()
        if there is None and pyspark.SparkContext._active_spark_context is not None:  # of another thread
            there = pyspark.sql.SparkSession.builder.getOrCreate()
        with _in_our_words(folder / "log"), nullcontext(there) if there else _our_own(pyspark, folder) as session:
            yield session, folder


@contextmanager
def _in_our_words(log):
    """Pages of Java as the line of it that says why."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException, ConnectionError, EOFError) as error:  # the last two: its Java has died
        lines = str(error).splitlines() + (log.read_text(errors="replace").splitlines() if log.exists() else [])
        causes = [line for line in lines if line.startswith("Caused by: ")]
        told = (causes or [line for line in lines if "Error" in line or "Exception" in line] or lines or [""])[-1]
        hint = " It needs Java 17 or later." if "JAVA_GATEWAY" in str(error) else ""
        raise SparkError(f"Spark stopped: {told.removeprefix('Caused by: ').strip()[:500]}.{hint}") from error


@contextmanager
def _our_own(pyspark, folder):
    """A session on all cores of this machine; it opens no page, and what it would print goes to `folder`/log."""
    _check_java()
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else None
    new_java, spark = pyspark.SparkContext._gateway is None, None
    try:
        with _errors_to(folder / "log"):
            spark = _builder(pyspark, folder).getOrCreate()
        spark.sparkContext.setCheckpointDir(str(folder / "checkpoints"))
        yield spark
    finally:
        with suppress(Exception):  # one whose Java has died cannot be stopped
            if spark is not None:
                spark.stop()
        if new_java:
            _end_java(pyspark.SparkContext)
        if main:
            signal.signal(signal.SIGINT, handler)  # Spark's own stays otherwise


def _builder(pyspark, folder):
    local = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}  # nobody else is meant
    quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    places = {"spark.local.dir": str(folder), "spark.sql.warehouse.dir": str(folder / "warehouse")}
    places |= {"spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1))}
    builder = pyspark.sql.SparkSession.builder.master("local[*]").appName("content-table")
    for name, value in (local | quiet | places).items():
        builder = builder.config(name, value)
    return builder


@contextmanager
def _errors_to(path):
    """A process started in this block has the file as its error stream, for as long as it lives."""
    with open(path, "wb") as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _end_java(context):
    """End the Java that PySpark keeps for the next session until Python ends."""
    gateway, context._gateway, context._jvm = context._gateway, None, None
    if gateway is not None:
        with suppress(Exception):
            gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()


# ---- Ratings out, factors in -----------------------------------------------------------------------------------------


def check_spark(model: Any) -> None:
    """Refuse, in one message, all settings of a model of factors that Spark's objective or method does not have."""
    needed = {
        "weighted_reg=True (its penalty counts once for each rating)": model.weighted_reg,
        "biases=False (it has none)": not model.biases,
        "reg above 0": model.in_use("reg") > 0,
        "tol=0 (it makes all n_epochs passes; 10 to 30 are usual)": model.tol == 0,
        "init='random' (it draws its own start)": isinstance(model.init, str) and model.init == "random",
    }
    if missing := [what for what, there in needed.items() if not there]:
        raise ValueError(f"solver='spark' needs {', '.join(missing)}, got {model!r}.")


def _estimator(model, spark, seed):
    """Spark's ALS with the settings of a model."""
    context = spark.sparkContext
    if model.n_epochs > PASSES and context.getCheckpointDir() is None:
        raise ValueError(
            f"n_epochs={model.n_epochs} passes, more than {PASSES}, overflow Spark unless it may checkpoint: call "
            "spark.sparkContext.setCheckpointDir(folder) first, with a folder that all its machines see."
        )
    columns = {"userCol": "user", "itemCol": "item", "ratingCol": "rating"}
    blocks = dict.fromkeys(("numUserBlocks", "numItemBlocks"), max(2, context.defaultParallelism))
    implicit = {"implicitPrefs": True, "alpha": float(model.confidence)} if hasattr(model, "confidence") else {}
    return _imported().ml.recommendation.ALS(
        rank=model.n_factors,
        maxIter=model.n_epochs,
        regParam=float(model.in_use("reg")),
        seed=seed,
        **columns,
        **blocks,
        **implicit,
    )


def _check_preferences(model, lowest):
    """Refuse ratings that Spark takes for a dislike, where a rating of any height is a preference to us."""
    if hasattr(model, "confidence") and lowest <= 0:
        raise ValueError(
            f"solver='spark' takes a rating of 0 or less for no preference, and there is {lowest:g}; add to the "
            "ratings, or leave these out."
        )


def spark_factors(model: Any, ratings: Ratings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(user factors, item factors) of a model of factors with `solver="spark"`, zeros for who has no rating.

    The ratings go as a Parquet file to a Spark on this machine, as Arrow batches to a cluster, which does not see our
    disk. Of the factors Spark keeps single precision.
    """
    check_spark(model)
    _check_preferences(model, ratings.values.min())
    with _session() as (spark, folder):
        found = _estimator(model, spark, seed).fit(_sent(spark, ratings, folder))
        return _placed(found.userFactors, ratings.n_users), _placed(found.itemFactors, ratings.n_items)


def _sent(spark, ratings, folder):
    """The ratings as a DataFrame of Spark's: positions of user and item, rating."""
    import pyarrow
    import pyarrow.parquet

    whole = {"user": ratings.rows.astype(np.int32), "item": ratings.cols.astype(np.int32)}
    table = pyarrow.table(whole | {"rating": ratings.values.astype(np.float32)})
    if not spark.sparkContext.master.startswith("local"):
        return spark.createDataFrame(table)
    pyarrow.parquet.write_table(table, folder / "ratings.parquet")
    return spark.read.parquet((folder / "ratings.parquet").as_uri())


def _placed(frame, n_rows):
    """Spark's table of (id, features) as an array with a row for each position."""
    table = frame.toArrow()
    factors = table["features"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    placed = np.zeros((n_rows, factors.shape[1]))
    placed[table["id"].to_numpy()] = factors
    return placed


# ---- Ratings that do not fit into memory -----------------------------------------------------------------------------


def fit_parquet(
    model: Any,
    path: str | Path,
    user: str = "user_id",
    item: str = "item_id",
    rating: str = "rating",
    lists: str | Path | None = None,
    n: int = 10,
) -> Any:
    """A fitted `ALS` or `ImplicitALS` with `solver="spark"`, from ratings in Parquet that only Spark ever reads.

    In the memory of this process are the ids, the counts of ratings and the factors of the items, nothing that grows
    with ratings or users. The model is as one saved without its viewers: it knows nobody, folds in anybody, and saves.
    A known user is folded in too, from their own rows: as p_u is the regression on Q that a fold-in solves, their
    predictions are those of the fit, to single precision. No certificate, no `uncertainty`, no `update`: these need the
    ratings.

    Parameters
    ----------
    model : ALS or ImplicitALS, which stays as it is
    path : a Parquet file, or a folder of them, wherever Spark reads: also "s3a://...", "hdfs://..."
    user, item, rating : names of its columns
        Ids are whole numbers or text. Rows with an empty cell are left out.
    lists : path, optional
        A folder that does not exist yet, for Parquet files with the lists of all users, made and written by Spark:
        user_id, rank, item_id, predicted_rating (within the scale of the ratings) or preference. Nothing rated is in
        them; every season counts for itself; ties at the end of a list fall as they may.
    n : int
        The length of these lists.

    Raises
    ------
    ValueError : other settings than Spark has, columns that are missing or of other kinds, no ratings, two ratings by
        one user of one item, a folder for lists that exists.
    ImportError : PySpark, PyArrow or Java is missing, and how to install it.
    SparkError : Spark did not start or did not finish.
    """
    n = whole_number("n", n, 1)
    _check_request(model, user, item, rating)
    path, lists = _place(path, "path"), None if lists is None else _place(lists, "lists")
    if isinstance(path, Path) and not path.exists():
        raise ValueError(f"path must be a Parquet file or a folder of them, and there is no {path}.")
    if isinstance(lists, Path) and lists.exists():
        raise ValueError(f"lists must be a folder that does not exist yet, got {lists}.")
    with _session() as (spark, _):
        told = _told(spark.read.parquet(_address(path)), {"user_id": user, "item_id": item, "rating": rating})
        items = told.groupBy("item_id").count().orderBy("item_id").toArrow()
        table = _numbered(spark, told, items).persist()
        try:
            mean, scale = _checked(model, table)
            found = _estimator(model, spark, int(model.random_state)).fit(table)
            fitted = _made(model, found, table, items, mean, scale)
            if lists is not None:
                _write_lists(found, table, n, fitted, _address(lists))
        finally:
            with suppress(Exception):  # a Spark that has died keeps nothing
                table.unpersist()
    return fitted


def _place(path, name):
    """A path of this machine, or the address of another place as it is."""
    return path if isinstance(path, str) and "://" in path else as_path(path, name)


def _address(place):
    return place.resolve().as_uri() if isinstance(place, Path) else place


def _check_request(model, user, item, rating):
    if not hasattr(model, "solver") or not hasattr(model, "weighted_reg"):
        raise TypeError(f"model must be an ALS or ImplicitALS, got {shown(model)}.")
    model.check_settings()
    if model.solver != "spark":
        raise ValueError(f"model must have solver='spark', got {model!r}.")
    check_spark(model)
    if getattr(model, "liked", None) or getattr(model, "binary", False):
        raise ValueError(f"fit_parquet learns from all ratings as they stand, without liked and binary, got {model!r}.")
    check_number("random_state", model.random_state, whole=True)
    for name, column in {"user": user, "item": item, "rating": rating}.items():
        check_kind(name, column, str, "the name of a column")


def _told(frame, columns):
    """The three columns under our names, without rows that miss something; refuses others than they should be."""
    kinds = dict(frame.dtypes)
    if missing := [column for column in columns.values() if column not in kinds]:
        raise ValueError(f"path must have the columns {list(columns.values())}, got {list(kinds)} without {missing}.")
    numbers = ("tinyint", "smallint", "int", "bigint")
    for name, column in columns.items():
        fits = (*numbers, "float", "double") if name == "rating" else (*numbers, "string")
        if kinds[column] not in fits and not (name == "rating" and kinds[column].startswith("decimal")):
            raise ValueError(f"column {column!r} must be one of {fits}, got {kinds[column]}.")
    told = frame.select(*(frame[column].alias(name) for name, column in columns.items()))
    return told.withColumn("rating", told["rating"].cast("double")).dropna()


def _numbered(spark, told, items):
    """The ratings with whole numbers for users, in the order of their ids, and for items, positions in `items`."""
    import pyarrow
    from pyspark.sql import Window, functions

    at = pyarrow.array(np.arange(items.num_rows, dtype=np.int32))
    positions = spark.createDataFrame(pyarrow.table({"item_id": items["item_id"], "item": at}))
    users = told.select("user_id").distinct()
    users = users.withColumn("user", functions.row_number().over(Window.orderBy("user_id")) - 1)
    return told.join(functions.broadcast(positions), "item_id").join(users, "user_id")


def _checked(model, table):
    """(mean, scale) of the ratings, if they can be fitted to."""
    from pyspark.sql import functions

    rating = functions.col("rating")
    count, mean, low, high = table.agg(
        functions.count(rating), functions.mean(rating), functions.min(rating), functions.max(rating)
    ).first()
    if not count:
        raise ValueError("path must have at least one rating, got none.")
    if not np.isfinite([low, high]).all():
        raise ValueError(f"ratings must be finite, got {low:g} to {high:g}.")
    _check_preferences(model, low)
    twice = table.groupBy("user_id", "item_id").count().where("count > 1").first()
    if twice is not None:
        raise ValueError(f"each user may rate an item once, got {twice[2]} ratings by {twice[0]!r} of {twice[1]!r}.")
    return mean, (low, high)


def _made(model, found, table, items, mean, scale):
    """The model, fitted: what Spark found of the items, and nothing of the users."""
    ids = items["item_id"].to_numpy(zero_copy_only=False)
    ids = ids.astype(str) if ids.dtype.kind == "O" else ids
    counts = items["count"].to_numpy().astype(np.intp)
    fitted = clone(model)
    fitted.ratings_ = TitlesOnly(ids, counts, scale, None, False, NO_HASH)
    fitted.global_mean_ = float(mean)
    fitted.item_factors_, fitted.item_bias_ = _placed(found.itemFactors, len(ids)), np.zeros(len(ids))
    fitted.user_factors_, fitted.user_bias_ = np.zeros((0, model.n_factors)), np.zeros(0)
    row: dict[str, float] = {"epoch": model.n_epochs}
    if model.score_name == "predicted_rating":
        squares = found.transform(table).selectExpr("avg(power(rating - prediction, 2))").first()[0]
        row["train_rmse"] = float(np.sqrt(squares))
    fitted.history_ = [row]
    return fitted


def _write_lists(found, table, n, fitted, path):
    """The best n items of each user that they have not rated, by Spark: of users with up to 4^b ratings the best
    n + 4^b of all items hold them."""
    from pyspark.sql import Window, functions

    counts = table.groupBy("user").count().persist()
    most, n_items, lists, least = counts.agg(functions.max("count")).first()[0], len(fitted.item_factors_), None, 0
    while least < most:
        to = max(1, 4 * least)
        some = counts.where((counts["count"] > least) & (counts["count"] <= to))
        best = found.recommendForUserSubset(some, min(n + to, n_items))
        lists, least = best if lists is None else lists.union(best), to
    score = fitted.score_name
    cells = lists.select("user", functions.explode("recommendations")).select("user", "col.item", "col.rating")
    unseen = cells.join(table.select("user", "item"), ["user", "item"], "left_anti")
    order = Window.partitionBy("user").orderBy(functions.desc("rating"), "item")
    ranked = unseen.withColumn("rank", functions.row_number().over(order)).where(functions.col("rank") <= n)
    users, items = table.select("user", "user_id").distinct(), table.select("item", "item_id").distinct()
    value = functions.col("rating").cast("double")
    if score == "predicted_rating":
        low, high = (functions.lit(float(end)) for end in fitted.ratings_.scale)
        value = functions.least(functions.greatest(value, low), high)
    named = ranked.join(users, "user").join(functions.broadcast(items), "item")
    named.select("user_id", "rank", "item_id", value.alias(score)).orderBy("user_id", "rank").write.parquet(path)
    counts.unpersist()
