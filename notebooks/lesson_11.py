"""What lesson 99 still takes from lesson 11."""

import pandas as pd


def blank(table, digits=3):
    """The same table as text, with nothing where a figure is missing."""
    return table.map(lambda value: "" if pd.isna(value) else f"{value:.{digits}f}")
