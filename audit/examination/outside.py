"""What is held of a log outside its database: the mark beside each signing key, and what the anchors say they hold.

Asked before the database is read, so that a log that grows meanwhile is never behind it.
"""

from collections.abc import Iterator
from typing import Final

from audit import anchoring, anchors, highwater, rotation, sequencer, standing
from audit.anchors import AnchorError, OtherHistory
from audit.examination.tree import Claim
from audit.findings import TAMPERED, Finding, Severity
from audit.keys import KeyFileError
from audit.models import AnchorReceipt, Checkpoint, LogKey
from audit.note import NoteError

_CANNOT: Final = "Run the doctor under the account of the sequencer, where the signing keys are."


class Outside:
    """Asks for one log. Afterwards ``claims`` is what the tree has to agree with."""

    def __init__(self, log: str) -> None:
        self.area = f"{log}/outside"
        self.claims: list[Claim] = []
        self.heard = 0
        self._log = log

    def ask(self) -> Iterator[Finding]:
        """Ask everybody, and say who could not be asked."""
        yield from self._marks()
        for anchor in anchors.configured():
            if self._log in anchor.logs:
                yield from self._anchor(anchor)
        yield from self._standing()

    def _marks(self) -> Iterator[Finding]:
        """The mark beside each key, which says what that key signed last; also of keys that the database forgot."""
        try:
            marks = highwater.of_origin(sequencer.origin(self._log))
        except KeyFileError:
            marks = {}
        for key_id, mark in marks.items():
            if mark.size:
                self.heard += 1
                self.claims.append(Claim(mark.size, mark.root, f"The mark beside the key {key_id}", "mark"))
        signed = Checkpoint.objects.filter(log=self._log).exists()
        for each in (found for found in rotation.ranges(self._log) if signed and found.to_size is None):
            if each.key_id not in marks:
                sentence = f"What the key {each.key_id} signed last is not to be seen from here."
                yield Finding(Severity.NOTE, self.area, "mark-not-seen", sentence, _CANNOT)

    def _anchor(self, anchor: anchors.Anchor) -> Iterator[Finding]:
        who = f"The anchor {anchor.name} ({anchor.kind})"
        try:
            newest = anchoring.statement(self._log, "")
            head = anchor.head(newest) if newest is not None else None
        except OtherHistory as error:
            yield Finding(
                Severity.BROKEN, self.area, "anchor-differs", f"{who} holds another history. {error}", TAMPERED
            )
            return
        except (AnchorError, NoteError) as error:
            yield Finding(Severity.OPEN, self.area, "anchor-silent", f"{who} could not be asked. {error}")
            return
        if head is not None and head.size:
            self.heard += 1
            self.claims.append(Claim(head.size, head.root, who, "anchor"))
        receipts = AnchorReceipt.objects.filter(log=self._log, anchor=anchor.name, kind=anchor.kind)
        confirmed = receipts.order_by("-size").values_list("size", flat=True).first() or 0
        if newest is not None and confirmed > (head.size if head is not None else 0):
            sentence = f"A receipt says that the anchor {anchor.name} holds size {confirmed}, and it holds less."
            yield Finding(Severity.OPEN, self.area, "anchor-forgot", sentence, TAMPERED)

    def _standing(self) -> Iterator[Finding]:
        """Whether the log is signed and confirmed up to now."""
        if not LogKey.objects.filter(log=self._log).exists():
            yield self._open("unsigned", "No key signs this log yet.", "Start the sequencer.")
            return
        try:
            now = standing.standing(self._log)
        except NoteError:
            return  # the newest checkpoint is no note; the tree's examination says so
        if now.refusal:
            yield self._open("signing-refused", now.refusal, "")
        elif now.overdue:
            sentence = f"Nothing was signed for {now.unsigned_for_seconds:.0f} seconds, and something waits for it."
            yield self._open("unsigned", sentence, "See that the sequencer runs, and what it logs.")
        for trouble in now.troubles:
            yield self._open("anchor-trouble", f"The anchor {trouble.anchor}: {trouble.sentence}", "")
        if not now.witnessed:
            sentence = f"UNWITNESSED: nobody outside has confirmed the log {self._log}."
            yield self._open("unwitnessed", sentence, "Configure an anchor: PLIMSOLL_ANCHORS in docs/operations.md.")

    def _open(self, code: str, sentence: str, advice: str) -> Finding:
        return Finding(Severity.OPEN, self.area, code, sentence, advice)
