"""Tables as people have them: any columns, dialects of CSV, Parquet, Arrow and DataFrames; MovieLens in its layouts."""

import bz2
import datetime
import gzip
import re
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import content_table as ct
from content_table_parts import readers, tables
from content_table_parts.titles import TitleIndex

COLUMNS = {"user": "who", "item": "what", "rating": "stars"}


@pytest.fixture
def load(tmp_path):
    """A function that writes a text and reads it by load_table."""

    def read(text, written="utf-8", told=COLUMNS, name="shop.csv", **options):
        data = text if isinstance(text, bytes) else text.encode(written)
        (tmp_path / name).write_bytes(data)
        return ct.load_table(tmp_path / name, **(told | options))

    return read


def cells(ratings):
    """{(user id, item id): rating}"""
    frame = ratings.frame()
    return {(user, item): value for user, item, value in frame[["user_id", "item_id", "rating"]].to_numpy().tolist()}


PLAIN = "who,what,stars\n1,10,5\n2,10,1.5\n2,20,4\n"
MEANT = {(1, 10): 5.0, (2, 10): 1.5, (2, 20): 4.0}

# ---- CSV in its dialects ----


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("told", [True, False])
def test_a_separator_is_told_or_recognised_and_then_said(load, sep, told):
    ratings = load(PLAIN.replace(",", sep), **({"sep": sep} if told else {}))
    assert cells(ratings) == MEANT
    assert (f"separated by {sep!r}" in repr(ratings)) == (not told and sep != ",")


def test_a_decimal_comma_is_read_where_it_is_told(load):
    german = "who;what;stars\n1;10;5\n2;10;1,5\n2;20;4,0\n"
    assert cells(load(german, decimal=",")) == MEANT
    with pytest.raises(ValueError, match=r"1 values of column 'stars'.* '1,5' in data row 2.*decimal=','"):
        load(german.replace("4,0", "4"))
    with pytest.raises(ValueError, match=r"'1\.234,5' in data row 1"):
        load("who;what;stars\n1;10;1.234,5\n", decimal=",")


def test_quoted_separators_belong_to_the_field(load):
    ratings = load('who;what;"stars;all"\n"a;b";x;3\nc;"d"" e";5\n', rating="stars;all")
    assert cells(ratings) == {("a;b", "x"): 3, ("c", 'd" e'): 5}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8"])
def test_unicode_is_read_with_and_without_its_mark(load, encoding):
    assert cells(load("who,what,stars\nJosé,Käse,2\nAnn,Brot,3\n", encoding)) == {
        ("José", "Käse"): 2,
        ("Ann", "Brot"): 3,
    }


def test_latin_1_is_read_where_it_is_told_and_else_refused(load):
    text = "who,what,stars\nJosé,Käse,2\nAnn,Brot,3\n"
    assert ("José", "Käse") in cells(load(text.encode("latin-1"), encoding="latin-1"))
    with pytest.raises(ValueError, match=r"in UTF-8.*load_table has encoding="):
        load(text.encode("latin-1"))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_packed_csv_is_the_same_table(load, pack):
    assert cells(load(pack(PLAIN.encode()))) == MEANT


def test_a_header_is_found_in_any_case_and_with_spaces(load):
    text = PLAIN.replace("who,what,stars", "  WHO , What the  item,STARS ")
    assert cells(load(text, told={}, user="who", item="what the item", rating="Stars")) == MEANT


def test_a_near_miss_is_an_error_with_a_suggestion(load):
    with pytest.raises(ValueError, match=r"item: shop\.csv has no column 'waht'; it has .*did you mean \['what'\]"):
        load(PLAIN, item="waht")


def test_one_column_only_means_another_separator(load):
    with pytest.raises(ValueError, match=r"has one column, 'who,what,stars'.*separated by ';'.*sep="):
        load(PLAIN, sep=";")


HUGE = str(2**63)


def test_whole_numbers_beyond_64_bits_are_text_as_ids_and_floats_as_times(load):
    ratings = load(f"who,what,stars\n{HUGE},x,1\n1,y,2\n")
    assert ratings.user_ids.tolist() == ["1", HUGE]
    assert load(f"who,what,stars,time\na,x,1,{'9' * 20}\nb,y,2,5\n").times.tolist() == [1e20, 5.0]


def test_times_beyond_64_bits_are_floats_where_pandas_refuses_them(monkeypatch):
    def as_pandas_2(column):
        raise ValueError("Integer out of range.")

    monkeypatch.setattr(tables.pd, "to_numeric", as_pandas_2)
    assert tables._times(["9" * 20, "", "5"]).tolist() == pytest.approx([1e20, np.nan, 5.0], nan_ok=True)


