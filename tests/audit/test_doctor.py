"""The doctor: what it says of a sound trail, of one from which things were rightly removed, and how it says it.

What it finds in a trail that was tampered with is the tamper matrix (``test_tamper_matrix.py``).
"""

import io
import json
import shutil
import tracemalloc
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from access import actions
from access.roles import Role
from audit import canonical, clock, disclosure, doctor, door, keys, publisher, rotation, sequencer, ticks, vault
from audit.actors import SYSTEM
from audit.doctor import Report
from audit.events import LOGS, Action
from audit.examination.entries import CHUNK
from audit.findings import EACH, Finding, Findings, Severity
from audit.ids import uuid7
from audit.mac import writer_mac
from audit.models import Disclosure
from audit.subjects import Subject
from tests import factories
from tests.audit import tamper_world
from tests.audit.grown_log import as_role
from tests.audit.tamper_hands import event_at, one, unguarded
from tests.audit.tamper_world import World, admin_of

pytestmark = pytest.mark.xdist_group("tamper")


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with django_db_blocker.unblock(), tamper_world.built(tmp_path_factory.mktemp("doctor")) as made:
        yield made


@pytest.fixture
def database(world: World, tmp_path: Path, django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock(), tamper_world.copied(world, tmp_path) as name:
        yield name


def codes(report: Report) -> set[str]:
    return {each.code for each in report.findings.all()}


def told(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        call_command("doctor", *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        code = int(ended.code or 0)
    return code, out.getvalue(), err.getvalue()


# -- how it says it --------------------------------------------------------------------------------------------------


def test_a_sound_trail_is_one_line_per_part_and_a_verdict(world: World, database: str) -> None:
    code, out, err = told()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert {line.split()[0] for line in lines[:-1]} == {"ok"}
    assert [line.split()[1] for line in lines[:-1]] == [
        "protection:",
        "queue:",
        "admin/entries:",
        "admin/tree:",
        "admin/openings:",
        "admin/outside:",
        "access/entries:",
        "access/tree:",
        "access/openings:",
        "access/outside:",
        "admin/objects:",
        "announcements:",
    ]
    assert f"admin/entries: {world.size} entries" in lines[2]
    assert "admin/tree: 2 sizes and 2 checkpoints, tiles" in lines[3]
    assert "admin/outside: 2 marks and anchors" in lines[5]
    assert lines[-1] == "The trail is intact and protected."


def test_a_finding_is_one_line_and_the_exit_code_is_1(world: World, database: str) -> None:
    with admin_of(database) as admin:
        event = event_at(admin, 9)
        with unguarded(admin, "audit_event"):
            admin.execute("UPDATE audit_event SET actor_ref = 'p:x' WHERE id = %s", [event])
    code, out, _ = told()
    assert code == 1
    (line,) = [each for each in out.splitlines() if "copy-differs" in each]
    assert line.startswith(
        f"BROKEN  admin/entries copy-differs: Entry 9 ({event}): actor_ref beside the leaf is not what the leaf says. →"
    )
    assert out.splitlines()[-1] == "The trail was changed, or is open to change."
    code, out, _ = told("--json")
    report = json.loads(out)
    assert (code, report["exit_code"]) == (1, 1)
    assert [(each["severity"], each["area"], each["code"]) for each in report["findings"]] == [
        ("broken", "admin/entries", "copy-differs")
    ]


def test_nobody_outside_is_exit_code_2(database: str, settings: Any) -> None:
    settings.PLIMSOLL_ANCHORS = None
    code, out, _ = told("--log", "admin")
    assert code == 2
    assert "OPEN    admin/outside unwitnessed: UNWITNESSED: nobody outside has confirmed the log admin." in out
    assert "access" not in out


def test_without_a_database_it_cannot_look(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nonexistent")
    code, out, err = told()
    assert (code, out) == (3, "")
    assert err.startswith("The database cannot be read: ")
    code, out, _ = told("--json")
    assert (code, json.loads(out)["exit_code"]) == (3, 3)


def test_of_many_findings_a_few_are_told_and_the_rest_counted() -> None:
    found = Findings()
    for number in range(EACH + 5):
        found.add(Finding(Severity.BROKEN, "admin/entries", "event-missing", f"Entry {number} is gone."))
    found.add(Finding(Severity.NOTE, "admin/entries", "other", "A note."))
    assert len(found.all()) == EACH + 2
    assert found.all()[-1].sentence == "And 5 more like this."
    assert found.count("admin/entries", Severity.BROKEN) == EACH + 5


def test_no_personal_value_is_ever_told(world: World, database: str) -> None:
    with admin_of(database) as admin:
        event = event_at(admin, 9)
        row = Disclosure.objects.get(event_id=event, path="reason")
        wrapped = bytes(one(admin, "SELECT wrapped_dek FROM audit_subject_key WHERE subject_id = %s", row.subject_id))
        text, _ = disclosure.disclose("reason", "Ada Lovelace is ill.")
        sealed = vault._encrypt(vault.unwrapped(row.subject_id, wrapped), text.encode(), f"{event}/reason".encode())
        admin.execute(
            "UPDATE audit_disclosure SET ciphertext = %s WHERE event_id = %s AND path = 'reason'", [sealed, event]
        )
    code, out, err = told()
    assert code == 1
    assert "the opening “reason” is not what was signed" in out
    for value in ("Ada", "ill", "Needed", row.subject_id, "192.0.2.1"):
        assert value not in out + err


# -- what it can see -------------------------------------------------------------------------------------------------


def test_a_quick_look_reads_the_tail_alone(world: World, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "TAIL", 20)
    assert doctor.examine(quick=True).exit_code == 0
    with admin_of(database) as admin, unguarded(admin, "audit_event"):
        admin.execute("UPDATE audit_event SET actor_ref = 'p:x' WHERE id = %s", [event_at(admin, 2)])
    assert doctor.examine(quick=True).exit_code == 0  # before the tail
    with admin_of(database) as admin, unguarded(admin, "audit_event"):
        admin.execute("UPDATE audit_event SET actor_ref = 'p:x' WHERE id = %s", [event_at(admin, world.size - 2)])
    assert codes(doctor.examine(quick=True)) == {"copy-differs"}
    assert codes(doctor.examine()) == {"copy-differs"}


def test_without_the_keys_it_says_what_it_could_not_see(database: str, settings: Any, tmp_path: Path) -> None:
    keys.secret.cache_clear()
    before = settings.PLIMSOLL_KEYS
    settings.PLIMSOLL_KEYS = tmp_path / "elsewhere"
    shutil.rmtree(settings.PLIMSOLL_SIGNING_KEYS)
    try:
        report = doctor.examine()
    finally:
        settings.PLIMSOLL_KEYS = before
        keys.secret.cache_clear()
    assert report.exit_code == 2
    assert codes(report) == {"cannot-see", "mark-not-seen"}
    assert not (tmp_path / "elsewhere").exists()  # no key is made by looking


@pytest.mark.parametrize("role", ["PLIMSOLL_DB_APP", "PLIMSOLL_DB_OWNER", "PLIMSOLL_TEST_ADMIN"])
def test_every_role_that_may_read_sees_the_same(database: str, role: str) -> None:
    with as_role(role):
        assert codes(doctor.examine()) == set()


def test_it_changes_nothing(database: str) -> None:
    with doctor._snapshot(), connection.cursor() as cursor, pytest.raises(Exception, match="read-only transaction"):
        cursor.execute("INSERT INTO audit_erasing VALUES ('x', %s)", [uuid.uuid4()])


def test_while_somebody_writes_it_sees_one_instant(
    database: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes, sequences and signs in the middle of the examination."""
    looked = doctor._queue

    def meanwhile(report: Report, *, quick: bool) -> None:
        looked(report, quick=quick)
        with admin_of(database) as admin:
            row = a_read()
            admin.execute(f"INSERT INTO audit_event ({COLUMNS}) VALUES ({', '.join(['%s'] * 11)})", row)
            admin.execute(
                "INSERT INTO audit_leaf SELECT 'access', (SELECT count(*) FROM audit_leaf WHERE log = 'access'), id,"
                " leaf_hash FROM audit_event WHERE id = %s",
                [row[0]],
            )
            admin.execute("DELETE FROM audit_pending")

    monkeypatch.setattr(doctor, "_queue", meanwhile)
    assert codes(doctor.examine()) == set()
    monkeypatch.undo()
    assert codes(doctor.examine()) == {"tree-missing"}


COLUMNS = "id, recorded_at, log, action, outcome, object_type, object_id, object_n, actor_ref, leaf_data, mac"


def a_read(number: int = 0) -> list[Any]:
    """An event of the log of reads, as the service would write it."""
    at = clock.now()
    event_id = uuid7(at)
    leaf = {
        "v": 1,
        "id": str(event_id),
        "log": "access",
        "time": clock.rfc3339(at),
        "action": "registry.view",
        "outcome": "success",
        "actor": {"type": "user", "ref": "p:nobody", "auth": "session"},
        "object": {"type": "registry", "id": f"r-{number}"},
        "request": {"id": "r"},
        "change": {},
    }
    data = canonical.encode(leaf)
    row: list[Any] = [event_id, at, "access", "registry.view", "success", "registry", f"r-{number}"]
    return [*row, None, "p:nobody", data, writer_mac(data)]


def test_memory_does_not_grow_with_the_log(database: str, world: World) -> None:
    """Three times the entries, and the same memory: that of two chunks, the one being read and the one before it."""
    peaks = []
    for more in (3, 6):
        with (
            admin_of(database) as admin,
            admin.cursor() as cursor,
            cursor.copy(f"COPY audit_event ({COLUMNS}) FROM STDIN") as copy,
        ):
            for number in range(more * CHUNK):
                copy.write_row(a_read(number))
        tamper_world.sign(world.signers)
        tracemalloc.start()
        assert codes(doctor.examine(("access",))) == set()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


# -- what is right although something is gone ------------------------------------------------------------------------


def test_an_erased_person_is_no_finding(database: str) -> None:
    with admin_of(database) as admin:
        ref = one(admin, "SELECT actor_ref FROM audit_event WHERE id = %s", event_at(admin, 9))
        admin.execute("DELETE FROM audit_disclosure WHERE subject_id = %s", [ref])
        admin.execute("DELETE FROM audit_subject_key WHERE subject_id = %s", [ref])
        admin.execute("DELETE FROM audit_pseudonym WHERE ref = %s", [ref])
    assert codes(doctor.examine()) == set()


def test_the_erasure_of_a_person_whom_others_recorded_is_no_finding(database: str) -> None:
    """The name of an account is kept under its own key, in the entry of whoever made the account."""
    with admin_of(database) as admin:
        ref, actor = one(
            admin,
            "SELECT d.subject_id, e.actor_ref FROM audit_disclosure d JOIN audit_event e ON e.id = d.event_id"
            " WHERE d.path = 'change/username' AND d.subject_id <> e.actor_ref LIMIT 1",
        )
        assert ref != actor
        admin.execute("DELETE FROM audit_disclosure WHERE subject_id = %s", [ref])
        admin.execute("DELETE FROM audit_subject_key WHERE subject_id = %s", [ref])
    assert codes(doctor.examine()) == set()


def test_a_half_finished_erasure_is_told(database: str) -> None:
    with admin_of(database) as admin:
        ref = one(admin, "SELECT actor_ref FROM audit_event WHERE id = %s", event_at(admin, 9))
        admin.execute("DELETE FROM audit_subject_key WHERE subject_id = %s", [ref])
    report = doctor.examine()
    assert (codes(report), report.exit_code) == ({"opening-without-key"}, 2)


def test_a_rotated_and_a_retired_key_are_no_finding(database: str, world: World) -> None:
    with as_role():
        made = rotation.rotate(by=SYSTEM, log_name="admin")
        signers = publisher.signing_keys()
    tamper_world.sign(signers)
    assert codes(doctor.examine()) == set()
    with as_role():
        rotation.retire(by=SYSTEM, log_name="admin", verifier=world.key.verifier)
        signers = publisher.signing_keys()
    assert [key.verifier for key in signers["admin"]] == [made.verifier]
    tamper_world.sign(signers)
    assert codes(doctor.examine()) == set()


def test_a_pruned_log_is_no_finding(database: str, world: World) -> None:
    """A month is dropped as retention does it: announced by an entry, signed, then dropped with its openings."""
    end = one_size()
    with as_role("PLIMSOLL_DB_OWNER"):
        with door.open(SYSTEM, Action.PRUNE, on=Subject(type="log", id="access")) as entry:
            entry.record(before={"from": 0, "to": end}, after={"minimum_index": end})
        assert entry.appended is not None
        announced = entry.appended.id
    tamper_world.sign(world.signers)
    with admin_of(database) as admin:
        month = f"audit_event_access_{clock.now():%Y%m}"
        admin.execute(f"DELETE FROM audit_disclosure d USING {month} e WHERE d.event_id = e.id")
        admin.execute(f"DROP TABLE {month}")
        admin.execute("INSERT INTO audit_minimum VALUES ('access', %s, %s)", [end, announced])
    assert codes(doctor.examine()) == {"month-missing"}  # because the month that was dropped is this one


def one_size() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_leaf WHERE log = 'access'")
        return int(cursor.fetchone()[0])


def test_a_late_queue_and_a_late_tick_are_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    actions.grant_role(by=SYSTEM, user=factories.account(), role=Role.VIEWER)
    assert codes(doctor.examine()) == set()
    with admin_of(database) as admin:
        with unguarded(admin, "audit_event"):
            admin.execute(
                "UPDATE audit_event SET recorded_at = recorded_at - interval '2 minutes'"
                " WHERE id IN (SELECT event_id FROM audit_pending)"
            )
        admin.execute("UPDATE audit_pending SET recorded_at = recorded_at - interval '2 minutes'")
    report = doctor.examine()
    assert (codes(report), report.exit_code) == ({"pending-late", "unsigned"}, 2)
    late = clock.now() + timedelta(hours=3)
    monkeypatch.setattr(doctor, "now", lambda: late)
    assert codes(doctor.examine()) == {"pending-late", "unsigned", "tick-late"}


def test_an_empty_installation_has_nothing_but_no_key(fresh_database: str, settings: Any) -> None:
    settings.PLIMSOLL_ANCHORS = None
    report = doctor.examine()
    assert (codes(report), report.exit_code) == ({"unsigned"}, 2)
    with as_role():
        signers = publisher.signing_keys()
        for log in LOGS:
            ticks.tick(log)
            sequencer.step(log)
            publisher.publish(log, signers[log])
    assert codes(doctor.examine()) == {"unwitnessed"}
