"""Quizzes of the lessons: whether an answer is right, and if not, why not."""

import textwrap
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

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


@quiz
def how_far_from_the_best():
    """By how many per cent of its objective can a better fit at most lie below one with primal 250 and dual 245?"""
    primal, dual = 250.0, 245.0
    gap = primal - dual
    return Quiz(
        answer=100 * gap / primal,
        because="The optimum lies between 245 and 250, so nobody can gain more than the gap, 5 of 250.",
        hint="Take the bound from what was reached, then divide by what was reached. Then in per cent.",
        wrong=(
            (gap, "That is the gap in units of the objective. In per cent of 250 it is less."),
            (100 * gap / dual, "You divided by the bound; the question is about per cent of 250."),
            (100 * dual / primal, "That is how much of the objective is proven necessary; asked is what may be left."),
        ),
        tol=0.01,
    )


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


@quiz
def alice_interstellar():
    """What do Alice's least-squares weights predict for Interstellar?"""
    weights, film = np.array([2.7756, 1.6564, 1.7466]), np.array([0.05, 0.95, 0.70])
    return Quiz(
        answer=weights @ film,
        because="Each weight times its feature, added up. It is near her 3 and not 3: five ratings, three unknowns.",
        hint="Multiply weight and feature pairwise, in the order Bollywood, Sci-Fi, Drama, and add the three products.",
        wrong=(
            (3, "That is the rating she gave. Three weights cannot meet five ratings at once, only come near them."),
            (film.sum(), "That adds the film's features. They count only after multiplication by Alice's weights."),
            (weights.sum(), "That adds Alice's weights. Each counts only as much as the film has of the feature."),
            (weights @ [0.05, 0.80, 0.30], "That is her prediction for Batman, one column too far to the left."),
        ),
        tol=0.015,
    )


@quiz
def ridge_by_hand():
    """Two titles with the features 1 and 2, rated 3 and 5, lambda = 1: which weight minimises the objective?"""
    q, a = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    return Quiz(
        answer=q @ a / (q @ q + 1),
        because="Numerator 1·3 + 2·5 = 13, denominator 1·1 + 2·2 + λ = 6.",
        hint="With one feature the equation is (q·q + λ) w = q·a.",
        wrong=(
            (q @ a / (q @ q), "That is 13/5: λ is missing below. Plain least squares has no + 1."),
            (q @ a / (q @ q + 2), "That adds λ once for each rating. In this objective it counts once for the viewer."),
            (np.mean(a / q), "That is the mean of the ratios 3/1 and 5/2: not least squares, and λ is missing too."),
            (q @ a / len(a), "That divides by the number of ratings. The divisor is q·q + λ."),
        ),
        tol=0.005,
    )


@quiz
def numbers_that_count():
    """Unknowns of a factorization of 3 x 5 cells with two factors, without the choice of axes."""
    m, n, k = 3, 5, 2
    return Quiz(
        answer=k * (m + n) - k**2,
        because="2·(3 + 5) = 16 factors, of which 2·2 = 4 are only a choice of axes. There are eleven ratings.",
        hint="Count the entries of P and Q, then subtract those of a matrix T of two rows and two columns.",
        wrong=(
            (k * (m + n), "These are all entries of P and Q; some of them are only a choice of axes."),
            (m * n, "These are the cells of the table. Count the factors instead, without the choice of axes."),
            (k * (m + n) - k, "A matrix T with two rows and two columns has four entries, not two."),
            (11, "So many ratings there are, which is why they cannot pin the factors down."),
        ),
        tol=0.01,
    )


@quiz
def midpoint():
    """The loss (4 - p q)^2 halfway between (1, 4) and (4, 1)."""
    return Quiz(
        answer=(4 - 2.5 * 2.5) ** 2,
        because="Halfway is (2.5, 2.5): its product is 6.25, and 2.25 squared is 5.0625. Both ends are 0: not convex.",
        hint="Average the two points first, then put the average into the formula.",
        wrong=(
            (0, "That is the average of the two heights, which a convex function could not exceed. Take the middle."),
            (4 - 2.5 * 2.5, "That is the residual, 4 - 6.25. The height is its square."),
            (16, "That is the height at (0, 0), halfway between (2, 2) and (-2, -2). These ends are others."),
        ),
        tol=0.01,
    )


# ---- Lesson 02b ------------------------------------------------------------------------------------------------------


@quiz
def slope_of_title():
    """The slope of the sum of squared residuals along the first number of the first title, without a penalty."""
    ratings, P, q = np.array([5.0, 4.0]), np.array([[0.5, 0.3], [0.4, 0.6]]), np.array([1.0, 0.3])
    r = ratings - P @ q
    empty = -(0.2 * 1.0 + 0.8 * 0.3)  # the residual of the third viewer, if the hole were a rating of 0
    slope = -2 * r @ P[:, 0]
    return Quiz(
        answer=slope,
        because="-2 (4.41*0.5 + 3.42*0.4): only the two viewers who rated the title. Negative, so it should grow.",
        hint="Sum residual times the viewer's first number over the viewers who rated title 1; times -2.",
        wrong=(
            (-slope, "The sign: positive residuals ask for a larger factor. The sum falls as it grows, so: negative."),
            (slope / 2, "That is the slope of half the sum. Without the half the factor 2 of the square stays."),
            (slope - 2 * empty * 0.2, "That counts the hole of viewer 3 as a rating of 0. Holes have no residual."),
            (slope / 6, "That divides by the number of ratings. This is a sum, not a mean."),
        ),
        tol=0.006,
    )


@quiz
def title_after_step():
    """The title's two numbers after a step on a rating of 2 that was predicted as 4.5."""
    p, q, r, eta = np.array([0.8, 0.3]), np.array([0.6, 0.9]), 2 - 4.5, 0.1
    p_new = p + eta * r * q
    return Quiz(
        answer=q + eta * r * p,
        because="q + 0.1 (-2.5) p with the old p = (0.8, 0.3).",
        hint="q + eta * residual * p: the residual is rating - prediction, and p is from before the step.",
        wrong=(
            (q + eta * r * p_new, "That uses the viewer after the step. Both lines take the numbers from before it."),
            (q - eta * r * p, "The sign of the residual: 2 - 4.5 = -2.5, so the title's numbers must shrink."),
            (q + 2 * eta * r * p, "That has a factor 2. The step descends half the square and has none."),
            (p_new, "That is the viewer after the step. The question asks for the title."),
        ),
        tol=0.002,
    )


@quiz
def similarity():
    """Does p . q rise or fall in that step?"""
    return Quiz(
        answer="fall",
        because="The prediction was too high, so viewer and title move apart: p.q goes from 0.75 down to 0.32.",
        hint="Was too much promised, or too little?",
        wrong=(("rise", "It would rise if the prediction were below the rating. Here 4.5 was promised and 2 given."),),
        choices=("rise", "fall"),
    )


@quiz
def rise_or_fall():
    """The residual is +.05. Do the five entries of p rise or fall?"""
    return Quiz(
        answer="fall",
        because="The residual pulls each entry up by .05 of its partner, the penalty pulls it down by .1 of itself. "
        "Partner and entry are equal here, so the larger factor wins, and that is the penalty's.",
        hint="Write out r q - lambda p for the first entry.",
        wrong=(
            ("rise", "The residual alone would lift them. The step is r q - lambda p, with r = .05 and lambda = .1."),
            ("stay", "They would stay if the residual were as large as lambda, because here p and q are equal."),
        ),
        choices=("rise", "fall", "stay"),
    )


@quiz
def old_or_new():
    """p = (1, .5), q = (.5, 1), mean 2, rating 4, eta .1, lambda .1: the first entry of q after one step."""
    p, q, eta, reg = np.array([1.0, 0.5]), np.array([0.5, 1.0]), 0.1, 0.1
    r = 4 - 2 - p @ q
    p_new = p + eta * (r * q - reg * p)
    return Quiz(
        answer=float(q[0] + eta * (r * p[0] - reg * q[0])),
        because="The residual is 4 - 2 - 1 = 1, and q moves by .1 (1 times the old p, minus .1 times q).",
        hint="First the residual: 4 - (2 + p.q). Then q + eta (r p - lambda q), first entries only.",
        wrong=(
            (q[0] + eta * (r * p_new[0] - reg * q[0]), "That is late: it uses the new p; both use the old numbers."),
            (q[0] + eta * (r * q[0] - reg * q[0]), "That is swapped: q moves along p, its partner, not along q."),
            (q[0] + eta * r * p[0], "That forgets the penalty, lambda times q."),
            (q[0] + 2 * eta * (r * p[0] - reg * q[0]), "That has the factor 2 of the slope; the step is half of it."),
            (q[0] - eta * (r * p[0] - reg * q[0]), "That goes the wrong way: the step is added to q."),
        ),
        tol=0.0005,
    )


