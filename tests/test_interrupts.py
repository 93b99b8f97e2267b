"""Ctrl-C and SIGTERM: a single fit keeps its best; what makes many fits is whole or nothing, and leaves no process."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import joblib
import numba
import numpy as np
import pandas as pd
import pytest
from conftest import press_ctrl_c, random_table
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import content_table as ct
from content_table_parts import doors, interrupts, lists, regressions, solvers

ROOT = Path(ct.__file__).parent
TABLE = random_table(0)
ENDLESS = ct.SpectralRegularization(reg=1, tol=0, n_epochs=10**7)


def in_the_middle(monkeypatch, at=30):
    """Ctrl-C in the middle of a spectral fit."""
    press_ctrl_c(monkeypatch, solvers, "_power_step", at)


MANY = {
    "evaluate": lambda: ct.evaluate({"spectral": ENDLESS}, TABLE, n_splits=2),
    "compare": lambda: ct.compare({"spectral": ENDLESS}, TABLE, threshold=6, n=3, n_splits=2),
    "select_model": lambda: ct.select_model([ENDLESS], *TABLE.split_random(0.2)),
    "tune": lambda: ct.tune(ENDLESS, TABLE, n_trials=2),
    "tune by folds": lambda: ct.tune(ENDLESS, TABLE, n_trials=2, n_folds=2),
    "Blend": lambda: ct.Blend(ct.GlobalMean(), ENDLESS).fit(TABLE),
    "Tuned": lambda: ct.Tuned(ENDLESS, n_trials=2, n_folds=2).fit(TABLE),
    "a fit that is watched": lambda: clone(ENDLESS).fit(TABLE, watch=lambda model, row: None),
}


@pytest.mark.parametrize("name", MANY)
def test_in_what_makes_many_fits_ctrl_c_is_the_end_of_it(monkeypatch, name):
    in_the_middle(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        MANY[name]()
    assert interrupts.may_keep_half()  # afterwards a single fit may again


@pytest.mark.parametrize("model", [ct.Blend(ct.GlobalMean(), ENDLESS), ct.Tuned(ENDLESS, n_trials=2)], ids=repr)
def test_a_model_of_models_learns_nothing_from_half_a_fit(monkeypatch, model):
    in_the_middle(monkeypatch)
    model = clone(model)
    with pytest.raises(KeyboardInterrupt):
        model.fit(TABLE)
    with pytest.raises(NotFittedError):
        model.predict(0, 0)


def test_ctrl_c_in_the_refit_keeps_the_fit_to_a_part_only_where_somebody_sees_it(monkeypatch):
    model = ct.SGDMF(2, n_epochs=6)
    half = clone(model)
    with monkeypatch.context() as patch:
        patch.setattr(ct.SGDMF, "_refit", lambda self, ratings, rng: None)
        half.fit(TABLE)
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, ct.SGDMF, "_descend", 2)
        with pytest.warns(UserWarning, match="stopped by the keyboard before the refit"):
            model.fit(TABLE)
    assert model.history_ == half.history_
    assert np.array_equal(model.user_factors_, half.user_factors_)
    with monkeypatch.context() as patch, interrupts.whole_fits():
        press_ctrl_c(patch, ct.SGDMF, "_descend", 2)
        with pytest.raises(KeyboardInterrupt):
            clone(model).fit(TABLE)


def test_the_bound_of_a_certificate_is_not_taken_from_half_a_fit(monkeypatch):
    model = ct.ALS(2, reg=1).fit(TABLE)
    in_the_middle(monkeypatch, at=5)
    with pytest.raises(KeyboardInterrupt):
        model.certificate()


def test_the_command_line_says_so_and_prints_no_table(monkeypatch, capsys):
    in_the_middle(monkeypatch)
    with pytest.raises(SystemExit) as stopped:
        ct.main(["--splits", "2"])
    assert stopped.value.code == 130
    told = capsys.readouterr()
    assert "stopped by the keyboard" in told.err
    assert "RMSE" not in told.out


def test_the_conic_solver_does_not_keep_ctrl_c_for_itself():
    """SCS has a handler of its own, and ends by a failure that looks like one of the problem."""
    rng = np.random.default_rng(0)
    table = ct.Ratings.from_matrix(np.where(rng.random((90, 80)) < 0.4, rng.integers(1, 11, (90, 80)), np.nan))
    threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT)).start()

    def fit_for_ever():
        while True:
            ct.NuclearNorm(solver="cvxpy", tol=1e-14).fit(table)

    with pytest.raises(KeyboardInterrupt):
        fit_for_ever()


def test_sigterm_is_an_exit_in_a_block_and_what_it_was_before_after_it():
    with pytest.raises(SystemExit) as stopped, interrupts.sigterm_raises():
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_of_somebody_else_stays(monkeypatch):
    heard = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with interrupts.sigterm_raises():
            signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_in_a_thread_of_its_own_sigterm_is_left_alone():
    found = []

    def look():
        with interrupts.sigterm_raises():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]


def test_processes_are_counted_as_joblib_does(monkeypatch):
    with joblib.parallel_config(backend="threading"):
        assert interrupts.workers(3) == 3
        cores = interrupts.workers(-1)
        assert cores == joblib.effective_n_jobs(-1)
        assert [interrupts.workers(n) for n in (-2, -100, -(2**31))] == [max(1, cores - 1), max(1, cores - 99), 1]
    for n_jobs in (-(2**31) - 1, 1.5, 0):
        with pytest.raises(ValueError, match="n_jobs must be"):
            interrupts.workers(n_jobs)


@pytest.mark.parametrize("n_jobs", [0, 0.5, "2", True, None])
def test_a_number_of_processes_that_is_none_is_refused(n_jobs):
    with pytest.raises(ValueError, match=r"n_jobs must be .* got"):
        ct.evaluate({"mean": ct.GlobalMean()}, TABLE, n_splits=2, n_jobs=n_jobs)


# ---- Whole processes, and real signals -------------------------------------------------------------------------------

PROGRAM = """
import signal, sys, warnings
import numba
import numpy as np
import content_table as ct

