"""Registered models, versions and evidence over REST, for reading and for asking for a report."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Max
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access import queries as people
from access import reads
from audit.events import Action
from registry.models import Evidence, Job, ModelVersion, VersionDataSet
from registry.queries import as_of, visible
from web.rest.as_of import AS_OF, wanted
from web.rest.views import View

_MOST = 200


class ModelSerializer(serializers.Serializer[Any]):
    """A registered model."""

    name = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    created_by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField(allow_null=True, help_text="Null when it was touched after ``as_of``.")
    newest_version = serializers.IntegerField(allow_null=True)


class ModelListSerializer(serializers.Serializer[Any]):
    """Registered models, the last changed first."""

    models = ModelSerializer(many=True)


class EvidenceRow(serializers.Serializer[Any]):
    """One piece of evidence without its content."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    status = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    result_digest = serializers.CharField()
    created_at = serializers.DateTimeField()


class JobRow(serializers.Serializer[Any]):
    """A job and where it stands."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    state = serializers.CharField()
    attempts = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)


class VersionSerializer(serializers.Serializer[Any]):
    """A model version with its lineage and evidence."""

    model = serializers.CharField()
    version = serializers.CharField()
    stage = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())
    description = serializers.CharField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment] # a field named like one of DRF's own options
    run_id = serializers.CharField(allow_blank=True)
    created_by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    artifact_digest = serializers.CharField(allow_blank=True)
    data_sets = serializers.JSONField()
    evidence = EvidenceRow(many=True)
    jobs = JobRow(many=True)
    # With ``as_of`` only: the instant, what is not kept over time and was changed since, and whether it was deleted.
    as_of = serializers.DateTimeField(required=False)
    unknown = serializers.ListField(child=serializers.CharField(), required=False)
    deleted_at = serializers.DateTimeField(required=False, allow_null=True)


class VersionListSerializer(serializers.Serializer[Any]):
    """The versions of a model, newest first."""

    versions = VersionSerializer(many=True)


class EvidenceSerializer(EvidenceRow):
    """One piece of evidence with its inputs, versions, seed and result."""

    model = serializers.CharField()
    version = serializers.CharField()
    inputs = serializers.JSONField()
    versions = serializers.JSONField()
    seed = serializers.IntegerField(allow_null=True)
    result = serializers.JSONField()


def evidence_row(row: Evidence) -> dict[str, Any]:
    """Evidence in a list."""
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "status": row.status,
        "reason": row.reason,
        "result_digest": row.result_digest,
        "created_at": row.created_at,
    }


def job_row(row: Job) -> dict[str, Any]:
    """A job in a list."""
    return {"id": str(row.pk), "kind": row.kind, "state": row.state, "attempts": row.attempts, "error": row.error}


def versions_presented(rows: Iterable[ModelVersion]) -> list[dict[str, Any]]:
    """The answer for some versions fetched with ``_related``; names in one query."""
    rows = list(rows)
    names = people.display_names({row.created_by for row in rows if row.created_by})
    return [
        {
            "model": row.model.name,
            "version": str(row.number),
            "stage": row.stage,
            "aliases": sorted(alias.name for alias in row.aliases.all()),
            "description": row.description,
            "source": row.source,
            "run_id": row.run_id,
            "created_by": names.get(row.created_by, ""),
            "created_at": row.created_at,
            "artifact_digest": row.artifact_digest,
            "data_sets": [_link(link) for link in row.data_links.all()],
            "evidence": [evidence_row(each) for each in sorted(row.evidence.all(), key=lambda e: e.created_at)],
            "jobs": [job_row(each) for each in row.jobs.all()],
        }
        for row in rows
    ]


def _link(link: VersionDataSet) -> dict[str, Any]:
    return {
        "role": link.role,
        "name": link.data_set.name,
        "version": link.data_set.number,
        "digest": link.data_set.digest,
        "state": link.data_set.state,
    }


def then_presented(found: Sequence[as_of.VersionThen], at: datetime) -> list[dict[str, Any]]:
    """The answer for some versions as they were at an instant; names in one query. Jobs are not kept over time."""
    names = people.display_names({each.row.created_by for each in found if each.row.created_by})
    return [
        {
            "model": each.row.model.name,
            "version": str(each.row.number),
            "stage": each.stage,
            "aliases": each.aliases,
            "description": None if "description" in each.unknown else each.row.description,
            "source": each.row.source,
            "run_id": each.row.run_id,
            "created_by": names.get(each.row.created_by, ""),
            "created_at": each.row.created_at,
            "artifact_digest": as_of.digest(each.row, at),
            "data_sets": [_link(link) for link in each.data],
            "evidence": [evidence_row(row) for row in each.evidence],
            "jobs": [],
            "as_of": at,
            "unknown": list(each.unknown),
            "deleted_at": each.row.deleted_at,
        }
        for each in found
    ]


_RELATED = ("aliases", "data_links__data_set", "evidence", "jobs")


_NEWEST = Max("versions__number")


class Models(View):
    """The registered models the caller may see."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=ModelListSerializer, parameters=[AS_OF])
    def get(self, request: Request) -> Response:
        at = wanted(request)
        found = as_of.models(self.actor, at) if at else visible.models(self.actor).annotate(newest=_NEWEST)
        rows: list[Any] = list(found.order_by("-updated_at", "name")[:_MOST])  # each with what it was annotated with
        since = {row.pk: at is not None and row.updated_at > at for row in rows}
        names = people.display_names({row.created_by for row in rows if row.created_by})
        told = [
            {
                "name": row.name,
                "description": None if since[row.pk] else row.description,
                "created_by": names.get(row.created_by, ""),
                "created_at": row.created_at,
                "updated_at": None if since[row.pk] else row.updated_at,
                "newest_version": row.newest,
            }
            for row in rows
        ]
        return Response({"models": told})


class Versions(View):
    """The versions of one model."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=VersionListSerializer, operation_id="versions_list", parameters=[AS_OF])
    def get(self, request: Request, name: str) -> Response:
        at = wanted(request)
        if at is not None:
            there = as_of.present(as_of.model(self.actor, name, at), at).order_by("-number")[:_MOST]
            return Response({"versions": then_presented(as_of.versions(there, at), at)})
        model = visible.model(self.actor, name)
        rows = visible.versions(self.actor).filter(model=model).prefetch_related(*_RELATED).order_by("-number")
        return Response({"versions": versions_presented(rows[:_MOST])})


class Version(View):
    """One version."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=VersionSerializer, parameters=[AS_OF])
    def get(self, request: Request, name: str, number: str) -> Response:
        at = wanted(request)
        if at is not None:
            return Response(then_presented([as_of.version(self.actor, name, number, at)], at)[0])
        found = visible.version(self.actor, name, number)
        rows = visible.versions(self.actor).filter(pk=found.pk).prefetch_related(*_RELATED)
        return Response(versions_presented(rows)[0])


class OneEvidence(View):
    """One piece of evidence, whole."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=EvidenceSerializer, parameters=[AS_OF])
    def get(self, request: Request, evidence_id: str) -> Response:
        at = wanted(request)
        row = as_of.evidence(self.actor, evidence_id, at) if at else visible.evidence(self.actor, evidence_id)
        reads.seen(self.actor, Action.EVIDENCE_VIEW, row, told={"result": row.result_digest}, once_per=reads.RELOAD)
        return Response(
            {
                **evidence_row(row),
                "model": row.version.model.name,
                "version": str(row.version.number),
                "inputs": row.inputs,
                "versions": row.versions,
                "seed": row.seed,
                "result": row.result,
            }
        )