@quiz
def penalty_per_rating():
    """What one more rating adds to the penalty in the sum over all ratings."""
    reg, user, item = 0.1, 0.1**2 + 0.55, 0.2**2 + 0.55
    extra = reg * (user + item)
    return Quiz(
        answer=extra,
        because="The new rating charges for all that it touches: .1 (.01 + .55 + .04 + .55).",
        hint="Which numbers does the rating touch? Square, add, and multiply by lambda.",
        wrong=(
            (reg * user, "That is the viewer only; the title is touched as well."),
            (reg * item, "That is the title only; the viewer is touched as well."),
            (user + item, "That forgets lambda."),
            (reg * (0.55 + 0.55), "That forgets the biases, which are penalised as well."),
            (2 * extra, "That counts the rating twice; it adds one term to the sum."),
            (0.0, "That would be so if everybody paid once. Here each rating charges anew."),
        ),
        tol=0.0005,
    )


@quiz
def common_word():
    """A word that all three texts have, by the recipe ln(n / (1 + n_t))."""
    n = df = 3
    return Quiz(
        answer=np.log(n / (1 + df)),
        because="ln(3 / 4) is below 0: a title would be *against* a word that it has.",
        hint="ln(n / (1 + n_t)) with n = 3 texts and n_t = 3 texts that have the word.",
        wrong=(
            (np.log(n / df), "That is the recipe ln(n / n_t), where such a word gets 0."),
            (np.log((1 + n) / (1 + df)) + 1, "That is ours: 1 added to both counts, and 1 at the end."),
            (np.log((1 + df) / n), "The fraction is upside down: n goes above."),
            (n / (1 + df), "The logarithm is missing."),
        ),
        tol=0.005,
    )


@quiz
def falls_most():
    """Which numbers of the step with words fell most."""
    return Quiz(
        answer="biases",
        because="The residual is multiplied by the partner, and that of a bias is 1, larger than .9 or .5.",
        hint="Compare the partners: 1 for a bias, C for a weight, q for a factor.",
        wrong=(
            ("weights", "They fell by .0015 and .0020, their partners being .7 and .9. Whose partner is larger?"),
            ("factors", "They fell by .0015 at most, as their partners are .5 at most. Whose partner is larger?"),
        ),
        choices=("factors", "weights", "biases"),
    )


@quiz
def short_list():
    """Four test titles, three of them relevant, in the best order: precision@10, rated-only."""
    return Quiz(
        answer=3 / 10,
        because="Three hits, divided by the ten places asked for, although only four could be filled.",
        hint="Hits divided by K, whatever the length of the list that could be made.",
        wrong=(
            (1.0, "That is the recall: all three relevant titles are in the list."),
            (3 / 4, "That divides by the four titles listed; precision@10 divides by 10."),
            (4 / 10, "That counts the fourth title as a hit; it was rated below the threshold."),
        ),
        tol=0.005,
    )


# ---- Lesson 02c ------------------------------------------------------------------------------------------------------


@quiz
def convex_plateau():
    """Where a walk down the rank of the rows (2, 1) and (1, x) ends that starts at x = 2."""
    return Quiz(
        answer=2,
        because="At x = 2 and on both sides of it the rank is 2, so the slope is 0 and no step leads anywhere.",
        hint="What is the rank at 2, a little to the left of it and a little to the right?",
        wrong=(
            (0.5, "There the rank is 1, but only in that single point. What slope would tell the walk where to go?"),
            (0, "At x = 0 the rank is 2 as well, and nothing pulls the walk there."),
        ),
        tol=0.01,
    )


@quiz
def convex_completion():
    """Which x gives the rows (9, 6) and (6, x) the smallest nuclear norm?"""
    return Quiz(
        answer=36 / 9,
        because="Up to x = 4 the squared norm is (x - 9)^2 + 144, which falls; from there on it is (x + 9)^2, which "
        "rises. They meet where the determinant 9 x - 36 is 0, and the table there has rank one.",
        hint="The squares add up to 153 + x^2 and the determinant is 9 x - 36. Write the squared norm for each sign of "
        "the determinant, and see which piece falls.",
        wrong=(
            (9, "9 is the bottom of the first piece, (x - 9)^2 + 144, but that piece ends at x = 4. Beyond it the "
             "norm is x + 9, which rises."),
            (0, "x = 0 makes the sum of squares smallest. The determinant counts as well, and it is far from 0 there."),
            (3, "That continues the rows as differences, 9, 6, 3. The norm there is the root of 180, more than 13."),
        ),
        tol=0.02,
    )  # fmt: skip


@quiz
def convex_shrink():
    """The off-diagonal entry of the rows (3, 1) and (1, 3) after 3 is taken off the singular values."""
    return Quiz(
        answer=(4 - 3) / 2,
        because="The singular values 4 and 2 become 1 and 0, and 1 times the pattern of ones, of size 2, puts 1/2 "
        "into every cell.",
        hint="Singular values 4 and 2, along (1, 1) and (1, -1). Take 3 off each, never below 0, and multiply out.",
        wrong=(
            (0, "You took 3 off the entries. The singular values are shrunk, not the cells."),
            (1, "Did the second value become 2 - 3 = -1? A singular value is never negative, and (s - 3)_+ stops at 0. "
             "Or did you leave the cell as it was? Both give 1."),
            (2, "You kept 4 and dropped 2. What stays pays as well, and 4 becomes 1."),
        ),
        tol=0.005,
    )  # fmt: skip


# ---- Lesson 02d ------------------------------------------------------------------------------------------------------


@quiz
def lambda_of_a_mean():
    """A text minimises the mean squared error plus 0.01 (|P|^2 + |Q|^2) on 2,555 ratings: which reg is that in ALS?"""
    count, text = 2555, 0.01
    return Quiz(
        answer=count * text,
        tol=0.005,
        because=(
            "Multiply the whole objective by the number of ratings: the mean becomes our sum, and the penalty "
            "grows with it."
        ),
        hint="Multiply the text's objective by whatever turns its mean into our sum, and look at the penalty.",
        wrong=(
            (
                text,
                "That is the text's own number. Its squared errors are averaged, ours are summed: the same "
                "penalty weighs 2,555 times less beside a sum.",
            ),
            (
                count * text / 2,
                "Half of it: a half belongs in front of the sum only where the text writes one (spectral "
                "regularization does).",
            ),
            (text / count, "The wrong way round: beside a sum the penalty must be larger, not smaller."),
        ),
    )


@quiz
def lambda_of_the_half():
    """SpectralRegularization(reg=5) and ALS with enough factors complete a table alike: what is reg in ALS?"""
    return Quiz(
        answer=5.0,
        tol=1e-6,
        because=(
            "|X|_* is at least half of |P|^2 + |Q|^2, with equality at the best factors, so twice the spectral "
            "objective is the ALS objective, with the same lambda."
        ),
        hint="Write the nuclear norm as half of |P|^2 + |Q|^2, and double the whole spectral objective.",
        wrong=(
            (
                10.0,
                "Doubling the objective doubles the penalty to 10 |X|_*, but |X|_* is itself a half of |P|^2 +"
                " |Q|^2: the two cancel.",
            ),
            (2.5, "The half in front of the squares is cancelled by the half in |X|_* = min (|P|^2 + |Q|^2) / 2."),
        ),
    )


