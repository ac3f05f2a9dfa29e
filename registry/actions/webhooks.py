"""Webhooks: create, edit, delete, test, and have an event delivered again. One function, one transaction, one entry.

Where a webhook may lead is ``registry/addresses.py``; sending is ``registry/delivery.py``. The trail names a webhook by
its host: the rest of its address may be a secret, as the secret itself is.
"""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Model

from access import policy
from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, DomainError, Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION, Subject
from registry import addresses, delivery, envelope, fields, outbox
from registry.addresses import Resolver, looked_up
from registry.event_names import ERASURE_EVENTS, EVENTS, example
from registry.models import Delivery, Webhook
from registry.posting import Answer
from registry.states import DeliveryState, HookStatus

MOST_DESCRIPTION: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is to be said of a webhook; None leaves a field as it is. An empty ``secret`` takes the secret away."""

    name: str | None = None
    description: str | None = None
    url: str | None = None
    events: Sequence[str] | None = None
    secret: str | None = None
    status: str | None = None
    standard: bool | None = None


def create(*, by: Actor, changes: Changes, resolver: Resolver = looked_up) -> Webhook:
    """Make a webhook of what is given; name, address and events are needed.

    Raises Invalid for a field that does not fit and for an address that may not be called.
    """
    row = Webhook(created_by=by.account or "")
    _check_address(by, Action.WEBHOOK_CREATE, INSTALLATION, changes.url or "", resolver)
    with door.open(by, Action.WEBHOOK_CREATE, on=INSTALLATION) as entry:
        _change(by, row, Changes(**{**vars(changes), "name": changes.name or "", "events": changes.events or ()}))
        row.save(force_insert=True)
        entry.record(on=row, after=_told(row))
        return row


def update(*, by: Actor, hook: Webhook, changes: Changes, resolver: Resolver = looked_up) -> Webhook:
    """Change what is given. Raises as ``create`` does, and NotFound for a webhook that was deleted meanwhile."""
    if changes.url is not None:
        _check_address(by, Action.WEBHOOK_UPDATE, hook.subject(), changes.url, resolver)
    with door.open(by, Action.WEBHOOK_UPDATE, on=hook) as entry:
        row = _present(entry.locked)
        _check_reach(by, row.events)
        before = _told(row)
        _change(by, row, changes)
        row.updated_at = now()
        row.save()
        outbox.wake([str(row.pk)])
        entry.record(on=row, before=before, after=_told(row) | {"secret_set": changes.secret is not None})
        return row


def delete(*, by: Actor, hook: Webhook) -> None:
    """Take a webhook away with its secret. What waits for it is not sent; the log of what was stays for its time."""
    with door.open(by, Action.WEBHOOK_DELETE, on=hook) as entry:
        row = _present(entry.locked)
        _check_reach(by, row.events)
        row.deleted_at = row.updated_at = now()
        row.secret = None
        row.save(update_fields=["deleted_at", "updated_at", "secret"])
        entry.record(before=_told(row), after={"cancelled": delivery.cancel(row)})


def send_test(*, by: Actor, hook: Webhook, event: str = "", resolver: Resolver = looked_up) -> Answer:
    """Send an example of ``event`` (of the webhook's first, when none is named), now, and how it was answered.

    The entry is written first: nothing is sent that is not recorded, and no row is held while somebody answers.
    """
    with door.open(by, Action.WEBHOOK_TEST, on=hook) as entry:
        row = _present(entry.locked)
        name = event or row.events[0]
        if name not in EVENTS:
            raise _unknown(name)
        _check_reach(by, row.events)
        entry.record(after={"event": name, "host": row.host})
    entity, _, action = name.partition(".")
    at = now()
    return delivery.send(row, str(uuid.uuid4()), at, envelope.body(entity, action, at, example(name)), resolver)


def redeliver(*, by: Actor, hook: Webhook, sent: Delivery) -> Delivery:
    """Have an event delivered once more, under the id it was delivered under.

    Raises Conflict for one that waits already, and for a webhook that is disabled.
    """
    with door.open(by, Action.WEBHOOK_REDELIVER, on=hook) as entry:
        row = _present(entry.locked)
        _check_reach(by, row.events)
        found = Delivery.objects.select_for_update(of=("self",)).filter(pk=sent.pk, webhook=row).first()
        if found is None:
            raise NotFound("There is no such delivery.")
        if found.state == DeliveryState.WAITING:
            raise Conflict("This event waits to be delivered already.", code="waits_already")
        if row.status != HookStatus.ACTIVE:
            raise Conflict(f"The webhook {row} is disabled: enable it first.", code="webhook_disabled")
        before = found.state
        delivery.again(found)
        entry.record(before={"state": before}, after={"delivery": str(found.pk)})
    found.refresh_from_db()
    return found


def _check_address(by: Actor, action: Action, on: Subject, url: str, resolver: Resolver) -> None:
    """Look the host up before the door opens: a slow answer must not hold a row."""
    try:
        policy.require(by, action, on)
        addresses.check(url, resolver)
    except DomainError as error:
        door.refuse(by, action, on, error)
        raise


def _change(by: Actor, row: Webhook, changes: Changes) -> None:
    if changes.name is not None:
        row.name = _name(changes.name)
    if changes.description is not None:
        row.description = fields.check_text(changes.description, "description", MOST_DESCRIPTION)
    if changes.url is not None:
        row.url = changes.url
    if changes.events is not None:
        row.events = _events(by, changes.events)
    if changes.status is not None:
        row.status = _status(changes.status)
    if changes.standard is not None:
        row.standard = changes.standard
    if changes.secret is not None or changes.standard:
        secret = envelope.secret_of(row) if changes.secret is None else changes.secret
        envelope.check_secret(secret, standard=row.standard)
        row.secret = envelope.sealed(row, secret)


def _name(text: str) -> str:
    if not _NAME.match(text):
        raise Invalid(
            f"Webhook name {text[:80]!r} is invalid. It has 1 to 63 letters, digits, dots, underscores and hyphens,"
            " with a letter or digit at each end.",
            code="bad_name",
        )
    return text


def _events(by: Actor, names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in EVENTS:
            raise _unknown(name)
    if not names:
        raise Invalid("Missing value for required parameter 'events': name at least one event.", code="missing")
    _check_reach(by, names)
    return list(dict.fromkeys(names))


def _unknown(name: str) -> Invalid:
    return Invalid(
        f"There is no event {name[:80]!r}; one is an entity and what happened to it, such as model_version.created.",
        code="unknown_event",
        details={"events": sorted(EVENTS)},
    )


def _check_reach(by: Actor, names: Sequence[str]) -> None:
    """Who may not see erasure requests has nothing said of them anywhere, nor a webhook led elsewhere that is told."""
    if ERASURE_EVENTS & set(names):
        policy.require(by, Action.ERASURE_VIEW, INSTALLATION)


def _status(text: str) -> str:
    if text not in set(HookStatus):
        raise Invalid(
            f"Invalid webhook status {text[:40]!r}: it is {' or '.join(status.value for status in HookStatus)}.",
            code="bad_status",
        )
    return text


def _told(row: Webhook) -> dict[str, Any]:
    """A webhook for the trail."""
    return {
        "host": row.host,
        "events": sorted(row.events),
        "status": row.status,
        "signed": row.secret is not None,
        "standard": row.standard,
    }


def _present(row: Model) -> Webhook:
    if not isinstance(row, Webhook) or row.deleted_at is not None:
        raise NotFound("The webhook was deleted a moment ago.")
    return row
