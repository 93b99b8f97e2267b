"""Ranking: lists, their metrics beside chance and the ceiling, and the models that rank without predicting ratings."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import ABOUT_ITEMS, plain_params, random_table
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import ndcg_score

import content_table as ct
from content_table_parts import study

NO = np.nan
METRICS = list(ct.RANKING_METRICS)


@pytest.fixture(scope="module")
def parts():
    """Training, validation and test part of 30 viewers and 40 titles."""
    train, rest = random_table(5, shape=(30, 40), share=0.4).split_random(0.5)
    return train, *rest.split_random(0.6)


class Oracle(ct.Recommender):
    """Scores that are given: what a metric makes of them is then known."""

    def __init__(self, scores=None):
        self.scores = scores

    def _fit(self, ratings, validation=None):
        pass

    def _lost(self, rows, cols):
        return np.zeros(np.broadcast_shapes(rows.shape, cols.shape), dtype=bool)

    def _scores(self, rows, cols):
        return self.scores[rows, cols]

    def _row_scores(self, rows):
        return self.scores[rows]


def dense(ratings, fill=0.0):
    table = np.full(ratings.shape, fill)
    table[ratings.rows, ratings.cols] = ratings.values
    return table


# ---- Metrics of a list ----


def test_the_metrics_by_hand():
    # Ann likes titles 0, 2 and 5 (8 or better); her list of four is 2, 1, 5, 3: hits at ranks 1 and 3.
    # Bob likes title 1, which his list of two puts second. Cy likes nothing and is left out.
    ratings = ct.Ratings.from_matrix([[9, 2, 8, 3, NO, 8], [7, 10, NO, NO, NO, NO], [5, 5, NO, NO, NO, NO]])
    lists = np.array([[2, 1, 5, 3], [0, 1, -1, -1], [0, 1, 2, 3]])
    ann, bob = ct.ranking_metrics(lists, ratings, threshold=8).to_dict("records")
    second, third = 1 / np.log2(3), 1 / 2
    assert ann == pytest.approx({"user_id": 0, "precision": 2 / 4, "recall": 2 / 3,
                                 "ndcg": (1 + third) / (1 + second + third),
                                 "average_precision": (1 / 1 + 2 / 3) / 3, "hit": 1})  # fmt: skip
    assert bob == pytest.approx({"user_id": 1, "precision": 1 / 4, "recall": 1, "ndcg": second,
                                 "average_precision": 1 / 2, "hit": 1})  # fmt: skip


def slow_metrics(listed, liked, n):
    """The twin in plain Python: one list, the set of what is liked, the length asked for."""
    hits = [item in liked for item in listed]
    gain = sum(1 / np.log2(rank + 2) for rank, hit in enumerate(hits) if hit)
    ideal = sum(1 / np.log2(rank + 2) for rank in range(min(len(liked), n)))
    precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(hits) if hit]
    return {"precision": sum(hits) / n, "recall": sum(hits) / len(liked), "ndcg": gain / ideal,
            "average_precision": sum(precisions) / min(len(liked), n), "hit": float(any(hits))}  # fmt: skip


@pytest.mark.parametrize("n", [1, 3, 10, 60])
@pytest.mark.parametrize("protocol", ct.PROTOCOLS)
def test_the_slow_twin_of_the_metrics_agrees(parts, n, protocol):
    train, _, test = parts
    lists = ct.top_lists(ct.ALS(2, reg=1).fit(train), test, n, protocol)
    found = ct.ranking_metrics(lists, test, threshold=6).set_index("user_id")
    liked = {u: set(test.cols[(test.rows == u) & (test.values >= 6)].tolist()) for u in range(test.n_users)}
    assert found.index.tolist() == [u for u in liked if liked[u]]
    assert len(found) < test.n_users
    for u in found.index:
        expected = slow_metrics([item for item in lists[u].tolist() if item >= 0], liked[u], n)
        assert found.loc[u].to_dict() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [1, 5, 40])
def test_ndcg_is_scikit_learns_where_the_two_can_be_compared(parts, n):
    test = parts[2]
    scores = np.random.default_rng(0).normal(size=test.shape)
    lists = np.argsort(-scores, axis=1)[:, :n]  # the whole catalogue
    found = ct.ranking_metrics(lists, test, threshold=6)
    truth = (dense(test, -99) >= 6).astype(float)[found["user_id"]]
    expected = [ndcg_score([t], [s], k=n) for t, s in zip(truth, scores[found["user_id"]], strict=True)]
    assert found["ndcg"].to_numpy() == pytest.approx(np.array(expected), abs=1e-12)


def test_a_threshold_is_met_by_a_rating_equal_to_it():
    ratings = ct.Ratings.from_matrix([[3.5, 3]], scale=(0.5, 5))
    assert ct.ranking_metrics(np.array([[0, 1]]), ratings, 3.5)["recall"].tolist() == [1]
    assert ct.ranking_metrics(np.array([[1, -1]]), ratings, 3.5)["hit"].tolist() == [0]


def test_a_threshold_that_nothing_reaches_is_an_error(table):
    with pytest.raises(ValueError, match=r"no user rated anything 11 or better in .* lower the threshold"):
        ct.ranking_metrics(np.zeros((6, 2), dtype=int), table, 11)


# ---- Lists ----


def test_a_list_of_rated_titles_orders_what_the_test_part_holds_and_nothing_else(parts):
    train, _, test = parts
    model = ct.BiasBaseline().fit(train)
    lists = ct.top_lists(model, test, 4, "rated_only")
    filled = np.round(model.complete(), 9)
    for u in range(test.n_users):
        own = np.sort(test.cols[test.rows == u])
        best = own[np.argsort(-filled[u, own], kind="stable")][:4].tolist()
        assert lists[u].tolist() == best + [-1] * (4 - len(best))


def test_a_list_of_the_catalogue_leaves_out_what_training_and_validation_hold(parts):
    train, validation, test = parts
    model = ct.BiasBaseline().fit(train)
    filled = np.round(model.complete(), 9)
    for also_seen in (None, validation):
        lists = ct.top_lists(model, test, 40, also_seen=also_seen)
        for u in range(test.n_users):
            seen = set(train.cols[train.rows == u]) | (
                set() if also_seen is None else set(also_seen.cols[also_seen.rows == u])
            )
            free = np.array([item for item in range(40) if item not in seen])
            best = free[np.argsort(-filled[u, free], kind="stable")].tolist()
            assert lists[u].tolist() == best + [-1] * (40 - len(best))


@pytest.mark.parametrize("protocol", ct.PROTOCOLS)
def test_ties_in_a_list_go_by_item_position_and_rounding_noise_is_a_tie(parts, protocol):
    train, _, test = parts
    noise = 1e-13 * np.random.default_rng(0).normal(size=train.shape)
    for scores in (np.ones(train.shape), 1 + noise):
        lists = ct.top_lists(Oracle(scores).fit(train), test, 6, protocol)
        assert all((np.diff(own[own >= 0]) > 0).all() for own in lists)


def test_a_viewer_without_a_test_rating_has_an_empty_list_of_rated_titles(table):
    test = table.part(table.rows != 5)
    lists = ct.top_lists(ct.GlobalMean().fit(table), test, 3, "rated_only")
    assert lists[5].tolist() == [-1, -1, -1]
    assert lists[3].tolist() == [0, 1, 2]


def test_lists_refuse_what_they_cannot_mean(table, four):
    model = ct.GlobalMean().fit(table)
    with pytest.raises(ValueError, match=r"protocol must be one of \['rated_only', 'full_catalogue'\], got 'all'"):
        ct.top_lists(model, table, 3, "all")
    with pytest.raises(ValueError, match="test must have the users and items of the training ratings"):
        ct.top_lists(model, four)
    with pytest.raises(NotFittedError):
        ct.top_lists(ct.GlobalMean(), table)
    for n in (0, 2.5, "ten"):
        with pytest.raises(ValueError, match="n must be"):
            ct.top_lists(model, table, n)


# ---- Models side by side ----


@pytest.mark.parametrize("protocol", ct.PROTOCOLS)
def test_every_comparison_has_popularity_chance_and_the_ceiling_beside_it(parts, protocol):
    train, validation, test = parts
    model = ct.BiasBaseline().fit(train)
    results = ct.rank_models({"baseline": model}, test, 6, n=5, protocol=protocol, also_seen=validation)
    assert list(results) == ["model", "user_id", *METRICS]
    assert results["model"].unique().tolist() == ["baseline", "popularity", "random", "ceiling"]
    assert results.groupby("model").size().nunique() == 1
    popular = ct.top_lists(ct.Popularity().fit(train), test, 5, protocol, validation)
    expected = ct.ranking_metrics(popular, test, 6)
    pd.testing.assert_frame_equal(
        results[results["model"] == "popularity"].drop(columns="model").reset_index(drop=True), expected
    )
    own = results[results["model"] == "baseline"].set_index("user_id")[METRICS]
    best = results[results["model"] == "ceiling"].set_index("user_id")[METRICS]
    assert (own <= best + 1e-12).all(axis=None)


def test_viewers_without_a_right_answer_are_left_out_and_counted(parts):
    train, _, test = parts
    results = ct.rank_models({"mean": ct.GlobalMean().fit(train)}, test, 7.5)
    with_answer = np.unique(test.rows[test.values >= 7.5])
    assert results.attrs == {"protocol": "full_catalogue", "n": 10, "threshold": 7.5,
                             "users_left_out": test.n_users - len(with_answer)}  # fmt: skip
    assert 0 < len(with_answer) < test.n_users
    assert sorted(results["user_id"].unique()) == with_answer.tolist()


@pytest.mark.parametrize("protocol", ct.PROTOCOLS)
@pytest.mark.parametrize("n", [1, 4, 15])
def test_the_ceiling_is_what_an_oracle_reaches(parts, protocol, n):
    train, validation, test = parts
    oracle = Oracle(dense(test, -99.0)).fit(train)
    results = ct.rank_models({"oracle": oracle}, test, 6, n, protocol, validation)
    both = [results[results["model"] == name].set_index("user_id")[METRICS] for name in ("oracle", "ceiling")]
    pd.testing.assert_frame_equal(*both)


SMALL = {  # training and test part
    "much to choose from": (
        ct.Ratings.from_matrix([[NO, NO, NO, NO, 5], [NO, NO, 5, NO, NO], [5, NO, NO, NO, NO]]),
        ct.Ratings.from_matrix([[9, 2, 8, 3, NO], [7, 10, NO, 4, 1], [NO, 1, NO, 1, 10]]),
    ),
    "one, two and three titles left": (
        ct.Ratings.from_matrix([[5, 5, 5, NO, NO], [5, 5, 5, 5, NO], [5, 5, NO, NO, NO]]),
        ct.Ratings.from_matrix([[NO, NO, NO, 9, 8], [NO, NO, NO, NO, 10], [NO, NO, 9, 1, 2]]),
    ),
}


@pytest.mark.parametrize("protocol", ct.PROTOCOLS)
@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("name", SMALL)
def test_the_random_row_is_the_mean_over_all_orders(name, protocol, n):
    train, test = SMALL[name]
    found = ct.rank_models({"mean": ct.GlobalMean().fit(train)}, test, 8, n, protocol)
    found = found[found["model"] == "random"].set_index("user_id")
    for u, row in enumerate(dense(test, NO)):
        candidates = np.flatnonzero(~np.isnan(row) if protocol == "rated_only" else np.isnan(dense(train, NO)[u]))
        liked = set(np.flatnonzero(row >= 8).tolist())
        all_orders = [slow_metrics(order[:n], liked, n) for order in itertools.permutations(candidates.tolist())]
        assert found.loc[u, METRICS].to_dict() == pytest.approx(pd.DataFrame(all_orders).mean().to_dict(), abs=1e-12)


@pytest.mark.parametrize("protocol", ct.PROTOCOLS)
def test_the_random_row_is_the_mean_over_many_shuffles(parts, protocol):
    train, validation, test = parts
    rng, draws = np.random.default_rng(0), []
    for _ in range(100):
        lists = ct.top_lists(Oracle(rng.random(train.shape)).fit(train), test, 5, protocol, validation)
        draws.append(ct.ranking_metrics(lists, test, 6)[METRICS].mean())
    draws = pd.DataFrame(draws)
    results = ct.rank_models({"mean": ct.GlobalMean().fit(train)}, test, 6, 5, protocol, validation)
    exact = results[results["model"] == "random"][METRICS].mean()
    assert ((draws.mean() - exact).abs() < 4 * draws.std() / np.sqrt(100)).all()
    assert (draws.std() > 0).all()


def test_the_random_row_knows_what_was_seen_in_validation(parts):
    train, validation, test = parts
    models = {"mean": ct.GlobalMean().fit(train)}
    more, fewer = (ct.rank_models(models, test, 6, also_seen=part) for part in (None, validation))
    more, fewer = (table[table["model"] == "random"]["recall"].mean() for table in (more, fewer))
    assert fewer > more  # fewer candidates: chance is better


def test_what_was_seen_in_training_and_again_in_validation_is_seen_once(parts):
    train, validation, test = parts
    models = {"mean": ct.GlobalMean().fit(train)}
    once, twice = (ct.rank_models(models, test, 6, also_seen=part) for part in (validation, train.joined(validation)))
    pd.testing.assert_frame_equal(once, twice)
    with pytest.raises(ValueError, match=f"no list can hold {len(train)} of the {len(train)} test ratings"):
        ct.rank_models(models, train, 6, also_seen=train)


def test_models_fitted_to_different_ratings_are_not_compared(parts):
    train, validation, test = parts
    models = {"one": ct.GlobalMean().fit(train), "two": ct.GlobalMean().fit(validation)}
    with pytest.raises(ValueError, match=r"must be fitted to the same ratings; \['two'\] were fitted to others"):
        ct.rank_models(models, test, 6)


def test_a_test_part_that_was_seen_is_not_ranked(parts):
    train, validation, test = parts
    models = {"mean": ct.GlobalMean().fit(train)}
    for part, seen in ((train, None), (test, test), (validation, validation)):
        with pytest.raises(ValueError, match="no list can hold"):
            ct.rank_models(models, part, 6, also_seen=seen)
    ct.rank_models(models, train, 6, protocol="rated_only")  # a game of ordering may be played on any part


def test_the_summary_has_means_and_where_they_stand_between_chance_and_the_ceiling():
    rows = [("a", 0.5, 0.4), ("a", 0.7, 0.6), ("random", 0.2, 0.1), ("random", 0.2, 0.1),
            ("ceiling", 1.0, 0.9), ("ceiling", 0.8, 0.9)]  # fmt: skip
    results = pd.DataFrame([{"model": name, **dict.fromkeys(METRICS, 0.0), "precision": p, "recall": r}
                            for name, p, r in rows])  # fmt: skip
    summary = ct.rank_summary(results).set_index("model")
    assert summary.index.tolist() == ["a", "random", "ceiling"]
    assert summary.loc["a", "precision"] == pytest.approx(0.6)
    assert summary["precision_normalised"].tolist() == pytest.approx([(0.6 - 0.2) / 0.7, 0, 1])
    assert summary["recall_normalised"].tolist() == pytest.approx([(0.5 - 0.1) / 0.8, 0, 1])
    assert np.isnan(ct.rank_summary(results, ("ndcg",))["ndcg_normalised"]).all()  # chance is all there is
    for missing in ("random", "ceiling"):
        with pytest.raises(ValueError, match="results must have the rows random and ceiling, got"):
            ct.rank_summary(results[results["model"] != missing])
    bounds = ct.rank_summary(results[results["model"] != "a"])  # which may stand alone
    assert bounds["recall_normalised"].tolist() == pytest.approx([0, 1])
    results.loc[results["model"] != "a", "ndcg"] = 0.5  # chance is as good as the ceiling: there is no scale
    assert np.isnan(ct.rank_summary(results, ("ndcg",))["ndcg_normalised"]).all()


def test_a_ranking_verdict_needs_an_interval_that_leaves_out_zero():
    rng = np.random.default_rng(0)
    base = rng.random(50)
    scores = {"reference": base, "better": base + 0.1 + 0.01 * rng.normal(size=50), "worse": base - 0.1,
              "noise": base + rng.normal(size=50) - 0.02}  # fmt: skip
    results = pd.DataFrame([{"model": name, "user_id": u, "ndcg": value}
                            for name, values in scores.items() for u, value in enumerate(values)])  # fmt: skip
    shuffled = results.sample(frac=1, random_state=1)
    for table in (results, shuffled):
        compared = ct.rank_differences(table, "reference").set_index("model")
        assert compared["verdict"].to_dict() == {"better": "better", "noise": "tie", "reference": "reference",
                                                 "worse": "worse"}  # fmt: skip
        assert compared["difference"].is_monotonic_decreasing
        row = compared.loc["better"]
        assert row["low"] < row["difference"] < row["high"]
        assert row["difference"] == pytest.approx((scores["better"] - base).mean())
        noise = scores["noise"] - base
        half = 1.96 * noise.std() / np.sqrt(50)  # what the bootstrap approaches
        assert compared.loc["noise", "high"] - compared.loc["noise", "low"] == pytest.approx(2 * half, rel=0.1)
    assert (
        ct.rank_differences(results, "reference", level=0.5).set_index("model")["high"]["noise"]
        < (compared.loc["noise", "high"])
    )
    with pytest.raises(ValueError, match=r"reference 'oracle' is not among the models \['better', 'noise'"):
        ct.rank_differences(results, "oracle")


def by_user(**scores):
    """Results as `rank_models` gives them, of one metric."""
    return pd.DataFrame([{"model": name, "user_id": u, "ndcg": value}
                         for name, values in scores.items() for u, value in enumerate(values)])  # fmt: skip


def test_a_model_that_gives_everybody_the_same_ties_and_one_alone_is_the_reference():
    compared = ct.rank_differences(by_user(one=[0.2, 0.5, 0.9], other=[0.2, 0.5, 0.9]), "one")
    assert compared["model"].tolist() == ["one", "other"]  # equal differences: in the order of the table
    assert compared["verdict"].tolist() == ["reference", "tie"]
    assert (compared[["difference", "low", "high"]] == 0).all(axis=None)
    alone = ct.rank_differences(by_user(one=[0.2, 0.5]), "one", n_boot=1)
    assert alone.to_dict("records") == [{"model": "one", "difference": 0, "low": 0, "high": 0, "verdict": "reference"}]


def test_a_small_difference_that_all_users_share_is_a_verdict():
    base = np.array([0.2, 0.5, 0.9, 0.4])
    compared = ct.rank_differences(by_user(one=base, above=base + 0.01, below=base - 0.01), "one").set_index("model")
    assert compared["verdict"].to_dict() == {"above": "better", "one": "reference", "below": "worse"}
    assert compared.loc["below", ["low", "difference", "high"]].tolist() == pytest.approx([-0.01] * 3)


def test_the_ends_of_a_bootstrap_interval_are_its_quantiles_on_both_sides():
    values = np.random.default_rng(4).exponential(size=30)  # lopsided
    rng = np.random.default_rng(7)
    means = np.sort([values[rng.integers(0, 30, 30)].mean() for _ in range(4001)])
    compared = ct.rank_differences(
        by_user(zero=np.zeros(30), one=values), "zero", n_boot=4001, random_state=7, level=0.8
    )
    low, high = compared.set_index("model").loc["one", ["low", "high"]]
    assert [low, high] == pytest.approx([means[400], means[3600]], rel=1e-12)


# ---- What lists are like ----


def test_coverage_novelty_and_diversity_by_hand(table):
    # Six viewers; titles 11 .. 15 have 4, 4, 4, 5 and 4 ratings. Lists: 15 and 13, then 12 alone.
    counts = np.bincount(table.cols)
    assert counts.tolist() == [4, 4, 4, 5, 4]
    lists = np.array([[4, 2, -1], [1, -1, -1]])
    found = ct.list_metrics(lists, table, ABOUT_ITEMS)
    assert found == pytest.approx({"coverage": 3 / 5, "novelty": np.log2(6 / 4), "diversity": 1 - 1 / np.sqrt(2.5)})
    assert list(ct.list_metrics(lists, table)) == ["coverage", "novelty"]


def test_the_novelty_of_a_title_that_nobody_rated_is_finite(with_cold):
    assert ct.list_metrics(np.array([[2]]), with_cold)["novelty"] == pytest.approx(np.log2(6))  # as if one had


def test_lists_of_one_title_have_no_diversity_and_no_lists_no_metrics(table):
    assert np.isnan(ct.list_metrics(np.array([[1, -1]]), table, ABOUT_ITEMS)["diversity"])
    with pytest.raises(ValueError, match="the lists are empty"):
        ct.list_metrics(np.full((2, 3), -1), table)


def test_diversity_is_the_mean_over_lists_of_the_mean_over_pairs(table):
    lists = np.array([[4, 3, 2], [1, 2, -1], [0, -1, -1]])
    C = ABOUT_ITEMS.rows_for(table.item_ids).toarray()

    def apart(i, j):
        return 1 - C[i] @ C[j] / np.linalg.norm(C[i]) / np.linalg.norm(C[j])

    first = (apart(4, 3) + apart(4, 2) + apart(3, 2)) / 3
    assert ct.list_metrics(lists, table, ABOUT_ITEMS)["diversity"] == pytest.approx((first + apart(1, 2)) / 2)


def slow_diversity(lists, C):
    """The twin in plain Python: pair by pair, where a title without features has nothing in common with any."""
    means = []
    for own in lists:
        apart = []
        for a, b in itertools.combinations(own[own >= 0], 2):
            lengths = np.linalg.norm(C[a]) * np.linalg.norm(C[b])
            apart.append(1 - C[a] @ C[b] / lengths if lengths else 1.0)
        means += [np.mean(apart)] if apart else []
    return np.mean(means)


@pytest.mark.parametrize("size", [0.01, 1, 100])
def test_the_slow_twin_of_what_lists_are_like_agrees(parts, size):
    train, rng = parts[0], np.random.default_rng(6)
    features = rng.normal(size=(40, 3)) * size * (rng.random((40, 1)) < 0.7)  # of a third nothing is known
    lists = np.array([rng.permutation(40)[:5] for _ in range(30)])
    lists[np.arange(5) >= rng.integers(0, 6, 30)[:, None]] = -1  # of none to five titles
    found = ct.list_metrics(lists, train, ct.Features(train.item_ids, features, list("abc")))
    listed = lists[lists >= 0].tolist()
    raters = {item: max(1, (train.cols == item).sum()) for item in listed}
    assert found["coverage"] == len(raters) / 40
    assert found["novelty"] == pytest.approx(np.mean([np.log2(30 / raters[item]) for item in listed]), rel=1e-12)
    assert found["diversity"] == pytest.approx(slow_diversity(lists, features), rel=1e-9)
    assert min(raters.values()) < 3


def test_lists_hold_positions_of_titles_or_minus_one(table):
    for lists in ([[0, 4]], [[4, 4]], [[0, -1]]):  # five titles
        assert ct.list_metrics(np.array(lists), table)["coverage"] > 0
    for lists in ([[0, 5]], [[-2, 0]]):
        with pytest.raises(ValueError, match=r"lists must hold positions of 5 titles, or -1, got -?\d to \d"):
            ct.list_metrics(np.array(lists), table)


# ---- Models that rank without predicting ratings ----


def test_a_model_that_ranks_refuses_to_be_scored_in_rating_points(ranker, table):
    ranker.fit(table)
    for metric in (ct.rmse, ct.mae, ct.errors):
        with pytest.raises(ValueError, match=rf"{type(ranker).__name__} ranks: it gives a {ranker.score_name}, not"):
            metric(ranker, table)
    with pytest.raises(ValueError, match="not rating points to score"):
        ct.select_model([ranker], *table.split_random())


def test_a_model_that_ranks_names_its_column(ranker, table):
    ranker.fit(table)
    assert ranker.score_name == {ct.Popularity: "count", ct.Hybrid: "match"}.get(type(ranker), "preference")
    rated = ["predicted_rating"] * isinstance(ranker, ct.Hybrid)
    assert list(ranker.recommend(101)) == ["rank", "item_id", "title", *rated, ranker.score_name]
    listed = ranker.recommend_all(3)
    assert listed[ranker.score_name].to_numpy() == pytest.approx(ranker.predict(listed["user_id"], listed["item_id"]))
    for _, part in listed.groupby("user_id"):
        assert (np.diff(part[ranker.score_name]) <= 1e-9).all()


def test_a_model_that_ranks_keeps_the_contract_of_all_models(ranker, table, with_cold, four):
    with pytest.raises(NotFittedError):
        ranker.predict(101, 11)
    assert ranker.fit(table) is ranker
    filled = ranker.complete()
    copy = clone(ranker)
    assert plain_params(copy) == plain_params(ranker)
    assert not hasattr(copy, "ratings_")
    assert np.array_equal(ranker.fit(with_cold).fit(table).complete(), filled)
    assert ranker.predict([103, 101], [15, 13]) == pytest.approx(filled[[2, 0], [4, 2]], abs=1e-12)
    assert not ranker.predict(table.user_ids[0], table.item_ids, return_fallback=True)[1].any()
    with pytest.raises(ValueError, match="fit needs at least one rating"):
        copy.fit(four.part([]))


def test_a_model_that_ranks_is_saved_and_loaded(ranker, with_cold, tmp_path):
    ranker.fit(with_cold).save(tmp_path / "model.npz")
    again = ct.load_model(tmp_path / "model.npz")
    assert type(again) is type(ranker)
    assert plain_params(again) == plain_params(ranker)
    assert np.array_equal(again.complete(), ranker.complete())
    assert again.history_ == ranker.history_
    pd.testing.assert_frame_equal(again.recommend_all(3), ranker.recommend_all(3))


def test_popularity_counts_viewers_the_same_for_everybody(table, with_cold):
    model = ct.Popularity().fit(with_cold)
    counts = np.bincount(with_cold.cols, minlength=5)
    assert np.array_equal(model.complete(), np.tile(counts, (6, 1)))
    predicted, fallback = model.predict([106, 101], [14, 13], return_fallback=True)
    assert predicted.tolist() == [counts[3], 0]
    assert not fallback.any()  # nobody rated it: that is the count
    assert counts.tolist() == [4, 3, 0, 4, 4]
    assert model.recommend(106, 4)["item_id"].tolist() == [11, 14, 15, 12]  # a cold viewer too; ties in order


def test_popularity_counts_who_comes_later_and_a_new_title_by_its_own(table):
    first, later = table.split_random(0.4)
    model = ct.Popularity().fit(first)
    assert np.array_equal(model.update(later).complete(), ct.Popularity().fit(table).complete())
    assert model.complete()[0].tolist() == first.item_counts.tolist()  # the model before it stays as it was
    assert model.fold_in_item({101: 2, 103: 9, 104: 5}).scores.tolist() == [3] * 6


def test_popularity_is_not_fooled_by_the_ratings_themselves():
    ratings = ct.Ratings.from_matrix([[1, 10, NO], [1, NO, NO], [1, NO, NO], [NO, NO, 5]])
    assert ct.Popularity().fit(ratings).recommend(3)["item_id"].tolist() == [0, 1]


# ---- Implicit ALS ----


def on_paper(model, ratings):
    """The objective over all cells, dense, at the model's factors."""
    A = dense(ratings, NO)
    rated = ~np.isnan(A)
    c = np.where(rated, 1 + model.confidence * np.nan_to_num(A), 1.0)
    P, Q = model.user_factors_, model.item_factors_
    return (c * (rated - P @ Q.T) ** 2).sum() + model.reg * ((P**2).sum() + (Q**2).sum())


