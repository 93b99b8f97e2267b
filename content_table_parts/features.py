"""What titles and viewers are about, besides ratings: features from catalogues, tags, texts and profiles."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import MultiLabelBinarizer

from content_table_parts.ratings import Ratings
from content_table_parts.readers import check_once, ids_of, read_text
from content_table_parts.settings import (
    TIE,
    as_path,
    check_choice,
    check_fitted,
    check_kind,
    check_list,
    check_number,
    check_switch,
    check_texts,
    check_unmasked,
    shown,
    whole_number,
)


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
    about : "items", "users" or ""
        Whose ids they are, if that is known; a model refuses those of the other side.
    notes : texts
        What was left out or is missing in the table that they were read from; shown by `repr`.

    Raises
    ------
    ValueError : an id that comes twice (the mark of features made for every *rating* instead of every item), lengths
        that differ, or a number that is not finite.
    """

    ids: np.ndarray
    matrix: sp.csr_array
    names: np.ndarray
    about: str = ""
    notes: tuple = ()

    def __post_init__(self):
        check_choice("about", self.about, ("", "items", "users"))
        object.__setattr__(self, "notes", tuple(check_texts("notes", self.notes)))
        ids, names = _labels("ids", self.ids), _labels("names", self.names)
        matrix = _numbers(self.matrix)
        distinct = len(np.unique(ids))
        if distinct != len(ids):
            raise ValueError(
                f"features need one row for each id, got {len(ids):,} rows for {distinct:,} ids; were they made for "
                "every rating instead of every item?"
            )
        distinct_names, times = np.unique(names, return_counts=True)
        twice = distinct_names[times > 1]
        if len(twice):
            raise ValueError(f"features need one name for each column; {twice[0].item()!r} names several of them.")
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

    __hash__ = None  # type: ignore[assignment]  # compared by what it holds

    def __repr__(self):
        empty = int((np.diff(self.matrix.indptr) == 0).sum())
        unknown = f", nothing known of {empty:,} ids" if empty else ""
        size = f"{len(self.ids):,} ids x {len(self.names):,} columns"
        return f"Features({'; '.join([f'{size}, {self.matrix.nnz:,} values not 0{unknown}', *self.notes])})"

    def rows_for(self, ids: ArrayLike) -> sp.csr_array:
        """The matrix with one row for each of `ids`, in their order; an id without features gets an empty row."""
        check_list("ids", ids, "a list of ids")
        at = {key: row for row, key in enumerate(self.ids.tolist())}
        rows = np.array([at.get(key, -1) for key in np.asarray(ids).tolist()], dtype=int)
        found = np.flatnonzero(rows >= 0)
        if len(found) == 0:
            raise ValueError(
                f"none of the {len(rows)} ids has features; the features are about ids such as {self.ids[:3].tolist()}."
            )
        pick = sp.csr_array((np.ones(len(found)), (found, rows[found])), shape=(len(rows), len(self.ids)))
        return sp.csr_array(pick @ self.matrix)

    def reduced(self, n_components: int = 50, random_state: int = 0) -> "Features":
        """Features of these ids in fewer, dense numbers: scikit-learn's TruncatedSVD of the matrix."""
        n_components = whole_number("n_components", n_components, 1)
        random_state = whole_number("random_state", random_state)
        if n_components > min(self.matrix.shape):
            raise ValueError(f"n_components must be at most {min(self.matrix.shape)} here, got {shown(n_components)}.")
        svd = TruncatedSVD(n_components, random_state=random_state)
        names = np.array([f"direction {j + 1}" for j in range(n_components)])
        return Features(self.ids, svd.fit_transform(self.matrix), names, self.about, self.notes)


def _labels(name, given):
    """Ids or names as an array; objects, such as pandas' texts, as text."""
    check_list(name, given, "a list")
    labels = np.asarray(pd.Series(given).infer_objects())
    if pd.isna(labels).any():
        raise ValueError(f"{name} needs a label everywhere, got {pd.isna(labels).sum()} that are missing.")
    return np.array(labels, dtype=str if labels.dtype.kind == "O" else None)


def _numbers(matrix):
    """A table of numbers as a sparse copy; a stored zero is no feature."""
    check_unmasked("matrix", matrix)
    try:
        table = matrix if sp.issparse(matrix) else np.asarray(matrix)
        if table.ndim != 2 or table.dtype.kind not in "biuf":
            raise ValueError("not a table of numbers")
    except ValueError as error:
        raise ValueError(f"matrix must be a table of numbers, sparse or dense, got {shown(matrix)}.") from error
    copied = sp.csr_array(table, dtype=float, copy=True)
    copied.sum_duplicates()
    copied.eliminate_zeros()
    return copied


_NO_GENRES = "(no genres listed)"  # what MovieLens writes where a film has no genre: the absence of a text, not a text
_SOURCES = ("genres", "tags", "decade", "synopsis")


