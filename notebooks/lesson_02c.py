"""Figures and quizzes of lesson 02c: convex completion with a pencil."""

import inspect
import warnings

import lesson
import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

import content_table as ct

RIM = "#D55E00"


def lines_of(function, *words):
    """The code lines of a function that hold any of these words, without its docstring."""
    source = inspect.getsource(function).replace(function.__doc__, "")
    return "\n".join(line.strip() for line in source.splitlines() if any(word in line for word in words))


def table_of(ratings, values):
    """Numbers on the known cells of a table, 0 elsewhere: (m, n)."""
    return ct.Ratings(
        ratings.user_ids, ratings.item_ids, ratings.rows, ratings.cols, values, scale=(-1e6, 1e6)
    ).csr.toarray()


# ---- Figures ---------------------------------------------------------------------------------------------------------


def _diamond(ax):
    corners = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, 0]])
    ax.fill(*corners.T, color="#56B4E9", alpha=0.35)
    ax.plot(*corners[:-1].T, "o", color=RIM, ms=8, label="corner: one entry is 0")
    a = np.array([-0.6, 1.5])
    ax.plot(a, (2 - a) / 2, color="black", lw=1.5, label=r"all points with $z_1+2z_2=2$")
    ax.plot([0], [1], "*", color="black", ms=14, zorder=4)
    ax.set(xlabel="$z_1$", ylabel="$z_2$", xlim=(-1.5, 1.5), ylim=(-1.7, 1.5), aspect="equal")
    ax.set_title(r"$|z_1|+|z_2|\leq 1$: met at a corner")
    ax.legend(loc="lower center", fontsize=8, frameon=False)


def _cylinder(ax, first, off, x, title):
    """The ball of the nuclear norm that touches the line of the completions [first off; off x], and where it does."""
    size = np.linalg.norm([[first, off], [off, x]], "nuc")
    half = size / 2
    turn = np.linspace(0, 2 * np.pi, 61)
    for height in (-half, half):
        ax.plot(half * np.cos(turn), half * np.sin(turn), height, color=RIM, lw=2.5)
    around, up = np.meshgrid(turn, [-half, half])
    ax.plot_surface(half * np.cos(around), half * np.sin(around), up, color="#56B4E9", alpha=0.3, linewidth=0)
    hidden = np.array([x - 3.0, x + 2.2])
    ax.plot((first - hidden) / 2, [off, off], (first + hidden) / 2, color="black", lw=1.8)
    ax.plot([(first - x) / 2], [off], [(first + x) / 2], "*", color="black", ms=14)
    width = np.sqrt(max(half**2 - off**2, 0))  # the plane of fixed b cuts the cylinder in a rectangle
    edge = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    ax.plot(width * edge[:, 0], np.full(5, off), half * edge[:, 1], ":", color="black", lw=1.5)
    ax.set_xlabel(r"$\delta=(a-x)/2$", fontsize=9, labelpad=-2)
    ax.set_ylabel(r"$b$", fontsize=9, labelpad=-4)
    ax.set_zlabel(r"$t=(a+x)/2$", fontsize=9, labelpad=-4)
    ax.set_title(title, y=0.98)
    ax.set_box_aspect((1, 1, 1.05), zoom=0.95)
    ax.view_init(elev=18, azim=62)
    ax.tick_params(labelsize=8, pad=-1)
    ticks = [-2, 0, 2]
    ax.set(xticks=ticks, yticks=ticks, zticks=ticks, xlim=(-3, 3), ylim=(-3, 3), zlim=(-3, 3))


