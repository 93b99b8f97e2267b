"""Saved models: one .npz each, read without pickle, whole or not at all, as if a stranger had written it.

A file is checked from outside to inside: sizes before anything is read, then each array and number against what its
class learns (`_LEARNT`), then that the parts fit together, then the hashes. docs/SAVED_MODELS.md says what that
promises.
"""

import copy
import dataclasses
import hashlib
import json
import types
import typing
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.lib import format as npy
from sklearn.base import BaseEstimator

from content_table_parts.certificates import Certificate
from content_table_parts.deep import layer_sizes, n_weights
from content_table_parts.features import Features
from content_table_parts.ratings import Ratings, need_ratings
from content_table_parts.settings import as_path, check_fitted, check_switch, shown
from content_table_parts.solvers import check_memory, warn_caller
from content_table_parts.writing import write_whole

FORMAT_VERSION = 5
_HOW = {"dtype": "float64", "n_jobs": 1, "weighted_reg": False, "solver": "cholesky"}
_LATER = {  # what files from before had not, as it was then
    "Features": {"notes": ()},
    "Ratings": {"context": {}},
    "ALS": _HOW,
    "EASE": {"liked": None, "binary": True, "dtype": "float64"},
    "ImplicitALS": _HOW | {"liked": None, "binary": False},
}
MAX_MODEL_BYTES = 4 * 2**30  # what a file may unpack to, all arrays together
MAX_DESCRIPTION_BYTES = 2**26  # of them the description, 4 bytes a character: some 100,000 passes of history
MAX_ARRAYS = 10_000
MAX_DEPTH = 24  # of models in models, numbers in lists
MAX_NUMBER = 1e150  # of an array's floats, of which products stay finite


NO_HASH = "fitted by fit_parquet, which makes no hash"


class TitlesOnly(Ratings):
    """What a file saved without its viewers keeps of the training ratings: the titles, the scale, how often each title
    was rated, and the hash. It has no users; asking for them, or for a rating, is an error that says so. A model that
    comes from `fit_parquet` has never had more.
    """

    def __init__(
        self, item_ids: Any, item_counts: Any, scale: tuple, titles: Any, has_seasons: bool, fingerprint: str
    ) -> None:
        nothing = np.zeros(0, dtype=np.intp)
        super().__init__(nothing, item_ids, nothing, nothing, nothing, scale, titles=titles, has_seasons=has_seasons)
        for name in ("rows", "cols", "values"):
            object.__delattr__(self, name)  # an empty table would have a certificate, and an error of its own
        vars(self).update(user_counts=nothing, item_counts=item_counts, fingerprint=fingerprint)

    @property
    def origin(self) -> str:
        """How it came that there are no viewers."""
        return ("fitted by fit_parquet" if self.fingerprint == NO_HASH else "saved") + " without its viewers"

    def __getattr__(self, name):
        if name in ("rows", "cols", "values"):
            raise ValueError(f"the model was {self.origin}: their ratings are not in the file.")
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __repr__(self):
        return f"Ratings({self.origin}, {self.n_items:,} items, scale {self.scale})"

    def _look_up(self, ids, axis):
        if axis == 0 and np.size(ids):
            self.user_id(np.ravel(ids)[0])
        return super()._look_up(ids, axis)

    def user_id(self, name: Any) -> Any:
        """Nobody is known here."""
        name = name.item() if isinstance(name, np.generic) else name
        raise KeyError(f"unknown user {shown(name)}: the model was {self.origin}; fold_in takes their ratings.")


_PARTS = {
    kind.__name__: kind for kind in (Ratings, TitlesOnly, Features, Certificate)
}  # what a saved model may hold besides models


# ---- What each class learns ------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Rule:
    """What a value must be, in words and as a test; of an array also its axes, a letter each: m users, n items, k
    factors, d features, f entries of a profile, e ratings. Equal letters are equal lengths."""

    expected: str
    fits: Callable[[Any, dict], bool]
    axes: str = ""
    optional: bool = False


def _table(axes, kinds="f", sparse=False, optional=False, also=("", lambda table: True)):
    """An array of float64, or of the given kinds of dtype; `also` is what else holds of it, in words and as a test."""

    def fits(value, sizes):
        if sp.issparse(value) is not sparse or not isinstance(getattr(value, "dtype", None), np.dtype):
            return False
        if value.ndim != len(axes) or value.dtype.kind not in kinds or (kinds == "f" and value.dtype != np.float64):
            return False
        return all(sizes.setdefault(*pair) == pair[1] for pair in zip(axes, value.shape, strict=True)) and also[1](
            value
        )

    numbers = {"f": "float64", _IDS: "ids", "U": "text"}.get(kinds, "numbers")
    return _Rule(f"{'a sparse' if sparse else 'an'} array of {numbers}{also[0]}", fits, axes, optional)


