"""Figures and tables of lesson 99: the evidence behind each claim, read from the results files or computed live."""

import json
import warnings

import lesson
import lesson_11
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone

import content_table as ct

with warnings.catch_warnings():  # in Jupyter a part of Optuna asks for widgets that nothing here needs
    warnings.simplefilter("ignore")
    import optuna

TABLE_COLORS, TABLE_MARKERS = ("#0072B2", "#D55E00"), ("o", "s")  # of the two real tables


def filed(name):
    """What `python benchmarks/NAME.py` wrote: figures, settings and a hash of the data."""
    return json.loads(lesson.RESULTS.with_name(f"{name}.json").read_text(encoding="utf-8"))


def pm(difference, half_width):
    """A difference and half its 95 % interval."""
    return f"{difference:+.3f} ± {half_width:.3f}"


def column(name, key, table="comparison", reference="baseline"):
    """model -> one figure of `python benchmarks/tuned.py` on a real table."""
    part = filed("tuned")["tables"][name][table]
    return pd.DataFrame(part[reference] if table == "paired" else part).set_index("model")[key]


# ---- The claims ------------------------------------------------------------------------------------------------------


def chosen_cells(ratings, model, test):
    """Simulated viewers: mean true rating of the cells with a rating and of the others, and a model's RMSE there."""
    rated, parts = lesson.known(ratings), lesson.oracle_parts(ratings, test)
    expected, names = lesson.truth(ratings), list(parts)
    errors = [ct.rmse(model, parts[name], clip=True) for name in names[1:]]
    rows = {"mean true rating, all such cells": [expected[rated].mean(), expected[~rated].mean()]}
    rows |= {"RMSE of the baseline against it": errors}
    return pd.DataFrame(rows, index=["rated", "not rated"]).T.round(2)


def share_of_the_way():
    """On each real table: held-out RMSE of the mean, of the tuned baseline and of the best row, and the share of the
    way from the first to the last that the baseline goes."""
    rows = {}
    for name in filed("tuned")["tables"]:
        held_out = column(name, "rmse_clipped").dropna()
        mean, base, best = held_out["global mean"], held_out["baseline"], held_out.min()
        share = f"{(mean - base) / (mean - best):.0%}"
        figures = {"global mean": f"{mean:.3f}", "baseline": f"{base:.3f}", "best row": f"{best:.3f}"}
        rows[f"real {name}"] = figures | {"that is": held_out.idxmin(), "share of the way": share}
    return pd.DataFrame(rows).T


def print_floor(train, test, baseline):
    """Simulated viewers, one split: held-out RMSE of the mean, of the baseline, and of the truth itself."""
    truth = lesson.truth(test)[test.rows, test.cols]
    floor, mean = np.sqrt(np.mean((truth - test.values) ** 2)), ct.GlobalMean().fit(train)
    errors = {"global mean": ct.rmse(mean, test, clip=True), "baseline": ct.rmse(baseline, test, clip=True)}
    said = ", ".join(f"{name} {error:.2f}" for name, error in errors.items())
    print(f"simulated, one split, held out: {said}, the truth itself {floor:.2f}")


def training_and_held_out(models):
    """Training and held-out RMSE of models on the real tables, the verdict, and the certified gap of the published
    settings on all ratings."""
    parts = {}
    for name in filed("tuned")["tables"]:
        gaps = filed("real_tables")["certified_gap"][name]
        parts[f"real {name}"] = pd.DataFrame(
            {
                "training": column(name, "train_rmse").round(3),
                "held out": column(name, "rmse_clipped").round(3),
                "verdict": column(name, "verdict", "paired"),
                "certified gap": pd.Series(gaps),
            }
        )
    return pd.concat(parts, axis=1).loc[list(models)]