def plot_unit_balls():
    """The l1 ball in the plane, and the nuclear norm's cylinder met by two lines of completions."""
    fig = plt.figure(figsize=(10, 4))
    grid = fig.add_gridspec(1, 3, width_ratios=(1, 1.25, 1.25), wspace=0.1, left=0.06, right=0.96, top=0.85, bottom=0.1)
    _diamond(fig.add_subplot(grid[0]))
    balls = ((4, 2, 1, "[4 2; 2 x]: met on a rim, rank 1"), (1, 2, 1, "[1 2; 2 x]: met on the side, rank 2"))
    for place, (first, off, x, title) in enumerate(balls, 1):
        _cylinder(fig.add_subplot(grid[place], projection="3d"), first, off, x, title)
    fig.suptitle("A ball that grows until it meets a line likes corners and rims, but need not end on one", fontsize=12)
    alt = (
        "Three unit balls, each grown until it meets a black line, and a star where they meet. Left, in the plane of "
        "z1 and z2, a diamond meets the line in its upper corner, where z1 is 0. Middle, in the space of delta = (a - "
        "x)/2, b and t = (a + x)/2, all in rating points, a cylinder meets the completions of [4 2; 2 x] on its upper "
        "rim, where the rank is 1. Right a smaller cylinder meets those of [1 2; 2 x] on its side, where the rank is "
        "2."
    )
    fig.text(0.66, 0.015, "middle and right: all axes in rating points; left: plain numbers", fontsize=9, ha="center")
    lesson.show(fig, alt=alt, tight=False)


def plot_soft_threshold(table, reg):
    """The function (s - lambda)_+, and the singular values of a full table before and after it."""
    before = np.linalg.svd(table, compute_uv=False)
    after = np.zeros(len(before))
    kept = ct.shrink_singular_values(table, reg)[1]
    after[: len(kept)] = kept
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.7))
    s = np.linspace(0, 1.1 * before[0], 200)
    left.plot(s, s, ":", color="0.45", label="unchanged")
    left.plot(s, np.maximum(s - reg, 0), color=lesson.COLORS["spectral"], lw=2.5, label=r"$(s-\lambda)_+$")
    left.plot(before, after, "o", color="black", label="the four values on the right")
    left.axvline(reg, color="0.6", lw=1, ls="--")
    left.text(reg + 0.15, 0.75 * before[0], rf"$\lambda={reg:g}$")
    left.set(xlabel="singular value s before (rating points)", ylabel="singular value after\n(rating points)")
    left.set_title(r"All lose the same; below $\lambda$ all is lost")
    left.legend(loc="lower right", fontsize=9)
    place = np.arange(1, len(before) + 1)
    right.bar(place - 0.2, before, 0.38, color="0.65", label="before")
    right.bar(place + 0.2, after, 0.38, color=lesson.COLORS["spectral"], hatch="//", label="after")
    for at, value in zip(place, after, strict=True):
        right.text(at + 0.2, value + 0.15, f"{value:.2f}", ha="center", fontsize=9)
    for at, value in zip(place, before, strict=True):
        right.text(at - 0.2, value + 0.15, f"{value:.2f}", ha="center", fontsize=9)
    right.set(
        xlabel="place of the singular value",
        ylabel="singular value (rating points)",
        xticks=place,
        ylim=(0, 1.1 * before[0]),
    )
    right.set_title(f"{len(kept)} of {len(before)} survive: rank {len(kept)}")
    right.legend(fontsize=9)
    seen = (
        "Left the line is 0 up to the threshold and then rises parallel to the dotted one, below it. Right each "
        "bar loses the same length, and the two short ones lose all."
    )
    lesson.show(fig, seen=seen)


