"""Two workers at once, and one that is killed: a request is executed once, and to its end. These tests commit."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import close_old_connections, connection

from erasure.actions import closing, discovery, execution
from erasure.models import ErasureTask, ModelObligation
from erasure.states import State
from registry import storage
from registry.models import DataSet
from tests import erasure_cases as cases
from tests import evidence_cases
from tests.erasure_cases import MAIL

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    from web.celery import app

    app.set_current()
    monkeypatch.setattr(app, "send_task", lambda *args, **options: None)


def test_two_workers_at_once_execute_once(fresh_database: str) -> None:
    old = cases.people(evidence_cases.scientist())
    request = cases.approved(cases.officer(), cases.officer())
    start = threading.Barrier(3)

    def work() -> None:
        close_old_connections()
        start.wait()
        execution.run(request.pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    request = cases.fresh(request)
    assert (request.state, request.problem, request.fence) == (State.AWAITING_SIGNOFF, "", 2)
    assert old.children.count() == 1
    assert ErasureTask.objects.get().state == "done"


def test_filing_at_once_makes_one_request(fresh_database: str) -> None:
    officers = [cases.officer(), cases.officer()]
    start, made = threading.Barrier(2), []

    def work(number: int) -> None:
        close_old_connections()
        start.wait()
        made.append(cases.file(officers[number]).pk)
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert made[0] == made[1]


def test_a_key_is_shredded_when_the_sign_off_commits(fresh_database: str) -> None:
    from erasure import sealing

    cases.people(evidence_cases.scientist())
    one, other = cases.officer(), cases.officer()
    request = cases.executed(one, other)
    assert list(sealing.folder().iterdir()) != []
    closing.sign_off(by=other, request=request)
    assert list(sealing.folder().iterdir()) == []


@pytest.mark.parametrize("moment", ["settled", "committed"])
def test_a_killed_worker_leaves_nothing_that_the_next_one_cannot_finish(
    fresh_database: str, settings: Any, moment: str
) -> None:
    old = cases.people(evidence_cases.scientist())
    request = cases.approved(cases.officer(), cases.officer())
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(request.pk), fresh_database, moment],
        cwd=ROOT,
        env={
            **os.environ,
            "PLIMSOLL_DATA": str(settings.PLIMSOLL_DATA),
            "PLIMSOLL_KEYS": str(settings.PLIMSOLL_KEYS),
            "PLIMSOLL_LOG_LEVEL": "WARNING",
        },
    )
    assert child.wait(timeout=120) == -signal.SIGKILL
    old.refresh_from_db()
    assert (old.state == "erased") == (moment == "committed")
    execution.run(request.pk)  # the dead worker's lease still holds
    assert cases.fresh(request).state == State.EXECUTING
    _lapse(request)
    execution.run(request.pk)
    request = cases.fresh(request)
    assert (request.state, request.problem) == (State.AWAITING_SIGNOFF, "")
    new = old.children.get()
    assert MAIL not in cases.mails_in(new)
    contents = [path for path in storage.place("data-sets/x").parent.rglob("*") if path.is_file()]
    assert contents == [storage.existing(new.path)]
    assert ModelObligation.objects.count() == 0
    assert DataSet.objects.count() == 2


# A worker that the kernel kills: once its new content lies in the store, or once the swap is committed.
_KILLED = """
import os, signal, sys
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "web.settings"
django.setup()
from django.db import connections
connections["default"].settings_dict["NAME"] = sys.argv[2]
from erasure.actions import execution, replacing
from registry import storage

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[3] == "settled":
    settle = storage.settle
    storage.settle = lambda *args: (settle(*args), die())
else:
    replacing.delete_leftovers = die
execution.run(sys.argv[1])
"""


def _lapse(request: Any) -> None:
    from datetime import timedelta

    from audit import door
    from audit.clock import now
    from erasure.models import ErasureRequest

    with door.guard.allow("test"):
        ErasureRequest.objects.filter(pk=request.pk).update(leased_until=now() - timedelta(seconds=1))


def test_searching_at_once_makes_one_plan(fresh_database: str) -> None:
    cases.people(evidence_cases.scientist())
    request = cases.file(cases.officer())
    start = threading.Barrier(2)

    def work() -> None:
        close_old_connections()
        start.wait()
        discovery.run(request.pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cases.fresh(request).state == State.PLAN_READY
    assert cases.fresh(request).fence == 1
