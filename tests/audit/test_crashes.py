"""The sequencer dies at every statement of its step, its connection is cut at every statement, a second one is at work:
nothing is lost, doubled, reordered or signed twice. These tests commit, in a database of their own.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, connections

from access import actions
from access.models import User
from access.roles import Role
from audit import highwater, merkle, publisher, sequencer
from audit.actors import SYSTEM
from audit.models import Checkpoint, Event, Leaf, LogKey, Tree
from audit.note import SigningKey, Verifier, open_note, parse_checkpoint
from tests import factories
from tests.audit.grown_log import as_role

Blow = Callable[[], None]


class DiedError(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


def die() -> None:
    raise DiedError


def cut() -> None:
    """The database ends this connection, as when its backend is killed."""
    with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], autocommit=True) as admin:
        pid = connection.connection.info.backend_pid
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


class Struck:
    """Strikes at the ``at``-th statement, before it is sent or after it was carried out."""

    def __init__(self, at: int, blow: Blow, *, after: bool) -> None:
        self.at, self.blow, self.after = at, blow, after
        self.seen = 0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.seen += 1
        if self.seen != self.at:
            return execute(sql, params, many, context)
        if self.after:
            result = execute(sql, params, many, context)
            self.blow()
            return result
        self.blow()
        return execute(sql, params, many, context)


def survives(work: Callable[[], object], blow: Blow, *, after: bool, at: int) -> bool:
    """Whether the work was done before the ``at``-th statement came."""
    struck = Struck(at, blow, after=after)
    try:
        with connection.execute_wrapper(struck):
            work()
    except (DiedError, OperationalError):
        assert struck.seen >= at
        connection.close()
        return False
    return struck.seen < at


@pytest.fixture
def user(fresh_database: str) -> User:
    return factories.account()


def write(user: User, count: int, mark: str = "m") -> None:
    for number in range(count):
        actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern=f"{mark}-{number}")


def assert_whole(key: SigningKey, count: int) -> None:
    """Every event once, in the order in which they were written, under one signed root."""
    leaves = list(Leaf.objects.filter(log="admin").order_by("seq"))
    assert [leaf.seq for leaf in leaves] == list(range(count))
    events = list(Event.objects.filter(log="admin").order_by("recorded_at"))
    assert [leaf.event_id for leaf in leaves] == [event.id for event in events]
    hashes = [merkle.leaf_hash(bytes(event.leaf_data)) for event in events]
    tree = merkle.MemoryTree(hashes)
    for each in Tree.objects.filter(log="admin"):
        assert bytes(each.root) == tree.root(each.size)
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM audit_pending), (SELECT count(*) FROM audit_quarantine)")
        assert cursor.fetchone() == (0, 0)
        cursor.execute("SELECT idx, hashes FROM audit_tile WHERE log = 'admin' AND level = 0 ORDER BY idx")
        tiles = [(idx, bytes(stored)) for idx, stored in cursor.fetchall()]
    assert tiles == [(idx, b"".join(hashes[idx * 256 : idx * 256 + 256])) for idx in range(count // 256)]
    for checkpoint in Checkpoint.objects.filter(log="admin"):
        signed = parse_checkpoint(open_note(checkpoint.note, [Verifier.parse(key.verifier)])[0])
        assert (signed.size, signed.root) == (checkpoint.size, tree.root(checkpoint.size))


def a_key() -> SigningKey:
    key = SigningKey.generate(sequencer.origin("admin"))
    LogKey.objects.bulk_create([LogKey(verifier=key.verifier, log="admin", from_size=0)])
    return key


def stored() -> tuple[int, int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM audit_pending), (SELECT count(*) FROM audit_leaf),"
            " (SELECT count(*) FROM audit_tree) + (SELECT count(*) FROM audit_tile)"
        )
        found: tuple[int, int, int] = cursor.fetchone()
        return found


@pytest.mark.parametrize("blow", [die, cut], ids=["the process dies", "the connection is cut"])
@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "after it was carried out"])
def test_a_crash_at_any_statement_of_a_step_changes_nothing(user: User, blow: Blow, after: bool) -> None:
    write(user, 260)
    with as_role():
        key = a_key()
        before, at = stored(), 1
        while not survives(lambda: sequencer.step("admin"), blow, after=after, at=at):
            assert stored() == before
            at += 1
        assert at > 6  # lock, take, head, tile read, tile written, tree
        publisher.publish("admin", [key])
    assert_whole(key, 261)


@pytest.mark.parametrize("blow", [die, cut], ids=["the process dies", "the connection is cut"])
@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "after it was carried out"])
def test_a_crash_at_any_statement_of_signing_gives_one_note_in_the_end(user: User, blow: Blow, after: bool) -> None:
    write(user, 5)
    with as_role():
        key = a_key()
        sequencer.step("admin")
        assert publisher.publish("admin", [key]) == 6
    write(user, 5, "more")
    with as_role():
        sequencer.step("admin")
        at, marks = 1, set()
        while not survives(lambda: publisher.publish("admin", [key]), blow, after=after, at=at):
            marks.add(highwater.read(key))
            assert Checkpoint.objects.filter(log="admin").count() <= 2
            at += 1
        assert at > 3
    sizes = {mark.size for mark in marks if mark is not None}
    assert sizes <= {6, 11}
    assert len(marks) == len(sizes)  # never two roots for one size
    assert_whole(key, 11)


@contextmanager
def stopped_at(at: int) -> Iterator[tuple[threading.Event, Callable[[bool], BaseException | int | None]]]:
    """A second sequencer that stands still at its ``at``-th statement. Yields the event that it stands there, and what
    lets it go on: with its connection cut, or not. What comes of its step is returned.
    """
    standing, go = threading.Event(), threading.Event()
    backend: list[int] = []
    outcome: list[BaseException | int] = []

    def pause() -> None:
        backend.append(connection.connection.info.backend_pid)
        standing.set()
        go.wait(60)

    def work() -> None:
        try:
            with connection.execute_wrapper(Struck(at, pause, after=False)):
                outcome.append(sequencer.step("admin"))
        except OperationalError as error:
            outcome.append(error)
        finally:
            standing.set()
            connections.close_all()

    thread = threading.Thread(target=work)

    def release(kill: bool) -> BaseException | int | None:
        if kill and backend:
            with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", [backend[0]])
        go.set()
        thread.join()
        return outcome[0] if outcome else None

    thread.start()
    yield standing, release
    go.set()
    thread.join()


@pytest.mark.parametrize("kill", [True, False], ids=["and is killed", "and goes on"])
def test_a_second_sequencer_while_one_stands_still_at_any_statement(user: User, kill: bool) -> None:
    with as_role():
        key = a_key()
    count, cut_off = 1, 0
    for at in range(1, 8):  # a step of three events has four statements, and a COPY before the last
        write(user, 3, f"round-{at}")
        count += 3
        with as_role():
            with stopped_at(at) as (standing, release):
                standing.wait(60)
                assert sequencer.step("admin") in (0, 3, 4)  # none once the other one holds the lock
                cut_off += isinstance(release(kill), OperationalError)
            while sequencer.step("admin"):
                pass
            publisher.publish("admin", [key])
    assert cut_off == (4 if kill else 0)
    assert_whole(key, count)
