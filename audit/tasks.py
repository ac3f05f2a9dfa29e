"""Celery tasks of the audit app. Ids in, one call; what is to be done stands in the export's row."""

from celery import shared_task

from audit import exporting, exports


@shared_task(name=exports.TASK)
def export(export_id: str) -> None:
    """Make an export of the trail."""
    exporting.run(export_id)


@shared_task(name="audit.tasks.sweep")
def sweep() -> None:
    """Wake the exports that nobody works on, and remove those that were kept long enough."""
    with exporting.own_connections():
        exports.sweep()
        exports.expire()
