"""The registry as it was at an instant: which versions there were, what they held, on which data and evidence.

Stages and aliases come from their history (``history.py``); data links, evidence, decisions and promotion requests
carry their own times; a request's state comes from its entries in the trail. Descriptions and tags are not kept over
time: an answer names them as unknown when the row was touched since, and never passes off today's as yesterday's.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID

from django.db.models import Max, Q, QuerySet

from audit.actors import Actor
from audit.clock import now, rfc3339
from audit.errors import Invalid, NotFound
from audit.models import Event
from registry.models import (
    DataSet,
    Decision,
    Evidence,
    Grant,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    Tenure,
    VersionDataSet,
)
from registry.queries import visible
from registry.states import LIVE, RequestState, Stage, TenureKind

_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_LIVE: Final = frozenset(state.value for state in LIVE)
Row = TypeVar("Row", Tenure, VersionDataSet, Evidence)


def instant(text: str) -> datetime:
    """The instant that ``as_of`` names, in RFC 3339. Raises Invalid for what is none and for one still to come."""
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        raise Invalid(
            f"as_of is an instant with its zone, such as 2026-03-09T14:05:00Z, and not {text[:40]!r}. In an address a"
            " plus sign is written %2B.",
            code="bad_as_of",
        )
    day, clock, fraction, zone = match.groups()
    try:
        found = datetime.fromisoformat(f"{day}T{clock}{(fraction or '')[:7]}{zone.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"as_of names an instant that no calendar has: {text[:40]!r}.", code="bad_as_of") from None
    if found > now():
        raise Invalid(
            f"as_of lies in the future ({rfc3339(found)}): nothing is recorded of it yet.", code="future_as_of"
        )
    return found


@dataclass(frozen=True)
class VersionThen:
    """A version at an instant. ``unknown`` names what is not kept over time and was touched since."""

    row: ModelVersion
    held: Sequence[Tenure]
    data: Sequence[VersionDataSet]
    evidence: Sequence[Evidence]
    unknown: Sequence[str]

    @property
    def stage(self) -> str:
        return next((row.name for row in self.held if row.kind == TenureKind.STAGE), Stage.NONE.value)

    @property
    def aliases(self) -> list[str]:
        return sorted(row.name for row in self.held if row.kind == TenureKind.ALIAS)


def models(by: Actor, at: datetime) -> QuerySet[RegisteredModel]:
    """The models there were, each with ``newest``: the highest number registered by then."""
    newest = Max("versions__number", filter=Q(versions__created_at__lte=at))
    return visible.models(by).filter(created_at__lte=at).annotate(newest=newest)


def model(by: Actor, name: str, at: datetime) -> RegisteredModel:
    """One model that was registered by then; NotFound otherwise."""
    row = visible.model(by, name)
    if row.created_at > at:
        raise NotFound(f"Registered Model with name={row.name} was registered after {rfc3339(at)}.")
    return row


def present(model: RegisteredModel, at: datetime) -> QuerySet[ModelVersion]:
    """The versions of a model (that the caller has fetched as visible) there were, deleted since or not."""
    rows = ModelVersion.objects.select_related("model").filter(model=model, created_at__lte=at)
    return rows.filter(Q(deleted_at=None) | Q(deleted_at__gt=at))


def version(by: Actor, name: str, number: str, at: datetime) -> VersionThen:
    """One version; NotFound when it was not there then."""
    if not re.fullmatch(r"[0-9]{1,18}", number):
        raise Invalid(f"Parameter 'version' must be an integer, got '{number[:40]}'.", code="bad_version")
    there = present(model(by, name, at), at)
    row = there.filter(number=int(number)).first() if int(number) < 2**31 else None
    if row is None:
        raise NotFound(f"Model Version (name={name[:256]}, version={number}) was not there at {rfc3339(at)}.")
    return versions([row], at)[0]


def versions(rows: Iterable[ModelVersion], at: datetime) -> list[VersionThen]:
    """Some versions (fetched with their models) with all that was theirs, in three queries."""
    listed = list(rows)
    keys = [row.pk for row in listed]
    held = _by_version(
        Tenure.objects.select_related("grant__request").filter(version__in=keys, period__contains=at).order_by("id")
    )
    links = VersionDataSet.objects.select_related("data_set").filter(version__in=keys, created_at__lte=at)
    data = _by_version(links.order_by("role", "data_set__name", "data_set__number"))
    made = Evidence.objects.filter(version__in=keys, created_at__lte=at).defer("result")
    evidence = _by_version(made.order_by("created_at", "pk"))
    return [
        VersionThen(
            row=row,
            held=held.get(row.pk, []),
            data=data.get(row.pk, []),
            evidence=evidence.get(row.pk, []),
            unknown=_unknown(row, at),
        )
        for row in listed
    ]


def _by_version(rows: Iterable[Row]) -> dict[UUID, list[Row]]:
    found: dict[UUID, list[Row]] = {}
    for row in rows:
        found.setdefault(row.version_id, []).append(row)
    return found


def _unknown(row: ModelVersion, at: datetime) -> list[str]:
    """A deletion takes the source and the run along; any change may have replaced the description or a tag."""
    gone = ["source", "run_id"] if row.deleted_at is not None else []
    return [*gone, *(["description"] if row.updated_at > at else []), "tags"]


def digest(row: ModelVersion, at: datetime) -> str:
    """The artifact's digest when its files had been read by then."""
    return row.artifact_digest if row.artifact_pinned_at is not None and row.artifact_pinned_at <= at else ""


