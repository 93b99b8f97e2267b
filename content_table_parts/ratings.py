"""Ratings: the table, where it is known, its splits, and the one place that turns ids into positions."""

import hashlib
import json
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import ArrayLike

from content_table_parts.settings import (
    as_path,
    as_whole,
    check_array,
    check_choice,
    check_kind,
    check_number,
    check_optional_switch,
    check_switch,
    check_texts,
    check_unmasked,
    checked,
    shown,
    whole_number,
)
from content_table_parts.titles import Seasons, TitleIndex, english_name, plain_title, series_of, squashed
from content_table_parts.writing import write_whole

MAX_CHARACTERS = 1000  # of an id or a title: NumPy gives each entry of an array the room of the longest
MAX_UNKNOWN = 5  # ids or titles that an error names at once, each with what may have been meant

# Older versions of pandas hash a text up to its first zero character only, and would take two such ids for one.
TEXT_IS_HASHED_WHOLE = len(pd.factorize(np.array(["a", "a\0"], dtype=object))[1]) == 2


def scale_ends(scale: Any) -> tuple[float, float]:
    """The low and the high end of a rating scale; what is not two numbers, the lower first, is an error."""
    try:
        low, high = scale
        if not all(isinstance(end, (int, float, np.integer, np.floating)) for end in (low, high)):
            raise TypeError("its ends are no numbers")
        low, high = float(low), float(high)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"the scale is two numbers, (low, high), got {shown(scale)}.") from error
    if not low < high:
        raise ValueError(f"the scale needs a low end below its high end, got {scale}.")
    if not np.isfinite(high - low):
        raise ValueError(f"the scale needs finite ends, not too far apart for a float, got {scale}.")
    return low, high


def need_ratings(other: Any, name: str) -> None:
    """Refuse an argument `name` that is no Ratings."""
    if not isinstance(other, Ratings):
        raise TypeError(f"{name} must be Ratings, got {type(other).__name__}.")


def _check_least(ratings, min_per_user, min_per_item):
    """The arguments of `filter_once`: numbers of ratings."""
    check_number("min_per_user", min_per_user, whole=True)
    check_number("min_per_item", min_per_item, whole=True)
    return ratings, min_per_user, min_per_item


class _Made(NamedTuple):
    """An array that nobody else holds: a table takes it as it is, where others are copied."""

    array: np.ndarray


