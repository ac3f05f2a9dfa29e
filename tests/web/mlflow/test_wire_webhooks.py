"""MLflow's webhooks on the wire: what each call answers, and how it refuses."""

import base64
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from access.roles import Role
from audit.models import Event
from registry.actions import webhooks
from registry.actions.webhooks import Changes
from registry.models import Webhook
from tests.registry.receiver import Receiver, Reply, receiving
from tests.web.mlflow.caller import Caller

Make = Callable[..., Caller]
CREATED = {"entity": "MODEL_VERSION", "action": "CREATED"}
EVERYTHING = [
    ("POST", "webhooks", {"name": "n", "url": "https://example.org/", "events": [CREATED]}),
    ("GET", "webhooks", {}),
    ("GET", "webhooks/{}", {}),
    ("PATCH", "webhooks/{}", {"name": "other"}),
    ("DELETE", "webhooks/{}", {}),
    ("POST", "webhooks/{}/test", {}),
]


@pytest.fixture(autouse=True)
def loopback(settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_WEBHOOK_HTTP = True
    settings.PLIMSOLL_WEBHOOK_NETWORKS = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def hook(scientist: Caller, receiver: Receiver) -> dict[str, Any]:
    given = {"name": "ci", "url": receiver.url(), "events": [CREATED], "description": "words", "secret": "tops3cret"}
    return scientist.ok("POST", "webhooks", **given)["webhook"]


def test_a_webhook_is_made_and_shown_without_its_secret(
    scientist: Caller, hook: dict[str, Any], receiver: Receiver
) -> None:
    made, changed = hook.pop("creation_timestamp"), hook.pop("last_updated_timestamp")
    assert isinstance(made, int)
    assert made == changed > 1_700_000_000_000
    key = hook.pop("webhook_id")
    assert hook == {
        "name": "ci",
        "url": receiver.url(),
        "events": [CREATED],
        "description": "words",
        "status": "ACTIVE",
    }
    again = scientist.ok("GET", f"webhooks/{key}")["webhook"]
    assert again == {**hook, "webhook_id": key, "creation_timestamp": made, "last_updated_timestamp": changed}
    assert "tops3cret" not in str(list(Webhook.objects.values()))
    assert not [event for event in Event.objects.all() if b"tops3cret" in bytes(event.leaf_data)]


def test_names_need_not_be_unique_and_the_newest_comes_first(scientist: Caller, receiver: Receiver) -> None:
    made = [
        scientist.ok("POST", "webhooks", name="same", url=receiver.url(), events=[CREATED])["webhook"]["webhook_id"]
        for _ in range(5)
    ]
    first = scientist.ok("GET", "webhooks", max_results=2)
    second = scientist.ok("GET", "webhooks", max_results=2, page_token=first["next_page_token"])
    third = scientist.ok("GET", "webhooks", max_results=2, page_token=second["next_page_token"])
    assert "next_page_token" not in third
    listed = [entry["webhook_id"] for part in (first, second, third) for entry in part["webhooks"]]
    assert listed == made[::-1]


def test_an_update_changes_what_is_given(scientist: Caller, hook: dict[str, Any], receiver: Receiver) -> None:
    path = f"webhooks/{hook['webhook_id']}"
    kept = {name: hook[name] for name in ("name", "url", "events", "description", "status")}

    def after(**given: Any) -> dict[str, Any]:
        answer = scientist.ok("PATCH", path, **given)["webhook"]
        return {name: answer.get(name) for name in kept}

    assert after() == kept
    assert after(name="", url="", events=[]) == kept
    assert after(name="other", status="DISABLED") == {**kept, "name": "other", "status": "DISABLED"}
    assert after(description="") == {**kept, "name": "other", "status": "DISABLED", "description": ""}
    events = [{"entity": "PROMPT", "action": "CREATED"}, {"entity": "BUDGET_POLICY", "action": "EXCEEDED"}]
    assert after(events=events)["events"] == events
    assert Webhook.objects.get().secret is not None
    scientist.ok("PATCH", path, secret="")
    assert Webhook.objects.get().secret is None


def test_a_deleted_webhook_is_not_there(scientist: Caller, hook: dict[str, Any]) -> None:
    path = f"webhooks/{hook['webhook_id']}"
    assert scientist.ok("DELETE", path) == {}
    sentence = f"Webhook with ID {hook['webhook_id']} not found."
    for method, where, given in (("GET", path, {}), ("PATCH", path, {"name": "x"}), ("DELETE", path, {}),
                                 ("POST", f"{path}/test", {})):  # fmt: skip
        assert scientist.refused(method, where, **given) == (404, "RESOURCE_DOES_NOT_EXIST", sentence)
    assert scientist.ok("GET", "webhooks") == {}
    assert Webhook.objects.count() == 1


def test_deleting_takes_no_body_at_all(scientist: Caller, hook: dict[str, Any]) -> None:
    response = scientist.send("DELETE", f"/api/2.0/mlflow/webhooks/{hook['webhook_id']}", None, content_type="")
    assert (response.status_code, response.body) == (200, b"{}")


def test_the_test_sends_an_example_and_says_how_it_was_answered(
    scientist: Caller, hook: dict[str, Any], receiver: Receiver
) -> None:
    path = f"webhooks/{hook['webhook_id']}/test"
    receiver.replies = [Reply(200, body=b"thanks"), Reply(500, body=b"broken"), Reply(302, {"Location": "/x"})]
    result = scientist.ok("POST", path)["result"]
    assert result == {"success": True, "response_status": 200, "response_body": "thanks"}
    ((name, data),) = receiver.told()
    assert name == "model_version.created"
    assert (data["name"], data["version"], data["source"]) == ("example_model", "1", "models:/123")
    assert receiver.got[0].headers["x-mlflow-signature"].startswith("v1,")
    result = scientist.ok("POST", path, event={"entity": "PROMPT_TAG", "action": "DELETED"})["result"]
    assert result == {
        "success": False,
        "response_status": 500,
        "response_body": "broken",
        "error_message": "Failed to test webhook: It answered 500, not 2xx.",
    }
    assert receiver.told()[1] == ("prompt_tag.deleted", {"name": "example_prompt", "key": "example_key"})
    assert scientist.ok("POST", path)["result"]["success"] is False
    assert Event.objects.filter(action="webhook.test", outcome="success").count() == 3


def test_a_test_that_reaches_nobody_says_so(scientist: Caller, hook: dict[str, Any], settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_WEBHOOK_NETWORKS = ()
    result = scientist.ok("POST", f"webhooks/{hook['webhook_id']}/test")["result"]
    assert result["success"] is False
    assert "must not resolve to a non-public address" in result["error_message"]
    assert "response_status" not in result


# What the stock client cannot read must not be in its list: it would fail on the whole of it.


@pytest.fixture
def ours(scientist: Caller, receiver: Receiver) -> tuple[Webhook, Webhook]:
    """A hook with both kinds of events, and one with none of MLflow's."""

    def make(*events: str) -> Webhook:
        return webhooks.create(by=scientist.actor, changes=Changes(name="x", url=receiver.url(), events=events))

    return make("model_version.created", "promotion.applied"), make("promotion.applied", "model_version.transitioned")


def test_our_own_events_are_not_shown_here(scientist: Caller, ours: tuple[Webhook, Webhook]) -> None:
    mixed, foreign = ours
    (listed,) = scientist.ok("GET", "webhooks")["webhooks"]
    assert (listed["webhook_id"], listed["events"]) == (str(mixed.pk), [CREATED])
    for method, path, given in EVERYTHING[2:]:
        assert scientist.refused(method, path.replace("{}", str(foreign.pk)), **given)[0] == 404


def test_and_an_update_from_here_keeps_them(scientist: Caller, ours: tuple[Webhook, Webhook]) -> None:
    events = [{"entity": "PROMPT", "action": "CREATED"}]
    answer = scientist.ok("PATCH", f"webhooks/{ours[0].pk}", events=events)
    assert answer["webhook"]["events"] == events
    ours[0].refresh_from_db()
    assert ours[0].events == ["prompt.created", "promotion.applied"]


# -- refusals --------------------------------------------------------------------------------------------------------

GOOD = {"name": "n", "url": "https://example.org/", "events": [CREATED]}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "Missing value for required parameter 'name'."),
    ({"name": ""}, "Missing value for required parameter 'name'."),
    ({"url": None}, "Missing value for required parameter 'url'."),
    ({"events": None}, "Missing value for required parameter 'events'."),
    ({"events": []}, "Missing value for required parameter 'events'"),
    ({"events": "x"}, "Invalid value x for parameter 'events' supplied: it must be a list of events"),
    ({"events": ["x"]}, "Invalid value"),
    ({"events": [{"entity": "MODEL_VERSION"}]}, "Invalid value"),
    ({"events": [{"entity": "MOON", "action": "CREATED"}]}, "Invalid webhook entity 'moon'."),
    (
        {"events": [{"entity": "MODEL_VERSION", "action": "UPDATED"}]},
        "Invalid action 'updated' for entity 'model_version'. Valid actions are: ['created']",
    ),
    (
        {"events": [{"entity": "MODEL_VERSION_TAG", "action": "CREATED"}]},
        "Invalid action 'created' for entity 'model_version_tag'. Valid actions are: ['deleted', 'set']",
    ),
    ({"events": [{"entity": "PROMOTION", "action": "APPLIED"}]}, "Invalid webhook entity 'promotion'."),
    *[({"name": name}, f"Webhook name {name!r} is invalid.") for name in ("-a", "a-", "a b", "a/b", ".", "\u00e9")],
    ({"name": "x" * 64}, "Webhook name 'xxx"),
    ({"name": "a\n"}, "Webhook name 'a\\n' is invalid."),
    ({"url": "https://10.0.0.1/"}, "Webhook URL must not resolve to a non-public address: 10.0.0.1 leads to 10.0.0.1."),
    ({"url": "ftp://127.0.0.1/"}, "Invalid webhook URL: it must begin with https:// or http://."),
    ({"url": "https://127.0.0.1/" + "x" * 490}, "Invalid webhook URL: it has 508 characters; at most 500 are kept."),
    ({"url": " "}, "Invalid webhook URL: "),
    ({"description": "x" * 1001}, "'description' exceeds the maximum length of 1000 characters: it has 1001."),
    ({"secret": "x" * 1001}, "'secret' has at most 1000 characters, none of them invisible."),
    ({"status": "SLEEPING"}, "Invalid webhook status 'SLEEPING': it is ACTIVE or DISABLED."),
]


