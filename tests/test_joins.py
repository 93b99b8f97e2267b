"""Tables of ratings looked up, cut, joined and split, each beside a plain twin on small random tables or by hand."""

import datetime
import itertools
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import content_table as ct
from content_table_parts import ratings as parts

NO = np.nan


def made(seed, m=5, n=6, known=14, **options):
    """A random table; ids, titles, names, times and a context that all tell their owner."""
    rng = np.random.default_rng(seed)
    rows, cols = np.divmod(rng.permutation(m * n)[:known], n)
    users, items = rng.choice(50, m, replace=False) + 100, rng.choice(50, n, replace=False) + 200
    fields = {
        "times": rng.integers(0, 9, known),
        "titles": [f"Title {item}" for item in items],
        "user_names": [f"viewer {user}" for user in users],
        "context": {"week": rng.integers(0, 5, known), "place": rng.choice(["home", "away"], known)},
    }
    return ct.Ratings(users, items, rows, cols, rng.integers(1, 11, known), **fields | options)


def entries(table):
    """What is known of each rating, by ids, in the order of the table."""
    columns = [table.user_ids[table.rows], table.item_ids[table.cols], table.values]
    columns += [] if table.times is None else [table.times]
    columns += [table.context[name] for name in sorted(table.context)]
    return list(zip(*(column.tolist() for column in columns), strict=True))


# ---- The table itself ----


@pytest.mark.parametrize(
    ("scale", "ends"), [((1, 5), (1.0, 5.0)), ([np.int8(0), np.float32(1)], (0.0, 1.0)), ((-2.5, -1), (-2.5, -1.0))]
)
def test_the_ends_of_a_scale_are_floats(scale, ends):
    found = parts.scale_ends(scale)
    assert found == ends
    assert {*map(type, found)} == {float}


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ((5, 5), "needs a low end below its high end"),
        ((1, NO), "needs a low end below its high end"),
        ((-1e308, 1e308), "needs finite ends, not too far apart"),
        ((1, np.inf), "needs finite ends"),
        ((1, 2, 3), "is two numbers"),
        (("1", 5), "is two numbers"),
        ((1, None), "is two numbers"),
    ],
)
def test_a_scale_has_a_low_and_a_high_end(scale, words):
    with pytest.raises(ValueError, match=f"the scale {words}"):
        parts.scale_ends(scale)


def test_ratings_at_both_ends_of_the_scale_belong_to_it():
    assert ct.Ratings([1], [1, 2], [0, 0], [0, 1], [2, 4], scale=(2, 4)).values.tolist() == [2, 4]
    for value in (1.99, 4.01):
        with pytest.raises(
            ValueError, match=f"1 ratings lie outside the scale 2 to 4, the first is {value} by user 1, "
        ):
            ct.Ratings([1], [1, 2, 3], [0] * 3, [0, 1, 2], [2, value, 4], scale=(2, 4))
    with pytest.raises(ValueError, match="2 ratings lie outside the scale 2 to 4, the first is 1 by user 1, item 2;"):
        ct.Ratings([1], [1, 2, 3], [0] * 3, [0, 1, 2], [2, 1, 5], scale=(2, 4))
    with pytest.raises(ValueError, match="2 ratings are NaN or infinite, the first at entry 1"):
        ct.Ratings([1], [1, 2, 3], [0] * 3, [0, 1, 2], [2, NO, np.inf], scale=(2, 4))


def test_what_is_not_told_of_a_table():
    table = ct.Ratings([1], [2], [0], [0], [5])
    assert (table.scale, table.has_seasons, table.density, table.dropped, table.notes) == ((1, 10), False, 1, {}, ())
    assert (table.times, table.titles, table.user_names, table.context) == (None, None, None, {})
    assert ct.Ratings.from_matrix([[5]]).scale == (1, 10)
    with pytest.raises(TypeError, match="has_seasons must be True or False, got 1"):
        replace(table, has_seasons=1)
    with pytest.raises(TypeError, match="dropped must be a dict of reason: number of rows"):
        replace(table, dropped=[])
    with pytest.raises(TypeError, match="notes must be a list of texts"):
        replace(table, notes="one")


def test_positions_beyond_32_bits_stay_what_they_are(monkeypatch):
    table = ct.Ratings([1], [2, 3], [0, 0], [0, 1], [5, 6])
    monkeypatch.setattr(ct.Ratings, "shape", property(lambda _: (1, 2**31 + 1)))
    wide = table._with({"cols": np.array([2**31, 4])})
    assert wide.csr.indices.tolist() == [4, 2**31]
    assert wide.csr.data.tolist() == [6, 5]


def test_repeats_are_counted_and_the_first_by_position_is_named():
    with pytest.raises(ValueError, match="3 cells are given more than once, the first by user 'a', item 8;"):
        ct.Ratings(["a", "b"], [7, 8], [1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0], [1, 2, 3, 4, 5, 6])
    assert len(ct.Ratings([1, 2], [7, 8], [0, 0, 1, 1], [0, 1, 0, 1], [1, 2, 3, 4])) == 4


def test_positions_end_with_the_ids():
    fields = {"user_ids": [1, 2], "item_ids": [1, 2, 3], "values": [5, 6]}
    assert ct.Ratings(rows=[0, 1], cols=[0, 2], **fields).shape == (2, 3)
    for name, bad, words in [("rows", [0, 2], "0..1, got 0..2"), ("cols", [0, 3], "0..2, got 0..3"),
                             ("rows", [-1, 0], "0..1, got -1..0"), ("cols", [2, -1], "0..2, got -1..2")]:  # fmt: skip
        with pytest.raises(ValueError, match=f"{name} must lie in {re.escape(words)}"):
            ct.Ratings(**{"rows": [0, 1], "cols": [0, 1]} | fields | {name: bad})
    with pytest.raises(ValueError, match="context 'week' needs 2 entries, got 1"):
        ct.Ratings(rows=[0, 1], cols=[0, 2], **fields, context={"week": [1]})


