"""Files are written whole or not at all: many writers, killed ones, full disks, modes."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import content_table as ct
from content_table_parts import writing

ROOT = Path(ct.__file__).parent
posix = pytest.mark.skipif(os.name == "nt", reason="modes, signals and locks are those of POSIX")


def writes(text):
    return lambda temporary: temporary.write_text(text, encoding="utf-8")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---- Many at once ----


def test_threads_that_save_to_one_path_never_damage_a_reading(tmp_path, table):
    path = tmp_path / "model.npz"
    models = [ct.GlobalMean().fit(table), ct.BiasBaseline().fit(table), ct.ALS(2).fit(table)]
    models[0].save(path)
    failures, kinds = [], set()

    def repeat(what):
        try:
            for _ in range(20):
                what()
        except Exception as error:
            failures.append(error)

    def read():
        kinds.add(type(ct.load_model(path)).__name__)

    jobs = [lambda model=model: model.save(path) for model in models] + [read, read]
    threads = [threading.Thread(target=repeat, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert kinds <= {"GlobalMean", "BiasBaseline", "ALS"}
    assert names(tmp_path) == ["model.npz"]


def test_a_file_that_somebody_is_writing_is_left_alone(tmp_path):
    """One writer finishes while another is in the middle of its own file."""
    path = tmp_path / "file"

    def slow(temporary):
        temporary.write_text("first half,", encoding="utf-8")
        ct.write_whole(path, writes("quick"))
        assert path.read_text(encoding="utf-8") == "quick"
        with open(temporary, "a", encoding="utf-8") as file:
            file.write(" second half")

    ct.write_whole(path, slow)
    assert path.read_text(encoding="utf-8") == "first half, second half"
    assert names(tmp_path) == ["file"]


def test_a_file_that_another_process_is_writing_is_left_alone(tmp_path):
    path = tmp_path / "file"
    program = """
import sys
import content_table_parts.writing as writing
def write(temporary):
    temporary.write_text("theirs", encoding="utf-8")
    print("writing", flush=True)
    sys.stdin.readline()
writing.write_whole(sys.argv[1], write)
"""
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        assert other.stdout.readline() == "writing\n"
        ct.write_whole(path, writes("ours"))
        assert path.read_text(encoding="utf-8") == "ours"
        assert len(names(tmp_path)) == 2
        other.communicate("\n")
    assert other.returncode == 0
    assert path.read_text(encoding="utf-8") == "theirs"
    assert names(tmp_path) == ["file"]


# ---- Killed ones ----

SAVES = """
import sys
import content_table as ct
model = ct.load_model(sys.argv[1])
print("ready", flush=True)
while True:
    model.save(sys.argv[2])
"""


def kill_while_saving(folder, model, times):
    """(left behind, damaged): temporary files found after so many kills, and target files that could not be read."""
    source, target, rng = folder / "source.npz", folder / "target.npz", np.random.default_rng(0)
    model.save(source)
    left = damaged = 0
    for _ in range(times):
        with subprocess.Popen(
            [sys.executable, "-c", SAVES, str(source), str(target)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
        left += len(names(folder)) - 1 - target.exists()
        if target.exists():
            try:
                ct.load_model(target)
            except ValueError:
                damaged += 1
        if rng.random() < 0.5:
            model.save(target)
            assert names(folder) == ["source.npz", "target.npz"]
    model.save(target)
    assert names(folder) == ["source.npz", "target.npz"]
    return left, damaged


@posix
def test_a_killed_save_damages_nothing_and_the_next_one_tidies_up(tmp_path, table):
    _, damaged = kill_while_saving(tmp_path, ct.BiasBaseline().fit(table), 2)
    assert damaged == 0


@posix
@pytest.mark.slow
def test_a_hundred_kills_damage_nothing(tmp_path, sample):
    left, damaged = kill_while_saving(tmp_path, ct.ItemKNN().fit(sample), 100)
    assert damaged == 0
    assert left > 0  # some of the kills fell into the writing of a file


@posix
def test_what_a_killed_writer_left_is_removed_by_the_next_and_nothing_else(tmp_path):
    program = """
import os, signal, sys
import content_table_parts.writing as writing
def write(temporary):
    temporary.write_text("half", encoding="utf-8")
    os.kill(os.getpid(), signal.SIGKILL)
