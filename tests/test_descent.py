"""Descent: steps are the gradient of what the docstring says, the best pass is kept, a step too long is an error."""

import os
import signal
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import ABOUT_ITEMS, ABOUT_USERS, press_ctrl_c, random_table
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import content_table as ct
from content_table_parts import solvers

PARTS = ("b_user", "b_item", "P", "Q", "W", "G")


@pytest.fixture(scope="module")
def small():
    """Fifty ratings."""
    return random_table(0)


@pytest.fixture(scope="module")
def parts(sample):
    """Training and validation part of the sample."""
    return sample.split_random(random_state=1)


def features_of(ids, d, seed):
    """Sparse random features; the first id has none."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(len(ids), d)) * (rng.random((len(ids), d)) < 0.5)
    matrix[0] = 0
    return ct.Features(ids, matrix, [f"feature {j}" for j in range(d)])


def kinds(ratings):
    """Each kind of stochastic descent on a table, with features where it takes them."""
    items, users = features_of(ratings.item_ids, 4, 1), features_of(ratings.user_ids, 2, 2)
    return {
        "SGD": ct.SGDMF(n_factors=3),
        "content": ct.ContentMF(items, n_factors=3),
        "content with profiles": ct.ContentMF(items, users, n_factors=3, content_weight=0.7),
        "content, nothing shared": ct.ContentMF(items, shared_weights=False, n_factors=2),
    }


KINDS = list(kinds(random_table(0)))


def started(model):
    """The same model, starting from random numbers in *all* parameters: at 0 half of the steps would be 0 too."""

    class Started(type(model)):
        def _prepare(self, ratings, rng):
            super()._prepare(ratings, rng)
            start = np.random.default_rng(3)
            for array in self._theta():
                array[:] = start.normal(0.0, 0.3, array.shape)
            self.start_ = {name: array.copy() for name, array in zip(PARTS, self._theta(), strict=True)}

    return Started(**model.get_params(deep=False))


def theta(model):
    return dict(zip(PARTS, model._theta(), strict=True))


def tables(model):
    """Dense features of items and users."""
    sides = zip(model._tables(), theta(model)["G"].shape[::-1], strict=True)
    return tuple(
        sp.csr_array((values, columns, starts), shape=(len(starts) - 1, width)).toarray()
        for (starts, columns, values), width in sides
    )


# ---- What a step is ----


def objective(at, ratings, C, F, reg):
    """The objective as the docstrings state it, one rating after the other."""
    total, mean = 0.0, ratings.values.mean()
    for u, i, rating in zip(ratings.rows, ratings.cols, ratings.values, strict=True):
        content = (at["W"][u] + F[u] @ at["G"]) @ C[i] if C.size else 0.0
        e = rating - mean - at["b_user"][u] - at["b_item"][i] - at["P"][u] @ at["Q"][i] - content
        size = at["b_user"][u] ** 2 + at["b_item"][i] ** 2 + (at["P"][u] ** 2).sum() + (at["Q"][i] ** 2).sum()
        touched = C[i] != 0
        size += (at["W"][u][touched] ** 2).sum() + (at["G"][np.ix_(F[u] != 0, touched)] ** 2).sum()
        total += e**2 + reg * size
    return total


def slope(function, array, step=1e-3):
    """Central differences of a function in every entry of an array, which is moved and put back."""
    slopes = np.zeros_like(array)
    for at in np.ndindex(array.shape):
        kept, sides = array[at], []
        for move in (step, -step):
            array[at] = kept + move
            sides.append(function())
        array[at] = kept
        slopes[at] = (sides[0] - sides[1]) / (2 * step)
    return slopes


@pytest.mark.parametrize("name", KINDS)
def test_a_step_over_all_ratings_is_minus_half_the_gradient(name):
    eta, reg, small = 1e-3, 0.3, random_table(1, shape=(6, 5))
    model = kinds(small)[name].set_params(
        n_epochs=1, batch_size=None, patience=None, learning_rate=eta, reg=reg, random_state=4
    )
    model = started(model).fit(small)
    at, end = model.start_, theta(model)
    for part in PARTS:
        expected = slope(lambda: objective(at, small, *tables(model), reg), at[part]) / -2
        assert (end[part] - at[part]) / eta == pytest.approx(expected, abs=1e-7), part
        assert np.abs(expected).sum() > 1 or not at[part].size


def test_the_gradient_of_gradient_descent_is_that_of_its_objective(small):
    rng, model = np.random.default_rng(0), ct.GradientDescentMF(n_factors=3, reg=0.7)
    P, Q = rng.normal(size=(small.n_users, 3)), rng.normal(size=(small.n_items, 3))
    error = np.nansum([(v - P[u] @ Q[i]) ** 2 for u, i, v in zip(small.rows, small.cols, small.values, strict=True)])
    written = error + 0.7 * ((P**2).sum() + (Q**2).sum())
    assert model.objective(small, P, Q) == pytest.approx((written, np.sqrt(error / len(small))))
    for array, given in zip((P, Q), model.gradient(small, P, Q), strict=True):
        assert given == pytest.approx(slope(lambda: model.objective(small, P, Q)[0], array), rel=1e-7, abs=1e-6)


def test_one_pass_of_gradient_descent_moves_both_sides_from_the_values_before_it(small):
    rng = np.random.default_rng(0)
    P, Q = rng.normal(size=(small.n_users, 2)), rng.normal(size=(small.n_items, 2))
    model = ct.GradientDescentMF(2, reg=0.7, learning_rate=1e-3, n_epochs=1, tol=0, init=(P, Q)).fit(small)
    slope_P, slope_Q = model.gradient(small, P, Q)
    assert model.user_factors_ == pytest.approx(P - 1e-3 * slope_P, abs=1e-12)
    assert model.item_factors_ == pytest.approx(Q - 1e-3 * slope_Q, abs=1e-12)


def slow_pass(order, batch_size, ratings, at, C, F, eta, reg, clip):
    """The twin of `sgd_epoch` in plain Python, on dense tables.

    What lambda does to the weights on features that a rating's title does not have: nothing. They feel neither its
    error nor its penalty (`touched` below), so a weight is shrunk once for every rating of a title that has its
    feature, and one that no rating touches stays what it was.
    """
    mean = ratings.values.mean()
    for begin in range(0, len(order), batch_size):
        steps = []
        for rating in order[begin : begin + batch_size]:
            u, i = ratings.rows[rating], ratings.cols[rating]
            predicted = mean + at["b_user"][u] + at["b_item"][i] + at["P"][u] @ at["Q"][i]
            if C.size:
                predicted += (at["W"][u] + F[u] @ at["G"]) @ C[i]
            e, touched = ratings.values[rating] - predicted, C[i] != 0
            steps.append((u, i, {
                "b_user": e - reg * at["b_user"][u],
                "b_item": e - reg * at["b_item"][i],
                "P": e * at["Q"][i] - reg * at["P"][u],
                "Q": e * at["P"][u] - reg * at["Q"][i],
                "W": (e * C[i] - reg * at["W"][u]) * touched,
                "G": (e * np.outer(F[u], C[i]) - reg * at["G"]) * np.outer(F[u] != 0, touched) if C.size else 0.0,
            }))  # fmt: skip
        for u, i, step in steps:
            where = {"b_user": u, "b_item": i, "P": u, "Q": i, "W": u, "G": slice(None)}
            for part in PARTS:
                at[part][where[part]] += eta * np.clip(step[part], -clip, clip)


STEPS = {
    "constant": lambda t: 0.03,
    "inverse": lambda t: 0.03 / (1 + 0.4 * (t - 1)),
    "exponential": lambda t: 0.03 * np.exp(-0.4 * (t - 1)),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("batch_size", "clip", "schedule"),
    [
        (1, None, "constant"),
        (1, 0.4, "inverse"),
        (4, None, "exponential"),
        (4, 0.4, "constant"),
        (None, 1.0, "inverse"),
    ],
)
def test_the_slow_twin_takes_the_same_steps(small, name, batch_size, clip, schedule):
    model = kinds(small)[name].set_params(
        n_epochs=3, batch_size=batch_size, patience=None, clip=clip, learning_rate=0.03, decay=0.4, schedule=schedule,
        reg=0.2, random_state=5, init=tuple(np.zeros((side, kinds(small)[name].n_factors)) for side in small.shape),
    )  # fmt: skip
    model = started(model).fit(small)
    at, rng = model.start_, np.random.default_rng(5)  # a start that is given draws nothing from it
    for epoch in (1, 2, 3):
        order = rng.permutation(len(small))
        slow_pass(
            order, batch_size or len(small), small, at, *tables(model), STEPS[schedule](epoch), 0.2, clip or np.inf
        )
    for part, end in theta(model).items():
        assert end == pytest.approx(at[part], abs=1e-12), part


def test_the_schedules_differ_so_the_twin_can_tell_them_apart():
    assert len({STEPS[schedule](3) for schedule in STEPS}) == 3


def test_a_weight_whose_feature_a_viewer_never_met_stays_0(table):
    part = table.part(table.cols != 3)  # without title 14, "sad" is a word about title 13 only
    model = ct.ContentMF(ABOUT_ITEMS, ABOUT_USERS, n_factors=2, n_epochs=20, patience=None).fit(part)
    met = (part.known @ (model.item_table_ != 0).astype(float)).toarray() > 0
    assert 0 < met.sum() < met.size
    assert np.array_equal(model.feature_weights_ != 0, met)


def test_without_content_only_factors_and_biases_are_left(table):
    plain = ct.SGDMF(n_factors=2, n_epochs=15, patience=None, random_state=3).fit(table)
    model = ct.ContentMF(ABOUT_ITEMS, ABOUT_USERS, content_weight=0, n_factors=2, n_epochs=15, patience=None,
                         random_state=3).fit(table)  # fmt: skip
    assert model.complete() == pytest.approx(plain.complete(), abs=1e-12)
    assert not model.feature_weights_.any()
    assert not model.group_weights_.any()


def test_without_content_nothing_is_known_of_a_cold_title(with_cold):
    model = ct.ContentMF(ABOUT_ITEMS, content_weight=0, n_factors=2, n_epochs=5, patience=None).fit(with_cold)
    assert model.predict(101, 13, return_fallback=True)[1].tolist() == [True]


def test_in_one_batch_the_order_does_not_matter(small):
    start = tuple(np.random.default_rng(0).normal(size=(side, 2)) for side in small.shape)
    model = ct.SGDMF(2, batch_size=None, learning_rate=0.02, n_epochs=5, patience=None, init=start)
    fits = [clone(model).set_params(random_state=seed).fit(small).complete() for seed in (1, 2)]
    assert fits[0] == pytest.approx(fits[1], abs=1e-12)
    one_by_one = [clone(model).set_params(random_state=seed, batch_size=1).fit(small).complete() for seed in (1, 2)]
    assert np.abs(one_by_one[0] - one_by_one[1]).max() > 1e-4
    whole = clone(model).set_params(random_state=1, batch_size=len(small)).fit(small)
    assert np.array_equal(whole.complete(), fits[0])


def test_batches_add_their_steps_up(sample):
    fits = [ct.SGDMF(5, batch_size=b, n_epochs=10, patience=None).fit(sample) for b in (1, 8)]
    apart = ct.rmse(fits[0], sample) - ct.rmse(fits[1], sample)
    assert abs(apart) < 0.02  # averaging instead would leave batches of eight far behind
    assert apart != 0


# ---- Tiles: the order of a large table ----


@pytest.fixture
def tiled(monkeypatch):
    """Every table counts as large, and a stripe holds the factors of a few users or items."""
    monkeypatch.setattr(ct, "TILED", 1)
    monkeypatch.setattr(ct, "STRIPE", 8 * 3 * 5)
    monkeypatch.setattr(solvers, "BLOCK", 2)


def orders(tiles, rng):
    """The order of a pass over a table whose values are their own positions."""
    return np.concatenate([values for _, _, values in tiles.shuffled(rng)])


def in_tiles(ratings, stripes, seed, passes=1):
    """(Tiles of a table, the orders of so many passes)."""
    rng = np.random.default_rng(seed)
    tiles = solvers.Tiles((ratings.rows, ratings.cols, np.arange(len(ratings))), ratings.shape, stripes, rng)
    return tiles, [orders(tiles, rng) for _ in range(passes)]


def test_one_tile_is_a_plain_shuffle(small):
    for ratings in (small, random_table(0, (80, 40))):
        plain = np.random.default_rng(3)
        for order in in_tiles(ratings, (1, 1), 3, passes=4)[1]:
            assert np.array_equal(order, plain.permutation(len(ratings)))


@pytest.mark.parametrize("side", [0, 1])
def test_many_stripes_of_one_side_are_told_apart(side, monkeypatch):
    monkeypatch.setattr(solvers, "BLOCK", 1)
    shape, stripes = ((9, 300), (1, 300)) if side else ((300, 9), (300, 1))
    tiles, (order,) = in_tiles(random_table(0, shape), stripes, 1)
    pieces = [piece for piece in tiles.shuffled(np.random.default_rng(0)) if len(piece[0])]
    assert all(len(set(piece[side])) == 1 for piece in pieces)
    assert sum(len(piece[0]) for piece in pieces) == len(order)


@pytest.mark.parametrize("stripes", [(4, 3), (2, 2), (1, 5), (6, 1), (60, 40)])
def test_a_pass_by_tiles_meets_every_rating_once_and_a_tile_as_a_whole(stripes, monkeypatch):
    monkeypatch.setattr(solvers, "BLOCK", 1)
    ratings = random_table(0, (60, 40))
    tiles, passes = in_tiles(ratings, stripes, 1, passes=3)
    assert len({tuple(order) for order in passes}) == 3
    assert all(np.array_equal(np.sort(order), np.arange(len(ratings))) for order in passes)
    pieces = [piece for piece in tiles.shuffled(np.random.default_rng(0)) if len(piece[0])]
    assert 2 < len(pieces) <= stripes[0] * stripes[1]
    for rows, cols, values in pieces:
        assert np.array_equal(ratings.rows[values], rows)
        assert np.array_equal(ratings.cols[values], cols)
    for side, n in ((0, stripes[0]), (1, stripes[1])):  # a stripe is met whole: by no two stripes of the other side
        sets = {frozenset(np.unique(piece[side]).tolist()) for piece in pieces}
        joined = [one for one in range(ratings.shape[side]) if sum(one in found for found in sets) > 0]
        assert len(joined) == len(np.unique((ratings.rows, ratings.cols)[side]))
        assert max(map(len, sets)) <= -(-ratings.shape[side] // n)


def test_neighbours_stay_together_and_stripes_are_of_one_size(monkeypatch):
    monkeypatch.setattr(solvers, "BLOCK", 4)
    stripe = solvers._stripe_of(400, 5, np.random.default_rng(0))
    assert (stripe.reshape(-1, 4) == stripe[::4, None]).all()
    assert np.bincount(stripe).tolist() == [80] * 5
    assert (np.diff(stripe[::4]) != 0).mean() > 0.5  # and no longer run of them


@pytest.mark.parametrize("name", KINDS)
def test_the_slow_twin_takes_the_same_steps_by_tiles(small, name, tiled):
    k = kinds(small)[name].n_factors
    model = kinds(small)[name].set_params(
        n_epochs=3, patience=None, clip=0.4, learning_rate=0.03, reg=0.2, random_state=5,
        init=tuple(np.zeros((side, k)) for side in small.shape),
    )  # fmt: skip
    model = started(model).fit(small)
    stripes = [-(-side * k * 8 // ct.STRIPE) for side in small.shape]
    assert min(stripes) > 1
    at = model.start_
    for order in in_tiles(small, stripes, 5, passes=3)[1]:  # a start that is given draws nothing before the tiles
        slow_pass(order, 1, small, at, *tables(model), 0.03, 0.2, 0.4)
    for part, end in theta(model).items():
        assert end == pytest.approx(at[part], abs=1e-12), part


def test_tables_are_large_from_the_constant_on_and_only_step_by_step(small, monkeypatch):
    monkeypatch.setattr(ct, "STRIPE", 8 * 3 * 5)
    model = ct.SGDMF(3, n_epochs=3, patience=None)
    fits = {}
    for limit in (len(small) + 1, len(small)):
        monkeypatch.setattr(ct, "TILED", limit)
        fits[limit] = [clone(model).set_params(batch_size=size).fit(small).complete() for size in (1, 4, None)]
    alone, large = fits.values()
    assert np.abs(alone[0] - large[0]).max() > 1e-6
    assert np.array_equal(alone[1], large[1])
    assert np.array_equal(alone[2], large[2])


def test_the_training_error_of_a_large_table_is_what_the_steps_met(small, monkeypatch):
    for batch in (None, len(small)):  # all steps of a pass at the values before it: the error of the pass before
        model = ct.SGDMF(3, batch_size=batch, n_epochs=5, patience=None, reg=0.3, random_state=2)
        after = clone(model).fit(small).history_
        monkeypatch.setattr(ct, "TILED", 1)
        met = clone(model).fit(small, small).history_
        monkeypatch.undo()
        errors = [[row["train_rmse"] for row in rows] for rows in (after, met)]
        assert errors[1][1:] == pytest.approx(errors[0][:-1], rel=1e-12)
        assert [row["validation_rmse"] for row in met] == errors[0]


def test_the_training_error_of_a_large_table_is_of_all_tiles(small, monkeypatch):
    model = ct.SGDMF(3, learning_rate=1e-15, n_epochs=1, patience=None)  # nothing moves: met, or measured after it
    after = clone(model).fit(small).history_[0]["train_rmse"]
    monkeypatch.setattr(ct, "TILED", 1)
    monkeypatch.setattr(ct, "STRIPE", 8 * 3 * 5)
    monkeypatch.setattr(solvers, "BLOCK", 1)
    assert clone(model).fit(small).history_[0]["train_rmse"] == pytest.approx(after, rel=1e-9)


def test_a_table_is_large_from_the_constant_on_where_errors_are_recorded_too(small, monkeypatch):
    model = ct.SGDMF(3, batch_size=None, n_epochs=3, patience=None)
    after = [row["train_rmse"] for row in clone(model).fit(small).history_]
    for limit, first in ((len(small) + 1, after[0]), (len(small), small.values.std())):
        monkeypatch.setattr(ct, "TILED", limit)
        history = clone(model).set_params(init_scale=1e-9).fit(small).history_
        assert history[0]["train_rmse"] == pytest.approx(first, rel=1e-4)  # met before any step, or measured after it


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_loops_return_the_squared_errors_they_met(small, batch_size):
    model = ct.SGDMF(3, n_epochs=2, patience=None).fit(small)
    data, rest = (small.rows, small.cols, small.values), (model.global_mean_, model._theta(), *model._tables())
    squares = (ct.errors(model, small) ** 2).sum()
    assert solvers.one_pass(*data, batch_size, *rest, 0.0, 0.1, None) == pytest.approx(squares, rel=1e-12)
    assert solvers.one_pass(*data, batch_size, *rest, 0.05, 0.1, None) != pytest.approx(squares, rel=1e-3)


@pytest.mark.parametrize("batch_size", [47, 48, 10**15])
def test_a_batch_of_more_ratings_than_there_are_is_one_of_all(small, batch_size):
    """Its memory is that of what the ratings touch, not that of as many ratings as a batch may have."""
    assert len(small) == 47
    one, other = (ct.SGDMF(3, batch_size=size, n_epochs=4, patience=None).fit(small) for size in (batch_size, None))
    assert one.complete() == pytest.approx(other.complete(), rel=1e-12)
    assert [row["train_rmse"] for row in one.history_] == pytest.approx([row["train_rmse"] for row in other.history_])


@pytest.mark.parametrize("name", KINDS)
def test_by_tiles_the_best_pass_is_found_and_the_seed_decides(name, tiled):
    ratings = random_table(0, (60, 40))
    model = kinds(ratings)[name].set_params(learning_rate=0.05, patience=3, n_epochs=60)
    train, validation = ratings.split_random(0.3)
    fits = [clone(model).fit(train, validation) for _ in range(2)]
    errors = [row["validation_rmse"] for row in fits[0].history_]
    assert fits[0].best_epoch_ == 1 + np.argmin(errors) == len(errors) - 3
    assert ct.rmse(fits[0], validation) == pytest.approx(min(errors), rel=1e-12)
    assert np.array_equal(fits[0].complete(), fits[1].complete())


def test_by_tiles_a_step_too_long_is_an_error_also_in_the_last_steps(sample, tiled, monkeypatch):
    with pytest.raises(ct.DivergenceError, match="SGDMF diverged"):
        clone(TOO_LONG["SGD"]).fit(sample)

    def overflow(*arguments):
        arguments[5][2][0, 0] = np.inf  # P, after errors that were small
        return 1.0

    monkeypatch.setattr(ct, "one_pass", overflow)
    for reg in (0, 0.1):
        with pytest.raises(ct.DivergenceError, match="pass 1: the training RMSE overflowed"):
            ct.SGDMF(3, reg=reg, n_epochs=1, patience=None).fit(sample)


def test_ctrl_c_within_a_pass_by_tiles_keeps_the_whole_passes(small, tiled, monkeypatch):
    model, count = ct.SGDMF(3, n_epochs=9, patience=None), []
    original = ct.one_pass
    monkeypatch.setattr(ct, "one_pass", lambda *given: count.append(1) or original(*given))
    two = clone(model).set_params(n_epochs=2).fit(small).complete()
    press_ctrl_c(monkeypatch, ct, "one_pass", len(count) + 2)
    with pytest.warns(UserWarning, match="stopped by the keyboard after 2 whole passes"):
        stopped = model.fit(small)
    assert np.array_equal(stopped.complete(), two)
    assert len(stopped.history_) == 2


def test_memory_does_not_grow_with_the_passes(tiled, monkeypatch):
    monkeypatch.setattr(ct, "STRIPE", 8 * 3 * 50)
    ratings, peaks = random_table(0, (400, 300)), []
    ct.SGDMF(3, n_epochs=1, patience=None).fit(ratings)
    for passes in (2, 12):
        tracemalloc.start()
        ct.SGDMF(3, n_epochs=passes, patience=None).fit(ratings)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + len(ratings)  # an eighth of one more array
    assert peaks[0] < 60 * len(ratings)  # the table by tiles, and the order that it is sorted by


# ---- Chance ----


@pytest.mark.parametrize("name", KINDS)
def test_the_seed_decides_everything(small, name):
    model = kinds(small)[name].set_params(n_epochs=5, patience=None)
    fits = [clone(model).set_params(random_state=seed).fit(small).complete() for seed in (1, 1, 2)]
    assert np.array_equal(fits[0], fits[1])
    assert np.abs(fits[0] - fits[2]).max() > 1e-4


@pytest.mark.parametrize("patience", [None, 2])
def test_a_generator_is_a_source_of_chance_too(small, patience):
    source = np.random.default_rng(7)
    model = ct.SGDMF(2, n_epochs=5, learning_rate=0.2, validation_size=0.3, patience=patience, random_state=source)
    first, second = model.fit(small).complete(), model.fit(small).complete()
    assert np.abs(first - second).max() > 1e-4
    numbers = np.random.default_rng(7)  # one number a fit, which seeds it
    for fit in (first, second):
        seeded = clone(model).set_params(random_state=int(numbers.integers(2**63)))
        assert np.array_equal(seeded.fit(small).complete(), fit)
    assert source.bit_generator.state == numbers.bit_generator.state  # and nothing else is drawn


# ---- Which pass is kept ----


def test_the_best_pass_is_kept_where_the_last_is_clearly_worse(parts):
    train, validation = parts
    model = ct.SGDMF(10, reg=0, learning_rate=0.03, n_epochs=40, patience=40).fit(train, validation)
    errors = [row["validation_rmse"] for row in model.history_]
    assert len(errors) == 40
    assert errors[-1] > 1.1 * min(errors)
    assert model.best_epoch_ == 1 + np.argmin(errors) < 20
    assert ct.rmse(model, validation) == pytest.approx(min(errors), rel=1e-12)


def test_the_pass_is_chosen_by_the_error_and_never_by_the_loss_with_its_penalty(parts):
    train, validation = parts
    model = ct.SGDMF(10, reg=0.1, n_epochs=60, patience=60).fit(train, validation)
    errors, losses = ([row[f"validation_{kind}"] for row in model.history_] for kind in ("rmse", "loss"))
    assert np.argmin(losses) + 10 < np.argmin(errors)  # the two disagree: factors grow, and the penalty with them
    assert model.best_epoch_ == 1 + np.argmin(errors)


@pytest.mark.parametrize("patience", [1, 3, 8])
def test_patience_is_the_number_of_passes_after_the_best(parts, patience):
    model = ct.SGDMF(10, reg=0, learning_rate=0.03, n_epochs=100, patience=patience).fit(*parts)
    assert len(model.history_) == model.best_epoch_ + patience
    assert model.best_epoch_ == 1 + np.argmin([row["validation_rmse"] for row in model.history_])


def test_without_patience_every_pass_is_run_and_the_last_is_kept(parts):
    model = ct.SGDMF(10, reg=0, learning_rate=0.03, n_epochs=20, patience=None).fit(*parts)
    assert model.best_epoch_ == len(model.history_) == 20
    assert ct.rmse(model, parts[1]) == pytest.approx(model.history_[-1]["validation_rmse"], rel=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_learnt_from_the_validation_part(small, name):
    train, validation = small.split_random(0.3)
    mixed = ct.Ratings(small.user_ids, small.item_ids, validation.rows, validation.cols, validation.values[::-1],
                       scale=small.scale)  # fmt: skip
    model = kinds(small)[name].set_params(n_epochs=12, learning_rate=0.05, patience=None)
    fits = [clone(model).fit(train, part) for part in (validation, mixed, None)]
    assert np.array_equal(fits[0].complete(), fits[1].complete())
    assert np.array_equal(fits[0].complete(), fits[2].complete())
    assert fits[0].history_ != fits[1].history_  # it was looked at


def test_a_validation_part_only_decides_when_to_stop(parts):
    train, validation = parts
    stopped = ct.SGDMF(5, learning_rate=0.03, patience=3).fit(train, validation)
    passes = ct.SGDMF(5, learning_rate=0.03, n_epochs=stopped.best_epoch_, patience=None).fit(train)
    assert np.array_equal(stopped.complete(), passes.complete())


def test_of_passes_that_are_equally_good_the_first_is_kept_and_an_error_that_stays_is_no_better():
    train = ct.Ratings.from_matrix([[8, 4, np.nan], [np.nan, 9, np.nan], [np.nan] * 3])
    cold = ct.Ratings.from_matrix([[np.nan] * 3, [np.nan] * 3, [np.nan, np.nan, 5]])  # the mean, in every pass
    model = ct.SGDMF(2, n_epochs=50, patience=3).fit(train, cold)
    assert [row["validation_rmse"] for row in model.history_] == [2.0] * 4
    assert model.best_epoch_ == 1


def test_a_share_is_set_aside_where_no_validation_part_is_given(sample):
    rng = np.random.default_rng(0)
    inner, aside = sample.split_random(0.25, rng)
    model = ct.SGDMF(3, learning_rate=0.03, validation_size=0.25).fit(sample)
    search = clone(model)
    search.history_ = []
    search._descend(inner, aside, rng, search.n_epochs)  # the chance that the split has left over
    search.ratings_ = sample
    assert (search.history_, search.best_epoch_) == (model.history_, model.best_epoch_)
    assert search.global_mean_ == inner.values.mean() != sample.values.mean()
    assert model.history_[model.best_epoch_ - 1]["validation_rmse"] == pytest.approx(ct.rmse(search, aside), rel=1e-12)
    assert model.best_epoch_ < len(model.history_)  # it did stop early
    assert model.ratings_ is sample


@pytest.mark.parametrize("name", KINDS)
def test_then_all_ratings_are_learnt_from_for_as_many_passes_as_were_best(name):
    ratings = random_table(0, (60, 40))
    options = {"learning_rate": 0.05, "validation_size": 0.3, "patience": 8, "random_state": 4}
    model = kinds(ratings)[name].set_params(**options).fit(ratings)
    whole = kinds(ratings)[name].set_params(**options | {"patience": None, "n_epochs": model.best_epoch_}).fit(ratings)
    assert 10 < model.best_epoch_ == len(model.history_) - 8
    assert model.global_mean_ == ratings.values.mean()
    for part, end in theta(whole).items():
        assert np.array_equal(theta(model)[part], end), part
    assert np.array_equal(model.complete(), whole.complete())


def test_what_has_no_rating_to_learn_from_stays_at_0(with_cold):
    model = ct.ContentMF(ABOUT_ITEMS, n_factors=2, init="ones", n_epochs=5, patience=None).fit(with_cold)
    assert not model.user_factors_[5].any()
    assert not model.item_factors_[2].any()
    assert (model.user_bias_[5], model.item_bias_[2]) == (0, 0)
    assert model.user_factors_[:5].any(axis=1).all()


# ---- What is recorded ----


@pytest.mark.parametrize("name", KINDS)
def test_the_recorded_loss_is_the_published_one(small, name):
    train, validation = small.split_random(0.3)
    model = kinds(small)[name].set_params(n_epochs=4, reg=0.3, patience=None).fit(train, validation)
    kept, norms = model.history_[model.best_epoch_ - 1], sum((array**2).sum() for array in model._theta())
    for part, ratings in (("train", train), ("validation", validation)):
        squares = (ct.errors(model, ratings) ** 2).sum()
        assert kept[f"{part}_rmse"] == pytest.approx(np.sqrt(squares / len(ratings)), rel=1e-10)
        assert kept[f"{part}_loss"] == pytest.approx((squares + 0.3 * norms) / len(ratings), rel=1e-10)


def test_the_history_has_a_row_for_every_pass(small):
    train, validation = small.split_random(0.3)
    model = ct.SGDMF(2, n_epochs=4, patience=None)
    alone, watched = clone(model).fit(train).history_, clone(model).fit(train, validation).history_
    assert [row["epoch"] for row in alone] == [1, 2, 3, 4]
    assert list(alone[0]) == ["epoch", "train_rmse", "train_loss"]
    assert list(watched[0]) == ["epoch", "train_rmse", "train_loss", "validation_rmse", "validation_loss"]
    rows = ct.GradientDescentMF(2, n_epochs=3, tol=0).fit(train).history_
    assert [list(row) for row in rows] == [["epoch", "objective", "train_rmse"]] * 3


def test_a_fit_that_is_still_getting_better_says_so(parts):
    with pytest.warns(ConvergenceWarning, match="SGDMF stopped at n_epochs=3 with the validation RMSE still falling"):
        ct.SGDMF(5, n_epochs=3).fit(*parts)


def test_a_fit_that_got_worse_or_was_asked_for_its_passes_is_silent(parts):
    ct.SGDMF(10, reg=0, learning_rate=0.03, n_epochs=40, patience=40).fit(*parts)  # warnings are errors here
    ct.SGDMF(5, n_epochs=3, patience=None).fit(*parts)


# ---- Steps that are too long ----

TOO_LONG = {
    "gradient descent": ct.GradientDescentMF(learning_rate=1.0),
    "SGD": ct.SGDMF(5, learning_rate=0.5, init_scale=0.5, patience=None),
    "SGD, early stopping": ct.SGDMF(5, learning_rate=0.5, init_scale=0.5),
    "SGD, all in one batch": ct.SGDMF(5, learning_rate=0.1, batch_size=None, n_epochs=500, patience=None),
    "content": ct.ContentMF(n_factors=5, learning_rate=0.5, init_scale=0.5, patience=None),
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_a_step_that_is_too_long_is_an_error_with_the_remedy_and_no_model(sample, name):
    model = clone(TOO_LONG[name])
    if name == "content":
        model.set_params(item_features=features_of(sample.item_ids, 6, 0))
    eta = model.learning_rate
    with pytest.raises(
        ct.DivergenceError, match=rf"{type(model).__name__} diverged .* on a scale of 1 to 10"
    ) as caught:
        model.fit(sample)
    assert f"learning_rate={eta:g} is too long a step here; try {eta / 10:g}" in str(caught.value)
    with pytest.raises(NotFittedError):
        model.complete()
    assert not [attribute for attribute in vars(model) if attribute.endswith("_")]


@pytest.mark.parametrize(("scale", "limit"), [((1, 10), 100), ((0.5, 5), 50), ((-20, 3), 200)])
def test_steps_are_too_long_where_the_error_outgrows_the_scale_ten_times(scale, limit):
    solvers.check_descent("SGD", 0.1, 0.999 * limit, 1, scale)
    for error in (limit, np.inf, np.nan):
        with pytest.raises(ct.DivergenceError):
            solvers.check_descent("SGD", 0.1, error, 1, scale)


@pytest.mark.parametrize(("error", "too_long"), [(99.0, False), (101.0, True)])
def test_steps_are_too_long_by_the_error_and_not_by_the_loss_with_its_penalty(error, too_long):
    """One rating and factors whose product is far off; the steps are so short that all stays as it was given."""
    one = ct.Ratings([0], [0], [0], [0], [5.0])
    start = np.array([[error]]), np.ones((1, 1))
    model = ct.SGDMF(1, learning_rate=1e-12, reg=1.0, n_epochs=1, patience=None, init=start)
    if too_long:
        with pytest.raises(ct.DivergenceError, match=r"the training RMSE reached 101 on a scale of 1 to 10"):
            model.fit(one)
        return
    row = model.fit(one).history_[0]
    assert (row["train_rmse"], row["train_loss"]) == pytest.approx((99, 99**2 + 99**2 + 1))


def test_a_fit_without_an_error_or_a_penalty_is_no_step_too_long():
    ratings = ct.Ratings.from_matrix([[7, 7], [7, np.nan]])
    model = ct.SGDMF(1, reg=0, n_epochs=2, patience=None, init=(np.zeros((2, 1)), np.zeros((2, 1)))).fit(ratings)
    assert [row["train_loss"] for row in model.history_] == [0, 0]


def test_steps_that_overflow_at_once_are_too_long_and_no_wrong_argument(small):
    with pytest.raises(ct.DivergenceError, match="pass 1: the training RMSE overflowed"):
        ct.GradientDescentMF(2, learning_rate=1e308).fit(small)
    for P, Q in ((np.inf, 0.0), (0.0, np.inf)):
        factors = np.full((small.n_users, 1), P), np.full((small.n_items, 1), Q)
        with np.errstate(invalid="ignore"):
            assert not np.isfinite(ct.GradientDescentMF(1).objective(small, *factors)).any()
    with pytest.raises(TypeError, match="ratings must be"):
        ct.GradientDescentMF(1).gradient([[5, 3]], np.ones((1, 1)), np.ones((2, 1)))


def test_the_remedy_works(sample):
    for name in ("gradient descent", "SGD"):
        model = clone(TOO_LONG[name])
        model.set_params(learning_rate=model.learning_rate / 10, n_epochs=20)
        for _ in range(3):  # the advice may have to be taken more than once
            try:
                assert np.isfinite(model.set_params(**({"tol": 0} if "tol" in model.get_params() else {})).fit(sample)
                                   .complete()).all()  # fmt: skip
                break
            except ct.DivergenceError:
                model.set_params(learning_rate=model.learning_rate / 10)
        else:
            pytest.fail(f"{name} still diverges")


def test_clipped_steps_survive_a_rate_that_diverges_without(sample):
    model = ct.SGDMF(5, learning_rate=0.3, init_scale=0.5, n_epochs=30, patience=None)
    with pytest.raises(ct.DivergenceError):
        clone(model).fit(sample)
    assert ct.rmse(model.set_params(clip=0.3).fit(sample), sample) < 1.2


# ---- Gradient descent and ALS: one objective, two ways down ----


def test_small_steps_lower_the_objective_in_every_pass(sample):
    history = ct.GradientDescentMF(5, reg=1, learning_rate=1e-4, n_epochs=200, tol=0).fit(sample).history_
    objectives = np.array([row["objective"] for row in history])
    assert len(objectives) == 200
    assert (np.diff(objectives) < 0).all()


def test_it_starts_at_small_normal_numbers(sample):
    """Steps far too short to leave the start; bounds of five standard errors."""
    model = ct.GradientDescentMF(50, learning_rate=1e-15, n_epochs=1, tol=0).fit(sample)
    start = np.concatenate([model.user_factors_.ravel(), model.item_factors_.ravel()])
    assert abs(start.mean()) < 5 * 0.1 / np.sqrt(len(start))
    assert abs(start.std() - 0.1) < 5 * 0.1 / np.sqrt(2 * len(start))
    assert abs(np.mean(np.abs(start) < 0.1) - 0.6827) < 5 * np.sqrt(0.6827 * 0.3173 / len(start))


def test_gradient_descent_reaches_what_als_reaches(small):
    model = ct.GradientDescentMF(9, reg=2, learning_rate=0.01, tol=1e-9).fit(small)
    als = ct.ALS(9, reg=2, n_epochs=300, tol=0).fit(small)
    reached, optimum = model.history_[-1]["objective"], als.history_[-1]["objective"]
    assert optimum * (1 - 1e-9) <= reached <= optimum * (1 + 1e-5)
    assert model.complete() == pytest.approx(als.complete(), abs=0.05)


def test_gradient_descent_stops_as_soon_as_a_pass_gains_too_little(small):
    history = ct.GradientDescentMF(3, reg=2, learning_rate=0.005, tol=1e-4).fit(small).history_
    values = np.array([row["objective"] for row in history])
    gains = -np.diff(values) / values[1:]
    assert gains[-1] <= 1e-4
    assert (gains[:-1] > 1e-4).all()


def test_gradient_descent_that_stops_short_names_the_number_to_raise(small):
    with pytest.warns(ConvergenceWarning, match=r"GradientDescentMF stopped at n_epochs=3 with .* above tol=1e-06"):
        ct.GradientDescentMF(2, n_epochs=3).fit(small)


# ---- Ctrl-C ----

CHILD = """
import signal, sys, warnings
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to Ctrl-C
import numpy as np
import content_table as ct

