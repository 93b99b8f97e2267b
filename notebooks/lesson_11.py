"""Tables, figures and quizzes of lesson 11: the honest comparison, what its metrics cannot see, and claims measured."""

import json
from dataclasses import replace

import lesson
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone

import content_table as ct

TUNED = lesson.RESULTS.with_name("tuned.json")
MORE_LOOKS = {  # colour and marker of the rows that only this lesson has
    "implicit ALS": ("#332288", "H"),
    "popularity": ("#8B4513", "d"),
    "chosen": ("#117733", "<"),
    "half spectral, half content": ("#882255", ">"),
}
LIST_FIGURES = ["ndcg", "recall", "coverage", "novelty", "diversity", "stability", "rated_precision"]


def look(model):
    """Marker options of a model, for plot and errorbar."""
    if model in lesson.LOOKS:
        return lesson.mark(model)
    color, marker = MORE_LOOKS[model]
    return {"marker": marker, "color": color, "markerfacecolor": color, "markersize": 6, "linestyle": "none"}


# ---- The results file of the tuned models ---------------------------------------------------------------------------


def tuned_results():
    """What `python benchmarks/tuned.py` wrote: every model tuned inside each split of the two real tables."""
    return json.loads(TUNED.read_text(encoding="utf-8"))


def comparison_of(results, name):
    """One real table of the file as `content_table.comparison` returns it, fit seconds left out."""
    return pd.DataFrame(results["tables"][name]["comparison"]).drop(columns="fit_seconds", errors="ignore")


def verdicts(results, name, reference="baseline"):
    """model -> better, tie or worse than the reference, by the paired interval in the file."""
    return pd.DataFrame(results["tables"][name]["paired"][reference]).set_index("model")["verdict"]


def blank(table, digits=3):
    """The same table as text, with nothing where a figure is missing."""
    return table.map(lambda value: "" if pd.isna(value) else f"{value:.{digits}f}")


def honest_table(fixed, tuned):
    """Training and held-out RMSE of both real tables with the verdict against the tuned baseline, and held-out RMSE and
    verdict with fixed settings; best of the first table on top."""
    parts = {}
    for name in tuned["tables"]:
        table = comparison_of(tuned, name).dropna(subset="rmse_clipped").set_index("model")
        columns = {"train_rmse": "training", "rmse_clipped": "held out", "half_width": "+/-"}
        parts[name] = table[list(columns)].astype(float).round(3).rename(columns=columns)
        parts[name]["verdict"] = verdicts(tuned, name).reindex(table.index)
        old = pd.DataFrame(fixed["held_out"][name]).set_index("model")["rmse_clipped"]
        words = pd.DataFrame(fixed["paired"][name]).set_index("model")["verdict"]
        parts[name]["settings fixed"] = [f"{old[m]:.3f} {words[m]}" if m in old.index else "" for m in table.index]
    first = next(iter(parts))
    return pd.concat(parts, axis=1).loc[parts[first].index]


def print_verdicts(results):
    """Who is better and who is worse than the tuned baseline, and what was chosen, on each real table."""
    for name, table in results["tables"].items():
        found = verdicts(results, name)
        for word in ("better", "worse"):
            print(f"{name}, {word} than the tuned baseline:", "; ".join(found.index[found == word]) or "none")
        print(f"{name}, chosen inside the splits:", ", ".join(f"{m} {n} times" for m, n in table["chosen"].items()))


# ---- The live comparison --------------------------------------------------------------------------------------------


def live_models(features):
    """The models of the live comparison, with the settings of the course: not all of them, to save time."""
    course = ct.course_models(features)
    names = ("global mean", "baseline", "spectral", "spectral with biases", "nuclear norm", "content")
    return {name: course[name] for name in names} | {"implicit ALS": ct.ImplicitALS(reg=30)}


