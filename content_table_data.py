"""Ratings, the files they come from, and what is known about titles: what `content_table` stands on.

`Ratings` is the table and its splits; `load_ratings` reads three schemas, `load_mal_export` one person's list;
`Features` says what titles are about. Import it all from `content_table`.
"""

import difflib
import gzip
import hashlib
import json
import os
import re
import unicodedata
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import MultiLabelBinarizer

__all__ = ["IMAGINARY", "MAX_EXPORT_BYTES", "RANK", "TIE", "Features", "OwnList", "Range", "Ratings", "check_number",
           "item_texts", "item_vectors", "load_features", "load_genres", "load_mal_export", "load_profiles",
           "load_ratings", "of_genres", "plain_title", "series_of", "similar_titles", "tfidf_features",
           "write_whole"]  # fmt: skip
TIE = 9  # decimals: predictions that agree to 1e-9 rating points are ties, and ties go by item position


def check_number(name, value, *, low=0.0, strict=False, whole=False):
    """Refuse a hyper-parameter that is not a finite number, not whole where it must be, or below `low`."""
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if not isinstance(value, kinds) or isinstance(value, bool) or not np.isfinite(value):
        raise ValueError(f"{name} must be a {'whole' if whole else 'finite'} number, got {value!r}.")
    if value < low or (strict and value == low):
        raise ValueError(f"{name} must be {'above' if strict else 'at least'} {low:g}, got {value!r}.")


@dataclass(frozen=True)
class Range:
    """What `tune` may set a hyper-parameter to: `low` to `high`; with `log` every factor of ten is as likely as the
    next. Settings that must be whole, such as `n_factors`, are tried as whole numbers."""

    low: float
    high: float
    log: bool = False
    unit: str = ""

    def suggest(self, trial, name, whole=False):
        return (trial.suggest_int if whole else trial.suggest_float)(name, self.low, self.high, log=self.log)


RANK = Range(1, 50, log=True, unit="factors")
IMAGINARY = Range(0.5, 50.0, log=True, unit="imaginary ratings of 0 deviation")


