"""The published and the honest figures of the two real course tables, into results/real_tables.json.

    CONTENT_TABLE_DATA=... python benchmarks/real_tables.py          # about four minutes on two cores

The ratings stay where they are; only sizes, errors and ranks are written, with the settings and a hash of each file.
"""

import argparse

import numpy as np
from common import describe, real_data, write_results

import content_table as ct

TABLES = {"data 1": "100x100.csv", "data 2": "100x100_2.csv"}
PASSES = (1, 2, 3, 5, 10, 30, 100, 300, 1000)
SIX_TITLES = (
    "Gekkan Shoujo Nozaki-kun",
    "Azumanga Daioh",
    "Psycho-Pass",
    "Mob Psycho 100 II",
    "Clannad: After Story",
    "Perfect Blue",
)


def course_models(ratings):
    """The course's models; genres from the real catalogue."""
    return ct.course_models(ct.load_features(real_data("mal", "anime_id_to_genre.csv"), ratings, use=("genres",)))


def held_out(ratings, n_splits, n_jobs):
    """Rows of the honest table, and every model's paired difference from the baseline."""
    results = ct.evaluate(course_models(ratings), ratings, n_splits=n_splits, n_jobs=n_jobs, progress=True)
    means = results.groupby("model")[["rmse", "mae", "mae_clipped", "cold"]].mean().reset_index()
    table = ct.summarize(results).merge(means, on="model")
    return table.round(6).to_dict("records"), ct.paired_differences(results, "baseline").round(6).to_dict("records")


def errors_by_pass(ratings, init, n_splits):
    """Mean clipped held-out RMSE of the published ALS settings after each number of passes."""
    errors = np.zeros((n_splits, len(PASSES)))
    for split in range(n_splits):
        train, test = ratings.split_random(0.2, random_state=split)
        start, done = init, 0
        for at, passes in enumerate(PASSES):
            model = ct.ALS(20, 0.1, n_epochs=passes - done, tol=0, init=start, random_state=split).fit(train)
            start, done = (model.user_factors_, model.item_factors_), passes
            errors[split, at] = ct.rmse(model, test, clip=True)
    return errors.mean(axis=0).round(6).tolist()


def mean_ranks(model, titles):
    """The place of each title in the order of mean predictions over the viewers who did not rate them."""
    ratings = model.ratings_
    scores = np.ma.array(model.complete(), mask=ratings.csr.toarray() > 0)
    order = np.argsort(-np.round(scores.mean(axis=0).filled(-np.inf), ct.TIE), kind="stable")
    place = {ratings.item_labels[col]: rank for rank, col in enumerate(order.tolist(), start=1)}
    return {title: place.get(title) for title in titles}


def report(name, file, options):
    path = real_data("mal", file)
    ratings = ct.load_ratings(path)
    models = {label: model.fit(ratings) for label, model in course_models(ratings).items()}
    rows, paired = held_out(ratings, options.splits, options.jobs)
    ranked = {
        label: model for label, model in models.items() if label != "global mean"
    }  # all ties: its order says nothing
    frequent = ct.frequent_titles(ranked).head(15)
    return {
        "data": describe(ratings, path),
        "training": {label: round(ct.rmse(model, ratings), 10) for label, model in models.items()},
        "certified_gap": {
            label: f"{max(proof.relative_gap, 0.0):.0e}"
            for label, model in models.items()
            if (proof := model.certificate()) is not None
        },
        "held_out": rows,
        "paired": paired,
        "als_passes": {
            "passes": PASSES,
            "ones": errors_by_pass(ratings, "ones", 5),
            "random": errors_by_pass(ratings, "random", 5),
            "splits": 5,
        },
        "six_titles": {label: mean_ranks(model, SIX_TITLES) for label, model in ranked.items()},
        "frequent": frequent[["title", "all models"]].to_dict("records"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    tables = {name: report(name, file, options) for name, file in TABLES.items()}
    settings = {
        "command": "python benchmarks/real_tables.py",
        "splits": f"{options.splits} random 80/20 splits, evaluate(random_state=0)",
        "interval": "95 %, corrected for overlapping splits",
        "clip": "held_out rmse_clipped and paired: predictions clipped to 1..10; rmse and mae: raw",
        "models": {label: " ".join(str(model).split()) for label, model in ct.course_models().items()},
        "content": "SGD's settings, with the genres of each title",
    }
    keys = next(iter(tables.values()))
    write_results("real_tables.json", {"settings": settings} | {k: {t: tables[t][k] for t in tables} for k in keys})


if __name__ == "__main__":
    main()
