"""Kept samples by themselves: what each part of `posterior` says, against plain twins and cases by hand."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import norm
from test_bayes import crossed

from content_table_parts import bayes, posterior, solvers
from content_table_parts.interrupts import OutOfTime, in_time, whole_fits

# ---- The unit, and what is refused ----


@pytest.mark.parametrize("size", [1e-149, 0.5, 1.0, 3e7, 1e149])
def test_the_unit_is_the_standard_deviation(size):
    y = np.array([-3.0, 1.0, 1.0, 5.0]) * size  # off their mean by -4, 0, 0 and 4
    assert posterior.unit_of(y, (0.0, 9 * size)) == pytest.approx(np.sqrt(8) * size, rel=1e-12)


@pytest.mark.parametrize(("size", "got"), [(1e-300, "1e-300"), (1e200, r"1e\+200"), (8e307, r"8e\+307")])
def test_of_ratings_of_any_size_the_refusal_has_the_standard_deviation(size, got):
    with pytest.raises(ValueError, match=f"got {got}; divide them all by one number, and the scale"):
        posterior.unit_of(np.array([0.0, 2 * size, 0.0, 2 * size]), (0.0, size))


def test_of_equal_ratings_the_unit_is_a_millionth_of_the_scale_and_at_most_of_a_point():
    for scale, unit in (((0.0, 0.5), 0.5e-6), ((-3.0, -2.75), 0.25e-6), ((1.0, 10.0), 1e-6), ((-500.0, 500.0), 1e-6)):
        assert posterior.unit_of(np.full(3, 2.0), scale) == pytest.approx(unit, rel=1e-12)
    assert posterior.unit_of(np.zeros(3), (1.0, 10.0)) == pytest.approx(1e-6, rel=1e-12)
    nearly = np.array([2.0, 2.0 + 4e-6])  # further apart than that
    assert posterior.unit_of(nearly, (1.0, 10.0)) == pytest.approx(2e-6, rel=1e-6)


def test_units_are_allowed_up_to_their_limits():
    least, most = posterior.UNITS
    for unit, beyond in ((least, np.nextafter(2 * least, 0)), (most, np.nextafter(2 * most, np.inf))):
        assert posterior.unit_of(np.array([0.0, 2 * unit]), (0.0, unit)) == unit
        with pytest.raises(ValueError, match=r"1e-150 to 1e\+150"):
            posterior.unit_of(np.array([0.0, beyond]), (0.0, unit))


def test_the_feature_that_is_named_is_the_one_with_the_largest_value():
    names, at = ["year", "length", "age"], np.array([1, 2, 0, 1])
    posterior.check_features("item_features", names, at, np.array([100.0, -100.0, 0.0, 3.0]))
    for values, largest in (
        ([1.0, 200.0, 101.0, -300.0], "-300 of 'length'"),
        ([2.0, -101.0, 50.0, 9.0], "-101 of 'age'"),
        ([1e3, 1e4, 1e5, 0.0], "1e.05 of 'year'"),
        ([0.0, 0.0, 100.001, 0.0], "100 of 'year'"),
    ):
        with pytest.raises(ValueError, match=f"at most 100, got {largest}; standardise it"):
            posterior.check_features("item_features", names, at, np.array(values))


def test_the_memory_of_chains_and_of_samples_is_counted_over_all_blocks(monkeypatch):
    wide = bayes.one_hot(np.zeros(1, int), 3, sp.csr_array(np.ones((3, 4))))  # 3 rows, 7 features
    blocks = [wide, bayes.one_hot(np.zeros(1, int), 2)]  # and 2 rows, 2 features
    chains, samples = 8 * (1 + 5) * 9 * 4, 8 * (1 + 5) * 5 * 11
    for module, name, needed, message in (
        (solvers, "MAX_DENSE_BYTES", chains, "n_factors=5 with n_chains=4"),
        (posterior, "MAX_SAMPLE_BYTES", samples, r"n_factors=5 with 11 samples \(n_kept\) of 5 viewers and titles"),
    ):
        with monkeypatch.context() as less:
            less.setattr(module, name, needed)
            posterior.check_size(blocks, 5, 4, 11)
            less.setattr(module, name, needed - 1)
            with pytest.raises(MemoryError, match=message):
                posterior.check_size(blocks, 5, 4, 11)


def test_samples_may_take_4_gib_and_the_message_says_how_much_they_would():
    blocks = [bayes.one_hot(np.zeros(1, int), 2**10)]
    posterior.check_size(blocks, 1, 1, 2**18)  # 8 * 2 * 2^10 * 2^18 bytes: 4 GiB
    with pytest.raises(MemoryError, match=r"take 8\.0 GiB; the limit is 4 GiB"):
        posterior.check_size(blocks, 1, 1, 2**19)


# ---- A kept sample ----


@pytest.fixture(scope="module")
def partly():
    """(blocks, state) after some sweeps, of a table with a viewer, a title and a week that no rating has."""
    blocks, y = crossed(2, shape=(7, 6), n=9, week=6)
    assert all(len(np.unique(block.rows)) < block.table.shape[0] for block in blocks)
    chain = bayes.chain(blocks, y, 2, np.random.default_rng(0))
    for _ in range(5):
        state = next(chain)
    return blocks, state


def all_weights(blocks, state):
    """V of each block with all features, in the unit of the chain: of those without a rating the mean of the group."""
    found, at, group = [], 0, 0
    for block in blocks:
        V, column = np.zeros((len(state.V), block.table.shape[1])), 0
        for size in block.groups:
            for _ in range(size):
                if block.met[column]:
                    V[:, column] = state.V[:, at]
                    at += 1
                else:
                    V[:, column] = state.mean[:, group]
                column += 1
            group += 1
        found.append(V)
    return found


@pytest.mark.parametrize("unit", [1.0, 2.5])
def test_a_kept_sample_has_every_row_by_definition(partly, unit):
    blocks, state = partly
    sample, weights = posterior.keep(blocks, state, unit), all_weights(blocks, state)
    own = np.cumsum([0, *(len(block.groups) for block in blocks)])[:-1]
    for b, (block, V) in enumerate(zip(blocks, weights, strict=True)):
        nu = state.mean[1:, own]
        for row in range(block.table.shape[0]):
            x = block.table[[row]].toarray()[0]
            q = V[1:] @ x
            others = nu.sum(axis=1) - nu[:, b]
            bias = V[0] @ x - state.mean[0, own[b]]
            bias += sum(V[1:, i] @ V[1:, j] * x[i] * x[j] for i, j in itertools.combinations(range(len(x)), 2))
            bias += (q - nu[:, b]) @ others
            np.testing.assert_allclose(
                sample.rows[b][row], [unit * bias, *(np.sqrt(unit) * (q - nu[:, b]))], atol=1e-12
            )
        scale = np.array([unit, *[np.sqrt(unit)] * 2])
        np.testing.assert_allclose(sample.weights[b], V.T * scale, atol=1e-12)
        np.testing.assert_allclose(sample.prior[b, 0], state.mean[:, own[b]] * scale, atol=1e-12)
        np.testing.assert_allclose(sample.prior[b, 1], state.precision[:, own[b]] / scale**2, rtol=1e-12)
    pairs = sum(one @ other for one, other in itertools.combinations(state.mean[1:, own].T, 2))
    assert sample.level == pytest.approx(unit * (state.level[0] + state.mean[0, own].sum() + pairs), abs=1e-12)
    assert sample.noise == pytest.approx(unit / np.sqrt(state.level[1]), rel=1e-12)
    if unit == 1:
        assert posterior.keep(blocks, state).level == sample.level


def test_a_row_of_which_nothing_is_known_is_kept_as_zeros():
    blocks, y = crossed(2, shape=(7, 6), n=9, week=6, features=False)
    chain = bayes.chain(blocks, y, 2, np.random.default_rng(0))
    sample = posterior.keep(blocks, [next(chain) for _ in range(3)][-1])
    for block, rows in zip(blocks, sample.rows, strict=True):
        rated = np.isin(np.arange(len(rows)), block.rows)
        assert not rated.all()
        np.testing.assert_allclose(rows[~rated], 0, atol=1e-12)
        assert (np.abs(rows[rated]) > 1e-9).all()


def test_keeping_a_sample_leaves_the_chain_as_it_is(partly):
    blocks, state = partly
    before = [each.copy() for each in state]
    sample = posterior.keep(blocks, state, 3.0)
    for each in (*sample.rows, *sample.weights, sample.prior):
        each[:] = 7.0
    assert all(np.array_equal(one, other) for one, other in zip(state, before, strict=True))


# ---- Which samples are kept ----


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_of_a_stream_of_any_length_as_many_as_asked_for_are_kept_evenly_spaced(n):
    made = []
    thinned = posterior.Thinned(n)
    for met in range(12 * n):
        chosen = thinned.chosen()
        assert len(chosen) == min(n, met)
        assert len(thinned.kept) < 2 * n
        step = next(2**power for power in range(9) if met // 2**power < 2 * n)
        kept = list(range(step, met + 1, step))
        assert thinned.kept == kept
        spaced = [kept[round(each)] for each in np.linspace(0, len(kept) - 1, min(n, len(kept)))]
        assert chosen == spaced
        if n > 1 and chosen:
            assert (chosen[0], chosen[-1]) == (kept[0], kept[-1])
        thinned.offer(lambda number=met + 1: made.append(number) or number)
        assert (met + 1 in made) == ((met + 1) % step == 0)  # the others cost nothing


def chain_of(levels, alpha):
    """A chain whose states have these levels, over one block of two rows and no factors."""
    for level in levels:
        yield bayes.State(None, np.zeros((1, 2)), None, np.zeros((1, 1)), np.ones((1, 1)), np.array([level, alpha]))


@pytest.fixture
def two_chains():
    blocks = [bayes.one_hot(np.array([0, 1]), 2)]
    return [chain_of(itertools.count(1.0), 4.0), chain_of(itertools.count(101.0), 0.25)], blocks


@pytest.mark.parametrize(
    ("n_sweeps", "burn_in", "n_kept", "expected"),
    [
        (5, 2, 6, [3, 4, 5, 103, 104, 105]),
        (5, 0, 50, [1, 2, 3, 4, 5, 101, 102, 103, 104, 105]),
        (5, 4, 50, [5, 105]),
        (10, 2, 3, [6, 10, 106, 110]),  # two of each chain: of eight every second, and of these every second
        (3, 1, 1, [3, 103]),
    ],
)
def test_samples_are_those_after_burn_in_one_chain_after_another(two_chains, n_sweeps, burn_in, n_kept, expected):
    chains, blocks = two_chains
    samples, history = posterior.sampled(chains, blocks, 2.0, range(1, n_sweeps + 1), burn_in, n_kept)
    assert [sample.level / 2.0 for sample in samples] == expected
    assert history == [{"epoch": at, "noise_1": 1.0, "noise_2": 4.0} for at in range(1, n_sweeps + 1)]
    assert [sample.noise for sample in samples] == [1.0] * (len(samples) // 2) + [4.0] * (len(samples) // 2)


def test_sweeps_end_when_their_time_is_up(two_chains):
    chains, blocks = two_chains
    with in_time(0.0), pytest.raises(OutOfTime):
        posterior.sampled(chains, blocks, 1.0, range(1, 9), 2, 9)


def interrupted(after):
    yield from range(1, after + 1)
    raise KeyboardInterrupt


def test_ctrl_c_keeps_samples_where_there_are_any_and_half_a_fit_is_one(two_chains):
    chains, blocks = two_chains
    with pytest.raises(KeyboardInterrupt):
        posterior.sampled(chains, blocks, 1.0, interrupted(2), 2, 9)
    with whole_fits(), pytest.raises(KeyboardInterrupt):
        posterior.sampled(chains, blocks, 1.0, interrupted(3), 2, 9)
    with pytest.warns(UserWarning, match="stopped by the keyboard after 3 sweeps"):
        samples, history = posterior.sampled(chains, blocks, 1.0, interrupted(3), 2, 9)
    assert [sample.level for sample in samples] == [8.0, 108.0]  # the sixth to the eighth of each, two burnt
    assert len(history) == 3


# ---- What a model keeps of its samples ----


@pytest.mark.parametrize(("implicit", "described"), list(itertools.product((False, True), repeat=2)))
def test_what_is_learnt_has_its_own_name_and_is_of_its_own_features(implicit, described):
    rng, sizes, n_samples, k = np.random.default_rng(0), (4, 3), 5, 2
    table = [sp.csr_array(np.ones((size, number))) for size, number in zip(sizes, (2, 6), strict=True)]
    sets = [sp.csr_array(np.ones((size, other))) for size, other in zip(sizes, sizes[::-1], strict=True)]
    blocks = [
        bayes.one_hot(np.zeros(1, int), size, *[own] * implicit, *[about] * described)
        for size, own, about in zip(sizes, sets, table, strict=True)
    ]
    blocks += [bayes.one_hot(np.zeros(1, int), size) for size in (2, 1)]
    samples = [
        posterior.Sample(
            [rng.normal(size=(block.table.shape[0], 1 + k)) for block in blocks],
            [rng.normal(size=(block.table.shape[1], 1 + k)) for block in blocks],
            rng.normal(size=(2, 4, 1 + k)),
            *rng.normal(size=2),
        )
        for _ in range(n_samples)
    ]
    samples = [sample._replace(prior=sample.prior.transpose(1, 0, 2)) for sample in samples]
    found = posterior.learnt(samples, blocks, implicit)
    assert found["noises_"].tolist() == [sample.noise for sample in samples]
    assert found["priors_"].shape == (4, 2, n_samples, 1 + k)
    for s, sample in enumerate(samples):
        assert np.array_equal(found["priors_"][:, :, s], sample.prior)
        sides = ("user", "rated", 4, 3, 2), ("item", "rater", 3, 4, 6)
        for at, (side, met, own, n_met, n_about) in enumerate(sides):
            assert np.array_equal(found[f"{side}_biases_"][:, s], sample.rows[at][:, 0])
            factors = posterior.by_sample(found[f"{side}_factors_"], n_samples)
            np.testing.assert_allclose(factors[:, s], sample.rows[at][:, 1:], rtol=1e-14)
            after = own + n_met * implicit
            for name, there, start, end in (
                (f"{met}_weights_", implicit, own, own + n_met),
                (f"{side}_feature_weights_", described, after, after + n_about),
            ):
                if there:
                    assert np.array_equal(found[name][:, s], sample.weights[at][start:end])
                else:
                    assert found[name] is None
        weeks = posterior.by_sample(found["context_factors_"], n_samples)[:, s]
        rows = np.vstack([sample.rows[2], np.zeros((1, 1 + k)), sample.rows[3], np.zeros((1, 1 + k))])
        np.testing.assert_allclose(np.column_stack([found["context_biases_"][:, s], weeks]), rows, rtol=1e-14)
    without = posterior.learnt(samples, blocks[:2], implicit)
    assert without["context_biases_"] is without["context_factors_"] is None


def test_a_product_of_kept_factors_is_the_mean_of_the_products_of_the_samples():
    rng = np.random.default_rng(1)
    samples = [posterior.Sample([rng.normal(size=(n, 3)) for n in (4, 5)], [], None, 0.0, 1.0) for _ in range(6)]
    (_, P), (_, Q) = (posterior._stacked(samples, at) for at in range(2))
    products = [sample.rows[0][:, 1:] @ sample.rows[1][:, 1:].T for sample in samples]
    np.testing.assert_allclose(P @ Q.T, np.mean(products, axis=0), atol=1e-12)


# ---- A cell ----


def parts_of(rng, n_cells, n_samples, k, known=0.5, n_blocks=3):
    """Rows of three blocks that some cells have, about half of them unknown."""
    return [
        posterior.Part(
            rng.normal(size=(n_cells, n_samples)),
            rng.normal(size=(n_cells, n_samples, k)),
            rng.random(n_cells) > known,
            np.stack([rng.normal(size=(n_samples, 1 + k)), rng.uniform(0.5, 3, (n_samples, 1 + k))]),
        )
        for _ in range(n_blocks)
    ]


@pytest.mark.parametrize("k", [0, 1, 3])
def test_a_cell_is_the_formula_and_its_variance_what_unknown_features_spread(k):
    rng, n_cells, n_samples = np.random.default_rng(k), 12, 4
    parts, levels = parts_of(rng, n_cells, n_samples, k), rng.normal(size=n_samples)
    means, variances = posterior.cell_draws(levels, parts)
    assert means.shape == variances.shape == (n_cells, n_samples)
    for cell, s in np.ndindex(n_cells, n_samples):

        def prediction(moved, cell=cell, s=s):  # the own feature of each row is so far from its mean
            bias = levels[s] + sum(part.biases[cell, s] for part in parts) + sum(each[0] for each in moved)
            r = [part.factors[cell, s] + each[1:] for part, each in zip(parts, moved, strict=True)]
            nu = [part.prior[0, s, 1:] for part in parts]
            # biases hold r . nu of the other blocks and what a row has within itself, as the features beside its own
            bias += sum(each[1:] @ part.factors[cell, s] for part, each in zip(parts, moved, strict=True))
            bias += sum(moved[a][1:] @ nu[b] for a, b in itertools.permutations(range(3), 2))
            return bias + sum(one @ other for one, other in itertools.combinations(r, 2))

        still = [np.zeros(1 + k)] * 3
        plain = prediction(still)
        assert means[cell, s] == pytest.approx(plain, abs=1e-12)

        def at(moves, still=still):  # with some numbers one off their mean
            moved = [each.copy() for each in still]
            for block, f in moves:
                moved[block][f] = 1.0
            return prediction(moved)

        free = [(b, f) for b in range(3) if parts[b].unknown[cell] for f in range(1 + k)]
        spread = {each: 1 / parts[each[0]].prior[1, s, each[1]] for each in free}
        expected = sum((at([each]) - plain) ** 2 * spread[each] for each in free)
        for one, other in itertools.combinations(free, 2):
            together = at([one, other]) - at([one]) - at([other]) + plain
            expected += together**2 * spread[one] * spread[other]
        assert variances[cell, s] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("cells", [1, 4])
def test_cells_are_looked_at_so_many_at_a_time_and_come_in_order(monkeypatch, cells):
    monkeypatch.setattr(posterior, "CELLS", cells)
    for n in range(14):
        sizes = []

        def both(one, other, sizes=sizes):
            sizes.append(len(one))
            return one + other, one - other

        a, b = np.arange(n), 10 * np.arange(n)
        total, difference = posterior.in_parts(both, a, b)
        assert np.array_equal(total, a + b)
        assert np.array_equal(difference, a - b)
        assert sizes == ([cells] * (n // cells) + [n % cells] * (n % cells > 0) if n else [0])
    (alone,) = posterior.in_parts(lambda one: (2 * one,), np.arange(9))
    assert np.array_equal(alone, 2 * np.arange(9))


# ---- Steps of the scale ----


def test_the_steps_are_the_distinct_ratings_up_to_a_hundred_of_them():
    rng = np.random.default_rng(0)
    for n in (1, 2, 99, 100):
        steps = np.sort(rng.normal(size=n))
        assert np.array_equal(posterior.rating_steps(rng.permutation(np.repeat(steps, 2))), steps)
    many = rng.uniform(2, 7, 101)
    steps = posterior.rating_steps(many)
    assert len(steps) == 100
    assert (steps[0], steps[-1]) == (many.min(), many.max())
    np.testing.assert_allclose(np.diff(steps), (many.max() - many.min()) / 99, rtol=1e-9)


def test_a_rating_counts_as_its_nearest_step_and_half_way_as_the_lower():
    steps = np.array([1.0, 2.0, 5.0])
    found = posterior.nearest_step(np.array([-9.0, 1.0, 1.49, 1.5, 1.51, 2.0, 3.5, 3.6, 5.0, 99.0]), steps)
    assert found.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    values = np.random.default_rng(0).uniform(0, 6, 200)
    nearest = np.abs(values[:, None] - steps).argmin(axis=1)
    assert np.array_equal(posterior.nearest_step(values, steps), nearest)


def test_without_a_spread_the_noise_is_normal():
    link = posterior.Link(np.zeros(0), np.zeros(0), 0.0)
    means, sd = np.array([1.0, -2.0, 0.0]), np.array([1.0, 0.5, 3.0])
    np.testing.assert_allclose(link.below(0.7, means, sd), norm.cdf(0.7, means, sd), rtol=1e-12)


@pytest.mark.parametrize("spread", [0.1, 0.3, 0.6])
def test_noise_of_a_spread_is_that_of_a_lognormal_deviation_with_the_same_mean_square(spread):
    link, z = posterior.Link(np.zeros(0), np.zeros(0), spread), np.linspace(-30, 30, 60_001)
    below = link.below(z, np.zeros(1), np.ones(1))
    middle, share = (z[1:] + z[:-1]) / 2, np.diff(below)
    assert share.sum() == pytest.approx(1, abs=1e-6)
    assert share @ middle == pytest.approx(0, abs=1e-6)
    assert share @ middle**2 == pytest.approx(1, abs=1e-4)  # the noise is as large as without a spread
    logs = np.linspace(-8, 8, 2001)  # of the standard deviation, in units of the spread
    weights = norm.pdf(logs) / norm.pdf(logs).sum()
    sd = np.exp(spread * logs)
    sd /= np.sqrt(weights @ sd**2)
    asked = np.array([-3.0, -1.5, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0])
    exact = (norm.cdf(asked[:, None] / sd) * weights).sum(axis=1)
    np.testing.assert_allclose(link.below(asked, np.zeros(1), np.ones(1)), exact, atol=0.03 * spread)
    shifted = link.below(3.0 + 2.0 * asked, np.full(1, 3.0), np.full(1, 2.0))
    np.testing.assert_allclose(shifted, link.below(asked, np.zeros(1), np.ones(1)), rtol=1e-12)


def test_three_noises_by_hand():
    # Gauss and Hermite: the logarithm is -sqrt 3, 0 and sqrt 3 spreads off with weights 1/6, 2/3 and 1/6.
    link, ratio = posterior.Link(np.zeros(0), np.zeros(0), np.log(2) / np.sqrt(3)), np.sqrt((1 / 4 + 4 * 1 + 4) / 6)
    expected = sum(w * norm.cdf(1.2 * ratio / size) for w, size in ((1 / 6, 0.5), (2 / 3, 1.0), (1 / 6, 2.0)))
    assert link.below(1.2, np.zeros(1), np.ones(1))[0] == pytest.approx(expected, rel=1e-12)


def test_probabilities_of_steps_are_those_between_the_thresholds_averaged_over_the_samples():
    rng = np.random.default_rng(0)
    means, variances = rng.normal(5, 2, (6, 4)), rng.uniform(0.5, 2, (6, 4))
    link = posterior.Link(np.array([1.0, 5.0, 9.0]), np.array([3.5, 6.0]), 0.0)
    chances = link.chances(means, variances)
    for cell in range(6):
        cdf = [np.mean(norm.cdf((end - means[cell]) / np.sqrt(variances[cell]))) for end in (3.5, 6.0)]
        np.testing.assert_allclose(chances[cell], [cdf[0], cdf[1] - cdf[0], 1 - cdf[1]], atol=1e-12)
    one = posterior.Link(np.array([4.0]), np.zeros(0), 0.3).chances(means, variances)
    assert np.array_equal(one, np.ones((6, 1)))


def plain_run(chances, share):
    first = last = int(np.argmax(chances))
    total = chances[first]
    while last - first + 1 < len(chances):
        left = chances[first - 1] if first else -1.0
        right = chances[last + 1] if last + 1 < len(chances) else -1.0
        if not abs(total + max(left, right) - share) < abs(total - share):
            break
        first, last, total = (first - 1, last, total + left) if left >= right else (first, last + 1, total + right)
    return first, last


@pytest.mark.parametrize("n_steps", [1, 2, 3, 10])
def test_the_likeliest_run_grows_by_the_likelier_neighbour_while_that_is_nearer(n_steps):
    rng = np.random.default_rng(n_steps)
    chances = rng.dirichlet(np.full(n_steps, 0.7), 60)
    for share in (0.01, 0.5, 0.8, 0.95, 0.999):
        first, last = posterior.likely_run(chances, share)
        runs = [plain_run(row, share) for row in chances]
        assert list(zip(first.tolist(), last.tolist(), strict=True)) == runs
        assert (first >= 0).all()
        assert (last < n_steps).all()


def test_where_neighbours_are_equally_likely_the_lower_joins_and_a_step_of_no_chance_never():
    first, last = posterior.likely_run(np.array([[0.25, 0.5, 0.25], [0.0, 1.0, 0.0], [0.0, 0.75, 0.25]]), 0.75)
    assert (first.tolist(), last.tolist()) == ([0, 1, 1], [1, 1, 1])
    # a half and three quarters are as near to five eighths: it stays at the shorter run
    first, last = posterior.likely_run(np.array([[0.5, 0.25, 0.25]]), 0.625)
    assert (first.tolist(), last.tolist()) == ([0], [0])


# ---- Ratings as the others predict them, and thresholds ----


def test_a_rating_left_out_is_predicted_as_by_the_other_ratings_alone():
    # y ~ N(theta, 1/2), theta ~ N(0, 4): given the others, theta is normal, and so is the rating.
    y, s2, prior = np.array([0.3, -0.8, 1.9, 0.6, 1.1]), 0.5, 4.0
    tight = 1 / prior + len(y) / s2
    theta = y.sum() / s2 / tight + np.random.default_rng(0).normal(size=100_000) / np.sqrt(tight)
    mean, sd = posterior.left_out(np.tile(theta, (5, 1)), np.full((5, len(theta)), s2), y)
    for at in range(5):
        rest = np.delete(y, at)
        tight = 1 / prior + len(rest) / s2
        assert mean[at] == pytest.approx(rest.sum() / s2 / tight, abs=0.02)
        assert sd[at] == pytest.approx(np.sqrt(s2 + 1 / tight), abs=0.02)


def test_samples_count_by_what_they_do_not_owe_to_the_rating_at_most_the_root_of_their_number():
    rng = np.random.default_rng(3)
    means, variances = rng.normal(0, 2, (30, 9)), rng.uniform(0.2, 3, (30, 9))
    values = rng.normal(0, 4, 30)
    mean, sd = posterior.left_out(means, variances, values)
    cut = 0
    for at in range(30):
        weights = 1 / norm.pdf(values[at], means[at], np.sqrt(variances[at]))
        most = weights.mean() * 3
        cut += (weights > most).sum()
        weights = np.minimum(weights, most) / np.minimum(weights, most).sum()
        assert mean[at] == pytest.approx(weights @ means[at], abs=1e-12)
        square = weights @ (means[at] ** 2 + variances[at])
        assert sd[at] == pytest.approx(np.sqrt(square - mean[at] ** 2), rel=1e-9)
    assert cut > 3
    far, wide = posterior.left_out(np.array([[0.0, 1.0]]), np.ones((1, 2)), np.array([1e4]))
    assert np.isfinite([far[0], wide[0]]).all()  # whose likelihoods are all 0 as floats


@pytest.mark.parametrize(("spread", "expected"), [(0.0, 0.0), (0.5, 0.5), (1.5, 0.8)])  # 0.8 is the widest tried
def test_the_spread_of_the_noise_is_found_where_it_was_put(spread, expected):
    rng, n = np.random.default_rng(1), 2000
    mean, sd = rng.normal(5, 1.5, n), rng.uniform(0.8, 1.2, n)
    logs = rng.normal(size=n) * spread
    y = mean + sd * np.exp(logs - spread**2) * rng.normal(size=n)  # of mean square sd^2
    values = np.clip(np.round(y), 2, 8)
    link = posterior.fitted_link(mean, sd, values, np.unique(values))
    assert abs(link.spread - expected) < 0.15
    if spread == expected:
        np.testing.assert_allclose(link.thresholds, np.arange(2.5, 8), atol=0.3)
    else:
        assert link.spread == expected


def test_the_link_is_the_one_of_all_spreads_by_which_the_ratings_are_likeliest():
    rng, n = np.random.default_rng(2), 150
    mean, sd, steps = rng.normal(0, 2, n), rng.uniform(0.4, 1.5, n), np.array([-3.0, -1.0, 0.0, 4.0])
    for noise in (rng.normal(size=n), rng.standard_t(3, n), rng.standard_cauchy(n)):
        values = steps[np.abs((mean + sd * noise)[:, None] - steps).argmin(axis=1)]
        link = posterior.fitted_link(mean, sd, values, steps)
        at, scores = np.searchsorted(steps, values), []
        shares = np.array([np.mean(values <= step) for step in steps[:-1]])
        for spread in np.arange(0, 0.85, 0.1):
            other = posterior._matched(posterior.Link(steps, steps[:0], float(spread)), shares, mean, sd)
            assert (np.diff(other.thresholds) > 0).all()
            expected = other.chances(mean[:, None], sd[:, None] ** 2)
            np.testing.assert_allclose(expected.mean(axis=0).cumsum()[:-1], shares, atol=1e-9)
            scores.append(np.log(np.maximum(expected[np.arange(n), at], 1e-12)).mean())
        assert link.spread == pytest.approx(0.1 * np.argmax(scores), abs=1e-12)
        assert np.array_equal(link.steps, steps)


def test_thresholds_are_found_however_far_apart_and_unsure_the_predictions_are():
    steps, values = np.array([1.0, 2.0, 3.0, 4.0]), np.repeat([1.0, 2.0, 3.0, 4.0], [1, 7, 7, 1])
    for mean, sd in ((np.repeat([0.0, 1e4], 8), np.ones(16)), (np.zeros(16), np.full(16, 100.0))):
        link = posterior.fitted_link(mean, sd, values, steps)
        expected = link.chances(mean[:, None], sd[:, None] ** 2).mean(axis=0)
        np.testing.assert_allclose(expected, [1 / 16, 7 / 16, 7 / 16, 1 / 16], atol=1e-9)
        assert link.thresholds[2] - link.thresholds[0] > 200


def test_a_step_without_a_rating_has_no_chance_wherever_it_stands():
    mean, sd = np.array([1.0, 2.0, 3.0, 3.0]), np.ones(4)
    link = posterior.fitted_link(mean, sd, np.array([2.0, 2.0, 4.0, 4.0]), np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    expected = link.chances(mean[:, None], np.ones((4, 1))).mean(axis=0)
    np.testing.assert_allclose(expected, [0, 0.5, 0, 0.5, 0], atol=1e-9)
    assert (np.diff(link.thresholds) >= 0).all()
    single = posterior.fitted_link(mean, sd, np.full(4, 2.0), np.array([2.0]))
    assert single.thresholds.tolist() == []
    assert single.spread == 0  # nothing speaks for another one


def test_ratings_that_no_link_makes_likely_cost_a_finite_score():
    mean, sd = np.array([0.0, 1000.0, 0.0, 1000.0]), np.full(4, 0.1)
    link = posterior.fitted_link(mean, sd, np.array([1.0, 2.0, 2.0, 1.0]), np.array([1.0, 2.0]))
    assert np.isfinite([*link.thresholds, link.spread]).all()


# ---- Somebody new ----


def side_of(seed, met, described, n=6, n_samples=5, k=2, d=4):
    """What made-up samples say of a side: with who met whom, and with features, where these are asked for."""
    rng = np.random.default_rng(seed)
    return posterior.Side(
        levels=rng.normal(size=n_samples),
        noises=rng.uniform(0.5, 2, n_samples),
        prior=np.stack([rng.normal(size=(n_samples, 1 + k)), rng.uniform(0.5, 3, (n_samples, 1 + k))]),
        others=rng.normal(size=(n_samples, k)),
        biases=rng.normal(size=(n, n_samples)),
        factors=rng.normal(size=(n, n_samples, k)),
        met=rng.normal(size=(n, n_samples, 1 + k)) if met else None,
        described=rng.normal(size=(d, n_samples, 1 + k)) if described else None,
        about=np.array([1.0, 0.0, -0.7, 2.0]) if described == 2 else None,
    )


def plain_row(side, at, s, own):
    """(bias, factors) of the new row in sample s, all pairs of its features one by one; `own` is its own feature."""
    features = [own]
    if side.met is not None:
        features += [side.met[row, s] / np.sqrt(len(at)) for row in at]
    if side.about is not None:
        features += [x * weights[s] for x, weights in zip(side.about, side.described, strict=True)]
    mu, nu = side.prior[0, s, 0], side.prior[0, s, 1:]
    r = sum(each[1:] for each in features) - nu
    bias = sum(each[0] for each in features) - mu + r @ side.others[s]
    return bias + sum(one[1:] @ other[1:] for one, other in itertools.combinations(features, 2)), r


@pytest.mark.parametrize("met", [False, True])
@pytest.mark.parametrize("described", [0, 1, 2])  # 1: the samples know features, and nothing is told of the newcomer
@pytest.mark.parametrize("at", [[], [4], [3, 0, 5], [1, 2, 0, 5, 4]])
def test_a_newcomer_is_the_ridge_regression_of_each_sample_by_definition(met, described, at):
    side = side_of(len(at), met, described)
    at, values = np.array(at, dtype=np.intp), np.linspace(2, -1, len(at))
    fold, asked = posterior.posterior_fold(side, at, values, 1.7), np.array([5, 0, 2])
    n_samples, k = side.others.shape
    found, spreads, rows = np.zeros((6, n_samples)), np.zeros((3, 3, n_samples)), []
    for s in range(n_samples):

        def predictions(own, s=s):
            bias, r = plain_row(side, at, s, own)
            return side.levels[s] + side.biases[:, s] + bias + side.factors[:, s] @ r

        start, precision = side.prior[:, s]
        plain = predictions(start)
        slopes = np.column_stack([predictions(start + one) - plain for one in np.eye(1 + k)])
        M = np.diag(precision) + slopes[at].T @ slopes[at] / side.noises[s] ** 2
        x = np.linalg.solve(M, slopes[at].T @ (values - plain[at]) / side.noises[s] ** 2)
        found[:, s] = plain + slopes @ x
        spreads[:, :, s] = slopes[asked] @ np.linalg.solve(M, slopes[asked].T)
        rows.append(plain_row(side, at, s, start + x))
    means, variances = fold.cover(asked)
    np.testing.assert_allclose(means, found[asked], atol=1e-9)
    np.testing.assert_allclose(variances, np.diagonal(spreads).T, atol=1e-9)
    roots = fold.roots(asked)
    assert roots.shape == (5, 3, 3)
    np.testing.assert_allclose(roots @ roots.transpose(0, 2, 1), spreads.transpose(2, 0, 1), atol=1e-9)
    np.testing.assert_allclose(fold.scores(), found.mean(axis=1), atol=1e-9)
    together = found[asked].var(axis=1) + np.diagonal(spreads).mean(axis=0)
    np.testing.assert_allclose(fold._spread(asked) * 1.7**2, together, rtol=1e-9)
    biases, factors = fold.row
    np.testing.assert_allclose(biases, [bias for bias, _ in rows], atol=1e-9)
    factors = posterior.by_sample(factors[None], n_samples)[0]
    np.testing.assert_allclose(factors, [r for _, r in rows], atol=1e-9)


def test_without_sets_each_rating_adds_what_it_is_off_times_its_weight():
    side, at, values = side_of(0, False, 2), np.array([1, 4]), np.array([3.0, -2.0])
    fold = posterior.posterior_fold(side, at, values, 1.0)
    assert fold.solve.shape == (5 * 2 + 5, 2)
    assert fold.target.tolist() == [1.0, 1.0]
    parts = fold.rows(np.arange(6)) * 1.0 @ (fold.solve * fold.target)
    for which, value in enumerate(values):
        moved = values.copy()
        moved[which] = value + 1
        more = posterior.posterior_fold(side, at, moved, 1.0)
        changed = more.rows(np.arange(6)) @ more.solve - parts
        assert np.abs(changed[:, 1 - which]).max() < 1e-12  # of the other rating's part nothing changes
        np.testing.assert_allclose(changed[:, which], more.scores() - fold.scores(), atol=1e-12)
        assert np.abs(changed[:, which]).max() > 1e-3


# ---- What the samples say of themselves ----


def plain_effective_size(draws):
    """By the paper's formulas, one lag after another."""
    half = draws.shape[1] // 2
    ranks = np.array([[(draws < x).sum() + ((draws == x).sum() + 1) / 2 for x in chain] for chain in draws])
    z = norm.ppf((ranks - 3 / 8) / (draws.size + 1 / 4))
    chains = [part for chain in z for part in (chain[:half], chain[-half:])]
    W = np.mean([np.var(chain, ddof=1) for chain in chains])
    B = half * np.var([np.mean(chain) for chain in chains], ddof=1)
    total = (half - 1) / half * W + B / half
    rho = [1.0]
    for lag in range(1, half):
        of_chain = [(c[lag:] - c.mean()) @ (c[: half - lag] - c.mean()) / (half - 1) for c in chains]
        rho.append(1 - (W - np.mean(of_chain)) / total)
    sums, least = 0.0, np.inf
    for lag in range(0, half - 1, 2):
        pair = rho[lag] + rho[lag + 1]
        if pair <= 0:
            break
        least = min(least, pair)
        sums += least
    tau = 2 * sums - 1 if sums else 1.0
    size = 2 * half * len(draws)
    return min(size / tau if tau > 0 else np.inf, size * np.log10(size)), np.sqrt(total / W)


