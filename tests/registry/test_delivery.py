"""Events on their way out: signed, in order, again after a failure, given up in the end, and never led astray."""

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from audit.actors import Actor
from audit.clock import now
from registry import delivery
from registry.actions import models, webhooks
from registry.actions.webhooks import Changes
from registry.models import Delivery, DeliveryAttempt, OutboxEvent, RegisteredModel, Webhook, WebhookHealth
from registry.states import DeliveryState
from registry.tasks import deliver, sweep_webhooks
from tests.registry import hook_cases as cases
from tests.registry.receiver import Receiver, Reply, receiving
from tests.registry.test_jobs import forget_connections, use_broker

HOSTILE = "hooks.example.org"


@pytest.fixture(autouse=True)
def loopback(settings) -> None:  # type: ignore[no-untyped-def]
    """Webhooks may lead to this machine: the operator said so."""
    from ipaddress import ip_network

    settings.PLIMSOLL_WEBHOOK_HTTP = True
    settings.PLIMSOLL_WEBHOOK_NETWORKS = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def by(db: None) -> Actor:
    from access.roles import Role
    from tests import factories

    return factories.actor(Role.DATA_SCIENTIST, Role.ADMINISTRATOR, Role.AUDITOR)


def register(by: Actor, name: str = "churn") -> RegisteredModel:
    return models.create(by=by, name=name, description="words", tags={"team": "risk"})


def named(row: Delivery) -> str:
    return f"{row.event.name} {row.event.payload['name']}"


def test_the_body_and_the_headers_are_those_of_mlflow(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url("/in?x=1"), by=by, secret="tops3cret")
    before = now()
    register(by)
    assert delivery.run(str(hook.pk)) == 1
    (got,) = receiver.got
    assert got.path == "/in?x=1"
    assert set(got.json) == {"entity", "action", "timestamp", "data"}
    assert (got.json["entity"], got.json["action"]) == ("registered_model", "created")
    assert got.json["data"] == {"name": "churn", "tags": {"team": "risk"}, "description": "words"}
    assert before <= datetime.fromisoformat(got.json["timestamp"]) <= now()
    assert got.headers["content-type"] == "application/json"
    sent, moment = got.headers["x-mlflow-delivery-id"], got.headers["x-mlflow-timestamp"]
    assert uuid.UUID(sent) == Delivery.objects.get().pk
    assert abs(int(moment) - time.time()) < 60
    mac = hmac.new(b"tops3cret", f"{sent}.{moment}.".encode() + got.body, hashlib.sha256).digest()
    assert got.headers["x-mlflow-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    assert not [name for name in got.headers if name.startswith("webhook-")]
    assert not {"authorization", "cookie", "referer"} & set(got.headers)


def test_without_a_secret_there_is_no_signature(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url(), by=by)
    register(by)
    delivery.run(str(hook.pk))
    assert "x-mlflow-signature" not in receiver.got[0].headers


def test_standard_webhooks_signatures_on_demand(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url(), by=by, secret=cases.SECRET, standard=True)
    register(by)
    delivery.run(str(hook.pk))
    (got,) = receiver.got
    sent, moment = got.headers["webhook-id"], got.headers["webhook-timestamp"]
    assert (sent, moment) == (got.headers["x-mlflow-delivery-id"], got.headers["x-mlflow-timestamp"])
    signed = f"{sent}.{moment}.".encode() + got.body
    for header, key in (("webhook-signature", cases.KEY), ("x-mlflow-signature", cases.SECRET.encode())):
        mac = hmac.new(key, signed, hashlib.sha256).digest()
        assert got.headers[header] == f"v1,{base64.b64encode(mac).decode()}"


def test_the_secret_lies_sealed_and_opens_only_for_its_own_hook(by: Actor, receiver: Receiver) -> None:
    one, other = (cases.hook(receiver.url(), by=by, secret=f"tops3cret-{n}") for n in (1, 2))
    assert b"tops3cret" not in bytes(Webhook.objects.get(pk=one.pk).secret or b"")
    one.secret = other.secret  # moved by somebody with SQL
    answer = delivery.send(one, "x", now(), b"{}")
    assert answer.status is None
    assert answer.error == "Its secret does not open with this installation's key; set it again."
    assert receiver.got == []


def test_a_failed_delivery_is_tried_again_under_the_same_id_with_the_same_body(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url(), by=by, secret="s")
    receiver.replies = [Reply(500, body=b"broken"), Reply(404), Reply(200, body=b"thanks")]
    register(by)
    for attempt in (1, 2, 3):
        assert delivery.run(str(hook.pk)) == 1, attempt
        assert delivery.run(str(hook.pk)) == 0, "it waits"
        cases.time_passes()
    assert len({entry.headers["x-mlflow-delivery-id"] for entry in receiver.got}) == 1
    assert len({entry.body for entry in receiver.got}) == 1
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.error) == ("delivered", 3, "")
    log = [(entry.number, entry.status, entry.response) for entry in row.log.order_by("id")]
    assert log == [(1, 500, "broken"), (2, 404, ""), (3, 200, "thanks")]