@pytest.mark.parametrize("header", ["who,who,what,stars", "who,what,stars,stars", "who,what,stars,time,time"])
def test_a_column_that_is_used_has_a_name_of_its_own(load, header):
    row = ",".join("1" * len(header.split(",")))
    with pytest.raises(ValueError, match=r"shop\.csv has several columns '(who|stars|time)'"):
        load(f"{header}\n{row}\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# of our shop\n" + PLAIN, "its first line is '# of our shop'; remove this line"),
        ("sep=;\n" + PLAIN.replace(",", ";"), "its first line is 'sep=;'; remove this line"),
        ("who,what,stars\na,x,1,5\n", "line 2 has 4 fields, the header 3; is a comma the sign of decimals"),
        ('who,what,stars\na,"x,1\n', "a quote is left open"),
        ("# ratings, of 2024\n" + PLAIN, "its first line begins with '#'; if that is a comment, remove it"),
        ("who,what,stars\n1,Apollo, 13,8\n", "line 2 has 4 fields, the header 3; does a title hold a comma"),
        (" \n\n", "it is empty"),
    ],
)
def test_what_is_no_table_is_told_by_its_likely_cause(load, text, words):
    with pytest.raises(ValueError, match=f"shop.csv is not a CSV file with a header: {words}"):
        load(text)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_wide_encodings_are_read_where_they_are_told_or_marked(load, encoding):
    told = {} if encoding == "utf-32" else {"encoding": encoding}
    assert cells(load(PLAIN, written=encoding, **told)) == MEANT


@pytest.mark.parametrize("encoding", ["idna", "undefined", "rot13"])
def test_what_encodes_no_file_is_no_encoding(load, encoding):
    with pytest.raises(ValueError, match=f"encoding must be one that Python knows, .* got '{encoding}'"):
        load(PLAIN, encoding=encoding)


def test_columns_that_nobody_uses_may_share_a_name(load):
    assert len(load("who,what,stars,note,note,,\n1,10,5,a,b,,\n2,10,4,a,b,,\n")) == 2


@pytest.mark.parametrize("sep", [",", ";"])
def test_a_header_of_endless_fields_is_refused_whatever_separates_them(load, sep):
    fields = sep.join(f"c{at}" for at in range(1200))
    with pytest.raises(ValueError, match="first line has more than 1000 fields"):
        load(f'"\n\n"{sep}{fields}\n', told={}, sep=sep)
    with pytest.raises(ValueError, match="more than 65,536 characters; is a quote left open before"):
        load(f'"{fields}\n' + "a,b\n" * 20_000, told={}, sep=sep)


@pytest.mark.parametrize(("column", "words"), [("what", "column 'item'"), ("name", "titles")])
def test_an_id_or_title_of_endless_characters_is_refused(load, column, words):
    rows = "".join(f"{at},{at},{'x' * 2000 if at == 7 else at},{at % 5}\n" for at in range(9))
    with pytest.raises(
        ValueError, match=rf"{words} must have at most 1,000 characters each, got 2,000: 'xxx.*leave the column"
    ):
        load(
            f"who,{'what,name' if column == 'name' else 'code,what'},stars\n{rows}", title={"name": "name"}.get(column)
        )


def test_ids_of_a_few_kinds_are_their_texts():
    column = pd.Series(["b", "a", "b"], dtype="category", name="item")
    assert tables.ids_from(column, is_csv=True).tolist() == ["b", "a", "b"]
    whole = tables.ids_from(column.cat.rename_categories({"b": "7", "a": "12"}), is_csv=True)
    assert whole.tolist() == [7, 12, 7]


def test_two_separators_that_fit_equally_are_not_guessed_between(load):
    with pytest.raises(ValueError, match=r"separated by any of \[',', ';'\].*pass sep="):
        load("who,what;stars,a;b\n1,2;3,4;5\n")


def test_surplus_fields_are_refused_with_their_line(load):
    with pytest.raises(ValueError, match="line 3 has 4 fields, the header 3"):
        load("who;what;stars\n1;2;3\n1;3;3;4\n")


# ---- Columns by their usual names ----


@pytest.mark.parametrize(
    "header", ["userId,movieId,rating", "User ID,ITEM,Score", "uid, product_id ,stars", "customer,sku,Points"]
)
def test_usual_names_are_taken_and_said(load, header):
    ratings = load(PLAIN.replace("who,what,stars", header), told={})
    assert cells(ratings) == MEANT
    names = header.split(",")
    assert f"taken by name: user={names[0]!r}, item={names[1]!r}, rating={names[2]!r}" in repr(ratings)
    assert "taken by name" not in repr(ratings.split_random(0.4)[0])


def test_what_is_told_is_not_said(load):
    assert "taken" not in repr(load(PLAIN))


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("user,userId,movie,rating", r"user: .*several columns may be the user, \['user', 'userId'\].*pass user="),
        ("a,b,movie,rating", r"user: .*no column is known as the user.*\['a', 'b', 'movie', 'rating'\]"),
    ],
)
def test_what_is_not_clear_is_asked_for(load, header, words):
    with pytest.raises(ValueError, match=words):
        load(f"{header}\n1,2,3,4\n", told={})


def test_several_times_are_none_and_that_is_said(load):
    ratings = load("user,item,rating,date,timestamp\n1,2,3,4,5\n2,2,4,4,5\n", told={})
    assert ratings.times is None
    assert "no time, because several columns may be it: ['date', 'timestamp']" in repr(ratings)


def test_a_column_that_nobody_wants_is_left_out_by_false(load):
    text = "user,item,rating,time,title\n1,2,3,never,A\n2,2,4,never,A\n"
    ratings = load(text, told={}, time=False, title=False)
    assert (ratings.times, ratings.titles) == (None, None)


def test_one_column_is_not_two_things(load):
    with pytest.raises(ValueError, match="may stand for one thing"):
        load(PLAIN, item="who")


