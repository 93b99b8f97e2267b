"""What `python benchmarks/choices.py` filed: the deal keeps every count, and what the lesson may say of it."""

import json
from pathlib import Path

import choices
import numpy as np
import pytest
from conftest import DATA, needs_data

import content_table as ct

FILED = json.loads(Path(choices.__file__).with_name("results").joinpath("choices.json").read_text(encoding="utf-8"))


def test_a_deal_keeps_all_counts_and_moves_most_choices(sample):
    dealt = choices.dealt(sample, np.random.default_rng(5))
    assert np.array_equal(dealt.user_counts, sample.user_counts)
    assert np.array_equal(dealt.item_counts, sample.item_counts)
    assert np.array_equal(dealt.user_ids, sample.user_ids)
    before, after = (table.csr.toarray() > 0 for table in (sample, dealt))
    by_chance = np.outer(sample.user_counts, sample.item_counts).clip(max=len(sample)) / len(sample)
    assert (before & after).sum() < 1.5 * by_chance[before].sum()


def test_two_viewers_trade_what_only_one_has_rated():
    table = ct.Ratings.from_matrix([[4, 2, np.nan], [np.nan, 4, 5]])
    for seed in range(8):
        found = choices.dealt(table, np.random.default_rng(seed)).csr.toarray()
        assert found[:, 1].tolist() == [1, 1]
        assert sorted(found[:, [0, 2]].tolist()) == [[0, 1], [1, 0]]


def leads(name):
    return {row["table"]: row for row in FILED["data"][name]["gains"] if row["model"] == "EASE"}


@pytest.mark.parametrize("name", choices.DATA)
def test_the_lead_over_popularity_is_there_before_the_deal_and_gone_after_it(name):
    found = leads(name)
    assert found["as it is"]["gain"] > 2 * found["as it is"]["half_width"]
    chance = next(row["ndcg"] for row in FILED["data"][name]["gains"] if row["model"] == "random")
    after = found["dealt again"]
    assert after["ndcg"] < max(after["popularity"], chance)


@pytest.mark.parametrize("name", choices.DATA)
def test_a_rating_model_tuned_by_its_lists_stays_behind_ease(name):
    lists = json.loads(Path(choices.__file__).with_name("results").joinpath("lists.json").read_text(encoding="utf-8"))
    ease = next(row["ndcg"] for row in lists["data"][name]["means"] if row["model"] == "EASE")
    own = FILED["data"][name]["by its lists"]
    assert own["ndcg"] == pytest.approx(np.mean(own["splits"]), abs=1e-4)
    assert own["ndcg"] + own["half_width"] < ease


@needs_data
def test_the_first_split_of_table_1_is_found_again():
    parts, _, n_splits = choices.DATA["data 1"]
    ratings = ct.load_ratings(Path(DATA, *parts))
    seed = np.random.SeedSequence(0).generate_state(n_splits)[0].item()
    rows = [row for row in FILED["data"]["data 1"]["splits"] if row["split"] == 0]
    tables = {"as it is": ratings, "dealt again": choices.dealt(ratings, np.random.default_rng(seed))}
    for row in rows:
        found = choices.scores(tables[row["table"]], seed)
        assert {name: row[name] for name in found} == pytest.approx(found, abs=2e-3)  # a tie in float32 may turn
