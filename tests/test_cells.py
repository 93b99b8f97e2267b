"""What the columns and cells of somebody's table are read as: by hand, at the edge of each rule."""

import datetime
import re

import numpy as np
import pandas as pd
import pytest

import content_table as ct
from content_table_parts import tables

NO = np.nan
FRAME = pd.DataFrame({"user": [1, 2, 2], "item": [7, 7, 8], "rating": [5.0, 1.5, 4.0]})


@pytest.fixture
def load(tmp_path):
    """A function that writes a text and reads it by load_table."""

    def read(text, **options):
        (tmp_path / "t.csv").write_text(text)
        return ct.load_table(tmp_path / "t.csv", **options)

    return read


def rated(table):
    """[(user id, item id, rating, ...)] in the order of the table."""
    columns = [table.user_ids[table.rows], table.item_ids[table.cols], table.values]
    columns += [] if table.times is None else [table.times]
    return list(zip(*(column.tolist() for column in columns), strict=True))


# ---- Dialects and headers ----


def test_a_separator_is_one_character_that_no_field_is_quoted_or_ended_by(load):
    for sep in (None, ",", ";", "\t", "#"):
        assert tables.check_dialect(sep, ".", "utf-8") is None
    for sep in ("", ",,", '"', "\r", "\n"):
        with pytest.raises(ValueError, match="sep must be one character"):
            tables.check_dialect(sep, ".", "utf-8")
    with pytest.raises(TypeError, match="sep must be one character or None, got 5"):
        tables.check_dialect(5, ".", "utf-8")
    for decimal in ("", ";", None):
        with pytest.raises(ValueError, match=r"decimal must be one of \['\.', ','\]"):
            tables.check_dialect(",", decimal, "utf-8")
    with pytest.raises(ValueError, match="encoding must be one that Python knows, such as 'latin-1', got 'utf-9'"):
        tables.check_dialect(",", ".", "utf-9")
    with pytest.raises(TypeError, match="encoding must be the name of an encoding, got None"):
        tables.check_dialect(",", ".", None)
    assert rated(load("user#item#rating\n1#2#3\n1#3#4\n", sep="#")) == [(1, 2, 3), (1, 3, 4)]


def test_the_separator_is_what_a_header_has_most_of(tmp_path):
    found = {}
    for header in ("a,b;c;d\n", "a;b,c,d\n", "a\tb\tc,d", '"a;b;c",d\n', "\n\r\na|b\n1,2,3\n", "alone\n", ""):
        (tmp_path / "t.csv").write_text(header)
        found[header] = tables._separator(tmp_path / "t.csv", "utf-8")
    assert list(found.values()) == [";", ",", "\t", ",", "|", ",", ","]
    for length in (40, 60_000):
        (tmp_path / "t.csv").write_text("a,b" + "x" * length + ";c;d\n1;2;3\n")
        assert tables._separator(tmp_path / "t.csv", "utf-8") == ";"
    (tmp_path / "t.csv").write_text("a,b;c\n")
    with pytest.raises(ValueError, match=r"t\.csv may be separated by any of \[',', ';'\]: 'a,b;c'; pass sep="):
        tables._separator(tmp_path / "t.csv", "utf-8")


@pytest.mark.parametrize("surplus", [0, 1])
def test_a_header_has_so_many_fields_at_most(tmp_path, monkeypatch, surplus):
    monkeypatch.setattr(tables, "MAX_COLUMNS", 4)
    (tmp_path / "t.csv").write_text(",".join("abcde"[: 4 + surplus]))
    if surplus:
        with pytest.raises(ValueError, match=r"its first line has more than 4 fields"):
            tables._separator(tmp_path / "t.csv", "utf-8")
    else:
        assert tables._separator(tmp_path / "t.csv", "utf-8") == ","


def test_a_column_is_that_of_the_very_name_else_that_of_its_letters():
    told = lambda name, *columns: tables.column_told("user", name, pd.DataFrame(columns=columns), "the table")  # noqa: E731
    assert told("who", "WHO", "who", "Who ") == "who"
    assert told(" WHO  is", "a", "who IS") == "who IS"
    with pytest.raises(ValueError, match=r"user: the table has no column 'WHO'; it has \['who', 'Who'\]; did you mean"):
        told("WHO", "who", "Who")
    with pytest.raises(ValueError, match=r"has no column 'viewr'; it has .*; did you mean \['viewer'\]\?"):
        told("viewr", "item", "viewer", "rating")
    with pytest.raises(ValueError, match=r"did you mean \['viewer\d', 'viewer\d', 'viewer\d'\]\?"):
        told("viewer", *(f"viewer{at}" for at in range(6)))
    with pytest.raises(ValueError, match=r"has no column 'zzz'; it has \['item', 'viewer'\]\.$"):
        told("zzz", "item", "viewer")