# ---- Ids, gaps, scale ----


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (["7", "8"], [7, 8]),
        (["007", "8"], ["007", "8"]),
        (["7", "A8"], ["7", "A8"]),
        ([" 7", "8 "], [7, 8]),
        (["9007199254740993", "9007199254740992"], [9007199254740992, 9007199254740993]),
        (["99999999999999999999", "1"], ["1", "99999999999999999999"]),
        (["1.0", "2"], ["1.0", "2"]),
        (["-0", "0"], ["-0", "0"]),
    ],
)
def test_ids_are_kept_as_they_are_written(load, written, kept):
    ratings = load("who,what,stars\n" + "".join(f"{user},x,{at}\n" for at, user in enumerate(written, 1)))
    assert ratings.user_ids.tolist() == kept


def test_rows_without_a_user_an_item_or_a_rating_are_counted(load):
    text = PLAIN + ",10,3\n3,,3\n3,10,\n3,20,0\n"
    assert load(text, scale=(1, 5)).dropped == {"no user or no item": 2, "no rating": 2}
    assert cells(load(text, scale=(1, 5))) == MEANT
    assert load(text).dropped == {"no user or no item": 2, "no rating": 1}  # 0 is a rating where no scale is told


def test_the_scale_is_told_or_met_and_the_latter_said(load):
    assert load(PLAIN, scale=(0, 10)).scale == (0.0, 10.0)
    met = load(PLAIN)
    assert met.scale == (1.5, 5.0)
    assert "scale" in met.notes[-1]
    with pytest.raises(ValueError, match=r"every rating is 3.*pass scale=\(low, high\)"):
        load("who,what,stars\n1,2,3\n2,2,3\n")
    with pytest.raises(ValueError, match="outside the scale 0 to 4"):
        load(PLAIN, scale=(0, 4))


# ---- Times, repeats, names ----

TIMED = "who,what,stars,when\n1,10,5,300\n1,10,2,100\n1,10,3,200\n2,10,1,1\n"


@pytest.mark.parametrize(
    ("options", "value", "time"),
    [
        ({"repeats": "last"}, 3.0, None),
        ({"repeats": "last", "time": "when"}, 5.0, 300),
        ({"repeats": "mean"}, 10 / 3, None),
        ({"repeats": "mean", "time": "when"}, 10 / 3, 300),
    ],
)
def test_repeats_are_merged_as_told_and_counted(load, options, value, time):
    ratings = load(TIMED, **options)
    assert cells(ratings) == {(1, 10): pytest.approx(value), (2, 10): 1.0}
    assert ratings.dropped == {f"repeats, the {options['repeats']} kept": 2}
    assert time is None or ratings.times[ratings.user_rows(1)[0]] == time


def test_repeats_are_refused_by_default_and_the_first_is_named(load):
    with pytest.raises(
        ValueError, match=r"3 rows repeat.*who 1 with what 10 in data rows \[1, 2, 3\].*\[5\.0, 2\.0, 3\.0\].*'last'"
    ):
        load(TIMED)
    with pytest.raises(ValueError, match=r"who 'b' with what 'x' in data rows \[2, 4\]"):
        load("who,what,stars\na,x,1\nb,x,2\na,,3\nb,x,2\n")


@pytest.mark.parametrize(
    ("times", "moments"),
    [
        (["2024-05-31", "2024-06-01"], ["2024-05-31", "2024-06-01"]),
        (["2024-05-31T18:30:00", "2024-05-31 18:30:01"], ["2024-05-31T18:30:00", "2024-05-31T18:30:01"]),
        (["2024-05-31T18:30:00+02:00", "2024-05-31T18:30:00Z"], ["2024-05-31T16:30:00", "2024-05-31T18:30:00"]),
    ],
)
def test_iso_dates_are_read(load, times, moments):
    ratings = load(f"who,what,stars,when\n1,1,1,{times[0]}\n2,1,2,{times[1]}\n", time="when")
    assert ratings.times.tolist() == np.array(moments, dtype="datetime64[ns]").tolist()


def test_seconds_stay_numbers(load):
    assert load(TIMED, time="when", repeats="last").times.tolist() == [300, 1]


def test_whole_seconds_stay_whole_where_one_is_written_with_a_point(load):
    times = load("who,what,stars,when\n1,1,1,100\n2,1,2,200.0\n3,1,3,3\n", time="when").times
    assert times.tolist() == [100, 200, 3]
    assert times.dtype == np.int64


@pytest.mark.parametrize("options", [{}, {"repeats": "mean"}, {"repeats": "last"}, {"rating": False}], ids=str)
@pytest.mark.parametrize("role", ["user", "item"])
def test_ids_of_several_types_are_named_with_their_column_however_rows_repeat(options, role):
    day = datetime.date(2024, 5, 31)
    frame = pd.DataFrame({"user": [1, 1, 2, 2], "item": [1, 1, 2, 2], "rating": [1.0, 2.0, 3.0, 4.0]})
    frame = frame.iloc[::2] if not options else frame
    frame = frame.assign(**{role: frame[role].astype(object).where(frame["user"] == 1, day)})
    with pytest.raises(TypeError, match=rf"ids in column '{role}' are of several types, \['date', 'int'\]"):
        ct.load_table(frame, **options)


def test_other_dates_are_refused_with_an_example(load):
    text = "who,what,stars,when\n1,1,1,2024-05-30\n2,1,2,31.05.2024\n"
    with pytest.raises(ValueError, match=r"column 'when'.*'31\.05\.2024' in data row 2.*2024-05-31.*pd\.to_datetime"):
        load(text, time="when")
    for word in ("now", "today"):
        with pytest.raises(ValueError, match=f"no numbers or ISO dates, the first is '{word}' in data row 2"):
            load(text.replace("31.05.2024", word), time="when")
    with pytest.raises(ValueError, match=r"blank.* in data row 2.*time=False"):
        load(text.replace("31.05.2024", " "), time="when")


