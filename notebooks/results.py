"""What the lessons read: the truth behind the simulated sample, and what the benchmarks have filed."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

import content_table as ct

FILED = Path(ct.__file__).resolve().parent / "benchmarks" / "results"


def filed(name):
    """A results file of `benchmarks/`, as the command that wrote it left it."""
    return json.loads((FILED / f"{name}.json").read_text(encoding="utf-8"))


def truth(ratings):
    """The expected rating of every cell of a sample table, rated or not, in the table's own order: (m, n) rating
    points.

    Only a simulation can know it: each entry is the mean score this simulated viewer would give that title.
    """
    with np.load(ct.DATA / "truth.npz", allow_pickle=False) as file:
        rows = {name: at for at, name in enumerate(file["profile"].tolist())}
        cols = {item: at for at, item in enumerate(file["a_id"].tolist())}
        expected = file["expected"].astype(float)
    chosen_rows = [rows[name] for name in ratings.user_names.tolist()]
    chosen_cols = [cols[item] for item in ratings.item_ids.tolist()]
    return expected[np.ix_(chosen_rows, chosen_cols)]


def new_viewers(part, at, tables=("data 1", "MovieLens")):
    """Held-out clipped RMSE of new viewers after so many ratings ("curves") or questions ("asking"), as filed by
    `python benchmarks/cold_start.py`: models or orders by table and count."""
    columns = {}
    for name in tables:
        found = filed("cold_start")["tables"][name][part]
        for count in at:
            place = found["at"].index(count)
            columns[name, count] = {model: f"{row[place]:.2f}" for model, row in found["rmse"].items()}
    return pd.DataFrame(columns).fillna("")
