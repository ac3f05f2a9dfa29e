"""The history of stages and aliases over REST, and what served at an instant."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access import queries as people
from access import reads
from audit.clock import now, rfc3339
from audit.errors import Invalid
from audit.events import Action
from registry.models import Tenure
from registry.queries import as_of, history, visible
from registry.states import TenureKind
from web.rest.as_of import AS_OF, wanted
from web.rest.models import VersionSerializer, then_presented
from web.rest.promotions import PromotionThenSerializer, then
from web.rest.views import View


class TenureSerializer(serializers.Serializer[Any]):
    """A version held a stage or an alias from ``since`` until just before ``until``. ``grant`` and ``request`` are
    there when a promotion brought it about; ``entry`` names the entry of the trail.
    """

    kind = serializers.ChoiceField(choices=[kind.value for kind in TenureKind])
    name = serializers.CharField()
    version = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True)
    by = serializers.CharField(allow_blank=True)
    action = serializers.CharField(allow_blank=True)
    grant = serializers.UUIDField(allow_null=True)
    request = serializers.UUIDField(allow_null=True)
    entry = serializers.UUIDField(allow_null=True)
    ended_by = serializers.CharField(allow_blank=True)
    ended_action = serializers.CharField(allow_blank=True)
    ended_grant = serializers.UUIDField(allow_null=True)
    ended_request = serializers.UUIDField(allow_null=True)
    ended_entry = serializers.UUIDField(allow_null=True)


class HistorySerializer(serializers.Serializer[Any]):
    """A part of the history, newest first; ``next`` is the ``after`` of the following part."""

    model = serializers.CharField()
    history = TenureSerializer(many=True)
    next = serializers.CharField(allow_blank=True)


class ServedSerializer(serializers.Serializer[Any]):
    """One version that served, since when, and the promotion that brought it there."""

    tenure = TenureSerializer()
    version = VersionSerializer()
    promotion = PromotionThenSerializer(allow_null=True)


class ServedListSerializer(serializers.Serializer[Any]):
    """What held a stage or an alias of a model at an instant: at most one for an alias and a protected stage."""

    model = serializers.CharField()
    kind = serializers.CharField()
    name = serializers.CharField()
    as_of = serializers.DateTimeField()
    served = ServedSerializer(many=True)


def presented(lines: Iterable[history.Line]) -> list[dict[str, Any]]:
    """The answer for some lines of history; names in one query."""
    rows = list(lines)
    names = people.display_names({by for row in rows for by in (row.tenure.by, row.tenure.ended_by) if by})
    return [
        {
            "kind": row.tenure.kind,
            "name": row.tenure.name,
            "version": str(row.version),
            "since": row.tenure.period.lower,
            "until": row.tenure.period.upper,
            **_act(row.tenure, row.entry, names),
            **_end(row.tenure, row.ended_entry, names),
        }
        for row in rows
    ]


def _act(row: Tenure, entry: object, names: dict[str, str]) -> dict[str, Any]:
    return {
        "by": names.get(row.by, ""),
        "action": row.action,
        "grant": row.grant_id,
        "request": row.grant.request_id if row.grant else None,
        "entry": entry,
    }


def _end(row: Tenure, entry: object, names: dict[str, str]) -> dict[str, Any]:
    return {
        "ended_by": names.get(row.ended_by, ""),
        "ended_action": row.ended_action,
        "ended_grant": row.ended_grant_id,
        "ended_request": row.ended_grant.request_id if row.ended_grant else None,
        "ended_entry": entry,
    }


_AFTER = OpenApiParameter("after", str, description="``next`` of the part before.")


class ModelHistory(View):
    """Which version of a model held which stage and alias, and when."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(
        responses=HistorySerializer,
        parameters=[
            _AFTER,
            OpenApiParameter("kind", str, enum=[kind.value for kind in TenureKind]),
            OpenApiParameter("name", str, description="One stage or alias."),
        ],
    )
    def get(self, request: Request, name: str) -> Response:
        model = visible.model(self.actor, name)
        kind, held, after = (request.query_params.get(key, "") for key in ("kind", "name", "after"))
        part = history.of_model(model, kind=kind, name=held, after=after)
        return Response({"model": model.name, "history": presented(part.lines), "next": part.after})


class VersionHistory(View):
    """Which stages and aliases one version held, and when."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=HistorySerializer, parameters=[_AFTER])
    def get(self, request: Request, name: str, number: str) -> Response:
        version = visible.version(self.actor, name, number)
        part = history.of_version(version, after=request.query_params.get("after", ""))
        return Response({"model": version.model.name, "history": presented(part.lines), "next": part.after})


class Served(View):
    """What served at an instant (now, without ``as_of``): on what evidence, decided by whom."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(
        responses=ServedListSerializer,
        parameters=[
            AS_OF,
            OpenApiParameter("stage", str, description="The stage in question; Production when nothing is given."),
            OpenApiParameter("alias", str, description="The alias in question, instead of a stage."),
        ],
    )
    def get(self, request: Request, name: str) -> Response:
        at = wanted(request) or now()
        kind, held = asked_for(request.query_params.get("stage", ""), request.query_params.get("alias", ""))
        model = as_of.model(self.actor, name, at)
        found = as_of.served(self.actor, name, kind, held, at)
        for each in found:
            if each.request is not None:  # with it goes what people wrote of it
                told = {"as_of": rfc3339(at)}
                reads.seen(self.actor, Action.PROMOTION_VIEW, each.request.row, told=told, once_per=reads.RELOAD)
        answer = {"model": model.name, "kind": kind.value, "name": held, "as_of": at, "served": _served(found, at)}
        return Response(answer)


def asked_for(stage: str, alias: str) -> tuple[TenureKind, str]:
    """Which stage or alias is meant. Raises Invalid for both and for a stage there is none of."""
    if stage and alias:
        raise Invalid("Ask for a stage or for an alias, not for both.", code="bad_question")
    if alias:
        return TenureKind.ALIAS, alias.replace("\x00", "\ufffd")
    return TenureKind.STAGE, as_of.stage_of(stage or "Production")


def _served(found: Sequence[as_of.Served], at: datetime) -> list[dict[str, Any]]:
    told = presented(history.lines([each.tenure for each in found]))
    versions = then_presented([each.version for each in found], at)
    return [
        {"tenure": line, "version": version, "promotion": then(each.request, at) if each.request else None}
        for each, line, version in zip(found, told, versions, strict=True)
    ]
