"""What the sequencer's process does, round after round: sequence, publish, tick, tell the anchors.

One round is short. Whatever may hang, which is everybody outside, runs in the background (``audit/anchoring.py``). A
log that must not be signed is sequenced on, and said so, until somebody acts.
"""

import logging
import time
from collections.abc import Sequence
from typing import Final

from django.db import connection

from audit import keys, publisher, sequencer, ticks
from audit.anchoring import Anchoring
from audit.anchors import Anchor
from audit.events import LOGS
from audit.keys import KeyFileError
from audit.publisher import SigningRefused

log = logging.getLogger("plimsoll.sequencer")

MONTHS_AHEAD: Final = 15
_DAY: Final = 86_400.0
_KEYS_EVERY: Final = 2.0
_EXAMINE_EVERY: Final = 300.0
_REFUSED_AGAIN: Final = 5.0
PATIENCE: Final = 5.0


class Rounds:
    """The state between rounds: keys in memory, what is refused, when the next tick and month are due."""

    def __init__(self, configured: Sequence[Anchor], patience: float = PATIENCE) -> None:
        self.signers = publisher.signing_keys()
        empty = {log_name: publisher.empty_note(log_name, self.signers[log_name]) for log_name in LOGS}
        self.anchoring = Anchoring(configured, empty)
        self.anchoring.start(patience)
        self._folder = keys.seen()
        self._hours = ticks.Hours()
        self._ticked: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._again: dict[str, float] = {}
        self._due = {"keys": time.monotonic() + _KEYS_EVERY, "months": 0.0, "examine": 0.0}

    def drain(self) -> None:
        """Sequence and sign everything that is pending, then end. Raises SigningRefused."""
        while any(sequencer.step(log_name) for log_name in LOGS):
            pass
        for log_name in LOGS:
            if conflict := self.anchoring.conflict(log_name):
                raise SigningRefused(conflict)
            if publisher.publish(log_name, self.signers[log_name]) is None:
                publisher.examine(log_name, self.signers[log_name])

    def turn(self) -> int:
        """One round; how many events it took in."""
        if self._is_due("months", _DAY):
            make_months()
        if self._is_due("keys", _KEYS_EVERY):
            self._look_at_keys()
        for log_name in self._hours.strike():
            self._ticked[log_name] = sequencer.head(log_name)[0]
        taken = sum([sequencer.step(log_name) for log_name in LOGS]) if sequencer.pending() else 0
        if self._is_due("examine", _EXAMINE_EVERY):
            for log_name in LOGS:
                self._examine(log_name)
        for log_name in publisher.unsigned():
            self._publish(log_name)
        for log_name in LOGS:
            if conflict := self.anchoring.conflict(log_name):
                self._refuse(log_name, conflict)
        return taken

    def verifiers(self) -> dict[str, list[str]]:
        """The public halves of the keys in use, by log."""
        return {log_name: [key.verifier for key in each] for log_name, each in self.signers.items()}

    def _is_due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due[what]:
            return False
        self._due[what] = now + seconds
        return True

    def _look_at_keys(self) -> None:
        """Take up keys that came or went. A key that cannot be used is said so and not used; the others sign on."""
        folder = keys.seen()
        if folder == self._folder:
            return
        self._folder = folder
        try:
            self.signers = publisher.signing_keys()
        except KeyFileError as error:
            log.critical("the signing keys changed and cannot be used: %s", error)
        else:
            log.info("the signing keys changed", extra={"logs": self.verifiers()})

    def _examine(self, log_name: str) -> None:
        """Look at a log also when there is nothing to sign: a restored one may be signed to its end."""
        try:
            publisher.examine(log_name, self.signers[log_name])
        except (SigningRefused, KeyFileError) as error:
            self._refuse(log_name, str(error))
        else:
            if not self.anchoring.conflict(log_name):
                self._accept(log_name)

    def _publish(self, log_name: str) -> None:
        if time.monotonic() < self._again.get(log_name, 0.0):
            return
        conflict = self.anchoring.conflict(log_name)
        if conflict:
            self._refuse(log_name, conflict)
            return
        try:
            size = publisher.publish(log_name, self.signers[log_name])
        except (SigningRefused, KeyFileError) as error:
            self._refuse(log_name, str(error))
            return
        self._accept(log_name)
        if size is not None:
            flush = size > self._ticked.get(log_name, size)
            if flush:
                del self._ticked[log_name]
            self.anchoring.offer(log_name, size, flush=flush)

    def _refuse(self, log_name: str, sentence: str) -> None:
        self._again[log_name] = time.monotonic() + _REFUSED_AGAIN
        if self._refused.get(log_name) != sentence:
            log.critical("signing refused: %s", sentence, extra={"log": log_name})
            self._refused[log_name] = sentence
            self.anchoring.refused(log_name, sentence)

    def _accept(self, log_name: str) -> None:
        self._again.pop(log_name, None)
        if self._refused.pop(log_name, ""):
            log.warning("the log is signed again", extra={"log": log_name})
            self.anchoring.refused(log_name, "")


def make_months() -> None:
    """Have the partitions of the coming months ready before somebody writes into them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_make_months(current_date, %s)", [MONTHS_AHEAD])