def write_whole(path, write):
    """Write beside the target and rename: a reader sees the old file or the new one, never half of one."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# ---- Ratings: the table, where it is known, and the one place that turns ids into positions --------------------------


@dataclass(frozen=True, eq=False)
class Ratings:
    """Known ratings of m users and n items: an immutable list of (row, column, value) with the ids behind them.

    Parameters
    ----------
    user_ids, item_ids : arrays (m,), (n,)
        What the data calls a user or an item; `user_ids[row]` and `item_ids[col]`. Splits keep all of them, so a model
        trained on one part can be asked about any cell of another.
    rows, cols, values : arrays, one entry per rating
        Positions and rating points, in the order of the file.
    scale : (low, high)
        The rating scale, both ends included.
    times : array, one entry per rating, optional
    titles, user_names : arrays of str (n,), (m,), optional
    dropped : dict
        How many rows of the source were left out, by reason.

    Raises
    ------
    ValueError : lengths that differ, positions outside the ids, a value that is not finite or outside the scale, or a
        cell given twice.
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

    def __post_init__(self):
        arrays = {"rows": np.intp, "cols": np.intp, "values": np.float64}
        for name in ("user_ids", "item_ids", "rows", "cols", "values", "times", "titles", "user_names"):
            if getattr(self, name) is not None:
                given = np.asarray(_moments(self.times) if name == "times" else getattr(self, name))
                if name in ("rows", "cols") and given.size and given.dtype.kind not in "iu":
                    raise TypeError(f"{name} holds positions, whole numbers from 0, got {given.dtype}.")
                array = np.array(given, dtype=str if given.dtype.kind == "O" else arrays.get(name))
                array.setflags(write=False)
                object.__setattr__(self, name, array)
        self._check_lengths()
        self._check_values()
        order = np.lexsort((self.cols, self.rows))
        same = (np.diff(self.rows[order]) == 0) & (np.diff(self.cols[order]) == 0)
        if same.any():
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
        for name, positions, ids in (("rows", self.rows, self.user_ids), ("cols", self.cols, self.item_ids)):
            if len(np.unique(ids)) != len(ids):
                raise ValueError(
                    f"the ids behind {name} are not unique: {len(ids)} ids, {len(np.unique(ids))} distinct."
                )
            if len(positions) and (positions.min() < 0 or positions.max() >= len(ids)):
                raise ValueError(
                    f"{name} must lie in 0..{len(ids) - 1}, got {positions.min()}..{positions.max()}; "
                    "users are rows and items are columns, so check for a transposed table."
                )

    def _check_values(self):
        try:
            low, high = (end + 0.0 for end in self.scale)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the scale is two numbers, (low, high), got {self.scale!r}.") from error
        if not low < high:
            raise ValueError(f"the scale needs a low end below its high end, got {self.scale}.")
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
    def from_frame(cls, frame, user, item, rating, *, time=None, title=None, name=None, **options):
        """Ratings from a table with one row per rating: any DataFrame, by the names of its columns.

        Ids become sorted positions, rows keep their order; options are those of `Ratings`, above all
        `scale=(low, high)`, which is 1 to 10 unless you say otherwise.
        """
        if not isinstance(frame, pd.DataFrame):
            raise TypeError(f"from_frame needs a pandas DataFrame with a row per rating, got {type(frame).__name__}.")
        if frame.empty:
            raise ValueError("the table holds no rating: nothing to learn from.")
        missing = [name for name in (user, item, rating, time, title, name) if name and name not in frame.columns]
        if missing:
            raise ValueError(f"the table has no column {missing[0]!r}; it has {list(frame.columns)}.")
        blank = frame[[user, item]].isna().any(axis=1)
        if blank.any():
            first = blank.idxmax()
            raise ValueError(f"{blank.sum()} rows have no user or no item, the first is row {first}; drop them first.")
        user_ids, rows = _distinct(frame[user])
        item_ids, cols = _distinct(frame[item])
        values = pd.to_numeric(frame[rating], errors="coerce")
        bad = values.isna() & frame[rating].notna()
        if bad.any():
            raise ValueError(f"{bad.sum()} values of column {rating!r} are no numbers, the first is "
                             f"{frame[rating][bad].iloc[0]!r}.")  # fmt: skip
        return cls(
            user_ids,
            item_ids,
            rows,
            cols,
            values.to_numpy(float),
            times=None if time is None else frame[time].to_numpy(),
            titles=None if title is None else _one_label_each(frame, item, title, user),
            user_names=None if name is None else _one_label_each(frame, user, name, item),
            **options,
        )

    @classmethod
    def from_matrix(cls, matrix, *, scale=(1.0, 10.0), **options):
        """Ratings from a small dense table typed in by hand, NaN where a rating is missing; ids are 0, 1, 2, ..., of a
        DataFrame its index and columns."""
        labels = (matrix.index, matrix.columns) if isinstance(matrix, pd.DataFrame) else None
        matrix = np.asarray(matrix, dtype=float)
        rows, cols = np.nonzero(~np.isnan(matrix))
        ids = (np.arange(side) for side in matrix.shape) if labels is None else (np.asarray(side) for side in labels)
        return cls(*ids, rows, cols, matrix[rows, cols], scale=scale, **options)

    def __repr__(self):
        return f"Ratings({len(self):,} ratings of {self.n_users:,} users on {self.n_items:,} items, scale {self.scale})"

    def __len__(self):
        return len(self.values)

    @property
    def n_users(self):
        return len(self.user_ids)

    @property
    def n_items(self):
        return len(self.item_ids)

    @property
    def shape(self):
        return self.n_users, self.n_items

    @property
    def density(self):
        return len(self) / max(self.n_users * self.n_items, 1)

    @cached_property
    def user_counts(self):
        """How many ratings each user has, (m,)."""
        return np.bincount(self.rows, minlength=self.n_users)

    @cached_property
    def item_counts(self):
        """How many ratings each item has, (n,)."""
        return np.bincount(self.cols, minlength=self.n_items)

    @cached_property
    def csr(self):
        """The table by rows (SciPy CSR, columns sorted)."""
        table = sp.csr_array((self.values, (self.rows, self.cols)), shape=self.shape)
        table.sort_indices()
        return table

    @cached_property
    def known(self):
        """1 where a rating is known (SciPy CSR)."""
        return sp.csr_array((np.ones(len(self)), self.csr.indices, self.csr.indptr), shape=self.shape)

    def same_universe(self, other):
        """Whether `other` has the same users and items in the same positions."""
        return np.array_equal(self.user_ids, other.user_ids) and np.array_equal(self.item_ids, other.item_ids)

    @cached_property
    def csc(self):
        """The same table by columns."""
        return self.csr.tocsc()

    @cached_property
    def fingerprint(self):
        """SHA-256 of scale, ids, cells and values: what a model learns from. Titles, names and times are not in it."""
        order = np.lexsort((self.cols, self.rows))
        digest = hashlib.sha256(np.array(self.scale, dtype="<f8").tobytes())
        for ids in (self.user_ids, self.item_ids):
            digest.update(json.dumps(ids.tolist()).encode())
        for array in (self.rows[order].astype("<i8"), self.cols[order].astype("<i8"), self.values[order].astype("<f8")):
            digest.update(array.tobytes())
        return digest.hexdigest()

    @cached_property
    def _positions(self):
        return tuple({key: at for at, key in enumerate(ids.tolist())} for ids in (self.user_ids, self.item_ids))

    def user_rows(self, users):
        """Rows of the given user ids; an id that the table does not know is an error that names it."""
        return self._look_up(users, 0)

    def item_cols(self, items):
        """Columns of the given item ids."""
        return self._look_up(items, 1)

    def _look_up(self, ids, axis):
        here, there = self._positions[axis], self._positions[1 - axis]
        kind, other = (("user", "item"), ("item", "user"))[axis]
        keys = np.atleast_1d(np.asarray(ids)).tolist()
        unknown = [key for key in keys if key not in here]
        if unknown:
            swapped = unknown[0] in there
            hint = (
                f"it is an {other} id, so users and items may be swapped"
                if swapped
                else "check the id's type and spelling"
            )
            raise KeyError(
                f"unknown {kind} id {unknown[0]!r} ({len(unknown)} unknown in all); the table has {len(here)} "
                f"{kind}s, such as {next(iter(here), None)!r}; {hint}."
            )
        return np.array([here[key] for key in keys], dtype=np.intp)

    def user_id(self, name):
        """The id of the user with this id or name (a viewer is asked for by either)."""
        if name in self._positions[0]:
            return name
        names = [] if self.user_names is None else self.user_names.tolist()
        if name in names:
            return self.user_ids[names.index(name)]
        if isinstance(name, str) and name.isdecimal():
            return self.user_ids[self.user_rows(int(name))[0]]
        raise KeyError(
            f"no user has the id or name {name!r}; names look like {names[:1] or self.user_ids[:1].tolist()}."
        )

    def user_row(self, user):
        """The row of one user, asked for by id or name."""
        return int(self.user_rows(self.user_id(user) if isinstance(user, str) else user)[0])

    def item_id(self, name):
        """The id of the item with this id, title, or part of a title in any case; a name that could mean several, or
        none, is an error that lists what may have been meant."""
        if name in self._positions[1]:
            return name
        if not isinstance(name, str):
            self.item_cols(name)  # an error that names the id
        whole = [at for at, title in enumerate(self.item_labels.tolist()) if title.casefold() == str(name).casefold()]
        if len(whole) == 1:
            return self.item_ids[whole[0]].item()
        if isinstance(name, str) and name.strip().isdigit() and int(name) in self._positions[1]:
            return int(name)
        found = self.find_titles(name)
        candidates = "; ".join(
            f"{title} ({item})" for item, title in zip(found["item_id"], found["title"], strict=True)
        )
        if len(found) == 0:
            raise KeyError(
                f"no title has {name!r} in it, or anything like it; titles are spelled as in {self._best_known[:3]}."
            )
        if (found["match"] == "similar").all():
            raise KeyError(f"no title has {name!r} in it; did you mean: {candidates}?")
        exact = found[found["match"] == "exact"]
        found = exact if len(exact) else found
        if len(found) > 1:
            raise KeyError(f"{name!r} could be any of: {candidates}. Give more of the name, or the id.")
        return found["item_id"].item()

    def find_titles(self, text, n=10):
        """Titles with every word of `text` in them, in any case and order: item_id, title, match; the most rated first
        after titles that are, or begin with, the text. Where there is none, misspelled words are first replaced by the
        closest words of all titles, and `match` says "similar"."""
        words = plain_title(text).split()
        found, match = self._titles_with(words), "part"
        if words and not len(found):
            known = sorted({word for title in self._plain_titles for word in title.split()})
            words = [(difflib.get_close_matches(word, known, 1, cutoff=0.7) or [word])[0] for word in words]
            found, match = self._titles_with(words), "similar"
        text, counts = " ".join(words), self.item_counts
        kinds = {at: "exact" if self._plain_titles[at] == text and match == "part" else match for at in found}
        plain = self._plain_titles
        found.sort(key=lambda at: (plain[at] != text, not plain[at].startswith(text), -counts[at], plain[at]))
        ids = {"item_id": self.item_ids[found[:n]], "title": self.item_labels[found[:n]]}
        return pd.DataFrame(ids | {"match": [kinds[at] for at in found[:n]]})

    @property
    def _best_known(self):
        return self.item_labels[np.argsort(-self.item_counts, kind="stable")].tolist()

    def _titles_with(self, words):
        """Columns whose titles have all these words; one of two letters or less must be a whole word there."""
        short = [word for word in words if len(word) < 3 and word.isascii()]
        return [at for at, title in enumerate(self._plain_titles)
                if words and all(word in title for word in words) and set(short) <= set(title.split())]  # fmt: skip

    @cached_property
    def _plain_titles(self):
        return [plain_title(title) for title in self.item_labels.tolist()]

    @cached_property
    def series(self):
        """A label for every column, equal for the seasons and parts of one title: see `series_of`. If that left fewer
        works than half the titles, numbers would not count seasons ("Camera 1", "Camera 2"): each is its own then."""
        alone = np.arange(self.n_items)
        works = alone if self.titles is None else series_of(self.titles.tolist())
        return works if 2 * len(np.unique(works)) >= self.n_items else alone

    def title(self, item):
        """The title of an item id, or the id as text where titles are not known."""
        return str(self.item_labels[self.item_cols(item)[0]])

    def told(self, given, axis=0):
        """(positions, values) of {item id or title: rating points}, checked; `axis=1`: of {user id or name: ...}."""
        given = getattr(given, "ratings", given)  # an OwnList
        if not hasattr(given, "items"):
            raise TypeError(f"expected {{id or name: rating}}, got {type(given).__name__}.")
        given = dict(given.items())
        ids, unknown = [], []
        for key in given:
            try:
                ids.append(self.user_id(key) if axis else self.item_id(key))
            except KeyError as error:
                unknown.append(error.args[0])
        if unknown:
            raise KeyError("\n".join(unknown))  # all at once
        low, high = self.scale
        for key, value in given.items():
            if not isinstance(value, (int, float, np.number)) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(
                    f"a rating is a number from {low:g} to {high:g}, got {value!r} for {key!r}; leave unrated ones out."
                )
        if len(set(ids)) < len(ids):
            raise ValueError(
                f"{len(ids) - len(set(ids))} of {len(ids)} ratings repeat another: an id and a name of one thing?"
            )
        return self._look_up(ids, 1 - axis), np.array(list(given.values()), dtype=float)

    @cached_property
    def item_labels(self):
        """A title for every column; the id as text where titles are not known."""
        return self.item_ids.astype(str) if self.titles is None else self.titles

    def frame(self):
        """One row per rating, as a pandas table."""
        columns = {"user_id": self.user_ids[self.rows], "item_id": self.item_ids[self.cols]}
        columns |= {"title": self.item_labels[self.cols], "rating": self.values}
        return pd.DataFrame(columns | ({} if self.times is None else {"time": self.times}))

    def part(self, entries):
        """The given entries (mask or indices) as Ratings over the *same* users and items."""
        times = None if self.times is None else self.times[entries]
        chosen = {
            "rows": self.rows[entries],
            "cols": self.cols[entries],
            "values": self.values[entries],
            "times": times,
        }
        return replace(self, **chosen, dropped={})

    def joined(self, other):
        """The ratings of two parts of one table together, these first."""
        if not self.same_universe(other):
            raise ValueError(f"only parts of one table can be joined, with the same users and items: {self}, {other}.")
        both = {
            name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("rows", "cols", "values")
        }
        times = None if self.times is None or other.times is None else np.concatenate([self.times, other.times])
        return replace(self, **both, times=times)

    def restrict(self, keep_users, keep_items):
        """A smaller table: only the users and items of the two masks, positions counted anew."""
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
            titles=label(self.titles, keep_items),
            user_names=label(self.user_names, keep_users),
        )

    def filter_once(self, min_per_user, min_per_item):
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

    def without_items(self, item_ids):
        """The table without these items, and without users who rated nothing else."""
        keep_items = ~np.isin(self.item_ids, item_ids)
        keep_users = np.bincount(self.rows[keep_items[self.cols]], minlength=self.n_users) > 0
        return self.restrict(keep_users, keep_items)

    def to_csv(self, path):
        """Write the course's schema (u_id, a_id, profile, title, score), by title then user; whole file or nothing."""
        if {self.user_ids.dtype.kind, self.item_ids.dtype.kind} - set("iu"):
            raise ValueError("the course's schema has whole-number ids; write others by frame().to_csv, and read them "
                             "by from_frame.")  # fmt: skip
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

    def split_random(self, test_size=0.2, random_state=0):
        """(train, test): a random `test_size` share of the ratings is held out."""
        if not 0 < test_size < 1:
            raise ValueError(f"test_size is a share between 0 and 1, got {test_size}.")
        n_test = round(len(self) * test_size)
        if n_test == 0 or n_test == len(self):
            raise ValueError(f"{len(self)} ratings cannot give a test share of {test_size} and leave some to train on.")
        order = np.random.default_rng(random_state).permutation(len(self))
        return self.part(np.sort(order[n_test:])), self.part(np.sort(order[:n_test]))

    def split_folds(self, n_folds=5, random_state=0):
        """Cross-validation: `n_folds` pairs (train, held out); each rating is held out once."""
        check_number("n_folds", n_folds, low=2, whole=True)
        if n_folds > len(self):
            raise ValueError(f"{len(self)} ratings cannot make {n_folds} folds.")
        fold = np.random.default_rng(random_state).permutation(len(self)) % n_folds
        return [(self.part(fold != at), self.part(fold == at)) for at in range(n_folds)]

    def split_user_time(self, train=0.7, validation=0.15):
        """(train, validation, test) of each user's ratings in time order, cut at int(n*train) and
        int(n*(train+validation)).

        The sort is stable by user, then time: the order of the file breaks ties, and published figures depend on it.
        """
        _check_shares(train, validation)
        order = np.lexsort((self._need_times(), self.rows))
        counts = self.user_counts
        rank = np.arange(len(self)) - np.repeat(np.cumsum(counts) - counts, counts)
        n = counts[self.rows[order]]
        # In floating point .7 + .15 is .85 less one unit in the last place; the sum is rounded to keep the published
        # cut.
        late = rank >= (n * round(train + validation, 12)).astype(int)
        middle = (rank >= (n * train).astype(int)) & ~late
        return tuple(self.part(order[chosen]) for chosen in (~middle & ~late, middle, late))

    def split_global_time(self, train=0.7, validation=0.15):
        """(train, validation, test) cut at two moments common to all users: nobody's future is used for anybody."""
        _check_shares(train, validation)
        times = self._need_times()
        cuts = np.quantile(times, [train, round(train + validation, 12)], method="lower")
        part = np.searchsorted(cuts, times, side="left")  # a moment belongs to one part as a whole
        return tuple(self.part(part == chosen) for chosen in range(3))

    def split_leave_one_out(self, random_state=0):
        """(train, test): one rating of each user who has two or more; the latest where times are known, else any."""
        rng = np.random.default_rng(random_state)
        late = rng.permutation(len(self)) if self.times is None else np.argsort(np.argsort(self.times, kind="stable"))
        order = np.lexsort((late, self.rows))
        last = np.append(np.diff(self.rows[order]) != 0, True)
        several = self.user_counts[self.rows[order]] > 1
        test = np.sort(order[last & several])
        return self.part(np.setdiff1d(np.arange(len(self)), test)), self.part(test)

    def _need_times(self):
        if self.times is None:
            raise ValueError("a split by time needs `times`, and these ratings have none; use split_random.")
        return self.times


