"""Lists of ten for 100,000 users of 20,000 titles, 32 factors: users a second now, as it was before, and by `implicit`.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scale_topn.py     # under a minute

Factors and biases are random numbers from a seed, and so are about ten known ratings a user, which no list may hold.
All lists are written as Parquet first, and the peak memory that adds is told. Then of each way the median of several
turns is taken, in processor seconds of one thread, all in one run: one after the other in each turn, so that a slow
moment of the machine is one for all. `before` is the loop of 0.3.0 over users, kept here alone; `implicit`, where it is
installed, gets the same scores as factors in single precision and leaves out the same titles.
"""

import importlib.util
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from common import machine, peak, today, write_results
from threadpoolctl import threadpool_limits

import content_table as ct

N_USERS, N_ITEMS, RANK, N_KNOWN, N = 100_000, 20_000, 32, 10, 10
TURNS, USERS_BEFORE, USERS_NOW = 5, 1_000, 10_000  # in a turn


def table(rng):
    """About `N_KNOWN` ratings of each user, of titles at random."""
    cells = np.arange(N_USERS)[:, None] * N_ITEMS + rng.integers(0, N_ITEMS, (N_USERS, N_KNOWN))
    rows, cols = np.divmod(np.unique(cells), N_ITEMS)
    titles = [f"title {at}" for at in range(N_ITEMS)]
    return ct.Ratings(np.arange(N_USERS), np.arange(N_ITEMS), rows, cols, rng.integers(1, 11, len(rows)), titles=titles)


def made_up(ratings, rng):
    """A model as it would be after a fit, with factors from the seed."""
    model = ct.ALS(n_factors=RANK, biases=True)
    model.ratings_, model.global_mean_, model.history_ = ratings, 7.0, []
    model.user_bias_, model.item_bias_ = (rng.normal(0, 0.5, side) for side in ratings.shape)
    model.user_factors_, model.item_factors_ = (rng.normal(0, 0.4, (side, RANK)) for side in ratings.shape)
    return model


def before(model, rows):
    """The lists as 0.3.0 made them: all scores of a block in double precision, then user by user in NumPy."""
    seen, best = model.ratings_.known, np.full((len(rows), N), -1)
    block = 2_000_000 // N_ITEMS
    for at in range(0, len(rows), block):
        some = rows[at : at + block]
        for top, row, score in zip(best[at : at + block], some, model.predict_rows(some), strict=True):
            score[seen.indices[seen.indptr[row] : seen.indptr[row + 1]]] = -np.inf
            order = ct.best_positions.unchecked(score, N)
            top[: len(order)] = order
    return best


def by_implicit(model):
    """The lists of `implicit`, as a function of the users; None where it is not installed."""
    if importlib.util.find_spec("implicit") is None:
        return None
    from implicit.cpu.als import AlternatingLeastSquares

    peer = AlternatingLeastSquares(factors=RANK + 1, num_threads=1)
    ones = np.ones((N_USERS, 1))
    peer.user_factors = np.hstack([model.user_factors_, ones]).astype(np.float32)
    peer.item_factors = np.hstack([model.item_factors_, model.item_bias_[:, None]]).astype(np.float32)
    known = sp.csr_matrix(model.ratings_.known)  # implicit takes no sparse arrays

    def lists(rows):
        parts = (rows[at : at + 1000] for at in range(0, len(rows), 1000))
        return np.vstack([peer.recommend(part, known[part], N=N, filter_already_liked_items=True)[0] for part in parts])

    return lists


def seconds(call, *given):
    start = time.process_time()
    found = call(*given)
    return time.process_time() - start, found


def speeds(ways, rng):
    """Users a second of each way, the median of `TURNS`, and the lists of the last turn."""
    rates, lists = {name: [] for name in ways}, {}
    for turn in range(TURNS + 1):
        rows = rng.permutation(N_USERS)[:USERS_NOW]
        for name, way in ways.items():
            own = rows[:USERS_BEFORE] if name == "before" else rows
            took, lists[name] = seconds(way, own)
            if turn > 0:  # in the first one loops are compiled and memory is first touched
                rates[name].append(len(own) / took)
    return {name: statistics.median(rate) for name, rate in rates.items()}, lists


def written(model):
    """(seconds, MB of peak memory added, MB of the file) of all lists as Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lists.parquet"
        held = peak()
        took, _ = seconds(lambda: ct.write_lists(model, path, n=N, one_per_work=False))
        return took, peak() - held, path.stat().st_size / 2**20


def main():
    rng = np.random.default_rng(0)
    ratings = table(rng)
    model = made_up(ratings, rng)
    ways = {"before": lambda rows: before(model, rows), "now": lambda rows: model.top_items(rows, N)}
    if (peer := by_implicit(model)) is not None:
        ways["implicit"] = peer
    with threadpool_limits(1):
        model._lists(np.arange(1000), N, None, False, True)  # loops are compiled, names are looked up
        took, added, size = written(model)
        rates, lists = speeds(ways, rng)
    print(f"all {N_USERS:,} lists as Parquet: {took:.1f} s, {N_USERS / took:,.0f} users a second, {size:.1f} MB;")
    print(f"peak memory grew by {added:.1f} MB")
    for name, rate in rates.items():
        print(f"{name}: {rate:,.0f} users a second; before: {rate / rates['before']:.2f} times")
    identical = bool(np.array_equal(lists["now"][:USERS_BEFORE], lists["before"]))
    print("now and before, identical lists:", identical)
    if peer is None:
        print("implicit is not installed")
    else:
        same = (lists["now"] == lists["implicit"]).all(axis=1).mean()
        print(f"now: {rates['now'] / rates['implicit']:.2f} times implicit, which has {same:.2%} of the lists")
    settings = {"command": "python benchmarks/scale_topn.py", "machine": machine(), "date": today()}
    written_row = {"users_a_second": N_USERS / took, "MB_added": added, "file_MB": size}
    results = {"settings": settings, "written": written_row, "users_a_second": rates, "identical": identical}
    write_results("scale_topn.json", results)


if __name__ == "__main__":
    main()
