"""The stored tree, read back: nodes from tiles, proofs from nodes, tiles and entry bundles as C2SP tlog-tiles has them.

Full tiles are stored; partial ones are made from leaves or from the tiles below. A tile of level L holds the nodes of
tree level 8·L. What may be served to whom, and which size is signed, is decided elsewhere (``audit/published.py``).
"""

import logging
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeVar

from django.db import connection

from audit import leaves, merkle
from audit.errors import NotFound, Unavailable
from audit.merkle import HASH_SIZE, NodeAt

log_ = logging.getLogger("plimsoll.tiles")

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
Address = tuple[int, int]  # (level, index) of a tile
Proof = TypeVar("Proof")


# -- reading nodes ---------------------------------------------------------------------------------------------------


class Hashes:
    """The hashes of one tile, and the nodes above them, each computed when it is first asked for."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        self.row = hashes
        self._nodes: dict[tuple[int, int], bytes] = {}

    def node(self, height: int, position: int) -> bytes:
        """The node ``height`` levels above the hashes, over 2**height of them."""
        if height == 0:
            return self.row[position]
        found = self._nodes.get((height, position))
        if found is None:
            found = self._nodes[height, position] = _root(self.row[position << height : (position + 1) << height])
        return found


def _root(row: Sequence[bytes]) -> bytes:
    """The root over 2**n hashes."""
    while len(row) > 1:
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


class Reader:
    """Calls as ``reader(level, idx) -> 32 bytes`` for perfect subtrees of the first ``size`` leaves of a log.

    Tiles are kept for the life of the reader. ``fetch`` gets the tiles of many nodes at once: one query for the full
    ones, one for the last leaves, and for the upper right edge one for the committed frontier.
    """

    def __init__(self, log: str, size: int) -> None:
        self.log = log
        self.size = size
        self._tiles: dict[Address, Hashes] = {}
        self._head: tuple[int, list[bytes]] | None = None

    def __call__(self, level: int, idx: int) -> bytes:
        address = self._tile_of(level, idx)
        if address not in self._tiles:
            self._load({address})
        height = level % HEIGHT
        return self._tiles[address].node(height, idx - (address[1] << (HEIGHT - height)))

    def fetch(self, nodes: Iterable[tuple[int, int]]) -> None:
        """Read the tiles that hold these nodes."""
        missing = {self._tile_of(level, idx) for level, idx in nodes} - self._tiles.keys()
        if missing:
            self._load(missing)

    def hashes(self, level: int, index: int) -> bytes:
        """The hashes of a tile as wide as it is in a tree of this size, side by side."""
        self.fetch([(HEIGHT * level, index * WIDTH)])
        return b"".join(self._tiles[level, index].row)

    def _tile_of(self, level: int, idx: int) -> Address:
        if level < 0 or idx < 0 or (idx + 1) << level > self.size:
            raise merkle.MerkleError(f"Node {level}/{idx} is not a perfect subtree of {self.size} leaves.")
        return level // HEIGHT, idx >> (HEIGHT - level % HEIGHT)

    def _load(self, addresses: set[Address]) -> None:
        stored = _stored(self.log, addresses)
        for address in sorted(addresses):
            width = width_of(address[0], address[1], self.size)
            hashes = stored.get(address) or self._made(*address, width)
            if len(hashes) < width:
                raise damaged(self.log, f"tile {address[0]}/{address[1]} is not whole")
            self._tiles[address] = Hashes(hashes[:width])

    def _made(self, level: int, index: int, width: int) -> Sequence[bytes]:
        """The hashes of a tile that is not stored, because it is not full."""
        if level == 0:
            return leaves.hashes(self.log, index * WIDTH, index * WIDTH + width)
        if self._head is None:
            self._head = _committed(self.log)
        return _edge(self.log, level, index, *self._head)


def reader(log: str, size: int) -> Reader:
    """A reader of the first ``size`` leaves; ``size`` must not be beyond what is committed."""
    return Reader(log, size)


def width_of(level: int, index: int, size: int) -> int:
    """How many hashes a tile has in a tree of ``size`` leaves: 0 to 256."""
    return max(0, min(WIDTH, (size >> (HEIGHT * level)) - index * WIDTH))


def _split(tile: bytes) -> list[bytes]:
    return [tile[i : i + HASH_SIZE] for i in range(0, len(tile), HASH_SIZE)]


def _stored(log: str, addresses: Iterable[Address]) -> dict[Address, list[bytes]]:
    """The full tiles among ``addresses``."""
    levels, indices = zip(*addresses, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t.level, t.idx, t.hashes FROM unnest(%s::integer[], %s::bigint[]) AS wanted (level, idx)"
            " JOIN audit_tile t ON t.log = %s AND t.level = wanted.level AND t.idx = wanted.idx",
            [list(levels), list(indices), log],
        )
        return {(level, index): _split(bytes(hashes)) for level, index, hashes in cursor.fetchall()}


# The right edge of each level above the leaves as far as it was last computed, with the part of the committed frontier
# that it was found to give: at most 255 roots of full tiles, a quarter of a millisecond each. They never change as long
# as the log is the same one, and another log has another frontier.
@dataclass(frozen=True)
class _Edge:
    index: int
    hashes: tuple[bytes, ...]
    frontier: tuple[bytes, ...]


_edges: dict[tuple[str, int], _Edge] = {}


def _committed(log: str) -> tuple[int, list[bytes]]:
    """The committed size and its frontier."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT size, frontier FROM audit_tree WHERE log = %s ORDER BY size DESC LIMIT 1", [log])
        row = cursor.fetchone()
    return (0, []) if row is None else (row[0], [bytes(part) for part in row[1]])


