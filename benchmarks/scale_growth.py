"""How time and memory grow with the table: from ten thousand ratings to ten million, on one core.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scale_growth.py     # about five minutes

Both sides of the table grow with the root of the number of ratings (`made_up.large_table`), so its density stays.
Every work runs in a process of its own; the least processor seconds of three runs count (one run from a million ratings
on), and the peak of memory less that of a process that has imported the library and holds the arrays. The slope between
two sizes is the exponent: 1 is in proportion to the ratings.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from common import apart, machine, peak, today, write_results
from made_up import large_table, run, table_of
from scale_als import ALS, RANK, fitted
from threadpoolctl import threadpool_limits

import content_table as ct

SIZES = 10_000, 100_000, 1_000_000, 10_000_000
MOST_CERTIFIED = 1_000_000  # ratings, of a spectral fit
VIEWERS = 100  # lists in one go


def listed(arrays):
    model = ALS(n_epochs=1)
    fitted(model, table_of(*arrays))
    model.top_items(np.arange(VIEWERS), 10)  # what a model keeps for its lists is made
    return lambda: model.top_items(np.arange(VIEWERS), 10)


WORKS = {
    "table": lambda arrays: lambda: table_of(*arrays),
    "ALS": lambda arrays: lambda: fitted(ALS(), table_of(*arrays)),
    "SGD": lambda arrays: lambda: ct.SGDMF(n_factors=RANK, n_epochs=10, patience=None).fit(table_of(*arrays)),
    "lists": listed,
    "spectral": lambda arrays: lambda: ct.SpectralRegularization(reg=40, biases=True, tol=1e-3).fit(table_of(*arrays)),
}


def measure(path, name):
    """Least processor seconds, and MB beyond what was there before."""
    stored = np.load(path)
    arrays = [stored[key] for key in ("rows", "cols", "scores")]
    with threadpool_limits(1):
        WORKS[name](large_table(2_000))()  # loops are compiled
        work, held, times = WORKS[name](arrays), peak(), []
        for _ in range(1 if len(arrays[0]) >= 10**6 else 3):
            start = time.process_time()
            kept = work()
            times.append(time.process_time() - start)
        del kept
    return {"seconds": min(times), "MB": peak() - held}


def main():
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.npz"
        for size in SIZES:
            apart(__file__, "--make", path, size)
            for name in WORKS:
                if name == "spectral" and size > MOST_CERTIFIED:
                    continue
                rows.append({"work": name, "n_ratings": size} | apart(__file__, "--measure", path, name))
                print("{work:10}{n_ratings:12,}{seconds:10.4f} s{MB:8.0f} MB".format(**rows[-1]), flush=True)
    settings = {
        "command": "python benchmarks/scale_growth.py",
        "rank": RANK,
        "viewers": VIEWERS,
        "machine": machine(),
        "date": today(),
    }
    write_results("scale_growth.json", {"settings": settings, "rows": rows})


if __name__ == "__main__":
    run(main, measure)
