"""The claims of the lessons: each is a sentence of its lesson, can be computed, and holds with its own seed."""

import json
import re

import claims
import pytest
from test_lesson_rules import TAUGHT
from test_notebooks import FOLDER, cells, prose, read, source

CLAIMS = claims.claims()


def plain(text):
    return " ".join(re.sub(r"[*_`]", "", text).split())


@pytest.mark.parametrize("lesson", CLAIMS)
def test_each_claim_is_a_sentence_of_its_lesson(lesson):
    text = plain(prose(read(FOLDER / f"{lesson}.ipynb")))
    assert [claim["sentence"] for claim in CLAIMS[lesson] if plain(claim["sentence"]) not in text] == []
    for claim in CLAIMS[lesson]:
        assert set(claim) <= {"lesson", "sentence", "number", "half", "stands"}
        for name in ("number", "half", "stands"):
            compile(claim.get(name, "0"), claim["sentence"], "eval")


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.stem)
def test_a_lesson_that_draws_at_random_has_a_seed_and_claims(path):
    code = "\n".join(source(cell) for cell in cells(read(path), "code"))
    seeds = claims.SEED.findall(code)
    assert len(seeds) == ("SEED" in code), "one line SEED = ..., and all randomness goes by it"
    assert not seeds or len(CLAIMS.get(path.stem, [])) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("lesson", CLAIMS)
def test_each_claim_stands_with_the_seed_of_the_lesson(lesson):
    found = claims.evaluated(lesson)
    assert [claim["sentence"] for claim, (_, _, stands) in zip(CLAIMS[lesson], found, strict=True) if not stands] == []


def test_another_seed_is_put_in_place_of_the_lessons_own():
    cell = {"cell_type": "code", "source": ["import x\n", "SEED = 7\n", "y = SEED"], "metadata": {}}
    assert claims.code({"cells": [cell]}, 31) == [("import x\nSEED = 31\ny = SEED", False)]
    assert claims.code({"cells": [cell]}) == [("import x\nSEED = 7\ny = SEED", False)]


def test_a_claim_is_evaluated_where_its_lesson_ends(monkeypatch, tmp_path):
    cell = {"cell_type": "code", "source": ["SEED = 7\n", "value = SEED / 2"], "metadata": {}}
    (tmp_path / "made.ipynb").write_text(json.dumps({"cells": [cell]}), encoding="utf-8")
    (tmp_path / "claims.toml").write_text(
        '[[claim]]\nlesson = "made"\nsentence = "S"\nnumber = "value"\nhalf = "1"\nstands = "number - half > 3"\n'
    )
    monkeypatch.setattr(claims, "NOTEBOOKS", tmp_path)
    assert claims.evaluated("made") == [[3.5, 1.0, False]]
    assert claims.evaluated("made", 9) == [[4.5, 1.0, True]]
