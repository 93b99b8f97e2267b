"""Stochastic descent and the noise of a rating at a million and ten million ratings, on made-up tables.

    nice -n 3 python benchmarks/scale_sgd.py            # about four minutes, 3 GB

CPU seconds of one process, `peak_mb` its largest memory so far. "loop" is a pass as it was before tiles: all ratings
shuffled, `sgd_epoch`, the training error measured by `predict_pairs`; "ours" is a pass of `SGDMF.fit`, from one row of
`history_` to the next. They take turns; the fastest pass of each counts. "noise" is the first `uncertainty` of somebody
folded in; "one by one" the regressions of `NOISE_VIEWERS` viewers in Python; "exact" is all viewers in the compiled
loop. Nothing is compiled while a clock runs. Growth is that of the time of a rating from each of the two tables of a
million: one as full as that of ten million (0.5 %), and one with as many ratings a viewer, whose factors nearly fit the
cache as they are.
"""

import time

import numpy as np
from common import machine, peak, today, write_results

import content_table as ct
from content_table_parts import newcomers
from content_table_parts.solvers import predict_pairs, sgd_epoch

RANK = 32
SIZES = (1_000_000, 31_600, 6_320), (1_000_000, 10_000, 2_000), (10_000_000, 100_000, 20_000)
ROUNDS, PASSES = 3, 4
SETTINGS = {"n_factors": RANK, "reg": 0.02, "learning_rate": 0.01, "patience": None}
clock = time.process_time


def made_up(n_ratings, m, n, seed=0, rank=8):
    """Ratings of an (m, n) table of that rank, with busy viewers and popular titles, in random order."""
    rng = np.random.default_rng(seed)
    busy, popular = (np.cumsum(rng.lognormal(0, spread, size)) for size, spread in ((m, 0.7), (n, 1.0)))
    draws = [np.searchsorted(side / side[-1], rng.random(int(1.3 * n_ratings))) for side in (busy, popular)]
    rows, cols = np.divmod(rng.permutation(np.unique(draws[0] * n + draws[1]))[:n_ratings], n)
    P, Q = rng.normal(0, 0.35, (m, rank)), rng.normal(0, 0.35, (n, rank))
    level = 3.5 + rng.normal(0, 0.4, m)[rows] + rng.normal(0, 0.4, n)[cols] + ct.pair_dots(P, Q, rows, cols)
    values = np.clip(np.round(2 * (level + rng.normal(0, 0.8, len(rows)))) / 2, 0.5, 5.0)
    return ct.Ratings(np.arange(m), np.arange(n), rows, cols, values, scale=(0.5, 5.0))


def loop_pass(model, ratings, rng):
    """Seconds of a pass as it was, from the fitted model's own parameters."""
    start, theta, tables = clock(), model._theta(), model._tables()
    order = rng.permutation(len(ratings))
    shuffled = (array.take(order) for array in (ratings.rows, ratings.cols, ratings.values))
    sgd_epoch(*shuffled, model.global_mean_, theta, *tables, 0.01, 0.02, np.inf)
    predict_pairs(ratings.rows, ratings.cols, model.global_mean_, theta, *tables)
    return clock() - start


def our_pass(ratings):
    """(Seconds of the fastest pass of a fit, the model)."""
    ends, model = [], ct.SGDMF(n_epochs=PASSES, **SETTINGS)
    model.fit(ratings, watch=lambda *row: ends.append(clock()))
    return np.diff(ends).min(), model


def descent(ratings):
    """Seconds of a pass: (the loop as it was, ours)."""
    loops, ours, rng = [], [], np.random.default_rng(0)
    for _ in range(ROUNDS):
        seconds, model = our_pass(ratings)
        ours.append(seconds)
        loops += [loop_pass(model, ratings, rng) for _ in range(2)]
    return min(loops), min(ours)


def noise(ratings):
    """Prints and returns the seconds of the noise of ALS, and how far that of a draw of viewers is from that of all."""
    model = ct.ALS(RANK, biases=True, n_epochs=1, tol=0).fit(ratings)
    table = ratings.csr
    start = clock()
    model.fold_in({0: 4.0, 1: 3.0}).uncertainty([7])
    first = clock() - start
    few = table[np.arange(min(newcomers.NOISE_VIEWERS, ratings.n_users))]
    every = table[np.arange(ratings.n_users)]  # a copy, as the loop was compiled for; the table itself is read-only
    start = clock()
    newcomers._squares_one_by_one(model, few)
    by_hand, start = clock() - start, clock()
    exact = np.sqrt(newcomers._squares_together(model, every) / table.nnz)
    row = {"first": first, "one_by_one": by_hand, "exact": clock() - start, "off_by": model.noise() / exact - 1}
    told = f"noise: first viewer {first:.2f} s, {few.shape[0]:,} viewers one by one {by_hand:.2f} s"
    print(f"{told}, exact {row['exact']:.2f} s; off by {row['off_by']:+.1e}")
    return row


def main():
    small = made_up(20_000, 200, 400)
    ct.SGDMF(n_epochs=1, **SETTINGS).fit(small).rmse(small)
    ct.ALS(2, biases=True, n_epochs=1, tol=0).fit(small).noise()
    rows = []
    for size in SIZES:
        ratings = made_up(*size)
        loop, ours = descent(ratings)
        print(ratings)
        print(f"pass: loop {loop:.3f} s, ours {ours:.3f} s, ours / loop {ours / loop:.2f}, peak_mb {peak():.0f}")
        row = dict(zip(("n_ratings", "n_users", "n_items"), size, strict=True)) | {"loop": loop, "ours": ours}
        rows.append(row | {"MB": peak(), "noise": noise(ratings)})
    for row in rows[:-1]:
        row["growth"] = {
            way: rows[-1][way] / rows[-1]["n_ratings"] / (row[way] / row["n_ratings"]) for way in ("loop", "ours")
        }
        loop, ours = row["growth"].values()
        where = f"{row['n_users']:,} x {row['n_items']:,}"
        print(f"growth of the time of a rating from {where}: loop {loop:.2f}, ours {ours:.2f}")
    settings = {"command": "python benchmarks/scale_sgd.py", "rank": RANK, "machine": machine(), "date": today()}
    write_results("scale_sgd.json", {"settings": settings, "rows": rows})


if __name__ == "__main__":
    main()
