"""Content Table: fill in a rating table, prove how well it is filled, and recommend from it.

Some cells of a table of viewers (rows) and titles (columns) hold a rating; the models below predict the others.
Convex models come with a certificate, so that "optimal" is a number. Every model is judged on ratings it never saw.

=============================  ==================  ==========================================  =====================
meaning                        maths               code                                        shape, unit
=============================  ==================  ==========================================  =====================
known ratings, where they are  A_ui, Omega         `Ratings`                                   m users x n items
mean, user bias, item bias     mu, b_u, b_i        `global_mean_`, `user_bias_`, `item_bias_`  rating points
user and item factors          P, Q; p_u, q_i      `user_factors_`, `item_factors_`            (m, k), (n, k)
completed matrix               X = U diag(s) Vt    `U_`, `s_`, `Vt_`                           never dense unless asked
penalty, passes, rank          lambda, -, k        `reg`, `n_epochs`, `n_factors`              objective in each class
=============================  ==================  ==========================================  =====================

Models, simplest first: `GlobalMean`, `BiasBaseline`, `ItemKNN`, `ALS`, `SpectralRegularization`, `NuclearNorm`.

>>> import content_table as ct
>>> ratings = ct.load_ratings(ct.DATA / "100x100.csv")
>>> model = ct.SpectralRegularization(reg=8, biases=True).fit(ratings)
>>> model.certificate_.relative_gap < 1e-6
True
>>> my_list = model.recommend(ratings.user_ids[0], n=10)
"""

import argparse
import hashlib
import json
import os
import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import joblib
import numba
import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg
import scipy.stats
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from threadpoolctl import ThreadpoolController
from tqdm import tqdm

__version__ = "0.1.0"

DATA = Path(__file__).resolve().parent / "data"
WEIGHTS = Path(__file__).resolve().parent / "saved_weights"
MAX_DENSE_BYTES = 2**30  # a dense users x items table above this is refused, not attempted
DENSE_CELLS = 10**6  # up to this many cells the splitting solver works on a dense table: faster, and 8 MB at most
GRAM_SIDE = 5_000  # up to this side a spectral norm is bounded by a dense Gram matrix; above it is only estimated
_BLAS = ThreadpoolController()
TIE = 9  # decimals: predictions that agree to 1e-9 rating points are ties, and ties go by item position


# ---- Ratings: the table, where it is known, and the one place that turns ids into positions -------------------------


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
                given = np.asarray(getattr(self, name))
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
        low, high = self.scale
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
        """Ratings from a table with one row per rating; ids become sorted positions, rows keep their order."""
        if frame.empty:
            raise ValueError("the table holds no rating: nothing to learn from.")
        user_ids, rows = np.unique(frame[user].to_numpy(), return_inverse=True)
        item_ids, cols = np.unique(frame[item].to_numpy(), return_inverse=True)
        return cls(
            user_ids,
            item_ids,
            rows,
            cols,
            frame[rating].to_numpy(float),
            times=None if time is None else frame[time].to_numpy(),
            titles=None if title is None else _one_label_each(frame, item, title, user),
            user_names=None if name is None else _one_label_each(frame, user, name, item),
            **options,
        )

    @classmethod
    def from_matrix(cls, matrix, *, scale=(1.0, 10.0), **options):
        """Ratings from a small dense table typed in by hand, NaN where a rating is missing; ids are 0, 1, 2, ..."""
        matrix = np.asarray(matrix, dtype=float)
        rows, cols = np.nonzero(~np.isnan(matrix))
        ids = (np.arange(side) for side in matrix.shape)
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
        return len(self) / (self.n_users * self.n_items)

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
        """SHA-256 of ids, cells and values: two Ratings with the same fingerprint are the same data."""
        order = np.lexsort((self.cols, self.rows))
        digest = hashlib.sha256()
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
        if isinstance(name, str) and name.isdigit():
            return self.user_ids[self.user_rows(int(name))[0]]
        raise KeyError(
            f"no user has the id or name {name!r}; names look like {names[:1] or self.user_ids[:1].tolist()}."
        )

    def title(self, item):
        """The title of an item id, or the id as text where titles are not known."""
        return str(self.item_labels[self.item_cols(item)[0]])

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
        keep_users = np.bincount(self.rows, minlength=self.n_users) >= min_per_user
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

    def split_user_time(self, train=0.7, validation=0.15):
        """(train, validation, test) of each user's ratings in time order, cut at int(n*train) and
        int(n*(train+validation)).

        The sort is stable by user, then time: the order of the file breaks ties, and published figures depend on it.
        """
        _check_shares(train, validation)
        order = np.lexsort((self._need_times(), self.rows))
        counts = np.bincount(self.rows, minlength=self.n_users)
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
        several = np.bincount(self.rows, minlength=self.n_users)[self.rows[order]] > 1
        test = np.sort(order[last & several])
        return self.part(np.setdiff1d(np.arange(len(self)), test)), self.part(test)

    def _need_times(self):
        if self.times is None:
            raise ValueError("a split by time needs `times`, and these ratings have none; use split_random.")
        return self.times


def _check_shares(train, validation):
    if not (0 < train < 1 and 0 < validation < 1 and train + validation < 1):
        raise ValueError(f"train and validation are shares that leave some for the test, got {train} and {validation}.")


def _one_label_each(frame, key, label, other):
    """The label of each distinct key, in key order; two labels for one key are an error."""
    labels = frame.drop_duplicates([key, label])
    twice = labels[labels.duplicated(key, keep=False)].sort_values(key)
    if len(twice):
        swapped = not frame.drop_duplicates([other, label]).duplicated(other).any()
        hint = f"columns {key!r} and {other!r} look swapped" if swapped else "the ids or titles are mixed up"
        raise ValueError(
            f"{key} {twice[key].tolist()[0]!r} has several values of {label}: {twice[label].tolist()[:3]}; {hint}."
        )
    return labels.sort_values(key)[label].to_numpy(dtype=str)


# ---- Reading the three schemas --------------------------------------------------------------------------------------

_COURSE = ("u_id", "a_id", "profile", "title", "score")
_MOVIELENS = ("userId", "movieId", "rating", "timestamp")
_REVIEWS = ("uid", "profile", "anime_uid", "score")


def load_ratings(path, conflicts="error"):
    """Read a course file, a MovieLens folder or the raw MyAnimeList dump; the columns tell which.

    Parameters
    ----------
    path : str or Path
        A course CSV (u_id, a_id, profile, title, score); MovieLens's folder or its ratings.csv (userId, movieId,
        rating, timestamp; titles from movies.csv beside it); or a folder with the dump's animes.csv and reviews.csv,
        whose users are numbered in order of first appearance.
    conflicts : "error" or "last"
        What to do when one user rates one item twice with different scores. Repeats that agree are dropped and counted.

    Returns
    -------
    Ratings : `dropped` counts the rows left out. A score of 0 or a blank is missing, never a rating.

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
            return load(path, conflicts)
    closest = max(schemas, key=lambda columns: len(set(columns) & set(header)))
    raise ValueError(
        f"{path.name} has columns {list(header)}; the closest known schema is {list(closest)}, of which "
        f"{sorted(set(closest) - set(header))} is missing. Was a column renamed, or the header row cut off?"
    )


def _read_text(path, **options):
    """A CSV as text, blanks kept as blanks, so that we decide what is a number and what is missing."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8", **options)
        if not isinstance(table.index, pd.RangeIndex):  # pandas takes a surplus first field for row names
            raise pd.errors.ParserError("the rows have more fields than the header")
        return table
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
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
            f"{column[at]!r} in data row {at + 1}."
        )
    return values


def _ids(column, path):
    """A text column of ids as integers."""
    values = _numbers(column, path)
    bad = values.isna() | (values % 1 != 0)
    if bad.any():
        at = bad[bad].index[0]
        raise ValueError(
            f"{Path(path).name}: {bad.sum()} values of {column.name!r} are not whole-number ids, the first is "
            f"{column[at]!r} in data row {at + 1}."
        )
    return values.astype(np.int64)


def _tidy(frame, user, item, score, conflicts, path):
    """Drop what is missing or said twice, with counts; refuse what contradicts itself."""
    missing = frame[score].isna() | (frame[score] == 0)
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
            f"{name} {first[name].tolist()[0]!r}" for name in (user, item, "profile", "title") if name in first
        )
        raise ValueError(
            f"{Path(path).name}: {twice.sum()} rows contradict each other, the first are {who} with {score} "
            f"{first[score].tolist()}; pass conflicts='last' to keep the later."
        )
    tidy = distinct.drop_duplicates([user, item], keep="last")
    dropped["conflicts, the later kept"] = len(distinct) - len(tidy)
    return tidy, {reason: count for reason, count in dropped.items() if count}


def _load_course(path, conflicts):
    frame = _read_text(path)
    frame["u_id"], frame["a_id"] = _ids(frame["u_id"], path), _ids(frame["a_id"], path)
    frame["score"] = _numbers(frame["score"], path)
    tidy, dropped = _tidy(frame, "u_id", "a_id", "score", conflicts, path)
    return Ratings.from_frame(tidy, "u_id", "a_id", "score", title="title", name="profile", dropped=dropped)


