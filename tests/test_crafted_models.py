"""Model files as somebody who means no good would write them: refused, or harmless; never a crash.

Files are crafted in two ways: with the hash computed anew, so that only the rules for each class stand in the way, and
without. What a file that is taken predicts is what the original predicts. They are read in a process of their own, so
that a segmentation fault would be seen.
"""

import io
import itertools
import json
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import ABOUT_ITEMS, ABOUT_USERS
from sklearn.base import clone

import content_table as ct
from content_table_parts import files

ROOT = Path(ct.__file__).parent
ORIGINALS = {
    "baseline": ct.BiasBaseline(),
    "ALS": ct.ALS(n_factors=3, reg=1, n_epochs=5, tol=0),
    "NMF": ct.NMF(n_factors=2, reg=1, n_epochs=5, tol=0),
    "SGD": ct.SGDMF(n_factors=2, n_epochs=5, patience=None),
    "content": ct.ContentMF(ABOUT_ITEMS, ABOUT_USERS, n_factors=2, n_epochs=5, patience=None),
    "content only": ct.ContentOnly(ABOUT_ITEMS),
    "Bayesian": ct.BayesianFM(2, 10, item_features=ABOUT_ITEMS, user_features=ABOUT_USERS, n_kept=4),
    "Bayesian regression": ct.BayesianFM(0, 10, implicit=False, n_kept=4),
    "Bayesian by week": ct.BayesianFM(2, 10, implicit=False, context=("week",), n_kept=4, n_chains=2),
    "neighbours": ct.ItemKNN(n_neighbors=2, shrinkage=1),
    "spectral": ct.SpectralRegularization(reg=1, biases=True),
    "nuclear norm": ct.NuclearNorm(),
    "popularity": ct.Popularity(),
    "implicit ALS": ct.ImplicitALS(n_factors=2, n_epochs=5, tol=0),
    "EASE": ct.EASE(2),
    "EASE, float32": ct.EASE(2, dtype="float32"),
    "EASE of few viewers": ct.EASE(2),
    "hybrid": ct.Hybrid(ct.ALS(n_factors=2, reg=1, n_epochs=5, tol=0), ABOUT_ITEMS),
    "graph filter": ct.GraphFilter(n_factors=2),
    "BPR": ct.BPR(n_factors=2, n_epochs=5),
    "deep": ct.DeepMF(n_factors=2, hidden=(3, 2), n_epochs=5),
    "MultVAE": ct.MultVAE(n_factors=2, n_hidden=3, n_epochs=5),
    "blend": ct.Blend(ct.BiasBaseline(), ct.ItemKNN(), weight=0.5),
}


# ---- Crafting ----


def opened(path):
    """(description, arrays) of a file."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return json.loads(str(arrays.pop("about"))), arrays


def written(path, about, arrays, hash_anew):
    """A file as `save` would write it, its hash computed anew or not."""
    if hash_anew:
        about["sha256"] = files._sha256(about, arrays)
    np.savez(path, **arrays, about=np.array(json.dumps(about)))


def nodes(packed, want):
    """All dicts inside a description that `want` accepts."""
    if isinstance(packed, dict):
        if want(packed):
            yield packed
        packed = list(packed.values())
    for part in packed if isinstance(packed, list) else []:
        yield from nodes(part, want)


def some(rng, choices):
    choices = list(choices)
    return choices[rng.integers(len(choices))]


WRONG_KINDS = ("float32", "float16", "complex128", ">f8", "S8", "U3", "int8", "bool", "V8")


def of_another_kind(rng, array):
    kind = some(rng, WRONG_KINDS)
    with np.errstate(all="ignore"):
        return np.zeros(array.shape, kind) if kind == "V8" or array.dtype.kind == "U" else array.astype(kind)


def of_another_shape(rng, array):
    return some(
        rng,
        [
            lambda: array[:-1],
            lambda: array[..., :-1],
            lambda: np.concatenate([array, array]),
            lambda: array[None],
            lambda: array.T if array.ndim > 1 else array[:, None],
            lambda: array.ravel() if array.ndim > 1 else array[:0],
            lambda: np.zeros(()),
            lambda: np.zeros((0, 2**40)),
        ],
    )()


def with_a_wild_number(rng, array):
    array = array.copy()
    if array.size and array.dtype.kind in "if":
        wild = [np.nan, np.inf, -np.inf] if array.dtype.kind == "f" else [2**30, -1, 2**62, -(2**40), 10**6]
        number = some(rng, wild)
        if abs(number) > 2**31 and array.dtype.kind == "i":
            array = array.astype(np.int64)  # as a stranger's file may have it
        array.flat[rng.integers(array.size)] = number
    return array


def array_changed(how):
    def change(rng, about, arrays):
        name = some(rng, sorted(arrays))
        arrays[name] = how(rng, arrays[name])

    return change


def two_arrays_swapped(rng, about, arrays):
    refers = list(nodes(about["content"], lambda node: set(node) == {"array"}))
    one, other = some(rng, refers), some(rng, refers)
    if arrays[one["array"]].shape != arrays[other["array"]].shape:  # else these are the numbers of another model
        one["array"], other["array"] = other["array"], one["array"]


def an_array_used_twice(rng, about, arrays):
    refers = list(nodes(about["content"], lambda node: set(node) == {"array"}))
    some(rng, refers)["array"] = some(rng, refers)["array"]


def an_array_missing_or_besides(rng, about, arrays):
    if rng.random() < 0.5:
        del arrays[some(rng, sorted(arrays))]
    else:
        arrays["array 999"] = np.ones(3)


def indices_of_a_sparse_table(rng, about, arrays):
    tables = list(nodes(about["content"], lambda node: "sparse" in node))
    if not tables:
        return array_changed(with_a_wild_number)(rng, about, arrays)
    table = some(rng, tables)
    data, indices, indptr = (part["array"] for part in table["sparse"])
    what = some(rng, ["far", "negative", "twice", "falling", "long", "short", "first", "shape", "narrow"])
    if what == "far":
        arrays[indices][-1] = 2**30
    elif what == "negative":
        arrays[indices][0] = -(2**20)
    elif what == "twice":
        arrays[indices][:] = 0
    elif what == "falling":
        arrays[indptr][1] = arrays[indptr][-1] + 5
    elif what == "long":
        arrays[indptr] = arrays[indptr].astype(np.int64)
        arrays[indptr][-1] = 2**40
    elif what == "short":
        arrays[data] = arrays[data][:-1]
    elif what == "first":
        arrays[indptr][0] = 3
    elif what == "shape":
        table["shape"] = some(rng, [[2**40, 2**40], [5], [-1, 3], ["a", 2], [0, 0], [5, 1], None, 7])
    else:
        arrays[indptr] = arrays[indptr].astype(np.int8).astype(float)
    return None


def a_part_of_a_state_dropped_or_renamed_or_besides(rng, about, arrays):
    state = some(rng, nodes(about["content"], lambda node: "kind" in node))["state"]
    name = some(rng, sorted(state))
    what = some(rng, ["drop", "rename", "besides", "underscore"])
    if what == "besides":
        state[some(rng, ["predict", "fit", "score_name", "__class__", "extra", "_scores"])] = 5
    elif what == "underscore":
        state[some(rng, ["extra_", "counts_", "first_", "__init__", "U_", "certified_", "user_extra_"])] = 5
    else:
        value = state.pop(name)
        if what == "rename":
            state[name + "x"] = value


def nested(depth):
    inner = 1
    for _ in range(depth):
        inner = {"list": [inner]}
    return inner


WRONG_VALUES = (
    None, "text", "", -1, 0, 1e400, float("nan"), True, 2**70, 10**9, -1e300, [], {}, [1, 2], {"array": "array 0"},
    {"array": 5}, {"array": None}, {"list": []}, {"list": [1, "a"]}, {"tuple": [1]}, {"tuple": [2, 1]}, {"dict": []},
    {"dict": [[1]]}, {"dict": 5}, {"list": 7}, {"kind": "Ratings", "state": {}}, {"kind": "open", "state": {"file": 1}},
    {"kind": "GlobalMean", "state": {}}, {"kind": 5, "state": {}}, {"kind": ["ALS"], "state": {}}, {"sparse": []},
    {"sparse": [1, 2, 3], "shape": [2, 2]}, nested(30), nested(400), {"kind": "Certificate", "state": {"primal": 1}},
)  # fmt: skip
TELLING = {"global_mean_", "biases", "n_neighbors", "shrinkage", "damping", "content_weight", "weight_"}


def a_value_of_a_state_of_another_kind(rng, about, arrays):
    """Anything in the place of anything, but for the few numbers of which any is that of another model."""
    state = some(rng, nodes(about["content"], lambda node: "kind" in node))["state"]
    state[some(rng, sorted(set(state) - TELLING))] = some(rng, WRONG_VALUES)


def another_kind(rng, about, arrays):
    node = some(rng, nodes(about["content"], lambda node: "kind" in node))
    node["kind"] = some(
        rng, [kind.__name__ for kind in ct.MODELS if kind.__name__ != node["kind"]] + ["Path", "TitlesOnly"]
    )


def another_description(rng, about, arrays):
    name = some(rng, sorted(about))
    what = rng.random()
    if what < 0.3:
        del about[name]
    elif what < 0.9:
        about[name] = some(rng, WRONG_VALUES)
    else:
        about["extra"] = 1


CHANGES = (
    array_changed(of_another_kind),
    array_changed(of_another_shape),
    array_changed(with_a_wild_number),
    two_arrays_swapped,
    an_array_used_twice,
    an_array_missing_or_besides,
    indices_of_a_sparse_table,
    a_part_of_a_state_dropped_or_renamed_or_besides,
    a_value_of_a_state_of_another_kind,
    another_kind,
    another_description,
)


def a_number_changed(rng, about, arrays):
    """The numbers of another model: told from damage by the hash alone."""
    names = [name for name in sorted(arrays) if arrays[name].dtype.kind == "f" and arrays[name].size]
    name = some(rng, names)
    arrays[name] = arrays[name].copy()
    arrays[name].flat[rng.integers(arrays[name].size)] += some(rng, [1e-9, 0.5, -3.0])


def a_setting_changed(rng, about, arrays):
    state = about["content"]["state"]
    name = some(rng, [name for name, value in state.items() if isinstance(value, (bool, int, float))])
    state[name] = not state[name] if isinstance(state[name], bool) else state[name] + 1


def the_order_of_a_table_changed(rng, about, arrays):
    names = [name for name in sorted(arrays) if arrays[name].ndim == 2 and min(arrays[name].shape) > 1]
    if not names:
        return a_number_changed(rng, about, arrays)
    name = some(rng, names)
    turned = np.asfortranarray if arrays[name].flags.c_contiguous else np.ascontiguousarray
    arrays[name] = turned(arrays[name])
    return None


LEGITIMATE = (a_number_changed, a_setting_changed, the_order_of_a_table_changed)


# ---- Reading ----

READ = """
import json, sys
import numpy as np
import content_table as ct

