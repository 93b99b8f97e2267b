"""The house: what stands where, which way it is imported, how long a model may be, and what readers see of it."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import content_table as ct

ROOT = Path(ct.__file__).parent
PARTS = ROOT / "content_table_parts"
CHAPTER = ROOT / "content_table.py"
FILES = [CHAPTER, *sorted(PARTS.glob("*.py"))]
LAYERS = (  # each imports only from those before it
    "start",
    "places",
    "settings",
    "interrupts",
    "writing",
    "titles",
    "ratings",
    "readers",
    "tables",
    "exports",
    "fetching",
    "features",
    "products",
    "solvers",
    "vectors",
    "regressions",
    "nonnegative",
    "pairwise",
    "deep",
    "bayes",
    "lists",
    "doors",
    "certificates",
    "autoencoders",
    "variational",
    "graphs",
    "newcomers",
    "posterior",
    "policies",
    "files",
    "spark",
    "growing",
    "study",
    "command",
    "content_table",
)
LONGER = {
    "Recommender",
    "FactorModel",
    "SGDMF",
    "BayesianFM",
    "SpectralRegularization",
    "Tuned",
    "Blend",
}  # each says why in its body
HOOKS = {"_fit", "_scores", "_row_scores", "_known", "_factors", "_newcomer", "_feature_reasons", "_part_reasons"}
HOOKS |= {"_solved", "_blank", "_unexplained", "_settle"}  # of a model that grows
HOOKS |= {"_part_scores", "_interval_of", "_draws_of"}  # of one that knows how sure it is


def imports_of(path):
    """The names of our own files that a file imports."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.Import):
            found += [name for name in names if name.startswith("content_table")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("content_table"):
            whole = node.module == "content_table_parts"  # from content_table_parts import command
            found += [f"content_table_parts.{name}" for name in names] if whole else [node.module]
    return [name.removeprefix("content_table_parts.") for name in found]


def code_lines(node, text):
    """Lines of a class or function that hold code: without docstrings, comments and blanks."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    inside = [part for part in ast.walk(node) if isinstance(part, kinds) and ast.get_docstring(part)]
    documented = {line for part in inside for line in range(part.body[0].lineno, part.body[0].end_lineno + 1)}
    lines = list(enumerate(text.splitlines(), 1))[node.lineno - 1 : node.end_lineno]
    return sum(1 for at, line in lines if at not in documented and line.strip() and not line.strip().startswith("#"))


def definitions(path, kind):
    text = path.read_text(encoding="utf-8")
    return [(node, code_lines(node, text)) for node in ast.walk(ast.parse(text)) if isinstance(node, kind)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_go_one_way_only(path):
    if path.stem == "__init__":
        assert imports_of(path) == []
        return
    above = LAYERS[LAYERS.index(path.stem) :]
    own_name = ["content_table"] if path == CHAPTER else []  # python -m content_table runs it under its own name
    assert [name for name in imports_of(path) if name in above] == own_name
    assert all(name in LAYERS for name in imports_of(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_imported_by_a_star_or_made_up_when_asked_for(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]
    assert "__getattr__" not in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_every_file_of_the_parts_has_its_layer():
    assert sorted(path.stem for path in FILES if path.stem != "__init__") == sorted(LAYERS)


def test_the_page_on_the_code_has_every_part_in_this_order():
    page = (ROOT / "docs" / "CODE.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| \[(\S+)\]\(\.\./(\S+)\) \| \w", page)
    parts = [f"content_table_parts/{name}.py" for name in LAYERS[:-1]]
    assert rows == [(name, name) for name in ["content_table.py", *parts]]


def test_readers_see_what_is_meant_for_them_and_nothing_foreign():
    assert len(set(ct.__all__)) == len(ct.__all__)
    assert [name for name in dir(ct) if not name.startswith("__")] == sorted(ct.__all__)
    for name in ct.__all__:
        thing = getattr(ct, name)
        foreign = inspect.isroutine(thing) or inspect.isclass(thing)
        assert not foreign or thing.__module__.startswith("content_table"), name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_function_is_longer_than_forty_lines(path):
    assert {node.name: count for node, count in definitions(path, ast.FunctionDef) if count > 40} == {}


def test_no_model_is_longer_than_sixty_lines_except_where_said_why():
    long = {node.name for node, count in definitions(CHAPTER, ast.ClassDef) if count > 60}
    assert long == LONGER
    source = {name: inspect.getsource(getattr(ct, name)) for name in LONGER}
    assert all("onger than" in text for text in source.values())


def test_models_override_few_hooks_and_each_explains_itself():
    def bases(kind):
        return [base for base in kind.__mro__[1:] if base.__module__ == "content_table"]

    overridden = {
        name
        for kind in (*ct.MODELS, ct.Tuned)
        for name in vars(kind)
        if name.startswith("_") and not name.startswith("__") and any(name in vars(base) for base in bases(kind))
        if callable(vars(kind)[name]) and name in vars(ct.Recommender)
    }
    assert overridden <= HOOKS
    for name in HOOKS:
        assert getattr(ct.Recommender, name).__doc__, name


def public_things():
    """(name, function) of every public function, and of every public method of a public class."""
    for name in ct.__all__:
        thing = getattr(ct, name)
        if inspect.isclass(thing):
            for method, value in vars(thing).items():
                value = getattr(value, "__func__", getattr(value, "fget", value))
                if inspect.isfunction(value) and not method.startswith("_") and "<string>" not in str(value.__code__):
                    yield f"{name}.{method}", value
        elif inspect.isfunction(thing) and not hasattr(thing, "py_func"):  # a compiled loop says it in words
            yield name, thing


def test_every_public_function_and_class_has_a_docstring():
    assert [name for name in ct.__all__ if inspect.isclass(getattr(ct, name)) and not getattr(ct, name).__doc__] == []
    missing = [name for name, function in public_things() if not function.__doc__]
    assert [name for name in missing if name.split(".")[-1] not in ("n_users", "n_items", "shape", "density")] == []


def test_every_public_function_says_its_types():
    for name, function in public_things():
        signature = inspect.signature(function)
        told = [p.annotation is not p.empty for p in signature.parameters.values() if p.name not in ("self", "cls")]
        assert all(told), name
        assert signature.return_annotation is not signature.empty or name.endswith(("reads_features", "score_name")), (
            name
        )


def test_run_as_a_command_nothing_is_executed_twice():
    program = """
import runpy, sys
bodies = []
def profile(frame, event, argument):
    if event == "call" and frame.f_code.co_filename.endswith("content_table.py") and frame.f_code.co_name == "ALS":
        bodies.append(frame.f_code.co_name)
sys.argv = ["content_table", "--help"]
sys.setprofile(profile)
try:
    runpy.run_module("content_table", run_name="__main__", alter_sys=True)
except SystemExit:
    sys.setprofile(None)
    print(len(bodies))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split()[-1] == "1"
