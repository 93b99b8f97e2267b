"""The Bayesian factorization machine: its sampler against a slow twin, and what it promises of its answers."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import ABOUT_ITEMS, ABOUT_USERS, press_ctrl_c
from scipy.stats import chisquare, norm
from sklearn.base import clone

import content_table as ct
from content_table_parts import bayes, posterior, solvers

# ---- A slow twin: a dense table of features, and every conditional by its definition ----


def crossed(seed, shape=(5, 4), n=13, week=3, features=True):
    """(blocks, y) of a small table: viewers with sets and a profile, titles with sets and genres, and weeks."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation(shape[0] * shape[1])[:n]
    rows, cols = np.divmod(cells, shape[1])
    known = sp.csr_array((np.ones(n), (rows, cols)), shape=shape)
    profile, genres = (sp.csr_array(rng.normal(size=(side, 2)) * (rng.random((side, 2)) < 0.7)) for side in shape)
    sets = bayes.normalised_sets(known), bayes.normalised_sets(sp.csr_array(known.T))
    more = ([sets[0], profile], [sets[1], genres]) if features else ([], [])
    blocks = [bayes.one_hot(rows, shape[0], *more[0]), bayes.one_hot(cols, shape[1], *more[1])]
    blocks += [bayes.one_hot(rng.integers(0, week, n), week)] if week else []
    return blocks, rng.normal(size=n)


def dense(blocks):
    """(X (N, features), the group of each feature, the block of each group): features that no rating has left out."""
    parts = [block.table[block.rows].toarray() for block in blocks]
    sizes = [size for block in blocks for size in block.groups]
    group = np.repeat(np.arange(len(sizes)), sizes)
    X = np.hstack(parts)
    met = X.any(axis=0)
    return X[:, met], group[met], np.repeat(np.arange(len(blocks)), [len(block.groups) for block in blocks])


def by_definition(X, V, level):
    """Predictions of a factorization machine, as its formula stands."""
    return level + X @ V[0] + sum((X @ v) ** 2 - X**2 @ v**2 for v in V[1:]) / 2


def conditional(X, y, V, level, alpha, f, j, mu, precision):
    """(mean, precision) of one number given all others, from h = the slope of the prediction in it."""
    h = X[:, j] if f == 0 else X[:, j] * (X @ V[f] - X[:, j] * V[f, j])
    e = y - by_definition(X, V, level)
    tight = precision + alpha * h @ h
    return (alpha * (h @ e + V[f, j] * (h @ h)) + precision * mu) / tight, tight


def twin_sweep(X, group, blocks, y, now, draws, prior):
    """A sweep by definition; `now` is (V, mean, precision, level), all changed in place but the level."""
    V, mean, precision, level = now
    e = y - by_definition(X, V, level[0])
    level[1] = draws.level[1] / (prior.rate + e @ e / 2)
    tight = prior.level + level[1] * len(y)
    level[0] = level[1] * (y - by_definition(X, V, 0.0)).sum() / tight + draws.level[0] / np.sqrt(tight)
    for f in range(len(V)):
        for g in range(len(blocks)):
            own = np.flatnonzero(group == g)
            squares = ((V[f, own] - mean[f, g]) ** 2).sum() + mean[f, g] ** 2
            precision[f, g] = draws.precision[f, g] / (prior.rate + squares / 2)
            count = (len(own) + 1) * precision[f, g]
            mean[f, g] = V[f, own].sum() / (len(own) + 1) + draws.mean[f, g] / np.sqrt(count)
            for j in own:
                center, tight = conditional(X, y, V, level[0], level[1], f, j, mean[f, g], precision[f, g])
                V[f, j] = center + draws.V[f, j] / np.sqrt(tight)