originals = np.load(sys.argv[1])


def uses(model):
    item, user = model.ratings_.item_ids.tolist()[0], model.ratings_.user_ids.tolist()[0]
    yield lambda: model.fold_in({item: 9.0}).recommend(3, uncertainty=True)
    yield lambda: model.fold_in({item: 9.0}).explain(item)
    yield lambda: model.viewer(user).explain(item)
    yield lambda: model.update(ct.Ratings([user], [item], [0], [0], [3.0]))
    yield lambda: model.rating_probabilities([user], [item])
    yield lambda: model.diagnostics()


def works(model):
    found = []
    for use in uses(model):
        try:
            use()
            found.append("")
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


for path in sys.stdin.read().split("\\n"):
    print(path, end="\\t", flush=True)
    try:
        model = ct.load_model(path)
    except ValueError as error:
        told = str(error).startswith(path.rsplit("/", 1)[-1]) and len(str(error)) < 2000
        print("refused" if told else f"refused badly: {error}", flush=True)
        continue
    except BaseException as error:
        print(f"crashed: {type(error).__name__}: {error}".replace("\\n", " "), flush=True)
        continue
    try:
        scores = model.complete(), model.predict_cells(*map(np.ravel, np.indices(model.ratings_.shape)))
        before = originals[path.rsplit("/", 1)[-1].split(".")[0]]
        same = np.array_equal(scores[0], before[0]) and np.array_equal(scores[1].reshape(before[1].shape), before[1])
        first = ct.load_model(f"{path.rsplit('/', 1)[0]}/original {path.rsplit('/', 1)[-1].split('.')[0]}.npz")
        odd = [new for old, new in zip(works(first), works(model), strict=True) if new and not old]
        if odd:
            print(f"crashed in use: {odd[0]}".replace("\\n", " "), flush=True)
            continue
        print("taken, predicts the same" if same else "taken, predicts otherwise", flush=True)
    except BaseException as error:
        print(f"crashed in predict: {type(error).__name__}: {error}".replace("\\n", " "), flush=True)
"""


def read_all(paths, originals):
    """What became of each file, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", READ, str(originals)],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {done.returncode} at {lines[-1:]}: {done.stderr[-2000:]}"
    assert len(lines) == len(paths)
    return {Path(path).name: outcome for path, outcome in lines}


@pytest.fixture(scope="module")
def workshop(table, tmp_path_factory):
    """A folder with the originals and what they predict."""
    folder, scores = tmp_path_factory.mktemp("crafted"), {}
    for name, original in ORIGINALS.items():
        weeks = np.array(["one", "two"])[np.arange(len(table)) % 2]
        known = replace(table, context={"week": weeks} if "week" in name else {})
        few = table.restrict(np.arange(table.n_users) < 2, np.arange(table.n_items) >= 0)
        known = few if "few" in name else known
        model = clone(original).fit(known)
        model.save(folder / f"original {name}.npz")
        every = np.indices(known.shape)
        scores[name] = np.array([model.complete(), model.predict_cells(*map(np.ravel, every)).reshape(known.shape)])
    np.savez(folder / "scores.npz", **scores)
    return folder


def craft(folder, count, seed):
    """`count` files: two in three changed with the hash computed anew, the others without, or so that only it tells."""
    rng, paths = np.random.default_rng(seed), {}
    for at in range(count):
        name = some(rng, ORIGINALS)
        about, arrays = opened(folder / f"original {name}.npz")
        hash_anew = at % 3 < 2
        change = some(rng, CHANGES if hash_anew or rng.random() < 0.5 else LEGITIMATE)
        before = json.dumps(about), files._sha256(about, arrays)
        change(rng, about, arrays)
        path = folder / f"{name}.{seed}.{at}.npz"
        written(path, about, arrays, hash_anew)
        paths[path] = hash_anew or (json.dumps(about), files._sha256(about, arrays)) == before
    return paths


def check(folder, count, seed):
    paths = craft(folder, count, seed)
    outcomes = read_all(list(paths), folder / "scores.npz")
    counts = Counter(outcomes.values())
    print(f"{count} crafted files: {dict(counts)}")
    assert set(counts) <= {"refused", "taken, predicts the same"}, {
        name: outcome for name, outcome in outcomes.items() if outcome not in ("refused", "taken, predicts the same")
    }
    assert counts["refused"] > 0.7 * count
    untold = [
        path.name for path, may_be_taken in paths.items() if not may_be_taken and outcomes[path.name] != "refused"
    ]
    assert untold == []


def test_crafted_files_are_refused_or_harmless(workshop):
    check(workshop, 60, 0)


@pytest.mark.slow
def test_a_thousand_crafted_files_are_refused_or_harmless(workshop):
    check(workshop, 1000, 1)


def test_the_originals_and_their_copies_are_taken(workshop):
    paths = []
    for name in ORIGINALS:
        paths.append(workshop / f"{name}.copy.npz")
        written(paths[-1], *opened(workshop / f"original {name}.npz"), hash_anew=True)
    assert set(read_all(paths, workshop / "scores.npz").values()) == {"taken, predicts the same"}


