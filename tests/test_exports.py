"""The list that somebody keeps: MyAnimeList exports and CSV files, honest ones and hostile ones."""

import gzip
import json
import time
import tracemalloc
import unicodedata
import zlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import content_table as ct
from content_table_parts import readers, titles

EXPORT = ct.DATA / "animelist.xml"
TITLES = ["Cowboy Bebop", "Mushishi", "進撃の巨人", "Steins;Gate", "Kanon", "Kanon (2006)"]
IDS = [1, 457, 16498, 9253, 144, 1530]


@pytest.fixture
def table():
    """Six titles, one of them Japanese, rated 1 to 10 by two viewers."""
    rows, cols = np.divmod(np.arange(12), 6)
    return ct.Ratings([7, 8], IDS, rows, cols, np.arange(12) % 9 + 1.0, titles=TITLES)


def entry(item="1", title="Cowboy Bebop", score="9", status="Completed"):
    return (
        f"<anime><series_animedb_id>{item}</series_animedb_id><series_title><![CDATA[{title}]]></series_title>"
        f"<my_score>{score}</my_score><my_status>{status}</my_status><my_tags/></anime>"
    )


def document(*entries, kind=1, head='<?xml version="1.0" encoding="UTF-8" ?>'):
    about = f"<myinfo><user_name>x</user_name><user_export_type>{kind}</user_export_type></myinfo>"
    return f"{head}\n<myanimelist>{about}{''.join(entries)}</myanimelist>"


@pytest.fixture
def load(tmp_path, table):
    """A function that writes a file and reads it as a list of titles of the table."""

    def read(content, name="animelist.xml", ratings=table, **options):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        return ct.load_mal_export(tmp_path / name, ratings, **options)

    return read