def _number(low=-np.inf, high=np.inf, whole=False, optional=False):
    def fits(value, sizes):
        of_kind = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        return of_kind and low <= value <= high and abs(value) <= MAX_NUMBER

    bounds = "" if low == -np.inf else f" from {low:g}" + ("" if high == np.inf else f" to {high:g}")
    return _Rule(f"a {'whole' if whole else 'finite'} number{bounds}", fits, optional=optional)


def _one_of(*kinds):
    return _Rule(" or ".join(kind.__name__ for kind in kinds), lambda value, sizes: isinstance(value, kinds))


def _similarities(table):
    bounded = not table.nnz or (table.data.min() > 0 and table.data.max() <= 1)
    return bounded and not table.diagonal().any() and (table != table.T).nnz == 0


def _walks():
    """T', of which rows are at most 1 long, as a fit makes it or turned for nobody: then it is dense."""
    dense = _table("nv")
    thin = _table("nv", sparse=True)

    def fits(value, sizes):
        rule = thin if sp.issparse(value) else dense
        return rule.fits(value, sizes) and bool(((value * value).sum(axis=1) <= 1 + 1e-9).all())

    return dataclasses.replace(dense, expected="an array of float64, sparse or not, of rows at most 1 long", fits=fits)


def _pair_weights(*dtypes):
    """Weights of pairs of titles, none of a title with itself, or their roots, with which a title keeps less than 1."""
    weights = _table("nn", also=(" with a diagonal of 0", lambda B: not np.diag(B).any()))
    roots = _table("nr", also=(" with rows shorter than 1", lambda V: bool((np.einsum("ij,ij->i", V, V) < 1).all())))

    def of(rule):
        def fits(value, sizes):
            known = isinstance(value, np.ndarray) and value.dtype.name in dtypes
            return known and rule.fits(value.astype(np.float64, copy=False), sizes)

        return dataclasses.replace(rule, fits=fits, optional=True)

    return {"item_weights_": of(weights), "item_roots_": of(roots)}


def _is_history(value, sizes):
    plain = (str, int, float)
    rows = isinstance(value, list) and all(isinstance(row, dict) for row in value)
    return rows and all(isinstance(x, plain) for row in value for pair in row.items() for x in pair)


