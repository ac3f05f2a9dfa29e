"""Sending what the outbox holds: at least once, in order within a stream, again after a failure, until it is given up.

Celery only wakes workers; the truth is in the rows. A worker *claims* a delivery by moving its ``due_at`` beyond a
lease and raising its fence, sends it outside of any transaction, and writes down how it went if the fence is still its
own. A worker that dies leaves a row that becomes due again; a receiver knows a repetition by the delivery's id.
"""

import logging
import random
import uuid
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from audit.clock import now
from registry import envelope, outbox, posting
from registry.addresses import Resolver, looked_up
from registry.models import Delivery, DeliveryAttempt, OutboxEvent, Webhook, WebhookHealth
from registry.posting import Answer
from registry.states import DeliveryState, HookStatus

log = logging.getLogger("plimsoll.webhooks")

FIRST_DELAY: Final = timedelta(seconds=5)
LONGEST_DELAY: Final = timedelta(hours=1)
# A hook that fails is left alone for a while, whatever waits for it; not for so long that its return is missed.
LONGEST_QUIET: Final = timedelta(minutes=5)
# One task serves one hook for about this long and then lets others in.
TURN_SECONDS: Final = 20.0
MOST_A_TURN: Final = 100
# From then on a hook is shown as failing.
FAILING_AFTER: Final = timedelta(minutes=15)
_DROPPED_AT_ONCE: Final = 5_000
_MOST_ERROR: Final = 300
_WAITING: Final = DeliveryState.WAITING.value


def run(webhook_id: str, resolver: Resolver = looked_up) -> int:
    """Send what is due for a hook, for one turn. How many attempts were made."""
    until, made = monotonic() + TURN_SECONDS, 0
    while made < MOST_A_TURN and monotonic() < until:
        delivery = claim(webhook_id)
        if delivery is None:
            return made
        made += 1
        if not attempt(delivery, resolver):
            return made  # it is quiet now; the sweep comes back to it
    with transaction.atomic():
        outbox.wake([webhook_id])
    return made


def due(webhook_id: str | uuid.UUID | None = None) -> QuerySet[Delivery]:
    """What may be sent now: of each stream of each hook the first that waits, where the hook is on and not quiet."""
    moment = now()
    earlier = Delivery.objects.filter(
        webhook=OuterRef("webhook"), stream=OuterRef("stream"), event__lt=OuterRef("event"), state=_WAITING
    )
    rows = Delivery.objects.filter(
        Q(webhook__health=None) | Q(webhook__health__quiet_until=None) | Q(webhook__health__quiet_until__lte=moment),
        ~Exists(earlier),
        state=_WAITING,
        due_at__lte=moment,
        webhook__status=HookStatus.ACTIVE.value,
        webhook__deleted_at=None,
    )
    return rows if webhook_id is None else rows.filter(webhook_id=webhook_id)


def claim(webhook_id: str | uuid.UUID) -> Delivery | None:
    """Take what is due longest for as long as one attempt lasts, and a little more; None when nothing is to be had."""
    with transaction.atomic():
        rows = due(webhook_id).select_for_update(skip_locked=True, of=("self",)).order_by("due_at", "event")
        delivery = rows.first()
        if delivery is None:
            return None
        delivery.fence += 1
        delivery.attempts += 1
        delivery.due_at = now() + timedelta(seconds=settings.PLIMSOLL_WEBHOOK_SECONDS + 30)
        delivery.save(update_fields=["fence", "attempts", "due_at"])
    return Delivery.objects.select_related("event", "webhook").get(pk=delivery.pk)


def attempt(delivery: Delivery, resolver: Resolver = looked_up) -> bool:
    """Send a claimed delivery once and write down how it went; whether it was taken."""
    at = now()
    answer = send(delivery.webhook, str(delivery.pk), at, envelope.body_of(delivery.event), resolver)
    with transaction.atomic():
        DeliveryAttempt.objects.create(
            delivery=delivery,
            number=delivery.log.count() + 1,
            at=at,
            milliseconds=answer.milliseconds,
            status=answer.status,
            error=answer.error,
            response=answer.response,
        )
        if answer.is_success:
            # Also when the lease was lost meanwhile: the receiver has it, and that is what counts.
            _end(Delivery.objects.filter(pk=delivery.pk), DeliveryState.DELIVERED, "")
            _healthy(delivery)
        else:
            _failed(delivery, answer)
    facts = {"delivery": str(delivery.pk), "webhook": str(delivery.webhook_id), "attempt": delivery.attempts}
    log.info("webhook was called", extra={**facts, "status": answer.status, "milliseconds": answer.milliseconds})
    return answer.is_success


def send(hook: Webhook, delivery_id: str, at: datetime, content: bytes, resolver: Resolver = looked_up) -> Answer:
    """Post ``content`` to a hook with its headers. Never raises for what is wrong with the hook."""
    try:
        headers = envelope.headers(hook, delivery_id, at, content)
    except ValueError:
        log.critical("the secret of a webhook does not open", extra={"webhook": str(hook.pk)})
        return Answer(None, error="Its secret does not open with this installation's key; set it again.")
    return posting.post(hook.url, content, headers, seconds=settings.PLIMSOLL_WEBHOOK_SECONDS, resolver=resolver)


