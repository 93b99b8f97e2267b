"""The doors to the compiled loops: what does not fit is refused in words, before a loop could read foreign memory."""

import numpy as np
import pytest

import content_table as ct
from content_table_parts import doors

P, Q = np.ones((3, 2)), np.ones((4, 2))
NO_FEATURES = np.zeros(5, np.int64), np.zeros(0, np.int32), np.zeros(0)
NO_PROFILES = np.zeros(4, np.int64), np.zeros(0, np.int32), np.zeros(0)
THETA = np.zeros(3), np.zeros(4), P, Q, np.zeros((3, 0)), np.zeros((0, 0))
BAD_POSITIONS = [
    [6, 0],
    [-1, 0],
    [2**40, 0],
    [-(2**63), 0],
    [0],
    [0, 0, 0],
    [0.0, 1.0],
    [True, False],
    [[0, 1]],
    "ab",
    None,
]


OTHER_LENGTHS = [0], [0, 0, 0]


@pytest.mark.parametrize("bad", BAD_POSITIONS, ids=str)
def test_positions_that_are_none_are_refused_by_name_on_every_way_in(fitted, bad):
    good = [0, 1]
    calls = [fitted.predict_cells, lambda rows, cols: ct.pair_dots(P, Q, rows, cols)]
    for call in calls:
        for cells in ((bad, good), (good, bad)):
            with pytest.raises((TypeError, ValueError), match=r"(rows|cols) .* got"):
                call(*cells)
    for ask in (fitted.predict_rows, lambda rows: fitted.top_items(rows, 2)):
        if bad not in OTHER_LENGTHS:
            with pytest.raises((TypeError, ValueError), match=r"rows .* got"):
                ask(bad)


def test_positions_of_any_whole_kind_are_taken(fitted):
    expected = fitted.predict_cells(np.array([1, 5]), np.array([4, 0]))
    for kind in (list, tuple, np.uint8, np.int16, np.uint64):
        rows, cols = (kind(at) if kind in (list, tuple) else np.array(at, kind) for at in ([1, 5], [4, 0]))
        assert np.array_equal(fitted.predict_cells(rows, cols), expected)
    every_second = np.arange(12)[::2]  # not contiguous
    assert np.array_equal(fitted.predict_rows(every_second[:3]), fitted.predict_rows(np.array([0, 2, 4])))
    assert fitted.predict_cells([], []).shape == (0,)


EPOCH = {
    "rows": [0, 1], "cols": [1, 3], "values": np.ones(2), "mean": 3.0, "theta": THETA, "C": NO_FEATURES,
    "F": NO_PROFILES, "eta": 0.1, "reg": 0.1, "clip": np.inf,
}  # fmt: skip
SOLVE = {
    "indptr": np.array([0, 1, 2]), "indices": np.array([0, 3]), "weights": np.ones(2), "targets": np.ones(2),
    "other": Q, "base": np.eye(2), "out": np.zeros((2, 2)),
}  # fmt: skip
LOOPS = {
    ct.sgd_epoch: EPOCH,
    ct.batch_epoch: EPOCH | {"batch_size": 2, "steps": np.zeros(12)},
    ct.predict_pairs: {name: EPOCH[name] for name in ("rows", "cols", "mean", "theta", "C", "F")},
    ct.solve_rows: SOLVE,
    ct.pair_dots: {"P": P, "Q": Q, "rows": [0, 1], "cols": [1, 3]},
}
OUTSIDE = np.array([0, 0, 0, 0, 1]), np.array([2**30], np.int32), np.ones(1)
WRONG = [
    (ct.sgd_epoch, "values", np.ones(3), "values"),
    (ct.sgd_epoch, "values", ["a", "b"], "values"),
    (ct.sgd_epoch, "theta", THETA[:5], "theta"),
    (ct.sgd_epoch, "theta", (*THETA[:3], np.ones((4, 3)), *THETA[4:]), "Q"),
    (ct.sgd_epoch, "theta", (np.zeros(2), *THETA[1:]), "P"),
    (ct.sgd_epoch, "theta", (*THETA[:2], P.astype(np.float32), *THETA[3:]), "P"),
    (ct.sgd_epoch, "C", OUTSIDE, "C"),
    (ct.sgd_epoch, "C", (OUTSIDE[0][:4], *OUTSIDE[1:]), "C"),
    (ct.sgd_epoch, "F", (np.array([0, 2, 1, 1]), np.zeros(1, np.int32), np.ones(1)), "F"),
    (ct.sgd_epoch, "eta", "fast", "eta"),
    (ct.sgd_epoch, "reg", None, "reg"),
    (ct.sgd_epoch, "clip", np.nan, "clip"),
    (ct.batch_epoch, "batch_size", 0, "batch_size"),
    (ct.batch_epoch, "steps", np.zeros(11), "steps"),
    (ct.predict_pairs, "mean", "3", "mean"),
    (ct.solve_rows, "indices", np.array([0, 4]), "columns"),
    (ct.solve_rows, "indices", np.array([0, 2**40]), "columns"),
    (ct.solve_rows, "indptr", np.array([0, 1, 9]), "indptr"),
    (ct.solve_rows, "weights", np.ones(1), "weights"),
    (ct.solve_rows, "base", np.eye(3), "base"),
    (ct.solve_rows, "out", np.zeros((1, 2)), "out"),
    (ct.pair_dots, "Q", np.ones((4, 3)), "Q"),
    (ct.pair_dots, "P", np.ones(3), "P"),
    (ct.pair_dots, "P", [[1.0, 1.0]], "P"),
]