_IDS = "iufUb"
_KINDS = _IDS + "M"  # of dtypes in a file: numbers, text, moments
_POINTS = _Rule(
    "two finite numbers",
    lambda value, sizes: isinstance(value, tuple) and len(value) == 2 and all(_number().fits(end, {}) for end in value),
)
_HISTORY = _Rule("a list of dicts of numbers", _is_history)
_SHARED = {"scale": _POINTS, "titles": _table("n", "U", optional=True), "has_seasons": _one_of(bool)}
_ADDING = (", at least 0", lambda factors: bool((factors >= 0).all()))
_LEARNT: dict[str, dict[str, _Rule]] = {
    "Ratings": {
        "user_ids": _table("m", _IDS),
        "item_ids": _table("n", _IDS),
        "rows": _table("e", "i"),
        "cols": _table("e", "i"),
        "values": _table("e"),
        "times": _table("e", "biufM", optional=True),
        "user_names": _table("m", "U", optional=True),
        "dropped": _one_of(dict),
        "notes": _one_of(tuple),
        "context": _one_of(dict),
    }
    | _SHARED,
    "TitlesOnly": {"item_ids": _table("n", _IDS), "item_counts": _table("n", "i"), "fingerprint": _one_of(str)}
    | _SHARED,
    "Features": {
        "ids": _table("n", _IDS),
        "matrix": _table("nd", sparse=True),
        "names": _table("d", _IDS),
        "about": _one_of(str),
        "notes": _one_of(tuple),
    },
    "Certificate": {"primal": _number(), "dual": _number(), "proven": _one_of(bool)},
    "Recommender": {
        "ratings_": _one_of(Ratings),
        "global_mean_": _number(),
        "user_bias_": _table("m"),
        "item_bias_": _table("n"),
        "history_": _HISTORY,
        "noise_": _number(0, optional=True),
        "item_counts_": _table(
            "n", "i", optional=True, also=(", at least 0", lambda counts: bool((counts >= 0).all()))
        ),
        "updates_": dataclasses.replace(_HISTORY, optional=True),
    },
    "Popularity": {"counts_": _table("n", also=(", at least 0", lambda counts: bool((counts >= 0).all())))},
    "ItemKNN": {
        "similarity_": _table(
            "nn", sparse=True, also=(", symmetric, above 0 and at most 1, without a diagonal", _similarities)
        )
    },
    "EASE": _pair_weights("float64", "float32"),
    "MultVAE": {
        "item_weights_": _table("nh"),
        "hidden_bias_": _table("h"),
        "factor_weights_": _table("hk"),
    },
    "GraphFilter": {
        "item_degrees_": _table("n", also=(", at least 0", lambda degrees: bool((degrees >= 0).all()))),
        "item_roots_": _walks(),
        "item_directions_": _table("nr"),
    },
    "FactorModel": {"user_factors_": _table("mk"), "item_factors_": _table("nk")},
    "NMF": {"user_factors_": _table("mk", also=_ADDING), "item_factors_": _table("nk", also=_ADDING)},
    "DeepMF": {"user_factors_": _table("mk"), "item_factors_": _table("nk"), "network_": _table("w")},
    "SGDMF": {"best_epoch_": _number(1, whole=True)},
    "_ContentModel": {"item_table_": _table("nd", sparse=True), "feature_weights_": _table("md")},
    "ContentMF": {"user_table_": _table("mf", sparse=True), "group_weights_": _table("fd")},
    "BayesianFM": {
        "user_factors_": _table("mq"),
        "item_factors_": _table("nq"),
        "user_biases_": _table("ms"),
        "item_biases_": _table("ns"),
        "levels_": _table("s"),
        "noises_": _table("s", also=(", above 0", lambda noises: bool(len(noises) and (noises > 0).all()))),
        "priors_": _table("btsc", also=(", precisions above 0", lambda priors: bool((priors[:, 1:] > 0).all()))),
        "steps_": _table("l", also=(", rising", lambda steps: bool(len(steps) and (np.diff(steps) > 0).all()))),
        "thresholds_": _table("h", also=(", rising", lambda thresholds: bool((np.diff(thresholds) >= 0).all()))),
        "noise_spread_": _number(0, 10),
        "user_sampled_": _table("m"),
        "rated_weights_": _table("nsc", optional=True),
        "rater_weights_": _table("msc", optional=True),
        "user_feature_weights_": _table("fsc", optional=True),
        "item_feature_weights_": _table("dsc", optional=True),
        "user_table_": _table("mf", sparse=True, optional=True),
        "item_table_": _table("nd", sparse=True, optional=True),
        "context_values_": _one_of(tuple),
        "context_biases_": _table("xs", optional=True),
        "context_factors_": _table("xq", optional=True),
    },
    "_LowRank": {
        "U_": _table("mk"),
        "s_": _table("k", also=(", at least 0", lambda s: bool((s >= 0).all()))),
        "Vt_": _table("kn"),
        "certified_": _one_of(Certificate),
    },
    "NuclearNorm": {"violation_": _number(0)},
    "Blend": {"first_": _one_of(BaseEstimator), "second_": _one_of(BaseEstimator), "weight_": _number(0, 1)},
    "Hybrid": {"rating_": _one_of(BaseEstimator), "item_table_": _table("nd", sparse=True)} | _pair_weights("float64"),
}  # what each class learns besides what its parents do
_PAIRS = {"similarity_", "item_roots_"}  # where titles that were rated together stand beside each other
_OURS = {*_LEARNT, "GlobalMean", "BiasBaseline", "ALS", "ImplicitALS", "BPR", "GradientDescentMF", "ContentOnly"} | {
    "SpectralRegularization"
}  # of other classes, a reader's own, nobody knows all that they learn


def _rules(kind):
    """Attribute -> rule of a class and its parents."""
    return {name: rule for each in reversed(kind.__mro__) for name, rule in _LEARNT.get(each.__name__, {}).items()}


def axes_of(kind: type, name: str) -> str:
    """The axes of an array that a class of models learns, a letter each as in `_Rule`; of a reader's own by its name:
    one that begins with user_ has a row for each user, one that begins with item_ a row for each item."""
    rule = _rules(kind).get(name)
    return {"user": "m", "item": "n"}.get(name.split("_")[0], "") if rule is None else rule.axes


def _check(where, state, rules, sizes):
    """Refuse a state in which something is missing, or is not what its rule says; `sizes` are the axes known so far."""
    for name, rule in rules.items():
        value = state.get(name)
        if not (rule.optional and value is None) and not rule.fits(value, sizes):
            lengths = ", ".join(f"{axis}={sizes.get(axis, 'any')}" for axis in rule.axes)
            shape = f" of shape ({lengths})" if rule.axes else ""
            raise ValueError(f"{where}.{name} must be {rule.expected}{shape}, got {_told(value)}")


