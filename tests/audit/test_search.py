"""Finding entries by the words of their openings, together with every other filter, page by page."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from access import actions, reads
from access.authenticate import actor_of
from access.models import User
from access.roles import Role
from audit import erase, hits, ids, queries
from audit.actors import Actor
from audit.clock import now
from audit.errors import Denied, Invalid
from audit.models import Disclosure, Event
from audit.queries import Filter, search
from tests import factories

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["walk", "index"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways must find the same: with no walk allowed everything is left to the index."""
    if request.param == "index":
        monkeypatch.setattr(hits, "WALK", 0)
    return str(request.param)


def administrator(name: str, address: str) -> Actor:
    user = factories.account(Role.ADMINISTRATOR, username=name)
    return actor_of(user, "session", request_id="search", ip=address)


def grant(by: Actor, reason: str, role: Role = Role.VIEWER) -> User:
    user = factories.account()
    actions.grant_role(by=by, user=user, role=role, reason=reason)
    return user


def found(text: str, **filters: object) -> list[str]:
    """The reasons of what matches, newest first."""
    page = search(Filter(text=text, **filters), paths=None)  # type: ignore[arg-type]
    return [str(entry.disclosed.get("reason", entry.leaf["action"])) for entry in page.entries]


@pytest.mark.django_db
def test_words_are_found_whatever_their_case_and_accents(way: str) -> None:
    by = administrator("Ângela", "203.0.113.7")
    grant(by, "Covers for Jürgen Müller")
    grant(by, "Covers for nobody")
    assert found("MULLER") == ["Covers for Jürgen Müller"]
    assert found("mu\u0308ller jurgen") == ["Covers for Jürgen Müller"]
    assert found("covers") == ["Covers for nobody", "Covers for Jürgen Müller"]
    assert found("mull") == []  # whole words only
    assert found("angela nobody") == ["Covers for nobody"]  # a name and a reason are two openings of one entry
    assert found("203.0.113.7 muller") == ["Covers for Jürgen Müller"]
    assert found("203.0.113.8") == found("muller nobody") == []


@pytest.mark.django_db
def test_words_go_together_with_every_other_filter(way: str) -> None:
    anna, ben = administrator("anna", "192.0.2.1"), administrator("ben", "192.0.2.1")
    user = grant(anna, "quarter end")
    grant(ben, "quarter end, again")
    with pytest.raises(Denied):
        actions.grant_role(by=factories.actor(Role.VIEWER, username="carl"), user=user, role=Role.AUDITOR)
    assert found("quarter", account=str(anna.account)) == ["quarter end"]
    assert found("quarter", account="no such account") == []
    assert found("quarter", object_type="user", object_id=str(user.pk)) == ["quarter end"]
    assert found("quarter", object_type="role_grant") == []
    assert found("carl", outcome="denied") == ["role.grant"]
    assert found("carl", outcome="success") == ["user.create"]
    assert found("quarter", action="role.grant") == ["quarter end, again", "quarter end"]
    assert found("quarter", action="role.revoke") == []
    assert found("quarter", log="access") == []
    middle = Event.objects.get(object_id=str(user.pk), action="role.grant", outcome="success").recorded_at
    assert found("quarter", since=middle + timedelta(microseconds=1)) == ["quarter end, again"]
    assert found("quarter", since=middle, until=middle + timedelta(microseconds=1)) == ["quarter end"]
    assert found("quarter", until=middle) == []


@pytest.mark.django_db
def test_pages_of_words_neither_repeat_nor_skip(way: str) -> None:
    by = administrator("anna", "192.0.2.1")
    for number in range(23):
        grant(by, f"round {number}")
    seen, after = [], ""
    while True:
        page = search(Filter(text="round"), after, 10, paths=None)
        seen += [entry.disclosed["reason"] for entry in page.entries]
        if not (after := page.after):
            break
    assert seen == [f"round {number}" for number in reversed(range(23))]


@pytest.mark.django_db
def test_an_export_selects_what_the_search_finds() -> None:
    by = administrator("anna", "192.0.2.1")
    for number in range(3):
        grant(by, f"round {number} {'x' if number else 'last'}")
    chosen = Filter(text="anna round", action="role.grant")
    ids_found = {entry.id for entry in search(chosen, paths=None).entries}
    assert len(ids_found) == 3
    assert set(queries.matching(chosen).values_list("id", flat=True)) == ids_found
    assert queries.matching(Filter(text="last")).count() == 1
    assert queries.matching(Filter(text="nowhere")).count() == 0


@pytest.mark.django_db
def test_who_may_not_see_every_opening_may_not_search_in_them() -> None:
    with pytest.raises(Denied, match="You may not search in what people wrote"):
        search(Filter(text="anna"), paths=frozenset({"actor/name"}))
    admin = factories.actor(Role.ADMINISTRATOR)
    with pytest.raises(Denied):
        reads.search(admin, Filter(text="anna"))
    refusal = Event.objects.filter(log="admin", action="trail.view", outcome="denied").get()
    assert b"text_not_permitted" in bytes(refusal.leaf_data)
    assert reads.openings(admin) == {"actor/name"}
    assert reads.openings(factories.actor(Role.AUDITOR)) is None
    assert reads.openings(factories.actor(Role.COMPLIANCE_OFFICER, Role.ADMINISTRATOR)) is None
    assert reads.openings(factories.actor(Role.REVIEWER)) == frozenset()
    scoped = factories.actor(Role.AUDITOR, pattern="credit-*")
    assert reads.openings(scoped) == frozenset()
    assert reads.permitted(admin, "actor/name")
    assert not reads.permitted(admin, "request/ip")


