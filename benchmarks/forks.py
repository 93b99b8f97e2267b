"""Mutants in forks of a process that has imported the module and collected its tests: a plugin of pytest (-p forks).

Starting pytest costs ten seconds, and most mutants die of the first tests they meet. So each is put into the module as
it is in memory, the code of its function in place of the old, in a fork that asks the tests one by one and ends. What
stands outside of functions, or has been used when the module was imported, cannot be planted so: `mutants.py` writes
it into the file and starts pytest.

FORKS_JOBS is a file with a line for each mutant, {"key", "file", "function", "edits", "tests"}, the tests by their
names or those of their files; to FORKS_FOUND goes one line of each, {"key", "planted", "by"}.
"""

import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import types
from pathlib import Path

import pytest
from mutants import edited

MEMORY = 16 * 2**30  # bytes that a fork may have: a dropped limit must not take the machine with it
SLACK = 30  # seconds that every test has, beside ten times what it takes


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """Instead of running the tests: ask them about each mutant."""
    named = {}
    for item in session.items:
        for name in (item.nodeid, item.nodeid.split("::")[0]):
            named.setdefault(name, []).append(item)
    seconds = dict(map(json.loads, Path("seconds").read_text(encoding="utf-8").splitlines()))
    for path in Path("content_table_parts").glob("*.py"):
        with contextlib.suppress(ImportError):  # of Spark
            importlib.import_module(f"content_table_parts.{path.stem}")
    gc.freeze()  # what is not counted is not copied
    passing, parent = {}, os.getppid()
    with open(os.environ["FORKS_JOBS"], encoding="utf-8") as jobs, open(os.environ["FORKS_FOUND"], "a") as results:
        for job in map(json.loads, jobs):
            if os.getppid() != parent:  # has been killed: whoever comes next uses the same folders
                break
            items = dict.fromkeys(item for name in job["tests"] for item in named.get(name, ()))
            found = {"key": job["key"]} | _ask(session, list(items), seconds, job)
            killer = found["by"]
            if killer and killer not in passing:  # a test that fails in any fork would kill everything
                passing[killer] = _ask(session, named[killer], seconds)["by"] is None
            if killer and not passing[killer]:
                raise RuntimeError(f"{killer} fails in a fork without a mutant.")
            results.write(json.dumps(found) + "\n")
            results.flush()
    return True


def _ask(session, items, seconds, job=None):
    """What the first test that fails is, in a fork."""
    here, there = multiprocessing.Pipe()
    child = os.fork()
    if child == 0:
        here.close()
        _answer(session, items, job, there)
    there.close()
    test = None
    try:
        while here.poll(SLACK + 10 * seconds.get(test, 0)):
            test, answer = here.recv()
            if answer is not None:
                return answer
    except EOFError:  # the fork has crashed
        if test is None:
            raise RuntimeError(f"A fork ended before its first test: {job}") from None
    finally:
        here.close()
        for end in (os.killpg, os.kill):  # its workers, too
            with contextlib.suppress(ProcessLookupError):
                end(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {"planted": True, "by": test}  # which crashed, or was too slow


def _answer(session, items, job, there):
    """In the fork: plant the mutant and send (test, None) before each test, and (None, what came of it) at the end."""
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        session.config.pluginmanager.unregister(session.config.pluginmanager.getplugin("terminalreporter"))
        planted = job is None or plant(job)
        by = _first_to_fail(session, items, there) if planted else None
        there.send((None, {"planted": planted, "by": by}))
    finally:
        os._exit(0)


def _first_to_fail(session, items, there):
    for item, following in zip(items, [*items[1:], None], strict=True):
        there.send((item.nodeid, None))
        try:
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        except BaseException:  # Ctrl-C of a test that nobody caught
            return item.nodeid
        if session.testsfailed:
            return item.nodeid
    return None


def plant(job):
    """Give a function of the module its mutated code; whether that was possible."""
    module = sys.modules[job["file"].removesuffix(".py").replace("/", ".")]
    if not Path(module.__file__).samefile(job["file"]):
        raise RuntimeError(f"The tests run {module.__file__}, not the copy that mutants are planted in.")
    text = Path(job["file"]).read_bytes()
    mutated = edited(text, [(start, end, new.encode()) for start, end, new in job["edits"]])
    function, compiled = _function(module, job["function"])
    if function is None:
        return False
    was, now = (_code(each, module.__file__, function) for each in (text, mutated))
    if was == now or len(was.co_freevars) != len(now.co_freevars):
        return False
    function.__code__ = now
    if compiled:
        _forget_compiled()
    return True


def _code(text, path, function):
    """The code that a function has in a text of its file."""
    left = [compile(text, path, "exec")]
    while left:
        code = left.pop()
        if (code.co_qualname, code.co_firstlineno) == (function.__qualname__, function.__code__.co_firstlineno):
            return code
        left += [each for each in code.co_consts if isinstance(each, types.CodeType)]
    raise LookupError(f"{path} has no function {function.__qualname__} where it was.")


def _function(module, place):
    """The outermost function around a place such as "Class.method.inner", unwrapped, and whether it is compiled."""
    found = module
    for name in place.split("."):
        if isinstance(found, (type, types.ModuleType)):
            found = vars(found).get(name)
    compiled = hasattr(found, "py_func")
    # out of properties, cached ones, methods of a class, numba's dispatchers, and other wrappers
    for name in ("fget", "func", "__func__", "py_func", "__wrapped__"):
        found = getattr(found, name, None) or found
    return (found, compiled) if isinstance(found, types.FunctionType) else (None, False)


def _forget_compiled():
    """No function has compiled code, in memory or on disk: all are compiled anew, when they are called."""
    from numba.core.caching import NullCache
    from numba.core.dispatcher import Dispatcher

    for name, module in list(sys.modules.items()):
        for each in vars(module).values() if name.startswith("content_table") else ():
            if isinstance(each, Dispatcher):
                each._cache = NullCache()
                each.overloads.clear()
                each._reset_overloads()
