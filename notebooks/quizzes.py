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


@quiz
def fairy_tail_moves():
    """The title's half of one step, from the old numbers of the viewer."""
    p, q, r, eta = np.array([1.0, 2.0]), np.array([-1.0, -0.5]), 1 - 5, 0.1
    p_new = p + eta * r * q
    return Quiz(
        answer=tuple(q + eta * r * p),
        because="(-1, -0.5) + 0.1 · (-4) · (1, 2): the title takes the viewer's numbers from before the step.",
        hint="Take the second formula: old numbers of the title, plus 0.1 · (-4) times the viewer's (1, 2).",
        wrong=(
            (tuple(q + eta * r * p_new), "You used the viewer after the step; both lines use the numbers before it."),
            (tuple(q - eta * r * p), "The sign is turned round: this step raises a prediction that is too high."),
            (tuple(q + r * p), "The direction is right, but the learning rate of 0.1 is missing."),
            (tuple(p + eta * r * q), "That is where the viewer goes; the question is about the title."),
        ),
        tol=0.01,
    )


@quiz
def start_at_zero():
    """Exactly on the saddle."""
    return Quiz(
        answer="stay",
        because="Each step of P is a multiple of Q and the other way round, so zeros stay zeros for ever.",
        hint="Put zeros into both lines of the step.",
        wrong=(("move", "The residual is not zero, but it is multiplied by the other side's factors, and those are."),),
        choices=("move", "stay"),
    )


@quiz
def penalty_paid():
    """The penalty inside the sum over ratings counts once for each of them."""
    reg, n = 0.2, 64
    return Quiz(
        answer=reg * n,
        because="The bracket with λ|p_u|² stands in the sum once for each of the 64 ratings: 0.2 · 64.",
        hint="Count how many brackets of the sum hold this viewer's factors.",
        wrong=(
            (reg, "That is what one rating adds; this viewer stands in the sum once for each rating."),
            (reg * n / 2, "The half belongs to the step, down half the gradient; the objective has none."),
            (2 * reg * n, "That would be the slope's factor of two; the objective itself has none."),
        ),
        tol=0.05,
    )


# ---- Lesson 05 -------------------------------------------------------------------------------------------------------


# ---- Lesson 05b ------------------------------------------------------------------------------------------------------


# ---- Lesson 06 -------------------------------------------------------------------------------------------------------


# ---- Lesson 07 -------------------------------------------------------------------------------------------------------


# ---- Lesson 08 -------------------------------------------------------------------------------------------------------


# ---- Lesson 09 -------------------------------------------------------------------------------------------------------


# ---- Lesson 10 -------------------------------------------------------------------------------------------------------


# ---- Lesson 11 -------------------------------------------------------------------------------------------------------


# ---- Lesson 11b ------------------------------------------------------------------------------------------------------


# ---- Lesson 12 -------------------------------------------------------------------------------------------------------


# ---- Lesson 13 -------------------------------------------------------------------------------------------------------


# ---- Lesson 99 -------------------------------------------------------------------------------------------------------
