"""Saved models: one .npz each, read without pickle, whole or not at all."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from content_table_parts.certificates import Certificate
from content_table_parts.features import Features
from content_table_parts.ratings import Ratings, write_whole
from content_table_parts.readers import beside

WEIGHTS: Path = beside("saved_weights")
FORMAT_VERSION = 4
_PARTS = {
    kind.__name__: kind for kind in (Ratings, Features, Certificate)
}  # what a saved model may hold besides models


def save_model(model: Any, path: str | Path, kinds: tuple[type, ...]) -> None:
    """Write a fitted model to one compressed .npz: settings, learnt numbers, ids, training ratings and their hash.

    `kinds` are the classes of models that a file may hold; nothing else is ever made from one.
    """
    ratings: Ratings = model.fitted()
    arrays: dict[str, np.ndarray] = {}
    about = {"format": FORMAT_VERSION, "model": type(model).__name__, "ratings": ratings.fingerprint}
    try:
        arrays["about"] = np.array(json.dumps(about | {"content": _pack(model, arrays, _by_name(kinds))}))
    except TypeError as error:
        raise ValueError(f"this model cannot be saved: {error}.") from error

    def write(temporary):
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    write_whole(path, write)


def _by_name(kinds):
    return _PARTS | {kind.__name__: kind for kind in kinds}


def _pack(value, arrays, kinds):
    """What JSON can hold of a value; its arrays go to `arrays`, and their names take their places."""
    if isinstance(value, np.ndarray):
        name = f"array {len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        return value.item()
    if sp.issparse(value):
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
        state = {part.name: getattr(value, part.name) for part in fields(value)}
    elif value is None or isinstance(value, (bool, int, float, str)):
        return value
    else:
        raise TypeError(f"a {type(value).__name__} among its parameters; a random_state must be a whole number")
    if kinds.get(type(value).__name__) is not type(value):
        raise TypeError(f"load_model would not know {type(value).__name__}; first let it join content_table.MODELS")
    state = {name: _pack(part, arrays, kinds) for name, part in state.items()}
    return {"kind": type(value).__name__, "state": state}


def _unpack(packed, arrays, kinds):
    """The inverse of `_pack`; only the `kinds` are ever made."""
    if not isinstance(packed, dict):
        return packed
    if "array" in packed:
        return arrays[packed["array"]]
    if "sparse" in packed:
        return sp.csr_array(tuple(_unpack(part, arrays, kinds) for part in packed["sparse"]), shape=packed["shape"])
    for sequence in (tuple, list):
        if sequence.__name__ in packed:
            return sequence(_unpack(part, arrays, kinds) for part in packed[sequence.__name__])
    if "dict" in packed:
        return {_unpack(key, arrays, kinds): _unpack(part, arrays, kinds) for key, part in packed["dict"]}
    kind = kinds[packed["kind"]]
    state = {name: _unpack(part, arrays, kinds) for name, part in packed["state"].items()}
    if not issubclass(kind, BaseEstimator):
        return kind(**state)
    model = kind(**{name: state.pop(name) for name in kind._get_param_names()})
    if not all(name.endswith("_") for name in state):
        raise ValueError(f"{sorted(state)} are not all learnt")
    vars(model).update(state)
    if "ratings_" in state:
        _check_learnt(model)
    return model


def _check_learnt(model):
    """What was learnt must fit the ratings that it came with: compiled loops trust the sizes."""
    model.check_settings()
    sizes = {"user": model.ratings_.n_users, "item": model.ratings_.n_items}
    for name, value in vars(model).items():
        size = sizes.get(name.split("_")[0])
        if hasattr(value, "shape") and size not in (None, value.shape[0]):
            raise ValueError(f"{name} has {value.shape[0]} rows, its ratings {size}")


def load_model(path: str | Path, ratings: Ratings | None, kinds: tuple[type, ...]) -> Any:
    """Read a model written by `save_model`; with `ratings`, refuse one that was trained on other data."""
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
    known = sorted(each.__name__ for each in kinds)
    if kind not in known:
        raise ValueError(f"{name} holds a model of kind {kind!r}; known are {known}.")
    try:
        model = _unpack(about["content"], arrays, _by_name(kinds))
        found = model.fitted().fingerprint
    except Exception as error:
        raise ValueError(f"{name} is damaged or is not a saved model: {type(error).__name__}: {error}") from error
    if found != about["ratings"]:
        raise ValueError(f"{name} is damaged: its training ratings do not match their own hash.")
    if ratings is not None and ratings.fingerprint != about["ratings"]:
        raise ValueError(
            f"{name} was trained on other data: {model.ratings_}, not the given {ratings}; train it again."
        )
    return model
