"""Lists for all in a file: what is read back is what `recommend_all` gives, whole or not there, in little memory."""

import builtins
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from conftest import ABOUT_ITEMS, press_ctrl_c
from sklearn.exceptions import NotFittedError

import content_table as ct
from content_table_parts import tables


@pytest.fixture(scope="module")
def shop():
    """5,000 customers and 60 products, three ratings each."""
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(5000), 3)
    cols = np.concatenate([rng.choice(60, 3, replace=False) for _ in range(5000)])
    names = [f"Produkt Nr. {at}, groß" for at in range(60)]
    return ct.Ratings(np.arange(5000) + 10, [f"sku {at:02}" for at in range(60)], rows, cols,
                      rng.integers(1, 11, len(rows)), titles=names)  # fmt: skip


def read(path):
    if path.suffix == ".csv":
        return pd.read_csv(path, keep_default_na=False)
    return pd.read_parquet(path)


@pytest.mark.parametrize("name", ["lists.csv", "lists.parquet", "LISTS.CSV"])
def test_what_is_read_back_is_recommend_all(shop, tmp_path, name):
    model = ct.BiasBaseline().fit(shop)
    ct.write_lists(model, tmp_path / name, n=7)
    (tmp_path / name).rename(tmp_path / name.lower())
    pd.testing.assert_frame_equal(read(tmp_path / name.lower()), model.recommend_all(7), check_dtype=False, rtol=1e-14)


@pytest.mark.parametrize("name", ["lists.csv", "lists.parquet"])
def test_all_columns_and_options_are_there(sample, table, tmp_path, monkeypatch, name):
    monkeypatch.setattr(tables, "BLOCK", 7)
    hybrid = ct.Hybrid(ct.BiasBaseline(), ct.load_genres(ct.DATA / "catalogue.csv", sample)).fit(sample)
    ct.write_lists(hybrid, str(tmp_path / name), 3)
    found = read(tmp_path / name)
    assert (
        found["predicted_rating"].max() == 10 < hybrid.recommend_all(3)["predicted_rating"].max()
    )  # shown as a rating
    assert {"english", "predicted_rating", "match"} < set(found.columns)
    pd.testing.assert_frame_equal(found, hybrid.recommend_all(3, clip=True), check_dtype=False, rtol=1e-14)
    train, test = table.split_random(0.3)
    model = ct.ContentOnly(ABOUT_ITEMS).fit(train)
    ct.write_lists(model, tmp_path / name, also_seen=test, one_per_work=True, clip=False)
    expected = model.recommend_all(also_seen=test, one_per_work=True)
    assert 0 < len(expected) < table.n_users * 5
    pd.testing.assert_frame_equal(read(tmp_path / name), expected, check_dtype=False, rtol=1e-14)


def test_a_model_that_was_not_fitted_has_no_lists_to_write(tmp_path):
    with pytest.raises(NotFittedError, match="this BiasBaseline has not been fitted"):
        ct.write_lists(ct.BiasBaseline(), tmp_path / "lists.csv")
    with pytest.raises(TypeError, match="model must be"):
        ct.write_lists("baseline", tmp_path / "lists.csv")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["lists.csv", "lists.parquet"])
def test_somebody_who_has_rated_everything_has_no_rows_wherever_the_blocks_fall(tmp_path, monkeypatch, name):
    monkeypatch.setattr(tables, "BLOCK", 1)
    ratings = ct.Ratings(["a", "b", "c"], [1, 2], [0, 0, 1, 2, 2], [0, 1, 0, 0, 1], [5, 6, 7, 8, 9])
    ct.write_lists(ct.BiasBaseline().fit(ratings), tmp_path / name)
    assert read(tmp_path / name)["user_id"].tolist() == ["b"]


