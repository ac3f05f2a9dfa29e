"""Salted commitments to personal values, in the disclosure format of RFC 9901 (SD-JWT) §4.2.

A leaf holds only the digest; the disclosure (salt, name, value) is kept apart and can be deleted, after which the
digest says nothing. Storing, encrypting and deleting disclosures belongs elsewhere.
"""

import base64
import binascii
import json
import re
import secrets
from hashlib import sha256

SALT_BYTES = 32
_RESERVED = frozenset({"_sd", "..."})  # RFC 9901 §4.2.1 forbids them as claim names
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


class DisclosureError(ValueError):
    """Not a disclosure of a named value."""


def disclose(name: str, value: object) -> tuple[str, str]:
    """A fresh disclosure of `value` under `name` and the digest that goes into an `_sd` array."""
    _check_name(name)
    salt = _b64url(secrets.token_bytes(SALT_BYTES))
    try:
        text = json.dumps([salt, name, value], ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        disclosure = _b64url(text.encode())
    except (TypeError, ValueError) as error:
        raise DisclosureError(f"The value of “{name}” cannot be written as JSON: {error}.") from error
    return disclosure, digest(disclosure)


def digest(disclosure: str) -> str:
    """base64url(SHA-256(disclosure)): over the encoded text, not over what it decodes to (RFC 9901 §4.2.3)."""
    try:
        return _b64url(sha256(disclosure.encode("ascii")).digest())
    except UnicodeEncodeError as error:
        raise DisclosureError("A disclosure is base64url text.") from error


def open_disclosure(disclosure: str) -> tuple[str, str, object]:
    """(salt, name, value) of a disclosure."""
    if not _BASE64URL.fullmatch(disclosure):
        raise DisclosureError("A disclosure is base64url text without padding.")
    try:
        parts = json.loads(base64.urlsafe_b64decode(disclosure + "=" * (-len(disclosure) % 4)).decode())
    except (binascii.Error, ValueError, RecursionError) as error:
        raise DisclosureError("The disclosure does not decode to JSON.") from error
    match parts:
        case [str(salt), str(name), value]:
            _check_name(name)
            return salt, name, value
        case _:
            raise DisclosureError("A disclosure is a JSON array of salt, name and value.")


def _check_name(name: str) -> None:
    if name in _RESERVED:
        raise DisclosureError(f"“{name}” is reserved and cannot name a disclosed value.")


def _b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
