"""TEACHING.md: its links and minutes, its goals and exercises, and every number that its solutions state."""

import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import results
import worked
from test_notebooks import NOTEBOOKS, headings, prose, read
from test_quizzes import NAMES

import content_table as ct

ROOT = Path(ct.__file__).parent
PAGE = (ROOT / "docs" / "TEACHING.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())  # however its lines are broken
HOLE = np.nan
LESSONS = {path.stem.split("_")[0]: path for path in NOTEBOOKS if path.stem[:2] not in {"00", "99"}}


def section(title):
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def question(number):
    """One question of the exam, its solution and its marks, on one line."""
    return " ".join(section("Exam").split(f"### Question {number}.")[1].split("### ")[0].split())


def exercise(number):
    return " ".join(section("New exercises").split(f"**N{number} ")[1].split("**N")[0].split())


def states(text, *figures):
    """The text holds each of the figures as a whole: 7 is not found in 17, 0.7 or 7/2."""
    for figure in figures:
        assert re.search(rf"(?<![\d.,/−]){re.escape(figure)}(?![\d/]|[.,]\d)", text), figure


@pytest.fixture(scope="module")
def sample():
    return ct.load_ratings(ct.DATA / "100x100.csv")


# ---- The page ----


def test_every_link_leads_to_a_file_and_a_heading():
    defined = dict(re.findall(r"(?m)^\[(\w+)\]: (\S+)$", PAGE))
    used = set(re.findall(r"\]\[(\w+)\]", PAGE))
    assert used == set(defined)
    titles = {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in re.findall(r"(?m)^#+ (.*)", PAGE)}
    for target in [*defined.values(), *re.findall(r"\]\(([^)]+)\)", PAGE)]:
        name, _, anchor = target.partition("#")
        assert not name or (ROOT / "docs" / name).is_file(), target
        if name.endswith(".ipynb"):
            assert anchor in headings(ROOT / "docs" / name), target
        elif not name:
            assert anchor in titles, target


def minutes_of_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| \[(\w+)\]\(notebooks/\w+\.ipynb\) \| [^|]* \| (\d+) \|", text)
    return {name.split("_")[0]: int(minutes) for name, minutes in rows}


def test_minutes_are_those_of_readme_and_of_the_lessons():
    whole = minutes_of_readme()
    for name, path in LESSONS.items():
        assert f"About {whole[name]} minutes" in prose(read(path)), name
    planned = dict.fromkeys(LESSONS, 0)
    rows = re.findall(r"(?m)^\| \d \|.*$", section("Twelve hours, or eighteen"))
    for row in rows:
        _, _, _, in_class, home, _ = row.split("|")
        assert sum(map(int, re.findall(r"\d+(?=,|$)", in_class.strip()))) == 120, row
        for name, minutes in re.findall(r"(\d\d\w?): (\d+)", in_class + home):
            planned[name] += int(minutes)
    assert len(rows) == 9
    assert planned == {name: whole[name] for name in LESSONS}


def test_the_afternoon_has_no_gap_and_no_overlap():
    rows = re.findall(r"(?m)^\| (\d):(\d\d) \| (\d+) \| ?(\d*\w?) \|", section("Four hours"))
    starts = [60 * int(hour) + int(minute) for hour, minute, _, _ in rows] + [240]
    assert starts[0] == 0
    assert [after - before for before, after in pairwise(starts)] == [int(minutes) for _, _, minutes, _ in rows]
    spent = {}
    for _, _, minutes, name in rows:
        spent[name] = spent.get(name, 0) + int(minutes)
    assert all(spent[name] <= whole for name, whole in minutes_of_readme().items() if name in spent)


def test_every_lesson_has_goals_and_each_is_tested_by_something_that_exists():
    goals = re.findall(r"(?m)^- \*\*(\w+)\*\* ((?:.|\n(?!- |\n))+)", section("Goals, and where each is tested"))
    assert {name for name, _ in goals} == set(LESSONS)
    listed = {name: len(found) for name, found in listed_exercises().items()}
    for name, goal in goals:
        done, arrow, tests = goal.partition("→")
        assert done, goal
        assert arrow, goal
        for test in re.split(r",\s+", tests.strip()):
            if test.startswith("`"):
                assert test.strip("`") in NAMES, test
            elif test[0] in "NQ":
                assert 1 <= int(test[1:]) <= {"N": 10, "Q": 12}[test[0]], test
            else:
                lesson_number, _, number = test.partition(".")
                assert 1 <= int(number) <= listed[lesson_number], (name, test)


def listed_exercises():
    found = re.findall(r"(?m)^- \*\*(\w+)\*\*: (.*)$", section("Exercises in the lessons"))
    return {name: re.findall(r"(?:^|; )(\d) ", rest) for name, rest in found}


def test_all_exercises_of_all_lessons_are_listed():
    assert set(listed_exercises()) == set(LESSONS)
    for name, path in LESSONS.items():
        asked = re.findall(r"(?m)^\*\*(?:Exercise )?(\d)\. ?", prose(read(path)).split("## Exercises")[1])
        assert listed_exercises()[name] == asked, name


def test_quizzes_named_in_the_timetable_exist():
    named = set(re.findall(r"quiz `(\w+)`", section("Four hours")))
    assert named
    assert named <= set(NAMES)


def test_marks_add_up():
    total = 0
    for number in range(1, 13):
        points = int(re.search(r"\((\d+) points\)", question(number)).group(1))
        for_each = 4 if number == 6 else 3 if number == 11 else 1  # one line of marks serves all parts
        assert for_each * sum(map(int, re.findall(r"- \*\*(\d+)\*\*", question(number)))) == points, number
        total += points
    assert total == 100


def test_the_handout_has_no_solutions(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "TEACHING.md", "exec"), {})
    for path in (tmp_path / "handout").glob("*.ipynb"):
        original = read(ROOT / "notebooks" / path.name)
        left = json.loads(path.read_text(encoding="utf-8"))
        assert "<details>" not in prose(left)
        assert "## Exercises" in prose(left) or "## Exercises" not in prose(original)
        assert len(left["cells"]) == len(original["cells"])


