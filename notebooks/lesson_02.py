"""Figures and quizzes of lesson 02, the pencil chapter: tables small enough to check by hand."""

import lesson
import matplotlib.pyplot as plt
import numpy as np

import content_table as ct

nan = np.nan
USERS = ["Alice", "Bob", "Carol"]
FILMS = ["Sholay", "Swades", "Batman", "Interstellar", "Shawshank"]
TABLE = np.array([[5, 4, 2, 3, 2], [nan, 5, 1, 4, nan], [4, nan, 1, 5, nan]])
FEATURES = np.array(
    [[0.95, 0.10, 0.85], [1.00, 0.20, 0.90], [0.05, 0.80, 0.30], [0.05, 0.95, 0.70], [0.05, 0.15, 0.95]]
)
A = np.array([[5, nan, 2], [4, 4, nan], [nan, 5, 1]])
P0 = np.array([[0.5, 0.3], [0.4, 0.6], [0.2, 0.8]])
Q0 = np.array([[1.0, 0.3], [0.5, 1.2], [0.2, 0.8]])
USER_COLOR, TITLE_COLOR = "#0072B2", "#D55E00"


def films():
    """The table of Alice, Bob and Carol."""
    return ct.Ratings.from_matrix(TABLE, scale=(1, 5), user_names=USERS, titles=FILMS)


def small():
    """The table of nine cells."""
    return ct.Ratings.from_matrix(A, scale=(1, 5))


def plot_table(ratings):
    """A small table as a heat map, ratings written in the cells, holes grey, hatched and marked with a question."""
    table = np.full(ratings.shape, np.nan)
    table[ratings.rows, ratings.cols] = ratings.values
    fig, ax = plt.subplots(figsize=(7.6, 3.2))
    low, high = ratings.scale
    image = ax.imshow(table, cmap="cividis", vmin=low, vmax=high, aspect="auto")
    for u, i in np.ndindex(table.shape):
        hole = np.isnan(table[u, i])
        if hole:
            look = {"facecolor": "0.9", "edgecolor": "0.6", "hatch": "///", "linewidth": 0}
            ax.add_patch(plt.Rectangle((i - 0.5, u - 0.5), 1, 1, **look))
        dark = not hole and table[u, i] < (low + high) / 2
        box = {"facecolor": "white", "edgecolor": "none", "pad": 2} if hole else None
        ax.text(i, u, "?" if hole else f"{table[u, i]:g}", ha="center", va="center", fontsize=14,
                color="white" if dark else "black", bbox=box)  # fmt: skip
    ax.set_xticks(range(ratings.n_items), ratings.titles.tolist())
    ax.set_yticks(range(ratings.n_users), ratings.user_names.tolist())
    ax.set(xlabel="film", ylabel="viewer", title="Eleven ratings, four holes: the holes are the question")
    ax.grid(False)
    fig.colorbar(image, label="rating given\n(rating points)", ticks=range(int(low), int(high) + 1))
    rows = [f"{name} {' '.join('?' if np.isnan(a) else f'{a:g}' for a in row)}"
            for name, row in zip(ratings.user_names, table, strict=True)]  # fmt: skip
    lesson.show(fig, seen=f"From left to right: {'; '.join(rows)}.")


SHIFTS = {"Alice": (-23, -4), "Bob": (-14, -10), "Carol": (24, 2), "Sholay": (26, 0), "Swades": (28, -3),
          "Batman": (0, -13), "Interstellar": (-14, 13), "Shawshank": (36, 2)}  # fmt: skip
PLANE = {"xlim": (-0.1, 3.3), "ylim": (-1.35, 1.65)}