warnings.simplefilter("ignore")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore Ctrl-C
ratings = ct.load_ratings(ct.DATA / "sparse.csv")
endless = {{"tol": 0, "n_epochs": 10**9}}
slow = ct.ALS(10, **endless)
features = ct.load_genres(ct.DATA / "catalogue.csv", ratings)
model = {model}
passes = "n_sweeps" if isinstance(model, ct.BayesianFM) else "n_epochs"
model.set_params(**{{passes: 2}}).fit(ratings)  # loops are compiled, so that the next passes are quick
model.set_params(**{{passes: 10**9}})
print("ready", flush=True)
for _ in range(10**9):
    result = {call}
    if {alone}:  # a fit of its own keeps its best, and says so
        print("kept", bool(np.isfinite(result.predict_rows(np.arange(3))).all()), flush=True)
        sys.exit()
print("published", flush=True)
"""
FITS = {
    "ALS": "slow",
    "ALS with biases": "ct.ALS(10, biases=True, **endless)",
    "NMF": "ct.NMF(10, **endless)",
    "ImplicitALS": "ct.ImplicitALS(10, **endless)",
    "BPR": "ct.BPR(n_epochs=10**9)",
    "DeepMF": "ct.DeepMF(n_epochs=10**9)",
    "MultVAE": "ct.MultVAE(n_epochs=10**9)",
    "GradientDescentMF": "ct.GradientDescentMF(learning_rate=1e-5, **endless)",
    "SGDMF": "ct.SGDMF(learning_rate=1e-4, n_epochs=10**9, patience=None)",
    "ContentMF": "ct.ContentMF(features, learning_rate=1e-4, n_epochs=10**9, patience=None)",
    "BayesianFM": "ct.BayesianFM(3, 10**9, burn_in=1)",
    "SpectralRegularization": "ct.SpectralRegularization(**endless)",
    "soft-impute": "ct.SpectralRegularization(solver='soft_impute', **endless)",
    "NuclearNorm": "ct.NuclearNorm(**endless)",
}
LOOPS = {
    "BiasBaseline, again and again": "ct.BiasBaseline().fit(ratings)",
    "ItemKNN, again and again": "ct.ItemKNN().fit(ratings)",
    "EASE, again and again": "ct.EASE().fit(ratings)",
    "GraphFilter, again and again": "ct.GraphFilter(n_factors=5).fit(ratings)",
    "ContentOnly, again and again": "ct.ContentOnly(features).fit(ratings)",
    "Blend": "ct.Blend(ct.GlobalMean(), slow).fit(ratings)",
    "Tuned": "ct.Tuned(slow, n_trials=3).fit(ratings)",
    "tune": "ct.tune(slow, ratings, n_trials=3)",
    "recommend_all, again and again": "ct.BiasBaseline().fit(ratings).recommend_all()",
}
SIDE_BY_SIDE = {
    f"{name}, {jobs} jobs": call.format(jobs)
    for jobs in (1, 2)
    for name, call in {
        "evaluate": "ct.evaluate({{'slow': slow}}, ratings, n_splits=3, n_jobs={})",
        "compare": "ct.compare({{'slow': slow}}, ratings, 8, n_splits=3, n_jobs={})",
        "select_model": "ct.select_model([slow, slow], *ratings.split_random(), n_jobs={})",
        "command line": "ct.main(['--splits', '400', '--jobs', '{}'])",
    }.items()
}


def children(pid):
    """The processes that a process has started, and theirs, by /proc."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def stop(call, number, model="slow", alone=False, jobs=1, wait=None):
    """(exit code, what was printed, whether every process is gone) of a call that was sent a signal in its middle."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM.format(call=call, model=model, alone=alone)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        for _ in range(600):
            if jobs == 1 or len(children(process.pid)) >= jobs:
                break
            time.sleep(0.1)
        time.sleep((1.5 if jobs == 1 else 3) if wait is None else wait)  # into the middle of it
        family = children(process.pid)
        process.send_signal(number)
        try:
            printed = process.communicate(timeout=60)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"still running a minute after {number!r}")
    for _ in range(300):
        if not any(map(alive, family)):
            break
        time.sleep(0.1)
    return process.returncode, printed, [pid for pid in family if alive(pid)]


@pytest.mark.slow
@pytest.mark.parametrize("name", FITS)
def test_a_fit_of_its_own_keeps_its_best_after_ctrl_c(name):
    code, printed, left = stop("model.fit(ratings)", signal.SIGINT, FITS[name], alone=True)
    assert (code, printed, left) == (0, "kept True\n", [])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
@pytest.mark.parametrize("name", [*LOOPS, *SIDE_BY_SIDE])
def test_loops_stop_publish_nothing_and_leave_no_process(name, number):
    jobs = 2 if name.endswith("2 jobs") else 1
    code, printed, left = stop((LOOPS | SIDE_BY_SIDE)[name], number, jobs=jobs)
    assert "published" not in printed
    assert "held-out" not in printed  # the table of the command line
    assert (
        code
        in {
            signal.SIGINT: (130, -signal.SIGINT),
            signal.SIGTERM: (128 + signal.SIGTERM, -signal.SIGTERM),
            signal.SIGKILL: (-signal.SIGKILL,),
        }[number]
    )
    assert left == []


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.0, 0.5, 1.0])
def test_workers_that_have_only_just_begun_end_with_a_parent_that_was_killed(wait):
    assert stop(SIDE_BY_SIDE["compare, 2 jobs"], signal.SIGKILL, jobs=2, wait=wait) == (-signal.SIGKILL, "", [])


def test_where_the_workers_are_threads_nobody_is_watched_and_all_goes_on():
    models = {"biases": ct.BiasBaseline()}
    with joblib.parallel_config(backend="threading"):
        found = ct.evaluate(models, TABLE, n_splits=3, n_jobs=2)
    time.sleep(0.7)  # a thread that watched for the wrong parent would have ended this process
    pd.testing.assert_frame_equal(found, ct.evaluate(models, TABLE, n_splits=3))


def looked_at(monkeypatch, parents):
    """(exit codes, seconds slept, whether the thread was a daemon) of a process that finds these parents."""
    ended, slept, ask = [], [], iter(parents)
    monkeypatch.setattr(interrupts, "os", SimpleNamespace(
        getppid=lambda: next(ask),
        _exit=lambda code: ended.append((code, threading.current_thread().daemon)),
    ))  # fmt: skip
    monkeypatch.setattr(interrupts, "time", SimpleNamespace(sleep=slept.append))
    before = set(threading.enumerate())
    interrupts._end_with(7)
    for thread in set(threading.enumerate()) - before:
        thread.join()
    return ended, slept


def test_a_worker_ends_soon_after_its_parent_and_not_before(monkeypatch):
    ended, slept = looked_at(monkeypatch, [7, 7, 7, 1])  # 1 is who takes orphans in
    assert len(slept) == 3
    assert all(0.1 <= seconds <= 1 for seconds in slept)  # soon, and yet without work
    ((code, daemon),) = ended
    assert code > 0
    assert daemon  # a worker that is done need not wait for its parent's end


def test_a_worker_whose_parent_is_gone_before_it_looks_ends_at_once(monkeypatch):
    ended, slept = looked_at(monkeypatch, [1])
    assert (len(ended), slept) == (1, [])


def test_a_process_that_joblib_replaces_is_no_word_and_all_else_is():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with interrupts._replaced_in_silence():
            warnings.warn("A worker stopped while some jobs were given to the executor.", UserWarning, stacklevel=2)
            with pytest.raises(UserWarning, match="something else"):
                warnings.warn("something else", UserWarning, stacklevel=2)


class Bar:
    """A progress bar that keeps what it is told."""

    def __init__(self):
        self.told = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.told.append("closed")

    def set_postfix_str(self, text, refresh=True):
        self.told.append(text)

    def update(self):
        self.told.append("one more")


def test_beside_a_bar_stands_who_is_waited_for():
    bar = Bar()
    results = (bar.told.append(f"made {name}") or name for name in "ab")
    assert interrupts._awaited(results, ["first", "second"], bar) == ["a", "b"]
    assert bar.told == ["first", "made a", "second", "one more", "made b", "", "one more", "closed"]
    nameless = Bar()
    assert interrupts._awaited(iter([1]), (), nameless) == [1]
    assert nameless.told == ["", "", "one more", "closed"]


def test_one_process_is_this_one_and_works_when_it_is_asked():
    calls = [joblib.delayed(lambda: (os.getpid(), signal.getsignal(signal.SIGTERM), interrupts.may_keep_half()))()] * 2
    assert interrupts.side_by_side(calls, 1) == [(os.getpid(), signal.SIG_DFL, False)] * 2
    assert interrupts.may_keep_half()


def loky_processes():
    """The commands of joblib's processes that are still there."""
    commands = (Path(f"/proc/{pid}/cmdline").read_text() for pid in children(os.getpid()) if alive(pid))
    return [command for command in commands if "popen_loky" in command]


