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
import seaborn as sns
from matplotlib.ticker import StrMethodFormatter
from plots import COLORS, LOOK, LOOKS, VERDICT_LOOKS, by_verdict, describe, mark, show  # noqa: F401
from quizzes import QUIZZES, Quiz, check, is_right, quiz, verdict  # noqa: F401
from results import truth
from sklearn.base import clone

import content_table as ct

color = plots.color
VIEWER = "viewer1149"  # the viewer followed through all lessons, by name

# ---- Lesson 01: from raw reviews to a table -------------------------------------------------------------------------

STAYS, GOES = "#0072B2", "#999999"  # who passes a filter, who does not
TABLE_COLORS = ("#0072B2", "#D55E00", "#009E73")
TABLE_MARKERS = ("o", "s", "^")


def origin(ratings):
    """Whose ratings these are, to be written on a figure: the sample's viewers are simulated, all others are real."""
    names = pd.Series(ratings.user_names, dtype=str)
    return "simulated viewers" if names.str.fullmatch(r"viewer\d{4}").all() else "real viewers"


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


def sizes(tables):
    """Viewers, titles, ratings, density and fewest ratings of a viewer and of a title, one row a table."""
    rows = {
        name: {
            "viewers": ratings.n_users,
            "titles": ratings.n_items,
            "ratings": len(ratings),
            "density, %": round(100 * ratings.density, 2),
            "fewest of a viewer": int(ratings.user_counts.min()),
            "fewest of a title": int(ratings.item_counts.min()),
        }
        for name, ratings in tables.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def exposure(tables):
    """Mean expected rating on rated and on unrated cells of simulated tables, over all cells and title by title."""
    rows = {}
    for name, ratings in tables.items():
        expected, rated = truth(ratings), known(ratings)
        some = rated.any(axis=0) & ~rated.all(axis=0)
        of_title = [expected[rated[:, i], i].mean() - expected[~rated[:, i], i].mean() for i in np.flatnonzero(some)]
        on, off = expected[rated].mean(), expected[~rated].mean()
        rows[name] = {"rated": on, "not rated": off, "difference": on - off, "within a title": np.mean(of_title)}
    return pd.DataFrame(rows).T.round(2)


def plot_viewers(ratings, kept, bound):
    """Every viewer by activity and mean score, the ones that a filter keeps marked."""
    counts = ratings.user_counts
    means = np.bincount(ratings.rows, ratings.values, minlength=ratings.n_users) / counts
    stays = np.isin(ratings.user_ids, kept.user_ids)
    fig, ax = plt.subplots(figsize=(7, 4))
    ax.scatter(counts[~stays], means[~stays], s=10, color=GOES, alpha=0.5, label="goes")
    ax.scatter(counts[stays], means[stays], s=22, color=STAYS, marker="^", label="stays")
    ax.axvline(bound, color="black", linestyle="--", linewidth=1, label=f"{bound} ratings")
    ax.set(xscale="log", xlabel="ratings that the viewer gave (log scale)")
    ax.set_ylabel("mean score of the viewer\n(rating points)")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.set_title(f"The filter keeps the busiest viewers, and they are few ({origin(ratings)})", pad=26)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 0.99), ncol=3, frameon=False)
    show(fig, seen="Only the few markers right of the dashed line stay; their mean scores lie about the same middle.")


def plot_scores(tables):
    """Share of each score in each table."""
    fig, ax = plt.subplots(figsize=(7, 3.8))
    for (name, ratings), color, marker in zip(tables.items(), TABLE_COLORS, TABLE_MARKERS, strict=False):
        low, high = map(int, ratings.scale)
        scores = np.arange(low, high + 1)
        share = [100 * np.mean(ratings.values == score) for score in scores]
        ax.plot(scores, share, marker=marker, color=color, label=name)
    middle = (low + high) / 2
    ax.axvline(middle, color="black", linestyle="--", linewidth=1, label=f"middle of the scale, {middle:g}")
    ax.set(xlabel="score (rating points)", ylabel="share of the ratings (%)", xticks=scores)
    ax.set_title(f"Most scores lie above the middle of the scale ({origin(ratings)})")
    ax.legend(frameon=True)
    show(fig, seen="In every table low scores are rare, and most ratings lie right of the dashed line.")


