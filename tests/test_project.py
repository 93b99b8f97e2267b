"""What the project says of itself outside the module: dependencies, citation, continuous integration."""

import datetime
import importlib
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml  # comes with Optuna

import content_table as ct

ROOT = Path(ct.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CODE_PAGE = (ROOT / "docs" / "CODE.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def names(requirements):
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def test_the_script_of_an_installation_is_there():
    module, name = PROJECT["scripts"]["content-table"].split(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_the_page_on_the_code_gives_a_reason_for_exactly_the_dependencies():
    table = re.search(r"<!-- dependencies -->\n(.*?)<!-- /dependencies -->", CODE_PAGE, re.S)[1]
    rows = [re.fullmatch(r"\| ([\w-]+) \| ([\w, ]+) \| (.+) \|", line).groups() for line in table.splitlines()[2:]]
    told = [(name, part) for name, parts, reason in rows for part in parts.split(", ") if reason]
    groups = {"the course": PROJECT["dependencies"]}
    words = {"test": "tests"}
    groups |= {words.get(name, name): listed for name, listed in PROJECT["optional-dependencies"].items()}
    assert len({name for name, *_ in rows}) == len(rows)
    assert sorted(told) == sorted((name, part) for part, listed in groups.items() for name in names(listed))


def test_every_dependency_is_pinned():
    pinned = "".join((ROOT / f"requirements{part}.txt").read_text(encoding="utf-8") for part in ("", "-spark"))
    extras = {name: group for name, group in PROJECT["optional-dependencies"].items() if name != "fuzz"}  # few wheels
    listed = [PROJECT["dependencies"], *extras.values()]
    assert set().union(*map(names, listed)) == set(re.findall(r"(?m)^([\w-]+)==", pinned))


def test_the_lowest_versions_are_those_that_are_allowed():
    lowest = dict(
        re.findall(r"(?m)^([\w-]+)==([\d.]+)", (ROOT / "requirements-lowest.txt").read_text(encoding="utf-8"))
    )
    groups = [
        PROJECT["dependencies"],
        *(PROJECT["optional-dependencies"][name] for name in ("notebooks", "site", "tables", "fetch", "test")),
    ]
    allowed = dict(re.fullmatch(r"([\w-]+)>=([\d.]+)", one).groups() for group in groups for one in group)

    def plain(version):
        return tuple(int(part) for part in (version + ".0.0").split(".")[:3])

    assert {name: plain(version) for name, version in lowest.items()} == {
        name: plain(version) for name, version in allowed.items() if name in lowest
    }
    assert set(allowed) == set(lowest)


def test_the_old_names_lead_to_notebooks_and_to_things_that_exist():
    table = CODE_PAGE.split("## If you know the course project")[1].split("\n## ")[0]
    assert re.findall(r"(?m)^\| `(\S+)` \|", table) == ["main_recommender", "main_compare_models", "models/"]
    for row in re.findall(r"(?m)^\| `.*\| (.*) \|$", table):
        for name in re.findall(r"`(\w+)`", row):
            assert hasattr(ct, name) or hasattr(ct.Recommender, name), name


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_make_command_that_a_page_names_is_there(page):
    named = set(re.findall(r"(?m)(?:^|`)make ([a-z][a-z-]*)", page.read_text(encoding="utf-8")))
    assert named <= set(re.findall(r"(?m)^([\w-]+):", MAKEFILE))


def test_the_page_on_setting_up_has_every_command_with_and_without_make():
    page = (ROOT / "docs" / "INSTALL.md").read_text(encoding="utf-8")
    told, without = page.split("## Without make")
    for target in ("run", "test", "test-slow", "types", "site", "list", "lab", "clean"):
        assert re.search(rf"(?m)^\| `make {target}` \| \w", told), target
    blocks = re.findall(r"```\n(.*?)```", without, re.S)
    assert len(blocks) == 2  # as on macOS and Linux; as on Windows
    for path in re.findall(r"[\w/]+\.(?:py|txt|cfg|xml)\b", "".join(blocks)):
        assert (ROOT / path).is_file(), path
    makefile = re.sub(r"\\\n\s*", "", MAKEFILE)
    (notebooks,) = re.findall(r"--nbval .*?nbval\.cfg", makefile)
    for options in (notebooks, "ruff check .", "mypy", "pytest -m slow"):
        assert options in blocks[0], options


def test_the_citation_says_what_the_project_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == "Content Table"
    assert citation["authors"] == [{"name": "Content Table contributors"}]
    assert citation["version"] == PROJECT["version"] == ct.__version__
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert isinstance(citation["date-released"], datetime.date)
    assert citation["message"]
    assert "http" not in str(citation)


WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
JOBS = WORKFLOW["jobs"]


def commands(job):
    """The commands of a job's steps, those of its matrix put in."""
    choices = job.get("strategy", {}).get("matrix", {}).get("command", [])
    return [step["run"] for step in job["steps"] if "run" in step] + choices


def test_the_public_forge_runs_the_same_command_and_every_version():
    job = JOBS["everything"]
    assert commands(job) == ["bash .ci/run"]
    versions = [step["with"]["python-version"] for step in job["steps"] if "with" in step]
    assert [f">={version}" for version in versions] == [PROJECT["requires-python"]]
    matrix = JOBS["versions"]["strategy"]["matrix"]
    assert matrix["python"][0] == versions[0]
    assert matrix["include"] == [{"python": versions[0], "versions": "lowest"}]
    asked = {f"{step.get('if')}" for step in JOBS["versions"]["steps"]}
    assert all(f"matrix.versions == '{each}'" in asked for each in [*matrix["versions"], "lowest"])


@pytest.mark.parametrize("name", JOBS)
def test_the_commands_of_a_job_are_there(name):
    text = "\n".join(commands(JOBS[name]))
    targets = set(re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert set(re.findall(r"\bmake ([\w-]+)", text)) <= targets
    for file in re.findall(r"(?:-r|-c|bash) (\S+)", text):
        assert (ROOT / file).is_file(), file
    for extras in re.findall(r"\.\[([\w,]+)\]", text):
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert JOBS[name]["timeout-minutes"] < 360  # where the forge would stop it


def test_the_command_of_continuous_integration_asks_for_what_the_makefile_has():
    targets = re.findall(r"(?m)^make ([\w-]+)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "test" in targets
    assert all(re.search(rf"(?m)^{target}:", makefile) for target in targets)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_lab_opens_a_copy_that_is_made_once_and_ignored_by_git(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "notebooks").mkdir()
    lesson, mine = tmp_path / "notebooks" / "00_start_here.ipynb", tmp_path / "my_lessons" / "00_start_here.ipynb"
    lesson.write_text("as published", encoding="utf-8")
    copy = ["make", "-C", str(tmp_path), "my_lessons"]
    subprocess.run(copy, check=True, capture_output=True)
    assert mine.read_text(encoding="utf-8") == "as published"
    mine.write_text("with my answers", encoding="utf-8")
    lesson.write_text("a newer one", encoding="utf-8")
    subprocess.run(copy, check=True, capture_output=True)
    assert mine.read_text(encoding="utf-8") == "with my answers"
    assert "my_lessons/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"(?m)^lab:.*\| my_lessons\n.*tree/my_lessons/00_start_here.ipynb", makefile)


@pytest.mark.skipif(os.name == "nt", reason="files have no such mode there")
def test_the_command_can_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
