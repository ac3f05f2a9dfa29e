"""The leaves by their place in the log: their hashes, and their bytes as long as retention keeps them."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from audit.errors import Gone, Unavailable
from audit.ids import instant_of
from audit.models import Minimum

log_ = logging.getLogger("plimsoll.leaves")

# An event's id and its time are taken one after the other; a clock that was set in between moved by less.
_SLACK = timedelta(minutes=10)


def hashes(log: str, start: int, end: int) -> list[bytes]:
    """The leaf hashes of entries ``start`` to ``end``; fewer when the log is shorter."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT leaf_hash FROM audit_leaf WHERE log = %s AND seq >= %s AND seq < %s ORDER BY seq",
            [log, start, end],
        )
        return [bytes(row[0]) for row in cursor.fetchall()]


def bodies(log: str, start: int, end: int) -> list[bytes]:
    """The bytes of entries ``start`` to ``end``, in order.

    Raises Gone when retention dropped any of them, Unavailable when one is missing that should be there.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_id FROM audit_leaf WHERE log = %s AND seq >= %s AND seq < %s ORDER BY seq", [log, start, end]
        )
        ids: list[UUID] = [row[0] for row in cursor.fetchall()]
    found = _by_id(log, ids)
    if len(ids) == end - start and len(found) == len(ids):
        return [found[event_id] for event_id in ids]
    minimum = minimum_index(log)
    if start < minimum:
        raise Gone(
            f"Entries before {minimum:,} were dropped when their time was over; their hashes remain.",
            details={"minimum_index": minimum},
        )
    log_.critical("entries of the log are missing", extra={"log": log, "start": start, "end": end})
    raise Unavailable(
        "An entry that belongs here is missing from the database. Tell the operator to run the doctor.",
        code="log_damaged",
    )


def minimum_index(log: str) -> int:
    """From which index on the log still holds its entries."""
    newest = Minimum.objects.filter(log=log).order_by("-minimum_index").first()
    return 0 if newest is None else newest.minimum_index


def _by_id(log: str, ids: list[UUID]) -> dict[UUID, bytes]:
    """The leaves of these events. Their ids say when they were made, which spares the look into every partition."""
    if not ids:
        return {}
    try:
        instants = [instant_of(event_id) for event_id in ids if event_id.version == 7]
    except OverflowError:
        instants = []  # an id that is not ours may name a time that no calendar has
    found: dict[UUID, bytes] = {}
    if instants:
        found = _select(log, ids, min(instants) - _SLACK, max(instants) + _SLACK)
    if len(found) < len(ids):
        found |= _select(log, [event_id for event_id in ids if event_id not in found])
    return found


def _select(log: str, ids: list[UUID], *between: datetime) -> dict[UUID, bytes]:
    period = " AND recorded_at BETWEEN %s AND %s" if between else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, leaf_data FROM audit_event WHERE log = %s AND id = ANY(%s){period}",  # noqa: S608 - our words
            [log, ids, *between],
        )
        return {event_id: bytes(leaf) for event_id, leaf in cursor.fetchall()}
