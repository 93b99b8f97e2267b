"""Lists kept at AniList and Letterboxd: told apart, matched by exact names, on the scale of the table."""

import json
import zipfile

import numpy as np
import pytest

import content_table as ct
from content_table_parts import exports, readers

SHOWS = {1: "Cowboy Bebop", 16498: "Shingeki no Kyojin", 5680: "K-On!", 7791: "K-On!!", 44: "Rurouni Kenshin"}
FILMS = {
    1: "Toy Story (1995)",
    2: "Matrix, The (1999)",
    3: "Hamlet (1990)",
    4: "Hamlet (1996)",
    5: "Frozen (2010)",
    6: "Léon: The Professional (a.k.a. The Professional) (Léon) (1994)",
}


def table_of(titles, scale):
    rows, cols = np.divmod(np.arange(2 * len(titles)), len(titles))
    points = np.linspace(*scale, 2 * len(titles))
    return ct.Ratings([1, 2], list(titles), rows, cols, points, scale=scale, titles=list(titles.values()))


@pytest.fixture
def shows():
    return table_of(SHOWS, (1.0, 10.0))


@pytest.fixture
def films():
    return table_of(FILMS, (0.5, 5.0))


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


# ---- AniList ----


def show(score, mal=None, status="COMPLETED", **titles):
    return {"score": score, "status": status, "media": {"idMal": mal, "title": titles}}


def answer(*entries, score_format=None, wrap=True):
    lists = {"lists": [{"name": "Completed", "entries": list(entries)}]}
    if score_format:
        lists["user"] = {"mediaListOptions": {"scoreFormat": score_format}}
    return {"data": {"MediaListCollection": lists}} if wrap else lists


@pytest.mark.parametrize("wrap", [True, False])
def test_anilist_is_matched_by_mals_id_or_by_a_name(tmp_path, shows, wrap):
    entries = [
        show(9, mal=1, romaji="Kauboi Bibappu"),
        show(8.5, romaji="Not known so", english="Attack on Titan"),
        show(7, romaji="Rurouni KENSHIN"),
        show(0, mal=5680, romaji="K-On!"),
        show(4, mal=999, romaji="Nobody Knows"),
        show(None, mal=7791, status="PLANNING", romaji="K-On!!"),
    ]
    own = ct.load_export(written(tmp_path / "list.json", answer(*entries, wrap=wrap)), shows)
    assert own.ratings == {1: 9.0, 16498: 8.5, 44: 7.0}
    assert sorted(own.seen) == [1, 44, 5680, 16498]
    assert own.unmatched.to_dict("records") == [{"item": "999", "title": "Nobody Knows", "score": 4.0}]
    assert own.dropped["unknown titles"] == 1


def test_a_misspelled_or_ambiguous_name_is_not_guessed(tmp_path, shows):
    entries = [show(9, romaji="Cowboy Bebob"), show(8, romaji="K-On"), show(7, romaji="Cowboy")]
    own = ct.load_export(written(tmp_path / "list.json", answer(*entries)), shows)
    assert own.ratings == {}
    assert own.unmatched["title"].tolist() == ["Cowboy Bebob", "K-On", "Cowboy"]


def test_one_show_in_several_lists_is_one_and_a_contradiction_is_told(tmp_path, shows):
    document = answer(show(9, mal=1, romaji="Cowboy Bebop"), wrap=False)
    document["lists"] *= 2
    assert ct.load_export(written(tmp_path / "list.json", document), shows).ratings == {1: 9.0}
    document["lists"].append({"entries": [show(3, mal=1, romaji="Cowboy Bebop")]})
    path = written(tmp_path / "list.json", document)
    with pytest.raises(ValueError, match="contradict each other"):
        ct.load_export(path, shows)
    assert ct.load_export(path, shows, conflicts="last").ratings == {1: 3.0}


