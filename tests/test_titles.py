"""Titles as people type them, and which titles are parts of one work."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import content_table as ct
from content_table_parts import titles

PAIRS = Path(__file__).parent / "title_pairs.csv"
NAMES = ["Code Geass: Hangyaku no Lelouch", "Code Geass: Hangyaku no Lelouch R2", "Steins;Gate", "K-On!", "K-On!!",
         "Pokémon", "日本の題名", "86", "<b>Bold</b> & Co", "Re:Zero kara Hajimeru Isekai Seikatsu",
         "Shingeki no Kyojin"]  # fmt: skip


@pytest.fixture(scope="module")
def named():
    """Eleven titles; R2 has more ratings than the first season."""
    cells = [(0, col) for col in range(11)] + [(1, 1)]
    rows, cols = np.transpose(cells)
    return ct.Ratings([1, 2], np.arange(100, 111), rows, cols, np.full(12, 5.0), titles=NAMES)


# ---- Found by name ----


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Steins;Gate", 102),
        ("steins gate", 102),
        ("STEINS", 102),
        ("gate steins", 102),
        ("K-On!", 103),
        ("K-On!!", 104),
        ("k-on!!", 104),
        ("pokemon", 105),
        ("Pokémon", 105),
        ("題名", 106),
        ("86", 107),
        ("bold & co", 108),
        ("zero isekai", 109),
        ("lelouch r2", 101),
        ("k on", 103),  # of one work the first season
        ("code geass", 100),  # the name of the first season alone
        ("CodeGeass", 100),
        ("re zero", 109),
        ("Attack on Titan", 110),
        ("AOT", 110),
        ("attackontitan", 110),
        (103, 103),
        ("103", 103),
        (np.int64(103), 103),
    ],
)
def test_a_title_is_found_by_id_or_part_of_its_name_in_any_case(named, text, found):
    assert named.item_id(text) == found


@pytest.mark.parametrize("text", ["code", "geass lelouch", "lelouch"])
def test_an_ambiguous_name_lists_the_candidates(named, text):
    with pytest.raises(KeyError, match=r"could be any of: .*\(10\d\); .*\(10\d\)\. Give more of the name, or the id"):
        named.item_id(text)


@pytest.mark.parametrize(("text", "meant"), [("stiens gate", "Steins;Gate (102)"), ("pokemno", "Pokémon (105)"),
                                             ("code gease lelouche r2", NAMES[1])])  # fmt: skip
def test_a_misspelt_name_gets_a_suggestion_and_not_a_guess(named, text, meant):
    with pytest.raises(KeyError) as error:
        named.item_id(text)
    assert f"did you mean: {meant}" in error.value.args[0]


@pytest.mark.parametrize("text", ["qqqqqq", "", "  ", "!?"])
def test_a_name_like_nothing_is_an_error_that_shows_what_titles_look_like(named, text):
    with pytest.raises(KeyError, match=r"or anything like it; titles are spelled as in \['"):
        named.item_id(text)


def test_an_unknown_id_is_named(named):
    with pytest.raises(KeyError, match="unknown item id 7"):
        named.item_id(7)


def test_found_titles_are_in_the_order_of_likely_meaning(named):
    assert named.find_titles("code geass hangyaku")["item_id"].tolist() == [101, 100]  # the more rated first
    assert named.find_titles("code geass")["item_id"].tolist() == [100, 101]  # but the one that is called so
    assert named.find_titles("k on")["match"].tolist() == ["exact", "part"]  # and not Pokémon, k and on inside a word
    assert named.find_titles("lelouch")["match"].tolist() == ["part", "part"]
    assert named.find_titles("lelouhc")["match"].tolist() == ["similar", "similar"]
    assert len(named.find_titles("lel", n=1)) == 1
    assert named.find_titles("").empty
    assert named.find_titles("").columns.tolist() == ["item_id", "title", "english", "match"]


@pytest.mark.parametrize(("typed", "found"), [("abcdefghxy", True), ("abcdefgxyz", False)])
def test_a_word_is_misspelt_if_eight_letters_of_ten_are_right(typed, found):
    table = ct.Ratings([1], [1], [0], [0], [5.0], titles=["abcdefghij"])
    assert table.find_titles(typed)["match"].tolist() == ["similar"] * found


def test_every_title_of_the_sample_is_found_by_its_whole_name(sample):
    for item, title in zip(sample.item_ids.tolist(), sample.titles.tolist(), strict=True):
        assert sample.item_id(title) == item
        assert sample.item_id(title.upper()) == item


@pytest.fixture(scope="module")
def catalogue():
    """All 2,000 titles that have names in the project's file."""
    table = pd.read_csv(ct.DATA / "catalogue.csv")
    nothing = np.zeros(0, dtype=int)
    return ct.Ratings([1], table["anime_id"].to_numpy(), nothing, nothing, np.zeros(0), titles=table["name"].to_numpy())


