"""What a webhook receives: the body, and the headers that say who sent it and when.

MLflow's headers are always there; those of the Standard Webhooks specification if the hook asks for them. Both sign
``<id>.<unix time>.<body>`` with HMAC-SHA256, MLflow with the secret's characters as the key, Standard Webhooks with the
bytes that ``whsec_`` and base64 stand for.
"""

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime
from typing import Final

from audit import vault
from audit.errors import Invalid
from registry.models import OutboxEvent, Webhook

PREFIX: Final = "whsec_"
MOST_SECRET: Final = 1000
_LEAST_KEY, _MOST_KEY = 24, 64


def sealed(hook: Webhook, secret: str) -> bytes | None:
    """The secret as it is kept; None for none."""
    return vault.sealed_text(secret, f"webhook/{hook.pk}") if secret else None


def secret_of(hook: Webhook) -> str:
    """The secret in clear; empty for none. Raises ValueError when it does not open."""
    return vault.opened_text(bytes(hook.secret), f"webhook/{hook.pk}") if hook.secret else ""


def check_secret(secret: str, *, standard: bool) -> None:
    """Return when a hook may sign with this. Raises Invalid; the message does not repeat the secret."""
    if len(secret) > MOST_SECRET or not secret.isprintable():
        raise Invalid(f"'secret' has at most {MOST_SECRET} characters, none of them invisible.", code="bad_secret")
    if standard and _key(secret) is None:
        raise Invalid(
            f"Standard Webhooks signatures take a secret that is {PREFIX} and {_LEAST_KEY} to {_MOST_KEY} random bytes"
            " in base64.",
            code="bad_secret",
        )


def _key(secret: str) -> bytes | None:
    """The key that a Standard Webhooks secret stands for; None when it is none."""
    if not secret.startswith(PREFIX):
        return None
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if _LEAST_KEY <= len(key) <= _MOST_KEY else None


def body_of(event: OutboxEvent) -> bytes:
    """The body for an event, the same at every attempt."""
    return body(event.entity, event.action, event.recorded_at, event.payload)


def body(entity: str, action: str, at: datetime, data: object) -> bytes:
    """MLflow's body: entity and action in lower case, the time as ISO 8601 in UTC."""
    return json.dumps({"entity": entity, "action": action, "timestamp": at.isoformat(), "data": data}).encode()


def headers(hook: Webhook, delivery_id: str, at: datetime, content: bytes) -> dict[str, str]:
    """The headers of one attempt. Raises ValueError when the hook's secret does not open."""
    moment = str(int(at.timestamp()))
    found = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": delivery_id,
        "X-MLflow-Timestamp": moment,
    }
    secret = secret_of(hook)
    signed = f"{delivery_id}.{moment}.".encode() + content
    if secret:
        found["X-MLflow-Signature"] = _signature(secret.encode(), signed)
    key = _key(secret)
    if hook.standard and key is not None:
        found |= {
            "webhook-id": delivery_id,
            "webhook-timestamp": moment,
            "webhook-signature": _signature(key, signed),
        }
    return found


def _signature(key: bytes, signed: bytes) -> str:
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"
