"""New viewers on real ratings: fold-in against a refit, the error after so many ratings, which titles to ask for first;
into results/cold_start.json.

    CONTENT_TABLE_DATA=... python benchmarks/cold_start.py          # about ten minutes on two cores

`embedded` is the simulated sample of the repository, the others are real. Lessons 13 and 13b show the figures, and
measure the like of them on the sample by code of their own.
"""

import argparse
import time

import numpy as np
import pandas as pd
from common import describe, machine, real_data, write_results
from sklearn.base import clone

import content_table as ct

REFIT = {"embedded": (30, 0.1), "data 1": (60, 0.1), "MovieLens": (3, 0.1)}  # splits, share of viewers that are new
CURVES = {"embedded": (60, 0.2), "data 1": (60, 0.2), "MovieLens": (5, 0.1)}


# ---- Viewers set aside: how good is a fold-in after so many ratings, and which titles to ask for? --------------------


def set_aside(ratings, share=0.2, least=25, held_out=5, random_state=0):
    """(training part without the new viewers, their rows, what they may tell, what is asked of the prediction).

    `share` of the viewers with `least` ratings or more are new: all their ratings leave the training part, `held_out`
    of each at random are to be predicted, and the others, in random order, may be told.
    """
    rng = np.random.default_rng(random_state)
    counts = ratings.user_counts
    busy = rng.permutation(np.flatnonzero(counts >= least))
    new = np.sort(busy[: max(1, round(share * len(busy)))])
    told, asked = {}, {}
    for row in new:
        own = rng.permutation(np.flatnonzero(ratings.rows == row))
        asked[row], told[row] = own[:held_out], own[held_out:]
    return ratings.part(~np.isin(ratings.rows, new)), new, told, asked


def _pairs(ratings, entries):
    return {ratings.item_ids[ratings.cols[e]].item(): ratings.values[e].item() for e in entries}


def _squared_errors(viewer, ratings, entries, expected=None):
    """Squared errors of clipped predictions: of held-out ratings, or of a whole row of expected ones."""
    predicted = np.clip(viewer.scores, *ratings.scale)
    if expected is not None:
        return (predicted - expected) ** 2
    return (predicted[ratings.cols[entries]] - ratings.values[entries]) ** 2


def cold_start(
    models, ratings, counts=(0, 1, 2, 3, 5, 8, 12, 16, 20), n_splits=5, held_out=5, share=0.2, expected=None
):
    """Clipped held-out RMSE of new viewers after so many ratings were folded in: model, split, ratings, rmse, n_train,
    n_test.

    Only viewers with at least max(counts) + held_out ratings can be new, the same ones for every count. `expected`, a
    (m, n) table that only a simulation has: then the error is that of whole rows against it, without the noise of
    ratings.
    """
    rows_expected = [None] * ratings.n_users if expected is None else expected
    rows = []
    for split in range(n_splits):
        train, new, told, asked = set_aside(ratings, share, max(counts) + held_out, held_out, split)
        for name, model in models.items():
            fitted = clone(model).fit(train)
            for count in counts:
                squares = [
                    _squared_errors(
                        fitted.fold_in(_pairs(ratings, told[row][:count])), ratings, asked[row], rows_expected[row]
                    )
                    for row in new
                ]
                rmse = float(np.sqrt(np.mean(np.concatenate(squares))))
                sizes = {"n_train": len(train), "n_test": held_out * len(new)}
                rows.append({"model": name, "split": split, "ratings": count, "rmse": rmse} | sizes)
    return pd.DataFrame(rows)


def against_refit(models, ratings, n_splits=5, least=15, held_out=5, share=0.2):
    """Fold-in beside a fit that has learnt from the new viewers too: held-out clipped RMSE of both, for each split."""
    rows = []
    for split in range(n_splits):
        train, new, told, asked = set_aside(ratings, share, least, held_out, split)
        hidden = np.concatenate([asked[row] for row in new])
        whole = ratings.part(np.setdiff1d(np.arange(len(ratings)), hidden))
        for name, model in models.items():
            fitted, refitted = clone(model).fit(train), clone(model).fit(whole)
            folded = [_squared_errors(fitted.fold_in(_pairs(ratings, told[r])), ratings, asked[r]) for r in new]
            row = {"model": name, "split": split, "fold_in": float(np.sqrt(np.mean(np.concatenate(folded))))}
            row["refit"] = ct.rmse(refitted, ratings.part(hidden), clip=True)
            rows.append(row | {"n_train": len(train), "n_test": len(hidden)})
    return pd.DataFrame(rows)


def coverage(model, ratings, counts=(0, 2, 5, 10, 20), n_splits=5, held_out=5, share=0.2, z=1.2816, expected=None):
    """Share of the new viewers' held-out ratings within `z` standard deviations of the prediction (80 % if they are
    right), and the mean standard deviation from few ratings alone.

    With `expected`, a (m, n) table that only a simulation has, also the root mean square error against it on the same
    cells, which that standard deviation should have been, and the model's noise."""
    rows = []
    for split in range(n_splits):
        train, new, told, asked = set_aside(ratings, share, max(counts) + held_out, held_out, split)
        fitted = clone(model).fit(train)
        for count in counts:
            inside, open_, errors = [], [], []
            for row in new:
                viewer = fitted.fold_in(_pairs(ratings, told[row][:count]))
                ids = ratings.item_ids[ratings.cols[asked[row]]]
                away = np.abs(viewer.predict(ids) - ratings.values[asked[row]])
                inside.append(away <= z * viewer.uncertainty(ids, of_a_rating=True))
                open_.append(viewer.uncertainty(ids))
                if expected is not None:
                    errors.append(viewer.predict(ids) - expected[row, ratings.cols[asked[row]]])
            rows.append({"ratings": count, "inside": np.mean(inside), "uncertainty": np.mean(open_)})
            if expected is not None:
                rows[-1] |= {"true error": np.sqrt(np.mean(np.square(errors))), "noise": fitted.noise()}
    return pd.DataFrame(rows).groupby("ratings").mean()


