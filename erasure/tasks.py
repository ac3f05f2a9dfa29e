"""Celery tasks of the erasure app. Ids in, one call; what is to be done stands in the request's row."""

from celery import shared_task
from django.db import close_old_connections

from erasure.actions import discovery, execution, sweeping


@shared_task(name="erasure.tasks.discover")
def discover(request_id: str) -> None:
    """Search for the person of a request and make its plan."""
    close_old_connections()
    discovery.run(request_id)
    close_old_connections()


@shared_task(name="erasure.tasks.execute")
def execute(request_id: str) -> None:
    """Carry out the approved plan of a request."""
    close_old_connections()
    execution.run(request_id)
    close_old_connections()


@shared_task(name="erasure.tasks.sweep")
def sweep() -> None:
    """Wake the requests that nobody works on."""
    close_old_connections()
    sweeping.sweep()
    close_old_connections()
