"""Erasure over REST: the whole way, who is refused in which words, and that bad input is an answer, never a 500."""

import hashlib
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from access import actions
from access.authenticate import actor_of
from access.models import User
from access.roles import Role
from audit import door
from audit.actors import SYSTEM, Actor
from audit.models import Event
from erasure.actions import closing, discovery, execution
from erasure.models import ErasureRequest
from registry.models import DataSet
from tests import erasure_cases as cases
from tests import evidence_cases, factories
from tests.erasure_cases import MAIL

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {
    "identifier_type": "email", "identifier_value": MAIL, "external_id": "case-1", "ground": "17(1)(b)",
    "country": "DE", "received_on": "2026-03-05",
}  # fmt: skip
ROOT = "/api/v1/erasure-requests/"


def client_of(user: User) -> Client:
    _, secret = actions.create_token(by=SYSTEM, user=user, name="test")
    return Client(headers={"Authorization": f"Bearer {secret}"})


@pytest.fixture
def ana() -> Actor:
    return evidence_cases.scientist()


@pytest.fixture
def officer() -> Client:
    return client_of(factories.account(Role.COMPLIANCE_OFFICER, username="officer"))


@pytest.fixture
def other() -> Client:
    return client_of(factories.account(Role.COMPLIANCE_OFFICER, username="officer2"))


def post(client: Client, path: str = "", body: Any = None) -> Any:
    return client.post(f"{ROOT}{path}", {} if body is None else body, content_type="application/json")


def filed(client: Client, **said: Any) -> dict[str, Any]:
    answer = post(client, body={**BODY, **said})
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def planned(client: Client, **said: Any) -> dict[str, Any]:
    request = filed(client, **said)
    discovery.run(request["id"])
    found: dict[str, Any] = client.get(f"{ROOT}{request['id']}/").json()
    return found


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_the_whole_way_over_rest(ana: Actor, officer: Client, other: Client, tmp_path: Any, capsys: Any) -> None:
    cases.people(ana)
    request = planned(officer)
    assert request["state"] == "plan_ready"
    assert (request["nominal_due"], request["legal_due"], request["extended_due"]) == (
        "2026-04-05", "2026-04-07", "2026-06-05",
    )  # fmt: skip
    assert request["plan"]["data_sets"][0]["rows_found"] == 2
    assert request["filer"] == "officer"
    assert "approve" in other.get(f"{ROOT}{request['id']}/").json()["available_actions"]
    approved = post(other, f"{request['id']}/approve/", {"plan_digest": request["plan_digest"]})
    assert approved.json()["state"] == "approved"
    execution.run(request["id"])
    done = post(other, f"{request['id']}/sign-off/", {"comment": "Read."})
    assert done.status_code == 200, done.content
    assert (done.json()["state"], done.json()["outcome"]) == ("completed", "erased")
    assert done.json()["tasks"][0]["data_set"] == "people v1"
    assert done.json()["tasks"][0]["successor"] == "people v2"
    file = officer.get(f"{ROOT}{request['id']}/certificate/")
    assert file.headers["Content-Type"] == "application/json"
    assert hashlib.sha256(file.content).hexdigest() == done.json()["certificate"]
    for text in (file.content.decode(), done.content.decode(), officer.get(ROOT).content.decode()):
        assert "zebedee" not in text.lower()

    path = tmp_path / "certificate.json"
    path.write_bytes(file.content)
    call_command("verify_certificate", path)
    said = capsys.readouterr().out
    assert said.startswith("VERIFIED with this installation's key.")
    assert "people v1: 6 rows, 2 erased, 4 kept" in said
    call_command("verify_certificate", path, "--public-key", closing.public_key_text())
    assert capsys.readouterr().out.startswith("VERIFIED with the given key.")
    with pytest.raises(CommandError, match="another key"):
        call_command("verify_certificate", path, "--public-key", "A" * 43)
    path.write_bytes(file.content.replace(b'"erased":2', b'"erased":1'))
    with pytest.raises(CommandError, match="NOT VERIFIED"):
        call_command("verify_certificate", path)
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("verify_certificate", tmp_path / "none.json")
    with pytest.raises(CommandError, match="32 bytes"):
        call_command("verify_certificate", path, "--public-key", "AAAA")


def test_filing_twice_answers_with_the_same_request(officer: Client, other: Client) -> None:
    first = filed(officer)
    again = post(other, body=BODY)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    taken = post(officer, body={**BODY, "identifier_value": "other@example.invalid"})
    assert code_of(taken) == (409, "external_id_taken")
    assert taken.json()["error"]["details"] == {"request": first["id"]}
    assert ErasureRequest.objects.count() == 1


