"""What must hold for every input that `strategies` makes up: short in test_fuzz.py, long by `make fuzz`.

A property is a function of one made-up case; what it asserts is named by `checked`, so that the tally can say how often
each was tried. Answers are values, or errors that the project documents, raised in its own files.
"""

import dataclasses
import itertools
import json
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis.configuration
import numpy as np
import strategies
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import content_table as ct

DOCUMENTED = (ValueError, TypeError, KeyError, MemoryError, ct.DivergenceError)
BY_SOLVERS = (RuntimeError,)  # the conic solvers and conjugate gradients say so where they did not arrive
FROM_FILES = (ValueError, FileNotFoundError)
OURS = (str(Path(ct.__file__)), str(Path(ct.__file__).parent / "content_table_parts"))
ROUNDING = 1e-12  # of the primal value: what a gap may be below 0
MOST_MEMORY = 150 * 2**20  # that one file may take while it is read

KNOWN: list[tuple[str, str, str]] = [  # (check, text in the failure, reproduction): reported, and not yet mended
]


# ---- What was tried ----


class Tally:
    """What was tried, by (what, which), and the slowest case."""

    def __init__(self):
        self.counts, self.slowest = Counter(), (0.0, "")

    def add(self, what, which=""):
        self.counts[what, which] += 1

    def took(self, seconds, which):
        self.slowest = max(self.slowest, (seconds, which))

    def merge(self, other):
        self.counts.update(other.counts)
        self.slowest = max(self.slowest, other.slowest)


TALLY = Tally()
hypothesis.configuration.set_hypothesis_home_dir(Path(ct.__file__).parent / "build" / "hypothesis")  # its letters


@contextmanager
def checked(name):
    """One check of this name; a failure that is known already is counted and let pass."""
    TALLY.add("checks", name)
    try:
        yield
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        if any(name == check and text in said for check, text, _ in KNOWN):
            TALLY.add("known failures", name)
        else:
            error.add_note(f"Failed check: {name}")
            raise


def is_ours(error):
    """Whether an error was raised in the project's own files, with a message."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    return last.startswith(OURS) and bool(str(error).strip())


def answer(function, *arguments, errors=DOCUMENTED, **options):
    """What a call gives, or None where it refuses as documented; any other error, or warning, is a failure.

    That a fit, or the conic solver, has not arrived is the one warning that may come.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            value = function(*arguments, **options)
        except Exception as error:
            with checked("a refusal is a documented error of the project's own, with a message"):
                if not isinstance(error, (*errors, *BY_SOLVERS)) or not is_ours(error):
                    raise
            TALLY.add("errors", type(error).__name__)
            value = None
    with checked("no warning but that a fit has not arrived"):
        strange = [f"{one.category.__name__}: {one.message}" for one in said]
        expected = ConvergenceWarning.__name__, "UserWarning: Solution may be inaccurate"  # cvxpy, before our error
        strange = [text for text in strange if not text.startswith(expected)]
        assert not strange, strange
    return value


def fit(model, table):
    """The fitted model, or None where it refuses."""
    start = time.perf_counter()
    fitted = answer(model.fit, table)
    TALLY.took(time.perf_counter() - start, f"{type(model).__name__} on {table.n_users} x {table.n_items}")
    TALLY.add("fits", type(model).__name__)
    return fitted


def close(found, expected, size, tolerance=1e-9):
    """Equal within `tolerance` of the size of the numbers; says by how much not."""
    off = np.abs(np.asarray(found) - np.asarray(expected)).max(initial=0.0)
    assert off <= tolerance * size, f"off by {off:.3g}, numbers of size {size:.3g}"


def size_of(model):
    """How large the numbers of a fit are: its ratings, and what its predictions are sums of."""
    largest = [np.abs(model.ratings_.values).max(), np.abs(model.complete()).max(initial=0.0)]
    if hasattr(model, "user_factors_"):
        largest.append(np.abs(model.user_factors_).max(initial=0.0) * np.abs(model.item_factors_).max(initial=0.0))
    if model.score_name == "preference":  # a sum over likes, which weigh up to 1 each
        largest.append(1.0)
    return float(max(largest)) or 1.0


# ---- One fit ----


def a_fit_keeps_its_promises(case):
    """Everything that is said of every fitted model."""
    model, table = case
    TALLY.add("tables")
    TALLY.add("models", type(model).__name__)
    before, params = state_of(model, table), repr(model)
    fitted = fit(model, table)
    with checked("a fit changes neither ratings nor features nor settings"):
        assert state_of(model, table) == before
        assert repr(model) == params
    if fitted is None:
        with checked("a refused fit leaves nothing learnt"):
            assert not hasattr(model, "ratings_")
        return
    filled = model.complete()
    with checked("predictions are finite"):
        assert filled.shape == table.shape
        assert np.isfinite(filled).all()
    for promise in PROMISES:
        promise(model, table, filled)


