"""Lesson 13: viewers whom the model has not met. Experiments on them, the figures, and the quizzes."""

import numpy as np
import pandas as pd
from sklearn.base import clone

import content_table as ct

# ---- Viewers set aside: how good is a fold-in after so many ratings, and which titles to ask for? --------------------


def set_aside(ratings, share=0.2, least=25, held_out=5, random_state=0):
    """(training part without the new viewers, their rows, what they may tell, what is asked of the prediction).

    `share` of the viewers with `least` ratings or more are new: all their ratings leave the training part, `held_out`
    of each at random are to be predicted, and the others, in random order, may be told.
    """
    rng = np.random.default_rng(random_state)
    counts = np.bincount(ratings.rows, minlength=ratings.n_users)
    busy = rng.permutation(np.flatnonzero(counts >= least))
    new = np.sort(busy[: max(1, round(share * len(busy)))])
    told, asked = {}, {}
    for row in new:
        own = rng.permutation(np.flatnonzero(ratings.rows == row))
        asked[row], told[row] = own[:held_out], own[held_out:]
    return ratings.part(~np.isin(ratings.rows, new)), new, told, asked


def _pairs(ratings, entries):
    return {ratings.item_ids[ratings.cols[e]].item(): ratings.values[e].item() for e in entries}


def _squared_errors(viewer, ratings, entries):
    """Squared errors of clipped predictions."""
    predicted = np.clip(viewer.scores[ratings.cols[entries]], *ratings.scale)
    return (predicted - ratings.values[entries]) ** 2


def cold_start(models, ratings, counts=(0, 1, 2, 3, 5, 8, 12, 16, 20), n_splits=5, held_out=5, share=0.2):
    """Clipped held-out RMSE of new viewers after so many ratings were folded in: model, split, ratings, rmse, n_train,
    n_test.

    Only viewers with at least max(counts) + held_out ratings can be new, the same ones for every count.
    """
    rows = []
    for split in range(n_splits):
        train, new, told, asked = set_aside(ratings, share, max(counts) + held_out, held_out, split)
        for name, model in models.items():
            fitted = clone(model).fit(train)
            for count in counts:
                squares = [
                    _squared_errors(fitted.fold_in(_pairs(ratings, told[row][:count])), ratings, asked[row])
                    for row in new
                ]
                rmse = float(np.sqrt(np.mean(np.concatenate(squares))))
                sizes = {"n_train": len(train), "n_test": held_out * len(new)}
                rows.append({"model": name, "split": split, "ratings": count, "rmse": rmse} | sizes)
    return pd.DataFrame(rows)


def against_refit(models, ratings, n_splits=5, least=15, held_out=5, share=0.2):
    """Fold-in beside a fit that has learnt from the new viewers too: held-out clipped RMSE of both, for each split."""
    rows = []
    for split in range(n_splits):
        train, new, told, asked = set_aside(ratings, share, least, held_out, split)
        hidden = np.concatenate([asked[row] for row in new])
        whole = ratings.part(np.setdiff1d(np.arange(len(ratings)), hidden))
        for name, model in models.items():
            fitted, refitted = clone(model).fit(train), clone(model).fit(whole)
            folded = [_squared_errors(fitted.fold_in(_pairs(ratings, told[r])), ratings, asked[r]) for r in new]
            row = {"model": name, "split": split, "fold_in": float(np.sqrt(np.mean(np.concatenate(folded))))}
            row["refit"] = ct.rmse(refitted, ratings.part(hidden), clip=True)
            rows.append(row | {"n_train": len(train), "n_test": len(hidden)})
    return pd.DataFrame(rows)


def coverage(model, ratings, counts=(0, 2, 5, 10, 20), n_splits=5, held_out=5, share=0.2, z=1.2816):
    """Share of the new viewers' held-out ratings within `z` standard deviations of the prediction (80 % if they are
    right), and the mean standard deviation from few ratings alone."""
    rows = []
    for split in range(n_splits):
        train, new, told, asked = set_aside(ratings, share, max(counts) + held_out, held_out, split)
        fitted = clone(model).fit(train)
        for count in counts:
            inside, open_ = [], []
            for row in new:
                viewer = fitted.fold_in(_pairs(ratings, told[row][:count]))
                ids = ratings.item_ids[ratings.cols[asked[row]]]
                away = np.abs(viewer.predict(ids) - ratings.values[asked[row]])
                inside.append(away <= z * viewer.uncertainty(ids, of_a_rating=True))
                open_.append(viewer.uncertainty(ids))
            rows.append({"ratings": count, "inside": np.mean(inside), "uncertainty": np.mean(open_)})
    return pd.DataFrame(rows).groupby("ratings").mean()