def rating_columns(table):
    """What `comparison` says about errors, and whether a certificate vouches for the fit."""
    table = table.dropna(subset="rmse_clipped").set_index("model")
    columns = ["train_rmse", "rmse", "rmse_clipped", "half_width", "mae_clipped", "n_parameters"]
    shown = table[columns].round(3).assign(n_parameters=table["n_parameters"].round().astype(int))
    gap = table["relative_gap"]
    return shown.assign(certified=np.where(gap.isna(), "", np.where(gap < 1e-4, "gap below 1e-4", "gap above 1e-4")))


def list_columns(table):
    """What `comparison` says about lists, best NDCG first."""
    return blank(table.set_index("model")[LIST_FIGURES].sort_values("ndcg", ascending=False, kind="stable"))


def all_panels(tuned, live_table):
    """{title of a panel: comparison} of the two real tables and the simulated one."""
    panels = {f"real {name} (file)": comparison_of(tuned, name) for name in tuned["tables"]}
    return panels | {"simulated (live)": live_table}


def turn_panels(panels):
    """The panels with only the rows that `lesson.plot_turn` can draw."""
    return {title: table[table["model"].isin(list(lesson.LOOKS))].dropna(subset="rmse_clipped")
            for title, table in panels.items()}  # fmt: skip


# ---- Paired differences ---------------------------------------------------------------------------------------------


def paired_panels(tuned, live):
    """{title: paired differences from the baseline} of the real tables in the file, and of the live comparison."""
    panels = {f"real {name} (file)": pd.DataFrame(tuned["tables"][name]["paired"]["baseline"])
              for name in tuned["tables"]}  # fmt: skip
    return panels | {"simulated (live)": ct.paired_differences(live, "baseline")}


def plot_paired(panels):
    """Mean difference from the baseline on the same splits with its interval, one panel a table; a tie is hollow."""
    names = list(dict.fromkeys(name for table in panels.values() for name in table["model"] if name != "baseline"))
    fig, axes = plt.subplots(1, len(panels), figsize=(10, 4.2), sharex=True, sharey=True)
    for ax, (title, table) in zip(axes, panels.items(), strict=True):
        for _, row in table[table["model"] != "baseline"].iterrows():
            at = len(names) - names.index(row["model"])
            options = look(row["model"]) | {"markersize": 7, "capsize": 3}
            if row["verdict"] == "tie":
                options["markerfacecolor"] = "white"
            ax.errorbar(row["difference"], at, xerr=row["half_width"], **options)
        ax.axvline(0, color="black", linestyle=":")
        ax.set(title=title)
    axes[0].set_yticks(range(len(names), 0, -1), names)
    axes[0].set_ylabel("model")
    fig.supxlabel("held-out RMSE minus the baseline's, mean over the splits (rating points)", fontsize=11)
    fig.suptitle("Left of the line is better; hollow: the interval holds 0, a tie", fontsize=12)
    found = {title: table[table["model"] != "baseline"] for title, table in panels.items()}
    words = " ".join(f"{title[0].upper()}{title[1:]}, {lesson.by_verdict(table)}." for title, table in found.items())
    lesson.show(fig, seen=words)


# ---- Errors and lists -----------------------------------------------------------------------------------------------


