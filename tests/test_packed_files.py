"""Files that are packed, damaged, in another encoding or of another kind: one place opens them all."""

import bz2
import gzip
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest

import content_table as ct
from content_table_parts import readers

COURSE = "u_id,a_id,profile,title,score\n" + "".join(
    f"{n},{n % 7},u{n},Title {n % 7},{n % 10 + 1}\n" for n in range(99)
)
PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def written(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["table.csv.{}", "table.csv"])
@pytest.mark.parametrize("kind", PACK)
def test_a_packed_table_is_the_same_table_whatever_its_name(tmp_path, kind, name):
    plain = ct.load_ratings(written(tmp_path / "plain.csv", COURSE.encode()))
    packed = ct.load_ratings(written(tmp_path / name.format(kind), PACK[kind](COURSE.encode())))
    assert packed.fingerprint == plain.fingerprint
    assert packed.titles.tolist() == plain.titles.tolist()


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("kind", PACK)
def test_a_packed_table_that_is_cut_off_is_named(tmp_path, kind, keep):
    whole = PACK[kind](COURSE.encode())
    path = written(tmp_path / f"table.csv.{kind}", whole[: int(keep * len(whole))])
    with pytest.raises(ValueError, match=rf"table\.csv\.{kind} is cut off or damaged .*download it again"):
        ct.load_ratings(path)