def item_texts(
    path: str | Path,
    ratings: Ratings,
    use: Sequence[str] = ("genres", "tags"),
    keep_no_genres: bool = False,
    tags_until: Ratings | None = None,
) -> np.ndarray:
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
    if not isinstance(use, (tuple, list)) or not use or not all(name in _SOURCES for name in use):
        raise ValueError(f"use must be a tuple of some of {_SOURCES}, got {shown(use)}.")
    check_switch("keep_no_genres", keep_no_genres)
    check_kind("tags_until", tags_until, (Ratings, type(None)), "Ratings with times, or None")
    file = _catalogue_file(path)
    catalogue = _catalogue(file, ratings)
    parts = []
    if "genres" in use:
        genres = catalogue[_column(catalogue, file, "genres", "genres", "genre")]
        parts.append(genres if keep_no_genres else genres.mask(genres == _NO_GENRES, ""))
    if "tags" in use:
        parts.append(_tags(file.with_name("tags.csv"), tags_until).reindex(ratings.item_ids, fill_value=""))
    if "decade" in use:
        dated = catalogue[_column(catalogue, file, "a year", "aired", "title")]
        parts.append(dated.map(_decade))
    if "synopsis" in use:
        parts.append(catalogue[_column(catalogue, file, "a synopsis", "synopsis")])
    texts = parts[0].str.cat(parts[1:], sep=" ") if len(parts) > 1 else parts[0]
    return texts.str.replace(r"[|,\[\]'\"]", " ", regex=True).str.split().str.join(" ").to_numpy(dtype=str)


def _catalogue(path, ratings):
    """The rows of a catalogue about the items of `ratings`, in the order of its columns; blank where it has none."""
    check_kind("ratings", ratings, Ratings, "Ratings")
    table = read_text(path)
    key = _column(table, path, "an id", "movieId", "anime_id", "a_id", "uid")
    table = table.set_index(ids_of(table[key], path))
    if not table.index.isin(ratings.item_ids).any():
        raise ValueError(
            f"{path.name} lists none of the {ratings.n_items} titles: no {key} is the id of one. Is it of another "
            "catalogue?"
        )
    return table[~table.index.duplicated()].reindex(ratings.item_ids, fill_value="")


def _catalogue_file(path):
    path = as_path(path)
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
    check_once(found[:1], table, path.name)
    return found[0]


def _tags(path, until):
    """All tags of each item, lower-cased and joined in the order of the file."""
    table = read_text(path)
    for name in ("movieId", "tag", *(() if until is None else ("userId", "timestamp"))):
        _column(table, path, f"the {name}", name)
    table["movieId"] = ids_of(table["movieId"], path)
    if until is not None:
        last = pd.Series(until.need_times()).groupby(until.user_ids[until.rows]).max()
        cut = ids_of(table["userId"], path).map(last)
        table = table[
            ids_of(table["timestamp"], path, "whole seconds") <= cut
        ]  # False where the user has no rating: cut is NaN
    return table["tag"].str.lower().groupby(table["movieId"]).agg(" ".join)


def _decade(text):
    """The decade of the year in brackets that ends a text, else of its first year: '2001: A Space Odyssey (1968)'."""
    year = re.search(r"\((\d{3})\d\)\s*$", text) or re.search(r"(?<!\d)((?:19|20)\d)\d(?!\d)", text)
    return f"{year[1]}0s" if year else ""


def tfidf_features(ids: ArrayLike, texts: Collection[str], max_features: int = 5000, about: str = "") -> Features:
    """TF-IDF of the texts (scikit-learn's, English stop words, rows of length 1): a row for each id.

    Columns go by how many texts have the term, the most frequent first: weights that are used together lie together in
    memory.
    """
    check_list("ids", ids, "a list of ids")
    texts = check_texts("texts", texts)
    if len(texts) != len(np.asarray(ids)):
        raise ValueError(f"texts needs {len(np.asarray(ids))} entries, one for each of ids, got {len(texts)}.")
    check_number("max_features", max_features, low=1, whole=True)
    vectorizer = TfidfVectorizer(stop_words="english", max_features=max_features)
    try:
        matrix = vectorizer.fit_transform(texts)
    except ValueError as error:
        raise ValueError(f"the {len(texts)} texts hold no word to learn from ({error}).") from error
    order = np.argsort(-np.bincount(matrix.indices, minlength=matrix.shape[1]), kind="stable")
    return Features(np.asarray(ids), matrix[:, order], vectorizer.get_feature_names_out()[order], about)


def load_features(path: str | Path, ratings: Ratings, **options: Any) -> Features:
    """`tfidf_features` of `item_texts`: the Features of every item of `ratings`; options are those of `item_texts`."""
    texts = item_texts(path, ratings, **options)
    try:
        return tfidf_features(ratings.item_ids, texts.tolist(), about="items")
    except ValueError as error:
        used = options.get("use", ("genres", "tags"))
        raise ValueError(f"{_catalogue_file(path).name}, {shown(used)}: {error}") from error