def _told(value):
    if isinstance(value, np.ndarray) or sp.issparse(value):
        return f"{value.dtype} of shape {value.shape}"
    return repr(value) if value is None or isinstance(value, (bool, int, float, str)) else type(value).__name__


def _check_model(model, where):
    """Refuse a model whose settings or learnt numbers its class could not have: compiled loops trust the sizes."""
    model.check_settings()
    _check_kinds_of_settings(model, where)
    learnt = {name: value for name, value in vars(model).items() if name not in model.get_params(deep=False)}
    if not learnt:
        return  # not fitted: a setting of a blend
    rules = _rules(type(model))
    _check(where, {"ratings_": learnt.get("ratings_")}, {"ratings_": rules["ratings_"]}, {})
    _check(where, learnt, rules, _sizes(model))
    for name in learnt.keys() - rules.keys():
        _check_unknown(model, where, name)
    for wrong in _contradictions(model, rules):
        raise ValueError(f"{where}: {wrong}")


def _check_kinds_of_settings(model, where):
    """Refuse, say, text for a switch; what a reader's own annotation means is left to the model."""
    annotations = {each.name: each.type for each in dataclasses.fields(type(model))}
    for name, value in model.get_params(deep=False).items():
        annotation = annotations.get(name, Any)
        union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
        options = typing.get_args(annotation) if union else (annotation,)
        kinds = {typing.get_origin(option) or option for option in options}
        if value is None or Any in kinds or not all(isinstance(kind, type) for kind in kinds):
            continue
        wider = {bool: {int}, float: {int}, tuple: {list}}  # 0 and 1 are switches too, any pair will do
        kinds |= {also for kind in kinds for also in wider.get(kind, ())}
        if not isinstance(value, tuple(kinds)):
            expected = " or ".join(sorted(kind.__name__ for kind in kinds))
            raise ValueError(f"{where}.{name} must be {expected}, got {_told(value)}")


def _sizes(model):
    """The lengths of axes that ratings and settings say."""
    sizes = {"m": model.ratings_.n_users, "n": model.ratings_.n_items}
    if hasattr(model, "n_factors"):
        sizes["k"] = model.n_factors
    if hasattr(model, "n_hidden"):
        sizes["h"] = model.n_hidden
    if "priors_" in _rules(type(model)):
        sizes |= _sizes_of_samples(model)
    if isinstance(getattr(model, "item_features", None), Features):
        sizes["d"] = len(model.item_features.names)
    if hasattr(model, "shared_weights"):
        profile = getattr(model, "user_features", None)
        sizes["f"] = int(bool(model.shared_weights)) + (0 if profile is None else len(profile.names))
    return sizes


def _sizes_of_samples(model):
    """Those of a `BayesianFM`: s samples of k factors, a prior for each block, a threshold between any two steps."""
    n_samples, n_steps = (np.size(getattr(model, name, ())) for name in ("levels_", "steps_"))
    sizes = {"s": n_samples, "q": n_samples * model.n_factors, "c": model.n_factors + 1, "t": 2, "h": n_steps - 1}
    values = getattr(model, "context_values_", ())
    rows = sum(np.size(each) + 1 for each in values) if isinstance(values, tuple) else 0
    return sizes | {"b": 2 + len(model.context), "x": rows}


def _check_unknown(model, where, name):
    """The rules for what only a reader's own class can explain: by the first axis, and finite."""
    value, own = getattr(model, name), type(model).__name__ not in _OURS
    if not own or not name.endswith("_") or callable(getattr(type(model), name, None)):
        raise ValueError(f"{where}.{name} is nothing that a {type(model).__name__} learns")
    side, ratings = name.split("_")[0], model.ratings_
    size = {"user": ratings.n_users, "item": ratings.n_items}.get(side)
    if size is not None and getattr(value, "shape", ()) and value.shape[0] != size:
        raise ValueError(f"{where}.{name} must have a row for each of {size} {side}s, got {_told(value)}")
    if isinstance(value, float) and not np.isfinite(value):
        raise ValueError(f"{where}.{name} must be finite, got {value}")