def plain_title(title):
    """A title as people type it: no case, accents or punctuation, one space between words."""
    letters = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", str(title)))  # Latin accents alone
    return " ".join(re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", letters).casefold()).split())


_PART = re.compile(  # what marks one part of a series, where it ends a title (before or without a subtitle)
    r"(the|final|first|second|third|fourth|fifth|new|next|season|seasons|part|cour|chapter|episode|movie|movies|film|films|"
    r"gekijouban|ova|ovas|oad|ona|tv|special|specials|recap|picture|drama|kai|zoku|shin|remake|edition|"
    r"\d+(st|nd|rd|th)?|x\d+|r\d+|[ivx]+|[a-z])"
)


def series_of(titles):
    """A label for each title; titles with one label are taken for seasons, parts, films or retellings of one work.

    The name of a work is what stands before a subtitle, without brackets and without the words and numbers that count
    parts ("2nd Season", "Movie 3", "II"). A title that begins with the whole name of another work belongs to it too, if
    that name has two words or six letters; one that ends with it, if it has two words ("Zoku ..."). A guess from names
    alone: the tests hold it against pairs labelled by hand.
    """
    names = [_work_name(title) for title in titles]
    whole = {plain_title(_main_part(title)) for title in titles}
    known = {name for name in names if len(name) > 1 or (len(name[0]) >= 6 and name[0] in whole)}
    works = []
    for name in names:
        begun = [name[:length] for length in range(1, len(name))]
        ended = [name[at:] for at in range(1, len(name) - 1)]
        works.append(next((other for other in begun + ended if other in known), name))
    return np.unique([" ".join(work) for work in works], return_inverse=True)[1]


def _main_part(title):
    """What stands before a subtitle, without brackets."""
    return re.split(r":\s| - |~", re.sub(r"\([^)]*\)", " ", title.strip()))[0]


def _work_name(title):
    """The words of a title that name the whole work."""
    head = _main_part(title)
    words = plain_title(head).split() or plain_title(title).split() or [title]
    while len(words) > 1 and _PART.fullmatch(words[-1]):
        words.pop()
    return tuple(words)


def _check_shares(train, validation):
    if not (0 < train < 1 and 0 < validation < 1 and train + validation < 1):
        raise ValueError(f"train and validation are shares that leave some for the test, got {train} and {validation}.")


def _moments(times):
    """Times as numbers or dates; what has no order, or is missing, is an error."""
    times = pd.Series(times).infer_objects()
    if pd.api.types.is_datetime64_any_dtype(times):
        moments = times.to_numpy(dtype="datetime64[ns]")
    elif pd.api.types.is_numeric_dtype(times):
        moments = times.to_numpy()
    else:
        raise TypeError(f"times must be numbers or dates, got {times.dtype}; text may sort otherwise (pd.to_datetime).")
    if times.isna().any():
        raise ValueError(f"{times.isna().sum()} times are missing, the first at entry {times.isna().idxmax()}; drop "
                         "these ratings, or pass no times.")  # fmt: skip
    return moments


def _distinct(column):
    """(sorted ids, position of each entry) of a column."""
    try:
        return np.unique(column.infer_objects().to_numpy(), return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in column})
        raise TypeError(f"the ids in column {column.name!r} are of several types, {kinds}; make them one.") from error


