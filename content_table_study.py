"""Models compared, ranked and tuned: what stands on `content_table`, and its command line.

`evaluate` and `compare` measure models on the same splits, `rank_models` their lists, `tune` and `Tuned` choose their
settings. Import it all from `content_table`.
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import scipy.sparse as sp
import scipy.stats
from sklearn.base import clone
from tqdm import tqdm

from content_table import (
    ALS,
    DATA,
    SGDMF,
    TIE,
    WEIGHTS,
    BiasBaseline,
    ContentMF,
    DivergenceError,
    GlobalMean,
    ItemKNN,
    NuclearNorm,
    Popularity,
    Range,
    Recommender,
    SpectralRegularization,
    _need_rating_points,
    _store,
    check_number,
    load_features,
    load_mal_export,
    load_ratings,
)

PUBLISHED_SPACE = {  # of the blog notebook; 30 trials
    "n_factors": Range(5, 50, unit="factors"),
    "learning_rate": Range(1e-4, 1e-1, log=True, unit="step of one rating"),
    "reg": Range(1e-5, 1e-1, log=True, unit="lambda, once for each rating"),
}


# ---- Errors ----------------------------------------------------------------------------------------------------------


def errors(model, ratings, clip=False):
    """Prediction minus rating for each rating of the part, in rating points; `clip=True` clips to the scale first."""
    _need_rating_points(model)
    if len(ratings) == 0:
        raise ValueError("there is no rating to score: the part is empty.")
    if model._fitted().same_universe(ratings):
        predictions = model.predict_cells(ratings.rows, ratings.cols)
    else:
        predictions = model.predict(ratings.user_ids[ratings.rows], ratings.item_ids[ratings.cols])
    return (np.clip(predictions, *ratings.scale) if clip else predictions) - ratings.values


def rmse(model, ratings, clip=False):
    """Root mean squared error of `model` over a part; on the part it was fitted to, this is the *training* error."""
    return float(np.sqrt(np.mean(errors(model, ratings, clip) ** 2)))


def mae(model, ratings, clip=False):
    """Mean absolute error, rating points; the same caution."""
    return float(np.mean(np.abs(errors(model, ratings, clip))))


# ---- Models compared on the same splits ------------------------------------------------------------------------------


def evaluate(models, ratings, n_splits=20, test_size=0.2, random_state=0, n_jobs=1, progress=False):
    """Fit each model on the same random splits and score what was held out.

    Parameters
    ----------
    models : dict of name -> unfitted Recommender
    ratings : Ratings
    n_splits, test_size, random_state : the splits; split s uses the s-th child of `random_state`'s SeedSequence.
    n_jobs : int
        Splits run side by side by joblib; the numbers do not depend on it.

    Returns
    -------
    DataFrame : one row per model and split: model, split, train_rmse, rmse and mae (raw), rmse_clipped and
    mae_clipped, cold
        (held-out cells without a training rating in their row or column), n_train, n_test.
    """
    check_number("n_splits", n_splits, low=2, whole=True)
    _check_models(models)
    for model in models.values():
        _need_rating_points(model)
    seeds = np.random.SeedSequence(random_state).generate_state(n_splits).tolist()
    jobs = [
        joblib.delayed(_evaluate_split)(models, ratings, test_size, split, seed) for split, seed in enumerate(seeds)
    ]
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    rows = tqdm(parallel(jobs), total=n_splits, desc="splits", disable=not progress)
    return pd.DataFrame([row for split in rows for row in split])


def _evaluate_split(models, ratings, test_size, split, seed):
    train, test = ratings.split_random(test_size, random_state=seed)
    rows = []
    for name, model in models.items():
        fitted = clone(model).fit(train)
        scores = _all_errors(fitted, train, test)
        rows.append({"model": name, "split": split} | scores | {"n_train": len(train), "n_test": len(test)})
    return rows


def _check_models(models, expected="expected a dict of name: model"):
    if not isinstance(models, dict) or not models or not all(isinstance(m, Recommender) for m in models.values()):
        raise TypeError(f"{expected}, got {models!r}.")


def _all_errors(fitted, train, test):
    training, error = rmse(fitted, train), errors(fitted, test)
    clipped = np.clip(error + test.values, *test.scale) - test.values
    root, size = (lambda left: float(np.sqrt(np.mean(left**2)))), (lambda left: float(np.mean(np.abs(left))))
    return {"train_rmse": training, "rmse": root(error), "cold": fitted.n_fallback_, "rmse_clipped": root(clipped),
            "mae": size(error), "mae_clipped": size(clipped)}  # fmt: skip


def split_interval(values, n_train, n_test, level=0.95):
    """(mean, half width) of a confidence interval for a mean over random splits of one data set; NaN where there are
    fewer than two.

    Splits share most of their training ratings, so the plain standard error is too small; the variance is multiplied by
    1/J + n_test/n_train instead of 1/J. Reference: Inference for the Generalization Error, Machine Learning 52, 2003.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return float(values.mean()) if len(values) else np.nan, np.nan
    scale = np.sqrt((1 / len(values) + n_test / n_train) * values.var(ddof=1))
    return float(values.mean()), float(scipy.stats.t.ppf(0.5 + level / 2, len(values) - 1) * scale)