NAMED = "who,what,stars,name,when\n1,10,5,New,9\n1,20,5,Tea,1\n2,10,3,Old,2\n2,20,1,Tea,3\n3,10,1,Old,4\n"


@pytest.mark.parametrize(("options", "title"), [({"time": "when"}, "New"), ({}, "Old")])
def test_a_renamed_item_has_its_newest_name_and_that_is_counted(load, options, title):
    ratings = load(NAMED, title="name", **options)
    assert [ratings.title(10), ratings.title(20)] == [title, "Tea"]
    assert ratings.dropped == {"older names of items, the newest kept": 1}


def test_an_item_without_a_name_is_called_by_its_id(load):
    ratings = load("who,what,stars,name\n1,10,5,\n2,10,4,\n2,20,1,Tea\n", title="name")
    assert [ratings.title(10), ratings.title(20)] == ["10", "Tea"]


def test_swapped_columns_are_suspected_by_their_names(load):
    with pytest.raises(ValueError, match="'what' and 'who' look swapped"):
        load(NAMED.replace("New", "Old"), title="name", user="what", item="who")


# ---- Files and tables of others ----

FRAME = pd.DataFrame(
    {"User": [1, 2, 2], "Item": ["x", "x", "y"], "Rating": [5.0, 1.5, 4], "Date": pd.to_datetime(["2024-05-31"] * 3)}
)


def as_parquet(frame, folder):
    frame.to_parquet(folder / "t.bin")
    return folder / "t.bin"


def as_feather(frame, folder):
    frame.to_feather(folder / "t.bin")
    return folder / "t.bin"


def as_polars(frame, folder):
    return pytest.importorskip("polars").from_pandas(frame)


def as_arrow(frame, folder):
    return sys.modules["pyarrow"].Table.from_pandas(frame)


def test_a_pandas_frame_is_read(tmp_path):
    ratings = ct.load_table(FRAME)
    assert cells(ratings) == {(1, "x"): 5.0, (2, "x"): 1.5, (2, "y"): 4.0}
    assert ratings.times.tolist() == FRAME["Date"].to_numpy("datetime64[ns]").tolist()


def test_numbers_of_a_frame_stay_numbers_as_times_and_days_become_moments():
    for numbers in ([30, 10, 20], [0.5, 2.0, 1.5]):
        times = ct.load_table(FRAME.assign(Date=numbers)).times
        assert times.tolist() == numbers
        assert times.dtype.kind in "if"
    days = [datetime.date(2024, 5, 31), datetime.date(2023, 1, 2), datetime.date(2024, 6, 1)]
    noons = [datetime.datetime(day.year, day.month, day.day, 12) for day in days]
    for given in (days, noons):
        times = ct.load_table(FRAME.assign(Date=pd.Series(given, dtype=object))).times
        assert times.dtype == "datetime64[ns]"
        assert times.tolist() == np.array(given, dtype="datetime64[ns]").tolist()


@pytest.mark.parametrize("make", [as_parquet, as_feather, as_polars, as_arrow])
def test_tables_of_arrow_and_polars_are_the_same_table(tmp_path, make):
    pytest.importorskip("pyarrow")
    ratings, expected = ct.load_table(make(FRAME, tmp_path)), ct.load_table(FRAME)
    assert ratings.fingerprint == expected.fingerprint
    assert ratings.times.tolist() == expected.times.tolist()


@pytest.mark.parametrize("make", [as_parquet, as_feather, as_polars, as_arrow])
def test_large_ids_beside_missing_ones_stay_exact(tmp_path, make):
    pytest.importorskip("pyarrow")
    big = 2**53 + 1
    frame = pd.DataFrame(
        {"user": pd.array([big, None, big - 1], dtype="Int64"), "item": ["a", "a", "b"], "rating": [1, 2, 3]}
    )
    ratings = ct.load_table(make(frame, tmp_path))
    assert ratings.user_ids.tolist() == [big - 1, big]
    assert ratings.dropped == {"no user or no item": 1}


@pytest.mark.parametrize("make", [as_parquet, as_arrow])
def test_row_numbers_of_pandas_are_no_column_but_an_index_with_a_name_is(tmp_path, make):
    pytest.importorskip("pyarrow")
    filtered = FRAME.set_axis([5, 7, 9]).rename(columns={"User": "who"})
    with pytest.raises(ValueError, match=r"no column is known as the user") as refused:
        ct.load_table(make(filtered, tmp_path))
    assert "index_level" not in str(refused.value)
    assert ct.load_table(make(FRAME.set_index("User"), tmp_path)).fingerprint == ct.load_table(FRAME).fingerprint


@pytest.mark.parametrize("make", [as_parquet, as_feather])
def test_a_damaged_arrow_file_is_named(tmp_path, make):
    pytest.importorskip("pyarrow")
    path = make(FRAME, tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"t\.bin begins as .*cut off or damaged"):
        ct.load_table(path)


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [
        ("User", [[1], [2], [3]], r"user: column 'User' of t\.bin must hold numbers, texts or dates, got ndarray such"),
        ("Item", [{"a": 1}, {"a": 2}, None], "item: column 'Item' of .* got dict such as {'a': 1"),
        ("Date", [datetime.time(1)] * 3, "time: column 'Date' of .* got time"),
        ("Date", [datetime.timedelta(1)] * 3, "time: column 'Date' of .* got timedelta"),
    ],
)
@pytest.mark.parametrize("make", [as_parquet, as_feather])
def test_cells_that_hold_lists_hours_or_durations_are_refused_by_name(tmp_path, make, column, cells, words):
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=words):
        ct.load_table(make(FRAME.assign(**{column: pd.Series(cells)}), tmp_path))