def _one_label_each(frame, key, label, other):
    """The label of each distinct key, in key order, the id where there is none; two labels for one key are an error."""
    frame = frame.assign(**{label: frame[label].where(frame[label].notna(), frame[key].astype(str))})
    labels = frame.drop_duplicates([key, label])
    twice = labels[labels.duplicated(key, keep=False)].sort_values(key)
    if len(twice):
        swapped = not frame.drop_duplicates([other, label]).duplicated(other).any()
        hint = f"columns {key!r} and {other!r} look swapped" if swapped else "the ids or titles are mixed up"
        raise ValueError(
            f"{key} {twice[key].tolist()[0]!r} has several values of {label}: {twice[label].tolist()[:3]}; {hint}."
        )
    return labels.sort_values(key)[label].to_numpy(dtype=str)


# ---- Reading the three schemas ---------------------------------------------------------------------------------------

_COURSE = ("u_id", "a_id", "profile", "title", "score")
_MOVIELENS = ("userId", "movieId", "rating", "timestamp")
_REVIEWS = ("uid", "profile", "anime_uid", "score")


def load_ratings(path, conflicts="error", scale=None):
    """Read a course file, a MovieLens folder or the raw MyAnimeList dump; the columns tell which.

    Parameters
    ----------
    path : str or Path
        A course CSV (u_id, a_id, profile, title, score); MovieLens's folder or its ratings.csv (userId, movieId,
        rating, timestamp; titles from movies.csv beside it); or a folder with the dump's animes.csv and reviews.csv,
        whose users are numbered in order of first appearance.
    conflicts : "error" or "last"
        What to do when one user rates one item twice with different scores. Repeats that agree are dropped and counted.
    scale : (low, high), optional
        Of the ratings, both ends included; default: 0.5 to 5 for MovieLens, 1 to 10 for the others.

    Returns
    -------
    Ratings : `dropped` counts the rows left out. A blank is missing, never a rating, and so is a score of 0 on a scale
    that begins above it.

    Raises
    ------
    FileNotFoundError, ValueError : what was expected, what came, and the likely cause.
    """
    if conflicts not in ("error", "last"):
        raise ValueError(f"conflicts must be 'error' or 'last', got {conflicts!r}.")
    path = Path(path)
    if path.is_dir():
        found = [name for name in ("reviews.csv", "ratings.csv") if (path / name).is_file()]
        if not found:
            raise FileNotFoundError(f"{path} holds neither reviews.csv (MyAnimeList dump) nor ratings.csv (MovieLens).")
        path = path / found[0]
    header = _read_text(path, nrows=0).columns
    schemas = {_COURSE: _load_course, _MOVIELENS: _load_movielens, _REVIEWS: _load_dump}
    for columns, load in schemas.items():
        if set(columns) <= set(header):
            return load(path, conflicts, *(() if scale is None else (scale,)))
    if len(header) == 1 and any(sign in header[0] for sign in ";\t"):
        raise ValueError(f"{path.name} has one column, {header[0]!r}: is it separated by semicolons or tabs? Save it "
                         "with commas.")  # fmt: skip
    closest = max(schemas, key=lambda columns: len(set(columns) & set(header)))
    raise ValueError(
        f"{path.name} has columns {list(header)}; the closest known schema is {list(closest)}, of which "
        f"{sorted(set(closest) - set(header))} is missing. Was a column renamed, or the header row cut off? "
        "Ratings.from_frame takes a table with any columns."
    )