# ---- Named cases ----


def crafted(folder, name, change):
    """The path of a file whose hash is right and whose description and arrays were changed."""
    about, arrays = opened(folder / f"original {name}.npz")
    change(about["content"]["state"], arrays)
    written(folder / "crafted.npz", about, arrays, hash_anew=True)
    return folder / "crafted.npz"


def put(name, value):
    """A change of one learnt array, or of the indices of a sparse one, by a function of it."""

    def change(state, arrays):
        key = state[name]["array"] if "array" in state[name] else state[name]["sparse"][1]["array"]
        arrays[key] = value(arrays[key])

    return change


def besides(name):
    """A change that tells a part of the model more than it can know."""
    return lambda state, arrays: state[name]["state"].update(colour=1)


def longer(name):
    """A change that trebles the numbers of a sparse table."""

    def change(state, arrays):
        arrays[state[name]["sparse"][0]["array"]] *= 3

    return change


def say(name, value):
    return lambda state, arrays: state.update({name: value})


@pytest.mark.parametrize(
    ("original", "change", "words"),
    [
        ("ALS", put("user_factors_", lambda P: P[:, :1]), r"ALS.user_factors_ must be .*\(m=6, k=3\), got .*\(6, 1\)"),
        ("ALS", put("item_factors_", lambda Q: Q[:3]), r"ALS.item_factors_ must be .*\(n=5, k=3\), got .*\(3, 3\)"),
        ("ALS", put("item_factors_", lambda Q: Q.astype("f4")), r"item_factors_ must be an array of float64.*float32"),
        ("ALS", put("item_bias_", lambda b: b + np.nan), r"ALS.item_bias_ must be finite, got 5 entries"),
        ("ALS", say("n_factors", 4), r"ALS.user_factors_ must be .*k=4\), got .*\(6, 3\)"),
        ("ALS", say("n_factors", "3"), r"n_factors must be a whole number, got '3'"),
        ("ALS", say("reg", -5), r"reg must be at least 0, got -5"),
        ("ALS", say("biases", "yes"), r"biases must be True or False, got 'yes'"),
        ("ALS", say("global_mean_", None), r"ALS.global_mean_ must be a finite number, got None"),
        ("ALS", say("noise_", -1.0), r"ALS.noise_ must be a finite number from 0, got -1.0"),
        ("ALS", say("history_", {"list": [5]}), r"ALS.history_ must be a list of dicts of numbers, got list"),
        ("ALS", say("extra_", 1), r"ALS.extra_ is nothing that a ALS learns"),
        ("neighbours", put("similarity_", lambda at: at + 2**30), r"ItemKNN.similarity_ must have columns 0..4, got"),
        ("neighbours", put("similarity_", lambda at: np.where(at == 4, 5, at)), r"must have columns 0..4, got"),
        ("neighbours", put("similarity_", lambda at: at * 0), r"ItemKNN.similarity_ must have each column once"),
        ("content", put("item_table_", lambda at: at - 2**30), r"ContentMF.item_table_ must have columns 0..2, got"),
        ("content", put("feature_weights_", lambda W: W[:, :2]), r"feature_weights_ must be .*\(m=6, d=3\), got"),
        ("content", say("shared_weights", False), r"ContentMF.user_table_ must be .*f=2\), got .*\(6, 3\)"),
        ("content", say("item_features", None), r"item_features must be Features, got None"),
        ("content", besides("item_features"), r"item_features must have .*, got \['colour'\] besides"),
        ("spectral", put("Vt_", lambda V: V[:, :2]), r"SpectralRegularization.Vt_ must be .*n=5\), got"),
        ("spectral", put("s_", lambda s: -s), r"SpectralRegularization.s_ must be .*at least 0"),
        ("spectral", say("certified_", 3), r"certified_ must be Certificate, got 3"),
        ("nuclear norm", say("violation_", "none"), r"violation_ must be a finite number from 0, got 'none'"),
        ("SGD", say("best_epoch_", 10**15), r"best_epoch_ is 1000000000000000, but history_ has 5 passes"),
        ("EASE", put("item_weights_", lambda B: B * 1e300), r"item_weights_ must have numbers of at most 1e\+150, got"),
        ("EASE of few viewers", put("item_roots_", lambda V: np.repeat(V, 3, axis=1) / 9), "at most one column for"),
        ("MultVAE", say("n_hidden", 2**62), r"item_weights_ must be .*\(n=5, h=4611686018427387904\), got"),
        ("deep", say("n_negatives", 2**62), r"n_negatives must be at most 10000, got"),
        ("graph filter", put("item_directions_", lambda V: np.hstack([V, V])), r"item_directions_ must have at most 2"),
        ("EASE", put("item_weights_", lambda B: B + 1), r"item_weights_ must be .*diagonal of 0"),
        ("graph filter", longer("item_roots_"), r"item_roots_ must be .*of rows at most 1 long"),
        ("graph filter", put("item_degrees_", lambda d: -d), r"item_degrees_ must be .*at least 0"),
        ("popularity", put("counts_", lambda c: -c), r"counts_ must be .*at least 0"),
        ("blend", say("weight_", 1.5), r"Blend.weight_ must be a finite number from 0 to 1, got 1.5"),
        ("blend", say("first", {"kind": "GlobalMean", "state": {}}), r"first_ must be a GlobalMean as the setting is"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(workshop, original, change, words):
    with pytest.raises(ValueError, match=rf"^crafted.npz is damaged or is not a saved model: .*{words}"):
        ct.load_model(crafted(workshop, original, change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda shape: shape.append(2),
            r"similarity_ must be a sparse table of two axes, got the shape \(5, 5, 2\)",
        ),
        (lambda shape: shape.__setitem__(0, -5), "must be a sparse table of two axes"),
        (lambda shape: shape.__setitem__(1, 2**31), "must be a sparse table of two axes"),
        (lambda shape: shape.__setitem__(1, 5.0), "must be a sparse table of two axes"),
        (lambda shape: shape.__setitem__(0, 4), "must be a sparse table of 4 rows, got"),
    ],
)
def test_the_shape_of_a_sparse_table_is_that_of_its_arrays(workshop, change, words):
    with pytest.raises(ValueError, match=rf"^crafted.npz is damaged or is not a saved model: .*{words}"):
        ct.load_model(crafted(workshop, "neighbours", lambda state, arrays: change(state["similarity_"]["shape"])))


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (0, lambda data: data[:-1], "must be a sparse table of 5 rows"),
        (0, lambda data: data[:, None], "must be a sparse table of 5 rows"),
        (1, lambda cols: cols.astype(float), "must be a sparse table of 5 rows"),
        (2, lambda start: start[:-1], "must be a sparse table of 5 rows"),
        (2, lambda start: start + 1, "must have rows that begin at rising places from 0"),
        (2, lambda start: np.append(start[:-1], start[-1] - 1), "must have rows that begin at rising places from 0"),
        (2, lambda start: np.append(np.append(0, start[-2:0:-1]), start[-1]), "must have rows that begin at rising"),
    ],
)
def test_the_arrays_of_a_sparse_table_are_those_of_one(workshop, at, value, words):
    def change(state, arrays):
        key = state["similarity_"]["sparse"][at]["array"]
        arrays[key] = value(arrays[key])

    with pytest.raises(ValueError, match=rf"^crafted.npz is damaged or is not a saved model: .*similarity_ {words}"):
        ct.load_model(crafted(workshop, "neighbours", change))


def test_a_file_larger_than_the_limit_is_refused_by_its_size(workshop, monkeypatch):
    path = workshop / "original ALS.npz"
    monkeypatch.setattr(files, "MAX_MODEL_BYTES", path.stat().st_size - 1)
    with pytest.raises(
        ValueError, match=f"it has {path.stat().st_size:,} bytes; the limit is {files.MAX_MODEL_BYTES:,}"
    ):
        ct.load_model(path)


