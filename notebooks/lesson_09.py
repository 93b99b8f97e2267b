"""Figures, counts and quizzes of lesson 09: five claims settled by experiments, ALS or SGD, and a large system."""

import inspect
import json

import lesson
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import content_table as ct

nan = np.nan
# Who watched what: two circles of viewers; the last viewer belongs to the second and saw a title of the first.
WATCHED = np.array(
    [
        [1, 1, 1, nan, nan, nan, nan],
        [1, 1, nan, 1, nan, nan, nan],
        [1, nan, 1, 1, nan, nan, nan],
        [nan, 1, 1, 1, nan, nan, nan],
        [nan, nan, nan, nan, 1, 1, nan],
        [nan, nan, nan, nan, 1, nan, 1],
        [nan, 1, nan, nan, nan, 1, 1],
    ]
)
NEXT = np.array([3, 2, 1, 0, 6, 5, 4])  # the title that each of them watched next
TWO_CAMPS = np.array([[5, 5, 2, nan], [5, 5, nan, 1], [nan, 1, 5, 5], [1, nan, 5, 5]])
TASTE, LEVEL = np.array([2, 1, -0.5, -1.5]), np.array([0, 0.8, -0.2, 0.6])  # q_i and b_i of four titles
THROUGHPUT = ct.DATA.parent / "benchmarks" / "results" / "throughput.json"
USER_COLORS, USER_MARKERS = ("#0072B2", "#D55E00", "#009E73"), ("o", "s", "^")


# ---- 1. Who watched what --------------------------------------------------------------------------------------------


def next_titles(shape, columns):
    """One held-out cell a viewer: the title in this column, watched, which is all that a 1 says."""
    table = np.full(shape, nan)
    table[np.arange(shape[0]), columns] = 1
    return ct.Ratings.from_matrix(table, scale=(1, 5))


@lesson.quiz
def explicit_ratings():
    """True or False: factorization needs explicit ratings, numbers that somebody gave."""
    watched = ct.Ratings.from_matrix(WATCHED, scale=(1, 5))
    model = ct.ImplicitALS(2, reg=0.1, confidence=5, n_epochs=500).fit(watched)
    after = next_titles(watched.shape, NEXT)
    hits = ct.ranking_metrics(ct.top_lists(model, after, n=1), after, threshold=1)
    learns = bool(hits["precision"].mean() > 0.9)
    return lesson.Quiz(
        answer=not learns,
        because="ct.ImplicitALS factors the table of who watched what. Every number in it is a 1, and the next titles "
        "of the small table are found all the same.",
        hint="Think of a shop that knows only who bought what.",
        wrong=(
            (
                learns,
                "That mixes up two things: the numbers in a table, and the pattern of its cells. Where somebody "
                "looked is itself data, and ct.ImplicitALS fits it: 1 where watched, 0 elsewhere, with unequal trust.",
            ),
        ),
    )


# ---- 2. Where ALS ends ----------------------------------------------------------------------------------------------


def two_ends():
    """Objectives of one factor from the two typed starts, and the certificate of four factors."""
    camps = ct.Ratings.from_matrix(TWO_CAMPS, scale=(1, 5))
    ones = np.ones((4, 1))
    starts = ((ones, ones), (ones, np.array([[1.0], [1], [-1], [-1]])))
    ends = [ct.ALS(1, 1.0, init=start, n_epochs=60, tol=0).fit(camps).certificate().primal for start in starts]
    return ends, ct.ALS(4, 1.0, init=(np.ones((4, 4)), np.eye(4)), n_epochs=60, tol=0).fit(camps).certificate()


@lesson.quiz
def als_global():
    """True or False: ALS always finds the global optimum."""
    ends, _ = two_ends()
    same = abs(ends[0] - ends[1]) < 1e-6
    return lesson.Quiz(
        answer=same,
        because="Two typed starts of one factor end at clearly different objectives, and no further pass moves either.",
        hint="Each half-step is solved exactly. Does that make the whole exact?",
        wrong=(
            (
                not same,
                "Each half is convex and solved exactly, so the objective never rises. That is not the same: "
                "a walk that never goes up can end in the wrong valley.",
            ),
        ),
    )


