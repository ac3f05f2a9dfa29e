"""The export bundle and the verifier that ships in it: what it accepts, what it refuses, and which entry it names."""

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import bundle, canonical, disclosure, merkle, note, verify

VECTORS = Path(__file__).parents[1] / "vectors" / "audit"
ORIGIN = "plimsoll.example.org/audit/admin"
KEY = note.SigningKey(ORIGIN, hashlib.sha256(b"a key for tests").digest())
SIZE = 36


@dataclass
class Log:
    """A log of the shape the service writes: objects with chained events, personal values as digests."""

    leaves: list[bytes] = field(default_factory=list)
    disclosures: list[dict[str, str]] = field(default_factory=list)
    last: dict[str, tuple[int, str | None]] = field(default_factory=dict)

    def append(self, subject: str, n: int | None = None, prev: str | None = "chain", **more: object) -> None:
        number = len(self.leaves)
        last_n, last_hash = self.last.get(subject, (0, None))
        said, said_digest = disclosure.disclose("comment", f"Kommentar {number}")
        address, address_digest = disclosure.disclose("address", "192.0.2.7")
        event: dict[str, object] = {
            "v": 1,
            "id": f"018f0000-0000-7000-8000-{number:012d}",
            "log": "admin",
            "time": f"2025-01-01T00:{number:02d}:00.000000Z",
            "action": "model_version.create",
            "outcome": "success",
            "actor": {"type": "user", "ref": "p:1", "auth": "session"},
            "object": {
                "type": "model_version",
                "id": subject,
                "n": n or last_n + 1,
                "prev": last_hash if prev == "chain" else prev,
            },
            "request": {"id": f"r{number}", "_sd": [address_digest]},
            "_sd": [said_digest],
            **more,
        }
        leaf = canonical.encode(event)
        self.leaves.append(leaf)
        self.last[subject] = (n or last_n + 1, merkle.leaf_hash(leaf).hex())
        for path, text in (("comment", said), ("request.address", address)):
            self.disclosures.append({"event_id": str(event["id"]), "path": path, "disclosure": text})

    @property
    def tree(self) -> merkle.MemoryTree:
        return merkle.MemoryTree([merkle.leaf_hash(leaf) for leaf in self.leaves])

    def checkpoint(self, extra: str = "") -> str:
        return KEY.sign(note.Checkpoint(ORIGIN, len(self.leaves), self.tree.root()).text()) + extra

    def common(self, **changes: Any) -> dict[str, Any]:
        return {
            "log": "admin",
            "origin": ORIGIN,
            "size": len(self.leaves),
            "checkpoint_note": self.checkpoint(),
            "verifier_keys": [{"key": KEY.verifier, "from_size": 0, "to_size": None}],
            "query": {"log": "admin"},
            "exporter": "p:2",
            "made_at": "2025-01-02T00:00:00.000000Z",
            **changes,
        }

    def shown(self, indices: Sequence[int]) -> list[dict[str, str]]:
        return [each for index in indices for each in self.disclosures[2 * index : 2 * index + 2]]

    def zip_of_range(self, start: int = 0, end: int | None = None, **changes: Any) -> bytes:
        end = len(self.leaves) if end is None else end
        left, right = merkle.range_proof(start, end, len(self.leaves), self.tree.node)
        out = io.BytesIO()
        digest = bundle.write_bundle(
            out,
            start=start,
            leaves=self.leaves[start:end],
            left=left,
            right=right,
            completeness="range",
            **self.common(**{"disclosures": self.shown(range(start, end)), **changes}),
        )
        assert digest == hashlib.sha256(out.getvalue()).hexdigest()
        return out.getvalue()

    def zip_of_entries(self, indices: Sequence[int]) -> bytes:
        out = io.BytesIO()
        bundle.write_bundle(
            out,
            start=0,
            leaves=[self.leaves[index] for index in indices],
            left=[],
            right=[],
            completeness="inclusion",
            indices=indices,
            proofs=[merkle.inclusion_proof(index, len(self.leaves), self.tree.node) for index in indices],
            **self.common(disclosures=self.shown(indices)),
        )
        return out.getvalue()


def a_log(size: int = SIZE) -> Log:
    log = Log()
    for number in range(size):
        log.append(f"m{number * number % 5}")
    return log


