"""Figures of the lessons: they get what a cell has computed, draw it, show it, and return nothing but a slider.

Nothing is fitted, split or measured here: what a figure shows, a reader can compute again from the cells above it.
"""

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import display
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import FancyBboxPatch, Rectangle

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
    "mean of Bayesian FMs": "#666600",
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
    "mean of Bayesian FMs": ("d", True),
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
        """The slider, and a button that moves it, above the picture."""
        options = [(str(label), at) for at, label in enumerate(self.labels)]
        slider = widgets.SelectionSlider(description=self.name, options=options, value=self.at, continuous_update=False)
        slider.layout = {"width": "36em", "max_width": "100%"}  # room for the longest label
        play = widgets.Play(max=len(options) - 1, value=self.at, interval=900)
        widgets.jslink((play, "value"), (slider, "index"))
        image = widgets.Image(value=self.picture(self.at)[0], layout=AS_WIDE_AS_IT_IS)
        slider.observe(lambda change: image.set_trait("value", self.picture(change["new"])[0]), "value")
        return widgets.VBox([widgets.HBox([play, slider]), image])

    def _repr_mimebundle_(self, include=None, exclude=None):
        png, said = self.picture(self.at)
        still = {"text/plain": said, "image/png": base64.b64encode(png).decode()}
        return (still if widgets is None else self.box()._repr_mimebundle_() | still), {"image/png": {"alt": said}}


LABEL_PLACES = (  # of a name beside its point: points to the right and up, and how it is aligned
    (0, 7, "center", "bottom"),
    (0, -7, "center", "top"),
    (7, 0, "left", "center"),
    (-7, 0, "right", "center"),
)


def short_title(name, most=24):
    """A title for a map: without its subtitle, and cut at a word."""
    name = re.split(r": | -", name)[0]
    return name if len(name) <= most else name[:most].rsplit(" ", 1)[0] + "…"


def name_points(fig, ax, places, names, free=(), said=()):
    """Names beside their points, in the order given: on the first side where one covers no point, no other name, none
    of the texts `said` and none of the places to keep `free`, or nowhere; a name that comes twice is written once."""
    canvas = fig.canvas.get_renderer()
    taken = [text.get_window_extent(canvas) for text in said]
    frame, points = ax.get_window_extent(canvas), ax.transData.transform([*places, *free])
    named = set()
    for place, name in zip(places, map(short_title, names), strict=True):
        for x, y, ha, va in LABEL_PLACES if name not in named else ():
            look = {"textcoords": "offset points", "ha": ha, "va": va, "fontsize": 9, "zorder": 4}
            text = ax.annotate(name, place, xytext=(x, y), **look)
            box = text.get_window_extent(canvas).padded(3)
            inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
            if inside and not any(box.contains(*at) for at in points) and not any(map(box.overlaps, taken)):
                taken.append(box)
                named.add(name)
                break
            text.remove()


# ---- Lesson 00 -------------------------------------------------------------------------------------------------------

PARTS = {  # the colour of each part
    "a table with holes": "#BBBBBB",
    "factors": "#E69F00",
    "convexity": "#56B4E9",
    "judging": "#CC79A7",
    "lists": "#009E73",
    "who rated what": "#0072B2",
    "how sure": "#6A3D9A",
    "in the world": "#D55E00",
    "to look up": "#F0E442",
}
STEP, WIDTH, HEIGHT = 1.75, 1.6, 0.84  # of the columns and of a box


def plot_course(lessons):
    """The parts as columns, each below its picture; a lesson's box says after which others it comes."""
    fig, ax = plt.subplots(figsize=(1.75 * len(PARTS), 6.6))
    rows = 0
    for column, part in enumerate(PARTS):
        _picture(ax, part, column * STEP, 1.75)
        ax.text(column * STEP, 0.85, part, ha="center", va="center", fontsize=11, weight="bold")
        own = [lesson for lesson in lessons if lesson.part == part]
        for row, lesson in enumerate(own):
            _box(ax, (column * STEP, -row), lesson, needed_directly(lesson.number, lessons))
        rows = max(rows, len(own))
    ax.set(xlim=(-0.86, (len(PARTS) - 1) * STEP + 0.86), ylim=(0.4 - rows, 2.4), aspect="equal")
    ax.set_title("The course in eight parts, and two pages to look things up")
    ax.set_axis_off()
    show(fig, alt=course_in_words(lessons))


def needed_directly(number, lessons):
    """The lessons that this one needs, without those that another of them needs already."""
    needs = {lesson.number: lesson.needs for lesson in lessons}

    def everything_before(name):
        return {name}.union(*map(everything_before, needs[name]))

    return [
        name
        for name in needs[number]
        if not any(name in everything_before(other) for other in needs[number] if other != name)
    ]


def course_in_words(lessons):
    """The map as sentences, for those who cannot see it."""
    said = [
        f"{one.number} ({one.part}: {one.short.replace(': ', ', ')}) needs "
        + (" and ".join(needed_directly(one.number, lessons)) or "none")
        for one in lessons
    ]
    return f"The lessons by part, each with those that it comes after. {'; '.join(said)}."


def _box(ax, place, lesson, after):
    x, y = place
    style = "round,pad=0,rounding_size=0.12"
    for face, edge, alpha in (("white", "none", 1), (PARTS[lesson.part], "#333333", 0.45)):
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        ax.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle=style, fc=face, ec=edge, alpha=alpha, zorder=3))
    head = f"{lesson.number} · {lesson.minutes} min"
    words = (head, lesson.short, f"after {' and '.join(after)}" if after else "")
    for line, up, weight in zip(words, (0.24, 0, -0.24), ("bold", "normal", "normal"), strict=True):
        ax.text(x, y + up, line, ha="center", va="center", fontsize=9, weight=weight, zorder=4)


def _picture(ax, part, x, y):
    """A small drawing of what a part is about, some 1.1 wide and high, around (x, y)."""
    at = lambda across, up: (x + across, y + up)  # noqa: E731
    dark, hue = "#333333", PARTS[part]
    square = lambda across, up, wide, high, full: ax.add_patch(  # noqa: E731
        Rectangle(at(across, up), wide, high, fc=hue if full else "white", ec=dark, lw=0.8)
    )
    if part == "a table with holes":
        for row in range(4):
            for col in range(4):
                square(-0.5 + 0.25 * col, -0.5 + 0.25 * row, 0.25, 0.25, (3 * row + 5 * col) % 7 > 2)
    elif part == "factors":
        for row in range(4):
            square(-0.55, -0.55 + 0.2 * row, 0.2, 0.2, True)
            square(-0.25 + 0.2 * row, 0.32, 0.2, 0.2, True)
            for col in range(4):
                square(-0.25 + 0.2 * col, -0.55 + 0.2 * row, 0.2, 0.2, False)
    elif part == "convexity":
        across = np.linspace(-0.55, 0.55, 40)
        ax.plot(x + across, y - 0.4 + 2.6 * across**2, color=dark, lw=2)
        ax.plot([x - 0.55, x + 0.55], [y - 0.4, y - 0.4], "--", color=dark, lw=1)
        ax.plot(*at(0, -0.33), "o", color=hue, markeredgecolor=dark, markersize=9)
    elif part == "judging":
        for up, middle, half in ((0.3, -0.15, 0.25), (0, 0.1, 0.35), (-0.3, 0.25, 0.2)):
            ax.plot([x + middle - half, x + middle + half], [y + up, y + up], color=dark, lw=2)
            ax.plot(*at(middle, up), "s", color=hue, markeredgecolor=dark, markersize=8)
        ax.plot([x, x], [y - 0.5, y + 0.5], "--", color=dark, lw=1)
    elif part == "lists":
        for place, width in enumerate((0.75, 0.6, 0.5, 0.4)):
            square(-0.35, 0.3 - 0.25 * place, width, 0.17, True)
            ax.text(x - 0.48, y + 0.38 - 0.25 * place, str(place + 1), ha="center", va="center", fontsize=9)
    elif part == "who rated what":
        marks = ((0, 0), (0, 2), (1, 1), (1, 3), (2, 0), (2, 2), (3, 1), (3, 3))
        for row in range(4):
            for col in range(4):
                square(-0.5 + 0.25 * col, -0.5 + 0.25 * row, 0.25, 0.25, False)
        for row, col in marks:
            across, up = x - 0.375 + 0.25 * col, y - 0.375 + 0.25 * row
            tick = [across - 0.07, across - 0.02, across + 0.08], [up + 0.01, up - 0.06, up + 0.08]
            ax.plot(*tick, color=hue, lw=2.5, solid_capstyle="round")
    elif part == "how sure":
        across = np.linspace(-0.55, 0.55, 60)
        curve = -0.4 + 0.85 * np.exp(-((across / 0.2) ** 2) / 2)
        inside = np.abs(across) < 0.27
        ax.fill_between(x + across[inside], y - 0.4, y + curve[inside], color=hue, alpha=0.45, lw=0)
        ax.plot(x + across, y + curve, color=dark, lw=2)
        ax.plot([x - 0.27, x + 0.27], [y - 0.53, y - 0.53], "|-", color=dark, lw=2, markersize=9)
    elif part == "in the world":
        for across, up in ((-0.5, -0.5), (0.15, -0.5), (-0.18, 0.15)):
            square(across, up, 0.36, 0.36, True)
        for start, end in (
            ((-0.14, -0.32), (0.15, -0.32)),
            ((-0.3, -0.14), (-0.08, 0.15)),
            ((0.32, -0.14), (0.1, 0.15)),
        ):
            ax.plot([x + start[0], x + end[0]], [y + start[1], y + end[1]], color=dark, lw=1.5)
    else:
        ax.plot(*at(-0.08, 0.08), "o", markersize=26, markerfacecolor="white", markeredgecolor=dark, markeredgewidth=2)
        ax.plot([x + 0.15, x + 0.5], [y - 0.17, y - 0.5], color=dark, lw=5, solid_capstyle="round")


# ---- Lesson 01 -------------------------------------------------------------------------------------------------------


def plot_tail(titles):
    """Ratings of each title by its place among all, those that the filter keeps and those that it drops."""
    fig, ax = plt.subplots(figsize=(7, 4))
    looks = {False: ("dropped by the filter", "#999999", ".", 4), True: ("kept", COLORS["held out"], "D", 4)}
    for kept, (name, colour, marker, size) in looks.items():
        some = titles[titles["kept"] == kept]
        ax.plot(some["place"], some["ratings"], marker, color=colour, markersize=size, label=name)
    ax.set(
        yscale="log",
        xlabel="titles, from the most rated to the least",
        ylabel="ratings in the file",
        title="The filter keeps the head and drops the long tail",
    )
    ax.legend()
    show(fig, seen="the kept titles crowd at the left end; most titles lie in a long falling tail without any kept one")


def plot_chosen(share, by_coin):
    """Share of known cells in each tenth of all cells, by how well they fit the viewer's taste."""
    fig, ax = plt.subplots(figsize=(7, 4))
    ax.plot(share.index, 100 * share, "o-", color=COLORS["train"], label="known cells")
    ax.axhline(100 * by_coin, color=COLORS["held out"], linestyle="--", label="if a coin had made the holes")
    ax.set(
        xticks=share.index,
        ylim=(0, None),
        xlabel="tenth of the cells, from least to most to this viewer's taste",
        ylabel="known cells, %",
        title="What suits a viewer's taste is more likely to be rated",
    )
    ax.legend()
    show(fig, seen="the share of known cells rises from the left to the right and crosses the level line of the coin")


# ---- Lesson 02 -------------------------------------------------------------------------------------------------------


def pencil_ridge(strengths, tables, ratings, people, films, at):
    """A slider over lambda: what two viewers' weights predict for each film, and what they have rated.

    `tables` holds for each strength the predictions (people, films); the first person, who rated all, is left out.
    """
    labels = [f"{strength:g}" for strength in strengths]
    return Slide(lambda now: _ridge_frame(labels[now], tables[now], ratings, people, films), labels, at, "λ")


def _ridge_frame(strength, table, ratings, people, films):
    fig, axes = plt.subplots(1, len(people) - 1, figsize=(9.2, 3.9), sharey=True)
    for ax, name, filled, given in zip(axes, people[1:], table[1:], ratings[1:], strict=True):
        ax.axhspan(1, 5, color="#999999", alpha=0.18, linewidth=0)
        ax.text(2.1, 5.15, "top of the scale", fontsize=9, color="0.3", ha="center")
        ax.axhline(5, color="0.4", linewidth=1)
        ax.axhline(1, color="0.4", linewidth=1)
        places = np.arange(len(films))
        ax.plot(places, given, "D", color="black", markersize=7, label="rating given", zorder=3)
        asked = np.isnan(given)
        ax.plot(places[~asked], filled[~asked], "s", color=COLORS["train"], mfc="none", ms=12, mew=2, label="fitted")
        ax.plot(places[asked], filled[asked], "o", color=COLORS["held out"], ms=11, label="never rated")
        for place, value in zip(places[asked], filled[asked], strict=True):
            ax.annotate(f"{value:.2f}", (place, value), xytext=(0, 9), textcoords="offset points", ha="center")
        ax.set(ylim=(-0.4, 11), xlim=(-0.5, len(films) - 0.5), title=f"{name}, λ = {strength}")
        ax.set_xticks(places, films, rotation=20)
    axes[0].set_ylabel("rating points")
    axes[1].legend(loc="upper left", bbox_to_anchor=(0.02, 0.99))
    fig.tight_layout()
    top = ", ".join(f"{name} {row[-1]:.2f}" for name, row in zip(people[1:], table[1:], strict=True))
    seen = (
        f"On {films[-1]}: {top}. Without a penalty the fitted squares lie on the ratings and both circles of the last "
        "film above the grey scale; as the penalty grows, all marks sink towards 0."
    )
    return fig, seen


def pencil_ruler(p, features, films, name, axes_names):
    """One viewer's direction as a ruler in the plane of two features: each title's foot is its predicted rating."""
    fig, ax = plt.subplots(figsize=(7.2, 5.2))
    length = np.hypot(*p)
    along, across = p / length, np.array([-p[1], p[0]]) / length
    ax.annotate("", 1.16 * along, (0, 0), arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1.8})
    ax.text(*(1.2 * along), name, fontsize=11, ha="left", va="center", color=COLORS["train"])
    above = features @ across > 0
    for score in range(1, 6):  # the foot of a prediction lies at prediction / length
        foot = along * (score / length)
        ax.plot(*np.stack([foot - 0.02 * across, foot + 0.02 * across]).T, color="black", lw=1.6)
        busy = np.any(above & (np.abs(features @ p - score) < 0.45))
        ax.text(*(foot + (-0.06 if busy else 0.06) * across), score, fontsize=11, ha="center", va="center")
    for q, film in zip(features, films, strict=True):
        ax.plot(*np.stack([q, along * (along @ q)]).T, "--", color="0.45", lw=1.3)
        ax.plot(*q, "s", color=COLORS["held out"], markersize=8)
        to_left = q @ across > 0
        look = {"textcoords": "offset points", "ha": "right" if to_left else "left", "va": "center", "fontsize": 10}
        ax.annotate(film, q, xytext=(-9 if to_left else 9, 0), **look)
    ax.set(xlim=(-0.3, 1.26), ylim=(-0.06, 1.06), xlabel=axes_names[0], ylabel=axes_names[1], aspect="equal")
    ax.set_title(f"{name}'s direction is a ruler: each foot is a prediction")
    seen = (
        "Each film drops a dashed line at a right angle onto the arrow, whose ticks count rating points from 1 to 5. "
        + "; ".join(f"{film} {value:.1f}" for film, value in zip(films, features @ p, strict=True))
    )
    show(fig, seen=seen + ".")


