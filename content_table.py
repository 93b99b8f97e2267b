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
item features, weights on them C, W; C_i, w_u      `item_features`, `feature_weights_`         (n, d) sparse, (m, d)
penalty, step                  lambda, eta         `reg`, `learning_rate`                      objective in each class
passes, rank                   -, k                `n_epochs`, `n_factors`
=============================  ==================  ==========================================  =====================

A viewer whom no model has met gets a list by `fold_in`, from a dozen ratings or from `load_mal_export`, and `explain`
says why each title is on it.

Models, simplest first: `GlobalMean`, `Popularity`, `BiasBaseline`, `ItemKNN`, `ALS`, `ImplicitALS`,
`GradientDescentMF`, `SGDMF`, `ContentMF`, `ContentOnly`, `SpectralRegularization`, `NuclearNorm`; `Blend` mixes two,
and `Tuned` chooses the settings of one, or one of several, by `tune`. `compare` measures them all on the same splits.

>>> import content_table as ct
>>> ratings = ct.load_ratings(ct.DATA / "100x100.csv")
>>> model = ct.SpectralRegularization(reg=8, biases=True).fit(ratings)
>>> model.certificate_.relative_gap < 1e-6
True
>>> my_list = model.recommend(ratings.user_ids[0], n=10)
"""

import argparse
import difflib
import gzip
import hashlib
import json
import os
import re
import time
import unicodedata
import warnings
import zlib
from dataclasses import dataclass, field, fields, replace
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
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, iterparse
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import ridge_regression
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import MultiLabelBinarizer, normalize
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


class DivergenceError(ArithmeticError):
    """A descent whose steps were too long: the error grew instead of falling. The message names the remedy."""


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
                f"no title has {name!r} in it, or anything like it; titles look like {self.item_labels[:1].tolist()}."
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
        text, counts = " ".join(words), np.bincount(self.cols, minlength=self.n_items)
        kinds = {at: "exact" if self._plain_titles[at] == text and match == "part" else match for at in found}
        plain = self._plain_titles
        found.sort(key=lambda at: (plain[at] != text, not plain[at].startswith(text), -counts[at], plain[at]))
        ids = {"item_id": self.item_ids[found[:n]], "title": self.item_labels[found[:n]]}
        return pd.DataFrame(ids | {"match": [kinds[at] for at in found[:n]]})

    def _titles_with(self, words):
        return [at for at, title in enumerate(self._plain_titles) if words and all(word in title for word in words)]

    @cached_property
    def _plain_titles(self):
        return [plain_title(title) for title in self.item_labels.tolist()]

    @cached_property
    def series(self):
        """A label for every column, equal for the seasons and parts of one title: see `series_of`."""
        return np.arange(self.n_items) if self.titles is None else series_of(self.titles.tolist())

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


# ---- Reading the three schemas ---------------------------------------------------------------------------------------

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
        ids, names = (np.array(given, dtype=str if np.asarray(given).dtype.kind == "O" else None)
                      for given in (self.ids, self.names))  # fmt: skip
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
    C = features.rows_for(ratings.item_ids) if by_features else _item_vectors(features, None)
    at = ratings.item_cols(ratings.item_id(item))[0]
    if not abs(C[[at]]).sum():
        raise ValueError(f"nothing is known about {ratings.item_labels[at]}, so nothing can be said to be like it.")
    cosine = cosine_similarity(C, C[[at]]).ravel()
    order = np.argsort(-np.round(cosine, TIE), kind="stable")
    order = order[order != at][:n]
    columns = {"rank": np.arange(1, len(order) + 1), "item_id": ratings.item_ids[order]}
    return pd.DataFrame(columns | {"title": ratings.item_labels[order], "cosine": cosine[order]})


# ---- Input checks and shared linear algebra --------------------------------------------------------------------------


def check_number(name, value, *, low=0.0, strict=False, whole=False):
    """Refuse a hyper-parameter that is not a finite number, not whole where it must be, or below `low`."""
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if not isinstance(value, kinds) or isinstance(value, bool) or not np.isfinite(value):
        raise ValueError(f"{name} must be a {'whole' if whole else 'finite'} number, got {value!r}.")
    if value < low or (strict and value == low):
        raise ValueError(f"{name} must be {'above' if strict else 'at least'} {low:g}, got {value!r}.")


@dataclass(frozen=True)
class Range:
    """What `tune` may set a hyper-parameter to: `low` to `high`, whole numbers where both ends are; with `log` every
    factor of ten is as likely as the next."""

    low: float
    high: float
    log: bool = False
    unit: str = ""

    def suggest(self, trial, name):
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return (trial.suggest_int if whole else trial.suggest_float)(name, self.low, self.high, log=self.log)


RANK = Range(1, 50, log=True, unit="factors")
IMAGINARY = Range(0.5, 50.0, log=True, unit="imaginary ratings of 0 deviation")
PUBLISHED_SPACE = {  # of the blog notebook; 30 trials
    "n_factors": Range(5, 50, unit="factors"),
    "learning_rate": Range(1e-4, 1e-1, log=True, unit="step of one rating"),
    "reg": Range(1e-5, 1e-1, log=True, unit="lambda, once for each rating"),
}


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


@numba.njit(cache=True, inline="always")
def dot(p, q):
    """p . q as four partial sums: a processor adds them side by side, and always in the same order."""
    k = len(p) // 4 * 4
    a = b = c = d = 0.0
    for f in range(0, k, 4):
        a += p[f] * q[f]
        b += p[f + 1] * q[f + 1]
        c += p[f + 2] * q[f + 2]
        d += p[f + 3] * q[f + 3]
    for f in range(k, len(p)):
        a += p[f] * q[f]
    return (a + b) + (c + d)


@numba.njit(cache=True)
def pair_dots(P, Q, rows, cols):
    """p_u . q_i for each pair (rows[e], cols[e])."""
    dots = np.empty(len(rows))
    for e in range(len(rows)):
        dots[e] = dot(P[rows[e]], Q[cols[e]])
    return dots


def squared_loss(residual, reg=0.0, *factors):
    """sum residual^2 + reg (|F|^2 over the arrays `factors`): what every model of factors tries to make small."""
    return float(residual @ residual + reg * sum(np.vdot(F, F) for F in factors))


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


# ---- Certificates: how far from the optimum a fit can be -------------------------------------------------------------


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


# ---- What every model shares -----------------------------------------------------------------------------------------


class Recommender(BaseEstimator):
    """Base of all models: `fit`, `predict`, `recommend`, `complete`, `save`; subclasses supply `_fit` and `_scores`.

    `predict` takes ids and gives rating points, unclipped. A user or item without a training rating gets the biases
    that are known, then the mean, never a silent 0; `n_fallback_` counts the cells of the last `predict` that did.
    """

    score_name = "predicted_rating"  # what `predict` gives; anything else is not in rating points
    _positive = ()  # hyper-parameters that must be above 0
    _not_negative = ("reg", "bias_reg", "tol")
    _whole = ("n_factors", "n_epochs", "n_neighbors")  # whole numbers from 1
    _optional = ()  # may be None
    _space = {}
    _watch = _noise = None

    def fit(self, ratings, validation=None, watch=None):
        """Learn from `ratings`, afresh; returns self.

        `validation`, a part of the same table, tells the models that stop early or mix two others when to stop or how
        to mix; nothing else is learnt from it, and models that have no use for it ignore it. `watch(model, row)` is
        called after each pass of the models that go by passes, with its row of `history_`; it may raise to end the fit.
        """
        self._check(ratings)
        if validation is not None and not (len(validation) and ratings.same_universe(validation)):
            raise ValueError(
                "validation must hold ratings of the same users and items as the training part; take both from one "
                f"split of one table. Training: {ratings}, validation: {validation}."
            )
        self.ratings_ = ratings
        self.global_mean_ = float(ratings.values.mean())
        self.user_bias_, self.item_bias_ = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
        self.history_, self._watch, self._noise = [], watch, None
        with _BLAS.limit(limits=1, user_api="blas"):  # small matrices: threads cost time, and stable digits
            try:
                self._fit(ratings, validation)
            except BaseException:
                for name in [name for name in vars(self) if name.endswith("_")]:
                    delattr(self, name)  # a fit that failed is not a fit
                raise
            finally:
                self._watch = None
        return self

    @property
    def search_space(self):
        """What `tune` tries: {hyper-parameter: Range}; the penalty on biases only where the model has them."""
        return {name: r for name, r in self._space.items() if name != "bias_reg" or self.biases}

    @property
    def n_parameters_(self):
        """How many numbers were learnt, the mean among them; what stayed 0 throughout does not count."""
        self._fitted()
        names = ("user_bias_", "item_bias_", "user_factors_", "item_factors_", "feature_weights_", "group_weights_")
        arrays = [getattr(self, name, np.zeros(0)) for name in names]
        return 1 + sum(array.size for array in arrays if np.any(array))

    def _record(self, row):
        self.history_.append(row)
        if self._watch is not None:
            self._watch(self, row)

    def _check(self, ratings):
        if not isinstance(ratings, Ratings):
            raise TypeError(f"fit needs Ratings (see load_ratings, Ratings.from_matrix), got {type(ratings).__name__}.")
        if len(ratings) == 0:
            raise ValueError("fit needs at least one rating, got an empty part.")
        for name, value in self.get_params(deep=False).items():
            if value is None and name in self._optional:
                continue
            if name in self._whole:
                check_number(name, value, low=1, whole=True)
            elif name in self._not_negative or name in self._positive:
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
        scores, lost = self._filled(rows, cols)
        self.n_fallback_ = int(lost.sum())
        return scores

    def _filled(self, rows, cols):
        lost = self._lost(rows, cols)
        return np.where(lost, self._level(rows, cols), self._scores(rows, cols)), lost

    def _row_scores(self, rows):
        """Predictions of whole rows, (len(rows), n_items), with the same fallback as `predict`."""
        grid = rows[:, None], np.arange(self.ratings_.n_items)[None, :]
        return np.where(self._lost(*grid), self._level(*grid), self._all_scores(rows))

    def _lost(self, rows, cols):
        """Mask of the cells that the model knows too little about: no training rating in their row or column."""
        return self.cold_users_[rows] | self.cold_items_[cols]

    def _level(self, rows, cols):
        """What these cells get instead: the mean and the biases that are known."""
        return self.global_mean_ + self.user_bias_[rows] + self.item_bias_[cols]

    def complete(self):
        """The completed table as a dense (m, n) array: asked for, and refused where it would fill the machine."""
        check_memory(self._fitted().shape, "complete()")
        return self._row_scores(np.arange(self.ratings_.n_users))

    def recommend(self, user, n=10, also_seen=None):
        """The `n` unrated items with the highest predicted rating for one user id: rank, item_id, title,
        predicted_rating (or count, or preference, for the models that do not predict ratings).

        Exactly min(n, unseen) rows; nothing rated in training, or in the Ratings `also_seen`. Ties go by item position.
        """
        row = self._fitted().user_rows(user)
        return self._lists(row, n, also_seen).drop(columns="user_id")

    def recommend_all(self, n=10, also_seen=None):
        """The lists of all users, one under the other, with a user_id column."""
        return self._lists(np.arange(self._fitted().n_users), n, also_seen)

    def _lists(self, rows, n, also_seen):
        ratings = self._fitted()
        columns = self._top_items(rows, n, also_seen)
        row, rank = np.nonzero(columns >= 0)
        col, users = columns[row, rank], rows[row]
        return pd.DataFrame(
            {
                "user_id": ratings.user_ids[users],
                "rank": rank + 1,
                "item_id": ratings.item_ids[col],
                "title": ratings.item_labels[col],
                self.score_name: self._filled(users, col)[0],
            }
        )

    def _top_items(self, rows, n, also_seen=None):
        """(len(rows), n) positions of the best unseen items, best first; -1 where a list is shorter than n."""
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
        tops = [self._block_top(rows[at : at + block], n, seen) for at in range(0, len(rows), block)]
        return np.concatenate(tops)

    def _block_top(self, rows, n, seen):
        best = np.full((len(rows), n), -1)
        for top, row, score in zip(best, rows, self._row_scores(rows), strict=True):
            below = -np.round(score, TIE)
            below[seen.indices[seen.indptr[row] : seen.indptr[row + 1]]] = np.inf
            candidates = np.flatnonzero(np.isfinite(below))
            if len(candidates) > n:
                candidates = candidates[below[candidates] <= np.partition(below, n - 1)[n - 1]]
            order = candidates[np.argsort(below[candidates], kind="stable")[:n]]
            top[: len(order)] = order
        return best

    def _epochs(self):
        """Pass numbers 1..n_epochs, with a bar if `progress` asks for one."""
        return tqdm(range(1, self.n_epochs + 1), desc=type(self).__name__, disable=not self.progress)

    def _warn_unfinished(self, what):
        tol = getattr(self, "tol", None)
        advice = "; raise n_epochs" if tol is None else f" above tol={tol:g}; raise n_epochs or tol"
        warnings.warn(
            f"{type(self).__name__} stopped at n_epochs={self.n_epochs} with {what}{advice}.",
            ConvergenceWarning,
            stacklevel=4,
        )

    def _keep_after_interrupt(self):
        """Ctrl-C during a fit keeps what the whole passes so far have learnt; without one there is nothing to keep."""
        if not self.history_ or self._watch is not None:  # who watches wants whole fits
            raise  # the KeyboardInterrupt that is being handled
        warnings.warn(f"stopped by the keyboard after {len(self.history_)} whole passes; these are kept.", stacklevel=4)

    # -- somebody new --

    def fold_in(self, ratings):
        """A viewer whom the model was not trained on, from a few ratings: {item id or title: rating points}.

        The regression that gives a viewer of the training part their numbers, on the item side as trained: exact for
        the biases, ALS, the spectral family and neighbours, whose trained predictions it repeats; for models by descent
        the regression that their steps approach, left as early as they were. Nothing of the model changes.

        Returns a `Viewer`: predict, recommend, explain, uncertainty. Of an `OwnList` it also knows what was seen, and
        does not recommend it.
        """
        viewer = Viewer(self, *self._given(ratings, "fold_in"))
        viewer.seen = self.ratings_.item_cols(getattr(ratings, "seen", []))
        return viewer

    def fold_in_item(self, ratings, features=None):
        """A title that the model was not trained on, from its ratings {user id or name: rating points} and, for models
        with item features, {feature name: value}. Returns a `NewTitle`: predict, audience, explain, uncertainty."""
        return NewTitle(self, *self._given(ratings, "fold_in_item"), features=features)

    def viewer(self, user):
        """A viewer of the training part, by id or name, as a `Viewer`: their trained predictions, and reasons."""
        row = self._fitted().user_rows(self.ratings_.user_id(user))[0]
        table = self.ratings_.csr[[row]]
        return Viewer(self, table.indices.astype(np.intp), table.data, row=row)

    def _given(self, given, what):
        """(positions, values) of ratings by id or name."""
        ratings = self._fitted()
        given = getattr(given, "ratings", given)  # an OwnList
        if not hasattr(given, "items"):
            raise TypeError(f"{what} needs {{id or name: rating}}, got {type(given).__name__}.")
        find = ratings.item_id if what == "fold_in" else ratings.user_id
        given = dict(given.items())
        ids = [find(key) for key in given]
        at = (ratings.item_cols if what == "fold_in" else ratings.user_rows)(ids)
        low, high = ratings.scale
        for key, value in given.items():
            if not isinstance(value, (int, float, np.number)) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(
                    f"a rating is a number from {low:g} to {high:g}, got {value!r} for {key!r}; leave unrated ones out."
                )
        if len(set(ids)) < len(ids):
            raise ValueError(
                f"{len(ids) - len(set(ids))} of {len(ids)} ratings repeat another: an id and a name of one thing?"
            )
        return at, np.array(list(given.values()), dtype=float)

    def _fold(self, axis, at, values, features=None):
        """The regression of a new viewer (axis 0) or title (axis 1)."""
        if features is not None and not isinstance(self, _ContentModel):
            raise ValueError(f"{self!r} learns nothing from features.")
        return _ridge_fold(*self._half(axis, at, features), at, values)

    def _half(self, axis, at, features=None):
        """(offset, blocks of Z, penalties) of that regression: here there is nothing to learn about anybody."""
        n = self.ratings_.shape[1 - axis]
        return np.full(n, self.global_mean_), (np.zeros((n, 0)),), np.zeros(0)

    def _other_side(self, axis):
        """Biases, factors and cold mask of the side that stays as trained."""
        names = (
            ("item_bias_", "item_factors_", "cold_items_")
            if axis == 0
            else ("user_bias_", "user_factors_", "cold_users_")
        )
        return tuple(getattr(self, name, None) for name in names)

    def _start_parts(self, start, axis):
        """What a prediction starts from, in words."""
        mean = self.global_mean_ if start and self.score_name == "predicted_rating" else 0.0
        return {"the mean of all ratings": mean, ("this title", "this viewer")[axis]: start - mean}

    def _terms(self, viewer, col, n):
        raise ValueError(f"{self!r} knows nothing of what titles are about; explain by ratings.")

    @property
    def noise_(self):
        """Standard deviation of a rating about its viewer's regression, rating points: root mean square of residual /
        sqrt(1 - leverage) over the training ratings. The item side is taken as known, so a model that overfits its
        titles sees too little noise."""
        if self._noise is None:
            _need_rating_points(self)
            squares, table = 0.0, self._fitted().csr
            for u in np.flatnonzero(np.diff(table.indptr)):
                known = slice(table.indptr[u], table.indptr[u + 1])
                fold = self._fold(0, table.indices[known], table.data[known])
                if fold.variance is None:
                    raise ValueError(
                        f"{self!r} has no penalty that says how far tastes spread, so it cannot tell taste from noise."
                    )
                Z = fold.rows(table.indices[known])
                leverage = (Z * fold.solve.T).sum(axis=1)
                left = fold.target - Z @ (fold.solve @ fold.target)
                squares += float((left**2 / np.maximum(1 - leverage, 1e-9)).sum())
            self._noise = float(np.sqrt(squares / table.nnz))
        return self._noise

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

    def _half(self, axis, at, features=None):
        bias, factors, cold = self._other_side(axis)
        reg, bias_reg = self._penalties(len(at))
        penalty = np.full(factors.shape[1], float(reg))
        if getattr(self, "biases", True):
            return self._intercept + bias, (factors, np.ones((len(factors), 1))), np.append(penalty, bias_reg)
        lost = cold | (len(at) == 0)  # these get the mean, as in `predict`
        return np.where(lost, self._level_of_the_lost, 0.0), (np.where(lost[:, None], 0.0, factors),), penalty

    @property
    def _level_of_the_lost(self):
        return self.global_mean_

    def _penalties(self, n_ratings):
        """Of the factors and of the bias of a viewer with so many ratings."""
        return self.reg, getattr(self, "bias_reg", 0.0)

    def _start(self, ratings, rng, scale=0.1):
        """(P, Q) to start from: small random numbers, all ones, or the arrays that `init` gives."""
        k = self.n_factors
        shapes = ((ratings.n_users, k), (ratings.n_items, k))
        if isinstance(self.init, str) and self.init == "ones":
            return tuple(np.ones(shape) for shape in shapes)
        if isinstance(self.init, str) and self.init == "random":
            rng = np.random.default_rng(rng)
            return tuple(rng.normal(0.0, scale, shape) for shape in shapes)
        given = () if isinstance(self.init, str) else tuple(np.array(P, dtype=float, order="C") for P in self.init)
        if tuple(start.shape for start in given) != shapes or not all(np.isfinite(start).all() for start in given):
            raise ValueError(
                f"init must be 'random', 'ones' or finite arrays P, Q of shapes {shapes}, got "
                f"{[start.shape for start in given] or self.init!r}."
            )
        return given

    def _run_passes(self, one_pass):
        """Repeat `one_pass(epoch)`, which learns and returns a row for `history_`, until its objective has settled."""
        before = np.inf
        try:
            for epoch in self._epochs():
                row = one_pass(epoch)
                self._record({"epoch": epoch} | row)
                if self.tol > 0 and abs(before - row["objective"]) <= self.tol * row["objective"]:
                    break
                before = row["objective"]
            else:
                if self.tol > 0:
                    self._warn_unfinished("the change of the objective in one pass")
        except KeyboardInterrupt:
            self._keep_after_interrupt()


# ---- Floors: the mean, and the biases --------------------------------------------------------------------------------


class GlobalMean(Recommender):
    """Predicts the mean of the training ratings for every cell: the floor that any model must beat."""

    def _fit(self, ratings, validation=None):
        pass

    def _scores(self, rows, cols):
        return np.full(len(rows), self.global_mean_)

    def _all_scores(self, rows):
        return np.full((len(rows), self.ratings_.n_items), self.global_mean_)


class Popularity(Recommender):
    """Ranks titles by how many viewers rated them, the same for everybody: the floor of every full-catalogue ranking.

    `predict` gives that count, not rating points, so `rmse` refuses it.
    """

    score_name = "count"

    def _fit(self, ratings, validation=None):
        self.counts_ = np.bincount(ratings.cols, minlength=ratings.n_items).astype(float)

    def _half(self, axis, at, features=None):
        _, blocks, penalty = super()._half(axis, at)
        return (np.full(len(blocks[0]), float(len(at))) if axis else self.counts_), blocks, penalty

    def _lost(self, rows, cols):
        return np.zeros(np.broadcast_shapes(rows.shape, cols.shape), dtype=bool)  # a count of 0 is knowledge

    def _scores(self, rows, cols):
        return self.counts_[cols]

    def _all_scores(self, rows):
        return np.broadcast_to(self.counts_, (len(rows), len(self.counts_)))


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

    _space = {"reg": IMAGINARY}

    def __init__(self, reg=5.0, solver="direct"):
        self.reg = reg
        self.solver = solver

    def _fit(self, ratings, validation=None):
        _check_solver(self.solver, ("direct", "cvxpy"))
        deviations = ratings.values - self.global_mean_
        solve = _baseline_by_cvxpy if self.solver == "cvxpy" else _baseline_directly
        self.user_bias_, self.item_bias_ = solve(ratings, deviations, self.reg)
        where = (ratings.rows, ratings.cols)
        self.certificate_ = (
            bias_certificate(deviations, *where, self.user_bias_, self.item_bias_, self.reg) if self.reg > 0 else None
        )

    def _half(self, axis, at, features=None):
        bias = self._other_side(axis)[0]
        return self.global_mean_ + bias, (np.ones((len(bias), 1)),), np.array([float(self.reg)])

    def _scores(self, rows, cols):
        return self._level(rows, cols)

    def _all_scores(self, rows):
        return self._level(rows[:, None], np.arange(self.ratings_.n_items))


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


# ---- Neighbours: titles rated alike ----------------------------------------------------------------------------------


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

    _space = {"n_neighbors": Range(5, 100, log=True, unit="titles"), "reg": IMAGINARY,
              "shrinkage": Range(1.0, 100.0, log=True, unit="imaginary common raters")}  # fmt: skip

    def __init__(self, n_neighbors=40, shrinkage=10.0, reg=5.0):
        self.n_neighbors = n_neighbors
        self.shrinkage = shrinkage
        self.reg = reg

    def _fit(self, ratings, validation=None):
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
        return self._level(rows[:, None], np.arange(self.ratings_.n_items)) + step

    def _fold(self, axis, at, values, features=None):
        """Z is a column of ones for the bias, and the shares w_ij / sum |w| of the neighbours for what that leaves."""
        if axis == 1:
            raise ValueError("ItemKNN compares the titles it was fitted to; for a new title fit it again.")
        offset, n = self.global_mean_ + self.item_bias_, len(at)
        near = self.similarity_[:, at].toarray()
        weight = near.sum(axis=1, keepdims=True)
        shares = np.divide(near, weight, out=np.zeros_like(near), where=weight > 0)
        bias = np.full((1, n), 1 / (n + self.reg)) if n else np.zeros((1, 0))
        return _Fold(
            offset, (np.ones((len(offset), 1)), shares), np.vstack([bias, np.eye(n) - bias]), values - offset[at]
        )


def _best_of_each_row(table, count):
    """A sparse table with only the `count` largest positive entries of each row; ties go by column."""
    rows = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    order = np.lexsort((table.indices, -np.round(table.data, TIE), rows))
    rank = np.arange(len(rows)) - table.indptr[rows]
    keep = order[(rank < count) & (table.data[order] > 0)]
    return sp.csr_array((table.data[keep], (rows[keep], table.indices[keep])), shape=table.shape)


# ---- Alternating least squares ---------------------------------------------------------------------------------------


@numba.njit(cache=True, error_model="numpy")
def solve_rows(indptr, indices, weights, targets, other, base, out):
    """out[u] = (base + O_u' diag(w_u) O_u)^-1 O_u' t_u: a ridge regression for each row on the factors `other`.

    `indptr`, `indices` are the rows of a CSR table, `weights` and `targets` its values, `other` (n, k) the factors of
    the other side held fixed, `base` (k, k) what every row shares: the penalty, positive definite. Cholesky in plain
    loops: G = L L', then two substitutions.
    """
    k = other.shape[1]
    G, x = np.zeros((k, k)), np.zeros(k)
    for u in range(len(indptr) - 1):
        for a in range(k):
            x[a] = 0.0
            for b in range(a + 1):
                G[a, b] = base[a, b]
        for e in range(indptr[u], indptr[u + 1]):  # G = base + O_u' diag(w_u) O_u, x = O_u' t_u
            i = indices[e]
            for a in range(k):
                o = other[i, a]
                x[a] += o * targets[e]
                for b in range(a + 1):
                    G[a, b] += weights[e] * o * other[i, b]
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


def _solve_rows_unpenalised(indptr, indices, weights, targets, other, base, out):
    """The same without a penalty, where a row may leave its factors undetermined: the least-norm solution."""
    for u in range(len(indptr) - 1):
        known = slice(indptr[u], indptr[u + 1])
        out[u] = np.linalg.lstsq(other[indices[known]], targets[known], rcond=None)[0]


def _check_solution(rows, reg):
    if not np.isfinite(rows).all():
        raise ValueError(f"the ridge regressions of reg={np.min(reg):g} are singular in floating point; raise reg.")


def ridge_rows(table, other, reg=0.0):
    """The best factors for each row of a sparse table, those of the other side held fixed: half a pass of `ALS`.

    Objective, for each row u on its own: sum over its known cells of (A_ui - x_u . o_i)^2 + reg |x_u|^2.

    Parameters
    ----------
    table : (m, n) sparse
        `ratings.csr` to solve for the users, `ratings.csc.T` for the items.
    other : (n, k)
    reg : float, or (k,) with one penalty for each factor
        All above 0, or 0: plain least squares, and of least norm where the ratings leave factors undetermined.

    Returns
    -------
    (m, k) array; zeros in a row without a rating.
    """
    table = sp.csr_array(table, dtype=float)
    other = np.ascontiguousarray(other, dtype=float)
    if other.ndim != 2 or len(other) != table.shape[1]:
        raise ValueError(
            f"`other` must have one row of factors for each of the table's {table.shape[1]} columns, got shape "
            f"{other.shape}; to solve for the items, pass ratings.csc.T and the user factors."
        )
    penalty = np.full(other.shape[1], reg, dtype=float)
    if not (penalty > 0).all() and penalty.any():
        raise ValueError(f"reg must be above 0, or 0 for all factors, got {reg}.")
    solve = solve_rows if penalty.any() else _solve_rows_unpenalised
    rows = np.empty((table.shape[0], other.shape[1]))
    solve(table.indptr, table.indices, np.ones(table.nnz), table.data, other, np.diag(penalty), rows)
    _check_solution(rows, reg)
    return rows


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

    _space = {"n_factors": RANK, "reg": IMAGINARY, "bias_reg": IMAGINARY}

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

    def _fit(self, ratings, validation=None):
        if self.reg == 0 and self.biases:
            raise ValueError("reg=0 with biases leaves the biases undetermined; use a small positive reg.")
        if self.biases:
            check_number("bias_reg", self.bias_reg, strict=True)
        self.user_factors_, self.item_factors_ = self._start(ratings, self.random_state)
        self._certificate = None

        def one_pass(epoch):
            self._half_step(ratings.csr, self.user_factors_, self.user_bias_, self.item_factors_, self.item_bias_)
            self._half_step(ratings.csc.T, self.item_factors_, self.item_bias_, self.user_factors_, self.user_bias_)
            return dict(zip(("objective", "train_rmse"), self._objective(ratings), strict=True))

        self._run_passes(one_pass)
        self._half_step(ratings.csr, self.user_factors_, self.user_bias_, self.item_factors_, self.item_bias_)

    def _half_step(self, table, factors, bias, other, other_bias):
        """Solve every row of `table` for its factors (and bias, a factor whose other side is 1), in place."""
        if not self.biases:
            factors[:] = ridge_rows(table, other, self.reg)
            return
        table = sp.csr_array(table, copy=True)
        table.data -= self.global_mean_ + other_bias[table.indices]
        reg = np.append(np.full(self.n_factors, float(self.reg)), self.bias_reg)
        rows = ridge_rows(table, np.column_stack([other, np.ones(len(other))]), reg)
        factors[:], bias[:] = rows[:, :-1], rows[:, -1]

    def _objective(self, ratings):
        """(objective, training RMSE)."""
        residual = ratings.values - self._scores(ratings.rows, ratings.cols)
        loss = squared_loss(residual, self.reg, self.user_factors_, self.item_factors_)
        penalty = self.bias_reg * (self.user_bias_ @ self.user_bias_ + self.item_bias_ @ self.item_bias_)
        return float(loss + penalty), float(np.sqrt(np.mean(residual**2)))

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


class ImplicitALS(FactorModel):
    """Matrix factorization of *who rated what*: every cell counts, and a rating raises the confidence of its cell.

    Objective: sum over all cells of c (s - p.q)^2 + reg (|P|^2 + |Q|^2); s = 1 where rated, else 0; c = 1 + confidence
    times the rating where rated, else 1. Alternating exact regressions: the unrated cells enter through Q'Q, which all
    users share, so a pass costs no more than a pass of `ALS`.

    `predict` gives a preference (near 1: likes to watch; near 0: does not), not rating points; `rmse` refuses it. A
    user or item without a training rating gets 0.

    Parameters
    ----------
    n_factors, reg, n_epochs, tol, init, random_state, progress : as in `ALS`; `reg` must be above 0.
    confidence : float, at least 0
        How much more a rated cell counts, for each rating point.

    Reference: Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008 (objective and the Q'Q device; there c
    grows with how often something was watched, here with the rating).
    """

    score_name = "preference"
    biases = False
    _positive = ("reg",)
    _not_negative = ("tol", "confidence")
    _space = {"n_factors": RANK, "reg": Range(1.0, 300.0, log=True, unit="lambda"),
              "confidence": Range(0.05, 5.0, log=True, unit="for each rating point")}  # fmt: skip

    def __init__(self, n_factors=20, reg=10.0, confidence=1.0, n_epochs=50, tol=1e-4, init="random", random_state=0,
                 progress=False):  # fmt: skip
        self.n_factors = n_factors
        self.reg = reg
        self.confidence = confidence
        self.n_epochs = n_epochs
        self.tol = tol
        self.init = init
        self.random_state = random_state
        self.progress = progress

    def _fit(self, ratings, validation=None):
        if ratings.values.min() < 0:
            raise ValueError(f"confidence grows with the rating, which must not be negative: {ratings.values.min():g}.")
        self.user_factors_, self.item_factors_ = P, Q = self._start(ratings, self.random_state)

        def one_pass(epoch):
            self._half_step(ratings.csr, P, Q)
            self._half_step(ratings.csc.T, Q, P)
            return {"objective": self._objective(ratings)}

        self._run_passes(one_pass)
        self._half_step(ratings.csr, P, Q)

    def _level(self, rows, cols):
        return np.zeros(np.broadcast_shapes(rows.shape, cols.shape))  # nothing watched, nothing preferred

    def _fold(self, axis, at, values, features=None):
        """As in a half-step: every rated title is a preference of 1, with its confidence."""
        other = self._other_side(axis)[1]
        extra, rated = self.confidence * values[:, None], other[at]
        gram = other.T @ other + self.reg * np.eye(self.n_factors) + rated.T @ (extra * rated)
        solve = np.linalg.solve(gram, (rated * (1 + extra)).T)
        return _Fold(np.zeros(len(other)), (other,), solve, np.ones(len(at)))

    def _half_step(self, table, factors, other):
        table = sp.csr_array(table)
        extra = self.confidence * table.data  # c - 1
        base = other.T @ other + self.reg * np.eye(self.n_factors)
        solve_rows(table.indptr, table.indices, extra, 1 + extra, other, base, factors)
        _check_solution(factors, self.reg)

    def _objective(self, ratings):
        P, Q, c = self.user_factors_, self.item_factors_, 1 + self.confidence * ratings.values
        x = pair_dots(P, Q, ratings.rows, ratings.cols)
        unrated = np.vdot(P.T @ P, Q.T @ Q) - x @ x  # sum of (p.q)^2 over all cells, less the rated ones
        return float(unrated + c @ (1 - x) ** 2 + self.reg * (np.vdot(P, P) + np.vdot(Q, Q)))


# ---- One step at a time: gradient descent, and its stochastic form with biases ---------------------------------------


def _set_aside(ratings, share, rng, remedy):
    """(train, validation), where `fit` was given no validation part."""
    if share >= 1:
        raise ValueError(f"validation_size must be a share below 1, got {share}.")
    if round(len(ratings) * share) in (0, len(ratings)):
        raise ValueError(
            f"{len(ratings)} ratings cannot give a validation share of {share} and leave some to train on; pass a "
            f"validation part to fit, raise validation_size, or {remedy}."
        )
    return ratings.split_random(share, rng)


def _check_descent(model, error, epoch, scale):
    """Raise before a step that was too long leaves NaN behind: the error has outgrown the scale ten times."""
    if not error < 10 * max(abs(end) for end in scale):
        raise DivergenceError(
            f"{type(model).__name__} diverged in pass {epoch}: the training RMSE "
            f"{f'reached {error:.3g}' if np.isfinite(error) else 'overflowed'} on a scale of "
            f"{scale[0]:g} to {scale[1]:g}. learning_rate={model.learning_rate:g} is too long a step here; try "
            f"{model.learning_rate / 10:g}."
        )


class GradientDescentMF(FactorModel):
    """Full-batch gradient descent on the objective of `ALS`: all of P and Q take one step downhill together.

    Objective E = sum (A - p.q)^2 + reg (|P|^2 + |Q|^2). With the residuals R = A - P Q' on the known cells, zero
    elsewhere, dE/dP = 2 (reg P - R Q) and dE/dQ = 2 (reg Q - R' P); one pass is P -= learning_rate dE/dP, Q -=
    learning_rate dE/dQ, both from the values before it.

    Parameters
    ----------
    n_factors, reg, init, random_state, progress : as in `ALS`; reg may be 0.
    learning_rate : float, above 0
        eta. Too small crawls; too large diverges, which is a `DivergenceError`.
    n_epochs, tol : int, float
        At most `n_epochs` passes; stop when one lowers the objective by less than `tol` of it. `tol=0` runs all.

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k)
    history_ : list of dict
        epoch, objective, train_rmse after each pass.
    """

    biases = False
    _positive = ("learning_rate",)
    _space = {"n_factors": RANK, "reg": IMAGINARY,
              "learning_rate": Range(1e-5, 1e-2, log=True, unit="step of the whole table")}  # fmt: skip

    def __init__(self, n_factors=5, reg=5.0, learning_rate=1e-3, n_epochs=5000, tol=1e-6, init="random",
                 random_state=0, progress=False):  # fmt: skip
        self.n_factors = n_factors
        self.reg = reg
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.tol = tol
        self.init = init
        self.random_state = random_state
        self.progress = progress

    def _fit(self, ratings, validation=None):
        self.user_factors_, self.item_factors_ = self._start(ratings, self.random_state)

        def one_pass(epoch):
            P, Q = self.user_factors_, self.item_factors_
            with np.errstate(over="ignore", invalid="ignore"):  # `_check_descent` says it in words
                slope_P, slope_Q = self.gradient(ratings, P, Q)
                P, Q = P - self.learning_rate * slope_P, Q - self.learning_rate * slope_Q
                objective, error = self.objective(ratings, P, Q)
            _check_descent(self, error, epoch, ratings.scale)
            self.user_factors_, self.item_factors_ = P, Q
            return {"objective": objective, "train_rmse": error}

        self._run_passes(one_pass)

    def gradient(self, ratings, P, Q):
        """(dE/dP, dE/dQ) at any factors."""
        left = ratings.values - pair_dots(P, Q, ratings.rows, ratings.cols)
        R = sp.csr_array((left, (ratings.rows, ratings.cols)), shape=ratings.shape)
        return 2 * (self.reg * P - R @ Q), 2 * (self.reg * Q - R.T @ P)

    def objective(self, ratings, P, Q):
        """(E, training RMSE) at any factors."""
        left = ratings.values - pair_dots(P, Q, ratings.rows, ratings.cols)
        return squared_loss(left, self.reg, P, Q), float(np.sqrt(np.mean(left**2)))


@numba.njit(cache=True, inline="always")
def content_part(u, i, w, G, C_start, C_col, C_val, F_start, F_col, F_val):
    """(w_u + F_u G) . C_i, with `w` = w_u; C and F are CSR tables: where each row starts, columns, values."""
    total = 0.0
    for t in range(C_start[i], C_start[i + 1]):
        total += w[C_col[t]] * C_val[t]
    for s in range(F_start[u], F_start[u + 1]):
        g = G[F_col[s]]
        for t in range(C_start[i], C_start[i + 1]):
            total += F_val[s] * g[C_col[t]] * C_val[t]
    return total


@numba.njit(cache=True)
def predict_pairs(rows, cols, mean, theta, C, F):
    """mu + b_u + b_i + p_u . q_i + (w_u + F_u G) . C_i for each pair (rows[e], cols[e])."""
    b_user, b_item, P, Q, W, G = theta
    (C_start, C_col, C_val), (F_start, F_col, F_val) = C, F
    scores = np.empty(len(rows))
    for e in range(len(rows)):
        u, i = rows[e], cols[e]
        content = content_part(u, i, W[u], G, C_start, C_col, C_val, F_start, F_col, F_val)
        scores[e] = mean + b_user[u] + b_item[i] + dot(P[u], Q[i]) + content
    return scores


@numba.njit(cache=True, inline="always")
def cut(value, clip):
    """The value, at most `clip` in size; without a clip the compiler takes the question out of the loop."""
    return min(max(value, -clip), clip) if clip < np.inf else value


@numba.njit(cache=True)
def sgd_epoch(rows, cols, values, mean, theta, C, F, eta, reg, clip):
    """One pass, rating by rating in the order of the arrays: theta += eta (e * d prediction / d theta - reg * theta).

    That is half the negative gradient of the rating's own term, e^2 + reg |what it touches|^2; each entry of a step is
    cut to [-clip, clip]. Every step uses the values before it, so those that two updates need are read first.
    """
    b_user, b_item, P, Q, W, G = theta
    (C_start, C_col, C_val), (F_start, F_col, F_val) = C, F
    for rating in range(len(values)):
        u, i = rows[rating], cols[rating]
        p, q, w = P[u], Q[i], W[u]
        content = content_part(u, i, w, G, C_start, C_col, C_val, F_start, F_col, F_val)
        e = values[rating] - (mean + b_user[u] + b_item[i] + dot(p, q) + content)
        b_user[u] += eta * cut(e - reg * b_user[u], clip)
        b_item[i] += eta * cut(e - reg * b_item[i], clip)
        for f in range(len(p)):
            p_f, q_f = p[f], q[f]
            p[f] = p_f + eta * cut(e * q_f - reg * p_f, clip)
            q[f] = q_f + eta * cut(e * p_f - reg * q_f, clip)
        for t in range(C_start[i], C_start[i + 1]):  # non-zeros only: other weights feel neither error nor penalty
            j, c = C_col[t], C_val[t]
            w[j] += eta * cut(e * c - reg * w[j], clip)
        for s in range(F_start[u], F_start[u + 1]):
            g = G[F_col[s]]
            for t in range(C_start[i], C_start[i + 1]):
                j, c = C_col[t], F_val[s] * C_val[t]
                g[j] += eta * cut(e * c - reg * g[j], clip)


@numba.njit(cache=True)
def batch_epoch(rows, cols, values, batch_size, mean, theta, C, F, eta, reg, clip, steps):
    """The same in batches: all steps of a batch are computed at the values before it, kept in `steps`, then added."""
    b_user, b_item, P, Q, W, G = theta
    (C_start, C_col, C_val), (F_start, F_col, F_val) = C, F
    k = P.shape[1]
    for start in range(0, len(values), batch_size):
        batch = range(start, min(start + batch_size, len(values)))
        at = 0
        for rating in batch:
            u, i = rows[rating], cols[rating]
            p, q, w = P[u], Q[i], W[u]
            content = content_part(u, i, w, G, C_start, C_col, C_val, F_start, F_col, F_val)
            e = values[rating] - (mean + b_user[u] + b_item[i] + dot(p, q) + content)
            steps[at] = e - reg * b_user[u]
            steps[at + 1] = e - reg * b_item[i]
            step_p, step_q = steps[at + 2 : at + 2 + k], steps[at + 2 + k : at + 2 + 2 * k]
            for f in range(k):
                step_p[f] = e * q[f] - reg * p[f]
            for f in range(k):
                step_q[f] = e * p[f] - reg * q[f]
            at += 2 + 2 * k
            for t in range(C_start[i], C_start[i + 1]):
                j, c = C_col[t], C_val[t]
                steps[at] = e * c - reg * w[j]
                at += 1
            for s in range(F_start[u], F_start[u + 1]):
                for t in range(C_start[i], C_start[i + 1]):
                    steps[at] = e * F_val[s] * C_val[t] - reg * G[F_col[s], C_col[t]]
                    at += 1
        for s in range(at):
            steps[s] = cut(steps[s], clip)
        at = 0
        for rating in batch:
            u, i = rows[rating], cols[rating]
            p, q, w = P[u], Q[i], W[u]
            b_user[u] += eta * steps[at]
            b_item[i] += eta * steps[at + 1]
            step_p, step_q = steps[at + 2 : at + 2 + k], steps[at + 2 + k : at + 2 + 2 * k]
            for f in range(k):
                p[f] += eta * step_p[f]
            for f in range(k):
                q[f] += eta * step_q[f]
            at += 2 + 2 * k
            for t in range(C_start[i], C_start[i + 1]):
                w[C_col[t]] += eta * steps[at]
                at += 1
            for s in range(F_start[u], F_start[u + 1]):
                for t in range(C_start[i], C_start[i + 1]):
                    G[F_col[s], C_col[t]] += eta * steps[at]
                    at += 1


def _arrays(tables):
    """CSR tables as the compiled loops take them."""
    return tuple((table.indptr, table.indices, table.data) for table in tables)


class SGDMF(FactorModel):
    """Biases and factors by stochastic gradient descent: one rating, or a small batch of them, at a time.

    Objective: sum [(A - mu - b_u - b_i - p.q)^2 + reg (b_u^2 + b_i^2 + |p_u|^2 + |q_i|^2)], so the penalty counts once
    for every *rating*: somebody with ten times the ratings is held back ten times as strongly. One step is theta +=
    learning_rate * (e * d prediction / d theta - reg * theta), half the negative gradient of one term.

    Parameters
    ----------
    n_factors, reg : int, float
    learning_rate : float, above 0
        eta in the first pass.
    n_epochs : int
        At most so many passes, each over a fresh shuffle of the ratings.
    batch_size : int or None
        Steps of so many ratings are taken together, from the values before them, and *added up* (so the same
        `learning_rate` moves about as far in a pass, until the batch is so large that it overshoots); None is all.
    schedule, decay : "constant", "inverse" or "exponential"; float, at least 0
        eta in pass t: learning_rate, learning_rate / (1 + decay (t - 1)), or learning_rate exp(-decay (t - 1)).
    clip : float or None
        Each entry of a rating's step, before eta, is cut to [-clip, clip].
    patience : int or None
        Stop after so many passes without a lower validation RMSE and keep the best pass. None runs all `n_epochs` and
        keeps the last; a validation part is then only measured. On small tables the error can rest on the level of the
        biases for a dozen passes before the factors begin to matter: be patient there.
    validation_size : float
        Share of the ratings set aside, and not learnt from, where `fit` is given no validation part and `patience` is
        set.
    init, init_scale : as in `ALS`; standard deviation of the random start.
    random_state : int or Generator
    progress : bool

    Attributes
    ----------
    user_factors_ (m, k), item_factors_ (n, k), user_bias_ (m,), item_bias_ (n,)
        Zero for users and items without a rating to learn from.
    best_epoch_ : int
        The pass that was kept: the one of smallest validation RMSE (never of the regularised loss), or the last.
    history_ : list of dict
        epoch, train_rmse, train_loss, and with validation validation_rmse, validation_loss; a loss is the published
        (sum e^2 + reg * |all parameters|^2) / count.

    Raises
    ------
    DivergenceError : the steps are too long, also where an earlier pass was a good one.

    Reference: Matrix Factorization Techniques for Recommender Systems, Computer 42(8), 2009 (biases, factors, and their
    stochastic steps).
    """

    _positive = ("learning_rate", "init_scale", "clip", "validation_size")
    _not_negative = ("reg", "decay")
    _whole = ("n_factors", "n_epochs", "batch_size", "patience")
    _optional = ("clip", "batch_size", "patience")
    _features = None  # the tables as the compiled loops take them
    _space = {"n_factors": RANK, "learning_rate": Range(1e-3, 1e-1, log=True, unit="step of one rating"),
              "reg": Range(1e-3, 0.3, log=True, unit="lambda, once for each rating")}  # fmt: skip

    def __init__(self, n_factors=20, reg=0.02, learning_rate=0.01, n_epochs=200, batch_size=1, schedule="constant",
                 decay=0.0, clip=None, patience=5, validation_size=0.1, init="random", init_scale=0.01, random_state=0,
                 progress=False):  # fmt: skip
        self.n_factors = n_factors
        self.reg = reg
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.schedule = schedule
        self.decay = decay
        self.clip = clip
        self.patience = patience
        self.validation_size = validation_size
        self.init = init
        self.init_scale = init_scale
        self.random_state = random_state
        self.progress = progress

    def _fit(self, ratings, validation=None):
        schedules = ("constant", "inverse", "exponential")
        if self.schedule not in schedules:
            raise ValueError(f"schedule must be one of {schedules}, got {self.schedule!r}.")
        rng = np.random.default_rng(self.random_state)
        if validation is None and self.patience is not None:
            ratings, validation = _set_aside(ratings, self.validation_size, rng, "set patience=None")
        self.global_mean_ = float(ratings.values.mean())
        self._prepare(ratings, rng)
        self._descend(ratings, validation, rng)

    def _prepare(self, ratings, rng):
        """Where the descent starts; what has no rating to learn from starts, and stays, at 0."""
        self.user_factors_, self.item_factors_ = self._start(ratings, rng, self.init_scale)
        self.user_factors_[np.bincount(ratings.rows, minlength=ratings.n_users) == 0] = 0.0
        self.item_factors_[np.bincount(ratings.cols, minlength=ratings.n_items) == 0] = 0.0

    @property
    def _tables(self):
        """Features of the items and of the users, sparse (n, d) and (m, f): none here."""
        return sp.csr_array((len(self.item_factors_), 0)), sp.csr_array((len(self.user_factors_), 0))

    @property
    def _weights(self):
        """The weights W and G on them."""
        return np.zeros((len(self.user_factors_), 0)), np.zeros((0, 0))

    @property
    def _theta(self):
        return self.user_bias_, self.item_bias_, self.user_factors_, self.item_factors_, *self._weights

    def _penalties(self, n_ratings):
        return (self.reg * max(n_ratings, 1),) * 2  # it counts once for every rating

    def _fold(self, axis, at, values, features=None):
        """The ridge regression of the objective, left as early as the training was: early stopping held the trained
        factors back more than the penalty did.

        Small steps from 0 that add up to a time T lead to x = (I - exp(-T G)) G^-1 Z' t with G = Z'Z + D; for T without
        end that is the ridge regression itself.
        """
        offset, blocks, penalty = self._half(axis, at, features)
        fold = _Fold(offset, blocks, np.zeros((len(penalty), len(at))), values - offset[at])
        Z = fold.rows(at)
        met = Z.any(axis=0)  # the weight of a feature that was never met stays 0
        g, V = np.linalg.eigh(Z[:, met].T @ Z[:, met] + np.diag(penalty[met]))
        time_ = sum(self._step(epoch) for epoch in range(1, self.best_epoch_ + 1))
        passed = np.where(g * time_ > 1e-12, -np.expm1(-time_ * g) / np.maximum(g, 1e-300), time_)
        fold.solve[met] = (V * passed) @ (Z[:, met] @ V).T
        return fold

    def _descend(self, ratings, validation, rng):
        theta, data = self._theta, (ratings.rows, ratings.cols, ratings.values)
        self._features = _arrays(self._tables)  # made once: on small tables the passes cost less than making it
        lowest, kept = np.inf, None
        try:
            for epoch in self._epochs():
                order = rng.permutation(len(ratings))
                self._one_pass(epoch, *(array.take(order) for array in data))
                row = self._measure(epoch, ratings, validation)
                _check_descent(self, row["train_rmse"], epoch, ratings.scale)
                better = self.patience is None or row["validation_rmse"] < lowest
                if better:
                    lowest, kept = row.get("validation_rmse"), (epoch, [array.copy() for array in theta])
                self._record(row)
                if not better and epoch - kept[0] >= self.patience:
                    break
            else:
                if self.patience is not None and kept[0] == self.n_epochs:
                    self._warn_unfinished("the validation RMSE still falling")
        except KeyboardInterrupt:
            self._keep_after_interrupt()
        self.best_epoch_, values = kept
        for array, value in zip(theta, values, strict=True):
            array[:] = value

    def _one_pass(self, epoch, rows, cols, values):
        C, F = self._features
        clip = np.inf if self.clip is None else float(self.clip)
        rest = self.global_mean_, self._theta, C, F, self._step(epoch), self.reg, clip
        if self.batch_size == 1:
            sgd_epoch(rows, cols, values, *rest)
            return
        batch_size = len(values) if self.batch_size is None else self.batch_size
        touched = 2 + 2 * self.n_factors + np.diff(C[0])[cols] * (1 + np.diff(F[0])[rows])
        steps = np.empty(min(int(touched.sum()), batch_size * int(touched.max())))
        batch_epoch(rows, cols, values, batch_size, *rest, steps)

    def _scores(self, rows, cols):
        C, F = self._features or _arrays(self._tables)
        return predict_pairs(rows, cols, self.global_mean_, self._theta, C, F)

    def _step(self, epoch):
        """eta in this pass."""
        shrink = {"constant": 1.0, "inverse": 1 / (1 + self.decay * (epoch - 1)),
                  "exponential": np.exp(-self.decay * (epoch - 1))}  # fmt: skip
        return self.learning_rate * shrink[self.schedule]

    def _measure(self, epoch, ratings, validation):
        row, norms = {"epoch": epoch}, sum(float(np.vdot(array, array)) for array in self._theta)
        for name, part in (("train", ratings), ("validation", validation)):
            if part is not None:
                with np.errstate(over="ignore", invalid="ignore"):  # `_check_descent` says it in words
                    squares = float(np.sum((part.values - self._scores(part.rows, part.cols)) ** 2))
                row[f"{name}_rmse"] = float(np.sqrt(squares / len(part)))
                row[f"{name}_loss"] = (squares + self.reg * norms) / len(part)
        return row


# ---- What the titles are about: factors helped by features, and features alone ---------------------------------------


class _ContentModel(Recommender):
    """Models with a linear taste: weights of each viewer on the features of the titles."""

    def _item_table(self, ratings):
        return self._rows_of("item_features", ratings.item_ids)

    def _rows_of(self, name, ids):
        features = getattr(self, name)
        if not isinstance(features, Features):
            raise TypeError(
                f"{type(self).__name__} needs {name}, a Features table (see load_features), got "
                f"{type(features).__name__}."
            )
        return features.rows_for(ids)

    def _lost(self, rows, cols):
        """A cold title with features, or a cold viewer with a profile, is known after all."""
        unknown_item = self.cold_items_ & (np.diff(self.item_table_.indptr) == 0)
        return self._unknown_users[rows] | unknown_item[cols]

    @property
    def _unknown_users(self):
        return self.cold_users_

    def _new_item(self, features):
        """The row of C of a new title, from {feature name: value}."""
        names = {name: j for j, name in enumerate(self.item_features.names.tolist())}
        unknown = sorted(set(features or {}) - set(names))
        if unknown:
            raise ValueError(f"unknown features {unknown}; the {len(names)} known ones are such as {list(names)[:5]}.")
        row = np.zeros(len(names))
        for name, value in (features or {}).items():
            row[names[name]] = value
        return getattr(self, "content_weight", 1.0) * row

    def _terms(self, viewer, col, n):
        x, z = viewer._fold.solve @ viewer._fold.target, viewer._fold.rows([col])[0]
        if viewer.row is not None:
            x = self._trained_row(viewer.row)
        k, shared = len(x) - 1 - self.item_table_.shape[1], self._shared_taste(viewer.row)
        at = np.flatnonzero(z[k:-1])
        parts = ((x[k:-1] + shared) * z[k:-1])[at]
        own = list(zip(self.item_features.names[at].tolist(), [np.nan] * len(at), parts.tolist(), strict=True))
        head = {"the mean of all ratings": self.global_mean_, "this title": self.item_bias_[col],
                "this viewer": x[-1], "hidden factors": x[:k] @ z[:k]}  # fmt: skip
        return _reasons(head, own, {}, n, "terms")

    def taste(self, user):
        """The weights of one viewer, by feature, largest first: own, and with what all viewers share added."""
        row = self._fitted().user_rows(user)[0]
        own = self.feature_weights_[row]
        table = pd.DataFrame({"feature": self.item_features.names, "own": own, "weight": own + self._shared_taste(row)})
        return table.sort_values("weight", ascending=False, kind="stable", ignore_index=True)

    def _shared_taste(self, row):
        return 0.0

    def _trained_row(self, row):
        """The numbers of a viewer of the training part, in the order of the blocks of `_half`."""
        return np.append(self.feature_weights_[row], self.user_bias_[row])


class ContentMF(_ContentModel, SGDMF):
    """`SGDMF` helped by what the titles are about: each viewer also has a weight on every feature of an item.

    Prediction: mu + b_u + b_i + p_u . q_i + (w_u + F_u G) . C_i, with C_i the features of the item (times
    `content_weight`), w_u the viewer's own weights on them, and F_u G the weights of people like the viewer: F_u is 1,
    then the viewer's features (profile), so the first row of G is what everybody shares. Objective: that of `SGDMF`
    with this prediction, and the penalty of a rating extended to the weights it touches: w_uj where C_ij is not 0, G_fj
    where F_uf is not 0 either. **Only the non-zeros of C_i are touched**: a weight is shrunk by the ratings of items
    that have its feature, not by every rating of the viewer; a weight whose feature a viewer has never met stays 0. (A
    penalty on all of w_u at every rating would cost d steps instead of a dozen, and shrink rare features to nothing.)

    A title without a rating is predicted from its features; a viewer without one from F_u G. Only where these are
    missing too does the prediction fall back, counted in `n_fallback_`.

    Parameters
    ----------
    item_features : Features
        Matched to the ratings by item id: the order of its rows does not matter.
    user_features : Features, optional
        The profile, matched by user id.
    content_weight : float, at least 0
        Balance of the two parts: multiplies the item features. 0 leaves `SGDMF`.
    shared_weights : bool
        Whether F_u begins with the 1; without it and without `user_features` the model is the published one, p.q + w_u
        . C_i.
    the others : as in `SGDMF`

    Attributes
    ----------
    feature_weights_ (m, d), group_weights_ (f, d) : W, G
    item_table_ (n, d), user_table_ (m, f) : C and F as fitted, sparse
    the others : as in `SGDMF`
    """

    _not_negative = ("reg", "decay", "content_weight")
    _space = SGDMF._space | {"content_weight": Range(0.2, 3.0, log=True, unit="times the features")}

    def __init__(self, item_features=None, user_features=None, content_weight=1.0, shared_weights=True, n_factors=20,
                 reg=0.02, learning_rate=0.01, n_epochs=200, batch_size=1, schedule="constant", decay=0.0, clip=None,
                 patience=5, validation_size=0.1, init="random", init_scale=0.01, random_state=0,
                 progress=False):  # fmt: skip
        super().__init__(n_factors, reg, learning_rate, n_epochs, batch_size, schedule, decay, clip, patience,
                         validation_size, init, init_scale, random_state, progress)  # fmt: skip
        self.item_features = item_features
        self.user_features = user_features
        self.content_weight = content_weight
        self.shared_weights = shared_weights

    def _prepare(self, ratings, rng):
        super()._prepare(ratings, rng)
        self.item_table_ = self.content_weight * self._item_table(ratings)
        self.item_table_.eliminate_zeros()  # content_weight=0 leaves nothing known
        self.user_table_ = self._user_table(ratings)
        shapes = (ratings.n_users, self.item_table_.shape[1]), (self.user_table_.shape[1], self.item_table_.shape[1])
        check_memory(shapes[0], "one weight for each user and feature (features.reduced() has fewer)")
        self.feature_weights_, self.group_weights_ = np.zeros(shapes[0]), np.zeros(shapes[1])

    def _user_table(self, ratings):
        columns = [sp.csr_array(np.ones((ratings.n_users, int(self.shared_weights))))]
        if self.user_features is not None:
            columns.append(self._rows_of("user_features", ratings.user_ids))
        return sp.csr_array(sp.hstack(columns))

    @property
    def _weights(self):
        return self.feature_weights_, self.group_weights_

    @property
    def _tables(self):
        return self.item_table_, self.user_table_

    @property
    def _unknown_users(self):
        return self.cold_users_ & (np.diff(self.user_table_.indptr) <= int(self.shared_weights))  # no profile either

    def _shared_taste(self, row):
        """What people like this viewer share; of somebody new only the 1 of their profile is known."""
        if row is None:
            return self.group_weights_[0] if self.shared_weights else 0.0
        return (self.user_table_[[row]] @ self.group_weights_)[0]

    def _trained_row(self, row):
        return np.concatenate([self.user_factors_[row], super()._trained_row(row)])

    def _half(self, axis, at, features=None):
        reg = self._penalties(len(at))[0]
        if axis == 1:
            offset, blocks, penalty = super()._half(axis, at)
            tastes = self.feature_weights_ + self.user_table_ @ self.group_weights_
            return offset + tastes @ self._new_item(features), blocks, penalty
        C = self.item_table_
        offset = self.global_mean_ + self.item_bias_ + C @ np.broadcast_to(self._shared_taste(None), C.shape[1])
        touched = np.bincount(C[at].indices, minlength=C.shape[1])  # only the weights of features that were met
        penalty = [np.full(self.n_factors, reg), self.reg * np.maximum(touched, 1), [reg]]
        return offset, (self.item_factors_, C, np.ones((len(offset), 1))), np.concatenate(penalty)

    def _all_scores(self, rows):
        tastes = self.feature_weights_[rows] + self.user_table_[rows] @ self.group_weights_
        return super()._all_scores(rows) + (self.item_table_ @ tastes.T).T

    def _filled(self, rows, cols):
        return self._scores(rows, cols), self._lost(rows, cols)  # what is cold has weights 0: no other fallback needed

    def _row_scores(self, rows):
        return self._all_scores(rows)


class ContentOnly(_ContentModel):
    """What the titles are about, and nothing else: a ridge regression for each viewer on the features of their titles.

    Objective: sum (A - mu - b_u - w_u . C_i)^2 + reg (b_u^2 + |w_u|^2) for each viewer on their own: convex, solved by
    scikit-learn's ridge regression. Other viewers' ratings matter only through mu.

    Parameters
    ----------
    item_features : Features
    reg : float, above 0

    Attributes
    ----------
    user_bias_ (m,), feature_weights_ (m, d)
    certificate_ : Certificate
        The objective is 2 reg-strongly convex, so its gap is at most |gradient|^2 / (4 reg).
    """

    _positive = ("reg",)
    _space = {"reg": IMAGINARY}

    def __init__(self, item_features=None, reg=1.0):
        self.item_features = item_features
        self.reg = reg

    def _fit(self, ratings, validation=None):
        self.item_table_ = C = self._item_table(ratings)
        check_memory((ratings.n_users, C.shape[1]), "one weight for each user and feature")
        self.feature_weights_ = np.zeros((ratings.n_users, C.shape[1]))
        with_one = sp.csr_array(sp.hstack([C, np.ones((C.shape[0], 1))]))  # the bias is the weight on a constant
        table = ratings.csr
        for u in np.flatnonzero(np.diff(table.indptr)):
            known = slice(table.indptr[u], table.indptr[u + 1])
            target = table.data[known] - self.global_mean_
            weights = ridge_regression(with_one[table.indices[known]], target, self.reg, solver="cholesky")
            self.feature_weights_[u], self.user_bias_[u] = weights[:-1], weights[-1]
        self.certificate_ = self._certify(ratings)

    def _half(self, axis, at, features=None):
        if axis == 1:  # the features are all that counts
            offset = self.global_mean_ + self.user_bias_ + self.feature_weights_ @ self._new_item(features)
            return offset, (np.zeros((len(offset), 0)),), np.zeros(0)
        C = self.item_table_
        blocks = C, np.ones((C.shape[0], 1))
        return np.full(C.shape[0], self.global_mean_), blocks, np.full(C.shape[1] + 1, float(self.reg))

    def _certify(self, ratings):
        left = ratings.values - self._scores(ratings.rows, ratings.cols)
        R = sp.csr_array((left, (ratings.rows, ratings.cols)), shape=ratings.shape)
        W, b = self.feature_weights_, self.user_bias_
        half_W, half_b = self.reg * W - R @ self.item_table_, self.reg * b - R.sum(axis=1)  # half the gradient
        primal = left @ left + self.reg * (np.vdot(W, W) + b @ b)
        return Certificate(float(primal), float(primal - ((np.square(half_W)).sum() + half_b @ half_b) / self.reg))

    def _scores(self, rows, cols):
        base = self.global_mean_ + self.user_bias_[rows]
        return base + self.item_table_[cols].multiply(self.feature_weights_[rows]).sum(axis=1)

    def _all_scores(self, rows):
        return self.global_mean_ + self.user_bias_[rows, None] + (self.item_table_ @ self.feature_weights_[rows].T).T


# ---- The convex pair: spectral regularization, and the nuclear norm as its limit -------------------------------------


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

    _space = {
        "reg": Range(0.5, 50.0, log=True, unit="rating points off each singular value"),
        "bias_reg": IMAGINARY,
    }

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

    def _fit(self, ratings, validation=None):
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
    reg = 0.0  # the limit: of all factors that repeat the ratings, those of least norm

    def __init__(self, n_epochs=20_000, tol=1e-6, solver="splitting", progress=False):
        self.n_epochs = n_epochs
        self.tol = tol
        self.solver = solver
        self.progress = progress

    def _fit(self, ratings, validation=None):
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


# ---- Two models mixed ------------------------------------------------------------------------------------------------


class Blend(Recommender):
    """A convex mix of two models: weight * first + (1 - weight) * second, cell by cell.

    The weight minimises the squared error on the validation part, sum (A - weight a - (1 - weight) b)^2 over [0, 1],
    which has a closed form; ratings that either model was fitted to would favour the one that remembers better.

    Parameters
    ----------
    first, second : Recommender
        Cloned and fitted to the training ratings; with `prefit`, two fitted models taken as they are.
    weight : float in [0, 1], optional
        None: chosen as above.
    prefit : bool
        A clone of such a blend has two models that are not fitted, so it cannot be compared by `evaluate`.
    validation_size, random_state : as in `SGDMF`, where `fit` is given no validation part and the weight is not fixed.

    Attributes
    ----------
    first_, second_ : the fitted models
    weight_ : float
    """

    _positive = ("validation_size",)

    def __init__(self, first=None, second=None, weight=None, prefit=False, validation_size=0.1, random_state=0):
        self.first = first
        self.second = second
        self.weight = weight
        self.prefit = prefit
        self.validation_size = validation_size
        self.random_state = random_state

    def _fit(self, ratings, validation=None):
        for name in ("first", "second"):
            model = getattr(self, name)
            if not isinstance(model, Recommender) or model.score_name != "predicted_rating":
                raise TypeError(f"{name} must be a model that predicts ratings, got {model!r}.")
        if self.weight is not None:
            check_number("weight", self.weight)
            if self.weight > 1:
                raise ValueError(f"weight is a share between 0 and 1, got {self.weight}.")
        elif validation is None and self.prefit:
            raise ValueError(
                "fitted models need a validation part that neither has learnt from: fit(train, validation)."
            )
        elif validation is None:
            ratings, validation = _set_aside(ratings, self.validation_size, self.random_state, "fix the weight")
        if self.prefit:
            for model in (self.first, self.second):
                if not model._fitted().same_universe(ratings):
                    raise ValueError(f"{model} was fitted to a table with other users or items than {ratings}.")
        pair = (self.first, self.second)
        pair = pair if self.prefit else [clone(model).fit(ratings, validation) for model in pair]
        self.first_, self.second_ = pair
        self.weight_ = float(self._best_weight(validation) if self.weight is None else self.weight)

    @property
    def n_parameters_(self):
        self._fitted()
        return self.first_.n_parameters_ + self.second_.n_parameters_ + 1  # and the weight

    def _best_weight(self, validation):
        a, b = (model.predict_cells(validation.rows, validation.cols) for model in (self.first_, self.second_))
        apart = (a - b) @ (a - b)
        return np.clip((validation.values - b) @ (a - b) / apart, 0.0, 1.0) if apart > 0 else 1.0

    def _mix(self, a, b):
        return self.weight_ * a + (1 - self.weight_) * b

    def _filled(self, rows, cols):
        (a, lost_a), (b, lost_b) = self.first_._filled(rows, cols), self.second_._filled(rows, cols)
        return self._mix(a, b), lost_a & lost_b

    def _row_scores(self, rows):
        return self._mix(self.first_._row_scores(rows), self.second_._row_scores(rows))

    def _fold(self, axis, at, values, features=None):
        first, second = (model._fold(axis, at, values, features) for model in (self.first_, self.second_))
        blocks = (
            *(self.weight_ * block for block in first.blocks),
            *((1 - self.weight_) * block for block in second.blocks),
        )
        solve = np.vstack([first.solve * first.target, second.solve * second.target])
        return _Fold(self._mix(first.offset, second.offset), blocks, solve, np.ones(len(at)))


# ---- A list for somebody new: fold-in, reasons, and the list as it is shown ------------------------------------------


@dataclass(frozen=True)
class _Fold:
    """One new viewer's (or title's) regression on what a model knows of the other side, Z, given in blocks of columns.

    Prediction: offset + Z x with x = solve @ target, so each rating's part in it can be told: Z (solve * target).
    `variance(z)` is what the ratings leave open about z.x, in units of the variance of one rating.
    """

    offset: np.ndarray
    blocks: tuple
    solve: np.ndarray
    target: np.ndarray
    variance: object = None

    def rows(self, at):
        """Dense rows of Z."""
        chosen = [block[at] for block in self.blocks]
        return np.hstack([part.toarray() if sp.issparse(part) else part for part in chosen])

    def scores(self):
        x, total = self.solve @ self.target, self.offset.copy()
        for block in self.blocks:
            total += block @ x[: block.shape[1]]
            x = x[block.shape[1] :]
        return total


def _ridge_fold(offset, blocks, penalty, at, values):
    """argmin over x of sum (values - offset - Z x)^2 + sum penalty x^2 over the ratings at the positions `at`.

    x = (Z'Z + D)^-1 Z' t; where there are fewer ratings than columns the same by D^-1 Z' (Z D^-1 Z' + I)^-1 t; without
    a penalty the solution of least norm.
    """
    fold = _Fold(offset, blocks, None, values - offset[at])
    Z = fold.rows(at)
    if not penalty.all():
        return replace(fold, solve=np.linalg.pinv(Z, rtol=np.finfo(float).eps * max(Z.shape)))
    spread = Z / penalty  # Z D^-1
    if len(Z) < Z.shape[1]:
        solve = np.linalg.solve(spread @ Z.T + np.eye(len(Z)), spread).T
        variance = lambda z: (z**2 / penalty).sum(axis=1) - ((z @ solve) * (z @ spread.T)).sum(axis=1)  # noqa: E731
    else:
        gram = Z.T @ Z + np.diag(penalty)
        solve = np.linalg.solve(gram, Z.T)
        variance = lambda z: (z * np.linalg.solve(gram, z.T).T).sum(axis=1)  # noqa: E731
    return replace(fold, solve=solve, variance=variance)


class _Newcomer:
    """Somebody, or something, with ratings of their own, as a fitted model sees them.

    `at` and `values` are the positions and ratings given, `scores` a prediction for every position of the other side.
    """

    _axis = 0  # 0: a viewer who meets titles; 1: a title that meets viewers

    def __init__(self, model, at, values, row=None, features=None):
        self.model, self.at, self.values, self.row = model, at, values, row
        self._fold = model._fold(self._axis, at, values, features)
        self.scores = self._fold.scores() if row is None else model._row_scores(np.array([row]))[0]

    def __repr__(self):
        return f"{type(self).__name__}({len(self.at)} ratings, seen by {self.model!r})"

    def _others(self, ids):
        ratings = self.model.ratings_
        return ratings.user_rows(ids) if self._axis else ratings.item_cols(ids)

    def predict(self, ids):
        """Predictions, one for each of `ids` of the other side; rating points, unclipped, if the model gives these."""
        return self.scores[self._others(ids)]

    def uncertainty(self, ids, of_a_rating=False):
        """Standard deviation of each prediction, rating points: what so few ratings leave open about the newcomer.

        The penalty says how far tastes spread before a rating is known, and each rating narrows it down:
        noise_ sqrt(z' (Z'Z + D)^-1 z). With `of_a_rating` the noise of a single rating is added. That the other side is
        an estimate too is left out, so the true uncertainty is larger.
        """
        noise = self.model.noise_
        unknown = self._fold.variance(self._fold.rows(self._others(ids)))
        return noise * np.sqrt(np.maximum(unknown, 0.0) + of_a_rating)

    def explain(self, other, n=None):
        """Where the prediction for one id of the other side comes from: parts that sum to it (reason, rating,
        contribution).

        First the mean and the bias of the other side; then what each own rating contributes, the largest first (those
        after the n-th in one row); last, for a viewer of the training part, what a descent has learnt beyond the
        regression on these ratings.
        """
        ratings, at = self.model.ratings_, self._others(other)[0]
        names = ratings.user_ids.astype(str) if ratings.user_names is None else ratings.user_names
        labels = (names if self._axis else ratings.item_labels)[self.at].tolist()
        parts = (self._fold.rows([at]) @ (self._fold.solve * self._fold.target))[0]
        start = self._fold.offset[at]
        own = list(zip(labels, self.values.tolist(), parts.tolist(), strict=True))
        rest = self.scores[at] - start - parts.sum()
        return _reasons(
            self.model._start_parts(start, self._axis), own, {"the rest of the training": rest}, n, "ratings"
        )


def _reasons(head, own, tail, n, word):
    """The parts of a prediction as a table; of `own` (reason, rating, contribution) the `n` largest, and their rest."""
    own = sorted(own, key=lambda part: -abs(round(part[2], TIE)))
    if n is not None and len(own) > n:
        check_number("n", n, whole=True)
        own[n:] = [(f"{len(own) - n} other {word}", np.nan, sum(part for _, _, part in own[n:]))]
    head, tail = ([(name, np.nan, part) for name, part in side.items() if abs(part) > 1e-9] for side in (head, tail))
    return pd.DataFrame([*head, *own, *tail], columns=["reason", "rating", "contribution"])


class Viewer(_Newcomer):
    """A viewer as a fitted model sees them, made by `fold_in` (a few ratings) or `viewer` (of the training part).

    `scores` holds a prediction for every title, `at` and `values` the titles (positions) and ratings given, `seen` what
    else is not to be recommended.
    """

    seen = np.zeros(0, dtype=np.intp)

    def recommend(self, n=10, *, exclude=(), exclude_genres=(), genres=None, one_per_work=True, diversity=0.0,
                  similarity=None, uncertainty=False):  # fmt: skip
        """A list to choose from tonight: rank, item_id, title and the prediction; fewer rows where fewer are left.

        Parameters
        ----------
        n : int
        exclude : ids or titles to leave out, besides the rated ones
        exclude_genres, genres : names of genres to leave out, and the `load_genres` table that knows them
        one_per_work : bool
            Of the seasons and parts of one work (`series_of`) only the first of the list.
        diversity : float, at least 0
            Maximal marginal relevance: the next title is the one with the largest prediction less `diversity` times
            its largest cosine with those already listed. Rating points that a title loses for being another's twin.
        similarity : Features, optional
            What the cosine is taken of; default: the model's item factors.
        uncertainty : bool
            Also a column with `uncertainty(item_id)`.

        Reference: The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries, SIGIR
        1998; there both terms have weights that sum to one, here the unit is the rating point.
        """
        check_number("n", n, low=1, whole=True)
        check_number("diversity", diversity)
        ratings = self.model.ratings_
        left = np.ones(ratings.n_items, dtype=bool)
        left[self.at] = left[self.seen] = False
        left[[ratings.item_cols(ratings.item_id(item))[0] for item in exclude]] = False
        left &= ~_of_genres(exclude_genres, genres, ratings)
        vectors = _unit_rows(_item_vectors(self.model, similarity)) if diversity > 0 else None
        order = np.array(
            self._pick(left, n, ratings.series if one_per_work else None, diversity, vectors), dtype=np.intp
        )
        columns = {"rank": np.arange(1, len(order) + 1), "item_id": ratings.item_ids[order]}
        columns |= {"title": ratings.item_labels[order], self.model.score_name: self.scores[order]}
        if uncertainty:
            columns["uncertainty"] = self.uncertainty(ratings.item_ids[order]) if len(order) else np.zeros(0)
        return pd.DataFrame(columns)

    def _pick(self, left, n, works, diversity, vectors):
        """Positions, best first: greedy, one by one; ties go by position."""
        value, likeness, order = np.round(self.scores, TIE), np.zeros(len(left)), []
        left = left.copy()
        while len(order) < n and left.any():
            best = int(np.argmax(np.where(left, value - diversity * likeness, -np.inf)))
            order.append(best)
            left[best] = False
            if works is not None:
                left &= works != works[best]
            if diversity > 0:
                likeness = np.maximum(likeness, vectors @ vectors[best])
        return order

    def terms(self, item, n=None):
        """The same prediction by the words that the title is described with, for models with features."""
        return self.model._terms(self, self._others(item)[0], n)


class NewTitle(_Newcomer):
    """A title that a fitted model has not been trained on, as it sees it: made by `fold_in_item`."""

    _axis = 1

    def audience(self, n=10):
        """The `n` viewers with the highest predictions who have not rated it: rank, user_id and the prediction."""
        check_number("n", n, low=1, whole=True)
        ratings = self.model.ratings_
        value = -np.round(self.scores, TIE)
        value[self.at] = np.inf
        order = np.argsort(value, kind="stable")[: min(n, len(value) - len(self.at))]
        columns = {"rank": np.arange(1, len(order) + 1), "user_id": ratings.user_ids[order]}
        return pd.DataFrame(columns | {self.model.score_name: self.scores[order]})


def explain(model, viewer, title, n=None, by="ratings"):
    """Why this title: the parts that the prediction is the sum of, as a table (reason, rating, contribution).

    Parameters
    ----------
    model : fitted Recommender
    viewer : user id or name, or the `Viewer` that `model.fold_in` gave
    title : item id, or a title, or a part of it that no other title has
    n : int, optional
        Only the `n` reasons that contribute most; the others are one row, so the sum stays.
    by : "ratings" or "terms"
        What the viewer's own ratings contribute; or what the words that describe the title do, for models with
        features.
    """
    if by not in ("ratings", "terms"):
        raise ValueError(f"by must be 'ratings' or 'terms', got {by!r}.")
    if not isinstance(viewer, Viewer):
        viewer = model.viewer(viewer)
    elif viewer.model is not model:
        raise ValueError(f"this viewer was folded into another model: {viewer.model!r}, not {model!r}.")
    item = model.ratings_.item_id(title)
    return viewer.explain(item, n) if by == "ratings" else viewer.terms(item, n)


def _item_vectors(model, similarity):
    """Rows that a cosine of two items can be taken of."""
    if similarity is not None:
        return similarity.rows_for(model.ratings_.item_ids)
    factors = getattr(getattr(model, "model_", model), "item_factors_", np.zeros((0, 0)))
    if not factors.shape[1]:
        raise ValueError(f"{model!r} has no item factors to compare titles by; give similarity=, as of load_genres.")
    return factors


def _unit_rows(vectors):
    """Rows of length 1, dense; a row of zeros stays."""
    vectors = normalize(vectors)
    return vectors.toarray() if sp.issparse(vectors) else vectors


def _of_genres(names, genres, ratings):
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


# ---- Metrics, and models compared on the same splits -----------------------------------------------------------------


def errors(model, ratings, clip=False):
    """Prediction minus rating for each rating of the part, in rating points; `clip=True` clips to the scale first."""
    _need_rating_points(model)
    if len(ratings) == 0:
        raise ValueError("there is no rating to score: the part is empty.")
    if model._fitted().same_universe(ratings):
        predictions = model.predict_cells(ratings.rows, ratings.cols)
    else:
        predictions = model.predict(ratings.user_ids[ratings.rows], ratings.item_ids[ratings.cols])
    return (np.clip(predictions, *ratings.scale) if clip else predictions) - ratings.values


def _need_rating_points(model):
    if model.score_name != "predicted_rating":
        raise ValueError(f"{type(model).__name__} ranks: it gives a {model.score_name}, not rating points to score.")


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


def paired_differences(results, reference, metric="rmse_clipped", larger_is_better=False):
    """Each model minus the reference, split by split: mean difference and 95 % half width; `better` or `worse` only
    where the interval leaves 0 out. Models without this metric are left out."""
    results = results.dropna(subset=metric)
    if reference not in set(results["model"]):
        raise ValueError(f"reference {reference!r} is not among the models with {metric}: "
                         f"{sorted(set(results['model']))}.")  # fmt: skip
    table = results.pivot(index="split", columns="model", values=metric)
    n_train, n_test = results[["n_train", "n_test"]].iloc[0]
    rows = []
    for name in results["model"].drop_duplicates():
        mean, half = split_interval((table[name] - table[reference]).dropna(), n_train, n_test)
        won = (mean > 0) == larger_is_better
        verdict = "reference" if name == reference else "tie" if abs(mean) <= half else "better" if won else "worse"
        rows.append({"model": name, "difference": mean, "half_width": half, "verdict": verdict})
    return pd.DataFrame(rows).sort_values("difference", kind="stable", ignore_index=True)


def choose(candidates, train, validation, n_jobs=1):
    """The candidate with the smallest clipped validation RMSE (first on ties), fitted to `train`, and all the errors.

    The test part is not an argument: a choice that has seen it is not a choice.
    """
    fitted = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(clone(model).fit)(train, validation) for model in candidates)
    scores = [rmse(model, validation, clip=True) for model in fitted]
    return fitted[int(np.argmin(scores))], scores


@dataclass(frozen=True)
class Tuning:
    """What `tune` found: the model with the best settings, refitted, and the Optuna study with every trial."""

    model: "Recommender"
    study: object  # with `storage` it reads the file: later trials show in it too


def tune(model, ratings, validation=None, *, n_trials=30, space=None, score=rmse, n_folds=1, validation_size=0.2,
         sampler="tpe", prune=True, refit="all", storage=None, random_state=0, progress=False):  # fmt: skip
    """Choose a model's settings by the error on a validation part, with Optuna.

    A trial fits a clone of `model` with settings from `space` and takes the score of what it *keeps*: where the model
    goes by passes and stops early, that is its best pass, never the last one, and never the regularised loss. The first
    trial has the settings that `model` came with. A test part is not an argument.

    Parameters
    ----------
    model : Recommender, unfitted
    ratings, validation : Ratings
        The parts to learn from and to choose by.
    n_folds, validation_size : int, float
        Without `validation`: 1 sets a share `validation_size` of `ratings` aside at random, more is a cross-validation
        whose mean is a trial's score, at one number of passes for all folds: if each fold kept its own best pass,
        models that stop early would look better than they are. The same parts for all trials.
    n_trials : int
        Trials in the whole study, those of earlier runs among them.
    space : dict of name -> Range, optional
        Default: `model.search_space`. `PUBLISHED_SPACE` is the blog notebook's.
    score : function (fitted model, validation) -> number, smaller is better
    sampler : "tpe" or "random"
        Seeded for each trial on its own, so that a study that stops and goes on proposes what it would have proposed.
    prune : bool
        Give a trial up once it is worse than the median of the earlier ones after as many passes. A cross-validation is
        never cut short.
    refit : "all" or "train"
        What the model that is returned is fitted to: all ratings given, for as many passes as were best; or the
        training part alone, with the validation part to stop by.
    storage : path, optional
        An SQLite file that keeps the study. A run that was stopped goes on where it was: trials that were finished
        count, one that was not is tried again.

    Returns
    -------
    Tuning : model, study

    Raises
    ------
    ValueError : nothing to tune, a setting outside its range, a study in `storage` that was about something else, or no
    trial that could be scored.
    """
    optuna = _optuna()
    check_number("n_trials", n_trials, low=1, whole=True)
    check_number("random_state", random_state, whole=True)
    space = model.search_space if space is None else space
    default = _default_settings(model, space)
    if sampler not in ("tpe", "random") or refit not in ("all", "train"):
        raise ValueError(f"sampler is 'tpe' or 'random', refit 'all' or 'train'; got {sampler!r} and {refit!r}.")
    parts = [(ratings, validation)]
    if validation is None:
        parts = _inner_splits(ratings, n_folds, validation_size, random_state)
    about = {"model": repr(model), "space": str(space), "sampler": sampler, "random_state": str(random_state),
             "score": getattr(score, "__name__", str(score)),
             "ratings": [[part.fingerprint for part in pair] for pair in parts]}  # fmt: skip
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = _open_study(optuna, storage, about, default, prune)
        finished = [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]
        for number in tqdm(range(len(finished), n_trials), desc="trials", disable=not progress):
            seed = int(np.random.SeedSequence([random_state, number]).generate_state(1)[0])
            kinds = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
            study.sampler = kinds[sampler](seed=seed)
            _one_trial(optuna, study, model, space, parts, score)
    finally:
        optuna.logging.set_verbosity(verbosity)
    if not any(trial.state.name == "COMPLETE" for trial in study.trials):
        raise ValueError(f"none of {n_trials} trials could be scored: all diverged or were given up.")
    best = clone(model).set_params(**study.best_params)
    if refit == "train":
        return Tuning(best.fit(*parts[0]), study)
    if "patience" in best.get_params():
        best.set_params(patience=None, n_epochs=study.best_trial.user_attrs["n_epochs"])
    return Tuning(best.fit(ratings if validation is None else ratings.joined(validation)), study)


def _optuna():
    """Optuna, half a second to import: only for those who ask for it, and without its word about missing widgets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import optuna
    return optuna


