"""Pure rules of promotion: what a stage asks for, what a decision is bound to, whose decision counts, who is entangled.

*Who* may act is ``access/policy.py``; the states are ``states.py``. Nothing here writes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from audit import digests
from audit.clock import now
from registry.models import ArtifactAlarm, DataSet, Decision, Evidence, ModelVersion, PromotionRequest
from registry.states import (
    LIVE,
    DataRole,
    DataState,
    DecisionKind,
    EvidenceKind,
    EvidenceStatus,
    Outcome,
    RequestState,
    Stage,
)

# What a protected stage asks for, when the request is opened. Durations are days.
POLICIES: Final[dict[Stage, dict[str, Any]]] = {
    Stage.PRODUCTION: {
        "id": "production",
        "revision": 1,
        "stage": Stage.PRODUCTION.value,
        "requires": ["artifact", "training_data", "evaluation_data", "fairness", "explanation"],
        "quorum": {"roles": ["reviewer", "risk_owner"], "count": 1},
        "request_days": 14,
        "approval_days": 7,
        "grant_days": 365,
    }
}

REQUIREMENTS: Final[dict[str, str]] = {
    "artifact": "Artifact digest verified",
    "training_data": "Training data pinned",
    "evaluation_data": "Evaluation data pinned",
    "fairness": "Fairness report",
    "explanation": "Explanation report",
}

MOST_JUSTIFICATION = 10_000
MOST_COMMENT = 10_000


@dataclass(frozen=True)
class Gate:
    """One requirement, or one measured value, and how it came out."""

    name: str
    label: str
    outcome: Outcome
    reason: str
    required: bool
    evidence: str = ""


@dataclass(frozen=True)
class Record:
    """Everything a reviewer judges about one version, fetched once."""

    version: ModelVersion
    data: Sequence[tuple[str, DataSet]]
    evidence: Mapping[str, Evidence]
    base: ModelVersion | None
    alarm: ArtifactAlarm | None = None


def record_of(version: ModelVersion, stage: str) -> Record:
    """Fetch the record of a version against the stage it is asked to reach."""
    links = version.data_links.select_related("data_set").order_by("role", "data_set__name", "data_set__number")
    newest = {row.kind: row for row in version.evidence.order_by("created_at")}
    others = ModelVersion.objects.filter(model=version.model, stage=stage, deleted_at=None).exclude(pk=version.pk)
    base = others.order_by("-number").first()
    return Record(
        version=version,
        data=[(link.role, link.data_set) for link in links],
        evidence=newest,
        base=base,
        alarm=alarm_on(version),
    )


def alarm_on(version: ModelVersion) -> ArtifactAlarm | None:
    """The standing alarm on a version's files: its own, or that of another version with the very same files."""
    if not version.artifact_digest:
        return None
    standing = ArtifactAlarm.objects.filter(digest=version.artifact_digest, cleared_at=None)
    return standing.select_related("version__model").order_by("raised_at").first()


def alarm_words(alarm: ArtifactAlarm) -> str:
    """What an alarm says, in one breath, with the first differing files by name."""
    places = [
        f"{one['sentence']} ({', '.join(entry['path'] for entry in one['differing'][:3])}"
        f"{', …' if len(one['differing']) + one['more'] > 3 else ''})"
        for _, one in sorted(alarm.found.items())
    ]
    return (
        f"The files of {alarm.version} are not what was pinned. {' '.join(places)} Nothing that holds them is promoted"
        " until a check finds every byte as it was pinned."
    )


def sections(record: Record, policy_digest: str, target: Mapping[str, str]) -> dict[str, str]:
    """One digest per thing judged; ``subject_digest`` is over all of them."""
    manifest = record.version.artifact_manifest or {"files": []}
    environment = [entry for entry in manifest["files"] if entry["path"].rpartition("/")[2] in _ENVIRONMENT_FILES]
    parts: dict[str, Any] = {
        "artifact": record.version.artifact_digest,
        "data": [[role, row.name, row.number, row.digest, row.state] for role, row in record.data],
        "code": environment,
        "card": record.version.description or "",
        "evidence": sorted([kind, row.status, row.result_digest] for kind, row in record.evidence.items()),
        "policy": policy_digest,
        "target": dict(target),
        "base": record.base.artifact_digest if record.base else "",
    }
    return {name: digests.of_json(part) for name, part in parts.items()}


