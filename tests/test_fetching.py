"""Fetching a public table: from a server on this machine that is honest, drops, stalls or lies; never the network."""

import hashlib
import io
import logging
import re
import socket
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import content_table as ct
from content_table_parts import fetching

pooch = pytest.importorskip("pooch")

RATINGS = "userId,movieId,rating,timestamp\n" + "".join(f"{n % 9},{n % 7},{n % 5 + 0.5},{n}\n" for n in range(63))
FILMS = "movieId,title,genres\n" + "".join(f"{n},Film {n} (1999),Drama\n" for n in range(7))


def zipped(**files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        for name, text in files.items():
            packed.writestr(f"ml-latest-small/{name}.csv", text)
    return data.getvalue()


GOOD = zipped(ratings=RATINGS, movies=FILMS)


class Server(ThreadingHTTPServer):
    """Answers every request by the next of `answers`, the last of them again and again."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked, self.over = [], [], threading.Event()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        (server.answers.pop(0) if len(server.answers) > 1 else server.answers[0])(self)

    def log_message(self, *_):
        pass


def says(data, length=None, status=200, kind="application/zip"):
    """An answer with these bytes, and with this length whether it is theirs or not."""

    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def stalls(handler):
    says(GOOD[:100], len(GOOD))(handler)
    handler.wfile.flush()
    handler.server.over.wait(30)


def never_answers(handler):
    handler.server.over.wait(30)


def drops(handler):
    says(GOOD[:100], len(GOOD))(handler)
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.over.is_set():
        try:
            handler.wfile.write(b"PK" * 2**15)
        except OSError:
            return


@pytest.fixture
def server(monkeypatch):
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    monkeypatch.setattr(fetching, "_SERVER", f"http://127.0.0.1:{made.server_port}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # what pooch waits before it tries again
    pooch.get_logger().setLevel(logging.CRITICAL)
    yield made
    made.over.set()
    made.shutdown()
    made.server_close()
    thread.join()


def fetched(folder, name="ml-latest-small", **options):
    return ct.fetch(name, folder, **{"progress": False, "timeout": 0.5} | options)


def nothing_is_kept(folder):
    return not folder.exists() or list(folder.iterdir()) == []


def test_the_first_time_from_the_server_then_from_the_folder_with_the_terms_shown_once(server, tmp_path, capsys):
    server.answers = [says(GOOD)]
    first = fetched(tmp_path / "kept")
    terms = capsys.readouterr().err
    assert (len(first), first.shape, first.scale, first.titles[0]) == (63, (9, 7), (0.5, 5.0), "Film 0 (1999)")
    assert all(word in terms for word in ("GroupLens", "commercial", "Harper", str(tmp_path / "kept")))
    assert fetched(tmp_path / "kept").fingerprint == first.fingerprint
    assert capsys.readouterr().err == ""
    assert server.asked == ["/ml-latest-small.zip"]


def test_a_bar_shows_how_far_it_is(server, tmp_path, capsys):
    server.answers = [says(GOOD)]
    fetched(tmp_path, progress=True)
    assert "ml-latest-small.zip: 100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    "broken", [drops, stalls, says(GOOD[:-5]), says(b"<html>", kind="text/html"), says(b"", status=503)]
)
def test_what_breaks_off_once_is_begun_again(server, tmp_path, broken):
    server.answers = [broken, says(GOOD)]
    assert len(fetched(tmp_path)) == 63
    assert len(server.asked) == 2


LARGE = zipped(ratings=RATINGS, movies=FILMS, links="1," * 2**15)


def drops_a_large_one(handler):
    says(LARGE[:40_000], len(LARGE))(handler)
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def test_what_breaks_off_goes_on_from_there(server, tmp_path):
    def the_rest(handler):
        begin.append(int(re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"])[1]))
        says(LARGE[begin[0] :], status=206)(handler)

    begin: list[int] = []
    server.answers = [drops_a_large_one, the_rest]
    assert len(fetched(tmp_path)) == 63
    assert begin == [2**15]  # of 40,000 bytes what had come in whole pieces
    assert (tmp_path / "ml-latest-small.zip").read_bytes() == LARGE


def test_where_a_server_knows_no_parts_it_begins_anew(server, tmp_path):
    server.answers = [drops_a_large_one, says(LARGE)]
    assert len(fetched(tmp_path)) == 63
    assert (tmp_path / "ml-latest-small.zip").read_bytes() == LARGE


def test_a_part_that_does_not_fit_is_thrown_away_with_the_beginning(server, tmp_path):
    server.answers = [drops_a_large_one, says(LARGE[:100], status=206)]
    with pytest.raises(ValueError, match=r"is not ml-latest-small.zip, and was deleted: it is no whole zip"):
        fetched(tmp_path)
    assert nothing_is_kept(tmp_path)
    server.answers = [says(LARGE)]
    assert len(fetched(tmp_path)) == 63


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (drops, "not to its end"),
        (stalls, "not to its end|kept silent"),
        (never_answers, "kept silent for 0.5 seconds"),
        (says(GOOD, len(GOOD) + 1), "not to its end|kept silent"),
        (says(b"", status=404), "answered by an error: 404"),
        (says(b"", status=503), "answered by an error: 503"),
    ],
)
def test_a_server_that_fails_is_told_in_words_and_nothing_is_kept(server, tmp_path, answer, words):
    server.answers = [answer]
    with pytest.raises(ConnectionError, match=rf"ml-latest-small\.zip.*({words}).*load_ratings"):
        fetched(tmp_path / "kept")
    assert nothing_is_kept(tmp_path / "kept")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><html>Please log in</html>", "no whole zip .*does this network ask for a login"),
        (b"", "no whole zip"),
        (GOOD[: len(GOOD) // 2], "no whole zip"),
        (zipped(other="a,b\n1,2\n"), "holds none of"),
        (zipped(ratings=RATINGS), "titles"),
        (zipped(ratings="userId,movieId,rating,timestamp\n1,1,9,1\n", movies=FILMS), "outside the scale"),
        (GOOD.replace(b"Film 3", b"Film 4"), "damaged"),
    ],
)
def test_a_server_that_lies_is_caught_and_nothing_is_kept(server, tmp_path, data, words):
    server.answers = [says(data)]
    with pytest.raises(ValueError, match=rf"(?s)ml-latest-small\.zip.*deleted.*({words})"):
        fetched(tmp_path / "kept")
    assert nothing_is_kept(tmp_path / "kept")


def test_a_length_shorter_than_the_file_cuts_it_off_and_is_caught(server, tmp_path):
    server.answers = [says(GOOD, len(GOOD) - 30)]
    with pytest.raises(ValueError, match="deleted"):
        fetched(tmp_path / "kept")
    assert nothing_is_kept(tmp_path / "kept")


def test_a_download_without_an_end_is_left(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_MAX_BYTES", 2**20)
    server.answers = [endless]
    with pytest.raises(ValueError, match="deleted: it has more than 1 MB"):
        fetched(tmp_path / "kept")
    assert nothing_is_kept(tmp_path / "kept")


def test_a_bar_counts_to_the_limit_and_begins_anew_when_told(monkeypatch):
    monkeypatch.setattr(fetching, "_MAX_BYTES", 5)
    bar = fetching._Bar(disable=True)
    assert bar  # without a total, too
    bar.update()
    bar.update(4)
    for _ in range(2):
        with pytest.raises(ValueError, match="it has more than"):
            bar.update()
    bar.reset()
    bar.update(5)
    bar.close()


def test_a_download_may_have_64_megabytes():
    bar = fetching._Bar(disable=True)
    bar.update(64 * 2**20)
    with pytest.raises(ValueError, match="it has more than 64 MB"):
        bar.update(1)


def test_a_server_may_keep_silent_for_half_a_minute_unless_told_otherwise(server, tmp_path, monkeypatch):
    told, begin = [], pooch.HTTPDownloader

    def begun(**options):
        told.append(options["timeout"])
        return begin(**options)

    monkeypatch.setattr(pooch, "HTTPDownloader", begun)
    server.answers = [says(GOOD)]
    ct.fetch("ml-latest-small", tmp_path / "one", progress=False)
    ct.fetch("ml-latest-small", str(tmp_path / "two"), progress=False, timeout=2)
    assert told == [30, 2]


def test_without_a_folder_a_set_is_kept_among_the_systems_caches(server, tmp_path, monkeypatch):
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    server.answers = [says(GOOD)]
    assert len(ct.fetch("ml-latest-small", progress=False)) == 63
    assert (tmp_path / "content-table" / "ml-latest-small.zip").read_bytes() == GOOD


def test_of_what_is_no_zip_the_beginning_is_shown(server, tmp_path):
    text = "".join(f"{at:02d}" for at in range(99))
    server.answers = [says(text.encode(), kind="text/html")]
    with pytest.raises(ValueError, match=f"begins with b'{text[:60]}'; does this network ask for a login"):
        fetched(tmp_path / "kept")


@pytest.mark.parametrize(("name", "size"), [("ml-100k", "100000, 943, 1682"), ("ml-1m", "1000209, 6040, 3706")])
def test_a_set_has_the_ratings_users_and_films_that_its_publisher_says(server, tmp_path, monkeypatch, name, size):
    md5 = f"md5:{hashlib.md5(GOOD).hexdigest()}"
    monkeypatch.setitem(fetching._SETS, name, fetching._SETS[name]._replace(md5=md5))
    server.answers = [says(GOOD)]
    with pytest.raises(ValueError, match=rf"expected .ratings, users, items. \({size}\), got \(63, 9, 7\)"):
        fetched(tmp_path / "kept", name)


def test_a_zip_with_another_checksum_than_the_published_is_never_kept(server, tmp_path):
    server.answers = [says(GOOD)]
    with pytest.raises(ValueError, match=r"ml-1m\.zip.*MD5.*c4d9eecf"):
        fetched(tmp_path / "kept", "ml-1m")
    assert nothing_is_kept(tmp_path / "kept")


def test_a_zip_with_the_right_checksum_and_another_table_is_refused(server, tmp_path, monkeypatch):
    md5 = f"md5:{hashlib.md5(GOOD).hexdigest()}"
    monkeypatch.setitem(fetching._SETS, "ml-100k", fetching._SETS["ml-100k"]._replace(md5=md5))
    server.answers = [says(GOOD)]
    with pytest.raises(ValueError, match=r"ml-100k\.zip .*expected .*100000, 943, 1682.*got \(63, 9, 7\)"):
        fetched(tmp_path / "kept", "ml-100k")
    monkeypatch.setitem(fetching._SETS, "ml-100k", fetching._Set(md5, (63, 9, 7)))
    assert len(fetched(tmp_path / "kept", "ml-100k")) == 63


def test_a_kept_file_that_was_damaged_is_deleted_and_fetched_by_the_next_call(server, tmp_path):
    server.answers = [says(GOOD)]
    fetched(tmp_path)
    (tmp_path / "ml-latest-small.zip").write_bytes(GOOD[:200])
    with pytest.raises(ValueError, match="deleted; fetch it again"):
        fetched(tmp_path)
    assert len(fetched(tmp_path)) == 63


def test_without_a_network_it_says_what_to_do(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/"
    monkeypatch.setattr(fetching, "_SERVER", nobody)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(
        ConnectionError, match=r"could not be fetched.*Without a network, bring ml-1m\.zip.*load_ratings"
    ):
        fetched(tmp_path / "kept", "ml-1m")


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"name": "ml-2m"}, ValueError, "name must be one of .*ml-100k.*got 'ml-2m'"),
        ({"name": 5}, ValueError, "name must be one of"),
        ({"folder": 5}, TypeError, "folder must be a path or None, got 5"),
        ({"progress": "no"}, TypeError, "progress must be True or False, got 'no'"),
        ({"timeout": 0}, ValueError, "timeout must be above 0, got 0"),
        ({"timeout": None}, ValueError, "timeout must be a finite number, got None"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_asked(server, tmp_path, wrong, error, words):
    with pytest.raises(error, match=words):
        ct.fetch(**{"name": "ml-1m", "folder": tmp_path, "timeout": 0.5} | wrong)
    assert server.asked == []


def test_without_pooch_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(ImportError, match=r"needs pooch.*pip install pooch"):
        ct.fetch("ml-1m", tmp_path)
