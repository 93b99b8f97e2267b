"""SGD and content on MovieLens latest-small: accuracy, what the text adds, the misalignment, ranking.

    CONTENT_TABLE_DATA=... python benchmarks/movielens_content.py   # about three minutes on two cores

Per-user time split. Everything is chosen on the validation part; figures on the test part are means over five seeds
of models trained on the training part alone. Writes results/movielens_content.json.
"""

import itertools
import time
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
from common import describe, machine, real_data, write_results
from sklearn.base import clone

import content_table as ct

SEEDS = range(5)
PUBLISHED_SGD = ct.SGDMF(n_factors=42, learning_rate=0.012376565252378615, reg=3.677e-05)
PUBLISHED_CONTENT = {"n_factors": 28, "learning_rate": 0.008089574860460297, "reg": 1.6073e-05, "shared_weights": False}
SGD_GRID = {"n_factors": (5, 20, 40), "learning_rate": (0.005, 0.01, 0.02), "reg": (0.01, 0.03, 0.1)}
CONTENT_GRID = {"n_factors": (5, 20), "learning_rate": (0.005, 0.01, 0.02), "reg": (0.005, 0.02, 0.05)}
IMPLICIT_GRID = {"n_factors": (10, 20), "reg": (10.0, 30.0), "confidence": (0.2, 1.0)}
TEXTS = {
    "genres": {"use": ("genres",)},
    "genres, tags": {"use": ("genres", "tags")},
    "genres, decade": {"use": ("genres", "decade")},
    "genres, tags, decade": {"use": ("genres", "tags", "decade")},
}
THRESHOLDS = (3.5, 4.0)


def load():
    """The folder, the ratings and their three parts."""
    folder = real_data("ml-latest-small")
    ratings = ct.load_ratings(folder)
    return folder, ratings, *ratings.split_user_time()


def published_features(folder, ratings):
    """The published recipe, except that it has one row for each *item*."""
    return ct.load_features(folder, ratings, keep_no_genres=True)


def misaligned(features, ratings, seed):
    """The same rows given to the wrong items: item i gets the text of *rating* i, as published; or any other item's."""
    by_rating = ratings.cols[: ratings.n_items]
    shuffled = np.random.default_rng(seed).permutation(ratings.n_items)
    wrong = {"text of rating i": by_rating, "rows shuffled": shuffled}
    return {name: replace(features, matrix=features.matrix[order]) for name, order in wrong.items()}


def grid(model, values):
    return [
        clone(model).set_params(**dict(zip(values, row, strict=True))) for row in itertools.product(*values.values())
    ]


def fit_seeds(model, train, validation):
    models = [clone(model).set_params(random_state=seed) for seed in SEEDS]
    return joblib.Parallel(n_jobs=2)(joblib.delayed(model.fit)(train, validation) for model in models)


def score(models, validation, test):
    """Figures of each seed."""
    rows = {"validation_rmse": [ct.rmse(model, validation) for model in models],
            "test_rmse": [ct.rmse(model, test) for model in models],
            "test_rmse_clipped": [ct.rmse(model, test, clip=True) for model in models]}  # fmt: skip
    if "validation_loss" in (models[0].history_ or [{}])[0]:
        rows["best_validation_loss"] = [min(row["validation_loss"] for row in model.history_) for model in models]
        rows["best_epoch"] = [model.best_epoch_ for model in models]
    return {name: np.round(values, 5).tolist() for name, values in rows.items()}