def _default_settings(model, space):
    """The settings that a model comes with, if they lie in the space."""
    if not space:
        raise ValueError(f"{type(model).__name__} has no settings to tune.")
    values, known = model.get_params(deep=False), {}
    for name, r in space.items():
        if name not in values:
            raise ValueError(f"{type(model).__name__} has no setting {name!r}; it has {sorted(values)}.")
        if not r.low <= values[name] <= r.high:
            raise ValueError(f"the first trial is the model as given, but {name}={values[name]} lies outside "
                             f"{r.low:g} to {r.high:g}; change one of the two.")  # fmt: skip
        known[name] = values[name]
    return known


def _inner_splits(ratings, n_folds, validation_size, random_state):
    """One random split, or the folds of a cross-validation."""
    check_number("n_folds", n_folds, low=1, whole=True)
    if n_folds == 1:
        return [ratings.split_random(validation_size, random_state)]
    return ratings.split_folds(n_folds, random_state)


def _open_study(optuna, storage, about, default, prune):
    """A study in memory or in an SQLite file; an unfinished trial of an earlier run will be tried again."""
    url = None if storage is None else f"sqlite:///{Path(storage).resolve()}"
    pruner = optuna.pruners.MedianPruner(n_warmup_steps=10) if prune else optuna.pruners.NopPruner()
    study = optuna.create_study(study_name="tune", storage=url, load_if_exists=True, pruner=pruner)
    if not study.trials:
        for key, value in about.items():
            study.set_user_attr(key, value)
        study.enqueue_trial(default)
    for key, value in about.items():
        if study.user_attrs.get(key) != value:
            raise ValueError(f"{storage} holds a study with other {key}: {study.user_attrs.get(key)}, not {value}.")
    for trial in study.trials:
        if trial.state.name == "RUNNING":
            _try_again(optuna, study, trial.number, trial.params)
    return study


