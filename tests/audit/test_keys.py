"""The keys that sign: who may read them, how one follows another, what is printed for paper. These tests commit."""

import io
import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from audit import highwater, keys, publisher, rotation
from audit.actors import SYSTEM
from audit.errors import Conflict, NotFound
from audit.keys import KeyFileError
from audit.models import Checkpoint, Event, LogKey, LogKeyEnd
from audit.note import SigningKey, UnverifiedNoteError, Verifier, open_note
from audit.rotation import Range
from tests.audit.signed_log import as_role, grow

LOG = "access"
ORIGIN = "plimsoll.local/audit/access"


def printed(*arguments: str) -> str:
    out = io.StringIO()
    with as_role():
        call_command("audit_key", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def first(fresh_database: str) -> SigningKey:
    with as_role():
        return publisher.signing_keys()[LOG][0]


# -- files -----------------------------------------------------------------------------------------------------------


def test_keys_are_made_once_and_for_their_owner_alone(first: SigningKey, signing_keys: Path) -> None:
    assert signing_keys.stat().st_mode & 0o777 == 0o700
    files = sorted(signing_keys.iterdir())
    assert [path.name for path in files] == ["plimsoll.local_audit_access.key", "plimsoll.local_audit_admin.key"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    with as_role():
        assert publisher.signing_keys()[LOG][0].verifier == first.verifier
    assert sorted(LogKey.objects.values_list("log", "from_size")) == [("access", 0), ("admin", 0)]


def key_file(signing_keys: Path) -> Path:
    return signing_keys / "plimsoll.local_audit_access.key"


def refused(match: str) -> None:
    with as_role(), pytest.raises(KeyFileError, match=match):
        publisher.signing_keys()
    with as_role(), pytest.raises(CommandError, match=match):
        call_command("sequencer", "--once")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(first: SigningKey, signing_keys: Path, mode: int) -> None:
    key_file(signing_keys).chmod(mode)
    refused("can be read by others")


def test_a_folder_that_others_can_read_is_refused(first: SigningKey, signing_keys: Path) -> None:
    signing_keys.chmod(0o750)
    refused("The folder signing-keys can be read by others")


def test_a_key_of_another_account_is_refused(first: SigningKey, signing_keys: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(key_file(signing_keys), 12345, -1)
    refused("belongs to another account")


@pytest.mark.parametrize("keep", [0, 1, 40, 60])
def test_a_truncated_key_is_refused(first: SigningKey, signing_keys: Path, keep: int) -> None:
    whole = key_file(signing_keys).read_bytes()
    key_file(signing_keys).write_bytes(whole[:keep])
    refused("holds no whole signing key")
    assert key_file(signing_keys).read_bytes() == whole[:keep]  # and nothing is written over it


def test_a_key_of_another_log_is_refused(first: SigningKey, signing_keys: Path) -> None:
    key_file(signing_keys).write_text((signing_keys / "plimsoll.local_audit_admin.key").read_text())
    refused("is for plimsoll.local/audit/admin, not for plimsoll.local/audit/access")


def test_a_refusal_never_shows_the_key(first: SigningKey, signing_keys: Path) -> None:
    secret = key_file(signing_keys).read_text()
    key_file(signing_keys).write_text(secret[:-6])
    with pytest.raises(KeyFileError) as refusal:
        keys.load(key_file(signing_keys), ORIGIN)
    assert "PRIVATE" not in str(refusal.value)
    assert secret[30:60] not in str(refusal.value)


# -- rotation --------------------------------------------------------------------------------------------------------


def test_rotation_from_the_first_note_to_the_last(first: SigningKey, signing_keys: Path) -> None:
    grow([first], 5)
    printed("rotate", "--log", LOG)
    with as_role():
        both = publisher.signing_keys()[LOG]
    second = next(key for key in both if key.verifier != first.verifier)
    assert rotation.ranges(LOG) == [Range(first.verifier, 0, None), Range(second.verifier, 6, None)]
    grow(both, 9)
    printed("retire", "--log", LOG, first.key_id.hex())
    with as_role():
        assert [key.verifier for key in publisher.signing_keys()[LOG]] == [second.verifier]
    grow(both, 12)  # even a process that still has the old key in memory does not use it

    notes = {row.size: row.note for row in Checkpoint.objects.filter(log=LOG)}
    old, new = Verifier.parse(first.verifier), Verifier.parse(second.verifier)
    assert open_note(notes[5], [old])[1] == open_note(notes[9], [old])[1] == [ORIGIN]
    assert open_note(notes[9], [new])[1] == open_note(notes[12], [new])[1] == [ORIGIN]
    for size, stranger in ((5, new), (12, old)):
        with pytest.raises(UnverifiedNoteError):
            open_note(notes[size], [stranger])
    assert json.loads(printed("trust", "--log", LOG)) == {
        "origin": ORIGIN,
        "keys": [
            {"key": first.verifier, "from_size": 0, "to_size": 9},
            {"key": second.verifier, "from_size": 6, "to_size": None},
        ],
        "witnesses": [],
    }
    names = {path.name for path in signing_keys.glob("*access*")}
    assert names == {
        f"plimsoll.local_audit_access.{second.key_id.hex()}.key",
        f"plimsoll.local_audit_access.{second.key_id.hex()}.signed",
        f"plimsoll.local_audit_access.{first.key_id.hex()}.signed",
    }


def test_rotation_is_announced_by_entries(first: SigningKey) -> None:
    grow([first], 5)
    with as_role():
        made = rotation.rotate(by=SYSTEM, log_name=LOG)
    grow(publisher.signing_keys()[LOG], 8)
    with as_role():
        rotation.retire(by=SYSTEM, log_name=LOG, verifier=first.verifier)
    rows = Event.objects.filter(log="admin", object_type="log", object_id=LOG).order_by("object_n")
    told = [json.loads(bytes(row.leaf_data)) for row in rows]
    assert [leaf["action"] for leaf in told] == ["audit_key.rotate", "audit_key.retire"]
    assert told[0]["change"]["after"]["keys"] == [
        {"key": first.verifier, "from_size": 0, "to_size": None},
        {"key": made.verifier, "from_size": 6, "to_size": None},
    ]
    assert told[1]["change"]["after"]["keys"][0] == {"key": first.verifier, "from_size": 0, "to_size": 8}


def test_the_only_key_is_never_retired(first: SigningKey, signing_keys: Path) -> None:
    grow([first], 5)
    with as_role(), pytest.raises(Conflict, match="only key of the log access"):
        rotation.retire(by=SYSTEM, log_name=LOG, verifier=first.verifier)
    assert not LogKeyEnd.objects.exists()
    assert key_file(signing_keys).exists()
    (refusal,) = Event.objects.filter(action="audit_key.retire")
    assert refusal.outcome == "denied"


def test_a_key_is_not_retired_before_the_new_one_has_signed(first: SigningKey) -> None:
    grow([first], 5)
    with as_role():
        rotation.rotate(by=SYSTEM, log_name=LOG)
        with pytest.raises(Conflict, match="has not signed the log access yet"):
            rotation.retire(by=SYSTEM, log_name=LOG, verifier=first.verifier)
        with pytest.raises(Conflict, match="already has 2 keys in use"):
            rotation.rotate(by=SYSTEM, log_name=LOG)
    assert not LogKeyEnd.objects.exists()


def test_a_rotation_that_is_not_recorded_leaves_no_key_behind(
    first: SigningKey, signing_keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(signing_keys.iterdir())
    with as_role(), monkeypatch.context() as patched:
        patched.setattr("audit.door.trail.append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rotation.rotate(by=SYSTEM, log_name=LOG)
    assert sorted(signing_keys.iterdir()) == before
    assert rotation.ranges(LOG) == [Range(first.verifier, 0, None)]


def test_the_private_half_of_a_retired_key_is_overwritten(
    first: SigningKey, signing_keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = key_file(signing_keys).read_bytes()
    linked = signing_keys / "seen-after"
    os.link(key_file(signing_keys), linked)
    assert keys.destroy(ORIGIN, first.verifier)
    assert not key_file(signing_keys).exists()
    assert len(linked.read_bytes()) == len(secret)
    assert secret[:20] not in linked.read_bytes()
    assert not keys.destroy(ORIGIN, first.verifier)


def test_a_key_laid_in_the_folder_without_an_announcement_signs_nothing(first: SigningKey, signing_keys: Path) -> None:
    intruder = SigningKey.generate(ORIGIN)
    intruder.save(signing_keys / "plimsoll.local_audit_access.intruder.key")
    with as_role():
        found = publisher.signing_keys()[LOG]
    assert {key.verifier for key in found} == {first.verifier, intruder.verifier}
    grow(found, 3)
    assert highwater.read(intruder) is None
    assert highwater.read(first) is not None


# -- what is printed -------------------------------------------------------------------------------------------------


def test_what_goes_on_paper_comes_from_the_database_alone(first: SigningKey, signing_keys: Path) -> None:
    for path in signing_keys.iterdir():
        path.unlink()
    digest = sha256(first.verifier.encode()).hexdigest()
    groups = " ".join(digest[place : place + 4] for place in range(0, 64, 4))
    shown = printed()
    assert shown == printed("show")
    assert f"origin       {ORIGIN}\n" in shown
    assert f"verifier key {first.verifier}\nkey id       {first.verifier.split('+')[1]}\n" in shown
    assert f"signs sizes  0 to now\nfingerprint  {groups}\n" in shown
    assert "PRIVATE" not in shown


def test_an_unknown_log_or_key_is_a_sentence(first: SigningKey) -> None:
    with as_role(), pytest.raises(NotFound, match="There is no log named 'other'"):
        rotation.rotate(by=SYSTEM, log_name="other")
    with pytest.raises(CommandError, match="The log access has no such key in use"):
        printed("retire", "--log", LOG, "00000000")
    with pytest.raises(CommandError, match="invalid choice: 'other'"):
        printed("trust", "--log", "other")