def plot_error_and_list(panels):
    """Held-out RMSE against NDCG@10, one marker a model; models without an error as lines across."""
    fig, axes = plt.subplots(1, len(panels), figsize=(10, 4.5))
    entries = {}
    for ax, (title, table) in zip(axes, panels.items(), strict=True):
        for _, row in table[table["model"] != "ceiling"].iterrows():
            if pd.notna(row["rmse_clipped"]):
                ring = {"markerfacecolor": "none", "markersize": 11} if row["model"] == "chosen" else {}
                ax.plot(row["rmse_clipped"], row["ndcg"], **(look(row["model"]) | ring), label=row["model"])
                continue
            line = {"implicit ALS": ("#332288", "-"), "popularity": ("#8B4513", "--"), "random": ("#555555", ":")}
            color, style = line[row["model"]]
            ax.axhline(row["ndcg"], color=color, linestyle=style, linewidth=1.5, label=f"{row['model']} (no RMSE)")
        ax.set(title=title)
        entries |= {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    for ax in axes:
        ax.set_ylabel("NDCG@10, full catalogue\n(1 is the best order)" if ax is axes[0] else "NDCG@10")
    fig.supxlabel("held-out RMSE, clipped (rating points)", fontsize=11, y=0.16)
    fig.legend(entries.values(), entries.keys(), loc="lower center", ncols=5, fontsize=8, frameon=False)
    fig.suptitle("If the smaller error always made the better list, the markers would fall to the right", fontsize=12)
    fig.tight_layout(rect=(0, 0.1, 1, 1))
    found = {title: table[table["model"] != "ceiling"].set_index("model") for title, table in panels.items()}
    words = [f"in {title} {t['rmse_clipped'].idxmin()} and {t['ndcg'].idxmax()}" for title, t in found.items()]
    lesson.show(fig, tight=False, seen=f"The smallest error and the best list: {'; '.join(words)}.")


def two_orders(panels):
    """Of the models that predict ratings: the best by RMSE and by NDCG, where each stands in the other order, and how
    much the two orders agree (1: the same, 0: nothing in common, -1: opposite)."""
    rows = {}
    for title, table in panels.items():
        table = table.dropna(subset="rmse_clipped").set_index("model")[["rmse_clipped", "ndcg"]].astype(float).round(6)
        by_error = table["rmse_clipped"].rank(method="min").astype(int)
        by_list = (-table["ndcg"]).rank(method="min").astype(int)
        first, best = by_error.idxmin(), by_list.idxmin()
        rows[title] = {
            "least RMSE": first,
            "its place by NDCG": f"{by_list[first]} of {len(table)}",
            "best NDCG": best,
            "its place by RMSE": f"{by_error[best]} of {len(table)}",
            "agreement": round(float(by_error.corr(by_list, method="spearman")), 2),
        }
    return pd.DataFrame(rows).T


def print_list_verdicts(tuned, reference="baseline"):
    """Whose lists have a better or worse NDCG@10 than the tuned baseline's, by paired intervals over the splits."""
    for name, table in tuned["tables"].items():
        splits = pd.DataFrame(table["splits"]).assign(n_train=80, n_test=20)
        splits = splits[~splits["model"].isin(["random", "ceiling"])].astype({"ndcg": float})
        found = ct.paired_differences(splits, reference, metric="ndcg", larger_is_better=True)
        for word in ("better", "worse"):
            models = found.loc[found["verdict"] == word, "model"]
            print(f"{name}, NDCG {word} than the {reference}'s:", "; ".join(models) or "none")


# ---- Claims, measured -----------------------------------------------------------------------------------------------


def diverse_and_stable(panels):
    """Coverage, diversity and stability of three models, and spectral's place among all rows."""
    rows = []
    for title, table in panels.items():
        table = table.set_index("model")
        for measure in ("coverage", "diversity", "stability"):
            values = table[measure].dropna().astype(float).round(6)
            shown = values[["spectral", "spectral with biases", "baseline"]].round(3)
            place = int((values > values["spectral"]).sum()) + 1
            highest = values.idxmax()
            rows.append({"table": title, "measure": measure} | dict(shown)
                        | {"place of spectral": f"{place} of {len(values)}", "highest": highest})  # fmt: skip
    return pd.DataFrame(rows)


def print_spectral_verdict(panels, live):
    """On how many tables the spectral model's lists beat the baseline's in each respect; live with an interval."""
    words = {"better": "higher", "worse": "lower", "tie": "tie"}
    tables = [table.set_index("model") for table in panels.values()]
    for measure, word in (("diversity", "more diverse"), ("coverage", "wider"), ("stability", "more stable")):
        count = sum(table.loc["spectral", measure] > table.loc["baseline", measure] for table in tables)
        pairs = ct.paired_differences(live, "baseline", metric=measure, larger_is_better=True).set_index("model")
        mean, half, verdict = pairs.loc["spectral", ["difference", "half_width", "verdict"]]
        print(f"spectral's lists are {word} than the baseline's on {count} of {len(tables)} tables;",
              f"live difference {mean:.3f} +/- {half:.3f}, {words[verdict]}")  # fmt: skip


def print_random_diversity(ratings, features, n=10):
    """The diversity of lists of titles drawn at random for every viewer."""
    rng = np.random.default_rng(0)
    lists = np.array([rng.choice(ratings.n_items, n, replace=False) for _ in range(ratings.n_users)])
    print(f"diversity of lists drawn at random (live): {ct.list_metrics(lists, ratings, features)['diversity']:.2f}")


def print_novelty(tuned, names=("popularity", "implicit ALS", "baseline", "spectral with biases")):
    """Novelty of the lists on each real table: the fewer bits, the more often the listed titles were rated."""
    for title in tuned["tables"]:
        bits = comparison_of(tuned, title).set_index("model")["novelty"]
        print(f"novelty in bits, real {title} (file):", ", ".join(f"{name} {bits[name]:.2f}" for name in names))


def popularity_table(fitted, n=10):
    """How far each fitted model's lists follow the most rated titles, on the ratings it was fitted to."""
    train = next(iter(fitted.values())).ratings_
    counts = train.item_counts
    most_rated = np.argsort(-counts, kind="stable")[: round(train.n_items / 10)]
    models = fitted | {"popularity": ct.Popularity().fit(train)}
    lists = {name: ct.top_lists(model, train, n) for name, model in models.items()}
    rows = {}
    for name, top in lists.items():
        shared = [len(set(own) & set(other)) / n
                  for own, other in zip(top.tolist(), lists["popularity"].tolist(), strict=True)]  # fmt: skip
        rows[name] = {
            "share of most rated tenth": np.isin(top, most_rated).mean(),
            "mean ratings of a listed title": counts[top].mean(),
            "share of popularity's list": np.mean(shared),
        }
    by_chance = np.isin(np.arange(train.n_items), most_rated).mean()
    rows["(any title)"] = {"share of most rated tenth": by_chance, "mean ratings of a listed title": counts.mean()}
    return blank(pd.DataFrame(rows).T, digits=2)


def best_rmse(panels, words):
    """Who wins by training error and who by held-out error, with the verdict against the baseline of each."""
    rows = {}
    for title, table in panels.items():
        table = table.dropna(subset="rmse_clipped").set_index("model")
        repeats, foresees = table["train_rmse"].astype(float).idxmin(), table["rmse_clipped"].astype(float).idxmin()
        order = table["rmse_clipped"].astype(float).rank(method="min").astype(int)
        verdict = words[title].set_index("model")["verdict"]
        rows[title] = {
            "least training RMSE": repeats,
            "its place held out": f"{order[repeats]} of {len(order)}",
            "its verdict": verdict[repeats],
            "least held-out RMSE": foresees,
            "verdict of that one": verdict[foresees],
        }
    return pd.DataFrame(rows).T


# ---- What nobody rated ----------------------------------------------------------------------------------------------


def rated_and_true(models, ratings, threshold=8, n=10, n_splits=5):
    """Lists judged by the held-out ratings and by the true mean of every unseen cell, means over the splits of
    `ct.compare`; implicit models too. A good title counts where the test part has a rating of `threshold` or more."""
    expected, rows = lesson.truth(ratings), []
    for seed in np.random.SeedSequence(0).generate_state(n_splits).tolist():
        train, test = ratings.split_random(0.2, seed)
        unseen = np.nonzero(~lesson.known(train))
        every = replace(train, rows=unseen[0], cols=unseen[1], values=expected[unseen], times=None)
        hit = lesson.known(test.part(test.values >= threshold))
        for name, model in models.items():
            lists = ct.top_lists(clone(model).fit(train), test, n)
            cells = np.arange(len(lists))[:, None], lists
            good = expected[cells] >= threshold
            rows.append({
                "model": name,
                "NDCG, rated": ct.ranking_metrics(lists, test, threshold)["ndcg"].mean(),
                "NDCG, true": ct.ranking_metrics(lists, every, threshold)["ndcg"].mean(),
                f"good of {n}": good.sum(axis=1).mean(),
                "counted, %": 100 * hit[cells][good].mean(),
            })  # fmt: skip
    table = pd.DataFrame(rows).groupby("model", sort=False).mean()
    return table.round({"NDCG, rated": 3, "NDCG, true": 3, f"good of {n}": 1, "counted, %": 1})


def by_count(models, train, test, side, edges):
    """Clipped held-out RMSE of each fitted model for viewers ("rows") or titles ("cols") with few, some and many
    training ratings."""
    counts = np.bincount(getattr(train, side), minlength=max(train.shape))[getattr(test, side)]
    group = np.digitize(counts, [edge + 1 for edge in edges])
    names = [f"up to {edges[0]}", f"{edges[0] + 1} to {edges[1]}", f"above {edges[1]}"]
    table = {
        label: {model: ct.rmse(fit, test.part(group == at), clip=True) for model, fit in models.items()}
        for at, label in enumerate(names)
    }
    return pd.DataFrame(table)


def plot_groups(panels):
    """Held-out error by the number of training ratings, one panel a side of the table: {what the group is: frame}."""
    fig, axes = plt.subplots(1, len(panels), figsize=(10, 4), sharey=True)
    for ax, (side, table) in zip(axes, panels.items(), strict=True):
        for model, row in table.iterrows():
            ax.plot(range(len(row)), row.to_numpy(), **(look(model) | {"linestyle": "-"}), linewidth=1, label=model)
        ax.set_xticks(range(len(table.columns)), table.columns)
        ax.set(xlabel=f"training ratings of the {side}", title=f"by {side}")
    axes[0].set_ylabel("held-out RMSE, clipped\n(rating points)")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, frameon=False)
    fig.suptitle("One average hides several kinds of viewer and of title (simulated, one split)", fontsize=12)
    lowest = {side: table.idxmin().items() for side, table in panels.items()}
    words = [f"{group} ratings of the {side} {model}" for side, pairs in lowest.items() for group, model in pairs]
    lesson.show(fig, seen=f"Lines cross. The lowest: {'; '.join(words)}.")