def state_of(model, table):
    """The bytes of all that a fit is given."""
    given = (getattr(table, each.name) for each in dataclasses.fields(table))
    arrays = [value for value in given if isinstance(value, np.ndarray)]
    for value in model.get_params().values():
        if isinstance(value, ct.Features):
            arrays += [value.ids, value.matrix.data, value.matrix.indices, value.matrix.indptr]
        elif isinstance(value, tuple):
            arrays += [part for part in value if isinstance(part, np.ndarray)]
    return [array.tobytes() for array in arrays]


def pairs_are_the_cells_of_rows(model, table, filled):
    rows, cols = (grid.ravel() for grid in np.indices(table.shape))
    scores, fallback = model.predict_cells(rows, cols, return_fallback=True)
    with checked("pairs are the cells of complete()"):
        close(scores, filled.ravel(), size_of(model))
    with checked("ids and positions are predicted alike"):
        assert np.array_equal(scores, model.predict(table.user_ids[rows], table.item_ids[cols]))
    with checked("cells with a rating in row and column are known"):
        warm = (table.user_counts[rows] > 0) & (table.item_counts[cols] > 0)
        assert not (warm & fallback).any()


def a_second_fit_gives_the_same_digits(model, table, filled):
    with checked("a second fit gives the same digits"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        again = clone(model).fit(table)
        assert np.array_equal(again.complete(), filled)
        assert again.history_ == model.history_


def a_saved_model_gives_the_same_digits(model, table, filled):
    with checked("a saved model gives the same digits"), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        model.save(path)
        loaded = ct.load_model(path, table)
        assert np.array_equal(loaded.complete(), filled)
        assert loaded.ratings_.fingerprint == table.fingerprint
        if not isinstance(model, ct.Tuned):  # of which the chosen model is kept
            assert repr(loaded) == repr(model)
            assert loaded.history_ == model.history_
    with checked("the certificate of a fit can be asked for"):
        assert repr(loaded.certificate()) == repr(model.certificate())


def lists_hold_the_best_unseen(model, table, filled):
    seen = table.known.toarray() > 0
    n = min(3, table.n_items)
    everybody = np.arange(table.n_users)
    tops = model.top_items(everybody, n)
    by_factors = model._by_factors() is not None  # then to the digits of `predict_cells`, which those of a product miss
    scores = np.stack([model._row(row) for row in everybody]) if by_factors else model.predict_rows(everybody)
    scores = np.round(scores, ct.TIE)
    for row, top in enumerate(tops):
        left = np.flatnonzero(~seen[row])
        best = left[np.lexsort((left, -scores[row, left]))][:n]
        with checked("lists hold the best unseen titles, ties by position"):
            assert np.array_equal(top[top >= 0], best), (row, top, best)
            assert (top[len(best) :] == -1).all()
    listed = model.recommend_all(n)
    with checked("a table of all lists has no repeats, nothing seen, and ranks without gaps"):
        assert not listed.duplicated(["user_id", "item_id"]).any()
        assert not seen[table.user_rows(listed["user_id"]), table.item_cols(listed["item_id"])].any()
        assert listed.groupby("user_id")["rank"].agg(lambda rank: rank.tolist() == [*range(1, len(rank) + 1)]).all()
    with checked("with seasons a list holds one of each work, the first that the long list has"):
        works = table.works()
        columns = [table.item_cols(own).tolist() for _, own in listed.groupby("user_id")["item_id"]]
        assert works is None or all(len(set(works[one])) == len(one) for one in columns)


def somebody_known_is_seen_as_trained(model, table, filled):
    """Folded in with their own ratings, a viewer of the training part gets their trained predictions."""
    user = int(table.user_counts.argmax())
    own = table.csr[[user]]
    told = dict(zip(table.item_ids[own.indices].tolist(), own.data.tolist(), strict=True))
    viewer = model.fold_in(told)
    with checked("somebody new is predicted by finite numbers"):
        assert np.isfinite(viewer.scores).all()
        assert np.isfinite(model.fold_in({}).scores).all()
    if repeats_exactly(model):
        with checked("a fold-in repeats the trained predictions"):
            close(viewer.scores, filled[user], size_of(model), 1e-6)
    with checked("who is folded in is recommended nothing that they rated"):
        assert not set(viewer.recommend(5)["item_id"]) & set(told)


def repeats_exactly(model):
    """Whether the docstrings promise that a fold-in of a training viewer repeats the training.

    Where a fit was left before its end, or its equations are as good as singular, nothing is promised.
    """
    if isinstance(model, ct.Tuned):
        return repeats_exactly(model.model_)
    if isinstance(model, ct.Blend):
        return repeats_exactly(model.first_) and repeats_exactly(model.second_)
    if isinstance(model, (ct.SGDMF, ct.BPR, ct.DeepMF, ct.BayesianFM, ct.SpectralRegularization, ct.NuclearNorm)):
        return False
    reg = getattr(model, "reg", 1.0)
    return not isinstance(model, ct.GradientDescentMF) and (reg is None or reg > 1e-6)


def reasons_add_up(model, table, filled):
    user = int(table.user_counts.argmax())
    viewer = model.viewer(table.user_ids[user].item())
    for col in {0, int(table.item_counts.argmin()), table.n_items - 1}:
        item = table.item_ids[col].item()
        with checked("reasons sum to the prediction"):
            for n in (None, 1):  # what the means and the rest contribute is left out where it is below 1e-9
                add_up(viewer.explain(item, n), filled[user, col], model)
        known = not model.predict(table.user_ids[user], item, return_fallback=True)[1][0]
        if model.reads_features and known and not isinstance(model, ct.Blend):
            with checked("terms sum to the prediction"):
                add_up(viewer.terms(item), filled[user, col], model)


def add_up(parts, prediction, model):
    size = max(size_of(model), parts["contribution"].abs().max())  # large parts that cancel are rounded, too
    close(parts["contribution"].sum(), prediction, size, 1e-8 + 4e-9 / size)


def what_is_unknown_is_a_number(model, table, filled):
    if model.score_name != "predicted_rating":
        return
    with checked("errors are the differences from the ratings"):
        close(model.errors(table), filled[table.rows, table.cols] - table.values, size_of(model))
        assert 0 <= model.mae(table) <= model.rmse(table) * (1 + 1e-12)
    viewer = model.viewer(table.user_ids[int(table.user_counts.argmax())].item())
    spread = answer(viewer.uncertainty, table.item_ids)
    if spread is not None:
        with checked("uncertainty is finite, and more for a single rating"):
            assert np.isfinite(spread).all()
            assert (spread >= 0).all()
            assert (viewer.uncertainty(table.item_ids, of_a_rating=True) >= spread).all()


def an_objective_of_exact_steps_never_rises(model, table, filled):
    # Without a penalty least squares leave out what is rounding beside the largest singular value of the factors held
    # fixed: where these become nearly dependent, a pass may lose what the one before it still could express.
    if isinstance(model, (ct.ALS, ct.NMF, ct.ImplicitALS)) and model.in_use("reg") > 0:
        with checked("the objective of exact steps never rises"):
            values = [row["objective"] for row in model.history_]
            nothing = np.sum(table.values**2)  # the objective without any factors: its terms are rounded
            if isinstance(model, ct.ImplicitALS):
                nothing = np.sum(1 + model.confidence * np.maximum(table.values, 1))  # 1: of binary positives
            for before, after in itertools.pairwise(values):
                assert after <= before + 1e-9 * abs(before) + 1e-12 * nothing, (before, after)
    with checked("there are at most n_epochs passes"):
        epochs = [row["epoch"] for row in model.history_]
        assert epochs == sorted(set(epochs))
        assert not epochs or epochs[-1] <= getattr(model, "n_epochs", np.inf)


def a_certificate_bounds_every_objective(model, table, filled):
    with checked("the number of parameters is counted"):
        assert model.n_parameters() >= 0
    found = None
    with checked("the certificate of a fit can be asked for"):
        found = model.certificate()
    if found is None:
        return
    model = getattr(model, "model_", model)
    with checked("a gap is not below 0"):
        assert found.gap >= -ROUNDING * abs(found.primal), found
    objective, points = OBJECTIVES[type(model)](model, table)
    here, *elsewhere = [objective(*point) for point in points]  # among these nothing at all: how large the terms are
    with checked("the primal value is the objective"):
        close(found.primal, here, max(elsewhere), 1e-9)
    for value in (here, *elsewhere):
        with checked("a dual bound is above no objective"):
            off = 1e-15 * np.abs(table.values).max() * np.sqrt(len(table) * value)  # of residuals that nearly cancel
            assert found.dual <= value * (1 + ROUNDING) + off + 1e-300, (model, found, value)


PROMISES = (
    pairs_are_the_cells_of_rows,
    a_second_fit_gives_the_same_digits,
    a_saved_model_gives_the_same_digits,
    lists_hold_the_best_unseen,
    somebody_known_is_seen_as_trained,
    reasons_add_up,
    what_is_unknown_is_a_number,
    an_objective_of_exact_steps_never_rises,
    a_certificate_bounds_every_objective,
)


# ---- Objectives, from their docstrings, and points to try them at ----


def around(*arrays):
    """A point, shorter and longer ones, nothing at all, and others near it."""
    rng = np.random.default_rng(0)
    noise = [[rng.normal(0, 0.1 * (1e-9 + np.abs(one).max(initial=0)), one.shape) for one in arrays] for _ in range(3)]
    near = [tuple(one + away for one, away in zip(arrays, some, strict=True)) for some in noise]
    return [arrays, *(tuple(share * one for one in arrays) for share in (0.0, 0.5, 0.99, 1.01)), *near]


def _of_biases(model, table):
    def objective(b_user, b_item):
        left = table.values - model.global_mean_ - b_user[table.rows] - b_item[table.cols]
        return left @ left + model.reg * (b_user @ b_user + b_item @ b_item)

    return objective, around(model.user_bias_, model.item_bias_)


def _of_als(model, table):
    mean, bias_reg = model._intercept, model.bias_reg if model.biases else 0.0
    times = [np.maximum(counts, 1) if model.weighted_reg else 1 for counts in (table.user_counts, table.item_counts)]

    def objective(P, Q, b_user, b_item):
        X = P @ Q.T + mean + b_user[:, None] + b_item
        left = table.values - X[table.rows, table.cols]
        norms = (times[0] * (P**2).sum(axis=1)).sum() + (times[1] * (Q**2).sum(axis=1)).sum()
        return left @ left + model.in_use("reg") * norms + bias_reg * (b_user @ b_user + b_item @ b_item)

    biases = (model.user_bias_, model.item_bias_)
    points = around(model.user_factors_, model.item_factors_, *biases)
    return objective, points if model.biases else [(P, Q, *biases) for P, Q, *_ in points]


def _of_ease(model, table):
    low, high = table.scale
    liked = table.values >= np.round(low + (model.liked or 0) * (high - low), ct.TIE) if model.liked else True
    S = np.zeros(table.shape)
    S[table.rows, table.cols] = liked * (1.0 if model.binary else (table.values - low) / (high - low))

    def objective(B):
        B = B - np.diag(np.diag(B))
        return (((S - S @ B) ** 2).sum() + model.reg * (B**2).sum()) / 2

    return objective, around(model._pairs().rows(np.arange(table.n_items)))


def _of_content(model, table):
    C = model.item_table_.toarray()

    def objective(W, b):
        left = table.values - model.global_mean_ - b[table.rows] - (W[table.rows] * C[table.cols]).sum(axis=1)
        return left @ left + model.reg * ((W**2).sum() + b @ b)

    return objective, around(model.feature_weights_, model.user_bias_)


def _of_spectral(model, table):
    mean, bias_reg = (model.global_mean_, model.bias_reg) if model.biases else (0.0, 0.0)

    def objective(X, b_user, b_item):
        left = table.values - mean - (X + b_user[:, None] + b_item)[table.rows, table.cols]
        penalty = bias_reg / 2 * (b_user @ b_user + b_item @ b_item)
        return left @ left / 2 + penalty + model.in_use("reg") * np.linalg.svd(X, compute_uv=False).sum()

    X, biases = (model.U_ * model.s_) @ model.Vt_, (model.user_bias_, model.item_bias_)
    return objective, around(X, *biases) if model.biases else [(one, *biases) for (one,) in around(X)]


def _of_nuclear(model, table):
    def objective(X):
        X = X.copy()
        X[table.rows, table.cols] = table.values
        return np.linalg.svd(X, compute_uv=False).sum()

    return objective, around((model.U_ * model.s_) @ model.Vt_)


OBJECTIVES = {
    ct.BiasBaseline: _of_biases,
    ct.ALS: _of_als,
    ct.NMF: _of_als,
    ct.EASE: _of_ease,
    ct.ContentOnly: _of_content,
    ct.SpectralRegularization: _of_spectral,
    ct.NuclearNorm: _of_nuclear,
}


# ---- Two fits ----

CLOSED = (ct.GlobalMean, ct.Popularity, ct.BiasBaseline, ct.EASE, ct.GraphFilter, ct.ContentOnly)
CONVEX = (*CLOSED, ct.SpectralRegularization, ct.NuclearNorm)
LEVELLED = (ct.GlobalMean, ct.BiasBaseline, ct.ItemKNN, ct.ContentOnly, ct.ALS, ct.SGDMF, ct.ContentMF,
            ct.SpectralRegularization)  # fmt: skip


def order_does_not_matter(case):
    """Convex models predict the same whatever the order of the file, of the users and of the items."""
    (model, table), seed = case
    other, users, items = shuffled(table, seed)
    one, two = fit(model, table), fit(clone(model), other)
    conic = getattr(model, "solver", "") == "cvxpy"  # which may miss its accuracy in one order and say so
    with checked("what is refused is refused in any order"):
        assert conic or (one is None) == (two is None)
    if one is None or two is None:
        return
    mine, theirs = one.complete()[users][:, items], two.complete()
    if isinstance(model, CLOSED):
        reg = getattr(model, "reg", 1.0)
        with checked("order does not matter" + ("" if reg else ", without a penalty either")):
            rounding = max(1e-8, 1e-13 / reg if reg else 0.0)  # tiny: as good as singular
            if getattr(model, "dtype", "") == "float32":  # EASE, of numbers up to the viewers of a title
                rounding = max(1e-4, 1e-6 * table.n_users / reg)
            close(mine, theirs, size_of(one), rounding)
    else:
        gaps = sum(np.sqrt(2 * max(each.certificate().gap, 0.0)) for each in (one, two))
        apart = gaps if isinstance(model, ct.SpectralRegularization) else one.violation_ + two.violation_
        with checked("order does not matter, to the accuracy of the certificate"):  # strong convexity in the residual
            close(mine[other.rows, other.cols], theirs[other.rows, other.cols], 1.0, apart + 1e-8 * size_of(one))


def shuffled(table, seed):
    """(the same table with file, users and items in another order, and where its users and items were)."""
    rng = np.random.default_rng(seed)
    users, items, entries = (rng.permutation(count) for count in (*table.shape, len(table)))
    where = [np.argsort(order) for order in (users, items)]
    other = ct.Ratings(
        table.user_ids[users],
        table.item_ids[items],
        where[0][table.rows[entries]],
        where[1][table.cols[entries]],
        table.values[entries],
        scale=table.scale,
    )
    return other, users, items


def condition(model):
    """A bound on the condition of the equations that a half-step solves: 1 + |F|^2 / reg, F the other side's factors.

    Each pass may enlarge the rounding of the one before by so much.
    """
    factors = [getattr(model, name) for name in ("user_factors_", "item_factors_") if hasattr(model, name)]
    reg = model.in_use("reg") if hasattr(model, "reg") else None
    return 1 + max((np.square(F).sum() for F in factors), default=0.0) / reg if reg else 1.0


def away(model):
    """How far from the optimum, in shares of the numbers' size, a fit may be that ends at a certified gap: distances go
    with its root."""
    certificate = model.certificate()
    return max(1e-6, np.sqrt(max(certificate.relative_gap, 0.0))) if certificate is not None else 1e-6


def a_shift_of_all_ratings_shifts_the_predictions(case):
    """Models with a mean: `c` points more everywhere are `c` points more in every prediction."""
    model, table = case
    model = model.set_params(biases=True) if "biases" in model.get_params() else model
    if isinstance(getattr(model, "init", None), str) and model.init == "ones" and model.n_factors > 1:
        return  # its columns are one and the same until rounding sets them free (lesson 05)
    c = 4.0 * (table.scale[1] - table.scale[0])
    scale = tuple(end + c for end in table.scale)
    other = ct.Ratings(table.user_ids, table.item_ids, table.rows, table.cols, table.values + c, scale=scale)
    one, two = fit(model, table), fit(clone(model), other)
    if one is None or two is None or [len(row.history_) for row in (one, two)] != [len(one.history_)] * 2:
        return  # rounding may tip a model to one pass more, or over the brink of its longest step
    if getattr(one, "best_epoch_", 0) != getattr(two, "best_epoch_", 0) or getattr(model, "reg", 1.0) in (0.0, 1e-9):
        return
    if max(condition(one), condition(two)) > 1e8:
        return  # ratings of millions, a penalty of one: what is left is rounding
    conic = getattr(model, "solver", "") == "cvxpy"
    with checked("a shift of all ratings shifts the predictions"):
        close(
            two.complete(),
            one.complete() + c,
            size_of(two) + size_of(one),
            max(away(one), away(two)) if conic else 1e-6,
        )


def a_conic_solver_agrees(case):
    """The same problem stated as on paper: its optimum is between the dual bound and the primal value."""
    model, table = case
    precise = {} if isinstance(model, ct.BiasBaseline) else {"tol": 1e-7, "n_epochs": 2000}
    solvers = ct.declared_settings(type(model))["solver"].among
    ours, theirs = (clone(model).set_params(solver=name, **precise) for name in (solvers[0], "cvxpy"))
    one, two = fit(ours, table), fit(theirs, table)
    if one is None or two is None:
        return
    found, other = one.certificate(), two.certificate()
    if found is not None:
        with checked("no bound is above what a conic solver finds"):
            assert found.dual <= other.primal * (1 + ROUNDING)
            assert other.dual <= found.primal * (1 + ROUNDING)


# ---- Lists measured, and tables split ----


def metrics_lie_within_their_bounds(case):
    """Ranking figures are shares; the best order is above every model, and chance is the mean over all orders."""
    (model, table), threshold, n = case
    parts = answer(table.split_random, 0.3)
    if parts is None or fit(model, parts[0]) is None:
        return
    train, test = parts
    for protocol in ct.PROTOCOLS:
        results = answer(ct.rank_models, {"mine": model}, test, threshold, n, protocol)
        if results is None:
            continue
        figures = results.set_index(["model", "user_id"])
        with checked("ranking figures are shares"):
            assert ((figures >= 0) & (figures <= 1 + 1e-12)).all(axis=None)
        with checked("no order is better than the best"):
            best = figures.loc["ceiling"]
            assert all((figures.loc[name] <= best + 1e-12).all(axis=None) for name in ("mine", "random", "popularity"))
        chance_is_the_mean_over_all_orders(figures.loc["random"], train, test, threshold, n, protocol)
        lists = ct.top_lists(model, test, n, protocol)
        if (lists >= 0).any():
            with checked("coverage is a share, and novelty no less than nothing"):
                said = ct.list_metrics(lists, train)
                assert 0 < said["coverage"] <= 1
                assert said["novelty"] >= 0


def chance_is_the_mean_over_all_orders(chance, train, test, threshold, n, protocol):
    for user in chance.index[:3]:
        row = test.user_rows(user)[0]
        known = train.known if protocol == "full_catalogue" else None
        own = test.cols[test.rows == row] if known is None else np.setdiff1d(range(test.n_items), known[[row]].indices)
        if len(own) > 5:
            continue
        orders = [list(order[:n]) + [-1] * (n - len(own)) for order in itertools.permutations(own)]
        means = []
        for order in orders:
            lists = np.full((test.n_users, n), -1)
            lists[row] = order
            table = ct.ranking_metrics(lists, test, threshold).set_index("user_id")
            means.append(table.loc[user, list(ct.RANKING_METRICS)].to_numpy(float))
        with checked("chance is the mean over all orders"):
            close(chance.loc[user, list(ct.RANKING_METRICS)].to_numpy(float), np.mean(means, axis=0), 1.0)


def splits_partition_the_table(case):
    """Every rating is in exactly one part, and parts keep the users and items."""
    table, share, seed = case
    TALLY.add("tables")
    splits = {
        "random": answer(table.split_random, share, seed),
        "user time": answer(table.split_user_time, share / 2, share / 3),
        "global time": answer(table.split_global_time, share / 2, share / 3),
        "leave one out": answer(table.split_leave_one_out, seed),
    }
    folds = answer(table.split_folds, 3, seed) or []
    splits |= {f"fold {at}": fold for at, fold in enumerate(folds)}
    for name, parts in splits.items():
        if parts is None:
            continue
        with checked("the parts of a split are the table"):
            found = np.concatenate([part.rows * table.n_items + part.cols for part in parts])
            assert np.array_equal(np.sort(found), np.sort(table.rows * table.n_items + table.cols)), name
            assert all(part.same_universe(table) for part in parts)
            whole = parts[0]
            for part in parts[1:]:
                whole = whole.joined(part)
            assert whole.fingerprint == table.fingerprint
        if "time" in name:
            with checked("a split by time puts nothing before what it is learnt from"):
                in_time_order(parts, table if name == "user time" else None)
    if folds:
        with checked("each rating is held out once"):
            assert sum(len(held) for _, held in folds) == len(table)


def in_time_order(parts, by_user):
    for earlier, later in itertools.combinations(parts, 2):
        users = range(by_user.n_users) if by_user is not None else [None]
        for user in users:
            one, two = (part.times if user is None else part.times[part.rows == user] for part in (earlier, later))
            assert not len(one) or not len(two) or one.max() <= two.min()


def a_table_survives_a_file(table):
    """What is written is read again, and so is a pandas table."""
    TALLY.add("tables")
    frame = table.frame()
    with checked("a pandas table gives the same ratings"):
        again = ct.Ratings.from_frame(frame, "user_id", "item_id", "rating", scale=table.scale)
        assert same_cells(again, table)
    if table.user_ids.dtype.kind not in "iu" or table.item_ids.dtype.kind not in "iu":
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        table.to_csv(path)
        again = answer(ct.load_ratings, path, scale=table.scale, errors=FROM_FILES)
        if again is not None:
            with checked("a written table is read again"):
                zeros = again.dropped.get("no score", 0)
                assert len(again) + zeros == len(table)
                assert zeros or same_cells(again, table)


def same_cells(one, other):
    """Whether two tables hold the same ratings of the same ids."""
    tables = [
        dict(zip(zip(each.user_ids[each.rows].tolist(), each.item_ids[each.cols].tolist(), strict=True),
                 each.values.tolist(), strict=True))
        for each in (one, other)
    ]  # fmt: skip
    return tables[0] == tables[1]


# ---- Files ----


@cache
def catalogue():
    """The table whose titles a file is about."""
    known = np.array([[1, 2, 0, 5, 0], [0, 3, 4, 0, 0], [5, 0, 1, 2, 0], [4, 4, 0, 3, 0]])
    rows, cols = np.nonzero(known)
    names = ["Apple", "Bear", "進撃の巨人", "ハイキュー!!", "Bear 2nd Season"]
    people = [f"viewer {u}" for u in range(4)]
    return ct.Ratings([1, 2, 3, 4], [1, 2, 3, 4, 5], rows, cols, known[rows, cols], titles=names, user_names=people,
                      times=np.arange(len(rows)))  # fmt: skip


def peak_memory():
    """The largest memory that this process has had, bytes; 0 where it cannot be asked."""
    try:
        import resource
        import sys
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def read(reader, **files):
    """What a reader makes of these files {name without dot: bytes}, in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name.replace("_", ".")).write_bytes(data)
        before = peak_memory()
        value = answer(reader, Path(folder), errors=FROM_FILES)
    with checked("a file takes bounded memory"):
        assert peak_memory() - before < MOST_MEMORY, f"{files.keys()} took {peak_memory() - before:,} bytes"
    return value


def read_export(data, own=True):
    return read(lambda folder: ct.load_mal_export(folder / "list", catalogue() if own else None), list=data)


def read_course(data):
    return read(lambda folder: ct.load_ratings(folder / "course.csv", "last"), course_csv=data)


def read_movielens(ratings, movies):
    return read(lambda folder: ct.load_ratings(folder), ratings_csv=ratings, movies_csv=movies)


def read_dump(reviews, animes):
    return read(lambda folder: ct.load_ratings(folder), reviews_csv=reviews, animes_csv=animes)


def read_features(movies, tags):
    use = ("genres", "tags", "decade")
    return read(lambda folder: ct.load_features(folder, catalogue(), use=use), movies_csv=movies, tags_csv=tags)


def read_genres(animes):
    return read(lambda folder: ct.load_genres(folder / "animes.csv", catalogue()), animes_csv=animes)


def read_profiles(profiles):
    return read(lambda folder: ct.load_profiles(folder / "profiles.csv", catalogue()), profiles_csv=profiles)


def read_model(data):
    return read(lambda folder: ct.load_model(folder / "model.npz"), model_npz=data)


def about_of(data):
    """The text about its arrays that a saved model holds."""
    return json.dumps(strategies.parts_of(data)[0])


def read_about(text):
    """A saved model with whole arrays, and this text about them."""
    arrays = strategies.parts_of(saved_models()["ContentMF"][0])[1]
    return read_model(strategies.joined(text.decode("utf-8", "replace").replace("\0", " "), arrays))


@cache
def baseline():
    return ct.BiasBaseline().fit(catalogue())


def an_export_is_read_or_refused(case):
    data, own = case
    TALLY.add("exports")
    found = read_export(data, own)
    if found is not None and own:
        with checked("a list that was read can be folded in"):
            viewer = baseline().fold_in(found)
            assert np.isfinite(viewer.scores).all()
            assert not set(viewer.recommend(5)["item_id"]) & {*found.ratings, *found.seen}
        with checked("a list holds known titles, and scores of the scale"):
            assert set(found.ratings) | set(found.seen) <= set(catalogue().item_ids.tolist())
            assert all(1 <= score <= 10 for score in found.ratings.values())


def a_table_is_read_or_refused(case):
    reader, files = case
    TALLY.add("files", reader.__name__.removeprefix("read_"))
    found = reader(*files)
    if isinstance(found, ct.Ratings):
        with checked("a table that was read has ratings, of its scale, and a model fits it"):
            assert len(found) > 0
            assert found.scale[0] <= found.values.min() <= found.values.max() <= found.scale[1]
            assert np.isfinite(ct.BiasBaseline().fit(found).complete()).all()
            assert ct.Ratings.from_frame(found.frame(), "user_id", "item_id", "rating", scale=found.scale)
    elif found is not None:
        with checked("features that were read are finite, one row an id"):
            assert found.matrix.shape == (len(found.ids), len(found.names))
            assert np.isfinite(found.matrix.data).all()


@cache
def saved_models():
    """{name: (bytes, predictions)} of small fitted models, one of every class that has arrays of its own."""
    about = ct.Features([5, 4, 1, 2], [[1, 0], [0, 2], [0.5, 0.5], [0, 1]], ["funny", "sad"])
    profile = ct.Features([1, 2, 3], [[1], [0], [1]], ["young"])
    few = {"n_factors": 2, "n_epochs": 5}
    every = (ct.BiasBaseline(), ct.ItemKNN(), ct.EASE(), ct.GraphFilter(n_factors=2), ct.Popularity(),
             ct.ALS(**few, tol=0, biases=True), ct.ImplicitALS(**few, tol=0), ct.BPR(**few), ct.DeepMF(**few),
             ct.MultVAE(**few), ct.SGDMF(**few, patience=None), ct.ContentOnly(about), ct.NMF(**few, tol=0),
             ct.ContentMF(about, profile, **few, patience=None), ct.SpectralRegularization(2), ct.NuclearNorm(),
             ct.Blend(ct.BiasBaseline(), ct.ContentOnly(about), weight=0.5))  # fmt: skip
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in every:
            path = Path(folder) / "model.npz"
            model.fit(catalogue()).save(path)
            found[type(model).__name__] = path.read_bytes(), model.complete()
    return found


def a_damaged_model_is_refused_or_the_same(case):
    name, data = case
    TALLY.add("model files", name)
    loaded = read_model(data)
    if loaded is not None:
        with checked("a damaged model is refused or predicts the same"):
            assert np.array_equal(loaded.complete(), saved_models()[name][1])


def a_crafted_model_is_refused_or_predicts(case):
    """Whatever numbers a file holds: a model that is loaded answers everything by finite numbers."""
    name, data = case
    TALLY.add("model files", name)
    with checked("a crafted model is refused or answers"):
        loaded = read_model(data)
        if loaded is not None:
            answers_everything(loaded)


def answers_everything(model):
    filled = model.complete()
    assert filled.shape == model.ratings_.shape
    assert np.isfinite(filled).all()
    rows, cols = (grid.ravel() for grid in np.indices(filled.shape))
    assert np.isfinite(model.predict_cells(rows, cols)).all()
    items = model.ratings_.item_ids[:2].tolist()
    assert np.isfinite(model.fold_in(dict.fromkeys(items, model.ratings_.scale[1])).scores).all()
    model.recommend_all(2)
    answer(model.certificate)


def a_bomb_does_not_go_off(what):
    """A small file that unpacks to a quarter of a gigabyte is refused in bounded memory."""
    TALLY.add("bombs", what)
    with checked("a bomb is refused in bounded memory"):
        if what == "model":
            found = read_model(strategies.stored_bomb())
        else:
            found = read_export(strategies.packed_bomb({"xml": b"<myanimelist>", "csv": b"title,score\n"}[what]))
        assert found is None, what


def model_files(change):
    """(name, bytes) of saved models after a change of their bytes."""
    return st.sampled_from(sorted(saved_models())).flatmap(
        lambda name: change(saved_models()[name][0]).map(lambda data: (name, data))
    )


def table_files():
    """(reader, its files), whole and damaged."""
    s = strategies

    def of(reader, *columns):
        return st.tuples(*(s.damaged(s.csv_files(one)) for one in columns)).map(lambda files: (reader, files))

    return st.one_of(
        of(read_course, s.COURSE),
        of(read_movielens, s.MOVIELENS, s.MOVIES),
        of(read_dump, s.REVIEWS, s.ANIMES),
        of(read_features, s.MOVIES, s.TAGS),
        of(read_genres, s.ANIMES),
        of(read_profiles, s.PROFILES),
    )


# ---- All of them ----


class Property(NamedTuple):
    """What is drawn, what must hold for it, and how many examples `make test` tries; 0: too slow for it."""

    draw: Any
    check: Any
    examples: int


LISTED = (ct.GlobalMean, ct.Popularity, ct.BiasBaseline, ct.ItemKNN, ct.ALS)
STATED = (ct.BiasBaseline, ct.SpectralRegularization, ct.NuclearNorm)


def _measured():
    thresholds = st.sampled_from((1.0, 4.0, 8.0))
    return st.tuples(strategies.fits(LISTED, scales=[(1.0, 10.0)]), thresholds, st.integers(1, 6))


def _lists():
    whole = strategies.exports(), strategies.csv_files(strategies.OWN)
    return st.tuples(st.one_of(*map(strategies.damaged, whole)), st.booleans())


def _saved(change):
    return st.deferred(lambda: model_files(change))  # models are fitted where they are asked for


PROPERTIES = {
    f"fits of {kind.__name__}": Property(strategies.fits([kind]), a_fit_keeps_its_promises, 4)
    for kind in (*ct.MODELS, ct.Tuned)
} | {
    "order": Property(st.tuples(strategies.fits(CONVEX), st.integers(0, 99)), order_does_not_matter, 25),
    "shifts": Property(strategies.fits(LEVELLED), a_shift_of_all_ratings_shifts_the_predictions, 20),
    "conic": Property(strategies.fits(STATED, max_side=4, large=False), a_conic_solver_agrees, 5),
    "metrics": Property(_measured(), metrics_lie_within_their_bounds, 5),
    "splits": Property(st.tuples(strategies.tables(), st.floats(0.05, 0.95), st.integers(0, 9)),
                       splits_partition_the_table, 25),
    "tables": Property(strategies.tables(), a_table_survives_a_file, 15),
    "exports": Property(_lists(), an_export_is_read_or_refused, 60),
    "files": Property(table_files(), a_table_is_read_or_refused, 60),
    "bombs": Property(st.sampled_from(("xml", "csv", "model")), a_bomb_does_not_go_off, 0),
    "damaged models": Property(_saved(strategies.mutated), a_damaged_model_is_refused_or_the_same, 40),
    "crafted models": Property(_saved(strategies.crafted), a_crafted_model_is_refused_or_predicts, 40),
}  # fmt: skip
