"""Celery tasks of the registry. Ids in, one call; what is to be done stands in the job's row."""

from celery import shared_task

from registry import delivery, jobs
from registry.actions import adopting, artifacts, checks, runs, work


@shared_task(name="registry.tasks.pin_artifact")
def pin_artifact(job_id: str) -> None:
    """Read, hash and keep the files of a version."""
    work.run(job_id, artifacts.pin)


@shared_task(name="registry.tasks.check_artifact")
def check_artifact(job_id: str) -> None:
    """Read the files of a version again and compare them with what was pinned."""
    work.run(job_id, checks.check, checks.give_up)


@shared_task(name="registry.tasks.adopt_data_sets")
def adopt_data_sets(job_id: str) -> None:
    """Register and link the data sets that a version's run logged."""
    work.run(job_id, adopting.adopt, adopting.give_up)


@shared_task(name="registry.tasks.sweep_checks")
def sweep_checks() -> None:
    """Have the files checked whose turn it is."""
    with work.own_connections():
        checks.sweep()


@shared_task(name="registry.tasks.read_runs")
def read_runs() -> None:
    """Keep what tracking tells of the runs that new versions came from."""
    with work.own_connections():
        runs.sweep()


@shared_task(name="registry.tasks.sweep")
def sweep() -> None:
    """Wake the jobs that nobody works on."""
    with work.own_connections():
        jobs.sweep()


@shared_task(name="registry.tasks.deliver")
def deliver(webhook_id: str) -> None:
    """Send what is due for a webhook."""
    with work.own_connections():
        delivery.run(webhook_id)


@shared_task(name="registry.tasks.sweep_webhooks")
def sweep_webhooks() -> None:
    """Wake the webhooks for which something waits, and drop what is old."""
    with work.own_connections():
        delivery.sweep()
