"""Tables and models that the tests share."""

import numpy as np
import pytest
from sklearn.base import clone

import content_table as ct

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

MODELS = ct.course_models() | {
    "baseline without a penalty": ct.BiasBaseline(reg=0),
    "baseline by cvxpy": ct.BiasBaseline(solver="cvxpy"),
    "two neighbours": ct.ItemKNN(n_neighbors=2, shrinkage=0, reg=1),
    "ALS": ct.ALS(n_factors=3, reg=1),
    "ALS without a penalty": ct.ALS(n_factors=2, reg=0, n_epochs=20, tol=0),
    "ALS from all ones": ct.ALS(n_factors=2, reg=2, init="ones", n_epochs=5, tol=0),
    "spectral by soft-impute": ct.SpectralRegularization(reg=2, solver="soft_impute"),
    "spectral with biases by soft-impute": ct.SpectralRegularization(reg=1, biases=True, solver="soft_impute"),
    "spectral by cvxpy": ct.SpectralRegularization(reg=2, solver="cvxpy"),
    "spectral with weak penalties": ct.SpectralRegularization(reg=0.3, biases=True, bias_reg=0.5),
    "nuclear norm by cvxpy": ct.NuclearNorm(solver="cvxpy"),
}


@pytest.fixture(params=MODELS)
def model(request):
    """Each kind of model in turn, not fitted."""
    return clone(MODELS[request.param])


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
    """Few ratings in a universe whose dense table would take 9 GiB."""
    return scattered(60_000, 20_000)
