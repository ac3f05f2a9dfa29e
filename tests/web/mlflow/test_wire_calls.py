"""Every call of the registry's wire: what it answers, and how it refuses."""

from collections.abc import Callable

import pytest
from django.test import Client

from access.models import User
from access.roles import Role
from audit.models import Event
from registry.models import Job, ModelVersion, RegisteredModel
from tests.web.mlflow.caller import Caller, state
from tests.web.mlflow.standin import FILES, RUN
from tests.web.pages.case import client_of

Make = Callable[..., Caller]
# Every call with fields that would do; {} stands for the model's name.
CALLS: list[tuple[str, str, dict[str, object]]] = [
    ("POST", "registered-models/create", {"name": "{}"}),
    ("GET", "registered-models/get", {"name": "{}"}),
    ("PATCH", "registered-models/update", {"name": "{}", "description": "d"}),
    ("POST", "registered-models/rename", {"name": "{}", "new_name": "{}-2"}),
    ("DELETE", "registered-models/delete", {"name": "{}"}),
    ("GET", "registered-models/search", {}),
    ("POST", "registered-models/get-latest-versions", {"name": "{}"}),
    ("GET", "registered-models/get-latest-versions", {"name": "{}"}),
    ("POST", "registered-models/set-tag", {"name": "{}", "key": "k", "value": "v"}),
    ("DELETE", "registered-models/delete-tag", {"name": "{}", "key": "k"}),
    ("POST", "registered-models/alias", {"name": "{}", "alias": "blue", "version": "1"}),
    ("DELETE", "registered-models/alias", {"name": "{}", "alias": "blue"}),
    ("GET", "registered-models/alias", {"name": "{}", "alias": "blue"}),
    ("POST", "model-versions/create", {"name": "{}", "source": FILES, "run_id": RUN}),
    ("GET", "model-versions/get", {"name": "{}", "version": "1"}),
    ("PATCH", "model-versions/update", {"name": "{}", "version": "1", "description": "d"}),
    ("POST", "model-versions/transition-stage", {"name": "{}", "version": "1", "stage": "Staging"}),
    ("DELETE", "model-versions/delete", {"name": "{}", "version": "1"}),
    ("GET", "model-versions/search", {}),
    ("GET", "model-versions/get-download-uri", {"name": "{}", "version": "1"}),
    ("POST", "model-versions/set-tag", {"name": "{}", "version": "1", "key": "k", "value": "v"}),
    ("DELETE", "model-versions/delete-tag", {"name": "{}", "version": "1", "key": "k"}),
]
NAMED = [entry for entry in CALLS if entry[2] and entry[1] != "registered-models/create"]
WRITES = [entry for entry in CALLS if entry[0] != "GET" and entry[1] != "registered-models/get-latest-versions"]


def fill(given: dict[str, object], name: str) -> dict[str, object]:
    return {key: str(value).replace("{}", name) for key, value in given.items()}