def test_numbers_that_are_written_as_whole_ones_are_taken(table, tmp_path):
    ct.GlobalMean().fit(table).save(tmp_path / "mean.npz")
    about, arrays = opened(tmp_path / "mean.npz")
    about["content"]["state"]["global_mean_"] = 6
    written(tmp_path / "mean.npz", about, arrays, hash_anew=True)
    assert ct.load_model(tmp_path / "mean.npz").fold_in({table.item_ids[0]: 8.0}).scores.tolist() == [6.0] * 5
    about["content"]["state"]["global_mean_"] = 10**400
    written(tmp_path / "mean.npz", about, arrays, hash_anew=True)
    with pytest.raises(ValueError, match="must be a finite number, got 1"):
        ct.load_model(tmp_path / "mean.npz")


def each(*changes):
    return lambda state, arrays: [change(state, arrays) for change in changes]


def wider(factors):
    return np.hstack([factors, factors])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            each(*(put(f"{side}_factors_", wider) for side in ("user", "item", "context"))),
            r"factors_ must be .*q=8\), got",
        ),
        (put("priors_", lambda A: A[:, :1]), r"priors_ must be .*\(b=3, t=2, s=4, c=3\), got .*\(3, 1, 4, 3\)"),
        (put("priors_", lambda A: A[:2]), r"priors_ must be .*b=3"),
        (put("priors_", lambda A: np.concatenate([A, A[..., :1]], 3)), r"priors_ must be .*c=3"),
        (put("priors_", lambda A: -np.abs(A)), r"priors_ must be .*precisions above 0"),
        (put("thresholds_", lambda A: A[:-1]), r"thresholds_ must be .*rising of shape \(h=9\), got .*\(8,\)"),
        (put("thresholds_", lambda A: A[::-1].copy()), r"thresholds_ must be .*rising"),
        (say("noise_spread_", 1e9), r"noise_spread_ must be a finite number from 0 to 10, got"),
        (say("context", {"tuple": []}), r"priors_ must be .*b=2"),
        (say("context", {"tuple": [5]}), r"context_values_ must have an array for each of the context \[5\]"),
        (say("n_chains", 4), r"history_ must have the noise of each of n_chains=4 chains"),
        (say("n_chains", 3), r"4 samples cannot be those of n_chains=3"),
        (say("implicit", True), r"rated_weights_ must be there"),
    ],
)
def test_what_does_not_fit_together_in_samples_is_named(workshop, change, words):
    with pytest.raises(ValueError, match=rf"^crafted.npz is damaged or is not a saved model: .*{words}"):
        ct.load_model(crafted(workshop, "Bayesian by week", change))


@pytest.mark.parametrize("values", [["two", "one"], ["one", "two", "two"], [["one", "two"]], []])
def test_values_of_a_context_are_as_a_fit_sorts_them(workshop, values):
    def change(state, arrays):
        arrays[state["context_values_"]["tuple"][0]["array"]] = np.array(values, dtype="U3")

    with pytest.raises(ValueError, match=r"context_values_ must be arrays of rising values|context_biases_ must be"):
        ct.load_model(crafted(workshop, "Bayesian by week", change))


def test_a_singular_value_of_zero_is_one_that_a_fit_may_learn(workshop):
    def change(state, arrays):
        arrays[state["s_"]["array"]][-1] = 0.0

    assert ct.load_model(crafted(workshop, "spectral", change)).s_[-1] == 0.0


def test_an_array_that_nothing_in_the_model_refers_to_is_refused(workshop):
    def change(state, arrays):
        arrays["passenger"] = np.zeros(3)

    with pytest.raises(ValueError, match=r"nothing in the model refers to \['passenger'\]"):
        ct.load_model(crafted(workshop, "ALS", change))


@pytest.mark.parametrize("said", ["BiasBaseline", "SGDMF"])
def test_the_content_is_the_model_that_the_file_says(workshop, said):
    about, arrays = opened(workshop / "original ALS.npz")
    written(workshop / "crafted.npz", about | {"model": said}, arrays, hash_anew=True)
    with pytest.raises(ValueError, match=f"the content must be a fitted {said}, got ALS"):
        ct.load_model(workshop / "crafted.npz")
    about["content"]["state"]["ratings_"] = None
    written(workshop / "crafted.npz", about, arrays, hash_anew=True)
    with pytest.raises(ValueError, match="is damaged or is not a saved model: "):
        ct.load_model(workshop / "crafted.npz")


def test_similarities_that_are_not_symmetric_are_refused(workshop):
    def change(state, arrays):
        arrays[state["similarity_"]["sparse"][0]["array"]][0] /= 2

    with pytest.raises(ValueError, match=r"similarity_ must be .*symmetric"):
        ct.load_model(crafted(workshop, "neighbours", change))


def test_models_of_a_blend_must_know_its_users_and_items(workshop, table, four):
    ct.BiasBaseline().fit(four).save(workshop / "four.npz")
    about, arrays = opened(workshop / "original blend.npz")
    other, more = opened(workshop / "four.npz")
    rename = json.dumps(other["content"]).replace('"array ', '"other ')
    about["content"]["state"]["first_"] = json.loads(rename)
    arrays |= {name.replace("array", "other"): array for name, array in more.items()}
    refers = {node["array"] for node in nodes(about["content"], lambda node: set(node) == {"array"})}
    written(workshop / "two tables.npz", about, {name: arrays[name] for name in refers}, hash_anew=True)
    with pytest.raises(ValueError, match="first_ must know the users and items of ratings_, got Ratings"):
        ct.load_model(workshop / "two tables.npz")


# ---- Sizes ----


def zipped(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)


def header(shape, dtype="<f8", version=b"\x01\x00"):
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text


def entries_of(path):
    with zipfile.ZipFile(path) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


@pytest.fixture
def no_array_is_read(monkeypatch):
    def read(stream, **options):
        raise AssertionError("an array was read")

    monkeypatch.setattr(files.npy, "read_array", read)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header((2**31,)), "header for .* bytes, but .* of them"),
        (header((2**40, 2**40)), "header for"),
        (header((-1,)) + b"\x00" * 8, "header for"),
        (header((-1, -1)) + bytes(8), "header for"),
        (header((-1, -1, 5)) + bytes(40), "header for"),
        (header((10**18,), "<U0"), "must hold numbers, text or moments"),
        (header((), "|O"), "must hold numbers, text or moments .allow_pickle=False., got object"),
        (header((), [("a", "<f8")]), "must hold numbers, text or moments"),
        (header((), "<f8", b"\x03\x00"), "header of version 1 or 2"),
        (header((2,)), "header for"),
        (b"no header", "magic string"),
    ],
)
def test_a_header_that_promises_what_is_not_there_is_refused_unread(workshop, no_array_is_read, content, words):
    entries = entries_of(workshop / "original ALS.npz")
    zipped(workshop / "bomb.npz", [("array 0.npy", content), *entries[1:]])
    with pytest.raises(ValueError, match=rf"^bomb.npz is damaged or is not a saved model: .*{words}"):
        ct.load_model(workshop / "bomb.npz")


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MAX_MODEL_BYTES", 10**5, r"its arrays take .* GiB; the limit is .*files.MAX_MODEL_BYTES"),
        ("MAX_DESCRIPTION_BYTES", 100, r"its description takes .*MAX_DESCRIPTION_BYTES"),
        ("MAX_ARRAYS", 5, r"it has \d+ arrays; the limit is 5"),
    ],
)
def test_more_than_the_limits_is_refused_unread_and_not_written(
    workshop, table, no_array_is_read, monkeypatch, limit, value, words
):
    zeros = header((10**5,)) + bytes(8 * 10**5)  # a hundredth of that in the file
    zipped(workshop / "large.npz", [*entries_of(workshop / "original ALS.npz"), ("zeros.npy", zeros)])
    assert (workshop / "large.npz").stat().st_size < 10**5
    monkeypatch.setattr(files, limit, value)
    with pytest.raises(ValueError, match=words):
        ct.load_model(workshop / "large.npz")
    if limit != "MAX_MODEL_BYTES":
        with pytest.raises(ValueError, match=f"this model cannot be saved: {words}"):
            ct.GlobalMean().fit(table).save(workshop / "never.npz")
        assert not (workshop / "never.npz").exists()


