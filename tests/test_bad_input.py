"""Bad input: every mistake gets an error that says what was expected, what came, and the likely cause."""

import json
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import about, level
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import content_table as ct

NO = np.nan
COURSE = "u_id,a_id,profile,title,score\n1,50,ann,Bear,7\n2,50,bob,Bear,8\n1,60,ann,Cat,6\n"
MOVIELENS = "userId,movieId,rating,timestamp\n1,9,3.5,200\n"
DUMP = "uid,profile,anime_uid,text,score\n1,ann,50,fine,7\n"


@pytest.fixture
def course(tmp_path):
    """A function that writes a course file and loads it."""

    def load(text, encoding="utf-8", **options):
        (tmp_path / "course.csv").write_text(text, encoding=encoding)
        return ct.load_ratings(tmp_path / "course.csv", **options)

    return load


def folder(path, **files):
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text)
    return path


# ---- Files ----


def test_the_untouched_course_file_loads(course):
    assert len(course(COURSE)) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [(COURSE, "score"), (COURSE, "a_id"), (MOVIELENS, "timestamp"), (MOVIELENS, "userId"), (DUMP, "anime_uid")],
)
def test_a_renamed_column_is_named_with_the_closest_schema(course, text, expected):
    with pytest.raises(ValueError, match=rf"the closest known schema is .*\['{expected}'\] is missing. Was a column"):
        course(text.replace(expected, "renamed", 1))


def test_a_missing_header_row_is_suspected(course):
    with pytest.raises(ValueError, match="or the header row cut off"):
        course(COURSE.split("\n", 1)[1])


@pytest.mark.parametrize("score", ["good", "NaN", "nan", "inf", "-inf", "7,5", "1e999", "None"])
def test_a_score_that_is_no_finite_number_is_named_with_its_row(course, score):
    with pytest.raises(ValueError, match=rf"1 values of 'score' are not finite numbers, .*'{score}' in data row 2"):
        course(COURSE.replace("Bear,8", f'Bear,"{score}"'))


@pytest.mark.parametrize("score", ["11", "0.5", "-3"])
def test_a_score_outside_the_scale_is_named_with_its_cell(course, score):
    with pytest.raises(ValueError, match=rf"outside the scale 1 to 10, the first is {score} by user .*2.*item .*50"):
        course(COURSE.replace("Bear,8", f"Bear,{score}"))


@pytest.mark.parametrize("bad", ["", "x", "1.5", "nan"])
def test_an_id_that_is_no_whole_number_is_named_with_its_row(course, bad):
    with pytest.raises(ValueError, match=rf"1 values of 'u_id' are not .*'{bad}' in data row 3"):
        course(COURSE.replace("1,60", f"{bad},60"))


def test_conflicting_duplicates_are_named_with_both_scores(course):
    with pytest.raises(ValueError, match=r"u_id .*2.*a_id .*50.* score \[8.0, 3.0\]; pass conflicts='last'"):
        course(COURSE + "2,50,bob,Bear,3\n")


def test_an_unknown_way_to_treat_conflicts_is_an_error(course):
    with pytest.raises(ValueError, match="conflicts must be 'error' or 'last', got 'first'"):
        course(COURSE, conflicts="first")


@pytest.mark.parametrize("rows", ["", "1,50,ann,Bear,\n2,50,bob,Bear,0\n"])
def test_a_table_without_a_rating_is_an_error(course, rows):
    with pytest.raises(ValueError, match=r"holds no rating \(\d rows, \d of them without a score\)"):
        course(COURSE.split("\n")[0] + "\n" + rows)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01\x80", b'u_id,a_id\n"never closed'])
