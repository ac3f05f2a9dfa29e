"""Who gets which page: strangers are asked to sign in, others see what their roles reach, nothing runs as markup."""

import html

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse

from access.policy import POLICY
from access.roles import Role
from audit.events import Action
from audit.models import Event
from registry.actions import models
from tests import factories
from tests.web.pages import case
from tests.web.pages.case import actor, browser, client_of
from web.pages import urls
from web.routes import owner_of

pytestmark = pytest.mark.django_db
READABLE = ["/models/", "/data-sets/", "/promotions/"]
HOSTILE = [
    "<script>alert(1)</script>".replace("/", "\\"),
    "\u0634\u0627\u0645\u0644 from right to left",
    "x" * 256,
    "🚢 100% & #so?on + “quoted” 'name'",
    "'; drop table access_user; --",
]


def patterns(found: list[URLPattern | URLResolver]) -> list[URLPattern]:
    return [p for item in found for p in (patterns(item.url_patterns) if isinstance(item, URLResolver) else [item])]


def test_every_page_has_an_owner() -> None:
    assert [p.name for p in patterns(urls.urlpatterns) if owner_of(p.callback) is None] == []


def test_strangers_are_led_to_sign_in_and_back() -> None:
    assert Client().get("/")["Location"] == "/sign-in/"
    response = Client().get("/trail/?action=promotion.apply")
    assert response["Location"] == "/sign-in/?next=%2Ftrail%2F%3Faction%3Dpromotion.apply"
    posted = Client().post("/tokens/", {"name": "x"})
    assert posted.status_code == 401
    assert "Sign in to create a token." in posted.content.decode()


@pytest.mark.parametrize("role", list(Role))
def test_each_role_opens_what_the_policy_says_and_sees_no_door_it_cannot_open(role: Role) -> None:
    _, client = browser(role)
    shown = client.get("/").content.decode()
    for address, action in (("/trail/", Action.TRAIL_VIEW), ("/people/", Action.PEOPLE_VIEW)):
        allowed = role in POLICY[action].roles
        assert client.get(address).status_code == (200 if allowed else 403)
        assert (f'class="nav-link" href="{address}"' in shown) == allowed
    for address in READABLE:
        assert client.get(address).status_code == 200


def test_a_refused_read_of_the_trail_is_recorded_and_says_who_may() -> None:
    _, client = browser(Role.VIEWER)
    response = client.get("/trail/")
    assert "You may not read the trail: it takes the role auditor" in response.content.decode()
    assert Event.objects.filter(action="trail.view", outcome="denied").count() == 1


def test_an_account_without_a_role_is_told_what_to_do() -> None:
    _, client = browser()
    assert "You have no role yet" in client.get("/").content.decode()
    assert "No registered model yet" in client.get("/models/").content.decode()


def test_a_role_on_some_names_shows_those_and_hides_the_rest() -> None:
    scientist = factories.account(Role.DATA_SCIENTIST)
    for name in ("credit-a", "churn"):
        case.version(actor(scientist), name)
    _, client = browser(Role.VIEWER, pattern="credit-*")
    shown = client.get("/models/").content.decode()
    assert "credit-a" in shown
    assert "churn" not in shown
    assert client.get("/models/churn/").status_code == 404
    assert client.get("/models/churn/versions/1/").status_code == 404
    assert client.get("/models/credit-a/versions/1/").status_code == 200


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_has_a_page_and_stays_text(name: str) -> None:
    scientist = factories.account(Role.DATA_SCIENTIST)
    models.create(by=actor(scientist), name=name, description="<img src=x onerror=alert(1)>")
    client = client_of(scientist)
    listed = client.get("/models/")
    assert listed.status_code == 200
    assert "<script>alert" not in listed.content.decode()
    assert "<img src=x" not in listed.content.decode()
    address = reverse("model", args=[name])
    assert f'href="{html.escape(address)}"' in listed.content.decode()
    page = client.get(address)
    assert page.status_code == 200
    assert "<img src=x" not in page.content.decode()


@pytest.mark.parametrize(
    "address",
    [
        "/models/nope/",
        "/models/nope/versions/1/",
        "/data-sets/nope/1/",
        "/promotions/01a203b4-9166-71d2-9ef1-85abbecc0aa2/",
        "/promotions/not-an-id/",
        "/evidence/not-an-id/",
        "/evidence/01a203b4-9166-71d2-9ef1-85abbecc0aa2/",
        "/people/not-an-id/",
        "/trail/not-an-id/",
        "/trail/object/user/nobody/",
        "/nowhere/",
        "/models/credit",
    ],
)
def test_what_is_not_there_is_404_on_a_page(address: str) -> None:
    _, client = browser(Role.AUDITOR)
    response = client.get(address)
    assert response.status_code == 404
    assert "There is nothing here for you" in response.content.decode()


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/models/credit/versions/one/", "must be an integer"),
        ("/data-sets/credit/x/", "is an integer"),
        ("/models/?after=[", "This page does not exist"),
        ("/models/?after=[null]", "This page does not exist"),
        ("/models/?after=[1,2,3]", "This page does not exist"),
        ("/promotions/?after=[%22x%22,%22y%22]", "This page does not exist"),
        ("/people/?after=[%22%5Cu0000%22]", "This page does not exist"),
        ("/trail/?after=nonsense", "This page does not exist"),
        ("/trail/?action=no.such", "There is no action named"),
        ("/trail/?log=no", "There is no log named"),
        ("/trail/?outcome=no", "The outcome is"),
        ("/trail/?person=nobody", "There is no account with this user name."),
        ("/trail/?since=yesterday", "Enter a date like 2026-03-09."),
        ("/trail/?since=2026-03-02&until=2026-03-01&log=admin", ""),
        ("/trail/?until=9999-12-31", "beyond the calendar"),
        ("/trail/?object_id=%00", "NUL character"),
        ("/models/a%00b/", "NUL character"),
    ],
)
def test_what_cannot_be_read_is_400_with_a_sentence(address: str, sentence: str) -> None:
    _, client = browser(Role.AUDITOR)
    response = client.get(address)
    assert response.status_code == (400 if sentence else 200)
    assert sentence in response.content.decode()


def test_pages_of_one_person_are_kept_out_of_shared_caches() -> None:
    _, client = browser(Role.VIEWER)
    assert client.get("/models/")["Cache-Control"] == "private, no-cache"
