"""Lesson 00: the map of the course. One list of lessons gives the figure and the table, and the tests hold it against
README.md and against what each lesson says of itself."""

from dataclasses import dataclass

import lesson
import matplotlib.pyplot as plt
from IPython.display import Markdown
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

import content_table as ct


@dataclass(frozen=True)
class Lesson:
    """`needs` are lessons to have read before, `helps` those that only help; `also` is what is not taught here."""

    name: str  # of the notebook, without .ipynb
    learn: str
    minutes: int
    needs: tuple = ()
    also: str = ""
    helps: tuple = ()

    @property
    def number(self):
        return self.name.split("_")[0]

    @property
    def before(self):
        """What to have before it, in words: '03 to 05, singular values (02c helps)'."""
        helps = f"({', '.join(self.helps)} helps)" if self.helps else ""
        words = ", ".join([*spans(self.needs), *([self.also] if self.also else [])])
        return " ".join(part for part in (words, helps) if part)


def spans(numbers):
    """Three or more consecutive lessons written as '03 to 05'."""
    found = []
    for number in numbers:
        follows = found and number.isdigit() and found[-1][-1].isdigit() and int(found[-1][-1]) + 1 == int(number)
        found[-1].append(number) if follows else found.append([number])
    runs = [[f"{run[0]} to {run[-1]}"] if len(run) > 2 else run for run in found]
    return [text for run in runs for text in run]


MODELS = ("03", "04", "05", "06", "07", "08")
LESSONS = (
    Lesson("01_prepare_data", "turn raw reviews into a rating table that you can trust", 40, also="pandas"),
    Lesson(
        "02_worked_examples",
        "fill a table with a pencil: least squares, ALS, gradients, one step",
        120,
        also="matrix products, derivatives",
    ),
    Lesson(
        "02b_worked_sgd_and_content",
        "one stochastic step by hand, with and without content; TF-IDF; precision",
        45,
        also="dot products, derivatives",
    ),
    Lesson(
        "02c_convex_by_hand",
        "prove with a pencil that a completion is optimal",
        90,
        also="singular values, derivatives",
    ),
    Lesson(
        "02d_read_any_text",
        "notations side by side, a glossary, and the slips in published texts",
        25,
        ("02", "02b"),
        helps=("02c",),
    ),
    Lesson(
        "03_baseline",
        "a generous viewer and a good title: convex biases",
        50,
        also="linear equations",
        helps=("01",),
    ),
    Lesson("04_gradient_descent", "learn the factors one step at a time", 45, ("03",), "derivatives"),
    Lesson("05_als", "two thin matrices, one ridge regression at a time", 45, ("03",), "least squares"),
    Lesson(
        "05b_als_in_practice", "rank, penalty, biases and starts of ALS, and how far from the best it ends", 45, ("05",)
    ),
    Lesson(
        "06_spectral_regularization",
        "let a convex penalty choose the rank",
        50,
        ("03",),
        "singular values",
        ("05",),
    ),
    Lesson(
        "07_nuclear_norm",
        "exact completion, when it works, and the family of three",
        40,
        ("05", "06"),
        "singular values",
    ),
    Lesson("08_content_blending", "what titles are about, in the right rows", 45, ("03", "04", "05")),
    Lesson(
        "09_true_or_false",
        "settle five claims by experiment; ALS or SGD; a system for 200 million users",
        50,
        MODELS[:5],
    ),
    Lesson("10_tune_with_optuna", "choose the settings without fooling yourself", 45, ("03", "04", "06")),
    Lesson(
        "11_compare_models", "compare errors: same splits, an interval, a reference", 45, MODELS, "means and variances"
    ),
    Lesson("11b_compare_lists", "compare lists: yardsticks, rules of the game, what a list is like", 45, ("11",)),
    Lesson("12_recommend", "from scores to a list for tonight, with reasons", 45, (*MODELS[:5], "11")),
    Lesson(
        "13_your_own_list",
        "a list for you: new viewers, reasons, the list that you keep",
        75,
        ("03", "05", "06"),
    ),
    Lesson(
        "99_what_we_believe",
        "every claim with its evidence, what we could not settle, where to read on",
        30,
        ("11",),
    ),
)
NUMBERS = [entry.number for entry in LESSONS]


