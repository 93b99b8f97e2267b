"""`BayesianFM`: accuracy, how sure it is, and what it costs. Into results/bayes.json and .png.

    CONTENT_TABLE_DATA=... python benchmarks/bayes.py --jobs 2      # about ten minutes on two cores

MovieLens latest-small, each viewer's ratings split by time, five seeds, with genres and decades: trained on the
training part, and on training and validation. Real tables: the 20 random splits of tuned.py; rank and kind of the
machine are chosen inside each by a cross-validation (`ct.Tuned`), and it averages over eight chains. Beside
it stand the models that tuned.py tunes there.
Coverage is the share of held-out ratings within an interval; on the sample also that of all cells that nobody rated,
whose ratings are distributed as truth.npz says. myfm, where it is installed, samples the same machine on the same
blocks; ours is stopped early too, to see when it is as accurate. Last, seconds and memory as tables grow.
"""

import argparse
import importlib.util
import json
import time
import tracemalloc

import matplotlib as mpl

mpl.use("Agg")
import joblib
import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp
from common import RESULTS, describe, machine, real_data, write_results
from made_up import large_table, table_of
from sklearn.base import clone

import content_table as ct
from content_table_parts import bayes

TABLES = {"data 1": "100x100.csv", "data 2": "100x100_2.csv"}
CHAINS = 8  # of the machine that a small table chose: they end in several places, and their mean is better than one
SEEDS, SHARES, SIZES = range(5), (0.5, 0.8, 0.95), (100_000, 200_000, 500_000, 1_000_000)


def timed(call):
    start = time.perf_counter()
    found = call()
    return found, time.perf_counter() - start


def coverage(model, part):
    """The share of a part's ratings within the intervals of each nominal share."""
    cells = part.user_ids[part.rows], part.item_ids[part.cols]
    ends = [model.predict(*cells, interval=share)[1:] for share in SHARES]
    return [float(np.mean((low <= part.values) & (part.values <= high))) for low, high in ends]


def judged(model, test):
    return {"rmse": model.rmse(test, clip=True), "log_score": model.log_score(test), "coverage": coverage(model, test)}


# ---- MovieLens -------------------------------------------------------------------------------------------------------


def one_film_fit(seed, train, test, features, n_sweeps=300):
    model, seconds = timed(
        lambda: ct.BayesianFM(n_sweeps=n_sweeps, item_features=features, random_state=seed).fit(train)
    )
    return judged(model, test) | {"seconds": seconds}


def movielens(options):
    path = real_data("ml-latest-small", "ratings.csv")
    ratings = ct.load_ratings(path)
    train, validation, test = ratings.split_user_time()
    features = ct.load_features(path.parent, ratings, use=("genres", "decade"))
    report = {"data": describe(ratings, path)}
    for name, part in (("train only", train), ("train and validation", train.joined(validation))):
        fits = [one_film_fit(seed, part, test, features) for seed in options.seeds]
        report[name] = {key: np.mean([fit[key] for fit in fits], axis=0).round(4).tolist() for key in fits[0]}
        report[name]["each"] = [round(fit["rmse"], 4) for fit in fits]
        spectral = ct.SpectralRegularization(12, biases=True, tol=1e-3).fit(part)
        report[name]["spectral with biases"] = round(spectral.rmse(test, clip=True), 4)
        print(name, report[name])
    report["chains"] = two_chains(train, features)
    content = ct.ContentMF(features, learning_rate=0.01, reg=0.02).fit(train, validation)
    report["ContentMF, stopped by the validation part"] = round(content.rmse(test, clip=True), 4)
    report["beside myfm"] = beside_myfm(train, test, features)
    return report


def two_chains(train, features):
    """The noise of two chains by sweeps, as a picture, and whether they agree: of it, and of 100 predictions."""
    model = ct.BayesianFM(item_features=features, n_chains=2).fit(train)
    figure, axis = plt.subplots(figsize=(6, 3))
    for chain in ("noise_1", "noise_2"):
        axis.plot([row["epoch"] for row in model.history_], [row[chain] for row in model.history_], lw=0.8, label=chain)
    axis.axvspan(0, model.in_use("burn_in"), color="0.9")
    axis.set(xlabel="sweep", ylabel="noise, rating points", ylim=(None, model.noise() * 1.1))
    axis.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / "bayes_chains.png", dpi=120)
    table = model.diagnostics()
    noise, cells = table.iloc[0], table.iloc[1:]
    found = {"noise": noise[["mean", "sd", "r_hat", "effective_size"]].astype(float).round(4).to_dict()}
    return found | {"predictions": cells[["r_hat", "effective_size"]].describe().loc[["50%", "min", "max"]].to_dict()}


