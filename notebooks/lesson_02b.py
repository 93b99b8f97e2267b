"""Lesson 02b, one stochastic step by hand: its small tables, its figures and its quizzes."""

import tempfile
from pathlib import Path

import lesson
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from sklearn.metrics.pairwise import cosine_similarity

import content_table as ct

ETA, REG, MEAN = 0.01, 0.1, 3.0
B_USER, B_ITEM = [0.1, 0.2, 0.3], [0.2, 0.3, 0.4]
P = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.1, 0.5, 0.4], [0.3, 0.1, 0.2, 0.4, 0.3]]
Q = [[0.4, 0.3, 0.5, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2, 0.1]]
W = [[0.1, 0.2], [0.3, 0.1], [0.4, 0.3]]
C = [[0.6, 0.8], [0.7, 0.9], [0.5, 0.4]]
CELLS = {(0, 1): 4.0, (1, 2): 3.5, (2, 0): 5.0}
FILMS = ("Action Adventure epic battle", "Comedy Drama funny heartwarming", "Action Sci-Fi space futuristic")


def table_of(cells, shape=(3, 3)):
    """Ratings on a scale from 1 to 5 from {(row, column): rating}."""
    table = np.full(shape, np.nan)
    for cell, rating in cells.items():
        table[cell] = rating
    return ct.Ratings.from_matrix(table, scale=(1, 5))


def example(content=False):
    """(theta, C) of the blog notebook's example, without or with the weights on content."""
    return lesson.parameters(P, Q, B_USER, B_ITEM, W if content else None), (np.array(C) if content else None)


# ---- The step against the slope of one rating's term -----------------------------------------------------------------


def term(ratings, entry, theta, reg, mean, C=None):
    """e^2 + reg (b_u^2 + b_i^2 + |p_u|^2 + |q_i|^2 + |w_u|^2) of rating number `entry`: what one step descends."""
    u, i = ratings.rows[entry], ratings.cols[entry]
    b_user, b_item, P, Q, W, _ = theta
    error = ratings.values[[entry]] - lesson.predictions(ratings, theta, mean, C)[[entry]]
    return ct.squared_loss(error, reg, b_user[u], b_item[i], P[u], Q[i], W[u])


def half_descent(ratings, entry, theta, reg, mean, C=None, delta=1e-5):
    """Minus half the slope of `term` along every parameter, by central differences: arrays shaped like `theta`."""
    slopes = []
    for which, array in enumerate(theta):
        slope = np.zeros(array.shape)
        for at in np.ndindex(array.shape):
            ends = []
            for shift in (delta, -delta):
                moved = [block.copy() for block in theta]
                moved[which][at] += shift
                ends.append(term(ratings, entry, tuple(moved), reg, mean, C))
            slope[at] = -0.5 * (ends[0] - ends[1]) / (2 * delta)
        slopes.append(slope)
    return slopes


def touched(theta, u=0, i=1):
    """The parameters that the rating of user u for item i touches, by name."""
    b_user, b_item, P, Q, W, _ = theta
    row = {"$b_u$": b_user[u], "$b_i$": b_item[i]}
    for name, values in (("p", P[u]), ("q", Q[i]), ("w", W[u])):
        row |= {f"{name}[{at}]": value for at, value in enumerate(values)}
    return pd.Series(row)


def beside(columns):
    """The same touched parameters after several steps, one column each: {name: theta}."""
    table = pd.DataFrame({name: touched(theta) for name, theta in columns.items()}).round(5)
    return table.rename(index=lambda name: name.strip("$"))


# ---- Figures of the step ---------------------------------------------------------------------------------------------


