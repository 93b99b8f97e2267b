"""Each limit on both sides, as it stands: at what it allows, and one more."""

import inspect
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import content_table as ct
from content_table_parts import (
    autoencoders,
    command,
    exports,
    fetching,
    posterior,
    readers,
    solvers,
    study,
    titles,
)

# ---- Memory ----


@pytest.mark.parametrize("shape", [(2**27, 1), (2**20, 2**7, 1)])
def test_a_dense_table_of_a_gibibyte_may_be_made_and_none_that_is_larger(shape):
    solvers.check_memory(shape, "it")
    with pytest.raises(MemoryError, match=r"it needs a dense .* of 1\.0 GiB; the limit is 1 GiB"):
        solvers.check_memory((shape[0] + 1, *shape[1:]), "it")


@pytest.mark.parametrize(("side", "dtype"), [(16_384, "float64"), (23_170, "float32")])
def test_all_pairs_of_titles_may_take_two_gibibytes(side, dtype):
    autoencoders._check_size(side, side, dtype, "pairs")
    with pytest.raises(MemoryError, match=f"the limit is 2 GiB.*, {side:,} titles in {dtype}"):
        autoencoders._check_size(side + 1, side + 1, dtype, "pairs")


def test_the_samples_of_a_model_may_take_four_gibibytes():
    def asked(rows):
        posterior.check_size([SimpleNamespace(table=SimpleNamespace(shape=(rows, 5)))], 3, 2, 16)

    asked(2**23)  # 8 bytes of 1 + 3 numbers, 16 times
    with pytest.raises(MemoryError, match=r"take 4\.0 GiB; the limit is 4 GiB"):
        asked(2**23 + 1)


def test_what_only_a_huge_file_would_show():
    """As docs/ and the docstrings have them."""
    assert inspect.signature(readers.opened).parameters["limit"].default == 2**30
    assert inspect.signature(readers.read_text).parameters["limit"].default == 2**30
    assert readers.MAX_EXPORT_BYTES == exports.MAX_EXPORT_BYTES == 2**25
    assert fetching._MAX_BYTES == 2**26
    assert (readers.MAX_EXPORT_ENTRIES, readers._MAX_FIELDS, readers._MAX_MARK) == (40_000, 2**20, 2**18)


# ---- Files ----


def test_a_header_has_at_most_a_thousand_fields(tmp_path):
    path = tmp_path / "wide.csv"
    for n_columns in (1000, 1001):
        names = ["user", "item", "rating", *(f"c{at}" for at in range(n_columns - 3))]
        path.write_text(",".join(names) + "\n" + ",".join(["1", "2", "3", *"0" * (n_columns - 3)]) + "\n")
        if n_columns == 1000:
            assert len(ct.load_table(path, user="user", item="item", rating="rating", scale=(1, 5))) == 1
        else:
            with pytest.raises(ValueError, match="its first line has more than 1000 fields"):
                ct.load_table(path, user="user", item="item", rating="rating", scale=(1, 5))


def test_an_entry_of_an_export_has_at_most_a_thousand_tags(tmp_path):
    path = tmp_path / "animelist.xml"
    known = "<series_title>Bartender</series_title><my_score>7</my_score><my_status>Completed</my_status>"
    known += "<series_animedb_id>1589</series_animedb_id>"
    for n_tags in (1000, 1001):
        more = "<a/>" * (n_tags - 6)  # with its own and the root's
        path.write_text(f"<myanimelist><anime>{known}{more}</anime></myanimelist>")
        if n_tags == 1000:
            assert ct.load_mal_export(path).ratings == {1589: 7.0}
        else:
            with pytest.raises(ValueError, match="an entry of more than 1000 fields"):
                ct.load_mal_export(path)


