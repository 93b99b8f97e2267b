"""Lesson 10: choosing settings with Optuna, and two ways to choose wrong."""

import json
import warnings
from itertools import product

import lesson
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone

import content_table as ct

with warnings.catch_warnings():  # in Jupyter a part of Optuna asks for widgets that nothing here needs
    warnings.simplefilter("ignore")
    import optuna

TUNED = ct.DATA.parent / "benchmarks" / "results" / "tuned.json"
CHOICE, OTHER, PLAIN = "#0072B2", "#D55E00", "#999999"
MEASURE = "validation RMSE (rating points)"


# ---- The space and the study ----------------------------------------------------------------------------------------


def space_table(spaces):
    """Search spaces as one table: from, to, scale, whole numbers or not, unit."""
    rows = {
        (of, name): {
            "from": f"{r.low:g}",
            "to": f"{r.high:g}",
            "scale": "log" if r.log else "linear",
            "whole": isinstance(r.low, int) and isinstance(r.high, int),
            "unit": r.unit,
        }
        for of, space in spaces.items()
        for name, r in space.items()
    }
    return pd.DataFrame(rows).T


def draws(space, n, seed=0):
    """n settings at random from a search space, as the random sampler of Optuna proposes them."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    found = []
    for _ in range(n):
        trial = study.ask()
        found.append(
            {name: r.suggest(trial, name, whole=name in ("n_factors", "n_neighbors")) for name, r in space.items()}
        )
    return found


def decades(low, high, log, n=20, seed=0):
    """n random points of a range, and how many of them fall into each factor of ten."""
    points = np.array([point["x"] for point in draws({"x": ct.Range(low, high, log=log)}, n, seed)])
    return points, np.bincount(np.floor(np.log10(points / low)).astype(int), minlength=round(np.log10(high / low)))


def plot_scales(low=1e-4, high=1e-1, n=20):
    """The same number of random points, drawn evenly on a linear and on a log scale, both seen on a log axis."""
    fig, ax = plt.subplots(figsize=(8, 2.9))
    for at, (log, marker, color) in enumerate(((False, "s", OTHER), (True, "o", CHOICE))):
        points, counts = decades(low, high, log, n)
        ax.scatter(points, np.full(n, at), marker=marker, color=color, alpha=0.6, s=45)
        for decade, count in enumerate(counts):
            ax.text(low * 10 ** (decade + 0.5), at + 0.25, f"{count} of {n}", ha="center", color=color)
    for decade in range(len(counts) + 1):
        ax.axvline(low * 10**decade, color="black", linestyle=":", linewidth=1)
    ax.set_yticks([0, 1], ["even on a\nlinear scale", "even on a\nlog scale"])
    ax.set(xscale="log", ylim=(-0.5, 1.6), xlabel="learning rate (step of one rating, log scale)", ylabel="drawn")
    ax.set_title("Drawn evenly on a linear scale, nearly all points land in the last factor of ten")
    ax.grid(False)
    seen = (
        "On the linear scale most of the points crowd together at the right end; on the log scale they spread "
        "over all three factors of ten."
    )
    lesson.show(fig, seen=seen)


def trials(study):
    """The study as a table: number, settings, score, best score so far, state."""
    rows = [
        {"trial": t.number} | t.params | {"score": t.value, "state": t.state.name.lower()} for t in study.trials
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    best = table["score"].where(table["state"] == "complete").cummin().ffill()
    return table.assign(best=best)


def plot_history(study):
    """The score of every trial, and the best so far."""
    table = trials(study)
    fig, ax = plt.subplots(figsize=(9, 3.8))
    ax.plot(table["trial"], table["score"], "o", color=PLAIN, label="one trial")
    ax.plot(table["trial"][:1], table["score"][:1], "s", color=OTHER, markersize=9, label="the settings it came with")
    ax.step(table["trial"], table["best"], where="post", color=CHOICE, linewidth=2, label="best so far")
    ax.axvline(9.5, color="black", linestyle=":", linewidth=1)
    ax.text(9.8, 0.92, "from here on TPE learns", va="top", transform=ax.get_xaxis_transform(), backgroundcolor="white")
    ax.set(xlabel="number of the trial", ylabel=MEASURE)
    ax.set_title("The best so far can only fall (simulated viewers)")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    lesson.show(fig, seen="The trials scatter above a staircase that goes down in a few steps.")


def plot_slices(study, space, shares):
    """One panel a setting: the score of every trial against its value; later trials darker. Beside them the shares."""
    table, n = trials(study), len(space)
    size = (3.9 * n + 3, 3.7)
    fig, axes = plt.subplots(1, n + 1, figsize=size, width_ratios=[1] * n + [0.55], layout="constrained")
    for at, (ax, (name, r)) in enumerate(zip(axes, space.items(), strict=False)):
        dots = ax.scatter(table[name], table["score"], c=table["trial"], cmap="cividis_r", edgecolor="black", s=40)
        best = table.loc[table["score"].idxmin()]
        ax.plot(best[name], best["score"], "*", color=OTHER, markersize=15)
        ax.set(xscale="log" if r.log else "linear", xlabel=f"{name}\n({r.unit})", ylabel="" if at else MEASURE)
        ax.tick_params(labelleft=at == 0)
    fig.colorbar(dots, ax=axes[n - 1], label="number of the trial")
    axes[n].bar(list(space), [shares[name] for name in space], color=PLAIN, width=0.5)
    axes[n].set(ylim=(0, 1), ylabel="share of the variation", xlabel="setting", title="importance")
    fig.suptitle("Lower edge: what a value can reach; star: the best; bars: importance (simulated)", fontsize=11)
    lesson.show(
        fig, tight=False, seen=f"Along {shares.idxmax()}, which has the tallest bar, the scores follow a valley."
    )


def importance(study, seed=0):
    """Share of the variation of the score over the whole space that each setting explains, by fANOVA, seeded."""
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return pd.Series({name: float(share) for name, share in shares.items()}, name="importance")


# ---- Samplers, pruning, stopping ------------------------------------------------------------------------------------


def race(model, train, validation, n_trials, seeds):
    """Best score so far after each trial of a study, for both samplers and several seeds."""
    rows = []
    for seed, sampler in product(seeds, ("tpe", "random")):
        found = ct.tune(model, train, validation, n_trials=n_trials, sampler=sampler, random_state=seed, refit="train")
        best = trials(found.study)["best"]
        rows += [{"seed": seed, "sampler": sampler, "trial": at, "best": value} for at, value in enumerate(best, 1)]
    return pd.DataFrame(rows)


def race_verdict(runs):
    """Mean best score at the end of each sampler; TPE minus random, seed by seed, with a 95 % t interval."""
    end = runs[runs["trial"] == runs["trial"].max()].pivot(index="seed", columns="sampler", values="best")
    difference, n = end["tpe"] - end["random"], len(end)
    half = _t(n) * difference.std(ddof=1) / np.sqrt(n)
    means = f"TPE {end['tpe'].mean():.3f}, random {end['random'].mean():.3f}"
    apart = f"TPE minus random: {difference.mean():.3f}, half width {half:.3f}"
    return f"{means}; {apart}; TPE lower in {(difference < 0).sum()} of {n} seeds"


def _t(n):
    from scipy.stats import t

    return t.ppf(0.975, n - 1)


def plot_race(runs):
    """Best so far against the number of trials, mean over the seeds, and every seed as a thin line."""
    fig, ax = plt.subplots(figsize=(7.4, 3.8))
    for sampler, color, style in (("tpe", CHOICE, "-"), ("random", OTHER, "--")):
        table = runs[runs["sampler"] == sampler].pivot(index="trial", columns="seed", values="best")
        ax.plot(table.index, table, color=color, linestyle=style, linewidth=0.7, alpha=0.5)
        name = {"tpe": "TPE", "random": "random search"}[sampler]
        ax.plot(table.index, table.mean(axis=1), color=color, linestyle=style, linewidth=2.5, label=f"{name}, mean")
    ax.axvline(10, color="black", linestyle=":", linewidth=1)
    ax.set(xlabel="number of trials", ylabel="best " + MEASURE, xticks=[1, *range(5, runs["trial"].max() + 1, 5)])
    ax.set_title("Up to the dotted line both draw the same settings; then TPE learns (simulated)")
    ax.legend(loc="lower left")
    seen = (
        "Both thick lines are level up to the dotted line and fall in steps after it; the thin lines of single seeds "
        "lie further apart than they do."
    )
    lesson.show(fig, seen=seen)


def passes(study):
    """How many trials were finished and given up, how many passes they ran, and the best score."""
    states = [t.state.name for t in study.trials]
    return {
        "finished": states.count("COMPLETE"),
        "given up": states.count("PRUNED"),
        "passes run": sum(len(t.intermediate_values) for t in study.trials),
        "best score": round(study.best_value, 4),
    }


def had_they_gone_on(pruned, whole):
    """The scores that the trials which were given up reach in the same study without pruning, the best first."""
    scores = [b.value for a, b in zip(pruned.trials, whole.trials, strict=True) if a.state.name == "PRUNED"]
    return sorted(round(score, 3) for score in scores)


def plot_pruned(study, warmup=10):
    """Every trial's best validation error so far, pass by pass; those that were given up in another colour."""
    fig, ax = plt.subplots(figsize=(7.4, 3.8))
    for t in study.trials:
        curve, pruned = pd.Series(t.intermediate_values), t.state.name == "PRUNED"
        ax.plot(curve, color=OTHER if pruned else CHOICE, linestyle="--" if pruned else "-", linewidth=1)
        if pruned and len(curve):
            ax.plot(curve.index[-1], curve.iloc[-1], "x", color=OTHER, markersize=7)
    ax.plot([], [], color=CHOICE, label="finished")
    ax.plot([], [], "x--", color=OTHER, label="given up")
    ax.axvline(warmup, color="black", linestyle=":", linewidth=1)
    ax.set(xscale="log", xlabel="pass (log scale)", ylabel="best " + MEASURE)
    ax.set_xticks(ticks := [1, 2, 5, 10, 20, 50], ticks)
    ax.set_xticks([], minor=True)
    ax.set_title("A trial that is worse than the median of the finished ones is given up (simulated)")
    ax.legend()
    seen = (
        "All lines fall from pass to pass. Those given up end in a cross, most of them at the dotted line and "
        "high up; the finished ones go on at the bottom."
    )
    lesson.show(fig, seen=seen)