def refuses(load, content, message, **options):
    """The file is refused with this message, soon and without filling the memory; the slowest takes half a second of
    the processor."""
    start = time.process_time()
    with pytest.raises(ValueError, match=message):
        load(content, **options)
    assert time.process_time() - start < 3
    tracemalloc.start()  # slows everything down, so on its own
    with pytest.raises(ValueError, match=message):
        load(content, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(content) + 2**21


# ---- What an export says ----


def test_the_export_that_ships_is_read_as_it_says():
    ratings = ct.load_ratings(ct.DATA / "sparse.csv")
    mine = ct.load_mal_export(EXPORT, ratings)
    assert len(mine.ratings) == 11
    assert mine.ratings[9253] == 10
    assert ratings.title(9253) == "Steins;Gate"
    assert mine.unmatched["title"].tolist() == ["Yoru no Tosho-kan", "夜の図書館 II"]
    assert mine.unmatched["score"].tolist() == [8, 7]
    assert mine.dropped["titles without a score"] == 3
    assert repr(mine).startswith("OwnList(11 ratings of known titles; 3 titles without a score; 2 unknown titles")


def test_what_was_begun_is_seen_and_what_is_planned_is_not(load):
    mine = load(document(entry(), entry(457, "Mushishi", 0), entry(9253, "Steins;Gate", 0, "Plan to Watch")))
    assert mine.ratings == {1: 9.0}
    assert mine.seen == [1, 457]
    assert mine.dropped["titles without a score"] == 2


def test_a_gzipped_export_is_the_same_whatever_its_name(load):
    text = document(entry(), entry(457, "Mushishi", 7))
    plain = load(text)
    for name in ("animelist.xml.gz", "animelist.xml"):
        packed = load(gzip.compress(text.encode()), name)
        assert packed.ratings == plain.ratings == {1: 9.0, 457: 7.0}


def test_japanese_titles_are_kept_and_matched(load):
    mine = load(document(entry(999, "進撃の巨人", 8), entry(998, "夜の図書館", 7)))
    assert mine.ratings == {16498: 8.0}
    assert mine.unmatched["title"].tolist() == ["夜の図書館"]


def test_titles_are_matched_but_for_case_and_punctuation_and_only_where_one_is_meant(load):
    mine = load("title,score\nsteins gate,9\nMUSHISHI,8\nKanon,7\nkanon 2006,6\nsteins,5\n", "mine.csv")
    assert mine.ratings == {9253: 9.0, 457: 8.0, 144: 7.0, 1530: 6.0}
    assert mine.unmatched["title"].tolist() == ["steins"]


def test_two_titles_that_read_alike_match_neither(load, table):
    twins = ct.Ratings([7], [1, 2], [0], [0], [5.0], titles=["K-On!", "K-On!!"])
    mine = load("title,score\nk on,9\n", "mine.csv", ratings=twins)
    assert mine.ratings == {}
    assert len(mine.unmatched) == 1


def test_without_a_table_the_ids_are_taken_as_they_are(load):
    assert load(document(entry(31, "?", 4)), ratings=None).ratings == {31: 4.0}
    refuses(load, "title,score\nMushishi,8\n", "whole-number ids", name="mine.csv", ratings=None)


@pytest.mark.parametrize(
    "header", ["item_id,score", "anime_id,rating", "series_animedb_id,my_score", "a_id,title,score"]
)
def test_a_csv_with_an_id_and_a_score_is_read_by_the_names_of_its_columns(load, header):
    row = "457,8" if header.count(",") == 1 else "457,Mushishi,8"
    assert load(f"{header}\n{row}\n", "mine.csv").ratings == {457: 8.0}


def test_a_csv_may_have_a_byte_order_mark(load):
    assert load("\ufeffitem_id,score\n457,8\n", "mine.csv").ratings == {457: 8.0}


def test_an_own_list_can_be_folded_in_at_once(load, table):
    mine = load(document(entry(), entry(457, "Mushishi", 7)))
    model = ct.BiasBaseline().fit(table)
    assert np.array_equal(model.fold_in(mine).scores, model.fold_in({1: 9, 457: 7}).scores)


def test_what_was_seen_and_not_rated_is_not_recommended(load, table):
    mine = load(document(entry(), entry(457, "Mushishi", 0), entry(9253, "Steins;Gate", 0, "Plan to Watch")))
    listed = ct.BiasBaseline().fit(table).fold_in(mine).recommend(10, one_per_work=False)
    assert set(listed["item_id"]) == set(IDS) - {1, 457}


# ---- What is refused, or counted ----


def test_an_empty_file_is_refused(load):
    refuses(load, b"", "is empty")


def test_a_list_without_entries_or_scores_has_no_ratings_and_says_so(load):
    assert load(document()).ratings == {}
    mine = load(document(entry(score=0)))
    assert (mine.ratings, mine.dropped["titles without a score"]) == ({}, 1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file.*animelist\.xml"):
        ct.load_mal_export(tmp_path / "animelist.xml")


def test_a_billion_laughs_are_not_laughed(load):
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>'
    refuses(load, document(entry(title="]]>&l9;<![CDATA["), head=bomb), "declares entities or a document type")


def test_no_entity_reaches_another_file(load, tmp_path):
    (tmp_path / "secret").write_text("secret")
    head = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY s SYSTEM "file://{tmp_path}/secret">]>'
    refuses(load, document(head=head), "declares entities")


def bomb_of(unit, megabytes):
    """About so many unpacked megabytes of `unit`, gzipped, without ever holding them."""
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    block, parts = unit * (2**20 // len(unit)), [press.compress(document()[:-14].encode())]
    for _ in range(megabytes):
        parts.append(press.compress(block))
    return b"".join([*parts, press.flush()])


@pytest.mark.parametrize("unit", [b" ", entry().encode()], ids=["of blanks", "of entries"])
def test_a_gzip_bomb_does_not_go_off(load, unit):
    refuses(load, bomb_of(unit, 200), "unpacks to more than", name="animelist.xml.gz")


def test_a_csv_bomb_does_not_go_off(load):
    packed = gzip.compress(b"item_id,score\n" + b"1,9\n" * 2**24, 1)
    refuses(load, packed, "unpacks to more than", name="mine.csv.gz")


def test_text_beside_the_fields_is_no_part_of_them(load):
    whole = document(entry())
    loose = whole.replace("<anime>", "<anime>loose").replace("<series_title>", "loose<series_title>")
    assert loose.count("loose") == 2
    assert load(loose).ratings == load(whole).ratings == {1: 9}


def test_what_stands_before_the_entries_is_in_none_of_them(load):
    before = "<title>Mushishi</title><score>3</score><status>Completed</status>"
    bare = "<anime><series_animedb_id>1</series_animedb_id></anime>"
    mine = load(f"<myanimelist>{before}{bare}{before}{entry(144, 'Kanon')}{before}</myanimelist>")
    assert (mine.ratings, mine.seen) == ({144: 9}, [1, 144])
    assert mine.dropped == {"titles without a score": 1, "unknown titles": 0, "unknown titles without a score": 0}


def limits(monkeypatch, **most):
    for name, value in most.items():
        monkeypatch.setattr(readers, name, value)


@pytest.mark.parametrize("at", [0, 1], ids=["with the list's own field", "in a later entry"])
def test_an_entry_may_have_as_many_fields_as_the_limit_says(load, monkeypatch, at):
    limits(monkeypatch, _MAX_ENTRY_FIELDS=12)
    entries = [entry(), entry(457, "Mushishi")]  # of 5 fields, and one for each of them itself
    head = 2 + 2 if at == 0 else 0  # before the first entry come the list, myinfo and what it holds
    room = 12 - 6 - head
    for more, may_be in ((room, True), (room + 1, False)):
        told = list(entries)
        told[at] = told[at].replace("<my_tags/>", "<my_tags/>" + "<a/>" * more)
        if may_be:
            assert load(document(*told)).ratings == {1: 9, 457: 9}
        else:
            with pytest.raises(ValueError, match="an entry of more than 12 fields"):
                load(document(*told))


def test_a_list_may_be_as_long_as_the_limits_say(load, monkeypatch):
    whole = document(entry(), entry(457, "Mushishi"))
    for name, most, words in (
        ("_MAX_FIELDS", 4 + 2 * 6, "more than .* 16 fields|more than .* 15 fields"),
        ("MAX_EXPORT_ENTRIES", 2, "more than 1 entries"),
    ):
        limits(monkeypatch, **{name: most})
        assert load(whole).ratings == {1: 9, 457: 9}
        limits(monkeypatch, **{name: most - 1})
        with pytest.raises(ValueError, match=words):
            load(whole)
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("entries", "characters", "may_be"), [(3, 12, True), (2, 12, False), (3, 11, False), (2, 11, False)]
)
def test_entries_and_their_characters_have_a_limit_each(monkeypatch, entries, characters, may_be):
    limits(monkeypatch, MAX_EXPORT_ENTRIES=entries, _MAX_CHARACTERS=characters)
    table = pd.DataFrame({"item": ["1", "2", ""], "title": ["abc", "de", "fghi"], "score": ["", "9", ""]})
    if may_be:
        readers.check_entries(table, "mine.csv")
    else:
        with pytest.raises(ValueError, match=f"3 entries or more, with 12 characters .* at most {entries} and"):
            readers.check_entries(table, "mine.csv")


@pytest.mark.parametrize("fields", ["<a/>" * 10**6, "<a>" * 10**6], ids=["many", "deep"])
def test_an_entry_of_endless_fields_is_refused(load, fields):
    refuses(load, document(f"<anime>{fields}"), "more than 1000 fields")


def test_the_limit_leaves_room_for_a_very_long_list(load):
    mine = load(document(*(entry(item, f"Title {item}", 5) for item in range(20_000, 40_000))), ratings=None)
    assert len(mine.ratings) == 20_000


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.99])
def test_a_truncated_gz_is_said_to_be_cut_off(load, keep):
    packed = gzip.compress(document(*(entry(item, f"T{item}", 5) for item in range(500))).encode())
    refuses(load, packed[: int(keep * len(packed))], "is cut off or damaged", name="animelist.xml.gz", ratings=None)


