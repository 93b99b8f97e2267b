"""Mutation score: small faults are planted one at a time, and the tests must notice.

python benchmarks/mutants.py --sample 150 --jobs 1 --seed 1      # or: make mutants

A mutant is the module with one operator, number, condition, pair of arguments or statement changed. It is killed if a
test fails or outlasts ten times what it takes unmutated, and a survivor otherwise. Survivors that no test can tell from
the module, or that change nothing but speed, are named with their reason in `equivalent_mutants.toml`; the score is the
share of killed mutants among all others.

Left out by rule (`_skipped`, `_number`): texts and errors' messages, annotations, decorators, imports, progress bars,
`__repr__`, limits of search ranges, and numbers on the edge of rounding or of memory. The sample is a fixed share of
the mutants of each file, drawn by a hash of the mutant and the seed, so that a change elsewhere leaves it as it is. The
tests that run a mutated line are asked first, then their files as a whole, and all that have changed since that was
measured; tests that read the source text are never asked. Most mutants are put into a fork of one process (forks.py),
half a second each where a test notices; what stands outside of functions is written into the file, and pytest begun.

Why not a library: mutmut 3 leaves decorated functions alone, which all compiled loops and properties are, and puts the
others behind trampolines, which numba cannot compile. cosmic-ray has one test command for every mutant, two minutes
here, and neither deleted statements nor swapped arguments. coverage.py tells which tests run a line.

Results are kept in results/mutants.json after each mutant, under a hash of the mutated file: a run that was stopped
goes on (in an order that is chance, but what is written into a file comes last), and survivors are tried again once
a test has changed. Everything happens in copies, in build/mutants.
"""

import argparse
import ast
import collections
import functools
import hashlib
import importlib.util
import itertools
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import pytest
import scipy.stats

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "mutants.json"
SOURCES = (
    "content_table.py",
    *(
        f"content_table_parts/{path.name}"
        for path in sorted(ROOT.glob("content_table_parts/*.py"))
        if path.name != "spark.py" or importlib.util.find_spec("pyspark")
    ),  # its tests are skipped without PySpark
)
NOT_ASKED = {  # tests of texts, of figures on file, and of real data
    *("cheatsheet", "cold_start_results", "lessons_map", "module", "movielens", "mutants", "notebooks", "project"),
    *("quizzes", "readme", "real", "site", "teaching", "tuned_results", "widget"),
}
ASKED_FIRST = 60  # tests
SLACK, TIME = 400, 1_000_000_000  # bytes of comment at the end of each file of a copy, and when it was written


# ---- Mutants ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """One planted fault: `edits` are (start, end, new bytes) of the file."""

    file: str
    function: str
    line: int
    last: int
    edits: tuple

    @property
    def text(self) -> bytes:
        return edited(source(self.file), self.edits)

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.file} {_hash(self.file)} {sorted(self.edits)}".encode()).hexdigest()[:16]

    def row(self) -> dict:
        """Where it is, and the line that it begins in, before and after."""
        whole, edits = source(self.file), sorted(self.edits)
        start, stop = whole.rfind(b"\n", 0, edits[0][0]) + 1, whole.find(b"\n", edits[-1][1])
        before = whole[start:stop]
        after = edited(before, [(first - start, last - start, new) for first, last, new in edits])
        was, now = (text.split(b"\n")[0].decode().strip() for text in (before, after))
        return {"file": self.file, "function": self.function, "line": self.line, "was": was, "now": now}


@functools.cache
def source(file):
    return (ROOT / file).read_bytes()


@functools.cache
def _hash(file):
    return hashlib.sha256(source(file)).hexdigest()


def edited(text, edits):
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


ORDER = {ast.Lt: ("<=", ">="), ast.LtE: ("<", ">"), ast.Gt: (">=", "<="), ast.GtE: (">", "<"), ast.Eq: ("!=",)}
ORDER |= {ast.NotEq: ("==",), ast.Is: ("is not",), ast.IsNot: ("is",), ast.In: ("not in",), ast.NotIn: ("in",)}
SIGNS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is"}
SIGNS |= {ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in", ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}
SIGNS |= {ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|"}
SIGNS |= {ast.And: "and", ast.Or: "or"}
OTHER = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "*", "**": "*", "&": "|", "|": "&"}
OTHER |= {"and": "or", "or": "and"}
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "argmin": "argmax", "any": "all"}
NAMES |= {"argmax": "argmin", "all": "any", "zeros": "ones", "ones": "zeros", "sum": "max", "nanargmin": "nanargmax"}
TALK = {"warn_caller", "_warn_unfinished", "tqdm", "Range", "print"}
QUIET = {"progress", "strict", "disable", "desc", "check_finite"}  # arguments that change no result