def _try_again(optuna, study, number, settings):
    study.tell(number, state=optuna.trial.TrialState.FAIL)
    if settings:
        study.enqueue_trial(settings)


def _one_trial(optuna, study, model, space, parts, score):
    trial = study.ask()
    settings = {name: r.suggest(trial, name) for name, r in space.items()}
    try:
        with warnings.catch_warnings(record=True) as said:  # thirty fits would say the same; a trial keeps it instead
            warnings.simplefilter("always")
            value, n_epochs = _value(optuna, trial, clone(model).set_params(**settings), parts, score)
    except (optuna.TrialPruned, DivergenceError) as reason:
        trial.set_user_attr("given up", "diverged" if isinstance(reason, DivergenceError) else "worse than the median")
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    except BaseException:  # Ctrl-C among them: the trial is not lost but tried again
        _try_again(optuna, study, trial.number, settings)
        raise
    else:
        trial.set_user_attr("warnings", sorted({str(warning.message) for warning in said}))
        trial.set_user_attr("n_epochs", n_epochs)
        study.tell(trial, value)


def _value(optuna, trial, model, parts, score):
    """(score of the settings, number of passes that it belongs to: 0 for models that keep their last)."""
    values, curves = [], []
    for train, validation in parts:
        watch = _watcher(optuna, trial, validation, score) if len(parts) == 1 else _whole_fits_only
        fitted = clone(model).fit(train, validation, watch)
        values.append(score(fitted, validation))
        curves.append([row["validation_rmse"] for row in fitted.history_ if "validation_rmse" in row])
    shortest = min(len(curve) for curve in curves)
    if (
        len(parts) > 1 and shortest and score is rmse
    ):  # one number of passes for all folds: its own best for each flatters
        curve = np.mean([curve[:shortest] for curve in curves], axis=0)
        return float(curve.min()), int(curve.argmin()) + 1
    return float(np.mean(values)), round(float(np.mean([np.argmin(curve) + 1 if curve else 0 for curve in curves])))


