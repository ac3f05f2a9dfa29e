"""What is passed on to tracking, for whom, and what never is."""

import gzip
import json
from collections.abc import Callable

import pytest
from django.test import Client

from access.roles import Role
from audit.events import Action
from audit.models import Event
from tests.web.mlflow import standin
from tests.web.mlflow.caller import Caller
from tests.web.mlflow.standin import Tracking
from web.mlflow import paths

Make = Callable[..., Caller]
HOSTILE = [
    "/api/2.0/mlflow/runs/../registered-models/create",
    "/api/2.0/mlflow/./registered-models/create",
    "/api/2.0/mlflow//registered-models/create",
    "/api/2.0/mlflow/runs//x",
    "/api//2.0/mlflow/runs/get",
    "/api/2.0/mlflow/runs/%2e%2e/registered-models/create",
    "/api/2.0/mlflow/runs/..%2fregistered-models/create",
    "/api/2.0/mlflow/runs%2f..%2fregistered-models/create",
    "/api/2.0/mlflow/runs/%252e%252e/registered-models/create",
    "/api/2.0/mlflow/runs/..%252fregistered-models/create",
    "/api/2.0/mlflow/runs/%25252e%25252e%25252fx",
    "/api/2.0/mlflow/runs/..\\registered-models\\create",
    "/api/2.0/mlflow/runs/%5c..%5cx",
    "/api/2.0/mlflow/runs/a%00b",
    "/api/2.0/mlflow/runs/a%2500b",
    "/api/2.0/mlflow/runs/a%0d%0aHost:%20x",
    "/api/2.0/mlflow-artifacts/artifacts/../../mlflow/registered-models/create",
    "/api/2.0/mlflow-artifacts/artifacts/a/%2e%2e/b",
    "/api/2.0/mlflow/REGISTERED-MODELS/create",
    "/api/2.0/mlflow/Model-Versions/create",
    "/api/2.0/mlflow/registered-models",
    "/api/2.0/mlflow/registered-models/list",
    "/api/2.0/mlflow/registered%2dmodels/list",
    "/api/2.0/mlflow/registered%252dmodels/list",
    "/api/2.0/mlflow/%72egistered-models/list",
    "/api/2.0/mlflow/registered-models;x/list",
    "/api/2.0/mlflow/ registered-models/list",
    "/api/2.0/mlflow/webhooks/x/y/z",
    "/api/2.0/mlflow",
    "/api/2.0/mlflow/",
    "/api/2.0/mlflow/graphql",
    "/api/2.0/mlflow/users/create",
    "/ajax-api/2.0/mlflow/gateway-proxy",
    "/ajax-api/2.0/mlflow/runs/create-promptlab-run",
    "/ajax-api/3.0/mlflow/scorers/invoke",
    "/ajax-api/3.0/mlflow/issues/invoke",
    "/ajax-api/3.0/mlflow/scorer/invoke",
    "/ajax-api/3.0/mlflow/genai/evaluate/invoke",
    "/ajax-api/3.0/mlflow/assistant/chat",
    "/ajax-api/3.0/mlflow/jobs/x",
    "/api/3.0/mlflow/gateway/secrets/list",
    "/api/3.0/mlflow/registered-models/create",
    "/api/3.0/mlflow/workspaces",
    "/api/3.0/mlflow-artifacts/artifacts/x",
    "/ajax-api/graphql",
    "/ajax-api/4.0/mlflow/runs/get",
    "/graphql",
    "/model-versions/get-artifact",
    "/get-artifact",
    "/gateway/x",
    "/v1/traces/",
    "/V1/traces",
    "/v1/metrics",
    "/version/",
    "/mlflow/graphql/",
    "/mlflow/gateway/x",
    "/mlflow/api/2.0/mlflow/runs/get",
    "/mlflow/v1/traces",
    "/mlflow/mlflow/ajax-api/2.0/mlflow/runs/get",
    "/mlflow//ajax-api/2.0/mlflow/registered-models/create",
    "/mlflow/ajax-api/2.0/mlflow/Registered-Models/create",
    "/mlflow/ajax-api/2.0/mlflow/registered-models/list",
    "/mlflow/ajax-api/2.0/mlflow/runs/../model-versions/create",
    "/mlflow/ajax-api/2.0/mlflow/%6dodel-versions/list",
    "/mlflow/ajax-api/2.0/mlflow/%256dodel-versions/create",
    "/mlflow/ajax-api/3.0/mlflow/assistant/chat",
    "/mlflow/ajax-api/3.0/mlflow/gateway/secrets/list",
    "/mlflow/static-files/../graphql",
    "/mlflow/static-files/%2e%2e/graphql",
    "/mlflow/static-files/..%2fgraphql",
    "/mlflow/GRAPHQL",
    "/mlflow/get-artifact/",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_nothing_slips_past_to_tracking(scientist: Caller, tracking: Tracking, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        response = scientist.send(method, path, b"{}")
        assert response.status_code in {400, 403, 404}, response.content
        assert b"Traceback" not in response.body
    assert tracking.asked == []


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_other_methods_are_not_passed_on(scientist: Caller, tracking: Tracking, method: str) -> None:
    assert scientist.send(method, "/api/2.0/mlflow/runs/get").status_code == 404
    assert tracking.asked == []


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "/api/2.0/mlflow/runs/get", Action.TRACKING_READ),
        ("HEAD", "/api/2.0/mlflow-artifacts/artifacts/a", Action.TRACKING_READ),
        ("POST", "/api/2.0/mlflow/runs/search", Action.TRACKING_READ),
        ("POST", "/ajax-api/2.0/mlflow/experiments/search", Action.TRACKING_READ),
        ("POST", "/api/2.0/mlflow/logged-models/search", Action.TRACKING_READ),
        ("POST", "/api/3.0/mlflow/traces/search", Action.TRACKING_READ),
        ("GET", "/version", Action.TRACKING_READ),
        ("GET", "/get-artifact", Action.TRACKING_READ),
        ("POST", "/v1/traces", Action.TRACKING_WRITE),
        ("POST", "/api/2.0/mlflow/runs/create", Action.TRACKING_WRITE),
        ("POST", "/api/2.0/mlflow/runs/search/x", Action.TRACKING_WRITE),
        ("POST", "/api/2.0/mlflow/runs/log-batch", Action.TRACKING_WRITE),
        ("DELETE", "/api/2.0/mlflow/runs/search", Action.TRACKING_WRITE),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/a", Action.TRACKING_WRITE),
        ("PATCH", "/api/2.0/mlflow/logged-models/m-1/tags", Action.TRACKING_WRITE),
    ],
)
def test_what_reads_and_what_writes(method: str, path: str, action: Action) -> None:
    assert paths.passed_on(method, path) is action


