"""Retention: the entry first, then the partitions; hashes stay, chains go on."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from access import actions
from access.roles import Role
from audit import clock, retention
from audit.actors import SYSTEM
from audit.errors import Conflict, Invalid, Unavailable
from audit.models import Disclosure, Event, Head, Leaf, Minimum, Tree
from tests import factories

TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def at(fresh_database: str, monkeypatch: pytest.MonkeyPatch, settings) -> Callable[[str], None]:
    """Set the clock; months of 2026 exist, and a month is all that is held."""
    settings.PLIMSOLL_RETENTION_MONTHS = {"admin": 1, "access": 1}
    with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], dbname=fresh_database, autocommit=True) as admin:
        admin.execute("SELECT audit_make_months('2026-08-01', 6)")

    def set_to(day: str) -> None:
        moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
        monkeypatch.setattr(clock, "now", lambda: moment)

    return set_to


def as_owner() -> None:
    connections["default"].close()
    connections["default"].settings_dict["USER"] = "plimsoll_owner"


@pytest.fixture(autouse=True)
def back_to_the_app_role(fresh_database: str):
    before = connections["default"].settings_dict["USER"]
    yield
    connections["default"].close()
    connections["default"].settings_dict["USER"] = before


def history(at: Callable[[str], None]) -> None:
    """Two entries of one account in August, one in September, one in November."""
    at("2026-08-10")
    user = factories.account(username="ada")
    actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern="a", reason="in August")
    at("2026-09-10")
    actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern="b", reason="in September")
    at("2026-11-22")
    actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern="c", reason="in November")


def test_months_are_dropped_after_the_entry_and_hashes_stay(at, signed_log, sign_in_background) -> None:
    history(at)
    signed_log()
    roots = [bytes(tree.root) for tree in Tree.objects.filter(log="admin").order_by("size")]
    as_owner()
    with sign_in_background():
        done = retention.prune("admin", date(2026, 10, 1))
    assert done == retention.Pruned("admin", months=2, entries=3, minimum_index=3)
    assert [event.object_n for event in Event.objects.filter(action="role.grant")] == [3 + 1]
    places = list(Leaf.objects.filter(log="admin").order_by("seq").values_list("seq", flat=True))
    assert places == list(range(len(places)))  # every hash is still there
    assert len(places) >= 5
    assert [bytes(tree.root) for tree in Tree.objects.filter(log="admin").order_by("size")][: len(roots)] == roots
    assert Minimum.objects.get(log="admin").minimum_index == 3
    announced = Event.objects.get(action="audit.prune")
    assert b'"from":0' in bytes(announced.leaf_data)
    assert b'"minimum_index":3' in bytes(announced.leaf_data)
    assert Minimum.objects.get(log="admin").event_id == announced.id
    assert Disclosure.objects.filter(path="reason").count() == 1


def test_the_chain_of_an_object_goes_on(at, signed_log, sign_in_background) -> None:
    history(at)
    signed_log()
    head = Head.objects.get(object_type="user")
    as_owner()
    with sign_in_background():
        retention.prune("admin")
    before = bytes(head.leaf_hash).hex()
    from access.models import User

    actions.grant_role(by=SYSTEM, user=User.objects.get(username="ada"), role=Role.VIEWER, pattern="d")
    newest = Event.objects.filter(object_type="user").order_by("-object_n").first()
    assert newest is not None
    assert newest.object_n == head.n + 1 == 5
    assert f'"prev":"{before}"'.encode() in bytes(newest.leaf_data)


def test_what_is_not_signed_is_not_dropped(at) -> None:
    history(at)
    as_owner()
    with pytest.raises(Conflict) as caught:
        retention.prune("admin", date(2026, 9, 1))
    assert caught.value.code == "not_signed_yet"
    assert Event.objects.count() == 4


def test_without_a_signature_over_the_announcement_nothing_is_dropped(at, signed_log, monkeypatch) -> None:
    history(at)
    signed_log()
    monkeypatch.setattr(retention, "PATIENCE", 0.3)
    as_owner()
    with pytest.raises(Unavailable):
        retention.prune("admin", date(2026, 9, 1))
    assert Event.objects.filter(recorded_at__lt=TODAY.replace(month=9, day=1)).count() == 2
    assert not Minimum.objects.exists()


def test_nothing_within_the_retention_and_no_unknown_log(at) -> None:
    at("2026-11-22")
    with pytest.raises(Invalid, match="held for 1 months: nothing after 2026-10-01"):
        retention.prune("admin", date(2026, 11, 1))
    with pytest.raises(Invalid):
        retention.prune("mail")


def test_empty_months_go_without_an_entry(at) -> None:
    at("2026-11-22")
    as_owner()
    done = retention.prune("access")
    assert done == retention.Pruned("access", months=2, entries=0, minimum_index=0)
    assert next(month.table for month in retention.months("access")) == "audit_event_access_202610"
    assert retention.prune("access") is None
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("held", "today", "first"),
    [
        (1, date(2026, 11, 22), date(2026, 10, 1)),
        (84, date(2026, 1, 31), date(2019, 1, 1)),
        (13, date(2026, 12, 1), date(2025, 11, 1)),
    ],
)
def test_the_cutoff_is_a_first_of_a_month(held: int, today: date, first: date, settings) -> None:
    settings.PLIMSOLL_RETENTION_MONTHS = {"admin": held}
    assert retention.cutoff("admin", today) == first


def test_the_command_runs_as_the_owner_only(at) -> None:
    at("2026-11-22")
    with pytest.raises(CommandError, match="PLIMSOLL_ROLE=owner"):
        call_command("audit_prune", log="access")


def test_the_runtime_role_cannot_drop(at) -> None:
    at("2026-11-22")
    assert connection.settings_dict["USER"] == "plimsoll_app"
    with pytest.raises(Exception, match="must be owner"), connection.cursor() as cursor:
        cursor.execute("DROP TABLE audit_event_access_202608")
