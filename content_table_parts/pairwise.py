"""Pairs of titles of which a viewer prefers the first: the stochastic steps of `BPR`."""

import numpy as np

from content_table_parts.solvers import compiled, dot


@compiled(inline="always")
def other_title(draw, liked):
    """The position that stands in the place `draw` among those that are not in `liked`, which rises."""
    low, high = 0, len(liked)
    while low < high:
        middle = (low + high) // 2
        if liked[middle] - middle <= draw:
            low = middle + 1
        else:
            high = middle
    return draw + low


@compiled(inline="always")
def doubt(x):
    """1 / (1 + exp(x)): how much a model that sees x between two titles doubts that the first is preferred."""
    return 1 / (1 + np.exp(x)) if x >= 0 else 1 - 1 / (1 + np.exp(-x))


@compiled()
def bpr_pass(rows, cols, draws, start, liked, b_item, P, Q, eta, reg):
    """One pass, like by like in the order of the arrays: viewer rows[e] likes title cols[e], and not the title that
    draws[e] names among those that they do not like (`other_title`). `start`, `liked` are the rows of likes, sorted.

    A step is eta times the negative gradient of -ln sigma(x) + reg/2 |what it touches|^2, x = b_i - b_j +
    p.(q_i - q_j), from the values before it. Returns the sum of -ln sigma(x), each as its step met it.
    """
    loss = 0.0
    for e in range(len(rows)):
        u, i = rows[e], cols[e]
        j = other_title(draws[e], liked[start[u] : start[u + 1]])
        p, q, o = P[u], Q[i], Q[j]
        x = b_item[i] - b_item[j] + dot(p, q) - dot(p, o)
        s = doubt(x)
        loss += np.log1p(np.exp(-abs(x))) + max(-x, 0.0)
        b_item[i] += eta * (s - reg * b_item[i])
        b_item[j] -= eta * (s + reg * b_item[j])
        for f in range(len(p)):
            p_f, q_f, o_f = p[f], q[f], o[f]
            p[f] = p_f + eta * (s * (q_f - o_f) - reg * p_f)
            q[f] = q_f + eta * (s * p_f - reg * q_f)
            o[f] = o_f - eta * (s * p_f + reg * o_f)
    return loss


@compiled()
def bpr_row(liked, draws, b_item, Q, eta, reg, parts):
    """The steps of `bpr_pass` of one viewer alone, from factors of 0 and with the titles held fixed: a pass for each
    row of `draws` (passes, len(liked)). parts (len(liked), k), 0 before, is what each liked title has added to their
    factors, which are its sum."""
    k, kept = Q.shape[1], 1 - eta * reg
    p, between = np.zeros(k), kept ** len(liked)
    for t in range(len(draws)):
        for e in range(len(liked)):
            i, j = liked[e], other_title(draws[t, e], liked)
            s = doubt(b_item[i] - b_item[j] + dot(p, Q[i]) - dot(p, Q[j]))
            for f in range(k):
                step = eta * s * (Q[i, f] - Q[j, f])
                p[f] = kept * p[f] + step
                parts[e, f] = between * parts[e, f] + step
    for e in range(len(liked)):
        for f in range(k):
            parts[e, f] *= kept ** (len(liked) - 1 - e)
