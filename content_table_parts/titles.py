"""Titles as people type them and call them, and which of them are seasons or parts of one work."""

import difflib
import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from content_table_parts.places import DATA
from content_table_parts.settings import check_list, check_texts, shown

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


_EXTRA = re.compile(
    r"\b(movies?|films?|gekijouban|ovas?|oads?|specials?|recaps?|picture drama|extra edition|gaiden|prologue)\b"
)
_COUNTED = re.compile(r"[rsx]?(\d{1,2})(st|nd|rd|th)?")
_COUNTING = {"second": 2, "ii": 2, "third": 3, "iii": 3, "fourth": 4, "iv": 4, "fifth": 5, "sixth": 6, "vi": 6}
MANY = 20  # no series has more seasons: a larger number is part of a name, or a year


def is_extra(title: str) -> bool:
    """Whether a title calls itself a film, a special or the like, and no season."""
    return _EXTRA.search(plain_title(title)) is not None


def _season_number(title):
    """The number that a title counts itself by ("2nd Season", "II", "R2"); 1 where it is the name of the work alone; 0
    where it says none."""
    words = plain_title(title).split()
    counted = [int(found[1]) for word in words if (found := _COUNTED.fullmatch(word))]
    named = [_COUNTING[word] for word in words if word in _COUNTING]
    alone = int(tuple(words) == _work_name(title))
    return max([number for number in counted + named if number <= MANY], default=alone)


def season_order(titles: Iterable[str], ids: ArrayLike | None = None, works: ArrayLike | None = None) -> np.ndarray:
    """The place of each title in its work: 0 for the first season, 1 for the next, films and specials last.

    Seasons go by the number in their titles; the name of the work alone is the first. One that tells nothing comes
    after those with a smaller id, which on MyAnimeList is older; where the `ids` are not numbers, or not given, after
    those that stand before it. `works` are the labels of `series_of`, by default those of these titles. A guess from
    names, as there.
    """
    titles = check_texts("titles", titles)
    works = series_of(titles) if works is None else _labels("works", works, len(titles))
    ids = np.arange(len(titles)) if ids is None else _labels("ids", ids, len(titles))
    age = np.argsort(ids if ids.dtype.kind in "iuf" else np.arange(len(titles)), kind="stable").tolist()
    keys: dict[int, tuple[bool, int, int]] = {}
    reached: Counter = Counter()
    counts: Counter = Counter()
    for turn, at in enumerate(age):
        number = _season_number(titles[at]) or reached[works[at]]
        keys[at] = (False, number, turn)
        if is_extra(titles[at]):
            keys[at] = (True, 0, turn)
        else:
            reached[works[at]] = max(number, reached[works[at]])
    place = np.zeros(len(titles), dtype=np.intp)
    for at in sorted(age, key=keys.__getitem__):
        place[at] = counts[works[at]]
        counts[works[at]] += 1
    return place


def _labels(name, value, length):
    check_list(name, value, "a list of labels, one for each title")
    if len(value) != length:
        raise ValueError(f"{name} needs one label for each of {length} titles, got {len(value)}.")
    labels = np.asarray(value)
    if labels.dtype.kind not in "biuUf" or (labels.dtype.kind == "f" and not np.isfinite(labels).all()):
        raise TypeError(f"{name} must be finite numbers or texts, got {shown(value)}.")
    return labels


class Seasons:
    """The seasons of all works in order, and which of each is the next to be offered to somebody."""

    def __init__(self, titles: Sequence[str], ids: ArrayLike, works: ArrayLike):
        self.works = np.unique(works, return_inverse=True)[1]
        self.place = season_order(titles, ids, works)
        self.reached = np.where([is_extra(title) for title in titles], 0, self.place)  # by who has seen this one
        order = np.lexsort((self.place, self.works))
        start = np.append(0, np.cumsum(np.bincount(self.works)))
        self.arrays = self.works, self.reached, start, order  # work w has the titles order[start[w]:start[w + 1]]

    def next(self, seen: np.ndarray) -> np.ndarray:
        """Mask of one title of each work at most: the first after all seasons `seen` (positions).

        Who has seen a film or special alone is taken to know the first season.
        """
        reached = np.full(len(self.works), -1)
        np.maximum.at(reached, self.works[seen], self.reached[seen])
        later = self.place > reached[self.works]
        later[seen] = False
        first = np.full(len(self.works), len(self.works))
        np.minimum.at(first, self.works[later], self.place[later])
        return later & (self.place == first[self.works])


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


# ---- The names of a title --------------------------------------------------------------------------------------------

_ARTICLE = re.compile(
    r"(.+), (The|A|An|Le|La|Les|L'|Un|Une|El|Los|Las|Il|Lo|I|Gli|O|Os|As|Der|Die|Das|Ein|Eine|Det|Den|De|Het|En|Et)"
)
_FILM = re.compile(r"([^()]+?)\s*((?:\([^()]*\)\s*)*)\(\d{4}(?:[-–](?:\d{4})?)?\)\s*")
CLOSE = 0.8  # how alike two spellings must be (difflib's ratio, 1 the same): "frieren" and "free" are .73