def test_the_list_has_open_requests_first_by_urgency(officer: Client, other: Client) -> None:
    late = filed(officer, external_id="late", received_on="2026-02-01")
    soon = filed(officer, external_id="soon", received_on="2026-01-05")
    gone = filed(officer, external_id="gone", received_on="2026-01-01")
    assert post(officer, f"{gone['id']}/cancel/", {"reason": "A double."}).json()["outcome"] == "withdrawn"
    rows = other.get(ROOT).json()["erasure_requests"]
    assert [row["id"] for row in rows] == [soon["id"], late["id"], gone["id"]]
    assert rows[2]["days_left"] is None


def test_the_list_takes_as_many_queries_for_thirty_as_for_one(officer: Client, django_assert_num_queries: Any) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    filed(officer)
    with CaptureQueriesContext(connection) as few:
        officer.get(ROOT)
    count = len(few)
    for number in range(29):
        filed(officer, external_id=f"more-{number}")
    with django_assert_num_queries(count):
        assert len(officer.get(ROOT).json()["erasure_requests"]) == 30


def test_who_may_not_is_told_in_the_words_of_the_policy(ana: Actor, officer: Client, other: Client) -> None:
    cases.people(ana)
    request = planned(officer)
    sentence = "You filed this erasure request, so you may not approve an erasure plan: someone independent has to."
    assert request["why_not"]["approve"] == sentence
    refused = post(officer, f"{request['id']}/approve/", {"plan_digest": request["plan_digest"]})
    assert (refused.status_code, refused.json()["error"]["sentence"]) == (403, sentence)
    event = Event.objects.get(action="erasure.approve", outcome="denied")
    assert json.loads(bytes(event.leaf_data))["reason_code"] == "not_independent_filer"
    auditor = client_of(factories.account(Role.AUDITOR))
    assert auditor.get(f"{ROOT}{request['id']}/").status_code == 200
    assert code_of(post(auditor, f"{request['id']}/approve/", {"plan_digest": "0" * 64})) == (403, "role_missing")
    assert code_of(post(auditor, body=BODY)) == (403, "role_missing")


def test_who_may_not_see_requests_is_told_that_there_is_none(ana: Actor, officer: Client) -> None:
    request = filed(officer)
    scientist = client_of(factories.account(Role.DATA_SCIENTIST))
    assert code_of(post(scientist, body=BODY)) == (403, "role_missing")
    assert scientist.get(ROOT).status_code == 403
    for path in ("", "certificate/"):
        assert scientist.get(f"{ROOT}{request['id']}/{path}").status_code == 404
    for act in ("approve", "refuse", "cancel", "discover", "execute", "sign-off"):
        assert post(scientist, f"{request['id']}/{act}/").status_code == 404
    assert Client().get(ROOT).status_code == 401
    assert Event.objects.filter(action="erasure.file", outcome="denied").count() == 1
    assert Event.objects.filter(action="erasure.view", outcome="denied").count() == 1


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"identifier_type": "shoe_size"}, "identifier_type_unknown"),
        ({"identifier_type": ""}, "invalid"),
        ({"identifier_type": 7}, "invalid"),
        ({"identifier_value": ""}, "identifier_empty"),
        ({"identifier_value": 17}, "invalid"),
        ({"identifier_value": None}, "invalid"),
        ({"identifier_value": "x" * 200_000}, "identifier_too_long"),
        ({"identifier_value": "a\x00b"}, "bad_text"),
        ({"identifier_value": "\ud800"}, "invalid"),
        ({"external_id": ""}, "bad_external_id"),
        ({"external_id": "y" * 201}, "bad_external_id"),
        ({"external_id": MAIL}, "names_person"),
        ({"ground": "because"}, "unknown_ground"),
        ({"country": "Germany"}, "bad_country"),
        ({"country": ""}, "bad_country"),
        ({"received_on": "05.03.2026"}, "invalid"),
        ({"received_on": "2026-02-30"}, "invalid"),
        ({"received_on": "2199-01-01"}, "bad_received_on"),
        ({"received_on": "1990-01-01"}, "bad_received_on"),
        ({"received_on": 20260305}, "invalid"),
        ({"source": "a b"}, "bad_source"),
        ({"colour": "red"}, "unknown_field"),
    ],
)
def test_bad_input_is_a_clear_400_and_writes_nothing(officer: Client, said: dict[str, Any], code: str) -> None:
    raw = json.dumps({**BODY, **said})
    answer = officer.post(ROOT, raw, content_type="application/json")
    assert code_of(answer) == (400, code)
    assert answer.json()["error"]["sentence"]
    value = said.get("identifier_value")
    assert not value or str(value)[:100] not in answer.content.decode()
    assert not ErasureRequest.objects.exists()


@pytest.mark.parametrize(("body", "status"), [(b"", 400), (b"{", 400), (b"[1]", 400), (b'{"a": "\xff"}', 400)])
def test_a_broken_body_is_a_400(officer: Client, body: bytes, status: int) -> None:
    assert officer.post(ROOT, body, content_type="application/json").status_code == status