def same_trials(first, second):
    """Whether two studies hold the same trials: settings, scores and states."""
    key = lambda study: [(t.params, t.value, t.state) for t in study.trials]  # noqa: E731
    return key(first) == key(second)


# ---- Two ways to choose wrong ---------------------------------------------------------------------------------------


def flattery(model, ratings, n_settings=20, n_splits=4, n_draws=100, n_test=100, seed=0):
    """Choose among the first t settings by a small test part, for each t: what it reports, and what fresh ratings say.

    The settings are drawn once for each split and fitted to 60 % of the ratings; the others are shuffled `n_draws`
    times into a test part of `n_test` ratings and the fresh rest. Both errors as differences from the first setting.
    """
    rng, rows = np.random.default_rng(seed), []
    for split in range(n_splits):
        train, held_out = ratings.split_random(0.4, random_state=split)
        settings = [{}, *draws(model.search_space(), n_settings - 1, seed=split)]
        squares = np.array([ct.errors(clone(model).set_params(**s).fit(train), held_out) for s in settings]) ** 2
        for _ in range(n_draws):
            order = rng.permutation(len(held_out))
            test, fresh = (np.sqrt(squares[:, part].mean(axis=1)) for part in (order[:n_test], order[n_test:]))
            chosen = [int(np.argmin(test[:t])) for t in range(1, n_settings + 1)]
            for t, c in enumerate(chosen, 1):
                rows.append((split, t, test[c] - test[0], fresh[c] - fresh[0]))
    return pd.DataFrame(rows, columns=["split", "settings tried", "reported", "fresh"])


