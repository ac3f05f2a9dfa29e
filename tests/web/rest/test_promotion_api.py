"""Promotion over REST, and the refusals every surface shares. How evidence is made is tested elsewhere."""

import json
from typing import Any

import pytest
from django.test import Client

from access import actions
from access.authenticate import actor_of
from access.models import User
from access.roles import Role
from audit import digests, door
from audit.actors import SYSTEM
from audit.events import Action
from audit.models import Event
from registry import grants
from registry.models import Alias, DataSet, Evidence, ModelVersion, PromotionRequest, RegisteredModel, VersionDataSet
from tests import factories

pytestmark = pytest.mark.django_db

HEX = "0123456789abcdef" * 4


def client_of(user: User) -> Client:
    _, secret = actions.create_token(by=SYSTEM, user=user, name="test")
    return Client(headers={"Authorization": f"Bearer {secret}"})


def version_of(user: User, *, number: int = 1, complete: bool = True, name: str = "credit") -> ModelVersion:
    """A version with everything the default policy asks for, written through a door like everything else."""
    with door.open(SYSTEM, Action.EVIDENCE_ATTACH, on=user) as entry:
        model, _ = RegisteredModel.objects.get_or_create(name=name, defaults={"created_by": str(user.pk)})
        version = ModelVersion.objects.create(
            model=model,
            number=number,
            source="mlflow-artifacts:/1/x",
            created_by=str(user.pk),
            artifact_digest=HEX,
            artifact_manifest={"files": [{"path": "MLmodel", "size": 1, "sha256": HEX}]},
        )
        if complete:
            for role in ("training", "evaluation"):
                data = DataSet.objects.create(
                    name=f"{name}-{role}-{number}", number=1, role=role, digest=HEX, manifest={}, rows=10, columns=[],
                    path="x", created_by=str(user.pk),
                )  # fmt: skip
                VersionDataSet.objects.create(version=version, data_set=data, role=role, created_by=str(user.pk))
            results: dict[str, Any] = {
                "artifact": {"files": 1},
                "fairness": {"attributes": []},
                "explanation": {"features": []},
            }
            for kind, result in results.items():
                Evidence.objects.create(
                    version=version, kind=kind, status="OK", inputs={"artifact": HEX}, result=result,
                    result_digest=digests.of_json(result),
                )  # fmt: skip
        entry.record()
    return version


@pytest.fixture
def ana() -> User:
    return factories.account(Role.DATA_SCIENTIST, username="ana")


@pytest.fixture
def rex() -> User:
    return factories.account(Role.REVIEWER, username="rex")


def file(client: Client, version: ModelVersion, **values: str) -> Any:
    return client.post(
        f"/api/v1/models/{version.model.name}/versions/{version.number}/promotion-requests/",
        {"justification": "Better on every segment.", **values},
        content_type="application/json",
    )


def decide(client: Client, answer: dict[str, Any], decision: str = "APPROVE", **values: str) -> Any:
    return client.post(
        f"/api/v1/promotion-requests/{answer['id']}/decisions/",
        {"decision": decision, "subject_digest": answer["subject_digest"], **values},
        content_type="application/json",
    )


def apply(client: Client, answer: dict[str, Any]) -> Any:
    return client.post(
        f"/api/v1/promotion-requests/{answer['id']}/apply/",
        {},
        content_type="application/json",
        headers={"If-Match": f'"{answer["subject_digest"]}"'},
    )


def test_a_promotion_from_filing_to_its_grant(ana: User, rex: User) -> None:
    version = version_of(ana)
    filed = file(client_of(ana), version)
    assert filed.status_code == 201
    assert filed.json()["state"] == "OPEN"
    assert filed.json()["quorum"] == {"need": 1, "have": 0}
    approved = decide(client_of(rex), filed.json(), comment="Evidence read.")
    assert approved.json()["state"] == "APPROVED"
    applied = apply(client_of(ana), approved.json())
    assert applied.json()["state"] == "APPLIED"
    version.refresh_from_db()
    assert version.stage == "Production"
    assert Alias.objects.get(model=version.model, name="champion").version == version
    envelope = applied.json()["grant"]["envelope"]
    assert grants.is_authentic(envelope)
    envelope["payload"] = envelope["payload"][:-8] + "AAAAAAA="
    assert not grants.is_authentic(envelope)


