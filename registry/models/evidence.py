"""Evidence and the jobs that produce it."""

from django.db import models
from django.db.models import Q

from audit.clock import now
from audit.ids import uuid7
from audit.subjects import Subject
from registry.models.model import ModelVersion
from registry.states import JobKind, JobState


class Evidence(models.Model):
    """One immutable piece of evidence: what was computed from what, with what, and the digest of the result.

    ``inputs`` are digests by name; ``versions`` the libraries; ``result`` the report as JSON. The same inputs and seed
    give the same ``result_digest`` (SHA-256 over the RFC 8785 form of ``result``).
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="evidence")
    kind = models.CharField(max_length=20)
    status = models.CharField(max_length=10)
    reason = models.TextField(blank=True)
    inputs = models.JSONField()
    versions = models.JSONField(default=dict)
    seed = models.BigIntegerField(null=True)
    result = models.JSONField()
    result_digest = models.CharField(max_length=64)
    # A file with row-level content (predictions), relative to the data folder; emptied by an erasure.
    path = models.CharField(max_length=500, blank=True)
    requested_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        indexes = (models.Index(fields=["version", "kind", "-created_at"], name="registry_evidence_newest"),)

    def __str__(self) -> str:
        return f"{self.kind} of {self.version}"

    def subject(self) -> Subject:
        return Subject(type="evidence", id=str(self.pk), scope=self.version.model.name, label=str(self))


class Job(models.Model):
    """Work to be done for a version. A worker holds it by a lease and a fencing token; a sweep wakes it again."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="jobs")
    kind = models.CharField(max_length=20, choices=[(kind.value, kind.value) for kind in JobKind])
    state = models.CharField(max_length=10, default=JobState.QUEUED.value)
    fence = models.PositiveIntegerField(default=0)
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    requested_by = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["version", "kind"],
                condition=Q(state__in=[JobState.QUEUED.value, JobState.RUNNING.value]),
                name="registry_job_one_live",
            ),
        )
        indexes = (
            models.Index(
                fields=["created_at"],
                condition=Q(state__in=[JobState.QUEUED.value, JobState.RUNNING.value]),
                name="registry_job_waiting",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} of {self.version}"

    def subject(self) -> Subject:
        return Subject(type="job", id=str(self.pk), scope=self.version.model.name, label=str(self))