@pytest.mark.parametrize("n_factors", [0, 1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_sweep_draws_what_its_slow_twin_draws_from_the_same_random_numbers(n_factors, seed):
    blocks, y = crossed(seed)
    design, rng, prior = bayes.design_of(blocks), np.random.default_rng(seed), bayes.Prior(1.5, 0.7, 2.0)
    state = bayes.starting_state(design, blocks, y, n_factors, rng)
    X, group, of_block = dense(blocks)
    np.testing.assert_allclose(state.e, y - by_definition(X, state.V, 0.0), atol=1e-12)
    twin = state.V.copy(), state.mean.copy(), state.precision.copy(), state.level.copy()
    S, c = np.zeros((design.first[-1], 8)), np.zeros(len(y))
    S[:, 0] = np.bincount(design.where.ravel(), minlength=len(S))
    for _ in range(4):
        draws = bayes.draw(design, n_factors, prior, rng)
        bayes.sweep(design, state, draws, prior, S, c)
        twin_sweep(X, group, of_block, y, twin, draws, prior)
        for ours, theirs in zip((state.V, state.mean, state.precision, state.level), twin, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(state.e, y - by_definition(X, state.V, state.level[0]), atol=1e-10)


@pytest.mark.parametrize("f", [0, 1, 2])
def test_the_conditional_mean_and_precision_of_a_feature_are_those_of_its_definition(f):
    blocks, y = crossed(7)
    design, rng = bayes.design_of(blocks), np.random.default_rng(1)
    state = bayes.starting_state(design, blocks, y, 2, rng)
    X, group, of_block = dense(blocks)
    alpha, mu, precision = 1.7, 0.3, 2.2
    S, c = np.zeros((design.first[-1], 8)), np.zeros(len(y))
    S[:, 0] = np.bincount(design.where.ravel(), minlength=len(S))
    for j in range(X.shape[1]):
        block = of_block[group[j]]
        center, tight = conditional(X, y, state.V, 0.0, alpha, f, j, mu, precision)
        drawn = []
        for z in (0.0, 1.0):
            bayes._begin(design, block, state.Q[f], S)
            bayes._part_of_others(design.where, f, state.Q[f], block, c)
            bayes._gather(design.where[block], c, state.e, S)
            v = state.V[f].copy()
            bayes._draw_features(design, j, j + 1, f, S, v, mu, precision, alpha, np.full(len(v), z))
            drawn.append(v[j])
        assert drawn[0] == pytest.approx(center, abs=1e-10)
        assert (drawn[1] - drawn[0]) ** -2 == pytest.approx(tight, rel=1e-10)


def test_a_design_by_hand_leaves_out_what_no_rating_has():
    # Rows 0 and 2 of the first block have ratings; of row 1 nothing counts, nor of the features that it alone has.
    table = sp.csr_array([[1.0, 0, 2, 0], [3, 4, 0, 0], [0, 0, 5, 0]])
    one, other = bayes.Block(np.array([0, 0, 2]), table, (2, 2)), bayes.one_hot(np.array([1, 0, 1]), 3)
    assert one.met.tolist() == [True, False, True, False]
    assert other.met.tolist() == [True, True, False]
    design = bayes.design_of([one, other])
    assert design.where.tolist() == [[0, 0, 2], [4, 3, 4]]
    assert design.start.tolist() == [0, 1, 3, 4, 5]
    assert design.row.tolist() == [0, 0, 2, 3, 4]
    assert design.value.tolist() == [1, 2, 5, 1, 1]
    assert design.group.tolist() == [0, 1, 2, 4]
    assert design.block.tolist() == [0, 2, 3]
    assert design.first.tolist() == [0, 3, 6]


def test_blocks_put_what_is_known_beside_a_feature_of_ones_own():
    sets = bayes.normalised_sets(sp.csr_array([[3.0, 0, 7, 1, 2], [0, 0, 0, 0, 0], [0, 9, 0, 0, 0]]))
    np.testing.assert_allclose(sets.toarray(), [[0.5, 0, 0.5, 0.5, 0.5], [0] * 5, [0, 1, 0, 0, 0]], rtol=1e-15)
    block = bayes.one_hot(np.array([2, 0]), 3, sets, sp.csr_array([[4.0], [5], [6]]))
    assert block.groups == (3, 5, 1)
    np.testing.assert_array_equal(block.table.toarray(), np.hstack([np.eye(3), sets.toarray(), [[4], [5], [6]]]))
    assert block.rows.tolist() == [2, 0]


def test_a_chain_starts_at_small_factors_and_else_at_nothing_known():
    blocks, y = crossed(0, shape=(60, 50), n=900)
    design = bayes.design_of(blocks)
    state = bayes.starting_state(design, blocks, y, 30, np.random.default_rng(0))
    X, _, of_block = dense(blocks)
    assert state.V.shape == (31, X.shape[1])
    assert not state.V[0].any()
    assert state.V[1:].std() == pytest.approx(0.1, rel=0.05)
    assert abs(state.V[1:].mean()) < 0.01
    for each, number in ((state.mean, 0.0), (state.precision, 1.0)):
        assert np.array_equal(each, np.full((31, len(of_block)), number))
    assert state.level.tolist() == [0, 0]
    np.testing.assert_allclose(state.e, y - by_definition(X, state.V, 0.0), atol=1e-12)
    assert not np.shares_memory(state.e, y)
    q = sum(state.Q[:, rows] for rows in design.where)
    np.testing.assert_allclose(q, state.V @ X.T, atol=1e-12)


class Plain:
    """A generator whose normal numbers are 7 and whose gamma numbers are their shape."""

    def standard_normal(self, shape=()):
        return np.full(shape, 7.0)

    def standard_gamma(self, shape):
        return np.asarray(shape) * 1.0


def test_the_random_numbers_of_a_sweep_have_the_shapes_of_their_conditionals():
    design = bayes.design_of([bayes.one_hot(np.array([0, 1, 1]), 2), bayes.one_hot(np.array([0, 0, 2]), 4)])
    draws = bayes.draw(design, 3, bayes.Prior(shape=0.25), Plain())
    assert np.array_equal(draws.V, np.full((4, 4), 7.0))  # of the second block two features are met
    assert np.array_equal(draws.mean, np.full((4, 2), 7.0))
    assert np.array_equal(draws.precision, np.full((4, 2), 0.25 + 3 / 2))
    assert draws.level.tolist() == [7.0, 0.25 + 3 / 2]
    assert bayes.PRIOR == bayes.Prior() == (0.5, 0.02, 1.0)
    assert "(shape 0.5, rate 0.02; so is the precision of the noise), and the level is N(mean of the ratings, 1)" in (
        " ".join(ct.BayesianFM.__doc__.split())
    )


def test_a_chain_counts_the_ratings_of_each_row_and_goes_on_in_the_same_arrays():
    blocks, y = crossed(4)
    prior, rng = bayes.Prior(1.5, 0.7, 2.0), np.random.default_rng(9)
    chain = bayes.chain(blocks, y, 2, np.random.default_rng(9), prior)
    design = bayes.design_of(blocks)
    state = bayes.starting_state(design, blocks, y, 2, rng)
    S, c = np.zeros((design.first[-1], 8)), np.zeros(len(y))
    for rows in design.where:
        for row in rows:
            S[row, 0] += 1
    for _ in range(3):
        bayes.sweep(design, state, bayes.draw(design, 2, prior, rng), prior, S, c)
        found = next(chain)
        for ours, theirs in zip(found, state, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)
    assert next(chain).V is found.V


def test_samples_as_they_are_kept_give_the_predictions_of_the_formula():
    blocks, y = crossed(3)
    state = next(bayes.chain(blocks, y, 2, np.random.default_rng(0)))
    X, _, _ = dense(blocks)
    for unit in (1.0, 2.5):
        sample = posterior.keep(blocks, state, unit)
        rows = [own[block.rows] for own, block in zip(sample.rows, blocks, strict=True)]
        total = sum(row[:, 1:] for row in rows)
        squares = (total**2 - sum(row[:, 1:] ** 2 for row in rows)).sum(axis=1)
        kept = sample.level + sum(row[:, 0] for row in rows) + squares / 2
        np.testing.assert_allclose(kept, unit * by_definition(X, state.V, state.level[0]), atol=1e-12)
        assert sample.noise == pytest.approx(unit * state.level[1] ** -0.5)


# ---- The posterior ----

FIXED = bayes.Prior(shape=1e8, rate=1e8, level=2.0)  # all precisions are 1


def run(blocks, y, n_factors, seed, n, prior):
    """(n, 2 + N) level, alpha and predictions of the ratings after each sweep."""
    X, _, _ = dense(blocks)
    chain = bayes.chain(blocks, y, n_factors, np.random.default_rng(seed), prior)
    return np.array([[*(s := next(chain)).level, *by_definition(X, s.V, s.level[0])] for _ in range(n)])


def test_where_the_posterior_is_normal_its_mean_and_spread_are_those_of_the_closed_form():
    # y = level + X w + noise, w = m_group + N(0, 1), m_group ~ N(0, 1): so w ~ N(0, I + 1 1') in each group.
    blocks, y = crossed(5)
    X, group, _ = dense(blocks)
    prior = np.eye(X.shape[1]) + (group[:, None] == group)
    A = np.column_stack([np.ones(len(y)), X])
    spread = np.zeros((A.shape[1],) * 2)
    spread[0, 0], spread[1:, 1:] = 1 / FIXED.level, prior
    covariance = np.linalg.inv(np.linalg.inv(spread) + A.T @ A)
    mean, sd = A @ covariance @ A.T @ y, np.sqrt(np.diag(A @ covariance @ A.T))
    drawn = run(blocks, y, 0, 0, 6000, FIXED)[200:, 2:]
    sizes = np.array([posterior.effective_size(each[None]) for each in drawn.T])
    assert sizes.min() > 500
    assert (np.abs(drawn.mean(axis=0) - mean) < 5 * sd / np.sqrt(sizes)).all()
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.1)


def test_posterior_means_are_those_of_the_slow_twin_within_monte_carlo_error():
    blocks, y = crossed(11, shape=(4, 3), n=9, week=0)
    prior, rng = bayes.Prior(3.0, 3.0), np.random.default_rng(5)
    X, group, of_block = dense(blocks)
    now = rng.normal(size=(2, X.shape[1])), np.zeros((2, len(of_block))), np.ones((2, len(of_block))), np.zeros(2)
    design, theirs = bayes.design_of(blocks), []
    for _ in range(1200):
        twin_sweep(X, group, of_block, y, now, bayes.draw(design, 1, prior, rng), prior)
        theirs.append(by_definition(X, now[0], now[3][0]))
    ours, theirs = run(blocks, y, 1, 2, 5000, prior)[200:, 2:].T, np.array(theirs)[100:].T
    variances = [[row.var() / posterior.effective_size(row[None]) for row in draws] for draws in (ours, theirs)]
    assert (np.abs(ours.mean(axis=1) - theirs.mean(axis=1)) < 5 * np.sqrt(np.sum(variances, axis=0))).all()


def simulated(seed, n_factors, prior):
    """(blocks, y, what is asked: the noise's precision, the level and four predictions), all drawn from the prior."""
    rng = np.random.default_rng([seed, n_factors])
    blocks, _ = crossed(seed, shape=(4, 4), n=12, week=0, features=n_factors == 0)
    X, group, of_block = dense(blocks)
    precision = rng.gamma(prior.shape, 1 / prior.rate, (1 + n_factors, len(of_block)))
    mean = rng.normal(size=precision.shape) / np.sqrt(precision)
    V = (mean + 0 * precision)[:, group] + rng.normal(size=(1 + n_factors, len(group))) / np.sqrt(precision[:, group])
    alpha, level = rng.gamma(prior.shape, 1 / prior.rate), rng.normal() / np.sqrt(prior.level)
    truth = by_definition(X, V, level)
    return blocks, truth + rng.normal(size=len(truth)) / np.sqrt(alpha), np.array([alpha, *truth[:4]])


@pytest.mark.slow
@pytest.mark.parametrize("n_factors", [0, 1])
def test_ranks_of_the_truth_among_draws_of_the_posterior_are_uniform(n_factors):
    # Simulation-based calibration (Talts et al. 2018): of 200 tables drawn from the prior, the rank of a true number
    # among 19 nearly independent draws is uniform on 0..19.
    prior, ranks = bayes.Prior(4.0, 4.0, 1.0), []
    for seed in range(200):
        blocks, y, truth = simulated(seed, n_factors, prior)
        drawn = run(blocks, y, n_factors, seed, 200 + 19 * 40, prior)[200 + 39 :: 40]
        ranks.append((drawn[:, [1, 2, 3, 4, 5]] < truth).sum(axis=0))
    for each in np.array(ranks).T:
        assert chisquare(np.bincount(each, minlength=20)).pvalue > 1e-3


# ---- The model ----


@pytest.fixture(scope="module")
def world():
    """A table with a week that matters, 40 x 30: (ratings with context, true matrix of the ratings' means)."""
    rng = np.random.default_rng(4)
    truth = 6 + rng.normal(size=(40, 1)) + rng.normal(size=30) + rng.normal(size=(40, 2)) @ rng.normal(size=(2, 30)) / 2
    rows, cols = np.nonzero(rng.random(truth.shape) < 0.5)
    week = rng.integers(0, 4, len(rows))
    values = truth[rows, cols] + np.array([-2, 0, 0, 2])[week] + rng.normal(size=len(rows)) / 2
    frame = pd.DataFrame({"u": rows, "i": cols, "r": np.clip(np.round(values), 1, 10), "week": week})
    return ct.Ratings.from_frame(frame, "u", "i", "r", context=("week",))


@pytest.fixture(scope="module")
def weekly(world):
    return ct.BayesianFM(1, 20, context=("week",)).fit(world)


def test_the_same_seed_gives_the_same_digits_whatever_the_order_of_the_file(world):
    model = ct.BayesianFM(2, 20, context=("week",))
    one, other = clone(model).fit(world), clone(model).fit(world.part(np.arange(len(world))[::-1]))
    assert np.array_equal(one.complete(), other.complete())
    assert one.history_ == other.history_
    assert not np.array_equal(clone(model).set_params(random_state=1).fit(world).complete(), one.complete())


def test_in_another_unit_the_answers_are_the_same(world):
    tens = dataclasses.replace(world, values=world.values * 10, scale=(10.0, 100.0))
    one, ten = (ct.BayesianFM(2, 30).fit(each) for each in (world, tens))
    np.testing.assert_allclose(ten.complete(), 10 * one.complete(), rtol=1e-9)
    assert ten.noise() == pytest.approx(10 * one.noise())
    assert ten.log_score(tens) == pytest.approx(one.log_score(world), abs=1e-9)


@pytest.mark.parametrize("unit", [1e-140, 1e-9, 1e140])
def test_in_a_unit_near_the_ends_of_floats_too(world, unit):
    scaled = dataclasses.replace(world, values=world.values * unit, scale=(unit, 10 * unit))
    one, other = (ct.BayesianFM(2, 20).fit(each) for each in (world, scaled))
    np.testing.assert_allclose(other.complete() / unit, one.complete(), rtol=1e-9)
    told = [model.fold_in({1: 5 * size}).predict([3, 4]) / size for model, size in ((one, 1), (other, unit))]
    np.testing.assert_allclose(told[1], told[0], rtol=1e-9)
    assert other.log_score(scaled) == pytest.approx(one.log_score(world), abs=1e-9)


@pytest.mark.parametrize("unit", [1e-200, 1e155, 1e300])
def test_ratings_whose_squares_are_no_numbers_are_refused(world, unit):
    scaled = dataclasses.replace(world, values=world.values * unit, scale=(unit, 10 * unit))
    with pytest.raises(ValueError, match=r"must have a standard deviation of 1e-150 to 1e\+150.*divide them all"):
        ct.BayesianFM(2, 20).fit(scaled)


def test_ratings_that_are_all_equal_are_predicted_on_any_scale():
    for unit in (1e-9, 1.0, 1e6):
        equal = ct.Ratings([0, 1], [0, 1], [0, 0, 1], [0, 1, 0], np.full(3, 3 * unit), scale=(unit, 10 * unit))
        np.testing.assert_allclose(ct.BayesianFM(2, 20).fit(equal).complete(), 3 * unit, rtol=1e-4)


def test_who_rated_what_is_learnt_from_the_training_part_alone(world):
    train, test = world.split_random(0.2)
    used = {(row, col) for row, col in zip(train.rows.tolist(), train.cols.tolist(), strict=True)}
    free = [cell for cell in np.ndindex(world.shape) if cell not in used]
    rows, cols = np.array(free)[np.random.default_rng(0).permutation(len(free))[: len(test)]].T
    moved = dataclasses.replace(test, rows=rows, cols=cols, values=test.values[::-1])
    parts = [train.joined(each).part(slice(len(train))) for each in (test, moved)]
    one, other = (ct.BayesianFM(1, 15, context=("week",)).fit(part) for part in parts)
    assert np.array_equal(one.complete(), other.complete())
    assert np.array_equal(one.rated_weights_, other.rated_weights_)


def test_the_week_is_learnt_and_used_where_it_is_told(world):
    train, test = world.split_random(0.2)
    plain, weekly = (ct.BayesianFM(1, 60, context=context).fit(train) for context in ((), ("week",)))
    assert weekly.rmse(test) < plain.rmse(test) - 0.3
    early, late = (weekly.predict(3, world.item_ids, context={"week": week}) for week in (0, 3))
    assert (late - early).mean() == pytest.approx(4, abs=1)
    told = weekly.predict(test.user_ids[test.rows], test.item_ids[test.cols], context=test.context)
    np.testing.assert_allclose(told - test.values, weekly.errors(test), atol=1e-12)
    unknown = weekly.predict(3, world.item_ids, context={"week": 99})
    np.testing.assert_allclose(unknown, weekly.predict(3, world.item_ids), atol=1e-9)
    assert (early < unknown).all()
    assert (unknown < late).all()


@pytest.fixture(scope="module")
def two_columns():
    """Ratings whose hour of three moves them by -2, 0 and 2 and whose place, of two, by -1 and 1; 10 is the middle."""
    rng = np.random.default_rng(8)
    rows, cols = np.nonzero(rng.random((30, 20)) < 0.6)
    hour, place = rng.integers(0, 3, len(rows)), rng.choice(["home", "tram"], len(rows))
    values = 10 + np.array([-2, 0, 2])[hour] + np.where(place == "tram", 1, -1) + rng.integers(-1, 2, len(rows))
    frame = pd.DataFrame({"u": rows, "i": cols, "r": values, "hour": hour, "place": place})
    return ct.Ratings.from_frame(frame, "u", "i", "r", context=("hour", "place"), scale=(1, 20))


@pytest.mark.parametrize("context", [("hour", "place"), ("place", "hour")])
def test_each_column_of_the_context_has_its_own_effect(two_columns, context):
    model = ct.BayesianFM(0, 60, context=context, implicit=False).fit(two_columns)

    def told(**context):
        return model.predict(3, two_columns.item_ids, context=context).mean()

    level = model.predict(3, two_columns.item_ids).mean()
    assert level == pytest.approx(10, abs=0.6)
    for hour, move in enumerate((-2, 0, 2)):
        assert told(hour=hour) - level == pytest.approx(move, abs=0.4)
        assert told(hour=hour, place="home") - told(hour=hour) == pytest.approx(-1, abs=0.3)
        assert told(hour=hour, place="tram") - told(hour=hour) == pytest.approx(1, abs=0.3)
    assert told(hour=99, place="ship") == pytest.approx(level, abs=1e-9)
    assert model.errors(two_columns).std() < 1.1  # the noise that was put there has 0.82


def test_what_was_not_met_of_the_context_is_less_sure(two_columns):
    model = ct.BayesianFM(0, 40, context=("hour", "place"), implicit=False).fit(two_columns)
    spread = {}
    for name, context in (("both", {"hour": 1, "place": "tram"}), ("hour", {"hour": 1}), ("neither", {})):
        chances = model.rating_probabilities(3, 4, context=context).iloc[0]
        spread[name] = np.sqrt(chances @ (chances.index - chances @ chances.index) ** 2)
    assert spread["both"] + 0.1 < spread["hour"] < spread["neither"] - 0.1


def test_a_viewer_of_the_training_part_has_an_interval_where_there_is_a_context(weekly):
    viewer = weekly.viewer(3)
    for ours, theirs in zip(viewer.predict([4, 5], interval=0.8), weekly.predict(3, [4, 5], interval=0.8), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_a_context_that_is_missing_or_of_another_kind_is_refused(world):
    bare = dataclasses.replace(world, context={})
    with pytest.raises(ValueError, match=r"context must be columns of Ratings.context, \[\], got \['week'\]"):
        ct.BayesianFM(context=("week",)).fit(bare)
    with pytest.raises(ValueError, match=r"context must have each column once, got \['week', 'week'\]"):
        ct.BayesianFM(context=("week", "week")).fit(world)
    model = ct.BayesianFM(0, 9, context=("week",)).fit(world)
    with pytest.raises(ValueError, match="ratings must have the context"):
        model.rmse(bare)
    with pytest.raises(ValueError, match="ratings must have the context"):
        model.log_score(bare)
    with pytest.raises(ValueError, match=r"context must be of \['week'\], got \['day'\]"):
        model.predict(0, 1, context={"day": 1})
    with pytest.raises(TypeError, match="context 'week' must be like"):
        model.predict(0, 1, context={"week": "Monday"})


@pytest.mark.parametrize(
    ("week", "error", "message"),
    [
        ([1, 2, 3], ValueError, "must have one value, or one for each of 2 pairs, got 3"),
        ([], ValueError, "must have one value, or one for each of 2 pairs, got 0"),
        ([[1, 2]], ValueError, "must be a list or an array of one axis"),
        ([1, [2, 3]], TypeError, "must be whole numbers, finite numbers or text"),
        ([1, None], ValueError, "are missing"),
        (np.nan, ValueError, "are missing"),
        (np.inf, TypeError, "must be whole numbers, finite numbers or text"),
        (True, TypeError, "must be whole numbers, finite numbers or text"),
        (np.datetime64("2020-01-01"), TypeError, "must be whole numbers, finite numbers or text"),
        (2**70, ValueError, "beyond 64 bits"),
        (None, TypeError, "must be a number or text, or a list"),
        ({}, TypeError, "must be a number or text, or a list"),
        (1j, TypeError, "must be a number or text, or a list"),
        (b"1", TypeError, "must be a number or text, or a list"),
    ],
)
def test_values_of_the_context_are_one_or_one_for_each_pair(weekly, week, error, message):
    with pytest.raises(error, match=f"context 'week' {message}|of context 'week' {message}|'week' holds .* {message}"):
        weekly.predict([1, 2], [3, 4], context={"week": week})


def test_values_of_the_context_come_in_any_list(weekly):
    expected = weekly.predict([1, 2], [3, 4], context={"week": [1, 2]})
    for week in ((1, 2), range(1, 3), np.array([1.0, 2.0]), pd.Series([1, 2], index=[7, 8])):
        assert np.array_equal(weekly.predict([1, 2], [3, 4], context={"week": week}), expected)
    for week in (1, 1.0, np.int8(1), np.array(1), [1]):
        told = weekly.predict([1, 2], [3, 4], context={"week": week})
        assert np.array_equal(told, weekly.predict([1, 2], [3, 4], context={"week": [1, 1]}))


def test_probabilities_are_those_of_ratings_and_intervals_follow_from_them(world):
    model = ct.BayesianFM(1, 60).fit(world)
    chances = model.rating_probabilities([0, 1, 2], [5, 6, 7])
    assert chances.columns.tolist() == np.unique(world.values).tolist()
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-12)
    assert (chances.to_numpy() >= 0).all()
    before = None
    for share in (0.2, 0.5, 0.8, 0.99):
        predicted, low, high = model.predict([0, 1, 2], [5, 6, 7], interval=share)
        assert np.array_equal(predicted, model.predict([0, 1, 2], [5, 6, 7]))
        inside = (chances.columns.to_numpy() >= low[:, None]) & (chances.columns.to_numpy() <= high[:, None])
        assert np.abs((chances.to_numpy() * inside).sum(axis=1) - share).max() < chances.to_numpy().max()
        best = chances.columns.to_numpy()[chances.to_numpy().argmax(axis=1)]
        assert ((low <= best) & (best <= high)).all()
        assert before is None or ((low <= before[0]) & (high >= before[1])).all()
        before = low, high


def test_the_likeliest_run_by_hand():
    chances = np.array([[0.1, 0.2, 0.4, 0.3], [0.7, 0.2, 0.1, 0.0]])
    for share, expected in ((0.5, ([2, 0], [2, 0])), (0.6, ([2, 0], [3, 0])), (0.85, ([1, 0], [3, 1]))):
        first, last = posterior.likely_run(chances, share)
        assert (first.tolist(), last.tolist()) == expected


def test_thresholds_make_each_rating_as_frequent_as_it_is():
    rng = np.random.default_rng(0)
    mean, values = rng.normal(5, 1, 4000), rng.choice([1.0, 5.0, 6.0, 10.0], 4000, p=[0.1, 0.4, 0.3, 0.2])
    link = posterior.fitted_link(mean, np.full(4000, 1.2), values, np.unique(values))
    expected = link.chances(mean[:, None], np.full((4000, 1), 1.44)).mean(axis=0)
    np.testing.assert_allclose(expected, [np.mean(values == step) for step in link.steps], atol=1e-9)


def test_the_log_score_is_the_mean_logarithm_of_the_probabilities(world):
    train, test = world.split_random(0.2)
    model = ct.BayesianFM(1, 40).fit(train)
    chances = model.rating_probabilities(test.user_ids[test.rows], test.item_ids[test.cols])
    own = [chances.iloc[at][value] for at, value in enumerate(test.values)]
    assert model.log_score(test) == pytest.approx(np.log(own).mean(), rel=1e-12)
    assert -2.3 < model.log_score(test) < model.log_score(train) < 0
    with pytest.raises(ValueError, match="the part is empty"):
        model.log_score(test.part([]))


def test_the_log_score_is_of_ratings_of_the_same_table(world):
    model = ct.BayesianFM(0, 9).fit(dataclasses.replace(world, context={}))
    with pytest.raises(TypeError, match="ratings must be"):
        model.log_score(world.values)
    with pytest.raises(ValueError, match="ratings"):
        model.log_score(world.restrict(np.arange(40) > 0, world.item_counts > 0))


def test_a_training_rating_is_told_as_likely_as_the_samples_and_their_noise_say(world):
    """A mixture of normals cut at the thresholds; of cells of known viewers and titles nothing else is unsure."""
    model = ct.BayesianFM(1, 30, n_kept=7).fit(dataclasses.replace(world, context={}))
    model.noise_spread_ = 0.0
    means = np.array([model._draws(np.array([2]), np.array([9]), [])[0][0]])
    assert means.mean() == pytest.approx(model.predict(2, 9)[0], abs=1e-9)
    below = norm.cdf((model.thresholds_[:, None] - means) / model.noises_).mean(axis=1)
    expected = np.diff(below, prepend=0, append=1)
    assert model.rating_probabilities(2, 9).to_numpy()[0] == pytest.approx(expected, abs=1e-12)
    assert model.noise() == pytest.approx(np.sqrt(np.mean(model.noises_**2)), rel=1e-12)
    assert np.ptp(model.noises_) > 0.01


@pytest.mark.parametrize("limit", [None, 100])
def test_thresholds_are_found_by_left_out_ratings_with_the_noise_or_by_a_part_of_them(world, monkeypatch, limit):
    asked, plain = [], dataclasses.replace(world, context={})
    monkeypatch.setattr(ct, "CELLS", len(world) if limit is None else limit)
    original = ct.left_out
    monkeypatch.setattr(ct, "left_out", lambda *given: asked.append(given) or original(*given))
    model = ct.BayesianFM(1, 20, n_kept=5).fit(plain)
    (means, variances, values) = asked[0]
    assert len(values) == (limit or len(world))
    assert np.array_equal(variances, np.broadcast_to(model.noises_**2, means.shape))
    spots = {(rating, round(mean, 9)) for rating, mean in zip(plain.values, predictions(model, plain), strict=True)}
    found = {(rating, round(mean, 9)) for rating, mean in zip(values, means.mean(axis=1), strict=True)}
    assert found <= spots
    if limit is None:
        chances = model.rating_probabilities(plain.user_ids[plain.rows], plain.item_ids[plain.cols]).mean(axis=0)
        np.testing.assert_allclose(chances, [np.mean(plain.values == step) for step in model.steps_], atol=0.04)


def predictions(model, ratings):
    return model.predict_cells(ratings.rows, ratings.cols)


def test_a_rating_that_is_impossible_costs_a_finite_score():
    rows, cols = np.divmod(np.arange(400)[np.random.default_rng(0).random(400) < 0.6], 20)
    train = ct.Ratings(range(20), range(20), rows, cols, np.where(cols < 10, 3.0, 8.0))
    model = ct.BayesianFM(2, 60).fit(train)
    held = ct.Ratings(range(20), range(20), [0, 1], [7, 8], [8.0, 8.0])
    assert (model.rating_probabilities([0, 1], [7, 8])[8.0] < 1e-12).all()
    assert model.log_score(held) == pytest.approx(np.log(1e-12))


def test_intervals_cover_what_they_promise_where_the_model_is_right():
    rng, found = np.random.default_rng(2), {0.5: [], 0.8: [], 0.95: []}
    for _ in range(3):
        full = 5.5 + rng.normal(size=(60, 1)) + rng.normal(size=50) + rng.normal(size=(60, 50)) * 1.2
        rows, cols = np.nonzero(rng.random(full.shape) < 0.6)
        values = np.clip(np.round(full[rows, cols]), 1, 10)
        train, test = ct.Ratings(range(60), range(50), rows, cols, values).split_random(0.3)
        model = ct.BayesianFM(0, 60, implicit=False).fit(train)
        chances = model.rating_probabilities(test.rows, test.cols).to_numpy()
        for share, both in found.items():
            _, low, high = model.predict(test.rows, test.cols, interval=share)
            inside = (low[:, None] <= model.steps_) & (model.steps_ <= high[:, None])
            both.append([(chances * inside).sum(axis=1).mean(), np.mean((low <= test.values) & (test.values <= high))])
    for share, both in found.items():
        promised, covered = np.mean(both, axis=0)
        assert abs(covered - promised) < 3 * np.sqrt(share * (1 - share) / (3 * len(test)))  # three standard errors
        assert promised == pytest.approx(share, abs=0.08)  # as nearly as whole ratings allow


def test_cold_titles_and_viewers_are_known_by_their_features_and_less_surely(with_cold):
    model = ct.BayesianFM(1, 60, item_features=ABOUT_ITEMS, user_features=ABOUT_USERS).fit(with_cold)
    _, missing = model.predict([101, 106, 106], [13, 11, 14], return_fallback=True)
    assert missing.tolist() == [False, True, True]  # 106 has no profile; 13 has genres
    _, low, high = model.predict([101, 101], [13, 14], interval=0.8)
    cold, warm = np.array([model.viewer(101).model._draws(np.array([0]), np.array([col]), [])[1].mean()
                           for col in (2, 3)])  # fmt: skip
    assert warm == 0
    assert cold > 0
    assert (high > low).all()


@pytest.mark.parametrize("size", [101.0, -1e4, 1e50])
def test_features_that_are_not_of_size_one_are_refused_by_name(table, size):
    values = np.column_stack([np.ones(table.n_items), np.linspace(-1, 1, table.n_items)])
    for largest, fits in ((100.0, True), (size, False)):
        values[2, 1] = largest
        about = ct.Features(table.item_ids, sp.csr_array(values), ["funny", "year"])
        model = ct.BayesianFM(1, 9, item_features=about)
        if fits:
            model.fit(table)
            continue
        with pytest.raises(ValueError, match=r"item_features must be of size about 1, .* of 'year'; standardise it"):
            model.fit(table)
    profile = ct.Features(table.user_ids, sp.csr_array(np.full((table.n_users, 1), size)), ["age"])
    with pytest.raises(ValueError, match=r"user_features must be of size about 1, .* of 'age'; standardise it"):
        ct.BayesianFM(1, 9, user_features=profile).fit(table)
    model = ct.BayesianFM(1, 9, item_features=ABOUT_ITEMS).fit(table)
    with pytest.raises(ValueError, match=r"features must be of size about 1, .* of 'funny'; standardise it"):
        model.fold_in_item({101: 5}, features={"funny": size})


def test_tables_without_a_feature_change_nothing(table, tmp_path):
    none = [ct.Features(ids, sp.csr_array((len(ids), 0)), []) for ids in (table.item_ids, table.user_ids)]
    plain, model = ct.BayesianFM(1, 15).fit(table), ct.BayesianFM(1, 15, item_features=none[0], user_features=none[1])
    model.fit(table).save(tmp_path / "model.npz")
    for each in (model, ct.load_model(tmp_path / "model.npz")):
        assert np.array_equal(each.complete(), plain.complete())
        new = each.fold_in_item({101: 5}, features={}).predict([102])
        assert np.array_equal(new, plain.fold_in_item({101: 5}).predict([102]))


@pytest.mark.parametrize("side", ["item", "user"])
def test_lists_of_those_known_by_features_alone_are_in_the_order_of_the_predictions(world, side):
    plain, n = dataclasses.replace(world, context={}), world.n_items if side == "item" else world.n_users
    cold = (plain.cols if side == "item" else plain.rows) >= 10  # only the first ten have ratings
    about = ct.Features(np.arange(n), np.random.default_rng(1).normal(size=(n, 3)), ["a", "b", "c"])
    model = ct.BayesianFM(2, 30, **{f"{side}_features": about}).fit(plain.part(~cold))
    known = model.ratings_.known.toarray() > 0
    lists = model.top_items(np.arange(40), 30)
    scores = np.array([model.predict(user, plain.item_ids) for user in plain.user_ids.tolist()])
    for own, seen, found in zip(scores, known, lists, strict=True):
        assert len(np.unique(np.round(own, 6))) > 20
        expected = np.argsort(-np.where(seen, -np.inf, own), kind="stable")[: (~seen).sum()]
        assert found[: len(expected)].tolist() == expected.tolist()


@pytest.mark.parametrize("features", [{}, {"item_features": ABOUT_ITEMS}, {"user_features": ABOUT_USERS}])
@pytest.mark.parametrize("n_factors", [0, 2])
def test_lists_of_cold_viewers_and_of_cold_titles_are_in_the_order_of_the_predictions(with_cold, features, n_factors):
    model = ct.BayesianFM(n_factors, 30, **features).fit(with_cold)
    assert model.user_sampled_.tolist() == [1, 1, 1, 1, 1, 0]
    for row, user in enumerate(with_cold.user_ids.tolist()):
        seen = with_cold.cols[with_cold.rows == row]
        scores = model.predict(user, with_cold.item_ids)
        np.testing.assert_allclose(model.predict_rows([row])[0], scores, atol=1e-9)
        unseen = np.setdiff1d(np.arange(5), seen)
        expected = unseen[np.argsort(-scores[unseen], kind="stable")]
        assert model.top_items([row], 5)[0][: len(unseen)].tolist() == expected.tolist()


def test_one_feature_is_enough_to_be_known_by(with_cold):
    title, viewer = ct.Features([13], [[1.0]], ["sad"]), ct.Features([106], [[1.0]], ["young"])
    model = ct.BayesianFM(1, 9, item_features=title, user_features=viewer).fit(with_cold)
    assert not model.predict([101, 106, 106], [13, 11, 13], return_fallback=True)[1].any()


def test_one_rating_leaves_a_viewer_and_a_title_to_the_samples_alone(table):
    few = table.part(((table.rows != 5) | (table.cols == 1)) & ((table.cols != 2) | (table.rows == 1)))
    model = ct.BayesianFM(1, 20, n_kept=5).fit(few)
    assert model.user_sampled_.all()
    assert not model._draws(np.array([5, 1, 5]), np.array([1, 2, 2]), [])[1].any()


def test_two_strangers_are_as_unsure_as_the_priors_of_both_and_of_their_product(with_cold):
    """In each sample 1 / precision of either weight, of the factors times the squared mean of the other's, and of the
    product of both deviations."""
    model = ct.BayesianFM(2, 20, implicit=False, n_kept=5).fit(with_cold)
    (nu_u, tight_u), (nu_i, tight_i) = model.priors_
    both = 1 / (tight_u[:, 1:] * tight_i[:, 1:])
    lines = nu_i[:, 1:] ** 2 / tight_u[:, 1:] + nu_u[:, 1:] ** 2 / tight_i[:, 1:]
    expected = 1 / tight_u[:, 0] + 1 / tight_i[:, 0] + (lines + both).sum(axis=1)
    variances = model._draws(np.array([5]), np.array([2]), [])[1][0]
    np.testing.assert_allclose(variances, expected, rtol=1e-9)
    assert (variances > model._draws(np.array([5]), np.array([0]), [])[1][0] - 1e-12).any()


def test_an_updated_viewer_is_as_unsure_as_somebody_new_with_all_their_ratings(table):
    model = ct.BayesianFM(1, 20, n_kept=5, user_features=ABOUT_USERS).fit(table)
    assert not model._draws(np.array([1]), np.array([0]), [])[1].any()
    newer = ct.Ratings([102], table.item_ids, [0], [0], [7.0], table.scale)
    updated = model.update(newer)
    assert updated.user_sampled_.tolist() == [1, 0, 1, 1, 1, 1]
    title = ct.Ratings([102], [99], [0], [0], [7.0], table.scale)
    with pytest.raises(ValueError, match=r"BayesianFM weighs the titles .*, and ratings has 1 that it has not met"):
        model.update(title)
    fold = updated._fold_of(1)
    np.testing.assert_allclose(updated._draws(np.array([1, 1]), np.array([0, 4]), [])[1], fold.cover([0, 4])[1])
    assert (fold.cover([0, 4])[1] > 0).all()


@pytest.mark.parametrize("told", [{11: 9}, {11: 9, 14: 2}])
def test_whoever_is_kept_is_as_unsure_as_their_fold_in_beside_those_whom_the_chain_has_met(table, told):
    model = ct.BayesianFM(1, 20, n_kept=5, user_features=ABOUT_USERS).fit(table)
    viewer = model.fold_in(told)
    kept = model.add(viewer, 900)
    means, variances = viewer.fold.cover(np.arange(5))
    rows = np.array([6, 2, 6])  # another one stands between
    found = kept._draws(rows, np.array([0, 3, 4]), [])
    np.testing.assert_allclose(found[0][[0, 2]], means[[0, 4]], atol=1e-9)
    np.testing.assert_allclose(found[1][[0, 2]], variances[[0, 4]], atol=1e-9)
    assert (variances > 0).all()
    assert not found[1][1].any()
    ours, theirs = (one.predict([12, 15], interval=0.8) for one in (kept.viewer(900), viewer))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_nobody_and_a_title_of_which_nothing_is_known_meet_at_the_mean(with_cold):
    for features in ({}, {"item_features": ABOUT_ITEMS}):
        model = ct.BayesianFM(1, 30, **features).fit(with_cold)
        nobody, new = model.fold_in({}).scores, model.fold_in_item({}).predict(with_cold.user_ids)
        assert (nobody[2] == model.global_mean_) == (not features)  # of title 13 genres may be known
        assert (nobody[[0, 1, 3, 4]] != model.global_mean_).all()
        assert new[5] == model.global_mean_
        assert (model.user_bias_[5], model.item_bias_[2] == 0) == (0, not features)
        assert model.predict(106, 11)[0] == pytest.approx(model.global_mean_ + model.item_bias_[0], rel=1e-12)
        assert (new[:5] != model.global_mean_).all()
        assert model.fold_in({11: 9}).scores[2] != model.global_mean_
        assert model.fold_in_item({101: 9}).predict(106)[0] != model.global_mean_
    described = model.fold_in_item({}, features={"funny": 1.0}).predict(106)[0]
    assert described != model.global_mean_


# ---- Somebody new ----


def brute_fold(model, at, values, s, axis):
    """The conditional of a newcomer's own feature in sample s: slopes from the machine's formula, by differences."""
    n, k = len(model.levels_), model.n_factors
    other = "user" if axis else "item"
    factors = posterior.by_sample(getattr(model, f"{other}_factors_"), n)[:, s]
    biases = getattr(model, f"{other}_biases_")[:, s]
    met = (model.rater_weights_ if axis else model.rated_weights_)[at, s] / np.sqrt(max(len(at), 1))
    (mu, nu), precision = np.split(model.priors_[axis, 0, s], [1]), model.priors_[axis, 1, s]
    N = model.priors_[1 - axis, 0, s, 1:]

    def prediction(number):  # [weight, factors] of the newcomer's own feature
        V = np.vstack([number, met])  # one row a feature
        q = V[:, 1:].sum(axis=0)
        row = V[:, 0].sum() - mu[0] + (q @ q - (V[:, 1:] ** 2).sum()) / 2 + (q - nu) @ N
        return model.levels_[s] + biases + row + factors @ (q - nu)

    start = np.append(mu, nu)
    plain = prediction(start)
    slopes = np.column_stack([prediction(start + one) - plain for one in np.eye(1 + k)])
    Z, alpha = slopes[at], model.noises_[s] ** -2
    M = np.diag(precision) + alpha * Z.T @ Z
    return plain + slopes @ np.linalg.solve(M, alpha * Z.T @ (values - plain[at])), slopes, M


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("n_told", [0, 1, 4])
def test_a_newcomer_gets_the_exact_conditional_in_each_sample(world, axis, n_told):
    model = ct.BayesianFM(2, 20, n_kept=6).fit(dataclasses.replace(world, context={}))
    at, values = np.array([3, 7, 11, 2])[:n_told], np.array([9.0, 2, 6, 7])[:n_told]
    fold = model._newcomer(axis, at, values)
    means, variances = fold.cover(np.arange(world.shape[1 - axis]))
    for s in range(6):
        expected, slopes, M = brute_fold(model, at, values, s, axis)
        np.testing.assert_allclose(means[:, s], expected, atol=1e-9)
        np.testing.assert_allclose(variances[:, s], (slopes * np.linalg.solve(M, slopes.T).T).sum(axis=1), atol=1e-9)
    np.testing.assert_allclose(fold.scores(), means.mean(axis=1), atol=1e-9)


def test_the_parts_of_an_explanation_sum_to_the_posterior_mean(world):
    model = ct.BayesianFM(2, 20).fit(world)
    told = {0: 9, 4: 2, 8: 6}
    viewer = model.fold_in(told)
    for item in (0, 3, 20):
        table = ct.explain(model, viewer, item)
        assert table["contribution"].sum() == pytest.approx(viewer.predict(item)[0], abs=1e-9)
        assert set(table["reason"][table["rating"].notna()]) == {"0", "4", "8"}
        assert ct.explain(model, 5, item)["contribution"].sum() == pytest.approx(model.predict(5, item)[0], abs=1e-9)


def test_the_parts_of_a_title_s_features_are_what_leaving_them_out_would_take_away(table):
    model = ct.BayesianFM(2, 30, item_features=ABOUT_ITEMS, n_kept=8).fit(table)
    for viewer in (model.viewer(102), model.fold_in({11: 8, 14: 3})):
        terms = viewer.terms(13)
        assert terms["contribution"].sum() == pytest.approx(viewer.predict(13)[0], abs=1e-9)
        assert {"funny", "sad"} < set(terms["reason"])
    # Without interactions a part is x_j w_j: the mean weight, which the samples of a regression have.
    plain = ct.BayesianFM(0, 30, item_features=ABOUT_ITEMS).fit(table)
    parts = plain.viewer(102).terms(13).set_index("reason")["contribution"]
    weights = plain.item_feature_weights_[:, :, 0].mean(axis=1)
    assert parts["funny"] == pytest.approx(0.3 * weights[0], abs=1e-12)
    assert parts["sad"] == pytest.approx(0.3 * weights[1], abs=1e-12)
    with pytest.raises(ValueError, match="knows nothing of what titles are about"):
        ct.BayesianFM(1, 9).fit(table).viewer(102).terms(13)


def test_the_part_of_a_title_s_feature_is_that_of_its_definition(table):
    model = ct.BayesianFM(2, 30, item_features=ABOUT_ITEMS, n_kept=6).fit(table)
    row, col = table.user_rows([102])[0], table.item_cols([13])[0]
    parts = model.viewer(102).terms(13).set_index("reason")["contribution"]
    x = ABOUT_ITEMS.rows_for([13]).toarray()[0]
    for j, name in enumerate(ABOUT_ITEMS.names):
        total = 0.0
        for s in range(6):
            r_u = model.user_factors_.reshape(-1, 6, 2)[row, s] * np.sqrt(6)  # kept as shares of a sum over samples
            r_i = model.item_factors_.reshape(-1, 6, 2)[col, s] * np.sqrt(6)
            of_users, of_items = model.priors_[:, 0, s, 1:]
            w, v = model.item_feature_weights_[j, s, 0], model.item_feature_weights_[j, s, 1:]
            total += x[j] * (w + v @ (r_u + of_users + (r_i + of_items - v * x[j]) / 2))
        if x[j]:
            assert parts[name] == pytest.approx(total / 6, abs=1e-12)


def test_models_made_of_others_hand_the_context_on(world):
    train, test = world.split_random(0.2)
    weekly = ct.BayesianFM(1, 40, context=("week",)).fit(train)
    tuned = ct.Tuned(ct.BayesianFM(1, 40, context=("week",)), n_trials=1, n_folds=2).fit(train)
    assert np.array_equal(tuned.errors(test), weekly.errors(test))
    mixed = ct.Blend(weekly, ct.BiasBaseline().fit(train), weight=0.25, prefit=True).fit(train)
    expected = 0.25 * weekly.errors(test) + 0.75 * ct.BiasBaseline().fit(train).errors(test)
    np.testing.assert_allclose(mixed.errors(test), expected, atol=1e-12)
    told, one = {3: 9, 4: 2}, [1, 2]
    for ours, theirs in zip(*(each.fold_in(told).predict(one, interval=0.8) for each in (tuned, weekly)), strict=True):
        assert np.array_equal(ours, theirs)


def test_held_out_parts_are_scored_with_their_context(world):
    weekly, part = ct.BayesianFM(1, 30, context=("week",)), world.split_random(0.2)
    expected = clone(weekly).fit(part[0]).errors(part[1])
    for results in (
        ct.evaluate({"weekly": weekly}, splits=[part]),
        ct.compare({"weekly": weekly}, None, 8, splits=[part]).query("model == 'weekly'"),
    ):
        assert results["rmse"].iloc[0] == pytest.approx(np.sqrt((expected**2).mean()), rel=1e-12)
        assert results["mae"].iloc[0] == pytest.approx(np.abs(expected).mean(), rel=1e-12)


def test_a_model_that_grows_by_ratings_without_their_context_says_so(world, weekly):
    tuned = ct.Tuned(ct.BayesianFM(1, 12, context=("week",)), n_trials=1, n_folds=2).fit(world)
    for model in (weekly, tuned):
        with pytest.warns(UserWarning, match=r"the new ratings have no context \['week'\]"):
            kept = model.add(model.fold_in({0: 9, 4: 2}), user=999)
        with pytest.raises(ValueError, match="ratings must have the context"):
            kept.rmse(kept.ratings_)
        with pytest.warns(UserWarning, match=r"the new ratings have no context \['week'\]"):
            model.update(pd.DataFrame({"user_id": [0], "item_id": [1], "rating": [5.0]}))
        grown = model.update(world.part(slice(5)))
        assert grown.rmse(grown.ratings_) == pytest.approx(model.rmse(world))


def test_every_rating_told_narrows_the_interval(world):
    model = ct.BayesianFM(1, 60).fit(world)
    told = dict(zip(range(25), np.resize([8, 6, 7], 25).tolist(), strict=True))
    spread = [model.fold_in(dict(list(told.items())[:n])).uncertainty([28, 29]).mean() for n in (0, 2, 8, 25)]
    assert (np.diff(spread) < 0).all()
    viewer = model.fold_in(told)
    predicted, low, high = viewer.predict([28, 29], interval=0.8)
    assert np.array_equal(predicted, viewer.predict([28, 29]))
    assert (low < high).all()
    assert (viewer.uncertainty([28], of_a_rating=True) > model.noise()).all()


def test_a_customer_who_is_kept_has_the_interval_of_the_fold_in(world):
    model = ct.BayesianFM(1, 40).fit(dataclasses.replace(world, context={}))
    viewer = model.fold_in({0: 9, 4: 2, 8: 6})
    kept = model.add(viewer, user=999)
    for share in (0.5, 0.95):
        expected = viewer.predict(world.item_ids, interval=share)
        for ours, theirs in zip(kept.predict(999, world.item_ids, interval=share), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-9)


# ---- Chains ----


def autoregressive(rho, n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    x = [rng.normal()]
    for _ in range(n - 1):
        x.append(rho * x[-1] + np.sqrt(1 - rho**2) * rng.normal())
    return np.array(x) + shift


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_effective_size_of_a_known_process(rho):
    draws = np.array([autoregressive(rho, 5000, seed) for seed in range(4)])
    assert posterior.effective_size(draws) == pytest.approx(20_000 * (1 - rho) / (1 + rho), rel=0.15)
    assert posterior.split_r_hat(draws) == pytest.approx(1, abs=0.01)


def test_chains_apart_and_chains_on_their_way_are_told():
    apart = np.array([autoregressive(0.5, 500, seed, shift=2 * seed) for seed in range(2)])
    assert posterior.split_r_hat(apart) > 1.2
    assert posterior.effective_size(apart) < 20
    drifting = autoregressive(0.0, 500, 0) + np.linspace(0, 4, 500)
    assert posterior.split_r_hat(drifting[None]) > 1.2


def test_chains_of_unequal_width_and_chains_that_stand_still_are_told():
    rng = np.random.default_rng(0)
    wide = np.array([rng.normal(0, 1, 500), rng.normal(0, 10, 500)])
    assert posterior.split_r_hat(wide) > 1.2
    assert posterior.split_r_hat(np.array([[0.0] * 8, [1.0] * 8])) == np.inf
    assert np.isnan(posterior.split_r_hat(np.ones((2, 8))))


def test_chains_that_stand_still_have_no_effective_size():
    assert np.isnan(posterior.effective_size(np.ones((2, 8))))
    assert np.isnan(posterior.effective_size(np.array([[0.0] * 8, [1.0] * 8])))


def test_a_cell_of_two_strangers_is_as_unsure_as_draws_from_both_priors():
    rng = np.random.default_rng(0)
    priors = [np.stack([rng.normal(0, 0.5, (1, 4)), rng.uniform(1, 4, (1, 4))]) for _ in range(2)]
    unknown = [posterior.Part(np.zeros((1, 1)), np.zeros((1, 1, 3)), np.ones(1, bool), prior) for prior in priors]
    _, variances = posterior.cell_draws(np.zeros(1), unknown)
    one, other = (rng.normal(mean, precision**-0.5, (400_000, 4)) for mean, precision in priors)
    drawn = one[:, 0] + other[:, 0] + (one[:, 1:] * other[:, 1:]).sum(axis=1)
    assert variances[0, 0] == pytest.approx(drawn.var(), rel=0.01)
    known = posterior.Part(np.zeros((1, 1)), rng.normal(size=(1, 1, 3)), np.zeros(1, bool), priors[1])
    (_, precision), slope = priors[0], known.factors[0] + priors[1][0][:, 1:]
    for parts in ([unknown[0], known], [known, unknown[0]]):  # beside somebody known it is a straight line
        _, variances = posterior.cell_draws(np.zeros(1), parts)
        line = 1 / precision[:, 0] + (slope**2 / precision[:, 1:]).sum(axis=1)
        assert variances[0] == pytest.approx(line, rel=1e-12)


def test_r_hat_by_hand():
    # Ranks of 1..8 in halves (1, 2), (3, 4), (5, 6), (7, 8): normal quantiles z, W the mean variance of the halves.
    z = posterior._normal_ranks(np.arange(1.0, 9.0)[None])[0]
    halves = z.reshape(4, 2)
    W, B = halves.var(axis=1, ddof=1).mean(), 2 * halves.mean(axis=1).var(ddof=1)
    # One chain is split in two halves only: take two chains of four.
    draws = np.arange(1.0, 9.0).reshape(2, 4)
    assert posterior.split_r_hat(draws) == pytest.approx(np.sqrt((W / 2 + B / 2) / W), rel=1e-12)


def test_diagnostics_have_the_noise_and_each_prediction_asked_for(world):
    model = ct.BayesianFM(1, 120, n_chains=2).fit(world)
    table = model.diagnostics([0, 1], [5, 6])
    assert table["quantity"].tolist() == ["noise", (0, 5), (1, 6)]
    np.testing.assert_allclose(table["mean"][1:], model.predict([0, 1], [5, 6]), atol=1e-9)
    assert len(model.diagnostics()) == 101
    assert table["mean"][0] == pytest.approx(model.noise(), rel=0.05)
    assert (table["r_hat"] < 1.3).all()
    assert (table["effective_size"] > 2).all()
    with pytest.raises(TypeError, match="users and items are given together"):
        model.diagnostics(users=[0])


def test_diagnostics_are_of_each_chain_by_itself(world):
    """Samples stand chain by chain; the noise of every sweep is in the history."""
    model = ct.BayesianFM(1, 40, n_chains=2, n_kept=16, burn_in=10).fit(dataclasses.replace(world, context={}))
    table = model.diagnostics([3, 1], [5, 6]).set_index("quantity")
    for user, item in ((3, 5), (1, 6)):
        draws = model._draws(np.array([user]), np.array([item]), [])[0][0].reshape(2, 8)
        assert table.loc[[(user, item)], "mean"].item() == pytest.approx(draws.mean(), rel=1e-9)
        assert table.loc[[(user, item)], "sd"].item() == pytest.approx(draws.std(), rel=1e-9)
        assert table.loc[[(user, item)], "r_hat"].item() == pytest.approx(posterior.split_r_hat(draws), rel=1e-9)
    noise = np.array([[row[f"noise_{chain}"] for row in model.history_[10:]] for chain in (1, 2)])
    assert table.loc["noise", ["mean", "sd"]].tolist() == pytest.approx([noise.mean(), noise.std()], rel=1e-12)
    assert table.loc["noise", "r_hat"] == pytest.approx(posterior.split_r_hat(noise), rel=1e-9)
    cells = model.diagnostics()["quantity"].tolist()[1:]
    assert cells == model.diagnostics()["quantity"].tolist()[1:]
    assert (min(cell[0] for cell in cells), min(cell[1] for cell in cells)) == (0, 0)
    assert (max(cell[0] for cell in cells), max(cell[1] for cell in cells)) == (39, 29)


@pytest.mark.parametrize(
    ("n_sweeps", "n_kept", "n_chains", "told"),
    [(1, 50, 1, False), (3, 50, 1, False), (4, 50, 1, False), (6, 50, 1, True), (40, 1, 1, False), (40, 5, 2, False)],
)
def test_of_fewer_than_four_draws_diagnostics_tell_nothing(world, n_sweeps, n_kept, n_chains, told):
    table = ct.BayesianFM(1, n_sweeps, n_kept=n_kept, n_chains=n_chains).fit(world).diagnostics([0], [5])
    assert np.isfinite(table[["mean", "sd"]].to_numpy()).all()
    assert np.isfinite(table[["r_hat", "effective_size"]].iloc[1]).tolist() == [told, told]


def test_a_model_without_its_viewers_has_no_cells_to_diagnose(world, tmp_path):
    ct.BayesianFM(1, 9).fit(world).save(tmp_path / "bare.npz", with_ratings=False)
    bare = ct.load_model(tmp_path / "bare.npz")
    with pytest.raises(ValueError, match="the model was saved without its viewers"):
        bare.diagnostics()
    with pytest.raises(KeyError, match="unknown user 3: the model was saved without its viewers"):
        bare.diagnostics([3], [5])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_factors": 2**62}, "n_factors=4611686018427387904 with n_chains=1"),
        ({"n_chains": 10**7}, "n_factors=10 with n_chains=10000000"),
        ({"n_chains": 2**62}, "n_factors=10 with n_chains=4611686018427387904"),
    ],
)
def test_chains_that_fill_the_machine_are_refused(world, setting, message):
    with pytest.raises(MemoryError, match=message):
        ct.BayesianFM(**setting).fit(world)


def test_numbers_of_chains_are_counted_to_the_byte(world, monkeypatch):
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * (1 + 2) * 70 * 3)  # 40 viewers and 30 titles
    model = ct.BayesianFM(2, 6, implicit=False, n_chains=3)
    model.fit(world)
    with pytest.raises(MemoryError, match="n_factors=2 with n_chains=4"):
        model.set_params(n_chains=4).fit(world)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * (1 + 2) * 70 * 3 - 1)
    with pytest.raises(MemoryError, match="n_factors=2 with n_chains=3"):
        model.set_params(n_chains=3).fit(world)


