"""The history of stages and aliases: which version held which, from when to when, and on whose act."""

from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models

from registry.models.model import ModelVersion, RegisteredModel
from registry.models.promotion import Grant
from registry.states import TenureKind


class Tenure(models.Model):
    """One version held one stage or alias during ``period``, half-open, without an end while it lasts.

    Written by triggers on the tables of versions and aliases (migration 0006), so that no way of changing a stage goes
    around it; a row is never deleted, and the only change is to give it an end. It refers to models and versions
    without a foreign key: it stays when they are gone. ``sole`` rows (aliases, protected stages) exclude each other in
    time. ``by`` is an account id; ``action`` names the door that was open.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=10, choices=[(kind.value, kind.value) for kind in TenureKind])
    name = models.CharField(max_length=255)
    model = models.ForeignKey(
        RegisteredModel, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    version = models.ForeignKey(
        ModelVersion, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="tenures"
    )
    period = DateTimeRangeField()
    sole = models.BooleanField()
    by = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=60, blank=True)
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, null=True, db_index=False, related_name="+")
    ended_by = models.CharField(max_length=64, blank=True)
    ended_action = models.CharField(max_length=60, blank=True)
    ended_grant = models.ForeignKey(Grant, on_delete=models.PROTECT, null=True, db_index=False, related_name="+")

    class Meta:
        indexes = (
            models.Index(fields=["model", "-id"], name="registry_tenure_of_model"),
            models.Index(fields=["version", "-id"], name="registry_tenure_of_version"),
            models.Index(fields=["model", "kind", "name", "-id"], name="registry_tenure_of_name"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
