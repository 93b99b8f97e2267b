"""Ratings: ids and positions, the three schemas, and every way to cut a table in parts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import content_table as ct

NO = np.nan


def cells(ratings):
    """The known cells by id, with their ratings."""
    return dict(
        zip(
            zip(ratings.user_ids[ratings.rows].tolist(), ratings.item_ids[ratings.cols].tolist(), strict=True),
            ratings.values.tolist(),
            strict=True,
        )
    )


def timed(times, rows=None):
    """One rating per given time, each on a title of its own; one viewer unless `rows` says otherwise."""
    rows = np.zeros(len(times), dtype=int) if rows is None else np.asarray(rows)
    n = len(times)
    return ct.Ratings(np.arange(rows.max() + 1), np.arange(n), rows, np.arange(n), np.full(n, 5.0), times=times)


# ---- The table itself ----


@pytest.mark.parametrize("name", ["values", "rows", "cols", "user_ids", "item_ids", "titles", "times", "user_names"])
def test_no_array_can_be_written_to(table, name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(table, name)[0] = getattr(table, name)[1]


def test_no_field_can_be_replaced(table):
    with pytest.raises(AttributeError):
        table.values = np.zeros(3)


def test_changing_the_source_array_does_not_change_the_ratings():
    values = np.array([5.0, 3.0])
    ratings = ct.Ratings([1], [1, 2], [0, 0], [0, 1], values)
    values[0] = 9
    assert ratings.values[0] == 5


def test_size_shape_and_density_count_cells_not_ids(four):
    assert (len(four), four.shape, four.density) == (3, (2, 2), 0.75)
    assert ct.Ratings([], [], [], [], []).density == 0
    assert "3 ratings of 2 users on 2 items" in repr(four)


def test_ids_turn_into_positions_and_back(table):
    assert table.user_rows([103, 101]).tolist() == [2, 0]
    assert table.item_cols(15).tolist() == [4]
    assert table.user_ids[table.user_rows(106)].tolist() == [106]


def test_csr_and_csc_hold_the_same_table(table):
    dense = np.zeros(table.shape)
    dense[table.rows, table.cols] = table.values
    assert np.array_equal(table.csr.toarray(), dense)
    assert np.array_equal(table.csc.toarray(), dense)
    assert table.csr is table.csr  # made once


def test_the_order_of_the_file_is_kept_and_csr_sorts_it():
    ratings = ct.Ratings([1, 2], [1, 2], [1, 0, 0], [1, 1, 0], [9, 8, 7])
    assert ratings.values.tolist() == [9, 8, 7]
    assert ratings.csr.data.tolist() == [7, 8, 9]


def test_a_cell_given_twice_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="user 2, item 30; a sparse matrix would silently add"):
        ct.Ratings([1, 2], [30, 40], [1, 0, 1], [0, 0, 0], [5, 5, 6])


def test_ids_must_be_unique():
    with pytest.raises(ValueError, match="not unique: 3 ids, 2 distinct"):
        ct.Ratings([1, 2, 2], [1], [0], [0], [5])


@pytest.mark.parametrize("name", ["cols", "times", "titles", "user_names"])
def test_lengths_that_differ_are_an_error(name):
    fields = {"user_ids": [1, 2], "item_ids": [1, 2], "rows": [0, 1], "cols": [0, 1], "values": [5, 6]}
    with pytest.raises(ValueError, match=f"{name} needs 2 entries, got 3"):
        ct.Ratings(**fields | {name: [0, 1, 1]})


def test_from_matrix_reads_nan_as_missing(four):
    assert cells(four) == {(0, 0): 5, (0, 1): 3, (1, 0): 4}


def test_from_frame_sorts_ids_and_keeps_the_order_of_rows():
    frame = pd.DataFrame({"who": [9, 4, 9], "what": [2, 2, 1], "mark": [5, 6, 7], "name": ["B", "B", "A"]})
    ratings = ct.Ratings.from_frame(frame, "who", "what", "mark", title="name")
    assert ratings.user_ids.tolist() == [4, 9]
    assert ratings.values.tolist() == [5, 6, 7]
    assert ratings.titles.tolist() == ["A", "B"]
    assert cells(ratings) == {(9, 2): 5, (4, 2): 6, (9, 1): 7}


def test_the_frame_gives_back_ids_titles_and_ratings(table):
    frame = table.frame()
    assert list(frame) == ["user_id", "item_id", "title", "rating", "time"]
    again = ct.Ratings.from_frame(frame, "user_id", "item_id", "rating", title="title")
    assert cells(again) == cells(table)
    assert again.titles.tolist() == table.titles.tolist()


def test_the_same_data_in_another_order_has_the_same_fingerprint(table):
    assert table.part(np.arange(len(table))[::-1]).fingerprint == table.fingerprint
    assert table.part(slice(1, None)).fingerprint != table.fingerprint


@pytest.mark.parametrize("change", [{"values": [5, 7]}, {"user_ids": [1, 3]}, {"item_ids": [9]}])
def test_other_data_has_another_fingerprint(change):
    fields = {"user_ids": [1, 2], "item_ids": [1], "rows": [0, 1], "cols": [0, 0], "values": [5, 6]}
    assert ct.Ratings(**fields).fingerprint != ct.Ratings(**fields | change).fingerprint


def test_a_scale_given_as_a_list_is_a_pair(table):
    assert replace(table, scale=[1, 10]).scale == (1, 10)


def test_another_scale_is_another_fingerprint(table):
    assert replace(table, scale=(1, 20)).fingerprint != table.fingerprint == replace(table, scale=(1, 10)).fingerprint


def test_counts_of_users_and_items_leave_out_nobody(with_cold):
    assert with_cold.user_counts.tolist() == np.asarray(with_cold.known.sum(axis=1)).tolist()
    assert with_cold.item_counts.tolist() == np.asarray(with_cold.known.sum(axis=0)).tolist()
    assert (with_cold.user_counts[5], with_cold.item_counts[2]) == (0, 0)


def test_a_digit_that_moves_from_a_title_id_to_a_viewer_id_changes_the_fingerprint():
    one = ct.Ratings([1, 2], [34], [0, 1], [0, 0], [5, 6])
    other = ct.Ratings([1, 23], [4], [0, 1], [0, 0], [5, 6])
    assert one.fingerprint != other.fingerprint


def test_a_viewer_is_found_by_id_by_name_and_by_an_id_typed_as_text(table):
    assert [table.user_id(key) for key in (104, "dee", "104")] == [104, 104, 104]
    with pytest.raises(KeyError, match="no user has the id or name 'zoe'; names look like"):
        table.user_id("zoe")


def test_titles_follow_their_ids_and_ids_stand_in_for_missing_titles(table, four):
    assert (table.title(13), four.title(1)) == ("Cat", "1")


# ---- Smaller tables ----


def test_a_part_keeps_the_whole_universe(table):
    part = table.part([0, 5])
    assert part.shape == table.shape
    assert part.titles.tolist() == table.titles.tolist()
    assert part.values.tolist() == table.values[[0, 5]].tolist()
    assert part.times.tolist() == table.times[[0, 5]].tolist()


def test_restrict_counts_positions_anew_and_moves_labels_along(table):
    small = table.restrict(np.isin(table.user_ids, [102, 106]), np.isin(table.item_ids, [13, 14]))
    assert small.user_names.tolist() == ["bob", "fay"]
    assert small.titles.tolist() == ["Cat", "Dog"]
    assert cells(small) == {(102, 13): 5, (102, 14): 4, (106, 13): 2, (106, 14): 8}
    original = dict(zip(zip(table.rows, table.cols, strict=True), table.times, strict=True))
    assert small.times.tolist() == [original[1, 2], original[1, 3], original[5, 2], original[5, 3]]


def test_the_filter_is_one_pass_so_a_viewer_may_keep_a_single_rating():
    # Titles a b c d; users with 3 ratings or more pass: all three. Of their ratings a has 3, b 2, c 2, d 2.
    # With at least 3 per title only a stays, and every viewer is left with one rating although 3 were asked for.
    ratings = ct.Ratings.from_matrix([[5, 5, 5, NO], [6, 6, NO, 6], [7, NO, 7, 7]])
    kept = ratings.filter_once(min_per_user=3, min_per_item=3)
    assert cells(kept) == {(0, 0): 5, (1, 0): 6, (2, 0): 7}


def test_the_filter_counts_titles_among_the_viewers_who_passed():
    # User 2 has one rating and leaves first; title 1 then keeps one rating and leaves too, and so does user 1.
    ratings = ct.Ratings.from_matrix([[5, NO, 5], [NO, 6, 6], [NO, 7, NO]])
    kept = ratings.filter_once(min_per_user=2, min_per_item=2)
    assert cells(kept) == {(0, 2): 5, (1, 2): 6}
    full = ct.Ratings.from_matrix([[5, NO, 5], [5, 6, NO], [NO, 7, 7]]).filter_once(2, 2)
    assert full.shape == (3, 3)


def test_a_viewer_with_too_few_ratings_leaves_even_if_the_title_stays():
    kept = ct.Ratings.from_matrix([[5, 5], [6, 6], [7, NO]]).filter_once(min_per_user=2, min_per_item=2)
    assert cells(kept) == {(0, 0): 5, (0, 1): 5, (1, 0): 6, (1, 1): 6}


def test_a_viewer_all_of_whose_titles_leave_leaves_with_them():
    # Viewer 2 has two ratings and passes, but nobody else rated these titles, so both are gone.
    kept = ct.Ratings.from_matrix([[5, 5, NO, NO], [6, 6, NO, NO], [NO, NO, 7, 7]]).filter_once(2, 2)
    assert (kept.user_ids.tolist(), kept.item_ids.tolist()) == ([0, 1], [0, 1])
    assert (kept.user_counts > 0).all()


def test_a_filter_that_leaves_nothing_says_which_numbers_to_lower(four):
    with pytest.raises(ValueError, match="min_per_user=9, min_per_item=1; lower them"):
        four.filter_once(9, 1)


def test_viewers_who_rated_only_the_removed_titles_leave_with_them():
    ratings = ct.Ratings.from_matrix([[5, NO], [6, 6], [NO, 7]])
    kept = ratings.without_items([0])
    assert cells(kept) == {(1, 1): 6, (2, 1): 7}
    assert kept.user_ids.tolist() == [1, 2]


# ---- Writing ----


def test_a_written_table_reads_back_the_same(table, tmp_path):
    table.to_csv(tmp_path / "t.csv")
    again = ct.load_ratings(tmp_path / "t.csv")
    assert again.fingerprint == table.fingerprint
    assert again.titles.tolist() == table.titles.tolist()
    assert again.user_names.tolist() == table.user_names.tolist()


@pytest.mark.parametrize("title", ["NA", "null", 'Say "Hi", Ann', " spaced ", "007"])
def test_awkward_titles_survive_writing_and_reading(title, tmp_path):
    ct.Ratings([1], [5], [0], [0], [7], titles=[title]).to_csv(tmp_path / "t.csv")
    assert ct.load_ratings(tmp_path / "t.csv").titles.tolist() == [title]


def test_what_has_a_blank_title_or_name_is_called_by_its_id(tmp_path):
    for blanks in (["", " "], np.array(["", "\u3000"]), [None, "\t"]):
        table = ct.Ratings([1, 2], [5, 6], [0, 1], [0, 1], [7, 8], titles=blanks, user_names=blanks)
        assert table.titles.tolist() == ["5", "6"]
        assert table.user_names.tolist() == ["1", "2"]
    frame = pd.DataFrame({"u": [1, 2, 3], "i": [5, 5, 6], "r": [7, 8, 9], "t": ["", "B", " "]})
    assert ct.Ratings.from_frame(frame, "u", "i", "r", title="t").titles.tolist() == ["B", "6"]
    with pytest.raises(ValueError, match=r"has several values of t: \['A', 'B'\]"):
        ct.Ratings.from_frame(frame.assign(i=5, t=["A", "", "B"]), "u", "i", "r", title="t")


def test_fractions_of_a_point_survive_writing_and_reading(tmp_path):
    ct.Ratings([1], [5], [0], [0], [7.123456789]).to_csv(tmp_path / "t.csv")
    assert ct.load_ratings(tmp_path / "t.csv").values.tolist() == [7.123456789]


def test_a_failing_write_leaves_the_old_file_and_no_temporary_one(table, tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("the old file")

    def break_off(self, target, **options):
        target.write_text("half of the n")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", break_off)
    with pytest.raises(OSError, match="disk full"):
        table.to_csv(path)
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]
    assert path.read_text() == "the old file"


# ---- The three schemas ----

COURSE = """u_id,a_id,profile,title,score
2,50,bob,Bear,8
1,50,ann,Bear,7
1,60,ann,Cat,0
2,60,bob,Cat,
2,50,bob,Bear,8
1,70,ann,Dog, 9
"""


def test_the_course_schema_drops_blanks_zeros_and_repeats_with_counts(tmp_path):
    (tmp_path / "c.csv").write_text(COURSE)
    ratings = ct.load_ratings(tmp_path / "c.csv")
    assert cells(ratings) == {(2, 50): 8, (1, 50): 7, (1, 70): 9}
    assert ratings.has_seasons
    assert ratings.dropped == {"no score": 2, "repeats": 1}
    assert ratings.scale == (1, 10)
    assert ratings.titles.tolist() == ["Bear", "Dog"]
    assert ratings.user_names.tolist() == ["ann", "bob"]


def test_columns_may_come_in_any_order_and_with_others_between(tmp_path):
    (tmp_path / "c.csv").write_text("score,title,extra,profile,a_id,u_id\n8,Bear,x,bob,50,2\n")
    assert cells(ct.load_ratings(tmp_path / "c.csv")) == {(2, 50): 8}


def test_of_conflicting_scores_the_later_is_kept_only_when_asked(tmp_path):
    # 8, 6, 8 again: the first 8 repeats the last row, and 6 is contradicted by it.
    (tmp_path / "c.csv").write_text(COURSE.replace("1,60,ann,Cat,0", "2,50,bob,Bear,6"))
    ratings = ct.load_ratings(tmp_path / "c.csv", conflicts="last")
    assert cells(ratings)[2, 50] == 8
    assert ratings.dropped == {"no score": 1, "repeats": 1, "conflicts, the later kept": 1}


@pytest.mark.parametrize("as_folder", [True, False])
def test_the_movielens_schema_reads_times_titles_and_half_points(tmp_path, as_folder):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,9,3.5,200\n1,8,0.5,100\n2,9,5.0,150\n")
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n8,"Heat, The (1995)",Crime\n9,Jaws,Horror\n10,Up,\n')
    ratings = ct.load_ratings(tmp_path if as_folder else tmp_path / "ratings.csv")
    assert cells(ratings) == {(1, 9): 3.5, (1, 8): 0.5, (2, 9): 5.0}
    assert ratings.scale == (0.5, 5.0)
    assert ratings.times.tolist() == [200, 100, 150]
    assert ratings.titles.tolist() == ["Heat, The (1995)", "Jaws"]


def test_movielens_ratings_load_without_the_titles_file(tmp_path):
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,9,3.5,200\n")
    assert ct.load_ratings(tmp_path).title(9) == "9"


REVIEWS = """uid,profile,anime_uid,text,score,scores,link
1,zoe,50,"good, really",8,{},x
2,ann,50,ok,0,{},x
3,ann,60,fine,7,{},x
1,zoe,50,"good, really",8,{},x
4,,60,who?,9,{},x
5,ann,,what?,9,{},x
6,zoe,70,unlisted,10,{},x
"""


def test_the_raw_dump_numbers_viewers_by_first_appearance_and_counts_what_it_leaves_out(tmp_path):
    (tmp_path / "reviews.csv").write_text(REVIEWS)
    (tmp_path / "animes.csv").write_text("uid,title,genre\n60,Cat,[]\n50,Bear,[]\n50,Bear,[]\n")
    ratings = ct.load_ratings(tmp_path)
    assert cells(ratings) == {(0, 50): 8, (1, 60): 7, (0, 70): 10}
    assert ratings.scale == (1, 10)
    assert ratings.user_names.tolist() == ["zoe", "ann"]
    assert ratings.titles.tolist() == ["Bear", "Cat", "70"]  # not in the catalogue: its id
    assert ratings.dropped == {"no score": 1, "repeats": 1, "no profile or no title id": 2}
    assert ratings.has_seasons


# ---- Splits ----


def every_split(ratings):
    return {
        "random": ratings.split_random(),
        "user time": ratings.split_user_time(),
        "global time": ratings.split_global_time(),
        "leave one out": ratings.split_leave_one_out(),
    }


@pytest.mark.parametrize("kind", ["random", "user time", "global time", "leave one out"])
def test_parts_add_up_share_nothing_and_keep_the_universe(table, kind):
    parts = every_split(table)[kind]
    assert sum(map(len, parts)) == len(table)
    together = {cell: value for part in parts for cell, value in cells(part).items()}
    assert together == cells(table)
    assert all(np.array_equal(part.user_ids, table.user_ids) for part in parts)
    assert all(np.array_equal(part.item_ids, table.item_ids) for part in parts)


def test_a_random_split_holds_out_the_share_asked_for(sample):
    train, test = sample.split_random(0.25)
    assert len(test) == round(len(sample) * 0.25)
    assert len(train) + len(test) == len(sample)


def test_a_seed_repeats_a_split_and_another_seed_does_not(sample):
    first, again, other = (sample.split_random(random_state=seed)[1] for seed in (3, 3, 4))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint


def test_a_generator_serves_as_random_state(table):
    one, two = (table.split_random(random_state=np.random.default_rng(5))[1] for _ in range(2))
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize("share", [0, 1, -0.2, 1.5, np.nan])
def test_a_test_share_outside_0_to_1_is_an_error(table, share):
    with pytest.raises(ValueError, match="test_size is a share between 0 and 1"):
        table.split_random(share)


def test_each_viewer_is_cut_at_the_published_boundaries():
    # Viewer n - 1 has n ratings, n = 1..60: the first int(n * .7) train, up to int(n * .85) validate, the rest test.
    rows = np.repeat(np.arange(60), np.arange(1, 61))
    train, validation, test = timed(np.arange(len(rows)), rows).split_user_time()
    n = np.arange(1, 61)
    first, second = (np.array([int(count * share) for count in n.tolist()]) for share in (0.7, 0.85))
    assert np.bincount(train.rows, minlength=60).tolist() == first.tolist()
    assert np.bincount(validation.rows, minlength=60).tolist() == (second - first).tolist()
    assert np.bincount(test.rows, minlength=60).tolist() == (n - second).tolist()


def test_each_viewers_parts_follow_each_other_in_time():
    # Ten ratings in the order of time 9, 8, ..., 0: int(7.0) = 7 train, int(8.5) = 8, so 7, 1 and 2.
    train, validation, test = timed(np.arange(10)[::-1]).split_user_time()
    assert sorted(train.times.tolist()) == [0, 1, 2, 3, 4, 5, 6]
    assert (validation.times.tolist(), sorted(test.times.tolist())) == ([7], [8, 9])


def test_the_order_of_the_file_breaks_ties_in_time():
    # All at one moment: title i is the i-th row of the file, so titles 0..6 train, 7 validates, 8 and 9 test.
    train, validation, test = timed(np.zeros(10)).split_user_time()
    assert [part.cols.tolist() for part in (train, validation, test)] == [[0, 1, 2, 3, 4, 5, 6], [7], [8, 9]]


def test_nobodys_future_is_in_the_training_part_of_a_global_split():
    rng = np.random.default_rng(1)
    train, validation, test = timed(rng.integers(0, 40, 200), np.sort(rng.integers(0, 9, 200))).split_global_time()
    assert train.times.max() < validation.times.min()
    assert validation.times.max() < test.times.min()
    assert 0.65 <= len(train) / 200 <= 0.8


def test_a_moment_belongs_to_one_part_as_a_whole():
    # Ten ratings; the 70 % point lies inside the moment 5, which then trains with all its four ratings.
    parts = timed([1, 2, 3, 4, 5, 5, 5, 5, 8, 9]).split_global_time()
    assert [part.times.tolist() for part in parts] == [[1, 2, 3, 4, 5, 5, 5, 5], [], [8, 9]]


def test_leave_one_out_takes_the_latest_rating_and_spares_viewers_with_one():
    # Viewer 0: times 3 1 2, the latest is entry 0. Viewer 1 has one rating. Viewer 2: a tie, the later row goes.
    train, test = timed([3, 1, 2, 9, 4, 4], [0, 0, 0, 1, 2, 2]).split_leave_one_out()
    assert test.cols.tolist() == [0, 5]
    assert train.cols.tolist() == [1, 2, 3, 4]


def test_leave_one_out_without_times_is_random_and_repeats_with_its_seed(sample):
    assert sample.times is None
    counts = np.bincount(sample.rows, minlength=sample.n_users)
    first, again, other = (sample.split_leave_one_out(seed)[1] for seed in (0, 0, 1))
    assert np.bincount(first.rows, minlength=sample.n_users).tolist() == (counts > 1).astype(int).tolist()
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint


@pytest.mark.parametrize("split", ["split_user_time", "split_global_time"])
def test_a_split_by_time_needs_times(four, split):
    with pytest.raises(ValueError, match="needs `times`, and these ratings have none; use split_random"):
        getattr(four, split)()


def test_too_few_ratings_for_a_split_is_an_error(four):
    with pytest.raises(ValueError, match=r"3 ratings cannot give a test share of 0\.1"):
        four.split_random(0.1)


# ---- Tables of one's own ----


def test_the_scale_may_be_said(tmp_path):
    (tmp_path / "shop.csv").write_text("u_id,a_id,profile,title,score\n1,50,ann,Bear,4\n2,50,bob,Bear,5\n")
    assert ct.load_ratings(tmp_path / "shop.csv", scale=(1, 5)).scale == (1, 5)
    assert ct.load_ratings(tmp_path / "shop.csv").scale == (1.0, 10.0)
    with pytest.raises(ValueError, match="lie outside the scale 1 to 4"):
        ct.load_ratings(tmp_path / "shop.csv", scale=(1, 4))


def test_any_table_becomes_ratings_by_the_names_of_its_columns():
    frame = pd.DataFrame({"who": ["b", "a"], "what": [7, 9], "stars": [4, 5]}, dtype=object)
    ratings = ct.Ratings.from_frame(frame, "who", "what", "stars", scale=(1, 5))
    assert ratings.item_ids.tolist() == [7, 9]  # whole numbers stay whole numbers
    with pytest.raises(ValueError, match=r"the table has no column 'user'; it has \['who', 'what', 'stars'\]"):
        ct.Ratings.from_frame(frame, "user", "what", "stars")
    with pytest.raises(ValueError, match="1 rows have no user or no item, the first is row 1"):
        ct.Ratings.from_frame(frame.assign(who=["b", None]), "who", "what", "stars")


def test_a_labelled_table_keeps_its_labels():
    table = pd.DataFrame([[5, np.nan], [4, 3]], index=["ann", "bob"], columns=[10, 20])
    ratings = ct.Ratings.from_matrix(table, scale=(1, 5))
    assert (ratings.user_ids.tolist(), ratings.item_ids.tolist()) == (["ann", "bob"], [10, 20])
    assert ct.GlobalMean().fit(ratings).recommend("ann")["item_id"].tolist() == [20]


@pytest.mark.parametrize("several", [(101, 102), frozenset([101]), range(2), ()])
def test_one_is_asked_for_at_a_time(table, several):
    for ask in (table.user_row, table.user_id, table.title, table.item_id):
        with pytest.raises(TypeError, match="is asked for by one id or"):
            ask(several)
