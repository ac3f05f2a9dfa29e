"""The entries of a log in the order of their index, with their events, a chunk at a time and in constant memory.

Unlike ``audit/stream.py`` this trusts nothing: it reads what is there, says where an index is missing, and finds an
event also when somebody has moved it to another month or another log.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from audit import ids, rows

CHUNK: Final = 2_048  # a multiple of 256, so that whole tiles come together
_PLACES: Final = "SELECT seq, event_id, leaf_hash FROM audit_leaf WHERE log = %s AND seq >= %s ORDER BY seq LIMIT %s"
_EVENTS: Final = (
    "SELECT id, recorded_at, log, action, outcome, object_type, object_id, object_n, actor_ref, leaf_data, mac"
    " FROM audit_event WHERE id = ANY(%s)"
)
_SLACK: Final = timedelta(minutes=10)  # between an event's time and the one in its id, when a clock was set in between


@dataclass(frozen=True, slots=True)
class Event:
    """A row of ``audit_event``."""

    id: UUID
    recorded_at: datetime
    log: str
    action: str
    outcome: str
    object_type: str
    object_id: str
    object_n: int | None
    actor_ref: str
    leaf_data: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """One index of a log, and the event that stands there; None when it is gone."""

    seq: int
    event_id: UUID
    leaf_hash: bytes
    event: Event | None


def chunks(log: str, start: int = 0) -> Iterator[list[Place]]:
    """Every place from index ``start`` on, in order. That indices are missing in between is for the caller to see."""
    while places := _all(_PLACES, log, start, CHUNK):
        found = _events([event_id for _, event_id, _ in places])
        yield [Place(seq, event_id, leaf_hash, found.get(event_id)) for seq, event_id, leaf_hash in places]
        start = places[-1][0] + 1


def _events(wanted: Sequence[UUID]) -> dict[UUID, Event]:
    """The events by id: first among those of their time, which spares the look into every month."""
    instants = [instant for event_id in wanted if (instant := _instant(event_id)) is not None]
    found: dict[UUID, Event] = {}
    if instants:
        between = " AND recorded_at BETWEEN %s AND %s"
        found = _by_id(wanted, between, min(instants) - _SLACK, max(instants) + _SLACK)
    rest = [event_id for event_id in wanted if event_id not in found]
    return found | _by_id(rest, "") if rest else found


def _by_id(wanted: Sequence[UUID], between: str, *bounds: datetime) -> dict[UUID, Event]:
    return {row[0]: Event(*row) for row in _all(f"{_EVENTS}{between}", list(wanted), *bounds)}


def _instant(event_id: UUID) -> datetime | None:
    """The time in an id; None when it holds none."""
    try:
        return ids.instant_of(event_id) if event_id.version == 7 else None
    except OverflowError:
        return None


def _all(query: str, *values: object) -> list[Any]:
    with rows.cursor() as driver:
        return driver.execute(query.encode(), values, binary=True).fetchall()
