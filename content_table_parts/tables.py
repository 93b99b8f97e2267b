"""Tables as people have them, in: columns of any name, CSV in its dialects, Parquet, Arrow, DataFrames. And out: long
ones, block by block."""

import csv
import difflib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from content_table_parts.ratings import Ratings, first_labels, need_ratings, pairs_repeat, scale_ends
from content_table_parts.readers import MAX_COLUMNS, MAX_TABLE_BYTES, check_once, encoding_of, opened, read_text
from content_table_parts.settings import as_path, check_choice, check_kind, shown
from content_table_parts.titles import plain_title
from content_table_parts.writing import write_whole

_USUAL = {  # what a column is usually called, without case, spaces and punctuation
    "user": "user userid uid viewer viewerid customer customerid member memberid",
    "item": "item itemid movie movieid film filmid anime animeid aid product productid sku book bookid isbn",
    "rating": "rating ratings score stars points",
    "time": "time timestamp date datetime ratedat",
    "title": "title itemtitle itemname movietitle producttitle productname",
}
_NEEDED = ("user", "item", "rating")
_SEPARATORS = ",;\t|"
_ARROW_MARKS = {b"PAR1": "a Parquet file", b"ARROW1": "an Arrow file", b"FEA1": "a Feather file"}
BLOCK = 1000  # rows of whom lists are made and written at a time
_WHOLE = re.compile(r"0|-?[1-9]\d*")  # what a whole number is written as; "007" is a text
_NAMELESS = r"__index_level_\d+__"  # what pandas writes a DataFrame's row numbers as: no column of anybody's
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def load_table(
    table: Any,
    user: str | None = None,
    item: str | None = None,
    rating: Any = None,
    *,
    time: Any = None,
    title: Any = None,
    scale: tuple[float, float] | None = None,
    sep: str | None = None,
    decimal: str = ".",
    encoding: str = "utf-8",
    repeats: str = "error",
    like: Ratings | None = None,
    unknown: str = "error",
) -> Ratings:
    """Ratings from a table of your own with one row per rating.

    Parameters
    ----------
    table : str, Path, or a table
        A CSV (packed by gzip, bzip2 or xz, if you like), Parquet, Arrow or Feather file, which its first bytes tell; a
        DataFrame of pandas or polars, or a PyArrow table. All but CSV and pandas need PyArrow.
    user, item, rating, time, title : names of columns
        In any case, with or without spaces around. One that is not told is found by its usual names ("user_id",
        "Movie ID", ...) where only one column has such a name. `time=False`, `title=False`: none, whatever is there.
        `rating=False`: there are no ratings, a row is a purchase or a view. How many rows a user and an item have then
        stands in place of the rating, for models that learn who has what: `ImplicitALS`, `EASE`, `Popularity`.
    scale : (low, high), optional
        Of the ratings, both ends included; default: the lowest and the highest of them, or the scale of `like`.
    sep, decimal, encoding : str
        Of a CSV. The separator is recognised among comma, semicolon, tab and bar by the header, if not told. UTF-16 is
        told by its byte order mark; anything else but UTF-8 must be told ("latin-1").
    repeats : "error", "last" or "mean"
        Where a user rates an item more than once: refuse; keep the last by time, or of the file where there are no
        times; or keep their mean, with the last time.
    like : Ratings, optional
        A training table, in whose universe this one shall be read: see `Ratings.within`.
    unknown : "error" or "skip"
        What to do with users or items that `like` does not have.

    Returns
    -------
    Ratings : ids are as in the table; in a CSV, whole numbers where all of a column are written as such ("007" is not),
        else text, without spaces around. Times are numbers, or dates. An item with several titles has its newest. What
        was decided for you is in `notes`, what was left out in `dropped`: rows without a user, an item or a rating (so
        is a 0 on a scale told to begin above it), repeats, older names.

    Raises
    ------
    ValueError, TypeError, KeyError, FileNotFoundError : what was expected, what came, the likely cause, and the row.
    ImportError : PyArrow is needed, and how to install it.
    """
    check_choice("repeats", repeats, ("error", "last", "mean"))
    check_choice("unknown", unknown, ("error", "skip"))
    if like is not None:
        need_ratings(like, "like")
    scale = None if scale is None else scale_ends(scale)
    check_dialect(sep, decimal, encoding)
    told = {"user": user, "item": item, "rating": rating, "time": time, "title": title}
    source = read_table(table, sep, encoding, told)
    name, notes = source.name, list(source.notes)
    columns = find_columns(told, source.frame, name, notes)
    frame = source.frame[list(columns.values())].set_axis(list(columns), axis=1).reset_index(drop=True)
    if rating is False:
        frame, columns = frame.assign(rating=1.0), columns | {"rating": "rows"}
    frame = _parsed(frame, columns, source, decimal)
    frame, dropped = _without_gaps(frame, scale, name)
    if "title" in frame:
        frame = _newest_titles(frame, columns, dropped, name)
    frame = _counted(frame, notes) if rating is False else frame
    scale = scale or (like.scale if like is not None else _observed_scale(frame["rating"], rating, notes, name))
    frame = _once(frame, repeats, dropped, columns, name)
    labels = {role: role for role in ("time", "title") if role in frame}
    options = {"scale": scale, "dropped": dropped, "notes": notes}
    ratings = Ratings.from_frame(frame, "user", "item", "rating", **labels, **options)
    return ratings if like is None else ratings.within(like, unknown)


