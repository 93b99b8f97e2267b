"""What can be measured of how a lesson teaches: titles first, length, who computes, what is asked of the reader."""

import ast
import importlib
import re
from collections import Counter

import pytest
from test_notebooks import FOLDER, NOTEBOOKS, cells, prose, read, source

HELPERS = {
    "plots",
    "quizzes",
    "results",
    "widget",
}  # they draw, grade, read files and make a page; they compute nothing
COMPUTES = re.compile(r"\.fit\(|\.fold_in\(|\bct\.(?:evaluate|compare|tune|select_model|rank_models|load_\w+)\(|split_")
QUARREL = re.compile(r"(?i)\bpublished\b|course project|blog notebook")
SHARE_OF_SHORT = 1 / 5  # of the sentences, seven words or fewer
RECALL, OPEN = "## Eight questions to remember it by", "## Open tasks"
SPECIAL = {"00_start_here", "02d_read_any_text", "99_what_we_believe"}  # a map, a reference, an index: no lessons


def imports(notebook):
    text = "\n".join(source(cell) for cell in cells(notebook, "code"))
    return set(re.findall(r"(?m)^(?:import|from) (\w+)", text))


LESSONS = [path for path in NOTEBOOKS if not any(name.startswith("lesson") for name in imports(read(path)))]
TAUGHT = [path for path in LESSONS if path.stem not in SPECIAL]


def words(text):
    """Words of prose: formulas, code, tables and what is folded left out."""
    for pattern in (r"<details>.*?</details>", r"```.*?```", r"\$\$.*?\$\$", r"\$[^$]*\$", r"(?m)^\|.*$", r"<[^>]*>"):
        text = re.sub(pattern, " ", text, flags=re.S if "(?m)" not in pattern else 0)
    return re.findall(r"[\w’'-]*[A-Za-z][\w’'-]*", text)


def short_sentences(text):
    """(sentences of seven words or fewer, all sentences) of running prose; headings and lists left out."""
    text = re.sub(r"(?s)<details>.*?</details>|```.*?```|\$\$.*?\$\$", " ", text)
    paragraphs = [part for part in text.split("\n\n") if not re.match(r"\s*(?:[#|*-]|\d+\.|>)", part)]
    sentences = [one for part in paragraphs for one in re.split(r"(?<=[.!?:])\s+", part.strip()) if words(one)]
    return sum(len(words(re.sub(r"\$[^$]*\$", "x", one))) <= 7 for one in sentences), len(sentences)


def text_of(output):
    return "".join(output.get("text", [])) + "".join(output.get("data", {}).get("text/plain", []))


def words_before_titles(notebook, titles):
    """Words of prose before the first output, or table of the text, that names a title."""
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            before = [source(cell).find(title) for title in titles if title in source(cell)]
            if before:
                return count + len(words(source(cell)[: min(before)]))
            count += len(words(source(cell)))
        elif any(title in text_of(output) for output in cell["outputs"] for title in titles):
            return count
    return count


@pytest.fixture(scope="module")
def titles(sample):
    return [title for title in sample.titles.tolist() if len(title) > 5]