def test_an_array_may_have_a_header_of_version_1_or_2(workshop):
    path, again = workshop / "original ALS.npz", workshop / "version 2.npz"
    entries = []
    for name, content in entries_of(path):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.load(io.BytesIO(content)), version=(2, 0))
        assert stream.getvalue() != content
        entries.append((name, stream.getvalue()))
    zipped(again, entries)
    assert np.array_equal(ct.load_model(again).complete(), ct.load_model(path).complete())


@pytest.mark.parametrize("limit", ["MAX_MODEL_BYTES", "MAX_DESCRIPTION_BYTES", "MAX_ARRAYS"])
def test_a_file_may_be_as_large_as_the_limit(workshop, monkeypatch, limit):
    path = workshop / "original ALS.npz"
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    exact = {
        "MAX_MODEL_BYTES": sum(sizes.values()),
        "MAX_DESCRIPTION_BYTES": sizes["about.npy"],
        "MAX_ARRAYS": len(sizes),
    }[limit]
    assert exact > path.stat().st_size or limit != "MAX_MODEL_BYTES"
    monkeypatch.setattr(files, limit, exact)
    ct.load_model(path)
    monkeypatch.setattr(files, limit, exact - 1)
    with pytest.raises(ValueError, match="the limit is"):
        ct.load_model(path)


def test_two_arrays_of_one_name_and_other_compressions_are_refused(workshop):
    entries = entries_of(workshop / "original ALS.npz")
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped(workshop / "twice.npz", [*entries, entries[0]])
    with pytest.raises(ValueError, match="two of its arrays have one name"):
        ct.load_model(workshop / "twice.npz")
    with zipfile.ZipFile(workshop / "bz2.npz", "w", zipfile.ZIP_BZIP2) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="compressed in a way that save does not use"):
        ct.load_model(workshop / "bz2.npz")


def test_models_may_be_nested_so_deep_and_no_deeper(table, tmp_path):
    model = ct.GlobalMean()
    for _ in range(5):
        model = ct.Blend(model, ct.GlobalMean(), weight=0.5)
    model.fit(table).save(tmp_path / "deep.npz")
    assert np.array_equal(ct.load_model(tmp_path / "deep.npz").complete(), model.complete())
    for _ in range(files.MAX_DEPTH):
        model = ct.Blend(model, ct.GlobalMean(), weight=0.5, prefit=True)
    with pytest.raises(ValueError, match="levels deep"):
        files._unpack(nested(files.MAX_DEPTH + 2), {}, {})


# ---- Every attribute: as save writes it, and in no other form ----

FORMS = {"text": "text", "a switch": True, "a whole number": 5, "a half": 0.5}
FORMS |= {"a list": {"list": []}, "a tuple": {"tuple": []}, "a dict": {"dict": []}}
KINDS = ("float32", "float64", "int32", "int64", "bool", "U3", "M8[s]", "complex128")
NUMBERS, IDS = {"a whole number", "a half"}, {"float32", "float64", "int32", "U3"}
ALSO_TAKEN = {
    "user_ids item_ids ids": IDS,
    "rows cols item_counts": {"int32"},
    "item_counts_": {"nothing", "int32"},
    "times": {"nothing", "float32", "float64", "int32", "bool", "M8[s]"},
    "titles user_names": {"nothing"},
    "primal dual global_mean_ violation_ noise_spread_": NUMBERS,
    "noise_": NUMBERS | {"nothing"},
    "weight_": {"a half"},
    "best_epoch_": {"a whole number"},
    "has_seasons proven": {"a switch"},
    "fingerprint": {"text"},
    "dropped context": {"a dict"},
    "notes context_values_": {"a tuple"},
    "history_": {"a list"},
    "updates_": {"a list", "nothing"},
    "EASE.item_weights_": {"float32"},
    "EASE.item_roots_": {"float32", "longer by axis 1"},  # as many columns as there were viewers
    "GraphFilter.item_roots_": {"dense", "longer by axis 1"},  # T', or turned to axes that are nobody's
}  # besides the form in which the first model has it
ALSO_TAKEN = {name: forms for names, forms in ALSO_TAKEN.items() for name in names.split()}


@pytest.fixture(scope="module")
def originals(workshop, table):
    """{name: (description, arrays)}: the workshop's files, one without viewers, and one brought up to date."""
    model = clone(ORIGINALS["ALS"]).fit(table)
    model.save(workshop / "original without viewers.npz", with_ratings=False)
    again = model.update(ct.Ratings([101], [13], [0], [0], [3.0]))
    again.noise()
    again.save(workshop / "original up to date.npz")
    return {name: opened(workshop / f"original {name}.npz") for name in [*ORIGINALS, "without viewers", "up to date"]}


def is_taken(about, arrays, state, name, value):
    """Whether the rules let a file through whose attribute is `value`; its hash is another matter."""
    before = dict(state)
    state[name] = value
    try:
        files._unpack(about["content"], dict(arrays), files._by_name(ct.MODELS))
    except (TypeError, ValueError):
        return False
    finally:
        state.clear()
        state.update(before)
    return True


@pytest.fixture(scope="module")
def attributes(originals):
    """{name of the first file that has it: [(kind, state, name)]} of what classes learn, once for each rule."""
    met, found = set(), {name: [] for name in originals}
    for original, (about, _) in originals.items():
        for node in nodes(about["content"], lambda node: "kind" in node):
            kind, state = node["kind"], node["state"]
            learnt = files._LEARNT[kind] if kind in files._PARTS else files._rules(getattr(ct, kind))
            for name in state.keys() & learnt.keys():
                if (name, id(learnt[name])) not in met and state[name] is not None:
                    met.add((name, id(learnt[name])))
                    found[original].append((kind, state, name))
    assert sum(map(len, found.values())) > 70
    return found


def other_arrays(array):
    """(what, the array in another form)."""
    if array.dtype.kind == "U":
        yield from (("numbers", np.ones(array.shape)), ("bytes", array.astype("S")))
    else:
        for kind in (kind for kind in KINDS if np.dtype(kind) != array.dtype):
            yield kind, np.ones(array.shape, kind) if kind == "M8[s]" else array.astype(kind)
    if array.ndim == 2 and array.dtype.kind == "f":
        yield "sparse", sp.csr_array(array)
    yield from (("an axis more", array[None]), ("an axis more at the end", array[..., None]))
    for axis in range(array.ndim):
        yield f"longer by axis {axis}", np.concatenate([array, np.take(array, [-1], axis)], axis)


def other_tables(table):
    """(what, the sparse table in another form)."""
    yield "dense", table.toarray()
    yield from ((kind, table.astype(kind)) for kind in ("float32", "int64", "bool"))
    for axis, longer in enumerate(([table, table[:1] * 0], [table, table[:, :1] * 0])):
        yield f"longer by axis {axis}", sp.csr_array((sp.vstack, sp.hstack)[axis](longer))


def packed(array):
    """(description, arrays) of an array or of a sparse table."""
    parts = (array.data, array.indices, array.indptr) if sp.issparse(array) else (array,)
    arrays = {f"other {at}": part for at, part in enumerate(parts)}
    refers = [{"array": name} for name in arrays]
    return ({"sparse": refers, "shape": list(array.shape)} if sp.issparse(array) else refers[0]), arrays


def other_forms(value, arrays):
    """(what, another value, with the arrays that it refers to)."""
    if isinstance(value, dict) and "array" in value:
        yield from ((what, *packed(other)) for what, other in other_arrays(arrays[value["array"]]))
    elif isinstance(value, dict) and "sparse" in value:
        parts = tuple(arrays[part["array"]] for part in value["sparse"])
        for what, other in other_tables(sp.csr_array(parts, shape=value["shape"])):
            yield what, *packed(other)
    else:
        yield from ((what, form, {}) for what, form in FORMS.items())
    yield "nothing", None, {}


