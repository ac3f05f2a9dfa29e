"""What the browser and the proxy in front are promised: forged forms, headers, hosts, sizes, unchecked successes."""

import re
from collections.abc import Iterator

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from access import actions, checked
from access.roles import Role
from audit.actors import SYSTEM
from audit.models import Event
from tests import factories
from web import errors
from web.routes import OPEN, route

pytestmark = pytest.mark.django_db

HOST = {"Host": "localhost"}


@pytest.fixture
def signed_in() -> Iterator[Client]:
    actions.create_user(by=SYSTEM, username="ana", password=factories.PASSWORD)
    client = Client(enforce_csrf_checks=True, headers=HOST)
    form = client.get("/sign-in/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token
    values = {"username": "ana", "password": factories.PASSWORD, "csrfmiddlewaretoken": token.group(1)}
    assert client.post("/sign-in/", values).status_code == 302
    return client


def test_a_form_without_its_token_is_refused(signed_in: Client) -> None:
    answer = signed_in.post("/sign-out/")
    assert answer.status_code == 403
    assert "out of date" in answer.content.decode()
    assert signed_in.get("/").status_code == 200


def test_a_session_cannot_change_anything_over_rest_without_the_token(signed_in: Client) -> None:
    answer = signed_in.post("/api/v1/tokens/", {"name": "forged"}, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")


def test_a_session_changes_nothing_on_the_wire(signed_in: Client) -> None:
    answer = signed_in.post(
        "/api/2.0/mlflow/registered-models/create", {"name": "forged"}, content_type="application/json"
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_nowhere_else(target: str) -> None:
    actions.create_user(by=SYSTEM, username="ana", password=factories.PASSWORD)
    answer = Client(headers=HOST).post(
        f"/sign-in/?next={target}", {"username": "ana", "password": factories.PASSWORD, "next": target}
    )
    assert answer.status_code == 302
    assert answer["Location"].startswith("/")
    assert "evil" not in answer["Location"]


def test_every_page_carries_the_strict_policy_and_safe_cookies(signed_in: Client) -> None:
    answer = signed_in.get("/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    cookie = signed_in.cookies["plimsoll_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


@pytest.mark.parametrize("sent", ["a\r\nSet-Cookie: x=1", "<script>", "x" * 500, "naïve-identifier"])
def test_a_request_id_that_is_not_one_is_replaced(sent: str) -> None:
    answer = Client().get("/healthz", headers={**HOST, "X-Request-Id": sent})
    assert re.fullmatch(r"[0-9a-f]{16}", answer["X-Request-Id"])


def test_a_foreign_host_is_refused_in_our_voice() -> None:
    answer = Client().get("/sign-in/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "does not answer under that host name" in answer.content.decode()


def test_a_stranger_cannot_make_us_receive_a_large_body() -> None:
    answer = Client(headers=HOST).post(
        "/api/v1/data-sets/", b"x" * (9 * 1024 * 1024), content_type="application/octet-stream"
    )
    assert answer.status_code == 413


def test_a_success_without_a_permission_check_becomes_a_denial() -> None:
    def forgotten(request: object) -> HttpResponse:
        return HttpResponse("everything")

    @route(OPEN)
    def opened(request: object) -> HttpResponse:
        return HttpResponse("hello")

    class Addresses:
        urlpatterns = (path("forgotten", forgotten), path("opened", opened))
        handler400 = handler403 = handler404 = handler500 = errors.from_django

    with override_settings(ROOT_URLCONF=Addresses):
        client = Client(headers={**HOST, "Accept": "application/json"})
        assert client.get("/opened").status_code == 200
        refused = client.get("/forgotten")
    assert refused.status_code == 403
    assert b"everything" not in refused.content


def test_a_check_of_the_request_before_does_not_count() -> None:
    checked.note()
    checked.begin()
    assert not checked.ran()


def test_an_unforeseen_error_says_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    request = RequestFactory().get("/api/v1/x")
    answer = errors.respond(request, RuntimeError("secret detail"))
    assert answer.status_code == 500
    assert b"secret detail" not in answer.content
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("password", ["hunter2-hunter2", "p\u00e4ssword-long-1"])
def test_credentials_never_reach_logs_or_the_trail(password: str, caplog: pytest.LogCaptureFixture) -> None:
    import base64

    credential = base64.b64encode(f"ana:{password}".encode()).decode()
    answer = Client().get("/api/v1/models/", headers={**HOST, "Authorization": f"Basic {credential}"})
    assert answer.status_code == 401
    seen = caplog.text + answer.content.decode() + "".join(bytes(e.leaf_data).decode() for e in Event.objects.all())
    assert password not in seen
    assert credential not in seen


def test_a_secret_token_is_shown_once_and_stored_nowhere() -> None:
    user = factories.account(Role.VIEWER)
    _, secret = actions.create_token(by=SYSTEM, user=user, name="ci")
    answer = Client().post(
        "/api/v1/tokens/",
        {"name": "second"},
        content_type="application/json",
        headers={**HOST, "Authorization": f"Bearer {secret}"},
    )
    assert answer.status_code == 201
    assert answer.json()["secret"].startswith("plim_")
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM access_token WHERE to_jsonb(access_token)::text LIKE %s", [f"%{secret}%"])
        assert cursor.fetchone() == (0,)