# ---- Quizzes --------------------------------------------------------------------------------------------------------


@lesson.quiz
def copy_held_out():
    """A copy repeats what it saw and says the mean elsewhere: its held-out RMSE on the one hidden cell?"""
    small = ct.Ratings.from_matrix([[8, 4], [4, 6]])
    error = ct.rmse(ct.GlobalMean().fit(small.part([0, 1, 2])), small.part([3]))
    return lesson.Quiz(
        answer=error,
        tol=0.005,
        because="T holds the hidden cell alone, so the three perfect cells do not count: the error is |5.33 - 6|.",
        hint="Which cells are in T, and what does the copy say there?",
        wrong=(
            (0.0, "That is its training RMSE. The copy is perfect where it has seen the answer, and only there."),
            (error / 2, "You divided by all four cells. T holds the hidden one alone."),
            (error**2, "That is the mean squared error: the root is missing."),
        ),
    )


@lesson.quiz
def verdict_of_three():
    """Three paired differences on 80/20 splits: better, tie or worse?"""
    d = np.array([-0.27, -0.20, -0.13])
    mean, half = ct.split_interval(d, n_train=80, n_test=20)
    plain = 4.303 * d.std(ddof=1) / np.sqrt(3)
    verdict = "tie" if abs(mean) <= half else "better" if mean < 0 else "worse"
    return lesson.Quiz(
        answer=verdict,
        choices=("better", "tie", "worse"),
        because=f"The mean is {mean:.2f} and the half width {half:.3f}: the interval holds 0. Without the correction "
        f"term the half width would be {plain:.3f}, and the verdict another one.",
        hint="Compute the mean, the standard deviation and the half width h.",
        wrong=(
            (
                "better",
                f"All three differences are negative, and with 1/J alone the half width is {plain:.3f}, below the "
                "mean. But the splits share their training ratings: the term n_test/n_train is missing.",
            ),
            ("worse", "The differences are errors of B minus errors of A; a negative one is in favour of B."),
        ),
    )


