"""Our solvers of the convex models against cvxpy's, on the same table, at the same certified gap, in one run.

    CONTENT_TABLE_DATA=... python benchmarks/convex_solvers.py       # minutes; the sample where the real table is not

cvxpy gets the problem as stated on paper, vectorised; its tolerance is loosened tenfold at a time while our
certificate still finds its answer within the gap that ours reaches, and its fastest such run counts. Times are the
median of five fits of ours after one warm-up (numba compiled), and of three of cvxpy's after one, both with one BLAS
thread a process.
"""

import argparse
import os
import statistics
import time
import warnings
from pathlib import Path

from common import describe, machine, write_results

import content_table as ct

GAP = 1e-6
PROBLEMS = {
    "baseline, reg=5": lambda **options: ct.BiasBaseline(reg=5, **options),
    "spectral, reg=5": lambda **options: ct.SpectralRegularization(reg=5, **options),
    "spectral with biases, reg=8": lambda **options: ct.SpectralRegularization(reg=8, biases=True, **options),
    "nuclear norm": lambda **options: ct.NuclearNorm(**options),
}


def seconds(model, ratings, repeats):
    model.fit(ratings)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        model.fit(ratings)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def loosest(make, ratings):
    """cvxpy's model with the loosest tolerance whose certified relative gap is still at most GAP."""
    best = None
    for tol in (1e-4, 1e-5, 1e-6, 1e-7):
        model = make(solver="cvxpy", tol=tol).fit(ratings)
        if model.certificate().relative_gap <= GAP:
            return model
        best = model
    raise RuntimeError(f"cvxpy did not reach a certified gap of {GAP:g}: {best.certificate()}")


def compare(name, make, ratings):
    ours = make() if "baseline" in name else make(tol=GAP)
    theirs = make(solver="cvxpy") if "baseline" in name else loosest(make, ratings)
    t_ours, t_theirs = seconds(ours, ratings, 5), seconds(theirs, ratings, 3)
    gaps = [max(model.certificate().relative_gap, 0.0) for model in (ours, theirs)]
    agree = abs(ours.certificate().primal - theirs.certificate().primal) / ours.certificate().primal
    row = {"ours_s": round(t_ours, 4), "cvxpy_s": round(t_theirs, 4), "ratio": round(t_theirs / t_ours, 1)}
    row |= {"our_gap": f"{gaps[0]:.0e}", "cvxpy_gap": f"{gaps[1]:.0e}", "objectives_differ_by": f"{agree:.0e}"}
    return row | {"cvxpy_tol": getattr(theirs, "tol", "default")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", action="store_true", help="use the embedded sample even where the real table is")
    options = parser.parse_args()
    folder = os.environ.get("CONTENT_TABLE_DATA")
    real = Path(folder or "", "mal", "100x100.csv")
    use_real = bool(folder) and real.is_file() and not options.sample
    path = real if use_real else ct.DATA / "100x100.csv"
    ratings = ct.load_ratings(path)
    print(f"{'the real table 1' if use_real else 'the sample (simulated viewers)'}: {ratings}")
    rows = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cvxpy's remarks on its own loosened tolerances
        for name, make in PROBLEMS.items():
            rows[name] = row = compare(name, make, ratings)
            print(f"{name:28} {row['ratio']:7.1f} times   {row}")
    if use_real:
        settings = {"command": "python benchmarks/convex_solvers.py", "gap": GAP, "machine": machine()}
        write_results("convex_solvers.json", {"settings": settings, "data": describe(ratings, path), "rows": rows})


if __name__ == "__main__":
    main()
