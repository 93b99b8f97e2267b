"""Lists that follow the viewer: the match by hand, its reasons, and whether fans of something get it."""

import numpy as np
import pytest
from conftest import ABOUT_ITEMS
from sklearn.feature_extraction.text import TfidfTransformer

import content_table as ct


@pytest.fixture(scope="module")
def course():
    """The course sample, a model of its ratings, the lists made of it with genres, and these."""
    ratings = ct.load_ratings(ct.DATA / "100x100.csv")
    genres = ct.load_genres(ct.DATA / "catalogue.csv", ratings)
    model = ct.SpectralRegularization(8, biases=True, tol=1e-4).fit(ratings)
    return ratings, model, ct.Hybrid(model, genres, prefit=True).fit(ratings), genres


def in_spreads(scores):
    return scores / scores.std() if scores.std() > 1e-9 else np.zeros(len(scores))


def test_the_match_by_hand(table):
    model = ct.Hybrid(ct.BiasBaseline(), ABOUT_ITEMS, likes_weight=0.7, content_weight=0.3, reg=2).fit(table)
    rated = ct.BiasBaseline().fit(table).predict_rows(np.arange(table.n_users))
    likes = np.zeros(table.shape)
    likes[table.rows, table.cols] = table.values >= 7.75
    gram = np.linalg.inv(likes.T @ likes + 2 * np.eye(table.n_items))
    weights = -gram / np.diag(gram)
    np.fill_diagonal(weights, 0)
    C = TfidfTransformer().fit_transform(ABOUT_ITEMS.rows_for(table.item_ids)).toarray()
    assert 0 < likes.sum() < len(table)
    for row in range(table.n_users):
        spread = rated[row].std()
        preference, alike = likes[row] @ weights, likes[row] @ C @ C.T
        expected = rated[row].copy()
        if likes[row].any():
            expected += spread * (0.7 * in_spreads(preference) + 0.3 * in_spreads(alike))
        np.testing.assert_allclose(model.predict_rows([row])[0], expected, atol=1e-12)


def test_without_a_liked_title_the_list_is_that_of_the_ratings(course):
    ratings, model, hybrid, _ = course
    for told in ({}, {"Steins;Gate": 7, "Death Note": 3}):
        plain, listed = model.fold_in(told).recommend(20), hybrid.fold_in(told).recommend(20)
        assert listed["item_id"].tolist() == plain["item_id"].tolist()
        assert listed["match"].tolist() == listed["predicted_rating"].tolist() == plain["predicted_rating"].tolist()
    off = ct.Hybrid(model, likes_weight=0, content_weight=0, prefit=True).fit(ratings)
    users = np.arange(ratings.n_users)
    assert np.array_equal(off.predict_rows(users), model.predict_rows(users))


def test_what_is_liked_is_a_share_of_the_scale(table):
    for liked, counted in ((0.0, table.values >= 1), (0.5, table.values >= 5.5), (1.0, table.values == 10)):
        model = ct.Hybrid(ct.GlobalMean(), liked=liked).fit(table)
        assert model._likes(table.csr).sum() == counted.sum()
    half_stars = ct.Ratings([1, 2], [3, 4], [0, 1], [0, 1], [4.0, 3.5], scale=(0.5, 5))
    assert ct.Hybrid(ct.GlobalMean()).fit(half_stars)._likes(half_stars.csr).toarray().tolist() == [[1, 0], [0, 0]]


def test_a_list_shows_the_predicted_rating_beside_the_match_it_is_ordered_by(course):
    _, model, hybrid, _ = course
    viewer = hybrid.fold_in({"Steins;Gate": 10, "Death Note": 9})
    listed = viewer.recommend(10, uncertainty=True)
    assert listed.columns.tolist()[-3:] == ["predicted_rating", "match", "uncertainty"]
    assert listed["match"].is_monotonic_decreasing
    assert not listed["predicted_rating"].is_monotonic_decreasing
    alone = model.fold_in({"Steins;Gate": 10, "Death Note": 9})
    assert listed["predicted_rating"].tolist() == alone.predict(listed["item_id"]).tolist()
    assert listed["uncertainty"].tolist() == alone.uncertainty(listed["item_id"]).tolist()
    assert listed["match"].tolist() == viewer.predict(listed["item_id"]).tolist()
    everybody = hybrid.recommend_all(5)
    user = everybody["user_id"].iloc[0].item()
    ours = everybody[everybody["user_id"] == user].drop(columns="user_id")
    np.testing.assert_allclose(
        ours[["predicted_rating", "match"]], hybrid.recommend(user, 5)[["predicted_rating", "match"]], atol=1e-9
    )
    with pytest.raises(ValueError, match="gives a match, not rating points"):
        ct.rmse(hybrid, hybrid.ratings_)


def test_reasons_are_about_the_person_first_and_sum_to_the_match(course):
    ratings, _, hybrid, _ = course
    told = {"Steins;Gate": 10, "Death Note": 9, "Sword Art Online": 2}
    for viewer, own in ((hybrid.fold_in(told), {*told}), (hybrid.viewer("viewer1149"), None)):
        for item in ratings.item_ids[::10].tolist():
            why = ct.explain(hybrid, viewer, item)
            assert why["contribution"].sum() == pytest.approx(viewer.predict(item)[0], abs=1e-8)
            assert why["reason"].iloc[-1].startswith("what everybody gets")
            assert why["rating"].iloc[:-2].notna().all()
            assert own is None or {*why["reason"].iloc[:-1]} == own


