"""Bundles made to mislead or to break the verifier: each ends in a verdict, none in a traceback."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from audit import verify
from tests.audit.sample_log import BUNDLES, LOG, Log, a_log, alone, edit, edit_lines, judge, last_line, unpacked

# -- entries that two readers could read in two ways, though the log has signed them ----------------------------------


def signed(leaf: bytes, folder: Path) -> Path:
    """A bundle of a log whose entry 2 is this leaf."""
    log = a_log(2)
    log.leaves.append(leaf)
    return unpacked(log.zip_of_range(disclosures=[]), folder)


AMBIGUOUS = {
    "a key twice": b'{"id":"x","id":"y"}',
    "a key twice, deep": b'{"change":{"after":[{"a":1,"a":1}]},"id":"x"}',
    "a key twice, once escaped": b'{"id":"x","\\u0069d":"y"}',
    "a key twice, with blanks": b'{"id" : "x", "id" : "y"}',
    "not a number": b'{"id":"x","v":NaN}',
    "no end": b'{"id":"x","v":-Infinity}',
    "a number beyond doubles": b'{"id":"x","v":9007199254740993}',
    "a number without end": b'{"id":"x","v":1' + b"0" * 5000 + b"}",
    "a fraction": b'{"id":"x","v":1.0}',
    "half a surrogate pair": b'{"id":"x","v":"\\ud800"}',
    "invalid UTF-8": b'{"id":"x","v":"\xff"}',
    "a surrogate in UTF-8": b'{"id":"x","v":"\xed\xa0\x80"}',
    "deep": b'{"id":' + b"[" * 100 + b"]" * 100 + b"}",
    "very deep": b'{"id":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "deep and never closed": b'{"a":' * 12_000,
    "a text never closed": b'{"id":"' + b'\\"' * 30_000,
    "cut off": b'{"id":"x"',
    "two values": b'{"id":"x"}{"id":"y"}',
    "after a byte order mark": b'\xef\xbb\xbf{"id":"x"}',
    "n is a text": b'{"id":"x","object":{"id":"m","n":"3","prev":null,"type":"t"}}',
    "n is true": b'{"id":"x","object":{"id":"m","n":true,"prev":null,"type":"t"}}',
    "n is negative": b'{"id":"x","object":{"id":"m","n":-1,"prev":null,"type":"t"}}',
    "n is nought": b'{"id":"x","object":{"id":"m","n":0,"prev":null,"type":"t"}}',
    "prev is no hash": b'{"id":"x","object":{"id":"m","n":1,"prev":"AB","type":"t"}}',
    "prev is a list": b'{"id":"x","object":{"id":"m","n":1,"prev":[],"type":"t"}}',
}


@pytest.mark.parametrize("leaf", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_an_entry_that_can_be_read_in_two_ways_is_red(leaf: bytes, tmp_path: Path) -> None:
    code, line = last_line(signed(leaf, tmp_path))
    assert code == 1
    assert line.startswith("TAMPERED  ambiguous: entry 2 (")
    assert ") cannot be read in one way only: " in line


UNUSUAL = {
    "blanks": b' {"id" : "x"} ',
    "escapes": b'{"id":"\\u00e9\\ud83d\\ude00\\n\\"{[:"}',
    "brackets in a text": b'{"id":"' + b"[{" * 500 + b'"}',
    "many objects side by side": b'{"id":"x","list":[' + b",".join([b'{"a":{"b":[]}}'] * 900) + b"]}",
    "64 levels": b'{"id":' + b"[" * 63 + b"]" * 63 + b"}",
    "the largest integer": b'{"id":"x","v":9007199254740991,"w":-9007199254740991}',
    "the same key at two levels": b'{"id":{"id":{"id":"x"}}}',
    "an object that is a list": b'{"id":"x","object":[1]}',
    "digests that are none": b'{"_sd":7,"change":{"_sd":{"a":[1]}},"id":"x"}',
    "an id that is no text": b'{"id":7,"time":[],"action":{}}',
}


@pytest.mark.parametrize("leaf", UNUSUAL.values(), ids=UNUSUAL)
def test_an_entry_that_is_only_unusual_is_not(leaf: bytes, tmp_path: Path) -> None:
    assert last_line(signed(leaf, tmp_path)) == (0, "VERIFIED  entries 0–2 of 3, UNWITNESSED")


@pytest.mark.parametrize("leaf", [b"plain text", b"[1]", b'"x"', b"7", b"\xff\xfe", b"null"])
def test_what_is_no_event_at_all_is_counted(leaf: bytes, tmp_path: Path) -> None:
    told = "VERIFIED  entries 0–2 of 3; 1 of them not readable as events, UNWITNESSED"
    assert last_line(signed(leaf, tmp_path)) == (0, told)


def test_two_entries_of_one_id_are_red(tmp_path: Path) -> None:
    log = a_log(4)
    log.append("m9", id="018f0000-0000-7000-8000-000000000001")
    told = 'TAMPERED  duplicate: entry 4 (id "018f0000-0000-7000-8000-000000000001", action "model_version.create") '
    assert last_line(unpacked(log.zip_of_range(disclosures=[]), tmp_path)) == (1, told + "has the id of entry 1")


def test_a_text_cannot_pass_for_a_key(tmp_path: Path) -> None:
    """What looks like an object, a time or a digest inside a text is none."""
    log = a_log(3)
    digest = "A" * 43
    for text in (f'"_sd":["{digest}"]', f',"_sd":["{digest}"]', '"object":{"id":"m0","n":9,"prev":null}', '","time":"'):
        log.append("m9", change={"after": text, text: 1})
    code, out = judge(unpacked(log.zip_of_range(disclosures=[]), tmp_path))
    assert code == 0
    assert "erased or withheld: 14\n" in out


def test_the_short_way_and_the_long_way_read_the_same() -> None:
    """A line is read by pattern when it has the usual form, and as JSON when it has a blank in front."""
    log = Log()
    digests = {"_sd": ["B" * 43, "C" * 43]}
    for change in (
        {},
        {"on": "x"},
        {"after": {"a": 1}, "before": {"a": None}},
        {"after": {"time": "12:30"}},
        {"after": {"list": [{"a": 1}, {"a": 2}]}},
        {"x": 1, **digests},
        {"after": digests},
        {"after": {"deeper": digests}},
        {"label": "größer"},
        {"label": 'a "quoted" one'},
    ):
        log.append("m", change=change, actor={"type": "user", "ref": "p:1", "auth": "session", **digests})
    log.tick("2025-01-01T00:00:00.000000Z")
    log.append("größer")
    read = [(verify.read(leaf + b"\n"), verify.read(b" " + leaf + b"\n")) for leaf in log.leaves]
    for short, long in read:
        assert short[:6] == long[:6]
        assert sorted(short[6].split(b'"')[1::2]) == sorted(long[6].split(b'"')[1::2])
    usual = [verify.USUAL(leaf + b"\n") is not None for leaf in log.leaves]
    assert usual.count(True) >= 8
    assert [len(short[6].split(b'"')[1::2]) for short, _ in read] == [4, 4, 4, 4, 4, 6, 6, 6, 4, 4, 2, 2]


# -- lines -------------------------------------------------------------------------------------------------------------


def test_windows_line_ends_are_a_change(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path)
    edit(folder, "events.ndjson", lambda body: body.replace(b"\n", b"\r\n"))
    code, line = last_line(folder)
    assert (code, line[:26]) == (1, "TAMPERED  changed: entry 0")


def test_no_newline_at_the_end_is_no_change(tmp_path: Path) -> None:
    for kind in BUNDLES:
        folder = unpacked(BUNDLES[kind], tmp_path / kind)
        for name in ("events.ndjson", "leaf-hashes", "disclosures.ndjson"):
            edit(folder, name, lambda body: body[:-1])
        assert judge(folder)[0] == 0


@pytest.mark.parametrize("kind", BUNDLES)
def test_an_empty_line_is_an_entry_too_many(kind: str, tmp_path: Path) -> None:
    folder = unpacked(BUNDLES[kind], tmp_path)
    edit_lines(folder, "events.ndjson", lambda lines: lines.append(b"\n"))
    code, line = last_line(folder)
    assert (code, line[:15]) == (1, "TAMPERED  extra")


def test_a_line_without_end_is_unusable(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path)
    (folder / "events.ndjson").write_bytes(b"x" * (3 << 20))
    assert last_line(folder) == (3, "UNUSABLE  ValueError: 'a line of events.ndjson is longer than 1048576 bytes'")


def test_proofs_of_nonsense_are_unusable(tmp_path: Path) -> None:
    for line in (
        b"{",
        b"[]",
        b'{"index":-1,"hashes":[]}',
        b'{"index":1e9,"hashes":[]}',
        b'{"index":1,"hashes":["xy"]}',
    ):
        folder = unpacked(BUNDLES["chosen"], tmp_path)
        edit_lines(folder, "proofs.ndjson", lambda lines, line=line: lines.__setitem__(2, line + b"\n"))
        assert judge(folder)[0] == 3
    for line in (b'{"index":99,"hashes":[]}', b'{"index":9' + b"0" * 12 + b',"hashes":[]}'):
        folder = unpacked(BUNDLES["chosen"], tmp_path)
        edit_lines(folder, "proofs.ndjson", lambda lines, line=line: lines.__setitem__(2, line + b"\n"))
        assert judge(folder)[0] == 1


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["manifest.json", "trust.json", "checkpoint", "range-proof"])
def test_a_file_that_is_absurdly_large_is_not_read(name: str, tmp_path: Path) -> None:
    """64 MiB of blanks, which a ZIP holds in 64 KiB."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(BUNDLES["whole"])) as old, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as new:
        for each in old.namelist():
            new.writestr(each, old.read(each) + (b" " * (64 << 20) if each == name else b""))
    (tmp_path / "bomb.zip").write_bytes(bomb.getvalue())
    assert last_line(tmp_path / "bomb.zip") == (3, f"UNUSABLE  ValueError: '{name} is larger than 1048576 bytes'")