def plot_flattery(runs):
    """What the test part reports and what fresh ratings say, against the number of settings tried."""
    mean = runs.groupby("settings tried")[["reported", "fresh"]].mean()
    fig, ax = plt.subplots(figsize=(9, 3.8))
    ax.plot(mean.index, mean["fresh"], "o-", color=CHOICE, label="on fresh ratings")
    ax.plot(mean.index, mean["reported"], "s--", color=OTHER, label="on the test part\nthat chose it")
    ax.axhline(0, color="black", linewidth=1)
    ax.set(xlabel="settings tried", ylabel="RMSE minus that of the\nfirst setting (rating points)")
    ax.set_xticks([1, *range(5, mean.index.max() + 1, 5)])
    ax.set_title("The more settings the test part may choose from, the more it flatters (simulated)")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    seen = "The line of the test part falls with every setting tried; that of fresh ratings does not follow it."
    lesson.show(fig, seen=seen)


def runs_by_pass(model, ratings, grid, n_splits):
    """Every setting of a grid on several splits, all passes: the validation measures and the error on a third part."""
    rows = []
    for split in range(n_splits):
        rest, third = ratings.split_random(0.2, random_state=split)
        train, validation = rest.split_random(0.25, random_state=split)
        for values in product(*grid.values()):
            settings, seen = dict(zip(grid, values, strict=True)), []
            fitted = clone(model).set_params(**settings)
            fitted.fit(train, validation, watch=lambda m, row: seen.append(ct.rmse(m, third)))  # noqa: B023
            run = pd.DataFrame(fitted.history_).assign(split=split, third=seen, **settings)
            rows.append(run)
    return pd.concat(rows, ignore_index=True)


