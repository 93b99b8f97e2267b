"""Models measured: compared on the same splits, their lists ranked, their settings tuned.

Nothing here knows a model by name; what is asked of one are its methods.
"""

import functools
import time
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import scipy.sparse as sp
import scipy.stats
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from tqdm import tqdm

from content_table_parts.features import Features
from content_table_parts.interrupts import OutOfTime, in_time, side_by_side, whole_fits, workers
from content_table_parts.ratings import Ratings, need_ratings
from content_table_parts.settings import (
    TIE,
    Range,
    check_array,
    check_choice,
    check_fitted,
    check_kind,
    check_number,
    check_share,
    check_switch,
    check_texts,
    is_whole,
    shown,
    whole_number,
)
from content_table_parts.solvers import DivergenceError, check_memory, warn_caller
from content_table_parts.writing import target

Models = Mapping[str, Any]  # name -> Recommender
Splits = Iterable[tuple[Ratings, Ratings]]  # pairs (train, test)
Score = str | Callable[[Any, Ratings], float]

RANKING_METRICS = ("precision", "recall", "ndcg", "average_precision", "hit")
PUBLISHED_SPACE = {  # of the blog notebook; 30 trials
    "n_factors": Range(5, 50, unit="factors"),
    "learning_rate": Range(1e-4, 1e-1, log=True, unit="step of one rating"),
    "reg": Range(1e-5, 1e-1, log=True, unit="lambda, once for each rating"),
}


MIN_SPLITS = 5  # a model for which there is no time on so many splits is left out
LOOK = 5  # passes from one look at the lists of a trial to the next: lists take longer than a pass
FIRST_SHARE = 1 / 3  # of the time, for the first split: somebody waits for it
BOOTSTRAP_CELLS = 2_000_000  # users that are drawn at a time, over all draws


# ---- Many fits, in the time there is ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """What `measured` found: results by (name, split), why models were left out, how many splits there was time for."""

    results: dict
    left_out: dict
    n_splits: int
    fewer: str = ""  # than were asked for, in words

    @property
    def notes(self) -> list:
        """What there was no time for, in words."""
        return [f"{name}: {why}" for name, why in self.left_out.items()] + [self.fewer] * bool(self.fewer)


