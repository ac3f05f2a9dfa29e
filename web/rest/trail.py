"""The trail over REST: search, one entry, the state of the logs, the export."""

import tempfile
from datetime import datetime
from typing import Any

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy
from access import queries as people
from audit import export, queries
from audit.errors import Invalid, NotFound
from audit.events import LOGS, Action
from audit.queries import Filter
from audit.subjects import TRAIL
from registry.queries.visible import uuid_of
from web.rest.views import View

_FILTERS = ("log", "action", "outcome", "object_type", "object_id", "person", "since", "until", "after")


class EntrySerializer(serializers.Serializer[Any]):
    """One entry: the leaf as hashed, its place in the log, and the openings the caller may see."""

    id = serializers.UUIDField()
    index = serializers.IntegerField(allow_null=True)
    leaf_hash = serializers.CharField()
    leaf = serializers.JSONField()
    disclosed = serializers.JSONField()
    actor = serializers.CharField(allow_blank=True)


class PageSerializer(serializers.Serializer[Any]):
    """A page of entries, newest first; ``after`` asks for the next one."""

    entries = EntrySerializer(many=True)
    after = serializers.CharField(allow_blank=True)


class StateSerializer(serializers.Serializer[Any]):
    """How far a log is sequenced and signed."""

    log = serializers.CharField()
    size = serializers.IntegerField()
    signed_size = serializers.IntegerField()
    signed_at = serializers.DateTimeField(allow_null=True)
    checkpoint = serializers.CharField(allow_blank=True)
    verifiers = serializers.JSONField()
    witnessed = serializers.BooleanField()


def presented(entries: list[queries.Entry]) -> list[dict[str, Any]]:
    """The answer for some entries; names in one query."""
    names = people.display_names({entry.account for entry in entries if entry.account})
    return [
        {
            "id": str(entry.id),
            "index": entry.index,
            "leaf_hash": entry.leaf_hash,
            "leaf": entry.leaf,
            "disclosed": entry.disclosed,
            "actor": names.get(entry.account or "", ""),
        }
        for entry in entries
    ]


def chosen(values: Any) -> Filter:
    """A filter from query or form values. Raises Invalid for an unknown name or an unreadable time."""
    unknown = sorted(set(values) - set(_FILTERS))
    if unknown:
        raise Invalid(f"There is no filter {unknown[0][:40]!r}; there are {', '.join(_FILTERS)}.", code="bad_filter")
    person = values.get("person", "")
    return Filter(
        log=values.get("log", "") or "admin",
        action=values.get("action", ""),
        outcome=values.get("outcome", ""),
        object_type=_plain(values.get("object_type", "")),
        object_id=_plain(values.get("object_id", "")),
        account=_account(person) if person else "",
        since=_instant(values.get("since", "")),
        until=_instant(values.get("until", "")),
    )


def _plain(text: str) -> str:
    if "\x00" in text or len(text) > 300:
        raise Invalid("This filter value cannot be in any entry.", code="bad_filter")
    return text


def _account(person: str) -> str:
    try:
        return str(people.user_by_name(_plain(person)).pk)
    except NotFound:
        raise Invalid("There is no account with this user name.", code="bad_filter") from None


def _instant(text: str) -> datetime | None:
    return queries.instant_of(text) if text else None


class Search(View):
    """Entries that match, newest first, fifty at a time."""

    owner = Action.TRAIL_VIEW

    @extend_schema(
        parameters=[OpenApiParameter(name, OpenApiTypes.STR, required=False) for name in _FILTERS],
        responses=PageSerializer,
        operation_id="trail_search",
    )
    def get(self, request: Request) -> Response:
        policy.require_read(self.actor, Action.TRAIL_VIEW, TRAIL)
        page = queries.search(chosen(request.query_params.dict()), after=request.query_params.get("after", ""))
        return Response({"entries": presented(page.entries), "after": page.after})


class One(View):
    """One entry."""

    owner = Action.TRAIL_VIEW

    @extend_schema(responses=EntrySerializer)
    def get(self, request: Request, entry_id: str) -> Response:
        policy.require_read(self.actor, Action.TRAIL_VIEW, TRAIL)
        return Response(presented([queries.entry(uuid_of(entry_id))])[0])


class State(View):
    """The state of both logs."""

    owner = Action.TRAIL_VIEW

    @extend_schema(responses=StateSerializer(many=True))
    def get(self, request: Request) -> Response:
        policy.require_read(self.actor, Action.TRAIL_VIEW, TRAIL)
        states = [queries.state(log) for log in LOGS]
        return Response(
            [
                {
                    "log": state.log,
                    "size": state.size,
                    "signed_size": state.signed_size,
                    "signed_at": state.signed_at,
                    "checkpoint": state.note,
                    "verifiers": state.verifiers,
                    "witnessed": False,
                }
                for state in states
            ]
        )


class Export(View):
    """The export bundle, a ZIP with its verifier inside."""

    owner = Action.TRAIL_EXPORT

    @extend_schema(
        parameters=[OpenApiParameter(name, OpenApiTypes.STR, required=False) for name in _FILTERS if name != "after"],
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
