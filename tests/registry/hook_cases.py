"""Webhooks for tests, made through the actions, that may lead to loopback."""

from datetime import timedelta
from typing import Any

from access.roles import Role
from audit.actors import Actor
from audit.clock import now
from registry.actions import webhooks
from registry.actions.webhooks import Changes
from registry.models import Delivery, Webhook, WebhookHealth
from tests import factories

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
KEY = b"0123456789abcdef0123456789abcdef"


def keeper() -> Actor:
    """Somebody who may do everything with webhooks."""
    return factories.actor(Role.ADMINISTRATOR, Role.AUDITOR)


def hook(url: str, *events: str, by: Actor | None = None, **more: Any) -> Webhook:
    """A webhook that is told of ``events``."""
    changes = Changes(name=more.pop("name", "ci"), url=url, events=events or ("registered_model.created",), **more)
    return webhooks.create(by=by or keeper(), changes=changes)


def turncoat(*events: str) -> Webhook:
    """A webhook whose host had a public address when it was made and leads to this machine now: nothing is called."""
    changes = Changes(name="turncoat", url="https://localhost/", events=events or ("registered_model.created",))
    return webhooks.create(by=keeper(), changes=changes, resolver=lambda host, port: ["192.31.195.1"])


def time_passes(hours: float = 2) -> None:
    """What was to be tried again within ``hours`` is due now."""
    Delivery.objects.update(due_at=now() - timedelta(seconds=1))
    WebhookHealth.objects.update(quiet_until=None)
    if hours > 2:
        Delivery.objects.update(since=now() - timedelta(hours=hours))
