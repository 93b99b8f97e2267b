"""What the benchmark commands share: where the real ratings are, and a results file that says what it was made from."""

import datetime
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import content_table as ct

RESULTS = Path(__file__).resolve().parent / "results"


def real_data(*parts):
    """A file under the folder that CONTENT_TABLE_DATA names; the real ratings are read in place, never copied."""
    folder = os.environ.get("CONTENT_TABLE_DATA")
    path = Path(folder or "").joinpath(*parts)
    if not folder or not path.exists():
        sys.exit(
            f"set CONTENT_TABLE_DATA to the folder with the real ratings; {Path(*parts)} was not found "
            f"{'under ' + folder if folder else 'because it is not set'}."
        )
    return path


def describe(ratings, path):
    """Size of a data set and a hash of its file, so that a figure can be traced to its data."""
    return {
        "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        "n_users": ratings.n_users,
        "n_items": ratings.n_items,
        "n_ratings": len(ratings),
        "density": round(ratings.density, 6),
    }


def machine():
    """What timings depend on, without naming the machine."""
    return f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"


def today():
    return datetime.date.today().isoformat()


def peak():
    """MB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KB on Linux


def apart(script, *arguments):
    """What the last line of a script says in JSON, run in a fresh process: this one stays small, because a process
    inherits the peak of what starts it."""
    command = [sys.executable, script, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def write_results(name, results):
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    ct.write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    print(f"wrote {path.parent.name}/{path.name}")
