"""Signing a certificate and verifying it offline.

Belongs here: canonical bytes (RFC 8785), the detached JWS (RFC 7515, appendix F; EdDSA of RFC 8037), and the file that
holds both. Does not belong here: what a certificate says, and where keys are kept.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from erasure.engine.errors import EngineError

MAX_FILE_BYTES: Final = 16 << 20
_MEMBERS: Final = frozenset({"certificate", "jws", "public_key"})
_BROKEN: Final = "The file is not a certificate: it must be JSON with certificate, jws and public_key."


def sign(body: Mapping[str, Any], key: Ed25519PrivateKey, kid: str) -> bytes:
    """The certificate file: canonical JSON of {certificate, jws, public_key}."""
    protected = _encode(rfc8785.dumps({"alg": "EdDSA", "kid": kid}))
    signature = key.sign(_signing_input(protected, canonical_bytes(body)))
    public = {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": _encode(key.public_key().public_bytes_raw()).decode()}
    document = {
        "certificate": dict(body),
        "jws": f"{protected.decode()}..{_encode(signature).decode()}",
        "public_key": public,
    }
    return canonical_bytes(document)


def verify(file: bytes, public_key: Ed25519PublicKey | None = None) -> Mapping[str, Any]:
    """The body of a certificate file whose signature holds; EngineError with a sentence otherwise.

    Without `public_key` the key inside the file is used. That proves only that the file is whole: whoever forged it
    could have put a key of their own. Compare the key with one obtained elsewhere, or hand it in.
    """
    document = _parse(file)
    protected, middle, signature = _jws_parts(document["jws"])
    if middle:
        raise EngineError("jws_not_detached", "The signature is not detached: it carries a body of its own.")
    try:
        header = json.loads(_decode(protected))
    except ValueError:
        raise EngineError("jws_header", "The head of the signature cannot be read.") from None
    if not isinstance(header, dict) or header.get("alg") != "EdDSA" or "crit" in header:
        raise EngineError("jws_header", "The signature is not an EdDSA signature as this service makes them.")
    stored = _stored_key(document["public_key"])
    if header.get("kid") != document["public_key"].get("kid"):
        raise EngineError("jws_header", "The signature names another key than the file.")
    key = public_key or stored
    if key.public_bytes_raw() != stored.public_bytes_raw():
        raise EngineError("key_differs", "The certificate was signed with another key than the given one.")
    body = document["certificate"]
    try:
        key.verify(_decode(signature), _signing_input(protected.encode(), canonical_bytes(body)))
    except InvalidSignature:
        raise EngineError("signature_wrong", "The signature does not fit: the certificate was changed.") from None
    return dict(body)


def canonical_bytes(body: Mapping[str, Any]) -> bytes:
    """RFC 8785 bytes of a mapping that holds no floating-point number."""
    _refuse_floats(body)
    try:
        return rfc8785.dumps(dict(body))
    except rfc8785.CanonicalizationError:
        raise EngineError("certificate_value", "The certificate holds a value that has no canonical form.") from None


def _refuse_floats(node: object) -> None:
    if isinstance(node, float):
        raise EngineError("certificate_value", "The certificate holds a floating-point number.")
    for child in node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else ():
        _refuse_floats(child)


def _parse(file: bytes) -> dict[str, Any]:
    if len(file) > MAX_FILE_BYTES:
        raise EngineError("certificate_too_large", "The certificate file is larger than 16 MiB.")
    try:
        document = json.loads(file.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise EngineError("certificate_broken", _BROKEN) from None
    whole = isinstance(document, dict) and set(document) == _MEMBERS and isinstance(document["jws"], str)
    if not whole or not all(isinstance(document[member], dict) for member in ("certificate", "public_key")):
        raise EngineError("certificate_broken", _BROKEN)
    return dict(document)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _jws_parts(jws: str) -> tuple[str, str, str]:
    parts = jws.split(".")
    if len(parts) != 3:
        raise EngineError("certificate_broken", _BROKEN)
    return parts[0], parts[1], parts[2]


def _stored_key(jwk: Mapping[str, Any]) -> Ed25519PublicKey:
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or not isinstance(jwk.get("x"), str):
        raise EngineError("key_unreadable", "The public key of the certificate is not an Ed25519 key.")
    try:
        return Ed25519PublicKey.from_public_bytes(_decode(jwk["x"]))
    except ValueError:
        raise EngineError("key_unreadable", "The public key of the certificate is not an Ed25519 key.") from None


def _signing_input(protected: bytes, payload: bytes) -> bytes:
    return protected + b"." + _encode(payload)


def _encode(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _decode(text: str) -> bytes:
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise EngineError("certificate_broken", _BROKEN) from None
    # Spare bits of the last character would let one signature be spelled in several ways.
    if _encode(content).decode() != text:
        raise EngineError("certificate_broken", _BROKEN)
    return content