def _whole_fits_only(model, row):
    """Asks nothing of a fit but that Ctrl-C ends it: half a fit is no trial."""


def _watcher(optuna, trial, validation, score):
    """Reports the best score so far after each pass, and gives up a trial that the pruner has lost faith in."""
    best = np.inf

    def watch(model, row):
        nonlocal best
        known = score is rmse and "validation_rmse" in row
        best = min(best, row["validation_rmse"] if known else score(model, validation))
        trial.report(best, row["epoch"])
        if trial.should_prune():
            raise optuna.TrialPruned

    return watch


class Tuned(Recommender):
    """A model that chooses its own settings, and itself among several, from the training ratings alone.

    `fit` runs `tune` for every candidate, by cross-validation inside whatever it is given, and keeps the one with the
    smallest mean validation score, refitted to all of it. So `evaluate` and `compare` judge a whole procedure, choice
    included, on ratings that no part of it has seen: nested evaluation.

    Parameters
    ----------
    candidates : Recommender or dict of name -> Recommender
        One without settings to tune is only scored.
    n_trials, space, score, n_folds, validation_size, sampler, random_state : as in `tune`
        For a dict of candidates `space` is a dict too: the spaces of those that shall not search their own.

    Attributes
    ----------
    model_ : the chosen model, refitted
    chosen_ : str, its name
    scores_ : dict of name -> best mean validation score
    """

    _positive = ("validation_size",)
    _whole = ("n_trials", "n_folds")

    def __init__(self, candidates=None, n_trials=20, space=None, score=rmse, n_folds=5, validation_size=0.2,
                 sampler="tpe", random_state=0):  # fmt: skip
        self.candidates = candidates
        self.n_trials = n_trials
        self.space = space
        self.score = score
        self.n_folds = n_folds
        self.validation_size = validation_size
        self.sampler = sampler
        self.random_state = random_state

    def _fit(self, ratings, validation=None):
        candidates = self.candidates if isinstance(self.candidates, dict) else {"model": self.candidates}
        strange = [name for name, model in candidates.items() if not isinstance(model, Recommender)]
        if strange or not candidates:
            raise TypeError(f"candidates must be a model or a dict of models, got {self.candidates!r}.")
        spaces = self.space or {} if isinstance(self.candidates, dict) else {"model": self.space}
        if set(spaces) - set(candidates):
            raise ValueError(f"space names {sorted(set(spaces) - set(candidates))}, which are no candidates.")
        found = {name: self._tuned(model, ratings, spaces.get(name)) for name, model in candidates.items()}
        self.scores_ = {name: float(value) for name, (_, value) in found.items()}
        self.chosen_ = min(self.scores_, key=self.scores_.get)
        self.model_ = found[self.chosen_][0]

    def _tuned(self, model, ratings, space):
        """(model refitted with its best settings, its mean validation score)."""
        inner = {"n_folds": self.n_folds, "validation_size": self.validation_size, "random_state": self.random_state}
        space = model.search_space if space is None else space
        if not space:
            values = [self.score(clone(model).fit(*parts), parts[1]) for parts in _inner_splits(ratings, **inner)]
            return clone(model).fit(ratings), np.mean(values)
        tuning = tune(model, ratings, n_trials=self.n_trials, space=space, score=self.score, sampler=self.sampler,
                      **inner)  # fmt: skip
        return tuning.model, tuning.study.best_value

    def save(self, path):
        """Write the chosen model; what else was tried is not kept."""
        self._fitted()
        self.model_.save(path)

    @property
    def n_parameters_(self):
        self._fitted()
        return self.model_.n_parameters_

    @property
    def certificate_(self):
        self._fitted()
        return getattr(self.model_, "certificate_", None)

    def _filled(self, rows, cols):
        return self.model_._filled(rows, cols)

    def _row_scores(self, rows):
        return self.model_._row_scores(rows)

    def _fold(self, axis, at, values, features=None):
        return self.model_._fold(axis, at, values, features)

    def _terms(self, viewer, col, n):
        return self.model_._terms(viewer, col, n)