# ---- Files and tables ------------------------------------------------------------------------------------------------


class _Source(NamedTuple):
    """A table, what errors call it, what was decided for the reader, and whether all of it is text, but for times that
    are whole numbers."""

    frame: pd.DataFrame
    name: str
    notes: tuple = ()
    is_csv: bool = False


def read_table(table: Any, sep: str | None, encoding: str, told: dict[str, Any] | None = None) -> _Source:
    """A file or a table in memory as a `_Source`; `told` are the columns of a rating table, as in `find_columns`."""
    if not isinstance(table, (str, os.PathLike)):
        return _Source(_from_memory(table), "the table")
    path = Path(table)
    kind = _arrow_kind(path)
    return _Source(_from_file(path, kind), path.name) if kind else _from_csv(path, sep, encoding, told)


def check_dialect(sep: Any, decimal: Any, encoding: Any) -> None:
    """Refuse what no CSV is separated, or written, by."""
    check_kind("sep", sep, (str, type(None)), "one character or None")
    if sep is not None and (len(sep) != 1 or sep in '"\r\n'):
        raise ValueError(f"sep must be one character, such as ';' or '\\t', got {shown(sep)}.")
    check_choice("decimal", decimal, (".", ","))
    check_kind("encoding", encoding, str, "the name of an encoding")
    try:
        b"a".decode(encoding, errors="replace")
    except (LookupError, ValueError) as error:
        raise ValueError(
            f"encoding must be one that Python knows, such as 'latin-1', got {shown(encoding)}."
        ) from error


def _arrow_kind(path):
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    with open(path, "rb") as file:
        head = file.read(8)
    return next((kind for mark, kind in _ARROW_MARKS.items() if head.startswith(mark)), None)


def _pyarrow(what, done="read"):
    try:
        import pyarrow
        import pyarrow.feather
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(f"{what} is {done} by PyArrow, which is missing: pip install pyarrow") from error
    return pyarrow


def _from_file(path, kind):
    pyarrow = _pyarrow(f"{path.name} is {kind} and")
    read = pyarrow.parquet.read_table if kind == "a Parquet file" else pyarrow.feather.read_table
    try:
        with open(path, "rb") as file:
            if kind == "a Parquet file":
                _check_parquet(pyarrow.parquet.ParquetFile(file), path.name)
                file.seek(0)
            return _from_arrow(read(file), pyarrow)
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(f"{path.name} begins as {kind}, and is cut off or damaged ({shown(str(error))}).") from error