def summarize(results, metric="rmse_clipped"):
    """Mean and 95 % half width of one metric of `evaluate` for each model, and of its training RMSE; best first."""
    rows = []
    for name, part in results.groupby("model", sort=False):
        mean, half = split_interval(part[metric], part["n_train"].iloc[0], part["n_test"].iloc[0])
        rows.append({"model": name, "train_rmse": part["train_rmse"].mean(), metric: mean, "half_width": half})
    return pd.DataFrame(rows).sort_values(metric, kind="stable", ignore_index=True)


def paired_differences(results, reference, metric="rmse_clipped", larger_is_better=False):
    """Each model minus the reference, split by split: mean difference and 95 % half width; `better` or `worse` only
    where the interval leaves 0 out. Models without this metric are left out."""
    results = results.dropna(subset=metric)
    if reference not in set(results["model"]):
        raise ValueError(f"reference {reference!r} is not among the models with {metric}: "
                         f"{sorted(set(results['model']))}.")  # fmt: skip
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


def choose(candidates, train, validation, n_jobs=1):
    """The candidate with the smallest clipped validation RMSE (first on ties), fitted to `train`, and all the errors.

    The test part is not an argument: a choice that has seen it is not a choice.
    """
    fitted = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(clone(model).fit)(train, validation) for model in candidates)
    scores = [rmse(model, validation, clip=True) for model in fitted]
    if not np.isfinite(scores).any():
        raise ValueError(f"no candidate has a finite validation error: {scores}.")
    return fitted[int(np.nanargmin(scores))], scores


# ---- Settings chosen on a validation part ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Tuning:
    """What `tune` found: the model with the best settings, refitted, and the Optuna study with every trial."""

    model: "Recommender"
    study: object  # with `storage` it reads the file: later trials show in it too


def tune(model, ratings, validation=None, *, n_trials=30, space=None, score=rmse, n_folds=1, validation_size=0.2,
         sampler="tpe", prune=True, refit="all", storage=None, random_state=0, progress=False):  # fmt: skip
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
        Default: `model.search_space`. `PUBLISHED_SPACE` is the blog notebook's.
    score : function (fitted model, validation) -> number, smaller is better
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
    optuna = _optuna()
    check_number("n_trials", n_trials, low=1, whole=True)
    check_number("random_state", random_state, whole=True)
    space = model.search_space if space is None else space
    default = _default_settings(model, space)
    if sampler not in ("tpe", "random") or refit not in ("all", "train"):
        raise ValueError(f"sampler is 'tpe' or 'random', refit 'all' or 'train'; got {sampler!r} and {refit!r}.")
    parts = [(ratings, validation)]
    if validation is None:
        parts = _inner_splits(ratings, n_folds, validation_size, random_state)
    about = {"model": f"{model!r} ({joblib.hash(model)})", "space": str(space), "sampler": sampler,
             "random_state": str(random_state), "score": _name_of(score, storage),
             "ratings": [[part.fingerprint for part in pair] for pair in parts]}  # fmt: skip
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = _open_study(optuna, storage, about, default, prune)
        finished = [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]
        for number in tqdm(range(len(finished), n_trials), desc="trials", disable=not progress):
            seed = int(np.random.SeedSequence([random_state, number]).generate_state(1)[0])
            kinds = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
            study.sampler = kinds[sampler](seed=seed)
            _one_trial(optuna, study, model, space, parts, score)
    finally:
        optuna.logging.set_verbosity(verbosity)
    if not any(trial.state.name == "COMPLETE" for trial in study.trials):
        raise ValueError(f"none of {n_trials} trials could be scored: all diverged, were given up, or scored NaN.")
    best = clone(model).set_params(**study.best_params)
    if refit == "train":
        return Tuning(best.fit(*parts[0]), study)
    if _stops_early(best):
        best.set_params(patience=None, n_epochs=study.best_trial.user_attrs["n_epochs"])
    return Tuning(best.fit(ratings if validation is None else ratings.joined(validation)), study)


