"""Appending one event to the trail. Only ``audit.door`` (and the sequencer, for its ticks) may import this.

The leaf is RFC 8785 bytes, stored as they will be hashed. Personal values and free text enter it as salted SD-JWT
digests; their openings go to the vault. See the layout in docs/architecture.md.
"""

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from audit import canonical, clock, disclosure, keys, vault
from audit.actors import Actor
from audit.events import Action, log_of
from audit.ids import uuid7
from audit.pseudonyms import actor_ref
from audit.subjects import Subject

LEAF_VERSION = 1


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


@dataclass(frozen=True)
class Appended:
    """What the writer gets back: enough to find the entry again."""

    id: uuid.UUID
    leaf_hash: bytes


def append(draft: Draft) -> Appended:
    """Insert the event of ``draft`` in the current transaction, as its last statement.

    Raises ``canonical.CanonicalError`` when a value cannot be part of a leaf; nothing is written then.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("An entry belongs into the transaction of what it records.")
    log = log_of(draft.action) if draft.outcome == "success" else "admin"
    event_id, recorded_at = uuid7(), clock.now()
    ref = actor_ref(draft.by)
    body, openings = _body(draft, event_id, clock.rfc3339(recorded_at), log, ref)
    with connection.cursor() as cursor:
        number, previous = _chain(cursor, log, draft.subject)
        if number is not None:
            body["object"]["n"] = number
            body["object"]["prev"] = previous
        leaf = canonical.encode(body)
        cursor.execute(
            "INSERT INTO audit_event (id, recorded_at, log, action, outcome, object_type, object_id, object_n,"
            " actor_ref, leaf_data, mac) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                event_id, recorded_at, log, draft.action.value, draft.outcome, draft.subject.type, draft.subject.id,
                number, ref, leaf, writer_mac(leaf),
            ],
        )  # fmt: skip
    vault.store(event_id, ref, openings)
    return Appended(id=event_id, leaf_hash=hashlib.sha256(b"\x00" + leaf).digest())


def writer_mac(leaf: bytes) -> bytes:
    """HMAC-SHA-256 under the writer's key; the sequencer sets aside a row without a valid one."""
    return hmac.new(keys.secret("writer"), leaf, hashlib.sha256).digest()


def _chain(cursor: Any, log: str, subject: Subject) -> tuple[int | None, str | None]:
    """The next number in the object's chain and the hash it builds on; (None, None) in the log of reads.

    The advisory lock is per object and held to the end of the transaction: writers of other objects never wait.
    """
    if log != "admin":
        return None, None
    cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", [f"{subject.type}/{subject.id}"])
    cursor.execute(
        "SELECT object_n, leaf_hash FROM audit_event WHERE object_type = %s AND object_id = %s AND log = 'admin'"
        " ORDER BY object_n DESC LIMIT 1",
        [subject.type, subject.id],
    )
    row = cursor.fetchone()
    return (1, None) if row is None else (row[0] + 1, bytes(row[1]).hex())


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
        change |= commit("change/", draft.private)
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