_ENVIRONMENT_FILES = frozenset({"requirements.txt", "conda.yaml", "python_env.yaml", "uv.lock"})
# The words for "what changed" on pages and in a 409.
SECTION_WORDS: Final[dict[str, str]] = {
    "artifact": "the model's files",
    "data": "the data sets",
    "code": "the environment",
    "card": "the description",
    "evidence": "the evidence",
    "policy": "the policy",
    "target": "the target",
    "base": "the version now in that stage",
}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Which sections differ, in the order people read them."""
    return [name for name in SECTION_WORDS if before.get(name) != after.get(name)]


def gates(record: Record, policy: Mapping[str, Any]) -> list[Gate]:
    """How each requirement of the policy stands, then every measured value that came with the reports."""
    required = [_requirement(name, record) for name in policy["requires"]]
    if record.alarm is not None and "artifact" not in policy["requires"]:
        required.append(_requirement("artifact", record))
    return sorted(required, key=lambda gate: gate.outcome is Outcome.PASS) + _measured(record)


def _requirement(name: str, record: Record) -> Gate:
    outcome, reason, evidence = _CHECKS[name](record)
    return Gate(name, REQUIREMENTS[name], outcome, reason, required=True, evidence=evidence)


def _artifact(record: Record) -> tuple[Outcome, str, str]:
    if record.alarm is not None:
        return Outcome.FAIL, alarm_words(record.alarm), ""
    if not record.version.artifact_digest:
        return Outcome.INCONCLUSIVE, "The files have not been read and hashed yet.", ""
    row = record.evidence.get(EvidenceKind.ARTIFACT.value)
    if row is None or row.status != EvidenceStatus.OK:
        return Outcome.ERROR, row.reason if row else "There is no record of the hashing.", ""
    count = row.result["files"]
    return Outcome.PASS, f"{count} files, sha256 {record.version.artifact_digest[:12]}…", str(row.pk)


def _data(role: DataRole, record: Record) -> tuple[Outcome, str, str]:
    rows = [row for linked, row in record.data if linked == role]
    if not rows:
        return Outcome.INCONCLUSIVE, f"No {role.value} data set is linked to this version.", ""
    gone = [str(row) for row in rows if row.state == DataState.ERASED]
    if gone:
        return Outcome.INCONCLUSIVE, f"The content of {', '.join(gone)} was erased; link its successor and retrain.", ""
    return Outcome.PASS, ", ".join(f"{row}, {row.rows:,} rows, sha256 {row.digest[:12]}…" for row in rows), ""


def _report(kind: EvidenceKind, record: Record) -> tuple[Outcome, str, str]:
    row = record.evidence.get(kind.value)
    if row is None:
        return Outcome.INCONCLUSIVE, "The report is not there yet.", ""
    if row.status != EvidenceStatus.OK:
        return Outcome.ERROR, row.reason, str(row.pk)
    if row.inputs.get("artifact") != record.version.artifact_digest:
        return Outcome.INCONCLUSIVE, "The report was made for other files than the version has now.", str(row.pk)
    return (
        Outcome.PASS,
        f"Made {row.created_at:%Y-%m-%d %H:%M} UTC, result sha256 {row.result_digest[:12]}…",
        str(row.pk),
    )


_CHECKS: Final[dict[str, Callable[[Record], tuple[Outcome, str, str]]]] = {
    "artifact": _artifact,
    "training_data": lambda record: _data(DataRole.TRAINING, record),
    "evaluation_data": lambda record: _data(DataRole.EVALUATION, record),
    "fairness": lambda record: _report(EvidenceKind.FAIRNESS, record),
    "explanation": lambda record: _report(EvidenceKind.EXPLANATION, record),
}


def _measured(record: Record) -> list[Gate]:
    """The gate outcomes inside a fairness report: shown to the reviewer, required only when a policy says so."""
    row = record.evidence.get(EvidenceKind.FAIRNESS.value)
    if row is None or row.status != EvidenceStatus.OK:
        return []
    found = [
        Gate(
            name=f"{metric['name']}:{attribute['name']}",
            label=f"{metric['label']}, {attribute['name']}",
            outcome=Outcome(metric["outcome"]),
            reason=metric["reason"] or "",
            required=False,
            evidence=str(row.pk),
        )
        for attribute in row.result["attributes"]
        for metric in attribute["metrics"]
    ]
    order = [Outcome.ERROR, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WAIVED, Outcome.PASS]
    return sorted(found, key=lambda gate: order.index(gate.outcome))


def missing(found: Sequence[Gate]) -> list[Gate]:
    """The required gates that do not let an approval count."""
    return [gate for gate in found if gate.required and gate.outcome not in {Outcome.PASS, Outcome.WAIVED}]


def effective(decisions: Sequence[Decision], subject_digest: str) -> dict[str, Decision]:
    """The one place that counts: the last decision of each reviewer, when it was made on exactly this content."""
    last = {row.by: row for row in decisions if row.kind != DecisionKind.COMMENT}
    return {by: row for by, row in last.items() if row.subject_digest == subject_digest}


def approvals(decisions: Sequence[Decision], subject_digest: str) -> list[Decision]:
    """The effective decisions that approve."""
    return [row for row in effective(decisions, subject_digest).values() if row.kind == DecisionKind.APPROVE]


def days(policy: Mapping[str, Any], name: str) -> timedelta:
    """One of a policy's durations."""
    return timedelta(days=int(policy[name]))


