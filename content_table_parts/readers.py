"""Files in: the three schemas of rating tables, and the list that somebody already keeps."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, XMLParser

from content_table_parts.ratings import Ratings, as_path, need_ratings, pairs_repeat, scale_ends
from content_table_parts.settings import shown
from content_table_parts.titles import plain_title, squashed

# ---- Files, packed or not --------------------------------------------------------------------------------------------

MAX_TABLE_BYTES = 2**30  # of what is packed; the largest MovieLens unpacks to 0.9 GB
MAX_COLUMNS = 1000
_PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_FOREIGN = {
    b"PK": "a zip or an Excel workbook, perhaps cut off: unpack it, or save the sheet as CSV UTF-8",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it first",
}
# The last but one: a zip with a password, or packed in a way that Python does not read.
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, RuntimeError, zipfile.BadZipFile)
AnyPath = str | Path | zipfile.Path  # the last: a file inside a zip, read there


@contextmanager
def opened(path: AnyPath, limit: int = MAX_TABLE_BYTES) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked if its first bytes, whatever its name, say gzip, bzip2 or xz, or read in a zip.

    What is packed is unpacked once in blocks that nobody keeps before anything is read: a damaged file, or one of more
    than `limit` bytes, is refused there.

    Raises
    ------
    FileNotFoundError, ValueError : no such file; cut off, damaged, too large, a zip or zstd.
    """
    place: Any = path if isinstance(path, zipfile.Path) else as_path(path)
    if not place.is_file():
        raise FileNotFoundError(f"no such file: {place}")
    unpack: Any = zipfile.Path.open if isinstance(path, zipfile.Path) else _unpacker(place)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(unpack(place, "rb") if unpack else place.open("rb"))
            if unpack:
                _check_size(file, place.name, limit)
        except _DAMAGED as error:
            if not unpack:
                raise
            if "encrypted" in str(error):
                raise ValueError(f"{place.name} is locked by a password: unpack it, and give the path.") from error
            raise ValueError(f"{place.name} is cut off or damaged ({error}); download it again.") from error
        yield file


def _unpacker(path):
    """What opens a packed file, by its first bytes; None where it is not packed."""
    with open(path, "rb") as file:
        head = file.read(8)
    for mark, what in _FOREIGN.items():
        if head.startswith(mark):
            raise ValueError(f"{path.name} is {what}.")
    return next((unpack for mark, unpack in _PACKED.items() if head.startswith(mark)), None)


def _check_size(file, name, limit):
    """Read it once without keeping anything, so that no packed bomb goes off."""
    left = limit
    while block := file.read(2**18):
        left -= len(block)
        if left < 0:
            raise ValueError(f"{name} unpacks to more than {limit / 2**20:g} MB, which no table or list here does.")
    file.seek(0)


_EXACT = {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}  # from 3 on it is so