def rezipped(path: Path, *more: tuple[str, bytes]) -> Path:
    out = io.BytesIO(BUNDLES["whole"])
    with zipfile.ZipFile(out, "a") as archive:
        for name, body in more:
            archive.writestr(name, body)
    path.write_bytes(out.getvalue())
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["events.ndjson", "EVENTS.NDJSON", "verify.py"])
def test_two_files_of_one_name_are_refused(name: str, tmp_path: Path) -> None:
    code, line = last_line(rezipped(tmp_path / "x.zip", (name, b"{}\n")))
    assert (code, line[:57]) == (3, "UNUSABLE  ValueError: 'the ZIP holds two files of one nam")


@pytest.mark.parametrize("name", ["../verify.py", "/etc/x", "a/../../x", "..\\x", "C:x", "a//b", "..", "\\\\host\\x"])
def test_a_file_outside_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    path = rezipped(tmp_path / "x.zip", (name, b"{}\n"))
    assert last_line(path) == (3, "UNUSABLE  ValueError: 'the ZIP holds a file outside its own folder'")


def test_other_files_and_folders_do_not_matter(tmp_path: Path) -> None:
    assert judge(rezipped(tmp_path / "x.zip", ("notes/", b""), ("notes/a.txt", b"x"), ("more", b"y")))[0] == 0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("manifest.json", {"format": ["x"]}),
        ("manifest.json", {"format": None}),
        ("manifest.json", {"minimum_index": -1}),
        ("manifest.json", {"minimum_index": "0"}),
        ("manifest.json", {"completeness": "object"}),
        ("trust.json", {"keys": {"a": 1}}),
        ("trust.json", {"keys": [{"key": "x", "from_size": 0, "to_size": None}]}),
        ("trust.json", {"keys": [{"key": 7, "from_size": "0", "to_size": None}]}),
        ("trust.json", {"witnesses": "none"}),
        ("trust.json", {"witnesses": None}),
        ("range-proof", {"start": True}),
        ("range-proof", {"start": "0"}),
        ("range-proof", {"end": 36.0}),
        ("range-proof", {"left": {}}),
    ],
)
def test_documents_of_another_shape_are_unusable(name: str, change: dict[str, object], tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path)
    edit(folder, name, lambda body: json.dumps({**json.loads(body), **change}).encode())
    assert judge(folder)[0] == 3


