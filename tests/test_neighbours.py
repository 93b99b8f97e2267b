"""Item neighbours and the linear autoencoder: slow twins of compiled loops, and what only their formulas promise."""

import dataclasses

import cvxpy as cp
import numpy as np
import pytest
from conftest import random_table
from sklearn.base import clone

import content_table as ct

SETTINGS = [
    {},
    {"n_neighbors": 3},
    {"n_neighbors": 1, "shrinkage": 0.0, "damping": 0.0},
    {"n_neighbors": 8, "damping": 0.5, "reg": 1.0},
]


def slow_twin(model, ratings):
    """(similarities, predictions of the whole table) in plain NumPy, pair by pair."""
    base = ct.BiasBaseline(model.reg).fit(ratings)
    known, level = ratings.known.toarray() > 0, base.complete()
    R = np.where(known, ratings.csr.toarray() - level, 0.0)
    W = np.zeros((ratings.n_items,) * 2)
    for i in range(ratings.n_items):
        for j in range(ratings.n_items):
            both = known[:, i] & known[:, j]
            a, b = R[both, i], R[both, j]
            if i != j and a @ b > 0:
                cosine = a @ b / np.sqrt((a @ a) * (b @ b))
                W[i, j] = np.round(cosine * both.sum() / (both.sum() + model.shrinkage), ct.TIE)
    for u in range(ratings.n_users):
        rated = np.flatnonzero(known[u])
        for i in range(ratings.n_items):
            best = rated[np.argsort(-W[i, rated], kind="stable")[: model.n_neighbors]]
            if W[i, best].sum() > 0:
                level[u, i] += W[i, best] @ R[u, best] / (W[i, best].sum() + model.damping)
    return W, level


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_slow_twin_has_the_same_neighbours_and_predictions(sample, settings):
    train = sample.split_random(0.5, 1)[0].restrict(np.arange(144) < 40, np.arange(131) < 60)
    model = ct.ItemKNN(**settings).fit(train)
    W, filled = slow_twin(model, train)
    assert np.abs(model.similarity_.toarray() - W).max() == 0
    warm = model._known(np.arange(train.n_users)[:, None], np.arange(train.n_items))
    assert np.abs(model.complete() - filled)[warm].max() < 1e-12


def test_pairs_asked_in_any_order_and_twice_are_the_cells_of_the_rows(sample):
    model = ct.ItemKNN().fit(sample)
    rng = np.random.default_rng(0)
    rows, cols = rng.integers(0, sample.n_users, 3000), rng.integers(0, sample.n_items, 3000)
    assert np.array_equal(model.predict_cells(rows, cols), model.complete()[rows, cols])


def test_pairs_of_many_viewers_are_those_of_each_alone_where_titles_are_too_many_for_all_at_once():
    rng = np.random.default_rng(1)
    users, items = np.divmod(rng.choice(20 * 50, 300, replace=False), 50)
    items = items * 4_000  # 200,001 titles: nine viewers at a time
    values = rng.integers(1, 11, 300)
    model = ct.EASE(1.0, binary=False).fit(ct.Ratings(np.arange(20), np.arange(200_001), users, items, values))
    order = rng.permutation(300)
    rows, cols = users[order], items[rng.permutation(300)]
    together = model.predict_cells(rows, cols)
    for user in range(20):
        own = rows == user
        alone = model.predict_cells(rows[own], cols[own])
        assert np.count_nonzero(alone) > 2
        np.testing.assert_allclose(together[own], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_viewer_of_the_training_part_folded_in_gets_the_trained_predictions(sample, settings):
    model = ct.ItemKNN(**settings).fit(sample)
    for user in sample.user_ids[:20]:
        viewer = model.viewer(user)
        told = dict(zip(sample.item_ids[viewer.at].tolist()[::-1], viewer.values.tolist()[::-1], strict=True))
        assert np.abs(model.fold_in(told).scores - viewer.scores).max() < 1e-12


def test_neighbours_by_hand():
    # Residuals without biases (reg is huge) about the mean 3: viewers (+1, +1, .), (-1, -1, -1), (+1, ., +1).
    # Titles 0 and 1 share two viewers, cosine 1; 0 and 2 too; 1 and 2 share one, cosine 1. Shrinkage 2: 1/2, 1/2, 1/3.
    ratings = ct.Ratings.from_matrix([[4, 4, np.nan], [2, 2, 2], [4, np.nan, 4]], scale=(1.0, 5.0))
    mean = 22 / 7
    model = ct.ItemKNN(shrinkage=2, reg=1e12, damping=0.5).fit(ratings)
    left = 4 - mean  # of the two neighbours that viewer 0 rated
    assert model.predict(0, 2) == pytest.approx([mean + (left / 2 + left / 3) / (1 / 2 + 1 / 3 + 0.5)], abs=1e-9)
    nearest = ct.ItemKNN(n_neighbors=1, shrinkage=2, reg=1e12, damping=0.5).fit(ratings)
    assert nearest.predict(0, 2) == pytest.approx([mean + (left / 2) / (1 / 2 + 0.5)], abs=1e-9)


@pytest.mark.parametrize("reg", [1.0, 30.0])
def test_the_linear_autoencoder_is_the_optimum_of_its_problem(reg):
    ratings = random_table(3, shape=(12, 7))
    S = ratings.known.toarray()
    B = cp.Variable((7, 7))
    problem = cp.Problem(cp.Minimize((cp.sum_squares(S - S @ B) + reg * cp.sum_squares(B)) / 2), [cp.diag(B) == 0])
    problem.solve(solver=cp.CLARABEL)
    model = ct.EASE(reg).fit(ratings)
    assert model.item_weights_ == pytest.approx(B.value, abs=1e-6)
    assert np.diag(model.item_weights_).max() == 0
    assert model.certificate().primal == pytest.approx(problem.value, rel=1e-7)
    assert abs(model.certificate().relative_gap) < 1e-12


def test_its_certificate_bounds_what_any_weights_lose():
    ratings = random_table(4, shape=(10, 6))
    model = ct.EASE(5.0).fit(ratings)
    optimum = model.certificate().primal
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-1, 1.0):
        moved = rng.normal(0, size, model.item_weights_.shape)
        np.fill_diagonal(moved, 0.0)
        model.item_weights_ = ct.EASE(5.0).fit(ratings).item_weights_ + moved
        certificate = model.certificate()
        assert certificate.dual <= optimum * (1 + 1e-12) < certificate.primal