def fixed_predictions(values):
    """A model that predicts these numbers for one viewer, also where they lie beyond the scale of the ratings."""
    return ct.BiasBaseline(reg=1e-9).fit(ct.Ratings.from_matrix([values], scale=(1, 11)))


@lesson.quiz
def clipped_error():
    """Predictions 10.6 and 8 for ratings 9 and 10: the clipped RMSE?"""
    model, test = fixed_predictions([10.6, 8]), ct.Ratings.from_matrix([[9, 10]])
    return lesson.Quiz(
        answer=ct.rmse(model, test, clip=True),
        tol=0.005,
        because="10.6 is cut to 10, so the two errors are 1 and -2; the root of their mean square is the answer.",
        hint="Cut each prediction to 1..10 first, then take errors, squares, mean, root.",
        wrong=(
            (ct.rmse(model, test), "That is the raw error: 10.6 was not cut to 10."),
            (ct.rmse(model, test.part([1])), "Clipping moves a prediction; it does not leave the cell out."),
            (np.sqrt(2), "You moved 10.6 to the rating itself. It is cut at the end of the scale, 10, not at 9."),
        ),
    )


@lesson.quiz
def lowered_predictions():
    """Every prediction of a model is lowered by two points: does its NDCG rise, fall or stay?"""
    train, test = ct.load_ratings(ct.DATA / "100x100.csv").split_random(0.2, random_state=0)
    model = ct.BiasBaseline().fit(train)
    before = ct.ranking_metrics(ct.top_lists(model, test), test, threshold=8)["ndcg"].mean()
    model.global_mean_ = model.global_mean_ - 2
    after = ct.ranking_metrics(ct.top_lists(model, test), test, threshold=8)["ndcg"].mean()
    return lesson.Quiz(
        answer="stay" if abs(after - before) < 1e-9 else "rise" if after > before else "fall",
        choices=("rise", "fall", "stay"),
        because="The order of the titles is the same, so every list is. The RMSE of this model is another matter.",
        hint="What does a list keep of the predictions?",
        wrong=(
            ("fall", "You thought of the RMSE, which such a shift ruins. A list keeps the order alone."),
            ("rise", "A lower prediction is not a more careful list: the order has not changed at all."),
        ),
    )