def measured(
    measure: Callable,
    models: Models,
    parts: Sequence,
    n_jobs: int,
    progress: bool,
    minutes: float | None,
    first: Callable[[dict], None] = lambda results: None,
) -> Measured:
    """`measure(model, train, test)` of all models on all splits, or of what can be done in so many minutes.

    The first split is the estimate and takes a third of the time: a model has its equal share of that, and what those
    before it left over, is stopped there, and then the slowest are left out until the others can do `MIN_SPLITS`
    splits. As many splits are made as there is time for; the results of each are what they would be without a limit.
    `first(results)` is called with those of the first split.
    """
    plain = dict.fromkeys(models, measure)
    if minutes is None:
        return Measured(_on_splits(plain, models, parts, range(len(parts)), n_jobs, progress), {}, len(parts))
    check_number("minutes", minutes, strict=True)
    wanted, n_workers = min(MIN_SPLITS, len(parts)), workers(n_jobs)
    _warm_up(measure, models, parts[0][0])
    begin, budget = time.perf_counter(), 60 * float(minutes)
    share = n_workers * budget * FIRST_SHARE / len(models)
    turns = [begin + share * (1 + at // n_workers) for at in range(len(models))]
    in_turn = {name: _Timed(measure, share, end) for name, end in zip(models, turns, strict=True)}
    timed = _on_splits(in_turn, models, parts, [0], n_jobs, progress)
    took = {name: seconds for (name, _), (seconds, found) in timed.items() if found is not None}
    if not took:
        raise ValueError(f"minutes={minutes:g} are too few: no model could be fitted in its share, {share:.2g} s.")
    first({key: found for key, (_, found) in timed.items() if found is not None})
    # a long pass of one must not cost the others
    left = max(budget - (time.perf_counter() - begin), budget * (1 - FIRST_SHARE))
    kept, n_splits = _affordable(took, len(parts), n_workers * left, wanted)
    results = {key: found for key, (_, found) in timed.items() if key[0] in kept}
    rest = {name: model for name, model in models.items() if name in kept}
    results |= _on_splits(plain, rest, parts, range(1, n_splits), n_jobs, progress)
    why = f"for want of time (minutes={minutes:g})"
    stopped = {name: seconds for (name, _), (seconds, found) in timed.items() if found is None}
    slow = {name: f"left out {why}, a fit takes more than {seconds:.0f} s" for name, seconds in stopped.items()}
    slow |= {name: f"left out {why}, a split takes {took[name]:.0f} s" for name in took if name not in kept}
    fewer = f"{n_splits} of {len(parts)} splits {why}" if n_splits < len(parts) else ""
    return Measured(results, slow, n_splits, fewer)


def _on_splits(measures, models, parts, splits, n_jobs, progress):
    """{(name, split): measures[name](model, train, test)}"""
    jobs = [(name, split) for split in splits for name in models]
    calls = [joblib.delayed(_named)(measures[name], models[name], *parts[split], name, split) for name, split in jobs]
    return dict(zip(jobs, side_by_side(calls, n_jobs, progress, [name for name, _ in jobs]), strict=True))


def _named(measure, model, train, test, name, split):
    """`measure(model, train, test)`; an error says of which model and split it is."""
    try:
        return measure(model, train, test)
    except Exception as error:
        error.add_note(f"{name}, split {split}")
        raise


@dataclass(frozen=True)
class _Timed:
    """`measure` with its seconds; (at least so many, None) where a fit had not ended when its turn was over: `share`
    seconds after it began, or at `end` where that is later."""

    measure: Callable
    share: float
    end: float

    def __call__(self, model, train, test):
        begin = time.perf_counter()
        limit = max(self.share, self.end - begin)
        try:
            with in_time(limit):
                found = self.measure(model, train, test)
        except OutOfTime:
            return max(limit, time.perf_counter() - begin), None
        return time.perf_counter() - begin, found


def _affordable(took, n_splits, seconds, wanted):
    """The models, by what the first split of each took, and the number of splits that can be done in so many seconds
    more: the fastest that can do `wanted` splits, at least one model, on as many as there is time for."""
    kept = sorted(took, key=took.get)
    while len(kept) > 1 and (wanted - 1) * sum(took[name] for name in kept) > seconds:
        kept.pop()
    each = sum(took[name] for name in kept)
    return kept, int(np.clip(1 + seconds / each, wanted, n_splits)) if each > 0 else n_splits


def _warm_up(measure, models, train):
    """Measure everything on the busiest corner of a table: what is compiled once must not count as slow."""
    corner = train.restrict(*(_busiest(counts, 20) for counts in (train.user_counts, train.item_counts)))
    with warnings.catch_warnings(), whole_fits():
        warnings.simplefilter("ignore")
        for model in models.values():
            with in_time(1.0), suppress(Exception):  # what is wrong with a model, the table will tell
                measure(model, *corner.split_random())


def _busiest(counts, n):
    chosen = np.zeros(len(counts), dtype=bool)
    chosen[np.argsort(counts, kind="stable")[-n:]] = True
    return chosen


# ---- Models compared on the same splits ------------------------------------------------------------------------------


def evaluate(
    models: Models,
    ratings: Ratings | None = None,
    n_splits: int = 20,
    test_size: float = 0.2,
    random_state: int = 0,
    n_jobs: int = 1,
    progress: bool = False,
    splits: Splits | None = None,
    minutes: float | None = None,
) -> pd.DataFrame:
    """Fit each model on the same splits and score what was held out.

    Parameters
    ----------
    models : dict of name -> unfitted Recommender
    ratings : Ratings
        What is split at random; not needed where `splits` are given.
    n_splits, test_size, random_state : the random splits; split s uses the s-th child of `random_state`'s SeedSequence.
    n_jobs : int
        Fits run side by side by joblib; the numbers do not depend on it.
    progress : bool
        Show a bar that counts the fits and names the model that is waited for.
    splits : pairs (train, test), optional
        Splits of your own, say by time, instead of random ones.
    minutes : float, optional
        How long it may take. What the first split shows to be too slow is left out, and where there is no time for all
        splits, there are fewer; a warning says so.

    Returns
    -------
    DataFrame : one row per model and split: model, split, train_rmse, rmse and mae (raw), rmse_clipped and
    mae_clipped, cold (held-out cells that the model knew too little about), n_train, n_test.

    A model that fails on a split ends all of it by its error, with a note of the model's name and the split; `compare`
    goes on without it.
    """
    check_models(models)
    check_switch("progress", progress)
    for model in models.values():
        model.need_rating_points()
    parts = _splits(ratings, n_splits, test_size, random_state, splits)
    found = measured(_evaluate_fit, models, parts, n_jobs, progress, minutes)
    for note in found.notes:
        warn_caller(note)
    return _table(found.results)


def evaluate_in_time(
    models: Models,
    ratings: Ratings,
    n_splits: int,
    n_jobs: int,
    minutes: float | None,
    first: Callable[[pd.DataFrame], None],
) -> tuple[pd.DataFrame, list]:
    """`evaluate`, with a bar, and what was left out, in words: for want of time, or since it could not be fitted.

    Where time is limited, `first(table)` is called with the first split's. ValueError where no model is left.
    """
    parts = _splits(ratings, n_splits, 0.2, 0, None)
    found = measured(
        _settled, models, parts, n_jobs, True, minutes, first=lambda results: first(_table(_without_failed(results)))
    )
    failed = {name: row for (name, _), row in found.results.items() if isinstance(row, Exception)}
    notes = found.notes + [f"left out: {name}. {message_of(error)}" for name, error in failed.items()]
    if not (left := _without_failed(found.results)):
        raise ValueError("no model could be fitted:\n" + "\n".join(notes))
    return _table(left), notes


def _without_failed(results):
    failed = {name for (name, _), row in results.items() if isinstance(row, Exception)}
    return {key: row for key, row in results.items() if key[0] not in failed}


def message_of(error: Exception) -> str:
    """The message of an error; str(KeyError) would add quotes."""
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error)


def _table(results):
    return pd.DataFrame([{"model": name, "split": split} | row for (name, split), row in results.items()])


def _splits(ratings, n_splits, test_size, random_state, splits):
    """The pairs (train, test) to measure on: given ones, or random ones."""
    check_number("random_state", random_state, whole=True)
    if splits is not None:
        check_kind("splits", splits, Iterable, "pairs (train, test) of Ratings")
        parts = list(splits)
        for part in parts:
            pair = isinstance(part, tuple) and len(part) == 2 and all(isinstance(side, Ratings) for side in part)
            if not pair or not part[0].same_universe(part[1]) or not len(part[1]):
                raise ValueError(
                    f"splits are pairs (train, test) of Ratings with the same users and items, got {shown(part)}."
                )
        if not parts:
            raise ValueError(f"splits must hold a pair (train, test) or more, got {shown(splits)}.")
        return parts
    if not isinstance(ratings, Ratings):
        raise TypeError(f"expected Ratings to split, or splits=, got {type(ratings).__name__}.")
    n_splits = whole_number("n_splits", n_splits, 2)
    check_memory((n_splits,), f"n_splits={n_splits:,}")
    seeds = np.random.SeedSequence(random_state).generate_state(n_splits).tolist()
    return [ratings.split_random(test_size, seed) for seed in seeds]


def _evaluate_fit(model, train, test):
    scores = _all_errors(clone(model).fit(train), train, test)
    return scores | {"n_train": len(train), "n_test": len(test)}


def _settled(model, train, test):
    try:
        return _evaluate_fit(model, train, test)
    except (DivergenceError, ValueError, KeyError, MemoryError) as error:  # too few ratings, too wide a scale, ...
        return error


def check_models(models: Models, expected: str = "models must be a dict of name: model") -> None:
    """Refuse what is not a dict of name -> model."""
    if not isinstance(models, dict) or not models or not all(_is_model(model) for model in models.values()):
        raise TypeError(f"{expected}, got {shown(models)}.")


def _is_model(thing):
    return isinstance(thing, BaseEstimator) and hasattr(thing, "fit") and hasattr(thing, "predict_cells")


def _all_errors(fitted, train, test):
    training, error = fitted.rmse(train), fitted.errors(test)  # both with the context that a model has learnt from
    lost = ~fitted._known(test.rows, test.cols)
    clipped = np.clip(error + test.values, *test.scale) - test.values
    root, size = (lambda left: float(np.sqrt(np.mean(left**2)))), (lambda left: float(np.mean(np.abs(left))))
    figures = {"train_rmse": training, "rmse": root(error), "cold": int(lost.sum())}
    return figures | {"rmse_clipped": root(clipped), "mae": size(error), "mae_clipped": size(clipped)}


def split_interval(values: ArrayLike, n_train: float, n_test: float, level: float = 0.95) -> tuple[float, float]:
    """(mean, half width) of a confidence interval for a mean over random splits of one data set; NaN where there are
    fewer than two.

    Splits share most of their training ratings, so the plain standard error is too small; the variance is multiplied by
    1/J + n_test/n_train instead of 1/J. Reference: Inference for the Generalization Error, Machine Learning 52, 2003.
    """
    values = check_array("values", values, finite=False).astype(float)
    check_number("n_train", n_train, strict=True)
    check_number("n_test", n_test, strict=True)
    check_share("level", level)
    if len(values) < 2:
        return float(values.mean()) if len(values) else np.nan, np.nan
    scale = np.sqrt((1 / len(values) + n_test / n_train) * values.var(ddof=1))
    return float(values.mean()), float(scipy.stats.t.ppf(0.5 + level / 2, len(values) - 1) * scale)


def _check_results(results, columns, once=()):
    """Refuse a table without these columns, without rows, or with two rows of which all columns of `once` are equal."""
    check_kind("results", results, pd.DataFrame, "the table of evaluate, compare or rank_models")
    if missing := [name for name in columns if name not in results.columns]:
        raise ValueError(f"results must have the columns {list(columns)}, got a table without {missing}.")
    if not len(results):
        raise ValueError("results must have a row or more, got a table without any; was everything filtered out?")
    if once and set(once) <= set(results.columns) and (twice := results.duplicated(list(once))).any():
        first = {name: results.loc[twice.to_numpy(), name].tolist()[0] for name in once}
        raise ValueError(
            f"results must have one row for each {' and '.join(once)}, got {twice.sum()} more, the first of "
            f"{shown(first)}; were tables put together that share rows?"
        )


def _check_metric(results, metric):
    """Refuse a metric that is no column of numbers."""
    check_choice("metric", metric, results.select_dtypes("number").columns.tolist())


def summarize(results: pd.DataFrame, metric: str = "rmse_clipped") -> pd.DataFrame:
    """Mean and 95 % half width of one metric of `evaluate` for each model, and of its training RMSE; best first."""
    _check_results(results, ("model", "train_rmse", "n_train", "n_test"), once=("model", "split"))
    _check_metric(results, metric)
    rows = []
    for name, part in results.groupby("model", sort=False):
        mean, half = split_interval(part[metric], part["n_train"].iloc[0], part["n_test"].iloc[0])
        rows.append({"model": name, "train_rmse": part["train_rmse"].mean(), metric: mean, "half_width": half})
    return pd.DataFrame(rows).sort_values(metric, kind="stable", ignore_index=True)


def paired_differences(
    results: pd.DataFrame, reference: str, metric: str = "rmse_clipped", larger_is_better: bool = False
) -> pd.DataFrame:
    """Each model minus the reference, split by split: mean difference and 95 % half width; `better` or `worse` only
    where the interval leaves 0 out. Models without this metric are left out."""
    _check_results(results, ("model", "split", "n_train", "n_test"), once=("model", "split"))
    _check_metric(results, metric)
    check_kind("reference", reference, Hashable, "the name of a model")
    check_switch("larger_is_better", larger_is_better)
    results = results.dropna(subset=metric)
    if reference not in set(results["model"]):
        raise ValueError(
            f"reference {reference!r} is not among the models with {metric}: {sorted(set(results['model']))}."
        )
    table = results.pivot(index="split", columns="model", values=metric)
    n_train, n_test = results[["n_train", "n_test"]].iloc[0]
    rows = []
    for name in results["model"].drop_duplicates():
        mean, half = split_interval((table[name] - table[reference]).dropna(), n_train, n_test)
        won = (mean > 0) == larger_is_better
        verdict = "reference" if name == reference else "tie" if abs(mean) <= half else "better" if won else "worse"
        verdict = verdict if np.isfinite(half) or name == reference else "too few splits"
        rows.append({"model": name, "difference": mean, "half_width": half, "verdict": verdict})
    return pd.DataFrame(rows).sort_values("difference", kind="stable", ignore_index=True)


def select_model(
    candidates: Sequence[Any], train: Ratings, validation: Ratings, n_jobs: int = 1, clip: bool = False
) -> tuple[Any, list[float]]:
    """The candidate with the smallest validation RMSE (first on ties), fitted to `train`, and all the errors.

    RMSE is raw, as in `tune`, unless `clip`. The test part is not an argument: a choice that has seen it is not a
    choice.
    """
    models = list(candidates) if isinstance(candidates, Iterable) else []
    if not models or not all(_is_model(model) for model in models):
        raise TypeError(f"candidates must be a list of models, got {shown(candidates)}.")
    need_ratings(validation, "validation")
    check_switch("clip", clip)
    fitted = side_by_side([joblib.delayed(clone(model).fit)(train, validation) for model in models], n_jobs)
    scores = [model.rmse(validation, clip) for model in fitted]
    if not np.isfinite(scores).any():
        raise ValueError(f"no candidate has a finite validation error: {scores}.")
    return fitted[int(np.nanargmin(scores))], scores


# ---- Settings chosen on a validation part ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Tuning:
    """What `tune` found: the model with the best settings, refitted, and the Optuna study with every trial."""

    model: Any
    study: Any  # in memory, as it stood at the end of this run: it needs no file


def tune(
    model: Any,
    ratings: Ratings,
    validation: Ratings | None = None,
    *,
    n_trials: int = 30,
    space: Mapping[str, Range] | None = None,
    score: Score = "rmse",
    threshold: float | None = None,
    n: int = 10,
    n_folds: int = 1,
    validation_size: float = 0.2,
    sampler: str = "tpe",
    prune: bool = True,
    refit: str = "all",
    storage: str | Path | None = None,
    random_state: int = 0,
    progress: bool = False,
) -> Tuning:
    """Choose a model's settings by the error on a validation part, with Optuna.

    A trial fits a clone of `model` with settings from `space` and takes the score of what it *keeps*: where the model
    goes by passes and stops early, that is its best pass, never the last one, and never the regularised loss. The first
    trial has the settings that `model` came with. A test part is not an argument.

    Parameters
    ----------
    model : Recommender, unfitted
    ratings, validation : Ratings
        The parts to learn from and to choose by.
    n_folds, validation_size : int, float
        Without `validation`: 1 sets a share `validation_size` of `ratings` aside at random, more is a cross-validation
        whose mean is a trial's score. By the default score models that stop early are judged at one number of passes
        for all folds: if each fold kept its own best pass, they would look better than they are. The same parts for all
        trials.
    n_trials : int
        Trials in the whole study, those of earlier runs among them.
    space : dict of name -> Range, optional
        Default: `model.search_space()`. `PUBLISHED_SPACE` is the blog notebook's.
    score : "rmse" or "mae", raw; one of `RANKING_METRICS`; or a function (fitted model, validation) -> number
        Smaller is better: of a ranking metric of the full-catalogue lists, its mean over the viewers who have a
        relevant title in the validation part, the negative is scored, and stands in the study.
    threshold, n : float, int
        For a ranking metric: a held-out title is relevant that was rated so or better, rating points; and the length of
        the lists.
    sampler : "tpe" or "random"
        Seeded for each trial on its own, so that a study that stops and goes on proposes what it would have proposed.
    prune : bool
        Give a trial up once it is worse than the median of the earlier ones after as many passes. A cross-validation is
        never cut short.
    refit : "all" or "train"
        What the model that is returned is fitted to: all ratings given, for as many passes as were best; or the
        training part alone, with the validation part to stop by.
    storage : path, optional
        An SQLite file that keeps the study. A run that was stopped goes on where it was: trials that were finished
        count, one that was not is tried again.

    Returns
    -------
    Tuning : model, study

    Raises
    ------
    ValueError : nothing to tune, a setting outside its range, a study in `storage` that was about something else, or no
    trial that could be scored.
    """
    _check_tune(model, ratings, validation, validation_size, storage)
    _check_trials(n_trials, sampler, prune, refit, random_state, progress)
    space, score = model.search_space() if space is None else space, scorer(score, threshold, n)
    default = _default_settings(model, space)
    parts = _tried_on(score, validation, ratings, n_folds, validation_size, random_state)
    about = {"space": str(space), "sampler": sampler, "random_state": str(random_state)}
    about |= _about(model, parts, score, storage)
    with whole_fits(), _quiet_optuna() as optuna:
        study = _open_study(optuna, storage, about, default, prune)
        finished = [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]
        kinds = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
        for number in tqdm(range(len(finished), n_trials), desc="trials", disable=not progress):
            seed = int(np.random.SeedSequence([random_state, number]).generate_state(1)[0])
            study.sampler = kinds[sampler](seed=seed)
            _one_trial(optuna, study, model, space, parts, score)
    if not any(trial.state.name == "COMPLETE" for trial in study.trials):
        raise ValueError(f"none of {n_trials} trials could be scored: all diverged, were given up, or scored NaN.")
    whole = ratings if validation is None else ratings.joined(validation)
    with whole_fits():
        return Tuning(_refitted(model, study, parts[0] if refit == "train" else (whole,)), _snapshot(study))


def _check_tune(model, ratings, validation, validation_size, storage):
    """Refuse what `tune` cannot tune, learn from, choose by or write to."""
    if not _is_model(model):
        raise TypeError(f"model must be a model to tune, got {shown(model)}.")
    need_ratings(ratings, "ratings")
    if validation is not None:
        need_ratings(validation, "validation")
    check_share("validation_size", validation_size)
    if storage is not None:
        target(storage, "storage")


def _check_trials(n_trials, sampler, prune, refit, random_state, progress):
    """Refuse what says of no trial how it is to be made."""
    check_number("n_trials", n_trials, low=1, whole=True)
    check_choice("sampler", sampler, ("tpe", "random"))
    check_switch("prune", prune)
    check_choice("refit", refit, ("all", "train"))
    check_number("random_state", random_state, whole=True)
    check_switch("progress", progress)


def _about(model, parts, score, storage):
    """What a study in a file must agree on to go on."""
    fingerprints = [[part.fingerprint for part in pair] for pair in parts]
    return {
        "model": f"{model!r} ({joblib.hash(model)})",
        "score": _name_of(score, storage),
        "ratings": fingerprints,
    }


def _refitted(model, study, parts):
    """The model with the best settings: fitted to training and validation part, or to everything for as many passes as
    were best."""
    best = clone(model).set_params(**study.best_params)
    if len(parts) == 1 and _stops_early(best):
        best.set_params(patience=None, n_epochs=study.best_trial.user_attrs["n_epochs"])
    return best.fit(*parts)


def _snapshot(study):
    """The study as it stands, in memory: its file may be moved or deleted."""
    with _quiet_optuna() as optuna:
        copy = optuna.create_study(study_name=study.study_name)
        for key, value in study.user_attrs.items():
            copy.set_user_attr(key, value)
        copy.add_trials(study.get_trials(deepcopy=False))
    return copy


@contextmanager
def _quiet_optuna():
    """Optuna, silent but for warnings."""
    optuna = _optuna()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield optuna
    finally:
        optuna.logging.set_verbosity(verbosity)


def _optuna():
    """Optuna, half a second to import: only for those who ask for it, and without its word about missing widgets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna
    return optuna


SCORES = ("rmse", "mae")  # what a score may be called by: methods of a model, and the metrics of lists


@dataclass(frozen=True)
class ListScore:
    """A score of lists: the mean of a ranking metric over viewers, as a number of which smaller is better."""

    metric: str
    threshold: float
    n: int

    def __call__(self, fitted: Any, part: Ratings) -> float:
        return -float(ranking_metrics(top_lists(fitted, part, self.n), part, self.threshold)[self.metric].mean())


def scorer(score: Any, threshold: float | None = None, n: int = 10) -> Score:
    """The score as `score_of` takes it: the name of a ranking metric is one of lists, and needs its threshold."""
    check_score(score)
    n = whole_number("n", n, 1)
    of_lists = isinstance(score, str) and score in RANKING_METRICS
    if threshold is None:
        if of_lists:
            raise ValueError(
                f"score={score!r} needs threshold=: from how many rating points on is a held-out title relevant?"
            )
        return score
    check_number("threshold", threshold, low=-np.inf)
    if not of_lists:
        raise ValueError(
            f"threshold is for a score of lists, one of {list(RANKING_METRICS)}, got {shown(threshold)} with "
            f"score={shown(score)}."
        )
    return ListScore(score, float(threshold), n)


def _name_of(score, storage):
    """What a study remembers its score by."""
    check_score(score)
    if isinstance(score, (str, ListScore)):
        return str(score)
    name = getattr(score, "__name__", "<no name>")
    if storage is not None and name.startswith("<"):
        raise ValueError(
            "a stored study remembers its score by name, so that a later run cannot mix in another: give it one (def)."
        )
    return name


def check_score(score: Any) -> None:
    """Refuse what is neither the name of a score nor a function that could be one."""
    if not callable(score) and not (isinstance(score, str) and score in (*SCORES, *RANKING_METRICS)):
        raise TypeError(
            f"score is one of {(*SCORES, *RANKING_METRICS)} or a function (fitted model, validation) -> number, got "
            f"{shown(score)}."
        )


def score_of(score: Score, fitted: Any, part: Ratings) -> float:
    """The score of a fitted model on a part, by name or by function; what is no number is an error."""
    value = getattr(fitted, score)(part) if isinstance(score, str) else score(fitted, part)
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"score must give a number, got {shown(value)}.")
    return float(value)


def _is_rmse(score):
    """Whether the score is the error that models which stop early record after each pass."""
    ours = getattr(score, "__module__", "") == "content_table" and getattr(score, "__qualname__", "") == "rmse"
    return score == "rmse" or ours


def _stops_early(model):
    """Whether its validation error belongs to its best pass."""
    return model.get_params(deep=False).get("patience") is not None


def _default_settings(model, space):
    """The settings that a model comes with, if they lie in the space."""
    if not isinstance(space, dict) or not all(isinstance(r, Range) for r in space.values()):
        raise TypeError(f"a search space is a dict of name: Range(low, high), got {shown(space)}.")
    if not space:
        raise ValueError(f"{type(model).__name__} has no settings to tune: got an empty search space.")
    values = {name: model.in_use(name) for name in model.get_params(deep=False)}
    known = {}
    for name, r in space.items():
        if name not in values:
            raise ValueError(f"{type(model).__name__} has no setting {name!r}; it has {sorted(values)}.")
        if not isinstance(values[name], (int, float, np.number)) or not r.low <= values[name] <= r.high:
            raise ValueError(
                f"the first trial is the model as given, but {name}={values[name]} lies outside "
                f"{r.low:g} to {r.high:g}; change one of the two."
            )
        known[name] = values[name]
    return known


def inner_splits(ratings: Ratings, n_folds: int, validation_size: float, random_state: int) -> list:
    """One random split, or the folds of a cross-validation."""
    n_folds = whole_number("n_folds", n_folds, 1)
    if n_folds == 1:
        return [ratings.split_random(validation_size, random_state)]
    return ratings.split_folds(n_folds, random_state)


def _tried_on(score, validation, ratings, *inner):
    """[(what a setting learns from, what it is judged by)], which the lists of a score must fit."""
    parts = inner_splits(ratings, *inner) if validation is None else [(ratings, validation)]
    if isinstance(score, ListScore):
        _check_lists_fit(parts[0][1], score.n)
    return parts


def _open_study(optuna, storage, about, default, prune):
    """A study in memory or in an SQLite file; an unfinished trial of an earlier run will be tried again."""
    kept = None
    if storage is not None:
        from sqlalchemy import URL  # comes with Optuna
        from sqlalchemy.pool import NullPool  # without a pool a connection is closed after each use

        url = URL.create("sqlite", database=str(Path(storage).resolve()))  # quotes what has a meaning in an address
        kept = optuna.storages.RDBStorage(url.render_as_string(), engine_kwargs={"poolclass": NullPool})
    pruner = optuna.pruners.MedianPruner(n_warmup_steps=10) if prune else optuna.pruners.NopPruner()
    study = optuna.create_study(study_name="tune", storage=kept, load_if_exists=True, pruner=pruner)
    if not study.trials:
        for key, value in about.items():
            study.set_user_attr(key, value)
        study.enqueue_trial(default)
    for key, value in about.items():
        if study.user_attrs.get(key) != value:
            raise ValueError(f"{storage} holds a study with other {key}: {study.user_attrs.get(key)}, not {value}.")
    for trial in study.trials:
        if trial.state.name == "RUNNING":
            _try_again(optuna, study, trial.number, trial.params)
    return study


def _try_again(optuna, study, number, settings):
    study.tell(number, state=optuna.trial.TrialState.FAIL)
    if settings:
        study.enqueue_trial(settings)


def _one_trial(optuna, study, model, space, parts, score):
    trial = study.ask()
    settings = {name: r.suggest(trial, name, is_whole(type(model), name)) for name, r in space.items()}
    try:
        with warnings.catch_warnings(record=True) as said:  # thirty fits would say the same; a trial keeps it instead
            warnings.simplefilter("always")
            value, n_epochs = _value(optuna, trial, clone(model).set_params(**settings), parts, score)
    except (optuna.TrialPruned, DivergenceError) as reason:
        trial.set_user_attr("given up", "diverged" if isinstance(reason, DivergenceError) else "worse than the median")
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except BaseException:  # Ctrl-C among them: the trial is not lost but tried again
        _try_again(optuna, study, trial.number, settings)
        raise
    else:
        trial.set_user_attr("warnings", sorted({str(warning.message) for warning in said}))
        trial.set_user_attr("n_epochs", n_epochs)
        study.tell(trial, value)


def _value(optuna, trial, model, parts, score):
    """(score of the settings, number of passes that it belongs to: 0 for models that keep their last)."""
    values, curves = [], []
    for train, validation in parts:
        watch = _watcher(optuna, trial, validation, score) if len(parts) == 1 else None
        fitted = clone(model).fit(train, validation, watch)
        values.append(score_of(score, fitted, validation))
        stops = _stops_early(fitted)
        curves.append([row["validation_rmse"] for row in fitted.history_ if stops and "validation_rmse" in row])
    shortest = min(len(curve) for curve in curves)
    # One number of passes for all folds: its own best for each flatters.
    if len(parts) > 1 and shortest and _is_rmse(score):
        curve = np.mean([curve[:shortest] for curve in curves], axis=0)
        return float(curve.min()), int(curve.argmin()) + 1
    return float(np.mean(values)), round(float(np.mean([np.argmin(curve) + 1 if curve else 0 for curve in curves])))


def _watcher(optuna, trial, validation, score):
    """Reports the best score so far after each pass, and gives up a trial that the pruner has lost faith in."""
    best = np.inf

    def watch(model, row):
        nonlocal best
        if isinstance(score, ListScore) and row["epoch"] % LOOK:
            return
        known = _is_rmse(score) and "validation_rmse" in row
        best = min(best, row["validation_rmse"] if known else score_of(score, model, validation))
        trial.report(best, row["epoch"])
        if trial.should_prune():
            raise optuna.TrialPruned

    return watch


# ---- Ranking: lists instead of ratings -------------------------------------------------------------------------------

PROTOCOLS = ("rated_only", "full_catalogue")


def top_lists(
    model: Any, test: Ratings, n: int = 10, protocol: str = "full_catalogue", also_seen: Ratings | None = None
) -> np.ndarray:
    """(m, n) positions of the items that `model` puts first for each user, best first; -1 where a list is shorter.

    protocol "rated_only" orders just the items that the user rated in `test` (an easy game: nothing else can be
    listed); "full_catalogue" orders every item that the user has not rated in training or in `also_seen` (give the
    validation part). Ties go by item position.
    """
    n = whole_number("n", n, 1)
    _check_protocol(model, test, protocol)
    _check_lists_fit(test, n)
    if protocol == "full_catalogue":
        return model.top_items(np.arange(test.n_users), n, also_seen)
    scores = np.round(model.predict_cells(test.rows, test.cols), TIE)
    order = np.lexsort((test.cols, -scores, test.rows))
    counts = test.user_counts
    rank = np.arange(len(test)) - np.repeat(np.cumsum(counts) - counts, counts)
    lists = np.full((test.n_users, n), -1)
    first = order[rank < n]
    lists[test.rows[first], rank[rank < n]] = test.cols[first]
    return lists


def _check_lists_fit(test, n):
    """Refuse lists of one model that would fill the machine."""
    check_memory((test.n_users, n), f"lists of n={n:,}")


def _check_protocol(model, test, protocol):
    check_choice("protocol", protocol, PROTOCOLS)
    check_fitted("model", model).check_universe(test, "test")


def _check_lists(lists, ratings, length=None):
    """Lists as `top_lists` makes them: positions of titles, or -1."""
    lists = check_array("lists", lists, ndim=2, length=length, whole=True)
    if lists.size and not -1 <= lists.min() <= lists.max() < ratings.n_items:
        raise ValueError(
            f"lists must hold positions of {ratings.n_items} titles, or -1, got {lists.min()} to {lists.max()}."
        )
    return lists


def ranking_metrics(lists: np.ndarray, test: Ratings, threshold: float) -> pd.DataFrame:
    """Precision, recall, NDCG, average precision and hit of each user's list: one row for every user who has a relevant
    item, one that they rated `threshold` or better in `test`; the others have no right answer and are left out.

    With n the length asked for and r the user's number of relevant items: precision = hits / n (also where fewer than n
    items could be listed), recall = hits / r, NDCG = sum over hits of 1 / log2(rank + 1), divided by the same sum over
    ranks 1..min(r, n) (gains 0 or 1), average precision = mean over ranks of hits of the precision so far, out of
    min(r, n); hit = any.
    """
    check_kind("test", test, Ratings, "Ratings")
    lists = _check_lists(lists, test, length=test.n_users)
    check_number("threshold", threshold, low=-np.inf)
    n = lists.shape[1]
    relevant = sp.csr_array((test.values >= threshold, (test.rows, test.cols)), shape=test.shape)
    r = relevant.sum(axis=1).astype(int)
    users = np.flatnonzero(r)
    if len(users) == 0:
        raise ValueError(f"no user rated anything {threshold:g} or better in {test}; lower the threshold.")
    lists, r = lists[users], r[users]
    hits = np.zeros(lists.shape)
    listed = lists >= 0
    hits[listed] = relevant[np.broadcast_to(users[:, None], lists.shape)[listed], lists[listed]]
    rank = np.arange(1, n + 1)
    gains = 1 / np.log2(rank + 1)
    possible = np.minimum(r, n)
    columns = {
        "user_id": test.user_ids[users],
        "precision": hits.sum(axis=1) / n,
        "recall": hits.sum(axis=1) / r,
        "ndcg": hits @ gains / np.cumsum(gains)[possible - 1],
        "average_precision": (hits * np.cumsum(hits, axis=1) / rank).sum(axis=1) / possible,
        "hit": hits.any(axis=1).astype(float),
    }
    return pd.DataFrame(columns)


def _random_and_ceiling(test, n_candidates, n, threshold):
    """Ranking metrics, exactly: expected over all orders of each user's candidates, and of the best possible order."""
    r = np.bincount(test.rows[test.values >= threshold], minlength=test.n_users)
    users = np.flatnonzero(r)
    r, N = r[users], n_candidates[users]
    rank = np.arange(1, min(n, N.max(initial=0)) + 1)
    there = rank <= N[:, None]  # ranks that this user's list has
    gains, possible = 1 / np.log2(rank + 1), np.minimum(r, n)
    ideal = np.cumsum(gains)[possible - 1]
    share, rest = r / N, (r - 1) / np.maximum(N - 1, 1)  # that an item is relevant; another one, given that
    precision_there = (1 + (rank - 1) * rest[:, None]) / rank
    miss = scipy.stats.hypergeom.pmf(0, N, r, np.minimum(n, N))
    chance = {
        "precision": share * there.sum(axis=1) / n,
        "recall": there.sum(axis=1) / N,
        "ndcg": share * (there @ gains) / ideal,
        "average_precision": share * (there * precision_there).sum(axis=1) / possible,
        "hit": 1 - miss,
    }
    best = {"precision": possible / n, "recall": possible / r} | dict.fromkeys(RANKING_METRICS[2:], np.ones(len(r)))
    rows = {"random": chance, "ceiling": best}
    return [pd.DataFrame({"model": name, "user_id": test.user_ids[users]} | row) for name, row in rows.items()]


