"""EASE on many titles: processor seconds, memory and the gap of its certificate, up to 20,000 titles.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scale_ease.py     # about ten minutes

Tables are made from a seed: 40,000 viewers (or 2,000, whose weights are kept as a table of titles and viewers), 50
ratings a title and more. Each fit runs in a process of its own; MB are what it has held at most, the table included.
The certificate takes longer than the fit and is asked for where that is a few minutes.
"""

import argparse
import json
import time

import numpy as np
from common import apart, machine, peak, write_results
from made_up import cells
from threadpoolctl import threadpool_limits

import content_table as ct

CASES = [  # titles, viewers, ratings, dtype, certificate
    (5_000, 40_000, 10**6, "float64", True),
    (5_000, 40_000, 10**6, "float32", True),
    (10_000, 40_000, 10**6, "float64", False),
    (10_000, 40_000, 10**6, "float32", True),
    (16_000, 40_000, 10**6, "float64", False),
    (20_000, 40_000, 10**6, "float32", False),
    (20_000, 2_000, 10**6, "float32", True),
]


def made_up(n_items, n_users, n_ratings, seed=0):
    """Who rated what: busy viewers and popular titles more, all rated alike."""
    rng = np.random.default_rng(seed)
    busy, popular = rng.lognormal(0, 1, n_users), np.arange(1, n_items + 1) ** -0.5
    rows, cols = cells(n_ratings, busy, popular, rng)
    return ct.Ratings(np.arange(n_users), np.arange(n_items), rows, cols, np.full(n_ratings, 5.0), scale=(1, 5))


def one(case):
    n_items, n_users, n_ratings, dtype, certified = CASES[case]
    ratings = made_up(n_items, n_users, n_ratings)
    before = peak()
    with threadpool_limits(1):
        start = time.process_time()
        model = ct.EASE(dtype=dtype).fit(ratings)
        row = {"titles": n_items, "viewers": n_users, "dtype": dtype, "seconds": time.process_time() - start}
        row |= {"MB": peak(), "MB_of_the_table": before, "certificate_seconds": None, "relative_gap": None}
        start = time.process_time()
        model.top_items(np.arange(100), 10)
        row["list_seconds"] = (time.process_time() - start) / 100
        if certified:
            start = time.process_time()
            row["relative_gap"] = model.certificate().relative_gap
            row["certificate_seconds"] = time.process_time() - start
    print(json.dumps(row))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", type=int)
    options = parser.parse_args()
    if options.case is not None:
        one(options.case)
        return
    rows = []
    for case in range(len(CASES)):
        rows.append(apart(__file__, "--case", case))
        print({name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in rows[-1].items()})
    settings = {"command": "python benchmarks/scale_ease.py", "machine": machine()}
    write_results("scale_ease.json", {"settings": settings, "rows": rows})


if __name__ == "__main__":
    main()
