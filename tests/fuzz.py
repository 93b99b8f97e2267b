"""Look for the next fault: the properties of `properties.py` with new random inputs, for as long as one likes.

    python tests/fuzz.py --seconds 1800 --seed 1       # everything in turn; make fuzz SECONDS=1800
    python tests/fuzz.py --only "fits of ALS" --seed 7 --rounds 1    # one round again, shrunk to its smallest case
    python tests/fuzz.py --replay model build/fuzz/model-crash-0123  # one file again

Readers of files are also guided by coverage where atheris is installed. What fails is printed with the line that
repeats it and kept in build/fuzz/; any failure ends in exit code 1.
"""

import argparse
import contextlib
import importlib.util
import multiprocessing
import re
import subprocess
import sys
import time
import traceback
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
KEPT = ROOT / "build" / "fuzz"
GUIDED = "atheris"
sys.path[:0] = [str(ROOT), str(HERE)]

TARGETS = {  # reader -> how it is called, and how many files it takes, which a zero byte separates
    "export": ("read_export", 1),
    "course": ("read_course", 1),
    "movielens": ("read_movielens", 2),
    "dump": ("read_dump", 2),
    "features": ("read_features", 2),
    "genres": ("read_genres", 1),
    "profiles": ("read_profiles", 1),
    "model": ("read_model", 1),
    "model_text": ("read_about", 1),  # whole arrays, and a text about them that is not
}


def main():
    """Read the arguments, and do one of: everything, one target, one file again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="of the first round; default: a new one each time")
    parser.add_argument("--only", default="", help="a part of the names of the properties or targets to run")
    parser.add_argument("--rounds", type=int, help="stop after so many rounds of each property, without atheris")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"))
    parser.add_argument("--guided", choices=TARGETS, help=argparse.SUPPRESS)
    given, rest = parser.parse_known_args()
    if given.guided:
        run_guided(given.guided, rest)
    elif rest:
        parser.error(f"unknown arguments {rest}")
    elif given.replay:
        target, file = given.replay
        print("answered:", reader_of(target)(Path(file).read_bytes()))
    else:
        sys.exit(Run(given).everything())


# ---- One property, round by round, in a process of its own ----


def rounds(name, seed, until, n_rounds, tell):
    """Rounds of a property until the time is over; `tell(what, ...)` hears of seeds, failures and, last, the tally."""
    import properties
    from hypothesis.errors import HypothesisWarning

    warnings.simplefilter("error")  # as in the tests
    warnings.simplefilter("ignore", HypothesisWarning)
    seen, at = set(), 0
    while at < (n_rounds or 10**9) and (n_rounds or at == 0 or time.monotonic() < until):
        tell("seed", seed + at)
        error = one_round(name, seed + at)
        if error is not None:  # most rounds hold, so only a failing one is made again, to shrink it
            for signature, text in failures(one_round(name, seed + at, shrink=True) or error):
                if signature not in seen:
                    seen.add(signature)
                    tell("failure", seed + at, signature, text)
        at += 1
    tell("tally", properties.TALLY, at)


def one_round(name, seed, shrink=False):
    """The error, or group of errors, of one round of a property; None where it holds."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from properties import PROPERTIES

    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    how = settings(
        max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=phases
    )
    one = PROPERTIES[name]
    try:
        with contextlib.redirect_stdout(None):  # hypothesis says it again in the notes of the error
            seeded(seed)(how(given(one.draw)(one.check)))()
    except Exception as error:
        return error
    return None


def failures(error):
    """(signature, text) of each error of a group: where it was raised, and everything said about it."""
    if isinstance(error, ExceptionGroup):
        return [one for part in error.exceptions for one in failures(part)]
    last = traceback.extract_tb(error.__traceback__)[-1]
    check = next((note for note in getattr(error, "__notes__", []) if note.startswith("Failed check")), "")
    signature = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno} {check}"
    return [(signature, "".join(traceback.format_exception(error)))]


def warm_up():
    """Import and load what is compiled once, before processes are made of this one."""
    import cvxpy  # noqa: F401  # imported by the models where it is asked for
    import optuna  # noqa: F401
    import properties

    properties.saved_models()


