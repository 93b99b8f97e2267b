"""Do choices say more than counts? Lists from who rated what, on each table and after its titles were dealt again. Into
results/choices.json.

    CONTENT_TABLE_DATA=... python benchmarks/choices.py         # some minutes on one core

`dealt` keeps how many ratings each viewer gave and each title got, and redraws which: two viewers put the titles that
only one of them rated into a hat and draw as many as they had, again and again (the curveball algorithm, Nature
Communications 5:4114, 2014). What a model of who rated what gains on popularity before, and not after, it has from
choices that go together. Every hidden title is relevant, whatever its rating; random 80/20 splits, a new deal for each.
The settings of EASE and ImplicitALS come from trials by NDCG@10 inside the training part.

`by its lists` is ALS with biases, tuned by NDCG@10 of what was rated 8 of 10, or 4 of 5, or better, on the splits of
lists.py, where rating models are tuned by their error: whether that alone makes the difference.
"""

import argparse
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
from common import describe, machine, real_data, write_results
from sklearn.exceptions import ConvergenceWarning

import content_table as ct

DATA = {  # file, relevant from (only where the rating model is judged), splits
    "data 1": (("mal", "100x100.csv"), 8, 20),
    "data 2": (("mal", "100x100_2.csv"), 8, 20),
    "MovieLens": (("ml-latest-small", "ratings.csv"), 4, 4),
}
TRIALS, RATING_TRIALS, ROUNDS, N = 6, 12, 10, 10
RATING = ct.ALS(10, biases=True, tol=1e-3)
RATING_SPACE = {"n_factors": ct.Range(5, 80, log=True), "reg": ct.Range(1.0, 100.0, log=True)}
MODELS = {
    "EASE": (ct.EASE(dtype="float32"), {"reg": ct.Range(10.0, 3000.0, log=True)}),
    "ImplicitALS": (
        ct.ImplicitALS(10, reg=30, binary=True, tol=1e-3),
        {"reg": ct.Range(3.0, 150.0, log=True), "confidence": ct.Range(0.1, 10.0, log=True)},
    ),
}


def dealt(ratings, rng):
    """The same viewers and titles with as many ratings each, and other choices; every rating 1."""
    own = [set(part.tolist()) for part in np.split(ratings.csr.indices, ratings.csr.indptr[1:-1])]
    for _ in range(ROUNDS * len(own)):
        u, v = rng.choice(len(own), 2, replace=False)
        both, hat = own[u] & own[v], rng.permutation(sorted(own[u] ^ own[v])).tolist()
        at = len(own[u]) - len(both)
        own[u], own[v] = both | set(hat[:at]), both | set(hat[at:])
    rows = np.repeat(np.arange(len(own)), [len(titles) for titles in own])
    cols = np.concatenate([sorted(titles) for titles in own])
    return replace(ratings, rows=rows, cols=cols, values=np.ones(len(cols)))


def scores(ratings, seed):
    """{model: NDCG@10 over what is hidden of one split}."""
    train, test = ratings.split_random(0.2, seed)
    found = {"popularity": ct.Popularity()}
    for name, (model, space) in MODELS.items():
        how = {"n_trials": TRIALS, "score": "ndcg", "threshold": 0, "n": N, "random_state": seed}
        found[name] = ct.tune(model, train, space=space, **how).model
    table = ct.rank_summary(ct.rank_models({"order": ct.GlobalMean().fit(train)}, test, 0, N)).set_index("model")
    own = {name: ct.ranking_metrics(ct.top_lists(model.fit(train), test, N), test, 0)["ndcg"].mean()
           for name, model in found.items()}  # fmt: skip
    return own | {"random": table.loc["random", "ndcg"]}


def by_its_lists(ratings, seed, threshold):
    """NDCG@10 of a rating model that was tuned for it."""
    train, test = ratings.split_random(0.2, seed)
    how = {"n_trials": RATING_TRIALS, "score": "ndcg", "threshold": threshold, "n": N, "random_state": seed}
    model = ct.tune(RATING, train, space=RATING_SPACE, **how).model
    return ct.ranking_metrics(ct.top_lists(model, test, N), test, threshold)["ndcg"].mean()


def table_results(name):
    parts, threshold, n_splits = DATA[name]
    path = real_data(*parts)
    ratings, rows, rated = ct.load_ratings(path), [], []
    for split, seed in enumerate(np.random.SeedSequence(0).generate_state(n_splits).tolist()):
        tables = {"as it is": ratings, "dealt again": dealt(ratings, np.random.default_rng(seed))}
        for what, table in tables.items():
            found = {model: round(float(ndcg), 5) for model, ndcg in scores(table, seed).items()}
            rows.append({"table": what, "split": split} | found)
            print(name, rows[-1], flush=True)
        rated.append(round(float(by_its_lists(ratings, seed, threshold)), 5))
    mean, half = ct.split_interval(rated, 80, 20)
    tuned = {"threshold": threshold, "ndcg": round(mean, 5), "half_width": round(half, 5), "splits": rated}
    return {"data": describe(ratings, path), "gains": gains(rows), "by its lists": tuned, "splits": rows}


def gains(rows):
    """Each model and chance less popularity, with 95 % half widths, before and after the deal."""
    splits, kept = pd.DataFrame(rows), []
    for what, part in splits.groupby("table", sort=False):
        for model in (*MODELS, "random"):
            gain, half = ct.split_interval(part[model] - part["popularity"], 80, 20)
            kept.append({"table": what, "model": model, "ndcg": part[model].mean(),
                         "popularity": part["popularity"].mean(), "gain": gain, "half_width": half})  # fmt: skip
    return [{key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()} for row in kept]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    data = {name: table_results(name) for name in DATA}
    settings = {"command": "python benchmarks/choices.py", "trials": TRIALS, "rating_trials": RATING_TRIALS,
                "rounds": ROUNDS, "list_length": N, "splits": {name: n for name, (_, _, n) in DATA.items()},
                "machine": machine()}  # fmt: skip
    write_results("choices.json", {"settings": settings, "data": data})


if __name__ == "__main__":
    main()
