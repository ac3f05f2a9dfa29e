"""The chain of events of one object: each counts one more than the one before it and names it by its leaf hash.

Pure, and of use without the service: what a log's reader may rely on, in the order of the log. Reading and writing rows
belong elsewhere; `audit/verify.py` repeats the rule because it must run alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

HASH_SIZE = 32


@dataclass(frozen=True)
class Link:
    """The place of one event in its object's chain.

    `n` counts from 1; `prev` is the leaf hash in hex of the event before it, None for the first. `leaf` is the event's
    own leaf hash: empty until its leaf, which holds `n` and `prev`, is written.
    """

    n: int
    prev: str | None
    leaf: bytes = b""

    def sealed(self, leaf: bytes) -> Self:
        """The same place, with the hash of the leaf that took it."""
        if len(leaf) != HASH_SIZE:
            raise ValueError(f"A leaf hash is {HASH_SIZE} bytes long, not {len(leaf)}.")
        return replace(self, leaf=leaf)


@dataclass(frozen=True)
class Fault:
    """Where a chain breaks: the position of the first bad link among those given, and what is wrong with it."""

    position: int
    reason: str


def next_link(last: Link | None) -> Link:
    """The place that the next event of an object takes; `last` is its newest one, None when it has none yet."""
    if last is None:
        return Link(n=1, prev=None)
    if len(last.leaf) != HASH_SIZE:
        raise ValueError("The event before has no leaf hash yet, so none can follow it.")
    return Link(n=last.n + 1, prev=last.leaf.hex())


def check(links: Iterable[Link], *, after: Link | None = None, from_first: bool = True) -> Fault | None:
    """The first fault in the chain of one object, links in the order of the log; None when there is none.

    `after` is the link just before the first one given. Without it the chain must begin with event 1, unless
    `from_first` is False: then earlier events may lie outside, and the first link is taken as it is.
    """
    last = after
    for position, link in enumerate(links):
        anywhere = last is None and not from_first and link.n > 1
        reason = "" if anywhere else _difference(link, next_link(last))
        if reason or len(link.leaf) != HASH_SIZE:
            return Fault(position, reason or f"Event {link.n} has no leaf hash.")
        last = link
    return None


def _difference(found: Link, due: Link) -> str:
    if found.n > due.n:
        return f"Event {due.n} is missing: event {found.n} comes in its place."
    if found.n < due.n:
        return f"Event {found.n} stands where event {due.n} belongs."
    if found.prev != due.prev:
        return f"Event {found.n} does not name the event before it."
    return ""
