"""The door: state and entry stand or fall together, refusals are recorded, nothing is written without one."""

import json

import psycopg
import pytest
from django.db import connection, transaction

from access import actions, policy
from access.models import RoleGrant, User
from access.roles import Role
from audit import door, guard
from audit.actors import SYSTEM
from audit.errors import Denied, Duplicate
from audit.events import Action
from audit.models import Event
from audit.subjects import INSTALLATION
from tests import factories

pytestmark = pytest.mark.django_db


def leaves(**filters: object) -> list[dict]:
    return [json.loads(bytes(e.leaf_data)) for e in Event.objects.filter(**filters).order_by("recorded_at", "object_n")]


def test_a_change_and_its_entry_are_written_together() -> None:
    user = factories.account(Role.VIEWER)
    (entry,) = leaves(action="user.create", object_id=str(user.pk))
    assert entry["outcome"] == "success"
    assert entry["actor"] == {"type": "system", "ref": "system", "auth": "system"}
    assert entry["object"] == {"type": "user", "id": str(user.pk), "n": 1, "prev": None}
    assert user.username not in json.dumps(entry)


def test_an_action_that_records_nothing_fails_and_changes_nothing() -> None:
    user = factories.account()
    with pytest.raises(door.NotRecordedError), door.open(SYSTEM, Action.ROLE_GRANT, on=user):
        RoleGrant.objects.create(user=user, role=Role.AUDITOR)
    assert not RoleGrant.objects.filter(user=user).exists()


def test_a_refusal_by_the_policy_is_recorded_and_says_why() -> None:
    viewer = factories.actor(Role.VIEWER)
    with pytest.raises(Denied, match="You may not create an account: it takes the role administrator"):
        actions.create_user(by=viewer, username="mallory", password=None)
    (entry,) = leaves(action="user.create", outcome="denied")
    assert entry["reason_code"] == "role_missing"
    assert entry["log"] == "admin"
    assert not User.objects.filter(username="mallory").exists()


def test_a_refusal_by_the_action_is_recorded_with_its_code() -> None:
    user = factories.account(Role.VIEWER)
    with pytest.raises(Duplicate):
        actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER)
    (entry,) = leaves(action="role.grant", outcome="denied")
    assert entry["reason_code"] == "role_held"


def test_entries_of_one_object_form_a_chain() -> None:
    user = factories.account(Role.VIEWER, Role.AUDITOR)
    events = list(Event.objects.filter(object_id=str(user.pk)).order_by("object_n"))
    assert [event.object_n for event in events] == [1, 2, 3]
    entries = [json.loads(bytes(event.leaf_data)) for event in events]
    assert [entry["object"]["prev"] for entry in entries] == [None, *(bytes(e.leaf_hash).hex() for e in events[:-1])]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO access_token (id) VALUES ('1')",
        "UPDATE \"registry_modelversion\" SET stage = 'Production'",
        "  delete from registry_alias",
        "WITH x AS (SELECT 1) UPDATE erasure_request SET state = 'done'",
        "TRUNCATE registry_decision",
    ],
)
def test_a_write_to_a_governed_table_needs_a_door(sql: str) -> None:
    with pytest.raises(guard.WriteOutsideDoorError), connection.cursor() as cursor:
        cursor.execute(sql)


def test_the_guard_lets_reads_and_bookkeeping_through() -> None:
    assert guard.written_table("SELECT 1 FROM registry_alias FOR UPDATE") is None
    assert not guard.is_governed("registry_job")
    assert not guard.is_governed("django_session")


@pytest.mark.parametrize("table", ["audit_event", "audit_leaf", "audit_tree", "audit_checkpoint", "audit_tile"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET log = log", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_runtime_role_cannot_change_the_trail(table: str, statement: str) -> None:
    factories.account()
    with (
        pytest.raises(Exception, match="permission denied") as caught,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(table))
    assert isinstance(caught.value.__cause__, psycopg.errors.InsufficientPrivilege)


def test_the_runtime_role_owns_no_table() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, count(*) FILTER (WHERE tableowner = current_user) FROM pg_tables"
            " WHERE schemaname = 'public' GROUP BY 1"
        )
        assert cursor.fetchone() == ("plimsoll_app", 0)


def test_why_not_and_require_say_the_same() -> None:
    viewer = factories.actor(Role.VIEWER)
    sentence = policy.why_not(viewer, Action.USER_CREATE, INSTALLATION)
    with pytest.raises(Denied) as caught:
        policy.require(viewer, Action.USER_CREATE, INSTALLATION)
    assert caught.value.sentence == sentence
