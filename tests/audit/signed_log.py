"""A log at work in a database of the test's own: events, a copy of the database to go back to, a superuser's hand."""

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection, connections

from audit import anchoring, merkle, publisher, sequencer
from audit.anchors import Statement
from audit.models import Checkpoint
from audit.note import SigningKey
from tests.audit.grown_log import as_role, insert, leaf_of

__all__ = ["as_role", "insert"]


def sequence(log: str = "access") -> int:
    """Give everything that waits its index; the size."""
    while sequencer.step(log):
        pass
    return sequencer.head(log)[0]


def grow(keys: list[SigningKey], *sizes: int, log: str = "access") -> None:
    """From where the log is to each of these sizes, sequenced and signed at each, as the sequencer."""
    for size in sizes:
        before = sequencer.head(log)[0]
        insert(before, size, log)
        with as_role():
            assert sequence(log) == size
            assert publisher.publish(log, keys) == size


def newest(empty: str = "", log: str = "access") -> Statement:
    """The newest checkpoint as anchors are told of it."""
    found = anchoring.statement(log, empty)
    assert found is not None
    return found


def root(size: int) -> bytes:
    """The root over the first events that ``insert`` makes."""
    return merkle.MemoryTree([merkle.leaf_hash(leaf_of(number)) for number in range(size)]).root()


def until(condition: Callable[[], object]) -> None:
    """Wait for what a thread or a process does; a bound for a test that would otherwise never end."""
    for _ in range(1_200):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("It never came about.")


def newest_note(log: str = "access") -> str:
    newest = Checkpoint.objects.filter(log=log).order_by("-size").first()
    assert newest is not None
    return newest.note


def use(name: str) -> None:
    """Let Django talk to the database ``name``."""
    for alias in connections:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name


@contextmanager
def copy_of(name: str) -> Iterator[str]:
    """A copy of the database as it is now: a backup to restore."""
    connections.close_all()
    copy = f"plimsoll_copy_{secrets.token_hex(4)}"
    with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
        admin.execute(f'GRANT CONNECT ON DATABASE "{copy}" TO plimsoll_app, plimsoll_sequencer, plimsoll_eraser')
    try:
        yield copy
    finally:
        use(name)
        with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')


def superuser(table: str, *statements: tuple[str, list[object]]) -> None:
    """Do to a table of the trail what its triggers refuse to everyone."""
    address = psycopg.conninfo.make_conninfo(os.environ["PLIMSOLL_TEST_ADMIN"], dbname=connection.settings_dict["NAME"])
    with psycopg.connect(address) as admin:
        admin.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        for statement, values in statements:
            assert admin.execute(statement, values).rowcount > 0
        for trigger in ("audit_append_only", "audit_no_truncate"):
            admin.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")
