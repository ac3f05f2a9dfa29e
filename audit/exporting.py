"""Carrying out one export in a worker: take it, keep hold of it, make it, write down how it ended.

Its spool is locked while a worker writes there, so that one that was held up and one that took over from it never
write at the same time. The rows are ``audit/exports.py``; on whose behalf a worker acts is known to ``access``, which
hands it in at start.
"""

import fcntl
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.db import DatabaseError, close_old_connections, connection

from audit import exports
from audit.actors import Actor
from audit.clock import rfc3339
from audit.errors import Conflict, Denied, DomainError, Gone, Invalid, NotFound
from audit.export import Exported, build
from audit.models import Export
from audit.pseudonyms import actor_ref

log = logging.getLogger("plimsoll.exports")

ActorOf = Callable[[str, str, str], Actor]
_actor_of: list[ActorOf] = []
# Refusals that another attempt would only meet again.
_FINAL: Final = (Denied, Invalid, NotFound, Gone)


def install(actor_of: ActorOf) -> None:
    """Tell the workers on whose behalf they act: ``actor_of(account, auth, request_id)`` raises NotFound when the
    account is not there or not active any more. Called once.
    """
    _actor_of[:] = [actor_of]


def run(export_id: str) -> None:
    """Make the export if it is to be had; never raises for what goes wrong inside it."""
    with own_connections():
        export = exports.claim(export_id)
        if export is None:
            log.info("export is gone, done, or in other hands", extra={"export": export_id})
            return
        try:
            _carry_out(export)
        except exports.LeaseLostError:
            log.warning("export was taken over by another worker", extra={"export": export_id})


@contextmanager
def own_connections() -> Iterator[None]:
    """A task begins and ends without a connection that went stale while the worker was idle. Within somebody else's
    transaction (a task that is called directly) the connection is theirs and stays.
    """
    theirs = connection.in_atomic_block
    if not theirs:
        close_old_connections()
    try:
        yield
    finally:
        if not theirs:
            close_old_connections()


def _carry_out(export: Export) -> None:
    facts = {"export": str(export.pk), "attempt": export.attempts}
    try:
        if export.attempts > exports.MOST_ATTEMPTS:
            _give_up(export, f"The worker was lost {exports.MOST_ATTEMPTS} times while it made this export.")
            return
        with _kept(export):
            made = _make(export)
        log.info("export is done", extra={**facts, "entries": made.entries})
    except exports.LeaseLostError:
        raise
    except DomainError as error:
        _ended_badly(export, error.sentence, final=isinstance(error, _FINAL))
    except Exception as error:
        # Whatever an export dies of, its row must say so; the log has the rest.
        log.exception("export failed", extra=facts)
        _ended_badly(export, f"The export ended with an unexpected error ({type(error).__name__}).", final=False)


def _make(export: Export) -> Exported:
    by = _actor(export)
    file, folder = exports.file_of(export), exports.folder_of(export)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone_in(folder):
        part = folder / "bundle.part"
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as out:
            made = build(
                exports.asked_of(export),
                export.size,
                folder,
                out,
                exporter=actor_ref(by),
                made_at=rfc3339(export.asked_at),
                progress=lambda done, total: exports.progressed(export, done, total),
            )
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
        exports.finish(export, made, by)
        shutil.rmtree(folder, ignore_errors=True)
        return made


def _actor(export: Export) -> Actor:
    if not _actor_of:
        raise RuntimeError("Nobody told the workers whose they are: the access app is not ready.")
    return _actor_of[0](export.account, str(export.query.get("auth", "")), str(export.query.get("request_id", "")))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """The only worker in this folder; the lock goes with the process."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("Another worker is still at this export.", code="export_busy") from None
        yield


def _ended_badly(export: Export, sentence: str, *, final: bool) -> None:
    if final or export.attempts >= exports.MOST_ATTEMPTS:
        _give_up(export, sentence)
    else:
        exports.retry(export, sentence)


def _give_up(export: Export, sentence: str) -> None:
    exports.fail(export, sentence)
    exports.file_of(export).unlink(missing_ok=True)
    shutil.rmtree(exports.folder_of(export), ignore_errors=True)


@contextmanager
def _kept(export: Export) -> Iterator[None]:
    """Prolong the lease from a thread: a worker that dies is noticed within one lease, a long query is not."""
    done = threading.Event()
    thread = threading.Thread(target=_prolong, args=(export, done), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _prolong(export: Export, done: threading.Event) -> None:
    try:
        while not done.wait(exports.LEASE.total_seconds() / 3):
            if not exports.keep(export):
                log.warning("the lease is lost", extra={"export": str(export.pk)})
                return
    except DatabaseError:
        # The work goes on: if the lease runs out before it ends, the fence keeps its result from counting twice.
        log.exception("the lease could not be prolonged", extra={"export": str(export.pk)})
    finally:
        connection.close()  # this thread's own
