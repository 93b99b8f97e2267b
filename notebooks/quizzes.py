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


@quiz
def twins():
    """Rows hidden while their copy is not: twenty rows in ten pairs, each hidden with a chance of one fifth."""
    return Quiz(
        answer=20 * 0.2 * 0.8,
        tol=0.05,
        because="each of the twenty rows is hidden with a chance of 1/5, and its twin is open with 4/5: 20 x 0.16.",
        hint="of twenty rows a fifth is hidden, and of their twins four fifths are not.",
        wrong=(
            (4.0, "so many rows are hidden, but the twins of some of them are hidden too."),
            (1.6, "that counts one row of each pair; either of the two may be the hidden one."),
        ),
    )


@quiz
def one_left():
    """Whose other titles are struck out after the viewer has passed."""
    return Quiz(
        answer="cleo",
        choices=("aiko", "ben", "cleo", "dan"),
        because="Cleo passes with three ratings, and then Trigun and Naruto go, which nobody else who stays has rated.",
        hint="strike out Dan first, then count the ratings of each title once more.",
        wrong=(
            ("aiko", "Aiko loses Steins;Gate only, and keeps Death Note and Your Name."),
            ("ben", "Ben loses Fairy Tail only, and keeps Death Note and Your Name."),
            ("dan", "Dan has two ratings from the start and is struck out altogether."),
        ),
    )


@quiz
def too_friendly():
    """The mean of the ratings less the mean of all cells, if each viewer rates the better of two."""
    would_say = np.array([[9, 5], [4, 8]])
    return Quiz(
        answer=float(would_say.max(axis=1).mean() - would_say.mean()),
        tol=0.05,
        because="the ratings are 9 and 8, on average 8.5, and all four cells have 6.5 on average.",
        hint="which two cells are rated, and what is their mean?",
        wrong=(
            (8.5, "that is the mean of the ratings; take the mean of all four cells from it."),
            (4.0, "that compares rated cells with empty ones; the question is about all four."),
        ),
    )


# ---- Lesson 02 -------------------------------------------------------------------------------------------------------


# ---- Lesson 02b ------------------------------------------------------------------------------------------------------


# ---- Lesson 02c ------------------------------------------------------------------------------------------------------


# ---- Lesson 02d ------------------------------------------------------------------------------------------------------


# ---- Lesson 02e ------------------------------------------------------------------------------------------------------


# ---- Lesson 03 -------------------------------------------------------------------------------------------------------


@quiz
def ben():
    """Whether a viewer who gave the one shared title two points less than the other is strict."""
    return Quiz(
        answer="strict",
        because="On Death Note, the one title that both rated, he gave 2 points less than Aiko. His plain deviation "
        "hides it: it holds his rating of a good title against a mean that has Fairy Tail in it, which he never rated.",
        hint="Compare the two on the title that both have rated.",
        wrong=(
            (
                "average",
                "That is what his plain deviation of 0 says. But compare the two on the title that both rated.",
            ),
            ("generous", "On the title that both rated he gave 7 and Aiko 9. Who of them gave more?"),
        ),
        choices=("generous", "average", "strict"),
    )


@quiz
def imaginary():
    """The bias of a newcomer with three ratings of deviation 2, at lambda 5."""
    return Quiz(
        answer=3 * 2 / (3 + 5),
        because="The three ratings add up to 6, shared among 3 real and 5 imaginary ones: 6/8 = 0.75.",
        hint="Add up the three deviations, then divide by the number of real and imaginary ratings together.",
        wrong=(
            (2, "That is the plain mean, lambda = 0: five imaginary ratings of 0 deviation have to be counted too."),
            (6 / 5, "You divided by the imaginary ratings alone; the three real ones count as well."),
            (1 / 3, "2/6 is what a single rating would leave; there are three of them."),
        ),
        tol=0.005,
    )


@quiz
def ten_times():
    """By what factor the certified gap grows when the mistake is ten times larger."""
    return Quiz(
        answer=100,
        because="The gradient is 0 at the solution and grows in proportion to the mistake, so it is ten times longer; "
        "its squared length is a hundred times larger.",
        hint="The gradient is 2 (M b - target), which is linear in the mistake; the bound takes its squared length.",
        wrong=(
            (10, "The gradient is ten times longer, but the bound takes the square of its length."),
            (20, "The 2 in the gradient is there in both cases, and cancels in the factor. Square the ten."),
        ),
        tol=0.5,
    )


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