RULES = {
    "regularised loss of the last pass": ("validation_loss", "last"),
    "RMSE of the last pass": ("validation_rmse", "last"),
    "RMSE of the best pass": ("validation_rmse", "min"),
}


def chosen_by(runs, names):
    """For each split and rule, the settings that it chooses and their error on the third part, by the pass kept."""
    rows = []
    for split, part in runs.groupby("split"):
        groups = part.groupby(list(names), sort=True)
        for rule, (measure, how) in RULES.items():
            settings = groups[measure].agg(how).idxmin()
            run = groups.get_group(settings)
            kept = {"last pass kept": run["third"].iloc[-1],
                    "best pass kept": run.loc[run["validation_rmse"].idxmin(), "third"]}  # fmt: skip
            rows.append({"split": split, "chosen by": rule} | dict(zip(names, settings, strict=True)) | kept)
    return pd.DataFrame(rows)


def rules_table(chosen):
    """A row a rule: mean error on the third part by the pass kept, and in how many splits the smallest `reg` won."""
    groups = chosen.groupby("chosen by", sort=False)
    smallest = (chosen["reg"] == chosen["reg"].min()).groupby(chosen["chosen by"]).sum()
    return groups[["last pass kept", "best pass kept"]].mean().round(3).assign(**{"smallest lambda": smallest})


KEPT = {
    "RMSE of the best pass, best pass kept": ("RMSE of the best pass", "best pass kept"),
    "RMSE of the last pass, last pass kept": ("RMSE of the last pass", "last pass kept"),
    "loss of the last pass, last pass kept": ("regularised loss of the last pass", "last pass kept"),
}


def by_length(runs, names, lengths):
    """Mean error on the third part of each rule, had all runs been stopped after so many passes."""
    rows = {}
    for length in lengths:
        table = chosen_by(runs[runs["epoch"] <= length], names).groupby("chosen by").mean()
        rows[length] = {name: table.loc[rule, kept] for name, (rule, kept) in KEPT.items()}
    return pd.DataFrame(rows).T


def plot_by_length(table):
    """One line a rule: error on the third part against the number of passes that every run was given."""
    fig, ax = plt.subplots(figsize=(7.8, 3.9))
    for name, color, marker in zip(table, (CHOICE, "#E69F00", OTHER), "os^", strict=True):
        ax.plot(table.index, table[name], marker + "-", color=color, label=name.replace(", ", ",\n"))
    ax.set(xlabel="passes that every run was given", ylabel="RMSE on the third part\n(rating points)")
    ax.set_title("The best pass forgives too many passes, the last one does not (simulated)")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    seen = (
        "The line that keeps the best pass falls and then stays level; those that keep the last pass move up and down."
    )
    lesson.show(fig, seen=seen)


