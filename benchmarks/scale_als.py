"""Alternating least squares on ten million ratings: processor seconds of one core, ours and of the best libraries.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scale_als.py [ratings]     # about five minutes

The table is made from a seed: 100,000 users and 20,000 titles at ten million ratings, fewer of both in proportion to
the root of a smaller number; popular titles and busy users have most of it. Ten passes at rank 32. `readable` is the
loop of the lessons, `solve_rows`; its half-step over all users is held against that of `ALS`, and the rows against
each other. cmfrec and implicit, where they are installed, solve the same problems by three steps of conjugate gradients
a row, and what matters beside the seconds is the objective that they reach.
"""

import importlib.util
import sys
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import content_table as ct

RANK, PASSES, REG, BIAS_REG, CONFIDENCE = 32, 10, 10.0, 5.0, 1.0


def table(n_ratings, seed=0):
    """`Ratings` of the shape of a large shop: long tails on both sides, tastes of six numbers, scores 1 to 5."""
    rng = np.random.default_rng(seed)
    share = np.sqrt(n_ratings / 10**7)
    n_users, n_items = int(100_000 * share), int(20_000 * share)
    busy, popular = rng.lognormal(0, 1, n_users), rng.permutation(np.arange(1, n_items + 1) ** -0.7)
    cells = np.zeros(0, dtype=np.int64)
    while len(cells) < n_ratings:  # repeats are drawn again
        rows = rng.choice(n_users, n_ratings, p=busy / busy.sum())
        more = rows * n_items + rng.choice(n_items, n_ratings, p=popular / popular.sum())
        cells = np.unique(np.concatenate([cells, more]))
    rows, cols = np.divmod(rng.permutation(cells)[:n_ratings], n_items)
    P, Q = rng.normal(0, 0.4, (n_users, 6)), rng.normal(0, 0.4, (n_items, 6))
    level = 3.5 + rng.normal(0, 0.4, n_users)[rows] + rng.normal(0, 0.4, n_items)[cols]
    scores = level + np.einsum("ij,ij->i", P[rows], Q[cols]) + rng.normal(0, 0.8, n_ratings)
    return ct.Ratings(np.arange(n_users), np.arange(n_items), rows, cols, np.clip(np.rint(scores), 1, 5), scale=(1, 5))


def seconds(call):
    start, begin = time.process_time(), time.perf_counter()
    found = call()
    return time.process_time() - start, time.perf_counter() - begin, found


