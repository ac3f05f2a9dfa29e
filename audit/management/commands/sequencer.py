"""``manage.py sequencer``: the process that builds and signs the log. It alone reads the signing keys."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError, connection

from audit import sequencer

log = logging.getLogger("plimsoll.sequencer")

TICK_SECONDS = 0.1


class Command(BaseCommand):
    """Run until told to stop; with ``--once``, until nothing is pending."""

    help = "Give committed events their place in the log and sign its head."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="drain what is pending, sign, and end")

    def handle(self, *args: Any, **options: Any) -> None:
        signers = sequencer.signing_keys()
        if options["once"]:
            while sequencer.run_once(signers):
                pass
            return
        stop = threading.Event()

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, ask_to_stop)
        log.info("the sequencer runs", extra={"logs": {name: key.verifier for name, key in signers.items()}})
        sequencer.run_once(signers)
        while not stop.is_set():
            try:
                busy = sequencer.run_once(signers) if sequencer.pending() else 0
            except OperationalError:
                log.warning("the database does not answer; trying again", exc_info=True)
                connection.close()
                busy = 0
                stop.wait(1)
            if not busy:
                stop.wait(TICK_SECONDS)
