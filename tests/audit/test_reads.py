"""Who looked at what: every read of something sensitive names it in the log of reads, or is not answered."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access import reads
from access.roles import Role
from audit import queries, trail
from audit.actors import Actor
from audit.clock import now
from audit.errors import Denied, Unauthenticated
from audit.events import Action
from audit.models import Event
from audit.queries import Filter
from audit.subjects import INSTALLATION, Subject
from registry.models import Evidence
from tests import erasure_cases, factories
from tests.web.pages.case import Case, browser, client_of, waiting

pytestmark = pytest.mark.django_db

THING = Subject(type="evidence", id="e-1", label="a report")


def recorded() -> list[dict[str, Any]]:
    """The log of reads, oldest first."""
    rows = Event.objects.filter(log="access").order_by("recorded_at", "id")
    return [json.loads(bytes(row.leaf_data)) for row in rows]


def brief() -> list[tuple[str, str, str, Any]]:
    """Of each read: act, object and what was told."""
    return [
        (leaf["action"], leaf["object"]["type"], leaf["object"]["id"], leaf["change"].get("after", {}))
        for leaf in recorded()
    ]


def bearer(*roles: Role) -> Client:
    return client_of(factories.account(*roles))


def test_a_read_is_recorded_with_what_was_told_and_without_what_is_private() -> None:
    by = factories.actor(Role.VIEWER)
    reads.seen(by, Action.EVIDENCE_VIEW, THING, told={"result": "d" * 64}, private={"note": "asked by Anna"})
    (leaf,) = recorded()
    assert leaf["object"] == {"type": "evidence", "id": "e-1"}  # no number: nobody waits for the reader before
    assert leaf["outcome"] == "success"
    assert leaf["change"]["after"] == {"result": "d" * 64}
    assert len(leaf["change"]["_sd"]) == 1
    assert "Anna" not in json.dumps(leaf)
    entry = queries.search(Filter(log="access"), paths=None).entries[0]
    assert entry.account == by.account
    assert entry.disclosed["change/note"] == "asked by Anna"


def test_a_reload_is_not_recorded_again_and_another_read_is() -> None:
    by, other = factories.actor(Role.VIEWER), factories.actor(Role.VIEWER)

    def look(who: Actor, on: Subject = THING, **told: str) -> int:
        reads.seen(who, Action.EVIDENCE_VIEW, on, told=told, once_per=timedelta(minutes=5))
        return len(recorded())

    assert look(by, result="1") == 1
    assert look(by, result="1") == 1
    assert look(by, result="2") == 2  # something else was shown
    assert look(by, Subject(type="evidence", id="e-2"), result="2") == 3
    assert look(other, result="1") == 4
    reads.seen(by, Action.EVIDENCE_VIEW, THING, told={"result": "2"})
    assert len(recorded()) == 5  # without once_per every read counts
    reads.seen(by, Action.EVIDENCE_VIEW, THING, told={"result": "2"}, once_per=timedelta(0))
    assert len(recorded()) == 6


def test_a_refused_read_is_a_refusal_and_no_read() -> None:
    with pytest.raises(Denied):
        reads.seen(factories.actor(Role.VIEWER), Action.PEOPLE_VIEW, INSTALLATION)
    with pytest.raises(Unauthenticated):
        reads.seen(Actor(kind="anonymous", account=None, name="", auth="none"), Action.PEOPLE_VIEW, INSTALLATION)
    assert recorded() == []
    refusal = Event.objects.get(action="people.view")
    assert (refusal.log, refusal.outcome) == ("admin", "denied")


def test_a_change_is_no_read() -> None:
    with pytest.raises(ValueError, match="is not a read"):
        reads.seen(factories.actor(Role.ADMINISTRATOR), Action.ROLE_GRANT, INSTALLATION)


# -- on the surfaces -------------------------------------------------------------------------------------------------


def evidence_of(found: Case) -> list[Evidence]:
    return list(found.version.evidence.order_by("created_at"))


@pytest.mark.parametrize("address", ["/evidence/{}/", "/api/v1/evidence/{}/"])
def test_whoever_looks_at_evidence_is_on_record(address: str) -> None:
    one, two, _ = evidence_of(waiting())
    client = bearer(Role.VIEWER)
    for _ in range(2):
        assert client.get(address.format(one.pk)).status_code == 200
    assert client.get(address.format(two.pk)).status_code == 200
    assert brief() == [
        ("evidence.view", "evidence", str(one.pk), {"result": one.result_digest}),
        ("evidence.view", "evidence", str(two.pk), {"result": two.result_digest}),
    ]
    assert bearer().get(address.format(one.pk)).status_code == 404  # who may see nothing of the model
    assert len(recorded()) == 2


@pytest.mark.parametrize("address", ["/promotions/{}/", "/api/v1/promotion-requests/{}/"])
def test_the_review_page_names_the_evidence_it_shows(address: str) -> None:
    found = waiting()
    shown = sorted(str(row.pk) for row in evidence_of(found))
    assert len(shown) == 3
    assert client_of(found.reviewer).get(address.format(found.request.pk)).status_code == 200
    assert brief() == [("promotion.view", "promotion_request", str(found.request.pk), {"evidence": shown})]


@pytest.mark.parametrize("address", ["/people/", "/api/v1/people/"])
def test_looking_at_people_is_on_record(address: str) -> None:
    client = bearer(Role.AUDITOR)
    for _ in range(2):
        assert client.get(address).status_code == 200
    assert brief() == [("people.view", "installation", "plimsoll", {"accounts": 1})]


def test_looking_at_one_person_is_on_record() -> None:
    user, client = factories.account(), bearer(Role.ADMINISTRATOR)
    assert client.get(f"/people/{user.pk}/").status_code == 200
    assert brief() == [("people.view", "user", str(user.pk), {})]


@pytest.mark.parametrize(("board", "one"), [("/erasure/", "/erasure/{}/"), ("/api/v1/erasure-requests/",) * 2])
def test_looking_at_erasure_cases_is_on_record(board: str, one: str) -> None:
    case = erasure_cases.file(erasure_cases.officer("olga"))
    client = bearer(Role.AUDITOR)
    page = one.format(case.pk) if "{}" in one else f"{one}{case.pk}/"
    assert client.get(board).status_code == client.get(page).status_code == client.get(page).status_code == 200
    assert brief() == [
        ("erasure.view", "installation", "plimsoll", {"requests": 1}),
        ("erasure.view", "erasure_request", str(case.pk), {}),
    ]


def test_every_search_of_the_trail_is_on_record_with_its_question_apart() -> None:
    waiting()
    person = factories.account(Role.AUDITOR)
    client = client_of(person)
    asked = {"text": "Müller", "outcome": "denied", "person": person.username}
    for _ in range(2):
        assert client.get("/api/v1/trail/", asked).json()["entries"] == []
    assert client.get("/trail/", {"action": "promotion.request"}).status_code == 200
    told = {"entries": 0, "filters": ["account", "log", "outcome", "text"]}
    assert brief() == [
        ("trail.view", "trail", "admin", told),
        ("trail.view", "trail", "admin", told),
        ("trail.view", "trail", "admin", {"entries": 1, "filters": ["action", "log"]}),
    ]
    entry = queries.search(Filter(log="access", text="müller"), paths=None).entries[0]
    assert "text: Müller" in entry.disclosed["change/query"]


def test_opening_an_entry_and_following_an_object_are_on_record() -> None:
    found = waiting()
    event = Event.objects.get(action="promotion.request")
    client = bearer(Role.AUDITOR)
    for address in (f"/trail/{event.pk}/", f"/api/v1/trail/{event.pk}/"):
        assert client.get(address).status_code == 200
    request = ("promotion_request", str(found.request.pk))
    for address in (f"/trail/object/{'/'.join(request)}/", f"/api/v1/trail/objects/{'/'.join(request)}/"):
        assert client.get(address).status_code == 200
    assert brief() == [
        ("trail.view", "trail_entry", str(event.pk), {"index": None, "log": "admin"}),
        ("trail.view", *request, {"numbers": [1, 1]}),
    ]


def test_who_may_not_read_the_trail_sees_nothing_and_the_refusal_is_recorded() -> None:
    found = waiting()
    event = Event.objects.get(action="promotion.request")
    client = client_of(found.reviewer)
    addresses = [
        "/trail/", "/trail/log/", f"/trail/{event.pk}/", f"/trail/object/promotion_request/{found.request.pk}/",
        "/api/v1/trail/", "/api/v1/trail/state/", f"/api/v1/trail/{event.pk}/",
        f"/api/v1/trail/objects/promotion_request/{found.request.pk}/",
    ]  # fmt: skip
    for number, address in enumerate(addresses, 1):
        answer = client.get(address)
        assert answer.status_code == 403, address
        assert "Requested a promotion" not in answer.content.decode()
        assert Event.objects.filter(action="trail.view", outcome="denied", log="admin").count() == number
    assert recorded() == []


def test_a_read_that_cannot_be_recorded_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    found = waiting()
    one = evidence_of(found)[0]
    _, client = browser(Role.VIEWER, Role.AUDITOR)
    client.raise_request_exception = False
    monkeypatch.setattr(trail, "writer_mac", lambda leaf: b"too short")
    for address in (f"/api/v1/evidence/{one.pk}/", "/api/v1/trail/", "/api/v1/people/"):
        with transaction.atomic():
            sid = transaction.savepoint()
            answer = client.get(address)
            transaction.savepoint_rollback(sid)
        assert answer.status_code >= 500, address
        assert one.result_digest not in answer.content.decode()


def test_a_read_takes_no_row_lock() -> None:
    found = waiting()
    one = evidence_of(found)[0]
    client = bearer(Role.VIEWER)
    before = _advisory_locks()
    with CaptureQueriesContext(connection) as asked:
        assert client.get(f"/api/v1/evidence/{one.pk}/").status_code == 200
    assert [query["sql"] for query in asked if "FOR UPDATE" in query["sql"]] == []
    assert _advisory_locks() == before
    assert len(recorded()) == 1


def _advisory_locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_nothing_is_remembered_beyond_the_time() -> None:
    by = factories.actor(Role.VIEWER)
    reads.seen(by, Action.EVIDENCE_VIEW, THING)
    ref = Event.objects.get(log="access").actor_ref
    assert queries.last_seen(ref, Action.EVIDENCE_VIEW, THING, since=now() - timedelta(minutes=5)) == {}
    assert queries.last_seen(ref, Action.EVIDENCE_VIEW, THING, since=now()) is None
    assert queries.last_seen(ref, Action.PROMOTION_VIEW, THING, since=now() - timedelta(minutes=5)) is None
    assert queries.last_seen("p:other", Action.EVIDENCE_VIEW, THING, since=now() - timedelta(minutes=5)) is None
