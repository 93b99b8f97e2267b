"""Lists of the full catalogue, every model tuned inside each split. Into results/lists.json.

    CONTENT_TABLE_DATA=... python benchmarks/lists.py         # about a quarter of an hour on one core
    python benchmarks/lists.py --only BPR                     # one row, put among those that are stored

Both real course tables (relevant: 8 of 10 or better) and MovieLens latest-small (4 of 5 or better), random 80/20
splits. Settings come from trials inside the training part, by NDCG@10 on ratings set aside there; of `chosen` the model
does too, among ours. Where the package `implicit` is installed its ALS is tuned and measured in the same way, by the
same trials, from the better of two tables: all ratings with confidence by rating, and likes alone.
"""

import argparse
import json
import time
import warnings

import numpy as np
import pandas as pd
from common import RESULTS, describe, machine, real_data, write_results
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import content_table as ct

DATA = {  # file, relevant from, splits, folds inside
    "data 1": (("mal", "100x100.csv"), 8, 20, 3),
    "data 2": (("mal", "100x100_2.csv"), 8, 20, 3),
    "MovieLens": (("ml-latest-small", "ratings.csv"), 4, 4, 1),
}
LIKED = 0.75  # 8 of 10, 4 of 5
N = 10
PEER = "implicit's ALS"
TRIALS = {"implicit": 12, "EASE": 6, "BPR": 8, "DeepMF": 8, "VAE": 5, "graph": 10, "rating": 6}
FACTORS = {"n_factors": ct.Range(5, 80, log=True)}
IMPLICIT = FACTORS | {"reg": ct.Range(3.0, 150.0, log=True), "confidence": ct.Range(0.1, 10.0, log=True)}
STEPS = FACTORS | {"reg": ct.Range(0.003, 0.1, log=True), "learning_rate": ct.Range(0.02, 0.1, log=True)}
NETWORK = FACTORS | {"reg": ct.Range(0.3, 10.0, log=True), "dropout": ct.Range(0.4, 0.8)}
NETWORK |= {"learning_rate": ct.Range(3e-3, 1e-2, log=True)}
WEIGHTS = {"reg": ct.Range(10.0, 1000.0, log=True)}

GRAPH = {"n_layers": ct.Range(2, 3), "popularity": ct.Range(0.0, 0.5), "low_pass": ct.Range(0.01, 0.3, log=True)}
GRAPH |= {"n_factors": ct.Range(0, 160)}


class Peer(ct.ImplicitALS):
    """The ALS of the package `implicit` on our table and with our settings; its factors are scored and listed by us."""

    def _fit(self, ratings, validation):
        import scipy.sparse as sp
        from implicit.cpu.als import AlternatingLeastSquares

        cells = self._counted(ratings.csr)
        confidence = (1 + self.confidence * cells.data).astype(np.float32)
        table = sp.csr_matrix((confidence, cells.indices.copy(), cells.indptr.copy()), cells.shape)  # it wants to write
        peer = AlternatingLeastSquares(self.n_factors, regularization=self.in_use("reg"), num_threads=1, random_state=0)
        peer.fit(table, show_progress=False)
        self.user_factors_, self.item_factors_ = peer.user_factors.astype(float), peer.item_factors.astype(float)


def candidates():
    """{row: ([models], space, trials)}: of several models the best is taken."""
    likes = {"binary": True, "liked": LIKED}
    quick = {"tol": 1e-3}
    rows = {
        "ImplicitALS": ([ct.ImplicitALS(**quick)], IMPLICIT, "implicit"),
        "ImplicitALS, binary": ([ct.ImplicitALS(**quick, binary=True)], IMPLICIT, "implicit"),
        "ImplicitALS, likes": ([ct.ImplicitALS(**quick, **likes)], IMPLICIT, "implicit"),
        "EASE": ([ct.EASE(dtype="float32")], WEIGHTS, "EASE"),
        "EASE, graded": ([ct.EASE(dtype="float32", binary=False)], WEIGHTS, "EASE"),
        "EASE, likes": ([ct.EASE(dtype="float32", liked=LIKED)], WEIGHTS, "EASE"),
        "BPR": ([ct.BPR(reg=0.01), ct.BPR(reg=0.01, liked=LIKED)], STEPS, "BPR"),
        "GraphFilter": ([ct.GraphFilter(), ct.GraphFilter(liked=LIKED)], GRAPH, "graph"),
        "DeepMF": ([ct.DeepMF(), ct.DeepMF(liked=LIKED)], ct.DeepMF().search_space(), "DeepMF"),
        "MultVAE": ([ct.MultVAE(n_epochs=60)], NETWORK | {"beta": ct.Range(0.05, 1.0, log=True)}, "VAE"),
    }
    try:
        import implicit  # noqa: F401
    except ImportError:
        return rows
    return rows | {PEER: ([Peer(), Peer(**likes)], IMPLICIT, "implicit")}


