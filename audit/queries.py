"""Reads of the trail: search, one entry, one object's life, the state of the log. Permission is asked by the caller's
app (``access`` is above this one); pages and exports go through ``web``.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from audit import disclosure, vault
from audit.bundle import VerifierKey
from audit.errors import Invalid, NotFound
from audit.events import LOGS, Action
from audit.models import Checkpoint, Event, Leaf, LogKey, Pseudonym, Tree

PAGE = 50
OUTCOMES = ("success", "denied", "error")


@dataclass(frozen=True)
class Filter:
    """What an auditor looks for; empty fields match everything. ``account`` is an account id."""

    log: str = "admin"
    action: str = ""
    outcome: str = ""
    object_type: str = ""
    object_id: str = ""
    account: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def check(self) -> None:
        """Raise Invalid for a value that no entry can have."""
        if self.log not in LOGS:
            raise Invalid(
                f"There is no log named {self.log[:40]!r}; the logs are {' and '.join(LOGS)}.", code="bad_filter"
            )
        if self.action and self.action not in {action.value for action in Action}:
            raise Invalid(f"There is no action named {self.action[:60]!r}.", code="bad_filter")
        if self.outcome and self.outcome not in OUTCOMES:
            raise Invalid(f"The outcome is {', '.join(OUTCOMES[:-1])} or {OUTCOMES[-1]}.", code="bad_filter")
        if self.since and self.until and self.since > self.until:
            raise Invalid("The start of the period lies after its end.", code="bad_filter")

    def is_whole_log(self) -> bool:
        """Whether nothing but the log is chosen: only then can an export prove that nothing is missing."""
        return not any(
            (self.action, self.outcome, self.object_type, self.object_id, self.account, self.since, self.until)
        )


@dataclass(frozen=True)
class Entry:
    """One event, readable: the leaf, its place in the log when it has one, its openings that may be shown."""

    id: uuid.UUID
    index: int | None
    leaf: dict[str, Any]
    leaf_hash: str
    account: str | None
    disclosed: dict[str, Any] = field(default_factory=dict)

    @property
    def recorded_at(self) -> datetime:
        return datetime.fromisoformat(self.leaf["time"])


@dataclass(frozen=True)
class Page:
    """One page of entries, newest first, and where the next begins."""

    entries: list[Entry]
    after: str


def search(chosen: Filter, after: str = "", size: int = PAGE) -> Page:
    """Entries that match, newest first. ``after`` is the ``Page.after`` of the page before."""
    rows = matching(chosen).order_by("-recorded_at", "-id")
    if after:
        rows = rows.extra(where=["(recorded_at, id) < (%s, %s)"], params=list(_place(after)))
    found = list(rows[: size + 1])
    more = len(found) > size
    found = found[:size]
    return Page(
        entries=readable(found),
        after=f"{found[-1].recorded_at.isoformat()}/{found[-1].id}" if more else "",
    )


def _place(after: str) -> tuple[datetime, uuid.UUID]:
    """Where a page begins: the instant and the id in ``Page.after``."""
    moment, _, last = after.partition("/")
    try:
        return _utc(datetime.fromisoformat(moment)), uuid.UUID(last)
    except ValueError:
        raise Invalid("This page does not exist; start again from the first.", code="bad_page") from None


def _utc(instant: datetime) -> datetime:
    """``instant`` in UTC, where there is one: near the first and the last day there is not."""
    try:
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("There is no such instant in UTC.") from None


def instant_of(text: str) -> datetime:
    """A time as people write it; without a zone it is UTC. Raises Invalid when it is none."""
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        raise Invalid("A time reads like 2026-11-22T14:00:00Z or 2026-11-22.", code="bad_filter") from None


def matching(chosen: Filter) -> QuerySet[Event]:
    """The events of a filter, unordered."""
    chosen.check()
    exact = {
        "action": chosen.action,
        "outcome": chosen.outcome,
        "object_type": chosen.object_type,
        "object_id": chosen.object_id,
    }
    rows = Event.objects.filter(log=chosen.log, **{name: value for name, value in exact.items() if value})
    if chosen.account:
        rows = rows.filter(actor_ref__in=Pseudonym.objects.filter(account=chosen.account).values("ref"))
    if chosen.since:
        rows = rows.filter(recorded_at__gte=chosen.since)
    if chosen.until:
        rows = rows.filter(recorded_at__lt=chosen.until)
    return rows


def readable(events: Sequence[Event]) -> list[Entry]:
    """Entries with indices, accounts and openings, in three queries however many there are."""
    ids = [event.id for event in events]
    places = dict(Leaf.objects.filter(event_id__in=ids).values_list("event_id", "seq"))
    accounts = dict(
        Pseudonym.objects.filter(ref__in={event.actor_ref for event in events}).values_list("ref", "account")
    )
    opened = vault.openings(ids)
    return [
        Entry(
            id=event.id,
            index=places.get(event.id),
            leaf=json.loads(bytes(event.leaf_data)),
            leaf_hash=bytes(event.leaf_hash).hex(),
            account=accounts.get(event.actor_ref),
            disclosed={path: disclosure.open_disclosure(text)[2] for path, text in opened.get(event.id, {}).items()},
        )
        for event in events
    ]


def entry(event_id: uuid.UUID) -> Entry:
    """One entry by id; NotFound otherwise."""
    event = Event.objects.filter(id=event_id).first()
    if event is None:
        raise NotFound("There is no such entry.")
    return readable([event])[0]


def life_of(object_type: str, object_id: str, most: int = 200) -> list[Entry]:
    """Everything recorded of one object in the log of changes, oldest first."""
    rows = Event.objects.filter(object_type=object_type, object_id=object_id, log="admin").order_by("object_n")
    return readable(list(rows[:most]))


@dataclass(frozen=True)
class State:
    """Where a log stands: how far it is sequenced and signed, by which key."""

    log: str
    size: int
    signed_size: int
    signed_at: datetime | None
    note: str
    verifiers: list[VerifierKey]


def state(log: str) -> State:
    """The newest committed tree and checkpoint of a log."""
    tree = Tree.objects.filter(log=log).order_by("-size").first()
    signed = Checkpoint.objects.filter(log=log).order_by("-size").first()
    keys = LogKey.objects.filter(log=log).order_by("from_size")
    return State(
        log=log,
        size=tree.size if tree else 0,
        signed_size=signed.size if signed else 0,
        signed_at=signed.made_at if signed else None,
        note=signed.note if signed else "",
        verifiers=[VerifierKey(key=key.verifier, from_size=key.from_size, to_size=None) for key in keys],
    )