def pencil_passes(heights, holes, ends):
    """Left the objective after every half-step, right the empty cells after every pass, and where they end (dotted)."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.9))
    halves = np.arange(1, len(heights) + 1) / 2
    for first, style, color, label in (
        (0, "o", COLORS["train"], "after the viewers' half"),
        (1, "s", COLORS["held out"], "after the titles' half"),
    ):
        left.plot(halves[first::2], heights[first::2], style, color=color, ms=6 - 2 * first, label=label)
    left.set(yscale="log", xlabel="passes", ylabel="objective E (log scale)", title="Fast, then slow", xlim=(0, 30))
    left.set_yticks([2, 3, 4, 5, 8], ["2", "3", "4", "5", "8"])
    left.minorticks_off()
    left.legend()
    looks = (("o-", "#0072B2"), ("^-", "#009E73"), ("s-", "#D55E00"))
    passes = np.arange(1, len(holes) + 1)
    for cell, (style, color) in enumerate(looks):
        right.plot(passes, holes[:, cell], style, color=color, markersize=4, label=f"viewer {cell + 1}")
        right.axhline(ends[cell], color=color, linestyle=":", linewidth=1.5)
    right.axvline(6, color="black", linewidth=1)
    right.text(7, 4.75, "the rule stops here", fontsize=10, va="center")
    right.set(xlabel="passes", ylabel="empty cell (rating points)", ylim=(1, 5))
    right.set_title("The empty cells are far from done at pass 6")
    right.legend(loc="center right", title="empty cell of", bbox_to_anchor=(1, 0.36))
    seen = (
        "Left, points fall steeply for a few passes and then ever more slowly, never rising. Right, the three cells "
        "lie almost level near the line at pass 6, move again until about pass 40, and come to rest on dotted lines."
    )
    show(fig, seen=seen)


def pencil_ladder(ladder, reference):
    """Held-out RMSE of each rung, a small mark a split and a large one for the mean; dashed a model to come."""
    fig, ax = plt.subplots(figsize=(7.8, 3.4))
    looks = ((COLORS["global mean"], "P"), ("#D55E00", "X"), ("#E69F00", "v"), ("#0072B2", "o"))
    for at, (errors, (color, marker)) in enumerate(zip(ladder.values(), looks, strict=True)):
        ax.plot(errors, np.full(len(errors), at), "|", color=color, markersize=13, markeredgewidth=2)
        ax.plot(np.mean(errors), at, marker, color=color, markeredgecolor="black", markersize=11)
        ax.annotate(f"{np.mean(errors):.2f}", (np.mean(errors), at), xytext=(0, 11), textcoords="offset points",
                    ha="center", fontsize=10)  # fmt: skip
    ax.axvline(np.mean(reference), color="black", linestyle="--", linewidth=1.4, label="biases alone (lesson 03)")
    ax.set_yticks(range(len(ladder)), ladder, fontsize=10)
    ax.set(xlabel="held-out RMSE (rating points), left is better", ylim=(len(ladder) - 0.6, -0.7))
    ax.set_title("Features by hand lose to the mean, learnt ones beat it")
    ax.legend(loc="lower right")
    rungs = "; ".join(f"{name} {np.mean(errors):.1f}" for name, errors in ladder.items())
    show(fig, seen=f"From the top: {rungs}; the dashed line lies a little to the left of the last.")


# ---- Lesson 02b ------------------------------------------------------------------------------------------------------


def step_lengths(now, promised, left_out, walks, rating, at):
    """A slider over learning rates: the prediction after one step, promised and true, and after the next ones.

    After one step of rate eta: now + eta promised + eta^2 left_out. `walks`: {eta: predictions after 0, 1, ... steps}.
    """
    rates = list(walks)
    seen = (
        "Left, the true curve leaves its dashed tangent upward and crosses the rating. Right, short steps creep up to "
        "the rating, longer ones jump over it and back, and the longest leaves the panel."
    )
    draw = lambda slot: (_step_frame(now, promised, left_out, walks, rates[slot], rating), seen)  # noqa: E731
    return Slide(draw, rates, at, "rate")


def _step_frame(now, promised, left_out, walks, eta, rating):
    fig, (one, many) = plt.subplots(1, 2, figsize=(9.6, 3.9))
    grid = np.linspace(0, max(walks) * 1.08, 100)
    one.plot(grid, now + grid * promised, "--", color=COLORS["held out"], label="what the slope promises")
    one.plot(grid, now + grid * promised + grid**2 * left_out, color=COLORS["train"], label="what happens")
    one.plot(eta, walks[eta][1], "o", color=COLORS["train"], markeredgecolor="black", markersize=9)
    one.set(xlabel="learning rate", ylabel="prediction after one step", title="One step: the promise is for short ones")
    steps = np.arange(len(walks[eta]))
    many.plot(
        steps, np.clip(np.nan_to_num(walks[eta], nan=99), -99, 99), "o-", color=COLORS["train"], label="prediction"
    )
    many.set(xlabel="steps taken", ylabel="prediction", ylim=(-0.5, 9), xticks=steps[::2])
    many.set_title(f"The same step again and again, rate {eta}")
    for ax in (one, many):
        ax.axhline(rating, color="black", linestyle=":", label=f"the rating, {rating}")
        ax.legend(loc="upper left" if ax is one else "upper right", fontsize=9)
    fig.tight_layout()
    return fig


def plot_one_pass(rates, gains, baseline):
    """Held-out error after one pass minus that of the mean, by learning rate; gains are (mean, half width) pairs."""
    fig, ax = plt.subplots(figsize=(7, 4))
    middle, half = np.array(gains).T
    good = np.isfinite(middle)
    ax.errorbar(
        np.array(rates)[good], middle[good], half[good], fmt="o-", color=COLORS["SGD"], capsize=4, label="one pass"
    )
    for rate in np.array(rates)[~good]:
        ax.plot(
            rate, 0.06, "X", color=COLORS["held out"], markersize=11, linestyle="none", label=f"rate {rate:g}: explodes"
        )
    ax.axhline(0, color=COLORS["global mean"], linewidth=2, label="global mean")
    ax.axhline(baseline, color=COLORS["baseline"], linestyle="--", label="bias baseline")
    ax.set(
        xscale="log",
        ylim=(-0.56, 0.12),
        xlabel="learning rate (log scale)",
        ylabel="RMSE minus that of the global mean",
    )
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ax.minorticks_off()
    ax.set_title("One pass with steps of the right length comes near the baseline")
    ax.legend(fontsize=9, loc="lower left", bbox_to_anchor=(0, 0.16))
    show(
        fig,
        seen="The error falls until a rate of 0.1, nearly to the baseline, rises again, and at 1 it is gone.",
    )


# ---- Lesson 02c ------------------------------------------------------------------------------------------------------


def convex_valley(sweep, ranks, norms):
    """Rank and nuclear norm over the hole of the rows (2, 1), (1, x); and the envelope of the rank of one entry."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9))
    ranks, lowest = np.asarray(ranks), int(np.argmin(ranks))
    left.plot(np.delete(sweep, lowest), np.delete(ranks, lowest), "--", color=COLORS["dual"], lw=2.2, label="rank")
    hollow = {"color": COLORS["dual"], "markerfacecolor": "white", "markersize": 8}
    left.plot(sweep[lowest], 2, "o", **hollow)
    left.plot(sweep[lowest], ranks[lowest], "o", color=COLORS["dual"], markersize=8, label="rank at x = 0.5")
    left.plot(sweep, norms, color=COLORS["nuclear norm"], lw=2.2, label="nuclear norm")
    left.plot(sweep[np.argmin(norms)], min(norms), "*", color=COLORS["baseline"], markersize=12, label="its bottom")
    left.set(xlabel="hole x (points above 7)", ylabel="rank (patterns), norm (points)", ylim=(0, 5.2))
    left.set_title("The rank is flat, the norm is a valley")
    left.legend(fontsize=9, loc="lower left")
    x = np.linspace(-1, 1, 201)
    right.plot([-1, -0.02], [1, 1], "--", color=COLORS["dual"], lw=2.2, label="rank: 1, but 0 at zero")
    right.plot([0.02, 1], [1, 1], "--", color=COLORS["dual"], lw=2.2)
    right.plot(0, 1, "o", **hollow)
    right.plot(0, 0, "o", color=COLORS["dual"], markersize=8)
    right.plot(x, np.abs(x), color=COLORS["nuclear norm"], lw=2.2, label="|x|: the envelope")
    right.plot(x, x**2, ":", color=COLORS["baseline"], lw=1.8, label="x²: convex, but lower")
    right.set(xlabel="the only entry x of a table", ylabel="value", ylim=(-0.08, 1.5))
    right.set_title("No convex function below the rank is above |x|")
    right.legend(fontsize=9, loc="upper center", ncols=2)
    seen = (
        "Left, a level line at 2 with one dot below it at 0.5, and a V whose bottom lies above that dot; right, "
        "the straight sides of |x| run from 0 to the ends of the rank, and a parabola hangs below them."
    )
    show(fig, seen=seen)


def _rectangle(norm):
    """Corners of the tables (a, 1), (1, x) of this nuclear norm, 2 or more: |a + x| and |a - x| are bounded."""
    sums, differences = norm * np.array([1, 1, -1, -1, 1]), np.sqrt(norm**2 - 4) * np.array([1, -1, -1, 1, 1])
    return (sums + differences) / 2, (sums - differences) / 2


def convex_ball(x, sweep, norms):
    """The ball of the nuclear norm through the table (2, 1), (1, x), and where that is in the valley: a Slide's."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.9), gridspec_kw={"width_ratios": (1.1, 1)})
    norm, least = np.sqrt(6 + x**2 + 2 * abs(2 * x - 1)), 2.5
    left.fill(*_rectangle(norm), color=COLORS["spectral"], alpha=0.35, label=f"norm at most {norm:.2f}")
    if norm > least + 0.01:
        left.plot(*_rectangle(least), ":", color=COLORS["baseline"], lw=1.6, label="the first ball to touch")
    for branch in (1, -1):
        a = branch * np.geomspace(0.2, 5, 100)
        left.plot(a, 1 / a, "--", color=COLORS["dual"], lw=2, label="rank one: ax = 1" if branch == 1 else None)
    left.axvline(2, color=COLORS["baseline"], lw=1.8, label="completions: a = 2")
    left.plot(2, x, "*", color=COLORS["baseline"], markersize=15, zorder=4)
    left.set(xlim=(-4.2, 4.2), ylim=(-4.2, 4.2), aspect="equal")
    left.set(xlabel="a, known in our table (points)", ylabel="x, the hole (points)")
    left.set_title(f"x = {x:g}: the ball has grown to {norm:.2f}")
    left.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    right.plot(sweep, norms, color=COLORS["nuclear norm"], lw=2.2)
    right.plot(x, norm, "*", color=COLORS["baseline"], markersize=15)
    right.set(xlabel="x, the hole (points)", ylabel="nuclear norm (points)", title="The same walk in the valley")
    right.set_ylim(2, 5.2)
    fig.tight_layout()
    seen = "The line touches the rectangle's corner on the curve of rank one, at the bottom of the valley."
    more = "The line passes through the rectangle, which is larger than the dotted one; the star is off the bottom."
    return fig, more if norm > least + 0.01 else seen


def convex_holes(guesses, names):
    """What paste and shrink puts into each hole, pass by pass, as points above 7: (passes, holes)."""
    fig, ax = plt.subplots(figsize=(8.4, 4.2))
    lines = {"Ada": ("-", "o"), "Ben": ("--", "s"), "Cleo": ("-.", "^"), "Dan": (":", "D")}
    hues = {
        "Ada": COLORS["primal"],
        "Ben": COLORS["spectral"],
        "Cleo": COLORS["dual"],
        "Dan": COLORS["item neighbours"],
    }
    passes, last = np.arange(1, len(guesses) + 1), guesses[-1]
    heights = np.sort(last)
    for _ in range(200):  # labels that would overlap move apart
        close = np.diff(heights) < 0.22
        heights[1:][close] += 0.01
        heights[:-1][close] -= 0.01
    for hole, height in zip(np.argsort(last), heights, strict=True):
        who = names[hole].split(":")[0]
        line, marker = lines[who]
        ax.plot(passes, guesses[:, hole], line, marker=marker, markevery=(hole, 7), color=hues[who], lw=1.8, ms=5)
        ax.annotate(
            names[hole],
            (passes[-1], last[hole]),
            (passes[-1] + 1, height),
            textcoords="data",
            va="center",
            fontsize=9.5,
        )
    ax.axhline(0, color="#777777", lw=1)
    ax.set(
        xlim=(1, 1.37 * len(guesses)),
        xticks=range(5, len(guesses) + 1, 5),
        xlabel="pass",
        ylabel="guess for the hole (points above 7)",
        title="The holes learn from the ratings around them, then come to rest",
    )
    show(
        fig,
        seen=f"Lines fan out from 0 and end level, from the top: {', '.join(names[at] for at in np.argsort(-last))}.",
    )


# ---- Lesson 02d ------------------------------------------------------------------------------------------------------


# ---- Lesson 02e ------------------------------------------------------------------------------------------------------


def certify_bounds(alphas, betas, bounds):
    """The lower bound that multipliers alpha on the corner and beta beside it prove for the rows (2, 1) and (1, x)."""
    fig, ax = plt.subplots(figsize=(6.8, 4.4))
    levels = [0, 0.5, 1, 1.5, 2, 2.25, 2.4, 2.5001]
    filled = ax.contourf(alphas, betas, bounds, levels=levels, cmap="cividis", extend="min")
    ax.contour(alphas, betas, bounds, levels=levels[1:-1], colors="white", linewidths=0.8)
    ax.plot([0.75, 1.5], [0.5, 1], "--", color=COLORS["dual"], lw=1.8)
    for place, name, marker in (((0.75, 0.5), "2.5", "*"), ((0, 1), "2", "o"), ((1, 1), "2.47", "s")):
        ax.plot(*place, marker, color=COLORS["dual"], markeredgecolor="white", markersize=16 if marker == "*" else 9)
        ax.annotate(
            name, place, (0, 11), textcoords="offset points", ha="center", va="bottom", fontsize=10,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
    fig.colorbar(filled, ax=ax, label="bound (points)")
    ax.grid(False)
    ax.set(xlabel="α, the multiplier of the corner", ylabel="β, the multiplier of the two others")
    ax.set_title("No choice of multipliers proves more than 2.5")
    show(
        fig,
        seen="A ridge of height 2.5 runs from 0.75, 0.5 to the upper right; 0, 1 proves 2, and 1, 1 proves 2.47.",
    )


def certify_bracket(walk, lowest, highest, optimum):
    """Primal and dual pass by pass with the best bracket so far, and the proven gap beside the true distance."""
    passes = np.arange(1, len(walk) + 1)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.8, 4.1))
    left.fill_between(passes, highest, lowest, step="post", color="0.86", label="the optimum is in here")
    left.plot(passes, walk[:, 0], "o-", color=COLORS["primal"], ms=4, label="primal of this pass")
    left.plot(passes, walk[:, 1], "s", color=COLORS["dual"], ms=4, label="dual of this pass")
    left.step(passes, highest, "--", where="post", color=COLORS["dual"], label="best dual so far")
    left.set(xlabel="pass", ylabel="objective (points²)", title="Two bounds close in on the optimum")
    left.legend(fontsize=9.5, loc="upper right")
    gap, distance = lowest - highest, walk[:, 0] - optimum
    right.semilogy(passes, gap, "s--", color=COLORS["baseline"], ms=4, label="what we can prove: best gap so far")
    right.semilogy(
        passes, distance, "o-", color=COLORS["nuclear norm"], ms=4, label="the truth: distance to the optimum"
    )
    right.set(xlabel="pass", ylabel="difference of objectives (points²)", title="The proof trails behind the truth")
    right.set_ylim(1e-9, 20)
    right.legend(fontsize=9.5, loc="lower left")
    seen = (
        "Left the primal comes down and the best dual so far goes up, in steps, until they coincide. Right both "
        "lines fall, and the proven gap stays above the true distance all the way."
    )
    show(fig, seen=seen)


def certify_errors(lines, baseline):
    """Held-out error over the certified gap: name -> rows of a gap and an error; and the baseline's error."""
    fig, ax = plt.subplots(figsize=(7.6, 4.3))
    looks = {
        "proved": ("spectral, λ = 5, to smaller and smaller gaps", COLORS["spectral"], "X", "--"),
        "careless": ("biases, then 1, 2, 3, 5, 10, 20 passes", COLORS["spectral with biases"], "o", "-"),
    }
    for name, points in lines.items():
        label, hue, marker, line = looks[name]
        ax.plot(*np.transpose(points), line, marker=marker, color=hue, lw=2, ms=8, label=label)
    ax.axhline(baseline, color=COLORS["baseline"], ls=":", lw=1.8, label="bias baseline")
    ax.set(xscale="log", xlabel="relative gap that is proved (log scale, better to the right)")
    ax.invert_xaxis()
    ax.set(ylabel="RMSE on hidden ratings (points)", title="The better proof does not make the better prediction")
    ax.legend(fontsize=9.5, loc="center right")
    show(fig, seen="Both lines soon run level, the one that ends in the smallest gap far above the other.")


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


