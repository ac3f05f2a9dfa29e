"""The tamper matrix: what a superuser of the database can do to the trail, and who sees it.

Every row names the findings of the doctor. Before the change neither doctor nor verifier finds anything.
"""

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from access import actions
from access.models import User
from access.roles import Role
from audit import canonical, clock, disclosure, doctor, merkle, vault
from audit.actors import SYSTEM
from audit.findings import Severity
from audit.ids import uuid7
from audit.mac import writer_mac
from audit.note import SigningKey
from tests.audit import tamper_world
from tests.audit.grown_log import as_role
from tests.audit.tamper_world import (
    Admin,
    World,
    admin_of,
    change_leaf,
    event_at,
    event_row,
    insert_event,
    one,
    places,
    rebuild,
    unguarded,
)

pytestmark = pytest.mark.xdist_group("tamper")
TARGET = 9  # an entry in the middle of its object's chain, before the size that the auditor keeps
ROOTS = {"mark-differs", "anchor-differs"}  # what is held outside speaks against the database


@dataclass(frozen=True)
class Row:
    """One line of the matrix. ``doctor`` are the codes it must find, all of them and no others."""

    name: str
    act: Callable[[Admin, World], None]
    doctor: frozenset[str]


ROWS: list[Row] = []


def row(*codes: str) -> Callable[[Callable[[Admin, World], None]], Callable[[Admin, World], None]]:
    """Put a change into the matrix, under its own name."""

    def add(act: Callable[[Admin, World], None]) -> Callable[[Admin, World], None]:
        ROWS.append(Row(act.__name__, act, frozenset(codes)))
        return act

    return add


# -- entries ---------------------------------------------------------------------------------------------------------


@row("event-changed", "chain-broken")
def edits_an_entry(admin: Admin, world: World) -> None:
    change_leaf(admin, event_at(admin, TARGET), lambda leaf: leaf.replace(b"reviewer", b"approver"))


@row("event-changed", "chain-broken")
def edits_an_entry_with_the_writers_key(admin: Admin, world: World) -> None:
    event = event_at(admin, TARGET)
    change_leaf(admin, event, lambda leaf: leaf.replace(b"reviewer", b"approver"))
    leaf = bytes(one(admin, "SELECT leaf_data FROM audit_event WHERE id = %s", event))
    with unguarded(admin, "audit_event"):
        admin.execute("UPDATE audit_event SET mac = %s WHERE id = %s", [writer_mac(leaf), event])


@row("mac-invalid")
def edits_a_writers_mac(admin: Admin, world: World) -> None:
    with unguarded(admin, "audit_event"):
        admin.execute("UPDATE audit_event SET mac = %s WHERE id = %s", [b"\x00" * 32, event_at(admin, TARGET)])


@row("copy-differs")
def edits_a_copied_column_only(admin: Admin, world: World) -> None:
    with unguarded(admin, "audit_event"):
        admin.execute("UPDATE audit_event SET actor_ref = 'p:somebody' WHERE id = %s", [event_at(admin, TARGET)])


@row("copy-differs")
def back_dates_an_entry_in_its_column(admin: Admin, world: World) -> None:
    with unguarded(admin, "audit_event"):
        admin.execute(
            "UPDATE audit_event SET recorded_at = recorded_at - interval '5 minutes' WHERE id = %s",
            [event_at(admin, TARGET)],
        )


@row("copy-differs", "default-holds-events")
def moves_an_entry_to_a_month_long_past(admin: Admin, world: World) -> None:
    with unguarded(admin, "audit_event"):
        admin.execute(
            "UPDATE audit_event SET recorded_at = recorded_at - interval '2 years' WHERE id = %s",
            [event_at(admin, TARGET)],
        )


@row("event-missing", "chain-gap", "opening-without-event")
def deletes_an_entry(admin: Admin, world: World) -> None:
    with unguarded(admin, "audit_event"):
        admin.execute("DELETE FROM audit_event WHERE id = %s", [event_at(admin, TARGET)])