def read_text(
    path: AnyPath,
    limit: int = MAX_TABLE_BYTES,
    encoding: str = "utf-8",
    kinds: Callable[[pd.DataFrame], Mapping] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """A CSV as text, blanks kept as blanks, so that we decide what is a number and what is missing.

    UTF-8 or the `encoding` told, or UTF-16 with its byte order mark; packed as `opened` says; `options` are those of
    pandas. `kinds` may tell other types, {column: type}, from the header and the first row.
    """
    options = {"dtype": str, "keep_default_na": False} | _EXACT | options
    with opened(path, limit) as file, io.TextIOWrapper(file, _encoding(file, path, encoding), newline="") as text:
        try:
            header = _header(text, options.get("sep", ","), path)
            if kinds is not None:
                options["dtype"] = kinds(pd.read_csv(text, nrows=1, **options))
                text.seek(0)
            table = pd.read_csv(text, **options)
            if not isinstance(table.index, pd.RangeIndex):  # pandas takes a surplus first field for row names
                raise pd.errors.ParserError("the rows have more fields than the header")
            table.attrs[_REPEATED] = [] if "names" in options else sorted({n for n in header if header.count(n) > 1})
            return table
        except UnicodeError as error:
            raise ValueError(
                f"{path} is not a CSV file with a header in {encoding.upper()} ({error}); save it as CSV UTF-8 "
                "(load_table has encoding=)."
            ) from error
        except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
            where = _what_is_wrong(text, options.get("sep", ","), error)
            raise ValueError(f"{path} is not a CSV file with a header: {where}") from error


def read_typed(path: AnyPath, ids: Mapping[str, str], points: Iterable[str], **options: Any) -> pd.DataFrame:
    """As `read_text`, with the columns `ids` (and what an error calls them) as whole numbers, exactly, and `points` as
    floats, NaN where blank.

    pandas reads the numbers, ten times as quickly as by way of text; whatever it will not have is read as text, so
    that an error names the row.
    """
    points = list(points)
    kinds: dict[str, Any] = defaultdict(lambda: str, dict.fromkeys(ids, np.int64) | dict.fromkeys(points, float))
    try:
        with np.errstate(invalid="ignore"):  # an id such as 1e300
            table = read_text(path, dtype=kinds, na_values={name: [""] for name in points}, **options)
        if not np.isinf(table[points].to_numpy()).any():
            return table
    except (TypeError, ValueError, OverflowError):
        pass
    table = read_text(path, **options)
    read = {name: ids_of(table[name], path, what) for name, what in ids.items()}
    return table.assign(**read | {name: numbers_of(table[name], path) for name in points})


def encoding_of(head: bytes, told: str) -> str:
    """The encoding whose byte order mark a text begins with, else the one told."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return codecs.lookup(told).name


def _encoding(file, path, told):
    """The encoding that a text begins with; what cannot be a table is refused before pandas reads all of it."""
    head = file.read(2**16)
    file.seek(0)
    encoding = encoding_of(head, told)
    if not encoding.startswith(("utf-16", "utf-32")) and b"\0" in head:
        raise ValueError(
            f"{path} is not a CSV file with a header: it holds zero bytes, as pictures, programs and UTF-16 without "
            "its mark do; save it as CSV UTF-8."
        )
    return encoding


def _header(text, sep, path):
    """The fields of the first line, which is not endless; the text is then at its beginning again."""
    head = io.StringIO(text.read(2**16), newline="")
    text.seek(0)
    try:
        fields = next((row for row in csv.reader(head, delimiter=sep) if row), [])
    except csv.Error as error:
        raise pd.errors.ParserError(str(error)) from error
    if len(fields) > MAX_COLUMNS:
        raise ValueError(f"{path} is not a CSV file with a header: its first line has more than {MAX_COLUMNS} fields.")
    if head.tell() == 2**16:
        raise ValueError(
            f"{path} is not a CSV file with a header: its first line has more than {2**16:,} characters; is a "
            f"quote left open before {shown(fields[-1])}?"
        )
    line = sep.join(fields).strip("\ufeff ")
    if line.casefold() in ("sep=,", "sep=;", "sep=\t") or (len(fields) == 1 and re.match(r"#[^;\t]*$", line)):
        raise ValueError(f"{path} is not a CSV file with a header: its first line is {shown(line)}; remove this line.")
    return [field.strip("\ufeff") for field in fields]


_REPEATED = "content_table: repeated"  # among the attrs of a table: the names that its header has more than once


def check_once(columns: Iterable[Any], table: pd.DataFrame, name: str) -> None:
    """Refuse a table of `read_text` whose header has one of these columns more than once: which is meant?"""
    for column in columns:
        if column in table.attrs.get(_REPEATED, ()):
            raise ValueError(
                f"{name} has several columns {shown(column)}: the header must have a name of its own for each column "
                "that is used; rename or remove all but one."
            )


def _what_is_wrong(text, sep, error):
    """Why pandas reads no table, in words where we know better."""
    if isinstance(error, pd.errors.EmptyDataError):
        return "it is empty"
    if "EOF inside string" in str(error):
        return f"a quote is left open ({error})"
    text.seek(0)
    if text.read(1) == "#":
        return f"its first line begins with '#'; if that is a comment, remove it ({error})"
    return _surplus_fields(text, sep) or error


def _surplus_fields(text, sep):
    """Which line is the first to have more fields than the header, in words; None where none has."""
    text.seek(0)
    rows = csv.reader(text, delimiter=sep)
    try:
        width = len(next(rows))
        for row in rows:
            if len(row) > width:
                decimal = sep == "," and all(field.isdecimal() for field in row[-2:])
                guess = "is a comma the sign of decimals" if decimal else "does a title hold a comma"
                return f"line {rows.line_num} has {len(row)} fields, the header {width}; {guess} without quotes?"
    except (csv.Error, UnicodeError, StopIteration):
        return None  # what pandas said must do


# ---- The three schemas of rating tables ------------------------------------------------------------------------------

_COURSE = ("u_id", "a_id", "profile", "title", "score")
_MOVIELENS = ("userId", "movieId", "rating", "timestamp")
_REVIEWS = ("uid", "profile", "anime_uid", "score")
_IDS = "whole-number ids"


def load_ratings(path: str | Path, conflicts: str = "error", scale: tuple[float, float] | None = None) -> Ratings:
    """Read a course file, MovieLens in any of its layouts or the raw MyAnimeList dump; the columns tell which.

    Parameters
    ----------
    path : str or Path
        A course CSV (u_id, a_id, profile, title, score); MovieLens's zip as downloaded, its folder, or its table:
        ratings.csv (userId, movieId, rating, timestamp; latest, 20M to 32M), ratings.dat (`::`; 1M, 10M), u.data
        (tabs; 100K), titles from movies.csv, movies.dat or u.item beside it; or a folder or zip with the dump's
        animes.csv and reviews.csv, whose users are numbered in order of first appearance. Text is UTF-8, or UTF-16
        with its mark. A file may be packed by gzip, bzip2 or xz, whatever its name; none may unpack to more than
        `MAX_TABLE_BYTES`. Tables with other columns: `load_table`.
    conflicts : "error" or "last"
        What to do when one user rates one item twice with different scores. Repeats that agree are dropped and counted.
    scale : (low, high), optional
        Of the ratings, both ends included; default: 0.5 to 5 for MovieLens, where u.data, or a ratings.dat without
        half stars, has 1 to 5; 1 to 10 for the others.

    Returns
    -------
    Ratings : `dropped` counts the rows left out. A blank is missing, never a rating, and so is a score of 0 on a scale
    that begins above it.

    Raises
    ------
    FileNotFoundError, ValueError : what was expected, what came, and the likely cause.
    """
    _check_conflicts(conflicts)
    path = as_path(path)
    if scale is not None:
        scale_ends(scale)
    if path.is_dir():
        return _load_one(_table_in(path), conflicts, scale)
    if not _is_zip(path):
        return _load_one(path, conflicts, scale)
    try:
        with zipfile.ZipFile(path) as packed:
            return _load_one(_table_in(zipfile.Path(packed)), conflicts, scale)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path.name} is cut off or damaged ({error}); download it again.") from error


_TABLES = ("reviews.csv", "ratings.csv", "ratings.dat", "u.data")


def _is_zip(path):
    """Whether a file is a zip from its first bytes to its list of contents at the end."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(2) == b"PK" and zipfile.is_zipfile(file)


def _table_in(place):
    """The table of ratings in a folder, or in a zip or a folder at its top."""
    if not isinstance(place, zipfile.Path):
        name, found = place, [place / name for name in _TABLES if (place / name).is_file()]
        if not found:
            raise FileNotFoundError(
                f"{place} holds neither reviews.csv (MyAnimeList dump) nor ratings.csv, ratings.dat or u.data "
                "(MovieLens)."
            )
    else:
        name, names = Path(place.root.filename).name, place.root.namelist()
        folders = [place, *(each for each in place.iterdir() if each.is_dir())]
        found = [folder / name for folder in folders for name in _TABLES if (folder / name).is_file()]
        found = [table for table in found for _ in range(names.count(table.at))]  # two may have one name
        if not found:
            raise ValueError(
                f"{name} is a zip or an Excel workbook that holds none of {list(_TABLES)}, only {shown(names)}: unpack "
                "it, or save the sheet as CSV UTF-8."
            )
    if len(found) > 1:
        tables = [getattr(table, "at", table.name) for table in found]
        raise ValueError(
            f"{name} holds several tables of ratings, {shown(tables)}: "
            f"{'' if isinstance(place, Path) else 'unpack it, and '}give the path of the one that is meant."
        )
    return found[0]


def _load_one(path, conflicts, scale):
    """One file, by its header or, where it has none, its first line."""
    table = read_text(path, nrows=0)
    header, told = table.columns, () if scale is None else (scale,)
    for first_line, load in {r"\d+::\d+::[\d.]+::-?\d+": _load_dat, r"\d+\t\d+\t\d+\t\d+": _load_100k}.items():
        if re.fullmatch(first_line, ",".join(header)):
            return load(path, conflicts, *told)
    schemas = {_COURSE: _load_course, _MOVIELENS: _load_movielens, _REVIEWS: _load_dump}
    for columns, load in schemas.items():
        if set(columns) <= set(header):
            check_once(columns, table, path.name)
            return load(path, conflicts, *told)
    if len(header) == 1 and "::" in header[0]:
        raise ValueError(f"{path.name} begins with {shown(header[0])}; a ratings.dat has no header: remove this line.")
    if len(header) == 1 and any(sign in header[0] for sign in ";\t"):
        raise ValueError(
            f"{path.name} has one column, {shown(header[0])}: is it separated by semicolons or tabs? Save it with "
            "commas, or read it by load_table."
        )
    closest = max(schemas, key=lambda columns: len(set(columns) & set(header)))
    raise ValueError(
        f"{path.name} has columns {shown(list(header))}; the closest known schema is {list(closest)}, of which "
        f"{sorted(set(closest) - set(header))} is missing. Was a column renamed, or the header row cut off? "
        "load_table reads a table with any columns; on the command line name them by --user, --item and --rating."
    )


def _check_conflicts(conflicts):
    if not isinstance(conflicts, str) or conflicts not in ("error", "last"):
        raise ValueError(f"conflicts must be 'error' or 'last', got {shown(conflicts)}.")


def numbers_of(column: pd.Series, path: AnyPath) -> pd.Series:
    """A text column as floats, NaN where blank; anything else that is not a finite number is an error with its line."""
    codes, texts = pd.factorize(column)  # ratings repeat few texts many times
    text = pd.Series(texts).str.strip()
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    bad = (text != "") & ~np.isfinite(numbers)
    values = numbers.reindex(codes).set_axis(column.index).rename(column.name)
    if bad.any():
        bad = bad.reindex(codes, fill_value=True).set_axis(column.index)
        at = bad[bad].index[0]
        raise ValueError(
            f"{Path(str(path)).name}: {bad.sum()} values of {column.name!r} are not finite numbers, the first is "
            f"{shown(column[at])} in data row {at + 1}{'; write decimals with a point' if ',' in column[at] else ''}."
        )
    return values


def ids_of(column: pd.Series, path: AnyPath, what: str = _IDS) -> pd.Series:
    """A text column of ids (or of `what` an error shall call them) as integers, exactly."""
    values = numbers_of(column, path)
    bad = values.isna() | (values % 1 != 0)
    if bad.any():
        at = bad[bad].index[0]
        raise ValueError(
            f"{Path(str(path)).name}: {bad.sum()} values of {column.name!r} are not {what}, the first is "
            f"{shown(column[at])} in data row {at + 1}."
        )
    if not values.abs().max() >= 2**53:
        return values.astype(np.int64)
    try:  # a float cannot tell larger ones apart
        exact = np.fromiter(map(int, column.str.strip()), dtype=np.int64, count=len(column))
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{Path(str(path)).name}: {what} in {column.name!r} do not fit into 64 bits ({shown(str(error))})."
        ) from error
    return pd.Series(exact, column.index, name=column.name)


