"""Public rating tables in one line: fetched once from their publisher, checked, kept, and read like any other."""

import io
import os
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from content_table_parts.ratings import Ratings
from content_table_parts.readers import load_ratings
from content_table_parts.settings import check_choice, check_kind, check_number, check_switch

_SERVER = "https://files.grouplens.org/datasets/movielens/"
_MAX_BYTES = 2**26  # of a zip; the largest here has 6 MB
_LICENCE = (
    "{name}: MovieLens data of GroupLens, University of Minnesota. For research and teaching; not for commercial use "
    "without their permission; no endorsement may be implied. To cite: F. M. Harper and J. A. Konstan, The MovieLens "
    "Datasets: History and Context, ACM TiiS 5(4), 2015. The full terms are in the README of the zip: {path}"
)


class _Set(NamedTuple):
    """MD5 of the zip as GroupLens publishes it, and (ratings, users, items); None where a set changes with time."""

    md5: str | None
    size: tuple[int, int, int] | None


_SETS = {
    "ml-latest-small": _Set(None, None),
    "ml-100k": _Set("md5:0e33842e24a9c977be4e0107933c0723", (100_000, 943, 1_682)),
    "ml-1m": _Set("md5:c4d9eecfca2ab87c1945afe126590906", (1_000_209, 6_040, 3_706)),
}


def fetch(
    name: str, folder: str | os.PathLike | None = None, *, progress: bool = True, timeout: float = 30.0
) -> Ratings:
    """A MovieLens set as Ratings; from the network the first time, from the folder where it is kept ever after.

    The zip is kept only when it is whole: its MD5 is compared with the one that GroupLens publishes. "ml-latest-small"
    has none that lasts, because the set changes: there the zip's own checksums are tested, and that it is read as
    ratings of films with titles. A download that breaks off goes on from there, once, or
    from its beginning where the server knows no parts.

    Parameters
    ----------
    name : "ml-latest-small", "ml-100k" or "ml-1m"
    folder : path, optional
        Where zips are kept; default: the system's folder for caches.
    progress : bool
        Show a progress bar while it comes.
    timeout : float, above 0
        Seconds that the server may keep silent.

    Raises
    ------
    ConnectionError : no network, no answer, or none to the end; and what to do instead.
    ValueError : what came, or what is kept, is not the set; it is not kept.
    ImportError : pooch is needed, and how to install it.
    """
    check_choice("name", name, _SETS)
    check_kind("folder", folder, (str, os.PathLike, type(None)), "a path or None")
    check_switch("progress", progress)
    check_number("timeout", timeout, strict=True)
    try:
        import pooch
    except ImportError as error:
        raise ImportError("fetch needs pooch, which is missing: pip install pooch") from error
    folder = Path(pooch.os_cache("content-table") if folder is None else folder)
    path = folder / f"{name}.zip"
    was_there = path.is_file()
    _bring(pooch, path, _SETS[name].md5, progress, timeout)
    ratings = _read(path, _SETS[name].size)
    if not was_there:
        print(_LICENCE.format(name=name, path=path), file=sys.stderr)
    return ratings


class _Bar(tqdm):
    """A progress bar that ends a download without an end."""

    received = 0

    def __bool__(self):  # of a bar without a total tqdm says no, and pooch would leave it out
        return True

    def update(self, n=1):
        self.received += n
        if self.received > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES / 2**20:g} MB")
        return super().update(n)

    def reset(self, total=None):
        self.received = 0
        super().reset(total)


def _bring(pooch, path, md5, progress, timeout):
    """Have the zip at `path`, whole or not at all; errors in our words."""
    import requests

    received = io.BytesIO()  # what breaks off goes on from here when it is tried again

    def begin(response, **_):
        if response.status_code != requests.codes.partial_content:  # the whole of it, asked for or not
            received.truncate(received.seek(0))

    def download(url, target, _):
        how = {"chunk_size": 2**14, "timeout": timeout, "hooks": {"response": begin}}
        how["headers"] = {"Range": f"bytes={received.tell()}-"} if received.tell() else {}
        with _Bar(desc=path.name, unit="B", unit_scale=True, disable=not progress) as bar:
            pooch.HTTPDownloader(progressbar=bar, **how)(url, received, None)
        Path(target).write_bytes(received.getvalue())
        received.truncate(received.seek(0))  # whatever is wrong with it, the next attempt begins anew
        if not zipfile.is_zipfile(target):
            head = Path(target).read_bytes()[:60]
            raise ValueError(f"it is no whole zip and begins with {head!r}; does this network ask for a login first?")

    store = pooch.create(path.parent, _SERVER, registry={path.name: md5}, retry_if_failed=1)
    url = store.get_url(path.name)
    instead = f"Without a network, bring {path.name} by other means and read it by load_ratings, or use ct.DATA."
    try:
        store.fetch(path.name, downloader=download)
    except requests.exceptions.HTTPError as error:
        raise ConnectionError(f"{url} was answered by an error: {error.response.status_code}. {instead}") from error
    except requests.exceptions.Timeout as error:
        raise ConnectionError(f"{url}: the server kept silent for {timeout:g} seconds. {instead}") from error
    except requests.exceptions.RequestException as error:
        raise ConnectionError(f"{url} could not be fetched, or not to its end ({error}). {instead}") from error
    except ValueError as error:
        raise ValueError(f"what came from {url} is not {path.name}, and was deleted: {error}") from error


def _read(path, size):
    """The ratings in the zip; a zip that does not hold the set is deleted."""
    try:
        ratings = load_ratings(path)
        found = (len(ratings), *ratings.shape)
        if ratings.titles is None or (size is not None and found != size):
            raise ValueError(f"expected (ratings, users, items) {size or 'and titles'}, got {found}")
    except ValueError as error:
        path.unlink()
        raise ValueError(
            f"{path} is not the set that its name says, and was deleted; fetch it again: {error}"
        ) from error
    return ratings
