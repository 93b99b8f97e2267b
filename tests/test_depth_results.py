"""What `python benchmarks/depth.py` filed: parts of it computed again, and what the lesson may say of it."""

import json
from itertools import combinations
from pathlib import Path

import depth
import numpy as np
import pandas as pd
import pytest
from conftest import DATA, needs_data
from sklearn.base import clone

import content_table as ct

FILED = json.loads(Path(depth.__file__).with_name("results").joinpath("depth.json").read_text(encoding="utf-8"))


def test_a_smallest_point_of_the_products_is_found_again():
    row = FILED["products"][0]
    again = [depth.product_errors(row["k"], row["pairs"], seed) for seed in range(2)]
    for name, accuracy in (("network", 0.02), ("built in", 1e-4)):  # early stopping may turn on the last digit
        assert [run[name] for run in again] == pytest.approx(row[name][:2], abs=accuracy)


def test_the_built_in_product_needs_less_than_a_thirtieth_of_the_examples():
    for k in depth.DIMENSIONS:
        own = {row["pairs"]: row for row in FILED["products"] if row["k"] == k}
        assert set(own) == set(depth.PAIRS)
        assert np.mean(own[100_000]["network"]) > np.mean(own[3_000]["built in"])
        for row in own.values():
            assert min(row["network"]) > max(row["built in"])


def test_sampled_hits_are_what_drawing_gives():
    rng, above, beside = np.random.default_rng(3), np.array([4, 30, 70, 119]), np.full(4, 119)
    found = depth.judged(above, beside)
    hits = [np.mean([np.sum(rng.permutation(119)[:100] < a) < 10 for _ in range(4000)]) for a in above]
    assert found["sampled HR"] == pytest.approx(np.mean(hits), abs=0.01)
    assert found["HR"] == 0.25
    assert found["NDCG"] == pytest.approx(1 / np.log2(6) / 4)
    assert found["AUC"] == pytest.approx(1 - above.mean() / 119)


def test_places_count_ties_by_position_and_leave_out_what_is_rated():
    rest = ct.Ratings.from_matrix([[5, np.nan, np.nan, np.nan], [5, 5, np.nan, np.nan]], scale=(1, 5))
    one = ct.Ratings(rest.user_ids, rest.item_ids, [0, 1], [2, 3], [5, 2], rest.scale)
    above, beside = depth.places(ct.Popularity().fit(rest), rest, one, 4)
    assert above.tolist() == [1]  # title 1 is more popular, title 3 as much and later
    assert beside.tolist() == [2]


@pytest.mark.parametrize("name", depth.TABLES)
def test_every_model_was_measured_on_every_split(name):
    rows = pd.DataFrame(FILED["sampled"][name]["splits"])
    assert rows.groupby("model")["split"].apply(sorted).tolist() == [list(range(depth.SPLITS))] * len(depth.MODELS)
    assert rows.groupby("model")["HR"].std().min() > 0  # the splits are not one


def test_the_order_turns_on_movielens():
    means = pd.DataFrame(FILED["sampled"]["MovieLens"]["splits"]).groupby("model").mean()
    turned = [
        (a, b)
        for a, b in combinations(means.index, 2)
        if (means["HR"][a] - means["HR"][b]) * (means["sampled HR"][a] - means["sampled HR"][b]) < 0
    ]
    assert turned


def test_the_first_split_of_the_sample_is_found_again():
    ratings = ct.load_ratings(ct.DATA / "sparse.csv")
    rest, one = ratings.split_leave_one_out(
        random_state=np.random.SeedSequence(19).generate_state(depth.SPLITS)[0].item()
    )
    rows = {row["model"]: row for row in FILED["sampled"]["sample, 600 titles"]["splits"] if row["split"] == 0}
    for model in ("popularity", "implicit ALS, 20 factors"):
        found = depth.judged(*depth.places(clone(depth.MODELS[model]).fit(rest), rest, one, 8))
        assert found == pytest.approx({what: rows[model][what] for what in found}, abs=2e-3)


@needs_data
def test_movielens_is_the_one_that_was_measured():
    path = Path(DATA, *depth.TABLES["MovieLens"][0])
    assert depth.describe(ct.load_ratings(path), path) == FILED["sampled"]["MovieLens"]["data"]