@pytest.mark.django_db
def test_an_entry_shows_the_openings_that_were_asked_for_and_no_others() -> None:
    grant(administrator("anna", "192.0.2.1"), "quarter end")
    chosen = Filter(action="role.grant", object_type="user")
    shown = {paths: search(chosen, paths=paths).entries[0].disclosed for paths in (None, frozenset({"actor/name"}))}
    assert shown[None] == {"actor/name": "anna", "request/ip": "192.0.2.1", "reason": "quarter end"}
    assert shown[frozenset({"actor/name"})] == {"actor/name": "anna"}
    assert search(chosen).entries[0].disclosed == {}


@pytest.mark.django_db
def test_the_table_holds_no_word_in_clear() -> None:
    grant(administrator("anna", "192.0.2.1"), "quarter end")
    rows = Disclosure.objects.filter(event_id=Event.objects.get(action="role.grant", actor_ref__startswith="p:").id)
    assert sorted(len(row.words) for row in rows) == [0, 0, 4 + 1 + 5]  # words of all openings, marks: in one row
    assert not any(b"quarter" in bytes(row.ciphertext) for row in rows)


def test_what_was_erased_is_not_found(fresh_database: str) -> None:
    anna, ben = administrator("anna", "192.0.2.1"), administrator("ben", "192.0.2.2")
    grant(anna, "quarter end")
    grant(ben, "quarter end")
    assert len(found("quarter")) == 2
    with transaction.atomic():
        erase.ask(str(anna.account), ids.uuid7())
    erase.carry_out()
    assert found("quarter") == ["quarter end"]
    assert found("anna quarter") == found("192.0.2.1") == []
    assert found("ben quarter") == ["quarter end"]
    assert (
        Disclosure.objects.filter(words__len__gt=0).count() == Disclosure.objects.values("event_id").distinct().count()
    )


def test_old_openings_get_their_words(fresh_database: str) -> None:
    grant(administrator("anna", "192.0.2.1"), "quarter end")
    owner = psycopg.conninfo.conninfo_to_dict(os.environ["PLIMSOLL_DB_OWNER"])
    with psycopg.connect(**{**owner, "dbname": fresh_database}, autocommit=True) as own:
        own.execute("UPDATE audit_disclosure SET words = '{}'")
    assert found("quarter anna") == []
    count = Disclosure.objects.values("event_id").distinct().count()
    address = os.environ["PLIMSOLL_DB_OWNER"].replace("/plimsoll?", f"/{fresh_database}?")
    environ = {**os.environ, "PLIMSOLL_ROLE": "owner", "PLIMSOLL_DB_OWNER": address}
    run = [sys.executable, "manage.py", "audit_reindex", "--skip-checks"]
    said = subprocess.run(run, cwd=ROOT, env=environ, check=True, capture_output=True, text=True).stdout
    assert said == f"{count} entries can be found by their words now.\n"
    assert found("quarter anna") == ["quarter end"]
    as_app = {**environ, "PLIMSOLL_ROLE": "app"}
    refused = subprocess.run(run, cwd=ROOT, env=as_app, check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "PLIMSOLL_ROLE=owner" in refused.stderr


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        Filter(text="?"),
        Filter(text="x" * 201),
        Filter(log="nowhere"),
        Filter(action="nothing"),
        Filter(outcome="perhaps"),
        Filter(since=now(), until=now() - timedelta(days=1)),
    ],
)
def test_what_no_entry_can_have_is_refused(wrong: Filter) -> None:
    with pytest.raises(Invalid):
        search(wrong, paths=None)


@pytest.mark.django_db
@pytest.mark.parametrize("after", ["x", "/", "2026-01-01/x", "9999-99-99/", "2026-01-01T00:00:00Z"])
def test_a_page_that_never_was_is_refused(after: str) -> None:
    with pytest.raises(Invalid, match="This page does not exist"):
        search(Filter(text="anna"), after, paths=None)


@pytest.mark.django_db
@pytest.mark.parametrize("made_up", ["ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"])
def test_a_made_up_place_in_the_list_does_no_harm(made_up: str, way: str) -> None:
    grant(administrator("anna", "192.0.2.1"), "quarter end")
    for text in ("", "quarter"):
        page = search(Filter(text=text), f"0001-01-01T00:00:00+00:00/{made_up}", paths=None)
        assert len(page.entries) <= 1


def test_ids_rise_with_the_time_they_are_made_for() -> None:
    instant = now().replace(microsecond=123_455)
    later = instant + timedelta(microseconds=1)
    assert ids.uuid7(instant) < ids.uuid7(later)
    assert ids.first_id(later) <= ids.uuid7(later)
    assert ids.uuid7(instant) < ids.first_id(later)
    made = ids.uuid7(instant)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert ids.instant_of(made) == instant.replace(microsecond=123_000)


@pytest.mark.django_db
def test_a_search_costs_the_same_queries_for_one_and_for_thirty() -> None:
    by = administrator("anna", "192.0.2.1")
    counts = []
    for more in (1, 29):
        for _ in range(more):
            grant(by, "round")
        for chosen in (Filter(), Filter(text="round"), Filter(account=str(by.account))):
            with CaptureQueriesContext(connection) as asked:
                search(chosen, paths=None)
            counts.append(len(asked))
    assert counts[:3] == counts[3:]
    assert max(counts) <= 8
