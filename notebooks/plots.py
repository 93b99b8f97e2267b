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


def plot_newcomers(lost):
    """How much better or worse than the mean alone two methods are, by how many ratings a newcomer has given."""
    fig, ax = plt.subplots(figsize=(6.6, 4.0))
    looks = {"own mean": (COLORS["held out"], "s", "--"), "equations": (COLORS["baseline"], "D", "-")}
    names = {"own mean": "own mean", "equations": "bias equations, $\\lambda$ = 5"}
    for (name, (hue, marker, line)), nudge in zip(looks.items(), (0.98, 1.02), strict=True):
        part = lost[lost["method"] == name]
        ax.errorbar(
            part["ratings given"] * nudge, part["against the mean"], part["half_width"],
            color=hue, marker=marker, linestyle=line, capsize=3, label=names[name],
        )  # fmt: skip
    ax.axhline(0, color="#777777", linewidth=1)
    low, high = ax.get_ylim()
    ax.axhspan(0, high, color=COLORS["held out"], alpha=0.08, linewidth=0)
    ax.set_ylim(low, high)
    ax.text(10.6, 0.03, "worse than the mean alone", ha="right", va="bottom", fontsize=10)
    ax.text(10.6, -0.03, "better", ha="right", va="top", fontsize=10)
    ticks = sorted(set(lost["ratings given"]))
    ax.set_xscale("log")
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set(
        xlabel="ratings that the newcomer has given",
        ylabel="change of RMSE (rating points)",
        title="One rating, believed in full, is worse than none",
    )
    ax.legend(loc="upper right", bbox_to_anchor=(1, 0.93))
    show(fig, seen="The own mean begins far above zero and crosses it near three ratings; the equations stay below.")


def plot_penalties(sweep):
    """Training and held-out error over the penalty, as differences from that of one of them."""
    fig, ax = plt.subplots(figsize=(6.6, 4.0))
    ax.axhline(0, color="#777777", linewidth=1)
    ax.plot(sweep["lambda"], sweep["train"], "o-", color=COLORS["train"], label="ratings learnt from")
    ax.errorbar(
        sweep["lambda"], sweep["held out"], sweep["half_width"],
        color=COLORS["held out"], marker="s", linestyle="--", capsize=3, label="hidden ratings",
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xticks(sweep["lambda"], [f"{reg:g}" for reg in sweep["lambda"]])
    ax.minorticks_off()
    ax.set(
        xlabel="penalty $\\lambda$ (imaginary ratings)",
        ylabel="RMSE less that of $\\lambda$ = 2 (rating points)",
        title="Too high a penalty costs more than too low a one",
    )
    ax.legend(loc="upper left")
    show(fig, seen="The training error only rises; the hidden one has a shallow low point and then climbs steeply.")


def plot_one_order(lines, dots, names):
    """Predictions of viewers over all titles, best title first, and what one of them really said; `names` are shown."""
    fig, ax = plt.subplots(figsize=(7.2, 4.4))
    looks = zip(lines.items(), (COLORS["spectral"], COLORS["baseline"], COLORS["ALS with biases"]), strict=True)
    for ((name, values), hue), line in zip(looks, ("--", "-", ":"), strict=True):
        ax.plot(np.arange(1, len(values) + 1), values, line, color=hue, linewidth=2, label=name)
    middle = lines["viewer1362"]
    ax.vlines(dots["place"] + 1, middle[dots["place"]], dots["rating"], color="#999999", linewidth=1)
    ax.plot(dots["place"] + 1, dots["rating"], "o", color=COLORS["baseline"], label="what viewer1362 said")
    for title, name in names.items():
        place, rating = dots.loc[title, ["place", "rating"]]
        left = place > len(middle) / 2
        ax.annotate(
            name, (place + 1, rating), (-8 if left else 8, -1), textcoords="offset points",
            ha="right" if left else "left", va="center", fontsize=10,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    ax.set(
        xlabel="titles, from the largest bias to the smallest",
        ylabel="rating (points)",
        title="One order for everybody; what strays from the curve is taste, and chance",
    )
    ax.set_ylim(0.5, 12.5)
    ax.legend(loc="upper center", ncols=2, fontsize=9.5)
    show(fig, seen="Three parallel falling curves; dots lie up to several points above and below the middle one.")


# ---- Lesson 04 -------------------------------------------------------------------------------------------------------


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
