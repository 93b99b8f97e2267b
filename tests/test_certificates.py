"""Certificates: no dual value exceeds the optimum, no gap is negative, and a wrong answer is found out."""

import warnings

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import content_table as ct
from content_table_parts import certificates, interrupts, solvers

NO = np.nan
CONVEX = {
    "baseline": ct.BiasBaseline(),
    "baseline by cvxpy": ct.BiasBaseline(solver="cvxpy"),
    "spectral": ct.SpectralRegularization(),
    "spectral with biases": ct.SpectralRegularization(biases=True, bias_reg=2),
    "spectral by soft-impute": ct.SpectralRegularization(solver="soft_impute"),
    "spectral with biases by cvxpy": ct.SpectralRegularization(biases=True, bias_reg=2, solver="cvxpy"),
    "nuclear norm": ct.NuclearNorm(),
    "nuclear norm by cvxpy": ct.NuclearNorm(solver="cvxpy"),
}


def quietly(model, ratings):
    """Fit without the warning of having stopped short: an early answer has a certificate too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clone(model).fit(ratings)


def where(ratings):
    return ratings.rows, ratings.cols, ratings.shape


def spectral_at(ratings, X, reg):
    """The spectral certificate at any dense X, without biases."""
    x = X[ratings.rows, ratings.cols]
    norm = np.linalg.svd(X, compute_uv=False).sum()
    return ct.spectral_certificate(ratings.values, ratings.values - x, *where(ratings), reg, norm)


# ---- Bounds ----


@pytest.mark.parametrize("scale", [1e-3, 0.3, 1, 30])
@pytest.mark.parametrize("biases", [False, True])
def test_no_dual_point_of_the_spectral_problem_exceeds_the_optimum(random_ratings, biases, scale):
    reg, bias_reg = 2.0, 3.0
    best = ct.SpectralRegularization(reg, biases, bias_reg, tol=1e-10, n_epochs=20_000).fit(random_ratings)
    target = random_ratings.values - (random_ratings.values.mean() if biases else 0)
    optimum, rng = best.certificate().primal, np.random.default_rng(0)
    for _ in range(100):  # most of these residuals are far outside |theta|_2 <= reg and get scaled into it
        residual = scale * (target + rng.normal(size=len(target)) * rng.choice([0, 1, 5]))
        b = (np.zeros(random_ratings.n_users), np.zeros(random_ratings.n_items)) if biases else None
        bound = ct.spectral_certificate(target, residual, *where(random_ratings), reg, 0.0, b, bias_reg).dual
        assert bound <= optimum * (1 + 1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1, 30])
def test_no_dual_point_of_the_nuclear_norm_exceeds_the_optimum(random_ratings, scale):
    best, rng = ct.NuclearNorm(tol=1e-8).fit(random_ratings).certificate().primal, np.random.default_rng(0)
    for _ in range(100):
        multipliers = scale * (rng.normal(size=len(random_ratings)) + random_ratings.values * rng.choice([0, 1]))
        certificate = ct.nuclear_certificate(
            random_ratings.values, multipliers, random_ratings.rows, random_ratings.cols, np.zeros(random_ratings.shape)
        )
        assert certificate.dual <= best * (1 + 1e-9)
        assert certificate.primal >= best * (1 - 1e-6)  # zeros pasted over are one feasible point, and no better


def test_the_bound_of_the_baseline_lies_below_the_optimum_from_anywhere(noisy):
    optimum, rng = ct.BiasBaseline(reg=2).fit(noisy).certificate().primal, np.random.default_rng(0)
    deviations = noisy.values - noisy.values.mean()
    for _ in range(100):
        b_user, b_item = rng.normal(size=noisy.n_users), rng.normal(size=noisy.n_items)
        certificate = ct.bias_certificate(deviations, noisy.rows, noisy.cols, b_user, b_item, 2)
        assert certificate.dual <= optimum + 1e-9
        assert certificate.primal > optimum


def test_the_bound_of_the_baseline_is_exact_for_a_viewer_without_ratings():
    # Only lambda b^2 depends on that viewer's bias b: from b = 3 at lambda 2 the objective can fall by 18, and the
    # bound, |gradient|^2 / (4 lambda) = 12^2 / 8, says exactly that.
    nothing, zeros = np.zeros(1), np.zeros(1, dtype=int)
    certificate = ct.bias_certificate(nothing, zeros, zeros, np.array([0.0, 3.0]), np.zeros(1), 2)
    assert (certificate.primal, certificate.dual) == (18, 0)


def test_the_bound_of_the_baseline_is_its_squared_gradient_below(noisy):
    deviations, rng, reg = noisy.values - noisy.values.mean(), np.random.default_rng(3), 1.7
    biases = rng.normal(size=noisy.n_users + noisy.n_items)

    def objective(b):
        error = [value - b[row] - b[noisy.n_users + col]
                 for row, col, value in zip(noisy.rows, noisy.cols, deviations, strict=True)]  # fmt: skip
        return sum(e**2 for e in error) + reg * sum(one**2 for one in b)

    steps = np.eye(len(biases))  # differences over a whole step are exact: the objective is quadratic
    gradient = [(objective(biases + step) - objective(biases - step)) / 2 for step in steps]
    found = ct.bias_certificate(
        deviations, noisy.rows, noisy.cols, biases[: noisy.n_users], biases[noisy.n_users :], reg
    )
    assert found.primal == pytest.approx(objective(biases), rel=1e-12)
    assert found.gap == pytest.approx(np.square(gradient).sum() / (4 * reg), rel=1e-9)


AT = np.array([0, 1]), np.array([0, 1]), (2, 3)  # two cells of six: an array on them has its entries as singular values


@pytest.mark.parametrize(
    ("residual", "reg", "options", "primal", "dual"),
    [
        # |residual|^2 / 2 = 5, and 7 with a norm of 4 / 3; theta is half the residual, so 10 / 2 - 5 / 4
        ([3.0, 1.0], 1.5, {}, 7, 3.75),
        # theta is the residual: 10 - 5
        ([3.0, 1.0], 30.0, {}, 45, 5),
        # theta is half of (2, 1), whose product with the target is 7: 7 / 2 - 2.5 / 4
        ([2.0, 1.0], 1.0, {}, 2.5 + 4 / 3, 2.875),
        # the biases cost 4 / 2 * 5 more, the sums of rows and columns (3^2 + 1) * 2 / 8: 10 / 2 - 7.5 / 4
        ([3.0, 1.0], 1.5, {"biases": (np.array([1.0, 0]), np.array([0, 2.0, 0])), "bias_reg": 4.0}, 17, 3.125),
        # divided by the scales the residual is (1.5, 2): again theta is half of it
        ([3.0, 1.0], 1.0, {"scales": (np.array([2.0, 1]), np.array([1.0, 0.5, 9]))}, 5 + 4 / 3, 3.75),
        # a perfect fit
        ([0.0, 0.0], 1.5, {}, 2, 0),
    ],
)
def test_a_spectral_certificate_by_hand(residual, reg, options, primal, dual):
    found = ct.spectral_certificate(np.array([3.0, 1.0]), np.array(residual), *AT, reg, 4 / 3, **options)
    assert (found.primal, found.dual) == pytest.approx((primal, dual), rel=1e-7, abs=1e-12)
    assert found.proven


@pytest.mark.parametrize(("multipliers", "dual"), [([0.5, -0.25], 2), ([4.0, -2.0], 4), ([1.0, 0.0], 3)])
def test_a_nuclear_certificate_by_hand(multipliers, dual):
    # The target (3, -2) is pasted into a table of 9s on these cells: singular values 3 and 2. Multipliers above 1 are
    # divided by the largest of them.
    X = np.diag([9.0, 9.0])
    found = ct.nuclear_certificate(np.array([3.0, -2.0]), np.array(multipliers), *AT[:2], X)
    assert (found.primal, found.dual) == pytest.approx((5, dual), rel=1e-7)
    assert np.array_equal(X, np.diag([9.0, 9.0]))


def test_a_certificate_that_would_take_too_long_is_not_begun(monkeypatch):
    monkeypatch.setattr(solvers, "DENSE_SPEED", 1.0)
    with pytest.raises(interrupts.OutOfTime), interrupts.in_time(10.0):
        ct.nuclear_certificate(np.array([3.0, -2.0]), np.array([0.5, 0.5]), *AT[:2], np.zeros((50, 60)))


def test_an_estimate_is_told_on_a_large_table_where_it_is_too_far_off_already(noisy, monkeypatch):
    residual = noisy.values - noisy.values.mean()

    def at(tol):
        return ct.spectral_certificate(noisy.values, residual, *where(noisy), 2, 0.0, tol=tol)

    assert noisy.shape == (12, 9)
    monkeypatch.setattr(certificates, "EIGEN_SIDE", 9)  # the smaller side is not above it
    assert at(0.0).proven
    monkeypatch.setattr(certificates, "EIGEN_SIDE", 8)
    rough = at(0.0)
    assert not rough.proven
    assert at(None).proven
    assert at(rough.relative_gap).proven  # not above what is asked for
    assert not at(rough.relative_gap * 0.999).proven
    assert rough.primal == at(None).primal
    assert rough.dual == pytest.approx(at(None).dual, rel=0.1)


def test_penalties_and_scales_that_leave_no_bound_are_refused():
    common = np.array([3.0, 1.0]), np.array([3.0, 1.0]), *AT
    biases, ones = (np.zeros(2), np.zeros(3)), (np.ones(2), np.ones(3))
    for biases_alone in (lambda: ct.spectral_certificate(*common, 1.0, 0.0, biases),
                         lambda: ct.spectral_certificate(*common, 1.0, 0.0, biases=biases)):  # fmt: skip
        with pytest.raises(ValueError, match=r"bias_reg must be above 0, got 0\.0"):
            biases_alone()
    with pytest.raises(ValueError, match="bias_reg must be at least 0, got -1"):
        ct.spectral_certificate(*common, 1.0, 0.0, bias_reg=-1)
    with pytest.raises(ValueError, match="nuclear_norm must be at least 0, got -1"):
        ct.spectral_certificate(*common, 1.0, -1.0)
    with pytest.raises(ValueError, match="tol must be at least 0, got -1"):
        ct.spectral_certificate(*common, 1.0, 0.0, tol=-1.0)
    for zero in (np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([-0.5, 1.0])):
        with pytest.raises(ValueError, match=rf"scales must be above 0, got {zero.min():g}"):
            ct.spectral_certificate(*common, 1.0, 0.0, scales=(zero, ones[1]))
    small = ct.spectral_certificate(*common, 1.0, 0.0, scales=(ones[0] / 4, ones[1]))
    assert small.dual == pytest.approx(ct.spectral_certificate(*common, 0.25, 0.0).dual)
    for wrong in ((ones[0],), (*ones, ones[0])):
        with pytest.raises(TypeError, match="biases must be a pair of arrays"):
            ct.spectral_certificate(*common, 1.0, 0.0, biases=wrong, bias_reg=1.0)
    for wrong in ((ones[1], ones[1]), (ones[0], ones[0])):
        with pytest.raises(ValueError, match=r"biases needs \d entries"):
            ct.spectral_certificate(*common, 1.0, 0.0, biases=wrong, bias_reg=1.0)


@pytest.mark.parametrize("reg", [0.01, 0.3, 1, 5, 40, 1000])
@pytest.mark.parametrize("name", CONVEX)
def test_the_gap_is_never_negative(noisy, name, reg):
    model = clone(CONVEX[name])
    if "reg" in model.get_params():
        model.set_params(reg=reg)
    certificate = quietly(model.set_params(**({"n_epochs": 300} if "n_epochs" in model.get_params() else {})), noisy)
    certificate = certificate.certificate()
    assert certificate.gap >= -1e-12 * certificate.primal
    assert certificate.relative_gap == pytest.approx(certificate.gap / certificate.primal)
    assert certificate.proven


@pytest.mark.parametrize("n_epochs", [1, 2, 5, 20, 100])
@pytest.mark.parametrize("name", ["spectral", "spectral with biases", "spectral by soft-impute", "nuclear norm"])
def test_an_early_stop_has_a_true_gap(noisy, name, n_epochs):
    best = clone(CONVEX[name]).set_params(tol=1e-9, n_epochs=20_000).fit(noisy).certificate()
    early = quietly(clone(CONVEX[name]).set_params(n_epochs=n_epochs, tol=0), noisy).certificate()
    assert early.dual <= best.primal * (1 + 1e-9)
    assert early.primal >= best.dual * (1 - 1e-9)
    assert early.gap >= (early.primal - best.primal) - 1e-9 * best.primal


# ---- Wrong answers ----


@pytest.mark.parametrize("size", [1e-3, 0.1, 1, 10])
def test_a_wrong_answer_gets_a_gap_larger_than_what_it_loses(random_ratings, size):
    best = ct.SpectralRegularization(2, tol=1e-10, n_epochs=20_000).fit(random_ratings)
    rng = np.random.default_rng(1)
    for _ in range(20):
        wrong = spectral_at(random_ratings, best.complete() + size * rng.normal(size=random_ratings.shape), 2)
        loss = wrong.primal - best.certificate().primal
        assert loss > 0
        assert wrong.gap >= loss - 1e-9 * best.certificate().primal
        assert wrong.relative_gap > 1e-6


def test_a_model_whose_answer_was_altered_is_found_out(noisy):
    model = ct.SpectralRegularization(2).fit(noisy)
    assert spectral_at(noisy, model.complete(), 2).relative_gap <= 1.1e-6
    assert spectral_at(noisy, model.complete() * 1.01, 2).relative_gap > 1e-5


def test_the_answer_to_another_lambda_is_found_out(noisy):
    other = ct.SpectralRegularization(2.2).fit(noisy)
    assert spectral_at(noisy, other.complete(), 2.2).relative_gap <= 1.1e-6
    assert spectral_at(noisy, other.complete(), 2).relative_gap > 1e-4


def test_a_dual_value_without_the_bias_term_flatters_and_ours_does_not(random_ratings):
    # At X = 0, b = 0 the residual is A - mean; without the last term the dual point claims that half its square is a
    # lower bound, but the biases alone already do better than that.
    target = random_ratings.values - random_ratings.values.mean()
    best = ct.SpectralRegularization(50, True, 1, tol=1e-10).fit(random_ratings).certificate().primal
    zeros = np.zeros(random_ratings.n_users), np.zeros(random_ratings.n_items)
    without = ct.spectral_certificate(target, target, *where(random_ratings), 50, 0.0).dual
    ours = ct.spectral_certificate(target, target, *where(random_ratings), 50, 0.0, zeros, 1).dual
    assert without > 1.01 * best
    assert ours <= best


def test_an_unscaled_residual_would_flatter_and_ours_does_not(random_ratings):
    # Far below |A|_2 the residual A itself is no feasible point: its dual value lies above the optimum.
    best = ct.SpectralRegularization(1).fit(random_ratings).certificate().primal
    values = random_ratings.values
    assert values @ values / 2 > 1.01 * best
    assert ct.spectral_certificate(values, values, *where(random_ratings), 1, 0.0).dual <= best


# ---- The spectral norm ----


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (20, 30), (60, 25), (40, 40)])
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
def test_the_spectral_norm_is_bounded_from_above_and_tightly(shape, density):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        S = sp.csr_array(rng.normal(size=shape) * 10.0 ** rng.integers(-6, 6) * (rng.random(shape) < density))
        bound, proven = ct.spectral_norm_bound(S)
        norm = np.linalg.norm(S.toarray(), 2)
        assert proven
        assert norm <= bound <= norm * (1 + 1e-9)


def test_a_norm_with_many_equal_singular_values_is_bounded_too():
    bound, _ = ct.spectral_norm_bound(sp.csr_array(np.linalg.qr(np.random.default_rng(0).normal(size=(50, 50)))[0]))
    assert 1 <= bound <= 1 + 1e-9


@pytest.mark.parametrize("shape", [(7, 30), (20, 30), (60, 25), (40, 40)])
def test_a_larger_norm_is_estimated_and_then_proven_by_cholesky(shape, monkeypatch):
    monkeypatch.setattr(solvers, "EIGEN_SIDE", 5)
    for seed in range(20):
        S = random_table(shape, seed)
        bound, proven = ct.spectral_norm_bound(S)
        norm = np.linalg.norm(S.toarray(), 2)
        assert proven
        assert norm * (1 + 5e-8) <= bound <= norm * (1 + 2e-7)


def random_table(shape, seed, density=0.3):
    rng = np.random.default_rng(seed)
    return sp.csr_array(rng.normal(size=shape) * 10.0 ** rng.integers(-6, 6) * (rng.random(shape) < density))


def test_what_is_no_bound_is_not_proven():
    for seed in range(20):
        S = random_table((20, 30), seed)
        norm = np.linalg.norm(S.toarray(), 2)
        assert solvers._is_bound(S, norm * (1 + 1e-9))
        assert not solvers._is_bound(S, norm * (1 - 1e-9))


def test_an_estimate_that_was_too_low_is_not_taken(monkeypatch):
    S = random_table((20, 30), 0)
    norm = np.linalg.norm(S.toarray(), 2)
    monkeypatch.setattr(solvers, "EIGEN_SIDE", 5)
    monkeypatch.setattr(solvers, "estimated_spectral_norm", lambda S: 0.9 * norm)
    bound, proven = ct.spectral_norm_bound(S)
    assert proven
    assert norm <= bound <= norm * (1 + 1e-9)


@pytest.mark.parametrize(("shape", "above"), [((5, 9), 1e-9), ((60, 90), 1e-9), ((400, 500), 2e-3)])
def test_the_largest_norms_are_bounded_with_a_stated_probability(shape, above, monkeypatch):
    monkeypatch.setattr(solvers, "GRAM_SIDE", 1)
    for seed in range(10):
        S = random_table(shape, seed)
        bound, proven = ct.spectral_norm_bound(S)
        norm = np.linalg.norm(S.toarray(), 2)
        assert not proven
        assert norm <= bound <= norm * (1 + above)


def test_where_memory_allows_few_steps_the_bound_is_loose_and_yet_a_bound(monkeypatch):
    monkeypatch.setattr(solvers, "GRAM_SIDE", 1)
    monkeypatch.setattr(solvers, "LANCZOS_BYTES", 1)
    for seed in range(5):
        S = random_table((400, 500), seed)
        norm = np.linalg.norm(S.toarray(), 2)
        assert norm <= ct.spectral_norm_bound(S)[0] <= norm * 1.03


def test_equal_singular_values_end_the_iteration_early(monkeypatch):
    monkeypatch.setattr(solvers, "GRAM_SIDE", 1)
    bound, _ = ct.spectral_norm_bound(sp.csr_array(np.linalg.qr(np.random.default_rng(0).normal(size=(50, 50)))[0]))
    assert 1 <= bound <= 1 + 1e-9


def test_a_certificate_that_is_not_proven_says_so(noisy, monkeypatch):
    proven = ct.SpectralRegularization(2).fit(noisy).certificate()
    for side in ("EIGEN_SIDE", "GRAM_SIDE"):
        monkeypatch.setattr(solvers, side, 5)
    likely = ct.SpectralRegularization(2).fit(noisy).certificate()
    assert (proven.proven, likely.proven) == (True, False)
    assert "not proven" in repr(likely)
    assert "proven" not in repr(proven)
    assert likely.dual == pytest.approx(proven.dual, rel=1e-6)
    assert not ct.ALS(2, 2).fit(noisy).certificate().proven


@pytest.mark.parametrize("biases", [False, True])
def test_only_what_could_be_the_last_check_is_proven_on_a_large_table(noisy, monkeypatch, biases):
    model = ct.SpectralRegularization(2, biases=biases, tol=1e-5)
    plain = clone(model).fit(noisy)
    proofs, ask = [], certificates.spectral_norm_bound
    monkeypatch.setattr(certificates, "EIGEN_SIDE", 5)
    monkeypatch.setattr(certificates, "spectral_norm_bound", lambda S: proofs.append(S) or ask(S))
    fitted = clone(model).fit(noisy)
    assert len(proofs) == 1 < len(fitted.history_)
    assert fitted.certificate().proven
    assert fitted.certificate().relative_gap <= 1e-5
    assert [row["epoch"] for row in fitted.history_] == [row["epoch"] for row in plain.history_]
    for mine, theirs in zip(fitted.history_, plain.history_, strict=True):
        assert mine["dual"] == pytest.approx(theirs["dual"], rel=1e-9)
    with pytest.warns(ConvergenceWarning):
        unfinished = clone(model).set_params(n_epochs=12).fit(noisy)
    assert unfinished.certificate().proven
    assert unfinished.certificate().gap >= 0


@pytest.mark.parametrize("side", ["EIGEN_SIDE", "GRAM_SIDE"])
def test_the_norm_of_nothing_is_zero(monkeypatch, side):
    monkeypatch.setattr(solvers, side, 1)
    assert ct.spectral_norm_bound(sp.csr_array((4, 6)))[0] == 0
    explicit_zeros = sp.csr_array((np.zeros(3), ([0, 1, 2], [0, 1, 2])), shape=(3, 3))
    assert ct.spectral_norm_bound(explicit_zeros)[0] == pytest.approx(0, abs=1e-12)


# ---- Reporting ----


def test_gap_and_relative_gap_by_hand():
    certificate = ct.Certificate(4.0, 3.0)
    assert (certificate.gap, certificate.relative_gap) == (1.0, 0.25)
    assert repr(certificate) == "Certificate(primal 4, dual 3, relative gap 2.5e-01)"


def test_the_relative_gap_of_a_perfect_fit_is_zero():
    assert ct.Certificate(0.0, 0.0).relative_gap == 0
    assert ct.Certificate(0.0, -1.0).relative_gap == np.inf  # as far as anybody can say
    assert ct.BiasBaseline().fit(ct.Ratings.from_matrix([[7, 7], [7, NO]])).certificate().relative_gap == 0


@pytest.mark.parametrize(
    "model",
    [
        ct.SpectralRegularization(),
        ct.SpectralRegularization(biases=True),
        ct.SpectralRegularization(reg=0.5),
        ct.NuclearNorm(),
    ],
    ids=repr,
)
def test_the_default_gap_is_at_most_a_millionth_on_both_samples(both_samples, model):
    model = clone(model).fit(both_samples)
    assert model.certificate().gap >= -1e-12 * model.certificate().primal
    assert model.certificate().relative_gap <= 1e-6
    assert model.certificate().proven


def test_the_certificate_is_the_last_one_in_the_history(noisy):
    for name in ("spectral", "spectral with biases", "nuclear norm", "spectral by soft-impute"):
        model = clone(CONVEX[name]).fit(noisy)
        last = model.history_[-1]
        assert (last["primal"], last["dual"]) == (model.certificate().primal, model.certificate().dual)
        assert last["rank"] == len(model.s_)
        assert last["relative_gap"] <= model.tol


def test_the_primal_value_is_the_objective_of_the_kept_factors(random_ratings):
    model = ct.SpectralRegularization(2, True, 3).fit(random_ratings)
    error, s = ct.errors(model, random_ratings), np.linalg.svd((model.U_ * model.s_) @ model.Vt_, compute_uv=False)
    biases = model.user_bias_ @ model.user_bias_ + model.item_bias_ @ model.item_bias_
    assert model.certificate().primal == pytest.approx(error @ error / 2 + 1.5 * biases + 2 * s.sum(), rel=1e-6)


# ---- Alternating least squares ----


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("rank", [1, 3, 9])
def test_no_start_of_als_falls_below_its_bound(noisy, biases, rank):
    optimum = 2 * ct.SpectralRegularization(1, biases, 2, tol=1e-10, n_epochs=20_000).fit(noisy).certificate().primal
    for seed in range(5):
        model = ct.ALS(rank, 1, biases, 2, n_epochs=5, tol=0, random_state=seed).fit(noisy)
        certificate = model.certificate()
        assert certificate.dual <= optimum * (1 + 1e-9)
        assert certificate.primal >= optimum * (1 - 1e-9)
        assert certificate.dual == pytest.approx(optimum, rel=1e-4)  # a tight bound, whatever the rank
        assert certificate.primal == pytest.approx(model._objective()[0], rel=1e-12)


def weights(ratings):
    return [np.sqrt(np.maximum(counts, 1)) for counts in (ratings.user_counts, ratings.item_counts)]


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("rank", [1, 3, 9])
def test_no_start_of_a_weighted_als_falls_below_its_bound(noisy, biases, rank):
    options = {"reg": 0.2, "biases": biases, "bias_reg": 2, "weighted_reg": True, "tol": 0}
    full = [ct.ALS(12, n_epochs=3000, random_state=seed, **options).fit(noisy) for seed in (0, 1)]
    optimum = min(model._objective()[0] for model in full)  # with factors to spare no start ends anywhere else
    assert full[0]._objective()[0] == pytest.approx(full[1]._objective()[0], rel=1e-6)
    for seed in range(4):
        certificate = ct.ALS(rank, n_epochs=5, random_state=seed, **options).fit(noisy).certificate()
        assert certificate.dual <= optimum * (1 + 1e-9)
        assert certificate.primal >= optimum * (1 - 1e-9)
    assert certificate.dual > 0.5 * optimum
    tight = full[0].certificate()
    assert tight.relative_gap < 1e-3
    assert tight.gap >= -1e-12 * tight.primal


@pytest.fixture(scope="module")
def lopsided():
    """Viewers of many titles, who rate high, and of one or two, who rate low: the mean of all is nobody's level."""
    low = [[2, 9, NO], [NO, 1, NO], [3, NO, NO], [NO, NO, 2], [1, 4, 2]]
    wide = np.array([[9, 7, 8, 10, 8, 7, 10], [9, 6, 10, 6, 8, 9, 7], [5, 9, 6, 8, 7, NO, NO]])
    return ct.Ratings.from_matrix(np.vstack([wide, np.hstack([low, np.full((5, 4), NO)])]))


