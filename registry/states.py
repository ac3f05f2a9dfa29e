"""States and transitions as data. *When* something may happen is read here; *who* may do it is access/policy.py."""

from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """MLflow's four stages, spelled as its clients expect them."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


# What makes a model or a version a prompt, when its value is true.
PROMPT_TAG: Final = "mlflow.prompt.is_prompt"


class VersionStatus(StrEnum):
    """MLflow's registration states; ours are ready at once."""

    PENDING = "PENDING_REGISTRATION"
    FAILED = "FAILED_REGISTRATION"
    READY = "READY"


class DataRole(StrEnum):
    """What a data set was to a model version."""

    TRAINING = "training"
    VALIDATION = "validation"
    EVALUATION = "evaluation"


class DataState(StrEnum):
    """Whether a data set's content is still there. An erased one keeps digest, counts and manifest."""

    PRESENT = "present"
    ERASED = "erased"


class Classification(StrEnum):
    """How far a data set may be shown."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"


class CheckOutcome(StrEnum):
    """How a check of a version's files came out. What could not be read is INCONCLUSIVE, never a mismatch."""

    GOOD = "GOOD"
    MISMATCH = "MISMATCH"
    INCONCLUSIVE = "INCONCLUSIVE"


class EvidenceKind(StrEnum):
    """What a piece of evidence is about."""

    ARTIFACT = "artifact"
    PREDICTIONS = "predictions"
    FAIRNESS = "fairness"
    EXPLANATION = "explanation"


class EvidenceStatus(StrEnum):
    """A report that could not be made is an ERROR that says why; it is never missing."""

    OK = "OK"
    ERROR = "ERROR"


class JobKind(StrEnum):
    """Work done by a Celery worker on behalf of a version."""

    ARTIFACT = "artifact"
    PREDICTIONS = "predictions"
    FAIRNESS = "fairness"
    EXPLANATION = "explanation"
    # These two leave no evidence: one keeps watch over pinned files, the other takes over a run's data sets.
    CHECK = "check"
    DATA_SETS = "data_sets"


class JobState(StrEnum):
    """The truth about a job; Celery only wakes workers."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


# The Celery task (by name: the registry knows no app above it) that a job of each kind wakes.
JOB_TASKS: Final[dict[JobKind, str]] = {
    JobKind.ARTIFACT: "registry.tasks.pin_artifact",
    JobKind.PREDICTIONS: "explain.tasks.predict",
    JobKind.FAIRNESS: "fairness.tasks.report",
    JobKind.EXPLANATION: "explain.tasks.report",
    JobKind.CHECK: "registry.tasks.check_artifact",
    JobKind.DATA_SETS: "registry.tasks.adopt_data_sets",
}


class HookStatus(StrEnum):
    """Whether a webhook is told of anything, in MLflow's words."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class DeliveryState(StrEnum):
    """What became of one event for one webhook. A failed one was given up; a cancelled one lost its webhook."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RequestState(StrEnum):
    """A promotion request's state."""

    OPEN = "OPEN"
    CHANGES_REQUESTED = "CHANGES_REQUESTED"
    APPROVED = "APPROVED"
    APPLIED = "APPLIED"
    APPLY_FAILED = "APPLY_FAILED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"
    SUPERSEDED = "SUPERSEDED"


class RequestAct(StrEnum):
    """What can move a request."""

    REQUEST_CHANGES = "request_changes"
    RESUBMIT = "resubmit"
    REACH_QUORUM = "reach_quorum"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    GO_STALE = "go_stale"
    APPLY = "apply"
    FAIL_TO_APPLY = "fail_to_apply"
    SUPERSEDE = "supersede"


LIVE: Final = frozenset(
    {RequestState.OPEN, RequestState.CHANGES_REQUESTED, RequestState.APPROVED, RequestState.APPLY_FAILED}
)

TRANSITIONS: Final[dict[tuple[RequestState, RequestAct], RequestState]] = {
    (RequestState.OPEN, RequestAct.REQUEST_CHANGES): RequestState.CHANGES_REQUESTED,
    (RequestState.CHANGES_REQUESTED, RequestAct.RESUBMIT): RequestState.OPEN,
    (RequestState.OPEN, RequestAct.REACH_QUORUM): RequestState.APPROVED,
    (RequestState.OPEN, RequestAct.REJECT): RequestState.REJECTED,
    (RequestState.APPROVED, RequestAct.GO_STALE): RequestState.OPEN,
    (RequestState.APPROVED, RequestAct.APPLY): RequestState.APPLIED,
    (RequestState.APPROVED, RequestAct.FAIL_TO_APPLY): RequestState.APPLY_FAILED,
    (RequestState.APPLY_FAILED, RequestAct.APPLY): RequestState.APPLIED,
    **{(state, RequestAct.WITHDRAW): RequestState.WITHDRAWN for state in LIVE},
    **{(state, RequestAct.SUPERSEDE): RequestState.SUPERSEDED for state in LIVE},
    **{(state, RequestAct.EXPIRE): RequestState.EXPIRED for state in LIVE - {RequestState.APPLY_FAILED}},
}


class DecisionKind(StrEnum):
    """What a reviewer can say. The last one per reviewer counts; a comment never does."""

    APPROVE = "APPROVE"
    REQUEST_CHANGES = "REQUEST_CHANGES"
    REJECT = "REJECT"
    COMMENT = "COMMENT"


class Outcome(StrEnum):
    """A gate's result. Never a boolean."""

    PASS = "PASS"  # noqa: S105 - an outcome
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"
    WAIVED = "WAIVED"


class GrantState(StrEnum):
    """The life of the permission that applying a promotion issues."""

    ACTIVE = "ACTIVE"
    REPLACED = "REPLACED"
    REVOKED = "REVOKED"


class PolicySet(StrEnum):
    """Which policies an installation runs under; ``PLIMSOLL_POLICIES`` chooses."""

    SHIPPED = "shipped"
    OPEN = "open"


# The shipped set. What holds in this installation is asked of registry/protection.py.
PROTECTED_STAGES: Final = frozenset({Stage.PRODUCTION})
# The aliases that belong to the protected stage: they move only when a promotion is applied.
PROTECTED_ALIASES: Final[dict[str, Stage]] = {"champion": Stage.PRODUCTION, "production": Stage.PRODUCTION}
ALIAS_OF_STAGE: Final[dict[Stage, str]] = {Stage.PRODUCTION: "champion"}
# A version that is or was in a protected stage is frozen. Tags under these keys (shell patterns) may still change: they
# say how it is run, and nothing that was judged.
OPEN_TAGS: Final = ("deployment", "deployment.*", "monitoring.*", "ops.*", "ticket")


class TenureKind(StrEnum):
    """What a version can hold for a time."""

    STAGE = "stage"
    ALIAS = "alias"


class ParentKind(StrEnum):
    """How one version came of another."""

    COPY = "copy"
    FINE_TUNED = "fine_tuned"
