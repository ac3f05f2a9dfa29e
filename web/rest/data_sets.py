"""Data sets over REST: register a file and what its columns mean, read, link to a model version, ask for a report."""

from typing import Any, BinaryIO, cast

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy
from access import queries as people
from audit.errors import Invalid
from audit.events import Action
from audit.subjects import INSTALLATION
from registry.actions import data_sets, evidence
from registry.models import DataSet
from registry.queries import visible
from registry.states import DataRole, EvidenceKind
from web.rest.fields import TextField
from web.rest.models import JobRow, job_row
from web.rest.parsing import read
from web.rest.views import View, body

_MOST = 200


class AboutSerializer(serializers.Serializer[Any]):
    """What is said of a data set: the JSON in the form field ``about``."""

    name = TextField(max_length=256)
    role = serializers.ChoiceField(choices=[role.value for role in DataRole])
    label = TextField(allow_blank=True, default="")  # type: ignore[assignment] # a field named like an option of DRF
    favourable = serializers.JSONField(default=None)
    protected = serializers.ListField(child=serializers.DictField(), default=list, max_length=20)
    identifiers = serializers.DictField(child=serializers.CharField(max_length=40), default=dict)
    excluded = serializers.ListField(child=TextField(), default=list, max_length=5000)
    mlflow_digest = TextField(allow_blank=True, default="")


class DataSetSerializer(serializers.Serializer[Any]):
    """A pinned data set."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.IntegerField()
    role = serializers.CharField()
    digest = serializers.CharField()
    rows = serializers.IntegerField()
    columns = serializers.JSONField()
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment] # a field named like an option of DRF
    favourable = serializers.JSONField(allow_null=True)
    protected = serializers.JSONField()
    identifiers = serializers.JSONField()
    excluded = serializers.JSONField()
    manifest = serializers.JSONField()
    state = serializers.CharField()
    created_by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class DataSetListSerializer(serializers.Serializer[Any]):
    """Data sets, newest first."""

    data_sets = DataSetSerializer(many=True)


class LinkSerializer(serializers.Serializer[Any]):
    """Which data set, and what it was to the version."""

    name = TextField(max_length=256)
    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    role = serializers.ChoiceField(choices=[role.value for role in DataRole])


class ReportSerializer(serializers.Serializer[Any]):
    """Which report to make."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in EvidenceKind])


def presented(rows: list[DataSet]) -> list[dict[str, Any]]:
    """The answer for some data sets; names in one query."""
    names = people.display_names({row.created_by for row in rows if row.created_by})
    plain = ("name", "role", "digest", "rows", "columns", "label", "favourable", "protected", "identifiers", "excluded",
             "manifest", "state", "created_at")  # fmt: skip
    return [
        {
            "id": str(row.pk),
            "version": row.number,
            "created_by": names.get(row.created_by, ""),
            **{name: getattr(row, name) for name in plain},
        }
        for row in rows
    ]


class DataSets(View):
    """List data sets; register one from an uploaded Parquet or CSV file."""

    owner = Action.REGISTRY_VIEW
    parser_classes = (MultiPartParser,)  # type: ignore[assignment] # a file, not JSON

    @extend_schema(responses=DataSetListSerializer, operation_id="data_sets_list")
    def get(self, request: Request) -> Response:
        rows = list(visible.data_sets(self.actor).order_by("-created_at")[:_MOST])
        return Response({"data_sets": presented(rows)})

    @extend_schema(
        request={
            "multipart/form-data": inline_serializer(
                "DataSetUpload", {"file": serializers.FileField(), "about": serializers.JSONField()}
            )
        },
        responses={201: DataSetSerializer},
    )
    def post(self, request: Request) -> Response:
        # Asked before the body is read, so that a stranger cannot make us receive a file.
        if not policy.patterns_for(self.actor, Action.DATA_SET_CREATE):
            policy.require_read(self.actor, Action.DATA_SET_CREATE, INSTALLATION)
        upload = request.FILES.get("file")
        if not isinstance(upload, UploadedFile) or upload.file is None:
            raise Invalid("Send the data as the file field “file” of a multipart form.", code="no_file")
        checked = AboutSerializer(data=_about(request))
        checked.is_valid(raise_exception=True)
        row = data_sets.register(
            by=self.actor,
            content=cast("BinaryIO", upload.file),
            filename=upload.name or "data",
            **checked.validated_data,
        )
        return Response(presented([row])[0], status=201)


def _about(request: Request) -> dict[str, Any]:
    try:
        found = read(str(request.POST.get("about", "")))
    except Invalid as error:
        raise Invalid(f"In the form field “about”: {error.sentence}", code="bad_about") from None
    if not isinstance(found, dict):
        raise Invalid("The form field “about” must hold a JSON object with name, role and label.", code="bad_about")
    unknown = sorted(set(found) - set(AboutSerializer().fields))
    if unknown:
        raise Invalid(f"“about” has no field {unknown[0][:60]!r}.", code="unknown_field")
    return found


class One(View):
    """One data set."""

    owner = Action.REGISTRY_VIEW

    @extend_schema(responses=DataSetSerializer)
    def get(self, request: Request, name: str, number: str) -> Response:
        return Response(presented([visible.data_set(self.actor, name, number)])[0])


class Links(View):
    """Link a data set to a model version."""

    owner = Action.DATA_SET_LINK

    @extend_schema(request=LinkSerializer, responses={201: LinkSerializer})
    def post(self, request: Request, name: str, number: str) -> Response:
        version = visible.version(self.actor, name, number)
        values = body(LinkSerializer, request)
        found = visible.data_set(self.actor, values["name"], values["version"])
        data_sets.link(by=self.actor, version=version, data_set=found, role=values["role"])
        return Response(values, status=201)


class Reports(View):
    """Have a report made, or made again."""

    owner = Action.EVIDENCE_REQUEST

    @extend_schema(request=ReportSerializer, responses={202: JobRow}, operation_id="reports_create")
    def post(self, request: Request, name: str, number: str) -> Response:
        version = visible.version(self.actor, name, number)
        values = body(ReportSerializer, request)
        job = evidence.request_report(by=self.actor, version=version, kind=EvidenceKind(values["kind"]))
        return Response(job_row(job), status=202)
