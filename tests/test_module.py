"""The module and its two companions: one namespace for readers, and a size that can be read in an afternoon."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import content_table as ct

ROOT = Path(ct.__file__).parent


def code_lines(path):
    """Lines that hold code: without docstrings, comments and blanks."""
    text = path.read_text(encoding="utf-8")
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds) and ast.get_docstring(node)]
    documented = {line for node in nodes for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)}
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for at, line in lines if at not in documented and line.strip() and not line.strip().startswith("#"))


def test_the_module_stays_within_its_budget():
    assert code_lines(ROOT / "content_table.py") <= 1500


def test_the_last_of_the_three_files_may_be_imported_first():
    program = "import content_table_study, content_table as ct; print(ct.tune.__name__, ct.load_ratings.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["tune", "load_ratings"]


def test_everything_is_found_under_one_name():
    for name in ct.STUDY:
        assert name in dir(ct)
        assert getattr(ct, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = ct.nothing


def test_every_public_function_and_class_has_a_docstring():
    import content_table_data
    import content_table_study

    for module in (ct, content_table_data, content_table_study):
        for name, thing in vars(module).items():
            if callable(thing) and getattr(thing, "__module__", "").startswith("content_table") and name[0] != "_":
                assert thing.__doc__, f"{module.__name__}.{name}"