def rank_models(
    models: Models,
    test: Ratings,
    threshold: float,
    n: int = 10,
    protocol: str = "full_catalogue",
    also_seen: Ratings | None = None,
) -> pd.DataFrame:
    """`ranking_metrics` of each fitted model of a dict, with the rows any ranking must be read against.

    Returns
    -------
    DataFrame : one row per model and user: model, user_id and the five metrics. Added are `popularity` (fitted to the
    same training ratings), `random` (the expected value over all orders, exact) and `ceiling` (the best order there
    is). `attrs` keeps protocol, n, threshold and the number of users left out for want of a relevant item. `also_seen`
    matters to the full catalogue only.
    """
    check_models(models)
    n = whole_number("n", n, 1)
    check_number("threshold", threshold, low=-np.inf)
    _check_protocol(next(iter(models.values())), test, protocol)
    _check_lists_fit(test, n)
    train = next(iter(models.values())).fitted()
    strange = [name for name, model in models.items() if model.fitted().fingerprint != train.fingerprint]
    if strange:
        raise ValueError(f"models to compare must be fitted to the same ratings; {strange} were fitted to others.")
    taken = sorted({"random", "popularity", "ceiling"} & set(models))
    if taken:
        raise ValueError(f"{taken} are rows that are added to every table; name these models otherwise.")
    models = {**models, "popularity": next(iter(models.values())).floor().fit(train)}
    tables = []
    for name, model in models.items():
        table = ranking_metrics(top_lists(model, test, n, protocol, also_seen), test, threshold)
        table.insert(0, "model", name)
        tables.append(table)
    n_candidates = test.user_counts
    if protocol == "full_catalogue":
        seen = train.known if also_seen is None else train.known + also_seen.known
        n_candidates = test.n_items - np.diff(seen.indptr)
        lost = seen.multiply(test.known).nnz
        if lost:
            raise ValueError(
                f"no list can hold {lost} of the {len(test)} test ratings: training or also_seen has them."
            )
    results = pd.concat(tables + _random_and_ceiling(test, n_candidates, n, threshold), ignore_index=True)
    left_out = test.n_users - results["user_id"].nunique()
    results.attrs |= {"protocol": protocol, "n": n, "threshold": threshold, "users_left_out": int(left_out)}
    return results