def tuned(models, train, space, n_trials, threshold, n_folds):
    """(model with the best settings, its NDCG on what was set aside) of the models."""
    how = {"n_trials": n_trials, "n_folds": n_folds, "score": "ndcg", "threshold": threshold, "n": N}
    found = [ct.tune(model, train, space=space, **how) for model in models]
    best = min(found, key=lambda one: one.study.best_value)
    return best.model, -best.study.best_value


def by_errors(train, n_folds):
    """The rating model with the smallest error on what was set aside."""
    models = {"ALS with biases": ct.ALS(10, biases=True, tol=1e-4), "item neighbours": ct.ItemKNN()}
    space = {"ALS with biases": FACTORS | {"reg": ct.IMAGINARY}, "item neighbours": {"reg": ct.IMAGINARY}}
    found = {name: ct.tune(model, train, space=space[name], n_trials=TRIALS["rating"], n_folds=n_folds)
             for name, model in models.items()}  # fmt: skip
    return min(found.values(), key=lambda one: one.study.best_value).model


def tuned_inside(train, threshold, n_folds, only):
    """{row: unfitted model with its settings} for one split, and NDCG inside; of the rows `only`, if any."""
    models, inside = {}, {}
    for name, (kinds, space, trials) in candidates().items():
        if not only or name in only:
            start = time.process_time()
            models[name], inside[name] = tuned(kinds, train, space, TRIALS[trials], threshold, n_folds)
            print("   ", name, f"{inside[name]:.4f} inside, tuned in {time.process_time() - start:.0f} s", flush=True)
    if not only:
        rating = by_errors(train, n_folds)
        hybrid = ct.Hybrid(clone(rating), reg=models["EASE, likes"].reg, liked=LIKED)
        models |= {"popularity": ct.Popularity(), "table order": ct.GlobalMean()}
        models |= {"rating model": rating, "Hybrid": hybrid}
    return {name: clone(model) for name, model in models.items()}, inside


def measured(model, train, test, threshold):
    """Figures of one model on one split; seconds are those of the processor."""
    start = time.process_time()
    model.fit(train)
    fit = time.process_time() - start
    start = time.process_time()
    lists = ct.top_lists(model, test, N)
    seconds = {"fit_seconds": fit, "list_seconds": time.process_time() - start}
    found = ct.ranking_metrics(lists, test, threshold)[["ndcg", "recall"]].mean()
    return dict(found) | ct.list_metrics(lists, train) | seconds


def by_chance(fitted, test, threshold):
    """What random lists get, exactly."""
    table = ct.rank_summary(ct.rank_models({"order": fitted}, test, threshold, N)).set_index("model")
    return table.loc["random", ["ndcg", "recall"]].to_dict()