def test_the_author_cannot_approve_and_every_surface_says_why_in_the_same_words(ana: User, rex: User) -> None:
    actions.grant_role(by=SYSTEM, user=ana, role=Role.REVIEWER)
    filed = file(client_of(ana), version_of(ana)).json()
    sentence = "You filed this request, so you may not decide on a promotion: someone independent has to."
    assert filed["why_not"]["approve"] == sentence
    refused = decide(client_of(ana), filed)
    assert refused.status_code == 403
    assert refused.json()["error"]["sentence"] == sentence
    event = Event.objects.get(action="promotion.decide", outcome="denied")
    assert json.loads(bytes(event.leaf_data))["reason_code"] == "not_independent_requester"


def test_the_version_author_cannot_decide_on_what_somebody_else_filed(ana: User, rex: User) -> None:
    bea = factories.account(Role.DATA_SCIENTIST, username="bea")
    actions.grant_role(by=SYSTEM, user=ana, role=Role.REVIEWER)
    filed = file(client_of(bea), version_of(ana)).json()
    assert decide(client_of(ana), filed).json()["error"]["code"] == "not_independent_version_author"


def test_a_self_granted_role_does_not_count(ana: User, rex: User) -> None:
    boss = factories.account(Role.ADMINISTRATOR, username="boss")
    actions.grant_role(by=actor_of(boss, "session"), user=boss, role=Role.REVIEWER)
    filed = file(client_of(ana), version_of(ana)).json()
    assert decide(client_of(boss), filed).json()["error"]["code"] == "not_independent_self_granted"


def test_what_moved_after_the_approval_makes_it_stale(ana: User, rex: User) -> None:
    version = version_of(ana)
    filed = file(client_of(ana), version).json()
    approved = decide(client_of(rex), filed).json()
    with door.open(SYSTEM, Action.EVIDENCE_ATTACH, on=version) as entry:
        ModelVersion.objects.filter(pk=version.pk).update(description="now with caveats")
        entry.record()
    refused = apply(client_of(ana), approved)
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "stale_digest"
    assert refused.json()["error"]["details"]["changed"] == ["card"]
    version.refresh_from_db()
    assert version.stage == "None"
    seen = client_of(rex).get(f"/api/v1/promotion-requests/{filed['id']}/").json()
    assert seen["changed"] == ["card"]
    assert decide(client_of(rex), seen).json()["state"] == "APPROVED"
    assert apply(client_of(ana), seen).json()["state"] == "APPLIED"


def test_a_vote_for_another_content_is_refused(ana: User, rex: User) -> None:
    filed = file(client_of(ana), version_of(ana)).json()
    refused = decide(client_of(rex), {**filed, "subject_digest": "0" * 64})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "stale_digest")


def test_evidence_that_is_missing_stops_an_approval_with_its_name(ana: User, rex: User) -> None:
    filed = file(client_of(ana), version_of(ana, complete=False)).json()
    refused = decide(client_of(rex), filed)
    assert refused.status_code == 409
    assert "Fairness report: The report is not there yet." in refused.json()["error"]["sentence"]
    assert refused.json()["error"]["sentence"] == filed_by(rex, filed)["why_not"]["approve"]
    assert decide(client_of(rex), filed, "REJECT", comment="No evidence.").json()["state"] == "REJECTED"


def filed_by(user: User, filed: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client_of(user).get(f"/api/v1/promotion-requests/{filed['id']}/").json()
    return found


def test_the_next_version_replaces_the_one_in_production(ana: User, rex: User) -> None:
    first, second = version_of(ana), version_of(ana, number=2)
    for version in (first, second):
        answer = decide(client_of(rex), file(client_of(ana), version).json()).json()
        assert apply(client_of(ana), answer).status_code == 200
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.stage, second.stage) == ("Archived", "Production")
    assert [grant.state for grant in first.grants.all()] == ["REPLACED"]


def test_applying_twice_issues_one_grant(ana: User, rex: User) -> None:
    answer = decide(client_of(rex), file(client_of(ana), version_of(ana)).json()).json()
    first, again = apply(client_of(ana), answer).json(), apply(client_of(ana), answer).json()
    assert first["grant"]["id"] == again["grant"]["id"]


