"""Files out: whole or not at all, whoever else writes or is killed at the same time."""

import glob
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from content_table_parts.settings import as_path, check_function

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def write_whole(path: str | Path, write: Callable[[Path], Any]) -> None:
    """Write beside the target and rename: a reader sees the old file or the new one, never half of one.

    `write(temporary)` writes the whole file to the path that it is given. The new file has the mode of the old one, if
    there is one. What killed writers left beside the target is removed first; several may write to one target at once,
    and the last of them is read.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, OSError : no such folder; a target that is no file; a disk that is full, or
        whatever else the system refuses. The target is then as it was, and nothing is left beside it.
    """
    check_function("write", write, "a function that writes to the path it is given")
    path = target(path)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    _remove_abandoned(path)
    with _errors_naming(path), _beside(path, mode) as (file, temporary):
        write(temporary)
        os.fsync(file.fileno())  # on the disk before it has the name: no crash leaves an empty file behind
        if mode is not None:
            temporary.chmod(mode)
        if fcntl is None:
            file.close()  # Windows renames no file that is open
        os.replace(temporary, path)


def target(path: str | Path, name: str = "path") -> Path:
    """The file to be written: a link stays, what it points to is replaced. An error where no file can be written."""
    path = Path(os.path.realpath(as_path(path, name)))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} in; make it first.")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it.")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is a device, not a file that could be replaced by another.")
    return path


@contextmanager
def _errors_naming(path):
    """Errors of the system name the file that the caller knows, not the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and (error.filename is None or Path(error.filename).parent == path.parent):
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def _beside(path, mode):
    """(file, path) of a new file beside the target, removed at the end if it is still there."""
    file, temporary = _open_beside(path, mode)
    try:
        yield file, temporary
    finally:
        file.close()
        temporary.unlink(missing_ok=True)


def _open_beside(path, mode):
    """A new file with a name of its own, locked for as long as its writer lives and keeps it open.

    Only its owner may read it before it has the mode of the file that it replaces.
    """
    first_mode = 0o666 if mode is None else 0o600
    while True:
        temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.tmp")
        file = open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, first_mode))  # noqa: SIM115
        with suppress(OSError):  # a file system without locks: then nobody can lock it to remove it, either
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # else another writer took it for abandoned before it was locked
            return file, temporary
        file.close()


def _remove_abandoned(path):
    """Remove what killed writers of this target left behind: files that nobody has locked any more."""
    for left in path.parent.glob(f".{glob.escape(path.name[:40])}.{'[0-9a-f]' * 8}.tmp"):
        with suppress(OSError):  # in use, or gone by now
            if fcntl is None:  # Windows refuses to remove a file that is open
                left.unlink()
                continue
            with open(left, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