@lesson.quiz
def gap_at_rank_one():
    """What does a gap far above 0 say about the better end of one factor?"""
    (better, worse), proof = two_ends()
    both_gaps = min(better, worse) > 1.01 * proof.dual  # a gap at both ends, whatever put it there
    return lesson.Quiz(
        answer="cannot tell" if both_gaps else "bad start",
        choices=("bad start", "rank too small", "cannot tell"),
        because="The floor holds for factors of every rank. A gap may come from a bad start, from a rank that cannot "
        "reach the floor, or from both; the number is the same.",
        hint="Which factors does the floor bound: those of one column only, or all?",
        wrong=(
            (
                "bad start",
                "It may be so, but the gap does not say it: the best single factor there is can have the same gap.",
            ),
            (
                "rank too small",
                "Tempting, since four factors close the gap. But the worse end of one factor has a gap too, and there "
                "the start is to blame as well. A gap above 0 names no culprit.",
            ),
        ),
    )


def plot_runs(runs, floor):
    """The objective of each run pass by pass, and the certified floor under all of them: {name: history}."""
    looks = ((lesson.BROWN, "s--"), (lesson.ORANGE, "o-"), (lesson.SAND, "^-"))
    fig, ax = plt.subplots(figsize=(8.2, 4))
    for (name, history), (color, line) in zip(runs.items(), looks, strict=True):
        table = pd.DataFrame(history)
        ax.plot(table["epoch"], table["objective"], line, color=color, label=name)
    ax.axhline(floor, color="black", linestyle=":", linewidth=2, label="floor, proved by the dual")
    ax.fill_between([0.5, len(table) + 0.5], 0, floor, color="#999999", alpha=0.25, lw=0)
    ax.text(
        len(table) / 2,
        floor / 2,
        "no factors of any rank reach down here",
        ha="center",
        va="center",
        bbox={"facecolor": "#E6E6E6", "edgecolor": "none"},
    )
    ax.set(xlim=(0.5, len(table) + 0.5), ylim=(0, None), xlabel="pass of ALS", ylabel="objective (rating points²)")
    ax.set_title("Every run settles; only one settles on the floor")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, frameon=False)
    lesson.show(fig, seen=f"Three lines fall and settle at different heights; only that of {name} reaches the floor.")


# ---- 3. Rank one ----------------------------------------------------------------------------------------------------


@lesson.quiz
def rank_one_identical():
    """True or False: a table of rank one means that all users have identical preferences."""
    table = np.outer([1, 0.5, -1], TASTE)
    orders = [tuple(np.argsort(-row).tolist()) for row in table]
    same = len(set(orders)) == 1 and np.linalg.matrix_rank(table) == 1
    return lesson.Quiz(
        answer=same,
        because="All rows are multiples of one row: the same direction. The multiple may be large, small or negative, "
        "and a negative one turns the order round.",
        hint="Write down two rows, one of them the other times -1.",
        wrong=(
            (
                not same,
                "That would need equal rows. Rank one asks for proportional rows, and the factor of proportion "
                "may be negative: then the favourite of one user comes last for the other.",
            ),
        ),
    )


def plot_rank_one(names, strengths, titles):
    """Left the taste part of each user, one line through the origin; right the same with biases of the titles."""
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.9))
    parts = (
        (
            np.outer(strengths, TASTE),
            "Without biases: one order, or its reverse",
            "taste part $p_u q_i$ (rating points)",
        ),
        (3 + LEVEL + np.outer(strengths, TASTE), "With title biases: three orders", "prediction (rating points)"),
    )
    for ax, (table, title, label) in zip(axes, parts, strict=True):
        for name, strength, row, color, marker in zip(names, strengths, table, USER_COLORS, USER_MARKERS, strict=True):
            ax.plot(range(4), row, marker=marker, color=color, label=f"{name}, $p$ = {strength:g}")
            best = int(np.argmax(row))
            ax.plot(best, row[best], marker="*", markersize=17, color=color, markeredgecolor="black", zorder=4)
        ax.set_xticks(range(4), titles)
        ax.set(title=title, xlabel="film", ylabel=label)
    axes[0].axhline(0, color="black", linewidth=0.8)
    axes[1].legend(fontsize=9)
    fig.suptitle("Rank one is one direction, not one preference (star: the favourite)", fontsize=12)
    seen = (
        "Left the three lines cross at 0: two fall in the same order, the third rises in the reverse one. Right "
        "each has its star at another film."
    )
    lesson.show(fig, seen=seen)