def _skipped(node):
    """Whether nothing inside a node is behaviour."""
    if isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Assert, ast.Raise)):
        return True
    if isinstance(node, ast.FunctionDef):
        overloads = any(getattr(each, "id", "") == "overload" for each in node.decorator_list)
        return overloads or node.name in ("__repr__", "__dir__")
    if isinstance(node, ast.Call):
        return _name(node.func) in TALK
    if isinstance(node, ast.If):
        return _name(node.test) == "TYPE_CHECKING" or "__name__" in ast.dump(node.test)
    return isinstance(node, (ast.keyword, ast.AnnAssign)) and _name(node) in QUIET


def _name(node):
    if isinstance(node, ast.AnnAssign):
        return _name(node.target)
    return getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "arg", None) or ""


class _Finder(ast.NodeVisitor):
    """All mutants of one file."""

    def __init__(self, file):
        self.file, self.text, self.found, self.scope, self.assigned = file, source(file), [], [], set()
        self.axes, self.quiet = {}, set()
        self.starts = [0]
        for line in self.text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.visit(ast.parse(self.text))

    def begin(self, node):
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node):
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def add(self, node, *edits):
        edits = tuple((start, end, new.encode()) for start, end, new in edits)
        line = self.text[: edits[0][0]].count(b"\n") + 1
        self.found.append(Mutant(self.file, ".".join(self.scope), line, node.end_lineno, edits))

    def replace(self, node, new):
        self.add(node, (self.begin(node), self.end(node), new))

    def resign(self, node, left, right, new):
        """Another operator between two operands."""
        start, end = self.end(left), self.begin(right)
        between = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), self.text[start:end])
        sign = re.search(rb"not\s+in|is\s+not|and|or|in|is|[-+*/%<>=!&|]+", between)
        if sign:
            self.add(node, (start + sign.start(), start + sign.end(), new))

    def visit(self, node):
        if node in self.quiet or _skipped(node):
            return
        named = isinstance(node, (ast.FunctionDef, ast.ClassDef))
        if named:
            self.scope.append(node.name)
            outer, self.assigned = self.assigned, set()
        super().visit(node)
        if isinstance(node, ast.arguments):  # the default of a progress bar
            pairs = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            last = node.args[len(node.args) - len(node.defaults) :]
            self.quiet |= {value for arg, value in (*pairs, *zip(last, node.defaults, strict=True)) if arg.arg in QUIET}
        for field in node._fields:
            if field in ("annotation", "returns", "decorator_list", "bases"):
                continue
            for child in getattr(node, field) if isinstance(getattr(node, field), list) else [getattr(node, field)]:
                if isinstance(child, ast.AST):
                    self.visit(child)
        if named:
            self.scope.pop()
            self.assigned = outer

    def generic_visit(self, node):  # `visit` goes down by itself
        pass

    def visit_Compare(self, node):
        for left, sign, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            for new in ORDER[type(sign)]:
                self.resign(node, left, right, new)

    def visit_BoolOp(self, node):
        self.resign(node, *node.values[:2], OTHER[SIGNS[type(node.op)]])

    def visit_BinOp(self, node):
        texts = any(
            isinstance(side, (ast.JoinedStr, ast.List, ast.Tuple, ast.Dict))
            or isinstance(getattr(side, "value", None), str)
            for side in (node.left, node.right)
        )
        if type(node.op) in SIGNS and not texts:
            self.resign(node, node.left, node.right, OTHER[SIGNS[type(node.op)]])

    def visit_AugAssign(self, node):
        if type(node.op) in SIGNS and not isinstance(node.value, (ast.List, ast.Dict)):
            self.resign(node, node.target, node.value, OTHER[SIGNS[type(node.op)]] + "=")
        self.drop(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, (ast.Not, ast.Invert, ast.USub)):
            self.add(node, (self.begin(node), self.begin(node.operand), ""))

    def visit_Constant(self, node):
        for new in self.axes.get(node) or _number(node.value):
            self.replace(node, new)

    def axis(self, node):
        """Of two axes the other one: a third would only fail."""
        if isinstance(node, ast.Constant) and node.value in (0, 1):
            self.axes[node] = [str(1 - node.value)]

    def visit_keyword(self, node):
        if node.arg == "axis":
            self.axis(node.value)

    def visit_Subscript(self, node):
        if _name(node.value) == "shape":
            self.axis(node.slice)

    def visit_Call(self, node):
        name = _name(node.func)
        if name in NAMES:
            self.add(node, (self.end(node.func) - len(name), self.end(node.func), NAMES[name]))
        first = [each for each in node.args[:2] if not isinstance(each, (ast.Starred, ast.Lambda, ast.GeneratorExp))]
        if len(first) == 2 and name not in ("isinstance", "getattr", "hasattr", "zip", *NAMES):
            a, b = ((self.begin(each), self.end(each)) for each in first)
            if self.text[slice(*a)] != self.text[slice(*b)]:
                self.add(node, (*a, self.text[slice(*b)].decode()), (*b, self.text[slice(*a)].decode()))

    def condition(self, test):
        if not isinstance(test, (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Constant)):
            self.add(test, (self.begin(test), self.begin(test), "not ("), (self.end(test), self.end(test), ")"))

    def visit_If(self, node):
        self.condition(node.test)

    visit_While = visit_IfExp = visit_If

    def drop(self, node):
        self.replace(node, "pass" + "\n" * (node.end_lineno - node.lineno))

    def visit_Assign(self, node):
        """Dropped where the name has a value already: elsewhere the next line would only fail."""
        names = {each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)}
        plain = all(isinstance(target, ast.Name) for target in node.targets)
        if self.scope and (not plain or names <= self.assigned) and not isinstance(node.targets[0], ast.Tuple):
            self.drop(node)
        self.assigned |= names

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Call) and self.scope:
            self.drop(node)

    def visit_Break(self, node):
        self.drop(node)

    visit_Continue = visit_Break

    def visit_FunctionDef(self, node):
        """Early returns and refusals are dropped; the last statement is what the function is for."""
        self.assigned |= {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
        for part in ast.walk(node):
            if isinstance(part, (ast.If, ast.For, ast.While)):
                for each in part.body:
                    if isinstance(each, (ast.Return, ast.Raise)) and each is not node.body[-1]:
                        self.drop(each)


def _number(value):
    """What a number becomes; on the edge of rounding, or of memory, it is no behaviour."""
    if isinstance(value, bool):
        return [str(not value)]
    if isinstance(value, int):
        return [str(value + 1), str(value - 1)] if value < 100_000 else []
    if isinstance(value, float) and _plain(value):
        return [repr(2 * value), repr(value / 2)] if value else ["1.0"]
    return []


def _plain(value):
    return value == 0 or 1e-8 < abs(value) < 1e5


@functools.cache
def population(file):
    """Every mutant of a file, by key; two edits with one result are one mutant."""
    return {mutant.key: mutant for mutant in _Finder(file).found}


def draw(size, seed):
    """{key: mutant} of a sample: of each file the share that it has of all mutants."""
    everything = {file: population(file) for file in SOURCES}
    total, drawn = sum(map(len, everything.values())), {}
    for found in everything.values():
        rank = {key: hashlib.sha256(f"{seed} {_place(mutant)}".encode()).digest() for key, mutant in found.items()}
        sound = (key for key in sorted(found, key=rank.get) if _compiles(found[key]))
        drawn |= {key: found[key] for key in itertools.islice(sound, round(size * len(found) / total))}
    return drawn


def _place(mutant):
    """What a mutant is drawn by: not its line, so that changes elsewhere in the file do not matter."""
    row = mutant.row()
    return [row[name] for name in ("file", "function", "was", "now")]


def _compiles(mutant):
    try:
        ast.parse(mutant.text)
    except SyntaxError:
        return False
    return True


# ---- Which tests run a line ------------------------------------------------------------------------------------------


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """As a plugin of pytest (-p mutants), under coverage: say which test is running, and how long it took."""
    import coverage

    coverage.Coverage.current().switch_context(item.nodeid)
    start = time.perf_counter()
    yield
    with open(os.environ["MUTANTS_SECONDS"], "a", encoding="utf-8") as file:
        file.write(json.dumps([item.nodeid, time.perf_counter() - start]) + "\n")


class Tests:
    """The tests of behaviour in a copy of the project: how long each takes unmutated, and which run a line."""

    def __init__(self, copy):
        names = sorted(path.name for path in (copy / "tests").glob("test_*.py"))
        self.files = [f"tests/{name}" for name in names if name[5:-3] not in NOT_ASKED]
        data, seconds, measured = copy / "covered", copy / "seconds", copy / "measured"
        if not data.exists():
            self._measure(copy, data, seconds)
            shutil.copytree(copy / "tests", measured, dirs_exist_ok=True)
        self.changed = [name for name in self.files if not _same(copy / name, measured / Path(name).name)]
        passed, now = copy / "passed", fingerprint_of_tests()
        if self.changed and not (passed.exists() and passed.read_text(encoding="utf-8") == now):
            if failed := asked(copy, self.changed, 3600):
                raise RuntimeError(f"the tests fail without a mutant: {failed}")
            passed.write_text(now, encoding="utf-8")
        self.seconds = dict(json.loads(line) for line in seconds.read_text(encoding="utf-8").splitlines())
        self.seconds_of_all = 30 + sum(self.seconds.values())
        contexts = {file: _contexts(data, copy / file) for file in SOURCES}
        self.at_import = {
            file: {line for line, tests in lines.items() if "" in tests} for file, lines in contexts.items()
        }
        self.by_line = {file: {line: tests - {""} for line, tests in lines.items()} for file, lines in contexts.items()}
        self.lines_of = collections.Counter(
            test for lines in self.by_line.values() for tests in lines.values() for test in tests
        )

    def _measure(self, copy, data, seconds):
        """Run all tests once, without a mutant."""
        print("running all tests without a mutant, under coverage", flush=True)
        part = data.with_suffix(".part")
        command = [sys.executable, "-m", "coverage", "run", f"--data-file={part}", f"--include={','.join(SOURCES)}"]
        command += ["-m", "pytest", "-p", "mutants", *PYTEST, *self.files]
        environment = surroundings(copy) | {"MUTANTS_SECONDS": str(seconds)}
        environment["PYTHONPATH"] += os.pathsep + str(copy / "benchmarks")
        seconds.unlink(missing_ok=True)
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the tests fail without a mutant:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        part.rename(data)

    def of(self, mutant):
        """The tests that run the mutated line, the most special first; of a line that runs at import or is compiled,
        those that run the rest of its class, or a function that names it."""
        lines = self.by_line[mutant.file]
        found = self.running(mutant)
        if not found:
            found = _union(lines, _span(mutant))
        if not found:
            names = re.compile(rf"\b({'|'.join(_users(_outermost(mutant)))})\b".encode())
            for file in SOURCES:
                at = [number for number, line in enumerate(source(file).splitlines(), 1) if names.search(line)]
                found |= _union(self.by_line[file], at)
        return sorted(found, key=lambda test: (self.lines_of[test], test))

    def running(self, mutant):
        """The tests that run the mutated line."""
        return _union(self.by_line[mutant.file], range(mutant.line, mutant.last + 1))

    def files_of(self, asking):
        """The files of these tests, and those that have changed since: nobody has seen which lines they run."""
        return sorted({*(test.split("::")[0] for test in asking), *self.changed}) if asking else self.files


def _same(one, other):
    return other.exists() and one.read_bytes() == other.read_bytes()


def _contexts(data, path):
    import coverage

    read = coverage.CoverageData(basename=str(data))
    read.read()
    return {line: set(tests) for line, tests in read.contexts_by_lineno(str(path.resolve())).items()}


def _union(lines, numbers):
    return set().union(*(lines.get(number, ()) for number in numbers))


def _outermost(mutant):
    """The function or class at the top of the file that a mutant is in, or the name that its line gives a value."""
    line = source(mutant.file).splitlines()[mutant.line - 1].decode()
    return mutant.function.split(".")[0] or line.split()[0].rstrip(":")


def _span(mutant):
    """The lines of the function or class at the top of the file that a mutant is in."""
    for node in ast.parse(source(mutant.file)).body:
        if node.lineno <= mutant.line <= node.end_lineno and mutant.function:
            return range(node.lineno + 1, node.end_lineno + 1)
    return ()


@functools.cache
def _users(name):
    """A name and all compiled functions that use it, directly or not: these must be compiled anew."""
    body = {
        node.name: ast.dump(node) for file in SOURCES for node in ast.parse(source(file)).body if _is_compiled(node)
    }
    found = {name}
    while more := {
        user for user, text in body.items() if user not in found and any(f"id='{n}'" in text for n in found)
    }:
        found |= more
    return frozenset(found)


def _is_compiled(node):
    return isinstance(node, ast.FunctionDef) and "id='compiled'" in "".join(map(ast.dump, node.decorator_list))


# ---- One mutant after the other --------------------------------------------------------------------------------------

CACHE = "content_table_parts/__pycache__"  # what numba has compiled
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--tb=line", "-k", "not wheel")


def surroundings(copy):
    """The environment of the tests: no real data, and no stale bytecode, since a mutant has the size and time of the
    original."""
    mine = {name: value for name, value in os.environ.items() if name != "CONTENT_TABLE_DATA"}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return mine | one_thread | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}