def plot_pieces(mean, theta, C, rating, u=0, i=1):
    """The prediction for one cell as a staircase from the mean, and the rating as a line."""
    b_user, b_item, P, Q, W, _ = theta
    pieces = {
        "viewer's bias $b_u$": b_user[u],
        "title's bias $b_i$": b_item[i],
        r"factors $p_u\cdot q_i$": P[u] @ Q[i],
        r"content $w_u\cdot C_i$": W[u] @ C[i],
    }
    colors = (lesson.COLORS["baseline"], "#777777", lesson.COLORS["SGD"], lesson.COLORS["content"])
    fig, ax = plt.subplots(figsize=(8, 3.4))
    level = mean
    for at, (piece, color, hatch) in enumerate(zip(pieces.values(), colors, ("", "//", "", ".."), strict=True)):
        ax.barh(at, piece, left=level, color=color, hatch=hatch, edgecolor="white")
        level += piece
        ax.text(4.3, at, f"{piece:+.2f}  to  {level:.2f}", va="center", fontsize=10,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 2})  # fmt: skip
        ax.plot([level, level], [at, at + 0.6], color="#999999", linewidth=1, zorder=0)
    ax.axvline(mean, color=lesson.COLORS["global mean"], linestyle=":", linewidth=2, label=f"mean {mean:.2f}")
    ax.axvline(rating, color="#009E73", linestyle="--", linewidth=2, label=f"rating {rating:.2f}")
    ax.set_yticks(range(len(pieces)), pieces)
    ax.invert_yaxis()
    ax.set(xlim=(2.9, 4.7), xlabel="prediction so far (rating points; the axis starts at 2.9)", ylabel="piece")
    ax.set_title("Each piece adds to the mean; the content carries the prediction past the rating")
    ax.legend(loc="lower left", frameon=True)
    ax.grid(False, axis="y")
    steps = ", ".join(f"{piece.split(' $')[0]} {value:+.2f}" for piece, value in pieces.items())
    lesson.show(fig, seen=f"From the mean {mean:.2f}: {steps}; together {level:.2f}.")


def pulls(ratings, theta, reg, mean, C=None):
    """The step of entry 0, divided by eta, in its two parts: the pull of the error and the pull of the penalty."""
    free = touched(lesson.step_on(ratings, 0, theta, 1.0, 0.0, mean, C)) - touched(theta)
    whole = touched(lesson.step_on(ratings, 0, theta, 1.0, reg, mean, C)) - touched(theta)
    return pd.DataFrame({"error": free, "penalty": whole - free, "both": whole})


def plot_pulls(panels):
    """One panel a step: for each parameter the pull of the error, of the penalty, and both together."""
    fig, axes = plt.subplots(1, len(panels), figsize=(10, 4), width_ratios=[len(t) for t in panels.values()])
    for ax, (title, table) in zip(axes, panels.items(), strict=True):
        at = np.arange(len(table))
        ax.bar(at - 0.2, table["error"], 0.38, color="#0072B2", label=r"error: $e\cdot$ slope of the prediction")
        ax.bar(at + 0.2, table["penalty"], 0.38, color="#E69F00", hatch="///", label=r"penalty: $-\lambda\theta$")
        ax.plot(at, table["both"], "D", color="black", markersize=6, label="both: the step divided by $\\eta$")
        ax.axhline(0, color="black", linewidth=1)
        ax.set_xticks(at, table.index, fontsize=9, rotation=60)
        ax.grid(False, axis="x")
        ax.set(title=title, xlabel="parameter that the rating touches")
        ax.set_ylabel("pull on the parameter, before $\\eta$\n(rating points × slope; own scale)", fontsize=10)
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=3, frameon=False, fontsize=10)
    fig.suptitle("The error pulls one way for all; the penalty always pulls towards 0, and can win", fontsize=12)
    fig.tight_layout(rect=(0, 0.08, 1, 1))
    seen = (
        "Left the error pulls up and the penalty down, and for every factor the sum, a diamond, is below 0. Right "
        "both pull down."
    )
    lesson.show(fig, tight=False, seen=seen)


# ---- Three recipes of TF-IDF -----------------------------------------------------------------------------------------


def word_counts(texts):
    """How often each word stands in each text, words split at spaces: a row for each film, frequent words first."""
    words = [text.lower().split() for text in texts]
    counts = pd.DataFrame([pd.Series(row).value_counts() for row in words]).fillna(0)
    counts = counts[list(dict.fromkeys(word for row in words for word in row))]
    return counts.set_axis([f"film {at}" for at in range(1, len(texts) + 1)])


