"""The rows of the tamper matrix: what a superuser of the database does, what the doctor finds, what an auditor finds.

The auditor holds the verifier key on paper and the last checkpoint, asks for a new export and verifies it. Whoever
reads this to attack: everything below leaves the triggers as they were.
"""

import base64
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from audit import clock, disclosure, highwater, merkle, sequencer, vault
from audit.mac import writer_mac
from audit.note import SigningKey
from tests.audit import tamper_world
from tests.audit.grown_log import as_role
from tests.audit.tamper_hands import (
    change_leaf,
    event_at,
    event_row,
    forged,
    insert_event,
    last_of_an_object,
    marks_of,
    one,
    places,
    rebuild,
    replace_tail,
    unguarded,
    write_once_more,
)
from tests.audit.tamper_world import Admin, World

TARGET = 9  # an entry in the middle of its object's chain, before the size that the auditor keeps


@dataclass(frozen=True)
class Row:
    """One line of the matrix. ``doctor`` are the codes it must find, all of them and no others; ``verifier`` is exit
    code and kind on the auditor's side. The deed is done on a copy of the world, or of its backup.
    """

    name: str
    act: Callable[[Admin, World], None]
    doctor: frozenset[str]
    verifier: str
    on_backup: bool = False


ROWS: list[Row] = []
Act = Callable[[Admin, World], None]


def row(*codes: str, verifier: str = "0", on_backup: bool = False) -> Callable[[Act], Act]:
    """Put a deed into the matrix, under its own name."""

    def add(act: Act) -> Act:
        ROWS.append(Row(act.__name__.replace("_", " "), act, frozenset(codes), verifier, on_backup))
        return act

    return add


# -- entries ---------------------------------------------------------------------------------------------------------


@row("event-changed", "chain-broken", verifier="1 changed")
def edits_an_entry(admin: Admin, world: World) -> None:
    change_leaf(admin, event_at(admin, TARGET), lambda leaf: leaf.replace(b"reviewer", b"approver"))


@row("event-changed", "chain-broken", verifier="1 changed")
def edits_an_entry_with_the_key_of_the_writer(admin: Admin, world: World) -> None:
    event = event_at(admin, TARGET)
    change_leaf(admin, event, lambda leaf: leaf.replace(b"reviewer", b"approver"))
    leaf = bytes(one(admin, "SELECT leaf_data FROM audit_event WHERE id = %s", event))
    with unguarded(admin, "audit_event"):
        admin.execute("UPDATE audit_event SET mac = %s WHERE id = %s", [writer_mac(leaf), event])


@row("mac-invalid")
def edits_the_mac_of_an_entry(admin: Admin, world: World) -> None:
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


@row("event-missing", "chain-gap", "opening-without-event", verifier="1 missing")
def deletes_an_entry(admin: Admin, world: World) -> None:
    with unguarded(admin, "audit_event"):
        admin.execute("DELETE FROM audit_event WHERE id = %s", [event_at(admin, TARGET)])


@row(
    "chain-gap",
    "opening-without-event",
    "mark-ahead",
    "anchor-ahead",
    "checkpoint-differs",
    "receipt-differs",
    "unwitnessed",
    verifier="1 proof",
)
def deletes_an_entry_and_closes_the_gap(admin: Admin, world: World) -> None:
    event = event_at(admin, TARGET)
    with unguarded(admin, "audit_event"):
        admin.execute("DELETE FROM audit_event WHERE id = %s", [event])
    rebuild(admin, [place for place in places(admin) if place[0] != event])


@row("mac-invalid", "tree-missing", "chain-gap", "head-differs")
def inserts_an_entry_at_the_end(admin: Admin, world: World) -> None:
    made = forged(event_row(admin, event_at(admin, TARGET)), object_n=9_999)
    with unguarded(admin, "audit_event"):
        admin.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_enqueue")
        insert_event(admin, made)
    admin.execute(
        "INSERT INTO audit_leaf (log, seq, event_id, leaf_hash) SELECT 'admin', %s, id, leaf_hash FROM audit_event"
        " WHERE id = %s",
        [world.size, made[0]],
    )


