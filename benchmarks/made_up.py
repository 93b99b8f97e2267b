"""Tables made from a seed for the benchmarks of size: long tails on both sides, tastes of six numbers."""

import json
import sys

import numpy as np

import content_table as ct


def cells(n_ratings, busy, popular, rng):
    """(rows, cols) of n_ratings different cells, drawn by how busy a viewer and how popular a title is."""
    n_users, n_items = len(busy), len(popular)
    drawn = np.zeros(0, dtype=np.int64)
    while len(drawn) < n_ratings:  # repeats are drawn again
        rows = rng.choice(n_users, n_ratings, p=busy / busy.sum())
        more = rows * n_items + rng.choice(n_items, n_ratings, p=popular / popular.sum())
        drawn = np.unique(np.concatenate([drawn, more]))
    return np.divmod(rng.permutation(drawn)[:n_ratings], n_items)


def scores(rows, cols, n_users, n_items, rng):
    """Ratings from 1 to 5 of these cells: what viewer and title bring, the product of their tastes, and noise."""
    P, Q = rng.normal(0, 0.4, (n_users, 6)), rng.normal(0, 0.4, (n_items, 6))
    level = 3.5 + rng.normal(0, 0.4, n_users)[rows] + rng.normal(0, 0.4, n_items)[cols]
    said = level + np.einsum("ij,ij->i", P[rows], Q[cols]) + rng.normal(0, 0.8, len(rows))
    return np.clip(np.rint(said), 1, 5)


def large_table(n_ratings, seed=0):
    """(rows, cols, scores) of the shape of a large shop: 100,000 users and 20,000 titles at ten million ratings, fewer
    of both in proportion to the root of a smaller number."""
    rng = np.random.default_rng(seed)
    share = np.sqrt(n_ratings / 10**7)
    n_users, n_items = int(100_000 * share), int(20_000 * share)
    busy, popular = rng.lognormal(0, 1, n_users), rng.permutation(np.arange(1, n_items + 1) ** -0.7)
    rows, cols = cells(n_ratings, busy, popular, rng)
    return rows.astype(np.int32), cols.astype(np.int32), scores(rows, cols, n_users, n_items, rng)


def table_of(rows, cols, scores):
    """The table of these arrays, with ids counted from 0."""
    return ct.Ratings(np.arange(rows.max() + 1), np.arange(cols.max() + 1), rows, cols, scores, scale=(1, 5))


def run(main, measure):
    """Runs a script by its arguments: `--make PATH N` writes a large table, `--measure PATH NAME` prints what
    `measure` says of it in JSON, both for `common.apart`; anything else is for `main`."""
    if sys.argv[1:2] == ["--make"]:
        np.savez(sys.argv[2], **dict(zip(("rows", "cols", "scores"), large_table(int(sys.argv[3])), strict=True)))
        print("{}")
    elif sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(*sys.argv[2:])))
    else:
        main(*sys.argv[1:])
