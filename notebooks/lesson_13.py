"""Lesson 13: viewers whom the model has not met. Experiments on them, the figures, and the quizzes."""

import json
import tempfile
from pathlib import Path

import lesson
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.transforms import Bbox
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

import content_table as ct

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


def true_noise(ratings, expected):
    """Root mean square of rating less expected rating; only a simulation has the latter."""
    return float(np.sqrt(np.mean((ratings.values - expected[ratings.rows, ratings.cols]) ** 2)))


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


def noisy_answers(expected, spread=1.3, scale=(1.0, 10.0), random_state=0):
    """What simulated viewers would say: their expected ratings, with the noise of one rating, as whole numbers."""
    noise = np.random.default_rng(random_state).normal(0.0, spread, expected.shape)
    return np.clip(np.round(expected + noise), *scale)


def asked_titles(model, expected, n):
    """Of the first `n` titles of each order: the mean standard deviation of a title's expected ratings over viewers,
    and the mean correlation of two titles."""
    rows = {}
    for name, order in asking_orders(model, n).items():
        columns = expected[:, order]
        alike = np.corrcoef(columns.T)[np.triu_indices(len(order), 1)]
        rows[name] = {"vary": columns.std(axis=0).mean().round(2), "alike": alike.mean().round(2)}
    return pd.DataFrame(rows).T


# ---- A case for the pencil -------------------------------------------------------------------------------------------


def hand_ratings():
    """Four viewers, four titles, all rated: tastes of +1 or -1, two loved titles and two that are not."""
    table = np.array([[9, 5, 7, 3], [9, 5, 7, 3], [5, 9, 3, 7], [5, 9, 3, 7]], dtype=float)
    return ct.Ratings.from_matrix(table, titles=["Action I", "Romance I", "Action II", "Romance II"])


def hand_models():
    """(baseline, one factor with biases), penalties 4: every learnt number is a whole or a half."""
    ratings = hand_ratings()
    factor = ct.ALS(n_factors=1, reg=4, biases=True, bias_reg=4, tol=1e-14, n_epochs=5000)
    return ct.BiasBaseline(reg=4).fit(ratings), factor.fit(ratings)


# ---- The training's own regression -----------------------------------------------------------------------------------


def folded_again(model):
    """(trained, folded) predictions of all viewers of the training part, (m, n) each: the second from a fold-in of
    their own ratings."""
    trained, folded = [], []
    for user in model.ratings_.user_ids:
        viewer = model.viewer(user)
        own = dict(zip(model.ratings_.item_ids[viewer.at].tolist(), viewer.values.tolist(), strict=True))
        trained.append(viewer.scores)
        folded.append(model.fold_in(own).scores)
    return np.array(trained), np.array(folded)


def repeat_table(models):
    """How far a fold-in of a viewer's own ratings is from their trained predictions: largest difference as a bound, and
    the root mean square of all, rating points."""
    rows = []
    for name, model in models.items():
        apart = np.abs(np.subtract(*folded_again(model)))
        bound = next((bound for bound in (1e-9, 1e-4, 1e-2) if apart.max() < bound), None)
        largest = f"below {bound:.0e}" if bound else f"{apart.max():.2f}"
        typical = "0.00" if bound else f"{np.sqrt((apart**2).mean()):.2f}"
        rows.append({"model": name, "largest difference": largest, "typical difference": typical})
    return pd.DataFrame(rows).set_index("model")


def to_the_end(model, viewer):
    """Predictions of the ridge regression of a viewer's own ratings, solved in full whatever the model's training."""
    fold = viewer.fold
    return ct.ridge_fold(fold.offset, fold.blocks, fold.penalty, viewer.at, viewer.values).scores()


