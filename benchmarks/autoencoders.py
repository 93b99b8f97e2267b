"""What EASE's constraint, dropout and grades are worth, and whether hits are loved. Into results/autoencoders.json.

    CONTENT_TABLE_DATA=... python benchmarks/autoencoders.py        # after lists.py; some minutes on one core

On the splits of lists.py. Two linear autoencoders beside `EASE, graded`, tuned in the same way: `copying` is EASE
without the constraint that no title explains itself, `denoising` has its likes dropped at random instead of a penalty,
which in the mean is a penalty of share / (1 - share) times the diagonal of S'S. The other rows have the settings that
lists.py chose in each split, and are fitted again. A hit is a listed title that its viewer rated in the test part:
loved at or above the threshold of lists.py, disliked in the lower half of the scale.
"""

import argparse
import json
import warnings

import lists
import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse as sp
from common import RESULTS, machine, real_data, write_results
from sklearn.exceptions import ConvergenceWarning

import content_table as ct

FILED = ("rating model", "ImplicitALS, binary", "EASE", "EASE, graded", "EASE, likes", "MultVAE")
FIGURES = ("ndcg", "hits", "loved", "disliked")


def ridge_weights(S, reg):
    """(S'S + reg)^-1 S'S, by way of the smaller table of viewers."""
    gram = (S @ S.T).toarray() + reg * np.eye(S.shape[0])
    return S.T.tocsr() @ scipy.linalg.solve(gram, S.toarray(), assume_a="pos")


class Copying(ct.EASE):
    """EASE in which a title may explain itself."""

    def _fit(self, ratings, validation):
        self.item_weights_ = ridge_weights(self._told(ratings.csr), self.reg)


class Denoising(ct.EASE):
    """The expected least squares from likes of which a share is dropped; `reg` is share / (1 - share)."""

    def _fit(self, ratings, validation):
        S = self._told(ratings.csr)
        size = np.sqrt((S.multiply(S)).sum(axis=0))
        size[size == 0] = 1.0
        W = ridge_weights(sp.csr_array(S / size), self.reg)
        self.item_weights_ = W / size[:, None] * size


LINEAR = {
    "copying": (Copying(binary=False), lists.WEIGHTS | {"reg": ct.Range(1.0, 1000.0, log=True)}),
    "denoising": (Denoising(1.0, binary=False), {"reg": ct.Range(0.1, 100.0, log=True)}),
}


def counted(model, train, test, threshold):
    """NDCG, and hits for each list: all, loved, and disliked."""
    top = ct.top_lists(model.fit(train), test, lists.N)
    rated = test.csr.toarray()
    found = np.where(top >= 0, np.take_along_axis(rated, np.maximum(top, 0), axis=1), 0.0)[test.user_counts > 0]
    low = found[(found > 0) & (found <= np.mean([0, train.scale[1]]))]
    hits = {"hits": (found > 0).sum(), "loved": (found >= threshold).sum(), "disliked": len(low)}
    ndcg = float(ct.ranking_metrics(top, test, threshold)["ndcg"].mean())
    return {"ndcg": ndcg} | {name: int(count) / len(found) for name, count in hits.items()}


def data_results(name, stored):
    parts, threshold, n_splits, n_folds = lists.DATA[name]
    ratings, rows = ct.load_ratings(real_data(*parts)), []
    chosen = {(row["model"], row["split"]): row["settings"] for row in stored if row["model"] in FILED}
    for split, seed in enumerate(np.random.SeedSequence(0).generate_state(n_splits).tolist()):
        train, test = ratings.split_random(0.2, seed)
        models = {"popularity": ct.Popularity()}
        models |= {row: eval(chosen[row, split], vars(ct)) for row in FILED}
        for row, (model, space) in LINEAR.items():
            models[row] = lists.tuned([model], train, space, lists.TRIALS["EASE"], threshold, n_folds)[0]
        for row, model in models.items():
            rows.append({"model": row, "split": split} | lists.plain(counted(model, train, test, threshold)))
        rated = test.values
        rows.append({"model": "all hidden ratings", "split": split, "ndcg": None, "hits": 1.0,
                     "loved": float((rated >= threshold).mean()),
                     "disliked": float((rated <= ratings.scale[1] / 2).mean())})  # fmt: skip
        print(name, split, {row["model"]: row["ndcg"] for row in rows if row["split"] == split}, flush=True)
    table = pd.DataFrame(rows)
    sizes = table.assign(n_train=0.8, n_test=0.2)
    linear = sizes[sizes["model"].isin([*LINEAR, "EASE, graded"])]
    paired = ct.paired_differences(linear, "EASE, graded", "ndcg", larger_is_better=True)
    means = table.groupby("model", sort=False)[list(FIGURES)].mean().reset_index()
    return {"threshold": threshold, "means": [lists.plain(row) for row in means.to_dict("records")],
            "paired": [lists.plain(row) for row in paired.to_dict("records")],
            "splits": [lists.plain(row) for row in rows]}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=list(lists.DATA), choices=list(lists.DATA), help="to try")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    stored = json.loads((RESULTS / "lists.json").read_text(encoding="utf-8"))["data"]
    found = {name: data_results(name, stored[name]["splits"]) for name in options.data}
    settings = {"command": "python benchmarks/autoencoders.py", "list_length": lists.N, "trials": lists.TRIALS["EASE"],
                "machine": machine()}  # fmt: skip
    if options.data == list(lists.DATA):
        write_results("autoencoders.json", {"settings": settings, "data": found})


if __name__ == "__main__":
    main()
