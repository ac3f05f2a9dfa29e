"""Go's own transparency log code (golang.org/x/mod/sumdb) on what our log serves, whole and tampered with."""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.note import SigningKey
from tests.interop.served import INDICES, SIZE, SIZES, Served

pytestmark = pytest.mark.xdist_group("interop")


@pytest.fixture
def run(tlog: Path) -> Callable[..., tuple[int, str]]:
    def command(what: str, *arguments: str | Path) -> tuple[int, str]:
        done = subprocess.run([tlog, what, *arguments], capture_output=True, text=True, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout.strip()

    return command


def test_every_checkpoint_is_a_note_that_go_opens(served: Served, run) -> None:
    for size in SIZES:
        code, said = run("checkpoint", served.vkey, served.folder / f"checkpoint.{size}")
        assert (code, said.split()[0]) == (0, str(size))
    assert (served.folder / "checkpoint").read_bytes() == (served.folder / f"checkpoint.{SIZE}").read_bytes()


def test_every_proof_file_verifies(served: Served, run) -> None:
    for index in INDICES:
        proof, leaf = served.folder / f"proofs/{index}.tlog-proof", served.folder / f"leaves/{index}"
        assert run("proof", served.vkey, proof, leaf) == (0, f"{index} of {SIZE}")
    older = served.folder / "proofs/255-of-256.tlog-proof"
    assert run("proof", served.vkey, older, served.folder / "leaves/255") == (0, "255 of 256")


def test_every_signed_size_is_consistent_with_every_later_one(served: Served, run) -> None:
    for old in SIZES:
        for new in SIZES:
            if old < new:
                files = [served.folder / f"checkpoint.{size}" for size in (old, new)]
                answer = run("consistency", served.vkey, *files, served.folder / f"proofs/{old}-{new}.json")
                assert answer == (0, f"{old} to {new}")


def test_the_whole_tree_is_read_from_tiles_and_gives_the_proofs_we_served(served: Served, run) -> None:
    proofs = len(list((served.folder / "proofs").iterdir()))
    assert proofs > 60
    assert run("tree", served.vkey, served.folder) == (0, f"{SIZE} entries, {proofs} proofs")


# -- tampered ----------------------------------------------------------------------------------------------------------


def flipped(content: bytes, at: int = -1) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


def line(content: bytes, number: int, change: Callable[[bytes], bytes]) -> bytes:
    lines = content.split(b"\n")
    lines[number] = change(lines[number])
    return b"\n".join(lines)


def other_hash(text: bytes) -> bytes:
    return base64.b64encode(flipped(base64.b64decode(text)))


def other_signature(text: bytes) -> bytes:
    start, _, encoded = text.rpartition(b" ")
    return start + b" " + other_hash(encoded)


def cut_out(content: bytes, number: int) -> bytes:
    lines = content.split(b"\n")
    del lines[number]
    return b"\n".join(lines)


INDEX = 40_000  # deep in the log: 17 hashes
BAD_CHECKPOINTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another size": (lambda text: line(text, 1, lambda _: b"70001"), "invalid signature"),
    "another root": (lambda text: line(text, 2, other_hash), "invalid signature"),
    "another origin": (lambda text: line(text, 0, lambda name: name + b"x"), "invalid signature"),
    "another signature": (lambda text: line(text, 4, other_signature), "invalid signature"),
    "no signature": (lambda text: b"\n".join(text.split(b"\n")[:4]) + b"\n", "malformed note"),
    "a line more": (lambda text: line(text, 2, lambda root: root + b"\nmore"), "invalid signature"),
}
BAD_PROOFS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    **{f"a checkpoint with {name}": (lambda text, change=change: _in_checkpoint(text, change), said)
       for name, (change, said) in BAD_CHECKPOINTS.items()},
    "another index": (lambda text: line(text, 1, lambda _: b"index 40001"), "invalid transparency proof"),
    "an index beyond": (lambda text: line(text, 1, lambda _: b"index 70000"), "beyond the checkpoint"),
    "an index with a zero before it": (lambda text: line(text, 1, lambda _: b"index 040000"), "bad index"),
    "another hash at the leaf": (lambda text: line(text, 2, other_hash), "invalid transparency proof"),
    "another hash at the root": (lambda text: line(text, 18, other_hash), "invalid transparency proof"),
    "a hash less": (lambda text: cut_out(text, 9), "invalid transparency proof"),
    "a hash more": (lambda text: line(text, 9, lambda each: each + b"\n" + each), "invalid transparency proof"),
    "a short hash": (lambda text: line(text, 9, lambda _: b"AAAA"), "bad hash"),
    "another format": (lambda text: line(text, 0, lambda _: b"c2sp.org/tlog-proof@v2"), "another format"),
}  # fmt: skip


