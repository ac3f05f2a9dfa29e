"""Searching over the wire: the grammar, the order, the pages, and how much it costs."""

import base64
import json
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from access.roles import Role
from registry.actions import aliases, models, tags, versions
from tests.web.mlflow.caller import Caller
from tests.web.mlflow.standin import OTHER_RUN, RUN, Tracking

PROMPT = {"mlflow.prompt.is_prompt": "true"}


@pytest.fixture
def shelf(scientist: Caller, tracking: Tracking) -> Caller:
    """Three models: churn (versions 1, 2), Churn_old (version 1), risk (version 1); and a prompt."""
    by = scientist.actor
    churn = models.create(by=by, name="churn", tags={"team": "Risk", "tier": "1"})
    old = models.create(by=by, name="Churn_old", tags={"team": "risk"})
    risk = models.create(by=by, name="risk", tags={"a.b c": "x"})
    greeting = models.create(by=by, name="greeting", tags=PROMPT)
    for model, run in ((churn, RUN), (churn, OTHER_RUN), (old, RUN), (risk, RUN)):
        versions.create(by=by, model=model, source=f"runs:/{run}/files", run_id=run, tags={"k": model.name})
    versions.create(by=by, model=greeting, source="dummy-source", tags=PROMPT)
    return scientist


def named(caller: Caller, text: str, **more: object) -> list[str]:
    body = caller.ok("GET", "registered-models/search", filter=text, **more)
    return [found["name"] for found in body.get("registered_models", [])]


def numbered(caller: Caller, text: str, **more: object) -> list[str]:
    body = caller.ok("GET", "model-versions/search", filter=text, **{"order_by": ["name", "version_number"]} | more)
    return [f"{found['name']}/{found['version']}" for found in body.get("model_versions", [])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"Churn_old", "churn", "risk"}),
        ("name = 'churn'", {"churn"}),
        ('name = "churn"', {"churn"}),
        ("attribute.name='churn'", {"churn"}),
        ("`name` != 'churn'", {"Churn_old", "risk"}),
        ("name LIKE 'churn%'", {"churn"}),
        ("name like 'Churn_old'", {"Churn_old"}),
        ("name LIKE '_isk'", {"risk"}),
        ("name ILIKE 'churn%'", {"churn", "Churn_old"}),
        ("name LIKE 'churn'", {"churn"}),
        ("name LIKE '%\\'", set()),
        ("name IN ('churn', 'risk')", {"churn", "risk"}),
        ("name IN ('churn',)", {"churn"}),
        ("name NOT IN ('churn')", {"Churn_old", "risk"}),
        ("tags.team = 'Risk'", {"churn"}),
        ("tag.`team` ILIKE 'RISK'", {"churn", "Churn_old"}),
        ("tags.team != 'Risk'", {"Churn_old"}),
        ("tags.team != 'Risk' AND tags.team != 'risk'", set()),
        ("tags.team ILIKE 'risk' and tags.tier = '1'", {"churn"}),
        ("tags.`a.b c` = 'x'", {"risk"}),
        ("tags.\"a.b c\" = 'x'", {"risk"}),
        ("tags.nobody = ''", set()),
        ("tags.`mlflow.prompt.is_prompt` = 'true'", {"greeting"}),
        ("tags.`mlflow.prompt.is_prompt` != 'false'", {"greeting"}),
        ("tags.`mlflow.prompt.is_prompt` = 'false'", {"Churn_old", "churn", "risk"}),
        ("tags.`mlflow.prompt.is_prompt` != 'true'", {"Churn_old", "churn", "risk"}),
        ("tags.mlflow.prompt.is_prompt = 'true' AND name = 'churn'", set()),
        ("name = 'AND'", set()),
        ("name = ''", set()),
    ],
)
def test_models_are_found_by_filter(shelf: Caller, text: str, expected: set[str]) -> None:
    assert set(named(shelf, text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["churn/1", "churn/2", "Churn_old/1", "risk/1"]),
        ("name='churn'", ["churn/1", "churn/2"]),
        (f"run_id = '{OTHER_RUN}'", ["churn/2"]),
        (f"run_id IN ('{OTHER_RUN}', 'x')", ["churn/2"]),
        (f"run_id != '{OTHER_RUN}'", ["churn/1", "Churn_old/1", "risk/1"]),
        (f"source_path = 'runs:/{OTHER_RUN}/files'", ["churn/2"]),
        ("source_path LIKE 'runs:/b%'", ["churn/2"]),
        ("version_number > 1", ["churn/2"]),
        ("version_number >= '1' AND name LIKE 'r%'", ["risk/1"]),
        ("version_number<=1 and name='churn'", ["churn/1"]),
        ("version_number != 1", ["churn/2"]),
        ("version_number = 99999999999999999", []),
        ("version_number > -1 AND name = 'risk'", ["risk/1"]),
        ("tags.k = 'churn'", ["churn/1", "churn/2"]),
        ("tags.`mlflow.prompt.is_prompt` = 'true'", ["greeting/1"]),
    ],
)
def test_versions_are_found_by_filter(shelf: Caller, text: str, expected: list[str]) -> None:
    assert sorted(numbered(shelf, text)) == sorted(expected)