def _load_movielens(path, conflicts):
    frame = _read_text(path)
    frame["userId"], frame["movieId"] = _ids(frame["userId"], path), _ids(frame["movieId"], path)
    frame["rating"], frame["timestamp"] = _numbers(frame["rating"], path), _ids(frame["timestamp"], path)
    tidy, dropped = _tidy(frame, "userId", "movieId", "rating", conflicts, path)
    options = {"time": "timestamp", "scale": (0.5, 5.0), "dropped": dropped}
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


def _load_dump(path, conflicts):
    reviews = _read_text(path)
    nameless = (reviews["profile"].str.strip() == "") | (reviews["anime_uid"].str.strip() == "")
    frame = reviews[~nameless].copy()
    frame["a_id"], frame["score"] = _ids(frame["anime_uid"], path), _numbers(frame["score"], path)
    frame["u_id"] = pd.factorize(frame["profile"])[0]  # the number of a viewer: order of first appearance
    tidy, dropped = _tidy(frame, "u_id", "a_id", "score", conflicts, path)
    if nameless.any():
        dropped["no profile or no title id"] = int(nameless.sum())
    tidy = tidy.assign(title=_titles(path.with_name("animes.csv"), "uid", tidy["a_id"]))
    return Ratings.from_frame(tidy, "u_id", "a_id", "score", title="title", name="profile", dropped=dropped)


# ---- Input checks and shared linear algebra -------------------------------------------------------------------------


def check_number(name, value, *, low=0.0, strict=False, whole=False):
    """Refuse a hyper-parameter that is not a finite number, not whole where it must be, or below `low`."""
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if not isinstance(value, kinds) or isinstance(value, bool) or not np.isfinite(value):
        raise ValueError(f"{name} must be a {'whole' if whole else 'finite'} number, got {value!r}.")
    if value < low or (strict and value == low):
        raise ValueError(f"{name} must be {'above' if strict else 'at least'} {low:g}, got {value!r}.")


def check_memory(shape, what):
    """Refuse a dense table that would not fit `MAX_DENSE_BYTES`, naming the memory it would take."""
    needed = 8 * int(np.prod(shape, dtype=object))
    if needed > MAX_DENSE_BYTES:
        raise MemoryError(
            f"{what} needs a dense {' x '.join(f'{side:,}' for side in shape)} table of {needed / 2**30:,.1f} GiB; "
            f"the limit is {MAX_DENSE_BYTES / 2**30:g} GiB (content_table.MAX_DENSE_BYTES). "
            "predict and recommend need no such table."
        )


def shrink_singular_values(A, threshold):
    """prox of threshold * nuclear norm: U diag((s - threshold)_+) Vt; returns the kept U, s and Vt.

    Reference: A Singular Value Thresholding Algorithm for Matrix Completion, SIAM J. Optim. 20(4), 2010, Theorem 2.1.
    """
    U, s, Vt = np.linalg.svd(A, full_matrices=False)  # A = U diag(s) Vt
    keep = s > threshold
    return U[:, keep], s[keep] - threshold, Vt[keep]


def spectral_norm_bound(S):
    """(bound, proven): an upper bound on the largest singular value of the sparse matrix S.

    The largest eigenvalue of the smaller Gram matrix, plus a term above all rounding in forming and factoring it. Above
    `GRAM_SIDE` that matrix is too large; Lanczos then estimates the norm, from below, and `proven` is False.
    """
    S = S if S.shape[0] <= S.shape[1] else S.T
    if not S.data.any():
        return 0.0, True
    if S.shape[0] > GRAM_SIDE:
        return float(scipy.sparse.linalg.svds(S, k=1, return_singular_vectors=False, rng=0)[0]), False
    gram = (S @ S.T).toarray()
    top = scipy.linalg.eigvalsh(gram, subset_by_index=[len(gram) - 1] * 2, check_finite=False)[0]
    rounding = 4 * np.finfo(float).eps * sum(S.shape) * float(S.data @ S.data)
    return float(np.sqrt(max(top, 0.0) + rounding)), True


@numba.njit(cache=True)
def pair_dots(P, Q, rows, cols):
    """p_u . q_i for each pair (rows[e], cols[e])."""
    dots = np.zeros(len(rows))
    for e in range(len(rows)):
        u, i = rows[e], cols[e]
        total = 0.0
        for f in range(P.shape[1]):
            total += P[u, f] * Q[i, f]
        dots[e] = total
    return dots


def bias_solver(rows, cols, shape, reg):
    """A function values -> (b_u, b_i) minimising sum (values - b_u - b_i)^2 + reg (|b_u|^2 + |b_i|^2).

    The normal equations are [[D_u + reg, B], [B', D_i + reg]] (b_u; b_i) = (row sums; column sums), B the 0-1 table of
    known cells and D its counts. The longer side is eliminated (its block is diagonal), which leaves a dense system of
    the shorter side, factored once. Where even that side exceeds `GRAM_SIDE`, conjugate gradients solve it instead.
    """
    if shape[0] > shape[1]:
        solve_swapped = bias_solver(cols, rows, shape[::-1], reg)
        return lambda values: solve_swapped(values)[::-1]
    m, n = shape
    B = sp.csr_array((np.ones(len(rows)), (rows, cols)), shape=shape)
    if m * n <= DENSE_CELLS:
        B = B.toarray()
    d_user = np.bincount(rows, minlength=m) + reg
    d_item = np.bincount(cols, minlength=n) + reg
    inv_item = np.divide(1.0, d_item, out=np.zeros(n), where=d_item > 0)
    if m > GRAM_SIDE:
        matvec = lambda b: d_user * b - B @ (inv_item * (B.T @ b))  # noqa: E731
        schur = scipy.sparse.linalg.LinearOperator((m, m), matvec=matvec, dtype=float)
        solve_users = lambda rhs: _conjugate_gradients(schur, rhs)  # noqa: E731
    else:
        inner = B @ (B * inv_item).T
        schur = np.diag(d_user) - (inner.toarray() if sp.issparse(inner) else inner)
        try:
            solve_users = partial(scipy.linalg.cho_solve, scipy.linalg.cho_factor(schur), check_finite=False)
        except np.linalg.LinAlgError:  # no penalty to speak of: biases are fixed only up to a constant, so least norm
            solve_users = lambda rhs: np.linalg.lstsq(schur, rhs, rcond=None)[0]  # noqa: E731

    def solve(values):
        sum_user = np.bincount(rows, values, minlength=m)
        sum_item = np.bincount(cols, values, minlength=n)
        user_bias = solve_users(sum_user - B @ (inv_item * sum_item))
        return user_bias, inv_item * (sum_item - B.T @ user_bias)

    return solve


def _conjugate_gradients(A, rhs):
    solution, failed = scipy.sparse.linalg.cg(A, rhs, rtol=1e-12, maxiter=10_000)
    if failed:
        raise RuntimeError("conjugate gradients did not solve the bias equations in 10,000 steps; raise `reg`.")
    return solution


