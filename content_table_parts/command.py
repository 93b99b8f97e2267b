"""The command line: train everything, print the honest table and a list; it is handed the models."""

import argparse
import functools
import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from tqdm import tqdm

from content_table_parts.exports import load_export
from content_table_parts.features import load_features
from content_table_parts.interrupts import whole_fits
from content_table_parts.places import DATA, WEIGHTS
from content_table_parts.readers import load_ratings
from content_table_parts.settings import check_number, printable
from content_table_parts.solvers import DivergenceError
from content_table_parts.study import (
    compare,
    comparison,
    evaluate_in_time,
    message_of,
    paired_differences,
    summarize,
)
from content_table_parts.tables import load_table

SOON = 5.0  # seconds after which somebody who waits wants to see something
READER_LEFT = 141  # what a shell reports of a program that wrote into a closed pipe: 128 + SIGPIPE


def _nowhere():
    """A stream for one that was closed before the command began; worker processes inherit it and stumble without it."""
    number = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: the closed one
    os.set_inheritable(number, True)
    return open(number, "w", closefd=False)


def _unwritten(stream):
    """The error, if any, that keeps a stream from being written to its end; it leads nowhere from then on."""
    try:
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or Python would try again as it ends
        return error
    return None


@contextmanager
def _outputs() -> Iterator[None]:
    """Make the streams fit to be printed on, and see at the end that everything has been written.

    Letters that the terminal lacks are written as escapes. Exit status 141, in silence, where the reader has left
    (`| head -1`), and 2 where the output does not fit on the disk.
    """
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, name, getattr(sys, name) or _nowhere())
    if isinstance(sys.stdout, io.TextIOWrapper):  # not so in a notebook
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)  # a reader may be waiting
    try:
        yield
    finally:
        errors = [error for stream in (sys.stderr, sys.stdout) if (error := _unwritten(stream))]
        if any(isinstance(error, BrokenPipeError) for error in errors):
            raise SystemExit(READER_LEFT)
        if errors:
            print(f"content_table: the output could not be written: {errors[-1]}", file=sys.stderr)
            raise SystemExit(2)


@_outputs()
def run(
    make_models: Callable[[Any], dict], rankers: dict, list_model: Any, arguments: Sequence[str] | None, about: str
) -> None:
    """Carry out the command line `arguments`.

    `make_models(item_features or None)` gives the models by name, "baseline" and "spectral with biases" among them;
    `rankers` are those for purchases without ratings, "popularity" among them; `list_model`, a `Hybrid`, makes the list
    for somebody new. Exit codes: 2 where something given is wrong, 130 after Ctrl-C.
    """
    options = _parser(about).parse_args(arguments)
    try:
        with whole_fits():
            _run(options, make_models, rankers, list_model)
    except KeyboardInterrupt:
        _parser(about).exit(130, "\ncontent_table: stopped by the keyboard.\n")
    except BrokenPipeError:
        raise SystemExit(READER_LEFT) from None
    except (ValueError, TypeError, KeyError, OSError, MemoryError, ImportError, DivergenceError) as error:
        _parser(about).exit(2, f"content_table: {printable(message_of(error))}\n")


def _say(text: Any = "", **options: Any) -> None:
    """Print it; titles, names and paths come from files of strangers."""
    print(printable(text), **options)


def _in_one_line(title):
    return " ".join(str(title).split())


def _parser(about):
    parser = argparse.ArgumentParser(prog="content_table", description=about)
    parser.add_argument("--data", help="anything that load_ratings or load_table reads; default: the sample")
    _table_arguments(parser.add_argument_group("a table with columns of other names (any of these: see load_table)"))
    parser.add_argument(
        "--purchases", action="store_true", help="no ratings: each row of the table is a purchase or view"
    )
    parser.add_argument(
        "--list",
        help="your own list (of MyAnimeList, AniList, Letterboxd, or a CSV with titles and scores): only a list for it",
    )
    parser.add_argument("--unknown", action="store_true", help="name the titles of your list that are not in the table")
    parser.add_argument("--rescale", action="store_true", help="stretch the scores of your list to the table's scale")
    parser.add_argument(
        "--scale", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of the ratings; default: 1 10, or MovieLens's"
    )
    parser.add_argument("--features", help="a catalogue whose genres load_features reads; default: the sample's own")
    parser.add_argument("--viewer", help="id or name; default: the first viewer with 25 ratings or more")
    parser.add_argument("--n", type=int, default=10, help="length of the list (default 10)")
    parser.add_argument("--splits", type=int, default=20, help="random 80/20 splits (default 20)")
    parser.add_argument(
        "--minutes",
        type=float,
        help="for the table, 0: no limit (default: 1.75; of purchases 0.75; of many ratings 0.5; of the sample 0)",
    )
    parser.add_argument("--jobs", type=int, default=1, help="fits run side by side (default 1)")
    parser.add_argument(
        "--save-weights", action="store_true", help="train on all ratings, write saved_weights/, and stop"
    )
    return parser


