"""How an event gets into its tables, in two round trips: one that asks for everything the leaf needs, one that inserts.

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

from audit import chain, vault
from audit.actors import Actor
from audit.pseudonyms import actor_ref
from audit.subjects import Subject

_LINK = "SELECT n, leaf, ref, wrapped FROM audit_link(%s, %s, %s, %s, %s)"
_COLUMNS = (
    "id, recorded_at, log, action, outcome, object_type, object_id, object_n, actor_ref, leaf_data, mac"  # as in Event
)
_EVENT = f"INSERT INTO audit_event ({_COLUMNS}) VALUES ({', '.join(['%s'] * 11)})"  # noqa: S608 - our own words
_OPENINGS = "INSERT INTO audit_disclosure (event_id, path, subject_id, ciphertext, kid, words) VALUES "
_OPENING = "(%s, %s, %s, %s, %s, %s::bigint[])"


@dataclass(frozen=True)
class Link:
    """Where an event continues: number and previous hash in its object's chain, its actor's pseudonym and key."""

    n: int | None
    prev: str | None
    ref: str
    wrapped: bytes | None

    def key(self) -> bytes:
        """The key of the actor's openings, made when there is none yet."""
        return vault.make_person_key(self.ref) if self.wrapped is None else vault.unwrapped(self.ref, self.wrapped)


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
    asked = [log, subject.type, subject.id, by.account, by.kind]
    n, leaf, ref, wrapped = driver.execute(_LINK, asked, prepare=True, binary=True).fetchone() or (None,) * 4
    if ref is None:
        ref = actor_ref(by)
    if log != "admin":
        return Link(None, None, ref, wrapped)
    place = chain.next_link(None if n is None else chain.Link(n=n, prev=None, leaf=leaf or b""))
    return Link(place.n, place.prev, ref, wrapped)


def insert(driver: Cursor[Any], event: Event, sealed: Sequence[vault.Sealed]) -> None:
    """Insert the event and its openings, in one statement."""
    values: list[Any] = list(vars(event).values())
    if not sealed:
        driver.execute(_EVENT, values, prepare=True, binary=True)
        return
    for each in sealed:
        values += [event.id, each.path, each.subject_id, each.ciphertext, vault.WRAPPING_KEY_ID, each.words]
    openings = _OPENINGS + ", ".join([_OPENING] * len(sealed))
    driver.execute(f"WITH event AS ({_EVENT}) {openings}".encode(), values, prepare=True, binary=True)