@quiz
def als_third_title():
    """What does p = (1.8, 0.3) predict for Demon Slayer, q = (2, 0)?"""
    return Quiz(
        answer=3.6,
        because="1.8 times 2 plus 0.3 times 0: Ann likes action, and Demon Slayer is nothing but action here.",
        hint="Multiply the numbers pairwise and add: p1 q1 + p2 q2.",
        wrong=(
            (1.8, "That is only Ann's first number; it is still to be multiplied by the title's, 2."),
            (2.1, "You added Ann's two numbers. Each is multiplied by the title's number first."),
            (16 / 3, "That is the answer without a penalty, from p = (8/3, -1/3). Here lambda is 1."),
            (4.2, "You multiplied the romance by 2 as well; Demon Slayer's second number is 0."),
        ),
        tol=0.05,
    )


@quiz
def als_what_can_rise():
    """One exact half-step of ALS: which can rise, the objective or the training error?"""
    return Quiz(
        answer="training error",
        because="The half-step minimizes the sum of both terms, so it may accept larger errors for smaller factors: "
        "Ann's would rise from 0 if she came from p = (8/3, -1/3).",
        hint="The half-step finds the smallest objective. Which of the two is only a part of it?",
        wrong=(
            ("objective", "It cannot: where they were, the factors were one of the choices, and the best was taken."),
            ("both", "Not the objective: staying where they were was one of the choices, and the best was taken."),
            (
                "neither",
                "The training error is only a part of the objective, and the other part, the penalty, may pay.",
            ),
        ),
        choices=("objective", "training error", "both", "neither"),
    )


@quiz
def als_twins():
    """From all ones with k = 20: how many different factors are there after a hundred passes without rounding?"""
    return Quiz(
        answer=1,
        because="Equal columns give every regression equal columns, and its answer weighs them equally, for ever: "
        "twenty copies of one factor.",
        hint="In Q all columns are equal. Can the regression for a viewer tell the first column from the second?",
        wrong=(
            (20, "There are twenty columns, but nothing ever tells one from another."),
            (2, "The titles' half-step also sees equal columns, those of P, so it parts nothing either."),
            (0, "One factor is there: each column holds the same numbers, and these fit the ratings a little."),
        ),
        tol=0.01,
    )


# ---- Lesson 05b ------------------------------------------------------------------------------------------------------


@quiz
def als_strong_penalty():
    """With biases and lambda so large that all factors are 0: which model is left?"""
    return Quiz(
        answer="baseline",
        because="With P = Q = 0 the prediction is mu + b_u + b_i, fitted with the penalty bias_reg: the bias baseline.",
        hint="Put 0 for the factors into mu + b_u + b_i + p.q. What is left?",
        wrong=(
            ("zero", "That is left without biases. With them the levels stay, under a penalty of their own."),
            ("global mean", "The biases have their own penalty, bias_reg, which did not grow with lambda."),
            ("popularity", "The titles' biases are there, but so are the viewers', and both are fitted to ratings."),
        ),
        choices=("baseline", "zero", "global mean", "popularity"),
    )


@quiz
def als_gap():
    """Objective 13,674, floor 13,214: by how many per cent of the floor can a better fit at most undercut this one?"""
    return Quiz(
        answer=100 * (13674 - 13214) / 13214,
        because="Nobody can go below the floor, so the gain is at most 460 of 13,214.",
        hint="The difference between the two, as a share of the floor, in per cent.",
        wrong=(
            (460, "That is the gap in units of the objective; in per cent of the floor it is less."),
            (0, "A gap of 460 is left, so the proof leaves room for a better fit."),
            (100, "Nobody can go below the floor, so most of the objective cannot be saved."),
        ),
        tol=0.1,
    )


@quiz
def als_translate():
    """LensKit's penalty 0.1 multiplies a viewer's ratings; what is our lambda for a viewer with 40 ratings?"""
    return Quiz(
        answer=4.0,
        because="0.1 for each of the 40 ratings is 4 on this viewer; a viewer with 5 ratings gets 0.5.",
        hint="The penalty counts once for each rating of the viewer.",
        wrong=(
            (0.1, "That is the penalty for each rating, and this viewer gave 40."),
            (0.0025, "You divided by the number of ratings; the penalty is multiplied by it."),
            (40.1, "It is multiplied by the number of ratings, not added to it."),
        ),
        tol=0.001,
    )


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