MANY = 500_000  # ratings, of which the slower models would need more minutes than one waits for a table
_COLUMNS = ("user", "item", "rating", "time", "title")
_DIALECT = ("sep", "decimal", "encoding", "repeats")


def _table_arguments(group):
    for role in _COLUMNS:
        group.add_argument(f"--{role}", metavar="COLUMN", help=f"the column with the {role}")
    group.add_argument("--sep", help="what separates the fields of a CSV; default: recognised by the header")
    group.add_argument("--decimal", choices=(".", ","), help="the decimal sign of a CSV; default: .")
    group.add_argument("--encoding", help="of a CSV, such as latin-1; default: utf-8")
    group.add_argument("--repeats", choices=("error", "last", "mean"), help="of one user and item; default: error")


def _load(options):
    """The ratings; by load_table where a flag of it was given."""
    told = {name: getattr(options, name) for name in (*_COLUMNS, *_DIALECT) if getattr(options, name) is not None}
    if options.purchases:
        told["rating"] = False
    if not told:
        return load_ratings(options.data, scale=options.scale)
    if told.get("sep") in ("\\t", "tab"):  # as a shell passes it on
        told["sep"] = "\t"
    return load_table(options.data, scale=options.scale, **told)


def _run(options, make_models, rankers, list_model):
    given = options.data is not None
    if not given:
        options.data = DATA / ("100x100.csv" if options.list is None else "sparse.csv")
    ratings = _load(options)
    if options.minutes is None:
        options.minutes = _usual_minutes(ratings, options.purchases) if given else 0.0
    check_number("n", options.n, low=1, whole=True)
    check_number("minutes", options.minutes, low=0)
    options.simulated = Path(options.data).resolve().is_relative_to(DATA)
    catalogue = options.features
    if catalogue is None and options.simulated:
        catalogue = DATA / "catalogue.csv"
    features = None if catalogue is None else load_features(catalogue, ratings, use=("genres",))
    if options.list is not None and options.purchases:
        raise ValueError("--list needs a table of ratings; purchases have none to compare its scores with.")
    if options.list is not None:
        own = load_export(options.list, ratings, rescale=options.rescale)
        _list_for(own, ratings, clone(list_model).set_params(item_features=features), options)
        return
    if options.purchases:
        _report_lists(rankers, ratings, _some_user(ratings, options), options)
        return
    models = make_models(features)
    if options.save_weights:
        _save_weights(models, ratings)
        return
    _report(models, ratings, _some_user(ratings, options), options)


def _usual_minutes(ratings, purchases):
    """So that a first honest table stands within two minutes, and within one where a longer wait buys only splits."""
    return 0.75 if purchases else 0.5 if len(ratings) > MANY else 1.75


def _some_user(ratings, options):
    if options.viewer is not None:
        return ratings.user_id(options.viewer)
    busy = np.flatnonzero(ratings.user_counts >= 25)
    return ratings.user_ids[busy[0] if len(busy) else 0]


def _save_weights(models, ratings):
    WEIGHTS.mkdir(exist_ok=True)
    fitted = {name: model.fit(ratings) for name, model in tqdm(models.items(), desc="training")}
    for name, model in fitted.items():
        model.save(WEIGHTS / f"{name.replace(' ', '_')}.npz")
    _say(f"{len(models)} models in {WEIGHTS.name}/")


def _about(ratings, options):
    left_out = "".join(f"; {count} left out: {reason}" for reason, count in ratings.dropped.items() if count)
    return f"{ratings}{' of simulated viewers over real titles' if options.simulated else ''}{left_out}"