def test_the_events_of_one_model_keep_their_order_and_do_not_hold_up_others(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url(), "registered_model.created", "registered_model.updated", by=by)
    receiver.replies = [Reply(503)]
    first = register(by, "first")
    models.update(by=by, model=first, description="more")
    register(by, "second")
    assert delivery.run(str(hook.pk)) == 1  # it failed, and the hook is left alone
    WebhookHealth.objects.update(quiet_until=None)
    assert [named(row) for row in delivery.due(hook.pk)] == ["registered_model.created second"]
    delivery.run(str(hook.pk))
    assert [entry["name"] for _, entry in receiver.told()] == ["first", "second"]
    cases.time_passes()
    delivery.run(str(hook.pk))
    told = [f"{name} {data['name']}" for name, data in receiver.told()[2:]]
    assert told == ["registered_model.created first", "registered_model.updated first"]


@pytest.mark.parametrize(
    ("status", "header", "least", "most"),
    [
        (429, "120", 120, 130),
        (503, "120", 120, 130),
        (429, "999999999999", 3600, 3610),
        (500, "120", 0, 6),
        (429, "-5", 0, 6),
        (429, "soon", 0, 6),
        (429, "Wed, 21 Oct 2015 07:28:00 GMT", 0, 6),
    ],
)
def test_a_receiver_may_ask_to_be_left_alone(
    by: Actor, receiver: Receiver, status: int, header: str, least: int, most: int
) -> None:
    hook = cases.hook(receiver.url(), by=by)
    receiver.replies = [Reply(status, {"Retry-After": header})]
    register(by)
    before = now()
    delivery.run(str(hook.pk))
    row, health = Delivery.objects.get(), WebhookHealth.objects.get()
    assert health.quiet_until is not None
    for until in (row.due_at, health.quiet_until):
        assert timedelta(seconds=least) <= until - before <= timedelta(seconds=most)
    register(by, "other")
    assert delivery.run(str(hook.pk)) == 0, "the whole hook is quiet"


def test_waiting_grows_from_seconds_to_an_hour_and_is_spread() -> None:
    found = {failures: [delivery.backoff(failures).total_seconds() for _ in range(200)] for failures in (1, 2, 5, 40)}
    for failures, longest in ((1, 5), (2, 10), (5, 80), (40, 3600)):
        assert longest / 2 <= min(found[failures]) < max(found[failures]) <= longest


