"""The feed of OpenLineage events: registrations and links in the order they were made, a page at a time.

A place in the feed is the last registration and the last link that were passed. Both are read by their primary keys,
which rise with time; what is younger than ``SETTLED`` waits, so that nothing that commits late is passed over.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet

from access import grants, policy
from audit.actors import Actor
from audit.clock import now
from audit.errors import Invalid
from audit.events import Action
from audit.ids import first_id
from registry import openlineage
from registry.models import ModelVersion, VersionDataSet, VersionParent, VersionRun
from registry.queries import visible

MOST: Final = 100
SETTLED: Final = timedelta(seconds=10)
_PLACE: Final = re.compile(r"([0-9a-f]{32})-([0-9]{1,18})")
_FIRST: Final = (UUID(int=0), 0)


@dataclass(frozen=True)
class Page:
    """Events in order, and the place behind the last of them: it is never empty, so that a reader can come back."""

    events: Sequence[openlineage.Json]
    after: str


def page(by: Actor, after: str = "", *, until: datetime | None = None) -> Page:
    """The next events that ``by`` may see. Raises Invalid for a place that is none."""
    last_version, last_link = _place(after)
    settled = until or now() - SETTLED
    versions = list(_versions(by, last_version, settled)[:MOST])
    links = list(_links(by, last_link, settled)[:MOST])
    rows: list[ModelVersion | VersionDataSet] = [*versions, *links]
    merged = sorted(rows, key=lambda row: (row.created_at, isinstance(row, VersionDataSet)))[:MOST]
    for row in merged:
        if isinstance(row, VersionDataSet):
            last_link = row.pk
        else:
            last_version = row.pk
    return Page(_events(by, merged), f"{last_version.hex}-{last_link}")


def _place(after: str) -> tuple[UUID, int]:
    if not after:
        return _FIRST
    match = _PLACE.fullmatch(after)
    if match is None:
        raise Invalid("There is no such place in the feed; start again without after.", code="bad_page")
    return UUID(match[1]), int(match[2])


def _versions(by: Actor, last: UUID, settled: datetime) -> QuerySet[ModelVersion]:
    rows = ModelVersion.objects.select_related("model").defer("artifact_manifest")
    rows = rows.filter(pk__gt=last, pk__lt=first_id(settled), created_at__lt=settled)
    return rows.filter(model__in=visible.models(by)).order_by("pk")


def _links(by: Actor, last: int, settled: datetime) -> QuerySet[VersionDataSet]:
    rows = VersionDataSet.objects.select_related("version__model", "data_set")
    rows = rows.defer("version__artifact_manifest", "data_set__manifest")
    rows = rows.filter(pk__gt=last, created_at__lt=settled, version__model__in=visible.models(by))
    return rows.order_by("pk")


def _events(by: Actor, merged: Sequence[ModelVersion | VersionDataSet]) -> list[openlineage.Json]:
    """The events of some rows, in three more queries. A registration names the data sets linked by now; a reader who
    was here before hears of those linked since from their own events.
    """
    made = [row for row in merged if isinstance(row, ModelVersion)]
    runs = {row.version_id: row for row in VersionRun.objects.filter(version__in=made)}
    parents: dict[Any, list[VersionParent]] = {}
    grown = VersionParent.objects.select_related("parent__model").defer("parent__artifact_manifest")
    for parent in grown.filter(version__in=made).order_by("pk"):
        parents.setdefault(parent.version_id, []).append(parent)
    links: dict[Any, list[VersionDataSet]] = {}
    data_links = VersionDataSet.objects.select_related("data_set").defer("data_set__manifest")
    for link in data_links.filter(version__in=made).order_by("pk"):
        links.setdefault(link.version_id, []).append(link)
    patterns = policy.patterns_for(by, Action.REGISTRY_VIEW)

    def sees(name: str) -> bool:
        return any(grants.covers(pattern, name) for pattern in patterns)

    found = []
    for row in merged:
        if isinstance(row, VersionDataSet):
            data = row.data_set if sees(row.data_set.name) else None
            found.append(openlineage.linked(row.version, row.role, data, link=row.pk, at=row.created_at))
            continue
        from_data = [(each.role, each.data_set) for each in links.get(row.pk, []) if sees(each.data_set.name)]
        from_versions = [
            (each.kind, each.parent)
            for each in parents.get(row.pk, [])
            if each.parent is not None and sees(each.parent_name)
        ]
        hidden = len(links.get(row.pk, [])) + len(parents.get(row.pk, [])) - len(from_data) - len(from_versions)
        found.append(
            openlineage.registered(row, data=from_data, parents=from_versions, run=runs.get(row.pk), hidden=hidden)
        )
    return found