def _bytes_of(kind):
    """What a cell takes at least: of text its place alone."""
    try:
        return kind.bit_width / 8
    except ValueError:
        return 8


def _check_parquet(file, name):
    """Refuse, by its description, a file that is larger in memory than a table here may be, or has a name twice."""
    about, names = file.metadata, file.schema_arrow.names
    packed = sum(about.row_group(at).total_byte_size for at in range(about.num_row_groups))
    size = max(packed, int(about.num_rows * sum(_bytes_of(field.type) for field in file.schema_arrow)))
    if size > MAX_TABLE_BYTES:
        raise ValueError(
            f"{name} has {about.num_rows:,} rows of {len(names)} columns, {size / 2**20:,.0f} MB or more in memory; "
            f"the limit is {MAX_TABLE_BYTES / 2**20:,.0f} MB (content_table_parts.tables.MAX_TABLE_BYTES). Keep the "
            "columns that are used, or read it by pandas and pass the DataFrame."
        )
    if twice := sorted({column for column in names if names.count(column) > 1}):
        raise ValueError(f"{name} has several columns {shown(twice[0])}; rename or remove all but one.")


def _from_arrow(table, pyarrow):
    """A PyArrow table as a DataFrame in which whole numbers stay whole where some are missing."""
    whole = {getattr(pyarrow, name.lower())(): getattr(pd, f"{name}Dtype")() for name in ("Int8", "Int16", "Int32")}
    whole |= {pyarrow.int64(): pd.Int64Dtype(), pyarrow.uint32(): pd.UInt32Dtype(), pyarrow.uint64(): pd.UInt64Dtype()}
    frame = table.to_pandas(types_mapper=whole.get, ignore_metadata=True)
    return frame.loc[:, ~frame.columns.astype(str).str.fullmatch(_NAMELESS)]


def _from_memory(table):
    if isinstance(table, pd.DataFrame):
        return table
    kind = f"{type(table).__module__.partition('.')[0]}.{type(table).__name__}"
    if kind in ("polars.DataFrame", "pyarrow.Table"):
        pyarrow = _pyarrow(f"a table of {kind.partition('.')[0]}")
        return _from_arrow(table.to_arrow() if kind == "polars.DataFrame" else table, pyarrow)
    raise TypeError(
        f"table must be a path, a DataFrame of pandas or polars, or a PyArrow table, got {shown(table)}; of a "
        "LazyFrame collect() it first."
    )


def _from_csv(path, sep, encoding, told):
    found = sep or _separator(path, encoding)
    notes = (f"separated by {found!r}",) if sep is None and found != "," else ()
    read = partial(read_text, path, encoding=encoding, sep=found)
    frame = read() if told is None else _read_ratings(read, told)
    if len(frame.columns) == 1:
        raise ValueError(
            f"{path.name} has one column, {shown(frame.columns[0])}, where fields are separated by {found!r}; pass "
            "sep= as what separates them."
        )
    return _Source(frame, path.name, notes, is_csv=True)


def _read_ratings(read, told):
    """The text of a rating table, whole times as numbers: they seldom repeat, so that pandas reads them quickest."""
    try:
        with np.errstate(invalid="ignore"):  # a time such as 1e300
            return read(kinds=partial(_kinds, told, np.int64))
    except (OverflowError, TypeError, ValueError):  # times of another kind, or what is an error as text too
        return read(kinds=partial(_kinds, told, str))


def _kinds(told, whole, first):
    """What the columns of a rating table are read as, `whole` where they seem to be whole numbers of seconds."""
    kinds: dict[str, Any] = defaultdict(lambda: str)
    try:
        columns = find_columns(told, first, "", []) if len(first) else {}
    except ValueError:  # which comes again once the table is read
        return kinds
    for role, column in columns.items():
        kinds[column] = object  # text of which pandas keeps each once
        if role == "time" and _WHOLE.fullmatch(first[column].iloc[0]):
            kinds[column] = whole
    return kinds