def data_results(name, n_splits, only, earlier):
    """All figures of one data set; rows of `earlier`, a stored result, that are not measured now are kept."""
    parts, threshold, _, n_folds = DATA[name]
    ratings = ct.load_ratings(real_data(*parts))
    rows = []
    for split, seed in enumerate(np.random.SeedSequence(0).generate_state(n_splits).tolist()):
        train, test = ratings.split_random(0.2, seed)
        sizes = {"split": split, "n_train": len(train), "n_test": len(test)}
        start = time.perf_counter()
        models, inside = tuned_inside(train, threshold, n_folds, only)
        for row, model in models.items():
            said = {"inside": inside.get(row), "settings": repr(model)}
            rows.append({"model": row} | sizes | measured(model, train, test, threshold) | said)
        if "table order" in models:
            rows.append({"model": "random"} | sizes | by_chance(models["table order"], test, threshold))
        figures = {row["model"]: round(float(row["ndcg"]), 3) for row in rows if row["split"] == split}
        print(name, split, f"{time.perf_counter() - start:.0f} s", figures, flush=True)
    now = {row["model"] for row in rows}
    rows += [row for row in earlier if row["model"] not in now | {"chosen"}]
    return {"data": describe(ratings, real_data(*parts)), "threshold": threshold} | summary(rows + chosen(rows))


def chosen(rows):
    """Of each split the row of ours that was best inside, as a row of its own."""
    ours = [row for row in rows if row.get("inside") is not None and row["model"] != PEER]
    best = {row["split"]: row for row in sorted(ours, key=lambda row: row["inside"])}
    return [row | {"model": "chosen"} for row in best.values()]


def summary(rows):
    """Means over the splits, differences from the best peer on the same splits, and every row."""
    table = pd.DataFrame(rows).sort_values(["model", "split"])
    means = []
    for model, part in table.groupby("model", sort=False):
        mean, half = ct.split_interval(part["ndcg"], *part[["n_train", "n_test"]].iloc[0])
        figures = part[["recall", "coverage", "novelty", "fit_seconds", "list_seconds"]].mean().to_dict()
        means.append({"model": model, "ndcg": mean, "half_width": half} | figures)
    means = sorted(means, key=lambda row: -row["ndcg"])
    references = [name for name in (PEER, "EASE", "popularity") if name in set(table["model"])]
    paired = {name: ct.paired_differences(table, name, "ndcg", larger_is_better=True) for name in references}
    return {
        "means": [plain(row) for row in means],
        "paired": {name: [plain(row) for row in found.to_dict("records")] for name, found in paired.items()},
        "splits": [plain(row) for row in table.to_dict("records")],
    }


def plain(row):
    """Five decimals, and nothing where there is nothing."""
    return {name: value if not isinstance(value, float) else None if np.isnan(value) else round(value, 5)
            for name, value in row.items()}  # fmt: skip


def compile_first():
    """All that is compiled, so that no clock counts it."""
    tiny = ct.load_ratings(ct.DATA / "100x100.csv")
    kinds = [model for models, *_ in candidates().values() for model in models]
    for model in [*kinds, ct.ItemKNN(), ct.ALS(2, biases=True), ct.Popularity()]:
        ct.top_lists(clone(model).fit(tiny), tiny.split_random()[1].within(tiny), N)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, help="of each data set, to try; 20 of the small ones, 4 of MovieLens")
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--only", nargs="+", default=[], choices=list(candidates()),
                        help="measure these rows alone, and put them among those that are stored")  # fmt: skip
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    compile_first()
    start = time.perf_counter()
    path = RESULTS / "lists.json"
    stored = json.loads(path.read_text(encoding="utf-8"))["data"] if options.only else {}
    found = {}
    for name in options.data:
        earlier = stored[name]["splits"] if options.only else []
        found[name] = data_results(name, options.splits or DATA[name][2], options.only, earlier)
    settings = {"command": "python benchmarks/lists.py", "trials": TRIALS, "liked": LIKED, "list_length": N,
                "splits": {name: DATA[name][2] for name in DATA},
                "folds_inside": {name: DATA[name][3] for name in DATA}, "machine": machine()}  # fmt: skip
    for name, one in found.items():
        print(name, *[f"{row['model']}: {row['ndcg']:.4f}, {row['fit_seconds'] or 0:.2f} s" for row in one["means"]],
              sep="\n  ")  # fmt: skip
    print(f"{time.perf_counter() - start:.0f} s")
    if options.splits is None and (options.only or options.data == list(DATA)):
        write_results("lists.json", {"settings": settings, "data": stored | found})


if __name__ == "__main__":
    main()