@dataclass(frozen=True)
class Path:
    """A way through the course for one kind of reader. `skim`: lessons it leans on; their take-aways are enough."""

    reader: str
    lessons: tuple
    skim: tuple = ()

    @property
    def hours(self):
        return sum(entry.minutes for entry in LESSONS if entry.number in self.lessons) / 60


PATHS = (
    Path("I am new and want the course", ("02", "03", "05", "06", "13")),
    Path("I want a list tonight", ("13",), ("03", "05", "06")),
    Path("I want to understand one model properly: ALS", ("02", "03", "05", "05b")),
    Path("I want the proofs", ("02c", "03", "05", "06", "07")),
    Path("I compare libraries", ("10", "11", "11b"), MODELS),
)


def needed_directly(number):
    """The lessons that this one needs, without those that another of them needs already."""
    by_number = {entry.number: entry for entry in LESSONS}

    def everything_before(name):
        return {name}.union(*(everything_before(earlier) for earlier in by_number[name].needs))

    needs = by_number[number].needs
    others = {name: [other for other in needs if other != name] for name in needs}
    return [name for name in needs if not any(name in everything_before(other) for other in others[name])]


# ---- Tables ----------------------------------------------------------------------------------------------------------


def _link(entry):
    """The notebook's name, which leads to it if it is there."""
    there = (ct.DATA.parent / "notebooks" / f"{entry.name}.ipynb").is_file()
    return f"[{entry.name}]({entry.name}.ipynb)" if there else f"`{entry.name}`"


def lessons_table():
    """The lessons in the order of reading: notebook, what you learn, minutes, what to have before it."""
    rows = [f"| {_link(entry)} | {entry.learn} | {entry.minutes} | {entry.before} |" for entry in LESSONS]
    return Markdown("\n".join(["| notebook | what you learn | minutes | before it |", "|:--|:--|--:|:--|", *rows]))


def paths_table():
    """Ways through the course for five readers, with hours."""
    by_number = {entry.number: entry for entry in LESSONS}
    rows = []
    for path in PATHS:
        links = ", ".join(f"[{number}]({by_number[number].name}.ipynb)" for number in path.lessons)
        skim = ", ".join(spans(path.skim))
        rows.append(f"| {path.reader} | {links} | {path.hours:.1f} | {skim} |")
    return Markdown("\n".join(["| you say | read | hours | take-aways of |", "|:--|:--|--:|:--|", *rows]))


# ---- The map ---------------------------------------------------------------------------------------------------------

PLACES = {  # number: (column, row, words in the box); columns run with the order of reading, rows keep arrows apart
    "02": (0, 4.6, "a pencil: ALS"),
    "02b": (0, 3.6, "a pencil: SGD"),
    "02c": (0, 2.6, "a pencil: proofs"),
    "02d": (1, 3.6, "read any text"),
    "01": (0, 1.1, "data"),
    "03": (1, 1.1, "baseline"),
    "04": (2, 2.4, "gradient\ndescent"),
    "05": (2, 1.1, "ALS"),
    "06": (2, -0.2, "spectral"),
    "08": (3, 3.5, "content"),
    "10": (3, 2.5, "tuning"),
    "05b": (3, 1.55, "ALS settings"),
    "13": (3, 0.6, "your own list"),
    "07": (3, -0.4, "nuclear norm"),
    "09": (4, 4.1, "true or false"),
    "11": (4, 1.4, "compare errors"),
    "11b": (5, 0.2, "compare lists"),
    "12": (5, 1.4, "a list"),
    "99": (5, 3.0, "what we\nbelieve"),
}
PARTS = {  # colour, lessons
    "with a pencil": ("#F0E442", ("02", "02b", "02c", "02d")),
    "data": ("#BBBBBB", ("01",)),
    "models": ("#56B4E9", (*MODELS, "05b")),
    "judging": ("#E69F00", ("09", "10", "11", "11b", "99")),
    "lists": ("#009E73", ("12", "13")),
}
ARROWS = {"03": "#000000", "04": "#8856A7", "05": "#D55E00", "06": "#0072B2", "07": "#009E73", "08": "#B2182B"}
STEP, WIDTH, HEIGHT = 1.75, 1.22, 0.72  # of the columns and of a box