def bracket(ratings, reg, n_passes):
    """The certificate after 1, 2, ..., n_passes passes of soft-impute; a fit that is stopped early still has one."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose
        for n_epochs in range(1, n_passes + 1):
            model = ct.SpectralRegularization(reg, solver="soft_impute", n_epochs=n_epochs, tol=0)
            found.append(model.fit(ratings).certificate())
    return found


def plot_bracket(certificates, optimum):
    """Primal and dual pass by pass with the best bracket so far, and the gap beside the true distance."""
    passes = np.arange(1, len(certificates) + 1)
    primal = np.array([c.primal for c in certificates])
    dual = np.array([c.dual for c in certificates])
    ceiling, floor = np.minimum.accumulate(primal), np.maximum.accumulate(dual)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.8, 3.9))
    left.fill_between(passes, floor, ceiling, step="post", color="0.88", label="the optimum is in here")
    left.plot(passes, primal, "o-", color=lesson.COLORS["primal"], ms=4, label="primal of this pass")
    left.plot(passes, dual, "s", color=lesson.COLORS["dual"], ms=4, label="dual of this pass")
    left.step(passes, floor, "--", where="post", color=lesson.COLORS["dual"], label="best dual so far")
    left.set(xlabel="pass", ylabel="objective (rating points²)", title="Two bounds close in on the optimum")
    left.legend(fontsize=9, loc="upper right")
    right.semilogy(passes, ceiling - floor, "s--", color="black", ms=4, label="what we can prove: best gap so far")
    right.semilogy(passes, ceiling - optimum, "o-", color="#009E73", ms=4, label="the truth: distance to the optimum")
    right.set(xlabel="pass", ylabel="difference of objectives\n(rating points², log scale)")
    right.set_title("The proof trails behind the truth")
    right.legend(fontsize=9, loc="lower left")
    seen = (
        "Left the primal comes down and the best dual so far goes up, in steps, until they coincide. Right both "
        "lines fall, and the proven gap stays above the true distance all the way."
    )
    lesson.show(fig, seen=seen)


def hidden_cells(model, ratings):
    """What a fitted model predicts for the cells that nobody rated, row by row."""
    return model.complete()[~lesson.known(ratings)]


def plot_family(ratings, bias_reg, n_points=25):
    """The predictions of the empty cells along lambda: nuclear norm, spectral and ALS; and the way to the baseline."""
    regs = np.geomspace(0.05, 20, n_points)
    plain = [ct.SpectralRegularization(reg, tol=1e-5).fit(ratings) for reg in regs]
    biased = [ct.SpectralRegularization(reg, biases=True, bias_reg=bias_reg, tol=1e-5).fit(ratings) for reg in regs]
    nuclear, baseline = ct.NuclearNorm().fit(ratings), ct.BiasBaseline(bias_reg).fit(ratings)
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True)
    for ax, models, name in ((left, plain, "spectral"), (right, biased, "spectral with biases")):
        lines = ax.plot(regs, [hidden_cells(model, ratings) for model in models], color=lesson.COLORS[name], lw=1.6)
        lines[0].set_label(f"{name} (a line a cell)")
    for reg in (0.1, 0.5, 2, 7):
        als = ct.ALS(4, reg, tol=1e-9, n_epochs=5000).fit(ratings)
        values = hidden_cells(als, ratings)
        dots = left.plot(np.full(len(values), reg), values, "o", color=lesson.COLORS["ALS"], ms=5)
    dots[0].set_label("ALS, k = 4")
    ends = hidden_cells(nuclear, ratings)
    left.plot(np.full(len(ends), 0.035), ends, "^", color=lesson.COLORS["nuclear norm"], ms=7, label="nuclear norm")
    left.axvline(_norm_of_residual(ratings, ratings.values), color="0.4", ls="--", lw=1, label=r"$\|A\|_2$: X = 0")
    edge = _norm_of_residual(ratings, ct.errors(baseline, ratings))
    right.axvline(edge, color="0.4", ls="--", lw=1, label=r"$\|r\|_2$: X = 0")
    ends = hidden_cells(baseline, ratings)
    right.plot(np.full(len(ends), 26), ends, "s", color=lesson.COLORS["baseline"], ms=6, label="bias baseline")
    for ax in (left, right):
        ax.set(xscale="log", xlabel=r"penalty $\lambda$ (rating points, log scale)", xlim=(0.025, 36), ylim=(-0.3, 6.5))
        ax.legend(fontsize=8, loc="upper center", ncols=2)
    left.set(
        ylabel="prediction of an empty cell\n(rating points)", title="From the nuclear norm to nothing; ALS on the way"
    )
    right.set_title("With biases the way ends at the baseline")
    seen = (
        "Left each line starts at a triangle, passes through the dots of ALS and sinks to 0 at the dashed line. "
        "Right each line ends level at a square of the baseline, from the dashed line on."
    )
    lesson.show(fig, seen=seen)


def _norm_of_residual(ratings, values):
    return np.linalg.norm(table_of(ratings, values), 2)


# ---- Quizzes ---------------------------------------------------------------------------------------------------------


@lesson.quiz
def convex_completion():
    """Which x gives [9 6; 6 x] the smallest nuclear norm?"""
    model = ct.NuclearNorm(tol=1e-8).fit(ct.Ratings.from_matrix([[9, 6], [6, np.nan]]))
    return lesson.Quiz(
        answer=model.complete()[1, 1],
        because="Below x = 4 the norm is 2 rho = sqrt((9 - x)^2 + 144), which falls; above it is 2 t = 9 + x, which "
        "rises. They meet where the determinant 9 x - 36 is 0: this time the rim wins, and the table has rank one.",
        hint="Write t = (9 + x)/2 and rho = sqrt(((9 - x)/2)^2 + 36). The norm is twice the larger of |t| and rho.",
        wrong=(
            (9.0, "x = 9 makes rho smallest, as x = 1 did for [1 2; 2 x]; but there t is 9, larger than rho = 6, and "
             "the norm is twice the LARGER of the two: 18."),
            (0.0, "x = 0 makes the squares of the entries smallest (the Frobenius norm). The nuclear norm adds "
             "singular values, not squared entries."),
        ),
        tol=0.02,
    )  # fmt: skip


@lesson.quiz
def convex_bound():
    """Which lower bound do the multipliers [1 1; 1 0] prove for the completions of [4 2; 2 x]?"""
    hand = ct.Ratings.from_matrix([[4, 2], [2, np.nan]])
    ones = np.ones(3)
    bound = ct.nuclear_certificate(hand.values, ones, hand.rows, hand.cols, np.ones((2, 2))).dual
    total = ones @ hand.values
    return lesson.Quiz(
        answer=bound,
        because="The sum over the known cells is 8, the spectral norm (1 + sqrt 5)/2 = 1.618, and 8/1.618 = 4.944. The "
        "optimum is 5, so even careless multipliers came within two percent of it.",
        hint="Add Lambda times A over the three known cells, then divide by the largest singular value of Lambda.",
        wrong=(
            (total, "8 is the sum before the division. It lies above the optimum 5, so it bounds nothing: these "
             "multipliers have a spectral norm above 1 and must be scaled down."),
            (total / np.sqrt(3), "You divided by the Frobenius norm sqrt 3. The bound is true, but weaker than need "
             "be: the dual norm is the spectral norm, which is smaller."),
            (total / 3, "You divided by the number of known cells. Divide by the largest singular value of the "
             "multipliers."),
        ),
        tol=0.01,
    )  # fmt: skip


@lesson.quiz
def convex_shrink():
    """The off-diagonal entry of [3 1; 1 3] after soft-thresholding its singular values by 3."""
    A, reg = np.array([[3.0, 1.0], [1.0, 3.0]]), 3.0
    U, s, Vt = ct.shrink_singular_values(A, reg)
    U_all, s_all, Vt_all = np.linalg.svd(A)
    return lesson.Quiz(
        answer=((U * s) @ Vt)[0, 1],
        because="The singular values 4 and 2 become 1 and 0, and 1 times the direction (1, 1)/sqrt 2 on both sides "
        "puts 1/2 into every cell.",
        hint="Singular values 4 and 2, along (1, 1) and (1, -1). Take 3 off each, never below 0, and multiply out.",
        wrong=(
            (max(A[0, 1] - reg, 0.0), "You took 3 off the ENTRIES. The singular values are shrunk, not the cells."),
            (((U_all * (s_all - reg)) @ Vt_all)[0, 1], "Did the second value become 2 - 3 = -1? A singular value is "
             "never negative: (s - lambda)_+ stops at 0. (Or did you leave the cell as it was? Both give 1.)"),
            (((U_all * np.where(s_all > reg, s_all, 0)) @ Vt_all)[0, 1], "You kept 4 and dropped 2: that is hard "
             "thresholding, a truncated SVD. Soft-thresholding also takes lambda off those that stay."),
        ),
        tol=0.005,
    )  # fmt: skip


@lesson.quiz
def convex_kkt():
    """The residual of the second viewer's only rating in [5 3; 4 ?] at lambda = 2."""
    hand = ct.Ratings.from_matrix([[5, 3], [4, np.nan]], scale=(1, 5))
    model = ct.BiasBaseline(reg=2).fit(hand)
    bias = model.user_bias_[1]
    return lesson.Quiz(
        answer=-ct.errors(model, hand)[2],  # rating minus prediction
        because="The residuals of a viewer sum to lambda b_u. This viewer has one rating, so its residual IS the sum: "
        "2 times -5/56 = -10/56. No other bias was needed.",
        hint="Use the condition: the residuals of each viewer sum to lambda b_u. How many ratings has this viewer?",
        wrong=(
            (bias, "That is b_u itself: lambda is 2 here, not 1."),
            (0.0, "Residuals sum to zero in least squares WITHOUT a penalty. With one they sum to lambda b_u."),
            (-2 * bias, "The sign: a residual is the rating minus the prediction, and it pulls the bias to its own "
             "side."),
        ),
        tol=0.001,
    )  # fmt: skip


