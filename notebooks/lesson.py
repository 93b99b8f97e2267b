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
# ---- The results file of the real tables ----------------------------------------------------------------------------


def real_results():
    """What `python benchmarks/real_tables.py` wrote about the two real tables: figures, settings and hashes."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


# ---- The truth behind the sample ------------------------------------------------------------------------------------


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
