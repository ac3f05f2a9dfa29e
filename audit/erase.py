"""Forgetting a person in the trail: openings, salts, words, key and the tie to a pseudonym are deleted.

The leaves stay as they were signed, so every proof and every earlier export still verifies; the digests in them say
nothing any more. ``ask`` belongs into the transaction of the act that decides it, whose entry names nobody;
``carry_out`` follows as the one database role that may delete, and is repeated until nothing is left to do.
"""

import hashlib
import uuid
from dataclasses import dataclass

from django.db import connections, transaction

from audit import disclosure, vault
from audit.clock import now
from audit.models import Disclosure, Erasing, Pseudonym

ALIAS = "eraser"  # the database role that may; the runtime role may not
_BATCH = 1_000


@dataclass(frozen=True)
class Asked:
    """What will be deleted: how many openings, and one SHA-256 over their sorted digests (hex)."""

    openings: int
    digest: str


def ask(account: str, act: uuid.UUID) -> Asked:
    """Note that ``account`` is to be forgotten by ``act``, in the present transaction; nothing is deleted yet."""
    refs = list(Pseudonym.objects.filter(account=account).values_list("ref", flat=True))
    digests = sorted(digest for ref in refs for digest in _digests_of(ref))
    Erasing.objects.bulk_create([Erasing(ref=ref, event_id=act, asked_at=now()) for ref in refs], ignore_conflicts=True)
    transaction.on_commit(carry_out, robust=True)
    return Asked(openings=len(digests), digest=hashlib.sha256("\n".join(digests).encode()).hexdigest())


def _digests_of(ref: str) -> list[str]:
    """The digests that the person's openings open, a batch at a time."""
    events = sorted(set(Disclosure.objects.filter(subject_id=ref).values_list("event_id", flat=True)))
    found: list[str] = []
    for start in range(0, len(events), _BATCH):
        opened = vault.openings(events[start : start + _BATCH], of=ref)
        found += [disclosure.digest(text) for texts in opened.values() for text in texts.values()]
    return found


def carry_out() -> int:
    """Delete what was asked for and is still there. How many people were forgotten; doing it twice is harmless."""
    done = 0
    for ref in list(Erasing.objects.using(ALIAS).values_list("ref", flat=True)):
        with transaction.atomic(using=ALIAS, durable=True), connections[ALIAS].cursor() as cursor:
            cursor.execute("DELETE FROM audit_disclosure WHERE subject_id = %s", [ref])
            cursor.execute("DELETE FROM audit_subject_key WHERE subject_id = %s", [ref])
            cursor.execute("DELETE FROM audit_pseudonym WHERE ref = %s", [ref])
            cursor.execute("DELETE FROM audit_erasing WHERE ref = %s", [ref])
        done += 1
    return done
