"""``audit_reindex``: give openings their words that were written before words were kept. To be run as the owner, since
nobody else may change a row of the trail's side tables; again and again, if one likes.
"""

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from audit import vault, words
from audit.models import Disclosure, Event

_BATCH = 1_000
_WITHOUT = (
    "SELECT DISTINCT event_id FROM audit_disclosure AS o WHERE event_id > %s AND NOT EXISTS"
    " (SELECT FROM audit_disclosure AS w WHERE w.event_id = o.event_id AND w.subject_id = o.subject_id"
    " AND w.words <> '{}') ORDER BY event_id LIMIT %s"
)
_WRITE = "UPDATE audit_disclosure SET words = %s WHERE event_id = %s AND path = %s"


class Command(BaseCommand):
    """Walk through the openings in the order of their events."""

    help = "Make openings searchable that were written before their words were kept. Run with PLIMSOLL_ROLE=owner."

    def handle(self, *args: Any, **options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT has_table_privilege('audit_disclosure', 'UPDATE')")
            if not cursor.fetchone()[0]:
                raise CommandError("This takes the owner's rights: run it with PLIMSOLL_ROLE=owner.")
        last, done = uuid.UUID(int=0), 0
        while batch := _without_words(last):
            done += _index(batch)
            last = batch[-1]
        self.stdout.write(f"{done:,} entries can be found by their words now.")


def _without_words(after: uuid.UUID) -> list[uuid.UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_WITHOUT, [after, _BATCH])
        return [row[0] for row in cursor.fetchall()]


def _index(event_ids: list[uuid.UUID]) -> int:
    """Write the tokens of some events; how many got any. Openings whose key is gone stay as they are."""
    opened = vault.openings(event_ids)
    people = _people(event_ids)
    written = []
    for event in Event.objects.filter(id__in=list(opened)):
        found_by = words.marks(
            log=event.log,
            recorded_at=event.recorded_at,
            action=event.action,
            outcome=event.outcome,
            actor=event.actor_ref,
            object_type=event.object_type,
            object_id=event.object_id,
        )
        texts = opened[event.id]
        for subject_id in {people[event.id, path] for path in texts}:
            # What concerns one person is found, and forgotten, together.
            own = {path: text for path, text in texts.items() if people[event.id, path] == subject_id}
            if tokens := words.of_event((vault.value_of(text) for text in own.values()), found_by):
                written.append((tokens, event.id, min(own)))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(_WRITE, written)
    return len({event_id for _, event_id, _ in written})


def _people(event_ids: list[uuid.UUID]) -> dict[tuple[uuid.UUID, str], str]:
    """Whom each opening concerns."""
    rows = Disclosure.objects.filter(event_id__in=event_ids).values_list("event_id", "path", "subject_id")
    return {(event_id, path): subject_id for event_id, path, subject_id in rows}
