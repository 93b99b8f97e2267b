"""A fitted model that grows: customers kept after a fold-in, ratings added or changed, and the rows that these touch
solved again. Both make a new model; nothing of the old one changes."""

import copy
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from content_table_parts.files import TitlesOnly, axes_of, fitted_parts
from content_table_parts.newcomers import Viewer
from content_table_parts.ratings import Ratings
from content_table_parts.settings import check_fitted, check_kind, shown
from content_table_parts.solvers import BLAS, warn_caller
from content_table_parts.tables import load_table


def add_viewer(model: Any, viewer: Viewer, user: Any, name: str | None = None) -> Any:
    """See `Recommender.add`."""
    table = training_table(model, "add")
    check_kind("viewer", viewer, Viewer, "a Viewer, as fold_in gives it")
    if viewer.model is not model:
        raise ValueError(f"viewer was folded into another model: got {viewer.model!r}, not this one; fold in again.")
    if viewer.row is not None:
        known = shown(table.user_ids[viewer.row].item())
        raise ValueError(f"viewer must be somebody new, got {known} of the training part; update changes ratings.")
    _check_new_id(table, user)
    check_kind("name", name, (str, type(None)), "a text or None")
    if name is not None and (name in table._positions[0] or (table.user_names == name).any()):
        raise ValueError(f"name must be nobody else's, got {shown(name)}, which is known already.")
    nobody = np.zeros(len(viewer.at), dtype=np.intp)
    names = None if name is None else np.array([name])
    own = Ratings(np.array([user]), table.item_ids, nobody, viewer.at, viewer.values, table.scale, user_names=names)
    told = {"added": len(own), "replaced": 0, "unchanged": 0, "left_out": len(np.setdiff1d(viewer.seen, viewer.at))}
    return _grown(model, table.updated(own), np.array([table.n_users]), np.zeros(0, dtype=np.intp), told)


def update_model(model: Any, ratings: Ratings | pd.DataFrame) -> Any:
    """See `Recommender.update`."""
    table = training_table(model, "update")
    _check_half_steps(model)
    check_kind("ratings", ratings, (Ratings, pd.DataFrame), "Ratings or a DataFrame with a row for each rating")
    read = ratings if isinstance(ratings, Ratings) else load_table(ratings, scale=table.scale, repeats="last")
    newer = read.restrict(read.user_counts > 0, read.item_counts > 0)  # a part of a table lists everybody
    merged = table.updated(newer)
    placed = newer.within(merged)
    before = pd.Series(table.values, index=table.rows * merged.n_items + table.cols)
    before = before.reindex(placed.rows * merged.n_items + placed.cols).to_numpy()
    added, same = np.isnan(before), before == placed.values
    told = {"added": added.sum(), "replaced": (~added & ~same).sum(), "unchanged": same.sum()}
    told["left_out"] = 0 if read is ratings else len(ratings) - len(read)
    touched = np.unique(placed.rows[~same]), np.unique(placed.cols[~same])
    return _grown(model, merged, *touched, told)


def training_table(model, what):
    """The training ratings of a model that has them."""
    table = check_fitted("model", model)
    if isinstance(table, TitlesOnly):
        raise ValueError(f"{what} needs the training ratings, and this model was {table.origin}.")
    return table


def _check_half_steps(model):
    """Refuse a model, or one made of such, of which no row can be solved again while the others stay."""
    if model.half_steps == "none":
        raise ValueError(
            f"{type(model).__name__} has no rows that can be solved again one by one; fit it again (add works)."
        )
    for part in fitted_parts(model).values():
        _check_half_steps(part)


def _check_new_id(table, user):
    """Refuse an id that is known, or of another kind than those of the table."""
    numbers = (int, float, np.integer, np.floating)
    one = isinstance(user, (str, *numbers)) and not isinstance(user, bool)
    kind = np.asarray(user).dtype.kind if one else None
    if kind != table.user_ids.dtype.kind or (kind == "f" and not np.isfinite(user)):
        like = table.user_ids[:1].tolist()
        raise TypeError(f"user must be an id like those of the table, such as {like}, got {shown(user)}.")
    if user in table._positions[0]:
        raise ValueError(f"user must be a new id, got {shown(user)}, which is known already; update changes ratings.")


# ---- The copy that grows ---------------------------------------------------------------------------------------------


