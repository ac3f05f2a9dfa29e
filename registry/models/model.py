"""Registered models, their versions, tags and aliases."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import MD5

from audit.clock import now
from audit.ids import uuid7
from audit.subjects import Subject
from registry.states import PROMPT_TAG, Stage, VersionStatus

_PROMPT = Q(key=PROMPT_TAG, value="true")


def _of_present(name: str, *fields: str) -> models.Index:
    return models.Index(fields=fields, condition=Q(deleted_at=None), name=f"registry_version_{name}")


class RegisteredModel(models.Model):
    """A name under which versions are registered. ``created_by`` is an account id; names live in ``access``."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=256, unique=True)
    description = models.CharField(max_length=5000, null=True)
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    # The highest number ever given to a version; numbers are not used again.
    last_number = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = (models.Index(fields=["-updated_at", "name"], name="registry_model_recent"),)

    def __str__(self) -> str:
        return self.name

    def subject(self) -> Subject:
        return Subject(type="registered_model", id=str(self.pk), scope=self.name, label=self.name)


class ModelVersion(models.Model):
    """One version: where its files are, what they hash to, and the stage it is in."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # The foreign keys of these tables have no index of their own: a unique constraint begins with them.
    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="versions", db_index=False)
    number = models.PositiveIntegerField()
    description = models.CharField(max_length=5000, null=True)
    source = models.CharField(max_length=500)
    storage_location = models.CharField(max_length=500, blank=True)
    run_id = models.CharField(max_length=32, blank=True)
    run_link = models.CharField(max_length=500, blank=True)
    logged_model_id = models.CharField(max_length=64, blank=True)
    stage = models.CharField(max_length=20, default=Stage.NONE.value)
    # Whether the stage, which the shipped policies protect, was entered while this installation protected nothing.
    # Only such a version may share its stage: whoever forgets the column gets the strict rule.
    stage_open = models.BooleanField(default=False, db_default=False)
    status = models.CharField(max_length=30, default=VersionStatus.READY.value)
    status_message = models.CharField(max_length=500, blank=True)
    created_by = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    deleted_at = models.DateTimeField(null=True)
    # SHA-256 over the canonical manifest of the version's files, once a job has read every byte.
    artifact_digest = models.CharField(max_length=64, blank=True)
    artifact_manifest = models.JSONField(null=True)
    artifact_pinned_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["model", "number"], name="registry_version_number_once"),
            models.CheckConstraint(
                condition=Q(stage__in=[stage.value for stage in Stage]), name="registry_version_stage_known"
            ),
            models.UniqueConstraint(
                fields=["model"],
                condition=Q(stage=Stage.PRODUCTION.value, stage_open=False),
                name="registry_version_one_in_production",
            ),
            models.CheckConstraint(
                condition=Q(stage_open=False) | Q(stage=Stage.PRODUCTION.value), name="registry_version_open_stage"
            ),
        )
        # Every order and filter of the searches has its index; deleted versions are in none of them.
        indexes = (
            _of_present("recent", "-updated_at", "model", "-number"),
            _of_present("newest", "-created_at", "model", "-number"),
            _of_present("highest", "-number"),
            _of_present("of_model", "model", "-updated_at", "-number"),
            _of_present("latest", "model", "stage", "-number"),
            models.Index(fields=["run_id"], opclasses=["varchar_pattern_ops"], name="registry_version_run"),
            models.Index(fields=["source"], opclasses=["varchar_pattern_ops"], name="registry_version_source"),
            models.Index(
                fields=["storage_location"], opclasses=["varchar_pattern_ops"], name="registry_version_storage"
            ),
            models.Index(fields=["logged_model_id"], opclasses=["varchar_pattern_ops"], name="registry_version_logged"),
        )

    def __str__(self) -> str:
        return f"{self.model.name} v{self.number}"

    def subject(self) -> Subject:
        return Subject(type="model_version", id=str(self.pk), scope=self.model.name, label=str(self))


class ModelTag(models.Model):
    """A key and a value on a registered model."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="tags", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["model", "key"], name="registry_modeltag_once"),)
        indexes = (
            # A value may be longer than an entry of an index; its hash is not.
            models.Index("key", MD5("value"), "model", name="registry_modeltag_found"),
            models.Index(fields=["model"], condition=_PROMPT, name="registry_prompt_models"),
        )

    def __str__(self) -> str:
        return self.key


class VersionTag(models.Model):
    """A key and a value on a model version."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="tags", db_index=False)
    key = models.CharField(max_length=250)
    value = models.TextField(blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["version", "key"], name="registry_versiontag_once"),)
        indexes = (
            models.Index("key", MD5("value"), "version", name="registry_versiontag_found"),
            models.Index(fields=["version"], condition=_PROMPT, name="registry_prompt_versions"),
        )

    def __str__(self) -> str:
        return self.key


class Alias(models.Model):
    """A name that points at one version of a model."""

    model = models.ForeignKey(RegisteredModel, on_delete=models.CASCADE, related_name="aliases", db_index=False)
    name = models.CharField(max_length=255)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        constraints = (models.UniqueConstraint(fields=["model", "name"], name="registry_alias_once"),)

    def __str__(self) -> str:
        return f"{self.model.name}@{self.name}"


class StageChange(models.Model):
    """Which version left or entered which stage, when, and on whose promotion: the history behind "as of"."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="stage_changes")
    from_stage = models.CharField(max_length=20)
    to_stage = models.CharField(max_length=20)
    at = models.DateTimeField(default=now)
    by = models.CharField(max_length=64)
    grant = models.ForeignKey("registry.Grant", on_delete=models.PROTECT, null=True, related_name="+")

    def __str__(self) -> str:
        return f"{self.from_stage} → {self.to_stage}"
