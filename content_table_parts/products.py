"""What a shop knows of its products, as features: categories, lists, numbers and texts from any table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer, StandardScaler

from content_table_parts.features import Features, tfidf_features
from content_table_parts.ratings import Ratings, need_ratings, same_ids
from content_table_parts.settings import check_kind, check_number, check_texts, shown
from content_table_parts.tables import check_dialect, column_told, find_columns, ids_from, points_from, read_table


def table_features(
    table: Any,
    ratings: Ratings,
    item: str | None = None,
    *,
    categories: Sequence[str] = (),
    lists: Mapping[str, str] | None = None,
    numbers: Sequence[str] = (),
    texts: Sequence[str] = (),
    max_features: int = 5000,
    sep: str | None = None,
    decimal: str = ".",
    encoding: str = "utf-8",
) -> Features:
    """Features of every item of `ratings` from a table with a row for each product.

    Parameters
    ----------
    table : str, Path, or a table
        CSV, Parquet, Arrow, Feather; a DataFrame of pandas or polars, or a PyArrow table: as `load_table` reads them.
    ratings : Ratings
        Its `item_ids` say which products, in which order; ids are matched as they are, or as text where one side has
        text.
    item : name of the column with the ids
        Default: found by its usual names ("sku", "item_id", "Product ID", ...).
    categories : names of columns
        One column of the features for each value, 1 where the product has it: "colour red".
    lists : {name of a column: what separates its values}
        The same of several values in one cell: {"materials": "|"}.
    numbers : names of columns
        Standardised over the products here: mean 0, variance 1. A blank is the mean, and 1 in a further column,
        "price missing".
    texts : names of columns
        `tfidf_features` of each, of at most `max_features` words: "description wool".
    sep, decimal, encoding : as in `load_table`

    Returns
    -------
    Features : in its `notes` (and its repr) how many items are not in the table, of which nothing is known, how many
        rows were left out, and how many cells of each column are blank.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError : a column that is not there, a product that is listed twice, a number that
        is none, no product of `ratings` in the table; what was expected and what came.
    ImportError : PyArrow is needed, and how to install it.
    """
    need_ratings(ratings, "ratings")
    check_dialect(sep, decimal, encoding)
    check_number("max_features", max_features, low=1, whole=True)
    asked = _asked(categories, lists, numbers, texts)
    source = read_table(table, sep, encoding)
    notes: list[str] = []
    key = find_columns({"item": item}, source.frame, source.name, notes)["item"]
    columns = [(kind, _column(kind, name, source), how) for kind, name, how in asked]
    at, known = _rows_of(source, key, ratings, notes)
    blocks = []
    for kind, column, how in columns:
        cells = column.iloc[at]
        if kind == "numbers":
            block = _numbers(points_from(column, decimal, source.name)[at], column.name)
        elif kind == "texts":
            block = _words(_texts(cells), column.name, max_features)
        else:
            block = _values(_texts(cells), column.name, how)
        blank = _texts(cells).count("")
        notes += [f"{column.name}: {blank} blank"] if blank else []
        blocks.append(block)
    rows = sp.csr_array((np.ones(len(at)), (known, np.arange(len(at)))), shape=(ratings.n_items, len(at)))
    names = np.concatenate([each for _, each in blocks])
    return Features(ratings.item_ids, rows @ sp.hstack([each for each, _ in blocks]), names, "items", tuple(notes))


def _asked(categories, lists, numbers, texts):
    """[(kind, name of a column, what separates its values)], checked."""
    check_kind("lists", lists, (Mapping, type(None)), "{name of a column: what separates its values}")
    signs = dict(lists or {})
    plain = {"categories": categories, "numbers": numbers, "texts": texts, "lists": list(signs)}
    asked = [(kind, name, signs.get(name, "")) for kind, names in plain.items() for name in check_texts(kind, names)]
    for name, sign in signs.items():
        if not isinstance(sign, str) or not sign:
            raise TypeError(f"lists must tell what separates the values of {name!r}, a text, got {shown(sign)}.")
    if not asked:
        raise ValueError("categories, lists, numbers or texts must name a column of the table, got none.")
    return asked


def _column(kind, name, source):
    """The one column that is called so."""
    found = source.frame[column_told(kind, name, source.frame, source.name)]
    if found.ndim > 1:
        raise ValueError(f"{kind}: {source.name} has several columns {name!r}; rename or drop all but one.")
    return found


def _rows_of(source, key, ratings, notes):
    """(the rows of the table about items of `ratings`, which items these are)."""
    ids = ids_from(source.frame[key], source.is_csv)
    there = np.flatnonzero(ids.notna())
    listed = np.asarray(pd.Series(ids.dropna().tolist()))
    listed = listed.astype(str) if listed.dtype.kind == "O" else listed
    twice = pd.Series(listed).duplicated()
    if twice.any():
        raise ValueError(
            f"{source.name}: {twice.sum()} rows of column {key!r} repeat a product, the first is "
            f"{shown(listed[twice.to_numpy()][0].item())}; features need one row for each product."
        )
    at = same_ids(ratings.item_ids, listed)
    known = np.flatnonzero(at >= 0)
    if len(known) == 0:
        raise ValueError(
            f"{source.name} lists none of the {ratings.n_items} items: column {key!r} has ids such as "
            f"{shown(listed[:3].tolist())}, the ratings such as {shown(ratings.item_ids[:3].tolist())}."
        )
    counts = {
        f"of {ratings.n_items} items are not in the table": ratings.n_items - len(known),
        "rows without an id left out": len(ids) - len(there),
        "rows of other products left out": len(listed) - len(known),
    }
    notes += [f"{count} {what}" for what, count in counts.items() if count]
    return there[at[known]], known


def _texts(column):
    """A cell as text, "" where it is blank; whole numbers as such, also where blanks made floats of them."""
    cells = column.astype(object).infer_objects().convert_dtypes().astype(object)
    if strange := [cell for cell in cells if not pd.api.types.is_scalar(cell)]:
        raise TypeError(f"column {column.name!r} must hold texts or numbers, got {shown(strange[0])}.")
    return ["" if pd.isna(cell) else str(cell).strip() for cell in cells]


def _named(column, values):
    return np.array([f"{column} {value}" for value in values], dtype=str)


def _values(texts, column, sign):
    """1 for each value that a product has."""
    cells = [{part.strip() for part in (text.split(sign) if sign else [text])} - {""} for text in texts]
    kinds = MultiLabelBinarizer(sparse_output=True)
    table = kinds.fit_transform([sorted(cell) for cell in cells])
    if table.shape[1] == 0:
        raise ValueError(f"column {column!r} holds no value for any of the {len(texts)} items.")
    return sp.csr_array(table, dtype=float), _named(column, kinds.classes_)


def _numbers(values, column):
    """Standardised numbers, and where there are blanks a column that says so."""
    if np.isnan(values).all():
        raise ValueError(f"column {column!r} holds no number for any of the {len(values)} items.")
    standard = make_pipeline(StandardScaler(), SimpleImputer(strategy="constant", fill_value=0.0, add_indicator=True))
    table = standard.fit_transform(values[:, None])
    return sp.csr_array(table), np.array([column, f"{column} missing"][: table.shape[1]])


def _words(texts, column, max_features):
    """TF-IDF of the texts."""
    try:
        words = tfidf_features(np.arange(len(texts)), texts, max_features)
    except ValueError as error:
        raise ValueError(f"column {column!r}: {error}") from error
    return words.matrix, _named(column, words.names)
