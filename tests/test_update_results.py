"""The filed figures about updates against refits: the embedded ones come out again, and what the page says."""

import json
from pathlib import Path

import pytest
import update

import content_table as ct

FILED = json.loads(Path(update.__file__).with_name("results").joinpath("update.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("baseline", ct.BiasBaseline(reg=5)),
        ("item neighbours", ct.ItemKNN()),
        ("ALS with biases", ct.ALS(n_factors=20, reg=8, biases=True, bias_reg=5)),
    ],
)
def test_the_filed_figures_of_the_sample_come_out_again(sample, name, model):
    splits = [sample.split_random(0.2, seed) for seed in range(update.SPLITS["embedded"])]
    again = update.summary([update.one_split(model, *split, 0.1, seed) for seed, split in enumerate(splits)])
    filed = FILED["tables"]["embedded"]["late"]["10%"][name]
    assert repr(model) == FILED["tables"]["embedded"]["settings"][name]
    for figure in set(filed) - {"update_seconds", "refit_seconds"}:
        assert again[figure] == pytest.approx(filed[figure], abs=2e-4), figure


@pytest.mark.parametrize("table", FILED["tables"])
def test_what_the_page_says(table):
    for name, row in FILED["tables"][table]["late"]["10%"].items():
        told_apart = abs(row["updated_minus_refit"]) > row["updated_half_width"] + 1e-4
        assert told_apart is ((table, name) == ("MovieLens", "SGD")), name
        if name not in ("SGD", "content", "item neighbours"):  # these solve titles too, or need none
            assert abs(row["updated_minus_refit"]) < row["stale_minus_refit"] / 2, name
