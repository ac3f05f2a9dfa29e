"""Carrying out one job: take it, keep hold of it, do it, write down how it ended. Celery's tasks are calls of this.

What a job does is handed in. The rows and their leases are ``registry/jobs.py``.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from django.db import DatabaseError, close_old_connections, connection, transaction

from audit.errors import DomainError
from registry import jobs
from registry.actions import evidence
from registry.models import Job

log = logging.getLogger("plimsoll.jobs")


class GiveUp(Protocol):
    """What ends a job that is not tried again; for reports, ``evidence.give_up``."""

    def __call__(self, *, job: Job, fence: int, sentence: str) -> object: ...


def run(job_id: str, do: Callable[[Job], object], give_up: GiveUp = evidence.give_up) -> None:
    """Do the job if it is to be had; never raises for what goes wrong inside it.

    ``do`` attaches its result and so ends the job. When it raises, the job is tried again, up to three times; then
    ``give_up`` ends it: for a report, an ERROR stands where it would be.
    """
    with own_connections():
        job = jobs.claim(job_id)
        if job is None:
            log.info("job is gone, done, or in other hands", extra={"job": job_id})
        else:
            _carry_out(job, do, give_up)


@contextmanager
def own_connections() -> Iterator[None]:
    """A task begins and ends without a database connection that went stale while the worker was idle.

    Within somebody else's transaction (a task that is called directly) the connection is theirs and stays.
    """
    theirs = connection.in_atomic_block
    if not theirs:
        close_old_connections()
    try:
        yield
    finally:
        if not theirs:
            close_old_connections()


def _carry_out(job: Job, do: Callable[[Job], object], give_up: GiveUp) -> None:
    facts = {"job": str(job.pk), "kind": job.kind, "attempt": job.attempts}
    try:
        if job.version.deleted_at is not None:
            with transaction.atomic():
                jobs.abandon(job, job.fence, "The model version was deleted.")
        elif job.attempts > jobs.MOST_ATTEMPTS:
            sentence = f"The worker was lost {jobs.MOST_ATTEMPTS} times while it worked on this."
            give_up(job=job, fence=job.fence, sentence=job.error or sentence)
        else:
            _attempt(job, do, give_up)
        log.info("job ended", extra=facts)
    except jobs.LeaseLostError:
        log.warning("job was taken over by another worker", extra=facts)


def _attempt(job: Job, do: Callable[[Job], object], give_up: GiveUp) -> None:
    try:
        with _held(job):
            do(job)
    except jobs.LeaseLostError:
        raise
    except DomainError as error:
        _failed(job, error.sentence, give_up)
    except Exception as error:
        # Whatever a job dies of, its row must say so; the log has the rest.
        log.exception("job failed", extra={"job": str(job.pk), "kind": job.kind})
        _failed(job, f"The job ended with an unexpected error ({type(error).__name__}).", give_up)


def _failed(job: Job, sentence: str, give_up: GiveUp) -> None:
    if job.attempts < jobs.MOST_ATTEMPTS:
        jobs.retry(job, job.fence, sentence)
    else:
        give_up(job=job, fence=job.fence, sentence=sentence)


@contextmanager
def _held(job: Job) -> Iterator[None]:
    """Prolong the lease from a thread while the work lasts: a worker that dies is noticed within one lease."""
    done = threading.Event()
    thread = threading.Thread(target=_prolong, args=(job, done), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _prolong(job: Job, done: threading.Event) -> None:
    try:
        while not done.wait(jobs.LEASE.total_seconds() / 3):
            if not jobs.keep(job, job.fence):
                log.warning("the lease is lost", extra={"job": str(job.pk)})
                return
    except DatabaseError:
        # The work goes on: if the lease runs out before it ends, the fence keeps its result from counting twice.
        log.exception("the lease could not be prolonged", extra={"job": str(job.pk)})
    finally:
        connection.close()  # this thread's own
