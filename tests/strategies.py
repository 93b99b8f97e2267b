"""Inputs made up by hypothesis: rating tables, features, models with settings within their bounds, and files.

Every strategy gives what a reader could hand in. Small tables are drawn cell by cell, so that a failing one shrinks to
few ratings; larger ones come from a seed.
"""

import bz2
import dataclasses
import functools
import gzip
import io
import json
import lzma
import zipfile
from copy import deepcopy

import numpy as np
from hypothesis import strategies as st

import content_table as ct

# ---- Rating tables ----

WORDS = ("Apple", "Bear", "Steins;Gate", "進撃の巨人", "ハイキュー!!", "Élan", "'", "2", "12", "A, B", 'Say "no"')
SEASONS = ("", "", "", " 2nd Season", " II", " Movie 3", ": The End", " (2011)", " Part 2", " - OVA")
BLANKS = ("", " ", ".", "\u3000", "nan", "None")
SCALES = ((1.0, 10.0), (0.5, 5.0), (-10.0, 10.0), (0.0, 1e-6), (-1e6, 1e6), (1e5, 1e6), (0.0, 100.0))


@st.composite
def ids(draw, count):
    """That many distinct ids, in any order: small, negative or huge whole numbers, or texts."""
    kind = draw(st.sampled_from(("position", "whole", "huge", "text")))
    if kind == "position":
        return np.arange(count)
    if kind == "text":
        some = st.one_of(st.text(min_size=1, max_size=5, alphabet="aZ9é巨 -.'\""), st.sampled_from(("1", "01", "nan")))
        drawn = draw(st.lists(some, min_size=count, max_size=count, unique_by=lambda text: text.rstrip("\0")))
        return np.array(drawn)
    low, high = (-50, 10**4) if kind == "whole" else (2**53 - 40, 2**63 - 1)
    return np.array(draw(st.lists(st.integers(low, high), min_size=count, max_size=count, unique=True)), dtype=np.int64)


def titles(count):
    """Titles, some of them seasons of one work, some twice, some as good as empty."""
    name = st.builds(str.__add__, st.sampled_from(WORDS), st.sampled_from(SEASONS))
    return st.lists(st.one_of(name, name, st.sampled_from(BLANKS)), min_size=count, max_size=count)


def points(scale, kind):
    """Ratings on a scale: all equal, one of three, whole steps of an eighth, or any number."""
    low, high = scale
    steps = {"equal": 0, "three": 2, "eighths": 8, "any": 2**20}[kind]
    step = (high - low) / max(steps, 1)
    return st.integers(0, steps).map(lambda at: min(low + at * step, high))


@st.composite
def cells(draw, m, n):
    """Known cells of an m x n table: drawn one by one where there are few, else by a seed; at least one, any order."""
    if m * n <= 36:
        every = st.lists(st.integers(0, m * n - 1), min_size=1, max_size=m * n, unique=True)
        return np.array(draw(every))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from((0.05, 0.2, 0.5, 0.9)))
    return rng.permutation(m * n)[: max(1, int(share * m * n))]


@st.composite
def values(draw, count, scale):
    """Ratings on a scale, `count` of them."""
    kind = draw(st.sampled_from(("eighths", "eighths", "any", "three", "equal")))
    if count <= 36:
        return np.array(draw(st.lists(points(scale, kind), min_size=count, max_size=count)))
    steps = {"equal": 1, "three": 3, "eighths": 9, "any": 2**20}[kind]
    drawn = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(0, steps, count)
    return scale[0] + drawn * (scale[1] - scale[0]) / max(steps - 1, 1)