def child(pipe, *arguments):
    """A process of its own for rounds: what ends it, a crash say, ends nothing else."""
    rounds(*arguments, lambda *said: pipe.send(said))


# ---- The whole run ----


class Run:
    """Turns of all properties and targets, what they tried, and what failed."""

    def __init__(self, given):
        from properties import PROPERTIES, Tally

        self.given, self.tally, self.failed, self.started = given, Tally(), {}, time.monotonic()
        self.seed = time.time_ns() % 10**6 * 1000 if given.seed is None else given.seed
        self.next = dict.fromkeys([name for name in PROPERTIES if given.only in name], self.seed)
        self.targets = [name for name in TARGETS if given.only in name] if not given.rounds else []
        if self.targets and importlib.util.find_spec(GUIDED) is None:
            print(f"{GUIDED} is not installed here: files are damaged at random, without guidance by coverage.")
            self.targets = []
        KEPT.mkdir(parents=True, exist_ok=True)

    def everything(self):
        """Turn after turn until the time is over; the exit code."""
        print(f"Seed {self.seed}, {self.given.seconds:g} seconds; failures are kept in {KEPT.relative_to(ROOT)}/.")
        warm_up()
        jobs = [(self.properties, name) for name in self.next] + [(self.guided, name) for name in self.targets]
        self.skipped = {name for _, name in jobs}
        if not jobs:
            sys.exit(f"nothing is called {self.given.only!r}")
        left = self.given.seconds
        while left > 0:
            turn = min(left / (len(jobs) + 2 * len(self.targets)), 30.0)  # atheris takes its time to begin
            for run, name in jobs:
                if self.left() > 0 or self.given.rounds:
                    run(name, turn)
                    self.skipped.discard(name)
            left = 0 if self.given.rounds else self.left()
        return self.report()

    def left(self):
        return self.given.seconds - (time.monotonic() - self.started)

    def say(self, name, text):
        print(f"{time.monotonic() - self.started:7.0f} s  {name}: {text}", flush=True)

    def properties(self, name, seconds):
        """A turn of one property."""
        context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
        ours, theirs = context.Pipe(duplex=False)
        arguments = theirs, name, self.next[name], time.monotonic() + seconds, self.given.rounds
        process = context.Process(target=child, args=arguments)
        process.start()
        theirs.close()
        seed, done = self.next[name], 0
        with contextlib.suppress(EOFError):
            while True:
                what, *said = ours.recv()
                if what == "seed":
                    (seed,) = said
                elif what == "failure":
                    self.fail(name, f"--only {name!r} --seed {said[0]} --rounds 1", *said[1:])
                else:
                    self.tally.merge(said[0])
                    done = said[1]
        process.join()
        if process.exitcode:
            repeat = f"--only {name!r} --seed {seed} --rounds 1"
            self.fail(name, repeat, f"the process ended with {process.exitcode}", "a crash below Python, see the seed")
        self.next[name] = seed + 1
        self.say(name, f"{done} rounds of 20")

    def fail(self, name, repeat, signature, text):
        """Keep and print a failure, once for each place."""
        self.failed.setdefault((name, signature), [repeat, 0])[1] += 1
        if self.failed[name, signature][1] > 1:
            return
        command = f"python tests/fuzz.py {repeat}"
        file = KEPT / f"{re.sub(r'[^a-zA-Z0-9]+', '-', name)}-{len(self.failed)}.txt"
        file.write_text(f"{command}\n\n{signature}\n\n{text}", encoding="utf-8", errors="backslashreplace")
        self.say(name, f"FAILED: {signature}\n{' ' * 11}again: {command}\n{' ' * 11}kept: {file.relative_to(ROOT)}")

    def guided(self, name, seconds):
        """A turn of libFuzzer on one reader, in a process of its own."""
        corpus = KEPT / "corpus" / name
        if not corpus.is_dir():
            corpus.mkdir(parents=True)
            for at, data in enumerate(examples_for(name)):
                (corpus / f"whole-{at}").write_bytes(data)
        command = [sys.executable, str(HERE / "fuzz.py"), "--guided", name, str(corpus)]
        limits = [f"-max_total_time={max(int(seconds), 1)}", "-rss_limit_mb=2048", "-timeout=60", "-max_len=20000"]
        options = ["-print_final_stats=1", f"-artifact_prefix={KEPT / name}-", f"-seed={self.seed % 2**31 + 1}"]
        done = subprocess.run([*command, *limits, *options], capture_output=True, text=True, errors="replace")
        said = done.stderr + done.stdout  # the traceback comes last
        runs = re.search(r"number_of_executed_units:\s*(\d+)", said)
        cover = re.findall(r"cov: (\d+)", said)
        if done.returncode:
            kept = re.findall(r"Test unit written to (\S+)", said)
            repeat = f"--replay {name} {Path(kept[-1]).relative_to(ROOT)}" if kept else f"--guided {name}"
            place = re.findall(r'File "[^"]*?([^/"]+)", line (\d+)', said)
            error = re.findall(r"(?m)^(\w*(?:Error|Exception|Warning)\b.*)$", said)
            signature = f"{error[-1][:200] if error else done.returncode} at {':'.join(place[-1]) if place else '?'}"
            self.fail(f"guided {name}", repeat, signature, said[-6000:])
        self.tally.counts["guided files", name] += int(runs[1]) if runs else 0
        self.say(f"guided {name}", f"{runs[1] if runs else '?'} files, {cover[-1] if cover else '?'} branches reached")

    def report(self):
        """Print what was tried and what failed; the exit code."""
        groups = {}
        for (what, which), count in sorted(self.tally.counts.items()):
            groups.setdefault(what, {})[which] = count
        print(f"\nTried in {time.monotonic() - self.started:.0f} s, from seed {self.seed}:")
        for what, counts in groups.items():
            print(f"{what}: {sum(counts.values()):,}")
            for which, count in sorted(counts.items(), key=lambda pair: -pair[1]):
                if which:
                    print(f"{count:12,}  {which}")
        if self.skipped:
            print(f"No time was left for {sorted(self.skipped)}; give more SECONDS.")
        print("slowest fit: {:.2f} s, {}".format(*self.tally.slowest))
        print(f"\n{len(self.failed)} failures")
        for (name, signature), (repeat, count) in self.failed.items():
            print(f"  {name} ({count} times): {signature}\n      python tests/fuzz.py {repeat}")
        return 1 if self.failed else 0


