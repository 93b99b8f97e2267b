"""Spark's factors beside ours at equal settings, and what distributing costs at sizes that fit one machine.

    CONTENT_TABLE_DATA=... python benchmarks/spark.py       # minutes; it needs requirements-spark.txt and Java 17

The objective is the same, that of `weighted_reg=True`, and so are penalty, rank and passes; the starts are random and
differ. Lists of ten of all viewers, what they rated left out: the overlap is the mean share of titles that two lists
have in common, beside that of two fits of ours from two starts. Seconds of Spark are those of a session that is open,
on all cores; its first fit also warms Java up. Ours run on one core, compiled. Writes results/spark.json.
"""

import importlib.metadata
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import describe, machine, real_data, write_results

import content_table as ct

SETTINGS = {"n_factors": 20, "weighted_reg": True, "n_epochs": 60, "tol": 0}
REG = {"embedded": 0.3, "MovieLens latest-small": 0.2}


def timed(call):
    start = time.perf_counter()
    result = call()
    return result, round(time.perf_counter() - start, 2)


def session(folder):
    """A session as a reader would open it, on all cores, without a page."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.ui.showConsoleProgress", "false").config("spark.log.level", "ERROR")
    spark = builder.config("spark.sql.shuffle.partitions", 2 * os.cpu_count()).getOrCreate()  # 200 are for clusters
    spark.sparkContext.setCheckpointDir(str(folder / "checkpoints"))
    return spark


def overlap(one, other, n=10):
    """Mean share of the titles in the lists of n of two models that are in both."""
    rows = np.arange(one.ratings_.n_users)
    pairs = zip(one.top_items(rows, n), other.top_items(rows, n), strict=True)
    return round(float(np.mean([len(np.intersect1d(a, b)) / n for a, b in pairs])), 3)


def told(model):
    found = model.certificate()
    row = {"train_rmse": round(model.history_[-1]["train_rmse"], 4), "objective": round(found.primal, 1)}
    return row | {"bound": round(found.dual, 1), "relative_gap": round(found.relative_gap, 5)}


def compare(ratings, reg, folder):
    """Both fits of a table, and the fit of its Parquet file with the lists of all."""
    model = ct.ALS(reg=reg, **SETTINGS)
    model.fit(ratings)  # compiled
    ours, our_seconds = timed(lambda: ct.ALS(reg=reg, **SETTINGS).fit(ratings))
    _, list_seconds = timed(lambda: ours.top_items(np.arange(ratings.n_users), 10))
    theirs, first = timed(lambda: ct.ALS(reg=reg, solver="spark", **SETTINGS).fit(ratings))
    theirs, later = timed(lambda: ct.ALS(reg=reg, solver="spark", **SETTINGS).fit(ratings))
    path, lists = folder / "ratings.parquet", folder / "lists"
    columns = {"user_id": ratings.user_ids[ratings.rows], "item_id": ratings.item_ids[ratings.cols]}
    pd.DataFrame(columns | {"rating": ratings.values}).to_parquet(path, index=False)
    spark_model = ct.ALS(reg=reg, solver="spark", **SETTINGS)
    _, from_file = timed(lambda: ct.fit_parquet(spark_model, path, lists=lists))
    shutil.rmtree(lists)
    other = ct.ALS(reg=reg, random_state=1, **SETTINGS).fit(ratings)
    seconds = {"ours": our_seconds, "our lists": list_seconds, "Spark, first fit": first, "Spark, later fit": later}
    seconds["Spark, from Parquet, with lists"] = from_file
    alike = {"Spark and ours": overlap(theirs, ours), "ours from two starts": overlap(other, ours)}
    return {"settings": repr(model), "ours": told(ours), "Spark": told(theirs), "overlap": alike, "seconds": seconds}


def main():
    paths = {"embedded": ct.DATA / "100x100.csv", "MovieLens latest-small": real_data("ml-latest-small", "ratings.csv")}
    tables = {}
    with tempfile.TemporaryDirectory() as name:
        spark, start = timed(lambda: session(Path(name)))
        try:
            for table, path in paths.items():
                ratings = ct.load_ratings(path)
                tables[table] = {"data": describe(ratings, path)} | compare(ratings, REG[table], Path(name))
                print(table, *tables[table].items(), sep="\n  ")
        finally:
            spark.stop()
    versions = {"machine": machine(), "pyspark": importlib.metadata.version("pyspark")}
    results = {"made_by": "python benchmarks/spark.py", **versions, "start_seconds": start, "tables": tables}
    write_results("spark.json", results)


if __name__ == "__main__":
    main()