@pytest.mark.parametrize("biases", [False, True])
def test_a_weighted_fit_that_hardly_began_has_as_good_a_bound_as_a_finished_one(lopsided, biases):
    how = {"reg": 0.3, "biases": biases, "bias_reg": 2, "weighted_reg": True, "tol": 0}
    best = ct.ALS(12, n_epochs=1000, **how).fit(lopsided)
    optimum = best._objective()[0]
    assert optimum * (1 - 1e-6) <= best.certificate().dual <= optimum * (1 + 1e-9)
    for start in ("random", (np.ones((8, 1)), np.ones((7, 1)))):
        begun = ct.ALS(1, n_epochs=1, init=start, **how).fit(lopsided)
        assert begun._objective()[0] > 1.2 * optimum
        assert optimum * 0.99 <= begun.certificate().dual <= optimum * (1 + 1e-9)


@pytest.mark.parametrize(("shape", "factors"), [((6, 300), 6), ((300, 6), 6), ((30, 20), 8)])
def test_a_weighted_bound_is_of_four_times_the_factors_or_of_all_that_a_table_has(shape, factors, monkeypatch):
    rows, cols = np.nonzero(np.random.default_rng(0).random(shape) < 0.3)
    values = np.random.default_rng(1).normal(6, 2, len(rows))
    wide = ct.Ratings(range(shape[0]), range(shape[1]), rows, cols, values, scale=(-10, 20))
    model = ct.ALS(2, weighted_reg=True, n_epochs=3, tol=0).fit(wide)
    fit, widths = ct.ALS.fit, []
    monkeypatch.setattr(ct.ALS, "fit", lambda model, ratings: widths.append(model.n_factors) or fit(model, ratings))
    certificate = model.certificate()
    assert widths == [factors]
    assert 0 < certificate.dual <= certificate.primal