def _tidy(frame, user, item, score, conflicts, path, scale=(1.0, 10.0)):
    """Drop what is missing or said twice, with counts; refuse what contradicts itself."""
    missing = frame[score].isna() | ((frame[score] == 0) & (min(scale) > 0))
    known = frame[~missing] if missing.any() else frame
    if known.empty:
        raise ValueError(
            f"{Path(str(path)).name} holds no rating ({len(frame)} rows, {missing.sum()} of them without a score)."
        )
    if not pairs_repeat(known[user], known[item]):
        return known, {"no score": int(missing.sum())} if missing.any() else {}
    distinct = known.drop_duplicates([user, item, score], keep="last")
    twice = distinct.duplicated([user, item], keep=False)
    dropped = {"no score": int(missing.sum()), "repeats": len(known) - len(distinct)}
    if twice.any() and conflicts == "error":
        first = distinct[twice].sort_values([user, item], kind="stable")[:2]
        who = ", ".join(
            f"{name} {first[name].tolist()[0]!r}"
            for name in dict.fromkeys((user, item, "profile", "title"))
            if name in first
        )
        raise ValueError(
            f"{Path(str(path)).name}: {twice.sum()} rows contradict each other, the first are {who} with {score} "
            f"{first[score].tolist()}; pass conflicts='last' to keep the later."
        )
    tidy = distinct.drop_duplicates([user, item], keep="last")
    dropped["conflicts, the later kept"] = len(distinct) - len(tidy)
    return tidy, {reason: count for reason, count in dropped.items() if count}