@pytest.mark.parametrize(("method", "call", "given"), CALLS)
def test_a_stranger_is_asked_to_sign_in(db: None, method: str, call: str, given: dict[str, object]) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    response = client.generic(method, f"/api/2.0/mlflow/{call}", b"", content_type="application/json")
    assert (response.status_code, response.json()["error_code"]) == (401, "UNAUTHENTICATED")
    assert response["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(("method", "call", "given"), [entry for entry in CALLS if entry[2]])
def test_the_first_missing_field_is_named(scientist: Caller, method: str, call: str, given: dict[str, object]) -> None:
    status, code, message = scientist.refused(method, call)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message.startswith("Missing value for required parameter 'name'.")


def test_unknown_and_invisible_are_not_told_apart(caller: Make, model: str) -> None:
    elsewhere = caller(Role.DATA_SCIENTIST, pattern="other-*")
    before = state()
    for method, call, given in NAMED:
        hidden = elsewhere.refused(method, call, **fill(given, "churn"))
        unknown = elsewhere.refused(method, call, **fill(given, "ghost"))
        assert hidden[:2] == (404, "RESOURCE_DOES_NOT_EXIST"), call
        assert hidden[2].replace("churn", "ghost") == unknown[2]
    assert state() == before


def test_a_viewer_may_not_write_and_each_refusal_is_recorded(caller: Make, model: str) -> None:
    viewer, before = caller(Role.VIEWER), state()
    for number, (method, call, given) in enumerate(WRITES, start=1):
        status, code, message = viewer.refused(method, call, **fill(given, "churn"))
        assert (status, code) == (403, "PERMISSION_DENIED"), call
        assert message.startswith("You may not ")
        assert Event.objects.filter(outcome="denied").count() == number
    assert state() == before


def test_the_other_prefix_answers_too(scientist: Caller, model: str) -> None:
    for method, call, given in CALLS:
        if method == "GET":
            assert scientist.call(method, call, api="/ajax-api", **fill(given, "churn"))[0] == 200


def test_a_wrong_method_and_an_unknown_call_are_unknown_endpoints(scientist: Caller) -> None:
    for call in sorted({call for _, call, _ in CALLS}):
        for method, path in (("PUT", call), ("POST", f"{call}/x"), ("GET", f"{call}/")):
            assert scientist.refused(method, path)[:2] == (404, "ENDPOINT_NOT_FOUND"), path


def test_a_model_as_it_looks_on_the_wire(scientist: Caller, model: str) -> None:
    body = scientist.ok("GET", "registered-models/get", name=model)["registered_model"]
    (latest,) = body.pop("latest_versions")
    created, updated = body.pop("creation_timestamp"), body.pop("last_updated_timestamp")
    assert isinstance(created, int)
    assert 1.6e12 < created <= updated
    assert body == {
        "name": "churn",
        "user_id": scientist.username,
        "tags": [{"key": "k", "value": "v"}],
        "aliases": [{"alias": "blue", "version": "1"}],
    }
    assert "aliases" not in latest


def test_a_version_as_it_looks_on_the_wire(scientist: Caller, model: str) -> None:
    body = scientist.ok("GET", "model-versions/get", name=model, version="1")["model_version"]
    del body["creation_timestamp"], body["last_updated_timestamp"]
    assert body == {
        "name": "churn",
        "version": "1",
        "user_id": scientist.username,
        "current_stage": "None",
        "status": "READY",
        "source": FILES,
        "run_id": RUN,
        "run_link": "",
        "description": "",
        "tags": [{"key": "k", "value": "v"}],
        "aliases": ["blue"],
    }


def test_an_absent_description_clears_it(scientist: Caller, model: str) -> None:
    for call, more in (("registered-models", {}), ("model-versions", {"version": "1"})):
        kind = "registered_model" if call == "registered-models" else "model_version"
        named = scientist.ok("PATCH", f"{call}/update", name=model, description="words", **more)[kind]
        assert named["description"] == "words"
        assert "description" not in scientist.ok("PATCH", f"{call}/update", name=model, **more)[kind]


def test_a_taken_name_is_a_400_and_says_by_what(scientist: Caller, model: str) -> None:
    status, code, message = scientist.refused("POST", "registered-models/create", name="churn")
    assert (status, code) == (400, "RESOURCE_ALREADY_EXISTS")
    assert message == "Registered Model (name=churn) already exists."
    prompt = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    assert (
        "taken by a registered model"
        in scientist.refused("POST", "registered-models/create", name="churn", tags=prompt)[2]
    )
    scientist.ok("POST", "registered-models/create", name="greeting", tags=prompt)
    assert "taken by a prompt" in scientist.refused("POST", "registered-models/create", name="greeting")[2]
    again = scientist.refused("POST", "registered-models/create", name="greeting", tags=prompt)
    assert again[2] == "Prompt (name=greeting) already exists."
    assert scientist.refused("POST", "registered-models/rename", name="churn", new_name="greeting")[1] == (
        "RESOURCE_ALREADY_EXISTS"
    )


@pytest.mark.parametrize(
    "name",
    [" ", "a/b", "a:b", ".", "..", "..a", "x" * 257, "line\nbreak", "e\u0301", "hidden\u200b", "\u202eright-to-left"],
)
def test_a_name_that_does_not_fit_is_refused_and_recorded(scientist: Caller, model: str, name: str) -> None:
    for call, given in (("create", {"name": name}), ("rename", {"name": "churn", "new_name": name})):
        before = Event.objects.filter(outcome="denied").count()
        assert scientist.refused("POST", f"registered-models/{call}", **given)[:2] == (400, "INVALID_PARAMETER_VALUE")
        assert Event.objects.filter(outcome="denied").count() == before + 1
    assert RegisteredModel.objects.count() == 1


def test_names_at_the_limit_and_beyond_ascii_are_kept(scientist: Caller) -> None:
    for name in ("x" * 256, "Kreditwürdigkeit 信用 😀", "a b.c-d_e@f"):
        assert scientist.ok("POST", "registered-models/create", name=name)["registered_model"]["name"] == name
        assert scientist.ok("GET", "registered-models/get", name=name)["registered_model"]["name"] == name


@pytest.mark.parametrize(
    ("alias", "sentence"),
    [
        ("latest", "'latest' alias name (case insensitive) is reserved."),
        ("LATEST", "'latest' alias name (case insensitive) is reserved."),
        ("v1", "Version alias name 'v1' is reserved."),
        ("V22", "Version alias name 'V22' is reserved."),
        ("a b", "Invalid alias name: 'a b'."),
        ("a/b", "Invalid alias name: 'a/b'."),
        ("ü.", "Invalid alias name: 'ü.'."),
        ("@", "Invalid alias name: '@'."),
        ("x" * 256, "'Registered model alias name' exceeds the maximum length of 255 characters"),
    ],
)
def test_an_alias_that_does_not_fit_is_refused(scientist: Caller, model: str, alias: str, sentence: str) -> None:
    status, code, message = scientist.refused("POST", "registered-models/alias", name=model, alias=alias, version="1")
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message.startswith(sentence)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a/b", "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
        ("a:b", "Invalid model name 'a:b'. Names cannot contain '/' or ':'."),
        ("..", "Invalid value \"..\" for parameter 'name' supplied: "),
        (" ", "Missing value for required parameter 'name'."),
    ],
)
def test_what_can_be_no_name_is_not_looked_up(scientist: Caller, model: str, name: str, sentence: str) -> None:
    for method, call, given in NAMED:
        refused = scientist.refused(method, call, **fill(given, "churn") | {"name": name})
        assert refused[:2] == (400, "INVALID_PARAMETER_VALUE"), call
        assert refused[2].startswith(sentence)