def test_samples_that_no_saved_model_may_have_are_refused(world, monkeypatch):
    monkeypatch.setattr(posterior, "MAX_SAMPLE_BYTES", 8 * 2 * 70 * 12)
    ct.BayesianFM(1, 30, n_kept=12).fit(world)
    with pytest.raises(MemoryError, match=r"n_factors=1 with 13 samples \(n_kept\) of 70 .* Lower n_kept or n_factors"):
        ct.BayesianFM(1, 30, n_kept=13).fit(world)
    ct.BayesianFM(1, 18, n_kept=500, burn_in=6).fit(world)  # of 18 sweeps 12 are left
    ct.BayesianFM(1, 30, n_kept=11, n_chains=2).fit(world)  # 6 of each chain
    monkeypatch.setattr(posterior, "MAX_SAMPLE_BYTES", 8 * 2 * 70 * 12 - 1)
    for settings in ({"n_kept": 500, "n_sweeps": 18, "burn_in": 6}, {"n_kept": 11, "n_chains": 2, "n_sweeps": 30}):
        with pytest.raises(MemoryError, match=r"n_factors=1 with 12 samples \(n_kept\)"):
            ct.BayesianFM(1, **settings).fit(world)


def test_samples_are_thinned_evenly_and_as_many_as_asked_for(world):
    found = posterior.Thinned(5)
    for number in range(1, 41):
        found.offer(lambda number=number: number)
    assert found.chosen() == [8, 16, 24, 32, 40]
    for n_kept, n_chains, expected in ((7, 1, 7), (8, 2, 8), (7, 2, 8), (3, 5, 5), (500, 1, 40)):
        model = ct.BayesianFM(0, 60, n_kept=n_kept, n_chains=n_chains).fit(world)
        assert len(model.levels_) == len(model.noises_) == expected
    assert [row["epoch"] for row in model.history_] == list(range(1, 61))