def begun(epoch):
    if epoch == 3:
        print("begun", flush=True)
    return epoch

class LoudSGD(ct.SGDMF):
    def _rate(self, epoch):
        return super()._rate(begun(epoch))

class LoudDescent(ct.GradientDescentMF):
    def _epochs(self):
        return map(begun, super()._epochs())

ratings = ct.load_ratings(ct.DATA / "100x100.csv")
train, validation = ratings.split_random()
forever = 10**9
for model in (
    LoudSGD(5, reg=0.1, learning_rate=0.03, n_epochs=forever, patience=forever),
    LoudDescent(5, learning_rate=1e-4, n_epochs=forever, tol=0),
):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(train, validation)
    errors = [row.get("validation_rmse", row["train_rmse"]) for row in model.history_]
    expected = min(errors) if hasattr(model, "best_epoch_") else errors[-1]
    part = validation if hasattr(model, "best_epoch_") else train
    print("kept", len(errors), np.isfinite(model.complete()).all(), abs(ct.rmse(model, part) - expected) < 1e-3,
          "stopped by the keyboard" in str(caught[-1].message), flush=True)
print("end", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="a signal of one process to another is another thing there")
def test_ctrl_c_ends_a_long_fit_within_seconds_and_keeps_what_was_reached():
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    guard = threading.Timer(120, child.kill)
    guard.start()
    try:
        for _ in ("SGD", "gradient descent"):
            assert child.stdout.readline() == "begun\n"
            child.send_signal(signal.SIGINT)
            line = child.stdout.readline()
            assert line, f"the fit did not end within two minutes, or ended in an error: {child.communicate()[1]}"
            word, passes, *fine = line.split()
            assert (word, fine) == ("kept", ["True"] * 3)
            assert int(passes) >= 2
        assert child.stdout.readline() == "end\n"
        out, err = child.communicate()  # the guard ends a process that hangs
    finally:
        guard.cancel()
        child.kill()
        child.wait()
    assert (out, err, child.returncode) == ("", "", 0)


