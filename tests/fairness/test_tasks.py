"""From predictions to a fairness report, through the tasks as Celery calls them."""

from pathlib import Path

import pytest

from explain import tasks as explain_tasks
from fairness import queries, tasks
from registry import jobs, storage
from registry.actions import data_sets
from registry.actions.evidence import Finding, attach
from registry.models import Evidence, Job
from registry.queries import evidence
from registry.states import EvidenceKind, JobKind, JobState
from tests import evidence_cases as cases

pytestmark = pytest.mark.django_db


def waiting(version: object, kind: JobKind) -> str:
    return str(Job.objects.get(version=version, kind=kind, state=JobState.QUEUED).pk)


def made(version: object) -> Evidence:
    """Predictions, then the fairness report they start."""
    explain_tasks.predict(waiting(version, JobKind.PREDICTIONS))
    tasks.report(waiting(version, JobKind.FAIRNESS))
    return evidence.newest(version, EvidenceKind.FAIRNESS)


def test_a_report_is_made_from_the_predictions_and_says_from_what() -> None:
    version = cases.ready(cases.scientist())
    row = made(version)
    predictions = evidence.newest(version, EvidenceKind.PREDICTIONS)
    assert (row.status, row.reason) == ("OK", "")
    assert row.inputs["artifact"] == version.artifact_digest
    assert row.inputs["predictions"] == predictions.result_digest
    assert row.seed == 20240613
    assert row.versions["aif360"] == "0.6.1"
    # Counts by the data set's own README: 690 men and 310 women; 810 older than 25 and 190 not.
    by_name = {entry["name"]: entry for entry in queries.newest_report(version)["attributes"]}
    assert (by_name["sex"]["privileged"]["n"], by_name["sex"]["unprivileged"]["n"]) == (690, 310)
    assert (by_name["age"]["privileged"]["n"], by_name["age"]["unprivileged"]["n"]) == (810, 190)
    assert not evidence.live_jobs(version).filter(kind=JobKind.FAIRNESS).exists()
    # The same predictions, data and seed: the same report to the byte.
    tasks.report(str(cases.job(version, JobKind.FAIRNESS).pk))
    again = evidence.newest(version, EvidenceKind.FAIRNESS)
    assert again.pk != row.pk
    assert again.result_digest == row.result_digest


def test_data_without_protected_attributes_gives_an_error_that_says_so(tmp_path: Path) -> None:
    by = cases.scientist()
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    version = cases.pin(cases.version(by), tmp_path)
    data_sets.link(by=by, version=version, data_set=cases.german(by, protected=[]), role="evaluation")
    held = jobs.claim(waiting(version, JobKind.PREDICTIONS))
    inputs = evidence.inputs_for(version, EvidenceKind.PREDICTIONS)
    attach(job=held, fence=held.fence, finding=Finding(kind=EvidenceKind.PREDICTIONS, inputs=inputs, result={}))
    tasks.report(waiting(version, JobKind.FAIRNESS))
    row = evidence.newest(version, EvidenceKind.FAIRNESS)
    assert row.status == "ERROR"
    assert row.reason == "“protected” must be a list with at least one protected attribute."


def test_predictions_that_were_touched_are_not_compared() -> None:
    version = cases.ready(cases.scientist())
    explain_tasks.predict(waiting(version, JobKind.PREDICTIONS))
    path = storage.existing(evidence.newest(version, EvidenceKind.PREDICTIONS).path)
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    tasks.report(waiting(version, JobKind.FAIRNESS))
    row = evidence.newest(version, EvidenceKind.FAIRNESS)
    assert (row.status, row.result["code"]) == ("ERROR", "content_changed")