@pytest.mark.parametrize("biases", [False, True])
def test_where_the_wider_fit_fails_a_weighted_bound_is_that_of_the_fit_itself(lopsided, monkeypatch, biases):
    """By the dual of the objective over 2: theta is the residual, as far as its weighted norm lets it."""
    model = ct.ALS(1, 0.3, biases, 2, weighted_reg=True, n_epochs=1, tol=0).fit(lopsided)
    E = np.zeros(lopsided.shape)
    E[lopsided.rows, lopsided.cols] = -ct.errors(model, lopsided)
    roots = np.sqrt(np.outer(lopsided.user_counts, lopsided.item_counts))
    theta = E * min(1, 0.3 / np.linalg.norm(E / roots, 2))
    target = lopsided.values - (lopsided.values.mean() if biases else 0)
    dual = theta[lopsided.rows, lopsided.cols] @ target - np.sum(theta**2) / 2
    if biases:
        dual -= (np.sum(theta.sum(axis=0) ** 2) + np.sum(theta.sum(axis=1) ** 2)) / (2 * 2)

    def fails(model, ratings):
        raise ValueError("no solution")

    monkeypatch.setattr(ct.ALS, "fit", fails)
    assert model.certificate().dual == pytest.approx(2 * dual, rel=1e-8)


