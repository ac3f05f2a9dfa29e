"""Promotion requests over REST: file, read, decide, apply, withdraw, resubmit."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access import queries as people
from access import reads
from audit.clock import rfc3339
from audit.errors import Invalid
from audit.events import Action
from registry.actions import promotion
from registry.models import Decision, Grant, PromotionRequest
from registry.queries import as_of, visible
from registry.queries import promotion as promotion_queries
from registry.states import DecisionKind
from web.rest import receipts
from web.rest.as_of import AS_OF, wanted
from web.rest.fields import DecisionSerializer, GateSerializer, TextField
from web.rest.views import View, body


class OpenSerializer(serializers.Serializer[Any]):
    """What filing a promotion takes."""

    target_stage = serializers.CharField(default="Production", max_length=40)
    justification = TextField(allow_blank=True)


class DecideSerializer(serializers.Serializer[Any]):
    """A decision, on exactly the content behind ``subject_digest``."""

    decision = serializers.ChoiceField(choices=[kind.value for kind in DecisionKind])
    comment = TextField(allow_blank=True, default="")
    subject_digest = serializers.RegexField(r"^[0-9a-f]{64}$")


class ApplySerializer(serializers.Serializer[Any]):
    """Which content is applied; the ``If-Match`` header may carry it instead."""

    subject_digest = serializers.RegexField(r"^[0-9a-f]{64}$", required=False)


class CommentSerializer(serializers.Serializer[Any]):
    """A comment on a withdrawal or a resubmission."""

    comment = TextField(allow_blank=True, default="")


class GrantSerializer(serializers.Serializer[Any]):
    """A grant and its signed envelope."""

    id = serializers.UUIDField()
    stage = serializers.CharField()
    state = serializers.CharField()
    issued_at = serializers.DateTimeField()
    valid_until = serializers.DateTimeField()
    envelope = serializers.JSONField()


class PromotionSerializer(serializers.Serializer[Any]):
    """A request with all a reviewer needs."""

    id = serializers.UUIDField()
    model = serializers.CharField()
    version = serializers.CharField()
    target_stage = serializers.CharField()
    alias = serializers.CharField()
    state = serializers.CharField()
    justification = serializers.CharField()
    requested_by = serializers.CharField()
    opened_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    subject_digest = serializers.CharField()
    sections = serializers.DictField(child=serializers.CharField())
    changed = serializers.ListField(child=serializers.CharField())
    quorum = serializers.DictField(child=serializers.IntegerField())
    gates = GateSerializer(many=True)
    decisions = DecisionSerializer(many=True)
    available_actions = serializers.ListField(child=serializers.CharField())
    why_not = serializers.DictField(child=serializers.CharField())
    grant = GrantSerializer(allow_null=True)


class PromotionThenSerializer(serializers.Serializer[Any]):
    """A request as it stood at an instant, with the decisions made by then."""

    id = serializers.UUIDField()
    model = serializers.CharField()
    version = serializers.CharField()
    target_stage = serializers.CharField()
    alias = serializers.CharField()
    state = serializers.CharField()
    justification = serializers.CharField()
    requested_by = serializers.CharField(allow_blank=True)
    opened_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    decisions = DecisionSerializer(many=True)
    grant = GrantSerializer(allow_null=True)
    as_of = serializers.DateTimeField()


NOW_OR_THEN = PolymorphicProxySerializer(
    component_name="PromotionNowOrThen",
    serializers=[PromotionSerializer, PromotionThenSerializer],
    resource_type_field_name=None,
)


class ReceiptedPromotion(receipts.ReceiptedSerializer, PromotionSerializer):
    """A request after an act, with the receipt of that act for who waited for it."""


class InboxRow(serializers.Serializer[Any]):
    """A live request in a list; ``why_not`` says why it is not the caller's to decide."""

    id = serializers.UUIDField()
    model = serializers.CharField()
    version = serializers.CharField()
    target_stage = serializers.CharField()
    state = serializers.CharField()
    opened_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    why_not = serializers.CharField(allow_null=True)


class InboxSerializer(serializers.Serializer[Any]):
    """The live requests, oldest first."""

    promotion_requests = InboxRow(many=True)
    as_of = serializers.DateTimeField(required=False)


def then(found: as_of.RequestThen, at: datetime) -> dict[str, Any]:
    """The answer for one request as it stood at an instant. A decision counted if it was its author's last by then."""
    row = found.row
    names = people.display_names({row.requested_by, *(each.by for each in found.decisions)})
    last = {each.by: each.pk for each in found.decisions if each.kind != DecisionKind.COMMENT}
    return {
        **{name: getattr(row, name) for name in ("target_stage", "alias", "justification", "opened_at", "expires_at")},
        "id": str(row.pk),
        "model": row.model.name,
        "version": str(row.version.number),
        "state": found.state,
        "requested_by": names.get(row.requested_by, ""),
        "decisions": [_decision(each, names, counts=last.get(each.by) == each.pk) for each in found.decisions],
        "grant": grant_of(found.grant) if found.grant else None,
        "as_of": at,
    }


def _decision(row: Decision, names: Mapping[str, str], *, counts: bool) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "by": names.get(row.by, ""),
        "comment": row.comment,
        "subject_digest": row.subject_digest,
        "created_at": row.created_at,
        "counts": counts,
    }