@pytest.mark.parametrize(
    "text",
    [
        "name",
        "name =",
        "name = churn",
        "name = 'churn",
        "= 'churn'",
        "name = 'a' OR name = 'b'",
        "name = 'a' name = 'b'",
        "name = 'a' AND",
        "(name = 'a')",
        "name > 'a'",
        "name IN 'a'",
        "name IN ()",
        "name IN ('a', 1)",
        "name NOT LIKE 'a'",
        "owner = 'me'",
        "params.a = 'b'",
        "tags. = 'b'",
        "tags.a IN ('b')",
        "tags.a > 'b'",
        "tags.a = 5",
        "name = 'a'; DROP TABLE registry_modelversion",
        "name = 'a' -- x",
        "é = 'a'",
        "x" * 10_001,
        " AND ".join(["name != 'a'"] * 51),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(scientist: Caller, text: str) -> None:
    for call in ("registered-models/search", "model-versions/search"):
        status, code, message = scientist.refused("GET", call, filter=text)
        assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
        assert message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "name!=something",
            "Parameter value is either not quoted or unidentified quote types used for string value some",
        ),
        ("evilhax = true", "Invalid clause(s) in filter string"),
        ("name LIKE", "Invalid clause(s) in filter string"),
        ("name IN (", "Invalid clause(s) in filter string"),
        ("evilhax = 'a'", "Invalid attribute key 'evilhax' specified."),
        ("params.a = 'b'", "Invalid entity type 'params'. Valid entity types are ('attribute', 'tag', 'tags')"),
        ("name > 'a'", "Invalid comparator for attribute: >"),
        ("tag.a > 'b'", "Invalid comparator for tag: >"),
        ("tag.a = 5", "Expected a quoted string value for tag (e.g. 'my-value'). Got value 5"),
        ("name = 5", "Expected a quoted string value or a list of quoted string values for attributes. Got value 5"),
        ("name IN ()", "While parsing a list in the query, expected a non-empty list of string values, but got empty"),
        ("name IN (,)", "While parsing a list in the query, expected a non-empty list of string values, but got ill-"),
        ("name IN ('a',,'b')", "While parsing a list in the query, expected a non-empty list of string values, but "),
        ("name IN (1,2)", "While parsing a list in the query, expected string value, punctuation, or whitespace, but"),
    ],
)
def test_a_filter_is_refused_in_the_words_that_clients_look_for(scientist: Caller, text: str, sentence: str) -> None:
    for call in ("registered-models/search", "model-versions/search"):
        assert scientist.refused("GET", call, filter=text)[2].startswith(sentence)


