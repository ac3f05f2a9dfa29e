"""Evidence: attach a report, ask for one, give one up, and start whatever has become possible.

A report that could not be made is evidence too, with the status ERROR and a sentence; it is never missing. What a
report is computed from is ``queries/evidence.py``; computing it belongs to the apps above.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings

from audit import digests, door
from audit.actors import SYSTEM, Actor
from audit.errors import Conflict, NotFound
from audit.events import Action
from registry import jobs, outbox, storage
from registry.models import DataSet, Evidence, Job, ModelVersion
from registry.queries import evidence as found
from registry.states import DataRole, DataState, EvidenceKind, EvidenceStatus, JobKind

_FOLLOWING: Final = (EvidenceKind.PREDICTIONS, EvidenceKind.FAIRNESS, EvidenceKind.EXPLANATION)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a job found out. ``result`` is JSON; ``path`` names a file in the store with row-level content."""

    kind: EvidenceKind
    inputs: Mapping[str, Any]
    result: Mapping[str, Any]
    status: EvidenceStatus = EvidenceStatus.OK
    reason: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    path: str = ""


def failed(
    kind: EvidenceKind,
    inputs: Mapping[str, Any] | None,
    sentence: str,
    *,
    code: str = "",
    seed: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> Finding:
    """The finding that a report could not be made, and why."""
    result = {**(more or {}), "kind": kind.value, "status": "ERROR", "reason": sentence, "code": code}
    return Finding(
        kind=kind, inputs=inputs or {}, result=result, status=EvidenceStatus.ERROR, reason=sentence, seed=seed
    )


def attach(*, by: Actor = SYSTEM, job: Job, fence: int, finding: Finding, key: uuid.UUID | None = None) -> Evidence:
    """Attach what a job found to its version and end the job, both or neither; then start what has become possible.

    ``key`` is the evidence's id when something was stored under it already. Raises LeaseLostError when another worker
    has taken the job over.
    """
    with door.open(by, Action.EVIDENCE_ATTACH, on=job.version) as entry:
        finding = _without_erased_rows(finding)
        row = create(entry.locked, finding, requested_by=job.requested_by, key=key)
        jobs.finish(job, fence)
        start_what_is_ready(entry.locked, job.requested_by)
        entry.record(
            on=row,
            after={"kind": row.kind, "status": row.status, "result": row.result_digest, "job": str(job.pk)},
        )
        return row


def _without_erased_rows(finding: Finding) -> Finding:
    """A file about single rows is not kept once its data was erased while the job ran.

    The share lock makes an erasure that comes now wait; it then finds the file by the evidence attached here.
    """
    if not finding.path:
        return finding
    used = [value for value in finding.inputs.values() if isinstance(value, str)]
    rows = DataSet.objects.filter(digest__in=used).select_for_update(of=("self",), no_key=True)
    gone = [str(row) for row in rows if row.state == DataState.ERASED]
    if not gone:
        return finding
    storage.remove(finding.path)
    return failed(
        finding.kind,
        finding.inputs,
        f"The content of {', '.join(gone)} was erased while this was computed.",
        code="data_erased",
        seed=finding.seed,
    )


def create(version: ModelVersion, finding: Finding, *, requested_by: str, key: uuid.UUID | None = None) -> Evidence:
    """Write a finding down as evidence of ``version`` (locked), inside a door that is already open.

    Raises ValueError for a result that is no JSON: NaN, for one, has no place in evidence.
    """
    result = dict(finding.result)
    row = Evidence(
        version=version,
        kind=finding.kind.value,
        status=finding.status.value,
        reason=finding.reason,
        inputs=dict(finding.inputs),
        versions={**finding.versions, "plimsoll": settings.PLIMSOLL_VERSION},
        seed=finding.seed,
        result=result,
        result_digest=digests.of_json(result),
        path=finding.path,
        requested_by=requested_by,
    )
    if key is not None:
        row.pk = key
    row.save(force_insert=True)
    outbox.of_evidence(row)
    return row


def request_report(*, by: Actor, version: ModelVersion, kind: EvidenceKind) -> Job:
    """Have a report made (again). A fairness report without predictions in force begins with the predictions.

    The job that waits or runs already is given back. Raises Conflict when something it is made from is lacking.
    """
    with door.open(by, Action.EVIDENCE_REQUEST, on=version) as entry:
        version = entry.locked
        if version.deleted_at is not None:
            raise NotFound(f"{version} was deleted.")
        sentence = found.lacking(version, kind)
        if sentence is not None:
            raise Conflict(sentence, code="inputs_lacking")
        job = jobs.enqueue(version=version, kind=_first_job(version, kind), requested_by=by.account or "")
        entry.record(after={"kind": kind.value, "job": str(job.pk)})
        return job


def _first_job(version: ModelVersion, kind: EvidenceKind) -> JobKind:
    if kind is EvidenceKind.FAIRNESS:
        made = found.predictions_in_force(version)
        if made is None or not found.is_ok(made):
            return JobKind.PREDICTIONS
    return JobKind(kind.value)


def start_what_is_ready(version: ModelVersion, requested_by: str) -> list[Job]:
    """Queue each report whose inputs are all there and differ from what the newest one was made from.

    Inside an open door, by every act that can complete the inputs: pinning, linking, attaching. Nothing starts by
    itself before evaluation data is linked: an explanation of the training data alone would soon be made again.
    """
    if version.deleted_at is not None or found.data_set(version, DataRole.EVALUATION) is None:
        return []
    due = [kind for kind in _FOLLOWING if found.is_due(version, kind)]
    return [jobs.enqueue(version=version, kind=JobKind(kind.value), requested_by=requested_by) for kind in due]


def give_up(*, by: Actor = SYSTEM, job: Job, fence: int, sentence: str) -> Evidence:
    """End a job that is not tried again. The report it owed becomes an ERROR that says why."""
    kind = EvidenceKind(job.kind)
    with door.open(by, Action.JOB_FAIL, on=job.version) as entry:
        version = entry.locked
        finding = failed(kind, found.inputs_for(version, kind), sentence, code="job_failed")
        row = create(version, finding, requested_by=job.requested_by)
        jobs.abandon(job, fence, sentence)
        start_what_is_ready(version, job.requested_by)
        entry.record(on=job, after={"state": "failed", "attempts": job.attempts, "evidence": str(row.pk)})
        return row
