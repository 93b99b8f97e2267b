"""What each kind of feature brings to a factorization machine, rung by rung. Into results/bayes_ladder.json.

    CONTENT_TABLE_DATA=... python benchmarks/bayes_ladder.py      # about a quarter of an hour on one core

Every rung is a `BayesianFM` with one kind of feature more: of the course's real tables with two factors, on 20 random
splits; of MovieLens latest-small with ten, on 4. Errors are clipped, and differences to the rung with factors and
genres are paired, with the interval of `ct.split_interval`. MovieLens has dates, so that its rungs are also measured
with the last 15 % of the ratings of each viewer held out: one split, three seeds, and an interval over viewers.
"one sample" is the last sample of the richest rung without context, in place of the mean over all 50 that it keeps.
New titles: each fifth of all titles in turn keeps no rating in the training part, and the errors are those of their
ratings, beside those of the bias baseline, which knows the viewer; intervals are over titles.
Lesson 18 shows the figures, and measures the like of them on the sample by code of its own.
"""

import argparse
import json

import joblib
import numpy as np
from common import RESULTS, describe, machine, real_data, write_results
from sklearn.base import clone

import content_table as ct

REFERENCE, ONE = "factors, genres", "one sample"
WEEK = 7 * 24 * 3600  # seconds
TABLES = {"data 1": "100x100.csv", "data 2": "100x100_2.csv"}
ALL = (*TABLES, "MovieLens")


# ---- What is measured ------------------------------------------------------------------------------------------------


def course_table(name):
    path = real_data("mal", TABLES[name])
    ratings = ct.load_ratings(path)
    genres = ct.load_features(real_data("mal", "anime_id_to_genre.csv"), ratings, use=("genres",))
    return ratings, path, {"genres": genres}