@st.composite
def tables(draw, max_side=12, scales=SCALES, large=True):
    """Ratings: 1..12 viewers and titles, some without a rating; now and then a larger table of a seed."""
    sides = st.integers(1, max_side)
    m, n = draw(st.tuples(sides, sides))
    if large and draw(st.integers(0, 19)) == 19:
        m, n = draw(st.sampled_from(((40, 25), (3, 80), (60, 2))))
    at = draw(cells(m, n))
    scale = draw(st.sampled_from(scales))
    return ct.Ratings(
        np.arange(m) if m > 12 else draw(ids(m)),
        np.arange(n) if n > 12 else draw(ids(n)),
        at // n,
        at % n,
        draw(values(len(at), scale)),
        scale=scale,
        times=draw(st.none() | st.just(np.arange(len(at)) // 2)),
        titles=draw(st.none() | titles(n)),
        user_names=draw(st.none() | st.just([f"viewer {u}" for u in range(m)])),
        has_seasons=draw(st.booleans()),
    )


@st.composite
def features(draw, known, about):
    """Features of some of the ids, in another order; sparse numbers, whole rows of zeros among them."""
    order = draw(st.permutations(range(len(known)))) if len(known) <= 12 else list(range(len(known)))
    order = order[: draw(st.integers(1, len(known)))]
    d = draw(st.integers(1, 4))
    numbers = st.sampled_from((0.0, 0.0, 1.0, 1.0, -0.5, 0.25, 3.0))
    matrix = draw(st.lists(numbers, min_size=d * len(order), max_size=d * len(order)))
    names = [f"feature {j}" for j in range(d)]
    return ct.Features(known[order], np.reshape(matrix, (len(order), d)), names, draw(st.sampled_from(("", about))))


# ---- Models ----

CAPS = {"n_epochs": 60, "n_factors": 6, "n_neighbors": 30, "batch_size": 40, "patience": 8, "n_trials": 3, "n_folds": 3}
CAPS |= {"n_negatives": 6, "n_hidden": 12}
PRECISE = {"tol": (0.0, 1e-9, 1e-6, 1e-3)}  # a share of the objective, whatever the model
FEW_PASSES = (ct.SpectralRegularization, ct.NuclearNorm)  # a pass is a singular value decomposition: cheap here


def numbers_within(name, declared):
    """Numbers that a setting allows: where `tune` would look for it, and towards its bounds."""
    low, high = max(declared.low, -1e6), min(declared.high, declared.below, CAPS.get(name, 1e6))
    ends = [low, low + 1e-9, low + 1e-3, low + 1.0, high] if not declared.whole else [low, low + 1, high]
    ends = [end for end in ends if not (declared.strict and end <= low) and low <= end <= high and end < declared.below]
    if declared.whole:
        return st.integers(int(low), int(high)) | st.sampled_from([int(end) for end in ends])
    if declared.search is not None:
        usual = st.floats(max(declared.search.low, low), min(declared.search.high, high))
        return st.one_of(usual, usual, usual, usual, usual, st.sampled_from(ends))
    if high <= 1:  # a share
        return st.sampled_from([share for share in (0.1, 0.2, 0.5, 0.9, *ends) if share < declared.below])
    return st.sampled_from([end for end in ends if end < 1e6] + [0.02, 0.1, 1.0])


def setting_values(name, declared, small):
    """Values that a declared setting allows; the conic solver only for small tables, and no Spark."""
    if declared.among:
        # of half the digits the properties, which count digits, say nothing
        slow_or_rough = "cvxpy", "spark", "float32"
        quick = [value for value in declared.among if value not in slow_or_rough]
        rare = quick * 4 + ["cvxpy"] if small and "cvxpy" in declared.among else quick
        return st.sampled_from(rare)
    values = st.sampled_from(PRECISE[name]) if name in PRECISE else numbers_within(name, declared)
    return st.none() | values if declared.optional else values


def starts(table, n_factors):
    """Where the factors may start: by name, or arrays of one's own."""
    shapes = (table.n_users, n_factors), (table.n_items, n_factors)
    normal = lambda seed: tuple(np.random.default_rng(seed).normal(0, 1, shape) for shape in shapes)  # noqa: E731
    return st.one_of(st.sampled_from(("random", "random", "ones")), st.integers(0, 99).map(normal))


def candidates(table):
    """Models that another one mixes or chooses from."""
    kinds = [kind for kind in ct.MODELS if kind is not ct.Blend and kind.score_name == "predicted_rating"]
    return st.sampled_from(kinds).flatmap(lambda kind: model_of(kind, table))


@st.composite
def model_of(draw, kind, table):
    """A model of this class, its settings drawn within their bounds, not fitted."""
    declared = ct.declared_settings(kind)
    small, chosen = table.n_users * table.n_items <= 30, {}
    for each in dataclasses.fields(kind):
        name = each.name
        if name in ("progress", "prefit"):
            continue
        if name == "random_state":
            strategy = st.integers(0, 3)
        elif name in declared and declared[name].switch:
            strategy = st.booleans()
        elif name in declared:
            strategy = setting_values(name, declared[name], small)
        elif name == "init":
            strategy = starts(table, chosen["n_factors"])
        elif name in ("item_features", "user_features"):
            about = name.removesuffix("_features") + "s"
            strategy = features(table.item_ids if about == "items" else table.user_ids, about)
            strategy = strategy if name == "item_features" else st.none() | strategy
        elif name in ("first", "second", "candidates"):
            strategy = candidates(table)
        else:
            continue
        chosen[name] = draw(strategy)
    if kind in FEW_PASSES:
        chosen["n_epochs"] = draw(st.sampled_from((1, 20, 500, 500, 500)))
        chosen["tol"] = max(chosen["tol"], 1e-6 if chosen["solver"] == "cvxpy" else 0.0)
    if kind is ct.BayesianFM:
        chosen |= {"n_factors": draw(st.integers(0, 3)), "n_sweeps": draw(st.integers(1, 12)), "burn_in": None}
        chosen |= {"n_kept": draw(st.integers(1, 4)), "n_chains": draw(st.integers(1, 2))}
    return kind(**chosen)


def models(table, kinds=None):
    """Any model that a file may hold, and `Tuned`, which chooses one: not fitted, for this table."""
    kinds = (*ct.MODELS, ct.Tuned) if kinds is None else kinds
    return st.sampled_from(kinds).flatmap(lambda kind: model_of(kind, table))


@st.composite
def fits(draw, kinds=None, **options):
    """(model, table) to fit it to."""
    table = draw(tables(**options))
    return draw(models(table, kinds)), table


# ---- Files ----


@st.composite
def mutated(draw, whole):
    """Bytes of a whole file, a little damaged: changed, cut, repeated, or with something foreign in them."""
    data = bytearray(draw(whole) if isinstance(whole, st.SearchStrategy) else whole)
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 12))
        what = draw(st.sampled_from(("change", "cut", "repeat", "insert", "end")))
        if what == "change":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif what == "cut":
            del data[at : at + length]
        elif what == "repeat":
            data[at:at] = data[at : at + 10 * length]
        elif what == "insert":
            data[at:at] = draw(st.sampled_from(FOREIGN))
        else:
            del data[at:]
    return bytes(data)