def weighted_ridge(A, Q, reg, confidence):
    """The slow twin of a half-step: every cell, rated or not, enters the regression of its row."""
    rated = ~np.isnan(A)
    c = np.where(rated, 1 + confidence * np.nan_to_num(A), 1.0)
    return np.array([np.linalg.solve((Q * w[:, None]).T @ Q + reg * np.eye(Q.shape[1]), Q.T @ (w * s))
                     for w, s in zip(c, rated, strict=True)])  # fmt: skip


def warm(ratings, k, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(side, k)) for side in ratings.shape)


@pytest.fixture(scope="module")
def scored():
    """Ratings from 1 to 10, a third of the cells."""
    rng = np.random.default_rng(2)
    return ct.Ratings.from_matrix(np.where(rng.random((15, 12)) < 0.35, rng.integers(1, 11, (15, 12)), NO))


@pytest.mark.parametrize("confidence", [0, 0.3, 5])
def test_a_pass_of_implicit_als_is_three_dense_weighted_regressions(scored, confidence):
    P, Q = warm(scored, 3)
    model = ct.ImplicitALS(3, reg=0.8, confidence=confidence, n_epochs=1, tol=0, init=(P, Q)).fit(scored)
    A = dense(scored, NO)
    items = weighted_ridge(A.T, weighted_ridge(A, Q, 0.8, confidence), 0.8, confidence)
    assert model.item_factors_ == pytest.approx(items, abs=1e-9)
    assert model.user_factors_ == pytest.approx(weighted_ridge(A, items, 0.8, confidence), abs=1e-9)


