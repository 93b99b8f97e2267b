"""Every model tuned inside each split: the two real course tables, and MovieLens by time. Into results/tuned.json.

    CONTENT_TABLE_DATA=... python benchmarks/tuned.py --jobs 2         # about three quarters of an hour on two cores
    python benchmarks/tuned.py --only "Bayesian FM"                    # one row of the real tables, among the stored

Real tables: 20 random 80/20 splits. A model's settings, and in the row `chosen` the model too, come from a
cross-validation inside the training part of each split; the test part is read once. MovieLens latest-small: settings
from 30 trials on the validation part of a split by time, the test error of five seeds, trained on the training part
alone and on training and validation together.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from bayes import CHAINS, machines
from common import RESULTS, describe, machine, real_data, write_results
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import content_table as ct

TABLES = {"data 1": "100x100.csv", "data 2": "100x100_2.csv"}
SEEDS = range(5)
N_TRIALS, N_FOLDS = 20, 10  # inside each split
MEMORY = "CONTENT_TABLE_TUNED"  # names the folder to the workers, which inherit the environment
SGD_SPACE = {"reg": ct.Range(0.03, 0.4, log=True), "n_factors": ct.Range(1, 20, log=True)}
SPACES = {  # of tables of this size; the others search their own
    "spectral with biases": {"reg": ct.Range(2.0, 30.0, log=True), "bias_reg": ct.Range(0.5, 10.0, log=True)},
    "SGD": SGD_SPACE,
    "content": SGD_SPACE | {"content_weight": ct.Range(0.5, 3.0, log=True)},
}
THRESHOLD = 8  # of a relevant title, rating points


RANKS = (0, 1, 2, 4)


def averaged(models):
    """The mean of what so many models predict, a power of two, as blends of blends."""
    while len(models) > 1:
        models = [ct.Blend(*pair, weight=0.5) for pair in zip(models[::2], models[1::2], strict=True)]
    return models[0]


class SeveralChains(ct.Tuned):
    """A kind of Bayesian machine is chosen with one chain each, and averages over `CHAINS`."""

    def _fit(self, ratings, validation):
        super()._fit(ratings, validation)
        self.model_ = clone(self.model_).set_params(n_chains=CHAINS, n_kept=25 * CHAINS).fit(ratings)


class Remembered(ct.Tuned):
    """`Tuned` that keeps what it has tuned in a folder: three rows of the comparison tune the same models."""

    def _tuned(self, model, ratings, space):
        about = [repr(model), str(space), self.n_trials, self.n_folds, self.random_state, ratings.fingerprint]
        path = Path(os.environ[MEMORY], hashlib.sha256(str(about).encode()).hexdigest())
        if not path.exists():
            found = super()._tuned(model, ratings, space)
            ct.write_whole(path, lambda temporary: joblib.dump(found, temporary))
        return joblib.load(path)


def candidates(features):
    """The models that are tuned."""
    steps = {"n_factors": 10, "learning_rate": 0.01, "reg": 0.1, "patience": 20, "n_epochs": 300}
    return {
        "baseline": ct.BiasBaseline(),
        "item neighbours": ct.ItemKNN(),
        "spectral": ct.SpectralRegularization(tol=1e-3),
        "spectral with biases": ct.SpectralRegularization(reg=8, biases=True, tol=1e-3),
        "SGD": ct.SGDMF(**steps),
        "content": ct.ContentMF(features, **steps),
    }


def comparison_models(features):
    """Each candidate tuned; the average of two tuned ones; the one that cross-validation chooses; and what is fixed."""
    models = candidates(features)
    inside = {"n_trials": N_TRIALS, "n_folds": N_FOLDS}
    tuned = {name: Remembered(model, space=SPACES.get(name), **inside) for name, model in models.items()}
    several = {name: models[name] for name in ("baseline", "spectral with biases", "content")}
    spaces = {name: SPACES[name] for name in several if name in SPACES}
    kinds = machines(features)
    bayesian = averaged([ct.BayesianFM(rank, implicit=implicit, item_features=features, n_chains=2)
                        for rank in RANKS for implicit in (False, True)])  # fmt: skip
    return {
        "global mean": ct.GlobalMean(),
        **tuned,
        "half spectral, half content": ct.Blend(tuned["spectral with biases"], tuned["content"], weight=0.5),
        "chosen": Remembered(several, space=spaces, **inside),
        "Bayesian FM": SeveralChains(kinds, space={name: {} for name in kinds}, n_folds=5),
        "mean of Bayesian FMs": bayesian,
        "half Bayesian, half content": ct.Blend(bayesian, tuned["content"], weight=0.5),
        "ALS as published": ct.course_models()["ALS as published"],
        "nuclear norm": ct.NuclearNorm(),
        "implicit ALS": ct.ImplicitALS(reg=30),
    }


def table_results(file, options, stored):
    """All rows of a table; of `options.only` those alone are measured, and put among the stored."""
    path = real_data("mal", file)
    ratings = ct.load_ratings(path)
    features = ct.load_features(real_data("mal", "anime_id_to_genre.csv"), ratings, use=("genres",))
    models = comparison_models(features)
    models = {name: models[name] for name in options.only or models}
    how = {"n_splits": options.splits, "n_jobs": options.jobs, "progress": True, "minutes": None}
    results = ct.compare(models, ratings, THRESHOLD, features=features, **how)
    if options.only:
        results = results[results["model"].isin(options.only)]
    results = results.drop(columns=["fit_seconds", "certify_seconds"])
    table = ct.comparison(results).drop(columns=["fit_seconds", "certify_seconds"])
    print(
        table[["model", "train_rmse", "rmse_clipped", "half_width", "ndcg", "stability", "failed"]].round(4).to_string()
    )
    rows, splits = plain(table), results[["model", "split", "rmse_clipped", "train_rmse", "ndcg"]].round(5)
    if options.only:
        rows += [row for row in stored["comparison"] if row["model"] not in options.only]
        earlier = pd.DataFrame(stored["splits"])
        splits = pd.concat([splits, earlier[~earlier["model"].isin(options.only)]])
    sizes = splits.assign(n_train=results["n_train"].iloc[0], n_test=results["n_test"].iloc[0])
    paired = {reference: ct.paired_differences(sizes, reference).round(6).to_dict("records")
              for reference in ("baseline", "spectral with biases")}  # fmt: skip
    chosen = stored["chosen"] if options.only else results.loc[results["model"] == "chosen", "chosen"].value_counts()
    return {
        "data": describe(ratings, path),
        "comparison": sorted(rows, key=lambda row: row["rmse_clipped"] or np.inf),
        "paired": paired,
        "chosen": dict(chosen),
        "splits": plain(splits),
    }


def plain(table):
    """Rows for a JSON file: five decimals, and nothing where there is nothing."""
    return [{name: short(value) for name, value in row.items()} for row in table.to_dict("records")]


def short(value):
    return value if not isinstance(value, float) else None if np.isnan(value) else round(value, 5)


def other_splits(options):
    """Table 2 on other sets of splits: how far a mean over 20 of them moves, for models that stay the same."""
    path = real_data("mal", TABLES["data 2"])
    ratings = ct.load_ratings(path)
    models = comparison_models(ct.load_features(real_data("mal", "anime_id_to_genre.csv"), ratings, use=("genres",)))
    models = {name: models[name] for name in ("baseline", "chosen")}
    means = {}
    for seed in (1, 2, 3):
        results = ct.evaluate(models, ratings, n_splits=options.splits, random_state=seed, n_jobs=options.jobs)
        means[str(seed)] = results.groupby("model")["rmse_clipped"].mean().round(5).to_dict()
        print("splits of random_state", seed, means[str(seed)])
    return means


def movielens_results(split, n_trials):
    """ContentMF tuned on the validation part of a split by time, and its test error over five seeds."""
    path = real_data("ml-latest-small", "ratings.csv")
    ratings = ct.load_ratings(path)
    train, validation, test = getattr(ratings, split)()
    features = ct.load_features(path.parent, ratings, use=("genres", "tags", "decade"))
    model = ct.ContentMF(features, learning_rate=0.01, reg=0.02)
    model.fit(train, validation)  # compiled before the clock starts
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = ct.tune(model, train, validation, n_trials=n_trials, refit="train", progress=True,
                        storage=Path(folder, "study.db"))  # fmt: skip
        seconds = time.perf_counter() - start
    settings, both, errors = found.study.best_params, train.joined(validation), []
    for seed in SEEDS:
        fitted = clone(model).set_params(**settings, random_state=seed).fit(train, validation)
        whole = clone(model).set_params(**settings, random_state=seed, patience=None, n_epochs=fitted.best_epoch_)
        whole.fit(both)
        clipped = {"train only": fitted, "train and validation": whole, "biases": ct.BiasBaseline().fit(train),
                   "biases, train and validation": ct.BiasBaseline().fit(both)}  # fmt: skip
        errors.append({"validation": ct.rmse(fitted, validation), "train only, raw": ct.rmse(fitted, test)})
        errors[-1] |= {name: ct.rmse(one, test, clip=True) for name, one in clipped.items()}
    states = [trial.state.name for trial in found.study.trials]
    report = {
        "data": describe(ratings, path) | {"parts": [len(train), len(validation), len(test)]} | newcomers(train, test),
        "settings": {name: short(value) for name, value in settings.items()},
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "seconds": round(seconds, 1),
        "rmse": {name: [round(row[name], 5) for row in errors] for name in errors[0]},
    }
    print(split, report["seconds"], "s", {name: round(float(np.mean(v)), 4) for name, v in report["rmse"].items()})
    return report


def newcomers(train, test):
    viewers = np.unique(test.rows)
    return {"test_viewers": len(viewers), "new_test_viewers": int((~np.isin(viewers, train.rows)).sum())}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--only", nargs="+", default=[], help="measure these rows of the real tables alone")
    options = parser.parse_args()
    path = RESULTS / "tuned.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if options.only else {"tables": dict.fromkeys(TABLES)}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        os.environ[MEMORY] = folder
        warnings.simplefilter("ignore", ConvergenceWarning)  # the published ALS runs out of passes, as published
        tables = {name: table_results(file, options, stored["tables"][name]) for name, file in TABLES.items()}
        if not options.only:
            films = {
                split: movielens_results(split, options.trials) for split in ("split_user_time", "split_global_time")
            }
            stored |= {"other_splits": other_splits(options), "movielens": films}
        print(len(list(Path(folder).iterdir())), "models tuned")
    settings = {"command": "python benchmarks/tuned.py", "splits": f"{options.splits} random 80/20 splits",
                "inside": f"{N_TRIALS} trials of {N_FOLDS}-fold cross-validation in each split", "threshold": THRESHOLD,
                "clip": "rmse_clipped: predictions clipped to the scale", "machine": machine()}  # fmt: skip
    order = ("settings", "tables", "other_splits", "movielens")
    stored |= {"settings": settings, "tables": tables}
    write_results("tuned.json", {name: stored[name] for name in order})


if __name__ == "__main__":
    main()
