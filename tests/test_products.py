"""Features of products from any table: each kind of column by hand, what is missing, and what models make of them."""

import numpy as np
import pandas as pd
import pytest

import content_table as ct

NO = None
CATALOGUE = pd.DataFrame({
    "SKU": ["11", "13", "14", "15", "99"],
    "colour": ["red", "blue", "", "red", "green"],
    "materials": ["wool|silk", "wool", "", " silk | linen", "oak"],
    "price": [10.0, 30.0, NO, 20.0, 1e6],
    "about": ["a warm coat", "a warm hat", "", "the coat of linen", "a table"],
})  # fmt: skip
ASKED = {"categories": ["colour"], "lists": {"materials": "|"}, "numbers": ["price"], "texts": ["about"]}


def column(features, name):
    return features.matrix[:, [features.names.tolist().index(name)]].toarray().ravel()


@pytest.fixture(params=["frame", "csv", "parquet", "numbers"])
def source(request, tmp_path):
    """The same catalogue as a table with texts, as a CSV, as Parquet, and with whole numbers for ids."""
    if request.param == "frame":
        return CATALOGUE
    if request.param == "csv":
        CATALOGUE.to_csv(tmp_path / "products.csv", index=False, sep=";")
        return str(tmp_path / "products.csv")
    if request.param == "parquet":
        CATALOGUE.to_parquet(tmp_path / "products.parquet")
        return tmp_path / "products.parquet"
    return CATALOGUE.assign(SKU=CATALOGUE["SKU"].astype("Int64"))


def test_each_kind_of_column_by_hand(source, table):
    features = ct.table_features(source, table, "sku", **ASKED)
    assert features.about == "items"
    assert features.ids.tolist() == table.item_ids.tolist()
    assert [name for name in features.names.tolist() if not name.startswith("about")] == [
        "colour blue", "colour red", "price", "price missing", "materials linen", "materials silk", "materials wool"
    ]  # fmt: skip
    assert column(features, "colour red").tolist() == [1, 0, 0, 0, 1]
    assert column(features, "materials silk").tolist() == [1, 0, 0, 0, 1]
    assert column(features, "materials wool").tolist() == [1, 0, 1, 0, 0]
    spread = np.std([10, 30, 20])
    np.testing.assert_allclose(column(features, "price"), [-10 / spread, 0, 10 / spread, 0, 0], atol=1e-12)
    assert column(features, "price missing").tolist() == [0, 0, 0, 1, 0]
    assert column(features, "about warm").astype(bool).tolist() == [True, False, True, False, False]
    assert not features.matrix[[1]].nnz  # product 12 is not in the table


def test_what_is_missing_is_counted(source, table):
    notes = ct.table_features(source, table, **ASKED).notes
    assert notes[:3] == (
        "taken by name: item='SKU'",
        "1 of 5 items are not in the table",
        "1 rows of other products left out",
    )
    assert notes[3:] == ("colour: 1 blank", "price: 1 blank", "about: 1 blank", "materials: 1 blank")
    nobody = pd.concat([CATALOGUE, pd.DataFrame({"SKU": [NO], "colour": ["pink"]})])
    features = ct.table_features(nobody, table, categories=["colour"])
    assert "1 rows without an id left out" in features.notes
    assert "1 rows without an id" in repr(features)
    assert "colour pink" not in features.names


def test_texts_are_those_of_tfidf_features(table):
    features = ct.table_features(CATALOGUE, table, "SKU", texts=["about"], max_features=2)
    words = ct.tfidf_features([11, 13, 14, 15], CATALOGUE["about"][:4].tolist(), 2)
    assert features.names.tolist() == [f"about {name}" for name in words.names]
    np.testing.assert_array_equal(features.matrix.toarray()[[0, 2, 3, 4]], words.matrix.toarray())


def test_categories_may_be_numbers(table):
    frame = pd.DataFrame({"sku": [11, 12, 13], "shelf": [3, np.nan, 7], "new": [True, False, True]})
    features = ct.table_features(frame, table, categories=["shelf", "new"])
    assert features.names.tolist() == ["shelf 3", "shelf 7", "new False", "new True"]
    assert column(features, "shelf 3").tolist() == [1, 0, 0, 0, 0]