def _optuna():
    """Optuna, half a second to import: only for those who ask for it, and without its word about missing widgets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna
    return optuna


def _name_of(score, storage):
    """What a study remembers its score by."""
    if not callable(score):
        raise TypeError(f"score is a function (fitted model, validation) -> number, got {score!r}.")
    name = getattr(score, "__name__", "<no name>")
    if storage is not None and name.startswith("<"):
        raise ValueError("a stored study remembers its score by name, so that a later run cannot mix in another: give "
                         "it one (def).")  # fmt: skip
    return name


def _stops_early(model):
    """Whether its validation error belongs to its best pass."""
    return model.get_params(deep=False).get("patience") is not None


def _default_settings(model, space):
    """The settings that a model comes with, if they lie in the space."""
    if not space:
        raise ValueError(f"{type(model).__name__} has no settings to tune.")
    if not isinstance(space, dict) or not all(isinstance(r, Range) for r in space.values()):
        raise TypeError(f"a search space is a dict of name: Range(low, high), got {space!r}.")
    values, known = model.get_params(deep=False), {}
    for name, r in space.items():
        if name not in values:
            raise ValueError(f"{type(model).__name__} has no setting {name!r}; it has {sorted(values)}.")
        if not isinstance(values[name], (int, float, np.number)) or not r.low <= values[name] <= r.high:
            raise ValueError(f"the first trial is the model as given, but {name}={values[name]} lies outside "
                             f"{r.low:g} to {r.high:g}; change one of the two.")  # fmt: skip
        known[name] = values[name]
    return known


def _inner_splits(ratings, n_folds, validation_size, random_state):
    """One random split, or the folds of a cross-validation."""
    check_number("n_folds", n_folds, low=1, whole=True)
    if n_folds == 1:
        return [ratings.split_random(validation_size, random_state)]
    return ratings.split_folds(n_folds, random_state)


def _open_study(optuna, storage, about, default, prune):
    """A study in memory or in an SQLite file; an unfinished trial of an earlier run will be tried again."""
    url = None if storage is None else f"sqlite:///{Path(storage).resolve()}"
    pruner = optuna.pruners.MedianPruner(n_warmup_steps=10) if prune else optuna.pruners.NopPruner()
    study = optuna.create_study(study_name="tune", storage=url, load_if_exists=True, pruner=pruner)
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
    settings = {name: r.suggest(trial, name, name in model._whole) for name, r in space.items()}
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
        watch = _watcher(optuna, trial, validation, score) if len(parts) == 1 else _whole_fits_only
        fitted = clone(model).fit(train, validation, watch)
        values.append(score(fitted, validation))
        stops = _stops_early(fitted)
        curves.append([row["validation_rmse"] for row in fitted.history_ if stops and "validation_rmse" in row])
    shortest = min(len(curve) for curve in curves)
    # One number of passes for all folds: its own best for each flatters.
    if len(parts) > 1 and shortest and score is rmse:
        curve = np.mean([curve[:shortest] for curve in curves], axis=0)
        return float(curve.min()), int(curve.argmin()) + 1
    return float(np.mean(values)), round(float(np.mean([np.argmin(curve) + 1 if curve else 0 for curve in curves])))


def _whole_fits_only(model, row):
    """Asks nothing of a fit but that Ctrl-C ends it: half a fit is no trial."""


def _watcher(optuna, trial, validation, score):
    """Reports the best score so far after each pass, and gives up a trial that the pruner has lost faith in."""
    best = np.inf

    def watch(model, row):
        nonlocal best
        known = score is rmse and "validation_rmse" in row
        best = min(best, row["validation_rmse"] if known else score(model, validation))
        trial.report(best, row["epoch"])
        if trial.should_prune():
            raise optuna.TrialPruned

    return watch


class Tuned(Recommender):
    """A model that chooses its own settings, and itself among several, from the training ratings alone.

    `fit` runs `tune` for every candidate, by cross-validation inside whatever it is given, and keeps the one with the
    smallest mean validation score, refitted to all of it. So `evaluate` and `compare` judge a whole procedure, choice
    included, on ratings that no part of it has seen: nested evaluation.

    Parameters
    ----------
    candidates : Recommender or dict of name -> Recommender
        One without settings to tune is only scored.
    n_trials, space, score, n_folds, validation_size, sampler, random_state : as in `tune`
        For a dict of candidates `space` is a dict too: the spaces of those that shall not search their own.

    Attributes
    ----------
    model_ : the chosen model, refitted
    chosen_ : str, its name
    scores_ : dict of name -> best mean validation score
    """

    _positive = ("validation_size",)
    _whole = ("n_trials", "n_folds")

    def __init__(self, candidates=None, n_trials=20, space=None, score=rmse, n_folds=5, validation_size=0.2,
                 sampler="tpe", random_state=0):  # fmt: skip
        _store(self, locals())

    def _fit(self, ratings, validation=None):
        candidates = self.candidates if isinstance(self.candidates, dict) else {"model": self.candidates}
        _check_models(candidates, "candidates must be a model or a dict of models")
        if len({model.score_name for model in candidates.values()}) > 1:
            raise ValueError("candidates must all give the same kind of score, got "
                             f"{ {name: model.score_name for name, model in candidates.items()} }.")  # fmt: skip
        spaces = self.space or {} if isinstance(self.candidates, dict) else {"model": self.space}
        if set(spaces) - set(candidates):
            raise ValueError(f"space names {sorted(set(spaces) - set(candidates))}, which are no candidates.")
        found = {name: self._tuned(model, ratings, spaces.get(name)) for name, model in candidates.items()}
        self.scores_ = {name: float(value) for name, (_, value) in found.items()}
        self.chosen_ = min(self.scores_, key=self.scores_.get)
        self.model_ = found[self.chosen_][0]

    def _tuned(self, model, ratings, space):
        """(model refitted with its best settings, its mean validation score)."""
        inner = {"n_folds": self.n_folds, "validation_size": self.validation_size, "random_state": self.random_state}
        space = model.search_space if space is None else space
        if not space:
            values = [self.score(clone(model).fit(train), part) for train, part in _inner_splits(ratings, **inner)]
            return clone(model).fit(ratings), np.mean(values)
        tuning = tune(model, ratings, n_trials=self.n_trials, space=space, score=self.score, sampler=self.sampler,
                      **inner)  # fmt: skip
        return tuning.model, tuning.study.best_value

    @property
    def score_name(self):
        candidates = self.candidates if isinstance(self.candidates, dict) else {"model": self.candidates}
        return next((model.score_name for model in candidates.values() if isinstance(model, Recommender)), "nothing")

    @property
    def _reads_features(self):
        return self.model_._reads_features

    def save(self, path):
        """Write the chosen model; what else was tried is not kept."""
        self._fitted()
        self.model_.save(path)

    @property
    def n_parameters_(self):
        self._fitted()
        return self.model_.n_parameters_

    @property
    def certificate_(self):
        self._fitted()
        return getattr(self.model_, "certificate_", None)

    def _filled(self, rows, cols):
        return self.model_._filled(rows, cols)

    def _row_scores(self, rows):
        return self.model_._row_scores(rows)

    def _fold(self, axis, at, values, features=None):
        return self.model_._fold(axis, at, values, features)

    def _terms(self, viewer, col, n):
        return self.model_._terms(viewer, col, n)


def frequent_titles(models, n=10):
    """How many viewers' top-n lists each title enters, for every fitted model of a dict, most frequent first."""
    counts = {name: model.recommend_all(n).groupby(["item_id", "title"]).size() for name, model in models.items()}
    table = pd.DataFrame(counts).fillna(0).astype(int)
    table["all models"] = table.sum(axis=1)
    return table.sort_values("all models", ascending=False, kind="stable").reset_index()


