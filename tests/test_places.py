"""The places that people run it in: homes, locales, terminals, folders, flags and neighbours."""

import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import content_table as ct
from content_table_parts import command

ROOT = Path(ct.__file__).parent
A_FILE = str(ROOT / "pyproject.toml")  # as a folder nobody can write to it, not even the superuser
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG"))}
PLAIN |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
BARE = {name: os.environ[name] for name in ("SYSTEMROOT", "PATH") if name in os.environ} | {"PYTHONPATH": str(ROOT)}
POSIX = pytest.mark.skipif(os.name == "nt", reason="a shell and files of its own kind")

PROGRAM = """
import sys
import content_table as ct

table, weights, storage = sys.argv[1:]
ratings = ct.load_ratings(table)
models = [ct.BiasBaseline(), ct.ItemKNN(), ct.ALS(3, 5.0, n_epochs=5, tol=0), ct.SGDMF(3, n_epochs=5, patience=None)]
models += [ct.SpectralRegularization(8.0, biases=True), ct.Blend(ct.BiasBaseline(), ct.ALS(2, n_epochs=5, tol=0))]
for number, model in enumerate(models):
    path = f"{weights} {number}.npz"
    model.fit(ratings).save(path)
    same = ct.load_model(path, ratings)
    print([f"{value:.6f}" for value in same.predict_cells(ratings.rows[:50], ratings.cols[:50])])
    print(model.recommend(ratings.user_ids[0], 3).to_string())
print(ct.tune(ct.BiasBaseline(), ratings, n_trials=2, storage=storage).study.best_params)
"""