def test_popular_titles_are_found_as_fans_call_them_and_none_is_taken_for_another(catalogue):
    """The hundred names were written by somebody who had not seen the file of names; some are misspelled."""
    asked = pd.read_csv(Path(__file__).parent / "popular_titles.csv")
    first = [catalogue.find_titles(name)["item_id"].tolist()[:1] for name in asked["asked"]]
    found = [at == [item] for at, item in zip(first, asked["anime_id"], strict=True)]
    assert sum(found) >= 97, asked[~np.array(found)]
    for name, item in asked.to_numpy():
        with suppress(KeyError):  # which lists what may have been meant, instead of a guess
            assert catalogue.item_id(name) == item, name


def test_every_english_name_and_nickname_answers(catalogue):
    names = pd.read_csv(ct.DATA / "titles.csv", dtype=str, keep_default_na=False)
    wrong, missed = [], []
    for row in names.itertuples():
        for name in filter(None, [row.name, row.english, row.original, *row.also.split("|")]):
            try:
                if catalogue.item_id(name) != int(row.anime_id):
                    wrong.append((name, row.name))
            except KeyError:
                missed.append((name, row.name))
    assert wrong == []
    assert len(missed) <= 0.02 * len(names), missed


def test_a_show_that_is_not_there_is_not_taken_for_another(named):
    for asked in ("Frieren", "Fruits Basket", "Naruto", "Bleach", "Gintama", "Monster"):
        with pytest.raises(KeyError, match="no title has"):
            named.item_id(asked)


@pytest.mark.parametrize(
    ("title", "asked"),
    [
        ("Matrix, The (1999)", ["the matrix", "matrix", "The Matrix", "thematrix"]),
        (
            "City of Lost Children, The (Cité des enfants perdus, La) (1995)",
            ["La Cité des enfants perdus", "the city of lost children"],
        ),
        ("Seven (a.k.a. Se7en) (1995)", ["se7en", "seven"]),
        ("Auberge espagnole, L' (2002)", ["l'auberge espagnole"]),
        ("Star Wars: Episode IV - A New Hope (1977)", ["star wars episode iv a new hope", "star wars new hope"]),
        ("2001: A Space Odyssey (1968)", ["2001 a space odyssey"]),
    ],
)
def test_films_answer_to_the_names_that_people_say(title, asked):
    table = ct.Ratings([1], [7, 8], [0], [0], [4.0], scale=(0.5, 5), titles=[title, "Toy Story (1995)"])
    for name in asked:
        assert table.item_id(name) == 7


def test_lists_show_the_english_name_where_there_is_one(sample, table):
    model = ct.BiasBaseline().fit(sample)
    user = sample.user_ids[0].item()
    for shown in (
        model.recommend(user, 5),
        model.recommend_all(3),
        ct.similar_titles(sample, ct.ALS(2).fit(sample), 1535),
    ):
        english = dict(zip(shown["title"], shown["english"], strict=True))
        assert all(name != title for title, name in english.items())
        assert any(english.values())
    assert "english" not in ct.BiasBaseline().fit(table).recommend(101)