def test_a_list_has_at_most_forty_thousand_entries_and_two_million_characters():
    def listed(n_entries, n_characters):
        texts = np.full(n_entries, "x" * (n_characters // n_entries), dtype=object)
        texts[0] += "x" * (n_characters % n_entries)
        return pd.DataFrame({"title": texts})

    readers.check_entries(listed(40_000, 40_000), "it")
    with pytest.raises(ValueError, match="it has 40,001 entries"):
        readers.check_entries(listed(40_001, 40_001), "it")
    readers.check_entries(listed(1, 2**21), "it")
    with pytest.raises(ValueError, match="at most 40,000 and 2,097,152"):
        readers.check_entries(listed(1, 2**21 + 1), "it")


@pytest.mark.parametrize(("n_characters", "fits"), [(1000, True), (1001, False)])
def test_an_id_has_at_most_a_thousand_characters(n_characters, fits):
    frame = pd.DataFrame({"user": ["a", "b"], "item": ["x", "y" * n_characters], "rating": [1.0, 2.0]})
    if fits:
        assert ct.Ratings.from_frame(frame, "user", "item", "rating").n_items == 2
    else:
        with pytest.raises(ValueError, match="at most 1,000 characters each, got 1,001"):
            ct.Ratings.from_frame(frame, "user", "item", "rating")


def test_five_unknown_titles_are_named_at_once(sample):
    with pytest.raises(KeyError) as error:
        sample.checked_pairs({f"no such title {at}": 5 for at in range(7)})
    assert error.value.args[0].count("no such title") == 5
    assert "The 2 after these have not been looked up." in error.value.args[0]


# ---- Scales ----


def test_each_site_has_its_scale():
    assert exports._MAL_SCALE == (1, 10)
    assert exports._LETTERBOXD_SCALE == (0.5, 5)
    expected = {"POINT_100": 100, "POINT_10_DECIMAL": 10, "POINT_10": 10, "POINT_5": 5, "POINT_3": 3}
    assert expected == exports._ANILIST_SCALES  # as AniList's documentation of ScoreFormat has them


def test_the_published_sets_of_movielens_have_their_sizes():
    sizes = {name: each.size for name, each in fetching._SETS.items() if name in ("ml-100k", "ml-1m")}
    assert sizes == {"ml-100k": (100_000, 943, 1682), "ml-1m": (1_000_209, 6040, 3706)}


# ---- The Bayesian machine ----


def test_a_feature_may_be_as_large_as_a_hundred():
    posterior.check_features("features", ["age"], np.array([0, 0]), np.array([100.0, -100.0]))
    with pytest.raises(ValueError, match=r"at most 100, got -100 of 'age'"):
        posterior.check_features("features", ["age"], np.array([0, 0]), np.array([100.0, np.nextafter(-100, -101)]))


def test_a_hundred_distinct_ratings_are_steps_and_more_are_a_range():
    assert posterior.rating_steps(np.sqrt(np.arange(100))).tolist() == np.sqrt(np.arange(100)).tolist()
    assert posterior.rating_steps(np.sqrt(np.arange(101))) == pytest.approx(np.arange(100) * 10 / 99)


def test_chains_of_four_draws_say_how_well_they_mixed():
    draws = np.random.default_rng(0).normal(size=(2, 4))
    assert np.isfinite(list(posterior.chain_summary(draws).values())).all()
    short = posterior.chain_summary(draws[:, :3])
    assert np.isnan([short["r_hat"], short["effective_size"]]).all()
    assert short["mean"] == draws[:, :3].mean()


# ---- Titles ----


@pytest.mark.parametrize(
    ("title", "number"),
    [
        ("Second Season", 2),
        ("Mushishi II", 2),
        ("Third Season", 3),
        ("Mushishi III", 3),
        ("Fourth Season", 4),
        ("Mushishi IV", 4),
        ("Fifth Season", 5),
        ("Sixth Season", 6),
        ("Mushishi VI", 6),
        ("Mushishi 20", 20),
        ("Mushishi 21", 0),
    ],
)
def test_a_season_is_counted_by_words_roman_numbers_and_numbers_up_to_twenty(title, number):
    assert titles._season_number(title) == number


# ---- Shares of time ----


def test_the_first_split_has_a_third_of_the_time():
    assert pytest.approx(1 / 3) == study.FIRST_SHARE


@pytest.mark.parametrize(("waited", "told"), [(4, False), (6, True)])
def test_who_has_waited_five_seconds_is_told_of_the_first_split(monkeypatch, capsys, waited, told):
    monkeypatch.setattr(command, "time", SimpleNamespace(perf_counter=lambda: waited))
    results = pd.DataFrame({"model": ["BiasBaseline"], "train_rmse": [1.0], "rmse_clipped": [1.5]})
    command._tell_first(0, results)
    assert ("BiasBaseline" in capsys.readouterr().err) == told


def test_lists_are_looked_at_every_fifth_pass(sample):
    trial = SimpleNamespace(seen=[], report=lambda best, epoch: trial.seen.append(epoch), should_prune=lambda: False)
    scores = study.ListScore("ndcg", 6.0, 5)
    watch = study._watcher(SimpleNamespace(), trial, sample, scores)
    model = ct.Popularity().fit(sample)
    for epoch in range(1, 11):
        watch(model, {"epoch": epoch})
    assert trial.seen == [5, 10]