@pytest.mark.parametrize(("wrong", "sentence"), BAD)
def test_what_does_not_fit_is_a_plain_400(scientist: Caller, wrong: dict[str, Any], sentence: str) -> None:
    given = {**GOOD, "url": "https://127.0.0.1/", **wrong}
    status, code, message = scientist.refused("POST", "webhooks", **given)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message.startswith(sentence)
    assert Webhook.objects.count() == 0


@pytest.mark.parametrize("name", ["a", "A1", "x" * 63, "a.b_c-d", "0"])
def test_names_of_the_right_kind_are_taken(scientist: Caller, receiver: Receiver, name: str) -> None:
    assert scientist.ok("POST", "webhooks", **{**GOOD, "name": name, "url": receiver.url()})["webhook"]["name"] == name


def test_bad_pages_are_refused(scientist: Caller) -> None:
    assert scientist.refused("GET", "webhooks", max_results=1001)[0] == 400
    assert scientist.refused("GET", "webhooks", max_results=-1)[0] == 400
    assert scientist.refused("GET", "webhooks", page_token="~")[2] == "Invalid page token, could not base64-decode"
    token = base64.b64encode(b"rubbish").decode()
    assert scientist.refused("GET", "webhooks", page_token=token)[2].startswith("Invalid page token, decoded value=")


