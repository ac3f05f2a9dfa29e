"""Promotion requests, decisions and grants."""

from collections.abc import Iterable
from uuid import UUID

from django.db import models
from django.db.models import Q

from audit.clock import now
from audit.ids import uuid7
from audit.subjects import Subject
from registry.models.lineage import VersionDataSet
from registry.models.model import ModelVersion, RegisteredModel
from registry.states import LIVE, DecisionKind, GrantState, RequestState


class PromotionRequest(models.Model):
    """Somebody asks that a version reach a protected stage.

    ``sections`` holds one digest per thing the reviewer judges, ``subject_digest`` one over all of them;
    ``policy`` is the policy as it stood when the request was opened.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    model = models.ForeignKey(RegisteredModel, on_delete=models.PROTECT, related_name="promotion_requests")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="promotion_requests")
    target_stage = models.CharField(max_length=20)
    alias = models.CharField(max_length=255)
    justification = models.TextField()
    state = models.CharField(max_length=20, default=RequestState.OPEN.value)
    policy = models.JSONField()
    policy_digest = models.CharField(max_length=64)
    sections = models.JSONField()
    subject_digest = models.CharField(max_length=64)
    requested_by = models.CharField(max_length=64)
    opened_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["model", "target_stage"],
                condition=Q(state__in=sorted(state.value for state in LIVE)),
                name="registry_request_one_live",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in RequestState]), name="registry_request_state_known"
            ),
        )
        indexes = (models.Index(fields=["state", "opened_at"], name="registry_request_inbox"),)

    def __str__(self) -> str:
        return f"{self.version} to {self.target_stage}"

    def subject(self) -> Subject:
        return self.subjects_of([self])[0]

    @staticmethod
    def subjects_of(rows: "Iterable[PromotionRequest]") -> list[Subject]:
        """The subjects of some requests (fetched with model and version), with who stands in which relation to each,
        from what was recorded: relation → account ids. One query, however many there are.
        """
        listed = list(rows)
        owners: dict[UUID, set[str]] = {}
        links = VersionDataSet.objects.filter(version__in={row.version_id for row in listed})
        for version, *people in links.values_list("version_id", "data_set__created_by", "data_set__owner"):
            owners.setdefault(version, set()).update(filter(None, people))
        return [
            Subject(
                type="promotion_request",
                id=str(row.pk),
                scope=row.model.name,
                label=str(row),
                involved={
                    "requester": frozenset({row.requested_by}),
                    "version_author": frozenset({row.version.created_by}),
                    "data_owner": frozenset(owners.get(row.version_id, ())),
                },
            )
            for row in listed
        ]


class Decision(models.Model):
    """What one reviewer said of one exact content. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request = models.ForeignKey(PromotionRequest, on_delete=models.PROTECT, related_name="decisions")
    kind = models.CharField(max_length=30, choices=[(kind.value, kind.value) for kind in DecisionKind])
    by = models.CharField(max_length=64)
    comment = models.TextField(blank=True)
    subject_digest = models.CharField(max_length=64)
    sections = models.JSONField()
    created_at = models.DateTimeField(default=now)

    class Meta:
        indexes = (models.Index(fields=["request", "created_at"], name="registry_decision_order"),)

    def __str__(self) -> str:
        return f"{self.kind} on {self.request}"


class Grant(models.Model):
    """The signed permission that applying a promotion issued: a DSSE envelope around an in-toto statement."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request = models.OneToOneField(PromotionRequest, on_delete=models.PROTECT, related_name="grant")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="grants")
    stage = models.CharField(max_length=20)
    state = models.CharField(max_length=20, default=GrantState.ACTIVE.value)
    envelope = models.JSONField()
    issued_at = models.DateTimeField(default=now)
    valid_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"grant for {self.version} in {self.stage}"

    def subject(self) -> Subject:
        return Subject(type="grant", id=str(self.pk), scope=self.version.model.name, label=str(self))