@pytest.mark.parametrize(
    ("call", "order", "sentence"),
    [
        ("registered-models", "run_id DESC", "Invalid order by key 'run_id' specified."),
        ("registered-models", "creation_timestamp", "Invalid order by key 'creation_timestamp' specified."),
        ("model-versions", "run_id DESC", "Invalid attribute key 'run_id' specified."),
        ("model-versions", "timestamp", "Invalid attribute key 'timestamp' specified."),
        (
            "model-versions",
            "last_updated_timestamp DESC blah",
            "Invalid order_by clause 'last_updated_timestamp DESC b",
        ),
        ("model-versions", "name UP", "Invalid ordering key in order_by clause 'name UP'."),
    ],
)
def test_an_order_is_refused_in_the_words_that_clients_look_for(
    scientist: Caller, call: str, order: str, sentence: str
) -> None:
    refused = scientist.refused("GET", f"{call}/search", order_by=["name ASC", order])
    assert refused[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert refused[2].startswith(sentence)


@pytest.mark.parametrize(
    "text",
    [
        "version_number = 'one'",
        "version_number LIKE '1'",
        "version_number = 1.5",
        "version_number IN ('1')",
        "source_path IN ('a')",
    ],
)
def test_versions_have_operators_of_their_own(scientist: Caller, text: str) -> None:
    assert scientist.refused("GET", "model-versions/search", filter=text)[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_results_come_in_the_order_asked_for(shelf: Caller) -> None:
    assert named(shelf, "", order_by=["name DESC"]) == list(reversed(named(shelf, "")))
    assert named(shelf, "", order_by=["timestamp\t dEsC"]) == ["risk", "Churn_old", "churn"]
    assert named(shelf, "", order_by=["last_updated_timestamp"]) == ["churn", "Churn_old", "risk"]
    assert numbered(shelf, "", order_by=["creation_timestamp"]) == ["churn/1", "churn/2", "Churn_old/1", "risk/1"]
    assert numbered(shelf, "", order_by=[]) == ["risk/1", "Churn_old/1", "churn/2", "churn/1"]
    assert numbered(shelf, "name='churn'", order_by=["version_number DESC"]) == ["churn/2", "churn/1"]


@pytest.mark.parametrize(
    "order",
    [
        ["owner"],
        ["name SIDEWAYS"],
        ["name ASC x"],
        [""],
        ["name", "name DESC"],
        ["timestamp", "last_updated_timestamp"],
        ["creation_timestamp"],
    ],
)
def test_an_order_that_cannot_be_read_is_refused(scientist: Caller, order: list[str]) -> None:
    assert scientist.refused("GET", "registered-models/search", order_by=order)[:2] == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(("call", "most"), [("registered-models/search", 1000), ("model-versions/search", 200_000)])
def test_a_page_has_a_size_within_limits(scientist: Caller, call: str, most: int) -> None:
    for wanted in (0, -1, most + 1, 10**18, "many"):
        assert scientist.refused("GET", call, max_results=wanted)[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert scientist.ok("GET", call, max_results=most) == {}


@pytest.mark.parametrize(
    "order", [["name"], ["name DESC"], ["last_updated_timestamp DESC"], ["last_updated_timestamp", "name DESC"]]
)
def test_pages_together_are_the_whole_even_when_rows_change_meanwhile(shelf: Caller, order: list[str]) -> None:
    for call, kind in (("registered-models/search", "registered_models"), ("model-versions/search", "model_versions")):
        whole = shelf.ok("GET", call, order_by=order)[kind]
        pages, token = [], ""
        while True:
            body = shelf.ok("GET", call, order_by=order, max_results=1, page_token=token)
            pages += body[kind]
            token = body.get("next_page_token", "")
            if not token:
                break
        assert pages == whole
        assert shelf.refused("GET", call, order_by=["name ASC", "timestamp"], page_token="e30=")[0] == 400


def test_a_token_that_is_not_ours_is_refused(shelf: Caller) -> None:
    call = "registered-models/search"
    assert shelf.refused("GET", call, page_token="ä!")[2] == "Invalid page token, could not base64-decode"
    good = shelf.ok("GET", call, max_results=1)["next_page_token"]
    body = json.loads(base64.urlsafe_b64decode(good))
    forged = [
        [],
        5,
        "x",
        {},
        {**body, "order": ["-name"]},
        {**body, "after": []},
        {**body, "after": [5]},
        {**body, "after": ["\x00"]},
        {**body, "after": [None]},
    ]
    for wrong in forged:
        token = base64.urlsafe_b64encode(json.dumps(wrong).encode()).decode()
        assert shelf.refused("GET", call, page_token=token)[2].startswith("Invalid page token, decoded value=")
    moments = shelf.ok("GET", call, max_results=1, order_by=["timestamp"])["next_page_token"]
    body = json.loads(base64.urlsafe_b64decode(moments))
    for wrong in ("yesterday", "2026-01-01", "2026-01-01T00:00:00"):
        token = base64.urlsafe_b64encode(json.dumps({**body, "after": [wrong, "x"]}).encode()).decode()
        assert shelf.refused("GET", call, page_token=token, order_by=["timestamp"])[0] == 400


def test_only_what_is_visible_is_found(shelf: Caller, caller: Callable[..., Caller]) -> None:
    elsewhere = caller(Role.VIEWER, pattern="churn*")
    assert named(elsewhere, "") == ["churn"]
    assert numbered(elsewhere, "name LIKE '%'") == ["churn/1", "churn/2"]
    stranger = caller()
    assert named(stranger, "") == numbered(stranger, "") == []


def test_deleted_versions_are_not_found(shelf: Caller) -> None:
    shelf.ok("DELETE", "model-versions/delete", name="churn", version="2")
    assert numbered(shelf, "name='churn'") == ["churn/1"]
    latest = shelf.ok("GET", "registered-models/get", name="churn")["registered_model"]["latest_versions"]
    assert [found["version"] for found in latest] == ["1"]


@pytest.mark.parametrize("call", ["registered-models/search", "model-versions/search"])
def test_thirty_rows_take_as_many_queries_as_one(
    scientist: Caller, caller: Callable[..., Caller], tracking: Tracking, call: str
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            scientist.ok("GET", call, filter="name LIKE 'many-%'")
        return len(captured)

    def add(number: int) -> None:
        by = caller(Role.DATA_SCIENTIST).actor
        model = models.create(by=by, name=f"many-{number}", tags={"a": "b"})
        version = versions.create(by=by, model=model, source="dummy-source", tags={**PROMPT, "c": "d"})
        tags.delete_version_tag(by=by, version=version, key="mlflow.prompt.is_prompt")
        aliases.set_alias(by=by, model=model, alias="blue", version=version)

    add(1)
    queries()  # the first request of a token notes that it was used
    one = queries()
    for number in range(2, 31):
        add(number)
    assert queries() == one
