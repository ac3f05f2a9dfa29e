"""Celery tasks of the audit app. Ids in, one call; what is to be done stands in rows of the database."""

from celery import shared_task

from audit import erase, exporting, exports


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


@shared_task(name="audit.tasks.forget")
def forget() -> None:
    """Delete the openings of people whose erasure was decided and not carried out."""
    erase.carry_out()
