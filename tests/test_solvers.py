"""The algebra and the compiled loops that models are solved by, one by one: plain twins, and what each must keep."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg

import content_table as ct
from content_table_parts import solvers
from content_table_parts.interrupts import OutOfTime, in_time

RNG = np.random.default_rng(7)


def sparse(shape, density=0.4, seed=0):
    rng = np.random.default_rng(seed)
    return sp.csr_array(rng.normal(size=shape) * (rng.random(shape) < density))


# ---- What would take too much memory or time ----


def test_a_dense_table_is_refused_above_the_limit_and_not_at_it(monkeypatch):
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 7 - 1)
    ct.check_memory((2, 3), "a table")
    with pytest.raises(MemoryError, match="a table needs a dense 7 x 1 table"):
        ct.check_memory((7, 1), "a table")


@pytest.mark.parametrize("turned", [1, -1])
def test_an_svd_is_given_up_beforehand_where_it_would_not_end_in_time(turned):
    """Four times the longer side by the square of the shorter, at 10^10 a second: 80 s and 120 s."""
    with in_time(100):
        solvers.check_time_for_svd((200_000, 1_000)[::turned])
        with pytest.raises(OutOfTime):
            solvers.check_time_for_svd((300_000, 1_000)[::turned])


# ---- Singular values ----


def test_shrunk_singular_values_are_those_above_the_threshold():
    U, V = (np.linalg.qr(RNG.normal(size=(side, 4)))[0] for side in (6, 5))
    left, s, right = solvers.shrink_singular_values((U * [5.0, 3.0, 2.0, 0.5]) @ V.T, 2.5)
    assert s == pytest.approx([2.5, 0.5], abs=1e-12)
    assert (left * s) @ right == pytest.approx((U * [2.5, 0.5, 0.0, 0.0]) @ V.T, abs=1e-12)


def test_the_gram_matrix_of_a_sparse_table_is_its_upper_triangle():
    for seed in range(5):
        S = sparse((7, 9), seed=seed)
        assert solvers._minus_gram(S) == pytest.approx(-np.triu((S @ S.T).toarray()), abs=1e-13)


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_nothing_within_rounding_of_the_norm_is_proven_to_be_a_bound(scale):
    """Three tables of norm 1: a dense factor, one long row, and one entry in a large square."""
    corner = sp.csr_array(([1.0], ([0], [0])), shape=(300, 300))
    for S, rounding in [(sp.eye_array(20), 3e-13), (np.full((1, 10_000), 0.01), 3e-12), (corner, 2e-11)]:
        S = sp.csr_array(S * scale)
        for bound, proven in [(0.5, False), (1 - rounding / 3, False), (1, False), (1 + rounding / 3, False)]:
            assert solvers._is_bound(S, scale * bound) == proven
        assert solvers._is_bound(S, scale * (1 + 4 * rounding))


def test_a_table_with_a_zero_among_its_entries_has_a_norm_like_any_other(monkeypatch):
    S = sp.csr_array((np.array([3.0, 0.0, 4.0]), ([0, 1, 1], [0, 0, 1])), shape=(2, 2))
    assert solvers.estimated_spectral_norm(S) == pytest.approx(4, rel=1e-9)
    assert ct.spectral_norm_bound(S)[0] == pytest.approx(4, rel=1e-9)
    for side in ("EIGEN_SIDE", "GRAM_SIDE"):
        monkeypatch.setattr(solvers, side, 1)
        assert ct.spectral_norm_bound(S)[0] == pytest.approx(4, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (50, 3), (40, 40), (90, 120)])
def test_an_estimated_norm_is_hardly_below_and_never_above(shape):
    for seed in range(5):
        S = sparse(shape, 0.9, seed)
        norm = np.linalg.norm(S.toarray(), 2)
        assert norm * (1 - 1e-5) <= solvers.estimated_spectral_norm(S) <= norm * (1 + 1e-12)
    assert solvers.estimated_spectral_norm(sp.csr_array(shape)) == 0


def steps_of_lanczos(S, monkeypatch, settled=0.0):
    """(value, doubt, how many steps were taken)"""
    taken = []
    monkeypatch.setattr(solvers, "check_time", lambda: taken.append(1))
    return *solvers._lanczos(S, settled), len(taken)


@pytest.mark.parametrize(
    ("most", "room", "steps"), [(300, 2**27, 120), (80, 2**27, 80), (300, 8 * 120 * 70, 70), (300, 1, 60), (20, 1, 60)]
)
def test_so_many_steps_leave_the_doubt_that_the_theorem_says(most, room, steps, monkeypatch):
    monkeypatch.setattr(solvers, "LANCZOS_STEPS", most)
    monkeypatch.setattr(solvers, "LANCZOS_BYTES", room)
    S = sp.diags_array(np.linspace(1, 2, 120)).tocsr()
    value, doubt, taken = steps_of_lanczos(S, monkeypatch)
    assert taken == steps
    assert 4 * (1 - doubt) <= value <= 4 + 1e-12
    if steps == 120:
        assert (value, doubt) == (pytest.approx(4, abs=1e-12), 0)  # all directions have been met
    else:
        chance = 1.648 * np.sqrt(120) * np.exp(-np.sqrt(doubt) * (2 * steps - 1))
        assert chance == pytest.approx(1e-9, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_an_estimate_ends_where_ten_steps_raise_it_no_more(scale, monkeypatch):
    S = sp.diags_array(scale * np.append(np.linspace(0, 1, 199), 10.0)).tocsr()  # one value far above all others
    value, _, taken = steps_of_lanczos(S, monkeypatch, settled=1e-8)
    assert value == pytest.approx(100 * scale**2, rel=1e-9)
    assert 11 < taken < 25
    assert steps_of_lanczos(S, monkeypatch)[2] > 2 * taken  # a bound goes on
    S = sp.diags_array(scale * np.sqrt(np.linspace(0, 1, 250))).tocsr()  # none far above the next
    value, _, taken = steps_of_lanczos(S, monkeypatch, settled=1e-8)
    assert value == pytest.approx(scale**2, rel=1e-6)
    assert 25 < taken < 150


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_what_has_few_singular_values_is_known_after_as_many_steps(scale, monkeypatch):
    S = sp.diags_array(scale * np.repeat([1.0, 2.0, 3.0], 30)).tocsr()
    assert steps_of_lanczos(S, monkeypatch) == (pytest.approx(9 * scale**2, rel=1e-12), 0, 3)


WAYS = {"eigenvalues": (30, 30, 0, 1e-9), "proof": (29, 30, 5e-8, 2e-7), "Lanczos": (29, 29, 0, 1e-9)}


@pytest.mark.parametrize("way", WAYS)
def test_a_bound_is_one_whichever_side_is_longer_and_the_shorter_side_decides_how(way, monkeypatch):
    *sides, above, below = WAYS[way]
    for name, side in zip(("EIGEN_SIDE", "GRAM_SIDE"), sides, strict=True):
        monkeypatch.setattr(solvers, name, side)
    S = sparse((30, 80))
    bound, proven = ct.spectral_norm_bound(S)
    assert proven == (way != "Lanczos")
    assert ct.spectral_norm_bound(S.T) == (bound, proven)
    norm = np.linalg.norm(S.toarray(), 2)
    assert norm * (1 + above) <= bound <= norm * (1 + below)


def test_the_bound_by_eigenvalues_is_above_all_rounding():
    for scale in (1e-5, 1.0, 1e5):
        bound, _ = ct.spectral_norm_bound(scale * sp.eye_array(20).tocsr())
        assert 1 + 1e-13 < bound / scale < 1 + 1e-12


@pytest.mark.parametrize(("low", "more"), [(5e-8, 1e-7), (5e-7, 1e-6), (5e-6, 1e-5)])
def test_an_estimate_that_is_somewhat_low_is_raised_until_it_is_a_bound(low, more, monkeypatch):
    S = sparse((30, 80))
    norm = np.linalg.norm(S.toarray(), 2)
    monkeypatch.setattr(solvers, "EIGEN_SIDE", 5)
    monkeypatch.setattr(solvers, "estimated_spectral_norm", lambda S: norm * (1 - low))
    assert ct.spectral_norm_bound(S) == (pytest.approx(norm * (1 + more - low), rel=more / 100), True)


def test_where_the_fast_routine_gives_up_the_largest_eigenvalue_is_found_by_the_other(monkeypatch):
    def give_up(*given, **options):
        raise np.linalg.LinAlgError

    S = sparse((30, 80))
    bound = ct.spectral_norm_bound(S)
    monkeypatch.setattr(scipy.linalg, "eigvalsh", give_up)
    assert ct.spectral_norm_bound(S) == (pytest.approx(bound[0], rel=1e-12), True)


# ---- Sums of products ----


@pytest.mark.parametrize("k", range(11))
def test_dots_of_pairs_are_those_of_numpy(k):
    P, Q = RNG.normal(size=(4, k)), RNG.normal(size=(6, k))
    rows, cols = np.array([3, 0, 3, 1]), np.array([5, 5, 0, 2])
    assert ct.pair_dots(P, Q, rows, cols) == pytest.approx((P[rows] * Q[cols]).sum(axis=1), abs=1e-13)


def test_the_squared_loss_by_hand():
    residual = np.array([1.0, -2.0])
    assert ct.squared_loss(residual) == 5
    assert ct.squared_loss(residual, 0.5, np.array([[1.0, 2.0]]), np.array([3.0])) == 5 + 0.5 * (5 + 9)


# ---- Biases ----


def best_biases(rows, cols, shape, values, reg):
    """Of least norm, from a dense least-squares problem."""
    entries = np.arange(len(rows))
    design = np.zeros((len(rows), sum(shape)))
    design[entries, rows] = design[entries, shape[0] + cols] = 1.0
    design = np.vstack([design, np.sqrt(reg) * np.eye(sum(shape))])
    return np.split(np.linalg.lstsq(design, np.append(values, np.zeros(sum(shape))), rcond=1e-12)[0], [shape[0]])


@pytest.mark.parametrize("reg", [0.0, 0.3, 20.0])
@pytest.mark.parametrize("shape", [(6, 15), (15, 6), (8, 8)])
@pytest.mark.parametrize(
    "limits", [{}, {"DENSE_CELLS": 0}, {"GRAM_SIDE": 1}, {"GRAM_SIDE": 1, "DENSE_CELLS": 0}], ids=str
)
def test_biases_are_the_least_squares_of_least_norm_by_every_way(reg, shape, limits, monkeypatch):
    """Two parts that no rating joins, and a user and an item without ratings."""
    for name, value in limits.items():
        monkeypatch.setattr(solvers, name, value)
    known = np.random.default_rng(sum(shape)).random(shape) < 0.7
    known[:3, shape[1] // 2 :] = known[3:, : shape[1] // 2] = False
    known[-1] = known[:, -1] = False
    rows, cols = np.nonzero(known)
    solve = ct.bias_solver(rows, cols, shape, reg)
    for values in (RNG.normal(size=len(rows)), 7 + RNG.normal(size=len(rows))):  # factored once
        for found, expected in zip(solve(values), best_biases(rows, cols, shape, values, reg), strict=True):
            assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("limit", [5_000, 1])
@pytest.mark.parametrize("shape", [(6, 15), (15, 6)])
def test_a_penalty_that_rounding_would_lose_is_none(shape, limit, monkeypatch):
    """Two parts that no rating joins: in each, what users and items could pass on to each other is shared."""
    monkeypatch.setattr(solvers, "GRAM_SIDE", limit)
    known = np.kron(np.eye(2), np.ones((shape[0] // 2 + 1, shape[1] // 2 + 1)))[: shape[0], : shape[1]]
    rows, cols = np.nonzero(known)
    values = 7 + RNG.normal(size=len(rows))
    users, items = ct.bias_solver(rows, cols, shape, 1e-12)(values)
    for found, expected in zip((users, items), ct.bias_solver(rows, cols, shape, 0.0)(values), strict=True):
        assert found == pytest.approx(expected, abs=1e-8)
    first = known[:, 0] > 0, known[0] > 0
    for of_users, of_items in (first, (~first[0], ~first[1])):
        assert users[of_users].sum() == pytest.approx(items[of_items].sum(), abs=1e-8)


def test_a_penalty_at_the_edge_of_rounding_still_shares_the_mean_between_users_and_items():
    shape, reg = (4, 9), solvers.NO_PENALTY
    rows, cols = np.divmod(np.arange(36), 9)
    values = 7 + RNG.normal(size=36)
    found = ct.bias_solver(rows, cols, shape, reg)(values)
    design = np.zeros((36, 13))
    design[np.arange(36), rows] = design[np.arange(36), 4 + cols] = 1.0
    dense = np.linalg.solve(design.T @ design + reg * np.eye(13), design.T @ values)
    assert np.concatenate(found) == pytest.approx(dense, abs=1e-3)
    assert found[0].sum() == pytest.approx(found[1].sum(), abs=1e-3)


@pytest.mark.parametrize(("shape", "is_sparse"), [((5, 20), False), ((20, 5), False), ((6, 17), True), ((17, 6), True)])
def test_a_table_of_more_cells_than_the_limit_is_never_made_dense(shape, is_sparse, monkeypatch):
    found, gram = [], solvers._minus_gram
    monkeypatch.setattr(solvers, "DENSE_CELLS", 100)
    monkeypatch.setattr(solvers, "_minus_gram", lambda S: found.append(sp.issparse(S)) or gram(S))
    rows, cols = np.divmod(np.arange(0, shape[0] * shape[1], 3), shape[1])
    ct.bias_solver(rows, cols, shape, 1.0)
    assert found == [True] * is_sparse


def test_of_all_biases_with_the_same_sums_those_of_least_norm_are_taken():
    rows, cols = np.array([0, 1, 1, 2]), np.array([0, 0, 1, 2])  # two parts, and item 3 alone
    users, items = RNG.normal(size=3), RNG.normal(size=4)
    found = solvers._least_norm(users, items, rows, cols)
    assert found[0][rows] + found[1][cols] == pytest.approx(users[rows] + items[cols], abs=1e-14)
    for part in (((0, 1), (0, 1)), ((2,), (2,)), ((), (3,))):  # no constant passed on would make them smaller
        assert found[0][list(part[0])].sum() == pytest.approx(found[1][list(part[1])].sum() * bool(part[0]), abs=1e-14)


def test_bias_equations_that_are_not_solved_are_an_error(monkeypatch):
    monkeypatch.setattr(solvers, "GRAM_SIDE", 1)
    monkeypatch.setattr(scipy.sparse.linalg, "cg", lambda A, rhs, **how: (rhs, 1))
    solve = ct.bias_solver(np.array([0, 1]), np.array([0, 1]), (2, 2), 1.0)
    with pytest.raises(RuntimeError, match=r"conjugate gradients did not solve .*; raise `reg`"):
        solve(np.ones(2))


# ---- Pairs of titles ----


def with_zeros(S):
    """Some entries are there and 0, as the residual of a rating may be."""
    S.data[::4] = 0.0
    return S


def known_cells(S):
    return sp.csr_array((np.ones(S.nnz), S.indices, S.indptr), S.shape).toarray() > 0


def slow_similarities(S, shrinkage):
    known, n = known_cells(S), S.shape[1]
    left, W = S.toarray(), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            both = known[:, i] & known[:, j]
            a, b = left[both, i], left[both, j]
            if i != j and a @ b > 0:
                W[i, j] = a @ b / np.sqrt((a @ a) * (b @ b)) * both.sum() / (both.sum() + shrinkage)
    return W


def similarities(S, shrinkage):
    by_title = S.tocsc()
    tables = by_title.indptr, by_title.indices, by_title.data, S.indptr, S.indices, S.data
    start, indices, weights = solvers.similar_rows(*tables, shrinkage)
    assert (weights > 0).all()
    assert len(indices) == start[-1]
    found = sp.csr_array((weights, indices, start), shape=(S.shape[1],) * 2)
    assert found.nnz == (found.toarray() != 0).sum()  # no title twice
    return found.toarray()


@pytest.mark.parametrize("shrinkage", [0.0, 3.5])
@pytest.mark.parametrize(("steps", "sampled"), [(10**8, 200), (10, 200), (10, 5), (1, 1)])
def test_similarities_are_those_of_the_slow_twin_by_as_many_titles_as_one_likes(shrinkage, steps, sampled, monkeypatch):
    monkeypatch.setattr(solvers, "PAIR_STEPS", steps)
    monkeypatch.setattr(solvers, "SAMPLED_TITLES", sampled)
    for seed in range(4):
        S = with_zeros(sparse((8, 9), 0.5, seed))
        assert similarities(S, shrinkage) == pytest.approx(slow_similarities(S, shrinkage), abs=1e-12)


def test_a_title_without_residuals_is_like_none():
    S = sp.csr_array(np.array([[1.0, 0.0, 2.0], [1.0, 0.0, -1.0], [2.0, 0.0, 1.0]]))
    S = sp.csr_array((S.toarray().ravel(), np.tile(np.arange(3), 3), np.arange(0, 10, 3)), S.shape)  # its 0s are told
    expected = np.zeros((3, 3))
    expected[0, 2] = expected[2, 0] = 3 / 6  # (2 - 1 + 2) / sqrt(6 * 6)
    assert similarities(S, 0.0) == pytest.approx(expected, abs=1e-15)
    assert similarities(S, 3.0) == pytest.approx(expected / 2, abs=1e-15)


def test_similarities_that_would_not_fit_are_refused_before_or_after_they_are_counted(monkeypatch):
    S = sp.csr_array(np.ones((3, 10)))  # 90 pairs
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 2 * 90)
    assert similarities(S, 0.0).sum() == pytest.approx(90)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 8 * 2 * 89)
    counted, count = [], solvers._count_similar
    monkeypatch.setattr(
        solvers, "_count_similar", lambda titles, *rest: counted.append(len(titles)) or count(titles, *rest)
    )
    for sampled, asked in [(200, 10), (5, 5)]:  # five titles of which each has nine are enough to say so
        monkeypatch.setattr(solvers, "SAMPLED_TITLES", sampled)
        with pytest.raises(MemoryError, match="ItemKNN's table of item pairs needs a dense 2 x 90 table"):
            similarities(S, 0.0)
        assert counted.pop() == asked
    assert not counted


def test_similarities_can_be_stopped_before_each_block_of_titles_is_counted_or_stored(monkeypatch):
    asked = []
    monkeypatch.setattr(solvers, "check_time", lambda: asked.append(1))
    monkeypatch.setattr(solvers, "PAIR_STEPS", 1)
    similarities(sp.csr_array(np.ones((3, 10))), 0.0)
    assert len(asked) == 20


def test_what_a_few_titles_say_of_all_is_off_by_four_standard_errors_at_most(monkeypatch):
    """200 of 400 titles with 100 pairs each, give or take 20: the mean of all is above 96 almost surely."""
    asked = []

    def count(titles):
        asked.append(titles)
        return np.tile([80.0, 120.0], 100)

    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 16 * 400 * 96.1)
    solvers._check_pairs(count, 400)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 16 * 400 * 95.9)
    with pytest.raises(MemoryError, match="ItemKNN"):
        solvers._check_pairs(count, 400)
    assert len(np.unique(asked[0])) == 200
    assert (np.diff(asked[0]) > 0).all()
    assert 0 <= asked[0].min() < 40 < 360 < asked[0].max() < 400


def test_of_few_titles_with_many_pairs_nothing_is_surely_too_much(monkeypatch):
    """Of 1,000 titles 20 have each other: the mean of 200 titles, less four standard errors, is below 0."""
    S = sp.block_diag([np.ones((1, 20)), sp.eye_array(980)], format="csr")
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 16 * 380)
    assert similarities(S, 0.0).sum() == pytest.approx(380)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 16 * 380 - 1)
    with pytest.raises(MemoryError, match="ItemKNN's table of item pairs needs a dense 2 x 380 table"):
        similarities(S, 0.0)


def test_titles_that_share_no_viewer_need_no_memory(monkeypatch):
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 0)
    assert not similarities(sp.eye_array(250, format="csr"), 0.0).any()


@pytest.mark.parametrize("viewers", [1, 2])
def test_of_titles_with_as_many_pairs_each_the_limit_is_exact(viewers, monkeypatch):
    S = sp.csr_array(np.ones((viewers, 300)))
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 16 * 300 * 299)
    assert similarities(S, 0.0).sum() == pytest.approx(300 * 299)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 16 * 300 * 299 - 1)
    with pytest.raises(MemoryError, match="needs a dense 2 x 89,700 table"):
        similarities(S, 0.0)


def test_blocks_of_titles_are_all_titles_in_order_each_of_few_steps(monkeypatch):
    monkeypatch.setattr(solvers, "PAIR_STEPS", 25)
    S = sparse((12, 30), 0.4)
    by_title, rated = S.tocsc(), np.diff(S.indptr)
    blocks = solvers._blocks_of_titles(by_title.indptr, by_title.indices, S.indptr)
    assert np.concatenate(blocks).tolist() == list(range(30))
    steps = [rated[by_title.indices[by_title.indptr[i] : by_title.indptr[i + 1]]].sum() for i in range(30)]
    assert max(sum(steps[i] for i in block) for block in blocks) <= 25 + max(steps)
    assert len(blocks) >= 0.6 * min(30, sum(steps) // 25)
    monkeypatch.setattr(solvers, "PAIR_STEPS", 10**8)
    assert len(solvers._blocks_of_titles(by_title.indptr, by_title.indices, S.indptr)) == 1


@pytest.mark.parametrize("n", [1, 2, 3, 10, 33])
def test_the_kth_largest_is_that_of_the_sorted_values(n):
    for values in (RNG.normal(size=n), RNG.integers(0, 4, n).astype(float), np.arange(n) * 1.0, -np.arange(n) * 1.0):
        for k in range(1, n + 1):
            mine = values.copy()
            assert solvers._kth_largest(mine, k) == np.sort(values)[-k]
            assert np.sort(mine).tolist() == np.sort(values).tolist()


def slow_mean(weight, value, count, damping):
    best = np.argsort(-weight, kind="stable")[:count]
    below = weight[best].sum()
    return weight[best] @ value[best] / (below + damping) if below > 0 else 0.0


@pytest.mark.parametrize("damping", [0.0, 0.7])
def test_of_candidates_that_tie_for_the_last_places_the_first_ones_count(damping):
    for weight in ([1, 1, 1, 1], [2, 1, 3, 1, 1, 2], [1, 2, 1, 3], [0, 0], [0.5], [1, 2, 3], [3, 3, 1, 1, 2, 2, 3, 1]):
        weight, value = np.array(weight, float), RNG.normal(size=len(weight))
        for count in range(1, len(weight) + 2):
            given = weight.copy()
            found = solvers._damped_mean(given, value, count, damping)
            assert found == pytest.approx(slow_mean(weight, value, count, damping), abs=1e-14)
            assert given.tolist() == weight.tolist()


def test_means_of_neighbours_are_those_of_the_slow_twin_where_they_are_wanted():
    rng = np.random.default_rng(2)
    R, W = sparse((5, 8), 0.5, 3), np.round(rng.random((8, 8)), 1) * (rng.random((8, 8)) < 0.6)
    W = sp.csr_array(np.triu(W, 1) + np.triu(W, 1).T)
    wanted = rng.random((5, 8)) < 0.7
    tables = R.indptr, R.indices, R.data, W.indptr, W.indices, W.data
    for count, damping in [(1, 0.0), (2, 0.5), (99, 0.1)]:
        found = solvers.neighbour_means(*tables, count, damping, wanted)
        for u in range(5):
            rated = R[[u]].indices
            for i in range(8):
                expected = slow_mean(W.toarray()[i, rated], R.toarray()[u, rated], count, damping)
                assert found[u, i] == pytest.approx(expected * wanted[u, i], abs=1e-14)


# ---- Descent ----


def a_model(n_users=4, n_items=5, k=3, features=(3, 2)):
    """(theta, C, F, dense C, dense F): weights of features in between."""
    rng = np.random.default_rng(5)
    sizes = n_users, n_items, (n_users, k), (n_items, k), (n_users, features[0]), features[::-1]
    theta = tuple(rng.normal(size=size) for size in sizes)
    C, F = sparse((n_items, features[0]), 0.7, 1), sparse((n_users, features[1]), 0.7, 2)
    return theta, solvers.csr_arrays(C), solvers.csr_arrays(F), C.toarray(), F.toarray()


def slow_prediction(u, i, mean, theta, C, F):
    b_user, b_item, P, Q, W, G = theta
    return mean + b_user[u] + b_item[i] + P[u] @ Q[i] + (W[u] + F[u] @ G) @ C[i]


def touched(u, i, C, F):
    """Masks of the numbers of theta that one rating meets."""
    masks = [np.zeros(size, bool) for size in (4, 5, (4, 3), (5, 3), (4, 3), (2, 3))]
    masks[0][u] = masks[1][i] = masks[2][u] = masks[3][i] = True
    masks[4][u] = C[i] != 0
    masks[5][:] = np.outer(F[u] != 0, C[i] != 0)
    return masks


def slow_step(u, i, value, mean, theta, C, F, reg, clip):
    """[step of each array] of one rating: minus half the gradient of its term, by differences, cut to `clip`."""

    def error(theta):
        return (value - slow_prediction(u, i, mean, theta, C, F)) ** 2

    steps = []
    for at, (array, mask) in enumerate(zip(theta, touched(u, i, C, F), strict=True)):
        step = np.zeros(array.shape)
        for cell in zip(*np.nonzero(mask), strict=True):
            sides = []
            for h in (1e-4, -1e-4):  # a square at most of degree four: central differences are exact but for rounding
                moved = array.copy()
                moved[cell] += h
                sides.append(error((*theta[:at], moved, *theta[at + 1 :])))
            step[cell] = -(sides[0] - sides[1]) / 4e-4 - reg * array[cell]
        steps.append(np.clip(step, -clip, clip))
    return steps


ROWS, COLS, VALUES = np.array([0, 3, 3, 1, 0, 2, 3]), np.array([4, 0, 2, 1, 4, 3, 0]), np.linspace(-2, 3, 7)


def test_predictions_of_pairs_are_those_of_the_formula():
    theta, C, F, dense_C, dense_F = a_model()
    found = solvers.predict_pairs(ROWS, COLS, 0.3, theta, C, F)
    expected = [slow_prediction(u, i, 0.3, theta, dense_C, dense_F) for u, i in zip(ROWS, COLS, strict=True)]
    assert found == pytest.approx(expected, abs=1e-12)


def test_steps_touch_as_many_numbers_as_are_counted():
    theta, C, F, dense_C, dense_F = a_model()
    counted = solvers.touched_parameters(ROWS, COLS, theta, C, F)
    slow = [sum(mask.sum() for mask in touched(u, i, dense_C, dense_F)) for u, i in zip(ROWS, COLS, strict=True)]
    assert counted.tolist() == slow


@pytest.mark.parametrize("clip", [np.inf, 0.4])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 50, None])
def test_a_pass_goes_down_the_gradient_of_its_ratings_batch_by_batch(batch_size, clip):
    theta, C, F, dense_C, dense_F = a_model()
    slow, eta, reg, squares = tuple(array.copy() for array in theta), 0.05, 0.3, 0.0
    for batch in np.split(np.arange(7), range(batch_size or 7, 7, batch_size or 7)):
        before = tuple(array.copy() for array in slow)
        for at in batch:
            pair = ROWS[at], COLS[at]
            squares += (VALUES[at] - slow_prediction(*pair, 0.3, before, dense_C, dense_F)) ** 2
            for array, step in zip(
                slow, slow_step(*pair, VALUES[at], 0.3, before, dense_C, dense_F, reg, clip), strict=True
            ):
                array += eta * step
    cut = None if clip == np.inf else clip
    found = solvers.one_pass(ROWS, COLS, VALUES, batch_size, 0.3, theta, C, F, eta, reg, cut)
    assert found == pytest.approx(squares, rel=1e-9)
    for array, expected in zip(theta, slow, strict=True):
        assert array == pytest.approx(expected, abs=1e-7)


def test_adam_takes_the_steps_of_its_paper():
    rng = np.random.default_rng(1)
    theta, mean, square = rng.normal(size=3), np.zeros(3), np.zeros(3)
    slow, slopes, rate = theta.copy(), rng.normal(size=(5, 3)), 0.03
    for t in range(1, 6):
        solvers.adam_step(theta, slopes[t - 1], mean, square, rate, t)
        ages = np.arange(t)[::-1, None]
        m = (0.1 * 0.9**ages * slopes[:t]).sum(axis=0) / (1 - 0.9**t)
        s = (0.001 * 0.999**ages * slopes[:t] ** 2).sum(axis=0) / (1 - 0.999**t)
        slow -= rate * m / (np.sqrt(s) + 1e-8)
        assert theta == pytest.approx(slow, abs=1e-12)
    tiny = np.zeros(1)
    solvers.adam_step(tiny, np.array([1e-8]), np.zeros(1), np.zeros(1), 1.0, 1)
    assert tiny == pytest.approx([-0.5], rel=1e-6)  # a slope as small as the 1e-8 beside it: half a step


def test_loops_are_compiled_once_for_tables_that_may_be_written_and_for_others():
    array = np.arange(3.0)
    view = solvers.locked(array)
    assert np.shares_memory(view, array)
    assert (view.flags.writeable, array.flags.writeable) == (False, True)
    assert solvers.writable(array) is array
    copied = solvers.writable(view)
    assert copied.flags.writeable
    assert not np.shares_memory(copied, array)
    for indices in (np.int32, np.int64):
        table = sp.csr_array((np.ones(2), np.array([1, 0], indices), np.array([0, 1, 2], indices)), shape=(2, 2))
        assert [a.dtype for a in solvers.csr_arrays(table)] == [np.int64, np.int32, np.float64]


def test_the_best_positions_are_finite_rounded_and_in_order():
    scores = np.array([3.0, np.nan, 7.0, 3.0, np.inf, 7.0 + 1e-12, -np.inf, 1.0, 3.0])
    best = [2, 5, 0, 3, 8, 7]  # 7 twice but for rounding, 3 three times
    for n in range(1, 12):
        assert ct.best_positions(scores, n).tolist() == best[:n]


def test_the_best_of_many_positions_are_those_of_a_whole_sort():
    for scores in (RNG.normal(size=3000), RNG.integers(0, 50, 3000)):
        order = np.argsort(-scores, kind="stable")
        for n in (1, 2, 10, 500, 2999, 3000):
            assert np.array_equal(ct.best_positions(scores, n), order[:n])


# ---- The splitting ----


def as_dense(Z):
    return np.array(Z @ np.eye(Z.shape[1]))


def splitting(shape=(7, 5), dense=True, monkeypatch=None):
    if not dense:
        monkeypatch.setattr(solvers, "DENSE_CELLS", 0)
    S = sparse(shape, 0.6).tocoo()
    order = np.random.default_rng(0).permutation(S.nnz)  # the entries in no order
    return solvers.Splitting(S.row[order], S.col[order], shape, S.data[order], reg=0.5), S.toarray()


@pytest.mark.parametrize("shape", [(7, 5), (5, 7)])
def test_a_power_step_at_the_singular_vectors_gives_the_triplets_largest_first(shape):
    Z = np.random.default_rng(0).normal(size=shape)
    U, s, V = solvers._power_step(Z, np.linalg.svd(Z)[2][:3].T @ np.linalg.qr(RNG.normal(size=(3, 3)))[0])
    assert s == pytest.approx(np.linalg.svd(Z)[1][:3], abs=1e-12)
    for found, expected in ((Z @ V, U * s), (U.T @ U, np.eye(3)), (V.T @ V, np.eye(3))):
        assert found == pytest.approx(expected, abs=1e-12)
    assert not solvers._power_step(np.zeros(shape), np.eye(shape[1])[:, :2])[1].round(9).any()
    for large in (np.full(shape, 1e200), np.eye(*shape) * np.append(1e200, np.ones(shape[1] - 1))):
        with pytest.raises(ValueError, match="the steps of the splitting"), np.errstate(all="ignore"):
            solvers._power_step(large, np.eye(shape[1])[:, :2])


@pytest.mark.parametrize("dense", [True, False])
def test_a_pass_of_the_splitting_is_that_of_its_definition(dense, monkeypatch):
    state, A = splitting(dense=dense, monkeypatch=monkeypatch)
    assert as_dense(state.Z) == pytest.approx(A, abs=1e-14)
    assert state.threshold == pytest.approx(np.linalg.norm(A, 2) / 2, rel=1e-3)  # a half of the largest, as guessed
    assert state.step == state.threshold / 0.5
    state.reflect(state.shrink(), RNG.normal(size=len(state.rows)))  # so that no cell of Z is 0
    for _ in range(60):
        state.shrink()  # at a Z held fixed each pass improves the vectors
    Z = as_dense(state.Z)
    x = state.shrink()
    U, s, V = solvers.shrink_singular_values(Z, state.threshold)
    X = (U * s) @ V
    assert x == pytest.approx(X[state.rows, state.cols], abs=1e-9)
    assert (state.U * state.s) @ state.right.T == pytest.approx(X, abs=1e-9)
    on = state.rows, state.cols
    assert state.point(x) == pytest.approx((2 * X - Z)[on], abs=1e-9)
    assert state.multipliers(x) == pytest.approx((Z - X)[on] / state.step, abs=1e-9)
    W = 2 * X - Z
    W[on] = RNG.normal(size=len(x))
    state.reflect(x, W[on])
    assert as_dense(state.Z) == pytest.approx(Z + (1.9 if dense else 1.0) * (W - X), abs=1e-8)
    assert state.z == pytest.approx(as_dense(state.Z)[on], abs=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_a_splitting_with_a_0_among_its_targets_begins_at_half_of_the_largest_singular_value(scale):
    A = scale * np.array([[0.0, 2.0, 1.0], [3.0, 1.0, 5.0]])
    state = solvers.Splitting(*np.divmod(np.arange(6), 3), A.shape, A.ravel(), reg=0.5)
    assert state.threshold == pytest.approx(np.linalg.norm(A, 2) / 2, rel=1e-6)


def test_a_direction_at_the_threshold_of_the_splitting_is_dropped(monkeypatch):
    state, _ = splitting((4, 3))
    triplets = np.eye(4)[:, :3], np.array([3.0, 1.0, 0.5]), np.eye(3)
    monkeypatch.setattr(solvers, "_power_step", lambda Z, V: triplets)
    state.threshold = 1.0
    x = state.shrink()
    assert state.s.tolist() == [2.0]
    assert (state.U.shape, state.right.shape) == ((4, 1), (3, 1))
    assert x.tolist() == np.where((state.rows == 0) & (state.cols == 0), 2.0, 0.0).tolist()


@pytest.mark.parametrize("dense", [True, False])
def test_the_directions_of_a_pass_stay_few(dense, monkeypatch):
    if not dense:
        monkeypatch.setattr(solvers, "DENSE_CELLS", 0)
    A = RNG.normal(size=(60, 2)) @ RNG.normal(size=(2, 50))
    rows, cols = np.nonzero(RNG.random(A.shape) < 0.5)
    state = solvers.Splitting(rows, cols, A.shape, A[rows, cols], reg=0.5)
    for _ in range(25):
        x = state.shrink()
        assert len(state.s) < state.V.shape[1] <= len(state.s) + 10
        state.reflect(x, A[rows, cols])


@pytest.mark.parametrize("dense", [True, False])
def test_passes_follow_the_largest_singular_values_and_room_is_left_for_the_next(dense, monkeypatch):
    if not dense:
        monkeypatch.setattr(solvers, "DENSE_CELLS", 0)
    U, V = (np.linalg.qr(RNG.normal(size=(side, 20)))[0] for side in (30, 20))
    A = (U * np.append([10.0, 8.0, 6.0], np.linspace(4, 2, 17))) @ V.T
    rows, cols = np.divmod(np.arange(600), 20)
    state = solvers.Splitting(rows, cols, A.shape, A.ravel(), reg=0.5)
    for _ in range(60):
        state.shrink()
    assert state.s == pytest.approx(np.array([10, 8, 6]) - state.threshold, abs=1e-9)
    assert (state.U * state.s) @ state.right.T == pytest.approx((U[:, :3] * state.s) @ V[:, :3].T, abs=1e-9)
    assert 3 < state.V.shape[1] < 10
    state.threshold = 0.1
    for _ in range(200):
        state.shrink()
    assert state.s == pytest.approx(np.linalg.svd(A)[1] - 0.1, abs=1e-9)  # all twenty, from seven on


@pytest.mark.parametrize("dense", [True, False])
def test_a_splitting_that_begins_at_factors_has_them_and_the_residual(dense, monkeypatch):
    state, _ = splitting(dense=dense, monkeypatch=monkeypatch)
    P, Q = RNG.normal(size=(7, 2)), RNG.normal(size=(5, 2))
    residual = RNG.normal(size=len(state.rows))
    expected = P @ Q.T
    expected[state.rows, state.cols] += state.step * residual
    state.begin_at(P, Q, residual)
    assert as_dense(state.Z) == pytest.approx(expected, abs=1e-12)
    assert state.z == pytest.approx(expected[state.rows, state.cols], abs=1e-12)
    top = np.linalg.svd(P @ Q.T)[2][:2].T
    assert np.abs(top.T @ state.V[:, :2]) == pytest.approx(np.eye(2), abs=1e-9)  # the vectors, largest first
    x = state.shrink()  # and goes on from there
    assert x == pytest.approx(((state.U * state.s) @ state.right.T)[state.rows, state.cols], abs=1e-12)
    state.reflect(x, x)
    assert state.z == pytest.approx(as_dense(state.Z)[state.rows, state.cols], abs=1e-12)


def test_steps_that_overflow_are_refused_when_the_splitting_begins():
    with pytest.raises(ValueError, match="ratings / reg, overflow; raise reg"):
        solvers.Splitting([0, 1], [1, 0], (2, 2), np.array([1.0, 2.0]), reg=1e-320)
    assert solvers.Splitting([0, 1], [1, 0], (2, 2), np.zeros(2), reg=0.5).shrink().tolist() == [0, 0]


@pytest.mark.parametrize("gap", [False, True])
def test_the_threshold_is_half_of_the_largest_singular_value_of_the_data(gap):
    """A rating of 0 among the others changes nothing of that; where all are 0, any will do."""
    A = np.outer(np.arange(1.0, 10), np.ones(7)) + 0.1 * np.random.default_rng(0).normal(size=(9, 7))
    A[0, 0] *= not gap
    rows, cols = np.indices(A.shape).reshape(2, -1)
    state = solvers.Splitting(rows, cols, A.shape, A.ravel(), reg=4.0)
    assert state.threshold == pytest.approx(np.linalg.norm(A, 2) / 2, rel=1e-6)
    assert state.step == pytest.approx(state.threshold / 4)


@pytest.mark.parametrize(("cells", "dense"), [(35, True), (34, False)])
def test_the_state_of_a_table_of_more_cells_than_the_limit_is_never_dense(cells, dense, monkeypatch):
    monkeypatch.setattr(solvers, "DENSE_CELLS", cells)
    rows, cols = np.indices((7, 5)).reshape(2, -1)
    state = solvers.Splitting(rows, cols, (7, 5), np.arange(35.0), reg=1.0)
    for _ in range(2):
        assert isinstance(state.Z, np.ndarray) == dense
        x = state.shrink()
        state.reflect(x, state.point(x))


def test_a_pass_has_room_for_a_few_more_factors_than_it_has_found():
    """Four more, from 30 on a sixth; no more than the table has."""
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.normal(size=(side, 36)))[0] for side in (60, 40))
    rows, cols = np.indices((60, 40)).reshape(2, -1)
    target, widths = ((U * np.linspace(90, 20, 36)) @ V.T).ravel(), {}
    state = solvers.Splitting(rows, cols, (60, 40), target, reg=1.0)
    for _ in range(40):
        x = state.shrink()
        widths[len(state.s)] = state.V.shape[1]
        state.reflect(x, (state.point(x) + state.step * target) / (1 + state.step))
    assert widths == {rank: min(rank + max(4, rank // 6), 40) for rank in widths}
    assert min(widths) < 15
    assert max(widths) == 36


def test_soft_impute_is_the_accelerated_method_begun_anew_where_it_points_uphill():
    """Nesterov's method with the restart by the gradient of O'Donoghue and Candes, step 1: with t and t' = (1 +
    sqrt(1 + 4 t^2)) / 2 its momentum is (t - 1) / t'."""
    rng = np.random.default_rng(2)
    A = 3 * rng.normal(size=(9, 2)) @ rng.normal(size=(2, 7)) + 0.1 * rng.normal(size=(9, 7))
    rows, cols = np.nonzero(rng.random(A.shape) < 0.7)
    state = solvers.SoftImpute(rows, cols, A.shape, A[rows, cols], 1.0)
    before, Y, t, restarts = np.zeros(A.shape), np.zeros(A.shape), 1.0, []
    for epoch in range(50):
        filled = Y.copy()
        filled[rows, cols] = A[rows, cols]
        U, s, Vt = np.linalg.svd(filled, full_matrices=False)
        X = (U * np.maximum(s - 1, 0)) @ Vt
        assert state.shrink() == pytest.approx(X[rows, cols], abs=1e-9)
        np.testing.assert_allclose(state.X, X, atol=1e-9)
        if ((Y - X) * (X - before)).sum() > 0:
            t = 1.0
            restarts.append(epoch)
        faster = (1 + np.sqrt(1 + 4 * t**2)) / 2
        Y, before, t = X + (t - 1) / faster * (X - before), X, faster
        assert state.point(X[rows, cols]) == pytest.approx(Y[rows, cols], abs=1e-9)
        state.reflect(X[rows, cols], A[rows, cols])
    assert len(restarts) == 2


def test_lanczos_gives_the_largest_ritz_value_of_all_its_steps(monkeypatch):
    monkeypatch.setattr(solvers, "FEWEST_STEPS", 4)
    monkeypatch.setattr(solvers, "LANCZOS_STEPS", 4)
    S = sp.csr_array(np.random.default_rng(1).normal(size=(50, 80)))
    A, krylov = (S @ S.T).toarray(), [np.random.default_rng(0).standard_normal(50)]
    while len(krylov) < 4:
        krylov.append(A @ krylov[-1])
    basis = np.linalg.qr(np.transpose(krylov))[0]
    value, doubt = solvers._lanczos(S)
    assert value == pytest.approx(np.linalg.eigvalsh(basis.T @ A @ basis)[-1], rel=1e-9)
    assert doubt == pytest.approx((np.log(1.648 * np.sqrt(50) / 1e-9) / 7) ** 2)
