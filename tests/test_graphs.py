"""GraphFilter: LightGCN's graph written out, by hand, as a filter of singular values, and odd graphs."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import TYPED

import content_table as ct
from content_table_parts import graphs, solvers
from content_table_parts.interrupts import OutOfTime, in_time

NO = np.nan


def every_row(model):
    return model.predict_rows(np.arange(model.ratings_.n_users))


def likes_of(ratings, binary, edge=-np.inf):
    """R, dense: 1 or the share of the scale where liked."""
    low, high = ratings.scale
    R = np.zeros(ratings.shape)
    R[ratings.rows, ratings.cols] = (ratings.values >= edge) * (
        1.0 if binary else (ratings.values - low) / (high - low)
    )
    return R


def normalised(R):
    """S = D_u^-1/2 R D_i^-1/2, dense."""
    scales = [np.array([1 / np.sqrt(d) if d > 0 else 0.0 for d in R.sum(axis=axis)]) for axis in (1, 0)]
    return scales[0][:, None] * R * scales[1]


def lightgcn(R, n_layers):
    """LightGCN with one-hot embeddings: all nodes' adjacency, the layers averaged, scores as products of embeddings."""
    m, n = R.shape
    A = np.block([[np.zeros((m, m)), normalised(R)], [normalised(R).T, np.zeros((n, n))]])
    layers = [np.eye(m + n)]
    for _ in range(n_layers):
        layers.append(A @ layers[-1])
    embeddings = np.mean(layers, axis=0)
    return embeddings[:m] @ embeddings[m:].T


@pytest.mark.parametrize("n_layers", [2, 3, 4, 6])
@pytest.mark.parametrize("how", [{"binary": True}, {"binary": False}, {"binary": True, "liked": 0.6}])
def test_the_scores_are_those_of_lightgcn_with_one_hot_embeddings(sample, n_layers, how):
    model = ct.GraphFilter(n_layers, **how).fit(sample)
    R = likes_of(sample, how["binary"], 1 + 9 * how.get("liked", -1))
    assert every_row(model) == pytest.approx(lightgcn(R, n_layers), abs=1e-10)


@pytest.mark.parametrize(("n_layers", "n_factors"), [(1, 5), (2, 0), (2, 20), (5, 7), (3, 500)])
def test_the_polynomial_is_a_filter_of_singular_values(sample, n_layers, n_factors):
    model = ct.GraphFilter(n_layers, n_factors, low_pass=0.4, popularity=0.3).fit(sample)
    R = likes_of(sample, binary=False)
    U, s, Vt = np.linalg.svd(normalised(R), full_matrices=False)

    def embedding(s):
        return sum(s**layer for layer in range(n_layers + 1)) / (n_layers + 1)

    response = (embedding(s) ** 2 - embedding(-s) ** 2) / 2  # the block of the squared embeddings, s (...)
    at_1 = (embedding(1.0) ** 2 - embedding(-1.0) ** 2) / 2
    response += 0.4 * at_1 * s * (np.arange(len(s)) < n_factors)
    assert every_row(model) == pytest.approx((U * response) @ Vt * R.sum(axis=0) ** 0.3, abs=1e-10)


def test_two_layers_by_hand():
    """Ann and Bob like film 0, Bob and Cy film 1, Cy alone film 2."""
    ratings = ct.Ratings.from_matrix([[1, NO, NO], [1, 1, NO], [NO, 1, 1]], scale=(0, 1))
    model = ct.GraphFilter(binary=True).fit(ratings)
    ann_0 = 1 / np.sqrt(1 * 2)  # of S
    bob_0, bob_1 = 1 / np.sqrt(2 * 2), 1 / np.sqrt(2 * 2)
    assert model.predict(0, [1, 2]) == pytest.approx([2 / 9 * ann_0 * bob_0 * bob_1, 0], abs=1e-15)
    further = ct.GraphFilter(3, binary=True).fit(ratings).predict(0, 2)[0]
    cy_1, cy_2 = 1 / np.sqrt(2 * 2), 1 / np.sqrt(2 * 1)
    assert further == pytest.approx(2 / 16 * ann_0 * bob_0 * bob_1 * cy_1 * cy_2, abs=1e-15)  # one path, of five steps


