"""What reading a large table costs, beside what pandas needs to read it and to number its ids.

    python benchmarks/scale_tables.py            # 10 million made-up ratings, some minutes; another number as argument

The ratings are made from a seed: 100 a user, of 20,000 titles, popular ones more often, in the order of the users as
MovieLens has them and shuffled. Each task runs `TURNS` times in a process of its own, all of them by turns; shown are
the least CPU seconds, those that the system took to hand out memory apart (they depend on the machine, and vary), and
how far the task took the peak of memory past what the process had needed before it: the libraries and what the task is
given. Ratios are of the seconds without the system's.
"""

import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from common import apart, machine, peak, today, write_results

import content_table as ct

N_RATINGS, N_ITEMS, SEED, TURNS = 10_000_000, 20_000, 0, 3
COLUMNS = ("userId", "movieId", "rating")


def make(folder, n_ratings):
    """ratings.csv and movies.csv as MovieLens has them, and the same ratings shuffled as a DataFrame."""
    rng = np.random.default_rng(SEED)
    n_users, drawn = max(n_ratings // 100, 1), int(1.2 * n_ratings)
    cells = rng.integers(0, n_users, drawn) * N_ITEMS + (N_ITEMS * rng.random(drawn) ** 1.5).astype(int)
    cells = np.sort(rng.permutation(np.unique(cells))[:n_ratings])
    ratings = {"userId": cells // N_ITEMS + 1, "movieId": cells % N_ITEMS * 3 + 1}
    ratings |= {"rating": rng.integers(1, 11, len(cells)) / 2, "timestamp": rng.integers(8e8, 16e8, len(cells))}
    pd.DataFrame(ratings).to_csv(folder / "ratings.csv", index=False)
    order = rng.permutation(len(cells))
    for column, entries in ratings.items():
        np.save(folder / f"sorted-{column}.npy", entries)
        np.save(folder / f"shuffled-{column}.npy", entries[order])
    ids = np.arange(N_ITEMS) * 3 + 1
    films = {"movieId": ids, "title": [f"Film {item} (1999)" for item in ids], "genres": "Drama"}
    pd.DataFrame(films).to_csv(folder / "movies.csv", index=False)


def read(folder, order):
    """The ratings in one of the two orders, read without a moment in which they are there twice."""
    columns = (*COLUMNS, "timestamp")
    return pd.DataFrame({column: np.load(folder / f"{order}-{column}.npy") for column in columns}, copy=False)


def number(frame):
    """What pandas needs to number users and items."""
    return [pd.factorize(frame[column])[0] for column in COLUMNS[:2]]


def table(frame):
    return ct.Ratings.from_frame(frame, *COLUMNS, scale=(0.5, 5.0))


def dated(frame):
    return ct.Ratings.from_frame(frame, *COLUMNS, time="timestamp", scale=(0.5, 5.0))


def tasks(folder):
    """{task: (what is made before the clock starts, the task)}; a task of pandas stands above ours that are like it."""
    csv, by_user, shuffled = folder / "ratings.csv", partial(read, folder, "sorted"), partial(read, folder, "shuffled")
    return {
        "pandas: two columns numbered, by user": (by_user, number),
        "a DataFrame, by user": (by_user, table),
        "pandas: two columns numbered, shuffled": (shuffled, number),
        "a DataFrame, shuffled": (shuffled, table),
        "pandas: a CSV read, two columns numbered": (lambda: csv, lambda path: number(pd.read_csv(path))),
        "a MovieLens folder": (lambda: folder, ct.load_ratings),
        "a CSV by load_table": (lambda: csv, ct.load_table),
        "pandas: rows shuffled": (shuffled, lambda frame: frame.sample(frac=1, random_state=SEED)),
        "split_random": (lambda: table(shuffled()), lambda ratings: ratings.split_random()),
        "pandas: rows sorted by user and time": (shuffled, lambda frame: frame.sort_values(["userId", "timestamp"])),
        "split_user_time": (lambda: dated(shuffled()), lambda ratings: ratings.split_user_time()),
        "split_leave_one_out": (lambda: dated(shuffled()), lambda ratings: ratings.split_leave_one_out()),
        "fingerprint": (lambda: table(shuffled()), lambda ratings: ratings.fingerprint),
    }


def measure(folder, name):
    """One task in this process: seconds of its own and of the system, and MB beyond what was there before it."""
    before, task = tasks(folder)[name]
    given = before()
    start, held = os.times(), peak()
    kept = task(given)  # until memory is measured
    end = os.times()
    row = {"seconds": end.user - start.user, "system": end.system - start.system, "MB": peak() - held}
    print(json.dumps(row))
    del kept


def main(n_ratings):
    with tempfile.TemporaryDirectory() as folder:
        apart(__file__, "--make", folder, n_ratings)
        names = list(tasks(Path(folder)))
        turns = [{name: apart(__file__, "--measure", folder, name) for name in names} for _ in range(TURNS)]
    rows = {}
    for name in names:
        rows[name] = row = {unit: min(turn[name][unit] for turn in turns) for unit in ("seconds", "system", "MB")}
        if name.startswith("pandas"):
            peer = row["seconds"]
        else:
            row["ratio"] = row["seconds"] / peer
        ratio = f"   {row['ratio']:5.2f} times pandas" if "ratio" in row else ""
        print(f"{name:42}{row['seconds']:8.2f} s +{row['system']:5.2f} s{row['MB']:8.0f} MB{ratio}")
    settings = {
        "command": "python benchmarks/scale_tables.py",
        "n_ratings": n_ratings,
        "machine": machine(),
        "date": today(),
    }
    if n_ratings == N_RATINGS:
        write_results("scale_tables.json", {"settings": settings, "rows": rows})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(Path(sys.argv[2]), int(sys.argv[3]))
        print("{}")
    elif sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]), sys.argv[3])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else N_RATINGS)