FOREIGN = tuple(
    text if isinstance(text, bytes) else text.encode()
    for text in ('"', ",", "\n", "\r", "\0", ";", "\t", "nan", "inf", "-1", "1e400", "9" * 25, "0x1F", "٣", "１", "1_0",
                 "進撃", "<", ">", "&", "&lt;", "<!-- ", "<![CDATA[", "]]>", "</anime>", "<anime>", "<manga/>",
                 '<!DOCTYPE a [<!ENTITY b "c">]>', "True", " ", "\u3000", "\ufeff", b"\xff", b"\xc3", b"\xed\xa0\x80",
                 b"\x1f\x8b", b"PK\x03\x04", b"BZh9")
)  # fmt: skip

CELLS = st.one_of(
    st.integers(-3, 30).map(str),
    st.sampled_from(("", " ", "0", "1", "5", "10", "7.5", "nan", "1e3", "x", "2011", "9223372036854775808")),
)
SCORES = st.sampled_from(("1", "2", "3", "4", "5") * 6 + ("", "0", "4.5", "11", "x"))
TEXTS = st.sampled_from((*WORDS, *BLANKS))


def _quoted(text):
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


@st.composite
def csv_files(draw, columns):
    """A CSV with these columns {name: strategy of a cell}, in any order, some of them rarely missing, as bytes."""
    names = list(draw(st.permutations(list(columns))))
    names = names[: len(names) - (draw(st.integers(0, 19)) == 19)]
    rows = draw(st.lists(st.tuples(*(columns[name] for name in names)), max_size=8))
    end = draw(st.sampled_from(("\n", "\n", "\r\n")))
    text = end.join(",".join(map(_quoted, row)) for row in [names, *rows]) + end
    return draw(st.sampled_from((b"", b"", b"\xef\xbb\xbf"))) + text.encode()


PEOPLE, SHOWS = st.integers(1, 4).map(str), st.integers(1, 5).map(str)
COURSE = {"u_id": PEOPLE, "a_id": SHOWS, "profile": st.just("ann"), "title": st.just("Bear"), "score": SCORES}
MOVIELENS = {"userId": PEOPLE, "movieId": SHOWS, "rating": SCORES, "timestamp": st.integers(0, 9).map(str)}
MOVIES = {"movieId": SHOWS, "title": TEXTS, "genres": st.sampled_from(("Drama|War", "(no genres listed)", "", "A"))}
TAGS = {"userId": PEOPLE, "movieId": SHOWS, "tag": TEXTS, "timestamp": st.integers(0, 9).map(str)}
REVIEWS = {"uid": SHOWS, "profile": st.sampled_from(("ann", "bob", "")), "anime_uid": SHOWS, "score": SCORES}
ANIMES = {"uid": SHOWS, "title": TEXTS, "genre": st.sampled_from(("['Drama', 'War']", "[]", "")), "synopsis": TEXTS,
          "aired": st.sampled_from(("Apr 2004 to 2005", "2012", "", "?"))}  # fmt: skip
PROFILES = {"profile": st.sampled_from(("viewer 0", "viewer 1", "")), "gender": st.sampled_from(("Male", "", "x")),
            "birthday": st.sampled_from(("1994", "Oct 2, 1994", ""))}  # fmt: skip
OWN = {"item_id": SHOWS, "title": TEXTS, "score": SCORES, "status": st.sampled_from(("Completed", "Plan to Watch"))}


