"""The filed figures about new viewers, computed again; on the real ratings where CONTENT_TABLE_DATA names them."""

import json
import os
from pathlib import Path

import cold_start
import pytest

import content_table as ct

DATA = os.environ.get("CONTENT_TABLE_DATA")
FILED = json.loads(
    Path(cold_start.__file__).with_name("results").joinpath("cold_start.json").read_text(encoding="utf-8")
)
BAR = 0.02  # rating points between a fold-in and training with the new viewers
EXACT = ("baseline", "ALS with biases", "spectral with biases", "content only")


@pytest.fixture(params=["embedded", pytest.param("data 1", marks=pytest.mark.real)])
def filed(request):
    """The filed figures of one table, and its ratings."""
    if request.param == "embedded":
        return FILED["tables"]["embedded"], ct.load_ratings(ct.DATA / "100x100.csv")
    if not DATA:
        pytest.skip("CONTENT_TABLE_DATA does not name the real ratings")
    return FILED["tables"]["data 1"], ct.load_ratings(Path(DATA, "mal", "100x100.csv"))


def test_the_filed_figures_of_the_baseline_come_out_again(filed):
    figures, ratings = filed
    name = "embedded" if figures is FILED["tables"]["embedded"] else "data 1"
    (n_refit, share), (n_curve, share_curve) = cold_start.REFIT[name], cold_start.CURVES[name]
    own = {"baseline": ct.BiasBaseline(reg=5)}
    refit = cold_start.refit_table(cold_start.against_refit(own, ratings, n_splits=n_refit, share=share))
    assert refit[0] == pytest.approx(figures["refit"][0], abs=2e-4)
    curve = cold_start.cold_start(own, ratings, n_splits=n_curve, share=share_curve)
    curve = cold_start.curve_table(curve, "model", "ratings")
    assert curve["rmse"]["baseline"] == pytest.approx(figures["curves"]["rmse"]["baseline"], abs=2e-4)


def test_a_fold_in_is_as_good_as_training_again(filed):
    figures, ratings = filed
    for row in figures["refit"]:
        if row["model"] in EXACT:
            assert abs(row["difference"]) <= BAR
    models = {"ALS with biases": ct.ALS(20, reg=8, biases=True, bias_reg=5)}
    results = cold_start.against_refit(models, ratings, n_splits=15, share=0.1)
    assert abs((results["fold_in"] - results["refit"]).mean()) <= BAR


def test_the_filed_times_meet_their_bar():
    for table in FILED["seconds"].values():
        assert table["fold_in"] + table["list"] < 0.02
