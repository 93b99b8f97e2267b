"""New viewers on real ratings: fold-in against a refit, the error after so many ratings, which titles to ask for first;
into results/cold_start.json.

    CONTENT_TABLE_DATA=... python benchmarks/cold_start.py          # about ten minutes on two cores

The experiments are those of lesson 13. `embedded` is the simulated sample of the repository, the others are real.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from common import describe, machine, real_data, write_results
from sklearn.base import clone

import content_table as ct

sys.path.insert(0, str(Path(ct.__file__).parent / "notebooks"))
import lesson_13 as lesson  # the experiments live beside the lesson that explains them

REFIT = {"embedded": (30, 0.1), "data 1": (60, 0.1), "MovieLens": (3, 0.1)}  # splits, share of viewers that are new
CURVES = {"embedded": (60, 0.2), "data 1": (60, 0.2), "MovieLens": (5, 0.1)}


def tables():
    """name -> (ratings, path of the file, genres)."""
    films = real_data("ml-latest-small")
    paths = {"embedded": (ct.DATA / "100x100.csv",) * 2 + (ct.DATA / "catalogue.csv",),
             "data 1": (real_data("mal", "100x100.csv"),) * 2 + (real_data("mal", "anime_id_to_genre.csv"),),
             "MovieLens": (films, films / "ratings.csv", films)}  # fmt: skip
    for name, (source, file, catalogue) in paths.items():
        ratings = ct.load_ratings(source)
        yield name, ratings, file, ct.load_features(catalogue, ratings, use=("genres",))


def models(name, genres):
    """One of each family, with the settings of the course, or for MovieLens those that its time split preferred."""
    if name == "MovieLens":
        return {
            "baseline": ct.BiasBaseline(reg=5),
            "ALS with biases": ct.ALS(n_factors=10, reg=10, biases=True, bias_reg=5, n_epochs=30, tol=0),
            "SGD": ct.SGDMF(n_factors=20, reg=0.05, learning_rate=0.01),
            "content": ct.ContentMF(genres, n_factors=20, reg=0.05, learning_rate=0.01),
            "content only": ct.ContentOnly(genres, reg=5),
        }
    names = ("baseline", "item neighbours", "ALS with biases", "spectral", "spectral with biases", "nuclear norm",
             "SGD", "content")  # fmt: skip
    course = ct.course_models(genres)
    return {name: course[name] for name in names} | {"content only": ct.ContentOnly(genres, reg=5)}


def refit_table(results):
    """Means over the splits, and the difference with its 95 % interval."""
    rows = []
    for name, part in results.groupby("model", sort=False):
        sizes = part[["n_train", "n_test"]].mean()
        mean, half = ct.split_interval(part["fold_in"] - part["refit"], *sizes)
        rows.append({"model": name, "fold_in": part["fold_in"].mean(), "refit": part["refit"].mean(),
                     "difference": mean, "half_width": half})  # fmt: skip
    return [{key: value if isinstance(value, str) else round(float(value), 4) for key, value in row.items()}
            for row in rows]  # fmt: skip


def curve_table(results, by, at):
    means = results.pivot_table(index=by, columns=at, values="rmse", sort=False)
    return {"at": [int(n) for n in means.columns]} | {"rmse": {k: row.round(4).tolist() for k, row in means.iterrows()}}


def seconds(model, ratings, n_times=50):
    """Median seconds of a fold-in of ten ratings, of the list of ten after it, and of the reasons for its first."""
    fitted, times = clone(model).fit(ratings), []
    popular = np.argsort(-ratings.item_counts, kind="stable")
    for turn in range(n_times):
        told = {ratings.item_ids[col].item(): ratings.scale[1] for col in popular[turn : turn + 10]}
        start = time.perf_counter()
        viewer = fitted.fold_in(told)
        folded = time.perf_counter()
        top = viewer.recommend(10)
        listed = time.perf_counter()
        viewer.explain(top["item_id"].iloc[0])
        times.append([folded - start, listed - folded, time.perf_counter() - listed])
    return dict(zip(("fold_in", "list", "reasons"), np.round(np.median(times, axis=0), 6).tolist(), strict=True))


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    found = {"made_by": "python benchmarks/cold_start.py", "machine": machine(), "tables": {}}
    for name, ratings, file, genres in tables():
        own = models(name, genres)
        n_refit, share = REFIT[name]
        n_curve, share_curve = CURVES[name]
        orders = own["ALS with biases"]
        found["tables"][name] = {
            "data": describe(ratings, file),
            "settings": {key: repr(model) for key, model in own.items()},
            "refit": refit_table(lesson.against_refit(own, ratings, n_splits=n_refit, share=share)),
            "curves": curve_table(
                lesson.cold_start(own, ratings, n_splits=n_curve, share=share_curve), "model", "ratings"
            ),
            "asking": curve_table(
                lesson.asking(orders, ratings, n_splits=n_curve, share=share_curve), "order", "questions"
            ),
            "coverage": {
                model: lesson.coverage(own[model], ratings, n_splits=min(n_curve, 20), share=share_curve)
                .round(3)
                .to_dict()
                for model in ("baseline", "ALS with biases")
            },
        }
        print(name, *found["tables"][name]["refit"], sep="\n  ")
    larger = ct.load_ratings(ct.DATA / "sparse.csv")
    films = ct.load_ratings(real_data("ml-latest-small"))
    spectral = ct.SpectralRegularization(reg=8, biases=True)
    found["seconds"] = {
        "larger sample": seconds(spectral, larger),
        "MovieLens": seconds(models("MovieLens", None)["ALS with biases"], films),
    }
    print(found["seconds"])
    write_results("cold_start.json", found)


if __name__ == "__main__":
    main()
