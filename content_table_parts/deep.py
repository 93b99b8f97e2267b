"""A network of ReLUs on two embeddings: its scores, its gradient, and the steps of Adam that `DeepMF` is fitted by.

Products of matrices are written out, in vectors and always in the same order: those of a BLAS differ in their last
digits from processor to processor, and thousands of steps would carry that to the first ones.
"""

from itertools import pairwise

import numpy as np

from content_table_parts.pairwise import doubt, other_title
from content_table_parts.settings import check_number, shown
from content_table_parts.solvers import adam_step, check_memory, compiled, dot
from content_table_parts.vectors import BITS, load, plus, store

WIDE = BITS // 64  # numbers of a vector
BLOCK = 512  # pairs scored in one go
NEW_STEPS, NEW_STEP = 100, 0.05  # of somebody new: how many, and how long the first is; they shorten to nothing


def layer_sizes(n_factors: int, hidden: tuple[int, ...]) -> np.ndarray:
    """How many numbers each layer has: [p, q], the hidden ones, the score."""
    if not isinstance(hidden, (tuple, list)):
        raise TypeError(f"hidden must be a tuple of the units of each hidden layer, as (32, 16), got {shown(hidden)}.")
    for units in hidden:
        check_number("hidden", units, low=1, whole=True)
    widest = max(n_factors, *hidden, 1)
    check_memory((2, 1 + len(hidden), widest, widest), f"DeepMF with n_factors={n_factors} and hidden={shown(hidden)}")
    return np.array([2 * int(n_factors), *hidden, 1], dtype=np.int64)


def n_weights(sizes: np.ndarray) -> int:
    """How many weights a network of these layers has, b among them."""
    return sum((int(inputs) + 1) * int(units) for inputs, units in pairwise(sizes))