# ---- Ranking: lists instead of ratings -------------------------------------------------------------------------------

RANKING_METRICS = ("precision", "recall", "ndcg", "average_precision", "hit")
PROTOCOLS = ("rated_only", "full_catalogue")


def top_lists(model, test, n=10, protocol="full_catalogue", also_seen=None):
    """(m, n) positions of the items that `model` puts first for each user, best first; -1 where a list is shorter.

    protocol "rated_only" orders just the items that the user rated in `test` (an easy game: nothing else can be
    listed); "full_catalogue" orders every item that the user has not rated in training or in `also_seen` (give the
    validation part). Ties go by item position.
    """
    check_number("n", n, low=1, whole=True)
    _check_protocol(model, test, protocol)
    if protocol == "full_catalogue":
        return model._top_items(np.arange(test.n_users), n, also_seen)
    scores = np.round(model._filled(test.rows, test.cols)[0], TIE)
    order = np.lexsort((test.cols, -scores, test.rows))
    counts = test.user_counts
    rank = np.arange(len(test)) - np.repeat(np.cumsum(counts) - counts, counts)
    lists = np.full((test.n_users, n), -1)
    first = order[rank < n]
    lists[test.rows[first], rank[rank < n]] = test.cols[first]
    return lists


def _check_protocol(model, test, protocol):
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {PROTOCOLS}, got {protocol!r}; their figures cannot be compared.")
    if not model._fitted().same_universe(test):
        raise ValueError("test must have the users and items of the training ratings, as parts of one table do.")