@row("quarantined")
def inserts_an_entry_through_the_queue(admin: Admin, world: World) -> None:
    insert_event(admin, forged(last_of_an_object(admin)))
    with as_role():
        sequencer.step("admin")


@row(
    "root-differs",
    "checkpoint-differs",
    "receipt-differs",
    "mark-differs",
    "anchor-differs",
    "tile-changed",
    verifier="1 proof",
)
def swaps_two_entries(admin: Admin, world: World) -> None:
    wanted = places(admin)
    wanted[5], wanted[TARGET] = wanted[TARGET], wanted[5]
    with unguarded(admin, "audit_leaf"):
        admin.execute("DELETE FROM audit_leaf WHERE log = 'admin'")
        for seq, (event_id, leaf_hash) in enumerate(wanted):
            admin.execute("INSERT INTO audit_leaf VALUES ('admin', %s, %s, %s)", [seq, event_id, leaf_hash])


@row("time-odd", verifier="2 time")
def back_dates_an_entry_with_the_key_of_the_writer(admin: Admin, world: World) -> None:
    """What remains possible to whoever has the service's own key: the entry is new, and the ticks show it."""
    long_ago = clock.now() - timedelta(hours=5)
    insert_event(admin, forged(last_of_an_object(admin), at=long_ago, with_key=True))
    tamper_world.sign(world.signers)


@row("copy-differs", "chain-gap", "head-differs")
def renumbers_the_chain_of_an_object(admin: Admin, world: World) -> None:
    with unguarded(admin, "audit_event"):
        last = last_of_an_object(admin)
        admin.execute("UPDATE audit_event SET object_n = object_n + 1 WHERE id = %s", [last[0]])


# -- the queue -------------------------------------------------------------------------------------------------------


@row("event-dropped")
def deletes_an_event_from_the_queue(admin: Admin, world: World) -> None:
    write_once_more()
    admin.execute("DELETE FROM audit_pending")


@row("head-differs")
def deletes_an_event_before_it_is_sequenced(admin: Admin, world: World) -> None:
    write_once_more()
    with unguarded(admin, "audit_event"):
        admin.execute("DELETE FROM audit_event WHERE id IN (SELECT event_id FROM audit_pending)")
    admin.execute("DELETE FROM audit_pending")
    admin.execute("DELETE FROM audit_disclosure d WHERE NOT EXISTS (SELECT FROM audit_event e WHERE e.id = d.event_id)")


@row("quarantined")
def forges_an_event_without_a_mac(admin: Admin, world: World) -> None:
    made = forged(last_of_an_object(admin))
    made[-1] = b"\x00" * 32
    insert_event(admin, made)
    with as_role():
        sequencer.step("admin")


@row("pending-twice", "pending-without-event")
def sends_an_event_through_the_queue_again(admin: Admin, world: World) -> None:
    admin.execute(
        "INSERT INTO audit_pending (event_id, recorded_at, log) SELECT id, recorded_at + interval '1 day', log"
        " FROM audit_event WHERE id = %s",
        [event_at(admin, TARGET)],
    )


# -- the log ---------------------------------------------------------------------------------------------------------


@row("mark-ahead", "anchor-ahead", verifier="1 consistency")
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


@row("checkpoint-differs", "receipt-differs", "mark-differs", "anchor-differs", verifier="1 proof")
def replaces_the_tail_without_the_signing_key(admin: Admin, world: World) -> None:
    replace_tail(admin, None)


@row("signature-unknown", "mark-differs", "anchor-differs", verifier="1 signature")
def replaces_the_tail_with_another_key(admin: Admin, world: World) -> None:
    replace_tail(admin, SigningKey.generate(world.key.name))