def test_its_lists_need_no_ratings_of_the_new_viewer_but_their_titles(sample):
    model = ct.EASE(30.0).fit(sample)
    viewer = model.viewer(sample.user_ids[3])
    told = dict(zip(sample.item_ids[viewer.at].tolist(), viewer.values.tolist(), strict=True))
    assert np.abs(model.fold_in(told).scores - viewer.scores).max() < 1e-12
    assert np.abs(model.fold_in(dict.fromkeys(told, 5)).scores - viewer.scores).max() < 1e-12
    with pytest.raises(ValueError, match="for a new title fit it again"):
        model.fold_in_item({sample.user_ids[0].item(): 8})


def test_what_is_rounding_has_no_cosine():
    """Without a penalty the biases repeat some rows to the last digit; what is left of them depends on the order."""
    rows, cols = [2, 0, 4, 4, 4, 3, 3, 3, 1, 3, 3, 4, 1, 4], [3, 1, 3, 0, 6, 1, 0, 4, 6, 2, 3, 4, 4, 5]
    tables = [ct.Ratings(range(5), range(7), rows, cols, [3.0, 9, 8, 10, 9, 3, 9, 1, 4, 2, 8, 6, 9, 7])]
    tables += [random_table(seed, (8, 7), 0.35) for seed in range(150)]
    for ratings in tables:
        model = ct.ItemKNN(reg=0)
        expected = clone(model).fit(ratings)
        for seed in range(3):
            found = clone(model).fit(ratings.part(np.random.default_rng(seed).permutation(len(ratings))))
            np.testing.assert_allclose(found.similarity_.toarray(), expected.similarity_.toarray(), atol=1e-6)
            np.testing.assert_allclose(found.complete(), expected.complete(), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [0, 1e10])
def test_titles_that_the_biases_explain_have_no_neighbours_however_large_the_numbers(seed, level):
    """Where large biases, or these and a large mean, add up to about 0, what is left is rounding of the large ones."""
    rng = np.random.default_rng(seed)
    generous, good = (np.resize([5e9, -5e9], n) + rng.integers(-(10**6), 10**6, n) for n in (8, 7))
    known = rng.random((8, 7)) < 0.8
    ratings = ct.Ratings.from_matrix(np.where(known, level + generous[:, None] + good, np.nan), scale=(-3e10, 3e10))
    model = ct.ItemKNN(reg=0, shrinkage=0).fit(ratings)
    assert model.similarity_.nnz == 0
    assert np.array_equal(model.complete(), ct.BiasBaseline(reg=0).fit(ratings).complete())


@pytest.mark.parametrize("reg", [0.0, 5.0])
def test_titles_that_everybody_rates_the_same_have_no_neighbours(reg):
    ratings = ct.Ratings.from_matrix(np.full((4, 3), 7.0), scale=(1, 10))
    model = ct.ItemKNN(reg=reg, shrinkage=0.0).fit(ratings)
    assert model.similarity_.nnz == 0
    assert model.complete() == pytest.approx(np.full((4, 3), 7.0), abs=1e-12)


def test_a_similarity_that_rounds_to_0_is_none(sample):
    model = ct.ItemKNN(shrinkage=1e15).fit(sample)
    assert model.similarity_.nnz == 0
    assert model.n_parameters() == 1 + sample.n_users + sample.n_items


def test_similarities_are_stored_title_by_title_in_the_order_of_the_table(sample):
    similarity = ct.ItemKNN().fit(sample).similarity_
    inside = np.diff(np.repeat(np.arange(sample.n_items), np.diff(similarity.indptr))) == 0
    assert (np.diff(similarity.indices)[inside] > 0).all()
    assert similarity.data.min() > 0
    assert (similarity != similarity.T).nnz == 0
    assert similarity.indices.dtype == similarity.indptr.dtype == np.int32  # 12 bytes for each pair


def test_a_rating_far_from_the_others_leaves_them_their_neighbours():
    near = random_table(0, (30, 12))
    rows, cols = np.append(near.rows, 30), np.append(near.cols, 12)
    far = ct.Ratings(range(31), range(13), rows, cols, np.append(near.values, 1e10), scale=(0, 1e10))
    biased = ct.ItemKNN(reg=0).fit(far)
    assert biased.similarity_[:12, :12].nnz > 0.9 * ct.ItemKNN(reg=0).fit(near).similarity_.nnz


@pytest.mark.parametrize("offset", [1e5, 1e7, 1e9])
def test_ratings_far_from_0_have_the_neighbours_of_their_differences(offset):
    near = random_table(0, (30, 12))
    far = dataclasses.replace(near, values=near.values + offset, scale=(0, 2 * offset))
    one, other = (ct.ItemKNN(reg=0).fit(each).similarity_.toarray() for each in (near, far))
    np.testing.assert_allclose(one, other, atol=1e-13 * offset + 1e-9)
