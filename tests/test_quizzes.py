"""The quizzes of the lessons: a right answer passes, a wrong one is told why, a blank one stops nobody."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import quizzes

import content_table as ct

FOLDER = Path(ct.__file__).parent / "notebooks"
for file in FOLDER.glob("lesson*.py"):
    importlib.import_module(file.stem)  # which registers its quizzes
NAMES = sorted(quizzes.QUIZZES)


def asked_in():
    """{quiz: notebooks that ask it}, from the text of the notebooks."""
    places = {}
    for path in sorted(FOLDER.glob("*.ipynb")):
        for name in set(re.findall(r"(?:lesson|quizzes)\.check\(\\\"(\w+)\\\"", path.read_text(encoding="utf-8"))):
            places.setdefault(name, []).append(path.stem)
    return places


@pytest.mark.parametrize("name", NAMES)
def test_the_right_answer_is_right_and_says_why(name):
    question = quizzes.QUIZZES[name]()
    right, words = quizzes.verdict(name, question.answer)
    assert right is True
    assert question.because in words
    assert len(question.because) > 20
    assert question.hint
    assert quizzes.QUIZZES[name].__doc__


@pytest.mark.parametrize("name", NAMES)
def test_each_likely_wrong_answer_has_its_own_reason(name):
    question = quizzes.QUIZZES[name]()
    assert question.wrong
    reasons = [quizzes.verdict(name, answer) for answer, _ in question.wrong]
    assert [right for right, _ in reasons] == [False] * len(question.wrong)
    assert all(why in words for (_, words), (_, why) in zip(reasons, question.wrong, strict=True))
    assert len({words for _, words in reasons}) == len(reasons)


@pytest.mark.parametrize("name", NAMES)
def test_a_number_as_asked_for_is_close_enough_and_twice_the_tolerance_is_not(name):
    question = quizzes.QUIZZES[name]()
    if isinstance(question.answer, bool | str):
        pytest.skip("not a number")
    exact = np.asarray(question.answer, dtype=float)
    assert quizzes.is_right(name, exact + 0.9 * question.tol)
    assert not quizzes.is_right(name, exact + max(2 * question.tol, 1e-6))


@pytest.mark.parametrize("name", NAMES)
def test_blank_and_nonsense_answers_are_told_what_is_wanted(name):
    for blank in (None, ...):
        assert quizzes.verdict(name, blank)[0] is None
    for nonsense in ("a word", [1, 2, "three"], {}, float("nan")):
        right, words = quizzes.verdict(name, nonsense)
        assert right is False
        assert "answer with " in words


@pytest.mark.parametrize("name", NAMES)
def test_every_quiz_is_asked_in_one_lesson(name):
    assert len(asked_in().get(name, [])) == 1


def test_every_question_asked_has_a_check():
    assert set(asked_in()) <= set(NAMES)


def test_an_unknown_quiz_is_named():
    with pytest.raises(KeyError, match="no quiz is called 'riddle'"):
        quizzes.check("riddle", 1)


def test_a_number_without_a_tolerance_is_no_quiz():
    with pytest.raises(ValueError, match="needs a tol above 0"):
        quizzes.Quiz(answer=0.655, because="", hint="")


def test_check_prints_and_returns_nothing(monkeypatch, capsys):
    made = quizzes.Quiz(
        answer=(1.0, 2.0), because="One and two.", hint="Count.", wrong=(((2, 1), "Turned round."),), tol=0.01
    )
    monkeypatch.setitem(quizzes.QUIZZES, "made", lambda: made)
    for answer, words in [
        ([1, 2], "One and two."),
        ((1.005, 2.0), "One and two."),
        ([2, 1], "Turned round."),
        ([1, 2.02], "Count."),
        ([1, 2, 3], "2 numbers, got [1, 2, 3]"),
        (None, "None"),
    ]:
        assert quizzes.check("made", answer) is None
        assert words in capsys.readouterr().out


def test_words_and_truth_values_are_read_kindly(monkeypatch):
    word = quizzes.Quiz(answer="fall", because="It falls.", hint="", wrong=(("rise", "No."),), choices=("rise", "fall"))
    truth = quizzes.Quiz(answer=False, because="It is not.", hint="", wrong=((True, "No."),))
    monkeypatch.setitem(quizzes.QUIZZES, "word", lambda: word)
    monkeypatch.setitem(quizzes.QUIZZES, "truth", lambda: truth)
    assert quizzes.is_right("word", " Fall ")
    assert quizzes.verdict("word", "rise")[0] is False
    assert "'rise', 'fall'" in quizzes.verdict("word", "stay")[1]
    assert quizzes.is_right("truth", "f")
    assert quizzes.is_right("truth", np.False_)
    assert quizzes.verdict("truth", True)[0] is False
    assert "True or False" in quizzes.verdict("truth", 3)[1]