def test_the_weighted_norm_and_its_dual_by_cvxpy(noisy):
    rows, cols, (d, e) = noisy.rows, noisy.cols, weights(noisy)
    X = cp.Variable(noisy.shape)
    loss = cp.sum_squares(noisy.values - X[rows, cols]) / 2
    problem = cp.Problem(cp.Minimize(loss + 0.3 * cp.normNuc(cp.diag(d) @ X @ cp.diag(e))))
    problem.solve(solver=cp.SCS, eps_abs=1e-7, eps_rel=1e-7, max_iters=50_000)
    residual = noisy.values - X.value[rows, cols]
    norm = np.linalg.svd(d[:, None] * X.value * e, compute_uv=False).sum()
    found = ct.spectral_certificate(noisy.values, residual, rows, cols, noisy.shape, 0.3, norm, scales=(d, e))
    assert found.primal == pytest.approx(problem.value, rel=1e-5)
    assert -1e-6 < found.relative_gap < 1e-4
    model = ct.ALS(12, 0.3, weighted_reg=True, tol=0, n_epochs=3000).fit(noisy)
    assert model._objective()[0] == pytest.approx(2 * problem.value, rel=1e-4)


def test_scales_of_one_change_nothing_and_others_are_a_change_of_variables(noisy):
    rows, cols, rng = noisy.rows, noisy.cols, np.random.default_rng(5)
    residual, ones = rng.normal(size=len(noisy)), (np.ones(noisy.n_users), np.ones(noisy.n_items))
    common = (noisy.values, residual, rows, cols, noisy.shape)
    plain = ct.spectral_certificate(*common, 0.4, 7.0)
    assert ct.spectral_certificate(*common, 0.4, 7.0, scales=ones) == plain
    twice = tuple(2 * one for one in ones)  # |2 X 2|_* = 4 |X|_*
    assert ct.spectral_certificate(*common, 0.1, 28.0, scales=twice).dual == pytest.approx(plain.dual, rel=1e-12)
    with pytest.raises(ValueError, match="scales must be above 0"):
        ct.spectral_certificate(*common, 0.4, 7.0, scales=(0 * ones[0], ones[1]))
    with pytest.raises(TypeError, match="scales must be a pair"):
        ct.spectral_certificate(*common, 0.4, 7.0, scales=[*ones])