LOG = a_log()
RANGE = (7, 29)
CHOSEN = [3, 4, 9, 20, 21, 35]
BUNDLES = {"whole": LOG.zip_of_range(), "part": LOG.zip_of_range(*RANGE), "chosen": LOG.zip_of_entries(CHOSEN)}
INDICES: dict[str, Sequence[int]] = {"whole": range(SIZE), "part": range(*RANGE), "chosen": CHOSEN}


def unpacked(archive: bytes, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(folder)
    return folder


def edit(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (folder / name).write_bytes(change((folder / name).read_bytes()))


def edit_lines(folder: Path, name: str, change: Callable[[list[bytes]], Any]) -> None:
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    change(lines)
    (folder / name).write_bytes(b"".join(lines))


def alone(folder: Path, *arguments: str) -> tuple[int, str]:
    """The verifier of the bundle as an auditor runs it: no packages, no environment, from any directory."""
    command = [sys.executable, "-I", "-S", "-W", "error", str(folder / "verify.py"), *arguments]
    done = subprocess.run(command, env={}, cwd="/", capture_output=True, check=False)
    assert done.stderr == b""
    return done.returncode, done.stdout.decode()


class Verdict:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, path: Path, *arguments: str) -> tuple[int, str]:
        self.capsys.readouterr()
        code = verify.main([str(path), *arguments])
        return code, self.capsys.readouterr().out

    def last_line(self, path: Path, *arguments: str) -> tuple[int, str]:
        code, out = self(path, *arguments)
        return code, out.splitlines()[-1]


@pytest.fixture
def verdict(capsys: pytest.CaptureFixture[str]) -> Verdict:
    return Verdict(capsys)


# -- what is accepted --------------------------------------------------------------------------------------------------

SCOPES = {
    "whole": "VERIFIED  entries 0–35 of 36, UNWITNESSED",
    "part": "VERIFIED IN PART  entries 7–28 of 36, UNWITNESSED",
    "chosen": "VERIFIED IN PART  6 chosen entries of 36; that no other entry matches the filter is not proven, UNWITNESSED",
}


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_bundle_verifies_alone_in_plain_python(kind: str, tmp_path: Path) -> None:
    folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
    code, out = alone(folder)
    assert (code, out.splitlines()[-1]) == (0, SCOPES[kind])
    assert "WARNING: the key comes from the bundle itself" in out
    assert KEY.verifier in out
    shown = 2 * len(INDICES[kind])
    assert f"personal values disclosed: {shown}; erased or withheld: 0" in out
    code, out = alone(folder, "--key", KEY.verifier)
    assert code == 0
    assert "WARNING" not in out


@pytest.mark.parametrize("kind", BUNDLES)
def test_the_zip_itself_verifies(kind: str, tmp_path: Path, verdict: Verdict) -> None:
    path = tmp_path / "export.zip"
    path.write_bytes(BUNDLES[kind])
    assert verdict.last_line(path) == (0, SCOPES[kind])


@pytest.mark.parametrize(("start", "end"), [(0, 0), (5, 5), (36, 36), (0, 1), (35, 36), (0, 32), (32, 36), (1, 36)])
def test_ranges_at_the_edges(start: int, end: int, tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(LOG.zip_of_range(start, end), tmp_path / "bundle")
    scope = f"entries {start}–{end - 1} of 36" if end > start else "no entries of 36"
    assert verdict.last_line(folder) == (0, f"VERIFIED IN PART  {scope}, UNWITNESSED")


def test_an_empty_log_and_an_empty_choice(tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(Log().zip_of_range(), tmp_path / "bundle")
    assert verdict.last_line(folder) == (0, "VERIFIED  no entries of 0, UNWITNESSED")
    folder = unpacked(LOG.zip_of_entries([]), tmp_path / "chosen")
    code, line = verdict.last_line(folder)
    assert (code, line[:34]) == (0, "VERIFIED IN PART  0 chosen entries")


def test_an_event_without_an_object_chain_is_fine(tmp_path: Path, verdict: Verdict) -> None:
    log = a_log(3)
    log.leaves += [b'{"id":"x"}', b'{"id":"y","object":null}', b'{"id":"z","object":{"type":"t","id":"1","n":null}}']
    assert verdict(unpacked(log.zip_of_range(), tmp_path / "bundle"))[0] == 0


def test_a_later_time_before_an_earlier_one_is_only_reported(tmp_path: Path, verdict: Verdict) -> None:
    log = a_log(3)
    log.append("m0", time="2024-12-31T00:00:00.000000Z")
    code, out = verdict(unpacked(log.zip_of_range(), tmp_path / "bundle"))
    assert code == 0
    assert "times earlier than the entry before: 1" in out


def test_the_published_tessera_log_verifies(tmp_path: Path, verdict: Verdict) -> None:
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
    expected = (0, "VERIFIED IN PART  entries 4–10 of 15, UNWITNESSED")
    assert verdict.last_line(folder, "--key", published["vkey"]) == expected
    assert verdict(folder, "--key", KEY.verifier)[0] == 1


# -- entries changed, taken out, put in, moved ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_flipped_byte_in_any_line_names_that_entry(kind: str, tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
    original = (folder / "events.ndjson").read_bytes()
    position = 0
    for index, line in zip(INDICES[kind], original.splitlines(keepends=True), strict=True):
        place = position + line.index(b"success")
        changed = bytearray(original)
        changed[place] ^= 1
        (folder / "events.ndjson").write_bytes(changed)
        told = f'entry {index} (id "{json.loads(line)["id"]}", action "model_version.create")'
        assert verdict.last_line(folder, "--key", KEY.verifier) == (1, f"TAMPERED  changed: {told}")
        position += len(line)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.data())
def test_any_flipped_bit_anywhere_in_the_entries_names_its_entry(
    tmp_path: Path, verdict: Verdict, choose: st.DataObject
) -> None:
    kind = choose.draw(st.sampled_from(sorted(BUNDLES)))
    folder = unpacked(BUNDLES[kind], tmp_path / kind)
    changed = bytearray((folder / "events.ndjson").read_bytes())
    place = choose.draw(st.integers(0, len(changed) - 1))
    index = INDICES[kind][bytes(changed).count(b"\n", 0, place)]
    changed[place] ^= 1 << choose.draw(st.integers(0, 7))
    (folder / "events.ndjson").write_bytes(changed)
    code, line = verdict.last_line(folder, "--key", KEY.verifier)
    assert code == 1
    assert line.startswith(f"TAMPERED  changed: entry {index} (")


def test_a_flipped_byte_is_found_by_the_verifier_alone(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    edit_lines(folder, "events.ndjson", lambda lines: lines.__setitem__(17, lines[17].replace(b"success", b"succesS")))
    code, out = alone(folder)
    assert code == 1
    assert out.splitlines()[-1].startswith("TAMPERED  changed: entry 17 (id ")


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_removed_line_is_missing(kind: str, tmp_path: Path, verdict: Verdict) -> None:
    for place, index in enumerate(INDICES[kind]):
        folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
        edit_lines(folder, "events.ndjson", lambda lines, place=place: lines.pop(place))
        assert verdict.last_line(folder) == (1, f"TAMPERED  missing: entry {index}")


@pytest.mark.parametrize("kind", BUNDLES)
def test_an_added_line_is_extra(kind: str, tmp_path: Path, verdict: Verdict) -> None:
    forged = b'{"action":"model_version.approve","id":"forged"}\n'
    indices = [*INDICES[kind], INDICES[kind][-1] + 1]
    for place, index in enumerate(indices):
        folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
        edit_lines(folder, "events.ndjson", lambda lines, place=place: lines.insert(place, forged))
        told = f'entry {index} (id "forged", action "model_version.approve")'
        assert verdict.last_line(folder) == (1, f"TAMPERED  extra: {told}")


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_repeated_line_is_extra(kind: str, tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
    edit_lines(folder, "events.ndjson", lambda lines: lines.insert(3, lines[2]))
    code, line = verdict.last_line(folder)
    assert code == 1
    assert line.startswith(f"TAMPERED  extra: entry {INDICES[kind][3]} (")


@pytest.mark.parametrize("kind", BUNDLES)
def test_two_lines_changed_over_are_reordered(kind: str, tmp_path: Path, verdict: Verdict) -> None:
    for place, index in enumerate(INDICES[kind][:-1]):
        folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
        edit_lines(
            folder, "events.ndjson", lambda lines, i=place: lines.__setitem__(slice(i, i + 2), lines[i : i + 2][::-1])
        )
        code, line = verdict.last_line(folder)
        assert code == 1
        assert line.startswith(f"TAMPERED  reordered: entry {index} (")


def test_all_lines_gone(tmp_path: Path, verdict: Verdict) -> None:
    for kind, indices in INDICES.items():
        folder = unpacked(BUNDLES[kind], tmp_path / kind)
        (folder / "events.ndjson").write_bytes(b"")
        assert verdict.last_line(folder) == (1, f"TAMPERED  missing: entry {indices[0]}")


def rehash(folder: Path) -> None:
    lines = (folder / "events.ndjson").read_bytes().splitlines()
    (folder / "leaf-hashes").write_text("".join(merkle.leaf_hash(line).hex() + "\n" for line in lines))


@pytest.mark.parametrize("kind", BUNDLES)
def test_a_change_with_new_leaf_hashes_is_still_found(kind: str, tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES[kind], tmp_path / "bundle")
    edit(folder, "events.ndjson", lambda body: body.replace(b"success", b"denied", 1))
    rehash(folder)
    code, line = verdict.last_line(folder)
    assert code == 1
    assert line.startswith("TAMPERED  proof: entries and leaf-hashes agree, but do not rebuild the root")


def test_leaf_hashes_alone_changed(tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    edit_lines(folder, "leaf-hashes", lambda lines: lines.pop(4))
    code, line = verdict.last_line(folder)
    assert (code, line[:22]) == (1, "TAMPERED  leaf-hashes:")
    edit(folder, "events.ndjson", lambda body: body.replace(b"success", b"denied", 1))
    code, out = verdict(folder)
    assert code == 1
    assert "leaf-hashes does not rebuild the root either" in out


# -- proof, checkpoint, manifest, key ------------------------------------------------------------------------------------


def test_any_changed_hash_of_a_proof_is_refused(tmp_path: Path, verdict: Verdict) -> None:
    for kind, name in (("part", "range-proof"), ("chosen", "proofs.ndjson")):
        original = zipfile.ZipFile(io.BytesIO(BUNDLES[kind])).read(name)
        proofs = [json.loads(line) for line in original.splitlines()] if kind == "chosen" else [json.loads(original)]
        for digest in [
            each for proof in proofs for hashes in proof.values() if isinstance(hashes, list) for each in hashes
        ]:
            folder = unpacked(BUNDLES[kind], tmp_path / kind)
            edit(folder, name, lambda body, digest=digest: body.replace(digest.encode(), b"00" + digest[2:].encode()))
            code, line = verdict.last_line(folder)
            assert code == 1
            assert line.startswith("TAMPERED  proof:")


@pytest.mark.parametrize("change", [{"start": 8}, {"end": 28}, {"size": 35}, {"start": 6, "end": 28}, {"left": []}])
def test_changed_numbers_in_the_range_proof_are_refused(
    change: dict[str, Any], tmp_path: Path, verdict: Verdict
) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    edit(folder, "range-proof", lambda body: json.dumps({**json.loads(body), **change}).encode())
    assert verdict(folder)[0] == 1


def test_any_flipped_bit_of_the_checkpoint_is_refused(tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(LOG.zip_of_range(0, 1, disclosures=[]), tmp_path / "bundle")
    original = (folder / "checkpoint").read_bytes()
    for place in range(len(original)):
        changed = bytearray(original)
        changed[place] ^= 1 << place % 7
        (folder / "checkpoint").write_bytes(changed)
        code, line = verdict.last_line(folder)
        assert (code, line[:20]) == (1, "TAMPERED  signature:"), place


def test_a_checkpoint_of_another_log_is_refused(tmp_path: Path, verdict: Verdict) -> None:
    other = "plimsoll.example.org/audit/access"
    text = note.Checkpoint(other, SIZE, LOG.tree.root()).text()
    folder = unpacked(LOG.zip_of_range(checkpoint_note=KEY.sign(text)), tmp_path / "bundle")
    assert verdict.last_line(folder)[1].startswith("TAMPERED  manifest:")


@pytest.mark.parametrize("change", [{"entries": 35}, {"size": 37}, {"origin": "x"}, {"completeness": "inclusion"}])
def test_a_manifest_that_disagrees_is_refused(change: dict[str, Any], tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    edit(folder, "manifest.json", lambda body: json.dumps({**json.loads(body), **change}).encode())
    code, line = verdict.last_line(folder)
    assert (code, line[:19]) == (1, "TAMPERED  manifest:")


def test_a_bundle_rebuilt_and_signed_with_another_key_fails_against_the_real_key(
    tmp_path: Path, verdict: Verdict
) -> None:
    forger = note.SigningKey.generate(ORIGIN)
    forged = a_log(SIZE - 1)
    checkpoint = forger.sign(note.Checkpoint(ORIGIN, SIZE - 1, forged.tree.root()).text())
    keys = [{"key": forger.verifier, "from_size": 0, "to_size": None}]
    archive = forged.zip_of_range(checkpoint_note=checkpoint, verifier_keys=keys)
    folder = unpacked(archive, tmp_path / "bundle")
    code, out = verdict(folder)
    assert code == 0  # it agrees with itself, and the output says that this is all
    assert "WARNING: the key comes from the bundle itself" in out
    assert verdict.last_line(folder, "--key", KEY.verifier) == (
        1,
        "TAMPERED  signature: the checkpoint is not signed by a trusted key of the log",
    )


@pytest.mark.parametrize(("from_size", "to_size", "code"), [(0, 36, 0), (36, None, 0), (37, None, 1), (0, 35, 1)])
def test_a_key_counts_only_for_the_sizes_it_signed(
    from_size: int, to_size: int | None, code: int, tmp_path: Path, verdict: Verdict
) -> None:
    keys = [{"key": KEY.verifier, "from_size": from_size, "to_size": to_size}]
    assert verdict(unpacked(LOG.zip_of_range(verifier_keys=keys), tmp_path / "bundle"))[0] == code


# -- chains of events per object -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "prev", "message"),
    [
        (4, "chain", "missing: entry 2 ({}) counts as event 4 of its object; the one before it was 2"),
        (2, "chain", "extra: entry 2 ({}) counts as event 2 of its object; the one before it was 2"),
        (3, "0" * 64, "changed: entry 2 ({}) does not name the event of its object before it"),
        (3, None, "changed: entry 2 ({}) does not name the event of its object before it"),
    ],
)
def test_a_hole_that_was_signed_is_found(
    n: int, prev: str | None, message: str, tmp_path: Path, verdict: Verdict
) -> None:
    log = Log()
    log.append("a")
    log.append("a")
    log.append("a", n=n, prev=prev)
    event_id = json.loads(log.leaves[2])["id"]
    told = message.format(f'id "{event_id}", action "model_version.create"')
    assert verdict.last_line(unpacked(log.zip_of_range(), tmp_path / "bundle")) == (1, f"TAMPERED  {told}")


def test_the_first_event_of_an_object_counts_as_one(tmp_path: Path, verdict: Verdict) -> None:
    log = a_log(2)
    log.append("new", n=2, prev="0" * 64)
    code, line = verdict.last_line(unpacked(log.zip_of_range(), tmp_path / "whole"))
    assert (code, line[:27]) == (1, "TAMPERED  missing: entry 2 ")
    # Seen from entry 1 on, the object's first event may lie before the range.
    assert verdict(unpacked(log.zip_of_range(1), tmp_path / "part"))[0] == 0


# -- disclosures -------------------------------------------------------------------------------------------------------------


def test_a_changed_disclosure_is_red_and_names_its_entry(tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    other = disclosure.disclose("comment", "Kommentar 7")[0]

    def swap(lines: list[bytes]) -> None:
        lines[0] = json.dumps({**json.loads(lines[0]), "disclosure": other}).encode() + b"\n"

    edit_lines(folder, "disclosures.ndjson", swap)
    code, line = verdict.last_line(folder)
    assert code == 1
    assert line.startswith("TAMPERED  disclosure: line 1 of disclosures.ndjson is no value that entry 7 (id ")


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"not json", b'{"event_id":1,"disclosure":null}', b"\xff"])
def test_a_line_that_is_no_disclosure_is_red(line: bytes, tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    edit_lines(folder, "disclosures.ndjson", lambda lines: lines.insert(5, line + b"\n"))
    code, last = verdict.last_line(folder)
    assert code == 1
    assert last.startswith("TAMPERED  disclosure: line 6 of disclosures.ndjson is no value that any entry here")


def test_a_disclosure_under_another_entry_is_red(tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    edit(folder, "disclosures.ndjson", lambda body: body.replace(b"000007", b"000008"))
    assert verdict(folder)[0] == 1


def test_an_erased_value_is_green_and_counted(tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    edit_lines(folder, "disclosures.ndjson", lambda lines: lines.pop(9))
    code, out = verdict(folder)
    assert code == 0
    assert "personal values disclosed: 71; erased or withheld: 1" in out
    (folder / "disclosures.ndjson").unlink()
    code, out = verdict(folder)
    assert code == 0
    assert "personal values disclosed: 0; erased or withheld: 72" in out


# -- witnesses and policies ----------------------------------------------------------------------------------------------------

WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(32))
WITNESS_TYPED = b"\x04" + WITNESS.public_key().public_bytes_raw()
WITNESS_ID = hashlib.sha256(b"witness.example.org\n" + WITNESS_TYPED).digest()[:4]
WITNESS_KEY = f"witness.example.org+{WITNESS_ID.hex()}+{base64.b64encode(WITNESS_TYPED).decode()}"


def cosigned(signed_time: int, stated_time: int) -> str:
    text = LOG.checkpoint().partition("\n\n")[0] + "\n"
    signature = WITNESS.sign(f"cosignature/v1\ntime {signed_time}\n{text}".encode())
    blob = WITNESS_ID + stated_time.to_bytes(8, "big") + signature
    return LOG.checkpoint(f"— witness.example.org {base64.b64encode(blob).decode()}\n")


def test_a_known_witness_counts_and_an_unknown_one_does_not(tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(LOG.zip_of_range(checkpoint_note=cosigned(1679315147, 1679315147)), tmp_path / "bundle")
    code, out = verdict(folder, "--key", KEY.verifier, "--key", WITNESS_KEY, "--require-witness")
    assert code == 0
    assert "witnessed by witness.example.org on 2023-03-20 at 12:25:47 UTC" in out
    assert out.splitlines()[-1] == "VERIFIED  entries 0–35 of 36"
    code, line = verdict.last_line(folder, "--key", KEY.verifier, "--require-witness")
    assert (code, line) == (2, "NOT ENOUGH  entries 0–35 of 36, UNWITNESSED")
    assert verdict(folder, "--key", KEY.verifier)[0] == 0


def test_a_cosignature_with_another_time_is_red(tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(LOG.zip_of_range(checkpoint_note=cosigned(1679315147, 1679315148)), tmp_path / "bundle")
    code, line = verdict.last_line(folder, "--key", KEY.verifier, "--key", WITNESS_KEY)
    assert (code, line) == (1, "TAMPERED  signature: the checkpoint is not what 'witness.example.org' signed")


def test_what_a_policy_asks_for_and_is_not_shown_is_exit_2(tmp_path: Path, verdict: Verdict) -> None:
    for kind, code in (("whole", 0), ("part", 2), ("chosen", 2)):
        folder = unpacked(BUNDLES[kind], tmp_path / kind)
        assert verdict(folder, "--require-witness")[0] == 2
        assert verdict(folder, "--require-complete")[0] == code


# -- input that cannot be judged -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["manifest.json", "checkpoint", "trust.json", "events.ndjson", "leaf-hashes", "range-proof"]
)
def test_a_missing_file_is_unusable(name: str, tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    (folder / name).unlink()
    assert verdict.last_line(folder) == (3, f"UNUSABLE  ValueError: 'the bundle lacks {name}'")


@pytest.mark.parametrize("name", ["manifest.json", "trust.json", "leaf-hashes", "range-proof"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff"])
def test_nonsense_in_a_file_is_never_a_success_or_a_traceback(
    name: str, content: bytes, tmp_path: Path, verdict: Verdict
) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    (folder / name).write_bytes(content)
    assert verdict(folder)[0] == (1 if (name, content) == ("leaf-hashes", b"") else 3)


@pytest.mark.parametrize(
    "change", [{"start": -1}, {"end": 2**63}, {"start": 9, "end": 8}, {"left": ["xy"]}, {"right": [1]}]
)
def test_impossible_numbers_are_unusable(change: dict[str, Any], tmp_path: Path, verdict: Verdict) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    edit(folder, "range-proof", lambda body: json.dumps({**json.loads(body), **change}).encode())
    assert verdict(folder)[0] == 3


def test_what_is_no_bundle_at_all(tmp_path: Path, verdict: Verdict) -> None:
    assert verdict(tmp_path)[0] == 3
    assert verdict(tmp_path / "nothing")[0] == 3
    (tmp_path / "text").write_text("not a zip")
    assert verdict(tmp_path / "text")[0] == 3
    (tmp_path / "broken.zip").write_bytes(BUNDLES["whole"][:-40])
    assert verdict(tmp_path / "broken.zip")[0] == 3
    broken = bytearray(BUNDLES["whole"])
    broken[broken.index(b"events.ndjson") + 200] ^= 1
    (tmp_path / "broken.zip").write_bytes(broken)
    assert verdict(tmp_path / "broken.zip")[0] == 3


@pytest.mark.parametrize(
    "arguments", [["--key", "nonsense"], ["--key", KEY.verifier[:-4] + "AAAA"], ["--unknown"], ["--key"]]
)
def test_bad_usage_is_exit_3(arguments: list[str], tmp_path: Path, verdict: Verdict) -> None:
    assert verdict(unpacked(BUNDLES["whole"], tmp_path / "bundle"), *arguments)[0] == 3


def test_a_terminal_that_lacks_characters_does_not_stop_the_verdict(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    command = [sys.executable, "-S", str(folder / "verify.py")]
    done = subprocess.run(command, env={"PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"VERIFIED  entries 0\\u201335 of 36, UNWITNESSED\n")


# -- the bundle as a file ----------------------------------------------------------------------------------------------------------


def test_the_same_export_gives_the_same_bytes() -> None:
    first, second = LOG.zip_of_range(), LOG.zip_of_range()
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as files:
        names = files.namelist()
        assert files.testzip() is None
    assert names == sorted(names)
    assert set(names) == {
        "README.txt", "checkpoint", "disclosures.ndjson", "events.csv", "events.ndjson", "leaf-hashes",
        "manifest.json", "range-proof", "trust.json", "verify.py",
    }  # fmt: skip


def test_the_files_hold_what_was_given() -> None:
    with zipfile.ZipFile(io.BytesIO(BUNDLES["part"])) as files:
        assert files.read("events.ndjson") == b"".join(leaf + b"\n" for leaf in LOG.leaves[7:29])
        assert files.read("checkpoint").decode() == LOG.checkpoint()
        assert files.read("verify.py") == Path(verify.__file__).read_bytes()
        manifest = json.loads(files.read("manifest.json"))
    assert next(iter(manifest)) == "authoritative"
    assert (manifest["first_index"], manifest["last_index"], manifest["entries"]) == (7, 28, 22)
    assert (manifest["disclosures"], manifest["exporter"], manifest["query"]) == (44, "p:2", {"log": "admin"})


def test_the_table_cannot_run_formulas() -> None:
    log = Log()
    starts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"]
    for number, start in enumerate(starts):
        log.append(f"{start}", reason_code=f"{number}=", outcome=start)
    rows = list(
        csv.reader(io.StringIO(zipfile.ZipFile(io.BytesIO(log.zip_of_range())).read("events.csv").decode(), newline=""))
    )
    assert rows[0] == list(bundle.COLUMNS)
    assert [row[5] for row in rows[1:]] == ["'" + start for start in starts]
    assert [row[9] for row in rows[1:]] == ["'" + start for start in starts]
    assert [row[11] for row in rows[1:]] == [f"{number}=" for number in range(7)]
    assert [row[12] for row in rows[1:]] == [merkle.leaf_hash(leaf).hex() for leaf in log.leaves]


def test_a_damaged_leaf_is_exported_and_shown_as_damage(tmp_path: Path, verdict: Verdict) -> None:
    damaged = [*LOG.leaves[:5], b"\xff not json", *LOG.leaves[6:]]
    left, right = merkle.range_proof(0, SIZE, SIZE, LOG.tree.node)
    out = io.BytesIO()
    bundle.write_bundle(
        out, start=0, leaves=damaged, left=left, right=right, completeness="range", **LOG.common(disclosures=[])
    )
    code, out_text = verdict(unpacked(out.getvalue(), tmp_path / "bundle"))
    assert code == 1
    assert "TAMPERED  proof:" in out_text


@pytest.mark.parametrize(
    "changes",
    [
        {"leaves": [b"two\nlines"]},
        {"leaves": [b""]},
        {"leaves": [b"x" * 65_536]},
        {"size": 0},
        {"start": -1},
        {"completeness": "inclusion"},
        {"completeness": "inclusion", "indices": [0], "proofs": []},
        {"completeness": "inclusion", "indices": [1, 1], "proofs": [[], []], "leaves": [b"a", b"b"]},
    ],
)
def test_arguments_that_do_not_belong_together(changes: dict[str, Any]) -> None:
    arguments = LOG.common(disclosures=[], start=0, leaves=[b"leaf"], left=[], right=[], completeness="range")
    with pytest.raises(ValueError, match="entr|leaf|indices"):
        bundle.write_bundle(io.BytesIO(), **{**arguments, **changes})


# -- the arithmetic the verifier carries ---------------------------------------------------------------------------------------------

# RFC 8032 §7.1, tests 1 to 3: secret key, public key, message, signature
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize("case", RFC_8032, ids=["1", "2", "3"])
def test_ed25519_vectors_of_rfc_8032(case: tuple[str, str, str, str]) -> None:
    secret, public, message, signature = (bytes.fromhex(part) for part in case)
    assert verify.ed25519_verifies(public, message, signature)
    assert not verify.ed25519_verifies(public, message + b"\x00", signature)
    private = Ed25519PrivateKey.from_private_bytes(secret)
    assert private.public_key().public_bytes_raw() == public
    assert private.sign(message) == signature


def accepted_by_cryptography(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64), st.integers(0, 511), st.integers(0, 255))
def test_ed25519_agrees_with_cryptography(seed: bytes, message: bytes, bit: int, key_bit: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify.ed25519_verifies(public, message, signature)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not verify.ed25519_verifies(public, message, bytes(flipped))
    assert not accepted_by_cryptography(public, message, bytes(flipped))
    other = bytearray(public)
    other[key_bit // 8] ^= 1 << key_bit % 8
    assert not verify.ed25519_verifies(bytes(other), message, signature)


def test_ed25519_refuses_what_is_not_canonical() -> None:
    _, public, message, signature = (bytes.fromhex(part) for part in RFC_8032[1])
    larger = int.from_bytes(signature[32:], "little") + verify.L
    assert not verify.ed25519_verifies(public, message, signature[:32] + larger.to_bytes(32, "little"))
    assert not verify.ed25519_verifies(public, message, signature[:-1])
    assert not verify.ed25519_verifies(public[:-1], message, signature)
    one = (1).to_bytes(32, "little")
    assert verify.decode_point(one) == (0, 1, 1, 0)
    assert verify.decode_point((1 | 1 << 255).to_bytes(32, "little")) is None  # minus zero
    assert verify.decode_point((verify.P + 1).to_bytes(32, "little")) is None  # 1, written another way
    assert verify.decode_point((2).to_bytes(32, "little")) is None  # no point of the curve has this y


@pytest.mark.parametrize(
    "case",
    [case for case in json.loads((VECTORS / "merkle-inclusion.json").read_text())["vectors"] if case["leafHash"]],
    ids=lambda case: case["file"].removeprefix("testdata/"),
)
def test_the_carried_inclusion_check_agrees_with_the_published_cases(case: dict[str, Any]) -> None:
    leaf, root = base64.b64decode(case["leafHash"]), base64.b64decode(case["root"])
    path = [base64.b64decode(each) for each in case["proof"] or []]
    # The length of a hash is checked where the bundle's files are read.
    lengths_fit = all(len(each) == 32 for each in [leaf, root, *path])
    accepted = lengths_fit and verify.path_root(leaf, case["leafIdx"], case["treeSize"], path) == root
    assert accepted is not case["wantErr"]


@given(st.data())
def test_the_carried_range_check_agrees_with_the_service(choose: st.DataObject) -> None:
    size = choose.draw(st.integers(0, 150))
    start = choose.draw(st.integers(0, size))
    end = choose.draw(st.integers(start, size))
    tree = merkle.MemoryTree([merkle.leaf_hash(b"%d" % number) for number in range(size)])
    left, right = merkle.range_proof(start, end, size, tree.node)
    leaves = [tree.node(0, index) for index in range(start, end)]
    assert verify.range_root(start, size, leaves, left, right) == tree.root()
    for index in range(start, end):
        path = merkle.inclusion_proof(index, size, tree.node)
        assert verify.path_root(tree.node(0, index), index, size, path) == tree.root()