def ranking_metrics(lists, test, threshold):
    """Precision, recall, NDCG, average precision and hit of each user's list: one row for every user who has a relevant
    item, one that they rated `threshold` or better in `test`; the others have no right answer and are left out.

    With n the length asked for and r the user's number of relevant items: precision = hits / n (also where fewer than n
    items could be listed), recall = hits / r, NDCG = sum over hits of 1 / log2(rank + 1), divided by the same sum over
    ranks 1..min(r, n) (gains 0 or 1), average precision = mean over ranks of hits of the precision so far, out of
    min(r, n); hit = any.
    """
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
    columns = {"user_id": test.user_ids[users], "precision": hits.sum(axis=1) / n, "recall": hits.sum(axis=1) / r,
               "ndcg": hits @ gains / np.cumsum(gains)[possible - 1],
               "average_precision": (hits * np.cumsum(hits, axis=1) / rank).sum(axis=1) / possible,
               "hit": hits.any(axis=1).astype(float)}  # fmt: skip
    return pd.DataFrame(columns)


def _random_and_ceiling(test, n_candidates, n, threshold):
    """The same metrics, exactly: expected over all orders of each user's candidates, and of the best possible order."""
    r = np.bincount(test.rows[test.values >= threshold], minlength=test.n_users)
    users = np.flatnonzero(r)
    r, N = r[users], n_candidates[users]
    rank = np.arange(1, n + 1)
    there = rank <= N[:, None]  # ranks that this user's list has
    gains, possible = 1 / np.log2(rank + 1), np.minimum(r, n)
    ideal = np.cumsum(gains)[possible - 1]
    share, rest = r / N, (r - 1) / np.maximum(N - 1, 1)  # that an item is relevant; another one, given that
    precision_there = (1 + (rank - 1) * rest[:, None]) / rank
    miss = scipy.stats.hypergeom.pmf(0, N, r, np.minimum(n, N))
    chance = {"precision": share * there.sum(axis=1) / n, "recall": there.sum(axis=1) / N,
              "ndcg": share * (there @ gains) / ideal,
              "average_precision": share * (there * precision_there).sum(axis=1) / possible,
              "hit": 1 - miss}  # fmt: skip
    best = {"precision": possible / n, "recall": possible / r} | dict.fromkeys(RANKING_METRICS[2:], np.ones(len(r)))
    rows = {"random": chance, "ceiling": best}
    return [pd.DataFrame({"model": name, "user_id": test.user_ids[users]} | row) for name, row in rows.items()]


def rank_models(models, test, threshold, n=10, protocol="full_catalogue", also_seen=None):
    """`ranking_metrics` of each fitted model of a dict, with the rows any ranking must be read against.

    Returns
    -------
    DataFrame : one row per model and user: model, user_id and the five metrics. Added are `popularity` (fitted to the
    same training ratings), `random` (the expected value over all orders, exact) and `ceiling` (the best order there
    is). `attrs` keeps protocol, n, threshold and the number of users left out for want of a relevant item. `also_seen`
    matters to the full catalogue only.
    """
    _check_models(models)
    train = next(iter(models.values()))._fitted()
    strange = [name for name, model in models.items() if model._fitted().fingerprint != train.fingerprint]
    if strange:
        raise ValueError(f"models to compare must be fitted to the same ratings; {strange} were fitted to others.")
    taken = sorted({"random", "popularity", "ceiling"} & set(models))
    if taken:
        raise ValueError(f"{taken} are rows that are added to every table; name these models otherwise.")
    models = models | {"popularity": Popularity().fit(train)}
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


def rank_summary(results, normalised=("precision", "recall")):
    """Means over users, one row per model, and (score - random) / (ceiling - random) of some metrics: 0 is chance, 1
    the best possible order, whatever the protocol makes easy."""
    table = results.groupby("model", sort=False)[list(RANKING_METRICS)].mean()
    for metric in normalised:
        chance, best = table.loc["random", metric], table.loc["ceiling", metric]
        table[f"{metric}_normalised"] = (table[metric] - chance) / (best - chance) if best > chance else np.nan
    return table.reset_index()


