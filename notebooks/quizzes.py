"""Quizzes of the lessons: whether an answer is right, and if not, why not."""

import textwrap
from dataclasses import dataclass

import numpy as np

# ---- Quizzes: is an answer right, and if not, why not ----------------------------------------------------------------


@dataclass(frozen=True)
class Quiz:
    """A question's right answer and the reason, and what each likely wrong answer has misunderstood.

    `answer` is a number, a sequence of numbers, True or False, or one of the words in `choices`; numbers count as equal
    within `tol`. `wrong` pairs an answer with why it is wrong; `hint` says why any other is, or how to find out.
    """

    answer: object
    because: str
    hint: str
    wrong: tuple = ()
    tol: float = 0.0
    choices: tuple = ()

    def __post_init__(self):
        if not self.choices and not isinstance(self.answer, bool | np.bool_) and self.tol <= 0:
            raise ValueError(f"a quiz that asks for numbers needs a tol above 0, or a rounded answer is wrong: {self}.")

    def read(self, answer):
        """The answer in the form of the right one; ValueError says what form that is."""
        if self.choices:
            word = str(answer).strip().lower()
            if word not in self.choices:
                raise ValueError(f"answer with one of {', '.join(map(repr, self.choices))}, got {answer!r}.")
            return word
        if isinstance(self.answer, bool | np.bool_):
            truth_values = {"true": True, "t": True, "false": False, "f": False}
            word = str(answer).strip().lower()
            if word not in truth_values:
                raise ValueError(f"answer with True or False, got {answer!r}.")
            return truth_values[word]
        shape = np.shape(self.answer)
        what = "one number" if shape == () else f"{shape[0]} numbers" if len(shape) == 1 else f"a table {shape}"
        try:
            numbers = np.asarray(answer, dtype=float)
        except (TypeError, ValueError):
            numbers = np.full((0, 0), np.nan)
        if numbers.shape != shape or not np.isfinite(numbers).all():
            raise ValueError(f"answer with {what}, got {answer!r}.")
        return numbers

    def equals(self, answer, other):
        exact = isinstance(other, bool | np.bool_ | str)
        return (
            bool(answer == other)
            if exact
            else bool(np.all(np.abs(answer - np.asarray(other, dtype=float)) <= self.tol))
        )


QUIZZES = {}  # name -> a function without arguments that computes the Quiz, so that nothing is computed on import


def quiz(make):
    """Register a quiz under the name of the function that makes it."""
    QUIZZES[make.__name__] = make
    return make


def _quiz(name):
    if name not in QUIZZES:
        raise KeyError(f"no quiz is called {name!r}; there are {', '.join(QUIZZES)}.")
    return QUIZZES[name]()


def verdict(name, answer):
    """(right, words) for an answer to a quiz; right is None while it is blank."""
    if name in QUIZZES and (answer is None or answer is Ellipsis):
        return None, "Not answered yet: put your answer in place of None and run this cell again."
    question = _quiz(name)
    try:
        given = question.read(answer)
    except ValueError as error:
        return False, f"Not an answer yet: {error}"
    if question.equals(given, question.answer):
        return True, f"Right. {question.because}"
    reasons = [why for wrong, why in question.wrong if question.equals(given, wrong)]
    return False, f"Not so. {(reasons or [question.hint])[0]}"


def check(name, answer):
    """Say whether an answer is right, and if not, why; a blank one is no error."""
    print(textwrap.fill(verdict(name, answer)[1], 100))


def is_right(name, answer):
    return verdict(name, answer)[0] is True


# ---- Lesson 00 -------------------------------------------------------------------------------------------------------


# ---- Lesson 01 -------------------------------------------------------------------------------------------------------


# ---- Lesson 02 -------------------------------------------------------------------------------------------------------


# ---- Lesson 02b ------------------------------------------------------------------------------------------------------


# ---- Lesson 02c ------------------------------------------------------------------------------------------------------


# ---- Lesson 02d ------------------------------------------------------------------------------------------------------


# ---- Lesson 02e ------------------------------------------------------------------------------------------------------


# ---- Lesson 03 -------------------------------------------------------------------------------------------------------


# ---- Lesson 04 -------------------------------------------------------------------------------------------------------


# ---- Lesson 05 -------------------------------------------------------------------------------------------------------


# ---- Lesson 05b ------------------------------------------------------------------------------------------------------


# ---- Lesson 06 -------------------------------------------------------------------------------------------------------


@quiz
def spectral_toll():
    """What Ann's 10 for Death Note becomes when the toll on the patterns of sizes 8 and 4 is 4."""
    return Quiz(
        answer=7 + (8 - 4) / 4,
        because="The second pattern is worth no more than the toll and goes. The first keeps 8 - 4 = 4, spread over 16 "
        "cells as 4/4 = 1 point each, so her rating becomes 7 + 1 = 8.",
        hint="Take 4 off both sizes, divide what is left by 4 to get points in a cell, and add the 7 again.",
        wrong=(
            (6, "The toll is not taken off the rating 10. It is taken off each pattern's size, here 8 and 4."),
            (9, "You dropped the second pattern, but the first pays the toll, too: its 2 points a cell become 1."),
            (7, "That would be so if both patterns were gone; the first one, of size 8, can pay 4 and stay."),
        ),
        tol=0.05,
    )


@quiz
def spectral_loner():
    """The singular values of a lone rating 6 points off, and of 1 point shared by nine viewers over four titles."""
    return Quiz(
        answer=(6, 6),
        because="A lone entry is its own singular value, 6. A block of ones is 1 times the square root of 9 x 4, "
        "which is 6 as well: the toll cannot tell a loud loner from a quiet crowd.",
        hint="A block of a points over p viewers and q titles has the singular value a times the square root of p q.",
        wrong=(
            ((6, 36), "36 is the number of cells in the block; the singular value is the root of the sum of squares."),
            ((6, 1), "1 is the entry of the block. A pattern that many cells share is larger than any one of them."),
            ((1, 6), "The lone rating counts, too: one entry of 6 and zeros elsewhere have the singular value 6."),
        ),
        tol=0.05,
    )


@quiz
def spectral_glance():
    """What a dual value built on a spectral norm that is too small does to the fit."""
    return Quiz(
        answer="flatters",
        because="With the norm too small, theta is scaled down too little and is not feasible, so the dual can lie "
        "above the optimum: the gap looks smaller than the truth, or even negative. Exercise 2 makes one.",
        hint="The bound holds for every theta whose largest singular value is at most lambda. Is this theta one?",
        wrong=(
            ("accuses", "That is what a norm that is too LARGE does: theta gets smaller than need be, the bound stays "
             "true and is only weak."),
            ("neither", "The scaling decides whether theta is feasible, and only a feasible theta proves anything."),
        ),
        choices=("flatters", "accuses", "neither"),
    )  # fmt: skip


# ---- Lesson 07 -------------------------------------------------------------------------------------------------------


# ---- Lesson 08 -------------------------------------------------------------------------------------------------------


# ---- Lesson 09 -------------------------------------------------------------------------------------------------------


# ---- Lesson 10 -------------------------------------------------------------------------------------------------------


# ---- Lesson 11 -------------------------------------------------------------------------------------------------------


# ---- Lesson 11b ------------------------------------------------------------------------------------------------------


# ---- Lesson 12 -------------------------------------------------------------------------------------------------------


# ---- Lesson 13 -------------------------------------------------------------------------------------------------------


# ---- Lesson 99 -------------------------------------------------------------------------------------------------------