@pytest.mark.parametrize("init", ["random", "ones"])
def test_the_objective_of_implicit_als_is_that_over_all_cells_and_never_rises(scored, init):
    model = ct.ImplicitALS(3, reg=0.5, confidence=2, n_epochs=15, tol=0, init=init).fit(scored)
    objectives = np.array([row["objective"] for row in model.history_])
    assert len(objectives) == 15
    assert (np.diff(objectives) <= 1e-12 * objectives[0]).all()
    assert model._objective(scored) == pytest.approx(on_paper(model, scored), rel=1e-12)
    assert model._objective(scored) <= objectives[-1] * (1 + 1e-12)


def test_implicit_als_prefers_what_was_rated(scored):
    model = ct.ImplicitALS(6, reg=0.1, confidence=5, n_epochs=500).fit(scored)
    filled, rated = model.complete(), scored.known.toarray() > 0
    assert filled[rated].mean() > 0.8
    assert filled[~rated].mean() < 0.4


def test_a_rating_raises_the_confidence_of_its_cell():
    ratings = ct.Ratings.from_matrix([[10, 1, NO], [NO, NO, 5], [NO, NO, 5]])
    high, low = ct.ImplicitALS(1, reg=3, confidence=1).fit(ratings).predict(0, [0, 1])
    assert high > low + 0.05


