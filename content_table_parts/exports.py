"""Lists that people keep elsewhere: which service a file is from, and its scores on the scale of the table."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from content_table_parts.ratings import Ratings, need_ratings
from content_table_parts.readers import (
    MAX_EXPORT_BYTES,
    MAX_EXPORT_ENTRIES,
    OwnList,
    check_entries,
    check_once,
    load_mal_export,
    opened,
    own_list,
    read_text,
)
from content_table_parts.settings import as_path, check_choice, check_switch, shown

_MAL_SCALE = (1.0, 10.0)
_LETTERBOXD_SCALE = (0.5, 5.0)
_ANILIST_SCALES = {"POINT_100": 100.0, "POINT_10_DECIMAL": 10.0, "POINT_10": 10.0, "POINT_5": 5.0, "POINT_3": 3.0}
_LETTERBOXD = {"Name", "Year", "Letterboxd URI"}


def load_export(
    path: str | Path, ratings: Ratings | None = None, conflicts: str = "error", rescale: bool = False
) -> OwnList:
    """Read the list that somebody keeps at MyAnimeList, AniList or Letterboxd, or in a CSV; the file tells which.

    Parameters
    ----------
    path : str or Path
        MyAnimeList and CSV: see `load_mal_export`. AniList: JSON with `lists`, each with `entries`, each with score,
        status and media (idMal, title: romaji, english, native), as the API answers to MediaListCollection, alone or
        under `data`. Letterboxd: ratings.csv or watched.csv (Name, Year, Letterboxd URI, Rating), or the folder or zip
        that holds them.
    ratings : Ratings, optional
        The table whose titles are meant: by MyAnimeList's id, else by exactly a name that one title has, of the same
        year where both are known; a misspelled name is not guessed. Without it the ids are taken as they are.
    conflicts : "error" or "last"
        Where a title is scored twice, differently. Repeats that agree are dropped and counted.
    rescale : bool
        Stretch the scores to the scale of the table, ends to ends; else another scale is an error. MyAnimeList has 1 to
        10, Letterboxd 0.5 to 5; AniList what `user.mediaListOptions.scoreFormat` says, else 1 to 10, or to 100 where a
        score is above 10.

    Returns
    -------
    OwnList : `ratings` on the scale of the table; `unmatched`, as the file has them, what the table does not know.

    Raises
    ------
    FileNotFoundError, ValueError : what was expected, what came, and the likely cause.
    """
    check_choice("conflicts", conflicts, ("error", "last"))
    check_switch("rescale", rescale)
    path = as_path(path)
    if ratings is not None:
        need_ratings(ratings, "ratings")
    kind = _kind_of(path)
    if kind == "CSV":
        return load_mal_export(path, ratings, conflicts)
    if kind == "MyAnimeList":
        return _on_scale(load_mal_export(path, ratings, conflicts), _MAL_SCALE, ratings, rescale, path)
    if kind == "Letterboxd" and ratings is None:
        raise ValueError(f"{path.name} is a list of Letterboxd, which has no ids: pass ratings=, the table it is for.")
    entries, scale = _anilist(path) if kind == "AniList" else (_letterboxd(path), _LETTERBOXD_SCALE)
    check_entries(entries, path.name)
    return _on_scale(own_list(entries, ratings, scale, conflicts, path), scale, ratings, rescale, path)


def _kind_of(path):
    if path.is_dir() or (path.is_file() and zipfile.is_zipfile(path)):
        return "Letterboxd"
    with opened(path, MAX_EXPORT_BYTES) as file:
        head = file.read(64).lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")
    if not head or head.startswith(b"<"):
        return "MyAnimeList"
    if head.startswith((b"{", b"[")):
        return "AniList"
    return "Letterboxd" if set(read_text(path, MAX_EXPORT_BYTES, nrows=0).columns) >= _LETTERBOXD else "CSV"


def _on_scale(own, scale, ratings, rescale, path):
    """The list on the scale of the table."""
    if ratings is None or tuple(ratings.scale) == scale:
        return own
    (low, high), (to_low, to_high) = scale, ratings.scale
    if not rescale:
        raise ValueError(
            f"{path.name}: its scores lie on {low:g} to {high:g}, the table on {to_low:g} to {to_high:g}; pass "
            f"rescale=True to make {low:g} a {to_low:g}, {high:g} a {to_high:g} and stretch what lies between."
        )
    stretch = (to_high - to_low) / (high - low)
    return replace(own, ratings={item: to_low + (score - low) * stretch for item, score in own.ratings.items()})


# ---- Letterboxd ------------------------------------------------------------------------------------------------------


def _letterboxd(path):
    """Entries of ratings.csv, watched.csv or both."""
    if path.is_file() and not zipfile.is_zipfile(path):
        return _films(path)
    if path.is_dir():
        return _rated_and_watched(path, path.name)
    with zipfile.ZipFile(path) as packed:
        return _rated_and_watched(zipfile.Path(packed), path.name)


def _rated_and_watched(place, name):
    found = [place / file for file in ("ratings.csv", "watched.csv") if (place / file).is_file()]
    if not found:
        raise ValueError(f"{name} holds neither ratings.csv nor watched.csv, so it is no export of Letterboxd.")
    rated, *watched = map(_films, found)
    new = [films[~films["title"].isin(rated["title"])] for films in watched]
    return pd.concat([rated, *new], ignore_index=True)


def _films(path):
    table = read_text(path, MAX_EXPORT_BYTES, nrows=MAX_EXPORT_ENTRIES + 1)
    if not set(table.columns) >= _LETTERBOXD:
        raise ValueError(f"{path.name} needs the columns {sorted(_LETTERBOXD)}, got {shown(list(table.columns))}.")
    check_once(("Name", "Year", "Rating"), table, path.name)
    name, year = table["Name"].str.strip(), table["Year"].str.strip()
    score = table.get("Rating", "")
    entries = {"item": "", "title": name + " (" + year + ")", "score": score, "status": "watched"}
    return pd.DataFrame(entries | {"also": name, "year": year}, dtype=str)


# ---- AniList ---------------------------------------------------------------------------------------------------------


def _anilist(path):
    """(entries, scale) of AniList's JSON."""
    with opened(path, MAX_EXPORT_BYTES) as file:
        data = file.read(MAX_EXPORT_BYTES + 1)
    if len(data) > MAX_EXPORT_BYTES:
        raise ValueError(f"{path.name} has more than {MAX_EXPORT_BYTES / 2**20:g} MB, which no list has.")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not whole or not JSON ({error}); export the list again.") from error
    for key in ("data", "MediaListCollection"):
        inner = _at(document, key)
        document = inner if isinstance(inner, dict) else document
    rows = [_entry(each, one, path.name) for one in _lists(document, path.name) for each in one["entries"]]
    rows = [[text.encode("utf-8", "replace").decode() for text in row] for row in rows]  # halves of letters
    columns = ["item", "title", "score", "status", "also", "year"]
    entries = pd.DataFrame(rows, columns=columns, dtype=str).drop_duplicates(ignore_index=True)  # of custom lists
    told = _at(document, "user", "mediaListOptions", "scoreFormat")
    beyond_ten = (pd.to_numeric(entries["score"], errors="coerce") > 10).any()
    return entries, (1.0, _ANILIST_SCALES.get(told if isinstance(told, str) else "", 100.0 if beyond_ten else 10.0))


