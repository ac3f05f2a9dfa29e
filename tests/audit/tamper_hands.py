"""What somebody with every right in the database can do to the trail: the tools of the rows in ``tamper_rows.py``."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from access import actions
from access.models import User
from access.roles import Role
from audit import canonical, clock, merkle, words
from audit.actors import SYSTEM
from audit.ids import uuid7
from audit.mac import writer_mac
from audit.note import Checkpoint, SigningKey
from tests.audit.tamper_world import Admin

EVENT = "id, recorded_at, log, action, outcome, object_type, object_id, object_n, actor_ref, leaf_data, mac"


@contextmanager
def unguarded(admin: Admin, *tables: str) -> Iterator[None]:
    """The triggers of some tables are off, and on again afterwards as if nothing had been."""
    for table in tables:
        admin.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    for table in tables:
        admin.execute("SELECT audit_guard(relid) FROM pg_partition_tree(%s::regclass)", [table])
        if table != "audit_event":
            admin.execute("SELECT audit_guard(%s::regclass)", [table])


def one(admin: Admin, query: str, *values: Any) -> Any:
    row = admin.execute(query, values).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def event_at(admin: Admin, index: int) -> Any:
    """The id of the event at an index of the admin log."""
    return one(admin, "SELECT event_id FROM audit_leaf WHERE log = 'admin' AND seq = %s", index)


def change_leaf(admin: Admin, event_id: Any, change: Callable[[bytes], bytes]) -> None:
    """Change an event's bytes; the database computes its hash anew."""
    leaf = one(admin, "SELECT leaf_data FROM audit_event WHERE id = %s", event_id)
    changed = change(bytes(leaf))
    assert changed != bytes(leaf)
    with unguarded(admin, "audit_event"):
        admin.execute("UPDATE audit_event SET leaf_data = %s WHERE id = %s", [changed, event_id])


def insert_event(admin: Admin, row: Sequence[Any]) -> None:
    """As the database lets its owner: with the triggers on, so that it waits for its place like any other."""
    admin.execute(f"INSERT INTO audit_event ({EVENT}) VALUES ({', '.join(['%s'] * 11)})", list(row))


def event_row(admin: Admin, event_id: Any) -> list[Any]:
    found = one(admin, f"SELECT {EVENT} FROM audit_event WHERE id = %s", event_id)
    return [bytes(each) if isinstance(each, memoryview) else each for each in found]


def places(admin: Admin) -> list[tuple[Any, bytes]]:
    """Event ids and hashes of the admin log, in order."""
    rows = admin.execute("SELECT event_id, leaf_hash FROM audit_leaf WHERE log = 'admin' ORDER BY seq").fetchall()
    return [(event_id, bytes(leaf_hash)) for event_id, leaf_hash in rows]


def rebuild(admin: Admin, wanted: Sequence[tuple[Any, bytes]], key: SigningKey | None = None) -> None:
    """Make the stored log one of these entries: places, tiles and trees, and with ``key`` the checkpoints as well.

    Sizes that were stored stay stored as far as the new log reaches, and its whole size is one of them.
    """
    tables = ("audit_leaf", "audit_tile", "audit_tree", "audit_checkpoint", "audit_anchor_receipt")
    sizes = [row[0] for row in admin.execute("SELECT size FROM audit_tree WHERE log = 'admin'").fetchall()]
    tree = merkle.MemoryTree([leaf_hash for _, leaf_hash in wanted])
    with unguarded(admin, *tables):
        admin.execute("DELETE FROM audit_leaf WHERE log = 'admin'")
        for seq, (event_id, leaf_hash) in enumerate(wanted):
            admin.execute(
                "INSERT INTO audit_leaf (log, seq, event_id, leaf_hash) VALUES ('admin', %s, %s, %s)",
                [seq, event_id, leaf_hash],
            )
        admin.execute("DELETE FROM audit_tile WHERE log = 'admin'")
        for tile in range(len(wanted) // 256):
            hashes = b"".join(leaf_hash for _, leaf_hash in wanted[tile * 256 : (tile + 1) * 256])
            admin.execute(
                "INSERT INTO audit_tile (log, level, idx, hashes) VALUES ('admin', 0, %s, %s)", [tile, hashes]
            )
        admin.execute("DELETE FROM audit_tree WHERE log = 'admin'")
        for size in sorted({*(size for size in sizes if size <= len(wanted)), len(wanted)}):
            frontier = merkle.extend([], 0, [leaf_hash for _, leaf_hash in wanted[:size]])
            admin.execute(
                "INSERT INTO audit_tree (log, size, root, frontier) VALUES ('admin', %s, %s, %s)",
                [size, tree.root(size), frontier],
            )
        for table in ("audit_checkpoint", "audit_anchor_receipt"):
            admin.execute(f"DELETE FROM {table} WHERE log = 'admin' AND size > %s", [len(wanted)])
        if key is not None:
            forge_notes(admin, tree, key)


def forge_notes(admin: Admin, tree: merkle.MemoryTree, key: SigningKey) -> None:
    """Sign every stored size anew, as whoever has stolen the key can, and make the receipts agree."""
    for (size,) in admin.execute("SELECT size FROM audit_tree WHERE log = 'admin'").fetchall():
        note = key.sign(Checkpoint(key.name, size, tree.root(size)).text())
        admin.execute(
            "INSERT INTO audit_checkpoint (log, size, note) VALUES ('admin', %s, %s)"
            " ON CONFLICT (log, size) DO UPDATE SET note = excluded.note",
            [size, note],
        )
        admin.execute(
            "UPDATE audit_anchor_receipt SET root = %s WHERE log = 'admin' AND size = %s", [tree.root(size), size]
        )


def last_of_an_object(admin: Admin) -> list[Any]:
    """The newest event of an object that has several."""
    found = one(
        admin,
        "SELECT e.id FROM audit_event e JOIN audit_head h USING (object_type, object_id)"
        " WHERE e.log = 'admin' AND e.object_n = h.n AND h.n > 3 AND e.action = 'role.grant' LIMIT 1",
    )
    return event_row(admin, found)


def forged(row: list[Any], *, at: Any = None, with_key: bool = False, object_n: int | None = None) -> list[Any]:
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


def marks_of(event: list[Any]) -> words.Marks:
    return words.marks(
        log=event[2],
        recorded_at=event[1],
        action=event[3],
        outcome=event[4],
        actor=event[8],
        object_type=event[5],
        object_id=event[6],
    )


def write_once_more() -> None:
    """Somebody uses the service once more."""
    actions.grant_role(by=SYSTEM, user=User.objects.earliest("pk"), role=Role.REVIEWER, pattern="late")


def replace_tail(admin: Admin, key: SigningKey | None) -> None:
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