@row(
    "chain-gap",
    "opening-without-event",
    "tree-missing",
    "checkpoint-beyond",
    "receipt-beyond",
    "mark-ahead",
    "anchor-ahead",
    "checkpoint-differs",
    "receipt-differs",
    "tree-differs",
)
def deletes_an_entry_and_closes_the_gap(admin: Admin, world: World) -> None:
    event = event_at(admin, TARGET)
    with unguarded(admin, "audit_event"):
        admin.execute("DELETE FROM audit_event WHERE id = %s", [event])
    rebuild(admin, [place for place in places(admin) if place[0] != event])


@row("mac-invalid", "tree-missing", "chain-gap")
def inserts_an_entry_at_the_end(admin: Admin, world: World) -> None:
    forged = _forged(event_row(admin, event_at(admin, TARGET)), object_n=9_999)
    with unguarded(admin, "audit_event"):
        admin.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_enqueue")
        insert_event(admin, forged)
    admin.execute(
        "INSERT INTO audit_leaf (log, seq, event_id, leaf_hash) SELECT 'admin', %s, id, leaf_hash FROM audit_event"
        " WHERE id = %s",
        [world.size, forged[0]],
    )


@row("quarantined")
def inserts_an_entry_through_the_queue(admin: Admin, world: World) -> None:
    insert_event(admin, _forged(_last_of_an_object(admin)))
    with as_role():
        from audit import sequencer

        sequencer.step("admin")


@row("root-differs", "checkpoint-differs", "receipt-differs", "mark-differs", "anchor-differs", "tile-changed")
def swaps_two_entries(admin: Admin, world: World) -> None:
    wanted = places(admin)
    wanted[5], wanted[TARGET] = wanted[TARGET], wanted[5]
    with unguarded(admin, "audit_leaf"):
        admin.execute("DELETE FROM audit_leaf WHERE log = 'admin'")
        for seq, (event_id, leaf_hash) in enumerate(wanted):
            admin.execute("INSERT INTO audit_leaf VALUES ('admin', %s, %s, %s)", [seq, event_id, leaf_hash])


@row("time-odd")
def back_dates_an_entry_with_the_writers_key(admin: Admin, world: World) -> None:
    """What remains possible to whoever has the service's own key: the entry is new, and the ticks show it."""
    long_ago = clock.now() - timedelta(hours=5)
    insert_event(admin, _forged(_last_of_an_object(admin), at=long_ago, with_key=True))
    tamper_world.sign(world.signers)


@row("copy-differs", "chain-gap", "head-differs")
def renumbers_an_objects_chain(admin: Admin, world: World) -> None:
    with unguarded(admin, "audit_event"):
        last = _last_of_an_object(admin)
        admin.execute("UPDATE audit_event SET object_n = object_n + 1 WHERE id = %s", [last[0]])


# -- the queue -------------------------------------------------------------------------------------------------------


@row("event-dropped")
def deletes_an_event_from_the_queue(admin: Admin, world: World) -> None:
    _write(world)
    admin.execute("DELETE FROM audit_pending")


@row("head-differs")
def deletes_an_event_before_it_is_sequenced(admin: Admin, world: World) -> None:
    _write(world)
    with unguarded(admin, "audit_event"):
        admin.execute("DELETE FROM audit_event WHERE id IN (SELECT event_id FROM audit_pending)")
    admin.execute("DELETE FROM audit_pending")
    admin.execute("DELETE FROM audit_disclosure d WHERE NOT EXISTS (SELECT FROM audit_event e WHERE e.id = d.event_id)")


@row("quarantined")
def forges_an_event_without_a_mac(admin: Admin, world: World) -> None:
    forged = _forged(_last_of_an_object(admin))
    forged[-1] = b"\x00" * 32
    insert_event(admin, forged)
    with as_role():
        from audit import sequencer

        sequencer.step("admin")


