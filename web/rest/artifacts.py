"""A version's files over REST: the manifest, checks and alarms, the signature, the bill of materials."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from access import checked
from audit.errors import Conflict, Invalid
from audit.events import Action
from registry import bom, model_signing
from registry.actions import checks
from registry.models import ArtifactAlarm, ArtifactCheck, ModelVersion
from registry.queries import artifacts as queries
from registry.queries import visible
from web.rest.fields import TextField
from web.rest.models import JobRow, job_row
from web.rest.views import NamesItsMethods, View, body
from web.routes import OPEN

_MOST = 200


class ManifestFileSerializer(serializers.Serializer[Any]):
    """One file of a version."""

    path = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField()


class ManifestSerializer(serializers.Serializer[Any]):
    """The files of a version and the digest over them."""

    digest = serializers.CharField()
    files = ManifestFileSerializer(many=True)


class CheckSerializer(serializers.Serializer[Any]):
    """The newest check of a version's files. ``found`` has one entry for each place that was read."""

    outcome = serializers.CharField()
    found = serializers.JSONField()
    checked_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()


class AlarmSerializer(serializers.Serializer[Any]):
    """An alarm: files that are not what was pinned. It stands while ``cleared_at`` is null."""

    id = serializers.UUIDField()
    model = serializers.CharField()
    version = serializers.CharField()
    digest = serializers.CharField()
    found = serializers.JSONField()
    raised_at = serializers.DateTimeField()
    cleared_at = serializers.DateTimeField(allow_null=True)


class StandingSerializer(serializers.Serializer[Any]):
    """How the files of a version stand."""

    check = CheckSerializer(allow_null=True)
    alarm = AlarmSerializer(allow_null=True)


class AlarmListSerializer(serializers.Serializer[Any]):
    """Alarms, newest first."""

    alarms = AlarmSerializer(many=True)


class SignedSerializer(serializers.Serializer[Any]):
    """A bundle in the model-signing format, and the public key (PEM) to check it with; ours when it is left out."""

    bundle = serializers.DictField()
    public_key = TextField(max_length=4000, allow_blank=True, default="")


class VerdictSerializer(serializers.Serializer[Any]):
    """Whether a bundle is a valid signature of exactly these files, and why not."""

    valid = serializers.BooleanField()
    reason = serializers.CharField(allow_blank=True)


class _BomRenderer(JSONRenderer):
    media_type = bom.MEDIA_TYPE.partition(";")[0]


class _BundleRenderer(JSONRenderer):
    media_type = model_signing.BUNDLE_TYPE


def _check_row(row: ArtifactCheck | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {"outcome": row.outcome, "found": row.found, "checked_at": row.checked_at, "due_at": row.due_at}


def alarm_row(row: ArtifactAlarm) -> dict[str, Any]:
    """An alarm in an answer."""
    return {
        "id": str(row.pk),
        "model": row.version.model.name,
        "version": str(row.version.number),
        "digest": row.digest,
        "found": row.found,
        "raised_at": row.raised_at,
        "cleared_at": row.cleared_at,
    }


class Manifest(View):
    """The files of a version."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=ManifestSerializer)
    def get(self, request: Request, name: str, number: str) -> Response:
        version = visible.version(self.actor, name, number)
        if not version.artifact_digest or version.artifact_manifest is None:
            raise Conflict(f"The files of {version} have not been read and hashed yet.", code="not_pinned")
        return Response({"digest": version.artifact_digest, "files": version.artifact_manifest["files"]})


class Checks(View):
    """How a version's files stand; have them read again."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=StandingSerializer)
    def get(self, request: Request, name: str, number: str) -> Response:
        version = visible.version(self.actor, name, number)
        check, alarm = queries.standing(version)
        return Response({"check": _check_row(check), "alarm": alarm_row(alarm) if alarm else None})

    @extend_schema(request=None, responses={202: JobRow}, operation_id="checks_create")
    def post(self, request: Request, name: str, number: str) -> Response:
        version = visible.version(self.actor, name, number)
        if request.data != {}:
            raise Invalid("What is to be checked stands in the address; send no body.", code="unknown_field")
        return Response(job_row(checks.ask(by=self.actor, version=version)), status=202)


class Alarms(View):
    """Alarms on files of versions that the caller may have checked: the standing ones, or all with ``?all=true``."""

    owner = Action.ARTIFACT_CHECK

    @extend_schema(responses=AlarmListSerializer)
    def get(self, request: Request) -> Response:
        rows = queries.alarms(self.actor, standing=request.query_params.get("all") != "true")
        return Response({"alarms": [alarm_row(row) for row in rows[:_MOST]]})


class Signature(View):
    """The signature of a version's files, as ``model_signing verify key`` takes it; or the verdict on another's."""

    owner = Action.REGISTRY_VIEW
    renderer_classes = (JSONRenderer, _BundleRenderer)

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, name: str, number: str) -> Response:
        found = model_signing.bundle(visible.version(self.actor, name, number))
        return _file(found, model_signing.FILENAME)

    @extend_schema(request=SignedSerializer, responses=VerdictSerializer, operation_id="signature_verify")
    def post(self, request: Request, name: str, number: str) -> Response:
        version: ModelVersion = visible.version(self.actor, name, number)
        values = body(SignedSerializer, request)
        if version.artifact_manifest is None:
            raise Conflict(f"The files of {version} have not been read and hashed yet.", code="not_pinned")
        key = values["public_key"] or model_signing.public_pem().decode()
        reason = model_signing.why_not_valid(values["bundle"], version.artifact_manifest, key)
        return Response({"valid": reason is None, "reason": reason or ""})


class Bom(View):
    """The bill of materials of a version, CycloneDX 1.6."""

    owner = Action.REGISTRY_VIEW
    renderer_classes = (JSONRenderer, _BomRenderer)

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, name: str, number: str) -> Response:
        version = visible.version(self.actor, name, number)
        return _file(bom.of(version), f"version-{version.number}.cdx.json")


def _file(content: dict[str, Any], filename: str) -> Response:
    return Response(content, headers={"Content-Disposition": f'attachment; filename="{filename}"'})


class SigningKey(NamesItsMethods):
    """The public half of the key that signs models, for anyone: PEM, as the model-signing tool wants it in a file."""

    owner = OPEN

    @extend_schema(responses={(200, "application/x-pem-file"): OpenApiTypes.STR}, auth=[])
    def get(self, request: Request) -> HttpResponse:
        checked.note()
        return HttpResponse(model_signing.public_pem(), content_type="application/x-pem-file")