@pytest.mark.parametrize(("loop", "name", "value", "named"), WRONG)
def test_a_loop_is_not_entered_with_what_does_not_fit(loop, name, value, named):
    loop(**LOOPS[loop])
    with pytest.raises((TypeError, ValueError), match=rf"\b{named}\b.*"):
        loop(**LOOPS[loop] | {name: value})


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_a_door_lets_through_what_the_loop_itself_gives(loop):
    def copies():
        theta = {"theta": tuple(np.array(part) for part in THETA)} if "theta" in LOOPS[loop] else {}
        out = {"out": np.zeros((2, 2))} if "out" in LOOPS[loop] else {}
        arrays = {name: np.array(LOOPS[loop][name]) for name in ("rows", "cols") if name in LOOPS[loop]}
        return LOOPS[loop] | arrays | theta | out

    by_door, inside = copies(), copies()
    order = loop.py_func.__code__.co_varnames[: loop.py_func.__code__.co_argcount]
    given = [loop(**by_door), by_door.get("theta"), by_door.get("out")]
    found = [loop.unchecked(*(inside[name] for name in order)), inside.get("theta"), inside.get("out")]
    for one, two in zip(given, found, strict=True):
        one, two = (each if isinstance(each, tuple) else (each,) for each in (one, two))
        assert all(a is b is None or np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_batches_of_one_rating_are_steps_of_one_rating():
    theta = [tuple(np.array(part) for part in THETA) for _ in range(2)]
    ct.sgd_epoch(**EPOCH | {"theta": theta[0]})
    ct.batch_epoch(**EPOCH | {"theta": theta[1], "batch_size": 1, "steps": np.zeros(12)})
    assert all(one == pytest.approx(other, abs=1e-15) for one, other in zip(*theta, strict=True))


CSR = np.array([0, 1, 2]), np.array([0, 3]), np.ones(2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("table", "C must be the three arrays of a CSR table .*, got 'table'"),
        (CSR[:2], "C must be the three arrays of a CSR table"),
        ((np.array([0.0, 1, 2]), *CSR[1:]), "those of a CSR table"),
        ((CSR[0], CSR[1][:, None], CSR[2]), "those of a CSR table"),
        ((np.zeros(0, int), *CSR[1:]), "those of a CSR table"),
        ((np.array([1, 1, 2]), *CSR[1:]), "those of a CSR table"),
        ((np.array([0, 1, 1]), *CSR[1:]), "those of a CSR table"),
        ((np.array([0, 3, 2]), *CSR[1:]), "those of a CSR table"),
        ((np.array([0, 1, 1, 2]), *CSR[1:]), "C must have 2 rows, got 3"),
        ((CSR[0], np.array([0, 4]), CSR[2]), "the columns of C"),
        ((*CSR[:2], np.ones(3)), "the values of C"),
    ],
)
def test_three_arrays_that_are_no_table_are_refused(given, words):
    assert all(np.array_equal(a, b) for a, b in zip(doors._table("C", CSR, 2, 4), CSR, strict=True))
    with pytest.raises((TypeError, ValueError), match=words):
        doors._table("C", given, 2, 4)


def test_the_check_of_pairs_is_that_of_each_side():
    rng = np.random.default_rng(0)
    for _ in range(300):
        m, n = rng.integers(1, 5, 2)
        rows, cols = rng.integers(-1, 6, (2, rng.integers(1, 4)))
        inside = (rows >= 0).all() and (rows < m).all() and (cols >= 0).all() and (cols < n).all()
        try:
            doors.check_cells(rows, cols, (m, n))
        except ValueError:
            assert not inside
        else:
            assert inside