def fitted(model, ratings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # ten passes, whatever is left to gain
        return model.fit(ratings)


def explicit_objective(ratings, mean, b_user, b_item, P, Q):
    """That of `ALS` with biases."""
    residual = ratings.values - mean - b_user[ratings.rows] - b_item[ratings.cols]
    residual -= ct.pair_dots(P.astype(float), Q.astype(float), ratings.rows, ratings.cols)
    penalty = REG * (np.vdot(P, P) + np.vdot(Q, Q)) + BIAS_REG * (b_user @ b_user + b_item @ b_item)
    return float(residual @ residual + penalty)


def implicit_objective(ratings, P, Q):
    """That of `ImplicitALS`."""
    P, Q, c = P.astype(float), Q.astype(float), 1 + CONFIDENCE * ratings.values
    x = ct.pair_dots(P, Q, ratings.rows, ratings.cols)
    unrated = np.vdot(P.T @ P, Q.T @ Q) - x @ x
    return float(unrated + c @ (1 - x) ** 2 + REG * (np.vdot(P, P) + np.vdot(Q, Q)))


def half_step(ratings):
    """One half-step over all users, by the loop to be read and by that of the fits."""
    A, Q = ratings.csr, np.random.default_rng(1).normal(0, 0.3, (ratings.n_items, RANK))
    indptr, indices, values = A.indptr.copy(), A.indices.copy(), A.data.copy()
    ones, base, out = np.ones(len(values)), REG * np.eye(RANK), np.empty((ratings.n_users, RANK))
    ct.solve_rows(indptr[:2], indices[: indptr[1]], ones[: indptr[1]], values[: indptr[1]], Q, base, out[:1])
    ct.ridge_rows(A[:2], Q, REG)
    slow, _, _ = seconds(lambda: ct.solve_rows(indptr, indices, ones, values, Q, base, out))
    fast, _, rows = seconds(lambda: ct.ridge_rows(A, Q, REG))
    print(f"half-step, readable: {slow:.2f} s; ours: {fast:.2f} s, {slow / fast:.2f} times as fast")
    print("rows identical to the bit:", np.array_equal(rows, out))


def ours(ratings):
    """Seconds of our fits by name, with the objective that each reached."""
    how = {"n_factors": RANK, "reg": REG, "n_epochs": PASSES, "tol": 0.0}
    models = {
        "ALS with biases": ct.ALS(biases=True, bias_reg=BIAS_REG, **how),
        "ALS with biases, float32": ct.ALS(biases=True, bias_reg=BIAS_REG, dtype="float32", **how),
        "ALS with biases, two threads": ct.ALS(biases=True, bias_reg=BIAS_REG, n_jobs=2, **how),
        "ImplicitALS": ct.ImplicitALS(confidence=CONFIDENCE, **how),
        "ImplicitALS, float32": ct.ImplicitALS(confidence=CONFIDENCE, dtype="float32", **how),
    }
    small = ct.Ratings.from_matrix([[5, 3], [4, np.nan]], scale=(1, 5))
    for name, model in models.items():
        fitted(type(model)(**model.get_params()), small)  # loops are compiled
        cpu, wall, model = seconds(lambda model=model: fitted(model, ratings))
        print(f"{name}: {cpu:.1f} s CPU, {wall:.1f} s, objective {model.history_[-1]['objective']:.0f}", flush=True)


def by_cmfrec(ratings):
    if importlib.util.find_spec("cmfrec") is None:
        print("cmfrec is not installed")
        return
    import cmfrec

    # its loss is ours: the sum of squares, one penalty for factors and one for biases, none scaled by counts
    penalties = [BIAS_REG, BIAS_REG, REG, REG, 0.0, 0.0]
    peer = cmfrec.CMF(k=RANK, lambda_=penalties, niter=PASSES, nthreads=1, use_float=False, verbose=False)
    cells = ratings.csr.tocoo()
    cpu, wall, _ = seconds(lambda: peer.fit(cells))
    reached = explicit_objective(ratings, peer.glob_mean_, peer.user_bias_, peer.item_bias_, peer.A_, peer.B_)
    print(f"cmfrec, conjugate gradients: {cpu:.1f} s CPU, {wall:.1f} s, objective {reached:.0f}", flush=True)


def by_implicit(ratings):
    if importlib.util.find_spec("implicit") is None:
        print("implicit is not installed")
        return
    from implicit.cpu.als import AlternatingLeastSquares

    peer = AlternatingLeastSquares(
        RANK, regularization=REG, alpha=1.0, iterations=PASSES, num_threads=1, random_state=0, use_cg=True
    )
    confident = ratings.csr.copy()
    confident.data = 1 + CONFIDENCE * confident.data
    cpu, wall, _ = seconds(lambda: peer.fit(confident.astype(np.float32), show_progress=False))
    reached = implicit_objective(ratings, peer.user_factors, peer.item_factors)
    print(f"implicit, conjugate gradients: {cpu:.1f} s CPU, {wall:.1f} s, objective {reached:.0f}", flush=True)


def main():
    ratings = table(int(float(sys.argv[1])) if len(sys.argv) > 1 else 10**7)
    print(ratings)
    with threadpool_limits(1):
        half_step(ratings)
        ours(ratings)
        by_cmfrec(ratings)
        by_implicit(ratings)


if __name__ == "__main__":
    main()
