"""Webhooks over REST: all their events, their log, redelivery, and who may have what sent where."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access.authenticate import actor_of
from access.roles import Role
from audit.clock import now
from audit.models import Event
from registry import delivery
from registry.actions import models
from registry.models import Delivery, Webhook, WebhookHealth
from tests import factories
from tests.registry import hook_cases as cases
from tests.registry.receiver import Receiver, Reply, receiving
from tests.web.rest.test_promotion_api import client_of

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture(autouse=True)
def loopback(settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_WEBHOOK_HTTP = True
    settings.PLIMSOLL_WEBHOOK_NETWORKS = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def admin() -> Client:
    return client_of(factories.account(Role.ADMINISTRATOR))


def make(client: Client, receiver: Receiver, **given: Any) -> Any:
    body = {"name": "ci", "url": receiver.url(), "events": ["registered_model.created"], **given}
    return client.post("/api/v1/webhooks/", body, content_type=JSON)


def register(name: str = "churn") -> None:
    models.create(by=factories.actor(Role.DATA_SCIENTIST), name=name)


def test_a_webhook_from_making_to_deleting(admin: Client, receiver: Receiver) -> None:
    made = make(admin, receiver, events=["model_version.transitioned", "prompt.created"], secret=cases.SECRET,
                standard=True, description="For CI.")  # fmt: skip
    assert made.status_code == 201
    body = made.json()
    address = f"/api/v1/webhooks/{body['id']}/"
    said = {name: body[name] for name in ("name", "description", "url", "events", "status", "signed", "standard",
                                          "health", "failing_since", "succeeded_at")}  # fmt: skip
    assert said == {
        "name": "ci",
        "description": "For CI.",
        "url": receiver.url(),
        "events": ["model_version.transitioned", "prompt.created"],
        "status": "ACTIVE",
        "signed": True,
        "standard": True,
        "health": "active",
        "failing_since": None,
        "succeeded_at": None,
    }
    assert admin.get(address).json() == body
    assert admin.get("/api/v1/webhooks/").json() == {"webhooks": [body], "after": ""}
    changed = admin.patch(address, {"status": "DISABLED", "name": "other"}, content_type=JSON).json()
    assert (changed["status"], changed["name"], changed["health"], changed["signed"]) == (
        "DISABLED",
        "other",
        "disabled",
        True,
    )
    assert admin.delete(address).status_code == 204
    assert admin.get(address).status_code == 404
    assert admin.get("/api/v1/webhooks/").json()["webhooks"] == []
    acts = Event.objects.filter(object_type="webhook").values_list("action", "outcome")
    assert sorted(acts) == [(f"webhook.{act}", "success") for act in ("create", "delete", "update")]
    for event in Event.objects.all():
        assert cases.SECRET.encode() not in bytes(event.leaf_data)
        assert b"/hook" not in bytes(event.leaf_data), "the rest of an address may be a secret"


@pytest.mark.parametrize("secret", ["", "tops3cret", "whsec_", "whsec_!!!", "whsec_YWJj", "MDEyMzQ1Njc4OWFiY2RlZg=="])
def test_standard_signatures_need_a_secret_of_that_kind(admin: Client, receiver: Receiver, secret: str) -> None:
    answer = make(admin, receiver, secret=secret, standard=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_secret")
    assert "tops3cret" not in answer.content.decode()
    kept = make(admin, receiver, secret=cases.SECRET, standard=True).json()["id"]
    answer = admin.patch(f"/api/v1/webhooks/{kept}/", {"secret": secret}, content_type=JSON)
    assert answer.json()["error"]["code"] == "bad_secret"


def test_the_log_of_deliveries_and_having_one_made_again(admin: Client, receiver: Receiver) -> None:
    key = make(admin, receiver).json()["id"]
    receiver.replies = [Reply(500, body=b"broken"), Reply(200, body=b"thanks")]
    register()
    delivery.run(key)
    cases.time_passes()
    delivery.run(key)
    (row,) = admin.get(f"/api/v1/webhooks/{key}/deliveries/").json()["deliveries"]
    assert (row["event"], row["state"], row["error"], row["due_at"]) == (
        "registered_model.created",
        "delivered",
        "",
        None,
    )
    log = [(entry["number"], entry["status"], entry["error"], entry["response"]) for entry in row["attempts"]]
    assert log == [(2, 200, "", "thanks"), (1, 500, "", "broken")]
    assert row["id"] == receiver.got[0].headers["x-mlflow-delivery-id"]
    again = f"/api/v1/webhooks/{key}/deliveries/{row['id']}/redeliver/"
    assert admin.post(again, {}, content_type=JSON).json()["state"] == "waiting"
    refused = admin.post(again, {}, content_type=JSON)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "waits_already")
    delivery.run(key)
    assert len(receiver.got) == 3
    admin.patch(f"/api/v1/webhooks/{key}/", {"status": "DISABLED"}, content_type=JSON)
    assert admin.post(again, {}, content_type=JSON).json()["error"]["code"] == "webhook_disabled"
    assert admin.post(again.replace(row["id"], key), {}, content_type=JSON).status_code == 404


def test_a_hook_that_fails_for_long_is_shown_as_failing(admin: Client, receiver: Receiver) -> None:
    key = make(admin, receiver).json()["id"]
    receiver.replies = [Reply(500)]
    register()
    delivery.run(key)
    assert admin.get(f"/api/v1/webhooks/{key}/").json()["health"] == "retrying"
    WebhookHealth.objects.update(failing_since=now() - timedelta(minutes=16))
    body = admin.get("/api/v1/webhooks/").json()["webhooks"][0]
    assert (body["health"], body["succeeded_at"]) == ("failing", None)
    cases.time_passes()
    delivery.run(key)
    body = admin.get(f"/api/v1/webhooks/{key}/").json()
    assert (body["health"], body["failing_since"]) == ("active", None)
    assert body["succeeded_at"]


def test_the_test_button(admin: Client, receiver: Receiver) -> None:
    key = make(admin, receiver, events=["promotion.applied"]).json()["id"]
    receiver.replies = [Reply(200, body=b"thanks"), Reply(410, body=b"gone")]
    address = f"/api/v1/webhooks/{key}/test/"
    first = admin.post(address, {}, content_type=JSON).json()
    assert {**first, "milliseconds": 0} == {
        "success": True, "status": 200, "milliseconds": 0, "error": "", "response": "thanks",
    }  # fmt: skip
    second = admin.post(address, {"event": "erasure.executed"}, content_type=JSON)
    assert second.json()["error"] == "It answered 410, not 2xx."
    assert [name for name, _ in receiver.told()] == ["promotion.applied", "erasure.executed"]
    assert admin.post(address, {"event": "moon.rises"}, content_type=JSON).json()["error"]["code"] == "unknown_event"
    assert Delivery.objects.count() == 0


def test_what_is_said_of_erasures_goes_nowhere_unless_one_may_see_them(admin: Client, receiver: Receiver) -> None:
    told = ["erasure.executed", "registered_model.created"]
    refused = make(admin, receiver, events=told)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "role_missing")
    assert "You may not see erasure requests" in refused.json()["error"]["sentence"]
    olga = client_of(factories.account(Role.COMPLIANCE_OFFICER))
    key = make(olga, receiver, events=told).json()["id"]
    register()
    delivery.run(key)
    sent = Delivery.objects.get()
    address = f"/api/v1/webhooks/{key}/"
    for answer in (
        admin.patch(address, {"url": receiver.url("/elsewhere")}, content_type=JSON),
        admin.patch(address, {"events": ["prompt.created"]}, content_type=JSON),
        admin.post(f"{address}test/", {}, content_type=JSON),
        admin.post(f"{address}deliveries/{sent.pk}/redeliver/", {}, content_type=JSON),
        admin.delete(address),
    ):
        assert answer.status_code == 403
    assert Webhook.objects.get().url == receiver.url()
    assert len(receiver.got) == 1
    sent.event.entity, sent.event.action = "erasure", "executed"
    sent.event.save()
    assert admin.get(f"{address}deliveries/").json()["deliveries"] == []
    assert len(olga.get(f"{address}deliveries/").json()["deliveries"]) == 1


def test_pages_of_both_lists_follow_each_other_and_cost_the_same(admin: Client, receiver: Receiver) -> None:
    by = cases.keeper()
    hooks = [str(cases.hook(receiver.url(), by=by, name=f"n{number}").pk) for number in range(51)]
    register("first")
    hook = Webhook.objects.get(pk=hooks[0])
    for number in range(59):
        models.create(by=actor_of(factories.account(Role.DATA_SCIENTIST), "session"), name=f"m{number}")
    for address, name, total in (("webhooks/", "webhooks", 51), (f"webhooks/{hook.pk}/deliveries/", "deliveries", 60)):
        first = admin.get(f"/api/v1/{address}").json()
        second = admin.get(f"/api/v1/{address}", {"after": first["after"]}).json()
        assert (len(first[name]), second["after"]) == (50, "")
        assert len({entry["id"] for entry in first[name] + second[name]}) == total
        assert admin.get(f"/api/v1/{address}", {"after": "~"}).status_code == 400
        with CaptureQueriesContext(connection) as many:
            admin.get(f"/api/v1/{address}")
        with CaptureQueriesContext(connection) as few:
            admin.get(f"/api/v1/{address}", {"after": first["after"]})
        assert len(many) == len(few)