@pytest.mark.parametrize("shape", [(1, 4), (1, 5), (2, 6), (1, 40), (3, 41), (2, 90)])
@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.4, 0.9])
def test_effective_sizes_and_r_hat_are_those_of_the_papers_formulas(shape, rho):
    rng = np.random.default_rng([*shape, int(10 * rho) + 10])
    noise, draws = rng.normal(size=shape), np.zeros(shape)
    for at in range(shape[1]):
        draws[:, at] = rho * draws[:, at - 1] * (at > 0) + noise[:, at]
    draws = np.round(draws, 1)  # with ties
    size, wider = plain_effective_size(draws)
    assert posterior.effective_size(draws) == pytest.approx(size, rel=1e-9)
    folded = plain_effective_size(np.abs(draws - np.median(draws)))[1]
    assert posterior.split_r_hat(draws) == pytest.approx(max(wider, folded), rel=1e-9)
    assert posterior._r_hat(draws) == pytest.approx(wider, rel=1e-9)


def test_draws_that_alternate_are_worth_as_many_and_no_draws_more_than_the_bound():
    alternating = np.resize([-1.0, 1.0], (2, 40))
    assert posterior.effective_size(alternating) == pytest.approx(80)
    swinging = np.diff(np.random.default_rng(0).normal(size=(2, 41)), axis=1)
    assert posterior.effective_size(swinging) == pytest.approx(80 * np.log10(80))