def _load_course(path, conflicts, scale=(1.0, 10.0)):
    frame = read_typed(path, dict.fromkeys(("u_id", "a_id"), _IDS), ["score"])
    tidy, dropped = _tidy(frame, "u_id", "a_id", "score", conflicts, path, scale)
    options = {"title": "title", "name": "profile", "scale": scale, "dropped": dropped, "has_seasons": True}
    return Ratings.from_frame(tidy, "u_id", "a_id", "score", **options)


_NUMBERS = dict.fromkeys(("userId", "movieId"), _IDS) | {"timestamp": "whole seconds"}


def _load_movielens(path, conflicts, scale=(0.5, 5.0)):
    films = path.parent / "movies.csv"
    titles = _catalogue(films, "movieId") if films.is_file() else None
    return _films_rated(read_typed(path, _NUMBERS, ["rating"]), titles, conflicts, path, scale)


def _load_dat(path, conflicts, scale=None):
    """MovieLens 1M and 10M; between two colons pandas sees a column, which must be blank."""
    blank = ["a", "b", "c"]
    names = ["userId", "a", "movieId", "b", "rating", "c", "timestamp"]
    frame = read_typed(path, _NUMBERS, ["rating", *blank], sep=":", header=None, names=names)
    strange = frame[blank].notna().any(axis=1)
    if strange.any():
        raise ValueError(f"{path.name}: data row {strange.idxmax() + 1} has more than four fields between '::'.")
    halves = bool((frame["rating"] % 1 != 0).any())
    titles = _film_lines(path.parent / "movies.dat", "::")
    return _films_rated(frame, titles, conflicts, path, scale or (0.5 if halves else 1.0, 5.0))