# ---- 4. The penalty -------------------------------------------------------------------------------------------------

PENALTIES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


def along_penalty(ratings, n_splits, penalties=PENALTIES):
    """`ct.evaluate` of ALS with ten factors along lambda, without and with biases: {form: table, `model` is lambda}."""
    forms = {"without biases": False, "with biases": True}
    return {
        name: ct.evaluate(
            {reg: ct.ALS(10, reg, biases=biases, tol=1e-3) for reg in penalties}, ratings, n_splits=n_splits
        )
        for name, biases in forms.items()
    }


def ends_against_best(results):
    """Smallest and largest lambda, each minus the best one in between, on the same splits: a verdict with interval."""
    rows = []
    for form, table in results.items():
        best = ct.summarize(table)["model"].iloc[0]
        differences = ct.paired_differences(table, best).set_index("model")
        for end in (min(differences.index), max(differences.index)):
            row = differences.loc[end]
            rows.append(
                {"ALS": form, "lambda": end, "best lambda": best, "difference": row["difference"],
                 "+/-": row["half_width"], "verdict": row["verdict"]}
            )  # fmt: skip
    return pd.DataFrame(rows)


def plot_error_along_penalty(results):
    """Held-out error along lambda with its interval, and the training error."""
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 4), sharey=True)
    for ax, (form, table) in zip(axes, results.items(), strict=True):
        curve = ct.summarize(table).sort_values("model")
        reg, held_out, half = curve["model"], curve["rmse_clipped"], curve["half_width"]
        ax.fill_between(reg, held_out - half, held_out + half, color=lesson.COLORS["held out"], alpha=0.2, lw=0)
        ax.plot(reg, held_out, "s--", color=lesson.COLORS["held out"], label="held out (clipped), 95 % interval")
        ax.plot(reg, curve["train_rmse"], "o-", color=lesson.COLORS["train"], label="training")
        lowest = held_out.idxmin()
        ax.plot(reg[lowest], held_out[lowest], "*", ms=17, color="#F0E442", markeredgecolor="black", label="lowest")
        ax.set(
            xscale="log", xlabel=r"penalty $\lambda$ (rating points, log scale)", title=f"ALS {form}", ylim=(0, None)
        )
        ax.set_xticks(reg, [f"{value:g}" for value in reg])
        ax.minorticks_off()
    axes[0].set_ylabel("RMSE (rating points)")
    axes[1].legend(fontsize=9)
    fig.suptitle("The training error only rises; the held-out error falls first (simulated viewers)", fontsize=12)
    seen = (
        "In both panels the training line rises; held out is lowest inside, at the star, and with biases it then "
        "stays level."
    )
    lesson.show(fig, seen=seen)


@lesson.quiz
def penalty_always():
    """True or False: regularization always improves recommendations."""
    sample = ct.load_ratings(ct.DATA / "100x100.csv")
    train, test = sample.split_random(0.2, random_state=0)
    good, strong = (ct.rmse(ct.ALS(10, reg, tol=1e-3).fit(train), test, clip=True) for reg in (5.0, 40.0))
    return lesson.Quiz(
        answer=bool(strong <= good),
        because="Some penalty helps and more of it hurts: along lambda the held-out error falls, then rises.",
        hint="What does a model predict when the penalty is enormous?",
        wrong=(
            (
                bool(strong > good),
                "A penalty trades a larger training error for factors that carry over. The trade pays only up to a "
                "point: with an enormous penalty all factors are 0, and the model knows nothing.",
            ),
        ),
    )