# ---- Certificates: how far from the optimum a fit can be ------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """Primal value, a dual lower bound on the optimum, and the gap between: no better fit is further below than `gap`.

    `proven` is False where the spectral norm behind the dual point could only be estimated.
    """

    primal: float
    dual: float
    proven: bool = True

    @property
    def gap(self):
        return self.primal - self.dual

    @property
    def relative_gap(self):
        if self.primal == 0:
            return 0.0 if self.dual == 0 else np.inf
        return self.gap / self.primal

    def __repr__(self):
        word = "" if self.proven else ", estimated"
        return (
            f"Certificate(primal {self.primal:.6g}, dual {self.dual:.6g}, relative gap {self.relative_gap:.1e}{word})"
        )


def bias_certificate(deviations, rows, cols, user_bias, item_bias, reg):
    """Certificate of sum (deviations - b_u - b_i)^2 + reg (|b_u|^2 + |b_i|^2) at any biases.

    The objective is 2 reg-strongly convex, so its minimum lies at most |gradient|^2 / (4 reg) below.
    """
    check_number("reg", reg, strict=True)
    residual = deviations - user_bias[rows] - item_bias[cols]
    slope_user = 2 * (reg * user_bias - np.bincount(rows, residual, minlength=len(user_bias)))
    slope_item = 2 * (reg * item_bias - np.bincount(cols, residual, minlength=len(item_bias)))
    primal = residual @ residual + reg * (user_bias @ user_bias + item_bias @ item_bias)
    gap = (slope_user @ slope_user + slope_item @ slope_item) / (4 * reg)
    return Certificate(float(primal), float(primal - gap))


def spectral_certificate(target, residual, rows, cols, shape, reg, nuclear_norm, biases=None, bias_reg=None):
    """Certificate of (1/2) sum (target - b_u - b_i - X)^2 + reg |X|_* [+ (bias_reg/2)(|b_u|^2 + |b_i|^2)].

    The residual, scaled until its spectral norm is at most `reg`, is a feasible point theta of the dual
        max <theta, target> - |theta|^2 / 2 - (row sums^2 + column sums^2 of theta) / (2 bias_reg),   |theta|_2 <= reg;
    without biases the last term is absent. Both follow from the Lagrangian of residual = target - b_u - b_i - X.
    """
    sigma, proven = spectral_norm_bound(sp.csr_array((residual, (rows, cols)), shape=shape))
    theta = residual * min(1.0, reg / sigma) if sigma > 0 else residual
    primal = 0.5 * residual @ residual + reg * nuclear_norm
    dual = theta @ target - 0.5 * theta @ theta
    if biases is not None:
        sums = np.bincount(rows, theta, minlength=shape[0]), np.bincount(cols, theta, minlength=shape[1])
        primal += 0.5 * bias_reg * sum(b @ b for b in biases)
        dual -= sum(s @ s for s in sums) / (2 * bias_reg)
    return Certificate(float(primal), float(dual), proven)


def nuclear_certificate(target, multipliers, rows, cols, X):
    """Certificate of min |X|_* subject to X = target on the known cells, at the feasible point with target pasted in.

    Any multipliers L on the known cells bound the optimum from below by <L, target> / max(1, |L|_2), because the dual
    norm of the nuclear norm is the spectral norm.
    """
    pasted = X.copy()
    pasted[rows, cols] = target
    sigma, proven = spectral_norm_bound(sp.csr_array((multipliers, (rows, cols)), shape=X.shape))
    return Certificate(float(scipy.linalg.svdvals(pasted).sum()), float(multipliers @ target / max(1.0, sigma)), proven)


# ---- What every model shares ----------------------------------------------------------------------------------------


class Recommender(BaseEstimator):
    """Base of all models: `fit`, `predict`, `recommend`, `complete`, `save`; subclasses supply `_fit` and `_scores`.

    `predict` takes ids and gives rating points, unclipped. A user or item without a training rating gets the biases
    that are known, then the mean, never a silent 0; `n_fallback_` counts the cells of the last `predict` that did.
    """

    _positive = ()  # hyper-parameters that must be above 0
    _not_negative = ("reg", "bias_reg", "tol")
    _whole = ("n_factors", "n_epochs", "n_neighbors")  # whole numbers from 1

    def fit(self, ratings):
        """Learn from `ratings`, afresh; returns self."""
        self._check(ratings)
        self.ratings_ = ratings
        self.global_mean_ = float(ratings.values.mean())
        self.user_bias_, self.item_bias_ = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
        self.history_ = []
        with _BLAS.limit(limits=1, user_api="blas"):  # small matrices: threads cost time, and stable digits
            try:
                self._fit(ratings)
            except BaseException:
                del self.ratings_  # a fit that failed is not a fit
                raise
        return self

    def _check(self, ratings):
        if not isinstance(ratings, Ratings):
            raise TypeError(f"fit needs Ratings (see load_ratings, Ratings.from_matrix), got {type(ratings).__name__}.")
        if len(ratings) == 0:
            raise ValueError("fit needs at least one rating, got an empty part.")
        for name, value in self.get_params(deep=False).items():
            if name in self._whole:
                check_number(name, value, low=1, whole=True)
            elif name in self._not_negative:
                check_number(name, value, strict=name in self._positive)

    def _fitted(self):
        if not hasattr(self, "ratings_"):
            raise NotFittedError(f"this {type(self).__name__} has not been fitted; call fit(ratings) first.")
        return self.ratings_

    @property
    def cold_users_(self):
        """Mask of users without a training rating."""
        return np.bincount(self._fitted().rows, minlength=self.ratings_.n_users) == 0

    @property
    def cold_items_(self):
        """Mask of items without a training rating."""
        return np.bincount(self._fitted().cols, minlength=self.ratings_.n_items) == 0

    def predict(self, users, items):
        """Predicted ratings of the pairs (users[e], items[e]), given as ids; a single id is repeated for all."""
        ratings = self._fitted()
        pairs = np.broadcast_arrays(ratings.user_rows(users), ratings.item_cols(items))
        return self.predict_cells(*(np.ascontiguousarray(positions) for positions in pairs))

    def predict_cells(self, rows, cols):
        """The same for positions, as a part of the training table's own universe has them."""
        self._fitted()
        scores = self._scores(rows, cols)
        cold = self.cold_users_[rows] | self.cold_items_[cols]
        scores[cold] = self.global_mean_ + self.user_bias_[rows[cold]] + self.item_bias_[cols[cold]]
        self.n_fallback_ = int(cold.sum())
        return scores

    def _row_scores(self, rows):
        """Predictions of whole rows, (len(rows), n_items), with the same fallback as `predict`."""
        scores = self._all_scores(rows)
        level = self.global_mean_ + self.user_bias_[rows, None] + self.item_bias_[None, :]
        return np.where(self.cold_users_[rows, None] | self.cold_items_[None, :], level, scores)

    def complete(self):
        """The completed table as a dense (m, n) array: asked for, and refused where it would fill the machine."""
        check_memory(self._fitted().shape, "complete()")
        return self._row_scores(np.arange(self.ratings_.n_users))

    def recommend(self, user, n=10, also_seen=None):
        """The `n` unrated items with the highest predicted rating for one user id: rank, item_id, title,
        predicted_rating.

        Exactly min(n, unseen) rows; nothing rated in training, or in the Ratings `also_seen`. Ties go by item position.
        """
        row = self._fitted().user_rows(user)
        return self._lists(row, n, also_seen).drop(columns="user_id")

    def recommend_all(self, n=10, also_seen=None):
        """The lists of all users, one under the other, with a user_id column."""
        return self._lists(np.arange(self._fitted().n_users), n, also_seen)

    def _lists(self, rows, n, also_seen):
        check_number("n", n, low=1, whole=True)
        ratings = self._fitted()
        seen = ratings.known
        if also_seen is not None:
            if not ratings.same_universe(also_seen):
                raise ValueError(
                    "also_seen must have the users and items of the training ratings, as parts of one table do."
                )
            seen = seen + also_seen.known
        block = max(1, 2_000_000 // ratings.n_items)  # a few MB of scores at a time, however many users there are
        tables = [self._block_lists(rows[at : at + block], n, seen) for at in range(0, len(rows), block)]
        return pd.concat(tables, ignore_index=True)

    def _block_lists(self, rows, n, seen):
        scores = self._row_scores(rows)
        tables = []
        for row, score in zip(rows, scores, strict=True):
            unseen = np.setdiff1d(np.arange(len(score)), seen.indices[seen.indptr[row] : seen.indptr[row + 1]])
            best = unseen[np.argsort(-np.round(score[unseen], TIE), kind="stable")[:n]]
            tables.append((np.full(len(best), row), np.arange(1, len(best) + 1), best, score[best]))
        row, rank, col, score = (np.concatenate(column) for column in zip(*tables, strict=True))
        ratings = self.ratings_
        return pd.DataFrame(
            {
                "user_id": ratings.user_ids[row],
                "rank": rank,
                "item_id": ratings.item_ids[col],
                "title": ratings.item_labels[col],
                "predicted_rating": score,
            }
        )

    def _epochs(self):
        """Pass numbers 1..n_epochs, with a bar if `progress` asks for one."""
        return tqdm(range(1, self.n_epochs + 1), desc=type(self).__name__, disable=not self.progress)

    def _warn_unfinished(self, what):
        warnings.warn(
            f"{type(self).__name__} stopped at n_epochs={self.n_epochs} with {what} above tol={self.tol:g}; "
            "raise n_epochs or tol.",
            ConvergenceWarning,
            stacklevel=4,
        )

    def save(self, path):
        """Write parameters, learnt arrays, training ratings and their hash to one .npz file, whole or not at all."""
        save_model(self, path)


class FactorModel(Recommender):
    """Models of the form intercept + b_u + b_i + p_u . q_i."""

    @property
    def _intercept(self):
        return self.global_mean_ if getattr(self, "biases", True) else 0.0

    def _scores(self, rows, cols):
        base = self._intercept + self.user_bias_[rows] + self.item_bias_[cols]
        return base + pair_dots(self.user_factors_, self.item_factors_, rows, cols)

    def _all_scores(self, rows):
        base = self._intercept + self.user_bias_[rows, None] + self.item_bias_[None, :]
        return base + self.user_factors_[rows] @ self.item_factors_.T


# ---- Floors: the mean, and the biases -------------------------------------------------------------------------------


class GlobalMean(Recommender):
    """Predicts the mean of the training ratings for every cell: the floor that any model must beat."""

    def _fit(self, ratings):
        pass

    def _scores(self, rows, cols):
        return np.full(len(rows), self.global_mean_)

    def _all_scores(self, rows):
        return np.full((len(rows), self.ratings_.n_items), self.global_mean_)


class BiasBaseline(Recommender):
    """A generous user and a good title: mu + b_u + b_i, a convex model with a closed form.

    Objective: sum (A - mu - b_u - b_i)^2 + reg (|b_u|^2 + |b_i|^2), mu the plain mean of the training ratings.

    Parameters
    ----------
    reg : float, at least 0
        lambda; like `reg` imaginary ratings of 0 deviation for each user and item. At 0 no certificate is defined.
    solver : "direct" or "cvxpy"
        The normal equations, or the problem as stated on paper.

    Attributes
    ----------
    global_mean_, user_bias_ (m,), item_bias_ (n,) : rating points
    certificate_ : Certificate
        The objective is 2 reg-strongly convex, so its gap is at most |gradient|^2 / (4 reg).

    Reference: Matrix Factorization Techniques for Recommender Systems, Computer 42(8), 2009 (baseline with biases).
    """

    def __init__(self, reg=5.0, solver="direct"):
        self.reg = reg
        self.solver = solver

    def _fit(self, ratings):
        _check_solver(self.solver, ("direct", "cvxpy"))
        deviations = ratings.values - self.global_mean_
        solve = _baseline_by_cvxpy if self.solver == "cvxpy" else _baseline_directly
        self.user_bias_, self.item_bias_ = solve(ratings, deviations, self.reg)
        where = (ratings.rows, ratings.cols)
        self.certificate_ = (
            bias_certificate(deviations, *where, self.user_bias_, self.item_bias_, self.reg) if self.reg > 0 else None
        )

    def _scores(self, rows, cols):
        return self.global_mean_ + self.user_bias_[rows] + self.item_bias_[cols]

    def _all_scores(self, rows):
        return self.global_mean_ + self.user_bias_[rows, None] + self.item_bias_[None, :]


def _check_solver(solver, known):
    if solver not in known:
        raise ValueError(f"solver must be one of {list(known)}, got {solver!r}.")


def _baseline_directly(ratings, deviations, reg):
    return bias_solver(ratings.rows, ratings.cols, ratings.shape, reg)(deviations)


def _baseline_by_cvxpy(ratings, deviations, reg):
    import cvxpy as cp  # a second to import: only for those who ask for it

    b_user, b_item = cp.Variable(ratings.n_users), cp.Variable(ratings.n_items)
    error = deviations - b_user[ratings.rows] - b_item[ratings.cols]
    penalty = cp.sum_squares(b_user) + cp.sum_squares(b_item)
    _solve_cvxpy(cp.Problem(cp.Minimize(cp.sum_squares(error) + reg * penalty)), solver=cp.CLARABEL)
    return b_user.value, b_item.value


def _solve_cvxpy(problem, **options):
    """Solve, and read the status before any value: an inaccurate solution is not a solution."""
    problem.solve(**options)
    if problem.status != "optimal":
        raise RuntimeError(f"cvxpy's solver ended with status {problem.status!r}; loosen tol or raise n_epochs.")


# ---- Neighbours: titles rated alike ---------------------------------------------------------------------------------


class ItemKNN(Recommender):
    """Item neighbours on what the biases leave over: a title is rated as this viewer rated the titles most like it.

    Prediction: mu + b_u + b_i + sum_j w_ij r_uj / sum_j |w_ij|, over the `n_neighbors` most similar items j of i that u
    rated, r the residuals of `BiasBaseline(reg)`. The weight w_ij is their cosine over the users who rated both, times
    c / (c + shrinkage) for c such users; only positive weights count.

    Parameters
    ----------
    n_neighbors : int
        Neighbours kept for each item (whoever asks; a viewer may have rated none of them and then gets the biases).
    shrinkage : float
        So many common raters must two titles have before half of their similarity is believed.
    reg : float
        Penalty of the biases.

    Reference: Factor in the Neighbors: Scalable and Accurate Collaborative Filtering, ACM TKDD 4(1), 2010 (item-item
    model with shrunk similarities). Departures: cosine of baseline residuals instead of Pearson correlation, and the
    neighbours of an item are chosen once, not for each user.
    """

    _not_negative = ("reg", "shrinkage")

    def __init__(self, n_neighbors=40, shrinkage=10.0, reg=5.0):
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage
        self.reg = reg

    def _fit(self, ratings):
        deviations = ratings.values - self.global_mean_
        self.user_bias_, self.item_bias_ = _baseline_directly(ratings, deviations, self.reg)
        self.similarity_ = self._similarities(self._residuals())

    def _residuals(self):
        """What the biases leave over, as a sparse (m, n) table."""
        ratings = self.ratings_
        left = ratings.values - self.global_mean_ - self.user_bias_[ratings.rows] - self.item_bias_[ratings.cols]
        return sp.csr_array((left, (ratings.rows, ratings.cols)), shape=ratings.shape)

    def _similarities(self, R):
        """Shrunk cosines of the columns of R over common rows, the best `n_neighbors` of each column: sparse (n, n)."""
        pairs = float((np.diff(R.indptr).astype(float) ** 2).sum())  # at least as many as there are pairs of items
        check_memory((3, min(int(pairs), R.shape[1] ** 2)), "ItemKNN's table of item pairs")
        known = self.ratings_.known
        inner = (R.T @ R).tocsr()
        inner.eliminate_zeros()
        pairs_of = inner.astype(bool).astype(
            float
        )  # pairs of items whose weight is not 0; the same pattern in all three
        common = (known.T @ known).multiply(pairs_of).tocsr()
        squares = ((R**2).T @ known).multiply(pairs_of).tocsr()  # [i, j]: squares of i over the users who also rated j
        for table in (inner, common, squares):
            table.sort_indices()
        norms = np.sqrt(squares.data * squares.T.tocsr().data)
        cosine = np.divide(inner.data, norms, out=np.zeros_like(norms), where=norms > 0)
        inner.data = cosine * common.data / (common.data + self.shrinkage)
        inner.setdiag(0.0)
        return _best_of_each_row(inner, self.n_neighbors)

    def _scores(self, rows, cols):
        near, left, known = self.similarity_, self._residuals(), self.ratings_.known
        weighted = left[rows].multiply(near[cols]).sum(axis=1)
        weight = known[rows].multiply(near[cols]).sum(axis=1)
        return self._level(rows, cols) + np.divide(weighted, weight, out=np.zeros(len(rows)), where=weight > 0)

    def _all_scores(self, rows):
        near, left, known = self.similarity_, self._residuals()[rows], self.ratings_.known[rows]
        weighted, weight = (left @ near.T).toarray(), (known @ near.T).toarray()
        step = np.divide(weighted, weight, out=np.zeros_like(weighted), where=weight > 0)
        return self._level(rows[:, None], np.arange(self.ratings_.n_items)[None, :]) + step

    def _level(self, rows, cols):
        return self.global_mean_ + self.user_bias_[rows] + self.item_bias_[cols]


def _best_of_each_row(table, count):
    """A sparse table with only the `count` largest positive entries of each row; ties go by column."""
    rows = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    order = np.lexsort((table.indices, -np.round(table.data, TIE), rows))
    rank = np.arange(len(rows)) - table.indptr[rows]
    keep = order[(rank < count) & (table.data[order] > 0)]
    return sp.csr_array((table.data[keep], (rows[keep], table.indices[keep])), shape=table.shape)


# ---- Alternating least squares --------------------------------------------------------------------------------------


@numba.njit(cache=True, error_model="numpy")
def solve_rows(indptr, indices, targets, other, reg, out):
    """out[u] = (O_u' O_u + diag(reg))^-1 O_u' t_u: the ridge regression of each row on the factors of what it rated.

    `indptr`, `indices` are the rows of a CSR table, `targets` its values, `other` (n, k) the factors of the other side
    held fixed, `reg` (k,) the penalty of each coordinate, above 0. Cholesky in plain loops: G = L L', then two
    substitutions.
    """
    k = other.shape[1]
    G, x = np.zeros((k, k)), np.zeros(k)
    for u in range(len(indptr) - 1):
        for a in range(k):
            x[a] = 0.0
            for b in range(a + 1):
                G[a, b] = 0.0
            G[a, a] = reg[a]
        for e in range(indptr[u], indptr[u + 1]):  # G = O_u' O_u + diag(reg), x = O_u' t_u
            i = indices[e]
            for a in range(k):
                o = other[i, a]
                x[a] += o * targets[e]
                for b in range(a + 1):
                    G[a, b] += o * other[i, b]
        for a in range(k):  # G = L L' in place, and L y = x on the way
            for b in range(a):
                total = G[a, b]
                for c in range(b):
                    total -= G[a, c] * G[b, c]
                G[a, b] = total / G[b, b]
            pivot = G[a, a]
            for c in range(a):
                pivot -= G[a, c] * G[a, c]
                x[a] -= G[a, c] * x[c]
            G[a, a] = np.sqrt(pivot)
            x[a] /= G[a, a]
        for a in range(k - 1, -1, -1):  # L' out = y
            for c in range(a + 1, k):
                x[a] -= G[c, a] * x[c]
            x[a] /= G[a, a]
            out[u, a] = x[a]


def _solve_rows_unpenalised(indptr, indices, targets, other, reg, out):
    """The same without a penalty, where a row may leave its factors undetermined: the least-norm solution."""
    for u in range(len(indptr) - 1):
        known = slice(indptr[u], indptr[u + 1])
        out[u] = np.linalg.lstsq(other[indices[known]], targets[known], rcond=None)[0]


def _check_solution(rows, reg):
    if not np.isfinite(rows).all():
        raise ValueError(f"the ridge regressions of reg={reg:g} are singular in floating point; raise reg.")


class ALS(FactorModel):
    """Alternating least squares: with one side of P Q' fixed, the other is a ridge regression for each row.

    Objective: sum (A - p.q)^2 + reg (|P|^2 + |Q|^2); with `biases`,
    sum (A - mu - b_u - b_i - p.q)^2 + bias_reg (|b_u|^2 + |b_i|^2) + reg (|P|^2 + |Q|^2), where b_u is solved together
    with p_u (a factor whose other side is fixed at 1), and b_i with q_i. Each half-step is exact, so the objective
    never rises; the problem as a whole is not convex, so where it stops depends on the start.

    Parameters
    ----------
    n_factors : int
        Rank k.
    reg : float
        lambda. 0 is allowed without biases: least-norm regressions, no certificate.
    biases, bias_reg : bool, float above 0
        Whether to add mu + b_u + b_i, solved together with the factors; lambda_b.
    n_epochs, tol : int, float
        At most `n_epochs` passes (users, then items); stop when a pass lowers the objective by less than `tol` of it.
        `tol=0` runs all passes. The fit ends with one more user half-step, so p_u is the exact regression on the final
        Q.
    init : "random", "ones", or a pair of arrays (P, Q)
        Normal(0, 0.1) entries, the course's all-ones trap (notebook 05), or a start of your own.
    random_state : int or Generator
    progress : bool

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k), user_bias_, item_bias_
    history_ : list of dict
        epoch, objective, train_rmse after each pass.
    certificate_ : Certificate, computed when first asked for
        The objective at P, Q is at least twice the spectral one at P Q' (same lambda, same lambda_b), because
        |X|_* = min (|P|^2 + |Q|^2) / 2 over X = P Q'. So twice a dual value of the convex problem bounds it from below.

    References: Large-Scale Parallel Collaborative Filtering for the Netflix Prize, AAIM 2008 (the method; its penalty
    is weighted by rating counts, ours is not). Maximum-Margin Matrix Factorization, NIPS 2004 (the factored nuclear
    norm).
    """

    def __init__(self, n_factors=20, reg=5.0, biases=False, bias_reg=5.0, n_epochs=500, tol=1e-6, init="random",
                 random_state=0, progress=False):  # fmt: skip
        self.n_factors = n_factors
        self.reg = reg
        self.biases = biases
        self.bias_reg = bias_reg
        self.n_epochs = n_epochs
        self.tol = tol
        self.init = init
        self.random_state = random_state
        self.progress = progress

    def _fit(self, ratings):
        if self.reg == 0 and self.biases:
            raise ValueError("reg=0 with biases leaves the biases undetermined; use a small positive reg.")
        if self.biases:
            check_number("bias_reg", self.bias_reg, strict=True)
        self.user_factors_, self.item_factors_ = self._start(ratings)
        self._certificate = None
        before, finished = np.inf, self.tol == 0
        try:
            for epoch in self._epochs():
                self._half_step(ratings.csr, self.user_factors_, self.user_bias_, self.item_factors_, self.item_bias_)
                self._half_step(ratings.csc.T, self.item_factors_, self.item_bias_, self.user_factors_, self.user_bias_)
                objective, error = self._objective(ratings)
                self.history_.append({"epoch": epoch, "objective": objective, "train_rmse": error})
                if self.tol > 0 and before - objective <= self.tol * objective:
                    finished = True
                    break
                before = objective
        except KeyboardInterrupt:
            warnings.warn(
                f"stopped by the keyboard after {len(self.history_)} whole passes; these are kept.", stacklevel=3
            )
            finished = True
        if not finished:
            self._warn_unfinished("the fall of the objective in one pass")
        self._half_step(ratings.csr, self.user_factors_, self.user_bias_, self.item_factors_, self.item_bias_)

    def _start(self, ratings):
        k = self.n_factors
        shapes = ((ratings.n_users, k), (ratings.n_items, k))
        if isinstance(self.init, str) and self.init == "ones":
            return tuple(np.ones(shape) for shape in shapes)
        if isinstance(self.init, str) and self.init == "random":
            rng = np.random.default_rng(self.random_state)
            return tuple(rng.normal(0.0, 0.1, shape) for shape in shapes)
        given = () if isinstance(self.init, str) else tuple(np.array(P, dtype=float, order="C") for P in self.init)
        if tuple(start.shape for start in given) != shapes or not all(np.isfinite(start).all() for start in given):
            raise ValueError(
                f"init must be 'random', 'ones' or finite arrays P, Q of shapes {shapes}, got "
                f"{[start.shape for start in given] or self.init!r}."
            )
        return given

    def _half_step(self, table, factors, bias, other, other_bias):
        """Solve every row of `table` for its factors (and bias, a factor whose other side is 1), in place."""
        table = sp.csr_array(table)
        if not self.biases:
            solve = solve_rows if self.reg > 0 else _solve_rows_unpenalised
            solve(table.indptr, table.indices, table.data, other, np.full(self.n_factors, float(self.reg)), factors)
            _check_solution(factors, self.reg)
            return
        targets = table.data - self.global_mean_ - other_bias[table.indices]
        reg = np.append(np.full(self.n_factors, float(self.reg)), self.bias_reg)
        rows = np.empty((len(factors), self.n_factors + 1))
        solve_rows(table.indptr, table.indices, targets, np.column_stack([other, np.ones(len(other))]), reg, rows)
        _check_solution(rows, self.reg)
        factors[:], bias[:] = rows[:, :-1], rows[:, -1]

    def _objective(self, ratings):
        """(objective, training RMSE)."""
        residual = ratings.values - self._scores(ratings.rows, ratings.cols)
        penalty = self.reg * ((self.user_factors_**2).sum() + (self.item_factors_**2).sum())
        penalty += self.bias_reg * (self.user_bias_ @ self.user_bias_ + self.item_bias_ @ self.item_bias_)
        return float(residual @ residual + penalty), float(np.sqrt(residual @ residual / len(residual)))

    @property
    def certificate_(self):
        self._fitted()
        if self._certificate is None and self.reg > 0:
            convex = SpectralRegularization(self.reg, biases=self.biases, bias_reg=self.bias_reg, n_epochs=1000)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # any dual point bounds; a rough one only loosely
                bound = convex.fit(self.ratings_).certificate_
            self._certificate = Certificate(self._objective(self.ratings_)[0], 2 * bound.dual, bound.proven)
        return self._certificate


# ---- The convex pair: spectral regularization, and the nuclear norm as its limit ------------------------------------


def _power_step(Z, V):
    """One warm-started step of block power iteration: approximate top singular triplets of Z, largest first.

    `Z` (m, n) is a dense array or a LinearOperator, `V` (n, b) a guess of its top right singular vectors. The columns
    of Z V are made orthonormal, and the triplets are read off the small matrix Z'Q (Rayleigh-Ritz).
    """
    basis = np.linalg.qr(Z @ V)[0]  # (m, b)
    B = Z.T @ basis  # (n, b)
    squares, rotation = np.linalg.eigh(B.T @ B)
    s = np.sqrt(np.maximum(squares[::-1], np.finfo(float).tiny))
    rotation = rotation[:, ::-1]
    return basis @ rotation, s, (B @ rotation) / s


class _Splitting:
    """Relaxed Douglas-Rachford splitting for   min f(X on the known cells) + reg |X|_*.

    With z = X + step * subgradient as the state, one pass is: X = shrink the singular values of Z by step * reg;
    W = prox of f at the reflection 2X - Z (f touches known cells only, elsewhere W is the reflection); Z += rho (W -
    X). It converges for every `step`; we set it so that the threshold is a fixed `share` of the largest singular value
    of the data, the share found by trying (passes on the course tables). Singular vectors change little from pass to
    pass, so one block power step a pass, warm-started, replaces the SVD. Up to `DENSE_CELLS` cells Z is a dense array
    and rho = 1.9; beyond, rho = 1, for which Z = X + (a sparse matrix), and no dense table is ever formed.

    Reference: On the Douglas-Rachford Splitting Method and the Proximal Point Algorithm for Maximal Monotone Operators,
    Mathematical Programming 55, 1992 (method and over-relaxation).
    """

    def __init__(self, ratings, target, reg, share=0.5, random_state=0):
        self.rows, self.cols, self.shape = ratings.rows, ratings.cols, ratings.shape
        self.dense = np.prod(self.shape, dtype=float) <= DENSE_CELLS
        self.rho = 1.9 if self.dense else 1.0
        self.flat = self.rows * self.shape[1] + self.cols
        self.rng = np.random.default_rng(random_state)
        self.z = target.copy()  # Z on the known cells
        self.Z = (
            self._sparse(self.z).toarray() if self.dense else scipy.sparse.linalg.aslinearoperator(self._sparse(self.z))
        )
        self.V = np.linalg.qr(self.rng.standard_normal((self.shape[1], min(10, *self.shape))))[0]
        for _ in range(3):
            _, s, self.V = _power_step(self.Z, self.V)
        self.threshold = share * s[0] if target.any() else 1.0  # nothing to explain: X = 0 at once
        self.step = self.threshold / reg

    def _sparse(self, values):
        return sp.csr_array((values, (self.rows, self.cols)), shape=self.shape)

    def shrink(self):
        """X = U diag(s) V' from Z; returns X on the known cells."""
        U, s, V = _power_step(self.Z, self.V)
        rank = int((s > self.threshold).sum())
        self.U, self.s, self.right = U[:, :rank], s[:rank] - self.threshold, V[:, :rank]
        width = min(rank + max(4, rank // 6), *self.shape)  # room for the rank to grow
        fresh = self.rng.standard_normal((self.shape[1], max(0, width - V.shape[1])))
        self.V = np.hstack([V[:, :width], fresh])
        if self.dense:
            self.X = (self.U * self.s) @ self.right.T
            return self.X.take(self.flat)
        return pair_dots(self.U * self.s, np.ascontiguousarray(self.right), self.rows, self.cols)

    def point(self, x):
        """Where the prox of f is taken, on the known cells: the reflection of Z in X."""
        return 2 * x - self.z

    def reflect(self, x, w):
        """Z += rho (W - X), given X and W on the known cells; elsewhere W - X = X - Z."""
        self.z = self.z + self.rho * (w - x)
        if self.dense:
            self.Z += self.rho * (self.X - self.Z)
            self.Z.put(self.flat, self.z)
        else:
            as_operator = scipy.sparse.linalg.aslinearoperator
            self.Z = as_operator(self.U * self.s) @ as_operator(self.right.T) + as_operator(self._sparse(self.z - x))

    def multipliers(self, x):
        """(Z - X) / step on the known cells: the subgradient that the shrinkage used."""
        return (self.z - x) / self.step


class _SoftImpute:
    """Accelerated proximal gradient, the method of the lecture, with the same verbs as `_Splitting`.

    Y = X + momentum; fill the holes of the table with Y; X = shrink its singular values by reg (a full SVD); restart
    the momentum when it points uphill.
    """

    def __init__(self, ratings, target, reg):
        check_memory(ratings.shape, "solver='soft_impute'")
        self.rows, self.cols, self.reg, self.speed = ratings.rows, ratings.cols, reg, 1.0
        self.X = self.Y = np.zeros(ratings.shape)
        self.reflect(None, target)

    def shrink(self):
        self.U, self.s, Vt = shrink_singular_values(self.filled, self.reg)
        self.right, self.before, self.X = Vt.T, self.X, (self.U * self.s) @ Vt
        if np.vdot(self.Y - self.X, self.X - self.before) > 0:
            self.speed = 1.0
        return self.X[self.rows, self.cols]

    def point(self, x):
        faster = (1 + np.sqrt(1 + 4 * self.speed**2)) / 2
        self.Y = self.X + (self.speed - 1) / faster * (self.X - self.before)
        self.speed = faster
        return self.Y[self.rows, self.cols]

    def reflect(self, x, w):
        self.filled = self.Y.copy()
        self.filled[self.rows, self.cols] = w


def _run_splitting(model, state, prox_data, certify):
    """Alternate until `certify` finds everything within tol; fills `history_`, `certificate_`."""
    next_check, excess = 10, np.inf
    try:
        for epoch in model._epochs():
            x = state.shrink()
            if epoch >= next_check or epoch == model.n_epochs:
                certificate, excess = certify(x)
                _log(model.history_, epoch, certificate, len(state.s), excess)
                if excess <= model.tol:
                    break
                next_check = _next_check(model.history_, model.tol)
            state.reflect(x, prox_data(state.point(x)))
    except KeyboardInterrupt:
        warnings.warn(f"stopped by the keyboard in pass {epoch}; what was reached is kept.", stacklevel=5)
        certificate, excess = certify(state.shrink())
        _log(model.history_, epoch, certificate, len(state.s), excess)
    else:
        if excess > model.tol:
            model._warn_unfinished(
                f"a relative gap of {certificate.relative_gap:.1e} (worst of gap and violation {excess:.1e})"
            )
    model.certificate_ = certificate


def _log(history, epoch, certificate, rank, excess):
    history.append({"epoch": epoch, "primal": certificate.primal, "dual": certificate.dual,
                    "relative_gap": certificate.relative_gap, "rank": rank, "excess": float(excess)})  # fmt: skip


def _next_check(history, tol):
    """A certificate costs more than a pass: look again where the line through the last two log-excesses reaches tol."""
    wait = 10
    if len(history) > 1 and 0 < history[-1]["excess"] < history[-2]["excess"]:
        (e0, g0), (e1, g1) = ((h["epoch"], h["excess"]) for h in history[-2:])
        wait = np.clip(0.8 * np.log(g1 / max(tol, 1e-15)) * (e1 - e0) / np.log(g0 / g1), 5, 50)
    return history[-1]["epoch"] + int(wait)


class _LowRank(FactorModel):
    """A completed matrix X = U diag(s) Vt, with balanced factors P = U sqrt(s), Q = V sqrt(s) to predict from."""

    def _keep(self, U, s, Vt):
        signs = np.sign(Vt[np.arange(len(s)), np.abs(Vt).argmax(axis=1)]) if len(s) else np.ones(0)
        self.U_, self.s_, self.Vt_ = U * signs, s, Vt * signs[:, None]  # the largest entry of each v is positive
        self.user_factors_ = np.ascontiguousarray(self.U_ * np.sqrt(s))
        self.item_factors_ = np.ascontiguousarray(self.Vt_.T * np.sqrt(s))


class SpectralRegularization(_LowRank):
    """Low rank by a convex penalty on the singular values; with biases, all of it jointly convex.

    Objective: (1/2) sum (A - X)^2 + reg |X|_*; with `biases`,
    (1/2) sum (A - mu - b_u - b_i - X)^2 + (bias_reg / 2)(|b_u|^2 + |b_i|^2) + reg |X|_*, |X|_* the sum of singular
    values.

    Parameters
    ----------
    reg : float, above 0
        lambda; singular values below about lambda vanish, so it decides the rank.
    biases, bias_reg : bool, float above 0
    n_epochs, tol : int, float
        At most `n_epochs` passes, until the certified relative gap is at most `tol`.
    solver : "splitting", "soft_impute" or "cvxpy"
        Douglas-Rachford splitting (fast, any size); the accelerated proximal gradient method of the lecture (a full
        SVD a pass, dense); or the problem as stated on paper (SCS, dense and slow).
    progress : bool

    Attributes
    ----------
    U_ (m, r), s_ (r,), Vt_ (r, n) : the completed matrix (without mu and biases)
    user_factors_, item_factors_ : U sqrt(s) and V sqrt(s)
    certificate_ : Certificate
    history_ : list of dict
        epoch, primal, dual, relative_gap, rank at each check of the certificate.

    Reference: Spectral Regularization Algorithms for Learning Large Incomplete Matrices, JMLR 11, 2010 (objective and
    soft-impute).
    """

    _positive = ("reg", "bias_reg")

    def __init__(
        self, reg=5.0, biases=False, bias_reg=5.0, n_epochs=3000, tol=1e-6, solver="splitting", progress=False
    ):
        self.reg = reg
        self.biases = biases
        self.bias_reg = bias_reg
        self.n_epochs = n_epochs
        self.tol = tol
        self.solver = solver
        self.progress = progress

    def _fit(self, ratings):
        solvers = {"splitting": self._fit_splitting, "soft_impute": self._fit_soft_impute, "cvxpy": self._fit_cvxpy}
        _check_solver(self.solver, solvers)
        target = ratings.values - self._intercept
        if not self.biases:
            self._solve_biases = lambda values: (self.user_bias_, self.item_bias_)  # they stay at 0
        else:
            self._solve_biases = bias_solver(ratings.rows, ratings.cols, ratings.shape, self.bias_reg)
        try:
            solvers[self.solver](ratings, target)
        finally:
            del self._solve_biases

    def _certify(self, ratings, target, x, nuclear_norm):
        """Certificate at X (on the known cells); with biases they are first solved exactly for this X."""
        self.user_bias_, self.item_bias_ = self._solve_biases(target - x)
        residual = target - x - self.user_bias_[ratings.rows] - self.item_bias_[ratings.cols]
        biases = (self.user_bias_, self.item_bias_) if self.biases else None
        where = (ratings.rows, ratings.cols, ratings.shape)
        return spectral_certificate(target, residual, *where, self.reg, nuclear_norm, biases, self.bias_reg)

    def _fit_splitting(self, ratings, target):
        state = _Splitting(ratings, target, self.reg)
        t = state.step
        if self.biases:  # minimising the biases out of the prox: the same equations, with (1 + t) times the penalty
            solve = bias_solver(ratings.rows, ratings.cols, ratings.shape, self.bias_reg * (1 + t))

        def prox_data(v):  # argmin (1/2)(target - b - w)^2 + (w - v)^2 / (2t) over w (and b)
            if not self.biases:
                return (v + t * target) / (1 + t)
            b_user, b_item = solve(target - v)
            return (v + t * (target - b_user[ratings.rows] - b_item[ratings.cols])) / (1 + t)

        self._iterate(ratings, target, state, prox_data)

    def _fit_soft_impute(self, ratings, target):
        def step_data(y):  # a gradient step of length 1 from Y lands on the ratings, less the biases that fit best
            b_user, b_item = self._solve_biases(target - y)
            return target - b_user[ratings.rows] - b_item[ratings.cols]

        self._iterate(ratings, target, _SoftImpute(ratings, target, self.reg), step_data)

    def _iterate(self, ratings, target, state, prox_data):
        def certify(x):
            certificate = self._certify(ratings, target, x, state.s.sum())
            return certificate, certificate.relative_gap

        nothing = self._certify(ratings, target, np.zeros(len(target)), 0.0)
        if nothing.relative_gap <= 1e-12:  # reg is at least the residual's spectral norm: X = 0 is proven optimal
            _log(self.history_, 0, nothing, 0, nothing.relative_gap)
            self.certificate_ = nothing
            self._keep(np.zeros((ratings.n_users, 0)), np.zeros(0), np.zeros((0, ratings.n_items)))
            return
        _run_splitting(self, state, prox_data, certify)
        self._keep(state.U, state.s, state.right.T)

    def _fit_cvxpy(self, ratings, target):
        import cvxpy as cp

        check_memory(ratings.shape, "solver='cvxpy'")
        X, b_user, b_item = cp.Variable(ratings.shape), cp.Variable(ratings.n_users), cp.Variable(ratings.n_items)
        error = target - X[ratings.rows, ratings.cols]
        penalty = self.reg * cp.normNuc(X)
        if self.biases:
            error = error - b_user[ratings.rows] - b_item[ratings.cols]
            penalty = penalty + self.bias_reg / 2 * (cp.sum_squares(b_user) + cp.sum_squares(b_item))
        problem = cp.Problem(cp.Minimize(cp.sum_squares(error) / 2 + penalty))
        _solve_cvxpy(problem, solver=cp.SCS, eps_abs=self.tol, eps_rel=self.tol, max_iters=100_000)
        U, s, Vt = np.linalg.svd(X.value, full_matrices=False)
        self.certificate_ = self._certify(ratings, target, X.value[ratings.rows, ratings.cols], s.sum())
        self._keep(U, s, Vt)


class NuclearNorm(_LowRank):
    """The completion of smallest nuclear norm that repeats every known rating exactly.

    Objective: |X|_* subject to X = A on the known cells; spectral regularization in the limit of lambda -> 0.

    Parameters
    ----------
    n_epochs, tol : int, float
        At most `n_epochs` passes, until the certified relative gap is at most `tol` and X repeats every known rating to
        within `tol` rating points.
    solver : "splitting" or "cvxpy"
        Both keep a dense table (within `MAX_DENSE_BYTES`), which the feasible point of the certificate needs.
    progress : bool

    Attributes
    ----------
    U_, s_, Vt_, user_factors_, item_factors_ : the low-rank X, before the known ratings are pasted into it
    violation_ : float
        max |X - A| over the known cells, rating points.
    certificate_ : Certificate
        Of the feasible point: X with the known ratings pasted in.
    history_ : list of dict

    Reference: Exact Matrix Completion via Convex Optimization, Found. Comput. Math. 9, 2009 (the problem and when it
    recovers the truth).
    """

    biases = False  # predictions are X itself, without a mean

    def __init__(self, n_epochs=20_000, tol=1e-6, solver="splitting", progress=False):
        self.n_epochs = n_epochs
        self.tol = tol
        self.solver = solver
        self.progress = progress

    def _fit(self, ratings):
        _check_solver(self.solver, ("splitting", "cvxpy"))
        check_memory(ratings.shape, "NuclearNorm's feasible point")
        (self._fit_cvxpy if self.solver == "cvxpy" else self._fit_splitting)(ratings, ratings.values)

    def _fit_splitting(self, ratings, target):
        state = _Splitting(ratings, target, reg=1.0, share=0.3)

        def certify(x):
            X = state.X if state.dense else (state.U * state.s) @ state.right.T
            certificate = nuclear_certificate(target, state.multipliers(x), ratings.rows, ratings.cols, X)
            self.violation_ = float(np.abs(x - target).max())
            return certificate, max(certificate.relative_gap, self.violation_)

        _run_splitting(self, state, lambda v: target, certify)  # prox of the constraint: the known ratings themselves
        self._keep(state.U, state.s, state.right.T)

    def _fit_cvxpy(self, ratings, target):
        import cvxpy as cp

        X = cp.Variable(ratings.shape)
        constraint = X[ratings.rows, ratings.cols] == target
        problem = cp.Problem(cp.Minimize(cp.normNuc(X)), [constraint])
        _solve_cvxpy(problem, solver=cp.SCS, eps_abs=self.tol, eps_rel=self.tol, max_iters=100_000)
        multipliers = -constraint.dual_value  # cvxpy's Lagrangian adds dual * (X - A); ours subtracts
        self.certificate_ = nuclear_certificate(target, multipliers, ratings.rows, ratings.cols, X.value)
        self.violation_ = float(np.abs(X.value[ratings.rows, ratings.cols] - target).max())
        self._keep(*np.linalg.svd(X.value, full_matrices=False))


# ---- Metrics, and models compared on the same splits ----------------------------------------------------------------


def errors(model, ratings, clip=False):
    """Prediction minus rating for each rating of the part, in rating points; `clip=True` clips to the scale first."""
    if len(ratings) == 0:
        raise ValueError("there is no rating to score: the part is empty.")
    if model._fitted().same_universe(ratings):
        predictions = model.predict_cells(ratings.rows, ratings.cols)
    else:
        predictions = model.predict(ratings.user_ids[ratings.rows], ratings.item_ids[ratings.cols])
    return (np.clip(predictions, *ratings.scale) if clip else predictions) - ratings.values


def rmse(model, ratings, clip=False):
    """Root mean squared error of `model` over a part; on the part it was fitted to, this is the *training* error."""
    return float(np.sqrt(np.mean(errors(model, ratings, clip) ** 2)))


def mae(model, ratings, clip=False):
    """Mean absolute error, rating points; the same caution."""
    return float(np.mean(np.abs(errors(model, ratings, clip))))


def evaluate(models, ratings, n_splits=20, test_size=0.2, random_state=0, n_jobs=1, progress=False):
    """Fit each model on the same random splits and score what was held out.

    Parameters
    ----------
    models : dict of name -> unfitted Recommender
    ratings : Ratings
    n_splits, test_size, random_state : the splits; split s uses the s-th child of `random_state`'s SeedSequence.
    n_jobs : int
        Splits run side by side by joblib; the numbers do not depend on it.

    Returns
    -------
    DataFrame : one row per model and split: model, split, train_rmse, rmse and mae (raw), rmse_clipped and
    mae_clipped, cold
        (held-out cells without a training rating in their row or column), n_train, n_test.
    """
    check_number("n_splits", n_splits, low=2, whole=True)
    seeds = np.random.SeedSequence(random_state).generate_state(n_splits).tolist()
    jobs = [
        joblib.delayed(_evaluate_split)(models, ratings, test_size, split, seed) for split, seed in enumerate(seeds)
    ]
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    rows = tqdm(parallel(jobs), total=n_splits, desc="splits", disable=not progress)
    return pd.DataFrame([row for split in rows for row in split])


def _evaluate_split(models, ratings, test_size, split, seed):
    train, test = ratings.split_random(test_size, random_state=seed)
    rows = []
    for name, model in models.items():
        fitted = clone(model).fit(train)
        scores = {"train_rmse": rmse(fitted, train), "rmse": rmse(fitted, test), "cold": fitted.n_fallback_,
                  "rmse_clipped": rmse(fitted, test, clip=True), "mae": mae(fitted, test),
                  "mae_clipped": mae(fitted, test, clip=True)}  # fmt: skip
        rows.append({"model": name, "split": split} | scores | {"n_train": len(train), "n_test": len(test)})
    return rows


def split_interval(values, n_train, n_test, level=0.95):
    """(mean, half width) of a confidence interval for a mean over random splits of one data set.

    Splits share most of their training ratings, so the plain standard error is too small; the variance is multiplied by
    1/J + n_test/n_train instead of 1/J. Reference: Inference for the Generalization Error, Machine Learning 52, 2003.
    """
    values = np.asarray(values, dtype=float)
    scale = np.sqrt((1 / len(values) + n_test / n_train) * values.var(ddof=1))
    return float(values.mean()), float(scipy.stats.t.ppf(0.5 + level / 2, len(values) - 1) * scale)


def summarize(results, metric="rmse_clipped"):
    """Mean and 95 % half width of one metric of `evaluate` for each model, and of its training RMSE; best first."""
    rows = []
    for name, part in results.groupby("model", sort=False):
        mean, half = split_interval(part[metric], part["n_train"].iloc[0], part["n_test"].iloc[0])
        rows.append({"model": name, "train_rmse": part["train_rmse"].mean(), metric: mean, "half_width": half})
    return pd.DataFrame(rows).sort_values(metric, kind="stable", ignore_index=True)


def paired_differences(results, reference, metric="rmse_clipped"):
    """Each model minus the reference, split by split: mean difference and 95 % half width; `better` or `worse` only
    where the interval leaves 0 out."""
    if reference not in set(results["model"]):
        raise ValueError(f"reference {reference!r} is not among the models {sorted(set(results['model']))}.")
    table = results.pivot(index="split", columns="model", values=metric)
    n_train, n_test = results[["n_train", "n_test"]].iloc[0]
    rows = []
    for name in results["model"].drop_duplicates():
        mean, half = split_interval(table[name] - table[reference], n_train, n_test)
        verdict = (
            "reference" if name == reference else "tie" if abs(mean) <= half else "better" if mean < 0 else "worse"
        )
        rows.append({"model": name, "difference": mean, "half_width": half, "verdict": verdict})
    return pd.DataFrame(rows).sort_values("difference", kind="stable", ignore_index=True)


def choose(candidates, train, validation, n_jobs=1):
    """The candidate with the smallest clipped validation RMSE (first on ties), fitted to `train`, and all the errors.

    The test part is not an argument: a choice that has seen it is not a choice.
    """
    fitted = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(clone(model).fit)(train) for model in candidates)
    scores = [rmse(model, validation, clip=True) for model in fitted]
    return fitted[int(np.argmin(scores))], scores


def frequent_titles(models, n=10):
    """How many viewers' top-n lists each title enters, for every fitted model of a dict, most frequent first."""
    counts = {name: model.recommend_all(n).groupby(["item_id", "title"]).size() for name, model in models.items()}
    table = pd.DataFrame(counts).fillna(0).astype(int)
    table["all models"] = table.sum(axis=1)
    return table.sort_values("all models", ascending=False, kind="stable").reset_index()


# ---- Saving and loading ---------------------------------------------------------------------------------------------

FORMAT_VERSION = 1
MODELS = (GlobalMean, BiasBaseline, ItemKNN, ALS, SpectralRegularization, NuclearNorm)


def write_whole(path, write):
    """Write beside the target and rename: a reader sees the old file or the new one, never half of one."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_model(model, path):
    """Write a fitted model to one compressed .npz: arrays, hyper-parameters as JSON, ids, ratings and their hash."""
    ratings = model._fitted()
    arrays = {f"learnt.{name}": value for name, value in vars(model).items()
              if name.endswith("_") and isinstance(value, np.ndarray)}  # fmt: skip
    if hasattr(model, "similarity_"):
        near = model.similarity_
        arrays |= {"sparse.data": near.data, "sparse.indices": near.indices, "sparse.indptr": near.indptr}
    for name in ("user_ids", "item_ids", "rows", "cols", "values", "times", "titles", "user_names"):
        if getattr(ratings, name) is not None:
            arrays[f"ratings.{name}"] = getattr(ratings, name)
    certificate = getattr(model, "_certificate", None) or vars(model).get("certificate_")
    about = {
        "format": FORMAT_VERSION,
        "model": type(model).__name__,
        "params": model.get_params(deep=False),
        "scale": list(ratings.scale),
        "ratings": ratings.fingerprint,
        "numbers": {
            name: value for name, value in vars(model).items() if name.endswith("_") and isinstance(value, float)
        },
        "history": model.history_,
        "certificate": None if certificate is None else vars(certificate),
    }
    try:
        arrays["about"] = np.array(json.dumps(about, default=lambda value: value.tolist()))  # NumPy's numbers, arrays
    except (TypeError, AttributeError) as error:
        raise ValueError(f"a parameter cannot be saved ({error}); a random_state must be a whole number.") from error

    def write(temporary):
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    write_whole(path, write)


def load_model(path, ratings=None):
    """Read a model written by `save`; with `ratings`, refuse one that was trained on other data."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"no saved model at {path}; train one and call its save(path).")
    name = Path(path).name
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        about = json.loads(str(arrays.pop("about")))
        version, kind = about["format"], about["model"]
    except Exception as error:  # whatever a damaged or foreign file provokes in zip, NumPy or JSON
        raise ValueError(f"{name} is damaged or is not a saved model: {type(error).__name__}: {error}") from error
    if version != FORMAT_VERSION:
        raise ValueError(f"{name} has format {version}, this version reads {FORMAT_VERSION}; train the model again.")
    kinds = {kind.__name__: kind for kind in MODELS}
    if kind not in kinds:
        raise ValueError(f"{name} holds a model of kind {kind!r}; known are {sorted(kinds)}.")
    try:
        model = _rebuild(kinds[kind], about, arrays)
    except Exception as error:
        raise ValueError(f"{name} is damaged or is not a saved model: {type(error).__name__}: {error}") from error
    if model.ratings_.fingerprint != about["ratings"]:
        raise ValueError(f"{name} is damaged: its training ratings do not match their own hash.")
    if ratings is not None and ratings.fingerprint != about["ratings"]:
        raise ValueError(
            f"{name} was trained on other data: {model.ratings_}, not the given {ratings}; train it again."
        )
    return model


def _rebuild(kind, about, arrays):
    stored = {key.removeprefix("ratings."): array for key, array in arrays.items() if key.startswith("ratings.")}
    ratings = Ratings(**stored, scale=tuple(about["scale"]))
    params = about["params"].items()
    params = {key: tuple(map(np.array, value)) if isinstance(value, list) else value for key, value in params}
    model = kind(**params)
    model.ratings_, model.history_ = ratings, about["history"]
    learnt = {name.removeprefix("learnt."): array for name, array in arrays.items() if name.startswith("learnt.")}
    vars(model).update(learnt | about["numbers"])
    if "sparse.data" in arrays:
        parts = tuple(arrays[f"sparse.{name}"] for name in ("data", "indices", "indptr"))
        model.similarity_ = sp.csr_array(parts, shape=(ratings.n_items, ratings.n_items))
    certificate = None if about["certificate"] is None else Certificate(**about["certificate"])
    setattr(model, "_certificate" if kind is ALS else "certificate_", certificate)
    return model


# ---- The command line: train everything, print the table and a list -------------------------------------------------


def course_models():
    """The course's models with the settings it published, and the ones that a fair comparison adds; all unfitted."""
    return {
        "global mean": GlobalMean(),
        "baseline": BiasBaseline(reg=5),
        "item neighbours": ItemKNN(),
        "ALS as published": ALS(n_factors=20, reg=0.1, n_epochs=1000, tol=0, init="ones"),
        "ALS with biases": ALS(n_factors=20, reg=8, biases=True, bias_reg=5),
        "spectral": SpectralRegularization(reg=5),
        "spectral with biases": SpectralRegularization(reg=8, biases=True, bias_reg=5),
        "nuclear norm": NuclearNorm(),
    }


def main(arguments=None):
    """`python -m content_table`: the honest table of all models on a rating table, and one viewer's list."""
    parser = argparse.ArgumentParser(prog="content_table", description=main.__doc__)
    parser.add_argument(
        "--data", default=DATA / "100x100.csv", help="anything that load_ratings reads; default: the sample"
    )
    parser.add_argument("--viewer", help="id or name; default: the first viewer with 25 ratings or more")
    parser.add_argument("--n", type=int, default=10, help="length of the list (default 10)")
    parser.add_argument("--splits", type=int, default=20, help="random 80/20 splits (default 20)")
    parser.add_argument("--jobs", type=int, default=1, help="splits run side by side (default 1)")
    parser.add_argument(
        "--save-weights", action="store_true", help="train on all ratings, write saved_weights/, and stop"
    )
    options = parser.parse_args(arguments)
    try:
        ratings = load_ratings(options.data)
        check_number("n", options.n, low=1, whole=True)
        if options.save_weights:
            return _save_weights(ratings)
        user = _some_user(ratings) if options.viewer is None else ratings.user_id(options.viewer)
        _report(ratings, user, options)
    except (ValueError, KeyError, OSError, MemoryError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error  # str(KeyError) would add quotes
        parser.exit(2, f"content_table: {message}\n")


def _some_user(ratings):
    busy = np.flatnonzero(np.bincount(ratings.rows, minlength=ratings.n_users) >= 25)
    return ratings.user_ids[busy[0] if len(busy) else 0]


def _save_weights(ratings):
    WEIGHTS.mkdir(exist_ok=True)
    for name, model in tqdm(course_models().items(), desc="training"):
        model.fit(ratings).save(WEIGHTS / f"{name.replace(' ', '_')}.npz")
    print(f"{len(course_models())} models in {WEIGHTS.name}/")


def _report(ratings, user, options):
    simulated = " of simulated viewers over real titles" if Path(options.data).resolve().is_relative_to(DATA) else ""
    print(f"{ratings}{simulated}\n")
    results = evaluate(course_models(), ratings, n_splits=options.splits, n_jobs=options.jobs, progress=True)
    table = summarize(results)
    compared = paired_differences(results, "baseline").set_index("model")
    table["against baseline"] = table["model"].map(compared["verdict"])
    table.columns = ["model", "training RMSE", "held-out RMSE", "+/-", "against baseline"]
    print(f"RMSE in rating points, {options.splits} random 80/20 splits, predictions clipped, 95 % intervals:")
    print(table.to_string(index=False, float_format="{:.3f}".format), end="\n\n")
    model = course_models()["spectral with biases"].fit(ratings)
    name = user if ratings.user_names is None else ratings.user_names[ratings.user_rows(user)[0]]
    print(f"For viewer {name}, by {model}\n(certified: no fit has an objective lower by more than "
          f"{max(model.certificate_.relative_gap, 0):.0e} of it):")  # fmt: skip
    print(model.recommend(user, options.n).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    from content_table import main as run  # by its importable name, so that joblib's workers find the models

    run()
