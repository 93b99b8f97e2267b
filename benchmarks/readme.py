"""Fill benchmarks/RESULTS.md and the output in README.md, and draw README's picture, from the committed results files.

python benchmarks/readme.py              # no data needed: it reads benchmarks/results/ only
"""

import json
import re
from pathlib import Path

import numpy as np

import content_table as ct

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
COURSE_NAMES = {
    "baseline": "Baseline, λ=5",
    "ALS as published": "ALS, k=20, λ=0.1, 1000 passes",
    "spectral": "Spectral, λ=5",
    "nuclear norm": "Nuclear norm",
}
PUBLISHED = {
    "baseline": ("1.4950463225", "1.5656342546"),
    "ALS as published": ("0.0177", "0.0216"),
    "spectral": ("0.7436389", "0.9385516"),
    "nuclear norm": ("about 1e-9", "about 1e-9"),
}  # training RMSE, from the course project


def read(name):
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def three(value):
    """Three digits, a half to the even digit, as the lessons' tables round what the files hold."""
    return f"{np.round(value, 3):.3f}"


def markdown(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def published_table(real):
    """The course's training errors beside ours."""
    rows = []
    for model, name in COURSE_NAMES.items():
        ours = [real["training"][table][model] for table in ("data 1", "data 2")]
        shown = [f"{value:.7f}" if value > 1e-6 else "below 1e-6" for value in ours]
        rows.append([name, PUBLISHED[model][0], shown[0], PUBLISHED[model][1], shown[1]])
    return markdown(["training RMSE", "data 1, published", "data 1, ours", "data 2, published", "data 2, ours"], rows)


def honest_table(real):
    """Held-out error of every model on both real tables, ordered by the first."""
    cells = {}
    for table in ("data 1", "data 2"):
        verdicts = {row["model"]: row["verdict"] for row in real["paired"][table]}
        for row in real["held_out"][table]:
            shown = f"{three(row['rmse_clipped'])} ± {three(row['half_width'])}"
            cells.setdefault(row["model"], []).extend([three(row["train_rmse"]), shown, verdicts[row["model"]]])
    rows = [[model, *values] for model, values in cells.items()]
    header = ["model", "training", "**held out**", "vs baseline", "training", "**held out**", "vs baseline"]
    return markdown(header, rows)


def tuned_table(runs):
    """Both real tables with everything tuned inside each split: errors, the verdict against the baseline, and lists."""
    cells = {}
    for table in runs["tables"].values():
        verdicts = {row["model"]: row["verdict"] for row in table["paired"]["baseline"]}
        for row in table["comparison"]:
            scored = row["rmse_clipped"] is not None
            error = f"{three(row['rmse_clipped'])} ± {three(row['half_width'])}" if scored else ""
            shown = [three(row["train_rmse"]) if scored else "", error, verdicts.get(row["model"], "")]
            cells.setdefault(row["model"], []).extend([*shown, three(row["ndcg"])])
    header = ["model", *["training", "**held out**", "vs baseline", "NDCG@10"] * len(runs["tables"])]
    return markdown(header, [[model, *values] for model, values in cells.items()])


def other_splits_table(runs):
    """Data 2: the same two procedures on other sets of 20 splits."""
    first = {row["model"]: row["rmse_clipped"] for row in runs["tables"]["data 2"]["comparison"]}
    sets = {"0": first, **runs["other_splits"]}
    sets["mean"] = {name: mean_of([means[name] for means in sets.values()]) for name in ("baseline", "chosen")}
    rows = [
        [seed, f"{means['baseline']:.3f}", f"{means['chosen']:.3f}", f"{means['chosen'] - means['baseline']:+.3f}"]
        for seed, means in sets.items()
    ]
    return markdown(["random_state of the 20 splits", "baseline", "chosen", "difference"], rows)


def lists_table(runs):
    """What the lists of each model are like, on both real tables."""
    columns = ("recall", "coverage", "diversity", "novelty", "stability", "rated_precision")
    cells = {}
    for table in runs["tables"].values():
        for row in table["comparison"]:
            shown = ["" if row[name] is None else f"{row[name]:.2f}" for name in columns]
            cells.setdefault(row["model"], []).extend(shown)
    header = ["model", *["recall@10", "coverage", "diversity", "novelty", "stability", "rated-only P@10"] * 2]
    return markdown(header, [[model, *values] for model, values in cells.items()])


def list_models_tables(runs):
    """Lists of the full catalogue, tuned inside each split: a table for each data set, the best first."""
    tables = []
    for name, one in runs["data"].items():
        peer = {row["model"]: row["verdict"] for row in one["paired"].get("implicit's ALS", [])}
        plain = {row["model"]: row["verdict"] for row in one["paired"]["EASE"]}
        rows = []
        for row in one["means"]:
            shares = [f"{row[key]:.2f}" if row[key] is not None else "" for key in ("recall", "coverage", "novelty")]
            seconds = [f"{row[key]:.2g}" if row[key] is not None else "" for key in ("fit_seconds", "list_seconds")]
            model, ndcg = row["model"], f"{three(row['ndcg'])} ± {three(row['half_width'])}"
            rows.append([model, ndcg, peer.get(model, ""), plain.get(model, ""), *shares, *seconds])
        header = [name, "**NDCG@10**", "vs implicit's ALS", "vs EASE", "recall@10", "coverage", "novelty", "fit s"]
        tables.append(markdown([*header, "lists s"], rows))
    return "\n\n".join(tables)


def choices_table(runs):
    """Lists of EASE before and after the titles are dealt again, popularity and chance beside it."""
    rows = []
    for name, one in runs["data"].items():
        for row in one["gains"]:
            if row["model"] == "EASE":
                chance = next(r["ndcg"] for r in one["gains"] if (r["table"], r["model"]) == (row["table"], "random"))
                gain = f"{row['gain']:+.3f} ± {row['half_width']:.3f}"
                figures = map(three, (row["ndcg"], row["popularity"], chance))
                rows.append([name, row["table"], *figures, gain])
    table = markdown(["table", "", "EASE", "popularity", "random", "EASE less popularity"], rows)
    tuned = [f"{name} {three(one['by its lists']['ndcg'])} ± {three(one['by its lists']['half_width'])}"
             for name, one in runs["data"].items()]  # fmt: skip
    return f"{table}\n\nALS with biases, tuned by its lists: {', '.join(tuned)}."


def autoencoders_table(runs):
    """Linear autoencoders tuned alike, and of all rows how many hits are loved and disliked."""
    rows = []
    for name, one in runs["data"].items():
        less = {row["model"]: f"{row['difference']:+.3f} ± {row['half_width']:.3f}" for row in one["paired"]}
        for row in one["means"]:
            whole = row["ndcg"] is None
            shares = [f"{row[kind] / row['hits']:.0%}" for kind in ("loved", "disliked")]
            ndcg, hits = ("", "") if whole else (three(row["ndcg"]), f"{row['hits']:.2f}")
            linear = less.get(row["model"], "") if row["model"] != "constrained" else ""
            rows.append([name, row["model"], ndcg, linear, hits, *shares])
    header = ["table", "", "NDCG@10", "less constrained", "hits a list", "of them loved", "of them disliked"]
    return markdown(header, rows)


def smoothing_table(runs):
    """Lists by how far likes have travelled along the graph, nothing tuned."""
    names = {"paths": "paths, degrees ignored", "steps": "rounds, the last place alone", "layers": "layers averaged"}
    names["directions"] = "singular directions, whole"
    rows = []
    for name, one in runs["data"].items():
        for row in one["filters"]:
            less = f"{row['difference']:+.3f} ± {row['half_width']:.3f}"
            rows.append([name, names[row["family"]], row["count"], three(row["ndcg"]), less, f"{row['shared']:.1f}"])
    table = markdown(["table", "filter", "how many", "NDCG@10", "less one round", "of 10, popularity's"], rows)
    spectra = {"sample": runs["sample"]} | runs["data"]
    seconds = [
        f"{name} {one['singular_values'][1]:.2f} and {one['dealt_again'][1]:.2f}" for name, one in spectra.items()
    ]
    return f"{table}\n\nThe second singular value as it is, and dealt again: {', '.join(seconds)}."


def many_titles_table(runs):
    """EASE by the number of titles: what a fit takes, and its certificate where that was asked for."""
    rows = []
    for row in runs["rows"]:
        certified = row["relative_gap"] is not None
        checked = [f"{row['certificate_seconds']:.0f}", f"{row['relative_gap']:.0e}"] if certified else ["", ""]
        sizes = [f"{row['titles']:,}", f"{row['viewers']:,}", row["dtype"]]
        added, milliseconds = row["MB"] - row["MB_of_the_table"], 1e3 * row["list_seconds"]
        own = [f"{row['seconds']:.0f}", f"{added:,.0f}", f"{milliseconds:.1f}"]
        rows.append([*sizes, *own, *checked])
    header = ["titles", "viewers", "dtype", "fit, s", "MB added", "a list, ms", "certificate, s", "relative gap"]
    return markdown(header, rows)


def by_time_table(runs):
    """ContentMF on MovieLens, tuned on the validation part of two splits by time: mean test RMSE over the seeds."""
    names = {
        "train only": "trained on the training part",
        "train and validation": "on training and validation",
        "biases": "biases, training part",
        "biases, train and validation": "biases, training and validation",
    }
    rows = []
    for key, label in (("split_user_time", "per user, in time order"), ("split_global_time", "at one date for all")):
        run = runs["movielens"][key]
        new = f"{run['data']['new_test_viewers']} of {run['data']['test_viewers']}"
        rows.append([label, new, sum(run["trials"].values()), f"{run['seconds']:.0f} s",
                     *(f"{mean_of(run['rmse'][name]):.4f}" for name in names)])  # fmt: skip
    return markdown(["split by time", "new test viewers", "trials", "search took", *names.values()], rows)


def bayes_tables(runs):
    """`BayesianFM`: its error and log score, the coverage of its intervals, and its cost."""
    films = runs["movielens"]
    parts = {"data 1": runs["tables"]["data 1"], "data 2": runs["tables"]["data 2"]}
    parts |= {f"MovieLens, {name}": films[name] for name in ("train only", "train and validation")}
    rows = [[name, f"{one['rmse']:.4f}", f"{one['log_score']:.3f}", *(f"{share:.3f}" for share in one["coverage"])]
            for name, one in parts.items()]  # fmt: skip
    sample = {"the sample, held out": "held out", "the sample, cells that nobody rated": "unrated"}
    rows += [[name, "", "", *(f"{x:.3f}" for x in runs["sample"][key])] for name, key in sample.items()]
    accuracy = markdown(["held-out ratings", "RMSE", "log score", "in the 50 % interval", "80 %", "95 %"], rows)
    beside = films["beside myfm"]
    cost = [[f"BayesianFM, {n} sweeps", one["rmse"], one["seconds"]] for n, one in beside["BayesianFM"].items()]
    cost += [["myfm, 300 sweeps", beside["myfm"]["rmse"], beside["myfm"]["seconds"]]]
    sweeps = [[f"{one['n_ratings']:,}", one["seconds"], one["megabytes"]] for one in runs["growth"]]
    noise, cells = films["chains"]["noise"], films["chains"]["predictions"]["r_hat"]
    chains = (
        f"Two chains of 300 sweeps on MovieLens: R-hat of the noise {noise['r_hat']:.2f}, of a hundred predictions "
        f"{cells['50%']:.2f}\nin the median, {cells['max']:.2f} at most. The noise has not settled; most of them have."
    )
    tables = [markdown(["MovieLens, one seed", "RMSE", "seconds"], cost),
              markdown(["ratings", "seconds a sweep", "MB"], sweeps)]  # fmt: skip
    return "\n\n".join([accuracy, chains, *tables, f"Machine: {runs['settings']['machine']}."])


def ladder_table(runs):
    """What each kind of feature brings to a `BayesianFM`: errors, and paired differences to factors with genres."""
    parts = {(name, how): table[how] for name, table in runs["tables"].items() for how in table if how in LADDERS}
    models = dict.fromkeys(model for part in parts.values() for model in part)

    def cell(row):
        return f"{row['rmse']:.3f} ({row['minus'][0]:+.3f} ± {row['minus'][1]:.3f})" if row else ""

    rows = [[model, *(cell(part.get(model)) for part in parts.values())] for model in models]
    return markdown(["", *(f"{name}, {LADDERS[how]}" for name, how in parts)], rows)


LADDERS = {"random": "at random", "by time": "by time", "new titles": "new titles"}


def parts_tables(runs):
    """`NMF` beside `ALS`: clipped RMSE, how alike the parts of two starts are, and what a fit of MovieLens costs."""
    names = ("baseline", "ALS", "NMF", "ALS with biases", "NMF with biases")
    rows = []
    for table, one in runs["tables"].items():
        less = {row["model"]: row for row in one["paired"]["baseline"]}
        shown = [f"{one['mean'][name]['rmse_clipped']:.3f} ({less[name]['verdict']})" for name in names]
        rows.append([table, *shown])
    accuracy = markdown(["held-out RMSE (vs baseline)", *names], rows)
    counts = list(runs["tables"]["data 1"]["alike"]["parts"])
    alike = [[f"{table}, {what}", *(f"{one['alike'][what][k]:.2f}" for k in counts)]
             for table, one in runs["tables"].items() if "alike" in one for what in one["alike"]]  # fmt: skip
    clock = [[name, f"{1000 * one['pass']:.1f}", one["passes"], one["fit"]] for name, one in runs["seconds"].items()]
    tables = [markdown(["correlation of two starts", *(f"{k} parts" for k in counts)], alike),
              markdown(["MovieLens", "ms a pass", "passes", "seconds a fit"], clock)]  # fmt: skip
    return "\n\n".join([accuracy, *tables, f"Machine: {runs['settings']['machine']}."])


def loops_table(runs):
    """What ten evenings of each arm end with."""
    keys = {"error": "error in the drawer", "shown": "true rating shown", "shown first three": "in the first three",
            "never shown": "titles never shown"}  # fmt: skip
    digits = {"never shown": 1}
    rows = [[arm, *("{:.{d}f} ± {:.{d}f}".format(*one[key], d=digits.get(key, 2)) for key in keys)]
            for arm, one in runs["arms"].items()]  # fmt: skip
    return markdown(["arm", *keys.values()], rows)


def products_table(runs):
    """How far a network, and a model with the product built in, are from products of vectors."""
    rows = {}
    for one in runs["products"]:
        rows.setdefault(f"{one['pairs']:,}", []).append(
            f"{np.mean(one['network']):.3f} / {np.mean(one['built in']):.3f}"
        )
    sizes = sorted({one["k"] for one in runs["products"]})
    return markdown(["pairs", *(f"{k} numbers" for k in sizes)], [[pairs, *row] for pairs, row in rows.items()])


def defaults_table(runs):
    """Every model as it comes, against the biases alone: MovieLens by time and at random, and the two course tables."""
    by_split = [runs["movielens"]["random"], *(table["random"] for table in runs["tables"].values())]
    rows = []
    for name, time_row in sorted(runs["movielens"]["by_time"].items(), key=lambda item: item[1]["difference"]):
        if name == "baseline":
            continue
        cells = [f"{time_row['difference']:+.4f} ({time_row['low']:+.4f} to {time_row['high']:+.4f})"]
        for table in by_split:
            (row,) = [row for row in table if row["model"] == name]
            cells.append(f"{row['difference']:+.3f} ± {row['half_width']:.3f}")
        rows.append([name, *cells])
    header = ["model, as it comes", "MovieLens by time", "MovieLens, random splits", "data 1", "data 2"]
    return markdown(header, rows)


def solver_table(runs):
    rows = []
    for name, row in runs["rows"].items():
        times = [f"{row['ours_s'] * 1000:.1f} ms", f"{row['cvxpy_s']:.3g} s", f"{row['ratio']:.0f}"]
        rows.append([name, *times, row["our_gap"], row["cvxpy_gap"]])
    return markdown(["problem", "ours", "cvxpy", "times faster", "our certified gap", "cvxpy's certified gap"], rows)


def movielens_table(runs):
    rows = [
        [row["reg"], row["rank"], row["relative_gap"], row["train_rmse"], row["validation_rmse"], row["seconds"]]
        for row in runs["path"]
    ]
    return markdown(["λ", "rank", "certified relative gap", "training RMSE", "validation RMSE", "seconds"], rows)


def mean_of(values):
    return sum(values) / len(values)


def content_table(runs):
    """Every model on MovieLens latest-small, means over the seeds, and what content has over it."""
    rows = []
    for name, row in runs["models"].items():
        less = runs["content_minus"].get(name)
        shown = (
            "reference" if less is None else f"{less['difference']:+.4f} ({less['low']:+.4f} to {less['high']:+.4f})"
        )
        figures = [f"{mean_of(row[key]):.4f}" for key in ("validation_rmse", "test_rmse", "test_rmse_clipped")]
        rows.append([name, len(row["test_rmse"]), *figures, shown])
    header = ["model", "seeds", "validation RMSE", "test RMSE, raw", "clipped", "content minus this model"]
    return markdown(header, rows)


def misalignment_table(runs):
    rows = []
    for name in runs["misalignment"]["tuned"]:
        cells = []
        for kind in ("as published", "tuned"):
            row = runs["misalignment"][kind][name]
            cells.append(
                f"{mean_of(row['test_rmse']):.4f} ({min(row['test_rmse']):.4f} to {max(row['test_rmse']):.4f})"
            )
        rows.append([name, *cells])
    return markdown(["item i gets", "published hyper-parameters", "tuned, with the decade"], rows)


def text_table(runs):
    rows = []
    for name, row in runs["texts"].items():
        less = row["minus_SGD"]
        gain = f"{less['difference']:+.4f} ({less['low']:+.4f} to {less['high']:+.4f})"
        rows.append([name, row["terms"], f"{mean_of(row['test_rmse']):.4f}", gain])
    return markdown(["texts", "terms", "test RMSE, raw", "minus SGD without texts (clipped)"], rows)


def ranking_table(runs, protocol):
    """P@10 and R@10 between random and ceiling, NDCG@10 and its difference from popularity, for both thresholds."""
    cells = {}
    for threshold in ("3.5", "4.0"):
        part = runs["ranking"][f"{protocol}, threshold {threshold}"]
        against = {row["model"]: row for row in part["ndcg_minus_popularity"]}
        for row in part["summary"]:
            precision = f"{row['precision']:.3f} ({row['precision_normalised']:.2f})"
            recall = f"{row['recall']:.3f} ({row['recall_normalised']:.2f})"
            verdict = against[row["model"]]["verdict"]
            shown = [precision, recall, f"{row['ndcg']:.3f}", "" if row["model"] == "ceiling" else verdict]
            cells.setdefault(row["model"], []).extend(shown)
    header = ["model", *["P@10", "R@10", "NDCG@10", "vs popularity"] * 2]
    return markdown(header, [[name, *row] for name, row in cells.items()])


def speed_table(runs):
    rates, times = runs["updates_per_second"], runs["times_the_plain_loop"]
    return markdown(
        ["one pass with content", "updates a second", "times the plain loop"],
        [[name, f"{rate:,}", f"{times[name]:g}"] for name, rate in rates.items()],
    )


def epoch_table(runs):
    times = runs["times_surprise"]
    rows = [[name, f"{ms:g} ms", f"{times[name]:g}"] for name, ms in runs["milliseconds_per_epoch"].items()]
    return markdown(["one pass without content", "time", "times faster than scikit-surprise"], rows)


def refit_table(runs):
    """Held-out error of new viewers who were folded in, the same after training with them, and the difference."""
    names = {"fold_in": "folded in", "refit": "retrained", "difference": "difference"}
    cells = {}
    for table, found in runs["tables"].items():
        for row in found["refit"]:
            shown = {key: f"{row[key]:.3f}" for key in ("fold_in", "refit")}
            shown["difference"] = f"{row['difference']:+.3f} ± {row['half_width']:.3f}"
            cells.setdefault(row["model"], {}).update({(table, key): shown[key] for key in names})
    keys = [(table, key) for table in runs["tables"] for key in names]
    header = ["model", *(f"{table}: {names[key]}" for table, key in keys)]
    return markdown(header, [[name, *(row.get(key, "") for key in keys)] for name, row in cells.items()])


def update_table(runs):
    """Held-out error of a stale and of an updated model less that of a refit, and what each takes."""
    header = ["table", "late", "model", "refit", "stale, more", "updated, more", "update", "fit"]
    rows = []
    for table, found in runs["tables"].items():
        for share, models in found["late"].items():
            for name, row in models.items():
                more = [
                    f"{row[f'{key}_minus_refit']:+.4f} ± {row[f'{key}_half_width']:.4f}" for key in ("stale", "updated")
                ]
                times = [f"{1000 * row[f'{key}_seconds']:.0f} ms" for key in ("update", "refit")]
                rows.append([table, share, name, f"{row['refit']:.4f}", *more, *times])
    return markdown(header, rows)


def newcomer_tables(runs):
    """Held-out error after so many ratings, and after so many questions, one table for each data set."""
    texts = []
    for name, table in runs["tables"].items():
        for what, unit in (("curves", "ratings"), ("asking", "questions")):
            rows = [[model, *(f"{value:.3f}" for value in row)] for model, row in table[what]["rmse"].items()]
            header = [f"{name}: {unit}", *table[what]["at"]]
            texts.append(markdown(header, rows))
    return "\n\n".join(texts)


def favourites_table(runs, names=("hybrid", "hybrid without genres", "no viewer's bias", "unlike the crowd", "EASE")):
    """NDCG@10 of the lists of viewers who told five favourites, against today's, and what else the lists are."""
    header = ["table", "list", "viewers", "NDCG@10", "more than by rating", "as for nobody", "expected liking, more"]
    rows = []
    for table, found in runs["tables"].items():
        for name in ("today", *names, "popularity", "random"):
            row = found["5 told"][name]
            more, liking = (
                f"{row[f'{key} more']:+.3f} ± {row[f'{key} half']:.3f}" if key in row and name != "today" else ""
                for key in ("ndcg", "liking")
            )
            shown = "by predicted rating" if name == "today" else name
            rows.append(
                [table, shown, f"{row['viewers']:.0f}", three(row["ndcg"]), more, f"{row['overlap']:.0%}", liking]
            )
    return markdown(header, rows)


def seconds_table(runs):
    rows = [[name, *(f"{1000 * row[key]:.2f} ms" for key in ("fold_in", "list", "reasons"))]
            for name, row in runs["seconds"].items()]  # fmt: skip
    return markdown(["table", "fold-in of ten ratings", "list of ten", "reasons for one title"], rows)


def scale_tables():
    """What was measured at a million to ten million ratings: one table a benchmark."""
    als, lists, tables = read("scale_als.json"), read("scale_topn.json"), read("scale_tables.json")
    descent, convex, cores = read("scale_sgd.json"), read("scale_certificates.json"), read("scale_cores.json")
    peers = {"ALS": "cmfrec", "Imp": "implicit"}
    rows = []
    for name, row in als["rows"].items():
        peer = als["rows"].get(peers.get(name[:3]), {})
        share = f"{row['seconds'] / peer['seconds']:.2f}" if peer else ""
        rows.append(
            [
                name,
                f"{row['seconds']:.1f}",
                f"{row['wall']:.1f}",
                f"{row['MB']:,.0f}",
                f"{row['objective']:,.0f}",
                share,
            ]
        )
    header = ["ten passes, rank 32", "CPU s", "wall s", "peak MB", "objective reached", "CPU, of the peer's"]
    texts = [
        "**ALS**, ten million ratings of 100,000 users on 20,000 titles (`benchmarks/scale_als.py`)",
        markdown(header, rows),
        "Half a pass over the users: {readable:.2f} s by the loop to be read, {ours:.2f} s by that of the fits, "
        "{gflops:.0f} GFlop/s; identical to the bit: {identical}.".format(**als["half_step"]),
        "**Lists** of ten for 100,000 users of 20,000 titles (`benchmarks/scale_topn.py`)",
        markdown(["", "users a second"], [[name, f"{rate:,.0f}"] for name, rate in lists["users_a_second"].items()]),
        f"Identical to those before: {lists['identical']}. All written as Parquet: "
        "{users_a_second:,.0f} users a second, {MB_added:.0f} MB of memory added.".format(**lists["written"]),
        "**Tables** of ten million ratings (`benchmarks/scale_tables.py`)",
        markdown(["", "s", "of the system", "MB added", "times pandas"], _table_rows(tables)),
        "**Descent**, one pass at rank 32, and the noise behind the first uncertainty (`benchmarks/scale_sgd.py`)",
        markdown(["table", "plain loop, s", "ours, s", "of it", "first uncertainty, s"], _descent_rows(descent)),
        "**Convex**, a million ratings of 6,000 users on 4,000 titles, to a certified gap of "
        f"{convex['settings']['gap']:g} (`benchmarks/scale_certificates.py`)",
        markdown(["", "s", "of it checks", "passes", "rank", "proven"], _convex_rows(convex)),
        "**Two cores**, wall seconds (`benchmarks/scale_cores.py`)",
        markdown(["", "one", "two", "speed-up"], _core_rows(cores)),
    ]
    return "\n\n".join([*texts, f"Machine: {als['settings']['machine']}, {als['settings']['date']}."])


def _table_rows(tables):
    return [
        [
            name,
            f"{row['seconds']:.2f}",
            f"{row['system']:.2f}",
            f"{row['MB']:.0f}",
            f"{row['ratio']:.2f}" if "ratio" in row else "",
        ]
        for name, row in tables["rows"].items()
    ]


def _descent_rows(descent):
    return [
        [
            f"{row['n_ratings']:,} ratings, {row['n_users']:,} x {row['n_items']:,}",
            f"{row['loop']:.2f}",
            f"{row['ours']:.2f}",
            f"{row['ours'] / row['loop']:.2f}",
            f"{row['noise']['first']:.2f}",
        ]
        for row in descent["rows"]
    ]


def _convex_rows(convex):
    return [
        [
            name,
            f"{row['seconds']:.1f}",
            f"{row['checks']:.1f}",
            row["passes"],
            row["rank"],
            "yes" if row["proven"] else "no",
        ]
        for name, row in convex["rows"].items()
    ]


def _core_rows(cores):
    return [
        [name, f"{row['one']:.1f}", f"{row['two']:.1f}", f"{row['speed_up']:.2f}"]
        for name, row in cores["rows"].items()
    ]


def spark_table(runs):
    rows = []
    for table, run in runs["tables"].items():
        for who in ("ours", "Spark"):
            row = run[who]
            alike = run["overlap"]["ours from two starts" if who == "ours" else "Spark and ours"]
            figures = f"{row['train_rmse']:.4f}", f"{row['objective']:,.1f}", f"{row['bound']:,.1f}"
            rows.append([table, who, *figures, f"{row['relative_gap']:.1e}", f"{100 * alike:.1f} %"])
    header = ["table", "factors by", "training RMSE", "objective", "no fit is below", "relative gap", "lists in common"]
    seconds = [[table, *(f"{value:.2f} s" for value in run["seconds"].values())]
               for table, run in runs["tables"].items()]  # fmt: skip
    names = next(iter(runs["tables"].values()))["seconds"]
    machine = (
        f"Machine: {runs['machine']}; PySpark {runs['pyspark']}, {runs['start_seconds']:.1f} s to start a session."
    )
    return "\n\n".join([markdown(header, rows), markdown(["table", *names], seconds), machine])


def core_table(runs):
    columns = list(runs["one_core"].values())
    rows = [[name, *(f"{column[name]:,}" for column in columns)] for name in columns[0]]
    return markdown(["one core", *runs["one_core"]], rows)


def mutants_table(runs):
    """What the tests noticed: the last sample by file as it was found, and each sample at first and now."""
    seed, last = sorted(runs["samples"].items())[-1]
    rows = [[file, *line.values()] for file, line in sorted(last["first"]["by_file"].items())]
    texts, shares = [markdown([f"{seed}, at first", "killed", "survived", "equivalent"], rows)], []
    for seed, sample in sorted(runs["samples"].items()):
        for when in ("first", "now"):
            found = sample[when]
            share = f"{found['score']:.1%} ({found['low']:.1%} to {found['high']:.1%})"
            shares.append(
                [
                    seed,
                    f"{sample['tried']} of {sample['drawn']}",
                    when,
                    *(found[name] for name in ("killed", "survived", "equivalent")),
                    share,
                ]
            )
    texts.append(markdown(["sample", "tried", "outcome", "killed", "survived", "equivalent", "score"], shares))
    return "\n\n".join(texts)


def run_block(printed):
    """What a command printed, as a block."""
    return f"```\n{printed.rstrip()}\n```"


def run_excerpt(printed, places=5):
    """The data and the first places of the list, of what `make run` printed."""
    lines = printed.splitlines()
    (start,) = (at for at, line in enumerate(lines) if line.startswith("For viewer"))
    end = start + places + 3  # whose list by which model, its certificate, the header
    return run_block("\n".join([lines[0], "...", *lines[start:end], "..."]))


def fill(path, sections):
    """Replace what stands between <!-- name --> and <!-- /name --> for each section."""
    text = path.read_text(encoding="utf-8")
    for name, body in sections.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        if not re.search(pattern, text, flags=re.S):
            raise ValueError(f"{path.name} has no place marked <!-- {name} -->.")
        text = re.sub(pattern, lambda match, body=body: f"{match[1]}{body}\n{match[2]}", text, flags=re.S)
    return text


def sections():
    """What the commands measured, as the pages show it: {file: {section: text}}."""
    real, solvers, films = read("real_tables.json"), read("convex_solvers.json"), read("movielens_spectral.json")
    content, speed, core = read("movielens_content.json"), read("sgd.json"), read("throughput.json")
    tuned, new, as_they_come = read("tuned.json"), read("cold_start.json"), read("defaults.json")
    likes, faults, printed = read("lists.json"), read("mutants.json"), (RESULTS / "run.txt").read_text(encoding="utf-8")
    chosen = films["chosen"]
    choice = (
        f"Chosen on the validation part: λ = {chosen['reg']:g}. Test RMSE {chosen['test_rmse']:.4f} raw, "
        f"{chosen['test_rmse_clipped']:.4f} clipped; biases alone {chosen['baseline_test_rmse']:.4f} raw. "
        f"{chosen['cold_test_cells']:,} test cells have a film or viewer without a training rating."
    )
    results = {
        "run": run_block(printed),
        "published": published_table(real),
        "honest": honest_table(real),
        "defaults": defaults_table(as_they_come),
        "tuned": tuned_table(tuned),
        "lists": lists_table(tuned),
        "list models": list_models_tables(likes) + f"\n\nMachine: {likes['settings']['machine']}, one of them used.",
        "choices": choices_table(read("choices.json")),
        "autoencoders": autoencoders_table(read("autoencoders.json")),
        "smoothing": smoothing_table(read("smoothing.json")),
        "many titles": many_titles_table(read("scale_ease.json")),
        "other splits": other_splits_table(tuned),
        "by time": by_time_table(tuned),
        "bayes": bayes_tables(read("bayes.json")),
        "parts": parts_tables(read("nmf.json")),
        "products": products_table(read("depth.json")),
        "loops": loops_table(read("loops.json")),
        "bayes ladder": ladder_table(read("bayes_ladder.json")),
        "solvers": solver_table(solvers),
        "solvers machine": f"Machine: {solvers['settings']['machine']}.",
        "movielens": movielens_table(films) + "\n\n" + choice,
        "content": content_table(content),
        "misalignment": misalignment_table(content),
        "texts": text_table(content),
        "rated-only": ranking_table(content, "rated_only"),
        "full-catalogue": ranking_table(content, "full_catalogue"),
        "speed": speed_table(speed) + "\n\n" + epoch_table(speed),
        "speed machine": f"Machine: {speed['settings']['machine']}; scikit-surprise {speed['settings']['surprise']}.",
        "new viewers": refit_table(new),
        "cold start": newcomer_tables(new),
        "favourites": favourites_table(read("favourites.json")),
        "update": update_table(read("update.json")) + f"\n\nMachine: {read('update.json')['machine']}.",
        "seconds": seconds_table(new) + f"\n\nMachine: {new['machine']}.",
        "scale": scale_tables(),
        "spark": spark_table(read("spark.json")),
        "mutants": mutants_table(faults),
        "one core": core_table(core) + f"\n\nMachine: {core['settings']['machine']}.",
    }
    return {"README.md": {"run": run_excerpt(printed)}, "benchmarks/RESULTS.md": results}


LOOKS = {
    "global mean": ("#999999", "X"),
    "baseline": ("#000000", "o"),
    "item neighbours": ("#CC79A7", "s"),
    "spectral": ("#56B4E9", "^"),
    "nuclear norm": ("#009E73", "D"),
    "ALS as published": ("#E69F00", "v"),
    "spectral with biases": ("#0072B2", "*"),
    "SGD": ("#8856A7", "P"),
    "content": ("#B2182B", "h"),
    "half spectral, half content": ("#000000", "x"),
    "mean of Bayesian FMs": ("#D55E00", "p"),
}


def draw(path):
    """README's picture: training error against held-out error, one marker a model, both real tables."""
    import matplotlib.pyplot as plt

    tuned = read("tuned.json")["tables"]
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.9), sharey=True)
    for ax, table in zip(axes, ("data 1", "data 2"), strict=True):
        rows = {row["model"]: row for row in tuned[table]["comparison"]}
        for name, (color, marker) in LOOKS.items():
            at = rows[name]["train_rmse"], rows[name]["rmse_clipped"], rows[name]["half_width"]
            ax.errorbar(*at, fmt=marker, color=color, ms=8, label=name)
        size = tuned[table]["data"]
        title = f"{size['n_users']} viewers x {size['n_items']} anime, real ratings"
        ax.set(xlabel="training RMSE (rating points)", title=title)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("held-out RMSE (rating points)")
    fig.suptitle(
        "A small error on the ratings that a model learnt from does not make a small one on others", fontsize=11
    )
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    fig.tight_layout(rect=(0, 0.13, 1, 1))
    fig.savefig(path, dpi=110, metadata={"Software": None})


def main():
    for name, parts in sections().items():
        path = HERE.parent / name
        text = fill(path, parts)
        ct.write_whole(path, lambda temporary, text=text: temporary.write_text(text, encoding="utf-8"))
        print(f"filled {name}: {', '.join(parts)}")
    draw(RESULTS / "honest.png")


if __name__ == "__main__":
    main()
