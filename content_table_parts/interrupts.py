"""Ctrl-C, SIGTERM and time that is up: what many fits are made for is done whole or not at all, and leaves no process
behind."""

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor
from tqdm import tqdm

from content_table_parts.settings import check_number

Call = tuple[Callable, tuple, dict]  # what joblib.delayed makes of a function and its arguments

_WHOLE = ContextVar("whole fits only", default=False)


@contextmanager
def whole_fits() -> Iterator[None]:
    """In this block half a fit is no fit: Ctrl-C ends it by a KeyboardInterrupt, instead of keeping its best."""
    outside = _WHOLE.set(True)
    try:
        yield
    finally:
        _WHOLE.reset(outside)


def may_keep_half() -> bool:
    """Whether a fit that Ctrl-C stops may keep what it has: a single one that somebody waits for may."""
    return not _WHOLE.get()


class OutOfTime(Exception):
    """A fit that took longer than it may; nothing of it is kept."""


_END: ContextVar[float] = ContextVar("the moment at which a fit is out of time", default=np.inf)


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """In this block a fit that goes by passes is OutOfTime after so many seconds, at its next pass."""
    outside = _END.set(min(_END.get(), time.perf_counter() + seconds))
    try:
        yield
    finally:
        _END.reset(outside)


def check_time(ahead: float = 0.0) -> None:
    """Called in each pass of a fit: raise OutOfTime where `in_time` says so, or before `ahead` seconds that cannot be
    stopped would take it past that."""
    if time.perf_counter() + ahead > _END.get():
        raise OutOfTime


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """In this block SIGTERM is a SystemExit, so that what must be put away is put away; nobody's own handler is
    replaced."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number, frame):
    raise SystemExit(128 + number)


def workers(n_jobs: int) -> int:
    """The number of processes that `n_jobs` means, as joblib counts them."""
    check_number("n_jobs", n_jobs, low=-(2**31), whole=True)
    if n_jobs == 0:
        raise ValueError("n_jobs must be a number of processes, or -1 for one on each core, got 0.")
    return joblib.effective_n_jobs(n_jobs)


def side_by_side(calls: Sequence[Call], n_jobs: int, progress: bool = False, names: Sequence[str] = ()) -> list:
    """The results of the calls, in order; with `n_jobs` other than 1 in processes, as joblib counts them.

    `progress` shows a bar, and of `names` that of the call whose result is waited for. Every fit in it is whole. An
    error, Ctrl-C or SIGTERM ends all of it at once, and the processes with it; they also end where this one was killed.
    Processes are used again by the next call, but not after other work has been given to joblib in between.
    """
    n_workers = workers(n_jobs)
    bar = tqdm(total=len(calls), desc="fits", disable=not progress)
    if n_workers == 1:
        return _awaited((_whole(call) for call in calls), names, bar)
    watched = {"initializer": _end_with, "initargs": (os.getpid(),)}  # a parent may die before the first call
    with sigterm_raises(), _replaced_in_silence():
        in_turn = joblib.Parallel(n_jobs=n_jobs, return_as="generator", **watched)
        results = None
        try:
            results = in_turn(joblib.delayed(_whole)(call) for call in calls)
            return _awaited(results, names, bar)
        except BaseException:
            get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)
            if results is not None:
                with suppress(Exception):  # joblib, that its processes are gone: later it would tell somebody else
                    results.close()
            raise


@contextmanager
def _replaced_in_silence():
    """joblib replaces a process whose memory has grown, and warns of it in a thread that all results come through:
    where warnings are errors that thread would end, and this one wait for ever."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        yield


def _awaited(results, names, bar):
    """The results as a list; beside the bar stands the name of the one that is waited for."""
    found, names = [], iter(names)
    with bar:
        bar.set_postfix_str(next(names, ""))
        for result in results:
            found.append(result)
            bar.set_postfix_str(next(names, ""), refresh=False)
            bar.update()
    return found


def _whole(call):
    function, arguments, options = call
    with whole_fits():
        return function(*arguments, **options)


def _end_with(parent):
    """End this process soon after its parent, however that ended: an orphan would work on for nobody."""

    def look():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