def presented(view: promotion_queries.View) -> dict[str, Any]:
    """The answer for one request."""
    request = view.request
    names = people.display_names({request.requested_by, *(row.by for row in view.decisions)})
    return {
        "id": str(request.pk),
        "model": request.model.name,
        "version": str(request.version.number),
        "target_stage": request.target_stage,
        "alias": request.alias,
        "state": request.state,
        "justification": request.justification,
        "requested_by": names.get(request.requested_by, ""),
        "opened_at": request.opened_at,
        "expires_at": request.expires_at,
        "subject_digest": view.now.subject_digest,
        "sections": view.now.sections,
        "changed": list(view.moved),
        "quorum": {"need": view.need, "have": view.have},
        "gates": [vars(gate) for gate in view.gates],
        "decisions": [_decision(row, names, counts=str(row.pk) in view.counted) for row in view.decisions],
        "available_actions": view.available_actions,
        "why_not": {name: sentence for name, sentence in view.why_not.items() if sentence},
        "grant": grant_of(view.grant) if view.grant else None,
    }


def grant_of(grant: Grant) -> dict[str, Any]:
    """The answer for a grant."""
    return {
        "id": str(grant.pk),
        "stage": grant.stage,
        "state": grant.state,
        "issued_at": grant.issued_at,
        "valid_until": grant.valid_until,
        "envelope": grant.envelope,
    }


class Requests(View):
    """File a promotion of one version."""

    owner = Action.PROMOTION_REQUEST

    @extend_schema(request=OpenSerializer, responses={201: PromotionSerializer})
    def post(self, request: Request, name: str, number: str) -> Response:
        version = visible.version(self.actor, name, number)
        values = body(OpenSerializer, request)
        made = promotion.open_request(by=self.actor, version=version, **values)
        return Response(presented(promotion_queries.view(self.actor, made)), status=201)


def _row(row: PromotionRequest, state: str, sentence: str | None) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "model": row.model.name,
        "version": str(row.version.number),
        "target_stage": row.target_stage,
        "state": state,
        "opened_at": row.opened_at,
        "expires_at": row.expires_at,
        "why_not": sentence,
    }


class Inbox(View):
    """The live requests the caller can see."""

    owner = Action.PROMOTION_VIEW

    @extend_schema(responses=InboxSerializer, operation_id="promotion_requests_list", parameters=[AS_OF])
    def get(self, request: Request) -> Response:
        at = wanted(request)
        if at is not None:
            then_live = [_row(each.row, each.state, None) for each in as_of.requests(self.actor, at)]
            return Response({"promotion_requests": then_live, "as_of": at})
        rows = [_row(row, row.state, sentence) for row, sentence in promotion_queries.waiting_for(self.actor)]
        return Response({"promotion_requests": rows})


class One(View):
    """One promotion request."""

    owner = Action.PROMOTION_VIEW

    @extend_schema(responses=NOW_OR_THEN, parameters=[AS_OF])
    def get(self, request: Request, request_id: str) -> Response:
        at = wanted(request)
        if at is not None:
            found = as_of.request(self.actor, request_id, at)
            seen = {"as_of": rfc3339(at)}
            reads.seen(self.actor, Action.PROMOTION_VIEW, found.row, told=seen, once_per=reads.RELOAD)
            return Response(then(found, at))
        view = promotion_queries.view(self.actor, visible.promotion_request(self.actor, request_id))
        told = {"evidence": view.evidence_ids}
        reads.seen(self.actor, Action.PROMOTION_VIEW, view.request, told=told, once_per=reads.RELOAD)
        return Response(presented(view))


class Decide(View):
    """Decide on a request. 409 ``stale_digest`` when the content moved since the caller read it."""

    owner = Action.PROMOTION_DECIDE

    @extend_schema(request=DecideSerializer, responses={201: ReceiptedPromotion}, parameters=[receipts.WAIT])
    def post(self, request: Request, request_id: str) -> Response:
        waits = receipts.wanted(request)
        found = visible.promotion_request(self.actor, request_id)
        values = body(DecideSerializer, request)
        promotion.decide(
            by=self.actor,
            request=found,
            kind=DecisionKind(values["decision"]),
            subject_digest=values["subject_digest"],
            comment=values["comment"],
        )
        answer = _fresh(self, request_id, status=201)
        return receipts.added(answer, self.actor) if waits else answer


class Apply(View):
    """Carry out an approved request; the digest comes in the body or in ``If-Match``."""

    owner = Action.PROMOTION_APPLY

    @extend_schema(request=ApplySerializer, responses=ReceiptedPromotion, parameters=[receipts.WAIT])
    def post(self, request: Request, request_id: str) -> Response:
        waits = receipts.wanted(request)
        found = visible.promotion_request(self.actor, request_id)
        sent = body(ApplySerializer, request).get("subject_digest") or request.headers.get("If-Match", "").strip('"')
        if not sent:
            raise Invalid("Send the subject_digest you mean to apply, in the body or in If-Match.", code="no_digest")
        promotion.apply(by=self.actor, request=found, subject_digest=sent)
        answer = _fresh(self, request_id)
        return receipts.added(answer, self.actor) if waits else answer


class Withdraw(View):
    """Take one's own request back."""

    owner = Action.PROMOTION_WITHDRAW

    @extend_schema(request=CommentSerializer, responses=PromotionSerializer)
    def post(self, request: Request, request_id: str) -> Response:
        found = visible.promotion_request(self.actor, request_id)
        promotion.withdraw(by=self.actor, request=found, **body(CommentSerializer, request))
        return _fresh(self, request_id)


class Resubmit(View):
    """Put a request with requested changes before the reviewers again."""

    owner = Action.PROMOTION_REQUEST

    @extend_schema(request=CommentSerializer, responses=PromotionSerializer)
    def post(self, request: Request, request_id: str) -> Response:
        found = visible.promotion_request(self.actor, request_id)
        promotion.resubmit(by=self.actor, request=found, **body(CommentSerializer, request))
        return _fresh(self, request_id)


def _fresh(view: View, request_id: str, status: int = 200) -> Response:
    found = visible.promotion_request(view.actor, request_id)
    return Response(presented(promotion_queries.view(view.actor, found)), status=status)
