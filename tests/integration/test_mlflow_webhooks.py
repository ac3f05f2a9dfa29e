"""Webhooks with the stock MLflow client against a whole installation: its worker delivers, also after it was killed."""

import base64
import hashlib
import hmac
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.run.stack import Stack
from tests.integration import accounts
from tests.integration.test_mlflow_client import refusal, signed_in
from tests.registry.receiver import Got, Receiver, Reply, receiving

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.filterwarnings("ignore::FutureWarning:mlflow")]
OPENED = {"PLIMSOLL_WEBHOOK_HTTP": "true", "PLIMSOLL_WEBHOOK_NETWORKS": "127.0.0.0/8"}


@pytest.fixture(scope="module")
def installation() -> Iterator[Stack]:
    """An installation whose operator lets webhooks lead to this machine."""
    with (
        tempfile.TemporaryDirectory(prefix="plimsoll-webhooks-") as folder,
        Stack(Path(folder), port=0, environ=OPENED) as running,
    ):
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def client(installation: Stack) -> Iterator[Any]:
    token = accounts.tokens(installation, hook_ada="data_scientist")["hook_ada"]
    with signed_in(installation, MLFLOW_TRACKING_TOKEN=token) as client:
        yield client


def soon(found: Callable[[], bool], what: str, longest: float = 60) -> None:
    deadline = time.monotonic() + longest
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_the_clients_own_calls_do_what_they_do_against_mlflow(client: Any, receiver: Receiver) -> None:
    from mlflow.entities.webhook import WebhookEvent, WebhookStatus

    event = WebhookEvent.from_str("model_version.created")
    made = client.create_webhook("first", receiver.url(), [event], description="words", secret="s")
    assert (made.name, made.url, made.events, made.description) == ("first", receiver.url(), [event], "words")
    assert (made.status, made.secret) == (WebhookStatus.ACTIVE, None)
    other = client.create_webhook("first", receiver.url(), ["prompt.created", "budget_policy.exceeded"])
    assert client.get_webhook(made.webhook_id).name == "first"
    page = client.list_webhooks(max_results=1)
    assert ([found.webhook_id for found in page], bool(page.token)) == ([other.webhook_id], True)
    page = client.list_webhooks(max_results=1, page_token=page.token)
    assert ([found.webhook_id for found in page], bool(page.token)) == ([made.webhook_id], False)
    changed = client.update_webhook(made.webhook_id, name="other", status="DISABLED")
    assert (changed.name, changed.status, changed.events) == ("other", WebhookStatus.DISABLED, [event])
    receiver.replies = [Reply(200, body=b"thanks"), Reply(500, body=b"broken")]
    tested = client.test_webhook(made.webhook_id)
    assert (tested.success, tested.response_status, tested.response_body) == (True, 200, "thanks")
    tested = client.test_webhook(made.webhook_id, "prompt.created")
    assert (tested.success, tested.response_status) == (False, 500)
    assert [name for name, _ in receiver.told()] == ["model_version.created", "prompt.created"]
    for hook in (made, other):
        client.delete_webhook(hook.webhook_id)
    assert list(client.list_webhooks()) == []
    code, message = refusal(lambda: client.get_webhook(made.webhook_id))
    assert (code, made.webhook_id in message) == ("RESOURCE_DOES_NOT_EXIST", True)
    code, _ = refusal(lambda: client.create_webhook("x", "https://169.254.169.254/latest", [event]))
    assert code == "INVALID_PARAMETER_VALUE"


def test_our_own_events_do_not_break_the_clients_list(installation: Stack, client: Any, receiver: Receiver) -> None:
    import requests

    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"
    for events in (["promotion.applied"], ["promotion.applied", "prompt.created"]):
        body = {"name": "ours", "url": receiver.url(), "events": events}
        assert session.post(f"{installation.url}/api/v1/webhooks/", json=body, timeout=30).status_code == 201
    (listed,) = client.list_webhooks()
    assert [str(event) for event in listed.events] == ["prompt.created"]
    client.delete_webhook(listed.webhook_id)


def test_events_reach_the_receiver_signed_and_in_order(client: Any, receiver: Receiver) -> None:
    events = ["registered_model.created", "model_version_alias.created", "prompt.created"]
    hook = client.create_webhook("live", receiver.url(), events, secret="tops3cret")
    receiver.replies = [Reply(503, {"Retry-After": "1"})]
    client.create_registered_model("hooked", tags={"a": "b"}, description="words")
    client.create_registered_model("hooked-too")
    soon(lambda: len(receiver.got) >= 3, "the events did not arrive")
    told = sorted((name, data["name"]) for name, data in receiver.told()[1:])
    assert told == [("registered_model.created", "hooked"), ("registered_model.created", "hooked-too")]
    assert all(is_signed(got, b"tops3cret") for got in receiver.got)
    client.delete_webhook(hook.webhook_id)


def is_signed(got: Got, key: bytes) -> bool:
    signed = f"{got.headers['x-mlflow-delivery-id']}.{got.headers['x-mlflow-timestamp']}.".encode() + got.body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return got.headers["x-mlflow-signature"] == f"v1,{mac}"


def running(installation: Stack, *words: str) -> list[psutil.Process]:
    """Every process of the installation whose command has these words."""
    found = []
    for process in psutil.Process(installation.pid).children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile
            command = process.cmdline()
            if all(any(word in part for part in command) for word in words):
                found.append(process)
    return found


def kill(installation: Stack, *words: str) -> None:
    """End these processes at once; after an earlier end they may have yet to come back."""
    until = time.monotonic() + 60
    while not (matching := running(installation, *words)) and time.monotonic() < until:
        time.sleep(0.2)
    assert matching, f"no process with {words}"
    for process in matching:
        with suppress(psutil.NoSuchProcess):  # with its parent
            process.send_signal(signal.SIGKILL)


def test_nothing_is_lost_when_workers_and_web_are_killed(installation: Stack, client: Any, receiver: Receiver) -> None:
    """Each event arrives at least once, whatever died while it was on its way."""
    hook = client.create_webhook("kill", receiver.url(), ["registered_model.created"])
    names = [f"killed-{number}" for number in range(10)]
    for number, name in enumerate(names):
        client.create_registered_model(name)
        if number in {2, 6}:
            kill(installation, "celery", "worker")
        if number == 8:
            kill(installation, "gunicorn")
    arrived = lambda: {data["name"] for name, data in receiver.told()}  # noqa: E731
    soon(lambda: set(names) <= arrived(), f"lost: {sorted(set(names) - arrived())}", longest=150)
    client.delete_webhook(hook.webhook_id)