def _load_100k(path, conflicts, scale=(1.0, 5.0)):
    frame = read_typed(path, _NUMBERS, ["rating"], sep="\t", header=None, names=list(_MOVIELENS))
    return _films_rated(frame, _film_lines(path.parent / "u.item", "|"), conflicts, path, scale)


def _film_lines(path, sep):
    """Titles by id from movies.dat or u.item, lines of id, title and more, in older sets Latin-1; None: no file."""
    if not path.is_file():
        return None
    with opened(path) as file:
        data = file.read()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = [line.rstrip("\r").split(sep) for line in text.split("\n") if line.strip()]
    bad = [at for at, fields in enumerate(lines, 1) if len(fields) < 3]
    if bad:
        raise ValueError(f"{path.name}: line {bad[0]} needs an id, a title and genres with {sep!r} between them.")
    ids = ids_of(pd.Series([fields[0] for fields in lines], name="movieId"), path)
    return _first_titles(pd.Series([fields[1] for fields in lines], dtype=str), ids)


def _films_rated(frame, titles, conflicts, path, scale):
    tidy, dropped = _tidy(frame, "userId", "movieId", "rating", conflicts, path, scale)
    options = {"time": "timestamp", "scale": scale, "dropped": dropped}
    ratings = Ratings.from_frame(tidy, "userId", "movieId", "rating", **options)
    return ratings if titles is None else ratings._titled(_named(ratings.item_ids, titles))


def _catalogue(path, key):
    """The title of each id, from the first row of a catalogue that has one."""
    catalogue = read_text(path)
    if not {key, "title"} <= set(catalogue.columns):
        raise ValueError(f"{path.name} needs the columns {key!r} and 'title', got {list(catalogue.columns)}.")
    check_once((key, "title"), catalogue, path.name)
    return _first_titles(catalogue["title"], ids_of(catalogue[key], path))


def _first_titles(titles, ids):
    """The first title of each id, by id; a blank is none."""
    named = pd.Series(titles.to_numpy(), index=ids)[(titles.str.strip() != "").to_numpy()]
    return named[~named.index.duplicated()]


def _named(items, titles):
    """The title of each item id, missing where it has none."""
    return titles.astype(object).reindex(items)