@lesson.quiz
def ndcg_of_a_miss():
    """The list (B, A): A was rated 9 in the test part, B was rated by nobody and would have been a 10. NDCG@2?"""
    nan = np.nan
    lists = np.array([[1, 0]])
    rated = ct.ranking_metrics(lists, ct.Ratings.from_matrix([[9, nan, 5]]), threshold=8).iloc[0]
    every = ct.ranking_metrics(lists, ct.Ratings.from_matrix([[9, 10, 5]]), threshold=8).iloc[0]
    ideal_of_two = 1 + 1 / np.log2(3)
    return lesson.Quiz(
        answer=float(rated["ndcg"]),
        tol=0.005,
        because="Only A counts, on rank 2: 1/log2(3), divided by the 1 that A on rank 1 would have given. The better "
        "title B costs the list points because nobody asked the viewer.",
        hint="Gains are 1 for a title rated 8 or better in the test part, and 0 for every other one.",
        wrong=(
            (float(every["ndcg"]), "That is the true NDCG. You know that B is a 10; the metric knows only ratings."),
            (float(rated["precision"]), "That is the precision: one hit among two. NDCG also looks at the rank."),
            (
                float(rated["ndcg"]) / ideal_of_two,
                "Your ideal list has two relevant titles. For the metric there is only one, A.",
            ),
        ),
    )