def test_columns_are_found_in_the_order_of_what_they_stand_for():
    told = dict.fromkeys(("user", "item", "rating", "time", "title"))
    frame = pd.DataFrame(columns=["Score", "Movie ID", "uid", "date", "timestamp", "item name"])
    notes = []
    columns = tables.find_columns(told, frame, "t", notes)
    assert list(columns.items()) == [("user", "uid"), ("item", "Movie ID"), ("rating", "Score"), ("title", "item name")]
    assert notes[0] == "taken by name: user='uid', item='Movie ID', rating='Score', title='item name'"
    assert notes[1] == "no time, because several columns may be it: ['date', 'timestamp']"
    notes = ["separated by ';'"]
    tables.find_columns(told, frame, "t", notes)
    assert [note.split()[0] for note in notes] == ["taken", "separated", "no"]
    notes = []
    columns = tables.find_columns(told | {"time": "DATE", "title": False}, frame, "t", notes)
    assert columns == {"user": "uid", "item": "Movie ID", "rating": "Score", "time": "date"}
    assert notes == ["taken by name: user='uid', item='Movie ID', rating='Score'"]
    named = {"user": "uid", "item": "Movie ID", "rating": "Score", "time": False, "title": False}
    notes = []
    assert tables.find_columns(named, frame, "t", notes) == {role: named[role] for role in ("user", "item", "rating")}
    assert notes == []  # nothing was decided
    with pytest.raises(
        ValueError, match=r"rating: in t no column is known as the rating; pass rating= as one of \['uid'"
    ):
        tables.find_columns(told, pd.DataFrame(columns=["uid", "item", "date"]), "t", [])
    with pytest.raises(ValueError, match=r"user: in t several columns may be the user, \['uid', 'user'\]; pass user="):
        tables.find_columns(told, pd.DataFrame(columns=["uid", "user", "item", "score"]), "t", [])
    taken = told | {"item": "user"}  # a column that is told is not found for something else
    assert tables.find_columns(taken, pd.DataFrame(columns=["uid", "user", "score"]), "t", [])["user"] == "uid"
    for strange in (5, True, ["uid"]):
        with pytest.raises(ValueError, match="time must be the name of a column, got"):
            tables.find_columns(told | {"time": strange}, frame, "t", [])
    with pytest.raises(ValueError, match="t: a column may stand for one thing and have one name"):
        tables.find_columns(told | {"time": "uid", "user": "uid"}, frame, "t", [])


# ---- Numbers, ids, times ----


@pytest.mark.parametrize("text", ["1", "+1.5", "-.5", "5.", "1e3", "2E-2", "007"])
def test_a_number_is_read_as_python_reads_it(text):
    assert tables._number(text, ".") == float(text)
    assert tables._number(text.replace(".", ","), ",") == float(text)


@pytest.mark.parametrize("text", ["", "1_0", "inf", "nan", "1,5", "1.5.2", "e3", ".", "0x1", "1 2", "1e", "٣a"])
def test_what_is_no_number_is_none(text):
    assert np.isnan(tables._number(text, "."))
    if text != "1,5":
        assert np.isnan(tables._number(text, ","))
    assert np.isnan(tables._number("1.5", ","))


def test_ids_are_whole_numbers_where_all_are_written_so():
    for texts, found in [
        (["3", "-4", "0"], [3, -4, 0]),
        (["3", "", "5"], [3, None, 5]),
        (["3", "", "x"], ["3", None, "x"]),
        (["3", "05"], ["3", "05"]),
        (["3", "-0"], ["3", "-0"]),
        (["9223372036854775807"], [2**63 - 1]),
        (["9223372036854775808", "1"], ["9223372036854775808", "1"]),
    ]:
        ids = [None if one is None or one is pd.NA else one for one in tables._ids(texts)]
        assert ids == found


