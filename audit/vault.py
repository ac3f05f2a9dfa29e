"""Openings at rest: encrypted under one key per person, that key wrapped by one outside the database.

Deleting a person's key row and disclosure rows makes their openings unreadable, old backups of the side table included.
"""

import secrets
import uuid

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit import keys
from audit.models import Disclosure, SubjectKey

_NONCE = 12
WRAPPING_KEY_ID = "wrapping-1"


def _encrypt(key: bytes, clear: bytes, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, clear, bound_to)


def _decrypt(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to)


def _person_key(subject_id: str) -> bytes | None:
    return _person_keys({subject_id}).get(subject_id)


def _person_keys(subject_ids: set[str]) -> dict[str, bytes]:
    """The keys of some people, without those that were deleted."""
    rows = SubjectKey.objects.filter(pk__in=subject_ids)
    wrapping = keys.secret("wrapping")
    return {row.pk: _decrypt(wrapping, bytes(row.wrapped_dek), row.pk.encode()) for row in rows}


def _ensure_person_key(subject_id: str) -> bytes:
    existing = _person_key(subject_id)
    if existing is not None:
        return existing
    wrapped = _encrypt(keys.secret("wrapping"), secrets.token_bytes(32), subject_id.encode())
    SubjectKey.objects.bulk_create([SubjectKey(subject_id=subject_id, wrapped_dek=wrapped)], ignore_conflicts=True)
    made = _person_key(subject_id)
    if made is None:  # pragma: no cover - only if the row vanished between two statements
        raise RuntimeError("The key of a subject disappeared while it was being made.")
    return made


def store(event_id: uuid.UUID, subject_id: str, openings: dict[str, str]) -> None:
    """Keep the disclosures ``{path: disclosure}`` of one event, encrypted for ``subject_id``."""
    if not openings:
        return
    key = _ensure_person_key(subject_id)
    Disclosure.objects.bulk_create(
        Disclosure(
            event_id=event_id,
            path=path,
            subject_id=subject_id,
            ciphertext=_encrypt(key, disclosure.encode(), f"{event_id}/{path}".encode()),
            kid=WRAPPING_KEY_ID,
        )
        for path, disclosure in openings.items()
    )


def openings(event_ids: list[uuid.UUID]) -> dict[uuid.UUID, dict[str, str]]:
    """The disclosures of some events that can still be read: ``{event: {path: disclosure}}``."""
    rows = list(Disclosure.objects.filter(event_id__in=event_ids))
    person_keys = _person_keys({row.subject_id for row in rows})
    found: dict[uuid.UUID, dict[str, str]] = {}
    for row in rows:
        key = person_keys.get(row.subject_id)
        if key is not None:
            clear = _decrypt(key, bytes(row.ciphertext), f"{row.event_id}/{row.path}".encode())
            found.setdefault(row.event_id, {})[row.path] = clear.decode()
    return found
