"""The rows behind exports that a worker makes: asked for, carried out under a lease, kept for a week, then gone.

Celery only wakes workers; the truth is here. A worker *claims* an export by a lease and a fencing token, says after
each piece how far it is, and *finishes* in the transaction that records the export: a worker that lost its lease
changes nothing. The file is in place before that and given out only after it, and only to the account that asked. What
goes into it is ``audit/export.py``, and how a worker carries one out ``audit/exporting.py``.
"""

import logging
import uuid
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, Gone, NotFound, TooMany
from audit.events import Action
from audit.export import Asked, Exported, asking, signed_size
from audit.ids import uuid7
from audit.models import Export
from audit.subjects import TRAIL

log = logging.getLogger("plimsoll.exports")

TASK: Final = "audit.tasks.export"
LEASE: Final = timedelta(minutes=2)
KEPT: Final = timedelta(days=7)
MOST_ATTEMPTS: Final = 3
MOST_LIVE: Final = 3  # of one account at a time
# An export whose wake-up was lost is woken again after this time, and from then on at this interval.
LOST_AFTER: Final = timedelta(seconds=20)
WAKE_AGAIN: Final = timedelta(minutes=1)
RETRY_AFTER: Final = timedelta(seconds=10)
_MOST_SENTENCE: Final = 2000