def _in_checkpoint(proof: bytes, change: Callable[[bytes], bytes]) -> bytes:
    head, _, note = proof.partition(b"\n\n")
    return head + b"\n\n" + change(note)


@pytest.fixture
def proof_of_index(served: Served) -> tuple[bytes, bytes]:
    """A proof file with 17 hashes, and its leaf."""
    name = next(index for index in INDICES if 32_767 <= index < 65_535)
    text = (served.folder / f"proofs/{name}.tlog-proof").read_bytes()
    return text, (served.folder / f"leaves/{name}").read_bytes()


def test_go_rejects_a_tampered_checkpoint(served: Served, run, tmp_path: Path) -> None:
    original = (served.folder / "checkpoint").read_bytes()
    for name, (change, expected) in BAD_CHECKPOINTS.items():
        (tmp_path / "checkpoint").write_bytes(change(original))
        code, said = run("checkpoint", served.vkey, tmp_path / "checkpoint")
        assert (code, expected in said) == (1, True), (name, said)
    stranger = SigningKey.generate(original.split(b"\n")[0].decode())
    code, said = run("checkpoint", stranger.verifier, served.folder / "checkpoint")
    assert (code, "no verifiable signatures" in said) == (1, True), said


def test_go_rejects_a_tampered_proof_and_a_tampered_leaf(served: Served, run, tmp_path: Path, proof_of_index) -> None:
    text, leaf = proof_of_index
    assert len(text.partition(b"\n\n")[0].split(b"\n")) == 2 + 17
    proof, content = tmp_path / "a.tlog-proof", tmp_path / "leaf"
    proof.write_bytes(text)
    content.write_bytes(leaf)
    assert run("proof", served.vkey, proof, content)[0] == 0
    for at in (0, len(leaf) // 2, -1):
        content.write_bytes(flipped(leaf, at))
        assert run("proof", served.vkey, proof, content) == (1, "invalid transparency proof")
    content.write_bytes(leaf)
    for name, (change, expected) in BAD_PROOFS.items():
        proof.write_bytes(change(text))
        code, said = run("proof", served.vkey, proof, content)
        assert (code, expected in said) == (1, True), (name, said)


def test_go_rejects_a_tampered_consistency_proof(served: Served, run, tmp_path: Path) -> None:
    old, new = served.folder / "checkpoint.257", served.folder / "checkpoint.70000"
    found = json.loads((served.folder / "proofs/257-70000.json").read_text())
    wrong = tmp_path / "consistency.json"
    for number in range(len(found["hashes"])):
        hashes = list(found["hashes"])
        hashes[number] = flipped(bytes.fromhex(hashes[number])).hex()
        wrong.write_text(json.dumps({**found, "hashes": hashes}))
        assert run("consistency", served.vkey, old, new, wrong) == (1, "invalid transparency proof"), number
    for hashes in (found["hashes"][1:], [*found["hashes"], "00" * 32], found["hashes"][::-1], []):
        wrong.write_text(json.dumps({**found, "hashes": hashes}))
        assert run("consistency", served.vkey, old, new, wrong) == (1, "invalid transparency proof")
    wrong.write_text(json.dumps(found))
    other = served.folder / "checkpoint.256"
    assert run("consistency", served.vkey, other, new, wrong)[0] == 1


@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("tile/0/100", 4_000, "invalid record in tile|inconsistent tile"),
        ("tile/0/273.p/112", -1, "inconsistent tile"),
        ("tile/1/000", 77, "inconsistent tile"),
        ("tile/1/001.p/17", 0, "inconsistent tile"),
        ("tile/2/000.p/1", 31, "inconsistent tile"),
        ("tile/entries/100", 3_000, "entry|bundle"),
        ("tile/entries/273.p/112", 1, "bundle"),
        ("checkpoint", 40, "signature"),
        ("proofs/0.tlog-proof", 60, "proof|hash"),
    ],
)
def test_go_rejects_a_tree_with_one_changed_byte(
    served: Served, run, tmp_path: Path, name: str, at: int, expected
) -> None:
    folder = tmp_path / "log"
    shutil.copytree(served.folder, folder)
    (folder / name).write_bytes(flipped((folder / name).read_bytes(), at))
    code, said = run("tree", served.vkey, folder)
    assert code == 1
    assert any(each in said for each in expected.split("|")), said
