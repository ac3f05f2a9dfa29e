"""Ticks: one entry an hour in each log, also when nothing happens.

A tick ties an instant to an index: what was signed when. A verifier measures the times of the entries around it against
it, and an auditor sees in its absence that the log stood still. Not here: the loop that asks (``audit/rounds.py``).
"""

from datetime import datetime, timedelta

from django.db import transaction

from audit import clock, merkle, trail
from audit.actors import SYSTEM
from audit.events import LOGS, Action
from audit.models import Checkpoint, Event
from audit.note import parse_checkpoint, parse_note
from audit.subjects import Subject

EVERY = timedelta(hours=1)


def subject(log_name: str) -> Subject:
    """A log as the object of an entry: what ticks and keys are recorded of."""
    return Subject(type="log", id=log_name)


def last(log_name: str) -> datetime | None:
    """When this log last ticked, None for never."""
    newest = Event.objects.filter(log=log_name, action=Action.TICK.value).order_by("-recorded_at").first()
    return newest.recorded_at if newest else None


def tick(log_name: str) -> trail.Appended:
    """Append one tick: how far the log is signed at this moment, with the root that was signed."""
    size, root = _signed(log_name)
    draft = trail.Draft(
        by=SYSTEM,
        action=Action.TICK,
        outcome="success",
        subject=subject(log_name),
        change={"after": {"signed_size": size, "root": root.hex()}},
        log=log_name,
    )
    with transaction.atomic(durable=True):
        return trail.append(draft)


class Hours:
    """Remembers when each log's next tick is due, so that asking costs nothing in between."""

    def __init__(self) -> None:
        self._next: dict[str, datetime] = {}

    def strike(self) -> list[str]:
        """Tick every log whose hour has come; which ones ticked.

        Before a tick the database is asked once more: another process may have been here in the meantime.
        """
        instant = clock.now()
        struck = []
        for log_name in LOGS:
            if instant < self._next.get(log_name, instant):
                continue
            before = last(log_name)
            if before is None or instant - before >= EVERY:
                tick(log_name)
                struck.append(log_name)
                before = instant
            self._next[log_name] = min(before + EVERY, instant + EVERY)
        return struck


def _signed(log_name: str) -> tuple[int, bytes]:
    """Size and root of the newest checkpoint; those of the empty tree when there is none."""
    newest = Checkpoint.objects.filter(log=log_name).order_by("-size").first()
    if newest is None:
        return 0, merkle.EMPTY_ROOT
    signed = parse_checkpoint(parse_note(newest.note)[0])
    return signed.size, signed.root