def plot_taste_map(places, names, action, romance, viewer, rated):
    """Titles in the plane of the two strongest axes of taste, marked by genre, with the direction of one viewer.

    `places` : (n, 2); `action`, `romance` : (n,) bool, both False for the others; `viewer` : (2,), where taste points;
    `rated` : (n,) bool, what this viewer has rated: ringed, and named first
    """
    fig, ax = plt.subplots(figsize=(9.6, 7.6))
    looks = (
        (~(action | romance), "#999999", "o", "neither, or both"),
        (action, "#0072B2", "s", "action in the catalogue"),
        (romance, "#D55E00", "^", "romance in the catalogue"),
    )
    for chosen, face, marker, label in looks:
        ax.scatter(*places[chosen].T, c=face, marker=marker, s=38, edgecolors="white", linewidths=0.5, label=label)
    ring = {"facecolors": "none", "edgecolors": "black", "linewidths": 1.2, "s": 110, "marker": "o"}
    ax.scatter(*places[rated].T, label="rated by our viewer", **ring)
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
    ax.set_title("A map of titles, learnt from ratings alone: the same direction pleases the same people")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncol=4)
    fig.tight_layout()
    order = np.lexsort((-np.linalg.norm(places, axis=1), ~rated))
    arrow_points = np.linspace(0, 1, 60)[:, None] * tip
    name_points(fig, ax, places[order], [names[at] for at in order], arrow_points, [said])
    seen = "Romance lies on one side of the first axis and action on the other, with some of each in between."
    show(fig, seen=seen, tight=False)


# ---- Lesson 05 -------------------------------------------------------------------------------------------------------

MEETING = {(True, True): "#D9D9D9", (True, False): "#F7D9A0", (False, True): "#BFDFF2", (False, False): "white"}


def als_product(A, P, Q, people, names):
    """The table and the two thin matrices whose product stands for it: where the first row and the last column meet."""
    fig, axes = plt.subplots(1, 3, figsize=(10.4, 3.1), width_ratios=(3, 2.1, 3))
    parts = (
        (A, people, names, "ratings $A$"),
        (P, people, ["action", "romance"], "viewers $P$:  row $u$"),
        (Q.T, ["action", "romance"], names, "titles $Q^T$:  column $i$"),
    )
    for at, (ax, (values, rows, cols, title)) in enumerate(zip(axes, parts, strict=True)):
        m, n = values.shape
        for u, i in np.ndindex(m, n):
            fill = MEETING[at < 2 and u == 0, at != 1 and i == n - 1]
            ax.add_patch(plt.Rectangle((i, u), 1, 1, facecolor=fill, edgecolor="#444444"))
            said = "?" if np.isnan(values[u, i]) else f"{round(values[u, i], 2) + 0:g}"
            ax.text(i + 0.5, u + 0.5, said, ha="center", va="center", fontsize=13)
        ax.set(xlim=(-0.03, n + 0.03), ylim=(m + 0.03, -0.03) if at < 2 else (2.53, -0.53), aspect="equal", title=title)
        ax.set_xticks(np.arange(n) + 0.5, [name.replace(" ", "\n", 1) for name in cols], fontsize=9)
        ax.set_yticks(np.arange(m) + 0.5, rows, fontsize=9)
        ax.tick_params(length=0)
        ax.grid(False)
        for spine in ax.spines.values():
            spine.set_visible(False)
    fig.tight_layout(w_pad=4)
    for left, right, sign in ((0, 1, "≈"), (1, 2, "×")):
        x = (axes[left].get_position().x1 + axes[right].get_tightbbox().x0 / fig.bbox.width) / 2
        fig.text(x, 0.5, sign, ha="center", va="center", fontsize=20)
    numbers = " + ".join(f"{p:.3g}·{q:.3g}" for p, q in zip(P[0], Q[-1], strict=True))
    seen = (
        f"The open cell of {people[0]} and {names[-1]} is filled by her row of P and the column of that title: "
        f"{numbers} = {P[0] @ Q[-1]:.3g}."
    )
    show(fig, seen=seen, tight=False)


WALKS = (("o-", "#E69F00"), ("s--", "#56B4E9"))  # one for each start, on the dark ground of the valley


def als_moving_points(objective, walks, still=3):
    """A slider over the half-steps of ALS on one cell: the walk in the valley, and the slice that a half-step walks.

    `objective(p, q)` takes arrays; `walks` holds for each start the points (p, q) after 0, 1, 2, ... half-steps.
    """
    seen = (
        "Left, low ground lies upper right and lower left, with a ridge between; each walk takes a long step, then "
        "ever shorter ones at right angles. Right, every slice is a parabola, and the step ends at its bottom."
    )
    return Slide(lambda step: (_als_frame(objective, walks, step), seen), range(len(walks[0])), still, "half-step")


def _als_frame(objective, walks, step):
    axis = np.linspace(-3.4, 3.4, 171)
    p, q = np.meshgrid(axis, axis)
    fig, (valley, slice_) = plt.subplots(1, 2, figsize=(9.2, 4.2), width_ratios=(1.15, 1))
    ground = valley.contourf(p, q, np.log10(objective(p, q)), levels=16, cmap="viridis")
    fig.colorbar(ground, label="log10 of the objective")
    of_title = step > 0 and step % 2 == 0
    for walk, (style, color) in zip(walks, WALKS, strict=True):
        label = f"from q = {walk[0, 1]:g}"
        valley.plot(*walk[: step + 1].T, style, color=color, markeredgecolor="black", markersize=6, label=label)
        valley.plot(*walk[step], style[0], color=color, markeredgecolor="white", markeredgewidth=2, markersize=11)
        before, now = walk[max(step - 1, 0)], walk[step]
        line = objective(now[0], axis) if of_title else objective(axis, now[1])
        at = int(of_title)
        held = f"{'p' if of_title else 'q'} = {now[1 - at]:.2f}"
        slice_.plot(axis, line, style[1:], color=color, linewidth=2, label=held)
        slice_.plot(before[at], objective(*before), style[0], color="white", markeredgecolor="black", markersize=7)
        slice_.plot(now[at], objective(*now), style[0], color=color, markeredgecolor="black", markersize=9)
    legend = {"facecolor": "#444444", "labelcolor": "white", "fontsize": 9}
    valley.legend(loc="upper left", **legend)
    valley.set(
        xlabel="p, the viewer's number",
        ylabel="q, the title's number",
        title="The whole: two valleys,\na ridge between them",
    )
    valley.grid(False)
    slice_.legend(title="held", loc="upper right", fontsize=9, title_fontsize=9)
    moves = "the start" if step == 0 else f"half-step {step}: the {'title' if of_title else 'viewer'} moves"
    slice_.set(xlabel="q, with p held" if of_title else "p, with q held", ylabel="objective", ylim=(0, 30))
    slice_.set_title(f"Each half is a parabola\n{moves}")
    fig.tight_layout()
    return fig


def als_trap(marks, curves, baseline):
    """Training and held-out RMSE against passes, means over the splits; `curves`: {run: (splits, passes, 2 errors)}."""
    looks = (("o-", "#E69F00"), ("s--", "#0072B2"), ("^-.", "#009E73"), ("D:", "#CC79A7"))
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 4.2))
    titles = "On the ratings it learnt from", "On ratings held out, k = 1 ends best of the four"
    for at, (ax, title) in enumerate(zip(axes, titles, strict=True)):
        for (name, values), (style, color) in zip(curves.items(), looks, strict=True):
            errors = values[:, :, at]
            ax.fill_between(marks, errors.min(axis=0), errors.max(axis=0), color=color, alpha=0.18, linewidth=0)
            ax.plot(marks, errors.mean(axis=0), style, color=color, label=name, markersize=6)
        ax.set(xscale="log", xlabel="passes (log scale)", ylabel="RMSE (rating points)", title=title, ylim=0)
        ax.set_xticks(marks, [str(mark) for mark in marks])
        ax.minorticks_off()
    axes[1].axhline(baseline.mean(), color=COLORS["baseline"], linewidth=1.4, label="bias baseline")
    axes[1].fill_between([], [], color="#999999", alpha=0.35, label="shaded: lowest to highest split")
    handles, labels = axes[1].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=3, frameon=False, bbox_to_anchor=(0.5, -0.12))
    seen = (
        "Left, both runs of twenty factors with the weak penalty fall towards 0, one of them at once. Right, that one "
        "jumps up when its training error drops, the other comes down from several points; the single factor ends "
        "nearest to the baseline's line."
    )
    show(fig, seen=seen)


# ---- Lesson 05b ------------------------------------------------------------------------------------------------------


def als_ladder(differences, reference):
    """Each model's held-out error minus the reference's, with 95 % intervals, in the order of the table."""
    fig, ax = plt.subplots(figsize=(7.6, 0.5 * len(differences) + 1.3))
    for at, row in enumerate(differences.itertuples()):
        color, marker = VERDICT_LOOKS[row.verdict]
        ax.errorbar(
            row.difference, at, xerr=row.half_width, fmt=marker, color=color, markersize=9, capsize=4, linewidth=2
        )
    ax.axvline(0, color="black", linewidth=1)
    ax.set_yticks(range(len(differences)), differences["model"], fontsize=10)
    ax.margins(y=0.12)
    ax.invert_yaxis()
    ax.set(
        xlabel=f"held-out RMSE minus that of {reference} (rating points)",
        title="Factors help once biases carry the levels",
    )
    show(fig, seen=f"Left of the line is better. {by_verdict(differences)}.")


def als_penalty(regs, runs):
    """Difference from the baseline against lambda; `runs`: {name: `paired_differences`, in the order of `regs`}."""
    looks = (("o-", COLORS["ALS"]), ("s--", COLORS["ALS with biases"]))
    fig, ax = plt.subplots(figsize=(7.2, 4.2))
    for at, ((name, table), (style, color)) in enumerate(zip(runs.items(), looks, strict=True)):
        places = np.array(regs) * (1 + 0.03 * at)
        ax.errorbar(
            places,
            table["difference"],
            yerr=table["half_width"],
            fmt=style,
            color=color,
            capsize=4,
            markersize=7,
            label=name,
        )
    ax.axhline(0, color=COLORS["baseline"], linewidth=1.4, label="bias baseline")
    ax.set(xscale="log", xlabel=r"penalty $\lambda$ (log scale)", ylabel="held-out RMSE minus the baseline's")
    ax.set_xticks(regs, [f"{reg:g}" for reg in regs])
    ax.minorticks_off()
    ax.set_title("With biases, a strong penalty leads to the baseline; without, to zero")
    ax.legend()
    seen = (
        "Without biases the curve climbs away at strong penalties; with them it dips below the line, then lies on it."
    )
    show(fig, seen=seen)


def als_starts(ranks, excess, common, n):
    """For each rank: how far starts end above the lowest, and how many of n titles their lists share with the first.

    `excess` (ranks, starts) in units of the objective, `common` (ranks, starts - 1).
    """
    fig, (height, lists) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    at = np.arange(len(ranks))
    nudge = np.linspace(-0.3, 0.3, excess.shape[1])
    height.plot(at[:, None] + nudge, excess, "o", color=COLORS["ALS"], markeredgecolor="black")
    height.set(ylabel="objective above the lowest end", title="How high ten starts end")
    lists.plot(at[:, None] + nudge[1:], common, "s", color=COLORS["spectral with biases"], markeredgecolor="black")
    lists.set(
        ylabel="titles shared with the first list", ylim=(0, n + 0.8), title=f"How much of {n} titles they agree on"
    )
    for ax in (height, lists):
        ax.set_xticks(at, [str(k) for k in ranks])
        ax.set_xlabel("number of factors k")
    fig.suptitle("Few factors or many have one end, those between have several", fontsize=12)
    seen = "In the columns of five and eight factors markers lie at several heights, and so do the shares of the lists."
    show(fig, seen=seen)


def als_map(points, names, first):
    """Titles in the plane of two axes; the positions `first` are named, then those furthest out where there is room."""
    fig, ax = plt.subplots(figsize=(9.6, 7))
    ax.axhline(0, color="#BBBBBB", linewidth=0.8)
    ax.axvline(0, color="#BBBBBB", linewidth=0.8)
    ax.scatter(*points.T, s=22, color=COLORS["ALS with biases"], edgecolor="white", linewidth=0.5)
    ax.set(xlabel="first axis (√ rating points)", ylabel="second axis (√ rating points)")
    ax.set_title("A map of titles that nobody drew")
    ax.margins(0.09)
    ax.grid(False)
    fig.tight_layout()
    order = [*first, *np.argsort(-np.hypot(*points.T), kind="stable")]
    name_points(fig, ax, points[order], [names[at] for at in order])
    seen = "Love stories lie at one end of the first axis, long fights at the other; thrillers high, comedies low."
    show(fig, seen=seen, tight=False)


# ---- Lesson 05c ------------------------------------------------------------------------------------------------------

PART_HUES = ("#56B4E9", "#E69F00", "#7B3294")


def nmf_bars(adds, titles, names):
    """Titles as sums of three parts, rating points; `adds`: (n, 3), in groups, one after the other, of equal size."""
    fig, ax = plt.subplots(figsize=(9.6, 8.2))
    each = len(titles) // adds.shape[1]
    down = np.arange(len(titles)) + np.arange(len(titles)) // each  # a gap after each group
    ax.barh(down, 1, color="#CCCCCC", height=0.78, label="the lowest rating, 1")
    start = np.ones(len(titles))
    for part, (name, hue) in enumerate(zip(names, PART_HUES, strict=True)):
        ax.barh(down, adds[:, part], left=start, color=hue, height=0.78, label=name)
        for at in np.flatnonzero(adds[:, part] >= 0.45):
            place = start[at] + adds[at, part] / 2
            tone = "white" if hue == PART_HUES[2] else "black"
            ax.text(place, down[at], f"{adds[at, part]:.1f}", ha="center", va="center", fontsize=9, color=tone)
        start = start + adds[:, part]
    ax.set_yticks(down, [short_title(title, 34) for title in titles], fontsize=9.5)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.set(xlim=(0, 10), xlabel="predicted rating, mean over all viewers (rating points)")
    ax.set_title("Every title is a sum of three parts, and none of them takes anything away", fontsize=12)
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, -0.08), ncols=4, fontsize=10)
    own = [adds[part * each : (part + 1) * each, part].mean() for part in range(adds.shape[1])]
    seen = "; ".join(f"in its own group of titles {name} adds {add:.1f}" for name, add in zip(names, own, strict=True))
    show(fig, seen=f"{seen[0].upper()}{seen[1:]}, mean of each group; no bar goes to the left.")


