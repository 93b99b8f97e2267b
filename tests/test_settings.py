"""Settings of models, ours and a reader's own: declared once, checked, searched; and what a fit leaves behind."""

import numpy as np
import pytest

import content_table as ct


def test_a_setting_is_declared_once_and_read_by_all():
    class Deep(ct.GlobalMean):
        """A model with settings of all kinds."""

        depth: int = ct.setting(3, low=1, search=ct.Range(1, 9, unit="layers"))
        width: int | None = ct.setting(None, low=1)
        share: float = ct.setting(0.5, above=0, below=1)
        kind: str = ct.setting("plain", among=("plain", "fancy"))
        wide: bool = ct.setting(False)
        seed: int | np.random.Generator = ct.setting(0, low=0)

    Deep(seed=np.random.default_rng(0), wide=np.bool_(True)).check_settings()
    model = Deep(depth=4)
    assert repr(model) == "Deep(depth=4)"
    assert len({Deep(), Deep()}) == 2  # two models are two, whatever their settings
    assert model.get_params() == {"depth": 4, "width": None, "share": 0.5, "kind": "plain", "wide": False, "seed": 0}
    assert model.search_space() == {"depth": ct.Range(1, 9, unit="layers")}
    for wrong, words in [
        ({"depth": 2.5}, "depth must be a whole number, got 2.5"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"width": 1.5}, "width must be a whole number"),
        ({"share": 1}, "share must be below 1, got 1"),
        ({"share": 0}, "share must be above 0, got 0"),
        ({"kind": "odd"}, r"kind must be one of \['plain', 'fancy'\], got 'odd'"),
        ({"wide": "no"}, "wide must be True or False, got 'no'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": None}, "seed must be a whole number, got None"),
    ]:
        with pytest.raises((ValueError, TypeError), match=words):
            Deep(**wrong).fit(ct.Ratings.from_matrix([[1, 2]]))


class Declared(ct.GlobalMean):
    """A model of one's own with a declared setting."""

    depth: int = ct.setting(3, low=1, search=ct.Range(1, 9))


class Plain(ct.GlobalMean):
    """With an annotation and no declaration."""

    depth: int = 3


class Written(ct.GlobalMean):
    """With a constructor of its own."""

    def __init__(self, depth=3):
        self.depth = depth


class Listed:
    """A class to be mixed in, which keeps a list of those that do."""

    names = ()

    def __init_subclass__(cls, short=None, **options):
        super().__init_subclass__(**options)
        Listed.names += (short,)


def test_a_class_that_is_mixed_in_hears_of_the_model():
    class Mean(ct.GlobalMean, Listed, short="mean"):
        depth: int = ct.setting(3, low=1)

    assert Listed.names == ("mean",)
    assert Mean(depth=4).get_params() == {"depth": 4}


@pytest.mark.parametrize("kind", [Declared, Plain, Written])
def test_whole_numbers_of_a_model_of_ones_own_are_tuned_as_whole_numbers(table, kind):
    study = ct.tune(kind(), table, n_trials=4, space={"depth": ct.Range(1, 9)}).study
    assert all(isinstance(trial.params["depth"], int) for trial in study.trials)


def test_a_model_keeps_nothing_transient_and_predict_changes_nothing(fitted, table):
    before = set(vars(fitted))
    assert all(name.endswith("_") or name in fitted.get_params(deep=False) for name in before)
    fitted.predict(table.user_ids[0], table.item_ids)
    fitted.recommend_all(2)
    fitted.certificate()
    assert set(vars(fitted)) == before
    assert type(fitted.history_) is list


def test_the_number_of_parameters_is_what_was_learnt(table):
    m, n = table.shape
    features = ct.Features(table.item_ids, np.eye(n), [f"is {title}" for title in table.titles])
    knn = ct.ItemKNN().fit(table)
    expected = {
        ct.GlobalMean(): 1,
        ct.Popularity(): n,
        ct.BiasBaseline(): 1 + m + n,
        ct.ALS(2): 1 + 2 * (m + n),
        ct.ALS(2, biases=True): 1 + 3 * (m + n),
        ct.NMF(2, reg=0.1): 1 + 3 * (m + n),
        ct.ImplicitALS(2): 2 * (m + n),
        ct.BPR(2): 2 * (m + n) + n,
        ct.DeepMF(2, (3,)): 2 * (m + n) + (4 * 3 + 3) + (3 + 1),
        ct.MultVAE(2, 3): 2 * (m + n) + n + 3 * n + 3 + 3 * 2,
        ct.EASE(): n * n,
        ct.GraphFilter(n_factors=2): n + len(table) + 2 * n,
        ct.ContentOnly(features): 1 + m + m * n,
        ct.Blend(ct.GlobalMean(), ct.BiasBaseline(), weight=0.5): 1 + 1 + m + n + 1,
        ct.Hybrid(ct.BiasBaseline(), features): 1 + m + n + n * n,
        ct.ItemKNN(): 1 + m + n + knn.similarity_.nnz,
    }
    for model, count in expected.items():
        assert model.fit(table).n_parameters() == count, model


def test_a_bias_that_happens_to_be_0_leaves_the_number_of_parameters_as_it_is(table):
    model = ct.DeepMF(2, (3,), n_epochs=2).fit(table)
    before = model.n_parameters()
    assert type(before) is int
    for some in (slice(1, 2), slice(None)):
        model.item_bias_[some] = 0.0
        assert model.n_parameters() == before


@pytest.mark.parametrize("low", [0, -1.0])
def test_factors_of_ten_are_counted_from_above_0(low):
    assert ct.Range(low, 5.0).low == low
    assert ct.Range(0.01, 5.0, log=True).log
    with pytest.raises(ValueError, match=f"low must be above 0 where log counts factors of ten, got {low!r}"):
        ct.Range(low, 5.0, log=True)