@row("pending-twice")
def sends_an_event_through_the_queue_again(admin: Admin, world: World) -> None:
    admin.execute(
        "INSERT INTO audit_pending (event_id, recorded_at, log) SELECT id, recorded_at, log FROM audit_event"
        " WHERE id = %s",
        [event_at(admin, TARGET)],
    )


# -- the log ---------------------------------------------------------------------------------------------------------


@row("mark-ahead", "anchor-ahead")
def cuts_off_the_tail(admin: Admin, world: World) -> None:
    keep = places(admin)[: world.early_size]
    with unguarded(admin, "audit_event"):
        admin.execute("DELETE FROM audit_event WHERE log = 'admin' AND NOT id = ANY(%s)", [[each[0] for each in keep]])
    admin.execute("DELETE FROM audit_disclosure d WHERE NOT EXISTS (SELECT FROM audit_event e WHERE e.id = d.event_id)")
    admin.execute("DELETE FROM audit_head")
    admin.execute(
        "INSERT INTO audit_head SELECT DISTINCT ON (object_type, object_id) object_type, object_id, object_n, leaf_hash"
        " FROM audit_event WHERE log = 'admin' ORDER BY object_type, object_id, object_n DESC"
    )
    rebuild(admin, keep)


@row("checkpoint-differs", "receipt-differs", "mark-differs", "anchor-differs")
def replaces_the_tail_without_the_signing_key(admin: Admin, world: World) -> None:
    _replace_tail(admin, world, None)


@row("signature-unknown", "mark-differs", "anchor-differs")
def replaces_the_tail_with_another_key(admin: Admin, world: World) -> None:
    _replace_tail(admin, world, SigningKey.generate(world.key.name))


@row("key-unannounced", "mark-differs", "anchor-differs")
def replaces_the_tail_and_brings_in_a_key(admin: Admin, world: World) -> None:
    key = SigningKey.generate(world.key.name)
    admin.execute("INSERT INTO audit_log_key (verifier, log, from_size) VALUES (%s, 'admin', 1)", [key.verifier])
    _replace_tail(admin, world, key)


@row("mark-differs", "anchor-silent")
def replaces_the_tail_and_puts_a_key_in_the_place_of_ours(admin: Admin, world: World) -> None:
    key = SigningKey.generate(world.key.name)
    with unguarded(admin, "audit_log_key"):
        admin.execute("UPDATE audit_log_key SET verifier = %s WHERE log = 'admin'", [key.verifier])
    _replace_tail(admin, world, key)


@row("mark-differs", "anchor-differs")
def forks_the_log_with_the_stolen_signing_key(admin: Admin, world: World) -> None:
    _replace_tail(admin, world, world.key)


@row("tile-changed")
def edits_a_tile(admin: Admin, world: World) -> None:
    with unguarded(admin, "audit_tile"):
        admin.execute("UPDATE audit_tile SET hashes = set_byte(hashes, 32 * 7, 255 - get_byte(hashes, 32 * 7))")


@row("root-differs")
def edits_a_stored_root(admin: Admin, world: World) -> None:
    with unguarded(admin, "audit_tree"):
        admin.execute(
            "UPDATE audit_tree SET root = %s WHERE log = 'admin' AND size = %s", [b"\x01" * 32, world.early_size]
        )


@row("signature-invalid", "checkpoint-differs")
def edits_a_checkpoint(admin: Admin, world: World) -> None:
    head, root, rest = world.kept.split("\n", 2)[0], b"\x01" * 32, world.kept.split("\n\n", 1)[1]
    import base64

    note = f"{head}\n{world.early_size}\n{base64.b64encode(root).decode()}\n\n{rest}"
    with unguarded(admin, "audit_checkpoint"):
        admin.execute(
            "UPDATE audit_checkpoint SET note = %s WHERE log = 'admin' AND size = %s", [note, world.early_size]
        )


# -- openings --------------------------------------------------------------------------------------------------------