def nmf_starts(ranks, found, dealt):
    """How alike the parts of two starts are, by the number of parts: of the ratings, and of tables dealt anew.

    `dealt`: (ranks, deals).
    """
    fig, ax = plt.subplots(figsize=(7.2, 4.2))
    low, high = np.min(dealt, axis=1), np.max(dealt, axis=1)
    ax.plot(ranks, found, label="the ratings", lw=2, markersize=7, color=COLORS["train"], marker="o")
    beside = np.array(ranks) + 0.12  # a deal as high as the ratings stays visible
    ax.vlines(beside, low, high, color="#999999", lw=1.5)
    across = np.repeat(beside, np.shape(dealt)[1])
    name = f"the same ratings dealt anew, {np.shape(dealt)[1]} deals"
    ax.plot(across, np.ravel(dealt), "s", label=name, color="#555555", markersize=5)
    ax.set(xticks=ranks, ylim=(0, 1.06), xlabel="number of parts", ylabel="correlation, mean over pairs of starts")
    ax.set_title("Two parts come back from every start; from four on they differ")
    ax.legend(loc="lower left")
    said = ", ".join(f"{value:.2f} at {rank}" for rank, value in zip(ranks, found, strict=True))
    bounds = ", ".join(f"{a:.2f} to {b:.2f}" for a, b in zip(low, high, strict=True))
    show(fig, seen=f"The line falls: {said}. The deals reach from {bounds}.")


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


# ---- Lesson 07 -------------------------------------------------------------------------------------------------------


def nuclear_sweeps(sweep, panels):
    """The nuclear norm along the missing entry; `panels`: {title: (norms, x of the least rank, proven bound)}."""
    fig, axes = plt.subplots(1, 2, figsize=(9.2, 4.2), layout="constrained")
    for ax, (title, (norms, low_rank, bound)) in zip(axes, panels.items(), strict=True):
        norms = np.asarray(norms)
        best, at = norms.argmin(), np.abs(sweep - low_rank).argmin()
        ax.plot(sweep, norms, color=color("nuclear norm"), lw=2)
        ax.axhline(bound, ls="--", color="#555555", label="proven: nothing lies below")
        ax.plot(sweep[at], norms[at], "s", ms=13, mfc="none", mew=2, color=COLORS["dual"], label="least rank")
        ax.plot(sweep[best], norms[best], "o", ms=7, color=COLORS["primal"], label="least nuclear norm")
        ax.set(xlabel="missing entry x (points above 7)", title=title, ylim=(bound - 1, None))
    axes[0].set_ylabel("nuclear norm (points)")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=10)
    fig.suptitle("The least nuclear norm lies in a valley; the least rank may lie elsewhere", fontsize=12)
    seen = "Both curves touch their dashed line. Left circle and square meet there; right the square is higher up."
    show(fig, tight=False, seen=seen)


def nuclear_bounds(passes, walk, optimum):
    """Nuclear norm of the pasted answer and proven lower bound, pass by pass; `walk`: rows of (primal, dual)."""
    primal, dual = np.transpose(walk)
    fig, ax = plt.subplots(figsize=(7.4, 3.8))
    ax.fill_between(passes, dual, primal, color="#999999", alpha=0.25, label="the optimum is in here")
    ax.plot(passes, primal, "o-", ms=5, color=COLORS["primal"], label="norm of our completion (primal)")
    ax.plot(passes, dual, "s--", ms=5, color=COLORS["dual"], label="proven lower bound (dual)")
    ax.set(xlabel="pass", ylabel="nuclear norm (rating points)", ylim=(0.75 * optimum, 1.25 * optimum))
    ax.set_title("Two easy steps, repeated, squeeze the optimum from both sides")
    ax.legend(loc="upper right", fontsize=10)
    show(fig, seen="The upper line falls and the lower line rises until they meet and stay together.")


def nuclear_transition(counts, ranks, shares, trials):
    """How many of `trials` came back, {method: (ranks, shares), NaN where not tried}."""
    fig, axes = plt.subplots(2, 2, figsize=(9.6, 6.6), sharex=True, sharey=True, layout="constrained")
    for ax, (name, table) in zip(axes.flat, counts.items(), strict=True):
        ax.set_facecolor("#cccccc")
        image = ax.imshow(table, origin="lower", aspect="auto", cmap="cividis", vmin=0, vmax=trials)
        for (at, column), count in np.ndenumerate(table):
            if np.isfinite(count):
                ink = "white" if count < 0.6 * trials else "black"
                ax.text(column, at, f"{count:.0f}", ha="center", va="center", color=ink, fontsize=10.5)
        ax.set_title(name)
        ax.set_xticks(np.arange(len(shares)), [f"{share:.1f}" for share in shares])
        ax.set_yticks(np.arange(len(ranks)), ranks)
        ax.grid(False)
    for ax in axes[1]:
        ax.set_xlabel("share of cells known")
    fig.supylabel("rank of the true table", fontsize=11)
    grey = plt.Rectangle((0, 0), 1, 1, color="#cccccc", label="fewer known cells than unknowns")
    fig.legend(handles=[grey], loc="outside lower center", fontsize=10)
    fig.colorbar(image, ax=axes, label=f"came back, of {trials}", ticks=np.linspace(0, trials, 5))
    fig.suptitle("Told the rank, and with ten starts, ALS gets by with fewer cells", fontsize=12)
    seen = "Counts rise from left to right. Below, ten starts come close to what is possible; above, one start and the "
    seen += "nuclear norm need more cells, the nuclear norm most."
    show(fig, tight=False, seen=seen)


def nuclear_relatives(distances):
    """Distance to the exact completion along lambda; `distances`: {name: {lambda: rating points}}."""
    looks = {
        "spectral": ("o", "-", color("spectral with biases"), 6, True),
        "ALS, k = 40": ("D", "none", COLORS["ALS"], 13, False),
        "ALS, k = 5": ("X", ":", "#555555", 8, True),
    }
    fig, ax = plt.subplots(figsize=(7.4, 4.0))
    for name, line in distances.items():
        marker, style, hue, size, filled = looks[name]
        face = hue if filled else "none"
        look = {"marker": marker, "ls": style, "color": hue, "ms": size, "mfc": face, "mew": 2}
        ax.loglog(list(line), list(line.values()), label=name, **look)
    ax.invert_xaxis()
    ticks = list(distances["spectral"])
    ax.set_xticks(ticks, [f"{reg:g}" for reg in ticks])
    ax.minorticks_off()
    ax.set_xlabel(r"$\lambda$ (rating points, log scale; smaller to the right)")
    ax.set_ylabel("root mean squared distance\n(rating points, log scale)")
    ax.set_title(r"As $\lambda$ falls, spectral becomes exact; ALS needs factors and patience")
    ax.legend(loc="lower left")
    seen = (
        "The line of spectral falls straight. The diamonds of ALS with 40 factors follow it, but the last one, which "
    )
    seen += "stopped early, hangs above it. With 5 factors the crosses climb."
    show(fig, seen=seen)


# ---- Lesson 08 -------------------------------------------------------------------------------------------------------


def plot_ladder_of_words(gaps):
    """Differences of held-out error with their intervals, one line a model; index: its name."""
    fig, ax = plt.subplots(figsize=(7.4, 3.8))
    ax.axvline(0, color=COLORS["baseline"], linewidth=1.2)
    for place, (gap, half) in enumerate(zip(gaps["difference"], gaps["half_width"], strict=True)):
        verdict = "better" if gap + half < 0 else "worse" if gap - half > 0 else "tie"
        hue, marker = VERDICT_LOOKS[verdict]
        ax.errorbar(gap, place, xerr=half, color=hue, marker=marker, markersize=8, capsize=4, linewidth=1.8)
    ax.set_yticks(range(len(gaps)), gaps.index)
    ax.invert_yaxis()
    ax.set(
        xlabel="held-out RMSE less that of the factors (rating points): left is better",
        title="Words help on top of the biases, and only in the right rows",
    )
    seen = "Words alone lie far to the right; three models with biases and words lie left of zero; shuffled rows right."
    show(fig, seen=seen)


def plot_shares(grid, curves, shares):
    """Held-out error of a blend over its share, less that of the share 1: each split, their mean, and chosen shares.

    `curves` : (splits, len(grid)), rating points; `shares` : (splits,)
    """
    fig, ax = plt.subplots(figsize=(7.2, 4.0))
    ax.axhline(0, color="#777777", linewidth=1)
    ax.plot(grid, curves.T, color=COLORS["held out"], linewidth=0.7, alpha=0.3)
    ax.plot(grid, curves.mean(axis=0), color=COLORS["held out"], linewidth=2.6, label="held out, mean of the splits")
    heights = [np.interp(share, grid, curve) for share, curve in zip(shares, curves, strict=True)]
    ax.plot(shares, heights, "o", color=COLORS["train"], label="share chosen on the validation part")
    ax.set(
        xlabel="share of the factors: 0 is baseline + words alone",
        ylabel="RMSE less that of the factors",
        title="The best share is a flat valley, so a rough choice will do",
    )
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.18), ncols=2, fontsize=9.5)
    show(fig, seen="The mean curve sinks a little from the left end, and rises to zero at the right end.")


def plot_portrait(portrait):
    """A viewer's weight on each word, smallest first, with the number of rated titles that have it."""
    fig, ax = plt.subplots(figsize=(7.2, 6.4))
    places = np.arange(len(portrait))
    for liked, name in ((True, "likes"), (False, "dislikes")):
        part = (portrait["weight"] >= 0).to_numpy() == liked
        hue, marker = VERDICT_LOOKS["better" if liked else "worse"]
        ax.hlines(places[part], 0, portrait["weight"][part], color=hue, linewidth=2)
        ax.plot(portrait["weight"][part], places[part], marker, color=hue, markersize=8, label=name)
    ax.axvline(0, color=COLORS["baseline"], linewidth=1)
    ax.set_yticks(places, [f"{word} ({n})" for word, n in zip(portrait["word"], portrait["rated"], strict=True)])
    ax.set(
        xlabel="weight (rating points for a title of this word alone)",
        ylabel="word (rated titles that have it)",
        title="What viewer1362 likes, read from the weights",
    )
    ax.legend(loc="lower right")
    show(
        fig, seen="The weights run from about minus one to plus one; dark words are at the top, light ones at the end."
    )


# ---- Lesson 09 -------------------------------------------------------------------------------------------------------


def plot_starts(heights, floor):
    """One panel a model: its objective from every start, and the proven floor; {name: (starts, passes)}."""
    fig, axes = plt.subplots(1, len(heights), figsize=(9.8, 3.7), sharey=True)
    for ax, (name, paths) in zip(axes, heights.items(), strict=True):
        passes = np.arange(1, paths.shape[1] + 1)
        ax.plot(passes, paths.T, color=COLORS["primal"], linewidth=0.8, alpha=0.35)
        ax.axhline(floor, color=COLORS["dual"], linestyle="--", linewidth=2)
        ax.set(title=name, xlabel="pass", xscale="log", ylim=(0, 220))
        ax.set_xlim(1, paths.shape[1])
        ax.set_xticks(ticks := [at for at in (1, 3, 10, 40, 200) if at <= paths.shape[1]], [str(at) for at in ticks])
        ax.minorticks_off()
    axes[0].set_ylabel("objective (rating points²)")
    axes[0].text(1.05, floor - 6, "proven floor", color=COLORS["dual"], va="top", fontsize=10)
    fig.suptitle("A hundred starts each: one factor has two valleys, the others have one", fontsize=12)
    show(fig, seen="In the first panel the lines part and settle at two heights; in the others all reach the floor.")


RACE_LOOKS = {  # colour, marker, line style, in the order of the runs
    "ALS": (COLORS["ALS with biases"], "s", "-"),
    "SGD, rate 0.05": ("#999999", "^", ":"),
    "SGD, rate 0.15": (COLORS["baseline"], "v", ":"),
    "SGD, rate 0.2, decay 0.1": (COLORS["spectral"], "o", "--"),
    "SGD, rate 0.2, decay 0.2": (COLORS["spectral with biases"], "D", "-."),
}


def plot_race(above, work):
    """How far above the floor each run is (shares, a value a pass), against the flops spent; `work`: flops of a
    pass of ALS and of SGD."""
    fig, ax = plt.subplots(figsize=(9.4, 4.4))
    for name, path in above.items():
        hue, marker, line = RACE_LOOKS[name]
        spent = work[name[:3]] * np.arange(1, len(path) + 1) / 1e6
        ax.plot(spent, 100 * path, line, marker=marker, markersize=5, color=hue, label=name)
    ax.set(
        xlim=(0, 6.2),
        ylim=(0.05, 400),
        yscale="log",
        xlabel="additions and multiplications (millions)",
        ylabel="above the proven floor (%, log scale)",
        title="SGD leads at first, ALS in the end",
    )
    ax.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=10, frameon=False)
    show(fig, seen="The lines of SGD begin below that of ALS and flatten out; ALS crosses them at one to ten per cent.")


TITLE_LOOKS = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."), ("#CC79A7", "D", ":"))


