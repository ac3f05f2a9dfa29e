"""Reads of checks and alarms: how the files of versions stand."""

from django.db.models import QuerySet

from audit.actors import Actor
from audit.events import Action
from registry import rules
from registry.models import ArtifactAlarm, ArtifactCheck, ModelVersion, RegisteredModel
from registry.queries import visible


def standing(version: ModelVersion) -> tuple[ArtifactCheck | None, ArtifactAlarm | None]:
    """The newest check of a version, and the alarm that keeps it from being promoted. The version was fetched through
    ``visible``.
    """
    return ArtifactCheck.objects.filter(version=version).first(), rules.alarm_on(version)


def alarms(by: Actor, *, standing: bool) -> QuerySet[ArtifactAlarm]:
    """The alarms on versions that ``by`` may have checked, newest first; ``standing`` leaves out the cleared ones."""
    rows = ArtifactAlarm.objects.filter(version__in=visible.versions(by, Action.ARTIFACT_CHECK))
    if standing:
        rows = rows.filter(cleared_at=None)
    return rows.select_related("version__model").order_by("-raised_at", "-id")


def alarms_on(model: RegisteredModel) -> QuerySet[ArtifactAlarm]:
    """The standing alarms on the versions of a model, which was fetched through ``visible``."""
    rows = ArtifactAlarm.objects.filter(version__model=model, version__deleted_at=None, cleared_at=None)
    return rows.select_related("version__model").order_by("-version__number")