@pytest.mark.parametrize("original", [*ORIGINALS, "without viewers", "up to date"])
def test_what_a_model_learns_is_taken_as_a_fit_may_leave_it_and_in_no_other_form(originals, attributes, original):
    about, arrays = originals[original]
    assert is_taken(about, arrays, about["content"]["state"], "ratings_", about["content"]["state"]["ratings_"])
    for kind, state, name in attributes[original]:
        forms = other_forms(state[name], arrays)
        taken = {what for what, value, more in forms if is_taken(about, arrays | more, state, name, value)}
        assert taken == ALSO_TAKEN.get(f"{kind}.{name}", ALSO_TAKEN.get(name, set())), f"{kind}.{name}"


SMALLEST, MOST = 5e-324, files.MAX_NUMBER
ABOVE_MOST = float(np.nextafter(MOST, np.inf))


@pytest.mark.parametrize(
    ("original", "name", "inside", "outside"),
    [
        ("ALS", "global_mean_", [-MOST, -1, MOST, 3], [-ABOVE_MOST, ABOVE_MOST, np.nan, np.inf, -(10**400)]),
        ("up to date", "noise_", [0, 0.0, MOST], [-SMALLEST, ABOVE_MOST]),
        ("SGD", "best_epoch_", [1, 5], [0, 6, 1.0, 1.5, True]),
        ("Bayesian", "noise_spread_", [0, 10], [-SMALLEST, np.nextafter(10, 11), False]),
        ("nuclear norm", "violation_", [0, MOST], [-SMALLEST, True]),
        ("blend", "weight_", [0, 1], [-SMALLEST, np.nextafter(1, 2)]),
    ],
)
def test_a_number_may_lie_at_its_bounds_and_no_further(originals, original, name, inside, outside):
    about, arrays = originals[original]
    state = about["content"]["state"]
    assert [is_taken(about, arrays, state, name, value) for value in inside] == [True] * len(inside)
    assert [is_taken(about, arrays, state, name, value) for value in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    ("ends", "may_be"),
    [
        ({"tuple": [1, 10.0]}, True),
        ({"tuple": [1.0, 10.0, 20.0]}, False),
        ({"tuple": [1.0]}, False),
        ({"tuple": [1.0, np.inf]}, False),
        ({"tuple": [np.nan, 10.0]}, False),
        ({"tuple": [True, 10.0]}, False),
        ({"list": [1.0, 10.0]}, False),
    ],
)
def test_a_scale_is_two_finite_numbers(originals, ends, may_be):
    about, arrays = originals["ALS"]
    about = json.loads(json.dumps(about))
    about["content"]["state"]["ratings_"]["state"]["scale"] = ends
    if may_be:
        files._unpack(about["content"], dict(arrays), files._by_name(ct.MODELS))
    else:
        with pytest.raises(ValueError, match=r"scale must be two finite numbers, got (tuple|list)"):
            files._unpack(about["content"], dict(arrays), files._by_name(ct.MODELS))


def with_numbers(original, name, numbers):
    """Whether a file is taken in which these are the numbers of an array, or of a sparse table, by their places."""
    about, arrays = original
    value = about["content"]["state"][name]
    key = value["array"] if "array" in value else value["sparse"][0]["array"]
    array = arrays[key].copy()
    for place, number in numbers.items():
        array[place] = number
    return is_taken(about, arrays | {key: array}, about["content"]["state"], name, value)


@pytest.mark.parametrize(
    ("original", "name", "place", "inside", "outside"),
    [
        ("ALS", "item_bias_", -1, [MOST, -MOST], [ABOVE_MOST, -ABOVE_MOST, np.nan, np.inf, -np.inf]),
        ("up to date", "item_counts_", 0, [0], [-1]),
        ("popularity", "counts_", 0, [0, MOST], [-SMALLEST]),
        ("graph filter", "item_degrees_", 0, [0], [-SMALLEST]),
        ("NMF", "user_factors_", (0, 0), [0], [-SMALLEST]),
        ("NMF", "item_factors_", (0, 0), [0], [-SMALLEST]),
        ("spectral", "s_", -1, [0], [-SMALLEST]),
        ("Bayesian", "noises_", 0, [SMALLEST], [0]),
        ("Bayesian", "priors_", (0, 0, 0, 0), [-1, 0], []),  # a mean
        ("Bayesian", "priors_", (0, 1, 0, 0), [SMALLEST], [0]),  # its precision
    ],
)
def test_the_numbers_of_an_array_may_lie_at_their_bounds_and_no_further(
    originals, original, name, place, inside, outside
):
    found = [with_numbers(originals[original], name, {place: number}) for number in [*inside, *outside]]
    assert found == [True] * len(inside) + [False] * len(outside)


def test_steps_rise_and_thresholds_do_not_fall(originals):
    original = about, arrays = originals["Bayesian"]
    state = about["content"]["state"]
    for name, may_repeat in (("steps_", False), ("thresholds_", True)):
        second = arrays[state[name]["array"]][1]
        for first, rises in ((np.nextafter(second, -np.inf), True), (second, may_repeat)):
            assert with_numbers(original, name, {0: first}) is rises
        assert not with_numbers(original, name, {0: np.nextafter(second, np.inf)})


def of_two_titles(numbers, original):
    """Whether a file of similarities is taken that has these, by row and column, in the place of its own."""
    about, arrays = original
    cells = np.array(list(numbers)).reshape(-1, 2).T
    stored = sp.csr_array((np.array(list(numbers.values()), float), (cells[0], cells[1])), shape=(5, 5))
    value, more = packed(stored)
    return is_taken(about, arrays | more, about["content"]["state"], "similarity_", value)


@pytest.mark.parametrize(
    ("numbers", "may_be"),
    [
        ({}, True),
        ({(0, 1): 1.0, (1, 0): 1.0}, True),
        ({(0, 1): SMALLEST, (1, 0): SMALLEST}, True),
        ({(0, 1): 0.0, (1, 0): 0.0}, False),
        ({(0, 1): np.nextafter(1, 2), (1, 0): np.nextafter(1, 2)}, False),
        ({(0, 1): 0.5, (1, 0): 0.5, (3, 3): 0.5}, False),
        ({(0, 1): 0.5, (1, 0): np.nextafter(0.5, 1)}, False),
        ({(0, 1): 0.5}, False),
        ({(0, 1): 0.5, (1, 0): 0.5, (2, 4): 1.5, (4, 2): 1.5}, False),
        ({(0, 1): 0.5, (1, 0): 0.5, (2, 4): -0.5, (4, 2): -0.5}, False),
    ],
)
def test_similarities_are_symmetric_above_0_and_at_most_1_and_of_two_titles(originals, numbers, may_be):
    assert of_two_titles(numbers, originals["neighbours"]) is may_be


@pytest.mark.parametrize("form", [sp.csr_array, np.array])
@pytest.mark.parametrize(
    ("row", "may_be"),
    [([0.6, 0.8], True), ([1.0, 1e-9**0.5], True), ([1.0, 2e-9**0.5], False), ([2.0, 0.0], False), ([0, 0], True)],
)
def test_walks_end_somewhere(originals, form, row, may_be):
    """The squares of a row of the table of walks sum up to at most 1, to rounding."""
    about, arrays = originals["graph filter"]
    roots = np.vstack([np.full((4, 2), 0.1), row])
    value, more = packed(form(roots))
    assert is_taken(about, arrays | more, about["content"]["state"], "item_roots_", value) is may_be


@pytest.mark.parametrize("kind", ["float64", "float32"])
def test_a_title_keeps_less_than_1_of_its_root(originals, kind):
    about, arrays = originals["EASE of few viewers"]
    for end, may_be in ((np.nextafter(np.ones((), kind), 0), True), (1, False)):
        value, more = packed(np.vstack([np.full((4, 2), 0.1), [0, end]]).astype(kind))
        assert is_taken(about, arrays | more, about["content"]["state"], "item_roots_", value) is may_be