def plot_one_factor(titles, q, level, viewers):
    """The prediction for each title as a line over the viewer's one factor p, without and with title biases."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 4.3))
    p = np.linspace(-1.2, 1.2, 7)
    panels = (
        (np.zeros(len(q)), "Without biases the lines cross once, at 0", "taste p·q (rating points)"),
        (3 + np.asarray(level), "With title biases they cross in many places", "prediction (rating points)"),
    )
    for ax, (start, title, label) in zip(axes, panels, strict=True):
        for name, slope, base, (hue, marker, line) in zip(titles, q, start, TITLE_LOOKS, strict=True):
            ax.plot(p, base + slope * p, line, marker=marker, markersize=5, color=hue, label=name)
        for name, at in viewers.items():
            ax.axvline(at, color="#666666", linewidth=1, zorder=1)
            ax.text(at, 1.0, f" {name}", color="#333333", fontsize=10, va="bottom", transform=ax.get_xaxis_transform())
        ax.set(xlabel="the viewer's factor $p$", ylabel=label)
        ax.set_title(title, pad=20)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=4, fontsize=10, frameon=False)
    fig.tight_layout(rect=(0, 0.07, 1, 1))
    show(fig, tight=False, seen="Right of 0 the left panel has one order of lines; the right panel has several.")


LADDER_LOOKS = {
    "baseline": (COLORS["baseline"], "D", "-."),
    "λ = 8": (COLORS["ALS with biases"], "s", "-"),
    "λ = 0.1": ("#56B4E9", "X", "--"),
}


def plot_more_ratings(shares, errors):
    """Held-out error of each model against the share of the training ratings that it learnt from."""
    fig, ax = plt.subplots(figsize=(7.4, 4))
    for name, path in errors.items():
        hue, marker, line = LADDER_LOOKS[name]
        face, size = ("none", 12) if name == "λ = 8" else (hue, 7)
        label = name if name == "baseline" else f"ALS with biases, {name}"
        look = {"color": hue, "marker": marker, "markersize": size, "markerfacecolor": face, "markeredgewidth": 2}
        ax.plot(shares, path, line, label=label, **look)
    ax.legend(loc="upper left", fontsize=10)
    ax.set(
        xlabel="share of the training ratings",
        ylabel="held-out RMSE (rating points)",
        title="More ratings help, unless nothing holds the factors",
        ylim=(1.5, None),
    )
    ax.set_xticks(shares, ["a quarter", "half", "three quarters", "all"])
    show(fig, seen="The lines of the baseline and of the firm penalty fall; that of the weak penalty rises.")


def plot_penalty(regs, curves):
    """Held-out error and expected rating of the lists against the penalty; {name: (penalties, 2)}."""
    fig, axes = plt.subplots(1, 2, figsize=(9.8, 4))
    looks = {
        "with biases": (COLORS["ALS with biases"], "s", "-"),
        "without biases": (COLORS["spectral with biases"], "o", "--"),
    }
    labels = ("held-out RMSE (rating points)", "expected rating of ten titles")
    for at, (ax, label) in enumerate(zip(axes, labels, strict=True)):
        for name, path in curves.items():
            hue, marker, line = looks[name]
            ax.plot(regs, path[:, at], line, marker=marker, markersize=7, color=hue, label=name)
        ax.set(xscale="log", xlabel=r"penalty $\lambda$ (log scale)", ylabel=label)
        ax.set_xticks(regs, [f"{value:g}" for value in regs])
        ax.minorticks_off()
    axes[0].set_title("Lower is better: the error turns")
    axes[1].set_title("Higher is better: so do the lists")
    axes[0].legend(loc="upper left", fontsize=10)
    show(fig, seen="Both measures are best near a penalty of eight; without biases the error then climbs steeply.")


# ---- Lesson 10 -------------------------------------------------------------------------------------------------------


def plot_search(studies, step=5):
    """Two settings of each trial on log axes, darker where the score is better; a slider adds the trials.

    `studies` : {name: table of reg, bias_reg, score}, in the order of the trials
    """
    scores = np.concatenate([table["score"] for table in studies.values()])
    low, high = scores.min(), np.quantile(scores, 0.9)
    counts = range(step, max(map(len, studies.values())) + 1, step)

    def draw(at):
        fig, axes = plt.subplots(1, 2, figsize=(9.6, 4.2), sharex=True, sharey=True, layout="constrained")
        said = []
        for ax, (name, table), marker in zip(axes, studies.items(), "os", strict=True):
            part = table[: counts[at]]
            dots = ax.scatter(
                part["reg"], part["bias_reg"], c=part["score"].clip(upper=high), vmin=low, vmax=high,
                cmap="cividis", marker=marker, s=70, edgecolor="black", linewidth=0.6,
            )  # fmt: skip
            best = part.loc[part["score"].idxmin()]
            ax.plot(best["reg"], best["bias_reg"], "*", color=COLORS["held out"], ms=19, mec="white")
            ax.set(xscale="log", yscale="log", xlim=(0.4, 63), ylim=(0.4, 63), title=name)
            ax.set_xticks(ticks := [0.5, 1, 2, 5, 10, 20, 50], ticks)
            ax.set_yticks(ticks, ticks)
            ax.minorticks_off()
            ax.set_xlabel("penalty (rating points, log scale)")
            said.append(f"{name}: best penalty {best['reg']:.0f}, score {best['score']:.2f}")
        axes[0].set_ylabel("penalty of the biases\n(imaginary ratings, log scale)")
        fig.colorbar(dots, ax=axes, label="validation RMSE (dark is good)", extend="max")
        fig.suptitle(
            f"After {counts[at]} trials: random search is everywhere, TPE crowds where it was good (star: the best)",
            fontsize=11,
        )
        return fig, f"{'; '.join(said)}."

    return Slide(draw, counts, len(counts) - 1, "trials")


def plot_ways(rungs):
    """What fresh ratings say of each way to choose, less the model as it came; a row a way: mean, half width."""
    fig, ax = plt.subplots(figsize=(7.6, 3.2))
    ax.axvline(0, color="black", linewidth=1.2)
    for place, (mean, half) in enumerate(rungs.to_numpy()):
        verdict = "better" if mean + half < 0 else "worse" if mean - half > 0 else "tie"
        hue, marker = VERDICT_LOOKS[verdict]
        ax.errorbar(mean, place, xerr=half, color=hue, marker=marker, markersize=8, capsize=4, linewidth=1.8)
    ax.set_yticks(range(len(rungs)), rungs.index)
    ax.set(ylim=(len(rungs) - 0.5, -0.5), ylabel="chosen by")
    ax.set_xlabel("RMSE on fresh ratings less that of the model as it came (rating points)")
    ax.set_title("The training error chooses badly, a validation part chooses well")
    show(fig, seen=f"From the top: {'; '.join(f'{way} {row.iloc[0]:+.2f}' for way, row in rungs.iterrows())}.")


def plot_promises(curves, flattery):
    """Left what a choice among the first t settings promises and keeps; right the difference by the size of the part.

    `curves` : (2, settings) promised and kept, less the first setting; `flattery` : {ratings: (mean, half width)}
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.9), width_ratios=[1.25, 1])
    tried = np.arange(1, curves.shape[1] + 1)
    left.plot(tried, curves[0], "s--", color=COLORS["held out"], label="promised by the 100 ratings that chose")
    left.plot(tried, curves[1], "o-", color=COLORS["train"], label="kept on fresh ratings")
    left.fill_between(tried, *curves, color="#999999", alpha=0.3)
    left.set(xlabel="settings tried", ylabel="RMSE less that of the first setting\n(rating points)")
    left.set_xticks([1, *range(4, curves.shape[1] + 1, 4)])
    left.set_title("The promise falls further than the truth")
    left.legend(loc="upper right", fontsize=9.5)
    sizes, (means, halves) = list(flattery), np.transpose(list(flattery.values()))
    right.errorbar(sizes, means, yerr=halves, color="black", marker="D", capsize=4, linewidth=1.5)
    right.axhline(0, color="#777777", linewidth=1)
    right.set(xscale="log", xlabel="ratings that chose (log scale)", ylabel="promised and not kept\n(rating points)")
    right.set_xticks(sizes, sizes)
    right.minorticks_off()
    right.set_title("More ratings, less flattery")
    show(fig, seen="Left both lines fall and the dashed one falls further; right the diamonds sink towards zero.")


# ---- Lesson 11 -------------------------------------------------------------------------------------------------------


OTHERS = {
    "baseline + copy": "#777777",
    "baseline + nuclear norm": "#44AA99",
    "ALS from ones": COLORS["ALS as published"],
    "chosen": "#117733",
}


def training_and_held_out(means):
    """Training against held-out error, a named point a model; `means`: index model, columns training, held out."""
    fig, ax = plt.subplots(figsize=(8.6, 5))
    for name, (training, held_out) in means.iterrows():
        marker = LOOKS[name][0] if name in LOOKS else "s"
        ax.plot(training, held_out, marker, color=COLORS.get(name) or OTHERS[name], ms=9)
    low, high = means["held out"].min(), means["held out"].max()
    ax.set(
        xlim=(-0.2, means["training"].max() + 0.25), xticks=np.arange(0, 2.1, 0.5), ylim=(low - 0.06, high + 0.08),
        xlabel="training error (rating points)", ylabel="held-out error (rating points)",
        title="The smallest training errors are not the smallest held-out errors",
    )  # fmt: skip
    fig.tight_layout()
    first = means.sort_values("training", ascending=False)
    name_points(fig, ax, first.to_numpy(), first.index)
    seen = "From the right the points fall to the content model in the middle, and rise again towards the left edge."
    show(fig, seen=seen)


def _verdict_bars(ax, table):
    """Differences with their intervals, a line a model, in the colours and markers of the verdicts."""
    for place, (_, row) in enumerate(table.iterrows()):
        hue, marker = VERDICT_LOOKS[row["verdict"]]
        ax.errorbar(row["difference"], place, xerr=row["half_width"], color=hue, marker=marker, ms=7, capsize=4, lw=1.8)
    ax.axvline(0, color="black", lw=1)
    ax.set_yticks(range(len(table)), table.index, fontsize=10)
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)


VERDICT_KEY = [  # for a legend
    plt.Line2D([], [], color=hue, marker=marker, ls="-", label=name)
    for name, (hue, marker) in VERDICT_LOOKS.items()
    if name != "reference"
]


def alone_and_paired(alone, paired):
    """Errors with intervals of their own beside differences from the baseline; index model, best last."""
    order = [name for name in alone.sort_values(0).index if name != "baseline"]
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 4.2), sharey=True, layout="constrained")
    for place, name in enumerate(order):
        mean, half = alone.loc[name]
        axes[0].errorbar(mean, place, xerr=half, color="#555555", marker="o", capsize=4, lw=1.8)
    mean, half = alone.loc["baseline"]
    band = axes[0].axvspan(mean - half, mean + half, color="#999999", alpha=0.25, label="the baseline's own interval")
    axes[0].set(xlabel="held-out error (rating points)", title="each with its own interval")
    _verdict_bars(axes[1], paired.loc[order])
    axes[1].set(xlabel="held-out error less the baseline's", title="the difference on the same splits")
    fig.legend(handles=[band, *VERDICT_KEY], loc="outside lower center", ncols=4, fontsize=9.5)
    fig.suptitle("The more alike two models are, the better their difference is known", fontsize=12)
    words = "; ".join(f"{name} {row['verdict']}" for name, row in paired.loc[order].iterrows())
    show(
        fig,
        seen=f"Left all are long; right they are short for models like the baseline: {words}.",
        tight=False,
    )


def references(tables, start):
    """A slider over the reference; `tables`: {reference: table of difference, half_width, verdict, index model}."""
    names = sorted(tables, key=lambda name: tables["global mean"].loc[name, "difference"])
    reach = [max((t["difference"] + t["half_width"]).max() for t in tables.values()) + 0.05]

    def draw(at):
        fig, ax = plt.subplots(figsize=(7.6, 3.8))
        table = tables[names[at]].loc[[name for name in names if name != names[at]]]
        _verdict_bars(ax, table)
        ax.set(xlim=(-reach[0], reach[0]), xlabel=f"held-out error less that of {names[at]} (rating points)")
        counts = table["verdict"].value_counts()
        said = ", ".join(f"{counts.get(word, 0)} {word}" for word in ("better", "tie", "worse"))
        ax.set_title(f"Against {names[at]}: {said}")
        ax.legend(handles=VERDICT_KEY, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9.5)
        fig.tight_layout()
        words = "; ".join(f"{name} {row['verdict']}" for name, row in table.iterrows())
        return fig, f"From the top: {words}."

    return Slide(draw, names, names.index(start), "reference")


def real_differences(panels, near=0.085):
    """Differences from the baseline on an axis that shows them; what lies beyond it is written at the edge."""
    order = next(iter(panels.values())).drop("baseline").sort_values("difference").index
    fig, axes = plt.subplots(1, len(panels), figsize=(9.8, 4.6), sharey=True, layout="constrained")
    for ax, (name, table) in zip(axes, panels.items(), strict=True):
        table = table.loc[order]
        _verdict_bars(ax, table)
        ax.set(
            xlim=(-near, near),
            title=f"real {name}",
            xticks=(-0.06, -0.03, 0, 0.03, 0.06),
            xlabel="less the baseline's (rating points)",
        )
        for place, far in enumerate(table["difference"]):
            if far > near:
                look = {"ha": "right", "va": "center", "fontsize": 10, "color": VERDICT_LOOKS["worse"][0]}
                ax.annotate(f"{far:+.2f} ▶", (near, place), (-4, 0), textcoords="offset points", **look)
    beyond = plt.Line2D([], [], color=VERDICT_LOOKS["worse"][0], marker=">", ls="", label="worse, beyond the axis")
    handles = [line for line in VERDICT_KEY if line.get_label() != "worse"] + [beyond]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9.5)
    fig.suptitle("Among real viewers a gain is a few hundredths of a point; four models lose far more", fontsize=12)
    words = [f"on {n}, {t.loc[order, 'verdict'].value_counts().to_dict()}" for n, t in panels.items()]
    show(fig, tight=False, seen=re.sub(r"[{}']", "", "; ".join(words)))


# ---- Lesson 11b ------------------------------------------------------------------------------------------------------


def list_yardsticks(tables, start):
    """A slider over the yardstick; `tables`: {(yardstick, data): table of difference, half_width, verdict}."""
    yardsticks, data = (list(dict.fromkeys(key[at] for key in tables)) for at in (0, 1))
    order = tables["random", data[0]]["difference"].sort_values(ascending=False).index
    ends = [(t["difference"] + sign * t["half_width"]) for t in tables.values() for sign in (-1, 1)]
    low, high = min(e.min() for e in ends) - 0.01, max(e.max() for e in ends) + 0.01

    def draw(at):
        name = yardsticks[at]
        fig, axes = plt.subplots(1, len(data), figsize=(9.8, 4.8), sharey=True, layout="constrained")
        said = []
        for ax, which in zip(axes, data, strict=True):
            table = tables[name, which].loc[order]
            _verdict_bars(ax, table)
            ax.set(xlim=(low, high), title=f"real {which}", xlabel=f"NDCG less that of {name}")
            said.append(f"real {which}, {by_verdict(table.reset_index())}")
        fig.legend(handles=VERDICT_KEY, loc="outside lower center", ncols=3, fontsize=9.5)
        fig.suptitle(f"Lists against the yardstick “{name}”: right of the line is better", fontsize=12)
        return fig, f"On {'. On '.join(said)}."

    return Slide(draw, yardsticks, yardsticks.index(start), "yardstick")


def list_rules(tables, order):
    """Differences from the baseline under each rule of the game; `tables`: {rule: table, index model}."""
    order = [name for name in order if name != "baseline"]
    fig, axes = plt.subplots(1, len(tables), figsize=(9.6, 4.2), sharey=True, layout="constrained")
    for ax, (rule, table) in zip(axes, tables.items(), strict=True):
        _verdict_bars(ax, table.loc[order])
        ax.set(title=rule, xlabel="NDCG less the baseline's")
        ax.locator_params(axis="x", nbins=5)
    fig.legend(handles=VERDICT_KEY, loc="outside lower center", ncols=3, fontsize=9.5)
    fig.suptitle("Who follows the crowd keeps up among all titles, and not among rated ones", fontsize=12)
    words = [f"{rule}, {by_verdict(table.loc[order].reset_index())}" for rule, table in tables.items()]
    show(fig, tight=False, seen=". ".join(words))