def plot_early(models):
    """Trained predictions against those of two fold-ins: left as early as the training, and solved to the end."""
    fig, axes = plt.subplots(1, len(models), figsize=(9.6, 3.9), sharey=True, sharex=True)
    for ax, (name, model) in zip(axes, models.items(), strict=True):
        trained, early = folded_again(model)
        end = np.array([to_the_end(model, model.viewer(user)) for user in model.ratings_.user_ids])
        some = np.random.default_rng(0).choice(trained.size, 1200, replace=False)
        for label, other, marker, color in (("solved to the end", end, "^", lesson.COLORS["held out"]),
                                            ("left as early", early, "o", lesson.COLORS["train"])):  # fmt: skip
            typical = np.sqrt(((other - trained) ** 2).mean())
            ax.plot(trained.ravel()[some], other.ravel()[some], marker, ms=2.5, alpha=0.5, color=color,
                    label=f"{label}: typically {typical:.2f} apart")  # fmt: skip
        ax.plot([1, 10], [1, 10], color="#333333", linewidth=0.8)
        ax.set(title=name, xlabel="trained prediction (rating points)", xlim=(0, 12), ylim=(0, 12))
        ax.legend(loc="upper left", fontsize=8, markerscale=3, frameon=True)
    axes[0].set_ylabel("fold-in of the same ratings\n(rating points)")
    fig.suptitle("The penalty alone holds back less than early stopping did", fontsize=11)
    lesson.show(fig)


# ---- Few ratings -----------------------------------------------------------------------------------------------------