# ---- Which titles to ask for first -----------------------------------------------------------------------------------


def asking_orders(model, n=40, random_state=0):
    """Orders in which a new viewer could be asked for titles, as columns of the training table: {name: positions}.

    popular: the most rated first. divisive: the largest variance of ratings first (ten ratings or more). popular and
    divisive: by variance times the root of the count. informative: greedy, the title whose rating would lower the mean
    uncertainty over the catalogue most (no rating is needed to know that). random.
    """
    ratings = model.ratings_
    counts = ratings.item_counts
    means = np.bincount(ratings.cols, ratings.values, ratings.n_items) / np.maximum(counts, 1)
    spread = np.bincount(ratings.cols, (ratings.values - means[ratings.cols]) ** 2, ratings.n_items)
    spread = np.where(counts >= 10, spread / np.maximum(counts, 1), 0.0)
    known = np.flatnonzero(counts)
    return {
        "popular": np.argsort(-counts, kind="stable")[:n],
        "divisive": np.argsort(-spread, kind="stable")[:n],
        "popular and divisive": np.argsort(-spread * np.sqrt(counts), kind="stable")[:n],
        "informative": informative_order(model, n),
        "random": np.random.default_rng(random_state).permutation(known)[:n],
    }


def informative_order(model, n, candidates=None):
    """Greedy A-optimal design: each next title lowers the mean variance of the predictions over the catalogue most.

    For prediction z.x with prior covariance S = diag(1 / penalty) and noise of variance 1, a rating of title j turns S
    into S - S z_j z_j' S / (1 + z_j' S z_j).
    """
    fold = model.fold_in({model.ratings_.item_ids[0].item(): model.global_mean_}).fold  # any one rating will do
    Z, S = np.hstack(fold.blocks), np.diag(1 / fold.penalty)
    left = np.ones(len(Z), dtype=bool)
    if candidates is not None:
        left[:] = False
        left[candidates] = True
    order = []
    while len(order) < n and left.any():
        SZ = S @ Z.T  # (k, n)
        gain = ((Z @ SZ) ** 2).mean(axis=0) / (1 + (Z * SZ.T).sum(axis=1))
        best = int(np.argmax(np.where(left, gain, -1.0)))
        order.append(best)
        left[best] = False
        S = S - np.outer(SZ[:, best], SZ[:, best]) / (1 + Z[best] @ SZ[:, best])
    return np.array(order)


def asking(
    model,
    ratings,
    questions=(0, 5, 10, 20, 40),
    n_splits=5,
    held_out=5,
    share=0.2,
    least=25,
    answers=None,
    expected=None,
):
    """Held-out error of new viewers after so many questions in each order: order, split, questions, answered, rmse.

    A viewer answers only for titles that they rated (held-out ones are not told), unless `answers`, a (m, n) table of
    what everybody would say about everything, is given, or a function that gives one for each split: something only a
    simulation has. So has it `expected`, and then the error is that of whole rows against it.
    """
    rows_expected = [None] * ratings.n_users if expected is None else expected
    rows = []
    for split in range(n_splits):
        train, new, told, asked = set_aside(ratings, share, least, held_out, split)
        fitted = clone(model).fit(train)
        said_by_all = answers(split) if callable(answers) else answers
        for name, order in asking_orders(fitted, max(questions), split).items():
            for count in questions:
                squares, answered = [], []
                for row in new:
                    own = {ratings.cols[e]: ratings.values[e] for e in told[row]}
                    if said_by_all is not None:
                        hidden = set(ratings.cols[asked[row]].tolist())
                        own = {col: said_by_all[row, col] for col in order if col not in hidden}
                    said = {ratings.item_ids[c].item(): float(own[c]) for c in order[:count] if c in own}
                    squares.append(_squared_errors(fitted.fold_in(said), ratings, asked[row], rows_expected[row]))
                    answered.append(len(said))
                rmse = float(np.sqrt(np.mean(np.concatenate(squares))))
                rows.append({"order": name, "split": split, "questions": count, "answered": np.mean(answered),
                             "rmse": rmse, "n_train": len(train), "n_test": held_out * len(new)})  # fmt: skip
    return pd.DataFrame(rows)


# ---- Tables, models, and the file ------------------------------------------------------------------------------------


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
            "refit": refit_table(against_refit(own, ratings, n_splits=n_refit, share=share)),
            "curves": curve_table(cold_start(own, ratings, n_splits=n_curve, share=share_curve), "model", "ratings"),
            "asking": curve_table(asking(orders, ratings, n_splits=n_curve, share=share_curve), "order", "questions"),
            "coverage": {
                model: coverage(own[model], ratings, n_splits=min(n_curve, 20), share=share_curve).round(3).to_dict()
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
