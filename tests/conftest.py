"""Tables and models that the tests share."""

import os
from pathlib import Path

import numpy as np
import pytest
from own_model import DampedMeans
from sklearn.base import clone

import content_table as ct

DATA = os.environ.get("CONTENT_TABLE_DATA")
needs_data = pytest.mark.skipif(
    not DATA or not Path(DATA).is_dir(), reason="CONTENT_TABLE_DATA does not name the real ratings"
)
NO = np.nan  # a cell that nobody rated

TYPED = np.array(
    [
        [8, 7, NO, 3, 9],
        [NO, 6, 5, 4, NO],
        [9, NO, 8, NO, 10],
        [2, 4, 3, 9, 1],  # has rated everything: nothing is left to recommend
        [7, NO, NO, 5, 8],
        [NO, 5, 2, 8, NO],
    ]
)

ABOUT_ITEMS = ct.Features(
    [15, 14, 13, 12, 11],  # in another order than the table's columns; nothing is known of 11
    [[1, 0, 0.5], [0, 2, 0], [0.3, 0.3, 0], [0, 0, 1], [0, 0, 0]],
    ["funny", "sad", "long"],
)
ABOUT_USERS = ct.Features([101, 102, 104, 105], [[1, 0], [0, 1], [1, 1], [0, 0]], ["young", "old"])

MODELS = ct.course_models() | {
    "ALS as published": ct.ALS(n_factors=20, reg=0.1, n_epochs=50, tol=0, init="ones"),  # not 1000 passes, for speed
    "baseline without a penalty": ct.BiasBaseline(reg=0),
    "baseline by cvxpy": ct.BiasBaseline(solver="cvxpy"),
    "two neighbours": ct.ItemKNN(n_neighbors=2, shrinkage=0, reg=1),
    "ALS": ct.ALS(n_factors=3, reg=1),
    "ALS without a penalty": ct.ALS(n_factors=2, reg=0, n_epochs=20, tol=0),
    "ALS, weighted": ct.ALS(n_factors=3, reg=0.2, weighted_reg=True),
    "ALS with biases, weighted": ct.ALS(n_factors=2, reg=0.2, biases=True, bias_reg=1, weighted_reg=True),
    "NMF": ct.NMF(n_factors=3, reg=0.5),
    "NMF without biases": ct.NMF(n_factors=2, reg=1, biases=False),
    "ALS from all ones": ct.ALS(n_factors=2, reg=2, init="ones", n_epochs=5, tol=0),
    "spectral by soft-impute": ct.SpectralRegularization(reg=2, solver="soft_impute"),
    "spectral with biases by soft-impute": ct.SpectralRegularization(reg=1, biases=True, solver="soft_impute"),
    "spectral by cvxpy": ct.SpectralRegularization(reg=2, solver="cvxpy"),
    "spectral with weak penalties": ct.SpectralRegularization(reg=0.3, biases=True, bias_reg=0.5),
    "nuclear norm by cvxpy": ct.NuclearNorm(solver="cvxpy"),
    "gradient descent": ct.GradientDescentMF(n_factors=2, reg=1, learning_rate=0.005),
    "SGD": ct.SGDMF(n_factors=3, n_epochs=20, patience=None),
    "SGD, early stopping": ct.SGDMF(n_factors=2, learning_rate=0.1, validation_size=0.2),
    "SGD, mini-batches": ct.SGDMF(n_factors=2, n_epochs=20, batch_size=4, clip=1.0, patience=None),
    "content": ct.ContentMF(ABOUT_ITEMS, n_factors=2, n_epochs=20, patience=None),
    "content with profiles": ct.ContentMF(ABOUT_ITEMS, ABOUT_USERS, n_factors=2, n_epochs=20, patience=None),
    "content as published": ct.ContentMF(
        ABOUT_ITEMS, shared_weights=False, content_weight=0.5, n_factors=2, n_epochs=20, patience=None
    ),
    "content only": ct.ContentOnly(ABOUT_ITEMS),
    "Bayesian": ct.BayesianFM(n_factors=2, n_sweeps=30, n_kept=10),
    "Bayesian with features": ct.BayesianFM(
        2, 20, item_features=ABOUT_ITEMS, user_features=ABOUT_USERS, n_kept=4, n_chains=2
    ),
    "Bayesian regression": ct.BayesianFM(0, 30, implicit=False),
    "blend": ct.Blend(ct.BiasBaseline(), ct.ContentOnly(ABOUT_ITEMS), weight=0.3),
    "blend, weight chosen": ct.Blend(ct.BiasBaseline(), ct.ALS(2), validation_size=0.3),
    "damped means": DampedMeans(reg=2),  # of ADD_YOUR_OWN_MODEL.md
}
RANKERS = {
    "popularity": ct.Popularity(),
    "implicit ALS": ct.ImplicitALS(n_factors=2, reg=1),
    "implicit ALS of likes": ct.ImplicitALS(n_factors=2, reg=1, liked=0.6, binary=True),
    "implicit ALS, weighted": ct.ImplicitALS(n_factors=2, reg=0.3, weighted_reg=True),
    "EASE": ct.EASE(2),
    "EASE of likes": ct.EASE(2, liked=0.6, binary=False),
    "graph filter": ct.GraphFilter(),
    "graph filter of likes": ct.GraphFilter(3, 2, popularity=0.3, liked=0.6, binary=True),
    "BPR": ct.BPR(n_factors=2, n_epochs=20),
    "BPR of likes": ct.BPR(n_factors=2, n_epochs=20, liked=0.6),
    "deep": ct.DeepMF(n_factors=2, hidden=(4, 3), n_epochs=20, batch_size=4),
    "deep, with the product, of likes": ct.DeepMF(2, (5,), True, n_epochs=20, liked=0.6),
    "MultVAE": ct.MultVAE(n_factors=2, n_hidden=3, n_epochs=10),
    "MultVAE of likes": ct.MultVAE(n_factors=2, n_hidden=3, n_epochs=10, liked=0.6, binary=True, variational=False),
    "hybrid": ct.Hybrid(ct.BiasBaseline(), ABOUT_ITEMS, reg=2),
    "hybrid without features": ct.Hybrid(ct.ALS(2, 1, biases=True), reg=2),
}  # no rating points


