"""Exports that a worker makes: one worker at a time, resumed after a kill, for the account that asked, then gone."""

import io
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kombu import pools

from access import actions
from access.models import RoleGrant, User
from access.roles import Role
from audit import bundle, export, exporting, exports, guard, tasks
from audit.actors import SYSTEM, Actor
from audit.clock import now, rfc3339
from audit.errors import Conflict, Denied, Gone, Invalid, NotFound, TooMany
from audit.export import Asked
from audit.models import Event, Export
from audit.pseudonyms import actor_ref
from audit.queries import Filter
from tests import factories
from tests.audit import grown_log
from web.celery import app

ROOT = Path(__file__).resolve().parents[2]
ASKED = Asked(Filter(log="access"))


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """A broker in this process; gives the ids it was told of since the last look."""
    monkeypatch.setenv("CELERY_BROKER_URL", "memory://")
    monkeypatch.setitem(app.conf, "broker_transport_options", {})
    pools.reset()
    app._pool = app.amqp._producer_pool = None

    def told() -> list[str]:
        ids = []
        with app.connection() as link, link.SimpleQueue("celery") as queue:
            while queue.qsize():
                message = queue.get_nowait()
                ids.append(message.payload[0][0])
                message.ack()
        return ids

    told()
    yield told
    pools.reset()
    app._pool = app.amqp._producer_pool = None


@pytest.fixture
def data(tmp_path: Path, settings) -> Path:
    settings.PLIMSOLL_DATA = tmp_path / "data"
    return tmp_path / "data"


@pytest.fixture
def auditor(fresh_database: str, data: Path) -> Actor:
    grown_log.grow(grown_log.a_key(), 300)
    return factories.actor(Role.AUDITOR)


def fresh(row: Export) -> Export:
    return Export.objects.get(pk=row.pk)


def entries() -> list[Event]:
    return list(Event.objects.filter(action="trail.export", outcome="success"))


def test_from_asking_to_taking_away(auditor: Actor, broker: Callable[[], list[str]], data: Path) -> None:
    row = exports.ask(by=auditor, asked=ASKED)
    assert broker() == [str(row.pk)]
    assert (row.state, row.size, row.total, row.done) == ("queued", 300, None, 0)
    with pytest.raises(Conflict, match="still being made"):
        exports.opened(row)
    assert entries() == []
    tasks.export(str(row.pk))
    row = fresh(row)
    assert (row.state, row.total, row.done, row.attempts, row.error) == ("done", 300, 300, 1, "")
    with exports.opened(row) as file:
        content = file.read()
    assert (sha256(content).hexdigest(), len(content)) == (row.digest, row.bytes)
    assert exports.file_of(row).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (data / "exports").iterdir()) == [f"{row.pk}.zip"]
    (entry,) = entries()
    assert (entry.id, entry.log) == (row.event_id, "access")
    assert f'"sha256":"{row.digest}"'.encode() in bytes(entry.leaf_data)
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        assert files.read("events.ndjson").count(b"\n") == 300
    tasks.export(str(row.pk))
    assert len(entries()) == 1


def test_only_ones_own(auditor: Actor) -> None:
    row = exports.ask(by=auditor, asked=ASKED)
    other = factories.actor(Role.AUDITOR)
    assert exports.one(auditor, row.pk).pk == row.pk
    assert list(exports.of(other)) == []
    with pytest.raises(NotFound):
        exports.one(other, row.pk)


def test_what_cannot_be_asked_for(auditor: Actor, broker: Callable[[], list[str]]) -> None:
    with pytest.raises(Denied):
        exports.ask(by=factories.actor(Role.ADMINISTRATOR), asked=ASKED)
    with pytest.raises(Invalid):
        exports.ask(by=auditor, asked=Asked(Filter(log="access", action="nope")))
    with pytest.raises(Invalid):
        exports.ask(by=auditor, asked=Asked(Filter(log="access"), previous_size=5))
    for _ in range(exports.MOST_LIVE):
        exports.ask(by=auditor, asked=ASKED)
    broker()
    with pytest.raises(TooMany):
        exports.ask(by=auditor, asked=ASKED)
    assert broker() == []
    refused = Event.objects.filter(action="trail.export", outcome="denied", log="admin")
    assert refused.count() == 4


def test_what_was_asked_comes_back_as_it_was(auditor: Actor) -> None:
    asked = Asked(
        Filter(log="access", outcome="denied", since=now() - timedelta(days=3), text="ana"),
        previous_size=300, disclosures=False, views=("csv",), paths=None,
    )  # fmt: skip
    assert exports.asked_of(fresh(exports.ask(by=auditor, asked=asked))) == asked
    partial = Asked(Filter(), paths=frozenset({"actor/name"}))
    assert Asked.restored(partial.told()) == partial


def test_permission_is_asked_again_at_the_end(auditor: Actor, data: Path) -> None:
    row = exports.ask(by=auditor, asked=ASKED)
    grant = RoleGrant.objects.get(user_id=auditor.account, role=Role.AUDITOR.value)
    actions.revoke_role(by=SYSTEM, grant=grant)
    exporting.run(str(row.pk))
    row = fresh(row)
    assert (row.state, row.digest) == ("failed", None)
    assert "You may not export the trail" in row.error
    assert entries() == []
    assert list((data / "exports").iterdir()) == []
    with pytest.raises(Conflict, match="could not be made"):
        exports.opened(row)


def test_an_account_that_was_closed_gets_nothing(auditor: Actor) -> None:
    row = exports.ask(by=auditor, asked=ASKED)
    with guard.allow("test"):
        User.objects.filter(pk=auditor.account).update(is_active=False)
    exporting.run(str(row.pk))
    assert (fresh(row).state, fresh(row).error) == ("failed", "The account that asked for this is not there any more.")