@pytest.mark.parametrize(
    ("score_format", "score", "meant"),
    [("POINT_100", 100, 10.0), ("POINT_100", 1, 1.0), ("POINT_5", 3, 5.5), ("POINT_3", 3, 10.0), (None, 100, 10.0)],
)
def test_another_scale_is_refused_or_stretched_as_told(tmp_path, shows, score_format, score, meant):
    path = written(tmp_path / "list.json", answer(show(score, mal=1, romaji="Cowboy Bebop"), score_format=score_format))
    with pytest.raises(ValueError, match=r"scores lie on 1 to \d+, the table on 1 to 10; pass rescale=True"):
        ct.load_export(path, shows)
    assert ct.load_export(path, shows, rescale=True).ratings == {1: pytest.approx(meant)}


@pytest.mark.parametrize("score_format", ["POINT_10", "POINT_10_DECIMAL"])
def test_ten_points_are_those_of_the_table(tmp_path, shows, score_format):
    path = written(tmp_path / "list.json", answer(show(7.5, mal=1, romaji="Bebop"), score_format=score_format))
    assert ct.load_export(path, shows).ratings == ct.load_export(path, shows, rescale=True).ratings == {1: 7.5}


@pytest.mark.parametrize(("most", "top"), [(10, None), (10.5, 100), (11, 100), (99, 100)])
def test_a_score_above_10_tells_a_scale_to_100(tmp_path, shows, most, top):
    entries = [show(7, mal=1, romaji="Cowboy Bebop"), show(most, mal=44, romaji="Rurouni Kenshin")]
    path = written(tmp_path / "list.json", answer(*entries))
    if top is None:
        assert ct.load_export(path, shows).ratings == {1: 7.0, 44: 10.0}
    else:
        with pytest.raises(ValueError, match=f"lie on 1 to {top}, the table on 1 to 10"):
            ct.load_export(path, shows)
        meant = ct.load_export(path, shows, rescale=True).ratings
        assert meant == {1: pytest.approx(1 + 6 / 11), 44: pytest.approx(1 + (most - 1) / 11)}


@pytest.mark.parametrize(
    ("entry", "group", "begun"),
    [
        ({"status": "COMPLETED"}, {"name": "Planning"}, True),
        ({"status": "PLANNING"}, {"name": "Completed"}, False),
        ({}, {"status": "planning", "name": "Completed"}, False),
        ({}, {"status": "CURRENT", "name": "Planning"}, True),
        ({}, {"name": "Plan to Watch"}, False),
        ({}, {"name": "Dropped"}, True),
        ({}, {}, True),
    ],
)
def test_a_show_is_planned_where_its_entry_or_else_its_list_says_so(tmp_path, shows, entry, group, begun):
    media = {"idMal": 1, "title": {"romaji": "Cowboy Bebop"}}
    document = {"lists": [group | {"entries": [{"score": 0, "media": media} | entry]}]}
    own = ct.load_export(written(tmp_path / "list.json", document), shows)
    assert own.seen == ([1] if begun else [])