@row("opening-changed")
def edits_an_opening(admin: Admin, world: World) -> None:
    admin.execute(
        "UPDATE audit_disclosure SET ciphertext = set_byte(ciphertext, 20, 255 - get_byte(ciphertext, 20))"
        " WHERE event_id = %s AND path = 'reason'",
        [event_at(admin, TARGET)],
    )


@row("opening-changed")
def swaps_two_openings(admin: Admin, world: World) -> None:
    first, second = event_at(admin, TARGET), event_at(admin, TARGET + 1)
    admin.execute(
        "UPDATE audit_disclosure d SET ciphertext = o.ciphertext FROM audit_disclosure o"
        " WHERE d.path = 'reason' AND o.path = 'reason'"
        " AND ((d.event_id = %s AND o.event_id = %s) OR (d.event_id = %s AND o.event_id = %s))",
        [first, second, second, first],
    )


@row("opening-differs")
def writes_another_reason_with_the_wrapping_key(admin: Admin, world: World) -> None:
    event = event_row(admin, event_at(admin, TARGET))
    wrapped = one(admin, "SELECT wrapped_dek FROM audit_subject_key WHERE subject_id = %s", event[8])
    text, _ = disclosure.disclose("reason", "Another one.")
    (sealed,) = vault.seal(event[0], vault.unwrapped(event[8], bytes(wrapped)), {"reason": text}, [])
    admin.execute(
        "UPDATE audit_disclosure SET ciphertext = %s WHERE event_id = %s AND path = 'reason'",
        [sealed.ciphertext, event[0]],
    )


@row("opening-missing")
def deletes_an_opening(admin: Admin, world: World) -> None:
    admin.execute("DELETE FROM audit_disclosure WHERE event_id = %s AND path = 'reason'", [event_at(admin, TARGET)])


# -- tables, triggers, rights ----------------------------------------------------------------------------------------


@row("month-missing", "event-missing", "opening-without-event", "chain-gone")
def drops_a_whole_partition(admin: Admin, world: World) -> None:
    admin.execute(f"DROP TABLE audit_event_admin_{clock.now():%Y%m}")


@row("month-missing", "minimum-unannounced", "opening-without-event")
def drops_a_whole_partition_and_calls_it_retention(admin: Admin, world: World) -> None:
    admin.execute(f"DROP TABLE audit_event_admin_{clock.now():%Y%m}")
    admin.execute(
        "INSERT INTO audit_minimum (log, minimum_index, event_id) VALUES ('admin', %s, %s)", [world.size, uuid.uuid4()]
    )


@row("trigger-missing")
def drops_a_trigger(admin: Admin, world: World) -> None:
    admin.execute("DROP TRIGGER audit_append_only ON audit_leaf")


@row("trigger-disabled")
def disables_a_trigger(admin: Admin, world: World) -> None:
    admin.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_append_only")


@row("trigger-changed")
def narrows_a_trigger(admin: Admin, world: World) -> None:
    admin.execute("DROP TRIGGER audit_append_only ON audit_leaf")
    admin.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_leaf FOR EACH ROW WHEN (false)"
        " EXECUTE FUNCTION audit_refuse_change()"
    )
    admin.execute("ALTER TABLE audit_leaf ENABLE ALWAYS TRIGGER audit_append_only")


@row("function-changed")
def hollows_out_a_triggers_function(admin: Admin, world: World) -> None:
    admin.execute(
        "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN coalesce(NEW, OLD); END $$"
    )


@row("right-unexpected")
def grants_the_app_an_update(admin: Admin, world: World) -> None:
    admin.execute("GRANT UPDATE ON audit_event TO plimsoll_app")


@row("right-unexpected")
def grants_the_app_an_update_of_one_column(admin: Admin, world: World) -> None:
    admin.execute("GRANT UPDATE (actor_ref) ON audit_event TO plimsoll_app")


@row("rule-unexpected")
def lets_a_rule_swallow_events(admin: Admin, world: World) -> None:
    admin.execute("CREATE RULE quiet AS ON DELETE TO audit_pending DO INSTEAD NOTHING")