def test_the_certificate_of_als_is_that_of_its_factors_as_they_are(noisy):
    model = ct.ALS(2, 1).fit(noisy)
    first = model.certificate()
    assert model.certificate() == first
    model.user_factors_ *= 1.5  # what was altered is found out: the bound stays, the objective is another
    altered = model.certificate()
    assert altered.dual == pytest.approx(first.dual, rel=1e-5)  # the convex fit began elsewhere
    assert altered.primal == pytest.approx(model._objective()[0], rel=1e-12)
    assert altered.relative_gap > 2 * first.relative_gap
    assert model.fit(noisy.part(slice(0, -5))).certificate().primal != first.primal


def test_the_objective_of_a_nearly_free_autoencoder_is_no_difference_of_large_sums():
    rng = np.random.default_rng(1)
    rows, cols = np.nonzero(rng.random((3, 80)) < 0.2)
    table = ct.Ratings(range(3), range(80), rows, cols, np.full(len(rows), 5.0))
    model = ct.EASE(reg=1e-9).fit(table)
    S, B = table.known.toarray(), model.item_weights_
    objective = (np.sum((S - S @ B) ** 2) + 1e-9 * np.sum(B**2)) / 2
    assert model.certificate().primal == pytest.approx(objective, rel=1e-12, abs=0)
    assert model.certificate().dual <= objective


