"""MLflow's own pages: behind our login, under a policy of their own, with writes from themselves alone; and GraphQL."""

import json
import re
from collections.abc import Callable

import pytest
from django.test import Client

from access import actions
from access.roles import Role
from audit.actors import SYSTEM
from audit.errors import Denied, Invalid
from tests import factories
from tests.web.mlflow.caller import Caller
from tests.web.mlflow.standin import RUN, Tracking
from web.mlflow import graphql

Make = Callable[..., Caller]
CREATE = "/mlflow/ajax-api/2.0/mlflow/runs/create"
REGISTER = "/mlflow/ajax-api/2.0/mlflow/registered-models/create"


@pytest.fixture
def browser(db: None) -> Client:
    """A signed-in browser of a data scientist, as strict about form tokens as a real one needs us to be."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    user = actions.create_user(by=SYSTEM, username="ana", password=factories.PASSWORD)
    actions.grant_role(by=SYSTEM, user=user, role=Role.DATA_SCIENTIST, pattern="*")
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get("/sign-in/").content.decode())
    assert found
    values = {"csrfmiddlewaretoken": found.group(1), "username": "ana", "password": factories.PASSWORD}
    assert client.post("/sign-in/", values).status_code == 302
    return client


def post(client: Client, path: str, body: object = None, **headers: str) -> tuple[int, dict]:
    response = client.post(path, json.dumps(body or {}), content_type="application/json", headers=headers)
    return response.status_code, json.loads(b"".join(response))


def test_the_pages_stand_behind_our_login(tracking: Tracking, caller: Make) -> None:
    stranger = Client(raise_request_exception=False)
    response = stranger.get("/mlflow/")
    assert (response.status_code, response["Location"]) == (302, "/sign-in/?next=%2Fmlflow%2F")
    assert stranger.get("/mlflow/ajax-api/2.0/mlflow/runs/get").status_code == 401
    assert stranger.get("/mlflow/static-files/static/js/main.js").status_code == 302
    assert caller().send("GET", "/mlflow/").status_code == 403
    assert tracking.asked == []


def test_the_pages_run_only_their_own_scripts(browser: Client, tracking: Tracking) -> None:
    assert browser.get("/mlflow")["Location"] == "/mlflow/"
    page = browser.get("/mlflow/")
    file = browser.get("/mlflow/static-files/static/js/main.js")
    b"".join(page), b"".join(file)
    assert [asked.target for asked in tracking.asked] == ["/", "/static-files/static/js/main.js"]
    assert not {"Cookie", "Authorization"} & {name for asked in tracking.asked for name in asked.headers}
    rules = dict(rule.split(" ", 1) for rule in page["Content-Security-Policy"].split("; "))
    assert rules["script-src"] == "http://testserver/mlflow/static-files/"
    assert (rules["default-src"], rules["connect-src"], rules["base-uri"]) == ("'none'", "'self'", "'none'")
    assert rules["frame-ancestors"] == "'none'"
    assert file["Content-Security-Policy"] == page["Content-Security-Policy"]
    assert file["Cache-Control"] == "private, max-age=2419200"


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "http://testserver"}, True),
        ({}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://testserver"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://testserver.evil.example"}, False),
        ({"Origin": "http://testserver:81"}, False),
        ({"Origin": "null"}, False),
        ({"Referer": "http://testserver/mlflow/"}, False),
    ],
)
def test_a_write_on_a_session_must_come_from_this_site(
    browser: Client, tracking: Tracking, headers: dict[str, str], passes: bool
) -> None:
    for path, body in ((CREATE, {}), (REGISTER, {"name": "churn"})):
        status, answer = post(browser, path, body, **headers)
        assert (status, answer.get("error_code")) == ((200, None) if passes else (403, "PERMISSION_DENIED")), path
    assert len(tracking.asked) == passes


def test_a_session_writes_nowhere_else(browser: Client, tracking: Tracking) -> None:
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}
    for path in (CREATE, REGISTER, "/mlflow/v1/traces"):
        outside = path.removeprefix("/mlflow")
        assert post(browser, outside, **own)[0] == 403
        assert post(browser, outside.replace("/ajax-api", "/api"), **own)[0] == 403
    assert tracking.asked == []


@pytest.mark.parametrize("place", ["script", "style", "worker", "serviceworker", "iframe", "frame", "object", "embed"])
def test_files_of_a_run_are_never_part_of_a_page(browser: Client, tracking: Tracking, place: str) -> None:
    for path in (
        "/api/2.0/mlflow-artifacts/artifacts/1/evil.js",
        f"/mlflow/get-artifact?run_uuid={RUN}&path=evil.js",
        "/model-versions/get-artifact?name=churn&version=1&path=evil.js",
        f"/mlflow/ajax-api/2.0/mlflow/get-trace-artifact?request_id={RUN}",
    ):
        assert browser.get(path, headers={"Sec-Fetch-Dest": place}).status_code == 403
    assert tracking.asked == []
    shown = browser.get(f"/mlflow/get-artifact?run_uuid={RUN}&path=a.png", headers={"Sec-Fetch-Dest": "image"})
    assert (shown.status_code, shown["Content-Security-Policy"]) == (200, "sandbox; default-src 'none'")
    b"".join(shown)
    assert tracking.asked[0].target == f"/get-artifact?run_uuid={RUN}&path=a.png"


def test_a_file_of_a_version_is_served_from_where_its_files_are(
    scientist: Caller, caller: Make, model: str, tracking: Tracking
) -> None:
    tracking.asked.clear()
    for prefix in ("", "/mlflow"):
        address = f"{prefix}/model-versions/get-artifact?name={model}&version=1&path=MLmodel"
        assert json.loads(scientist.send("GET", address).body) == {
            "echo": f"/api/2.0/mlflow-artifacts/artifacts/1/{RUN}/artifacts/files/MLmodel"
        }
        other = caller(Role.DATA_SCIENTIST, pattern="team-*")
        assert other.send("GET", address).status_code == 404
        for path in ("../MLmodel", "%252e%252e/MLmodel", "a//b", "/etc/passwd"):
            hostile = f"{prefix}/model-versions/get-artifact?name={model}&version=1&path={path}"
            assert scientist.send("GET", hostile).status_code == 400


RUN_QUERY = """query GetRun($data: MlflowGetRunInput!) @component(name: "x") {
  mlflowGetRun(input: $data) { run { info { runName } v: modelVersions { name version status description } } } }"""


def test_graphql_shows_a_run_with_the_versions_one_may_see(
    scientist: Caller, caller: Make, model: str, tracking: Tracking
) -> None:
    tracking.asked.clear()
    body = json.dumps({"query": RUN_QUERY, "variables": {"data": {"runId": RUN}}, "operationName": "GetRun"}).encode()
    answer = json.loads(scientist.send("POST", "/mlflow/graphql", body).body)
    assert answer["data"]["mlflowGetRun"]["run"] == {
        "info": {"runName": "r"},
        "v": [{"name": "churn", "version": "1", "status": "READY", "description": ""}],
    }
    (asked,) = tracking.asked
    sent = json.loads(asked.body)
    assert "modelVersions" not in sent["query"]
    assert "v: info" in sent["query"]
    assert sent["variables"] == {"data": {"runId": RUN}}
    other = caller(Role.DATA_SCIENTIST, pattern="team-*")
    assert json.loads(other.send("POST", "/mlflow/graphql", body).body)["data"]["mlflowGetRun"]["run"]["v"] == []


@pytest.mark.parametrize(
    "query",
    [
        "{ mlflowSearchModelVersions(input: {}) { modelVersions { name } } }",
        "{ a: mlflowSearchModelVersions(input: {}) { modelVersions { name } } }",
        "query Q { ...F } fragment F on Query { mlflowSearchModelVersions(input: {}) { modelVersions { name } } }",
        "query Q { ... on Query { mlflowSearchModelVersions(input: {}) { modelVersions { name } } } }",
        "query A { __typename } query B { mlflowSearchModelVersions(input: {}) { modelVersions { name } } }",
        "mutation { testMutation { output } }",
        "mutation { mlflowSearchDatasets(input: {}) { datasetSummaries { name } } }",
        "subscription { x }",
        "{ __schema { types { name } } }",
        "{ mlflowSomethingNew { name } }",
    ],
)
def test_graphql_never_asks_tracking_for_the_registry(scientist: Caller, tracking: Tracking, query: str) -> None:
    with pytest.raises(Denied):
        graphql.examined(query)
    response = scientist.send("POST", "/mlflow/graphql", json.dumps({"query": query}).encode())
    assert response.status_code == 403
    assert tracking.asked == []


@pytest.mark.parametrize(
    "query", ["", "{", "{ a }" * 3000, "{" * 4000, "{ modelVersions { a: name } }", "{ a(b: \x00) }"]
)
def test_a_graphql_query_that_cannot_be_read_is_refused(query: str) -> None:
    with pytest.raises(Invalid):
        graphql.examined(query)


def test_every_field_of_a_fragment_is_examined() -> None:
    text, shown = graphql.examined(
        "query { mlflowGetRun { run { ...F } } } fragment F on MlflowRun { modelVersions { name } }"
    )
    assert shown == {"name"}
    assert "modelVersions: info {\n    plimsollRun: runId" in text


def test_graphql_takes_a_query_in_json_by_post_and_nothing_else(scientist: Caller, tracking: Tracking) -> None:
    for body in (b"", b"[]", b"{}", b'{"query": 1}', b"\xff", b"[" * 100_000):
        assert scientist.send("POST", "/mlflow/graphql", body).status_code == 400
    assert scientist.send("GET", "/mlflow/graphql?query={__typename}").status_code == 404
    assert tracking.asked == []