def _separator(path, encoding):
    """What separates the fields of a header: that of which it has most."""
    with opened(path) as file:
        head = file.read(2**16)
    text = head.decode(encoding_of(head, encoding), errors="replace")
    line = text.lstrip("\ufeff\r\n").splitlines()[:1]
    widths = {sep: len(next(csv.reader(line, delimiter=sep), [])) for sep in _SEPARATORS}
    most = max(widths.values())
    best = [sep for sep, width in widths.items() if width == most]
    if most > MAX_COLUMNS:
        raise ValueError(
            f"{path.name} is not a CSV file with a header: its first line has more than {MAX_COLUMNS} fields."
        )
    if len(best) > 1 and most > 1:
        raise ValueError(f"{path.name} may be separated by any of {best}: {shown(line[0])}; pass sep=.")
    return best[0]


# ---- Columns ---------------------------------------------------------------------------------------------------------


def find_columns(told: dict[str, Any], frame: pd.DataFrame, name: str, notes: list[str]) -> dict[str, str]:
    """{role: column}; what was found by its usual name goes into the notes."""
    taken = {role: column_told(role, column, frame, name) for role, column in told.items() if isinstance(column, str)}
    found = {}
    for role, column in told.items():
        if column is None:
            usual = _USUAL[role].split()
            same = [each for each in frame.columns if _bare(each) in usual and each not in taken.values()]
            if len(same) == 1:
                found[role] = same[0]
            elif role in _NEEDED:
                raise ValueError(_lost(role, same, frame, name))
            elif same:
                notes.append(f"no {role}, because several columns may be it: {shown(same)}")
        elif column is not False and not isinstance(column, str):
            raise ValueError(f"{role} must be the name of a column, got {shown(column)}.")
        elif column is False and role in ("user", "item"):
            raise ValueError(f"{role} must be the name of a column, got False; it cannot be left out.")
    if found:
        notes.insert(0, "taken by name: " + ", ".join(f"{role}={shown(column)}" for role, column in found.items()))
    columns = {role: (taken | found)[role] for role in told if role in taken | found}
    twice = [column for column in columns.values() if list(columns.values()).count(column) > 1]
    if twice or frame.columns[frame.columns.isin(list(columns.values()))].has_duplicates:
        raise ValueError(f"{name}: a column may stand for one thing and have one name, got {shown(columns)}.")
    check_once(columns.values(), frame, name)
    return columns


def _bare(column):
    return plain_title(column).replace(" ", "")


def column_told(role: str, told: str, frame: pd.DataFrame, name: str) -> str:
    """The column that is meant: of exactly this name, else of it but for case and spaces."""
    if told in frame.columns:
        check_once([told], frame, name)
        return told
    same = [
        each for each in frame.columns if " ".join(str(each).split()).casefold() == " ".join(told.split()).casefold()
    ]
    if len(same) == 1:
        return same[0]
    bare = {_bare(each): each for each in frame.columns}
    close = [bare[key] for key in difflib.get_close_matches(_bare(told), bare, 3)]
    hint = f"; did you mean {shown(close)}?" if close else "."
    raise ValueError(f"{role}: {name} has no column {shown(told)}; it has {shown(list(frame.columns))}{hint}")


def _lost(role, same, frame, name):
    has = f"several columns may be the {role}, {shown(same)}" if same else f"no column is known as the {role}"
    none = " Where a row is a purchase or a view without a rating, pass rating=False." if role == "rating" else ""
    return f"{role}: in {name} {has}; pass {role}= as one of {shown(list(frame.columns))}.{none}"


# ---- Cells -----------------------------------------------------------------------------------------------------------