def coverage_and_stability(like, filed):
    """Coverage against stability, a named point a model: the sample's table, and the same models filed for a real one.

    `like`: index model, columns stability and coverage; `filed`: rows with model, stability, coverage
    """
    names = {"global mean": "table order", "ALS as published": "ALS from ones"}
    # on one spot with those that they are made of:
    crowded = ("chosen", "half spectral, half content", "SGD", "half Bayesian, half content", "Bayesian FM")
    real = pd.DataFrame(filed).replace({"model": names}).set_index("model")[["stability", "coverage"]].dropna()
    fig, axes = plt.subplots(1, 2, figsize=(11, 5.6))
    looks = {
        "sample": (like, (0, 1.14), (0, 1.1)),
        "real data 1": (real.drop(list(crowded)), (0.22, 1.14), (0.08, 0.84)),
    }
    for ax, (title, (table, xlim, ylim)) in zip(axes, looks.items(), strict=True):
        for name, place in table[["stability", "coverage"]].iterrows():
            look = {"color": OTHERS.get(name, "#555555"), "marker": "o", "ms": 9}
            if name in LIST_LOOKS or name in LOOKS:
                hue, marker = LIST_LOOKS[name][:2] if name in LIST_LOOKS else (COLORS[name], LOOKS[name][0])
                look |= {"color": hue, "marker": marker}
            ax.plot(*place, ls="none", **look)
        ax.set(title=title, xlabel="stability: share of a list that another split keeps", xlim=xlim, ylim=ylim)
    axes[0].set_ylabel("coverage: share of titles in some list")
    fig.suptitle("Lists that are wide are seldom stable", fontsize=12)
    fig.tight_layout()
    first = ["nuclear norm", "spectral", "spectral with biases", "item neighbours", "content"]
    for ax, (table, _, _) in zip(axes, looks.values(), strict=True):
        order = sorted(table.index, key=lambda name: first.index(name) if name in first else 9)
        name_points(fig, ax, table.loc[order, ["stability", "coverage"]].to_numpy(float), order)
    show(fig, tight=False, seen="In both panels the points fall from wide lists at the upper left to table order.")


# ---- Lesson 12 -------------------------------------------------------------------------------------------------------


LIST_LOOKS = {  # colour, marker, line style
    "random": ("#999999", "x", ":"),
    "table order": ("#999999", "P", ":"),
    "popularity": ("#E69F00", "^", "--"),
    "implicit ALS": ("#CC79A7", "v", "--"),
    "baseline": (COLORS["baseline"], "D", "-."),
    "spectral with biases": (COLORS["spectral with biases"], "o", "-"),
}


def plot_reasons(reasons, title):
    """Bars of what each reason adds; `reasons`: rows of reason, rating, contribution (rating NaN where none)."""
    fig, ax = plt.subplots(figsize=(8.4, 0.42 * len(reasons) + 1.4))
    names = [
        reason if np.isnan(rating) else f"{reason}, rated {rating:g}"
        for reason, rating in zip(reasons["reason"], reasons["rating"], strict=True)
    ]
    values, places = reasons["contribution"].to_numpy(), np.arange(len(reasons))[::-1]
    for wanted, hue, hatch in ((values >= 0, COLORS["train"], ""), (values < 0, COLORS["held out"], "//")):
        ax.barh(places[wanted], values[wanted], color=hue, hatch=hatch, edgecolor="white", height=0.7)
    for place, value in zip(places, values, strict=True):
        ax.annotate(
            f"{value:+.2f}", (value, place), (5 if value >= 0 else -5, 0), textcoords="offset points",
            va="center", ha="left" if value >= 0 else "right", fontsize=10,
        )  # fmt: skip
    ax.axvline(0, color="black", lw=1)
    ax.set_yticks(places, names, fontsize=10)
    reach = 1.45 * np.abs(values).max()
    ax.set(xlim=(-reach, reach), xlabel="what it adds to the prediction (rating points)")
    ax.grid(axis="y", visible=False)
    fig.suptitle(title, fontsize=11)
    show(fig, seen=f"From the top: {'; '.join(f'{n} {v:+.2f}' for n, v in zip(names, values, strict=True))}.")


def plot_two_judges(differences):
    """Each model less the baseline by two judges; `differences`: {judge: table of model, difference, half_width}."""
    fig, axes = plt.subplots(1, 2, figsize=(9.4, 3.9), sharey=True)
    for ax, (judge, table) in zip(axes, differences.items(), strict=True):
        table = table.set_index("model")
        for place, (name, (hue, marker, _)) in enumerate(LIST_LOOKS.items()):
            mean, half = table.loc[name, ["difference", "half_width"]]
            ax.errorbar(mean, place, xerr=half, color=hue, marker=marker, markersize=8, capsize=4, lw=2)
        ax.axvline(0, color="black", lw=1)
        ax.set(title=judge)
        ax.locator_params(axis="x", nbins=5)
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(np.arange(len(LIST_LOOKS)), list(LIST_LOOKS), fontsize=10.5)
    axes[0].set_xlabel("NDCG@10 less the baseline's")
    axes[1].set_xlabel("rating points less the baseline's")
    fig.suptitle("Hidden ratings flatter the models that follow the crowd", fontsize=12)
    seen = "Left popularity and implicit ALS stand near the baseline; right popularity stands nearer to random lists."
    show(fig, seen=seen)


def plot_loop(paths, control):
    """Five rounds of a feedback loop; `paths`: {model: (ratings, lists)}, each a table of (mean, half width) a round;
    `control`: the first of these where random titles are shown."""
    fig, axes = plt.subplots(1, 2, figsize=(9.6, 4.2), sharey=True)
    rounds = np.arange(len(control))
    axes[0].errorbar(
        rounds, 100 * control[:, 0], 100 * control[:, 1], color="#666666", marker="x", ls=":", lw=2, capsize=3,
        label="random titles",
    )  # fmt: skip
    for name, both in paths.items():
        hue, marker, line = LIST_LOOKS[name]
        for ax, table in zip(axes, both, strict=True):
            ax.errorbar(
                rounds, 100 * table[:, 0], 100 * table[:, 1], color=hue, marker=marker, ls=line, lw=2, capsize=3,
                markersize=7, label=name,
            )  # fmt: skip
    axes[0].set(title="ratings: held by the ten most rated titles", ylabel="share (%)", ylim=(0, 100))
    axes[1].set_title("onlookers' lists: held by the ten commonest titles")
    for ax in axes:
        ax.set(xlabel="rounds of recommending and rating", xticks=rounds)
    handles, names = axes[0].get_legend_handles_labels()
    axes[0].legend(handles[1:] + handles[:1], names[1:] + names[:1], title="what the crowd is shown", loc="upper left")
    fig.suptitle("The loop piles up ratings, and the lists stay as narrow as they were", fontsize=12)
    show(fig, seen="Left three lines climb and the dotted one sinks a little; right no line climbs.")


# ---- Lesson 13 -------------------------------------------------------------------------------------------------------


def plot_parts_of_list(usual, parts, rated, listed):
    """Each row a title: what is usual for it, what each rating adds, and their sum, the prediction; rating points."""
    fig, ax = plt.subplots(figsize=(10.4, 4.7))
    hues = LinearSegmentedColormap.from_list("less or more", [COLORS["held out"], "white", COLORS["train"]])
    reach, last = np.abs(parts).max(), len(rated) + 1
    shades = np.pad(parts, ((0, 0), (1, 1)))  # the first and the last column are no parts of ratings: white
    ax.imshow(shades, cmap=hues, vmin=-1.5 * reach, vmax=1.5 * reach, aspect="auto")  # pale enough for black numbers
    for (down, across), part in np.ndenumerate(parts.round(2) + 0.0):
        ax.text(across + 1, down, f"{part:+.2f}", ha="center", va="center", fontsize=9.5, color="black")
    for across, column in ((0, usual), (last, usual + parts.sum(axis=1))):
        for down, value in enumerate(column):
            ax.text(across, down, f"{value:.2f}", ha="center", va="center", fontsize=10, weight="bold")
    for border in (0.5, last - 0.5):
        ax.axvline(border, color="#777777", lw=1.5)
    names = ["usual for the title", *rated, "prediction"]
    ax.set_xticks(np.arange(len(names)), names, fontsize=9.5, rotation=35, ha="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(len(listed)), listed, fontsize=10)
    ax.grid(visible=False)
    strongest = rated[np.abs(parts).sum(axis=0).argmax()]
    ax.set(
        xlabel="the usual rating of a title, and what each of yours adds to it (rating points)",
        title=f"The usual is nearly all; of your ratings {strongest} moves this list most",
    )
    seen = f"The first column holds {usual.min():.1f} to {usual.max():.1f}; no coloured cell more than {reach:.1f}."
    show(fig, seen=f"{seen} Blue adds, orange takes away; the strongest column is {strongest}.")


def list_so_far(lists, told, at):
    """The list after the first `at` ratings, each prediction with one standard deviation to both sides."""
    top, fig, ax = lists[at], *plt.subplots(figsize=(8.2, 4.4))
    ax.errorbar(
        top["predicted_rating"], top["rank"], xerr=top["uncertainty"], fmt="o", color=COLORS["train"], capsize=4, ms=7
    )
    for rank, name in zip(top["rank"], top["name"], strict=True):
        place = {"xycoords": ("axes fraction", "data"), "xytext": (0, -4), "textcoords": "offset points"}
        ax.annotate(name, (0.02, rank), **place, fontsize=10, bbox={"fc": "white", "ec": "none", "pad": 2})
    last = f"the last: {told[at - 1]}" if at else "what a stranger gets"
    ax.set(
        xlabel="predicted rating, and one standard deviation to both sides (rating points)", ylabel="place",
        yticks=top["rank"], xlim=(5.6, 10.1), ylim=(len(top) + 0.6, 0.4), title=f"After {at} ratings; {last}",
    )  # fmt: skip
    fig.tight_layout()
    mean = top["uncertainty"].mean()
    return fig, f"From the top: {', '.join(top['name'])}. The bars reach {mean:.1f} to both sides on average."


def plot_promise(promised, kept):
    """The share inside against the share promised, for each kind of interval: mean of the draws, and their range."""
    looks = {
        "plain": ("plain, true ratings", COLORS["spectral with biases"], "o", "-"),
        "hidden ratings": ("plain with noise, hidden ratings", "#666666", "D", "-."),
        "stretched": ("stretched, true ratings", COLORS["held out"], "s", "--"),
    }
    fig, ax = plt.subplots(figsize=(6.6, 4.8))
    ax.plot([0, 1], [0, 1], color="#999999", lw=1)
    way = {"rotation": 45, "rotation_mode": "anchor", "transform_rotates_text": True}
    ax.text(0.69, 0.64, "a promise kept", fontsize=10, **way)
    for name, shares in kept.items():
        label, hue, marker, line = looks[name]
        ax.fill_between(promised, np.min(shares, axis=0), np.max(shares, axis=0), color=hue, alpha=0.2, lw=0)
        ax.plot(promised, np.mean(shares, axis=0), color=hue, marker=marker, ls=line, ms=6, label=label)
    ax.set(
        xlabel="share promised", ylabel="share inside (band: single draws)", xlim=(0, 1), ylim=(0, 1),
        title="Of true ratings the plain ± holds far fewer than it promises",
    )  # fmt: skip
    ax.legend(loc="upper left")
    seen = (
        "The plain line runs far below the diagonal, that of hidden ratings nearer, the stretched one a little above."
    )
    show(fig, seen=f"{seen} The bands of single draws are narrow.")


# ---- Lesson 13b ------------------------------------------------------------------------------------------------------

RUNG_LOOKS = {  # colour, marker, line
    "mean": ("#999999", "P", ":"),
    "title's level": ("#CC79A7", "^", ":"),
    "generosity": (COLORS["baseline"], "D", "-."),
    "taste": (COLORS["spectral with biases"], "o", "-"),
    "taste without a mean": (COLORS["held out"], "X", "--"),
}
ORDER_LOOKS = {
    "popular": ("#D55E00", "s", "--"),
    "divisive": ("#009E73", "^", ":"),
    "informative": ("#0072B2", "o", "-"),
}


def plot_cold_start(curves):
    """Error against the number of ratings told, a line for each rung; what lies above the frame is told by an arrow."""
    fig, ax = plt.subplots(figsize=(8.2, 4.8))
    top = 1.3 * curves["mean"].iloc[0]
    places = np.arange(len(curves))
    for name, column in curves.items():
        hue, marker, line = RUNG_LOOKS[name]
        ax.plot(places, column, color=hue, marker=marker, ls=line, lw=2, ms=7, label=name)
    above = [f"{error:.1f} after {count}" for count, error in curves["taste without a mean"].items() if error > top]
    said = "above the frame, without a\nmean: " + ", ".join(above)
    ax.text(0, 0.97 * top, said, fontsize=10, va="top", color=COLORS["held out"])
    ax.set_xticks(places, curves.index)
    ax.set(
        xlabel="ratings told by a newcomer", ylabel="RMSE against the truth (rating points)", ylim=(None, top),
        title="Without a mean the first ratings do harm, and the late ones do not",
    )  # fmt: skip
    ax.legend(loc="lower left", fontsize=10)
    seen = (
        "Four lines start between 1.7 and 1.9 and sink or stay; the fifth comes from above the frame and crosses all."
    )
    show(fig, seen=seen)


def plot_asking(means, halves):
    """Error less that of random questions by the number of questions, for strangers of two kinds, with intervals."""
    fig, axes = plt.subplots(1, 2, figsize=(9.8, 4.2), sharey=True)
    panels = {True: "they answer everything", False: "they answer for what they saw"}
    for ax, (every, title) in zip(axes, panels.items(), strict=True):
        for nudge, (name, (hue, marker, line)) in zip((-0.12, 0, 0.12), ORDER_LOOKS.items(), strict=True):
            mean, half = means.loc[every, name], halves.loc[every, name]
            look = {"color": hue, "marker": marker, "ls": line, "lw": 2, "ms": 7, "capsize": 4}
            ax.errorbar(np.arange(len(mean)) + nudge, mean, half, label=name, **look)
        ax.axhline(0, color="black", lw=1)
        ax.set_xticks(np.arange(len(mean)), mean.index)
        ax.set(title=title, xlabel="questions asked")
    axes[0].set_ylabel("RMSE less that of random\nquestions (rating points)")
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(low, high + 0.25 * (high - low))  # room for the legend
    axes[1].legend(loc="upper right", fontsize=10)
    fig.suptitle("Clever questions lead only where they are answered", fontsize=12)
    show(fig, seen="Left two lines run well below zero and popular lies at it; right all three overlap below zero.")


def plot_fading(lives, differences):
    """What a half-life of the ratings costs or saves, for viewers who changed and for those who did not."""
    fig, ax = plt.subplots(figsize=(7.2, 4.0))
    looks = {"steady": (COLORS["baseline"], "D", "-."), "changed": (COLORS["train"], "o", "-")}
    for name, pairs in differences.items():
        hue, marker, line = looks[name]
        mean, half = np.transpose(pairs)
        ax.errorbar(
            np.arange(len(lives)), mean, half, color=hue, marker=marker, ls=line, lw=2, ms=7, capsize=4,
            label=f"viewers who {dict(steady='did not change', changed='have changed')[name]}",
        )  # fmt: skip
    ax.axhline(0, color="black", lw=1)
    ax.set_xticks(np.arange(len(lives)), lives)
    ax.set(
        xlabel="half-life (ratings)", ylabel="RMSE less that of ratings\nthat do not fade (rating points)",
        title="Letting ratings fade is an insurance",
    )  # fmt: skip
    ax.legend()
    show(
        fig,
        seen="One line falls from far above zero towards it, the other stays below zero and is lowest in the middle.",
    )


# ---- Lesson 14 -------------------------------------------------------------------------------------------------------


DEAL_LOOKS = {  # colour, marker, line
    "EASE": ("#0072B2", "o", "-"),
    "popularity": ("#E69F00", "^", "--"),
    "random": ("#777777", "x", ":"),
}


def dealt_again(panels):
    """NDCG before and after the titles are dealt again; `panels`: {data: {"as it is": table, "dealt again": table}},
    a row a split."""
    fig, axes = plt.subplots(1, len(panels), figsize=(10.4, 3.9), layout="constrained")
    for ax, (title, tables) in zip(axes, panels.items(), strict=True):
        for name, (hue, marker, line) in DEAL_LOOKS.items():
            means = [table[name].mean() for table in tables.values()]
            ax.plot((0, 1), means, line, color=hue, marker=marker, lw=2, ms=8, mew=2, label=name)
        top = max(table["EASE"].mean() for table in tables.values())
        top = 1.2 * max(top, 0.1)
        ax.set(title=title, xlim=(-0.3, 1.3), ylim=(-0.04 * top, top), xticks=(0, 1))
        ax.set_xticklabels(["as it is", "dealt\nagain"])
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("NDCG@10, all hidden titles")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9.5)
    fig.suptitle("Deal the titles again, and what EASE knew of real viewers is gone", fontsize=12)
    words = "On the real tables EASE falls from far above popularity to the level of popularity or luck; on the sample "
    show(fig, tight=False, seen=f"{words}all lines are nearly level.")