def network_layers(network: np.ndarray, sizes: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """[(W (inputs, units), b (units,)), ...] of a network, as views."""
    found, at = [], 0
    for inputs, units in pairwise(sizes):
        table = network[at : at + (inputs + 1) * units].reshape(inputs + 1, units)
        found.append((table[:-1], table[-1]))
        at += table.size
    return found


def first_numbers(n_rows: int, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All that is learnt, one after the other: P and Q from N(0, 0.1^2), then of each layer W from N(0, 2 / inputs),
    and b, 0."""
    parts = [rng.normal(0.0, 0.1, n_rows * sizes[0] // 2)]
    for inputs, units in pairwise(sizes):
        parts += [rng.normal(0.0, np.sqrt(2 / inputs), inputs * units), np.zeros(units)]
    return np.concatenate(parts)


# ---- The network, many pairs at a time -------------------------------------------------------------------------------
#
# z and d (layers + 1, pairs, wide) are what each layer is given, [p, q] first, and the slopes of the score by it; W and
# Wt (layers, wide, wide) its table with b as the last row, and the transposed without b. What is beyond a layer is 0.


def workspace(sizes: np.ndarray, n_pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """(z and d, W and Wt) for so many pairs at a time."""
    wide = -(-(int(sizes.max()) + 1) // WIDE) * WIDE
    check_memory((2, len(sizes), n_pairs, wide), "DeepMF's n_negatives, in a step of batch_size likes,")
    return np.zeros((2, len(sizes), -(-n_pairs // 4) * 4, wide)), np.zeros((2, len(sizes) - 1, wide, wide))


@compiled(error_model="numpy")
def add_products(out, A, B, rows, inner, cols):
    """out += A B, four rows by a vector at a time; so many rows and columns as there are, and some beside them."""
    for r in range(0, rows, 4):
        for o in range(0, cols, WIDE):
            y0, y1, y2, y3 = load(out, (r, o)), load(out, (r + 1, o)), load(out, (r + 2, o)), load(out, (r + 3, o))
            for i in range(inner):
                x = load(B, (i, o))
                y0, y1 = plus(y0, A[r, i], x), plus(y1, A[r + 1, i], x)
                y2, y3 = plus(y2, A[r + 2, i], x), plus(y3, A[r + 3, i], x)
            store(out, (r, o), y0), store(out, (r + 1, o), y1), store(out, (r + 2, o), y2), store(out, (r + 3, o), y3)


@compiled()
def fill_tables(network, sizes, W, Wt):
    """W and Wt of a network."""
    at = 0
    for layer in range(len(sizes) - 1):
        for i in range(sizes[layer] + 1):
            for o in range(sizes[layer + 1]):
                W[layer, i, o] = network[at]
                if i < sizes[layer]:
                    Wt[layer, o, i] = network[at]
                at += 1


@compiled()
def forward(n_pairs, sizes, W, z):
    """All layers of z from the first; the last has no ReLU, and its first column the scores."""
    last = len(sizes) - 1
    for layer in range(last):
        inputs, units = sizes[layer], sizes[layer + 1]
        z[layer, :n_pairs, inputs] = 1.0
        z[layer + 1, :n_pairs] = 0.0
        add_products(z[layer + 1], z[layer], W[layer], n_pairs, inputs + 1, units)
        if layer + 1 < last:
            for r in range(n_pairs):
                for o in range(units):
                    z[layer + 1, r, o] = max(z[layer + 1, r, o], 0.0)


@compiled()
def backward(n_pairs, sizes, Wt, z, d):
    """All layers of d from the last, by the chain rule."""
    for layer in range(len(sizes) - 2, -1, -1):
        inputs, units = sizes[layer], sizes[layer + 1]
        d[layer, :n_pairs] = 0.0
        add_products(d[layer], d[layer + 1], Wt[layer], n_pairs, units, inputs)
        if layer > 0:
            for r in range(n_pairs):
                for o in range(inputs):
                    if z[layer, r, o] == 0.0:  # a ReLU that is off
                        d[layer, r, o] = 0.0


@compiled()
def add_network_slopes(n_pairs, sizes, z, d, table, slopes):
    """Adds z' d of each layer to the slopes of the network."""
    at = 0
    for layer in range(len(sizes) - 1):
        inputs, units = sizes[layer], sizes[layer + 1]
        table[:] = 0.0
        add_products(table, z[layer].T, d[layer + 1], inputs + 1, n_pairs, units)
        for i in range(inputs + 1):
            for o in range(units):
                slopes[at] += table[i, o]
                at += 1


@compiled()
def put_pair(z, r, p, q):
    """The pair as row r of the first layer."""
    k = len(p)
    for f in range(k):
        z[0, r, f], z[0, r, k + f] = p[f], q[f]


@compiled()
def scores_into(scores, rows, cols, P, Q, network, sizes, product, zd, tables):
    """The scores of the pairs (rows[e], cols[e])."""
    z, block = zd[0], zd.shape[2]
    fill_tables(network, sizes, tables[0], tables[1])
    for first in range(0, len(rows), block):
        n_pairs = min(block, len(rows) - first)
        for r in range(n_pairs):
            put_pair(z, r, P[rows[first + r]], Q[cols[first + r]])
        forward((n_pairs + 3) // 4 * 4, sizes, tables[0], z)
        for r in range(n_pairs):
            u, i = rows[first + r], cols[first + r]
            scores[first + r] = z[len(sizes) - 1, r, 0] + (dot(P[u], Q[i]) if product else 0.0)


def network_scores(rows, cols, P, Q, network, sizes, product):
    """The scores of the pairs (rows[e], cols[e])."""
    scores = np.empty(len(rows))
    pairs = rows.astype(np.intp), cols.astype(np.intp)
    scores_into(scores, *pairs, P, Q, network, sizes, product, *workspace(sizes, min(BLOCK, max(len(rows), 1))))
    return scores


# ---- Steps of Adam ---------------------------------------------------------------------------------------------------


@compiled()
def pulls(n_pairs, pairs, signs, share, P, Q, sizes, product, z, d):
    """The last layer of d, `share` times the slopes of ln(1 + exp(-sign s)); returns the sum of these logarithms."""
    last, loss = len(sizes) - 1, 0.0
    d[last, : (n_pairs + 3) // 4 * 4] = 0.0
    for r in range(n_pairs):
        s = z[last, r, 0] + (dot(P[pairs[0, r]], Q[pairs[1, r]]) if product else 0.0)
        x = signs[r] * s
        d[last, r, 0] = -signs[r] * share * doubt(x)
        loss += np.log1p(np.exp(-abs(x))) + max(-x, 0.0)
    return loss


@compiled()
def add_row_slopes(n_pairs, pairs, share, reg, P, Q, to_P, to_Q, sizes, product, d):
    """Adds the slopes of the first layer, and of the penalty of each pair, to those of the embeddings."""
    k, last = P.shape[1], len(sizes) - 1
    for r in range(n_pairs):
        u, i = pairs[0, r], pairs[1, r]
        beside = d[last, r, 0] if product else 0.0
        for f in range(k):
            p, q = P[u, f], Q[i, f]
            to_P[u, f] += d[0, r, f] + beside * q + share * reg * p
            to_Q[i, f] += d[0, r, k + f] + beside * p + share * reg * q


@compiled()
def draw_pairs(first, last, rows, cols, draws, start, liked, pairs, signs):
    """The pairs of the likes first..last-1, each followed by those drawn for it."""
    r = 0
    for e in range(first, last):
        u = rows[e]
        for c in range(-1, draws.shape[1]):
            drawn = c >= 0
            pairs[0, r] = u
            pairs[1, r] = other_title(draws[e, c], liked[start[u] : start[u + 1]]) if drawn else cols[e]
            signs[r] = -1.0 if drawn else 1.0
            r += 1
    return r


@compiled()
def _step(state, low, high, eta, t):
    """The t-th step of Adam for the numbers from `low` to `high`. Rows of state: the numbers, their slopes, which are 0
    after it, and the running means of the slopes and of their squares."""
    adam_step(state[0, low:high], state[1, low:high], state[2, low:high], state[3, low:high], eta, t)
    state[1, low:high] = 0.0


@compiled()
def deep_pass(rows, cols, draws, start, liked, sizes, product, state, met, t, batch, eta, reg, zd, tables):
    """One pass, in steps of `batch` likes: viewer rows[e] likes title cols[e], and not the titles that draws[e] names
    among those that they do not like (`other_title`). `start`, `liked` are the rows of likes, sorted.

    A step is one of Adam, the first of them after `t` others, along the mean over its likes of the sum over their
    pairs of ln(1 + exp(-s)) of a like, or ln(1 + exp(s)), plus reg/2 |p, q, network|^2; of embeddings only those that
    it meets move. met has an entry for each row of P and Q: the step that met it last. Returns the sum of the
    logarithms, each as its step met it.
    """
    loss, m, k, per_like = 0.0, len(start) - 1, sizes[0] // 2, 1 + draws.shape[1]
    end, z, d = len(met) * k, zd[0], zd[1]
    P, Q, network = state[0, : m * k].reshape(m, k), state[0, m * k : end].reshape(-1, k), state[0, end:]
    to_P, to_Q, to_network = state[1, : m * k].reshape(m, k), state[1, m * k : end].reshape(-1, k), state[1, end:]
    pairs, signs = np.empty((2, batch * per_like), dtype=np.int64), np.empty(batch * per_like)
    for first in range(0, len(rows), batch):
        t, share = t + 1, 1 / min(batch, len(rows) - first)
        n_pairs = draw_pairs(first, min(first + batch, len(rows)), rows, cols, draws, start, liked, pairs, signs)
        for r in range(n_pairs):
            put_pair(z, r, P[pairs[0, r]], Q[pairs[1, r]])
        whole = (n_pairs + 3) // 4 * 4
        fill_tables(network, sizes, tables[0], tables[1])
        forward(whole, sizes, tables[0], z)
        loss += pulls(n_pairs, pairs, signs, share, P, Q, sizes, product, z, d)
        backward(whole, sizes, tables[1], z, d)
        add_network_slopes(whole, sizes, z, d, tables[0, 0], to_network)
        add_row_slopes(n_pairs, pairs, share, reg, P, Q, to_P, to_Q, sizes, product, d)
        for f in range(len(network)):
            to_network[f] += per_like * reg * network[f]
        for r in range(n_pairs):
            for row in (pairs[0, r], m + pairs[1, r]):
                if met[row] != t:
                    met[row] = t
                    _step(state, row * k, (row + 1) * k, eta, t)
        _step(state, end, state.shape[1], eta, t)
    return loss


class Descent:
    """All that a fit learns and draws: of who likes what (`likes`, a table by rows), pass after pass."""

    def __init__(self, likes, n_factors, hidden, product, n_negatives, rng):
        self.sizes, self.product, self.n_negatives = layer_sizes(n_factors, hidden), bool(product), n_negatives
        (m, n), counts = likes.shape, np.diff(likes.indptr)
        rows = np.repeat(np.arange(m), counts)
        some = counts[rows] < n  # of who likes everything there is nothing to learn
        self.likes, self.rng, self.rows, self.cols = likes, rng, rows[some], likes.indices[some]
        check_memory((max(len(rows), 1), n_negatives), f"DeepMF with n_negatives={n_negatives}")
        self.others = n - counts[self.rows]  # so many titles stand against each like
        first = first_numbers(m + n, self.sizes, rng)
        self.state, self.met, self.n_steps = np.zeros((4, len(first))), np.zeros(m + n, dtype=np.int64), 0
        self.state[0] = first

    def run_pass(self, batch_size: int, eta: float, reg: float) -> float:
        """One pass over the likes, in a new order and with new draws; its mean loss."""
        order, batch = self.rng.permutation(len(self.rows)), min(batch_size, max(len(self.rows), 1))
        space = workspace(self.sizes, batch * (1 + self.n_negatives))
        draws = self.rng.random((len(order), self.n_negatives)) * self.others[order, None]
        table = self.rows[order], self.cols[order], draws.astype(np.int64), self.likes.indptr, self.likes.indices
        state = self.sizes, self.product, self.state, self.met, self.n_steps
        loss = deep_pass(*table, *state, batch, float(eta), float(reg), *space)
        self.n_steps += -(-len(order) // batch)
        return loss / max(len(order) + draws.size, 1)

    def learnt(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """P, Q and the network; who likes nothing, or everything, prefers nothing: 0."""
        (m, n), k = self.likes.shape, self.sizes[0] // 2
        P, Q, network = np.split(self.state[0], [m * k, (m + n) * k])
        P, counts = P.reshape(m, k).copy(), np.diff(self.likes.indptr)
        P[(counts == 0) | (counts == n)] = 0.0
        return P, Q.reshape(n, k).copy(), network.copy()


# ---- Somebody new ----------------------------------------------------------------------------------------------------


@compiled()
def like_slopes(p, liked, draws, Q, network, sizes, product, slopes, zd, tables):
    """Adds to slopes[e] (likes, k) the gradient, by p, of the logarithms of like e and of the titles drawn for it."""
    z, d, k, per_like = zd[0], zd[1], len(p), 1 + draws.shape[1]
    pairs, signs = np.zeros((2, per_like), dtype=np.int64), np.full(per_like, -1.0)
    signs[0] = 1.0
    whole, P = (per_like + 3) // 4 * 4, p.reshape(1, k)
    fill_tables(network, sizes, tables[0], tables[1])
    for e in range(len(liked)):
        for c in range(per_like):
            pairs[1, c] = other_title(draws[e, c - 1], liked) if c else liked[e]
            put_pair(z, c, p, Q[pairs[1, c]])
        forward(whole, sizes, tables[0], z)
        pulls(per_like, pairs, signs, 1.0, P, Q, sizes, product, z, d)
        backward(whole, sizes, tables[1], z, d)
        for c in range(per_like):
            beside = d[len(sizes) - 1, c, 0] if product else 0.0
            for f in range(k):
                slopes[e, f] += d[0, c, f] + beside * Q[pairs[1, c], f]


def newcomer_parts(at, n_negatives, Q, network, sizes, product, reg):
    """What each liked title adds to the embedding of somebody new, (likes, k): steps of Adam from 0 with everything
    else held fixed, along the mean over the likes, each time with new draws, which are the same for everybody. `at`,
    the titles, rises.

    A step belongs to the likes that ask for it, each in proportion to how steeply its own loss falls along it.
    """
    parts, others = np.zeros((len(at), Q.shape[1])), len(Q) - len(at)
    if not len(at) or not others:
        return parts
    liked, rng, space = at.astype(np.int64), np.random.default_rng(0), workspace(sizes, 1 + n_negatives)
    p, mean, square = np.zeros((3, Q.shape[1]))
    for t in range(1, NEW_STEPS + 1):
        draws, slopes = (rng.random((len(at), n_negatives)) * others).astype(np.int64), np.zeros_like(parts)
        like_slopes(p, liked, draws, Q, network, sizes, product, slopes, *space)
        slope = slopes.sum(axis=0) / len(at) + reg * (1 + n_negatives) * p
        before = p.copy()
        adam_step(p, slope, mean, square, NEW_STEP * (1 - (t - 1) / NEW_STEPS), t)
        step = p - before
        asked = np.maximum(-(slopes @ step), 0.0)
        parts += np.outer(asked / asked.sum() if asked.any() else np.full(len(at), 1 / len(at)), step)
    return parts


def secants(p, Q, network, sizes, product):
    """Z (n, k) with score(p, q_i) = score(0, q_i) + Z_i . p: the slope of each ReLU is that of the line between what it
    gives at 0 and at p, so that it holds exactly, and the chain rule does the rest (DeepLIFT's rescale rule)."""
    table, k = network_layers(network, sizes), len(p)
    low, high = np.hstack([np.zeros_like(Q), Q]), np.hstack([np.broadcast_to(p, Q.shape), Q])
    slopes = []
    for W, b in table[:-1]:
        low, high = low @ W + b, high @ W + b
        apart = high - low
        steps = np.where(apart, (np.maximum(high, 0) - np.maximum(low, 0)) / np.where(apart, apart, 1.0), 0.0)
        slopes.append(steps)
        low, high = np.maximum(low, 0), np.maximum(high, 0)
    back = np.broadcast_to(table[-1][0][:, 0], (len(Q), len(table[-1][0])))
    for (W, _), slope in zip(table[-2::-1], slopes[::-1], strict=True):
        back = (back * slope) @ W.T
    return back[:, :k] + (Q if product else 0.0)
