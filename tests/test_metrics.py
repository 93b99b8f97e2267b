"""Errors, splits compared in pairs, intervals, and a choice that never sees the test part."""

import inspect

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import content_table as ct

NO = np.nan


@pytest.fixture(scope="module")
def mean_of_four():
    """Predicts 4, the mean of 5, 3 and 4."""
    return ct.GlobalMean().fit(ct.Ratings.from_matrix([[5, 3], [4, NO]]))


@pytest.fixture(scope="module")
def results(sample):
    """Two models and one of them under a second name, on four splits."""
    models = {"mean": ct.GlobalMean(), "baseline": ct.BiasBaseline(), "again": ct.BiasBaseline()}
    return ct.evaluate(models, sample, n_splits=4)


# ---- Errors ----


def test_errors_by_hand(mean_of_four, four):
    # Predictions 4, 4, 4 for 5, 3, 4: errors -1, 1, 0; RMSE sqrt(2/3), MAE 2/3.
    assert ct.errors(mean_of_four, four).tolist() == [-1, 1, 0]
    assert ct.rmse(mean_of_four, four) == pytest.approx(np.sqrt(2 / 3))
    assert ct.mae(mean_of_four, four) == pytest.approx(2 / 3)


def test_clipping_pulls_predictions_to_the_scale_and_nothing_else(four):
    # Biases without a penalty predict 5, 3, 4 and 2; moved up by 4 they are 9, 7, 8 and, clipped to 1..8, 8, 7, 8.
    model = ct.BiasBaseline(reg=0).fit(ct.Ratings.from_matrix([[5, 3], [4, NO]], scale=(1, 8)))
    model.global_mean_ += 4
    part = model.ratings_
    assert ct.errors(model, part) == pytest.approx([4, 4, 4])
    assert ct.errors(model, part, clip=True) == pytest.approx([3, 4, 4])
    assert ct.rmse(model, part, clip=True) == pytest.approx(np.sqrt(41 / 3))
    assert ct.mae(model, part, clip=True) == pytest.approx(11 / 3)


def test_a_part_is_scored_on_its_own_cells(table):
    model = ct.BiasBaseline().fit(table)
    train, test = table.split_random()
    assert ct.errors(model, test) == pytest.approx(model.complete()[test.rows, test.cols] - test.values)
    total = ct.rmse(model, train) ** 2 * len(train) + ct.rmse(model, test) ** 2 * len(test)
    assert total == pytest.approx(ct.rmse(model, table) ** 2 * len(table))


def test_a_table_with_other_positions_is_scored_by_id(table):
    model = ct.BiasBaseline().fit(table)
    small = table.restrict(table.user_ids > 103, table.item_ids != 12)
    expected = model.predict(small.user_ids[small.rows], small.item_ids[small.cols]) - small.values
    assert np.array_equal(ct.errors(model, small), expected)
    same_size = ct.Ratings(table.user_ids[::-1], table.item_ids, table.rows, table.cols, table.values)
    by_id = model.predict(same_size.user_ids[same_size.rows], same_size.item_ids[same_size.cols]) - table.values
    assert np.array_equal(ct.errors(model, same_size), by_id)


def test_a_viewer_the_model_never_heard_of_is_an_error(table, four):
    with pytest.raises(KeyError, match="unknown user id"):
        ct.rmse(ct.BiasBaseline().fit(table), four)


# ---- Many splits ----


def test_there_is_one_row_per_model_and_split(results, sample):
    assert list(results) == ["model", "split", "train_rmse", "rmse", "cold", "rmse_clipped", "mae", "mae_clipped",
                             "n_train", "n_test"]  # fmt: skip
    assert results.groupby("model", sort=False).size().to_dict() == {"mean": 4, "baseline": 4, "again": 4}
    assert (results["n_train"] + results["n_test"] == len(sample)).all()
    assert (results["n_test"] == round(0.2 * len(sample))).all()