def test_without_a_training_rating_there_is_no_preference(with_cold):
    model = ct.ImplicitALS(2, reg=1).fit(with_cold)
    predicted, fallback = model.predict([106, 101, 106], [11, 13, 13], return_fallback=True)
    assert predicted.tolist() == [0, 0, 0]
    assert fallback.sum() == 3
    assert model.recommend(106, 5)["item_id"].tolist() == with_cold.item_ids.tolist()  # all tie, by position


def test_implicit_als_stops_by_its_tolerance_and_says_when_it_stops_short(scored):
    history = ct.ImplicitALS(3, reg=0.5, tol=1e-3, n_epochs=500).fit(scored).history_
    values = np.array([row["objective"] for row in history])
    gains = -np.diff(values) / values[1:]
    assert gains[-1] <= 1e-3 < gains[:-1].min()
    with pytest.warns(ConvergenceWarning, match=r"ImplicitALS stopped at n_epochs=2 with .* raise n_epochs or tol"):
        ct.ImplicitALS(3, reg=0.5, n_epochs=2, tol=1e-9).fit(scored)


def test_implicit_als_needs_ratings_that_can_be_a_confidence(table):
    with pytest.raises(ValueError, match="confidence grows with the rating, which must not be negative: -1"):
        ct.ImplicitALS().fit(ct.Ratings.from_matrix([[-1, 1]], scale=(-1, 1)))
    with pytest.raises(ValueError, match="reg must be above 0, got 0"):
        ct.ImplicitALS(reg=0).fit(table)


