"""What lies between writing an event and its place in the log: the queue, what was set aside, what was lost."""

from collections.abc import Iterator
from typing import Any, Final

from django.db import connection

from audit import clock
from audit.findings import EACH, TAMPERED, Finding, Severity

AREA: Final = "queue"
LATE: Final = 60.0  # seconds after which an event should long have its place


def quarantined() -> Iterator[Finding]:
    """Events that the sequencer refused, because the service did not write them."""
    for event_id, reason, found_at in _all("SELECT event_id, reason, found_at FROM audit_quarantine ORDER BY found_at"):
        sentence = f"Event {event_id} was set aside at {clock.rfc3339(found_at)}: {reason}."
        yield _broken("quarantined", sentence)


def waiting() -> Iterator[Finding]:
    """Events that wait for their place for too long, or that nobody can ever place."""
    counted = (
        "SELECT log, count(*), min(recorded_at) FROM audit_pending WHERE recorded_at < now() - %s * interval '1 s'"
    )
    for log, count, since in _all(f"{counted} GROUP BY log ORDER BY log", LATE):
        sentence = f"{count} events of the log {log} wait for their place, the oldest since {clock.rfc3339(since)}."
        yield Finding(Severity.OPEN, AREA, "pending-late", sentence, "See that the sequencer runs, and what it logs.")
    for event_id in _ids(
        "SELECT p.event_id FROM audit_pending p WHERE NOT EXISTS (SELECT FROM audit_event e"
        " WHERE e.id = p.event_id AND e.recorded_at = p.recorded_at AND e.log = p.log)"
    ):
        yield _broken("pending-without-event", f"Event {event_id} waits for its place and is not there.")
    for event_id in _ids("SELECT p.event_id FROM audit_pending p JOIN audit_leaf l ON l.event_id = p.event_id"):
        yield _broken("pending-twice", f"Event {event_id} has its place in the log and waits for another.")


def lost() -> Iterator[Finding]:
    """Events that have no place and do not wait for one, or that are there twice. Reads all events once."""
    for event_id in _ids(
        "SELECT e.id FROM audit_event e WHERE NOT EXISTS (SELECT FROM audit_leaf l WHERE l.event_id = e.id)"
        " AND NOT EXISTS (SELECT FROM audit_pending p WHERE p.event_id = e.id)"
        " AND NOT EXISTS (SELECT FROM audit_quarantine q WHERE q.event_id = e.id) ORDER BY e.id"
    ):
        yield _broken("event-dropped", f"Event {event_id} has no place in the log and does not wait for one.")
    for event_id in _ids("SELECT id FROM audit_event GROUP BY id HAVING count(*) > 1 ORDER BY id"):
        yield _broken("event-doubled", f"Event {event_id} is there more than once.")


def _ids(query: str) -> Iterator[str]:
    """The ids a query finds; more than are ever told one by one are not read, but for one that stands for them."""
    for (event_id,) in _all(f"{query} LIMIT %s", EACH + 1):
        yield str(event_id)


def _all(query: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, list(values))
        return list(cursor.fetchall())


def _broken(code: str, sentence: str) -> Finding:
    return Finding(Severity.BROKEN, AREA, code, sentence, TAMPERED)