def rmse_difference(models, others, test, clip=True, n_boot=2000):
    """RMSE of `models` minus that of `others` (means over their seeds) and a 95 % bootstrap interval over users."""
    squares = [np.mean([ct.errors(model, test, clip) ** 2 for model in side], axis=0) for side in (models, others)]
    by_user = np.array([np.bincount(test.rows, side, minlength=test.n_users) for side in squares])
    counts = test.user_counts
    draws = np.random.default_rng(0).integers(0, test.n_users, (n_boot, test.n_users))
    rms = np.sqrt(by_user[:, draws].sum(axis=2) / counts[draws].sum(axis=1))
    whole = np.sqrt(by_user.sum(axis=1) / counts.sum())
    low, high = np.quantile(rms[0] - rms[1], [0.025, 0.975])
    return {
        "difference": round(float(whole[0] - whole[1]), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def ranking(fitted, validation, test):
    """Every threshold and protocol: means over seeds and users, and paired intervals against popularity."""
    found = {}
    for threshold, protocol in itertools.product(THRESHOLDS, ct.PROTOCOLS):
        tables = [ct.rank_models({name: models[seed % len(models)] for name, models in fitted.items()}, test, threshold,
                                 protocol=protocol, also_seen=validation) for seed in SEEDS]  # fmt: skip
        left_out = tables[0].attrs["users_left_out"]
        results = pd.concat([table.assign(order=range(len(table))) for table in tables])
        mean = results.groupby(["model", "user_id"]).mean().sort_values("order").drop(columns="order").reset_index()
        summary = ct.rank_summary(mean)
        kept = (test.n_users - left_out) / test.n_users
        summary["precision_zeros_counted"] = summary["precision"] * kept
        summary["recall_zeros_counted"] = summary["recall"] * kept
        against = ct.rank_differences(mean, "popularity", "ndcg")
        found[f"{protocol}, threshold {threshold}"] = {
            "users_left_out": left_out,
            "summary": summary.round(4).to_dict("records"),
            "ndcg_minus_popularity": against.round(4).to_dict("records"),
        }
        print(protocol, threshold, summary.round(3).to_string(), against.round(4).to_string(), sep="\n")
    return found


def choose_implicit(train, validation):
    """The implicit model with the best full-catalogue NDCG@10 on the validation part."""
    models = [model.fit(train) for model in grid(ct.ImplicitALS(), IMPLICIT_GRID)]
    scores = [ct.ranking_metrics(ct.top_lists(model, validation), validation, 3.5)["ndcg"].mean() for model in models]
    return models[int(np.argmax(scores))]


def main():
    start = time.perf_counter()
    folder, ratings, train, validation, test = load()
    published = published_features(folder, ratings)
    features = {name: ct.load_features(folder, ratings, **options) for name, options in TEXTS.items()}
    features["genres, tags before the cut, decade"] = ct.load_features(
        folder, ratings, use=("genres", "tags", "decade"), tags_until=train
    )
    ct.SGDMF(n_epochs=1, patience=None).fit(train.part(slice(0, 100)))  # compile before anything is timed

    # Chosen on the validation part, with one seed.
    sgd = ct.select_model(grid(ct.SGDMF(), SGD_GRID), train, validation, n_jobs=2)[0]
    candidates = [model for table in ("genres, tags", "genres, tags, decade")
                  for model in grid(ct.ContentMF(features[table]), CONTENT_GRID)]  # fmt: skip
    content = ct.select_model(candidates, train, validation, n_jobs=2)[0]
    best_text = next(name for name, table in features.items() if table == content.item_features)
    without_decade = ct.select_model(candidates[: len(candidates) // 2], train, validation, n_jobs=2)[0]
    only = ct.select_model(
        grid(ct.ContentOnly(content.item_features), {"reg": (1.0, 2.0, 3.0, 5.0, 8.0)}), train, validation
    )[0]
    implicit = choose_implicit(train, validation)

    plain = {
        "baseline": ct.BiasBaseline(reg=5),
        "item neighbours": ct.ItemKNN(),
        "spectral with biases": ct.SpectralRegularization(reg=12, biases=True, tol=1e-4),
    }
    fitted = {name: [model.fit(train)] for name, model in plain.items()}
    fitted["content only"] = [only]
    fitted["SGD as published"] = fit_seeds(PUBLISHED_SGD, train, validation)
    fitted["SGD"] = fit_seeds(sgd, train, validation)
    fitted["content as published, rows right"] = fit_seeds(
        ct.ContentMF(published, **PUBLISHED_CONTENT), train, validation
    )
    fitted["content, genres and tags"] = fit_seeds(without_decade, train, validation)
    clock = time.perf_counter()
    clone(content).set_params(n_epochs=25, patience=None).fit(train)
    seconds_25 = time.perf_counter() - clock
    fitted["content"] = fit_seeds(content, train, validation)
    fitted["blend of SGD and content only"] = [
        ct.Blend(model, only, prefit=True).fit(train, validation) for model in fitted["SGD"]
    ]
    models = {name: score(side, validation, test) for name, side in fitted.items()}
    for name, row in models.items():
        print(f"{name:35s}", {key: round(float(np.mean(values)), 4) for key, values in row.items()}, flush=True)

    texts = {}
    for name, table in features.items():
        models_of = fit_seeds(clone(content).set_params(item_features=table), train, validation)
        texts[name] = {"terms": len(table.names), **score(models_of, validation, test),
                       "minus_SGD": rmse_difference(models_of, fitted["SGD"], test)}  # fmt: skip
        print("text", name, texts[name]["minus_SGD"], flush=True)

    misalignment = {}
    for kind, right, model in (
        ("as published", published, ct.ContentMF(published, **PUBLISHED_CONTENT)),
        ("tuned", content.item_features, content),
    ):
        rows = {"rows right": [clone(model).set_params(random_state=seed) for seed in SEEDS]}
        for seed in SEEDS:
            for name, table in misaligned(right, ratings, seed).items():
                rows.setdefault(name, []).append(clone(model).set_params(item_features=table, random_state=seed))
        done = {name: [one.fit(train, validation) for one in side] for name, side in rows.items()}
        misalignment[kind] = {
            name: {**score(side, validation, test), "minus_right": rmse_difference(side, done["rows right"], test)}
            for name, side in done.items()
        }
        print(kind, {name: np.mean(row["test_rmse"]).round(4) for name, row in misalignment[kind].items()}, flush=True)

    cold = (train.item_counts == 0)[test.cols]
    parts = {"films with training ratings": test.part(~cold), "films without": test.part(cold)}
    by_part = {
        part: {"cells": len(cells)}
        | {name: round(float(np.mean([ct.rmse(model, cells, clip=True) for model in side])), 4)
           for name, side in fitted.items()}
        for part, cells in parts.items()
    }  # fmt: skip
    print(by_part)
    ranked = {name: fitted[name] for name in ("baseline", "item neighbours", "spectral with biases", "SGD",
                                              "content only", "content")}  # fmt: skip
    ranked["implicit ALS"] = [implicit]
    lists = {name: ct.list_metrics(ct.top_lists(side[0], test, also_seen=validation), train, content.item_features)
             for name, side in (ranked | {"popularity": [ct.Popularity().fit(train)]}).items()}  # fmt: skip

    def settings_of(model):
        return {name: value for name, value in model.get_params(deep=False).items()
                if not isinstance(value, ct.Features)}  # fmt: skip

    data = describe(ratings, folder / "ratings.csv")
    data |= {"parts": [len(train), len(validation), len(test)], "published_terms": len(published.names)}
    data |= {"training_sparsity": round(1 - train.density, 6), "training_mean": round(float(train.values.mean()), 4)}
    results = {
        "settings": {
            "command": "python benchmarks/movielens_content.py",
            "seeds": list(SEEDS),
            "chosen": {
                "SGD": settings_of(sgd),
                "content": settings_of(content) | {"texts": best_text},
                "content, genres and tags": settings_of(without_decade),
                "content only": settings_of(only),
                "implicit ALS": settings_of(implicit),
            },
            "machine": machine(),
        },
        "data": data,
        "models": models,
        "content_minus": {name: rmse_difference(fitted["content"], fitted[name], test)
                          for name in fitted if name != "content"},
        "texts": texts,
        "misalignment": misalignment,
        "rmse_by_film": by_part,
        "ranking": ranking(ranked, validation, test),
        "lists": {name: {key: round(float(value), 4) for key, value in row.items()} for name, row in lists.items()},
        "seconds_of_25_passes": round(seconds_25, 2),
    }  # fmt: skip
    write_results("movielens_content.json", results)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
