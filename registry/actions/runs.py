"""Where a version came from: what its run was, and the versions it was copied or fine-tuned from."""

import logging
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from audit import digests, door
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.errors import DomainError, Invalid, Unavailable
from audit.events import Action
from audit.ids import first_id
from registry import runs, tracking
from registry.models import ModelVersion, VersionParent, VersionRun
from registry.queries import visible
from registry.states import ParentKind

log = logging.getLogger("plimsoll.registry")

# On a version when it is registered: what it was fine-tuned from, one models:/<name>/<version> in a line.
FINE_TUNED_TAG: Final = "plimsoll.fine_tuned_from"
_REFERENCE: Final = re.compile(r"models:/([^/@]+)/([0-9]{1,9})")
_MOST_PARENTS: Final = 20
# How far back a run is still asked for when tracking was away, and how many at a time.
_SINCE: Final = timedelta(days=7)
_AT_ONCE: Final = 20


def fine_tuned_from(by: Actor, tags: Mapping[str, str]) -> list[ModelVersion]:
    """The versions that the tag of a new version names. Raises Invalid for what is no reference, NotFound for a
    version that is not there for ``by``.
    """
    named = list(runs.lines(tags.get(FINE_TUNED_TAG, "")))
    if len(named) > _MOST_PARENTS:
        raise Invalid(f"A version names at most {_MOST_PARENTS} versions it was made from.", code="too_many_parents")
    found = []
    for line in named:
        match = _REFERENCE.fullmatch(line)
        if match is None:
            raise Invalid(
                f"The tag {FINE_TUNED_TAG} names versions as models:/<name>/<version>, one in a line, and not"
                f" {line[:80]!r}.",
                code="bad_parent",
            )
        found.append(visible.version(by, match[1], match[2]))
    return found


def grow(version: ModelVersion, copied: str, tuned: list[ModelVersion]) -> None:
    """Write down the parents of a new version, in the door that registers it. ``copied`` is its source."""
    match = _REFERENCE.fullmatch(copied)
    rows = [_parent(version, row, ParentKind.FINE_TUNED) for row in tuned]
    if match is not None:
        source = ModelVersion.objects.select_related("model").filter(model__name=match[1], number=match[2]).first()
        if source is not None:
            rows.append(_parent(version, source, ParentKind.COPY))
    if rows:
        VersionParent.objects.bulk_create(rows, ignore_conflicts=True)


def _parent(version: ModelVersion, parent: ModelVersion, kind: ParentKind) -> VersionParent:
    return VersionParent(
        version=version, parent=parent, parent_name=parent.model.name, parent_number=parent.number, kind=kind.value
    )


def record(*, by: Actor, version: ModelVersion) -> VersionRun | None:
    """Keep what tracking tells of the version's run; what was kept once stays. Raises Unavailable.

    None when the version has gone. A run that tracking does not know is kept as such, so that it is not asked again.
    """
    try:
        told = tracking.run_record(version.run_id)
    except Invalid:
        told = None  # not even a run's id
    facts = runs.facts(told)
    with door.open(by, Action.RUN_RECORD, on=version) as entry:
        row: ModelVersion = entry.locked
        found = VersionRun.objects.filter(version=row).first()
        if found is None and row.run_id == version.run_id:
            found = VersionRun.objects.create(version=row, run_id=version.run_id, **facts)
        kept = {"params": len(found.params), "data": len(found.data), "status": found.status} if found else {}
        facts_digest = digests.of_json({"params": found.params, "commit": found.commit}) if found else ""
        entry.record(after={**kept, "facts": facts_digest})
        return found


def sweep() -> int:
    """Keep the runs of versions registered lately that are not kept yet; how many were. Stops when tracking is away."""
    # Ids begin with the time they were made at, so the newest versions are a range of the primary key.
    recent = ModelVersion.objects.filter(pk__gte=first_id(now() - _SINCE), run_facts=None, deleted_at=None)
    done = 0
    for version in recent.exclude(run_id="").select_related("model").order_by("pk")[:_AT_ONCE]:
        try:
            record(by=SYSTEM, version=version)
        except Unavailable:
            break
        except DomainError as error:
            log.warning("a run was not kept", extra={"error": type(error).__name__})
            continue
        done += 1
    return done
