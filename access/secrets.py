"""Secrets handed to people: made from the system's randomness, kept only as SHA-256 digests.

A plain digest suffices because these secrets carry 256 bits of randomness; passwords go through Django's hashers.
"""

import hashlib
import secrets

TOKEN_MARK = "plim_"  # noqa: S105 - a public prefix by which leaked tokens can be found
PREFIX_LENGTH = 12


def new_token() -> str:
    """``plim_`` and 256 random bits, URL-safe."""
    return TOKEN_MARK + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """SHA-256 in hex: what the database keeps."""
    return hashlib.sha256(secret.encode()).hexdigest()


def prefix(secret: str) -> str:
    """The part that may be shown, enough to tell one's tokens apart."""
    return secret[:PREFIX_LENGTH]