@quiz
def what_is_mu():
    """A text writes U <- U - mu dE/dU: what is mu?"""
    return Quiz(
        answer="step",
        choices=("step", "mean", "penalty"),
        because=(
            "It multiplies a gradient and is subtracted: a step. This course writes eta, and keeps mu for the mean."
        ),
        hint="Ask what it does in the formula, not what its letter means elsewhere.",
        wrong=(
            (
                "mean",
                "In this course mu is the mean of the ratings. Here it multiplies a"
                " gradient: a letter has no meaning of its own.",
            ),
            (
                "penalty",
                "A penalty stands inside E, beside squares of the parameters. This number stands in front of "
                "the derivative of all of E.",
            ),
        ),
    )


@quiz
def one_row_for_what():
    """A content matrix, looked up by film, has 100,836 rows for 9,724 films: which question finds the slip?"""
    return Quiz(
        answer="shapes",
        choices=("recompute", "shapes", "which part", "floor and ceiling", "constants", "another case"),
        because=(
            "A matrix that is indexed by film must have as many rows as there are films. Printing its shape is enough."
        ),
        hint="You need no model and no rating to see it.",
        wrong=(
            ("recompute", "Each row was computed correctly; it stood in the wrong place."),
            ("which part", "The figure was computed on a proper test part. It is a bad figure, honestly measured."),
            (
                "floor and ceiling",
                "That raises the suspicion: biases alone do better. It does not say where the fault is.",
            ),
            ("constants", "No sum or mean is confused here: the error would be there with any constant."),
            ("another case", "Another seed gives the same disappointment. The fault is in the table, not in the luck."),
        ),
    )


# ---- Lesson 02e ------------------------------------------------------------------------------------------------------


@quiz
def convex_bound():
    """Which lower bound the multipliers 1, 1, 1 prove for the completions of the rows (2, 1) and (1, x)."""
    largest = (1 + np.sqrt(5)) / 2
    return Quiz(
        answer=4 / largest,
        because="The sum over the known cells is 4, the largest singular value 1.618, and 4/1.618 = 2.47. The optimum "
        "is 2.5, so even careless multipliers came within two per cent of it.",
        hint="Add multiplier times rating over the three known cells, then divide by the largest singular value.",
        wrong=(
            (4, "4 is the sum before the division. It lies above 2.5, the norm that we hold, so it bounds nothing: "
             "the largest singular value is above 1, and the multipliers must be scaled down."),
            (4 / np.sqrt(3), "You divided by the root of the sum of squares. That bound is true but weaker than need "
             "be, since the largest singular value is smaller."),
            (4 / 3, "You divided by the number of known cells; divide by the largest singular value, 1.618."),
        ),
        tol=0.01,
    )  # fmt: skip


@quiz
def convex_kkt():
    """The residual of the second viewer's only rating in the rows (5, 3) and (4, ?) at lambda = 2."""
    return Quiz(
        answer=2 * -5 / 56,
        because="The residuals of a viewer sum to lambda b_u. This viewer has one rating, so its residual is the sum: "
        "2 times -5/56. No other bias was needed.",
        hint="Use the condition: the residuals of each viewer sum to lambda b_u. How many ratings has this viewer?",
        wrong=(
            (-5 / 56, "That is b_u itself, but lambda is 2 here, not 1."),
            (0, "Residuals sum to zero in least squares without a penalty. With one they sum to lambda b_u."),
            (10 / 56, "The sign: a residual is the rating minus the prediction, and it pulls the bias to its own "
             "side."),
        ),
        tol=0.001,
    )  # fmt: skip