def test_a_table_by_rows_and_by_columns_is_sorted_and_locked():
    table = made(0)
    dense = np.zeros(table.shape)
    dense[table.rows, table.cols] = table.values
    for found in (table.csr, table.csc, table.known):
        assert found.has_sorted_indices
        assert np.array_equal(found.toarray(), dense if found is not table.known else dense > 0)
        for array in (found.data, found.indices, found.indptr):
            assert not array.flags.writeable
    assert table.csr.indices.dtype == np.int32
    assert table.density == 14 / 30
    assert table.user_counts.tolist() == (dense > 0).sum(axis=1).tolist()
    assert table.item_counts.tolist() == (dense > 0).sum(axis=0).tolist()


def test_the_fingerprint_is_of_what_a_model_learns_from():
    table = made(1)
    order = np.random.default_rng(0).permutation(len(table))
    assert table.part(order).fingerprint == table.fingerprint
    unchanged = {"titles": None, "user_names": None, "times": None, "has_seasons": True, "notes": ("a",)}
    assert replace(table, **unchanged).fingerprint == table.fingerprint
    week = table.context["week"].copy()
    week[[0, 1]] = week[[0, 1]] + 1
    changes = [
        {"scale": (0, 10)},
        {"user_ids": table.user_ids + 1},
        {"item_ids": table.item_ids + 1},
        {"values": 11 - table.values},
        {"context": {}},
        {"context": table.context | {"week": week}},
        {"context": {"Week" if name == "week" else name: column for name, column in table.context.items()}},
    ]
    prints = {replace(table, **change).fingerprint for change in changes} | {table.fingerprint}
    assert len(prints) == len(changes) + 1
    other_way = dict(reversed(table.context.items()))
    assert replace(table, context=other_way).fingerprint == table.fingerprint


@pytest.mark.parametrize(("option", "column"), [("times", "time"), ("titles", "title"), ("user_names", "name")])
def test_what_a_frame_knows_of_its_rows_comes_from_its_columns(option, column):
    frame = made(0).frame()
    with pytest.raises(TypeError, match=f"from_frame takes {option} from a column, {column}='its name'"):
        ct.Ratings.from_frame(frame, "user_id", "item_id", "rating", **{option: [1]})


def test_a_frame_gives_back_all_that_a_table_knows_of_its_ratings():
    table = made(2)
    named = {"time": "time", "title": "title", "context": ["week", "place"]}
    again = ct.Ratings.from_frame(table.frame(), "user_id", "item_id", "rating", **named)
    assert entries(again) == entries(table)
    assert (
        dict(zip(again.item_ids, again.titles, strict=True)).items()
        <= dict(zip(table.item_ids, table.titles, strict=True)).items()
    )
    assert list(table.frame()) == ["user_id", "item_id", "title", "rating", "time", "week", "place"]
    assert "time" not in replace(table, times=None).frame()


# ---- Looked up ----


def test_the_first_unknown_id_is_named_and_all_are_counted():
    table = ct.Ratings([1, 2], [30, 40], [0], [0], [5])
    with pytest.raises(
        KeyError, match=r"unknown item id 2 \(2 unknown in all\); the table has 2 items, such as 30; it is a"
    ):
        table.item_cols([30, 2, 99])
    with pytest.raises(KeyError, match=r"unknown item id 99 \(2 unknown in all\).* check the id's type and spelling"):
        table.item_cols([99, 30, 2])
    with pytest.raises(KeyError, match=r"unknown user id 30 .*it is an item id, so users and items may be swapped"):
        table.user_rows(30)
    assert table.item_cols(np.array([40, 30])).tolist() == [1, 0]
    assert table.user_rows([]).tolist() == []


def test_a_viewer_is_called_by_id_then_by_name_then_by_a_typed_id():
    table = ct.Ratings([7, 8, 9], [1], [0], [0], [5], user_names=["8", "ann", "ann"])
    assert [table.user_id(key) for key in (8, "8", "ann", "9", " 9 ")] == [8, 7, 8, 9, 9]
    assert [table.user_row(key) for key in (8, "8", "ann", "9")] == [1, 0, 1, 2]
    with pytest.raises(KeyError, match=r"no user has the id or name 'bob'; names look like \['8'\]"):
        table.user_id("bob")
    with pytest.raises(KeyError, match=r"no user has the id or name 'bob'; names look like \[7\]"):
        replace(table, user_names=None).user_id("bob")
    long = ct.Ratings([10**18], [1], [0], [0], [5])
    assert long.user_id("1" + "0" * 18) == 10**18
    with pytest.raises(KeyError, match="no user has the id or name '0"):
        long.user_id("0" + "1" + "0" * 18)  # twenty digits are no id
    for key in ([7], {}, pd.NA):
        for ask in (table.user_id, table.user_row):
            with pytest.raises(TypeError, match="a user is asked for by one id or name"):
                ask(key)
        for ask in (table.item_id, table.title):
            with pytest.raises(TypeError, match="an item is asked for by one id or title"):
                ask(key)


def test_an_id_that_is_text_goes_before_a_title():
    table = ct.Ratings(["b2"], ["a1", "b2"], [0], [0], [5], titles=["b2", "Bear"])
    assert [table.item_id(name) for name in ("a1", "b2", "bear")] == ["a1", "b2", "b2"]
    assert (table.title("a1"), table.title("b2")) == ("b2", "Bear")