def plot_long_tail(ratings, tables):
    """Ratings of each title in the dump, most rated first, with the titles of the given tables marked."""
    counts = ratings.item_counts
    order = np.argsort(-counts, kind="stable")
    fig, ax = plt.subplots(figsize=(7, 3.8))
    place = np.arange(1, len(order) + 1)
    ax.plot(place, counts[order], color="black", linewidth=1, label="all titles of the dump")
    for (name, table), color, marker in zip(tables.items(), TABLE_COLORS, TABLE_MARKERS, strict=False):
        inside = np.isin(ratings.item_ids[order], table.item_ids)
        ax.scatter(place[inside], counts[order][inside], s=14, color=color, marker=marker, label=f"in {name}", zorder=3)
    ax.set(yscale="log", xlabel="place of the title, most rated first", ylabel="ratings of the title (log scale)")
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.set_title(f"Few titles have many ratings: both tables come from that end ({origin(ratings)})")
    ax.legend(frameon=True)
    seen = "The curve falls steeply and runs out in a long tail; the titles of the tables are at its steep end."
    show(fig, seen=seen)


def plot_counts(ratings, name):
    """Two histograms: ratings per viewer and ratings per title."""
    fig, axes = plt.subplots(1, 2, figsize=(8.5, 3.6))
    sides = (("viewer", ratings.rows, TABLE_COLORS[0], ""), ("title", ratings.cols, TABLE_COLORS[1], "//"))
    for ax, (side, positions, color, hatch) in zip(axes, sides, strict=True):
        counts = np.bincount(positions)
        ax.hist(counts, bins=20, color=color, hatch=hatch, edgecolor="white")
        middle = np.median(counts)
        ax.axvline(middle, color="black", linestyle="--", linewidth=1, label=f"median {middle:g}")
        ax.set(xlabel=f"ratings per {side}", ylabel=f"number of {side}s", xlim=(0, None))
        ax.set_title(f"{side.capitalize()}s of {name}")
        ax.legend(frameon=True)
    fig.suptitle(f"Viewers differ more in their number of ratings than titles do ({origin(ratings)})", fontsize=11)
    show(fig, seen="Both histograms have a tail to the right; that of the viewers reaches further from its median.")


def plot_holes(tables, viewer):
    """Each table as a picture, busiest viewers on top and most rated titles on the left; holes are white."""
    fig, axes = plt.subplots(1, len(tables), figsize=(9.5, 4.9))
    for ax, (name, ratings) in zip(axes, tables.items(), strict=True):
        table = np.full(ratings.shape, np.nan)
        table[ratings.rows, ratings.cols] = ratings.values
        rows = np.argsort(-ratings.user_counts, kind="stable")
        cols = np.argsort(-ratings.item_counts, kind="stable")
        image = ax.imshow(
            table[np.ix_(rows, cols)], cmap="viridis", vmin=ratings.scale[0], vmax=ratings.scale[1],
            aspect="auto", interpolation="nearest",
        )  # fmt: skip
        if viewer in ratings.user_names.tolist():
            at = rows.tolist().index(ratings.user_names.tolist().index(viewer))
            ax.plot(-3, at, marker=">", color="#D55E00", markersize=9, clip_on=False)
            ax.set_xlim(-5, ratings.n_items - 0.5)
        ax.set(xlabel="titles, most rated first", ylabel="viewers, busiest first", title=name)
        ax.grid(False)
    fig.suptitle(
        f"Mostly holes: a dot is a rating, white is unknown, the arrow marks {viewer} ({origin(ratings)})", fontsize=11
    )
    fig.tight_layout()
    fig.colorbar(image, ax=axes, label="score (rating points)", fraction=0.04, pad=0.02)
    show(fig, tight=False, seen="The dots are densest in the upper left corner of each table and thin out from there.")