def start(arguments, environment=PLAIN, **how):
    """A process without a terminal that runs Python with the arguments."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    how = {"env": environment, "encoding": "utf-8", "start_new_session": True} | streams | how
    return subprocess.Popen([sys.executable, *map(str, arguments)], **how)


def printed(process):
    """What the process printed; it must have ended well."""
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory):
    """A folder with spaces and Japanese letters, in it the sample."""
    folder = tmp_path_factory.mktemp("my data") / "評価 の 表"
    folder.mkdir()
    shutil.copy(ct.DATA / "100x100.csv", folder / "評価.csv")
    return folder


@pytest.fixture
def odd_table(tmp_path):
    """A small table, one of whose titles few encodings can say, and a list that knows it."""
    ratings = ct.Ratings.from_matrix([[5, 3, 8], [4, 9, 2], [7, 1, 6]])
    ct.Ratings(**vars_of(ratings), titles=["Tokyo Ghoul √A", "魔法少女", "Bear"]).to_csv(tmp_path / "table.csv")
    (tmp_path / "mine.csv").write_text("title,score\nTokyo Ghoul √A,9\n", encoding="utf-8")
    return ["--data", str(tmp_path / "table.csv"), "--list", str(tmp_path / "mine.csv")]


def vars_of(ratings):
    return {name: getattr(ratings, name) for name in ("user_ids", "item_ids", "rows", "cols", "values")}


# ---- The same digits, wherever ----


def start_program(folder, name, environment=PLAIN, flags=(), **how):
    files = [folder / "評価.csv", folder / "重み", folder / f"{name} 研究.db"]
    return start([*flags, "-c", PROGRAM, *files], environment, cwd=folder, **how)


@pytest.fixture(scope="module")
def digits(odd_folder):
    """What two processes print that run at once and save to the same files."""
    both = [start_program(odd_folder, name) for name in ("first", "second")]
    first, second = map(printed, both)
    assert first == second
    assert not list(odd_folder.glob(".*"))  # no temporary file is left
    return first


PLACES = {
    "no home, no locale, warnings are errors": (BARE, ("-W", "error")),
}
FARTHER_PLACES = {
    "no docstrings and no assertions": (PLAIN, ("-OO",)),
    "a home and a temporary folder that cannot be written": (PLAIN | {"HOME": A_FILE, "TMPDIR": A_FILE}, ()),
    "a home that does not exist": (PLAIN | {"HOME": str(ROOT / "nowhere")}, ()),
    "the C locale": (PLAIN | {"LC_ALL": "C"}, ()),
    "another order of hashes": (PLAIN | {"PYTHONHASHSEED": "1"}, ()),
    "one more order of hashes": (PLAIN | {"PYTHONHASHSEED": "2"}, ()),
    "four threads": (PLAIN | {"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4"}, ()),
    "as many threads as the libraries like": (
        {name: value for name, value in PLAIN.items() if not name.endswith("_NUM_THREADS")},
        (),
    ),
}


@pytest.mark.parametrize("place", [*PLACES, *(pytest.param(place, marks=pytest.mark.slow) for place in FARTHER_PLACES)])
def test_the_digits_are_the_same_in_every_place(odd_folder, digits, place):
    environment, flags = (PLACES | FARTHER_PLACES)[place]
    assert printed(start_program(odd_folder, place, environment, flags)) == digits


# ---- Outputs that cannot take everything ----


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("ascii", r"Tokyo Ghoul \u221aA"), ("cp1252", r"Tokyo Ghoul \u221aA"), ("utf-8", "Tokyo Ghoul √A")],
)
def test_letters_that_the_terminal_lacks_are_escaped(odd_table, monkeypatch, encoding, expected):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
    ct.main(odd_table)
    sys.stdout.flush()
    assert expected in written.getvalue().decode(encoding)


@POSIX
@pytest.mark.parametrize("buffering", [1, -1], ids=["line by line", "at the end"])
def test_a_reader_who_has_left_ends_the_command_in_silence(odd_table, monkeypatch, capfd, buffering):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", buffering, encoding="utf-8") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        with pytest.raises(SystemExit) as stopped:
            ct.main(odd_table)
    assert stopped.value.code == command.READER_LEFT == 128 + signal.SIGPIPE
    assert capfd.readouterr().err == ""


@POSIX
@pytest.mark.parametrize("errors", [subprocess.PIPE, subprocess.STDOUT], ids=["outputs alone", "errors too"])
def test_a_closed_pipe_leaves_no_word_of_the_interpreter(odd_table, errors):
    arguments = [*odd_table[:2], "--splits", "2"] if errors == subprocess.STDOUT else odd_table  # with a progress bar
    process = start(["-m", "content_table", *arguments], stderr=errors)
    process.stdout.close()
    if process.stderr:
        with process.stderr as lines:
            assert [line for line in lines if "one moment" not in line] == []
    assert process.wait() == command.READER_LEFT


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no file that is always full")
def test_a_full_disk_is_an_error_and_not_a_short_file(odd_table, monkeypatch, capsys):
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as stopped:
            ct.main(odd_table)
    assert stopped.value.code == 2
    assert "No space left" in capsys.readouterr().err


def test_what_is_still_unwritten_at_the_end_is_an_error_too(odd_table, monkeypatch, capsys):
    lost = OSError(28, "No space left on device")
    monkeypatch.setattr(command, "_unwritten", lambda stream: lost if stream is sys.stdout else None)
    with pytest.raises(SystemExit) as stopped:
        ct.main([*odd_table, "--splits", "1", "--minutes", "0"])
    assert stopped.value.code == 2
    assert "content_table: the output could not be written: [Errno 28] No space left" in capsys.readouterr().err


def test_a_reader_who_has_left_counts_for_more_than_a_full_disk(monkeypatch, capsys):
    lost = {"stdout": BrokenPipeError(32, "Broken pipe"), "stderr": OSError(28, "No space left on device")}
    for first, second in (("stdout", "stderr"), ("stderr", "stdout")):
        errors = {getattr(sys, first): lost["stdout"], getattr(sys, second): lost["stderr"]}
        monkeypatch.setattr(command, "_unwritten", errors.get)
        with pytest.raises(SystemExit) as stopped, command._outputs():
            pass
        assert stopped.value.code == command.READER_LEFT
        assert capsys.readouterr() == ("", "")


def test_a_line_is_written_when_it_is_printed_and_a_notebook_s_stream_stays_as_it_is(monkeypatch):
    written = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
        with command._outputs():
            print("first √")
            assert written.getvalue().splitlines() == [rb"first \u221a"]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        with command._outputs():
            print("first √")
        assert sys.stdout.getvalue() == "first √\n"


def test_only_a_stream_that_was_closed_leads_nowhere(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stderr", None)
    with command._outputs():
        print("lost", file=sys.stderr)
        assert sys.stdout is out
        numbers = [stream.fileno() for stream in (sys.stdin, sys.stderr)]
        assert len({*numbers, 0, 1, 2}) == 5  # those of the test are not closed
    for number in numbers:
        os.close(number)


def test_the_help_needs_no_docstrings(monkeypatch, capsys):
    monkeypatch.setattr(ct.main, "__doc__", None)
    with pytest.raises(SystemExit) as stopped:
        ct.main(["--help"])
    assert stopped.value.code == 0
    assert "None" not in capsys.readouterr().out


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_workers_run_where_a_stream_is_closed(odd_table, closed):
    arguments = ["-m", "content_table", *odd_table[:2], "--splits", "2", "--jobs", "2"]
    done = subprocess.run(
        ["sh", "-c", f'"$0" "$@" {closed}', sys.executable, *arguments], env=PLAIN, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert (b"For viewer" in done.stdout) == (">&-" not in closed.split())


# ---- A clone in an odd folder ----


@pytest.fixture(scope="module")
def odd_clone(odd_folder):
    """A clone that nothing has been compiled in, in a folder with spaces and Japanese letters."""
    clone = odd_folder / "内容 table"
    left_out = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", ".*_cache", "*.egg-info")
    shutil.copytree(ROOT, clone, ignore=left_out)
    return clone


@pytest.mark.slow
def test_two_test_runs_at_once_pass_in_a_clone_with_an_odd_name(odd_clone):
    temporary = odd_clone / "一時 tmp"
    temporary.mkdir()
    environment = PLAIN | {"PYTHONPATH": str(odd_clone), "TMPDIR": str(temporary)}
    subset = [f"tests/test_{name}.py" for name in ("command_line", "titles", "neighbours", "tuning")]
    run = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *subset]
    both = [start(run, environment, cwd=odd_clone, stderr=subprocess.STDOUT) for _ in range(2)]
    for process in both:
        out, _ = process.communicate()
        assert process.returncode == 0, out


@pytest.mark.slow
def test_the_command_runs_in_a_clone_with_an_odd_name(odd_clone):
    where = "import content_table as ct; print(ct.__file__)"
    environment = PLAIN | {"PYTHONPATH": str(odd_clone)}
    told = printed(start(["-c", where], environment, cwd=odd_clone.parent))
    assert told.strip() == str(odd_clone / "content_table.py")
    out = printed(start(["-m", "content_table", "--splits", "2", "--n", "3"], environment, cwd=odd_clone.parent))
    assert "simulated viewers over real titles" in out