def _parsed(frame, columns, source, decimal):
    """Text as numbers, ids and dates, NaN where blank; what is none is an error that names the row."""
    for role in frame:
        if isinstance(frame[role].dtype, pd.CategoricalDtype):
            frame = frame.assign(**{role: frame[role].astype(object)})
        check_cells(frame[role], role, columns[role], source.name)
    is_text = {role: pd.api.types.infer_dtype(frame[role], skipna=True) == "string" for role in frame}
    read = {"rating": _points(frame["rating"], is_text["rating"], decimal, columns["rating"], source.name)}
    for role in ("user", "item", "title"):
        if role in frame and is_text[role] and (role == "title" or source.is_csv):
            read[role] = _by_value(frame[role], _texts if role == "title" else _ids)
    if "time" in frame:
        read["time"] = _moments(frame["time"], is_text["time"], columns["time"], source.name)
    return frame.assign(**read)


_NO_CELLS = ("time", "timedelta", "timedelta64", "period", "interval", "bytes")
_NESTED = (list, tuple, dict, set, np.ndarray)


def check_cells(column: pd.Series, role: str, label: Any, name: str) -> None:
    """Refuse lists and the like in a cell, which are nobody's id, and hours and durations, which are no moments."""
    kind = pd.api.types.infer_dtype(column, skipna=True)
    nested = next((cell for cell in column if isinstance(cell, _NESTED)), None) if "mixed" in kind else None
    if kind in _NO_CELLS or nested is not None:
        found = kind if kind in _NO_CELLS else f"{type(nested).__name__} such as {shown(nested)}"
        raise ValueError(f"{role}: column {label!r} of {name} must hold numbers, texts or dates, got {found}.")


def _by_value(column, read):
    """`read(distinct texts)` for every row, missing where the cell is: columns repeat few values many times."""
    codes, texts = pd.factorize(column, use_na_sentinel=True)
    values = pd.Series(read([text.strip() for text in texts]))
    rows = values.reindex(codes) if (codes < 0).any() else values.iloc[codes]
    return rows.set_axis(column.index)


def _texts(texts):
    return np.array([text or None for text in texts], dtype=object)


def _ids(texts):
    """Whole numbers where all of a column are written as such, else text."""
    if all(_WHOLE.fullmatch(text) for text in texts if text):
        try:
            with np.errstate(invalid="ignore"):
                return pd.array([int(text) if text else None for text in texts], dtype="Int64")
        except (OverflowError, TypeError, ValueError):  # beyond 64 bits, or more digits than Python reads
            pass
    return _texts(texts)


