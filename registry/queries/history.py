"""The history of stages and aliases of a model or a version, newest first, with the entry that caused each change."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from audit.errors import Invalid
from audit.events import Action
from registry.models import ModelVersion, RegisteredModel, Tenure
from registry.states import TenureKind

MOST: Final = 100
# In the log of changes: the object that an act with this door is recorded on.
_ON_MODEL: Final = frozenset({Action.ALIAS_SET, Action.ALIAS_DELETE, Action.MODEL_DELETE})
_ENTRIES: Final = """
SELECT wanted.place, found.id
FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
    AS wanted (place, type, object, action, at)
CROSS JOIN LATERAL (
    SELECT id FROM audit_event
    WHERE log = 'admin' AND object_type = wanted.type AND object_id = wanted.object AND action = wanted.action
        AND outcome = 'success' AND recorded_at >= wanted.at AND recorded_at < wanted.at + interval '1 minute'
    ORDER BY recorded_at LIMIT 1
) found
"""


@dataclass(frozen=True)
class Line:
    """One row of the history; ``entry`` and ``ended_entry`` are ids in the trail, None where none is known."""

    tenure: Tenure
    version: int
    entry: UUID | None
    ended_entry: UUID | None


@dataclass(frozen=True)
class Part:
    """A part of a history, and behind which row the next begins (empty at the end)."""

    lines: list[Line]
    after: str


def of_model(model: RegisteredModel, *, kind: str = "", name: str = "", after: str = "", most: int = MOST) -> Part:
    """What the versions of a model held, those deleted included. Raises Invalid for an unknown kind or place."""
    rows = Tenure.objects.filter(model=model)
    if kind:
        if kind not in {each.value for each in TenureKind}:
            raise Invalid(f"The kind is stage or alias, not {kind[:40]!r}.", code="bad_kind")
        rows = rows.filter(kind=kind)
    if name:
        rows = rows.filter(name=name.replace("\x00", "\ufffd"))
    return _part(rows, after, most)


def of_version(version: ModelVersion, *, after: str = "", most: int = MOST) -> Part:
    """What one version held."""
    return _part(Tenure.objects.filter(version=version), after, most)


def _part(rows: QuerySet[Tenure], after: str, most: int) -> Part:
    if after:
        if not (after.isascii() and after.isdigit() and len(after) <= 18):
            raise Invalid("This page does not exist; start again from the first.", code="bad_page")
        rows = rows.filter(id__lt=int(after))
    found = list(rows.select_related("grant", "ended_grant").order_by("-id")[: most + 1])
    more, found = len(found) > most, found[:most]
    return Part(lines(found), str(found[-1].pk) if more else "")


def lines(rows: Sequence[Tenure]) -> list[Line]:
    """Some rows with the numbers of their versions and their entries, in two queries."""
    numbers = dict(ModelVersion.objects.filter(pk__in={row.version_id for row in rows}).values_list("pk", "number"))
    entries = _entries(rows)
    return [
        Line(row, numbers.get(row.version_id, 0), entries.get(2 * place), entries.get(2 * place + 1))
        for place, row in enumerate(rows)
    ]


def _entries(rows: Sequence[Tenure]) -> dict[int, UUID]:
    """Entry ids by place: two per row, for its begin and its end. The entry is written in the same transaction, after
    the change, under the lock that the change was made under: so it is the first of its kind from that instant on.
    """
    wanted: list[tuple[int, str, str, str, datetime]] = []
    for place, row in enumerate(rows):
        ends = ((row.action, row.grant, row.period.lower), (row.ended_action, row.ended_grant, row.period.upper))
        for side, (action, grant, at) in enumerate(ends):
            if not action or at is None:
                continue
            if grant is not None:
                subject = ("promotion_request", str(grant.request_id))
            elif action in _ON_MODEL:
                subject = ("registered_model", str(row.model_id))
            else:
                subject = ("model_version", str(row.version_id))
            wanted.append((2 * place + side, *subject, action, at))
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_ENTRIES, [list(column) for column in zip(*wanted, strict=True)])
        return {place: UUID(str(entry)) for place, entry in cursor.fetchall()}
