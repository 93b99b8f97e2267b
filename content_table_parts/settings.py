"""A setting of a model: its default, bounds, unit and search range, declared once; and the checks of numbers."""

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

TIE = 9  # decimals: predictions that agree to 1e-9 rating points are ties, and ties go by item position


def shown(value: Any) -> str:
    """What an error says came: its repr in one line, cut in the middle where it is long."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python refuses to write whole numbers of more than 4300 digits
        return f"a {type(value).__name__} too long to be written"
    return text if len(text) <= 100 else f"{text[:60]}...{text[-20:]}"


def check_number(name: str, value: Any, *, low: float = 0.0, strict: bool = False, whole: bool = False) -> None:
    """Refuse a setting that is not a finite number, not whole (of 64 bits) where it must be, or below `low`.

    Raises
    ------
    ValueError : names the setting, what was expected and what came; with `strict` the bound itself is refused too.
    """
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if not isinstance(value, kinds) or isinstance(value, bool) or not _is_finite(value):
        raise ValueError(f"{name} must be a {'whole' if whole else 'finite'} number, got {shown(value)}.")
    if value < low or (strict and value == low):
        raise ValueError(f"{name} must be {'above' if strict else 'at least'} {low:g}, got {shown(value)}.")
    if whole and value >= 2**63:
        raise ValueError(f"{name} must be below 2**63, got {shown(value)}.")


def _is_finite(number):
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False


@dataclass(frozen=True)
class Range:
    """Where `tune` looks for a setting: `low` to `high`; with `log` every factor of ten is as likely as the next."""

    low: float
    high: float
    log: bool = False
    unit: str = ""

    def suggest(self, trial: Any, name: str, whole: bool = False) -> float:
        """The value that an Optuna trial proposes; a `whole` setting is tried as a whole number."""
        return (trial.suggest_int if whole else trial.suggest_float)(name, self.low, self.high, log=self.log)


RANK = Range(1, 100, log=True, unit="factors")
IMAGINARY = Range(0.5, 50.0, log=True, unit="imaginary ratings of 0 deviation")


@dataclass(frozen=True)
class Setting:
    """What `setting` declared, as `declared_settings` gives it; `whole` and `optional` come from the annotation."""

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

    def check(self, name: str, value: Any) -> None:
        """Refuse a value that was not declared possible, by an error that names it."""
        if self.optional and value is None:
            return
        if self.among:
            if value not in self.among:
                raise ValueError(f"{name} must be one of {list(self.among)}, got {value!r}.")
            return
        check_number(name, value, low=self.low, strict=self.strict, whole=self.whole)
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

    An annotation of `int` makes it a whole number, `... | None` lets it be left out.
    """
    bound = above if above is not None else low if low is not None else -np.inf
    declared = Setting(default, bound, above is not None, high, below, tuple(among), search, needs)
    return dataclasses.field(default=default, metadata={"setting": declared})


def declared_settings(kind: type) -> dict[str, Setting]:
    """The settings that a model class declares, its own and its parents', by name."""
    found = {}
    for each in dataclasses.fields(kind):
        if "setting" in each.metadata:
            optional = type(None) in _kinds_of(kind, each)
            whole = is_whole(kind, each.name)
            found[each.name] = dataclasses.replace(each.metadata["setting"], whole=whole, optional=optional)
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
