"""The variational autoencoder: its gradient by differences, its steps by hand, fold-in, reasons, and planted tribes."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import press_ctrl_c
from sklearn.base import clone
from test_likes import tribes

import content_table as ct
from content_table_parts import solvers, variational
from content_table_parts.variational import Adam, Network, encoded, encoded_parts, network_objective, random_network

SMALL = {"n_factors": 2, "n_hidden": 3, "n_epochs": 8}


@pytest.fixture
def case():
    """(network, likes, kept, noise) of three viewers and five titles, no number of them 0 by accident."""
    rng = np.random.default_rng(4)
    net = Network(*(part + rng.normal(0, 0.4, part.shape) for part in random_network(5, 4, 2, rng)))
    S = sp.csr_array([[1, 0.5, 0, 0, 1], [0, 0, 1, 1, 0], [0.2, 0, 0, 1, 0.7]])
    return net, S, np.array([2, 0, 2, 2, 2, 0, 2, 2]), rng.normal(size=(3, 2))


def on_paper(net, S, kept, noise, beta, reg):
    """The objective as its docstring has it, in dense tables."""
    W, a, M, b, V, v, Q, c = net
    S, mask = S.toarray(), sp.csr_array((kept, S.indices, S.indptr), S.shape).toarray()
    hidden = np.tanh(S / np.sqrt((S**2).sum(axis=1, keepdims=True)) * mask @ W + a)
    mean, variance = hidden @ M + b, np.exp(hidden @ V + v)
    scores = (mean + noise * np.sqrt(variance)) @ Q.T + c
    share = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    entropy = -np.sum(S * np.log(share))
    divergence = np.sum(mean**2 + variance - 1 - np.log(variance)) / 2
    penalty = sum(np.sum(part**2) for part in (W, M, V, Q))
    return entropy, divergence, entropy + beta * divergence + reg / 2 * penalty


@pytest.mark.parametrize(("beta", "reg"), [(0.0, 0.0), (0.7, 0.3), (1.0, 0.0)])
def test_the_gradient_is_that_of_central_differences(case, beta, reg):
    net, *given = case
    entropy, divergence, slopes = network_objective(net, *given, beta, reg)
    assert (entropy, divergence) == pytest.approx(on_paper(net, *given, beta, reg)[:2], rel=1e-12)
    for part, slope in zip(net, slopes, strict=True):
        assert slope.shape == part.shape
        for cell in np.ndindex(part.shape):
            at, sides = part[cell], []
            for shift in (1e-6, -1e-6):
                part[cell] = at + shift
                sides.append(on_paper(net, *given, beta, reg)[2])
            part[cell] = at
            assert slope[cell] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-7)
        assert np.abs(slope).max() > 1e-3 or (beta == 0 and part is net.v)


def test_without_noise_the_variance_is_not_learnt(case):
    net, S, kept, noise = case
    slopes = network_objective(net, S, kept, 0 * noise, 0.0, 0.0)[2]
    assert not slopes.V.any()
    assert not slopes.v.any()


def test_the_first_steps_of_adam_by_hand():
    # Slopes 4 and then -2. m = 0.4, then 0.36 - 0.2 = 0.16; s = 0.016, then 0.015984 + 0.004 = 0.019984. The shares:
    # 0.1, 0.19; 0.001, 0.001999. The steps: 4 / sqrt(16) = 1; 0.16 / 0.19 / sqrt(0.019984 / 0.001999) = 0.266338...
    net = Network(*(np.zeros((1, 1)) if at % 2 == 0 and at < 7 else np.zeros(1) for at in range(8)))
    adam = Adam(net, 0.5)
    adam.step(Network(*(np.full_like(part, 4.0) for part in net)))
    assert all(part == pytest.approx(-0.5, abs=1e-8) for part in net)
    adam.step(Network(*(np.full_like(part, -2.0) for part in net)))
    second = 0.16 / 0.19 / np.sqrt(0.019984 / 0.001999)
    assert all(part == pytest.approx(-0.5 - 0.5 * second, abs=1e-8) for part in net)


def slow_fit(model, ratings, S):
    """The fit once more: objective on paper, its gradient by differences, and Adam's formulas in dense arrays."""
    rng, (m, n) = np.random.default_rng(model.random_state), S.shape
    net = random_network(n, model.n_hidden, model.n_factors, rng)
    moments, t, n_steps = [(0.0, 0.0)] * 8, 0, -(-m // model.batch_size)
    for _ in range(model.n_epochs):
        order = rng.permutation(m)
        for start in range(0, m, model.batch_size):
            some = S[order[start : start + model.batch_size]]
            kept = (rng.random(some.nnz) >= model.dropout) / (1 - model.dropout)
            noise, beta = np.zeros((some.shape[0], model.n_factors)), 0.0
            if model.variational:
                noise = rng.standard_normal(noise.shape)
                beta = model.beta * (min(1, t / (model.anneal * n_steps)) if model.anneal else 1)
            given = some, kept, noise, beta, model.reg * some.shape[0] / m
            slopes = [np.zeros_like(part) for part in net]
            for part, slope in zip(net, slopes, strict=True):
                for cell in np.ndindex(part.shape):
                    at, sides = part[cell], []
                    for shift in (1e-4, -1e-4):
                        part[cell] = at + shift
                        sides.append(on_paper(net, *given)[2])
                    part[cell] = at
                    slope[cell] = (sides[0] - sides[1]) / 2e-4
            t += 1
            for at, (part, slope) in enumerate(zip(net, slopes, strict=True)):
                first, second = moments[at]
                moments[at] = first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
                part -= model.learning_rate * first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    return net


@pytest.mark.parametrize(("anneal", "drawn"), [(0, True), (2, True), (0, False)])
def test_a_fit_is_that_of_the_slow_twin_with_the_same_draws(table, anneal, drawn):
    options = {"n_epochs": 3, "batch_size": 4, "dropout": 0.3, "reg": 0.5, "random_state": 6}
    model = ct.MultVAE(2, 3, anneal=anneal, variational=drawn, **options).fit(table)
    S = sp.csr_array(((table.csr.data - 1) / 9, table.csr.indices, table.csr.indptr), table.shape)
    net = slow_fit(model, table, S)
    assert model.item_weights_ == pytest.approx(net.W, abs=1e-6)
    assert model.item_factors_ == pytest.approx(net.Q, abs=1e-6)
    x = S.toarray() / np.sqrt((S.toarray() ** 2).sum(axis=1, keepdims=True))
    scores = (np.tanh(x @ net.W + net.a) @ net.M + net.b) @ net.Q.T + net.c
    assert model.complete() == pytest.approx(scores, abs=1e-5)


def test_who_likes_nothing_is_in_no_batch_and_who_likes_little_is(table):
    """Viewers without a like leave every draw as it is; one whose likes add up to less than one title counts."""
    told = table.part(table.rows > 0)
    bare = told.restrict(told.user_counts > 0, told.item_counts >= 0)
    with_nobody, without = (ct.MultVAE(**SMALL, batch_size=2).fit(each) for each in (told, bare))
    assert np.array_equal(with_nobody.item_weights_, without.item_weights_)
    assert [row["divergence"] for row in with_nobody.history_] == [row["divergence"] for row in without.history_]
    little = ct.Ratings(*(getattr(told, name) for name in ("user_ids", "item_ids")), np.append(told.rows, 0),
                        np.append(told.cols, 1), np.append(told.values, 3.0), told.scale)  # fmt: skip
    assert not np.allclose(ct.MultVAE(**SMALL, batch_size=2).fit(little).item_weights_, without.item_weights_)


@pytest.mark.parametrize("n_viewers", [1, 4])
def test_the_recorded_loss_is_that_of_a_like_and_the_divergence_that_of_a_viewer(table, n_viewers):
    """Before the first step, so of the network as it was drawn; all of it is one batch."""
    part = table.part(table.rows < n_viewers)
    S = sp.csr_array(((part.csr.data - 1) / 9, part.csr.indices, part.csr.indptr), part.shape)[:n_viewers]
    model = ct.MultVAE(2, 3, n_epochs=1, dropout=0.0, random_state=3).fit(part)
    rng = np.random.default_rng(3)
    net = random_network(5, 3, 2, rng)
    net.W[part.item_counts == 0] = 0.0
    S = S[rng.permutation(n_viewers)]
    kept = (rng.random(S.nnz) >= 0.0).astype(float)
    entropy, divergence, _ = on_paper(net, S, kept, rng.standard_normal((n_viewers, 2)), 0.0, 0.0)
    assert model.history_ == [{"epoch": 1, "train_loss": pytest.approx(entropy / S.sum(), rel=1e-9),
                               "divergence": pytest.approx(divergence / n_viewers, rel=1e-9)}]  # fmt: skip


def test_passes_of_a_denoising_autoencoder_have_no_divergence_and_no_beta(table):
    one, other = (ct.MultVAE(**SMALL, variational=False, beta=beta, anneal=0).fit(table) for beta in (0.2, 5.0))
    assert np.array_equal(one.complete(), other.complete())
    assert set(one.history_[-1]) == {"epoch", "train_loss"}
    assert "beta" not in one.search_space()
    assert "beta" in ct.MultVAE().search_space()


def test_beta_draws_the_factors_to_0_and_anneal_lets_them_away_first(sample):
    loose, tight = (ct.MultVAE(5, 10, n_epochs=30, beta=beta, anneal=0).fit(sample) for beta in (0.01, 5.0))
    assert tight.history_[-1]["divergence"] < 0.3 * loose.history_[-1]["divergence"]
    assert np.abs(tight.user_factors_).mean() < 0.3 * np.abs(loose.user_factors_).mean()
    late = ct.MultVAE(5, 10, n_epochs=30, beta=5.0, anneal=10**6).fit(sample)
    assert late.history_[-1]["divergence"] > 3 * tight.history_[-1]["divergence"]


def test_what_each_like_adds_sums_to_the_pass_of_the_encoder(case):
    net, S, *_ = case
    x = variational.unit_likes(S).toarray()
    for row, factors in zip(x, encoded(net, S), strict=True):
        parts = encoded_parts(net.W, net.a, net.M, row)
        assert parts.sum(axis=0) == pytest.approx(factors, abs=1e-14)
        assert not parts[row == 0].any()
    assert not encoded(net, sp.csr_array((2, 5))).any()
    no_change = encoded_parts(np.zeros((2, 4)), net.a, net.M, np.ones(2))
    assert not no_change.any()


def test_one_like_alone_by_hand():
    # One title, W = 2, a = 0, M = 3: hidden tanh(2), factor 3 tanh(2), whatever the grade, because rows have length 1.
    parts = encoded_parts(np.array([[2.0]]), np.zeros(1), np.array([[3.0]]), np.ones(1))
    assert parts == pytest.approx(np.array([[3 * np.tanh(2.0)]]), abs=1e-15)


def test_weights_begin_with_the_variance_of_two_by_rows_and_columns():
    net = random_network(400, 100, 50, np.random.default_rng(0))
    for table, shape in ((net.W, (400, 100)), (net.M, (100, 50)), (net.V, (100, 50)), (net.Q, (400, 50))):
        assert table.shape == shape
        assert table.std() == pytest.approx(np.sqrt(2 / sum(shape)), rel=0.05)
        assert abs(table.mean()) < 0.01
    assert [bias.tolist() for bias in (net.a, net.b, net.v, net.c)] == [[0.0] * size for size in (100, 50, 50, 400)]


@pytest.mark.parametrize(("n", "h", "k"), [(20, 10, 2), (20, 3, 10), (3, 20, 10), (2, 10, 20)])
def test_the_memory_of_a_network_is_that_of_its_largest_table_of_weights_or_units(monkeypatch, n, h, k):
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 200)
    random_network(n, h, k, np.random.default_rng(0))
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 200 - 1)
    with pytest.raises(MemoryError, match=f"MultVAE with n_factors={k} and n_hidden={h} needs a dense"):
        random_network(n, h, k, np.random.default_rng(0))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 9])