def recipe_of_the_text(counts):
    """As the blog notebook's text defines it: tf = count / length, idf = ln(N / df)."""
    return counts.div(counts.sum(axis=1), axis=0) * np.log(len(counts) / (counts > 0).sum())


def recipe_of_the_table(counts):
    """As the blog notebook's table computes it: raw counts times idf = ln(N / (1 + df))."""
    return counts * np.log(len(counts) / (1 + (counts > 0).sum()))


def recipe_of_the_library(texts):
    """As its code computes it: `ct.tfidf_features`, that is scikit-learn's, words in order of appearance."""
    features = ct.tfidf_features(range(len(texts)), texts)
    table = pd.DataFrame(features.matrix.toarray(), columns=features.names)
    order = sorted(table.columns, key=" ".join(texts).lower().find)
    return table[order].set_axis([f"film {at}" for at in range(1, len(texts) + 1)])


def cosines(weights):
    """Cosine of each pair of films."""
    return pd.DataFrame(cosine_similarity(weights), weights.index, weights.index)


def plot_recipes(panels):
    """Weights under each recipe, words downward and films across: {title: films x words}."""
    fig, axes = plt.subplots(1, len(panels), figsize=(10.2, 4.6))
    for ax, (title, weights) in zip(axes, panels.items(), strict=True):
        table = weights.T.rename(columns=lambda name: name.removeprefix("film "))
        written = table.map(lambda weight: f"{weight:.3f}".lstrip("0") if weight else "0")
        sns.heatmap(
            table, annot=written, fmt="", cmap="cividis", vmin=0, ax=ax, annot_kws={"fontsize": 9},
            cbar_kws={"label": "weight (no unit)"},
        )  # fmt: skip
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("film", fontsize=10)
        ax.set_ylabel("word", fontsize=10)
        ax.collections[0].colorbar.ax.yaxis.label.set_size(10)
        ax.tick_params(labelsize=9)
        ax.tick_params(axis="y", rotation=0)
    fig.suptitle("Beside its neighbours, the shared word weighs over a third, nothing, three quarters", fontsize=12)
    seen = (
        "In every map each film has its own block of bright cells. The shared word, in the first row, is pale "
        "under the first recipe, dark under the second and fairly bright under the third."
    )
    lesson.show(fig, seen=seen)


def film_texts(genres, **options):
    """What `ct.item_texts` makes of these genres, written into a catalogue as MovieLens has it."""
    ratings = ct.Ratings.from_matrix(np.full((1, len(genres)), 3.0), scale=(1, 5))
    rows = pd.DataFrame({"movieId": ratings.item_ids, "title": "a film", "genres": genres})
    with tempfile.TemporaryDirectory() as folder:
        rows.to_csv(Path(folder, "movies.csv"), index=False)
        return ct.item_texts(folder, ratings, use=("genres",), **options).tolist()


# ---- Predictions that are typed in -----------------------------------------------------------------------------------


class Typed(ct.Recommender):
    """A "model" whose predictions are a table typed in by hand, so that the metrics can score them."""

    table: np.ndarray | None = None

    def _fit(self, ratings, validation):
        self.table_ = np.array(self.table, dtype=float)

    def _known(self, rows, cols):
        return np.ones(np.broadcast_shapes(rows.shape, cols.shape), dtype=bool)

    def _scores(self, rows, cols):
        return self.table_[rows, cols]

    def _row_scores(self, rows):
        return self.table_[rows]


def typed(ratings, values):
    """`Typed`, fitted to `ratings`, with these predictions on the known cells; cells that nobody asks for hold 3."""
    table = np.full(ratings.shape, 3.0)
    table[ratings.rows, ratings.cols] = values
    return Typed(table).fit(ratings)


# ---- Quizzes ---------------------------------------------------------------------------------------------------------


