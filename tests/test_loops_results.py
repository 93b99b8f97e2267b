"""The filed figures about ten evenings of lists: again where that is quick, and what lesson 20 says of them."""

import json
from pathlib import Path

import loops
import numpy as np
import pytest

FILED = json.loads(Path(loops.__file__).with_name("results").joinpath("loops.json").read_text(encoding="utf-8"))


def test_the_filed_figures_of_the_quick_arm_come_out_again():
    ratings, truth = loops.world()
    model, scores = loops.ARMS["ALS, greedy"]
    known = ratings.csr.toarray() > 0
    runs = [loops.play(model, scores, known, truth, draw) for draw in range(loops.DRAWS)]
    for what in ("error", "shown", "never shown"):
        mean, half = loops.interval([run[what] for run in runs])
        assert [mean, half] == pytest.approx(FILED["arms"]["ALS, greedy"][what], rel=0.01, abs=0.005), what


def test_nobody_is_shown_anything_of_the_drawer_and_all_arms_begin_alike():
    ratings, truth = loops.world()
    known = ratings.csr.toarray() > 0
    answers, drawer, table = loops.begin(known, truth, np.random.default_rng([2020, 3]))
    again = loops.begin(known, truth, np.random.default_rng([2020, 3]))
    for one, other in zip((answers, drawer, table), again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert ((~np.isnan(table)).sum(axis=1) == 2).all()
    assert answers.mean() == pytest.approx(truth.mean(), abs=0.03)
    assert ((answers >= 1) & (answers <= 10)).all()


def test_an_interval_by_hand():
    assert loops.interval([1.0, 3.0]) == [2.0, round(2.20 * 2**0.5 / 2**0.5, 4)]


def test_what_lesson_20_says_of_the_filed_arms():
    bayes, own_greedy = FILED["arms"]["BayesianFM, Thompson"], FILED["arms"]["BayesianFM, greedy"]
    assert bayes["error"][0] + bayes["error"][1] < own_greedy["error"][0] - own_greedy["error"][1]
    assert abs(bayes["shown"][0] - own_greedy["shown"][0]) < bayes["shown"][1]
    assert bayes["never shown"][0] < 20 < 80 < own_greedy["never shown"][0]
    mean, half = bayes["shown, less ALS greedy"]
    assert mean + half < -0.1