@quiz
def nuclear_corner():
    """The entry x that gives the rows (1, 2) and (2, x) the least nuclear norm."""
    return Quiz(
        answer=1,
        because="For x up to 4 the squared norm is 9 + x^2 + 2 (4 - x) = (x - 1)^2 + 16, so x = 1 gives the norm 4. "
        "The multipliers 0, 1, 1 on the known cells have spectral norm 1 and product 2 + 2 = 4: nothing is lower.",
        hint="The squares of both singular values add up to those of the entries, 9 + x^2, and their product is "
        "|x - 4|, so the squared norm is 9 + x^2 + 2 |x - 4|.",
        wrong=(
            (4, "That is the table of rank one, whose only singular value is 5. The other one spreads over two "
             "singular values, but they add up to less."),
            (0, "This makes the squares of the entries smallest. The nuclear norm adds singular values; at x = 0 it "
             "is the root of 17."),
            (2, "At x = 2 the norm is the root of 9 + 4 + 4 = 17, more than 4."),
            (3, "That continues the rows as sums, 1, 2, 3. The nuclear norm there is the root of 20, more than 4."),
        ),
        tol=0.05,
    )  # fmt: skip


@quiz
def nuclear_no_toll():
    """What paste-and-shrink with a toll of 0 makes of a hole that starts at 0, after 1,000 passes."""
    return Quiz(
        answer=0,
        because="A toll of 0 changes no singular value, so shrinking returns what was pasted, and the hole keeps its 0 "
        "for ever. With a toll that is tiny the hole moves, but by tiny steps.",
        hint="Follow one pass: the known ratings are pasted over the guess, and then each singular value loses 0.",
        wrong=(
            (-1, "That is the right completion, but this loop never gets there: which of its two steps would move it?"),
            (6, "6 is the rating; in points above 7 the completion is -1, and this loop never moves towards it."),
        ),
        tol=0.01,
    )


@quiz
def nuclear_certified():
    """What a gap of zero says of a completion that is far from the truth."""
    return Quiz(
        answer="optimal",
        because="The gap speaks of the problem: no completion has a lower norm, the truth included, which costs more. "
        "Whether the truth is the completion of least norm, no certificate can say.",
        hint="The truth repeats the known cells, too, so it takes part in the competition. Has it won?",
        wrong=(
            ("unfinished", "An unfinished solver would show a gap above zero. Here both bounds have met."),
            ("invalid", "The bound holds for every completion and was computed from the known cells alone."),
        ),
        choices=("optimal", "unfinished", "invalid"),
    )


# ---- Lesson 08 -------------------------------------------------------------------------------------------------------


@quiz
def word_everywhere():
    """The idf of a word that all of three titles have."""
    return Quiz(
        answer=np.log(4 / 4) + 1,
        because="ln(4/4) + 1 = 1: the smallest weight there is, but not 0.",
        hint="Put n = 3 and the number of texts that have the word into the first formula.",
        wrong=(
            (0, "The logarithm is 0, but the formula adds 1."),
            (np.log(4 / 3) + 1, "That is the idf of a word in two of the three texts."),
        ),
        tol=0.005,
    )


@quiz
def mononoke_moves():
    """One residual of 2 for Totoro, a penalty of 1: how far another title moves."""
    totoro, mononoke = np.array([1, np.log(4 / 3) + 1, np.log(2) + 1]), np.array([1, np.log(2) + 1, np.log(2) + 1])
    cosine = 1 / np.linalg.norm(totoro) / np.linalg.norm(mononoke)  # adventure alone is shared, and its idf is 1
    return Quiz(
        answer=cosine * 2 / (1 + 1),
        because="The cosine of the two is 0.16, and half of the residual of 2 is believed: 0.16 · 1.",
        hint="Look up the cosine of Princess Mononoke and My Neighbor Totoro, and multiply it by 2 / (1 + 1).",
        wrong=(
            (cosine * 2, "That believes the whole residual; the penalty of 1 halves it."),
            (0.48, "That is Spirited Away, which shares two words with Totoro; Mononoke shares one."),
            (0, "The two share a word, adventure, so the weight on it moves both."),
        ),
        tol=0.006,
    )


