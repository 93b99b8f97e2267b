"""The command line: the honest table and one viewer's list, and an error in one line where something is wrong."""

import inspect
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import content_table as ct
from content_table_parts import autoencoders, command, newcomers

NOBODY = SimpleNamespace(viewer=None)  # of the options


@pytest.fixture
def small(table, tmp_path):
    """The typed-in table as a file."""
    table.to_csv(tmp_path / "small.csv")
    return str(tmp_path / "small.csv")


@pytest.fixture
def quick(monkeypatch):
    """Two models instead of all: the command's own work is what is tested."""
    models = {"baseline": ct.BiasBaseline(), "spectral with biases": ct.SpectralRegularization(1, biases=True)}
    monkeypatch.setattr(ct, "course_models", lambda item_features=None: dict(models))


def refused(arguments, capsys):
    """Exit status and the one line on the error stream."""
    with pytest.raises(SystemExit) as stopped:
        ct.main(arguments)
    printed = capsys.readouterr()
    assert printed.out == ""
    return stopped.value.code, printed.err


def test_the_command_has_the_models_of_the_course_and_a_list_that_follows_the_viewer(monkeypatch):
    told = []
    monkeypatch.setattr(ct.command, "run", lambda *given: told.append(given))
    ct.main(["--splits", "2"])
    (make_models, rankers, list_model, arguments, about) = told[0]
    assert make_models is ct.course_models
    assert [type(model) for model in rankers.values()] == [ct.Popularity, ct.ImplicitALS, ct.EASE]
    assert type(list_model) is ct.Hybrid
    rating = list_model.rating
    assert rating.get_params() == ct.course_models()["spectral with biases"].set_params(tol=1e-4).get_params()
    assert arguments == ["--splits", "2"]
    assert about == ct.main.__doc__


def test_the_module_runs_as_a_command_with_every_model(small, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "content_table", "--data", small, "--splits", "2", "--viewer", "fay", "--n", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ct.course_models())
    assert "For viewer fay" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command", [["-m", "content_table"], ["-c", "from content_table_parts.start import main; main()"]]
)
def test_a_word_is_said_before_anything_large_is_imported(command, tmp_path):
    (tmp_path / "numpy.py").write_text("raise SystemExit('numpy is asked for')", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(Path(ct.__file__).parent)])
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    said, asked = done.stderr.splitlines()
    assert "one moment" in said
    assert asked == "numpy is asked for"


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_is_told_by_fit_with_the_name_of_the_model(small, capfd, n_jobs):
    models = {"first": ct.GlobalMean(), "second": ct.BiasBaseline()}
    ct.evaluate(models, ct.load_ratings(small), n_splits=3, n_jobs=n_jobs, progress=True)
    told = capfd.readouterr().err
    assert "6/6" in told
    assert "first" in told
    ct.evaluate(models, ct.load_ratings(small), n_splits=2, n_jobs=n_jobs)
    assert capfd.readouterr().err == ""


def test_it_prints_the_table_and_the_list(small, quick, capsys):
    ct.main(["--data", small, "--splits", "2", "--viewer", "bob"])
    out = capsys.readouterr().out
    assert out.startswith("Ratings(21 ratings of 6 users on 5 items")
    assert "2 random 80/20 splits" in out
    head, listed = out.split("For viewer bob")
    assert {line.strip()[:8] for line in head.splitlines()} >= {"baseline", "spectral"}
    assert [line.split()[:3] for line in listed.splitlines()[-2:]] in (
        [["1", "11", "Apple"], ["2", "15", "Elk"]],
        [["1", "15", "Elk"], ["2", "11", "Apple"]],
    )


def test_the_list_is_what_recommend_gives(small, table, quick, capsys):
    ct.main(["--data", small, "--splits", "2", "--viewer", "ann"])
    expected = ct.course_models()["spectral with biases"].fit(table).recommend(101)
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert last == ["1", "13", "Cat", f"{expected['predicted_rating'][0]:.2f}"]