# ---- Ctrl-C, and what is refused ----


def test_ctrl_c_keeps_the_samples_so_far(world, monkeypatch):
    press_ctrl_c(monkeypatch, bayes, "sweep", 20)
    with pytest.warns(UserWarning, match="stopped by the keyboard after 19 sweeps; the samples of these are kept"):
        model = ct.BayesianFM(1, 1000, burn_in=5).fit(world)
    assert len(model.history_) == 19
    assert len(model.levels_) == 14
    assert np.isfinite(model.complete()).all()


def test_ctrl_c_before_the_first_sample_leaves_nothing(world, monkeypatch):
    press_ctrl_c(monkeypatch, bayes, "sweep", 4)
    model = ct.BayesianFM(1, 1000, burn_in=5)
    with pytest.raises(KeyboardInterrupt):
        model.fit(world)
    assert not hasattr(model, "ratings_")


def test_burn_in_must_leave_a_sample(table):
    with pytest.raises(ValueError, match="burn_in must be below n_sweeps, 10, got 10"):
        ct.BayesianFM(1, 10, burn_in=10).fit(table)
    for n_sweeps, burn_in in ((1, 0), (10, 3), (299, 99), (300, 100), (303, 100), (3000, 100)):
        assert ct.BayesianFM(1, n_sweeps).in_use("burn_in") == burn_in
    assert ct.BayesianFM(1, 10, burn_in=9).fit(table).levels_.shape == (1,)


