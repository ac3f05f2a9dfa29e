"""The pages of webhooks: what they show, what they never show, and what their forms do."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from django.test import Client

from access.roles import Role
from registry import delivery
from registry.actions import models
from registry.models import Delivery, Webhook
from tests import factories
from tests.registry import hook_cases as cases
from tests.registry.receiver import Receiver, Reply, receiving
from tests.web.pages import case

pytestmark = pytest.mark.django_db


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
    return case.browser(Role.ADMINISTRATOR, Role.DATA_SCIENTIST)[1]


def given(receiver: Receiver, **more: object) -> dict[str, object]:
    return {"name": "ci", "url": receiver.url(), "events": ["registered_model.created"], "secret": cases.SECRET, **more}


def test_a_webhook_is_made_tested_switched_changed_and_deleted(admin: Client, receiver: Receiver) -> None:
    assert "No webhook" in admin.get("/webhooks/").content.decode()
    made = admin.post("/webhooks/new/", given(receiver, standard="on"), follow=True)
    row = Webhook.objects.get()
    address = f"/webhooks/{row.pk}/"
    assert made.redirect_chain == [(address, 302)]
    assert "Active" in made.content.decode()
    receiver.replies = [Reply(200, body=b"<b>thanks</b>"), Reply(500, body=b"broken")]
    shown = admin.post(f"{address}test/").content.decode()
    assert "It took an example of its first event." in shown
    assert "&lt;b&gt;thanks&lt;/b&gt;" in shown
    assert "It answered 500, not 2xx." in admin.post(f"{address}test/").content.decode()
    admin.post(f"{address}switch/", {"status": "DISABLED"})
    assert "Disabled" in admin.get("/webhooks/").content.decode()
    admin.post(f"{address}edit/", given(receiver, name="other", secret="", standard="on"))
    row.refresh_from_db()
    assert (row.name, row.standard, row.status) == ("other", True, "DISABLED")
    assert row.secret is not None, "an empty field keeps the secret"
    assert admin.post(f"{address}delete/").headers["Location"] == "/webhooks/"
    assert admin.get(address).status_code == 404


def test_the_secret_is_on_no_page(admin: Client, receiver: Receiver) -> None:
    admin.post("/webhooks/new/", given(receiver))
    key = Webhook.objects.get().pk
    wrong = admin.post(f"/webhooks/{key}/edit/", given(receiver, name="-"))
    assert wrong.status_code == 400
    for page in (wrong, *(admin.get(f"/webhooks/{path}") for path in ("", f"{key}/", f"{key}/edit/"))):
        assert cases.SECRET not in page.content.decode()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": "-"}, "Webhook name &#x27;-&#x27; is invalid."),
        ({"url": "https://10.0.0.1/"}, "must not resolve to a non-public address"),
        ({"events": []}, "Choose at least one event."),
        ({"events": ["moon.rises"]}, "There is no such event."),
        ({"secret": "x", "standard": "on"}, "Standard Webhooks signatures take a secret"),
        ({"name": ""}, "Give it a name."),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    admin: Client, receiver: Receiver, wrong: dict[str, object], sentence: str
) -> None:
    answer = admin.post("/webhooks/new/", given(receiver, **wrong))
    assert answer.status_code == 400
    assert sentence in answer.content.decode()
    assert Webhook.objects.count() == 0


def test_erasure_events_are_refused_beside_the_events(admin: Client, receiver: Receiver) -> None:
    answer = admin.post("/webhooks/new/", given(receiver, events=["erasure.executed"]))
    assert answer.status_code == 403
    assert "You may not see erasure requests" in answer.content.decode()


def test_deliveries_with_their_log_and_once_more(admin: Client, receiver: Receiver) -> None:
    admin.post("/webhooks/new/", given(receiver))
    hook = Webhook.objects.get()
    receiver.replies = [Reply(503, body=b"<i>later</i>")]
    models.create(by=factories.actor(Role.DATA_SCIENTIST), name="churn")
    delivery.run(str(hook.pk))
    shown = admin.get(f"/webhooks/{hook.pk}/").content.decode()
    assert "It answered 503, not 2xx." in shown
    assert "&lt;i&gt;later&lt;/i&gt;" in shown
    assert "Retrying" in shown
    assert "Deliver again" not in shown.replace("Deliver again</span></th>", "")
    cases.time_passes()
    delivery.run(str(hook.pk))
    (row,) = Delivery.objects.all()
    answer = admin.post(f"/webhooks/{hook.pk}/deliveries/{row.pk}/", follow=True)
    assert "The event will be delivered again." in answer.content.decode()
    answer = admin.post(f"/webhooks/{hook.pk}/deliveries/{row.pk}/", follow=True)
    assert "waits to be delivered already" in answer.content.decode()


def test_an_auditor_reads_and_a_viewer_does_not(admin: Client, receiver: Receiver) -> None:
    admin.post("/webhooks/new/", given(receiver))
    key = Webhook.objects.get().pk
    auditor, viewer = case.browser(Role.AUDITOR)[1], case.browser(Role.VIEWER)[1]
    assert ">Webhooks</a>" in auditor.get("/").content.decode()
    assert ">Webhooks</a>" not in viewer.get("/").content.decode()
    shown = auditor.get(f"/webhooks/{key}/").content.decode()
    assert "You may not edit a webhook" in shown
    for path in ("", f"{key}/"):
        assert auditor.get(f"/webhooks/{path}").status_code == 200
        assert viewer.get(f"/webhooks/{path}").status_code == 403
    for path in ("new/", f"{key}/edit/"):
        assert auditor.get(f"/webhooks/{path}").status_code == 403
    for path in ("test/", "switch/", "delete/"):
        assert auditor.post(f"/webhooks/{key}/{path}").status_code == 403
    assert Webhook.objects.get().deleted_at is None
    assert receiver.got == []


def test_what_an_operator_opened_is_said(admin: Client) -> None:
    shown = admin.get("/webhooks/").content.decode()
    assert "Webhooks may also lead to http:// addresses, 127.0.0.0/8" in shown