class State(StrEnum):
    """Where an export stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    GONE = "gone"


_LIVE: Final = (State.QUEUED.value, State.RUNNING.value)


class LeaseLostError(Conflict):
    """Another worker holds this export now; whatever the first one makes does not count."""

    code = "lease_lost"


# -- asking, seeing, taking away ---------------------------------------------------------------------------------------


def ask(*, by: Actor, asked: Asked) -> Export:
    """A new export for ``by``, of what is signed now; a worker is woken when this commits.

    Raises what ``export.export`` raises for a filter or a size that cannot be, TooMany while others are under way.
    """
    with asking(by):
        size = signed_size(asked)
        if of(by).filter(state__in=_LIVE).count() >= MOST_LIVE:
            raise TooMany(f"{MOST_LIVE} of your exports are being made; ask again when one of them is done.")
        with transaction.atomic():
            export = Export.objects.create(
                id=uuid7(),
                account=by.account or by.kind,
                asked_at=now(),
                query={"auth": by.auth, "request_id": by.request_id, **asked.told()},
                log=asked.chosen.log,
                state=State.QUEUED.value,
                size=size,
            )
            transaction.on_commit(lambda: wake(export), robust=True)
        return export


def of(by: Actor) -> QuerySet[Export]:
    """The exports that ``by`` asked for, the newest first."""
    return Export.objects.filter(account=by.account or by.kind).order_by("-asked_at", "-id")


def one(by: Actor, export_id: uuid.UUID) -> Export:
    """One of them. Raises NotFound, for those of others as well."""
    found = of(by).filter(pk=export_id).first()
    if found is None:
        raise NotFound("There is no such export.")
    return found


def opened(export: Export) -> BinaryIO:
    """Its file. Raises Conflict while there is none yet, Gone when it was removed."""
    if export.state == State.FAILED:
        raise Conflict(f"This export could not be made: {export.error}", code="export_failed")
    if export.state in _LIVE:
        raise Conflict("This export is still being made.", code="export_not_ready")
    try:
        if export.state == State.DONE:
            return file_of(export).open("rb")
    except FileNotFoundError:
        log.error("the file of an export is missing", extra={"export": str(export.pk)})
    raise Gone(f"The file of this export was removed; exports are kept for {KEPT.days} days. Ask for it again.")


def folder_of(export: Export) -> Path:
    """Where an export is put together."""
    return Path(settings.PLIMSOLL_DATA) / "exports" / str(export.pk)


def file_of(export: Export) -> Path:
    """The bundle."""
    return folder_of(export).with_suffix(".zip")


def asked_of(export: Export) -> Asked:
    """What was asked."""
    return Asked.restored(export.query)


# -- the work ----------------------------------------------------------------------------------------------------------


def wake(export: Export) -> None:
    """Tell the workers that there is something to do. Raises what the broker raises."""
    current_app.send_task(TASK, [str(export.pk)], retry=False)


def claim(export_id: str | uuid.UUID, lease: timedelta = LEASE) -> Export | None:
    """Take the export for ``lease``, or None when it is not to be had: unknown, ended, or held by another worker."""
    free = Q(state=State.QUEUED.value) | Q(state=State.RUNNING.value, leased_until__lt=now())
    with transaction.atomic():
        export = Export.objects.select_for_update(skip_locked=True).filter(free, pk=export_id).first()
        if export is None:
            return None
        export.state = State.RUNNING.value
        export.fence += 1
        export.attempts += 1
        export.leased_until = now() + lease
        export.save(update_fields=["state", "fence", "attempts", "leased_until"])
        return export


def held(export: Export) -> QuerySet[Export]:
    """The row for as long as the holder of ``export.fence`` may change it; no row once it may not."""
    return Export.objects.filter(pk=export.pk, fence=export.fence, state=State.RUNNING.value)


def keep(export: Export, lease: timedelta = LEASE) -> bool:
    """Hold the export for another ``lease``; False when it is lost."""
    return bool(held(export).update(leased_until=now() + lease))


def progressed(export: Export, done: int, total: int) -> None:
    """How far it is. Raises LeaseLostError. An attempt that got further than the one before it counts as the first."""
    further = {"attempts": 1} if done > export.done else {}
    if not held(export).update(done=done, total=total, leased_until=now() + LEASE, **further):
        raise _lost()
    export.done, export.total = done, total
    export.attempts = further.get("attempts", export.attempts)


def finish(export: Export, made: Exported, by: Actor) -> None:
    """The bundle is complete: permission is asked again, and the entry about it stands or falls with the row."""
    asked = asked_of(export)
    with door.open(by, Action.TRAIL_EXPORT, on=TRAIL) as entry:
        ended = {"state": State.DONE.value, "finished_at": now(), "leased_until": None, "error": ""}
        counted = {"done": made.entries, "total": made.entries, "digest": made.digest, "bytes": made.bytes}
        if not held(export).update(**ended, **counted):
            raise _lost()
        entry.record(after=made.told(export.log), private={"query": str(asked.described())})
    if entry.appended is not None:
        Export.objects.filter(pk=export.pk).update(event_id=entry.appended.id)


def fail(export: Export, sentence: str) -> None:
    """It is not tried again. Raises LeaseLostError."""
    ended = {"state": State.FAILED.value, "finished_at": now(), "leased_until": None}
    if not held(export).update(**ended, error=sentence[:_MOST_SENTENCE]):
        raise _lost()


def retry(export: Export, sentence: str) -> None:
    """Put it back into the queue after an attempt that did not come to an end. Raises LeaseLostError."""
    again_at = now() + RETRY_AFTER * export.attempts
    back = {"state": State.QUEUED.value, "leased_until": again_at, "error": sentence[:_MOST_SENTENCE]}
    if not held(export).update(**back):
        raise _lost()


def _lost() -> LeaseLostError:
    return LeaseLostError("This export was taken over by another worker.")


# -- sweeping ----------------------------------------------------------------------------------------------------------


def sweep() -> int:
    """Wake what nobody took: exports whose wake-up was lost, that are due again, or whose worker died. How many."""
    moment = now()
    waiting = Q(state=State.QUEUED.value, leased_until=None, asked_at__lt=moment - LOST_AFTER)
    due = Q(state__in=_LIVE, leased_until__lt=moment)
    woken = list(Export.objects.filter(waiting | due).order_by("asked_at"))
    for export in woken:
        wake(export)
        still_waiting = Export.objects.filter(pk=export.pk, state=State.QUEUED.value, fence=export.fence)
        still_waiting.update(leased_until=moment + WAKE_AGAIN)
    return len(woken)


def expire() -> int:
    """Remove the files of exports that were kept long enough, and forget what was asked; how many."""
    ended = (State.DONE.value, State.FAILED.value)
    return _remove(Export.objects.filter(state__in=ended, finished_at__lt=now() - KEPT))


def forget(account: str) -> int:
    """Remove an account's exports and what it asked for, those that are being made included; how many."""
    return _remove(Export.objects.filter(account=account).exclude(state=State.GONE.value))


def _remove(chosen: QuerySet[Export]) -> int:
    old = list(chosen)
    for export in old:
        file_of(export).unlink(missing_ok=True)
        Export.objects.filter(pk=export.pk).update(state=State.GONE.value, query={})
    return len(old)
