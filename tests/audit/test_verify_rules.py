"""What else the verifier insists on: proof, checkpoint, keys, chains, disclosures, witnesses, usable input."""

import base64
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import disclosure, note
from tests.audit.sample_log import (
    BUNDLES,
    KEY,
    LOG,
    ORIGIN,
    SIZE,
    Log,
    a_log,
    edit,
    edit_lines,
    judge,
    last_line,
    unpacked,
)

# -- proof, checkpoint, manifest, key ---------------------------------------------------------------------------------


def test_any_changed_hash_of_a_proof_is_refused(tmp_path: Path) -> None:
    for kind, name in (("part", "range-proof"), ("chosen", "proofs.ndjson")):
        original = zipfile.ZipFile(io.BytesIO(BUNDLES[kind])).read(name)
        proofs = [json.loads(line) for line in original.splitlines()] if kind == "chosen" else [json.loads(original)]
        for digest in [
            each for proof in proofs for hashes in proof.values() if isinstance(hashes, list) for each in hashes
        ]:
            folder = unpacked(BUNDLES[kind], tmp_path / kind)
            other = f"{int(digest[0], 16) ^ 1:x}{digest[1:]}"
            edit(folder, name, lambda body, one=digest, other=other: body.replace(one.encode(), other.encode()))
            code, line = last_line(folder)
            assert code == 1
            assert line.startswith("TAMPERED  proof:")


@pytest.mark.parametrize("change", [{"start": 8}, {"end": 28}, {"size": 35}, {"start": 6, "end": 28}, {"left": []}])
def test_changed_numbers_in_the_range_proof_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    edit(folder, "range-proof", lambda body: json.dumps({**json.loads(body), **change}).encode())
    assert judge(folder)[0] == 1


def test_any_flipped_bit_of_the_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = unpacked(LOG.zip_of_range(0, 1, disclosures=[]), tmp_path / "bundle")
    original = (folder / "checkpoint").read_bytes()
    for place in range(len(original)):
        changed = bytearray(original)
        changed[place] ^= 1 << place % 7
        (folder / "checkpoint").write_bytes(changed)
        code, line = last_line(folder)
        assert (code, line[:20]) == (1, "TAMPERED  signature:"), place


def test_another_spelling_of_the_same_signature_is_refused(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def respell(body: bytes) -> bytes:  # 68 bytes leave two unused bits in the last letter
        assert body.endswith(b"=\n")
        return body[:-3] + alphabet[alphabet.index(body[-3]) ^ 1 :][:1] + body[-2:]

    edit(folder, "checkpoint", respell)
    assert last_line(folder)[1].startswith("TAMPERED  signature: the file checkpoint is damaged")


@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4, 5], [0, 0, 1, 2, 3, 4]], ids=["swapped", "doubled"])
def test_chosen_entries_moved_together_with_their_proofs_are_refused(order: list[int], tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["chosen"], tmp_path / "bundle")
    for name in ("events.ndjson", "leaf-hashes", "proofs.ndjson"):
        edit_lines(folder, name, lambda lines: lines.__setitem__(slice(None), [lines[place] for place in order]))
    code, line = last_line(folder)
    assert (code, line[:16]) == (1, "TAMPERED  proof:")


def test_a_checkpoint_of_another_log_is_refused(tmp_path: Path) -> None:
    other = "plimsoll.example.org/audit/access"
    text = note.Checkpoint(other, SIZE, LOG.tree.root()).text()
    folder = unpacked(LOG.zip_of_range(checkpoint_note=KEY.sign(text)), tmp_path / "bundle")
    assert last_line(folder)[1].startswith("TAMPERED  manifest:")


@pytest.mark.parametrize("change", [{"entries": 35}, {"size": 37}, {"origin": "x"}, {"completeness": "inclusion"}])
def test_a_manifest_that_disagrees_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    edit(folder, "manifest.json", lambda body: json.dumps({**json.loads(body), **change}).encode())
    code, line = last_line(folder)
    assert (code, line[:19]) == (1, "TAMPERED  manifest:")


def test_a_bundle_rebuilt_and_signed_with_another_key_fails_against_the_real_key(tmp_path: Path) -> None:
    forger = note.SigningKey.generate(ORIGIN)
    forged = a_log(SIZE - 1)
    checkpoint = forger.sign(note.Checkpoint(ORIGIN, SIZE - 1, forged.tree.root()).text())
    keys = [{"key": forger.verifier, "from_size": 0, "to_size": None}]
    archive = forged.zip_of_range(checkpoint_note=checkpoint, verifier_keys=keys)
    folder = unpacked(archive, tmp_path / "bundle")
    code, out = judge(folder)
    assert code == 0  # it agrees with itself, and the output says that this is all
    assert "WARNING: the key comes from the bundle itself" in out
    assert last_line(folder, "--key", KEY.verifier) == (
        1,
        "TAMPERED  signature: the checkpoint is not signed by a trusted key of the log",
    )