def test_numbers_are_read_as_load_table_reads_them(tmp_path, table):
    path = tmp_path / "products.csv"
    path.write_text("sku;price\n11;1,5\n12;2,5\n", encoding="latin-1")
    features = ct.table_features(path, table, numbers=["price"], decimal=",")
    assert column(features, "price")[:2].tolist() == [-1, 1]
    assert features.names.tolist() == ["price"]  # none is blank
    with pytest.raises(ValueError, match=r"'price' are no finite numbers, the first is '1,5' in data row 1"):
        ct.table_features(path, table, numbers=["price"])
    path.write_text("sku;price\n7;x\n11;2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="the first is 'x' in data row 1"):
        ct.table_features(path, table, numbers=["price"])


@pytest.mark.parametrize(("options", "words"), [
    ({"categories": ["colours"]}, r"categories: the table has no column 'colours'.*did you mean \['colour'\]"),
    ({"numbers": ["weight"]}, "numbers: the table has no column 'weight'"),
    ({"lists": {"tags": ","}}, "lists: the table has no column 'tags'"),
    ({"texts": ["text"]}, "texts: the table has no column 'text'"),
    ({"item": "id", "texts": ["about"]}, "item: the table has no column 'id'"),
    ({}, "categories, lists, numbers or texts must name a column"),
    ({"numbers": ["colour"]}, "'colour' are no finite numbers"),
    ({"texts": ["price"], "max_features": 0}, "max_features must be at least 1"),
])  # fmt: skip
def test_columns_that_are_not_there_are_refused(table, options, words):
    with pytest.raises(ValueError, match=words):
        ct.table_features(CATALOGUE, table, **options)


@pytest.mark.parametrize(("frame", "options", "words"), [
    ({"sku": [11, 12, 11], "a": "x"}, {"categories": ["a"]}, "1 rows of column 'sku' repeat a product.* is 11"),
    ({"sku": [1, 2], "a": "x"}, {"categories": ["a"]}, r"lists none of the 5 items.*\[1, 2\].*\[11, 12, 13\]"),
    ({"sku": [11, 12], "a": ["", NO]}, {"categories": ["a"]}, "column 'a' holds no value for any of the 2 items"),
    ({"sku": [11, 12], "a": [np.nan] * 2}, {"numbers": ["a"]}, "column 'a' holds no number"),
    ({"sku": [11, 12], "a": ["the", ""]}, {"texts": ["a"]}, "column 'a': the 2 texts hold no word"),
    ({"sku": [11, 12], "a": ["b c", "d"], "a b": ["c", ""]}, {"categories": ["a", "a b"]}, "one name for each column"),
])  # fmt: skip
def test_tables_that_say_nothing_are_refused(table, frame, options, words):
    with pytest.raises(ValueError, match=words):
        ct.table_features(pd.DataFrame(frame), table, **options)


def test_cells_that_hold_no_text_are_refused(table):
    frame = pd.DataFrame({"sku": [11, 12], "a": [["x", "y"], ["z"]]})
    with pytest.raises(TypeError, match=r"column 'a' must hold texts or numbers, got \['x', 'y'\]"):
        ct.table_features(frame, table, categories=["a"])
    twice = pd.DataFrame([[11, "x", "y"]], columns=["sku", "a", "a"])
    with pytest.raises(ValueError, match="several columns 'a'"):
        ct.table_features(twice, table, categories=["a"])
    with pytest.raises(TypeError, match="lists must tell what separates the values of 'a', a text, got None"):
        ct.table_features(frame, table, lists={"a": None})


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"max_features": 0}, ValueError, "max_features must be at least 1"),
    ({"max_features": 2.5}, ValueError, "max_features must be a whole number"),
    ({"sep": ""}, ValueError, "sep must be"), ({"decimal": ";"}, ValueError, "decimal must be"),
    ({"lists": [("materials", "|")]}, TypeError, "lists must be .name of a column: what separates its values"),
    ({"lists": {"materials": ""}}, TypeError, "lists must tell what separates the values of 'materials'"),
])  # fmt: skip
def test_options_are_checked_also_where_the_table_does_not_need_them(table, options, error, words):
    with pytest.raises(error, match=words):
        ct.table_features(CATALOGUE, table, categories=["colour"], **options)


def test_ratings_are_needed_to_tell_which_products(table):
    with pytest.raises(TypeError, match="ratings must be Ratings"):
        ct.table_features(CATALOGUE, table.frame(), **ASKED)


def test_of_a_text_the_5000_words_that_count_most_are_kept(table):
    texts = " ".join(f"w{number}" for number in range(5002))
    features = ct.table_features(pd.DataFrame({"sku": [11, 12], "about": [texts] * 2}), table, texts=["about"])
    assert len(features.names) == 5000


@pytest.mark.parametrize("kind", ["ContentMF", "ContentOnly", "Hybrid"])
def test_models_learn_from_them_and_are_saved_with_them(table, tmp_path, kind):
    features = ct.table_features(CATALOGUE, table, **ASKED)
    options = {"ContentMF": {"n_epochs": 5, "patience": None}, "ContentOnly": {}, "Hybrid": {"rating": ct.ALS(2)}}
    model = getattr(ct, kind)(item_features=features, **options[kind]).fit(table)
    model.save(tmp_path / "model.npz")
    again = ct.load_model(tmp_path / "model.npz", table)
    assert again.item_features == features
    assert again.item_features.notes == features.notes
    assert np.array_equal(again.complete(), model.complete())
    assert np.isfinite(model.complete()).all()
