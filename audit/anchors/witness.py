"""A witness in the C2SP tlog-witness protocol: it cosigns a checkpoint once it has seen that the log only grew.

The newest size a witness holds is learnt by submitting, with an old size of zero when nothing is known, as the protocol
has it: it then says its own. A witness that holds a larger size, or does not accept a proof that we have checked
ourselves, has seen another history of this log.
"""

import base64
from dataclasses import dataclass, field

from audit.anchors import http
from audit.anchors.base import AnchorError, Head, OtherHistory, Receipt, Statement, printable
from audit.note import NoteError, Verifier, cosignatures

_SIZE_TYPE = "text/x.tlog.size"
_MEANING = {
    400: "did not understand the request",
    403: "trusts none of the keys that signed this checkpoint",
    404: "does not know this log's origin",
}


class _HoldsMore(OtherHistory):
    """The witness holds a larger size than it was told of."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The witness holds size {size}.")
        self.size = size


@dataclass
class WitnessAnchor:
    """Submits to ``url`` + ``/add-checkpoint``; only lines by ``verifier`` count as cosignatures."""

    name: str
    logs: tuple[str, ...]
    min_interval: float
    url: str
    verifier: str
    kind: str = "witness"
    _known: dict[str, int] = field(default_factory=dict, repr=False)  # what it held when it last answered, by log

    def head(self, newest: Statement) -> Head | None:
        """What it holds. Unless that is more than ``newest``, it is given the proof in asking: by cosigning, it says
        that its history is ours.
        """
        try:
            self._cosigned(newest)
        except _HoldsMore as more:
            return Head(more.size, None)
        return Head(newest.size, newest.root)

    def submit(self, statement: Statement) -> Receipt:
        lines = self._cosigned(statement)
        return Receipt("\n".join(lines), lines)

    def _cosigned(self, statement: Statement) -> tuple[str, ...]:
        """The witness's lines under a statement; raises as ``submit`` does."""
        known = self._known.get(statement.log, 0)
        old = known if known <= statement.size else 0
        answer = self._post(statement, old)
        held = self._held(answer)
        if held is not None and held != old:
            if held > statement.size:
                raise _HoldsMore(held)
            old, answer = held, self._post(statement, held)
            held = self._held(answer)
        if held == old or (answer.status == 422 and old > 0):  # 409 until version 1.0 of the protocol, 422 from 1.1 on
            raise OtherHistory(f"The witness holds other entries up to size {old}.")
        if held is not None:
            raise AnchorError("The witness was told of another size at the same moment.")
        lines = self._verified(statement, answer)
        self._known[statement.log] = statement.size
        return lines

    def _held(self, answer: http.Answer) -> int | None:
        """The size that a 409 tells; None for another answer than 409."""
        if answer.status != 409:
            return None
        size = answer.text.removesuffix("\n")
        if answer.media_type != _SIZE_TYPE or not (size.isascii() and size.isdecimal() and len(size) <= 19):
            raise AnchorError("The witness answered 409 without the size it holds.")
        return int(size)

    def _post(self, statement: Statement, old: int) -> http.Answer:
        proof = statement.prove(old) if 0 < old < statement.size else []
        lines = [f"old {old}", *(base64.b64encode(node).decode("ascii") for node in proof), "", statement.note]
        return http.call("POST", f"{self.url}/add-checkpoint", body="\n".join(lines).encode())

    def _verified(self, statement: Statement, answer: http.Answer) -> tuple[str, ...]:
        if answer.status != 200:
            meaning = _MEANING.get(answer.status, "did not cosign")
            raise AnchorError(f"The witness {meaning} ({answer.status}): {printable(answer.text)}")
        text = statement.note[: statement.note.rindex("\n\n") + 1]
        try:
            lines = cosignatures(text, answer.body.decode("utf-8"), [Verifier.parse(self.verifier)])
        except (NoteError, UnicodeError):
            raise AnchorError("The witness answered with something else than signature lines.") from None
        if not lines:
            raise AnchorError("The witness's cosignature does not verify with the key it is configured with.")
        return tuple(lines)
