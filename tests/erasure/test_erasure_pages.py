"""The pages of erasure: what an officer reads, what a form answers, and that the identifier never comes back."""

from typing import Any

import pytest
from django.test import Client

from access.roles import Role
from audit import door
from audit.actors import Actor
from erasure.actions import discovery, execution
from erasure.models import ErasureRequest
from registry.actions import data_sets
from tests import erasure_cases as cases
from tests import evidence_cases, factories
from tests.erasure_cases import MAIL
from tests.web.pages.case import client_of

pytestmark = pytest.mark.django_db

FORM = {
    "external_id": "case-1", "identifier_type": "email", "identifier_value": MAIL, "ground": "17(1)(b)",
    "received_on": "2026-03-05", "country": "DE", "subdivision": "",
}  # fmt: skip


@pytest.fixture
def ana() -> Actor:
    return evidence_cases.scientist()


@pytest.fixture
def officer() -> Client:
    return client_of(factories.account(Role.COMPLIANCE_OFFICER, username="officer"))


@pytest.fixture
def other() -> Client:
    return client_of(factories.account(Role.COMPLIANCE_OFFICER, username="officer2"))


def text_of(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def filed(client: Client) -> str:
    answer = client.post("/erasure/new/", FORM)
    assert answer.status_code == 302, text_of(answer)
    return str(answer.headers["Location"])


def test_an_empty_board_says_what_comes_here(officer: Client) -> None:
    text = text_of(officer.get("/erasure/"))
    assert "No open erasure request" in text
    assert "/erasure/new/" in text


def test_a_case_from_form_to_certificate(ana: Actor, officer: Client, other: Client) -> None:
    old = cases.people(ana)
    version = evidence_cases.version(ana)
    data_sets.link(by=ana, version=version, data_set=old, role="training")
    form = text_of(officer.get("/erasure/new/"))
    assert "Mail address" in form
    assert 'autocomplete="off"' in form
    address = filed(officer)
    request = ErasureRequest.objects.get()
    assert address == f"/erasure/{request.pk}/"
    assert "A worker has this request" in text_of(officer.get(address))
    discovery.run(request.pk)
    mine, theirs = text_of(officer.get(address)), text_of(other.get(address))
    assert "someone independent has to" in mine
    assert "Approve this plan</button>" in theirs
    assert "formaction" in theirs
    for text in (mine, theirs):
        assert "people v1" in text
        assert "credit v1" in text
        assert "backups" in text
        assert "zebedee" not in text.lower()
    request.refresh_from_db()
    answer = other.post(f"{address}approve/", {"plan_digest": request.plan_digest, "comment": ""}, follow=True)
    assert "You approved the plan." in text_of(answer)
    execution.run(request.pk)
    waiting = text_of(other.get(address))
    assert "Waiting for sign-off" in waiting
    assert "2 erased, 4 kept" in waiting
    assert "Retrain without the erased rows" in waiting
    done = text_of(other.post(f"{address}sign-off/", {}, follow=True))
    assert "Download the certificate" in done
    assert "the identifier was destroyed" in done
    file = officer.get(f"{address}certificate/")
    assert file.headers["Content-Disposition"] == f'attachment; filename="erasure-{request.short}.json"'
    assert b"zebedee" not in file.content.lower()
    board = text_of(officer.get("/erasure/"))
    assert "case-1" in board
    assert "Completed" in board


def test_a_form_with_faults_says_them_and_does_not_repeat_the_identifier(officer: Client) -> None:
    answer = officer.post("/erasure/new/", {**FORM, "country": "Germany"})
    text = text_of(answer)
    assert answer.status_code == 400
    assert "The country is a code of two letters" in text
    assert 'value="case-1"' in text
    assert "Enter it again" in text
    assert "zebedee" not in text.lower()
    empty = officer.post("/erasure/new/", {})
    assert empty.status_code == 400
    assert "Enter the identifier of the data subject." in text_of(empty)
    for field, value, said in (
        ("received_on", "2199-01-01", "lies in the future"),
        ("received_on", "soon", "Enter a date"),
        ("identifier_type", "shoe", "Choose from the list."),
        ("identifier_value", "x" * 1025, "must not be longer than 1024"),
        ("identifier_value", "a\x00b@example.invalid", "NUL"),
        ("external_id", MAIL, "names the data subject"),
    ):
        answer = officer.post("/erasure/new/", {**FORM, field: value})
        assert answer.status_code == 400
        assert said in text_of(answer)
    assert not ErasureRequest.objects.exists()


def test_a_reference_that_was_used_for_something_else_is_said_beside_it(officer: Client) -> None:
    filed(officer)
    answer = officer.post("/erasure/new/", {**FORM, "identifier_value": "x@example.invalid"})
    assert answer.status_code == 409
    assert "filed before with another content" in text_of(answer)
    again = officer.post("/erasure/new/", FORM, follow=True)
    assert "had been filed already" in text_of(again)


def test_an_old_plan_is_not_approved(ana: Actor, officer: Client, other: Client) -> None:
    cases.people(ana)
    address = filed(officer)
    request = ErasureRequest.objects.get()
    discovery.run(request.pk)
    answer = other.post(f"{address}approve/", {"plan_digest": "0" * 64, "comment": "Looks right."})
    text = text_of(answer)
    assert answer.status_code == 409
    assert "Your approval was not recorded" in text
    assert "Looks right." in text
    refused = officer.post(f"{address}approve/", {"plan_digest": request.plan_digest})
    assert refused.status_code == 403
    assert "You filed this erasure request" in text_of(refused)
    named = other.post(f"{address}refuse/", {"comment": f"It is {MAIL}!"})
    assert named.status_code == 400
    assert "zebedee" not in text_of(named).lower()
    done = other.post(f"{address}refuse/", {"comment": "Needed for a claim."}, follow=True)
    assert "You refused the request" in text_of(done)
    assert "Needed for a claim." in text_of(done)


def test_overdue_and_stuck_requests_stand_out(officer: Client) -> None:
    address = filed(officer)
    with door.guard.allow("test"):
        ErasureRequest.objects.update(state="needs_attention", problem="The file holds INT96 timestamps.")
    board, one = text_of(officer.get("/erasure/")), text_of(officer.get(address))
    assert "overdue" in board
    assert "Needs attention" in board
    assert "The file holds INT96 timestamps." in one
    assert "Search again" in one


def test_who_sees_what(ana: Actor, officer: Client) -> None:
    address = filed(officer)
    auditor = client_of(factories.account(Role.AUDITOR))
    page = auditor.get(address)
    assert page.status_code == 200
    assert "it takes the role compliance officer" in text_of(page)
    assert "it takes the role compliance officer" in text_of(auditor.get("/erasure/"))
    assert auditor.get("/erasure/new/").status_code == 403
    scientist = client_of(factories.account(Role.DATA_SCIENTIST))
    assert scientist.get("/erasure/").status_code == 403
    assert scientist.get(address).status_code == 404
    assert scientist.post("/erasure/new/", FORM).status_code == 403
    assert Client().get("/erasure/").status_code == 302
    assert officer.get("/erasure/nothing/").status_code == 404
    assert officer.get(f"{address}approve/").status_code == 405