def plot_exposure(ratings):
    """Share of the cells that are rated, by the expected rating that only a simulation knows."""
    expected, rated = truth(ratings).ravel(), known(ratings).ravel()
    edges = np.quantile(expected, np.linspace(0, 1, 11))
    group = np.clip(np.searchsorted(edges, expected, side="right") - 1, 0, 9)
    middle = np.bincount(group, expected) / np.bincount(group)
    share = 100 * np.bincount(group, rated) / np.bincount(group)
    fig, ax = plt.subplots(figsize=(7, 3.8))
    ax.plot(middle, share, "o-", color=TABLE_COLORS[2], label="a tenth of the cells each")
    ax.axhline(100 * rated.mean(), color="black", linestyle="--", linewidth=1, label="if the holes were random")
    ax.set(xlabel="true expected rating of the cell (rating points)", ylabel="share of cells rated (%)", ylim=(0, None))
    ax.set_title("The more a title would please a viewer, the likelier the rating exists (simulated)")
    ax.legend(frameon=True)
    show(fig, seen="The share climbs all the way from left to right, and crosses the dashed line.")


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


# ---- Lesson 07: the nuclear norm ------------------------------------------------------------------------------------


def rms_distance(first, second):
    """Root mean squared difference of two completed tables over all cells, known or not: rating points."""
    return float(np.sqrt(np.mean((first.complete() - second.complete()) ** 2)))


def hidden_case(n, rank, share, noise=0.0, seed=0):
    """(truth, ratings): an n x n matrix of this rank, and a random `share` of its cells, each with Gaussian noise."""
    rng = np.random.default_rng([seed, rank, round(100 * share)])
    truth = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n)) / np.sqrt(rank)
    known = rng.random((n, n)) < share
    seen = np.where(known, truth + noise * rng.normal(size=(n, n)), np.nan)
    return truth, ct.Ratings.from_matrix(seen, scale=(-1e6, 1e6))


def recovery_error(n, rank, share, seed=0):
    """Relative error |X - truth| / |truth| of the completion of smallest nuclear norm, over all cells."""
    truth, ratings = hidden_case(n, rank, share, seed=seed)
    model = ct.NuclearNorm(tol=3e-3).fit(ratings)
    return float(np.linalg.norm(model.complete() - truth) / np.linalg.norm(truth))


def unknowns(n, rank):
    """Free numbers in an n x n matrix of this rank: two n x rank factors, less the rank x rank turn between them."""
    return rank * (2 * n - rank)


def transition(n, ranks, shares, n_seeds, close=0.02):
    """Share of seeds with a relative error below `close`, (ranks, shares); NaN where knowns are fewer than unknowns."""
    recovered = np.full((len(ranks), len(shares)), np.nan)
    for at, rank in enumerate(ranks):
        for column, share in enumerate(shares):
            if share * n**2 >= unknowns(n, rank):
                trials = [recovery_error(n, rank, share, seed) < close for seed in range(n_seeds)]
                recovered[at, column] = np.mean(trials)
    return recovered


def two_lists(models, viewer, n=10):
    """One viewer's lists under each model, side by side: title, predicted rating, and the simulation's true rating."""
    blocks = {}
    for name, model in models.items():
        ratings = model.ratings_
        table = model.recommend(ratings.user_id(viewer), n).set_index("rank")
        row = ratings.user_rows(ratings.user_id(viewer))[0]
        table["true"] = truth(ratings)[row, ratings.item_cols(table["item_id"])]
        blocks[name] = table.rename(columns={"predicted_rating": "predicted"}).drop(columns="item_id").round(1)
    return pd.concat(blocks, axis=1)


def mean_true_rating(model, n=10):
    """Mean true expected rating over the top-n lists of all viewers: rating points, higher is better."""
    ratings = model.ratings_
    lists = model.recommend_all(n)
    expected = truth(ratings)[ratings.user_rows(lists["user_id"]), ratings.item_cols(lists["item_id"])]
    return float(expected.mean())