def frequent_titles(models, n=10):
    """How many viewers' top-n lists each title enters, for every fitted model of a dict, most frequent first."""
    counts = {name: model.recommend_all(n).groupby(["item_id", "title"]).size() for name, model in models.items()}
    table = pd.DataFrame(counts).fillna(0).astype(int)
    table["all models"] = table.sum(axis=1)
    return table.sort_values("all models", ascending=False, kind="stable").reset_index()


# ---- Ranking: lists instead of ratings -------------------------------------------------------------------------------

RANKING_METRICS = ("precision", "recall", "ndcg", "average_precision", "hit")
PROTOCOLS = ("rated_only", "full_catalogue")


def top_lists(model, test, n=10, protocol="full_catalogue", also_seen=None):
    """(m, n) positions of the items that `model` puts first for each user, best first; -1 where a list is shorter.

    protocol "rated_only" orders just the items that the user rated in `test` (an easy game: nothing else can be
    listed); "full_catalogue" orders every item that the user has not rated in training or in `also_seen` (give the
    validation part). Ties go by item position.
    """
    check_number("n", n, low=1, whole=True)
    _check_protocol(model, test, protocol)
    if protocol == "full_catalogue":
        return model._top_items(np.arange(test.n_users), n, also_seen)
    scores = np.round(model._filled(test.rows, test.cols)[0], TIE)
    order = np.lexsort((test.cols, -scores, test.rows))
    counts = np.bincount(test.rows, minlength=test.n_users)
    rank = np.arange(len(test)) - np.repeat(np.cumsum(counts) - counts, counts)
    lists = np.full((test.n_users, n), -1)
    first = order[rank < n]
    lists[test.rows[first], rank[rank < n]] = test.cols[first]
    return lists