def test_a_list_larger_than_any_is_refused_unread(tmp_path, shows, monkeypatch):
    path = written(tmp_path / "list.json", answer(show(9, mal=1, romaji="Bebop"), score_format="POINT_10"))
    monkeypatch.setattr(exports, "MAX_EXPORT_BYTES", path.stat().st_size)
    assert ct.load_export(path, shows).ratings == {1: 9}
    monkeypatch.setattr(exports, "MAX_EXPORT_BYTES", path.stat().st_size - 1)
    with pytest.raises(ValueError, match=r"list\.json has more than .* MB, which no list has"):
        ct.load_export(path, shows)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"lists": [', "not whole or not JSON"),
        ("[" * 100_000, "not whole or not JSON"),
        ({"lists": [{"series_id": 1, "score": 90}]}, "numbers of AniList without titles"),
        ({"lists": [{"entries": []}, {"series_id": 1}]}, "numbers of AniList without titles"),
        ({"anime": []}, r"needs `lists`.*got \['anime'\]"),
        ([1, 2], "needs `lists`.*got 'list'"),
        ({"lists": [{"entries": 5}]}, "needs `lists`"),
        ({"lists": [{"entries": []}, {"entries": 5}]}, "needs `lists`"),
        (answer({"score": 9}), "without media and title"),
        (answer({"score": 9, "media": {"idMal": 1}}), "without media and title"),
        (answer({"score": 9, "media": {"idMal": 1, "title": "Cowboy Bebop"}}), "without media and title"),
        (answer({"score": 9, "media": "Cowboy Bebop"}), "without media and title"),
        (answer("Cowboy Bebop"), "without media and title"),
        (answer({"score": 9, "media": {"type": "MANGA", "title": {"romaji": "Berserk"}}}), "list of manga"),
        (answer(show("nine", mal=1, romaji="Cowboy Bebop")), "'nine' in data row 1"),
        (answer(show(float("nan"), mal=1, romaji="Cowboy Bebop")), "'nan' in data row 1"),
        (answer(show(-3, mal=1, romaji="Cowboy Bebop")), "scores lie outside 1 to 10"),
        (answer(show(True, mal=1, romaji="Cowboy Bebop")), "'True' in data row 1"),
    ],
)
def test_what_is_no_list_of_anilist_is_refused(tmp_path, shows, content, words):
    with pytest.raises(ValueError, match=rf"list\.json.*{words}"):
        ct.load_export(written(tmp_path / "list.json", content), shows)


def test_without_a_table_the_ids_are_taken_as_they_are(tmp_path):
    path = written(tmp_path / "list.json", answer(show(9, mal=1, romaji="Cowboy Bebop")))
    assert ct.load_export(path).ratings == {1: 9.0}


def test_half_a_letter_in_a_name_is_one_that_is_not_known(tmp_path, shows):
    entries = [show(9, mal=1, romaji="Cowboy \ud83d Bebop"), show(8, romaji="K-On! \ud83d")]
    own = ct.load_export(written(tmp_path / "list.json", answer(*entries)), shows)
    assert own.ratings == {1: 9.0}
    assert own.unmatched["title"].tolist() == ["K-On! ?"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"conflicts": "first"}, ValueError, "conflicts must be one of .*'last'.*got 'first'"),
        ({"rescale": "yes"}, TypeError, "rescale must be True or False, got 'yes'"),
        ({"ratings": [1]}, TypeError, "ratings must be Ratings, got list"),
        ({"path": 5}, TypeError, "path must be text or a Path, got 5"),
    ],
)
def test_wrong_arguments_are_refused_before_a_file_is_looked_for(tmp_path, shows, options, error, words):
    with pytest.raises(error, match=words):
        ct.load_export(**{"path": tmp_path / "nowhere.json", "ratings": shows} | options)


def test_a_path_may_be_text(tmp_path, shows):
    path = written(tmp_path / "list.json", answer(show(9, mal=1, romaji="Cowboy Bebop")))
    assert ct.load_export(str(path), shows).ratings == {1: 9.0}


# ---- Letterboxd ----

HEAD = "Date,Name,Year,Letterboxd URI"
RATED = f"{HEAD},Rating\n" + "".join(
    f"2024-05-31,{name},{year},https://boxd.it/x,{score}\n"
    for name, year, score in [
        ("The Matrix", 1999, 4.5),
        ("Hamlet", 1996, 0.5),
        ("Frozen", 2013, 2),
        ("Toy Story", 1995, 5),
        ("Toy Stori", 1995, 1),
        ("Léon", 1994, 4),
    ]
)
WATCHED = f"{HEAD}\n2024-05-31,Hamlet,1990,https://boxd.it/y\n2024-05-31,Toy Story,1995,https://boxd.it/z\n"
MEANT = {2: 4.5, 4: 0.5, 1: 5.0, 6: 4.0}