# ---- 5. SGD against ALS ---------------------------------------------------------------------------------------------


@lesson.quiz
def sgd_everywhere():
    """True or False: SGD beats ALS everywhere."""
    passes = race(regular_table(), each=20, rates=(0.05,))["within 1 %"]
    everywhere = int(passes["SGD, rate 0.05"]) < int(passes["ALS"])
    return lesson.Quiz(
        answer=everywhere,
        because="In the race to the same objective ALS is within 1 % of the proven floor after fewer passes, and less "
        "arithmetic, than SGD at any rate tried. One exception is enough.",
        hint="One counter-example is enough, in any respect. Look at passes, or at two halves of a table.",
        wrong=(
            (
                not everywhere,
                "SGD wins on some counts: a short kernel, less work a pass at a high rank, any smooth loss. "
                "'Everywhere' needs every count, and the race and the two halves of a table are exceptions.",
            ),
        ),
    )


def real_sgd_and_als():
    """Held-out error of both on the two real tables, minus the bias baseline's on the same splits."""
    file, rows = lesson.real_results(), []
    for name, table in file["held_out"].items():
        table = pd.DataFrame(table).set_index("model")
        paired = pd.DataFrame(file["paired"][name]).set_index("model")
        for model in ("SGD", "ALS with biases"):
            row = paired.loc[model]
            rows.append(
                {"real table": name, "model": model, "held-out RMSE": table.loc[model, "rmse_clipped"],
                 "minus baseline": row["difference"], "+/-": row["half_width"], "verdict": row["verdict"]}
            )  # fmt: skip
    return pd.DataFrame(rows).round(3)


def regular_table(n=60, each=20, seed=0):
    """A planted table whose rows and columns all hold `each` ratings: biases, three directions of taste, and noise."""
    rng = np.random.default_rng(seed)
    levels = 5.5 + rng.normal(0, 0.7, (n, 1)) + rng.normal(0, 0.7, n)
    taste = 0.7 * rng.normal(size=(n, 3)) @ rng.normal(size=(3, n))
    known = (np.arange(n)[:, None] - np.arange(n)) % n < each  # a band that wraps round: equal counts
    known = known[rng.permutation(n)][:, rng.permutation(n)]
    values = np.clip(levels + taste + rng.normal(0, 0.5, (n, n)), 1, 10)
    return ct.Ratings.from_matrix(np.where(known, values, nan))


def sgd_objective(model, ratings, each):
    """The objective of ALS after each pass of SGD, where every row and column holds `each` ratings: sum e^2 +
    `each` reg |all parameters|^2. The history keeps the error and (sum e^2 + reg |all|^2) / count."""
    history, count = pd.DataFrame(model.history_), len(ratings)
    squares = count * history["train_rmse"] ** 2
    return squares + each * (count * history["train_loss"] - squares)


def passes_to(objective, floor, shares=(0.1, 0.01, 0.001)):
    """The first pass within each share above the floor; '-' where a run never gets there."""
    hits = [np.flatnonzero(np.asarray(objective) <= (1 + share) * floor) for share in shares]
    return [str(hit[0] + 1) if len(hit) else "-" for hit in hits]


def race(ratings, each, reg=3.0, rank=10, rates=(0.005, 0.02, 0.05), n_epochs=200):
    """Passes of ALS and of SGD at several rates until the same objective is within a share of its certified floor."""
    als = ct.ALS(rank, reg, biases=True, bias_reg=reg, n_epochs=100, tol=0).fit(ratings)
    floor = als.certificate().dual
    rows = {"ALS": passes_to(pd.DataFrame(als.history_)["objective"], floor)}
    for rate in rates:
        sgd = ct.SGDMF(rank, reg / each, rate, n_epochs=n_epochs, patience=None, init_scale=0.1).fit(ratings)
        rows[f"SGD, rate {rate:g}"] = passes_to(sgd_objective(sgd, ratings, each), floor)
    return pd.DataFrame(rows, index=["within 10 %", "within 1 %", "within 0.1 %"]).T