@pytest.mark.parametrize(("method", "path", "given"), EVERYTHING)
def test_who_may_not_is_refused_and_recorded(
    caller: Make, hook: dict[str, Any], method: str, path: str, given: dict[str, Any]
) -> None:
    where = path.replace("{}", hook["webhook_id"])
    given = {**given, "url": hook["url"]} if "url" in given else given
    for number, somebody in enumerate((caller(Role.VIEWER), caller(Role.DATA_SCIENTIST, pattern="team-*")), start=1):
        status, code, message = somebody.refused(method, where, **given)
        assert (status, code) == (403, "PERMISSION_DENIED")
        assert message.startswith("You may not ")
        assert Event.objects.filter(outcome="denied", action__startswith="webhook.").count() == number
    assert Webhook.objects.count() == 1


def test_an_auditor_sees_and_changes_nothing(caller: Make, hook: dict[str, Any]) -> None:
    auditor = caller(Role.AUDITOR)
    assert auditor.ok("GET", "webhooks")["webhooks"] == [hook]
    for method, path, given in (EVERYTHING[0], *EVERYTHING[3:]):
        status, _, _ = auditor.refused(method, path.replace("{}", hook["webhook_id"]), **given)
        assert status == 403


@pytest.mark.parametrize(("method", "path", "given"), EVERYTHING)
def test_a_stranger_is_asked_to_sign_in(db: None, method: str, path: str, given: dict[str, Any]) -> None:
    from django.test import Client

    where = f"/ajax-api/2.0/mlflow/{path.replace('{}', 'x')}"
    response = Client(raise_request_exception=False).generic(method, where, b"", content_type="application/json")
    assert (response.status_code, response.json()["error_code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "webhooks"),
        ("DELETE", "webhooks"),
        ("POST", "webhooks/x"),
        ("GET", "webhooks/x/test"),
        ("POST", "webhooks/x/y"),
        ("GET", "webhooks/"),
        ("GET", "Webhooks"),
    ],
)
def test_other_methods_and_addresses_are_no_endpoints(scientist: Caller, method: str, path: str) -> None:
    assert scientist.refused(method, path)[:2] == (404, "ENDPOINT_NOT_FOUND")
