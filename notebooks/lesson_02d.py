"""Lesson 02d: what published texts say, computed again."""

from dataclasses import replace

import lesson
import lesson_02b as blog
import numpy as np
import pandas as pd

import content_table as ct


def lecture_slips():
    """(what, published, computed) for the lecture's step and its quiz."""
    one = ct.Ratings.from_matrix([[5.0]], scale=(1, 5))
    theta = lesson.parameters([[0.4, 0.2, 0.3]], [[0.95, 0.10, 0.85]])
    after = lesson.step_on(one, 0, theta, learning_rate=0.01, reg=0, mean=0)
    quiz = lesson.parameters([[0.8, 0.3]], [[0.6, 0.9]])
    return [
        ("prediction before the step", 3.2, lesson.predictions(one, theta, 0)[0]),
        ("third entry of h after the step", 0.8631, after[3][0, 2]),
        ("prediction in the quiz on the step", 4.5, lesson.predictions(one, quiz, 0)[0]),
    ]


def blog_slips():
    """The same for the blog notebook: its step with content, and its loss."""
    ratings, (plain, _), (blend, C) = blog.table_of(blog.CELLS), blog.example(), blog.example(content=True)
    b_user, b_item, P, _, W, _ = lesson.step_on(ratings, 0, blend, blog.ETA, blog.REG, blog.MEAN, C)
    prediction = lesson.predictions(ratings, blend, blog.MEAN, C)
    loss = ct.squared_loss(ratings.values - lesson.predictions(ratings, plain, blog.MEAN), blog.REG, *plain)
    with_content = ct.squared_loss(ratings.values - prediction, blog.REG, *blend)
    penalty = [blog.REG * sum(np.vdot(part, part) for part in theta) for theta in (plain, blend)]
    return [
        ("p.q with content", 0.81, blend[2][0] @ blend[3][1] + blend[4][0] @ C[1]),
        ("prediction with content", 4.21, prediction[0]),
        ("error with content", -0.21, 4.0 - prediction[0]),
        ("b_u after the step with content", 0.0978, b_user[0]),
        ("b_i after the step with content", 0.2976, b_item[1]),
        ("first factor after it", 0.09969, P[0, 0]),
        ("last content weight after it", 0.19791, W[0, 1]),
        ("loss of its example", 0.3025, loss),
        ("loss with content", 0.2625, with_content),
        ("what content adds to the penalty", 0.0, penalty[1] - penalty[0]),
    ]


def numeric_slips():
    """Published figures that a pencil can check, beside what `content_table` computes from the same inputs."""
    rows = [("lecture", *row) for row in lecture_slips()] + [("blog notebook", *row) for row in blog_slips()]
    table = pd.DataFrame(rows, columns=["text", "figure", "published", "computed"])
    return table.set_index("text")


def with_zeros(train, test):
    """The training table as the course project kept it: what was set aside is still there, as a rating of 0."""
    rows, cols = np.append(train.rows, test.rows), np.append(train.cols, test.cols)
    values = np.append(train.values, np.zeros(len(test)))
    return replace(train, rows=rows, cols=cols, values=values, times=None, scale=(0.0, train.scale[1]))


@lesson.quiz
def lambda_of_a_mean():
    """A text minimises the mean squared error plus 0.01 (|P|^2 + |Q|^2) on 2,555 ratings: which reg is that in ALS?"""
    count, text = 2555, 0.01
    return lesson.Quiz(
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


@lesson.quiz
def lambda_of_the_half():
    """SpectralRegularization(reg=5) and ALS with enough factors complete a table alike: what is reg in ALS?"""
    return lesson.Quiz(
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


@lesson.quiz
def what_is_mu():
    """In the handout U <- U - mu dE/dU: what is mu?"""
    return lesson.Quiz(
        answer="step",
        choices=("step", "mean", "penalty"),
        because=(
            "It multiplies a gradient and is subtracted: a step. This course writes eta, and keeps mu for the mean."
        ),
        hint="Ask what it does in the formula, not what its letter means elsewhere.",
        wrong=(
            (
                "mean",
                "In this course, and in the blog notebook, mu is the mean of the ratings. Here it multiplies a"
                " gradient: a letter has no meaning of its own.",
            ),
            (
                "penalty",
                "A penalty stands inside E, beside squares of the parameters. This number stands in front of "
                "the derivative of all of E.",
            ),
        ),
    )


@lesson.quiz
def one_row_for_what():
    """The blog's content matrix had 100,836 rows for 9,724 films: which question finds the slip?"""
    return lesson.Quiz(
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