def test_one_live_request_per_model_and_stage(ana: User, rex: User) -> None:
    version = version_of(ana)
    assert file(client_of(ana), version).status_code == 201
    refused = file(client_of(ana), version)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "live_request")


def test_a_withdrawn_request_does_not_block_a_new_one(ana: User, rex: User) -> None:
    version = version_of(ana)
    filed = file(client_of(ana), version).json()
    address = f"/api/v1/promotion-requests/{filed['id']}/withdraw/"
    assert client_of(rex).post(address, {}, content_type="application/json").status_code == 403
    assert client_of(ana).post(address, {}, content_type="application/json").json()["state"] == "WITHDRAWN"
    assert file(client_of(ana), version).status_code == 201


def test_a_request_nobody_could_decide_cannot_open(ana: User) -> None:
    refused = file(client_of(ana), version_of(ana))
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "nobody_can_decide")
    assert "reviewer or risk owner" in refused.json()["error"]["sentence"]


def test_changes_are_requested_made_and_resubmitted(ana: User, rex: User) -> None:
    filed = file(client_of(ana), version_of(ana)).json()
    assert decide(client_of(rex), filed, "REQUEST_CHANGES").json()["error"]["code"] == "no_comment"
    asked = decide(client_of(rex), filed, "REQUEST_CHANGES", comment="Add a card.")
    assert asked.json()["state"] == "CHANGES_REQUESTED"
    again = client_of(ana).post(
        f"/api/v1/promotion-requests/{filed['id']}/resubmit/", {"comment": "Done."}, content_type="application/json"
    )
    assert again.json()["state"] == "OPEN"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid"),
        (b"{", "parse_error"),
        (b"[1]", "bad_body"),
        (b'{"justification": 7}', "invalid"),
        (b'{"justification": ""}', "no_justification"),
        (b'{"justification": "   "}', "no_justification"),
        (b'{"justification": "a\\u0000b"}', "bad_text"),
        (b'{"justification": "x", "target_stage": "Moon"}', "unknown_stage"),
        (b'{"justification": "x", "colour": "red"}', "unknown_field"),
        (b'{"justification": "' + b"x" * 10_001 + b'"}', "too_long"),
        (b'{"justification": "\xff\xfe"}', "parse_error"),
        (b'{"justification": "\\ud800"}', "invalid"),
    ],
)
def test_a_bad_body_is_a_clear_400_and_writes_nothing(ana: User, rex: User, body: bytes, code: str) -> None:
    version = version_of(ana)
    answer = client_of(ana).post(
        f"/api/v1/models/credit/versions/{version.number}/promotion-requests/", body, content_type="application/json"
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert answer.json()["error"]["sentence"]
    assert not PromotionRequest.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/models/none/versions/1/",
        "/api/v1/models/credit/versions/99999999999999999999/",
        "/api/v1/promotion-requests/not-a-uuid/",
        "/api/v1/promotion-requests/01a203b4-9166-71d2-9ef1-85abbecc0aa2/",
        "/api/v1/evidence/x/",
        "/api/v1/nothing-here/",
    ],
)
def test_what_is_not_there_is_404(ana: User, path: str) -> None:
    version_of(ana)
    answer = client_of(ana).get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["sentence"]


def test_a_model_outside_the_scope_of_a_grant_is_not_there(ana: User, rex: User) -> None:
    version = version_of(ana)
    filed = file(client_of(ana), version).json()
    eve = client_of(factories.account(Role.REVIEWER, pattern="fraud-*"))
    for path in ("models/credit/versions/1/", "models/credit/versions/", f"promotion-requests/{filed['id']}/"):
        assert eve.get(f"/api/v1/{path}").status_code == 404
    assert eve.get("/api/v1/models/").json() == {"models": []}
    assert eve.get("/api/v1/promotion-requests/").json() == {"promotion_requests": []}
    assert decide(eve, filed).status_code == 404


def test_a_stranger_is_asked_to_sign_in() -> None:
    answer = Client().get("/api/v1/models/")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert Client(headers={"Authorization": "Bearer nonsense"}).get("/api/v1/models/").status_code == 401
    assert Client(headers={"Authorization": "Basic !!!"}).get("/api/v1/models/").status_code == 401