# ---- New exercises: each solved once ----


def test_n1_titles_first():
    table = np.array([[8, 6, 9, HOLE, HOLE, HOLE], [7, 9, HOLE, 5, HOLE, HOLE], [9, HOLE, HOLE, HOLE, 4, 6],
                      [6, 8, HOLE, HOLE, HOLE, HOLE]])  # fmt: skip
    turned = ct.Ratings.from_matrix(table.T, user_names=list("ABCDEF"), titles=["Ann", "Ben", "Cid", "Dee"])
    with pytest.raises(ValueError, match="no rating is left"):
        turned.filter_once(2, 3)
    left = turned.filter_once(2, 2)
    assert (left.user_names.tolist(), left.titles.tolist()) == (["A", "B"], ["Ann", "Ben", "Dee"])
    assert np.bincount(left.cols).min() >= 2  # the promise to viewers


def test_n2_the_price_of_a_rank():
    table = ct.Ratings.from_matrix([[3, 1], [1, 3]])
    ranks = [len(ct.SpectralRegularization(reg).fit(table).s_) for reg in (1.99, 2.01, 3.99, 4.01)]
    assert ranks == [2, 1, 1, 0]


def test_n3_a_harmless_mix_up(sample):
    features = ct.load_features(ct.DATA / "catalogue.csv", sample, use=("genres",))
    alike = (features.matrix @ features.matrix.T).toarray() > 1 - 1e-9
    before = ct.ContentOnly(features, reg=5).fit(sample).complete()
    for pair, harmless in ((np.argwhere(np.triu(alike, 1))[0], True), (np.argwhere(~alike)[0], False)):
        order = np.arange(sample.n_items)
        order[pair] = pair[::-1]
        after = ct.ContentOnly(replace(features, matrix=features.matrix[order]), reg=5).fit(sample).complete()
        assert np.allclose(before, after) == harmless


def test_n4_move_the_scale(sample):
    up = replace(sample, values=sample.values + 1, scale=(2, 11))
    models = {
        ct.BiasBaseline(reg=5): True,
        ct.SpectralRegularization(8, biases=True, tol=1e-5): True,
        ct.SpectralRegularization(5, tol=1e-2): False,
        ct.NuclearNorm(tol=1e-2): False,
    }
    for model, shifted in models.items():
        apart = -model.fit(sample).complete() + model.fit(up).complete()
        assert np.allclose(apart, 1, atol=1e-2) == shifted, model


def test_n5_what_two_starts_share(sample):
    one, two = (ct.ALS(20, reg=8, biases=True, tol=1e-6, random_state=seed).fit(sample) for seed in (0, 1))
    assert np.allclose(one.complete(), two.complete(), atol=0.05)  # at this tol; closer at a smaller one
    together = np.corrcoef(one.item_factors_.T, two.item_factors_.T)[:20, 20:]
    assert np.median(np.abs(np.diag(together))) < 0.5