@quiz
def convex_gap():
    """What a relative gap of one in a million proves."""
    return Quiz(
        answer="objective",
        because="Nobody, by whatever method, can lower the objective by more than a millionth of its value. That is "
        "all, and it is a statement about the fit, not about the viewers.",
        hint="Which of the four is about the number that the solver minimises?",
        wrong=(
            ("truth", "The certificate never sees a hidden rating, so it cannot speak about one. Whether predictions "
             "are right is measured on held-out ratings."),
            ("unique", "The rows (1, ?) and (?, 1) have infinitely many completions with gap 0. A gap compares values, "
             "not tables."),
            ("predictions", "Near the bottom of a valley the objective is flat, and a cell can be off by far more "
             "than a millionth while the value hardly moves."),
        ),
        choices=("objective", "predictions", "unique", "truth"),
    )  # fmt: skip


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
def part_timer_moves():
    """The title's half of one step, from the old numbers of the viewer."""
    p, q, r, eta = np.array([1.0, 2.0]), np.array([-1.0, -0.5]), 3 - 5, 0.1
    p_new = p + eta * r * q
    return Quiz(
        answer=tuple(q + eta * r * p),
        because="(-1, -0.5) + 0.1 · (-2) · (1, 2): the title takes the viewer's numbers from before the step.",
        hint="Take the second formula: old numbers of the title, plus 0.1 · (-2) times the viewer's (1, 2).",
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
def bias_step():
    """The line of a viewer's bias in a step with a penalty: its slope with respect to the prediction is 1."""
    b, r, eta, reg = 1.0, -2.0, 0.1, 0.2
    return Quiz(
        answer=b + eta * (r - reg * b),
        because="b_u ← b_u + η (r - λ b_u) = 1 + 0.1 · (-2 - 0.2): what multiplies r is 1, where p_u had q_i.",
        hint="Nudge b_u by a little: how much does the prediction change? That stands where the factors have q_i.",
        wrong=(
            (b + eta * r, "The pull of the residual is right; the pull back to zero, λ b_u, is missing."),
            (b + eta * (r + reg * b), "The penalty pulls towards zero, so it is taken away from r."),
            (b - eta * (r - reg * b), "The sign is turned round: the rating was lower, so the bias must fall."),
            (b + r - reg * b, "The direction is right, but the learning rate of 0.1 is missing."),
        ),
        tol=0.005,
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


# ---- Lesson 05c ------------------------------------------------------------------------------------------------------


@quiz
def nmf_cleo():
    """Cleo, heights 8 for Naruto and 3 for Sword Art Online, from (1, 1) with lambda 1: her second number."""
    first = (3 - 1) / (1 + 1)
    return Quiz(
        answer=(2 * 8 + (3 - first)) / (4 + 1 + 1),
        because="Her first number sees Sword Art Online alone: (3 - 1) / (1 + 1) = 1. With that held, fights have to "
        "explain 8 of Naruto and 3 - 1 = 2 of Sword Art Online: (2 · 8 + 1 · 2) / (4 + 1 + 1) = 18 / 6.",
        hint="First love, with fights held at 1; then fights, with the new love. Toradora! she has not rated.",
        wrong=(
            (3.6, "18 over 5: the penalty of 1 below the line is missing."),
            (1, "That is her first number, love."),
            (17 / 6, "You held love at a value other than the new one: it is 1 after its update, and 3 - 1 is 2."),
            (19 / 6, "You left out what love explains of Sword Art Online: 3 - 1 is left, not 3."),
        ),
        tol=0.02,
    )


@quiz
def nmf_ben():
    """Ben, p = (3, 0), and Naruto, q = (0, 2), heights counted from 1."""
    return Quiz(
        answer=1,
        because="3 · 0 + 0 · 2 is a height of 0, and heights are counted from 1: no part speaks for Naruto, and none "
        "can speak against it. With p = (3, -1) it would be a -1, below the scale.",
        hint="Multiply pairwise, add, and do not forget where heights are counted from.",
        wrong=(
            (0, "That is the height. The rating is 1 more."),
            (-1, "That is what the second number -1 would give; it was set to 0."),
            (7, "Naruto has no love in it: 3 is multiplied by 0."),
        ),
        tol=0.02,
    )


@quiz
def nmf_alike():
    """Which measure of likeness to trust for columns that have no negative number."""
    return Quiz(
        answer="correlation",
        because="In ratings dealt anew there is nothing to find, and yet of three parts the cosine is high; the "
        "correlation, with each column's mean taken away, sees only what is particular to a part.",
        hint="Look at what each of them says of three parts of the ratings dealt anew, where nothing is to be found.",
        wrong=(
            ("cosine", "It is above 0.8 even where there is nothing to find, so a high value says little."),
            ("both", "They disagree about the table without parts, and one of them is wrong there."),
        ),
        choices=("cosine", "correlation", "both"),
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
def nuclear_one_pass():
    """What Z holds in place of the 3 after one pass over the rows (3, 2) and (2, x) with a toll of 1."""
    return Quiz(
        answer=3.6,
        because="Shrinking leaves 3 of the 4 and nothing of the 1, so X is 3/4 of the pattern, with rows (2.4, 1.2) "
        "and (1.2, 0.6). The residual 3 - 2.4 = 0.6 goes on top: 3 + 0.6 = 3.6. At the end the hole holds 4/3, and the "
        "table has rank one.",
        hint="A toll of 1 makes 3 of the 4 and 0 of the 1, so X is 3/4 of the pattern. Then add the residual A - X.",
        wrong=(
            (3, "That puts the rating itself back, as lesson 06 does. Here the residual is added to what Z held."),
            (2.4, "That is X. It misses the rating by 0.6: what does Z do with this miss?"),
            (0.6, "That is what the hole of Z gets. In place of the 3, Z keeps its 3 and adds the residual."),
            (3.8, "You added 3 - 2.2: the toll is taken from the singular value 4, not from the entry 3.2."),
        ),
        tol=0.01,
    )  # fmt: skip


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


@quiz
def which_saw_ratings():
    """Which of two lists comes from a model that has seen ratings."""
    return Quiz(
        answer="right",
        because="The left list holds what everybody watches. On the right stand titles that are liked by those who "
        "watched them, and popular ones that are liked less are gone; only ratings can tell the two apart.",
        hint="Watching and liking differ. Which list looks like a list of what everybody watches?",
        wrong=(
            (
                "left",
                "It would be a good guess for what this viewer watches next. But all of its titles are among the most "
                "watched; a model that knows who watched what needs no opinion to find them.",
            ),
        ),
        choices=("left", "right"),
    )


@quiz
def implicit_by_hand():
    """One factor, weights 6 and 1, a penalty of 2: what is predicted for an unseen title."""
    return Quiz(
        answer=(6 + 6) / (6 + 6 + 1 + 2),
        because="p = (6 + 6) / (6 + 6 + 1 + 2) = 0.8, times q = 1. High, although this viewer never saw it.",
        hint="Above the line only watched titles count, 6 each; below it every title with its weight, and the penalty.",
        wrong=(
            (12 / 14, "You left the unseen Steins;Gate out below the line: its cell is empty, but it counts with 1."),
            (12 / 13, "The penalty of 2 is missing below the line."),
            (0, "Its number is 0, but the model is asked to meet three cells with one p, and two of them say 1."),
            (1, "The penalty and the empty cell both pull below 1."),
        ),
        tol=0.006,
    )


@quiz
def needs_ratings():
    """True or False: factorization needs ratings."""
    return Quiz(
        answer=False,
        because="It needs numbers and weights. Where somebody looked is itself data: 1 where watched, 0 elsewhere.",
        hint="Think of a shop that knows only who bought what.",
        wrong=(
            (
                True,
                "That mixes up two things, the numbers in a table and the pattern of its cells. You have just "
                "computed a prediction from the pattern alone.",
            ),
        ),
    )


@quiz
def als_global():
    """True or False: ALS always finds the global optimum."""
    return Quiz(
        answer=False,
        because="Starts of one factor end at two different heights, and no further pass moves either.",
        hint="Each half-step is solved exactly. Does that make the whole exact?",
        wrong=(
            (
                True,
                "Each half is convex and solved exactly, so the objective never rises. That is not the same: "
                "a walk that never goes up can end in the wrong valley.",
            ),
        ),
    )


@quiz
def gap_at_rank_one():
    """What does a gap far above 0 say about the better end of one factor?"""
    return Quiz(
        answer="cannot tell",
        because="The floor holds for factors of every rank. A gap may come from a bad start, from a rank that cannot "
        "reach the floor, or from both; the number is the same.",
        hint="Which factors does the floor bound: those of one column only, or all?",
        wrong=(
            (
                "bad start",
                "It may be so, but the gap does not say it: the best single factor there is can have the same gap.",
            ),
            (
                "rank too small",
                "Tempting, since four factors close the gap. But the worse end of one factor has a gap too, and there "
                "the start is to blame as well. A gap above 0 names no culprit.",
            ),
        ),
        choices=("bad start", "rank too small", "cannot tell"),
    )


@quiz
def convex_height():
    """True or False: a convex model ends equally low from every start."""
    return Quiz(
        answer=True,
        because="A convex function falls along the line from any higher point to a lower one, so nothing but the "
        "lowest height can be an end.",
        hint="Draw a bowl, and try to draw a second, higher bottom in it.",
        wrong=((False, "A second, higher bottom would need a ridge between the two, and a convex function has none."),),
    )


@quiz
def sgd_everywhere():
    """True or False: SGD beats ALS everywhere."""
    return Quiz(
        answer=False,
        because="In the race below ALS is the first to come very close to the floor. SGD is the first on the way.",
        hint="A single exception is enough. Does a walk of single steps settle at the bottom by itself?",
        wrong=(
            (
                True,
                "Its passes are cheap and its first ones are the best bargain. But each step follows one rating and "
                "undoes a little of the others, so the last per cent is hard for it.",
            ),
        ),
    )


@quiz
def positive_rank_one():
    """True or False: one factor without biases gives the same order to all whose number is positive."""
    return Quiz(
        answer=True,
        because="If one title's q is larger than another's, a positive p keeps it larger. The strength differs, and "
        "the order cannot.",
        hint="Multiply an inequality by a positive number.",
        wrong=((False, "That needs a negative p, which turns the order round, or biases, which shift titles."),),
    )


@quiz
def more_ratings():
    """True or False: more ratings lower the baseline's error."""
    return Quiz(
        answer=True,
        because="Each bias is then an average over more ratings, and the luck in it gets smaller. Whether it holds "
        "for every model is what the ladder shows.",
        hint="A title's bias is a kind of mean. What happens to a mean when it is taken over more?",
        wrong=(
            (False, "A mean over more ratings has less luck in it; some other model of the ladder may surprise you."),
        ),
    )


@quiz
def penalty_always():
    """True or False: more regularization always improves recommendations."""
    return Quiz(
        answer=False,
        because="Some penalty helps and more of it hurts: in the end all factors are 0 and no taste is left.",
        hint="What does a model predict when the penalty is enormous?",
        wrong=(
            (
                True,
                "A penalty trades a larger training error for factors that carry over. The trade pays only up to a "
                "point: with an enormous penalty all factors are 0, and the model knows no taste.",
            ),
        ),
    )


@quiz
def factor_memory():
    """Gigabytes (10^9 bytes) of the factors of 200 million viewers and 15,000 films, k = 50, four bytes a number."""
    viewers, films = 200e6, 15e3
    return Quiz(
        answer=4 * (viewers + films) * 50 / 1e9,
        because="(200,000,000 + 15,000) rows of 50 numbers of 4 bytes. The films are a rounding error beside the "
        "viewers, and the whole is a small part of the full table.",
        hint="Rows of both sides together, times k, times 4 bytes; then divide by a billion.",
        wrong=(
            (
                4 * viewers * films / 1e9,
                "That is the full table, viewers times films. Factors need viewers PLUS films.",
            ),
            ((viewers + films) * 50 / 1e9, "That counts numbers, not bytes: each takes four."),
            (8 * (viewers + films) * 50 / 1e9, "That is eight bytes a number, and the question says four."),
        ),
        tol=0.1,
    )


# ---- Lesson 10 -------------------------------------------------------------------------------------------------------


@quiz
def validation_error_by_hand():
    """The validation RMSE of the pencil case for a penalty of 14."""
    residual = np.array([8 - 6.25, 6 - 5.75])
    trained = np.array([9 - 6.25, 7 - 6.25]) - np.array([1, -1]) * 2 / (2 + 14)  # viewer B's are the same, mirrored
    return Quiz(
        answer=np.sqrt(np.mean(residual**2)),
        tol=0.005,
        because="b_A = 4/16 = 0.25, so the predictions are 6.25 and 5.75, and the residuals are 1.75 and 0.25.",
        hint="Begin with b_A = 4/(2 + 14); the predictions are 6 + b_A and 6 - b_A; Monster has the ratings 8 and 6.",
        wrong=(
            (np.mean(residual**2), "That is the mean squared error. Take the root, to be back in rating points."),
            (np.sqrt(np.mean(trained**2)), "That is the training error: it looks at titles which the fit has seen."),
            (np.mean(residual), "That is the mean absolute error: square first, then average, then take the root."),
        ),
    )


@quiz
def share_of_a_decade():
    """A learning rate is drawn from 0.0001 to 0.1 on a log scale: with what probability is it below 0.001?"""
    low, high, bound = 1e-4, 1e-1, 1e-3
    return Quiz(
        answer=np.log10(bound / low) / np.log10(high / low),
        tol=0.005,
        because="The range has three factors of ten, and on a log scale each is as likely as the others.",
        hint="Count the factors of ten in the whole range, and those below 0.001.",
        wrong=(
            ((bound - low) / (high - low), "That is the share on a linear scale, where small rates are hardly drawn."),
            (0.5, "Half of the draws fall below the geometric middle, which lies above 0.001."),
        ),
    )


@quiz
def best_of_two():
    """Two settings, both truly 1.60; each is measured as 1.55 or 1.65 by a fair coin: the mean of the reported best?"""
    return Quiz(
        answer=np.mean([min(first, second) for first in (1.55, 1.65) for second in (1.55, 1.65)]),
        tol=0.003,
        because="The smaller of the two is 1.55 in three cases of four, and 1.65 only where both coins fall badly. You "
        "promise 0.025 points that do not exist.",
        hint="Write down the four equally likely pairs, and the smaller number of each.",
        wrong=(
            (1.6, "That is the truth, and the mean of one measurement. The smaller of two is lower on average."),
            (1.55, "That would need at least one good coin every time; both fall badly once in four."),
            (1.65, "That is the worst case, not the mean."),
        ),
    )


@quiz
def fits_of_a_nested_search():
    """15 trials of 5 folds inside each of 20 outer splits: how many fits in all?"""
    splits, trials, folds = 20, 15, 5
    return Quiz(
        answer=splits * (trials * folds + 1),
        tol=0.5,
        because="In each split 15 times 5 fits to choose, and one more: the choice fitted to all of the inner ratings.",
        hint="Count one split first: the fits of all trials, and the model that is judged in the end.",
        wrong=(
            (splits * trials * folds, "The last fit is missing: in each split the choice is fitted once more."),
            (splits * (trials + 1), "Each trial is a fit for every fold, five and not one."),
            (trials * folds + 1, "That is one split. The search starts afresh in each of the twenty."),
        ),
    )


@quiz
def which_run():
    """Run A: 1.62, 1.55, 1.58, 1.66 by pass; run B: 1.64, 1.60, 1.59, 1.58. Which one has the better model to keep?"""
    return Quiz(
        answer="a",
        choices=("a", "b"),
        because="Its second pass has 1.55, and that pass can be kept. Only by its last pass is it the worse run.",
        hint="Look at the smallest number of each run.",
        wrong=(("b", "B wins by the last pass. But nobody must keep the last pass: A had a lower one on the way."),),
    )


# ---- Lesson 11 -------------------------------------------------------------------------------------------------------


@quiz
def copy_held_out():
    """A copy repeats what it saw and says its viewer's mean elsewhere: its error on the one hidden cell, a 6."""
    error = abs(6 - 4)
    return Quiz(
        answer=error,
        because="T holds the hidden cell alone, so the three perfect cells do not count. Viewer 2 has given a single "
        "rating, a 4, which is the guess: the error is 6 - 4 = 2, three times that of the global mean.",
        hint="Which cells are in T, and what does the copy say there?",
        wrong=(
            (0.0, "That is its training error. The copy is perfect where it has seen the answer, and only there."),
            (error / 2, "You divided by all four cells. T holds the hidden one alone."),
            (error**2, "Either the root is missing, or it is the nuclear norm's error, which guesses 2 and not 4."),
            (2 / 3, "That is the global mean's, which says 16/3. The copy takes the mean of viewer 2 alone."),
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
def what_moved():
    """Item neighbours lead by 0.037 with settings by hand and by 0.017 with chosen ones: whose error moved?"""
    return Quiz(
        answer="the baseline",
        choices=("item neighbours", "the baseline", "both alike"),
        because="Item neighbours go from 1.611 to 1.610, the baseline from 1.648 to 1.627. On the second table it is "
        "1.787 and 1.792 against 1.809 and 1.793: there, too, most of the change is the baseline's.",
        hint="Of the first table, compare the columns 'by hand' and 'held out' in these two rows.",
        wrong=(
            ("item neighbours", "Their error is 1.611 by hand and 1.610 when chosen, the same to a thousandth."),
            ("both alike", "One of them moves by 0.001 and the other by 0.021."),
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

# A loved and a less loved title of action, Cowboy Bebop and Trigun, and two such of romance, Your Name and Toradora.
# Title biases are +0.5 and -0.5, q is +1 and -1, the mean is 6, both penalties are 4. Somebody gave Cowboy Bebop a 10
# and Trigun an 8, so these lie 3.5 and 2.5 above what is usual; a 4 for Your Name lies 2.5 below.


@quiz
def baseline_of_three():
    """The bias that the baseline gives the new viewer of the pencil case after a third rating, Your Name = 4."""
    above = np.array([3.5, 2.5, -2.5])
    return Quiz(
        answer=above.sum() / (3 + 4),
        because="3.5, 2.5 and -2.5 sum to 3.5, over three ratings and the penalty: 3.5 / (3 + 4).",
        hint="Sum how far the ratings lie above mean plus title bias, and divide by their number plus lambda.",
        wrong=(
            (above.sum() / 3, "This is the plain average; the penalty 4 belongs into the denominator as well."),
            ((4 + 2 - 2) / 7, "These distances are from the mean alone; the bias of each title goes off too."),
            (above.sum() / 6, "The denominator still counts two ratings."),
        ),
        tol=0.006,
    )


@quiz
def factor_of_three():
    """The prediction for Toradora by the model with one factor after a third rating, Your Name = 4."""
    Z, t = np.array([[1, 1], [1, 1], [1, -1]]), np.array([3.5, 2.5, -2.5])
    bias, taste = np.linalg.solve(Z.T @ Z + 4 * np.eye(2), Z.T @ t)
    free_bias, free_taste = np.linalg.solve(Z.T @ Z, Z.T @ t)
    return Quiz(
        answer=5.5 + bias - taste,
        because="x = (16, 56) / 48, and 6 - 0.5 + 16/48 - 56/48 = 4.67: the taste speaks against it.",
        hint="Z'Z + 4I is ((7, 1), (1, 7)) and Z't is (3.5, 8.5); the row of Toradora is (1, -1).",
        wrong=(
            (5.5 + bias + taste, "Toradora has q = -1, so the taste is taken off, not added."),
            (6.0 + bias - taste, "The bias of Toradora, -0.5, is missing."),
            (5.5 + free_bias - free_taste, "This is least squares without the penalty of 4 on both unknowns."),
            (5.5, "This is the prediction from two ratings; the third changes both unknowns."),
        ),
        tol=0.006,
    )


@quiz
def one_rating_changed():
    """By how much the factor model's prediction for Cowboy Bebop changes if Trigun was rated 9, not 8."""
    z, Z = np.ones(2), np.array([[1, 1], [1, 1]])
    return Quiz(
        answer=z @ np.linalg.solve(Z.T @ Z + 4 * np.eye(2), z),
        because="w = z'(Z'Z + 4I)^-1 z with both z = (1, 1) is 8/32, and t of Trigun grows by 1.",
        hint="Only t of Trigun changes, by 1, so the answer is its weight w, with both rows (1, 1).",
        wrong=(
            (1 / 6, "This is the baseline's weight, 1 / (2 + 4); here taste moves as well as the bias."),
            (1 / 8, "The bias moves by 1/8 and the taste by 1/8; Cowboy Bebop gets both."),
            (0.0, "This is the change for Your Name: there bias and taste cancel."),
            (1.0, "A point more for one title is not a point more for another: the regression averages and shrinks."),
            (0.5, "That is the plain mean of two ratings; the penalties take from it."),
        ),
        tol=0.006,
    )


@quiz
def doubt_after_one():
    """The uncertainty of Trigun after a single rating, of Cowboy Bebop, in units of the noise of one rating."""
    z = np.ones(2)
    variance = z @ np.linalg.solve(np.outer(z, z) + 4 * np.eye(2), z)
    return Quiz(
        answer=np.sqrt(variance),
        because="z'(Z'Z + 4I)^-1 z with z = (1, 1) is 8/24 = 1/3, and its root is 0.577.",
        hint="Z'Z + 4I is ((5, 1), (1, 5)); multiply its inverse by z = (1, 1) from both sides and take the root.",
        wrong=(
            (variance, "This is the variance; the uncertainty is its square root."),
            (np.sqrt(0.5), "This is the uncertainty before any rating: Cowboy Bebop is alike and does tell something."),
            (0.5, "This is after two ratings of action (or the variance before any)."),
            (np.sqrt(1 + variance), "The noise of a single rating was added: that is of_a_rating=True."),
        ),
        tol=0.006,
    )


# ---- Lesson 13b ------------------------------------------------------------------------------------------------------


@quiz
def one_rating_without_mean():
    """No mean, no biases, one factor, lambda 4: a title with q = 1 was rated 8; which prediction for its twin?"""
    return Quiz(
        answer=8 / (1 + 4),
        because="x = 8 / (1 + 4) = 1.6: the ridge regression shrinks towards 0, which is no rating at all.",
        hint="One unknown, one rating: x = q a / (q^2 + lambda), and the twin's prediction is q x.",
        wrong=(
            (8.0, "Only without a penalty would the twin get the same 8."),
            (2.0, "The denominator is q^2 + lambda, so 5, not lambda alone."),
            (6.4, "This shrinks the distance from a mean of 6; the model of the question knows no mean."),
        ),
        tol=0.05,
    )


@quiz
def second_question():
    """Cowboy Bebop has been rated: which rating would narrow the predictions for the four pencil titles most?"""
    titles = {"cowboy bebop": (1, 1), "trigun": (1, 1), "your name": (1, -1), "toradora": (1, -1)}
    Z = np.array(list(titles.values()), dtype=float)

    def left_open(title):
        told = np.array([titles["cowboy bebop"], titles[title]])
        return np.trace(Z @ np.linalg.solve(told.T @ told + 4 * np.eye(2), Z.T)) / 4

    worse, better = sorted(("trigun", "your name"), key=left_open, reverse=True)
    return Quiz(
        answer=better,
        because="The romances are as open as before, and a rating of one narrows both; action is known a little. The "
        "mean variance falls to 1/3, and with Trigun only to 3/8.",
        hint="Compare the mean of z'(Z'Z + 4I)^-1 z over the four titles after each of the two ratings.",
        wrong=(
            (worse, "It asks again about what is already known in part, and tells nothing about the romances."),
            ("no difference", "The two ratings would leave different mean variances; work both out."),
        ),
        choices=("trigun", "your name", "no difference"),
    )


@quiz
def unseen_titles():
    """Ten questions to people who have seen few titles: are the informative ten still ahead of the popular ten?"""
    return Quiz(
        answer="no longer",
        because="Of ten informative questions about one and a half are answered, of ten popular ones about two, and "
        "what is gained by asking well is lost by getting no answer.",
        hint="How many of ten questions get an answer in each order?",
        wrong=(
            ("still ahead", "Each answer tells more, but there are fewer answers: an unseen title tells nothing."),
            ("far behind", "Fewer answers come, but each of them tells more, and the two effects nearly cancel."),
        ),
        choices=("still ahead", "no longer", "far behind"),
    )


# ---- Lesson 14 -------------------------------------------------------------------------------------------------------


@quiz
def ann_likes_one():
    """Ann's preference for Toradora where only ratings from 4 up count, so that her 2 for Your Name is a hole."""
    Q = np.array([[2.0, 1.0], [1.0, 2.0], [2.0, 0.0], [0.0, 2.0]])

    def toradora(c, s):
        return (np.linalg.solve((Q.T * c) @ Q + np.eye(2), Q.T @ (c * s)) @ Q[3]).item()

    c, s = np.array([5.0, 1, 1, 1]), np.array([1.0, 0, 0, 0])
    return Quiz(
        answer=toradora(c, s),
        because="The matrix is now (26, 12; 12, 14) and the right side (10, 5), so p = (80, 10)/220 and 2 p2 = 0.09. "
        "Nothing but Attack on Titan speaks for romance any more.",
        hint="Your Name has s = 0 and c = 1 now. Take its part out of both sides, and put it back with the weight 1.",
        wrong=(
            (
                toradora(np.array([5.0, 3, 1, 1]), np.array([1.0, 1, 0, 0])),
                "That is the answer with the 2 counted as a preference, as it was before.",
            ),
            (
                toradora(np.array([5.0, 3, 1, 1]), s),
                "You kept the confidence 3 for Your Name. A rating that does not count is a hole like any other, with "
                "c = 1.",
            ),
            (
                toradora(np.array([5.0, 0, 0, 0]), s),
                "You left the holes out. They count here, with s = 0 and c = 1.",
            ),
        ),
        tol=0.006,
    )


@quiz
def a_hole_says():
    """What a hole says of its title: that it is disliked, liked, or neither."""
    return Quiz(
        answer="neither",
        choices=("disliked", "liked", "neither"),
        because="Most titles are unrated because nobody came round to them. A hole is a doubtful zero, and so its "
        "confidence is the smallest of all.",
        hint="Think of your own holes: of all titles that you have not rated, do you dislike every one?",
        wrong=(
            ("disliked", "Then the titles that you have never heard of would be the ones that you like least."),
            (
                "liked",
                "Somebody who liked it would be a little likelier to have rated it.",
            ),
        ),
    )


@quiz
def after_the_deal():
    """What a deal that keeps all counts does to a lead that comes from counts alone."""
    return Quiz(
        answer="stay",
        choices=("stay", "vanish", "double"),
        because="The deal changes no count, so whatever a model has from counts it can have again. A lead that goes "
        "must have come from something else.",
        hint="Which numbers does the deal leave as they are, and what is the lead made of in this question?",
        wrong=(
            ("vanish", "What would have to change for that? Each title has as many ratings after the deal as before."),
            ("double", "Nothing becomes easier: each title has as many ratings after the deal as before."),
        ),
    )


# ---- Lesson 15 -------------------------------------------------------------------------------------------------------


@quiz
def weight_back():
    """The weight from Demon Slayer to Attack on Titan: two viewers have both, one has Attack on Titan alone."""
    return Quiz(
        answer=2 / 3,
        because="Now only the two who like Demon Slayer have anything to explain Attack on Titan by: 2 (1 - w)^2 + "
        "w^2, least at 2 / (2 + 1). A rarer title speaks louder for a common one than the common one for it.",
        hint="Write the sum down: how many viewers have Demon Slayer, and how many of them Attack on Titan?",
        wrong=(
            (0.5, "That is the weight in the other direction. B is not symmetric: count who likes Demon Slayer."),
            (1.0, "That would be it without the penalty."),
        ),
        tol=0.007,
    )


@quiz
def all_even_costs():
    """What Ann's two likes cost if all four titles have the same share."""
    return Quiz(
        answer=2 * np.log(4),
        because="Each share is 1/4, so each like costs ln 4 = 1.39, and two cost 2.77. Better scores made it 2.08.",
        hint="Equal scores give equal shares, which sum to 1. Each like costs the negative logarithm of its share.",
        wrong=(
            (np.log(4), "That is one like. She has two."),
            (2.08, "That was with scores that favour her two titles."),
            (0.0, "It would be 0 if all of the share lay on the like itself; a second like could have nothing then."),
        ),
        tol=0.006,
    )


# ---- Lesson 16 -------------------------------------------------------------------------------------------------------


@quiz
def graph_three_steps():
    """What of Ann's like for Death Note arrives at Monster, degrees counted."""
    likes = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]])
    walk = likes / np.sqrt(np.outer(likes.sum(axis=1), likes.sum(axis=0)))
    return Quiz(
        answer=(walk @ walk.T @ walk)[0, 1],
        because="The path has three edges, Ann and Death Note with 1/sqrt(1*2), Death Note and Ben with 1/sqrt(2*2), "
        "Ben and Monster with 1/sqrt(2*2), and it is the only one of three steps.",
        hint="Multiply the three edges of the path Ann - Death Note - Ben - Monster, each 1/sqrt of its two degrees.",
        wrong=(
            (1.0, "That is the number of paths. Each of its edges now counts 1/sqrt of its two degrees."),
            (0.125, "That takes 1/2 for all three edges; Ann has one like, so her edge is 1/sqrt(1*2)."),
            (walk[0, 0] * walk[1, 0], "That path ends at Ben. One more edge leads on to Monster."),
            (1 / 16, "That is 1 over the product of degrees; take the root of it for each edge."),
        ),
        tol=0.005,
    )


@quiz
def graph_half():
    """How much of the direction of the singular value 1/2 three layers pass, beside that of 1."""
    return Quiz(
        answer=3.125 / 8,
        because="(2 + 4/4 + 2/16) / (2 + 4 + 2): beside the direction of s = 1 well over half of it is gone.",
        hint="Put s = 1/2 and s = 1 into 2 + 4s^2 + 2s^4, and divide the first by the second.",
        wrong=(
            (3.125 / 16, "That is g(1/2). Divide it by g(1), which is 1/2."),
            (4.5 / 8, "That takes s in place of s^2; a round there and back multiplies by s^2."),
            (5 / 8, "That is two layers; with three, g(s) is (2 + 4s^2 + 2s^4) / 16."),
        ),
        tol=0.005,
    )


@quiz
def graph_too_far():
    """What every viewer's list becomes after very many steps."""
    return Quiz(
        answer="sum of grades",
        choices=("sum of grades", "table order", "own titles"),
        because="Only the direction with s = 1 is left, and its entry for a title is the root of the title's degree, "
        "the sum of its grades.",
        hint="Which direction is not made smaller by a step, and what are its entries?",
        wrong=(
            (
                "table order",
                "That would need equal scores. The direction that is left has larger entries for some titles.",
            ),
            ("own titles", "Likes spread further in each step; they stay at home without any step."),
        ),
    )


# ---- Lesson 17 ------------------------------------------------------------------------------------------------------


@quiz
def posterior_after_four():
    """Mean and standard deviation of a bias after t = 2, 1, 3 and then -2, where the noise is 2 and λ is 1."""
    t = np.array([2.0, 1.0, 3.0, -2.0])
    mean, sd = t.sum() / (len(t) + 1), 2 / np.sqrt(len(t) + 1)
    return Quiz(
        answer=(mean, sd),
        because="4 / (4 + 1) is 0.8, and the variance 4 / (4 + 1) has the root 0.894: a surprise moves the mean, "
        "and each rating narrows the curve, whatever it says.",
        hint="The mean is the sum of t over n + λ, the variance is σ² over n + λ, and n is now 4.",
        wrong=(
            ((mean, sd**2), "The second number is the variance; its root was asked for."),
            ((t.mean(), sd), "That is the plain mean; λ counts as one more rating of 0."),
            ((t.mean(), 1.0), "That is the plain mean of the four; divide by n + λ, in both numbers."),
            ((mean, 1.0), "The mean is right; the variance falls to 4 / 5 with the fourth rating."),
            ((mean, np.sqrt(sd**2 + 4)), "That is the spread of the next rating, noise added; asked is the bias."),
        ),
        tol=0.006,
    )


@quiz
def noise_of_three():
    """The noise that three deviations 2, 1, 3 tell of, one number having been fitted to them without a penalty."""
    t = np.array([2.0, 1.0, 3.0])
    left = ((t - t.mean()) ** 2).sum()
    return Quiz(
        answer=np.sqrt(left / 2),
        because="The squares left are 0, 1 and 1; one of three numbers went into the fit, so 2 is divided by 2.",
        hint="Fit the mean, square what is left, and divide by the ratings less the numbers that were fitted.",
        wrong=(
            (np.sqrt(left / 3), "That is the training residual: the mean has bent to these three, and hides a third."),
            (np.sqrt((t**2).sum() / 3), "That is the spread about 0; the mean, 2, comes off first."),
            (left, "That is the sum of squares: divide it by 3 - 1."),
            (np.sqrt(left / 4), "Fitting takes a rating away from the count; it does not add one."),
        ),
        tol=0.006,
    )


@quiz
def likeliest_run():
    """The likeliest run of ratings with a probability nearest to 0.8: 6 to 10 with .10, .20, .40, .25 and .05."""
    return Quiz(
        answer=(7, 9),
        because="8 has 0.40, then 9 joins and makes 0.65, then 7 makes 0.85, which is nearer to 0.80 than 0.65 is; "
        "with 6 it would be 0.95.",
        hint="Begin with 8. Of its neighbours the likelier one joins, as long as the sum gets nearer to 0.8.",
        wrong=(
            ((8, 9), "That run has 0.65; with 7 it has 0.85, which is nearer to 0.80."),
            ((6, 9), "That run has 0.95, and 7 to 9 with 0.85 is nearer."),
            ((8, 10), "That run has 0.70; 7 is likelier than 10, and joins before it."),
            ((7, 8), "9 is likelier than 7 and joins first; then 7 makes it 0.85."),
        ),
        tol=0.1,
    )


# ---- Lesson 18 -------------------------------------------------------------------------------------------------------


def _eight_features():
    """The machine of the pencil case: w and v by feature, and w0 = 3; Demon Slayer has no rating and no own numbers."""
    w = {"Ben": -0.5, "Cleo": 0.5, "Attack on Titan": 0.5, "Your Name": 0.5}
    v = {"Ann": 1.0, "Ben": -1.0, "Cleo": 1.0, "Attack on Titan": 0.5, "action": 0.5, "romance": -0.5}
    return w, v


@quiz
def machine_of_a_new_title():
    """What the machine of the pencil case predicts for Ben and Demon Slayer, an action title without ratings."""
    w, v = _eight_features()
    plain = 3 + w["Ben"]
    return Quiz(
        answer=plain + v["Ben"] * v["action"],
        because="Three ones: Ben, Demon Slayer, action. 3 - 0.5, and of the three products only Ben times action is "
        "not 0: -1 times 0.5.",
        hint="Write down the three columns that hold a 1, add their w to 3, then multiply their v by pairs.",
        wrong=(
            (plain, "That is what matrix factorization would say, which has no column for action."),
            (plain - v["Ben"] * v["action"], "Ben's v is negative: a viewer who likes action less than others do."),
        ),
        tol=0.02,
    )


@quiz
def one_number_by_hand():
    """The mean of the normal from which v of action is drawn, nu = 0, lambda = 1.5, sigma = 1."""
    w, v = _eight_features()
    h = np.array([v["Ann"], v["Cleo"]]) + v["Attack on Titan"]
    own = np.array([0, w["Cleo"]]) + w["Attack on Titan"] + np.array([v["Ann"], v["Cleo"]]) * v["Attack on Titan"]
    left = np.array([5, 4]) - 3 - own  # what the ratings leave to v of action
    return Quiz(
        answer=h @ left / (1.5 + h @ h),
        because="Both slopes are 1.5, so the precision is 1.5 + 4.5 = 6; the sums in the numerator are -1.5 and "
        "0.5 times 4.5, together 0.75, and 0.75 / 6 = 0.125.",
        hint="h is 1.5 for both ratings, e is 0.25 and -1.25, and v is 0.5 now.",
        wrong=(
            (h @ left / (h @ h), "The prior counts too: lambda = 1.5 belongs in the precision."),
            (
                h @ (left - h * v["action"]) / (1.5 + h @ h),
                "The errors e hold what v = 0.5 says already: add v times the sum of h squared.",
            ),
        ),
        tol=0.002,
    )


@quiz
def weights_of_genres():
    """What a weight for each genre, without factors, does to the held-out error of titles that have ratings."""
    return Quiz(
        answer="hardly anything",
        because="How good a title is, its own weight says already, from its own ratings. A weight of a genre adds the "
        "same for every viewer, and so can only help where a title has few ratings or none.",
        hint="Without factors no column meets another. Which numbers could a weight of a genre replace?",
        wrong=(
            ("lowers it", "It would, if genres told of a title what its own ratings do not."),
            (
                "raises it",
                "Thirty numbers more could do harm, but they are shrunk, and little is left of them to do any.",
            ),
        ),
        choices=("lowers it", "hardly anything", "raises it"),
    )


# ---- Lesson 19 -------------------------------------------------------------------------------------------------------


@quiz
def four_relus():
    """What do four ReLUs give for 0.5 times 0.5, as (|x + y| - |x - y|) / 2?"""
    x = y = 0.5
    return Quiz(
        answer=(abs(x + y) - abs(x - y)) / 2,
        because="(|1| - |0|) / 2: the network says 0.5 where the product is 0.25, which is its largest error, 1/m² for "
        "m = 2. It gives the smaller of the two sizes, with the sign of the product.",
        hint="Put x + y = 1 and x - y = 0 into the formula.",
        wrong=(
            (0.25, "That is the product itself. A chord lies above its parabola between the knots."),
            (1.0, "That is |x + y| - |x - y|; there is still a half before it."),
            (0.0, "|x - y| is 0 here, but |x + y| is 1."),
        ),
        tol=0.001,
    )


@quiz
def sampled_place():
    """A title has 500 of 9,700 others above it. How many of those are expected among a hundred drawn?"""
    return Quiz(
        answer=100 * 500 / 9700,
        because="A hundred of 9,700 is one in 97, so about five of the 500 are drawn: the title at place 501 stands "
        "sixth among the hundred and counts as a hit in most draws.",
        hint="Each of the 500 is drawn with the same chance, 100 in 9,700.",
        wrong=(
            (500, "Only a hundred are drawn at all, and few of them from the best 500."),
            (100, "A hundred are drawn from all 9,700, not from the 500 above."),
            (50, "The chance of each is 100 in 9,700, about one in a hundred, not one in ten."),
            (10, "Ten is the length of the list. Multiply the 500 by the chance of each to be drawn."),
        ),
        tol=0.16,
    )


# ---- Lesson 20 -------------------------------------------------------------------------------------------------------


@quiz
def shown_again():
    """Cowboy Bebop has an average of 6; Fairy Tail one rating of 9: how many 4s in a row until its average is below?"""
    return Quiz(
        answer=next(k for k in range(1, 10) if (9 + 4 * k) / (1 + k) < 6),
        because="(9 + 4 + 4) / 3 = 5.67 is below 6, while (9 + 4) / 2 = 6.5 is not.",
        hint="After k ratings of 4 the average is (9 + 4k) / (1 + k); find the first k for which it is below 6.",
        wrong=(
            (1, "(9 + 4) / 2 = 6.5 still lies above 6."),
            (3, "Three are enough, but two are already: (9 + 4 + 4) / 3 = 5.67."),
        ),
        tol=0.5,
    )


@quiz
def thompson_of_two():
    """How often does Thompson sampling show Cowboy Bebop, 6 +- 2, beside Fairy Tail, 8.5 +- 1?"""
    gap, spread = 8.5 - 6, np.sqrt(2**2 + 1**2)
    return Quiz(
        answer=norm.cdf(-gap / spread),
        because="The difference of the draws is normal with mean -2.5 and standard deviation sqrt(4 + 1) = 2.24; it "
        "lies above 0 with probability 0.13.",
        hint="norm.cdf(z) from scipy.stats, with z the difference of the means over the deviation of the difference.",
        wrong=(
            (1 - norm.cdf(-gap / spread), "This is how often Fairy Tail is shown."),
            (norm.cdf(-gap / 3), "Variances add up, not standard deviations: sqrt(4 + 1), not 2 + 1."),
            (norm.cdf(-gap / 5), "5 is the variance of the difference; divide by its root."),
            (0.5, "Both are drawn, but not alike: the means differ."),
            (0.0, "That is the greedy choice; a draw of Cowboy Bebop can lie above one of Fairy Tail."),
        ),
        tol=0.005,
    )


@quiz
def one_heavy_weight():
    """IPS of “always Mushishi”, from four evenings: Death Note 8, 7, 8 (propensity .625) and Mushishi 9 (.125)."""
    return Quiz(
        answer=9 / 0.125 / 4,
        because="The weights are 0, 0, 0 and 1 / 0.125 = 8, and the sum is divided by all four evenings: 72 / 4 = 18. "
        "Divided by the sum of the weights, as SNIPS does, it is 9.",
        hint="A weight is the target's probability over the propensity; the mean is over all four evenings.",
        wrong=(
            (9.0, "This is SNIPS, which divides by the sum of the weights."),
            (8.0, "This is the plain mean of the four ratings, whatever the policy."),
            (72.0, "This is the sum of the weighted ratings; it is divided by the four evenings."),
            (2.25, "The rating must be weighted by 1 / 0.125."),
        ),
        tol=0.01,
    )


# ---- Lesson 21 -------------------------------------------------------------------------------------------------------


@quiz
def twice_both():
    """Twice the ratings at twice the rank, with many ratings a row: how many times the products."""
    return Quiz(
        answer=8,
        because="Each rating costs about k^2 / 2 products, nearly four times as many at twice the rank, and there are "
        "twice as many ratings. The clock says less: from rank 32 to 64 a pass took our core four to five times as "
        "long, because a processor works faster on larger blocks.",
        hint="The products are in proportion to N times k squared, as long as the small systems count for little.",
        wrong=(
            (4, "That is the rank alone, or as if the work grew with k and not with its square."),
            (2, "That is the ratings alone; a rating also fills a larger matrix."),
            (16, "The systems of k equations grow by eight, and the ratings' part by eight: nothing grows by sixteen."),
        ),
        tol=0.4,
    )


@quiz
def what_travels():
    """What twice the rank does to the traffic of a half-step that sends factors."""
    return Quiz(
        answer="doubles",
        because="What is sent is a row of k numbers for each title and machine that needs it. The work of a rating "
        "quadruples, so a higher rank makes traffic the smaller part.",
        hint="How many numbers does a title have, and who needs them?",
        wrong=(
            ("stays", "Which titles travel stays the same, but each now has twice as many numbers."),
            ("quadruples", "That is the work of a rating, which is a square; a title's factors are a row."),
        ),
        choices=("stays", "doubles", "quadruples"),
    )


# ---- Lesson 99 -------------------------------------------------------------------------------------------------------


@quiz
def could_refute():
    """Which of three experiments could refute that the words of titles lower the error."""
    return Quiz(
        answer="b",
        because="Other titles, other words and other readers may well give a tie or a loss, and the same splits let a "
        "small one be seen. That is what a test has to risk.",
        hint="For each of the three, imagine the result that would embarrass us. How likely is it, if we are wrong?",
        wrong=(
            (
                "a",
                "The films and their ratings are those that the belief came from, so another start would hardly "
                "disagree, even if words did nothing on any other table.",
            ),
            (
                "c",
                "With words the model has more to fit with, so the training error falls nearly always. It would fall "
                "with nonsense words, too.",
            ),
        ),
        choices=("a", "b", "c"),
    )


@quiz
def tie_with_each_other():
    """Whether two models that tie with the baseline on data 2 tie with each other."""
    return Quiz(
        answer="content",
        because="Spectral with biases is behind content by 0.025 ± 0.022 points. Each lies on its own side of the "
        "baseline, near enough to tie with it, and far enough from the other. A tie says that these splits cannot "
        "tell two models apart, which is not the same as equal.",
        hint="Look under data 2, in the last column, at how far spectral with biases is from content.",
        wrong=(
            ("tie", "A tie is no equality, so two of them need not add up to a third. Read the last column."),
            ("spectral", "It is the better one on data 1. Here its difference from content is an error above 0."),
        ),
        choices=("tie", "content", "spectral"),
    )


@quiz
def left_out_by_luck():
    """How many of fifty 95 % intervals leave 0 out if there is nothing to find."""
    return Quiz(
        answer=2.5,
        because="One in twenty does, two or three of fifty. Far more of ours do, so luck alone does not explain "
        "the wall; but two or three of the close ones may be luck, and nobody knows which.",
        hint="A 95 % interval leaves out the truth in 5 % of cases. Of how many intervals?",
        wrong=(
            (0, "Then they would be 100 % intervals. How often does one of 95 % miss?"),
            (45, "That is nearly all of them. How often does a single interval of 95 % miss?"),
            (1, "One in twenty misses, and there are more than twenty."),
        ),
        tol=0.5,
    )