def _check_protocol(model, test, protocol):
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {PROTOCOLS}, got {protocol!r}; their figures cannot be compared.")
    if not model._fitted().same_universe(test):
        raise ValueError("test must have the users and items of the training ratings, as parts of one table do.")


def ranking_metrics(lists, test, threshold):
    """Precision, recall, NDCG, average precision and hit of each user's list: one row for every user who has a relevant
    item, one that they rated `threshold` or better in `test`; the others have no right answer and are left out.

    With n the length asked for and r the user's number of relevant items: precision = hits / n (also where fewer than n
    items could be listed), recall = hits / r, NDCG = sum over hits of 1 / log2(rank + 1), divided by the same sum over
    ranks 1..min(r, n) (gains 0 or 1), average precision = mean over ranks of hits of the precision so far, out of
    min(r, n); hit = any.
    """
    n = lists.shape[1]
    relevant = sp.csr_array((test.values >= threshold, (test.rows, test.cols)), shape=test.shape)
    r = relevant.sum(axis=1).astype(int)
    users = np.flatnonzero(r)
    if len(users) == 0:
        raise ValueError(f"no user rated anything {threshold:g} or better in {test}; lower the threshold.")
    lists, r = lists[users], r[users]
    hits = np.zeros(lists.shape)
    listed = lists >= 0
    hits[listed] = relevant[np.broadcast_to(users[:, None], lists.shape)[listed], lists[listed]]
    rank = np.arange(1, n + 1)
    gains = 1 / np.log2(rank + 1)
    possible = np.minimum(r, n)
    columns = {"user_id": test.user_ids[users], "precision": hits.sum(axis=1) / n, "recall": hits.sum(axis=1) / r,
               "ndcg": hits @ gains / np.cumsum(gains)[possible - 1],
               "average_precision": (hits * np.cumsum(hits, axis=1) / rank).sum(axis=1) / possible,
               "hit": hits.any(axis=1).astype(float)}  # fmt: skip
    return pd.DataFrame(columns)


