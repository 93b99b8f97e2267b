"""What a second core is worth: wall seconds of one and of two workers, taking turns.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scale_cores.py     # about three minutes, on two cores

`ALS` with two threads on ten million made-up ratings, and `compare` in two processes on the sample: eighty splits of
models that take ten seconds and more. The least of three turns counts; what is computed is the same to the last bit.
"""

import time
import warnings

import numpy as np
from common import machine, today, write_results
from made_up import large_table, table_of
from scale_als import ALS, fitted

import content_table as ct

TURNS = 3


def wall(call):
    start = time.perf_counter()
    found = call()
    return time.perf_counter() - start, found


def in_turns(work, same):
    """{workers: least wall seconds}; `same` tells whether two results are equal."""
    least, found = {1: np.inf, 2: np.inf}, {}
    for _ in range(TURNS):
        for n_jobs in least:
            seconds, found[n_jobs] = wall(lambda n_jobs=n_jobs: work(n_jobs))
            least[n_jobs] = min(least[n_jobs], seconds)
    row = {
        "one": least[1],
        "two": least[2],
        "speed_up": least[1] / least[2],
        "identical": bool(same(found[1], found[2])),
    }
    print(", ".join(f"{key} {value:.3g}" if key != "identical" else f"{key} {value}" for key, value in row.items()))
    return row


def compared(n_jobs):
    ratings = ct.load_ratings(ct.DATA / "100x100.csv")
    models = {f"ALS, rank {rank}": ct.ALS(rank, reg=8, biases=True, tol=1e-9, n_epochs=2000) for rank in (5, 10, 20)}
    models |= {"spectral": ct.SpectralRegularization(5), "nuclear norm": ct.NuclearNorm()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ct.compare(models, ratings, 8.0, n_splits=80, n_jobs=n_jobs)


def same_tables(one, other):
    columns = [column for column in one if "second" not in column]
    return one[columns].equals(other[columns])


def main():
    ratings = table_of(*large_table(10**7))
    ALS(n_epochs=1).fit(ct.Ratings.from_matrix([[5, 3], [4, np.nan]], scale=(1, 5)))
    print(ratings, end=": ")
    als = in_turns(
        lambda n_jobs: fitted(ALS(n_jobs=n_jobs), ratings),
        lambda one, two: np.array_equal(one.item_factors_, two.item_factors_),
    )
    print("compare", end=": ")
    rows = {"ALS, ten million ratings": als, "compare, eighty splits": in_turns(compared, same_tables)}
    settings = {"command": "python benchmarks/scale_cores.py", "machine": machine(), "date": today()}
    write_results("scale_cores.json", {"settings": settings, "rows": rows})


if __name__ == "__main__":
    main()