def test_letterboxd_is_matched_by_name_and_year(tmp_path, films):
    own = ct.load_export(written(tmp_path / "ratings.csv", RATED), films)
    assert own.ratings == MEANT
    assert own.unmatched["title"].tolist() == ["Frozen (2013)", "Toy Stori (1995)"]


@pytest.mark.parametrize("packed", [False, True])
def test_the_whole_export_knows_what_was_watched_without_a_rating(tmp_path, films, packed):
    folder = tmp_path / "letterboxd-ann"
    folder.mkdir()
    written(folder / "ratings.csv", RATED)
    written(folder / "watched.csv", WATCHED)
    if packed:
        with zipfile.ZipFile(tmp_path / "export.zip", "w") as file:
            for each in folder.iterdir():
                file.write(each, each.name)
    own = ct.load_export(tmp_path / "export.zip" if packed else folder, films)
    assert own.ratings == MEANT
    assert sorted(own.seen) == [1, 2, 3, 4, 6]


@pytest.mark.parametrize("column", ["Name", "Year", "Rating"])
def test_a_column_of_letterboxd_that_is_there_twice_is_refused(tmp_path, films, column):
    path = written(tmp_path / "ratings.csv", f"{HEAD},Rating,{column}\n2024-05-31,Frozen,2010,x,4,5\n")
    with pytest.raises(ValueError, match=rf"ratings\.csv has several columns '{column}'"):
        ct.load_export(path, films)
    written(path, f"{HEAD},Rating,Date\n2024-05-31,Frozen,2010,x,4,5\n")  # which nobody uses
    assert ct.load_export(path, films).ratings == {5: 4.0}


def test_of_two_years_in_a_title_the_last_is_that_of_the_film(tmp_path):
    films = table_of({1: "Solaris (1972) (2002)", 2: "Toy Story (1995)"}, (0.5, 5.0))
    for year, found in ((2002, {1: 3.0}), (1972, {})):
        path = written(tmp_path / "ratings.csv", f"{HEAD},Rating\n2024-05-31,So-laris (1972),{year},x,3\n")
        assert ct.load_export(path, films).ratings == found


def test_watched_films_alone_are_seen_and_not_rated(tmp_path, films):
    own = ct.load_export(written(tmp_path / "watched.csv", WATCHED), films)
    assert (own.ratings, sorted(own.seen)) == ({}, [1, 3])


def test_what_is_not_known_of_both_files_is_told(tmp_path, films):
    film = "2024-05-31,{},{},https://boxd.it/x{}\n"
    written(
        tmp_path / "ratings.csv",
        f"{HEAD},Rating\n" + film.format("Jaws", 1975, ",4") + film.format("Frozen", 2010, ",3"),
    )
    written(tmp_path / "watched.csv", f"{HEAD}\n" + film.format("Toy Story", 1995, "") + film.format("Alien", 1979, ""))
    own = ct.load_export(tmp_path, films)
    assert (own.ratings, sorted(own.seen)) == ({5: 3.0}, [1, 5])
    assert own.unmatched["title"].tolist() == ["Jaws (1975)"]
    assert own.dropped == {"titles without a score": 1, "unknown titles": 1, "unknown titles without a score": 1}


def test_letterboxd_is_known_by_three_columns(tmp_path, films):
    path = written(tmp_path / "mine.csv", "Name,Year,Letterboxd URI\nFrozen,2010,x\n")
    assert ct.load_export(path, films).seen == [5]


