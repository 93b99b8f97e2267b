"""The comparison: one row per model and split, the same for any number of workers, and a failure costs one row."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import content_table as ct
from content_table_parts import study

NO = np.nan
MODELS = {
    "mean": ct.GlobalMean(),
    "biases": ct.BiasBaseline(reg=5),
    "spectral": ct.SpectralRegularization(reg=8, biases=True, tol=1e-4),
    "implicit": ct.ImplicitALS(n_factors=3, tol=1e-2),
}
FAILS = {"broken": ct.ALS(reg=0, biases=True)}


@pytest.fixture(scope="module")
def features(sample):
    return ct.load_features(ct.DATA / "catalogue.csv", sample, use=("genres",))


@pytest.fixture(scope="module")
def results(sample, features):
    return ct.compare(MODELS | FAILS, sample, 8, features=features, n_splits=3)


def test_errors_are_those_of_evaluate(results, sample):
    other = ct.evaluate({"biases": MODELS["biases"], "spectral": MODELS["spectral"]}, sample, n_splits=3)
    columns = ["train_rmse", "rmse", "rmse_clipped", "mae", "mae_clipped", "cold", "n_train", "n_test"]
    for name, part in other.groupby("model"):
        ours = results[results["model"] == name].sort_values("split")
        np.testing.assert_array_equal(ours[columns].to_numpy(float), part[columns].to_numpy(float))


def test_lists_are_those_of_rank_models(results, sample, features):
    train, test = sample.split_random(0.2, np.random.SeedSequence(0).generate_state(3).tolist()[1])
    fitted = {name: clone(model).fit(train) for name, model in MODELS.items()}
    full = ct.rank_models(fitted, test, 8).groupby("model")[["ndcg", "recall"]].mean()
    rated = ct.rank_models(fitted, test, 8, protocol="rated_only").groupby("model")["precision"].mean()
    ours = results[results["split"] == 1].set_index("model").drop(index="broken")
    assert set(ours.index) == {*MODELS, "popularity", "random", "ceiling"}
    np.testing.assert_allclose(ours[["ndcg", "recall"]].to_numpy(float), full.loc[ours.index].to_numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours["rated_precision"].to_numpy(float), rated[ours.index].to_numpy(), rtol=1e-12)
    lists = ct.list_metrics(ct.top_lists(fitted["spectral"], test), train, features)
    assert ours.loc["spectral", list(lists)].to_dict() == pytest.approx(lists)


@pytest.mark.slow
def test_the_same_numbers_for_any_number_of_workers(results, sample, features):
    other = ct.compare(MODELS | FAILS, sample, 8, features=features, n_splits=3, n_jobs=2)
    seconds = ["fit_seconds", "certify_seconds"]
    pd.testing.assert_frame_equal(results.drop(columns=seconds), other.drop(columns=seconds))
    assert (results["fit_seconds"].dropna() >= 0).all()


def test_a_model_that_fails_costs_its_row_and_says_why(results):
    table = ct.comparison(results).set_index("model")
    assert table.loc["broken", "failed"] == 3
    assert "ValueError: reg=0 with biases" in table.loc["broken", "error"]
    assert table.loc["broken", ["rmse", "ndcg", "stability"]].isna().all()
    assert (table.drop(index="broken")["failed"] == 0).all()


def test_a_model_that_fails_now_and_then_keeps_its_other_splits(sample, monkeypatch):
    class Moody(ct.GlobalMean):
        def _fit(self, ratings, validation):
            if ratings.values[0] > 7:
                raise RuntimeError("not today")
            super()._fit(ratings, validation)

    results = ct.compare({"moody": Moody()}, sample, 8, n_splits=6)
    part = results[results["model"] == "moody"]
    table = ct.comparison(results).set_index("model")
    assert 0 < table.loc["moody", "failed"] == (part["error"] != "").sum() < 6
    assert table.loc["moody", "rmse_clipped"] == pytest.approx(part["rmse_clipped"].mean())


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_error_of_an_evaluation_names_model_and_split(sample, n_jobs):
    with pytest.raises(ValueError, match="reg=0 with biases") as failed:
        ct.evaluate({"mean": ct.GlobalMean()} | FAILS, sample, n_splits=2, n_jobs=n_jobs)
    splits = range(n_jobs)  # side by side the second may be the first to fail
    assert failed.value.__notes__ in [[f"broken, split {split}"] for split in splits]


@pytest.mark.parametrize(
    "read",
    [
        ct.summarize,
        ct.comparison,
        lambda table: ct.paired_differences(table, "mean"),
        lambda table: ct.rank_differences(table.assign(user_id=table["split"]), "mean", "rmse"),
    ],
)
def test_a_table_without_rows_or_with_rows_twice_is_refused(results, read):
    table = results[results["model"].isin(["mean", "biases"])]
    assert len(read(table)) == 2
    with pytest.raises(ValueError, match="results must have a row or more"):
        read(table.iloc[:0])
    with pytest.raises(ValueError, match=r"results must have one row for each model and .*, got 1 more, .*'mean'"):
        read(pd.concat([table, table.query("model == 'mean'").iloc[:1]]))


def test_a_summary_needs_no_splits(results):
    pd.testing.assert_frame_equal(ct.summarize(results.drop(columns="split")), ct.summarize(results))


def test_the_table(results):
    table = ct.comparison(results)
    assert table["model"].is_unique
    scored = table["rmse_clipped"].dropna()
    assert scored.is_monotonic_increasing
    assert set(table.loc[scored.index, "model"]) == {"mean", "biases", "spectral"}
    table = table.set_index("model")
    n_train, n_test = results[["n_train", "n_test"]].iloc[0]
    errors = results.loc[results["model"] == "spectral", "rmse_clipped"]
    assert table.loc["spectral", "half_width"] == ct.split_interval(errors, n_train, n_test)[1]
    assert table.loc["biases", "n_parameters"] == 1 + 144 + 131
    assert table.loc["mean", "n_parameters"] == 1
    assert table.loc["spectral", "relative_gap"] < 1e-4
    assert table.loc["random", "ndcg"] < table.loc["spectral", "ndcg"] < table.loc["ceiling", "ndcg"] == 1
    assert table.loc["random", "rated_precision"] < table.loc["ceiling", "rated_precision"]


def test_stability_by_hand():
    lists = np.array([[0, 1, 2], [3, 4, -1], [-1, -1, -1]])
    others = np.array([[2, 1, 5], [3, 4, 0], [1, 2, 3]])
    assert study._overlap(lists, lists) == 1
    assert study._overlap(lists, others) == pytest.approx((2 / 3 + 1) / 2)  # a user without a list does not count
    assert study._overlap(others, lists) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


def test_the_same_model_twice_is_as_stable_as_itself(sample):
    results = ct.compare({"one": ct.BiasBaseline(), "two": ct.BiasBaseline()}, sample, 8, n_splits=2)
    one, two = (
        results[results["model"] == name].drop(columns=["model", "fit_seconds", "certify_seconds"])
        for name in ("one", "two")
    )
    pd.testing.assert_frame_equal(one.reset_index(drop=True), two.reset_index(drop=True))
    assert ((one["stability"] > 0.3) & (one["stability"] <= 1)).all()


def typed_in(**scores):
    """Results as `compare` gives them: (error, NDCG, relative gap) of each model on each split."""
    rows = [
        {"model": name, "split": split, "error": "", "rmse_clipped": error, "ndcg": ndcg, "relative_gap": gap}
        for name, values in scores.items()
        for split, (error, ndcg, gap) in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(n_train=80, n_test=20)


def test_one_row_of_each_model_by_hand():
    results = typed_in(
        late=[(1.0, 0.3, 1e-3), (2.0, 0.5, 1e-2), (3.0, 0.7, 1e-6)],
        early=[(0.5, 0.1, NO), (0.6, 0.1, NO), (NO, NO, NO)],
    )
    results.loc[[4, 5], "error"] = ["second thing", "third thing"]
    table = ct.comparison(results)
    assert table["model"].tolist() == ["early", "late"]
    assert list(table)[:5] == ["model", "train_rmse", "rmse", "rmse_clipped", "half_width"]  # beside what it is of
    early, late = table.to_dict("records")
    assert (late["rmse_clipped"], late["half_width"]) == pytest.approx(ct.split_interval([1, 2, 3], 80, 20))
    assert (late["ndcg"], late["relative_gap"]) == pytest.approx((0.5, 1e-2))  # the largest gap
    assert (late["failed"], late["error"]) == (0, "")
    assert (early["rmse_clipped"], early["half_width"]) == pytest.approx(ct.split_interval([0.5, 0.6], 80, 20))
    assert np.isnan(early["relative_gap"])
    assert (early["failed"], early["error"]) == (2, "second thing")


def test_one_split_has_a_row_without_an_interval_and_equal_models_keep_their_order():
    table = ct.comparison(typed_in(late=[(2.0, 0.3, NO)], early=[(2.0, 0.3, NO)], best=[(1.0, 0.1, NO)]))
    assert table["model"].tolist() == ["best", "late", "early"]
    assert table.index.tolist() == [0, 1, 2]
    assert table["half_width"].isna().all()


def test_where_splits_differ_in_size_the_first_one_s_sizes_are_those_of_the_interval():
    results = typed_in(one=[(1.0, 0.3, NO), (2.0, 0.5, NO), (3.0, 0.7, NO)])
    results["n_train"], results["n_test"] = [80, 800, 8], [20, 300, 1]
    assert ct.comparison(results)["half_width"].tolist() == pytest.approx([ct.split_interval([1, 2, 3], 80, 20)[1]])


def test_names_that_the_table_adds_are_refused(sample):
    with pytest.raises(ValueError, match=r"\['ceiling', 'random'\] are rows that are added"):
        ct.compare({"random": ct.GlobalMean(), "ceiling": ct.GlobalMean()}, sample, 8, n_splits=2)


def test_a_threshold_that_nobody_reaches_is_an_error_of_the_call(sample):
    low = ct.Ratings.from_matrix(np.ones((6, 5)))
    with pytest.raises(ValueError, match="rated anything 8 or better"):
        ct.compare({"mean": ct.GlobalMean()}, low, 8, n_splits=2)
    assert not ct.compare({"mean": ct.GlobalMean()}, low, 1, n_splits=2)["error"].any()  # all are just so good


def test_each_split_needs_a_viewer_with_a_right_answer(table):
    best = table.part(table.values >= 7)
    rest = table.part(table.values < 7)
    splits = [(table.part(table.rows < 3), table.part(table.rows >= 3)), (best, rest)]
    ct.compare({"mean": ct.GlobalMean()}, None, 7, n=2, splits=splits[:1])
    for given in (splits, splits[::-1]):
        with pytest.raises(ValueError, match="on some split no user rated anything 7 or better"):
            ct.compare({"mean": ct.GlobalMean()}, None, 7, n=2, splits=given)


def test_features_of_other_titles_are_an_error_of_the_call(table):
    others = ct.Features([1, 2, 3], np.eye(3), list("abc"))
    splits = [table.split_random(0.3)]
    with pytest.raises(ValueError, match="has features"):
        ct.compare({"mean": ct.GlobalMean()}, None, 3, features=others, splits=splits)
    known = ct.Features(table.item_ids, np.eye(5), list("abcde"))
    results = ct.compare({"mean": ct.GlobalMean()}, None, 3, n=2, features=known, splits=splits)
    assert not results["error"].any()
    assert results.set_index("model").loc["mean", "diversity"] == 1  # no two have a feature in common


def test_popularity_stands_first_and_a_popularity_of_one_s_own_takes_its_place(table):
    first = ct.compare({"mean": ct.GlobalMean()}, table, 7, n=2, n_splits=2)["model"].drop_duplicates().tolist()
    assert first == ["popularity", "mean", "random", "ceiling"]
    own = ct.compare({"mean": ct.GlobalMean(), "popularity": ct.EASE()}, table, 7, n=2, n_splits=2)
    ease = ct.compare({"mean": ct.GlobalMean(), "ease": ct.EASE()}, table, 7, n=2, n_splits=2)
    figures = ["ndcg", "recall", "n_parameters", "rated_precision"]
    pd.testing.assert_frame_equal(
        own.query("model == 'popularity'")[figures].reset_index(drop=True),
        ease.query("model == 'ease'")[figures].reset_index(drop=True),
    )


def test_a_tuned_model_tells_what_it_chose(table):
    tuned = ct.Tuned({"biases": ct.BiasBaseline(), "mean": ct.GlobalMean()}, n_trials=1, n_folds=2)
    results = ct.compare({"tuned": tuned, "mean": ct.GlobalMean()}, table, 7, n=2, n_splits=2).set_index("model")
    assert set(results.loc["tuned", "chosen"]) <= {"biases", "mean"}
    assert (results.loc["mean", "chosen"] == "").all()


def test_larger_is_better_for_lists(results):
    errors = ct.paired_differences(results, "biases").set_index("model")
    assert set(errors.index) == {"mean", "biases", "spectral"}  # who only ranks has no error
    assert errors.loc["mean", "verdict"] == "worse"
    lists = ct.paired_differences(results, "ceiling", "ndcg", larger_is_better=True).set_index("model")
    assert (lists.drop(index="ceiling")["verdict"] == "worse").all()
    assert lists["difference"].max() == 0
    with pytest.raises(ValueError, match="'implicit' is not among the models with rmse_clipped"):
        ct.paired_differences(results, "implicit")


def test_models_that_only_rank_are_compared_by_their_lists(sample):
    table = ct.comparison(ct.compare({"implicit": ct.ImplicitALS(2)}, sample, threshold=8, n_splits=2))
    assert table.set_index("model").loc["implicit", "ndcg"] > 0
    assert table["rmse_clipped"].isna().all()


class Moody(ct.BiasBaseline):
    """Fits once, then never again."""

    fits = 0

    def _fit(self, ratings, validation):
        type(self).fits += 1
        if type(self).fits > 1:
            raise ArithmeticError("not today")
        super()._fit(ratings, validation)


def test_one_split_is_no_verdict(sample):
    results = ct.compare(
        {"baseline": ct.BiasBaseline(), "moody": Moody()}, sample, threshold=8, n_splits=3, minutes=None
    )
    assert (results["error"] != "").sum() >= 2
    verdicts = ct.paired_differences(results, "baseline").set_index("model")["verdict"]
    assert verdicts.to_dict() == {"baseline": "reference", "moody": "too few splits"}


def test_errors_of_one_prediction_are_those_of_five(sample):
    results = ct.evaluate({"baseline": ct.BiasBaseline(), "nuclear": ct.NuclearNorm(tol=1e-2)}, sample, n_splits=2)
    seed = np.random.SeedSequence(0).generate_state(2).tolist()[0]
    train, test = sample.split_random(0.2, seed)
    for name, model in {"baseline": ct.BiasBaseline(), "nuclear": ct.NuclearNorm(tol=1e-2)}.items():
        row = results[(results["model"] == name) & (results["split"] == 0)].iloc[0]
        model.fit(train)
        expected = [f(model, test, clip) for clip in (False, True) for f in (ct.rmse, ct.mae)]
        assert row[["rmse", "mae", "rmse_clipped", "mae_clipped"]].tolist() == pytest.approx(expected, rel=1e-12)
        _, fallback = model.predict_cells(test.rows, test.cols, return_fallback=True)
        assert row["cold"] == fallback.sum()


def test_stability_is_the_mean_over_the_other_splits(sample):
    model, splits = ct.BiasBaseline(), [sample.split_random(0.2, seed) for seed in (1, 2, 3)]
    results = ct.compare({"biases": model}, None, 8, splits=splits)
    lists = [ct.top_lists(clone(model).fit(train), test) for train, test in splits]
    found = results.query("model == 'biases'").sort_values("split")["stability"]
    for split, value in enumerate(found):
        others = [study._overlap(lists[split], lists[other]) for other in range(3) if other != split]
        assert value == pytest.approx(np.mean(others))


def test_stability_is_a_share_of_the_own_list_where_lists_differ_in_length(table):
    model, splits = ct.BiasBaseline(), [table.split_random(share, 0) for share in (0.2, 0.6)]
    results = ct.compare({"biases": model}, None, 3, n=5, splits=splits)
    first, second = (
        [{*own[own >= 0].tolist()} for own in ct.top_lists(clone(model).fit(train), test, 5)] for train, test in splits
    )
    found = results.query("model == 'biases'").sort_values("split")["stability"].tolist()
    expected = [
        np.mean([len(own & other) / len(own) for own, other in zip(*pair, strict=True) if own])
        for pair in ((first, second), (second, first))
    ]
    assert found == pytest.approx(expected)
    assert abs(expected[0] - expected[1]) > 0.1


def test_models_without_an_error_stand_last_the_better_lists_first():
    sizes = {"split": 0, "error": "", "n_train": 80, "n_test": 20}
    rows = [
        {"model": "low", "ndcg": 0.1},
        {"model": "high", "ndcg": 0.3},
        {"model": "rated", "rmse_clipped": 1.0, "ndcg": 0.0},
    ]
    assert ct.comparison(pd.DataFrame([row | sizes for row in rows]))["model"].tolist() == ["rated", "high", "low"]


def test_splits_of_several_tables_are_refused_before_any_fit(sample):
    few = sample.restrict(np.arange(sample.n_users) < 100, np.ones(sample.n_items, dtype=bool))
    splits = [sample.split_random(0.2), few.split_random(0.2)]
    with pytest.raises(ValueError, match="splits must all have the same users and items"):
        ct.compare({"EASE": Unfit()}, sample, splits=splits, threshold=7)


class Unfit(ct.EASE):
    def _fit(self, ratings, validation):
        raise AssertionError("was fitted")