@pytest.mark.parametrize("biases", [False, True])
def test_after_an_update_the_bound_of_als_is_of_the_problem_with_the_mean_as_trained(biases):
    """Ten viewers of one title each, who rate low, and then one who rates high: a worse mean has a higher optimum."""
    A = np.full((11, 8), NO)
    A[0], A[np.arange(1, 11), np.arange(10) % 8] = [9, 9, 10, 9, 8, 9, 10, 9], [2, 1] * 5
    ratings = ct.Ratings.from_matrix(A)
    trained = ct.ALS(8, 1, biases, 2, tol=1e-8).fit(ratings.part(ratings.rows > 0))
    model = trained.update(ratings)
    assert model.global_mean_ == trained.global_mean_ == 1.5
    X, b, c = cp.Variable(ratings.shape), cp.Variable(ratings.n_users), cp.Variable(ratings.n_items)
    error, penalty = ratings.values - X[ratings.rows, ratings.cols], 2 * cp.normNuc(X)
    if biases:
        error = error - 1.5 - b[ratings.rows] - c[ratings.cols]
        penalty = penalty + 2 * (cp.sum_squares(b) + cp.sum_squares(c))
    problem = cp.Problem(cp.Minimize(cp.sum_squares(error) + penalty))
    problem.solve(solver=cp.SCS, eps_abs=1e-6, eps_rel=1e-6, max_iters=50_000)
    assert 0.7 * problem.value < model.certificate().dual <= problem.value * (1 + 1e-4)
    assert biases or model.certificate().dual == pytest.approx(problem.value, rel=1e-4)
    assert model.certificate().primal == pytest.approx(model._objective()[0], rel=1e-12)