@pytest.mark.parametrize("original", ["EASE", "EASE, float32", "hybrid"])
def test_no_title_weighs_on_itself(originals, original):
    assert with_numbers(originals[original], "item_weights_", {(2, 3): 7})
    assert not with_numbers(originals[original], "item_weights_", {(2, 2): SMALLEST if original == "EASE" else 1e-3})


# ---- What must fit together, and the smallest parts ----


def left_out(name):
    """A change that leaves nothing in the place of an attribute."""

    def change(state, arrays):
        for part in nodes(state[name], lambda node: set(node) == {"array"}):
            del arrays[part["array"]]
        state[name] = None

    return change


def of_context(values):
    """A change of the values of a context, with a row of the samples for each of them and one for the others."""

    def change(state, arrays):
        arrays[state["context_values_"]["tuple"][0]["array"]] = np.array(values)
        for name in ("context_biases_", "context_factors_"):
            key = state[name]["array"]
            arrays[key] = np.resize(arrays[key], (len(values) + 1, arrays[key].shape[1]))

    return change


def history_row(*names):
    return lambda state, arrays: state["history_"]["list"].append({"dict": [[name, 1.0] for name in names]})


CHAINS = "history_ must have the noise of each of n_chains=2 chains"


@pytest.mark.parametrize(
    ("original", "change", "words"),
    [
        ("Bayesian by week", of_context(["a", "b", "c"]), None),
        ("Bayesian by week", of_context([3, 4]), None),
        ("Bayesian by week", of_context(["a", "c", "b"]), "context_values_ must be arrays of rising"),
        ("Bayesian by week", of_context(["a", "b", "b"]), "context_values_ must be arrays of rising"),
        ("Bayesian by week", of_context(np.zeros(0)), "context_values_ must be arrays of rising"),
        ("Bayesian by week", left_out("context_biases_"), "context_biases_ must be there where there is a context"),
        ("Bayesian by week", left_out("context_factors_"), "context_factors_ must be there where there is a context"),
        ("Bayesian by week", history_row("epoch", "noise_1", "noise_2"), None),
        ("Bayesian by week", history_row("epoch", "noise_1", "noise_3"), CHAINS),
        ("Bayesian by week", history_row("epoch", "noise_1"), CHAINS),
        ("Bayesian by week", history_row("epoch", "noise_1", "noise_2", "noise_3"), CHAINS),
        ("Bayesian by week", history_row("noise_1", "noise_2"), CHAINS),
        ("Bayesian", left_out("rated_weights_"), "rated_weights_ must be there"),
        ("Bayesian", left_out("rater_weights_"), "rater_weights_ must be there"),
        ("Bayesian", left_out("user_feature_weights_"), "user_feature_weights_ must be there"),
        ("Bayesian", left_out("item_feature_weights_"), "item_feature_weights_ must be there"),
        ("Bayesian", left_out("user_table_"), "user_feature_weights_ must not be there"),
        ("Bayesian", left_out("item_table_"), "item_feature_weights_ must not be there"),
        ("Bayesian", say("implicit", False), "rated_weights_ must not be there"),
        ("Bayesian", left_out("item_features"), "item_features must be Features, got None"),
        ("hybrid", left_out("item_features"), "item_features must be Features, got None"),
        ("content only", left_out("item_features"), "item_features must be Features, got None"),
        ("EASE", left_out("item_weights_"), "either item_weights_ or item_roots_ must be there, and not both"),
        ("SGD", say("best_epoch_", 6), "best_epoch_ is 6, but history_ has 5 passes"),
        ("deep", put("network_", lambda w: w[:-1]), r"network_ must have \d+ weights, as hidden=\(3, 2\) says"),
        ("blend", say("second", {"kind": "GlobalMean", "state": {}}), "second_ must be a GlobalMean as the setting is"),
        ("hybrid", say("rating", {"kind": "GlobalMean", "state": {}}), "rating_ must be a GlobalMean as the setting"),
        ("ALS", lambda state, arrays: state.pop("reg"), r"ALS must have .*'reg'.*, got none of \['reg'\]"),
    ],
)  # fmt: skip
def test_parts_that_are_well_by_themselves_must_fit_together(originals, original, change, words):
    about, arrays = originals[original]
    about, arrays = json.loads(json.dumps(about)), dict(arrays)
    change(about["content"]["state"], arrays)
    if words is None:
        files._unpack(about["content"], arrays, files._by_name(ct.MODELS))
    else:
        with pytest.raises(ValueError, match=words):
            files._unpack(about["content"], arrays, files._by_name(ct.MODELS))


def test_features_that_a_model_was_not_fitted_with_are_refused(originals):
    about, arrays = originals["content"]
    about, arrays = json.loads(json.dumps(about)), dict(arrays)
    features = about["content"]["state"]["item_features"]["state"]
    for count, may_be in ((3, True), (2, False), (4, False)):
        arrays[features["names"]["array"]] = np.array(["one", "two", "three", "four"][:count])
        matrix, more = packed(sp.csr_array(np.eye(5)[:, :count]))
        assert is_taken(about, arrays | more, features, "matrix", matrix) is may_be


def test_roots_have_at_most_a_column_for_each_title(originals):
    about, arrays = originals["EASE of few viewers"]
    for columns, may_be in ((1, True), (5, True), (6, False)):
        value, more = packed(np.full((5, columns), 0.1))
        assert is_taken(about, arrays | more, about["content"]["state"], "item_roots_", value) is may_be


def test_a_sparse_table_is_taken_where_its_arrays_are_those_of_one():
    """All arrays of two entries at most in two rows and two columns, against the definition."""
    data, taken = np.ones(2), 0
    for start in itertools.product(range(-1, 4), repeat=3):
        for cols in itertools.product(range(-1, 3), repeat=2):
            rising = start[0] == 0 and start[2] == 2 and start[0] <= start[1] <= start[2]
            rows = [cols[first:last] for first, last in itertools.pairwise(start)] if rising else []
            sound = rising and set(cols) <= {0, 1} and all(len(set(row)) == len(row) for row in rows)
            try:
                table = files._csr(data, np.array(cols), np.array(start), (2, 2), "here")
            except ValueError as error:
                assert not sound, (start, cols)
                assert ("rising places" in str(error)) is not rising  # noqa: PT017
            else:
                assert sound, (start, cols)
                assert table.toarray().tolist() == [[float(col in row) for col in (0, 1)] for row in rows]
                taken += 1
    assert taken == 2 + 4 + 2
    most = 2**31 - 1
    none = np.zeros(0, int)
    assert files._csr(none, none, np.zeros(2, int), (1, most), "here").shape == (1, most)
    assert files._csr(none, none, np.zeros(1, int), (0, 0), "here").shape == (0, 0)
    assert files._csr(np.ones(1), np.array([70]), np.array([0, 1]), (1, 71), "here")[0, 70] == 1
    for side in (-1, most + 1, True - 2, 2.0):
        with pytest.raises(ValueError, match="must be a sparse table of two axes"):
            files._csr(none, none, np.zeros(2, int), (1, side), "here")


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr"])
def test_a_sparse_table_of_any_form_is_kept(form):
    dense, arrays = np.array([[0, 2.5, 0], [1, 0, 0], [0, 0, -3], [4, 5, 0]]), {}
    again = files._unpack(files._pack(sp.csr_array(dense).asformat(form), arrays, {}), arrays, {})
    assert again.toarray().tolist() == dense.tolist()
    assert arrays == {}


def test_the_innermost_of_nested_values_may_lie_so_deep():
    arrays = {"last": np.ones(1)}
    inner = {"array": "last"}
    for _ in range(files.MAX_DEPTH):
        inner = {"list": [inner]}
    assert files._unpack(inner, dict(arrays), {}) is not None
    with pytest.raises(ValueError, match=f"lies more than {files.MAX_DEPTH} levels deep"):
        files._unpack({"list": [inner]}, dict(arrays), {})


HASHED = {"format": 5, "model": "ALS", "content": {"a": 1, "b": [2, None]}}
NUMBERS_HASHED = np.arange(6.0).reshape(2, 3)