def _load_dump(path, conflicts, scale=(1.0, 10.0)):
    reviews = read_text(path)
    nameless = (reviews["profile"].str.strip() == "") | (reviews["anime_uid"].str.strip() == "")
    frame = reviews[~nameless].copy()
    frame["a_id"], frame["score"] = ids_of(frame["anime_uid"], path), numbers_of(frame["score"], path)
    frame["u_id"] = pd.factorize(frame["profile"])[0]  # the number of a viewer: order of first appearance
    tidy, dropped = _tidy(frame, "u_id", "a_id", "score", conflicts, path, scale)
    if nameless.any():
        dropped["no profile or no title id"] = int(nameless.sum())
    titles = _catalogue(path.parent / "animes.csv", "uid")
    options = {"name": "profile", "scale": scale, "dropped": dropped, "has_seasons": True}
    ratings = Ratings.from_frame(tidy, "u_id", "a_id", "score", **options)
    return ratings._titled(_named(ratings.item_ids, titles))


# ---- The list that somebody already keeps ----------------------------------------------------------------------------

MAX_EXPORT_BYTES = 2**25  # unpacked; a list of 25,000 titles takes about 25 MB, half a million fields
MAX_EXPORT_ENTRIES = 40_000
_MAX_FIELDS = 2**20  # of an export in all, and then of one entry
_MAX_ENTRY_FIELDS = 1000
_MAX_CHARACTERS = 2**21  # characters of ids, titles, scores and states in all
_MAX_MARK = 2**18  # bytes of one tag or comment: older parsers read one from its start again for every block
_EXPORT_NAMES = {
    "item": ("item_id", "series_animedb_id", "anime_id", "a_id", "movieId"),
    "title": ("title", "series_title", "name"),
    "score": ("score", "my_score", "rating"),
    "status": ("status", "my_status"),
}
_WANTED = {name for names in _EXPORT_NAMES.values() for name in names}


@dataclass(frozen=True)
class OwnList:
    """The list that somebody keeps, matched to the titles of a table.

    ratings : dict of item id -> rating, ready for `fold_in`
    seen : list of item ids begun or finished, rated or not: nothing to recommend
    unmatched : DataFrame (item, title, score), the rated titles that the table does not have
    dropped : dict, how many entries were left out, by reason
    """

    ratings: dict
    seen: list
    unmatched: pd.DataFrame
    dropped: dict

    def __repr__(self):
        left = [f"{count} {reason}" for reason, count in self.dropped.items() if count]
        return f"OwnList({'; '.join([f'{len(self.ratings)} ratings of known titles', *left])})"


def load_mal_export(path: str | Path, ratings: Ratings | None = None, conflicts: str = "error") -> OwnList:
    """Read a MyAnimeList export (animelist.xml, also gzipped), or a CSV with an id or title, and a score.

    Nothing leaves the machine, and the file is not trusted: entities and document types are refused, and so is a file
    of more than `MAX_EXPORT_BYTES` (unpacked) or `MAX_EXPORT_ENTRIES`.

    Parameters
    ----------
    path : str or Path
        XML: `myanimelist` with `anime` entries (series_animedb_id, series_title, my_score 0 to 10, my_status). CSV: a
        column item_id (or series_animedb_id, anime_id, a_id, movieId), or title (series_title, name), or both; score
        (my_score, rating); status, if known.
    ratings : Ratings, optional
        The table whose titles are meant: by id, else by a title, or another name of it, that agrees but for case and
        punctuation. Without it the ids of the file are taken as they are.
    conflicts : "error" or "last"
        Where a title is scored twice, differently. Repeats that agree are dropped and counted.

    Returns
    -------
    OwnList : a score of 0 or blank is no rating.

    Raises
    ------
    FileNotFoundError, ValueError : what was expected, what came, and the likely cause; a manga list, ids of another
        catalogue and scores outside the scale among them.
    """
    _check_conflicts(conflicts)
    path = as_path(path)
    if ratings is not None:
        need_ratings(ratings, "ratings")
    with opened(path, MAX_EXPORT_BYTES) as file:
        _check_size(file, path.name, MAX_EXPORT_BYTES)
        head = file.read(64)
        file.seek(0)
        if not head:
            raise ValueError(f"{path.name} is empty (0 bytes); export the list again.")
        is_xml = head.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"<")
        entries = _xml_entries(file, path.name) if is_xml else _csv_entries(path)
    check_entries(entries, path.name)
    return own_list(entries, ratings, (1.0, 10.0) if is_xml or ratings is None else ratings.scale, conflicts, path)


