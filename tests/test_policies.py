"""Choosing what to show: beliefs, policies against closed forms, and estimators against the sum over all logs."""

import itertools

import numpy as np
import pytest
from conftest import ABOUT_ITEMS, ABOUT_USERS
from scipy.stats import norm

import content_table as ct
from content_table_parts import policies, solvers

Z = np.array([[1.0, 0.2], [0.3, -1.0], [0.5, 0.5], [-0.4, 0.9]])  # four titles, two factors


# ---- Beliefs ----


def posterior(at, values, noise=1.5, offset=6.0):
    """(mean, covariance) of all ratings by Bayes' rule on the covariance of the prior, penalty (2, 5)."""
    prior = noise**2 * Z @ np.diag([1 / 2, 1 / 5]) @ Z.T
    gain = prior[:, at] @ np.linalg.inv(prior[np.ix_(at, at)] + noise**2 * np.eye(len(at)))
    return offset + gain @ (np.array(values) - offset), prior - gain @ prior[at]


def ridge(at=(), values=(), **more):
    return ct.Belief.ridge(
        Z, [2, 5], np.array(at, dtype=int), np.array(values, dtype=float), 1.5, np.full(4, 6.0), **more
    )


@pytest.mark.parametrize("at", [[], [0], [2, 0], [1, 1, 3, 0, 2]])
def test_the_ridge_belief_is_bayes_rule(at):
    values = [8.0, 5.0, 7.0, 3.0, 9.0][: len(at)]
    mean, covariance = posterior(at, values)
    belief = ridge(at, values)
    assert belief.mean == pytest.approx(mean, abs=1e-12)
    assert belief.roots[0] @ belief.roots[0].T == pytest.approx(covariance, abs=1e-12)
    assert belief.sd == pytest.approx(np.sqrt(np.diag(covariance)), abs=1e-12)


def test_draws_have_the_mean_and_the_covariance_of_the_belief():
    mean, covariance = posterior([0], [9.0])
    draws = ridge([0], [9.0]).draw(200_000, random_state=3)
    assert draws.mean(axis=0) == pytest.approx(mean, abs=0.015)
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.02)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_a_belief_is_about_a_case_and_a_title_at_least(shape):
    with pytest.raises(ValueError, match=f"at least one case and one title, got {shape[0]} x {shape[1]}"):
        ct.Belief(np.zeros(shape))


def test_draws_of_cases_have_their_own_roots_and_variances():
    rng = np.random.default_rng(0)
    belief = ct.Belief(rng.normal(size=(3, 2)) * 3, rng.normal(size=(3, 2, 2)), rng.random((3, 2)))
    draws = belief.draw(200_000, 1)
    centred = belief.means - belief.mean
    within = (belief.roots @ belief.roots.transpose(0, 2, 1)).mean(axis=0) + np.diag(belief.variances.mean(axis=0))
    assert draws.mean(axis=0) == pytest.approx(belief.mean, abs=0.03)
    assert np.cov(draws.T) == pytest.approx(centred.T @ centred / 3 + within, rel=0.02, abs=0.05)
    assert belief.sd == pytest.approx(draws.std(axis=0), rel=0.01)


def test_one_root_is_that_of_all_cases_and_two_are_each_of_their_own():
    shared = ct.Belief(np.zeros((2, 1)), [[[5.0]]]).draw(400)
    assert (shared != 0).all()
    own = ct.Belief(np.zeros((2, 1)), [[[0.0]], [[5.0]]]).draw(400)
    assert 100 < (own == 0).sum() < 300  # of the first case
    assert ct.Belief(np.zeros((2, 3))).draw().shape == (1, 3)


def test_some_titles_may_be_known_for_sure_and_draws_are_the_same_unless_told_otherwise():
    belief = ct.Belief([[3.0, 5.0]], variances=[[0.0, 4.0]])
    draws = belief.draw(50)
    assert (draws[:, 0] == 3).all()
    assert 1 < draws[:, 1].std() < 3
    assert np.array_equal(draws, belief.draw(50, 0))
    assert not np.array_equal(draws, belief.draw(50, 1))
    assert ct.thompson(ridge(), 300).tolist() == ct.thompson(ridge(), 300, 1.0, 0).tolist()
    assert ct.Belief.ridge(Z, [2, 5], np.zeros(0, int), np.zeros(0), 1.5).mean.tolist() == [0] * 4  # without an offset


