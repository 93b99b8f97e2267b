"""How fast the compiled passes are: against a plain Python loop, and against scikit-surprise's compiled SVD.

    pip install scikit-surprise==1.1.5      # for this comparison only; it needs a C compiler
    CONTENT_TABLE_DATA=... python benchmarks/sgd.py     # under a minute

All runs on the training part of MovieLens latest-small, in one process, taking turns, the best of several, nothing else
running. The plain loop follows the published notebook: for each rating, NumPy on the augmented vector [q_i, C_i] with
dense content, steps clipped at 5; a second one touches the non-zeros only, as ours does. Ours is timed as a pass in the
order of the file, which is what the loops and Surprise do; as a shuffle and a pass; and as whole fits, with training
and validation error that they record after every pass. Nothing is compiled while a clock runs. Writes results/sgd.json.
"""

import sys
import time

import numpy as np
from common import describe, machine, write_results
from movielens_content import PUBLISHED_CONTENT, load, published_features
from sklearn.base import clone

import content_table as ct
from content_table_parts.solvers import one_pass

N_PYTHON = 5_000  # ratings that the plain loops go through
RANK = 28
EPOCHS = 20
ROUNDS = 15
CLIP = 5.0  # as published: each entry of a step


def best_of_rounds(actions):
    """Smallest seconds of each action of a dict; they take turns, so a slow moment of the machine hits all alike."""
    seconds = dict.fromkeys(actions, np.inf)
    for _ in range(ROUNDS):
        for name, (action, repeats) in actions.items():
            for _ in range(repeats):
                start = time.perf_counter()
                action()
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def python_loop(ratings, content, eta, reg):
    """One pass over the first ratings, as published: P holds both parts of the user vector, content is dense."""
    rng = np.random.default_rng(0)
    mu = ratings.values.mean()
    b_user, b_item = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
    P = rng.normal(0, 0.01, (ratings.n_users, RANK + content.shape[1]))
    Q = rng.normal(0, 0.01, (ratings.n_items, RANK))
    for u, i, value in zip(ratings.rows[:N_PYTHON], ratings.cols[:N_PYTHON], ratings.values[:N_PYTHON], strict=True):
        q = np.concatenate([Q[i], content[i]])
        e = value - (mu + b_user[u] + b_item[i] + P[u] @ q)
        b_user[u] += eta * np.clip(e - reg * b_user[u], -CLIP, CLIP)
        b_item[i] += eta * np.clip(e - reg * b_item[i], -CLIP, CLIP)
        p_old = P[u].copy()
        P[u] += eta * np.clip(e * q - reg * P[u], -CLIP, CLIP)
        Q[i] += eta * np.clip(e * p_old[:RANK] - reg * Q[i], -CLIP, CLIP)


def python_loop_sparse(ratings, content, eta, reg):
    """The same pass, the content weights touched at the non-zeros only."""
    rng = np.random.default_rng(0)
    mu = ratings.values.mean()
    b_user, b_item = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
    P, Q = (rng.normal(0, 0.01, (side, RANK)) for side in ratings.shape)
    W = np.zeros((ratings.n_users, content.shape[1]))
    for u, i, value in zip(ratings.rows[:N_PYTHON], ratings.cols[:N_PYTHON], ratings.values[:N_PYTHON], strict=True):
        where = slice(content.indptr[i], content.indptr[i + 1])
        terms, c = content.indices[where], content.data[where]
        e = value - (mu + b_user[u] + b_item[i] + P[u] @ Q[i] + W[u, terms] @ c)
        b_user[u] += eta * np.clip(e - reg * b_user[u], -CLIP, CLIP)
        b_item[i] += eta * np.clip(e - reg * b_item[i], -CLIP, CLIP)
        p_old = P[u].copy()
        P[u] += eta * np.clip(e * Q[i] - reg * P[u], -CLIP, CLIP)
        Q[i] += eta * np.clip(e * p_old - reg * Q[i], -CLIP, CLIP)
        W[u, terms] += eta * np.clip(e * c - reg * W[u, terms], -CLIP, CLIP)