def test_the_seed_decides_the_start_of_implicit_als(table):
    fits = [ct.ImplicitALS(2, random_state=seed, n_epochs=2, tol=0).fit(table).user_factors_ for seed in (1, 1, 2)]
    assert np.array_equal(fits[0], fits[1])
    assert not np.allclose(fits[0], fits[2])


def test_ctrl_c_keeps_what_implicit_als_has_reached(scored, monkeypatch):
    original, calls = ct.solve_all_rows, []

    def press(*arguments, **options):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(ct, "solve_all_rows", press)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = ct.ImplicitALS(3, tol=0, n_epochs=10**6).fit(scored)
    assert "stopped by the keyboard after 3 whole passes" in str(caught[0].message)
    assert np.isfinite(model.complete()).all()


def test_two_tribes_are_told_apart_by_who_watched_what():
    # Two tribes watch two halves of the catalogue: who watched what is all there is to learn.
    rng = np.random.default_rng(3)
    tribe, half = np.arange(40) % 2, np.arange(30) % 2
    watched = rng.random((40, 30)) < np.where(tribe[:, None] == half, 0.6, 0.05)
    ratings = ct.Ratings.from_matrix(np.where(watched, 7.0, NO))
    train, test = ratings.split_random(0.3)
    results = ct.rank_models({"implicit": ct.ImplicitALS(2, reg=1).fit(train)}, test, 5, n=5)
    compared = ct.rank_differences(results, "popularity").set_index("model")
    assert compared["verdict"]["implicit"] == "better"
    assert ct.rank_summary(results).set_index("model").loc["implicit", "precision_normalised"] > 0.2


