"""What titles and viewers are about: features, texts, the models that use them, and two models mixed."""

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import ABOUT_ITEMS, ABOUT_USERS, TYPED
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer

import content_table as ct
from content_table_parts import solvers

NO = np.nan

MOVIELENS = {
    "ratings": "userId,movieId,rating,timestamp\n1,10,4,100\n1,20,3,120\n2,10,5,60\n2,30,2,10\n2,40,1,20\n",
    "movies": "movieId,title,genres\n99,Nobody Saw It (1999),Comedy\n20,2001: A Space Odyssey (1968),Adventure|Sci-Fi\n"
    "10,Jaws (1975),Action|Horror\n30,Home Movie (2010),(no genres listed)\n30,Home Movie (1910),Drama\n",
    "tags": "userId,movieId,tag,timestamp\n1,10,Shark ATTACK,120\n2,10,NA,50\n2,20,null,300\n1,20,HAL,121\n"
    "3,10,late,1\n2,30,,5\n1,99,nobody,5\n",
}
DUMP = {
    "reviews": "uid,profile,anime_uid,text,score\n1,ann,50,fine,7\n2,bob,60,good,8\n3,ann,70,bad,2\n",
    "animes": "uid,title,synopsis,genre,aired\n"
    "50,Bear,A bear's life.,\"['Comedy', 'Slice of Life']\",\"Oct 4, 2015 to Mar 27, 2016\"\n"
    "60,Cat,Cats fight.,['Action'],1989 to ?\n60,Cat,Another text.,['Drama'],1979\n70,Dog,,[],Not available\n",
    "profiles": 'profile,gender,birthday,favorites_anime,link\nann,Female,"Oct 2, 1994",[],x\nann,Male,1950,[],x\n'
    "zoe,Male,1930,[],x\nbob,,1988,[],x\n",
}


def folder(path, files):
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text)
    return path


@pytest.fixture
def movielens(tmp_path):
    return folder(tmp_path, MOVIELENS)


@pytest.fixture
def dump(tmp_path):
    return folder(tmp_path, DUMP)


def texts(path, **options):
    return ct.item_texts(path, ct.load_ratings(path), **options).tolist()


# ---- Features ----


def test_features_keep_one_row_for_each_id():
    features = ct.Features([7, 3], [[1, 0], [0, 2]], ["a", "b"])
    assert features.rows_for([3, 7, 3]).toarray().tolist() == [[0, 2], [1, 0], [0, 2]]
    assert repr(features) == "Features(2 ids x 2 columns, 2 values not 0)"


def test_ids_of_which_nothing_is_known_are_counted():
    assert repr(ABOUT_ITEMS) == "Features(5 ids x 3 columns, 6 values not 0, nothing known of 1 ids)"


def test_an_id_without_features_gets_an_empty_row():
    assert ct.Features([7], [[5]], ["a"]).rows_for([1, 7, 2]).toarray().tolist() == [[0], [5], [0]]


def test_features_of_quite_other_ids_are_an_error():
    with pytest.raises(ValueError, match=r"none of the 2 ids has features; .* about ids such as \[7, 8\]"):
        ct.Features([7, 8], [[5], [6]], ["a"]).rows_for([1, 2])


def test_features_made_for_every_rating_are_refused(table):
    with pytest.raises(ValueError, match="21 rows for 5 ids; were they made for every rating instead of every item"):
        ct.Features(table.item_ids[table.cols], np.ones((len(table), 1)), ["a"])


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"names": ["a", "b", "a"]}, ValueError, "one name for each column; 'a' names several of them"),
        ({"names": ["a", "b", None]}, ValueError, "names needs a label everywhere, got 1 that are missing"),
        ({"ids": [None, 7]}, ValueError, "ids needs a label everywhere, got 1 that are missing"),
        ({"ids": 7}, (TypeError, ValueError), "ids must be a list"),
        ({"about": "films"}, ValueError, "about must be one of .*'users'.*got 'films'"),
        ({"notes": [5]}, (TypeError, ValueError), "notes must be"),
        ({"matrix": np.ones(3)}, ValueError, "matrix must be a table of numbers, sparse or dense"),
        ({"matrix": [["1", "0", "0"], ["0", "1", "0"]]}, ValueError, "matrix must be a table of numbers"),
        ({"matrix": [[1, 2, 3], [4]]}, ValueError, "matrix must be a table of numbers"),
    ],
)
def test_what_features_cannot_be_made_of_is_named(wrong, error, words):
    ct.Features(**{"ids": [3, 7], "matrix": np.ones((2, 3)), "names": ["a", "b", "c"]})
    with pytest.raises(error, match=words):
        ct.Features(**{"ids": [3, 7], "matrix": np.ones((2, 3)), "names": ["a", "b", "c"]} | wrong)


def test_features_do_not_change_with_what_they_were_made_from():
    given = sp.csr_array(np.array([[1.0, 0], [0, 2]]))
    features = ct.Features([1, 2], given, ["a", "b"])
    given.data[:] = 9
    assert features.matrix.toarray().tolist() == [[1, 0], [0, 2]]


@pytest.mark.parametrize("ids", [7, "ab", None])
def test_rows_are_asked_for_by_a_list_of_ids(ids):
    with pytest.raises((TypeError, ValueError), match="ids must be a list of ids"):
        ct.Features([7], [[5]], ["a"]).rows_for(ids)


@pytest.mark.parametrize("value", [NO, np.inf, -np.inf])
def test_features_that_are_not_finite_are_an_error(value):
    with pytest.raises(ValueError, match="1 feature values are NaN or infinite"):
        ct.Features([1, 2], [[1], [value]], ["a"])


@pytest.mark.parametrize("matrix", [np.ones((2, 3)), np.ones((3, 2)), np.ones((1, 2))])
def test_features_of_another_shape_are_an_error(matrix):
    with pytest.raises(ValueError, match=r"2 ids and 2 names need a matrix of that shape, got \(\d, \d\)"):
        ct.Features([1, 2], matrix, ["a", "b"])


def test_a_stored_zero_is_no_feature_and_cells_given_twice_are_one():
    data = sp.csr_array(([1.0, 2.0, 0.0], [1, 1, 0], [0, 2, 3]), shape=(2, 2))
    features = ct.Features([1, 2], data, ["a", "b"])
    assert features.matrix.toarray().tolist() == [[0, 3], [0, 0]]
    assert features.matrix.nnz == 1
    assert data.nnz == 3  # what was given is left as it was


