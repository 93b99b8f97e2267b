"""Vectors of compiled loops, held against NumPy: every number is rounded as it would be alone."""

import numba
import numpy as np
import pytest
from numba import types

from content_table_parts.vectors import BITS, Vector, divided, load, minus, plus, root, store


@numba.njit
def copied(x, y, count):
    for at in range(0, len(x), count):
        store(y, (at,), load(x, (at,)))


@numba.njit
def combined(total, x, y, number, out):
    """In each row another operation."""
    start, left, right = load(total, (0,)), load(x, (0,)), load(y, (0,))
    store(out, (0, 0), plus(start, left, right))
    store(out, (1, 0), minus(start, left, right))
    store(out, (2, 0), plus(start, left, number))
    store(out, (3, 0), minus(start, number, left))
    store(out, (4, 0), divided(start, left))
    store(out, (5, 0), root(start))


@numba.njit
def moved(x, out, row, col):
    store(out, (row, col), load(x, (col, row)))


KINDS = pytest.mark.parametrize(("dtype", "count"), [(np.float64, 8), (np.float32, 16)])


@KINDS
def test_a_vector_fills_the_widest_register(dtype, count):
    vector = Vector(numba.from_dtype(np.dtype(dtype)))
    assert (BITS, vector.count, vector.scalar.bitwidth) == (512, count, 8 * np.dtype(dtype).itemsize)
    assert vector == Vector(vector.scalar) != Vector(types.int64)


@KINDS
def test_vectors_are_read_and_written_number_by_number(dtype, count):
    x, y = np.arange(3 * count).astype(dtype), np.zeros(3 * count + 1, dtype)
    copied(x, y, count)
    assert y.tolist() == [*x.tolist(), 0]  # and nothing after them


@KINDS
def test_operations_round_each_number_as_it_would_alone(dtype, count):
    rng = np.random.default_rng(0)
    total, x, y = rng.normal(size=(3, count)).astype(dtype)
    number, out = dtype(0.1), np.zeros((6, count), dtype)
    combined(total, x, y, number, out)
    with np.errstate(invalid="ignore"):
        expected = total + x * y, total - x * y, total + x * number, total - number * x, total / x, np.sqrt(total)
    assert (total < 0).any()  # of which there is no root
    assert np.array_equal(out, np.array(expected), equal_nan=True)


@KINDS
def test_an_index_is_that_of_a_table(dtype, count):
    x = np.arange(20 * (count + 9)).reshape(20, -1).astype(dtype)
    out = np.zeros((7, count + 9), dtype)
    moved(x, out, 5, 2)
    expected = np.zeros_like(out)
    expected[5, 2 : 2 + count] = x[2, 5 : 5 + count]
    assert np.array_equal(out, expected)