def test_only_models_that_know_how_sure_they_are_give_an_interval(table):
    with pytest.raises(ValueError, match="interval must be None for a BiasBaseline"):
        ct.BiasBaseline().fit(table).viewer(101).predict(11, interval=0.8)
    with pytest.raises(ValueError, match="interval must be below 1"):
        ct.BayesianFM(1, 9).fit(table).predict(101, 11, interval=1.5)
    model = ct.BayesianFM(1, 9).fit(table)
    for viewer in (model.viewer(101), model.fold_in({11: 8})):
        with pytest.raises(ValueError, match="interval must be below 1, got 1"):
            viewer.predict(12, interval=1.0)


# ---- Ratings with a context ----


def test_every_part_of_a_table_has_the_context_of_its_own_ratings(world):
    frame = world.frame()
    assert list(frame)[-1] == "week"
    train, test = world.split_random(0.3)
    for part in (train, test, train.joined(test), world.restrict(world.user_counts > 18, world.item_counts > 0)):
        merged = part.frame().merge(frame, on=["user_id", "item_id"])
        assert (merged["week_x"] == merged["week_y"]).all()
        assert len(merged) == len(part)
    assert np.array_equal(test.within(world).context["week"], test.context["week"])
    later = dataclasses.replace(test, context={"week": test.context["week"] + 10})
    updated = world.updated(later).frame().merge(frame, on=["user_id", "item_id"])
    assert (updated["week_x"] != updated["week_y"]).sum() == len(test)
    assert world.updated(dataclasses.replace(test, context={})).context == {}