def test_a_parquet_file_has_the_limit_of_a_table_and_each_name_once(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    rows = [pyarrow.array(["a"] * 10_000), pyarrow.array([1.0] * 10_000)]
    table = pyarrow.Table.from_arrays([*rows, rows[1]], names=["user", "rating", "rating"])
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"t\.parquet has several columns 'rating'"):
        ct.load_table(tmp_path / "t.parquet")
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 2**17)
    with pytest.raises(ValueError, match=r"10,000 rows of 3 columns, 0 MB or more in memory; the limit is"):
        ct.load_table(tmp_path / "t.parquet")
    flags = {f"flag {at}": np.zeros(10_000, dtype=np.int8) for at in range(5)}  # a byte a cell, and not eight
    wide = pd.DataFrame({"user": np.arange(10_000), "item": 1, "rating": np.arange(10_000) % 5} | flags)
    wide.to_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 400_000)
    assert len(ct.load_table(tmp_path / "t.parquet")) == 10_000


def test_what_else_a_frame_keeps_in_its_attrs_does_not_matter():
    frame = FRAME.copy()
    frame.attrs["repeated"] = True
    assert ct.load_table(frame).fingerprint == ct.load_table(FRAME).fingerprint


@pytest.mark.parametrize("mark", [b"PAR1", b"ARROW1"])
def test_without_pyarrow_it_says_what_to_install(tmp_path, monkeypatch, mark):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(mark + bytes(9))
    with pytest.raises(ImportError, match=r"PyArrow.*pip install pyarrow"):
        ct.load_table(tmp_path / "t.parquet")


def test_text_ids_and_ratings_of_a_frame(tmp_path):
    frame = pd.DataFrame({"user": ["01", "1"], "item": pd.Categorical(["a", "b"]), "rating": ["4", " 2.5 "]})
    assert cells(ct.load_table(frame)) == {("01", "a"): 4.0, ("1", "b"): 2.5}
    assert cells(ct.load_table(frame.astype("category"))) == {("01", "a"): 4.0, ("1", "b"): 2.5}
    with pytest.raises(ValueError, match=r"rating.*must hold rating points, got datetime"):
        ct.load_table(frame.assign(rating=pd.to_datetime("2024-01-01")))
    with pytest.raises(ValueError, match="'good' in data row 2"):
        ct.load_table(frame.assign(rating=["4", "good"]))


# ---- Another table's universe ----


def test_a_test_file_is_read_in_the_universe_of_its_training_file(load):
    train = load(PLAIN, scale=(0, 5))
    test = load("who,what,stars\n1,20,3\n", name="test.csv", like=train)
    assert test.same_universe(train)
    assert (cells(test), test.scale) == ({(1, 20): 3.0}, train.scale)
    assert ct.rmse(ct.BiasBaseline().fit(train), test) >= 0


STRANGE = "who,what,stars\n1,20,3\n9,20,3\n2,77,3\n9,78,4\n"


def test_unknown_ids_of_a_test_file_are_an_error_or_counted(load):
    train = load(PLAIN)
    with pytest.raises(KeyError, match=r"3 of 4 ratings are of unknown 1 users such as 9, 2 items such as 77.*skip"):
        load(STRANGE, name="test.csv", like=train)
    test = load(STRANGE, name="test.csv", like=train, unknown="skip")
    assert cells(test) == {(1, 20): 3.0}
    assert test.dropped == {"unknown users": 2, "unknown items": 2}
    with pytest.raises(KeyError, match="1 of 1 ratings"):
        load("who,what,stars\n9,20,3\n", name="test.csv", like=train, unknown="skip")


def test_numbers_meet_text_as_text(load):
    train = load("who,what,stars\nA1,10,5\n2,10,1\n02,20,1\n")
    test = load("who,what,stars\n2,20,3\n", name="test.csv", like=train)
    assert train.user_ids.tolist() == ["02", "2", "A1"]
    assert cells(test) == {("2", 20): 3.0}


def test_a_rating_beyond_the_scale_of_the_other_is_refused(load):
    train = load(PLAIN)
    with pytest.raises(ValueError, match=r"outside the scale 1\.5 to 5"):
        load("who,what,stars\n1,20,9\n", name="test.csv", like=train, scale=(0, 10))


# ---- Unknown ids in a fold-in ----


def test_unknown_ids_of_a_fold_in_are_an_error_or_counted(table):
    model = ct.BiasBaseline().fit(table)
    given = {11: 8, "No such title": 3, 999: 4, "Bear": 5}
    with pytest.raises(KeyError, match=r"(?s)No such title.*999"):
        model.fold_in(given)
    viewer = model.fold_in(given, unknown="skip")
    assert list(viewer.unknown) == ["No such title", 999]
    np.testing.assert_array_equal(viewer.scores, model.fold_in({11: 8, "Bear": 5}).scores)
    assert list(model.fold_in({11: 8}).unknown) == []
    with pytest.raises(ValueError, match="unknown must be one of"):
        model.fold_in(given, unknown="drop")