def test_the_table_is_what_the_splits_give_and_says_who_beats_the_yardstick(small, table, monkeypatch, capsys):
    models = {"biases": ct.BiasBaseline(), "mean": ct.GlobalMean(), "firm": ct.BiasBaseline(reg=50)}
    monkeypatch.setattr(ct, "course_models", lambda item_features=None: dict(models))
    ct.main(["--data", small, "--splits", "3", "--viewer", "bob", "--minutes", "0"])
    out = capsys.readouterr().out
    results = ct.evaluate(models, ct.load_ratings(small), n_splits=3)
    expected = ct.summarize(results)
    worst, best = expected["model"].iloc[-1], expected["model"].iloc[0]
    verdicts = ct.paired_differences(results, worst).set_index("model")["verdict"]
    header, *rows = out.split("95 % intervals:\n")[1].splitlines()[:4]
    assert header.split() == ["model", "training", "RMSE", "held-out", "RMSE", "+/-", "against", worst]
    assert [row.split() for row in rows] == [
        [row.model, f"{row.train_rmse:.3f}", f"{row.rmse_clipped:.3f}", f"{row.half_width:.3f}", verdicts[row.model]]
        for row in expected.itertuples()
    ]  # fmt: skip
    assert f"For viewer bob, by {models[best]}\n" in out  # the best, where the usual one is not among them


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        (ct.Certificate(2.0, 1.0), "(certified: no fit has an objective lower by more than 5e-01 of it):"),
        (ct.Certificate(1.0, 1.0 + 1e-12), "(certified: no fit has an objective lower by more than 0e+00 of it):"),
        (None, None),
    ],
)
def test_what_is_certified_is_said_before_the_list(small, quick, monkeypatch, capsys, certificate, said):
    monkeypatch.setattr(ct.SpectralRegularization, "certificate", lambda self: certificate)
    ct.main(["--data", small, "--splits", "2", "--viewer", "bob"])
    after = capsys.readouterr().out.split("For viewer bob, by ")[1].splitlines()[1:]
    assert after[0].split()[0] == "rank" if said is None else after[0] == said


def test_predictions_beyond_the_scale_are_shown_at_its_end(tmp_path, monkeypatch, capsys):
    sums = 5.0 + np.add.outer(np.arange(4), np.arange(4))
    sums[3, 3] = np.nan  # an 11, if the scale went on
    ratings = ct.Ratings.from_matrix(sums)
    ratings.frame().to_csv(tmp_path / "sums.csv", index=False)
    firm = ct.SpectralRegularization(reg=8, biases=True, bias_reg=0.01)
    assert firm.fit(ratings).predict(3, 3)[0] > 10.5
    models = {"baseline": ct.BiasBaseline(), "spectral with biases": firm}
    monkeypatch.setattr(ct, "course_models", lambda item_features=None: models)
    told = ["--data", str(tmp_path / "sums.csv"), "--user", "user_id", "--scale", "1", "10"]
    ct.main([*told, "--splits", "2", "--viewer", "3", "--minutes", "0"])
    assert capsys.readouterr().out.splitlines()[-1].split()[-1] == "10.00"


@pytest.mark.parametrize("viewer", ["bob", "102"])
def test_a_viewer_is_asked_for_by_name_or_id(small, quick, capsys, viewer):
    ct.main(["--data", small, "--splits", "2", "--viewer", viewer])
    assert "For viewer bob" in capsys.readouterr().out


def test_n_is_the_length_of_the_list(small, quick, capsys):
    ct.main(["--data", small, "--splits", "2", "--viewer", "bob", "--n", "1"])
    listed = capsys.readouterr().out.split("For viewer bob")[1].splitlines()
    assert listed[-2].split() == ["rank", "item_id", "title", "predicted_rating"]
    assert listed[-1].split()[0] == "1"


def test_an_unknown_viewer_is_one_line_and_status_2(small, quick, capsys):
    code, message = refused(["--data", small, "--viewer", "zoe"], capsys)
    assert code == 2
    assert message.startswith("content_table: ")
    assert message.count("\n") == 1
    assert "'zoe'" in message