def test_a_pass_tells_the_entropy_and_the_divergence_of_all_viewers(case, batch_size):
    net, S, *_ = case
    adam = Adam(net, 0.0)  # no step moves anything
    told = variational.network_pass(adam, S, np.random.default_rng(0), batch_size, 0.0, 0.1, None, 0)
    assert told == pytest.approx(on_paper(net, S, np.ones(S.nnz), np.zeros((3, 2)), 0.0, 0.0)[:2], rel=1e-12)
    assert adam.steps == -(-3 // batch_size)


def test_cross_entropy_by_hand_and_of_scores_whose_powers_are_no_numbers():
    S = sp.csr_array([[1.0, 0.5], [0.0, 2.0], [1.0, 0.0]])
    entropy, slopes = variational._cross_entropy(np.array([[np.log(3.0), 0], [5e3, 0], [-2e4, -2e4]]), S)
    # shares 3/4 and 1/4; 1 and 0, whose logarithm is -5000; 1/2 and 1/2
    assert entropy == pytest.approx(np.log(4 / 3) + 0.5 * np.log(4) + 2 * 5e3 + np.log(2), rel=1e-12)
    np.testing.assert_allclose(slopes, [[1.5 * 0.75 - 1, 1.5 * 0.25 - 0.5], [2, -2], [-0.5, 0.5]], atol=1e-12)


def test_everybody_is_encoded_however_many_there_are():
    rng, net = np.random.default_rng(0), random_network(3, 2, 2, np.random.default_rng(1))
    S = sp.csr_array(rng.integers(0, 2, (10_003, 3)).astype(float))
    factors = encoded(net, S)
    assert factors.shape == (10_003, 2)
    assert np.array_equal(factors[-5:], encoded(net, S[-5:]))
    length = np.sqrt(S.toarray().sum(axis=1, keepdims=True)).clip(1)
    np.testing.assert_allclose(factors, np.tanh(S.toarray() / length @ net.W) @ net.M, atol=1e-12)


def test_likes_that_undo_each_other_have_the_slope_of_the_hidden_unit():
    # Two titles with weights 2 and -2: the unit stays where it is, tanh(0.5), and each has its slope there.
    parts = encoded_parts(np.array([[2.0], [-2.0]]), np.array([0.5]), np.array([[3.0]]), np.ones(2))
    slope = 6 / np.cosh(0.5) ** 2
    np.testing.assert_allclose(parts, [[slope], [-slope]], rtol=1e-12)


def test_it_tells_two_tribes_apart_and_so_does_its_fold_in():
    ratings, tribe, half = tribes()
    train, test = ratings.split_random(0.3)
    for variational_too in (True, False):
        model = ct.MultVAE(4, 20, n_epochs=60, binary=True, variational=variational_too).fit(train)
        results = ct.rank_models({"VAE": model}, test, 5, n=5)
        assert ct.rank_differences(results, "popularity").set_index("model")["verdict"]["VAE"] == "better"
        assert np.mean(half[model.top_items(np.arange(120), 5)] == tribe[:, None]) > 0.9
        newcomer = model.fold_in(dict.fromkeys(np.flatnonzero(half == 1)[:4].tolist(), 7.0))
        assert np.mean(half[newcomer.recommend(10)["item_id"].to_numpy()] == 1) > 0.9


def test_the_loss_begins_at_chance_and_falls_and_the_seed_decides_all(sample):
    model = ct.MultVAE(5, 20, n_epochs=40).fit(sample)
    losses = [row["train_loss"] for row in model.history_]
    assert losses[0] == pytest.approx(np.log(sample.n_items), abs=0.05)
    assert losses[-1] < losses[0] - 0.1
    again, other = (ct.MultVAE(5, 20, n_epochs=40, random_state=seed).fit(sample) for seed in (0, 1))
    assert np.array_equal(again.complete(), model.complete())
    assert not np.allclose(other.complete(), model.complete())


def test_a_title_that_nobody_likes_says_nothing_and_comes_late(with_cold):
    model = ct.MultVAE(**SMALL | {"n_epochs": 60}).fit(with_cold)
    assert not model.item_weights_[2].any()
    assert not model.item_factors_[2].any()
    assert model.item_bias_[2] == model.item_bias_.min()
    predicted, fallback = model.predict([106, 101, 106], [11, 13, 13], return_fallback=True)
    assert predicted == pytest.approx(model.item_bias_[[0, 2, 2]])
    assert fallback.all()
    reasons = ct.explain(model, model.fold_in({11: 9, 13: 9}), 12).set_index("reason")["contribution"]
    assert reasons["Cat"] == 0


def test_a_title_of_one_rating_is_learnt(table):
    model = ct.MultVAE(**SMALL).fit(table.part((table.cols != 2) | (table.rows == 1)))
    assert model.item_factors_.any(axis=1).all()
    assert model.item_weights_.any(axis=1).all()


def test_likes_that_all_count_nothing_teach_nothing():
    lowest = ct.Ratings.from_matrix([[1, 1, np.nan], [np.nan, 1, 1]], scale=(1, 5))
    model = ct.MultVAE(**SMALL).fit(lowest)  # each is 0 of the scale
    assert np.isfinite(model.complete()).all()
    assert not model.user_factors_.any()
    assert ct.MultVAE(**SMALL, binary=True).fit(lowest).user_factors_.any()


def test_steps_that_are_too_long_are_an_error_and_no_fit(sample):
    model = ct.MultVAE(5, 10, learning_rate=100.0)
    with pytest.raises(ct.DivergenceError, match=r"MultVAE diverged in pass \d+: its loss, 4\.88 by chance.* try 10"):
        model.fit(sample)
    assert not hasattr(model, "item_factors_")


def test_a_new_title_is_for_a_new_fit(table):
    with pytest.raises(ValueError, match="for a new title fit it again"):
        ct.MultVAE(**SMALL).fit(table).fold_in_item({101: 8})


def test_a_batch_whose_scores_would_not_fit_is_refused_with_its_size(table, monkeypatch):
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 4 * 5)
    ct.MultVAE(**SMALL, batch_size=4).fit(table)
    with pytest.raises(MemoryError, match=r"a step of batch_size=5 \(try fewer\) needs a dense 5 x 5 table"):
        ct.MultVAE(**SMALL, batch_size=5).fit(table)