@lesson.quiz
def rise_or_fall():
    """The error of the first step is +.05. Do the five entries of p_0 rise or fall?"""
    theta, _ = example()
    change = lesson.step_on(table_of(CELLS), 0, theta, ETA, REG, MEAN)[2][0] - theta[2][0]
    answer = "rise" if change[0] > 0 else "fall"
    return lesson.Quiz(
        answer=answer,
        because="The error pulls each entry up by .05 of its partner, the penalty pulls it down by .1 of itself. "
        "Partner and entry are equal here, so the larger factor wins, and that is the penalty's.",
        hint="Write out e q - lambda p for the first entry.",
        wrong=(
            ("rise", "The error alone would lift them. The step is e q - lambda p, with e = .05 below lambda = .1."),
            ("stay", "They would stay if the error were as large as lambda, because here p and q are equal."),
        ),
        choices=("rise", "fall", "stay"),
    )


@lesson.quiz
def old_or_new():
    """p = (1, .5), q = (.5, 1), mean 2, rating 4, eta .1, lambda .1: the first entry of q after one step."""
    p, q, mean, rating, eta, reg = np.array([1.0, 0.5]), np.array([0.5, 1.0]), 2.0, 4.0, 0.1, 0.1
    one = table_of({(0, 0): rating}, (1, 1))
    after = lesson.one_step(one, 0, [p], [q], eta, reg, mean)
    error = rating - mean - p @ q
    return lesson.Quiz(
        answer=float(after[3][0, 0]),
        because="The error is 4 - 2 - 1 = 1, and q moves by .1 (1 times the old p, minus .1 times q).",
        hint="First the error: 4 - (2 + p.q). Then q + eta (e p - lambda q), first entries only.",
        wrong=(
            (q[0] + eta * (error * after[2][0, 0] - reg * q[0]), "That uses the new p; both updates use the old one."),
            (q[0] + eta * (error * q[0] - reg * q[0]), "That is swapped: q moves along p, its partner, not along q."),
            (q[0] + eta * error * p[0], "That forgets the penalty, lambda times q."),
            (q[0] + 2 * eta * (error * p[0] - reg * q[0]), "That has the factor 2 of the gradient; the step is half."),
            (q[0] - eta * (error * p[0] - reg * q[0]), "That goes the wrong way: the step is added to q."),
        ),
        tol=0.0005,
    )


@lesson.quiz
def penalty_per_rating():
    """Viewer 0 now rates title 0, too. How much more is the penalty of all terms than the norms counted once?"""
    theta, _ = example()
    b_user, b_item, P, Q, _, _ = theta
    four = table_of({(0, 0): 3.0} | CELLS)
    left = four.values - lesson.predictions(four, theta, MEAN)
    terms = sum(term(four, entry, theta, REG, MEAN) for entry in range(len(four)))
    extra = terms - ct.squared_loss(left, REG, *theta)
    user, item = b_user[0] ** 2 + P[0] @ P[0], b_item[0] ** 2 + Q[0] @ Q[0]
    return lesson.Quiz(
        answer=extra,
        because="Viewer 0 and title 0 now stand in two terms each: .1 (.01 + .55 + .04 + .55).",
        hint="Which parameters stand in two terms now? Square, add, and multiply by lambda.",
        wrong=(
            (REG * user, "That is viewer 0 only; title 0 has two ratings now, too."),
            (REG * item, "That is title 0 only; viewer 0 has two ratings now, too."),
            (user + item, "That forgets lambda."),
            (REG * (P[0] @ P[0] + Q[0] @ Q[0]), "That forgets the biases, which are penalised as well."),
            (2 * extra, "That counts both terms; one of the two is in the plain formula, too."),
            (0.0, "They agree only while nobody, viewer or title, has more than one rating."),
        ),
        tol=0.0005,
    )


