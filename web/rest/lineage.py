"""Lineage over REST, from a model version or a data set, and the feed of OpenLineage events."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.events import Action
from registry.queries import lineage, lineage_feed, visible
from web.rest.views import View

DIRECTION = OpenApiParameter(
    "direction", str, enum=[each.value for each in lineage.Direction], description="both when nothing is given"
)
DEPTH = OpenApiParameter(
    "depth", int, description=f"How many steps: 1 to {lineage.MOST_DEPTH}, {lineage.USUAL_DEPTH} when nothing is given."
)


class NodeSerializer(serializers.Serializer[Any]):
    """One thing. ``step`` counts from the start, negative to the origins. Of a hidden one only the type is told."""

    key = serializers.CharField()
    type = serializers.CharField()
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment] # a field named like an option of DRF
    step = serializers.IntegerField()
    hidden = serializers.BooleanField()
    facts = serializers.JSONField()


class EdgeSerializer(serializers.Serializer[Any]):
    """``source`` went into ``target``, as ``kind`` says."""

    source = serializers.CharField()  # type: ignore[assignment] # as above
    target = serializers.CharField()
    kind = serializers.CharField()


class LineageSerializer(serializers.Serializer[Any]):
    """A graph. ``message`` says what was left out and is empty when nothing was."""

    start = serializers.CharField()
    direction = serializers.CharField()
    depth = serializers.IntegerField()
    nodes = NodeSerializer(many=True)
    edges = EdgeSerializer(many=True)
    message = serializers.CharField(allow_blank=True)


def presented(graph: lineage.Graph) -> dict[str, Any]:
    """The answer for a graph."""
    return {
        "start": graph.start,
        "direction": graph.direction,
        "depth": graph.depth,
        "nodes": [{**vars(node), "facts": dict(node.facts)} for node in graph.nodes],
        "edges": [vars(edge) for edge in graph.edges],
        "message": graph.message,
    }


def _asked(request: Request) -> tuple[lineage.Direction, int]:
    return lineage.asked(request.query_params.get("direction", ""), request.query_params.get("depth", ""))


class VersionLineage(View):
    """What a version was made of, and what was made of it."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=LineageSerializer, parameters=[DIRECTION, DEPTH])
    def get(self, request: Request, name: str, number: str) -> Response:
        version = visible.version(self.actor, name, number)
        return Response(presented(lineage.of_version(self.actor, version, *_asked(request))))


class DataSetLineage(View):
    """Where a data set came from, and what was built on it."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=LineageSerializer, parameters=[DIRECTION, DEPTH])
    def get(self, request: Request, name: str, number: str) -> Response:
        row = visible.data_set(self.actor, name, number)
        return Response(presented(lineage.of_data_set(self.actor, row, *_asked(request))))


class FeedSerializer(serializers.Serializer[Any]):
    """OpenLineage events (specification 2-0-2) in order; ``next`` is never empty: come back with it as ``after``."""

    events = serializers.ListField(child=serializers.DictField())
    next = serializers.CharField()


class Feed(View):
    """Registrations and data set links as OpenLineage events, oldest first."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(
        responses=FeedSerializer,
        parameters=[OpenApiParameter("after", str, description="``next`` of the page before.")],
    )
    def get(self, request: Request) -> Response:
        page = lineage_feed.page(self.actor, request.query_params.get("after", ""))
        return Response({"events": page.events, "next": page.after})