def plot_trails(ratings, P, Q, reg, n_passes, follow):
    """Left the viewers and titles in the plane of two factors while ALS moves them; right the end, one viewer's arrow
    as a ruler: each title's foot on it is the predicted rating."""
    frames = lesson.half_steps(ratings, P, Q, reg, n_passes)
    fig, (moving, ruler) = plt.subplots(1, 2, figsize=(10, 4.5))
    walks = [
        (ratings.user_names, [P for P, _ in frames[1:]], USER_COLOR, "o", "viewer"),
        (ratings.titles, [Q for _, Q in frames], TITLE_COLOR, "s", "title"),
    ]
    for names, path, color, marker, label in walks:
        path = np.array(path)
        for at, name in enumerate(names.tolist()):
            moving.plot(*path[:, at].T, "-", color=color, lw=1.2, alpha=0.7)
            moving.plot(*path[0, at], marker, color=color, ms=6, mfc="white", zorder=3)
            for ax in (moving, ruler) if label == "title" else (moving,):
                ax.plot(*path[-1, at], marker, color=color, ms=8, zorder=4, label=label if at == 0 else None)
                ax.annotate(name, path[-1, at], xytext=SHIFTS[name], textcoords="offset points", color=color,
                            fontsize=9, ha="center", va="center", zorder=6)  # fmt: skip
    P, Q = frames[-1]
    p = P[ratings.user_names.tolist().index(follow)]
    length = np.linalg.norm(p)
    along, across = p / length, np.array([-p[1], p[0]]) / length
    ruler.plot(*np.outer(along, [0, 5.4 / length]), ":", color="black", lw=1)
    ruler.annotate("", p, (0, 0), arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1.6})
    ruler.annotate(follow, p / 2, xytext=(10, -10), textcoords="offset points", color=USER_COLOR, fontsize=9)
    above = Q @ across > 0
    for score in range(1, 6):  # the foot of a prediction lies at prediction / length
        foot = along * (score / length)
        dashed = np.any(above & (np.abs(Q @ p - score) < 0.15))  # a dashed line comes down here: write below
        label = foot + (-0.16 if dashed else 0.16) * across
        ruler.plot(*np.stack([foot - 0.05 * across, foot + 0.05 * across]).T, color="black", lw=1.2)
        ruler.text(*label, f"{score}", fontsize=9, ha="center", va="center", zorder=5,
                   bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    for q in Q:
        ruler.plot(*np.stack([q, along * (along @ q)]).T, "--", color="0.4", lw=1)
    moving.set_title("ALS moves the points (hollow: where they began)")
    ruler.set_title(f"{follow}'s arrow is a ruler: the foot is the prediction")
    for ax in (moving, ruler):
        ax.set(xlabel="factor 1 (√ rating points)", ylabel="factor 2 (√ rating points)", aspect="equal", **PLANE)
    moving.legend(loc="upper right", frameon=True, fontsize=9)
    seen = (
        "Left the points wind from scattered places to their ends. Right each title drops a dashed line on the "
        "arrow, whose ticks count rating points from 1 to 5; Batman and Shawshank land near its tail, the others "
        "near its tip."
    )
    lesson.show(fig, seen=seen)


def plot_half_steps(objectives):
    """The objective at the start and after every half-step, viewers' and titles' told apart."""
    at = np.arange(len(objectives))
    fig, ax = plt.subplots(figsize=(7.4, 4))
    ax.plot(at, objectives, "-", color="0.6", lw=1, zorder=1)
    ax.plot(at[:1], objectives[:1], "X", color="black", ms=10, label="the guess")
    ax.plot(at[1::2], objectives[1::2], "o", color=USER_COLOR, ms=7, label="after the viewers' half")
    ax.plot(
        at[2::2], objectives[2::2], "s", color=TITLE_COLOR, ms=7, mfc="white", mew=1.6, label="after the titles' half"
    )
    ax.set(yscale="log", xlabel="half-steps", ylabel="objective E\n(rating points², log scale)", xticks=at[::4],
           title="No half-step ever raises the objective; the first does most")  # fmt: skip
    ax.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
    ax.minorticks_off()
    ax.legend()
    seen = (
        "The objective drops steeply at the first half-step, then more and more slowly; both kinds of half-step "
        "take part."
    )
    lesson.show(fig, seen=seen)


def three_paths(rating, other_rating, fixed, start, rate=0.02, sgd_rate=0.12, n_steps=60, n_passes=8, random_state=0):
    """Paths (p, q) of gradient descent, SGD and ALS down (rating - p q)^2 + (other_rating - p fixed)^2.

    One viewer with the factor p, two titles with the factors q and `fixed`; what a method does to `fixed` (and SGD to
    the biases) is undone after each step.
    """
    table = ct.Ratings.from_matrix([[rating, other_rating]], scale=(0, 10))
    model = ct.GradientDescentMF(1, reg=0)
    paths = {name: [start] for name in ("gradient descent", "SGD", "ALS")}
    p, q = start
    for _ in range(n_steps):
        slope_P, slope_Q = model.gradient(table, np.array([[p]]), np.array([[q], [fixed]]))
        p, q = p - rate * slope_P[0, 0], q - rate * slope_Q[0, 0]
        paths["gradient descent"].append((p, q))
    p, q = start
    rng = np.random.default_rng(random_state)
    for entry in np.concatenate([rng.permutation(2) for _ in range(n_steps // 2)]):
        theta = lesson.step_on(table, entry, lesson.parameters([[p]], [[q], [fixed]]), sgd_rate, 0, 0)
        p, q = theta[2][0, 0], theta[3][0, 0]
        paths["SGD"].append((p, q))
    p, q = start
    for _ in range(n_passes):
        p = ct.ridge_rows(table.csr, np.array([[q], [fixed]]))[0, 0]
        paths["ALS"].append((p, q))
        q = ct.ridge_rows(table.csc.T, np.array([[p]]))[0, 0]
        paths["ALS"].append((p, q))
    return {name: np.array(path) for name, path in paths.items()}


def plot_three_paths(rating, other_rating, fixed, start, **options):
    """The contours of a loss of two unknowns, and three ways down."""
    paths = three_paths(rating, other_rating, fixed, start, **options)
    p, q = np.meshgrid(np.linspace(1.2, 4.8, 181), np.linspace(0, 3.2, 161))
    height = np.log10((rating - p * q) ** 2 + (other_rating - p * fixed) ** 2 + 1e-2)
    fig, axes = plt.subplots(1, 3, figsize=(10, 4), sharex=True, sharey=True)
    looks = {"gradient descent": ("o-", "{} small steps: smooth"), "SGD": ("^-", "{} ratings: zigzag"),
             "ALS": ("s-", "{} half-steps: a staircase")}  # fmt: skip
    for ax, (name, path) in zip(axes, paths.items(), strict=True):
        style, words = looks[name]
        ax.contourf(p, q, height, levels=14, cmap="viridis")
        ax.plot(*path.T, style, color="white", markeredgecolor="black", ms=5, lw=1.4)
        ax.plot(*start, "D", color="#D55E00", markeredgecolor="black", ms=9, label="start")
        best = other_rating / fixed
        ax.plot(best, rating / best, "*", color="#D55E00", markeredgecolor="black", ms=16, label="minimum")
        ax.set(xlabel="p, the viewer's factor\n(√ rating points)", title=f"{name}\n{words.format(len(path) - 1)}")
        ax.grid(False)
    axes[0].set_ylabel("q, the first title's factor\n(√ rating points)")
    axes[0].legend(loc="upper right", facecolor="white", framealpha=0.9)
    fig.suptitle("One loss, three ways down (dark is low)", fontsize=11)
    seen = (
        "From the same start gradient descent bends round in one curve, SGD leaps to and fro across the valley, "
        "and ALS moves along one axis at a time; all three head for the minimum."
    )
    lesson.show(fig, seen=seen)


# ---- Quizzes ---------------------------------------------------------------------------------------------------------


@lesson.quiz
def alice_interstellar():
    """What do Alice's least-squares weights predict for Interstellar?"""
    weights = ct.ridge_rows(films().csr, FEATURES)[0]
    film = FEATURES[FILMS.index("Interstellar")]
    return lesson.Quiz(
        answer=weights @ film,
        because="Each weight times its feature, added up. It is near her 3 and not 3: five ratings, three unknowns.",
        hint="Multiply weight and feature pairwise, in the order Bollywood, Sci-Fi, Drama, and add the three products.",
        wrong=(
            (
                3,
                "That is the rating she gave. Three weights cannot meet five ratings at once, only come near them.",
            ),
            (film.sum(), "That adds the film's features. They count only after multiplication by Alice's weights."),
            (weights.sum(), "That adds Alice's weights. Each counts only as much as the film has of the feature."),
            (
                weights @ FEATURES[FILMS.index("Batman")],
                "That is her prediction for Batman: the third row, not the fourth.",
            ),
        ),
        tol=0.015,
    )


@lesson.quiz
def ridge_by_hand():
    """Two titles with the factors 1 and 2, rated 3 and 5, lambda = 1: which p minimises the objective?"""
    q, a = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    two = ct.Ratings.from_matrix([a], scale=(1, 5))
    solve = lambda reg: ct.ridge_rows(two.csr, q[:, None], reg)[0, 0]  # noqa: E731
    return lesson.Quiz(
        answer=solve(1.0),
        because="Numerator 1*3 + 2*5 = 13, denominator 1*1 + 2*2 + lambda = 6.",
        hint="Set the slope to zero: p (q.q + lambda) = q.a.",
        wrong=(
            (solve(0.0), "That is 13/5: lambda is missing below. Plain least squares has no + 1."),
            (solve(2.0), "That adds lambda once for each rating. In this objective it counts once for the viewer."),
            (
                np.mean(a / q),
                "That is the mean of the ratios 3/1 and 5/2: not least squares, and lambda is missing too.",
            ),
            (q @ a / len(a), "That divides by the number of ratings. The divisor is q.q + lambda."),
        ),
        tol=0.005,
    )


@lesson.quiz
def midpoint():
    """The loss (4 - p q)^2 halfway between (1, 4) and (4, 1)."""
    cell = ct.Ratings.from_matrix([[4.0]], scale=(1, 5))
    loss = lambda p, q: ct.GradientDescentMF(1, reg=0).objective(cell, np.array([[p]]), np.array([[q]]))[0]  # noqa: E731
    ends, middle = (loss(1.0, 4.0), loss(4.0, 1.0)), loss(2.5, 2.5)
    return lesson.Quiz(
        answer=middle,
        because="Halfway is (2.5, 2.5): its product is 6.25, and 2.25 squared is 5.0625. Both ends cost 0: not convex.",
        hint="Average the two points first, then put the average into the loss.",
        wrong=(
            (
                np.mean(ends),
                "That is the average of the two losses: what a convex loss could not exceed. Put in the middle point.",
            ),
            (4 - 2.5 * 2.5, "That is the error, 4 - 6.25. The loss is its square."),
            (loss(0.0, 0.0), "That is the loss at (0, 0), halfway between (2, 2) and (-2, -2). These ends are others."),
        ),
        tol=0.01,
    )


@lesson.quiz
def slope_of_title():
    """dE/dq_11 at the guess, without a penalty."""
    table = small()
    slope = ct.GradientDescentMF(2, reg=0).gradient(table, P0, Q0)[1][0, 0]
    zeros = ct.Ratings.from_matrix(np.nan_to_num(A), scale=(0, 5))
    filled = ct.GradientDescentMF(2, reg=0).gradient(zeros, P0, Q0)[1][0, 0]
    return lesson.Quiz(
        answer=slope,
        because="-2 (4.41*0.5 + 3.42*0.4): only the two viewers who rated the title. Negative, so q_11 should grow.",
        hint="Sum error times the viewer's first factor over the viewers who rated title 1; times -2.",
        wrong=(
            (
                -slope,
                "The sign: positive errors ask for a larger factor. E falls as q_11 grows, so its slope is negative.",
            ),
            (slope / 2, "The factor 2 of the square is missing. The SGD step leaves it out, the gradient does not."),
            (filled, "That counts the empty cell of viewer 3 as a rating of 0. Unknown cells have no term in E."),
            (slope / len(table), "That divides by the number of ratings. Our E is a sum, not a mean."),
        ),
        tol=0.005,
    )


def _lecture_step(error=-2.5, rate=0.1):
    """(p, q, p after, q after) of the lecture's quiz; the mean makes the error what the quiz says it is."""
    p, q = np.array([[0.8, 0.3]]), np.array([[0.6, 0.9]])
    one = ct.Ratings.from_matrix([[2.0]], scale=(1, 5))
    mean = 2.0 - error - lesson.predictions(one, lesson.parameters(p, q), 0)[0]
    theta = lesson.step_on(one, 0, lesson.parameters(p, q), rate, 0, mean)
    return p[0], q[0], theta[2][0], theta[3][0]


@lesson.quiz
def title_after_step():
    """The title's two factors after the step of the lecture's quiz."""
    _, q, p_new, q_new = _lecture_step()
    sign, twice = _lecture_step(2.5)[3], _lecture_step(rate=0.2)[3]
    return lesson.Quiz(
        answer=q_new,
        because="q + 0.1 (-2.5) p with the old p = (0.8, 0.3).",
        hint="q + eta * error * p: error = rating - prediction, p from before the step.",
        wrong=(
            (
                q + 0.1 * -2.5 * p_new,
                "That uses the viewer's new factors. Both updates take the values from before the step.",
            ),
            (sign, "The sign of the error: rating minus prediction is 2 - 4.5 = -2.5, so the factors must shrink."),
            (twice, "That has the factor 2 of the gradient. The SGD step descends half the square and has none."),
            (p_new, "That is the viewer after the step. The question asks for the title."),
        ),
        tol=0.002,
    )


@lesson.quiz
def similarity():
    """Does p . q rise or fall in that step?"""
    p, q, p_new, q_new = _lecture_step()
    right = "fall" if p_new @ q_new < p @ q else "rise"
    reasons = {
        "rise": "It would rise if the prediction were below the rating. Here 4.5 was promised and 2 given: too much.",
        "fall": "It would fall if the prediction were above the rating.",
    }
    other = "rise" if right == "fall" else "fall"
    return lesson.Quiz(
        answer=right,
        because="The prediction was too high, so viewer and title move apart: p.q goes from 0.75 down to 0.32.",
        hint=reasons[other],
        wrong=((other, reasons[other]),),
        choices=("rise", "fall"),
    )