def _read_text(path, source=None, **options):
    """A CSV as text, blanks kept as blanks, so that we decide what is a number and what is missing."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        table = pd.read_csv(
            path if source is None else source, dtype=str, keep_default_na=False, encoding="utf-8", **options
        )
        if not isinstance(table.index, pd.RangeIndex):  # pandas takes a surplus first field for row names
            raise pd.errors.ParserError("the rows have more fields than the header")
        return table
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a CSV file with a header in UTF-8 ({error}); save it as CSV UTF-8.") from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise ValueError(f"{path} is not a CSV file with a header: {error}") from error


def _numbers(column, path):
    """A text column as floats, NaN where blank; anything else that is not a finite number is an error with its line."""
    text = column.str.strip()
    values = pd.to_numeric(text, errors="coerce").astype(float)
    bad = (text != "") & ~np.isfinite(values)
    if bad.any():
        at = bad[bad].index[0]
        raise ValueError(
            f"{Path(path).name}: {bad.sum()} values of {column.name!r} are not finite numbers, the first is "
            f"{column[at]!r} in data row {at + 1}{'; write decimals with a point' if ',' in column[at] else ''}."
        )
    return values


def _ids(column, path):
    """A text column of ids as integers, exactly."""
    values = _numbers(column, path)
    bad = values.isna() | (values % 1 != 0)
    if bad.any():
        at = bad[bad].index[0]
        raise ValueError(
            f"{Path(path).name}: {bad.sum()} values of {column.name!r} are not whole-number ids, the first is "
            f"{column[at]!r} in data row {at + 1}."
        )
    if values.abs().max() < 2**53:
        return values.astype(np.int64)
    try:  # a float cannot tell larger ones apart
        return column.str.strip().map(int).astype(np.int64)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{Path(path).name}: ids in {column.name!r} do not fit into 64 bits ({error}).") from error


def _tidy(frame, user, item, score, conflicts, path, scale=(1.0, 10.0)):
    """Drop what is missing or said twice, with counts; refuse what contradicts itself."""
    missing = frame[score].isna() | ((frame[score] == 0) & (min(scale) > 0))
    known = frame[~missing]
    if known.empty:
        raise ValueError(
            f"{Path(path).name} holds no rating ({len(frame)} rows, {missing.sum()} of them without a score)."
        )
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
            f"{Path(path).name}: {twice.sum()} rows contradict each other, the first are {who} with {score} "
            f"{first[score].tolist()}; pass conflicts='last' to keep the later."
        )
    tidy = distinct.drop_duplicates([user, item], keep="last")
    dropped["conflicts, the later kept"] = len(distinct) - len(tidy)
    return tidy, {reason: count for reason, count in dropped.items() if count}


def _load_course(path, conflicts, scale=(1.0, 10.0)):
    frame = _read_text(path)
    frame["u_id"], frame["a_id"] = _ids(frame["u_id"], path), _ids(frame["a_id"], path)
    frame["score"] = _numbers(frame["score"], path)
    tidy, dropped = _tidy(frame, "u_id", "a_id", "score", conflicts, path, scale)
    options = {"title": "title", "name": "profile", "scale": scale, "dropped": dropped}
    return Ratings.from_frame(tidy, "u_id", "a_id", "score", **options)


def _load_movielens(path, conflicts, scale=(0.5, 5.0)):
    frame = _read_text(path)
    frame["userId"], frame["movieId"] = _ids(frame["userId"], path), _ids(frame["movieId"], path)
    frame["rating"], frame["timestamp"] = _numbers(frame["rating"], path), _ids(frame["timestamp"], path)
    tidy, dropped = _tidy(frame, "userId", "movieId", "rating", conflicts, path, scale)
    options = {"time": "timestamp", "scale": scale, "dropped": dropped}
    films = path.with_name("movies.csv")
    if films.is_file():
        tidy, options["title"] = tidy.assign(title=_titles(films, "movieId", tidy["movieId"])), "title"
    return Ratings.from_frame(tidy, "userId", "movieId", "rating", **options)


def _titles(path, key, items):
    """The title of each item id, from the first row of a catalogue that has it; the id as text where none does."""
    catalogue = _read_text(path)
    if not {key, "title"} <= set(catalogue.columns):
        raise ValueError(f"{path.name} needs the columns {key!r} and 'title', got {list(catalogue.columns)}.")
    names = pd.Series(catalogue["title"].to_numpy(), index=_ids(catalogue[key], path))
    return items.map(names[~names.index.duplicated()]).fillna(items.astype(str))


def _load_dump(path, conflicts, scale=(1.0, 10.0)):
    reviews = _read_text(path)
    nameless = (reviews["profile"].str.strip() == "") | (reviews["anime_uid"].str.strip() == "")
    frame = reviews[~nameless].copy()
    frame["a_id"], frame["score"] = _ids(frame["anime_uid"], path), _numbers(frame["score"], path)
    frame["u_id"] = pd.factorize(frame["profile"])[0]  # the number of a viewer: order of first appearance
    tidy, dropped = _tidy(frame, "u_id", "a_id", "score", conflicts, path, scale)
    if nameless.any():
        dropped["no profile or no title id"] = int(nameless.sum())
    tidy = tidy.assign(title=_titles(path.with_name("animes.csv"), "uid", tidy["a_id"]))
    options = {"title": "title", "name": "profile", "scale": scale, "dropped": dropped}
    return Ratings.from_frame(tidy, "u_id", "a_id", "score", **options)


# ---- Features: what a title is about, one row per title --------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Features:
    """What is known about items (or users) besides ratings: one sparse row of numbers for each id.

    Parameters
    ----------
    ids : array (n,)
        What each row is about: item ids, or user ids.
    matrix : sparse or dense (n, d)
    names : array of str (d,)
        What each column means.

    Raises
    ------
    ValueError : an id that comes twice (the mark of features made for every *rating* instead of every item), lengths
        that differ, or a number that is not finite.
    """

    ids: np.ndarray
    matrix: sp.csr_array
    names: np.ndarray

    def __post_init__(self):
        inferred = (np.asarray(pd.Series(given).infer_objects()) for given in (self.ids, self.names))
        ids, names = (np.array(given, dtype=str if given.dtype.kind == "O" else None) for given in inferred)
        matrix = sp.csr_array(self.matrix, dtype=float, copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()  # a stored zero is no feature
        distinct = len(np.unique(ids))
        if distinct != len(ids):
            raise ValueError(
                f"features need one row for each id, got {len(ids):,} rows for {distinct:,} ids; were they made for "
                "every rating instead of every item?"
            )
        if matrix.shape != (len(ids), len(names)):
            raise ValueError(f"{len(ids)} ids and {len(names)} names need a matrix of that shape, got {matrix.shape}.")
        if not np.isfinite(matrix.data).all():
            raise ValueError(f"{(~np.isfinite(matrix.data)).sum()} feature values are NaN or infinite.")
        for name, value in (("ids", ids), ("names", names), ("matrix", matrix)):
            object.__setattr__(self, name, value)

    def __eq__(self, other):
        return isinstance(other, Features) and all(
            np.array_equal(one, two)
            for one, two in (
                (self.ids, other.ids),
                (self.names, other.names),
                (self.matrix.shape, other.matrix.shape),
                (self.matrix.indptr, other.matrix.indptr),
                (self.matrix.indices, other.matrix.indices),
                (self.matrix.data, other.matrix.data),
            )
        )

    __hash__ = None

    def __repr__(self):
        empty = int((np.diff(self.matrix.indptr) == 0).sum())
        unknown = f", nothing known of {empty:,} ids" if empty else ""
        size = f"{len(self.ids):,} ids x {len(self.names):,} columns"
        return f"Features({size}, {self.matrix.nnz:,} values not 0{unknown})"

    def rows_for(self, ids):
        """The matrix with one row for each of `ids`, in their order; an id without features gets an empty row."""
        at = {key: row for row, key in enumerate(self.ids.tolist())}
        rows = np.array([at.get(key, -1) for key in np.asarray(ids).tolist()])
        found = np.flatnonzero(rows >= 0)
        if len(found) == 0:
            raise ValueError(
                f"none of the {len(rows)} ids has features; the features are about ids such as {self.ids[:3].tolist()}."
            )
        pick = sp.csr_array((np.ones(len(found)), (found, rows[found])), shape=(len(rows), len(self.ids)))
        return sp.csr_array(pick @ self.matrix)

    def reduced(self, n_components=50, random_state=0):
        """The same ids described by fewer, dense numbers: scikit-learn's TruncatedSVD of the matrix."""
        svd = TruncatedSVD(n_components, random_state=random_state)
        return Features(self.ids, svd.fit_transform(self.matrix), [f"direction {j + 1}" for j in range(n_components)])