class Failing(ct.GlobalMean):
    """A model that cannot be fitted."""

    def _fit(self, ratings, validation):
        raise ValueError("not today")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are counted in /proc")
def test_an_error_ends_the_processes_too():
    with pytest.raises(ValueError, match="not today"):
        ct.evaluate({"x": Failing()}, TABLE, n_splits=2, n_jobs=2)
    assert loky_processes() == []


def begin(folder):
    (folder / "begun").write_text("")


def go_on(folder):
    while not (folder / "begun").exists():
        time.sleep(0.05)
    time.sleep(10)
    (folder / "done").write_text("")


class Stopped(Bar):
    """Somebody presses Ctrl-C as it is drawn."""

    def update(self):
        raise KeyboardInterrupt


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are counted in /proc")
def test_ctrl_c_between_two_results_ends_the_processes_in_the_middle_of_their_work(tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "tqdm", lambda **options: Stopped())
    with pytest.raises(KeyboardInterrupt) as stopped:
        interrupts.side_by_side([joblib.delayed(begin)(tmp_path), joblib.delayed(go_on)(tmp_path)], 2)
    assert loky_processes() == []
    assert [path.name for path in tmp_path.iterdir()] == ["begun"]
    del stopped
    gc.collect()  # and joblib has nothing left to complain of