def test_moving_an_alias_or_a_tag_does_not_touch_the_model_and_moving_a_stage_does(
    scientist: Caller, model: str
) -> None:
    def touched() -> tuple[int, int]:
        body = scientist.ok("GET", "registered-models/get", name=model)["registered_model"]
        return body["last_updated_timestamp"], body["latest_versions"][0]["last_updated_timestamp"]

    before = touched()
    scientist.ok("POST", "registered-models/alias", name=model, alias="green", version="1")
    scientist.ok("DELETE", "registered-models/alias", name=model, alias="green")
    scientist.ok("POST", "registered-models/set-tag", name=model, key="x", value="y")
    scientist.ok("POST", "model-versions/set-tag", name=model, version="1", key="x", value="y")
    assert touched() == before
    scientist.ok("PATCH", "model-versions/update", name=model, version="1", description="d")
    described = touched()
    assert described[0] == before[0]
    assert described[1] > before[1]
    for _ in range(2):
        before = touched()
        scientist.ok("POST", "model-versions/transition-stage", name=model, version="1", stage="Staging")
        assert touched()[0] == touched()[1] > before[1]


def test_an_alias_moves_silently_and_is_found(scientist: Caller, model: str) -> None:
    scientist.ok("POST", "model-versions/create", name=model, source=FILES, run_id=RUN)
    scientist.ok("POST", "registered-models/alias", name=model, alias="blue", version="2")
    found = scientist.ok("GET", "registered-models/alias", name=model, alias="blue")["model_version"]
    assert (found["version"], found["aliases"]) == ("2", ["blue"])
    assert scientist.ok("GET", "registered-models/alias", name=model, alias="LATEST")["model_version"]["version"] == "2"
    assert scientist.refused("GET", "registered-models/alias", name=model, alias="red") == (
        400,
        "INVALID_PARAMETER_VALUE",
        "Registered model alias red not found.",
    )
    assert scientist.ok("DELETE", "registered-models/alias", name=model, alias="red") == {}
    assert scientist.refused("POST", "registered-models/alias", name=model, alias="blue", version="9")[0] == 404


@pytest.mark.parametrize("call", ["registered-models", "model-versions"])
def test_tags_are_replaced_and_removed(scientist: Caller, model: str, call: str) -> None:
    more = {} if call == "registered-models" else {"version": "1"}
    kind = call.replace("-", "_").removesuffix("s")
    scientist.ok("POST", f"{call}/set-tag", name=model, key="k", **more)
    scientist.ok("POST", f"{call}/set-tag", name=model, key="a.b/c:d e", value="x" * 100_000, **more)
    tags = scientist.ok("GET", f"{call}/get", name=model, **more)[kind]["tags"]
    assert tags == [{"key": "a.b/c:d e", "value": "x" * 100_000}, {"key": "k", "value": ""}]
    scientist.ok("DELETE", f"{call}/delete-tag", name=model, key="k", **more)
    assert scientist.ok("DELETE", f"{call}/delete-tag", name=model, key="k", **more) == {}
    for key, value in (("k" * 251, ""), ("k", "x" * 100_001), ("../k", ""), ("k;", ""), ("/k", "")):
        refused = scientist.refused("POST", f"{call}/set-tag", name=model, key=key, value=value, **more)
        assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("version", ["abc", "1.0", "v1", "--1", "1e3", "0x1"])
