"""What one core does in a second: the figures behind an estimate of a system far larger than this machine.

    CONTENT_TABLE_DATA=... python benchmarks/throughput.py     # under a minute

All on MovieLens latest-small, real ratings, one core, the best of several turns, nothing else running: a pass of SGD
over the ratings in file order, a pass of ALS (all users, then all items), a ridge regression for one new viewer
with 100 ratings, and the scores of 15,000 titles for one viewer with the ten best picked. Factors of this small set fit
the processor's cache; those of a large one do not, so an estimate made from these figures is a hopeful one. Writes
results/throughput.json.
"""

import numpy as np
import scipy.sparse as sp
from common import describe, machine, real_data, write_results
from sgd import best_of_rounds, compiled_pass

import content_table as ct

RANKS = (10, 50)
N_RATINGS, N_TITLES = 100, 15_000  # of the viewer who is folded in; in the catalogue of the list


def als_pass(ratings, Q):
    by_user, by_item = ratings.csr, sp.csr_array(ratings.csc.T)
    return lambda: ct.ridge_rows(by_item, ct.ridge_rows(by_user, Q, 5.0), 5.0)


def fold_in(rng, rank):
    """An action: the factors of one viewer from their ratings, with the factors of all titles at hand."""
    Q = rng.normal(0, 0.1, (N_TITLES, rank))
    cols = np.sort(rng.choice(N_TITLES, N_RATINGS, replace=False))
    row = sp.csr_array((rng.uniform(1, 5, N_RATINGS), cols, [0, N_RATINGS]), shape=(1, N_TITLES))
    return lambda: ct.ridge_rows(row, Q, 5.0)


def top_ten(rng, rank):
    p, Q = rng.normal(size=rank), rng.normal(size=(N_TITLES, rank))
    return lambda: np.argpartition(-(Q @ p), 10)[:10]


def main():
    path = real_data("ml-latest-small", "ratings.csv")
    ratings, rng, rows = ct.load_ratings(path), np.random.default_rng(0), {}
    for rank in RANKS:
        sgd = ct.SGDMF(n_factors=rank, learning_rate=0.005, n_epochs=1, patience=None).fit(ratings)
        actions = {
            "SGD pass": (compiled_pass(sgd, ratings, shuffled=False), 5),
            "ALS pass": (als_pass(ratings, rng.normal(0, 0.1, (ratings.n_items, rank))), 2),
            "one viewer folded in": (fold_in(rng, rank), 50),
            "one list of ten": (top_ten(rng, rank), 50),
        }
        for action, _ in actions.values():
            action()  # compiled before any clock starts
        seconds = best_of_rounds(actions)
        rows[f"rank {rank}"] = {
            "SGD, ratings a second": int(round(len(ratings) / seconds["SGD pass"], -3)),
            "ALS, ratings a second": int(round(len(ratings) / seconds["ALS pass"], -3)),
            "one viewer folded in, microseconds": round(1e6 * seconds["one viewer folded in"]),
            "one list of ten, microseconds": round(1e6 * seconds["one list of ten"]),
        }
        print(f"rank {rank}:", rows[f"rank {rank}"])
    settings = {"command": "python benchmarks/throughput.py", "machine": machine()}
    settings |= {"ratings_folded_in": N_RATINGS, "titles": N_TITLES}
    write_results("throughput.json", {"settings": settings, "data": describe(ratings, path), "one_core": rows})


if __name__ == "__main__":
    main()