OF_CHOICES = {"ImplicitALS, binary": "s", "EASE": "o", "BPR": "D"}  # list models without an error, and their markers
BESIDE = {  # points from a model's marker to its name, and how it is aligned; else it stands on the right
    "mean of Bayesian FMs": (-6, 16, "left"),
    "spectral": (0, 10, "center"),
    "ALS as published": (0, -10, "center"),
    "global mean": (4, 10, "right"),
}


def _on_one_spot(places):
    """The models of a table of rmse_clipped and ndcg, by error, in groups whose markers touch."""
    groups, last = [], None
    for name, place in places.sort_values("rmse_clipped").iterrows():
        touches = last is not None and np.all(np.abs(place - last) < (0.03, 0.006))
        groups[-1].append(name) if touches else groups.append([name])
        last = place
    return groups


def error_against_list(tasks):
    """Held-out error across, NDCG up; models without an error in a strip of their own, yardsticks as lines.

    `tasks`: {data: (table of rmse_clipped and ndcg, NDCG of the models of who rated what and of the yardsticks)}
    """
    fig, axes = plt.subplots(
        1, 2 * len(tasks), figsize=(11, 5), width_ratios=(3.2, 1.3) * len(tasks), layout="constrained"
    )
    names = {"global mean": "table order", "ALS as published": "ALS from ones"}
    for (title, (errors, lists)), ax, strip in zip(tasks.items(), axes[::2], axes[1::2], strict=True):
        for name, place in errors.iterrows():
            ax.plot(*place, marker=LOOKS[name][0], color=COLORS[name], ms=9, ls="none", label=names.get(name, name))
        low = min(lists["popularity"], lists["random"]) > 0.05  # is there room for names below the lines?
        for group in _on_one_spot(errors):
            right, up, side = BESIDE.get(group[0], (8, 0, "left"))
            look = {"textcoords": "offset points", "xytext": (right, up), "ha": side, "va": "center"}
            middle = errors.loc[group].mean()
            if len(group) > 1:  # a column of names with a line to their one spot
                side = "left" if middle.iloc[0] < errors["rmse_clipped"].mean() else "right"
                up, edge = (0.05, "top") if low else (0.112, "bottom")
                look = {"xytext": (middle.iloc[0], up), "ha": side, "va": edge}
                look["arrowprops"] = {"arrowstyle": "-", "color": "#666666", "shrinkB": 5}
            said = "\n".join(names.get(name, name) for name in group)
            said = said.replace("of B", "of\nB") if len(group) == 1 else said
            ax.annotate(said, tuple(middle), fontsize=9, **look)
        for name, marker in OF_CHOICES.items():
            strip.plot(0, lists[name], marker, color="#8C510A", mfc="white", ms=9, mew=2)
        for one in (ax, strip):
            one.set_ylim(0, 0.215)
            for name, line in (("popularity", "--"), ("random", ":")):
                one.axhline(lists[name], color=DEAL_LOOKS[name][0], ls=line, lw=1.8, label=name, zorder=0)
        strip.set(xlim=(-0.15, 1), xticks=(), xlabel="no error", yticklabels=())
        ax.set(title=f"real {title}", xlabel="held-out RMSE (rating points)")
        height = np.inf
        for up, name in sorted(((lists[name], name) for name in OF_CHOICES), reverse=True):
            height = min(up, height - 0.009)  # names beside the strip, none on another
            strip.text(0.12, height, name.replace(", binary", ""), va="center", fontsize=9.5)
    axes[0].set_ylabel("NDCG@10 (larger is better)")
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9.5)
    fig.suptitle("The best lists come from models that predict no rating, not from small errors", fontsize=12)
    seen = "In both panels the models with an error lie below 0.11 in NDCG, and those without one lie above them."
    by_error = {title: errors["rmse_clipped"].sort_values().index for title, (errors, _) in tasks.items()}
    said = [f"{title}: {', '.join(names.get(name, name) for name in order)}" for title, order in by_error.items()]
    show(fig, tight=False, seen=f"{seen} By error, smallest first, on {'; on '.join(said)}.")


# ---- Lesson 15 -------------------------------------------------------------------------------------------------------


def autoencoder_rungs(panels, reference):
    """NDCG less the reference's with intervals, a panel a data set; `panels`: {data: table of difference, half_width,
    verdict, by model in the order of the rungs}."""
    fig, axes = plt.subplots(1, len(panels), figsize=(10.4, 4.2), sharey=True, layout="constrained")
    for ax, (name, table) in zip(axes, panels.items(), strict=True):
        _verdict_bars(ax, table)
        ax.set(title=f"real {name}", xlim=(-0.19, 0.05), xticks=(-0.15, -0.1, -0.05, 0))
    axes[len(axes) // 2].set_xlabel(f"NDCG@10 less that of {reference}, on the same splits")
    met = set(pd.concat(panels)["verdict"])
    handles = [line for line in VERDICT_KEY if line.get_label() in met]
    fig.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9.5)
    fig.suptitle("Among real viewers nothing here is ahead of EASE with grades", fontsize=12)
    words = [f"on {name}, {table['verdict'].value_counts().to_dict()}" for name, table in panels.items()]
    show(fig, tight=False, seen=re.sub(r"[{}']", "", "; ".join(words)))


# ---- Lesson 16 -------------------------------------------------------------------------------------------------------


LAYER_HUES = ("#CC79A7", "#009E73", "#E69F00", "#D55E00", "#000000")  # of curves, few layers first


def graph_filters(s, layers, cutoff):
    """What of each direction of a viewer's row passes a filter, against its singular value; dots are those of a table.

    `layers`: {number of layers: function of s, 1 at s = 1}; `cutoff`: how many directions a truncated SVD keeps
    """
    fig, axes = plt.subplots(1, 2, figsize=(10, 4.4), sharey=True, layout="constrained")
    across, formulas = np.linspace(0, 1, 201), {2: "$(1 + s^2)\\,/\\,2$", 3: "$(1 + 2s^2 + s^4)\\,/\\,4$"}
    for (count, respond), hue in zip(layers.items(), LAYER_HUES, strict=False):
        label = f"{count} layers" + (f": {formulas[count]}" if count in formulas else "")
        axes[0].plot(across, respond(across), color=hue, lw=2.2, label=label)
        axes[0].plot(s, respond(s), "o", color=hue, ms=4.5, alpha=0.7)
    edge = (s[cutoff - 1] + s[cutoff]) / 2
    axes[1].plot((0, edge, edge, 1), (0, 0, 1, 1), color=COLORS["spectral with biases"], lw=2.2)
    axes[1].plot(s, np.arange(len(s)) < cutoff, "o", color=COLORS["spectral with biases"], ms=4.5, alpha=0.7)
    for ax, title in zip(
        axes, ("layers averaged: a slope", f"truncated SVD, {cutoff} directions: a step"), strict=True
    ):
        ax.plot(s, np.full(len(s), -0.08), "|", color="#333333", ms=9)
        ax.set(title=title, xlabel="singular value s of the direction", xlim=(0, 1.04), ylim=(-0.13, 1.08))
    axes[0].set_ylabel("how much of a viewer's row passes")
    axes[0].legend(loc="upper left", fontsize=10)
    axes[1].annotate("sum of grades", (1, 1), (-14, -34), textcoords="offset points", ha="right", fontsize=10,
                     arrowprops={"arrowstyle": "-", "color": "#333333"})  # fmt: skip
    for ax in axes:
        ax.text(0.5, -0.08, "strokes: the sample's directions", fontsize=9, va="center")
    fig.suptitle("Two low-pass filters of one graph", fontsize=12)
    seen = "Left all curves rise to 1 at s = 1, steeper with more layers; right what lies above an edge passes whole."
    show(fig, tight=False, seen=seen)


SMOOTH_LOOKS = {  # colour, marker, line style
    "steps": ("#D55E00", "o", "-"),
    "layers": ("#009E73", "s", "--"),
}


def graph_smoothing(panels):
    """NDCG less that of one round, and titles shared with the sum of grades, by how far likes have travelled.

    `panels`: {data: table with family, count, difference, half_width, shared}
    """
    fig, axes = plt.subplots(2, len(panels), figsize=(11, 5.8), sharex=True, sharey="row", layout="constrained")
    names = {"steps": "the last place alone", "layers": "layers averaged"}
    said = []
    for (title, table), (up, down) in zip(panels.items(), axes.T, strict=True):
        for family, (hue, marker, line) in SMOOTH_LOOKS.items():
            part = table[table["family"] == family]
            at = part["count"].to_numpy() - (family == "layers")  # K layers reach K - 1 rounds
            look = {"color": hue, "marker": marker, "ls": line, "lw": 1.8, "ms": 6}
            up.errorbar(at, part["difference"], yerr=part["half_width"], capsize=3, **look)
            down.plot(at, part["shared"], label=names[family], **look)
            said.append(f"{title}, {names[family]}, {part['difference'].iloc[-1]:+.2f} at the end")
        up.axhline(0, color="#333333", lw=1)
        up.set_title(title)
        down.set(xticks=range(1, 7), ylim=(0, 10.4))
    axes[0, 0].set_ylabel("NDCG less that of one round")
    axes[1, 0].set_ylabel("of 10, by sum of grades")
    fig.supxlabel("rounds, each from titles to their viewers and on to their titles", fontsize=11)
    axes[0, 0].legend(*axes[1, 0].get_legend_handles_labels(), loc="lower left", fontsize=9.5)
    fig.suptitle("Round by round, lists come nearer to the list by the sum of grades", fontsize=12)
    show(fig, tight=False, seen=f"Shared titles rise everywhere; differences: {'; '.join(said)}.")


# ---- Lesson 17 -------------------------------------------------------------------------------------------------------

PROMISES = (("#E69F00", "o"), ("#0072B2", "s"), ("#009E73", "D"))  # colour, marker of each promise


def promises_kept(rungs, promised, before):
    """The share inside for each promise, with its interval: `rungs` are {name: [(share, half width), ...]}, of which
    the first `before` stand above a line."""
    fig, ax = plt.subplots(figsize=(9.5, 4.8))
    places = np.arange(len(rungs))[::-1]
    for at, (promise, (hue, marker)) in enumerate(zip(promised, PROMISES, strict=True)):
        shares, halves = np.transpose([found[at] for found in rungs.values()])
        ax.axvline(promise, color=hue, ls="--", lw=1.5)
        label = f"{100 * promise:.0f} % promised"
        ax.errorbar(shares, places, xerr=halves, fmt=marker, color=hue, ms=7, capsize=3, label=label)
    line = len(rungs) - before - 0.5
    ax.axhline(line, color="#333333", lw=1)
    for word, up in (("before", line + 0.3), ("after", line - 0.3)):
        ax.text(0.305, up, word, va="center", style="italic", fontsize=10)
    ax.set(
        xlim=(0.3, 1), ylim=(-0.6, len(rungs) - 0.4), yticks=places, yticklabels=list(rungs),
        xlabel="share of held-out ratings inside (mean of the splits, 95 % interval)",
        title="Lesson 13's model promised too much; the posterior keeps its word",
    )  # fmt: skip
    ax.grid(axis="y", visible=False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.35, -0.16), ncols=3)
    show(
        fig,
        seen="Lesson 13's marks lie left of all three lines, far left with its residual; those below lie near them.",
    )


def two_risks(chances, names, ends):
    """The chance of each rating from 1 to 10 for two titles, and below them their intervals."""
    fig, ax = plt.subplots(figsize=(8.4, 4.2))
    scores, looks = np.arange(1, 11), (("#0072B2", -0.2, None), ("#E69F00", 0.2, "//"))
    for place, (chance, name, end, look) in enumerate(zip(chances, names, np.asarray(ends), looks, strict=True), 1):
        hue, shift, hatch = look
        ax.bar(scores + shift, chance, 0.38, color=hue, hatch=hatch, edgecolor="white", label=name)
        ax.plot(end + np.array([-0.4, 0.4]), np.full(2, -0.03 * place), "|-", color=hue, lw=3, ms=10, mew=2)
    ax.text(0.6, -0.045, "intervals of 80 %", va="center", fontsize=9.5)
    ax.axhline(0, color="#333333", lw=1)
    top = np.max(chances) + 0.03
    ax.set(xticks=scores, xlabel="rating", ylabel="chance", ylim=(-0.085, top), yticks=np.arange(0, top, 0.05))
    ax.set_title("Almost one prediction, and two risks")
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left")
    show(fig, seen="One title's bars are taller in the middle, the other's reach further to both sides.")


def two_chains(yours, theirs, true_noise):
    """The noise as two chains draw it, sweep by sweep: of the reader's sampler, and with factors."""
    fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.9), sharey=True)
    names = "biases: your sampler", "with factors: the library"
    for ax, chains, title in zip(axes, (yours, theirs), names, strict=True):
        for at, (chain, hue, line) in enumerate(zip(chains, ("#0072B2", "#D55E00"), ("-", "--"), strict=True), 1):
            ax.plot(np.arange(100, 100 + len(chain)), chain, line, color=hue, lw=1.2, label=f"chain {at}")
        ax.axhline(true_noise, color="#333333", ls=":", lw=2, label="true noise")
        ax.set(title=title, xlabel="sweep")
    axes[0].set_ylabel("noise (rating points)")
    axes[1].legend(loc="upper right")
    fig.suptitle("Biases have settled after a hundred sweeps, factors have not after three hundred", fontsize=12)
    show(fig, seen="Left two level chains cross all the time, above the true noise; right both sink, to it or below")


# ---- Lesson 18 ------------------------------------------------------------------------------------------------------


def plot_rungs(panels, order, reference):
    """`panels`: {name of a table: {rung: (difference to the reference, half width)}}; a table may lack some rungs."""
    fig, axes = plt.subplots(1, len(panels), figsize=(2.6 * len(panels), 3.8), sharey=True)
    for ax, (name, panel) in zip(axes, panels.items(), strict=True):
        ax.axvline(0, color="black", linewidth=1)
        for rung, (mean, half) in panel.items():
            hue, marker = VERDICT_LOOKS[_verdict(mean, half)]
            look = {"color": hue, "marker": marker, "markersize": 8, "capsize": 4, "linewidth": 1.8}
            ax.errorbar(mean, order.index(rung), xerr=half, **look)
        ax.set(title=name, ylim=(len(order) - 0.5, -0.5), yticks=range(len(order)))
        ax.margins(x=0.12)
        ax.locator_params(axis="x", nbins=4)
    axes[0].set_yticklabels(order)
    across = f"held-out RMSE less that of the {reference}, rating points; each panel has a scale of its own"
    marks = "blue circle: better; grey diamond: not told apart; orange square: worse; no mark: not measured"
    fig.supxlabel(f"{across}\n{marks}", fontsize=10)
    fig.suptitle("What a column is worth depends on the table, and one sample loses it all")
    rows = {name: [(rung, _verdict(*each)) for rung, each in panel.items()] for name, panel in panels.items()}
    said = [f"{name}: {by_verdict(pd.DataFrame(own, columns=['model', 'verdict']))}" for name, own in rows.items()]
    show(fig, seen=". ".join(said) + ".")