def beside_myfm(train, test, features):
    """RMSE (clipped) and seconds of both on the same blocks: ids, who rated what, genres and decades."""
    found = {str(n): one_film_fit(0, train, test, features, n) for n in (100, 150, 200, 300)}
    found = {n: {"rmse": round(fit["rmse"], 4), "seconds": round(fit["seconds"], 1)} for n, fit in found.items()}
    if importlib.util.find_spec("myfm") is None:
        return {"BayesianFM": found, "myfm": "not installed"}
    import myfm

    known, C = train.known, features.rows_for(train.item_ids)
    sides = [bayes.one_hot(train.rows, train.n_users, bayes.normalised_sets(known)),
             bayes.one_hot(train.cols, train.n_items, bayes.normalised_sets(sp.csr_array(known.T)), C)]  # fmt: skip
    rows = {"train": (train.rows, train.cols), "test": (test.rows, test.cols)}
    tables = [sp.csr_matrix(side.table) for side in sides]
    blocks = {name: [myfm.RelationBlock(at.tolist(), table) for at, table in zip(pair, tables, strict=True)]
              for name, pair in rows.items()}  # fmt: skip
    model = myfm.MyFMRegressor(rank=10, random_seed=0)
    sizes = [size for side in sides for size in side.groups]
    how = {"X_rel": blocks["train"], "n_iter": 300, "n_kept_samples": 200, "group_shapes": sizes}
    _, seconds = timed(lambda: model.fit(sp.csr_matrix((len(train), 0)), train.values, **how))
    errors = np.clip(model.predict(None, X_rel=blocks["test"]), *test.scale) - test.values
    theirs = {"rmse": round(float(np.sqrt(np.mean(errors**2))), 4), "seconds": round(seconds, 1)}
    print("ours", found, "myfm", theirs)
    return {"BayesianFM": found, "myfm": theirs}


# ---- The course's tables ---------------------------------------------------------------------------------------------


def machines(features):
    """What a split chooses among: ranks 0 to 2 with genres, with and without who rated what."""
    return {
        "biases, genres": ct.BayesianFM(0, implicit=False, item_features=features),
        "who rated what, genres": ct.BayesianFM(0, item_features=features),
        "rank 1, genres": ct.BayesianFM(1, implicit=False, item_features=features),
        "rank 1, who rated what, genres": ct.BayesianFM(1, item_features=features),
        "rank 2, genres": ct.BayesianFM(2, implicit=False, item_features=features),
    }


def one_split(ratings, features, seed):
    """Errors on one split, all chosen inside its training part."""
    train, test = ratings.split_random(0.2, random_state=seed)
    candidates = machines(features)
    fixed = {name: {} for name in candidates}  # nothing else is tuned
    chosen, seconds = timed(lambda: ct.Tuned(candidates, n_folds=5, space=fixed).fit(train))
    several = clone(candidates[chosen.chosen_]).set_params(n_chains=CHAINS, n_kept=25 * CHAINS).fit(train)
    alone = {"rmse of one chain": chosen.rmse(test, clip=True)}
    return judged(several, test) | alone | {"chosen": chosen.chosen_, "seconds": seconds}


def beside(name):
    """Clipped RMSE of the models of tuned.py on the same splits, where it was run."""
    path = RESULTS / "tuned.json"
    rows = json.loads(path.read_text())["tables"][name]["comparison"] if path.exists() else []
    return {row["model"]: row["rmse_clipped"] for row in rows}


def course_table(name, options):
    file = TABLES[name]
    path = real_data("mal", file)
    ratings = ct.load_ratings(path)
    features = ct.load_features(real_data("mal", "anime_id_to_genre.csv"), ratings, use=("genres",))
    seeds = np.random.SeedSequence(0).generate_state(options.splits).tolist()  # those of `ct.evaluate`
    calls = [joblib.delayed(one_split)(ratings, features, seed) for seed in seeds]
    rows = joblib.Parallel(options.jobs)(calls)
    mean = {key: np.mean([row[key] for row in rows], axis=0).round(4).tolist() for key in rows[0] if key != "chosen"}
    _, half_width = ct.split_interval([row["rmse"] for row in rows], 0.8 * len(ratings), 0.2 * len(ratings))
    names = [row["chosen"] for row in rows]
    mean["beside"] = beside(name)
    mean |= {"half_width": round(half_width, 4), "chosen": {each: names.count(each) for each in sorted(set(names))}}
    print(file, mean)
    return {"data": describe(ratings, path)} | mean


# ---- The sample, whose truth is known --------------------------------------------------------------------------------