def test_where_titles_are_unknown_ids_are_found_as_text():
    ratings = ct.Ratings.from_matrix([[5.0, 3.0]])
    assert ratings.item_id("1") == 1


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("K-On!!", "k on"),
        ("Déjà  Vu", "deja vu"),
        ("ガンダム", "ガンダム"),
        ("Gintama°", "gintama"),
        ("Ⅱ", "ii"),
        (7, "7"),
    ],
)
def test_plain_titles_keep_letters_and_digits_only(title, plain):
    assert ct.plain_title(title) == plain


# ---- Parts of one work ----


def one_work(first, second, *others):
    labels = ct.series_of([first, second, *others])
    return labels[0] == labels[1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Clannad", "Clannad: After Story"),
        ("Fate/Zero", "Fate/Zero 2nd Season"),
        ("Chihayafuru", "Chihayafuru 3"),
        ("Noragami", "Noragami Aragoto"),
        ("Hunter x Hunter", "Hunter x Hunter (2011)"),
        ("Natsume Yuujinchou", "Zoku Natsume Yuujinchou"),
        ("Mob Psycho 100", "Mob Psycho 100 II"),
        ("Kara no Kyoukai 1: Fukan Fuukei", "Kara no Kyoukai 5: Mujun Rasen"),
    ],
)
def test_seasons_parts_and_films_share_a_label(first, second):
    assert one_work(first, second, "Another Story")
    assert one_work(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Death Note", "Death Parade"),
        ("Re:Zero kara Hajimeru Isekai Seikatsu", "Re:Creators"),
        ("Samurai 7", "Samurai Champloo"),
        ("K", "K-On!"),
        ("Kimi no Na wa.", "Kimi no Suizou wo Tabetai"),
        ("Air", "Air Gear"),
    ],
)
def test_titles_that_only_begin_alike_do_not(first, second):
    assert not one_work(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Fate/Zero", "Fate/Zero 2nd Season"),
        ("Haikyuu!!", "Haikyuu!! Second Season"),
        ("Overlord II", "Overlord III"),
        ("Mob Psycho 100", "Mob Psycho 100 II"),  # the 100 counts nothing
        ("Fairy Tail", "Fairy Tail (2014)"),  # nor does a year
        ("3-gatsu no Lion", "3-gatsu no Lion 2nd Season"),  # nor a 3 that all have
        ("Code Geass: Hangyaku no Lelouch", "Code Geass: Hangyaku no Lelouch R2"),
        ("Durarara!!", "Durarara!!x2 Shou"),
        ("Shingeki no Kyojin Season 2", "Shingeki no Kyojin Season 3"),
        ("Shingeki no Kyojin Season 3", "Shingeki no Kyojin Season 3 Part 2"),
        ("Shingeki no Kyojin Season 3 Part 2", "Shingeki no Kyojin: The Final Season"),
        ("Haikyuu!! Second Season", "Haikyuu!!: Karasuno Koukou vs. Shiratorizawa Gakuen Koukou"),
        ("JoJo no Kimyou na Bouken (TV)", "JoJo no Kimyou na Bouken Part 3: Stardust Crusaders"),
        ("Steins;Gate", "Steins;Gate 0"),
        ("K-On!", "K-On!!"),
        ("Boku no Hero Academia 4th Season", "Boku no Hero Academia the Movie 1: Futari no Hero"),
        ("Shingeki no Kyojin: The Final Season", "Shingeki no Kyojin OVA"),
        ("Naruto: Shippuuden", "Naruto Movie 1: Dai Katsugeki!! Yuki Hime Shinobu Houjou Dattebayo!"),
        ("Boruto: Naruto Next Generations", "Boruto: Naruto the Movie"),
    ],
)
def test_seasons_stand_in_order_and_films_and_specials_last(first, second, catalogue):
    """The ids of MyAnimeList settle what the names do not say."""
    names = [title for title in catalogue.titles.tolist() if one_work(first, title)]
    ids = [catalogue.item_ids[catalogue.titles.tolist().index(title)] for title in names]
    place = dict(zip(names, ct.season_order(names, ids, np.zeros(len(names))).tolist(), strict=True))
    assert place[first] < place[second]
    assert sorted(place.values()) == list(range(len(names)))


