"""Entries read in the order of their index, however many there are, in constant memory.

A step reads the places of some entries and then their leaves by time: ids are UUIDs of version 7, so the window of a
step is known, and one range of the primary key of a partition or two holds all of its events. Where it does not (those
of a long transaction, one that was tampered with, one that is gone), the step is read by id. Rows come in binary
through the driver's own cursor, and the next step is read while the caller works on this one.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection
from psycopg import Cursor

from audit.step import HASH, STEP, Step

_SLACK: Final = timedelta(milliseconds=50)  # between an event's time and the time in its id
_CLOCK_SET: Final = timedelta(minutes=10)  # the same, when a clock was set in between
_PLACES: Final = (
    "SELECT string_agg(leaf_hash, ''::bytea ORDER BY seq), string_agg(uuid_send(event_id), ''::bytea ORDER BY seq)"
    " FROM audit_leaf WHERE log = %s AND seq >= %s AND seq < %s"
)
_BY_TIME: Final = (
    "SELECT leaf_hash, leaf_data FROM audit_event WHERE log = %s AND recorded_at BETWEEN %s AND %s LIMIT %s"
)
_BY_ID: Final = "SELECT uuid_send(id), leaf_hash, leaf_data FROM audit_event WHERE log = %s AND id = ANY(%s::uuid[])"


class Source:
    """Reads one log over the connection of the calling thread, which may use it as well: the driver takes turns."""

    def __init__(self, log: str) -> None:
        self._log = log
        connection.ensure_connection()
        self._cursor: Cursor[Any] = Cursor(connection.connection)
        self._errors = connection.wrap_database_errors

    def between(self, start: int, end: int) -> Iterator[Step]:
        """Entries ``start`` to ``end``."""
        return self._ahead(range(begin, min(begin + STEP, end)) for begin in range(start, end, STEP))

    def chosen(self, places: Iterable[Step]) -> Iterator[Step]:
        """The entries of steps that have no lines yet."""
        return self._ahead(places)

    def _ahead(self, wanted: Iterable[range | Step]) -> Iterator[Step]:
        """One step is always being read while the one before it is worked on."""
        with ThreadPoolExecutor(1, thread_name_prefix="stream") as thread:
            coming: list[Future[Step]] = []
            for each in wanted:
                coming.append(thread.submit(self._read, each))
                if len(coming) > 1:
                    yield coming.pop(0).result()
            for last in coming:
                yield last.result()

    def _read(self, wanted: range | Step) -> Step:
        if isinstance(wanted, Step):
            return self._by_id(wanted)
        bounds = [self._log, wanted.start, wanted.stop]
        hashes, events = self._all(_PLACES, bounds)[0]
        places = Step(wanted, hashes or b"", events or b"", b"")
        if len(places.hashes) != HASH * len(wanted):
            raise LookupError(f"The log {self._log} has no leaf hashes for some entries from {wanted.start} on.")
        found = dict(self._all(_BY_TIME, [self._log, *_window(places.event_ids()), 2 * STEP]))
        try:
            leaves = [found[hashes[at : at + HASH]] for at in range(0, len(hashes), HASH)]
        except KeyError:
            return self._by_id(places)
        leaves.append(b"")
        return Step(wanted, hashes, events, b"\n".join(leaves))

    def _by_id(self, places: Step) -> Step:
        """A step put together from its events' ids: by those of their time first, to spare the look everywhere."""
        ids = places.event_ids()
        since, until = _instant(min(ids)) - _CLOCK_SET, _instant(max(ids)) + _CLOCK_SET
        found = self._leaves(ids, " AND recorded_at BETWEEN %s AND %s", [since, until])
        rest = [event for event in ids if event not in found]
        if rest:
            found |= self._leaves(rest, "", [])
        lines, gone, changed = [], [], []
        for position, event in enumerate(ids):
            leaf_hash, leaf = found.get(event, (b"", b""))
            if not leaf:
                gone.append(position)
                continue
            if leaf_hash != places.hashes[position * HASH : (position + 1) * HASH]:
                changed.append(position)
                leaf = leaf.replace(b"\n", b" ")  # its hash is wrong anyway, and one line must stay one entry
            lines.append(leaf + b"\n")
        return Step(places.indices, places.hashes, places.events, b"".join(lines), frozenset(gone), frozenset(changed))

    def _leaves(self, ids: list[bytes], also: str, bounds: list[object]) -> dict[bytes, tuple[bytes, bytes]]:
        rows = self._all(_BY_ID + also, [self._log, [event.hex() for event in ids], *bounds])
        return {event: (leaf_hash, leaf) for event, leaf_hash, leaf in rows}

    def _all(self, sql: str, values: list[object]) -> list[Any]:
        with self._errors:
            return self._cursor.execute(sql, values, binary=True).fetchall()


def _window(ids: list[bytes]) -> tuple[datetime, datetime]:
    """Between which times these events were recorded, without a few that lie far from the others."""
    ordered = sorted(ids)
    edge = len(ordered) // 64
    first, last = _instant(ordered[0]), _instant(ordered[-1])
    inner_first, inner_last = _instant(ordered[edge]), _instant(ordered[-1 - edge])
    if last - first > 2 * (inner_last - inner_first) + timedelta(seconds=1):
        first, last = inner_first, inner_last
    return first - _SLACK, last + _SLACK


def _instant(event: bytes) -> datetime:
    """The time in a UUID of version 7; an id of another kind gives some time or other."""
    return datetime.fromtimestamp(int.from_bytes(event[:6], "big") % 4_102_444_800_000 / 1000, UTC)