@pytest.mark.slow
def test_a_process_that_joblib_replaces_is_waited_for_where_warnings_are_errors():
    script = "from growing import *; print(side_by_side([delayed(grow)(i) for i in range(6)], n_jobs=2))"
    command = [sys.executable, "-W", "error::UserWarning", "-c", script]
    place = {"cwd": Path(__file__).parent, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    run = subprocess.run(command, **place, timeout=120, capture_output=True, text=True)
    assert run.stdout == "[0, 1, 2, 3, 4, 5]\n", run.stderr


def test_no_compiled_loop_that_is_entered_from_python_returns_a_tuple():
    """numba builds a tuple by calls of Python, in which a waiting Ctrl-C becomes a SystemError."""
    for model in (ct.ItemKNN(), ct.ALS(2), ct.SGDMF(n_epochs=2, batch_size=4, patience=None), ct.SGDMF(n_epochs=2)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clone(model).fit(TABLE).recommend_all(2)  # so that its loops are compiled
    modules = solvers, regressions, lists, doors
    loops = [value for module in modules for value in vars(module).values() if hasattr(value, "overloads")]
    assert sum(bool(loop.overloads) for loop in loops) > 8
    for loop in loops:
        for compiled in loop.overloads.values():
            assert not isinstance(compiled.signature.return_type, numba.types.BaseTuple), loop
