"""What EASE's constraint, dropout and grades are worth, and whether hits are loved. Into results/autoencoders.json.

    CONTENT_TABLE_DATA=... python benchmarks/autoencoders.py        # after lists.py; some minutes on one core

On the splits of lists.py. Three linear autoencoders of graded likes, tuned alike inside the training part:
`constrained` is EASE, `copying` the same without the constraint that no title explains itself, `denoising` has its
likes dropped at random instead of a penalty, which in the mean is a penalty of share / (1 - share) times the diagonal
of S'S. The other rows have the settings that lists.py chose in each split, and are fitted again. A hit is a listed
title that its viewer rated in the test part: loved at or above the threshold of lists.py, disliked in the lower half of
the scale.
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

FILED = ("rating model", "ImplicitALS, binary", "EASE", "EASE, graded", "EASE, likes", "MultVAE")  # of lists.py
TRIALS, HIDDEN = 4, "all hidden ratings"
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


PENALTY = {"reg": ct.Range(1.0, 1000.0, log=True)}
LINEAR = {
    "constrained": (ct.EASE(30.0, binary=False), PENALTY),
    "copying": (Copying(30.0, binary=False), PENALTY),
    "denoising": (Denoising(1.0, binary=False), {"reg": ct.Range(0.1, 100.0, log=True)}),
}

ROWS = ("popularity", *FILED, *LINEAR, HIDDEN)


def is_low(values, ratings):
    """Which of these ratings, 0 for none, lie in the lower half: up to 5 of 10, and up to 2.5 of 5."""
    return (values > 0) & (values <= ratings.scale[1] / 2)


def counted(model, train, test, threshold):
    """NDCG, and hits for each list: all, loved, and disliked."""
    top = ct.top_lists(model.fit(train), test, lists.N)
    rated = test.csr.toarray()
    found = np.where(top >= 0, np.take_along_axis(rated, np.maximum(top, 0), axis=1), 0.0)[test.user_counts > 0]
    hits = {"hits": (found > 0).sum(), "loved": (found >= threshold).sum(), "disliked": is_low(found, train).sum()}
    ndcg = float(ct.ranking_metrics(top, test, threshold)["ndcg"].mean())
    return {"ndcg": ndcg} | {name: int(count) / len(found) for name, count in hits.items()}


def shares_of_hidden(test, threshold):
    """How many of the hidden ratings themselves are loved, and disliked."""
    loved, low = (test.values >= threshold).mean(), is_low(test.values, test).mean()
    return {"ndcg": np.nan, "hits": 1.0, "loved": float(loved), "disliked": float(low)}


def data_results(name, stored, only, earlier):
    parts, threshold, n_splits, n_folds = lists.DATA[name]
    ratings, rows = ct.load_ratings(real_data(*parts)), [row for row in earlier if row["model"] not in only]
    chosen = {(row["model"], row["split"]): row["settings"] for row in stored if row["model"] in FILED}
    for split, seed in enumerate(np.random.SeedSequence(0).generate_state(n_splits).tolist()):
        train, test = ratings.split_random(0.2, seed)
        found = {HIDDEN: shares_of_hidden(test, threshold)} if HIDDEN in only else {}
        for row in (row for row in only if row != HIDDEN):
            if row in LINEAR:
                model = lists.tuned([LINEAR[row][0]], train, LINEAR[row][1], TRIALS, threshold, n_folds)[0]
            else:
                model = eval(chosen[row, split], vars(ct)) if row in FILED else ct.Popularity()
            found[row] = counted(model, train, test, threshold)
        rows += [{"model": row, "split": split} | lists.plain(figures) for row, figures in found.items()]
        print(name, split, {row: round(figures["ndcg"], 3) for row, figures in found.items()}, flush=True)
    return {"threshold": threshold} | summary(rows)


def summary(rows):
    """Means over the splits, and the linear autoencoders less EASE on the same splits."""
    table = pd.DataFrame(rows).astype({"ndcg": float}).assign(n_train=0.8, n_test=0.2)
    linear = table[table["model"].isin(LINEAR)]
    paired = ct.paired_differences(linear, "constrained", "ndcg", larger_is_better=True)
    means = table.groupby("model", sort=False)[list(FIGURES)].mean().reset_index()
    return {
        "means": [lists.plain(row) for row in means.to_dict("records")],
        "paired": [lists.plain(row) for row in paired.to_dict("records")],
        "splits": rows,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=list(lists.DATA), choices=list(lists.DATA), help="to try")
    parser.add_argument("--only", nargs="+", default=[], choices=ROWS, help="these rows alone, among those stored")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    stored = json.loads((RESULTS / "lists.json").read_text(encoding="utf-8"))["data"]
    path = RESULTS / "autoencoders.json"
    before = json.loads(path.read_text(encoding="utf-8"))["data"] if options.only and path.exists() else {}
    found = {}
    for name in options.data:
        earlier = before[name]["splits"] if name in before else []
        found[name] = data_results(name, stored[name]["splits"], options.only or ROWS, earlier)
    settings = {"command": "python benchmarks/autoencoders.py", "list_length": lists.N, "trials": TRIALS,
                "machine": machine()}  # fmt: skip
    if options.data == list(lists.DATA):
        write_results("autoencoders.json", {"settings": settings, "data": found})


if __name__ == "__main__":
    main()
