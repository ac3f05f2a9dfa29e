"""States and transitions as data. *When* something may happen is read here; *who* may do it is access/policy.py."""

from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """MLflow's four stages, spelled as its clients expect them."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


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
}


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


PROTECTED_STAGES: Final = frozenset({Stage.PRODUCTION})
# The aliases that belong to the protected stage: they move only when a promotion is applied.
PROTECTED_ALIASES: Final[dict[str, Stage]] = {"champion": Stage.PRODUCTION, "production": Stage.PRODUCTION}
ALIAS_OF_STAGE: Final[dict[Stage, str]] = {Stage.PRODUCTION: "champion"}