def test_words_and_roman_numbers_count_alike():
    names = [f"Lupin {number}".strip() for number in ("", "II", "Third", "IV", "Fifth", "VI")]
    assert ct.season_order(names[::-1], None, np.zeros(6)).tolist() == [5, 4, 3, 2, 1, 0]
    names = [f"Lupin {number}".strip() for number in ("", "Second", "III", "Fourth", "Fifth", "Sixth")]
    assert ct.season_order(names[::-1], None, np.zeros(6)).tolist() == [5, 4, 3, 2, 1, 0]


def test_without_ids_seasons_are_in_the_order_of_their_numbers_and_then_as_they_stand():
    names = ["Gnu III", "Hen", "Gnu Movie", "Gnu", "Gnu: The Return", "Gnu II"]
    assert ct.season_order(names).tolist() == [2, 0, 4, 0, 3, 1]
    assert ct.season_order(names, list("fedcba")).tolist() == [2, 0, 4, 0, 3, 1]  # texts say nothing about age
    assert ct.season_order(names, [6, 5, 4, 3, 2, 1]).tolist() == [3, 0, 4, 0, 2, 1]
    assert ct.season_order(names, works=range(6)).tolist() == [0] * 6
    with pytest.raises(ValueError, match="works needs one label for each of 6 titles, got 2"):
        ct.season_order(names, works=[1, 2])


@pytest.mark.parametrize("titles", [[], ["!!!"], ["", "?"], ["2"], ["進撃の巨人", "進撃の巨人 2"]])
def test_odd_titles_get_labels_too(titles):
    assert len(ct.series_of(titles)) == len(titles)


def test_numbers_of_products_are_not_seasons():
    names = [f"Camera {number}" for number in range(12)]
    ratings = ct.Ratings([1], np.arange(12), np.zeros(12, int), np.arange(12), np.full(12, 5.0), titles=names)
    assert len(set(ratings.series.tolist())) == 12


def test_precision_and_recall_on_pairs_labelled_by_hand():
    """A third of the true pairs were chosen to be hard from names alone; 50 of 100 pairs are true."""
    pairs = pd.read_csv(PAIRS)
    names = pd.read_csv(ct.DATA / "catalogue.csv")["name"].tolist()
    label = dict(zip(names, ct.series_of(names).tolist(), strict=True))
    found = np.array([label[one] == label[two] for one, two in zip(pairs["first"], pairs["second"], strict=True)])
    true = pairs["same"].to_numpy() == 1
    hard = pairs["why"].str.startswith("hard").to_numpy()
    assert len(pairs) == 100
    assert true.sum() == 50
    assert (found & true).sum() / found.sum() >= 0.85  # precision
    assert (found & true).sum() / true.sum() >= 0.7  # recall
    assert (found & true & ~hard).sum() / (true & ~hard).sum() >= 0.95  # of those that a name can tell


# ---- Small works and names by hand ----


def test_a_work_is_its_name_without_what_counts_its_parts():
    for title, name in [
        ("Fate/Zero 2nd Season", ("fate", "zero")),
        ("Noragami: Aragoto", ("noragami",)),
        ("Mob Psycho 100 II", ("mob", "psycho")),
        ("Kino (2017) Movie 3", ("kino",)),
        ("Alpha - Beta", ("alpha",)),
        ("Alpha-Beta", ("alpha", "beta")),
        ("Alpha~Beta~", ("alpha",)),
        ("Re:Zero", ("re", "zero")),
        ("86", ("86",)),
        ("2 II", ("2",)),
        ("(1999)", ("1999",)),  # nothing is left without the brackets
        ("!!!", ("!!!",)),
    ]:
        assert titles._work_name(title) == name


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Sample", "Sample Two Words", True),  # one word of six letters
        ("Sampl", "Sampl Two Words", False),  # and of five
        ("Abc Def", "Abc Def Ghi", True),  # two words of any length
        ("Abc Def", "Xyz Abc Def", True),
        ("Sample", "Xyz Sample", False),  # one word at the end is no name
        ("Sample 2", "Sample Two Words", False),  # nowhere a work of itself
        ("Abc Def 2", "Abc Def Ghi", True),
    ],
)
def test_a_whole_name_of_two_words_or_six_letters_begins_other_titles(first, second, same):
    assert one_work(first, second) == same


