"""A model that is updated against one that is fitted anew, on real ratings: held-out error and time; into
results/update.json.

    CONTENT_TABLE_DATA=... python benchmarks/update.py          # about five minutes on one core

Of the training ratings of each split a share comes late, at random. The model is fitted without these; then it stays as
it is (stale), is updated by them, or is fitted anew to all.
"""

import argparse
import time

import pandas as pd
from cold_start import models, tables
from common import describe, machine, write_results
from sklearn.base import clone

import content_table as ct

SPLITS = {"embedded": 20, "data 1": 20, "MovieLens": 3}
SHARES = (0.01, 0.1)  # of the training ratings that come late


def timed(call):
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def one_split(model, train, test, late_share, seed):
    """Errors and seconds of one model on one split."""
    early, late = train.split_random(late_share, seed)
    stale = clone(model).fit(early)
    updated, update_seconds = timed(lambda: stale.update(late))
    refit, refit_seconds = timed(lambda: clone(model).fit(train))
    errors = {name: ct.rmse(each, test) for name, each in (("stale", stale), ("updated", updated), ("refit", refit))}
    times = {"update_seconds": update_seconds, "refit_seconds": refit_seconds}
    return errors | times | {"n_train": len(train), "n_test": len(test)} | updated.updates_[-1]


def summary(rows):
    """Means over the splits, and what is paired with its 95 % interval."""
    table = pd.DataFrame(rows)
    sizes = table[["n_train", "n_test"]].mean()
    found = {name: table[name].mean() for name in ("stale", "updated", "refit")}
    for name in ("stale", "updated"):
        mean, half = ct.split_interval(table[name] - table["refit"], *sizes)
        found |= {f"{name}_minus_refit": mean, f"{name}_half_width": half}
    found |= {name: table[name].median() for name in ("update_seconds", "refit_seconds", "users", "titles", "added")}
    return {name: round(float(value), 4) for name, value in found.items()}


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    found = {"made_by": "python benchmarks/update.py", "machine": machine(), "tables": {}}
    for table, ratings, file, genres in tables():
        own = {name: model for name, model in models(table, genres).items() if model.half_steps != "none"}
        splits = [ratings.split_random(0.2, seed) for seed in range(SPLITS[table])]
        found["tables"][table] = {
            "data": describe(ratings, file),
            "settings": {name: repr(model) for name, model in own.items()},
            "splits": len(splits),
            "late": {
                f"{share:.0%}": {
                    name: summary([one_split(model, *split, share, seed) for seed, split in enumerate(splits)])
                    for name, model in own.items()
                }
                for share in SHARES
            },
        }
        for share, rows in found["tables"][table]["late"].items():
            print(table, share, *(f"{name}: {row}" for name, row in rows.items()), sep="\n  ")
    write_results("update.json", found)


if __name__ == "__main__":
    main()
