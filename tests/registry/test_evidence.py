"""Evidence: asked for, attached once, made again when what it rests on has changed, and never in two minds."""

from pathlib import Path

import pytest

from access.roles import Role
from audit import door
from audit.actors import SYSTEM, Actor
from audit.errors import Conflict, Denied
from audit.events import Action
from registry import jobs, storage
from registry.actions import data_sets, evidence
from registry.models import DataSet, Evidence, Job, ModelVersion
from registry.queries import evidence as queries
from registry.states import DataRole, DataState, EvidenceKind, JobKind, JobState
from tests import evidence_cases as cases
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def by() -> Actor:
    return cases.scientist()


@pytest.fixture
def version(by: Actor, tmp_path: Path) -> ModelVersion:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    return cases.ready(by, folder=tmp_path)


def attach(version: ModelVersion, kind: EvidenceKind, *, failed: bool = False) -> Evidence:
    """What a worker would attach, made from what is there now."""
    held = jobs.claim(cases.job(version, JobKind(kind.value)).pk)
    assert held is not None
    inputs = queries.inputs_for(version, kind)
    if failed:
        finding = evidence.failed(kind, inputs, "It did not work.")
    else:
        finding = evidence.Finding(kind=kind, inputs=inputs or {}, result={"kind": kind.value, "value": 0.25})
    return evidence.attach(job=held, fence=held.fence, finding=finding)


def waiting(version: ModelVersion) -> set[str]:
    return set(version.jobs.filter(state=JobState.QUEUED).values_list("kind", flat=True))


def test_evidence_says_what_it_was_made_of_and_the_digest_is_over_its_result(version: ModelVersion) -> None:
    row = attach(version, EvidenceKind.PREDICTIONS)
    rows = queries.data_set(version, DataRole.EVALUATION)
    assert row.inputs == {
        "artifact": version.artifact_digest,
        "evaluation": rows.digest,
        "spec": {"label": "credit", "favourable": 1, "excluded": ["credit_good", "row_id"]},
    }
    # printf '%s' '{"kind":"predictions","value":0.25}' | sha256sum
    assert row.result_digest == "b7a1c28051e20cb93b5a6744f0254dbb7b838cf0e8a3cff31002e8a8066f3d7e"
    assert row.versions["plimsoll"]
    assert Job.objects.get(version=version, kind="predictions").state == JobState.DONE


def test_predictions_start_the_fairness_report_and_the_report_starts_nothing(version: ModelVersion) -> None:
    assert waiting(version) == {"predictions", "explanation"}
    attach(version, EvidenceKind.PREDICTIONS)
    assert waiting(version) == {"explanation", "fairness"}
    attach(version, EvidenceKind.FAIRNESS)
    attach(version, EvidenceKind.EXPLANATION)
    assert waiting(version) == set()


def test_predictions_that_failed_start_the_fairness_report_too(version: ModelVersion) -> None:
    attach(version, EvidenceKind.PREDICTIONS, failed=True)
    assert waiting(version) == {"explanation", "fairness"}


def test_a_failed_report_is_not_tried_for_ever(version: ModelVersion) -> None:
    for kind in (EvidenceKind.PREDICTIONS, EvidenceKind.FAIRNESS, EvidenceKind.EXPLANATION):
        attach(version, kind, failed=True)
    assert waiting(version) == set()


def test_new_evaluation_data_asks_for_new_reports_and_puts_the_old_predictions_out_of_force(
    by: Actor, version: ModelVersion
) -> None:
    for kind in (EvidenceKind.PREDICTIONS, EvidenceKind.FAIRNESS, EvidenceKind.EXPLANATION):
        attach(version, kind)
    assert queries.predictions_in_force(version) is not None
    other = cases.german(by, "german-by-age", protected=[cases.AGE], excluded=["credit_good", "sex"])
    data_sets.link(by=by, version=version, data_set=other, role="evaluation")
    assert waiting(version) == {"predictions", "explanation"}
    assert queries.predictions_in_force(version) is None


