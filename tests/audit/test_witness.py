"""A witness that is a program of its own, and what we make of its answers. These tests commit."""

import base64
import hashlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import merkle, publisher, rotation
from audit.actors import SYSTEM
from audit.anchors import AnchorError, Head, OtherHistory
from audit.anchors.witness import WitnessAnchor
from audit.models import AnchorReceipt, Cosignature
from audit.note import SigningKey, Verifier, open_note
from audit.rounds import Rounds
from audit.standing import standing
from tests.audit.signed_log import as_role, copy_of, grow, insert, newest, sequence, superuser, until, use

LOG, ORIGIN, NAME = "access", "plimsoll.local/audit/access", "witness.example/w1"
SEED = bytes(range(32))
PROGRAM = Path(__file__).with_name("witness_program.py")


def vkey(name: str, seed: bytes) -> str:
    """A witness's verifier key, put together by hand from the specification."""
    public = b"\x04" + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    identity = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    return f"{name}+{identity.hex()}+{base64.b64encode(public).decode()}"


class Witness:
    """The running program, its configuration and its state."""

    def __init__(self, folder: Path, logs: dict[str, list[str]]) -> None:
        self.config, self.state = folder / "witness.json", folder / "state.json"
        self.knows(logs)
        arguments = [sys.executable, str(PROGRAM), str(self.config), str(self.state)]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"

    def knows(self, logs: dict[str, list[str]], seed: bytes = SEED) -> None:
        self.config.write_text(json.dumps({"name": NAME, "seed": seed.hex(), "logs": logs}))

    def held(self) -> list:
        return json.loads(self.state.read_text())[ORIGIN]

    def anchor(self, verifier: str = "") -> WitnessAnchor:
        return WitnessAnchor("w1", (LOG,), 0.0, self.url, verifier or vkey(NAME, SEED))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def witness(key: SigningKey, tmp_path: Path) -> Iterator[Witness]:
    running = Witness(tmp_path, {ORIGIN: [key.verifier]})
    yield running
    running.stop()


def test_a_witness_follows_a_growing_log_and_its_cosignature_stands_in_the_note(
    key: SigningKey, witness: Witness
) -> None:
    for size in (1, 2, 7, 8, 256, 300, 1_000):
        grow([key], size)
        receipt = witness.anchor().submit(newest())
        assert witness.held() == [size, newest().root.hex()]
        (line,) = receipt.lines
        text, signers = open_note(f"{newest().note}{line}\n", [Verifier.parse(vkey(NAME, SEED))])
        assert signers == [NAME]
        assert text.splitlines()[:2] == [ORIGIN, str(size)]
    assert witness.anchor().submit(newest()).lines  # the same again is cosigned again


def test_a_witness_is_asked_by_submitting(key: SigningKey, witness: Witness) -> None:
    empty = publisher.empty_note(LOG, [key])
    assert witness.anchor().head(newest(empty)) == Head(0, merkle.EMPTY_ROOT)
    assert witness.held() == [0, merkle.EMPTY_ROOT.hex()]
    grow([key], 5)
    assert witness.anchor().head(newest()) == Head(5, newest().root)
    grow([key], 9)
    assert witness.anchor().head(newest()) == Head(9, newest().root)
    assert witness.anchor().head(newest()) == Head(9, newest().root)
    assert witness.anchor().head(newest(empty)) == Head(9, newest().root)


def test_a_witness_that_holds_more_is_believed(key: SigningKey, witness: Witness, fresh_database: str) -> None:
    grow([key], 5)
    older, empty = newest(), publisher.empty_note(LOG, [key])
    grow([key], 9)
    witness.anchor().submit(newest())
    assert witness.anchor().head(older) == Head(9, None)
    with pytest.raises(OtherHistory, match="The witness holds size 9"):
        witness.anchor().submit(older)
    superuser("audit_checkpoint", ("DELETE FROM audit_checkpoint WHERE log = %s", [LOG]))
    assert witness.anchor().head(newest(empty)) == Head(9, None)  # asked with the checkpoint of the empty log


def fork(witness: Witness, size: int) -> None:
    """Let the witness hold another root at a size."""
    witness.state.write_text(json.dumps({ORIGIN: [size, "ab" * 32]}))


@pytest.mark.parametrize("held", [9, 6, 4])
def test_a_witness_that_saw_other_entries_is_believed(key: SigningKey, witness: Witness, held: int) -> None:
    grow([key], 4, 9)
    fork(witness, held)
    for deal in (witness.anchor().submit, witness.anchor().head):
        with pytest.raises(OtherHistory, match=f"The witness holds other entries up to size {held}"):
            deal(newest())


def test_a_proof_is_checked_before_it_is_sent(key: SigningKey, witness: Witness) -> None:
    """A witness that refuses it afterwards holds another history; it is not our tree that is broken."""
    grow([key], 4)
    witness.anchor().submit(newest())
    grow([key], 300)
    superuser("audit_tile", ("UPDATE audit_tile SET hashes = set_byte(hashes, 200, 1 # get_byte(hashes, 200))", []))
    with pytest.raises(AnchorError, match="it cannot be proven that size 300 continues size 4") as refusal:
        witness.anchor().submit(newest())
    assert not isinstance(refusal.value, OtherHistory)


