"""What a network needs to learn a product, and what a hundred sampled negatives say of lists. Into results/depth.json.

    CONTENT_TABLE_DATA=... python benchmarks/depth.py                   # about ten minutes on one core
    CONTENT_TABLE_DATA=... python benchmarks/depth.py --only sampled    # one part, put among what is stored

Products: pairs of vectors p, q from N(0, I), targets p.q / sqrt(k) and noise of half their spread; the error is the
root mean square over fresh pairs, from the products without noise, so 1 is always saying 0. The network is
scikit-learn's, two layers of ReLUs, stopped early by a tenth set aside; beside it least squares on the k^2 products
p_f q_g, which has the product built in and must find which of them count.

Sampled metrics: of every viewer one rating, drawn at random, is held out, and where it is liked its title is ranked
among all that the viewer has not rated, and among a hundred of these: for the latter the exact mean over all draws.
"""

import argparse
import json
import time
import warnings

import numpy as np
from common import RESULTS, describe, machine, real_data, write_results
from scipy.stats import hypergeom
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

import content_table as ct

HIDDEN, NOISE, FRESH = (64, 32), 0.5, 10_000
DIMENSIONS, PAIRS, DRAWS = (2, 4, 8, 16), (1_000, 3_000, 10_000, 30_000, 100_000), 5
N, SAMPLED = 10, 100
TABLES = {"sample, 600 titles": (None, 8), "MovieLens": (("ml-latest-small", "ratings.csv"), 4)}  # relevant from
SPLITS = 10
MODELS = {
    "popularity": ct.Popularity(),
    "implicit ALS, 20 factors": ct.ImplicitALS(20, reg=30),
    "implicit ALS, 64 factors": ct.ImplicitALS(64, reg=10, confidence=0.3),
    "BPR": ct.BPR(reg=0.01),
    "network": ct.DeepMF(n_epochs=10),
    "item neighbours": ct.ItemKNN(),
}  # as they stand, not tuned: what is measured is the test, not the models


# ---- Products --------------------------------------------------------------------------------------------------------


def pairs(rng, n, k):
    """Vectors p and q side by side, and the products."""
    X = rng.normal(size=(n, 2 * k))
    return X, (X[:, :k] * X[:, k:]).sum(axis=1) / np.sqrt(k)


def bilinear(X):
    """All products p_f q_g of each pair."""
    k = X.shape[1] // 2
    return (X[:, :k, None] * X[:, None, k:]).reshape(len(X), -1)


def product_errors(k, n, seed):
    """{model: error on fresh pairs} and seconds of the network."""
    rng = np.random.default_rng([seed, k, n])
    X, true = pairs(rng, n, k)
    fresh, expected = pairs(rng, FRESH, k)
    told = true + NOISE * rng.normal(size=n)
    start = time.process_time()
    how = {"learning_rate_init": 0.003, "early_stopping": True, "max_iter": 300, "random_state": seed}
    network = MLPRegressor(hidden_layer_sizes=HIDDEN, **how)
    network.fit(X, told)
    seconds = time.process_time() - start
    weights = np.linalg.lstsq(bilinear(X), told, rcond=None)[0]
    guesses = {"network": network.predict(fresh), "built in": bilinear(fresh) @ weights}
    found = {name: float(np.sqrt(np.mean((guess - expected) ** 2))) for name, guess in guesses.items()}
    return found | {"seconds": seconds}


def products():
    rows = []
    for k in DIMENSIONS:
        for n in PAIRS:
            runs = [product_errors(k, n, seed) for seed in range(DRAWS)]
            rows.append({"k": k, "pairs": n} | {name: [round(run[name], 4) for run in runs] for name in runs[0]})
            print({name: value if name in ("k", "pairs") else np.round(np.mean(value), 3)
                   for name, value in rows[-1].items()}, flush=True)  # fmt: skip
    return rows


# ---- A hundred sampled negatives -------------------------------------------------------------------------------------


def places(model, rest, one, threshold):
    """(titles above the held-out one, titles beside it) of each viewer who liked what was held out."""
    liked = one.part(one.values >= threshold)
    scores = np.round(model.predict_rows(liked.rows), ct.TIE)
    scores[rest.known[liked.rows].toarray() > 0] = -np.inf
    own = scores[np.arange(len(liked)), liked.cols][:, None]
    first = np.arange(rest.n_items) < liked.cols[:, None]  # ties go by position
    above = ((scores > own) | ((scores == own) & first)).sum(axis=1)
    return above, np.isfinite(scores).sum(axis=1) - 1


def judged(above, beside):
    """HR and NDCG at 10 among all titles, and their exact means among a hundred drawn from these."""
    place = np.arange(N)
    chance = hypergeom.pmf(place, beside[:, None], above[:, None], np.minimum(SAMPLED, beside)[:, None])
    gains = 1 / np.log2(place + 2)
    return {
        "HR": np.mean(above < N),
        "NDCG": np.mean(np.where(above < N, 1 / np.log2(above + 2), 0.0)),
        "sampled HR": np.mean(chance.sum(axis=1)),
        "sampled NDCG": np.mean(chance @ gains),
        "AUC": np.mean(1 - above / beside),
    }


def sampled(name):
    """Every model on every split of a table, a row each."""
    parts, threshold = TABLES[name]
    path = ct.DATA / "sparse.csv" if parts is None else real_data(*parts)
    ratings, rows = ct.load_ratings(path), []
    table = ct.Ratings(ratings.user_ids, ratings.item_ids, ratings.rows, ratings.cols, ratings.values, ratings.scale)
    for split, seed in enumerate(np.random.SeedSequence(19).generate_state(SPLITS).tolist()):
        rest, one = table.split_leave_one_out(random_state=seed)  # without times, or the last one would be held out
        for model, kind in MODELS.items():
            found = judged(*places(clone(kind).fit(rest), rest, one, threshold))
            rows.append({"model": model, "split": split} | {what: round(float(x), 5) for what, x in found.items()})
        print(name, split, {row["model"]: (row["HR"], row["sampled HR"]) for row in rows[-len(MODELS) :]}, flush=True)
    return {"data": describe(ratings, path), "threshold": threshold, "splits": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("products", "sampled"))
    only = parser.parse_args().only
    warnings.simplefilter("ignore", ConvergenceWarning)
    found = json.loads((RESULTS / "depth.json").read_text(encoding="utf-8")) if only else {}
    seconds = found.get("settings", {}).get("seconds", {})
    for part, measure in (("products", products), ("sampled", lambda: {name: sampled(name) for name in TABLES})):
        if only in (None, part):
            start = time.process_time()
            found[part], seconds[part] = measure(), round(time.process_time() - start)
    models = {name: repr(one) for name, one in MODELS.items()}
    settings = {"command": "python benchmarks/depth.py", "hidden": HIDDEN, "noise": NOISE, "fresh_pairs": FRESH,
                "models": models, "list_length": N, "sampled_titles": SAMPLED, "machine": machine(),
                "seconds": seconds}  # fmt: skip
    write_results("depth.json", found | {"settings": settings})


if __name__ == "__main__":
    main()