def test_reading_and_writing_take_a_role_and_a_refused_write_is_recorded(caller: Make, tracking: Tracking) -> None:
    read, write = "/api/2.0/mlflow/runs/search", "/api/2.0/mlflow/runs/create"
    viewer, stranger = caller(Role.VIEWER), caller()
    limited = caller(Role.DATA_SCIENTIST, pattern="team-*")
    assert [who.send("POST", read).status_code for who in (viewer, limited, stranger)] == [200, 200, 403]
    assert limited.send("POST", write).status_code == 200
    refused = viewer.send("POST", write)
    assert (refused.status_code, json.loads(refused.body)["error_code"]) == (403, "PERMISSION_DENIED")
    assert Event.objects.filter(action="tracking.write", outcome="denied").count() == 1
    assert len(tracking.asked) == 3
    anonymous = Client(raise_request_exception=False, enforce_csrf_checks=True)
    for path in (read, write):
        response = anonymous.post(path, b"{}", content_type="application/json")
        assert (response.status_code, response.json()["error_code"]) == (401, "UNAUTHENTICATED")


def test_credentials_and_names_of_hosts_stay_here(scientist: Caller, tracking: Tracking) -> None:
    response = scientist.send(
        "POST",
        "/api/2.0/mlflow/runs/create?a=%2Fb&c=d",
        b'{"run_name": "x"}',
        Cookie="plimsoll_session=secret",
        Origin="http://evil.example",
        **{"X-Forwarded-For": "192.0.2.9", "Forwarded": "for=192.0.2.9", "Host": "localhost", "Range": "bytes=0-3"},
    )
    (asked,) = tracking.asked
    assert (asked.method, asked.target, asked.body) == (
        "POST",
        "/api/2.0/mlflow/runs/create?a=%2Fb&c=d",
        b'{"run_name": "x"}',
    )
    assert asked.headers["Host"] == tracking.url.removeprefix("http://")
    assert asked.headers["Range"] == "bytes=0-3"
    assert not {"Authorization", "Cookie", "Origin", "X-Forwarded-For", "Forwarded"} & set(asked.headers)
    assert "Set-Cookie" not in response.headers
    assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert json.loads(response.body) == {"echo": "/api/2.0/mlflow/runs/create"}


