"""A call after which joblib replaces the process that made it, because its memory has grown."""

import time

import numpy as np
from joblib import delayed  # noqa: F401

from content_table_parts.interrupts import side_by_side  # noqa: F401

KEPT = []


def grow(i):
    KEPT.append(np.ones(50_000_000))  # joblib looks once a second, and ends a process that has grown by 300 MB
    time.sleep(1.2)
    return i