def test_a_column_is_read_by_its_distinct_texts_and_keeps_its_rows():
    asked = []
    column = pd.Series(["b", " a", None, "b", "a"], index=[5, 3, 9, 1, 2], dtype=object)
    read = tables._by_value(column, lambda texts: asked.extend(texts) or [text * 2 for text in texts])
    assert asked == ["b", "a", "a"]
    assert read.index.tolist() == [5, 3, 9, 1, 2]
    assert [None if pd.isna(one) else one for one in read] == ["bb", "aa", None, "bb", "aa"]
    whole = tables._by_value(column[[5, 3]], lambda texts: [len(text) for text in texts])
    assert (whole.tolist(), whole.dtype.kind) == ([1, 1], "i")


def test_text_ids_of_a_frame_stay_as_they_are_and_those_of_a_file_are_read(load):
    frame = FRAME.assign(user=["007", " 7", "7"], item=pd.Categorical(["x", "y", "x"]))
    assert ct.load_table(frame).user_ids.tolist() == [" 7", "007", "7"]
    assert ct.load_table(frame).item_ids.tolist() == ["x", "y"]
    assert load("user,item,rating\n 7,x,1\n7 ,y,2\n").user_ids.tolist() == [7]
    assert ct.load_table(FRAME).user_ids.tolist() == [1, 2]


def test_ids_of_a_file_are_texts_where_one_is_written_as_no_number_is(load):
    table = load("user,item,rating,time\n7,1,1,5\n007,2,2,6\n")
    assert (table.user_ids.tolist(), table.item_ids.tolist()) == (["007", "7"], [1, 2])
    assert table.times.tolist() == [5, 6]


def test_categories_and_gaps_are_read_as_what_they_stand_for():
    frame = FRAME.assign(
        rating=["5", None, "4,5"], time=["2024-05-31", "2024-05-30", "2024-05-29"], title=[" A", "A", "B"]
    )
    frame = pd.concat([frame, pd.DataFrame({"user": [1], "item": [8], "rating": "1", "time": "2024-05-28"})])
    for given in (frame, frame.astype({"rating": "category", "time": "category", "title": "category"})):
        table = ct.load_table(given, decimal=",")
        assert table.values.tolist() == [5, 4.5, 1]
        assert table.titles.tolist() == ["A", "B"]
        assert np.argsort(table.times).tolist() == [2, 1, 0]
    with pytest.raises(ValueError, match=r"item: column 'item' of the table must hold .*, got bytes"):
        ct.load_table(FRAME.assign(item=[b"a", None, b"c"]))
    with pytest.raises(ValueError, match="rating: column 'rating' of the table must hold rating points, got date"):
        ct.load_table(FRAME.assign(rating=[datetime.date(2024, 1, 1), None, datetime.date(2024, 1, 2)]))
    nothing = tables._by_value(pd.Series([None, None], dtype=object), lambda texts: np.zeros(len(texts)))
    assert nothing.isna().tolist() == [True, True]


def test_numbers_of_a_shop_are_read_by_the_same_rules():
    column = pd.Series(["1,5", " ", None, "2"], name="price", dtype=object)
    assert np.array_equal(tables.points_from(column, ",", "t"), [1.5, NO, NO, 2], equal_nan=True)
    with pytest.raises(
        ValueError, match=r"t: 1 values of column 'price' .*, the first is '1,5' in data row 1; was decimal=',' "
    ):
        tables.points_from(column, ".", "t")
    with pytest.raises(ValueError, match=r"the first is '2\.5' in data row 2; was decimal='\.' meant"):
        tables.points_from(pd.Series(["1,5", "2.5"], name="price"), ",", "t")
    with pytest.raises(ValueError, match=r"2 values of column 'price' .*, the first is 'x' in data row 2\.$"):
        tables.points_from(pd.Series(["1", "x", "y"], name="price"), ".", "t")
    assert tables.points_from(pd.Series([1, None, 3], dtype="Int64"), ".", "t")[[0, 2]].tolist() == [1, 3]
    with pytest.raises(ValueError, match=r"1 values of column 'price' .*inf.* in data row 2"):
        tables.points_from(pd.Series([1, np.inf], name="price"), ".", "t")
    texts = pd.Series(["5", " 6 ", None], name="id", dtype=object)
    assert [None if pd.isna(one) else one for one in tables.ids_from(texts, True)] == [5, 6, None]
    assert tables.ids_from(texts, False) is texts
    assert tables.ids_from(texts[:2].astype("category"), True).tolist() == [5, 6]
    with pytest.raises(ValueError, match=r"item: column 'id' of the table must hold .*, got list such as \[1\]"):
        tables.ids_from(pd.Series([[1], "2"], name="id"), True)
    with pytest.raises(ValueError, match=r"the first is '1,5' in data row 1; was decimal=',' meant"):
        tables.points_from(pd.Series(["1,5", "x"], name="price"), ".", "t")
    with pytest.raises(ValueError, match=r"the first is 'x' in data row 1\.$"):
        tables.points_from(pd.Series(["x", "1,5"], name="price"), ".", "t")


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([1j, 2j], "complex"),
        ([b"1", b"2"], "bytes"),
        (pd.period_range("2024", periods=2), "period"),
        (pd.interval_range(0, 2), "interval"),
        (pd.to_datetime(["2024", "2025"]), "datetime64"),
        (pd.to_timedelta(["1s", "2s"]), "timedelta64"),
        ([datetime.date(2024, 1, 1)] * 2, "date"),
    ],
    ids=["complex", "bytes", "period", "interval", "datetime", "timedelta", "date"],
)
def test_what_is_no_point_is_refused_by_its_kind(cells, words):
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 1], "rating": cells})
    with pytest.raises(ValueError, match=f"rating: column 'rating' of the table must hold .*, got {words}"):
        ct.load_table(frame)


