"""Exports of the trail over REST: a ZIP with its verifier inside."""

import tempfile

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from audit import export
from audit.events import Action
from audit.queries import Filter
from web.rest.trail import FILTERS, chosen
from web.rest.views import View


class Export(View):
    """The export bundle, a ZIP with its verifier inside."""

    owner = Action.TRAIL_EXPORT

    @extend_schema(
        parameters=[OpenApiParameter(name, OpenApiTypes.STR, required=False) for name in FILTERS if name != "after"],
        request=None,
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def post(self, request: Request) -> FileResponse:
        return export_response(self, chosen(request.query_params.dict()))


def export_response(view: View, selected: Filter) -> FileResponse:
    """Write the bundle to a temporary file and stream it."""
    out = tempfile.TemporaryFile()  # noqa: SIM115 - FileResponse closes it after the last byte
    try:
        exported = export.export(by=view.actor, chosen=selected, out=out)
    except BaseException:
        out.close()
        raise
    out.seek(0)
    response = FileResponse(out, as_attachment=True, filename=f"trail-{selected.log}-{exported.size}.zip")
    response["Content-Type"] = "application/zip"
    response["X-Plimsoll-Entries"] = str(exported.entries)
    response["X-Plimsoll-Sha256"] = exported.digest
    return response