@row("key-missing")
def takes_away_a_unique_key(admin: Admin, world: World) -> None:
    admin.execute("ALTER TABLE audit_tree DROP CONSTRAINT audit_tree_pkey")


# -- the test --------------------------------------------------------------------------------------------------------


def _last_of_an_object(admin: Admin) -> list[Any]:
    """The newest event of an object that has several."""
    found = one(
        admin,
        "SELECT e.id FROM audit_event e JOIN audit_head h USING (object_type, object_id)"
        " WHERE e.log = 'admin' AND e.object_n = h.n AND h.n > 3 AND e.action = 'role.grant' LIMIT 1",
    )
    return event_row(admin, found)


def _forged(row: list[Any], *, at: Any = None, with_key: bool = False, object_n: int | None = None) -> list[Any]:
    """An event that follows the one in ``row`` in its object's chain; without the writer's key its MAC is borrowed."""
    at = at or clock.now()
    leaf = json.loads(row[9])
    n = object_n or row[7] + 1
    leaf |= {"id": str(uuid7(at)), "time": clock.rfc3339(at), "change": {}}
    leaf["object"] |= {"n": n, "prev": merkle.leaf_hash(row[9]).hex()}
    for part in (leaf, leaf["actor"], leaf["request"]):
        part.pop("_sd", None)
    data = canonical.encode(leaf)
    return [leaf["id"], at, *row[2:7], n, row[8], data, writer_mac(data) if with_key else row[10]]


def _write(world: World) -> None:
    """Somebody uses the service once more."""
    actions.grant_role(by=SYSTEM, user=User.objects.earliest("pk"), role=Role.REVIEWER, pattern="late")


def _replace_tail(admin: Admin, world: World, key: SigningKey | None) -> None:
    """The last entry says something else, its MAC is right, and everything that follows from it agrees."""
    wanted = places(admin)
    event = wanted[-1][0]
    leaf = bytes(one(admin, "SELECT leaf_data FROM audit_event WHERE id = %s", event)).replace(b"reviewer", b"approver")
    with unguarded(admin, "audit_event"):
        admin.execute("UPDATE audit_event SET leaf_data = %s, mac = %s WHERE id = %s", [leaf, writer_mac(leaf), event])
    admin.execute(
        "UPDATE audit_head h SET leaf_hash = e.leaf_hash FROM audit_event e"
        " WHERE e.id = %s AND (h.object_type, h.object_id, h.n) = (e.object_type, e.object_id, e.object_n)",
        [event],
    )
    rebuild(admin, [*wanted[:-1], (event, merkle.leaf_hash(leaf))], key)


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with django_db_blocker.unblock(), tamper_world.built(tmp_path_factory.mktemp("tamper")) as made:
        yield made


@pytest.fixture
def copied(world: World, tmp_path: Path, django_db_blocker: Any) -> Iterator[str]:
    with django_db_blocker.unblock(), tamper_world.copied(world, tmp_path) as name:
        yield name


def codes() -> set[str]:
    """What the doctor finds that is not a mere note."""
    return {each.code for each in doctor.examine().findings.all() if each.severity is not Severity.NOTE}


def test_nothing_is_found_before(world: World, copied: str, tmp_path: Path) -> None:
    report = doctor.examine()
    assert report.findings.all() == []
    assert report.exit_code == 0
    assert tamper_world.verdict(world, tmp_path / "auditor") == "0"


@pytest.mark.parametrize("each", ROWS, ids=lambda each: each.name)
def test_tampering_is_found(each: Row, world: World, copied: str, tmp_path: Path) -> None:
    with admin_of(copied) as admin:
        each.act(admin, world)
    found, verdict = codes(), tamper_world.verdict(world, tmp_path / "auditor")
    import sys

    print(
        "ROW",
        each.name,
        sorted(found),
        "|",
        verdict,
        "" if found == each.doctor else "EXPECTED %s" % sorted(each.doctor),
        file=sys.stderr,
    )
    assert found == each.doctor
