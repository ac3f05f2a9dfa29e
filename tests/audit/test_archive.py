"""Archives out of compressed members: read by zipfile and by unzip; sizes beyond 32 bits by their headers."""

import hashlib
import io
import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import archive
from audit.archive import Member, Stored
from audit.spool import Spool

NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00\\/"), min_size=1, max_size=40)


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    digest, length = archive.write(out, [archive.whole(name, content) for name, content in files.items()])
    assert (digest, length) == (hashlib.sha256(out.getvalue()).hexdigest(), len(out.getvalue()))
    return out.getvalue()


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(NAMES, st.binary(max_size=3000), max_size=8))
def test_zipfile_reads_what_was_written(files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(zipped(files))) as found:
        assert found.namelist() == list(files)
        assert found.testzip() is None
        assert {name: found.read(name) for name in files} == files
        for each in found.infolist():
            assert each.date_time == (1980, 1, 1, 0, 0, 0)
            assert each.external_attr >> 16 == 0o100644


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=2000), max_size=6))
def test_pieces_of_a_stream_join(pieces: list[bytes]) -> None:
    stream, crc, size = b"", 0, 0
    for piece in pieces:
        more, its_crc, its_size = archive.deflated([piece[:700], piece[700:]])
        stream, crc, size = stream + more, archive.crc_of_both(crc, its_crc, its_size), size + its_size
    whole = b"".join(pieces)
    assert zlib.decompress(stream + archive.END_OF_STREAM, -15) == whole
    assert (crc, size) == (zlib.crc32(whole), len(whole))


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_finds_nothing_wrong(tmp_path: Path) -> None:
    path = tmp_path / "made.zip"
    path.write_bytes(zipped({"a": b"x" * 100_000, "b/c": b"", "d": bytes(range(256)) * 9}))
    done = subprocess.run(["unzip", "-t", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "No errors detected" in done.stdout


@pytest.mark.parametrize("name", ["", "/a", "a\x00b", "a\\b", "x" * 65_536])
def test_names_that_a_zip_cannot_hold(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        zipped({name: b"x"})


def test_a_name_twice_and_a_stream_of_another_length() -> None:
    with pytest.raises(ValueError, match="name of its own"):
        archive.write(io.BytesIO(), [archive.whole("a", b"1"), archive.whole("a", b"2")])
    with pytest.raises(ValueError, match="not as long"):
        archive.write(io.BytesIO(), [Member(Stored("a", 0, 3, 1), [b"\x03\x00"])])


GIB = 1 << 30


@pytest.mark.parametrize(
    ("size", "compressed", "in_extra"),
    [
        (4 * GIB - 2, 5, []),
        (4 * GIB - 1, 5, [4 * GIB - 1, 5]),
        (9 * GIB, 5 * GIB, [9 * GIB, 5 * GIB]),
        (5, 5 * GIB, [5, 5 * GIB]),
    ],
)
def test_a_local_header_of_a_large_member(size: int, compressed: int, in_extra: list[int]) -> None:
    header = archive.local_header(Stored("n", 7, compressed, size))
    version, shown_compressed, shown_size, name, extra = struct.unpack_from("<4xH12xIIHH", header)
    assert (name, extra, len(header)) == (1, 4 + 8 * len(in_extra) if in_extra else 0, 31 + extra)
    if in_extra:
        assert (version, shown_compressed, shown_size) == (45, 0xFFFFFFFF, 0xFFFFFFFF)
        assert list(struct.unpack_from("<HHQQ", header, 31)) == [1, 16, *in_extra]
    else:
        assert (version, shown_compressed, shown_size) == (20, compressed, size)


def test_zipfile_understands_the_directory_of_a_large_archive() -> None:
    """The directory of an archive of 12 GiB, read by zipfile from a file that has holes where the streams are."""

    class Sparse(io.RawIOBase):
        def __init__(self, start: int, tail: bytes) -> None:
            self.start, self.tail, self.position = start, tail, 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            end = self.start + len(self.tail)
            self.position = [0, self.position, end][whence] + offset
            return self.position

        def tell(self) -> int:
            return self.position

        def read(self, size: int = -1) -> bytes:
            begin = self.position - self.start
            found = self.tail[begin:] if size < 0 else self.tail[begin : begin + size]
            self.position += len(found)
            return found

    members = [Stored("a", 1, 5 * GIB, 7 * GIB), Stored("b", 2, 6, 3), Stored("c", 3, 7 * GIB, 5)]
    offsets = [0, 5 * GIB + 51, 5 * GIB + 88]
    start = 12 * GIB + 200
    directory = b"".join(map(archive.central_header, members, offsets))
    tail = directory + archive.end_of(3, start, len(directory))
    with zipfile.ZipFile(Sparse(start, tail)) as found:  # type: ignore[call-overload]
        rows: list[Any] = [(each.filename, each.compress_size, each.file_size, each.CRC) for each in found.infolist()]
        assert rows == [("a", 5 * GIB, 7 * GIB, 1), ("b", 6, 3, 2), ("c", 7 * GIB, 5, 3)]
        assert [each.header_offset for each in found.infolist()] == offsets


# -- the spool ---------------------------------------------------------------------------------------------------------

PIECES = [{"a": b"%d" % number * 500, "b": b"x" * number} for number in range(6)]


def parts(piece: dict[str, bytes]) -> dict[str, list[bytes]]:
    return {name: [content[:100], content[100:]] for name, content in piece.items()}


def archived(spool: Spool) -> bytes:
    out = io.BytesIO()
    archive.write(out, spool.members())
    return out.getvalue()


def test_a_resumed_spool_gives_the_same_bytes(tmp_path: Path) -> None:
    with Spool(tmp_path / "one", ["a", "b"], of="me") as spool:
        for number, piece in enumerate(PIECES):
            spool.append(parts(piece), {"done": number + 1})
        straight = archived(spool)
    with Spool(tmp_path / "two", ["a", "b"], of="me") as spool:
        for number, piece in enumerate(PIECES[:3]):
            spool.append(parts(piece), {"done": number + 1})
    with (tmp_path / "two" / "a").open("ab") as file:
        file.write(b"half a piece that no state knows")
    with Spool(tmp_path / "two", ["a", "b"], of="me") as spool:
        assert spool.mark == {"done": 3}
        for number, piece in enumerate(PIECES[3:], start=3):
            spool.append(parts(piece), {"done": number + 1})
        resumed = archived(spool)
    assert resumed == straight
    with zipfile.ZipFile(io.BytesIO(resumed)) as found:
        assert found.read("a") == b"".join(piece["a"] for piece in PIECES)
        assert found.read("b") == b"x" * 15


@pytest.mark.parametrize("harm", ["other", "lost", "short", "garbled"])
def test_a_spool_that_cannot_be_resumed_begins_anew(tmp_path: Path, harm: str) -> None:
    with Spool(tmp_path, ["a", "b"], of="me") as spool:
        spool.append(parts(PIECES[3]), {"done": 1})
    if harm == "lost":
        (tmp_path / "b").unlink()
    if harm == "short":
        (tmp_path / "a").write_bytes(b"x")
    if harm == "garbled":
        (tmp_path / "state.json").write_text('{"of": "me", "members": 3}')
    with Spool(tmp_path, ["a", "b"], of="you" if harm == "other" else "me") as spool:
        assert spool.mark == {}
        spool.append({"a": [b"new"], "b": []}, {"done": 1})
        with zipfile.ZipFile(io.BytesIO(archived(spool))) as found:
            assert found.read("a") == b"new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_disk_that_fails_is_not_silent(tmp_path: Path) -> None:
    with Spool(tmp_path, ["a"], of="me") as spool:
        spool.append({"unknown": [b"x"]}, {})
        with pytest.raises(KeyError):
            spool.members()