def test_a_version_is_an_integer(scientist: Caller, model: str, version: str) -> None:
    assert scientist.refused("GET", "model-versions/get", name=model, version=version) == (
        400,
        "INVALID_PARAMETER_VALUE",
        f"Parameter 'version' must be an integer, got '{version}'.",
    )


@pytest.mark.parametrize("version", ["0", "2", "-1", "2147483648", "9" * 18])
def test_a_version_that_is_not_there_is_a_404(scientist: Caller, model: str, version: str) -> None:
    assert scientist.refused("GET", "model-versions/get", name=model, version=version) == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
        f"Model Version (name=churn, version={version}) not found",
    )


def test_stages_are_read_in_any_case_and_archive_what_stood_there(scientist: Caller, model: str) -> None:
    scientist.ok("POST", "model-versions/create", name=model, source=FILES, run_id=RUN)
    move = "model-versions/transition-stage"
    assert (
        scientist.ok("POST", move, name=model, version="1", stage="sTaGiNg")["model_version"]["current_stage"]
        == "Staging"
    )
    scientist.ok("POST", move, name=model, version="2", stage="Staging", archive_existing_versions=True)
    assert list(ModelVersion.objects.order_by("number").values_list("stage", flat=True)) == ["Archived", "Staging"]
    for stage in ("None", "Archived"):
        refused = scientist.refused("POST", move, name=model, version="2", stage=stage, archive_existing_versions=True)
        assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")
        assert refused[2].startswith(
            f"Model version transition cannot archive existing model versions because '{stage}' is not an Active stage"
        )
    assert scientist.refused("POST", move, name=model, version="2", stage="Live")[:2] == (
        400,
        "INVALID_PARAMETER_VALUE",
    )
    latest = scientist.ok("POST", "registered-models/get-latest-versions", name=model, stages=["staging"])
    assert [found["version"] for found in latest["model_versions"]] == ["2"]
    refused = scientist.refused("GET", "registered-models/get-latest-versions", name=model, stages=["Live"])
    assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_entering_a_protected_stage_is_refused_with_the_address_of_the_promotion(scientist: Caller, model: str) -> None:
    address = "http://127.0.0.1:8000/models/churn/versions/1/promote/"
    before = state()
    refusals = [
        scientist.refused("POST", "model-versions/transition-stage", name=model, version="1", stage="Production"),
        scientist.refused("POST", "registered-models/alias", name=model, alias="Champion", version="1"),
        scientist.refused("DELETE", "registered-models/alias", name=model, alias="champion"),
    ]
    for status, code, message in refusals:
        assert (status, code) == (403, "PERMISSION_DENIED")
        assert address in message
    assert state() == before
    recorded = set(Event.objects.filter(outcome="denied").values_list("action", flat=True))
    assert recorded == {"model_version.transition_stage", "alias.set", "alias.delete"}


def test_a_prompt_has_no_files_and_no_job(scientist: Caller) -> None:
    prompt = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    scientist.ok("POST", "registered-models/create", name="greeting", tags=prompt)
    made = {"name": "greeting", "tags": [*prompt, {"key": "mlflow.prompt.text", "value": "Dear {{name}}"}]}
    assert scientist.refused("POST", "model-versions/create", source=FILES, **made)[0] == 400
    scientist.ok("POST", "model-versions/create", source="dummy-source", **made)
    assert not Job.objects.exists()
    assert scientist.refused("POST", "model-versions/create", name="greeting", source="models:/greeting/1")[0] == 400


def test_a_browser_session_reads_and_does_not_write(db: None, model: str) -> None:
    client = client_of(User.objects.order_by("created_at").first())
    assert client.get("/ajax-api/2.0/mlflow/registered-models/get", {"name": "churn"}).status_code == 200
    refused = client.generic("POST", "/ajax-api/2.0/mlflow/registered-models/create", b'{"name": "x"}')
    assert (refused.status_code, refused.json()["error_code"]) == (403, "PERMISSION_DENIED")
