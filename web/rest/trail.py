"""The trail over REST: search, one entry, the state of the logs. Exports are ``trail_exports.py``."""

from datetime import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access import policy, reads
from access import queries as people
from audit import published, queries
from audit.errors import Invalid, NotFound
from audit.events import Action
from audit.queries import Filter, number_after
from audit.standing import Standing, standings
from audit.subjects import TRAIL
from registry.queries.visible import uuid_of
from web.rest.views import View

FILTERS = ("log", "action", "outcome", "object_type", "object_id", "person", "since", "until", "text", "after")


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


class LifeSerializer(serializers.Serializer[Any]):
    """A part of one object's entries, oldest first. ``length`` counts its whole chain, ``dropped`` what retention took
    from its beginning; ``after`` asks for the next part and is null at the end.
    """

    entries = EntrySerializer(many=True)
    length = serializers.IntegerField()
    dropped = serializers.IntegerField()
    after = serializers.IntegerField(allow_null=True)


class KeySerializer(serializers.Serializer[Any]):
    """A verifier key and the sizes it signs, both ends included; ``to_size`` is null while it is in use."""

    key = serializers.CharField()
    from_size = serializers.IntegerField()
    to_size = serializers.IntegerField(allow_null=True)
    fingerprint = serializers.CharField()


class ConfirmationSerializer(serializers.Serializer[Any]):
    """The newest size a configured anchor confirmed; null when it has confirmed none yet."""

    anchor = serializers.CharField()
    kind = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)
    at = serializers.DateTimeField(allow_null=True)


class StateSerializer(serializers.Serializer[Any]):
    """How far a log is sequenced and signed, by which keys, and who outside confirmed it. It is ``witnessed`` when a
    configured anchor has; ``overdue`` when signing has stopped, for the ``refusal`` if there is one.
    """

    log = serializers.CharField()
    origin = serializers.CharField()
    size = serializers.IntegerField()
    waiting = serializers.IntegerField()
    signed_size = serializers.IntegerField()
    signed_at = serializers.DateTimeField(allow_null=True)
    unsigned_since = serializers.DateTimeField(allow_null=True)
    overdue = serializers.BooleanField()
    refusal = serializers.CharField(allow_blank=True)
    root = serializers.CharField(allow_blank=True)  # type: ignore[assignment] # a field named like one of DRF's own
    checkpoint = serializers.CharField(allow_blank=True)
    verifiers = KeySerializer(many=True)
    witnessed = serializers.BooleanField()
    anchors = ConfirmationSerializer(many=True)
    minimum_index = serializers.IntegerField()
    oldest_at = serializers.DateTimeField(allow_null=True)
    last_tick_at = serializers.DateTimeField(allow_null=True)


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
    unknown = sorted(set(values) - set(FILTERS))
    if unknown:
        raise Invalid(f"There is no filter {unknown[0][:40]!r}; there are {', '.join(FILTERS)}.", code="bad_filter")
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
        text=_plain(values.get("text", "")).strip(),
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
    """Entries that match, newest first, fifty at a time. Each answer is itself an entry in the log of reads."""

    owner = Action.TRAIL_VIEW

    @extend_schema(
        parameters=[OpenApiParameter(name, OpenApiTypes.STR, required=False) for name in FILTERS],
        responses=PageSerializer,
        operation_id="trail_search",
    )
    def get(self, request: Request) -> Response:
        policy.require_read(self.actor, Action.TRAIL_VIEW, TRAIL)
        asked = request.query_params.dict()
        page = reads.search(self.actor, chosen(asked), after=asked.get("after", ""))
        return Response({"entries": presented(page.entries), "after": page.after})


class One(View):
    """One entry."""

    owner = Action.TRAIL_VIEW

    @extend_schema(responses=EntrySerializer)
    def get(self, request: Request, entry_id: str) -> Response:
        policy.require_read(self.actor, Action.TRAIL_VIEW, TRAIL)
        return Response(presented([reads.entry(self.actor, uuid_of(entry_id))])[0])


class Life(View):
    """What is recorded of one object, oldest first, fifty at a time."""

    owner = Action.TRAIL_VIEW

    @extend_schema(
        parameters=[OpenApiParameter("after", OpenApiTypes.INT64, required=False)],
        responses=LifeSerializer,
        operation_id="trail_object",
    )
    def get(self, request: Request, object_type: str, object_id: str) -> Response:
        after = number_after(request.query_params.get("after", ""))
        found = reads.life(self.actor, object_type, object_id, after)
        return Response(
            {
                "entries": presented(found.entries),
                "length": found.length,
                "dropped": found.dropped,
                "after": found.after,
            }
        )


class State(View):
    """How both logs stand."""

    owner = Action.TRAIL_VIEW

    @extend_schema(responses=StateSerializer(many=True))
    def get(self, request: Request) -> Response:
        policy.require_read(self.actor, Action.TRAIL_VIEW, TRAIL)
        return Response([_standing(each) for each in standings()])


def _standing(head: Standing) -> dict[str, Any]:
    confirmed = {each.anchor: each for each in head.confirmations}
    plain = ("log", "origin", "size", "waiting", "signed_size", "signed_at", "overdue", "refusal", "root")
    more = ("witnessed", "minimum_index", "oldest_at")
    return {
        **{name: getattr(head, name) for name in (*plain, *more)},
        "unsigned_since": head.waiting_since,
        "checkpoint": published.newest(head.log).note if head.note else "",
        "verifiers": [
            {
                "key": each.verifier,
                "from_size": each.from_size,
                "to_size": each.to_size,
                "fingerprint": each.fingerprint,
            }
            for each in head.keys
        ],
        "anchors": [
            {
                "anchor": name,
                "kind": kind,
                "size": confirmed[name].size if name in confirmed else None,
                "at": confirmed[name].at if name in confirmed else None,
            }
            for name, kind in head.anchors
        ],
        "last_tick_at": head.tick.at if head.tick else None,
    }
