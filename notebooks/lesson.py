"""What only the lessons need: one look for all figures, the viewer we follow, and the truth behind the simulated sample."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

import content_table as ct

VIEWER = "viewer1133"  # the viewer followed through all lessons, by name

# One colour a model in every notebook (Okabe and Ito's palette: distinct under common colour blindness).
COLORS = {
    "global mean": "#999999",
    "baseline": "#000000",
    "item neighbours": "#CC79A7",
    "ALS as published": "#E69F00",
    "ALS": "#E69F00",
    "ALS with biases": "#D55E00",
    "spectral": "#56B4E9",
    "spectral with biases": "#0072B2",
    "nuclear norm": "#009E73",
    "train": "#0072B2",
    "held out": "#D55E00",
    "primal": "#0072B2",
    "dual": "#D55E00",
}

sns.set_theme(style="whitegrid", rc={"figure.figsize": (6.4, 3.8), "figure.dpi": 100, "axes.titlesize": 11})


def truth(ratings):
    """The expected rating of every cell of a sample table, rated or not, in the table's own order: (m, n) rating points.

    Only a simulation can know it: each entry is the mean score this simulated viewer would give that title.
    """
    with np.load(ct.DATA / "truth.npz", allow_pickle=False) as file:
        rows = {name: at for at, name in enumerate(file["profile"].tolist())}
        cols = {item: at for at, item in enumerate(file["a_id"].tolist())}
        expected = file["expected"].astype(float)
    chosen_rows = [rows[name] for name in ratings.user_names.tolist()]
    chosen_cols = [cols[item] for item in ratings.item_ids.tolist()]
    return expected[np.ix_(chosen_rows, chosen_cols)]


def show(fig):
    """Lay the figure out, show it, and return nothing, so that a cell stores the picture alone."""
    fig.tight_layout()
    plt.show()
