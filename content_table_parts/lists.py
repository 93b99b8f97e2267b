"""The lists of many viewers at a time: a fast screen of all titles, and one compiled pass that keeps the best."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from content_table_parts.settings import TIE
from content_table_parts.solvers import compiled, csr_arrays, dot

CELLS = 2_000_000  # scores at a time: 8 or 16 MB, however many users there are
LIMIT = 1e30  # of factors that are multiplied in single precision; beyond, all is scored in double
UNIT = 10.0**TIE
FAINT = 2.0**-48  # above all rounding of a sum of few terms, as a share of them
LONG = 200  # lists from here on are long enough to look first where they end
GROUP = 32  # scores that are held against the last of a list at once
LATER, OFFERED, SEEN = 0, 1, 2  # what a title is to a viewer: not next of its work, may be listed, rated or seen


# ---- One viewer: what may be listed, and the best of it so far -------------------------------------------------------


@compiled()
def _mark(seen, seasons, state, reach):
    """Of the works of which something was seen another season is next; `state` and `reach` come as for nobody."""
    works, reached, start, order, _ = seasons
    for i in seen:
        state[i] = SEEN
        reach[works[i]] = max(reach[works[i]], reached[i])
    for i in seen:
        w = works[i]
        first, at = order[start[w]], start[w] + reach[w] + 1
        if state[first] == OFFERED:
            state[first] = LATER
        while at < start[w + 1] and state[order[at]] == SEEN:
            at += 1
        if at < start[w + 1]:
            state[order[at]] = OFFERED
    for i in seen:
        reach[works[i]] = -1


@compiled(inline="always")
def _is_behind(score, i, other, j):
    """Whether title i stands behind title j in a list: a lower score, or the same and a later position."""
    return score < other or (score == other and i > j)


@compiled()
def _add(value, at, size, score, i):
    """A title joins a heap of so many, whose first entry is the last of the list: it rises from the end."""
    entry = size
    while entry > 0:
        above = (entry - 1) // 2
        if not _is_behind(score, i, value[above], at[above]):
            break
        value[entry], at[entry] = value[above], at[above]
        entry = above
    value[entry], at[entry] = score, i


@compiled()
def _replace_last(value, at, size, score, i):
    """A title in place of the last of the list: it sinks from the first entry of the heap."""
    entry = 0
    while 2 * entry + 1 < size:
        below = 2 * entry + 1
        if below + 1 < size and _is_behind(value[below + 1], at[below + 1], value[below], at[below]):
            below += 1
        if _is_behind(score, i, value[below], at[below]):
            break
        value[entry], at[entry] = value[below], at[below]
        entry = below
    value[entry], at[entry] = score, i


@compiled()
def _write_down(value, at, size, best):
    """The heap as a list, best first; nothing is left of it."""
    for last in range(size - 1, -1, -1):
        best[last] = at[0]
        _replace_last(value, at, last, value[last], at[last])


# ---- Many viewers ----------------------------------------------------------------------------------------------------


@compiled()
def _any_above(screen, gate):
    found = False
    for i in range(len(screen)):
        found |= screen[i] >= gate
    return found


@compiled()
def best_of_block(screen, exact, shift, slack, gates, seen, seasons, best):
    """best[j] = positions of the titles with the highest scores that viewer j may be offered, best first.

    `screen` (m, n) has the scores less `shift` (m,), to within `slack` (m,): what lies further than that below the last
    of a full list is passed by, GROUP at a time, and so is what the screen has below `gates` (m,). Else the score
    itself decides, rounded to TIE decimals as by `np.round`: that of `exact` (see `Screen`), or where that is None of
    the screen. What is not finite is left out, ties go by position.
    """
    if exact is not None:
        (base, level, P, lost), (item_base, item_level, Q, cold) = exact
    (indptr, indices), fresh, n, length = seen, seasons[4], screen.shape[1], best.shape[1]
    state, reach = np.empty(n, dtype=np.int8), np.full(n, -1)
    value, at = np.empty(length), np.empty(length, dtype=np.int64)
    for j in range(len(screen)):
        state[:] = fresh
        _mark(indices[indptr[j] : indptr[j + 1]], seasons, state, reach)
        row, size, gate = screen[j], 0, gates[j]
        for g in range(0, n, GROUP):
            if not _any_above(row[g : g + GROUP], gate):
                continue
            for i in range(g, min(g + GROUP, n)):
                if row[i] < gate or state[i] != OFFERED:
                    continue
                if exact is None:
                    score = row[i]
                elif lost[j] or cold[i]:
                    score = level[j] + item_level[i]
                else:
                    score = (base[j] + item_base[i]) + dot(P[j], Q[i])
                score = np.rint(score * UNIT) / UNIT
                if not np.isfinite(score):
                    continue
                if size < len(value):
                    _add(value, at, size, score, i)
                    size += 1
                elif score > value[0]:
                    _replace_last(value, at, size, score, i)
                if size == len(value):
                    gate = screen.dtype.type(value[0] - shift[j] - slack[j] - FAINT * abs(value[0]))
        _write_down(value, at, size, best[j])


def best_lists(
    block: Callable[[np.ndarray], tuple], rows: np.ndarray, seen: sp.csr_array, seasons: Any, n: int
) -> np.ndarray:
    """(len(rows), n) positions of the best titles of the viewers `rows`, best first; -1 where a list is shorter.

    `block(rows)` gives the first four arguments of `best_of_block` (see `rows_as_they_are` and `Screen.block`), `seen`
    has a row for each of `rows`, `seasons` are `Seasons` of which the next is listed, or None: every title then.
    """
    n_items, best = seen.shape[1], np.full((len(rows), n), -1)
    indptr, indices, _ = csr_arrays(seen)
    order = _in_order(seasons, n_items)
    n_hidden = n_items - len(order[2]) + 1  # the later seasons of each work
    size = max(1, CELLS // n_items)
    for at in range(0, len(rows), size):
        here, own = slice(at, at + size), indptr[at : at + size + 1]
        screen, exact, shift, slack = block(rows[here])
        gates = _gates(screen, slack, n, np.diff(own).max() + n_hidden)
        best_of_block(screen, exact, shift, slack, gates, (own, indices), order, best[here, :n_items])
    return best


def _in_order(seasons, n_items):
    """Seasons as the compiled loops take them: the work of each title and the season reached by who has seen it, where
    each work starts in the titles ordered by season, these, and what each title is to somebody who has seen none."""
    every = np.arange(n_items + 1)  # without seasons each title is a work of its own
    alone = every[:-1], np.zeros(n_items, dtype=np.int64), every, every[:-1]
    works, reached, start, titles = alone if seasons is None else seasons.arrays
    fresh = np.full(n_items, LATER, dtype=np.int8)
    fresh[titles[start[:-1]]] = OFFERED
    return works, reached, start, titles, fresh


def _gates(screen, slack, n, n_hidden):
    """What nothing in a list of n can be screened below, where at most so many titles may not be listed: for long lists
    it saves most of the titles that enter them only to be put out again; for short ones it would take longer."""
    nth = screen.shape[1] - n - n_hidden
    if n < LONG or nth < 0 or not np.abs(screen).max() < LIMIT:
        return np.full(len(screen), -np.inf, dtype=screen.dtype)
    return (np.partition(screen, nth, axis=1)[:, nth] - 2 * slack).astype(screen.dtype)


def rows_as_they_are(row_scores: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], tuple]:
    """The block for models of any kind: their scores of whole rows, which hide nothing."""

    def block(rows):
        scores = np.ascontiguousarray(row_scores(rows), dtype=np.float64)
        return scores, None, np.zeros(len(rows)), np.full(len(rows), 1 / UNIT)

    return block


class Screen:
    """The block for scores of the form intercept + b_u + b_i + p_u . q_i: screened by a product in single precision.

    A row of the product is p_u . q_i + b_i, or for a title that the model does not know what such a title gets, less
    intercept + b_u. With k terms it is off by at most (k + 2) 2^-24 |p| |q|, in whatever order they are added (Accuracy
    and Stability of Numerical Algorithms, SIAM 2002, section 3.1); twice that is allowed for. A title that passes is
    scored by the same sums in the same order as in `predict_cells`, so a list depends on nothing but its own row.

    Parameters
    ----------
    users(rows) : (base, level, P, lost)
        Of these users: intercept + b_u, what a cell that is not known gets instead, the factors, who is not known.
    items : (base, level, Q, cold)
        The same of all items: b_i; what is added to the level of the user, factors, what is not known.
    """

    def __init__(self, users: Callable[[np.ndarray], tuple], items: tuple):
        base, level, Q, cold = items
        self.users, self.items = users, (base, level, np.ascontiguousarray(Q, dtype=np.float64), cold)
        terms = np.where(cold[:, None], 0.0, Q), np.where(cold, level, base)[:, None], cold[:, None]
        terms, lengths = _single(np.hstack(terms))
        self.terms, self.longest = np.ascontiguousarray(terms.T), lengths.max()
        self.room = np.empty((0, len(Q)), dtype=np.float32)  # of the product, the same for all blocks

    def block(self, rows):
        """(screen, exact, shift, slack) of these users, for `best_of_block`."""
        base, level, P, lost = self.users(rows)
        P = np.ascontiguousarray(P, dtype=np.float64)
        terms, lengths = _single(np.hstack([P, np.ones((len(rows), 1)), (level - base)[:, None]]))
        reach = lengths * self.longest
        slack = 1 / UNIT + FAINT * (np.abs(base) + np.abs(level)) + (terms.shape[1] + 2) * 2.0**-23 * reach
        hidden = lost | ~(reach < LIMIT)  # of these the screen says nothing: all is scored
        terms[hidden], slack[hidden] = 0.0, np.inf
        if len(self.room) < len(rows):
            self.room = np.empty((len(rows), self.terms.shape[1]), dtype=np.float32)
        screen = np.matmul(terms, self.terms, out=self.room[: len(rows)])
        return screen, ((base, level, P, lost), self.items), base, slack


def _single(terms):
    """(the terms in single precision, lengths of their rows); a row that is too long for it is 0, its length inf."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(terms, axis=1)
        fits = lengths < LIMIT
    return np.where(fits[:, None], terms, 0.0).astype(np.float32), np.where(fits, lengths, np.inf)