def test_with_an_exponent_of_a_half_it_is_three_random_steps(sample):
    model = ct.GraphFilter(popularity=0.5, binary=True).fit(sample)
    R = likes_of(sample, binary=True)
    on, back = R / R.sum(axis=1, keepdims=True), (R / np.maximum(R.sum(axis=0), 1)).T
    steps = on @ back @ on * 2 / 9 * np.sqrt(R.sum(axis=1, keepdims=True))
    unseen = R == 0
    assert every_row(model)[unseen] == pytest.approx(steps[unseen], abs=1e-12)


@pytest.mark.parametrize(
    "how", [{}, {"n_factors": 6, "popularity": 0.2}, {"n_layers": 4, "liked": 0.7, "binary": True}]
)
def test_somebody_of_the_training_part_gets_their_row_again_and_reasons_that_add_up(sample, how):
    model = ct.GraphFilter(**how).fit(sample)
    for row in (0, 7, 50):
        own = sample.csr[[row]]
        told = dict(zip(sample.item_ids[own.indices].tolist(), own.data.tolist(), strict=True))
        viewer = model.viewer(sample.user_ids[row].item())
        assert model.fold_in(told).scores == pytest.approx(viewer.scores, abs=1e-14)
        title = viewer.recommend(1)["item_id"][0]
        reasons = ct.explain(model, viewer, title)
        assert reasons["contribution"].sum() == pytest.approx(viewer.predict(title)[0], abs=1e-14)
        assert len(reasons) == len(told)
        alone = model.fold_in({max(told, key=told.get): 10.0})  # a like of the top rating, by itself
        assert alone.scores.max() > 0


# ---- The low-pass part ----


def test_signs_of_singular_vectors_do_not_matter(sample):
    model = ct.GraphFilter(n_factors=5).fit(sample)
    before = every_row(model)
    model.item_directions_ = model.item_directions_ * np.array([1, -1, 1, -1, -1])
    assert np.array_equal(every_row(model), before)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_directions_that_tie_across_the_edge_are_left_out_together(scale):
    """Three friends apart from three others: the singular value 1 comes twice."""
    R = np.kron(np.eye(2), np.ones((3, 4)))
    S = scale * sp.csr_array(normalised(R))
    assert graphs.smooth_directions(S, 1).shape == (8, 0)
    V = graphs.smooth_directions(S, 2)
    np.testing.assert_allclose(V @ V.T, np.kron(np.eye(2), np.full((4, 4), 0.25)), atol=1e-12)
    assert graphs.smooth_directions(S, 5).shape == (8, 2)  # there are no more
    ratings = ct.Ratings.from_matrix(np.where(R > 0, 1.0, NO), scale=(0, 1))
    assert np.isfinite(ct.GraphFilter(n_factors=1).fit(ratings).complete()).all()