def sample_coverage(options):
    """Coverage on held-out ratings of the sample, and, exactly, over all cells that nobody rated."""
    ratings = ct.load_ratings(ct.DATA / "100x100.csv")
    features = ct.load_genres(ct.DATA / "catalogue.csv", ratings)
    chances, held, unrated = true_chances(ratings), [], []
    for seed in options.seeds:
        train, test = ratings.split_random(0.2, random_state=seed)
        model = ct.BayesianFM(1, item_features=features).fit(train)
        held.append(coverage(model, test))
        rows, cols = np.nonzero(ratings.known.toarray() == 0)
        ends = [model.predict(ratings.user_ids[rows], ratings.item_ids[cols], interval=share)[1:] for share in SHARES]
        scores, own = np.arange(1, 11), chances[rows, cols]
        inside = [
            (own * ((scores >= low[:, None]) & (scores <= high[:, None]))).sum(axis=1).mean() for low, high in ends
        ]
        unrated.append(inside)
    found = {"held out": np.mean(held, axis=0).round(4).tolist(), "unrated": np.mean(unrated, axis=0).round(4).tolist()}
    print("sample", found)
    return found


def true_chances(ratings):
    """(m, n, 10) probability of each score in each cell, by the formula of the data card."""
    with np.load(ct.DATA / "truth.npz", allow_pickle=False) as file:
        truth = dict(file)
    sd_user, sd_item, sd_taste, sd_noise = truth["sd"][truth["title_tier"]].T
    taste = (truth["viewer_taste"] * truth["axis_weights"]) @ truth["title_taste"].T
    mean = sd_user * truth["viewer_bias"][:, None] + sd_item * truth["title_bias"] + sd_taste * taste
    limits = truth["thresholds"][truth["title_tier"]].T
    above = [1 / (1 + np.exp((limit - mean) / (sd_noise * np.sqrt(3) / np.pi))) for limit in limits]
    chances = -np.diff(np.stack([np.ones(mean.shape), *above, np.zeros(mean.shape)]), axis=0)
    rows = [truth["profile"].tolist().index(name) for name in ratings.user_names.tolist()]
    cols = [truth["a_id"].tolist().index(item) for item in ratings.item_ids.tolist()]
    return chances[:, rows][:, :, cols].transpose(1, 2, 0)


# ---- As tables grow --------------------------------------------------------------------------------------------------


def growth():
    """Seconds a sweep, and the most memory at a time, of rank 10 with who rated what on both sides."""
    found = []
    for size in SIZES:
        ratings = table_of(*large_table(size))
        known = ratings.known
        tracemalloc.start()
        sets = [bayes.normalised_sets(sp.csr_array(each)) for each in (known, known.T)]
        positions = zip((ratings.rows, ratings.cols), ratings.shape, sets, strict=True)
        sides = [bayes.one_hot(at, side, each) for at, side, each in positions]
        chain = bayes.chain(sides, ratings.values - ratings.values.mean(), 10, np.random.default_rng(0))
        next(chain)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        seconds = [timed(lambda: next(chain))[1] for _ in range(5)]  # noqa: B023
        shape = {"n_users": ratings.n_users, "n_items": ratings.n_items}
        found.append({"n_ratings": size} | shape | {"seconds": round(float(np.median(seconds)), 4)})
        found[-1]["megabytes"] = round(peak / 2**20, 1)
        print(found[-1])
    picture(found)
    return found


def picture(rows):
    figure, axes = plt.subplots(1, 2, figsize=(8, 3))
    for axis, name, label in zip(axes, ("seconds", "megabytes"), ("seconds a sweep", "MB at most"), strict=True):
        axis.plot([row["n_ratings"] / 1e6 for row in rows], [row[name] for row in rows], "o-")
        axis.set(xlabel="million ratings", ylabel=label, xlim=(0, None), ylim=(0, None))
    figure.tight_layout()
    figure.savefig(RESULTS / "bayes.png", dpi=120)


def tables(options):
    return {name: course_table(name, options) for name in TABLES}


PARTS = {"growth": lambda options: growth(), "movielens": movielens, "sample": sample_coverage, "tables": tables}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure anew")
    options = parser.parse_args()
    options.seeds = range(options.seeds)
    path = RESULTS / "bayes.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results["settings"] = {"command": "python benchmarks/bayes.py", "splits": f"{options.splits} random 80/20 splits",
                           "inside": "5-fold cross-validation in each split", "machine": machine()}  # fmt: skip
    for name in options.parts:
        results[name] = PARTS[name](options)
        write_results("bayes.json", results)  # part by part


if __name__ == "__main__":
    main()