def copied(folder):
    """A copy of the project; what was measured and compiled in one of the same sources is used again."""
    sources, kept = hashlib.sha256(b"".join(map(source, SOURCES))).hexdigest(), folder / "sources"
    if not kept.exists() or kept.read_text(encoding="utf-8") != sources:
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder / "tests", ignore_errors=True)
    left_out = shutil.ignore_patterns(".*", "build", "real", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=left_out, dirs_exist_ok=True)
    kept.write_text(sources, encoding="utf-8")
    for file in SOURCES:
        put(folder, file, source(file))
    return folder


def put(copy, file, text):
    """Write a file of a copy, always in one size and of one time: by these numba knows what it has compiled."""
    path = copy / file
    path.write_bytes(text + b"#" * (len(source(file)) + SLACK - len(text)))
    os.utime(path, (TIME, TIME))


def asked(copy, tests, seconds):
    """Whether tests fail: the name of the first that does, "too slow", or None."""
    listed = copy / "asked"
    listed.write_text("\n".join(tests), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", *PYTEST, f"@{listed}"]
    how = {"cwd": copy, "env": surroundings(copy), "text": True, "start_new_session": True}
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how)
    try:
        said, _ = run.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        return "too slow"
    if run.returncode == 0 or (run.returncode == 4 and "not found: " in said):  # a test that is no more
        return None
    if run.returncode < 0:
        return f"crashed by signal {-run.returncode}"
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.M)
    return failed[1] if failed else f"pytest ended with {run.returncode}: {said.strip()[-200:]}"