@pytest.mark.parametrize("biases", [False, True])
def test_after_an_update_the_spectral_bound_is_below_what_the_same_mean_allows(lopsided, biases):
    """Twice the spectral objective is that of ALS with factors to spare, here with the mean as it was trained."""
    high = lopsided.part(lopsided.values > 2)
    model = ct.SpectralRegularization(1, biases, 2, tol=1e-8).fit(high).update(lopsided)
    found = model.certificate()
    assert model.global_mean_ == high.values.mean() > lopsided.values.mean() + 0.3
    X, b, c = cp.Variable(lopsided.shape), cp.Variable(lopsided.n_users), cp.Variable(lopsided.n_items)
    error, penalty = lopsided.values - X[lopsided.rows, lopsided.cols], cp.normNuc(X)
    if biases:
        error = error - model.global_mean_ - b[lopsided.rows] - c[lopsided.cols]
        penalty = penalty + cp.sum_squares(b) + cp.sum_squares(c)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(error) / 2 + penalty))
    problem.solve(solver=cp.SCS, eps_abs=1e-6, eps_rel=1e-6, max_iters=50_000)
    assert 0.5 * problem.value < found.dual <= problem.value * (1 + 1e-4) <= found.primal * (1 + 2e-4)
    left = ct.errors(model, lopsided)
    size = np.linalg.svd(model.user_factors_ @ model.item_factors_.T, compute_uv=False).sum()
    biases_too = model.user_bias_ @ model.user_bias_ + model.item_bias_ @ model.item_bias_
    assert found.primal == pytest.approx(left @ left / 2 + size + biases_too, rel=1e-9)


