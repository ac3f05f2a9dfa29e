"""Webhooks over REST, with all their events: MLflow's and ours. Secrets are taken and never given back."""

from collections.abc import Sequence
from typing import Any, Final

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.events import Action
from registry import delivery
from registry.actions import webhooks
from registry.actions.webhooks import MOST_DESCRIPTION, Changes
from registry.envelope import MOST_SECRET
from registry.event_names import EVENTS
from registry.models import Delivery, DeliveryAttempt, Webhook
from registry.queries import webhooks as found
from registry.states import HookStatus
from web.rest.fields import TextField
from web.rest.views import View, body

_PAGE: Final = 50
_AFTER: Final = OpenApiParameter("after", OpenApiTypes.STR, required=False)


class NewWebhookSerializer(serializers.Serializer[Any]):
    """A webhook to be made. ``standard`` adds the headers of the Standard Webhooks specification, which take a secret
    that is ``whsec_`` and base64.
    """

    name = TextField(max_length=80)
    url = TextField(max_length=2000)
    events = serializers.ListField(child=TextField(max_length=81), min_length=1, max_length=len(EVENTS))
    description = TextField(max_length=MOST_DESCRIPTION, allow_blank=True, default="")
    secret = TextField(max_length=MOST_SECRET, allow_blank=True, default="")
    status = serializers.ChoiceField(choices=[status.value for status in HookStatus], default=HookStatus.ACTIVE.value)
    standard = serializers.BooleanField(default=False)


class WebhookChangesSerializer(serializers.Serializer[Any]):
    """What is to be different; a field that is not given stays. An empty ``secret`` takes the secret away."""

    name = TextField(max_length=80, required=False)
    url = TextField(max_length=2000, required=False)
    events = serializers.ListField(child=TextField(max_length=81), min_length=1, max_length=len(EVENTS), required=False)
    description = TextField(max_length=MOST_DESCRIPTION, allow_blank=True, required=False)
    secret = TextField(max_length=MOST_SECRET, allow_blank=True, required=False)
    status = serializers.ChoiceField(choices=[status.value for status in HookStatus], required=False)
    standard = serializers.BooleanField(required=False)


class WebhookSerializer(serializers.Serializer[Any]):
    """A webhook and how it does: ``health`` is active, retrying, failing (for a quarter of an hour) or disabled."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())
    status = serializers.CharField()
    signed = serializers.BooleanField()
    standard = serializers.BooleanField()
    health = serializers.CharField()
    failing_since = serializers.DateTimeField(allow_null=True)
    succeeded_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class WebhookListSerializer(serializers.Serializer[Any]):
    """A page of webhooks, newest first; ``after`` asks for the next one and is empty on the last."""

    webhooks = WebhookSerializer(many=True)
    after = serializers.CharField(allow_blank=True)


class AttemptSerializer(serializers.Serializer[Any]):
    """One attempt. ``status`` is null when no answer came; ``response`` is the beginning of the answer's body."""

    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    milliseconds = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField(allow_blank=True)
    response = serializers.CharField(allow_blank=True)


class DeliverySerializer(serializers.Serializer[Any]):
    """One event for one webhook, with the log of its attempts, the last one first."""

    id = serializers.UUIDField()
    event = serializers.CharField()
    recorded_at = serializers.DateTimeField()
    state = serializers.CharField()
    due_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    error = serializers.CharField(allow_blank=True)
    attempts = AttemptSerializer(many=True)


class DeliveryListSerializer(serializers.Serializer[Any]):
    """A page of deliveries, the newest event first; ``after`` asks for the next one and is empty on the last."""

    deliveries = DeliverySerializer(many=True)
    after = serializers.CharField(allow_blank=True)


class TestSerializer(serializers.Serializer[Any]):
    """Which event to send an example of; the webhook's first, if none is named."""

    event = TextField(max_length=81, allow_blank=True, default="")


class TestedSerializer(serializers.Serializer[Any]):
    """How a test was answered."""

    success = serializers.BooleanField()
    status = serializers.IntegerField(allow_null=True)
    milliseconds = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)
    response = serializers.CharField(allow_blank=True)


def presented(rows: Sequence[Webhook]) -> list[dict[str, Any]]:
    """The answer for some webhooks; their health in one query."""
    standings = found.standings(rows)
    return [
        {
            "id": str(row.pk),
            "name": row.name,
            "description": row.description or "",
            "url": row.url,
            "events": row.events,
            "status": row.status,
            "signed": row.secret is not None,
            "standard": row.standard,
            "health": standings[row.pk].word,
            "failing_since": standings[row.pk].failing_since,
            "succeeded_at": standings[row.pk].succeeded_at,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }
        for row in rows
    ]


