"""Arguments of tables: what is of the wrong kind, size or value is refused by name, with what was expected and came."""

import datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import content_table as ct
from content_table_parts import settings
from content_table_parts.settings import check_number

NO = np.nan
BIG = 10**30
CELLS = {"rows": [0, 1], "cols": [0, 1], "values": [5, 6]}
FRAME = pd.DataFrame({"u": [1, 2, 2], "i": [10, 10, 20], "r": [5, 6, 7], "t": ["A", "A", "B"]})


def ratings_of(**fields):
    return ct.Ratings(**{"user_ids": [1, 2], "item_ids": [3, 4]} | CELLS | fields)


# ---- Ids ----


@pytest.mark.parametrize("side", ["user_ids", "item_ids"])
@pytest.mark.parametrize("ids", [[1, None], ["a", None], ["a", NO], [1, NO], [pd.NaT, 1], pd.array(["a", pd.NA])])
def test_a_missing_id_is_refused(side, ids):
    with pytest.raises(ValueError, match=f"1 of {side} are missing .*the first at position"):
        ratings_of(**{side: ids})


@pytest.mark.parametrize("axis", ["index", "columns"])
def test_a_missing_label_of_a_matrix_is_refused(axis):
    table = pd.DataFrame([[5, 6], [7, NO]], **{axis: ["a", None]})
    with pytest.raises(ValueError, match=r"1 of (user|item)_ids are missing"):
        ct.Ratings.from_matrix(table)


@pytest.mark.parametrize(
    "ids",
    [
        [True, False],
        [1, "a"],
        [1.5, "a"],
        [(1, 2), (3,)],
        [b"a", b"b"],
        [1j, 2j],
        [datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 2)],
        [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)],
        np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[D]"),
        np.array([1, 2], dtype="timedelta64[s]"),
        [1, np.inf],
    ],
    ids=repr,
)
def test_ids_that_no_file_could_hold_are_refused_when_the_table_is_made(ids):
    with pytest.raises(TypeError, match="user_ids must be whole numbers, finite numbers or text, all of one kind, got"):
        ratings_of(user_ids=ids)


@pytest.mark.parametrize("ids", [[datetime.date(2020, 1, 1)] * 3, pd.to_datetime(["2020", "2021", "2022"]), [True] * 3])
def test_a_column_of_dates_or_truths_holds_no_ids(ids):
    with pytest.raises(TypeError, match="column 'u' must be whole numbers, finite numbers or text"):
        ct.Ratings.from_frame(FRAME.assign(u=ids), "u", "i", "r")


def test_floats_and_objects_that_are_numbers_or_text_stay_what_they_are():
    assert ratings_of(user_ids=[0.5, 1.0]).user_ids.tolist() == [0.5, 1.0]
    assert ratings_of(user_ids=np.array([7, 8], dtype=object)).user_ids.dtype == np.int64
    assert ratings_of(user_ids=np.array(["a", "bc"], dtype=object)).user_ids.tolist() == ["a", "bc"]
    assert ratings_of(user_ids=np.array([200, 201], dtype=np.uint8)).user_ids.tolist() == [200, 201]


@pytest.mark.parametrize("ids", [[1, 2**63], [-1, 2**63], [1, BIG], np.array([1, 2**63], dtype=np.uint64)], ids=repr)
def test_ids_beyond_64_bits_are_refused(ids):
    with pytest.raises(ValueError, match="whole numbers beyond 64 bits"):
        ratings_of(item_ids=ids)
    with pytest.raises(ValueError, match="whole numbers beyond 64 bits"):
        ct.Ratings.from_frame(FRAME.assign(i=[*ids, 2]), "u", "i", "r")


def test_lookups_of_large_and_mixed_ids_are_exact():
    table = ratings_of(user_ids=[2**53, 2**63 - 1])
    assert table.user_rows([2**63 - 1, 2**53]).tolist() == [1, 0]
    for wrong in (2**63, [-1, 2**63], [2**53 + 1, 0.5], BIG):
        with pytest.raises(KeyError, match="unknown user id"):
            table.user_rows(wrong)
    with pytest.raises(KeyError, match="unknown user id 'ann'"):  # not '1': the list is no text
        ratings_of().user_rows([1, "ann"])