def test_what_may_be_shown_is_said_by_true_and_false_for_each_title():
    assert ct.Belief(np.zeros((1, 2)), unseen=[True, False]).unseen.tolist() == [True, False]
    for unseen in ([1, 0], [True], [[True, False]], [True, False, True], [[True], [True, False]], "no"):
        with pytest.raises(TypeError, match="unseen must be 2 times True or False, one for each title, got"):
            ct.Belief(np.zeros((1, 2)), unseen=unseen)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"roots": np.ones((2, 4, 1))}, r"roots must be 1 or 3 tables of 4 rows, one for each title, got \(2, 4, 1\)"),
        ({"roots": np.ones((1, 3, 1))}, "roots must be 1 or 3 tables of 4 rows"),
        ({"variances": np.ones((1, 4))}, "variances must be 3 x 4 numbers from 0"),
        ({"variances": np.eye(3, 4) - 1e-9}, "variances must be 3 x 4 numbers from 0"),
    ],
)
def test_parts_of_a_belief_that_do_not_fit_are_refused(given, words):
    ct.Belief(np.zeros((3, 4)), np.ones((3, 4, 2)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match=words):
        ct.Belief(np.zeros((3, 4)), **given)


@pytest.mark.parametrize(
    "model",
    [
        ct.ALS(2, biases=True),
        ct.ALS(2),
        ct.SpectralRegularization(3, biases=True),
        ct.BiasBaseline(),
        ct.ContentOnly(ABOUT_ITEMS),
        ct.Tuned(ct.BiasBaseline(), n_trials=2, n_folds=2),
    ],
    ids=repr,
)
def test_a_belief_of_a_viewer_agrees_with_their_predictions_and_uncertainty(model, table):
    model.fit(table)
    for viewer in (model.viewer(101), model.fold_in({11: 9, 14: 3})):
        belief = ct.Belief.of(viewer)
        assert belief.mean == pytest.approx(viewer.predict(table.item_ids), abs=1e-9)
        assert belief.sd == pytest.approx(viewer.uncertainty(table.item_ids), abs=1e-9)
        assert set(np.flatnonzero(~belief.unseen)) == set(viewer.at)


def test_of_a_bayesian_machine_the_belief_is_its_samples(table):
    train = table.part(table.cols != 4)  # nobody has rated the last title
    model = ct.BayesianFM(2, 30, item_features=ABOUT_ITEMS, user_features=ABOUT_USERS, n_kept=7).fit(train)
    belief = ct.Belief.of(model.viewer(101))
    assert belief.means.shape == (7, 5)
    assert belief.mean == pytest.approx(model.predict([101] * 5, table.item_ids), abs=1e-9)
    assert (belief.variances[:, 4] > 0).all()
    assert (belief.variances[:, :4] == 0).all()
    newcomer = model.fold_in({11: 9, 14: 3})
    belief = ct.Belief.of(newcomer)
    assert belief.mean == pytest.approx(newcomer.predict(table.item_ids), abs=1e-9)
    assert belief.sd == pytest.approx(newcomer.uncertainty(table.item_ids), abs=1e-9)


def test_a_viewer_added_later_is_believed_in_as_when_they_were_new(table):
    model = ct.BayesianFM(2, 30, n_kept=7).fit(table)
    me = model.fold_in({11: 9, 14: 3})
    kept = model.add(me, user=999)
    after, before = ct.Belief.of(kept.viewer(999)), ct.Belief.of(me)
    assert after.means == pytest.approx(before.means, abs=1e-9)
    assert after.mean == pytest.approx(me.predict(table.item_ids), abs=1e-9)
    assert after.sd == pytest.approx(before.sd, abs=1e-9)
    # not each title by itself: what one rating would tell of the others is believed too
    together = [belief.roots @ belief.roots.transpose(0, 2, 1) for belief in (after, before)]
    assert together[0] == pytest.approx(together[1], abs=1e-9)
    assert np.abs(together[0] - together[0] * np.eye(5)).max() > 1e-3
    assert not after.variances.any()


def test_a_belief_needs_a_model_that_knows_how_sure_it_is(table):
    with pytest.raises(ValueError, match=r"viewer must be seen by a model that knows how sure it is.*got .*SGDMF"):
        ct.Belief.of(ct.SGDMF(2, n_epochs=2, patience=None).fit(table).viewer(101))
    with pytest.raises(ValueError, match="penalty must be above 0"):
        ct.Belief.ridge(Z, [0, 1], np.array([0]), np.array([5.0]), 1.0)


# ---- Policies ----


def test_epsilon_greedy_by_hand():
    belief = ct.Belief([[6.0, 9.0, 7.0, 8.0]]).without([1])
    assert ct.epsilon_greedy(belief, 0.3) == pytest.approx([0.1, 0, 0.1, 0.8])
    assert ct.epsilon_greedy(belief, 0).tolist() == [0, 0, 0, 1]
    assert ct.epsilon_greedy(belief, 1) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    assert ct.epsilon_greedy(ct.Belief([[7.0, 7.0]]), 0).tolist() == [1, 0]  # ties go by position


def test_the_upper_bound_orders_titles_by_mean_and_spread():
    belief = ct.Belief([[8.0, 7.0, 3.0]], variances=[[0.0, 1.0, 4.0]])  # bounds 8, 7 + alpha, 3 + 2 alpha
    for alpha, best in [(0, 0), (0.9, 0), (1.1, 1), (3.9, 1), (4.1, 2)]:
        assert ct.ucb(belief, alpha).tolist() == np.eye(3)[best].tolist()
    assert ct.ucb(belief.without([2]), 100).argmax() == 1


@pytest.mark.parametrize(("at", "values"), [([], []), ([0], [9.0]), ([1, 1, 0], [4.0, 5.0, 8.0])])
def test_thompson_picks_each_of_two_arms_as_often_as_the_normal_integral_says(at, values):
    belief = ridge(at, values).without([2, 3])
    mean, covariance = posterior(at, values)
    spread = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    chance = norm.cdf((mean[0] - mean[1]) / spread)
    n = 100_000
    found = ct.thompson(belief, n, random_state=5)
    assert found[0] == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / n) + 1e-9)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    wider = ct.thompson(belief, n, scale=3.0, random_state=5)
    assert wider[0] == pytest.approx(norm.cdf((mean[0] - mean[1]) / (3 * spread)), abs=0.007)
    assert ct.thompson(belief, 10, scale=0.0).tolist() == ct.epsilon_greedy(belief, 0).tolist()