def compiled_pass(model, ratings, shuffled=True):
    """An action: one pass over all ratings from the fitted model's own parameters, with or without its shuffle."""
    rng, data = np.random.default_rng(0), (ratings.rows, ratings.cols, ratings.values)
    unshuffled = [array.copy() for array in data]
    rest = model.batch_size, model.global_mean_, model._theta(), *model._tables(), model._rate(1), model.reg, model.clip

    def action():
        order = rng.permutation(len(ratings)) if shuffled else None
        one_pass(*((array.take(order) for array in data) if shuffled else unshuffled), *rest)

    action()
    return action


def surprise_fit(ratings, n_epochs):
    """An action: a fit of scikit-surprise's SVD, `n_epochs` passes in the order of the data."""
    from surprise import SVD, Dataset, Reader

    frame = ratings.frame()[["user_id", "item_id", "rating"]]
    trainset = Dataset.load_from_df(frame, Reader(rating_scale=ratings.scale)).build_full_trainset()
    return lambda: SVD(n_factors=RANK, n_epochs=n_epochs, random_state=0).fit(trainset)


def main():
    try:
        import surprise
    except ImportError:
        sys.exit("this comparison needs scikit-surprise: pip install scikit-surprise==1.1.5")
    folder, ratings, train, validation, _ = load()
    features = published_features(folder, ratings)
    sgd = ct.SGDMF(n_factors=RANK, learning_rate=0.005, reg=0.02, n_epochs=EPOCHS, patience=None)
    content = ct.ContentMF(features, **PUBLISHED_CONTENT).set_params(n_epochs=EPOCHS, patience=None, clip=CLIP)
    for model in (sgd, content):
        model.fit(train, validation)  # compiled before any clock starts
    table = features.rows_for(ratings.item_ids)
    dense, eta, reg = table.toarray(), content.learning_rate, content.reg
    seconds = best_of_rounds(
        {
            "loop": (lambda: python_loop(train, dense, eta, reg), 1),
            "loop, non-zeros": (lambda: python_loop_sparse(train, table, eta, reg), 1),
            "content pass in order": (compiled_pass(clone(content).fit(train), train, shuffled=False), 10),
            "content pass": (compiled_pass(clone(content).fit(train), train), 10),
            "content fit": (lambda: content.fit(train, validation), 1),
            "surprise short": (surprise_fit(train, 1), 1),
            "surprise long": (surprise_fit(train, EPOCHS), 1),
            "pass in order": (compiled_pass(clone(sgd).fit(train), train, shuffled=False), 10),
            "pass": (compiled_pass(clone(sgd).fit(train), train), 10),
            "fit": (lambda: sgd.fit(train, validation), 1),
        }
    )
    per_update = {
        "plain Python loop, dense content": seconds["loop"] / N_PYTHON,
        "plain Python loop, non-zeros only": seconds["loop, non-zeros"] / N_PYTHON,
        "ours with content, pass in the order of the file, as the loops": seconds["content pass in order"] / len(train),
        "ours with content, shuffle and pass": seconds["content pass"] / len(train),
        "ours with content, whole fit": seconds["content fit"] / EPOCHS / len(train),
    }
    rates = {name: round(1 / value) for name, value in per_update.items()}
    epochs = {  # of Surprise, the difference of a long and a short fit, so that its set-up cancels
        "scikit-surprise SVD": (seconds["surprise long"] - seconds["surprise short"]) / (EPOCHS - 1),
        "ours without content, pass in the order of the file, as Surprise": seconds["pass in order"],
        "ours without content, shuffle and pass": seconds["pass"],
        "ours without content, whole fit": seconds["fit"] / EPOCHS,
    }
    loop, svd = rates["plain Python loop, dense content"], epochs["scikit-surprise SVD"]
    results = {
        "settings": {
            "command": "python benchmarks/sgd.py",
            "rank": RANK,
            "epochs": EPOCHS,
            "rounds": ROUNDS,
            "surprise": surprise.__version__,
            "machine": machine(),
        },
        "data": describe(ratings, folder / "ratings.csv") | {"n_train": len(train), "terms": len(features.names)},
        "updates_per_second": rates,
        "times_the_plain_loop": {name: round(rate / loop, 1) for name, rate in rates.items()},
        "milliseconds_per_epoch": {name: round(1000 * value, 2) for name, value in epochs.items()},
        "times_surprise": {name: round(svd / value, 1) for name, value in epochs.items()},
    }
    for name in ("updates_per_second", "times_the_plain_loop", "milliseconds_per_epoch", "times_surprise"):
        print(name, results[name])
    write_results("sgd.json", results)


if __name__ == "__main__":
    main()
