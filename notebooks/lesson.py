"""What only the lessons need: one look for all figures, the viewer we follow, the truth behind the simulated sample."""

import json
import os
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plots
import scipy.sparse as sp
from plots import COLORS, LOOK, LOOKS, VERDICT_LOOKS, by_verdict, describe, mark, show  # noqa: F401
from quizzes import QUIZZES, Quiz, check, is_right, quiz, verdict  # noqa: F401
from results import truth
from sklearn.base import clone

import content_table as ct

color = plots.color
VIEWER = "viewer1149"  # the viewer followed through all lessons, by name

# ---- Lesson 01: from raw reviews to a table -------------------------------------------------------------------------


def known(ratings):
    """True where a cell of the table holds a rating: (m, n)."""
    table = np.zeros(ratings.shape, dtype=bool)
    table[ratings.rows, ratings.cols] = True
    return table


def as_table(ratings):
    """A small table as one writes it on paper: names, titles, and nothing where nothing is known."""
    cells = np.full(ratings.shape, "", dtype=object)
    cells[ratings.rows, ratings.cols] = [f"{value:g}" for value in ratings.values]
    return pd.DataFrame(cells, ratings.user_names, ratings.titles)


# ---- Lesson 04: gradient descent ------------------------------------------------------------------------------------

BLACK = COLORS["baseline"]


def parameters(P, Q, b_user=None, b_item=None, W=None):
    """The parameters of `ct.SGDMF` or, with weights `W` on features, `ct.ContentMF`, from matrices typed in: copies, in
    the order (b_user, b_item, P, Q, W, G) that the compiled loops take. What is not given is 0 or empty.
    """
    P, Q = np.array(P, dtype=float), np.array(Q, dtype=float)
    biases = [np.zeros(len(F)) if b is None else np.array(b, dtype=float) for F, b in ((P, b_user), (Q, b_item))]
    W = np.zeros((len(P), 0)) if W is None else np.array(W, dtype=float)
    return (*biases, P, Q, W, np.zeros((0, W.shape[1])))


def _feature_arrays(theta, C):
    """C as CSR arrays, empty where there are no features, and no features of viewers."""
    C = np.zeros((len(theta[3]), 0)) if C is None else C
    return [(table.indptr, table.indices, table.data) for table in map(sp.csr_array, (C, np.zeros((len(theta[2]), 0))))]


def predictions(ratings, theta, mean, C=None):
    """mu + b_u + b_i + p_u . q_i + w_u . C_i on the known cells, by `ct.predict_pairs`: rating points."""
    return ct.predict_pairs(ratings.rows, ratings.cols, float(mean), theta, *_feature_arrays(theta, C))


def step_on(ratings, entry, theta, learning_rate, reg, mean, C=None):
    """One step of `ct.sgd_epoch`, for the single rating number `entry`: the parameters after it, as copies."""
    theta = tuple(array.copy() for array in theta)
    one = [array[entry : entry + 1] for array in (ratings.rows, ratings.cols, ratings.values)]
    rates = float(learning_rate), float(reg), np.inf
    ct.sgd_epoch(*one, float(mean), theta, *_feature_arrays(theta, C), *rates)
    return theta


def one_step(ratings, entry, P, Q, learning_rate, reg, mean, b_user=None, b_item=None):
    """`step_on` without features: (b_user, b_item, P, Q) after the step. Biases start at 0 where none are given."""
    return step_on(ratings, entry, parameters(P, Q, b_user, b_item), learning_rate, reg, mean)[:4]


def remedy(error):
    """The part of a DivergenceError's message that names the cause and the remedy."""
    return str(error).partition(". ")[2]


def plot_against(differences, reference):
    """Each model's held-out error minus the reference's, split by split: mean and 95 % interval."""
    table = differences[differences["model"] != reference].iloc[::-1].reset_index(drop=True)
    fig, ax = plt.subplots(figsize=(7.8, 3.1))
    for at, row in table.iterrows():
        color, marker = VERDICT_LOOKS[row["verdict"]]
        ax.errorbar(row["difference"], at, xerr=row["half_width"], fmt=marker, color=color, capsize=5, ms=7)
    ax.axvline(0, color=BLACK, linestyle="--", linewidth=1.2)
    ax.set_yticks(table.index, table["model"])
    ax.set(xlabel=f"held-out RMSE minus that of the {reference} (rating points)", ylabel="model")
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_title("Left of the line is better; an interval across it is a tie (simulated viewers)", loc="right")
    show(fig, seen=f"Of the models, {by_verdict(table.iloc[::-1])}.")