def test_lists_longer_than_memory_are_refused_by_name_before_any_fit(sample, monkeypatch):
    train, test = sample.split_random(0.2)
    model = ct.Popularity().fit(train)
    for kind in (ct.Popularity, ct.EASE):
        monkeypatch.setattr(kind, "_fit", lambda *arguments: pytest.fail("fitted"))
    calls = [
        lambda n: ct.compare({"x": ct.Popularity()}, sample, 8, n=n),
        lambda n: ct.rank_models({"x": model}, test, 8, n),
        lambda n: ct.tune(ct.EASE(), sample, n_trials=1, score="ndcg", threshold=8, n=n),
    ]
    calls += [lambda n, how=how: ct.top_lists(model, test, n, how) for how in ct.PROTOCOLS]
    for call, n in itertools.product(calls, (10**9, 2**62)):
        with pytest.raises(MemoryError, match=f"lists of n={n:,} needs"):
            call(n)
    results = ct.ranking_metrics(ct.top_lists(model, test, 3), test, 8).assign(model="x")
    with pytest.raises(MemoryError, match="n_boot=1,000,000,000,000 needs"):
        ct.rank_differences(results, "x", n_boot=10**12)
    with pytest.raises(MemoryError, match="n_splits=1,000,000,000,000 needs"):
        ct.evaluate({"x": ct.BiasBaseline()}, sample, n_splits=10**12)