_NO_GENRES = "(no genres listed)"  # what MovieLens writes where a film has no genre: the absence of a text, not a text
_SOURCES = ("genres", "tags", "decade", "synopsis")


def item_texts(path, ratings, use=("genres", "tags"), keep_no_genres=False, tags_until=None):
    """What is written about each item of `ratings`: texts (n,), one per *item*, in the order of its columns.

    Parameters
    ----------
    path : str or Path
        MovieLens's folder (movies.csv, tags.csv), the MyAnimeList dump's (animes.csv), or one CSV with an id (movieId,
        anime_id, a_id or uid) and genres. An item that it does not list gets an empty text (the repr of `Features`
        counts the ids of which nothing is known).
    use : some of "genres", "tags", "decade", "synopsis"
        Genres; lower-cased tags of all users; the decade of the year that ends a MovieLens title or of `aired`, as
        "1990s"; the synopsis. Asking for what the files do not have is an error.
    keep_no_genres : bool
        "(no genres listed)" says that nothing is known, so it is left out; True keeps its words, as published.
    tags_until : Ratings with times, optional
        Leave out what a user wrote after the last of their ratings in this part: later tags are the future. Tags of
        users without a rating in it are left out too.
    """
    unknown = [name for name in use if name not in _SOURCES]
    if unknown or isinstance(use, str) or not use:
        raise ValueError(f"use must be a tuple of some of {_SOURCES}, got {use!r}.")
    path = _catalogue_file(Path(path))
    catalogue = _catalogue(path, ratings)
    parts = []
    if "genres" in use:
        genres = catalogue[_column(catalogue, path, "genres", "genres", "genre")]
        parts.append(genres if keep_no_genres else genres.mask(genres == _NO_GENRES, ""))
    if "tags" in use:
        parts.append(_tags(path.with_name("tags.csv"), tags_until).reindex(ratings.item_ids, fill_value=""))
    if "decade" in use:
        dated = catalogue[_column(catalogue, path, "a year", "aired", "title")]
        parts.append(dated.map(_decade))
    if "synopsis" in use:
        parts.append(catalogue[_column(catalogue, path, "a synopsis", "synopsis")])
    texts = parts[0].str.cat(parts[1:], sep=" ") if len(parts) > 1 else parts[0]
    return texts.str.replace(r"[|,\[\]'\"]", " ", regex=True).str.split().str.join(" ").to_numpy(dtype=str)


