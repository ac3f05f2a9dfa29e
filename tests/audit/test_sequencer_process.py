"""``manage.py sequencer`` as a process: one at work, one standing by, ended and cut off. These tests commit."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from audit import presence
from audit.models import Checkpoint, Event
from audit.note import Verifier, open_note, parse_checkpoint, parse_note
from audit.rotation import ranges
from tests import factories
from tests.audit.signed_log import copy_of, until, use

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(fresh_database: str, tmp_path: Path) -> Iterator[Start]:
    """Start sequencers on the test's own database; they are gone afterwards."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str, database: str = fresh_database, **more: str) -> subprocess.Popen[str]:
        address = os.environ["PLIMSOLL_DB_SEQUENCER"].replace("/plimsoll?", f"/{database}?")
        environ = {**os.environ, "PLIMSOLL_ROLE": "sequencer", "PLIMSOLL_DB_SEQUENCER": address, **more}
        log = (tmp_path / f"sequencer-{len(running)}.log").open("w")
        argv = [sys.executable, "manage.py", *(arguments or ("sequencer", "--skip-checks"))]
        process = subprocess.Popen(argv, env=environ, stderr=log, stdout=log, text=True)
        log.close()
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()


def signed(log: str = "admin") -> int:
    newest = Checkpoint.objects.filter(log=log).order_by("-size").first()
    return newest.size if newest else 0


def all_signed() -> bool:
    events = Event.objects.filter(log="admin").count()
    return events > 0 and signed() == events


def present() -> list[int]:
    """The server processes of the connections on which the lock is held."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 2"
            " AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            list(presence.LOCK),
        )
        return [row[0] for row in cursor.fetchall()]


def test_what_is_written_is_signed_and_the_first_tick_is_there(start: Start) -> None:
    start()
    factories.account()
    until(all_signed)
    until(lambda: signed("access") == 1)
    assert Event.objects.filter(action="audit.tick").count() == 2
    newest = Checkpoint.objects.filter(log="admin").order_by("-size").first()
    assert newest is not None
    (key,) = ranges("admin")
    assert parse_checkpoint(open_note(newest.note, [Verifier.parse(key.verifier)])[0]).size == newest.size


def test_it_ends_when_told_to(start: Start) -> None:
    process = start()
    until(lambda: signed("access") == 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert present() == []


def test_a_second_one_stands_by_and_takes_over(start: Start, tmp_path: Path) -> None:
    first = start()
    until(lambda: signed("access") == 1)
    (at_work,) = present()
    second = start()
    until(lambda: "standing by" in (tmp_path / "sequencer-1.log").read_text())
    factories.account()
    until(all_signed)
    assert second.poll() is None
    assert present() == [at_work]
    first.kill()
    first.wait()
    until(lambda: present() not in ([], [at_work]))
    factories.account()
    until(all_signed)
    assert second.poll() is None


def test_it_survives_that_the_database_cuts_it_off(start: Start) -> None:
    process = start()
    until(lambda: signed("access") == 1)
    for _ in range(3):
        (before,) = present()
        with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = %s",
                [connection.settings_dict["NAME"], "plimsoll_sequencer"],
            )
        factories.account()
        until(all_signed)
        until(lambda before=before: present() not in ([], [before]))
    assert process.poll() is None


def test_a_running_one_takes_up_a_new_key_and_lets_go_of_the_old(start: Start, tmp_path: Path) -> None:
    def audit_key(*arguments: str) -> None:
        number = len(list(tmp_path.glob("sequencer-*.log")))
        code = start("audit_key", "--skip-checks", *arguments).wait(30)
        assert code == 0, (tmp_path / f"sequencer-{number}.log").read_text()

    def signers() -> list[str]:
        factories.account()
        until(all_signed)
        newest = Checkpoint.objects.filter(log="admin").order_by("-size").first()
        assert newest is not None
        return [line.key_id.hex() for line in parse_note(newest.note)[1]]

    process = start()
    until(all_signed)
    (old,) = ranges("admin")
    assert signers() == [old.key_id]
    audit_key("rotate", "--log", "admin")
    new = next(each for each in ranges("admin") if each.verifier != old.verifier)
    until(lambda: signers() == [old.key_id, new.key_id])
    audit_key("retire", "--log", "admin", old.key_id)
    assert signers() == [new.key_id]
    assert process.poll() is None


def test_draining_by_hand_leaves_the_work_to_the_one_that_runs(start: Start, tmp_path: Path) -> None:
    start()
    until(lambda: signed("access") == 1)
    assert start("sequencer", "--skip-checks", "--once").wait(30) == 1
    assert (tmp_path / "sequencer-1.log").read_text() == (
        "CommandError: Another sequencer is at work; it does this already.\n"
    )


def test_writers_can_tell_whether_one_is_there(start: Start) -> None:
    def is_there() -> bool:
        with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], dbname=connection.settings_dict["NAME"]) as writer:
            row = writer.execute("SELECT pg_try_advisory_xact_lock_shared(%s, %s)", list(presence.LOCK)).fetchone()
            return row == (False,)

    assert not is_there()
    process = start()
    until(is_there)
    process.terminate()
    process.wait(5)
    assert not is_there()


def test_on_an_older_copy_it_signs_nothing_and_says_why(start: Start, fresh_database: str, tmp_path: Path) -> None:
    def once(database: str) -> tuple[int, str]:
        number = len(list(tmp_path.glob("sequencer-*.log")))
        code = start("sequencer", "--skip-checks", "--once", database=database).wait(30)
        return code, (tmp_path / f"sequencer-{number}.log").read_text()

    factories.account()
    assert once(fresh_database)[0] == 0
    with copy_of(fresh_database) as older:
        for _ in range(3):
            factories.account()
        assert once(fresh_database)[0] == 0
        assert (signed(), all_signed()) == (4, True)
        use(older)
        for size in (1, 2):  # first with nothing to sign, then with something
            code, said = once(older)
            assert code == 1
            assert said == (
                f"CommandError: The log admin was signed up to size 4, and the database holds only {size}: it was"
                " restored from an older copy or its end was cut off. Nothing is signed until the newer database is"
                " back.\n"
            )
            assert signed() == 1
            factories.account()


def test_a_mistake_in_the_list_of_anchors_stops_the_start_with_a_sentence(start: Start, tmp_path: Path) -> None:
    (tmp_path / "anchors.toml").write_text('[[anchor]]\nname = "a"\nkind = "ftp"\n')
    process = start(PLIMSOLL_ANCHORS=str(tmp_path / "anchors.toml"))
    assert process.wait(30) != 0
    said = (tmp_path / "sequencer-0.log").read_text().strip()
    assert said.endswith("Anchor 'a' needs a kind: one of file, webhook, witness, git.")