def stopped_or_penalised(ratings):
    """SGD to the end, stopped early, and to the end with a stronger penalty: size of the factors, training RMSE and
    held-out RMSE on ratings that chose nothing. Simulated viewers."""
    rest, test = ratings.split_random(0.2, random_state=0)
    train, validation = rest.split_random(0.2, random_state=1)
    common = {"n_factors": 5, "learning_rate": 0.02, "n_epochs": 150}
    models = {
        "to the end": ct.SGDMF(reg=0.1, patience=None, **common).fit(train),
        "stopped early": ct.SGDMF(reg=0.1, patience=30, **common).fit(train, validation),
        "stronger penalty": ct.SGDMF(reg=0.4, patience=None, **common).fit(train),
    }
    rows = {
        name: {
            "size of the factors": (model.user_factors_**2).sum() + (model.item_factors_**2).sum(),
            "training": ct.rmse(model, train),
            "held out": ct.rmse(model, test, clip=True),
        }
        for name, model in models.items()
    }
    return pd.DataFrame(rows).T.round({"size of the factors": -1, "training": 2, "held out": 2})


def print_als_passes(start="random", passes=(10, 100, 1000)):
    """Held-out RMSE of the published ALS on the real tables after so many passes."""
    for name, run in filed("real_tables")["als_passes"].items():
        errors = ", ".join(f"{run[start][run['passes'].index(p)]:.2f} after {p}" for p in passes)
        print(f"real {name}, ALS as published from a {start} start, held out: {errors} passes")


def solvers():
    """Seconds of our solvers and of cvxpy, both certified to the same relative gap, on real table 1."""
    rows = filed("convex_solvers")["rows"]
    return pd.DataFrame(
        {name: {"ours, ms": f"{1000 * row['ours_s']:.1f}", "cvxpy, ms": f"{1000 * row['cvxpy_s']:.0f}",
                "times faster": f"{row['ratio']:.0f}"} for name, row in rows.items()}
    ).T  # fmt: skip


def print_sgd():
    """Compiled SGD against the same steps in plain Python, and against a compiled library."""
    found = filed("sgd")
    loop = found["times_the_plain_loop"]["ours with content, pass in the order of the file, as the loops"]
    library = found["times_surprise"]["ours without content, whole fit"]
    print(
        f"SGD, times faster: one pass against plain Python {loop:.0f}; a fit against a compiled library {library:.1f}"
    )


def rows_of_content():
    """MovieLens: test RMSE with the rows of content right and wrong, the cost of wrong rows, the gain over SGD."""
    found, rows = filed("movielens_content"), {}
    for settings, runs in found["misalignment"].items():
        for name, run in runs.items():
            cost = run["minus_right"]
            said = (
                "" if name == "rows right" else f"{cost['difference']:+.3f} ({cost['low']:+.3f} to {cost['high']:+.3f})"
            )
            rows[settings, name] = {"test RMSE": f"{np.mean(run['test_rmse']):.3f}", "minus rows right": said}
    return pd.DataFrame(rows).T


def print_content_gains():
    """What content adds on the real sets: on MovieLens over SGD, on the anime tables over the tuned baseline."""
    gain = filed("movielens_content")["content_minus"]["SGD"]
    print(f"MovieLens, content minus SGD: {gain['difference']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})")
    for name in filed("tuned")["tables"]:
        said = [column(name, key, "paired")["content"] for key in ("difference", "half_width", "verdict")]
        print(f"real {name}, content minus the tuned baseline: {pm(*said[:2])}, {said[2]}")


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


def level_or_difference(model="spectral with biases"):
    """Half widths of a model's own interval and of its difference from the baseline on the same splits."""
    rows = {}
    for name in filed("tuned")["tables"]:
        rows[f"real {name}"] = {
            f"{model}, held out": pm(column(name, "rmse_clipped")[model], column(name, "half_width")[model])[1:],
            "minus baseline": pm(*(column(name, key, "paired")[model] for key in ("difference", "half_width"))),
            "verdict": column(name, "verdict", "paired")[model],
        }
    return pd.DataFrame(rows).T


def errors_and_lists(models):
    """Held-out RMSE and NDCG@10 over the full catalogue, real tables and MovieLens."""
    parts = {}
    for name in filed("tuned")["tables"]:
        parts[f"real {name}"] = {"RMSE": column(name, "rmse_clipped"), "NDCG": column(name, "ndcg")}
    films = filed("movielens_content")
    lists = pd.DataFrame(films["ranking"]["full_catalogue, threshold 3.5"]["summary"]).set_index("model")["ndcg"]
    errors = pd.Series({name: np.mean(run["test_rmse_clipped"]) for name, run in films["models"].items()})
    parts["MovieLens"] = {"RMSE": errors, "NDCG": lists}
    frame = pd.concat({name: pd.DataFrame(part).reindex(models) for name, part in parts.items()}, axis=1)
    return lesson_11.blank(frame)


