"""Celery tasks of the fairness app. Ids in, one call; what is to be done stands in the job's row."""

from celery import shared_task

from fairness import actions
from registry.actions import work


@shared_task(name="fairness.tasks.report")
def report(job_id: str) -> None:
    """Make the fairness report of a version."""
    work.run(job_id, actions.report)
