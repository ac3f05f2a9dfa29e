"""Where a version came from, besides its files and data: the run that made it, the versions it grew from."""

from django.db import models

from audit.clock import now
from registry.models.model import ModelVersion
from registry.states import ParentKind


class VersionRun(models.Model):
    """The facts of a version's run as tracking told them, kept so that lineage stays when tracking is away.

    ``params`` is {name: value} as MLflow has them, text each; ``data`` a list of {name, digest, source_type, context}
    of the data sets that the run logged, MLflow's own digests. Who ran it is not kept: that is the trail's.
    """

    version = models.OneToOneField(ModelVersion, on_delete=models.CASCADE, related_name="run_facts")
    run_id = models.CharField(max_length=32)
    name = models.CharField(max_length=250, blank=True)
    experiment = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=20, blank=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    commit = models.CharField(max_length=64, blank=True)
    repository = models.CharField(max_length=500, blank=True)
    entry_point = models.CharField(max_length=500, blank=True)
    params = models.JSONField(default=dict)
    data = models.JSONField(default=list)
    fetched_at = models.DateTimeField(default=now)

    class Meta:
        indexes = (models.Index(fields=["run_id"], name="registry_run_versions"),)

    def __str__(self) -> str:
        return self.run_id


class VersionParent(models.Model):
    """A version was copied or fine-tuned from another. The parent's name stays when the parent's model is deleted."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="parents")
    parent = models.ForeignKey(ModelVersion, on_delete=models.SET_NULL, null=True, related_name="offspring")
    parent_name = models.CharField(max_length=256)
    parent_number = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, choices=[(kind.value, kind.value) for kind in ParentKind])
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["version", "parent_name", "parent_number", "kind"], name="registry_parent_once"
            ),
            models.CheckConstraint(condition=~models.Q(version=models.F("parent")), name="registry_parent_is_other"),
        )

    def __str__(self) -> str:
        return f"{self.kind} of {self.parent_name} v{self.parent_number}"