def test_the_hash_is_of_what_a_file_says_and_not_of_how_it_is_written():
    arrays = {"x": NUMBERS_HASHED, "y": np.arange(3)}
    first = files._sha256(HASHED, arrays)
    swapped = {"y": arrays["y"].astype(">i8"), "x": arrays["x"].astype(">f8")}
    turned = {name: HASHED[name] for name in reversed(HASHED)} | {"sha256": "before"}
    assert files._sha256(turned, swapped) == first
    others = [
        (HASHED | {"model": "NMF"}, arrays),
        (HASHED, {"x": arrays["x"]}),
        (HASHED, {"x": arrays["y"], "y": arrays["x"]}),
        (HASHED, {"z": arrays["x"], "y": arrays["y"]}),
        (HASHED, arrays | {"x": arrays["x"].reshape(3, 2)}),
        (HASHED, arrays | {"x": np.asfortranarray(arrays["x"])}),
        (HASHED, arrays | {"x": arrays["x"].view(np.int64)}),
        (HASHED, arrays | {"x": arrays["x"] + np.array([[0, 0, 0], [0, 0, 1]])}),
    ]
    assert len({first, *(files._sha256(*other) for other in others)}) == len(others) + 1


@pytest.mark.parametrize(
    "roots", [np.ones((3, 7)), np.ones((7, 3)), np.arange(12.0).reshape(4, 3), np.arange(12.0).reshape(3, 4), np.eye(3)]
)
def test_roots_turned_to_nobodys_axes_have_the_same_products(roots):
    for form in (roots, sp.csr_array(roots)):
        turned = files._nobodys(form)
        assert turned.shape == (len(roots), min(roots.shape))
        assert turned @ turned.T == pytest.approx(roots @ roots.T, abs=1e-10)


# ---- The rules know the classes ----


def test_every_class_that_a_file_may_hold_has_its_rules():
    ours = {kind.__name__ for kind in ct.MODELS if kind.__module__ == "content_table"}
    assert ours <= files._OURS
    for name, part in files._PARTS.items():
        if part is not files.TitlesOnly:
            assert set(files._LEARNT[name]) == set(part.__dataclass_fields__)


class Generous(ct.BiasBaseline):
    """A reader's own, with learnt things of many kinds."""

    def _fit(self, ratings, validation):
        super()._fit(ratings, validation)
        self.user_levels_ = np.ones((ratings.n_users, 2))
        self.item_words_ = np.array(["a"] * ratings.n_items)
        self.spread_ = 1.5
        self.notes_ = {"how": ["by hand", 3], 7: (1, 2)}


@pytest.fixture
def generous(monkeypatch, table):
    monkeypatch.setattr(ct, "MODELS", (*ct.MODELS, Generous))
    return Generous().fit(table)


def test_a_model_of_ones_own_may_learn_what_it_likes(generous, tmp_path):
    generous.save(tmp_path / "own.npz")
    again = ct.load_model(tmp_path / "own.npz")
    assert np.array_equal(again.complete(), generous.complete())
    assert again.notes_ == generous.notes_
    assert again.item_words_.tolist() == generous.item_words_.tolist()


def test_the_axes_of_what_a_class_learns_are_told_by_its_rules_or_its_name():
    assert [files.axes_of(ct.ALS, name) for name in ("user_factors_", "item_bias_", "noise_")] == ["mk", "n", ""]
    names = ("user_levels_", "item_words_", "levels_user_", "spread_", "user_bias_")
    assert [files.axes_of(Generous, name) for name in names] == ["m", "n", "", "", "m"]


class Helpful(Generous):
    """A reader's own that has a method of a name as learnt things have."""

    def levels_(self):
        """Asked for by nobody."""


@pytest.mark.parametrize(
    ("name", "value", "may_be"),
    [
        ("notes", 5, False),
        ("levels_", 5, False),
        ("other_", 5, True),
        ("other_", -1e200, True),
        ("user_words_", "text", True),
        ("item_share_", 0.5, True),
        ("item_share_", np.nan, False),
    ],
)
def test_what_a_class_of_ones_own_may_have_besides(monkeypatch, table, tmp_path, name, value, may_be):
    monkeypatch.setattr(ct, "MODELS", (*ct.MODELS, Helpful))
    model = Helpful().fit(table)
    model.save(tmp_path / "own.npz")
    about, arrays = opened(tmp_path / "own.npz")
    assert is_taken(about, arrays, about["content"]["state"], name, value) is may_be


@dataclass
class Annotated(ct.BiasBaseline):
    """A reader's own with settings of many kinds."""

    anything: Any = None
    share: float | Literal["auto"] = "auto"
    points: float = 1.0
    switch: bool = False
    pair: tuple[float, float] = (0.0, 1.0)
    names: list[str] | None = None


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("anything", ["text", 5, None], []),
        ("share", ["auto", 0.5], []),
        ("points", [2, 2.5, True], ["2", {"list": []}]),
        ("switch", [True, 0], [0.5, "yes"]),
        ("pair", [{"tuple": [0.0, 2.0]}, {"list": [0.0, 2.0]}], ["ab", 2, {"dict": []}]),
        ("names", [None, {"list": ["a"]}], [{"tuple": ["a"]}, "a", 5]),
    ],
)
def test_settings_of_ones_own_are_of_the_kinds_that_their_annotations_say(
    monkeypatch, table, tmp_path, name, inside, outside
):
    monkeypatch.setattr(ct, "MODELS", (*ct.MODELS, Annotated))
    Annotated().fit(table).save(tmp_path / "own.npz")
    about, arrays = opened(tmp_path / "own.npz")
    found = [is_taken(about, arrays, about["content"]["state"], name, value) for value in [*inside, *outside]]
    assert found == [True] * len(inside) + [False] * len(outside)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("user_levels_", np.ones((3, 2)), "user_levels_ must have a row for each of 6 users"),
        ("item_words_", np.array(["a"]), "item_words_ must have a row for each of 5 items"),
        ("user_levels_", np.full((6, 2), np.inf), "user_levels_ must be finite, got 12 entries"),
        ("spread_", np.inf, "spread_ must be finite, got inf"),
        ("user_bias_", np.zeros(5), r"user_bias_ must be .*\(m=6\), got .*\(5,\)"),
        ("notes_", np.array([{}]), "an array of object"),
    ],
)
def test_what_could_not_be_loaded_of_ones_own_is_not_saved(generous, tmp_path, name, value, words):
    setattr(generous, name, value)
    with pytest.raises(ValueError, match=f"this model cannot be saved: .*{words}"):
        generous.save(tmp_path / "own.npz")
    assert list(tmp_path.iterdir()) == []


HOW = {"dtype": "float64", "n_jobs": 1, "weighted_reg": False, "solver": "cholesky"}


@pytest.mark.parametrize(
    ("name", "then"),
    [
        ("ALS", HOW),
        ("implicit ALS", HOW | {"liked": None, "binary": False}),
        ("EASE", {"liked": None, "binary": True, "dtype": "float64"}),
    ],
)
def test_a_file_from_before_a_setting_was_there_has_it_as_it_was_then(name, then, sample, tmp_path):
    model = clone(ORIGINALS[name]).set_params(**then).fit(sample)
    model.save(tmp_path / "new.npz")
    about, arrays = opened(tmp_path / "new.npz")
    state = about["content"]["state"]
    assert {setting: state.pop(setting) for setting in then} == then
    assert state["ratings_"]["state"].pop("context") == {"dict": []}
    written(tmp_path / "old.npz", about, arrays, hash_anew=True)
    loaded = ct.load_model(tmp_path / "old.npz")
    assert loaded.get_params() == model.get_params()
    assert loaded.ratings_.context == {}
    assert np.array_equal(loaded.complete(), model.complete())


def test_features_from_before_they_had_notes_have_none(workshop):
    def change(state, arrays):
        assert state["item_features"]["state"].pop("notes") == {"tuple": []}

    assert ct.load_model(crafted(workshop, "content only", change)).item_features == ABOUT_ITEMS