def test_a_batch_has_at_most_all_who_like_something(table, monkeypatch):
    part = table.part(table.rows > 2)  # three viewers of five titles
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 3 * 5)
    ct.MultVAE(**SMALL | {"n_factors": 1, "n_hidden": 2}, batch_size=100).fit(part)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 3 * 5 - 1)
    with pytest.raises(MemoryError, match=r"a step of batch_size=100 \(try fewer\) needs a dense 3 x 5 table"):
        ct.MultVAE(**SMALL | {"n_factors": 1, "n_hidden": 2}, batch_size=100).fit(part)


@pytest.mark.parametrize(
    "settings", [{"n_hidden": 10**8}, {"n_factors": 2**62}, {"n_factors": 10**5, "n_hidden": 10**5}]
)
def test_a_network_that_would_fill_the_memory_is_refused_by_name(settings, table):
    with pytest.raises(MemoryError, match=r"MultVAE with n_factors=\d+ and n_hidden=\d+ needs a dense"):
        ct.MultVAE(**(SMALL | settings)).fit(table)


@pytest.mark.parametrize("at", [1, 7])
def test_ctrl_c_keeps_whole_passes_alone(table, monkeypatch, at):
    how = {"n_factors": 2, "n_hidden": 3, "batch_size": 2}  # three steps a pass
    press_ctrl_c(monkeypatch, variational, "network_objective", at + 1)
    if at < 3:
        with pytest.raises(KeyboardInterrupt):
            ct.MultVAE(**how, n_epochs=10**9).fit(table)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = ct.MultVAE(**how, n_epochs=10**9).fit(table)
    assert "stopped by the keyboard after 2 whole passes" in str(caught[0].message)
    monkeypatch.undo()
    assert np.array_equal(model.complete(), ct.MultVAE(**how, n_epochs=2).fit(table).complete())


def test_trials_see_the_model_after_each_pass(sample):
    seen = []

    def watch(model, row):
        seen.append(
            (row["epoch"], clone(model).set_params(n_epochs=row["epoch"]).fit(sample).complete(), model.complete())
        )

    ct.MultVAE(3, 5, n_epochs=3).fit(sample, watch=watch)
    assert [epoch for epoch, *_ in seen] == [1, 2, 3]
    assert all(np.array_equal(short, live) for _, short, live in seen)


def test_it_is_tuned_for_lists(sample):
    found = ct.tune(ct.MultVAE(3, 5, n_epochs=5), sample, n_trials=3, score="ndcg", threshold=8)
    assert set(found.study.best_params) == {"n_factors", "beta", "reg", "learning_rate"}
    assert found.study.best_value < 0


def test_steps_that_are_far_too_long_are_an_error_and_no_warning_of_numpy(table):
    for seed in range(5):
        model = ct.MultVAE(2, 3, learning_rate=1e6, batch_size=1, n_epochs=3, random_state=seed)
        with pytest.raises(ct.DivergenceError):
            model.fit(table)