def plot_hand_case():
    """Nuclear norm and rank of [1 2; 2 x] along x, with the two completions of interest marked."""
    x = np.linspace(-2, 8, 401)
    tables = np.array([[[1, 2], [2, value]] for value in x])
    norms = np.linalg.svd(tables, compute_uv=False).sum(axis=1)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.6))
    left.plot(x, norms, color=COLORS["nuclear norm"])
    left.plot(1, 4, "o", ms=9, color=COLORS["primal"], label="x = 1: smallest nuclear norm")
    left.plot(4, 5, "s", ms=9, color=COLORS["dual"], label="x = 4: rank one")
    left.axhline(4, ls="--", lw=1, color=COLORS["global mean"], label="no table costs less (proved below)")
    left.set(xlabel="missing rating x (rating points)", ylabel="nuclear norm (rating points)")
    left.set_title("The nuclear norm leads to x = 1")
    left.legend(loc="upper left", fontsize=9)
    left.set_ylim(3, 10)
    right.plot(x, np.full_like(x, 2.0), color=COLORS["nuclear norm"])
    right.plot(4, 2, "o", ms=9, mfc="white", color=COLORS["nuclear norm"])
    right.plot(1, 2, "o", ms=9, color=COLORS["primal"])
    right.plot(4, 1, "s", ms=9, color=COLORS["dual"])
    right.set(xlabel="missing rating x (rating points)", ylabel="rank", title="The rank has no slope to follow")
    right.set(yticks=[0, 1, 2], ylim=(0.5, 2.5))
    seen = (
        "Left a valley, lowest at x = 1; the table of rank one lies higher, at x = 4. Right a level line, with "
        "one hole at x = 4, where the rank drops from 2 to 1."
    )
    show(fig, seen=seen)


def plot_transition(recovered, ranks, shares, n):
    """Heat map of `transition`, with the line where knowns and unknowns are equally many."""
    fig, ax = plt.subplots(figsize=(7.6, 4.2))
    ax.set_facecolor("#cccccc")
    half_share, half_rank = np.diff(shares)[0] / 2, np.diff(ranks)[0] / 2
    extent = (shares[0] - half_share, shares[-1] + half_share, ranks[0] - half_rank, ranks[-1] + half_rank)
    image = ax.imshow(recovered, origin="lower", aspect="auto", extent=extent, cmap="viridis", vmin=0, vmax=1)
    rank = np.linspace(*extent[2:], 100)
    ax.plot(unknowns(n, rank) / n**2, rank, color="#D55E00", lw=2.5, ls="--", label="as many known cells as unknowns")
    ax.set(xlim=extent[:2], ylim=extent[2:], xticks=shares, yticks=ranks)
    ax.set(xlabel="share of cells known", ylabel="rank of the true matrix")
    ax.set_title("The lower the rank, the fewer known cells bring back all the rest")
    ax.legend(loc="upper left", fontsize=9)
    ax.grid(False)
    fig.colorbar(image, label="share of trials recovered")
    seen = (
        "The bright cells, where all came back, fill the right; on the whole they begin further right at a "
        "higher rank, and always right of the dashed line. Grey: fewer known cells than unknowns."
    )
    show(fig, seen=seen)


def plot_training_against_held_out(summary):
    """One line a model: its training RMSE and its held-out RMSE with the 95 % interval."""
    fig, ax = plt.subplots(figsize=(7.2, 3.2))
    at = np.arange(len(summary))
    ax.hlines(at, summary["train_rmse"], summary["rmse_clipped"], color="#bbbbbb")
    ax.plot(summary["train_rmse"], at, "o", ms=8, color=COLORS["train"], label="training")
    held_out = {
        "fmt": "s",
        "ms": 7,
        "capsize": 4,
        "color": COLORS["held out"],
        "label": "held out, 95 % interval",
    }
    ax.errorbar(summary["rmse_clipped"], at, xerr=summary["half_width"], **held_out)
    ax.set_yticks(at, summary["model"])
    ax.set(xlabel="RMSE (rating points)", ylabel="model", ylim=(len(at) - 0.5, -0.5), xlim=(-0.1, None))
    ax.set_title("The smallest training error does not win on held-out ratings")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    first = {column: summary.loc[summary[column].idxmin(), "model"] for column in ("train_rmse", "rmse_clipped")}
    show(fig, seen=f"Smallest in training: {first['train_rmse']}; smallest held out: {first['rmse_clipped']}.")


