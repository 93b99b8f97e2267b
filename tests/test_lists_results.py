"""What `python benchmarks/lists.py` filed: a part of it computed again on the real ratings, and what it may claim."""

import lists
import numpy as np
import pytest
import results
from conftest import needs_data
from sklearn.base import clone

import content_table as ct


@pytest.fixture(scope="module")
def filed():
    return results.filed("lists")


def means(one):
    return {row["model"]: row for row in one["means"]}


def test_every_model_was_measured_on_every_split_of_every_data_set(filed):
    assert list(filed["data"]) == list(lists.DATA)
    for name, one in filed["data"].items():
        splits = {}
        for row in one["splits"]:
            splits.setdefault(row["model"], []).append(row["split"])
        assert set(splits) == set(means(one)) > {lists.PEER, "random", "popularity", "EASE", "BPR", "Hybrid", "chosen"}
        assert all(own == list(range(lists.DATA[name][2])) for own in splits.values())


def test_a_mean_is_that_of_its_splits(filed):
    for one in filed["data"].values():
        for model, row in means(one).items():
            own = [each["ndcg"] for each in one["splits"] if each["model"] == model]
            assert row["ndcg"] == pytest.approx(np.mean(own), abs=1e-5)


def test_the_best_of_ours_and_what_is_chosen_inside_are_no_worse_than_the_peer(filed):
    for one in filed["data"].values():
        rows = means(one)
        ours = max((row for name, row in rows.items() if name != lists.PEER), key=lambda row: row["ndcg"])
        assert ours["ndcg"] >= rows[lists.PEER]["ndcg"]
        assert rows["chosen"]["ndcg"] >= rows[lists.PEER]["ndcg"]
        verdicts = {row["model"]: row["verdict"] for row in one["paired"][lists.PEER]}
        assert verdicts["chosen"] != "worse"


def test_all_that_learn_who_liked_what_beat_popularity_and_chance(filed):
    for one in filed["data"].values():
        rows = means(one)
        for name in ("ImplicitALS", "ImplicitALS, likes", "EASE", "EASE, graded", "EASE, likes", "BPR", "chosen"):
            assert rows[name]["ndcg"] > max(rows["popularity"]["ndcg"], rows["random"]["ndcg"])


@needs_data
def test_the_first_split_of_table_1_is_found_again(filed):
    parts, threshold, n_splits, _ = lists.DATA["data 1"]
    ratings = ct.load_ratings(lists.real_data(*parts))
    seed = np.random.SeedSequence(0).generate_state(n_splits)[0].item()
    train, test = ratings.split_random(0.2, seed)
    one = filed["data"]["data 1"]
    found = {row["model"]: row["ndcg"] for row in one["splits"] if row["split"] == 0}
    kinds = {"EASE": ct.EASE(dtype="float32"), "popularity": ct.Popularity(), "table order": ct.GlobalMean()}
    for name, model in kinds.items():
        said = next(row["settings"] for row in one["splits"] if row["split"] == 0 and row["model"] == name)
        if name == "EASE":
            model.set_params(reg=float(said.split("reg=")[1].rstrip(")").split(",")[0]))
        assert repr(model) == said
        figures = lists.measured(clone(model), train, test, threshold)
        assert figures["ndcg"] == pytest.approx(found[name], abs=2e-3)  # EASE in float32: a tie may turn
