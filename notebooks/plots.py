"""Figures of the lessons: they get what a cell has computed, draw it, show it, and return nothing.

Nothing is fitted, split or measured here: what a figure shows, a reader can compute again from the cells above it.
"""

import re

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import display

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
    "SGD": "#8856A7",
    "content": "#B2182B",
    "train": "#0072B2",
    "held out": "#D55E00",
    "primal": "#0072B2",
    "dual": "#D55E00",
}

# Figures are white cards with a margin, so that they look meant on a dark page too.
LOOK = {"figure.figsize": (6.4, 3.8), "figure.dpi": 100, "axes.titlesize": 11, "savefig.pad_inches": 0.2}
sns.set_theme(style="whitegrid", rc=LOOK)


LOOKS = {  # marker, filled: two models that should coincide get a large hollow and a small filled marker
    "global mean": ("P", True),
    "baseline": ("D", True),
    "item neighbours": ("^", True),
    "ALS as published": ("v", True),
    "ALS with biases": ("s", False),
    "spectral": ("X", True),
    "spectral with biases": ("o", True),
    "nuclear norm": ("*", True),
    "SGD": ("h", True),
    "content": ("p", True),
}


def color(model):
    """The colour of a model in every lesson."""
    return COLORS[model]


def mark(model):
    """Marker options of a model, for plot and errorbar."""
    marker, filled = LOOKS[model]
    face = color(model) if filled else "none"
    size = 6 if filled else 11
    return {"marker": marker, "color": color(model), "markerfacecolor": face, "markersize": size, "linestyle": "none"}


VERDICT_LOOKS = {  # colour, marker
    "better": ("#0072B2", "o"),
    "tie": ("#999999", "D"),
    "worse": ("#D55E00", "s"),
    "reference": ("#000000", "|"),
}


def by_verdict(table):
    """The models of a table of differences by what became of them, as words: better: “a”, “b”; tie: “c”."""
    groups = table["model"].map("“{}”".format).groupby(table["verdict"], sort=False).agg(", ".join)
    return "; ".join(f"{verdict}: {models}" for verdict, models in groups.items())


def describe(fig):
    """What a figure says, for those who cannot see it: its title, and panel by panel the axes and the series."""
    said = [fig.get_suptitle()]
    for ax in fig.axes:
        if ax.get_label() == "<colorbar>":
            label = ax.get_ylabel() or ax.get_xlabel()
            said.append(f"colour: {label}" if label else "")
            continue
        named = {"across": ax.get_xlabel() or fig.get_supxlabel(), "up": ax.get_ylabel() or fig.get_supylabel()}
        said += [
            ax.get_title() or ax.get_title("right"),
            "; ".join(f"{way}: {label}" for way, label in named.items() if label),
        ]
    legends = [legend for legend in [*(ax.get_legend() for ax in fig.axes), *fig.legends] if legend]
    names = dict.fromkeys(text.get_text() for legend in legends for text in legend.get_texts())
    said.append(f"shown: {'; '.join(names)}" if names else "")
    for sign, name in ((r"\cdot", " times "), (r"\leq", " at most "), (r"\|", "|")):  # TeX read aloud
        said = [text.replace(sign, name) for text in said]
    words = [re.sub(r" ([,;:.])", r"\1", " ".join(re.sub(r"[$\\{}]", " ", text).split())) for text in said]
    return " ".join(f"{text[0].upper()}{text[1:].rstrip('.')}." for text in words if text)


def show(fig, alt=None, tight=True, seen=""):
    """Lay the figure out, show it, and return nothing, so that a cell stores the picture alone.

    The picture carries a text for those who cannot see it, in the notebook and on the pages made from it: `alt`, or
    else what the figure says of itself and after it `seen`, what the eye finds between the axes.
    """
    if tight:
        fig.tight_layout()
    if "inline" not in plt.get_backend():
        plt.show()
        return
    display(fig, metadata={"image/png": {"alt": alt or f"{describe(fig)} {seen}".strip()}})
    plt.close(fig)


# ---- Lesson 00 -------------------------------------------------------------------------------------------------------


# ---- Lesson 01 -------------------------------------------------------------------------------------------------------


# ---- Lesson 02 -------------------------------------------------------------------------------------------------------


# ---- Lesson 02b ------------------------------------------------------------------------------------------------------


# ---- Lesson 02c ------------------------------------------------------------------------------------------------------


# ---- Lesson 02d ------------------------------------------------------------------------------------------------------


# ---- Lesson 02e ------------------------------------------------------------------------------------------------------


# ---- Lesson 03 -------------------------------------------------------------------------------------------------------


# ---- Lesson 04 -------------------------------------------------------------------------------------------------------