def words(answer: Answer) -> str:
    """Why an answer is no success, in one sentence; empty when it is one."""
    if answer.status is None:
        return answer.error
    if answer.is_success:
        return ""
    if 300 <= answer.status < 400:
        return f"It answered {answer.status}; redirects are not followed."
    return f"It answered {answer.status}, not 2xx."


def _end(rows: QuerySet[Delivery], state: DeliveryState, error: str) -> bool:
    ended = {"state": state.value, "finished_at": now(), "error": error[:_MOST_ERROR]}
    return bool(rows.filter(state=_WAITING).update(**ended))


def _held(delivery: Delivery) -> QuerySet[Delivery]:
    """The row for as long as the holder of this fence may say that it failed."""
    return Delivery.objects.filter(pk=delivery.pk, fence=delivery.fence, state=_WAITING)


def _failed(delivery: Delivery, answer: Answer) -> None:
    moment, error = now(), words(answer)
    health, _ = WebhookHealth.objects.get_or_create(webhook_id=delivery.webhook_id)
    asked = _retry_after(answer, moment)
    quiet = max(asked, min(backoff(health.failures + 1), LONGEST_QUIET))
    WebhookHealth.objects.filter(pk=health.pk).update(
        failures=F("failures") + 1, failing_since=health.failing_since or moment, quiet_until=moment + quiet
    )
    again = moment + max(asked, backoff(delivery.attempts))
    if again >= delivery.since + give_up_after():
        _give_up(delivery, error)
        return
    _held(delivery).update(due_at=again, error=error[:_MOST_ERROR])


def _give_up(delivery: Delivery, error: str) -> None:
    hours = settings.PLIMSOLL_WEBHOOK_GIVE_UP_HOURS
    if _end(_held(delivery), DeliveryState.FAILED, f"Given up after {hours} h. {error}"):
        log.error("a delivery was given up", extra={"delivery": str(delivery.pk), "webhook": str(delivery.webhook_id)})


def _healthy(delivery: Delivery) -> None:
    well = {"failures": 0, "failing_since": None, "succeeded_at": now(), "quiet_until": None}
    WebhookHealth.objects.update_or_create(webhook_id=delivery.webhook_id, defaults=well)


def give_up_after() -> timedelta:
    """How long a delivery is tried."""
    return timedelta(hours=settings.PLIMSOLL_WEBHOOK_GIVE_UP_HOURS)


def backoff(failures: int) -> timedelta:
    """How long to wait after so many failures: doubled each time, up to an hour, between half of it and all of it."""
    longest: timedelta = min(FIRST_DELAY * (1 << min(failures - 1, 20)), LONGEST_DELAY)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - it spreads load, it guards nothing


def _retry_after(answer: Answer, moment: datetime) -> timedelta:
    """How long an overloaded receiver asks to be left alone: seconds or a date, believed up to an hour."""
    text = answer.retry_after.strip()
    if answer.status not in {429, 503} or not text:
        return timedelta()
    if text.isascii() and text.isdigit():
        asked = timedelta(seconds=min(int(text[:9]), 10**6))
    else:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return timedelta()
        asked = date - moment if date.tzinfo is not None else timedelta()
    return max(timedelta(), min(asked, LONGEST_DELAY))


def again(delivery: Delivery) -> None:
    """Put a delivery that ended back into the queue, with a new time to give up and the same id; at once, even when its
    hook is quiet.
    """
    moment = now()
    ended = Delivery.objects.filter(pk=delivery.pk).exclude(state=_WAITING)
    ended.update(state=_WAITING, since=moment, due_at=moment, attempts=0, finished_at=None, error="")
    WebhookHealth.objects.filter(pk=delivery.webhook_id).update(quiet_until=None)
    outbox.wake([str(delivery.webhook_id)])


def cancel(hook: Webhook) -> int:
    """End what waits for a hook that is no more. How many."""
    gone = {"state": DeliveryState.CANCELLED.value, "finished_at": now(), "error": "The webhook was deleted."}
    return Delivery.objects.filter(webhook=hook, state=_WAITING).update(**gone)


def sweep() -> int:
    """Wake every hook with something due, give up what waited too long, drop what was kept long enough. How many hooks
    were woken.
    """
    moment = now()
    for delivery in Delivery.objects.filter(state=_WAITING, since__lt=moment - give_up_after(), due_at__lt=moment):
        _give_up(delivery, delivery.error or "The webhook was disabled or other deliveries were before it.")
    hooks = [str(key) for key in due().values_list("webhook_id", flat=True).distinct()]
    with transaction.atomic():
        outbox.wake(hooks)
    _drop(moment - timedelta(days=settings.PLIMSOLL_WEBHOOK_RETENTION_DAYS))
    return len(hooks)


def _drop(before: datetime) -> None:
    """Delete deliveries that ended, and events that nobody waits for, from before this time; some at a time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH old AS (SELECT id FROM registry_delivery WHERE finished_at < %s LIMIT %s),"
            " log AS (DELETE FROM registry_deliveryattempt WHERE delivery_id IN (SELECT id FROM old))"
            " DELETE FROM registry_delivery WHERE id IN (SELECT id FROM old)",
            [before, _DROPPED_AT_ONCE],
        )
    kept = Delivery.objects.filter(event=OuterRef("pk"))
    old = OutboxEvent.objects.filter(~Exists(kept), recorded_at__lt=before).values("pk")[:_DROPPED_AT_ONCE]
    OutboxEvent.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