def test_data_linked_while_a_job_runs_is_not_forgotten(by: Actor, version: ModelVersion) -> None:
    held = jobs.claim(cases.job(version, JobKind.PREDICTIONS).pk)
    assert held is not None
    before = queries.inputs_for(version, EvidenceKind.PREDICTIONS)
    other = cases.german(by, "german-again", excluded=[])
    data_sets.link(by=by, version=version, data_set=other, role="evaluation")
    assert "predictions" not in waiting(version)
    finding = evidence.Finding(kind=EvidenceKind.PREDICTIONS, inputs=before or {}, result={"kind": "predictions"})
    evidence.attach(job=held, fence=held.fence, finding=finding)
    assert "predictions" in waiting(version)
    assert "fairness" not in waiting(version)


def test_a_report_can_be_asked_for_again(version: ModelVersion) -> None:
    attach(version, EvidenceKind.PREDICTIONS)
    attach(version, EvidenceKind.FAIRNESS)
    reviewer = factories.actor(Role.REVIEWER)
    job = evidence.request_report(by=reviewer, version=version, kind=EvidenceKind.FAIRNESS)
    assert (job.kind, job.requested_by) == ("fairness", reviewer.account)
    assert evidence.request_report(by=reviewer, version=version, kind=EvidenceKind.FAIRNESS) == job


def test_a_fairness_report_without_good_predictions_begins_with_them(by: Actor, version: ModelVersion) -> None:
    assert evidence.request_report(by=by, version=version, kind=EvidenceKind.FAIRNESS).kind == "predictions"
    attach(version, EvidenceKind.PREDICTIONS, failed=True)
    assert evidence.request_report(by=by, version=version, kind=EvidenceKind.FAIRNESS).kind == "predictions"


def test_what_is_lacking_is_said(by: Actor, tmp_path: Path) -> None:
    version = cases.version(by, "bare")
    for kind in (EvidenceKind.PREDICTIONS, EvidenceKind.FAIRNESS, EvidenceKind.EXPLANATION):
        with pytest.raises(Conflict, match="The files of bare v1 have not been read and hashed yet"):
            evidence.request_report(by=by, version=version, kind=kind)
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    cases.pin(version, tmp_path)
    with pytest.raises(Conflict, match="No evaluation data set is linked to bare v1"):
        evidence.request_report(by=by, version=version, kind=EvidenceKind.FAIRNESS)
    with pytest.raises(Conflict, match="No training or evaluation data set is linked to bare v1"):
        evidence.request_report(by=by, version=version, kind=EvidenceKind.EXPLANATION)
    assert evidence.request_report(by=by, version=version, kind=EvidenceKind.ARTIFACT).kind == "artifact"


def test_who_may_ask(version: ModelVersion) -> None:
    with pytest.raises(Denied, match="You may not ask for a report"):
        evidence.request_report(by=factories.actor(Role.VIEWER), version=version, kind=EvidenceKind.FAIRNESS)


def test_only_plimsoll_itself_attaches_evidence(by: Actor, version: ModelVersion) -> None:
    held = jobs.claim(cases.job(version, JobKind.PREDICTIONS).pk)
    assert held is not None
    finding = evidence.Finding(kind=EvidenceKind.PREDICTIONS, inputs={}, result={})
    with pytest.raises(Denied, match="Only Plimsoll itself may attach evidence"):
        evidence.attach(by=by, job=held, fence=held.fence, finding=finding)


def test_predictions_that_come_after_their_data_was_erased_are_not_kept() -> None:
    by = cases.scientist()
    version = cases.ready(by)
    rows = DataSet.objects.get()
    held = jobs.claim(cases.job(version, JobKind.PREDICTIONS).pk)
    assert held is not None
    file = storage.new_file("evidence/late.arrow")
    file.write_bytes(b"one line per person")
    with door.open(SYSTEM, Action.ERASURE_EXECUTE, on=rows) as entry:
        DataSet.objects.filter(pk=rows.pk).update(state=DataState.ERASED, path="")
        entry.record()
    finding = evidence.Finding(
        kind=EvidenceKind.PREDICTIONS,
        inputs={"evaluation": rows.digest},
        result={"rows": 1},
        path="evidence/late.arrow",
    )
    row = evidence.attach(job=held, fence=held.fence, finding=finding)
    assert (row.status, row.path) == ("ERROR", "")
    assert row.reason == f"The content of {rows} was erased while this was computed."
    assert not file.exists()
