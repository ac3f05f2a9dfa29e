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
from audit.errors import Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION
from registry import locations
from registry.actions import data_sets, evidence
from registry.models import DataSet
from registry.queries import visible
from registry.states import Classification, DataRole, EvidenceKind
from web.rest.fields import TextField
from web.rest.models import JobRow, job_row
from web.rest.parsing import StrictJSONParser, read
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
    owner = TextField(allow_blank=True, default="", max_length=150, help_text="A user name; yours when left out.")
    classification = serializers.ChoiceField(
        choices=[one.value for one in Classification], allow_blank=True, default=""
    )
    retention = TextField(allow_blank=True, default="", max_length=40)


class LocatedSerializer(AboutSerializer):
    """A data set that is read from where it lies: a file, or a folder of files of one format."""

    location = TextField(max_length=locations.MOST_LOCATION)


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
    location = serializers.CharField(allow_blank=True)
    mlflow_digest = serializers.CharField(allow_blank=True)
    owner = serializers.CharField(allow_blank=True)
    classification = serializers.CharField(allow_blank=True)
    retention = serializers.CharField(allow_blank=True)
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
    names = people.display_names({one for row in rows for one in (row.created_by, row.owner) if one})
    plain = ("name", "role", "digest", "rows", "columns", "label", "favourable", "protected", "identifiers", "excluded",
             "manifest", "state", "location", "mlflow_digest", "classification", "retention", "created_at")  # fmt: skip
    return [
        {
            "id": str(row.pk),
            "version": row.number,
            "created_by": names.get(row.created_by, ""),
            "owner": names.get(row.owner, ""),
            **{name: getattr(row, name) for name in plain},
        }
        for row in rows
    ]


class DataSets(View):
    """List data sets; register one from an uploaded Parquet or CSV file, or from an address that is allowed."""

    owner = Action.REGISTRY_VIEW
    parser_classes = (MultiPartParser, StrictJSONParser)  # type: ignore[assignment] # a file, or where it lies

    @extend_schema(responses=DataSetListSerializer, operation_id="data_sets_list")
    def get(self, request: Request) -> Response:
        rows = list(visible.data_sets(self.actor).order_by("-created_at")[:_MOST])
        return Response({"data_sets": presented(rows)})

    @extend_schema(
        request={
            "application/json": LocatedSerializer,
            "multipart/form-data": inline_serializer(
                "DataSetUpload", {"file": serializers.FileField(), "about": serializers.JSONField()}
            ),
        },
        responses={201: DataSetSerializer},
    )
    def post(self, request: Request) -> Response:
        # Asked before the body is read, so that a stranger cannot make us receive a file.
        if not policy.patterns_for(self.actor, Action.DATA_SET_CREATE):
            policy.require_read(self.actor, Action.DATA_SET_CREATE, INSTALLATION)
        if request.content_type.partition(";")[0].strip().lower() == StrictJSONParser.media_type:
            said = _with_owner(body(LocatedSerializer, request))
            return Response(presented([data_sets.register_from(by=self.actor, **said)])[0], status=201)
        upload = request.FILES.get("file")
        if not isinstance(upload, UploadedFile) or upload.file is None:
            raise Invalid("Send the data as the file field “file” of a multipart form.", code="no_file")
        checked = AboutSerializer(data=_about(request))
        checked.is_valid(raise_exception=True)
        row = data_sets.register(
            by=self.actor,
            content=cast("BinaryIO", upload.file),
            filename=upload.name or "data",
            **_with_owner(checked.validated_data),
        )
        return Response(presented([row])[0], status=201)


def _with_owner(said: dict[str, Any]) -> dict[str, Any]:
    """The owner by id: on the wire people are user names."""
    if not said["owner"]:
        return said
    try:
        return said | {"owner": str(people.user_by_name(said["owner"]).pk)}
    except NotFound:
        raise Invalid("There is no account with the owner's user name.", code="unknown_owner") from None


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
