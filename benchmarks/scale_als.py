"""Alternating least squares on ten million ratings: processor seconds of one core, ours and of the best libraries.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scale_als.py [ratings]     # about four minutes

The table is made from a seed (`made_up.large_table`): popular titles and busy users have most of it. Ten passes at rank
32, each work in a process of its own, from the arrays of the table to the fitted model: CPU and wall seconds, the
process's peak of memory, and the objective that it reached. `half-step` holds the loop of the lessons, `solve_rows`,
against that of `ALS`, on all users, and the rows against each other. cmfrec and implicit, where they are installed,
solve the same problems by three steps of conjugate gradients a row; what matters beside the seconds is the objective
that they reach.
"""

import functools
import importlib.util
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from common import apart, machine, peak, today, write_results
from made_up import run, table_of
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import content_table as ct

RANK, PASSES, REG, BIAS_REG, CONFIDENCE = 32, 10, 10.0, 5.0, 1.0
HOW = {"n_factors": RANK, "reg": REG, "n_epochs": PASSES, "tol": 0.0}
ALS = functools.partial(ct.ALS, biases=True, bias_reg=BIAS_REG, **HOW)
IMPLICIT = functools.partial(ct.ImplicitALS, confidence=CONFIDENCE, **HOW)


def fitted(model, table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten passes, whatever is left to gain
        return model.fit(table)


def ours(model):
    """A work: fits the model to the arrays of a table; its loops are compiled before."""
    fitted(type(model)(**model.get_params()), ct.Ratings.from_matrix([[5, 3], [4, np.nan]], scale=(1, 5)))
    return lambda *arrays: fitted(model, table_of(*arrays)).history_[-1]["objective"]


def by_cmfrec():
    import cmfrec
    import scipy.sparse as sp

    # its loss is ours: the sum of squares, one penalty for factors and one for biases, none scaled by counts
    penalties = [BIAS_REG, BIAS_REG, REG, REG, 0.0, 0.0]
    peer = cmfrec.CMF(k=RANK, lambda_=penalties, niter=PASSES, nthreads=1, use_float=False, verbose=False)

    def work(rows, cols, scores):
        peer.fit(sp.coo_matrix((scores, (rows, cols))))
        return lambda: explicit_objective(rows, cols, scores, peer)

    return work


def by_implicit():
    import scipy.sparse as sp
    from implicit.cpu.als import AlternatingLeastSquares

    peer = AlternatingLeastSquares(
        RANK, regularization=REG, alpha=1.0, iterations=PASSES, num_threads=1, random_state=0, use_cg=True
    )

    def work(rows, cols, scores):
        peer.fit(sp.csr_matrix(((1 + CONFIDENCE * scores).astype(np.float32), (rows, cols))), show_progress=False)
        return lambda: implicit_objective(rows, cols, scores, peer.user_factors, peer.item_factors)

    return work


def explicit_objective(rows, cols, scores, peer):
    """That of `ALS` with biases, at what cmfrec found."""
    P, Q, b_user, b_item = peer.A_.astype(float), peer.B_.astype(float), peer.user_bias_, peer.item_bias_
    residual = scores - peer.glob_mean_ - b_user[rows] - b_item[cols] - ct.pair_dots(P, Q, rows, cols)
    penalty = REG * (np.vdot(P, P) + np.vdot(Q, Q)) + BIAS_REG * (b_user @ b_user + b_item @ b_item)
    return float(residual @ residual + penalty)


def implicit_objective(rows, cols, scores, P, Q):
    """That of `ImplicitALS`."""
    P, Q, c = P.astype(float), Q.astype(float), 1 + CONFIDENCE * scores
    x = ct.pair_dots(P, Q, rows, cols)
    unrated = np.vdot(P.T @ P, Q.T @ Q) - x @ x
    return float(unrated + c @ (1 - x) ** 2 + REG * (np.vdot(P, P) + np.vdot(Q, Q)))


WORKS = {
    "ALS with biases": lambda: ours(ALS()),
    "ALS with biases, float32": lambda: ours(ALS(dtype="float32")),
    "ALS with biases, two threads": lambda: ours(ALS(n_jobs=2)),
    "cmfrec": by_cmfrec,
    "ImplicitALS": lambda: ours(IMPLICIT()),
    "ImplicitALS, float32": lambda: ours(IMPLICIT(dtype="float32")),
    "implicit": by_implicit,
}
PEERS = {"cmfrec", "implicit"}


def half_step(*arrays):
    """One half-step over all users, by the loop to be read and by that of the fits: seconds, operations a second."""
    A = table_of(*arrays).csr
    Q = np.random.default_rng(1).normal(0, 0.3, (A.shape[1], RANK))
    indptr, indices, values = A.indptr.copy(), A.indices.copy(), A.data.copy()
    ones, base, out = np.ones(len(values)), REG * np.eye(RANK), np.empty((A.shape[0], RANK))
    ct.solve_rows(indptr[:2], indices[: indptr[1]], ones[: indptr[1]], values[: indptr[1]], Q, base, out[:1])
    ct.ridge_rows(A[:2], Q, REG)
    start = time.process_time()
    ct.solve_rows(indptr, indices, ones, values, Q, base, out)
    slow, start = time.process_time() - start, time.process_time()
    rows = ct.ridge_rows(A, Q, REG)
    fast = time.process_time() - start
    operations = len(values) * RANK * (RANK + 3) + A.shape[0] * RANK**3 / 3  # Gram matrices, then Cholesky
    same = bool(np.array_equal(rows, out))
    return {"readable": slow, "ours": fast, "gflops": operations / fast / 1e9, "identical": same}


def measure(path, name):
    """One work in this process."""
    stored = np.load(path)
    arrays = [stored[key] for key in ("rows", "cols", "scores")]
    with threadpool_limits(1):
        if name == "half-step":
            return half_step(*arrays)
        work = WORKS[name]()
        cpu, wall = time.process_time(), time.perf_counter()
        found = work(*arrays)
        row = {"seconds": time.process_time() - cpu, "wall": time.perf_counter() - wall, "MB": peak()}
        return row | {"objective": found() if callable(found) else found}


def main(n_ratings=10**7):
    n_ratings = int(float(n_ratings))
    names = [name for name in WORKS if name not in PEERS or importlib.util.find_spec(name)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.npz"
        apart(__file__, "--make", path, n_ratings)
        step = apart(__file__, "--measure", path, "half-step")
        print(
            f"half-step, readable: {step['readable']:.2f} s; ours: {step['ours']:.2f} s, {step['gflops']:.0f} GFlop/s"
        )
        print("rows identical to the bit:", step["identical"])
        rows = {}
        for name in names:
            rows[name] = row = apart(__file__, "--measure", path, name)
            told = f"{row['seconds']:6.1f} s CPU, {row['wall']:6.1f} s, {row['MB']:6.0f} MB"
            print(f"{name:30}{told}, objective {row['objective']:.0f}", flush=True)
    for name in sorted(PEERS - set(names)):
        print(f"{name} is not installed")
    settings = {
        "command": "python benchmarks/scale_als.py",
        "n_ratings": n_ratings,
        "machine": machine(),
        "date": today(),
    }
    if n_ratings == 10**7:
        write_results("scale_als.json", {"settings": settings, "half_step": step, "rows": rows})


if __name__ == "__main__":
    run(main, measure)
