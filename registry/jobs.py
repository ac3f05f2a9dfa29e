"""The rows behind the work of Celery's workers: who holds a job, until when, and what became of it.

Celery only wakes workers; the truth is here. A worker *claims* a job by a lease and a fencing token, keeps the lease
alive while it works, and *finishes* in the transaction that attaches the result: a worker that lost its lease to
another holds an old token and changes nothing. What a job does is not here (``registry/actions/work.py`` carries one
out). ``registry_job`` is bookkeeping and needs no door; the evidence that comes of it does.
"""

import logging
import uuid
from datetime import timedelta
from typing import Final

from celery import current_app
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from audit.clock import now
from audit.errors import Conflict
from registry.models import Job, ModelVersion
from registry.states import JOB_TASKS, JobKind, JobState

log = logging.getLogger("plimsoll.jobs")

LIVE: Final = (JobState.QUEUED.value, JobState.RUNNING.value)
LEASE: Final = timedelta(minutes=2)
MOST_ATTEMPTS: Final = 3
# A job whose wake-up was lost is woken again after this time, and from then on at this interval.
LOST_AFTER: Final = timedelta(seconds=20)
WAKE_AGAIN: Final = timedelta(minutes=1)
RETRY_AFTER: Final = timedelta(seconds=10)
_MOST_SENTENCE: Final = 2000
_TRIES: Final = 3


class LeaseLostError(Conflict):
    """Another worker holds this job now; whatever the first one has made does not count."""

    code = "lease_lost"


def enqueue(*, version: ModelVersion, kind: JobKind, requested_by: str) -> Job:
    """The live job of this kind for ``version``: a new one, or the one that waits or runs already.

    Inside the transaction of whatever asks for it; the worker is woken when that commits. A broker that is down does
    not fail the request: the failure is logged and the sweep wakes the job later.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("A job belongs into the transaction of what asks for it.")
    wanted = Job(version=version, kind=kind.value, requested_by=requested_by)
    for _ in range(_TRIES):
        # Two transactions may ask at once: the constraint lets one through and the other takes what is there.
        Job.objects.bulk_create([wanted], ignore_conflicts=True)
        job = Job.objects.filter(version=version, kind=kind.value, state__in=LIVE).first()
        if job is not None:
            break
    else:
        raise Conflict(f"The {kind.value} job of {version} ended this moment; ask again.", code="job_ended")
    if job.pk == wanted.pk:
        transaction.on_commit(lambda: wake(job), robust=True)
    return job


def wake(job: Job) -> None:
    """Tell the workers that there is something to do. Raises what the broker raises."""
    current_app.send_task(JOB_TASKS[JobKind(job.kind)], [str(job.pk)], retry=False)


def claim(job_id: str | uuid.UUID, lease: timedelta = LEASE) -> Job | None:
    """Take the job for ``lease``, or None when it is not to be had: unknown, ended, or held by another worker.

    The job comes back with its new ``fence``. ``attempts`` counts this one in; it may be beyond ``MOST_ATTEMPTS``
    when workers were lost over it, and then the caller gives it up.
    """
    with transaction.atomic():
        free = Q(state=JobState.QUEUED.value) | Q(state=JobState.RUNNING.value, leased_until__lt=now())
        locked = Job.objects.select_for_update(skip_locked=True, of=("self",)).filter(free, pk=job_id)
        job = locked.select_related("version__model").first()
        if job is None:
            return None
        job.state = JobState.RUNNING.value
        job.fence += 1
        job.attempts += 1
        job.leased_until = now() + lease
        job.save(update_fields=["state", "fence", "attempts", "leased_until"])
        return job


def held(job: Job, fence: int) -> QuerySet[Job]:
    """The row of ``job`` for as long as the holder of ``fence`` may change it; no row once it may not."""
    return Job.objects.filter(pk=job.pk, fence=fence, state=JobState.RUNNING.value)


def keep(job: Job, fence: int, lease: timedelta = LEASE) -> bool:
    """Hold the job for another ``lease``; False when it is lost."""
    return bool(held(job, fence).update(leased_until=now() + lease))


def finish(job: Job, fence: int) -> None:
    """The job is done. In the transaction that attaches its result, so that both count or neither.

    Raises LeaseLostError when ``fence`` is not the job's present token.
    """
    _end(job, fence, JobState.DONE, "")


def abandon(job: Job, fence: int, sentence: str) -> None:
    """The job is not tried again. The caller records why, in the same transaction. Raises LeaseLostError."""
    _end(job, fence, JobState.FAILED, sentence)


def retry(job: Job, fence: int, sentence: str) -> None:
    """Put the job back into the queue after an attempt that did not come to an end. Raises LeaseLostError."""
    again_at = now() + RETRY_AFTER * job.attempts
    back = {"state": JobState.QUEUED.value, "leased_until": again_at, "error": sentence[:_MOST_SENTENCE]}
    if not held(job, fence).update(**back):
        raise _lost(job)


def _end(job: Job, fence: int, state: JobState, sentence: str) -> None:
    if not connection.in_atomic_block:
        raise RuntimeError("A job ends in the transaction of its result.")
    ended = {"state": state.value, "leased_until": None, "finished_at": now(), "error": sentence[:_MOST_SENTENCE]}
    if not held(job, fence).update(**ended):
        raise _lost(job)


def _lost(job: Job) -> LeaseLostError:
    return LeaseLostError(f"The {job.kind} job of {job.version} was taken over by another worker.")


def sweep() -> int:
    """Wake again what nobody took: jobs whose wake-up was lost, that are due for another attempt, or whose worker died.

    While a job waits, ``leased_until`` is the time before which it is not woken again, so that a long queue does not
    fill the broker. How many were woken.
    """
    moment = now()
    waiting = Q(state=JobState.QUEUED.value, leased_until=None, created_at__lt=moment - LOST_AFTER)
    due = Q(state=JobState.QUEUED.value, leased_until__lt=moment)
    orphaned = Q(state=JobState.RUNNING.value, leased_until__lt=moment)
    woken = list(Job.objects.filter(waiting | due | orphaned).order_by("created_at"))
    for job in woken:
        wake(job)
        still_waiting = Job.objects.filter(pk=job.pk, state=JobState.QUEUED.value, fence=job.fence)
        still_waiting.update(leased_until=moment + WAKE_AGAIN)
    if woken:
        log.info("jobs were woken again", extra={"jobs": len(woken)})
    return len(woken)
