"""Signing: only committed roots, with every key in use, and never a second history. These tests commit."""

import json
from pathlib import Path

import pytest

from audit import highwater, merkle, publisher, rotation, sequencer
from audit.keys import KeyFileError
from audit.models import Checkpoint, LogKey, Tree
from audit.note import Checkpoint as CheckpointText
from audit.note import SigningKey, UnverifiedNoteError, Verifier, open_note, parse_checkpoint, parse_note
from audit.publisher import SigningRefused
from audit.standing import standing
from tests.audit.grown_log import leaf_of
from tests.audit.signed_log import as_role, copy_of, grow, insert, newest_note, sequence, superuser, use

LOG = "access"


def leaves(*, end: int, start: int = 0) -> list[bytes]:
    return [merkle.leaf_hash(leaf_of(number)) for number in range(start, end)]


def test_a_signed_root_is_over_the_events_and_the_high_water_mark_says_so(key: SigningKey) -> None:
    grow([key], 3, 300)
    root = merkle.MemoryTree(leaves(end=300)).root()
    text, signers = open_note(newest_note(), [Verifier.parse(key.verifier)])
    assert parse_checkpoint(text) == CheckpointText("plimsoll.local/audit/access", 300, root)
    assert signers == ["plimsoll.local/audit/access"]
    assert json.loads(highwater.path_of(key).read_text()) == {"root": root.hex(), "size": 300}
    assert highwater.path_of(key).stat().st_mode & 0o777 == 0o600
    assert Checkpoint.objects.filter(log=LOG).count() == 2


def test_there_is_nothing_to_sign_twice(key: SigningKey) -> None:
    grow([key], 5)
    note = newest_note()
    with as_role():
        assert publisher.publish(LOG, [key]) is None
        assert publisher.unsigned() == []
        insert(5, 6)
        sequence()
        assert publisher.unsigned() == [LOG]
    assert newest_note() == note


def test_while_keys_overlap_a_note_has_a_line_of_each(key: SigningKey) -> None:
    second, unannounced = (SigningKey.generate(key.name) for _ in range(2))
    grow([key], 4)
    with as_role():
        LogKey.objects.bulk_create([LogKey(verifier=second.verifier, log=LOG, from_size=6)])
    grow([key, second, unannounced], 5, 6)
    by_size = {row.size: row.note for row in Checkpoint.objects.filter(log=LOG)}
    ids = {size: [line.key_id for line in parse_note(note)[1]] for size, note in by_size.items()}
    assert ids == {4: [key.key_id], 5: [key.key_id], 6: [key.key_id, second.key_id]}
    for each in (key, second):
        assert open_note(by_size[6], [Verifier.parse(each.verifier)])[1] == [key.name]
    with pytest.raises(UnverifiedNoteError):
        open_note(by_size[6], [Verifier.parse(unannounced.verifier)])


def test_without_an_announced_key_nothing_is_signed(key: SigningKey) -> None:
    insert(0, 2)
    with as_role():
        sequence()
        with pytest.raises(SigningRefused, match="No key in the sequencer's folder is announced for size 2"):
            publisher.publish(LOG, [SigningKey.generate(key.name)])
    assert not Checkpoint.objects.exists()


