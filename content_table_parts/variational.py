"""The variational autoencoder of `MultVAE`: network, objective with its gradient, Adam's steps, somebody new."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from content_table_parts.solvers import adam_step, check_memory


class Network(NamedTuple):
    """What is learnt of n titles with h hidden units and k factors; a gradient has the same form.

    Of x, the likes of a viewer as a row of length 1: hidden = tanh(x W + a); the factors z have the mean hidden M + b
    and the logarithm of the variance hidden V + v; the scores of all titles are z Q' + c.
    """

    W: np.ndarray
    a: np.ndarray
    M: np.ndarray
    b: np.ndarray
    V: np.ndarray
    v: np.ndarray
    Q: np.ndarray
    c: np.ndarray


def random_network(n: int, h: int, k: int, rng: np.random.Generator) -> Network:
    """Weights of variance 2 / (rows + columns), and biases of 0."""
    for sides in ((max(n, k), h), (max(n, h), k)):
        check_memory(sides, f"MultVAE with n_factors={k} and n_hidden={h}")
    tables = [rng.normal(0.0, np.sqrt(2 / sum(shape)), shape) for shape in ((n, h), (h, k), (h, k), (n, k))]
    biases = [np.zeros(size) for size in (h, k, k, n)]
    return Network(*(part for pair in zip(tables, biases, strict=True) for part in pair))


def unit_likes(S: sp.csr_array) -> sp.csr_array:
    """A sparse table with each row divided by its length; a row of zeros stays."""
    length = np.sqrt(np.asarray(S.multiply(S).sum(axis=1)))
    length = np.repeat(np.where(length > 0, length, 1.0), np.diff(S.indptr))
    return sp.csr_array((S.data / length, S.indices, S.indptr), S.shape)


def network_objective(
    net: Network, S: sp.csr_array, kept: np.ndarray, noise: np.ndarray, beta: float, reg: float
) -> tuple[float, float, Network]:
    """(cross-entropy, divergence, gradient of cross-entropy + beta divergence + reg/2 |weights|^2) of some viewers.

    S (viewers, n) has their likes. `kept`, a number for each of its entries, multiplies what the encoder reads: 0 where
    that is dropped, 1 / (1 - dropout) where not. z = mean + noise * deviation, `noise` (viewers, k). The cross-entropy
    is -sum s ln softmax(scores), the divergence sum (mean^2 + deviation^2 - 1 - ln deviation^2) / 2.
    """
    x = unit_likes(S)
    x = sp.csr_array((x.data * kept, x.indices, x.indptr), x.shape)
    hidden = np.tanh(x @ net.W + net.a)
    mean, spread = hidden @ net.M + net.b, hidden @ net.V + net.v
    deviation = np.exp(spread / 2)
    z = mean + noise * deviation
    entropy, to_scores = _cross_entropy(z @ net.Q.T + net.c, S)
    divergence = float(np.sum(mean**2 + deviation**2 - 1 - spread)) / 2

    to_z = to_scores @ net.Q
    to_mean = to_z + beta * mean
    to_spread = (to_z * noise * deviation + beta * (deviation**2 - 1)) / 2
    to_hidden = (to_mean @ net.M.T + to_spread @ net.V.T) * (1 - hidden**2)
    slopes = Network(
        W=x.T @ to_hidden,
        a=to_hidden.sum(axis=0),
        M=hidden.T @ to_mean,
        b=to_mean.sum(axis=0),
        V=hidden.T @ to_spread,
        v=to_spread.sum(axis=0),
        Q=to_scores.T @ z,
        c=to_scores.sum(axis=0),
    )
    for slope, weights in zip(slopes, net, strict=True):
        if slope.ndim == 2:
            slope += reg * weights
    return entropy, divergence, Network(*map(np.ascontiguousarray, slopes))


def _cross_entropy(scores, S):
    """(-sum s ln softmax(scores), its gradient by the scores), worked out in the place of the scores."""
    rows = np.repeat(np.arange(len(scores)), np.diff(S.indptr))
    scores -= scores.max(axis=1, keepdims=True)
    liked = S.data @ scores[rows, S.indices]
    total, likes = np.exp(scores, out=scores).sum(axis=1), np.asarray(S.sum(axis=1))
    scores *= (likes / total)[:, None]
    scores[rows, S.indices] -= S.data
    return float(likes @ np.log(total) - liked), scores


class Adam:
    """Steps that change a network in place: see `adam_step`."""

    def __init__(self, net: Network, rate: float):
        self.net, self.rate, self.steps = net, rate, 0
        self.means, self.squares = ([np.zeros_like(part) for part in net] for _ in range(2))

    def step(self, slopes: Network) -> None:
        """One step down these slopes."""
        self.steps += 1
        for each in zip(self.net, slopes, self.means, self.squares, strict=True):
            adam_step(*(part.reshape(-1) for part in each), self.rate, self.steps)


def network_pass(
    adam: Adam,
    likes: sp.csr_array,
    rng: np.random.Generator,
    batch_size: int,
    dropout: float,
    reg: float,
    beta: float | None,
    anneal: int,
) -> tuple[float, float]:
    """A step for each batch of viewers, in a new order; (cross-entropy, divergence) of all, as their steps met them.

    beta grows from 0 over the first `anneal` passes; with a beta of None it is 0 and z is not drawn but its mean.
    """
    order, entropy, divergence = rng.permutation(likes.shape[0]), 0.0, 0.0
    n_steps = -(-len(order) // batch_size)
    for start in range(0, len(order), batch_size):
        some = likes[order[start : start + batch_size]]
        kept = (rng.random(some.nnz) >= dropout) / (1 - dropout)
        size, weight = (some.shape[0], len(adam.net.b)), 0.0
        noise = np.zeros(size) if beta is None else rng.standard_normal(size)
        if beta is not None:
            weight = beta * (min(1.0, adam.steps / (anneal * n_steps)) if anneal else 1.0)
        share = some.shape[0] / len(order)
        with np.errstate(over="ignore", invalid="ignore"):  # steps that are too long: the loss will tell
            met, apart, slopes = network_objective(adam.net, some, kept, noise, weight, reg * share)
            adam.step(slopes)
        entropy, divergence = entropy + met, divergence + apart
    return entropy, divergence


def encoded(net: Network, S: sp.csr_array) -> np.ndarray:
    """The mean of the factors of each row of likes, less that of a row without any; 10,000 rows at a time."""
    x, empty = unit_likes(S), np.tanh(net.a)
    parts = [(np.tanh(x[at : at + 10_000] @ net.W + net.a) - empty) @ net.M for at in range(0, x.shape[0], 10_000)]
    return np.concatenate(parts)


def encoded_parts(W: np.ndarray, a: np.ndarray, M: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What each of some titles adds to the factors that `encoded` gives for them together, (titles, k).

    x are the titles' entries in the row of likes, W their weights. A hidden unit goes from tanh(a) to tanh(a + sum of
    x W), and each title has the share in this change that its x W has in the sum.

    Reference: the rescale rule of Learning Important Features Through Propagating Activation Differences, ICML 2017.
    """
    into = x[:, None] * W
    total = into.sum(axis=0)
    slope = 1 - np.tanh(a) ** 2
    np.divide(np.tanh(a + total) - np.tanh(a), total, out=slope, where=np.abs(total) > 1e-9)
    return (into * slope) @ M