def _grown(model, table, rows, cols, told):
    """A copy of the model on the ratings `table`: what they have new begins at its `_blank`, then the viewers `rows`
    are solved again, the titles `cols` where the class solves titles, and with these the viewers once more."""
    _warn_of_lost_context(model, table)
    grown = _extended(model, table)
    cols = _solved_titles(grown, cols)
    told = {"users": np.sum(rows < model.ratings_.n_users), "new_users": table.n_users - model.ratings_.n_users} | told
    told |= {"titles": np.sum(cols < model.ratings_.n_items), "new_titles": table.n_items - model.ratings_.n_items}
    with BLAS.limit(limits=1, user_api="blas"):
        _solve(grown, rows, cols, {name: int(count) for name, count in told.items()})
    return grown


def _warn_of_lost_context(model, table):
    """Say which columns of the context, read by the model or one that it is made of, the new ratings do not have."""
    if lost := [name for name in _context_read(model) if name not in table.context]:
        warn_caller(
            f"the new ratings have no context {lost}, which the model has learnt from, so ratings_ has none either: "
            "predictions stay, but this model cannot score ratings_, nor be fitted to it; update takes Ratings with it."
        )


def _context_read(model):
    """Columns of the context that a model, or one that it is made of, has learnt from and its ratings have."""
    own = [name for name in getattr(model, "context", ()) if name in model.ratings_.context]
    return list(dict.fromkeys(own + [name for part in fitted_parts(model).values() for name in _context_read(part)]))


def _extended(model, table):
    """A copy of a model, with rows for the users and items of `table` that it has not met."""
    users, items = table.user_ids[model.ratings_.n_users :], table.item_ids[model.ratings_.n_items :]
    if len(items) and model._solved(1) is None:
        raise ValueError(
            f"{type(model).__name__} weighs the titles it was fitted to, and ratings has {len(items)} that it has not "
            f"met, got {shown(items[:3].tolist())}; fit it again, or leave them out: "
            "ratings.within(model.ratings_, unknown='skip')."
        )
    grown = copy.copy(model)
    grown.ratings_, grown.item_counts_ = table, model._item_counts
    for name, part in fitted_parts(model).items():
        setattr(grown, name, _extended(part, table))
    for name, value in vars(grown).items():
        axes = axes_of(type(model), name) if name.endswith("_") else ""
        for axis, ids in ((axes.find("m"), users), (axes.find("n"), items)):
            if axis >= 0 and axes != "nn" and hasattr(value, "shape"):  # "nn": pairs of titles, none of them new
                value = _longer(model, name, value, axis, ids)
        setattr(grown, name, value)
    vars(grown).pop("noise_", None)  # of the ratings as they were; computed anew when it is asked for
    return grown


def _longer(model, name, value, axis, ids):
    """A learnt array with entries for the new `ids` at the end of an axis; a copy, also where there are none."""
    shape = tuple(len(ids) if at == axis else length for at, length in enumerate(value.shape))
    block = model._blank(name, shape, ids)
    if sp.issparse(value):
        return sp.csr_array(sp.vstack([value, sp.csr_array(block)]))
    return np.concatenate([value, block.astype(value.dtype)], axis=axis)


# ---- Rows solved again -----------------------------------------------------------------------------------------------


def _solved_titles(model, cols):
    """Which of the touched titles are solved again: all where the class does that, else those not learnt so far."""
    if parts := fitted_parts(model):
        return reduce(np.union1d, [_solved_titles(part, cols) for part in parts.values()])
    if model._solved(1) is None:
        return cols[:0]
    return cols if model.half_steps == "both" else cols[model.item_counts_[cols] == 0]


def _solve(model, rows, cols, told):
    """Solve the touched rows of a model and of the models that it is made of, and note down what was done."""
    for part in fitted_parts(model).values():
        _solve(part, rows, _solved_titles(part, cols), told)
    _solve_side(model, 0, rows)
    if len(cols):
        _solve_side(model, 1, cols)
        model.item_counts_[cols] = model.ratings_.item_counts[cols]
        _solve_side(model, 0, rows)
    model._settle(rows, cols)
    model.updates_ = [*getattr(model, "updates_", []), told]


def _solve_side(model, axis, positions):
    """Put the regression of each of these viewers (axis 0) or titles (axis 1) in the place of what was learnt."""
    arrays, table = model._solved(axis), model.ratings_.csc if axis else model.ratings_.csr
    for row in positions.tolist() if arrays else []:
        known = slice(table.indptr[row], table.indptr[row + 1])
        at = table.indices[known].astype(np.intp)
        fold = model._newcomer(axis, at, model._unexplained(axis, row, at, table.data[known]))
        x = fold.solve @ fold.target
        for array in arrays:
            array[row], x = x[: array[row].size].reshape(array[row].shape), x[array[row].size :]
