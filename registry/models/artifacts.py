"""What is known of a version's files since they were pinned: the newest check, and the alarms that checks raised."""

from django.db import models
from django.db.models import Q

from audit.clock import now
from audit.ids import uuid7
from audit.subjects import Subject
from registry.models.model import ModelVersion
from registry.states import CheckOutcome


class ArtifactCheck(models.Model):
    """The newest check of a version's files, and when the next one is due. Bookkeeping: what a check *means* is in the
    alarm it raised and in the entries of the trail.

    ``found`` maps a place (``copy``, ``source``) to {outcome, sentence, differing: [{path, how}], more}.
    """

    version = models.OneToOneField(
        ModelVersion, on_delete=models.CASCADE, primary_key=True, related_name="artifact_check"
    )
    outcome = models.CharField(max_length=15, choices=[(one.value, one.value) for one in CheckOutcome])
    found = models.JSONField(default=dict)
    checked_at = models.DateTimeField(default=now)
    due_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=["due_at"], name="registry_check_due"),)

    def __str__(self) -> str:
        return f"{self.outcome}: {self.version}"


class ArtifactAlarm(models.Model):
    """Files of a version were found to differ from what was pinned. It stands until a check finds every byte right.

    ``found`` is as in the check that raised it; ``digest`` is the pinned one.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="artifact_alarms")
    digest = models.CharField(max_length=64)
    found = models.JSONField()
    raised_at = models.DateTimeField(default=now)
    cleared_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["version"], condition=Q(cleared_at=None), name="registry_alarm_one_standing"
            ),
        )
        indexes = (
            models.Index(fields=["digest"], condition=Q(cleared_at=None), name="registry_alarm_standing"),
            models.Index(fields=["-raised_at", "-id"], name="registry_alarm_recent"),
        )

    def __str__(self) -> str:
        return f"alarm on the files of {self.version}"

    def subject(self) -> Subject:
        return Subject(type="artifact_alarm", id=str(self.pk), scope=self.version.model.name, label=str(self))