def _edge(log: str, level: int, index: int, size: int, frontier: Sequence[bytes]) -> Sequence[bytes]:
    """The roots of the full tiles of ``level - 1`` that begin tile ``index``, up to the committed size."""
    width, places, expected = width_of(level, index, size), *_within(level, index, size, frontier)
    known = _edges.get((log, level))
    if known is not None and (known.index, known.frontier, len(known.hashes)) == (index, expected, width):
        return known.hashes
    for start in (known.hashes[:width] if known is not None and known.index == index else (), ()):
        hashes = (*start, *_roots(log, level - 1, index * WIDTH + len(start), index * WIDTH + width))
        made = Hashes(hashes)
        if tuple(made.node(height, position) for height, position in places) == expected:
            _edges[log, level] = _Edge(index, hashes, expected)
            return hashes
    raise damaged(log, f"the tiles under {level}/{index} do not give the committed frontier")


def _within(
    level: int, index: int, size: int, frontier: Sequence[bytes]
) -> tuple[list[tuple[int, int]], tuple[bytes, ...]]:
    """The nodes of a committed frontier that lie in one tile: where in it, and what they are."""
    found = {}
    for (node_level, idx), node in zip(merkle.perfect_subtrees(0, size), frontier, strict=True):
        height = node_level - HEIGHT * level
        if 0 <= height < HEIGHT and idx >> (HEIGHT - height) == index:
            found[height, idx - (index << (HEIGHT - height))] = node
    return list(found), tuple(found.values())


def _roots(log: str, level: int, start: int, end: int) -> list[bytes]:
    """The roots of full tiles ``start`` to ``end`` of a level."""
    if start >= end:
        return []
    found = _stored(log, [(level, index) for index in range(start, end)])
    if len(found) < end - start:
        raise damaged(log, f"full tiles of level {level} are missing between {start} and {end}")
    return [_root(found[level, index]) for index in range(start, end)]


def damaged(log: str, what: str) -> Unavailable:
    """The refusal when stored hashes contradict each other; what was found goes to the service's own log."""
    log_.critical("the stored log is damaged: %s", what, extra={"log": log})
    return Unavailable(
        "The stored log contradicts itself here, so nothing is proven from it. Tell the operator to run the doctor.",
        code="log_damaged",
    )


# -- proofs ----------------------------------------------------------------------------------------------------------


def proved(node: Reader, prove: Callable[[NodeAt], Proof]) -> Proof:
    """What ``prove`` makes from nodes; run once to learn which ones, so that all are read together."""
    wanted: list[tuple[int, int]] = []

    def noted(level: int, idx: int) -> bytes:
        wanted.append((level, idx))
        return bytes(HASH_SIZE)

    prove(noted)
    node.fetch(wanted)
    return prove(node)


def inclusion(log: str, index: int, size: int) -> list[bytes]:
    """The inclusion proof of entry ``index`` in the first ``size``. Raises ``merkle.MerkleError`` outside of them."""
    return proved(reader(log, size), lambda node: merkle.inclusion_proof(index, size, node))


def consistency(log: str, old: int, new: int) -> list[bytes]:
    """The consistency proof between two sizes. Raises ``merkle.MerkleError`` for 0 and for sizes in reverse."""
    return proved(reader(log, new), lambda node: merkle.consistency_proof(old, new, node))


def ranged(log: str, start: int, end: int, size: int) -> tuple[list[bytes], list[bytes]]:
    """The subtrees left of ``start`` and right of ``end`` in the first ``size`` entries."""
    return proved(reader(log, size), lambda node: merkle.range_proof(start, end, size, node))


# -- tiles and bundles -----------------------------------------------------------------------------------------------

_PATH: Final = re.compile(
    r"(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


@dataclass(frozen=True)
class TilePath:
    """What follows ``tile/`` in an address. ``level`` is None for a bundle of entries; ``width`` is 256 when full."""

    level: int | None
    index: int
    width: int = WIDTH

    @classmethod
    def parse(cls, text: str) -> "TilePath":
        """Raises NotFound for anything but the one spelling of a tile's address."""
        found = _PATH.fullmatch(text)
        if found is not None:
            level, index, width = found.groups()
            path = cls(
                level=None if level == "entries" else int(level),
                index=int(index.replace("x", "").replace("/", "")),
                width=WIDTH if width is None else int(width),
            )
            if str(path) == text:
                return path
        raise NotFound(
            "The address of a tile reads tile/<level>/<index> or tile/entries/<index>: a level from 0 to 63, an index"
            " in groups of three digits like x001/234, and .p/<width> behind it for a partial tile of 1 to 255 hashes."
        )

    def __str__(self) -> str:
        groups, rest = [f"{self.index % 1000:03}"], self.index // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03}")
            rest //= 1000
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"{'entries' if self.level is None else self.level}/{'/'.join(groups)}{partial}"


def tile(log: str, level: int, index: int, width: int, size: int) -> bytes:
    """The first ``width`` hashes of a tile, 32 bytes each.

    Raises NotFound for a tile that a log of ``size`` entries does not have that wide.
    """
    _check_covered(level, index, width, size)
    return reader(log, size).hashes(level, index)[: width * HASH_SIZE]


def bundle(log: str, index: int, width: int, size: int) -> bytes:
    """The entries of tile ``index`` of level 0, each behind its length in two bytes.

    Raises NotFound like ``tile``, Gone when entries were dropped by retention.
    """
    _check_covered(0, index, width, size)
    return encoded(leaves.bodies(log, index * WIDTH, index * WIDTH + width))


def encoded(entries: Iterable[bytes]) -> bytes:
    """An entry bundle: a big-endian uint16 length before each entry."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def _check_covered(level: int, index: int, width: int, size: int) -> None:
    if not 1 <= width <= width_of(level, index, size):
        raise NotFound(f"The signed log of {size:,} entries has no such tile.")