def plot_relatives(path, full, short):
    """Distance to the nuclear norm completion: dicts lambda -> distance for spectral and for ALS of two ranks."""
    fig, ax = plt.subplots(figsize=(7.2, 4.2))
    ax.loglog(list(path), list(path.values()), "o-", color=COLORS["spectral"], label="spectral")
    style = {"ls": "none", "ms": 12, "mfc": "none", "mew": 2, "color": COLORS["ALS"]}
    ax.loglog(list(full), list(full.values()), marker="D", label="ALS, enough factors", **style)
    style |= {"ls": ":", "ms": 9, "color": BROWN}
    ax.loglog(list(short), list(short.values()), marker="x", label="ALS, too few factors", **style)
    ax.invert_xaxis()
    ax.set_xlabel(r"penalty $\lambda$ (rating points, log scale, weaker to the right)")
    ax.set_ylabel("RMS distance to the nuclear norm completion\n(rating points, log scale)", fontsize=10)
    ax.set_title("As the penalty vanishes, the relatives arrive, unless factors are too few")
    ax.legend(loc="lower left")
    seen = (
        "Spectral and ALS with enough factors fall together towards the right; ALS with too few factors does not fall."
    )
    show(fig, seen=seen)


def plot_half_objectives(factors, halves, optimum, rank):
    """Half the ALS objective for several numbers of factors, against the convex optimum."""
    fig, ax = plt.subplots(figsize=(7.2, 3.8))
    ax.plot(factors, halves, "o-", color=COLORS["ALS"], label="ALS, half its objective")
    ax.axhline(optimum, color=COLORS["spectral"], ls="--", label="spectral, the convex optimum")
    ax.axvline(rank, color=COLORS["global mean"], ls=":", label="rank of the convex optimum")
    ax.set(xlabel="number of factors k", ylabel="objective (rating points²)", ylim=(0.98 * optimum, None))
    ax.set_title("With enough factors ALS solves the convex problem")
    ax.legend(loc="upper right")
    show(fig, seen="The line of ALS falls to the dashed line and stays on it from about the marked rank on.")


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


# ---- Lesson 12: lists ----------------------------------------------------------------------------------------------


def course_slip(user_list, ratings):
    """The list as the course printed it: ratings in rank order, but titles in the order of the table."""
    items = np.sort(user_list["item_id"].to_numpy())
    order = np.argsort(ratings.item_cols(items), kind="stable")
    return user_list.assign(title=[ratings.title(item) for item in items[order]])[["rank", "title", "predicted_rating"]]


def rank_table(lists, at_least=2):
    """The titles that at least so many of the lists hold, and their rank in each list, blank where they are absent."""
    ranks = pd.DataFrame({model: part.set_index("title")["rank"] for model, part in lists.items()})
    ranks.insert(0, "lists", ranks.notna().sum(axis=1))
    ranks = ranks[ranks["lists"] >= at_least].reset_index()
    ranks = ranks.sort_values(["lists", "title"], ascending=[False, True], ignore_index=True)
    text = ranks.drop(columns=["title", "lists"]).apply(
        lambda column: ["" if np.isnan(rank) else str(int(rank)) for rank in column]
    )
    return pd.concat([ranks["lists"], text], axis=1).set_index(ranks["title"].rename(None))


def overlaps(models, n=10):
    """Share of the top n that two models have in common, averaged over viewers: symmetric, 1 on the diagonal."""
    held = {}
    for name, model in models.items():
        part, table = model.recommend_all(n), np.zeros(model.ratings_.shape)
        table[model.ratings_.user_rows(part["user_id"]), model.ratings_.item_cols(part["item_id"])] = 1
        held[name] = table
    sizes = next(iter(held.values())).sum(axis=1)
    shares = [[float(np.mean((a * b).sum(axis=1) / sizes)) for b in held.values()] for a in held.values()]
    return pd.DataFrame(shares, index=list(held), columns=list(held))