def _catalogue(path, ratings):
    """The rows of a catalogue about the items of `ratings`, in the order of its columns; blank where it has none."""
    table = _read_text(path)
    key = _column(table, path, "an id", "movieId", "anime_id", "a_id", "uid")
    table = table.set_index(_ids(table[key], path))
    return table[~table.index.duplicated()].reindex(ratings.item_ids, fill_value="")


def _catalogue_file(path):
    if not path.is_dir():
        return path
    found = [name for name in ("movies.csv", "animes.csv", "catalogue.csv") if (path / name).is_file()]
    if not found:
        raise FileNotFoundError(f"{path} holds none of movies.csv, animes.csv and catalogue.csv.")
    return path / found[0]


def _column(table, path, what, *names):
    found = [name for name in names if name in table.columns]
    if not found:
        raise ValueError(
            f"{path.name} has no column for {what} (one of {list(names)}); it has {list(table.columns)}. "
            "Leave it out of `use`, or give the file that holds it."
        )
    return found[0]


def _tags(path, until):
    """All tags of each item, lower-cased and joined in the order of the file."""
    table = _read_text(path)
    for name in ("movieId", "tag", *(() if until is None else ("userId", "timestamp"))):
        _column(table, path, f"the {name}", name)
    table["movieId"] = _ids(table["movieId"], path)
    if until is not None:
        last = pd.Series(until._need_times()).groupby(until.user_ids[until.rows]).max()
        cut = _ids(table["userId"], path).map(last)
        table = table[_ids(table["timestamp"], path) <= cut]  # False where the user has no rating: cut is NaN
    return table["tag"].str.lower().groupby(table["movieId"]).agg(" ".join)


def _decade(text):
    """Of the year in brackets that ends the text, else of the first year in it: '2001: A Space Odyssey (1968)'."""
    year = re.search(r"\((\d{3})\d\)\s*$", text) or re.search(r"(?<!\d)((?:19|20)\d)\d(?!\d)", text)
    return f"{year[1]}0s" if year else ""


def tfidf_features(ids, texts, max_features=5000):
    """TF-IDF of the texts (scikit-learn's, English stop words, rows of length 1): a row for each id.

    Columns go by how many texts have the term, the most frequent first: weights that are used together lie together in
    memory.
    """
    vectorizer = TfidfVectorizer(stop_words="english", max_features=max_features)
    try:
        matrix = vectorizer.fit_transform(texts)
    except ValueError as error:
        raise ValueError(f"the {len(texts)} texts hold no word to learn from ({error}).") from error
    order = np.argsort(-np.bincount(matrix.indices, minlength=matrix.shape[1]), kind="stable")
    return Features(ids, matrix[:, order], vectorizer.get_feature_names_out()[order])


def load_features(path, ratings, **options):
    """`tfidf_features` of `item_texts`: the Features of every item of `ratings`; options are those of `item_texts`."""
    return tfidf_features(ratings.item_ids, item_texts(path, ratings, **options))


def load_genres(path, ratings):
    """Features of the items from a catalogue: 1 for each genre of a title, by its whole name ("Slice of Life")."""
    path = _catalogue_file(Path(path))
    catalogue = _catalogue(path, ratings)
    genres = catalogue[_column(catalogue, path, "genres", "genres", "genre")].replace(_NO_GENRES, "")
    listed = genres.str.replace(r"[\[\]'\"]", "", regex=True).str.replace("|", ",").str.split(",")
    kinds = MultiLabelBinarizer(sparse_output=True)
    table = kinds.fit_transform([sorted({name.strip() for name in names} - {""}) for names in listed])
    if table.shape[1] == 0:
        raise ValueError(f"{path.name} names no genre of any of the {ratings.n_items} titles.")
    return Features(ratings.item_ids, table, kinds.classes_)


def load_profiles(path, ratings):
    """Features of the users from a dump's profiles.csv: gender, and the decade of birth, 1 where given."""
    if ratings.user_names is None:
        raise ValueError("profiles are matched by name, and these ratings have no user_names.")
    path = Path(path) / "profiles.csv" if Path(path).is_dir() else Path(path)
    table = _read_text(path)
    for name in ("profile", "gender", "birthday"):
        _column(table, path, f"the {name}", name)
    table = table.drop_duplicates("profile").set_index("profile").reindex(ratings.user_names, fill_value="")
    born = table["birthday"].map(_decade)
    kinds = pd.get_dummies(pd.DataFrame({"gender": table["gender"], "born": born}).replace("", np.nan), prefix_sep=" ")
    if kinds.shape[1] == 0:
        raise ValueError(f"{path.name} gives neither gender nor birthday of any of the {ratings.n_users} users.")
    return Features(ratings.user_ids, kinds.to_numpy(float), kinds.columns.to_numpy(dtype=str))


def similar_titles(ratings, features, item, n=10):
    """The `n` items whose features point most in the direction of this item's: rank, item_id, title, cosine.

    `features` may be a fitted model with item factors: then titles are alike that the same viewers rate alike. `item`
    is an id, or a title or a part of it.
    """
    check_number("n", n, low=1, whole=True)
    by_features = isinstance(features, Features)
    if not by_features and not features._fitted().same_universe(ratings):
        raise ValueError(f"the model was fitted to {features.ratings_}, not to titles and users of {ratings}.")
    C = features.rows_for(ratings.item_ids) if by_features else item_vectors(features, None)
    at = ratings.item_cols(ratings.item_id(item))[0]
    if not abs(C[[at]]).sum():
        raise ValueError(f"nothing is known about {ratings.item_labels[at]}, so nothing can be said to be like it.")
    cosine = cosine_similarity(C, C[[at]]).ravel()
    order = np.argsort(-np.round(cosine, TIE), kind="stable")
    order = order[order != at][:n]
    columns = {"rank": np.arange(1, len(order) + 1), "item_id": ratings.item_ids[order]}
    return pd.DataFrame(columns | {"title": ratings.item_labels[order], "cosine": cosine[order]})


