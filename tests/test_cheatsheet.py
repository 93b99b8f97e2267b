"""The cheat sheet: names that exist, all of them, calls as they are, and a program that runs."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import content_table as ct
import content_table_parts as parts

TEXT = (Path(ct.__file__).parent / "docs" / "CHEATSHEET.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)
INLINE = re.findall(r"`(ct\.\w+\(.*?\))`", TEXT)  # calls in the table, written like signatures
PARTS = [importlib.import_module(f"content_table_parts.{part.name}") for part in pkgutil.iter_modules(parts.__path__)]


def defined():
    """(name, thing, file) of every function and class without an underscore that the chapter or a part defines."""
    for module in (ct, *PARTS):
        for name, thing in vars(module).items():
            if name[0] != "_" and callable(thing) and getattr(thing, "__module__", "") == module.__name__:
                yield name, thing, module


def test_every_name_in_it_is_public():
    assert set(re.findall(r"\bct\.(\w+)", TEXT)) - {"__all__"} <= set(ct.__all__)


def test_every_public_name_is_in_it():
    words = set(re.findall(r"\w+", TEXT))
    assert set(ct.__all__) - words == set()


def test_public_is_what_the_chapter_defines_and_what_it_passes_on_of_its_parts():
    assert {name for name, _, module in defined() if module is ct} <= set(ct.__all__)
    ours = {(name, id(thing)) for name, thing, _ in defined()}
    assert [
        name for name in ct.__all__ if callable(getattr(ct, name)) and (name, id(getattr(ct, name))) not in ours
    ] == []


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
    plain = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    assert arguments == str(inspect.Signature(plain))[1:-1].replace("*, ", "")


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
    assert isinstance(names["model"].certificate(), ct.Certificate)