def against(table, rule, reference, kept="best pass kept"):
    """Two rules compared split by split: mean difference of the error on the third part, and how often it is worse."""
    wide = table.pivot(index="split", columns="chosen by", values=kept)
    difference = wide[rule] - wide[reference]
    return {"mean difference": round(float(difference.mean()), 4), "worse in": int((difference > 0).sum()),
            "the same in": int((difference == 0).sum()), "splits": len(difference)}  # fmt: skip


# ---- Nested evaluation ----------------------------------------------------------------------------------------------


def choice_noise(model, ratings, regs, n_folds=5, n_repeats=10):
    """The `reg` that one validation part chooses, and that a cross-validation chooses, from the same ratings again and
    again with another shuffle."""
    rows = []
    for seed in range(n_repeats):
        folds = ratings.split_folds(n_folds, random_state=seed)
        score = lambda reg, parts: ct.rmse(clone(model).set_params(reg=reg).fit(parts[0]), parts[1])  # noqa: E731
        errors = np.array([[score(reg, parts) for parts in folds] for reg in regs])
        for way, values in (("one part", errors[:, 0]), (f"{n_folds} folds", errors.mean(axis=1))):
            rows.append({"shuffle": seed, "way": way, "chosen": float(regs[np.argmin(values)]), "score": values.min()})
    return pd.DataFrame(rows)


def plot_choice_noise(table, regs):
    """The chosen settings, one dot a shuffle."""
    fig, ax = plt.subplots(figsize=(7.4, 2.7))
    for at, (_, part) in enumerate(table.groupby("way", sort=False)):
        lift = part.groupby("chosen").cumcount() * 0.06
        ax.plot(part["chosen"], at + lift, "so"[at], color=(OTHER, CHOICE)[at], alpha=0.7)
    ax.set_yticks([0, 1], table["way"].unique())
    ax.set(
        xscale="log",
        ylim=(-0.4, 2),
        xlim=(regs[0] / 1.2, regs[-1] * 1.2),
        xlabel=r"chosen penalty $\lambda$ (imaginary ratings, log scale)",
    )
    ax.set_ylabel("scored on")
    ax.set_title("The same ratings shuffled again: how far the choice moves (simulated)")
    distinct = ", ".join(f"{way} {n}" for way, n in table.groupby("way", sort=False)["chosen"].nunique().items())
    lesson.show(fig, seen=f"So many different penalties were chosen: {distinct}.")


def refit_or_not(model, ratings, n_splits=6):
    """Test error of the model that learnt from the training part, and refitted to training and validation together."""
    rows = []
    for split in range(n_splits):
        rest, test = ratings.split_random(0.2, random_state=split)
        parts = rest.split_random(0.2, random_state=split)
        row = {way: ct.tune(model, *parts, n_trials=1, refit=way).model for way in ("train", "all")}
        rows.append({way: ct.rmse(one, test) for way, one in row.items()} | {"passes": row["all"].best_epoch_})
    return pd.DataFrame(rows)


# ---- The real films -------------------------------------------------------------------------------------------------

FILMS = {"split_user_time": "each viewer's own time", "split_global_time": "one date for all"}


def films():
    """What `python benchmarks/tuned.py` wrote about MovieLens latest-small."""
    return json.loads(TUNED.read_text(encoding="utf-8"))["movielens"]


def film_table(results):
    """Both splits side by side: the search, and clipped RMSE as the mean over seeds."""
    names = {"validation": "validation RMSE, raw", "train only": "test, learnt from train",
             "train and validation": "test, learnt from train + validation",
             "biases, train and validation": "test, biases alone, train + validation"}  # fmt: skip
    columns = {}
    for split, found in results.items():
        column = {"seconds, measured once": str(int(np.ceil(found["seconds"] / 10) * 10)) + " or less"}
        column["trials finished"] = found["trials"].get("COMPLETE", 0)
        column["trials given up"] = found["trials"].get("PRUNED", 0)
        column |= {f"best {name}": f"{value:.3g}" for name, value in found["settings"].items()}
        column |= {title: f"{np.mean(found['rmse'][name]):.3f}" for name, title in names.items()}
        columns[FILMS[split]] = column
    return pd.DataFrame(columns)


# ---- Quizzes --------------------------------------------------------------------------------------------------------