def _verdict(mean, half):
    return "tie" if abs(mean) <= half else "better" if mean < 0 else "worse"


# ---- Lesson 19 -------------------------------------------------------------------------------------------------------


def depth_products(rows):
    """Error against the number of pairs learnt from, a panel for each length k; rows as benchmarks/depth.py files them:
    k, pairs, and errors of each draw under "network" and "built in"."""
    lengths = sorted({row["k"] for row in rows})
    fig, axes = plt.subplots(1, len(lengths), figsize=(11, 3.9), sharey=True)
    looks = {"network": ("#D55E00", "o", "a network of 64 and 32 ReLUs"),
             "built in": ("#0072B2", "s", "a model with the product built in")}  # fmt: skip
    for ax, k in zip(axes, lengths, strict=True):
        own = [row for row in rows if row["k"] == k]
        x = [row["pairs"] for row in own]
        for name, (hue, marker, label) in looks.items():
            errors = np.array([row[name] for row in own])
            ax.fill_between(x, errors.min(axis=1), errors.max(axis=1), color=hue, alpha=0.2, lw=0)
            ax.plot(x, errors.mean(axis=1), marker=marker, color=hue, lw=2, ms=6, label=label)
        ax.axhline(1, color="black", ls=":", lw=1.5)
        ax.set(xscale="log", yscale="log", title=f"rows of {k} numbers", xticks=(1e3, 1e4, 1e5))
        ax.set_yticks([0.002, 0.01, 0.1, 1], ["0.002", "0.01", "0.1", "1"])
        ax.minorticks_off()
    axes[0].set_ylabel("error on fresh pairs (1: always 0)")
    fig.supxlabel("pairs with a noisy product that were learnt from", fontsize=11, y=0.11)
    handles, names = axes[0].get_legend_handles_labels()
    fig.legend(handles, names, ncols=2, loc="lower center", fontsize=10)
    fig.suptitle("How many examples does a product take?", fontsize=13)
    fig.tight_layout(rect=(0, 0.06, 1, 1))
    show(fig, tight=False, seen="In every panel the network's line lies above the other throughout, and rises with k.")


def depth_sampled(chances, table, n_titles):
    """Left the chance that a title at each place counts as a hit, `chances` {rule: (places,)}; right the order of the
    models under both rules, `table` a DataFrame of hit rates with a column for each rule."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), width_ratios=(1, 1.7))
    for (name, chance), hue, line in zip(chances.items(), ("#0072B2", "#D55E00"), ("-", "--"), strict=True):
        left.plot(np.arange(1, len(chance) + 1), chance, color=hue, ls=line, lw=2.5, label=name)
    left.set(xscale="log", xlabel=f"place among all {n_titles:,} titles", ylabel="chance to count as a hit")
    left.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    left.legend(fontsize=10, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    left.set_title("What is a hit, if ten are listed?")
    places = table.rank(ascending=False, method="first")
    hues = ["#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7"]
    for (name, row), hue in zip(places.iterrows(), hues, strict=False):
        right.plot([0, 1], row, marker="o", ms=8, lw=3, color=hue)
        for at, (rule, place) in enumerate(row.items()):
            value, side = f"{table.loc[name, rule]:.3f}", ("right", "left")[at]
            text = f"{name}  {value}" if at == 0 else f"{value}  {name}"
            right.text((-0.06, 1.06)[at], place, text, ha=side, va="center", fontsize=10, color="black")
    right.set(xlim=(-1.25, 2.25), ylim=(len(table) + 0.6, 0.4), yticks=[])
    right.set_xticks([0, 1], [f"among {name}" for name in table.columns])
    right.grid(visible=False)
    right.set_title("MovieLens: the models in order of their hit rate at 10")
    for name in ("top", "right", "left", "bottom"):
        right.spines[name].set_visible(False)
    show(fig, seen="Left the solid line falls after place 10, the dashed one near place 1,000; right lines cross.")


# ---- Lesson 20 -------------------------------------------------------------------------------------------------------

ARM_LOOKS = {  # colour, marker, line style
    "random": ("#666666", "x", ":"),
    "greedy": ("#D55E00", "s", "-"),
    "one in five at random": ("#E69F00", "v", "-."),
    "Thompson, viewers": ("#56B4E9", "D", "--"),
    "Thompson, titles too": ("#0072B2", "o", "-"),
}


def plot_feedback(exposure, error):
    """What ten evenings of lists do; `exposure` (Gini) and `error` (rating points): {arm: (evenings, 2) of mean and
    half width}; the error also after the last evening."""
    fig, axes = plt.subplots(1, 2, figsize=(10.4, 4.5))
    for ax, paths, start in zip(axes, (exposure, error), (1, 0), strict=True):
        for name, table in paths.items():
            hue, marker, line = ARM_LOOKS[name]
            x = np.arange(start, start + len(table))
            size, face = (10, "none") if name == "Thompson, viewers" else (6, hue)
            ax.fill_between(x, table[:, 0] - table[:, 1], table[:, 0] + table[:, 1], color=hue, alpha=0.18, lw=0)
            ax.plot(x, table[:, 0], color=hue, marker=marker, ls=line, lw=2, ms=size, mfc=face, label=name)
        ax.set(xlabel="evenings of showing and learning", xticks=np.arange(start, start + len(table)))
    axes[0].set(title="Exposure: how unequally titles were shown", ylabel="Gini (0: all titles alike)", ylim=(0, 1))
    axes[1].set(title="Error in the drawer, where nobody was shown anything", ylabel="RMSE from the truth (points)")
    handles, names = axes[0].get_legend_handles_labels()
    fig.legend(handles, names, ncols=5, loc="lower center", fontsize=10, handlelength=3)
    fig.suptitle("What is shown decides what is learnt", fontsize=13)
    fig.tight_layout(rect=(0, 0.08, 1, 1))
    seen = "Left greedy starts near 1 and stays highest; right it falls slowest, and Thompson by viewers lies on it."
    show(fig, tight=False, seen=seen)


def plot_estimates(found, values, names):
    """Estimates from many logs beside the truth; `found`: {(target, estimator): estimates}, `values`: {target: truth},
    `names`: the estimators."""
    fig, axes = plt.subplots(1, len(values), figsize=(10.4, 4.2), sharey=True)
    for ax, (target, value) in zip(axes, values.items(), strict=True):
        for at, name in enumerate(names):
            dots = np.asarray(found[target, name])
            side = (np.arange(len(dots)) / max(len(dots) - 1, 1) - 0.5) * 0.4
            hue = "#D55E00" if name == "plain mean" else "#0072B2"
            ax.plot(side + at, dots, ".", color=hue, alpha=0.45, ms=7)
            ax.plot([at - 0.3, at + 0.3], [dots.mean()] * 2, color=hue, lw=3)
        ax.axhline(value, color="black", ls="--", lw=1.4)
        ax.set_xticks(range(len(names)), names, fontsize=10, rotation=20)
        ax.set_title(target)
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("estimated rating (points)")
    fig.suptitle("The plain mean tells what was shown; the weighted ones tell what would have been", fontsize=12)
    show(fig, seen="A dashed line is the truth, a thick one the mean of the estimates, a dot one log.")


# ---- Lesson 21 -------------------------------------------------------------------------------------------------------


def growth(seconds, names):
    """Seconds by number of ratings, both on logarithmic axes: {column: what to call it}; slope 1 for comparison."""
    fig, ax = plt.subplots(figsize=(7.0, 4.2))
    hues = dict(zip(names, ("#D55E00", "#8856A7", "#009E73", "#0072B2"), strict=True))
    for column, name in names.items():
        line = seconds[column].dropna()
        slope = np.log10(line.iloc[-1] / line.iloc[-2]) / np.log10(line.index[-1] / line.index[-2])
        ax.loglog(line.index, line, "o-", color=hues[column], lw=2)
        ax.annotate(
            f"{name}\nlast slope {slope:.1f}",
            (line.index[-1], line.iloc[-1]),
            xytext={"ALS": (9, 12), "SGD": (9, -16), "lists": (9, -8), "spectral": (-30, 20)}[column],
            textcoords="offset points",
            va="center",
            color=hues[column],
            fontsize=9,
        )
    ends = np.array([seconds.index[0], seconds.index[-1]])
    ax.loglog(ends, 2e-8 * ends, "--", color="#999999", lw=1)
    ax.annotate("slope 1", (ends[0] * 3, 2e-8 * ends[0] * 1.2), color="#777777", fontsize=9)
    ax.set(xlim=(ends[0] / 1.4, ends[1] * 9), ylim=(None, 200), xlabel="ratings", ylabel="seconds on one core")
    ax.set_title("Fits grow with the ratings, lists with their root, the certified fit faster", loc="left")
    show(fig, seen="the lines of ALS and descent run beside the line of slope 1; the certified fit rises more steeply")


def blocks(ratings, machines):
    """The known cells of a table, rows and columns dealt out to machines: which cells ask another machine."""
    hues = np.array(["#0072B2", "#E69F00", "#009E73", "#CC79A7"])
    by_row, by_col = ratings.rows * machines // ratings.n_users, ratings.cols * machines // ratings.n_items
    fig, (strip, ax) = plt.subplots(2, 1, figsize=(7.2, 5.0), height_ratios=(1, 16), sharex=True)
    strip.imshow((np.arange(ratings.n_items) * machines // ratings.n_items)[None], aspect="auto", cmap=_of(hues))
    strip.set_xlim(-6, ratings.n_items)
    strip.set(yticks=[], title="Coloured dots stay on their machine; grey ones need a title that lives elsewhere")
    home = by_row == by_col
    ax.scatter(ratings.cols[~home], ratings.rows[~home], s=4, color="#BBBBBB", linewidths=0)
    ax.scatter(ratings.cols[home], ratings.rows[home], s=6, c=hues[by_row[home]], linewidths=0)
    for machine in range(machines):
        low, high = (np.array([machine, machine + 1]) * ratings.n_users / machines) - 0.5
        ax.add_patch(Rectangle((-6, low), 4, high - low, color=hues[machine], clip_on=False))
    ax.set(xlim=(-6, ratings.n_items), ylim=(ratings.n_users, -1), xlabel="titles", ylabel="viewers")
    strip.spines[:].set_visible(False)
    for one in (strip, ax):
        one.grid(False)
    show(fig, seen=f"{machines} coloured blocks lie on the diagonal, and most of the table beside them is grey")


def _of(hues):
    return LinearSegmentedColormap.from_list("machines", list(hues), N=len(hues))


def two_ways(plan):
    """Minutes of ten passes by number of machines, for each way to send what a half-step needs."""
    fig, ax = plt.subplots(figsize=(7.4, 4.0))
    looks = {"viewers": ("#D55E00", "o", "send the viewers"), "sums": ("#0072B2", "s", "send the sums")}
    for way, (hue, marker, name) in looks.items():
        ax.loglog(plan.index, plan[way], marker=marker, color=hue, lw=2, label=name)
    ax.loglog(plan.index, plan.iloc[0, 0] / plan.index, "--", color="black", lw=1, zorder=5, label="no sending at all")
    ax.set(xlabel="machines of sixteen cores", ylabel="minutes for ten passes", xticks=plan.index)
    ax.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
    ax.set_xticklabels([str(count) for count in plan.index])
    ax.xaxis.minorticks_off()
    ax.set_title("Sums take next to no time to send, and viewers soon take most of it", loc="left")
    ax.legend(loc="lower left")
    show(fig, seen="sending sums stays on the line of no sending at all, and sending viewers soon leaves it")


# ---- Lesson 99 -------------------------------------------------------------------------------------------------------


TABLE_LOOKS = {  # colour, marker
    "data 1": ("#0072B2", "o"),
    "data 2": ("#D55E00", "s"),
    "MovieLens": ("#009E73", "^"),
    "sample": ("#666666", "D"),
}


def plot_wall(wall, edge=0.135):
    """Every gain with its interval on one axis; `wall`: rows of claim, what, table, gain, low, high.

    Gains beyond the edge are arrows with their number; a hollow mark's interval holds 0.
    """
    rows = wall[["claim", "what"]].drop_duplicates().sort_values("claim", kind="stable").reset_index(drop=True)
    place = {tuple(row): -at for at, row in enumerate(rows.to_numpy())}
    fig, ax = plt.subplots(figsize=(9.6, 0.46 * len(rows) + 1.6))
    for claim, part in rows.groupby("claim"):
        top, bottom = -part.index[0] + 0.5, -part.index[-1] - 0.5
        if claim % 2:
            ax.axhspan(bottom, top, color="#f1f1f1", zorder=0)
        ax.text(
            1.02, (top + bottom) / 2, f"{claim}", transform=ax.get_yaxis_transform(), fontsize=12, va="center",
            ha="center",
        )  # fmt: skip
    for (claim, what), part in wall.groupby(["claim", "what"], sort=False):
        shifts = 0.29 * (np.arange(len(part))[::-1] - (len(part) - 1) / 2)
        for shift, one in zip(shifts, part.itertuples(), strict=True):
            hue, marker = TABLE_LOOKS[one.table]
            y = place[claim, what] + shift
            if abs(one.gain) > edge:
                side = np.sign(one.gain)
                arrow = {"arrowstyle": "-|>", "color": hue, "lw": 2}
                ax.annotate("", (side * edge, y), (side * (edge - 0.012), y), arrowprops=arrow)
                ax.plot(side * (edge - 0.014), y, marker=marker, color=hue, markersize=6)
                ax.annotate(
                    f"{one.gain:+.2f}", (side * (edge - 0.019), y), fontsize=9, color=hue, va="center",
                    ha="right" if side > 0 else "left",
                )  # fmt: skip
                continue
            ax.plot([max(one.low, -edge), min(one.high, edge)], [y, y], color=hue, lw=2, solid_capstyle="butt")
            for side, end in ((-1, one.low), (1, one.high)):
                if side * end > edge:  # the interval goes on
                    ax.plot(side * (edge - 0.002), y, marker="<" if side < 0 else ">", color=hue, markersize=7)
            face = hue if one.low * one.high > 0 else "white"
            ax.plot(one.gain, y, marker=marker, color=hue, markerfacecolor=face, markersize=7, markeredgewidth=1.6)
    ax.axvline(0, color="black", lw=1.2)
    handles = [
        plt.Line2D([], [], color=hue, marker=marker, lw=2, markersize=7, label=name)
        for name, (hue, marker) in TABLE_LOOKS.items()
        if name in set(wall["table"])
    ]
    ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=4, frameon=False, fontsize=10)
    ax.text(1.02, 0.62, "claim", transform=ax.get_yaxis_transform(), fontsize=10, ha="center", va="bottom")
    ax.set_yticks(list(place.values()), [what for _, what in place], fontsize=10)
    ax.set(xlim=(-edge, edge), ylim=(-len(rows) + 0.5, 0.5))
    ax.set_xlabel("gain in points, stars or NDCG; right of 0 the first of the two named is better", fontsize=10)
    ax.grid(axis="y", visible=False)
    fig.suptitle("Biases and the right kind of list make the large gains; taste and words add hundredths", fontsize=12)
    beyond = wall[wall["gain"].abs() > edge]
    said = "; ".join(f"claim {one.claim}, {one.what}, {one.table} {one.gain:+.2f}" for one in beyond.itertuples())
    show(fig, seen=f"Most intervals lie within a tenth of 0. Beyond the axis: {said}.")
