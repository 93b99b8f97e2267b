"""What `python benchmarks/autoencoders.py` filed: means of splits, one split computed again, and what is claimed."""

from pathlib import Path

import autoencoders
import lists
import numpy as np
import pytest
import results
from conftest import DATA, needs_data

import content_table as ct


@pytest.fixture(scope="module")
def filed():
    return results.filed("autoencoders")["data"]


def test_every_row_is_the_mean_of_all_splits(filed):
    assert list(filed) == list(lists.DATA)
    for name, one in filed.items():
        assert {row["model"] for row in one["means"]} == set(autoencoders.ROWS)
        for row in one["means"]:
            own = [each for each in one["splits"] if each["model"] == row["model"]]
            assert sorted(each["split"] for each in own) == list(range(lists.DATA[name][2]))
            for figure in ("hits", "loved", "disliked"):
                assert row[figure] == pytest.approx(np.mean([each[figure] for each in own]), abs=1e-5)
            assert row["loved"] + row["disliked"] <= row["hits"] + 1e-5


@needs_data
def test_a_split_computed_again_gives_what_is_filed(filed):
    folder, file = lists.DATA["data 2"][0]
    train, test = ct.load_ratings(Path(DATA) / folder / file).split_random(
        0.2, np.random.SeedSequence(0).generate_state(1)[0]
    )
    stored = {row["model"]: row for row in filed["data 2"]["splits"] if row["split"] == 0}
    found = autoencoders.counted(ct.Popularity(), train, test, 8)
    assert found == pytest.approx({key: stored["popularity"][key] for key in found}, abs=1e-5)
    shares = autoencoders.shares_of_hidden(test, 8)
    assert shares["disliked"] == pytest.approx(stored[autoencoders.HIDDEN]["disliked"], abs=1e-5)


def test_a_copy_with_a_chosen_penalty_ties_with_ease_on_the_small_tables(filed):
    for name in ("data 1", "data 2"):
        verdicts = {row["model"]: row["verdict"] for row in filed[name]["paired"]}
        assert verdicts["copying"] == verdicts["denoising"] == "tie"


def test_weights_without_the_constraint_are_those_of_the_inverse(table):
    for model in (autoencoders.Copying(2.0), autoencoders.Denoising(0.7)):
        S = (table.csr.toarray() > 0).astype(float)
        G = S.T @ S
        penalty = 2.0 * np.eye(5) if type(model) is autoencoders.Copying else 0.7 * np.diag(np.diag(G))
        assert model.fit(table).item_weights_ == pytest.approx(np.linalg.solve(G + penalty, G), abs=1e-12)
