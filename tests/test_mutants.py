"""The command that plants faults: which ones, that a sample is what it says, and how the score is counted."""

import importlib
import json
import sys
from types import SimpleNamespace

import forks
import mutants
import pytest

TEXT = b'''"""A docstring with 3 numbers."""
import numpy as np

LIMIT = 10  # of rows


def near(a, b: "1 < 2", *, progress=False):
    """1 + 1"""
    if a < b:
        raise ValueError(f"{a + 1} below 7")
    return max(a, b) + 1
'''


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setattr(mutants, "source", lambda file: TEXT)
    return mutants._Finder("any.py").found


def test_each_operator_number_condition_and_statement_is_changed_once_each_way(planted):
    rows = {(row["was"], row["now"]) for row in (mutant.row() for mutant in planted)}
    limit, test, last = "LIMIT = 10  # of rows", "if a < b:", "return max(a, b) + 1"
    assert rows == {
        *((limit, f"LIMIT = {number}  # of rows") for number in (9, 11)),
        *((test, f"if a {sign} b:") for sign in ("<=", ">=")),
        ('raise ValueError(f"{a + 1} below 7")', "pass"),
        *((last, f"return {now}") for now in ("min(a, b) + 1", "max(a, b) - 1", "max(a, b) + 0", "max(a, b) + 2")),
    }


def test_a_mutant_is_the_file_with_one_line_changed(planted):
    for mutant in planted:
        before, after = TEXT.decode().splitlines(), mutant.text.decode().splitlines()
        assert [at for at, pair in enumerate(zip(before, after, strict=True), 1) if pair[0] != pair[1]] == [mutant.line]


def test_a_sample_has_its_share_of_every_file_and_the_seed_decides_it(monkeypatch):
    small = tuple(f"content_table_parts/{name}.py" for name in ("certificates", "files", "settings", "titles"))
    monkeypatch.setattr(mutants, "SOURCES", small)
    sizes = {file: len(mutants.population(file)) for file in mutants.SOURCES}
    drawn = mutants.draw(60, 1)
    assert drawn.keys() == mutants.draw(60, 1).keys() != mutants.draw(60, 2).keys()
    for file, size in sizes.items():
        found = sum(mutant.file == file for mutant in drawn.values())
        assert found == round(60 * size / sum(sizes.values())), file
    assert drawn.keys() <= mutants.draw(90, 1).keys()


def test_the_score_leaves_out_what_is_no_fault_and_nothing_else():
    rows = [{"file": "a.py", "was": "x", "survived": False}, {"file": "a.py", "was": "y", "survived": True}]
    rows += [{"file": "b.py", "was": "z", "survived": True}, {"file": "b.py", "was": "z", "survived": False}]
    found = mutants.figures(rows, [({"file": "b.py", "was": "z"}, "speed")], "survived")
    assert (found["killed"], found["survived"], found["equivalent"]) == (2, 1, 1)
    assert found["score"] == pytest.approx(2 / 3)
    assert found["low"] == pytest.approx(0.2077, abs=1e-4)  # Wilson's interval for 2 of 3
    assert found["by_file"]["a.py"] == {"killed": 1, "survived": 1, "equivalent": 0}


def test_what_had_run_at_import_or_cannot_be_planted_is_written_into_its_file(monkeypatch):
    found = [("noticed", True, "a test"), ("lives", True, None), ("early", True, None), ("outside", False, None)]
    planted = {key: SimpleNamespace(file="a.py", line=3 if key == "early" else 5) for key, _, _ in found}
    monkeypatch.setattr(mutants, "in_forks", lambda *_: iter(found))
    monkeypatch.setattr(mutants, "in_files", lambda written, *_: ((key, "its file") for key in written))
    kept = list(mutants.outcomes(planted, SimpleNamespace(at_import={"a.py": {3}}), [], 0))
    assert kept == [("noticed", "a test"), ("lives", None), ("early", "its file"), ("outside", "its file")]


def test_an_entry_excuses_what_it_names_and_no_more():
    reasons = [({"file": "a.py", "was": "x", "now": ["y", "z"]}, "speed"), ({"file": "b.py", "was": "x"}, "memory")]
    assert mutants.reason_of({"file": "a.py", "was": "x", "now": "z"}, reasons) == "speed"
    assert mutants.reason_of({"file": "a.py", "was": "x", "now": "w"}, reasons) is None
    assert mutants.reason_of({"file": "b.py", "was": "x", "now": "w"}, reasons) == "memory"


def test_every_mutant_that_is_called_equivalent_is_one_of_a_line_that_is_there_and_has_a_reason():
    for like, reason in mutants.equivalent():
        assert reason
        lines = [line.strip() for line in mutants.source(like["file"]).decode().splitlines()]
        assert "was" not in like or like["was"] in lines, like


def test_the_figures_on_file_add_up():
    filed = json.loads(mutants.RESULTS.read_text(encoding="utf-8"))
    for counts in (sample[when] for sample in filed["samples"].values() for when in ("first", "now")):
        assert counts["score"] == counts["killed"] / (counts["killed"] + counts["survived"])
        for kind in ("killed", "survived", "equivalent"):
            assert counts[kind] == sum(line[kind] for line in counts["by_file"].values())


MODULE = b'''"""To be planted in."""
import functools

LIMIT = 10


class Shelf:
    size = 1

    @property
    def width(self):
        return 2

    @classmethod
    def named(cls):
        return 3

    def twice(self, x=4):
        def inner(y):
            return y + 5

        return inner(x)


@functools.cache
def kept():
    return 6
'''


@pytest.fixture
def shelves(tmp_path, monkeypatch):
    (tmp_path / "shelves.py").write_bytes(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(mutants, "source", lambda file: MODULE)
    yield importlib.import_module("shelves")
    del sys.modules["shelves"]


def said(module):
    shelf = module.Shelf()
    return [module.LIMIT, shelf.size, shelf.width, shelf.named(), shelf.twice(), module.kept()]


@pytest.mark.parametrize(
    ("was", "now", "expected"),
    [
        ("return 2", "return 3", [10, 1, 3, 3, 9, 6]),
        ("return 3", "return 4", [10, 1, 2, 4, 9, 6]),
        ("return y + 5", "return y - 5", [10, 1, 2, 3, -1, 6]),
        ("return 6", "return 5", [10, 1, 2, 3, 9, 5]),
        ("LIMIT = 10", "LIMIT = 11", None),
        ("size = 1", "size = 0", None),
        ("def twice(self, x=4):", "def twice(self, x=5):", None),
    ],
)
def test_what_a_function_does_can_be_changed_where_it_is_and_nothing_else(shelves, was, now, expected):
    (mutant,) = (
        each for each in mutants._Finder("shelves.py").found if (each.row()["was"], each.row()["now"]) == (was, now)
    )
    edits = [(start, end, new.decode()) for start, end, new in mutant.edits]
    assert forks.plant({"file": "shelves.py", "function": mutant.function, "edits": edits}) == (expected is not None)
    assert said(shelves) == (expected or [10, 1, 2, 3, 9, 6])