def test_a_scale_of_two_is_the_same_draws_twice_as_far_from_the_mean():
    belief = ridge([0], [9.0]).without([1])
    draws = belief.mean + 2 * (belief.draw(500, 3) - belief.mean)
    draws[:, 1] = -np.inf
    expected = np.bincount(draws.argmax(axis=1), minlength=4) / 500
    assert ct.thompson(belief, 500, 2.0, 3).tolist() == expected.tolist()
    by_a_thousand = 1000 * ct.thompson(belief)  # unless told otherwise
    assert by_a_thousand == pytest.approx(by_a_thousand.round(), abs=1e-9)


def test_thompson_over_samples_counts_in_how_many_each_title_is_the_best():
    means = np.array([[9.0, 1, 5], [2, 8, 5], [9, 3, 5], [9, 1, 10]])
    assert ct.thompson(ct.Belief(means), 40_000, random_state=0) == pytest.approx([0.5, 0.25, 0.25], abs=0.01)


def test_what_is_chosen_is_drawn_by_its_probability_and_the_same_seed_repeats_it():
    belief = ridge([0], [9.0])
    probabilities = ct.thompson(belief, 50, random_state=1)
    assert probabilities.tolist() == ct.thompson(belief, 50, random_state=1).tolist()
    rng, again = np.random.default_rng(2), np.random.default_rng(2)
    picks = [ct.choose(probabilities, rng) for _ in range(4000)]
    assert picks[:5] == [ct.choose(probabilities, again) for _ in range(5)]
    assert all(propensity == probabilities[at] for at, propensity in picks)
    counts = np.bincount([at for at, _ in picks], minlength=4) / 4000
    assert counts == pytest.approx(probabilities, abs=0.035)