def _xml_entries(stream, name):
    """Table of item, title, score, status as text, from MyAnimeList's XML, block by block."""
    export, n_bytes = _Export(), 0
    parser = XMLParser(target=export, forbid_dtd=True)
    while block := stream.read(2**14):
        _parse(name, parser.feed, block)
        n_bytes += len(block)
        export.check(name)
        if n_bytes - parser.parser.CurrentByteIndex > _MAX_MARK:
            raise ValueError(f"{name} has a tag or comment without an end, which no export has.")
    _parse(name, parser.close)
    export.check(name)
    return pd.DataFrame(export.rows, columns=list(_EXPORT_NAMES), dtype=str)


def _parse(name, step, *block):
    """One step of a parser, its errors in our words."""
    try:
        step(*block)
    except DefusedXmlException as error:
        raise ValueError(f"{name} declares entities or a document type, which no export does: {error!r}") from error
    except (ParseError, LookupError, ValueError) as error:  # the last two: an encoding that Python does not read
        raise ValueError(f"{name} is not whole or not XML ({error}); download the export again.") from error


class _Export:
    """What a parser finds in an export; of an entry only the fields that are asked for are kept."""

    def __init__(self):
        self.root, self.is_manga, self.rows = "", False, []
        self.entry, self.text = {}, []
        self.n_fields = self.n_here = self.most_here = 0

    def start(self, tag, attributes):
        self.root = self.root or tag
        self.n_fields += 1
        self.n_here += 1
        self.most_here = max(self.most_here, self.n_here)
        self.text.clear()
        if tag == "anime":
            self.entry = {}

    def data(self, text):
        self.text.append(text)

    def end(self, tag):
        text = "".join(self.text).strip()
        self.text.clear()
        self.is_manga |= tag == "manga" or (tag == "user_export_type" and text == "2")
        if tag == "anime":
            self.rows.append(
                [next((self.entry[n] for n in names if n in self.entry), "") for names in _EXPORT_NAMES.values()]
            )
            self.entry, self.n_here = {}, 0
        elif tag in _WANTED:
            self.entry[tag] = text

    def close(self):
        """Asked for by the parser; there is nothing left to do."""

    def check(self, name):
        """Refuse what is no anime list, as soon as it shows."""
        if self.root not in ("", "myanimelist"):
            raise ValueError(
                f"{name} begins with <{self.root[:60]}>, not <myanimelist>; is it the export, or a web page?"
            )
        if self.is_manga:
            raise ValueError(f"{name} is a list of manga; choose the anime list on the export page.")
        if self.most_here > _MAX_ENTRY_FIELDS:
            raise ValueError(
                f"{name} has an entry of more than {_MAX_ENTRY_FIELDS} fields, which is no entry of a list."
            )
        if self.n_fields > _MAX_FIELDS or len(self.rows) > MAX_EXPORT_ENTRIES:
            raise ValueError(
                f"{name} has more than {MAX_EXPORT_ENTRIES:,} entries or {_MAX_FIELDS:,} fields, which is no list of "
                "titles."
            )


def check_entries(entries: pd.DataFrame, name: str) -> None:
    """Refuse what no list of titles is as long as: matching takes time for every entry and every character."""
    n_characters = sum(int(entries[kind].str.len().sum()) for kind in entries)
    if len(entries) > MAX_EXPORT_ENTRIES or n_characters > _MAX_CHARACTERS:
        raise ValueError(
            f"{name} has {len(entries):,} entries or more, with {n_characters:,} characters of titles and scores; a "
            f"list of titles has at most {MAX_EXPORT_ENTRIES:,} and {_MAX_CHARACTERS:,}."
        )


def _csv_entries(path):
    table = read_text(path, MAX_EXPORT_BYTES, nrows=MAX_EXPORT_ENTRIES + 1)
    known = {name.casefold(): name for name in _WANTED}
    table.columns = [known.get(str(name).strip().casefold(), name) for name in table.columns]
    found = {kind: [name for name in table.columns if name in names] for kind, names in _EXPORT_NAMES.items()}
    if not found["score"] or not (found["item"] or found["title"]):
        raise ValueError(
            f"{path.name} needs a column with the score (one of {_EXPORT_NAMES['score']}) and one with an id or title "
            f"(one of {_EXPORT_NAMES['item'] + _EXPORT_NAMES['title']}), got {shown(list(table.columns))}; they must "
            "be separated by commas."
        )
    for kind, names in found.items():
        check_once(names, table, path.name)
        if len(names) > 1:
            raise ValueError(
                f"{path.name}: several columns may be the {kind} of an entry, {names}; rename or remove all but one."
            )
    return pd.DataFrame({kind: table[names[0]] if names else "" for kind, names in found.items()}, dtype=str)


