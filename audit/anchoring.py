"""Dealing with the anchors, in the background: ask what they hold, hand over what was signed, keep what they confirm.

Each anchor has a thread of its own, so that one that hangs delays neither the others nor a signature. What they said
last is in ``signing.json`` in the data folder, for the pages; what they confirmed is in the database. An anchor that
cannot be reached stops nothing; one that holds another history stops the signing (``conflict``).
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db import DatabaseError, connection

from audit import clock, merkle, noticeboard, publisher, tiles
from audit.anchors import Anchor, AnchorError, Head, OtherHistory, Receipt, Statement
from audit.errors import DomainError
from audit.models import AnchorReceipt, Checkpoint, Cosignature, LogKey
from audit.note import Verifier, parse_checkpoint, parse_note

log = logging.getLogger("plimsoll.sequencer")

ASK_EVERY: Final = 300.0
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 600.0
_ASK_AGAIN: Final = 60.0


@dataclass
class Dealing:
    """How one anchor stands with one log. Times are of the monotonic clock."""

    wanted: int = 0  # the newest size to hand over
    confirmed: int = 0
    submit_at: float = 0.0
    ask_at: float = 0.0
    failures: int = 0
    conflict: str = ""

    def is_waiting(self) -> bool:
        """Whether there is something to hand over."""
        return self.wanted > self.confirmed and not self.conflict


@dataclass
class _Worker:
    """One anchor and its thread."""

    anchor: Anchor
    board: noticeboard.Noticeboard
    empty: Mapping[str, str]  # signed notes over nothing, to ask with while a log has no checkpoint
    dealings: dict[str, Dealing]
    changed: threading.Condition = field(default_factory=threading.Condition)
    asked: threading.Event = field(default_factory=threading.Event)
    stopped: bool = False

    def run(self) -> None:
        while not self.stopped:
            for log_name in self.anchor.logs:
                self._deal(log_name)
            self.asked.set()
            connection.close()  # a thread that waits holds no connection
            with self.changed:
                pause = min(self._next(dealing) for dealing in self.dealings.values()) - time.monotonic()
                if pause > 0 and not self.stopped:
                    self.changed.wait(pause)

    def _next(self, dealing: Dealing) -> float:
        return min(dealing.ask_at, dealing.submit_at) if dealing.is_waiting() else dealing.ask_at

    def _deal(self, log_name: str) -> None:
        dealing = self.dealings[log_name]
        if time.monotonic() >= dealing.ask_at:
            dealing.ask_at = time.monotonic() + (
                ASK_EVERY if self._went_well(self._ask, log_name, dealing) else _ASK_AGAIN
            )
        if dealing.is_waiting() and time.monotonic() >= dealing.submit_at:
            went_well = self._went_well(self._submit, log_name, dealing)
            dealing.failures = 0 if went_well else dealing.failures + 1
            pause = min(_FIRST_PAUSE * 2 ** (dealing.failures - 1), _LONGEST_PAUSE)
            dealing.submit_at = time.monotonic() + (self.anchor.min_interval if went_well else pause)

    def _went_well(self, deal: Callable[[str, Dealing], None], log_name: str, dealing: Dealing) -> bool:
        """Whether asking or handing over succeeded; what went wrong is put on the board. A thread never ends by it."""
        try:
            deal(log_name, dealing)
        except AnchorError as error:
            sentence = str(error)
        except DatabaseError:
            connection.close()
            sentence = "The database did not answer while the anchor was being dealt with."
        except Exception:
            log.exception("an anchor failed in an unforeseen way", extra={"anchor": self.anchor.name})
            sentence = "It failed in a way that was not foreseen; the sequencer's log says more."
        else:
            if not dealing.conflict:
                self.board.answered(self.anchor.name, log_name)
            return True
        log.warning("anchor %s: %s", self.anchor.name, sentence, extra={"log": log_name})
        self.board.failed(self.anchor.name, log_name, sentence)
        return False

    # -- asking ------------------------------------------------------------------------------------------------------

    def _ask(self, log_name: str, dealing: Dealing) -> None:
        """Ask what the anchor holds; a conflict stands until a later answer takes it back."""
        newest = statement(log_name, self.empty.get(log_name, ""))
        if newest is None:
            return
        try:
            head = self.anchor.head(newest)
            detail = _difference(log_name, head)
        except OtherHistory as error:
            detail = str(error)
        dealing.conflict = self._sentence(log_name, detail) if detail else ""
        if dealing.conflict:
            self.board.failed(self.anchor.name, log_name, dealing.conflict)

    def _sentence(self, log_name: str, detail: str) -> str:
        return (
            f"The anchor {self.anchor.name} ({self.anchor.kind}) holds another history of the log {log_name}. {detail}"
            " Nothing is signed: the database was restored from an older copy, or changed. Bring the newest database"
            " back; what else can be done is in docs/operations.md under “After a restore”."
        )

    # -- handing over ------------------------------------------------------------------------------------------------

    def _submit(self, log_name: str, dealing: Dealing) -> None:
        newest = statement(log_name, "")
        if newest is None or newest.size <= dealing.confirmed:
            dealing.wanted = dealing.confirmed
            return
        try:
            receipt = self.anchor.submit(newest)
        except OtherHistory as error:
            self._ask(log_name, dealing)  # it says so again if it is so, and not if we were merely late
            if not dealing.conflict:
                raise AnchorError(str(error)) from None
            return
        self._keep(newest, receipt)
        dealing.confirmed = newest.size

    def _keep(self, newest: Statement, receipt: Receipt) -> None:
        AnchorReceipt.objects.bulk_create(
            [
                AnchorReceipt(
                    log=newest.log,
                    anchor=self.anchor.name,
                    kind=self.anchor.kind,
                    size=newest.size,
                    root=newest.root,
                    receipt=receipt.text,
                    made_at=clock.now(),
                )
            ],
            ignore_conflicts=True,
        )
        Cosignature.objects.bulk_create(
            [Cosignature(log=newest.log, size=newest.size, line=line) for line in receipt.lines], ignore_conflicts=True
        )


class Anchoring:
    """All anchors at work. ``empty`` holds, by log, a signed note over nothing."""

    def __init__(self, anchors: Sequence[Anchor], empty: Mapping[str, str]) -> None:
        self._board = noticeboard.Noticeboard()
        self._workers = [
            _Worker(anchor, self._board, empty, {log_name: Dealing() for log_name in anchor.logs}) for anchor in anchors
        ]

    def start(self, patience: float) -> None:
        """Start, and wait until every anchor was asked what it holds, but no longer than ``patience`` seconds."""
        for worker in self._workers:
            for log_name, dealing in worker.dealings.items():
                newest = statement(log_name, "")
                dealing.wanted = newest.size if newest else 0
                dealing.confirmed = _confirmed(worker.anchor, log_name)
            threading.Thread(target=worker.run, name=f"anchor {worker.anchor.name}", daemon=True).start()
        until = time.monotonic() + patience
        for worker in self._workers:
            if not worker.asked.wait(max(0.0, until - time.monotonic())):
                log.warning("the anchor %s has not answered yet; signing goes on without it", worker.anchor.name)

    def offer(self, log_name: str, size: int, *, flush: bool = False) -> None:
        """Size ``size`` was signed; with ``flush`` it is handed over without waiting for the interval."""
        for worker in self._workers:
            if log_name in worker.dealings:
                with worker.changed:
                    dealing = worker.dealings[log_name]
                    dealing.wanted = max(size, dealing.wanted)
                    if flush and not dealing.failures:
                        dealing.submit_at = 0.0
                    worker.changed.notify()

    def conflict(self, log_name: str) -> str:
        """The sentence of the first anchor that holds another history of the log; empty when none does."""
        dealings = [worker.dealings[log_name] for worker in self._workers if log_name in worker.dealings]
        return next((dealing.conflict for dealing in dealings if dealing.conflict), "")

    def refused(self, log_name: str, sentence: str) -> None:
        """Put up why a log is not signed; empty takes it down."""
        self._board.refused(log_name, sentence)

    def stop(self) -> None:
        """Tell the threads to end after what they are doing; nobody waits for them."""
        for worker in self._workers:
            with worker.changed:
                worker.stopped = True
                worker.changed.notify()


def statement(log_name: str, empty: str) -> Statement | None:
    """The newest checkpoint of a log, as it is told to anchors; the one over nothing, if given, when there is none."""
    newest = Checkpoint.objects.filter(log=log_name).order_by("-size").first()
    note = newest.note if newest else empty
    if not note:
        return None
    signed = parse_checkpoint(parse_note(note)[0])
    verifiers = tuple(Verifier.parse(row.verifier) for row in LogKey.objects.filter(log=log_name))

    def prove(old: int) -> list[bytes]:
        try:
            proof = tiles.consistency(log_name, old, signed.size)
            before = publisher.root_at(log_name, old)
        except (DomainError, merkle.MerkleError):
            proof, before = [], None
        if before is None or not merkle.verify_consistency(old, signed.size, before, signed.root, proof):
            raise AnchorError(f"From the stored tree it cannot be proven that size {signed.size} continues size {old}.")
        return proof

    return Statement(log_name, signed.origin, signed.size, signed.root, note, verifiers, prove)


def _difference(log_name: str, head: Head | None) -> str:
    """What an anchor holds that this database does not, as a sentence; empty when the two agree."""
    if head is None or head.size == 0:
        return ""
    # What an anchor holds was stored here before it was handed over: more than that, only a lost database has signed.
    newest = Checkpoint.objects.filter(log=log_name).order_by("-size").first()
    signed = newest.size if newest else 0
    if head.size > signed:
        return f"It holds size {head.size}, and in the database only {signed} entries are signed."
    if head.root is not None and publisher.root_at(log_name, head.size) != head.root:
        return f"It holds another root at size {head.size} than the database."
    return ""


def _confirmed(anchor: Anchor, log_name: str) -> int:
    newest = AnchorReceipt.objects.filter(log=log_name, anchor=anchor.name, kind=anchor.kind).order_by("-size").first()
    return newest.size if newest else 0