def unmutated_code(copy):
    """What numba has compiled, as it was before any mutant, and no bytecode: whatever a test left there would be run in
    place of the next mutant, which has its size and time."""
    for left in (copy / "__pycache__", copy / CACHE):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(copy / "compiled", copy / CACHE, ignore=shutil.ignore_patterns("*.pyc"))


def check_that_faults_are_run(copy, tests, files):
    """Plant what nothing survives, an error in the first line, in files that tests run: they must see it."""
    for file in filter(tests.by_line.get, files):
        unmutated_code(copy)
        put(copy, file, b"1 / 0\n")
        if not asked(copy, tests.files[:1], 600):
            raise RuntimeError(f"{file} that cannot be imported passes the tests in {copy}: they run something else.")
        put(copy, file, source(file))


def tried(mutant, copy, tests):
    """What kills a mutant, or None."""
    unmutated_code(copy)
    for name in _users(_outermost(mutant)):
        for kept in (copy / CACHE).glob(f"*.{name}-*"):
            kept.unlink()
    put(copy, mutant.file, mutant.text)
    try:
        asking = tests.of(mutant)
        first = sorted(asking[:ASKED_FIRST], key=tests.seconds.get)
        files = tests.files_of(asking)
        if asking and not tests.running(mutant):  # at import, as the defaults of settings are
            files = sorted({*files, "tests/test_defaults.py"})
        expected = sum(tests.seconds[test] for test in first)
        found = first and asked(copy, first, 120 + 10 * expected)
        return found or asked(copy, files, 120 + 10 * tests.seconds_of_all)
    finally:
        put(copy, mutant.file, source(mutant.file))