def test_a_file_that_is_no_csv_is_an_error(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a CSV file with a header|closest known schema"):
        ct.load_ratings(tmp_path / "x.csv")


def test_a_row_with_too_many_fields_is_an_error(course):
    with pytest.raises(ValueError, match="is not a CSV file with a header"):
        course(COURSE + "3,50,cy,Bear, the Great,8\n")


def test_rows_that_all_have_one_field_too_many_are_an_error(course):
    with pytest.raises(ValueError, match="is not a CSV file with a header"):
        course(COURSE.replace("\n", ",x\n").replace("score,x", "score"))


def test_a_missing_file_and_an_empty_folder_say_what_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*nowhere.csv"):
        ct.load_ratings(tmp_path / "nowhere.csv")
    with pytest.raises(FileNotFoundError, match=r"neither reviews.csv .* nor ratings.csv"):
        ct.load_ratings(tmp_path)


def test_a_dump_without_its_titles_says_which_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*animes.csv"):
        ct.load_ratings(folder(tmp_path, reviews=DUMP))


@pytest.mark.parametrize("header", ["id,title", "uid,name"])
def test_a_renamed_column_in_the_dumps_titles_is_named(tmp_path, header):
    with pytest.raises(ValueError, match=r"animes.csv"):
        ct.load_ratings(folder(tmp_path, reviews=DUMP, animes=f"{header}\n50,Bear\n"))


@pytest.mark.parametrize("header", ["id,title", "movieId,name"])
def test_a_renamed_column_in_movielens_titles_is_named(tmp_path, header):
    with pytest.raises(ValueError, match=r"movies.csv"):
        ct.load_ratings(folder(tmp_path, ratings=MOVIELENS, movies=f"{header}\n9,Jaws\n"))


def test_a_film_listed_twice_with_one_title_is_no_problem(tmp_path):
    ratings = ct.load_ratings(folder(tmp_path, ratings=MOVIELENS, movies="movieId,title\n9,Jaws\n9,Jaws\n"))
    assert ratings.titles.tolist() == ["Jaws"]


def test_swapped_columns_in_a_course_file_are_suspected(course):
    with pytest.raises(ValueError, match=r"several values of title: .* columns '[ua]_id' and '[ua]_id' look swapped"):
        course(COURSE.replace("u_id,a_id", "a_id,u_id"))


def test_two_titles_for_one_id_are_an_error(course):
    with pytest.raises(ValueError, match=r"a_id .*50.* has several values of title: \['Bear', 'Boar'\]"):
        course(COURSE.replace("bob,Bear", "bob,Boar"))


# ---- Tables in memory ----


@pytest.mark.parametrize("value", [NO, np.inf, -np.inf])
def test_a_rating_that_is_not_finite_is_an_error(value):
    with pytest.raises(ValueError, match="1 ratings are NaN or infinite, the first at entry 1"):
        ct.Ratings([1], [1, 2], [0, 0], [0, 1], [5, value])


def test_a_rating_outside_the_scale_is_an_error():
    with pytest.raises(ValueError, match=r"1 ratings lie outside the scale 1 to 5, the first is 6 by user .*7"):
        ct.Ratings([7], [1, 2], [0, 0], [0, 1], [5, 6], scale=(1, 5))


def test_the_first_of_several_ratings_outside_the_scale_is_named():
    with pytest.raises(ValueError, match=r"2 ratings lie outside the scale 1 to 5, the first is 6 by user 7, item 1;"):
        ct.Ratings([7], [1, 2], [0, 0], [0, 1], [6, 8], scale=(1, 5))


def test_text_ratings_are_an_error():
    with pytest.raises(ValueError, match="1 values of column 'r' are no numbers, the first is 'good'"):
        ct.Ratings.from_frame(pd.DataFrame({"u": [1], "i": [1], "r": ["good"]}), "u", "i", "r")


def test_an_empty_frame_is_an_error():
    with pytest.raises(ValueError, match="holds no rating: nothing to learn from"):
        ct.Ratings.from_frame(pd.DataFrame({"u": [], "i": [], "r": []}), "u", "i", "r")


@pytest.mark.parametrize(("rows", "cols"), [([0, 2], [0, 1]), ([0, -1], [0, 1])])
def test_positions_outside_the_ids_suggest_a_transposed_table(rows, cols):
    with pytest.raises(ValueError, match=r"rows must lie in 0..1, got .* check for a transposed table"):
        ct.Ratings([1, 2], [1, 2, 3], rows, cols, [5, 6])


def test_error_messages_show_ids_as_the_data_has_them():
    with pytest.raises(ValueError, match="user 2, item 30; a sparse matrix"):
        ct.Ratings([1, 2], [30, 40], [1, 0, 1], [0, 0, 0], [5, 5, 6])


# ---- Fitting ----


def test_fitting_to_an_empty_part_is_an_error(model, four):
    with pytest.raises(ValueError, match="fit needs at least one rating, got an empty part"):
        model.fit(four.part([]))


@pytest.mark.parametrize("data", [[[5.0, 3.0]], pd.DataFrame({"score": [5]}), np.ones((2, 2)), None])
def test_fitting_to_anything_but_ratings_names_the_type(data):
    with pytest.raises(TypeError, match=rf"fit needs Ratings .* got {type(data).__name__}"):
        ct.BiasBaseline().fit(data)


@pytest.mark.parametrize("data", [[[5.0, 3.0]], pd.DataFrame({"score": [5]})])
def test_stopping_by_anything_but_ratings_names_the_type(data, table):
    with pytest.raises(TypeError, match=rf"fit needs Ratings .* got {type(data).__name__}"):
        ct.SGDMF(n_factors=1).fit(table, data)


@pytest.mark.parametrize("call", [ct.evaluate, ct.compare, ct.rank_models])
@pytest.mark.parametrize("models", [[ct.GlobalMean()], {}, {"mean": ct.GlobalMean}, ct.GlobalMean()])
def test_models_to_compare_come_by_name(call, models, table):
    with pytest.raises(TypeError, match="models must be a dict of name: model, got"):
        call(models, table, 8)


def test_a_model_that_only_ranks_is_refused_before_anything_is_fitted(table, monkeypatch):
    monkeypatch.setattr(ct.GlobalMean, "fit", lambda *_: pytest.fail("fitted"))
    with pytest.raises(ValueError, match=r"Popularity ranks: .* measure its lists \(rank_models, compare\)"):
        ct.evaluate({"mean": ct.GlobalMean(), "popularity": ct.Popularity()}, table)


@pytest.mark.parametrize("place", [(0, 0), (1, 2)])
def test_every_model_fits_and_predicts_from_one_rating(model, place):
    matrix = np.full((2, 3), NO)
    matrix[place] = 7
    one = ct.Ratings.from_matrix(matrix)
    if getattr(model, "patience", None) or getattr(model, "weight", 0) is None:  # stops or mixes by a validation part
        with pytest.raises(ValueError, match=r"1 ratings cannot give a validation share .* (patience=None|the weight)"):
            clone(model).fit(one)
        model.set_params(**{"patience": None} if hasattr(model, "patience") else {"weight": 0.5})
    fitted = about(model, one).fit(one)
    filled = fitted.complete()
    assert np.isfinite(filled).all()
    elsewhere = np.ones((2, 3), dtype=bool)
    elsewhere[place] = False
    assert np.allclose(filled[elsewhere], 7)  # their viewer or title is cold: the mean
    assert 0 < filled[place] <= 7 + 1e-6


def test_every_model_fits_a_table_where_all_ratings_agree(model):
    ratings = ct.Ratings.from_matrix([[7, 7, NO], [7, NO, 7], [NO, 7, 7]])
    fitted = about(model, ratings).fit(ratings)
    assert np.isfinite(fitted.complete()).all()
    assert ct.rmse(fitted, fitted.ratings_) < 5.1  # the penalty may shrink, but not blow up


def test_one_rating_cannot_be_split():
    with pytest.raises(ValueError, match=r"1 ratings cannot give a test share of 0\.2 and leave some to train on"):
        ct.Ratings.from_matrix([[5.0]]).split_random()


def test_a_viewer_or_title_without_ratings_gets_the_known_biases_then_the_mean(model, with_cold):
    fitted = about(model, with_cold, unknown=[13]).fit(with_cold)  # content models know a title by its features
    assert (fitted.user_bias_[5], fitted.item_bias_[2]) == pytest.approx((0, 0), abs=1e-15)
    for user, item, cell in ((106, 11, (5, 0)), (101, 13, (0, 2)), (106, 13, (5, 2))):
        assert fitted.predict(user, item) == pytest.approx([level(fitted, *cell)], abs=1e-9)
        assert fitted.predict(user, item)[0] > 1
    scores, fallback = fitted.predict([106, 101, 106, 101], [11, 13, 13, 11], return_fallback=True)
    assert scores.tolist() == fitted.predict([106, 101, 106, 101], [11, 13, 13, 11]).tolist()
    shared = isinstance(fitted, ct.ContentMF) and fitted.shared_weights  # a viewer is known by what everybody shares
    assert fallback.tolist() == [not shared, True, True, False]


def test_a_cold_viewer_still_gets_a_list_in_a_stable_order(model, with_cold):
    fitted = model.fit(with_cold)
    expected = level(fitted, 5, np.arange(5))
    order = np.argsort(-np.round(expected, 9), kind="stable")
    assert fitted.recommend(106, 5)["item_id"].tolist() == with_cold.item_ids[order].tolist()


# ---- Asking ----


def test_an_unknown_id_is_named_with_an_example(fitted):
    with pytest.raises(KeyError, match=r"unknown user id 999 \(1 unknown in all\); the table has 6 users, such as 101"):
        fitted.predict(999, 11)
    with pytest.raises(KeyError, match="unknown item id 999"):
        fitted.predict(101, 999)
    with pytest.raises(KeyError, match="unknown user id 999"):
        fitted.recommend(999)


def test_swapped_users_and_items_are_suspected(fitted):
    with pytest.raises(KeyError, match=r"unknown user id 11 .* it is an item id, so users and items may be swapped"):
        fitted.predict(11, 101)


def test_an_id_of_the_wrong_type_is_suspected(fitted):
    with pytest.raises(KeyError, match=r"unknown user id '101' .* check the id's type and spelling"):
        fitted.predict("101", 11)


@pytest.mark.parametrize("n", [0, -1, 2.5, NO, np.inf, "ten", None, True])
def test_a_list_length_that_is_no_whole_number_from_1_is_an_error(fitted, n):
    for ask in (lambda: fitted.recommend(101, n), lambda: fitted.recommend_all(n), lambda: fitted.top_items([0], n)):
        with pytest.raises(ValueError, match=r"n must be (at least 1|a (whole|finite) number)"):
            ask()


@pytest.mark.parametrize("works", [[0, 0.5, 1, 1, 2], [0, 1, 2], [[0, 0, 1, 1, 2]], "abcde", [NO] * 5])
def test_works_that_are_no_whole_number_for_each_title_are_refused(works, table):
    model = ct.BiasBaseline().fit(table)
    assert (model.top_items([1], 2, works=np.array([0, 0, 1, 1, 2])) >= 0).any()
    with pytest.raises((TypeError, ValueError), match=r"^works (must|needs)"):
        model.top_items([1], 2, works=works)


def test_a_list_longer_than_what_is_unseen_is_cut_there(fitted):
    assert [len(fitted.recommend(user, 99)) for user in (101, 102, 104)] == [1, 2, 0]
    assert len(fitted.recommend_all(2**62)) == 30 - len(fitted.ratings_)
    assert (fitted.top_items([0], 99)[0, 5:] == -1).all()


@pytest.mark.parametrize("n", [10**9, 2**63 - 1])
def test_a_list_so_long_that_it_would_fill_the_memory_is_refused(n, table):
    with pytest.raises(MemoryError, match=rf"top_items of n={n:,} needs a dense 1 x {n:,} table"):
        ct.GlobalMean().fit(table).top_items([0], n)


def test_a_list_length_written_as_a_float_is_refused_in_words(table):
    with pytest.raises(ValueError, match=r"n must be a whole number, got 2\.0"):
        ct.GlobalMean().fit(table).recommend(102, 2.0)


def test_what_was_seen_must_come_from_the_same_universe(table, four):
    with pytest.raises(ValueError, match="also_seen"):
        ct.GlobalMean().fit(table).recommend(101, also_seen=four)


def test_what_was_seen_under_other_ids_is_refused():
    model = ct.GlobalMean().fit(ct.Ratings([1, 2], [1, 2], [0], [0], [5]))
    seen = ct.Ratings([5, 6], [7, 8], [0], [1], [5])
    for ask, who in ((model.recommend, (1,)), (model.recommend_all, ()), (model.top_items, ([0], 1))):
        with pytest.raises(ValueError, match="also_seen"):
            ask(*who, also_seen=seen)


def test_numbers_of_users_and_items_that_do_not_fit_together_are_an_error(fitted):
    with pytest.raises(ValueError, match=r"users and items must be pairs.* got 2"):
        fitted.predict([101, 102], [11, 12, 13])


@pytest.mark.parametrize(
    "ask",
    ["predict", "recommend", "recommend_all", "complete", "save", "viewer", "fold_in", "fold_in_item", "certificate",
     "noise", "n_parameters", "score"],
)  # fmt: skip
def test_a_model_that_was_never_fitted_says_so(model, four, ask, tmp_path):
    questions = {
        "predict": lambda: model.predict(0, 0),
        "recommend": lambda: model.recommend(0),
        "recommend_all": lambda: model.recommend_all(),
        "complete": lambda: model.complete(),
        "save": lambda: model.save(tmp_path / "model.npz"),
        "viewer": lambda: model.viewer(0),
        "fold_in": lambda: model.fold_in({0: 5}),
        "fold_in_item": lambda: model.fold_in_item({0: 5}),
        "certificate": lambda: model.certificate(),
        "noise": lambda: model.noise(),
        "n_parameters": lambda: model.n_parameters(),
        "score": lambda: ct.rmse(model, four),
    }
    with pytest.raises(NotFittedError, match=rf"this {type(model).__name__} has not been fitted; call fit\(ratings\)"):
        questions[ask]()


def test_a_fit_that_failed_does_not_count_as_one(four):
    model = ct.ALS(reg=0, biases=True)
    with pytest.raises(ValueError, match="reg=0 with biases"):
        model.fit(four)
    with pytest.raises(NotFittedError):
        model.predict(0, 0)


# ---- Parameters ----

ABOUT_FOUR = ct.Features([0, 1], [[1, 0], [0, 1]], ["funny", "sad"])
KINDS = [
    ct.BiasBaseline(),
    ct.ItemKNN(),
    ct.EASE(),
    ct.ALS(),
    ct.NMF(),
    ct.SpectralRegularization(),
    ct.NuclearNorm(),
    ct.ImplicitALS(),
    ct.GraphFilter(),
    ct.BPR(),
    ct.DeepMF(),
    ct.MultVAE(),
    ct.GradientDescentMF(),
    ct.SGDMF(),
    ct.ContentMF(ABOUT_FOUR),
    ct.ContentOnly(ABOUT_FOUR),
    ct.Blend(ct.GlobalMean(), ct.ContentOnly(ABOUT_FOUR)),
]
NUMBERS = ("reg", "bias_reg", "tol", "shrinkage", "n_factors", "n_epochs", "n_neighbors", "confidence", "learning_rate",
           "decay", "clip", "init_scale", "batch_size", "n_negatives", "patience", "validation_size", "content_weight",
           "weight", "damping", "n_layers", "low_pass", "popularity", "n_hidden", "beta", "anneal",
           "dropout")  # fmt: skip
MAY_BE_NONE = ("clip", "batch_size", "patience", "weight")  # and `reg` of ALS and of spectral regularization
PARAMETERS = [(kind, name) for kind in KINDS for name in NUMBERS if name in kind.get_params()]


def test_every_numeric_parameter_is_in_the_table_of_bad_values():
    tested = {(type(kind), name) for kind, name in PARAMETERS}
    for kind in KINDS:
        for name, value in kind.get_params(deep=False).items():
            own_tests = "random_state", "n_jobs"
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name not in own_tests:
                assert (type(kind), name) in tested


@pytest.mark.parametrize("value", [-1, -1e-9, NO, np.inf, -np.inf, "5", None, [5], True])
@pytest.mark.parametrize(("kind", "name"), PARAMETERS, ids=lambda part: getattr(part, "__name__", str(part)))
def test_negative_and_non_finite_parameters_are_named(kind, name, value, four):
    if value is None and (name in MAY_BE_NONE or kind.get_params()[name] is None):
        return
    with pytest.raises(ValueError, match=rf"^{name} must be "):
        clone(kind).set_params(**{name: value}).fit(four)


@pytest.mark.parametrize("value", [0, 1.5])
@pytest.mark.parametrize("name", ["n_factors", "n_epochs", "n_neighbors", "batch_size", "patience"])
def test_counts_must_be_whole_numbers_from_1(name, value, four):
    for kind in KINDS:
        none_is_well = isinstance(kind, ct.GraphFilter) and name == "n_factors" and value == 0  # no directions
        if name in kind.get_params() and not none_is_well:
            with pytest.raises(ValueError, match=rf"^{name} must be "):
                clone(kind).set_params(**{name: value}).fit(four)


@pytest.mark.parametrize(
    "model", [ct.ALS(n_factors=2.0), ct.ALS(n_epochs=5e2), ct.SpectralRegularization(n_epochs=3e3)]
)
def test_counts_written_as_floats_are_refused_in_words(model, four):
    with pytest.raises(ValueError, match=r"must be a whole number, got \d+\.0"):
        model.fit(four)


@pytest.mark.parametrize("share", [1, 1.5, 7])
@pytest.mark.parametrize("kind", [ct.SGDMF(), ct.Blend(ct.GlobalMean(), ct.BiasBaseline())], ids=["SGD", "blend"])
def test_a_validation_share_of_everything_is_an_error(kind, share, table):
    with pytest.raises(ValueError, match=rf"validation_size must be below 1, got {share}"):
        clone(kind).set_params(validation_size=share).fit(table)


@pytest.mark.parametrize(("share", "aside"), [(0.09, 0), (0.11, 1), (0.2, 1), (0.31, 2), (0.89, 4), (0.91, 5)])
def test_a_validation_share_that_rounds_to_no_rating_or_to_all_of_them_is_refused(share, aside):
    five = ct.Ratings.from_matrix([[5, 3, 4], [4, 2, NO]])
    blend = ct.Blend(ct.GlobalMean(), ct.BiasBaseline(), validation_size=share)
    if 0 < aside < 5:
        assert 0 <= blend.fit(five).weight_ <= 1
    else:
        with pytest.raises(ValueError, match=rf"^5 ratings cannot give a validation share of {share} and leave some"):
            blend.fit(five)


@pytest.mark.parametrize("name", ["learning_rate", "init_scale", "clip", "validation_size"])
def test_steps_and_scales_must_be_above_0(name, four):
    with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
        ct.SGDMF(patience=None).set_params(**{name: 0}).fit(four)


@pytest.mark.parametrize("weight", [1.1, 5])
def test_a_weight_above_1_is_an_error(weight, four):
    with pytest.raises(ValueError, match=f"weight must be at most 1, got {weight}"):
        ct.Blend(ct.GlobalMean(), ct.BiasBaseline(), weight=weight).fit(four)


def test_an_unknown_schedule_is_answered_with_the_known_ones(four):
    with pytest.raises(ValueError, match=r"schedule must be one of .*'inverse'.*, got 'cosine'"):
        ct.SGDMF(schedule="cosine", patience=None).fit(four)


def test_a_validation_part_of_another_table_or_without_a_rating_is_an_error(model, table, four):
    for part in (four, table.part([])):
        with pytest.raises(ValueError, match="validation must hold ratings of the same users and items"):
            model.fit(table, part)
    assert not hasattr(model, "ratings_")


@pytest.mark.parametrize("name", ["reg", "bias_reg"])
def test_spectral_regularization_needs_penalties_above_0(name, four):
    with pytest.raises(ValueError, match=f"{name} must be above 0, got 0"):
        ct.SpectralRegularization(biases=True, **{name: 0}).fit(four)


def test_als_with_biases_needs_both_penalties(four):
    with pytest.raises(ValueError, match="reg=0 with biases leaves the biases undetermined"):
        ct.ALS(reg=0, biases=True).fit(four)
    with pytest.raises(ValueError, match="bias_reg must be above 0"):
        ct.ALS(biases=True, bias_reg=0).fit(four)


@pytest.mark.parametrize("kind", [ct.BiasBaseline, ct.SpectralRegularization, ct.NuclearNorm])
def test_an_unknown_solver_is_answered_with_the_known_ones(kind, four):
    with pytest.raises(ValueError, match=r"solver must be one of \[.*'cvxpy'.*\], got 'magic'"):
        kind(solver="magic").fit(four)


@pytest.mark.parametrize("init", ["zeros", (np.ones((2, 3)), np.ones((2, 2))), (np.ones((2, 2)),)])
def test_a_start_of_the_wrong_kind_or_shape_is_answered_with_the_right_shapes(init, four):
    with pytest.raises(
        ValueError, match=r"init must be 'random', 'ones' or finite arrays P, Q of shapes \(\(2, 2\), \(2"
    ):
        ct.ALS(n_factors=2, init=init).fit(four)


@pytest.mark.parametrize("kind", [ct.ALS, ct.NMF, ct.BPR])
@pytest.mark.parametrize("start", [([NO, NO], [NO, NO]), ([1, NO], [1, 1]), ([1, 1], [np.inf, 1])], ids=str)
def test_a_start_that_is_not_finite_is_an_error(kind, start, four):
    with pytest.raises(
        ValueError, match="init must be finite arrays P, Q, got some with entries that are NaN or infinit"
    ):
        kind(n_factors=1, init=tuple(np.reshape(side, (2, 1)) for side in start)).fit(four)


PAIRED = [ct.ALS, ct.NMF, ct.ImplicitALS]  # these have a table of pairs of factors
TOO_MANY = [(kind, 30_000) for kind in PAIRED]
TOO_MANY += [(kind, n) for kind in (*PAIRED, ct.BPR, ct.GradientDescentMF) for n in (2**31, 2**62)]


@pytest.mark.parametrize(("kind", "n_factors"), TOO_MANY)
def test_so_many_factors_that_they_would_fill_the_memory_are_refused_by_name(kind, n_factors, four):
    with pytest.raises(MemoryError, match=rf"n_factors={n_factors:,} needs a dense"):
        kind(n_factors=n_factors).fit(four)


@pytest.mark.parametrize("model", [ct.EASE(reg=5), ct.NMF(2, reg=5), ct.DeepMF(2, reg=5e-4, n_epochs=1)], ids=repr)
def test_a_setting_that_is_a_long_double_is_a_float_from_the_fit_on(model, table, tmp_path):
    fitted = clone(model).set_params(reg=np.longdouble(model.reg)).fit(table)
    assert type(fitted.reg) is float
    assert np.array_equal(fitted.complete(), model.fit(table).complete())
    fitted.save(tmp_path / "model.npz")


@pytest.mark.parametrize("reg", [1e-6, 1e-10, 1e-14, 1e-18])
def test_a_tiny_penalty_gives_finite_predictions_or_an_error_that_says_raise_it(reg, sample):
    for model in (ct.ALS(n_factors=20, reg=reg, n_epochs=3, tol=0), ct.BiasBaseline(reg=reg)):
        try:
            assert np.isfinite(model.fit(sample).complete()).all()
        except ValueError as error:
            assert "reg" in str(error)  # noqa: PT017


@pytest.mark.parametrize("n_splits", [0, 1, 2.5, NO])
def test_a_comparison_needs_two_splits(n_splits, four):
    with pytest.raises(ValueError, match="n_splits must be"):
        ct.evaluate({"mean": ct.GlobalMean()}, four, n_splits=n_splits)


def test_splits_of_ones_own_need_a_test_part_of_the_same_universe(sample, four):
    train, test = sample.split_random()
    for split in ((train, test.part([])), (four, test), (train, four), [train, test], (train, test, test)):
        with pytest.raises(ValueError, match=r"splits are pairs \(train, test\) of Ratings with the same"):
            ct.evaluate({"mean": ct.GlobalMean()}, splits=[split])
    assert len(ct.evaluate({"mean": ct.GlobalMean()}, splits=[(train, test)])) == 1


def test_scoring_an_empty_part_is_an_error(fitted, table):
    with pytest.raises(ValueError, match="there is no rating to score: the part is empty"):
        ct.rmse(fitted, table.part([]))


# ---- Weights files ----


@pytest.fixture
def saved(table, tmp_path):
    path = tmp_path / "model.npz"
    ct.ALS(n_factors=2).fit(table).save(path)
    return path


def change(path, **changes):
    """Rewrite the description inside a weights file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    about = json.loads(str(arrays["about"])) | changes
    np.savez_compressed(path, **arrays | {"about": np.array(json.dumps(about))})


def test_a_missing_weights_file_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no saved model at .*; train one and call its save\(path\)"):
        ct.load_model(tmp_path / "nothing.npz")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_weights_file_is_refused(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match="is damaged or is not a saved model"):
        ct.load_model(saved)


def test_a_flipped_byte_is_refused_or_harmless(saved, table):
    whole, before = saved.read_bytes(), ct.load_model(saved).complete()
    refused = 0
    for at in range(0, len(whole), 31):
        saved.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            assert np.array_equal(ct.load_model(saved).complete(), before)
        except ValueError:
            refused += 1
    assert refused > 40


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04 not really a zip", b"\x93NUMPY\x01\x00"])
def test_a_foreign_file_is_refused(tmp_path, content):
    Path(tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged or is not a saved model"):
        ct.load_model(tmp_path / "x.npz")


def test_a_plain_array_file_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(3))
    with pytest.raises(ValueError, match="is damaged or is not a saved model"):
        ct.load_model(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "about",
    [
        None,
        "no json",
        "{}",
        "5",
        '{"format": 1}',
        '{"format": 5, "model": "ALS"}',
    ],
)
def test_an_npz_of_somebody_else_is_refused(tmp_path, about):
    np.savez(tmp_path / "x.npz", data=np.ones(3), **({} if about is None else {"about": np.array(about)}))
    with pytest.raises(ValueError, match="is damaged or is not a saved model"):
        ct.load_model(tmp_path / "x.npz")


def test_a_file_without_a_description_says_so(tmp_path):
    np.savez(tmp_path / "x.npz", data=np.ones(3))
    with pytest.raises(ValueError, match=r"x\.npz is damaged or is not a saved model: it has no description 'about'"):
        ct.load_model(tmp_path / "x.npz")


def test_a_pickle_in_a_weights_file_is_never_opened(tmp_path):
    np.savez(tmp_path / "x.npz", about=np.array([{"format": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        ct.load_model(tmp_path / "x.npz")


def test_weights_of_another_version_are_refused(saved):
    change(saved, format=99)
    with pytest.raises(ValueError, match="has format 99, this version reads 5; train the model again"):
        ct.load_model(saved)


@pytest.mark.parametrize("old", [1, 2, 3, 4])
def test_weights_of_earlier_formats_are_refused(saved, old):
    change(saved, format=old)
    with pytest.raises(ValueError, match=f"has format {old}, this version reads 5; train the model again"):
        ct.load_model(saved)


def described(path):
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["about"]))["content"]


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda content: content["state"].pop("ratings_"), id="no ratings"),
        pytest.param(lambda content: content["state"].pop("n_factors"), id="no parameter"),
        pytest.param(lambda content: content["state"]["user_factors_"].update(array="array 999"), id="no array"),
        pytest.param(lambda content: content.update(kind="Path"), id="a foreign kind"),
        pytest.param(
            lambda content: content["state"]["ratings_"].update(kind="Features"), id="ratings of another kind"
        ),
        pytest.param(lambda content: content.clear(), id="nothing"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(saved, alter):
    content = described(saved)
    alter(content)
    change(saved, content=content)
    with pytest.raises(ValueError, match=r"model.npz is damaged or is not a saved model"):
        ct.load_model(saved)


def test_no_kind_outside_the_module_is_ever_made_from_a_file(saved):
    content = described(saved)
    content["state"]["reg"] = {"kind": "open", "state": {"file": str(saved.with_name("made"))}}
    change(saved, content=content)
    with pytest.raises(ValueError, match=r"is damaged or is not a saved model: ALS.reg must be one of .* got a .open."):
        ct.load_model(saved)
    assert not saved.with_name("made").exists()


def test_features_that_were_tampered_with_are_refused(table, tmp_path):
    ct.ContentOnly(ct.Features([11, 12], [[1.0], [2.0]], ["funny"])).fit(table).save(tmp_path / "model.npz")
    content = described(tmp_path / "model.npz")
    content["state"]["item_features"]["state"]["names"] = {"list": []}
    change(tmp_path / "model.npz", content=content)
    with pytest.raises(ValueError, match=r"is damaged or is not a saved model: .*names must be an array"):
        ct.load_model(tmp_path / "model.npz")


def test_weights_of_an_unknown_model_are_refused(saved):
    change(saved, model="Oracle")
    with pytest.raises(ValueError, match=r"holds a model of kind 'Oracle'; known are \['ALS'"):
        ct.load_model(saved)


def test_training_ratings_that_were_tampered_with_are_noticed(saved):
    with np.load(saved, allow_pickle=False) as file:
        arrays = dict(file)
    values = json.loads(str(arrays["about"]))["content"]["state"]["ratings_"]["state"]["values"]["array"]
    arrays[values] = arrays[values][::-1]
    np.savez_compressed(saved, **arrays)
    with pytest.raises(ValueError, match="its training ratings do not match their own hash"):
        ct.load_model(saved)


def test_weights_of_other_data_are_refused_only_when_data_is_given(saved, table, four):
    assert ct.load_model(saved, table).ratings_.fingerprint == table.fingerprint
    with pytest.raises(ValueError, match="was trained on other data"):
        ct.load_model(saved, four)


# ---- Memory ----


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda huge: ct.GlobalMean().fit(huge).complete(), r"complete\(\), which predict and recommend do without,"),
        (lambda huge: ct.NuclearNorm().fit(huge), "NuclearNorm's feasible point"),
        (lambda huge: ct.NuclearNorm(solver="cvxpy").fit(huge), "NuclearNorm's feasible point"),
        (lambda huge: ct.SpectralRegularization(solver="soft_impute").fit(huge), "solver='soft_impute'"),
        (lambda huge: ct.SpectralRegularization(solver="cvxpy").fit(huge), "solver='cvxpy'"),
    ],
)
def test_a_dense_table_that_would_fill_the_machine_is_refused_with_its_size(huge, ask, what):
    tracemalloc.start()
    try:
        with pytest.raises(
            MemoryError, match=rf"{what} needs a dense 200,000 x 100,000 table of 149\.0 GiB; the limit"
        ):
            ask(huge)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "model",
    [
        ct.BiasBaseline(),
        ct.ItemKNN(),
        ct.ALS(n_factors=5, n_epochs=2, tol=0),
        ct.SpectralRegularization(reg=5, n_epochs=10),
        ct.SpectralRegularization(reg=5, biases=True, n_epochs=10),
        ct.Popularity(),
        ct.NMF(n_factors=5, n_epochs=2, tol=0),
        ct.ImplicitALS(n_factors=5, n_epochs=2, tol=0),
        ct.GradientDescentMF(n_epochs=2, tol=0),
        ct.SGDMF(n_factors=5, n_epochs=2, patience=None),
        ct.ContentMF(ct.Features(range(20), np.eye(20), range(20)), n_factors=5, n_epochs=2, patience=None),
        ct.ContentOnly(ct.Features(range(20), np.eye(20), range(20))),
    ],
    ids=lambda model: repr(model)[:40],
)
def test_a_large_sparse_table_is_fitted_without_a_dense_one(large, model):
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ten passes need not converge
            clone(model).fit(large).recommend(0, 5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**27  # an eighth of a GiB; the dense table takes 9


BIG = 2**53  # the first whole number that a float cannot tell from the next


@pytest.mark.parametrize("first", [BIG, 76561197960287930, 2**63 - 2])
def test_ids_beyond_floats_stay_apart(course, first):
    rows = [f"{first},1,ann,Bear,7", f"{first + 1},1,bob,Bear,8", f"{first + 1},2,bob,Cat,5"]
    ratings = course("\n".join(["u_id,a_id,profile,title,score", *rows]))
    assert ratings.user_ids.tolist() == [first, first + 1]
    assert (len(ratings), ratings.dropped) == (3, {})


@pytest.mark.parametrize("huge", ["99999999999999999999", "1e300"])
def test_ids_beyond_64_bits_are_refused(course, huge):
    with pytest.raises(ValueError, match=r"course.csv: .*ids in 'u_id' do not fit into 64 bits"):
        course(f"u_id,a_id,profile,title,score\n{huge},1,ann,Bear,7\n")


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("u_id;a_id;profile;title;score\n1;1;ann;Bear;7\n", "utf-8", "separated by semicolons or tabs"),
        ("u_id,a_id,profile,title,score\n1,1,ann,Bär,7\n", "latin-1", "save it as CSV UTF-8"),
        ('u_id,a_id,profile,title,score\n1,1,ann,Bear,"8,5"\n', "utf-8", "write decimals with a point"),
        ("u_id,a_id,profile,title,points\n1,1,ann,Bear,7\n", "utf-8", "load_table reads a table with any columns"),
    ],
)
def test_usual_slips_of_a_spreadsheet_are_named(course, text, encoding, message):
    with pytest.raises(ValueError, match=message):
        course(text, encoding)


def test_zero_is_a_rating_where_the_scale_says_so(course):
    text = "u_id,a_id,profile,title,score\n1,1,ann,Bear,0\n1,2,ann,Cat,1\n2,1,bob,Bear,\n"
    likes = course(text, scale=(0, 1))
    assert (likes.values.tolist(), likes.dropped) == ([0.0, 1.0], {"no score": 1})
    assert course(text).dropped == {"no score": 2}


FRAME = pd.DataFrame({"who": [1, 1, 2], "what": [7, 8, 7], "score": [5, 3, 4], "at": [9, 10, 11]})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"who": [1, "ann", 2]}, TypeError, r"ids in column 'who' are of several types, \['int', 'str'\]"),
        ({"score": [5, "five", 4]}, ValueError, "1 values of column 'score' are no numbers, the first is 'five'"),
        ({"at": ["9", "10", "11"]}, TypeError, "times must be numbers or dates"),
        ({"at": [9.0, NO, 11.0]}, ValueError, "1 times are missing, the first at entry 1"),
    ],
)
def test_a_frame_that_means_something_else_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        ct.Ratings.from_frame(FRAME.assign(**change), "who", "what", "score", time="at")


def test_a_list_of_rows_is_no_frame():
    with pytest.raises(TypeError, match="from_frame needs a pandas DataFrame with a row per rating, got list"):
        ct.Ratings.from_frame([[1, 7, 5]], "who", "what", "score")


@pytest.mark.parametrize(
    "times", [pd.to_datetime(["2001-01-09", "2001-01-10", "2001-01-11"]), pd.Series([9, 10, 11], dtype=object)]
)
def test_times_are_ordered_as_moments_not_as_text(times):
    ratings = ct.Ratings.from_frame(FRAME.assign(who=1, what=[7, 8, 9], at=times), "who", "what", "score", time="at")
    train, validation, test = ratings.split_user_time(0.34, 0.33)
    assert [part.item_ids[part.cols].tolist() for part in (train, validation, test)] == [[7], [8], [9]]


def test_a_missing_title_is_shown_by_its_id():
    frame = FRAME.assign(name=["Bear", None, "Bear"])
    ratings = ct.Ratings.from_frame(frame, "who", "what", "score", title="name")
    assert ratings.titles.tolist() == ["Bear", "8"]


@pytest.mark.parametrize("scale", [None, "15", (1, 5, 10), (1, "ten")])
def test_a_scale_is_two_numbers(scale):
    with pytest.raises(ValueError, match="the scale is two numbers"):
        ct.Ratings.from_matrix([[1.0]], scale=scale)


@pytest.mark.parametrize("scale", [(0, np.inf), (-np.inf, 10), (-1.7e308, 1.7e308)])
def test_a_scale_has_finite_ends_and_a_finite_width(scale):
    with pytest.raises(ValueError, match="the scale needs finite ends, not too far apart for a float, got"):
        ct.Ratings.from_frame(FRAME, "who", "what", "score", scale=scale)


def test_ids_that_the_schema_cannot_hold_are_not_written(tmp_path):
    ratings = ct.Ratings(["ann"], [1], [0], [0], [5])
    with pytest.raises(ValueError, match="the course's schema has whole-number ids"):
        ratings.to_csv(tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


def test_a_name_of_strange_digits_is_no_id(table):
    with pytest.raises(KeyError, match="no user has the id or name"):
        table.user_id("²")


def test_titles_like_one_of_another_table_are_not_looked_up(sample):
    model = ct.ALS(2).fit(sample.filter_once(15, 15))
    with pytest.raises(ValueError, match="the model was fitted to"):
        ct.similar_titles(sample, model, "Monster")


def test_a_choice_needs_an_error_to_choose_by(table):
    class Nothing(ct.GlobalMean):
        def _scores(self, rows, cols):
            return np.full(len(rows), NO)

    train, validation = table.split_random(0.2)
    assert isinstance(ct.select_model([Nothing(), ct.BiasBaseline()], train, validation)[0], ct.BiasBaseline)
    with pytest.raises(ValueError, match="no candidate has a finite validation error"):
        ct.select_model([Nothing()], train, validation)
