"""Identifiers: time-ordered UUIDs (RFC 9562, version 7) and random pseudonyms."""

import secrets
import time
import uuid


def uuid7() -> uuid.UUID:
    """A version 7 UUID: 48 bits of Unix milliseconds, then 74 random bits (RFC 9562 §5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def pseudonym() -> str:
    """``p:`` and 128 random bits; says nothing about the account it stands for."""
    return "p:" + secrets.token_hex(16)
