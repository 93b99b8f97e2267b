"""The house: what stands where, which way it is imported, how long a model may be, and what readers see of it."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
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


def test_a_setting_is_declared_once_and_read_by_all():
    class Deep(ct.GlobalMean):
        """A model with settings of all kinds."""

        depth: int = ct.setting(3, low=1, search=ct.Range(1, 9, unit="layers"))
        width: int | None = ct.setting(None, low=1)
        share: float = ct.setting(0.5, above=0, below=1)
        kind: str = ct.setting("plain", among=("plain", "fancy"))
        wide: bool = ct.setting(False)
        seed: int | np.random.Generator = ct.setting(0, low=0)

    Deep(seed=np.random.default_rng(0), wide=np.bool_(True)).check_settings()
    model = Deep(depth=4)
    assert repr(model) == "Deep(depth=4)"
    assert model.get_params() == {"depth": 4, "width": None, "share": 0.5, "kind": "plain", "wide": False, "seed": 0}
    assert model.search_space() == {"depth": ct.Range(1, 9, unit="layers")}
    for wrong, words in [
        ({"depth": 2.5}, "depth must be a whole number, got 2.5"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"width": 1.5}, "width must be a whole number"),
        ({"share": 1}, "share must be below 1, got 1"),
        ({"share": 0}, "share must be above 0, got 0"),
        ({"kind": "odd"}, r"kind must be one of \['plain', 'fancy'\], got 'odd'"),
        ({"wide": "no"}, "wide must be True or False, got 'no'"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"seed": None}, "seed must be a whole number, got None"),
    ]:
        with pytest.raises((ValueError, TypeError), match=words):
            Deep(**wrong).fit(ct.Ratings.from_matrix([[1, 2]]))


class Declared(ct.GlobalMean):
    """A model of one's own with a declared setting."""

    depth: int = ct.setting(3, low=1, search=ct.Range(1, 9))


class Plain(ct.GlobalMean):
    """With an annotation and no declaration."""

    depth: int = 3


class Written(ct.GlobalMean):
    """With a constructor of its own."""

    def __init__(self, depth=3):
        self.depth = depth


@pytest.mark.parametrize("kind", [Declared, Plain, Written])
def test_whole_numbers_of_a_model_of_ones_own_are_tuned_as_whole_numbers(table, kind):
    study = ct.tune(kind(), table, n_trials=4, space={"depth": ct.Range(1, 9)}).study
    assert all(isinstance(trial.params["depth"], int) for trial in study.trials)


def test_a_model_keeps_nothing_transient_and_predict_changes_nothing(fitted, table):
    before = set(vars(fitted))
    assert all(name.endswith("_") or name in fitted.get_params(deep=False) for name in before)
    fitted.predict(table.user_ids[0], table.item_ids)
    fitted.recommend_all(2)
    fitted.certificate()
    assert set(vars(fitted)) == before
    assert type(fitted.history_) is list


def test_the_number_of_parameters_is_what_was_learnt(table):
    m, n = table.shape
    features = ct.Features(table.item_ids, np.eye(n), [f"is {title}" for title in table.titles])
    knn = ct.ItemKNN().fit(table)
    expected = {
        ct.GlobalMean(): 1,
        ct.Popularity(): n,
        ct.BiasBaseline(): 1 + m + n,
        ct.ALS(2): 1 + 2 * (m + n),
        ct.ALS(2, biases=True): 1 + 3 * (m + n),
        ct.NMF(2, reg=0.1): 1 + 3 * (m + n),
        ct.ImplicitALS(2): 2 * (m + n),
        ct.BPR(2): 2 * (m + n) + n,
        ct.DeepMF(2, (3,)): 2 * (m + n) + (4 * 3 + 3) + (3 + 1),
        ct.MultVAE(2, 3): 2 * (m + n) + n + 3 * n + 3 + 3 * 2,
        ct.EASE(): n * n,
        ct.GraphFilter(n_factors=2): n + len(table) + 2 * n,
        ct.ContentOnly(features): 1 + m + m * n,
        ct.Blend(ct.GlobalMean(), ct.BiasBaseline(), weight=0.5): 1 + 1 + m + n + 1,
        ct.Hybrid(ct.BiasBaseline(), features): 1 + m + n + n * n,
        ct.ItemKNN(): 1 + m + n + knn.similarity_.nnz,
    }
    for model, count in expected.items():
        assert model.fit(table).n_parameters() == count, model
