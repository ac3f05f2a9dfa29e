"""How an event gets into its tables: one round trip asks for everything the leaf needs, one inserts. When the writer
expects what the first would answer (``audit/expected.py``), one that inserts if so is enough.

The statements are prepared and their values sent in binary, past Django's cursor: the trail is written with every
change, so what it costs is paid by everyone. What a leaf says belongs to ``audit/trail.py``.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from psycopg import Cursor

from audit import chain, expected, vault
from audit.actors import Actor
from audit.expected import End, Person
from audit.pseudonyms import actor_ref
from audit.subjects import Subject

_LINK = "SELECT n, leaf, ref, wrapped FROM audit_link(%s, %s, %s, %s, %s)"
_COLUMNS = (
    "id, recorded_at, log, action, outcome, object_type, object_id, object_n, actor_ref, leaf_data, mac"  # as in Event
)
_VALUES = (
    "%s::uuid, %s::timestamptz, %s::text, %s::text, %s::text, %s::text, %s::text, %s::bigint, %s::text, %s::bytea, %s"
)
_EVENT = f"INSERT INTO audit_event ({_COLUMNS}) SELECT {_VALUES}"
_OPENINGS = "INSERT INTO audit_disclosure (event_id, path, subject_id, ciphertext, kid, words)"
_OPENING = "(%s::uuid, %s, %s, %s::bytea, %s, %s::bigint[])"
# The function locks the chain and looks afterwards, whatever the statement around it sees.
_EXPECTED = (
    f"WITH link AS MATERIALIZED ({_LINK}), event AS ({_EVENT} FROM link WHERE link.n IS NOT DISTINCT FROM %s::bigint"
    " AND link.leaf IS NOT DISTINCT FROM %s::bytea AND link.ref = %s AND link.wrapped IS NOT DISTINCT FROM %s::bytea"
    " RETURNING id)"
)
_ANSWER = " SELECT n, leaf, ref, wrapped, EXISTS (SELECT FROM event) FROM link"


@dataclass(frozen=True)
class Link:
    """Where an event continues: the end of its object's chain (None in the log of reads, and before the first event),
    its own number and previous hash there, its actor.
    """

    last: End | None
    n: int | None
    prev: str | None
    person: Person

    @property
    def ref(self) -> str:
        """The actor's pseudonym."""
        return self.person.ref

    def key(self) -> bytes:
        """The key of the actor's openings, made when there is none yet."""
        if self.person.wrapped is None:
            return vault.make_person_key(self.ref)
        return vault.unwrapped(self.ref, self.person.wrapped)


@dataclass(frozen=True)
class Event:
    """A row of ``audit_event``, in the order of its columns."""

    id: uuid.UUID
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


@contextmanager
def cursor() -> Iterator[Cursor[Any]]:
    """The driver's own cursor on Django's connection; its errors come out as Django's."""
    connection.ensure_connection()
    with connection.wrap_database_errors, Cursor(connection.connection) as driver:
        yield driver


def link(driver: Cursor[Any], log: str, subject: Subject, by: Actor) -> Link:
    """Lock the object's chain to the end of the transaction (never in the log of reads) and say where it stands.

    The advisory lock is per object: writers of other objects never wait.
    """
    found = driver.execute(_LINK, _asked(log, subject, by), prepare=True, binary=True).fetchone() or (None,) * 4
    return _link(log, by, *found)


def likely(log: str, subject: Subject, by: Actor) -> Link | None:
    """What ``link`` would say, as far as this process knows; None when it knows too little."""
    person = expected.person(by)
    last = expected.end(subject) if log == "admin" else None
    if person is None or (last is None and log == "admin"):
        return None
    return _placed(log, last, person)


def insert(driver: Cursor[Any], event: Event, sealed: Sequence[vault.Sealed]) -> None:
    """Insert the event and its openings, in one statement."""
    values: list[Any] = list(vars(event).values())
    if not sealed:
        driver.execute(_EVENT, values, prepare=True, binary=True)
        return
    openings = f"{_OPENINGS} VALUES {', '.join([_OPENING] * len(sealed))}"
    values += _opening_values(event, sealed)
    driver.execute(f"WITH event AS ({_EVENT}) {openings}".encode(), values, prepare=True, binary=True)


def insert_if(
    driver: Cursor[Any], subject: Subject, by: Actor, link: Link, event: Event, sealed: Sequence[vault.Sealed]
) -> Link | None:
    """Lock the chain, and insert event and openings if it stands where ``link`` says; None then, else where it does."""
    last = (None, None) if link.last is None else (link.last.n, link.last.leaf)
    values = [*_asked(event.log, subject, by), *vars(event).values(), *last, link.ref, link.person.wrapped]
    query = _EXPECTED
    if sealed:
        rows = ", ".join([_OPENING] * len(sealed))
        query += f", opening AS ({_OPENINGS} SELECT o.* FROM event, (VALUES {rows}) AS o)"  # noqa: S608 - our own words
        values += _opening_values(event, sealed)
    found = driver.execute((query + _ANSWER).encode(), values, prepare=True, binary=True).fetchone()
    *there, inserted = found or (None,) * 5
    return None if inserted else _link(event.log, by, *there)


def _asked(log: str, subject: Subject, by: Actor) -> list[Any]:
    return [log, subject.type, subject.id, by.account, by.kind]


def _opening_values(event: Event, sealed: Sequence[vault.Sealed]) -> list[Any]:
    values: list[Any] = []
    for each in sealed:
        values += [event.id, each.path, each.subject_id, each.ciphertext, vault.WRAPPING_KEY_ID, each.words]
    return values


def _link(log: str, by: Actor, n: int | None, leaf: bytes | None, ref: str | None, wrapped: bytes | None) -> Link:
    person = Person(actor_ref(by) if ref is None else ref, wrapped)
    if wrapped is not None or by.account is None:  # a person without a key gets one with this very event
        expected.keep_person(by, person)
    return _placed(log, None if n is None or leaf is None else End(n, leaf), person)


def _placed(log: str, last: End | None, person: Person) -> Link:
    if log != "admin":
        return Link(None, None, None, person)
    place = chain.next_link(None if last is None else chain.Link(n=last.n, prev=None, leaf=last.leaf))
    return Link(last, place.n, place.prev, person)