@pytest.mark.parametrize("load", [ct.load_ratings, ct.load_mal_export])
@pytest.mark.parametrize("kind", PACK)
def test_any_flipped_byte_is_refused_or_harmless(tmp_path, kind, load):
    text = COURSE if load is ct.load_ratings else COURSE.replace("u_id,a_id", "u_id,item_id")
    whole, options = PACK[kind](text.encode()), {} if load is ct.load_ratings else {"conflicts": "last"}
    path = tmp_path / f"table.csv.{kind}"
    expected, refused = repr(load(written(path, whole), **options)), 0
    for at in range(0, len(whole), 7):
        written(path, whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            assert repr(load(path, **options)) == expected
        except ValueError as error:
            assert path.name in str(error)  # noqa: PT017
            refused += 1
    assert refused > len(whole) / 7 / 2


@pytest.mark.parametrize("load", [ct.load_ratings, ct.load_mal_export])
@pytest.mark.parametrize(
    ("head", "what"), [(b"PK\x03\x04", "a zip or an Excel"), (b"\x28\xb5\x2f\xfd", "packed by zstd")]
)
def test_what_is_packed_otherwise_is_named_with_what_to_do(tmp_path, load, head, what):
    path = written(tmp_path / "list.csv", head + bytes(99))
    with pytest.raises(ValueError, match=rf"list\.csv is {what}.*unpack it"):
        load(path)


@pytest.mark.parametrize("load", [ct.load_ratings, ct.load_mal_export])
def test_a_real_zip_is_refused_as_one(tmp_path, load):
    with zipfile.ZipFile(tmp_path / "table.zip", "w") as file:
        file.writestr("table.csv", COURSE)
    with pytest.raises(ValueError, match=r"table\.zip is a zip"):
        load(tmp_path / "table.zip")


class Counted(gzip.GzipFile):
    """Counts the bytes that it unpacks."""

    n_bytes = 0

    def read(self, size=-1):
        assert 0 < size <= 2**20
        block = super().read(size)
        Counted.n_bytes += len(block)
        return block


def test_a_bomb_is_left_at_the_limit_and_never_held(tmp_path, monkeypatch):
    path = written(tmp_path / "bomb.csv.gz", gzip.compress(bytes(2**26), 1))
    monkeypatch.setitem(readers._PACKED, b"\x1f\x8b", Counted)
    monkeypatch.setattr(Counted, "n_bytes", 0)
    with (
        pytest.raises(ValueError, match=r"bomb\.csv\.gz unpacks to more than 1 MB"),
        readers.opened(path, limit=2**20),
    ):
        pytest.fail("opened")
    assert 2**20 < Counted.n_bytes < 2**21


@pytest.mark.parametrize("kind", PACK)
def test_a_file_may_unpack_to_as_much_as_the_limit(tmp_path, kind):
    data = bytes(range(256)) * 2**11  # two blocks of those that are read at a time
    path = written(tmp_path / "full", PACK[kind](data))
    with readers.opened(path, limit=len(data)) as file:
        assert file.read() == data
    with pytest.raises(ValueError, match="unpacks to more than"), readers.opened(path, limit=len(data) - 1):
        pytest.fail("opened")


@pytest.mark.parametrize(
    ("load", "limit"), [(ct.load_ratings, readers.MAX_TABLE_BYTES), (ct.load_mal_export, readers.MAX_EXPORT_BYTES)]
)
def test_tables_and_exports_have_their_limits(tmp_path, monkeypatch, load, limit):
    asked = []

    def refuse(file, name, limit):
        asked.append(limit)
        raise EOFError("enough")

    monkeypatch.setattr(readers, "_check_size", refuse)
    with pytest.raises(ValueError, match="enough"):
        load(written(tmp_path / "table.csv.gz", gzip.compress(COURSE.encode())))
    assert asked == [limit]


def test_a_catalogue_may_be_packed_and_its_damage_is_named(tmp_path):
    ratings = ct.load_ratings(written(tmp_path / "t.csv", COURSE.encode()))
    catalogue = "a_id,title,genre\n" + "".join(f"{n},Title {n},Drama\n" for n in range(7))
    packed = gzip.compress(catalogue.encode())
    assert ct.load_genres(written(tmp_path / "c.csv", packed), ratings).names.tolist() == ["Drama"]
    with pytest.raises(ValueError, match=r"c\.csv is cut off or damaged"):
        ct.load_genres(written(tmp_path / "c.csv", packed[:-9]), ratings)


# ---- Encodings ----


def test_utf_16_with_its_mark_is_read(tmp_path):
    plain = ct.load_ratings(written(tmp_path / "plain.csv", COURSE.encode()))
    wide = ct.load_ratings(written(tmp_path / "wide.csv", COURSE.encode("utf-16")))
    assert (wide.fingerprint, wide.titles.tolist()) == (plain.fingerprint, plain.titles.tolist())


@pytest.mark.parametrize("load", [ct.load_ratings, ct.load_mal_export])
def test_utf_16_without_its_mark_is_suspected(tmp_path, load):
    with pytest.raises(ValueError, match=r"zero bytes, as .*UTF-16 without its mark do; save it as CSV UTF-8"):
        load(written(tmp_path / "wide.csv", COURSE.encode("utf-16-le")))


@pytest.mark.parametrize("place", [40, 20_000, 50_000, 2**16 - 1])
def test_a_zero_byte_in_the_first_64_kilobytes_is_found(tmp_path, place):
    data = bytearray((COURSE + "1,1,ann,Bear,7\n" * 5000).encode())
    data[place] = 0
    with pytest.raises(ValueError, match="it holds zero bytes"):
        ct.load_ratings(written(tmp_path / "t.csv", data))


def test_a_cut_utf_16_file_is_no_csv(tmp_path):
    with pytest.raises(ValueError, match="is not a CSV file with a header in UTF-8"):
        ct.load_ratings(written(tmp_path / "wide.csv", COURSE.encode("utf-16")[:-1]))


# ---- Fields and headers ----


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        (["1,50,ann,Bear,7"] * 6 + ["1,50,ann,Bear, the Great,7"], "line 8 has 6 fields, the header 5"),
        (["1,50,ann,Bear, the Great,7", "2,50,bob,Bear,8"], "line 2 has 6 fields, the header 5"),
        (["1,50,ann,Bear, the, Great,7"] * 2, "line 2 has 7 fields, the header 5"),
        (['1,50,ann,"Bear\nand Cat",7', "1,60,ann,Bear, the Great,7"], "line 4 has 6 fields, the header 5"),
    ],
)
def test_a_comma_without_quotes_is_suspected_where_it_stands(tmp_path, rows, where):
    path = written(tmp_path / "t.csv", "\n".join(["u_id,a_id,profile,title,score", *rows]).encode())
    with pytest.raises(ValueError, match=f"{where}; does a title hold a comma without quotes"):
        ct.load_ratings(path)


