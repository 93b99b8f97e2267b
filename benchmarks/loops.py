"""Ten evenings of lists that write their own ratings, with beliefs from ridge posteriors and from `BayesianFM`.

    python benchmarks/loops.py                     # about two minutes of one core; into results/loops.json

The world is that of lesson 20: on the course sample each of 144 viewers begins with two ratings and is shown two titles
an evening; a fifth of the cells, the drawer, is never shown to anybody, and all arms are scored there against the
truth. An arm sorts the free titles of a viewer by the predictions of its model (greedy) or by one draw of its `Belief`
(Thompson). Intervals are of 95 %, over draws of answers, drawer and first ratings, which all arms share.
"""

import argparse
import time

import numpy as np
from common import describe, machine, write_results

import content_table as ct

DRAWS, EVENINGS, SHOWN, T975 = 12, 10, 2, 2.20  # Student's t for twelve draws
ALS = ct.ALS(3, reg=8, biases=True, tol=1e-4)
BAYES = ct.BayesianFM(3, n_sweeps=120, implicit=False)


def greedy(model, _rng):
    return model.complete()


def viewers_only(model, rng):
    """One draw of each viewer's belief."""
    viewers = (model.viewer(user) for user in model.ratings_.user_ids)
    return np.array([ct.Belief.of(viewer).draw(1, rng)[0] for viewer in viewers])


def titles_too(model, rng):
    """The same, and of each title the doubt about its bias."""
    doubt = model.noise() / np.sqrt(model.ratings_.item_counts + model.bias_reg)
    scores = viewers_only(model, rng)
    return scores + doubt * rng.standard_normal(scores.shape)


ARMS = {
    "ALS, greedy": (ALS, greedy),
    "ALS, Thompson, viewers": (ALS, viewers_only),
    "ALS, Thompson, titles too": (ALS, titles_too),
    "BayesianFM, greedy": (BAYES, greedy),
    "BayesianFM, Thompson": (BAYES, viewers_only),
}


def world():
    """(ratings, the expected rating of every cell) of the course sample."""
    ratings = ct.load_ratings(ct.DATA / "100x100.csv")
    with np.load(ct.DATA / "truth.npz", allow_pickle=False) as file:
        rows, cols = file["profile"].tolist(), file["a_id"].tolist()
        at = [rows.index(name) for name in ratings.user_names], [cols.index(item) for item in ratings.item_ids]
        return ratings, file["expected"].astype(float)[np.ix_(*at)]


def begin(known, truth, rng):
    """(answers of all cells, the drawer, the first table)."""
    answers, drawer = 1.0 + rng.binomial(9, (truth - 1) / 9), rng.random(truth.shape) < 0.2
    told = np.argsort(np.where(known & ~drawer, rng.random(truth.shape), 2), axis=1)[:, :2]
    table, cells = np.full(truth.shape, np.nan), (np.arange(len(truth))[:, None], told)
    table[cells] = answers[cells]
    return answers, drawer, table


def play(model, scores, known, truth, draw):
    """What one arm does in ten evenings."""
    answers, drawer, table = begin(known, truth, np.random.default_rng([2020, draw]))
    rng, views, shown = np.random.default_rng([2020, draw, 1]), np.zeros(truth.shape[1]), []
    started = time.process_time()
    for _ in range(EVENINGS):
        model.fit(ct.Ratings.from_matrix(table))
        free = np.isnan(table) & ~drawer
        order = np.argsort(-np.where(free, scores(model, rng), -np.inf).round(9), axis=1, kind="stable")
        cells = np.arange(len(truth))[:, None], order[:, :SHOWN]
        table[cells] = answers[cells]
        shown.append(float(truth[cells].mean()))
        views += np.bincount(cells[1].ravel(), minlength=len(views))
    seconds = (time.process_time() - started) / EVENINGS
    left = (model.fit(ct.Ratings.from_matrix(table)).complete() - truth)[drawer]
    rest = {"shown first three": float(np.mean(shown[:3])), "never shown": int((views == 0).sum()), "seconds": seconds}
    return {"error": float(np.sqrt(np.mean(left**2))), "shown": float(np.mean(shown))} | rest


def interval(values):
    return [round(float(np.mean(values)), 4), round(float(T975 * np.std(values, ddof=1) / len(values) ** 0.5), 4)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    ratings, truth = world()
    known, runs, arms = ratings.csr.toarray() > 0, {}, {}
    for name, (model, scores) in ARMS.items():
        runs[name] = [play(model, scores, known, truth, draw) for draw in range(DRAWS)]
        arms[name] = {what: interval([run[what] for run in runs[name]]) for what in runs[name][0]}
        for what in ("error", "shown", "shown first three"):
            pairs = zip(runs[name], runs["ALS, greedy"], strict=True)
            arms[name][f"{what}, less ALS greedy"] = interval([one[what] - other[what] for one, other in pairs])
        arms[name]["seconds"] = round(float(np.median([run["seconds"] for run in runs[name]])), 3)
        print(name, arms[name])
    about = {"made_by": "python benchmarks/loops.py", "machine": machine(), "draws": DRAWS, "evenings": EVENINGS}
    models = {"ALS": repr(ALS), "BayesianFM": repr(BAYES)}
    write_results(
        "loops.json", about | {"models": models, "data": describe(ratings, ct.DATA / "100x100.csv"), "arms": arms}
    )


if __name__ == "__main__":
    main()
