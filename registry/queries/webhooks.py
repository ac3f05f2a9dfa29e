"""Webhooks and what was delivered to them, as those who may see webhooks see them: all of them, or none."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q, QuerySet

from access import policy
from audit.actors import Actor
from audit.clock import now
from audit.errors import NotFound
from audit.events import Action
from audit.subjects import INSTALLATION
from registry import delivery
from registry.event_names import ERASURE_EVENTS, MLFLOW_EVENTS
from registry.models import Delivery, DeliveryAttempt, Webhook, WebhookHealth
from registry.queries import page_tokens
from registry.queries.visible import uuid_of
from registry.states import DeliveryState, HookStatus

MOST_ATTEMPTS_SHOWN: Final = 30


@dataclass(frozen=True)
class Page:
    """Some webhooks, newest first, and the token with which the next ones are asked for; empty on the last page."""

    rows: list[Webhook]
    next_token: str


@dataclass(frozen=True)
class Standing:
    """How a webhook does: ``word`` is active, failing, retrying or disabled."""

    word: str
    failing_since: datetime | None
    succeeded_at: datetime | None
    quiet_until: datetime | None


def webhooks(by: Actor) -> QuerySet[Webhook]:
    """The webhooks there are. Raises Denied for who may not see them, and records that."""
    policy.require_read(by, Action.WEBHOOK_VIEW, INSTALLATION)
    return Webhook.objects.filter(deleted_at=None)


def on_wire(by: Actor) -> QuerySet[Webhook]:
    """Those that MLflow's client can read: it fails on a list in which one has no event that it knows."""
    return webhooks(by).filter(events__overlap=sorted(MLFLOW_EVENTS))


def page(rows: QuerySet[Webhook], *, most: int, token: str) -> Page:
    """The webhooks after ``token``, newest first. Raises Invalid for a token that is none."""
    if token:
        rows = rows.filter(pk__lt=_read_token(token))
    found = list(rows.order_by("-id")[: most + 1])
    return Page(found[:most], _token(found[most - 1].pk) if len(found) > most else "")


def _token(last: uuid.UUID) -> str:
    return page_tokens.encoded(last.bytes)


def _read_token(token: str) -> uuid.UUID:
    decoded = page_tokens.decoded(token)
    if len(decoded) != 16:
        raise page_tokens.wrong(decoded)
    return uuid.UUID(bytes=decoded)


def one(rows: QuerySet[Webhook], webhook_id: str | uuid.UUID) -> Webhook:
    """One of ``rows``. Raises NotFound."""
    try:
        row = rows.filter(pk=uuid_of(webhook_id)).first()
    except NotFound:
        row = None
    if row is None:
        raise NotFound(f"Webhook with ID {str(webhook_id)[:64]} not found.")
    return row


def webhook(by: Actor, webhook_id: str | uuid.UUID) -> Webhook:
    """One webhook. Raises NotFound."""
    return one(webhooks(by), webhook_id)


def standings(hooks: Iterable[Webhook]) -> dict[uuid.UUID, Standing]:
    """How each of some webhooks does, in one query."""
    listed = list(hooks)
    health = {row.pk: row for row in WebhookHealth.objects.filter(webhook__in=listed)}
    return {hook.pk: _standing(hook, health.get(hook.pk)) for hook in listed}


def _standing(hook: Webhook, health: WebhookHealth | None) -> Standing:
    since = health.failing_since if health else None
    if hook.status == HookStatus.DISABLED:
        word = "disabled"
    elif since is None:
        word = "active"
    else:
        word = "failing" if since < now() - delivery.FAILING_AFTER else "retrying"
    return Standing(
        word=word,
        failing_since=since,
        succeeded_at=health.succeeded_at if health else None,
        quiet_until=health.quiet_until if health else None,
    )


def waiting(hook: Webhook) -> int:
    """How many deliveries wait."""
    return Delivery.objects.filter(webhook=hook, state=DeliveryState.WAITING.value).count()


def deliveries(by: Actor, hook: Webhook) -> QuerySet[Delivery]:
    """What was and is to be delivered to a webhook. What is said of erasures only for who may see those."""
    rows = Delivery.objects.select_related("event").filter(webhook=hook)
    if policy.why_not(by, Action.ERASURE_VIEW, INSTALLATION) is None:
        return rows
    hidden = Q()
    for name in ERASURE_EVENTS:
        entity, _, action = name.partition(".")
        hidden |= Q(event__entity=entity, event__action=action)
    return rows.exclude(hidden)


def delivery_page(by: Actor, hook: Webhook, *, most: int, token: str) -> tuple[list[Delivery], str]:
    """Some deliveries, the newest event first, and the token of the next page. Raises Invalid for a bad token."""
    rows = deliveries(by, hook)
    if token:
        rows = rows.filter(event__lt=_read_token(token))
    found = list(rows.order_by("-event")[: most + 1])
    return found[:most], _token(found[most - 1].event_id) if len(found) > most else ""


def one_delivery(by: Actor, hook: Webhook, delivery_id: str | uuid.UUID) -> Delivery:
    """One delivery of a webhook. Raises NotFound."""
    row = deliveries(by, hook).filter(pk=uuid_of(delivery_id)).first()
    if row is None:
        raise NotFound("There is no such delivery.")
    return row


def attempts(rows: Iterable[Delivery]) -> dict[uuid.UUID, list[DeliveryAttempt]]:
    """The log of some deliveries, the last attempt first, in one query."""
    found: dict[uuid.UUID, list[DeliveryAttempt]] = {}
    for entry in DeliveryAttempt.objects.filter(delivery__in=[row.pk for row in rows]).order_by("-id"):
        kept = found.setdefault(entry.delivery_id, [])
        if len(kept) < MOST_ATTEMPTS_SHOWN:
            kept.append(entry)
    return found