@row("key-unannounced", "mark-differs", "anchor-differs", verifier="1 signature")
def replaces_the_tail_and_brings_in_a_key(admin: Admin, world: World) -> None:
    key = SigningKey.generate(world.key.name)
    admin.execute("INSERT INTO audit_log_key (verifier, log, from_size) VALUES (%s, 'admin', 1)", [key.verifier])
    replace_tail(admin, key)


@row("mark-differs", "anchor-silent", verifier="1 signature")
def replaces_the_tail_and_puts_a_key_in_the_place_of_ours(admin: Admin, world: World) -> None:
    key = SigningKey.generate(world.key.name)
    with unguarded(admin, "audit_log_key"):
        admin.execute("UPDATE audit_log_key SET verifier = %s WHERE log = 'admin'", [key.verifier])
    replace_tail(admin, key)


@row("mark-differs", "anchor-differs", verifier="1 consistency")
def forks_the_log_with_the_stolen_signing_key(admin: Admin, world: World) -> None:
    replace_tail(admin, world.key)


@row("anchor-forgot", verifier="1 consistency")
def forks_the_log_and_silences_what_is_outside(admin: Admin, world: World) -> None:
    """With the key, the mark beside it and the anchor in the same hands, the auditor's checkpoint is what is left."""
    replace_tail(admin, world.key)
    wanted = places(admin)
    root = merkle.MemoryTree([leaf_hash for _, leaf_hash in wanted]).root()
    highwater.write(world.key, highwater.Mark(len(wanted), root))
    (settings.PLIMSOLL_ANCHORS.parent / "shelf.ndjson").unlink()


@row("mark-ahead", "anchor-ahead", verifier="1 consistency", on_backup=True)
def restores_an_old_dump(admin: Admin, world: World) -> None:
    assert one(admin, "SELECT max(size) FROM audit_checkpoint WHERE log = 'admin'") == world.early_size


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


@row("signature-invalid", "checkpoint-differs", verifier="1 signature")
def edits_a_checkpoint(admin: Admin, world: World) -> None:
    text, signature = world.kept.split("\n\n", 1)
    origin, size, _ = text.split("\n")
    note = f"{origin}\n{size}\n{base64.b64encode(bytes(32)).decode()}\n\n{signature}"
    with unguarded(admin, "audit_checkpoint"):
        admin.execute("UPDATE audit_checkpoint SET note = %s WHERE log = 'admin' AND size = %s", [note, world.size])


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


@row("opening-differs", verifier="1 disclosure")
def writes_another_reason_with_the_wrapping_key(admin: Admin, world: World) -> None:
    event = event_row(admin, event_at(admin, TARGET))
    wrapped = one(admin, "SELECT wrapped_dek FROM audit_subject_key WHERE subject_id = %s", event[8])
    text, _ = disclosure.disclose("reason", "Another one.")
    key = vault.unwrapped(event[8], bytes(wrapped))
    (sealed,) = vault.seal(event[0], event[8], key, {"reason": text}, marks_of(event))
    admin.execute(
        "UPDATE audit_disclosure SET ciphertext = %s WHERE event_id = %s AND path = 'reason'",
        [sealed.ciphertext, event[0]],
    )


@row("opening-missing")
def deletes_an_opening(admin: Admin, world: World) -> None:
    admin.execute("DELETE FROM audit_disclosure WHERE event_id = %s AND path = 'reason'", [event_at(admin, TARGET)])


# -- tables, triggers, rights ----------------------------------------------------------------------------------------


@row("month-missing", "event-missing", "opening-without-event", "chain-gone", verifier="1 missing")
def drops_a_whole_partition(admin: Admin, world: World) -> None:
    admin.execute(f"DROP TABLE audit_event_admin_{clock.now():%Y%m}")


@row("month-missing", "minimum-unannounced", "opening-without-event", verifier="2")
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
def hollows_out_the_function_of_a_trigger(admin: Admin, world: World) -> None:
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