def repeats(model, ratings, viewer):
    """Does a fold-in of a viewer's own ratings repeat the trained predictions, and do the reasons sum to each?"""
    own = ratings.rows == ratings.user_rows(viewer)[0]
    told = dict(zip(ratings.item_ids[ratings.cols[own]].tolist(), ratings.values[own].tolist(), strict=True))
    folded, trained = model.fold_in(told).scores, model.viewer(viewer).scores
    titles = model.recommend(viewer, 10)
    sums = [ct.explain(model, viewer, item)["contribution"].sum() for item in titles["item_id"].tolist()]
    print("fold-in repeats the training, to 1e-9:", bool(np.abs(folded - trained).max() < 1e-9))
    print("reasons sum to the prediction, ten titles:", bool(np.allclose(sums, titles["predicted_rating"], atol=1e-8)))


def print_fold_in():
    """The cost of a fold-in against training again on real ratings, and its time, as measured once."""
    found = filed("cold_start")
    for name in ("data 1", "MovieLens"):
        rows = {row["model"]: row for row in found["tables"][name]["refit"]}
        said = [
            f"{m} {pm(rows[m]['difference'], rows[m]['half_width'])}" for m in ("ALS with biases", "SGD", "content")
        ]
        print(f"real {name}, folded in minus trained again: {', '.join(said)}")
    print(f"MovieLens, one fold-in of ten ratings: {1000 * found['seconds']['MovieLens']['fold_in']:.1f} ms")


# ---- One figure for all of it ----------------------------------------------------------------------------------------


def both_verdicts():
    """{real table: {"error" or "list": differences from the tuned baseline}} by `python benchmarks/tuned.py`."""
    found = {}
    for name, table in filed("tuned")["tables"].items():
        splits = pd.DataFrame(table["splits"]).assign(n_train=80, n_test=20)
        splits = splits[~splits["model"].isin(["random", "ceiling"])].astype({"ndcg": float})
        lists = ct.paired_differences(splits, "baseline", metric="ndcg", larger_is_better=True)
        found[name] = {"error": pd.DataFrame(table["paired"]["baseline"]), "list": lists}
    return found


def in_words(found):
    """The figure as text: who is better and who is worse than the baseline, by error and by list."""
    said = []
    for name, parts in found.items():
        for part, table in parts.items():
            for word in ("better", "worse"):
                models = "; ".join(table.loc[table["verdict"] == word, "model"]) or "none"
                said.append(f"Real {name}, {word} than the baseline by {part}: {models}.")
    return " ".join(said)


def plot_error_and_list():
    """Every model's held-out error and NDCG@10 minus the tuned baseline's, real tables, 95 % intervals."""
    found = both_verdicts()
    first = next(iter(found.values()))
    by_error = first["error"].query("model != 'baseline'").sort_values("difference", kind="stable")["model"].tolist()
    names = by_error + [name for name in first["list"]["model"] if name not in [*by_error, "baseline"]]
    axes_of = {
        "error": ("held-out RMSE minus the baseline's (rating points)\nleft of the line is better", "Errors"),
        "list": (
            "NDCG@10 minus the baseline's (0 to 1)\nright of the line is better",
            "Lists, as the ratings judge them",
        ),
    }
    fig, axes = plt.subplots(1, 2, figsize=(10, 4.5), sharey=True, width_ratios=(1.25, 1))
    for ax, (part, (xlabel, title)) in zip(axes, axes_of.items(), strict=True):
        for at, name in enumerate(found):
            table = found[name][part].set_index("model").drop(index="baseline")
            places = [len(names) - names.index(model) + 0.15 - 0.3 * at for model in table.index]
            ax.errorbar(table["difference"], places, xerr=table["half_width"], color=TABLE_COLORS[at],
                        marker=TABLE_MARKERS[at], markersize=5, capsize=2, linestyle="none",
                        label=f"real {name}")  # fmt: skip
        ax.axvline(0, color="black", linestyle=":")
        ax.set_xlabel(xlabel, fontsize=10)
        ax.set(title=title)
    axes[0].set_yticks(range(len(names), 0, -1), names)
    axes[0].legend(loc="upper right", frameon=True)
    won = {part: [on[part].query("verdict == 'better'")["model"].tolist() for on in found.values()] for part in axes_of}
    both = {part: ", ".join(name for name in names if all(name in one for one in on)) for part, on in won.items()}
    fig.suptitle(
        f"Better than the biases on both tables: by error only “{both['error']}”, by lists only “{both['list']}”",
        fontsize=11,
    )
    what = "Every model minus the tuned baseline with 95 % intervals: left held-out RMSE, right NDCG@10."
    lesson.show(fig, alt=f"{what} {in_words(found)}")