# ---- Lesson 05: alternating least squares ---------------------------------------------------------------------------

ORANGE, BROWN, SAND = COLORS["ALS"], "#7A4B00", "#B79A62"  # three runs of one model: one family of colours


def half_steps(ratings, P, Q, reg, n_passes):
    """(P, Q) at the start and after every half-step, users first: what `ct.ALS` does, one frame at a time."""
    frames = [(P, Q)]
    for _ in range(n_passes):
        P = ct.ridge_rows(ratings.csr, Q, reg)
        frames.append((P, Q))
        Q = ct.ridge_rows(ratings.csc.T, P, reg)
        frames.append((P, Q))
    return frames


def axes_of(model):
    """(U, s, Vt): the axes of P Q', strongest first, each signed so that its largest title loading is positive."""
    k = model.n_factors
    U, s, Vt = np.linalg.svd(model.user_factors_ @ model.item_factors_.T, full_matrices=False)
    U, s, Vt = U[:, :k], s[:k], Vt[:k]
    signs = np.sign(Vt[np.arange(k), np.abs(Vt).argmax(axis=1)])
    return U * signs, s, Vt * signs[:, None]


def explain(model, user, n=10):
    """The list of one viewer, each prediction split into the level of the title, the level of the viewer, and taste."""
    ratings = model.ratings_
    table = model.recommend(user, n)
    row, cols = ratings.user_rows(user)[0], ratings.item_cols(table["item_id"].to_numpy())
    table["title's level"] = model.global_mean_ + model.item_bias_[cols]
    table["viewer's level"] = model.user_bias_[row]
    table["taste"] = model.item_factors_[cols] @ model.user_factors_[row]
    table["title"] = table["title"].str.slice(0, 40)
    return table.drop(columns="item_id").set_index("rank").round(2)


# ---- Lesson 08: content ---------------------------------------------------------------------------------------------

MOVIELENS = ct.DATA.parent / "benchmarks" / "results" / "movielens_content.json"
PUBLISHED_TEST_RMSE = 0.9171  # of the notebook that gave item i the text of rating i, raw predictions
DARK, LIGHT = "#0072B2", "#D55E00"


def cold_start(models, ratings, side, share=0.1, n_splits=5):
    """Hide *all* ratings of some titles (side "titles") or viewers ("viewers"), fit on the rest, score the hidden ones.

    The table has the columns of `ct.evaluate` that `ct.paired_differences` needs, and `fallback`: the share of the
    hidden cells for which the model had nothing but known biases and the mean.
    """
    positions, count = (ratings.cols, ratings.n_items) if side == "titles" else (ratings.rows, ratings.n_users)
    rows = []
    for split in range(n_splits):
        cold = np.random.default_rng(split).permutation(count) < share * count
        train, hidden = ratings.part(~cold[positions]), ratings.part(cold[positions])
        for name, model in models.items():
            fitted = clone(model).fit(train)
            row = {"model": name, "split": split, "rmse_clipped": ct.rmse(fitted, hidden, clip=True)}
            fallback = fitted.predict_cells(hidden.rows, hidden.cols, return_fallback=True)[1].mean()
            rows.append(row | {"fallback": fallback, "n_train": len(train), "n_test": len(hidden)})
    return pd.DataFrame(rows)


def learnt_taste(model):
    """(m, n): what the genres alone say of every viewer and title, w_u . C_i with the shared weights added, points."""
    weights = model.feature_weights_ + model.user_table_ @ model.group_weights_
    return (model.item_table_ @ weights.T).T


def parts_of(model, user, items):
    """The hybrid's prediction for one viewer, taken apart: level, title bias, factors and genres, in rating points."""
    ratings = model.ratings_
    row, cols = ratings.user_rows(user)[0], ratings.item_cols(items)
    table = {
        "title": ratings.item_labels[cols],
        "mean and viewer": np.full(len(cols), model.global_mean_ + model.user_bias_[row]),
        "title bias": model.item_bias_[cols],
        "factors": model.item_factors_[cols] @ model.user_factors_[row],
        "genres": learnt_taste(model)[row, cols],
    }
    return pd.DataFrame(table)