def rank_differences(results, reference, metric="ndcg", n_boot=2000, random_state=0, level=0.95):
    """Each model minus the reference, user by user: mean difference and a bootstrap interval over users; `better` or
    `worse` only where the interval leaves 0 out."""
    table = results.pivot(index="user_id", columns="model", values=metric)
    if reference not in table:
        raise ValueError(f"reference {reference!r} is not among the models {sorted(table)}.")
    draws = np.random.default_rng(random_state).integers(0, len(table), (n_boot, len(table)))
    rows = []
    for name in results["model"].drop_duplicates():
        difference = (table[name] - table[reference]).to_numpy()
        low, high = np.quantile(difference[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
        verdict = "reference" if name == reference else "better" if low > 0 else "worse" if high < 0 else "tie"
        rows.append({"model": name, "difference": difference.mean(), "low": low, "high": high, "verdict": verdict})
    return pd.DataFrame(rows).sort_values("difference", ascending=False, kind="stable", ignore_index=True)


def list_metrics(lists, train, features=None):
    """What a set of lists is like, whoever likes it: coverage, novelty, and diversity where features are given.

    coverage : share of the catalogue that enters some list.
    novelty : mean of -log2(share of the training users who rated the item), bits; for an item that nobody rated, as if
        one had.
    diversity : mean over lists of the mean 1 - cosine between the features of two of its items; 1 where one has none.
    """
    listed = lists[lists >= 0]
    if len(listed) == 0:
        raise ValueError("the lists are empty.")
    counts = np.maximum(train.item_counts, 1)
    found = {"coverage": len(np.unique(listed)) / train.n_items,
             "novelty": float(-np.log2(counts[listed] / train.n_users).mean())}  # fmt: skip
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


def compare(models, ratings, threshold, n=10, features=None, n_splits=20, test_size=0.2, random_state=0, n_jobs=1,
            progress=False):  # fmt: skip
    """Fit each model on the same random splits and measure all that can be said about it.

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
    n_splits, test_size, random_state : as in `evaluate`.
    n_jobs : int
        Pairs of a model and a split, run side by side; apart from `fit_seconds` the numbers do not depend on it.

    Returns
    -------
    DataFrame : one row per model and split; `comparison` makes one row per model of it.
        train_rmse, rmse, mae (raw), rmse_clipped, mae_clipped : rating points; missing for models that only rank.
        ndcg, recall : of the full-catalogue lists, mean over users with a relevant item.
        coverage, novelty, diversity : see `list_metrics`.
        stability : share of a user's list that is also in their list from another split, mean over users and splits.
        rated_precision : of the rated-only lists.
        cold, fit_seconds, n_parameters, relative_gap, error, n_train, n_test; chosen : what a `Tuned` chose.
    Rows `random` (expected, exact) and `ceiling` have ranking figures only; `popularity` is always among the models.
    """
    check_number("n_splits", n_splits, low=2, whole=True)
    _check_models(models)
    taken = sorted({"random", "ceiling"} & set(models))
    if taken:
        raise ValueError(f"{taken} are rows that are added to every table; name these models otherwise.")
    models = {"popularity": Popularity()} | models
    seeds = np.random.SeedSequence(random_state).generate_state(n_splits).tolist()
    parts = [ratings.split_random(test_size, seed) for seed in seeds]
    if not all((test.values >= threshold).any() for _, test in parts):
        raise ValueError(
            f"on some split no user rated anything {threshold:g} or better in {ratings}; lower the threshold."
        )
    jobs = [(name, split) for split in range(n_splits) for name in models]
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    measured = parallel(joblib.delayed(_measure)(models[name], *parts[at], threshold, n, features) for name, at in jobs)
    rows, lists = [], {}
    for (name, split), (row, top) in zip(jobs, tqdm(measured, total=len(jobs), disable=not progress), strict=True):
        rows.append({"model": name, "split": split} | row)
        lists.setdefault(name, {})[split] = top
    for row in rows:
        others = [top for split, top in lists[row["model"]].items() if split != row["split"] and top is not None]
        own = lists[row["model"]][row["split"]]
        row["stability"] = np.mean([_overlap(own, other) for other in others]) if own is not None and others else np.nan
    for split, (train, test) in enumerate(parts):
        rows += [{"split": split} | row for row in _chance_and_best(train, test, threshold, n)]
    return pd.DataFrame(rows)


def _measure(model, train, test, threshold, n, features):
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
        certificate = getattr(fitted, "certificate_", None)
        row |= dict(found) | list_metrics(lists, train, features) | {"rated_precision": rated}
        row |= {"n_parameters": fitted.n_parameters_, "chosen": getattr(fitted, "chosen_", "")}
        row["relative_gap"] = np.nan if certificate is None else certificate.relative_gap
    except Exception as error:  # a model of somebody else may raise anything; it costs its row, not the run
        return {"error": f"{type(error).__name__}: {error}", "n_train": len(train), "n_test": len(test)}, None
    return row, lists


def _overlap(lists, others):
    """Share of each user's list that another list of theirs has too, mean over users."""
    n_items = 1 + max(lists.max(), others.max())
    tables = []
    for top in (lists, others):
        table = np.zeros((len(top), n_items), dtype=bool)
        rows, ranks = np.nonzero(top >= 0)
        table[rows, top[rows, ranks]] = True
        tables.append(table)
    listed = tables[0].sum(axis=1)
    return float(((tables[0] & tables[1]).sum(axis=1)[listed > 0] / listed[listed > 0]).mean())


def _chance_and_best(train, test, threshold, n):
    """The rows `random` and `ceiling` of one split."""
    unseen = test.n_items - np.diff(train.known.indptr)
    full = _random_and_ceiling(test, unseen, n, threshold)
    rated = _random_and_ceiling(test, test.user_counts, n, threshold)
    for catalogue, own in zip(full, rated, strict=True):
        figures = {"ndcg": catalogue["ndcg"].mean(), "recall": catalogue["recall"].mean()}
        figures["rated_precision"] = own["precision"].mean()
        yield {"model": catalogue["model"].iloc[0], "error": "", "n_train": len(train), "n_test": len(test)} | figures


def comparison(results):
    """`compare`'s rows as one row per model: means over the splits, best held-out error first, then by NDCG.

    `half_width` is that of the 95 % interval of `rmse_clipped` (see `split_interval`), `relative_gap` the largest,
    `failed` the number of splits that raised, and `error` what the first of them said.
    """
    means = ["train_rmse", "rmse", "rmse_clipped", "mae_clipped", "ndcg", "recall", "coverage", "novelty", "diversity",
             "stability", "rated_precision", "fit_seconds", "n_parameters"]  # fmt: skip
    rows = []
    for name, part in results.groupby("model", sort=False):
        row = {"model": name} | part.reindex(columns=means).mean().to_dict()
        scored = part.get("rmse_clipped", pd.Series(dtype=float)).dropna()
        sizes = part[["n_train", "n_test"]].iloc[0]
        row["half_width"] = split_interval(scored, *sizes)[1] if len(scored) > 1 else np.nan
        row["relative_gap"], failed = part["relative_gap"].max(), part.loc[part["error"] != "", "error"]
        rows.append(row | {"failed": len(failed), "error": failed.iloc[0] if len(failed) else ""})
    table = pd.DataFrame(rows).sort_values(["rmse_clipped", "ndcg"], ascending=[True, False], kind="stable")
    table.insert(4, "half_width", table.pop("half_width"))
    return table.reset_index(drop=True)


# ---- The command line: train everything, print the table and a list --------------------------------------------------


def course_models(item_features=None):
    """The course's models with the settings it published, and the ones that a fair comparison adds; all unfitted.

    With `item_features`, also `ContentMF`, which needs them.
    """
    models = {
        "global mean": GlobalMean(),
        "baseline": BiasBaseline(reg=5),
        "item neighbours": ItemKNN(),
        "ALS as published": ALS(n_factors=20, reg=0.1, n_epochs=1000, tol=0, init="ones"),
        "ALS with biases": ALS(n_factors=20, reg=8, biases=True, bias_reg=5),
        "spectral": SpectralRegularization(reg=5),
        "spectral with biases": SpectralRegularization(reg=8, biases=True, bias_reg=5),
        "nuclear norm": NuclearNorm(),
        "SGD": SGDMF(n_factors=10, reg=0.1, learning_rate=0.02, patience=20),
    }
    if item_features is not None:
        models["content"] = ContentMF(item_features, n_factors=10, reg=0.1, learning_rate=0.02, patience=20)
    return models


def main(arguments=None):
    """`python -m content_table`: the honest table of all models on a rating table, and one viewer's list; or yours."""
    parser = argparse.ArgumentParser(prog="content_table", description=main.__doc__)
    parser.add_argument("--data", help="anything that load_ratings reads; default: the sample")
    parser.add_argument(
        "--list", help="your own list (animelist.xml, or a CSV with titles and scores): only a list for it"
    )
    parser.add_argument(
        "--scale", type=float, nargs=2, metavar=("LOW", "HIGH"), help="of the ratings; default: 1 10, or MovieLens's"
    )
    parser.add_argument("--features", help="a catalogue whose genres load_features reads; default: the sample's own")
    parser.add_argument("--viewer", help="id or name; default: the first viewer with 25 ratings or more")
    parser.add_argument("--n", type=int, default=10, help="length of the list (default 10)")
    parser.add_argument("--splits", type=int, default=20, help="random 80/20 splits (default 20)")
    parser.add_argument("--jobs", type=int, default=1, help="splits run side by side (default 1)")
    parser.add_argument(
        "--save-weights", action="store_true", help="train on all ratings, write saved_weights/, and stop"
    )
    options = parser.parse_args(arguments)
    try:
        options.data = options.data or DATA / ("sparse.csv" if options.list else "100x100.csv")
        ratings = load_ratings(options.data, scale=options.scale)
        check_number("n", options.n, low=1, whole=True)
        options.simulated = Path(options.data).resolve().is_relative_to(DATA)
        if options.list:
            return _list_for(load_mal_export(options.list, ratings), ratings, options)
        catalogue = options.features or (DATA / "catalogue.csv" if options.simulated else None)
        models = course_models(catalogue and load_features(catalogue, ratings, use=("genres",)))
        if options.save_weights:
            return _save_weights(models, ratings)
        user = _some_user(ratings) if options.viewer is None else ratings.user_id(options.viewer)
        _report(models, ratings, user, options)
    except (ValueError, KeyError, OSError, MemoryError, DivergenceError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error  # str(KeyError) would add quotes
        parser.exit(2, f"content_table: {message}\n")


def _some_user(ratings):
    busy = np.flatnonzero(ratings.user_counts >= 25)
    return ratings.user_ids[busy[0] if len(busy) else 0]


def _save_weights(models, ratings):
    WEIGHTS.mkdir(exist_ok=True)
    for name, model in tqdm(models.items(), desc="training"):
        model.fit(ratings).save(WEIGHTS / f"{name.replace(' ', '_')}.npz")
    print(f"{len(models)} models in {WEIGHTS.name}/")


def _about(ratings, options):
    left_out = "".join(f"; {count} rows left out: {reason}" for reason, count in ratings.dropped.items() if count)
    return f"{ratings}{' of simulated viewers over real titles' if options.simulated else ''}{left_out}"


def _list_for(own, ratings, options):
    """The list of somebody who keeps a list, and the reasons for its first title."""
    print(f"{_about(ratings, options)}\n{own}")
    for item, title, score in own.unmatched.to_numpy():
        print(f"  not in the table: {title or item}, rated {score:g}")
    if not own.ratings:
        raise ValueError("no rated title of the list is in the table, so the list would be everybody's.")
    model = SpectralRegularization(reg=8, biases=True, tol=1e-4).fit(ratings)
    viewer = model.fold_in(own)
    table = viewer.recommend(options.n, uncertainty=True)
    print(f"\nFor you, by {model}; uncertainty: what so few ratings leave open, rating points:")
    print(table.to_string(index=False, float_format="{:.2f}".format))
    for item, title in table[["item_id", "title"]].head(1).to_numpy():
        print(f"\nWhy {title}: the sum, but for rounding, of")
        print(viewer.explain(item, 5).to_string(index=False, header=False, na_rep="", float_format="{:.2f}".format))


def _settles(name, model, ratings):
    try:
        clone(model).fit(ratings)
    except DivergenceError as error:
        print(f"left out: {name}. {error}\n")
        return False
    return True


def _report(models, ratings, user, options):
    print(f"{_about(ratings, options)}\n")
    try:
        results = evaluate(models, ratings, n_splits=options.splits, n_jobs=options.jobs, progress=True)
    except DivergenceError:  # steps that suit 1 to 10 are too long for a wider scale
        models = {name: model for name, model in models.items() if _settles(name, model, ratings)}
        results = evaluate(models, ratings, n_splits=options.splits, n_jobs=options.jobs, progress=True)
    table = summarize(results)
    compared = paired_differences(results, "baseline").set_index("model")
    table["against baseline"] = table["model"].map(compared["verdict"])
    table.columns = ["model", "training RMSE", "held-out RMSE", "+/-", "against baseline"]
    print(f"RMSE in rating points, {options.splits} random 80/20 splits, predictions clipped, 95 % intervals:")
    print(table.to_string(index=False, float_format="{:.3f}".format), end="\n\n")
    model = models["spectral with biases"].fit(ratings)
    name = user if ratings.user_names is None else ratings.user_names[ratings.user_rows(user)[0]]
    print(f"For viewer {name}, by {model}\n(certified: no fit has an objective lower by more than "
          f"{max(model.certificate_.relative_gap, 0):.0e} of it):")  # fmt: skip
    print(model.recommend(user, options.n).to_string(index=False, float_format="{:.2f}".format))