def own_list(
    entries: pd.DataFrame, ratings: Ratings | None, scale: tuple[float, float], conflicts: str, path: Path
) -> OwnList:
    """Entries matched to the table, with everything that is left out counted.

    `entries` holds text: item, title, score and status, and, if known, `also`, other names with a line each, and the
    `year` of a film. Scores lie on `scale`; those of the list too.
    """
    entries = entries.assign(title=entries["title"].str.strip(), score=numbers_of(entries["score"], path).fillna(0.0))
    outside = (entries["score"] != 0) & ~entries["score"].between(*scale)
    if outside.any():
        first = entries[outside].iloc[0]
        raise ValueError(
            f"{path.name}: {outside.sum()} scores lie outside {scale[0]:g} to {scale[1]:g} (0 means none), "
            f"the first is {first['score']:g} for {first['title'] or first['item']!r}."
        )
    if ratings is None:
        known = entries.assign(item=ids_of(entries["item"], path))
    else:
        at = _positions_of(entries, ratings, path)
        known = entries[at >= 0].assign(item=ratings.item_ids[at[at >= 0]])
    unmatched = entries.drop(index=known.index)[["item", "title", "score"]]
    no_score = unmatched["score"] == 0
    dropped = {"titles without a score": int((known["score"] == 0).sum())}
    dropped |= {"unknown titles": int((~no_score).sum()), "unknown titles without a score": int(no_score.sum())}
    rated = known[known["score"] > 0]
    if len(rated):
        rated, repeats = _tidy(rated, "item", "item", "score", conflicts, path)
        dropped |= repeats
    begun = known.loc[~known["status"].str.strip().str.casefold().isin(["plan to watch", "6"]), "item"]
    pairs = dict(zip(rated["item"].tolist(), rated["score"].tolist(), strict=True))
    return OwnList(pairs, begun.drop_duplicates().tolist(), unmatched[~no_score].reset_index(drop=True), dropped)


def _positions_of(entries, ratings, path):
    """The column of each entry: by id, else by a title, else by a name that only one item has; -1 where by none."""
    plain = entries["title"].map(plain_title)
    columns = np.arange(ratings.n_items)
    by_id = entries["item"].str.strip().map(dict(zip(ratings.item_ids.astype(str).tolist(), columns, strict=True)))
    titles = pd.Series(columns, index=ratings._plain_titles)
    by_title = plain.map(titles[~titles.index.duplicated(keep=False)])
    both = by_id.notna() & (plain != "")
    there = [ratings._plain_titles[int(at)] for at in by_id[both]]
    agree = sum(bool(set(one.split()) & set(two.split())) for one, two in zip(plain[both], there, strict=True))
    if ratings.titles is not None and len(there) >= 5 and agree < len(there) / 2:
        raise ValueError(
            f"{path.name}: of {len(there)} ids that the table knows only {agree} have a title there that shares a "
            "word, so the two number their titles differently. Leave the ids out to match by title."
        )
    found = by_id.fillna(by_title).fillna(-1).to_numpy(int)
    known = set(ratings._plain_titles)
    for at in np.flatnonzero(found < 0):
        names = [entries["title"].iloc[at], *(entries["also"].iloc[at].split("\n") if "also" in entries else [])]
        year = entries["year"].iloc[at].strip() if "year" in entries else ""
        found[at] = _called(ratings, [name for name in names if plain_title(name) not in known or year], year)
    return found


_YEAR = re.compile(r"\((\d{4})\)\s*")


def _called(ratings, names, year):
    """The column of the only item that has exactly one of these names, of this year where both are known; else -1."""
    index = ratings._titles_index
    for name in names:
        key = squashed(name)
        found = {*index.whole.get(key, ()), *index.given.get(key, ())} if key else set()
        if year:
            years = {at: _YEAR.findall(index.titles[at])[-1:] for at in found}
            found = {at for at in found if years[at] in ([], [year])}
        if len(found) == 1:
            return found.pop()
    return -1
