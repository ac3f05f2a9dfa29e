"""Signing in: by password, by a one-time link, and out again."""

import pytest
from django.test import Client

from access import actions
from access.models import SignInLink
from access.roles import Role
from audit.actors import SYSTEM
from audit.models import Event
from tests import factories
from tests.web.pages.case import browser

pytestmark = pytest.mark.django_db
OFF_SITE = [
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example/",
    "\\\\evil.example",
    "///evil.example",
    "javascript:alert(1)",
    "http:evil.example",
    "/models/\r\nSet-Cookie: a=b",
    "models/",
    "\t//evil.example",
]


def person() -> str:
    user = actions.create_user(by=SYSTEM, username="ana", password=factories.PASSWORD)
    actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER)
    return user.username


def send(client: Client, **values: str):  # type: ignore[no-untyped-def]
    return client.post("/sign-in/", values)


def test_a_right_password_signs_in_and_leads_on() -> None:
    client = Client()
    response = send(client, username=person(), password=factories.PASSWORD, next="/models/?q=a")
    assert (response.status_code, response["Location"]) == (302, "/models/?q=a")
    assert client.get("/models/").status_code == 200
    assert Event.objects.filter(action="session.open", outcome="success").count() == 1


@pytest.mark.parametrize("target", OFF_SITE)
def test_next_never_leads_off_this_site(target: str) -> None:
    response = send(Client(), username=person(), password=factories.PASSWORD, next=target)
    assert response["Location"] == "/"
    assert f'value="{target}"' not in Client().get("/sign-in/", {"next": target}).content.decode()


def test_a_wrong_password_is_refused_in_words_that_tell_nothing_and_the_name_is_kept() -> None:
    wrong = send(Client(), username=person(), password="not this one 1234")
    unknown = send(Client(), username="nobody", password="not this one 1234")
    for response in (wrong, unknown):
        assert response.status_code == 401
        assert "The user name or the password is wrong." in response.content.decode()
    assert 'value="ana"' in wrong.content.decode()
    assert "not this one 1234" not in wrong.content.decode()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "Enter your user name."),
        ({"username": "ana"}, "Enter your password."),
        ({"username": "a" * 151, "password": "x"}, "This has 151 characters; at most 150 are kept."),
        ({"username": "a\x00b", "password": "x"}, "NUL character"),
    ],
)
def test_what_is_missing_or_unreadable_is_said(values: dict[str, str], sentence: str) -> None:
    response = send(Client(), **values)
    assert response.status_code == 400
    assert sentence in response.content.decode()
    assert "<title>Error: " in response.content.decode()


def test_too_many_failures_are_stopped_with_the_time_to_wait() -> None:
    name = person()
    for _ in range(10):
        send(Client(), username=name, password="wrong wrong wrong")
    response = send(Client(), username=name, password=factories.PASSWORD)
    assert response.status_code == 429
    assert "Too many failed sign-ins for this name: try again in 15 minutes." in response.content.decode()


def test_reading_a_link_spends_nothing_and_the_button_signs_in_once() -> None:
    user = factories.account(Role.VIEWER)
    address = f"/sign-in/link/{actions.create_sign_in_link(by=SYSTEM, user=user)}/"
    for _ in range(3):
        response = Client().get(address)
        assert response.status_code == 200
        assert f"Sign in as {user}" in response.content.decode()
        assert response["Cache-Control"] == "no-store"
    assert SignInLink.objects.filter(used_at=None).count() == 1
    client = Client()
    assert client.post(address).status_code == 302
    assert client.get("/models/").status_code == 200
    again = Client().post(address)
    assert again.status_code == 401
    assert "used already or has expired" in again.content.decode()


def test_a_link_that_never_was_says_so() -> None:
    response = Client().get("/sign-in/link/plim_nothing/")
    assert response.status_code == 401
    assert "This sign-in link was used already or has expired." in response.content.decode()


def test_signing_out_ends_the_session_and_takes_a_form() -> None:
    _, client = browser(Role.VIEWER)
    assert client.get("/sign-out/").status_code == 405
    assert client.get("/models/").status_code == 200
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/models/")["Location"] == "/sign-in/?next=%2Fmodels%2F"
    assert Event.objects.filter(action="session.close", outcome="success").count() == 1


def test_forms_from_elsewhere_are_refused() -> None:
    person()
    client = Client(enforce_csrf_checks=True)
    response = send(client, username="ana", password=factories.PASSWORD)
    assert response.status_code == 403
    assert "did not come from this site" in response.content.decode()