def regret(policy, seed, rounds=250):
    """(regret in the first half, in the second) on twenty titles with three factors, whose best is shown or missed."""
    rng = np.random.default_rng(seed)
    titles, truth = rng.normal(size=(20, 3)), rng.normal(size=3)
    expected, at, values, lost = titles @ truth, [], [], []
    for _ in range(rounds):
        belief = ct.Belief.ridge(titles, np.ones(3), np.array(at, dtype=int), np.array(values), 1.0)
        title, _ = ct.choose(policy(belief, rng), rng)
        at.append(title)
        values.append(expected[title] + rng.normal())
        lost.append(expected.max() - expected[title])
    return sum(lost[: rounds // 2]), sum(lost[rounds // 2 :])


@pytest.mark.parametrize(
    "policy",
    [lambda belief, rng: ct.thompson(belief, 1, random_state=rng), lambda belief, _: ct.ucb(belief, 2)],
    ids=["Thompson", "UCB"],
)
def test_regret_on_a_planted_bandit_flattens_where_that_of_random_choice_does_not(policy):
    found = np.array([regret(policy, seed) for seed in range(6)])
    chance = np.array([regret(lambda belief, _: ct.epsilon_greedy(belief, 1), seed) for seed in range(6)])
    assert (found[:, 1] < 0.12 * chance[:, 1]).all()  # a fifth at random would pay 0.2
    assert found[:, 1].sum() < 0.5 * found[:, 0].sum()  # of greedy choice it is 0.84, of a fixed share 0.9
    assert 0.8 < chance[:, 1].sum() / chance[:, 0].sum() < 1.25
    always_explores = np.array([regret(lambda belief, _: ct.epsilon_greedy(belief, 0.2), seed) for seed in range(6)])
    assert always_explores[:, 1].sum() > 3 * found[:, 1].sum()  # a fixed share goes on paying


# ---- What a policy is worth ----

EXPECTED = np.array([[8.0, 3.0, 5.0], [2.0, 9.0, 6.0]])  # two viewers, three titles; each rating is as expected
LOGGING = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
TARGET = np.array([[0.1, 0.2, 0.7], [0.9, 0.1, 0.0]])
VALUE = (TARGET * EXPECTED).sum(axis=1).mean()


def all_logs(logging, n_each=2):
    """(probability, log) of every log in which each viewer is shown so many titles, one after the other."""
    rows = np.repeat(np.arange(2), n_each)
    for cols in itertools.product(range(3), repeat=len(rows)):
        p = logging[rows, cols]
        if p.all():
            yield p.prod(), ct.PolicyLog(rows, np.array(cols), EXPECTED[rows, cols], p)


def test_inverse_propensities_and_the_doubly_robust_are_unbiased_by_the_sum_over_all_logs():
    wrong = np.array([[5.0, 5.0, 0.0], [9.0, 1.0, 3.0]])
    logs = list(all_logs(LOGGING))
    assert sum(p for p, _ in logs) == pytest.approx(1)
    assert sum(p * ct.ips(log, TARGET)[0] for p, log in logs) == pytest.approx(VALUE, abs=1e-12)
    assert sum(p * ct.doubly_robust(log, TARGET, wrong)[0] for p, log in logs) == pytest.approx(VALUE, abs=1e-12)
    plain = sum(p * log.rewards.mean() for p, log in logs)
    assert plain == pytest.approx((LOGGING * EXPECTED).sum(axis=1).mean())  # the policy that was there, not this one


def test_a_perfect_model_leaves_the_doubly_robust_only_the_choice_of_viewers():
    assert {round(ct.doubly_robust(log, TARGET, EXPECTED)[0], 9) for _, log in all_logs(LOGGING)} == {round(VALUE, 9)}


def test_the_standard_errors_are_those_of_repeated_logs():
    rng = np.random.default_rng(0)
    found = {"ips": [], "snips": [], "dr": []}
    for _ in range(600):
        rows = rng.integers(0, 2, 400)
        cols = (rng.random((400, 1)) > LOGGING[rows].cumsum(axis=1)).sum(axis=1)
        log = ct.PolicyLog(rows, cols, EXPECTED[rows, cols] + rng.normal(size=400), LOGGING[rows, cols])
        found["ips"].append(ct.ips(log, TARGET))
        found["snips"].append(ct.snips(log, TARGET))
        found["dr"].append(ct.doubly_robust(log, TARGET, EXPECTED))
    for name, pairs in found.items():
        values, errors = np.array(pairs).T
        assert values.mean() == pytest.approx(VALUE, abs=0.06), name
        assert values.std() == pytest.approx(errors.mean(), rel=0.1), name
    assert np.std(found["dr"], axis=0)[0] < np.std(found["ips"], axis=0)[0]


def test_values_and_errors_of_two_entries_by_hand():
    log = ct.PolicyLog([0, 1], [0, 1], [4.0, 1.0], [0.5, 0.25])
    target = [[0.5, 0.5], [0.25, 0.75]]  # weights 1 and 3
    assert log.weights(target).tolist() == [1, 3]
    assert ct.ips(log, target) == pytest.approx((3.5, 0.5))  # 4 and 3
    assert ct.snips(log, target) == pytest.approx((7 / 4, np.sqrt((9 / 4) ** 2 + (9 / 4) ** 2) / 4))
    predicted = [[2.0, 4.0], [0.0, 4.0]]  # expected 3 and 3, off by 2 and -3
    assert ct.doubly_robust(log, target, predicted) == pytest.approx((np.mean([5, -6]), 11 / 2))


def test_the_self_normalised_mean_of_cells_by_hand():
    """Seen for sure, and half of the time: weights 1 and 2, of which the first could not have been otherwise."""
    assert ct.cells_mean([3.0, 6.0], [1.0, 0.5]) == pytest.approx((5, np.sqrt(0.5 * (2 * 1) ** 2) / 3))
    assert ct.cells_mean([3.0, 6.0], [1.0, 0.5], 4) == pytest.approx((15 / 4, np.sqrt(0.5 * 12**2) / 4))


def test_positions_of_a_log_may_be_large_and_propensities_small():
    log = ct.PolicyLog([10**9], [10**12], [5.0], [1e-100])
    assert (log.rows[0], log.cols[0], len(log)) == (10**9, 10**12, 1)
    assert len(ct.PolicyLog([0], [0], [1e100], [1.0])) == 1
    with pytest.raises(ValueError, match="propensities must be above 0"):
        ct.PolicyLog([0], [0], [5.0], [0.9e-100])


def test_the_self_normalised_value_stays_within_the_rewards_and_needs_an_overlap():
    for _, log in all_logs(LOGGING):
        met = log.rewards[log.weights(TARGET) > 0]
        if len(met):
            assert met.min() - 1e-12 <= ct.snips(log, TARGET)[0] <= met.max() + 1e-12
    outside = [ct.ips(log, TARGET)[0] for _, log in all_logs(LOGGING)]
    assert max(outside) > EXPECTED.max()  # which that of plain weights may leave
    log = ct.PolicyLog([1], [2], [6.0], [0.3])
    with pytest.raises(ValueError, match="target must show something that the log has"):
        ct.snips(log, TARGET)
    assert ct.ips(log, TARGET)[0] == 0
    assert np.isnan(ct.ips(log, TARGET)[1])  # of one entry nobody knows the error


def test_replay_is_unbiased_on_uniform_logs_by_the_sum_over_all_of_them():
    uniform, wanted = np.full((2, 3), 1 / 3), [2, 0]
    total = mass = 0.0
    for p, log in all_logs(uniform):
        if (log.cols == np.take(wanted, log.rows)).any():
            total, mass = total + p * ct.replay(log, lambda row, kept: wanted[row])[0], mass + p
    assert total / mass == pytest.approx(EXPECTED[[0, 1], wanted].mean(), abs=1e-12)


def test_replay_gives_a_policy_that_learns_the_history_that_it_would_have_had():
    log = ct.PolicyLog([0] * 5, [1, 2, 1, 2, 0], [4.0, 7.0, 5.0, 8.0, 1.0], [1 / 3] * 5)
    seen = []

    def policy(row, kept):
        seen.append(list(kept))
        return 1 if not kept else 2

    assert ct.replay(log, policy) == pytest.approx((np.mean([4, 7, 8]), np.std([4, 7, 8], ddof=1) / np.sqrt(3)))
    assert seen[:3] == [[], [(0, 1, 4.0)], [(0, 1, 4.0), (0, 2, 7.0)]]


def test_replay_refuses_logs_that_were_not_drawn_uniformly_and_policies_that_match_nothing():
    log = ct.PolicyLog([0, 0], [1, 2], [4.0, 7.0], [0.3, 0.2])
    with pytest.raises(ValueError, match=r"log must be drawn uniformly.*0\.2 to 0\.3; use ips or snips"):
        ct.replay(log, lambda row, kept: 1)
    log = ct.PolicyLog([0, 0], [1, 2], [4.0, 7.0], [1e-4, 1.00001e-4])  # of so small chances too, by their ratio
    with pytest.raises(ValueError, match="log must be drawn uniformly"):
        ct.replay(log, lambda row, kept: 1)
    log = ct.PolicyLog([0, 0], [1, 2], [4.0, 7.0], [0.2, 0.2])
    with pytest.raises(ValueError, match="policy must match an entry of the log, got none of 2"):
        ct.replay(log, lambda row, kept: 0)
    with pytest.raises(ValueError, match="the answer of policy must be a whole number, got"):
        ct.replay(log, lambda row, kept: 0.5)


def test_the_mean_of_all_cells_from_those_seen_is_unbiased_by_the_sum_over_what_may_be_seen():
    values, p = np.array([8.0, 3.0, 5.0, 9.0]), np.array([0.9, 0.2, 0.5, 0.7])
    total = plain = variance = estimated = 0.0
    for seen in itertools.product([False, True], repeat=4):
        seen = np.array(seen)
        chance = np.where(seen, p, 1 - p).prod()
        if seen.any():
            found, error = ct.cells_mean(values[seen], p[seen], n_cells=4)
            total, plain = total + chance * found, plain + chance * values[seen].mean()
            variance, estimated = variance + chance * found**2, estimated + chance * error**2
            assert values[seen].min() <= ct.cells_mean(values[seen], p[seen])[0] <= values[seen].max()
    assert total == pytest.approx(values.mean(), abs=1e-12)
    assert variance - total**2 == pytest.approx(estimated, abs=1e-12)
    assert plain > values.mean() + 0.3  # what is liked is seen more


# ---- Titles drawn without replacement ----


def by_permutations(weights, n):
    found = np.zeros(len(weights))
    for order in itertools.permutations(range(len(weights)), n):
        chance, left = 1.0, sum(weights)
        for i in order:
            chance, left = chance * weights[i] / left, left - weights[i]
        found[list(order)] += chance
    return found


@pytest.mark.parametrize("weights", [[1, 2, 3], [5, 1, 1, 1, 0.01], [1, 1, 1, 1], [100, 90, 1, 2, 0.5, 3]])
def test_the_chances_of_being_drawn_are_those_of_all_permutations(weights):
    for n in range(1, len(weights) + 1):
        assert ct.inclusion_probabilities(weights, n) == pytest.approx(by_permutations(weights, n), abs=1e-9)


def test_the_chances_of_many_sum_to_how_many_are_drawn_and_weight_0_is_never_drawn():
    weights = np.random.default_rng(1).lognormal(0, 2, 300)
    weights[7] = 0
    found = ct.inclusion_probabilities(weights, 40)
    assert found.sum() == pytest.approx(40, abs=1e-9)
    assert found[7] == 0
    order = np.argsort(weights)
    assert (np.diff(found[order]) >= -1e-12).all()
    assert ct.inclusion_probabilities([0, 3.0, 1.0], 2).tolist() == [0, 1, 1]


@pytest.mark.parametrize(("titles", "n"), [(50, 1), (10, 9), (340, 272), (700, 489)])
def test_titles_of_one_weight_have_one_chance(titles, n):
    assert ct.inclusion_probabilities(np.ones(titles), n) == pytest.approx(n / titles, abs=1e-12)


def test_numbers_of_small_kinds_are_counted_in_full():
    assert ct.inclusion_probabilities(np.array([1, 2, 3], np.int8), np.uint8(2)) == pytest.approx(
        by_permutations([1, 2, 3], 2), abs=1e-12
    )
    for epsilon in (np.float16(0.1), np.float32(0.1)):
        assert ct.choose(ct.epsilon_greedy(ridge(), epsilon), np.random.default_rng(0))[1] > 0
    belief = ct.Belief(np.array([[1, 2, 3]]), np.full((1, 3, 1), 100, dtype=np.int8), np.ones((1, 3), dtype=int))
    assert belief.sd == pytest.approx(np.sqrt(100**2 + 1))
    assert ct.thompson(belief, 50).sum() == pytest.approx(1)


@pytest.mark.parametrize("spread", [1e-30, 1e-90, 1e-100])
def test_weights_far_apart_are_drawn_one_after_the_other(spread):
    found = ct.inclusion_probabilities([1, 3 * spread, spread, 0.5], 3)
    assert found == pytest.approx([1, 0.75, 0.25, 1], abs=1e-12)


def test_what_is_given_is_copied():
    means, rows, heard = np.array([[1.0, 2.0]]), np.array([0, 0]), []
    belief = ct.Belief(means)
    log = ct.PolicyLog(rows, [0, 1], [5.0, 7.0], [0.5, 0.5])
    means[:], rows[:] = 99, 1
    assert belief.mean.tolist() == [1, 2]
    assert log.rows.tolist() == [0, 0]

    def policy(row, kept):
        heard.append(len(kept))
        kept.append((0, 0, 100.0))
        return 0

    assert ct.replay(log, policy)[0] == 5
    assert heard == [0, 1]


def test_of_a_single_entry_nobody_knows_the_error():
    log = ct.PolicyLog([0], [1], [5.0], [0.5])
    for value, error in (ct.ips(log, [[0.5, 0.5]]), ct.snips(log, [[0.5, 0.5]]), ct.cells_mean([5.0], [0.5])):
        assert value == pytest.approx(5)
        assert np.isnan(error)


def test_the_compiled_loop_is_the_one_to_be_read():
    w, times, steps = np.array([1.0, 0.4, 0.02]), np.array([0.3, 2.0]), np.array([0.1, 0.7])
    slow = policies._among_first.py_func(w, 2, times, steps)
    assert policies._among_first(w, 2, times, steps) == pytest.approx(slow, abs=1e-15)


# ---- Errors ----


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (([0], [1], [5.0], [0.0]), r"propensities must be above 0 .*and at most 1, got 0 at entry 0"),
        (([0], [1], [5.0], [1.5]), r"propensities must be above 0 .*and at most 1, got 1\.5"),
        (([0], [1], [5.0], [np.nan]), "propensities must be an array of finite numbers.*got 1 that are NaN"),
        (([0], [1], [np.nan], [0.5]), "rewards must be an array of finite numbers"),
        (([0], [1], [5.0], [1e-300]), "propensities must be above 0 .*got 1e-300"),
        (([0], [1], [1e200], [0.5]), r"rewards must not go beyond 1e\+100"),
        (([0], [1], [5.0, 6.0], [0.5]), "rewards needs 1 entries, got 2"),
        (([0], [1, 2], [5.0], [0.5]), "rows and cols must be pairs"),
        (([-1], [1], [5.0], [0.5]), "rows must hold positions"),
        (([], [], [], []), "got an empty log"),
    ],
)
def test_a_log_refuses_what_cannot_have_been(given, words):
    with pytest.raises(ValueError, match=words):
        ct.PolicyLog(*given)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ([[0.5, 0.4]], r"target must be probabilities from 0 that sum to 1, got a sum of 0\.9"),
        ([[1.5, -0.5]], r"target must be probabilities from 0 that sum to 1.*smallest -0\.5"),
        ([[np.nan, 1.0]], "target must be an array of finite numbers"),
        ([[1.0]], "cols must hold positions from 0 to 0, got 1 to 1"),
        ([[0.5, 0.5], [0.7, 0.7], [0.5, 0.4]], r"got a sum of 1\.4, the smallest 0\.4"),  # the furthest from 1
    ],
)
def test_a_target_that_is_no_policy_is_refused(target, words):
    log = ct.PolicyLog([0], [1], [5.0], [0.5])
    for estimate in (ct.ips, ct.snips, lambda *given: ct.doubly_robust(*given, np.ones((1, 2)))):
        with pytest.raises(ValueError, match=words):
            estimate(log, target)


