"""Identifiers: time-ordered UUIDs (RFC 9562, version 7) and random pseudonyms."""

import secrets
import uuid
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANDOM = 62  # bits after the variant


def uuid7(at: datetime | None = None) -> uuid.UUID:
    """A version 7 UUID (RFC 9562 §5.7): 48 bits of Unix milliseconds, the microseconds within in twelve bits (§6.2,
    method 3), 62 random bits. Ids rise with ``at``, which is now unless it is given.
    """
    return uuid.UUID(int=first_id(datetime.now(UTC) if at is None else at).int | secrets.randbits(_RANDOM))


def first_id(at: datetime) -> uuid.UUID:
    """The smallest id that ``uuid7`` gives at this instant."""
    microseconds = max(0, (at - _EPOCH) // timedelta(microseconds=1))
    milliseconds, rest = divmod(microseconds, 1000)
    value = (milliseconds & ((1 << 48) - 1)) << 80 | 0x7 << 76 | (rest * 4096 // 1000) << 64 | 0x2 << 62
    return uuid.UUID(int=value)


def instant_of(made: uuid.UUID) -> datetime:
    """When a version 7 UUID was made, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=made.int >> 80)


def pseudonym() -> str:
    """``p:`` and 128 random bits; says nothing about the account it stands for."""
    return "p:" + secrets.token_hex(16)