def _random_and_ceiling(test, n_candidates, n, threshold):
    """The same metrics, exactly: expected over all orders of each user's candidates, and of the best possible order."""
    r = np.bincount(test.rows[test.values >= threshold], minlength=test.n_users)
    users = np.flatnonzero(r)
    r, N = r[users], n_candidates[users]
    rank = np.arange(1, n + 1)
    there = rank <= N[:, None]  # ranks that this user's list has
    gains, possible = 1 / np.log2(rank + 1), np.minimum(r, n)
    ideal = np.cumsum(gains)[possible - 1]
    share, rest = r / N, (r - 1) / np.maximum(N - 1, 1)  # that an item is relevant; another one, given that
    precision_there = (1 + (rank - 1) * rest[:, None]) / rank
    miss = scipy.stats.hypergeom.pmf(0, N, r, np.minimum(n, N))
    chance = {"precision": share * there.sum(axis=1) / n, "recall": there.sum(axis=1) / N,
              "ndcg": share * (there @ gains) / ideal,
              "average_precision": share * (there * precision_there).sum(axis=1) / possible,
              "hit": 1 - miss}  # fmt: skip
    best = {"precision": possible / n, "recall": possible / r} | dict.fromkeys(RANKING_METRICS[2:], np.ones(len(r)))
    rows = {"random": chance, "ceiling": best}
    return [pd.DataFrame({"model": name, "user_id": test.user_ids[users]} | row) for name, row in rows.items()]


def rank_models(models, test, threshold, n=10, protocol="full_catalogue", also_seen=None):
    """`ranking_metrics` of each fitted model of a dict, with the rows any ranking must be read against.

    Returns
    -------
    DataFrame : one row per model and user: model, user_id and the five metrics. Added are `popularity` (fitted to the
    same training ratings), `random` (the expected value over all orders, exact) and `ceiling` (the best order there
    is). `attrs` keeps protocol, n, threshold and the number of users left out for want of a relevant item. `also_seen`
    matters to the full catalogue only.
    """
    train = next(iter(models.values()))._fitted()
    strange = [name for name, model in models.items() if model._fitted().fingerprint != train.fingerprint]
    if strange:
        raise ValueError(f"models to compare must be fitted to the same ratings; {strange} were fitted to others.")
    taken = sorted({"random", "popularity", "ceiling"} & set(models))
    if taken:
        raise ValueError(f"{taken} are rows that are added to every table; name these models otherwise.")
    models = models | {"popularity": Popularity().fit(train)}
    tables = []
    for name, model in models.items():
        table = ranking_metrics(top_lists(model, test, n, protocol, also_seen), test, threshold)
        table.insert(0, "model", name)
        tables.append(table)
    n_candidates = np.bincount(test.rows, minlength=test.n_users)
    if protocol == "full_catalogue":
        seen = train.known if also_seen is None else train.known + also_seen.known
        n_candidates = test.n_items - np.diff(seen.indptr)
        lost = seen.multiply(test.known).nnz
        if lost:
            raise ValueError(
                f"no list can hold {lost} of the {len(test)} test ratings: training or also_seen has them."
            )
    results = pd.concat(tables + _random_and_ceiling(test, n_candidates, n, threshold), ignore_index=True)
    left_out = test.n_users - results["user_id"].nunique()
    results.attrs |= {"protocol": protocol, "n": n, "threshold": threshold, "users_left_out": int(left_out)}
    return results


def rank_summary(results, normalised=("precision", "recall")):
    """Means over users, one row per model, and (score - random) / (ceiling - random) of some metrics: 0 is chance, 1
    the best possible order, whatever the protocol makes easy."""
    table = results.groupby("model", sort=False)[list(RANKING_METRICS)].mean()
    for metric in normalised:
        chance, best = table.loc["random", metric], table.loc["ceiling", metric]
        table[f"{metric}_normalised"] = (table[metric] - chance) / (best - chance) if best > chance else np.nan
    return table.reset_index()