def _contradictions(model, rules):
    """What does not fit together in a model whose parts are all well by themselves, in words."""
    if "best_epoch_" in rules and model.best_epoch_ > len(model.history_):
        yield f"best_epoch_ is {model.best_epoch_}, but history_ has {len(model.history_)} passes"
    if "network_" in rules:
        expected = n_weights(layer_sizes(model.n_factors, model.hidden))
        if len(model.network_) != expected:
            yield f"network_ must have {expected:,} weights, as hidden={model.hidden} says, got {len(model.network_):,}"
    either = {"item_weights_", "item_roots_"} <= rules.keys()
    if either and (model.item_weights_ is None) == (model.item_roots_ is None):
        yield "either item_weights_ or item_roots_ must be there, and not both"
    roots = model.item_roots_ if either else None
    if roots is not None and roots.shape[1] > model.ratings_.n_items:
        yield f"item_roots_ must have at most one column for each title, got {_told(roots)}"
    if "item_directions_" in rules and model.item_directions_.shape[1] > model.n_factors:
        yield f"item_directions_ must have at most {model.n_factors} columns, got {_told(model.item_directions_)}"
    if "priors_" in rules:
        yield from _wrong_samples(model)
    table = getattr(model, "item_table_", None)
    described = "feature_weights_" in rules or (table is not None and table.shape[1])
    if described and not isinstance(model.item_features, Features):
        yield f"item_features must be Features, got {_told(model.item_features)}"
    for name in ("first", "second", "rating"):
        if f"{name}_" in rules:
            setting, fitted = getattr(model, name), getattr(model, f"{name}_")
            if type(setting) is not type(fitted):
                yield f"{name}_ must be a {type(setting).__name__} as the setting is, got {_told(fitted)}"
            elif not fitted.fitted().same_universe(model.ratings_):
                yield f"{name}_ must know the users and items of ratings_, got {fitted.ratings_}"


def _wrong_samples(model):
    """What does not fit together in a `BayesianFM`: its context, its chains, and what its features weigh."""
    context, values = list(model.context), model.context_values_
    if not all(isinstance(name, str) for name in context) or len(values) != len(context):
        yield f"context_values_ must have an array for each of the context {shown(context)}, got {len(values)}"
    elif not all(map(_is_rising, values)):
        yield "context_values_ must be arrays of rising values"
    for name in ("context_biases_", "context_factors_"):
        if (getattr(model, name) is None) is bool(context):
            yield f"{name} must be there where there is a context, and only there"
    tables = {"user_feature": model.user_table_ is not None, "item_feature": model.item_table_ is not None}
    for name, there in (tables | dict.fromkeys(("rated", "rater"), bool(model.implicit))).items():
        if (getattr(model, f"{name}_weights_") is None) is there:
            yield f"{name}_weights_ must {'' if there else 'not '}be there, as the settings and tables say"
    if len(model.levels_) % model.n_chains:
        yield f"{len(model.levels_)} samples cannot be those of n_chains={model.n_chains} chains"
    for row in model.history_:
        if len(row) != model.n_chains + 1 or set(row) != {"epoch", *(f"noise_{at}" for at in range(1, len(row)))}:
            yield f"history_ must have the noise of each of n_chains={model.n_chains} chains, got {shown(list(row))}"


def _is_rising(values):
    """Whether a context's values are as a fit sorts them."""
    plain = isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in _IDS
    return plain and len(values) > 0 and bool((values[1:] > values[:-1]).all())


# ---- Values to JSON and arrays, and back -----------------------------------------------------------------------------


def _by_name(kinds):
    return _PARTS | {kind.__name__: kind for kind in kinds}


