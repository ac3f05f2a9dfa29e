"""How a log stands, for pages and exports: how far it is signed, by which keys, and who outside has confirmed it.

Read from the database, from the list of configured anchors and from the sequencer's notice board. Permission is asked
by the caller.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection

from audit import anchors, clock, noticeboard, rotation, sequencer
from audit.anchors import Anchor
from audit.events import LOGS, Action
from audit.models import Checkpoint, Event, Leaf, Minimum
from audit.note import NoteError, parse_checkpoint, parse_note
from audit.noticeboard import Notice
from audit.rotation import Range

STOPPED_AFTER: Final = 60.0


@dataclass(frozen=True)
class Confirmation:
    """That a configured anchor holds a size and root of this log, as the database has them."""

    anchor: str
    kind: str
    size: int
    root: str
    at: datetime
    receipt: str


@dataclass(frozen=True)
class Trouble:
    """What went wrong with an anchor after it last answered."""

    anchor: str
    sentence: str
    at: str


@dataclass(frozen=True)
class Tick:
    """The last hourly entry; no index until it is sequenced."""

    at: datetime
    index: int | None


@dataclass(frozen=True)
class Standing:
    """``waiting`` counts entries without an index; ``waiting_since`` is when the oldest entry that is not signed yet
    was made or sequenced, None when all is signed. ``refusal`` is the sentence with which signing was refused, or
    empty. ``confirmations`` has the newest of each anchor, the furthest first; ``anchors`` lists (name, kind).
    """

    log: str
    origin: str
    size: int
    waiting: int
    waiting_since: datetime | None
    refusal: str
    signed_size: int
    signed_at: datetime | None
    note: str
    root: str
    keys: list[Range]
    anchors: list[tuple[str, str]]
    confirmations: list[Confirmation]
    troubles: list[Trouble]
    tick: Tick | None
    oldest_at: datetime | None
    minimum_index: int

    @property
    def witnessed(self) -> bool:
        """Whether anybody outside has confirmed this log."""
        return bool(self.confirmations)

    @property
    def unsigned_for_seconds(self) -> float:
        """How long the oldest unsigned entry has waited; 0.0 when all is signed."""
        return max(0.0, (clock.now() - self.waiting_since).total_seconds()) if self.waiting_since else 0.0

    @property
    def overdue(self) -> bool:
        """Whether signing has stopped: it was refused, or nobody signs."""
        return bool(self.refusal) or self.unsigned_for_seconds > STOPPED_AFTER


def standings() -> list[Standing]:
    """How each log stands."""
    return [standing(log_name) for log_name in LOGS]


def standing(log_name: str) -> Standing:
    """How a log stands now; the same ten queries whatever its size."""
    signed = Checkpoint.objects.filter(log=log_name).order_by("-size").first()
    signed_size = signed.size if signed else 0
    size, unsigned_since = _unsigned(log_name, signed_size)
    waiting, pending_since = _pending(log_name)
    notices = noticeboard.read()
    configured = [anchor for anchor in anchors.configured() if log_name in anchor.logs]
    lowest = Minimum.objects.filter(log=log_name).order_by("-minimum_index").first()
    oldest = Event.objects.filter(log=log_name).order_by("recorded_at").values_list("recorded_at", flat=True).first()
    return Standing(
        log=log_name,
        origin=sequencer.origin(log_name),
        size=max(size, signed_size),
        waiting=waiting,
        waiting_since=min(filter(None, (unsigned_since, pending_since)), default=None),
        refusal=notices.refused.get(log_name, ""),
        signed_size=signed_size,
        signed_at=signed.made_at if signed else None,
        note=signed.note if signed else "",
        root=_root(signed.note) if signed else "",
        keys=rotation.ranges(log_name),
        anchors=[(each.name, each.kind) for each in configured],
        confirmations=_confirmations(log_name, configured),
        troubles=[
            Trouble(each.name, notice.error, notice.error_at)
            for each in configured
            if (notice := notices.anchors.get(each.name, {}).get(log_name, Notice())).error
        ],
        tick=_tick(log_name),
        oldest_at=oldest,
        minimum_index=lowest.minimum_index if lowest else 0,
    )


def _root(note: str) -> str:
    """The root in a note; none when somebody changed the note so that it is none (the doctor says so)."""
    try:
        return parse_checkpoint(parse_note(note)[0]).root.hex()
    except NoteError:
        return ""


def _unsigned(log_name: str, signed_size: int) -> tuple[int, datetime | None]:
    """The committed size beyond what is signed, and since when something of it waits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT max(size), min(made_at) FROM audit_tree WHERE log = %s AND size > %s", [log_name, signed_size]
        )
        size, since = cursor.fetchone()
    return size or 0, since


def _pending(log_name: str) -> tuple[int, datetime | None]:
    """How many entries have no index yet, and since when."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(recorded_at) FROM audit_pending WHERE log = %s", [log_name])
        count, since = cursor.fetchone()
    return count, since


def _tick(log_name: str) -> Tick | None:
    newest: tuple[uuid.UUID, datetime] | None = (
        Event.objects.filter(log=log_name, action=Action.TICK.value)
        .order_by("-recorded_at")
        .values_list("id", "recorded_at")
        .first()
    )
    if newest is None:
        return None
    place = Leaf.objects.filter(event_id=newest[0]).first()
    return Tick(at=newest[1], index=place.seq if place else None)


def _confirmations(log_name: str, configured: list[Anchor]) -> list[Confirmation]:
    """The newest receipt of each configured anchor whose root is the one the database has at that size."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT ON (r.anchor) r.anchor, r.kind, r.size, r.root, r.made_at, r.receipt"
            " FROM audit_anchor_receipt r JOIN audit_tree t ON t.log = r.log AND t.size = r.size AND t.root = r.root"
            " WHERE r.log = %s AND (r.anchor, r.kind) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
            " ORDER BY r.anchor, r.size DESC",
            [log_name, [each.name for each in configured], [each.kind for each in configured]],
        )
        found = [Confirmation(row[0], row[1], row[2], bytes(row[3]).hex(), row[4], row[5]) for row in cursor.fetchall()]
    return sorted(found, key=lambda each: (-each.size, each.anchor))
