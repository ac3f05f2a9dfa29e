"""What identifies a person, how it is normalised, and how it is kept without being kept.

Belongs here: identifier types, the normalising rule of each, the keyed digest stored in rows, and the sealed box that
holds the raw value for as long as a request runs. Does not belong here: where keys live and when they are shredded.

Normalising, version 1. A mail address is brought to NFC, trimmed and case-folded: the domain is case-insensitive and no
provider of note tells two people apart by case, so missing someone is the larger harm. Customer and row ids are brought
to NFC and trimmed, because padding comes from fixed-width exports, but keep their case, since 'a7' and 'A7' may be two
people. A `string` is exact.
"""

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from erasure.engine.errors import EngineError

NORMALISER_VERSION: Final = 1
KEY_VERSION: Final = 1
MAX_LENGTH: Final = 1024
KEY_BYTES: Final = 32

_BOX_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16


class IdentifierType(StrEnum):
    EMAIL = "email"
    CUSTOMER_ID = "customer_id"
    ROW_ID = "row_id"
    STRING = "string"


def identifier_type(name: str) -> IdentifierType:
    """The type called `name`, or a refusal that lists the known ones."""
    try:
        return IdentifierType(name)
    except ValueError:
        known = ", ".join(IdentifierType)
        raise EngineError("identifier_type_unknown", f"The identifier type is not one of: {known}.") from None


def canonical(kind: IdentifierType, text: str) -> str:
    """`text` as compared for `kind`, without judging it; used on cells, which may hold anything."""
    if kind is IdentifierType.STRING:
        return text
    folded = unicodedata.normalize("NFC", text).strip()
    # Case folding can break the composed form (a capital with a dot above), so NFC is applied again.
    return unicodedata.normalize("NFC", folded.casefold()) if kind is IdentifierType.EMAIL else folded


def normalise(kind: IdentifierType, value: object) -> str:
    """`value` of a request as compared, or a refusal that does not repeat it."""
    if not isinstance(value, str):
        raise EngineError("identifier_not_text", "An identifier must be text; NULL and numbers are not accepted.")
    if len(value) > MAX_LENGTH:
        raise EngineError("identifier_too_long", f"An identifier must not be longer than {MAX_LENGTH} characters.")
    normal = canonical(kind, value)
    if not normal.strip():
        raise EngineError("identifier_empty", "An identifier must not be empty.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in normal):
        raise EngineError("identifier_not_printable", "An identifier must not contain control characters.")
    if kind is IdentifierType.EMAIL:
        local, at, domain = normal.rpartition("@")
        if not (local and at and domain) or any(character.isspace() for character in domain):
            raise EngineError("identifier_not_mail", "A mail address must look like name@domain.")
    return normal


def normalise_all(kind: IdentifierType, values: Sequence[str]) -> tuple[str, ...]:
    """Every identifier of one type, normalised, sorted and without repeats; NULL, none at all and a bare text are
    refused.
    """
    if isinstance(values, str | bytes):
        raise EngineError("identifiers_not_a_list", "Identifiers must be given as a list, not as one text.")
    normal = sorted({normalise(kind, value) for value in values})
    if not normal:
        raise EngineError("identifiers_none", "At least one identifier is needed.")
    return tuple(normal)


def keyed_digest(key: bytes, kind: IdentifierType, value: str) -> str:
    """HMAC-SHA256(key, type ‖ 0x00 ‖ normalised value) in hex: what a row may hold in place of the value."""
    _check_key(key)
    message = kind.value.encode() + b"\x00" + normalise(kind, value).encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def new_key() -> bytes:
    """A fresh 256-bit key, for a digest key or for one request's sealed box."""
    return secrets.token_bytes(KEY_BYTES)


def seal(key: bytes, raw: str, *, context: str = "") -> bytes:
    """AES-256-GCM over `raw`: version ‖ nonce ‖ ciphertext and tag.

    `context` (the request's id) is authenticated, so that a box moved to another request does not open.
    """
    _check_key(key)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _BOX_VERSION + nonce + AESGCM(key).encrypt(nonce, raw.encode(), _BOX_VERSION + context.encode())


def unseal(key: bytes, box: bytes, *, context: str = "") -> str:
    """The text that `seal` was given, or a refusal when the key, the context or a single bit differs."""
    _check_key(key)
    if len(box) < len(_BOX_VERSION) + _NONCE_BYTES + _TAG_BYTES or box[:1] != _BOX_VERSION:
        raise EngineError("box_unreadable", "The sealed identifier is not in a known form.")
    try:
        raw = AESGCM(key).decrypt(box[1 : 1 + _NONCE_BYTES], box[1 + _NONCE_BYTES :], _BOX_VERSION + context.encode())
    except InvalidTag:
        raise EngineError("box_closed", "The sealed identifier does not open with this key.") from None
    return raw.decode()


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise EngineError("key_length", f"The key must have {KEY_BYTES} bytes.")