def test_every_model_meets_the_same_splits(results):
    by_name = {name: part.drop(columns="model").to_numpy() for name, part in results.groupby("model")}
    assert np.array_equal(by_name["baseline"], by_name["again"])
    assert results.groupby("split")["cold"].nunique().eq(1).all()
    assert results.loc[results["model"] == "baseline", "rmse"].nunique() == 4  # and the splits differ


def test_the_rows_are_what_a_split_by_hand_gives(results, sample):
    seed = int(np.random.SeedSequence(0).generate_state(4)[2])
    train, test = sample.split_random(0.2, random_state=seed)
    model = ct.BiasBaseline().fit(train)
    row = results[(results["model"] == "baseline") & (results["split"] == 2)].iloc[0]
    assert row["rmse"] == ct.rmse(model, test)
    assert row["rmse_clipped"] == ct.rmse(model, test, clip=True) <= row["rmse"]
    assert row["mae"] == ct.mae(model, test)
    assert row["mae_clipped"] == ct.mae(model, test, clip=True)
    assert row["train_rmse"] == ct.rmse(model, train)


def test_cold_counts_the_held_out_cells_without_a_training_rating(sample):
    results = ct.evaluate({"mean": ct.GlobalMean()}, sample, n_splits=3, test_size=0.8)
    for split, seed in enumerate(np.random.SeedSequence(0).generate_state(3).tolist()):
        train, test = sample.split_random(0.8, random_state=seed)
        cold = ~np.isin(test.rows, train.rows) | ~np.isin(test.cols, train.cols)
        assert results["cold"][split] == cold.sum() > 0


@pytest.mark.slow
def test_the_numbers_do_not_depend_on_the_number_of_jobs(sample, results):
    models = {"mean": ct.GlobalMean(), "baseline": ct.BiasBaseline(), "again": ct.BiasBaseline()}
    pd.testing.assert_frame_equal(ct.evaluate(models, sample, n_splits=4, n_jobs=2), results)


def test_the_models_given_are_left_unfitted(sample):
    models = {"baseline": ct.BiasBaseline()}
    ct.evaluate(models, sample, n_splits=2)
    assert not hasattr(models["baseline"], "ratings_")


def test_another_random_state_gives_other_splits(sample, results):
    other = ct.evaluate({"mean": ct.GlobalMean()}, sample, n_splits=4, random_state=1)
    assert set(other["rmse"]).isdisjoint(results["rmse"])


# ---- Intervals and verdicts ----


def test_the_interval_by_hand():
    # Values 1, 2, 3: mean 2, variance 1. J = 3, n_test / n_train = 2/8: sqrt(1/3 + 1/4) = .76376, times t = 4.30265
    # (two degrees of freedom, 97.5 %).
    mean, half = ct.split_interval([1, 2, 3], n_train=8, n_test=2)
    assert mean == 2
    assert half == pytest.approx(4.302653 * np.sqrt(7 / 12), rel=1e-6)


def test_the_interval_is_wider_than_the_one_for_independent_values():
    values = np.random.default_rng(0).normal(size=20)
    naive = scipy.stats.t.ppf(0.975, 19) * values.std(ddof=1) / np.sqrt(20)
    assert ct.split_interval(values, 80, 20)[1] == pytest.approx(naive * np.sqrt(1 + 20 / 4))
    assert ct.split_interval(values, 80, 20, level=0.5)[1] < ct.split_interval(values, 80, 20)[1]


def test_an_interval_of_half_its_cases_by_hand():
    # Values 0, 4: mean 2, variance 8. J = 2, n_test / n_train = 1/2: sqrt((1/2 + 1/2) 8), times t = 1, which half of
    # Cauchy's distribution (one degree of freedom) lies within.
    assert ct.split_interval([0, 4], n_train=2, n_test=1, level=0.5) == (2, pytest.approx(np.sqrt(8)))