@pytest.mark.parametrize(("from_size", "to_size", "code"), [(0, 36, 0), (36, None, 0), (37, None, 1), (0, 35, 1)])
def test_a_key_counts_only_for_the_sizes_it_signed(
    from_size: int, to_size: int | None, code: int, tmp_path: Path
) -> None:
    keys = [{"key": KEY.verifier, "from_size": from_size, "to_size": to_size}]
    assert judge(unpacked(LOG.zip_of_range(verifier_keys=keys), tmp_path / "bundle"))[0] == code


# -- chains of events per object --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "prev", "message"),
    [
        (4, "chain", "chain: entry 2 ({}) counts as event 4 of its object; the one before it was 2"),
        (2, "chain", "chain: entry 2 ({}) counts as event 2 of its object; the one before it was 2"),
        (3, "0" * 64, "chain: entry 2 ({}) does not name the event of its object before it"),
        (3, None, "chain: entry 2 ({}) does not name the event of its object before it"),
    ],
)
def test_a_hole_that_was_signed_is_found(n: int, prev: str | None, message: str, tmp_path: Path) -> None:
    log = Log()
    log.append("a")
    log.append("a")
    log.append("a", n=n, prev=prev)
    event_id = json.loads(log.leaves[2])["id"]
    told = message.format(f'id "{event_id}", action "model_version.create"')
    assert last_line(unpacked(log.zip_of_range(), tmp_path / "bundle")) == (1, f"TAMPERED  {told}")


def test_the_first_event_of_an_object_counts_as_one(tmp_path: Path) -> None:
    log = a_log(2)
    log.append("new", n=2, prev="0" * 64)
    code, line = last_line(unpacked(log.zip_of_range(), tmp_path / "whole"))
    assert (code, line[:25]) == (1, "TAMPERED  chain: entry 2 ")
    # Seen from entry 1 on, the object's first event may lie before the range.
    assert judge(unpacked(log.zip_of_range(1), tmp_path / "part"))[0] == 0


# -- disclosures ------------------------------------------------------------------------------------------------------