# ---- The command -----------------------------------------------------------------------------------------------------


def equivalent():
    """[(what a mutant must be like, reason)]"""
    with open(ROOT / "benchmarks" / "equivalent_mutants.toml", "rb") as file:
        entries = tomllib.load(file)["mutant"]
    return [({key: value for key, value in each.items() if key != "reason"}, each["reason"]) for each in entries]


def reason_of(row, reasons):
    """Why a mutant is no fault, or None; an entry matches where all that it says is so, of a list one thing."""
    return next((why for like, why in reasons if all(row.get(key) in _any_of(like[key]) for key in like)), None)


def _any_of(said):
    return said if isinstance(said, list) else [said]


def fingerprint_of_tests():
    texts = (path.read_bytes() for path in sorted((ROOT / "tests").glob("*.py")))
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def figures(rows, reasons, survived):
    """Counts by file and altogether, and the share of killed mutants among the faults with Wilson's 95 % interval."""
    by_file, kinds = {}, ("killed", "survived", "equivalent")
    for row in rows:
        kind = "killed" if not row[survived] else "equivalent" if reason_of(row, reasons) else "survived"
        by_file.setdefault(row["file"], dict.fromkeys(kinds, 0))[kind] += 1
    total = {kind: sum(line[kind] for line in by_file.values()) for kind in kinds}
    share = scipy.stats.binomtest(total["killed"], max(1, total["killed"] + total["survived"]))
    low, high = share.proportion_ci(method="wilson")
    return total | {"score": share.statistic, "low": float(low), "high": float(high), "by_file": by_file}