@pytest.mark.parametrize("service", ["Letterboxd", "AniList"])
def test_a_list_may_be_as_long_as_the_limit(tmp_path, films, shows, monkeypatch, service):
    for module in (exports, readers):
        monkeypatch.setattr(module, "MAX_EXPORT_ENTRIES", 3)
    for count in (3, 4):
        if service == "AniList":
            entries = [show(9, mal=item, romaji=name) for item, name in list(SHOWS.items())[:count]]
            path, table, ids = written(tmp_path / "list.json", answer(*entries)), shows, list(SHOWS)[:3]
        else:
            rows = [f'"{name[:-7]}",{name[-5:-1]},x\n' for name in list(FILMS.values())[:count]]
            path = written(tmp_path / "watched.csv", "Name,Year,Letterboxd URI\n" + "".join(rows))
            table, ids = films, list(FILMS)[:3]
        if count == 3:
            assert ct.load_export(path, table).seen == ids
        else:
            with pytest.raises(ValueError, match="a list of titles has at most 3 and"):
                ct.load_export(path, table)


def test_each_name_of_a_title_counts_once_to_the_limit_of_characters(tmp_path, shows, monkeypatch):
    path = written(tmp_path / "list.json", answer(show(9, mal=1, romaji="Cowboy Bebop", english="Bebop")))
    n_characters = len("1" + "9" + "Cowboy Bebop" + "Bebop")
    monkeypatch.setattr(readers, "_MAX_CHARACTERS", n_characters)
    assert ct.load_export(path, shows).ratings == {1: 9.0}
    monkeypatch.setattr(readers, "_MAX_CHARACTERS", n_characters - 1)
    with pytest.raises(ValueError, match=f"with {n_characters} characters of titles and scores"):
        ct.load_export(path, shows)


def test_half_stars_on_another_scale_are_refused_or_stretched_as_told(tmp_path):
    path, films = written(tmp_path / "ratings.csv", RATED), table_of(FILMS, (1.0, 5.0))
    with pytest.raises(ValueError, match=r"lie on 0\.5 to 5, the table on 1 to 5; pass rescale=True"):
        ct.load_export(path, films)
    assert ct.load_export(path, films, rescale=True).ratings[4] == 1.0
    assert ct.load_export(path, films, rescale=True).ratings[1] == 5.0


def test_letterboxd_needs_the_table(tmp_path):
    with pytest.raises(ValueError, match="ratings="):
        ct.load_export(written(tmp_path / "ratings.csv", RATED))


def test_that_it_needs_the_table_is_said_before_its_rows_are_looked_at(tmp_path):
    path = written(tmp_path / "ratings.csv", f"{HEAD},Rating\n2024-05-31,Frozen,2010,x,4,surplus\n")
    with pytest.raises(ValueError, match="pass ratings="):
        ct.load_export(path)


def test_a_folder_that_is_no_export_is_refused(tmp_path, films):
    with pytest.raises(ValueError, match=r"neither ratings\.csv nor watched\.csv"):
        ct.load_export(tmp_path, films)
    written(tmp_path / "ratings.csv", "userId,movieId,rating,timestamp\n1,1,3,4\n")
    with pytest.raises(ValueError, match=r"ratings\.csv needs the columns"):
        ct.load_export(tmp_path, films)


# ---- The others go where they went ----


def test_myanimelist_and_csv_are_read_as_before(tmp_path):
    sample = ct.load_ratings(ct.DATA / "100x100.csv")
    export = ct.DATA / "animelist.xml"
    one, two = ct.load_mal_export(export, sample), ct.load_export(export, sample)
    assert (one.ratings, one.seen, one.dropped) == (two.ratings, two.seen, two.dropped)
    path = written(tmp_path / "mine.csv", "title,score\nmonster,9\n")
    assert ct.load_export(path, sample).ratings == ct.load_mal_export(path, sample).ratings != {}


def test_a_myanimelist_export_for_films_is_on_another_scale(films, tmp_path):
    entry = "<anime><series_title>The Matrix</series_title><my_score>10</my_score></anime>"
    path = written(tmp_path / "list.xml", f"<myanimelist>{entry}</myanimelist>")
    with pytest.raises(ValueError, match=r"lie on 1 to 10, the table on 0\.5 to 5"):
        ct.load_export(path, films)
    assert ct.load_export(path, films, rescale=True).ratings == {2: 5.0}