def plot_overlap(table, n=10):
    """Heat map of the overlaps."""
    fig, ax = plt.subplots(figsize=(9.6, 7))
    look = {"cmap": "cividis", "vmin": 0, "vmax": 1, "square": True, "annot_kws": {"fontsize": 10}}
    sns.heatmap(table, annot=True, fmt=".2f", ax=ax, cbar_kws={"label": f"shared part of the top {n}"}, **look)
    ax.set(xlabel="model", ylabel="model")
    ax.set_title("Trained on the same ratings, models disagree about the top ten")
    ax.tick_params(axis="x", rotation=40)
    plt.setp(ax.get_xticklabels(), ha="right")
    others = table.where(~np.eye(len(table), dtype=bool))
    pair, least = others.stack().idxmax(), others.mean().idxmin()
    show(fig, seen=f"The most alike are {pair[0]} and {pair[1]}; {least} shares least with the others.")


def plot_popularity(frequent, ratings, models):
    """How often a title was rated against how many lists it enters, one panel a model."""
    counts = pd.Series(ratings.item_counts, index=ratings.item_ids)
    fig, axes = plt.subplots(1, len(models), figsize=(2.5 * len(models), 3.4), sharey=True)
    for ax, name in zip(axes, models, strict=True):
        listed = pd.Series(0, index=ratings.item_ids)
        listed.update(frequent.set_index("item_id")[name])
        ax.plot(counts, listed, **(mark(name) | {"markersize": 5}), alpha=0.6)
        ax.set(title=name, xlabel="ratings of the title")
    axes[0].set_ylabel("viewers whose\ntop 10 holds it")
    fig.suptitle("One marker a title: the baseline fills all lists with the same few", fontsize=12)
    seen = "Under the baseline nearly all markers lie at 0 and a few high up; under the others they spread in between."
    show(fig, seen=seen)


def list_quality(models, truth, n=10):
    """Mean predicted and mean true rating of the listed cells, and the RMSE to the truth on all unseen cells."""
    unseen = next(iter(models.values())).ratings_.csr.toarray() == 0
    rows = {}
    for name, model in models.items():
        part, ratings = model.recommend_all(n), model.ratings_
        true = truth[ratings.user_rows(part["user_id"]), ratings.item_cols(part["item_id"])]
        cells = replace(
            ratings, rows=np.nonzero(unseen)[0], cols=np.nonzero(unseen)[1], values=truth[unseen], times=None
        )
        rows[name] = {
            "list, predicted": part["predicted_rating"].mean(),
            "list, true": true.mean(),
            "RMSE, unseen cells": ct.rmse(model, cells, clip=True),
        }
    best = -np.sort(-np.where(unseen, truth, -np.inf), axis=1)[:, :n]
    rows["(any order)"] = {"list, true": truth[unseen].mean()}
    rows["(the truth itself)"] = {"list, true": best[np.isfinite(best)].mean()}
    return pd.DataFrame(rows).T


def mean_ranks(model, titles):
    """The place of each title, ordered by the mean prediction over the viewers who have not rated it."""
    ratings = model.ratings_
    scores = np.ma.array(model.complete(), mask=ratings.csr.toarray() > 0).mean(axis=0).filled(-np.inf)
    order = np.argsort(-np.round(scores, ct.TIE), kind="stable")
    place = {ratings.item_labels[col]: rank for rank, col in enumerate(order.tolist(), start=1)}
    return {title: place.get(title) for title in titles}


def six_titles_table(ranks):
    """{table: {model: {title: rank or None}}} as one row a title and table, blank titles left out."""
    rows = []
    for name, models in ranks.items():
        titles = pd.DataFrame(models).dropna(how="all")
        titles.insert(0, "table", name)
        rows.append(titles)
    table = pd.concat(rows).rename_axis("title").reset_index()
    numbers = table.columns[2:]
    table[numbers] = table[numbers].astype(int)
    return table