# ---- Which titles to ask for first -----------------------------------------------------------------------------------


def asking_orders(model, n=40, random_state=0):
    """Orders in which a new viewer could be asked for titles, as columns of the training table: {name: positions}.

    popular: the most rated first. divisive: the largest variance of ratings first (ten ratings or more). popular and
    divisive: by variance times the root of the count. informative: greedy, the title whose rating would lower the mean
    uncertainty over the catalogue most (no rating is needed to know that). random.
    """
    ratings = model.ratings_
    counts = np.bincount(ratings.cols, minlength=ratings.n_items)
    means = np.bincount(ratings.cols, ratings.values, ratings.n_items) / np.maximum(counts, 1)
    spread = np.bincount(ratings.cols, (ratings.values - means[ratings.cols]) ** 2, ratings.n_items)
    spread = np.where(counts >= 10, spread / np.maximum(counts, 1), 0.0)
    known = np.flatnonzero(counts)
    return {
        "popular": np.argsort(-counts, kind="stable")[:n],
        "divisive": np.argsort(-spread, kind="stable")[:n],
        "popular and divisive": np.argsort(-spread * np.sqrt(counts), kind="stable")[:n],
        "informative": informative_order(model, n),
        "random": np.random.default_rng(random_state).permutation(known)[:n],
    }


def informative_order(model, n, candidates=None):
    """Greedy A-optimal design: each next title lowers the mean variance of the predictions over the catalogue most.

    For prediction z.x with prior covariance S = diag(1 / penalty) and noise of variance 1, a rating of title j turns S
    into S - S z_j z_j' S / (1 + z_j' S z_j).
    """
    offset, blocks, penalty = model._half(0, np.zeros(1, dtype=int))
    del offset
    Z, S = np.hstack(blocks), np.diag(1 / penalty)
    left = np.ones(len(Z), dtype=bool)
    if candidates is not None:
        left[:] = False
        left[candidates] = True
    order = []
    while len(order) < n and left.any():
        SZ = S @ Z.T  # (k, n)
        gain = ((Z @ SZ) ** 2).mean(axis=0) / (1 + (Z * SZ.T).sum(axis=1))
        best = int(np.argmax(np.where(left, gain, -1.0)))
        order.append(best)
        left[best] = False
        S = S - np.outer(SZ[:, best], SZ[:, best]) / (1 + Z[best] @ SZ[:, best])
    return np.array(order)


def asking(model, ratings, questions=(0, 5, 10, 20, 40), n_splits=5, held_out=5, share=0.2, least=25, answers=None):
    """Held-out error of new viewers after so many questions in each order: order, split, questions, answered, rmse.

    A viewer answers only for titles that they rated (held-out ones are not told), unless `answers`, a (m, n) table of
    what everybody would say about everything, is given: something only a simulation has.
    """
    rows = []
    for split in range(n_splits):
        train, new, told, asked = set_aside(ratings, share, least, held_out, split)
        fitted = clone(model).fit(train)
        for name, order in asking_orders(fitted, max(questions), split).items():
            for count in questions:
                squares, answered = [], []
                for row in new:
                    own = {ratings.cols[e]: ratings.values[e] for e in told[row]}
                    if answers is not None:
                        hidden = set(ratings.cols[asked[row]].tolist())
                        own = {col: answers[row, col] for col in order if col not in hidden}
                    said = {ratings.item_ids[c].item(): float(own[c]) for c in order[:count] if c in own}
                    squares.append(_squared_errors(fitted.fold_in(said), ratings, asked[row]))
                    answered.append(len(said))
                rmse = float(np.sqrt(np.mean(np.concatenate(squares))))
                rows.append({"order": name, "split": split, "questions": count, "answered": np.mean(answered),
                             "rmse": rmse, "n_train": len(train), "n_test": held_out * len(new)})  # fmt: skip
    return pd.DataFrame(rows)
