"""The page on a model of one's own: its class takes part in the contract tests, and what only this formula promises."""

import re

import numpy as np
import own_model
import pytest
from conftest import MODELS
from own_model import DampedMeans

import content_table as ct


def test_the_model_of_the_page_takes_part_in_the_contract_tests():
    assert type(MODELS["damped means"]) is DampedMeans
    assert ct.MODELS.count(DampedMeans) == 1


def test_by_hand(four):
    """Ratings 5, 3, 4, mean 4: titles (1 + 0)/(2 + 1) and -1/(1 + 1); then viewers (2/3 - 1/2)/3 and -1/3/2."""
    model = DampedMeans(reg=1).fit(four)
    assert model.item_bias_ == pytest.approx([1 / 3, -1 / 2], abs=1e-14)
    assert model.user_bias_ == pytest.approx([1 / 18, -1 / 6], abs=1e-14)
    assert model.predict(1, 1) == pytest.approx([4 - 1 / 6 - 1 / 2], abs=1e-14)


def test_a_viewer_of_the_training_part_folded_in_gets_the_trained_predictions(sample):
    model = DampedMeans(reg=5).fit(sample)
    for row in range(0, sample.n_users, 20):
        own = sample.rows == row
        told = dict(zip(sample.item_ids[sample.cols[own]].tolist(), sample.values[own].tolist(), strict=True))
        assert np.abs(model.fold_in(told).scores - model.complete()[row]).max() < 1e-12


def test_one_pass_of_means_is_not_the_baseline_but_close(sample):
    means, baseline = DampedMeans(reg=5).fit(sample), ct.BiasBaseline(reg=5).fit(sample)
    assert 0 < ct.rmse(means, sample) - ct.rmse(baseline, sample) < 0.05


def test_the_other_blocks_of_the_page_run(capsys):
    names = {"ct": ct, "DampedMeans": DampedMeans}
    for block in own_model.BLOCKS[1:]:
        exec(block, names)
    assert "damped means" in capsys.readouterr().out


def test_the_page_explains_every_method_of_the_class():
    page = own_model.PAGE.read_text(encoding="utf-8")
    written = [value for value in vars(DampedMeans).values() if hasattr(value, "__code__")]
    written = [value.__name__ for value in written if value.__code__.co_filename == own_model.PAGE.name]
    assert re.findall(r"(?m)^\| `(\w+)\(", page) == written  # what the page has, not what the dataclass adds
    assert re.findall(r"(?m)^\| `(\w+): ", page) == list(ct.declared_settings(DampedMeans))


class TwoSteps(ct.FactorModel):
    """A model of factors of one's own: one half-step for the titles from random viewers, one for the viewers."""

    reg: float = ct.setting(2.0, above=0)
    biases = False

    def _fit(self, ratings, validation):
        start = np.random.default_rng(0).normal(size=(ratings.n_users, 2))
        self.item_factors_ = ct.ridge_rows(ratings.csc.T, start, self.reg)
        self.user_factors_ = ct.ridge_rows(ratings.csr, self.item_factors_, self.reg)


def test_a_model_of_factors_needs_a_fit_alone(sample):
    model = TwoSteps(reg=3).fit(sample)
    for user in sample.user_ids[:10]:
        viewer = model.viewer(user)
        told = dict(zip(sample.item_ids[viewer.at].tolist(), viewer.values.tolist(), strict=True))
        assert np.abs(model.fold_in(told).scores - viewer.scores).max() < 1e-10
    assert len(model.recommend(sample.user_ids[0], 5)) == 5
    with pytest.raises(ValueError, match="reg must be above 0"):
        TwoSteps(reg=0).fit(sample)
