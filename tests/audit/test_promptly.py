"""Writers sequence on commit while no sequencer process is there, and leave it alone while one is."""

import os
import threading
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection, connections

from access import actions
from access.roles import Role
from audit import presence, promptly
from audit.actors import SYSTEM
from audit.models import Checkpoint, Event, Leaf, Tree
from tests import factories


@pytest.fixture(autouse=True)
def on_commit(fresh_database: str, settings) -> Iterator[None]:
    settings.PLIMSOLL_SEQUENCE_ON_COMMIT = True
    promptly.forget()
    yield
    promptly.forget()
    connections["sequencer"].close()


def pending() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_pending")
        return int(cursor.fetchone()[0])


def test_without_a_process_every_commit_is_in_the_log_but_not_signed() -> None:
    user = factories.account()
    actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern="credit-*")
    assert [leaf.seq for leaf in Leaf.objects.order_by("seq")] == [0, 1]
    assert [tree.size for tree in Tree.objects.order_by("size")] == [1, 2]
    assert pending() == 0
    assert not Checkpoint.objects.exists()


def test_while_the_process_is_there_writers_leave_it_to_it() -> None:
    with psycopg.connect(os.environ["PLIMSOLL_DB_SEQUENCER"], dbname=connection.settings_dict["NAME"]) as process:
        process.execute("SELECT pg_advisory_lock(%s, %s)", presence.LOCK)
        factories.account()
        assert pending() == 1
    promptly.forget()
    factories.account()
    assert pending() == 0
    assert Leaf.objects.count() == 2


def test_of_many_writers_at_once_none_is_left_behind() -> None:
    user = factories.account()

    def write(number: int) -> None:
        for turn in range(5):
            actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern=f"model-{number}-{turn}")
        connections.close_all()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pending() == 0
    assert [leaf.seq for leaf in Leaf.objects.order_by("seq")] == list(range(31))


def test_a_log_that_cannot_be_written_does_not_undo_what_was_committed(caplog: pytest.LogCaptureFixture) -> None:
    connections["sequencer"].close()
    name = connections["sequencer"].settings_dict["NAME"]
    connections["sequencer"].settings_dict["NAME"] = "no_such_database"
    try:
        factories.account()
    finally:
        connections["sequencer"].settings_dict["NAME"] = name
    assert Event.objects.count() == pending() == 1
    assert "the events wait" in caplog.text
