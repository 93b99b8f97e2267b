"""README and RESULTS say what the committed results files say."""

from pathlib import Path

import pytest
import readme

import content_table as ct

ROOT = Path(ct.__file__).parent


@pytest.mark.parametrize("page", ["README.md", "benchmarks/RESULTS.md"])
def test_tables_are_those_of_the_results_files(page):
    path = ROOT / page
    assert readme.fill(path, readme.sections()[page]) == path.read_text(encoding="utf-8")


def test_a_missing_place_is_named(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- other -->\n<!-- /other -->\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no place marked <!-- honest -->"):
        readme.fill(page, {"honest": "table"})


def test_the_output_in_readme_is_a_part_of_what_the_command_printed():
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- run -->")[1].split("<!-- /run -->")[0]
    shown = [line for line in text.splitlines() if line not in ("", "```", "...")]
    printed = iter((ROOT / "benchmarks" / "results" / "run.txt").read_text(encoding="utf-8").splitlines())
    assert all(line in printed for line in shown)  # in this order
    assert "simulated viewers" in shown[0]
    assert len(shown) == 9


def test_readme_lists_every_notebook():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"(notebooks/{notebook.name})" in text, notebook.name


def test_the_list_of_the_results_is_the_one_that_the_command_prints(capsys, monkeypatch):
    models = {name: ct.course_models()[name] for name in ("baseline", "spectral with biases")}  # the list needs no more
    monkeypatch.setattr(ct, "course_models", lambda features: models)
    ct.main(["--viewer", "viewer1362", "--splits", "2"])
    printed = capsys.readouterr().out
    shown = (ROOT / "benchmarks" / "results" / "run.txt").read_text(encoding="utf-8")
    assert shown.split("For viewer")[1] == printed.split("For viewer")[1]
    assert shown.splitlines()[0] == printed.splitlines()[0]