def _pack(value, arrays, kinds):
    """What JSON can hold of a value; its arrays go to `arrays`, and their names take their places."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _KINDS:
            raise TypeError(f"an array of {value.dtype}; only numbers, text and moments are kept")
        name = f"array {len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        return value.item()
    if sp.issparse(value):
        value = value if value.format == "csr" else sp.csr_array(value)
        parts = [_pack(part, arrays, kinds) for part in (value.data, value.indices, value.indptr)]
        return {"sparse": parts, "shape": list(value.shape)}
    if isinstance(value, (tuple, list)):
        return {"tuple" if isinstance(value, tuple) else "list": [_pack(part, arrays, kinds) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[_pack(key, arrays, kinds), _pack(part, arrays, kinds)] for key, part in value.items()]}
    if isinstance(value, BaseEstimator):
        learnt = {name: part for name, part in vars(value).items() if name.endswith("_")}
        state = value.get_params(deep=False) | learnt
    elif isinstance(value, tuple(_PARTS.values())):
        state = {name: getattr(value, name) for name in _LEARNT[type(value).__name__]}
    elif value is None or isinstance(value, (bool, int, float, str)):
        return value
    else:
        raise TypeError(f"a {type(value).__name__} among its parameters; a random_state must be a whole number")
    if kinds.get(type(value).__name__) is not type(value):
        raise TypeError(f"load_model would not know {type(value).__name__}; first let it join content_table.MODELS")
    state = {name: _pack(part, arrays, kinds) for name, part in state.items()}
    return {"kind": type(value).__name__, "state": state}


def _unpack(packed, arrays, kinds, where="", depth=0):
    """The inverse of `_pack`; only the `kinds` are ever made, and each array is taken out of `arrays` once."""
    if packed is None or isinstance(packed, (bool, int, float, str)):
        return packed
    if depth > MAX_DEPTH:
        raise ValueError(f"{where[:100]}... lies more than {MAX_DEPTH} levels deep")

    def inside(part, name):
        return _unpack(part, arrays, kinds, f"{where}{name}", depth + 1)

    form = sorted(packed) if isinstance(packed, dict) else type(packed).__name__
    if form == ["array"]:
        return _taken(packed["array"], arrays, where)
    if form == ["shape", "sparse"]:
        parts = [inside(part, f"[{at}]") for at, part in enumerate(packed["sparse"])]
        return _csr(*parts, tuple(packed["shape"]), where)
    for sequence in (tuple, list):
        if form == [sequence.__name__]:
            return sequence(inside(part, f"[{at}]") for at, part in enumerate(packed[sequence.__name__]))
    if form == ["dict"]:
        return {inside(key, "{}"): inside(part, f"[{key!r}]") for key, part in packed["dict"]}
    if form == ["kind", "state"]:
        kind, where = packed["kind"], where or str(packed["kind"])
        if kind not in kinds:
            raise ValueError(f"{where} must be one of {sorted(kinds)}, got a {kind!r}")
        return _made(kinds[kind], {name: inside(part, f".{name}") for name, part in packed["state"].items()}, where)
    raise ValueError(f"{where or 'the content'} must be a value as save writes it, got {form}")


def _taken(name, arrays, where):
    """An array of the file, finite."""
    if not isinstance(name, str) or name not in arrays:
        raise ValueError(
            f"{where} must be an array of its own, got {name!r}, which the file has not, or has for another"
        )
    array = arrays.pop(name)
    if array.dtype.kind != "f":
        return array
    largest = float(max(-array.min(initial=0), array.max(initial=0)))  # without a copy: an array may fill the limit
    if not np.isfinite(largest):
        raise ValueError(f"{where} must be finite, got {(~np.isfinite(array)).sum()} entries that are NaN or infinite")
    if largest > MAX_NUMBER:
        raise ValueError(f"{where} must have numbers of at most {MAX_NUMBER:g}, got {largest:g}")
    return array


def _csr(data, indices, indptr, shape, where):
    """A sparse table whose rows begin one after the other, with columns that exist, each once in a row."""
    if len(shape) != 2 or not all(isinstance(side, int) and 0 <= side < 2**31 for side in shape):
        raise ValueError(f"{where} must be a sparse table of two axes, got the shape {shape}")
    whole = all(part.ndim == 1 and part.dtype.kind == "i" for part in (indices, indptr)) and data.ndim == 1
    if not whole or len(indptr) != shape[0] + 1 or len(indices) != len(data):
        raise ValueError(f"{where} must be a sparse table of {shape[0]} rows, got {_told(indptr)}, {_told(indices)}")
    if indptr[0] != 0 or indptr[-1] != len(data) or (np.diff(indptr) < 0).any():
        raise ValueError(f"{where} must have rows that begin at rising places from 0 to {len(data)}, got others")
    if len(indices) and (indices.min() < 0 or indices.max() >= shape[1]):
        raise ValueError(f"{where} must have columns 0..{shape[1] - 1}, got {indices.min()}..{indices.max()}")
    rows = np.repeat(np.arange(shape[0]), np.diff(indptr))
    order = np.lexsort((indices, rows))
    if ((np.diff(rows[order]) == 0) & (np.diff(indices[order]) == 0)).any():
        raise ValueError(f"{where} must have each column once in a row, got one twice")
    return sp.csr_array((data, indices, indptr), shape=shape)


def _made(kind, state, where):
    """The model, or the part of one, whose state this is."""
    settings = kind._get_param_names() if issubclass(kind, BaseEstimator) else list(_LEARNT[kind.__name__])
    state = _LATER.get(kind.__name__, {}) | state
    if missing := sorted(set(settings) - set(state)):
        raise ValueError(f"{where} must have {settings}, got none of {missing}")
    if not issubclass(kind, BaseEstimator):
        if unknown := sorted(set(state) - set(settings)):
            raise ValueError(f"{where} must have {settings}, got {unknown} besides")
        _check(where, state, _LEARNT[kind.__name__], {})
        return kind(**state)
    model = kind(**{name: state.pop(name) for name in settings})
    vars(model).update(state)
    _check_model(model, where)
    return model


# ---- Files -----------------------------------------------------------------------------------------------------------


def save_model(model: Any, path: str | Path, kinds: tuple[type, ...], with_ratings: bool = True) -> None:
    """Write a fitted model to one compressed .npz: settings, learnt numbers, ids, training ratings and their hash.

    `kinds` are the classes of models that a file may hold; nothing else is ever made from one. What `load_model` would
    refuse is not written.
    """
    check_fitted("model", model)
    path = as_path(path)
    check_switch("with_ratings", with_ratings)
    arrays: dict[str, np.ndarray] = {}
    try:
        if not with_ratings:
            _warn_of_pairs(model)
            model = _without_viewers(model)
        about = {"format": FORMAT_VERSION, "model": type(model).__name__, "ratings": model.fitted().fingerprint}
        about["content"] = _pack(model, arrays, _by_name(kinds))
        about["sha256"] = _sha256(about, arrays)
        _whole(about, arrays, kinds)
        arrays["about"] = np.array(json.dumps(about))
        _check_sizes({name: array.nbytes for name, array in arrays.items()})
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"this model cannot be saved: {str(error).removesuffix('.')}.") from error

    def write(temporary):
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    write_whole(path, write)


def load_model(path: str | Path, ratings: Ratings | None, kinds: tuple[type, ...]) -> Any:
    """Read a model written by `save_model`; with `ratings`, refuse one that was trained on other data."""
    path = as_path(path)
    if ratings is not None:
        need_ratings(ratings, "ratings")
    if not path.is_file():
        raise FileNotFoundError(f"no such file, and no saved model at {path}; train one and call its save(path).")
    name = path.name
    try:
        about, arrays = _read(path)
        version, kind = about["format"], about["model"]
    except Exception as error:  # whatever a damaged or foreign file provokes in zip, NumPy or JSON
        raise _damaged(name, error) from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{name} has format {shown(version)}, this version reads {FORMAT_VERSION}; train the model again."
        )
    known = sorted(each.__name__ for each in kinds)
    if kind not in known:
        raise ValueError(f"{name} holds a model of kind {shown(kind)}; known are {known}.")
    try:
        model = _whole(about, arrays, kinds)
    except Exception as error:
        raise _damaged(name, error) from error
    if ratings is not None and ratings.fingerprint != about["ratings"]:
        raise ValueError(
            f"{name} was trained on other data: {model.ratings_}, not the given {ratings}; train it again."
        )
    return model


def _damaged(name, error):
    kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
    return ValueError(f"{name} is damaged or is not a saved model: {kind}{error}")


def _whole(about, arrays, kinds):
    """The model of a description and its arrays, once all of it has been checked."""
    left = dict(arrays)
    model = _unpack(about["content"], left, _by_name(kinds))
    if type(model).__name__ != about["model"] or not hasattr(model, "ratings_"):
        raise ValueError(f"the content must be a fitted {about['model']}, got {_told(model)}")
    if strange := sorted(left) + sorted(set(about) - {"format", "model", "ratings", "content", "sha256"}):
        raise ValueError(f"nothing in the model refers to {strange[:5]}")
    if model.ratings_.fingerprint != about["ratings"]:
        raise ValueError("its training ratings do not match their own hash")
    if _sha256(about, arrays) != about["sha256"]:
        raise ValueError("its content does not match its own hash")
    return model


def _sha256(about, arrays):
    """SHA-256 of the description, less this hash, and of every array, by name."""
    rest = {name: part for name, part in about.items() if name != "sha256"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False)
        digest.update(json.dumps([name, array.dtype.str, array.shape, np.isfortran(array)]).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _read(path):
    """(description, arrays) of a file. Names, kinds and sizes of all are known and checked before any is read."""
    if Path(path).stat().st_size > MAX_MODEL_BYTES:
        raise ValueError(f"it has {Path(path).stat().st_size:,} bytes; the limit is {MAX_MODEL_BYTES:,}")
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise ValueError("two of its arrays have one name")
        if "about" not in entries:
            raise ValueError("it has no description 'about'")
        _check_sizes({name: entry.file_size for name, entry in entries.items()})
        for name, entry in entries.items():
            _check_header(archive, entry, name)
        arrays = {name: _array(archive, entry) for name, entry in entries.items()}
    return json.loads(str(arrays.pop("about"))), arrays


def _check_sizes(sizes):
    """Refuse more, or larger, arrays than the limits say; `sizes` are bytes by name."""
    if len(sizes) > MAX_ARRAYS:
        raise ValueError(f"it has {len(sizes):,} arrays; the limit is {MAX_ARRAYS:,}")
    for what, size, limit in (
        ("its arrays take", sum(sizes.values()), "MAX_MODEL_BYTES"),
        ("its description takes", sizes["about"], "MAX_DESCRIPTION_BYTES"),
    ):
        if size > globals()[limit]:
            raise ValueError(
                f"{what} {size / 2**30:,.2f} GiB; the limit is {globals()[limit] / 2**30:g} GiB "
                f"(content_table_parts.files.{limit})"
            )


def _check_header(archive, entry, name):
    """Refuse an array whose header promises objects, or another size than the archive says."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that save does not use")
    with archive.open(entry) as stream:
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{name} must have a header of version 1 or 2, got {version}")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(stream)
        start = stream.tell()
    if dtype.kind not in _KINDS or not dtype.itemsize:
        raise ValueError(f"{name} must hold numbers, text or moments (allow_pickle=False), got {dtype}")
    size = start + dtype.itemsize * int(np.prod(shape, dtype=object))
    if size != entry.file_size or min(shape, default=0) < 0:
        raise ValueError(f"{name} has a header for {shape} of {dtype}, {size:,} bytes, but {entry.file_size:,} of them")


