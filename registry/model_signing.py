"""Signatures of a version's files in the OpenSSF model-signing format: made here, and read.

The format, as its tool of the same name reads and writes it: an in-toto statement that lists every file with its
SHA-256, in a DSSE envelope, in a Sigstore bundle of version 0.3, signed with an elliptic-curve key (P-256 here). What
is signed is the pinned manifest, so the signature says: these are the bytes this installation read and holds to.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import rfc8785
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from audit import keys
from audit.errors import Conflict, Invalid
from registry import manifest
from registry.manifest import Manifest
from registry.models import ModelVersion

BUNDLE_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
FILENAME: Final = "model.sig"
_PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
# The hash that goes with each curve, as the Sigstore specification pairs them.
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256


def signing_key() -> ec.EllipticCurvePrivateKey:
    """The installation's key for models, derived from 32 secret bytes outside the database."""
    secret = hashlib.sha512(b"plimsoll model signing\0" + keys.secret("models")).digest()
    return ec.derive_private_key(int.from_bytes(secret, "big") % (_ORDER - 1) + 1, ec.SECP256R1())


def public_pem(key: ec.EllipticCurvePublicKey | None = None) -> bytes:
    """A public key, by default this installation's, as the tool wants it in a file."""
    found = key or signing_key().public_key()
    return found.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def bundle(version: ModelVersion) -> dict[str, Any]:
    """The signature of a version's files. Raises Conflict while they have not been read and hashed."""
    if not version.artifact_digest or version.artifact_manifest is None:
        raise Conflict(f"The files of {version} have not been read and hashed yet.", code="not_pinned")
    if manifest.digest(version.artifact_manifest) != version.artifact_digest:
        raise Conflict(f"The recorded manifest of {version} is not what was pinned.", code="content_changed")
    body = rfc8785.dumps(statement(f"{version.model.name}/{version.number}", version.artifact_manifest))
    # The nonce is derived from key and text (RFC 6979), so that the same files always give the same bundle.
    way = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    signature = signing_key().sign(_pae(body), way)
    return {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": hashlib.sha256(public_pem()).hexdigest()},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(body).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }


def statement(name: str, files: Manifest) -> dict[str, Any]:
    """The in-toto statement about these files. Its subject's digest is over theirs, in the order of their paths."""
    entries = sorted(files["files"], key=lambda entry: str(entry["path"]).split("/"))
    root = hashlib.sha256(b"".join(bytes.fromhex(entry["sha256"]) for entry in entries)).hexdigest()
    return {
        "_type": _STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [
                {"name": entry["path"], "algorithm": "sha256", "digest": entry["sha256"]} for entry in entries
            ],
        },
    }


def why_not_valid(signed: Mapping[str, Any], files: Manifest, pem: str) -> str | None:
    """Why a bundle, whoever made it, is no valid signature of exactly these files by this key; None when it is.

    Raises Invalid for a key that cannot be read or is of no curve that the format knows.
    """
    key = _key(pem)
    try:
        envelope = signed["dsseEnvelope"]
        body = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        if signed["mediaType"] != BUNDLE_TYPE or envelope["payloadType"] != _PAYLOAD_TYPE:
            return "This is no bundle of the model-signing format."
        key.verify(signature, _pae(body), ec.ECDSA(_HASHES[key.curve.name]))
        return _why_not_these(json.loads(body), files)
    except InvalidSignature:
        return "The signature is not of this key, or what it signs was changed."
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError):
        return "The bundle cannot be read as one of the model-signing format."


def _key(pem: str) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise Invalid("The public key is no PEM of an elliptic-curve key on P-256, P-384 or P-521.", code="bad_key")
    return key


def _why_not_these(said: dict[str, Any], files: Manifest) -> str | None:
    if said["_type"] != _STATEMENT_TYPE or said["predicateType"] != _PREDICATE_TYPE:
        return "The signed statement is not about the files of a model."
    predicate = said["predicate"]
    if predicate["serialization"]["method"] != "files" or predicate["serialization"]["hash_type"] != "sha256":
        return "The files were signed in pieces or by another hash than SHA-256, which is not compared here."
    listed = [(entry["name"], entry["algorithm"], entry["digest"]) for entry in predicate["resources"]]
    signed = {name: digest for name, algorithm, digest in listed if algorithm == "sha256"}
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, _, digest in listed)).hexdigest()
    if len(signed) != len(listed) or root != said["subject"][0]["digest"]["sha256"]:
        return "The signed statement contradicts itself."
    ignored = {str(path) for path in predicate["serialization"].get("ignore_paths", [])}
    pinned = {entry["path"]: entry["sha256"] for entry in files["files"] if entry["path"] not in ignored}
    differing = sorted(path for path in set(pinned) | set(signed) if pinned.get(path) != signed.get(path))
    if not differing:
        return None
    first = ", ".join(path[:80] for path in differing[:3])
    return (
        f"The signature is for other files: {len(differing):,} differ ({first}{', …' if len(differing) > 3 else ''})."
    )


def _pae(body: bytes) -> bytes:
    kind = _PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)