def plot_stopping(train, held_out, baseline):
    """Training and held-out error pass by pass: each split faintly, their means, and the baseline's held-out mean.

    `train`, `held_out` : (splits, passes), rating points
    """
    passes = np.arange(1, train.shape[1] + 1)
    fig, ax = plt.subplots(figsize=(7.4, 4.2))
    for errors, part, line in ((train, "train", "-"), (held_out, "held out", "--")):
        ax.plot(passes, errors.T, color=COLORS[part], lw=0.7, alpha=0.3)
        ax.plot(passes, errors.mean(axis=0), line, color=COLORS[part], lw=2.5, label=f"{part}, mean of the splits")
    ax.axhline(baseline, color=COLORS["baseline"], linestyle=":", lw=1.8, label="bias baseline, held out")
    best = int(held_out.mean(axis=0).argmin())
    look = {"color": COLORS["held out"], "markeredgecolor": "black", "linestyle": "none"}
    ax.plot(passes[best], held_out.mean(axis=0)[best], "*", ms=17, label="lowest held-out mean", **look)
    ax.set(xlabel="passes over the training ratings", ylabel="RMSE (rating points)", xlim=(1, passes[-1]))
    ax.set_title("The training error falls on; the held-out error turns")
    ax.legend(loc="center right", bbox_to_anchor=(1, 0.55))
    seen = "Both fall and rest on a shoulder; then training falls on, while held out dips below the baseline and rises."
    show(fig, seen=seen)


def _short(name, most=24):
    """A title for the map: without its subtitle, and cut at a word."""
    name = re.split(r": | -", name)[0]
    return name if len(name) <= most else name[:most].rsplit(" ", 1)[0] + "…"


LABEL_PLACES = (  # of a name beside its point: pixels to the right and up, and how it is aligned
    (0, 7, "center", "bottom"),
    (0, -7, "center", "top"),
    (7, 0, "left", "center"),
    (-7, 0, "right", "center"),
)


def _label(fig, ax, places, names, said, free):
    """Names beside their points, in the order given: on the first side where one covers no point, no other name, not
    the text `said` and none of the places to keep `free`, or nowhere; a name that comes twice is written once."""
    canvas = fig.canvas.get_renderer()
    taken = [said.get_window_extent(canvas)]
    frame, points = ax.get_window_extent(canvas), ax.transData.transform([*places, *free])
    named = []
    for at, name in enumerate(names):
        for x, y, ha, va in LABEL_PLACES:
            look = {"textcoords": "offset points", "ha": ha, "va": va, "fontsize": 9, "zorder": 4}
            text = ax.annotate(_short(name), places[at], xytext=(x, y), **look)
            box = text.get_window_extent(canvas).padded(3)
            inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
            covers = any(box.contains(*point) for point in points)
            if inside and not covers and not any(box.overlaps(other) for other in taken) and _short(name) not in named:
                taken.append(box)
                named.append(_short(name))
                break
            text.remove()


def plot_taste_map(places, names, action, romance, viewer):
    """Titles in the plane of the two strongest axes of taste, marked by genre, with the direction of one viewer.

    `places` : (n, 2); `action`, `romance` : (n,) bool, both False for the others; `viewer` : (2,), where taste points
    """
    fig, ax = plt.subplots(figsize=(9.6, 7.6))
    looks = (
        (~(action | romance), "#999999", "o", "neither, or both"),
        (action, "#0072B2", "s", "action in the catalogue"),
        (romance, "#D55E00", "^", "romance in the catalogue"),
    )
    for chosen, face, marker, label in looks:
        ax.scatter(*places[chosen].T, c=face, marker=marker, s=38, edgecolors="white", linewidths=0.5, label=label)
    ax.axhline(0, color="#bbbbbb", lw=0.8, zorder=0)
    ax.axvline(0, color="#bbbbbb", lw=0.8, zorder=0)
    ax.margins(0.09)
    high = np.array([ax.get_xlim()[1], ax.get_ylim()[1]])  # the arrow stays within the frame, whatever its direction
    tip = 0.75 * viewer * np.min(high / np.maximum(np.abs(viewer), 1e-9))
    arrow = {"arrowstyle": "-|>", "lw": 1.8, "color": "black", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 20}
    ax.annotate("", tip, xytext=(0, 0), arrowprops=arrow, zorder=1)
    look = {"textcoords": "offset points", "ha": "center", "weight": "bold", "fontsize": 10}
    said = ax.annotate("taste of our viewer", tip, xytext=(0, 6), **look)
    ax.grid(False)
    ax.set(xlabel="first axis of taste (rating points for a typical viewer)", ylabel="second axis of taste")
    ax.set_title("A map of titles, learnt from ratings alone: neighbours please the same people")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncol=3)
    fig.tight_layout()
    order = np.argsort(-np.linalg.norm(places, axis=1), kind="stable")
    _label(fig, ax, places[order], [names[at] for at in order], said, np.linspace(0, 1, 60)[:, None] * tip)
    seen = "Romance lies on one side of the first axis and action on the other, with some of each in between."
    show(fig, seen=seen, tight=False)


# ---- Lesson 05 -------------------------------------------------------------------------------------------------------


# ---- Lesson 05b ------------------------------------------------------------------------------------------------------


# ---- Lesson 06 -------------------------------------------------------------------------------------------------------


# ---- Lesson 07 -------------------------------------------------------------------------------------------------------


# ---- Lesson 08 -------------------------------------------------------------------------------------------------------


# ---- Lesson 09 -------------------------------------------------------------------------------------------------------


# ---- Lesson 10 -------------------------------------------------------------------------------------------------------


# ---- Lesson 11 -------------------------------------------------------------------------------------------------------


# ---- Lesson 11b ------------------------------------------------------------------------------------------------------


# ---- Lesson 12 -------------------------------------------------------------------------------------------------------


# ---- Lesson 13 -------------------------------------------------------------------------------------------------------


# ---- Lesson 99 -------------------------------------------------------------------------------------------------------
