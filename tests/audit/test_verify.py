"""What the verifier accepts, and which entry it names when one was changed, taken out, put in or moved."""

import base64
import hashlib
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import bundle, merkle
from tests.audit.sample_log import (
    BUNDLES,
    INDICES,
    KEY,
    LOG,
    VECTORS,
    Log,
    a_log,
    alone,
    edit,
    edit_lines,
    judge,
    last_line,
    unpacked,
)

# -- what is accepted -------------------------------------------------------------------------------------------------

SCOPES = {
    "whole": "VERIFIED  entries 0–35 of 36, UNWITNESSED",
    "part": "VERIFIED IN PART  entries 7–28 of 36, UNWITNESSED",
    "chosen": "VERIFIED IN PART  6 chosen entries of 36; "
    "that no other entry matches the filter is not proven, UNWITNESSED",
}


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_bundle_verifies_alone_in_plain_python(kind: str, tmp_path: Path) -> None:
    folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
    code, out = alone(folder)
    assert (code, out.splitlines()[-1]) == (0, SCOPES[kind])
    assert "WARNING: the key comes from the bundle itself" in out
    fingerprint = hashlib.sha256(KEY.verifier.encode()).hexdigest()
    groups = " ".join(fingerprint[place : place + 4] for place in range(0, 64, 4))
    assert f"note  '{KEY.verifier}' with the fingerprint {groups}\n" in out
    shown = 2 * len(INDICES[kind])
    assert f"personal values disclosed: {shown}; erased or withheld: 0" in out
    code, out = alone(folder, "--key", KEY.verifier)
    assert code == 0
    assert "WARNING" not in out


@pytest.mark.parametrize("kind", BUNDLES)
def test_the_zip_itself_verifies(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(BUNDLES[kind])
    assert last_line(path) == (0, SCOPES[kind])


@pytest.mark.parametrize(("start", "end"), [(0, 0), (5, 5), (36, 36), (0, 1), (35, 36), (0, 32), (32, 36), (1, 36)])
def test_ranges_at_the_edges(start: int, end: int, tmp_path: Path) -> None:
    folder = unpacked(LOG.zip_of_range(start, end), tmp_path / "bundle")
    scope = f"entries {start}–{end - 1} of 36" if end > start else "no entries of 36"
    assert last_line(folder) == (0, f"VERIFIED IN PART  {scope}, UNWITNESSED")


def test_an_empty_log_and_an_empty_choice(tmp_path: Path) -> None:
    folder = unpacked(Log().zip_of_range(), tmp_path / "bundle")
    assert last_line(folder) == (0, "VERIFIED  no entries of 0, UNWITNESSED")
    folder = unpacked(LOG.zip_of_entries([]), tmp_path / "chosen")
    code, line = last_line(folder)
    assert (code, line[:34]) == (0, "VERIFIED IN PART  0 chosen entries")


def test_an_event_without_an_object_chain_is_fine(tmp_path: Path) -> None:
    log = a_log(3)
    log.leaves += [b'{"id":"x"}', b'{"id":"y","object":null}', b'{"id":"z","object":{"type":"t","id":"1","n":null}}']
    assert judge(unpacked(log.zip_of_range(), tmp_path / "bundle"))[0] == 0


def test_the_published_tessera_log_verifies(tmp_path: Path) -> None:
    published = json.loads((VECTORS / "tessera-testdata-log.json").read_text())
    leaves = [each.encode() for each in published["leaves_utf8"]]
    tree = merkle.MemoryTree([merkle.leaf_hash(leaf) for leaf in leaves])
    left, right = merkle.range_proof(4, 11, 15, tree.node)
    out = io.BytesIO()
    changes = {
        "origin": published["origin"],
        "size": 15,
        "checkpoint_note": base64.b64decode(published["files_b64"]["checkpoint"]).decode(),
        "disclosures": [],
    }
    bundle.write_bundle(
        out, start=4, leaves=leaves[4:11], left=left, right=right, completeness="range", **LOG.common(**changes)
    )
    folder = unpacked(out.getvalue(), tmp_path / "bundle")
    told = "VERIFIED IN PART  entries 4–10 of 15; 7 of them not readable as events, UNWITNESSED"
    assert last_line(folder, "--key", published["vkey"]) == (0, told)
    assert judge(folder, "--key", KEY.verifier)[0] == 1


# -- entries changed, taken out, put in, moved ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_flipped_byte_in_any_line_names_that_entry(kind: str, tmp_path: Path) -> None:
    folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
    original = (folder / "events.ndjson").read_bytes()
    position = 0
    for index, line in zip(INDICES[kind], original.splitlines(keepends=True), strict=True):
        place = position + line.index(b"success")
        changed = bytearray(original)
        changed[place] ^= 1
        (folder / "events.ndjson").write_bytes(changed)
        told = f'entry {index} (id "{json.loads(line)["id"]}", action "model_version.create")'
        assert last_line(folder, "--key", KEY.verifier) == (1, f"TAMPERED  changed: {told}")
        position += len(line)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.data())
