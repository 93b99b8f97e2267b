"""Figures of the lessons: they get what a cell has computed, draw it, show it, and return nothing.

Nothing is fitted, split or measured here: what a figure shows, a reader can compute again from the cells above it.
"""

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import display

try:
    import ipywidgets as widgets
except ImportError:
    widgets = None

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


# ---- Lesson 05 -------------------------------------------------------------------------------------------------------


# ---- Lesson 05b ------------------------------------------------------------------------------------------------------


# ---- Lesson 06 -------------------------------------------------------------------------------------------------------


def plot_convergence(walks, optimum):
    """How far primal and dual still are from the optimum, pass by pass; `walks`: {name: rows of (primal, dual)}."""
    fig, axes = plt.subplots(1, 2, figsize=(9.2, 4.0), sharey=True)
    looks = zip(walks.items(), ((COLORS["primal"], "o", "-"), (COLORS["dual"], "s", "--")), strict=True)
    for (name, walk), (hue, marker, line) in looks:
        for ax, distance in zip(axes, (walk[:, 0] - optimum, optimum - walk[:, 1]), strict=True):
            ax.semilogy(
                np.arange(1, len(walk) + 1), np.maximum(distance, 1e-3),
                color=hue, marker=marker, linestyle=line, markevery=10, markersize=5, label=name,
            )  # fmt: skip
    axes[0].set(title="the answer: primal above the optimum", ylabel="distance (rating points², log scale)")
    axes[1].set_title("the proof: optimum above the dual")
    for ax in axes:
        ax.set_xlabel("pass")
    axes[0].set_ylim(1e-1, None)
    axes[0].legend()
    fig.suptitle("A longer step reaches the same answer, and its proof, in fewer passes", fontsize=12)
    show(fig, seen="In both panels the line of the splitting falls far below that of shrink-and-paste.")


def plot_against_baseline(differences):
    """Validation error less that of the bias baseline along lambda, without and with biases, with paired intervals."""
    fig, axes = plt.subplots(1, 2, figsize=(9.2, 4.0))
    looks = {"without": ("#D55E00", "s", "--"), "with": ("#0072B2", "o", "-")}
    for ax, (name, (hue, marker, line)) in zip(axes, looks.items(), strict=True):
        part = differences[differences["biases"] == name]
        ax.axhline(0, color=COLORS["baseline"], lw=1.5)
        ax.errorbar(
            part["reg"], part["difference"], part["half_width"],
            color=hue, marker=marker, linestyle=line, capsize=4, markersize=6,
        )  # fmt: skip
        ax.set_xscale("log")
        ax.set_xticks(part["reg"], [f"{reg:g}" for reg in part["reg"]])
        ax.minorticks_off()
        ax.set(xlabel=r"toll $\lambda$ (rating points, log scale)", title=f"{name} biases")
    top = axes[0].get_ylim()[1]
    axes[0].set_ylim(-0.06 * top, top)
    for ax in axes:
        ax.annotate("bias baseline", (0.02, 0), (0, 3), xycoords=("axes fraction", "data"), va="bottom",
                    textcoords="offset points", fontsize=9.5)  # fmt: skip
    axes[0].set_ylabel("RMSE less the baseline's\n(rating points)")
    fig.suptitle("Without biases no toll reaches the baseline; with them the best lies inside", fontsize=12)
    seen = "Left every interval lies above zero and the curve climbs; right it dips below zero once and ends at zero."
    show(fig, seen=seen)


def toll_path(regs, values, lists, at):
    """The singular values of X along lambda, a cursor at `regs[at]`, and beside them the list at this lambda."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2), width_ratios=(1.1, 1))
    for path in np.transpose(values):
        left.plot(regs, np.where(path > 0, path, np.nan), color=COLORS["spectral with biases"], lw=1.2, alpha=0.7)
    kept = values[at][values[at] > 0]
    left.axvline(regs[at], color=COLORS["held out"], ls="--")
    left.plot(np.full(len(kept), regs[at]), kept, "o", color=COLORS["held out"], ms=6)
    left.set(
        xlabel=r"toll $\lambda$ (rating points)",
        ylabel="singular values of X (rating points)",
        title=rf"$\lambda$ = {regs[at]:g} keeps {len(kept)} pattern{'s' * (len(kept) != 1)}",
        ylim=(0, None),
    )
    top = lists[at]
    right.plot(top["predicted_rating"], top["rank"], "o", color=COLORS["held out"], ms=7)
    for rank, name, rating in zip(top["rank"], top["name"], top["predicted_rating"], strict=True):
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "fontsize": 10}
        right.annotate(name, (0.02, rank), (0, 8), **place)
        right.annotate(f"{rating:.1f}", (rating, rank), (8, -4), textcoords="offset points", fontsize=10)
    right.set(
        xlabel="predicted rating (points)", ylabel="place", yticks=top["rank"],
        xlim=(6.8, 9.7), ylim=(len(top) + 0.5, 0.3), title="the list at this toll",
    )  # fmt: skip
    fig.tight_layout()
    names = ", ".join(top["name"])
    return fig, f"Left each line falls and ends at zero, the lower ones first; right, from the top: {names}."


AS_WIDE_AS_IT_IS = {"max_width": "100%", "align_self": "flex-start"}


class Slide:
    """A figure with a slider: `draw(at)` makes the figure for `labels[at]`, and says what the eye finds in it.

    Without ipywidgets, or without a running kernel, the figure of the position at the start stands there as a picture.
    """

    def __init__(self, draw, labels, at, name):
        self.draw, self.labels, self.at, self.name = draw, list(labels), at, name

    def picture(self, at):
        """(PNG, what it says) of the figure at a position."""
        (fig, seen), png = self.draw(at), io.BytesIO()
        fig.savefig(png, bbox_inches="tight")
        plt.close(fig)
        return png.getvalue(), f"{describe(fig)} {seen}"

    def box(self):
        """The slider above its picture."""
        options = [(str(label), at) for at, label in enumerate(self.labels)]
        slider = widgets.SelectionSlider(description=self.name, options=options, value=self.at, continuous_update=False)
        image = widgets.Image(value=self.picture(self.at)[0], layout=AS_WIDE_AS_IT_IS)
        slider.observe(lambda change: image.set_trait("value", self.picture(change["new"])[0]), "value")
        return widgets.VBox([slider, image])

    def _repr_mimebundle_(self, include=None, exclude=None):
        png, said = self.picture(self.at)
        still = {"text/plain": said, "image/png": base64.b64encode(png).decode()}
        return (still if widgets is None else self.box()._repr_mimebundle_() | still), {"image/png": {"alt": said}}


# ---- Lesson 07 -------------------------------------------------------------------------------------------------------


# ---- Lesson 08 -------------------------------------------------------------------------------------------------------


# ---- Lesson 09 -------------------------------------------------------------------------------------------------------


# ---- Lesson 10 -------------------------------------------------------------------------------------------------------


# ---- Lesson 11 -------------------------------------------------------------------------------------------------------


# ---- Lesson 11b ------------------------------------------------------------------------------------------------------


# ---- Lesson 12 -------------------------------------------------------------------------------------------------------


# ---- Lesson 13 -------------------------------------------------------------------------------------------------------


# ---- Lesson 99 -------------------------------------------------------------------------------------------------------
