"""A setting of a model: its default, bounds, unit and search range, declared once; and the checks of arguments."""

import dataclasses
import functools
import inspect
import math
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Function = typing.TypeVar("Function", bound=Callable)

TIE = 9  # decimals: predictions that agree to 1e-9 rating points are ties, and ties go by item position


def shown(value: Any) -> str:
    """What an error says came: its repr in one line, cut in the middle where it is long."""
    if isinstance(value, (np.number, np.str_)):
        value = value.item()  # as it was given, not np.str_('...')
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python refuses to write whole numbers of more than 4300 digits
        return f"a {type(value).__name__} too long to be written"
    return text if len(text) <= 100 else f"{text[:60]}...{text[-20:]}"


_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: Any) -> str:
    """A text for a terminal: what would move its cursor, colour it, ring or turn its line round is an escape."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], str(text))


def check_number(name: str, value: Any, *, low: float = 0.0, strict: bool = False, whole: bool = False) -> None:
    """Refuse a setting that is not a finite number, not whole (of 64 bits) where it must be, or below `low`.

    Raises
    ------
    ValueError : names the setting, what was expected and what came; with `strict` the bound itself is refused too.
    """
    if isinstance(low, bool) or not isinstance(low, (int, float, np.integer, np.floating)) or low != low:  # NaN
        raise TypeError(f"low must be a number, got {shown(low)}.")
    check_switch("strict", strict)
    check_switch("whole", whole)
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if not isinstance(value, kinds) or isinstance(value, bool) or not _is_finite(value):
        raise ValueError(f"{name} must be a {'whole' if whole else 'finite'} number, got {shown(value)}.")
    if value < low or (strict and value == low):
        raise ValueError(f"{name} must be {'above' if strict else 'at least'} {low:g}, got {shown(value)}.")
    if whole and value >= 2**63:
        raise ValueError(f"{name} must be below 2**63, got {shown(value)}.")


def whole_number(name: str, value: Any, low: float = 0) -> int:
    """A whole number as Python's own, checked as by `check_number`: in arithmetic an np.int8 would overflow."""
    check_number(name, value, low=low, whole=True)
    return int(value)


def _is_finite(number):
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False


def check_in_dtype(dtype: str, **settings: float) -> None:
    """Refuse settings, by name, that are beyond all numbers of a dtype: they would be infinite in its arithmetic."""
    largest = float(np.finfo(dtype).max)
    for name, value in settings.items():
        if value > largest:
            raise ValueError(f"{name} must be at most {largest:.3g} with dtype={dtype!r}, got {value:g}.")


def check_kind(name: str, value: Any, kinds: type | tuple[type, ...], expected: str) -> None:
    """Refuse an argument of another class than `kinds`; `expected` says what it should be.

    Raises
    ------
    TypeError : names the argument, what was expected and what came.
    """
    if not isinstance(value, kinds):
        raise TypeError(f"{name} must be {expected}, got {shown(value)}.")


def checked(function: Function, check: Callable) -> Function:
    """The function, entered by way of `check`, which takes its arguments and returns them, or raises.

    So a body that a lesson prints stays the mathematics that it is. `.unchecked` is the function itself, for arguments
    that were checked before.
    """
    plain = getattr(function, "py_func", function)  # of a compiled loop
    order = inspect.signature(plain)

    @functools.wraps(plain)
    def enter(*arguments, **named):
        if named:
            given = order.bind(*arguments, **named)
            given.apply_defaults()  # or what comes after one that was left out would be lost
            arguments = given.args
        return function(*check(*arguments))

    enter.unchecked = function  # type: ignore[attr-defined]
    return typing.cast(Function, enter)


def check_switch(name: str, value: Any) -> None:
    """Refuse what is neither True nor False: a text such as "no" would count as yes."""
    check_kind(name, value, (bool, np.bool_), "True or False")


def check_optional_switch(name: str, value: Any) -> None:
    """Refuse what is neither True nor False nor None, which leaves the choice to us."""
    if value is not None:
        check_switch(name, value)


def check_function(name: str, value: Any, expected: str) -> None:
    """Refuse what cannot be called; a class can, but would only make an object of what it is given."""
    if not callable(value) or isinstance(value, type):
        raise TypeError(f"{name} must be {expected}, got {shown(value)}.")


def check_shape(shape: Any, n_sides: int | None = None) -> None:
    """Refuse what is not the lengths of a table's sides, whole numbers from 0: of so many sides, or of any number."""
    if not isinstance(shape, (tuple, list)) or n_sides not in (None, len(shape)):
        raise TypeError(f"shape must be the lengths of {n_sides or 'all'} sides of a table, got {shown(shape)}.")
    for side in shape:
        check_number("shape", side, whole=True)