def load_genres(path: str | Path, ratings: Ratings) -> Features:
    """Features of the items from a catalogue: 1 for each genre of a title, by its whole name ("Slice of Life")."""
    file = _catalogue_file(path)
    catalogue = _catalogue(file, ratings)
    genres = catalogue[_column(catalogue, file, "genres", "genres", "genre")].replace(_NO_GENRES, "")
    listed = genres.str.replace(r"[\[\]'\"]", "", regex=True).str.replace("|", ",").str.split(",")
    kinds = MultiLabelBinarizer(sparse_output=True)
    table = kinds.fit_transform([sorted({name.strip() for name in names} - {""}) for names in listed])
    if table.shape[1] == 0:
        raise ValueError(f"{file.name} names no genre of any of the {ratings.n_items} titles.")
    return Features(ratings.item_ids, table, kinds.classes_, "items")


def load_profiles(path: str | Path, ratings: Ratings) -> Features:
    """Features of the users from a dump's profiles.csv: gender, and the decade of birth, 1 where given."""
    path = as_path(path)
    check_kind("ratings", ratings, Ratings, "Ratings")
    if ratings.user_names is None:
        raise ValueError(f"profiles are matched by name, and these ratings have no user_names, got {ratings}.")
    path = path / "profiles.csv" if path.is_dir() else path
    table = read_text(path)
    for name in ("profile", "gender", "birthday"):
        _column(table, path, f"the {name}", name)
    table = table.drop_duplicates("profile").set_index("profile").reindex(ratings.user_names, fill_value="")
    born = table["birthday"].map(_decade)
    kinds = pd.get_dummies(pd.DataFrame({"gender": table["gender"], "born": born}), prefix_sep=" ")
    kinds = kinds.drop(columns=["gender ", "born "], errors="ignore")  # those of blanks
    if kinds.shape[1] == 0:
        raise ValueError(f"{path.name} gives neither gender nor birthday of any of the {ratings.n_users} users.")
    return Features(ratings.user_ids, kinds.to_numpy(float), kinds.columns.to_numpy(dtype=str), "users")


def similar_titles(ratings: Ratings, features: Any, item: Any, n: int = 10) -> pd.DataFrame:
    """The `n` items whose features point most in the direction of this item's: rank, item_id, title, cosine.

    `features` may be a fitted model with item factors: then titles are alike that the same viewers rate alike. `item`
    is an id, or a title or a part of it.
    """
    n = whole_number("n", n, 1)
    check_kind("ratings", ratings, Ratings, "Ratings")
    by_features = isinstance(features, Features)
    if not by_features and not check_fitted("features", features).same_universe(ratings):
        raise ValueError(f"the model was fitted to {features.ratings_}, not to titles and users of {ratings}.")
    C = features.rows_for(ratings.item_ids) if by_features else item_vectors(features, None)
    at = ratings.item_cols(ratings.item_id(item))[0]
    if not abs(C[[at]]).sum():
        raise ValueError(f"nothing is known about {ratings.item_labels[at]}, so nothing can be said to be like it.")
    cosine = cosine_similarity(C, C[[at]]).ravel()
    order = np.argsort(-np.round(cosine, TIE), kind="stable")
    order = order[order != at][:n]
    columns = {"rank": np.arange(1, len(order) + 1), "item_id": ratings.item_ids[order]}
    return pd.DataFrame(columns | ratings.named(order) | {"cosine": cosine[order]})


def item_vectors(model: Any, similarity: Features | None) -> Any:
    """Rows that a cosine of two items can be taken of."""
    check_kind("similarity", similarity, (Features, type(None)), "Features, as of load_genres")
    if similarity is not None:
        return similarity.rows_for(model.ratings_.item_ids)
    factors = getattr(model.rating_model, "item_factors_", np.zeros((0, 0)))
    if not factors.shape[1]:
        raise ValueError(f"{model!r} has no item factors to compare titles by; give similarity=, as of load_genres.")
    return factors


def genre_mask(names: Any, genres: Features | None, ratings: Ratings) -> np.ndarray:
    """Mask of the items that have one of these genres."""
    check_kind("genres", genres, (Features, type(None)), "Features, as of load_genres")
    names = check_texts("exclude_genres", names)
    if not names:
        return np.zeros(ratings.n_items, dtype=bool)
    if genres is None:
        raise ValueError("exclude_genres needs genres=, the table that load_genres makes of a catalogue; got None.")
    known = {name.casefold(): at for at, name in enumerate(genres.names.tolist())}
    unknown = [name for name in names if name.casefold() not in known]
    if unknown:
        raise ValueError(f"unknown genres {unknown}; give a list of some of {sorted(genres.names.tolist())}.")
    chosen = genres.rows_for(ratings.item_ids)[:, [known[name.casefold()] for name in names]]
    return chosen.sum(axis=1) > 0