def test_without_biases_their_penalty_does_not_matter_to_a_certificate(noisy):
    plain = ct.ALS(2, reg=1).fit(noisy).certificate()
    assert ct.ALS(2, reg=1, bias_reg=0).fit(noisy).certificate() == plain


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("biases", [False, True])
def test_the_certificate_of_als_begins_at_its_factors(noisy, monkeypatch, biases, dense):
    if not dense:
        monkeypatch.setattr(solvers, "DENSE_CELLS", 0)
    als = ct.ALS(n_factors=12, reg=3, biases=biases, tol=1e-13, n_epochs=20_000).fit(noisy)
    fits = []
    monkeypatch.setattr(ct.SpectralRegularization, "_run_splitting", watched(fits))
    assert als.certificate().relative_gap < 1e-5
    ct.SpectralRegularization(3, biases=biases).fit(noisy)
    begun, cold = (fit.history_[-1]["epoch"] for fit in fits)
    assert begun < cold
    assert fits[0].history_[0]["relative_gap"] < fits[1].history_[0]["relative_gap"] / 10


def watched(fits):
    original = ct.SpectralRegularization._run_splitting

    def run(model, *arguments):
        fits.append(model)
        return original(model, *arguments)

    return run


def test_a_weighted_als_with_hardly_a_penalty_has_a_bound_too():
    """More factors, which the bound also tries, may then have no solution in floating point."""
    rng = np.random.default_rng(0)
    for seed in range(40):
        rows, cols = np.nonzero(rng.random((6, 7)) < 0.9)
        values = rng.integers(-4, 5, len(rows)) * 250_000.0
        ratings = ct.Ratings(np.arange(6), np.arange(7), rows, cols, values, scale=(-1e6, 1e6))
        model = ct.ALS(2, reg=1e-9, weighted_reg=True, n_epochs=1, tol=0, random_state=seed)
        found = quietly(model, ratings).certificate()
        assert found.dual <= found.primal


def test_a_certificate_is_asked_for_in_the_tenth_pass_and_the_last(noisy):
    with pytest.warns(ConvergenceWarning):
        model = ct.SpectralRegularization(1.0, tol=0, n_epochs=13).fit(noisy)
    assert [row["epoch"] for row in model.history_] == [10, 13]