# ---- Readers guided by coverage ----


def reader_of(target):
    """A function of bytes that gives them to a reader as files."""
    import properties

    name, n_files = TARGETS[target]
    reader = getattr(properties, name)

    def read(data):
        files = bytes(data).split(b"\0", n_files - 1) if n_files > 1 else [bytes(data)]
        return reader(*files, *[b""] * (n_files - len(files)))

    return read


def examples_for(target):
    """Whole files to begin with: drawn as the tests draw them, always the same."""
    import properties
    import strategies as s
    from hypothesis import HealthCheck, Phase, given, settings

    if target.startswith("model"):
        stored = [data for data, _ in properties.saved_models().values()]
        return stored if target == "model" else [properties.about_of(data).encode() for data in stored]
    csv = {"course": [s.COURSE], "movielens": [s.MOVIELENS, s.MOVIES], "dump": [s.REVIEWS, s.ANIMES], "export": [s.OWN],
           "features": [s.MOVIES, s.TAGS], "genres": [s.ANIMES], "profiles": [s.PROFILES]}  # fmt: skip
    whole = s.joined_by_zero([s.csv_files(one) for one in csv[target]])
    found = []

    @settings(
        max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )  # fmt: skip
    @given(whole | s.exports() if target == "export" else whole)
    def keep(data):
        found.append(data)

    keep()
    return found


def run_guided(target, arguments):
    """libFuzzer on one reader; only our own files are watched, and of these not the compiled loops, which cannot be."""
    import atheris

    loops = [
        f"content_table_parts.{name}"
        for name in (
            "solvers",
            "regressions",
            "nonnegative",
            "pairwise",
            "deep",
            "bayes",
            "autoencoders",
            "variational",
            "policies",
            "graphs",
            "doors",
            "lists",
        )
    ]
    with atheris.instrument_imports(include=["content_table_parts"], exclude=loops):
        read = reader_of(target)
    atheris.Setup([sys.argv[0], *arguments], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