def test_like_spellings_are_looked_for_a_few_times_and_the_others_counted(table, monkeypatch):
    asked = []
    monkeypatch.setattr(TitleIndex, "spelled_like", lambda index, text: asked.append(text) or [])
    with pytest.raises(KeyError, match=r"(?s)'none 0'.*'none 4'.*The 96 after these have not been looked up"):
        table.checked_pairs({"Bear": 5} | {f"none {at}": 5 for at in range(101)})
    assert asked == [f"none {at}" for at in range(5)]
    with pytest.raises(KeyError, match="'none 4'") as refused:
        table.checked_pairs({f"none {at}": 5 for at in range(5)})
    assert "after these" not in str(refused.value)


def test_a_title_that_may_be_any_of_several_is_not_skipped():
    sample = ct.load_ratings(ct.DATA / "sparse.csv")
    titles = [title for title in sample.titles if "Fullmetal Alchemist" in title]
    assert len(titles) > 1
    with pytest.raises(KeyError, match="could be any of"):
        ct.BiasBaseline().fit(sample).fold_in({"alchemist": 8}, unknown="skip")


def test_skipping_looks_for_no_like_spelling(table, monkeypatch):
    model = ct.BiasBaseline().fit(table)
    monkeypatch.setattr(TitleIndex, "spelled_like", lambda *_: pytest.fail("looked for"))
    assert list(model.fold_in({"Aple": 8, "Bear": 3}, unknown="skip").unknown) == ["Aple"]


def test_what_was_seen_and_is_not_in_the_table_is_skipped_too(table):
    model = ct.BiasBaseline().fit(table)
    own = ct.OwnList({11: 8, 999: 3}, [11, 12, 999], pd.DataFrame(), {})
    with pytest.raises(KeyError, match="999"):
        model.fold_in(own)
    viewer = model.fold_in(own, unknown="skip")
    assert list(viewer.unknown) == [999]
    assert not set(viewer.recommend(5)["item_id"]) & {11, 12}


# ---- MovieLens in its layouts ----

FILMS = {1: "Toy Story (1995)", 2: "Léon: The Professional (1994)", 5: "Seven (a.k.a. Se7en) (1995)"}
ROWS = [(7, 1, 5, 978300760), (7, 2, 3, 978300761), (9, 5, 1, 978300762)]


def layout(name, rows=ROWS):
    """{file name: bytes} of a layout."""
    header = "userId,movieId,rating,timestamp\n"
    lines = {sep: "".join(sep.join(map(str, row)) + "\n" for row in rows) for sep in (",", "\t", "::")}
    films = {sep: "".join(f"{key}{sep}{title}{sep}Drama\n" for key, title in FILMS.items()) for sep in ("::", "|")}
    return {
        "latest": {
            "ratings.csv": (header + lines[","]).encode(),
            "movies.csv": ("movieId,title\n" + "".join(f'{key},"{title}"\n' for key, title in FILMS.items())).encode(),
        },
        "100K": {"u.data": lines["\t"].encode(), "u.item": films["|"].encode("latin-1")},
        "1M": {"ratings.dat": lines["::"].encode(), "movies.dat": films["::"].encode("latin-1")},
        "10M": {
            "ratings.dat": lines["::"].replace("::1::9783", "::0.5::9783").encode(),
            "movies.dat": films["::"].encode(),
        },
    }[name]


def as_folder(files, tmp_path):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def as_file(files, tmp_path):
    return as_folder(files, tmp_path) / next(iter(files))