def plot_reasons(reasons, title):
    """The parts of one prediction (`ct.explain`) as bars, in rating points; they add up to the prediction."""
    table = reasons[reasons["contribution"].abs() >= 0.0005].iloc[::-1]  # a bar of 0.00 is no reason
    names = [
        f"{reason[:38]}, rated {rating:g}" if rating == rating else reason
        for reason, rating in table[["reason", "rating"]].to_numpy()
    ]
    parts = table["contribution"].to_numpy(float)
    without_mean = np.where(table["reason"].str.startswith("what everybody gets"), 0.0, parts)
    fig, ax = plt.subplots(figsize=(8.4, 0.8 + 0.36 * len(table)))
    ax.barh(names, without_mean, color=np.where(parts < 0, COLORS["held out"], COLORS["train"]))
    reach = max(np.abs(without_mean).max(), 0.1)
    for at, (part, shown) in enumerate(zip(parts, without_mean, strict=True)):
        right = shown >= 0
        ax.text(shown + (0.02 if right else -0.02) * reach, at, f"{part:+.2f}", va="center",
                ha="left" if right else "right", fontsize=9)  # fmt: skip
    low, high = min(without_mean.min(), 0.0), max(without_mean.max(), 0.0)
    ax.set_xlim(low - 0.2 * max(high - low, 0.1), high + 0.2 * max(high - low, 0.1))
    ax.axvline(0, color="#333333", linewidth=0.8)
    ax.grid(axis="y", visible=False)
    ax.set(
        xlabel="contribution, rating points (what everybody gets is written, not drawn)", ylabel="reason", title=title
    )
    listed = [f"{name} {part:+.2f}" for name, part in zip(names[::-1], parts[::-1], strict=True)]
    show(fig, seen=f"From the top: {'; '.join(listed)}.")


def movielens():
    """What `python benchmarks/movielens_content.py` wrote: figures on the real MovieLens latest-small."""
    return json.loads(MOVIELENS.read_text(encoding="utf-8"))


def real_file(*parts):
    """The path of a file under the folder that CONTENT_TABLE_DATA names, or None where it is not."""
    folder = os.environ.get("CONTENT_TABLE_DATA")
    if not folder:
        return None
    places = [Path(folder, *parts), Path(ct.DATA.parent, folder, *parts)]  # a relative one may start at the project
    return next((path for path in places if path.is_file()), None)


# ---- Lessons 11 and 12: the comparison and the lists ----------------------------------------------------------------

RESULTS = ct.DATA.parent / "benchmarks" / "results" / "real_tables.json"
PUBLISHED = {  # training RMSE of the course on its two real tables, as it printed or plotted them
    "baseline": ("1.4950", "1.5656"),
    "spectral": ("0.7436", "0.9386"),
    "ALS as published": ("0.0177", "0.0216"),
    "nuclear norm": ("about 1e-9", "about 1e-9"),
}
# ---- The results file of the real tables ----------------------------------------------------------------------------


def real_results():
    """What `python benchmarks/real_tables.py` wrote about the two real tables: figures, settings and hashes."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def published_table(results):
    """The published training RMSE beside the ones that our fits reach on the same real tables."""
    rows = []
    for model, published in PUBLISHED.items():
        row = {"model": model}
        for name, figure in zip(results["training"], published, strict=True):
            ours = results["training"][name][model]
            row |= {
                f"{name}, published": figure,
                f"{name}, ours": f"{ours:.4f}" if ours > 1e-3 else "below 1e-3",
            }
        rows.append(row)
    return pd.DataFrame(rows)


def baseline_row_agrees(results):
    """Whether the baseline's row of real table 1, computed afresh, is the one in the file; True without the data."""
    path = real_file("mal", "100x100.csv")
    if path is None:
        return True
    name = next(iter(results["held_out"]))
    n_splits = int(results["settings"]["splits"].split()[0])
    live = ct.evaluate({"baseline": ct.BiasBaseline(reg=5)}, ct.load_ratings(path), n_splits=n_splits)
    mine = ct.summarize(live).iloc[0]
    filed = next(row for row in results["held_out"][name] if row["model"] == "baseline")
    return all(abs(mine[key] - filed[key]) < 2e-6 for key in ("train_rmse", "rmse_clipped", "half_width"))


