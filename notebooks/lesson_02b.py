"""The typed-in example that lesson 02d computes again: three viewers, three titles, without and with words."""

import lesson
import numpy as np

import content_table as ct

ETA, REG, MEAN = 0.01, 0.1, 3.0
B_USER, B_ITEM = [0.1, 0.2, 0.3], [0.2, 0.3, 0.4]
P = [[0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.1, 0.5, 0.4], [0.3, 0.1, 0.2, 0.4, 0.3]]
Q = [[0.4, 0.3, 0.5, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2, 0.1]]
W = [[0.1, 0.2], [0.3, 0.1], [0.4, 0.3]]
C = [[0.6, 0.8], [0.7, 0.9], [0.5, 0.4]]
CELLS = {(0, 1): 4.0, (1, 2): 3.5, (2, 0): 5.0}


def table_of(cells, shape=(3, 3)):
    """Ratings on a scale from 1 to 5 from {(row, column): rating}."""
    table = np.full(shape, np.nan)
    for cell, rating in cells.items():
        table[cell] = rating
    return ct.Ratings.from_matrix(table, scale=(1, 5))


def example(content=False):
    """(theta, C) of the example, without or with the weights on content."""
    return lesson.parameters(P, Q, B_USER, B_ITEM, W if content else None), (np.array(C) if content else None)
