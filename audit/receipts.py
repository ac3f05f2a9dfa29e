"""Receipts: what a person takes away from an act, to prove later, without us, that it was recorded.

A receipt is the leaf of the act's own entry and the ``.tlog-proof`` of it under a signed checkpoint. Signing follows
the act by a moment, so a receipt may have to be waited for.
"""

import time
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Final
from uuid import UUID

from audit import leaves, published
from audit.actors import Actor
from audit.errors import Conflict, NotFound
from audit.models import Checkpoint, Event, Leaf, Pseudonym

SECONDS = 5.0
# Who waits holds a thread of the web server; where several do already, the next is told to come back instead.
_MOST_WAITING: Final = 4
_PAUSE_SECONDS: Final = 0.05
_waiting = BoundedSemaphore(_MOST_WAITING)


@dataclass(frozen=True)
class Proof:
    """Where an entry stands, and its ``.tlog-proof``."""

    entry_id: UUID
    log: str
    index: int
    leaf_hash: bytes
    text: str


@dataclass(frozen=True)
class Receipt:
    """An entry's proof together with the leaf that it proves."""

    proof: Proof
    leaf: bytes


def wait(appended_id: UUID, seconds: float = SECONDS) -> Receipt | None:
    """The receipt of an entry as soon as it is signed; None when that takes longer than ``seconds``."""
    if not _waiting.acquire(blocking=False):
        return _receipt(appended_id)
    try:
        until = time.monotonic() + seconds
        while (receipt := _receipt(appended_id)) is None and time.monotonic() < until:
            time.sleep(_PAUSE_SECONDS)
        return receipt
    finally:
        _waiting.release()


def proof_of(entry_id: UUID) -> Proof:
    """Where an entry stands and its proof. Raises NotFound for none, Conflict while it is not signed."""
    proof = _proof(entry_id)
    if proof is None:
        if not Event.objects.filter(id=entry_id).exists():
            raise NotFound("There is no such entry.")
        raise Conflict("This entry is recorded and not signed yet; try again in a moment.", code="not_signed_yet")
    return proof


def is_by(account: str | None, entry_id: UUID) -> bool:
    """Whether the entry records an act of this account."""
    refs = Pseudonym.objects.filter(account=account).values("ref")
    return account is not None and Event.objects.filter(id=entry_id, actor_ref__in=refs).exists()


def _proof(entry_id: UUID) -> Proof | None:
    place = Leaf.objects.filter(event_id=entry_id).first()
    if place is None or not Checkpoint.objects.filter(log=place.log, size__gt=place.seq).exists():
        return None
    text = published.proof_file(published.newest(place.log), place.seq)
    return Proof(entry_id=entry_id, log=place.log, index=place.seq, leaf_hash=bytes(place.leaf_hash), text=text)


def _receipt(entry_id: UUID) -> Receipt | None:
    proof = _proof(entry_id)
    if proof is None:
        return None
    return Receipt(proof=proof, leaf=leaves.bodies(proof.log, proof.index, proof.index + 1)[0])


def last_of(by: Actor) -> UUID | None:
    """The entry of what this actor did last in this request, as the door left it with them."""
    found = getattr(by.memo.get("appended"), "id", None)
    return found if isinstance(found, UUID) else None