def as_path(path: str | Path, name: str = "path") -> Path:
    """A path that was given as text or as a Path; anything else is an error."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name} must be text or a Path, got {shown(path)}.")
    if "\0" in str(path):
        raise ValueError(f"{name} must be the name of a file, without zero characters, got {shown(path)}.")
    return Path(path)


def check_fitted(name: str, model: Any) -> Any:
    """The training ratings of a fitted model; anything else is refused, and by its own error one that is not fitted."""
    if not hasattr(type(model), "fitted"):
        raise TypeError(f"{name} must be a fitted model, got {shown(model)}.")
    return model.fitted()


def check_share(name: str, value: Any) -> None:
    """Refuse what is not a number between 0 and 1, both left out."""
    check_number(name, value, strict=True)
    if value >= 1:
        raise ValueError(f"{name} must be below 1, got {shown(value)}.")


def check_choice(name: str, value: Any, among: Iterable[str]) -> None:
    """Refuse what is not one of these names."""
    if not isinstance(value, str) or value not in among:
        raise ValueError(f"{name} must be one of {list(among)}, got {shown(value)}.")


def check_list(name: str, value: Any, expected: str) -> None:
    """Refuse what is not a list or one-dimensional array: a text, a dict, a table."""
    try:
        dimensions = np.ndim(value)
    except ValueError:  # rows of several lengths
        dimensions = 2
    if dimensions != 1:
        raise TypeError(f"{name} must be {expected}, got {shown(value)}.")


def check_texts(name: str, value: Any) -> list[str]:
    """The texts as a list; one text alone, and what is no text, is refused."""
    one = isinstance(value, (str, Mapping)) or getattr(value, "ndim", 1) != 1
    if one or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of texts, got {shown(value)}.")
    texts = list(value)
    if strange := [text for text in texts if not isinstance(text, str)]:
        raise TypeError(f"{name} must be a list of texts, got {shown(strange[0])} among them.")
    return texts


def check_unmasked(name: str, given: Any) -> None:
    """Refuse a masked array, or a list of such, with something masked: NumPy would hand over what is under the mask."""
    rows = given if isinstance(given, (list, tuple)) else [given]
    kinds = {*map(type, rows)}
    if any(issubclass(kind, np.ma.MaskedArray) for kind in kinds) and (masked := sum(map(np.ma.count_masked, rows))):
        raise ValueError(f"{name} has {masked} masked entries; leave them out.")


def check_array(
    name: str,
    value: Any,
    *,
    ndim: int = 1,
    length: int | None = None,
    whole: bool = False,
    finite: bool = True,
) -> np.ndarray:
    """The argument as an array of numbers: whole ones, or finite ones unless NaN has a meaning there.

    Raises
    ------
    TypeError, ValueError : names the argument, what was expected and what came.
    """
    kind = "whole " if whole else "finite " if finite else ""
    wanted = f"{name} must be an array of {kind}numbers in {ndim} dimension{'s' * (ndim > 1)}"
    check_unmasked(name, value)
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of several lengths
        raise ValueError(f"{wanted}, got {shown(value)}.") from error
    if not array.size and array.dtype.kind not in "iuf":  # an empty list of any kind
        array = np.zeros(array.shape)
    if array.ndim != ndim or (array.size and array.dtype.kind not in ("iu" if whole else "iuf")):
        raise TypeError(f"{wanted}, got {shown(value)}.")
    if length is not None and len(array) != length:
        raise ValueError(f"{name} needs {length} entries, got {len(array)}.")
    if finite and not np.isfinite(array).all():
        raise ValueError(f"{wanted}, got {(~np.isfinite(array)).sum()} that are NaN or infinite.")
    return as_whole(array).copy() if whole else array


def as_whole(array: np.ndarray) -> np.ndarray:
    """Whole numbers of any kind as np.intp: what is beyond it stays beyond everything, where it would wrap below 0."""
    if array.dtype == np.uint64:
        array = np.minimum(array, np.uint64(np.iinfo(np.intp).max))
    return array.astype(np.intp, copy=False)


@dataclass(frozen=True)
class Range:
    """Where `tune` looks for a setting: `low` to `high`; with `log` every factor of ten is as likely as the next."""

    low: float
    high: float
    log: bool = False
    unit: str = ""

    def __post_init__(self):
        check_number("low", self.low, low=-np.inf)
        check_number("high", self.high, low=self.low)
        check_switch("log", self.log)
        check_kind("unit", self.unit, str, "text")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be above 0 where log counts factors of ten, got {self.low!r}.")

    def suggest(self, trial: Any, name: str, whole: bool = False) -> float:
        """The value that an Optuna trial proposes; a `whole` setting is tried as a whole number."""
        if not hasattr(trial, "suggest_float"):
            raise TypeError(f"trial must be an Optuna trial, got {shown(trial)}.")
        check_kind("name", name, str, "the name of a setting")
        check_switch("whole", whole)
        return (trial.suggest_int if whole else trial.suggest_float)(name, self.low, self.high, log=self.log)


RANK = Range(1, 100, log=True, unit="factors")
PER_RATING = Range(0.02, 5.0, log=True, unit="lambda for each rating of a row")
IMAGINARY = Range(0.5, 50.0, log=True, unit="imaginary ratings of 0 deviation")


@dataclass(frozen=True)
class Setting:
    """What `setting` declared, as `declared_settings` gives it; the last four come from the annotation."""

    default: Any
    low: float = -np.inf
    strict: bool = False
    high: float = np.inf
    below: float = np.inf
    among: tuple[str, ...] = ()
    search: Range | None = None
    needs: str = ""
    whole: bool = False
    optional: bool = False
    switch: bool = False
    seed: bool = False

    def check(self, name: str, value: Any) -> None:
        """Refuse a value that was not declared possible, by an error that names it."""
        if (self.optional and value is None) or (self.seed and isinstance(value, np.random.Generator)):
            return
        if self.among:
            check_choice(name, value, self.among)
        elif self.switch:
            check_switch(name, value)
        else:
            self._check_number(name, value)

    def _check_number(self, name, value):
        check_number(name, value, low=self.low, strict=self.strict, whole=self.whole)
        value = float(value) if isinstance(value, np.floating) else value  # a half float holds no bound of a million
        if value > self.high or value >= self.below:
            bound = f"at most {self.high:g}" if value > self.high else f"below {self.below:g}"
            raise ValueError(f"{name} must be {bound}, got {value!r}.")


def setting(
    default: Any,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float = np.inf,
    below: float = np.inf,
    among: Iterable[str] = (),
    search: Range | None = None,
    needs: str = "",
) -> Any:
    """A checked setting of a model, declared in its class body: `reg: float = setting(5.0, low=0, search=IMAGINARY)`.

    Parameters
    ----------
    default : the value of a model that is not told another
    low, above, high, below : float
        Bounds: at least `low`, or strictly above `above`; at most `high`, or strictly `below`.
    among : names to choose from, instead of numbers
    search : Range, optional
        Where `tune` looks for it, with its unit. None: it is not tuned unless a `space` says so.
    needs : str
        Name of a switch without which it does nothing, and is not tuned.

    An annotation of `int` makes it a whole number, `bool` a switch, `... | None` lets it be left out, and
    `... | np.random.Generator` lets it be one.
    """
    open_ends = {"low": (low, None), "above": (above, None), "high": (high, np.inf), "below": (below, np.inf)}
    for name, (bound, open_end) in open_ends.items():
        if bound is not open_end:
            check_number(name, bound, low=-np.inf)
    among = check_texts("among", among)
    check_kind("search", search, (Range, type(None)), "a Range or None")
    check_kind("needs", needs, str, "the name of a switch")
    bound = above if above is not None else low if low is not None else -np.inf
    declared = Setting(default, bound, above is not None, high, below, tuple(among), search, needs)
    return dataclasses.field(default=default, metadata={"setting": declared})


def declared_settings(kind: type) -> dict[str, Setting]:
    """The settings that a model class declares, its own and its parents', by name."""
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
        raise TypeError(f"kind must be a class of models, got {shown(kind)}.")
    found = {}
    for each in dataclasses.fields(kind):
        if "setting" in each.metadata:
            kinds = _kinds_of(kind, each)
            read = {"whole": is_whole(kind, each.name), "optional": type(None) in kinds}
            read |= {"switch": bool in kinds, "seed": np.random.Generator in kinds}
            found[each.name] = dataclasses.replace(each.metadata["setting"], **read)
    return found


def is_whole(kind: type, name: str) -> bool:
    """Whether a setting of a class is a whole number: by its annotation, else by the default in the signature."""
    for each in dataclasses.fields(kind):
        if each.name == name:
            return int in _kinds_of(kind, each) and float not in _kinds_of(kind, each)
    default = inspect.signature(kind).parameters[name].default
    return isinstance(default, int) and not isinstance(default, bool)


def _kinds_of(kind, each):
    """The types that an annotation allows; it is text where a module postpones annotations."""
    annotation = typing.get_type_hints(kind)[each.name] if isinstance(each.type, str) else each.type
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)
