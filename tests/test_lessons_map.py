"""The map of the course: one list, and README, the first notebook and the lessons themselves agree with it."""

import json
import re
from itertools import combinations
from pathlib import Path

import lesson_00
import pytest

import content_table as ct

ROOT = Path(ct.__file__).parent
FOLDER = ROOT / "notebooks"
LESSONS = lesson_00.LESSONS
NUMBERS = lesson_00.NUMBERS
THERE = [entry for entry in LESSONS if (FOLDER / f"{entry.name}.ipynb").is_file()]
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


@pytest.mark.parametrize("entry", THERE, ids=lambda entry: entry.name)
def test_a_lesson_says_the_same_of_itself(entry):
    paragraphs = re.findall(r"(?m)^\*\*(?:What you|You) need\b(?:(?!\n\n).)*", prose(entry.name), re.S)
    assert len(paragraphs) == 1
    minutes, asked = own_words(paragraphs[0])
    assert minutes == entry.minutes
    assert asked == {*entry.needs, *entry.helps}


def test_the_list_names_every_lesson_once_in_the_order_of_reading():
    names = [entry.name for entry in LESSONS]
    assert names == sorted(set(names))
    assert {path.stem for path in FOLDER.glob("*.ipynb")} - {START} == {entry.name for entry in THERE}


def test_needs_point_backwards_and_so_have_no_cycle():
    for at, entry in enumerate(LESSONS):
        assert set(entry.needs) | set(entry.helps) <= set(NUMBERS[:at]), entry.name
        assert not set(entry.needs) & set(entry.helps)


def readme_table():
    """(part, name, file, what is learnt, minutes) of README's rows; a part stands in the first of its rows."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("## The lessons")[1].split("\n## ")[0]
    return re.findall(r"(?m)^\| ?(.*?) ?\| \[(\w+)\]\(notebooks/(.*?)\) \| (.*) \| (\d+) \|$", text)


def test_readme_says_the_same_of_every_lesson():
    first, *others = [row[1:] for row in readme_table()]
    assert first[0] == START
    assert own_words(prose(START).split("**You need** ")[1].split("\n\n")[0])[0] == int(first[3])
    assert sorted(others) == [(e.name, f"{e.name}.ipynb", e.learn, str(e.minutes)) for e in THERE]


def test_no_lesson_of_readme_stands_before_one_that_it_needs():
    parts, names = zip(*(row[:2] for row in readme_table()), strict=True)
    assert len(set(parts) - {""}) == len([part for part in parts if part]) > 5  # no part comes twice
    place = {name.split("_")[0]: at for at, name in enumerate(names)}
    for entry in THERE:
        for earlier in (*entry.needs, *entry.helps):
            assert place[earlier] < place[entry.number], entry.name


def test_the_first_page_says_what_to_have_before_each_lesson():
    stored = json.loads((FOLDER / f"{START}.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = [output["data"] for cell in stored for output in cell.get("outputs", ()) if "data" in output]
    tables = "\n".join("".join(data["text/markdown"]) for data in shown if "text/markdown" in data)
    rows = re.findall(r"(?m)^\| \[(\w+)\]\((.*?)\) \| (.*) \| (\d+) \| (.*) \|$", tables)
    assert rows == [(e.name, f"{e.name}.ipynb", e.learn, str(e.minutes), e.before) for e in THERE]


def test_what_comes_before_is_put_in_words():
    entry = lesson_00.Lesson("14_new", "", 5, ("02", "02b", "03", "04", "05", "11"), "patience", ("07",))
    assert entry.before == "02, 02b, 03 to 05, 11, patience (07 helps)"
    assert lesson_00.spans(("03", "04", "06")) == ["03", "04", "06"]
    assert lesson_00.Lesson("14_new", "", 5).before == ""


def test_every_path_holds_what_its_lessons_need():
    for path in lesson_00.PATHS:
        need = {name for entry in LESSONS if entry.number in path.lessons for name in entry.needs}
        assert need <= {*path.lessons, *path.skim}, path.reader
        assert sorted(path.lessons) == list(path.lessons)
        assert 0 < path.hours < 6


# ---- The figure ----


def test_every_lesson_has_a_box_and_a_part():
    assert sorted(lesson_00.PLACES) == sorted(NUMBERS)
    assert sorted(number for _, numbers in lesson_00.PARTS.values() for number in numbers) == sorted(NUMBERS)


def test_no_two_boxes_touch():
    for (left, low, _), (right, high, _) in combinations(lesson_00.PLACES.values(), 2):
        assert left != right or abs(low - high) > lesson_00.HEIGHT + 0.1


def test_arrows_run_to_the_right_or_along_a_column_and_none_is_left_out():
    def reached(number):
        needs = lesson_00.needed_directly(number)
        return set(needs).union(*map(reached, needs))

    by_number = {entry.number: entry for entry in LESSONS}
    for number, entry in by_number.items():
        assert set(entry.needs) <= reached(number)
        for earlier in lesson_00.needed_directly(number):
            assert lesson_00.PLACES[earlier][0] < lesson_00.PLACES[number][0]
        for earlier in entry.helps:
            assert lesson_00.PLACES[earlier][0] <= lesson_00.PLACES[number][0]


def test_the_map_in_words_names_every_lesson_and_what_it_needs():
    said = lesson_00.in_words()
    for entry in LESSONS:
        (own,) = (clause for clause in re.split("[.;:]", said) if f" {entry.number} (" in clause)
        named = set(re.findall(r"\b\d\d[a-e]?\b", own)) - {entry.number}
        assert named >= set(lesson_00.needed_directly(entry.number)), own
    assert "\n" not in said
