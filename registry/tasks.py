"""Celery tasks of the registry. Ids in, one call; what is to be done stands in the job's row."""

from celery import shared_task

from registry import jobs
from registry.actions import artifacts, work


@shared_task(name="registry.tasks.pin_artifact")
def pin_artifact(job_id: str) -> None:
    """Read, hash and keep the files of a version."""
    work.run(job_id, artifacts.pin)


@shared_task(name="registry.tasks.sweep")
def sweep() -> None:
    """Wake the jobs that nobody works on."""
    with work.own_connections():
        jobs.sweep()