def plot_shrinking(model, told, titles):
    """Uncertainty of the predictions for a few titles, as ratings are told one after the other."""
    names = list(told)
    ids = [model.ratings_.item_id(title) for title in titles]
    table = np.array([model.fold_in({key: told[key] for key in names[:n]}).uncertainty(ids)
                      for n in range(len(names) + 1)])  # fmt: skip
    fig, ax = plt.subplots(figsize=(8.6, 4.2))
    looks = zip("osD^v", ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"), strict=True)
    for title, column, (marker, color) in zip(titles, table.T, looks, strict=False):
        ax.plot(column, marker + "-", ms=5, color=color, label=title)
    ax.set(xlabel="ratings told", ylabel="uncertainty (rating points)", ylim=(0, None), xticks=range(len(names) + 1),
           title="Ten ratings narrow the predictions, but not by much")  # fmt: skip
    ax.legend(fontsize=9)
    lesson.show(fig)


# ---- The list as it is shown -----------------------------------------------------------------------------------------


def variety(model, genres, viewers, weights, n=10):
    """Lists at each weight of diversity: mean prediction, and how different the titles of a list are, 1 - the mean
    cosine of their genres; means over the viewers."""
    rows = []
    for weight in weights:
        for user in viewers:
            listed = model.viewer(user).recommend(n, diversity=weight, similarity=genres)
            unit = normalize(genres.rows_for(listed["item_id"])).toarray()
            alike = (unit @ unit.T)[np.triu_indices(len(listed), 1)]
            rows.append({"diversity": weight, "predicted": listed["predicted_rating"].mean(),
                         "different": 1 - alike.mean()})  # fmt: skip
    return pd.DataFrame(rows).groupby("diversity").mean()


def plot_variety(table):
    """What a list gains in variety, and what it loses in predicted rating, for each weight."""
    fig, ax = plt.subplots(figsize=(7.6, 4.0))
    ax.plot(table["different"], table["predicted"], "o-", color=lesson.COLORS["train"])
    for weight, row in table.iterrows():
        ax.annotate(f"diversity {weight:g}", (row["different"], row["predicted"]), xytext=(6, 5),
                    textcoords="offset points", fontsize=9)  # fmt: skip
    span = np.ptp(table["different"])
    ax.set_xlim(table["different"].min() - 0.05 * span, table["different"].max() + 0.22 * span)
    low, high = table["predicted"].min(), table["predicted"].max()
    ax.set_ylim(low - 0.1 * (high - low), high + 0.2 * (high - low))
    ax.set(xlabel="how different the genres of a list are (1 - mean cosine)",
           ylabel="mean prediction of the list\n(rating points)",
           title="The first steps towards variety cost little, the last ones more")  # fmt: skip
    lesson.show(fig)


# ---- A map of titles -------------------------------------------------------------------------------------------------


def map_of_titles(model, n=40):
    """(titles, their places in the plane, share of the variance the plane shows) of the `n` most rated works."""
    ratings = model.ratings_
    order = np.argsort(-ratings.item_counts, kind="stable")
    order = order[np.unique(ratings.series[order], return_index=True)[1]]  # one title a work
    counts = ratings.item_counts
    chosen = order[np.argsort(-counts[order], kind="stable")][:n]
    plane = PCA(2, svd_solver="full").fit(model.item_factors_)
    axes = (
        plane.components_ * np.sign(plane.components_[np.arange(2), np.abs(plane.components_).argmax(axis=1)])[:, None]
    )
    places = (model.item_factors_[chosen] - plane.mean_) @ axes.T
    return ratings.item_labels[chosen], places, float(plane.explained_variance_ratio_.sum())


def _apart(box, others):
    return not any(box.overlaps(other) for other in others)


def plot_map(model, n=40):
    """The best known works on a plane: close together where the same viewers rate them alike."""
    titles, places, share = map_of_titles(model, n)
    fig, ax = plt.subplots(figsize=(10, 5.8))
    ax.plot(*places.T, "o", ms=4, color=lesson.COLORS["train"])
    ax.margins(0.12, 0.08)
    ax.set(xlabel="first direction of the item factors", ylabel="second direction")
    ax.set_title(f"Titles that the same viewers rate alike lie close; {share:.0%} of all differences fit on a plane")
    fig.tight_layout()
    points, back = ax.transData.transform(places), ax.transData.inverted()
    taken = [Bbox.from_extents(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    for title, (x, y) in zip(titles, points, strict=True):
        name = title if len(title) <= 24 else title[:22].rstrip(" :") + "…"
        label = ax.text(0, 0, name, fontsize=7.5, va="center")
        size = label.get_window_extent(fig.canvas.get_renderer())
        spots = []  # (box, anchor, side), the nearest first
        for step in (0, 8, -8, 14, -14, 22, -22, 32, -32, 42, -42):
            for side in (1, -1):
                left = x + 6 if side > 0 else x - 6 - size.width
                box = Bbox.from_bounds(left, y + step - size.height / 2, size.width, size.height)
                spots.append((box, (x + 6 * side, y + step), side))
        box, anchor, side = next((spot for spot in spots if _apart(spot[0], taken)), spots[0])
        taken.append(box)
        label.set(position=back.transform(anchor), ha="left" if side > 0 else "right")
        if abs(anchor[1] - y) > 9:
            ax.plot(*np.transpose([back.transform((x, y)), back.transform(anchor)]), color="#AAAAAA", lw=0.6, zorder=0)
    lesson.show(fig, tight=False)


# ---- Curves of new viewers -------------------------------------------------------------------------------------------

ORDER_LOOKS = {
    "popular": ("o-", "#0072B2"),
    "divisive": ("s-", "#D55E00"),
    "popular and divisive": ("^-", "#009E73"),
    "informative": ("D-", "#CC79A7"),
    "random": ("x--", "#666666"),
}
MARKERS = "os^Dvx*P"


def plot_cold_start(results, title):
    """Error against the number of ratings folded in, a line for each model."""
    means = results.pivot_table(index="ratings", columns="model", values="rmse", sort=False)
    fig, ax = plt.subplots(figsize=(8.6, 4.3))
    for marker, (name, column) in zip(MARKERS, means.items(), strict=False):
        ax.plot(means.index, column, marker + "-", ms=5, color=lesson.COLORS.get(name, "#B2182B"), label=name)
    ax.set(xlabel="ratings told by a new viewer", ylabel="error against the truth\n(RMSE, rating points)", title=title)
    ax.set_xticks(means.index)
    ax.legend(fontsize=9)
    lesson.show(fig)


def plot_asking(panels):
    """Error against the number of questions, a line for each order of asking, a panel for each kind of answering."""
    fig, axes = plt.subplots(1, len(panels), figsize=(10, 4.2), sharey=True)
    for ax, (title, results) in zip(axes, panels.items(), strict=True):
        means = results.pivot_table(index="questions", columns="order", values="rmse", sort=False)
        for name, column in means.items():
            line, color = ORDER_LOOKS[name]
            ax.plot(means.index, column, line, ms=5, color=color, label=name)
        ax.set(title=title, xlabel="questions asked", xticks=means.index)
    axes[0].set_ylabel("error against the truth\n(RMSE, rating points)")
    axes[0].legend(fontsize=9)
    lesson.show(fig)


def asking_differences(results, questions, reference="popular"):
    """Error of each order less that of the reference, the mean over the splits, in how many splits it was lower, and
    how many questions were answered."""
    results = results[results["questions"] == questions]
    table = results.pivot_table(index="split", columns="order", values="rmse", sort=False)
    less = table.sub(table[reference], axis=0)
    lower = [f"{count} of {len(less)}" if name != reference else "" for name, count in (less < 0).sum().items()]
    answered = results.groupby("order")["answered"].mean()[less.columns]
    return pd.DataFrame({"difference": less.mean().round(2), "lower in": lower, "answered": answered.round(1)})


# ---- The list that a viewer keeps ------------------------------------------------------------------------------------


def broken_exports(path, ratings):
    """Print what `load_mal_export` says of two files that are no whole anime list, made from the one at `path`."""
    whole = Path(path).read_text(encoding="utf-8")
    broken = {
        "manga.xml": whole.replace("<user_export_type>1", "<user_export_type>2"),
        "half.xml": whole[: len(whole) // 2],
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, text in broken.items():
            file = Path(folder) / name
            file.write_text(text, encoding="utf-8")
            try:
                ct.load_mal_export(file, ratings)
            except ValueError as error:
                print(error)


# ---- Figures on real ratings, from a file ----------------------------------------------------------------------------

FILED = ct.DATA.parent / "benchmarks" / "results" / "cold_start.json"  # made by python benchmarks/cold_start.py
REAL = ("data 1", "MovieLens")


def _filed():
    return json.loads(FILED.read_text(encoding="utf-8"))["tables"]


def filed_refit(tables=REAL):
    """Held-out clipped RMSE of new viewers on real ratings: fold-in less refit with them, and its 95 % interval."""
    columns = {}
    for name in tables:
        rows = {row["model"]: row for row in _filed()[name]["refit"]}
        columns[name] = {model: f"{row['difference']:+.3f} ± {row['half_width']:.3f}" for model, row in rows.items()}
    return pd.DataFrame(columns).fillna("")


def filed_coverage(tables=REAL):
    """Share of new viewers' held-out real ratings inside intervals that promise 0.8, by ratings told."""
    columns = {(name, model): {int(count): share for count, share in row["inside"].items()}
               for name in tables for model, row in _filed()[name]["coverage"].items()}  # fmt: skip
    return pd.DataFrame(columns).rename_axis("ratings").round(2)


def filed_curves(part, at, tables=REAL):
    """Held-out clipped RMSE of new viewers on real ratings after so many ratings ("curves") or questions ("asking")."""
    columns = {}
    for name in tables:
        found = _filed()[name][part]
        for count in at:
            place = found["at"].index(count)
            columns[name, count] = {model: f"{row[place]:.2f}" for model, row in found["rmse"].items()}
    return pd.DataFrame(columns).fillna("")


# ---- Quizzes ---------------------------------------------------------------------------------------------------------


@lesson.quiz
def baseline_of_three():
    """The bias that the baseline gives the new viewer of the hand case after a third rating, Romance I = 4."""
    base = hand_models()[0]
    given = {"Action I": 10, "Action II": 8, "Romance I": 4}
    at = base.ratings_.item_cols([base.ratings_.item_id(title) for title in given])
    deviations = np.array(list(given.values())) - base.global_mean_ - base.item_bias_[at]
    return lesson.Quiz(
        answer=base.fold_in(given).scores[at[0]] - base.global_mean_ - base.item_bias_[at[0]],
        because="The deviations 3.5, 2.5 and -2.5 sum to 3.5, over three ratings and the penalty: 3.5 / (3 + 4).",
        hint="Sum the deviations from mean plus title bias, and divide by the number of ratings plus lambda.",
        wrong=(
            (deviations.sum() / 3, "This is the plain mean of the deviations; the penalty 4 belongs below as well."),
            ((np.array([10, 8, 4]) - base.global_mean_).sum() / 7,
             "These deviations are from the mean alone; the bias of each title goes off too."),
            (deviations.sum() / 6, "The denominator still counts two ratings."),
        ),
        tol=0.006,
    )  # fmt: skip


@lesson.quiz
def factor_of_three():
    """The prediction for Romance II by the model with one factor after a third rating, Romance I = 4."""
    base, factor = hand_models()
    given = {"Action I": 10, "Action II": 8, "Romance I": 4}
    item = base.ratings_.item_id("Romance II")
    answer = factor.fold_in(given).predict([item])[0]
    Z, t = np.array([[1, 1], [1, 1], [-1, 1]]), np.array([3.5, 2.5, -2.5])
    x = np.linalg.solve(Z.T @ Z + 4 * np.eye(2), Z.T @ t)
    free = np.linalg.solve(Z.T @ Z, Z.T @ t)
    return lesson.Quiz(
        answer=answer,
        because="x = (56, 16) / 48, and 6 - 0.5 - 56/48 + 16/48 = 4.67: the taste speaks against it.",
        hint="Z'Z + 4I is ((7, 1), (1, 7)) and Z't is (8.5, 3.5); the row of Romance II is (-1, 1).",
        wrong=(
            (5.5 + x.sum(), "Romance II has q = -1, so the taste is taken off, not added."),
            (6.0 + x[1] - x[0], "The bias of Romance II, -0.5, is missing."),
            (5.5 + free[1] - free[0], "This is least squares without the penalty of 4 on both unknowns."),
            (5.5 - 0.75 + 0.75, "This is the prediction from two ratings; the third changes both unknowns."),
        ),
        tol=0.006,
    )


@lesson.quiz
def doubt_after_one():
    """The uncertainty of Action II after a single rating, of Action I, in units of the noise of one rating."""
    factor = hand_models()[1]
    item = factor.ratings_.item_id("Action II")
    viewer = factor.fold_in({"Action I": 10})
    answer = float(viewer.uncertainty([item])[0] / factor.noise())
    return lesson.Quiz(
        answer=answer,
        because="z'(Z'Z + 4I)^-1 z with z = (1, 1) is 8/24 = 1/3, and its root is 0.577.",
        hint="Z'Z + 4I is ((5, 1), (1, 5)); multiply its inverse by z = (1, 1) from both sides and take the root.",
        wrong=(
            (answer**2, "This is the variance; the uncertainty is its square root."),
            (np.sqrt(0.5), "This is the uncertainty before any rating: Action I is alike and does tell something."),
            (0.5, "This is after two ratings of action titles (or the variance before any)."),
            (np.sqrt(1 + answer**2), "The noise of a single rating was added: that is of_a_rating=True."),
        ),
        tol=0.006,
    )


@lesson.quiz
def one_rating_changed():
    """By how much the baseline's prediction for Romance I changes if Action II was rated 9, not 8."""
    base = hand_models()[0]
    item = base.ratings_.item_id("Romance I")
    first, second = (base.fold_in({"Action I": 10, "Action II": score}).predict([item])[0] for score in (8, 9))
    return lesson.Quiz(
        answer=second - first,
        because="The prediction is linear in the ratings, and each of two ratings has the weight 1 / (2 + 4).",
        hint="Which share of a rating's deviation goes into the bias of the viewer?",
        wrong=(
            (1.0, "A point more for one title is not a point more for all: the bias averages and shrinks."),
            (0.5, "That is the plain mean of two ratings; the penalty 4 counts as four more deviations of 0."),
            (0.0, "For the baseline every title of the viewer moves, whatever it is about."),
        ),
        tol=0.006,
    )


@lesson.quiz
def one_rating_without_mean():
    """No mean, no biases, one factor, lambda 4: a title with q = 1 was rated 8; which prediction for its twin?"""
    q, score, reg = 1.0, 8.0, 4.0
    x = ct.ridge_rows(ct.Ratings.from_matrix([[score]]).csr, np.array([[q]]), reg=reg)[0, 0]
    return lesson.Quiz(
        answer=q * x,
        because="x = 8 / (1 + 4) = 1.6: the ridge regression shrinks towards 0, which is no rating at all.",
        hint="One unknown, one rating: x = q a / (q^2 + lambda), and the twin's prediction is q x.",
        wrong=(
            (8.0, "Only without a penalty would the twin get the same 8."),
            (2.0, "The denominator is q^2 + lambda, so 5, not lambda alone."),
            (6.4, "This shrinks the deviation from a mean of 6; the model of the question knows no mean."),
        ),
        tol=0.05,
    )


@lesson.quiz
def second_question():
    """Action I has been rated: which rating would narrow the predictions for the four hand titles most?"""
    factor = hand_models()[1]
    ratings = factor.ratings_
    spread = {}
    for title in ("Action II", "Romance I"):
        viewer = factor.fold_in({"Action I": 10, title: 5})
        spread[title] = float((viewer.uncertainty(ratings.item_ids) ** 2).mean())
    return lesson.Quiz(
        answer=min(spread, key=spread.get).lower(),
        because="Romance titles are as open as before, and a rating of one narrows both; action is known a little.",
        hint="Compare the mean of z'(Z'Z + 4I)^-1 z over the four titles after each of the two ratings.",
        wrong=(
            (max(spread, key=spread.get).lower(),
             "It asks again about what is already known in part, and tells nothing about the romance titles."),
            ("no difference", "The two ratings would leave different mean variances; work both out."),
        ),
        choices=("action ii", "romance i", "no difference"),
    )  # fmt: skip