def test_rows_and_columns_of_a_target_are_not_taken_for_each_other():
    log = ct.PolicyLog([1], [0], [5.0], [0.5])
    with pytest.raises(ValueError, match="rows must hold positions from 0 to 0, got 1 to 1"):
        log.weights([[0.2, 0.3, 0.5]])
    assert ct.PolicyLog([2], [0], [5.0], [0.5]).weights([[1.0], [1.0], [1.0]]).tolist() == [2]


def test_what_is_wrong_with_a_choice_is_said():
    with pytest.raises(
        ValueError, match=r"probabilities must be probabilities from 0 that sum to 1, got a sum of 1\.1"
    ):
        ct.choose([0.5, 0.6], 0)
    with pytest.raises(ValueError, match="epsilon must be at most 1, got 2"):
        ct.epsilon_greedy(ridge(), 2)
    everything = ridge().without([0, 1, 2, 3])
    for policy in (lambda b: ct.epsilon_greedy(b, 0.1), lambda b: ct.ucb(b, 1), ct.thompson):
        with pytest.raises(ValueError, match="belief must have a title that may be shown, got all 4 seen"):
            policy(everything)
    with pytest.raises(ValueError, match="weights must be from 0, and 3 or more of them above 0"):
        ct.inclusion_probabilities([1.0, 0.0, 2.0], 3)
    with pytest.raises(ValueError, match="weights must be 0 or at least 1e-100 of the largest, got 1e-300 of it"):
        ct.inclusion_probabilities([1.0, 1e-300, 0.5], 2)
    with pytest.raises(ValueError, match=r"alpha must not go beyond 1e\+100"):
        ct.ucb(ridge(), 1e308)
    with pytest.raises(ValueError, match=r"means must not go beyond 1e\+100"):
        ct.Belief([[1e308, 1.0]])
    with pytest.raises(ValueError, match="predicted must be 2 x 3, as target, got"):
        ct.doubly_robust(ct.PolicyLog([0], [1], [5.0], [0.5]), TARGET, np.ones((2, 2)))


def test_draws_that_would_fill_the_machine_are_refused_by_name(table, monkeypatch):
    viewer = ct.ALS(4).fit(table).viewer(101)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 5 * 3)
    assert ct.inclusion_probabilities([4, 3, 2, 1], 3).sum() == pytest.approx(3)
    with pytest.raises(MemoryError, match="a belief needs a dense 5 x 4 table"):
        ct.Belief.of(viewer)
    with pytest.raises(MemoryError, match="so many draws needs a dense 4 x 4 table"):
        ridge().draw(4)
    with pytest.raises(MemoryError, match="drawing 3 of 5 titles needs a dense 6 x 3 table"):
        ct.inclusion_probabilities([5, 4, 3, 2, 1], 3)