writing.write_whole(sys.argv[1], write)
"""
    path = tmp_path / "with [brackets]*.npz"
    others = [".with [brackets]*.npz.notes.tmp", ".other.npz.0123abcd.tmp", ".with b*.npz.0123abcd.tmp", "a.tmp"]
    for name in others:
        (tmp_path / name).write_text("mine", encoding="utf-8")
    subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT)
    (left,) = set(names(tmp_path)) - set(others)
    assert left.startswith(".with [brackets]*.npz.")
    assert (tmp_path / left).read_text(encoding="utf-8") == "half"
    ct.write_whole(path, writes("whole"))
    assert names(tmp_path) == sorted([*others, path.name])


# ---- In which order ----


def test_a_file_is_whole_on_the_disk_and_still_locked_when_it_gets_its_name(tmp_path, monkeypatch):
    told, sync, rename = [], os.fsync, os.replace

    def synced(number):
        told.append(("synced", os.fstat(number).st_size))
        sync(number)

    def renamed(temporary, path):
        held = False
        if writing.fcntl is not None:
            with open(temporary, "rb") as other:
                try:
                    writing.fcntl.flock(other, writing.fcntl.LOCK_EX | writing.fcntl.LOCK_NB)
                except BlockingIOError:
                    held = True
        told.append(("renamed", held))
        rename(temporary, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    ct.write_whole(tmp_path / "file", writes("whole"))
    assert told == [("synced", 5), ("renamed", writing.fcntl is not None)]


@posix
def test_without_locks_a_file_is_closed_before_it_gets_its_name_and_what_was_left_is_removed(tmp_path, monkeypatch):
    told, begin, rename = [], writing._open_beside, os.replace

    def opened(path, mode):
        told.append(begin(path, mode))
        return told[-1]

    def renamed(temporary, path):
        assert told[0][0].closed
        rename(temporary, path)

    monkeypatch.setattr(writing, "fcntl", None)
    monkeypatch.setattr(writing, "_open_beside", opened)
    monkeypatch.setattr(os, "replace", renamed)
    (tmp_path / ".file.0123abcd.tmp").write_text("left", encoding="utf-8")
    (tmp_path / ".other.0123abcd.tmp").write_text("mine", encoding="utf-8")
    ct.write_whole(tmp_path / "file", writes("whole"))
    assert names(tmp_path) == [".other.0123abcd.tmp", "file"]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "whole"


# ---- Modes, links, names ----


@posix
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, table):
    path, seen = tmp_path / "model.npz", []
    ct.GlobalMean().fit(table).save(path)
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        ct.BiasBaseline().fit(table).save(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    path.chmod(0o600)
    ct.write_whole(path, lambda temporary: (temporary.write_text("x"), seen.append(temporary.stat().st_mode)))
    assert [stat.S_IMODE(mode) for mode in seen] == [0o600]  # nor can others read it meanwhile


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path, mask):
    before = os.umask(mask)
    try:
        ct.write_whole(tmp_path / "file", writes("x"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


@posix
def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    for text in ("one", "two"):
        ct.write_whole(tmp_path / "link", writes(text))
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there" / "file").read_text(encoding="utf-8") == text
    assert names(tmp_path / "there") == ["file"]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("é" * 120)
    ct.write_whole(path, writes("x"))
    assert names(tmp_path) == [path.name]


# ---- What cannot be written ----


def test_a_missing_folder_is_named(tmp_path, table):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere to write model.npz in"):
        ct.GlobalMean().fit(table).save(tmp_path / "nowhere" / "model.npz")
    assert names(tmp_path) == []


def test_a_folder_is_no_file(tmp_path, table):
    (tmp_path / "model.npz").mkdir()
    with pytest.raises(IsADirectoryError, match=r"model.npz is a folder; give the name of a file in it"):
        ct.GlobalMean().fit(table).save(tmp_path / "model.npz")
    assert names(tmp_path) == ["model.npz"]
    assert names(tmp_path / "model.npz") == []


@pytest.mark.parametrize("wrong", [5, "text", None])
def test_what_writes_is_a_function(tmp_path, wrong):
    with pytest.raises(TypeError, match="write must be a function that writes to the path it is given, got"):
        ct.write_whole(tmp_path / "file", wrong)
    assert names(tmp_path) == []


def test_errors_name_the_file_that_was_asked_for_and_others_stay_as_they_are(tmp_path):
    path, other = tmp_path / "file", str(tmp_path / "elsewhere" / "source")
    beside = str(tmp_path / ".file.0123abcd.tmp")
    for error, named in (
        (OSError(errno.ENOSPC, "full"), str(path)),
        (OSError(errno.EACCES, "denied", beside), str(path)),
        (OSError(errno.ENOENT, "no such file", other), other),
        (OSError("of no number"), None),
    ):

        def fails(temporary, error=error):
            raise error

        with pytest.raises(OSError) as caught:  # noqa: PT011
            ct.write_whole(path, fails)
        assert caught.value is error
        assert error.filename == named
    assert names(tmp_path) == []


@posix
def test_a_device_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="pipe is a device"):
        ct.write_whole(tmp_path / "pipe", writes("x"))
    assert names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing(tmp_path, table, monkeypatch, there):
    path = tmp_path / "model.npz"
    if there:
        ct.GlobalMean().fit(table).save(path)
    before = path.read_bytes() if there else None

    def fill(file, **arrays):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez_compressed", fill)
    with pytest.raises(OSError, match=r"No space left on device: .*model.npz'") as caught:
        ct.BiasBaseline().fit(table).save(path)
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == (["model.npz"] if there else [])
    assert not there or path.read_bytes() == before


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # NumPy 2.1 leaves its half file open
def test_a_disk_that_is_really_full(tiny_disk, sample):
    path = tiny_disk / "model.npz"
    ct.GlobalMean().fit(sample).save(path)
    before = path.read_bytes()
    with pytest.raises(OSError, match=r"No space left on device: .*model.npz'"):
        ct.ItemKNN().fit(sample).save(path)
    assert path.read_bytes() == before
    assert names(tiny_disk) == ["model.npz"]


@posix
def test_a_folder_that_cannot_be_written_to_is_told_by_the_name_that_was_asked_for(tmp_path, monkeypatch):
    def refuse(path, flags, mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "open", refuse)  # root may write anywhere
    with pytest.raises(PermissionError, match=r"Permission denied: .*/asked for'"):
        ct.write_whole(tmp_path / "asked for", writes("x"))


def test_an_interrupt_leaves_nothing(tmp_path):
    def stop(temporary):
        temporary.write_text("half", encoding="utf-8")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ct.write_whole(tmp_path / "file", stop)
    assert names(tmp_path) == []