def load():
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"mutants": {}, "samples": {}}


def store(results):
    text = json.dumps(results, ensure_ascii=False, indent=1) + "\n"
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(RESULTS)


def run(size, jobs, seed, minutes, folder):
    drawn, results, now = draw(size, seed), load(), fingerprint_of_tests()
    known = {key for key, row in results["mutants"].items() if row["by"] or row["tests"] == now}
    left = {key: mutant for key, mutant in sorted(drawn.items()) if key not in known}
    print(f"{len(drawn)} mutants drawn with seed {seed}, {len(left)} to try", flush=True)
    if left and minutes:
        try_all(left, jobs, time.monotonic() + 60 * minutes, folder, results, now)
    rows = [drawn[key].row() | results["mutants"][key] for key in drawn if key in results["mutants"]]
    results["samples"][f"seed {seed}"] = sample = {
        "drawn": len(drawn),
        "tried": len(rows),
        "of": sum(map(len, map(population, SOURCES))),
        "tests": now,
        "first": figures(rows, equivalent(), "survived_at_first"),
        "now": figures(rows, equivalent(), "survived"),
    }
    alive = set().union(*map(population, SOURCES))  # what was found out about files as they were is of no use
    results["mutants"] = {key: row for key, row in sorted(results["mutants"].items()) if key in alive}
    store(results)
    report(rows, sample)


def try_all(mutants, jobs, end, folder, results, now):
    """Try mutants side by side, each in a copy of its own, until the time `end`; results are kept one by one."""
    copies, tests = prepared(folder, jobs)
    for done, (key, by) in enumerate(outcomes(mutants, tests, copies, end), 1):
        before = results["mutants"].get(key, {"survived_at_first": by is None})
        results["mutants"][key] = before | {"by": by, "survived": by is None, "tests": now}
        store(results)
        print(f"{done}/{len(mutants)} {mutants[key].file}:{mutants[key].line} {by or 'survived'}", flush=True)


def outcomes(mutants, tests, copies, end):
    """(key, what kills it) of each mutant, in a fork where it can be planted before its line runs."""
    written = {}
    for key, planted, by in in_forks(mutants, tests, copies, end):
        if planted and (by or mutants[key].line not in tests.at_import[mutants[key].file]):
            yield key, by
        else:
            written[key] = mutants[key]
    yield from in_files(written, tests, copies, end)