def test_a_swap_is_suspected_only_where_the_ids_have_nothing_in_common():
    apart, alike = ratings_of(), ratings_of(item_ids=[2, 3])
    with pytest.raises(KeyError, match=r"unknown item id 1 .*it is a user id, so users and items may be swapped"):
        apart.item_cols(1)
    with pytest.raises(KeyError, match=r"unknown item id 1 .*check the id's type"):
        alike.item_cols(1)


def test_missing_titles_are_shown_by_their_ids():
    assert ratings_of(titles=["Bear", None]).titles.tolist() == ["Bear", "4"]
    assert ratings_of(user_names=np.array([NO, "bob"], dtype=object)).user_names.tolist() == ["1", "bob"]


# ---- Arrays of the constructor ----


@pytest.mark.parametrize("name", ["user_ids", "item_ids", "rows", "cols", "values", "times", "titles", "user_names"])
@pytest.mark.parametrize("given", [5, [[1, 2]], np.ones((2, 1)), {1, 2}], ids=repr)
def test_arrays_have_one_axis(name, given):
    with pytest.raises(ValueError, match=rf"{name} must be a list or an array of one axis, got .* of shape"):
        ratings_of(**{name: given})


@pytest.mark.parametrize(
    "values", [["good", 5], [5, 1j], [[1], [2]], np.array(["2020", "2021"], dtype="datetime64[Y]")]
)
def test_values_are_numbers(values):
    with pytest.raises((TypeError, ValueError), match=r"values must be"):
        ratings_of(values=values)


@pytest.mark.parametrize("name", ["rows", "values", "user_ids"])
def test_masked_entries_are_not_learnt(name):
    with pytest.raises(ValueError, match=f"{name} has 1 masked entries"):
        ratings_of(**{name: np.ma.masked_array([1, 0], [False, True])})


@pytest.mark.parametrize("scale", [5, (5, 1), (1, NO), (1, np.ones(2)), ("1", "5"), (1, 10**400), (), pd.NA])
def test_a_scale_is_two_numbers_in_order(scale, tmp_path):
    with pytest.raises(ValueError, match="the scale"):
        ratings_of(scale=scale)
    with pytest.raises(ValueError, match="the scale"):
        ct.load_ratings(ct.DATA / "100x100.csv", scale=scale)


def test_dates_before_or_after_all_clocks_are_refused():
    with pytest.raises(ValueError, match="dates must lie between the years"):
        ratings_of(times=np.array(["2020-01-01", "9999-01-01"], dtype="datetime64[s]"))


# ---- Tables of other libraries, and matrices ----


class Foreign:
    """A table of another library."""

    def __init__(self, become):
        self.to_pandas = become


def test_a_table_that_can_become_a_pandas_one_is_taken():
    ratings = ct.Ratings.from_frame(Foreign(lambda: FRAME), "u", "i", "r", title="t")
    assert ratings.fingerprint == ct.Ratings.from_frame(FRAME, "u", "i", "r").fingerprint


def fail():
    raise ModuleNotFoundError("pyarrow is required")


@pytest.mark.parametrize("frame", [Foreign(fail), Foreign(lambda: FRAME["u"]), SimpleNamespace(), [[1, 2]], None])
def test_a_table_that_cannot_become_one_is_named_with_its_library(frame):
    kind = {"Foreign": r"test_arguments\.Foreign", "SimpleNamespace": r"types\.SimpleNamespace"}
    name = type(frame).__name__
    with pytest.raises(TypeError, match=rf"needs a pandas DataFrame.*\b{kind.get(name, name)}"):
        ct.Ratings.from_frame(frame, "u", "i", "r")


def test_frames_of_polars_and_arrow_are_taken():
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    expected = ct.Ratings.from_frame(FRAME, "u", "i", "r", title="t")
    for frame in (polars.DataFrame(FRAME.to_dict("list")), arrow.table(FRAME.to_dict("list"))):
        ratings = ct.Ratings.from_frame(frame, "u", "i", "r", title="t")
        assert (ratings.fingerprint, ratings.titles.tolist()) == (expected.fingerprint, expected.titles.tolist())