@functools.cache
def _names_of_anime():
    """{romanised title: (English name or "", others ...)}, from the project's own file of names."""
    table = pd.read_csv(DATA / "titles.csv", dtype=str, keep_default_na=False)
    others = [names.split("|") if names else [] for names in table["also"]]
    rows = zip(table["name"], table["english"], table["original"], others, strict=True)
    return {name: (english, *(text for text in (original, *also) if text)) for name, english, original, also in rows}


def _names_of_film(title):
    """Other names of a film as MovieLens writes it: "Matrix, The (1999)" is "The Matrix"; what brackets add, too."""
    parts = _FILM.fullmatch(title)
    if parts is None:
        return []
    also = [text.strip().removeprefix("a.k.a. ") for text in re.findall(r"\(([^()]*)\)", parts[2])]
    return [_article_first(name) for name in (parts[1], *also) if name]


def _article_first(name):
    parts = _ARTICLE.fullmatch(name.strip())
    return name.strip() if parts is None else f"{parts[2]}{'' if parts[2].endswith(chr(39)) else ' '}{parts[1]}"


def english_name(title: str) -> str:
    """The English name of an anime by its romanised title; "" where it is not known, or the same."""
    english = _names_of_anime().get(title, ("",))[0]
    return "" if english == title else english


def other_names(title: str) -> list[str]:
    """What a title is called besides: the English name, nicknames, the original; of a film what brackets add."""
    return [name for name in _names_of_anime().get(title, ()) if name] or _names_of_film(title)


def squashed(text: str) -> str:
    """A name without case, accents, punctuation and spaces: "hunterxhunter"."""
    return plain_title(text).replace(" ", "")


class TitleIndex:
    """Finds titles by whatever people call them; positions are those of the titles given."""

    def __init__(self, titles: Sequence[str], series: np.ndarray):
        self.titles, self.series = list(titles), series
        self.folded = [title.casefold() for title in self.titles]
        self.plain = [[plain_title(name) for name in (title, *other_names(title))] for title in self.titles]
        self.names = [" ".join(names) for names in self.plain]
        self.whole: dict[str, list[int]] = {}  # by title
        self.given: dict[str, list[int]] = {}  # by another name
        for at, (title, *others) in enumerate(self.plain):
            self.whole.setdefault(title.replace(" ", ""), []).append(at)
            for name in {name.replace(" ", "") for name in others} - {title.replace(" ", "")}:
                self.given.setdefault(name, []).append(at)

    def called(self, text: str) -> list[int]:
        """Those with exactly this name, but for case, punctuation and spaces.

        What people call a title goes before the title of another ("Hunter x Hunter" is two shows), and of one work the
        shortest title before the others: that of its first season ("K-On!" and "K-On!!").
        """
        key = squashed(text)
        found = (key and (self.given.get(key) or self.whole.get(key))) or []
        lengths = [len(self.titles[at]) for at in found]
        shortest = [at for at, length in zip(found, lengths, strict=True) if length == min(lengths)]
        one_work = len({int(self.series[at]) for at in found}) == 1
        return shortest if one_work and len(shortest) == 1 else list(found)

    def with_words(self, text: str, whole: bool = False) -> list[int]:
        """Those that have every word of the text in one of their names; a word of one or two letters, or with `whole`
        any, only where a word of the name is, or begins with, it (scripts without spaces have it anywhere)."""
        words = plain_title(text).split()
        anywhere = [word for word in words if not word.isascii() or not (whole or len(word) < 3)]
        begins = [f" {word}" for word in words if word not in anywhere and whole]
        alone = {word for word in words if word not in anywhere and len(word) < 3}

        def has(name):
            parts = set(name.split()) if alone else alone
            return (
                all(word in name for word in anywhere) and all(word in f" {name}" for word in begins) and alone <= parts
            )

        longest = max(words, key=len, default="")
        likely = [at for at, names in enumerate(self.names) if words and longest in names]  # a quick look
        return [at for at in likely if any(map(has, self.plain[at]))]

    def spelled_like(self, text: str) -> list[int]:
        """Those with a name that is spelled much like the text as a whole, the closest first; else word by word."""
        key, keys = squashed(text), self.whole | self.given
        alike = [name for name in keys if name[:1] == key[:1]]  # few slips are in the first letter; and it is quicker
        close = difflib.get_close_matches(key, alike, 10, CLOSE)
        if close:
            return list(dict.fromkeys(at for name in close for at in keys[name]))
        known = sorted({word for name in chain.from_iterable(self.plain) for word in name.split()})
        words = plain_title(text).split()
        return self.with_words(
            " ".join((difflib.get_close_matches(word, known, 1, CLOSE) or [word])[0] for word in words)
        )