def test_a_summary_has_the_moments_of_all_draws_and_needs_four_of_each_chain():
    draws = np.array([[1.0, 4.0, 2.0, 8.0], [3.0, 3.0, 5.0, 6.0]])
    told = posterior.chain_summary(draws)
    assert list(told) == ["mean", "sd", "r_hat", "effective_size"]
    assert told["mean"] == 4.0
    assert told["sd"] == pytest.approx(np.sqrt(36 / 8))
    assert told["r_hat"] == posterior.split_r_hat(draws)
    assert told["effective_size"] == posterior.effective_size(draws)
    fewer = posterior.chain_summary(draws[:, :3])
    assert fewer["mean"] == pytest.approx(3.0)
    assert np.isnan([fewer["r_hat"], fewer["effective_size"]]).all()


def test_of_chains_that_stand_still_in_one_place_a_moving_one_tells_the_width():
    still = np.array([[2.0] * 6, [2.0] * 6])
    assert np.isnan(posterior.split_r_hat(still))
    apart = np.array([[1.0] * 6, [3.0] * 6])  # as far from the median, so that only their places differ
    assert posterior.split_r_hat(apart) == np.inf
    one_of_many = np.array([[1.0] * 4] * 7 + [[2.0] * 4])  # by little, as normal ranks go
    assert posterior.split_r_hat(one_of_many) == np.inf
    assert np.isnan(posterior.effective_size(one_of_many))