def test_a_missing_file_is_one_line_and_status_2(tmp_path, capsys):
    code, message = refused(["--data", str(tmp_path / "nowhere.csv")], capsys)
    assert code == 2
    assert message.startswith("content_table: ")
    assert message.count("\n") == 1
    assert str(tmp_path / "nowhere.csv") in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--n", "0"], "n must be at least 1"), (["--splits", "1"], "n_splits must be at least 2")],
)
def test_a_number_out_of_range_is_one_line_and_status_2(small, quick, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        ct.main(["--data", small, *arguments])
    assert stopped.value.code == 2
    assert f"content_table: {message}" in capsys.readouterr().err


def test_a_length_below_one_is_refused_before_any_work(small, capsys):
    assert refused(["--data", small, "--n", "0"], capsys) == (2, "content_table: n must be at least 1, got 0.\n")


def test_bad_data_is_one_line_and_status_2(tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("u_id,a_id,profile,title,score\n1,2,ann,Bear,99\n")
    code, message = refused(["--data", str(tmp_path / "bad.csv")], capsys)
    assert code == 2
    assert "scale 1 to 10" in message
    assert "99" in message


def test_an_error_of_the_system_is_shown_in_words(small, monkeypatch, capsys):
    def locked(path, scale=None):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(command, "load_ratings", locked)
    code, message = refused(["--data", small], capsys)
    assert code == 2
    assert "Permission denied" in message


def test_an_own_list_gets_a_list_with_uncertainty_and_reasons(small, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("title,score\nbear,9\nDOG,2\nNo Such Show,8\n", encoding="utf-8")
    ct.main(["--data", small, "--list", str(tmp_path / "mine.csv"), "--n", "2", "--unknown"])
    printed = capsys.readouterr().out
    assert "OwnList(2 ratings of known titles; 1 unknown titles)" in printed
    assert "not in the table: No Such Show, rated 8" in printed
    lines = printed.split("For you, by")[1].splitlines()
    assert lines[0] == f" {ct.Hybrid(ct.SpectralRegularization(reg=8, biases=True, tol=1e-4))}"
    assert lines[3].split() == ["rank", "item_id", "title", "predicted_rating", "match", "uncertainty"]
    assert [line.split()[0] for line in lines[4:6]] == ["1", "2"]
    reasons = printed.split("is the sum, but for rounding, of\n")[1].splitlines()
    total = sum(float(line.split()[-1]) for line in reasons)
    assert total == pytest.approx(float(lines[4].split()[-2]), abs=0.03)
    assert reasons[0].split()[0] in ("Bear", "Dog")  # the person first
    assert "everybody" in reasons[-1]


def test_of_many_reasons_the_five_largest_are_told_one_by_one(tmp_path, capsys):
    rng = np.random.default_rng(1)
    values = np.where(rng.random((20, 12)) < 0.8, rng.integers(1, 11, (20, 12)), np.nan)
    titles = [f"Title{n:02}" for n in range(12)]
    ratings = ct.Ratings.from_matrix(values, titles=titles)
    ratings.to_csv(tmp_path / "table.csv")
    rows = [f"{title},{score}" for title, score in zip(titles[:8], [9, 2, 8, 5, 10, 1, 7, 3], strict=True)]
    (tmp_path / "mine.csv").write_text("\n".join(["title,score", *rows]))
    ct.main(["--data", str(tmp_path / "table.csv"), "--list", str(tmp_path / "mine.csv"), "--n", "3"])
    table, reasons = capsys.readouterr().out.split("\nWhy ")
    listed = [line.split() for line in table.splitlines()[-3:]]
    assert [line[0] for line in listed] == ["1", "2", "3"]
    assert reasons.startswith(f"{listed[0][2]}: its match {listed[0][-2]} is the sum, but for rounding, of\n")
    told = [line.split()[0] for line in reasons.splitlines()[1:]]
    assert sum(word in titles[:8] for word in told) == 5
    assert told[:5] == [word for word in told if word in titles[:8]]


def test_an_unknown_title_without_a_name_is_told_by_its_id(table, tmp_path, capsys):
    table.to_csv(tmp_path / "table.csv")
    (tmp_path / "mine.csv").write_text("item_id,title,score\n11,,9\n99,,8.5\n", encoding="utf-8")
    ct.main(["--data", str(tmp_path / "table.csv"), "--list", str(tmp_path / "mine.csv"), "--unknown"])
    out = capsys.readouterr().out
    assert out.startswith(f"{table!r}"[:20])
    assert "  not in the table: 99, rated 8.5\n" in out


def test_where_every_title_is_known_none_is_said_not_to_be(small, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("title,score\nbear,9\nDOG,2\n", encoding="utf-8")
    for more in ([], ["--unknown"]):
        ct.main(["--data", small, "--list", str(tmp_path / "mine.csv"), *more])
        assert "not in the table" not in capsys.readouterr().out


def test_predictions_of_an_own_list_are_shown_within_the_scale(small, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.csv").write_text("title,score\nbear,9\nDOG,2\n", encoding="utf-8")
    monkeypatch.setattr(newcomers.Fold, "scores", lambda fold: np.full(len(fold.offset), 12.5))
    ct.main(["--data", small, "--list", str(tmp_path / "mine.csv"), "--n", "2"])
    table = capsys.readouterr().out.split("predicted_rating")[1]
    assert "10.00" in table.splitlines()[1]


def test_unknown_titles_are_told_in_one_line_unless_asked_for(small, tmp_path, capsys):
    unknown = "".join(f"No Such Show {n},8\n" for n in range(30))
    (tmp_path / "mine.csv").write_text(f"title,score\nbear,9\n{unknown}", encoding="utf-8")
    ct.main(["--data", small, "--list", str(tmp_path / "mine.csv")])
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if "not in the table" in line] == [
        "  not in the table: 30 rated titles; --unknown names them"
    ]
    assert "No Such Show" not in printed


WILD = "\x1b]0;gone\x07\x9b31m\u202eflow"


def test_what_steers_a_terminal_is_printed_as_escapes(table, tmp_path, capsys):
    titled = replace(table, titles=[f"{WILD}{title}" for title in table.titles])
    titled.to_csv(tmp_path / "wild.csv")
    (tmp_path / "mine.csv").write_text(f"item_id,title,score\n11,,9\n99,{WILD},8\n", encoding="utf-8")
    ct.main(["--data", str(tmp_path / "wild.csv"), "--list", str(tmp_path / "mine.csv"), "--unknown"])
    printed = capsys.readouterr().out
    assert r"not in the table: \x1b]0;gone\x07\x9b31m\u202eflow, rated 8" in printed
    assert r"Why \x1b]0;gone" in printed
    assert not set(WILD[:1] + "\x07\x9b\u202e") & set(printed)
    code, message = refused(["--data", str(tmp_path / "\x1b[31mred.csv")], capsys)
    assert (code, r"\x1b[31mred.csv" in message, "\x1b" in message) == (2, True, False)


@pytest.mark.parametrize("flag", ["--data", "--list", "--features"])
def test_an_empty_path_is_no_default(small, flag, capsys):
    given = [] if flag == "--data" else ["--data", small]
    code, message = refused([*given, flag, ""], capsys)
    assert (code, message.startswith("content_table: ")) == (2, True)


def test_a_type_error_is_one_line_and_status_2(small, monkeypatch, capsys):
    def refuse(*_, **__):
        raise TypeError("ids must be of one kind")

    monkeypatch.setattr(command, "load_ratings", refuse)
    assert refused(["--data", small], capsys) == (2, "content_table: ids must be of one kind\n")


def test_a_list_on_another_scale_is_stretched_where_told(small, tmp_path, capsys):
    path = tmp_path / "ratings.csv"
    path.write_text("Date,Name,Year,Letterboxd URI,Rating\n2024-01-01,Bear,2001,x,5\n", encoding="utf-8")
    code, message = refused(["--data", small, "--list", str(path)], capsys)
    assert (code, "rescale=True" in message) == (2, True)
    ct.main(["--data", small, "--list", str(path), "--rescale"])
    assert "1 ratings of known titles" in capsys.readouterr().out


def test_a_table_with_other_columns_is_told_by_flags(table, quick, tmp_path, capsys):
    frame = table.frame().rename(columns={"user_id": "Kunde", "item_id": "Artikel", "title": "Name", "rating": "Note"})
    frame = pd.concat([frame, frame.head(1)])  # somebody rated twice
    frame.to_csv(tmp_path / "shop.csv", sep="\t", index=False, encoding="utf-16")
    flags = ["--data", str(tmp_path / "shop.csv"), "--user", "kunde", "--item", "artikel", "--rating", "note"]
    code, message = refused(flags, capsys)
    assert (code, "repeats='last'" in message) == (2, True)
    ct.main([*flags, "--title", "name", "--sep", "tab", "--repeats", "last", "--scale", "1", "10", "--splits", "2"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"{table!r}"[:-1] + "; taken by name: time='time'); 1 left out: repeats, the last kept")
    assert "baseline" in printed


FLAGS = {"--user": "u", "--item": "i", "--rating": "r", "--time": "t", "--title": "n", "--decimal": ",",
         "--encoding": "latin-1", "--repeats": "mean"}  # fmt: skip
NAMED = {name.strip("-"): value for name, value in FLAGS.items()}


@pytest.mark.parametrize(
    ("arguments", "reader", "told"),
    [
        ([], "load_ratings", {"scale": None}),
        (["--scale", "0.5", "5"], "load_ratings", {"scale": [0.5, 5.0]}),
        ([part for flag in FLAGS.items() for part in flag], "load_table", NAMED | {"scale": None}),
        (["--sep", "tab"], "load_table", {"sep": "\t", "scale": None}),
        (["--sep", "\\t"], "load_table", {"sep": "\t", "scale": None}),
        (["--sep", ";", "--scale", "1", "7"], "load_table", {"sep": ";", "scale": [1.0, 7.0]}),
        (["--purchases"], "load_table", {"rating": False, "scale": None}),
        (["--purchases", "--user", "u", "--rating", "r"], "load_table", {"user": "u", "rating": False, "scale": None}),
    ],
)
def test_what_is_said_of_a_table_goes_to_its_reader(monkeypatch, capsys, arguments, reader, told):
    def read(path, **options):
        assert (path, options) == ("table.csv", told)
        raise ValueError("read")

    for name in ("load_ratings", "load_table"):
        monkeypatch.setattr(command, name, read if name == reader else None)
    assert refused(["--data", "table.csv", *arguments], capsys) == (2, "content_table: read\n")


def asked_for(monkeypatch, name):
    """What the command asks a function for, by the names of its arguments; the command ends there."""
    asked, signature = {}, inspect.signature(getattr(command, name))

    def ask(*arguments, **options):
        asked.update(signature.bind(*arguments, **options).arguments)
        raise ValueError("enough")

    monkeypatch.setattr(command, name, ask)
    return asked


@pytest.mark.parametrize(
    ("arguments", "minutes"), [([], 1.75), (["--minutes", "0"], None), (["--minutes", "0.25"], 0.25)]
)
def test_a_table_of_ratings_takes_the_time_that_it_may(small, quick, monkeypatch, capsys, arguments, minutes):
    asked = asked_for(monkeypatch, "evaluate_in_time")
    with pytest.raises(SystemExit):
        ct.main(["--data", small, "--splits", "7", "--jobs", "3", *arguments])
    assert (asked["n_splits"], asked["n_jobs"], asked["minutes"]) == (7, 3, minutes)
    assert set(asked["models"]) == {"baseline", "spectral with biases"}
    with pytest.raises(SystemExit):
        ct.main(arguments)  # of the sample there is no limit
    assert (asked["n_splits"], asked["n_jobs"], asked["minutes"]) == (20, 1, minutes if arguments else None)


@pytest.mark.parametrize(
    ("arguments", "minutes"), [([], 0.75), (["--minutes", "0"], None), (["--minutes", "0.25"], 0.25)]
)
def test_a_table_of_purchases_takes_the_time_that_it_may(table, tmp_path, monkeypatch, capsys, arguments, minutes):
    table.frame()[["user_id", "item_id"]].to_csv(tmp_path / "bought.csv", index=False)
    asked = asked_for(monkeypatch, "compare")
    with pytest.raises(SystemExit):
        ct.main(["--data", str(tmp_path / "bought.csv"), "--purchases", "--n", "4", "--jobs", "3", *arguments])
    assert asked["minutes"] == minutes
    assert (asked["n_splits"], asked["n_jobs"], asked["n"], asked["progress"]) == (20, 3, 4, True)
    assert set(asked["models"]) == {"popularity", "implicit ALS", "EASE"}


def test_minutes_below_none_are_refused_even_where_none_are_needed(small, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("title,score\nbear,9\n", encoding="utf-8")
    for more in ([], ["--list", str(tmp_path / "mine.csv")]):
        code, message = refused(["--data", small, "--minutes", "-0.5", *more], capsys)
        assert (code, message) == (2, "content_table: minutes must be at least 0, got -0.5.\n")


def test_genres_are_those_of_the_sample_or_of_the_catalogue_that_is_named(sample, tmp_path, monkeypatch, capsys):
    given = []

    def models(item_features=None):
        given.append(item_features)
        raise ValueError("enough")

    monkeypatch.setattr(ct, "course_models", models)
    sample.to_csv(tmp_path / "copy.csv")
    shutil.copy(ct.DATA / "catalogue.csv", tmp_path / "other.csv")
    copy = ["--data", str(tmp_path / "copy.csv")]
    for arguments in ([], copy, [*copy, "--features", str(tmp_path / "other.csv")]):
        assert refused(arguments, capsys) == (2, "content_table: enough\n")
    of_sample, of_copy, named = given
    assert of_copy is None
    expected = ct.load_features(ct.DATA / "catalogue.csv", sample, use=("genres",))
    for features in (of_sample, named):
        assert features.names.tolist() == expected.names.tolist()


def test_a_table_that_is_not_known_names_the_flags(tmp_path, capsys):
    (tmp_path / "shop.csv").write_text("Kunde,Artikel,Note\n1,2,3\n")
    code, message = refused(["--data", str(tmp_path / "shop.csv")], capsys)
    assert code == 2
    assert all(flag in message for flag in ("--user", "--item", "--rating"))


def test_where_titles_are_too_many_for_their_pairs_the_list_is_by_predicted_rating(
    small, tmp_path, capsys, monkeypatch
):
    (tmp_path / "mine.csv").write_text("title,score\nbear,9\nDOG,2\n", encoding="utf-8")
    monkeypatch.setattr(autoencoders, "MAX_PAIR_BYTES", 5 * 5 * 8 - 1)
    ct.main(["--data", small, "--list", str(tmp_path / "mine.csv"), "--n", "2"])
    lines = capsys.readouterr().out.split("For you, by")[1].splitlines()
    assert lines[0] == f" {ct.SpectralRegularization(reg=8, biases=True, tol=1e-4)}"
    assert "too many titles" in lines[1]
    assert any(line.startswith("Why ") and "its predicted rating " in line for line in lines)
    assert lines[3].split() == ["rank", "item_id", "title", "predicted_rating", "uncertainty"]


def test_an_own_list_that_cannot_be_read_is_one_line_and_status_2(small, tmp_path, capsys):
    (tmp_path / "manga.xml").write_text("<mymangalist/>")
    code, message = refused(["--data", small, "--list", str(tmp_path / "manga.xml")], capsys)
    assert code == 2
    assert all(name in message for name in ("manga.xml", "<mymangalist>", "<myanimelist>"))


def test_purchases_without_ratings_get_a_table_of_lists(table, tmp_path, capsys):
    rows = table.frame()[["user_id", "item_id"]].set_axis(["Customer", "SKU"], axis=1)
    pd.concat([rows, rows.head(3)]).to_csv(tmp_path / "bought.csv", index=False)
    ct.main(["--data", str(tmp_path / "bought.csv"), "--purchases", "--splits", "3", "--n", "1", "--minutes", "0"])
    printed = capsys.readouterr().out
    assert "no ratings: rows of a user and an item are counted, 1 to 2" in printed
    lines = printed.split("mean of 3 random splits:\n")[1].splitlines()
    assert lines[0].split() == ["model", "ndcg", "recall", "coverage", "against", "popularity"]
    for name in ("popularity", "implicit ALS", "EASE", "random", "ceiling"):
        assert sum(line.lstrip().startswith(name) for line in lines[1:6]) == 1
    assert lines[7].startswith("For ")
    assert [line.split()[0] for line in lines[8:]] == ["rank", "1"]


def test_the_table_of_purchases_is_the_comparison_of_the_lists(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(3)
    same = np.arange(60)[:, None] % 2 == np.arange(20) % 2  # two tribes and their goods: popularity knows nothing
    rows, cols = np.nonzero(rng.random((60, 20)) < np.where(same, 0.6, 0.05))
    frame = pd.DataFrame({"user_id": rows, "item_id": cols})
    pd.concat([frame, frame[::3]]).to_csv(tmp_path / "bought.csv", index=False)  # some were bought twice
    found, ask = [], command.compare

    def compare(*arguments, **options):
        for word in ("first word", "second word"):
            warnings.warn(word, UserWarning, stacklevel=2)
        found.append(ask(*arguments, **options))
        return found[0]

    monkeypatch.setattr(command, "compare", compare)
    ct.main(["--data", str(tmp_path / "bought.csv"), "--purchases", "--splits", "3", "--n", "4", "--minutes", "0"])
    out = capsys.readouterr().out
    assert "\n\nfirst word\nsecond word\n\nLists of 4 held against" in out
    expected = ct.comparison(found[0]).set_index("model")
    verdicts = ct.paired_differences(found[0], "popularity", "ndcg", larger_is_better=True).set_index("model")[
        "verdict"
    ]
    lines = out.split("random splits:\n")[1].splitlines()
    told = [line.replace("implicit ALS", "implicit_ALS").replace("too few", "too_few").split() for line in lines[1:6]]
    assert [float(line[1]) for line in told] == sorted((float(line[1]) for line in told), reverse=True)
    for name, ndcg, recall, coverage, verdict in told:
        row = expected.loc[name.replace("_", " ")]
        assert [ndcg, recall] == [f"{row['ndcg']:.3f}", f"{row['recall']:.3f}"]
        added = name in ("random", "ceiling")
        assert coverage == ("-" if added else f"{row['coverage']:.3f}")
        assert verdict == ("-" if added else verdicts[name.replace("_", " ")])
    assert [line[-1] for line in told if line[0] in ("EASE", "implicit_ALS")] == ["better"] * 2
    best = next(line[0] for line in told if line[0] not in ("random", "ceiling")).replace("_", " ")
    kind = {"popularity": "Popularity", "implicit ALS": "ImplicitALS", "EASE": "EASE"}[best]
    assert lines[7].startswith("For ")
    assert f", by {kind}(" in lines[7]


def test_a_model_without_a_list_of_purchases_is_named_above_the_table(table, tmp_path, monkeypatch, capsys):
    table.frame()[["user_id", "item_id"]].to_csv(tmp_path / "bought.csv", index=False)

    def fail(self, *arguments):
        raise ValueError("no list today")

    monkeypatch.setattr(ct.EASE, "_fit", fail)
    ct.main(["--data", str(tmp_path / "bought.csv"), "--purchases", "--splits", "2", "--n", "1", "--minutes", "0"])
    above = capsys.readouterr().out.split("Lists of 1 held against")[0]
    assert "\nEASE: ValueError: no list today\n\n" in above


def test_who_waits_is_told_the_first_split_beside_the_results(small, quick, monkeypatch, capsys):
    monkeypatch.setattr(command, "SOON", -1.0)
    ct.main(["--data", small, "--splits", "2", "--n", "1"])
    printed = capsys.readouterr()
    told = printed.err.split("The first split alone, without intervals; more splits follow:\n")[1].splitlines()
    assert told[0].split() == ["model", "training", "RMSE", "held-out", "RMSE"]
    shown = {line[:-14].strip()[:8] for line in told[1:3]}
    assert shown == {"baseline", "spectral"}
    assert [float(line.split()[-1]) for line in told[1:3]] == sorted(float(line.split()[-1]) for line in told[1:3])
    assert "The first split alone" not in printed.out
    monkeypatch.setattr(command, "SOON", 1e9)
    ct.main(["--data", small, "--splits", "2", "--n", "1"])
    assert "The first split alone" not in capsys.readouterr().err


@pytest.mark.parametrize(("gone", "told"), [(5.0, False), (5.1, True)])
def test_the_first_split_is_told_after_five_seconds_best_first(monkeypatch, capsys, gone, told):
    monkeypatch.setattr(command, "time", SimpleNamespace(perf_counter=lambda: 1000.0 + gone))
    first = pd.DataFrame({"model": ["late", "early"], "train_rmse": [1.0, 2.0], "rmse_clipped": [1.25, 1.125],
                          "ndcg": [0.0, 0.0]})  # fmt: skip
    command._tell_first(1000.0, first)
    command._tell_first(0.0, first[:0])  # of no model there is nothing to tell
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line.split() for line in printed.err.splitlines()] == told * [
        [],
        ["The", "first", "split", "alone,", "without", "intervals;", "more", "splits", "follow:"],
        ["model", "training", "RMSE", "held-out", "RMSE"],
        ["early", "2.000", "1.125"],
        ["late", "1.000", "1.250"],
        [],
    ]


def test_a_stream_that_was_closed_before_leads_nowhere():
    with command._nowhere() as stream:
        number = stream.fileno()
        assert os.get_inheritable(number)
        stream.write("lost")
    os.write(number, b"lost too")  # it stays open for worker processes
    os.close(number)


def test_a_list_of_scores_is_no_use_beside_purchases(table, tmp_path, capsys):
    table.frame()[["user_id", "item_id"]].to_csv(tmp_path / "bought.csv", index=False)
    (tmp_path / "mine.csv").write_text("title,score\nbear,9\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        ct.main(["--data", str(tmp_path / "bought.csv"), "--purchases", "--list", str(tmp_path / "mine.csv")])
    assert stop.value.code == 2
    assert "--list needs a table of ratings" in capsys.readouterr().err


def test_without_a_viewer_the_first_busy_one_is_taken(sample):
    viewer = command._some_user(sample, NOBODY)
    counts = (sample.rows[:, None] == range(sample.n_users)).sum(axis=0)
    assert counts[sample.user_rows(viewer)[0]] >= 25
    assert all(counts[: sample.user_rows(viewer)[0]] < 25)


def test_busy_is_who_has_25_ratings_and_where_nobody_is_the_first_viewer_is_taken():
    def rated(*counts):
        rows = np.repeat(np.arange(len(counts)), counts)
        cols = np.concatenate([np.arange(count) for count in counts])
        return ct.Ratings(np.arange(len(counts)) + 7, np.arange(30), rows, cols, np.full(len(rows), 5.0))

    assert command._some_user(rated(24, 25, 26), NOBODY) == 8
    assert command._some_user(rated(3, 24), NOBODY) == 7


def test_what_the_command_does_where_nothing_is_said():
    given = vars(command._parser("").parse_args([]))
    assert (given["n"], given["splits"], given["jobs"], given["save_weights"]) == (10, 20, 1, False)


@pytest.mark.parametrize(("arguments", "name"), [([], "100x100.csv"), (["--list", "mine.csv"], "sparse.csv")])
def test_where_no_table_is_named_it_is_a_sample_that_ships(monkeypatch, capsys, arguments, name):
    def load(options):
        raise ValueError(f"asked for {options.data}")

    monkeypatch.setattr(command, "_load", load)
    assert refused(arguments, capsys) == (2, f"content_table: asked for {ct.DATA / name}\n")


def test_weights_of_every_model_are_written_and_load(small, table, quick, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "WEIGHTS", tmp_path / "saved_weights")
    ct.main(["--data", small, "--save-weights"])
    assert capsys.readouterr().out == "2 models in saved_weights/\n"
    ct.main(["--data", small, "--save-weights"])  # in a folder that is there, over files that are there
    for name, kind in (("baseline", ct.BiasBaseline), ("spectral_with_biases", ct.SpectralRegularization)):
        assert isinstance(ct.load_model(tmp_path / "saved_weights" / f"{name}.npz", table), kind)


def test_a_model_whose_steps_are_too_long_is_named_and_left_out(small, monkeypatch, capsys):
    models = {"baseline": ct.BiasBaseline(), "spectral with biases": ct.SpectralRegularization(1, biases=True),
              "SGD": ct.SGDMF(2, learning_rate=50.0, patience=None)}  # fmt: skip
    monkeypatch.setattr(ct, "course_models", lambda item_features=None: dict(models))
    ct.main(["--data", small, "--splits", "2"])
    printed = capsys.readouterr().out
    assert "left out: SGD. SGDMF diverged in pass" in printed
    assert [line.split("  ")[0] for line in printed.splitlines() if line.lstrip().startswith("SGD")] == []
    assert "baseline" in printed


def test_a_model_that_cannot_be_fitted_is_named_and_left_out(small, monkeypatch, capsys):
    models = {"baseline": ct.BiasBaseline(), "ALS": ct.ALS(reg=0, biases=True)}
    monkeypatch.setattr(ct, "course_models", lambda item_features=None: dict(models))
    ct.main(["--data", small, "--splits", "2", "--minutes", "1"])
    printed = capsys.readouterr().out
    assert "left out: ALS. reg=0 with biases leaves the biases undetermined" in printed
    assert [line.split()[0] for line in printed.split("intervals:\n")[1].splitlines()[:2]] == ["model", "baseline"]
    monkeypatch.setattr(ct, "course_models", lambda item_features=None: {"ALS": models["ALS"]})
    with pytest.raises(SystemExit) as stop:
        ct.main(["--data", small, "--splits", "2", "--minutes", "1"])
    assert stop.value.code == 2
    assert "no model could be fitted:\nleft out: ALS. reg=0" in capsys.readouterr().err


@pytest.mark.parametrize("purchases", [True, False])
def test_who_has_every_title_gets_a_word_instead_of_an_empty_list(purchases, quick, tmp_path, capsys):
    rows = [(f"u{user}", f"i{item}", 1 + (user * item) % 5) for user in range(8) for item in range(6)]
    frame = pd.DataFrame(rows, columns=["Customer", "SKU", "Stars"])
    frame.drop(columns=["Stars"] * purchases).to_csv(tmp_path / "full.csv", index=False)
    how = ["--purchases"] if purchases else ["--user", "Customer", "--item", "SKU", "--rating", "Stars"]
    ct.main(["--data", str(tmp_path / "full.csv"), "--splits", "2", "--minutes", "0", *how])
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "has everything; nothing is left to list"
    assert "Empty DataFrame" not in printed


def test_a_list_without_a_known_title_is_refused(small, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("title,score\nNo Such Show,8\n", encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        ct.main(["--data", small, "--list", str(tmp_path / "mine.csv")])
    assert stop.value.code == 2
    assert "no rated title" in capsys.readouterr().err


def test_where_nothing_is_said_many_ratings_get_less_time_and_purchases_their_own(table):
    assert [command._usual_minutes(table, purchases) for purchases in (False, True)] == [1.75, 0.75]
    assert command._usual_minutes(range(command.MANY), False) == 1.75
    assert command._usual_minutes(range(command.MANY + 1), False) == 0.5