def test_a_document_with_a_key_twice_is_unusable(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path)
    edit(folder, "manifest.json", lambda body: body.replace(b"{", b'{"entries": 36, ', 1))
    assert last_line(folder) == (3, "UNUSABLE  ValueError: 'an object in it has a key twice'")


def test_a_range_of_astronomical_size_ends_at_once(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path)
    edit(folder, "range-proof", lambda body: json.dumps({**json.loads(body), "end": 10**15, "size": 10**15}).encode())
    code, line = last_line(folder)
    assert (code, line[:16]) == (1, "TAMPERED  proof:")


def test_names_that_would_steer_a_terminal_are_shown_escaped(tmp_path: Path) -> None:
    log = a_log(2)
    log.append("m9", n=5, action="\x1b[2J\u202e")
    code, out = alone(unpacked(log.zip_of_range(disclosures=[]), tmp_path))
    assert code == 1
    assert '\\u001b[2J\\u202e")' in out
    assert "\x1b" not in out


def test_a_disclosure_for_an_entry_that_is_not_here_is_red(tmp_path: Path) -> None:
    folder = unpacked(LOG.zip_of_range(7, 29), tmp_path)
    line = json.dumps(LOG.disclosures[2 * 30]).encode() + b"\n"
    edit_lines(folder, "disclosures.ndjson", lambda lines: lines.insert(3, line))
    told = "TAMPERED  disclosure: line 4 of disclosures.ndjson is no value that any entry here committed to"
    assert last_line(folder) == (1, told)


def test_a_value_disclosed_twice_counts_once(tmp_path: Path) -> None:
    folder = unpacked(LOG.zip_of_range(), tmp_path)
    edit_lines(folder, "disclosures.ndjson", lambda lines: lines.insert(9, lines[3]))
    code, out = judge(folder)
    assert code == 0
    assert "personal values disclosed: 72; erased or withheld: 0" in out
