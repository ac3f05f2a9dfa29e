"""What the database refuses, to the service and even to the owner of the tables; and that any difference is seen.

These tests commit, in a database of their own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.core import checks
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import IntegrityError, connection, transaction

from access import actions
from access.models import RoleGrant
from access.roles import Role
from audit import clock, doctor, protection, rights, trail
from audit.actors import SYSTEM
from audit.findings import Severity
from audit.models import Event
from tests import factories
from tests.audit.grown_log import as_role

Connection = psycopg.Connection[Any]
REFUSED = psycopg.errors.InsufficientPrivilege
EVENT = (
    "INSERT INTO {} (id, recorded_at, log, action, outcome, object_type, object_id, object_n, actor_ref, leaf_data,"
    " mac) VALUES (gen_random_uuid(), now(), 'admin', 'x', 'success', 'x', 'x', 1, 'x', '{{}}',"
    " decode(repeat('00', 32), 'hex'))"
)


@contextmanager
def acting_as(role: str, database: str) -> Iterator[Connection]:
    """One of the service's own roles, as it logs in."""
    named = psycopg.conninfo.conninfo_to_dict(os.environ[f"PLIMSOLL_DB_{role.upper()}"])
    with psycopg.connect(**{**named, "dbname": database}, autocommit=True) as connection:
        yield connection


def superuser(database: str) -> Connection:
    return psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], dbname=database, autocommit=True)