# ---- Figures of lesson 11 -------------------------------------------------------------------------------------------


def plot_turn(panels):
    """Training error against held-out error, one marker a model, one panel a table: {title: frame}."""
    fig, axes = plt.subplots(1, len(panels), figsize=(3.4 * len(panels), 4.3), sharey=True)
    for ax, (title, table) in zip(axes, panels.items(), strict=True):
        for _, row in table.iterrows():
            options = mark(row["model"]) | {"label": row["model"], "elinewidth": 1, "capsize": 2}
            ax.errorbar(row["train_rmse"], row["rmse_clipped"], row["half_width"], **options)
        floor = table.loc[table["model"] == "baseline", "rmse_clipped"].iloc[0]
        ax.axhline(floor, color=color("baseline"), linewidth=0.8, linestyle=":")
        ax.set(title=title, xlabel="training RMSE (rating points)")
    axes[0].set_ylabel("held-out RMSE, clipped\n(rating points)")
    entries = {}
    for ax in axes:
        entries |= {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(entries.values(), entries.keys(), loc="lower center", ncols=4, fontsize=9, frameon=False)
    fig.suptitle("A smaller training error (left) is not a smaller held-out error (down)", fontsize=12)
    fig.tight_layout(rect=(0, 0.14, 1, 1))
    found = {title: table.set_index("model") for title, table in panels.items()}
    ends = {title: (table["train_rmse"].idxmin(), table["rmse_clipped"].idxmin()) for title, table in found.items()}
    words = "; ".join(f"in {title} {left} and {low}" for title, (left, low) in ends.items())
    show(fig, tight=False, seen=f"Furthest left and lowest are {words}.")


def plot_als_passes(results):
    """Held-out error of the published ALS settings by number of passes, both real tables, both starts."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True)
    for ax, (name, run) in zip(axes, results["als_passes"].items(), strict=True):
        if "ones" in run:
            ax.plot(run["passes"], run["ones"], "o-", color=COLORS["ALS"], label="start: all ones (published)")
        ax.plot(run["passes"], run["random"], "s--", color=BROWN, label="start: random")
        rows = pd.DataFrame(results["held_out"][name]).set_index("model")
        for model, style in (("nuclear norm", "-."), ("baseline", ":")):
            ax.axhline(rows.loc[model, "rmse_clipped"], color=color(model), linestyle=style, label=model)
        ax.set(xscale="log", xlabel="passes of ALS (log scale)", title=f"real {name}, mean of {run['splits']} splits")
    axes[0].set_ylabel("held-out RMSE, clipped\n(rating points)")
    axes[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, frameon=False)
    fig.suptitle("With so small a penalty, a random start needs hundreds of passes", fontsize=12)
    seen = (
        "The random start falls slowly from far above; all ones begin at the baseline and leave it after few "
        "passes; in the end both are near the nuclear norm."
    )
    show(fig, seen=seen)


def oracle_parts(ratings, test):
    """Three parts to score: the held-out ratings; the same cells with the true expected rating; all cells nobody rated.

    Only a simulation has the last two: their values are the expected ratings that the sample was drawn from.
    """
    expected = truth(ratings)
    rows, cols = np.nonzero(ratings.csr.toarray() == 0)
    return {
        "rated, held out: the rating given": test,
        "rated, held out: the true mean": replace(test, values=expected[test.rows, test.cols], times=None),
        "never rated: the true mean": replace(ratings, rows=rows, cols=cols, values=expected[rows, cols], times=None),
    }


def plot_oracle(table):
    """One column a part, one line a model: error against the truth on cells that were rated and cells that were not."""
    fig, ax = plt.subplots(figsize=(8.6, 4.2))
    for model, row in table.iterrows():
        ax.plot(range(len(row)), row.to_numpy(), **(mark(model) | {"linestyle": "-"}), linewidth=1, label=model)
    ax.set_xticks(range(len(table.columns)), [name.replace(": ", ":\n") for name in table.columns])
    ax.set(
        xlim=(-0.3, len(table.columns) - 0.7),
        ylabel="RMSE, clipped (rating points)",
        xlabel="cells that are scored: what the prediction is compared with",
    )
    ax.set_title("Against the true mean, unrated cells are harder than rated ones (simulated)")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, frameon=False)
    show(fig, seen="Every line is lowest in the middle, and higher on the right, for the cells that nobody rated.")
