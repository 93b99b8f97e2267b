"""How far likes should travel along the graph of viewers and titles: lists on real data. Into results/smoothing.json.

    CONTENT_TABLE_DATA=... python benchmarks/smoothing.py         # about five minutes on one core

Both real course tables and MovieLens latest-small, the splits of benchmarks/lists.py. Nothing is tuned: each rating
counts by its share of the scale, and only the filter of the graph changes. Of each filter NDCG@10, and how many of the
ten titles are in the list by degree, the sum of a title's likes. The largest singular values are those of the whole
table of who rated what, and of the same table with its titles dealt again (benchmarks/choices.py).
"""

import argparse
import time

import numpy as np
import pandas as pd
from choices import dealt
from common import describe, machine, real_data, write_results
from lists import DATA, N, plain

import content_table as ct
from content_table_parts.graphs import inverse_root, scaled

LAYERS = range(2, 7)  # averaged, as in LightGCN: fewer reach no title but one's own
STEPS = range(1, 7)  # from a title to its viewers and on to their titles, the last place alone
DIRECTIONS = {"data 1": (1, 2, 5, 10, 20), "data 2": (1, 2, 5, 10, 20), "MovieLens": (1, 5, 20, 80, 160)}


def filters(s, name):
    """{(family, count): what the direction of a singular value s is multiplied by}."""
    found = {("steps", count): s ** (2 * count + 1) for count in STEPS}
    for count in LAYERS:
        embedding = [np.mean([sign**layer * s**layer for layer in range(count + 1)], axis=0) for sign in (1, -1)]
        found["layers", count] = (embedding[0] ** 2 - embedding[1] ** 2) / 2
    first = np.arange(len(s))
    return found | {("directions", count): s * (first < count) for count in DIRECTIONS[name]}


def likes_of(train):
    """How much each rating likes its title, from 0 to 1: sparse, (m, n)."""
    model = ct.GraphFilter()
    model.ratings_ = train
    return model._told(train.csr)


def scores_by_filter(likes, name):
    """Pairs of (family, count) and the scores (m, n) of every viewer and title."""
    T = scaled(likes, inverse_root(np.asarray(likes.sum(axis=0)))).toarray()
    U, s, Vt = np.linalg.svd(T, full_matrices=False)
    yield ("paths", 1), (likes @ (likes.T @ likes)).toarray()  # without degrees
    for key, response in filters(s, name).items():
        yield key, (U * response) @ Vt


def singular_values(ratings, largest=20):
    """The first of the normalised table of who rated what."""
    likes = ct.GraphFilter(binary=True)._likes(ratings.csr)
    T = scaled(likes, inverse_root(np.asarray(likes.sum(axis=0))))
    return np.linalg.svd(T.toarray(), compute_uv=False)[:largest].round(4).tolist()


def spectra(ratings):
    """Singular values of a table, and of the same table dealt again."""
    again = dealt(ratings, np.random.default_rng(0))
    return {"singular_values": singular_values(ratings), "dealt_again": singular_values(again)}


def listed(scores, seen):
    """(m, N) positions of each viewer's best unseen titles; ties by position."""
    left = np.where(seen, -np.inf, np.round(scores, ct.TIE))
    return np.argsort(-left, axis=1, kind="stable")[:, :N]


def data_results(name):
    parts, threshold, n_splits, _ = DATA[name]
    ratings, rows = ct.load_ratings(real_data(*parts)), []
    for split, seed in enumerate(np.random.SeedSequence(0).generate_state(n_splits).tolist()):
        train, test = ratings.split_random(0.2, seed)
        seen = train.known.toarray()
        likes = likes_of(train)
        popular = listed(np.tile(np.asarray(likes.sum(axis=0)), (train.n_users, 1)), seen)
        sizes = {"split": split, "n_train": len(train), "n_test": len(test)}
        for (family, count), scores in scores_by_filter(likes, name):
            top = listed(scores, seen)
            shared = (top[:, :, None] == popular[:, None, :]).any(axis=2).sum(axis=1).mean()
            ndcg = ct.ranking_metrics(top, test, threshold)["ndcg"].mean()
            rows.append({"family": family, "count": count, "ndcg": ndcg, "shared": shared} | sizes)
        print(name, split, flush=True)
    about = {"data": describe(ratings, real_data(*parts)), "threshold": threshold}
    return about | spectra(ratings) | summary(rows)


def summary(rows):
    """Of each filter its means, and the difference from one step on the same splits; and every row."""
    table, found = pd.DataFrame(rows), []
    one = table[(table["family"] == "steps") & (table["count"] == 1)].set_index("split")["ndcg"]
    for (family, count), part in table.groupby(["family", "count"], sort=False):
        sizes = part[["n_train", "n_test"]].iloc[0]
        less = ct.split_interval(part["ndcg"].to_numpy() - one.to_numpy(), *sizes)
        means = part[["ndcg", "shared"]].mean().to_dict()
        found.append({"family": family, "count": count} | means | {"difference": less[0], "half_width": less[1]})
    return {"filters": [plain(row) for row in found], "splits": [plain(row) for row in table.to_dict("records")]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    options = parser.parse_args()
    start = time.perf_counter()
    found = {name: data_results(name) for name in options.data}
    for name, one in found.items():
        print(name, pd.DataFrame(one["filters"]).round(4).to_string(), sep="\n")
    print(f"{time.perf_counter() - start:.0f} s")
    if options.data == list(DATA):
        settings = {"command": "python benchmarks/smoothing.py", "list_length": N, "machine": machine()}
        sample = spectra(ct.load_ratings(ct.DATA / "100x100.csv"))
        write_results("smoothing.json", {"settings": settings, "sample": sample, "data": found})


if __name__ == "__main__":
    main()
