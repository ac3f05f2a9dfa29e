"""Keeping watch over pinned files: check them when asked and on schedule, raise an alarm, and clear it.

The rule for clearing: an alarm stands until a later check has read every byte at each place the alarm names and found
it as pinned. What cannot be read neither raises nor clears one, and a check of one version never clears the alarm of
another. Whether an alarm keeps a version from being promoted is ``registry/rules.py``.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from audit import door
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.errors import Conflict, NotFound
from audit.events import Action
from registry import integrity, jobs, tracking
from registry.integrity import COPY, SOURCE, Found, Source
from registry.models import ArtifactAlarm, ArtifactCheck, Job, ModelVersion
from registry.states import CheckOutcome, JobKind

# A check reads gigabytes: only so many wait or run at once, and one that could not read is tried again this soon.
_MOST_AT_ONCE: Final = 4
_AGAIN_AFTER: Final = timedelta(days=1)
_MOST_PATHS: Final = 10


def ask(*, by: Actor, version: ModelVersion) -> Job:
    """Have the files of a version read again. The check that waits or runs already is given back.

    Raises Conflict when nothing is pinned yet.
    """
    with door.open(by, Action.ARTIFACT_CHECK, on=version) as entry:
        row: ModelVersion = entry.locked
        if row.deleted_at is not None:
            raise NotFound(f"{row} was deleted.")
        if not row.artifact_digest:
            raise Conflict(f"The files of {row} have not been read and hashed yet.", code="not_pinned")
        job = jobs.enqueue(version=row, kind=JobKind.CHECK, requested_by=by.account or "")
        entry.record(after={"artifact": row.artifact_digest, "job": str(job.pk)})
        return job


def check(job: Job, *, by: Actor = SYSTEM, source: Source = tracking) -> ArtifactCheck:
    """Read every byte of the job's version, here and at the source, and write down how it came out."""
    version = job.version
    found = {COPY: integrity.of_copy(version), SOURCE: integrity.of_source(version, source)}
    return _conclude(by, job, job.fence, found)


def give_up(*, by: Actor = SYSTEM, job: Job, fence: int, sentence: str) -> ArtifactCheck:
    """End a check that is not tried again: it says nothing of the files."""
    return _conclude(by, job, fence, {COPY: Found(CheckOutcome.INCONCLUSIVE, sentence, {})})


def _conclude(by: Actor, job: Job, fence: int, found: Mapping[str, Found]) -> ArtifactCheck:
    """One transaction: the job ends, the check is kept, an alarm rises or is cleared. Entries say what changed: a check
    on schedule that finds what the last one found is bookkeeping.
    """
    outcome = integrity.overall(found)
    with transaction.atomic():
        before = ArtifactCheck.objects.filter(version=job.version).first()
        standing = _standing(job.version)
        news = outcome is CheckOutcome.MISMATCH if standing is None else _clears(standing, found)
        silent = not news and not job.requested_by and before is not None and before.outcome == outcome
        if silent:
            return _keep(job, fence, found)
    action = Action.ARTIFACT_ALARM if news else Action.ARTIFACT_CHECK
    with door.open(by, action, on=job.version) as entry:
        row = _keep(job, fence, found)
        told: dict[str, Any] = {"artifact": entry.locked.artifact_digest, "outcome": outcome.value, "job": str(job.pk)}
        alarm = _sound(entry.locked, found)
        if alarm is not None:
            told |= {"alarm": str(alarm.pk), "standing": alarm.cleared_at is None}
        entry.record(before={"outcome": before.outcome} if before else None, after=told | _paths(found))
        return row


def _keep(job: Job, fence: int, found: Mapping[str, Found]) -> ArtifactCheck:
    jobs.finish(job, fence)
    return watch(job.version, found)


def watch(version: ModelVersion, found: Mapping[str, Found]) -> ArtifactCheck:
    """Keep what a reading of the files found, and say when they are due again."""
    outcome, moment = integrity.overall(found), now()
    interval = timedelta(days=settings.PLIMSOLL_CHECK_DAYS)
    row, _ = ArtifactCheck.objects.update_or_create(
        version=version,
        defaults={
            "outcome": outcome.value,
            "found": {place: one.as_json() for place, one in found.items()},
            "checked_at": moment,
            "due_at": moment + (interval if outcome is CheckOutcome.GOOD else min(interval, _AGAIN_AFTER)),
        },
    )
    return row


def _sound(version: ModelVersion, found: Mapping[str, Found]) -> ArtifactAlarm | None:
    """Raise or clear the alarm of a version, which is locked; the alarm when there was something to do.

    Other versions with the same files are due at once: what was found here concerns them as well.
    """
    standing = _standing(version)
    if standing is None:
        if integrity.overall(found) is not CheckOutcome.MISMATCH:
            return None
        content = {place: one.as_json() for place, one in found.items() if one.outcome is CheckOutcome.MISMATCH}
        standing = ArtifactAlarm.objects.create(version=version, digest=version.artifact_digest, found=content)
    elif _clears(standing, found):
        standing.cleared_at = now()
        standing.save(update_fields=["cleared_at"])
    else:
        return None
    same = ArtifactCheck.objects.filter(version__artifact_digest=version.artifact_digest).exclude(version=version)
    same.update(due_at=now())
    return standing


def sound(version: ModelVersion, found: Mapping[str, Found]) -> ArtifactAlarm | None:
    """What pinning found, inside a door that is open: the check is kept, an alarm rises when files differ."""
    watch(version, found)
    return _sound(version, found)


def _standing(version: ModelVersion) -> ArtifactAlarm | None:
    return ArtifactAlarm.objects.filter(version=version, cleared_at=None).first()


def _clears(alarm: ArtifactAlarm, found: Mapping[str, Found]) -> bool:
    return all(place in found and found[place].outcome is CheckOutcome.GOOD for place in alarm.found)


def _paths(found: Mapping[str, Found]) -> dict[str, Any]:
    """The first differing paths of each place, as the trail can hold them, and how many there are."""
    differing = {place: one.differing for place, one in found.items() if one.differing}
    return {
        f"differing_{place}": {"count": len(paths), "first": [_plain(path) for path in sorted(paths)[:_MOST_PATHS]]}
        for place, paths in differing.items()
    }


def _plain(path: str) -> str:
    return path.encode("ascii", "backslashreplace").decode("ascii")[:200]


def sweep() -> int:
    """Ask for the checks that are due, the longest waiting first, a few at a time. How many were asked for."""
    moment = now()
    ArtifactCheck.objects.filter(due_at__lte=moment, version__deleted_at__isnull=False).delete()
    free = _MOST_AT_ONCE - Job.objects.filter(kind=JobKind.CHECK.value, state__in=jobs.LIVE).count()
    due = ArtifactCheck.objects.filter(due_at__lte=moment).select_related("version__model").order_by("due_at")
    rows = list(due[: max(free, 0)])
    for row in rows:
        with transaction.atomic():
            jobs.enqueue(version=row.version, kind=JobKind.CHECK, requested_by="")
            # The check itself says when the next one is due; this only keeps the next sweep from asking again.
            ArtifactCheck.objects.filter(pk=row.pk, due_at=row.due_at).update(due_at=moment + _AGAIN_AFTER)
    return len(rows)
