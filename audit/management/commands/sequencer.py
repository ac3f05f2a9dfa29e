"""``manage.py sequencer``: the process that builds and signs the log. It alone reads the signing keys."""

import logging
import signal
import threading
import time
from types import FrameType
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, ProgrammingError, connection

from audit import anchors, doctor
from audit.keys import KeyFileError
from audit.presence import Presence
from audit.publisher import SigningRefused
from audit.rounds import Rounds
from audit.sequencer import BATCH

log = logging.getLogger("plimsoll.sequencer")

TURN_SECONDS: Final = 0.1
# While writers keep it busy: a round has its price whatever it takes in, and the writers need the processors too.
BUSY_SECONDS: Final = 0.2
_PRESENCE_EVERY: Final = 1.0


class Command(BaseCommand):
    """Run until told to stop; with ``--once``, until nothing is pending."""

    help = "Give committed events their place in the log and sign its head."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="drain what is pending, sign, and end")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            configured = anchors.configured()
            if options["once"]:
                self._once(configured)
            else:
                _Service(configured).run()
        except (KeyFileError, SigningRefused, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from None

    def _once(self, configured: tuple[anchors.Anchor, ...]) -> None:
        presence = Presence()
        if not presence.held():
            raise CommandError("Another sequencer is at work; it does this already.")
        try:
            rounds = Rounds(configured)
            rounds.drain()
            rounds.anchoring.stop()
        finally:
            presence.leave()


class _Service:
    """The process: one that waits while another is at work, and goes on when the database was away."""

    def __init__(self, configured: tuple[anchors.Anchor, ...]) -> None:
        self._configured = configured
        self._stop = threading.Event()
        self._presence = Presence()
        self._rounds: Rounds | None = None
        self._looked = 0.0
        self._standing_by = False

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                taken = self._turn() if self._is_ours() else 0
            except (OperationalError, InterfaceError):
                log.warning("the database does not answer; trying again", exc_info=True)
                self._presence.leave()
                connection.close()
                taken = 0
                self._looked = 0.0
                self._stop.wait(1)
            if taken < BATCH:  # with a whole batch taken, more is waiting
                self._stop.wait(max(0.0, began + (BUSY_SECONDS if taken else TURN_SECONDS) - time.monotonic()))
        if self._rounds is not None:
            self._rounds.anchoring.stop()
        self._presence.leave()

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _is_ours(self) -> bool:
        """Whether this process is the one at work; looked at once a second."""
        if time.monotonic() - self._looked < _PRESENCE_EVERY:
            return True
        if self._presence.held():
            self._looked = time.monotonic()
            self._standing_by = False
            return True
        if not self._standing_by:
            log.info("another sequencer is at work; standing by")
            self._standing_by = True
        return False

    def _turn(self) -> int:
        if self._rounds is None:
            self._rounds = Rounds(self._configured)
            log.info("the sequencer runs", extra={"logs": self._rounds.verifiers()})
            _say_alarms()
        return self._rounds.turn()


def _say_alarms() -> None:
    """What is wrong with the protection is said, and no reason to stop: writers would wait in vain."""
    try:
        for alarm in doctor.alarms():
            log.critical("the protection of the trail is not what it should be: %s", alarm)
    except ProgrammingError:
        log.critical("the protection of the trail cannot be examined", exc_info=True)
