"""Worked examples by hand: parameters typed in, single steps and half-steps of the module's own compiled loops."""

import os
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import content_table as ct


def known(ratings):
    """True where a cell of the table holds a rating: (m, n)."""
    table = np.zeros(ratings.shape, dtype=bool)
    table[ratings.rows, ratings.cols] = True
    return table


def parameters(P, Q, b_user=None, b_item=None, W=None):
    """The parameters of `ct.SGDMF` or, with weights `W` on features, `ct.ContentMF`, from matrices typed in: copies, in
    the order (b_user, b_item, P, Q, W, G) that the compiled loops take. What is not given is 0 or empty.
    """
    P, Q = np.array(P, dtype=float), np.array(Q, dtype=float)
    biases = [np.zeros(len(F)) if b is None else np.array(b, dtype=float) for F, b in ((P, b_user), (Q, b_item))]
    W = np.zeros((len(P), 0)) if W is None else np.array(W, dtype=float)
    return (*biases, P, Q, W, np.zeros((0, W.shape[1])))


def _feature_arrays(theta, C):
    """C as CSR arrays, empty where there are no features, and no features of viewers."""
    C = np.zeros((len(theta[3]), 0)) if C is None else C
    return [(table.indptr, table.indices, table.data) for table in map(sp.csr_array, (C, np.zeros((len(theta[2]), 0))))]


def predictions(ratings, theta, mean, C=None):
    """mu + b_u + b_i + p_u . q_i + w_u . C_i on the known cells, by `ct.predict_pairs`: rating points."""
    return ct.predict_pairs(ratings.rows, ratings.cols, float(mean), theta, *_feature_arrays(theta, C))


def step_on(ratings, entry, theta, learning_rate, reg, mean, C=None):
    """One step of `ct.sgd_epoch`, for the single rating number `entry`: the parameters after it, as copies."""
    theta = tuple(array.copy() for array in theta)
    one = [array[entry : entry + 1] for array in (ratings.rows, ratings.cols, ratings.values)]
    rates = float(learning_rate), float(reg), np.inf
    ct.sgd_epoch(*one, float(mean), theta, *_feature_arrays(theta, C), *rates)
    return theta


def half_steps(ratings, P, Q, reg, n_passes):
    """(P, Q) at the start and after every half-step, users first: what `ct.ALS` does, one frame at a time."""
    frames = [(P, Q)]
    for _ in range(n_passes):
        P = ct.ridge_rows(ratings.csr, Q, reg)
        frames.append((P, Q))
        Q = ct.ridge_rows(ratings.csc.T, P, reg)
        frames.append((P, Q))
    return frames


def real_file(*parts):
    """The path of a file under the folder that CONTENT_TABLE_DATA names, or None where it is not."""
    folder = os.environ.get("CONTENT_TABLE_DATA")
    if not folder:
        return None
    places = [Path(folder, *parts), Path(ct.DATA.parent, folder, *parts)]  # a relative one may start at the project
    return next((path for path in places if path.is_file()), None)
