"""The doors to the compiled loops: what does not fit is refused in words, before a loop could read foreign memory."""

import numpy as np
import pytest
import scipy.sparse as sp

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


# ---- Each door, with what is right and at the edge of what is wrong ----

TABLE = sp.csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.5]]))
NAN_TABLE = sp.csr_array(np.array([[1.0, np.nan]]))
CALLS = {
    doors.best_positions: (np.array([3.0, np.nan, 5.0, 3.0, 4.0]), 3),
    doors.bias_solver: ([0, 0, 1], [0, 1, 1], (2, 2), 0.5),
    doors.ridge_rows: (TABLE, np.array([[1.0, 0.0], [1.0, 1.0], [0.5, 2.0]]), 0.5),
    doors.shrink_singular_values: (np.array([[2.0, 1.0], [0.0, 3.0]]), 0.5),
    doors.spectral_norm_bound: (TABLE,),
    doors.squared_loss: (np.array([1.0, 2.0]), 0.5, np.ones((2, 3)), np.ones(4)),
}


def flat(found):
    """Everything that a solver returned, one array after the other."""
    return np.concatenate([np.ravel(part) for part in (found if isinstance(found, tuple) else (found,))])


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_door_gives_what_the_solver_behind_it_gives(call):
    found, behind = call(*CALLS[call]), call.unchecked(*CALLS[call])
    if call is doors.bias_solver:
        found, behind = (solve(np.array([1.0, 2.0, 4.0])) for solve in (found, behind))
    assert np.array_equal(flat(found), flat(behind))
    assert call.__module__ == doors.__name__


def test_what_a_door_lets_through_is_worked_by_hand():
    assert doors.best_positions(*CALLS[doors.best_positions]).tolist() == [2, 4, 0]
    assert doors.best_positions([1.0, 2.0], 1).tolist() == [1]
    assert doors.squared_loss(np.array([1.0, 2.0])) == 5
    assert doors.squared_loss(*CALLS[doors.squared_loss]) == 5 + 0.5 * (6 + 4)
    plain = doors.ridge_rows(TABLE.tocsc(), np.eye(3))  # without a penalty
    assert plain == pytest.approx(TABLE.toarray(), abs=1e-12)
    each = doors.ridge_rows(sp.coo_array(TABLE), np.eye(3), [1.0, 2.0, 3.0])  # one penalty a factor
    assert each == pytest.approx(TABLE.toarray() / [2, 3, 4], abs=1e-12)
    assert doors.ridge_rows(sp.lil_array(TABLE), np.eye(3)) == pytest.approx(plain, abs=1e-12)
    bounds = [
        doors.spectral_norm_bound(kind(TABLE)) for kind in (sp.csr_array, sp.csc_array, sp.coo_array, sp.lil_array)
    ]
    largest = np.linalg.norm(TABLE.toarray(), 2)
    assert all(proved and largest <= bound <= 1.001 * largest for bound, proved in bounds)
    user, item = doors.bias_solver(*CALLS[doors.bias_solver])(np.zeros(3))
    assert not user.any()
    assert not item.any()
    assert doors.bias_solver([0], [0], (1, 1), 0)(np.array([4.0])) == pytest.approx((2.0, 2.0))  # of least norm
    kept = doors.shrink_singular_values(np.diag([3.0, 1.0]), 1)[1]
    assert kept == pytest.approx([2.0])
    assert len(doors.shrink_singular_values(np.diag([3.0, 1.0]), 0)[1]) == 2


@pytest.mark.parametrize(
    ("call", "at", "value", "words"),
    [
        (doors.best_positions, 0, [[1.0]], "scores must be an array of numbers in 1 dimension"),
        (doors.best_positions, 1, 0, "n must be at least 1, got 0"),
        (doors.best_positions, 1, 1.0, "n must be a whole number"),
        (doors.bias_solver, 0, [0, 0, 2], "rows must hold positions from 0 to 1, got 0 to 2"),
        (doors.bias_solver, 1, [0, 1, 2], "cols must hold positions from 0 to 1, got 0 to 2"),
        (doors.bias_solver, 1, [0, 1], "got 3 rows and 2 cols"),
        (doors.bias_solver, 2, (2, 2, 2), "lengths of 2 sides"),
        (doors.bias_solver, 3, -0.5, "reg must be at least 0"),
        (doors.ridge_rows, 0, TABLE.toarray(), "table must be a sparse table"),
        (doors.ridge_rows, 0, NAN_TABLE, "values of table must be an array of finite numbers"),
        (doors.ridge_rows, 1, [1.0, 2.0, 3.0], "other must be an array of finite numbers in 2 dimensions"),
        (doors.ridge_rows, 2, [1.0], "reg needs 2 entries, got 1"),
        (doors.ridge_rows, 2, np.ones(3), "reg needs 2 entries, got 3"),
        (doors.ridge_rows, 2, (1.0, np.inf), "reg must be an array of finite numbers"),
        (doors.ridge_rows, 2, -1, "reg must be at least 0"),
        (doors.ridge_rows, 2, "1", "reg must be a finite number"),
        (doors.shrink_singular_values, 0, np.ones(2), "A must be an array of finite numbers in 2 dimensions"),
        (doors.shrink_singular_values, 0, [[np.nan]], "A must be an array of finite numbers"),
        (doors.shrink_singular_values, 1, -1, "threshold must be at least 0"),
        (doors.spectral_norm_bound, 0, np.ones((2, 2)), "S must be a sparse table"),
        (doors.spectral_norm_bound, 0, sp.coo_array(np.ones(3)), "S must be a sparse table"),
        (doors.squared_loss, 0, [[1.0]], "residual must be an array of finite numbers in 1 dimension"),
        (doors.squared_loss, 1, -1, "reg must be at least 0"),
        (doors.squared_loss, 3, [np.nan], "factors must be an array of finite numbers"),
    ],
)
def test_a_door_names_what_it_refuses(call, at, value, words):
    given = list(CALLS[call])
    given[at] = value
    with pytest.raises((TypeError, ValueError), match=words):
        call(*given)