def test_when_the_entry_cannot_be_written_nothing_changes(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    user = factories.account()
    before = Event.objects.count()
    monkeypatch.setattr(trail, "writer_mac", lambda leaf: b"too short")
    with pytest.raises(IntegrityError, match="MAC"):
        actions.grant_role(by=SYSTEM, user=user, role=Role.REVIEWER)
    assert not RoleGrant.objects.filter(user=user).exists()
    assert Event.objects.count() == before


# -- what is refused -------------------------------------------------------------------------------------------------

# Of the tables whose rows never change, every one refuses these to every role, the owner included.
CHANGES = ("UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}")
A_COLUMN = {
    "audit_event": "action",
    "audit_quarantine": "reason",
    "audit_leaf": "seq",
    "audit_tile": "idx",
    "audit_tree": "size",
    "audit_checkpoint": "note",
    "audit_cosignature": "line",
    "audit_log_key": "from_size",
    "audit_log_key_end": "to_size",
    "audit_anchor_receipt": "receipt",
    "audit_minimum": "minimum_index",
}


@pytest.fixture
def filled(fresh_database: str) -> str:
    """A database with at least one row in every table that never changes: row triggers fire for rows alone."""
    factories.account()
    with superuser(fresh_database) as admin:
        for statement in (
            "INSERT INTO audit_quarantine VALUES (gen_random_uuid(), 'x')",
            "INSERT INTO audit_leaf VALUES ('admin', 0, gen_random_uuid(), decode(repeat('00', 32), 'hex'))",
            "INSERT INTO audit_tile VALUES ('admin', 0, 0, decode(repeat('00', 8192), 'hex'))",
            "INSERT INTO audit_tree VALUES ('admin', 1, decode(repeat('00', 32), 'hex'), '{}')",
            "INSERT INTO audit_checkpoint VALUES ('admin', 1, 'x')",
            "INSERT INTO audit_cosignature VALUES ('admin', 1, 'x')",
            "INSERT INTO audit_log_key VALUES ('x', 'admin', 0)",
            "INSERT INTO audit_log_key_end VALUES ('x', 1)",
            "INSERT INTO audit_anchor_receipt VALUES ('admin', 'x', 'file', 1, decode(repeat('00', 32), 'hex'), 'x')",
            "INSERT INTO audit_minimum VALUES ('admin', 1, gen_random_uuid())",
        ):
            admin.execute(statement)
    return fresh_database


def test_the_list_of_tables_that_never_change_is_whole() -> None:
    assert set(A_COLUMN) == protection.APPEND_ONLY
    assert set(rights.TRAIL_RIGHTS) > protection.APPEND_ONLY


@pytest.mark.parametrize("role", ["app", "sequencer", "eraser"])
def test_no_runtime_role_changes_the_trail(filled: str, role: str) -> None:
    with acting_as(role, filled) as own:
        for table, column in A_COLUMN.items():
            for statement in CHANGES:
                with pytest.raises(REFUSED, match="permission denied"):
                    own.execute(statement.format(table, column))


def test_even_the_owner_is_refused_by_the_triggers(filled: str) -> None:
    with acting_as("owner", filled) as own:
        for table, column in A_COLUMN.items():
            for statement in CHANGES:
                # audit_log_key_end refers to audit_log_key, so that one is only truncated together with it
                also = ", audit_log_key_end" if (table, statement[:8]) == ("audit_log_key", "TRUNCATE") else ""
                with pytest.raises(REFUSED, match="append-only"):
                    own.execute(statement.format(table + also, column))


def test_a_superuser_is_refused_also_in_the_role_of_a_replica(filled: str) -> None:
    with superuser(filled) as admin:
        admin.execute("SET session_replication_role = replica")
        partition = f"audit_event_admin_{clock.now():%Y%m}"
        for table in ("audit_event", partition, "audit_leaf", "audit_checkpoint", "audit_tree"):
            column = A_COLUMN.get(table, "action")
            for statement in CHANGES:
                with pytest.raises(REFUSED, match="append-only"):
                    admin.execute(statement.format(table, column))


def test_events_are_queued_also_in_the_role_of_a_replica(filled: str) -> None:
    with superuser(filled) as admin:
        admin.execute("SET session_replication_role = replica")
        before = admin.execute("SELECT count(*) FROM audit_pending").fetchone()
        admin.execute(EVENT.format("audit_event"))
        after = admin.execute("SELECT count(*) FROM audit_pending").fetchone()
    assert before is not None
    assert after == (before[0] + 1,)


def not_refused(connection: Connection, deeds: dict[str, str]) -> list[str]:
    """Those of the deeds that the database did not refuse for want of a right."""
    done = []
    for deed, statement in deeds.items():
        try:
            connection.execute(statement)
        except REFUSED:
            continue
        except psycopg.Error as error:
            done.append(f"{deed}: {error}")
        else:
            done.append(deed)
    return done


QUEUE = "INSERT INTO audit_pending (event_id, recorded_at, log) VALUES (gen_random_uuid(), now(), 'admin')"
FORBIDDEN_TO_THE_APP = {
    "switches triggers off": "ALTER TABLE audit_event DISABLE TRIGGER ALL",
    "drops a trigger": "DROP TRIGGER audit_append_only ON audit_event",
    "acts as a replica": "SET session_replication_role = replica",
    "drops a table": "DROP TABLE audit_leaf",
    "drops a partition": "DROP TABLE audit_event_admin_default",
    "detaches a partition": "ALTER TABLE audit_event_admin DETACH PARTITION audit_event_admin_default",
    "writes into a partition": EVENT.format("audit_event_admin_default"),
    "reads a partition": "SELECT * FROM audit_event_admin_default",
    "fills the queue": QUEUE,
    "empties the queue": "DELETE FROM audit_pending",
    "moves the end of a chain": "UPDATE audit_head SET n = n + 1",
    "adds an end of a chain": "INSERT INTO audit_head VALUES ('x', 'x', 1, decode(repeat('00', 32), 'hex'))",
    "places an event": "INSERT INTO audit_leaf VALUES ('admin', 9, gen_random_uuid(), decode(repeat('00', 32), 'hex'))",
    "stores a tree": "INSERT INTO audit_tree VALUES ('admin', 9, decode(repeat('00', 32), 'hex'), '{}')",
    "stores a checkpoint": "INSERT INTO audit_checkpoint VALUES ('admin', 9, 'x')",
    "announces a key": "INSERT INTO audit_log_key VALUES ('y', 'admin', 0)",
    "claims a drop": "INSERT INTO audit_minimum VALUES ('admin', 9, gen_random_uuid())",
    "takes a receipt back": "DELETE FROM audit_anchor_receipt",
    "erases an opening": "DELETE FROM audit_disclosure",
    "changes an opening": "UPDATE audit_disclosure SET ciphertext = ''",
    "destroys a key of openings": "DELETE FROM audit_subject_key",
    "unlinks a pseudonym": "DELETE FROM audit_pseudonym",
    "writes over an event": EVENT.format("audit_event").replace("INTO audit_event", "INTO audit_event AS e")
    + " ON CONFLICT (log, recorded_at, id) DO UPDATE SET action = 'y'",
    "makes months": "SELECT audit_make_months(current_date, 1)",
    "guards a table": "SELECT audit_guard('audit_leaf')",
    "replaces a function": "CREATE OR REPLACE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN NEW; END'",
    "makes a table": "CREATE TABLE audit_mine (x int)",
    "acts as the owner": "SET ROLE plimsoll_owner",
    "acts as the sequencer": "SET ROLE plimsoll_sequencer",
    "acts as the eraser": "SET ROLE plimsoll_eraser",
    "makes a rule": "CREATE RULE quiet AS ON INSERT TO audit_event DO INSTEAD NOTHING",
    "hides rows": "ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY",
}


def test_what_the_app_may_not(filled: str) -> None:
    with acting_as("app", filled) as own:
        assert not_refused(own, FORBIDDEN_TO_THE_APP) == []
        own.execute("GRANT UPDATE ON audit_event TO plimsoll_app")  # a warning, by the standard, and no right
        assert own.execute("SELECT has_table_privilege('audit_event', 'UPDATE')").fetchone() == (False,)


FORBIDDEN_TO_THE_SEQUENCER = {
    "adds an end of a chain": "INSERT INTO audit_head VALUES ('x', 'x', 1, decode(repeat('00', 32), 'hex'))",
    "fills the queue": QUEUE,
    "claims a drop": "INSERT INTO audit_minimum VALUES ('admin', 9, gen_random_uuid())",
    "drops a partition": "DROP TABLE audit_event_admin_default",
    "erases an opening": "DELETE FROM audit_disclosure",
    "changes the registry": "UPDATE registry_registeredmodel SET name = name",
    "acts as the owner": "SET ROLE plimsoll_owner",
}


def test_what_the_sequencer_may_not(filled: str) -> None:
    with acting_as("sequencer", filled) as own:
        assert not_refused(own, FORBIDDEN_TO_THE_SEQUENCER) == []


def test_the_eraser_erases_and_nothing_else(filled: str) -> None:
    with acting_as("eraser", filled) as eraser:
        assert eraser.execute("DELETE FROM audit_disclosure").rowcount > 0
        for table in sorted(
            set(rights.TRAIL_RIGHTS) - {"audit_disclosure", "audit_subject_key", "audit_pseudonym", "audit_erasing"}
        ):
            with pytest.raises(REFUSED):
                eraser.execute(f"SELECT * FROM {table}")


# -- what is seen ----------------------------------------------------------------------------------------------------

# What somebody with all rights does to the protection, the code under which it is found, and how bad that is.
DEEDS: dict[str, tuple[str, Severity]] = {
    "DROP TRIGGER audit_append_only ON audit_tile": ("trigger-missing", Severity.BROKEN),
    "DROP TRIGGER audit_enqueue ON audit_event": ("trigger-missing", Severity.BROKEN),
    "ALTER TABLE audit_event_access DISABLE TRIGGER audit_no_truncate": ("trigger-disabled", Severity.BROKEN),
    "ALTER TABLE audit_checkpoint ENABLE TRIGGER audit_append_only": ("trigger-disabled", Severity.BROKEN),
    "ALTER TABLE audit_checkpoint ENABLE REPLICA TRIGGER audit_append_only": ("trigger-disabled", Severity.BROKEN),
    "CREATE TRIGGER mine BEFORE INSERT ON audit_leaf FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()": (
        "trigger-unexpected",
        Severity.BROKEN,
    ),
    "CREATE OR REPLACE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_tree FOR EACH ROW"
    " EXECUTE FUNCTION audit_enqueue()": ("trigger-changed", Severity.BROKEN),
    "CREATE OR REPLACE TRIGGER audit_append_only BEFORE UPDATE ON audit_tree FOR EACH ROW"
    " EXECUTE FUNCTION audit_refuse_change()": ("trigger-changed", Severity.BROKEN),
    "CREATE OR REPLACE TRIGGER audit_append_only BEFORE UPDATE OF log OR DELETE ON audit_tree FOR EACH ROW"
    " EXECUTE FUNCTION audit_refuse_change()": ("trigger-changed", Severity.BROKEN),
    "ALTER FUNCTION audit_enqueue() SECURITY INVOKER": ("function-changed", Severity.BROKEN),
    "ALTER FUNCTION audit_enqueue() RESET search_path": ("function-changed", Severity.BROKEN),
    "ALTER FUNCTION audit_enqueue() OWNER TO plimsoll_tracking": ("owner-differs", Severity.BROKEN),
    "CREATE FUNCTION audit_guard(text) RETURNS void LANGUAGE sql AS ''": ("function-missing", Severity.BROKEN),
    "CREATE FUNCTION mine() RETURNS void LANGUAGE sql SECURITY DEFINER AS ''": ("function-unexpected", Severity.BROKEN),
    "GRANT EXECUTE ON FUNCTION audit_guard(regclass) TO PUBLIC": ("right-unexpected", Severity.BROKEN),
    "GRANT DELETE ON audit_leaf TO plimsoll_sequencer": ("right-unexpected", Severity.BROKEN),
    "GRANT INSERT ON audit_pending TO PUBLIC": ("right-unexpected", Severity.BROKEN),
    "GRANT INSERT ON audit_event_admin_default TO plimsoll_app": ("right-unexpected", Severity.BROKEN),
    "GRANT UPDATE (note) ON audit_checkpoint TO plimsoll_app": ("right-unexpected", Severity.BROKEN),
    "GRANT UPDATE ON SEQUENCE audit_pending_seq_seq TO plimsoll_app": ("right-unexpected", Severity.BROKEN),
    "GRANT CREATE ON SCHEMA public TO plimsoll_app": ("right-unexpected", Severity.BROKEN),
    "GRANT UPDATE ON audit_event TO plimsoll_tracking": ("right-unexpected", Severity.BROKEN),
    "GRANT SELECT ON audit_event TO plimsoll_tracking": ("right-of-others", Severity.NOTE),
    "REVOKE INSERT ON audit_event FROM plimsoll_app": ("right-missing", Severity.OPEN),
    "CREATE VIEW mine AS SELECT * FROM audit_leaf; GRANT DELETE ON mine TO plimsoll_app": (
        "right-unexpected",
        Severity.BROKEN,
    ),
    "CREATE RULE mine AS ON INSERT TO audit_event DO INSTEAD NOTHING": ("rule-unexpected", Severity.BROKEN),
    "ALTER TABLE audit_leaf ENABLE ROW LEVEL SECURITY": ("row-security", Severity.BROKEN),
    "CREATE POLICY mine ON audit_leaf": ("policy-unexpected", Severity.BROKEN),
    "ALTER TABLE audit_tile SET UNLOGGED": ("table-unlogged", Severity.BROKEN),
    "ALTER TABLE audit_tile OWNER TO plimsoll_app": ("role-owns", Severity.BROKEN),
    "DROP TABLE audit_cosignature": ("table-missing", Severity.BROKEN),
    "ALTER TABLE audit_leaf DROP CONSTRAINT audit_leaf_event_id_key": ("key-missing", Severity.BROKEN),
    "ALTER TABLE audit_event ALTER leaf_hash SET EXPRESSION AS (sha256(leaf_data))": ("hash-changed", Severity.BROKEN),
    "CREATE SCHEMA postgres; CREATE VIEW postgres.audit_event AS SELECT * FROM public.audit_event": (
        "name-shadowed",
        Severity.BROKEN,
    ),
}


def test_every_difference_is_found(fresh_database: str) -> None:
    assert protection.examine() == []
    with as_role("PLIMSOLL_TEST_ADMIN"):
        for deed, expected in DEEDS.items():
            with transaction.atomic():
                with connection.cursor() as cursor:
                    for statement in deed.split("; "):
                        cursor.execute(statement)
                found = {(each.code, each.severity) for each in protection.examine()}
                transaction.set_rollback(True)
            assert expected in found, deed
        assert protection.examine() == []


ROLES: dict[str, tuple[str, str]] = {
    "ALTER ROLE plimsoll_sequencer SUPERUSER": ("role-powerful", "ALTER ROLE plimsoll_sequencer NOSUPERUSER"),
    "ALTER ROLE plimsoll_eraser CREATEROLE": ("role-powerful", "ALTER ROLE plimsoll_eraser NOCREATEROLE"),
    "GRANT plimsoll_sequencer TO plimsoll_app": ("role-member", "REVOKE plimsoll_sequencer FROM plimsoll_app"),
    "GRANT pg_write_all_data TO plimsoll_app": ("role-member", "REVOKE pg_write_all_data FROM plimsoll_app"),
    "GRANT plimsoll_owner TO plimsoll_tracking": ("login-may-own", "REVOKE plimsoll_owner FROM plimsoll_tracking"),
    "ALTER ROLE plimsoll_app IN DATABASE {} SET search_path = pg_catalog, public": (
        "setting-unexpected",
        "ALTER ROLE plimsoll_app IN DATABASE {} RESET search_path",
    ),
    "ALTER DATABASE {} SET session_replication_role = replica": (
        "setting-unexpected",
        "ALTER DATABASE {} RESET session_replication_role",
    ),
}


@pytest.mark.xdist_group("roles")
@pytest.mark.parametrize("deed", ROLES)
def test_roles_and_their_settings_are_looked_at(fresh_database: str, deed: str) -> None:
    code, back = ROLES[deed]
    with superuser(fresh_database) as admin:
        admin.execute(deed.format(fresh_database))
        try:
            assert {each.code for each in protection.examine()} == {code}
        finally:
            admin.execute(back.format(fresh_database))
    assert protection.examine() == []


def test_events_outside_every_month_and_months_that_are_not_there_are_told(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with superuser(fresh_database) as admin:
        admin.execute(EVENT.format("audit_event").replace("now()", "now() - interval '3 years'"))
    assert {each.code for each in protection.examine()} == {"default-holds-events"}
    monkeypatch.setattr(clock, "now", lambda: datetime(2031, 12, 31, tzinfo=UTC))
    assert [each.sentence for each in protection.examine() if each.code == "month-missing"] == [
        "The table audit_event_admin_203112 for the events of December 2031 is missing.",
        "The table audit_event_admin_203201 for the events of January 2032 is missing.",
        "The table audit_event_access_203112 for the events of December 2031 is missing.",
        "The table audit_event_access_203201 for the events of January 2032 is missing.",
    ]


def test_a_database_that_was_not_migrated_says_so_and_nothing_else(fresh_database: str) -> None:
    with superuser(fresh_database) as admin:
        admin.execute("DELETE FROM django_migrations WHERE app = 'audit' AND name = '0003_log'")
        admin.execute("ALTER TABLE audit_event DISABLE TRIGGER ALL")
        assert [each.code for each in protection.examine()] == ["not-migrated"]


# -- who tells -------------------------------------------------------------------------------------------------------


def told(databases: list[str] | None) -> list[checks.CheckMessage]:
    return [each for each in run_checks(databases=databases) if str(each.id).startswith("audit.")]


def test_the_system_check_tells_when_a_database_is_named(fresh_database: str, settings: Any) -> None:
    assert told(["default"]) == []
    with superuser(fresh_database) as admin:
        admin.execute("ALTER TABLE audit_leaf DISABLE TRIGGER audit_append_only")
    (message,) = told(["default"])
    assert (message.id, message.level) == ("audit.trigger-disabled", checks.ERROR)
    assert message.msg == "The trigger audit_append_only on audit_leaf is not always enabled."
    assert told(None) == []
    with pytest.raises(SystemCheckError, match="audit.trigger-disabled"):
        call_command("check", databases=["default"])
    settings.PLIMSOLL_ROLE = "owner"  # whose migrate is what puts it right
    assert told(["default"]) == []


def test_without_a_database_the_system_check_does_nothing(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nonexistent")
    assert told(["default"]) == []


SET_ASIDE = "019aa000-0000-7000-8000-000000000001"


def test_alarms_are_what_pages_must_say(fresh_database: str) -> None:
    assert doctor.alarms() == []
    with superuser(fresh_database) as admin:
        admin.execute("GRANT SELECT ON audit_event TO plimsoll_tracking")  # a note, and no alarm
        admin.execute("GRANT TRUNCATE ON audit_leaf TO plimsoll_app")
        admin.execute("INSERT INTO audit_quarantine VALUES (%s, 'a reason', '2026-01-01Z')", [SET_ASIDE])
    assert doctor.alarms() == [
        "The role plimsoll_app has TRUNCATE on audit_leaf, which it should not have.",
        f"Event {SET_ASIDE} was set aside at 2026-01-01T00:00:00.000000Z: a reason.",
    ]