def peak(call):
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_lists_of_all(shop, tmp_path):
    model = ct.BiasBaseline().fit(shop)
    model.recommend(10)  # what is computed once: names, seasons
    shop.known  # noqa: B018
    together = peak(lambda: model.recommend_all(15))
    ct.write_lists(model, tmp_path / "lists.csv", 5)
    for name in ("lists.csv", "lists.parquet"):
        assert peak(lambda name=name: ct.write_lists(model, tmp_path / name, 15)) < together / 2


def customers(number):
    """So many customers, one rating each, of 60 products; a model of them, asked once: what is kept is kept."""
    at = np.arange(number)
    model = ct.BiasBaseline().fit(ct.Ratings(at, np.arange(60), at, at % 60, 1.0 + at % 10, titles=np.full(60, "a")))
    model.recommend(0)
    model.top_items(at[:1], 1)
    return model


@pytest.mark.parametrize("name", ["lists.csv", "lists.parquet"])
def test_memory_is_flat_in_the_number_of_customers(tmp_path, monkeypatch, name):
    monkeypatch.setattr(tables, "BLOCK", 200)
    few, many = customers(1000), customers(8000)
    ct.write_lists(few, tmp_path / name)
    peaks = [peak(lambda model=model: ct.write_lists(model, tmp_path / name)) for model in (few, many)]
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("name", ["lists.csv", "lists.parquet"])
def test_ctrl_c_leaves_the_old_file_and_nothing_beside_it(shop, tmp_path, monkeypatch, name):
    model, path = ct.BiasBaseline().fit(shop), tmp_path / name
    press_ctrl_c(monkeypatch, ct.Recommender, "top_items", at=3)
    with pytest.raises(KeyboardInterrupt):
        ct.write_lists(model, path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    ct.write_lists(model, path)
    before = path.read_bytes()
    press_ctrl_c(monkeypatch, ct.Recommender, "top_items", at=5)
    with pytest.raises(KeyboardInterrupt):
        ct.write_lists(model, path, n=3)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_bar_counts_the_customers(shop, tmp_path, capsys):
    model = ct.BiasBaseline().fit(shop)
    ct.write_lists(model, tmp_path / "lists.csv", n=1)
    assert capsys.readouterr() == ("", "")
    ct.write_lists(model, tmp_path / "lists.csv", n=1, progress=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert "lists.csv" in said.err
    assert "5000/5000" in said.err


def test_blocks_are_small(shop, tmp_path, monkeypatch):
    model, asked = ct.BiasBaseline().fit(shop), []
    top_items = model.top_items
    monkeypatch.setattr(model, "top_items", lambda rows, *rest: asked.append(len(rows)) or top_items(rows, *rest))
    ct.write_lists(model, tmp_path / "lists.csv")
    assert asked == [1000] * 5


@pytest.mark.parametrize("name", ["lists.xlsx", "lists", "lists.csv.gz", "parquet"])
def test_another_ending_is_refused(table, tmp_path, name):
    with pytest.raises(ValueError, match=r"path must end in \.parquet or \.csv, got"):
        ct.write_lists(ct.GlobalMean().fit(table), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_in_the_middle_leaves_the_old_file(table, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "BLOCK", 2)
    model, path = ct.GlobalMean().fit(table), tmp_path / "lists.csv"
    ct.write_lists(model, path, 1)
    before, calls, top_items = path.read_bytes(), [], model.top_items

    def fails(rows, *rest):
        calls.append(rows)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return top_items(rows, *rest)

    monkeypatch.setattr(model, "top_items", fails)
    with pytest.raises(OSError, match="No space left"):
        ct.write_lists(model, path, 2)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_without_pyarrow_it_is_said_how_to_install_it(table, tmp_path, monkeypatch):
    original = builtins.__import__

    def without(name, *rest, **options):
        if name.startswith("pyarrow"):
            raise ImportError("no pyarrow")
        return original(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    model = ct.GlobalMean().fit(table)
    with pytest.raises(ImportError, match=r"written by PyArrow, which is missing: pip install pyarrow"):
        ct.write_lists(model, tmp_path / "lists.parquet")
    ct.write_lists(model, tmp_path / "lists.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["lists.csv"]
