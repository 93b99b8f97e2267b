"""`NMF` beside `ALS`: accuracy, seconds, and whether other starts find the same parts. Into results/nmf.json.

    CONTENT_TABLE_DATA=... python benchmarks/nmf.py            # about six minutes on one core
    python benchmarks/nmf.py --only-seconds                    # the clock alone, among what is stored

Accuracy: both real course tables on 20 random 80/20 splits, MovieLens latest-small on 4; settings from trials inside
the training part of each split (cross-validation on the course tables, a part set aside on MovieLens). Seconds: of the
processor, on the whole of MovieLens, one thread. Parts: correlations of the titles' columns of two starts, paired so
that they are as alike as can be; beside them those of tables whose ratings were dealt anew among their cells.
"""

import argparse
import dataclasses
import itertools
import json
import time
import warnings

import numpy as np
import scipy.optimize
from common import RESULTS, describe, machine, real_data, write_results
from sklearn.exceptions import ConvergenceWarning

import content_table as ct

DATA = {  # file, splits, what is tuned by
    "data 1": (("mal", "100x100.csv"), 20, {"n_trials": 15, "n_folds": 5}),
    "data 2": (("mal", "100x100_2.csv"), 20, {"n_trials": 15, "n_folds": 5}),
    "MovieLens": (("ml-latest-small", "ratings.csv"), 4, {"n_trials": 8, "n_folds": 1}),
}
SEED = 700  # of the splits
REG, BIAS = ct.Range(1.0, 30.0, log=True), ct.Range(1.0, 10.0, log=True)
QUICK = {"tol": 1e-4, "n_epochs": 300}
PARTS, STARTS = (2, 3, 4, 6, 10), 6


def candidates():
    """{row: (model, space)}."""
    space = {"n_factors": ct.Range(1, 20, log=True), "reg": REG}
    return {
        "baseline": (ct.BiasBaseline(), {"reg": BIAS}),
        "ALS": (ct.ALS(10, **QUICK), space),
        "ALS with biases": (ct.ALS(10, biases=True, **QUICK), space | {"bias_reg": BIAS}),
        "NMF": (ct.NMF(10, biases=False, **QUICK), space),
        "NMF with biases": (ct.NMF(10, **QUICK), space | {"bias_reg": BIAS}),
    }


def accuracy(ratings, n_splits, inside):
    """Clipped RMSE, split by split, every model tuned inside; and paired differences."""
    models = {name: ct.Tuned(model, space=space, **inside) for name, (model, space) in candidates().items()}
    results = ct.evaluate(models, ratings, n_splits=n_splits, random_state=SEED, progress=True)
    paired = {
        reference: ct.paired_differences(results, reference).round(5).to_dict("records")
        for reference in ("baseline", "ALS", "ALS with biases")
    }
    means = results.groupby("model", sort=False)[["train_rmse", "rmse_clipped"]].mean().round(5)
    return {"mean": means.to_dict("index"), "paired": paired}


def alike(one, other):
    """Mean correlation of the columns of two tables, paired so that it is largest."""
    between = np.corrcoef(one.T, other.T)[: one.shape[1], one.shape[1] :]
    return between[scipy.optimize.linear_sum_assignment(-between)].mean()


def stability(ratings, starts=STARTS):
    """{k: mean likeness of the parts of two starts}, of NMF without biases."""
    found = {}
    for k in PARTS:
        fits = [ct.NMF(k, 5.0, biases=False, random_state=seed, **QUICK).fit(ratings) for seed in range(starts)]
        pairs = itertools.combinations([fit.item_factors_ for fit in fits], 2)
        found[str(k)] = round(float(np.mean([alike(*pair) for pair in pairs])), 3)
    return found


def dealt_anew(ratings):
    """The same cells, their ratings shuffled: a table without parts."""
    return dataclasses.replace(ratings, values=np.random.default_rng(SEED).permutation(ratings.values))


def seconds(model, ratings):
    """Of a pass, the median of 5 fits of 20 passes; and of a whole fit, with its passes."""
    model.set_params(n_epochs=1, tol=0).fit(ratings)  # compiled before the clock starts
    taken = []
    for _ in range(5):
        start = time.process_time()
        model.set_params(n_epochs=20).fit(ratings)
        taken.append((time.process_time() - start) / 20)
    start = time.process_time()
    whole = model.set_params(n_epochs=500, tol=1e-5).fit(ratings)
    return {
        "pass": round(float(np.median(taken)), 4),
        "fit": round(time.process_time() - start, 2),
        "passes": len(whole.history_),
    }


def measured_tables():
    tables = {}
    for name, (where, n_splits, inside) in DATA.items():
        path = real_data(*where)
        ratings = ct.load_ratings(path)
        tables[name] = {"data": describe(ratings, path), "splits": n_splits, "inside": inside}
        tables[name] |= accuracy(ratings, n_splits, inside)
        if name != "MovieLens":
            tables[name]["alike"] = {"parts": stability(ratings), "dealt anew": stability(dealt_anew(ratings))}
        print(name, tables[name]["mean"], tables[name].get("alike"), flush=True)
    return tables


def clock():
    films = ct.load_ratings(real_data(*DATA["MovieLens"][0]))
    rows = {"NMF": ct.NMF, "ALS": ct.ALS}
    return {
        f"{name}{' with biases' * biases}, k = {k}": seconds(kind(k, reg=8, biases=biases), films)
        for (name, kind), biases, k in itertools.product(rows.items(), (False, True), (10, 20))
    }


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-seconds", action="store_true")
    if parser.parse_args().only_seconds:
        tables = json.loads((RESULTS / "nmf.json").read_text(encoding="utf-8"))["tables"]
    else:
        tables = measured_tables()
    settings = {"command": "python benchmarks/nmf.py", "machine": machine(), "starts": STARTS}
    write_results("nmf.json", {"settings": settings, "tables": tables, "seconds": clock()})


if __name__ == "__main__":
    main()
