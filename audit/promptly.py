"""Sequencing by the writers themselves, on commit, while no sequencer process is there.

A small installation then needs no daemon for its log to be in order, and when the process is down nothing waits but the
signature: signing stays with the process that holds the key. Whether one is there is asked once a second, by its lock.
"""

import logging
import time

from django.conf import settings
from django.db import Error, connection, transaction

from audit import presence, sequencer

log = logging.getLogger("plimsoll.sequencer")

ALIAS = "sequencer"  # the database role that may; the runtime role may not
LOOK_EVERY = 1.0
_looked_at: float = 0.0
_was_there = False


def after_commit(log_name: str) -> None:
    """Have the log sequenced when the present transaction has committed, unless the process is there to do it."""
    if settings.PLIMSOLL_SEQUENCE_ON_COMMIT:
        transaction.on_commit(lambda: _sequence(log_name))


def forget() -> None:
    """Look again at the next occasion whether the process is there."""
    global _looked_at
    _looked_at = 0.0


def _sequence(log_name: str) -> None:
    """One step. What was written is committed: a failure here is logged, and the next writer or the process does it."""
    try:
        if not _process_is_there():
            sequencer.step(log_name, using=ALIAS, wait=True)
    except Error:
        log.warning("sequencing on commit failed; the events wait", exc_info=True)


def _process_is_there() -> bool:
    global _looked_at, _was_there
    now = time.monotonic()
    if now - _looked_at >= LOOK_EVERY:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock_shared(%s, %s)", [*presence.LOCK])
            _was_there = not cursor.fetchone()[0]
        _looked_at = now
    return _was_there
