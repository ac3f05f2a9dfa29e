"""What the database itself refuses, whoever asks: a changed decision, a changed report."""

import pytest
from django.db import Error

from access.roles import Role
from audit import digests, door
from audit.actors import SYSTEM
from audit.events import Action
from registry.models import Decision, Evidence, PromotionRequest
from tests import evidence_cases as cases
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def evidence() -> Evidence:
    version = cases.version(factories.actor(Role.DATA_SCIENTIST))
    with door.open(SYSTEM, Action.EVIDENCE_ATTACH, on=version) as entry:
        row = Evidence.objects.create(
            version=version, kind="predictions", status="OK", inputs={}, result={"rows": 1},
            result_digest=digests.of_json({"rows": 1}), path="evidence/x.arrow",
        )  # fmt: skip
        entry.record()
    return row


@pytest.mark.parametrize(
    "change", [{"result": {"rows": 2}}, {"status": "ERROR"}, {"path": "evidence/other.arrow"}, {"path": "", "seed": 4}]
)
def test_evidence_is_not_changed(evidence: Evidence, change: dict[str, object]) -> None:
    with (
        pytest.raises(Error, match="pieces of evidence are not changed"),
        door.open(SYSTEM, Action.EVIDENCE_ATTACH, on=evidence.version),
    ):
        Evidence.objects.filter(pk=evidence.pk).update(**change)


def test_an_erasure_may_take_the_file_from_evidence(evidence: Evidence) -> None:
    with door.open(SYSTEM, Action.ERASURE_EXECUTE, on=evidence.version) as entry:
        Evidence.objects.filter(pk=evidence.pk).update(path="")
        entry.record()
    evidence.refresh_from_db()
    assert evidence.path == ""


@pytest.fixture
def decision(evidence: Evidence) -> Decision:
    version = evidence.version
    with door.open(SYSTEM, Action.EVIDENCE_ATTACH, on=version) as entry:
        request = PromotionRequest.objects.create(
            model=version.model, version=version, target_stage="Production", alias="champion", justification="x",
            policy={}, policy_digest="", sections={}, subject_digest="", requested_by="1",
            expires_at=version.created_at,
        )  # fmt: skip
        row = Decision.objects.create(request=request, kind="REJECT", by="2", subject_digest="", sections={})
        entry.record()
    return row


@pytest.mark.parametrize("act", ["update", "delete"])
def test_a_decision_is_never_changed(decision: Decision, act: str) -> None:
    rows = Decision.objects.filter(pk=decision.pk)
    with (
        pytest.raises(Error, match="decisions are not changed"),
        door.open(SYSTEM, Action.EVIDENCE_ATTACH, on=decision.request.version),
    ):
        rows.update(kind="APPROVE") if act == "update" else rows.delete()