@pytest.mark.parametrize("column", [["u"], "x", None, np.array(["u"]), slice(0)])
def test_a_column_is_asked_for_by_its_name(column):
    for arguments in ((column, "i", "r"), ("u", "i", column)):
        with pytest.raises(ValueError, match="the table has no column"):
            ct.Ratings.from_frame(FRAME, *arguments)


def test_a_column_that_comes_twice_is_refused():
    twice = pd.concat([FRAME, FRAME[["u"]]], axis=1)
    with pytest.raises(ValueError, match="several columns 'u'"):
        ct.Ratings.from_frame(twice, "u", "i", "r")


@pytest.mark.parametrize("titles", [["10", None, "B"], [None, "A", None], [NO, NO, NO]])
def test_a_title_that_is_known_from_one_row_is_the_title(titles):
    frame = FRAME.assign(t=["A" if title == "10" else title for title in titles])
    known = ct.Ratings.from_frame(frame, "u", "i", "r", title="t").titles.tolist()
    assert known == ["A" if "A" in frame["t"].tolist() else "10", "B" if titles[2] == "B" else "20"]


@pytest.mark.parametrize("column", [["r", "x"], [[1]], [10**400], [1j]], ids=["text", "list", "huge", "complex"])
def test_a_column_of_ratings_holds_numbers(column):
    frame = FRAME.assign(r=pd.Series([5, 6, *column[:1]], dtype=object))
    with pytest.raises(ValueError, match="column 'r'"):
        ct.Ratings.from_frame(frame, "u", "i", "r")


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([5, 6, 7], r"got an array of shape \(3,\)"),
        (5, r"got an array of shape \(\)"),
        (np.ones((1, 1, 1)), r"got an array of shape \(1, 1, 1\)"),
        ([["a"]], "got list .*'a'"),
        ([[1, 2], [3]], "got list"),
        ([[1j]], "got list .*complex"),
        ([[10**400]], "got list"),
        (ct.Ratings([1], [1], [0], [0], [5]), "got Ratings"),
    ],
)
def test_a_matrix_is_a_table_of_numbers(matrix, message):
    with pytest.raises(ValueError, match=f"from_matrix needs a .*{message}"):
        ct.Ratings.from_matrix(matrix)


# ---- Parts and splits ----


@pytest.mark.parametrize("other", ["x", None, 5, pd.DataFrame()])
def test_another_table_is_ratings(table, other):
    kind = type(other).__name__
    asked = [(table.joined, "other"), (table.same_universe, "other")]
    asked.append((lambda given: table.check_universe(given, "also_seen"), "also_seen"))
    for ask, name in asked:
        with pytest.raises(TypeError, match=f"{name} must be Ratings, got {kind}"):
            ask(other)


@pytest.mark.parametrize("entries", [[-1], [99], np.array([2**40])])
def test_entries_of_a_part_lie_in_the_table(table, entries):
    with pytest.raises(ValueError, match=rf"entries must lie in 0\.\.{len(table) - 1}, got"):
        table.part(entries)


@pytest.mark.parametrize(
    "entries", [[True, False], [0.5], ["a"], [[1]], None, 3, [None], np.ones(99, dtype=bool)], ids=repr
)
def test_entries_of_a_part_are_a_mask_indices_or_a_slice(table, entries):
    with pytest.raises(ValueError, match="entries must be a"):
        table.part(entries)


def test_an_entry_given_twice_is_an_error(table):
    with pytest.raises(ValueError, match="given more than once"):
        table.part([1, 1])


@pytest.mark.parametrize(
    "mask", [[True], np.ones(99, dtype=bool), [1, 0, 1, 1, 1, 1], None, "x", np.ones((6, 1), dtype=bool)]
)
def test_masks_of_users_and_items_have_their_lengths(table, mask):
    everyone, everything = (np.ones(n, dtype=bool) for n in table.shape)
    with pytest.raises(ValueError, match="keep_users must be"):
        table.restrict(mask, everything)
    with pytest.raises(ValueError, match="keep_items must be"):
        table.restrict(everyone, mask)


def test_an_item_that_the_table_does_not_have_cannot_be_taken_out(table):
    with pytest.raises(KeyError, match="unknown item id 99"):
        table.without_items([11, 99])