def test_a_crash_before_the_note_is_stored_is_harmless(key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    grow([key], 2)
    insert(2, 9)
    with as_role():
        sequence()
        with monkeypatch.context() as patched:
            patched.setattr(publisher, "sign_all", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                publisher.publish(LOG, [key])
        assert highwater.read(key) == highwater.Mark(9, merkle.MemoryTree(leaves(end=9)).root())
        assert publisher.publish(LOG, [key]) == 9


def refused(key: SigningKey, match: str) -> None:
    before = Checkpoint.objects.filter(log=LOG).count()
    with as_role(), pytest.raises(SigningRefused, match=match):
        publisher.publish(LOG, [key])
    assert Checkpoint.objects.filter(log=LOG).count() == before


def forged_tree(size: int, changed: int) -> tuple[bytes, list[bytes]]:
    """Root and frontier of a log in which one entry is another."""
    hashes = leaves(end=size)
    hashes[changed] = merkle.leaf_hash(b"forged")
    frontier = merkle.extend([], 0, hashes)
    return merkle.root_of(frontier, size), frontier


@pytest.mark.parametrize("changed", [3, 25])
def test_a_tree_whose_root_its_leaves_do_not_give_is_not_signed(key: SigningKey, changed: int) -> None:
    """Entry 3 was signed before, entry 25 never."""
    grow([key], 20)
    insert(20, 30)
    with as_role():
        sequence()
    root, frontier = forged_tree(30, changed)
    superuser("audit_tree", ("UPDATE audit_tree SET root = %s, frontier = %s WHERE size = 30", [root, frontier]))
    refused(key, "root of the log access at size 30 is not the one")


def rewrite(size: int, changed: int) -> None:
    """Change one entry and everything that follows from it, as someone with the database in hand can."""
    forged = merkle.leaf_hash(b"forged")
    superuser(
        "audit_leaf", ("UPDATE audit_leaf SET leaf_hash = %s WHERE log = 'access' AND seq = %s", [forged, changed])
    )
    changes = []
    for tree in Tree.objects.filter(log=LOG, size__gt=changed, size__lte=size):
        root, frontier = forged_tree(tree.size, changed)
        changes.append(("UPDATE audit_tree SET root = %s, frontier = %s WHERE size = %s", [root, frontier, tree.size]))
    superuser("audit_tree", *changes)


def test_a_history_rewritten_throughout_is_not_continued(key: SigningKey) -> None:
    grow([key], 10, 20)
    insert(20, 30)
    with as_role():
        sequence()
    rewrite(30, changed=12)
    refused(key, "was signed at size 20 with another root")


def test_nor_is_it_when_the_high_water_mark_is_gone(key: SigningKey) -> None:
    """The newest checkpoint in the database still binds it."""
    grow([key], 10, 20)
    insert(20, 30)
    with as_role():
        sequence()
    rewrite(30, changed=12)
    highwater.path_of(key).unlink()
    refused(key, "was signed at size 20 with another root")


def test_a_checkpoint_that_nobody_signed_stops_the_signing(key: SigningKey) -> None:
    grow([key], 10)
    insert(10, 11)
    with as_role():
        sequence()
    forged = SigningKey.generate(key.name).sign(parse_note(newest_note())[0])
    superuser("audit_checkpoint", ("UPDATE audit_checkpoint SET note = %s", [forged]))
    refused(key, "size 10 in the log access is not signed by a key of this log")


def test_a_missing_leaf_hash_stops_the_signing(key: SigningKey) -> None:
    grow([key], 10)
    insert(10, 20)
    with as_role():
        sequence()
    superuser("audit_leaf", ("DELETE FROM audit_leaf WHERE log = 'access' AND seq = 15", []))
    refused(key, "Entries between 10 and 20 of the log access have no leaf hash")


def test_an_older_copy_of_the_database_gets_no_signature(key: SigningKey, fresh_database: str) -> None:
    grow([key], 10)
    with copy_of(fresh_database) as older:
        grow([key], 25)
        use(older)
        with as_role(), pytest.raises(SigningRefused, match="signed up to size 25, and the database holds only 10"):
            publisher.examine(LOG, [key])  # there is nothing to sign, and it is noticed all the same
        insert(10, 12)
        with as_role():
            sequence()
        refused(key, "signed up to size 25, and the database holds only 12")
        insert(5_000, 5_013)  # the copy grows to the very size, with other entries
        with as_role():
            assert sequence() == 25
        refused(key, "root of the log access at size 25 is not the one")
        insert(6_000, 6_005)
        with as_role():
            sequence()
        refused(key, "was signed at size 25 with another root")
    grow([key], 26)  # back on the newest database it goes on
    assert parse_checkpoint(parse_note(newest_note())[0]).size == 26


@pytest.mark.parametrize("content", ["", "{}", '{"size": "3", "root": ""}', '{"size": 3, "root": "abcd"}', "[1]"])
def test_a_high_water_mark_that_says_nothing_stops_the_signing(key: SigningKey, content: str) -> None:
    grow([key], 3)
    insert(3, 4)
    highwater.path_of(key).write_text(content)
    with as_role():
        sequence()
        with pytest.raises(KeyFileError, match=r"\.signed"):
            publisher.publish(LOG, [key])


def test_a_log_that_was_signed_gets_no_new_key_when_its_own_is_lost(key: SigningKey, signing_keys: Path) -> None:
    grow([key], 3)
    for path in signing_keys.glob("*.key"):
        path.unlink()
    with (
        as_role(),
        pytest.raises(KeyFileError, match="log admin was signed before, and none of its keys is in signing"),
    ):
        publisher.signing_keys()
    assert list(signing_keys.glob("*.key")) == []


def test_how_a_log_stands(key: SigningKey) -> None:
    empty = standing(LOG)
    assert (empty.size, empty.signed_size, empty.signed_at, empty.waiting_since) == (0, 0, None, None)
    assert not empty.overdue
    grow([key], 8)
    now = standing(LOG)
    assert (now.size, now.signed_size, now.waiting, now.unsigned_for_seconds) == (8, 8, 0, 0.0)
    assert now.root == merkle.MemoryTree(leaves(end=8)).root().hex()
    assert now.keys == [rotation.Range(key.verifier, 0, None)]
    assert (now.witnessed, now.confirmations, now.anchors) == (False, [], [])
    insert(8, 9)
    with as_role():
        sequence()
    superuser("audit_tree", ("UPDATE audit_tree SET made_at = made_at - interval '90 seconds' WHERE size = 9", []))
    late = standing(LOG)
    assert (late.size, late.signed_size) == (9, 8)
    assert late.unsigned_for_seconds >= 90
    assert late.overdue


def test_the_empty_log_has_one_root_and_its_note_says_it(key: SigningKey) -> None:
    text, _ = open_note(publisher.empty_note(LOG, [key]), [Verifier.parse(key.verifier)])
    assert text == "plimsoll.local/audit/access\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    assert sequencer.head(LOG) == (0, [])