def _at(document: Any, *keys: str) -> Any:
    """What lies below these keys, None where nothing does."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _lists(document, name):
    lists = _at(document, "lists")
    if isinstance(lists, list) and any(_at(each, "series_id") is not None for each in lists):
        raise ValueError(
            f"{name} lists numbers of AniList without titles; ask its API for MediaListCollection with media idMal and "
            "title, or export the list in MyAnimeList's format."
        )
    if not isinstance(lists, list) or not all(isinstance(_at(each, "entries"), list) for each in lists):
        found = sorted(document) if isinstance(document, dict) else type(document).__name__
        raise ValueError(f"{name} needs `lists`, each with `entries`, as AniList gives them, got {shown(found)}.")
    return lists


def _entry(entry, one, name):
    media, titles = _at(entry, "media"), _at(entry, "media", "title")
    if not isinstance(media, dict) or not isinstance(titles, dict):
        raise ValueError(f"{name} has an entry without media and title, {shown(entry)}; ask for both.")
    if media.get("type") == "MANGA":
        raise ValueError(f"{name} is a list of manga; choose the anime list.")
    names = [titles.get(key) for key in ("romaji", "english", "native")]
    names = [" ".join(text.split()) for text in names if isinstance(text, str) and text.strip()]
    score, status = entry.get("score"), entry.get("status") or one.get("status") or one.get("name")
    item, state = media.get("idMal"), "plan to watch" if str(status).casefold() in ("planning", "plan to watch") else ""
    texts = ["" if value is None else str(value) for value in (item, score)]
    return [texts[0], *(names[:1] or [""]), texts[1], state, "\n".join(names[1:]), ""]