def rank_differences(results, reference, metric="ndcg", n_boot=2000, random_state=0, level=0.95):
    """Each model minus the reference, user by user: mean difference and a bootstrap interval over users; `better` or
    `worse` only where the interval leaves 0 out."""
    table = results.pivot(index="user_id", columns="model", values=metric)
    if reference not in table:
        raise ValueError(f"reference {reference!r} is not among the models {sorted(table)}.")
    draws = np.random.default_rng(random_state).integers(0, len(table), (n_boot, len(table)))
    rows = []
    for name in results["model"].drop_duplicates():
        difference = (table[name] - table[reference]).to_numpy()
        low, high = np.quantile(difference[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
        verdict = "reference" if name == reference else "better" if low > 0 else "worse" if high < 0 else "tie"
        rows.append({"model": name, "difference": difference.mean(), "low": low, "high": high, "verdict": verdict})
    return pd.DataFrame(rows).sort_values("difference", ascending=False, kind="stable", ignore_index=True)


def list_metrics(lists, train, features=None):
    """What a set of lists is like, whoever likes it: coverage, novelty, and diversity where features are given.

    coverage : share of the catalogue that enters some list.
    novelty : mean of -log2(share of the training users who rated the item), bits; for an item that nobody rated, as if
        one had.
    diversity : mean over lists of the mean 1 - cosine between the features of two of its items; 1 where one has none.
    """
    listed = lists[lists >= 0]
    if len(listed) == 0:
        raise ValueError("the lists are empty.")
    counts = np.maximum(np.bincount(train.cols, minlength=train.n_items), 1)
    found = {"coverage": len(np.unique(listed)) / train.n_items,
             "novelty": float(-np.log2(counts[listed] / train.n_users).mean())}  # fmt: skip
    if features is not None:
        found["diversity"] = _diversity(lists, features.rows_for(train.item_ids))
    return found


def _diversity(lists, C):
    """Mean over lists of 1 - the mean cosine of two items; |sum of unit rows|^2 is the sum of all cosines of a list."""
    norms = np.sqrt(C.multiply(C).sum(axis=1))
    unit = sp.diags_array(1 / np.where(norms > 0, norms, 1.0)) @ C
    users, ranks = np.nonzero(lists >= 0)
    held = sp.csr_array((np.ones(len(users)), (users, lists[users, ranks])), shape=(len(lists), C.shape[0]))
    together = held @ unit
    cosines = together.multiply(together).sum(axis=1) - held @ (norms > 0)  # without each item's own with itself
    length = held.sum(axis=1)
    several = length > 1
    return float(np.mean(1 - cosines[several] / (length * (length - 1))[several])) if several.any() else np.nan


# ---- The comparison: everything about every model, on the same splits ------------------------------------------------


def compare(models, ratings, threshold, n=10, features=None, n_splits=20, test_size=0.2, random_state=0, n_jobs=1,
            progress=False):  # fmt: skip
    """Fit each model on the same random splits and measure all that can be said about it.

    Parameters
    ----------
    models : dict of name -> unfitted Recommender
        One that fails on some split keeps its row, with the reason in `error`; the others are not concerned.
    ratings : Ratings
    threshold : float
        A held-out title is relevant to its viewer where it was rated so or better, rating points.
    n : int
        Length of the lists.
    features : Features, optional
        Of the items, for the diversity of the lists.
    n_splits, test_size, random_state : as in `evaluate`.
    n_jobs : int
        Pairs of a model and a split, run side by side; apart from `fit_seconds` the numbers do not depend on it.

    Returns
    -------
    DataFrame : one row per model and split; `comparison` makes one row per model of it.
        train_rmse, rmse, mae (raw), rmse_clipped, mae_clipped : rating points; missing for models that only rank.
        ndcg, recall : of the full-catalogue lists, mean over users with a relevant item.
        coverage, novelty, diversity : see `list_metrics`.
        stability : share of a user's list that is also in their list from another split, mean over users and splits.
        rated_precision : of the rated-only lists.
        cold, fit_seconds, n_parameters, relative_gap, error, n_train, n_test.
    Rows `random` (expected, exact) and `ceiling` have ranking figures only; `popularity` is always among the models.
    """
    check_number("n_splits", n_splits, low=2, whole=True)
    taken = sorted({"random", "ceiling"} & set(models))
    if taken:
        raise ValueError(f"{taken} are rows that are added to every table; name these models otherwise.")
    models = {"popularity": Popularity()} | models
    seeds = np.random.SeedSequence(random_state).generate_state(n_splits).tolist()
    parts = [ratings.split_random(test_size, seed) for seed in seeds]
    if not all((test.values >= threshold).any() for _, test in parts):
        raise ValueError(
            f"on some split no user rated anything {threshold:g} or better in {ratings}; lower the threshold."
        )
    jobs = [(name, split) for split in range(n_splits) for name in models]
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    measured = parallel(joblib.delayed(_measure)(models[name], *parts[at], threshold, n, features) for name, at in jobs)
    rows, lists = [], {}
    for (name, split), (row, top) in zip(jobs, tqdm(measured, total=len(jobs), disable=not progress), strict=True):
        rows.append({"model": name, "split": split} | row)
        lists.setdefault(name, {})[split] = top
    for row in rows:
        others = [top for split, top in lists[row["model"]].items() if split != row["split"] and top is not None]
        own = lists[row["model"]][row["split"]]
        row["stability"] = np.mean([_overlap(own, other) for other in others]) if own is not None and others else np.nan
    for split, (train, test) in enumerate(parts):
        rows += [{"split": split} | row for row in _chance_and_best(train, test, threshold, n)]
    return pd.DataFrame(rows)


def _measure(model, train, test, threshold, n, features):
    """(figures, full-catalogue lists) of one model on one split; (the error, None) where it fails."""
    row = {"error": "", "n_train": len(train), "n_test": len(test)}
    try:
        start = time.perf_counter()
        fitted = clone(model).fit(train)
        row["fit_seconds"] = time.perf_counter() - start
        if fitted.score_name == "predicted_rating":
            row |= {"train_rmse": rmse(fitted, train), "rmse": rmse(fitted, test), "cold": fitted.n_fallback_,
                    "rmse_clipped": rmse(fitted, test, clip=True), "mae": mae(fitted, test),
                    "mae_clipped": mae(fitted, test, clip=True)}  # fmt: skip
        lists = top_lists(fitted, test, n)
        found = ranking_metrics(lists, test, threshold)[["ndcg", "recall"]].mean()
        rated = ranking_metrics(top_lists(fitted, test, n, "rated_only"), test, threshold)["precision"].mean()
        certificate = getattr(fitted, "certificate_", None)
        row |= dict(found) | list_metrics(lists, train, features) | {"rated_precision": rated}
        row |= {"n_parameters": fitted.n_parameters_, "chosen": getattr(fitted, "chosen_", "")}
        row["relative_gap"] = np.nan if certificate is None else certificate.relative_gap
    except Exception as error:  # a model of somebody else may raise anything; it costs its row, not the run
        return {"error": f"{type(error).__name__}: {error}", "n_train": len(train), "n_test": len(test)}, None
    return row, lists


def _overlap(lists, others):
    """Share of each user's list that another list of theirs has too, mean over users."""
    n_items = 1 + max(lists.max(), others.max())
    tables = []
    for top in (lists, others):
        table = np.zeros((len(top), n_items), dtype=bool)
        rows, ranks = np.nonzero(top >= 0)
        table[rows, top[rows, ranks]] = True
        tables.append(table)
    listed = tables[0].sum(axis=1)
    return float(((tables[0] & tables[1]).sum(axis=1)[listed > 0] / listed[listed > 0]).mean())


def _chance_and_best(train, test, threshold, n):
    """The rows `random` and `ceiling` of one split."""
    unseen = test.n_items - np.diff(train.known.indptr)
    full = _random_and_ceiling(test, unseen, n, threshold)
    rated = _random_and_ceiling(test, np.bincount(test.rows, minlength=test.n_users), n, threshold)
    for catalogue, own in zip(full, rated, strict=True):
        figures = {"ndcg": catalogue["ndcg"].mean(), "recall": catalogue["recall"].mean()}
        figures["rated_precision"] = own["precision"].mean()
        yield {"model": catalogue["model"].iloc[0], "error": "", "n_train": len(train), "n_test": len(test)} | figures


def comparison(results):
    """`compare`'s rows as one row per model: means over the splits, best held-out error first, then by NDCG.

    `half_width` is that of the 95 % interval of `rmse_clipped` (see `split_interval`), `relative_gap` the largest,
    `failed` the number of splits that raised, and `error` what the first of them said.
    """
    means = ["train_rmse", "rmse", "rmse_clipped", "mae_clipped", "ndcg", "recall", "coverage", "novelty", "diversity",
             "stability", "rated_precision", "fit_seconds", "n_parameters"]  # fmt: skip
    rows = []
    for name, part in results.groupby("model", sort=False):
        row = {"model": name} | part.reindex(columns=means).mean().to_dict()
        scored = part["rmse_clipped"].dropna()
        sizes = part[["n_train", "n_test"]].iloc[0]
        row["half_width"] = split_interval(scored, *sizes)[1] if len(scored) > 1 else np.nan
        row["relative_gap"], failed = part["relative_gap"].max(), part.loc[part["error"] != "", "error"]
        rows.append(row | {"failed": len(failed), "error": failed.iloc[0] if len(failed) else ""})
    table = pd.DataFrame(rows).sort_values(["rmse_clipped", "ndcg"], ascending=[True, False], kind="stable")
    table.insert(4, "half_width", table.pop("half_width"))
    return table.reset_index(drop=True)


# ---- Saving and loading ----------------------------------------------------------------------------------------------

FORMAT_VERSION = 2
MODELS = (GlobalMean, Popularity, BiasBaseline, ItemKNN, ALS, ImplicitALS, GradientDescentMF, SGDMF, ContentMF,
          ContentOnly, SpectralRegularization, NuclearNorm, Blend)  # fmt: skip
_STORED = {kind.__name__: kind for kind in (Ratings, Features, Certificate, *MODELS)}


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
    """Write a fitted model to one compressed .npz: parameters, learnt numbers, ids, training ratings and their hash."""
    ratings, arrays = model._fitted(), {}
    about = {"format": FORMAT_VERSION, "model": type(model).__name__, "ratings": ratings.fingerprint}
    try:
        arrays["about"] = np.array(json.dumps(about | {"content": _pack(model, arrays)}))
    except TypeError as error:
        raise ValueError(f"a parameter cannot be saved ({error}); a random_state must be a whole number.") from error

    def write(temporary):
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    write_whole(path, write)


def _pack(value, arrays):
    """What JSON can hold of a value; its arrays go to `arrays`, and their names take their places."""
    if isinstance(value, np.ndarray):
        name = f"array {len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        return value.item()
    if sp.issparse(value):
        return {"sparse": [_pack(part, arrays) for part in (value.data, value.indices, value.indptr)],
                "shape": list(value.shape)}  # fmt: skip
    if isinstance(value, (tuple, list)):
        return {"tuple" if isinstance(value, tuple) else "list": [_pack(part, arrays) for part in value]}
    if isinstance(value, dict):
        return {"dict": {key: _pack(part, arrays) for key, part in value.items()}}
    if isinstance(value, Recommender):
        learnt = {name: part for name, part in vars(value).items() if name.endswith("_") or name == "_certificate"}
        state = value.get_params(deep=False) | learnt
    elif type(value).__name__ in _STORED:
        state = {part.name: getattr(value, part.name) for part in fields(value)}
    else:
        return value
    return {"kind": type(value).__name__, "state": {name: _pack(part, arrays) for name, part in state.items()}}


def _unpack(packed, arrays):
    """The inverse of `_pack`; only the kinds of `_STORED` are ever made."""
    if not isinstance(packed, dict):
        return packed
    if "array" in packed:
        return arrays[packed["array"]]
    if "sparse" in packed:
        return sp.csr_array(tuple(_unpack(part, arrays) for part in packed["sparse"]), shape=packed["shape"])
    for sequence in (tuple, list):
        if sequence.__name__ in packed:
            return sequence(_unpack(part, arrays) for part in packed[sequence.__name__])
    if "dict" in packed:
        return {key: _unpack(part, arrays) for key, part in packed["dict"].items()}
    kind, state = _STORED[packed["kind"]], {name: _unpack(part, arrays) for name, part in packed["state"].items()}
    if not issubclass(kind, Recommender):
        return kind(**state)
    model = kind(**{name: state.pop(name) for name in kind._get_param_names()})
    vars(model).update(state)
    return model


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
        model = _unpack(about["content"], arrays)
        found = model._fitted().fingerprint
    except Exception as error:
        raise ValueError(f"{name} is damaged or is not a saved model: {type(error).__name__}: {error}") from error
    if found != about["ratings"]:
        raise ValueError(f"{name} is damaged: its training ratings do not match their own hash.")
    if ratings is not None and ratings.fingerprint != about["ratings"]:
        raise ValueError(
            f"{name} was trained on other data: {model.ratings_}, not the given {ratings}; train it again."
        )
    return model


# ---- The command line: train everything, print the table and a list --------------------------------------------------


def course_models(item_features=None):
    """The course's models with the settings it published, and the ones that a fair comparison adds; all unfitted.

    With `item_features`, also `ContentMF`, which needs them.
    """
    models = {
        "global mean": GlobalMean(),
        "baseline": BiasBaseline(reg=5),
        "item neighbours": ItemKNN(),
        "ALS as published": ALS(n_factors=20, reg=0.1, n_epochs=1000, tol=0, init="ones"),
        "ALS with biases": ALS(n_factors=20, reg=8, biases=True, bias_reg=5),
        "spectral": SpectralRegularization(reg=5),
        "spectral with biases": SpectralRegularization(reg=8, biases=True, bias_reg=5),
        "nuclear norm": NuclearNorm(),
        "SGD": SGDMF(n_factors=10, reg=0.1, learning_rate=0.02, patience=20),
    }
    if item_features is not None:
        models["content"] = ContentMF(item_features, n_factors=10, reg=0.1, learning_rate=0.02, patience=20)
    return models


def main(arguments=None):
    """`python -m content_table`: the honest table of all models on a rating table, and one viewer's list."""
    parser = argparse.ArgumentParser(prog="content_table", description=main.__doc__)
    parser.add_argument(
        "--data", default=DATA / "100x100.csv", help="anything that load_ratings reads; default: the sample"
    )
    parser.add_argument("--features", help="a catalogue whose genres load_features reads; default: the sample's own")
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
        options.simulated = Path(options.data).resolve().is_relative_to(DATA)
        catalogue = options.features or (DATA / "catalogue.csv" if options.simulated else None)
        models = course_models(catalogue and load_features(catalogue, ratings, use=("genres",)))
        if options.save_weights:
            return _save_weights(models, ratings)
        user = _some_user(ratings) if options.viewer is None else ratings.user_id(options.viewer)
        _report(models, ratings, user, options)
    except (ValueError, KeyError, OSError, MemoryError) as error:
        message = error.args[0] if isinstance(error, KeyError) else error  # str(KeyError) would add quotes
        parser.exit(2, f"content_table: {message}\n")


def _some_user(ratings):
    busy = np.flatnonzero(np.bincount(ratings.rows, minlength=ratings.n_users) >= 25)
    return ratings.user_ids[busy[0] if len(busy) else 0]


def _save_weights(models, ratings):
    WEIGHTS.mkdir(exist_ok=True)
    for name, model in tqdm(models.items(), desc="training"):
        model.fit(ratings).save(WEIGHTS / f"{name.replace(' ', '_')}.npz")
    print(f"{len(models)} models in {WEIGHTS.name}/")


def _report(models, ratings, user, options):
    simulated = " of simulated viewers over real titles" if options.simulated else ""
    print(f"{ratings}{simulated}\n")
    results = evaluate(models, ratings, n_splits=options.splits, n_jobs=options.jobs, progress=True)
    table = summarize(results)
    compared = paired_differences(results, "baseline").set_index("model")
    table["against baseline"] = table["model"].map(compared["verdict"])
    table.columns = ["model", "training RMSE", "held-out RMSE", "+/-", "against baseline"]
    print(f"RMSE in rating points, {options.splits} random 80/20 splits, predictions clipped, 95 % intervals:")
    print(table.to_string(index=False, float_format="{:.3f}".format), end="\n\n")
    model = models["spectral with biases"].fit(ratings)
    name = user if ratings.user_names is None else ratings.user_names[ratings.user_rows(user)[0]]
    print(f"For viewer {name}, by {model}\n(certified: no fit has an objective lower by more than "
          f"{max(model.certificate_.relative_gap, 0):.0e} of it):")  # fmt: skip
    print(model.recommend(user, options.n).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    from content_table import main as run  # by its importable name, so that joblib's workers find the models

    run()