def ids_from(column: pd.Series, is_csv: bool) -> pd.Series:
    """A column of ids; those of a CSV as whole numbers where all are written as such."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    check_cells(column, "item", column.name, "the table")
    return _by_value(column, _ids) if is_csv else column


def points_from(column: pd.Series, decimal: str, name: str) -> np.ndarray:
    """A column of numbers, NaN where blank; what is none is an error that names the row."""
    is_text = pd.api.types.infer_dtype(column, skipna=True) == "string"
    return np.asarray(_points(column, is_text, decimal, column.name, name), dtype=float)


def _refuse(bad, column, what, label, name, hint=""):
    """The error for the cells that are no `what`."""
    at = bad.to_numpy().argmax()
    raise ValueError(
        f"{name}: {bad.sum()} values of column {label!r} are no {what}, the first is {shown(column.iloc[at])} in data "
        f"row {at + 1}{hint or '.'}"
    )


def _number(text, decimal):
    """A text as a float, NaN where it is none."""
    if decimal == ",":
        text = "" if "." in text else text.replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else np.nan


def _points(column, is_text, decimal, label, name):
    """Rating points as floats."""
    if is_text:
        values = _by_value(column, lambda texts: [_number(text, decimal) for text in texts])
        blank = column.isna() | (column.str.strip() == "") if values.isna().any() else column.isna()
    else:
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if kind in ("complex", "bytes", "period", "interval") or kind.startswith(("date", "time")):
            raise ValueError(f"rating: column {label!r} of {name} must hold rating points, got {kind}.")
        blank = column.isna()
        values = pd.Series(pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan), column.index)
    bad = ~np.isfinite(values) & ~blank
    if bad.any():
        other = "." if decimal == "," else ","
        meant = is_text and other in column[bad].iloc[0]
        _refuse(bad, column, "finite numbers", label, name, f"; was decimal={other!r} meant?" if meant else "")
    return values


def _moments(column, is_text, label, name):
    """Times as numbers or dates."""
    if is_text:
        values = _by_value(column, _times)
        blank = column.isna() | (column.str.strip() == "") if values.isna().any() else column.isna()
        hint = (
            "; write 2024-05-31 or 2024-05-31T18:30:00, or pass a DataFrame with dates, such as "
            "pd.to_datetime(frame[...], format='%d.%m.%Y')."
        )
        if (values.isna() & ~blank).any():
            _refuse(values.isna() & ~blank, column, "numbers or ISO dates", label, name, hint)
    else:
        dates = pd.api.types.infer_dtype(column, skipna=True) in ("date", "datetime")
        values = pd.to_datetime(column) if dates else column
        blank = values.isna()
    if blank.any():
        _refuse(blank, column, "times, but blank", label, name, "; leave these rows out, or pass time=False.")
    return values


def _times(texts):
    """Numbers where all of a column are numbers, else dates in UTC, NaT where they are none."""
    if all(_NUMBER.fullmatch(text) for text in texts if text):
        column = pd.Series(texts, dtype=object).replace("", None)
        try:
            numbers = pd.to_numeric(column)
        except ValueError:  # what pandas 2 says of whole numbers beyond 64 bits
            return column.astype(float)
        return numbers if numbers.dtype.kind in "if" else numbers.astype(float)  # and pandas 3 gives them as they are
    dated = [text if any(map(str.isdigit, text)) else "" for text in texts]  # "now" is no date of a rating
    return pd.to_datetime(pd.Series(dated, dtype=object), format="ISO8601", errors="coerce", utc=True)


# ---- Rows ------------------------------------------------------------------------------------------------------------


def _without_gaps(frame, scale, name):
    """(rows with a user, an item and a rating, {what the others lack: count})"""
    nobody = frame[["user", "item"]].isna().any(axis=1)
    nothing = frame["rating"].isna()
    if scale is not None and min(scale) > 0:
        nothing |= frame["rating"] == 0
    gaps = {"no user or no item": nobody, "no rating": nothing & ~nobody}
    kept = frame[~(nobody | nothing)] if (nobody | nothing).any() else frame
    if kept.empty:
        raise ValueError(f"{name} holds no rating with a user and an item ({len(frame)} rows).")
    whole = [role for role in ("user", "item") if kept[role].dtype == pd.Int64Dtype()]
    kept = kept.astype(dict.fromkeys(whole, np.int64))  # none is missing any more, and NumPy's are quicker
    return kept, {reason: int(hit.sum()) for reason, hit in gaps.items() if hit.any()}


def _in_order(frame):
    """By time, those of one moment by the order of the file; by that alone where there are no times."""
    return frame.sort_values("time", kind="stable") if "time" in frame else frame


def _newest_titles(frame, columns, dropped, name):
    """One title an item, the newest; older ones are counted."""
    at, ids = pd.factorize(frame["item"])
    if first_labels(at, len(ids), frame["title"])[1]:
        return frame
    names = _in_order(frame)[["user", "item", "title"]].dropna(subset="title")
    names = names.drop_duplicates(["user", "item", "title"], keep="last")
    distinct = names.drop_duplicates(["item", "title"], keep="last")
    newest = distinct.drop_duplicates("item", keep="last")
    older = len(distinct) - len(newest)
    if older:
        by_user = names.drop_duplicates(["user", "item"]).groupby("user")
        several = by_user["item"].nunique() > 1
        if several.any() and (by_user["title"].nunique() == 1).all():
            raise ValueError(
                f"{name}: every user has one {columns['title']!r} and items have several, so the columns "
                f"{columns['user']!r} and {columns['item']!r} look swapped."
            )
        dropped["older names of items, the newest kept"] = older
    return frame.assign(title=frame["item"].map(newest.set_index("item")["title"]))


def _once(frame, repeats, dropped, columns, name):
    """One row for every user and item."""
    if not pairs_repeat(frame["user"], frame["item"]):
        return frame
    twice = frame.duplicated(["user", "item"], keep=False)
    if repeats == "error":
        pair = [frame.loc[twice, role].iloc[0] for role in ("user", "item")]
        same = frame[(frame["user"] == pair[0]) & (frame["item"] == pair[1])]
        user, item = (shown(key.item() if isinstance(key, np.generic) else key) for key in pair)
        raise ValueError(
            f"{name}: {twice.sum()} rows repeat a user and an item, the first are {columns['user']} {user} with "
            f"{columns['item']} {item} in data rows {[at + 1 for at in same.index[:3]]}, rated "
            f"{same['rating'].tolist()[:3]}; pass repeats='last' to keep the last by time or of the file, or 'mean'."
        )
    if repeats == "mean":
        frame = frame.assign(rating=frame.groupby(["user", "item"], sort=False)["rating"].transform("mean"))
    kept = _in_order(frame).drop_duplicates(["user", "item"], keep="last").sort_index()
    dropped[f"repeats, the {repeats} kept"] = len(frame) - len(kept)
    return kept


def _counted(frame, notes):
    """One row for every user and item, how many they had in place of the rating."""
    counts = frame.groupby(["user", "item"], sort=False)["rating"].transform("sum")
    notes.append(f"no ratings: rows of a user and an item are counted, 1 to {counts.max():g}")
    return _in_order(frame.assign(rating=counts)).drop_duplicates(["user", "item"], keep="last").sort_index()


def _observed_scale(points, rating, notes, name):
    low, high = float(points.min()), float(points.max())
    if rating is False:
        return 0.0, high  # of counts
    if low == high:
        raise ValueError(f"{name}: every rating is {low:g}, so their scale does not show; pass scale=(low, high).")
    notes.append("the scale is that of the ratings met")
    return low, high


# ---- Tables out ------------------------------------------------------------------------------------------------------


def write_frames(
    path: str | Path, frame_of: Callable[[np.ndarray], pd.DataFrame], n_rows: int, progress: bool = False
) -> None:
    """Write the frames of the positions 0 to n_rows - 1, `frame_of(positions)`, one under the other to a Parquet or CSV
    file by the end of its name: `BLOCK` positions at a time, whole or not at all; `progress` shows a bar."""
    path = as_path(path)
    writers = {".parquet": _write_parquet, ".csv": _write_csv}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise ValueError(f"path must end in {' or '.join(writers)}, got {shown(path.name)}.")
    if write is _write_parquet:
        _pyarrow(f"{path.name} is a Parquet file, which", "written")

    def frames():
        for at in range(0, n_rows, BLOCK):
            positions = np.arange(at, min(at + BLOCK, n_rows))
            yield frame_of(positions)
            bar.update(len(positions))

    with tqdm(total=n_rows, desc=path.name, disable=not progress) as bar:
        write_whole(path, lambda temporary: write(temporary, frames()))


def _write_csv(path: Path, frames: Iterator[pd.DataFrame]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        for at, frame in enumerate(frames):
            frame.to_csv(file, index=False, header=at == 0, lineterminator="\n")


def _write_parquet(path: Path, frames: Iterator[pd.DataFrame]) -> None:
    import pyarrow
    import pyarrow.parquet

    first = pyarrow.Table.from_pandas(next(frames), preserve_index=False)
    text = pyarrow.string()  # of a column without a value nothing tells its type
    kinds = [field.with_type(text) if pyarrow.types.is_null(field.type) else field for field in first.schema]
    schema = pyarrow.schema(kinds, first.schema.metadata)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        writer.write_table(first.cast(schema))
        for frame in frames:
            writer.write_table(pyarrow.Table.from_pandas(frame, schema, preserve_index=False))