def hand_parts():
    """The table of the hand calculation in three parts."""
    table = ct.Ratings.from_matrix([[9, 7, 8, 9], [5, 3, 6, 5]])
    return [table.part(np.isin(table.cols, chosen)) for chosen in ((0, 1), (2,), (3,))]


@lesson.quiz
def validation_error_by_hand():
    """The validation RMSE of the hand example for lambda = 14."""
    train, validation, _ = hand_parts()
    model = ct.BiasBaseline(reg=14).fit(train)
    right = ct.rmse(model, validation)
    return lesson.Quiz(
        answer=right,
        tol=0.005,
        because="b_A = 4/16 = 0.25, so the predictions are 6.25 and 5.75, and the errors are -1.75 and -0.25.",
        hint="Begin with b_A = 4/(2 + 14); the predictions are 6 + b_A and 6 - b_A; title 3 has the ratings 8 and 6.",
        wrong=(
            (right**2, "That is the mean squared error. Take the root, to be back in rating points."),
            (ct.rmse(model, train), "That is the training error: it looks at titles 1 and 2, which the fit has seen."),
            (ct.mae(model, validation), "That is the mean absolute error: square first, then average, then the root."),
        ),
    )


@lesson.quiz
def share_of_a_decade():
    """A learning rate is drawn from 0.0001 to 0.1 on a log scale: with what probability is it below 0.001?"""
    low, high, bound = 1e-4, 1e-1, 1e-3
    return lesson.Quiz(
        answer=np.log10(bound / low) / np.log10(high / low),
        tol=0.005,
        because="The range has three factors of ten, and on a log scale each is as likely as the others.",
        hint="Count the factors of ten in the whole range, and those below 0.001.",
        wrong=(
            ((bound - low) / (high - low), "That is the share on a linear scale, where small rates are hardly drawn."),
            (0.5, "Half of the draws fall below the geometric middle, which lies above 0.001."),
        ),
    )


@lesson.quiz
def best_of_two():
    """Two settings, both truly 1.60; each is measured as 1.55 or 1.65 by a fair coin: the mean of the reported best?"""
    outcomes = [min(pair) for pair in product((1.55, 1.65), repeat=2)]
    return lesson.Quiz(
        answer=np.mean(outcomes),
        tol=0.003,
        because="The smaller of the two is 1.55 in three cases of four, and 1.65 only where both coins fall badly.",
        hint="Write down the four equally likely pairs, and the smaller number of each.",
        wrong=(
            (1.6, "That is the truth, and the mean of one measurement. The smaller of two is lower on average."),
            (1.55, "That would need at least one good coin every time; both fall badly once in four."),
            (1.65, "That is the worst case, not the mean."),
        ),
    )


@lesson.quiz
def which_run():
    """Run A: 1.62, 1.55, 1.58, 1.66 by pass; run B: 1.64, 1.60, 1.59, 1.58. Which one has the better model to keep?"""
    runs = {"a": (1.62, 1.55, 1.58, 1.66), "b": (1.64, 1.60, 1.59, 1.58)}
    best = min(runs, key=lambda name: min(runs[name]))
    return lesson.Quiz(
        answer=best,
        choices=("a", "b"),
        because="Its second pass has 1.55, and that pass can be kept. Only by its last pass is it the worse run.",
        hint="Look at the smallest number of each run.",
        wrong=(("b", "B wins by the last pass. But nobody must keep the last pass: A had a lower one on the way."),),
    )


@lesson.quiz
def fits_of_a_nested_search():
    """Tuned with 15 trials of 5 folds inside each of 20 splits: how many fits in all?"""
    splits, trials_, folds = 20, 15, 5
    return lesson.Quiz(
        answer=splits * (trials_ * folds + 1),
        tol=0.5,
        because="In each split 15 times 5 fits to choose, and one more: the refit to the whole training part.",
        hint="Count one split first: the fits of all trials, and the model that is returned in the end.",
        wrong=(
            (splits * trials_ * folds, "The refit is missing: in each split the chosen settings are fitted once more."),
            (splits * (trials_ + 1), "Each trial is a fit for every fold, five and not one."),
            (trials_ * folds + 1, "That is one split. The search starts afresh in each of the twenty."),
        ),
    )