# ---- ALS or SGD: counted --------------------------------------------------------------------------------------------


def als_flops(n_ratings, n_users, n_items, rank):
    """Additions and multiplications of one pass of ALS: both halves of `ct.solve_rows`, whose loops these are.

    Each rating, each half: x += o * target, 2k; the lower triangle of G, k (k + 1) / 2 entries of 2, without the
    weight, which is 1. Each row: Cholesky, k^3 / 3 and lower powers, and two substitutions of k^2. With biases a row
    has one unknown more: call it with rank + 1.
    """
    return 2 * n_ratings * (rank**2 + 3 * rank) + (n_users + n_items) * (rank**3 / 3 + 2 * rank**2)


def sgd_flops(n_ratings, rank):
    """The same of one pass of SGD: 2k for p.q, 5 for each of 2k factors, 4 for the error and 4 for each bias."""
    return 12 * n_ratings * (rank + 1)


def lines_of(function):
    """Lines of code of a compiled function, without its docstring and blank lines."""
    source = inspect.getsource(function.py_func)
    body = source.replace(f'"""{function.py_func.__doc__}"""', "")
    return sum(bool(line.strip()) for line in body.splitlines())


def knobs(model):
    """Names of the hyper-parameters that change the answer: all but the seed and the bar."""
    return sorted(set(model.get_params()) - {"random_state", "progress"})


def als_or_sgd(ratings, rank, passes):
    """Everything that can be counted about the two, on one table; `passes` is a row of `race` for each."""
    by_user, by_item = ratings.csr, ratings.csc
    orders = sum(array.nbytes for table in (by_user, by_item) for array in (table.data, table.indices, table.indptr))
    triples = sum(array.nbytes for array in (ratings.rows, ratings.cols, ratings.values))
    flops = als_flops(len(ratings), *ratings.shape, rank + 1), sgd_flops(len(ratings), rank)  # both with biases
    rows = {
        "updates in a pass": (f"{sum(ratings.shape):,} rows solved", f"{len(ratings):,} steps"),
        "flops in a pass": tuple(f"{value:,.0f}" for value in flops),
        "passes to within 1 %": tuple(passes),
        "flops to within 1 %": tuple(f"{value * int(count):,.0f}" for value, count in zip(flops, passes, strict=True)),
        "bytes of the ratings": (f"{orders:,} (by user, by title)", f"{triples:,} (twice while shuffling)"),
        "order of the work": ("rows independent", "one rating after another"),
        "lines of the kernel": (lines_of(ct.solve_rows), lines_of(ct.sgd_epoch)),
        "hyper-parameters": (len(knobs(ct.ALS())), len(knobs(ct.SGDMF()))),
        "grows with rank as": ("k² a rating, k³ a row", "k a rating"),
    }
    return pd.DataFrame(rows, index=["ALS", "SGD"]).T


# ---- Two slogans ----------------------------------------------------------------------------------------------------


def planted(share, shuffled=False, n=60, seed=0):
    """A table with two directions of taste, this share of it known; or the same values, shuffled over the same cells.

    The holes are the same either way; the shuffle takes every connection between the ratings away and leaves the rest.
    """
    rng = np.random.default_rng(seed)
    taste = 1.2 * rng.normal(size=(n, 2)) @ rng.normal(size=(2, n))
    values = np.clip(5.5 + taste + rng.normal(0, 0.6, (n, n)), 1, 10)
    known = rng.random((n, n)) < share
    if shuffled:
        values[known] = rng.permutation(values[known])
    return ct.Ratings.from_matrix(np.where(known, values, nan))


