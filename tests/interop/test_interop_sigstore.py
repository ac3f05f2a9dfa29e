"""npm's @sigstore/verify on the proof files that our log serves, whole and tampered with."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.note import SigningKey
from tests.interop.served import INDICES, Served
from tests.interop.test_interop_go import cut_out, flipped, line, other_hash, other_signature

pytestmark = pytest.mark.xdist_group("interop")
SCRIPT = Path(__file__).with_name("verify.cjs")
SIGNATURE, ROOT = "invalid checkpoint signature", "calculated root hash does not match inclusion proof"

Run = Callable[[str, Path, Path], tuple[int, str]]


@pytest.fixture
def run(packages: Path) -> Run:
    environment = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}

    def node(vkey: str, proof: Path, leaf: Path) -> tuple[int, str]:
        command = ["node", SCRIPT, packages, vkey, proof, leaf]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.stderr == ""
        return done.returncode, done.stdout.strip()

    return node


def test_sigstore_verifies_every_proof_file(served: Served, run: Run) -> None:
    for index in INDICES:
        proof, leaf = served.folder / f"proofs/{index}.tlog-proof", served.folder / f"leaves/{index}"
        assert run(served.vkey, proof, leaf) == (0, "verified")
    assert run(served.vkey, served.folder / "proofs/0-of-1.tlog-proof", served.folder / "leaves/0") == (0, "verified")


def test_sigstore_rejects_what_was_tampered_with(served: Served, run: Run, tmp_path: Path) -> None:
    text = (served.folder / "proofs/32767.tlog-proof").read_bytes()
    leaf = (served.folder / "leaves/32767").read_bytes()
    hashes = text.partition(b"\n\n")[0].count(b"\n") - 1
    note = hashes + 3  # the line with the origin
    bad: dict[str, tuple[bytes, bytes, str]] = {
        "leaf": (text, flipped(leaf, 5), ROOT),
        "index": (line(text, 1, lambda _: b"index 32766"), leaf, ROOT),
        "index beyond": (line(text, 1, lambda _: b"index 70000"), leaf, "invalid index: 70000"),
        "hash": (line(text, 2, other_hash), leaf, ROOT),
        "last hash": (line(text, 1 + hashes, other_hash), leaf, ROOT),
        "a hash less": (cut_out(text, 2), leaf, "invalid hash count"),
        "size": (line(text, note + 1, lambda _: b"70001"), leaf, SIGNATURE),
        "root": (line(text, note + 2, other_hash), leaf, SIGNATURE),
        "signature": (line(text, note + 4, other_signature), leaf, SIGNATURE),
        "origin": (line(text, note, lambda name: name + b"x"), leaf, SIGNATURE),
    }
    proof, content = tmp_path / "a.tlog-proof", tmp_path / "leaf"
    for name, (changed, said_leaf, expected) in bad.items():
        proof.write_bytes(changed)
        content.write_bytes(said_leaf)
        assert run(served.vkey, proof, content) == (1, expected), name
    proof.write_bytes(text)
    content.write_bytes(leaf)
    stranger = SigningKey.generate(served.vkey.partition("+")[0])
    assert run(stranger.verifier, proof, content) == (1, SIGNATURE)
    assert run(served.vkey, proof, content) == (0, "verified")