def test_the_fingerprint_knows_the_context_but_not_the_order(world):
    assert world.part(np.arange(len(world))[::-1]).fingerprint == world.fingerprint
    bare = dataclasses.replace(world, context={})
    other = dataclasses.replace(world, context={"week": world.context["week"][::-1]})
    assert len({world.fingerprint, bare.fingerprint, other.fingerprint}) == 3


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"week": [1, 2]}, "context 'week' needs 3 entries, got 2"),
        ({"time": [1, 2, 3]}, "context needs names of its own"),
        ({"week": [1, None, 2]}, "context 'week' are missing"),
        ({7: [1, 2, 3]}, "context needs names of its own"),
    ],
)
def test_a_context_that_does_not_fit_the_ratings_is_refused(context, message):
    with pytest.raises(ValueError, match=message):
        ct.Ratings([1, 2], [1, 2], [0, 0, 1], [0, 1, 1], [5, 6, 7], context=context)


def test_a_context_of_words_is_not_joined_to_one_of_numbers(world):
    train, test = world.split_random(0.3)
    named = dataclasses.replace(test, context={"week": test.context["week"].astype(str)})
    for join in (train.joined, train.updated):
        with pytest.raises(TypeError, match="context 'week' must be of one kind in both tables, got int"):
            join(named)


def test_a_model_with_a_context_is_saved_and_read(world, tmp_path):
    frame = world.frame().assign(week=np.array(["a", "b", "c", "d"])[world.context["week"]])
    named = ct.Ratings.from_frame(frame, "user_id", "item_id", "rating", context=("week",))
    model = ct.BayesianFM(1, 12, context=("week",)).fit(named)
    model.save(tmp_path / "model.npz")
    again = ct.load_model(tmp_path / "model.npz", named)
    assert np.array_equal(again.ratings_.context["week"], named.context["week"])
    told = {"interval": 0.8, "context": {"week": "b"}}
    for one, other in zip(model.predict(3, [4, 5], **told), again.predict(3, [4, 5], **told), strict=True):
        assert np.array_equal(one, other)
    model.save(tmp_path / "bare.npz", with_ratings=False)
    bare = ct.load_model(tmp_path / "bare.npz")
    for one, other in zip(*(each.fold_in({3: 9}).predict([4, 5], interval=0.8) for each in (model, bare)), strict=True):
        assert np.array_equal(one, other)
