"""SGD, content and ranking on the real MovieLens set: what the committed results file says, computed again."""

import json
import os
from pathlib import Path

import movielens_content as bench
import numpy as np
import pytest
from sklearn.base import clone

import content_table as ct

DATA = os.environ.get("CONTENT_TABLE_DATA")
HERE = Path(DATA or "", "ml-latest-small")
RESULTS = Path(ct.__file__).parent / "benchmarks" / "results" / "movielens_content.json"

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA or not HERE.is_dir(), reason="CONTENT_TABLE_DATA does not name the real ratings"),
]


@pytest.fixture(scope="module")
def committed():
    return json.loads(RESULTS.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def films():
    """(folder, ratings, train, validation, test)"""
    return bench.load()


@pytest.fixture(scope="module")
def published(films):
    return bench.published_features(*films[:2])


def chosen(films, committed, name):
    """The model with the hyper-parameters that the results file says were chosen."""
    settings = dict(committed["settings"]["chosen"][name])
    texts = settings.pop("texts", None)
    if name == "SGD":
        return ct.SGDMF(**settings)
    return ct.ContentMF(ct.load_features(*films[:2], **bench.TEXTS[texts]), **settings)


@pytest.fixture(scope="module")
def content(films, committed):
    """Five seeds of the chosen content model."""
    return bench.fit_seeds(chosen(films, committed, "content"), *films[2:4])


def mean_rmse(models, part, clip=False):
    return np.mean([ct.rmse(model, part, clip) for model in models])


def test_the_published_vocabulary_has_1675_terms(films, published):
    assert published.matrix.shape == (9724, 1675)
    assert len(ct.load_features(*films[:2]).names) == 1673  # "(no genres listed)" is the absence of a text


def test_sgd_with_the_published_settings_reaches_the_published_loss(films, committed):
    _, _, train, validation, test = films
    models = bench.fit_seeds(bench.PUBLISHED_SGD, train, validation)
    losses = [min(row["validation_loss"] for row in model.history_) for model in models]
    assert np.mean(losses) <= 0.772  # published: 0.7712, one run
    assert losses == pytest.approx(committed["models"]["SGD as published"]["best_validation_loss"], abs=1e-3)
    assert mean_rmse(models, test) == pytest.approx(0.901, abs=2e-3)


def test_content_beats_the_published_figure_and_the_bar(films, content, committed):
    test = films[4]
    assert mean_rmse(content, test) <= 0.875  # published: 0.9171
    assert mean_rmse(content, test, clip=True) <= 0.875
    assert mean_rmse(content, test) == pytest.approx(np.mean(committed["models"]["content"]["test_rmse"]), abs=1e-3)


def test_the_settings_were_the_best_of_the_grid_on_the_validation_part(films, content, committed):
    scores = [row["validation_rmse"] for row in committed["models"].values()]
    assert min(map(np.mean, scores)) == pytest.approx(mean_rmse(content, films[3]), abs=1e-3)


def test_wrong_rows_cost_what_the_published_notebook_lost(films, published, committed):
    _, ratings, train, validation, test = films
    model = ct.ContentMF(published, **bench.PUBLISHED_CONTENT)
    right = ct.rmse(clone(model).fit(train, validation), test)
    for name, table in bench.misaligned(published, ratings, 0).items():
        wrong = ct.rmse(clone(model).set_params(item_features=table).fit(train, validation), test)
        assert wrong == pytest.approx(committed["misalignment"]["as published"][name]["test_rmse"][0], abs=2e-3)
        assert wrong - right > 0.02, name
    assert committed["misalignment"]["as published"]["text of rating i"]["minus_right"]["low"] > 0


@pytest.mark.parametrize("threshold", bench.THRESHOLDS)
def test_random_and_ceiling_are_the_published_ones_and_content_lies_well_between(films, content, committed, threshold):
    _, _, _, validation, test = films
    results = ct.rank_models({"content": content[0]}, test, threshold, protocol="rated_only", also_seen=validation)
    summary = ct.rank_summary(results).set_index("model")
    kept = 1 - results.attrs["users_left_out"] / test.n_users
    if threshold == 3.5:  # the published figures count users without a relevant item as 0
        assert (kept * summary.loc["random", ["precision", "recall"]]).tolist() == pytest.approx(
            [0.526, 0.674], abs=1e-3
        )
        assert (kept * summary.loc["ceiling", ["precision", "recall"]]).tolist() == pytest.approx(
            [0.658, 0.772], abs=1e-3
        )
        assert summary.loc["content", "precision_normalised"] >= 0.36
    written = committed["ranking"][f"rated_only, threshold {threshold}"]["summary"]
    expected = next(row for row in written if row["model"] == "content")["precision_normalised"]
    assert summary.loc["content", "precision_normalised"] == pytest.approx(expected, abs=0.03)


def test_over_the_full_catalogue_only_the_implicit_model_beats_popularity(films, content, committed):
    _, _, train, validation, test = films
    implicit = ct.ImplicitALS(**committed["settings"]["chosen"]["implicit ALS"]).fit(train)
    models = {"implicit ALS": implicit, "content": content[0], "baseline": ct.BiasBaseline().fit(train)}
    results = ct.rank_models(models, test, 3.5, also_seen=validation)
    verdicts = ct.rank_differences(results, "popularity").set_index("model")["verdict"]
    assert verdicts["implicit ALS"] == "better"
    assert verdicts["content"] == verdicts["baseline"] == "worse"
