"""The tree, grown again from the leaf hashes: what is stored of it (sizes, tiles) and what was said of it (checkpoints,
receipts, marks outside) is compared with it, in one pass and in constant memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from audit import merkle
from audit.examination.entries import Place
from audit.examination.signatures import Signatures
from audit.findings import TAMPERED, Finding, Severity
from audit.merkle import HASH_SIZE, MemoryTree

WIDTH: Final = 256


@dataclass(frozen=True)
class Claim:
    """What somebody holds of a log: that at ``size`` its root is ``root`` (None for a size alone). ``who`` begins a
    sentence; ``kind`` begins the code of the finding when the log is shorter or another.
    """

    size: int
    root: bytes | None
    who: str
    kind: str


class GrowingTree:
    """The tree over the entries seen so far, beginning with those before ``start``, whose compact range is given."""

    def __init__(
        self, log: str, claims: Sequence[Claim], signatures: Signatures, start: int = 0, frontier: Sequence[bytes] = ()
    ) -> None:
        self.area = f"{log}/tree"
        self.size = start
        self.broken_at: int | None = None
        self.trees = self.checkpoints = 0
        self._log = log
        self._frontier = list(frontier)
        self._claims = [claim for claim in claims if claim.size > start]
        self._signatures = signatures
        self._tiles = None if start else _Tiles(log, self.area)

    def take(self, chunk: Sequence[Place]) -> Iterator[Finding]:
        """Grow by some entries, and examine everything that was said of the sizes in between."""
        if self.broken_at is not None:
            return
        for position, place in enumerate(chunk):
            if place.seq != self.size + position:
                self.broken_at = self.size + position
                sentence = f"Index {self.broken_at} is missing: the next one is {place.seq}."
                yield self._broken("index-gap", sentence)
                chunk = chunk[:position]
                break
        hashes = [place.leaf_hash for place in chunk]
        first, last = self.size, self.size + len(hashes)
        yield from self._sizes(hashes, first, last)
        if self._tiles is not None:
            yield from self._tiles.take(hashes)

    def finish(self) -> Iterator[Finding]:
        """What lies beyond the last entry."""
        if self.broken_at is not None:
            yield self._open("tree-not-examined", f"The tree beyond index {self.broken_at} could not be examined.")
            return
        newest = _one("SELECT max(size) FROM audit_tree WHERE log = %s", self._log) or 0
        if newest != self.size:
            sentence = f"There are {self.size} entries, and the newest tree is over {newest}."
            yield self._broken("tree-beyond" if newest > self.size else "tree-missing", sentence)
        for table, what in (("audit_checkpoint", "checkpoint"), ("audit_anchor_receipt", "receipt")):
            size = _one(f"SELECT max(size) FROM {table} WHERE log = %s", self._log) or 0  # noqa: S608 - our words
            if size > self.size:
                sentence = f"There is a {what} of size {size}, and only {self.size} entries are left."
                yield self._broken(f"{what}-beyond", sentence)
        for claim in self._claims:
            if claim.size > self.size:
                sentence = f"{claim.who} holds size {claim.size}, the database only {self.size}."
                yield self._broken(
                    f"{claim.kind}-ahead", f"{sentence} It was restored from an older copy, or its end was cut off."
                )
        if self._tiles is not None:
            yield from self._tiles.finish()

    # -- what was said of one size -----------------------------------------------------------------------------------

    def _sizes(self, hashes: Sequence[bytes], first: int, last: int) -> Iterator[Finding]:
        """Examine every size in (first, last]."""
        trees = {row[0]: row[1:] for row in self._between("size, root, frontier FROM audit_tree", first, last)}
        notes = dict(self._between("size, note FROM audit_checkpoint", first, last))
        receipts: dict[int, list[Any]] = {}
        for size, anchor, root in self._between("size, anchor, root FROM audit_anchor_receipt", first, last):
            receipts.setdefault(size, []).append((anchor, bytes(root)))
        claims = [claim for claim in self._claims if first < claim.size <= last]
        for size in sorted({*trees, *notes, *receipts, *(claim.size for claim in claims), last}):
            self._frontier = merkle.extend(self._frontier, self.size, hashes[self.size - first : size - first])
            self.size = size
            root = merkle.root_of(self._frontier, size)
            if size in trees:
                yield from self._tree(size, root, *trees[size])
            if size in notes:
                self.checkpoints += 1
                yield from self._signatures.look(size, root, notes[size])
                if size not in trees:
                    yield self._broken("tree-missing", f"A checkpoint of size {size} stands over no stored tree.")
            for anchor, stated in receipts.get(size, ()):
                if stated != root:
                    sentence = f"The receipt of the anchor {anchor} at size {size} is over another root."
                    yield self._broken("receipt-differs", sentence)
            for claim in claims:
                if claim.size == size and claim.root not in (None, root):
                    sentence = f"{claim.who} holds another root at size {size}: this is another history."
                    yield self._broken(f"{claim.kind}-differs", sentence)

    def _tree(self, size: int, root: bytes, stored: bytes, frontier: Sequence[bytes]) -> Iterator[Finding]:
        self.trees += 1
        if bytes(stored) != root:
            sentence = f"The root stored for size {size} is not the one the entries give."
            yield self._broken("root-differs", sentence)
        elif [bytes(part) for part in frontier] != self._frontier:
            yield self._broken("frontier-differs", f"The compact range stored for size {size} is not the tree's.")

    def _between(self, what: str, first: int, last: int) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {what} WHERE log = %s AND size > %s AND size <= %s ORDER BY size", [self._log, first, last]
            )
            return list(cursor.fetchall())

    def _broken(self, code: str, sentence: str) -> Finding:
        return Finding(Severity.BROKEN, self.area, code, sentence, TAMPERED)

    def _open(self, code: str, sentence: str) -> Finding:
        return Finding(Severity.OPEN, self.area, code, sentence)


class _Tiles:
    """The full tiles, made again from the leaf hashes, against the stored ones."""

    def __init__(self, log: str, area: str) -> None:
        self._log = log
        self._area = area
        self._levels: list[list[bytes]] = [[]]  # the hashes of each level's tile that is not full yet
        self._counts: list[int] = [0]

    def take(self, hashes: Sequence[bytes]) -> Iterator[Finding]:
        made: dict[tuple[int, int], bytes] = {}
        for leaf in hashes:
            self._push(0, leaf, made)
        if made:
            yield from self._compare(made)

    def _push(self, level: int, node: bytes, made: dict[tuple[int, int], bytes]) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._counts.append(0)
        tile = self._levels[level]
        tile.append(node)
        if len(tile) == WIDTH:
            made[level, self._counts[level]] = b"".join(tile)
            self._counts[level] += 1
            self._levels[level] = []
            self._push(level + 1, MemoryTree(tile).node(8, 0), made)

    def _compare(self, made: dict[tuple[int, int], bytes]) -> Iterator[Finding]:
        levels, indices = zip(*made, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT t.level, t.idx, t.hashes FROM unnest(%s::integer[], %s::bigint[]) AS wanted (level, idx)"
                " JOIN audit_tile t ON t.log = %s AND t.level = wanted.level AND t.idx = wanted.idx",
                [list(levels), list(indices), self._log],
            )
            stored = {(level, index): bytes(hashes) for level, index, hashes in cursor.fetchall()}
        for (level, index), hashes in made.items():
            found = stored.get((level, index))
            if found is None:
                yield self._broken("tile-missing", f"The tile {level}/{index} is missing.")
            elif found != hashes:
                places = (at for at in range(0, len(hashes), HASH_SIZE) if found[at : at + 32] != hashes[at : at + 32])
                sentence = (
                    f"The tile {level}/{index} differs from the tree, first in hash {next(places, 0) // HASH_SIZE}."
                )
                yield self._broken("tile-changed", sentence)

    def finish(self) -> Iterator[Finding]:
        made = sum(self._counts)
        stored = _one("SELECT count(*) FROM audit_tile WHERE log = %s", self._log)
        if stored > made:
            yield self._broken("tile-beyond", f"{stored} tiles are stored, and the entries fill only {made}.")

    def _broken(self, code: str, sentence: str) -> Finding:
        return Finding(Severity.BROKEN, self._area, code, sentence, TAMPERED)


def _one(query: str, *values: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query, list(values))
        return cursor.fetchone()[0]