def test_features_are_equal_when_all_is():
    one = ct.Features([1, 2], [[1, 0], [0, 1]], ["a", "b"])
    assert one == ct.Features([1, 2], sp.coo_array(np.eye(2)), ["a", "b"])
    for other in (ct.Features([2, 1], np.eye(2), ["a", "b"]), ct.Features([1, 2], 2 * np.eye(2), ["a", "b"]),
                  ct.Features([1, 2], np.eye(2), ["a", "c"]), None):  # fmt: skip
        assert one != other


def test_reduced_features_keep_the_angles_that_matter():
    rng = np.random.default_rng(0)
    full = ct.Features(range(30), rng.normal(size=(30, 3)) @ rng.normal(size=(3, 12)), [str(j) for j in range(12)])
    few = full.reduced(3)
    assert few.matrix.shape == (30, 3)
    assert (few.matrix @ few.matrix.T).toarray() == pytest.approx((full.matrix @ full.matrix.T).toarray(), abs=1e-8)
    assert few == full.reduced(3)
    assert few.ids.tolist() == list(range(30))


def test_features_cannot_be_reduced_to_more_numbers_than_they_have():
    features = ct.Features([1, 2, 3], np.eye(3)[:, :2], ["drama", "war"])
    assert features.reduced(2).matrix.shape == (3, 2)
    with pytest.raises(ValueError, match="n_components must be at most 2 here, got 3"):
        features.reduced(3)


def test_features_are_reduced_to_fifty_numbers_unless_another_is_told():
    full = ct.Features(range(80), np.random.default_rng(0).normal(size=(80, 75)), [str(j) for j in range(75)])
    assert full.reduced().matrix.shape == (80, 50)
    assert full.reduced() == full.reduced(50, random_state=0) != full.reduced(50, random_state=1)
    assert full.reduced(1).names.tolist() == ["direction 1"]
    for options, words in (
        ({"n_components": 0}, "n_components must be .*at least 1, got 0"),
        ({"n_components": 2.5}, "n_components must be a whole number.*got 2.5"),
        ({"random_state": "x"}, "random_state must be a whole number.*got 'x'"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            full.reduced(**options)


# ---- Texts of MovieLens ----


def test_genres_and_tags_of_a_film_are_joined_in_the_order_of_the_ratings(movielens):
    assert texts(movielens) == ["Action Horror shark attack na late", "Adventure Sci-Fi null hal", "", ""]


def test_a_catalogue_without_a_usable_word_is_named(dump, tmp_path):
    (tmp_path / "none.csv").write_text("anime_id,genres\n50,the\n70,of\n")
    with pytest.raises(ValueError, match=r"none\.csv, \('genres',\): the .* texts hold no word to learn from"):
        ct.load_features(tmp_path / "none.csv", ct.load_ratings(dump), use=("genres",))


def test_what_stands_for_no_genre_is_dropped_or_kept(movielens):
    assert texts(movielens, use=("genres",))[2] == ""
    assert texts(movielens, use=("genres",), keep_no_genres=True)[2] == "(no genres listed)"


def test_tags_of_all_viewers_are_lower_cased_and_words_like_na_are_words(movielens):
    assert texts(movielens, use=("tags",)) == ["shark attack na late", "null hal", "", ""]


def test_tags_written_after_a_viewers_last_training_rating_are_the_future(movielens):
    # Viewer 1 rated last at 120, viewer 2 at 60, viewer 3 never.
    assert texts(movielens, use=("tags",), tags_until=ct.load_ratings(movielens)) == ["shark attack na", "", "", ""]
    ratings = ct.load_ratings(movielens)
    early = ratings.part(ratings.times < 60)  # viewer 2 only, until 20
    assert ct.item_texts(movielens, ratings, use=("tags",), tags_until=early).tolist() == [""] * 4


def test_tags_cannot_be_cut_by_ratings_without_times(movielens):
    ratings = ct.load_ratings(movielens)
    timeless = ct.Ratings(ratings.user_ids, ratings.item_ids, ratings.rows, ratings.cols, ratings.values)
    with pytest.raises(ValueError, match="needs `times`"):
        ct.item_texts(movielens, ratings, tags_until=timeless)


def test_the_decade_is_that_of_the_year_at_the_end_of_a_title(movielens):
    assert texts(movielens, use=("decade",)) == ["1970s", "1960s", "2010s", ""]  # not the year 2001 of the odyssey


def test_the_first_of_two_rows_of_one_film_counts(movielens):
    assert texts(movielens, use=("genres", "decade"))[2] == "2010s"


def test_one_file_does_for_its_folder(movielens):
    ratings = ct.load_ratings(movielens)
    for path in (movielens / "movies.csv", str(movielens)):
        assert ct.item_texts(path, ratings).tolist() == texts(movielens)


def test_of_several_catalogues_in_a_folder_that_of_films_is_read(movielens):
    expected = texts(movielens, use=("genres",))
    for other in ("animes", "catalogue"):
        (movielens / f"{other}.csv").write_text("movieId,genres\n10,Other\n")
    assert texts(movielens, use=("genres",)) == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep_no_genres": "yes"}, "keep_no_genres must be True or False, got 'yes'"),
        ({"tags_until": 5}, "tags_until must be Ratings with times, or None, got 5"),
        ({"ratings": 5}, "ratings must be Ratings, got 5"),
        ({"path": 5}, "path must be text or a Path, got 5"),
    ],
)
def test_texts_of_wrong_arguments_are_refused(movielens, options, words):
    with pytest.raises(TypeError, match=words):
        ct.item_texts(**{"path": movielens, "ratings": ct.load_ratings(movielens)} | options)


# ---- Genres ----