def test_labels_of_works_count_from_0():
    assert ct.series_of(["Naruto", "Bleach", "Naruto 2", "Bleach 3"]).tolist() == [1, 0, 1, 0]
    assert ct.series_of(iter(["Bleach Movie", "Bleach"])).tolist() == [0, 0]
    with pytest.raises(TypeError, match="titles must be a list of texts, got 'Bleach'"):
        ct.series_of("Bleach")


def test_a_number_counts_seasons_up_to_twenty():
    for title, number in [
        ("Gnu", 1),
        ("Gnu 20", 20),
        ("Gnu 21", 0),
        ("Gnu 0", 0),
        ("Gnu 2nd Season", 2),
        ("Gnu R3", 3),
        ("Gnu x4", 4),
        ("Gnu S5", 5),
        ("Gnu Second", 2),
        ("Gnu Third", 3),
        ("Gnu Season 2 Part 3", 3),
        ("Gnu 123", 0),
        ("Gnu: The Return", 0),
    ]:
        assert titles._season_number(title) == number


def test_films_and_specials_say_so():
    assert [titles.is_extra(title) for title in ("Gnu Movie 2", "Gnu OVA", "Gnu: Gaiden", "GNU SPECIALS")] == [True] * 4
    assert [titles.is_extra(title) for title in ("Gnu", "Gnu 2", "Movieland", "Gnu Special-ist")] == [False] * 2 + [
        False,
        True,
    ]


def test_what_tells_no_number_comes_after_what_is_older():
    names = ["Gnu", "Gnu: Up", "Gnu 2", "Gnu: Down", "Gnu Movie"]
    works = np.zeros(5, int)
    assert ct.season_order(names, [1, 2, 3, 4, 5], works).tolist() == [0, 1, 2, 3, 4]
    assert ct.season_order(names, [1, 4, 3, 2, 0], works).tolist() == [0, 3, 2, 1, 4]
    assert ct.season_order(names, [1, 4, 3, 2, 0], [0, 1, 0, 1, 1]).tolist() == [0, 1, 1, 0, 2]
    assert ct.season_order(names, works=list("abaab")).tolist() == [0, 0, 1, 2, 1]
    for wrong in ([1, np.nan, 2, 3, 4], [None] * 5, [b"a"] * 5):
        with pytest.raises(TypeError, match="ids must be finite numbers or texts, got"):
            ct.season_order(names, wrong, works)
    with pytest.raises(ValueError, match="ids needs one label for each of 5 titles, got 4"):
        ct.season_order(names, [1, 2, 3, 4])
    with pytest.raises(TypeError, match="works must be a list of labels, one for each title"):
        ct.season_order(names, works="aaaaa")


@pytest.mark.parametrize("seed", range(6))
def test_the_next_of_each_work_is_the_first_after_all_that_was_seen(seed):
    rng = np.random.default_rng(seed)
    works = rng.integers(0, 3, 10) * 5 + 2  # any numbers
    names = [f"Gnu {number}" if number else "Gnu Movie" for number in rng.integers(0, 9, 10)]
    seasons = titles.Seasons(names, np.arange(10), works)
    assert seasons.place.tolist() == ct.season_order(names, np.arange(10), works).tolist()
    for _ in range(10):
        seen = rng.permutation(10)[: rng.integers(0, 5)]
        expected = np.zeros(10, bool)
        for work in {*works.tolist()}:
            of = sorted(np.flatnonzero(works == work), key=lambda at: seasons.place[at])
            reached = [0 if "Movie" in names[at] else seasons.place[at] for at in of if at in seen]
            later = [at for at in of if at not in seen and seasons.place[at] > max(reached, default=-1)]
            expected[later[:1]] = True
        assert seasons.next(seen).tolist() == expected.tolist()
    number, _, start, order = seasons.arrays
    for work in range(number.max() + 1):
        of = order[start[work] : start[work + 1]]
        assert seasons.place[of].tolist() == list(range(len(of)))
        assert {*number[of].tolist()} == {work}


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Matrix, The (1999)", ["The Matrix"]),
        ("Auberge espagnole, L' (2002)", ["L'auberge espagnole".replace("a", "A", 1)]),
        ("Seven (a.k.a. Se7en) (1995)", ["Seven", "Se7en"]),
        ("Cité, La (City, The) (Town) (1995-1997)", ["La Cité", "The City", "Town"]),
        ("Up (2009–)", ["Up"]),
        ("Up", []),
        ("Up (high)", []),
        ("Up (2009) again", []),
        ("Hello, Dolly (1969)", ["Hello, Dolly"]),
    ],
)
def test_other_names_of_a_film_are_those_in_brackets_with_the_article_first(title, names):
    assert titles.other_names(title) == names