def test_a_door_keeps_the_name_of_the_solver_and_its_plain_form():
    def solver(a, b=2):
        """Divides."""
        return a / b

    plain = doors.door(solver, lambda a, b=1: (float(a), b))
    assert (plain.__name__, plain.__doc__, plain.__module__) == ("solver", "Divides.", doors.__name__)
    assert (plain(6), plain(6, 3), plain(b=3, a=6), plain.unchecked) == (6, 2, 2, solver)
    assert not hasattr(plain, "py_func")
    solver.py_func = lambda a, b=2: a / b
    assert doors.door(solver, lambda *given: given).py_func is solver.py_func


def test_positions_end_one_below_the_size():
    assert doors.check_positions("at", [0, 4], 5).tolist() == [0, 4]
    assert doors.check_positions("at", [], 0).tolist() == []
    for bad, came in [([0, 5], "0 to 5"), ([-1, 4], "-1 to 4"), ([7, -2, 3], "-2 to 7")]:
        with pytest.raises(ValueError, match=f"at must hold positions from 0 to 4, got {came}"):
            doors.check_positions("at", bad, 5)
    rows, cols = doors.check_cells([0, 1], [2, 0], (2, 3))
    assert (rows.tolist(), cols.tolist()) == ([0, 1], [2, 0])
    for cells, words in [(([0, 2], [2, 0]), "rows must hold positions from 0 to 1, got 0 to 2"),
                         (([0, 1], [3, 0]), "cols must hold positions from 0 to 2, got 0 to 3"),
                         (([2, 0], [3, 0]), "rows must hold"), (([0, -1], [0, 0]), "rows must hold"),
                         (([0, 0], [0, -1]), "cols must hold")]:  # fmt: skip
        with pytest.raises(ValueError, match=words):
            doors.check_cells(*cells, (2, 3))


