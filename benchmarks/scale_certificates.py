"""What a certified convex fit costs on a large sparse table: a million ratings, 6,000 users, 4,000 titles.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scale_certificates.py     # two or three minutes

The table is made from a seed. `SpectralRegularization` runs to a certified relative gap of 1e-4, with and without
biases: processor seconds, how many of them the checks of the certificate took, and whether the last one is proven.
"""

import time

import numpy as np
from common import machine, peak, today, write_results
from made_up import cells, scores
from threadpoolctl import threadpool_limits

import content_table as ct

N_RATINGS, N_USERS, N_ITEMS, GAP = 10**6, 6_000, 4_000, 1e-4
clock = time.process_time


def made_up(seed=0):
    rng = np.random.default_rng(seed)
    busy, popular = rng.lognormal(0, 1, N_USERS), np.arange(1, N_ITEMS + 1) ** -0.6
    rows, cols = cells(N_RATINGS, busy, popular, rng)
    values = scores(rows, cols, N_USERS, N_ITEMS, rng)
    return ct.Ratings(np.arange(N_USERS), np.arange(N_ITEMS), rows, cols, values, scale=(1, 5))


class Timed(ct.SpectralRegularization):
    """Counts the seconds of its checks."""

    checks = 0.0

    def _certify(self, *given, **options):
        start = clock()
        found = super()._certify(*given, **options)
        Timed.checks += clock() - start
        return found


def spectral(ratings, **settings):
    Timed.checks, start = 0.0, clock()
    model = Timed(tol=GAP, **settings).fit(ratings)
    last = model.history_[-1]
    row = {"seconds": clock() - start, "checks": Timed.checks, "passes": last["epoch"], "rank": last["rank"]}
    return row | {"relative_gap": model.certified_.relative_gap, "proven": model.certified_.proven}


def main():
    ratings, rows = made_up(), {}
    print(ratings)
    small = ct.Ratings.from_matrix(np.random.default_rng(0).integers(1, 6, (40, 30)).astype(float), scale=(1, 5))
    with threadpool_limits(1):
        for settings in ({"reg": 40.0}, {"reg": 40.0, "biases": True}):
            ct.SpectralRegularization(**settings).fit(small)
            name = "spectral with biases" if "biases" in settings else "spectral"
            rows[name] = row = spectral(ratings, **settings)
            told = ", ".join(f"{key} {value:.3g}" for key, value in row.items())
            print(f"{name}: {told}; {peak():.0f} MB", flush=True)
    settings = {"command": "python benchmarks/scale_certificates.py", "machine": machine(), "date": today(), "gap": GAP}
    write_results("scale_certificates.json", {"settings": settings, "rows": rows, "MB": peak()})


if __name__ == "__main__":
    main()