@pytest.fixture(params=MODELS)
def model(request):
    """Each kind of model in turn, not fitted."""
    return clone(MODELS[request.param])


@pytest.fixture(params=RANKERS)
def ranker(request):
    """Each kind of model that ranks without predicting ratings, not fitted."""
    return clone(RANKERS[request.param])


def about(model, ratings, unknown=()):
    """The model with its features, if it has any, said of the ids of `ratings`; of the `unknown` nothing is known."""
    for name, value in model.get_params().items():
        if isinstance(value, ct.Features):
            ids = ratings.item_ids if name.endswith("item_features") else ratings.user_ids
            if not np.isin(ids, value.ids).any():
                value = ct.Features(ids[: len(value.ids)], value.matrix[: len(ids)], value.names)
            known = ~np.isin(value.ids, unknown)
            model.set_params(**{name: ct.Features(value.ids[known], value.matrix[known], value.names)})
    return model


def plain_params(model):
    """Parameters down to the bottom, the models among them by their own parameters only."""
    return {name: value for name, value in model.get_params().items() if not isinstance(value, ct.Recommender)}


def level(model, row, col):
    """What a model says of a cell whose viewer or title it does not know: the mean and the biases that are known."""
    if isinstance(model, ct.Blend):
        return model.weight_ * level(model.first_, row, col) + (1 - model.weight_) * level(model.second_, row, col)
    shared = isinstance(model, ct.ContentMF) and model.shared_weights  # a viewer without a profile is like everybody
    taste = (model.item_table_ @ model.group_weights_[0])[col] if shared else 0
    return model.global_mean_ + model.user_bias_[row] + model.item_bias_[col] + taste