def rank_summary(results: pd.DataFrame, normalised: Sequence[str] = ("precision", "recall")) -> pd.DataFrame:
    """Means over users, one row per model, and (score - random) / (ceiling - random) of some metrics: 0 is chance, 1
    the best possible order, whatever the protocol makes easy."""
    _check_results(results, ("model", *RANKING_METRICS))
    for metric in check_texts("normalised", normalised):
        check_choice("normalised", metric, RANKING_METRICS)
    if not {"random", "ceiling"} <= set(results["model"]):
        raise ValueError(f"results must have the rows random and ceiling, got {sorted(set(results['model']))}.")
    table = results.groupby("model", sort=False)[list(RANKING_METRICS)].mean()
    for metric in normalised:
        chance, best = table.loc["random", metric], table.loc["ceiling", metric]
        table[f"{metric}_normalised"] = (table[metric] - chance) / (best - chance) if best > chance else np.nan
    return table.reset_index()


def rank_differences(
    results: pd.DataFrame,
    reference: str,
    metric: str = "ndcg",
    n_boot: int = 2000,
    random_state: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Each model minus the reference, user by user: mean difference and a bootstrap interval over users; `better` or
    `worse` only where the interval leaves 0 out."""
    _check_results(results, ("model", "user_id"), once=("model", "user_id"))
    _check_metric(results, metric)
    check_kind("reference", reference, Hashable, "the name of a model")
    n_boot = whole_number("n_boot", n_boot, 1)
    random_state = whole_number("random_state", random_state)
    check_share("level", level)
    table = results.pivot(index="user_id", columns="model", values=metric)
    if reference not in table:
        raise ValueError(f"reference {reference!r} is not among the models {sorted(table)}.")
    names = results["model"].drop_duplicates()
    differences = [(table[name] - table[reference]).to_numpy() for name in names]
    means = _bootstrap_means(differences, n_boot, random_state)
    rows = []
    for name, difference, drawn in zip(names, differences, means, strict=True):
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        verdict = "reference" if name == reference else "better" if low > 0 else "worse" if high < 0 else "tie"
        rows.append({"model": name, "difference": difference.mean(), "low": low, "high": high, "verdict": verdict})
    return pd.DataFrame(rows).sort_values("difference", ascending=False, kind="stable", ignore_index=True)


def _bootstrap_means(values, n_boot, random_state):
    """(rows of values, n_boot) means over as many users drawn with replacement, the same ones for all rows."""
    m, rng = len(values[0]), np.random.default_rng(random_state)
    check_memory((len(values), n_boot), f"n_boot={n_boot:,}")
    means, block = np.empty((len(values), n_boot)), max(1, BOOTSTRAP_CELLS // m)
    for at in range(0, n_boot, block):
        draws = rng.integers(0, m, (min(block, n_boot - at), m))
        for row, own in zip(means, values, strict=True):
            row[at : at + block] = own[draws].mean(axis=1)
    return means


def list_metrics(lists: np.ndarray, train: Ratings, features: Features | None = None) -> dict[str, float]:
    """What a set of lists is like, whoever likes it: coverage, novelty, and diversity where features are given.

    coverage : share of the catalogue that enters some list.
    novelty : mean of -log2(share of the training users who rated the item), bits; for an item that nobody rated, as if
        one had.
    diversity : mean over lists of the mean 1 - cosine between the features of two of its items; 1 where one has none.
    """
    check_kind("train", train, Ratings, "Ratings")
    check_kind("features", features, (Features, type(None)), "Features of the items, or None")
    lists = _check_lists(lists, train)
    listed = lists[lists >= 0]
    if len(listed) == 0:
        raise ValueError(f"the lists are empty: got {shown(lists)} without a title.")
    counts = np.maximum(train.item_counts, 1)
    found = {
        "coverage": len(np.unique(listed)) / train.n_items,
        "novelty": float(-np.log2(counts[listed] / train.n_users).mean()),
    }
    if features is not None:
        found["diversity"] = _diversity(lists, features.rows_for(train.item_ids))
    return found


def _diversity(lists, C):
    """Mean over lists of 1 - the mean cosine of two items; |sum of unit rows|^2 is the sum of all cosines of a list."""
    norms = np.sqrt(C.multiply(C).sum(axis=1))
    unit = sp.diags_array(1 / np.where(norms > 0, norms, 1.0)) @ C
    users, ranks = np.nonzero(lists >= 0)
    held = sp.csr_array((np.ones(len(users)), (users, lists[users, ranks])), shape=(len(lists), C.shape[0]))
    together = held @ unit
    cosines = together.multiply(together).sum(axis=1) - held @ (norms > 0)  # without each item's own with itself
    length = held.sum(axis=1)
    several = length > 1
    return float(np.mean(1 - cosines[several] / (length * (length - 1))[several])) if several.any() else np.nan


# ---- The comparison: everything about every model, on the same splits ------------------------------------------------


def compare(
    models: Models,
    ratings: Ratings | None,
    threshold: float,
    n: int = 10,
    features: Features | None = None,
    n_splits: int = 20,
    test_size: float = 0.2,
    random_state: int = 0,
    n_jobs: int = 1,
    progress: bool = False,
    splits: Splits | None = None,
    certify: bool = True,
    minutes: float | None = 10,
) -> pd.DataFrame:
    """Fit each model on the same splits and measure all that can be said about it.

    Parameters
    ----------
    models : dict of name -> unfitted Recommender
        One that fails on some split keeps its row, with the reason in `error`; the others are not concerned.
    ratings : Ratings
    threshold : float
        A held-out title is relevant to its viewer where it was rated so or better, rating points.
    n : int
        Length of the lists.
    features : Features, optional
        Of the items, for the diversity of the lists.
    n_splits, test_size, random_state, splits : as in `evaluate`.
    n_jobs : int
        Pairs of a model and a split, run side by side; apart from seconds the numbers do not depend on it.
    certify : bool
        Whether to ask the convex models for their certificates, which may take longer than the fit.
    minutes : float or None
        How long it may take, or None for as long as it takes. A model that the first split shows to be too slow is left
        out, and its row says why; where there is no time for all splits, there are fewer, and a warning says so.

    Returns
    -------
    DataFrame : one row per model and split; `comparison` makes one row per model of it.
        train_rmse, rmse, mae (raw), rmse_clipped, mae_clipped : rating points; missing for models that only rank.
        ndcg, recall : of the full-catalogue lists, mean over users with a relevant item.
        coverage, novelty, diversity : see `list_metrics`.
        stability : share of a user's list that is also in their list from another split, mean over users and splits.
        rated_precision : of the rated-only lists.
        cold, fit_seconds, certify_seconds, n_parameters, relative_gap, error, n_train, n_test.
        chosen : what a `Tuned` chose.
    Rows `random` (expected, exact) and `ceiling` have ranking figures only; `popularity` is always among the models.
    """
    n = whole_number("n", n, 1)
    _check_compare(models, threshold, features, progress, certify)
    models = {"popularity": next(iter(models.values())).floor(), **models}
    parts = _splits(ratings, n_splits, test_size, random_state, splits)
    if not all(test.same_universe(parts[0][1]) for _, test in parts):
        raise ValueError("splits must all have the same users and items: their lists are compared with each other.")
    _check_lists_fit(parts[0][1], n)  # now, not after all fits
    if features is not None:
        features.rows_for(parts[0][0].item_ids)  # of other ids: an error now, not one in every row
    if not all((test.values >= threshold).any() for _, test in parts):
        raise ValueError(
            f"on some split no user rated anything {threshold:g} or better in the test part; lower the threshold."
        )
    how = functools.partial(_measure, threshold=threshold, n=n, features=features, certify=certify)
    found = measured(how, models, parts, n_jobs, progress, minutes)
    if found.fewer:
        warn_caller(found.fewer)
    rows = _measured_rows(found)
    sizes = {"n_train": len(parts[0][0]), "n_test": len(parts[0][1])}
    rows += [{"model": name, "split": 0, "error": why} | sizes for name, why in found.left_out.items()]
    for split, (train, test) in enumerate(parts[: found.n_splits]):
        rows += [{"split": split} | row for row in _chance_and_best(train, test, threshold, n)]
    return pd.DataFrame(rows)


def _measured_rows(found):
    """The rows of `compare` that some model has, each with the stability of its lists."""
    lists: dict[str, dict] = {}
    for (name, split), (_, top) in found.results.items():
        if top is not None:
            lists.setdefault(name, {})[split] = top
    rows = []
    for (name, split), (row, own) in found.results.items():
        others = [top for other, top in lists.get(name, {}).items() if other != split]
        overlaps = [_overlap(own, other) for other in others] if own is not None else []
        rows.append({"model": name, "split": split} | row | {"stability": np.mean(overlaps) if overlaps else np.nan})
    return rows


def _check_compare(models, threshold, features, progress, certify):
    """Refuse what `compare` cannot measure, or measure by."""
    check_models(models)
    check_number("threshold", threshold, low=-np.inf)
    check_kind("features", features, (Features, type(None)), "Features of the items, or None")
    check_switch("progress", progress)
    check_switch("certify", certify)
    taken = sorted({"random", "ceiling"} & set(models))
    if taken:
        raise ValueError(f"{taken} are rows that are added to every table; name these models otherwise.")


def _measure(model, train, test, threshold, n, features, certify):
    """(figures, full-catalogue lists) of one model on one split; (the error, None) where it fails."""
    row = {"error": "", "n_train": len(train), "n_test": len(test)}
    try:
        start = time.perf_counter()
        fitted = clone(model).fit(train)
        row["fit_seconds"] = time.perf_counter() - start
        if fitted.score_name == "predicted_rating":
            row |= _all_errors(fitted, train, test)
        lists = top_lists(fitted, test, n)
        found = ranking_metrics(lists, test, threshold)[["ndcg", "recall"]].mean()
        rated = ranking_metrics(top_lists(fitted, test, n, "rated_only"), test, threshold)["precision"].mean()
        if certify:
            row |= _certified(fitted)
        row |= dict(found) | list_metrics(lists, train, features) | {"rated_precision": rated}
        row |= {"n_parameters": fitted.n_parameters(), "chosen": getattr(fitted, "chosen_", "")}
    except OutOfTime:
        raise
    except Exception as error:  # a model of somebody else may raise anything; it costs its row, not the run
        return {"error": f"{type(error).__name__}: {error}", "n_train": len(train), "n_test": len(test)}, None
    return row, lists


def _certified(fitted):
    start = time.perf_counter()
    certificate = fitted.certificate()
    gap = np.nan if certificate is None else certificate.relative_gap
    return {"relative_gap": gap, "certify_seconds": time.perf_counter() - start}


def _overlap(lists, others):
    """Share of each user's list that another list of theirs has too, mean over users."""
    listed = lists >= 0
    shared = np.zeros(lists.shape, dtype=bool)
    for other in others.T:
        shared |= lists == other[:, None]
    n_listed = listed.sum(axis=1)
    return float(((shared & listed).sum(axis=1)[n_listed > 0] / n_listed[n_listed > 0]).mean())


def _chance_and_best(train, test, threshold, n):
    """The rows `random` and `ceiling` of one split."""
    unseen = test.n_items - np.diff(train.known.indptr)
    full = _random_and_ceiling(test, unseen, n, threshold)
    rated = _random_and_ceiling(test, test.user_counts, n, threshold)
    for catalogue, own in zip(full, rated, strict=True):
        figures = {"ndcg": catalogue["ndcg"].mean(), "recall": catalogue["recall"].mean()}
        figures["rated_precision"] = own["precision"].mean()
        yield {"model": catalogue["model"].iloc[0], "error": "", "n_train": len(train), "n_test": len(test)} | figures


def comparison(results: pd.DataFrame) -> pd.DataFrame:
    """`compare`'s rows as one row per model: means over the splits, best held-out error first, then by NDCG.

    `half_width` is that of the 95 % interval of `rmse_clipped` (see `split_interval`), `relative_gap` the largest,
    `failed` the number of splits that raised, and `error` what the first of them said.
    """
    means = [
        "train_rmse",
        "rmse",
        "rmse_clipped",
        "mae_clipped",
        "ndcg",
        "recall",
        "coverage",
        "novelty",
        "diversity",
        "stability",
        "rated_precision",
        "fit_seconds",
        "certify_seconds",
        "n_parameters",
    ]
    _check_results(results, ("model", "split", "error", "n_train", "n_test"), once=("model", "split"))
    rows = []
    for name, part in results.groupby("model", sort=False):
        row = {"model": name} | part.reindex(columns=means).mean().to_dict()
        scored = part.get("rmse_clipped", pd.Series(dtype=float)).dropna()
        sizes = part[["n_train", "n_test"]].iloc[0]
        row["half_width"] = split_interval(scored, *sizes)[1] if len(scored) > 1 else np.nan
        row["relative_gap"] = part.reindex(columns=["relative_gap"])["relative_gap"].max()
        failed = part.loc[part["error"] != "", "error"]
        rows.append(row | {"failed": len(failed), "error": failed.iloc[0] if len(failed) else ""})
    table = pd.DataFrame(rows).sort_values(["rmse_clipped", "ndcg"], ascending=[True, False], kind="stable")
    table.insert(4, "half_width", table.pop("half_width"))
    return table.reset_index(drop=True)
