"""The erasure app's tables. Nothing here holds an identifier: a keyed digest does, and a sealed box until the end."""

from django.db import models
from django.db.models import F, Q

from audit.clock import now
from audit.ids import uuid7
from audit.subjects import Subject
from erasure.states import CLOSED, GROUNDS, REGULATION, ObligationKind, ObligationState, State, TaskState
from registry.models import DataSet, ModelVersion


class ErasureRequest(models.Model):
    """Somebody asked that their data be erased.

    ``box`` is the identifier under AES-256-GCM, its key a file outside the database; both go when the request closes.
    ``plan`` is what discovery found, ``plan_digest`` what an approval is bound to. ``fence`` and ``leased_until`` say
    which worker holds the request. Accounts are kept as ids; names live in ``access``.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    source = models.CharField(max_length=64)
    external_id = models.CharField(max_length=200)
    regulation = models.CharField(max_length=20, default=REGULATION)
    ground = models.CharField(max_length=20)
    country = models.CharField(max_length=2)
    subdivision = models.CharField(max_length=20, blank=True)
    received_on = models.DateField()
    filed_at = models.DateTimeField(default=now)
    nominal_due = models.DateField()
    legal_due = models.DateField()
    extended_due = models.DateField()
    holidays_known = models.BooleanField()

    identifier_type = models.CharField(max_length=20)
    identifier_digest = models.CharField(max_length=64)
    key_version = models.PositiveSmallIntegerField()
    normaliser_version = models.PositiveSmallIntegerField()
    box = models.BinaryField(null=True)

    state = models.CharField(max_length=20, default=State.RECEIVED.value)
    outcome = models.CharField(max_length=20, blank=True)
    problem = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    filer = models.CharField(max_length=64)
    approver = models.CharField(max_length=64, blank=True)
    executor = models.CharField(max_length=64, blank=True)
    signer = models.CharField(max_length=64, blank=True)
    closed_by = models.CharField(max_length=64, blank=True)
    closed_at = models.DateTimeField(null=True)

    plan = models.JSONField(null=True)
    plan_digest = models.CharField(max_length=64, blank=True)
    planned_at = models.DateTimeField(null=True)
    approved_plan_digest = models.CharField(max_length=64, blank=True)
    approved_at = models.DateTimeField(null=True)

    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    leased_until = models.DateTimeField(null=True)
    # The trail's signed tree when the request was filed; the certificate sets it beside the one at the end.
    log_size_before = models.BigIntegerField(default=0)
    log_root_before = models.CharField(max_length=64)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["source", "external_id"], name="erasure_request_filed_once"),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in State]), name="erasure_request_state_known"
            ),
            models.CheckConstraint(condition=Q(ground__in=list(GROUNDS)), name="erasure_request_ground_known"),
            models.CheckConstraint(condition=~Q(filer=""), name="erasure_request_has_filer"),
            models.CheckConstraint(condition=~Q(approver=F("filer")), name="erasure_request_approver_is_not_filer"),
            models.CheckConstraint(condition=~Q(signer=F("filer")), name="erasure_request_signer_is_not_filer"),
            models.CheckConstraint(
                condition=Q(signer="") | ~Q(signer=F("executor")), name="erasure_request_signer_is_not_executor"
            ),
            models.CheckConstraint(
                condition=Q(box=None) | ~Q(state__in=sorted(state.value for state in CLOSED)),
                name="erasure_request_closed_has_no_box",
            ),
        )
        indexes = (models.Index(fields=["state", "nominal_due"], name="erasure_request_board"),)

    def __str__(self) -> str:
        return f"erasure request {self.short}"

    @property
    def short(self) -> str:
        """The end of the id: enough for people to tell requests apart, and not the person's."""
        return str(self.pk)[-8:]

    def subject(self) -> Subject:
        return Subject(
            type="erasure_request",
            id=str(self.pk),
            label=str(self),
            involved={
                "filer": frozenset({self.filer}),
                "approver": frozenset({self.approver} - {""}),
                "executor": frozenset({self.executor} - {""}),
            },
        )


class ErasureTask(models.Model):
    """One data set of an approved plan, and what became of it. Counts and digests only.

    ``leftover`` are the paths of files that the replacing transaction made worthless and that are still to be deleted.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request = models.ForeignKey(ErasureRequest, on_delete=models.PROTECT, related_name="tasks")
    data_set = models.ForeignKey(DataSet, on_delete=models.PROTECT, related_name="+")
    successor = models.ForeignKey(DataSet, on_delete=models.PROTECT, null=True, related_name="+")
    state = models.CharField(max_length=10, default=TaskState.WAITING.value)
    columns = models.JSONField()
    rows_in = models.BigIntegerField(null=True)
    erased = models.BigIntegerField(null=True)
    rows_out = models.BigIntegerField(null=True)
    file_before = models.CharField(max_length=64, blank=True)
    file_after = models.CharField(max_length=64, blank=True)
    kept_digest = models.CharField(max_length=64, blank=True)
    erased_with = models.CharField(max_length=100, blank=True)
    verified_with = models.CharField(max_length=100, blank=True)
    residual = models.BigIntegerField(null=True)
    residue_checks = models.JSONField(default=list)
    leftover = models.JSONField(default=list)
    reports_emptied = models.PositiveIntegerField(default=0)
    fence = models.PositiveIntegerField(default=0)
    replaced_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["request", "data_set"], name="erasure_task_once"),
            models.CheckConstraint(
                condition=Q(state=TaskState.WAITING.value) | Q(rows_out=F("rows_in") - F("erased"), residual=0),
                name="erasure_task_rows_add_up",
            ),
        )

    def __str__(self) -> str:
        return f"{self.data_set} in {self.request}"


class ModelObligation(models.Model):
    """What a model version owes since rows it was built on were erased."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request = models.ForeignKey(ErasureRequest, on_delete=models.PROTECT, related_name="obligations")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    data_set = models.ForeignKey(DataSet, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20, choices=[(kind.value, kind.value) for kind in ObligationKind])
    state = models.CharField(max_length=10, default=ObligationState.OPEN.value)
    due_on = models.DateField()
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["request", "version", "data_set"], name="erasure_obligation_once"),
        )
        indexes = (models.Index(fields=["version", "state"], name="erasure_obligation_version"),)

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"


class ErasureCertificate(models.Model):
    """The signed file that ended a request, byte for byte as it is downloaded."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request = models.OneToOneField(ErasureRequest, on_delete=models.PROTECT, related_name="certificate")
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    issued_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"certificate of {self.request}"