def as_zip(files, tmp_path, top="ml-1m/"):
    with zipfile.ZipFile(tmp_path / "ml.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(f"{top}README", "terms")
        for name, data in files.items():
            packed.writestr(top + name, data)
    return tmp_path / "ml.zip"


def test_a_line_of_films_without_a_title_is_named(tmp_path):
    files = layout("1M")
    films = files["movies.dat"].split(b"\n")
    files["movies.dat"] = b"\n".join([films[0], b"3::Heat (1995)", *films[1:]])
    with pytest.raises(ValueError, match=r"movies\.dat: line 2 needs an id, a title and genres with '::' between them"):
        ct.load_ratings(as_folder(files, tmp_path))


@pytest.mark.parametrize("name", ["latest", "1M"])
def test_a_film_with_a_blank_title_is_called_by_its_id(tmp_path, name):
    files = layout(name)
    at = "movies.csv" if name == "latest" else "movies.dat"
    for title in FILMS.values():
        if title.startswith("Toy"):
            films = files[at].replace(title.encode(), b" ")
    ratings = ct.load_ratings(as_folder(files | {at: films}, tmp_path))
    assert ratings.titles.tolist() == ["1", *list(FILMS.values())[1:]]


def test_a_title_or_name_that_one_row_of_a_course_file_lacks_is_that_of_the_others(tmp_path):
    text = "u_id,a_id,profile,title,score\n1,10,a,A,5\n2,10,b,,6\n2,11, ,B,7\n3,12,c, ,8\n"
    (tmp_path / "course.csv").write_text(text)
    ratings = ct.load_ratings(tmp_path / "course.csv")
    assert ratings.titles.tolist() == ["A", "B", "12"]
    assert ratings.user_names.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("put", [as_folder, as_file, as_zip])
@pytest.mark.parametrize("name", ["latest", "100K", "1M", "10M"])
def test_every_layout_of_movielens_is_the_same_table(tmp_path, name, put):
    ratings = ct.load_ratings(put(layout(name), tmp_path))
    last = 0.5 if name == "10M" else 1.0
    assert cells(ratings) == {(7, 1): 5.0, (7, 2): 3.0, (9, 5): last}
    assert ratings.titles.tolist() == list(FILMS.values())
    assert ratings.times.tolist() == [row[3] for row in ROWS]
    assert ratings.scale == ((0.5, 5.0) if name in ("latest", "10M") else (1.0, 5.0))


def test_a_zip_is_read_where_it_is(tmp_path):
    path = as_zip(layout("1M"), tmp_path)
    ct.load_ratings(path)
    assert [each.name for each in tmp_path.iterdir()] == ["ml.zip"]


def test_files_at_the_top_of_a_zip_are_found_too(tmp_path):
    assert len(ct.load_ratings(as_zip(layout("100K"), tmp_path, top=""))) == 3


def test_a_ratings_dat_with_a_header_or_times_below_0(tmp_path):
    (tmp_path / "ratings.dat").write_text("1::2::3::-4\n")
    assert ct.load_ratings(tmp_path / "ratings.dat").times.tolist() == [-4]
    (tmp_path / "ratings.dat").write_text("UserID::MovieID::Rating::Timestamp\n1::2::3::4\n")
    with pytest.raises(ValueError, match=r"begins with 'UserID::.*has no header: remove this line"):
        ct.load_ratings(tmp_path)


@pytest.mark.parametrize(
    "names", [("a/ratings.csv", "b/ratings.csv"), ("ratings.csv", "reviews.csv"), ("ratings.csv", "ratings.csv")]
)
def test_several_tables_in_a_zip_or_a_folder_are_listed(tmp_path, names):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "ml.zip", "w") as packed:
        warnings.simplefilter("ignore")  # of two entries with one name
        for name in names:
            packed.writestr(name, "userId,movieId,rating,timestamp\n1,1,3,5\n2,1,4,5\n")
            (tmp_path / Path(name).name).write_text("")
    with pytest.raises(ValueError, match=rf"ml\.zip holds several tables of ratings, .*{names[0]}"):
        ct.load_ratings(tmp_path / "ml.zip")
    if "reviews.csv" in names:
        listed = r"holds several tables of ratings, \['reviews.csv', 'ratings.csv'\]: give the path of the one"
        with pytest.raises(ValueError, match=listed):
            ct.load_ratings(tmp_path)


def test_a_part_without_films_has_ids_for_titles(tmp_path):
    (tmp_path / "u1.base").write_bytes(layout("100K")["u.data"])
    assert ct.load_ratings(tmp_path / "u1.base").titles is None


@pytest.mark.parametrize("name", ["100K", "1M"])
@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((9, 5, "x", 1), r"1 values of 'rating' are not finite numbers, the first is 'x' in data row 2"),
        ((9, "", 3, 1), r"'movieId' .*'' in data row 2"),
        ((9, 5, 6, 1), "outside the scale 1 to 5"),
    ],
)
def test_a_wrong_cell_is_named_with_its_row(tmp_path, name, row, words):
    with pytest.raises(ValueError, match=words):
        ct.load_ratings(as_zip(layout(name, [ROWS[0], row]), tmp_path))


def test_a_row_with_something_between_two_colons_is_refused(tmp_path):
    files = layout("1M")
    files["ratings.dat"] += b"7:1:5:0:3::978300760\n"
    with pytest.raises(ValueError, match=r"ratings\.dat"):
        ct.load_ratings(as_zip(files, tmp_path))


def test_a_zip_that_unpacks_to_too_much_is_left(tmp_path):
    path = as_zip(layout("1M") | {"ratings.dat": b"7::1::5::978300760\n" * 2**16}, tmp_path)
    with (
        zipfile.ZipFile(path) as packed,
        pytest.raises(ValueError, match=r"ratings\.dat unpacks to more than 1 MB"),
        readers.opened(zipfile.Path(packed) / "ml-1m" / "ratings.dat", limit=2**20),
    ):
        pytest.fail("opened")


def test_a_damaged_member_and_a_cut_zip_are_named(tmp_path):
    path = as_zip(layout("1M"), tmp_path)
    whole = path.read_bytes()
    at = whole.index(b"ratings.dat") + len(b"ratings.dat") + 2
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    with pytest.raises(ValueError, match=r"ratings\.dat is cut off or damaged"):
        ct.load_ratings(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"ml\.zip is a zip .*perhaps cut off"):
        ct.load_ratings(path)


def test_a_zip_with_a_password_is_refused(tmp_path):
    path = as_zip(layout("1M"), tmp_path)
    data = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(mark, at + 4)
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"ratings\.dat is locked by a password: unpack it"):
        ct.load_ratings(path)


@pytest.mark.parametrize(("blank", "score"), [("", ""), ("  ", ""), ("", " "), (" ", " ")])
def test_numbers_are_the_same_whether_pandas_or_we_read_them(tmp_path, blank, score):
    quick = "userId,movieId,rating,timestamp\n1,9007199254740993,0.5,3\n2,5,4.25,4\n3,5,,4\n"
    slow = quick.replace("1,9007", f"{blank}1,9007").replace("3,5,,", f"3,5,{score},")
    (tmp_path / "quick.csv").write_text(quick)
    (tmp_path / "slow.csv").write_text(slow)
    one, two = ct.load_ratings(tmp_path / "quick.csv"), ct.load_ratings(tmp_path / "slow.csv")
    assert one.fingerprint == two.fingerprint
    assert one.dropped == two.dropped == {"no score": 1}