def rules(notebook, titles):
    """Everything in which a lesson goes against the rules that can be counted, as a list of sentences."""
    code = [source(cell) for cell in cells(notebook, "code")]
    text, lines = prose(notebook), sum(bool(line.strip()) for cell in code for line in cell.splitlines())
    said, (short, sentences) = len(words(text)), short_sentences(text)
    visible = re.sub(r"(?s)<details>.*?</details>", "", text)
    counts = Counter(what.lower() for what in re.findall(r"(?i)do you expect|simulated", visible))
    recall = text.partition(RECALL)[2].partition("\n## ")[0]
    faults = {
        f"{len(notebook['cells'])} cells, not 25 to 35": not 25 <= len(notebook["cells"]) <= 35,
        f"{said} words, more than 2,500": said > 2500,
        f"{said / max(lines, 1):.0f} words a line of code, not 8 to 25": not 8 <= said / max(lines, 1) <= 25,
        f"{words_before_titles(notebook, titles)} words before the first title": words_before_titles(notebook, titles)
        > 250,
        f"{short} of {sentences} sentences have seven words or fewer": short > SHARE_OF_SHORT * sentences,
        "a code cell has more than 12 lines": any(len(cell.splitlines()) > 12 for cell in code),
        "something private of a module is used": any(re.search(r"\b[a-z]\w*\._[a-z]", cell) for cell in code),
        "a source is printed in place of a formula": any("getsource" in cell for cell in code),
        "seed 0": any(re.search(r"random_state=0\b|SEED = 0\b|default_rng\(0?\)", cell) for cell in code),
        "“do you expect” more than twice": counts["do you expect"] > 2,
        "“simulated” more than twice": counts["simulated"] > 2,
        "it quarrels with other texts": bool(QUARREL.search(text)),
        "fewer than two quizzes": sum(cell.count("quizzes.check(") for cell in code) < 2,
        f"{recall.count('<details>')} recall questions, not eight": recall.count("<details>") != 8,
        "fewer than two open tasks": len(re.findall(r"(?m)^\d\. ", text.partition(OPEN)[2])) < 2,
    }
    return [what for what, wrong in faults.items() if wrong]


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.stem)
def test_a_lesson_keeps_the_rules(path, titles):
    assert rules(read(path), titles) == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_imports_no_helper_that_computes(path):
    ours = {file.stem for file in FOLDER.glob("*.py")}
    assert imports(read(path)) & ours <= HELPERS


@pytest.mark.parametrize("name", ["plots", "quizzes"])
def test_helpers_draw_and_grade_and_compute_nothing(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert COMPUTES.findall(text) == []


@pytest.mark.parametrize("name", sorted(HELPERS))
def test_no_name_of_a_helper_is_given_twice(name):
    body = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8")).body
    given = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    given += [
        target.id for node in body if isinstance(node, ast.Assign) for target in node.targets if hasattr(target, "id")
    ]
    assert [one for one, count in Counter(given).items() if count > 1] == []


# ---- The rules themselves ----


def test_words_are_those_of_the_prose():
    folded = "<details><summary>Answer</summary>\n\nno\n</details>"
    text = f"One two $x^2$ three.\n\n$$a\nb$$\n\n| a | b |\n\n{folded}\n\n```python\nx\n```"
    assert words(text) == ["One", "two", "three"]


def test_short_sentences_are_counted_in_running_prose():
    text = (
        "# A heading\n\nShort. This one is longer than seven words, as it should be. Is $x$?\n\n- an item\n\n1. a task"
    )
    assert short_sentences(text) == (2, 3)


def test_words_before_the_first_title_are_counted_in_text_and_outputs():
    markdown, code = {"cell_type": "markdown", "source": ["One two three."]}, {"cell_type": "code", "outputs": []}
    named = {"cell_type": "code", "outputs": [{"text": ["1  Cowboy Bebop"]}]}
    assert words_before_titles({"cells": [markdown, code, markdown, named]}, ["Cowboy Bebop"]) == 6
    told = {"cell_type": "markdown", "source": ["Who saw Cowboy Bebop?"]}
    assert words_before_titles({"cells": [markdown, told]}, ["Cowboy Bebop"]) == 5


def test_every_name_that_lessons_and_helpers_take_from_a_helper_is_there():
    files = {file.stem: importlib.import_module(file.stem) for file in FOLDER.glob("*.py")}
    texts = {path.name: "\n".join(source(cell) for cell in cells(read(path), "code")) for path in NOTEBOOKS}
    texts |= {f"{name}.py": (FOLDER / f"{name}.py").read_text(encoding="utf-8") for name in files}
    asked = re.compile(rf"\b({'|'.join(sorted(files, key=len, reverse=True))})\.([a-zA-Z]\w*)")
    missing = {
        f"{place}: {helper}.{name}"
        for place, text in texts.items()
        for helper, name in asked.findall(text)
        if re.search(rf"(?m)^import (?:\w+, )*{helper}\b", text) and not hasattr(files[helper], name)
    }
    assert missing == set()
