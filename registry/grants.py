"""Grants: an in-toto statement in a DSSE envelope, signed with Ed25519, that a machine can check offline.

DSSE v1: the signature is over PAE = "DSSEv1" SP len(type) SP type SP len(body) SP body.
"""

import base64
from datetime import datetime
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from audit import keys
from audit.clock import rfc3339

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:plimsoll:promotion-grant:v1"


def signing_key() -> Ed25519PrivateKey:
    """The installation's grant key: 32 secret bytes outside the database."""
    return Ed25519PrivateKey.from_private_bytes(keys.secret("grants"))


def key_id() -> str:
    """The name of the key in envelopes."""
    return f"{settings.PLIMSOLL_ORIGIN}/grants"


def statement(
    *, model: str, version: int, artifact_digest: str, stage: str, policy_digest: str, subject_digest: str,
    issued_at: datetime, valid_until: datetime,
) -> dict[str, Any]:  # fmt: skip
    """The in-toto statement that these exact files may be in this stage until then."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": f"{model}/{version}", "digest": {"sha256": artifact_digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "stage": stage,
            "policyDigest": policy_digest,
            "subjectDigest": subject_digest,
            "issuedAt": rfc3339(issued_at),
            "validUntil": rfc3339(valid_until),
            "conditions": [],
        },
    }


def sign(content: dict[str, Any]) -> dict[str, Any]:
    """The DSSE envelope around ``content``."""
    body = rfc8785.dumps(content)
    signature = signing_key().sign(_pae(body))
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(body).decode(),
        "signatures": [{"keyid": key_id(), "sig": base64.b64encode(signature).decode()}],
    }


def is_authentic(envelope: dict[str, Any], public_key: Ed25519PublicKey | None = None) -> bool:
    """Whether ``envelope`` carries a valid signature of ``public_key`` (by default this installation's)."""
    key = public_key or signing_key().public_key()
    try:
        body = base64.b64decode(envelope["payload"], validate=True)
        for entry in envelope["signatures"]:
            key.verify(base64.b64decode(entry["sig"], validate=True), _pae(body))
            return bool(envelope["payloadType"] == PAYLOAD_TYPE)
    except (InvalidSignature, KeyError, TypeError, ValueError):
        return False
    return False


def _pae(body: bytes) -> bytes:
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)