def test_any_flipped_bit_anywhere_in_the_entries_names_its_entry(tmp_path: Path, choose: st.DataObject) -> None:
    kind = choose.draw(st.sampled_from(sorted(BUNDLES)))
    folder = unpacked(BUNDLES[kind], tmp_path / kind)
    changed = bytearray((folder / "events.ndjson").read_bytes())
    place = choose.draw(st.integers(0, len(changed) - 1))
    index = INDICES[kind][bytes(changed).count(b"\n", 0, place)]
    changed[place] ^= 1 << choose.draw(st.integers(0, 7))
    (folder / "events.ndjson").write_bytes(changed)
    code, line = last_line(folder, "--key", KEY.verifier)
    assert code == 1
    assert line.startswith(f"TAMPERED  changed: entry {index} (")


def test_a_flipped_byte_is_found_by_the_verifier_alone(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    edit_lines(folder, "events.ndjson", lambda lines: lines.__setitem__(17, lines[17].replace(b"success", b"succesS")))
    code, out = alone(folder)
    assert code == 1
    assert out.splitlines()[-1].startswith("TAMPERED  changed: entry 17 (id ")


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_removed_line_is_missing(kind: str, tmp_path: Path) -> None:
    for place, index in enumerate(INDICES[kind]):
        folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
        edit_lines(folder, "events.ndjson", lambda lines, place=place: lines.pop(place))
        assert last_line(folder) == (1, f"TAMPERED  missing: entry {index}")


@pytest.mark.parametrize("kind", BUNDLES)
def test_an_added_line_is_extra(kind: str, tmp_path: Path) -> None:
    forged = b'{"action":"model_version.approve","id":"forged"}\n'
    indices = [*INDICES[kind], INDICES[kind][-1] + 1]
    for place, index in enumerate(indices):
        folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
        edit_lines(folder, "events.ndjson", lambda lines, place=place: lines.insert(place, forged))
        told = f'entry {index} (id "forged", action "model_version.approve")'
        assert last_line(folder) == (1, f"TAMPERED  extra: {told}")


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_repeated_line_is_extra(kind: str, tmp_path: Path) -> None:
    folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
    edit_lines(folder, "events.ndjson", lambda lines: lines.insert(3, lines[2]))
    code, line = last_line(folder)
    assert code == 1
    assert line.startswith(f"TAMPERED  extra: entry {INDICES[kind][3]} (")


@pytest.mark.parametrize("kind", BUNDLES)
def test_two_lines_changed_over_are_reordered(kind: str, tmp_path: Path) -> None:
    for place, index in enumerate(INDICES[kind][:-1]):
        folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
        edit_lines(
            folder, "events.ndjson", lambda lines, i=place: lines.__setitem__(slice(i, i + 2), lines[i : i + 2][::-1])
        )
        code, line = last_line(folder)
        assert code == 1
        assert line.startswith(f"TAMPERED  reordered: entry {index} (")


def test_all_lines_gone(tmp_path: Path) -> None:
    for kind, indices in INDICES.items():
        folder = unpacked(BUNDLES[kind], tmp_path / kind)
        (folder / "events.ndjson").write_bytes(b"")
        assert last_line(folder) == (1, f"TAMPERED  missing: entry {indices[0]}")


def rehash(folder: Path) -> None:
    lines = (folder / "events.ndjson").read_bytes().splitlines()
    (folder / "leaf-hashes").write_text("".join(merkle.leaf_hash(line).hex() + "\n" for line in lines))


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_change_with_new_leaf_hashes_is_still_found(kind: str, tmp_path: Path) -> None:
    folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
    edit(folder, "events.ndjson", lambda body: body.replace(b"success", b"denied", 1))
    rehash(folder)
    code, line = last_line(folder)
    assert code == 1
    assert line.startswith("TAMPERED  proof: entries and leaf-hashes agree, but do not rebuild the root")


def test_leaf_hashes_alone_changed(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    edit_lines(folder, "leaf-hashes", lambda lines: lines.pop(4))
    code, line = last_line(folder)
    assert (code, line[:22]) == (1, "TAMPERED  leaf-hashes:")
    edit(folder, "events.ndjson", lambda body: body.replace(b"success", b"denied", 1))
    code, out = judge(folder)
    assert code == 1
    assert "differ from leaf-hashes, which itself proves nothing" in out