@pytest.fixture(scope="session", params=MODELS)
def fitted(request, table):
    """Each kind of model in turn, fitted to the typed-in table; read only."""
    return clone(MODELS[request.param]).fit(table)


@pytest.fixture(scope="session")
def table():
    """Six viewers and five titles, typed in; ids differ from positions, so that a mix-up shows."""
    rows, cols = np.nonzero(~np.isnan(TYPED))
    return ct.Ratings(
        [101, 102, 103, 104, 105, 106],
        [11, 12, 13, 14, 15],
        rows,
        cols,
        TYPED[rows, cols],
        times=np.arange(len(rows))[::-1],
        titles=["Apple", "Bear", "Cat", "Dog", "Elk"],
        user_names=["ann", "bob", "cy", "dee", "eve", "fay"],
    )


@pytest.fixture(scope="session")
def four():
    """Four cells, three of them rated: the smallest table with something to predict."""
    return ct.Ratings.from_matrix([[5, 3], [4, NO]])


@pytest.fixture(scope="session")
def with_cold(table):
    """The typed-in table without the ratings of viewer 106 (row 5) and of title 13 (column 2)."""
    return table.part((table.rows != 5) & (table.cols != 2))


@pytest.fixture(scope="session", params=["100x100.csv", "100x100_2.csv"])
def both_samples(request):
    """The two embedded sample tables in turn."""
    return ct.load_ratings(ct.DATA / request.param)


@pytest.fixture(scope="session")
def sample():
    """The embedded sample table."""
    return ct.load_ratings(ct.DATA / "100x100.csv")


@pytest.fixture(scope="session")
def hidden():
    """A 40 x 30 matrix of rank 2."""
    rng = np.random.default_rng(7)
    return rng.normal(size=(40, 2)) @ rng.normal(size=(2, 30))


@pytest.fixture(scope="session")
def low_rank(hidden):
    """Sixty per cent of the hidden matrix's cells, without noise."""
    known = np.random.default_rng(8).random(hidden.shape) < 0.6
    return ct.Ratings.from_matrix(np.where(known, hidden, NO), scale=(-20.0, 20.0))


@pytest.fixture(scope="session")
def noisy():
    """A 12 x 9 table of low rank plus noise with half of its cells known: small enough for a conic solver."""
    return random_table(0)


def random_table(seed, shape=(12, 9), share=0.5):
    rng = np.random.default_rng(seed)
    full = 6 + rng.normal(size=(shape[0], 2)) @ rng.normal(size=(2, shape[1])) + rng.normal(size=shape) / 2
    return ct.Ratings.from_matrix(np.where(rng.random(shape) < share, full, NO), scale=(-20.0, 20.0))


@pytest.fixture(scope="session", params=range(4))
def random_ratings(request):
    """Four random tables, tall and wide."""
    return random_table(request.param, shape=((12, 9), (8, 14), (10, 10), (15, 6))[request.param])


def scattered(n_users, n_items):
    """Some thousand ratings, far apart in a large universe."""
    rng = np.random.default_rng(0)
    cells = np.unique(rng.integers(0, [200, 100], (1000, 2)), axis=0)
    rows, cols = cells.T * (n_items // 100 - 1)
    return ct.Ratings(np.arange(n_users), np.arange(n_items), rows, cols, rng.integers(1, 11, len(rows)))


@pytest.fixture(scope="session")
def huge():
    """Few ratings in a universe whose dense table would take 149 GiB."""
    return scattered(200_000, 100_000)


@pytest.fixture(scope="session")
def large():
    """Few ratings in a universe whose dense table would take 1.5 GiB, above the limit."""
    return scattered(20_000, 10_000)


def press_ctrl_c(monkeypatch, owner, name, at):
    """Let the reader press Ctrl-C in the at-th call of a function of the module, or of a method of a class."""
    original, calls = getattr(owner, name), []

    def call(*arguments, **options):
        calls.append(name)
        if len(calls) == at:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, call)