@pytest.mark.parametrize("text", ["inf", "nan", "1e999", "-inf", "1_0"])
def test_what_pandas_takes_for_a_number_and_we_do_not_is_refused(tmp_path, text):
    (tmp_path / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n1,5,3,3\n2,5,{text},4\n")
    with pytest.raises(ValueError, match=rf"not finite numbers, the first is '{text}' in data row 2"):
        ct.load_ratings(tmp_path)


@pytest.mark.slow
def test_a_million_ratings_are_read_without_going_through_text(tmp_path, monkeypatch):
    n_users, n_items, n = 6040, 3706, 1_000_209
    at = np.random.default_rng(0).permutation(n_users * n_items)[:n]
    rows = zip(
        (at // n_items + 1).tolist(), (at % n_items + 1).tolist(), (at % 5 + 1).tolist(), at.tolist(), strict=True
    )
    (tmp_path / "ratings.dat").write_text(
        "".join(f"{user}::{item}::{score}::{time}\n" for user, item, score, time in rows)
    )
    monkeypatch.setattr(readers, "numbers_of", lambda *_: pytest.fail("read as text"))
    ratings = ct.load_ratings(tmp_path / "ratings.dat")
    assert (len(ratings), ratings.shape) == (n, (n_users, n_items))


# ---- The page about it ----


def test_the_page_on_your_data_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    at = rng.permutation(400)[:200]
    shop = pd.DataFrame({"customer": at // 20, "product": at % 20, "stars": rng.integers(1, 6, 200)})
    shop = shop.assign(date="2024-05-31", name=[f"Product {number}" for number in at % 20])
    shop.to_csv(tmp_path / "shop.csv", index=False)
    plain = shop[["customer", "product", "stars"]]
    plain.iloc[:150].to_csv(tmp_path / "train.csv", index=False)
    plain.iloc[150:].to_csv(tmp_path / "test.csv", index=False)
    goods = {"sku": range(20), "kind": ["tea", "oil"] * 10, "colours": ["red|blue", ""] * 10, "price": range(20)}
    pd.DataFrame(goods).to_csv(tmp_path / "products.csv", index=False)
    pd.DataFrame({"customer": [0, 999], "product": [1, 2], "stars": [5, 4]}).to_csv(tmp_path / "today.csv", index=False)
    letterboxd = "Date,Name,Year,Letterboxd URI,Rating\n2024-05-31,Toy Story,1995,x,5\n2024-05-31,Unknown,1995,x,5\n"
    (tmp_path / "ratings.csv").write_text(letterboxd)
    films = ct.Ratings(
        [1, 2], [1, 2], [0, 1, 1], [0, 0, 1], [4, 5, 1], (0.5, 5.0), titles=["Toy Story (1995)", "Jaws (1975)"]
    )
    monkeypatch.setattr(ct, "fetch", lambda name: films)
    monkeypatch.chdir(tmp_path)
    page = (Path(ct.__file__).parent / "docs" / "YOUR_DATA.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(compile(block, "YOUR_DATA.md", "exec"), names)
    assert len(names["ratings"]) == 200
    assert names["test"].same_universe(names["train"])
    assert names["own"].ratings == {1: 5.0}
    assert [names["model"].ratings_.user_id(who) for who in (999, 1001)] == [999, 1001]
    assert set(pd.read_csv("lists.csv")["user_id"]) >= {999, 1001}
    assert "Unknown (1995)" in capsys.readouterr().out


def test_times_of_a_frame_are_numbers_or_dates_as_they_are():
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 1], "rating": [3, 4]})
    assert ct.load_table(frame.assign(time=[300, 7])).times.tolist() == [300, 7]
    days = [datetime.date(2024, 5, 31), datetime.date(2020, 1, 2)]
    expected = np.array(["2024-05-31", "2020-01-02"], dtype="datetime64[ns]")
    assert ct.load_table(frame.assign(time=days)).times.tolist() == expected.tolist()


def test_purchases_without_ratings_are_counted(load):
    text = "Customer,SKU,date\nann,x,3\nbob,x,1\nann,x,9\nann,y,2\n"
    ratings = load(text, told={}, rating=False)
    assert cells(ratings) == {("ann", "x"): 2.0, ("bob", "x"): 1.0, ("ann", "y"): 1.0}
    assert ratings.scale == (0.0, 2.0)
    assert sorted(ratings.times.tolist()) == [1, 2, 9]  # the last purchase
    assert "no ratings: rows of a user and an item are counted, 1 to 2" in repr(ratings)


def test_without_a_rating_it_is_said_what_purchases_need(load):
    with pytest.raises(ValueError, match="Where a row is a purchase or a view without a rating, pass rating=False"):
        load("Customer,SKU\nann,x\n", told={})
    with pytest.raises(ValueError, match="user must be the name of a column, got False; it cannot be left out"):
        load("Customer,SKU\nann,x\n", told={}, user=False)


def test_a_list_among_whole_numbers_is_nobodys_id():
    frame = pd.DataFrame({"user": [1, [2], 3], "item": [1, 2, 3], "rating": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match=r"user: column 'user' .* must hold numbers, texts or dates, got list such as"):
        ct.load_table(frame, "user", "item", "rating", scale=(1, 5))