EXPIRED: Final = "This request has expired; file a new one."

# -- when ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Current:
    """What a request is about, as it stands now."""

    record: Record
    sections: dict[str, str]
    subject_digest: str


def current(request: PromotionRequest) -> Current:
    """Fetch and digest what a reviewer would judge at this moment."""
    record = record_of(request.version, request.target_stage)
    found = sections(record, request.policy_digest, {"stage": request.target_stage, "alias": request.alias})
    return Current(record, found, digests.of_json(found))


def words(request: PromotionRequest) -> str:
    """The state as people read it."""
    return request.state.replace("_", " ").lower()


def has_moved(request: PromotionRequest, seen: Current) -> bool:
    """Whether what was last judged is not what stands there now."""
    return request.subject_digest != seen.subject_digest


def why_not_decidable(request: PromotionRequest, seen: Current) -> str | None:
    """Why nobody can decide on a request now; None when it can be decided on. An approval that moved is open again."""
    reopened = request.state == RequestState.APPROVED and has_moved(request, seen)
    if request.state != RequestState.OPEN and not reopened:
        return f"This request is {words(request)}; only an open one can be decided on."
    return EXPIRED if request.expires_at <= now() else None


def why_not_approvable(found: Sequence[Gate]) -> str | None:
    """Which required evidence is missing, in one breath; None when all is there."""
    lacking = missing(found)
    if not lacking:
        return None
    return "This cannot be approved yet. " + " ".join(f"{gate.label}: {gate.reason}" for gate in lacking)


def why_not_appliable(request: PromotionRequest, seen: Current) -> str | None:
    """Why an approval cannot be carried out now; None when it can."""
    if request.state not in {RequestState.APPROVED, RequestState.APPLY_FAILED}:
        return f"This request is {words(request)}; only an approved one can be applied."
    if has_moved(request, seen):
        return "What was approved has changed since; a reviewer has to decide again."
    votes = approvals(list(request.decisions.order_by("created_at")), seen.subject_digest)
    if len(votes) < request.policy["quorum"]["count"]:
        return "The approvals this takes do not hold any more."
    if request.approved_at is None or request.approved_at + days(request.policy, "approval_days") <= now():
        return "The approval is too old to be applied; file a new request."
    return why_not_approvable(gates(seen.record, request.policy))


def why_not_resubmittable(request: PromotionRequest) -> str | None:
    """Why a request cannot be put before the reviewers again; None when it can."""
    if request.state != RequestState.CHANGES_REQUESTED:
        return f"This request is {words(request)}; no changes were requested."
    return EXPIRED if request.expires_at <= now() else None


def why_not_withdrawable(request: PromotionRequest) -> str | None:
    """Why a request cannot be taken back; None while it is live."""
    return None if request.state in LIVE else f"This request is {words(request)}; it cannot be withdrawn any more."


def why_not_own(account: str | None, request: PromotionRequest) -> str | None:
    """Withdrawing and resubmitting belong to whoever filed the request."""
    return None if account == request.requested_by else "Only the account that filed this request may do this."