def test_a_mean_over_one_split_has_no_interval_and_over_none_not_even_a_mean():
    assert ct.split_interval([3], 80, 20) == (3, pytest.approx(np.nan, nan_ok=True))
    assert np.isnan(ct.split_interval([], 80, 20)).tolist() == [True, True]
    assert np.isnan(ct.split_interval([3, np.nan], 80, 20)).tolist() == [True, True]  # a split without a figure


@pytest.mark.parametrize("name", ["n_train", "n_test"])
def test_the_sizes_of_a_split_are_above_zero(name):
    sizes = {"n_train": 80, "n_test": 20}
    assert ct.split_interval([1, 2], **sizes | {name: 0.5})[1] > 0
    with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
        ct.split_interval([1, 2], **sizes | {name: 0})


def made_up(**scores):
    """Results as `evaluate` gives them, with scores typed in."""
    rows = [
        {"model": name, "split": split, "train_rmse": 1.0, "rmse_clipped": value, "n_train": 8, "n_test": 2}
        for name, values in scores.items()
        for split, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_a_verdict_needs_an_interval_that_leaves_out_zero():
    # The differences are -.5, -.5, -.49 (clear), .5, .5, .51 (clear), and -3, 2, 0 (noise).
    table = made_up(reference=[1, 2, 3], better=[0.5, 1.5, 2.51], worse=[1.5, 2.5, 3.51], noise=[-2, 4, 3])
    compared = ct.paired_differences(table, "reference").set_index("model")
    assert compared["verdict"].to_dict() == {
        "better": "better",
        "noise": "tie",
        "reference": "reference",
        "worse": "worse",
    }
    assert compared["difference"]["better"] == pytest.approx(-1.49 / 3)
    assert compared["half_width"]["better"] == pytest.approx(ct.split_interval([-0.5, -0.5, -0.49], 8, 2)[1])
    assert compared["difference"].is_monotonic_increasing


def test_splits_are_compared_in_pairs_whatever_the_order_of_the_rows():
    table = made_up(reference=[1, 2, 3], better=[0.5, 1.5, 2.51])
    shuffled = ct.paired_differences(table.sample(frac=1, random_state=0), "reference").set_index("model")
    ordered = ct.paired_differences(table, "reference").set_index("model")
    assert shuffled.loc["better", "difference"] == pytest.approx(ordered.loc["better", "difference"])
    assert shuffled.loc["better", "half_width"] == pytest.approx(ordered.loc["better", "half_width"])


def test_two_models_of_one_answer_tie_whichever_way_is_better():
    table = made_up(one=[1, 2, 3], other=[1, 2, 3])
    for larger in (False, True):
        compared = ct.paired_differences(table, "one", larger_is_better=larger)
        assert compared["model"].tolist() == ["one", "other"]  # equal differences: in the order of the table
        assert compared["verdict"].tolist() == ["reference", "tie"]
        assert (compared[["difference", "half_width"]] == 0).all(axis=None)


def test_the_same_differences_are_better_or_worse_by_what_is_better():
    table = made_up(one=[1, 2, 3], above=[1.1, 2.1, 3.11], below=[0.9, 1.9, 2.89])
    compared = [ct.paired_differences(table, "one", larger_is_better=larger) for larger in (False, True)]
    assert [each.index.tolist() for each in compared] == [[0, 1, 2]] * 2
    verdicts = [each.set_index("model")["verdict"].to_dict() for each in compared]
    assert verdicts[0] == {"below": "better", "one": "reference", "above": "worse"}
    assert verdicts[1] == {"below": "worse", "one": "reference", "above": "better"}


def test_only_the_splits_that_both_models_have_a_figure_of_are_compared():
    table = made_up(one=[1, 2, 3, 4], other=[2.1, 3.0, NO, 4.9], alone=[NO, NO, NO, 9], never=[NO] * 4)
    compared = ct.paired_differences(table, "one").set_index("model")
    assert compared.loc["other", ["difference", "half_width"]].tolist() == pytest.approx(
        ct.split_interval([1.1, 1.0, 0.9], 8, 2)
    )
    assert compared["verdict"].to_dict() == {
        "one": "reference",
        "other": "worse",
        "alone": "too few splits",
    }  # who never had a figure is left out
    with pytest.raises(ValueError, match="reference 'never' is not among the models with rmse_clipped"):
        ct.paired_differences(table, "never")


def test_where_splits_differ_in_size_the_first_one_says_how_large_they_are():
    table = made_up(one=[1, 2, 3], other=[2.1, 3.0, 3.9])
    table["n_train"] = [8, 80, 800] * 2
    table["n_test"] = [2, 30, 500] * 2
    half = ct.split_interval([1, 2, 3], 8, 2)[1]
    assert ct.summarize(table).set_index("model").loc["one", "half_width"] == pytest.approx(half)
    compared = ct.paired_differences(table, "one").set_index("model")
    assert compared.loc["other", "half_width"] == pytest.approx(ct.split_interval([1.1, 1.0, 0.9], 8, 2)[1])


def test_one_split_has_a_summary_without_an_interval():
    summary = ct.summarize(made_up(one=[1.5]))
    assert summary.loc[0, ["model", "rmse_clipped"]].tolist() == ["one", 1.5]
    assert np.isnan(summary.loc[0, "half_width"])
    assert ct.paired_differences(made_up(one=[1.5]), "one")["verdict"].tolist() == ["reference"]


def test_equal_models_are_summed_up_in_the_order_of_the_table():
    summary = ct.summarize(made_up(late=[1, 2], early=[2, 1], best=[0, 1]))
    assert summary["model"].tolist() == ["best", "late", "early"]
    assert summary.index.tolist() == [0, 1, 2]


def test_rows_that_came_twice_are_shown_by_the_first_of_them():
    table = made_up(one=[1, 2, 3])
    with pytest.raises(
        ValueError, match=r"one row for each model and split, got 2 more, .* \{'model': 'one', 'split': 1\}"
    ):
        ct.summarize(pd.concat([table, table.iloc[[1, 2]]]))


def test_rows_that_came_twice_are_refused_where_the_table_holds_nothing_else():
    with pytest.raises(ValueError, match="one row for each model and user_id, got 1 more"):
        ct.rank_differences(pd.DataFrame({"model": ["one", "one"], "user_id": [1, 1]}), "one", "user_id")


def test_an_unknown_reference_is_answered_with_the_known_models():
    with pytest.raises(ValueError, match=r"reference 'oracle' is not among the models with rmse_clipped: \['a', 'b'\]"):
        ct.paired_differences(made_up(a=[1, 2], b=[1, 2]), "oracle")


def test_the_summary_is_sorted_and_carries_the_interval():
    summary = ct.summarize(made_up(late=[3, 4, 5], early=[1, 2, 3]))
    assert summary["model"].tolist() == ["early", "late"]
    assert (summary["rmse_clipped"][0], summary["half_width"][0]) == pytest.approx(ct.split_interval([1, 2, 3], 8, 2))
    assert summary["train_rmse"].tolist() == [1, 1]


# ---- Choosing ----


def test_the_choice_is_the_best_on_the_validation_part(sample):
    train, validation = sample.split_random(random_state=1)
    candidates = [ct.BiasBaseline(reg) for reg in (0.01, 5, 1000)]
    clipped = ct.select_model(candidates, train, validation, clip=True)[1]
    assert clipped == [ct.rmse(model.fit(train), validation, clip=True) for model in candidates]
    chosen, scores = ct.select_model(candidates, train, validation)
    assert scores == [ct.rmse(model.fit(train), validation) for model in candidates] != clipped
    assert chosen.reg == candidates[int(np.argmin(scores))].reg
    assert chosen.ratings_ is train


def test_the_first_of_equal_candidates_is_chosen(sample):
    train, validation = sample.split_random()
    chosen, _ = ct.select_model([ct.BiasBaseline(5), ct.BiasBaseline(5.0, solver="direct")], train, validation)
    assert isinstance(chosen.reg, int)


class Says(ct.GlobalMean):
    """The mean of the ratings, and an error that is told to it."""

    def __init__(self, error=1.0):
        self.error = error

    def rmse(self, ratings, clip=False):
        return self.error


def test_a_candidate_without_a_finite_error_is_not_chosen_unless_there_is_no_other(sample):
    train, validation = sample.split_random()
    errors = [np.nan, np.inf, 0.5, 0.7]
    chosen, scores = ct.select_model([Says(error) for error in errors], train, validation)
    assert chosen.error == 0.5
    assert scores == pytest.approx(errors, nan_ok=True)
    with pytest.raises(ValueError, match=r"no candidate has a finite validation error: \[nan, inf\]"):
        ct.select_model([Says(error) for error in errors[:2]], train, validation)


@pytest.mark.parametrize("candidates", [[], [ct.GlobalMean(), 4.0], 4.0, None])
def test_what_is_no_list_of_models_has_no_best(table, candidates):
    with pytest.raises(TypeError, match="candidates must be a list of models, got"):
        ct.select_model(candidates, *table.split_random())


def test_a_choice_has_no_way_to_see_the_test_part():
    arguments = ["candidates", "train", "validation", "n_jobs", "clip"]
    assert list(inspect.signature(ct.select_model).parameters) == arguments


def test_choosing_leaves_the_candidates_unfitted(table):
    candidates = [ct.BiasBaseline(5)]
    ct.select_model(candidates, *table.split_random())
    assert not hasattr(candidates[0], "ratings_")


# ---- Titles that many lists share ----


def test_frequent_titles_by_hand():
    # Ann gave a 9, Bob gave b 5: the mean is 7, title a lies above it, b below, and c, which nobody rated, at it.
    # Baseline: Ann's best unseen title is c, Bob's is a. Mean: all tie, so by position: b for Ann, a for Bob.
    ratings = ct.Ratings.from_matrix([[9, NO, NO], [NO, 5, NO]], titles=["a", "b", "c"], user_names=["Ann", "Bob"])
    counts = ct.frequent_titles({"baseline": ct.BiasBaseline().fit(ratings), "mean": ct.GlobalMean().fit(ratings)}, n=1)
    assert list(counts) == ["item_id", "title", "baseline", "mean", "all models"]
    rows = {row.title: (row.baseline, row.mean, row[-1]) for row in counts.itertuples(index=False)}
    assert rows == {"a": (1, 1, 2), "b": (0, 1, 1), "c": (1, 0, 1)}
    assert counts["title"][0] == "a"


def test_frequent_titles_are_those_of_some_list_and_equally_frequent_ones_go_by_id():
    ratings = ct.Ratings([1, 2], [30, 10, 20, 5], [0, 1], [0, 1], [7.0, 7.0])  # unseen ties go by position: 10, 30
    counts = ct.frequent_titles({"mean": ct.GlobalMean().fit(ratings)}, n=1)
    assert counts["item_id"].tolist() == [10, 30]
    assert counts["all models"].tolist() == [1, 1]
    assert counts.index.tolist() == [0, 1]
    more = ct.frequent_titles({"mean": ct.GlobalMean().fit(ratings)}, n=2)
    assert more["item_id"].tolist() == [20, 10, 30]
    assert more.index.tolist() == [0, 1, 2]
    for wrong in ([ct.GlobalMean().fit(ratings)], {}, {"mean": "GlobalMean"}):
        with pytest.raises(TypeError, match="models must be a dict"):
            ct.frequent_titles(wrong)


def test_frequent_titles_add_up_to_the_lists(fitted, table):
    counts = ct.frequent_titles({"one": fitted}, n=2)
    assert counts["one"].sum() == len(fitted.recommend_all(2))
    assert counts["one"].max() <= table.n_users
    assert counts["title"].tolist() == [table.title(item) for item in counts["item_id"]]
