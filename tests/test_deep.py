"""DeepMF: its gradient by differences, its fit by a twin in plain NumPy, somebody new, and what it tells apart."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import press_ctrl_c
from sklearn.exceptions import NotFittedError
from test_likes import likes_of, told, tribes

import content_table as ct
from content_table_parts import deep, solvers
from content_table_parts.deep import (
    add_products,
    deep_pass,
    first_numbers,
    layer_sizes,
    n_weights,
    network_layers,
    network_scores,
    newcomer_parts,
    secants,
    workspace,
)

SHAPES = [((), True), ((3,), False), ((5, 3), False), ((9, 4, 2), True)]  # hidden layers, and the product beside them


# ---- In plain NumPy ----


def slow_score(X, layers, product):
    """The scores of pairs [p, q], rows of X, and what each layer is given."""
    given, out = [X], X
    for at, (W, b) in enumerate(layers):
        out = out @ W + b
        if at < len(layers) - 1:
            out = np.maximum(out, 0)
            given.append(out)
    k = X.shape[1] // 2
    return out[:, 0] + product * (X[:, :k] * X[:, k:]).sum(axis=1), given


def slow_slopes(X, signs, share, layers, product):
    """Gradient of share * sum ln(1 + exp(-sign s)) by X and by every (W, b)."""
    s, given = slow_score(X, layers, product)
    pull = -signs * share / (1 + np.exp(signs * s))
    back, found = pull[:, None], []
    for (W, _), x in zip(layers[::-1], given[::-1], strict=True):
        found.append((x.T @ back, back.sum(axis=0)))
        back = (back @ W.T) * ((x > 0) if x is not X else 1)
    k = X.shape[1] // 2
    return back + product * pull[:, None] * np.hstack([X[:, k:], X[:, :k]]), found[::-1]


def slow_loss(X, signs, layers, product):
    return np.log1p(np.exp(-signs * slow_score(X, layers, product)[0])).sum()


class SlowAdam:
    """The steps of Adam of one array; rows that are not asked for stay where they are."""

    def __init__(self, theta):
        self.theta, self.mean, self.square = theta, np.zeros_like(theta), np.zeros_like(theta)

    def step(self, slope, t, eta, rows=slice(None)):
        self.mean[rows] = 0.9 * self.mean[rows] + 0.1 * slope[rows]
        self.square[rows] = 0.999 * self.square[rows] + 0.001 * slope[rows] ** 2
        mean, square = self.mean[rows] / (1 - 0.9**t), self.square[rows] / (1 - 0.999**t)
        self.theta[rows] -= eta * mean / (np.sqrt(square) + 1e-8)


def slow_step(u, i, signs, share, per_like, P, Q, layers, product, t, eta, reg):
    """One step of all for the pairs (u, i)."""
    X = np.hstack([P.theta[u], Q.theta[i]])
    to_X, to_layers = slow_slopes(X, signs, share, [(W.theta, b.theta) for W, b in layers], product)
    to_X, k = to_X + share * reg * X, X.shape[1] // 2
    for table, rows, slopes in ((P, u, to_X[:, :k]), (Q, i, to_X[:, k:])):
        total = np.zeros_like(table.theta)
        np.add.at(total, rows, slopes)
        table.step(total, t, eta, np.unique(rows))
    for pair, slopes in zip(layers, to_layers, strict=True):
        for one, slope in zip(pair, slopes, strict=True):
            one.step(slope + per_like * reg * one.theta, t, eta)


# ---- The network ----


def small(hidden, seed=4):
    """(P, Q, network, sizes) of 3 viewers, 7 titles and 2 factors; no b is 0."""
    sizes, rng = layer_sizes(2, hidden), np.random.default_rng(seed)
    return rng.normal(size=(3, 2)), rng.normal(size=(7, 2)), rng.normal(size=n_weights(sizes)), sizes


@pytest.mark.parametrize("size", [(4, 3, 5), (8, 40, 16), (12, 1, 9)])
def test_the_product_is_that_of_matrices(size):
    rows, inner, cols = size
    rng = np.random.default_rng(0)
    A, B, out = rng.normal(size=(rows, inner)), np.zeros((inner, 16)), rng.normal(size=(rows, 16))
    B[:, :cols] = rng.normal(size=(inner, cols))
    expected = out + A @ B
    add_products(out, A, B, rows, inner, cols)
    assert out == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("hidden", "product"), SHAPES)
def test_scores_are_those_of_the_formula_in_blocks_of_any_size(hidden, product, monkeypatch):
    P, Q, network, sizes = small(hidden)
    rows, cols = np.repeat(np.arange(3), 7), np.tile(np.arange(7), 3)
    expected, _ = slow_score(np.hstack([P[rows], Q[cols]]), network_layers(network, sizes), product)
    found = network_scores(rows, cols, P, Q, network, sizes, product)
    assert found == pytest.approx(expected, abs=1e-12)
    monkeypatch.setattr(deep, "BLOCK", 5)
    assert np.array_equal(network_scores(rows, cols, P, Q, network, sizes, product), found)


@pytest.mark.parametrize(("hidden", "product"), SHAPES)
def test_the_gradient_of_a_step_is_that_of_the_loss_by_differences(hidden, product):
    """After the first step the running mean of the slopes is a tenth of them."""
    P, Q, network, sizes = small(hidden)
    reg, state = 0.07, np.zeros((4, 6 + 14 + len(network)))
    state[0] = theta = np.concatenate([P.ravel(), Q.ravel(), network])
    rows, cols = np.array([0, 2]), np.array([1, 4])
    start, liked, draws = np.array([0, 1, 1, 2]), np.array([1, 4]), np.array([[0, 1, 5], [4, 3, 3]])
    pairs = [(0, 1), (0, 0), (0, 2), (0, 6), (2, 4), (2, 5), (2, 3), (2, 3)]
    signs = np.tile([1.0, -1, -1, -1], 2)

    def objective(theta):
        P, Q, network = theta[:6].reshape(3, 2), theta[6:20].reshape(7, 2), theta[20:]
        X = np.array([[*P[u], *Q[i]] for u, i in pairs])
        penalty = reg / 2 * (np.sum(X**2) + len(pairs) * network @ network)
        return (slow_loss(X, signs, network_layers(network, sizes), product) + penalty) / 2  # a mean over two likes

    how = sizes, product, state, np.zeros(10, dtype=np.int64), 0, 2, 0.01, reg
    loss = deep_pass(rows, cols, draws, start, liked, *how, *workspace(sizes, 8))
    X = np.array([[*P[u], *Q[i]] for u, i in pairs])
    assert loss == pytest.approx(slow_loss(X, signs, network_layers(network, sizes), product), rel=1e-12)
    for at in range(len(theta)):
        h = 1e-6 * (np.arange(len(theta)) == at)
        slope = (objective(theta + h) - objective(theta - h)) / 2e-6
        assert 10 * state[2, at] == pytest.approx(slope, abs=1e-7)
        assert state[0, at] == pytest.approx(theta[at] - 0.01 * np.sign(np.round(slope, 7)), abs=1e-5)


@pytest.mark.parametrize(("hidden", "product"), [((5, 3), False), ((4,), True)])
def test_a_fit_is_that_of_the_twin_in_numpy_with_the_same_draws(hidden, product, noisy):
    k, n_drawn, batch, eta, reg = 3, 2, 7, 0.02, 0.01
    how = {"n_negatives": n_drawn, "batch_size": batch, "learning_rate": eta, "reg": reg}
    model = ct.DeepMF(k, hidden, product, n_epochs=4, random_state=5, **how).fit(noisy)
    (m, n), sizes, rng, likes = noisy.shape, layer_sizes(k, hidden), np.random.default_rng(5), likes_of(noisy)
    P, Q, network = np.split(first_numbers(m + n, sizes, rng), [m * k, (m + n) * k])
    layers = network_layers(network, sizes)
    P, Q = SlowAdam(P.reshape(m, k)), SlowAdam(Q.reshape(n, k))
    slow = [(SlowAdam(W), SlowAdam(b)) for W, b in layers]
    rows, cols, t = np.repeat(np.arange(m), noisy.user_counts), np.concatenate(likes), 0
    signs = np.array([1.0] + [-1.0] * n_drawn)
    for epoch in range(4):
        order, loss = rng.permutation(len(rows)), 0.0
        at = rng.random((len(rows), n_drawn)) * (n - noisy.user_counts[rows[order]])[:, None]
        for first in range(0, len(rows), batch):
            part, t = order[first : first + batch], t + 1
            drawn = [np.setdiff1d(np.arange(n), likes[rows[e]])[at[first + c].astype(int)] for c, e in enumerate(part)]
            u, i = np.repeat(rows[part], 1 + n_drawn), np.hstack([cols[part][:, None], drawn]).ravel()
            sign = np.tile(signs, len(part))
            loss += slow_loss(np.hstack([P.theta[u], Q.theta[i]]), sign, layers, product)
            slow_step(u, i, sign, 1 / len(part), 1 + n_drawn, P, Q, slow, product, t, eta, reg)
        assert model.history_[epoch]["train_loss"] == pytest.approx(loss / len(rows) / (1 + n_drawn), rel=1e-9)
    assert model.user_factors_ == pytest.approx(P.theta, abs=1e-9)
    assert model.item_factors_ == pytest.approx(Q.theta, abs=1e-9)
    assert model.network_ == pytest.approx(network, abs=1e-9)
    X = np.hstack([np.zeros((n, k)), Q.theta])
    assert model.item_bias_ == pytest.approx(slow_score(X, layers, product)[0], abs=1e-9)


def test_layers_are_those_of_the_formula(sample):
    model = ct.DeepMF(4, (6, 5), n_epochs=2).fit(sample)
    assert [W.shape for W, _ in model.layers()] == [(8, 6), (6, 5), (5, 1)]
    x = np.append(model.user_factors_[3], model.item_factors_[8])
    for W, b in model.layers()[:-1]:
        x = np.maximum(x @ W + b, 0)
    W, b = model.layers()[-1]
    assert model.predict(sample.user_ids[3], sample.item_ids[8])[0] == pytest.approx((x @ W + b)[0], abs=1e-12)
    with pytest.raises(NotFittedError):
        ct.DeepMF().layers()


@pytest.mark.parametrize(
    ("hidden", "error", "said"),
    [
        (32, TypeError, r"hidden must be a tuple of the units .* got 32"),
        ("32", TypeError, "hidden must be a tuple"),
        ((32, 0), ValueError, "hidden must be at least 1, got 0"),
        ((32, 1.5), ValueError, "hidden must be a whole number, got 1.5"),
    ],
)
def test_layers_that_cannot_be_are_refused(hidden, error, said, table):
    with pytest.raises(error, match=said):
        ct.DeepMF(hidden=hidden).fit(table)
    with pytest.raises(error, match=said):
        ct.DeepMF(hidden=hidden).check_settings()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hidden": (30_000, 30_000)}, r"DeepMF with n_factors=2 and hidden=\(30000, 30000\) needs"),
        ({"n_factors": 2**62}, f"DeepMF with n_factors={2**62} and hidden"),
    ],
)
def test_what_would_fill_the_memory_is_refused_by_name(settings, said, table):
    with pytest.raises(MemoryError, match=said):
        ct.DeepMF(**({"n_factors": 2, "hidden": (3,)} | settings)).fit(table)


@pytest.mark.parametrize(
    ("n_factors", "hidden", "tables"), [(3, (5, 4), 2 * 3 * 25), (6, (5,), 2 * 2 * 36), (1, (), 2 * 1 * 1)]
)
def test_a_network_and_its_transposed_fit_the_limit_exactly(n_factors, hidden, tables, monkeypatch):
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * tables)
    assert layer_sizes(n_factors, hidden).tolist() == [2 * n_factors, *hidden, 1]
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * tables - 1)
    with pytest.raises(MemoryError, match="DeepMF with n_factors"):
        layer_sizes(n_factors, hidden)


def test_many_pairs_are_scored_a_block_at_a_time(monkeypatch):
    sizes, rng = layer_sizes(3, (5,)), np.random.default_rng(0)
    P, Q, network = rng.normal(size=(20, 3)), rng.normal(size=(50, 3)), rng.normal(size=n_weights(sizes))
    rows, cols = np.divmod(np.arange(1000), 50)
    at_once = network_scores(rows, cols, P, Q, network, sizes, True)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 2 * 3 * deep.BLOCK * 8)
    assert np.array_equal(network_scores(rows, cols, P, Q, network, sizes, True), at_once)
    assert network_scores(rows[:0], cols[:0], P, Q, network, sizes, True).shape == (0,)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 2 * 3 * 7 * 8)  # and few pairs take the room of few
    assert network_scores(rows[:7], cols[:7], P, Q, network, sizes, True) == pytest.approx(at_once[:7], abs=1e-12)


def test_what_a_step_and_its_draws_need_fits_the_limit_exactly(table, monkeypatch):
    sizes = layer_sizes(3, (5,))
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 2 * 3 * 6 * 8)  # layers, pairs, and a vector of numbers each
    (z, d), tables = workspace(sizes, 6)
    assert z.shape == d.shape == (3, 8, 8)  # pairs in fours
    assert tables.shape == (2, 2, 8, 8)
    with pytest.raises(MemoryError, match="DeepMF's n_negatives, in a step of batch_size likes, needs"):
        workspace(sizes, 7)
    likes = sp.csr_array(np.tril(np.ones((3, 4))))  # six
    for n_negatives, size in [(1, 3), (2, 2), (5, 1)]:
        deep.Descent(likes, 3, (5,), True, n_negatives, np.random.default_rng(0)).run_pass(size, 0.01, 0.0)
        with pytest.raises(MemoryError, match="DeepMF's n_negatives, in a step of batch_size likes, needs"):
            deep.Descent(likes, 3, (5,), True, n_negatives, np.random.default_rng(0)).run_pass(size + 1, 0.01, 0.0)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 6 * 100)
    deep.Descent(likes, 2, (), True, 100, np.random.default_rng(0))
    with pytest.raises(MemoryError, match=r"DeepMF with n_negatives=101 needs a dense 6 x 101 table"):
        deep.Descent(likes, 2, (), True, 101, np.random.default_rng(0))


def test_a_network_begins_small_and_without_constants():
    sizes = layer_sizes(4, (50,))
    found = first_numbers(2000, sizes, np.random.default_rng(0))
    embeddings, (W, b), (out, c) = found[:8000], *network_layers(found[8000:], sizes)
    assert (len(found), W.shape, out.shape) == (8000 + 9 * 50 + 51, (8, 50), (50, 1))
    assert not b.any()
    assert not c.any()
    for numbers, spread in ((embeddings, 0.1), (W, np.sqrt(2 / 8)), (out, np.sqrt(2 / 50))):
        error = 4 * spread / np.sqrt(numbers.size)
        assert numbers.mean() == pytest.approx(0, abs=error)
        assert numbers.std() == pytest.approx(spread, abs=error)


def test_an_extreme_penalty_holds_a_newcomer_at_0_without_a_warning(table):
    model = ct.DeepMF(2, (3,), n_epochs=2, reg=1e100).fit(table)
    assert model.fold_in({11: 9, 12: 8}).scores == pytest.approx(model.fold_in({}).scores, abs=1e-3)


# ---- Somebody new ----


@pytest.mark.parametrize(("hidden", "product"), SHAPES)
def test_secants_say_what_a_viewer_makes_of_the_scores(hidden, product):
    P, Q, network, sizes = small(hidden)
    every, nobody = np.arange(7), np.zeros(7, dtype=int)
    for p in (*P, 100 * P[0], np.zeros(2)):
        start, end = (network_scores(nobody, every, x[None], Q, network, sizes, product) for x in (0 * p, p))
        assert start + secants(p, Q, network, sizes, product) @ p == pytest.approx(end, abs=1e-9)


@pytest.mark.parametrize("n_drawn", [2, 4])
@pytest.mark.parametrize(("hidden", "product"), SHAPES)
def test_a_newcomer_goes_the_steps_of_the_twin(hidden, product, n_drawn, monkeypatch):
    monkeypatch.setattr(deep, "NEW_STEPS", 12)
    _, Q, network, sizes = small(hidden)
    at, rng, reg, p = np.array([1, 4, 5]), np.random.default_rng(0), 0.03, SlowAdam(np.zeros(2))
    free, signs, shares = np.array([0, 2, 3, 6]), np.append(1.0, np.full(n_drawn, -1.0)), np.zeros((3, 2))
    for t in range(1, 13):
        drawn, slopes, before = free[(rng.random((3, n_drawn)) * 4).astype(int)], [], p.theta.copy()
        for i, others in zip(at, drawn, strict=True):
            X = np.hstack([np.tile(p.theta, (1 + n_drawn, 1)), Q[[i, *others]]])
            slopes.append(slow_slopes(X, signs, 1, network_layers(network, sizes), product)[0][:, :2].sum(axis=0))
        p.step(np.mean(slopes, axis=0) + (1 + n_drawn) * reg * p.theta, t, deep.NEW_STEP * (1 - (t - 1) / 12))
        falls = [max(0.0, -slope @ (p.theta - before)) for slope in slopes]  # what each like loses less by the step
        for share, fall in zip(shares, falls, strict=True):
            share += (fall / sum(falls) if any(falls) else 1 / 3) * (p.theta - before)
    before = Q.copy(), network.copy()
    parts = newcomer_parts(at, n_drawn, Q, network, sizes, product, reg)
    assert parts.sum(axis=0) == pytest.approx(p.theta, abs=1e-9)
    assert parts == pytest.approx(shares, abs=1e-7)
    assert np.array_equal(Q, before[0])
    assert np.array_equal(network, before[1])


def test_a_viewer_folded_in_again_is_seen_as_in_training(sample):
    model = ct.DeepMF(8, n_epochs=20).fit(sample)
    rows = np.arange(0, sample.n_users, 7)
    agree = [np.corrcoef(model.fold_in(told(sample, row)).scores, model.complete()[row])[0, 1] for row in rows]
    assert np.median(agree) > 0.9


def test_reasons_add_up_and_none_is_larger_than_all_together_by_far(sample):
    model = ct.DeepMF(8, n_epochs=20).fit(sample)
    viewer = model.fold_in(told(sample, 3))
    for item in sample.item_ids[:20]:
        parts = ct.explain(model, viewer, item)["contribution"]
        assert parts.sum() == pytest.approx(viewer.predict(item)[0], abs=1e-9)
    assert np.abs(viewer.fold.solve).sum() < 20 * np.abs(viewer.fold.solve.sum(axis=1)).sum()


# ---- What it learns ----


@pytest.mark.parametrize("how", [{"hidden": (16, 8)}, {"hidden": (), "dot_product": True}])
def test_it_tells_two_tribes_apart_and_so_does_its_fold_in(how):
    ratings, tribe, half = tribes()
    train, test = ratings.split_random(0.3)
    model = ct.DeepMF(4, n_epochs=30, learning_rate=0.01, **how).fit(train)
    results = ct.rank_models({"deep": model}, test, 5, n=5)
    assert ct.rank_differences(results, "popularity").set_index("model")["verdict"]["deep"] == "better"
    lists = model.top_items(np.arange(120), 5)
    assert np.mean(half[lists] == tribe[:, None]) > 0.9
    newcomer = model.fold_in(dict.fromkeys(np.flatnonzero(half == 1)[:4].tolist(), 7.0))
    assert np.mean(half[newcomer.recommend(10)["item_id"].to_numpy()] == 1) > 0.9
    folded = np.stack([model.fold_in(told(train, row)).scores for row in range(120)])
    folded[train.known.toarray() > 0] = -np.inf
    assert np.mean(half[np.argsort(-folded, axis=1)[:, :5]] == tribe[:, None]) > 0.9


def test_without_a_hidden_layer_or_a_product_everybody_gets_the_same_list(sample):
    model = ct.DeepMF(4, hidden=(), n_epochs=3).fit(sample)
    apart = model.complete() - model.item_bias_
    assert apart == pytest.approx(np.broadcast_to(apart[:, :1], apart.shape), abs=1e-9)


def test_who_likes_nothing_or_everything_teaches_nothing_and_prefers_nothing():
    likes = sp.csr_array(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1], [0, 1, 1]], float))
    descent = deep.Descent(likes, 2, (3,), False, 2, np.random.default_rng(0))
    assert descent.rows.tolist() == [1, 3, 3]
    assert descent.cols.tolist() == [0, 1, 2]
    P, Q, network = descent.learnt()
    assert P.any(axis=1).tolist() == [False, True, False, True]
    assert (Q.shape, len(network)) == ((3, 2), n_weights(descent.sizes))
    assert descent.state[0, :8].all()  # a copy was changed
    first = descent.state[0].copy()
    assert descent.run_pass(2, 0.1, 0.0) == pytest.approx(np.log(2), abs=0.1)
    assert descent.n_steps == 2  # three likes, two at a time
    moved = (descent.state[0] != first)[:8].reshape(4, 2).any(axis=1)
    assert moved.tolist() == [False, True, False, True]


def test_the_loss_falls_and_the_seed_decides_all(sample):
    model = ct.DeepMF(5, n_epochs=15).fit(sample)
    losses = [row["train_loss"] for row in model.history_]
    assert losses[0] == pytest.approx(np.log(2), abs=0.2)
    assert losses[-1] < 0.45
    again, other = (ct.DeepMF(5, n_epochs=15, random_state=seed).fit(sample) for seed in (0, 1))
    assert np.array_equal(again.complete(), model.complete())
    assert not np.allclose(other.complete(), model.complete())


def test_who_watches_a_fit_sees_a_model_that_scores(with_cold):
    seen = []
    model = ct.DeepMF(2, n_epochs=3).fit(with_cold, watch=lambda model, row: seen.append(model.complete()))
    assert np.array_equal(seen[-1], model.complete())
    assert np.array_equal(seen[0], ct.DeepMF(2, n_epochs=1).fit(with_cold).complete())


def test_titles_and_viewers_without_a_rating_get_what_everybody_gets(with_cold):
    model = ct.DeepMF(2, n_epochs=30).fit(with_cold)
    predicted, fallback = model.predict([106, 101, 106], [11, 13, 13], return_fallback=True)
    assert predicted == pytest.approx(model.item_bias_[[0, 2, 2]])
    assert fallback.all()
    assert model.recommend(106, 5)["item_id"].tolist() == model.fold_in({}).recommend(5)["item_id"].tolist()


def test_ctrl_c_keeps_the_whole_passes(table, monkeypatch):
    press_ctrl_c(monkeypatch, deep, "deep_pass", 4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = ct.DeepMF(2, n_epochs=10**9).fit(table)
    assert "stopped by the keyboard after 3 whole passes" in str(caught[0].message)
    monkeypatch.undo()
    assert np.array_equal(model.complete(), ct.DeepMF(2, n_epochs=3).fit(table).complete())


def test_a_network_of_another_size_than_its_layers_is_not_saved(table, tmp_path):
    model = ct.DeepMF(2, (3,), n_epochs=2).fit(table)
    model.save(tmp_path / "model.npz")
    loaded = ct.load_model(tmp_path / "model.npz", table)
    assert loaded.hidden == (3,)
    assert np.array_equal(loaded.complete(), model.complete())
    with pytest.raises(ValueError, match=r"network_ must have 25 weights, as hidden=\(4,\) says, got 19"):
        model.set_params(hidden=(4,)).save(tmp_path / "wrong.npz")


def test_it_is_tuned_for_lists(sample):
    found = ct.tune(ct.DeepMF(n_epochs=2), sample, n_trials=2, score="ndcg", threshold=8)
    assert set(found.study.best_params) == {"n_factors", "reg", "learning_rate"}