@lesson.quiz
def content_prediction():
    """Viewer 2 and title 0, with content: the prediction."""
    ratings, (theta, content) = table_of(CELLS), example(content=True)
    b_user, b_item, P, Q, W, _ = theta
    at = ratings.rows.tolist().index(2)
    part = P[2] @ Q[0] + W[2] @ content[0]
    return lesson.Quiz(
        answer=float(lesson.predictions(ratings, theta, MEAN, content)[at]),
        because="3 + .3 + .2 + .36 + .48: the mean, the two biases, the factors, and (.4 .3).(.6 .8).",
        hint="Five pieces: 3, the bias of viewer 2, the bias of title 0, p_2.q_0, and w_2.C_0.",
        wrong=(
            (MEAN + b_user[2] + b_item[0] + P[2] @ Q[0], "That is the prediction without content."),
            (MEAN + part, "That leaves out the two biases."),
            (
                MEAN + b_user[2] + b_item[0] + P[2] @ Q[0] + W[2] @ content[2],
                "That takes the content of row 2; content belongs to the title, so it is row 0.",
            ),
            (b_user[2] + b_item[0] + part, "That forgets the mean."),
        ),
        tol=0.005,
    )


@lesson.quiz
def published_loss():
    """The assumed errors with content: the training loss as the published code reports it, divided by the count."""
    left, norms = np.array([4.0, 3.5, 5.0]) - np.array([4.0, 3.55, 4.9]), np.sqrt([1.2, 0.8, 0.2, 0.3])
    whole, fit = ct.squared_loss(left, REG, *norms), ct.squared_loss(left)
    return lesson.Quiz(
        answer=whole / len(left),
        because="(0 + .0025 + .01 + .25) / 3: the whole sum, penalty included, is divided by the three ratings.",
        hint="Squared errors 0, .05^2 and .1^2; penalty .1 times 2.5; add, then divide by the number of ratings.",
        wrong=(
            (whole, "That is the sum; the published code divides it by the number of ratings."),
            (fit / len(left), "That is the mean squared error alone, without the penalty."),
            (
                fit / len(left) + whole - fit,
                "That divides only the errors; the published code divides the penalty, too.",
            ),
            (np.sqrt(fit / len(left)), "That is the RMSE."),
            (whole / 4, "That divides by the four norms; the count is that of the ratings."),
        ),
        tol=0.0005,
    )


@lesson.quiz
def common_word():
    """A word that all three films have: its idf by the recipe of the published table."""
    counts = word_counts([f"{text} film" for text in FILMS])
    n, df = len(counts), (counts["film"] > 0).sum()
    return lesson.Quiz(
        answer=float((recipe_of_the_table(counts)["film"] / counts["film"]).iloc[0]),
        because="ln(3 / 4) is below 0, since 1 + df is larger than the number of films.",
        hint="ln(N / (1 + df)) with N = 3 films and df = 3 films that have the word.",
        wrong=(
            (np.log(n / df), "That is the recipe of the text, ln(N / df), where such a word gets 0."),
            (np.log((1 + n) / (1 + df)) + 1, "That is the library's: 1 added to both counts, and 1 at the end."),
            (np.log((1 + df) / n), "The fraction is upside down: N goes above."),
            (n / (1 + df), "The logarithm is missing."),
        ),
        tol=0.005,
    )


@lesson.quiz
def short_list():
    """Four test titles, three of them relevant, in the best order: precision@10, rated-only."""
    row = np.full((1, 4), np.nan)
    row[0] = [5.0, 4.0, 4.0, 2.0]
    test = ct.Ratings.from_matrix(row, scale=(1, 5))
    best = ct.top_lists(Typed(row).fit(test), test, n=10, protocol="rated_only")
    found = ct.ranking_metrics(best, test, threshold=3.5).iloc[0]
    return lesson.Quiz(
        answer=float(found["precision"]),
        because="Three hits, divided by the ten places asked for, although only four could be filled.",
        hint="Hits divided by K, whatever the length of the list that could be made.",
        wrong=(
            (found["recall"], "That is the recall: all three relevant titles are in the list."),
            (3 / 4, "That divides by the four titles listed; precision@10 divides by 10."),
            (4 / 10, "That counts the fourth title as a hit; it was rated below the threshold."),
        ),
        tol=0.005,
    )