def test_positions_are_an_array_that_loops_may_take():
    given = np.arange(4)
    assert doors.check_positions("at", given, 4) is given
    locked = np.arange(4)
    locked.flags.writeable = False
    for other in (locked, np.arange(8)[::2] // 2, np.arange(4, dtype=np.int32), range(4), np.arange(4, dtype=np.uint8)):
        found = doors.check_positions("at", other, 4)
        assert (found.tolist(), found.dtype, found.flags.writeable) == ([0, 1, 2, 3], np.intp, True)
        assert found.flags.c_contiguous
    for none in ([], np.zeros(0), np.zeros(0, bool), ()):
        assert doors.check_positions("at", none, 4).dtype == np.intp
    with pytest.raises(TypeError, match=r"at must be one row of positions, .* got float64 of shape \(0, 2\)"):
        doors.check_positions("at", np.zeros((0, 2)), 4)
    with pytest.raises(
        TypeError, match=r"at must be one row of positions, whole numbers from 0, got \[\[0\], \[1, 2\]"
    ):
        doors.check_positions("at", [[0], [1, 2]], 4)
    for wrong in ([0.0, 1.0], [True, False], [[0, 1]], ["a"], 0):
        with pytest.raises(TypeError, match="at must be one row of positions, whole numbers from 0, got"):
            doors.check_positions("at", wrong, 4)
    with pytest.raises(ValueError, match="at has 1 masked entries"):
        doors.check_positions("at", np.ma.masked_array([0, 1], [False, True]), 4)


@pytest.mark.parametrize(
    ("given", "shape", "words"),
    [
        (np.ones(3), (4,), r"x must be an array of float64, 4, got float64 of shape \(3,\)"),
        (np.ones(3), (None, None), r"x must be an array of float64, any x any, got float64 of shape \(3,\)"),
        (np.ones((2, 3)), (2, 4), r"x must be an array of float64, 2 x 4, got float64 of shape \(2, 3\)"),
        (np.ones((2, 3)), (3, None), "x must be an array of float64, 3 x any"),
        (np.ones((2, 3)), (2,), "x must be an array of float64, 2, got"),
        (np.ones(3, np.float32), (3,), r"got float32 of shape \(3,\)"),
        ([1.0, 1.0, 1.0], (3,), "got list"),
    ],
)
def test_an_array_that_a_loop_writes_to_is_of_its_shape_and_kind(given, shape, words):
    right = np.ones((2, 3))
    for fits in ((2, 3), (None, 3), (2, None), (None, None)):
        assert doors._floats("x", right, *fits) is right
    with pytest.raises(ValueError, match=words):
        doors._floats("x", given, *shape)


ABOUT = (
    np.array([0, 1, 3, 3, 5]),
    np.array([0, 0, 1, 0, 1], np.int32),
    np.ones(5),
)  # of four titles: 1, 2, 0, 2 features
PROFILES = np.array([0, 0, 1, 2]), np.zeros(2, np.int32), np.ones(2)  # of three viewers: 0, 1, 1
FULL = {
    "theta": tuple(map(np.zeros, (3, 4, (3, 2), (4, 2), (3, 2), (1, 2)))),
    "C": ABOUT,
    "F": PROFILES,
    "rows": [0, 1, 2],
    "cols": [2, 3, 1],
    "values": np.ones(3),
}  # steps change 6, 6 + 2 * 2 = 10 and 10 numbers


@pytest.mark.parametrize(("batch_size", "room"), [(1, 10), (2, 16), (3, 26), (50, 26)])
def test_a_batch_needs_room_for_its_steps_and_no_more(batch_size, room):
    given = EPOCH | FULL | {"batch_size": batch_size}
    ct.batch_epoch(**given | {"theta": tuple(map(np.array, FULL["theta"])), "steps": np.zeros(room)})
    with pytest.raises(ValueError, match=f"steps must have room for the {room} steps of a batch, got {room - 1}"):
        ct.batch_epoch(**given | {"steps": np.zeros(room - 1)})


def test_no_rating_needs_no_room():
    none = {"rows": [], "cols": [], "values": np.zeros(0), "batch_size": 2, "steps": np.zeros(0)}
    assert ct.batch_epoch(**EPOCH | none) == 0


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("theta", list(FULL["theta"])[:5], "theta must be the six arrays"),
        ("theta", np.zeros(6), "theta must be the six arrays b_u, b_i, P, Q, W, G, got ndarray"),
        ("theta", (np.zeros(2), *FULL["theta"][1:]), "P must be an array of float64, 2 x any"),
        ("theta", (FULL["theta"][0], np.zeros(3), *FULL["theta"][2:]), "Q must be an array of float64, 3 x 2"),
        ("theta", (*FULL["theta"][:4], np.zeros((2, 2)), FULL["theta"][5]), "W must be an array of float64, 3 x any"),
        ("theta", (*FULL["theta"][:5], np.zeros((1, 3))), "G must be an array of float64, any x 2"),
        ("theta", (*FULL["theta"][:5], np.zeros((0, 2))), "the columns of F"),
        ("theta", (*FULL["theta"][:4], np.zeros((3, 1)), np.zeros((1, 1))), "the columns of C"),
        ("C", (*ABOUT[:2], np.ones(4)), "the values of C must be an array of float64, 5"),
        ("C", PROFILES, "C must have 4 rows, got 3"),
        ("F", ABOUT, "F must have 3 rows, got 4"),
        ("mean", np.inf, "mean must be a finite number"),
        ("rows", [0, 1, 3], "rows must hold positions from 0 to 2"),
        ("cols", [0, 1, 4], "cols must hold positions from 0 to 3"),
    ],
)
def test_the_parameters_of_a_descent_are_of_one_size(name, value, words):
    right = {each: (EPOCH | FULL)[each] for each in ("rows", "cols", "mean", "theta", "C", "F")}
    assert ct.predict_pairs(**right).tolist() == [3, 3, 3]
    assert ct.predict_pairs(**right | {"theta": list(FULL["theta"]), "C": list(ABOUT), "mean": -3}).tolist() == [-3] * 3
    with pytest.raises(ValueError, match=words):
        ct.predict_pairs(**right | {name: value})


@pytest.mark.parametrize("clip", [np.inf, np.float64("inf"), 1e300, 5, np.float32(5)])
def test_a_clip_may_cut_nothing(clip):
    theta = tuple(map(np.array, THETA))
    assert ct.sgd_epoch(**EPOCH | {"theta": theta, "clip": clip}) > 0
    for bad in (-np.inf, np.nan, "5"):
        with pytest.raises(ValueError, match="clip must be a finite number"):
            ct.sgd_epoch(**EPOCH | {"clip": bad})