def test_one_worker_at_a_time(auditor: Actor) -> None:
    row = exports.ask(by=auditor, asked=ASKED)
    first = exports.claim(row.pk)
    assert first is not None
    assert exports.claim(row.pk) is None
    Export.objects.filter(pk=row.pk).update(leased_until=now() - timedelta(seconds=1))
    second = exports.claim(row.pk)
    assert second is not None
    assert (second.fence, second.attempts) == (2, 2)
    assert not exports.keep(first)
    made = export.Exported(300, 300, "ab" * 32, 5, "range")
    for act in (
        lambda: exports.progressed(first, 10, 300),
        lambda: exports.finish(first, made, auditor),
        lambda: exports.fail(first, "no"),
        lambda: exports.retry(first, "no"),
    ):
        with pytest.raises(exports.LeaseLostError):
            act()
    assert (fresh(row).state, fresh(row).done, entries()) == ("running", 0, [])
    exports.finish(second, made, auditor)
    assert (fresh(row).state, len(entries())) == ("done", 1)


def test_two_workers_never_write_into_one_folder(auditor: Actor) -> None:
    row = exports.ask(by=auditor, asked=ASKED)
    folder = exports.folder_of(row)
    folder.mkdir(parents=True)
    with exporting._alone_in(folder):
        exporting.run(str(row.pk))
    assert (fresh(row).state, fresh(row).error) == ("queued", "Another worker is still at this export.")
    exporting.run(str(row.pk))
    assert fresh(row).state == "done"


def test_three_attempts_and_no_more(auditor: Actor, data: Path) -> None:
    row = exports.ask(by=auditor, asked=ASKED)
    (data / "exports").mkdir(parents=True)
    exports.folder_of(row).write_text("a file where the folder should be")
    for attempt in (1, 2, 3):
        exporting.run(str(row.pk))
        assert fresh(row).attempts == attempt
    assert fresh(row).state == "failed"
    assert "unexpected error (FileExistsError)" in fresh(row).error


def test_the_sweep_wakes_what_nobody_took(auditor: Actor, broker: Callable[[], list[str]]) -> None:
    row = exports.ask(by=auditor, asked=ASKED)
    broker()
    assert exports.sweep() == 0
    Export.objects.filter(pk=row.pk).update(asked_at=now() - timedelta(seconds=30))
    tasks.sweep()
    assert broker() == [str(row.pk)]
    assert exports.sweep() == 0
    exports.claim(row.pk)
    Export.objects.filter(pk=row.pk).update(leased_until=now() - timedelta(seconds=1))
    assert exports.sweep() == 1


def test_after_a_week_it_is_gone(auditor: Actor, data: Path) -> None:
    row = exports.ask(by=auditor, asked=ASKED)
    exporting.run(str(row.pk))
    assert exports.expire() == 0
    Export.objects.filter(pk=row.pk).update(finished_at=now() - timedelta(days=7, seconds=1))
    tasks.sweep()
    row = fresh(row)
    assert (row.state, row.query) == ("gone", {})
    assert list((data / "exports").iterdir()) == []
    with pytest.raises(Gone, match="kept for 7 days"):
        exports.opened(row)


WORKER = """
import sys, time
import django
django.setup()
from audit import exporting, exports
told = exports.progressed
def slowly(export, done, total):
    told(export, done, total)
    time.sleep(0.5)
exports.progressed = slowly
exporting.run(sys.argv[1])
"""


def test_another_worker_goes_on_where_a_killed_one_stood(fresh_database: str, data: Path, tmp_path: Path) -> None:
    size = 5 * bundle.PIECE + 100
    grown_log.grow(grown_log.a_key(), size)
    auditor = factories.actor(Role.AUDITOR)
    row = exports.ask(by=auditor, asked=ASKED)
    address = urlsplit(os.environ["PLIMSOLL_DB_APP"])._replace(path=f"/{fresh_database}").geturl()
    address = os.environ["PLIMSOLL_DB_APP"].replace("/plimsoll?", f"/{fresh_database}?") if "?" in address else address
    environ = {**os.environ, "PLIMSOLL_DB_APP": address, "PLIMSOLL_DATA": str(data), "PLIMSOLL_LOG_LEVEL": "ERROR"}
    environ["PLIMSOLL_KEYS"] = str(Path(os.environ["PLIMSOLL_DATA"]) / "keys")
    with subprocess.Popen([sys.executable, "-c", WORKER, str(row.pk)], cwd=ROOT, env=environ) as worker:
        deadline = time.monotonic() + 60
        while fresh(row).done < 2 * bundle.PIECE:
            assert worker.poll() is None, "the worker ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        worker.kill()
    stopped = fresh(row)
    assert (stopped.state, stopped.done < size) == ("running", True)
    assert exports.claim(row.pk) is None
    Export.objects.filter(pk=row.pk).update(leased_until=now() - timedelta(seconds=1))
    before = exports.folder_of(row) / "spool" / "state.json"
    assert f'"done": {bundle.PIECE}' in before.read_text() or f'"done": {2 * bundle.PIECE}' in before.read_text()
    exporting.run(str(row.pk))
    done = fresh(row)
    assert (done.state, done.done, done.fence, done.error) == ("done", size, 2, "")
    out = io.BytesIO()
    (tmp_path / "straight").mkdir()
    straight = export.build(
        ASKED, size, tmp_path / "straight", out, exporter=actor_ref(auditor), made_at=rfc3339(done.asked_at)
    )
    assert (done.digest, done.bytes) == (straight.digest, straight.bytes)
    assert exports.file_of(done).read_bytes() == out.getvalue()
