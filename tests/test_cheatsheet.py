"""The cheat sheet: names that exist, all of them, calls as they are, and a program that runs."""

import inspect
import re
from pathlib import Path

import pytest

import content_table as ct
import content_table_data
import content_table_study

TEXT = (Path(ct.__file__).parent / "CHEATSHEET.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)
INLINE = re.findall(r"`(ct\.\w+\(.*?\))`", TEXT)  # calls in the table, written like signatures


def public():
    """Every function and class that one of the three files defines for readers."""
    for module in (ct, content_table_data, content_table_study):
        for name, thing in vars(module).items():
            if name[0] != "_" and callable(thing) and getattr(thing, "__module__", "") == module.__name__:
                yield name


def test_every_name_in_it_exists():
    for name in set(re.findall(r"\bct\.(\w+)", TEXT)):
        assert hasattr(ct, name), name


def test_every_public_function_and_class_is_in_it():
    words = set(re.findall(r"\w+", TEXT))
    assert set(public()) - words == set()


def test_it_stays_a_sheet():
    assert len(TEXT.splitlines()) <= 150


@pytest.mark.parametrize("line", [line for block in BLOCKS for line in block.splitlines() if line])
def test_every_line_of_code_compiles_and_says_what_it_gives(line):
    compile(line, "CHEATSHEET.md", "exec")
    if "ct." in line and not line.startswith(("import", "models =")):
        assert re.search(r"  # \S", line)


@pytest.mark.parametrize("call", INLINE)
def test_a_call_in_the_table_is_the_signature(call):
    name, arguments = re.fullmatch(r"ct\.(\w+)\((.*)\)", call).groups()
    function = getattr(ct, name)
    signature = inspect.signature(getattr(function, "py_func", function))
    assert arguments == str(signature)[1:-1].replace("*, ", "")


def test_the_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        exec(compile(block, "CHEATSHEET.md", "exec"), names)
    assert (tmp_path / "model.npz").is_file()
    assert isinstance(names["me"], ct.Viewer)
    assert isinstance(names["new"], ct.NewTitle)
    assert isinstance(names["mine"], ct.OwnList)
    assert isinstance(names["tuning"], ct.Tuning)
    assert isinstance(names["model"].certificate_, ct.Certificate)
