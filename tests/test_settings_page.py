"""SETTINGS.md: every setting of every model is there, with the default that the code has."""

import inspect
import re
from pathlib import Path

import pytest

import content_table as ct

PAGE = (Path(ct.__file__).parent / "docs" / "SETTINGS.md").read_text(encoding="utf-8")
EVERYWHERE = {"random_state", "progress"}
MODELS = {
    name: model
    for name in ct.__all__
    if inspect.isclass(model := getattr(ct, name)) and issubclass(model, ct.Recommender) and model().get_params()
}


def stated():
    """{model: {setting: what the page says of its default}}"""
    found, model = {}, ""
    for row in re.findall(r"(?m)^\|(.*)\|$", PAGE):
        cells = [cell.strip() for cell in row.split("|")]
        if len(cells) != 7 or cells[0] in {"model", "---"}:
            continue
        model = cells[0].strip("`") or model
        for name in re.findall(r"`(\w+)`", cells[1]):
            found.setdefault(model, {})[name] = cells[3]
    return found


def test_the_page_has_every_model_with_settings():
    assert set(stated()) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_the_page_has_every_setting_with_its_default(name):
    said, settings = stated()[name], MODELS[name]().get_params(deep=False)
    inherited = stated()["SGDMF"] if name == "ContentMF" else {}
    assert set(said) | set(inherited) == set(settings) - EVERYWHERE
    for setting, words in (inherited | said).items():
        default = settings[setting]
        quoted = f'"{default}"' if isinstance(default, str) else str(default)
        assert words.partition(":")[0] == quoted, setting