def test_new_titles_and_models_that_rank_are_refused(table):
    hybrid = ct.Hybrid(ct.BiasBaseline()).fit(table)
    with pytest.raises(ValueError, match="for a new title fit it again"):
        hybrid.fold_in_item({101: 5})
    for wrong in (None, ct.EASE(), "ALS"):
        with pytest.raises(TypeError, match="rating must be a model that predicts ratings, got"):
            ct.Hybrid(wrong).fit(table)
    with pytest.raises(TypeError, match="item_features must be Features"):
        ct.Hybrid(ct.BiasBaseline(), np.ones((5, 2))).fit(table)
    other = ct.Ratings([1], [2], [0], [0], [5.0])
    with pytest.raises(ValueError, match="fitted to a table with other users or items"):
        ct.Hybrid(ct.BiasBaseline().fit(other), prefit=True).fit(table)


@pytest.mark.parametrize("name", ["likes_weight", "content_weight"])
def test_weights_that_leave_no_digit_to_the_ratings_are_refused(name, table):
    with pytest.raises(ValueError, match=rf"{name} must be at most 1e\+06, got 1e\+300"):
        ct.Hybrid(ct.BiasBaseline(), **{name: 1e300}).fit(table)
    ct.Hybrid(ct.BiasBaseline(), **{name: np.float16(0.5)}).check_settings()


def test_features_without_a_column_say_nothing(table):
    empty = ct.Features(table.item_ids[:3], np.zeros((3, 0)), [])
    with_none = ct.Hybrid(ct.BiasBaseline()).fit(table).complete()
    assert np.array_equal(ct.Hybrid(ct.BiasBaseline(), empty).fit(table).complete(), with_none)


def test_what_says_the_same_of_every_title_says_nothing(table):
    """A genre of all titles: as near to what is liked is every one of them."""
    same = ct.Features(table.item_ids, np.ones((5, 1)), ["anime"])
    with_none = ct.Hybrid(ct.BiasBaseline()).fit(table)
    model = ct.Hybrid(ct.BiasBaseline(), same).fit(table)
    assert model.item_table_.shape == (5, 1)
    assert with_none.item_table_.shape == (5, 0)
    assert model.complete() == pytest.approx(with_none.complete(), abs=1e-12)
    told = {11: 9, 14: 10}
    assert model.fold_in(told).scores == pytest.approx(with_none.fold_in(told).scores, abs=1e-12)


# ---- Whether the lists follow ----------------------------------------------------------------------------------------


def test_fans_of_a_genre_get_more_of_it_and_less_of_what_everybody_gets(course):
    """Twenty fans of each genre with eight titles or more, who rate four of these 9 or 10 and nothing else."""
    ratings, model, hybrid, genres = course
    rng = np.random.default_rng(0)
    about = genres.rows_for(ratings.item_ids).toarray() > 0
    shares, same = {}, []
    for genre in np.flatnonzero(about.sum(axis=0) >= 8):
        for _ in range(20):
            told = rng.choice(np.flatnonzero(about[:, genre]), 4, replace=False)
            given = dict(zip(ratings.item_ids[told].tolist(), rng.integers(9, 11, 4).tolist(), strict=True))
            nobody = {*model.fold_in({}).recommend(10, exclude=list(given))["item_id"]}
            lists = [one.fold_in(given).recommend(10)["item_id"].to_numpy() for one in (model, hybrid)]
            shares.setdefault(genre, []).append([about[ratings.item_cols(listed), genre].mean() for listed in lists])
            same.append([len(nobody & {*listed.tolist()}) / 10 for listed in lists])
    before, after = np.array([np.mean(each, axis=0) for each in shares.values()]).T
    assert len(shares) > 15
    assert (after > before).mean() > 0.9
    assert after.mean() > 1.2 * before.mean()
    plain, follows = np.mean(same, axis=0)
    assert plain > 0.7
    assert follows < plain - 0.25


def test_viewers_like_what_the_lists_that_follow_them_hold():
    """By the truth of the sample: viewers who were no part of the training tell five favourites."""
    ratings = ct.load_ratings(ct.DATA / "100x100.csv")
    genres = ct.load_genres(ct.DATA / "catalogue.csv", ratings)
    with np.load(ct.DATA / "truth.npz", allow_pickle=False) as truth:
        who = {name: row for row, name in enumerate(truth["profile"].tolist())}
        what = {item: col for col, item in enumerate(truth["a_id"].tolist())}
        rows = [who[name] for name in ratings.user_names.tolist()]
        expected = truth["expected"][np.ix_(rows, [what[item] for item in ratings.item_ids.tolist()])]
    rng, liking = np.random.default_rng(0), []
    for fold in np.array_split(rng.permutation(ratings.n_users), 5):
        train = ratings.part(~np.isin(ratings.rows, fold))
        model = ct.SpectralRegularization(8, biases=True, tol=1e-4).fit(train)
        hybrid = ct.Hybrid(model, genres, prefit=True).fit(train)
        for row in fold:
            best = rng.permutation(np.flatnonzero((ratings.rows == row) & (ratings.values >= 9)))[:5]
            if len(best) == 5:
                told = dict(zip(ratings.item_ids[ratings.cols[best]].tolist(), ratings.values[best], strict=True))
                lists = [ratings.item_cols(one.fold_in(told).recommend(10)["item_id"]) for one in (model, hybrid)]
                liking.append([expected[row, listed].mean() for listed in lists])
    gain = np.diff(np.array(liking), axis=1)[:, 0]
    assert len(gain) > 50
    assert gain.mean() > 0