def test_what_is_not_there_is_404(officer: Client) -> None:
    for key in ("not-a-uuid", "01a203b4-9166-71d2-9ef1-85abbecc0aa2", "%00"):
        assert officer.get(f"{ROOT}{key}/").status_code in {404, 400}
    assert code_of(post(officer, "01a203b4-9166-71d2-9ef1-85abbecc0aa2/approve/", {}))[0] == 404
    request = filed(officer)
    answer = officer.get(f"{ROOT}{request['id']}/certificate/")
    assert answer.status_code == 404
    assert "one is issued when it is signed off" in answer.json()["error"]["sentence"]


def test_acts_out_of_turn_are_409_with_the_reason(ana: Actor, officer: Client, other: Client) -> None:
    cases.people(ana)
    request = filed(officer)
    address = f"{request['id']}/"
    assert code_of(post(other, f"{address}approve/", {"plan_digest": "0" * 64})) == (409, "wrong_state")
    assert code_of(post(other, f"{address}sign-off/")) == (409, "wrong_state")
    assert code_of(post(other, f"{address}execute/")) == (409, "wrong_state")
    discovery.run(request["id"])
    assert code_of(post(other, f"{address}approve/", {"plan_digest": "0" * 64})) == (409, "stale_digest")
    assert code_of(post(other, f"{address}approve/", {"plan_digest": "x"})) == (400, "invalid")
    assert code_of(post(other, f"{address}approve/", {})) == (400, "no_digest")
    assert code_of(post(other, f"{address}refuse/", {"reason": "  "})) == (400, "no_reason")
    assert code_of(post(other, f"{address}refuse/", {"reason": "r" * 10_001})) == (400, "too_long")
    assert code_of(post(other, f"{address}refuse/", {"reason": f"{MAIL}."})) == (400, "names_person")
    seen = other.get(f"{ROOT}{address}").json()
    approved = other.post(
        f"{ROOT}{address}approve/",
        {},
        content_type="application/json",
        headers={"If-Match": f'"{seen["plan_digest"]}"'},
    )
    assert approved.status_code == 200
    assert execution.claim(request["id"]) is not None
    assert code_of(post(officer, f"{address}cancel/", {"reason": "No."})) == (409, "wrong_state")
    assert code_of(post(other, f"{address}discover/")) == (409, "wrong_state")
    assert DataSet.objects.get().state == "present"


def test_the_data_is_searched_again_on_demand(ana: Actor, officer: Client, other: Client) -> None:
    request = planned(officer)
    assert request["plan"]["data_sets"] == []
    cases.people(ana)
    seen = other.get(f"{ROOT}{request['id']}/").json()
    assert seen["moved"] is True
    again = post(officer, f"{request['id']}/discover/")
    assert (again.status_code, again.json()["state"], again.json()["plan"]) == (202, "discovering", None)


def test_refusing_ends_the_request_with_its_reason(officer: Client, other: Client) -> None:
    request = filed(officer)
    done = post(other, f"{request['id']}/refuse/", {"reason": "Kept for a legal claim."}).json()
    assert (done["state"], done["outcome"], done["reason"]) == ("refused", "refused", "Kept for a legal claim.")
    assert done["available_actions"] == []
    event = Event.objects.get(action="erasure.refuse")
    assert "legal claim" not in bytes(event.leaf_data).decode()


def test_an_execution_that_failed_is_tried_again_by_an_officer(ana: Actor, officer: Client, other: Client) -> None:
    cases.people(ana)
    request = planned(officer)
    post(other, f"{request['id']}/approve/", {"plan_digest": request["plan_digest"]})
    with door.guard.allow("test"):
        ErasureRequest.objects.filter(pk=request["id"]).update(state="needs_attention", problem="The disk was full.")
    again = post(officer, f"{request['id']}/execute/")
    assert (again.status_code, again.json()["state"]) == (202, "executing")
    execution.run(request["id"])
    assert post(other, f"{request['id']}/sign-off/").json()["state"] == "completed"


def test_the_schema_describes_every_address(officer: Client) -> None:
    text = officer.get("/api/v1/schema/").content.decode()
    for act in ("approve", "refuse", "cancel", "discover", "execute", "sign-off", "certificate"):
        assert f"/api/v1/erasure-requests/{{request_id}}/{act}/" in text


def test_an_actor_may_be_a_service_only_with_the_role(ana: Actor) -> None:
    service = actions.create_user(by=SYSTEM, username="opendsr", password=None, is_service=True)
    assert post(client_of(service), body=BODY).status_code == 403
    actions.grant_role(by=SYSTEM, user=service, role=Role.COMPLIANCE_OFFICER)
    assert actor_of(service, "bearer").kind == "service"
    assert post(client_of(service), body={**BODY, "source": "opendsr"}).status_code == 201