@st.composite
def exports(draw):
    """A list exported from MyAnimeList, as bytes of its XML, sometimes packed."""
    entries = []
    for _ in range(draw(st.integers(0, 5))):
        fields = {
            "series_animedb_id": draw(CELLS),
            "series_title": f"<![CDATA[{draw(TEXTS)}]]>",
            "my_score": draw(SCORES),
            "my_status": draw(st.sampled_from(("Completed", "Plan to Watch", "6", ""))),
        }
        left_out = draw(st.sampled_from(("", "", *fields)))
        body = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items() if name != left_out)
        entries.append(f"<anime>{body}</anime>")
    kind = draw(st.sampled_from(("1", "1", "1", "2")))
    info = f"<myinfo><user_export_type>{kind}</user_export_type></myinfo>"
    data = f'<?xml version="1.0" encoding="UTF-8" ?><myanimelist>{info}{"".join(entries)}</myanimelist>'.encode()
    return gzip.compress(data, mtime=0) if draw(st.integers(0, 4)) == 4 else data


def _zipped(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("table.csv"), data)
    return file.getvalue()


PACKERS = (functools.partial(gzip.compress, mtime=0), bz2.compress, lzma.compress, _zipped)


def damaged(whole):
    """The file whole, a little damaged, packed with its damage inside or outside, in UTF-16, or any bytes at all."""
    changed = mutated(whole)
    packed = st.builds(lambda data, pack: pack(data), changed, st.sampled_from(PACKERS))
    wide = changed.map(lambda data: data.decode("utf-8", "replace").encode("utf-16"))
    return st.one_of(whole, changed, changed, packed, mutated(packed), wide, mutated(wide), st.binary(max_size=80))


def joined_by_zero(files):
    """Several files as one, as readers of several take them when coverage guides."""
    return st.tuples(*files).map(b"\0".join)


def packed_bomb(begin, size=2**28):
    """A small file that unpacks to `size` bytes; made in small steps, so that the memory of reading it shows."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:
        packed.write(begin)
        for _ in range(size // 2**20):
            packed.write(b" " * 2**20)
    return file.getvalue()


# ---- Saved models ----


def parts_of(data):
    """(about, {name: array}) of a saved model."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return json.loads(str(arrays.pop("about"))), arrays


def joined(about, arrays):
    """The bytes of a saved model made of such parts."""
    file = io.BytesIO()
    np.savez_compressed(file, about=np.array(about if isinstance(about, str) else json.dumps(about)), **arrays)
    return file.getvalue()


def _nodes(tree):
    """All (container, key) of a JSON tree."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, (dict, list)):
            yield from _nodes(value)


OTHERS = (None, 0, -1, 2**31, np.inf, np.nan, "", "x", [], {}, True, {"array": "array 0"})


@st.composite
def crafted(draw, data):
    """A saved model whose parts are whole, but not those that were saved: another number, shape, type or name."""
    about, arrays = parts_of(data)
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            holder, key = draw(st.sampled_from(list(_nodes(about))))
            holder[key] = deepcopy(draw(st.sampled_from(OTHERS)))  # or one could be put into itself
        else:
            name = draw(st.sampled_from(sorted(arrays)))
            arrays[name] = draw(changed_array(arrays[name]))
    return joined(about, arrays)


@st.composite
def changed_array(draw, array):
    """An array with another shape, type or number."""
    how = draw(st.sampled_from(("number", "number", "shorter", "longer", "type", "flat", "column")))
    if how == "shorter":
        return array[:-1] if array.ndim else array
    if how == "longer":
        return np.concatenate([array, array[-1:]]) if array.ndim else array
    if how == "flat":
        return array.ravel()[: draw(st.integers(0, max(array.size, 1)))]
    if how == "column":
        return array.reshape(*array.shape, 1)
    if how == "type":
        kind = draw(st.sampled_from(("f4", "i1", "i8", "U3", "c16", "?", "S1")))
        with np.errstate(invalid="ignore"):
            return array.real.astype(kind) if array.dtype.kind in "ifb" else array
    array = array.copy()
    if array.size and array.dtype.kind in "ifu":
        new = draw(st.sampled_from((0, -1, 1, 2**30, 10**6) + ((np.nan, np.inf) if array.dtype.kind == "f" else ())))
        if array.dtype.kind in "iu":  # another change may have made it narrow
            new = np.clip(new, np.iinfo(array.dtype).min, np.iinfo(array.dtype).max)
        array.flat[draw(st.integers(0, array.size - 1))] = new
    return array


def stored_bomb(size=2**28):
    """A small file whose array unpacks to `size` bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (size,)})
        with archive.open("about.npy", "w", force_zip64=True) as entry:
            entry.write(head.getvalue())
            for _ in range(size // 2**20):
                entry.write(bytes(2**20))
    return file.getvalue()