def test_a_truncated_xml_is_said_not_to_be_whole(load):
    text = document(entry(), entry(457, "Mushishi", 7))
    refuses(load, text[: len(text) // 2], "is not whole or not XML")


@pytest.mark.parametrize("root", ["html", "mymangalist", "anime"])
def test_another_root_is_named(load, root):
    refuses(load, f"<{root}><anime/></{root}>", f"begins with <{root}>, not <myanimelist>")


def test_a_list_of_manga_gets_its_own_error(load):
    refuses(load, document(kind=2), "is a list of manga; choose the anime list")
    manga = "<manga><manga_mangadb_id>2</manga_mangadb_id><my_score>9</my_score></manga>"
    refuses(load, f"<myanimelist>{manga}</myanimelist>", "is a list of manga")


@pytest.mark.parametrize("score", [11, -1, 0.5])
def test_a_score_outside_the_scale_is_named_with_its_title(load, score):
    refuses(
        load, document(entry(), entry(457, "Mushishi", score)), rf"1 scores lie outside 1 to 10 .*{score:g} for 'Mush"
    )


@pytest.mark.parametrize(("score", "may_be"), [("1", True), ("10", True), ("0", True), ("0.9", False), ("10.1", False)])
def test_one_score_outside_the_scale_is_enough(load, score, may_be):
    text = f"title,score\nMushishi,7\nCowboy Bebop,{score}\nKanon,8\n"
    if may_be:
        assert load(text, "m.csv").ratings == {457: 7.0, 144: 8.0} | ({1: float(score)} if score != "0" else {})
    else:
        with pytest.raises(ValueError, match=rf"1 scores lie outside 1 to 10 .* first is {score} for 'Cowboy Bebop'"):
            load(text, "m.csv")


def test_a_score_that_is_no_number_is_named(load):
    refuses(load, document(entry(score="nine")), "not finite numbers, the first is 'nine'")


def test_entries_that_come_twice_are_dropped_and_counted_if_they_agree(load):
    mine = load(document(entry(), entry(), entry(457, "Mushishi", 7)))
    assert mine.ratings == {1: 9.0, 457: 7.0}
    assert mine.dropped["repeats"] == 1


def test_entries_that_contradict_each_other_are_an_error_or_the_later_counts(load):
    twice = document(entry(score=9), entry(score=3))
    refuses(load, twice, "rows contradict each other.*Cowboy Bebop")
    mine = load(twice, conflicts="last")
    assert mine.ratings == {1: 3.0}
    assert mine.dropped["conflicts, the later kept"] == 1
    with pytest.raises(ValueError, match="conflicts must be"):
        load(twice, conflicts="first")


def test_unknown_ids_are_counted_with_their_titles(load):
    mine = load(document(entry(), entry(5, "Nobody Knows", 6), entry(6, "Nor This", 0)))
    assert mine.ratings == {1: 9.0}
    assert mine.unmatched.to_dict("records") == [{"item": "5", "title": "Nobody Knows", "score": 6.0}]
    assert mine.dropped["unknown titles"] == mine.dropped["unknown titles without a score"] == 1


def test_ids_of_another_catalogue_are_not_taken_for_ours(load):
    wrong = [entry(item, f"Somewhere else {item}", 8) for item in IDS]
    for count in (5, 6):
        expected = f"of {count} ids that the table knows only 0 have a title there that shares a word"
        refuses(load, document(*wrong[:count]), expected)
    assert len(load(document(*wrong[:4])).ratings) == 4  # too few to tell


NAMES_OF_FIVE = ["Cowboy Bebop", "Mushishi", "Steins;Gate", "Kanon", "Kanon (2006)", "進撃の巨人"]


@pytest.mark.parametrize(
    ("n_ids", "n_alike", "may_be"), [(4, 0, True), (5, 2, False), (5, 3, True), (6, 3, True), (6, 2, False)]
)
def test_ids_are_those_of_the_table_unless_most_of_five_or_more_titles_say_otherwise(
    load, table, n_ids, n_alike, may_be
):
    ids = [1, 457, 9253, 144, 1530, 16498][:n_ids]
    named = [NAMES_OF_FIVE[at] if at < n_alike else f"Quite Another {at}" for at in range(n_ids)]
    text = "item_id,title,score\n" + "".join(f"{item},{name},9\n" for item, name in zip(ids, named, strict=True))
    without_titles = replace(table, titles=None)
    assert load(text, "m.csv", without_titles).ratings == dict.fromkeys(ids, 9.0)
    if may_be:
        assert load(text, "m.csv").ratings == dict.fromkeys(ids, 9.0)
    else:
        with pytest.raises(ValueError, match=f"of {n_ids} ids that the table knows only {n_alike} have a title"):
            load(text, "m.csv")


def test_a_header_of_a_list_is_read_in_any_case(load):
    assert load("Title, Score\nMushishi,8\n", name="m.csv").ratings == {457: 8.0}


def test_half_a_letter_in_a_title_is_one_that_is_not_known(tmp_path, table):
    media = {"idMal": 1, "title": {"romaji": "\ud800Bebop"}}
    lists = {"lists": [{"entries": [{"score": 8, "status": "COMPLETED", "media": media}]}]}
    (tmp_path / "a.json").write_text(json.dumps(lists))
    assert ct.load_export(tmp_path / "a.json", table).ratings == {1: 8.0}


def test_a_csv_without_score_or_title_says_which_columns_it_has(load):
    refuses(
        load, "anime,points\nMushishi,8\n", r"needs a column with the score.*got \['anime', 'points'\]", name="m.csv"
    )


@pytest.mark.parametrize("header", ["title,score,score", "title,score,my_score", "title,name,score"])
def test_two_columns_that_may_be_one_are_not_chosen_between(load, header):
    refuses(load, f"{header}\nMushishi,8,7\n", "several columns (may be|'score')", name="m.csv")


@pytest.mark.parametrize("junk", [b"\x89PNG\r\n\x00\x01" * 99, b"{}", b"\xff\xfe\x00"])
def test_a_file_of_another_kind_is_refused(load, junk):
    refuses(load, junk, "is not a CSV file with a header|needs a column with the score")


# ---- Work that grows with the file, and no faster ----


def too_long(load, content, monkeypatch, **options):
    """How many elements and blocks are read of a list that is refused as too long."""
    counts = {"start": 0, "feed": 0}

    def counted(owner, name):
        original = getattr(owner, name)

        def call(*arguments):
            counts[name] += 1
            return original(*arguments)

        monkeypatch.setattr(owner, name, call)

    counted(readers._Export, "start")
    counted(readers.XMLParser, "feed")
    with pytest.raises(ValueError, match=r"which (is )?no|a list of titles has at most"):
        load(content, **options)
    return counts


@pytest.mark.parametrize("size", [2**20, 2**23])
@pytest.mark.parametrize(
    "endless", ["<!--{}-->", "<anime a='{}'/>", "<anime {}/>", "<?a {}?>"], ids=["comment", "value", "tag", "order"]
)
def test_a_tag_or_comment_without_end_is_read_no_further(load, monkeypatch, endless, size):
    counts = too_long(load, document(endless.format(" " * size)), monkeypatch)
    assert counts["feed"] < 2 * readers._MAX_MARK / 2**14


@pytest.mark.parametrize(
    "unit",
    [
        "<anime/>",
        "<anime><a_id>1</a_id></anime>",
        "<anime>" + "<a/>" * 900 + "</anime>",
        "<anime>" * 9 + "</anime>" * 9,
    ],
)
def test_a_list_longer_than_any_catalogue_is_read_no_further(load, monkeypatch, unit):
    counts = too_long(load, document(unit * (2**24 // len(unit))), monkeypatch)
    most = readers._MAX_FIELDS if "<a/>" in unit else 2 * readers.MAX_EXPORT_ENTRIES
    assert counts["start"] <= most + 2**14


@pytest.mark.parametrize("text", ["item_id,score\n" + "1,9\n" * 10**6, "title,score\n" + "a " * 2**21 + ",9\n"])
def test_a_csv_longer_than_any_catalogue_is_not_matched(load, monkeypatch, text):
    monkeypatch.setattr(readers, "plain_title", lambda _: pytest.fail("matched"))
    with pytest.raises(ValueError, match="a list of titles has at most"):
        load(text, "mine.csv")


def test_a_title_of_combining_marks_is_cut_before_it_is_sorted(monkeypatch):
    lengths = []

    def normalize(form, text, original=unicodedata.normalize):
        lengths.append(len(text))
        return original(form, text)

    monkeypatch.setattr(titles.unicodedata, "normalize", normalize)
    assert titles.plain_title("a" + "\u05b0\u0591" * 10**5 + "b") == "a b"
    assert max(lengths) < 40


def test_what_stands_in_an_entry_besides_its_fields_is_left_alone(load):
    fields = "<my_comments>line\n&amp;<!-- a --><b>bold</b></my_comments><my_times_watched>3</my_times_watched>"
    mine = load(
        document("<title>no entry</title>" + entry().replace("</anime>", fields + "</anime>") + entry(457, "", 7))
    )
    assert mine.ratings == {1: 9.0, 457: 7.0}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_an_export_may_be_saved_in_utf_16_or_with_a_mark(load, encoding):
    text = document(entry(999, "進撃の巨人", 8), head='<?xml version="1.0"?>')
    assert load(text.encode(encoding)).ratings == {16498: 8.0}


def test_an_encoding_that_nobody_knows_is_refused(load):
    refuses(load, document(entry(), head='<?xml version="1.0" encoding="nonsense"?>'), "is not whole or not XML")
    refuses(load, document(entry(), head='<?xml version="1.0" encoding="shift_jis"?>'), "is not whole or not XML")