def test_a_list_in_a_cell_is_named():
    frame = FRAME.assign(item=["a", ["b"], ("c",)])
    with pytest.raises(ValueError, match=r"item: column 'item' of the table must hold .*, got list such as \['b'\]"):
        ct.load_table(frame)


@pytest.mark.parametrize(
    ("texts", "kind", "found"),
    [
        (["3", "-4"], "i", [3, -4]),
        (["3", "4.5"], "f", [3, 4.5]),
        (["3", "1e20"], "f", [3, 1e20]),
        (["2024-05-31", "2020-01-02T03:04:05"], "M", ["2024-05-31", "2020-01-02T03:04:05"]),
        (["2024-05-31", "7"], "M", None),
    ],
)
def test_times_are_numbers_where_all_are_and_else_dates(texts, kind, found):
    times = tables._times(texts)
    assert times.dtype.kind == kind
    if kind == "M":
        assert times[0] == pd.Timestamp("2024-05-31", tz="UTC")
    if found is None:
        return
    if kind == "M":
        assert times.tolist() == [pd.Timestamp(text, tz="UTC") for text in found]
    else:
        assert times.tolist() == found


def test_blank_times_are_counted_and_dates_of_a_frame_are_dates():
    frame = FRAME.assign(time=pd.to_datetime(["2024-05-31", None, None]))
    with pytest.raises(
        ValueError, match=r"the table: 2 values of column 'time' .* blank, the first is NaT in data row 2; leave"
    ):
        ct.load_table(frame)
    assert ct.load_table(frame, time=False).times is None
    texts = FRAME.assign(time=["2024-05-31", "2024-05-30", "2024-06-01"])
    assert ct.load_table(texts).times.dtype == "datetime64[ns]"
    assert np.argsort(ct.load_table(texts).times).tolist() == [1, 0, 2]
    assert ct.load_table(FRAME.assign(time=["30", "4", "5"])).times.tolist() == [30, 4, 5]


# ---- Rows ----

GAPS = pd.DataFrame(
    {"user": [1, NO, 2, 3, 2, NO], "item": ["a", "a", None, "b", "b", "a"], "rating": [5.0, 4, 3, 0, NO, NO]}
)


@pytest.mark.parametrize(
    ("scale", "left", "no_rating"),
    [((1, 5), [(1, "a", 5)], 2), ((0, 5), [(1, "a", 5), (3, "b", 0)], 1), ((-5, 5), [(1, "a", 5), (3, "b", 0)], 1)],
)
def test_rows_that_lack_something_are_left_out_and_counted_once(scale, left, no_rating):
    table = ct.load_table(GAPS, scale=scale)
    assert rated(table) == left
    assert table.dropped == {"no user or no item": 3, "no rating": no_rating}
    with pytest.raises(ValueError, match=r"the table holds no rating with a user and an item \(2 rows\)"):
        ct.load_table(GAPS[1:3], scale=scale)
    assert ct.load_table(FRAME, scale=scale if scale[1] > 4 else None).dropped == {}