@lesson.quiz
def convex_gap():
    """What does a relative gap of 1e-6 prove?"""
    holes = ct.Ratings.from_matrix([[1, np.nan], [np.nan, 1]])
    tables = [np.array([[1.0, a], [a, 1.0]]) for a in (-1.0, 1.0)]
    gaps = [ct.nuclear_certificate(holes.values, np.ones(2), holes.rows, holes.cols, X).relative_gap for X in tables]
    proven = {"objective": True, "predictions": max(gaps) > 1e-6, "unique": max(gaps) > 1e-6, "truth": max(gaps) > 1e-6}
    return lesson.Quiz(
        answer=next(word for word, holds in proven.items() if holds),
        because="Nobody, by whatever method, can lower the objective by more than a millionth of its value. That is "
        "all, and it is a statement about the fit, not about the viewers.",
        hint="Which of the four is about the number that the solver minimises?",
        wrong=(
            ("truth", "The certificate never sees a hidden rating, so it cannot speak about one. Whether predictions "
             "are right is measured on held-out ratings."),
            ("unique", "[1 ?; ? 1] has infinitely many completions with gap 0. A gap compares values, not "
             "tables."),
            ("predictions", "Near the bottom of a valley the objective is flat: a cell can be off by far more than "
             "1e-6 while the value hardly moves."),
        ),
        choices=("objective", "predictions", "unique", "truth"),
    )  # fmt: skip


@lesson.quiz
def convex_price():
    """Half of |P|^2 + |Q|^2 for P = X = [1 2; 2 1] and Q = I."""
    X, identity = np.array([[1.0, 2.0], [2.0, 1.0]]), np.eye(2)
    price = ct.squared_loss(np.zeros(1), 0.5, X, identity)
    return lesson.Quiz(
        answer=price,
        because="(10 + 2)/2 = 6, two more than the nuclear norm 4: a legal factorization, but not a balanced one.",
        hint="Add the squares of all entries of P and of Q, and halve the sum.",
        wrong=(
            (2 * price, "You forgot the half."),
            (np.linalg.norm(X, "nuc"), "4 is the MINIMUM over all factorizations; this one is not the cheapest."),
            (np.linalg.norm(X) * np.linalg.norm(identity), "You multiplied the norms, |P| |Q|: the middle link of the "
             "chain. The mean of the squares is larger, unless both norms are equal."),
        ),
        tol=0.01,
    )  # fmt: skip
