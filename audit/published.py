"""What of a log the world may see: everything that its newest signed checkpoint covers, and nothing beyond it.

Signed checkpoints with what witnesses put under them, and proofs that end in one. The tree's own arithmetic is
``audit/merkle.py``, where its hashes are stored is ``audit/tiles.py``.
"""

import base64
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit import merkle, tiles
from audit.errors import Invalid, NotFound, Unavailable
from audit.events import LOGS
from audit.models import Checkpoint, Cosignature
from audit.note import parse_checkpoint, parse_note

PROOF_FORMAT: Final = "c2sp.org/tlog-proof@v1"
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Signed:
    """A signed size of a log: its checkpoint as published, cosignature lines included."""

    log: str
    size: int
    root: bytes
    note: str
    made_at: datetime


def known(log: str) -> str:
    """The name of a log that there is. Raises NotFound for another."""
    if log not in LOGS:
        raise NotFound(f"There is no log of this name; the logs are {' and '.join(LOGS)}.")
    return log


def number(text: str, what: str) -> int:
    """A decimal number as the formats write it. Raises Invalid for signs, leading zeros, foreign or too many digits."""
    if _NUMBER.fullmatch(text) is None:
        raise Invalid(f"{what} is a decimal number without sign or leading zeros.", code="bad_number")
    return int(text)


def newest(log: str) -> Signed:
    """The newest signed checkpoint. Raises Unavailable while nothing is signed."""
    row = Checkpoint.objects.filter(log=known(log)).order_by("-size").first()
    if row is None:
        raise Unavailable("Nothing of this log is signed yet; try again in a moment.", code="nothing_signed")
    return _signed(row)


def at(log: str, size: int) -> Signed:
    """The checkpoint of one size. Raises NotFound when that size was never signed."""
    row = Checkpoint.objects.filter(log=known(log), size=size).first()
    if row is None:
        raise NotFound(f"No checkpoint of this log was signed at {size:,} entries.", code="not_signed_at")
    return _signed(row)


def _signed(row: Checkpoint) -> Signed:
    lines = Cosignature.objects.filter(log=row.log, size=row.size).order_by("line").values_list("line", flat=True)
    present = row.note.splitlines()
    more = [line for line in (each.strip("\n") for each in lines) if line not in present]
    return Signed(
        log=row.log,
        size=row.size,
        root=parse_checkpoint(parse_note(row.note)[0]).root,
        note=row.note + "".join(f"{line}\n" for line in more),
        made_at=row.made_at,
    )


def proof_file(signed: Signed, index: int) -> str:
    """The ``.tlog-proof`` of one entry: proof and checkpoint in one text that can be verified alone.

    Raises NotFound for an entry that the checkpoint does not cover. A proof that does not verify is never given out.
    """
    if index >= signed.size:
        raise NotFound(f"The signed log ends before entry {index:,}: it has {signed.size:,} entries.")
    node = tiles.reader(signed.log, signed.size)
    path = tiles.proved(node, lambda at: merkle.inclusion_proof(index, signed.size, at))
    if not merkle.verify_inclusion(node(0, index), index, signed.size, path, signed.root):
        raise tiles.damaged(signed.log, f"the proof of entry {index} does not lead to the signed root")
    lines = [PROOF_FORMAT, f"index {index}", *map(_b64, path), "", signed.note]
    return "\n".join(lines)


def consistency(log: str, old: int, new: int) -> list[bytes]:
    """The proof that the first ``old`` entries are unchanged among the first ``new``.

    Raises Invalid for sizes that cannot be compared, or that are not covered by a signature.
    """
    signed = newest(log)
    if not 0 < old <= new:
        raise Invalid("A log is compared from a size of at least 1 to the same or a larger one.", code="bad_size")
    if new > signed.size:
        raise Invalid(f"The signed log has {signed.size:,} entries; there is no larger size yet.", code="bad_size")
    return tiles.consistency(log, old, new)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