@pytest.mark.parametrize("shape", [(30, 50), (50, 30)])
def test_many_titles_have_the_same_directions(shape, monkeypatch):
    R = (np.random.default_rng(0).random(shape) < 0.2).astype(float)
    S = sp.csr_array(normalised(R))
    dense = graphs.smooth_directions(S, 6)
    assert dense.T @ dense == pytest.approx(np.eye(6), abs=1e-12)
    monkeypatch.setattr(graphs, "DENSE_SIDE", 0)
    found = graphs.smooth_directions(S, 6)
    assert found @ found.T == pytest.approx(dense @ dense.T, abs=1e-12)
    assert graphs.smooth_directions(S, 400) == pytest.approx(graphs.smooth_directions(S, 30), abs=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("n_factors", [5, 30, 60])
def test_lanczos_finds_every_copy_of_a_value_as_the_dense_way_does(n_factors, scale, monkeypatch):
    """Thirty parts that nothing joins, each with the singular value 1, and what lies below it."""
    rng = np.random.default_rng(1)
    blocks = [sp.csr_array(np.maximum(rng.random((7, 8)) < 0.5, np.eye(7, 8))) for _ in range(30)]
    likes = sp.csr_array(sp.block_diag(blocks))
    T = scale * graphs.scaled(likes, graphs.inverse_root(likes.sum(axis=0)))
    dense = graphs.smooth_directions(T, n_factors)
    assert dense.shape[1] == (0 if n_factors < 30 else n_factors)
    monkeypatch.setattr(graphs, "DENSE_SIDE", 0)
    found = graphs.smooth_directions(T, n_factors)
    assert found @ found.T == pytest.approx(dense @ dense.T, abs=1e-9)


def test_all_directions_are_found_where_there_are_no_more():
    T = np.random.default_rng(3).random((3, 5))
    for table in (T, T.T):
        V = graphs.smooth_directions(sp.csr_array(table), 10)
        assert V.shape == (table.shape[1], 3)
        np.testing.assert_allclose(V @ V.T, np.linalg.pinv(table) @ table, atol=1e-12)
        assert graphs.smooth_directions(sp.csr_array(table), 0).shape == (table.shape[1], 0)
    assert graphs.smooth_directions(sp.csr_array((3, 5)), 2).shape == (5, 0)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_what_is_rounding_has_no_direction(scale):
    U, V = (np.linalg.qr(np.random.default_rng(side).random((side, 3)))[0] for side in (9, 12))
    for s in ([1.0, 0.5, 1e-3], [1.0, 0.5, 1e-6]):  # their squares: a millionth of the largest, and below rounding
        T, r = sp.csr_array(scale * (U * s) @ V.T), 3 - (s[2] < 1e-5)
        for found in (graphs.smooth_directions(T, 6), graphs.smooth_directions(T, 20)):
            assert found.shape == (12, r)
            np.testing.assert_allclose(found @ found.T, V[:, :r] @ V[:, :r].T, atol=1e-8)


def test_one_viewer_has_one_direction_and_likes_that_are_almost_alike_too(table):
    alone = ct.Ratings.from_matrix(np.array([[9.0, 8.0, 10.0, NO]]), scale=(1, 10))
    assert ct.GraphFilter(n_factors=3).fit(alone).item_directions_.shape == (4, 1)
    alike = np.ones((6, 8)) + 1e-9 * np.random.default_rng(0).random((6, 8))
    for T in (alike, alike.T):
        found = graphs.smooth_directions(sp.csr_array(T), 3)
        assert found @ found.T == pytest.approx(np.full((T.shape[1],) * 2, 1 / T.shape[1]), abs=1e-7)


def test_values_tie_by_their_share_of_the_largest():
    for apart, kept in [(2e-6, 1), (1e-2, 1), (0.5, 1)]:  # their squares differ by less than a ten-millionth of 1
        T = sp.csr_array(np.diag([1.0, 1e-4, 1e-4 * (1 - apart)]))
        assert graphs.smooth_directions(T, 2).shape == (3, kept)
    assert graphs.smooth_directions(sp.csr_array(np.diag([1.0, 1e-3, 5e-4])), 2).shape == (3, 2)


def test_copies_of_a_value_beyond_those_asked_for_are_not_looked_for(monkeypatch):
    """Of forty pairs apart from each other three are found, and a second look tells that all tie."""
    asked, eigsh = [], graphs.eigsh
    monkeypatch.setattr(graphs, "DENSE_SIDE", 0)
    monkeypatch.setattr(graphs, "eigsh", lambda A, k, **how: asked.append(k) or eigsh(A, k, **how))
    assert graphs.smooth_directions(sp.csr_array(sp.eye_array(40)), 2).shape == (40, 0)
    assert len(asked) == 2


def test_as_many_directions_as_there_are_are_found_by_the_dense_way_alone(monkeypatch):
    monkeypatch.setattr(graphs, "DENSE_SIDE", 0)
    T = sp.csr_array(np.random.default_rng(3).random((4, 6)))
    assert [graphs.smooth_directions(T, n).shape[1] for n in (1, 2, 3, 4, 5)] == [1, 2, 3, 4, 4]


def test_directions_are_given_up_beforehand_where_they_would_not_be_found_in_time(monkeypatch):
    """Ten times the cube of the shorter side: 80 s and 120 s."""
    T = sp.csr_array(np.random.default_rng(3).random((30, 50)))
    monkeypatch.setattr(graphs, "DENSE_SPEED", 10 * 30**3 / 80)
    with in_time(100):
        graphs.smooth_directions(T, 3)
        monkeypatch.setattr(graphs, "DENSE_SPEED", 10 * 30**3 / 120)
        with pytest.raises(OutOfTime):
            graphs.smooth_directions(T, 3)
        monkeypatch.setattr(graphs, "DENSE_SIDE", 0)
        graphs.smooth_directions(T, 3)  # the other way can be stopped
        with pytest.raises(OutOfTime), in_time(-1):
            graphs.smooth_directions(T, 3)


# ---- The graph ----


def test_a_root_of_nothing_is_nothing():
    assert graphs.inverse_root(np.array([0.25, 0.0, 1.0, 4.0])).tolist() == [2, 0, 1, 0.5]


def test_what_walks_for_long_can_be_stopped():
    X = sp.csr_array(np.ones((3, 4)))
    with in_time(-1):
        graphs.carried(X, X.T, np.array([1.0]))
        with pytest.raises(OutOfTime):
            graphs.carried(X, X.T, np.array([1.0, 2.0]))


@pytest.mark.parametrize("cells", [1, 25, 10**6])
@pytest.mark.parametrize("weights", [[0.5], [0.5, 2.0], [0.0, 1.0, 3.0]])
def test_what_is_carried_is_the_polynomial_of_the_dense_table(weights, cells, monkeypatch):
    monkeypatch.setattr(graphs, "BLOCK_CELLS", cells)
    X, roots = (np.random.default_rng(5).random(shape) for shape in ((7, 6), (6, 4)))
    expected = sum(w * X @ np.linalg.matrix_power(roots @ roots.T, power) for power, w in enumerate(weights))
    for kind in (sp.csr_array, np.asarray):
        assert graphs.carried(sp.csr_array(X), kind(roots), np.array(weights)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
@pytest.mark.parametrize(("cells", "blocks"), [(5, 7), (12, 4), (17, 4), (18, 3), (42, 1)])
def test_as_many_rows_walk_together_as_the_longer_side_leaves_room_for(shape, cells, blocks, monkeypatch):
    looks = []
    monkeypatch.setattr(graphs, "BLOCK_CELLS", cells)
    monkeypatch.setattr(graphs, "check_time", lambda: looks.append(1))
    graphs.carried(sp.csr_array(np.ones((7, shape[0]))), sp.csr_array(np.ones(shape)), np.array([1.0, 2.0]))
    assert len(looks) == blocks


def test_a_few_viewers_at_a_time_walk_as_all_of_them(sample, monkeypatch):
    model = ct.GraphFilter(4, 3).fit(sample)
    whole = every_row(model)
    monkeypatch.setattr(graphs, "BLOCK_CELLS", 7 * max(sample.shape))
    assert np.array_equal(every_row(model), whole)


def test_without_its_viewers_it_holds_the_row_of_none_and_lists_as_before(sample, tmp_path):
    for table in (sample, sample.part(sample.rows < 30)):  # more viewers than titles, and fewer
        model = ct.GraphFilter(3, 5, popularity=0.2).fit(table)
        with pytest.warns(UserWarning, match="GraphFilter keeps which titles were rated together"):
            model.save(tmp_path / "bare.npz", with_ratings=False)
        bare = ct.load_model(tmp_path / "bare.npz")
        told = {int(title): 8.0 for title in table.item_ids[:7]}
        assert bare.fold_in(told).scores == pytest.approx(model.fold_in(told).scores, abs=1e-12)
        rows = model.item_roots_.toarray().T
        assert np.abs(np.corrcoef(bare.item_roots_.T, rows)[: bare.item_roots_.shape[1], -len(rows) :]).max() < 0.999


def test_directions_that_would_not_fit_are_refused(sample, monkeypatch):
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 1000)
    ct.GraphFilter().fit(sample)
    with pytest.raises(MemoryError, match="GraphFilter's n_factors: so many singular directions"):
        ct.GraphFilter(n_factors=3).fit(sample)


def test_a_graph_without_time_is_given_up(sample):
    with pytest.raises(OutOfTime), in_time(1e-9):
        ct.GraphFilter(n_factors=5).fit(sample)


def test_titles_and_viewers_that_nothing_leads_to_get_0():
    low = ct.Ratings.from_matrix([[5, 1, NO], [4, NO, NO], [NO, NO, 1]], scale=(1, 5))  # the lowest rating says nothing
    model = ct.GraphFilter(4, 2).fit(low)
    scores = model.complete()
    assert scores[:, 1:] == pytest.approx(0, abs=1e-15)
    assert (scores[2] == 0).all()
    liked = ct.GraphFilter(4, 2, liked=0.75).fit(low)
    assert liked.item_roots_.shape == (3, 2)  # those who like something


@pytest.mark.parametrize("how", [{}, {"n_factors": 5, "low_pass": 0}])
def test_settings_that_reach_no_other_title_are_refused(table, how):
    with pytest.raises(ValueError, match="n_layers must be at least 2 where there is no low-pass part"):
        ct.GraphFilter(1, **how).fit(table)


def test_one_layer_is_refused_where_all_directions_tie():
    """Two pairs of friends apart from each other: the singular value 1 comes twice, and one of the two is nobody's."""
    apart = ct.Ratings.from_matrix(np.where(np.kron(np.eye(2), np.ones((2, 2))), 1.0, NO), scale=(0, 1))
    with pytest.raises(ValueError, match=r"of n_factors=1, low_pass=0.03 no direction is left"):
        ct.GraphFilter(1, 1).fit(apart)


def test_a_new_title_is_refused(table):
    with pytest.raises(ValueError, match="GraphFilter knows the titles it was fitted to; for a new title fit it again"):
        ct.GraphFilter().fit(table).fold_in_item({101: 5})


def test_what_is_added_changes_nobody_elses_list(table):
    model = ct.GraphFilter(3, 2).fit(table)
    grown = model.add(model.fold_in({11: 9, 14: 3}), 200).update(table.part(np.arange(len(table)) < 2))
    assert every_row(grown)[: table.n_users] == pytest.approx(every_row(model), abs=1e-15)


def test_it_is_tuned_by_its_lists(sample):
    train, _ = sample.split_random(0.2, 3)
    found = ct.tune(ct.GraphFilter(), train, n_trials=4, score="ndcg", threshold=8)
    assert found.study.best_params.keys() == {"n_layers", "n_factors", "low_pass", "popularity"}
    assert -found.study.best_value > 0


def test_many_layers_end_at_popularity(table):
    """Without an average, S (S'S)^j approaches the first direction, whose entries are roots of degrees."""
    S, R = sp.csr_array(normalised(likes_of(table, binary=True))), likes_of(table, binary=True)
    last = graphs.carried(S, S.T, np.append(np.zeros(80), 1.0))
    expected = np.sqrt(np.outer(R.sum(axis=1), R.sum(axis=0))) / R.sum()
    assert last == pytest.approx(expected, abs=1e-9)
    assert TYPED.shape == last.shape