def test_a_whole_title_goes_before_a_typed_id_and_that_before_a_part_of_a_title():
    ids, cols = [1, 2, 3, 4], np.zeros(0, int)
    titled = lambda *titles: ct.Ratings([9], ids, cols, cols, np.zeros(0), titles=titles)  # noqa: E731
    assert titled("2", "Two", "3 men", "x").item_id("2") == 1
    assert titled("2", "2", "3 men", "x").item_id("2") == 2  # no title alone
    assert titled("1", "Two", "3 men", "x").item_id("3") == 3
    assert titled("1", "Two", "9 men", "x").item_id("9") == 3
    with pytest.raises(KeyError, match=r"'5' could be any of: 5 men \(3\); 5 oxen \(4\)\. Give more"):
        titled("1", "Two", "5 men", "5 oxen").item_id("5")


def test_found_titles_begin_with_the_text_then_go_by_ratings_then_by_name():
    titles = ["Red sun", "The red", "Red moon", "Blue red", "Red air", "Green"]
    cols = [0, 1, 1, 2, 3, 3, 3, 4]
    table = ct.Ratings(np.arange(4), np.arange(6), [0, 0, 1, 0, 0, 1, 2, 0], cols, np.full(8, 5.0), titles=titles)
    assert table.find_titles("red")["title"].tolist() == ["Red air", "Red moon", "Red sun", "Blue red", "The red"]
    assert table.find_titles("red", 2)["title"].tolist() == ["Red air", "Red moon"]
    assert table.find_titles("red", 2)["match"].tolist() == ["part", "part"]
    assert table.find_titles("the red")["match"].tolist() == ["exact"]
    assert table.find_titles("gren")["match"].tolist() == ["similar"]
    assert table.find_titles("zzz").empty
    assert table.find_titles("!").empty
    with pytest.raises(KeyError, match=r"titles are spelled as in \['Blue red', 'The red', 'Red sun'\]"):
        table.item_id("zzz")
    films = ct.Ratings([1], [1, 2], [0], [0], [5], titles=["Matz (2000)", "Mata, The (1999)"])
    films = films.part([])  # equal in ratings: by title, and not by what else it is called
    assert films.find_titles("mat")["item_id"].tolist() == [2, 1]
    called = ["Heart Attack on Stage", "Shingeki no Kyojin"]  # known as Attack on Titan
    assert ct.Ratings([1], [1, 2], [0], [0], [5], titles=called).find_titles("attack on")["item_id"].tolist() == [2, 1]
    many = ct.Ratings([1], np.arange(12), [0], [0], [5], titles=[f"red {chr(97 + at)}" for at in range(12)])
    assert len(many.find_titles("red")) == 10


def test_works_are_counted_only_where_they_are_at_least_half_of_the_titles():
    halves = ["Noragami", "Noragami 2", "Durarara", "Durarara 2"]
    table = ct.Ratings([1], np.arange(4), [0], [0], [5], titles=halves)
    assert table.series[0] == table.series[1] != table.series[2] == table.series[3]
    fewer = ct.Ratings([1], np.arange(5), [0], [0], [5], titles=[*halves, "Durarara 3"])
    assert len({*fewer.series.tolist()}) == 5
    assert replace(table, titles=None).series.tolist() == [0, 1, 2, 3]
    assert table.works() is None
    assert table.works(True) is table.series
    assert replace(table, has_seasons=True).works() is not None
    assert replace(table, has_seasons=True).works(False) is None
    assert table.seasons(table.series) is table.seasons(table.series)
    assert table.seasons(np.array([0, 0, 0, 1])).place.tolist() == [0, 2, 1, 0]
    with pytest.raises(TypeError, match="works must be an array of whole numbers"):
        table.seasons(np.array([0.0, 0, 0, 1]))
    with pytest.raises(TypeError, match="one_per_work must be True or False, got 'yes'"):
        table.works("yes")
    with pytest.raises(ValueError, match="works needs 4 entries, got 3"):
        table.seasons(np.array([0, 1, 2]))


def test_given_ratings_are_held_to_the_scale_and_each_thing_is_rated_once(table):
    at, values = table.checked_pairs({"Bear": 10, 11: 1, "elk": np.float32(2.5)})
    assert (at.tolist(), values.tolist()) == ([1, 0, 4], [10, 1, 2.5])
    at, values = table.checked_pairs({"bob": 3, 101: 4}, axis=1)
    assert (at.tolist(), values.tolist()) == ([1, 0], [3, 4])
    assert [part.tolist() for part in table.checked_pairs({})] == [[], []]
    for value in (0.99, 10.01, True, "5", None, NO):
        with pytest.raises(ValueError, match=r"a rating is a number from 1 to 10, got .* for 'Bear'; leave"):
            table.checked_pairs({11: 5, "Bear": value})
    with pytest.raises(ValueError, match="1 of 3 ratings repeat another: 'Bear' and 12 are one thing; rate it once"):
        table.checked_pairs({11: 5, "Bear": 4, 12: 4})
    for axis in (2, -1, "0", None):
        with pytest.raises(ValueError, match="axis must be 0 for titles or 1 for viewers, got"):
            table.checked_pairs({11: 5}, axis)
    with pytest.raises(TypeError, match=r"expected \{id or name: rating\}, got list"):
        table.checked_pairs([11])
    assert table.known_pairs({11: 5, "Yak": 4, "bear": 3, 99: 1}) == ({11: 5, "bear": 3}, ["Yak", 99])


# ---- Smaller tables ----