def test_n6_a_leak(sample):
    train, test = sample.split_random(0.2, random_state=0)
    seen = worked.known(train)[sample.rows, sample.cols]
    leaked = ~seen & (np.random.default_rng(0).random(len(sample)) < 0.2)
    gain = {}
    for name, model in {
        "baseline": ct.BiasBaseline(5),
        "with biases": ct.SpectralRegularization(8, biases=True, tol=1e-3),
        "spectral": ct.SpectralRegularization(5, tol=1e-3),
        "nuclear norm": ct.NuclearNorm(tol=1e-3),
    }.items():
        honest, flattered = (ct.rmse(model.fit(sample.part(part)), test, clip=True) for part in (seen, seen | leaked))
        gain[name] = honest - flattered
    assert list(gain) == sorted(gain, key=gain.get)
    assert 0 < 2 * gain["baseline"] < gain["with biases"]
    assert ct.rmse(model, sample.part(leaked)) < 1e-2  # the nuclear norm repeats what leaked


def test_n7_how_lucky_can_one_split_be(sample):
    errors_of = ct.evaluate({reg: ct.BiasBaseline(reg) for reg in (2, 5, 20)}, sample, n_splits=50)
    errors = errors_of.pivot(index="split", columns="model", values="rmse_clipped")
    assert not (errors[20] < errors[5]).any()
    assert 25 < (errors[2] < errors[5]).sum() < 50
    found = ct.paired_differences(errors_of, 5).set_index("model").loc[2]
    assert found["verdict"] == "better"
    assert found["difference"] + found["half_width"] > -0.01  # barely
    assert errors[5].max() - errors[5].min() > 10 * abs(found["difference"])


def scaled_dual(table, deviations, reg):
    """(best c, its dual) of theta = c times the residual at all biases zero."""
    sums = np.concatenate([np.bincount(table.rows, deviations), np.bincount(table.cols, deviations)])
    square, price = deviations @ deviations, sums @ sums / reg
    c = square / (square + price)
    return c, 2 * c * square - c**2 * (square + price)


def test_n8_a_better_bound_from_the_same_residual(sample):
    tiny = ct.Ratings.from_matrix([[5, 3], [4, HOLE]])
    assert np.allclose(scaled_dual(tiny, tiny.values - 4, 1), (0.5, 1))
    assert np.isclose(ct.bias_certificate(tiny.values - 4, tiny.rows, tiny.cols, np.zeros(2), np.zeros(2), 1).dual, 0)
    assert np.isclose(ct.BiasBaseline(1).fit(tiny).certificate().primal, 23 / 21)
    states(exercise(8), "1/2", "23/21")
    zeros = np.zeros(sample.n_users), np.zeros(sample.n_items)
    lifted = sample.values - sample.values.mean()
    best = ct.BiasBaseline(5).fit(sample).certificate().primal
    assert ct.bias_certificate(lifted, sample.rows, sample.cols, *zeros, 5).dual < -best
    assert 0.4 < scaled_dual(sample, lifted, 5)[1] / best < 0.6


def test_n9_promise_and_truth_by_length(sample):
    truth, kept = results.truth(sample), {}
    for name in ("nuclear norm", "item neighbours", "spectral with biases"):
        model = ct.load_model(ct.WEIGHTS / f"{name.replace(' ', '_')}.npz", sample)
        lists = [model.recommend_all(n, one_per_work=False) for n in (1, 5, 10, 20, 50)]
        kept[name] = [
            (one["predicted_rating"] - truth[sample.user_rows(one["user_id"]), sample.item_cols(one["item_id"])]).mean()
            for one in lists
        ]
    assert np.all(np.diff(kept["nuclear norm"]) < 0)
    for name in ("item neighbours", "spectral with biases"):
        assert abs(kept[name][0]) < 0.1
        assert np.all(np.diff(kept[name]) > 0)


def test_n10_als_in_the_units_of_sgd(sample):
    rng, k, reg, values = np.random.default_rng(0), 3, 0.1, sample.values - sample.values.mean()
    sides = [rng.normal(0, 0.1, (sample.n_users, k)), rng.normal(0, 0.1, (sample.n_items, k))]
    places = [sample.rows, sample.cols]
    counts = [np.bincount(place) for place in places]

    def objective():
        left = values - np.sum(sides[0][sample.rows] * sides[1][sample.cols], axis=1)
        return left @ left + reg * sum(n @ (side**2).sum(axis=1) for n, side in zip(counts, sides, strict=True))

    seen = [objective()]
    for _ in range(5):
        for own in (0, 1):
            for row in range(len(sides[own])):
                at = places[own] == row
                X = sides[1 - own][places[1 - own][at]]
                sides[own][row] = np.linalg.solve(X.T @ X + reg * counts[own][row] * np.eye(k), X.T @ values[at])
            seen.append(objective())
    assert np.all(np.diff(seen) <= 1e-9)
    sides[1][0, 0] += 1e-5
    up = objective()
    sides[1][0, 0] -= 2e-5
    assert abs(up - objective()) / 2e-5 < 1e-4
    assert (counts[0].min(), counts[0].max()) == (1, 64)
    states(exercise(10), "64")