TWICE = pd.DataFrame(
    {"user": [1, 1, 2, 1, 2], "item": [7, 8, 7, 7, 7], "rating": [2.0, 5, 1, 4, 3], "time": [30, 10, 5, 20, 5]}
)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"repeats": "last"}, [(1, 7, 2, 30), (1, 8, 5, 10), (2, 7, 3, 5)]),
        ({"repeats": "last", "time": False}, [(1, 8, 5), (1, 7, 4), (2, 7, 3)]),
        ({"repeats": "mean"}, [(1, 7, 3, 30), (1, 8, 5, 10), (2, 7, 2, 5)]),
        ({"repeats": "mean", "time": False}, [(1, 8, 5), (1, 7, 3), (2, 7, 2)]),
    ],
)
def test_one_of_repeated_rows_is_kept_in_its_place(options, left):
    table = ct.load_table(TWICE, **options)
    assert rated(table) == left
    assert table.dropped == {f"repeats, the {options['repeats']} kept": 2}
    assert table.scale == (1, 5)


def test_repeated_rows_are_told_by_the_first_and_its_first_three():
    with pytest.raises(
        ValueError, match=r"4 rows repeat .* user 1 with item 7 in data rows \[1, 4\], rated \[2\.0, 4\.0\]; pass"
    ):
        ct.load_table(TWICE)
    often = pd.concat([FRAME[1:2]] * 5, ignore_index=True)
    with pytest.raises(
        ValueError, match=r"5 rows repeat .* user 2 with item 7 in data rows \[1, 2, 3\], rated \[1\.5, 1"
    ):
        ct.load_table(often, scale=(1, 5))


def test_of_several_titles_the_newest_is_kept_and_the_others_counted():
    frame = pd.DataFrame({
        "user": [1, 2, 3, 1, 2, 3], "item": [7, 7, 7, 8, 8, 9], "rating": [1.0, 2, 3, 4, 5, 1],
        "title": ["Old", "New", "Older", "Tea", None, None], "time": [5, 9, 1, 1, 2, 3],
    })  # fmt: skip
    table = ct.load_table(frame)
    assert dict(zip(table.item_ids.tolist(), table.titles.tolist(), strict=True)) == {7: "New", 8: "Tea", 9: "9"}
    assert table.dropped == {"older names of items, the newest kept": 2}
    by_file = ct.load_table(frame, time=False)
    assert by_file.title(7) == "Older"
    same_moment = ct.load_table(frame.assign(time=4))
    assert same_moment.title(7) == "Older"
    once = ct.load_table(frame.assign(title=["New", "New", None, "Tea", "Tea", None]))
    assert (once.title(7), once.dropped) == ("New", {})


def test_columns_look_swapped_where_each_user_has_one_title_for_several_items():
    frame = pd.DataFrame({"user": [1, 1, 2, 2], "item": [7, 8, 7, 8], "rating": [1.0, 2, 3, 4], "title": list("AABB")})
    with pytest.raises(ValueError, match="the table: every user has one 'title' and items have several, so the columns "
                                         "'user' and 'item' look swapped"):  # fmt: skip
        ct.load_table(frame)
    with pytest.raises(ValueError, match="'user' and 'item' look swapped"):
        ct.load_table(frame[:3])  # one user with several items is enough
    other = ct.load_table(frame.assign(title=["A", "C", "B", "B"]))  # user 1 has two titles
    assert other.titles.tolist() == ["B", "B"]
    alone = ct.load_table(frame[:3].assign(user=[1, 2, 3], item=[7, 7, 8], title=["A", "B", "C"]))  # one item a user
    assert alone.titles.tolist() == ["B", "C"]


def test_a_scale_is_that_of_the_ratings_met_if_they_differ():
    met = ct.load_table(FRAME)
    assert met.scale == (1.5, 5.0)
    assert met.notes[-1] == "the scale is that of the ratings met"
    told = ct.load_table(FRAME, scale=(0, 10))
    assert (told.scale, [note for note in told.notes if "scale" in note]) == ((0, 10), [])
    assert ct.load_table(FRAME, like=ct.load_table(FRAME, scale=(0, 7))).scale == (0, 7)
    with pytest.raises(ValueError, match=re.escape("the table: every rating is 2, so their scale does not show; pass")):
        ct.load_table(FRAME.assign(rating=2.0))


def test_purchases_are_counted_and_stand_where_the_last_one_does():
    frame = pd.DataFrame({"user": [1, 1, 2, 1, 2], "item": [7, 8, 7, 7, 9], "date": [30, 10, 5, 20, 7]})
    table = ct.load_table(frame, rating=False)
    assert rated(table) == [(1, 7, 2, 30), (1, 8, 1, 10), (2, 7, 1, 5), (2, 9, 1, 7)]
    assert (table.scale, table.dropped) == ((0, 2), {})
    assert "no ratings: rows of a user and an item are counted, 1 to 2" in table.notes
    assert rated(ct.load_table(frame, rating=False, time=False)) == [(1, 8, 1), (2, 7, 1), (1, 7, 2), (2, 9, 1)]


