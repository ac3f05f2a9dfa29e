"""Proofs over REST: the ``.tlog-proof`` of one entry, and the consistency of two sizes of a log."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy
from access import receipts as rights
from audit import published, receipts
from audit.errors import Conflict, Invalid
from audit.events import Action
from audit.subjects import TRAIL
from registry.queries.visible import uuid_of
from web.errors import body_of
from web.rest.views import View


class AsItIs(BaseContentNegotiation):
    """The answer has one form, whatever the caller would like best."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type or ""


class ConsistencySerializer(serializers.Serializer[Any]):
    """The hashes that lead from one size of a log to another (RFC 9162, 2.1.4)."""

    log = serializers.CharField()
    to = serializers.IntegerField()
    hashes = serializers.ListField(child=serializers.CharField())

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "from": serializers.IntegerField()}  # a name Python does not lend


class EntryProof(View):
    """The ``.tlog-proof`` of one entry, for readers of the trail and for who made the entry."""

    owner = Action.TRAIL_VIEW
    content_negotiation_class = AsItIs

    @extend_schema(responses={(200, "text/plain"): OpenApiTypes.STR}, operation_id="trail_proof")
    def get(self, request: Request, entry_id: str) -> HttpResponse | Response:
        wanted = uuid_of(entry_id)
        rights.require(self.actor, wanted)
        try:
            proof = receipts.proof_of(wanted)
        except Conflict as error:
            return Response(body_of(error, request._request), status=409, headers={"Retry-After": "1"})
        response = HttpResponse(proof.text, content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{proof.log}-{proof.index}.tlog-proof"'
        response["Cache-Control"] = "private, no-cache"
        return response


class Consistency(View):
    """That the log of one size is the beginning of the log of another."""

    owner = Action.TRAIL_VIEW

    @extend_schema(
        parameters=[OpenApiParameter(name, OpenApiTypes.INT64, required=True) for name in ("from", "to")],
        responses=ConsistencySerializer,
        operation_id="trail_consistency",
    )
    def get(self, request: Request, name: str) -> Response:
        policy.require_read(self.actor, Action.TRAIL_VIEW, TRAIL)
        published.known(name)
        sizes = [published.number(_only(request, which), f"The size {which!r}") for which in ("from", "to")]
        hashes = published.consistency(name, *sizes)
        return Response({"log": name, "from": sizes[0], "to": sizes[1], "hashes": [each.hex() for each in hashes]})


def _only(request: Request, name: str) -> str:
    values = request.query_params.getlist(name)
    if len(values) != 1:
        raise Invalid(f"Say which sizes to compare: {name} belongs into the address once.", code="missing_parameter")
    return str(values[0])