def test_what_a_witness_refuses_is_a_sentence(key: SigningKey, witness: Witness) -> None:
    grow([key], 5)
    witness.knows({"other": [key.verifier]})
    with pytest.raises(AnchorError, match=r"^The witness does not know this log's origin \(404\): unknown log$"):
        witness.anchor().submit(newest())
    witness.knows({ORIGIN: [SigningKey.generate(ORIGIN).verifier]})
    with pytest.raises(AnchorError, match=r"trusts none of the keys that signed this checkpoint \(403\)"):
        witness.anchor().submit(newest())
    witness.stop()
    with pytest.raises(AnchorError, match="127.0.0.1 does not answer"):
        witness.anchor().submit(newest())


def test_a_cosignature_by_another_key_is_not_believed(key: SigningKey, witness: Witness) -> None:
    grow([key], 5)
    with pytest.raises(AnchorError, match="does not verify with the key it is configured with"):
        witness.anchor(vkey(NAME, bytes(32))).submit(newest())
    with pytest.raises(AnchorError, match="does not verify with the key it is configured with"):
        witness.anchor(vkey("witness.example/w2", SEED)).submit(newest())


def test_a_witness_that_knows_one_of_two_keys_is_content(key: SigningKey, witness: Witness) -> None:
    grow([key], 5)
    with as_role():
        rotation.rotate(by=SYSTEM, log_name=LOG)
        both = publisher.signing_keys()[LOG]
    grow(both, 9)
    assert witness.anchor().submit(newest()).lines
    with as_role():
        rotation.retire(by=SYSTEM, log_name=LOG, verifier=key.verifier)
    grow(both, 12)
    with pytest.raises(AnchorError, match="403"):
        witness.anchor().submit(newest())
    witness.knows({ORIGIN: [key.verifier, both[1].verifier]})
    assert witness.anchor().submit(newest()).lines


def test_what_is_cosigned_is_kept_and_makes_the_log_witnessed(
    key: SigningKey, witness: Witness, notices, settings, tmp_path: Path
) -> None:
    listed = tmp_path / "anchors.toml"
    listed.write_text(
        f'[[anchor]]\nname = "w1"\nkind = "witness"\nurl = "{witness.url}"\nverifier = "{vkey(NAME, SEED)}"\n'
        f'logs = ["{LOG}"]\n'
    )
    settings.PLIMSOLL_ANCHORS = listed
    assert rotation.trust(LOG)["witnesses"] == [vkey(NAME, SEED)]
    assert rotation.trust("admin")["witnesses"] == []
    grow([key], 5)
    assert not standing(LOG).witnessed
    with as_role():
        rounds = Rounds([witness.anchor()])
        rounds.turn()
        until(lambda: AnchorReceipt.objects.filter(anchor="w1", size=6).exists())  # the sixth is the first tick
        rounds.anchoring.stop()
    (confirmed,) = standing(LOG).confirmations
    assert (confirmed.anchor, confirmed.kind, confirmed.size) == ("w1", "witness", 6)
    lines = {row.size: row.line for row in Cosignature.objects.filter(log=LOG)}
    _, signers = open_note(f"{newest().note}{lines[6]}\n", [Verifier.parse(vkey(NAME, SEED))])
    assert signers == [NAME]
    assert confirmed.receipt == lines[6]


def test_after_a_restore_a_witness_stops_the_signing(
    key: SigningKey, witness: Witness, fresh_database: str, notices, signing_keys: Path
) -> None:
    grow([key], 5)
    with copy_of(fresh_database) as older:
        grow([key], 9)
        witness.anchor().submit(newest())
        use(older)
        for mark in signing_keys.glob("*.signed"):
            mark.unlink()
        for start, end in ((5, 7), (5_000, 5_010)):  # smaller than what the witness holds, then larger
            insert(start, end)
            with as_role():
                sequence()
                rounds = Rounds([witness.anchor()])
                rounds.turn()
                rounds.anchoring.stop()
            assert "It holds size 9, and in the database only 5 entries are signed." in standing(LOG).refusal
            assert newest().size == 5
        grow([key], 30)  # somebody has it signed with the witness out of reach
        with as_role():
            rounds = Rounds([witness.anchor()])
            insert(6_000, 6_001)
            rounds.turn()
            rounds.anchoring.stop()
        assert "The witness holds other entries up to size 9." in standing(LOG).refusal
        assert newest().size == 30
        assert witness.held()[0] == 9


def test_the_program_itself_refuses_what_the_protocol_refuses(key: SigningKey, witness: Witness) -> None:
    """So that a test that passes means something: 400, 409 with its size, 422."""
    grow([key], 5, 9)
    witness.anchor().submit(newest())
    proof = [base64.b64encode(node).decode() for node in newest().prove(5)]
    for request, status, body in (
        (["old 10", "", newest().note], 400, "old size beyond the checkpoint"),
        (["old x", "", newest().note], 400, "malformed"),
        (["old 5", *proof, "", newest().note], 409, "9\n"),
        (["old 9", proof[0], "", newest().note], 422, "inconsistent"),
    ):
        sent = urllib.request.Request(f"{witness.url}/add-checkpoint", data="\n".join(request).encode())
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(sent)
        assert (refusal.value.code, refusal.value.read().decode()) == (status, body)
        refusal.value.close()