# ---- Arrow ----


def test_whole_numbers_of_arrow_stay_whole_beside_missing_ones():
    pyarrow = pytest.importorskip("pyarrow")
    kinds = {name: getattr(pyarrow, name)() for name in ("int8", "int16", "int32", "int64", "uint32", "uint64")}
    table = pyarrow.table({name: pyarrow.array([1, None], kind) for name, kind in kinds.items()})
    frame = tables._from_arrow(table, pyarrow)
    assert {name: str(dtype).lower() for name, dtype in frame.dtypes.items()} == {name: name for name in kinds}
    assert tables._bytes_of(pyarrow.int64()) == 8
    assert tables._bytes_of(pyarrow.int16()) == 2
    assert tables._bytes_of(pyarrow.string()) == 8
    named = pyarrow.table({"__index_level_0__": [1], "a": [2], "__index_level_x__": [3]})
    assert tables._from_arrow(named, pyarrow).columns.tolist() == ["a", "__index_level_x__"]


def test_a_parquet_file_may_be_as_large_as_the_limit(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    FRAME.to_parquet(tmp_path / "t.parquet")
    about = parquet.ParquetFile(tmp_path / "t.parquet").metadata
    size = max(sum(about.row_group(at).total_byte_size for at in range(about.num_row_groups)), 3 * 3 * 8)
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", size)
    assert len(ct.load_table(tmp_path / "t.parquet")) == 3
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", size - 1)
    with pytest.raises(ValueError, match=r"t\.parquet has 3 rows of 3 columns, .* MB or more in memory; the limit is"):
        ct.load_table(tmp_path / "t.parquet")


@pytest.mark.parametrize("alike", [True, False])
def test_the_size_of_a_parquet_file_is_that_of_its_rows_or_of_its_groups(tmp_path, monkeypatch, alike):
    parquet = pytest.importorskip("pyarrow.parquet")
    path, n = tmp_path / "t.parquet", 300
    texts = ["same"] * n if alike else [f"{at:05d}" * 20 for at in range(n)]
    frame = pd.DataFrame({"user": range(n), "item": texts, "rating": 5.0})
    frame.to_parquet(path, row_group_size=n if alike else n // 3, index=False)
    about = parquet.ParquetFile(path).metadata
    groups = sum(about.row_group(at).total_byte_size for at in range(about.num_row_groups))
    assert (groups < 24 * n) == alike  # 8 bytes a cell
    size = 24 * n if alike else groups
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", size)
    assert len(ct.load_table(path, scale=(1, 5))) == n
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", size - 1)
    with pytest.raises(ValueError, match=r"t\.parquet has 300 rows of 3 columns"):
        ct.load_table(path, scale=(1, 5))


# ---- Tables out ----


@pytest.mark.parametrize("n_rows", [1, 3, 4, 8, 9])
@pytest.mark.parametrize("kind", ["csv", "parquet", "CSV"])
def test_a_long_table_is_written_block_by_block(tmp_path, monkeypatch, kind, n_rows):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr(tables, "BLOCK", 4)
    blocks = []

    def frame_of(positions):
        blocks.append(positions.tolist())
        names = [None if at < 4 else f"n{at}" for at in positions.tolist()]  # the first block does not tell their kind
        return pd.DataFrame({"at": positions, "name": np.array(names, dtype=object)})

    path = tmp_path / f"out.{kind}"
    tables.write_frames(path, frame_of, n_rows)
    assert blocks == [list(range(at, min(at + 4, n_rows))) for at in range(0, n_rows, 4)]
    found = pd.read_parquet(path) if kind == "parquet" else pd.read_csv(path)
    assert found["at"].tolist() == list(range(n_rows))
    assert found["name"].tolist()[4:] == [f"n{at}" for at in range(4, n_rows)]
    assert found["name"][:4].isna().all()
    if kind == "csv":
        assert path.read_bytes().startswith(b"at,name\n0,\n")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_long_table_is_a_parquet_or_csv_file(tmp_path):
    for name in ("out.txt", "csv", "out.csv.gz"):
        with pytest.raises(ValueError, match=rf"path must end in \.parquet or \.csv, got '{name}'"):
            tables.write_frames(tmp_path / name, lambda positions: FRAME, 3)