@dataclass(frozen=True, eq=False)
class Ratings:
    """Known ratings of m users and n items: an immutable list of (row, column, value) with the ids behind them.

    Parameters
    ----------
    user_ids, item_ids : arrays (m,), (n,)
        What the data calls a user or an item; `user_ids[row]` and `item_ids[col]`: whole numbers of 64 bits, finite
        numbers or text, all of one kind. Splits keep all of them, so a model trained on one part can be asked about any
        cell of another.
    rows, cols, values : arrays, one entry per rating
        Positions and rating points, in the order of the file.
    scale : (low, high)
        The rating scale, both ends included.
    times : array, one entry per rating, optional
    context : dict of name -> array, one entry per rating
        What else is known of each rating, such as the week it was given in: whole numbers, finite numbers or text, for
        the models that learn from it (`BayesianFM`). Every part of a table keeps that of its own ratings.
    titles, user_names : arrays of str (n,), (m,), optional
        The id as text stands in for one that is missing (None or NaN).
    dropped : dict
        How many rows of the source, or names of its items, were left out, by reason.
    has_seasons : bool
        Whether titles are known to be seasons and parts of series, as anime are: lists then offer one of each work.
    notes : texts
        What was decided for you when the source was read, such as which columns were taken; shown by `repr`.

    Raises
    ------
    ValueError : lengths that differ, positions outside the ids, a value that is not finite or outside the scale, a cell
        given twice, or an id that is missing, not finite or beyond 64 bits.
    TypeError : ids of several kinds or of another one (dates, True and False, tuples), positions that are not whole.
    """

    user_ids: np.ndarray
    item_ids: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    values: np.ndarray
    scale: tuple = (1.0, 10.0)
    times: np.ndarray | None = None
    titles: np.ndarray | None = None
    user_names: np.ndarray | None = None
    dropped: dict = field(default_factory=dict)
    has_seasons: bool = False
    notes: tuple = ()
    context: dict = field(default_factory=dict)

    def __post_init__(self):
        checks = {"user_ids": _ids, "item_ids": _ids, "rows": _indices, "cols": _indices, "values": _points}
        for name, check in (checks | ({} if self.times is None else {"times": _moments})).items():
            given = getattr(self, name)
            array = check(given.array, name) if isinstance(given, _Made) else np.array(check(given, name))
            object.__setattr__(self, name, _read_only(array))
        for name, ids in (("titles", self.item_ids), ("user_names", self.user_ids)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _read_only(np.array(_texts(getattr(self, name), name, ids))))
        object.__setattr__(self, "notes", tuple(check_texts("notes", self.notes)))
        object.__setattr__(self, "context", _context(self.context))
        check_kind("dropped", self.dropped, dict, "a dict of reason: number of rows")
        check_switch("has_seasons", self.has_seasons)
        self._check_lengths()
        self._check_values()
        if _any_twice(self.rows, self.cols, self.n_items):
            self._refuse_repeats()

    def _refuse_repeats(self):
        order = np.lexsort((self.cols, self.rows))
        same = (np.diff(self.rows[order]) == 0) & (np.diff(self.cols[order]) == 0)
        first = order[np.flatnonzero(same)[0]]
        user, item = self.user_ids[self.rows[first]].item(), self.item_ids[self.cols[first]].item()
        raise ValueError(
            f"{same.sum()} cells are given more than once, the first by user {user!r}, item {item!r}; "
            "a sparse matrix would silently add them up. Drop the repeats first."
        )

    def _check_lengths(self):
        expected = dict.fromkeys(("rows", "cols", "times"), len(self.values))
        expected |= {"titles": self.n_items, "user_names": self.n_users}
        for name, length in expected.items():
            array = getattr(self, name)
            if array is not None and len(array) != length:
                raise ValueError(f"{name} needs {length} entries, got {len(array)}.")
        for name, column in self.context.items():
            if len(column) != len(self.values):
                raise ValueError(f"context {name!r} needs {len(self.values)} entries, got {len(column)}.")
        for name, positions, ids in (("rows", self.rows, self.user_ids), ("cols", self.cols, self.item_ids)):
            distinct = len(np.unique(ids))
            if distinct != len(ids):
                raise ValueError(f"the ids behind {name} are not unique: {len(ids)} ids, {distinct} distinct.")
            if len(positions) and (positions.min() < 0 or positions.max() >= len(ids)):
                raise ValueError(
                    f"{name} must lie in 0..{len(ids) - 1}, got {positions.min()}..{positions.max()}; "
                    "users are rows and items are columns, so check for a transposed table."
                )

    def _check_values(self):
        low, high = scale_ends(self.scale)
        object.__setattr__(self, "scale", (low, high))
        if not len(self.values) or (low <= self.values.min() and self.values.max() <= high):  # False beside NaN
            return
        bad = ~np.isfinite(self.values)
        if bad.any():
            raise ValueError(f"{bad.sum()} ratings are NaN or infinite, the first at entry {np.flatnonzero(bad)[0]}.")
        bad = (self.values < low) | (self.values > high)
        if bad.any():
            first = np.flatnonzero(bad)[0]
            raise ValueError(
                f"{bad.sum()} ratings lie outside the scale {low:g} to {high:g}, the first is {self.values[first]:g} "
                f"by user {self.user_ids[self.rows[first]].item()!r}, item {self.item_ids[self.cols[first]].item()!r}; "
                "check the scale and the columns."
            )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        user: str,
        item: str,
        rating: str,
        *,
        time: str | None = None,
        title: str | None = None,
        name: str | None = None,
        context: Sequence[str] = (),
        **options: Any,
    ) -> Self:
        """Ratings from a table with one row per rating: any pandas DataFrame, or one that has `to_pandas()` (polars,
        PyArrow), by the names of its columns.

        Ids become sorted positions, rows keep their order; options are those of `Ratings`, above all
        `scale=(low, high)`, which is 1 to 10 unless you say otherwise. Times, titles and user names come from columns,
        and so does what else is to be kept of each rating: `context=("week",)`.
        """
        arrays = {"times": "time", "titles": "title", "user_names": "name"}
        for given in sorted(set(options) & set(arrays)):
            raise TypeError(
                f"from_frame takes {given} from a column, {arrays[given]}='its name', because ids are sorted here and "
                f"an array could not tell which entry is whose; got {given}= of {type(options[given]).__name__}."
            )
        frame = _pandas_frame(frame)
        context = check_texts("context", context)
        named = [each for each in (time, title, name) if each is not None]
        _check_frame(frame, user, item, [user, item, rating, *named, *context])
        user_ids, rows = _distinct(frame[user])
        item_ids, cols = _distinct(frame[item])
        return cls(
            user_ids,
            item_ids,
            _Made(rows),  # type: ignore[arg-type]
            _Made(cols),  # type: ignore[arg-type]
            _rating_points(frame[rating]),
            times=None if time is None else frame[time].to_numpy(),
            titles=None if title is None else _one_label_each(frame, (item, cols, item_ids), title, (user, rows)),
            user_names=None if name is None else _one_label_each(frame, (user, rows, user_ids), name, (item, cols)),
            context={each: frame[each] for each in context},
            **options,
        )

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, *, scale: tuple = (1.0, 10.0), **options: Any) -> Self:
        """Ratings from a small dense table typed in by hand, NaN or masked where a rating is missing.

        Ids are 0, 1, 2, ..., those of a DataFrame its index and columns."""
        labels = (matrix.index, matrix.columns) if isinstance(matrix, pd.DataFrame) else None
        table = _float_table(matrix)
        rows, cols = np.nonzero(~np.isnan(table))
        user_ids, item_ids = map(np.arange, table.shape) if labels is None else map(np.asarray, labels)
        return cls(user_ids, item_ids, rows, cols, table[rows, cols], scale=scale, **options)

    def __repr__(self):
        head = f"{len(self):,} ratings of {self.n_users:,} users on {self.n_items:,} items, scale {self.scale}"
        return f"Ratings({'; '.join([head, *self.notes])})"

    def __len__(self):
        return len(self.values)

    @property
    def n_users(self) -> int:
        """m, the rows of the table."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """n, the columns of the table."""
        return len(self.item_ids)

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return self.n_users, self.n_items

    @property
    def density(self) -> float:
        """The share of the cells that is known."""
        return len(self) / max(self.n_users * self.n_items, 1)

    @cached_property
    def user_counts(self) -> np.ndarray:
        """How many ratings each user has, (m,)."""
        return _read_only(np.bincount(self.rows, minlength=self.n_users))

    @cached_property
    def item_counts(self) -> np.ndarray:
        """How many ratings each item has, (n,)."""
        return _read_only(np.bincount(self.cols, minlength=self.n_items))

    @cached_property
    def csr(self) -> sp.csr_array:
        """The table by rows (SciPy CSR, columns sorted); read-only."""
        narrow = np.int32 if max(*self.shape, len(self)) < 2**31 else np.int64  # half the memory, and faster to fetch
        places = self.rows.astype(narrow), self.cols.astype(narrow)
        table = sp.csr_array((self.values, places), shape=self.shape)
        table.sort_indices()
        return _read_only(table)

    @cached_property
    def known(self) -> sp.csr_array:
        """1 where a rating is known (SciPy CSR); read-only."""
        return _read_only(sp.csr_array((np.ones(len(self)), self.csr.indices, self.csr.indptr), shape=self.shape))

    def same_universe(self, other: "Ratings") -> bool:
        """Whether `other` has the same users and items in the same positions."""
        need_ratings(other, "other")
        return np.array_equal(self.user_ids, other.user_ids) and np.array_equal(self.item_ids, other.item_ids)

    @cached_property
    def csc(self) -> sp.csc_array:
        """The table by columns (SciPy CSC); read-only."""
        return _read_only(self.csr.tocsc())

    def check_universe(self, other: "Ratings", name: str) -> None:
        """Refuse an argument `name` whose users or items are not those of this table."""
        check_kind("name", name, str, "the name of an argument")
        need_ratings(other, name)
        if not self.same_universe(other):
            raise ValueError(
                f"{name} must have the users and items of the training ratings, as parts of one table do; got {other}."
            )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of scale, ids, cells, values and context: what a model learns from. Titles, names and times are not
        in it."""
        table = self.csr  # by rows, then columns: as sorted as two keys would be, and cells are there once
        digest = hashlib.sha256(np.array(self.scale, dtype="<f8").tobytes())
        for ids in (self.user_ids, self.item_ids):
            digest.update(json.dumps(ids.tolist()).encode())
        digest.update(np.repeat(np.arange(self.n_users, dtype="<i8"), np.diff(table.indptr)).data)
        digest.update(table.indices.astype("<i8").data)
        digest.update(table.data.astype("<f8", copy=False).data)
        order = np.lexsort((self.cols, self.rows)) if self.context else None
        for name in sorted(self.context):
            digest.update(json.dumps([name, self.context[name][order].tolist()]).encode())
        return digest.hexdigest()

    @cached_property
    def _positions(self):
        return tuple({key: at for at, key in enumerate(ids.tolist())} for ids in (self.user_ids, self.item_ids))

    def user_rows(self, users: ArrayLike) -> np.ndarray:
        """Rows of the given user ids; an id that the table does not know is an error that names it."""
        return self._look_up(users, 0)

    def item_cols(self, items: ArrayLike) -> np.ndarray:
        """Columns of the given item ids."""
        return self._look_up(items, 1)

    def _look_up(self, ids, axis):
        here, there = self._positions[axis], self._positions[1 - axis]
        kind, other = (("user", "an item"), ("item", "a user"))[axis]
        # Objects stay what they are; NumPy would make floats or text of a list of several kinds.
        keys = np.atleast_1d(ids if isinstance(ids, np.ndarray) else np.asarray(ids, dtype=object)).tolist()
        try:
            found = [here.get(key, -1) for key in keys]
        except TypeError as error:  # a list or a table among them
            raise TypeError(f"{kind}s are asked for by one id or a list of ids, got {shown(ids)}.") from error
        if -1 in found:
            unknown = [key for key in keys if key not in here]
            swapped = unknown[0] in there and here.keys().isdisjoint(there)
            hint = (
                f"it is {other} id, so users and items may be swapped"
                if swapped
                else "check the id's type and spelling"
            )
            raise KeyError(
                f"unknown {kind} id {shown(unknown[0])} ({len(unknown)} unknown in all); the table has {len(here)} "
                f"{kind}s, such as {next(iter(here), None)!r}; {hint}."
            )
        return np.array(found, dtype=np.intp)

    def user_id(self, name: Any) -> Any:
        """The id of the user with this id or name (a viewer is asked for by either), in the type of the ids."""
        _need_one(name, "a user", "name")
        if name in self._positions[0]:
            return self.user_ids[self._positions[0][name]].item()
        names = [] if self.user_names is None else self.user_names.tolist()
        if name in names:
            return self.user_ids[names.index(name)].item()
        if (typed := _typed_id(name)) is not None:
            return self.user_ids[self.user_rows(typed)[0]].item()
        raise KeyError(
            f"no user has the id or name {shown(name)}; names look like {names[:1] or self.user_ids[:1].tolist()}."
        )

    def user_row(self, user: Any) -> int:
        """The row of one user, asked for by id or name."""
        _need_one(user, "a user", "name")
        return int(self.user_rows(self.user_id(user) if isinstance(user, str) else user)[0])

    def item_id(self, name: Any) -> Any:
        """The id of the item with this id, title, or part of a title in any case; a name that could mean several, or
        none, is an error that lists what may have been meant."""
        called = self._cols_named(name)
        if len(called) != 1:
            if not isinstance(name, str):
                self.item_cols(name)  # an error that names the id
            self._tell_apart(name, self.find_titles(name))
        return self.item_ids[called[0]].item()

    def _cols_named(self, name):
        """The columns that an id, a title or a part of a title may mean."""
        _need_one(name, "an item", "title")
        if name in self._positions[1] or not isinstance(name, str):
            return [self._positions[1][name]] if name in self._positions[1] else []
        same = [at for at, title in enumerate(self._titles_index.folded) if title == name.casefold()]
        if len(same) != 1 and (typed := _typed_id(name)) in self._positions[1]:
            return [self._positions[1][typed]]
        called = self._titles_index.called(name)
        if len(same) == 1:  # the whole title of one work; and what people call another?
            called = sorted({*same, *self._titles_index.given.get(squashed(name), [])})
        return called or self._titles_index.with_words(name, whole=True)

    def _tell_apart(self, name, found):
        """The error for a name that could mean several titles, or none."""
        if len(found) == 0:
            raise KeyError(
                f"no title has {shown(name)} in it, or anything like it; titles are spelled as in "
                f"{self._best_known[:3]}."
            )
        pairs = zip(found["item_id"], found["title"], strict=True)
        candidates = "; ".join(f"{title} ({item})" for item, title in pairs)
        if (found["match"] == "similar").all():
            raise KeyError(f"no title has {shown(name)} in it; did you mean: {candidates}?")
        raise KeyError(f"{shown(name)} could be any of: {candidates}. Give more of the name, or the id.")

    def find_titles(self, text: str, n: int = 10) -> pd.DataFrame:
        """Titles that are called so, or have every word of `text` in one of their names (romanised, English, original,
        nicknames), in any case and order: item_id, title, english (where known), match.

        First those of exactly this name ("exact"), then those that begin with it, the most rated first ("part"). Where
        there is none, those that are spelled much like it ("similar").
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a title or a part of one, got {shown(text)}.")
        n = whole_number("n", n, 1)
        index, start = self._titles_index, plain_title(text)
        exact, found, kind = index.called(text), index.with_words(text), "part"
        if start and not exact and not found:
            found, kind = index.spelled_like(text), "similar"
        else:
            begun = {at for at in found if any(name.startswith(start) for name in index.plain[at])}
            found.sort(key=lambda at: (at not in begun, -self.item_counts[at], index.plain[at][0]))
        found = exact + [at for at in found if at not in exact]
        matches = ["exact"] * len(exact) + [kind] * (len(found) - len(exact))
        ids = {"item_id": self.item_ids[found[:n]]} | self.named(found[:n])
        return pd.DataFrame(ids | {"match": matches[:n]})

    def named(self, cols: ArrayLike) -> dict[str, np.ndarray]:
        """The columns of a list that name the titles at these positions: `title`, and `english` where any is known."""
        at = _entries(cols, self.n_items, "cols")
        known = {} if self._english is None else {"english": self._english[at]}
        return {"title": self.item_labels[at]} | known

    @cached_property
    def _english(self):
        names = np.array([english_name(title) for title in self.item_labels.tolist()], dtype=str)
        return names if (names != "").any() else None

    @cached_property
    def _titles_index(self):
        return TitleIndex(self.item_labels.tolist(), self.series)

    @property
    def _best_known(self):
        return self.item_labels[np.argsort(-self.item_counts, kind="stable")].tolist()

    @cached_property
    def _plain_titles(self):
        return [plain_title(title) for title in self.item_labels.tolist()]

    @cached_property
    def series(self) -> np.ndarray:
        """A label for every column, equal for the seasons and parts of one title: see `series_of`. If that left fewer
        works than half the titles, numbers would not count seasons ("Camera 1", "Camera 2"): each is its own then."""
        alone = np.arange(self.n_items)
        works = alone if self.titles is None else series_of(self.titles.tolist())
        return works if 2 * len(np.unique(works)) >= self.n_items else alone

    def title(self, item: Any) -> str:
        """The title of an item id, or the id as text where titles are not known."""
        _need_one(item, "an item", "title")
        return str(self.item_labels[self.item_cols(item)[0]])

    def works(self, one_per_work: bool | None = None) -> np.ndarray | None:
        """The labels of `series` where a list shall hold one season of each work (the next one: see `seasons`), else
        None; by default that is where the ratings are known to have seasons."""
        check_optional_switch("one_per_work", one_per_work)
        return self.series if (self.has_seasons if one_per_work is None else one_per_work) else None

    def known_pairs(self, given: Mapping | Any) -> tuple[dict, list]:
        """What of {item id or title: rating points} names a title of the table, and the list of what names none."""
        given = dict(_pairs(given))
        unknown = [key for key in given if not self._cols_named(key)]
        return {key: value for key, value in given.items() if key not in unknown}, unknown

    def seasons(self, works: np.ndarray) -> Seasons:
        """The order of the seasons of these works, whole numbers such as `series`, and which is next for whom."""
        if works is self.series:
            return self._seasons
        works = check_array("works", works, length=self.n_items, whole=True)
        return Seasons(self.item_labels.tolist(), self.item_ids, works)

    @cached_property
    def _seasons(self):
        return Seasons(self.item_labels.tolist(), self.item_ids, self.series)

    def checked_pairs(self, given: Mapping | Any, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """(positions, values) of {item id or title: rating points}, checked; `axis=1`: of {user id or name: ...}."""
        if not isinstance(axis, (int, np.integer)) or axis not in (0, 1):
            raise ValueError(f"axis must be 0 for titles or 1 for viewers, got {shown(axis)}.")
        given = dict(_pairs(given))
        ids = self._ids_named(given, axis)
        low, high = self.scale
        for key, value in given.items():
            number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
            if not number or not low <= value <= high:
                raise ValueError(
                    f"a rating is a number from {low:g} to {high:g}, got {shown(value)} for {shown(key)}; leave "
                    "unrated ones out."
                )
        if len(set(ids)) < len(ids):
            twice = next(found for found in ids if ids.count(found) > 1)
            names = " and ".join(shown(key) for key, found in zip(given, ids, strict=True) if found == twice)
            raise ValueError(
                f"{len(ids) - len(set(ids))} of {len(ids)} ratings repeat another: {names} are one thing; rate it once."
            )
        return self._look_up(ids, 1 - axis), np.array(list(given.values()), dtype=float)

    def _ids_named(self, keys, axis):
        """The ids that these keys name; the error for those that name none, or several, is of the first few at once:
        what may have been meant takes a search for each."""
        ids, errors = [], []
        for at, key in enumerate(keys, 1):
            try:
                ids.append(self.user_id(key) if axis else self.item_id(key))
            except KeyError as error:
                errors.append(error.args[0])
                if len(errors) == MAX_UNKNOWN:
                    errors += [f"The {len(keys) - at} after these have not been looked up."] * (at < len(keys))
                    break
        if errors:
            raise KeyError("\n".join(errors))
        return ids

    @cached_property
    def item_labels(self) -> np.ndarray:
        """A title for every column; the id as text where titles are not known."""
        return self.item_ids.astype(str) if self.titles is None else self.titles

    def frame(self) -> pd.DataFrame:
        """One row per rating, as a pandas table."""
        columns = {"user_id": self.user_ids[self.rows], "item_id": self.item_ids[self.cols]}
        columns |= {"title": self.item_labels[self.cols], "rating": self.values}
        return pd.DataFrame(columns | ({} if self.times is None else {"time": self.times}) | self.context)

    def part(self, entries: Any) -> Self:
        """The given entries (a mask, indices from 0, or a slice) as Ratings over the *same* users and items."""
        entries = _entries(entries, len(self))
        at = _places(entries, len(self))
        names = ("rows", "cols", "values", *(() if self.times is None else ("times",)))
        chosen = {name: getattr(self, name)[at] for name in names} | {"dropped": {}, "notes": ()}
        chosen["context"] = {name: _read_only(column[at]) for name, column in self.context.items()}
        if at is entries and len(at) > np.count_nonzero(_mark(at, len(self))):
            return replace(self, **chosen)  # an error: a cell is given twice
        return self._with(chosen)  # each entry once, of a table that was checked

    def _with(self, chosen):
        """This table with other fields {name: value} that nobody else holds, and that need no check."""
        other = object.__new__(type(self))
        for each in fields(self):
            value = chosen.get(each.name, getattr(self, each.name))
            object.__setattr__(other, each.name, _read_only(value) if isinstance(value, np.ndarray) else value)
        return other

    def _titled(self, labels):
        """This table with a title for each item, the id as text where it is missing."""
        return self._with({"titles": np.array(_texts(labels, "titles", self.item_ids))})

    def joined(self, other: "Ratings") -> Self:
        """The ratings of two parts of one table together, these first."""
        need_ratings(other, "other")
        if not self.same_universe(other):
            raise ValueError(f"only parts of one table can be joined, with the same users and items: {self}, {other}.")
        pairs = [(self.rows, other.rows), (self.cols, other.cols), (self.values, other.values)]
        rows, cols, values = (np.concatenate(pair) for pair in pairs)
        times = None if self.times is None or other.times is None else np.concatenate([self.times, other.times])
        return replace(self, rows=rows, cols=cols, values=values, times=times, context=self._joined_context(other))

    def updated(self, newer: "Ratings") -> Self:
        """These ratings and those of `newer`, which take the place of older ones by the same user of the same item.

        Users and items are matched by id, as in `within`; new ones come after the old, so that positions stay. Scale
        and known titles and names are those of this table. How many older ratings were replaced is in `dropped`.

        Where only this table has times, newer ratings count as given at its last one, and a note says so; where only
        `newer` has them, none are kept. Of the context the columns are kept that both tables have.

        Raises
        ------
        TypeError : new ids, or times, of another kind than those of this table.
        ValueError : a rating outside the scale.
        """
        need_ratings(newer, "newer")
        user_ids, users, new_users = _joined_ids(self.user_ids, newer.user_ids, "user")
        item_ids, items, new_items = _joined_ids(self.item_ids, newer.item_ids, "item")
        rows, cols = users[newer.rows], items[newer.cols]
        n = len(item_ids)
        kept = ~np.isin(self.rows * n + self.cols, rows * n + cols)
        times, notes = self._joined_times(newer, kept)
        replaced = {"replaced by newer ratings": int((~kept).sum())} if not kept.all() else {}
        return replace(
            self,
            user_ids=user_ids,
            item_ids=item_ids,
            rows=np.concatenate([self.rows[kept], rows]),
            cols=np.concatenate([self.cols[kept], cols]),
            values=np.concatenate([self.values[kept], newer.values]),
            times=times,
            context=self._joined_context(newer, kept),
            titles=_joined_labels(self.titles, self.item_ids, newer.titles, newer.item_ids, new_items),
            user_names=_joined_labels(self.user_names, self.user_ids, newer.user_names, newer.user_ids, new_users),
            dropped=self.dropped | {reason: self.dropped.get(reason, 0) + count for reason, count in replaced.items()},
            notes=notes,
        )

    def _joined_context(self, other, kept=slice(None)):
        """The columns of the context that both have: of the kept ratings of this table, then of the other's."""
        both = [name for name in self.context if name in other.context]
        pairs = {name: (self.context[name], other.context[name]) for name in both}
        for name, (own, came) in pairs.items():
            if (own.dtype.kind == "U") != (came.dtype.kind == "U"):
                raise TypeError(f"context {name!r} must be of one kind in both tables, got {own.dtype}, {came.dtype}.")
        return {name: np.concatenate([own[kept], came]) for name, (own, came) in pairs.items()}

    def _joined_times(self, newer, kept):
        """(times of the kept ratings and the newer ones, notes)."""
        if self.times is None:
            return None, self.notes
        later, notes = newer.times, self.notes
        if later is None:
            later = np.full(len(newer), self.times.max()) if len(self) else np.zeros(len(newer), self.times.dtype)
            note = "newer ratings without a time count as given at the last one"
            notes += () if note in notes or not len(newer) else (note,)
        if (later.dtype.kind == "M") != (self.times.dtype.kind == "M"):
            raise TypeError(f"newer must have times as these ratings have, {self.times.dtype}, got {later.dtype}.")
        return np.concatenate([self.times[kept], later]), notes

    def within(self, other: "Ratings", unknown: str = "error") -> "Ratings":
        """These ratings over the users and items of another table: a test file in the universe of its training file.

        Ids are looked up as they are, or as text where one table has text and the other numbers. Titles, names and the
        scale are those of `other`.

        Parameters
        ----------
        other : Ratings
        unknown : "error" or "skip"
            What to do with ratings of users or items that `other` does not have; "skip" counts them in `dropped`.

        Raises
        ------
        KeyError, ValueError : unknown ids; none that is known; ratings outside the scale of `other`.
        """
        need_ratings(other, "other")
        check_choice("unknown", unknown, ("error", "skip"))
        users, items = same_ids(self.user_ids, other.user_ids), same_ids(self.item_ids, other.item_ids)
        counts = {"unknown users": users[self.rows] < 0, "unknown items": items[self.cols] < 0}
        known = ~(counts["unknown users"] | counts["unknown items"])
        if not known.all() and (unknown == "error" or not known.any()):
            strange = {"users": self.user_ids[users < 0], "items": self.item_ids[items < 0]}
            few = ", ".join(f"{len(ids)} {what} such as {ids[0].item()!r}" for what, ids in strange.items() if len(ids))
            raise KeyError(
                f"{(~known).sum()} of {len(self)} ratings are of unknown {few}; other is {other!r}. Pass "
                "unknown='skip' to leave them out, with a count, or check that ids mean the same in both."
            )
        kept = self.part(known)
        placed = {"rows": users[kept.rows], "cols": items[kept.cols], "values": kept.values, "times": kept.times}
        placed["context"] = kept.context
        dropped = self.dropped | {reason: int(hit.sum()) for reason, hit in counts.items() if hit.any()}
        return replace(other, **placed, dropped=dropped, notes=self.notes)

    def restrict(self, keep_users: np.ndarray, keep_items: np.ndarray) -> "Ratings":
        """A smaller table: only the users and items of the two masks, positions counted anew."""
        keep_users = _mask(keep_users, self.n_users, "keep_users")
        keep_items = _mask(keep_items, self.n_items, "keep_items")
        entries = keep_users[self.rows] & keep_items[self.cols]
        label = lambda labels, keep: None if labels is None else labels[keep]  # noqa: E731
        return Ratings(
            self.user_ids[keep_users],
            self.item_ids[keep_items],
            (np.cumsum(keep_users) - 1)[self.rows[entries]],
            (np.cumsum(keep_items) - 1)[self.cols[entries]],
            self.values[entries],
            scale=self.scale,
            times=label(self.times, entries),
            context={name: column[entries] for name, column in self.context.items()},
            titles=label(self.titles, keep_items),
            user_names=label(self.user_names, keep_users),
            has_seasons=self.has_seasons,
        )

    def filter_once(self, min_per_user: int, min_per_item: int) -> "Ratings":
        """The course's filter: users with enough ratings, then items with enough of *their* ratings, in one pass.

        Because the second step removes ratings of the users who passed the first, a user may keep a single rating.
        """
        keep_users = self.user_counts >= min_per_user
        keep_items = np.bincount(self.cols[keep_users[self.rows]], minlength=self.n_items) >= min_per_item
        entries = keep_users[self.rows] & keep_items[self.cols]
        if not entries.any():
            raise ValueError(
                f"no rating is left by min_per_user={min_per_user}, min_per_item={min_per_item}; lower them."
            )
        keep_users = np.bincount(self.rows[entries], minlength=self.n_users) > 0  # nobody stays without a rating
        return self.restrict(keep_users, keep_items)

    filter_once = checked(filter_once, _check_least)

    def without_items(self, item_ids: ArrayLike) -> "Ratings":
        """The table without these items, and without users who rated nothing else."""
        keep_items = np.ones(self.n_items, dtype=bool)
        keep_items[self.item_cols(item_ids)] = False
        keep_users = np.bincount(self.rows[keep_items[self.cols]], minlength=self.n_users) > 0
        return self.restrict(keep_users, keep_items)

    def to_csv(self, path: str | Path) -> None:
        """Write the course's schema (u_id, a_id, profile, title, score), by title then user; whole file or nothing."""
        path = as_path(path)
        if {self.user_ids.dtype.kind, self.item_ids.dtype.kind} - set("iu"):
            raise ValueError(
                "the course's schema has whole-number ids; write others by frame().to_csv, and read them by from_frame."
            )
        names = self.user_ids if self.user_names is None else self.user_names
        order = np.lexsort((self.rows, self.cols))
        table = pd.DataFrame(
            dtype=object,
            data={
                "u_id": self.user_ids[self.rows[order]],
                "a_id": self.item_ids[self.cols[order]],
                "profile": names[self.rows[order]],
                "title": self.item_labels[self.cols[order]],
                "score": [int(value) if value.is_integer() else value for value in self.values[order].tolist()],
            },
        )
        write_whole(path, lambda temporary: table.to_csv(temporary, index=False, lineterminator="\n"))

    # -- splits: every part keeps the whole id universe --

    def split_random(self, test_size: float = 0.2, random_state: Any = 0) -> tuple[Self, Self]:
        """(train, test): a random `test_size` share of the ratings is held out."""
        if not _is_share(test_size):
            raise ValueError(f"test_size is a share between 0 and 1, got {shown(test_size)}.")
        n_test = round(len(self) * test_size)
        if n_test == 0 or n_test == len(self):
            raise ValueError(f"{len(self)} ratings cannot give a test share of {test_size} and leave some to train on.")
        order = generator(random_state).permutation(len(self))
        return self._parted(order[:n_test])

    def _parted(self, held_out):
        """(the other entries, those at these positions), both in the order of the table."""
        held = _mark(held_out, len(self))
        return self.part(~held), self.part(held)

    def split_folds(self, n_folds: int = 5, random_state: Any = 0) -> list[tuple[Self, Self]]:
        """Cross-validation: `n_folds` pairs (train, held out); each rating is held out once."""
        n_folds = whole_number("n_folds", n_folds, 2)
        if n_folds > len(self):
            raise ValueError(f"{len(self)} ratings cannot make {n_folds} folds.")
        fold = generator(random_state).permutation(len(self)) % n_folds
        return [(self.part(fold != at), self.part(fold == at)) for at in range(n_folds)]

    def split_user_time(self, train: float = 0.7, validation: float = 0.15) -> tuple[Self, Self, Self]:
        """(train, validation, test) of each user's ratings in time order, cut at int(n*train) and
        int(n*(train+validation)).

        The sort is stable by user, then time: the order of the file breaks ties, and published figures depend on it.
        """
        _check_shares(train, validation)
        order = _grouped(np.argsort(self.need_times(), kind="stable"), self.rows)
        counts = self.user_counts
        rank = np.arange(len(self)) - np.repeat(np.cumsum(counts) - counts, counts)
        n = counts[self.rows[order]]
        # A sum of shares may miss the share that is meant by a unit in the last place (.1 + .2); rounded it does not.
        late = rank >= (n * round(train + validation, 12)).astype(int)
        middle = (rank >= (n * train).astype(int)) & ~late
        return self.part(order[~middle & ~late]), self.part(order[middle]), self.part(order[late])

    def split_global_time(self, train: float = 0.7, validation: float = 0.15) -> tuple[Self, Self, Self]:
        """(train, validation, test) cut at two moments common to all users: nobody's future is used for anybody."""
        _check_shares(train, validation)
        times = self.need_times()
        cuts = np.quantile(times, [train, round(train + validation, 12)], method="lower")
        part = np.searchsorted(cuts, times, side="left")  # a moment belongs to one part as a whole
        return self.part(part == 0), self.part(part == 1), self.part(part == 2)

    def split_leave_one_out(self, random_state: Any = 0) -> tuple[Self, Self]:
        """(train, test): one rating of each user who has two or more; the latest where times are known, else any."""
        rng, n = generator(random_state), len(self)
        # Entries from the first to the last: the inverse of a permutation, which says how late each is, or by time.
        order = _inverse(rng.permutation(n)) if self.times is None else np.argsort(self.times, kind="stable")
        last = np.zeros(self.n_users, dtype=np.intp)
        last[self.rows[order]] = order  # of several entries of a user the last one stays
        return self._parted(last[self.user_counts > 1])

    def need_times(self) -> np.ndarray:
        """The times; an error where there are none."""
        if self.times is None:
            raise ValueError("a split by time needs `times`, and these ratings have none; use split_random.")
        return self.times


