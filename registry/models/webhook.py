"""Events on their way out: the outbox, the hooks they go to, what is to be delivered, and how each attempt went.

An event and its deliveries are written in the transaction of what happened (``registry/outbox.py``). Deliveries,
attempts and health are bookkeeping of the workers (``registry/delivery.py``) and need no door; a hook does.
"""

import uuid
from urllib.parse import urlsplit

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from audit.clock import now
from audit.ids import uuid7
from audit.subjects import Subject
from registry.states import DeliveryState, HookStatus


class OutboxEvent(models.Model):
    """Something that happened: ``payload`` is what is told of it. Ids rise with time.

    ``stream`` names what happens in order: the events of one stream reach a hook one after the other.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    entity = models.CharField(max_length=40)
    action = models.CharField(max_length=40)
    subject_type = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=64)
    stream = models.CharField(max_length=110)
    payload = models.JSONField()
    recorded_at = models.DateTimeField(default=now)

    class Meta:
        indexes = (
            models.Index(fields=["recorded_at"], name="registry_outbox_age"),
            models.Index(fields=["subject_type", "subject_id", "id"], name="registry_outbox_subject"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"{self.entity}.{self.action}"


class Webhook(models.Model):
    """An address that is told of events. ``secret`` is sealed (``audit/vault.py``); deleting empties it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=63)
    description = models.CharField(max_length=1000, null=True)
    url = models.CharField(max_length=500)
    events = ArrayField(models.CharField(max_length=81))
    status = models.CharField(max_length=10, default=HookStatus.ACTIVE.value)
    secret = models.BinaryField(null=True)
    # Whether deliveries carry the headers of the Standard Webhooks specification as well.
    standard = models.BooleanField(default=False)
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in HookStatus]), name="registry_webhook_status_known"
            ),
            models.CheckConstraint(condition=~Q(events=[]), name="registry_webhook_has_events"),
        )
        indexes = (models.Index(fields=["-id"], condition=Q(deleted_at=None), name="registry_webhook_newest"),)

    def __str__(self) -> str:
        return self.name

    @property
    def host(self) -> str:
        """Where it leads, without the path, which may be a secret of its own."""
        return urlsplit(self.url).hostname or ""

    def subject(self) -> Subject:
        return Subject(type="webhook", id=str(self.pk), label=self.name)


class WebhookHealth(models.Model):
    """How a hook has been answering. No row: nothing was ever sent."""

    webhook = models.OneToOneField(Webhook, on_delete=models.CASCADE, primary_key=True, related_name="health")
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    # Nothing is sent before this time: the hook asked for it, or failed a moment ago.
    quiet_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"health of {self.webhook_id}"


class Delivery(models.Model):
    """One event for one hook, until it is delivered or given up. Its id is what the receiver knows it by.

    ``due_at`` is when it is tried next; while a worker holds it, when its lease ends. ``fence`` tells an old holder
    from the present one. ``since`` is when trying began, from which the time to give up is counted.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    event = models.ForeignKey(OutboxEvent, on_delete=models.PROTECT, related_name="deliveries")
    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="deliveries")
    stream = models.CharField(max_length=110)
    state = models.CharField(max_length=10, default=DeliveryState.WAITING.value)
    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(default=now)
    due_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["webhook", "event"], name="registry_delivery_once"),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in DeliveryState]), name="registry_delivery_state_known"
            ),
        )
        indexes = (
            models.Index(
                fields=["webhook", "due_at"],
                condition=Q(state=DeliveryState.WAITING.value),
                name="registry_delivery_due",
            ),
            models.Index(
                fields=["webhook", "stream", "event"],
                condition=Q(state=DeliveryState.WAITING.value),
                name="registry_delivery_order",
            ),
            models.Index(fields=["finished_at"], name="registry_delivery_age"),
        )

    def __str__(self) -> str:
        return str(self.pk)


class DeliveryAttempt(models.Model):
    """One attempt: when, how it was answered, how long it took. ``response`` is the start of the answer's body."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    milliseconds = models.PositiveIntegerField()
    status = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)
    response = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.delivery_id}"