@pytest.mark.parametrize("load", [ct.load_ratings, ct.load_mal_export])
def test_a_header_of_endless_fields_is_refused_before_it_is_read(tmp_path, monkeypatch, load):
    path = written(tmp_path / "wide.csv", b"item_id,score" + b",x" * 2000 + b"\n1,9\n")
    monkeypatch.setattr(readers.pd, "read_csv", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(ValueError, match="first line has more than 1000 fields"):
        load(path)


@pytest.mark.parametrize(("more", "may_be"), [(readers.MAX_COLUMNS - 2, True), (readers.MAX_COLUMNS - 1, False)])
def test_a_header_may_have_as_many_fields_as_the_limit_says(tmp_path, more, may_be):
    path = written(tmp_path / "wide.csv", ("item_id,score" + ",x" * more + "\n1,9" + ",0" * more + "\n").encode())
    if may_be:
        assert ct.load_mal_export(path).ratings == {1: 9.0}
    else:
        with pytest.raises(ValueError, match="first line has more than 1000 fields"):
            ct.load_mal_export(path)


def test_strange_columns_are_named_before_the_rows_are_looked_at(tmp_path):
    with pytest.raises(ValueError, match=r"t.csv has columns \['a', 'b'\]; the closest known schema is"):
        ct.load_ratings(written(tmp_path / "t.csv", b"a,b\n1,2,3\n"))


def test_a_header_that_begins_with_a_quote_has_its_fields(tmp_path):
    path = written(tmp_path / "t.csv", b'"title, then",item_id,score,note\nBear,1,9,x\nCat, the Great,2,8,x\n')
    with pytest.raises(ValueError, match="line 3 has 5 fields, the header 4; does a title hold a comma"):
        ct.load_mal_export(path)


@pytest.mark.parametrize("header", ["u_id,a_id,profile,title,score,score", "userId,movieId,rating,timestamp,rating"])
def test_a_column_that_is_there_twice_is_refused(tmp_path, header):
    row = ",".join("1" * len(header.split(",")))
    with pytest.raises(ValueError, match=r"t\.csv has several columns '(score|rating)'"):
        ct.load_ratings(written(tmp_path / "t.csv", f"{header}\n{row}\n".encode()))


@pytest.mark.parametrize("time", ["12.5", "", "12.0000001"])
def test_times_that_are_no_whole_seconds_are_called_so(tmp_path, time):
    path = written(tmp_path / "ratings.csv", f"userId,movieId,rating,timestamp\n1,9,3.5,{time}\n".encode())
    with pytest.raises(ValueError, match=r"values of 'timestamp' are not whole seconds, the first is .* in data row 1"):
        ct.load_ratings(path)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("107.0", 107),
        ("1e6", 10**6),
        (" 9007199254740991.0", 2**53 - 1),
        ("9007199254740993", 2**53 + 1),
        ("-9007199254740993", -(2**53) - 1),
        ("9223372036854775807", 2**63 - 1),
        ("-0", 0),
    ],
)
def test_ids_are_read_exactly_however_they_are_written(text, number):
    ids = readers.ids_of(pd.Series(["5", text], index=[3, 8], name="who"), "t.csv")
    assert (ids.tolist(), ids.index.tolist(), ids.name, ids.dtype) == ([5, number], [3, 8], "who", np.int64)


@pytest.mark.parametrize("huge", [2**63, 2**63 + 1, 2**64, -(2**63) - 1])
def test_ids_of_a_file_never_wrap(tmp_path, huge):
    path = written(tmp_path / "t.csv", f"u_id,a_id,profile,title,score\n{huge},1,ann,Bear,7\n".encode())
    with pytest.raises(ValueError, match=r"'u_id' .*64 bits"):
        ct.load_ratings(path)
    path = written(tmp_path / "mine.csv", f"item_id,score\n{huge},7\n".encode())
    with pytest.raises(ValueError, match="ids in 'item' do not fit into 64 bits"):
        ct.load_mal_export(path)


def test_a_message_shows_no_more_than_a_glance_of_a_long_text(tmp_path):
    long = "x" * 100_000
    for text in (f"{long}\n", f"u_id,a_id,profile,title,score\n{long},1,a,B,7\n", f"u_id,a_id,{long}\n1,1,1\n"):
        with pytest.raises(ValueError, match="xxx") as caught:
            ct.load_ratings(written(tmp_path / "t.csv", text.encode()))
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("load", [ct.load_ratings, ct.load_mal_export, ct.load_model])
def test_a_path_has_no_zero_character(load):
    with pytest.raises(ValueError, match="path must be the name of a file, without zero characters"):
        load("a\0b.csv")


@pytest.mark.parametrize("load", [ct.load_ratings, ct.load_mal_export])
@pytest.mark.parametrize("path", [None, 5, b"x.csv", ["x.csv"]])
def test_a_path_is_text_or_a_path(load, path):
    with pytest.raises(TypeError, match="path must be text or a Path, got"):
        load(path)


def test_the_table_of_a_list_is_ratings(tmp_path):
    with pytest.raises(TypeError, match="ratings must be Ratings, got str"):
        ct.load_mal_export(written(tmp_path / "m.csv", b"item_id,score\n1,7\n"), "table")


def test_a_plain_file_that_the_system_does_not_open_is_not_called_damaged(tmp_path, monkeypatch):
    path = written(tmp_path / "mine.csv", COURSE.encode())

    def refuse(self, *mode):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(readers, "_unpacker", lambda place: None)
    monkeypatch.setattr(readers.Path, "open", refuse)
    with pytest.raises(PermissionError), readers.opened(path):
        pytest.fail("opened")