def item_vectors(model, similarity):
    """Rows that a cosine of two items can be taken of."""
    if similarity is not None:
        return similarity.rows_for(model.ratings_.item_ids)
    factors = getattr(getattr(model, "model_", model), "item_factors_", np.zeros((0, 0)))
    if not factors.shape[1]:
        raise ValueError(f"{model!r} has no item factors to compare titles by; give similarity=, as of load_genres.")
    return factors


def of_genres(names, genres, ratings):
    """Mask of the items that have one of these genres."""
    if not names:
        return np.zeros(ratings.n_items, dtype=bool)
    if genres is None:
        raise ValueError("exclude_genres needs genres=, the table that load_genres makes of a catalogue.")
    known = {name.casefold(): at for at, name in enumerate(genres.names.tolist())}
    unknown = [name for name in names if name.casefold() not in known]
    if unknown or isinstance(names, str):
        raise ValueError(
            f"unknown genres {unknown or names!r}; give a list of some of {sorted(genres.names.tolist())}."
        )
    chosen = genres.rows_for(ratings.item_ids)[:, [known[name.casefold()] for name in names]]
    return chosen.sum(axis=1) > 0


# ---- The list that somebody already keeps ----------------------------------------------------------------------------

MAX_EXPORT_BYTES = 2**25  # unpacked; a list of 25,000 titles takes about 25 MB
_EXPORT_NAMES = {
    "item": ("item_id", "series_animedb_id", "anime_id", "a_id", "movieId"),
    "title": ("title", "series_title", "name"),
    "score": ("score", "my_score", "rating"),
    "status": ("status", "my_status"),
}


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


def load_mal_export(path, ratings=None, conflicts="error"):
    """Read a MyAnimeList export (animelist.xml, also gzipped), or a CSV with an id or title, and a score.

    Nothing leaves the machine, and the file is not trusted: entities and document types are refused, and so is a file
    that unpacks to more than `MAX_EXPORT_BYTES`.

    Parameters
    ----------
    path : str or Path
        XML: `myanimelist` with `anime` entries (series_animedb_id, series_title, my_score 0 to 10, my_status). CSV: a
        column item_id (or series_animedb_id, anime_id, a_id, movieId), or title (series_title, name), or both; score
        (my_score, rating); status, if known.
    ratings : Ratings, optional
        The table whose titles are meant: by id, else by a title that agrees but for case and punctuation. Without it
        the ids of the file are taken as they are.
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
    if conflicts not in ("error", "last"):
        raise ValueError(f"conflicts must be 'error' or 'last', got {conflicts!r}.")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path.name} is empty (0 bytes); export the list again.")
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if packed else open)(path, "rb") as file:
        try:
            _check_unpacked_size(file, path.name)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path.name} is cut off or damaged ({error}); download the export again.") from error
        is_xml = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
        file.seek(0)
        entries = _xml_entries(file, path.name) if is_xml else _csv_entries(file, path)
    return _own_list(entries, ratings, (1.0, 10.0) if is_xml or ratings is None else ratings.scale, conflicts, path)


def _check_unpacked_size(file, name):
    """Unpack it once without keeping anything, so that no packed bomb goes off."""
    left = MAX_EXPORT_BYTES
    while block := file.read(2**18):
        left -= len(block)
        if left < 0:
            raise ValueError(
                f"{name} unpacks to more than {MAX_EXPORT_BYTES / 2**20:g} MB, which is no list of titles."
            )
    file.seek(0)


def _xml_entries(stream, name):
    """Table of item, title, score, status as text, from MyAnimeList's XML, entry by entry."""
    rows, root, fields = [], None, 0
    try:
        for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=True):
            root = element if root is None else root
            fields += event == "start"
            if fields > 1000:
                raise ValueError(f"{name} has an entry of more than 1000 fields, which is no entry of a list.")
            if root.tag != "myanimelist":
                raise ValueError(
                    f"{name} begins with <{root.tag}>, not <myanimelist>; is it the export, or a web page?"
                )
            if event == "start":
                continue
            if element.tag == "manga" or (element.tag == "user_export_type" and (element.text or "").strip() == "2"):
                raise ValueError(f"{name} is a list of manga; choose the anime list on the export page.")
            if element.tag == "anime":
                texts = {child.tag: (child.text or "").strip() for child in element}
                rows.append([next((texts[n] for n in names if n in texts), "") for names in _EXPORT_NAMES.values()])
                root.clear()  # an entry that was read needs no memory
                fields = 0
    except DefusedXmlException as error:
        raise ValueError(f"{name} declares entities or a document type, which no export does: {error!r}") from error
    except ParseError as error:
        raise ValueError(f"{name} is not whole or not XML ({error}); download the export again.") from error
    return pd.DataFrame(rows, columns=list(_EXPORT_NAMES), dtype=str)


def _csv_entries(stream, path):
    table = _read_text(path, source=stream)
    found = {kind: [name for name in names if name in table.columns][:1] for kind, names in _EXPORT_NAMES.items()}
    if not found["score"] or not (found["item"] or found["title"]):
        raise ValueError(
            f"{path.name} needs a column with the score (one of {_EXPORT_NAMES['score']}) and one with an id or title "
            f"(one of {_EXPORT_NAMES['item'] + _EXPORT_NAMES['title']}), got {list(table.columns)}."
        )
    return pd.DataFrame({kind: table[names[0]] if names else "" for kind, names in found.items()}, dtype=str)


def _own_list(entries, ratings, scale, conflicts, path):
    """Entries matched to the table, with everything that is left out counted."""
    entries = entries.assign(title=entries["title"].str.strip(), score=_numbers(entries["score"], path).fillna(0.0))
    outside = (entries["score"] != 0) & ~entries["score"].between(*scale)
    if outside.any():
        first = entries[outside].iloc[0]
        raise ValueError(
            f"{path.name}: {outside.sum()} scores lie outside {scale[0]:g} to {scale[1]:g} (0 means none), "
            f"the first is {first['score']:g} for {first['title'] or first['item']!r}."
        )
    if ratings is None:
        known = entries.assign(item=_ids(entries["item"], path))
    else:
        at = _positions_of(entries, ratings, path)
        known = entries[at >= 0].assign(item=ratings.item_ids[at[at >= 0]])
    unmatched = entries.drop(index=known.index).drop(columns="status")
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
    """The column of each entry: by id, else by a title that only one item has; -1 where the table has neither."""
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
    return by_id.fillna(by_title).fillna(-1).to_numpy(int)
