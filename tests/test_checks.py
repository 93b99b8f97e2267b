"""The checks of arguments, which all public calls share: what passes and what does not, on both sides of each bound."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import content_table as ct
from content_table_parts import settings

NO = np.nan


def refused(check, *given, error=ValueError, match, **named):
    with pytest.raises(error, match=match):
        check(*given, **named)


# ---- Numbers ----


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (0, {}),
        (0.0, {}),
        (5e-324, {"strict": True}),
        (np.float32(0.5), {}),
        (np.int8(3), {"whole": True}),
        (np.uint64(7), {"whole": True}),
        (3, {"low": 3}),
        (3.25, {"low": np.float32(3.25)}),
        (3, {"low": np.int64(2), "strict": np.bool_(True)}),
        (-5, {"low": -5.0, "whole": True}),
        (-1e300, {"low": -np.inf}),
        (1e300, {}),
        (2**63 - 1, {"whole": True}),
        (2**63, {}),
    ],
)
def test_a_number_on_its_bound_passes(value, options):
    assert settings.check_number("n", value, **options) is None


@pytest.mark.parametrize(
    ("value", "options", "words"),
    [
        ("1", {}, "n must be a finite number, got '1'"),
        (True, {}, "n must be a finite number, got True"),
        (np.bool_(True), {"whole": True}, "n must be a whole number, got"),
        (NO, {}, "n must be a finite number, got nan"),
        (np.inf, {}, "n must be a finite number, got inf"),
        (-np.inf, {"low": -np.inf}, "n must be a finite number, got -inf"),
        (2.0, {"whole": True}, r"n must be a whole number, got 2\.0"),
        (np.float64(2), {"whole": True}, "n must be a whole number"),
        (-5e-324, {}, "n must be at least 0, got -5e-324"),
        (-1, {"whole": True}, "n must be at least 0, got -1"),
        (0, {"strict": True}, "n must be above 0, got 0"),
        (2, {"low": 3}, "n must be at least 3, got 2"),
        (3, {"low": 3, "strict": True}, "n must be above 3, got 3"),
        (2, {"low": 3, "strict": True}, "n must be above 3, got 2"),
        (2**63, {"whole": True}, r"n must be below 2\*\*63, got 9223372036854775808"),
        (np.uint64(2**63), {"whole": True}, r"n must be below 2\*\*63"),
    ],
)
def test_a_number_beyond_its_bound_is_refused(value, options, words):
    refused(settings.check_number, "n", value, match=words, **options)


@pytest.mark.parametrize("low", [True, None, "0", NO, [0]])
def test_a_bound_is_a_number(low):
    refused(settings.check_number, "n", 5, low=low, error=TypeError, match="low must be a number, got")


def test_whether_a_bound_is_strict_and_a_number_whole_is_true_or_false():
    refused(settings.check_number, "n", 5, strict="no", error=TypeError, match="strict must be True or False, got 'no'")
    refused(settings.check_number, "n", 5, whole=1, error=TypeError, match="whole must be True or False, got 1")


def test_a_whole_number_of_numpy_becomes_one_of_python():
    assert type(settings.whole_number("n", np.int8(100))) is int
    assert settings.whole_number("n", np.int8(100)) == 100
    assert (settings.whole_number("n", 0), settings.whole_number("n", 3, 3)) == (0, 3)
    refused(settings.whole_number, "n", -1, match="n must be at least 0, got -1")
    refused(settings.whole_number, "n", 2, 3, match="n must be at least 3, got 2")
    refused(settings.whole_number, "n", 2.0, match="n must be a whole number")


def test_a_setting_fits_the_numbers_of_its_arithmetic_up_to_the_last():
    largest = float(np.finfo("float32").max)
    settings.check_in_dtype("float32", reg=largest, rate=0.5)
    settings.check_in_dtype("float64", reg=2 * largest)
    refused(
        settings.check_in_dtype, "float32", reg=1.0, rate=1.001 * largest,
        match=r"rate must be at most 3\.4e\+38 with dtype='float32', got 3\.4",
    )  # fmt: skip


@pytest.mark.parametrize("value", [5e-324, 0.5, 1 - 2**-53, np.float32(0.5)])
def test_a_share_between_0_and_1_passes(value):
    assert settings.check_share("part", value) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "above 0, got 0"), (-0.5, "above 0"), (1, "below 1, got 1"), (1.5, "below 1"), ("a", "a finite number")],
)
def test_all_and_nothing_are_no_share(value, words):
    refused(settings.check_share, "part", value, match=f"part must be {words}")


# ---- Switches, names, functions, paths ----


def test_a_switch_is_true_or_false_and_an_optional_one_may_be_left_out():
    for value in (True, False, np.bool_(True)):
        settings.check_switch("wide", value)
        settings.check_optional_switch("wide", value)
    settings.check_optional_switch("wide", None)
    for value in (1, 0, "no", np.array(True)):
        refused(settings.check_switch, "wide", value, error=TypeError, match="wide must be True or False, got")
        refused(settings.check_optional_switch, "wide", value, error=TypeError, match="wide must be True or False, got")
    refused(settings.check_switch, "wide", None, error=TypeError, match="wide must be True or False, got None")


def test_a_function_can_be_called_and_is_no_class():
    settings.check_function("score", len, "a function")
    settings.check_function("score", lambda: 0, "a function")
    for value in (int, 5, "len", None):
        refused(
            settings.check_function, "score", value, "a function", error=TypeError, match="score must be a function"
        )


def test_a_choice_is_one_of_the_names():
    settings.check_choice("kind", "a", ("a", "b"))
    settings.check_choice("kind", "b", {"a": 1, "b": 2})
    for value in ("c", "", None, 5, ["a"]):
        for among in (["a", "b"], {"a": 1, "b": 2}):
            refused(settings.check_choice, "kind", value, among, match=r"kind must be one of \['a', 'b'\], got")


def test_a_shape_is_the_lengths_of_its_sides():
    for shape, sides in [((2, 3), None), ((2, 3), 2), ([0, np.int64(3)], 2), ((), None), ((1, 2, 3), 3)]:
        assert settings.check_shape(shape, sides) is None
    for shape, sides, words in [((2, 3, 4), 2, "2 sides"), ((2,), 2, "2 sides"), ("ab", 2, "2 sides"),
                                ({2: 3}, None, "all sides"), (np.array([2, 3]), None, "all sides"),
                                (None, None, "all sides")]:  # fmt: skip
        expected = f"shape must be the lengths of {words} of a table, got"
        refused(settings.check_shape, shape, sides, error=TypeError, match=expected)
    refused(settings.check_shape, (2, -1), match="shape must be at least 0, got -1")
    refused(settings.check_shape, (2.0, 1), match="shape must be a whole number")


class Somewhere(os.PathLike):
    """A path of another library."""

    def __fspath__(self):
        return "there.csv"


def test_a_path_is_text_or_a_path():
    for given in ("there.csv", Path("there.csv"), Somewhere()):
        found = settings.as_path(given)
        assert (type(found), found.name) == (type(Path()), "there.csv")
    for given in (b"there.csv", 5, None):
        refused(settings.as_path, given, error=TypeError, match="path must be text or a Path, got")
    refused(settings.as_path, "a\0b", "folder", match="folder must be the name of a file, without zero characters")


def test_a_fitted_model_has_its_ratings(four):
    model = ct.GlobalMean().fit(four)
    assert settings.check_fitted("model", model) is model.fitted()
    for given in (5, ct.GlobalMean, None):
        refused(settings.check_fitted, "model", given, error=TypeError, match="model must be a fitted model, got")


def test_what_is_printed_moves_no_cursor_and_hides_nothing():
    assert settings.printable("Déjà vu\n日本") == "Déjà vu\n日本"
    assert settings.printable("a\x1b[2J\u202eb\r\x07") == r"a\x1b[2J\u202eb\r\x07"
    assert settings.printable(5) == "5"


def test_what_is_shown_is_one_line():
    assert settings.shown(np.ones((2, 2))) == "array([[1., 1.], [1., 1.]])"


# ---- Lists and arrays ----


@pytest.mark.parametrize("value", [[1, 2], (1,), [], range(3), np.arange(3), pd.Series([1, 2]), ["a", "b"]], ids=repr)
def test_a_list_has_one_axis(value):
    assert settings.check_list("ids", value, "a list of ids") is None


@pytest.mark.parametrize("value", ["ab", {1: 2}, 5, None, [[1]], np.ones((1, 1)), [[1], [1, 2]], np.array(5)], ids=repr)
def test_what_has_another_number_of_axes_is_no_list(value):
    refused(settings.check_list, "ids", value, "a list of ids", error=TypeError, match="ids must be a list of ids, got")


@pytest.mark.parametrize(
    "value", [["a", "b"], ("a", "b"), np.array(["a", "b"]), pd.Series(["a", "b"]), iter("ab")], ids=lambda v: type(v)
)
def test_texts_become_a_list(value):
    found = settings.check_texts("words", value)
    assert (type(found), found) == (list, ["a", "b"])


@pytest.mark.parametrize("value", ["ab", {"a": 1}, np.array("a"), np.array([["a"]]), 5, None], ids=repr)
def test_one_text_is_no_list_of_texts(value):
    refused(settings.check_texts, "words", value, error=TypeError, match="words must be a list of texts, got")


def test_the_first_that_is_no_text_is_named():
    assert settings.check_texts("words", []) == []
    words = "words must be a list of texts, got 7 among them"
    refused(settings.check_texts, "words", ["a", 7, 2.5], error=TypeError, match=words)


def test_masked_entries_are_counted_through_a_list_of_rows():
    settings.check_unmasked("rows", np.ma.masked_array([1, 2], [False, False]))
    settings.check_unmasked("rows", [np.ma.masked_array([1, 2]), [3, 4]])
    one, two = np.ma.masked_array([1, 2], [False, True]), np.ma.masked_array([1, 2], [True, True])
    refused(settings.check_unmasked, "rows", one, match="rows has 1 masked entries; leave them out")
    refused(settings.check_unmasked, "rows", [[0, 0], one, two], match="rows has 3 masked entries")
    refused(settings.check_unmasked, "rows", (one, [0, 0]), match="rows has 1 masked entries")
    refused(settings.check_unmasked, "rows", [1, np.ma.masked], match="rows has 1 masked entries")


def test_an_array_of_numbers_passes_as_it_is():
    given = np.array([1.5, 2.5])
    assert settings.check_array("a", given) is given
    assert settings.check_array("a", [1, 2], length=2).tolist() == [1, 2]
    assert settings.check_array("a", [[1], [2]], ndim=2, length=2).shape == (2, 1)
    assert settings.check_array("a", []).shape == (0,)
    assert settings.check_array("a", [], length=0, whole=True).dtype == np.intp
    assert np.isnan(settings.check_array("a", [1, NO], finite=False)).tolist() == [False, True]


def test_an_array_of_whole_numbers_is_a_copy_that_can_index():
    given = np.array([1, 2])
    found = settings.check_array("a", given, whole=True)
    found[0] = 9
    assert given.tolist() == [1, 2]
    assert settings.check_array("a", np.array([1, 2], np.uint8), whole=True).dtype == np.intp


@pytest.mark.parametrize(
    ("value", "options", "words"),
    [
        ([[1.0]], {}, r"a must be an array of finite numbers in 1 dimension, got \[\[1\.0\]\]"),
        ([1.0], {"ndim": 2}, r"a must be an array of finite numbers in 2 dimensions, got \[1\.0\]"),
        (5, {}, "a must be an array of finite numbers in 1 dimension, got 5"),
        (["x"], {}, r"a must be an array of finite numbers in 1 dimension, got \['x'\]"),
        ([["x"]], {}, "a must be an array of finite numbers in 1 dimension"),
        ([True], {}, "a must be an array of finite numbers in 1 dimension"),
        ([1j], {"finite": False}, "a must be an array of numbers in 1 dimension"),
        ([1.0], {"whole": True}, "a must be an array of whole numbers in 1 dimension"),
        ([True], {"whole": True}, "a must be an array of whole numbers in 1 dimension"),
    ],
)
def test_what_is_no_array_of_such_numbers_is_refused(value, options, words):
    refused(settings.check_array, "a", value, error=TypeError, match=words, **options)


@pytest.mark.parametrize(
    ("value", "options", "words"),
    [
        ([[1], [1, 2]], {}, r"a must be an array of finite numbers in 1 dimension, got \[\[1\], \[1, 2\]\]"),
        ([1, 2], {"length": 3}, "a needs 3 entries, got 2"),
        ([1, 2], {"length": 0}, "a needs 0 entries, got 2"),
        ([1, NO, -np.inf], {}, "a must be an array of finite numbers in 1 dimension, got 2 that are NaN or infinite"),
        (np.ma.masked_array([1, 2], [False, True]), {}, "a has 1 masked entries"),
    ],
)
def test_an_array_of_another_length_or_with_gaps_is_refused(value, options, words):
    refused(settings.check_array, "a", value, match=words, **options)


def test_whole_numbers_beyond_all_positions_stay_beyond_them():
    largest = np.iinfo(np.intp).max
    found = settings.as_whole(np.array([0, 7, 2**63 - 1, 2**63, 2**64 - 1], np.uint64))
    assert found.dtype == np.intp
    assert found.tolist() == [0, 7, largest, largest, largest]
    assert settings.as_whole(np.array([-3, 4], np.int8)).tolist() == [-3, 4]


# ---- A function behind its check ----


def test_a_function_behind_its_check_gets_what_the_check_returns():
    def add(a, b=1):
        """The sum."""
        return a + b

    def double(a, b=10):
        if a < 0:
            raise ValueError("a must be at least 0")
        return 2 * a, 2 * b

    behind = settings.checked(add, double)
    assert (behind(1), behind(1, 3), behind(b=3, a=1), behind(a=1)) == (
        22,
        8,
        8,
        4,
    )  # a name brings the defaults of add
    assert (behind.__name__, behind.__doc__) == ("add", "The sum.")
    assert behind.unchecked is add
    refused(behind, -1, match="a must be at least 0")
    refused(behind, 1, c=2, error=TypeError, match="c")


# ---- Ranges and settings ----


class Trial:
    """Tells what it was asked for."""

    def suggest_float(self, *given, **named):
        return "float", given, named

    def suggest_int(self, *given, **named):
        return "int", given, named


def test_a_range_asks_a_trial_for_a_number_of_its_kind():
    assert ct.Range(1, 9).suggest(Trial(), "depth") == ("float", ("depth", 1, 9), {"log": False})
    assert ct.Range(1, 9, log=True).suggest(Trial(), "depth", whole=True) == ("int", ("depth", 1, 9), {"log": True})
    refused(ct.Range(1, 9).suggest, None, "depth", error=TypeError, match="trial must be an Optuna trial, got None")
    refused(ct.Range(1, 9).suggest, Trial(), 5, error=TypeError, match="name must be the name of a setting, got 5")
    refused(ct.Range(1, 9).suggest, Trial(), "depth", 1, error=TypeError, match="whole must be True or False, got 1")


def test_a_range_goes_from_low_to_high():
    assert (ct.Range(5, 5).log, ct.Range(5, 5).unit, ct.Range(-2, -1).high) == (False, "", -1)
    refused(ct.Range, 5, 4.9, match="high must be at least 5, got 4.9")
    refused(ct.Range, -np.inf, 5, match="low must be a finite number")
    refused(ct.Range, 1, np.inf, match="high must be a finite number")
    refused(ct.Range, 1, 2, "yes", error=TypeError, match="log must be True or False, got 'yes'")
    refused(ct.Range, 1, 2, unit=5, error=TypeError, match="unit must be text, got 5")


@pytest.mark.parametrize(
    ("bounds", "fits", "others"),
    [
        ({"low": 1}, [1, 1.5, 1e9], [(0.999, "at least 1")]),
        ({"above": 1}, [1.001], [(1, "above 1"), (0, "above 1")]),
        ({"high": 5}, [-1e9, 5], [(5.001, r"at most 5, got 5\.001"), (6, "at most 5")]),
        ({"below": 5}, [-1e9, 4.999], [(5, "below 5, got 5"), (6, "below 5")]),
        ({"low": 1, "high": 1}, [1], [(0.5, "at least 1"), (1.5, "at most 1")]),
        ({"low": 0, "above": 1}, [2], [(1, "above 1")]),
        ({"high": 1e6}, [np.float16(100), np.float32(1e6)], [(np.float32(2e6), "at most 1e")]),
        ({"low": -3}, [-3], [(-4, "at least -3")]),
        ({"high": 5, "below": 5}, [4.9], [(5, "below 5"), (6, "at most 5")]),
    ],
)
def test_a_setting_is_held_to_its_bounds(bounds, fits, others):
    class Bounded(ct.GlobalMean):
        share: float = ct.setting(2.0, **bounds)

    declared = settings.declared_settings(Bounded)["share"]
    for value in fits:
        assert declared.check("share", value) is None
    for value, words in others:
        refused(declared.check, "share", value, match=f"share must be {words}")
    for value in (None, "2", NO, np.random.default_rng(0)):
        refused(declared.check, "share", value, match="share must be a finite number")


def test_a_setting_of_which_nothing_is_said_is_any_number():
    for value in (-1e300, 0, 2.5, 1e300):
        assert settings.Setting(5).check("share", value) is None
    for value in (None, "a", True, np.random.default_rng(0), np.inf):
        refused(settings.Setting(5).check, "share", value, match="share must be a finite number")


@pytest.mark.parametrize("name", ["low", "above", "high", "below"])
def test_bounds_of_a_setting_are_numbers(name):
    for bound in ("1", NO, True):
        refused(ct.setting, 1, **{name: bound}, match=f"{name} must be a finite number")
    assert ct.setting(1, **{name: -1}).default == 1


def test_what_else_a_setting_says_is_of_its_kind():
    refused(ct.setting, 1, among="ab", error=TypeError, match="among must be a list of texts")
    refused(ct.setting, 1, search=(1, 9), error=TypeError, match="search must be a Range or None")
    refused(ct.setting, 1, needs=None, error=TypeError, match="needs must be the name of a switch")


class Parent(ct.GlobalMean):
    """Settings of all kinds of annotation."""

    depth: int = ct.setting(3)
    either: int | float = ct.setting(3)
    loose: "int | None" = ct.setting(None)
    share: float = ct.setting(1, needs="wide", search=ct.Range(1, 2))
    wide: bool = ct.setting(False)
    seed: int | np.random.Generator = ct.setting(0)
    kind: str | None = ct.setting(None, among=["a", "b"])


class Child(Parent):
    """With one setting more."""

    width: int = ct.setting(5, low=1)
    note: str = "declared no setting"


def test_an_annotation_says_what_a_setting_may_be():
    found = settings.declared_settings(Child)
    flags = {name: (one.whole, one.optional, one.switch, one.seed) for name, one in found.items()}
    assert flags == {
        "depth": (True, False, False, False),
        "either": (False, False, False, False),
        "loose": (True, True, False, False),
        "share": (False, False, False, False),
        "wide": (False, False, True, False),
        "seed": (True, False, False, True),
        "kind": (False, True, False, False),
        "width": (True, False, False, False),
    }
    assert (found["width"].low, found["share"].needs, found["share"].search) == (1, "wide", ct.Range(1, 2))
    assert (found["kind"].among, found["depth"].default, found["depth"].search) == (("a", "b"), 3, None)
    found["kind"].check("kind", None)
    found["loose"].check("loose", None)
    found["seed"].check("seed", np.random.default_rng(0))
    refused(found["kind"].check, "kind", "c", match=r"kind must be one of \['a', 'b'\]")
    refused(found["wide"].check, "wide", 1, error=TypeError, match="wide must be True or False")
    for given in (Child(), int, 5):
        refused(settings.declared_settings, given, error=TypeError, match="kind must be a class of models, got")


def test_without_an_annotation_the_default_says_whether_a_setting_is_whole():
    class Written(ct.GlobalMean):
        def __init__(self, depth=3, share=0.5, wide=True, kind="a"):
            self.depth, self.share, self.wide, self.kind = depth, share, wide, kind

    assert [settings.is_whole(Written, name) for name in ("depth", "share", "wide", "kind")] == [True] + [False] * 3
    assert [settings.is_whole(Child, name) for name in ("depth", "either", "wide")] == [True, False, False]


@pytest.mark.parametrize(
    "nothing", [np.array([], "U3"), np.array([], object), np.array([], "M8[s]"), np.array([], bool)]
)
def test_an_empty_array_of_any_kind_holds_no_wrong_number(nothing):
    assert settings.check_array("a", nothing).dtype == float
    assert settings.check_array("a", nothing, whole=True).dtype == np.intp
    with pytest.raises(TypeError, match="a must be an array of finite numbers in 2 dimensions"):
        settings.check_array("a", nothing, ndim=2)


def test_a_number_or_a_text_of_numpy_is_shown_as_it_was_given():
    assert settings.shown(np.float64("inf")) == "inf"
    assert settings.shown(np.int8(-3)) == "-3"
    assert settings.shown(np.str_("Monster")) == "'Monster'"
    assert settings.shown(np.True_) == repr(np.True_)  # which is no bool
