"""Openings at rest: encrypted under one key per person, that key wrapped by one outside the database.

Deleting a person's key row and disclosure rows makes their openings unreadable, old backups of the side table included.
"""

import logging
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit import disclosure, keys, words
from audit.models import Disclosure, SubjectKey

log = logging.getLogger("plimsoll.trail")

_NONCE = 12
WRAPPING_KEY_ID = "wrapping-1"


@dataclass(frozen=True)
class Sealed:
    """One opening as it is stored, for the person it concerns."""

    subject_id: str
    path: str
    ciphertext: bytes
    words: list[int]


def _encrypt(key: bytes, clear: bytes, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, clear, bound_to)


def _decrypt(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to)


def unwrapped(subject_id: str, wrapped: bytes) -> bytes:
    """A person's key out of its wrapping."""
    return _decrypt(keys.secret("wrapping"), wrapped, subject_id.encode())


def sealed_text(text: str, bound_to: str) -> bytes:
    """A secret of nobody's person, encrypted under the key outside the database; it opens only as ``bound_to``."""
    return _encrypt(keys.secret("wrapping"), text.encode(), f"text/{bound_to}".encode())


def opened_text(sealed: bytes, bound_to: str) -> str:
    """What ``sealed_text`` sealed. Raises ValueError when it was changed, moved, or sealed under another key."""
    try:
        return _decrypt(keys.secret("wrapping"), sealed, f"text/{bound_to}".encode()).decode()
    except InvalidTag:
        raise ValueError("The sealed text does not open.") from None


def _person_keys(subject_ids: set[str]) -> dict[str, bytes]:
    """The keys of some people, without those that were deleted."""
    found: dict[str, bytes] = {}
    for row in SubjectKey.objects.filter(pk__in=subject_ids):
        try:
            found[row.pk] = unwrapped(row.pk, bytes(row.wrapped_dek))
        except (InvalidTag, ValueError):
            log.critical("the key of openings was changed in the database", extra={"subject": row.pk})
    return found


def key_of(subject_id: str) -> bytes:
    """A person's key, made when there is none yet."""
    return _person_keys({subject_id}).get(subject_id) or make_person_key(subject_id)


def make_person_key(subject_id: str) -> bytes:
    """A new key for a person who has none yet; the one that is there when another writer was first."""
    wrapped = _encrypt(keys.secret("wrapping"), secrets.token_bytes(32), subject_id.encode())
    SubjectKey.objects.bulk_create([SubjectKey(subject_id=subject_id, wrapped_dek=wrapped)], ignore_conflicts=True)
    made = _person_keys({subject_id}).get(subject_id)
    if made is None:  # pragma: no cover - only if the row vanished between two statements
        raise RuntimeError("The key of a subject disappeared while it was being made.")
    return made


def seal(
    event_id: uuid.UUID, subject_id: str, key: bytes, openings: Mapping[str, str], marks: words.Marks
) -> list[Sealed]:
    """The disclosures ``{path: disclosure}`` of one event that concern one person, encrypted under their ``key``.

    The tokens of all their words and the event's ``marks`` (``audit/words.py``) go with the first: what concerns one
    person is deleted together.
    """
    first = min(openings, default="")
    found = words.of_event((value_of(text) for text in openings.values()), marks)
    return [
        Sealed(
            subject_id=subject_id,
            path=path,
            ciphertext=_encrypt(key, text.encode(), f"{event_id}/{path}".encode()),
            words=found if path == first else [],
        )
        for path, text in openings.items()
    ]


def value_of(text: str) -> object:
    """The value in a disclosure."""
    return disclosure.open_disclosure(text)[2]


def openings(
    event_ids: list[uuid.UUID], paths: frozenset[str] | None = None, *, of: str = ""
) -> dict[uuid.UUID, dict[str, str]]:
    """The disclosures of some events that can still be read: ``{event: {path: disclosure}}``; only those at ``paths``
    unless it is None, only those ``of`` one person (pseudonym) if given.
    """
    found_rows = Disclosure.objects.filter(event_id__in=event_ids).defer("words")
    if of:
        found_rows = found_rows.filter(subject_id=of)
    rows = list(found_rows if paths is None else found_rows.filter(path__in=paths))
    person_keys = _person_keys({row.subject_id for row in rows})
    found: dict[uuid.UUID, dict[str, str]] = {}
    for row in rows:
        key = person_keys.get(row.subject_id)
        if key is not None:
            try:
                clear = _decrypt(key, bytes(row.ciphertext), f"{row.event_id}/{row.path}".encode())
            except (InvalidTag, ValueError):
                # changed or moved by somebody in the database: it opens nothing, and the doctor says so
                log.critical("an opening was changed in the database", extra={"event_id": str(row.event_id)})
                continue
            found.setdefault(row.event_id, {})[row.path] = clear.decode()
    return found