def correlation_or_sparsity(shares=(0.1, 0.2, 0.4, 0.7), n_splits=4):
    """Held-out error minus that of the baseline, along the share that is known, for both tables."""
    models = {
        "baseline": ct.BiasBaseline(5),
        "spectral with biases": ct.SpectralRegularization(3.0, biases=True, tol=1e-2),
        "item neighbours": ct.ItemKNN(),
    }
    tables = []
    for share in shares:
        for kind in ("correlated", "shuffled"):
            results = ct.evaluate(models, planted(share, kind == "shuffled"), n_splits=n_splits)
            tables.append(ct.paired_differences(results, "baseline").assign(table=kind, share=share))
    table = pd.concat(tables, ignore_index=True)
    return table[table["model"] != "baseline"].reset_index(drop=True)


def plot_correlation(table):
    """One panel a table, one line a model: difference from the baseline along the share that is known."""
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 4), sharey=True)
    looks = {"spectral with biases": "o-", "item neighbours": "^--"}
    titles = {"correlated": "Correlated ratings", "shuffled": "The same ratings, shuffled; the same holes"}
    for ax, (kind, part) in zip(axes, table.groupby("table"), strict=True):
        for model, line in looks.items():
            rows = part[part["model"] == model]
            options = {"color": lesson.COLORS[model], "capsize": 4, "label": model}
            ax.errorbar(100 * rows["share"], rows["difference"], rows["half_width"], fmt=line, **options)
        ax.axhline(0, color="black", linestyle=":", label="bias baseline")
        ax.set(title=titles[kind], xlabel="share of the cells that is known (%)")
    axes[0].set_ylabel("held-out RMSE minus\nthe baseline's (rating points)")
    axes[1].legend(fontsize=9, loc="lower left")
    fig.suptitle("Below the line beats the baseline: it takes correlation, and holes only hurt", fontsize=12)
    seen = "Left both fall as more cells are known, neighbours from above the line; right neither gets below it."
    lesson.show(fig, seen=seen)


# ---- The large system -----------------------------------------------------------------------------------------------


def throughput(rank):
    """What `python benchmarks/throughput.py` measured on one core at rank 10 or 50, and flops a second from it.

    The flops of a pass on that table, divided by its seconds: on MovieLens a row holds few ratings, so much of a pass
    of ALS is Cholesky, and a rate in ratings a second would not carry over to rows with more.
    """
    file = json.loads(THROUGHPUT.read_text(encoding="utf-8"))
    data, core = file["data"], file["one_core"][f"rank {rank}"]
    n, m, items = data["n_ratings"], data["n_users"], data["n_items"]
    return {
        "ALS flops a second": als_flops(n, m, items, rank) * core["ALS, ratings a second"] / n,
        "SGD flops a second": sgd_flops(n, rank) * core["SGD, ratings a second"] / n,
        "fold-in, seconds": 1e-6 * core["one viewer folded in, microseconds"],
        "seconds a title scored": 1e-6 * core["one list of ten, microseconds"] / file["settings"]["titles"],
    }


def bytes_of_id(count):
    """Bytes that tell so many apart, in the sizes that arrays come in."""
    return next(size for size in (1, 2, 4, 8) if count <= 256**size)


def system(users, items, ratings, rank=50):
    """Sizes and hopeful times of a catalogue: bytes, flops, then seconds on one core."""
    speed = throughput(rank)
    return {
        "full table": 4.0 * users * items,
        "ratings, by user and by title": float(ratings) * (2 + bytes_of_id(users) + bytes_of_id(items)),
        "factors of the users": 4.0 * users * rank,
        "factors of the titles": 4.0 * items * rank,
        "flops of a pass of ALS": als_flops(ratings, users, items, rank),
        "flops of a pass of SGD": sgd_flops(ratings, rank),
        "a pass of ALS": als_flops(ratings, users, items, rank) / speed["ALS flops a second"],
        "a pass of SGD": sgd_flops(ratings, rank) / speed["SGD flops a second"],
        "one new user folded in": speed["fold-in, seconds"],
        "one list": items * speed["seconds a title scored"],
    }


SYSTEMS = {  # users, titles, ratings; ours are the 1 million products and the 100 ratings a user of the last two
    "films": (200e6, 15e3, 20e9),
    "products": (300e6, 1e6, 30e9),
    "songs": (400e6, 70e6, 40e9),
}


