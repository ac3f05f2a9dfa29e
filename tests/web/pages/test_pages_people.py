"""People and tokens: made, granted, revoked and shown once, by those who may."""

import re

import pytest
from django.test import Client

from access.models import RoleGrant, Token, User
from access.policy import POLICY
from access.roles import Role
from audit.events import WORDS
from tests import factories
from tests.web.pages.case import browser, client_of
from tests.web.pages.test_pages_promotion import text_of

pytestmark = pytest.mark.django_db


def test_an_account_is_created_granted_a_role_and_let_in_by_link() -> None:
    _, admin = browser(Role.ADMINISTRATOR)
    made = admin.post("/people/new/", {"username": "noor", "display_name": "Noor <Haddad>", "email": ""})
    user = User.objects.get(username="noor")
    assert made["Location"] == f"/people/{user.pk}/"
    page = admin.get(f"/people/{user.pk}/")
    assert "Noor &lt;Haddad&gt;" in page.content.decode()
    assert "No role yet" in text_of(page)
    granted = admin.post(
        f"/people/{user.pk}/grant/", {"role": "reviewer", "pattern": "credit-*", "until": "2999-01-01", "reason": "New"}
    )
    assert granted.status_code == 302
    grant = RoleGrant.objects.get(user=user)
    assert (grant.role, grant.pattern, grant.until.year) == ("reviewer", "credit-*", 2999)
    link = admin.post(f"/people/{user.pk}/link/")
    assert link["Cache-Control"] == "no-store"
    address = re.search(r"/sign-in/link/plim_[\w-]+/", link.content.decode())
    assert address
    newcomer = Client()
    assert newcomer.post(address[0]).status_code == 302
    assert "Nothing waits for your decision" in text_of(newcomer.get("/"))
    assert admin.post(f"/people/{user.pk}/revoke/{grant.pk}/").status_code == 302
    assert "Ended" in text_of(admin.get(f"/people/{user.pk}/"))
    assert admin.post(f"/people/{user.pk}/revoke/{grant.pk}/").status_code == 404
    assert newcomer.get("/promotions/").status_code == 200
    assert "You have no role yet" in text_of(newcomer.get("/"))


@pytest.mark.parametrize(
    ("values", "status", "sentence"),
    [
        ({}, 400, "Give the account a user name."),
        ({"username": "a b"}, 400, "A user name has 1 to 150 letters"),
        ({"username": "x" * 151}, 400, "A user name has 1 to 150 letters"),
        ({"username": "a\x00"}, 400, "NUL character"),
        ({"username": "TAKEN"}, 409, "There is an account with this user name already."),
        ({"username": "new", "email": "not one"}, 400, "This is no e-mail address."),
        ({"username": "new", "password": "short"}, 400, "too short"),
        ({"username": "new", "display_name": "x" * 151}, 400, "This has 151 characters"),
    ],
)
def test_an_account_that_cannot_be_made(values: dict[str, str], status: int, sentence: str) -> None:
    factories.account(username="taken")
    _, admin = browser(Role.ADMINISTRATOR)
    before = User.objects.count()
    response = admin.post("/people/new/", values)
    assert response.status_code == status
    assert sentence in text_of(response)
    assert "short" not in response.content.decode().partition('type="password"')[2][:200]
    assert User.objects.count() == before