def test_genres_are_known_by_their_whole_names(movielens):
    for path in (movielens, str(movielens / "movies.csv")):
        genres = ct.load_genres(path, ct.load_ratings(movielens))
        assert genres.names.tolist() == ["Action", "Adventure", "Horror", "Sci-Fi"]
        assert genres.ids.tolist() == [10, 20, 30, 40]
        assert genres.matrix.toarray().tolist() == [[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
        assert genres.about == "items"


def test_genres_of_the_dump_lose_their_quotes_and_not_their_spaces(dump):
    genres = ct.load_genres(dump, ct.load_ratings(dump))
    assert genres.names.tolist() == ["Action", "Comedy", "Slice of Life"]
    assert genres.rows_for([50, 60, 70]).toarray().tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]


def test_one_genre_will_do_and_none_is_an_error(dump):
    ratings, path = ct.load_ratings(dump), dump / "mine.csv"
    path.write_text("anime_id,genre\n50,Comedy\n60,\n")
    assert ct.load_genres(path, ratings).matrix.toarray().tolist() == [[1], [0], [0]]
    path.write_text("anime_id,genre\n50,[]\n60,(no genres listed)\n")
    with pytest.raises(ValueError, match=r"mine\.csv names no genre of any of the 3 titles"):
        ct.load_genres(path, ratings)


# ---- Texts of the anime files ----


def test_genres_synopsis_and_decade_of_the_dump(dump):
    expected = ["Comedy Slice of Life 2010s A bear s life.", "Action 1980s Cats fight.", ""]
    assert texts(dump, use=("genres", "decade", "synopsis")) == expected


def test_a_catalogue_of_anime_is_read_by_its_columns(dump, tmp_path):
    catalogue = tmp_path / "catalogue.csv"
    catalogue.write_text('anime_id,name,genres\n70,Dog,"Mystery, Police"\n50,Bear,Comedy\n')
    ratings = ct.load_ratings(dump)
    assert ct.item_texts(catalogue, ratings, use=("genres",)).tolist() == ["Comedy", "", "Mystery Police"]


def test_a_folder_with_a_catalogue_and_no_other_file_will_do(sample):
    written = ct.item_texts(ct.DATA, sample, use=("genres",))
    assert written.shape == (sample.n_items,)
    assert (written != "").all()


# ---- What is not there ----


@pytest.mark.parametrize("use", ["genres", (), ("genres", "stars"), ("genre",)])
def test_a_source_that_nobody_knows_is_answered_with_the_known_ones(dump, use):
    with pytest.raises(ValueError, match=r"use must be a tuple of some of \('genres', 'tags', 'decade', 'synopsis'\)"):
        texts(dump, use=use)


@pytest.mark.parametrize(("use", "what"), [(("synopsis",), "a synopsis"), (("genres", "synopsis"), "a synopsis")])
def test_a_source_that_the_files_do_not_have_is_an_error(movielens, use, what):
    with pytest.raises(ValueError, match=rf"movies.csv has no column for {what} .* Leave it out of `use`"):
        texts(movielens, use=use)


def test_tags_of_a_folder_without_them_are_an_error(dump):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*tags.csv"):
        texts(dump)


@pytest.mark.parametrize(
    ("file", "column", "options"),
    [
        ("movies", "movieId", {}),
        ("movies", "genres", {}),
        ("tags", "movieId", {}),
        ("tags", "tag", {}),
        ("tags", "userId", {"tags_until": True}),
        ("tags", "timestamp", {"tags_until": True}),
    ],
)
def test_a_renamed_column_is_named(movielens, file, column, options):
    ratings = ct.load_ratings(movielens)
    options = {name: ratings for name in options}
    (movielens / f"{file}.csv").write_text(MOVIELENS[file].replace(column, "renamed", 1))
    with pytest.raises(ValueError, match=rf"{file}.csv has no column for .*{column}"):
        ct.item_texts(movielens, ratings, **options)


@pytest.mark.parametrize("column", ["movieId", "genres", "title"])
def test_a_column_of_a_catalogue_that_is_used_and_there_twice_is_refused(movielens, column):
    ratings, use = ct.load_ratings(movielens), ("genres", "decade")
    lines = MOVIELENS["movies"].splitlines()
    twice = [f"{lines[0]},{column}", *(f"{line},0" for line in lines[1:])]
    (movielens / "movies.csv").write_text("\n".join(twice) + "\n")
    with pytest.raises(ValueError, match=f"movies.csv has several columns '{column}'"):
        ct.item_texts(movielens, ratings, use=use)


def test_a_column_of_a_catalogue_that_is_not_used_may_be_there_twice(movielens):
    ratings = ct.load_ratings(movielens)
    expected = ct.item_texts(movielens, ratings, use=("genres",)).tolist()
    lines = MOVIELENS["movies"].splitlines()
    twice = [f"{lines[0]},genre,genre", *(f"{line},0,1" for line in lines[1:])]
    (movielens / "movies.csv").write_text("\n".join(twice) + "\n")
    assert ct.item_texts(movielens, ratings, use=("genres",)).tolist() == expected


def test_a_folder_without_a_catalogue_is_an_error(tmp_path, table):
    with pytest.raises(FileNotFoundError, match=r"holds none of movies.csv, animes.csv and catalogue.csv"):
        ct.item_texts(tmp_path, table)


def test_an_id_that_is_no_number_is_named_with_its_row(movielens):
    ratings = ct.load_ratings(movielens)
    (movielens / "movies.csv").write_text(MOVIELENS["movies"].replace("99,", "x,"))
    with pytest.raises(ValueError, match=r"movies.csv: 1 values of 'movieId' .* 'x' in data row 1"):
        ct.item_texts(movielens, ratings)


# ---- From texts to features ----


def test_texts_become_rows_of_length_1_by_id():
    features = ct.tfidf_features([5, 9], ["the big cat", "big dog dog"])
    assert features.names.tolist() == ["big", "cat", "dog"]  # "the" is a stop word
    weight = 1 + np.log(3 / 2)  # scikit-learn's smoothed idf of a word in one of two texts; "big" is in both: 1
    rows = np.array([[1, weight, 0], [1, 0, 2 * weight]])
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert features.rows_for([5, 9]).toarray() == pytest.approx(expected, abs=1e-12)


def test_only_the_most_frequent_words_are_kept_when_asked():
    assert ct.tfidf_features([1, 2], ["cat dog", "dog"], max_features=1).names.tolist() == ["dog"]


def test_of_endless_words_the_first_thousands_are_kept():
    words = [f"word{at:05d}" for at in range(5_001)]
    features = ct.tfidf_features([1, 2], [" ".join(words), " ".join(words[1:])])
    assert sorted(features.names.tolist()) == words[1:]  # 5000, of which each is in both texts
    for wrong, message in ((0, "at least 1, got 0"), (2.5, "a whole number, got 2.5"), ("9", "got '9'")):
        with pytest.raises(ValueError, match=f"max_features must be .*{message}"):
            ct.tfidf_features([1, 2], ["cat", "dog"], max_features=wrong)


def test_texts_without_a_word_are_an_error():
    with pytest.raises(ValueError, match="the 2 texts hold no word to learn from"):
        ct.tfidf_features([1, 2], ["", "the"])


@pytest.mark.parametrize(
    ("ids", "given", "words"),
    [
        ([1, 2], ["cat"], "texts needs 2 entries, one for each of ids, got 1"),
        ([1], ["cat", "dog"], "texts needs 1 entries, one for each of ids, got 2"),
        (1, ["cat"], "ids must be a list of ids"),
        ([1, 2], "cat", "texts must be"),
        ([1, 2], ["cat", 5], "texts must be"),
    ],
)
def test_each_id_has_a_text(ids, given, words):
    with pytest.raises((TypeError, ValueError), match=words):
        ct.tfidf_features(ids, given)


def test_load_features_is_tfidf_of_the_texts(movielens):
    ratings = ct.load_ratings(movielens)
    features = ct.load_features(movielens, ratings, use=("genres",))
    assert features.ids.tolist() == [10, 20, 30, 40]
    expected = TfidfVectorizer(stop_words="english").fit_transform(["Action Horror", "Adventure Sci-Fi", "", ""])
    assert features.matrix.toarray() == pytest.approx(expected.toarray(), abs=1e-12)
    assert np.diff(features.matrix.indptr).tolist() == [2, 3, 0, 0]


def test_features_of_another_catalogue_are_an_error(movielens, table):
    for load in (ct.load_features, ct.load_genres):
        with pytest.raises(ValueError, match=rf"movies.csv lists none of the {table.n_items} titles"):
            load(movielens, table)


def test_names_of_features_are_plain_text_so_that_they_can_be_saved(movielens):
    assert ct.load_features(movielens, ct.load_ratings(movielens)).names.dtype.kind == "U"
    assert ct.Features(np.array(["x"], dtype=object), [[1]], np.array(["a"], dtype=object)).ids.dtype.kind == "U"


# ---- Profiles ----


def test_profiles_are_gender_and_decade_of_birth(dump):
    ratings = ct.load_ratings(dump)
    profiles = ct.load_profiles(dump, ratings)
    assert ratings.user_names.tolist() == ["ann", "bob"]
    assert profiles.names.tolist() == ["gender Female", "born 1980s", "born 1990s"]
    assert profiles.rows_for(ratings.user_ids).toarray().tolist() == [[1, 0, 1], [0, 1, 0]]  # ann's first row counts
    for path in (dump / "profiles.csv", str(dump)):
        assert ct.load_profiles(path, ratings) == profiles


def test_profiles_need_names_and_their_columns(dump, four):
    with pytest.raises(ValueError, match="profiles are matched by name, and these ratings have no user_names"):
        ct.load_profiles(dump, four)
    ratings = ct.load_ratings(dump)
    (dump / "profiles.csv").write_text("profile,sex,birthday\nann,Female,1994\n")
    with pytest.raises(ValueError, match=r"profiles.csv has no column for the gender"):
        ct.load_profiles(dump, ratings)


def test_profiles_of_other_people_are_an_error(dump, table):
    with pytest.raises(ValueError, match="neither gender nor birthday of any of the 6 users"):
        ct.load_profiles(folder(dump, {"profiles": "profile,gender,birthday\nzoe,Male,1930\n"}), table)


# ---- Similar titles ----


def test_similar_titles_by_hand(table):
    # Elk is (1, 0, .5), Dog (0, 2, 0), Cat (.3, .3, 0), Bear (0, 0, 1), Apple nothing. Cosines with Elk, of length
    # sqrt(1.25): Cat 1 / sqrt(2 * 1.25) = .632, Bear .5 / sqrt(1.25) = .447, the others 0, by position.
    found = ct.similar_titles(table, ABOUT_ITEMS, 15)
    assert found["title"].tolist() == ["Cat", "Bear", "Apple", "Dog"]
    assert found["rank"].tolist() == [1, 2, 3, 4]
    assert found["item_id"].tolist() == [13, 12, 11, 14]
    assert found["cosine"].tolist() == pytest.approx([1 / np.sqrt(2.5), 0.5 / np.sqrt(1.25), 0, 0], abs=1e-12)
    assert ct.similar_titles(table, ABOUT_ITEMS, 15, n=1)["title"].tolist() == ["Cat"]


def test_ten_titles_are_like_one_unless_another_number_is_told():
    ratings = ct.Ratings.from_matrix(np.arange(24.0).reshape(2, 12) % 5 + 1)
    features = ct.Features(ratings.item_ids, np.tri(12), [str(at) for at in range(12)])
    alike = ct.similar_titles(ratings, features, ratings.item_ids[0])
    assert alike["item_id"].tolist() == ratings.item_ids[1:11].tolist()
    assert alike["cosine"].tolist() == pytest.approx([at**-0.5 for at in range(2, 12)], abs=1e-12)


def test_titles_are_alike_by_the_factors_of_a_model(table, four):
    model = ct.ALS(2, n_epochs=3, tol=0).fit(table)
    found = ct.similar_titles(table, model, "Elk", n=4)
    units = model.item_factors_ / np.linalg.norm(model.item_factors_, axis=1, keepdims=True)
    cosine = dict(zip(table.item_ids.tolist(), units @ units[4], strict=True))
    assert found["cosine"].tolist() == pytest.approx([cosine[item] for item in found["item_id"].tolist()], abs=1e-12)
    assert sorted(found["item_id"].tolist()) == [11, 12, 13, 14]
    assert found["cosine"].is_monotonic_decreasing
    with pytest.raises(ValueError, match=r"the model was fitted to .*, not to titles and users of"):
        ct.similar_titles(four, model, 0)
    for without in (ct.BiasBaseline(), ct.BayesianFM(0, 4, implicit=False, n_kept=2)):
        with pytest.raises(ValueError, match="has no item factors to compare titles by"):
            ct.similar_titles(table, without.fit(table), "Elk")
    for wrong in ((5, ABOUT_ITEMS), (table, "features")):
        with pytest.raises((TypeError, ValueError, NotFittedError), match="must be"):
            ct.similar_titles(*wrong, "Elk")


def test_nothing_is_like_a_title_of_which_nothing_is_known(table):
    with pytest.raises(ValueError, match="nothing is known about Apple"):
        ct.similar_titles(table, ABOUT_ITEMS, 11)
    with pytest.raises(ValueError, match="nothing is known about Elk"):
        ct.similar_titles(table, ct.Features(table.item_ids, np.zeros((table.n_items, 0)), []), 15)
    opposed = ct.Features(table.item_ids, np.tile([1.0, -1.0], (table.n_items, 1)), ["calm", "loud"])
    assert ct.similar_titles(table, opposed, 15)["cosine"].tolist() == pytest.approx([1, 1, 1, 1], abs=1e-12)
    with pytest.raises(KeyError, match="unknown item id 99"):
        ct.similar_titles(table, ABOUT_ITEMS, 99)
    with pytest.raises(ValueError, match="n must be"):
        ct.similar_titles(table, ABOUT_ITEMS, 15, n=0)


# ---- Content alone ----


def test_content_alone_is_a_ridge_regression_for_each_viewer(table):
    model = ct.ContentOnly(ABOUT_ITEMS, reg=0.7).fit(table)
    C = np.column_stack([ABOUT_ITEMS.rows_for(table.item_ids).toarray(), np.ones(5)])
    for u, row in enumerate(TYPED):
        known = ~np.isnan(row)
        best = np.linalg.solve(C[known].T @ C[known] + 0.7 * np.eye(4), C[known].T @ (row[known] - table.values.mean()))
        assert [*model.feature_weights_[u], model.user_bias_[u]] == pytest.approx(best, abs=1e-10)
        assert model.complete()[u] == pytest.approx(table.values.mean() + C @ best, abs=1e-10)


def test_the_certificate_of_content_alone_bounds_what_any_weights_lose(table):
    model = ct.ContentOnly(ABOUT_ITEMS, reg=0.7).fit(table)
    best, rng = model.certificate(), np.random.default_rng(0)
    left = ct.errors(model, table)
    written = left @ left + 0.7 * ((model.feature_weights_**2).sum() + (model.user_bias_**2).sum())
    assert best.primal == pytest.approx(written, rel=1e-12)
    assert 0 <= best.relative_gap < 1e-12 or abs(best.relative_gap) < 1e-12
    weights, bias = model.feature_weights_.copy(), model.user_bias_.copy()
    for size in (1e-3, 0.1, 10):
        for _ in range(20):
            model.feature_weights_ = weights + size * rng.normal(size=weights.shape)
            model.user_bias_ = bias + size * rng.normal(size=bias.shape)
            worse = model.certificate()
            assert worse.primal > best.primal
            assert worse.dual <= best.primal * (1 + 1e-12)


def test_other_viewers_ratings_do_not_move_content_alone_but_through_the_mean(table):
    values = table.values.copy()
    values[[1, 4]] = values[[4, 1]]  # viewer 101 and 102 swap a value: the mean stays
    assert (table.rows[1], table.rows[4]) == (0, 1)
    assert values[1] != values[4]
    other = ct.Ratings(table.user_ids, table.item_ids, table.rows, table.cols, values)
    before, after = (ct.ContentOnly(ABOUT_ITEMS).fit(ratings).complete() for ratings in (table, other))
    assert after[2:] == pytest.approx(before[2:], abs=1e-12)
    assert np.abs(after[:2] - before[:2]).max() > 0.1


def test_a_cold_title_with_features_is_known_to_content_alone(with_cold):
    model = ct.ContentOnly(ABOUT_ITEMS, reg=0.1).fit(with_cold)
    own = model.feature_weights_[0] @ [0.3, 0.3, 0]
    predicted, fallback = model.predict(101, 13, return_fallback=True)
    assert predicted == pytest.approx([model.global_mean_ + model.user_bias_[0] + own], abs=1e-12)
    assert fallback.tolist() == [False]
    assert abs(own) > 0.1


# ---- Factors helped by content, where the answer is planted ----

COLD_TITLES, COLD_VIEWERS = [4, 5], [6, 7]
TRIBE, GENRE = np.arange(30) % 2, np.arange(24) % 2
TASTE = np.where(TRIBE[:, None] == GENRE, 9.0, 2.0)
GENRES = ct.Features(range(24), np.eye(2)[GENRE], ["comedy", "horror"])
PROFILES = ct.Features(range(30), np.eye(2)[TRIBE], ["young", "old"])


def planted(taste):
    """Two tribes and two genres, half of the cells known, with noise; two titles and two viewers are cold."""
    rng = np.random.default_rng(0)
    known = rng.random(taste.shape) < 0.5
    known[:, COLD_TITLES] = known[COLD_VIEWERS] = False
    return ct.Ratings.from_matrix(np.where(known, taste + rng.choice([-1, 0, 1], taste.shape), NO))


@pytest.fixture(scope="module")
def tribes():
    return planted(TASTE)


def content(**options):
    return ct.ContentMF(GENRES, n_factors=2, learning_rate=0.03, n_epochs=60, patience=None, **options)


def test_a_title_that_nobody_rated_is_predicted_from_what_it_is_about(tribes):
    warm = np.setdiff1d(np.arange(30), COLD_VIEWERS)
    for model in (content(), content(shared_weights=False), ct.ContentOnly(GENRES)):
        predicted = model.fit(tribes).complete()[np.ix_(warm, COLD_TITLES)]
        truth = TASTE[np.ix_(warm, COLD_TITLES)]
        assert ((predicted > tribes.values.mean()) == (truth == 9)).all()
        assert np.abs(predicted - truth).mean() < 1.5
    plain = ct.SGDMF(2, learning_rate=0.03, n_epochs=60, patience=None).fit(tribes).complete()[:, COLD_TITLES]
    assert np.array_equal(plain[:, 0], plain[:, 1])  # without content all cold titles are the same to a viewer


def test_a_viewer_without_ratings_is_predicted_from_the_profile(tribes):
    model = content(user_features=PROFILES).fit(tribes)
    predicted, truth = model.complete()[COLD_VIEWERS], TASTE[COLD_VIEWERS]
    assert np.abs(predicted - truth).mean() < 1
    assert ((predicted > tribes.values.mean()) == (truth == 9)).all()
    without = content().fit(tribes).complete()[COLD_VIEWERS]
    assert np.abs(without - tribes.values.mean()).max() < 1  # nobody can know


def test_a_cold_viewer_meets_a_cold_title_by_profile_and_genre(tribes):
    model = content(user_features=PROFILES).fit(tribes)
    pairs = np.repeat(COLD_VIEWERS, 2), np.tile(COLD_TITLES, 2)
    predicted, fallback = model.predict(*pairs, return_fallback=True)
    assert predicted == pytest.approx(TASTE[np.ix_(COLD_VIEWERS, COLD_TITLES)].ravel(), abs=2)
    assert not fallback.any()


def test_what_everybody_likes_is_offered_to_a_viewer_of_whom_nothing_is_known():
    everybody = planted(np.where(GENRE == 0, 9.0, 2.0) * np.ones((30, 1)))
    model = content().fit(everybody)
    (comedy, horror), fallback = model.predict(COLD_VIEWERS[0], COLD_TITLES, return_fallback=True)
    assert comedy > everybody.values.mean() + 1 > everybody.values.mean() - 1 > horror
    assert fallback.tolist() == [False, False]  # what everybody shares is knowledge about this viewer too
    nothing_shared = content(shared_weights=False).fit(everybody)
    predicted, fallback = nothing_shared.predict(COLD_VIEWERS[0], COLD_TITLES, return_fallback=True)
    assert predicted == pytest.approx([everybody.values.mean()] * 2)
    assert fallback.tolist() == [True, True]


def test_only_what_has_neither_ratings_nor_features_falls_back(with_cold):
    ids = [(101, 13), (106, 11), (106, 13), (101, 11)]
    known = ct.Features([101, 106], [[1], [1]], ["young"])
    blank = ct.Features([11, 12], [[1], [1]], ["funny"])
    cases = [
        (ct.ContentMF(ABOUT_ITEMS), [0, 0, 0, 0]),  # what everybody shares is known of viewer 106
        (ct.ContentMF(ABOUT_ITEMS, shared_weights=False), [0, 1, 1, 0]),
        (ct.ContentMF(ABOUT_ITEMS, known), [0, 0, 0, 0]),
        (ct.ContentMF(ABOUT_ITEMS, known, shared_weights=False), [0, 0, 0, 0]),
        (ct.ContentMF(ABOUT_ITEMS, ABOUT_USERS, shared_weights=False), [0, 1, 1, 0]),  # it does not know viewer 106
        (ct.ContentMF(blank, known), [1, 0, 1, 0]),
        (ct.ContentMF(blank), [1, 0, 1, 0]),
        (ct.ContentMF(blank, shared_weights=False), [1, 1, 1, 0]),
        (ct.ContentOnly(ABOUT_ITEMS), [0, 1, 1, 0]),
        (ct.ContentOnly(blank), [1, 1, 1, 0]),
    ]
    for model, expected in cases:
        if isinstance(model, ct.ContentMF):
            model.set_params(n_factors=2, n_epochs=5, patience=None)
        model.fit(with_cold)
        for pair, count in zip(ids, expected, strict=True):
            predicted, fallback = model.predict(*pair, return_fallback=True)
            assert np.isfinite(predicted).all()
            assert fallback.tolist() == [bool(count)], (model, pair)


def test_taste_is_the_weights_of_a_viewer_largest_first(tribes):
    model = content(user_features=PROFILES).fit(tribes)
    taste = model.taste(3)  # old, likes horror
    assert taste["feature"].tolist() == ["horror", "comedy"]
    assert taste.index.tolist() == [0, 1]
    own = model.feature_weights_[3, [1, 0]]
    shared = model.group_weights_[0] + model.group_weights_[2]  # everybody's, and that of the old
    assert taste["own"].to_numpy() == pytest.approx(own, abs=1e-12)
    assert taste["weight"].to_numpy() == pytest.approx(own + shared[[1, 0]], abs=1e-12)
    alone = ct.ContentOnly(GENRES).fit(tribes).taste(3)
    assert alone["weight"].tolist() == alone["own"].tolist() == sorted(alone["own"], reverse=True)
    with pytest.raises(KeyError, match="unknown user id 99"):
        model.taste(99)


def test_content_weight_multiplies_the_features(tribes):
    doubled = ct.Features(GENRES.ids, 2 * GENRES.matrix, GENRES.names)
    by_weight = content(content_weight=2.0).set_params(learning_rate=0.01).fit(tribes).complete()
    by_hand = content().set_params(item_features=doubled, learning_rate=0.01).fit(tribes).complete()
    assert np.array_equal(by_weight, by_hand)
    assert np.abs(by_weight - content().set_params(learning_rate=0.01).fit(tribes).complete()).max() > 0.01


@pytest.mark.parametrize("kind", ["content", "content only"])
def test_the_order_of_the_features_rows_does_not_matter_nor_do_rows_about_others(tribes, kind):
    model = {"content": content(user_features=PROFILES), "content only": ct.ContentOnly(GENRES)}[kind]
    before = clone(model).fit(tribes).complete()
    order = np.random.default_rng(1).permutation(24)
    rows = sp.vstack([sp.csr_array([[5.0, 5.0]]), GENRES.matrix[order]])
    model.set_params(item_features=ct.Features([999, *order], rows, GENRES.names))
    if kind == "content":
        model.set_params(user_features=ct.Features(range(29, -1, -1), PROFILES.matrix[::-1], PROFILES.names))
    assert np.array_equal(model.fit(tribes).complete(), before)


@pytest.mark.parametrize("kind", [ct.ContentMF, ct.ContentOnly])
def test_features_of_the_wrong_ids_or_of_no_kind_are_an_error(table, kind):
    with pytest.raises(ValueError, match=r"none of the 5 ids has features; .* such as \[1, 2\]"):
        kind(ct.Features([1, 2], np.eye(2), ["funny", "sad"])).fit(table)
    for wrong in (None, np.eye(5), sp.eye_array(5)):
        with pytest.raises(TypeError, match=rf"{kind.__name__} needs item_features, a Features table"):
            kind(wrong).fit(table)


def test_features_of_the_wrong_users_or_of_no_kind_are_an_error(table):
    model = ct.ContentMF(ABOUT_ITEMS, PROFILES)
    with pytest.raises(ValueError, match=r"none of the 6 ids has features"):
        model.fit(table)
    with pytest.raises(TypeError, match=r"ContentMF needs user_features, a Features table .* got ndarray"):
        model.set_params(user_features=np.eye(6)).fit(table)


def test_features_of_the_other_side_are_suspected_where_they_do_not_cover_their_own():
    ratings = ct.Ratings.from_matrix([[5, 3, 8, NO], [4, NO, 2, 6], [NO, 7, 9, 1]])  # viewers 0 to 2, titles 0 to 3
    for model in (ct.ContentOnly(), ct.ContentMF(n_factors=1, n_epochs=2, patience=None)):
        with pytest.raises(ValueError, match=r"item_features must be about the items, .* are the two swapped"):
            model.set_params(item_features=ct.Features([2, 0, 1], np.eye(3), list("abc"))).fit(ratings)
        model.set_params(item_features=ct.Features([2, 0], np.eye(2), list("ab"))).fit(ratings)  # of nobody in all
        said = ct.Features([0, 1, 2, 3], np.eye(4), list("abcd"), about="users")
        with pytest.raises(ValueError, match=r"item_features must be about the items, .* are the two swapped"):
            model.set_params(item_features=said).fit(ratings)
    square = ratings.restrict(ratings.user_counts > 0, ratings.item_ids < 3)
    for about in ("", "items"):  # both sides have the same ids: nothing to suspect
        ct.ContentOnly(ct.Features([2, 0, 1], np.eye(3), list("abc"), about=about)).fit(square)


def test_one_rating_is_enough_to_be_known(table):
    few = table.part(((table.rows != 5) | (table.cols == 1)) & ((table.cols != 2) | (table.rows == 1)))
    blank = ct.Features([11, 12], [[1.0], [1.0]], ["funny"])  # nothing is known of title 13, nor of viewer 106
    for model in (
        ct.ContentOnly(blank),
        ct.ContentMF(blank, shared_weights=False, n_factors=1, n_epochs=2, patience=None),
        ct.BayesianFM(1, 9),
        ct.BayesianFM(1, 9, item_features=blank),
    ):
        fallback = model.fit(few).predict([106, 101, 106], [11, 13, 13], return_fallback=True)[1]
        assert fallback.tolist() == [False] * 3, model


def test_terms_by_hand(tribes):
    model = content(user_features=PROFILES, content_weight=0.5).fit(tribes)
    terms = model.viewer(3).terms(7).set_index("reason")["contribution"]  # old, of a title of horror
    weight = model.feature_weights_[3, 1] + model.group_weights_[[0, 2], 1].sum()
    assert terms["horror"] == pytest.approx(0.5 * weight, rel=1e-12)
    assert terms["this viewer"] == pytest.approx(model.user_bias_[3], rel=1e-12)
    assert terms["hidden factors"] == pytest.approx(model.user_factors_[3] @ model.item_factors_[7], rel=1e-12)
    everybody = terms.index.str.startswith("what everybody gets")
    assert terms[everybody].tolist() == [pytest.approx(model.global_mean_ + model.item_bias_[7], rel=1e-12)]
    assert len(terms) == 4
    new = model.fold_in({1: 9, 2: 3})
    terms = new.terms(7).set_index("reason")["contribution"]
    assert terms.sum() == pytest.approx(new.predict(7)[0], abs=1e-9)
    x = new.fold.solve @ new.fold.target
    assert terms["horror"] == pytest.approx(0.5 * (x[3] + model.group_weights_[0, 1]), rel=1e-9)
    assert terms["this viewer"] == pytest.approx(x[4], rel=1e-9)
    assert terms["hidden factors"] == pytest.approx(x[:2] @ model.item_factors_[7], rel=1e-9)


def test_a_new_title_of_content_alone_is_what_it_is_about(table):
    model = ct.ContentOnly(ABOUT_ITEMS, reg=0.7).fit(table)
    known = model.global_mean_ + model.user_bias_
    for features, told in (({"funny": 2.0, "long": -1.0}, {101: 9}), ({}, {}), (None, {101: 1, 104: 10})):
        row = np.array([2.0, 0.0, -1.0]) if features else np.zeros(3)
        new = model.fold_in_item(told, features=features)
        assert new.predict(table.user_ids) == pytest.approx(known + model.feature_weights_ @ row, abs=1e-12)


def test_the_gap_of_content_alone_is_exact_where_nothing_but_the_penalty_counts(with_cold):
    model = ct.ContentOnly(ABOUT_ITEMS, reg=2).fit(with_cold)
    optimum = model.certificate().primal
    assert model.certificate().gap == pytest.approx(0, abs=1e-9)
    model.feature_weights_[5], model.user_bias_[5] = [1, 2, 3], 4  # of a viewer without a rating
    assert model.certificate().primal == pytest.approx(optimum + 2 * (1 + 4 + 9 + 16))
    assert model.certificate().dual == pytest.approx(optimum)


def test_one_weight_for_each_viewer_and_word_may_be_too_many(large):
    words = ct.Features([0], sp.csr_array((1, 50_000)), np.arange(50_000))
    for model in (ct.ContentMF(words, patience=None), ct.ContentOnly(words)):
        with pytest.raises(MemoryError, match=r"one weight for each user and feature.* 20,000 x 50,000"):
            model.fit(large)


# ---- Two models mixed ----


@pytest.fixture(scope="module")
def parts(sample):
    train, rest = sample.split_random(0.4, random_state=2)
    return train, *rest.split_random(0.5)


PAIR = ct.BiasBaseline(), ct.NuclearNorm()


def squares(first, second, weight, part):
    mix = weight * first.predict_cells(part.rows, part.cols) + (1 - weight) * second.predict_cells(part.rows, part.cols)
    return ((mix - part.values) ** 2).sum()


def test_the_weight_is_the_best_on_the_validation_part(parts):
    train, validation, _ = parts
    model = ct.Blend(*PAIR).fit(train, validation)
    grid = np.linspace(0, 1, 1001)
    fits = [clone(one).fit(train) for one in PAIR]
    errors = [squares(*fits, weight, validation) for weight in grid]
    assert 0.1 < model.weight_ < 0.99
    assert model.weight_ == pytest.approx(grid[np.argmin(errors)], abs=1e-3)
    assert squares(*fits, model.weight_, validation) <= min(errors)
    assert model.weight_ != ct.Blend(*PAIR).fit(train, parts[2]).weight_  # another validation part, another weight


@pytest.mark.parametrize(("first", "second", "expected"), [(0, 1, 0.0), (1, 0, 1.0)], ids=["to 0", "to 1"])
def test_the_weight_stays_a_share(four, first, second, expected):
    # The mean is 4 and a far-off validation rating of 10 lies beyond the better model, so all goes to that one.
    levels = [ct.Ratings.from_matrix([[level, NO], [NO, NO]]) for level in (3, 6)]
    models = [ct.GlobalMean().fit(levels[which]) for which in (first, second)]
    validation = ct.Ratings.from_matrix([[NO, 10], [NO, NO]])
    assert ct.Blend(*models, prefit=True).fit(four, validation).weight_ == expected


@pytest.mark.parametrize("apart", [1e-6, 0.5, 30.0])
def test_the_weight_by_hand_however_near_the_models_are(four, apart):
    """3 and 3 + apart, for a rating a fifth of the way from the first to the second."""
    levels = [ct.Ratings.from_matrix([[level, NO], [NO, NO]], scale=(1, 50)) for level in (3, 3 + apart)]
    validation = ct.Ratings.from_matrix([[NO, 3 + apart / 5], [NO, NO]], scale=(1, 50))
    model = ct.Blend(*(ct.GlobalMean().fit(level) for level in levels), prefit=True).fit(four, validation)
    assert model.weight_ == pytest.approx(0.8, rel=1e-6)
    assert model.global_mean_ == pytest.approx(3 + apart / 5, rel=1e-9)


def test_a_blend_is_the_mix_cell_by_cell(parts):
    train, _, test = parts
    fits = [clone(one).fit(train) for one in PAIR]
    for model in (ct.Blend(*PAIR, weight=0.3).fit(train), ct.Blend(*fits, weight=0.3, prefit=True).fit(train)):
        assert model.weight_ == 0.3
        assert model.complete() == pytest.approx(0.3 * fits[0].complete() + 0.7 * fits[1].complete(), abs=1e-9)
        assert ct.rmse(model, test) == pytest.approx(np.sqrt(squares(*fits, 0.3, test) / len(test)), rel=1e-9)


def test_a_mix_of_equal_models_is_either_of_them(parts):
    train, validation, _ = parts
    model = ct.Blend(ct.BiasBaseline(), ct.BiasBaseline()).fit(train, validation)
    assert model.weight_ == 1
    assert np.array_equal(model.complete(), ct.BiasBaseline().fit(train).complete())


def test_fitted_models_are_taken_as_they_are_and_others_are_left_unfitted(parts):
    train, validation, _ = parts
    fits = [clone(one).fit(train) for one in PAIR]
    model = ct.Blend(*fits, prefit=True).fit(train, validation)
    assert (model.first_, model.second_) == (fits[0], fits[1])
    fresh = ct.Blend(*(clone(one) for one in PAIR), weight=0.5)
    fresh.fit(train)
    assert not hasattr(fresh.first, "ratings_")


def test_a_share_is_set_aside_where_the_weight_is_open_and_no_validation_part_is_given(sample):
    inner, aside = sample.split_random(0.1, 0)
    model = ct.Blend(*PAIR).fit(sample)
    assert model.weight_ == ct.Blend(*PAIR).fit(inner, aside).weight_
    assert model.first_.ratings_ is model.second_.ratings_ is sample  # only the weight is learnt from a part
    assert np.array_equal(model.complete(), ct.Blend(*PAIR, weight=model.weight_).fit(sample).complete())
    given = ct.Blend(*PAIR).fit(inner, aside)  # a part that was given is never learnt from
    assert given.first_.ratings_ is given.second_.ratings_ is inner
    assert ct.Blend(*PAIR, weight=0.5).fit(sample).first_.ratings_ is sample


def test_a_cell_falls_back_in_a_blend_where_it_does_in_both(with_cold):
    model = ct.Blend(ct.BiasBaseline(), ct.ContentOnly(ABOUT_ITEMS), weight=0.5).fit(with_cold)
    _, fallback = model.predict([101, 106, 106], [13, 11, 13], return_fallback=True)
    assert fallback.tolist() == [False, True, True]  # content knows title 13


def test_the_validation_part_reaches_the_models_that_stop_early(parts):
    train, validation, _ = parts
    model = ct.Blend(ct.SGDMF(5, learning_rate=0.03), ct.BiasBaseline(), weight=0.5).fit(train, validation)
    alone = ct.SGDMF(5, learning_rate=0.03).fit(train, validation)
    assert model.first_.history_ == alone.history_
    assert "validation_rmse" in alone.history_[0]


def test_only_models_that_predict_ratings_can_be_mixed(table):
    for wrong in (None, ct.Popularity(), ct.ImplicitALS(), "baseline", ct.BiasBaseline):
        with pytest.raises(TypeError, match="second must be a model that predicts ratings"):
            ct.Blend(ct.GlobalMean(), wrong, weight=0.5).fit(table)
        with pytest.raises(TypeError, match="first must be a model that predicts ratings"):
            ct.Blend(wrong, ct.GlobalMean(), weight=0.5).fit(table)


def test_fitted_models_need_a_validation_part_or_a_weight(table):
    fits = [ct.GlobalMean().fit(table), ct.BiasBaseline().fit(table)]
    with pytest.raises(ValueError, match="need a validation part that neither has learnt from"):
        ct.Blend(*fits, prefit=True).fit(table)
    assert ct.Blend(*fits, weight=0.2, prefit=True).fit(table).weight_ == 0.2


def test_models_said_to_be_fitted_must_be_and_to_the_same_table(table, four):
    with pytest.raises(NotFittedError, match="this BiasBaseline has not been fitted"):
        ct.Blend(ct.GlobalMean().fit(table), ct.BiasBaseline(), weight=0.5, prefit=True).fit(table)
    with pytest.raises(ValueError, match=r"GlobalMean\(\) was fitted to a table with other users or items"):
        ct.Blend(ct.GlobalMean().fit(four), ct.BiasBaseline().fit(table), weight=0.5, prefit=True).fit(table)


def test_a_blend_can_be_compared_like_any_model(table):
    results = ct.evaluate({"mix": ct.Blend(*PAIR, weight=0.5), "mean": ct.GlobalMean()}, table, n_splits=2)
    assert np.isfinite(results["rmse"]).all()


def test_dense_tables_are_counted_before_they_are_made(table, monkeypatch):
    """Two numbers a pair of alike titles for neighbours; one weight for each viewer and feature:
    not a byte less."""
    n = 8 * table.n_items**2
    alike = 8 * ct.ItemKNN().fit(table).similarity_.nnz
    assert alike < n
    features = 8 * table.n_users * len(ABOUT_ITEMS.names)
    needs = {ct.ItemKNN(): 2 * alike, ct.ContentOnly(ABOUT_ITEMS): features,
             ct.ContentMF(ABOUT_ITEMS, n_factors=1, n_epochs=1, patience=None): features,
             ct.NuclearNorm(): 8 * table.n_users * table.n_items}  # fmt: skip
    for model, needed in needs.items():
        monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", needed)
        model.fit(table)
        monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", needed - 1)
        with pytest.raises(MemoryError, match="needs a dense"):
            model.fit(table)


def test_ids_of_features_keep_their_type():
    features = ct.Features(np.array([7, 8], dtype=object), np.eye(2), ["a", "b"])
    assert features.ids.tolist() == [7, 8]
    assert features.rows_for(np.array([8])).toarray().tolist() == [[0.0, 1.0]]