# ---- What is not settled ---------------------------------------------------------------------------------------------


def print_unsettled():
    """The numbers behind the open questions, one line each, with the command that made them."""
    tuned, fixed, cold, films = (filed(n) for n in ("tuned", "real_tables", "cold_start", "movielens_content"))
    gain = [column("data 2", key, "paired")["chosen"] for key in ("difference", "half_width")]
    repeats = [run["chosen"] for run in tuned["other_splits"].values()] + [column("data 2", "rmse_clipped")["chosen"]]
    by_hand = {name: pd.DataFrame(rows).set_index("model")["rmse_clipped"] for name, rows in fixed["held_out"].items()}
    both = [f"{by_hand[n]['spectral with biases']:.3f} and {column(n, 'rmse_clipped')['spectral with biases']:.3f}"
            for n in by_hand]  # fmt: skip
    parts = {name: [column("data 2", key, "paired")[name] for key in ("difference", "half_width")]
             for name in ("spectral with biases", "content", "half spectral, half content")}  # fmt: skip
    inside = {name: {m: f"{run['inside']['10']:.2f}" for m, run in cold["tables"][name]["coverage"].items()}
              for name in ("data 1", "MovieLens")}  # fmt: skip
    spectral = {name: next(r for r in table["refit"] if r["model"] == "spectral")
                for name, table in cold["tables"].items() if name != "MovieLens"}  # fmt: skip
    tags = [f"{np.mean(films['texts'][t]['test_rmse']):.4f}"
            for t in ("genres, tags, decade", "genres, tags before the cut, decade")]  # fmt: skip
    start = films["settings"]["chosen"]["content"]
    same = all(start[key] == value for key, value in tuned["movielens"]["split_user_time"]["settings"].items())
    one_date, own_time = (tuned["movielens"][s]["rmse"] for s in ("split_global_time", "split_user_time"))
    refit = ("train and validation", "biases, train and validation")
    late = [f"{np.mean(one_date[key]) - np.mean(own_time[key]):+.2f}" for key in refit]
    count = sum(len(table["paired"]["baseline"]) - 1 for table in tuned["tables"].values())
    lines = {
        "data 2, chosen": f"{repeats[-1]:.3f}, minus baseline {pm(*gain)}; over four draws of 20 splits "
        f"{min(repeats):.3f} to {max(repeats):.3f}",
        "spectral with biases, by hand and tuned": f"data 1 {both[0]}, data 2 {both[1]}",
        "data 2, minus baseline": ", ".join(f"{name} {pm(*said)}" for name, said in parts.items()),
        "inside intervals that promise 0.80": "; ".join(
            f"{n} " + ", ".join(f"{m} {s}" for m, s in said.items()) for n, said in inside.items()
        ),
        "spectral, folded in minus trained again": ", ".join(
            f"{'simulated' if n == 'embedded' else n} {pm(r['difference'], r['half_width'])}"
            for n, r in spectral.items()
        ),
        "MovieLens, all tags and those before the cut": " and ".join(tags),
        "MovieLens, 30 trials kept the settings that they started from": str(same),
        "MovieLens, one date for all minus own time": f"content {late[0]}, biases {late[1]}",
        "verdicts on the two tables": f"{count}, so about {0.05 * count:.0f} would leave 0 out by luck alone",
    }
    for at, (what, said) in enumerate(lines.items(), 1):
        print(f"{at}. {what}: {said}")