@pytest.mark.parametrize(
    ("values", "status", "sentence"),
    [
        ({}, 400, "Choose a role."),
        ({"role": "king"}, 400, "There is no such role."),
        ({"role": "viewer", "pattern": "x" * 257}, 400, "A pattern has 1 to 256 characters"),
        ({"role": "viewer", "pattern": "[a]"}, 400, "A pattern has 1 to 256 characters"),
        ({"role": "viewer", "pattern": "a\x00"}, 400, "NUL character"),
        ({"role": "viewer", "until": "2001-01-01"}, 400, "The end date must lie in the future."),
        ({"role": "viewer", "until": "9999-12-31"}, 400, "beyond the calendar"),
        ({"role": "viewer", "until": "soon"}, 400, "Enter a date like 2026-03-09."),
        ({"role": "auditor", "pattern": "*"}, 409, "This account already is auditor on *."),
    ],
)
def test_a_role_that_cannot_be_granted(values: dict[str, str], status: int, sentence: str) -> None:
    user = factories.account(Role.AUDITOR)
    _, admin = browser(Role.ADMINISTRATOR)
    before = RoleGrant.objects.count()
    response = admin.post(f"/people/{user.pk}/grant/", values)
    assert response.status_code == status
    assert sentence in text_of(response)
    assert RoleGrant.objects.count() == before


def test_an_auditor_reads_and_changes_nothing() -> None:
    user = factories.account(Role.VIEWER)
    grant = RoleGrant.objects.get(user=user)
    _, auditor = browser(Role.AUDITOR)
    listed = auditor.get("/people/")
    assert "You may not create an account: it takes the role administrator" in text_of(listed)
    page = auditor.get(f"/people/{user.pk}/")
    assert "You may not grant a role: it takes the role administrator" in text_of(page)
    assert "/revoke/" not in page.content.decode()
    assert auditor.get("/people/new/").status_code == 403
    assert auditor.post("/people/new/", {"username": "x"}).status_code == 403
    assert auditor.post(f"/people/{user.pk}/grant/", {"role": "auditor", "pattern": "*"}).status_code == 403
    assert auditor.post(f"/people/{user.pk}/revoke/{grant.pk}/").status_code == 403
    assert auditor.post(f"/people/{user.pk}/link/").status_code == 403
    assert RoleGrant.objects.filter(user=user, revoked_at=None).count() == 1


def test_who_can_do_what_is_written_from_the_policy() -> None:
    _, auditor = browser(Role.AUDITOR)
    text = text_of(auditor.get("/people/who-can/"))
    for action in POLICY:
        assert WORDS[action].capitalize() in text
    assert "Decide on a promotion reviewer or risk owner filed this request, registered this model version" in text
    assert "granted themselves the role this takes" in text


def test_a_token_is_shown_once_and_can_be_ended() -> None:
    _, client = browser(Role.DATA_SCIENTIST)
    assert "You have no token" in text_of(client.get("/tokens/"))
    made = client.post("/tokens/", {"name": "laptop <1>", "days": "30"})
    secret = re.search(r"plim_[\w-]{43}", made.content.decode())
    assert secret
    assert made["Cache-Control"] == "no-store"
    assert secret[0] not in client.get("/tokens/").content.decode()
    assert "laptop <1>" in text_of(client.get("/tokens/"))
    bearer = {"Authorization": f"Bearer {secret[0]}"}
    assert Client(headers=bearer).get("/models/").status_code == 200
    token = Token.objects.get()
    _, other = browser(Role.AUDITOR)
    assert other.post(f"/tokens/{token.pk}/revoke/").status_code == 404
    assert client.post(f"/tokens/{token.pk}/revoke/").status_code == 302
    refused = Client(headers=bearer).get("/models/")
    assert refused.status_code == 401
    assert "This token was revoked." in text_of(refused)
    assert client.post(f"/tokens/{token.pk}/revoke/").status_code == 404


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "Give it a name."),
        ({"name": "x" * 101}, "A token needs a name of 1 to 100 characters"),
        ({"name": "a\x00"}, "NUL character"),
        ({"name": "a", "days": "forever"}, "Choose one of the periods."),
    ],
)
def test_a_token_that_cannot_be_made(values: dict[str, str], sentence: str) -> None:
    user = factories.account(Role.VIEWER)
    response = client_of(user).post("/tokens/", values)
    assert response.status_code == 400
    assert sentence in text_of(response)
    assert Token.objects.count() == 0