def rounded(value, digits):
    return f"{float(f'{value:.{digits}g}'):,.10g}"


def systems_table(rank=50):
    """The three catalogues side by side: exact sizes to two digits, and, marked ~, what was measured to one digit."""
    table, speed = pd.DataFrame({name: system(*sizes, rank) for name, sizes in SYSTEMS.items()}), throughput(rank)
    units = ["GB"] * 4 + ["10^12"] * 2 + ["hours of one core"] * 2 + ["ms of one core"] * 2
    sizes = {"GB": 1e9, "10^12": 1e12, "hours of one core": 3600, "ms of one core": 1e-3}
    rows = {}
    for name, unit in zip(table.index, units, strict=True):
        mark, digits = ("~", 1) if "core" in unit else ("", 2)
        rows[f"{name}, {unit}"] = [mark + rounded(value / sizes[unit], digits) for value in table.loc[name]]
        if name == "flops of a pass of SGD":  # then the speeds, the same for all
            for method in ("ALS", "SGD"):
                fast = "~" + rounded(speed[f"{method} flops a second"] / 1e9, 1)
                rows[f"speed of {method}, 10^9 flops a second"] = [fast] * len(SYSTEMS)
    return pd.DataFrame(rows, index=table.columns).T


def short(count):
    return f"{count / 1e6:g} M" if count >= 1e6 else f"{count:,.0f}"


def plot_systems(rank=50):
    """Bytes of each catalogue on a log scale, with what a laptop and a large server hold."""
    kinds = {
        "full table": ("#999999", "//"),
        "ratings, by user and by title": ("#0072B2", ""),
        "factors of the users": ("#E69F00", ".."),
        "factors of the titles": ("#009E73", "xx"),
    }
    fig, ax = plt.subplots(figsize=(9.4, 4.3))
    for at, (kind, (color, hatch)) in enumerate(kinds.items()):
        sizes = [system(*values, rank)[kind] / 1e9 for values in SYSTEMS.values()]
        places = np.arange(3) + 0.2 * (1.5 - at)
        ax.barh(places, sizes, 0.19, color=color, hatch=hatch, edgecolor="white", label=kind)
    for memory, name, line in ((16, "a laptop, 16 GB", "--"), (1000, "a large server, 1 TB", "-.")):
        ax.axvline(memory, color="black", linestyle=line, label=name)
    names = [f"{name}\n{short(users)} × {short(items)}" for name, (users, items, _) in SYSTEMS.items()]
    ax.set_yticks(range(3), names)
    ax.set(
        ylabel="catalogue",
        xscale="log",
        xlim=(1e-3, None),
        xlabel="memory (GB, log scale)",
        xticks=10.0 ** np.arange(-3, 10, 3),
    )
    ax.set_title(f"Factors and ratings fit one large machine; the full table never does (k = {rank})")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, frameon=False)
    seen = "In each of the three catalogues only the bar of the full table reaches past the line of the large server."
    lesson.show(fig, seen=seen)


@lesson.quiz
def factor_memory():
    """Gigabytes (10^9 bytes) of the factors of 200 million users and 15,000 films, k = 50, four bytes a number."""
    users, items, _ = SYSTEMS["films"]
    right = 4 * (users + items) * 50 / 1e9
    return lesson.Quiz(
        answer=right,
        tol=0.1,
        because="(200,000,000 + 15,000) rows of 50 numbers of 4 bytes. The films are a rounding error beside the "
        "users, and the whole is a tiny part of the full table.",
        hint="Rows of both sides together, times k, times 4 bytes; then divide by a billion.",
        wrong=(
            (4 * users * items / 1e9, "That is the full table, users times films. Factors need users PLUS films."),
            ((users + items) * 50 / 1e9, "That counts numbers, not bytes: each takes four."),
            (8 * (users + items) * 50 / 1e9, "That is eight bytes a number, double precision; the question says four."),
            (4 * users * items * 50 / 1e9, "That multiplies by both k and the full table: factors replace the table."),
        ),
    )
