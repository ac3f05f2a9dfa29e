"""Signed notes, checkpoints and keys against the published C2SP, Go and Tessera vectors."""

import base64
import json
import stat
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit import note
from audit.merkle import leaf_hash

VECTORS = Path(__file__).parents[1] / "vectors" / "audit"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


SIGNED_NOTES = load("signed-note.json")
CHECKPOINTS = load("checkpoint.json")
OUTCOMES = {
    "unverified": note.UnverifiedNoteError,
    "invalid": note.InvalidSignatureError,
    "malformed": note.MalformedNoteError,
}


def verifiers_of(case: dict[str, Any]) -> list[note.Verifier]:
    return [note.Verifier.parse(each) for each in case.get("vkeys", [case["vkey"]] if "vkey" in case else [])]


@pytest.mark.parametrize("case", SIGNED_NOTES["notes"], ids=lambda case: case["name"])
def test_published_note(case: dict[str, Any]) -> None:
    content = base64.b64decode(case["note_b64"]) if "note_b64" in case else case["note"]
    if case["want"] != "valid":
        with pytest.raises(OUTCOMES[case["want"]]):
            note.open_note(content, verifiers_of(case))
        return
    text, names = note.open_note(content, verifiers_of(case))
    assert text == case["note"].partition("\n\n")[0] + "\n"
    assert names == [each.name for each in verifiers_of(case)]


def test_published_signing_keys_reproduce_their_notes() -> None:
    ran = 0
    for case in SIGNED_NOTES["notes"]:
        if "skey" in case:
            key = note.SigningKey.parse(case["skey"])
            assert key.verifier == case["vkey"]
            assert key.sign(case["note"].partition("\n\n")[0] + "\n") == case["note"]
            ran += 1
    assert ran


@pytest.mark.parametrize("vkey", SIGNED_NOTES["bad_vkeys"])
def test_published_bad_verifier_key(vkey: str) -> None:
    with pytest.raises(note.NoteError):
        note.Verifier.parse(vkey)


def test_a_verifier_key_with_a_wrong_key_id_is_refused() -> None:
    vkey = load("tessera-testdata-log.json")["vkey"]
    with pytest.raises(note.NoteError):
        note.Verifier.parse(vkey.replace("33d7b496", "33d7b497"))
    with pytest.raises(note.NoteError):
        note.Verifier.parse(vkey.replace("33d7b496", "33D7B496"))


def test_the_tessera_log_is_reproduced_byte_for_byte() -> None:
    log = load("tessera-testdata-log.json")
    key = note.SigningKey.parse(log["test_signing_key"])
    verifier = note.Verifier.parse(log["vkey"])
    assert key.verifier == log["vkey"]
    for size in range(16):
        published = base64.b64decode(log["files_b64"][f"checkpoint.{size}"])
        text, names = note.open_note(published, [verifier])
        assert names == [log["origin"]]
        checkpoint = note.parse_checkpoint(text)
        assert (checkpoint.origin, checkpoint.size) == (log["origin"], size)
        assert key.sign(checkpoint.text()).encode() == published


def test_published_checkpoint_texts() -> None:
    for each in CHECKPOINTS["tree_texts"]:
        checkpoint = note.parse_checkpoint(each["text"])
        assert (checkpoint.origin, checkpoint.size) == (each["origin"], each["size"])
        assert checkpoint.text() == each["text"]
    assert note.parse_checkpoint(CHECKPOINTS["tree_texts"][0]["text"]).root == leaf_hash(b"hello world")