def _array(archive, entry):
    with archive.open(entry) as stream:
        array = npy.read_array(stream, allow_pickle=False)
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # compiled loops know the machine's own order only


# ---- Without the viewers ---------------------------------------------------------------------------------------------


def _without_viewers(model):
    """A copy of a model in which nothing has a row for a viewer: it knows nobody, and folds in anybody as before."""
    rules, bare = _rules(type(model)), copy.copy(model)
    if hasattr(model, "ratings_"):
        with suppress(ValueError):  # a model without regressions to tell noise by
            model.noise()  # it is computed from the ratings that will be missing
    for name, value in vars(model).items():
        vars(bare)[name] = _without_rows(type(model).__name__, name, value, rules.get(name))
    if getattr(model, "item_roots_", None) is not None:
        bare.item_roots_ = _nobodys(model.item_roots_)
    if "group_weights_" in vars(model):  # only the weights that everybody shares are used for somebody new
        bare.group_weights_ = model.group_weights_[: int(bool(model.shared_weights))]
        bare.user_table_ = bare.user_table_[:, : len(bare.group_weights_)]
    return bare


def _warn_of_pairs(model):
    """Say so where a file without viewers lets their lists be told all the same."""
    for kind in dict.fromkeys(type(part) for part in _models_in(model)):
        if _PAIRS & _rules(kind).keys():
            warn_caller(
                f"{kind.__name__} keeps which titles were rated together: whoever has the file can tell the list "
                "of a viewer who alone has rated some title, and may tell more; share it only where you would share "
                "the ratings (docs/SAVED_MODELS.md)."
            )