@quiz
def same_words():
    """Content alone cannot tell titles with equal rows apart."""
    return Quiz(
        answer=True,
        because="Equal rows times the same weights, plus the same bias of the viewer, give equal predictions.",
        hint="Write down the prediction of both: which part of it belongs to the title?",
        wrong=((False, "The title enters only through its row of words, and the two rows are equal."),),
    )


# ---- Lesson 09 -------------------------------------------------------------------------------------------------------


# ---- Lesson 10 -------------------------------------------------------------------------------------------------------


# ---- Lesson 11 -------------------------------------------------------------------------------------------------------


@quiz
def copy_held_out():
    """A copy repeats what it saw and says the mean elsewhere: its held-out error on the one hidden cell, a 6."""
    error = abs(6 - 16 / 3)
    return Quiz(
        answer=error,
        because="T holds the hidden cell alone, so the three perfect cells do not count: the error is 6 - 5.33 = 0.67, "
        "that of the global mean.",
        hint="Which cells are in T, and what does the copy say there?",
        wrong=(
            (0.0, "That is its training error. The copy is perfect where it has seen the answer, and only there."),
            (error / 2, "You divided by all four cells. T holds the hidden one alone."),
            (error**2, "That is the mean squared residual: the root is missing."),
            (4.0, "That is the nuclear norm's, which says 2; the copy says 16/3."),
        ),
        tol=0.005,
    )


@quiz
def verdict_of_three():
    """Three paired differences on 80/20 splits: better, tie or worse?"""
    d = np.array([-0.27, -0.20, -0.13])
    s, t = d.std(ddof=1), 4.303
    half, plain = t * s * np.sqrt(1 / 3 + 1 / 4), t * s / np.sqrt(3)
    return Quiz(
        answer="tie" if abs(d.mean()) <= half else "better",
        choices=("better", "tie", "worse"),
        because=f"The mean is {d.mean():.2f} and s is {s:.2f}, so h = 4.303 · {s:.2f} · √(1/3 + 1/4) = {half:.2f}: the "
        f"interval holds 0. Without the correction h would be {plain:.2f}, and the verdict another one.",
        hint="Compute the mean, s, and the half width h with 1/J + n_test/n_train = 1/3 + 1/4.",
        wrong=(
            (
                "better",
                f"All three differences are negative, and with 1/J alone h is {plain:.2f}, less than the mean. But the "
                "splits share their training ratings: the term n_test/n_train = 1/4 is missing.",
            ),
            ("worse", "The differences are errors of B less errors of A; a negative one is in favour of B."),
        ),
    )


@quiz
def clipped_error():
    """Predictions 10.6 and 8 for ratings 9 and 10, on a scale that ends at 10: the clipped RMSE."""
    return Quiz(
        answer=np.sqrt((1**2 + 2**2) / 2),
        because="10.6 is cut to 10, so the residuals are 9 - 10 = -1 and 10 - 8 = 2, and √(5/2) = 1.58. Raw it is "
        "√((1.6² + 2²)/2) = 1.81.",
        hint="Cut each prediction to the scale first, then residuals, squares, mean, root.",
        wrong=(
            (np.sqrt((1.6**2 + 2**2) / 2), "That is the raw error: 10.6 was not cut to 10."),
            (2.0, "Clipping moves a prediction; it does not leave the cell out."),
            (np.sqrt(2), "You moved 10.6 to the rating itself. It is cut at the end of the scale, 10, and not at 9."),
            (2.5, "That is the mean squared residual: the root is missing."),
        ),
        tol=0.005,
    )


# ---- Lesson 11b ------------------------------------------------------------------------------------------------------


