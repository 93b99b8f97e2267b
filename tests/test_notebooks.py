"""Hygiene of the lessons: run in order, no errors or warnings stored, short cells, prose, and solutions that work."""

import json
import re
from pathlib import Path

import claims
import pytest

import content_table as ct

FOLDER = Path(ct.__file__).parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_LINES = 20  # of one code cell
WORDS_PER_LINE = 8  # of prose, for each line of code
FORBIDDEN = {
    "a path of one machine": r"/(?:home|tmp|root|Users|work|mnt)/|[A-Z]:\\",
    "a magic or shell command": r"(?m)^\s*[%!]",
    "a warnings filter": r"filterwarnings|simplefilter|catch_warnings",
}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def cells(notebook, kind):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


def prose(notebook):
    """All markdown of a notebook."""
    return "\n\n".join(source(cell) for cell in cells(notebook, "markdown"))


def solutions(notebook):
    """The code of every folded solution, one text for each."""
    folded = re.findall(r"<details>.*?</details>", prose(notebook), re.S)
    return ["\n".join(blocks) for text in folded if (blocks := re.findall(r"```python\n(.*?)```", text, re.S))]


def faults(notebook):
    """Everything about a notebook that a reader should not meet, as a list of sentences."""
    code, found = cells(notebook, "code"), []
    counts = [cell["execution_count"] for cell in code]
    if counts != list(range(1, len(code) + 1)):
        found.append(f"execution counts are {counts}, not 1, 2, 3, ...: restart and run all")
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        found.append("the kernel is not python3")
    for at, cell in enumerate(code, 1):
        text, outputs, tags = source(cell), cell["outputs"], cell["metadata"].get("tags", [])
        if any(output["output_type"] == "error" for output in outputs) and "raises-exception" not in tags:
            found.append(f"code cell {at} holds an error")
        if any(output.get("name") == "stderr" for output in outputs):
            found.append(f"code cell {at} holds output on stderr")
        if len(text.splitlines()) > MAX_LINES:
            found.append(f"code cell {at} has {len(text.splitlines())} lines, more than {MAX_LINES}")
        found += [f"code cell {at} holds {what}" for what, pattern in FORBIDDEN.items() if re.search(pattern, text)]
    words = len(re.sub(r"```.*?```", "", prose(notebook), flags=re.S).split())
    lines = sum(bool(line.strip()) for cell in code for line in source(cell).splitlines())
    if words < WORDS_PER_LINE * lines:
        found.append(f"{words} words of prose for {lines} lines of code, fewer than {WORDS_PER_LINE} a line")
    return found


def run(notebook):
    """Run all cells and all solutions of a notebook in the notebooks' own folder, in a fresh process."""
    return claims.run(claims.code(notebook), solutions(notebook))


def made_up(*sources, text="word " * 100, **changes):
    """A notebook that has been run in order, from the code of its cells."""
    code = [
        {"cell_type": "code", "source": text, "metadata": {}, "outputs": [], "execution_count": at}
        for at, text in enumerate(sources, 1)
    ]
    notebook = {
        "cells": [{"cell_type": "markdown", "source": [text], "metadata": {}}, *code],
        "metadata": {"kernelspec": {"name": "python3"}},
    }
    return notebook | changes


# ---- The lessons ----


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_has_no_faults(path):
    assert faults(read(path)) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_has_exercises_with_folded_solutions(path):
    assert len(solutions(read(path))) >= 2
    assert prose(read(path)).count("<details>") == prose(read(path)).count("</details>")


def headings(path):
    """The anchors of a notebook's headings, as JupyterLab writes them."""
    return {line.replace(" ", "-") for line in re.findall(r"(?m)^#+ +(.*?)\s*$", prose(read(path)))}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_link_of_a_lesson_leads_somewhere(path):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", prose(read(path))):
        other = FOLDER / target if target else path
        assert other.is_file(), target
        if other.suffix == ".ipynb":  # test_site looks at the headings of the pages
            assert not anchor or anchor in headings(other), f"{target}#{anchor}"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_solution_of_a_lesson_runs(path):
    done = run(read(path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Warning" not in done.stderr, done.stderr[-2000:]


# ---- The checks themselves ----


def test_a_clean_notebook_passes():
    assert faults(made_up("x = 1", "x + 1")) == []


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("x = 1\n" * 21, "has 21 lines"),
        ("open('/home/ann/ratings.csv')", "path of one machine"),
        ("%timeit f()", "magic or shell command"),
        ("x = 1\n!pip install that", "magic or shell command"),
        ("import warnings\nwarnings.filterwarnings('ignore')", "warnings filter"),
    ],
)
def test_bad_code_is_found(code, fault):
    assert any(fault in found for found in faults(made_up(code, text="word " * 1000)))


@pytest.mark.parametrize("counts", [[None, None], [2, 3], [1, 3], [2, 1]])
def test_cells_that_were_not_run_in_order_are_found(counts):
    notebook = made_up("x = 1", "x + 1")
    for cell, count in zip(cells(notebook, "code"), counts, strict=True):
        cell["execution_count"] = count
    assert any("execution counts" in found for found in faults(notebook))


@pytest.mark.parametrize("output", [{"output_type": "error"}, {"output_type": "stream", "name": "stderr"}])
def test_errors_and_warnings_in_the_outputs_are_found(output):
    notebook = made_up("x = 1")
    cells(notebook, "code")[0]["outputs"] = [output]
    assert len(faults(notebook)) == 1


def test_another_kernel_and_too_little_prose_are_found():
    assert faults(made_up("x = 1", metadata={"kernelspec": {"name": "my-env"}})) == ["the kernel is not python3"]
    assert "7 words of prose for 1 lines" in faults(made_up("x = 1", text="word " * 7))[0]
    in_code = made_up("x = 1", text="```python\n" + "word " * 99 + "\n```")
    assert "0 words of prose" in faults(in_code)[0]


def test_a_wrong_solution_is_found_and_leaves_no_state():
    solution = "<details><summary>Solution</summary>\n\n```python\n{}\n```\n</details>\n"
    right = made_up("x = 1", text=solution.format("y = x") + solution.format("assert x == 1 and 'y' not in dir()"))
    wrong = made_up("x = 1", text=solution.format("assert x == 2"))
    assert len(solutions(right)) == 2
    assert run(right).returncode == 0
    assert run(wrong).returncode != 0
    assert run(made_up("1 / 0")).returncode != 0
