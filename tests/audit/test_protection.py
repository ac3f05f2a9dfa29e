"""What the database refuses even to the owner of the tables. These tests commit, in a database of their own."""

import os

import psycopg
import pytest
from django.db import IntegrityError

from access import actions
from access.models import RoleGrant
from access.roles import Role
from audit import trail
from audit.actors import SYSTEM
from audit.models import Event
from tests import factories


def test_when_the_entry_cannot_be_written_nothing_changes(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    user = factories.account()
    before = Event.objects.count()
    monkeypatch.setattr(trail, "writer_mac", lambda leaf: b"too short")
    with pytest.raises(IntegrityError, match="mac"):
        actions.grant_role(by=SYSTEM, user=user, role=Role.REVIEWER)
    assert not RoleGrant.objects.filter(user=user).exists()
    assert Event.objects.count() == before


def test_even_the_owner_cannot_change_the_trail(fresh_database: str) -> None:
    factories.account()
    owner = psycopg.conninfo.conninfo_to_dict(os.environ["PLIMSOLL_DB_OWNER"])
    with psycopg.connect(**{**owner, "dbname": fresh_database}, autocommit=True) as own:
        for statement in ("UPDATE audit_event SET log = 'access'", "DELETE FROM audit_event", "TRUNCATE audit_event"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                own.execute(statement)