def test_lists_longer_than_the_catalogue_are_lists_of_all_of_it(table):
    train, test = table.split_random(0.3)
    model = ct.Popularity().fit(train)
    whole, longer = (ct.rank_models({"x": model}, test, 5, n) for n in (table.n_items, 40 * table.n_items))
    pd.testing.assert_series_equal(whole["precision"], 40 * longer["precision"])
    rest = ["model", "user_id", "recall", "ndcg", "average_precision", "hit"]
    pd.testing.assert_frame_equal(whole[rest], longer[rest])


@pytest.mark.parametrize("name", ["random", "popularity", "ceiling"])
def test_a_model_cannot_have_the_name_of_an_added_row(table, name):
    with pytest.raises(ValueError, match="are rows that are added to every table"):
        ct.rank_models({name: ct.GlobalMean().fit(table)}, table, 5, protocol="rated_only")


def test_users_that_are_drawn_in_blocks_are_those_drawn_at_once(sample, monkeypatch):
    train, test = sample.split_random(0.3)
    results = ct.rank_models({"x": ct.EASE().fit(train)}, test, 8)
    expected = ct.rank_differences(results, "popularity", n_boot=50)
    table = results.pivot(index="user_id", columns="model", values="ndcg")
    draws = np.random.default_rng(0).integers(0, len(table), (50, len(table)))
    drawn = (table["x"] - table["popularity"]).to_numpy()[draws].mean(axis=1)
    one = expected.set_index("model").loc["x"]
    assert [one["low"], one["high"]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-15)
    for cells in (7 * len(table), 1):  # seven draws, and less than one, at a time
        monkeypatch.setattr(study, "BOOTSTRAP_CELLS", cells)
        pd.testing.assert_frame_equal(ct.rank_differences(results, "popularity", n_boot=50), expected)