def test_the_c2sp_example_parses() -> None:
    text, lines = note.parse_note(CHECKPOINTS["c2sp_checkpoint_example_note"])
    assert note.parse_checkpoint(text).size == 20852163
    assert [(line.name, len(line.signature)) for line in lines] == [("example.com/behind-the-sofa", 64)]


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"origin\n1\n{ROOT}",
        f"origin\n1\n{ROOT}\nextension\n",
        f"\n1\n{ROOT}\n",
        f"origin\n01\n{ROOT}\n",
        f"origin\n-1\n{ROOT}\n",
        f"origin\n+1\n{ROOT}\n",
        f"origin\n1 \n{ROOT}\n",
        f"origin\n١\n{ROOT}\n",
        f"origin\n{'9' * 20}\n{ROOT}\n",
        f"origin\n1\n{ROOT[:-4]}\n",
        f"origin\n1\n{ROOT.replace('A=', 'B=')}\n",
        f"origin\n1\n{ROOT[:-1]}\n",
        "origin\n1\n!\n",
    ],
)
def test_a_text_that_is_no_checkpoint(text: str) -> None:
    with pytest.raises(note.NoteError):
        note.parse_checkpoint(text)


def test_a_key_survives_its_file_and_only_the_owner_can_read_it(tmp_path: Path) -> None:
    key = note.SigningKey.generate("example.org/audit/admin")
    path = tmp_path / "admin.key"
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = note.SigningKey.load(path)
    assert again.verifier == key.verifier
    assert again.sign("text\n") == key.sign("text\n")
    with pytest.raises(FileExistsError):
        note.SigningKey.generate("other").save(path)
    assert note.SigningKey.load(path).verifier == key.verifier


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2028b", "a\x7fb", "a\ud800b"])
def test_a_name_that_could_be_misread_is_refused(name: str) -> None:
    with pytest.raises(note.NoteError):
        note.SigningKey.generate(name)


@pytest.mark.parametrize("text", ["", "PRIVATE+KEY+", "PRIVATE+KEY+a+00000000+AA==", "a+b"])
def test_what_is_no_signing_key(text: str) -> None:
    with pytest.raises(note.NoteError):
        note.SigningKey.parse(text)


def test_a_signing_key_with_a_wrong_key_id_is_refused() -> None:
    published = load("tessera-testdata-log.json")["test_signing_key"]
    with pytest.raises(note.NoteError):
        note.SigningKey.parse(published.replace("33d7b496", "33d7b497"))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])), st.integers(0))
def test_a_signed_text_opens_and_no_changed_byte_does(line: str, place: int) -> None:
    key = note.SigningKey("example.org/log", bytes(range(32)))
    verifier = note.Verifier.parse(key.verifier)
    signed = key.sign(line + "\n")
    assert note.open_note(signed, [verifier]) == (line + "\n", ["example.org/log"])
    changed = bytearray(signed.encode())
    changed[place % len(changed)] ^= 1
    with pytest.raises(note.NoteError):
        note.open_note(bytes(changed), [verifier])


@pytest.mark.parametrize("text", ["no newline", "", "tab\t\n", "surrogate \ud800\n"])
def test_a_text_that_cannot_be_signed(text: str) -> None:
    with pytest.raises(note.MalformedNoteError):
        note.SigningKey.generate("a").sign(text)


def test_a_note_that_is_too_long() -> None:
    with pytest.raises(note.MalformedNoteError):
        note.parse_note("a" * 1_000_001)


def test_a_witness_cosignature_covers_the_time_and_the_text() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public = private.public_key().public_bytes_raw()
    name, seconds = "witness.example.org", 1679315147
    text = CHECKPOINTS["tree_texts"][1]["text"]
    message = f"cosignature/v1\ntime {seconds}\n{text}"
    assert message == CHECKPOINTS["cosignature_v1_signed_message_example"]
    key_id = sha256(name.encode() + b"\n\x04" + public).digest()[:4]
    vkey = f"{name}+{key_id.hex()}+" + base64.b64encode(b"\x04" + public).decode()
    witness = note.Verifier.parse(vkey)
    blob = seconds.to_bytes(8, "big") + private.sign(message.encode())
    log = note.SigningKey.generate("example.com/behind-the-sofa")
    signed = log.sign(text) + f"— {name} {base64.b64encode(key_id + blob).decode()}\n"
    both = [witness, note.Verifier.parse(log.verifier)]
    assert note.open_note(signed, both) == (text, ["example.com/behind-the-sofa", name])
    assert not witness.verifies(text, (seconds + 1).to_bytes(8, "big") + blob[8:])
    assert not witness.verifies(text, b"")