def test_ctrl_c_keeps_the_best_pass_and_not_the_last(parts, monkeypatch):
    press_ctrl_c(monkeypatch, ct.SGDMF, "_measure", 30)
    with pytest.warns(UserWarning, match="stopped by the keyboard after 29 whole passes"):
        model = ct.SGDMF(10, reg=0, learning_rate=0.03, n_epochs=99, patience=99).fit(*parts)
    errors = [row["validation_rmse"] for row in model.history_]
    assert len(errors) == 29
    assert ct.rmse(model, parts[1]) == pytest.approx(min(errors), rel=1e-12)
    assert min(errors) < errors[-1]


@pytest.mark.parametrize(
    "model", [ct.SGDMF(), ct.SGDMF(patience=None), ct.GradientDescentMF()], ids=["best", "last", "gradient descent"]
)
def test_ctrl_c_in_the_first_pass_leaves_nothing_to_keep(parts, monkeypatch, model):
    press_ctrl_c(monkeypatch, ct.SGDMF, "_measure", 1)
    press_ctrl_c(monkeypatch, ct.GradientDescentMF, "objective", 1)
    model = clone(model)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*parts)
    with pytest.raises(NotFittedError):
        model.complete()


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(ct.GradientDescentMF(learning_rate=1e-4, tol=0), id="gradient descent"),
        pytest.param(ct.SGDMF(patience=None), id="SGD, the last pass"),
    ],
)
def test_ctrl_c_keeps_whole_passes_that_were_counted_and_checked(parts, monkeypatch, model):
    press_ctrl_c(monkeypatch, ct.SGDMF, "_measure", 6)
    press_ctrl_c(monkeypatch, ct.GradientDescentMF, "objective", 6)
    model = clone(model)
    with pytest.warns(UserWarning, match="stopped by the keyboard after 5 whole passes"):
        model.fit(parts[0])
    assert ct.rmse(model, parts[0]) == pytest.approx(model.history_[-1]["train_rmse"], rel=1e-12)