def in_words():
    """The arrows of the map as sentences, for those who cannot see it."""
    said = []
    for entry in LESSONS:
        needs = needed_directly(entry.number)
        name = PLACES[entry.number][2].replace("\n", " ")
        words = f"{entry.number} ({name}) needs {' and '.join(needs) or 'none'}"
        said.append(words + (f", {' and '.join(entry.helps)} helps" if entry.helps else ""))
    return f"A map of the lessons, arrows from a lesson to those that need it. {'; '.join(said)}."


def plot_map():
    """The lessons from left to right in the order of reading, an arrow from each to those that need it."""
    fig, ax = plt.subplots(figsize=(10, 5.4))
    for entry in LESSONS:
        for earlier in needed_directly(entry.number):
            _arrow(ax, earlier, entry.number, ARROWS.get(earlier, "#555555"), "-")
        for earlier in entry.helps:
            _arrow(ax, earlier, entry.number, "#777777", (0, (4, 3)))
    minutes = {entry.number: entry.minutes for entry in LESSONS}
    for color, numbers in PARTS.values():
        for number in numbers:
            _box(ax, number, minutes[number], color)
    handles = [Line2D([], [], ls="", marker="s", ms=11, color=color, label=part) for part, (color, _) in PARTS.items()]
    handles += [
        Line2D([], [], color="black", label="is needed for"),
        Line2D([], [], color="#777777", ls=(0, (4, 3)), label="helps"),
    ]
    ax.legend(handles=handles, ncols=7, loc="upper center", bbox_to_anchor=(0.5, 0.02), frameon=False, fontsize=9)
    ax.set(
        xlim=(-0.75, 5 * STEP + 0.75),
        ylim=(-1.1, 5.1),
        title="Three lessons on models stand between you and your list; the pencil lessons stand apart",
    )
    ax.set_axis_off()
    lesson.show(fig, alt=in_words())


def _box(ax, number, minutes, color):
    column, y, words = PLACES[number]
    x = column * STEP
    corner = (x - WIDTH / 2, y - HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.12"
    ax.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle=style, fc="white", ec="none", zorder=3))
    ax.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle=style, fc=color, alpha=0.45, ec="#333333", zorder=3))
    two = "\n" in words
    head = f"{number}  ·  {minutes} min"
    ax.text(x, y + (0.2 if two else 0.13), head, ha="center", va="center", fontsize=8.5, weight="bold", zorder=4)
    ax.text(x, y - (0.12 if two else 0.15), words, ha="center", va="center", fontsize=8.5, linespacing=0.95, zorder=4)


def _arrow(ax, start, end, color, style):
    (left, y, _), (right, to, _) = PLACES[start], PLACES[end]
    bend = 0.0
    if left == right:  # one below the other
        sign = 1 if to > y else -1
        points = ((left * STEP, y + sign * HEIGHT / 2), (right * STEP, to - sign * HEIGHT / 2))
    elif right - left == 2:  # over the box between
        points, bend = ((left * STEP, y + HEIGHT / 2), (right * STEP - WIDTH / 2, to)), -0.25
    else:
        shift = 0.16 * max(-1, min(1, y - to))  # arrows from above arrive above
        points = ((left * STEP + WIDTH / 2, y - shift / 2), (right * STEP - WIDTH / 2, to + shift))
    look = {
        "arrowstyle": "-|>",
        "mutation_scale": 11,
        "shrinkA": 0,
        "shrinkB": 1,
        "connectionstyle": f"arc3,rad={bend}",
    }
    ax.add_patch(FancyArrowPatch(*points, **look, lw=1.5, ls=style, color=color, zorder=2))


# ---- The quiz --------------------------------------------------------------------------------------------------------

PRIMAL, DUAL = 250.0, 245.0


@lesson.quiz
def how_far_from_the_best():
    """By how many per cent of its objective can a better fit at most lie below one with primal 250 and dual 245?"""
    certificate = ct.Certificate(PRIMAL, DUAL)
    return lesson.Quiz(
        answer=100 * certificate.relative_gap,
        because="The optimum lies between dual and primal, so nobody can gain more than the gap, 5 of 250.",
        hint="Primal minus dual is the gap; the relative gap is its share of the primal. Then in per cent.",
        wrong=(
            (certificate.gap, "That is the gap in units of the objective. In per cent of the primal it is less."),
            (100 * certificate.gap / DUAL, "You divided by the dual. The relative gap is a share of the primal."),
            (100 * DUAL / PRIMAL, "That is how much of the objective is proven necessary; asked is what may be left."),
        ),
        tol=0.01,
    )