def fitted_parts(model: Any) -> dict[str, Any]:
    """The fitted models that a model is made of, by name."""
    learnt = {name: value for name, value in vars(model).items() if name.endswith("_")}
    return {name: value for name, value in learnt.items() if isinstance(value, BaseEstimator)}


def _models_in(model):
    """A fitted model and those that it is made of, at any depth."""
    yield model
    for part in fitted_parts(model).values():
        yield from _models_in(part)


def _nobodys(roots):
    """Roots V (n, r), a column for each viewer, turned to axes that are nobody's: V V' stays, to rounding."""
    few = roots.shape[1] <= roots.shape[0]
    check_memory((roots.shape[0], min(roots.shape)), "what a model saved without its viewers has in their place")
    gram = roots.T @ roots if few else roots @ roots.T
    squares, axes = np.linalg.eigh(gram.toarray() if sp.issparse(gram) else gram)
    return roots @ axes if few else axes * np.sqrt(np.maximum(squares, 0.0))


def _without_rows(kind, name, value, rule):
    """An attribute without what has a row for each viewer; an error where its name does not tell."""
    if isinstance(value, Ratings):
        kept = {name: getattr(value, name) for name in _LEARNT["TitlesOnly"]}
        return TitlesOnly(**kept)
    if isinstance(value, BaseEstimator):
        return _without_viewers(value)
    if rule is not None:
        return value[:0] if rule.axes.startswith("m") and value is not None else value
    if value is None or isinstance(value, (bool, int, float, str, np.generic)) or name.startswith("item_"):
        return value
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return value  # names of columns
    if name == "hidden":
        return value  # sizes of layers
    if name == "init":
        return "random"  # starting points of the viewers
    if name.startswith("user_"):
        return value[:0] if name.endswith("_") else None
    raise ValueError(
        f"{kind} cannot be saved without its viewers: nothing tells whether its {name} is about viewers; one "
        "that begins with user_ is left out, one that begins with item_ is kept"
    )