# ---- The exam: every number of its solutions ----


def test_question_1():
    table = ct.Ratings.from_matrix([[8, 6], [4, HOLE]])
    model = ct.BiasBaseline(reg=1).fit(table)
    assert np.allclose(21 * model.user_bias_, [16, -22])
    assert np.allclose(21 * model.item_bias_, [2, -8])
    assert np.isclose(model.predict(1, 1)[0], 32 / 7)
    assert np.allclose(-21 * ct.errors(model, table)[table.rows == 0], [24, -8])
    assert np.isclose(ct.BiasBaseline(reg=1e9).fit(table).predict(1, 1)[0], 6)
    assert np.isclose(ct.BiasBaseline(reg=0).fit(table).predict(1, 1)[0], 2)
    states(question(1), "16/21", "−22/21", "2/21", "−8/21", "32/7", f"{32 / 7:.3f}", "24/21")
    states(question(1), f"{np.mean([8, 6, 4, 0])}")


def test_question_2():
    row, q = ct.Ratings.from_matrix([[6, 4]]).csr, np.array([[2.0], [1.0]])
    (with_penalty,), (without,) = (ct.ridge_rows(row, q, reg=reg)[:, 0] for reg in (1, 0))
    states(question(2), f"{with_penalty:.3f}", f"{without:.1f}", f"{0.5 * with_penalty:.3f}")
    states(question(2), f"{np.mean([6 / 2, 4 / 1])}")
    f = ct.GradientDescentMF(1, reg=0)
    one = ct.Ratings.from_matrix([[4]])
    losses = [f.objective(one, np.array([[x]]), np.array([[x]]))[0] for x in (2.0, -2.0, 0.0)]
    assert losses == [0, 0, 16]  # misses by 4


def test_question_3():
    one = ct.Ratings.from_matrix([[5]])
    start = worked.parameters([[1.0, 0.0]], [[0.5, 1.0]])
    after = worked.step_on(one, 0, start, learning_rate=0.1, reg=0.2, mean=3)
    assert np.allclose([after[0][0], after[1][0]], 0.15)
    assert np.allclose([*after[2][0], *after[3][0]], [1.055, 0.15, 0.64, 0.98])
    assert np.isclose(5 - worked.predictions(one, start, mean=3)[0], 1.5)
    predicted = worked.predictions(one, after, mean=3)[0]
    states(question(3), "0.5", "1.5", "0.15", "1.055", "0.64", "0.98")
    states(question(3), f"{after[2][0] @ after[3][0]:.4f}", f"{predicted:.4f}")
    late = start[3][0] + 0.1 * (1.5 * after[2][0] - 0.2 * start[3][0])
    states(question(3), f"{late[0]:.5f}", f"{late[1]:.4f}", f"{5 - 0.5}")


def test_question_4():
    A = np.array([[4.0, 2.0], [2.0, 4.0]])
    table = ct.Ratings.from_matrix(A)
    assert np.allclose(np.linalg.svd(A, compute_uv=False), [6, 2])
    U, s, Vt = ct.shrink_singular_values(A, 2.0)
    assert np.allclose((U * s) @ Vt, 2)
    cells = table.rows, table.cols, table.shape
    best = ct.spectral_certificate(table.values, table.values - 2, *cells, 2.0, 4.0)
    wrong = ct.spectral_certificate(table.values, 0 * table.values, *cells, 2.0, 8.0)
    assert np.allclose([best.primal, best.dual, wrong.primal, wrong.dual], [12, 12, 16, 0])
    assert len(ct.SpectralRegularization(1).fit(table).s_) == 2
    assert np.allclose(ct.shrink_singular_values(A, 1.0)[1], [5, 1])
    states(question(4), "12", "16")


