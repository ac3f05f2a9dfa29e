"""One entry against itself: its bytes against its hash, the copies beside it against its bytes, its writer's MAC, and
its time against the ticks around it. Nothing here asks the database.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from audit import clock
from audit.events import Action
from audit.examination.entries import Event, Place
from audit.findings import TAMPERED, Finding, Severity

# A transaction may take its entry's time and commit later, and clocks are set: what lies beyond that is said.
SKEW: Final = timedelta(minutes=10)

Leaf = dict[str, Any]  # a leaf as JSON gives it


class Entries:
    """Examines the entries of one log in rising order. ``writer`` is the key of the MACs, None when it is not here."""

    def __init__(self, log: str, writer: bytes | None, minimum: int) -> None:
        self.area = f"{log}/entries"
        self._log = log
        self._writer = writer
        self._minimum = minimum
        self._times = _Times(self.area)

    def look(self, place: Place) -> tuple[Leaf | None, list[Finding]]:
        """The leaf when it is the one that was sequenced, and what is wrong with the entry."""
        event = place.event
        if event is None:
            gone = [] if place.seq < self._minimum else [self._broken("event-missing", f"{told(place)} is gone.")]
            return None, gone
        if hashlib.sha256(b"\x00" + event.leaf_data).digest() != place.leaf_hash:
            return None, [self._broken("event-changed", f"{told(place)} is not what was sequenced: its bytes differ.")]
        found = []
        if self._writer is not None:
            mac = hmac.digest(self._writer, event.leaf_data, "sha256")
            if not hmac.compare_digest(mac, event.mac):
                found.append(self._broken("mac-invalid", f"{told(place)} was not written by the service."))
        leaf = read(event.leaf_data)
        if leaf is None:
            return None, [*found, self._broken("leaf-unreadable", f"{told(place)} is not JSON.")]
        found += [
            self._broken("copy-differs", f"{told(place)}: {column} beside the leaf is not what the leaf says.")
            for column in _differing(leaf, event, self._log)
        ]
        found += self._times.look(place, leaf)
        return leaf, found

    def finish(self) -> list[Finding]:
        """What can only be said at the end of the log."""
        return self._times.finish()

    def _broken(self, code: str, sentence: str) -> Finding:
        return Finding(Severity.BROKEN, self.area, code, sentence, TAMPERED)


def told(place: Place) -> str:
    """An entry in words."""
    return f"Entry {place.seq} ({place.event_id})"


def read(leaf_data: bytes) -> Leaf | None:
    """The leaf as JSON, None when it is no JSON object."""
    try:
        leaf = json.loads(leaf_data)
    except (ValueError, RecursionError):
        return None
    return leaf if isinstance(leaf, dict) else None


def inner(leaf: Leaf, name: str) -> Leaf:
    """An object inside a leaf, empty when it is none."""
    found = leaf.get(name)
    return found if isinstance(found, dict) else {}


def time_of(leaf: Leaf) -> datetime | None:
    """The time a leaf states."""
    try:
        stated = datetime.fromisoformat(leaf["time"])
    except (KeyError, TypeError, ValueError):
        return None
    return stated if stated.tzinfo is not None else None


def _differing(leaf: Leaf, event: Event, log: str) -> Iterator[str]:
    """The columns whose value is not the leaf's."""
    subject = inner(leaf, "object")
    pairs = (
        ("id", str(event.id), leaf.get("id")),
        ("recorded_at", event.recorded_at, time_of(leaf)),
        ("log", event.log, leaf.get("log")),
        ("log", log, leaf.get("log")),
        ("action", event.action, leaf.get("action")),
        ("outcome", event.outcome, leaf.get("outcome")),
        ("object_type", event.object_type, subject.get("type")),
        ("object_id", event.object_id, subject.get("id")),
        ("object_n", event.object_n, subject.get("n")),
        ("actor_ref", event.actor_ref, inner(leaf, "actor").get("ref")),
    )
    for column, stored, stated in pairs:
        if stored != stated:
            yield column


class _Times:
    """Entries between two ticks were written between them, give or take ``SKEW``."""

    def __init__(self, area: str) -> None:
        self._area = area
        self._tick: datetime | None = None
        self._latest: tuple[datetime, Place] | None = None  # since the last tick

    def look(self, place: Place, leaf: Leaf) -> Iterator[Finding]:
        stated = time_of(leaf)
        if stated is None:
            return
        if self._tick is not None and stated < self._tick - SKEW:
            yield self._odd(place, stated, f"before the tick of {clock.rfc3339(self._tick)} that it comes after")
        if leaf.get("action") == Action.TICK.value:
            yield from self._overtaken(stated, f"after the tick of {clock.rfc3339(stated)} that it comes before")
            self._tick, self._latest = stated, None
        elif self._latest is None or stated > self._latest[0]:
            self._latest = (stated, place)

    def finish(self) -> list[Finding]:
        return list(self._overtaken(clock.now(), "in the future"))

    def _overtaken(self, by: datetime, how: str) -> Iterator[Finding]:
        if self._latest is not None and self._latest[0] > by + SKEW:
            yield self._odd(self._latest[1], self._latest[0], how)

    def _odd(self, place: Place, stated: datetime, how: str) -> Finding:
        sentence = f"{told(place)} says {clock.rfc3339(stated)}, which is {how}."
        advice = "A clock that was set explains it, or a transaction that was open for long; else it was back-dated."
        return Finding(Severity.OPEN, self._area, "time-odd", sentence, advice)