def test_after_its_time_a_delivery_is_given_up_and_the_next_one_goes_on(
    by: Actor, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    hook = cases.hook(receiver.url(), "registered_model.created", "registered_model.updated", by=by)
    model = register(by)
    receiver.replies = [Reply(500)]
    cases.time_passes(hours=73)
    models.update(by=by, model=model, description="more")
    delivery.run(str(hook.pk))
    first, second = Delivery.objects.order_by("event")
    assert (first.state, first.error) == ("failed", "Given up after 72 h. It answered 500, not 2xx.")
    assert "a delivery was given up" in caplog.text
    cases.time_passes()
    delivery.run(str(hook.pk))
    second.refresh_from_db()
    assert second.state == "delivered"


def test_what_waits_for_a_disabled_hook_waits_and_is_given_up_in_its_time(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url(), by=by)
    register(by)
    webhooks.update(by=by, hook=hook, changes=Changes(status="DISABLED"))
    register(by, "unheard")
    assert delivery.run(str(hook.pk)) == 0
    assert Delivery.objects.count() == 1, "what happens while it is off is not told"
    webhooks.update(by=by, hook=hook, changes=Changes(status="ACTIVE"))
    assert delivery.run(str(hook.pk)) == 1
    register(by, "later")
    webhooks.update(by=by, hook=hook, changes=Changes(status="DISABLED"))
    cases.time_passes(hours=73)
    delivery.sweep()
    assert Delivery.objects.get(event__payload__name="later").state == "failed"


def test_a_worker_that_dies_leaves_the_delivery_to_another(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url(), by=by)
    register(by)
    lost = delivery.claim(hook.pk)
    assert lost is not None
    assert delivery.claim(hook.pk) is None, "held"
    Delivery.objects.update(due_at=now())
    other = delivery.claim(hook.pk)
    assert other is not None
    assert (other.pk, other.fence) == (lost.pk, 2)
    receiver.replies = [Reply(500)]
    delivery.attempt(lost)  # it was only slow, and fails: that says nothing of what the other does
    assert delivery.attempt(other)
    row = Delivery.objects.get()
    assert (row.state, row.error) == ("delivered", "")
    assert DeliveryAttempt.objects.count() == 2, "both attempts were made, and both are on record"


def test_a_worker_that_lost_its_lease_gives_nothing_up_but_what_it_delivered_counts(
    by: Actor, receiver: Receiver
) -> None:
    hook = cases.hook(receiver.url(), by=by)
    register(by)
    lost = delivery.claim(hook.pk)
    cases.time_passes(hours=71.99)
    other = delivery.claim(hook.pk)
    assert lost is not None
    assert other is not None
    lost.since = now() - timedelta(hours=73)
    receiver.replies = [Reply(500), Reply(200), Reply(500)]
    delivery.attempt(lost)
    assert Delivery.objects.get().state == "waiting"
    delivery.attempt(lost)
    delivery.attempt(other)
    assert Delivery.objects.get().state == "delivered"


def test_a_delivery_is_made_again_under_its_id_when_somebody_asks(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url(), by=by)
    register(by)
    delivery.run(str(hook.pk))
    row = Delivery.objects.get()
    again = webhooks.redeliver(by=by, hook=hook, sent=row)
    assert (again.state, again.attempts) == ("waiting", 0)
    delivery.run(str(hook.pk))
    assert [entry.number for entry in row.log.order_by("id")] == [1, 2]
    assert len({(entry.headers["x-mlflow-delivery-id"], entry.body) for entry in receiver.got}) == 1


def test_a_deleted_hook_is_told_nothing_more_and_its_secret_is_gone(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url(), by=by, secret="s")
    register(by)
    webhooks.delete(by=by, hook=hook)
    assert delivery.run(str(hook.pk)) == 0
    assert Delivery.objects.get().state == DeliveryState.CANCELLED
    assert Webhook.objects.get().secret is None
    register(by, "other")
    assert Delivery.objects.count() == 1


def test_old_deliveries_and_events_are_dropped_and_no_others(by: Actor, receiver: Receiver, settings) -> None:  # type: ignore[no-untyped-def]
    hook = cases.hook(receiver.url(), by=by)
    for name in ("old", "waiting", "new", "unheard"):
        register(by, name)
    OutboxEvent.objects.exclude(payload__name="new").update(recorded_at=now() - timedelta(days=31))
    Delivery.objects.filter(event__payload__name="unheard").delete()
    ended = Delivery.objects.exclude(event__payload__name="waiting")
    for row in ended:
        delivery.attempt(row)
    old = Delivery.objects.filter(event__payload__name="old")
    old.update(finished_at=now() - timedelta(days=31))
    delivery.sweep()
    assert sorted(event.payload["name"] for event in OutboxEvent.objects.all()) == ["new", "waiting"]
    assert Delivery.objects.filter(webhook=hook).count() == 2
    assert DeliveryAttempt.objects.count() == 1


# -- led astray ------------------------------------------------------------------------------------------------------


def answering(*answers: list[str]) -> tuple[Callable[[str, int], list[str]], list[str]]:
    """A resolver that gives these answers in turn, and the hosts it was asked for."""
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolver, asked


def test_a_name_that_leads_elsewhere_at_delivery_is_not_called(by: Actor, receiver: Receiver, settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_WEBHOOK_NETWORKS = ()
    resolver, asked = answering(["93.184.216.34"], ["127.0.0.1"])
    changes = Changes(name="x", url=receiver.url(host=HOSTILE), events=["registered_model.created"])
    hook = webhooks.create(by=by, changes=changes, resolver=resolver)
    register(by)
    delivery.run(str(hook.pk), resolver)
    assert asked == [HOSTILE, HOSTILE]
    assert receiver.got == []
    (entry,) = DeliveryAttempt.objects.all()
    assert entry.status is None
    assert entry.error.startswith(
        "Webhook URL must not resolve to a non-public address: hooks.example.org leads to 127.0.0.1."
    )


def test_the_address_that_was_checked_is_the_one_that_is_called(by: Actor, receiver: Receiver) -> None:
    """Whoever answers with another address a moment later is not asked a second time."""
    resolver, asked = answering(["127.0.0.1"], ["127.0.0.1"], ["192.0.2.1"])
    changes = Changes(name="x", url=receiver.url(host=HOSTILE), events=["registered_model.created"])
    hook = webhooks.create(by=by, changes=changes, resolver=resolver)
    register(by)
    delivery.run(str(hook.pk), resolver)
    assert asked == [HOSTILE, HOSTILE]
    assert receiver.got[0].headers["host"] == f"{HOSTILE}:{receiver.port}"


def test_of_several_addresses_the_next_is_tried_when_one_does_not_answer(by: Actor, receiver: Receiver) -> None:
    """Nobody listens at 127.0.0.2, as with a host whose IPv6 address leads nowhere."""
    resolver, asked = answering(["127.0.0.2", "127.0.0.1"])
    changes = Changes(name="x", url=receiver.url(host=HOSTILE), events=["registered_model.created"])
    hook = webhooks.create(by=by, changes=changes, resolver=resolver)
    register(by)
    delivery.run(str(hook.pk), resolver)
    assert len(asked) == 2
    assert Delivery.objects.get().state == "delivered"


def test_a_redirect_is_a_failure_and_leads_nowhere(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url(), by=by)
    receiver.replies = [Reply(307, {"Location": receiver.url("/inside")})]
    register(by)
    delivery.run(str(hook.pk))
    assert [entry.path for entry in receiver.got] == ["/hook"]
    assert Delivery.objects.get().error == "It answered 307; redirects are not followed."


def test_proxies_of_the_environment_are_not_used(
    by: Actor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        hook = cases.hook(receiver.url(), by=by)
        register(by)
        delivery.run(str(hook.pk))
        assert (len(receiver.got), len(proxy.got)) == (1, 0)


def drip(handler: Any) -> None:
    """A status line that never ends, a byte at a time: no single wait is long."""
    try:
        for byte in b"HTTP/1.1 200 " + b"O" * 200:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass


def silence(handler: Any) -> None:
    handler.connection.recv(1)


def hang_up(handler: Any) -> None:
    handler.close_connection = True


def noise(handler: Any) -> None:
    handler.wfile.write(b"\x00\xff SSH-2.0-nonsense\r\n\r\n")
    handler.close_connection = True


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (drip, "127.0.0.1 did not answer within 1 s."),
        (silence, "127.0.0.1 did not answer within 1 s."),
        (hang_up, "127.0.0.1 did not answer as a web server does (RemoteDisconnected)."),
        (noise, "127.0.0.1 did not answer as a web server does (BadStatusLine)."),
    ],
    ids=["drip", "silence", "hang up", "noise"],
)
def test_a_receiver_that_misbehaves_costs_one_attempt(
    by: Actor, receiver: Receiver, settings, act: Callable[[Any], None], error: str
) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_WEBHOOK_SECONDS = 1
    hook = cases.hook(receiver.url(), by=by)
    receiver.replies = [Reply(act=act)]
    register(by)
    delivery.run(str(hook.pk))
    assert (Delivery.objects.get().state, Delivery.objects.get().error) == ("waiting", error)


def test_of_a_long_answer_only_the_beginning_is_read(by: Actor, receiver: Receiver) -> None:
    hook = cases.hook(receiver.url(), by=by)
    receiver.replies = [Reply(200, body=b"a\x00\xff" + b"x" * 5_000_000)]
    register(by)
    delivery.run(str(hook.pk))
    (entry,) = DeliveryAttempt.objects.all()
    assert entry.response == "a\ufffd\ufffd" + "x" * 1021
    assert Delivery.objects.get().state == "delivered"


def test_nobody_listens(by: Actor) -> None:
    with receiving() as gone:
        hook = cases.hook(gone.url(), by=by)
    register(by)
    delivery.run(str(hook.pk))
    assert Delivery.objects.get().error == "127.0.0.1 refuses the connection."


# -- through the queue ------------------------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[tuple[str, list[str]]]]]:
    """A broker in this process; gives the tasks it was told of since the last look."""
    from web.celery import app

    use_broker(monkeypatch, "memory://")

    def look() -> list[tuple[str, list[str]]]:
        found = []
        with app.connection() as link, link.SimpleQueue("celery") as queue:
            while queue.qsize():
                message = queue.get_nowait()
                found.append((message.headers["task"], message.payload[0]))
                message.ack()
        return found

    look()
    yield look
    forget_connections()


def test_a_commit_wakes_the_worker_and_the_worker_delivers(
    fresh_database: str, receiver: Receiver, told: Callable[[], list[tuple[str, list[str]]]]
) -> None:
    keeper = cases.keeper()
    hook = cases.hook(receiver.url(), by=keeper)
    from access.roles import Role
    from tests import factories

    by = factories.actor(Role.DATA_SCIENTIST)
    told()
    register(by)
    ((task, arguments),) = told()
    assert (task, arguments) == (deliver.name, [str(hook.pk)])
    deliver.apply(args=arguments, throw=True)
    assert [name for name, _ in receiver.told()] == ["registered_model.created"]
    webhooks.update(by=keeper, hook=hook, changes=Changes(events=["prompt.created"]))
    told()
    register(by, "unasked")
    assert told() == [], "nobody asked for this event"


def test_what_a_lost_message_left_behind_is_found_by_the_sweep(
    fresh_database: str, receiver: Receiver, told: Callable[[], list[tuple[str, list[str]]]]
) -> None:
    from access.roles import Role
    from tests import factories

    hook = cases.hook(receiver.url())
    register(factories.actor(Role.DATA_SCIENTIST))
    told()  # and lost
    sweep_webhooks.apply(throw=True)
    ((task, arguments),) = told()
    assert (task, arguments) == (deliver.name, [str(hook.pk)])
    deliver.apply(args=arguments, throw=True)
    assert Delivery.objects.get().state == "delivered"
    sweep_webhooks.apply(throw=True)
    assert told() == []


def test_a_broker_that_is_down_does_not_fail_the_act(
    fresh_database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from access.roles import Role
    from tests import factories

    cases.hook(receiver.url())
    by = factories.actor(Role.DATA_SCIENTIST)
    use_broker(monkeypatch, "amqp://127.0.0.1:1//")
    register(by)
    forget_connections()
    assert Delivery.objects.get().state == "waiting"


def test_jobs_and_deliveries_wake_by_names_that_exist() -> None:
    from web.celery import app

    app.loader.import_default_modules()
    assert {deliver.name, sweep_webhooks.name} <= set(app.tasks)
    assert sweep_webhooks.name in {entry["task"] for entry in app.conf.beat_schedule.values()}