@pytest.mark.parametrize("share", ["0.2", None, [0.2], NO, 1j, True])
def test_shares_are_numbers(table, share):
    with pytest.raises(ValueError, match="test_size is a share between 0 and 1, got"):
        table.split_random(share)
    for split in (table.split_user_time, table.split_global_time):
        for shares in ((share, 0.1), (0.1, share)):
            with pytest.raises(ValueError, match="train and validation are shares"):
                split(*shares)


@pytest.mark.parametrize("seed", ["x", -1, 1.5, [None], object()])
def test_a_random_state_is_a_seed_or_a_generator(table, seed):
    for split in (table.split_random, table.split_folds, table.split_leave_one_out):
        with pytest.raises(TypeError, match="random_state must be a whole number from 0, a NumPy Generator or None"):
            split(random_state=seed)


# ---- Looking up ----


@pytest.mark.parametrize("key", [[1], {}, {1}, np.array([1]), pd.NA], ids=repr)
def test_one_thing_is_asked_for_by_one_id_or_name(table, key):
    for ask in (table.user_id, table.user_row, table.item_id, table.title):
        with pytest.raises(TypeError, match=r"asked for by one id or (name|title), got"):
            ask(key)


@pytest.mark.parametrize("ids", [[[1]], [[1, 2], [3]], [{}], np.ones((2, 2))], ids=repr)
def test_ids_are_asked_for_by_a_list(table, ids):
    for ask in (table.user_rows, table.item_cols):
        with pytest.raises(TypeError, match=r"asked for by one id or a list of ids, got"):
            ask(ids)


@pytest.mark.parametrize("text", ["²", "9" * 5000, "٣"])
def test_strange_digits_are_no_id(table, text):
    for ask in (table.item_id, table.user_id):
        with pytest.raises(KeyError) as caught:
            ask(text)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", [5, None, ["bear"], b"bear"])
def test_titles_are_found_by_text(table, text):
    with pytest.raises(TypeError, match="text must be a title or a part of one, got"):
        table.find_titles(text)


@pytest.mark.parametrize("n", [0, -1, "x", 1.5, NO, None, True, [1]])
def test_a_number_of_titles_is_whole_and_above_0(table, n):
    with pytest.raises(ValueError, match="n must be"):
        table.find_titles("bear", n)


@pytest.mark.parametrize("value", ["5", None, NO, 11, 0, True, 1j, np.complex128(5), [5], 10**400])
def test_a_given_rating_is_a_number_of_the_scale(table, value):
    with pytest.raises(ValueError, match=r"a rating is a number from 1 to 10, got .* for 11"):
        table.checked_pairs({11: value})


# ---- Numbers ----


@pytest.mark.parametrize(
    ("value", "whole", "message"),
    [
        (BIG, True, r"n must be below 2\*\*63, got 10000"),
        pytest.param(10**5000, True, "n must be a whole number, got a int too long to be written", id="huge"),
        (10**400, False, "n must be a finite number, got 1000"),
        (-BIG, True, "n must be at least 0, got -1000"),
        ("x" * 10**6, False, "n must be a finite number, got 'xxx"),
        (NO, True, "n must be a whole number"),
    ],
)
def test_a_number_beyond_all_bounds_is_refused_in_words(value, whole, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_number("n", value, whole=whole)
    assert len(str(caught.value)) < 200


def test_a_large_number_is_a_finite_one():
    check_number("reg", BIG)
    check_number("n", 2**63 - 1, whole=True)


def test_what_is_named_after_something_left_out_reaches_the_function_behind_its_check():
    behind = settings.checked(lambda a, b=1, c=2: (a, b, c), lambda *given: given)
    assert behind(5, c=7) == (5, 1, 7)
    assert behind(5, 6) == (5, 6, 2)
    assert behind(c=7, a=5) == (5, 1, 7)


def test_what_is_shown_in_an_error_is_cut_beyond_a_hundred_characters():
    assert settings.shown("x" * 98) == repr("x" * 98)  # with its quotes a hundred
    assert settings.shown("x" * 99) == "'" + "x" * 59 + "..." + "x" * 19 + "'"