def _pairs(given):
    given = getattr(given, "ratings", given)  # an OwnList
    if not hasattr(given, "items"):
        raise TypeError(f"expected {{id or name: rating}}, got {type(given).__name__}.")
    return given.items()


def same_ids(ids: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The position of each id among others, -1 where it is not one; text and numbers meet as text."""
    if (ids.dtype.kind == "U") != (others.dtype.kind == "U"):
        ids, others = ids.astype(str), others.astype(str)
    return pd.Index(others).get_indexer(pd.Index(ids))


def _joined_ids(ids, others, side):
    """(ids with those of `others` that are new after them, the position of each of `others`, which are new)."""
    at = same_ids(others, ids)
    new = at < 0
    kinds = {"i": "whole numbers", "u": "whole numbers", "f": "numbers", "U": "text"}
    own, came = (kinds[each.dtype.kind] for each in (ids, others))
    if new.any() and own != came:
        raise TypeError(
            f"newer must have {side} ids like those of this table, {own} such as {ids[:1].tolist()}, got {came} such "
            f"as {others[new][:1].tolist()}."
        )
    at[new] = len(ids) + np.arange(new.sum())
    return np.concatenate([ids, others[new]]) if new.any() else ids, at, new


def _joined_labels(own, ids, others, other_ids, new):
    """Titles or names of `ids` and then of the new ones; ids as text stand in where only one side has any."""
    if own is None and (others is None or not new.any()):
        return None
    labels = (given.astype(str) if told is None else told for told, given in ((own, ids), (others, other_ids)))
    first, second = labels
    return np.concatenate([first, second[new]])


def _need_one(key, what, label):
    several = isinstance(key, Collection) and not isinstance(key, (str, bytes))
    if not isinstance(key, Hashable) or several or key is pd.NA:
        raise TypeError(f"{what} is asked for by one id or {label}, got {shown(key)}.")


def _typed_id(text):
    """The whole number that a text spells, if it is no longer than those of 64 bits."""
    return int(text) if isinstance(text, str) and text.strip().isdecimal() and len(text) < 20 else None


def generator(random_state: Any) -> np.random.Generator:
    """A NumPy Generator, of a seed or as it was given."""
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"random_state must be a whole number from 0, a NumPy Generator or None, got {shown(random_state)}."
        ) from error


def _vector(given, name):
    """A list as an array of one axis and its natural type; objects where its entries are of several kinds."""
    check_unmasked(name, given)
    array = np.asarray(given, dtype=None if hasattr(given, "dtype") else object)
    if array.ndim != 1:
        raise ValueError(f"{name} must be a list or an array of one axis, got {shown(given)} of shape {array.shape}.")
    return np.asarray(pd.Series(array).infer_objects()) if array.dtype.kind == "O" else array


def _check_lengths(texts, name):
    """Refuse ids or titles of more than `MAX_CHARACTERS`."""
    if texts.dtype.kind == "U" and texts.dtype.itemsize <= 4 * MAX_CHARACTERS:
        return
    longest = max((text for text in texts if isinstance(text, str)), key=len, default="")
    if len(longest) > MAX_CHARACTERS:
        raise ValueError(
            f"{name} must have at most {MAX_CHARACTERS:,} characters each, got {len(longest):,}: {shown(longest)}. Was "
            "a quote left open, or a description taken for a title? Shorten it, or leave the column out."
        )


def _ids(given, name):
    """Ids as 64-bit whole numbers, finite numbers or text; what is missing, or of another kind, is an error."""
    ids = _vector(given, name)
    if ids.dtype.kind in "UO":
        _check_lengths(ids, name)
    if ids.dtype.kind in "iU":  # as those of every part are
        return ids.astype(np.int64, copy=False) if ids.dtype.kind == "i" else ids
    missing = pd.isna(ids)
    if missing.any():
        raise ValueError(
            f"{missing.sum()} of {name} are missing (None or NaN), the first at position {missing.argmax()}; leave "
            "them out, or give them an id."
        )
    kind = pd.api.types.infer_dtype(ids, skipna=False)
    if kind == "integer":
        if ids.dtype.kind != "u" or (ids.size and ids.max() > np.iinfo(np.int64).max):
            raise ValueError(f"{name} holds whole numbers beyond 64 bits (2**63 or more); make them text.")
        return ids.astype(np.int64)
    if kind == "floating" and np.isfinite(ids.astype(float)).all():
        return ids.astype(float)
    if kind in ("string", "empty"):
        return ids.astype(str if kind == "string" else np.int64)
    found = sorted({type(key).__name__ for key in ids}) if ids.dtype.kind == "O" else ids.dtype
    raise TypeError(f"{name} must be whole numbers, finite numbers or text, all of one kind, got {found}.")


def _indices(given, name):
    """Positions as whole numbers; `_check_lengths` holds them against the ids."""
    positions = _vector(given, name)
    if positions.size and positions.dtype.kind not in "iu":
        raise TypeError(f"{name} holds positions, whole numbers from 0, got {positions.dtype}.")
    return as_whole(positions)


def _points(given, name):
    """Rating points as floats."""
    values = _vector(given, name)
    try:
        if values.dtype.kind not in "iufbOU":
            raise TypeError(values.dtype)
        return values.astype(float, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name} must be rating points, finite numbers, got {values.dtype} ({error}).") from error


def _is_blank(labels):
    """Mask of what names nothing: missing values, and text of spaces."""
    labels = np.asarray(labels, dtype=object)
    if {*map(type, labels)} <= {str}:
        return np.fromiter(map(str.isspace, labels), bool, len(labels)) | (labels == "")
    return np.array([isinstance(one, str) and not one.strip() for one in labels], dtype=bool) | pd.isna(labels)


def _texts(given, name, ids):
    """Titles or names as text; an id stands in for one that is missing or blank."""
    texts = _vector(given, name)
    if texts.dtype.kind in "UO":
        _check_lengths(texts, name)
    missing = np.strings.strip(texts) == "" if texts.dtype.kind == "U" else _is_blank(texts)
    if missing.any() and len(texts) == len(ids):
        texts = np.where(missing, ids.astype(str).astype(object), texts)
    try:
        return texts.astype(str)
    except ValueError as error:  # a list, or a number of more digits than Python writes
        raise TypeError(f"{name} must be text, got {shown(texts.tolist())}.") from error


_COLUMNS = ("user_id", "item_id", "title", "rating", "time")  # of `frame`


def _context(given):
    """Columns of what is known of each rating, by name."""
    check_kind("context", given, dict, "a dict of name: one entry per rating")
    for name in given:
        if not isinstance(name, str) or not name or name in _COLUMNS:
            raise ValueError(f"context needs names of its own, texts other than {_COLUMNS}, got {shown(name)}.")
    return {name: _read_only(np.array(_ids(column, f"context {name!r}"))) for name, column in given.items()}


def context_column(name: str, given: Any, n: int) -> np.ndarray:
    """What is known of `n` pairs: one number or text for all of them, or one for each, checked as `Ratings.context`."""
    what, one = f"context {name!r}", isinstance(given, (str, int, float)) or getattr(given, "ndim", 1) == 0
    if not one and not hasattr(given, "dtype") and not isinstance(given, (list, tuple, range)):
        raise TypeError(f"{what} must be a number or text, or a list of one for each pair, got {shown(given)}.")
    column = _ids(np.ravel(given) if one else given, what)
    if len(column) not in (1, n):
        raise ValueError(f"{what} must have one value, or one for each of {n} pairs, got {len(column)}.")
    return column


def _float_table(matrix):
    """A dense table as floats of two axes, NaN where it is masked."""
    try:
        if np.iscomplexobj(matrix):
            raise TypeError("complex numbers")
        if isinstance(matrix, pd.DataFrame):
            matrix = matrix.to_numpy()
            if matrix.dtype == object:
                matrix = np.where(pd.isna(matrix), np.nan, matrix)  # pandas' own missing numbers, too
        if isinstance(matrix, (list, tuple)) and any(map(np.ma.isMaskedArray, matrix)):
            matrix = np.ma.stack([np.ma.asarray(row) for row in matrix])
        if np.ma.isMaskedArray(matrix):
            matrix = np.ma.filled(matrix.astype(float), np.nan)  # what is masked is missing
        table = np.asarray(matrix)
        if table.dtype.kind in "mM":
            raise TypeError("dates or durations")
        table = np.asarray(table, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"from_matrix needs a dense table of numbers, NaN where a rating is missing, got {type(matrix).__name__} "
            f"({error})."
        ) from error
    if table.ndim != 2:
        raise ValueError(f"from_matrix needs a table of users and items, got an array of shape {table.shape}.")
    return table


def _entries(entries, n, name="entries"):
    """A mask, indices or a slice of `n` entries, checked."""
    if isinstance(entries, slice):
        return entries
    check_unmasked(name, entries)
    given = np.asarray(entries if hasattr(entries, "dtype") else _vector(entries, name))
    chosen = given.astype(np.intp) if given.shape == (0,) else given
    wrong = chosen.ndim != 1 or chosen.dtype.kind not in "iub"
    if wrong or (chosen.dtype.kind == "b" and len(chosen) != n):
        raise ValueError(
            f"{name} must be a mask of {n} True or False, a list of indices or a slice, got {shown(entries)} of shape "
            f"{given.shape}."
        )
    if chosen.dtype.kind != "b" and chosen.size and not 0 <= chosen.min() <= chosen.max() < n:
        raise ValueError(f"{name} must lie in 0..{n - 1}, got {chosen.min()}..{chosen.max()}.")
    return chosen


def _mark(at, n):
    """A mask of n entries, True at these positions."""
    mask = np.zeros(n, dtype=bool)
    mask[at] = True
    return mask


def _places(entries, n):
    """The positions of the entries that a mask, indices or a slice chooses."""
    if isinstance(entries, slice):
        return np.arange(n)[entries]
    return np.flatnonzero(entries) if entries.dtype.kind == "b" else entries


def _inverse(order):
    """The position of 0, 1, 2, ... in a permutation."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def _grouped(order, rows):
    """The entries in this order by their rows, those of one row still in it: a counting sort, which SciPy's is."""
    n = len(order)
    return sp.csr_array((order, (rows[order], np.arange(n))), shape=(int(rows.max(initial=-1)) + 1, n)).data


def _any_twice(rows, cols, n_cols):
    """Whether a pair of positions is given more than once."""
    if _in_order(rows, cols):  # as a file sorted by user and item is
        return False
    cells = rows * n_cols
    cells += cols
    cells.sort()
    return bool((cells[1:] == cells[:-1]).any())


def _in_order(rows, cols, block=100_000):
    """Whether each pair comes after the one before it; looked at block by block, which seldom needs a second one."""
    for at in range(0, len(rows) - 1, block):
        here, there = slice(at, at + block), slice(at + 1, at + block + 1)
        after, same = rows[there], rows[here][: len(rows[there])]
        later = (after > same) | ((after == same) & (cols[there] > cols[here][: len(after)]))
        if not later.all():
            return False
    return True


def pairs_repeat(users: pd.Series, items: pd.Series) -> bool:
    """Whether two rows have the same user and item."""
    (rows, _), (cols, items_met) = pd.factorize(users), pd.factorize(items)
    return _any_twice(rows, cols, len(items_met))


def _mask(keep, n, name):
    keep = _vector(keep, name)
    if keep.dtype != bool or keep.shape != (n,):
        raise ValueError(f"{name} must be a mask of {n} True or False, got {keep.dtype} of shape {keep.shape}.")
    return keep


def _pandas_frame(frame):
    """A table of another library as a pandas DataFrame, if it can become one."""
    origin = type(frame).__module__.partition(".")[0]
    kind = type(frame).__name__ if origin == "builtins" else f"{origin}.{type(frame).__name__}"
    try:
        table = frame.to_pandas() if hasattr(frame, "to_pandas") else frame
    except ImportError as error:
        raise TypeError(
            f"from_frame needs a pandas DataFrame, and this {kind} cannot become one without another package: {error}"
        ) from error
    if not isinstance(table, pd.DataFrame):
        lazy = "; collect() it first" * hasattr(frame, "collect")
        raise TypeError(f"from_frame needs a pandas DataFrame with a row per rating, got {kind}{lazy}.")
    return table


def _check_frame(frame, user, item, columns):
    """Refuse a table that lacks a column, or rows that say of nobody, or of nothing."""
    if frame.empty:
        raise ValueError("the table holds no rating: nothing to learn from.")
    for name in columns:
        if not isinstance(name, Hashable) or name not in frame.columns:
            raise ValueError(f"the table has no column {shown(name)}; it has {shown(list(frame.columns))}.")
        if frame[name].ndim > 1:
            raise ValueError(f"the table has several columns {shown(name)}; rename or drop all but one.")
    blank = frame[user].isna() | frame[item].isna()
    if blank.any():
        first = blank.idxmax()
        raise ValueError(f"{blank.sum()} rows have no user or no item, the first is row {first}; drop them first.")


def _rating_points(column):
    """A column of ratings as numbers; what is no number is an error."""
    try:
        values = pd.to_numeric(column, errors="coerce")
    except (TypeError, OverflowError) as error:
        raise ValueError(f"column {column.name!r} must hold rating points, finite numbers ({error}).") from error
    if pd.api.types.is_complex_dtype(values):
        raise ValueError(f"column {column.name!r} must hold rating points, finite numbers, got {values.dtype}.")
    bad = values.isna() & column.notna()
    if bad.any():
        first = column[bad].iloc[0]
        raise ValueError(f"{bad.sum()} values of column {column.name!r} are no numbers, the first is {shown(first)}.")
    return values.to_numpy(float, na_value=np.nan)


def _read_only(table):
    """The array, or the arrays of a sparse table, that nobody shall write to."""
    for array in (table.data, table.indices, table.indptr) if sp.issparse(table) else (table,):
        array.setflags(write=False)
    return table


def _is_share(value):
    return isinstance(value, (int, float, np.integer, np.floating)) and 0 < value < 1


def _check_shares(train, validation):
    if not (_is_share(train) and _is_share(validation) and train + validation < 1):
        raise ValueError(
            f"train and validation are shares that leave some for the test, got {shown(train)} and {shown(validation)}."
        )


def _moments(times, name="times"):
    """Times as numbers or dates; what has no order, or is missing, is an error."""
    if not isinstance(times, (pd.Series, pd.Index)):
        times = _vector(times, name)
    times = pd.Series(times).infer_objects()
    if pd.api.types.is_datetime64_any_dtype(times):
        moments = _nanoseconds(times)
    elif pd.api.types.is_numeric_dtype(times) and not pd.api.types.is_complex_dtype(times):
        moments = times.to_numpy()
    else:
        raise TypeError(f"times must be numbers or dates, got {times.dtype}; text may sort otherwise (pd.to_datetime).")
    if times.isna().any():
        raise ValueError(
            f"{times.isna().sum()} times are missing, the first at entry {times.isna().idxmax()}; drop "
            "these ratings, or pass no times."
        )
    return moments


def _nanoseconds(dates):
    try:
        return dates.dt.as_unit("ns").to_numpy(dtype="datetime64[ns]")
    except pd.errors.OutOfBoundsDatetime as error:
        raise ValueError(f"dates must lie between the years 1678 and 2261 ({error}).") from error


def _hashes_as_it_sorts(column):
    """Whether the values of a column are numbers or text: one type, equal where their hashes meet, with an order."""
    is_text = pd.api.types.infer_dtype(column, skipna=False) == "string"
    return column.dtype.kind in "iuf" or (is_text and TEXT_IS_HASHED_WHOLE)


def _distinct(column):
    """(sorted ids, position of each entry) of a column."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        ids, places = _distinct(pd.Series(column.cat.categories, name=column.name))
        return ids, places[column.cat.codes]
    column = column.infer_objects()
    if not isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":  # one of pandas' own
        column = pd.Series(column.to_numpy(), name=column.name).infer_objects()
    try:
        if _hashes_as_it_sorts(column):
            positions, ids = pd.factorize(column)
            ids = np.asarray(ids)
            order = np.argsort(ids)
            if (order[1:] < order[:-1]).any():
                ids, positions = (
                    ids[order],
                    _inverse(order).take(positions, out=positions, mode="wrap"),
                )  # -1 is the last
        else:
            ids, positions = np.unique(column.to_numpy(), return_inverse=True)
    except (TypeError, ValueError) as error:
        kinds = sorted({type(value).__name__ for value in column})
        raise TypeError(
            f"the ids in column {column.name!r} are of several types, {kinds}, or of one without an order; make them "
            "whole numbers or text."
        ) from error
    return _ids(ids, f"column {column.name!r}"), positions


def first_labels(at: np.ndarray, n: int, labels: pd.Series) -> tuple[np.ndarray, bool]:
    """(the first row of each of n keys that has a label, not missing or blank, -1 where none has; whether each key has
    one label only)

    `at` is the position of the key of each row.
    """
    codes, distinct = pd.factorize(labels)
    known = np.flatnonzero(~np.append(_is_blank(distinct), True)[codes])  # the code of a missing one is -1
    first = np.full(n, -1)
    first[at[known[::-1]]] = known[::-1]  # of several rows of a key the last one set stays
    return first, bool((codes[known] == codes[first[at[known]]]).all())


def _one_label_each(frame, keys, label, others):
    """The label of each distinct key, in key order, the id where none is known; two for one key are an error.

    `keys` are the column, its positions and its ids; `others` the column and the positions of the other side.
    """
    _, at, ids = keys
    try:
        first, agree = first_labels(at, len(ids), frame[label])
    except TypeError as error:
        raise TypeError(f"column {label!r} must hold text ({error}).") from error
    if not agree:
        _refuse_labels(frame, keys, label, others)
    texts = ids.astype(str).astype(object)
    texts[first >= 0] = frame[label].iloc[first[first >= 0]]
    return texts


def _refuse_labels(frame, keys, label, others):
    """The error for a key with several labels."""
    (key, at, ids), (other, other_at) = keys, others
    pairs = pd.DataFrame({"at": at, "other": other_at, "label": frame[label].to_numpy()})
    pairs = pairs[~_is_blank(frame[label])]
    labels = pairs.drop_duplicates(["at", "label"])
    twice = labels[labels.duplicated("at", keep=False)].sort_values("at")
    first = twice["at"].iloc[0]
    swapped = not pairs.drop_duplicates(["other", "label"]).duplicated("other").any()
    hint = f"columns {key!r} and {other!r} look swapped" if swapped else "the ids or titles are mixed up"
    raise ValueError(
        f"{key} {ids[first].item()!r} has several values of {label}: "
        f"{shown(twice['label'][twice['at'] == first].tolist()[:3])}; {hint}."
    )