def test_ctrl_c_before_all_ratings_are_learnt_from_keeps_the_fit_to_a_part_of_them(sample, monkeypatch):
    rng = np.random.default_rng(0)
    inner, aside = sample.split_random(0.1, rng)
    model = ct.SGDMF(5, learning_rate=0.03, patience=3)
    search = clone(model)
    search.ratings_, search.history_ = sample, []
    search._descend(inner, aside, rng, search.n_epochs)
    press_ctrl_c(monkeypatch, ct.SGDMF, "_measure", len(search.history_) + 3)
    with pytest.warns(UserWarning, match="stopped by the keyboard before the refit to all ratings"):
        model.fit(sample)
    assert (model.history_, model.best_epoch_) == (search.history_, search.best_epoch_)
    assert np.array_equal(model.complete(), search.complete())


def test_ctrl_c_while_the_best_pass_is_looked_for_ends_the_fit(monkeypatch):
    ratings, calls = random_table(0, (60, 40)), []
    inner, aside = ratings.split_random(0.3, np.random.default_rng(4))
    press_ctrl_c(monkeypatch, ct.SGDMF, "_measure", 20)
    model = ct.SGDMF(3, learning_rate=0.05, patience=30, validation_size=0.3, random_state=4)
    monkeypatch.setattr(ct.SGDMF, "_refit", lambda *arguments: calls.append(arguments))
    with pytest.warns(UserWarning, match="stopped by the keyboard after 19 whole passes; these are kept"):
        model.fit(ratings)
    assert not calls  # nothing that takes as long again
    assert model.global_mean_ == inner.values.mean()
    assert model.history_[model.best_epoch_ - 1]["validation_rmse"] == pytest.approx(ct.rmse(model, aside), rel=1e-12)


def test_a_validation_error_that_overflows_is_said():
    rows, cols, values = [0, 0, 2, 2, 1, 1], [0, 1, 2, 0, 1, 0], [1.0, 2, 5, 3, 4, 3]
    ratings = ct.Ratings(np.arange(3), np.arange(3), rows, cols, values, scale=(1, 5))
    last = np.arange(6) == 5  # the only rating that multiplies the factors of its user and its item
    train, validation = ratings.part(~last), ratings.part(last)
    P, Q = np.zeros((3, 1)), np.zeros((3, 1))
    P[1] = Q[0] = 1e100
    model = ct.SGDMF(1, learning_rate=1e-250, reg=0, init=(P, Q), patience=2)
    with pytest.raises(ct.DivergenceError, match="SGDMF: the validation RMSE overflowed in pass 1"):
        model.fit(train, validation)