def test_a_changed_disclosure_is_red_and_names_its_entry(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    other = disclosure.disclose("comment", "Kommentar 7")[0]

    def swap(lines: list[bytes]) -> None:
        lines[0] = json.dumps({**json.loads(lines[0]), "disclosure": other}).encode() + b"\n"

    edit_lines(folder, "disclosures.ndjson", swap)
    code, line = last_line(folder)
    assert code == 1
    assert line.startswith("TAMPERED  disclosure: line 1 of disclosures.ndjson is no value that entry 7 (id ")


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"not json", b'{"event_id":1,"disclosure":null}', b"\xff"])
def test_a_line_that_is_no_disclosure_is_red(line: bytes, tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    edit_lines(folder, "disclosures.ndjson", lambda lines: lines.insert(5, line + b"\n"))
    code, last = last_line(folder)
    assert code == 1
    assert last.startswith("TAMPERED  disclosure: line 6 of disclosures.ndjson is no value that any entry here")


def test_a_disclosure_under_another_entry_is_red(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    edit(folder, "disclosures.ndjson", lambda body: body.replace(b"000007", b"000008"))
    assert judge(folder)[0] == 1


def test_an_erased_value_is_green_and_counted(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    edit_lines(folder, "disclosures.ndjson", lambda lines: lines.pop(9))
    code, out = judge(folder)
    assert code == 0
    assert "personal values disclosed: 71; erased or withheld: 1" in out
    (folder / "disclosures.ndjson").unlink()
    code, out = judge(folder)
    assert code == 0
    assert "personal values disclosed: 0; erased or withheld: 72" in out


# -- witnesses and policies -------------------------------------------------------------------------------------------

WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(32))
WITNESS_TYPED = b"\x04" + WITNESS.public_key().public_bytes_raw()
WITNESS_ID = hashlib.sha256(b"witness.example.org\n" + WITNESS_TYPED).digest()[:4]
WITNESS_KEY = f"witness.example.org+{WITNESS_ID.hex()}+{base64.b64encode(WITNESS_TYPED).decode()}"


def cosigned(signed_time: int, stated_time: int) -> str:
    text = LOG.checkpoint().partition("\n\n")[0] + "\n"
    signature = WITNESS.sign(f"cosignature/v1\ntime {signed_time}\n{text}".encode())
    blob = WITNESS_ID + stated_time.to_bytes(8, "big") + signature
    return LOG.checkpoint(f"— witness.example.org {base64.b64encode(blob).decode()}\n")


def test_a_known_witness_counts_and_an_unknown_one_does_not(tmp_path: Path) -> None:
    folder = unpacked(LOG.zip_of_range(checkpoint_note=cosigned(1679315147, 1679315147)), tmp_path / "bundle")
    code, out = judge(folder, "--key", KEY.verifier, "--key", WITNESS_KEY, "--require-witness")
    assert code == 0
    assert "witnessed by 'witness.example.org' on 2023-03-20 at 12:25:47 UTC" in out
    assert out.splitlines()[-1] == "VERIFIED  entries 0–35 of 36"
    code, line = last_line(folder, "--key", KEY.verifier, "--require-witness")
    assert (code, line) == (2, "NOT ENOUGH  entries 0–35 of 36, UNWITNESSED")
    assert judge(folder, "--key", KEY.verifier)[0] == 0


def test_a_cosignature_with_another_time_is_red(tmp_path: Path) -> None:
    folder = unpacked(LOG.zip_of_range(checkpoint_note=cosigned(1679315147, 1679315148)), tmp_path / "bundle")
    code, line = last_line(folder, "--key", KEY.verifier, "--key", WITNESS_KEY)
    assert (code, line) == (1, "TAMPERED  signature: the checkpoint is not what 'witness.example.org' signed")


def test_what_a_policy_asks_for_and_is_not_shown_is_exit_2(tmp_path: Path) -> None:
    for kind, code in (("whole", 0), ("part", 2), ("chosen", 2)):
        folder = unpacked(BUNDLES[kind], tmp_path / kind)
        assert judge(folder, "--require-witness")[0] == 2
        assert judge(folder, "--require-complete")[0] == code


# -- input that cannot be judged --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["manifest.json", "checkpoint", "trust.json", "events.ndjson", "leaf-hashes", "range-proof"]
)
def test_a_missing_file_is_unusable(name: str, tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    (folder / name).unlink()
    assert last_line(folder) == (3, f"UNUSABLE  ValueError: 'the bundle lacks {name}'")


@pytest.mark.parametrize("name", ["manifest.json", "trust.json", "leaf-hashes", "range-proof"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff"])
def test_nonsense_in_a_file_is_never_a_success_or_a_traceback(name: str, content: bytes, tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    (folder / name).write_bytes(content)
    assert judge(folder)[0] == (1 if (name, content) == ("leaf-hashes", b"") else 3)


@pytest.mark.parametrize(
    "change", [{"start": -1}, {"end": 2**63}, {"start": 9, "end": 8}, {"left": ["xy"]}, {"right": [1]}]
)
def test_impossible_numbers_are_unusable(change: dict[str, Any], tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["part"], tmp_path / "bundle")
    edit(folder, "range-proof", lambda body: json.dumps({**json.loads(body), **change}).encode())
    assert judge(folder)[0] == 3


def test_what_is_no_bundle_at_all(tmp_path: Path) -> None:
    assert judge(tmp_path)[0] == 3
    assert judge(tmp_path / "nothing")[0] == 3
    (tmp_path / "text").write_text("not a zip")
    assert judge(tmp_path / "text")[0] == 3
    (tmp_path / "broken.zip").write_bytes(BUNDLES["whole"][:-40])
    assert judge(tmp_path / "broken.zip")[0] == 3
    broken = bytearray(BUNDLES["whole"])
    with zipfile.ZipFile(io.BytesIO(broken)) as archive:
        member = archive.getinfo("events.ndjson")
    broken[member.header_offset + 30 + len("events.ndjson") + member.compress_size // 2] ^= 1
    (tmp_path / "broken.zip").write_bytes(broken)
    assert judge(tmp_path / "broken.zip")[0] == 3


@pytest.mark.parametrize(
    "arguments", [["--key", "nonsense"], ["--key", KEY.verifier[:-4] + "AAAA"], ["--unknown"], ["--key"]]
)
def test_bad_usage_is_exit_3(arguments: list[str], tmp_path: Path) -> None:
    assert judge(unpacked(BUNDLES["whole"], tmp_path / "bundle"), *arguments)[0] == 3


def test_a_terminal_that_lacks_characters_does_not_stop_the_judge(tmp_path: Path) -> None:
    folder = unpacked(BUNDLES["whole"], tmp_path / "bundle")
    command = [sys.executable, "-S", str(folder / "verify.py")]
    done = subprocess.run(command, env={"PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"VERIFIED  entries 0\\u201335 of 36, UNWITNESSED\n")