def movielens():
    """The table with the calendar week of each rating, counted from 1970, and what is known of its films."""
    path = real_data("ml-latest-small", "ratings.csv")
    plain = ct.load_ratings(path)
    about = {"times": plain.times, "titles": plain.titles, "context": {"week": plain.times // WEEK}}
    universe = plain.user_ids, plain.item_ids, plain.rows, plain.cols, plain.values
    ratings = ct.Ratings(*universe, scale=plain.scale, **about)
    known = {"genres": ("genres",), "genres, decade": ("genres", "decade")}
    return ratings, path, {name: ct.load_features(path.parent, plain, use=use) for name, use in known.items()}


def machines(known, k, **how):
    """The rungs; `known` are the features of titles by name, the last of them all that is known."""
    *_, all_known = known.values()
    rungs = {
        "biases": ct.BayesianFM(0, implicit=False),
        "weights of genres": ct.BayesianFM(0, implicit=False, item_features=known["genres"]),
        "factors": ct.BayesianFM(k, implicit=False),
    }
    rungs |= {f"factors, {name}": ct.BayesianFM(k, implicit=False, item_features=each) for name, each in known.items()}
    rungs["who rated what"] = ct.BayesianFM(k, item_features=all_known)
    if len(known) > 1:
        rungs["week"] = ct.BayesianFM(k, item_features=all_known, context=("week",))
    return {name: clone(model).set_params(**how) for name, model in rungs.items()}


def measured(train, test, rungs):
    """{model: clipped errors of the held-out ratings}."""
    simple = {"mean": ct.GlobalMean(), "bias baseline": ct.BiasBaseline(), "ALS with biases": ct.ALS(biases=True)}
    found = {}
    for name, model in (simple | rungs).items():
        fitted = clone(model).fit(train)
        found[name] = ct.errors(fitted, test, clip=True)
        if name == "who rated what":
            found[ONE] = np.clip(one_sample(fitted, test), *test.scale) - test.values
    return found


def one_sample(model, test):
    """Predictions of the last sample that a model without context has kept."""
    n, k = len(model.levels_), model.n_factors
    P, Q = (side.reshape(-1, n, k)[:, -1] * np.sqrt(n) for side in (model.user_factors_, model.item_factors_))
    biases = model.user_biases_[test.rows, -1] + model.item_biases_[test.cols, -1]
    return model.levels_[-1] + biases + (P[test.rows] * Q[test.cols]).sum(axis=1)


def rmse(errors):
    return float(np.sqrt(np.mean(errors**2)))


# ---- Over random splits ----------------------------------------------------------------------------------------------


def summary(rows, n_train, n_test):
    """Of each model the mean error, and its paired difference to the reference with a 95 % half width."""
    return {
        name: {
            "rmse": round(float(np.mean([row[name] for row in rows])), 4),
            "minus": rounded(ct.split_interval([row[name] - row[REFERENCE] for row in rows], n_train, n_test)),
            "each": rounded(row[name] for row in rows),
        }
        for name in rows[0]
    }


def rounded(numbers):
    return [round(float(each), 4) for each in numbers]


def one_split(ratings, rungs, seed):
    train, test = ratings.split_random(0.2, random_state=seed)
    return {name: rmse(errors) for name, errors in measured(train, test, rungs).items()}


def over(draws, ratings, rungs, options):
    seeds = np.random.SeedSequence(18).generate_state(draws).tolist()
    rows = joblib.Parallel(options.jobs)(joblib.delayed(one_split)(ratings, rungs, seed) for seed in seeds)
    return told(summary(rows, 0.8 * len(ratings), 0.2 * len(ratings)))


def told(found):
    print({name: (row["rmse"], row["minus"]) for name, row in found.items()}, flush=True)
    return found


# ---- New titles, and the last ratings of each viewer -----------------------------------------------------------------


def without_part(ratings, rungs, part, at):
    """Squared errors of the ratings of one part of the titles, none of which is in the training part."""
    held = part[ratings.cols] == at
    own = {name: rungs[name] for name in rungs if name not in ("who rated what", "week")}
    found = measured(ratings.part(~held), ratings.part(held), own)
    return np.flatnonzero(held), {name: errors**2 for name, errors in found.items()}


def new_titles(ratings, rungs, repeats, options):
    """Five parts of the titles, each left out in turn, by so many partitions; intervals over titles."""
    parts = [np.random.default_rng([18, n]).permutation(ratings.n_items) % 5 for n in range(repeats)]
    calls = [joblib.delayed(without_part)(ratings, rungs, part, at) for part in parts for at in range(5)]
    squares = {}
    for held, found in joblib.Parallel(options.jobs)(calls):
        for name, own in found.items():
            squares.setdefault(name, np.zeros(len(ratings)))[held] += own / repeats
    return told(over_units(squares, ratings.cols, "bias baseline"))


def by_time(ratings, rungs, options):
    """Mean squared error over seeds, on the last 15 % of each viewer's ratings; intervals over viewers."""
    train, validation, test = ratings.split_user_time()
    train = train.joined(validation)
    seeded = [{name: clone(model).set_params(random_state=seed) for name, model in rungs.items()} for seed in range(3)]
    runs = joblib.Parallel(options.jobs)(joblib.delayed(measured)(train, test, each) for each in seeded)
    squares = {name: np.mean([run[name] ** 2 for run in runs], axis=0) for name in runs[0]}
    return told(over_units(squares, test.rows, REFERENCE))


def over_units(squares, units, reference, draws=1000):
    """Of each model the error, and its difference to the reference with the half width of a 95 % interval: the units
    (titles, viewers) drawn with replacement."""
    n = np.bincount(units).size
    counts = np.random.default_rng(18).multinomial(n, np.full(n, 1 / n), draws)
    sizes = counts @ np.bincount(units)
    drawn = {name: np.sqrt(counts @ np.bincount(units, own) / sizes) for name, own in squares.items()}
    whole = {name: rmse(np.sqrt(own)) for name, own in squares.items()}
    minus = {name: (whole[name] - whole[reference], 1.96 * (drawn[name] - drawn[reference]).std()) for name in squares}
    return {name: {"rmse": round(whole[name], 4), "minus": rounded(minus[name])} for name in squares}


# ---- All of it -------------------------------------------------------------------------------------------------------


def sections(name, options):
    """(name, what it holds) of each section of a table, one after the other as they are measured."""
    on_films = name == "MovieLens"
    ratings, path, known = movielens() if on_films else course_table(name)
    rungs = machines(known, 10, n_sweeps=200) if on_films else machines(known, 2)
    draws = options.films if on_films else options.splits
    yield "data", describe(ratings, path)
    yield "factors", 10 if on_films else 2
    yield "random", over(draws, ratings, rungs, options)
    if on_films:
        yield "by time", by_time(ratings, rungs, options)
    yield "new titles", new_titles(ratings, rungs, 1 if on_films else 4, options)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--films", type=int, default=4, help="random splits of MovieLens")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tables", nargs="+", choices=ALL, default=list(ALL), help="what to measure anew")
    options = parser.parse_args()
    path = RESULTS / "bayes_ladder.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"tables": {}}
    how = {"command": "python benchmarks/bayes_ladder.py", "machine": machine(), "reference": REFERENCE}
    tables = results["tables"]
    for name in options.tables:
        tables[name] = {}
        for section, found in sections(name, options):
            tables[name][section] = found
            write_results("bayes_ladder.json", {"settings": how, "tables": tables})


if __name__ == "__main__":
    main()