def prepared(folder, jobs):
    """Copies of the project to plant mutants in, and what its tests run."""
    first = copied(folder / "0")
    if (first / "compiled").exists():
        unmutated_code(first)
    tests = Tests(first)
    if not (first / "compiled").exists():
        shutil.copytree(first / CACHE, first / "compiled")
    for at in range(1, jobs):
        shutil.rmtree(folder / str(at), ignore_errors=True)
        shutil.copytree(first, folder / str(at))
    return [folder / str(at) for at in range(jobs)], tests


def in_forks(mutants, tests, copies, end):
    """(key, whether it could be planted, what kills it) of each mutant, by one process of each copy; see forks.py."""
    keys, seen = list(mutants), [0] * len(copies)
    runs = [_forking(copy, mutants, keys[at :: len(copies)], tests) for at, copy in enumerate(copies)]
    going = True
    try:
        while going and time.monotonic() < end:
            time.sleep(1)
            going = any([run.poll() is None for run in runs])
            for at, (run, copy) in enumerate(zip(runs, copies, strict=True)):
                lines = (copy / "found").read_text(encoding="utf-8").splitlines()
                yield from (tuple(json.loads(line).values()) for line in lines[seen[at] :])
                seen[at] = len(lines)
                if run.poll():
                    raise RuntimeError(f"pytest ended with {run.returncode}: {(copy / 'printed').read_text()[-2000:]}")
    finally:
        for run in runs:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)


def _forking(copy, mutants, keys, tests):
    """The process of a copy that tries these mutants."""
    unmutated_code(copy)
    jobs = (json.dumps({"key": key} | _job(mutants[key], tests)) + "\n" for key in keys)
    (copy / "jobs").write_text("".join(jobs), encoding="utf-8")
    (copy / "found").write_text("", encoding="utf-8")
    environment = surroundings(copy) | {"FORKS_JOBS": str(copy / "jobs"), "FORKS_FOUND": str(copy / "found")}
    environment["PYTHONPATH"] += os.pathsep + str(copy / "benchmarks")
    command = [sys.executable, "-m", "pytest", "-p", "forks", *PYTEST, f"--basetemp={copy / 'temporary'}", *tests.files]
    with open(copy / "printed", "w", encoding="utf-8") as printed:
        how = {"stdout": printed, "stderr": subprocess.STDOUT, "start_new_session": True}
        return subprocess.Popen(command, cwd=copy, env=environment, **how)


def _job(mutant, tests):
    """What forks.py is told: where the mutant is, what it changes, and which tests to ask: the quickest of those that
    run the line, the others, then their files as a whole, since one test runs the fixture that several share."""
    asking = tests.of(mutant)
    first = sorted(asking[:ASKED_FIRST], key=tests.seconds.get)
    edits = [(start, end, new.decode()) for start, end, new in mutant.edits]
    names = [*first, *asking[ASKED_FIRST:], *tests.files_of(asking)]
    return {"file": mutant.file, "function": mutant.function, "edits": edits, "tests": names}


def in_files(mutants, tests, copies, end):
    """(key, what kills it) of each mutant, by a pytest of its own."""
    check_that_faults_are_run(copies[0], tests, sorted({mutant.file for mutant in mutants.values()}))
    free = Queue()
    for copy in copies:
        free.put(copy)

    def one(key):
        copy = free.get()
        try:
            return (key, tried(mutants[key], copy, tests)) if time.monotonic() < end else None
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        for future in as_completed([pool.submit(one, key) for key in mutants]):
            if future.result():
                yield future.result()


def report(rows, sample):
    for row in rows:
        if row["survived"] and not reason_of(row, equivalent()):
            print(f"survived: {row['file']}:{row['line']} {row['function']}\n  - {row['was']}\n  + {row['now']}")
    for when in ("first", "now"):
        print(f"{when}: { {name: value for name, value in sample[when].items() if name != 'by_file'} }")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("sample", 150), ("jobs", 1), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no mutant after so long; go on later")
    chosen = parser.parse_args()
    run(chosen.sample, chosen.jobs, chosen.seed, chosen.minutes, ROOT / "build" / "mutants")


if __name__ == "__main__":
    main()
