"""What `python benchmarks/smoothing.py` filed: its filters are the model's, and what the lesson may say of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import smoothing
from conftest import DATA, needs_data

import content_table as ct

FILED = json.loads(Path(smoothing.__file__).with_name("results").joinpath("smoothing.json").read_text(encoding="utf-8"))


def found(name):
    return {(row["family"], row["count"]): row for row in FILED["data"][name]["filters"]}


@pytest.mark.parametrize("count", smoothing.LAYERS)
def test_averaged_layers_are_those_of_the_model(sample, count):
    scores = dict(smoothing.scores_by_filter(smoothing.likes_of(sample), "data 1"))
    assert scores["layers", count] == pytest.approx(ct.GraphFilter(count).fit(sample).complete(), abs=1e-12)


def test_a_list_leaves_out_what_was_seen_and_goes_by_position_where_scores_tie():
    scores, seen = np.zeros((1, 12)), np.zeros((1, 12), dtype=bool)
    scores[0, 11], seen[0, 0] = 1.0, True
    assert smoothing.listed(scores, seen).tolist() == [[11, 1, 2, 3, 4, 5, 6, 7, 8, 9]]


@pytest.mark.parametrize("name", smoothing.DATA)
def test_every_round_leads_nearer_to_popularity_and_six_lose_a_lot(name):
    rounds = [found(name)["steps", count] for count in smoothing.STEPS]
    assert np.all(np.diff([row["shared"] for row in rounds]) > 0)
    assert rounds[-1]["difference"] + rounds[-1]["half_width"] < -0.05
    assert found(name)["layers", 2]["difference"] == 0  # two layers are one round
    assert -0.04 < found(name)["layers", 6]["difference"] < -0.01
    for rung in (("paths", 1), ("directions", 20)):
        assert found(name)[rung]["difference"] < -0.015


@pytest.mark.parametrize("name", smoothing.DATA)
def test_real_tables_have_directions_above_those_of_a_dealt_one_and_the_sample_has_none(name):
    real, sample = FILED["data"][name], FILED["sample"]
    assert real["singular_values"][0] == real["dealt_again"][0] == 1
    assert real["singular_values"][1] > real["dealt_again"][1] + 0.2
    assert abs(sample["singular_values"][1] - sample["dealt_again"][1]) < 0.02


def test_the_spectra_of_the_sample_are_found_again(sample):
    again = smoothing.spectra(sample)
    for name, values in FILED["sample"].items():
        assert again[name] == pytest.approx(values, abs=2e-4)


@needs_data
def test_the_first_split_of_table_1_is_found_again():
    parts, threshold, n_splits, _ = smoothing.DATA["data 1"]
    ratings = ct.load_ratings(Path(DATA, *parts))
    seed = np.random.SeedSequence(0).generate_state(n_splits)[0].item()
    train, test = ratings.split_random(0.2, seed)
    rows = {(row["family"], row["count"]): row for row in FILED["data"]["data 1"]["splits"] if row["split"] == 0}
    for key, scores in smoothing.scores_by_filter(smoothing.likes_of(train), "data 1"):
        top = smoothing.listed(scores, train.known.toarray())
        assert ct.ranking_metrics(top, test, threshold)["ndcg"].mean() == pytest.approx(rows[key]["ndcg"], abs=1e-3)
