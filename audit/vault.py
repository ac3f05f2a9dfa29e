"""Openings at rest: encrypted under one key per person, that key wrapped by one outside the database.

Deleting a person's key row and disclosure rows makes their openings unreadable, old backups of the side table included.
"""

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit import disclosure, keys, words
from audit.models import Disclosure, SubjectKey

_NONCE = 12
WRAPPING_KEY_ID = "wrapping-1"


@dataclass(frozen=True)
class Sealed:
    """One opening as it is stored."""

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


def _person_keys(subject_ids: set[str]) -> dict[str, bytes]:
    """The keys of some people, without those that were deleted."""
    rows = SubjectKey.objects.filter(pk__in=subject_ids)
    return {row.pk: unwrapped(row.pk, bytes(row.wrapped_dek)) for row in rows}


def make_person_key(subject_id: str) -> bytes:
    """A new key for a person who has none yet; the one that is there when another writer was first."""
    wrapped = _encrypt(keys.secret("wrapping"), secrets.token_bytes(32), subject_id.encode())
    SubjectKey.objects.bulk_create([SubjectKey(subject_id=subject_id, wrapped_dek=wrapped)], ignore_conflicts=True)
    made = _person_keys({subject_id}).get(subject_id)
    if made is None:  # pragma: no cover - only if the row vanished between two statements
        raise RuntimeError("The key of a subject disappeared while it was being made.")
    return made


def seal(event_id: uuid.UUID, key: bytes, openings: Mapping[str, str], marks: words.Marks) -> list[Sealed]:
    """The disclosures ``{path: disclosure}`` of one event, encrypted under its person's ``key``.

    The tokens of all their words and the event's ``marks`` (``audit/words.py``) go with the first: the openings of an
    event are one person's and are deleted together.
    """
    first = min(openings, default="")
    found = words.of_event((value_of(text) for text in openings.values()), marks)
    return [
        Sealed(
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
            clear = _decrypt(key, bytes(row.ciphertext), f"{row.event_id}/{row.path}".encode())
            found.setdefault(row.event_id, {})[row.path] = clear.decode()
    return found
