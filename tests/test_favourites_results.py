"""The filed figures about lists of viewers who tell favourites alone, computed again for the course sample."""

import json
from pathlib import Path

import favourites
import pytest

FILED = json.loads(
    Path(favourites.__file__).with_name("results").joinpath("favourites.json").read_text(encoding="utf-8")
)


def test_the_measures_of_a_list_by_hand():
    ndcg, recall, overlap, liking = favourites.measure([4, 7, 1], [7, 9], [4, 7, 8], expected=None)
    assert ndcg == pytest.approx((1 / 1.5849625) / (1 + 1 / 1.5849625))
    assert (recall, overlap) == pytest.approx((1 / 2, 2 / 3))
    assert liking != liking


def test_the_filed_figures_of_the_sample_come_out_again(monkeypatch):
    monkeypatch.setattr(favourites, "real_data", lambda *parts: Path(*parts))  # only the embedded table is read
    name, ratings, _, genres, expected, favourite, model = next(favourites.tables())
    rows = favourites.cases(ratings, genres, model, expected, favourite, favourites.REPEATS[name])
    again = favourites.summary(list(rows))
    for told, found in again.items():
        for candidate in ("today", "hybrid", "nobody", "popularity"):
            assert found[candidate] == pytest.approx(FILED["tables"]["sample"][told][candidate], abs=5e-3), candidate


@pytest.mark.parametrize("table", ["larger sample", "table 1", "table 2", "MovieLens"])
def test_the_list_that_is_made_finds_more_and_is_less_like_everybodys(table):
    found = FILED["tables"][table]["5 told"]["hybrid"]
    assert found["ndcg more"] > found["ndcg half"]
    assert found["overlap"] < FILED["tables"][table]["5 told"]["today"]["overlap"] - 0.25


def test_the_shares_that_lesson_13_tells_are_the_filed_ones():
    text = Path(favourites.__file__).parents[1].joinpath("notebooks/13_your_own_list.ipynb").read_text(encoding="utf-8")
    tables = [FILED["tables"][name]["5 told"] for name in ("sample", "larger sample", "table 1", "table 2")]
    for candidate in ("today", "hybrid"):
        shares = [round(100 * table[candidate]["overlap"]) for table in tables]
        assert f"{min(shares)} to {max(shares)} %" in text
    assert all(FILED["tables"][name]["5 told"]["hybrid"]["ndcg more"] > 0 for name in ("table 1", "table 2"))
    settled = FILED["tables"]["sample"]["5 told"]["hybrid"]
    assert abs(settled["ndcg more"]) < settled["ndcg half"]