@pytest.mark.parametrize("seed", range(3))
def test_a_restricted_table_has_the_ratings_between_those_who_stay(seed):
    table, rng = made(seed, has_seasons=True), np.random.default_rng(seed)
    users, items = rng.random(5) < 0.6, rng.random(6) < 0.6
    small = table.restrict(users, items)
    kept = [one for one in entries(table) if one[0] in table.user_ids[users] and one[1] in table.item_ids[items]]
    assert entries(small) == kept
    assert small.user_ids.tolist() == table.user_ids[users].tolist()
    assert small.titles.tolist() == [f"Title {item}" for item in small.item_ids]
    assert small.user_names.tolist() == [f"viewer {user}" for user in small.user_ids]
    assert (small.scale, small.has_seasons) == (table.scale, True)
    bare = replace(table, times=None, titles=None, user_names=None, context={}).restrict(users, items)
    assert (bare.times, bare.titles, bare.user_names) == (None, None, None)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("per_user", "per_item"), [(0, 0), (2, 2), (3, 1), (1, 3)])
def test_the_filter_counts_users_and_then_what_is_left_of_items(seed, per_user, per_item):
    table = made(seed)
    cells = entries(table)
    users = {user for user in table.user_ids.tolist() if sum(one[0] == user for one in cells) >= per_user}
    left = [one for one in cells if one[0] in users]
    items = {item for item in table.item_ids.tolist() if sum(one[1] == item for one in left) >= per_item}
    expected = [one for one in left if one[1] in items]
    if not expected:
        with pytest.raises(ValueError, match=f"no rating is left by min_per_user={per_user}, min_per_item={per_item}"):
            table.filter_once(per_user, per_item)
        return
    found = table.filter_once(per_user, per_item)
    assert entries(found) == expected
    assert {*found.user_ids.tolist()} == {one[0] for one in expected}
    assert {*found.item_ids.tolist()} == items
    for name in ("min_per_user", "min_per_item"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number"):
            table.filter_once(**{"min_per_user": 1, "min_per_item": 1} | {name: 1.0})


def test_without_some_titles_only_who_rated_others_stays():
    table = made(3)
    gone = table.item_ids[[1, 4]]
    found = table.without_items(gone)
    assert entries(found) == [one for one in entries(table) if one[1] not in gone]
    assert {*found.user_ids.tolist()} == {one[0] for one in entries(found)}
    assert found.item_ids.tolist() == [item for item in table.item_ids if item not in gone]


def test_a_written_table_is_sorted_by_title_then_viewer(tmp_path):
    table = ct.Ratings([5, 4], [9, 8], [1, 0, 0], [0, 1, 0], [7, 2.5, 10], titles=["B", "A"])
    table.to_csv(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "u_id,a_id,profile,title,score\n5,9,5,B,10\n4,9,4,B,7\n5,8,5,A,2.5\n"
    named = replace(table, user_names=["eve", "dan"])
    named.to_csv(tmp_path / "t.csv")
    assert "4,9,dan,B,7\n" in (tmp_path / "t.csv").read_text()
    for side in ("user_ids", "item_ids"):
        with pytest.raises(ValueError, match="the course's schema has whole-number ids"):
            replace(table, **{side: ["a", "b"]}).to_csv(tmp_path / "t.csv")


# ---- Two tables together ----


def test_two_parts_of_a_table_are_joined_in_order():
    table = made(4)
    first, second = table.part(slice(9, None)), table.part(slice(0, 9))
    joined = first.joined(second)
    assert entries(joined) == entries(first) + entries(second)
    undated = first.joined(replace(second, times=None, context={"week": second.context["week"]}))
    assert undated.times is None
    assert list(undated.context) == ["week"]
    assert replace(first, times=None).joined(second).times is None
    with pytest.raises(ValueError, match="only parts of one table can be joined, with the same users and items"):
        first.joined(made(5))
    with pytest.raises(TypeError, match="context 'week' must be of one kind in both tables"):
        first.joined(replace(second, context={"week": ["a"] * 9}))


@pytest.mark.parametrize("seed", range(5))
def test_newer_ratings_take_the_place_of_older_ones_and_the_others_stay(seed):
    old, new = made(seed, dropped={"repeats": 2}), made(seed + 50, 7, 8, 20)
    joined = old.updated(new)
    replaced = {one[:2] for one in entries(old)} & {one[:2] for one in entries(new)}
    kept = [one for one in entries(old) if one[:2] not in replaced]
    assert entries(joined) == kept + entries(new)
    for name in ("user_ids", "item_ids"):
        before, after = getattr(old, name).tolist(), getattr(new, name).tolist()
        assert getattr(joined, name).tolist() == before + [one for one in after if one not in before]
    assert joined.titles.tolist() == [f"Title {item}" for item in joined.item_ids]
    assert joined.user_names.tolist() == [f"viewer {user}" for user in joined.user_ids]
    count = {"replaced by newer ratings": len(replaced)} if replaced else {}
    assert joined.dropped == {"repeats": 2} | count


def test_an_update_of_the_same_cells_replaces_them_all():
    old = made(0)
    twice = old.updated(replace(old, values=11 - old.values)).updated(old.part([0, 1]))
    assert twice.dropped == {"replaced by newer ratings": 16}
    assert (len(twice), twice.shape) == (14, old.shape)
    assert twice.values.tolist() == [*(11 - old.values[2:]), *old.values[:2]]


def test_titles_of_an_update_come_from_the_side_that_knows_them():
    old, new = ct.Ratings([1], [5, 6], [0], [0], [3]), ct.Ratings([1], [6], [0], [0], [4], titles=["Six"])
    assert old.updated(new).titles is None  # nothing new to be called anything
    more = ct.Ratings([1], [6, 7], [0], [1], [4], titles=["Six", "Seven"])
    assert old.updated(more).titles.tolist() == ["5", "6", "Seven"]
    named = replace(old, titles=["Five", "VI"])
    assert named.updated(more).titles.tolist() == ["Five", "VI", "Seven"]
    assert named.updated(replace(more, titles=None)).titles.tolist() == ["Five", "VI", "7"]
    assert old.updated(replace(more, titles=None)).titles is None


def test_new_ids_are_of_the_kind_of_the_old():
    old = ct.Ratings([1], [5], [0], [0], [3])
    with pytest.raises(
        TypeError, match=r"newer must have item ids like .*, whole numbers such as \[5\], got text such as \['b'\]"
    ):
        old.updated(ct.Ratings([1], ["5", "b"], [0], [1], [4]))
    assert entries(old.updated(ct.Ratings(["1"], ["5"], [0], [0], [4]))) == [(1, 5, 4)]
    with pytest.raises(TypeError, match="newer must have user ids like those of this table, whole numbers"):
        old.updated(ct.Ratings([1.5], [5], [0], [0], [4]))


def test_an_update_without_times_counts_as_given_at_the_last_one():
    old, new = made(0), replace(made(0).part([3, 4]), times=None)
    joined = old.updated(new)
    assert joined.times.tolist() == [*np.delete(old.times, [3, 4]), old.times.max(), old.times.max()]
    note = "newer ratings without a time count as given at the last one"
    assert joined.notes == (note,)
    assert joined.updated(new).notes == (note,)
    assert old.updated(replace(old.part([]), times=None)).notes == ()
    assert replace(old, times=None).updated(old.part([0])).times is None
    empty = old.part([])
    assert empty.updated(new).times.tolist() == [0, 0]
    dated = replace(new, times=np.array(["2024-01-02", "2024-01-03"], "datetime64[ns]"))
    with pytest.raises(TypeError, match="newer must have times as these ratings have, int64, got datetime64"):
        old.updated(dated)
    with pytest.raises(TypeError, match="newer must have times as these ratings have, datetime64"):
        dated.updated(old)


@pytest.mark.parametrize("seed", range(4))
def test_ratings_within_another_table_are_those_of_ids_that_it_has(seed):
    own, other = made(seed, dropped={"repeats": 1}, notes=["mine"]), made(seed + 90, 40, 40, 50, scale=(0, 10))
    known = [one for one in entries(own) if one[0] in other.user_ids and one[1] in other.item_ids]
    strange_users = sum(one[0] not in other.user_ids for one in entries(own))
    strange_items = sum(one[1] not in other.item_ids for one in entries(own))
    found = own.within(other, unknown="skip")
    assert entries(found) == known
    assert found.same_universe(other)
    assert (found.titles.tolist(), found.scale, found.notes) == (other.titles.tolist(), (0, 10), ("mine",))
    counts = {"unknown users": strange_users, "unknown items": strange_items}
    assert found.dropped == {"repeats": 1} | {reason: count for reason, count in counts.items() if count}
    with pytest.raises(KeyError, match=f"{len(own) - len(known)} of 14 ratings are of unknown"):
        own.within(other)
    assert entries(own.within(own)) == entries(own)
    with pytest.raises(ValueError, match=r"unknown must be one of \['error', 'skip'\]"):
        own.within(other, "drop")


def test_ids_meet_as_text_where_one_side_is_text():
    whole, text = np.array([3, 10, 7]), np.array(["7", "3", "x"])
    assert parts.same_ids(whole, text).tolist() == [1, -1, 0]
    assert parts.same_ids(text, whole).tolist() == [2, 0, -1]
    assert parts.same_ids(whole, np.array([7, 8])).tolist() == [-1, -1, 0]
    assert parts.same_ids(text, np.array(["x"])).tolist() == [-1, -1, 0]


def test_another_universe_is_refused_by_the_name_of_the_argument(table, four):
    table.check_universe(table.part([0]), "validation")
    assert not table.same_universe(four)
    assert not table.same_universe(replace(table, item_ids=[1, 2, 3, 4, 5]))
    assert not table.same_universe(replace(table, user_ids=[1, 2, 3, 4, 5, 6]))
    with pytest.raises(ValueError, match="validation must have the users and items of the training ratings"):
        table.check_universe(four, "validation")
    with pytest.raises(TypeError, match="validation must be Ratings, got list"):
        table.check_universe([], "validation")
    with pytest.raises(TypeError, match="other must be Ratings, got int"):
        table.same_universe(5)
    with pytest.raises(TypeError, match="name must be the name of an argument"):
        table.check_universe(table, 5)


# ---- Splits ----


@pytest.mark.parametrize("n_folds", [2, 3, 5, 14])
def test_folds_hold_each_rating_out_once_and_are_alike_in_size(n_folds):
    table = made(6)
    folds = table.split_folds(n_folds, 3)
    assert len(folds) == n_folds
    held = [one for _, test in folds for one in entries(test)]
    assert sorted(held) == sorted(entries(table))
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    for train, test in folds:
        assert [one for one in entries(table) if one not in entries(test)] == entries(train)
    assert [entries(test) for _, test in table.split_folds(n_folds, 3)] == [entries(test) for _, test in folds]
    with pytest.raises(ValueError, match="14 ratings cannot make 15 folds"):
        table.split_folds(15)
    with pytest.raises(ValueError, match="n_folds must be at least 2, got 1"):
        table.split_folds(1)
    assert len(table.split_folds()) == 5


@pytest.mark.parametrize(("share", "held"), [(0.05, 1), (0.1, 1), (0.11, 2), (0.5, 7), (0.9, 13), (0.95, 13)])
def test_a_share_is_rounded_to_ratings(share, held):
    table = made(7)
    train, test = table.split_random(share)
    assert (len(train), len(test)) == (14 - held, held)
    assert sorted(entries(train) + entries(test)) == sorted(entries(table))
    assert len(table.split_random()[1]) == 3  # a fifth


@pytest.mark.parametrize("share", [0, 1, 1.5, "0.5"])
def test_a_share_lies_between_nothing_and_all(share):
    with pytest.raises(ValueError, match=f"test_size is a share between 0 and 1, got {share!r}"):
        made(7).split_random(share)


def test_the_first_seed_is_0():
    table = made(8, times=None)
    for split in (table.split_random, table.split_leave_one_out, table.split_folds):
        own, told = split(), split(random_state=0)
        pairs = zip(own, told, strict=True)
        if split == table.split_folds:
            pairs = ((one[1], other[1]) for one, other in pairs)
        assert all(entries(one) == entries(other) for one, other in pairs)


@pytest.mark.parametrize("share", [0.03, 0.97])
def test_a_share_that_leaves_one_part_empty_is_refused(share):
    with pytest.raises(ValueError, match=f"14 ratings cannot give a test share of {share} and leave some to train on"):
        made(7).split_random(share)


@pytest.mark.parametrize(("train", "validation"), [(0.5, 0.5), (0.7, 0.31), (0, 0.5), (0.5, 0), ("a", 0.1), (0.5, NO)])
def test_shares_of_a_split_by_time_leave_some_for_the_test(train, validation):
    for split in ("split_user_time", "split_global_time"):
        words = f"shares that leave some for the test, got {train!r} and {validation!r}"
        with pytest.raises(ValueError, match=re.escape(words)):
            getattr(made(0), split)(train, validation)


def test_a_sum_of_shares_that_misses_its_mark_by_rounding_cuts_where_it_is_meant():
    # 0.1 + 0.2 is above 0.3 and 0.7 + 0.1 below 0.8: of ten ratings 3 and 8 come before the test part.
    rows, times = np.zeros(10, int), np.arange(10)
    table = ct.Ratings([1], np.arange(10), rows, np.arange(10), np.full(10, 5.0), times=times)
    assert [len(part) for part in table.split_user_time(0.1, 0.2)] == [1, 2, 7]
    assert [len(part) for part in table.split_user_time(0.7, 0.1)] == [7, 1, 2]
    assert [len(part) for part in table.split_global_time(0.5, 0.2)] == [5, 2, 3]
    assert [part.times.tolist() for part in table.split_global_time()] == [[*range(7)], [7], [8, 9]]


def test_a_table_without_ratings_has_parts_without_ratings():
    empty = made(0).part([])
    for split in (empty.split_user_time, empty.split_leave_one_out):
        assert all(len(part) == 0 for part in split())
    assert parts._grouped(np.zeros(0, int), np.zeros(0, int)).tolist() == []


def test_a_seed_or_a_generator_draws_and_nothing_else():
    assert parts.generator(5).random() == np.random.default_rng(5).random()
    own = np.random.default_rng(1)
    assert parts.generator(own) is own
    for seed in (-1, "a", 1.5):
        with pytest.raises(TypeError, match="random_state must be a whole number from 0, a NumPy Generator or None"):
            parts.generator(seed)


# ---- Arrays and columns ----


@pytest.mark.parametrize("longest", [1000, 1001])
@pytest.mark.parametrize("kind", [str, object])
@pytest.mark.parametrize("name", ["user_ids", "titles"])
def test_a_thousand_characters_are_the_most_of_an_id_or_a_title(name, kind, longest):
    given = {name: np.array(["a", "x" * longest], dtype=kind)}
    fields = {"user_ids": [1, 2], "item_ids": [1, 2], "rows": [0], "cols": [0], "values": [5]} | given
    if longest == 1000:
        assert len(getattr(ct.Ratings(**fields), name)[1]) == 1000
    else:
        with pytest.raises(ValueError, match=f"{name} must have at most 1,000 characters each, got 1,001: .*'xxx"):
            ct.Ratings(**fields)


@pytest.mark.parametrize(
    ("given", "found", "kind"),
    [
        (np.array([3, 4], np.int8), [3, 4], "i"),
        (np.array([3, 4], np.uint64), [3, 4], "i"),
        (np.array([3, 2**63 - 1], np.uint64), [3, 2**63 - 1], "i"),
        (np.array([3, 4], np.float32), [3.0, 4.0], "f"),
        (np.array([3, 4], object), [3, 4], "i"),
        (np.array(["a", "b"], object), ["a", "b"], "U"),
        (pd.Series([3, 4], dtype="Int64"), [3, 4], "i"),
        (pd.Series(["a", "b"]), ["a", "b"], "U"),
        ([], [], "i"),
    ],
    ids=str,
)
def test_ids_are_whole_numbers_floats_or_text(given, found, kind):
    ids = parts._ids(given, "ids")
    assert (ids.tolist(), ids.dtype.kind) == (found, kind)
    assert ids.dtype.itemsize == 8 or kind == "U"


def test_points_are_floats_of_what_can_be_one():
    for given in ([1, 2.5], ["1", "2.5"], np.array([1, 2.5], np.float32), np.array(["1", "2.5"], object)):
        assert parts._points(given, "values").tolist() == [1, 2.5]
    assert parts._points([True, False], "values").tolist() == [1, 0]
    assert parts._indices([], "rows").dtype == np.intp
    assert parts._indices(np.array([2**64 - 1], np.uint64), "rows").tolist() == [np.iinfo(np.intp).max]
    with pytest.raises(TypeError, match=r"rows holds positions, whole numbers from 0, got float64"):
        parts._indices([0.0], "rows")


def test_blank_is_what_names_nothing():
    assert parts._is_blank(["", " \t", "a", " a "]).tolist() == [True, True, False, False]
    assert parts._is_blank(["", None, NO, 5, "a", pd.NA, " "]).tolist() == [True, True, True, False, False, True, True]
    assert parts._is_blank([]).tolist() == []


def test_context_has_names_of_its_own_and_one_kind_a_column():
    fields = {"user_ids": [1], "item_ids": [1, 2], "rows": [0, 0], "cols": [0, 1], "values": [5, 6]}
    table = ct.Ratings(**fields, context={"week": [3, 4], "place": ["a", "b"], "hour": [1.5, 2]})
    assert {name: column.tolist() for name, column in table.context.items()} == {
        "week": [3, 4], "place": ["a", "b"], "hour": [1.5, 2.0],
    }  # fmt: skip
    assert not any(column.flags.writeable for column in table.context.values())
    for name in ("user_id", "item_id", "title", "rating", "time", "", 5, None):
        with pytest.raises(ValueError, match=r"context needs names of its own, texts other than .*, got"):
            ct.Ratings(**fields, context={name: [3, 4]})
    with pytest.raises(TypeError, match="context must be a dict of name: one entry per rating"):
        ct.Ratings(**fields, context=[3, 4])
    with pytest.raises(ValueError, match="1 of context 'week' are missing"):
        ct.Ratings(**fields, context={"week": [3, None]})


def test_the_context_of_pairs_is_one_value_or_one_for_each():
    for one in (3, np.int64(3), np.array(3)):
        assert parts.context_column("week", one, 4).tolist() == [3]
    assert parts.context_column("week", "ab", 4).tolist() == ["ab"]
    assert parts.context_column("week", 1.5, 4).tolist() == [1.5]
    for each in ([1, 2, 3], (1, 2, 3), range(1, 4), pd.Series([1, 2, 3])):
        assert parts.context_column("week", each, 3).tolist() == [1, 2, 3]
    assert parts.context_column("week", [7], 3).tolist() == [7]
    for wrong in ([1, 2], [1, 2, 3, 4], []):
        with pytest.raises(ValueError, match="context 'week' must have one value, or one for each of 3 pairs, got"):
            parts.context_column("week", wrong, 3)
    for strange in ({1}, {1: 2}, None):
        with pytest.raises(TypeError, match="context 'week' must be a number or text, or a list of one for each pair"):
            parts.context_column("week", strange, 3)


def test_a_matrix_may_miss_cells_in_every_way():
    full = [[1, 2, 3], [4, 5, 6]]
    gaps = np.array(full, float)
    gaps[0, 1] = NO
    masked = np.ma.masked_array(full, [[False, True, False], [False] * 3])
    frame = pd.DataFrame(full, dtype="Int64")
    frame.iloc[0, 1] = pd.NA
    for matrix in (
        gaps,
        gaps.tolist(),
        masked,
        [*masked],
        [masked[0], full[1]],
        frame,
        frame.astype(object),
        pd.DataFrame(gaps),
    ):
        table = ct.Ratings.from_matrix(matrix)
        assert table.csr.toarray().tolist() == [[1, 0, 3], [4, 5, 6]]
        assert table.user_ids.tolist() == [0, 1]
        assert table.item_ids.tolist() == [0, 1, 2]
    named = ct.Ratings.from_matrix(gaps, scale=(0, 6), titles=["a", "b", "c"])
    assert (named.scale, named.titles.tolist()) == ((0, 6), ["a", "b", "c"])
    for matrix, words in [([1, 2], r"of shape \(2,\)"), (5, r"of shape \(\)"), ([[1j]], "complex numbers"),
                          ([["a"]], "dense table of numbers"), (np.array([["2024"]], "M8[Y]"), "dates or durations"),
                          ([[1], [2, 3]], "dense table of numbers, NaN where")]:  # fmt: skip
        with pytest.raises(ValueError, match=f"from_matrix needs a .*{words}"):
            ct.Ratings.from_matrix(matrix)


def test_entries_are_a_mask_or_positions_from_0():
    table = made(0)
    for chosen in ([13, 0], (13, 0), np.array([13, 0], np.uint8), range(13, -1, -13)):
        assert entries(table.part(chosen)) == [entries(table)[13], entries(table)[0]]
    mask = [at in (0, 13) for at in range(14)]
    assert entries(table.part(mask)) == [entries(table)[0], entries(table)[13]]
    assert entries(table.part(slice(13, 2, -5))) == [entries(table)[at] for at in (13, 8, 3)]
    for wrong in ([0, 14], [-1, 3], [14], [-1]):
        with pytest.raises(ValueError, match=f"entries must lie in 0..13, got {min(wrong)}..{max(wrong)}"):
            table.part(wrong)
    with pytest.raises(ValueError, match="entries has 1 masked entries"):
        table.part(np.ma.masked_array([0, 1], [False, True]))
    for wrong in ([True] * 13, np.array([[0]]), [0.5], ["a"]):
        with pytest.raises(
            ValueError, match="entries must be a mask of 14 True or False, a list of indices or a slice"
        ):
            table.part(wrong)
    for wrong in ([True] * 4, [1] * 5, [[True] * 5]):
        with pytest.raises(ValueError, match=r"keep_users must be a (mask of 5 True or False|list or an array of one)"):
            table.restrict(wrong, [True] * 6)


@pytest.mark.parametrize("block", [1, 2, 3, 100_000])
def test_pairs_are_in_order_if_each_comes_after_the_one_before(block):
    rng = np.random.default_rng(block)
    for _ in range(200):
        pairs = [tuple(pair) for pair in rng.integers(0, 3, (rng.integers(0, 6), 2)).tolist()]
        pairs = sorted(pairs) if rng.random() < 0.7 else pairs
        rows, cols = np.array(pairs, int).reshape(-1, 2).T
        in_order = all(one < other for one, other in itertools.pairwise(pairs))
        assert parts._in_order(rows, cols, block) == in_order
        assert parts._any_twice(rows, cols, 3) == (len({*pairs}) < len(pairs))


def test_pairs_are_apart_where_either_side_differs():
    users, items = pd.Series(list("abca")), pd.Series(list("xyxy"))
    assert not parts.pairs_repeat(users, items)
    assert not parts.pairs_repeat(items, users)
    assert parts.pairs_repeat(pd.Series(list("abcab")), pd.Series(list("xyxyy")))


@pytest.mark.parametrize("column", [[1, 9, 5], [9, 5, 1], [5, 9, 1], [1, 5, 9], ["b", "a"], [2.5, 1, 2.5], [3]])
def test_ids_of_a_column_are_sorted_and_each_row_keeps_its_own(column):
    for given in (pd.Series(column), pd.Series(column, dtype=object), pd.Series(column).astype("category")):
        ids, at = parts._distinct(given)
        assert ids.tolist() == sorted({*column})
        assert ids[at].tolist() == column


def test_columns_are_hashed_only_where_their_values_have_an_order(monkeypatch):
    text, whole = pd.Series(["a", "b"], dtype=object), pd.Series([1, 2])
    mixed = pd.Series([1, "a"], dtype=object)
    monkeypatch.setattr(parts, "TEXT_IS_HASHED_WHOLE", True)
    assert [bool(parts._hashes_as_it_sorts(column)) for column in (text, whole, mixed)] == [True, True, False]
    monkeypatch.setattr(parts, "TEXT_IS_HASHED_WHOLE", False)
    assert [bool(parts._hashes_as_it_sorts(column)) for column in (text, whole, mixed)] == [False, True, False]


def test_the_first_label_of_each_key_is_found_and_whether_it_is_the_only_one():
    rng = np.random.default_rng(0)
    for _ in range(100):
        n = int(rng.integers(1, 4))
        at = rng.integers(0, n, rng.integers(1, 7))
        labels = pd.Series(rng.choice(["a", "b", None, " "], len(at), p=[0.5, 0.1, 0.2, 0.2]), dtype=object)
        of = [[row for row in np.flatnonzero(at == key) if labels[row] in ("a", "b")] for key in range(n)]
        first, only = parts.first_labels(at, n, labels)
        assert first.tolist() == [rows[0] if rows else -1 for rows in of]
        assert only == all(len({labels[row] for row in rows}) <= 1 for rows in of)


def test_a_label_of_two_is_said_with_its_likely_cause():
    frame = pd.DataFrame({"u": [1, 1, 2, 2], "i": [7, 8, 7, 8], "r": 5.0, "t": ["A", "B", "C", "B"]})
    with pytest.raises(ValueError, match=r"i 7 has several values of t: \['A', 'C'\]; the ids or titles are mixed up"):
        ct.Ratings.from_frame(frame, "u", "i", "r", title="t")
    swapped = frame.assign(t=["A", "A", "B", "B"])  # one for each user
    with pytest.raises(ValueError, match=r"i 7 has several values of t: .*; columns 'i' and 'u' look swapped"):
        ct.Ratings.from_frame(swapped, "u", "i", "r", title="t")
    with pytest.raises(ValueError, match=r"u 1 has several values of t: \['A', 'B'\]; the ids or titles are mixed up"):
        ct.Ratings.from_frame(frame.assign(t=["A", "B", "B", "C"]), "u", "i", "r", name="t")


def test_rows_without_a_user_or_an_item_are_counted_and_the_first_is_named():
    frame = pd.DataFrame({"u": [1, NO, 3, NO], "i": [7, 8, None, 8], "r": 5.0}, index=[10, 11, 12, 13])
    with pytest.raises(ValueError, match="3 rows have no user or no item, the first is row 11"):
        ct.Ratings.from_frame(frame, "u", "i", "r")
    some = pd.DataFrame({"u": [1, 2, 3], "i": 7, "r": ["x", 5, "y"]})
    with pytest.raises(ValueError, match="2 values of column 'r' are no numbers, the first is 'x'"):
        ct.Ratings.from_frame(some, "u", "i", "r")
    with pytest.raises(ValueError, match="1 ratings are NaN or infinite, the first at entry 0"):
        ct.Ratings.from_frame(frame[:1].assign(r=NO), "u", "i", "r")


def test_times_have_an_order_and_none_is_missing():
    days = [datetime.datetime(2024, 5, 31), datetime.datetime(2020, 1, 2)]
    assert parts._moments(days).dtype == "datetime64[ns]"
    assert parts._moments([3, 1]).tolist() == [3, 1]
    assert parts._moments(pd.Series([1.5, 2])).tolist() == [1.5, 2]
    for wrong in (["2024", "2020"], [1j, 2], [None, "a"]):
        with pytest.raises(TypeError, match="times must be numbers or dates, got"):
            parts._moments(wrong)
    with pytest.raises(ValueError, match="2 times are missing, the first at entry 1; drop these ratings"):
        parts._moments([1.0, NO, NO])
    with pytest.raises(ValueError, match="1 times are missing, the first at entry 0"):
        parts._moments([pd.NaT, *days])