@quiz
def ndcg_of_a_miss():
    """The list (B, A): A was rated 9 in the hidden part, B was rated by nobody and would have been a 10. NDCG?"""
    second = 1 / np.log2(3)
    return Quiz(
        answer=second,
        because="Only A counts, on rank 2: 1/log2(3) = 0.63, over the 1 that A on rank 1 would have given. The better "
        "title B costs the list points because nobody asked the viewer.",
        hint="Which titles are relevant, that is hidden and rated 8 or more? Where do they stand?",
        wrong=(
            (1.0, "You know that B is a 10; the score knows only ratings, and B has none."),
            (0.5, "That is the precision, one hit among two. NDCG also looks at the rank."),
            (second / (1 + second), "Your best order has two relevant titles. There is only one, A."),
        ),
        tol=0.005,
    )


@quiz
def lowered_predictions():
    """Every prediction of a model is lowered by two points: does its NDCG rise, fall or stay?"""
    return Quiz(
        answer="stay",
        choices=("rise", "fall", "stay"),
        because="The order of the titles is the same, so every list is. The error of this model is another matter.",
        hint="What does a list keep of the predictions?",
        wrong=(
            ("fall", "You thought of the error, which such a shift ruins. A list keeps the order alone."),
            ("rise", "A lower prediction is not a more careful list: the order has not changed at all."),
        ),
    )


@quiz
def crowd_among_rated():
    """Which model stands nearest to random order when only the rated titles of a viewer compete."""
    return Quiz(
        answer="popularity",
        choices=("popularity", "baseline", "content"),
        because="Popularity knows what is watched, and here everything has been watched. What is left to know is what "
        "is liked, of which it knows little.",
        hint="What does each model know, and which part of it is still of use among titles that were all watched?",
        wrong=(
            ("baseline", "It knows which titles are rated highly, and that is still of use among watched titles."),
            (
                "content",
                "It predicts best how a watched title is liked, so it stands farthest from random of the three.",
            ),
        ),
    )


# ---- Lesson 12 -------------------------------------------------------------------------------------------------------


@quiz
def clipped_list():
    """Which of two titles a list puts first after their scores, 10.2 and 10.7, were clipped to the scale."""
    return Quiz(
        answer="cowboy bebop",
        because="Both scores become 10, a tie, and the tie goes to the earlier position. The model's own opinion, that "
        "Steins;Gate is half a point better, is lost. So clip for an error, and never for a list.",
        hint="Write down both scores after clipping, then apply the rule for ties.",
        wrong=(
            ("steins;gate", "It has the larger score before clipping. What are the two scores after it?"),
            ("either", "They tie after clipping, but a tie is not left open: the earlier position comes first."),
        ),
        choices=("cowboy bebop", "steins;gate", "either"),
    )


@quiz
def ndcg_two_loved():
    """NDCG of a list of three with loved titles at ranks 2 and 3, two loved titles in all."""
    weight = 1 / np.log2(np.arange(2, 5))
    return Quiz(
        answer=weight[1:].sum() / weight[:2].sum(),
        because="The hits weigh 0.631 + 0.5 = 1.131. The best list has them at ranks 1 and 2, 1 + 0.631 = 1.631, and "
        "1.131 / 1.631 = 0.693.",
        hint="Add the weights of the ranks with a hit, then divide by the sum for the best possible list.",
        wrong=(
            (weight[1:].sum(), "That is the sum over the hits. Divide it by what the best order would have had."),
            (weight[1:].sum() / weight.sum(), "There are two loved titles, so the best list has two hits, not three."),
            (2 / 3, "That is the precision: it counts the hits and forgets where they stand."),
        ),
        tol=0.005,
    )


@quiz
def reason_by_hand():
    """What a 10 adds to a prediction of the baseline: usual rating 7.8, 17 ratings, lambda 5."""
    return Quiz(
        answer=0.1,
        because="The rating lies 2.2 above what the title usually gets, and the bias of this viewer divides by "
        "17 + 5 = 22: 2.2 / 22 = 0.1. Every title of the list is lifted by the same 0.1.",
        hint="How far is the rating above what is usual for the title? By what does the viewer's bias divide?",
        wrong=(
            (2.2, "That is how far the rating lies above the usual one. The bias is an average over all ratings."),
            (2.2 / 17, "Five imaginary ratings count as well: lambda is 5."),
            (10 / 22, "Only what the rating tells beyond the usual one counts: 10 - 7.8."),
        ),
        tol=0.005,
    )


# ---- Lesson 13 -------------------------------------------------------------------------------------------------------


# ---- Lesson 99 -------------------------------------------------------------------------------------------------------
