"""Registered models, versions and evidence over REST, for reading and for asking for a report."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Max
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access import queries as people
from access import reads
from audit.events import Action
from registry.models import Evidence, Job, ModelVersion
from registry.queries import visible
from web.rest.views import View

_MOST = 200


class ModelSerializer(serializers.Serializer[Any]):
    """A registered model."""

    name = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    created_by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
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
            "data_sets": [
                {
                    "role": link.role,
                    "name": link.data_set.name,
                    "version": link.data_set.number,
                    "digest": link.data_set.digest,
                    "state": link.data_set.state,
                }
                for link in row.data_links.all()
            ],
            "evidence": [evidence_row(each) for each in sorted(row.evidence.all(), key=lambda e: e.created_at)],
            "jobs": [job_row(each) for each in row.jobs.all()],
        }
        for row in rows
    ]


_RELATED = ("aliases", "data_links__data_set", "evidence", "jobs")


class Models(View):
    """The registered models the caller may see."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=ModelListSerializer)
    def get(self, request: Request) -> Response:
        rows = list(
            visible.models(self.actor).annotate(newest=Max("versions__number")).order_by("-updated_at", "name")[:_MOST]
        )
        names = people.display_names({row.created_by for row in rows if row.created_by})
        found = [
            {
                "name": row.name,
                "description": row.description,
                "created_by": names.get(row.created_by, ""),
                "created_at": row.created_at,
                "updated_at": row.updated_at,
                "newest_version": row.newest,
            }
            for row in rows
        ]
        return Response({"models": found})


class Versions(View):
    """The versions of one model."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=VersionListSerializer, operation_id="versions_list")
    def get(self, request: Request, name: str) -> Response:
        model = visible.model(self.actor, name)
        rows = visible.versions(self.actor).filter(model=model).prefetch_related(*_RELATED).order_by("-number")
        return Response({"versions": versions_presented(rows[:_MOST])})


class Version(View):
    """One version."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=VersionSerializer)
    def get(self, request: Request, name: str, number: str) -> Response:
        found = visible.version(self.actor, name, number)
        rows = visible.versions(self.actor).filter(pk=found.pk).prefetch_related(*_RELATED)
        return Response(versions_presented(rows)[0])


class OneEvidence(View):
    """One piece of evidence, whole."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=EvidenceSerializer)
    def get(self, request: Request, evidence_id: str) -> Response:
        row = visible.evidence(self.actor, evidence_id)
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
