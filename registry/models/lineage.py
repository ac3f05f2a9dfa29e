"""Data sets and what they were to a model version."""

from django.db import models
from django.db.models import Q

from audit.clock import now
from audit.ids import uuid7
from audit.subjects import Subject
from registry.models.model import ModelVersion
from registry.states import Classification, DataRole, DataState


class DataSet(models.Model):
    """One pinned data set: a name, a number under that name, and the digest of its bytes computed by us.

    ``columns`` is a list of {name, type}; ``identifiers`` maps a column to the kind of identifier it holds;
    ``protected`` is a list of {name, column, privileged: {op, value}}; ``label`` and ``favourable`` say what is
    predicted and which value is the good one. ``path``, of a file or of a folder of files, is relative to the
    installation's data folder; ``location`` is the address the bytes were read from, empty when they were uploaded.
    ``owner`` is the account that answers for the data, ``retention`` the installation's own name of a class.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=256)
    number = models.PositiveIntegerField()
    role = models.CharField(max_length=20, choices=[(role.value, role.value) for role in DataRole])
    digest = models.CharField(max_length=64)
    manifest = models.JSONField()
    rows = models.BigIntegerField()
    columns = models.JSONField()
    identifiers = models.JSONField(default=dict)
    protected = models.JSONField(default=list)
    label = models.CharField(max_length=256, blank=True)
    favourable = models.JSONField(null=True)
    excluded = models.JSONField(default=list)
    path = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=10, default=DataState.PRESENT.value)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="children")
    # MLflow's own digest: a note from a foreign system, never identity.
    mlflow_digest = models.CharField(max_length=64, blank=True)
    location = models.CharField(max_length=1000, blank=True)
    owner = models.CharField(max_length=64, blank=True)
    classification = models.CharField(
        max_length=20, blank=True, choices=[(one.value, one.value) for one in Classification]
    )
    retention = models.CharField(max_length=40, blank=True)
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["name", "number"], name="registry_dataset_number_once"),
            models.CheckConstraint(
                condition=Q(state=DataState.ERASED.value, path="") | Q(state=DataState.PRESENT.value) & ~Q(path=""),
                name="registry_dataset_erased_has_no_path",
            ),
        )
        indexes = (models.Index(fields=["digest"], name="registry_dataset_digest"),)

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"

    def subject(self) -> Subject:
        return Subject(type="data_set", id=str(self.pk), scope=self.name, label=str(self))


class VersionDataSet(models.Model):
    """A model version was trained, validated or evaluated on a data set."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="data_links")
    data_set = models.ForeignKey(DataSet, on_delete=models.PROTECT, related_name="version_links")
    role = models.CharField(max_length=20, choices=[(role.value, role.value) for role in DataRole])
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["version", "data_set", "role"], name="registry_link_once"),)

    def __str__(self) -> str:
        return f"{self.role}: {self.data_set}"


class ForeignDataSet(models.Model):
    """A data set that a version's run logged to MLflow and that was not taken over: what MLflow says of it, and why.

    A note, never identity: MLflow's digest covers the first rows only. ``said`` is {schema, profile, source}.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="foreign_data_sets")
    name = models.CharField(max_length=500)
    mlflow_digest = models.CharField(max_length=64, blank=True)
    role = models.CharField(max_length=20, blank=True)
    source_type = models.CharField(max_length=40, blank=True)
    said = models.JSONField(default=dict)
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["version", "name", "mlflow_digest", "role"], name="registry_foreigndataset_once"
            ),
        )

    def __str__(self) -> str:
        return self.name