def _list_for(own, ratings, list_model, options):
    """The list of somebody who keeps a list, and the reasons for its first title."""
    _say(f"{_about(ratings, options)}\n{own}")
    if options.unknown:
        for item, title, score in own.unmatched.to_numpy():
            _say(f"  not in the table: {_in_one_line(title or item)}, rated {score:g}")
    elif len(own.unmatched):
        _say(f"  not in the table: {len(own.unmatched)} rated titles; --unknown names them")
    if not own.ratings:
        raise ValueError("no rated title of the list is in the table, so the list would be everybody's.")
    order = "in the order of the match: the predicted rating, and what the titles that you like add to it"
    try:
        model = list_model.fit(ratings)
    except MemoryError:
        order = "in the order of the predicted rating alone: too many titles to learn which are liked together"
        model = clone(list_model.rating).fit(ratings)
    viewer = model.fold_in(own)
    table = viewer.recommend(options.n, uncertainty=True, clip=True)
    _say(f"\nFor you, by {model}\n({order};")
    _say("uncertainty: what so few ratings leave open about the predicted rating, rating points):")
    _say(table.to_string(index=False, float_format="{:.2f}".format))
    for item, title in table[["item_id", "title"]].head(1).to_numpy():
        what = model.score_name.replace("_", " ")
        _say(
            f"\nWhy {_in_one_line(title)}: its {what} {viewer.predict([item])[0]:.2f} is the sum, but for rounding, of"
        )
        _say(viewer.explain(item, 5).to_string(index=False, header=False, na_rep="", float_format="{:.2f}".format))


def _report(models, ratings, user, options):
    _say(f"{_about(ratings, options)}\n")
    begin = time.perf_counter()
    results, notes = evaluate_in_time(
        models, ratings, options.splits, options.jobs, options.minutes or None, functools.partial(_tell_first, begin)
    )
    if notes:
        _say("\n".join(notes), end="\n\n")
    table = summarize(results)
    yardstick = "baseline" if "baseline" in set(results["model"]) else table["model"].iloc[-1]
    compared = paired_differences(results, yardstick).set_index("model")
    table["verdict"] = table["model"].map(compared["verdict"])
    table.columns = ["model", "training RMSE", "held-out RMSE", "+/-", f"against {yardstick}"]
    _say(
        f"RMSE in rating points, {results['split'].nunique()} random 80/20 splits, predictions clipped, 95 % intervals:"
    )
    _say(table.to_string(index=False, float_format="{:.3f}".format), end="\n\n")
    measured = set(results["model"])
    best = "spectral with biases" if "spectral with biases" in measured else table["model"].iloc[0]
    model = models[best].fit(ratings)
    name = user if ratings.user_names is None else ratings.user_names[ratings.user_rows(user)[0]]
    _say(f"For viewer {name}, by {model}")
    if (certificate := model.certificate()) is not None:
        gap = max(certificate.relative_gap, 0)
        _say(f"(certified: no fit has an objective lower by more than {gap:.0e} of it):")
    _print_list(model.recommend(user, options.n, clip=True))


def _print_list(table):
    """The rows of a list, or that there is none."""
    rows = table.to_string(index=False, float_format="{:.2f}".format)
    _say(rows if len(table) else "has everything; nothing is left to list")


def _tell_first(begin, results):
    """A first table, of one split, where somebody has waited for it; beside the bar, not among the results."""
    if len(results) and time.perf_counter() - begin > SOON:
        shown = results.sort_values("rmse_clipped", kind="stable")[["model", "train_rmse", "rmse_clipped"]]
        shown.columns = ["model", "training RMSE", "held-out RMSE"]
        said = shown.to_string(index=False, float_format="{:.3f}".format)
        _say(f"\nThe first split alone, without intervals; more splits follow:\n{said}\n", file=sys.stderr, flush=True)


def _report_lists(rankers, ratings, user, options):
    """The table of lists where nothing is rated: what was bought, or not, is all there is to predict."""
    _say(f"{_about(ratings, options)}\n")
    how = {"n_splits": options.splits, "n_jobs": options.jobs, "progress": True, "minutes": options.minutes or None}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        results = compare(rankers, ratings, threshold=1.0, n=options.n, certify=False, **how)
    table = comparison(results).sort_values("ndcg", ascending=False, kind="stable", ignore_index=True)
    notes = [str(one.message) for one in said] + [
        f"{row.model}: {row.error}" for row in table.itertuples() if row.error
    ]
    if notes:
        _say("\n".join(notes), end="\n\n")
    compared = paired_differences(results, "popularity", "ndcg", larger_is_better=True).set_index("model")["verdict"]
    table["against popularity"] = table["model"].map(compared).where(table["model"].isin(rankers))
    shown = table[["model", "ndcg", "recall", "coverage", "against popularity"]]
    splits = results["split"].nunique()
    _say(f"Lists of {options.n} held against the fifth of the rows that was hidden, mean of {splits} random splits:")
    _say(shown.to_string(index=False, float_format="{:.3f}".format, na_rep="-"), end="\n\n")
    best = next(name for name in table["model"] if name in rankers)
    model = clone(rankers[best]).fit(ratings)
    _say(f"For {user}, by {model}")
    _print_list(model.recommend(user, options.n))
