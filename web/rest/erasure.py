"""Erasure requests over REST: file, read, approve, refuse, cancel, search or execute again, sign off, certificate."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access import queries as people
from access import reads
from audit.errors import Invalid
from audit.events import Action
from audit.subjects import INSTALLATION
from erasure import queries
from erasure.actions import closing, deciding, discovery, execution, filing
from erasure.models import ErasureRequest, ErasureTask, ModelObligation
from web.rest import receipts
from web.rest.fields import TextField
from web.rest.views import View, body

_MOST = 500


class FileSerializer(serializers.Serializer[Any]):
    """What filing takes. The identifier is sealed at once and never given back."""

    identifier_type = TextField()
    identifier_value = TextField(allow_blank=True, write_only=True)
    external_id = TextField(allow_blank=True)
    ground = TextField()
    country = TextField(allow_blank=True)
    subdivision = TextField(allow_blank=True, default="")
    received_on = serializers.DateField()
    source = TextField(default=filing.SOURCE)  # type: ignore[assignment] # a field named like an option of DRF


class ApproveSerializer(serializers.Serializer[Any]):
    """The plan that is approved, by its digest; the ``If-Match`` header may carry it instead."""

    plan_digest = serializers.RegexField(r"^[0-9a-f]{64}$", required=False)
    comment = TextField(allow_blank=True, default="")


class ReasonSerializer(serializers.Serializer[Any]):
    """Why; it is kept, so it must not name the data subject."""

    reason = TextField(allow_blank=True)


class SignSerializer(serializers.Serializer[Any]):
    """A comment on the sign-off."""

    comment = TextField(allow_blank=True, default="")


class TaskSerializer(serializers.Serializer[Any]):
    """One data set that was, or is to be, replaced."""

    data_set = serializers.CharField()
    successor = serializers.CharField(allow_null=True)
    state = serializers.CharField()
    rows_in = serializers.IntegerField(allow_null=True)
    erased = serializers.IntegerField(allow_null=True)
    rows_out = serializers.IntegerField(allow_null=True)
    residual = serializers.IntegerField(allow_null=True)
    digest_before = serializers.CharField()
    digest_after = serializers.CharField(allow_blank=True)
    erased_with = serializers.CharField(allow_blank=True)
    verified_with = serializers.CharField(allow_blank=True)


class ObligationSerializer(serializers.Serializer[Any]):
    """What a model version owes."""

    id = serializers.UUIDField()
    model = serializers.CharField()
    version = serializers.CharField()
    data_set = serializers.CharField()
    kind = serializers.CharField()
    state = serializers.CharField()
    due_on = serializers.DateField()


class ErasureSerializer(serializers.Serializer[Any]):
    """One request: who asked under what, its days, its plan, what became of it. Counts and digests, never a value."""

    id = serializers.UUIDField()
    state = serializers.CharField()
    outcome = serializers.CharField(allow_blank=True)
    problem = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    source = serializers.CharField()  # type: ignore[assignment] # a field named like an option of DRF
    external_id = serializers.CharField()
    regulation = serializers.CharField()
    ground = serializers.CharField()
    country = serializers.CharField()
    subdivision = serializers.CharField(allow_blank=True)
    identifier_type = serializers.CharField()
    received_on = serializers.DateField()
    filed_at = serializers.DateTimeField()
    nominal_due = serializers.DateField()
    legal_due = serializers.DateField()
    extended_due = serializers.DateField()
    holidays_known = serializers.BooleanField()
    days_left = serializers.IntegerField(allow_null=True)
    filer = serializers.CharField()
    approver = serializers.CharField(allow_blank=True)
    signer = serializers.CharField(allow_blank=True)
    plan = serializers.JSONField(allow_null=True)
    plan_digest = serializers.CharField(allow_blank=True)
    moved = serializers.BooleanField()
    approved_plan_digest = serializers.CharField(allow_blank=True)
    tasks = TaskSerializer(many=True)
    obligations = ObligationSerializer(many=True)
    certificate = serializers.CharField(allow_null=True)
    available_actions = serializers.ListField(child=serializers.CharField())
    why_not = serializers.DictField(child=serializers.CharField())


class ReceiptedErasure(receipts.ReceiptedSerializer, ErasureSerializer):
    """A request after an act, with the receipt of that act for who waited for it."""


class ErasureRow(serializers.Serializer[Any]):
    """A request in a list."""

    id = serializers.UUIDField()
    state = serializers.CharField()
    outcome = serializers.CharField(allow_blank=True)
    external_id = serializers.CharField()
    identifier_type = serializers.CharField()
    received_on = serializers.DateField()
    nominal_due = serializers.DateField()
    legal_due = serializers.DateField()
    days_left = serializers.IntegerField(allow_null=True)


class ErasureListSerializer(serializers.Serializer[Any]):
    """Open requests first, the most urgent on top."""

    erasure_requests = ErasureRow(many=True)


_PLAIN = ("state", "outcome", "problem", "reason", "source", "external_id", "regulation", "ground", "country",
          "subdivision", "identifier_type", "received_on", "filed_at", "nominal_due", "legal_due", "extended_due",
          "holidays_known", "plan", "plan_digest", "approved_plan_digest")  # fmt: skip
_ROW = ("state", "outcome", "external_id", "identifier_type", "received_on", "nominal_due", "legal_due")


def presented(view: queries.View) -> dict[str, Any]:
    """The answer for one request."""
    request = view.request
    names = people.display_names({request.filer, request.approver, request.signer} - {""})
    return {
        "id": str(request.pk),
        **{name: getattr(request, name) for name in _PLAIN},
        "days_left": view.due.days,
        "filer": names.get(request.filer, ""),
        "approver": names.get(request.approver, ""),
        "signer": names.get(request.signer, ""),
        "moved": view.moved,
        "tasks": [_task(task) for task in view.tasks],
        "obligations": [_obligation(row) for row in view.obligations],
        "certificate": view.certificate.sha256 if view.certificate else None,
        "available_actions": view.available_actions,
        "why_not": {name: sentence for name, sentence in view.why_not.items() if sentence},
    }


def _task(task: ErasureTask) -> dict[str, Any]:
    plain = ("state", "rows_in", "erased", "rows_out", "residual", "erased_with", "verified_with")
    return {
        "data_set": str(task.data_set),
        "successor": str(task.successor) if task.successor else None,
        "digest_before": task.data_set.digest,
        "digest_after": task.successor.digest if task.successor else "",
        **{name: getattr(task, name) for name in plain},
    }


def _obligation(row: ModelObligation) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "model": row.version.model.name,
        "version": str(row.version.number),
        "data_set": str(row.data_set),
        "kind": row.kind,
        "state": row.state,
        "due_on": row.due_on,
    }


class Requests(View):
    """List the requests; file one. The same filed again is answered with the same request, and 200."""

    owner = Action.ERASURE_VIEW

    @extend_schema(responses=ErasureListSerializer, operation_id="erasure_requests_list")
    def get(self, request: Request) -> Response:
        found = [_row(row) for row in queries.in_order(self.actor)[:_MOST]]
        told = {"requests": len(found)}
        reads.seen(self.actor, Action.ERASURE_VIEW, INSTALLATION, told=told, once_per=reads.RELOAD)
        return Response({"erasure_requests": found})

    @extend_schema(request=FileSerializer, responses={201: ErasureSerializer, 200: ErasureSerializer})
    def post(self, request: Request) -> Response:
        filed = filing.file(by=self.actor, **body(FileSerializer, request))
        found = presented(queries.view(self.actor, filed.request))
        return Response(found, status=201 if filed.is_new else 200)


def _row(row: ErasureRequest) -> dict[str, Any]:
    return {"id": str(row.pk), **{name: getattr(row, name) for name in _ROW}, "days_left": queries.due(row).days}


class One(View):
    """One request."""

    owner = Action.ERASURE_VIEW

    @extend_schema(responses=ErasureSerializer)
    def get(self, request: Request, request_id: str) -> Response:
        found = queries.request(self.actor, request_id)
        reads.seen(self.actor, Action.ERASURE_VIEW, found, once_per=reads.RELOAD)
        return Response(presented(queries.view(self.actor, found)))


class Approve(View):
    """Approve exactly one plan; 409 ``stale_digest`` when it is another one by now."""

    owner = Action.ERASURE_APPROVE

    @extend_schema(request=ApproveSerializer, responses=ReceiptedErasure, parameters=[receipts.WAIT])
    def post(self, request: Request, request_id: str) -> Response:
        waits = receipts.wanted(request)
        found = queries.request(self.actor, request_id)
        said = body(ApproveSerializer, request)
        sent = said.get("plan_digest") or request.headers.get("If-Match", "").strip('"')
        if not sent:
            raise Invalid("Send the plan_digest you approve, in the body or in If-Match.", code="no_digest")
        deciding.approve(by=self.actor, request=found, plan_digest=sent, comment=said["comment"])
        answer = _fresh(self, request_id)
        return receipts.added(answer, self.actor) if waits else answer


class Refuse(View):
    """End a request without erasing."""

    owner = Action.ERASURE_REFUSE

    @extend_schema(request=ReasonSerializer, responses=ErasureSerializer)
    def post(self, request: Request, request_id: str) -> Response:
        found = queries.request(self.actor, request_id)
        deciding.refuse(by=self.actor, request=found, **body(ReasonSerializer, request))
        return _fresh(self, request_id)


class Cancel(View):
    """Take a request back before it is executed."""

    owner = Action.ERASURE_CANCEL

    @extend_schema(request=ReasonSerializer, responses=ErasureSerializer)
    def post(self, request: Request, request_id: str) -> Response:
        found = queries.request(self.actor, request_id)
        deciding.cancel(by=self.actor, request=found, **body(ReasonSerializer, request))
        return _fresh(self, request_id)


class Discover(View):
    """Have the data searched again; plan and approval are void."""

    owner = Action.ERASURE_DISCOVER

    @extend_schema(request=None, responses={202: ErasureSerializer})
    def post(self, request: Request, request_id: str) -> Response:
        discovery.again(by=self.actor, request=queries.request(self.actor, request_id))
        return _fresh(self, request_id, status=202)


class Execute(View):
    """Have an execution that stopped tried again. The caller cannot sign it off afterwards."""

    owner = Action.ERASURE_EXECUTE

    @extend_schema(request=None, responses={202: ReceiptedErasure}, parameters=[receipts.WAIT])
    def post(self, request: Request, request_id: str) -> Response:
        waits = receipts.wanted(request)
        execution.again(by=self.actor, request=queries.request(self.actor, request_id))
        answer = _fresh(self, request_id, status=202)
        return receipts.added(answer, self.actor) if waits else answer


class SignOff(View):
    """Complete an executed request and issue its certificate."""

    owner = Action.ERASURE_SIGN

    @extend_schema(request=SignSerializer, responses=ReceiptedErasure, parameters=[receipts.WAIT])
    def post(self, request: Request, request_id: str) -> Response:
        waits = receipts.wanted(request)
        found = queries.request(self.actor, request_id)
        closing.sign_off(by=self.actor, request=found, **body(SignSerializer, request))
        answer = _fresh(self, request_id)
        return receipts.added(answer, self.actor) if waits else answer


class Certificate(View):
    """The signed certificate, byte for byte; ``manage.py verify_certificate`` checks it offline."""

    owner = Action.ERASURE_VIEW

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.BINARY})
    def get(self, request: Request, request_id: str) -> HttpResponse:
        row = queries.certificate(self.actor, request_id)
        reads.seen(self.actor, Action.ERASURE_VIEW, row.request, told={"certificate": row.sha256})
        response = HttpResponse(bytes(row.content), content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="{queries.file_name(row)}"'
        return response


def _fresh(view: View, request_id: str, status: int = 200) -> Response:
    found = queries.request(view.actor, request_id)
    return Response(presented(queries.view(view.actor, found)), status=status)
