"""What the lessons read: the truth behind the sample, what the benchmarks have filed, and the map of the course."""

import json
import tomllib
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Lesson:
    """`needs` are lessons to have read before, `helps` those that only help; `also` is what is not taught here."""

    part: str
    name: str  # of the notebook, without .ipynb
    short: str
    learn: str
    minutes: int
    needs: tuple = ()
    helps: tuple = ()
    also: str = ""

    @property
    def number(self):
        return self.name.split("_")[0]

    @property
    def before(self):
        """What to have before it, in words: '03 to 05, singular values (02c helps)'."""
        helps = f"({', '.join(self.helps)} helps)" if self.helps else ""
        words = ", ".join([*spans(self.needs), *([self.also] if self.also else [])])
        return " ".join(part for part in (words, helps) if part)


@dataclass(frozen=True)
class Way:
    """A way through the course for one kind of reader. `until`: the section before which to stop, by lesson; `skim`:
    lessons of which it uses results, so that what they give to take along is enough."""

    reader: str
    lessons: tuple
    minutes: int
    until: dict
    skim: tuple = ()


def spans(numbers):
    """Three or more consecutive lessons written as '03 to 05'."""
    found = []
    for number in numbers:
        follows = found and number.isdigit() and found[-1][-1].isdigit() and int(found[-1][-1]) + 1 == int(number)
        found[-1].append(number) if follows else found.append([number])
    runs = [[f"{run[0]} to {run[-1]}"] if len(run) > 2 else run for run in found]
    return [text for run in runs for text in run]


def course():
    """(parts: what each says, lessons in the order of reading, ways through them) of course.toml."""
    read = tomllib.loads(Path(__file__).with_name("course.toml").read_text(encoding="utf-8"))
    tables = {part["name"]: part["lesson"] for part in read["part"]}
    lessons = [
        Lesson(part, **{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})
        for part, rows in tables.items()
        for row in rows
    ]
    minutes = {lesson.number: lesson.minutes for lesson in lessons}
    ways = []
    for way in read["way"]:
        total = sum(step.get("minutes", minutes[step["lesson"]]) for step in way["steps"])
        until = {step["lesson"]: step["until"] for step in way["steps"] if "until" in step}
        names = tuple(step["lesson"] for step in way["steps"])
        ways.append(Way(way["reader"], names, total, until, tuple(way.get("skim", ()))))
    return {part["name"]: part["says"] for part in read["part"]}, lessons, ways