# -- promotion -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RequestThen:
    """A promotion request at an instant, with the decisions made by then and the grant when it had been issued."""

    row: PromotionRequest
    state: str
    decisions: Sequence[Decision]
    grant: Grant | None


def requests(by: Actor, at: datetime) -> list[RequestThen]:
    """The requests that were live, oldest first."""
    rows = visible.promotion_requests(by).filter(Q(closed_at=None) | Q(closed_at__gt=at), opened_at__lte=at)
    return requests_then(list(rows.order_by("opened_at")[:200]), at)


def request(by: Actor, request_id: str, at: datetime) -> RequestThen:
    """One request; NotFound when it had not been filed."""
    row = visible.promotion_request(by, request_id)
    if row.opened_at > at:
        raise NotFound(f"This promotion request was filed after {rfc3339(at)}.")
    return requests_then([row], at)[0]


def requests_then(rows: Sequence[PromotionRequest], at: datetime) -> list[RequestThen]:
    """Some requests as they stood, in three queries."""
    keys = [row.pk for row in rows]
    said: dict[UUID, list[Decision]] = {}
    for decision in Decision.objects.filter(request__in=keys, created_at__lte=at).order_by("created_at"):
        said.setdefault(decision.request_id, []).append(decision)
    issued = {grant.request_id: grant for grant in Grant.objects.filter(request__in=keys, issued_at__lte=at)}
    states = _states(rows, at)
    return [RequestThen(row, states[row.pk], said.get(row.pk, []), issued.get(row.pk)) for row in rows]


def _states(rows: Sequence[PromotionRequest], at: datetime) -> dict[UUID, str]:
    """A closed request stays as it was closed; of one that was live the last entry by then says how it stood."""
    found = {row.pk: row.state for row in rows if row.closed_at is not None and row.closed_at <= at}
    live = {str(row.pk): row.pk for row in rows if row.pk not in found}
    found.update(dict.fromkeys(live.values(), RequestState.OPEN.value))
    entries = Event.objects.filter(log="admin", object_type="promotion_request", object_id__in=list(live))
    newest = entries.filter(outcome="success", recorded_at__lte=at).order_by("object_id", "-object_n")
    for object_id, leaf in newest.distinct("object_id").values_list("object_id", "leaf_data"):
        after: Mapping[str, object] = json.loads(bytes(leaf))["change"].get("after") or {}
        if after.get("state") in _LIVE:
            found[live[object_id]] = str(after["state"])
    return found


def evidence(by: Actor, evidence_id: str, at: datetime) -> Evidence:
    """One piece of evidence; NotFound when it had not been made."""
    row = visible.evidence(by, evidence_id)
    if row.created_at > at:
        raise NotFound(f"This evidence was made after {rfc3339(at)}.")
    return row


def data_sets(by: Actor, at: datetime) -> QuerySet[DataSet]:
    """The data sets that were registered by then."""
    return visible.data_sets(by).filter(created_at__lte=at)


# -- what served -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """What held a stage or an alias at an instant: the version, on whose act, and the decision behind it."""

    tenure: Tenure
    version: VersionThen
    request: RequestThen | None


def stage_of(text: str) -> str:
    """The stage that ``text`` names in any case. Raises Invalid for none and for None itself: nothing serves there."""
    found = {stage.value.lower(): stage.value for stage in Stage if stage is not Stage.NONE}.get(text.lower())
    if found is None:
        raise Invalid(f"A version serves in Staging, Production or Archived, not in {text[:40]!r}.", code="bad_stage")
    return found


def served(by: Actor, name: str, kind: TenureKind, held: str, at: datetime) -> list[Served]:
    """What held the stage or alias ``held`` of a model: at most one for an alias and for a protected stage."""
    row = model(by, name, at)
    found = list(
        Tenure.objects.select_related("grant__request__version__model", "grant__request__model")
        .filter(model=row, kind=kind.value, name=held, period__contains=at)
        .order_by("-id")[:200]
    )
    there = ModelVersion.objects.select_related("model").filter(pk__in={each.version_id for each in found})
    then = {each.row.pk: each for each in versions(there, at)}
    behind = [each.grant.request for each in found if each.grant is not None]
    decided = {each.row.pk: each for each in requests_then(behind, at)}
    return [
        Served(each, then[each.version_id], decided.get(each.grant.request_id) if each.grant else None)
        for each in found
        if each.version_id in then
    ]
