"""The published figures, on the real ratings: run where CONTENT_TABLE_DATA names the folder that holds them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import real_tables

import content_table as ct
from content_table_parts import solvers

DATA = os.environ.get("CONTENT_TABLE_DATA")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA or not Path(DATA).is_dir(), reason="CONTENT_TABLE_DATA does not name the real ratings"),
]
RESULTS = Path(real_tables.__file__).with_name("results")


@pytest.fixture(scope="module", params=["data 1", "data 2"])
def table(request):
    return request.param


@pytest.fixture(scope="module")
def ratings(table):
    return ct.load_ratings(Path(DATA, "mal", real_tables.TABLES[table]))


@pytest.fixture(scope="module")
def committed():
    return json.loads((RESULTS / "real_tables.json").read_text(encoding="utf-8"))


def by_table(table, first, second):
    return {"data 1": first, "data 2": second}[table]


def test_the_tables_have_the_published_sizes(table, ratings):
    assert (*ratings.shape, len(ratings)) == by_table(table, (144, 131, 2555), (145, 138, 1567))
    assert ratings.dropped == {}


def test_baseline_training_error_is_the_published_one(table, ratings):
    error = ct.rmse(ct.BiasBaseline(reg=5).fit(ratings), ratings)
    assert error == pytest.approx(by_table(table, 1.4950463225, 1.5656342546), abs=1e-8)


def test_spectral_training_error_is_that_of_the_exact_optimum(table, ratings):
    model = ct.SpectralRegularization(reg=5).fit(ratings)
    assert model.certificate().relative_gap <= 1e-6
    assert ct.rmse(model, ratings) == pytest.approx(by_table(table, 0.7436384688, 0.9385515983), abs=1e-6)
    assert len(model.s_) == by_table(table, 22, 16)


def test_als_training_error_is_the_published_one(table, ratings):
    model = ct.course_models()["ALS as published"].fit(ratings)
    assert ct.rmse(model, ratings) == pytest.approx(by_table(table, 0.0177, 0.0216), abs=1e-3)


def test_nuclear_norm_repeats_the_ratings(ratings):
    model = ct.NuclearNorm().fit(ratings)
    assert model.certificate().relative_gap <= 1e-6
    assert ct.rmse(model, ratings) < 1e-6


def test_all_ones_start_is_rank_one_for_three_passes(ratings):
    # Every fit closes with one more user half-step, so two passes end with the P of pass three; pass three has its Q.
    two, three = (ct.ALS(20, 0.1, init="ones", n_epochs=passes, tol=0).fit(ratings) for passes in (2, 3))
    X = two.user_factors_ @ three.item_factors_.T
    s = np.linalg.svd(X, compute_uv=False)
    assert s[1] < 1e-5 * s[0]


def test_the_accidental_rank_one_fit_has_the_error_we_state():
    ratings = ct.load_ratings(Path(DATA, "mal", "100x100.csv"))
    two, three = (ct.ALS(20, 0.1, init="ones", n_epochs=passes, tol=0).fit(ratings) for passes in (2, 3))
    X = two.user_factors_ @ three.item_factors_.T
    error = np.sqrt(np.mean((X[ratings.rows, ratings.cols] - ratings.values) ** 2))
    assert error == pytest.approx(1.475, abs=1e-3)
    assert three.history_[-1]["train_rmse"] == pytest.approx(error, rel=1e-9)


@pytest.mark.slow
def test_als_certificate_closes_with_enough_rank_and_passes(ratings):
    model = ct.ALS(n_factors=25, reg=5, n_epochs=1000, tol=0).fit(ratings)
    assert model.certificate().relative_gap < 1e-5


def test_zero_is_the_answer_from_the_baseline_residuals_norm_on(table, ratings):
    norm = by_table(table, 20.9, 17.5)
    above = ct.SpectralRegularization(reg=norm + 0.1, biases=True).fit(ratings)
    below = ct.SpectralRegularization(reg=norm - 0.1, biases=True).fit(ratings)
    assert len(above.s_) == 0
    assert len(below.s_) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ct.SpectralRegularization, ct.NuclearNorm])
def test_our_answer_and_cvxpys_agree(ratings, kind):
    ours, paper = kind().fit(ratings), kind(solver="cvxpy", tol=1e-4).fit(ratings)
    assert ours.certificate().primal == pytest.approx(paper.certificate().primal, rel=1e-4)
    assert ours.certificate().dual <= paper.certificate().primal


@pytest.fixture(scope="module")
def held_out(ratings):
    return ct.evaluate(real_tables.course_models(ratings), ratings, n_splits=20)


@pytest.mark.slow
def test_held_out_order_turns_the_published_order_round(table, held_out):
    verdict = ct.paired_differences(held_out, "baseline").set_index("model")["verdict"]
    for name in ("spectral", "nuclear norm", "ALS as published", "global mean"):
        assert verdict[name] == "worse", name
    assert verdict["spectral with biases"] == by_table(table, "better", "tie")
    assert verdict["ALS with biases"] == by_table(table, "better", "tie")


@pytest.mark.slow
def test_held_out_errors_are_the_committed_ones(table, held_out, committed):
    written = {row["model"]: row["rmse_clipped"] for row in committed["held_out"][table]}
    for name, error in ct.summarize(held_out).set_index("model")["rmse_clipped"].items():
        # rounding noise decides where the all-ones start goes, so its digits differ between machines
        assert error == pytest.approx(written[name], abs=0.05 if name == "ALS as published" else 1e-3), name


def test_the_six_titles_rank_as_committed(table, ratings, committed):
    held = set(ratings.item_labels) & set(real_tables.SIX_TITLES)
    assert len(held) == 3  # three in each table
    for name in ("baseline", "spectral", "spectral with biases", "nuclear norm"):
        ranks = real_tables.mean_ranks(ct.course_models()[name].fit(ratings), real_tables.SIX_TITLES)
        assert {title for title, rank in ranks.items() if rank} == held
        assert ranks == committed["six_titles"][table][name]


@pytest.fixture(scope="module")
def films():
    return ct.load_ratings(Path(DATA, "ml-latest-small"))


def test_movielens_splits_as_published(films):
    train, validation, test = films.split_user_time()
    assert (*films.shape, len(films)) == (610, 9724, 100836)
    assert (len(train), len(validation), len(test)) == (70312, 15102, 15422)
    assert 100 * (1 - train.density) == pytest.approx(98.8146, abs=5e-5)
    assert train.values.mean() == pytest.approx(3.5216, abs=5e-5)
    assert len(np.setdiff1d(np.arange(films.n_items), train.cols)) == 2199


def test_movielens_spectral_is_certified_and_never_dense(films, monkeypatch):
    chosen = json.loads((RESULTS / "movielens_spectral.json").read_text(encoding="utf-8"))["chosen"]
    train, _, test = films.split_user_time()
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", 2**20)  # a dense table would be refused
    model = ct.SpectralRegularization(reg=chosen["reg"], biases=True, tol=1e-4).fit(train)
    assert model.certificate().proven
    assert model.certificate().relative_gap <= 1e-4
    assert ct.rmse(model, test, clip=True) == pytest.approx(chosen["test_rmse_clipped"], abs=2e-3)
