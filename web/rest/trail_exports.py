"""Exports of the trail over REST: at once when they are small, made by a worker when they are not."""

import re
import tempfile
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from django.http import FileResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy, reads
from audit import export, exports
from audit.actors import Actor
from audit.errors import Invalid
from audit.events import Action
from audit.export import VIEWS, Asked
from audit.models import Export as ExportRow
from audit.subjects import TRAIL
from registry.queries.visible import uuid_of
from web.rest.trail import FILTERS, chosen
from web.rest.views import View

_OPTIONS: Final = ("previous_size", "disclosures", "views")
_PARAMETERS: Final = [
    *(OpenApiParameter(name, OpenApiTypes.STR, required=False) for name in FILTERS if name != "after"),
    OpenApiParameter(
        "previous_size",
        OpenApiTypes.INT64,
        required=False,
        description="The size of your last checkpoint: the bundle then proves that the log only grew since.",
    ),
    OpenApiParameter(
        "disclosures", OpenApiTypes.BOOL, required=False, description="false leaves the personal values out."
    ),
    OpenApiParameter(
        "views", OpenApiTypes.STR, required=False, description=f"Some of {', '.join(VIEWS)}, or none. Default: all."
    ),
]
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_MOST_LISTED: Final = 100


class ExportSerializer(serializers.Serializer[Any]):
    """An export that a worker makes. ``state`` is queued, running, done, failed or gone (its file was removed);
    ``done`` of ``total`` entries are in it. ``digest`` is the SHA-256 of the ZIP and ``bytes`` its length.
    """

    id = serializers.UUIDField()
    log = serializers.CharField()
    state = serializers.ChoiceField(choices=[state.value for state in exports.State])
    asked_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    size = serializers.IntegerField()
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    digest = serializers.CharField(allow_null=True)
    bytes = serializers.IntegerField(allow_null=True)
    error = serializers.CharField(allow_blank=True)
    download = serializers.CharField(allow_null=True)


def asked_for(by: Actor, values: Mapping[str, str]) -> Asked:
    """What is asked for by query values. Raises Invalid for an unknown name or an unreadable value."""
    filters = {name: value for name, value in values.items() if name not in _OPTIONS}
    filters.pop("after", None)
    size = values.get("previous_size", "")
    if size and not _NUMBER.fullmatch(size):
        raise Invalid("The size of your last checkpoint is a whole number.", code="bad_previous_size")
    disclosures = values.get("disclosures", "") or "true"
    if disclosures not in {"true", "false"}:
        raise Invalid("disclosures is true or false.", code="bad_disclosures")
    views = values.get("views", ",".join(VIEWS))
    return Asked(
        chosen=chosen(filters),
        previous_size=int(size) if size else None,
        disclosures=disclosures == "true",
        views=() if views in {"", "none"} else tuple(views.split(",")),
        paths=reads.openings(by),
    )


class Export(View):
    """The export bundle, a ZIP with its verifier inside. With more entries than one request can make (20,000 unless
    the operator set another limit) the answer is 413: then ask under ``/api/v1/trail/exports/``.
    """

    owner = Action.TRAIL_EXPORT

    @extend_schema(
        parameters=_PARAMETERS,
        request=None,
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def post(self, request: Request) -> FileResponse:
        asked = asked_for(self.actor, request.query_params.dict())
        out = tempfile.TemporaryFile()  # noqa: SIM115 - FileResponse closes it after the last byte
        try:
            made = export.export(by=self.actor, asked=asked, out=out)
        except BaseException:
            out.close()
            raise
        out.seek(0)
        return _attached(out, asked.chosen.log, made.size, made.entries, made.digest)


class Exports(View):
    """Your exports that a worker makes."""

    owner = Action.TRAIL_EXPORT

    @extend_schema(responses=ExportSerializer(many=True), operation_id="trail_exports")
    def get(self, request: Request) -> Response:
        policy.require_read(self.actor, Action.TRAIL_EXPORT, TRAIL)
        return Response([presented(row) for row in exports.of(self.actor)[:_MOST_LISTED]])

    @extend_schema(parameters=_PARAMETERS, request=None, responses={202: ExportSerializer})
    def post(self, request: Request) -> Response:
        row = exports.ask(by=self.actor, asked=asked_for(self.actor, request.query_params.dict()))
        return Response(
            presented(row), status=202, headers={"Location": reverse("rest:trail-one-export", args=[row.pk])}
        )


class OneExport(View):
    """One of your exports; those of others are not found."""

    owner = Action.TRAIL_EXPORT

    @extend_schema(responses=ExportSerializer)
    def get(self, request: Request, export_id: str) -> Response:
        policy.require_read(self.actor, Action.TRAIL_EXPORT, TRAIL)
        return Response(presented(exports.one(self.actor, uuid_of(export_id))))


class Download(View):
    """The file of an export that is done: 409 while it is being made, 410 when it was removed after a week."""

    owner = Action.TRAIL_EXPORT

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, export_id: str) -> FileResponse:
        policy.require_read(self.actor, Action.TRAIL_EXPORT, TRAIL)
        row = exports.one(self.actor, uuid_of(export_id))
        return _attached(exports.opened(row), row.log, row.size, row.done, row.digest or "")


def presented(row: ExportRow) -> dict[str, Any]:
    """The answer for one export."""
    plain = ("log", "state", "asked_at", "finished_at", "size", "done", "total", "digest", "bytes", "error")
    done = row.state == exports.State.DONE
    return {
        "id": str(row.pk),
        **{name: getattr(row, name) for name in plain},
        "download": reverse("rest:trail-export-download", args=[row.pk]) if done else None,
    }


def _attached(out: BinaryIO, log: str, size: int, entries: int, digest: str) -> FileResponse:
    response = FileResponse(out, as_attachment=True, filename=f"plimsoll-trail-{log}-{size}.zip")
    response["Content-Type"] = "application/zip"
    response["Cache-Control"] = "no-store"
    response["X-Plimsoll-Entries"] = str(entries)
    response["X-Plimsoll-Sha256"] = digest
    return response