def test_english_names_are_those_that_differ():
    assert titles.english_name("Shingeki no Kyojin") == "Attack on Titan"
    assert titles.english_name("No such title") == ""
    table = pd.read_csv(ct.DATA / "titles.csv", dtype=str, keep_default_na=False)
    same = table[table["english"] == table["name"]]["name"].tolist()
    assert all(titles.english_name(name) == "" for name in same)
    one = table[(table["english"] != "") & (table["also"] != "")].iloc[0]
    expected = [one["english"], one["original"], *one["also"].split("|")]
    assert titles.other_names(one["name"]) == [name for name in expected if name]


def index_of(*names, series=None):
    return titles.TitleIndex(names, np.arange(len(names)) if series is None else np.array(series))


def test_of_one_work_the_shortest_title_is_called_so_and_of_several_all():
    assert index_of("A-B", "AB", "A b!", "C").called("a b") == [0, 1, 2]
    assert index_of("A-B", "AB", "A b!", "C", series=[0, 0, 0, 1]).called("a b") == [1]
    assert index_of("A-B!", "A-B", "A b", series=[0, 0, 0]).called("ab") == [0, 1, 2]  # two are the shortest
    assert index_of("A-B", "AB", series=[0, 1]).called("ab") == [0, 1]
    assert index_of("A", "B").called("c") == []
    table = pd.read_csv(ct.DATA / "titles.csv", dtype=str, keep_default_na=False)
    name = next(
        row.name for row in table.itertuples(index=False) if titles.squashed(row.name) == row.english.casefold()
    )
    assert index_of(name, titles.squashed(name)).called(name) == [0, 1]  # its own name is no name besides
    assert index_of("A", "!").called("?") == []
    # What people call a title goes before the title of another.
    assert index_of("Attack on Titan", "Shingeki no Kyojin").called("attack on titan") == [1]
    assert index_of("Attack on Titan", "X").called("attack on titan") == [0]


def test_words_are_found_where_they_begin_and_short_ones_as_a_whole():
    index = index_of("Red moon", "Moonred", "On the moon", "進撃の巨人", "Kon on")
    assert index.with_words("moon") == [0, 1, 2]
    assert index.with_words("oon") == [0, 1, 2]
    assert index.with_words("oon", whole=True) == []  # not within a word
    assert index.with_words("red", whole=True) == [0]
    assert index.with_words("moo", whole=True) == [0, 1, 2]
    assert index.with_words("on") == [2, 4]  # two letters: a word of its own
    assert index.with_words("moon red") == [0, 1]
    assert index.with_words("the on") == [2]
    assert index.with_words("撃の") == [3]
    assert index.with_words("撃", whole=True) == [3]
    assert index.with_words("") == []
    assert index.with_words("moon sun") == []


def test_a_slip_is_forgiven_in_a_name_else_word_by_word():
    index = index_of("Naratohero", "Bleach", "Narutohero", "Red moon rising")
    assert index.spelled_like("narutoheroo") == [2, 0]  # the closest first
    assert index.spelled_like("Blaech") == [1]
    assert index.spelled_like("redmoonrisinq") == [3]
    assert index.spelled_like("qedmoonrising") == []  # the first letter is hardly ever wrong
    assert index.spelled_like("risng moonn") == [3]
    assert index.spelled_like("risng") == [3]
    assert index.spelled_like("sun") == []
    assert len(index_of(*(f"Narutohero{letter}" for letter in "abcdefghijkl")).spelled_like("narutohero")) == 10
