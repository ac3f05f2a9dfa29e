"""How long a log's entries are held, and dropping the months that are older: the entry first, then the partitions.

What goes are the entries and their openings. Leaf hashes and tiles stay, so earlier proofs and exports still verify,
and so does the chain of an object whose first entries are gone (``audit_head``). Run as the owner of the tables.
"""

import logging
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.conf import settings
from django.db import connection, transaction

from audit import clock, door
from audit.actors import SYSTEM
from audit.errors import Conflict, Invalid, Unavailable
from audit.events import LOGS, Action
from audit.models import Checkpoint, Leaf, Minimum
from audit.subjects import Subject

log = logging.getLogger("plimsoll.retention")

PATIENCE: Final = 60.0  # seconds to wait for the signature over the entry that announces the drop


@dataclass(frozen=True)
class Month:
    """One partition: its table, its first day and the first day after it."""

    table: str
    first: date
    end: date


@dataclass(frozen=True)
class Pruned:
    """What was dropped: how many entries, and from which index on the log still holds its entries."""

    log: str
    months: int
    entries: int
    minimum_index: int


def cutoff(log_name: str, today: date | None = None) -> date:
    """The day before which the log's entries need not be held any more: a first of a month."""
    held = settings.PLIMSOLL_RETENTION_MONTHS[log_name]
    today = clock.now().date() if today is None else today
    months = today.year * 12 + today.month - 1 - held
    return date(months // 12, months % 12 + 1, 1)


def months(log_name: str) -> list[Month]:
    """The log's monthly partitions, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relid::text FROM pg_partition_tree(%s) WHERE isleaf AND relid::text ~ '_[0-9]{6}$' ORDER BY 1",
            [f"audit_event_{log_name}"],
        )
        return [_month(table) for (table,) in cursor.fetchall()]


def _month(table: str) -> Month:
    year, month = int(table[-6:-2]), int(table[-2:])
    return Month(table, date(year, month, 1), date(year + month // 12, month % 12 + 1, 1))


def prune(log_name: str, before: date | None = None) -> Pruned | None:
    """Drop the months of a log that end on or before ``before`` (by default: those older than its retention).

    None when there are none. Raises Invalid for an unknown log or a day within the retention, Conflict when entries of
    those months are not in the signed log yet, Unavailable when the announcement is not signed in time; nothing is
    dropped then, and the next run goes on.
    """
    if log_name not in LOGS:
        raise Invalid(f"There is no log named {log_name[:40]!r}; the logs are {' and '.join(LOGS)}.", code="bad_log")
    latest = cutoff(log_name)
    before = latest if before is None else before
    if before > latest:
        held = settings.PLIMSOLL_RETENTION_MONTHS[log_name]
        raise Invalid(
            f"Entries of the log {log_name} are held for {held} months: nothing after {latest} can be dropped.",
            code="within_retention",
        )
    old = [month for month in months(log_name) if month.end <= before]
    if not old:
        return None
    span = _span(log_name, old)
    if span is None:
        _drop(log_name, old)
        return Pruned(log_name, len(old), 0, 0)
    first, end, entries = span
    announced = _announce(log_name, old, first, end, entries)
    _await_signature(announced)
    _drop(log_name, old, end, announced)
    return Pruned(log_name, len(old), entries, end)


def _span(log_name: str, old: list[Month]) -> tuple[int, int, int] | None:
    """First index, index after the last, and number of the entries in these months; None when there are none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(l.seq), min(l.seq), max(l.seq) FROM audit_event e"
            " LEFT JOIN audit_leaf l ON l.event_id = e.id"
            " WHERE e.log = %s AND e.recorded_at >= %s AND e.recorded_at < %s",
            [log_name, f"{old[0].first} 00:00+00", f"{old[-1].end} 00:00+00"],
        )
        entries, placed, first, last = cursor.fetchone()
    if entries == 0:
        return None
    signed = Checkpoint.objects.filter(log=log_name).order_by("-size").values_list("size", flat=True).first() or 0
    if placed != entries or last >= signed:
        raise Conflict(
            f"Of {entries} entries in these months {entries - placed} are not in the log yet, or are not signed yet.",
            code="not_signed_yet",
        )
    return first, last + 1, entries


def _announce(log_name: str, old: list[Month], first: int, end: int, entries: int) -> uuid.UUID:
    signed = Checkpoint.objects.filter(log=log_name).order_by("-size").first()
    with door.open(SYSTEM, Action.PRUNE, on=Subject(type="log", id=log_name)) as entry:
        entry.record(
            before={"from": first, "to": end, "entries": entries},
            after={
                "minimum_index": end,
                "months": [f"{month.first:%Y-%m}" for month in old],
                "checkpoint": signed.note.split("\n\n")[0] if signed else None,
            },
        )
    if entry.appended is None:  # pragma: no cover - the door appends or raises
        raise RuntimeError("The announcement was not appended.")
    return entry.appended.id


def _await_signature(event_id: uuid.UUID) -> None:
    for _ in _ticks(PATIENCE):
        place = Leaf.objects.filter(event_id=event_id).first()
        if place is not None and Checkpoint.objects.filter(log=place.log, size__gt=place.seq).exists():
            return
    raise Unavailable(
        f"The entry that announces the drop was not signed within {PATIENCE:.0f} s. Nothing was dropped; see that the "
        "sequencer runs, and try again.",
        code="not_signed",
    )


def _ticks(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.1)


def _drop(log_name: str, old: list[Month], minimum: int = 0, announced: uuid.UUID | None = None) -> None:
    """Openings and partitions go in one transaction, with the row that says from where on the log holds its entries."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        for month in old:
            quoted = connection.ops.quote_name(month.table)
            cursor.execute(f"DELETE FROM audit_disclosure d USING {quoted} e WHERE d.event_id = e.id")  # noqa: S608 - a name from the catalogue
            cursor.execute(f"DROP TABLE {quoted}")
        if announced is not None:
            Minimum.objects.bulk_create(
                [Minimum(log=log_name, minimum_index=minimum, event_id=announced, made_at=clock.now())],
                ignore_conflicts=True,
            )
    log.info("months were dropped", extra={"log": log_name, "months": len(old), "minimum_index": minimum})
