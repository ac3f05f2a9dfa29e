"""Some entries side by side: what the stages of an export hand on to each other, instead of one object per entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STEP: Final = 1024
HASH, EVENT = 32, 16  # bytes of a leaf hash and of an event's id


@dataclass(frozen=True)
class Step:
    """Some entries in rising order of ``indices``, with their leaf hashes and event ids side by side, as sequenced.

    ``lines`` holds the leaves, each with a newline behind it. ``gone`` are the positions (0 for the first entry of the
    step) whose event is not there any more and that have no line; ``changed`` those whose leaf has another hash now.
    """

    indices: Sequence[int]
    hashes: bytes
    events: bytes
    lines: bytes
    gone: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()

    def event_ids(self) -> list[bytes]:
        return [self.events[at : at + EVENT] for at in range(0, len(self.events), EVENT)]
