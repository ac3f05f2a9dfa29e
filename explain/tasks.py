"""Celery tasks of the explain app. Ids in, one call; what is to be done stands in the job's row."""

from celery import shared_task

from explain import actions
from registry.actions import work


@shared_task(name="explain.tasks.predict")
def predict(job_id: str) -> None:
    """Predict the evaluation data of a version."""
    work.run(job_id, actions.predict)


@shared_task(name="explain.tasks.report")
def report(job_id: str) -> None:
    """Make the explanation report of a version."""
    work.run(job_id, actions.report)
