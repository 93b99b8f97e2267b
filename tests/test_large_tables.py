"""What makes large tables quick: each shortcut beside the plain way, and what it may not change."""

import datetime
import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import scale_tables
from conftest import random_table

import content_table as ct
from content_table_parts import interrupts, ratings, solvers
from content_table_parts.readers import numbers_of


def made_up(seed, n=200, by_user=False):
    rng = np.random.default_rng(seed)
    cells = rng.permutation(20 * 30)[:n]
    cells = np.sort(cells) if by_user else cells
    scores, times = rng.integers(1, 11, n).astype(float), rng.integers(0, 40, n)
    return ct.Ratings(np.arange(20), np.arange(30), cells // 30, cells % 30, scores, times=times)


# ---- Ids and labels ----

COLUMNS = {
    "numbers": pd.Series([30, -1, 30, 7, 7]),
    "sorted": pd.Series([1, 1, 2, 5, 9]),
    "small": pd.Series([3, 1, 3, 2, 0], dtype=np.uint8),
    "decimals": pd.Series([1.5, -0.5, 1.5, 1e300, 2]),
    "nullable": pd.Series([3, 1, 3, 2, 2], dtype="Int64"),
    "text": pd.Series(["b", "a", "Ä", "b", "aa"]),
    "objects": pd.Series(["b", "a", "Ä", "b", "aa"], dtype=object),
    "zero characters": pd.Series(["a\0b", "a\0c", "a", "a\0b", "b"], dtype=object),
    "categories": pd.Series(pd.Categorical(["b", "a", "b", "c", "a"], categories=["z", "c", "b", "a"])),
    "whole categories": pd.Series(pd.Categorical([3, 1, 3, 2, 2], categories=[9, 3, 2, 1])),
}


@pytest.mark.parametrize("whole", [True, False], ids=["hashed", "sorted"])
@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_ids_are_those_that_sorting_all_rows_gives(monkeypatch, column, whole):
    monkeypatch.setattr(ratings, "TEXT_IS_HASHED_WHOLE", ratings.TEXT_IS_HASHED_WHOLE and whole)
    ids, places = np.unique(column.to_numpy(), return_inverse=True)
    found, at = ratings._distinct(column)
    assert found.dtype.kind in "iufU"
    assert found.tolist() == ids.tolist()
    assert at.tolist() == places.tolist()


def test_a_label_is_found_wherever_it_stands_and_two_are_refused():
    frame = pd.DataFrame({"user": [1, 2, 3, 1], "item": [5, 5, 5, 6], "rating": 3.0, "title": [None, "A", "A", None]})
    assert ct.Ratings.from_frame(frame, "user", "item", "rating", title="title").titles.tolist() == ["A", "6"]
    frame["title"] = [None, "A", "B", None]
    with pytest.raises(ValueError, match=r"item 5 has several values of title: \['A', 'B'\]"):
        ct.Ratings.from_frame(frame, "user", "item", "rating", title="title")


# ---- Repeats ----


@pytest.mark.parametrize("by_user", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_cell_given_twice_is_found_wherever_it_stands(seed, by_user):
    table, rng = made_up(seed, by_user=by_user), np.random.default_rng(seed)
    assert not ratings._any_twice(table.rows, table.cols, table.n_items)
    assert not ratings.pairs_repeat(pd.Series(table.rows), pd.Series(table.cols))
    source, target = rng.integers(0, len(table), 2)
    rows, cols, values = (np.insert(a, target, a[source]) for a in (table.rows, table.cols, table.values))
    assert ratings.pairs_repeat(pd.Series(rows), pd.Series(cols))
    user, item = rows[target], cols[target]
    with pytest.raises(ValueError, match=f"1 cells are given more than once, the first by user {user}, item {item};"):
        ct.Ratings(table.user_ids, table.item_ids, rows, cols, values)


def test_the_fingerprint_is_the_hash_of_sorted_cells():
    table = made_up(3)
    order = np.lexsort((table.cols, table.rows))
    digest = hashlib.sha256(np.array(table.scale).tobytes())
    digest.update(b"".join(json.dumps(ids.tolist()).encode() for ids in (table.user_ids, table.item_ids)))
    digest.update(b"".join(array[order].tobytes() for array in (table.rows, table.cols, table.values)))
    assert table.fingerprint == digest.hexdigest()


# ---- Parts ----


def same(part, table, entries):
    """Whether a part has these entries of the table, in this order, in arrays of its own that nobody may write to."""
    for name in ("rows", "cols", "values", "times"):
        array = getattr(part, name)
        assert np.array_equal(array, getattr(table, name)[entries])
        assert not array.flags.writeable
        assert array.flags.c_contiguous
        assert not np.shares_memory(array, getattr(table, name))
    assert part.same_universe(table)
    return part.dropped == {} and part.notes == ()


def test_a_part_has_the_chosen_entries_each_once():
    table = made_up(0)
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(table))[:50]
    mask = rng.random(len(table)) < 0.3
    for entries in (chosen, mask, slice(None, None, -3), chosen.astype(np.uint16), np.array([], dtype=int)):
        assert same(table.part(entries), table, entries)
    with pytest.raises(ValueError, match="1 cells are given more than once"):
        table.part(np.append(chosen, chosen[7]))


def test_a_table_does_not_change_with_what_it_was_made_from():
    frame = pd.DataFrame({"user": [1, 2], "item": [5, 6], "rating": [3.0, 4.0], "time": [7, 8]})
    columns = {name: frame[name].to_numpy(copy=True) for name in frame}
    given = pd.DataFrame(columns, copy=False)
    table = ct.Ratings.from_frame(given, "user", "item", "rating", time="time")
    for array in columns.values():
        array[:] = 0
    assert (table.values.tolist(), table.times.tolist()) == ([3.0, 4.0], [7, 8])
    assert (table.user_ids.tolist(), table.rows.tolist()) == ([1, 2], [0, 1])


@pytest.mark.parametrize("seed", range(4))
def test_splits_are_those_that_sorting_gives(seed):
    table = made_up(seed)
    n, places = len(table), np.arange(len(table))
    order = np.random.default_rng(5).permutation(n)
    train, test = table.split_random(0.2, 5)
    assert same(train, table, np.sort(order[40:]))
    assert same(test, table, np.sort(order[:40]))
    by_time = np.lexsort((table.times, table.rows))
    rank = np.concatenate([np.arange(count) for count in table.user_counts])
    size = table.user_counts[table.rows[by_time]]
    cuts = (size * 0.7).astype(int), (size * 0.85).astype(int)
    parts = rank < cuts[0], (rank >= cuts[0]) & (rank < cuts[1]), rank >= cuts[1]
    for part, entries in zip(table.split_user_time(), parts, strict=True):
        assert same(part, table, by_time[entries])
    late = np.empty(n, dtype=int)
    late[np.argsort(table.times, kind="stable")] = places
    undated = ct.Ratings(table.user_ids, table.item_ids, table.rows, table.cols, table.values)
    for known, lateness in ((table, late), (undated, np.random.default_rng(5).permutation(n))):
        last = [max(np.flatnonzero(table.rows == row), key=lateness.__getitem__) for row in range(table.n_users)]
        held = np.isin(places, np.array(last)[table.user_counts > 1])
        train, test = known.split_leave_one_out(5)
        assert np.array_equal(test.values, table.values[held])
        assert np.array_equal(train.values, table.values[~held])


# ---- Files ----


def test_texts_as_numbers_are_read_once_each_and_the_first_bad_row_is_named(tmp_path):
    column = pd.Series(["1", " 2.5", "", "2.5 ", "1", " ", "1e2"], index=range(3, 10), name="score")
    values = numbers_of(column, tmp_path / "file.csv")
    assert values.index.tolist() == column.index.tolist()
    assert values.name == "score"
    assert np.array_equal(values, [1, 2.5, np.nan, 2.5, 1, np.nan, 100], equal_nan=True)
    column[5], column[8] = "x", "x"
    with pytest.raises(ValueError, match=r"file.csv: 2 values of 'score' .* the first is 'x' in data row 6"):
        numbers_of(column, tmp_path / "file.csv")


TIMES = {
    "whole": (["3", "-4", " 5"], "i", [3, -4, 5]),
    "decimals later": (["3", "4.5", "5"], "f", [3, 4.5, 5]),
    "beyond 64 bits later": (["3", "4e20", "5"], "f", [3, 4e20, 5]),
    "dates": (["2024-01-02", "2024-01-01", "2024-01-03"], "M", None),
}


@pytest.mark.parametrize(("texts", "kind", "expected"), TIMES.values(), ids=TIMES)
def test_times_are_read_as_numbers_where_they_are_and_ids_stay_as_they_are_written(tmp_path, texts, kind, expected):
    rows = zip(["007", "7", "7"], ["1", " 2 ", "3"], ["1", "2.5", "3"], texts, strict=True)
    (tmp_path / "t.csv").write_text("user,item,rating,time\n" + "".join(",".join(row) + "\n" for row in rows))
    table = ct.load_table(tmp_path / "t.csv")
    assert table.user_ids.tolist() == ["007", "7"]
    assert table.item_ids.tolist() == [1, 2, 3]
    assert table.times.dtype.kind == kind
    days = [datetime.date.fromisoformat(text) for text in texts] if expected is None else expected
    assert (table.times.astype("datetime64[D]") if expected is None else table.times).tolist() == days


@pytest.mark.parametrize(
    ("bad", "message"),
    [("x", "2 values of column 'time' are no numbers or ISO dates, the first is '4' in data row 1"),
     ("", "1 values of column 'time' are no times, but blank, the first is '' in data row 2")],
)  # fmt: skip
def test_times_that_are_none_are_named_as_the_file_has_them(tmp_path, bad, message):
    (tmp_path / "t.csv").write_text(f"user,item,rating,time\n1,2,3,4\n1,3,4,{bad}\n")
    with pytest.raises(ValueError, match=message):
        ct.load_table(tmp_path / "t.csv")


def test_a_header_alone_holds_no_rating(tmp_path):
    (tmp_path / "t.csv").write_text("user,item,rating,time\n")
    with pytest.raises(ValueError, match=r"t\.csv holds no rating with a user and an item \(0 rows\)"):
        ct.load_table(tmp_path / "t.csv")


def test_the_benchmark_asks_pandas_and_us_for_the_same_table(tmp_path, capsys):
    scale_tables.make(tmp_path, 2000)
    by_user, shuffled = (scale_tables.table(scale_tables.read(tmp_path, order)) for order in ("sorted", "shuffled"))
    assert len(by_user) == 2000
    assert by_user.fingerprint == shuffled.fingerprint
    folder, table = ct.load_ratings(tmp_path), ct.load_table(tmp_path / "ratings.csv", scale=(0.5, 5.0))
    assert by_user.fingerprint == folder.fingerprint == table.fingerprint
    assert folder.titles[0] == f"Film {folder.item_ids[0]} (1999)"
    for name in scale_tables.tasks(tmp_path):
        scale_tables.measure(tmp_path, name)
    assert capsys.readouterr().out.count('"seconds"') == len(scale_tables.tasks(tmp_path))


# ---- Item neighbours ----


@pytest.mark.parametrize(
    ("n_items", "together"), [(2_000_001, 1), (2_000_000, 1), (1_000_001, 1), (1_000_000, 2), (9, 3)]
)
def test_pairs_are_picked_from_a_few_rows_at_a_time_of_two_million_cells_or_of_one_row(n_items, together):
    asked = []

    def row_scores(users, wanted):
        assert wanted.shape == (len(users), n_items)
        asked.append([(user, np.flatnonzero(row).tolist()) for user, row in zip(users.tolist(), wanted, strict=True)])
        return 10.0 * users[:, None] + (np.arange(n_items) % 7)

    rows, cols = np.array([4, 2, 4, 9, 2]), np.array([n_items - 1, 0, 3, 8, 5])
    found = ct._pick_from_rows(row_scores, n_items, rows, cols)
    assert found.tolist() == (10.0 * rows + cols % 7).tolist()
    every = [(2, [0, 5]), (4, [3, n_items - 1]), (9, [8])]
    assert asked == [every[start : start + together] for start in range(0, 3, together)]


@pytest.fixture(scope="module")
def wide():
    """More titles than those whose pairs are counted first."""
    return random_table(1, shape=(60, 300), share=0.15)


def test_titles_in_blocks_have_the_neighbours_of_all_at_once(wide, monkeypatch):
    whole = ct.ItemKNN().fit(wide).similarity_
    monkeypatch.setattr(solvers, "PAIR_STEPS", 1000)
    blocks = []
    split = solvers._blocks_of_titles
    monkeypatch.setattr(solvers, "_blocks_of_titles", lambda *tables: blocks.extend(split(*tables)) or blocks)
    parts = ct.ItemKNN().fit(wide).similarity_
    assert len(blocks) > 20
    assert np.concatenate(blocks).tolist() == list(range(300))
    for name in ("indptr", "indices", "data"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


def test_neighbours_that_would_not_fit_are_refused_before_the_work_and_those_that_do_are_not(wide, monkeypatch):
    needed = 16 * ct.ItemKNN().fit(wide).similarity_.nnz
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", needed)
    ct.ItemKNN().fit(wide)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", needed - 1)  # which only counting all of them tells
    with pytest.raises(MemoryError, match="ItemKNN's table of item pairs needs a dense 2 x"):
        ct.ItemKNN().fit(wide)
    monkeypatch.setattr(solvers, "MAX_DENSE_BYTES", needed // 2)
    monkeypatch.setattr(solvers, "_blocks_of_titles", lambda *_: pytest.fail("all titles were begun"))
    with pytest.raises(MemoryError, match="ItemKNN's table of item pairs needs a dense 2 x"):
        ct.ItemKNN().fit(wide)


def test_neighbours_stop_between_blocks_where_time_is_up(wide, monkeypatch):
    monkeypatch.setattr(solvers, "PAIR_STEPS", 1000)
    asked = []

    def up():
        asked.append(1)
        if len(asked) == 10:
            raise interrupts.OutOfTime

    monkeypatch.setattr(solvers, "check_time", up)
    with pytest.raises(interrupts.OutOfTime):
        ct.ItemKNN().fit(wide)
