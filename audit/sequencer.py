"""From committed events to a log, in two of three named steps: *sequence*, *integrate*; ``audit/publisher.py`` has the
third, *publish*.

``step`` takes pending events in order, gives them contiguous indices, stores leaf hashes, full tiles and the new root,
all in one transaction: a crash rolls back the whole batch. A second sequencer finds the advisory lock taken, and the
unique keys would stop it anyway.
"""

import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction

from audit import merkle
from audit.mac import writer_mac
from audit.models import Tree

log = logging.getLogger("plimsoll.sequencer")

BATCH = 5_000
TILE = 256
_LOCK = 0x706C696D  # "plim"


@dataclass(frozen=True)
class Pending:
    """One committed event that has no index yet."""

    seq: int
    event_id: object
    leaf_data: bytes
    leaf_hash: bytes
    mac: bytes


def origin(log_name: str) -> str:
    """The log's name to the world: first line of its checkpoints and name of its key."""
    return f"{settings.PLIMSOLL_ORIGIN}/audit/{log_name}"


def step(log_name: str, batch: int = BATCH, *, using: str = DEFAULT_DB_ALIAS, wait: bool = False) -> int:
    """Sequence and integrate up to ``batch`` pending events; how many were taken from the queue.

    None are when another sequencer is at it, unless ``wait`` asks to come after it.
    """
    with transaction.atomic(using=using, durable=True), connections[using].cursor() as cursor:
        lock = (
            "pg_advisory_xact_lock(%s, hashtext(%s)) IS NOT NULL"
            if wait
            else "pg_try_advisory_xact_lock(%s, hashtext(%s))"
        )
        cursor.execute(f"SELECT {lock}", [_LOCK, log_name])
        if not cursor.fetchone()[0]:
            return 0
        taken = _take(cursor, log_name, batch)
        good = [event for event in taken if _has_valid_mac(event)]
        taken_in = {event.seq for event in good}
        _set_aside(cursor, [event for event in taken if event.seq not in taken_in])
        if good:
            _integrate(cursor, log_name, good, using)
        return len(taken)


def _take(cursor, log_name: str, batch: int) -> list[Pending]:  # type: ignore[no-untyped-def] # Django's cursor wrapper is untyped
    # The queue has no statistics to plan by when it has just grown: an array and a lateral look-up leave the planner
    # nothing but the two primary keys.
    cursor.execute(
        "WITH taken AS (DELETE FROM audit_pending WHERE seq = ANY(ARRAY(SELECT seq FROM audit_pending WHERE log = %s"
        " ORDER BY seq LIMIT %s FOR UPDATE SKIP LOCKED)) RETURNING seq, event_id, recorded_at)"
        " SELECT t.seq, e.id, e.leaf_data, e.leaf_hash, e.mac FROM taken t CROSS JOIN LATERAL"
        " (SELECT * FROM audit_event WHERE log = %s AND recorded_at = t.recorded_at AND id = t.event_id OFFSET 0) e"
        " ORDER BY t.seq",
        [log_name, batch, log_name],
    )
    return [Pending(row[0], row[1], bytes(row[2]), bytes(row[3]), bytes(row[4])) for row in cursor.fetchall()]


def _has_valid_mac(event: Pending) -> bool:
    return hmac.compare_digest(writer_mac(event.leaf_data), event.mac)


def _set_aside(cursor, bad: Sequence[Pending]) -> None:  # type: ignore[no-untyped-def] # see _take
    for event in bad:
        log.critical("an event without a valid writer MAC was set aside", extra={"event_id": str(event.event_id)})
        cursor.execute(
            "INSERT INTO audit_quarantine (event_id, reason) VALUES (%s, 'writer MAC does not match')", [event.event_id]
        )


def _integrate(cursor, log_name: str, events: Sequence[Pending], using: str) -> None:  # type: ignore[no-untyped-def] # see _take
    size, frontier = head(log_name, using)
    hashes = [event.leaf_hash for event in events]
    # Django wraps the driver's errors in execute() alone; without this a connection lost here would end the process.
    wrapped = connections[using].wrap_database_errors
    with wrapped, cursor.copy("COPY audit_leaf (log, seq, event_id, leaf_hash) FROM STDIN") as copy:
        for offset, event in enumerate(events):
            copy.write_row((log_name, size + offset, event.event_id, event.leaf_hash))
    new_size = size + len(hashes)
    frontier = merkle.extend(frontier, size, hashes)
    _store_tiles(cursor, log_name, size, new_size)
    cursor.execute(
        "INSERT INTO audit_tree (log, size, root, frontier) VALUES (%s, %s, %s, %s)",
        [log_name, new_size, merkle.root_of(frontier, new_size), frontier],
    )


def _store_tiles(cursor, log_name: str, old: int, new: int) -> None:  # type: ignore[no-untyped-def] # see _take
    """Store every tile that became full between two sizes; a full tile never changes again."""
    level, span = 0, TILE
    while new // span > old // span:
        for index in range(old // span, new // span):
            if level == 0:
                cursor.execute(
                    "SELECT leaf_hash FROM audit_leaf WHERE log = %s AND seq >= %s AND seq < %s ORDER BY seq",
                    [log_name, index * TILE, (index + 1) * TILE],
                )
                hashes = [bytes(row[0]) for row in cursor.fetchall()]
            else:
                cursor.execute(
                    "SELECT hashes FROM audit_tile WHERE log = %s AND level = %s AND idx >= %s AND idx < %s"
                    " ORDER BY idx",
                    [log_name, level - 1, index * TILE, (index + 1) * TILE],
                )
                hashes = [_tile_root(bytes(row[0])) for row in cursor.fetchall()]
            cursor.execute(
                "INSERT INTO audit_tile (log, level, idx, hashes) VALUES (%s, %s, %s, %s)",
                [log_name, level, index, b"".join(hashes)],
            )
        level, span = level + 1, span * TILE


def _tile_root(tile: bytes) -> bytes:
    hashes = [tile[i : i + 32] for i in range(0, len(tile), 32)]
    return merkle.root_of(merkle.extend([], 0, hashes), len(hashes))


def head(log_name: str, using: str = DEFAULT_DB_ALIAS) -> tuple[int, list[bytes]]:
    """The committed size of a log and its compact range."""
    tree = Tree.objects.using(using).filter(log=log_name).order_by("-size").first()
    return (0, []) if tree is None else (tree.size, [bytes(part) for part in tree.frontier])


def pending() -> bool:
    """Whether any committed event still waits for its index: the one cheap question asked ten times a second."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM audit_pending)")
        return bool(cursor.fetchone()[0])