def deliveries_presented(rows: Sequence[Delivery]) -> list[dict[str, Any]]:
    """The answer for some deliveries fetched with their events; their log in one query."""
    log = found.attempts(rows)
    return [
        {
            "id": str(row.pk),
            "event": row.event.name,
            "recorded_at": row.event.recorded_at,
            "state": row.state,
            "due_at": None if row.finished_at else row.due_at,
            "finished_at": row.finished_at,
            "error": row.error,
            "attempts": [_attempt(entry) for entry in log.get(row.pk, [])],
        }
        for row in rows
    ]


def _attempt(entry: DeliveryAttempt) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at": entry.at,
        "milliseconds": entry.milliseconds,
        "status": entry.status,
        "error": entry.error,
        "response": entry.response,
    }


class Webhooks(View):
    """The webhooks there are; make one."""

    owner = Action.WEBHOOK_VIEW

    @extend_schema(parameters=[_AFTER], responses=WebhookListSerializer, operation_id="webhooks_list")
    def get(self, request: Request) -> Response:
        page = found.page(found.webhooks(self.actor), most=_PAGE, token=request.query_params.get("after", ""))
        return Response({"webhooks": presented(page.rows), "after": page.next_token})

    @extend_schema(request=NewWebhookSerializer, responses={201: WebhookSerializer})
    def post(self, request: Request) -> Response:
        row = webhooks.create(by=self.actor, changes=Changes(**body(NewWebhookSerializer, request)))
        return Response(presented([row])[0], status=201)


class OneWebhook(View):
    """One webhook: see it, change it, take it away."""

    owner = Action.WEBHOOK_VIEW

    @extend_schema(responses=WebhookSerializer, operation_id="webhook")
    def get(self, request: Request, webhook_id: str) -> Response:
        return Response(presented([found.webhook(self.actor, webhook_id)])[0])

    @extend_schema(request=WebhookChangesSerializer, responses=WebhookSerializer)
    def patch(self, request: Request, webhook_id: str) -> Response:
        changes = Changes(**body(WebhookChangesSerializer, request))
        row = webhooks.update(by=self.actor, hook=found.webhook(self.actor, webhook_id), changes=changes)
        return Response(presented([row])[0])

    @extend_schema(responses={204: None})
    def delete(self, request: Request, webhook_id: str) -> Response:
        webhooks.delete(by=self.actor, hook=found.webhook(self.actor, webhook_id))
        return Response(status=204)


class Test(View):
    """Send an example of an event now, and say how it was answered."""

    owner = Action.WEBHOOK_TEST

    @extend_schema(request=TestSerializer, responses=TestedSerializer)
    def post(self, request: Request, webhook_id: str) -> Response:
        values = body(TestSerializer, request)
        sent = webhooks.send_test(by=self.actor, hook=found.webhook(self.actor, webhook_id), event=values["event"])
        return Response(
            {
                "success": sent.is_success,
                "status": sent.status,
                "milliseconds": sent.milliseconds,
                "error": delivery.words(sent),
                "response": sent.response,
            }
        )


class Deliveries(View):
    """What was and is to be delivered to a webhook."""

    owner = Action.WEBHOOK_VIEW

    @extend_schema(parameters=[_AFTER], responses=DeliveryListSerializer, operation_id="webhook_deliveries")
    def get(self, request: Request, webhook_id: str) -> Response:
        hook = found.webhook(self.actor, webhook_id)
        rows, after = found.delivery_page(self.actor, hook, most=_PAGE, token=request.query_params.get("after", ""))
        return Response({"deliveries": deliveries_presented(rows), "after": after})


class Redeliver(View):
    """Have an event delivered once more, under the id it was delivered under."""

    owner = Action.WEBHOOK_REDELIVER

    @extend_schema(request=None, responses={202: DeliverySerializer})
    def post(self, request: Request, webhook_id: str, delivery_id: str) -> Response:
        hook = found.webhook(self.actor, webhook_id)
        sent = found.one_delivery(self.actor, hook, delivery_id)
        row = webhooks.redeliver(by=self.actor, hook=hook, sent=sent)
        return Response(deliveries_presented([row])[0], status=202)
