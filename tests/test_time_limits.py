"""Work that is limited in minutes: what is left out, that it says so, and that the rest is what it would be anyway."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import content_table as ct
from content_table_parts import interrupts, solvers, study

BY_PASSES = [
    ct.ALS(2),
    ct.NMF(2),
    ct.ImplicitALS(2),
    ct.MultVAE(2),
    ct.GradientDescentMF(2),
    ct.SGDMF(2),
    ct.SpectralRegularization(),
    ct.SpectralRegularization(biases=True, solver="soft_impute"),
    ct.NuclearNorm(),
    ct.BayesianFM(2),
]


@pytest.fixture
def clock(monkeypatch):
    """A clock that only `Slow` moves."""
    now = SimpleNamespace(seconds=0.0)
    for module in (interrupts, study):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now.seconds))
    Slow.clock = now
    return now


class Slow(ct.GlobalMean):
    """The global mean, learnt in passes of so many seconds each; a table of 20 by 20 or less is no trouble."""

    clock = None
    seconds: float = 1.0
    passes: int = 1

    def _fit(self, ratings, validation):
        for epoch in range(self.passes):
            self.clock.seconds += self.seconds if ratings.n_users > 20 else 0.0
            self.history_.append({"epoch": epoch})


@pytest.mark.parametrize("model", BY_PASSES, ids=repr)
def test_a_fit_that_goes_by_passes_ends_when_its_time_is_up_and_leaves_nothing(model, sample):
    model = clone(model)
    with pytest.raises(interrupts.OutOfTime), interrupts.in_time(0.0):
        model.fit(sample)
    assert not hasattr(model, "ratings_")
    interrupts.check_time()  # the limit is gone with its block


def test_the_inner_of_two_limits_cannot_be_longer_than_the_outer(clock):
    with interrupts.in_time(5.0), interrupts.in_time(50.0):
        clock.seconds = 5.0
        interrupts.check_time()
        clock.seconds = 5.1
        with pytest.raises(interrupts.OutOfTime):
            interrupts.check_time()


def test_how_many_models_and_splits_there_is_time_for_by_hand():
    took = {"a": 1.0, "b": 4.0, "c": 10.0}
    assert study._affordable(took, 20, 300.0, 5) == (["a", "b", "c"], 20)
    assert study._affordable(took, 20, 150.0, 5) == (["a", "b", "c"], 11)  # 15 s a split, one is made
    assert study._affordable(took, 20, 60.0, 5) == (["a", "b", "c"], 5)
    assert study._affordable(took, 20, 59.0, 5) == (["a", "b"], 12)
    assert study._affordable(took, 20, 19.0, 5) == (["a"], 20)
    assert study._affordable({"c": 10.0}, 20, 3.0, 5) == (["c"], 5)  # at least one model
    assert study._affordable({"a": 0.0}, 3, 1.0, 3) == (["a"], 3)
    assert study._affordable({"a": 0.5}, 20, 3.0, 5) == (["a"], 7)


def test_what_is_too_slow_is_left_out_and_the_rest_is_as_without_a_limit(clock, sample):
    models = {"quick": Slow(), "endless": Slow(passes=10**6), "slow": Slow(seconds=20.0), "baseline": ct.BiasBaseline()}
    with pytest.warns(UserWarning, match="left out") as said:
        results = ct.evaluate(models, sample, n_splits=20, minutes=1)  # 60 s / 3 / 4 = 5 s for a fit
    assert [str(one.message) for one in said] == [
        "endless: left out for want of time (minutes=1), a fit takes more than 10 s",  # 4 s of them left by `quick`
        "slow: left out for want of time (minutes=1), a fit takes more than 20 s",  # one pass, not to be stopped
    ]
    assert results["model"].drop_duplicates().tolist() == ["quick", "baseline"]
    others = ct.evaluate({"quick": ct.GlobalMean(), "baseline": ct.BiasBaseline()}, sample, n_splits=20)
    pd.testing.assert_frame_equal(results, others)


def test_it_does_not_matter_when_the_clock_began(clock, sample):
    some = {"quick": Slow(), "slow": Slow(seconds=3.0)}
    more = {"endless": Slow(passes=1000), "slower": Slow(seconds=20.0)}
    told = []
    for clock.seconds in (0.0, 1e4):
        with pytest.warns(UserWarning, match="for want of time") as said:
            shapes = [ct.evaluate(models, sample, n_splits=40, minutes=1).shape for models in (some, some | more)]
        told.append([str(one.message) for one in said] + shapes)
    assert told[0] == told[1]
    # Of 60 s the first has used 4, at 4 s a split; the second 35, but two thirds of it are for the other splits.
    assert told[0][0] == "15 of 40 splits for want of time (minutes=1)"
    assert told[0][3] == "11 of 40 splits for want of time (minutes=1)"


class CompiledOnce(Slow):
    """Its very first fit takes long, whatever the table."""

    fits = []

    def _fit(self, ratings, validation):
        self.clock.seconds += 0.0 if self.fits else 100.0
        self.fits.append(ratings.shape)
        super()._fit(ratings, validation)


def test_what_is_compiled_once_does_not_count(clock, sample):
    CompiledOnce.fits.clear()
    results = ct.evaluate({"late": CompiledOnce()}, splits=[sample.split_random(0.2, 0)], minutes=1)
    assert results["model"].tolist() == ["late"]
    assert len(CompiledOnce.fits) == 2


def test_side_by_side_the_turns_of_the_first_split_are_longer(clock, sample, monkeypatch):
    monkeypatch.setattr(study, "workers", lambda n_jobs: 2)
    models = {name: Slow(passes=1000) for name in "abcde"} | {"quick": Slow()}
    models = {"quick": models.pop("quick")} | models
    with pytest.warns(UserWarning, match="for want of time") as said:
        results = ct.evaluate(models, sample, n_splits=100, minutes=1)
    # Two at a time: 2 * 20 s / 6 for each, so turns end at 6.7, 6.7, 13.3, 13.3, 20 and 20 s. One after the other, as
    # they are here, each takes its 6.7 s at least: 1, 1 + 7, 8 + 7, ... s are gone where they begin.
    assert [str(one.message).split(", ")[-1] for one in said] == ["a fit takes more than 7 s"] * 5 + [
        str(said[-1].message)
    ]
    # What is left of a minute, 23 s, is less than two thirds of it: 40 s for two processes, 1 s a split.
    assert results["split"].nunique() == 81


def test_few_splits_cost_no_model_that_has_time_for_them(clock, sample):
    models = {"one": Slow(seconds=9.0), "other": Slow(seconds=9.0)}
    results = ct.evaluate(models, sample, n_splits=3, minutes=1)  # 2 * 18 s of 42 s; four more splits would be too many
    assert results.groupby("model")["split"].nunique().to_dict() == {"one": 3, "other": 3}


def test_what_is_measured_first_to_be_compiled_is_the_busiest_corner_of_the_table(clock):
    rows, cols = np.nonzero(np.add.outer(np.arange(30), np.arange(25)) >= 20)  # the later, the busier
    ratings = ct.Ratings(np.arange(30), np.arange(25), rows, cols, np.full(len(rows), 5.0))
    met = []

    def measure(model, train, test):
        met.append((model, sorted({*train.user_ids} | {*test.user_ids}), sorted({*train.item_ids} | {*test.item_ids})))
        warnings.warn("not a word of this", UserWarning, stacklevel=2)
        clock.seconds += 1.0
        interrupts.check_time()  # a second is not too long
        met.append(len(train) > len(test) > 0)
        clock.seconds += 0.1
        interrupts.check_time()
        met.append("too late")

    study._warm_up(measure, {"a": "first", "b": "second"}, ratings)
    corner = [*range(10, 30)], [*range(5, 25)]
    assert met == [("first", *corner), True, ("second", *corner), True]


def test_where_all_are_equally_busy_a_corner_is_no_larger():
    assert study._busiest(np.array([3, 3, 3, 3]), 2).sum() == 2
    assert study._busiest(np.array([3, 9, 1]), 20).tolist() == [True] * 3
    assert study._busiest(np.array([3, 9, 1, 4]), 2).tolist() == [False, True, False, True]


def test_where_there_is_no_time_for_all_splits_there_are_fewer(clock, sample):
    models = {"quick": Slow(), "slow": Slow(seconds=5.0)}
    with pytest.warns(UserWarning, match=r"^10 of 20 splits for want of time \(minutes=1\)$"):
        results = ct.evaluate(models, sample, n_splits=20, minutes=1)
    assert results.groupby("model")["split"].nunique().tolist() == [10, 10]


def test_one_model_is_measured_on_five_splits_whatever_it_takes(clock, sample):
    with pytest.warns(UserWarning, match=r"^5 of 20 splits for want of time \(minutes=1\)$"):
        results = ct.evaluate({"slow": Slow(seconds=15.0)}, sample, n_splits=20, minutes=1)
    assert results["split"].tolist() == [0, 1, 2, 3, 4]


def test_the_comparison_keeps_a_row_that_says_why(clock, sample):
    models = {"quick": Slow(), "endless": Slow(passes=10**6)}
    results = ct.compare(models, sample, 8, n_splits=3, minutes=0.5)
    table = ct.comparison(results).set_index("model")
    assert table.loc["endless", "error"] == "left out for want of time (minutes=0.5), a fit takes more than 10 s"
    assert np.isnan(table.loc["endless", "rmse"])
    sizes = results.groupby("model")[["n_train", "n_test"]].first()
    assert sizes.loc["endless"].tolist() == sizes.loc["quick"].tolist()
    assert table.loc["quick", ["failed", "error"]].tolist() == [0, ""]
    pd.testing.assert_frame_equal(
        results[results["model"] == "quick"].reset_index(drop=True)[["rmse", "ndcg"]],
        ct.compare({"quick": Slow()}, sample, 8, n_splits=3, minutes=None).query("model == 'quick'")[["rmse", "ndcg"]]
        .reset_index(drop=True),
    )  # fmt: skip


def test_the_row_of_what_was_left_out_is_of_the_first_split(clock, sample):
    splits = [sample.split_random(share, 0) for share in (0.3, 0.2, 0.1)]
    results = ct.compare({"quick": Slow(), "endless": Slow(passes=1000)}, None, 8, splits=splits, minutes=0.5)
    (left_out,) = results[results["model"] == "endless"].to_dict("records")
    assert (left_out["split"], left_out["n_train"], left_out["n_test"]) == (0, *map(len, splits[0]))
    assert left_out["error"].startswith("left out for want of time")


def test_fewer_splits_of_a_comparison_are_told(clock, sample):
    with pytest.warns(UserWarning, match="of 20 splits"):
        results = ct.compare({"slow": Slow(seconds=5.0)}, sample, 8, minutes=1)
    assert results.groupby("model")["split"].nunique().nunique() == 1
    assert results["split"].max() == 11


def test_the_first_split_leaves_most_of_the_time_whatever_the_models_are(clock, sample):
    models = {f"endless {at}": Slow(passes=10**6) for at in range(7)} | {"baseline": Slow(seconds=2.0)}
    with pytest.warns(UserWarning, match="left out|of 20 splits"):
        results = ct.evaluate(models, sample, n_splits=20, minutes=1)
    assert results["model"].unique().tolist() == ["baseline"]
    assert results["split"].nunique() >= 5
    assert clock.seconds < 75  # each endless one is seen to be so only at the end of a pass


def test_what_was_in_time_is_not_left_out_for_those_that_overran(clock, sample):
    models = {"one long pass": Slow(seconds=70.0, passes=2), "baseline": Slow(seconds=5.0)}
    with pytest.warns(UserWarning, match="for want of time") as said:
        results = ct.evaluate(models, sample, n_splits=20, minutes=1)
    assert [str(one.message) for one in said] == [
        "one long pass: left out for want of time (minutes=1), a fit takes more than 70 s",
        "9 of 20 splits for want of time (minutes=1)",  # two thirds of a minute for eight more
    ]
    assert results["split"].nunique() == 9


def test_the_message_of_an_error_is_its_first_word_without_quotes():
    assert study.message_of(KeyError("no such id")) == "no such id"
    assert study.message_of(KeyError("first", "second")) == "first"
    assert study.message_of(KeyError()) == ""
    assert study.message_of(OSError(2, "No such file", "x.csv")) == "[Errno 2] No such file: 'x.csv'"


def test_the_first_split_is_told_where_there_is_a_limit(clock, sample):
    models, told = {"quick": Slow(), "endless": Slow(passes=10**6)}, []
    table, notes = study.evaluate_in_time(models, sample, 3, 1, 1.0, told.append)
    pd.testing.assert_frame_equal(told[0], table[table["split"] == 0])
    pd.testing.assert_frame_equal(table, ct.evaluate({"quick": ct.GlobalMean()}, sample, n_splits=3))
    assert notes == ["endless: left out for want of time (minutes=1), a fit takes more than 20 s"]
    study.evaluate_in_time({"quick": Slow()}, sample, 3, 1, None, told.append)
    assert len(told) == 1


@pytest.mark.parametrize("model", [ct.ItemKNN()], ids=repr)
def test_predictions_that_go_by_blocks_end_when_their_time_is_up(model, sample):
    fitted = clone(model).fit(sample)
    with pytest.raises(interrupts.OutOfTime), interrupts.in_time(0.0):
        ct.rmse(fitted, sample)


def test_what_could_not_be_stopped_is_not_begun_where_it_would_take_too_long(clock):
    with interrupts.in_time(5.0):
        interrupts.check_time(ahead=5.0)
        with pytest.raises(interrupts.OutOfTime):
            interrupts.check_time(ahead=5.1)
        solvers.check_time_for_svd((1000, 3000))  # 4 * 3000 * 1000^2 / 1e10 = 1.2 s
        with pytest.raises(interrupts.OutOfTime):
            solvers.check_time_for_svd((6000, 3000))
    solvers.check_time_for_svd((6000, 3000))


@pytest.mark.parametrize("model", [ct.NuclearNorm(), ct.SpectralRegularization(solver="soft_impute")], ids=repr)
def test_no_svd_is_begun_that_would_take_too_long(model, sample, monkeypatch):
    monkeypatch.setattr(solvers, "DENSE_SPEED", 1.0)
    with pytest.raises(interrupts.OutOfTime), interrupts.in_time(100.0):
        clone(model).fit(sample)


def test_minutes_in_which_nothing_can_be_fitted_are_refused(clock, sample):
    with pytest.raises(ValueError, match=r"minutes=0\.001 are too few: no model could be fitted in its share, 0\.0"):
        ct.evaluate({"endless": Slow(passes=10)}, sample, minutes=0.001)


def test_without_certificates_none_is_computed_and_nothing_else_changes(sample, monkeypatch):
    models = {"spectral": ct.SpectralRegularization(tol=1e-4)}
    known = ct.compare(models, sample, 8, n_splits=2)
    assert (known.query("model == 'spectral'")["certify_seconds"] >= 0).all()
    monkeypatch.setattr(ct.SpectralRegularization, "certificate", None)
    results = ct.compare(models, sample, 8, n_splits=2, certify=False)
    columns = ["fit_seconds", "certify_seconds", "relative_gap"]
    pd.testing.assert_frame_equal(results.drop(columns=columns, errors="ignore"), known.drop(columns=columns))
    assert "relative_gap" not in results or results["relative_gap"].isna().all()
    assert np.isnan(ct.comparison(results).set_index("model").loc["spectral", "relative_gap"])