def test_question_5():
    table = ct.Ratings.from_matrix([[1, 3], [3, HOLE]])
    cells = table.rows, table.cols
    model = ct.NuclearNorm(tol=1e-8).fit(table)
    assert np.isclose(model.complete()[1, 1], 1, atol=1e-3)
    proofs = [
        ct.nuclear_certificate(table.values, np.array(multipliers), *cells, np.array([[1.0, 3.0], [3.0, x]]))
        for multipliers, x in (([0.0, 1, 1], 1.0), ([0.0, 1, 1], 9.0), ([1.0, 1, 1], 1.0))
    ]
    assert np.allclose([[proof.primal, proof.dual] for proof in proofs[:2]], [[6, 6], [10, 6]])
    states(question(5), f"{proofs[1].primal:.0f}", f"{proofs[2].dual:.2f}")


def test_question_6():
    proof = ct.Certificate(200, 199.9)
    assert proof.dual > 199
    states(question(6), f"{proof.gap:.1f}", f"{proof.relative_gap:.4f}", f"{np.sqrt(2 * proof.gap):.3f}", "0.45")
    assert np.sqrt(2 * proof.gap) < 0.45


def test_question_7():
    features = ct.tfidf_features([0, 1, 2], ["war space", "war love", "war space love"])
    row = dict(zip(features.names.tolist(), features.matrix[[0]].toarray()[0].tolist(), strict=True))
    assert np.isclose(row["space"] / row["war"], np.log(4 / 3) + 1)
    cosine = (features.matrix @ features.matrix.T).toarray()[0, 1]
    states(question(7), f"{row['space'] / row['war']:.3f}", f"{cosine:.3f}", f"−{-np.log(3 / 4):.3f}")


def test_question_8():
    test = ct.Ratings.from_matrix([[HOLE, 9, 5, 8, 10]])
    found = ct.ranking_metrics(np.array([[0, 1, 2, 3]]), test, threshold=8).iloc[0]
    best = ct.ranking_metrics(np.array([[4, 1, 3, 2]]), test, threshold=8).iloc[0]
    assert np.isclose(found["recall"], 2 / 3)
    gains = 1 / np.log2([3, 5, 4])
    states(question(8), f"{found['precision']}", "2/3", *(f"{gain:.3g}" for gain in gains), f"{found['ndcg']:.3f}")
    assert best["precision"] == 3 / 4
    states(question(8), "3/4")


def test_question_9():
    about = results.filed("real_tables")["data"]["data 1"]
    m, n, known = about["n_users"], about["n_items"], about["n_ratings"]
    states(question(9), f"{known:,}", f"{m}", f"{n}", f"{20 * (m + n):,}")
    assert round(1.4950 / 0.0177) == 84
    states(question(9), "0.0177", "1.4950", "84")
    # the table is filled from tuned.json, see test_readme
    page = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    lines = page.split("<!-- tuned -->")[1].split("<!-- /tuned -->")[0].splitlines()
    held_out = {line.split("|")[1].strip(): line.split("|")[3].split("±")[0].strip() for line in lines if "±" in line}
    states(question(9), held_out["ALS as published"], held_out["baseline"])


def test_question_10():
    differences = np.array([-0.06, -0.02, -0.05, -0.03])
    mean, half = ct.split_interval(differences, n_train=80, n_test=20)
    spread = differences.std(ddof=1)
    plain = 3.182 * spread / 2
    assert np.isclose(half, 3.182 * np.sqrt(1 / 4 + 1 / 4) * spread, rtol=1e-3)
    assert plain < abs(mean) < half
    states(question(10), "−0.06", "−0.02", "−0.05", "−0.03")  # the differences that the question asks about
    states(question(10), f"−{-mean:.2f}", f"{spread:.4f}", f"{half:.3f}", f"{plain:.3f}")


def test_question_11():
    table = ct.Ratings.from_matrix([[9.0, 2, 7], [8, 1, 9], [2, 9, 1]])
    als = ct.ALS(n_factors=3, reg=4, tol=0, n_epochs=1000).fit(table).complete()
    assert np.allclose(als, ct.SpectralRegularization(reg=4, tol=1e-9).fit(table).complete(), atol=1e-3)


def test_question_12():
    deviations = ct.Ratings.from_matrix([[10 - 7 - 1, 8 - 7 + 1]], scale=(-9, 9))
    bias = ct.ridge_rows(deviations.csr, np.ones((2, 1)), reg=4)[0, 0]
    alone = ct.ridge_rows(ct.Ratings.from_matrix([[8.0]]).csr, np.ones((1, 1)), reg=4)[0, 0]
    states(question(12), f"{bias:.3f}", f"{7 + 0.5 + bias:.3f}", f"{2 / 6:.3f}", f"{alone:.1f}")
