"""From committed events to a signed log that an outsider can verify. These tests commit, in their own database."""

import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.db import connection, connections

from access import actions
from access.roles import Role
from audit import export, merkle, publisher, sequencer, trail
from audit.actors import SYSTEM
from audit.errors import Denied
from audit.models import Checkpoint, Event, Leaf, LogKey, Tree
from audit.note import SigningKey, Verifier, open_note, parse_checkpoint
from audit.queries import Filter, search
from audit.standing import standing
from tests import factories


@pytest.fixture
def as_sequencer(fresh_database: str, settings):
    """Run a block under the sequencer's database role."""
    import os
    from contextlib import contextmanager

    import psycopg

    role = psycopg.conninfo.conninfo_to_dict(os.environ["PLIMSOLL_DB_SEQUENCER"])["user"]

    @contextmanager
    def switched():
        wrapped = connections["default"]
        before = wrapped.settings_dict["USER"]
        wrapped.close()
        wrapped.settings_dict["USER"] = role
        yield
        wrapped.close()
        wrapped.settings_dict["USER"] = before

    return switched


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate(sequencer.origin("admin"))


def drain(key: SigningKey) -> None:
    LogKey.objects.bulk_create([LogKey(verifier=key.verifier, log="admin", from_size=0)], ignore_conflicts=True)
    while sequencer.step("admin", batch=7):
        pass
    publisher.publish("admin", [key])


def many_events(count: int) -> None:
    user = factories.account()
    for number in range(count - 1):
        actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern=f"model-{number}")


def test_events_become_a_log_whose_signed_root_is_over_exactly_them(as_sequencer, key: SigningKey) -> None:
    many_events(30)
    with as_sequencer():
        drain(key)
    hashes = [bytes(row.leaf_hash) for row in Leaf.objects.filter(log="admin").order_by("seq")]
    assert [row.seq for row in Leaf.objects.filter(log="admin").order_by("seq")] == list(range(30))
    assert hashes == [merkle.leaf_hash(bytes(e.leaf_data)) for e in Event.objects.order_by("recorded_at")]
    newest = Checkpoint.objects.order_by("-size").first()
    assert newest is not None
    text, signers = open_note(newest.note, [Verifier.parse(key.verifier)])
    assert signers == [sequencer.origin("admin")]
    assert parse_checkpoint(text).size == 30
    assert parse_checkpoint(text).root == merkle.MemoryTree(hashes).root()


def test_full_tiles_are_stored_once_and_hold_the_leaf_hashes(as_sequencer, key: SigningKey) -> None:
    many_events(260)
    with as_sequencer():
        drain(key)
    with connection.cursor() as cursor:
        cursor.execute("SELECT level, idx, hashes FROM audit_tile WHERE log = 'admin'")
        rows = cursor.fetchall()
    assert [(level, idx) for level, idx, _ in rows] == [(0, 0)]
    leaves = Leaf.objects.filter(log="admin", seq__lt=256).order_by("seq")
    assert bytes(rows[0][2]) == b"".join(bytes(row.leaf_hash) for row in leaves)


def test_two_sequencers_at_once_neither_lose_nor_double(as_sequencer, key: SigningKey) -> None:
    many_events(60)
    with as_sequencer():

        def work() -> None:
            while sequencer.pending():
                sequencer.step("admin", batch=4)
            connections.close_all()

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        drain(key)
    assert [row.seq for row in Leaf.objects.order_by("seq")] == list(range(60))
    assert Leaf.objects.values("event_id").distinct().count() == 60


def test_an_event_with_a_forged_mac_is_set_aside(as_sequencer, key: SigningKey, monkeypatch) -> None:
    many_events(3)
    with monkeypatch.context() as patched:
        patched.setattr(trail, "writer_mac", lambda leaf: b"\x00" * 32)
        factories.account()
    with as_sequencer():
        drain(key)
    assert Leaf.objects.count() == 3
    with connection.cursor() as cursor:
        cursor.execute("SELECT reason FROM audit_quarantine")
        assert cursor.fetchall() == [("writer MAC does not match",)]


def test_a_crash_between_sequencing_and_commit_loses_nothing(as_sequencer, key: SigningKey, monkeypatch) -> None:
    many_events(5)
    with as_sequencer():
        with monkeypatch.context() as patched:
            patched.setattr(merkle, "root_of", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                sequencer.step("admin")
        assert not Tree.objects.exists()
        drain(key)
    assert Leaf.objects.count() == 5


def test_an_export_verifies_with_plain_python_and_a_flipped_byte_names_the_entry(
    as_sequencer,
    key: SigningKey,
    tmp_path: Path,
) -> None:
    auditor = factories.actor(Role.AUDITOR)
    with as_sequencer():
        drain(key)
    out = io.BytesIO()
    exported = export.export(by=auditor, chosen=Filter(), out=out)
    assert exported.entries == exported.size == 2
    import zipfile

    zipfile.ZipFile(out).extractall(tmp_path)
    run = [sys.executable, "-I", "-S", str(tmp_path / "verify.py"), "--key", key.verifier]
    assert subprocess.run(run, env={}, capture_output=True, check=False).returncode == 0
    events = tmp_path / "events.ndjson"
    content = bytearray(events.read_bytes())
    content[-20] ^= 1
    events.write_bytes(bytes(content))
    failed = subprocess.run(run, env={}, capture_output=True, check=False, text=True)
    assert failed.returncode == 1
    assert "entry 1" in failed.stdout.lower()


def test_a_filtered_export_proves_inclusion_only(as_sequencer, key: SigningKey, tmp_path: Path) -> None:
    auditor = factories.actor(Role.AUDITOR)
    many_events(20)
    with as_sequencer():
        drain(key)
    out = io.BytesIO()
    exported = export.export(by=auditor, chosen=Filter(action="user.create"), out=out)
    assert exported.entries == 2
    bundle = tmp_path / "trail.zip"
    bundle.write_bytes(out.getvalue())
    verifier = Path(export.__file__).with_name("verify.py")
    run = [sys.executable, "-I", "-S", str(verifier), str(bundle), "--key", key.verifier]
    assert subprocess.run(run, env={}, capture_output=True, check=False).returncode == 0


def test_only_an_auditor_exports_and_the_export_is_an_entry(as_sequencer, key: SigningKey) -> None:
    auditor = factories.actor(Role.AUDITOR)
    with as_sequencer():
        drain(key)
    with pytest.raises(Denied):
        export.export(by=factories.actor(Role.REVIEWER), chosen=Filter(), out=io.BytesIO())
    done = export.export(by=auditor, chosen=Filter(), out=io.BytesIO())
    (entry,) = search(Filter(log="access")).entries
    assert entry.leaf["change"]["after"]["sha256"] == done.digest
    assert standing("admin").signed_size == 2


def test_pages_of_a_search_neither_repeat_nor_skip(fresh_database: str) -> None:
    many_events(25)
    first = search(Filter(), size=10)
    second = search(Filter(), after=first.after, size=10)
    third = search(Filter(), after=second.after, size=10)
    seen = [entry.id for page in (first, second, third) for entry in page.entries]
    assert len(seen) == len(set(seen)) == 25
    assert third.after == ""
