"""Reads of the trail: search, one entry, one object's life, the state of the log. Permission is asked by the caller's
app (``access`` is above this one); pages and exports go through ``web``.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet

from audit import hits, ids, vault, words
from audit.clock import rfc3339
from audit.errors import Denied, Invalid, NotFound
from audit.events import LOGS, Action
from audit.models import Disclosure, Event, Head, Leaf, Pseudonym
from audit.subjects import Subject

PAGE = 50
OUTCOMES = ("success", "denied", "error")
MOST_TEXT = 200
# The paths of the openings a reader may see; None is every path.
Paths = frozenset[str] | None
NO_PATHS: Final[Paths] = frozenset()


@dataclass(frozen=True)
class Filter:
    """What an auditor looks for; empty fields match everything. ``account`` is an account id; every word of ``text``
    occurs in some opening of the entry.
    """

    log: str = "admin"
    action: str = ""
    outcome: str = ""
    object_type: str = ""
    object_id: str = ""
    account: str = ""
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

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
        if len(self.text) > MOST_TEXT:
            raise Invalid(f"Search for at most {MOST_TEXT} characters.", code="bad_filter")
        if self.text:
            words.asked(self.text)

    def is_whole_log(self) -> bool:
        """Whether nothing but the log is chosen: only then can an export prove that nothing is missing."""
        values = (self.action, self.outcome, self.object_type, self.object_id, self.account, self.text)
        return not any((*values, self.since, self.until))


@dataclass(frozen=True)
class Entry:
    """One event, readable: the leaf, its place in the log when it has one, its openings that may be shown."""

    id: uuid.UUID
    index: int | None
    leaf: dict[str, Any]
    leaf_hash: str
    account: str | None
    disclosed: dict[str, Any] = field(default_factory=dict)
    leaf_data: bytes = b""

    @property
    def recorded_at(self) -> datetime:
        return datetime.fromisoformat(self.leaf["time"])


@dataclass(frozen=True)
class Page:
    """One page of entries, and where the next begins (empty on the last)."""

    entries: list[Entry]
    after: str


def search(chosen: Filter, after: str = "", size: int = PAGE, *, paths: Paths = NO_PATHS) -> Page:
    """Entries that match, newest first, with their openings at ``paths``. ``after`` is the ``Page.after`` of the page
    before. Words are looked for on behalf of those alone who may see every opening; Denied for others.
    """
    place = _place(after) if after else None
    if chosen.text:
        require_text(paths)
        found = _worded(chosen, place, size + 1)
    else:
        rows = matching(chosen).order_by("-recorded_at", "-id")
        if place:
            # The first condition follows from the second, and lets the planner leave out the months after it.
            rows = rows.filter(recorded_at__lte=place[0])
            rows = rows.extra(where=["(recorded_at, id) < (%s, %s)"], params=list(place))
        found = list(rows[: size + 1])
    more = len(found) > size
    found = found[:size]
    return Page(
        entries=readable(found, paths=paths),
        after=f"{found[-1].recorded_at.isoformat()}/{found[-1].id}" if more else "",
    )


def described(chosen: Filter) -> dict[str, str]:
    """The filters that are set, as text."""
    fields = {name: value for name, value in vars(chosen).items() if value}
    return {name: value if isinstance(value, str) else rfc3339(value) for name, value in fields.items()}


def require_text(paths: Paths) -> None:
    """Raise Denied for a reader who may not see every opening: a hit would tell what is in the others."""
    if paths is not None:
        raise Denied(
            "You may not search in what people wrote: it takes a role that may read all of it. Search by person, act,"
            " outcome, object or time instead.",
            code="text_not_permitted",
        )


def _worded(chosen: Filter, place: tuple[datetime, uuid.UUID] | None, most: int) -> list[Event]:
    """The newest events whose openings hold the words that are looked for."""
    chosen.check()
    ref = _ref_of(chosen.account) if chosen.account else ""
    if ref is None:
        return []
    marks = {
        "action": chosen.action,
        "outcome": chosen.outcome,
        "actor": ref,
        "type": chosen.object_type,
        "object": chosen.object_id,
    }
    sought = [*_sought(chosen.text), *((kind, value) for kind, value in marks.items() if value)]
    within = hits.span(chosen.log, before=place[1] if place else None, since=chosen.since, until=chosen.until)
    found = hits.newest(within, sought, most=most)
    if not found:
        return []
    first, last = ids.instant_of(found[-1]) - _ASTRAY, ids.instant_of(found[0]) + _ASTRAY
    rows = Event.objects.filter(log=chosen.log, id__in=found, recorded_at__gte=first, recorded_at__lte=last)
    return sorted(rows, key=lambda event: event.id, reverse=True)


def _sought(text: str) -> list[hits.Sought]:
    return [("word", word) for word in words.asked(text)]


# How far an event's time may lie from the one in its id. They are the same instant; this is for rows that are not ours.
_ASTRAY: Final = timedelta(days=1)


def _ref_of(account: str) -> str | None:
    """The pseudonym of an account; None when the trail knows none, or no longer."""
    return Pseudonym.objects.filter(account=account).values_list("ref", flat=True).first()


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
    """The events of a filter, unordered. Whoever passes on what matches ``text`` has called ``require_text``."""
    chosen.check()
    exact = {
        "action": chosen.action,
        "outcome": chosen.outcome,
        "object_type": chosen.object_type,
        "object_id": chosen.object_id,
    }
    rows = Event.objects.filter(log=chosen.log, **{name: value for name, value in exact.items() if value})
    if chosen.account:
        rows = rows.filter(actor_ref=_ref_of(chosen.account) or "")
    if chosen.since:
        rows = rows.filter(recorded_at__gte=chosen.since)
    if chosen.until:
        rows = rows.filter(recorded_at__lt=chosen.until)
    if chosen.text:
        within = hits.span(chosen.log, since=chosen.since, until=chosen.until)
        worded = Disclosure.objects.all() if within.scopes else Disclosure.objects.none()
        for one in _sought(chosen.text):
            worded = worded.filter(words__overlap=within.tokens(one))
        rows = rows.filter(id__in=worded.values("event_id"))
    return rows


def readable(events: Sequence[Event], *, paths: Paths = NO_PATHS) -> list[Entry]:
    """Entries with indices, accounts and their openings at ``paths``, in four queries however many there are."""
    wanted = [event.id for event in events]
    places = dict(Leaf.objects.filter(event_id__in=wanted).values_list("event_id", "seq"))
    accounts = dict(
        Pseudonym.objects.filter(ref__in={event.actor_ref for event in events}).values_list("ref", "account")
    )
    opened = vault.openings(wanted, paths)
    return [
        Entry(
            id=event.id,
            index=places.get(event.id),
            leaf=json.loads(bytes(event.leaf_data)),
            leaf_hash=bytes(event.leaf_hash).hex(),
            account=accounts.get(event.actor_ref),
            disclosed={path: vault.value_of(text) for path, text in opened.get(event.id, {}).items()},
            leaf_data=bytes(event.leaf_data),
        )
        for event in events
    ]


def entry(event_id: uuid.UUID, *, paths: Paths = NO_PATHS) -> Entry:
    """One entry by id; NotFound otherwise."""
    event = Event.objects.filter(id=event_id).first()
    if event is None:
        raise NotFound("There is no such entry.")
    return readable([event], paths=paths)[0]


def neighbours(found: Entry) -> tuple[uuid.UUID | None, uuid.UUID | None]:
    """The ids of the entries before and after one in its log."""
    if found.index is None:
        return None, None
    rows = Leaf.objects.filter(log=found.leaf["log"], seq__in=[found.index - 1, found.index + 1])
    beside = dict(rows.values_list("seq", "event_id"))
    return beside.get(found.index - 1), beside.get(found.index + 1)


def life_of(
    object_type: str, object_id: str, most: int = 200, *, after: int = 0, paths: Paths = NO_PATHS
) -> list[Entry]:
    """What is recorded of one object in the log of changes, oldest first, from number ``after`` + 1 of its chain on."""
    rows = Event.objects.filter(log="admin", object_type=object_type, object_id=object_id, object_n__gt=after)
    return readable(list(rows.order_by("object_n")[:most]), paths=paths)


@dataclass(frozen=True)
class Life:
    """A part of what is recorded of one object: ``length`` counts its whole chain, ``dropped`` what retention took
    from its beginning, ``after`` is the number behind which the next part begins (None at the end).
    """

    entries: list[Entry]
    length: int
    dropped: int
    after: int | None


def life(object_type: str, object_id: str, *, after: int = 0, size: int = PAGE, paths: Paths = NO_PATHS) -> Life:
    """The part of an object's life behind number ``after``. Raises NotFound for an object of which nothing is known."""
    head = length_of(object_type, object_id)
    if after >= head:
        raise NotFound("Nothing is recorded of such an object.")
    held = Event.objects.filter(log="admin", object_type=object_type, object_id=object_id)
    first = held.order_by("object_n").values_list("object_n", flat=True).first()
    found = life_of(object_type, object_id, size, after=after, paths=paths)
    last = found[-1].leaf["object"]["n"] if found else head
    return Life(
        entries=found,
        length=head,
        dropped=head if first is None else first - 1,
        after=last if last < head else None,
    )


def number_after(text: str) -> int:
    """The number in an object's chain behind which a part of its life begins; 0 without one."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Invalid("This page does not exist; start again from the first.", code="bad_page")
    return int(text)


def length_of(object_type: str, object_id: str) -> int:
    """How many entries the chain of an object has, those included that retention has dropped."""
    head = Head.objects.filter(object_type=object_type, object_id=object_id).values_list("n", flat=True).first()
    return head or 0


def last_seen(ref: str, action: Action, subject: Subject, *, since: datetime) -> dict[str, Any] | None:
    """What the newest read of ``subject`` under the pseudonym ``ref`` was told, None when none is recorded since."""
    rows = Event.objects.filter(log="access", actor_ref=ref, recorded_at__gte=since, action=action.value)
    read = rows.filter(object_type=subject.type, object_id=subject.id, outcome="success").order_by("-recorded_at")
    leaf = read.values_list("leaf_data", flat=True).first()
    return None if leaf is None else json.loads(bytes(leaf))["change"].get("after", {})