@pytest.mark.parametrize("name", ["a b.txt", "ü/信用.bin", "100%.txt", "a+b&c=d;e.txt", "q?x#y"])
def test_names_of_files_arrive_as_they_are(scientist: Caller, tracking: Tracking, name: str) -> None:
    from urllib.parse import quote, unquote, urlsplit

    path = f"/api/2.0/mlflow-artifacts/artifacts/1/{name}"
    response = scientist.send("PUT", quote(path), gzip.compress(b"bytes"))
    assert response.status_code == 200
    assert unquote(urlsplit(tracking.asked[0].target).path) == path
    assert gzip.decompress(tracking.asked[0].body) == b"bytes"


def test_an_answer_of_tracking_keeps_its_status(scientist: Caller, tracking: Tracking) -> None:
    response = scientist.send("GET", "/api/2.0/mlflow/runs/get?run_id=none")
    assert response.status_code == 404
    assert json.loads(response.body) == {"error_code": "RESOURCE_DOES_NOT_EXIST"}
    head = scientist.send("HEAD", "/api/2.0/mlflow-artifacts/artifacts/a")
    assert (head.status_code, head["Content-Type"]) == (200, "application/json")


def test_a_redirect_is_not_followed(scientist: Caller, tracking: Tracking) -> None:
    tracking.redirecting = True
    response = scientist.send("GET", "/api/2.0/mlflow/runs/get")
    assert response.status_code == 503
    assert "Location" not in response.headers


def test_without_tracking_the_answer_says_so(scientist: Caller, settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_TRACKING_URL = "http://127.0.0.1:1"
    response = scientist.send("POST", "/api/2.0/mlflow/runs/create", b"{}")
    assert (response.status_code, response.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")


def test_a_tracking_server_elsewhere_gets_our_login_and_never_the_callers(
    scientist: Caller,
    tracking: Tracking,
    settings,  # type: ignore[no-untyped-def]
) -> None:
    tracking.login = "Bearer upstream-token"
    refused = scientist.send("GET", "/api/2.0/mlflow/runs/search")
    assert (refused.status_code, refused.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert "WWW-Authenticate" not in refused.headers
    settings.PLIMSOLL_TRACKING_AUTHORIZATION = "Bearer upstream-token"
    assert scientist.send("GET", "/api/2.0/mlflow/runs/search").status_code == 200
    assert [asked.headers.get("Authorization") for asked in tracking.asked] == [None, "Bearer upstream-token"]


def test_a_presigned_upload_past_this_service_is_refused(scientist: Caller, tracking: Tracking) -> None:
    response = scientist.send("POST", "/api/2.0/mlflow/artifacts/presigned-upload-url", b"{}")
    assert (response.status_code, response.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
    assert tracking.asked == []


def test_when_tracking_is_down_only_what_needs_it_stops(scientist: Caller, model: str, settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_TRACKING_URL = "http://127.0.0.1:1"
    for source, given in (
        (standin.RUN_ROOT, {"run_id": standin.RUN}),
        (f"models:/{standin.MODEL}", {"model_id": standin.MODEL}),
    ):
        status, code, _ = scientist.refused("POST", "model-versions/create", name=model, source=source, **given)
        assert (status, code) == (503, "TEMPORARILY_UNAVAILABLE")
    scientist.ok("GET", "model-versions/get", name=model, version="1")
    scientist.ok("GET", "registered-models/search")
    scientist.ok("GET", "model-versions/get-download-uri", name=model, version="1")
    scientist.ok("POST", "registered-models/alias", name=model, alias="green", version="1")
    scientist.ok("POST", "model-versions/set-tag", name=model, version="1", key="a", value="b")
    made = scientist.ok("POST", "model-versions/create", name=model, source=f"models:/{model}/1")
    assert made["model_version"]["version"] == "2"
