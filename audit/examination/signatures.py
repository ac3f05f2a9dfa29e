"""Whether a stored checkpoint was signed by a key that is announced for its size, and is over this very log; and
whether the witnesses' lines under it are theirs.
"""

from collections.abc import Iterator, Sequence

from audit.findings import TAMPERED, Finding, Severity
from audit.models import Cosignature
from audit.note import NoteError, SignatureLine, Verifier, parse_checkpoint, parse_note
from audit.rotation import Range


class Signatures:
    """Examines checkpoints of one log. ``witnesses`` are the verifier keys of the configured ones."""

    def __init__(self, log: str, ranges: Sequence[Range], witnesses: Sequence[str]) -> None:
        self.area = f"{log}/tree"
        self._log = log
        known = [(Verifier.parse(each.verifier), each) for each in ranges]
        self._keys = {(verifier.name, verifier.key_id): (verifier, each) for verifier, each in known}
        self._witnesses = {
            (verifier.name, verifier.key_id): verifier for verifier in (Verifier.parse(each) for each in witnesses)
        }

    def look(self, size: int, root: bytes, note: str) -> Iterator[Finding]:
        """Examine the checkpoint stored for ``size``; ``root`` is the one the entries give."""
        try:
            text, lines = parse_note(note)
            stated = parse_checkpoint(text)
        except NoteError:
            yield self._broken("checkpoint-unreadable", f"The checkpoint of size {size} is no signed note.")
            return
        if stated.size != size:
            yield self._broken("checkpoint-differs", f"The checkpoint of size {size} states size {stated.size}.")
        if stated.root != root:
            sentence = f"The checkpoint of size {size} is over another root than the entries give."
            yield self._broken("checkpoint-differs", sentence)
        yield from self._signers(size, stated.origin, text, lines)
        if self._witnesses:
            yield from self._cosigners(size, text)

    def _signers(self, size: int, origin: str, text: str, lines: Sequence[SignatureLine]) -> Iterator[Finding]:
        signed = False
        for line in lines:
            verifier, announced = self._keys.get((line.name, line.key_id), (None, None))
            if verifier is None or announced is None:
                continue
            if not verifier.verifies(text, line.signature):
                sentence = f"The signature under the checkpoint of size {size} does not verify."
                yield self._broken("signature-invalid", sentence)
                return
            signed = signed or (announced.covers(size) and verifier.name == origin)
        if not signed:
            sentence = f"No key that is announced for size {size} has signed the checkpoint of that size."
            yield self._broken("signature-unknown", sentence)

    def _cosigners(self, size: int, text: str) -> Iterator[Finding]:
        for row in Cosignature.objects.filter(log=self._log, size=size):
            try:
                (line,) = parse_note(f"{text}\n{row.line}\n")[1]
            except (NoteError, ValueError):
                yield self._broken("cosignature-invalid", f"A cosignature at size {size} is no signature line.")
                continue
            witness = self._witnesses.get((line.name, line.key_id))
            if witness is not None and not witness.verifies(text, line.signature):
                yield self._broken(
                    "cosignature-invalid", f"The cosignature of {line.name} at size {size} is not its own."
                )

    def _broken(self, code: str, sentence: str) -> Finding:
        return Finding(Severity.BROKEN, self.area, code, sentence, TAMPERED)
