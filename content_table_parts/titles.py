"""Titles as people type them, and which of them are seasons or parts of one work."""

import re
import unicodedata
from collections.abc import Iterable

import numpy as np

from content_table_parts.settings import check_texts

_LONG_RUN = re.compile(r"([\W_]{30})[\W_]+")  # normalising sorts a run of marks in quadratic time (UAX 15, stream-safe)


def plain_title(title: object) -> str:
    """A title as people type it: no case, accents or punctuation, one space between words."""
    text = _LONG_RUN.sub(r"\1", str(title))
    letters = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text))  # Latin accents alone
    return " ".join(re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", letters).casefold()).split())


_PART = re.compile(  # what marks one part of a series, where it ends a title (before or without a subtitle)
    r"(the|final|first|second|third|fourth|fifth|new|next|season|seasons|part|cour|chapter|episode|movie|movies|film|films|"
    r"gekijouban|ova|ovas|oad|ona|tv|special|specials|recap|picture|drama|kai|zoku|shin|remake|edition|"
    r"\d+(st|nd|rd|th)?|x\d+|r\d+|[ivx]+|[a-z])"
)


def series_of(titles: Iterable[str]) -> np.ndarray:
    """A label for each title; titles with one label are taken for seasons, parts, films or retellings of one work.

    The name of a work is what stands before a subtitle, without brackets and without the words and numbers that count
    parts ("2nd Season", "Movie 3", "II"). A title that begins with the whole name of another work belongs to it too, if
    that name has two words or six letters; one that ends with it, if it has two words ("Zoku ..."). A guess from names
    alone: the tests hold it against pairs labelled by hand.
    """
    titles = check_texts("titles", titles)
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
