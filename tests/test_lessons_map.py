"""The map of the course: one list, and README, the first notebook and the lessons themselves agree with it."""

import json
import re
from itertools import accumulate
from pathlib import Path

import matplotlib.pyplot as plt
import plots
import pytest
import results

import content_table as ct

ROOT = Path(ct.__file__).parent
FOLDER = ROOT / "notebooks"
PARTS, LESSONS, WAYS = results.course()
NUMBERS = [entry.number for entry in LESSONS]
START = "00_start_here"


def prose(name):
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    return "\n\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")


def own_words(text):
    """(minutes, lessons asked for) of a paragraph "You need": not those where "each model is treated at full size"."""
    minutes = int(re.search(r"About (\d+) minutes", text)[1])
    asked = [sentence for sentence in re.split(r"(?<=\.)\s+", text) if "at full size" not in sentence]
    asked = re.sub(r"`(\d\d[a-e]?)_\w+`", r"\1", re.sub(r"\d+ minutes", "", " ".join(asked)))  # `05_als` is 05
    named = set(re.findall(r"(?<!\w)(\d\d[a-e]?)(?![a-z\d])", asked))
    for first, last in re.findall(r"(\d\d) to (\d\d)", asked):
        named |= {f"{number:02}" for number in range(int(first), int(last) + 1)}
    return minutes, named | ({"03"} if "bias baseline" in asked else set())


def test_what_a_lesson_asks_for_is_read():
    assert own_words("Lessons `03_w` to `05_v` and `07_x`; 10c. `04_a` treats it at full size. About 45 minutes.") == (
        45,
        {"03", "04", "05", "07", "10c"},
    )
    assert own_words("The bias baseline. About 5 minutes.") == (5, {"03"})


@pytest.mark.parametrize("entry", LESSONS, ids=lambda entry: entry.name)
def test_a_lesson_says_the_same_of_itself(entry):
    paragraphs = re.findall(r"(?m)^\*\*(?:What you|You) need\b(?:(?!\n\n).)*", prose(entry.name), re.S)
    assert len(paragraphs) == 1
    minutes, asked = own_words(paragraphs[0])
    assert minutes == entry.minutes
    assert asked == {*entry.needs, *entry.helps}


def test_the_list_names_every_lesson_once():
    names = [entry.name for entry in LESSONS]
    assert len(names) == len(set(names))
    assert {path.stem for path in FOLDER.glob("*.ipynb")} - {START} == set(names)


def test_needs_point_backwards_and_so_have_no_cycle():
    for at, entry in enumerate(LESSONS):
        assert set(entry.needs) | set(entry.helps) <= set(NUMBERS[:at]), entry.name
        assert not set(entry.needs) & set(entry.helps)


def readme_table():
    """(part, name, file, what is learnt, minutes) of README's rows; a part stands in the first of its rows."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## The lessons")[1].split("\n## ")[0]
    return re.findall(r"(?m)^\| ?(.*?) ?\| \[(\w+)\]\(notebooks/(.*?)\) \| (.*) \| (\d+) \|$", text)


def test_readme_says_the_same_of_every_lesson():
    first, *others = readme_table()
    assert first[1] == START
    assert own_words(prose(START).split("**You need** ")[1].split("\n\n")[0])[0] == int(first[4])
    parts = accumulate((row[0] for row in others), lambda part, said: said or part)
    rows = [(part, *row[1:]) for part, row in zip(parts, others, strict=True)]
    assert rows == [(e.part, e.name, f"{e.name}.ipynb", e.learn, str(e.minutes)) for e in LESSONS]


def markdown_of(name):
    """The tables that a notebook made."""
    stored = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = [output["data"] for cell in stored for output in cell.get("outputs", ()) if "data" in output]
    return "\n".join("".join(data["text/markdown"]) for data in shown if "text/markdown" in data)


def test_the_first_page_says_of_every_lesson_what_the_list_says():
    rows = re.findall(r"(?m)^\| (.*) \| \[(\w+)\]\((.*?)\) \| (.*) \| (\d+) \| (.*) \|$", markdown_of(START))
    assert rows == [(e.part, e.name, f"{e.name}.ipynb", e.learn, str(e.minutes), e.before) for e in LESSONS]


def test_what_comes_before_is_put_in_words():
    needs = ("02", "02b", "03", "04", "05", "11")
    entry = results.Lesson("lists", "14_new", "new", "", 5, needs, ("07",), "patience")
    assert entry.before == "02, 02b, 03 to 05, 11, patience (07 helps)"
    assert results.spans(("03", "04", "06")) == ["03", "04", "06"]
    assert results.Lesson("lists", "14_new", "new", "", 5).before == ""


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.reader)
def test_every_way_holds_what_its_lessons_need(way):
    need = {name for entry in LESSONS if entry.number in way.lessons for name in entry.needs}
    assert need <= {*way.lessons, *way.skim}
    assert [number for number in NUMBERS if number in way.lessons] == list(way.lessons)
    files = {entry.number: entry.name for entry in LESSONS}
    for number, heading in way.until.items():
        assert f"\n## {heading}\n" in prose(files[number])
    assert f"| {way.reader} |" in markdown_of(START)


def test_there_are_ways_of_ninety_minutes_and_of_four_hours():
    minutes = {way.reader: way.minutes for way in WAYS}
    assert 80 <= minutes["I have ninety minutes"] <= 90
    assert 220 <= minutes["I have four hours"] <= 240


# ---- The figure ----


def test_the_figure_has_a_box_for_every_lesson(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "show", lambda fig, **said: drawn.append(fig))
    plots.plot_course(LESSONS)
    texts = [text.get_text() for text in drawn[0].axes[0].texts]
    plt.close(drawn[0])
    assert set(PARTS) <= set(texts)
    assert [f"{e.number} · {e.minutes} min" in texts and e.short in texts for e in LESSONS] == [True] * len(LESSONS)


def test_every_part_has_a_colour_a_picture_and_lessons():
    assert list(plots.PARTS) == list(PARTS) == list(dict.fromkeys(entry.part for entry in LESSONS))


def test_a_lesson_comes_directly_after_those_from_which_all_others_that_it_needs_follow():
    def reached(number):
        needs = plots.needed_directly(number, LESSONS)
        return set(needs).union(*map(reached, needs))

    for entry in LESSONS:
        assert set(entry.needs) <= reached(entry.number)


def test_the_map_in_words_names_every_lesson_and_what_it_needs():
    said = plots.course_in_words(LESSONS)
    for entry in LESSONS:
        (own,) = (clause for clause in re.split("[.;]", said) if f" {entry.number} (" in clause)
        named = set(re.findall(r"\b\d\d[a-e]?\b", own)) - {entry.number}
        assert named == set(plots.needed_directly(entry.number, LESSONS)), own
    assert "\n" not in said
