"""Every model that has defaults, as default, against the biases alone on real ratings, into results/defaults.json.

    CONTENT_TABLE_DATA=... python benchmarks/defaults.py            # about six minutes on one core

No setting is chosen here. MovieLens latest-small: the per-user time split, fit on the training part without the
validation part, as somebody who just calls `fit`, with a bootstrap interval over users; and random 80/20 splits. The
two course tables: random 80/20 splits. All random splits are others than those of real_tables.py and tuned.py, and
others than those that the defaults were looked for on. `ImplicitALS` does not predict ratings: NDCG@10 over the full
catalogue, against popularity.
"""

import argparse
import time
import warnings

import numpy as np
from common import describe, machine, real_data, write_results
from movielens_content import rmse_difference
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import content_table as ct

TABLES = {"data 1": "100x100.csv", "data 2": "100x100_2.csv"}
REFERENCE = "baseline"
SEED = 500  # of the random splits: `evaluate` takes its children
SMALL = ("gradient descent", "nuclear norm")  # for small dense tables: not on MovieLens


def default_models(features):
    """Each model with its defaults; `biases` and the features are the only arguments given."""
    return {
        REFERENCE: ct.BiasBaseline(),
        "global mean": ct.GlobalMean(),
        "item neighbours": ct.ItemKNN(),
        "ALS": ct.ALS(),
        "ALS with biases": ct.ALS(biases=True),
        "gradient descent": ct.GradientDescentMF(),
        "SGD": ct.SGDMF(),
        "content": ct.ContentMF(features),
        "content only": ct.ContentOnly(features),
        "spectral": ct.SpectralRegularization(),
        "spectral with biases": ct.SpectralRegularization(biases=True),
        "nuclear norm": ct.NuclearNorm(),
        "blend of SGD and content only": ct.Blend(ct.SGDMF(), ct.ContentOnly(features)),
    }


def check_features(features, ratings):
    """Features of another table would be matched by id, silently and wrongly: nearly every title must have some."""
    known = np.isin(ratings.item_ids, features.ids)
    described = np.diff(features.rows_for(ratings.item_ids[known]).indptr) > 0
    if known.mean() < 0.99 or described.mean() < 0.9:
        raise ValueError(f"these features describe {described.sum()} of the {ratings.n_items} titles of {ratings}.")
    return features


def by_splits(models, ratings, n_splits, metric):
    """Mean error, and paired difference from the baseline with its corrected 95 % interval."""
    results = ct.evaluate(models, ratings, n_splits=n_splits, random_state=SEED, progress=True)
    table = ct.paired_differences(results, REFERENCE, metric).set_index("model")
    table[metric] = results.groupby("model")[metric].mean()
    print(table.round(4).to_string(), flush=True)
    return table.round(5).reset_index().to_dict("records")


def by_time(models, train, test):
    """Raw test error, difference from the baseline with a bootstrap interval over users, seconds of a fit."""
    fitted, rows = {}, {}
    for name, model in models.items():
        start = time.perf_counter()
        fitted[name] = clone(model).fit(train)
        seconds = time.perf_counter() - start
        against = rmse_difference([fitted[name]], [fitted[REFERENCE]], test, clip=False)
        rows[name] = {"rmse": round(ct.rmse(fitted[name], test), 5), **against, "fit_seconds": round(seconds, 2)}
        print(f"{name:30s}", rows[name], flush=True)
    return rows


def ndcg(model, train, test, threshold):
    lists = ct.top_lists(clone(model).fit(train), test)
    return float(ct.ranking_metrics(lists, test, threshold)["ndcg"].mean())


def ranking(splits, threshold):
    """NDCG@10 of the implicit default and of popularity: their means over the splits, and the paired difference."""
    found = np.array([[ndcg(model, *parts, threshold) for model in (ct.ImplicitALS(), ct.Popularity())]
                      for parts in splits])  # fmt: skip
    mean, half = ct.split_interval(found[:, 0] - found[:, 1], len(splits[0][0]), len(splits[0][1]))
    rows = {"implicit ALS": found[:, 0].mean(), "popularity": found[:, 1].mean(), "difference": mean}
    rows = {name: round(float(value), 5) for name, value in rows.items()}
    rows["half_width"] = None if np.isnan(half) else round(half, 5)
    print(rows, flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10, help="of each course table")
    parser.add_argument("--film-splits", type=int, default=3, help="random splits of MovieLens")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # a default that runs out of passes is judged as it is
    begin = time.perf_counter()

    path = real_data("ml-latest-small", "ratings.csv")
    films = ct.load_ratings(path)
    text = check_features(ct.load_features(path.parent, films, use=("genres", "tags", "decade")), films)
    models = {name: model for name, model in default_models(text).items() if name not in SMALL}
    few = films.part(slice(0, 200))
    for model in models.values():  # compiled before the clock starts
        clone(model).set_params(**({"n_epochs": 1} if hasattr(model, "n_epochs") else {})).fit(few)
    train, _, test = films.split_user_time()
    seeds = np.random.SeedSequence(SEED).generate_state(max(options.splits, options.film_splits)).tolist()
    movielens = {
        "data": describe(films, path),
        "by_time": by_time(models, train, test),
        "random": by_splits(models, films, options.film_splits, "rmse"),
        "ndcg_by_time": ranking([(train, test)], 4.0),
        "ndcg_random": ranking([films.split_random(0.2, seed) for seed in seeds[: options.film_splits]], 4.0),
    }

    tables = {}
    for name, file in TABLES.items():
        path = real_data("mal", file)
        ratings = ct.load_ratings(path)
        genres = ct.load_features(real_data("mal", "anime_id_to_genre.csv"), ratings, use=("genres",))
        splits = [ratings.split_random(0.2, seed) for seed in seeds[: options.splits]]
        tables[name] = {
            "data": describe(ratings, path),
            "random": by_splits(
                default_models(check_features(genres, ratings)), ratings, options.splits, "rmse_clipped"
            ),
            "ndcg_random": ranking(splits, 8.0),
        }
    settings = {
        "command": "python benchmarks/defaults.py",
        "splits": f"{options.splits} random 80/20 splits of a course table, {options.film_splits} of MovieLens, "
        f"evaluate(random_state={SEED})",
        "interval": "95 %: of splits corrected for their overlap, by time a bootstrap over users",
        "clip": "MovieLens raw, course tables clipped to the scale",
        "threshold": "a relevant title: 4 on MovieLens, 8 on the course tables",
        "not_on_movielens": list(SMALL),
        "machine": machine(),
    }
    write_results("defaults.json", {"settings": settings, "movielens": movielens, "tables": tables})
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
