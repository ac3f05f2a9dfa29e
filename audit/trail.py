"""Appending one event to the trail. Only ``audit.door`` (and the sequencer, for its ticks) may import this.

The leaf is RFC 8785 bytes, stored as they will be hashed. Personal values and free text enter it as salted SD-JWT
digests; their openings go to the vault. See the layout in docs/architecture.md.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from audit import canonical, clock, disclosure, expected, promptly, rows, vault, words
from audit.actors import Actor
from audit.events import Action, log_of
from audit.expected import End
from audit.ids import uuid7
from audit.mac import writer_mac
from audit.pseudonyms import ref_of
from audit.subjects import Subject

LEAF_VERSION = 1
_PRIVATE = "change/"  # the path under which private values are kept


@dataclass(frozen=True)
class Draft:
    """Everything an entry says, before it has an id, a place in its object's chain and its digests."""

    by: Actor
    action: Action
    outcome: str
    subject: Subject
    change: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    reason_code: str = ""
    policy: Mapping[str, Any] | None = None
    private: Mapping[str, str] = field(default_factory=dict)
    concerns: str = ""  # the account that ``private`` is about, when it is not the actor
    log: str = ""  # which log, when the action does not say (a tick belongs to the log it counts for)


@dataclass(frozen=True)
class Appended:
    """What the writer gets back: enough to find the entry again."""

    id: uuid.UUID
    log: str
    leaf_hash: bytes


def append(draft: Draft) -> Appended:
    """Insert the event of ``draft`` in the current transaction, as its last statement.

    Raises ``canonical.CanonicalError`` when a value cannot be part of a leaf; nothing is written then.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("An entry belongs into the transaction of what it records.")
    log = draft.log or (log_of(draft.action) if draft.outcome == "success" else "admin")
    with rows.cursor() as cursor:
        link: rows.Link | None
        if (likely := rows.likely(log, draft.subject, draft.by)) is None:
            link = rows.link(cursor, log, draft.subject, draft.by)
        else:
            event, sealed = _event(draft, log, likely)
            link = rows.insert_if(cursor, draft.subject, draft.by, likely, event, sealed)
        if link is not None:
            event, sealed = _event(draft, log, link)
            rows.insert(cursor, event, sealed)
    leaf_hash = hashlib.sha256(b"\x00" + event.leaf_data).digest()
    if event.object_n is not None:
        expected.keep_end(draft.subject, End(event.object_n, leaf_hash))
    promptly.after_commit(log)
    return Appended(id=event.id, log=log, leaf_hash=leaf_hash)


def _event(draft: Draft, log: str, link: rows.Link) -> tuple[rows.Event, list[vault.Sealed]]:
    """The row of an event that continues ``link``, and its openings."""
    recorded_at = clock.now()
    event_id = uuid7(recorded_at)
    body, openings = _body(draft, event_id, clock.rfc3339(recorded_at), log, link.ref)
    if link.n is not None:
        body["object"] |= {"n": link.n, "prev": link.prev}
    leaf = canonical.encode(body)
    event = rows.Event(
        id=event_id,
        recorded_at=recorded_at,
        log=log,
        action=draft.action.value,
        outcome=draft.outcome,
        object_type=draft.subject.type,
        object_id=draft.subject.id,
        object_n=link.n,
        actor_ref=link.ref,
        leaf_data=leaf,
        mac=writer_mac(leaf),
    )
    return event, _sealed(event, link, openings, draft.concerns) if openings else []


def _sealed(event: rows.Event, link: rows.Link, openings: Mapping[str, str], concerns: str) -> list[vault.Sealed]:
    """The openings, each under the key of the person it concerns: erasing that person takes it along."""
    marks = words.marks(
        log=event.log,
        recorded_at=event.recorded_at,
        action=event.action,
        outcome=event.outcome,
        actor=event.actor_ref,
        object_type=event.object_type,
        object_id=event.object_id,
    )
    about = {path: text for path, text in openings.items() if concerns and path.startswith(_PRIVATE)}
    own = {path: text for path, text in openings.items() if path not in about}
    sealed = vault.seal(event.id, link.ref, link.key(), own, marks) if own else []
    if about:
        ref = ref_of(concerns)
        sealed += vault.seal(event.id, ref, vault.key_of(ref), about, marks)
    return sealed


def _body(draft: Draft, event_id: uuid.UUID, time: str, log: str, ref: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The leaf without its chain fields, and the openings of its digests by path."""
    openings: dict[str, str] = {}

    def commit(path: str, values: Mapping[str, str]) -> dict[str, list[str]]:
        digests = []
        for name, value in values.items():
            if value:
                opening, digest = disclosure.disclose(name, value)
                openings[f"{path}{name}"] = opening
                digests.append(digest)
        return {"_sd": sorted(digests)} if digests else {}

    person = {"name": draft.by.name} if draft.by.account is not None else {}
    change = {key: value for key, value in draft.change.items() if value is not None}
    if draft.subject.label:
        change["on"] = draft.subject.label
    if draft.private:
        change |= commit(_PRIVATE, draft.private)
    body: dict[str, Any] = {
        "v": LEAF_VERSION,
        "id": str(event_id),
        "log": log,
        "time": time,
        "action": draft.action.value,
        "outcome": draft.outcome,
        "actor": {"type": draft.by.kind, "ref": ref, "auth": draft.by.auth, **commit("actor/", person)},
        "object": {"type": draft.subject.type, "id": draft.subject.id},
        "request": {"id": draft.by.request_id, **commit("request/", {"ip": draft.by.ip})},
        "change": change,
    }
    if draft.reason_code:
        body["reason_code"] = draft.reason_code
    if draft.policy is not None:
        body["policy"] = dict(draft.policy)
    body |= commit("", {"reason": draft.reason})
    return body, openings
