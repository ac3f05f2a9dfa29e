"""Each object's chain in the log of changes: numbered without a hole, each entry naming the one before it, and ending
where ``audit_head`` says it ends. Sorted by the database, read a batch at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from audit.examination.entry import inner, read
from audit.findings import TAMPERED, Finding, Severity

AREA: Final = "admin/objects"
_BATCH: Final = 2_000
_EVENTS: Final = (
    "SELECT e.object_type, e.object_id, e.object_n, e.leaf_hash, e.leaf_data, h.n, h.leaf_hash FROM audit_event e"
    " LEFT JOIN audit_head h ON h.object_type = e.object_type AND h.object_id = e.object_id WHERE e.log = 'admin'"
    " ORDER BY e.object_type, e.object_id, e.object_n"
)
_HEADS: Final = (
    "SELECT h.object_type, h.object_id, h.n FROM audit_head h WHERE NOT EXISTS (SELECT FROM audit_event e"
    " WHERE e.log = 'admin' AND e.object_type = h.object_type AND e.object_id = h.object_id) ORDER BY 1, 2"
)


@dataclass(frozen=True)
class _Link:
    """One entry in its object's chain, and where the chain ends according to ``audit_head``."""

    subject: tuple[str, str]
    n: int
    leaf_hash: bytes
    prev: str | None
    head: tuple[int | None, bytes | None]

    def __str__(self) -> str:
        return f"Entry {self.n} of {' '.join(self.subject)}"


class Chains:
    """Examines the chains of all objects; ``count`` is how many it has seen. ``pruned`` is whether entries of the log
    were dropped by retention, so that a chain may begin later.
    """

    def __init__(self, *, pruned: bool) -> None:
        self.count = 0
        self._pruned = pruned

    def examine(self) -> Iterator[Finding]:
        """Everything that is wrong with any chain."""
        last: _Link | None = None
        for link in _links():
            if last is None or last.subject != link.subject:
                self.count += 1
                yield from self._end(last)
                if link.n != 1 and not self._pruned:
                    yield _broken("chain-gap", f"{link} is the first that is left; those before it are gone.")
                if link.n == 1 and link.prev is not None:
                    yield _broken("chain-broken", f"{link} is the first and names one before it.")
            else:
                yield from self._next(last, link)
            last = link
        yield from self._end(last)
        if not self._pruned:
            yield from self._lone_heads()

    def _next(self, last: _Link, link: _Link) -> Iterator[Finding]:
        if link.n == last.n:
            yield _broken("chain-doubled", f"{link} is there twice.")
        elif link.n != last.n + 1:
            yield _broken("chain-gap", f"{link} follows entry {last.n}: those between are gone.")
        elif link.prev != last.leaf_hash.hex():
            yield _broken("chain-broken", f"{link} does not name the one before it.")

    def _end(self, last: _Link | None) -> Iterator[Finding]:
        if last is None or last.head == (last.n, last.leaf_hash):
            return
        n = last.head[0]
        if n is None:
            yield _broken("head-missing", f"The end of the chain of {' '.join(last.subject)} is not kept.")
        elif n == last.n:
            yield _broken("head-differs", f"{last} is not the one that the end of the chain names.")
        else:
            yield _broken("head-differs", f"{last} is the last, and the chain is said to end with entry {n}.")

    def _lone_heads(self) -> Iterator[Finding]:
        for kind, name, n in _rows(_HEADS):
            yield _broken("chain-gone", f"The chain of {kind} {name} should have {n} entries and has none.")


def _links() -> Iterator[_Link]:
    for kind, name, n, leaf_hash, leaf_data, head_n, head_hash in _rows(_EVENTS):
        prev = inner(read(bytes(leaf_data)) or {}, "object").get("prev")
        head = (head_n, None if head_hash is None else bytes(head_hash))
        yield _Link((kind, name), n, bytes(leaf_hash), prev, head)


def _rows(query: str) -> Iterator[Any]:
    """The rows of a query that may be long; needs an open transaction."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(query)
        while batch := cursor.fetchmany(_BATCH):
            yield from batch


def _broken(code: str, sentence: str) -> Finding:
    return Finding(Severity.BROKEN, AREA, code, sentence, TAMPERED)
