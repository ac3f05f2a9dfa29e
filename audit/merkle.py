"""Merkle tree arithmetic of RFC 6962 / RFC 9162: hashes, compact ranges, proofs and their verification.

Pure functions over bytes. Where nodes are stored (tiles, tables) and what a leaf says belong elsewhere.
`audit/verify.py` repeats part of the verifying half on purpose: it must run alone, in the auditor's hands.

A node is addressed as (level, idx): the perfect subtree over leaves [idx * 2**level, (idx + 1) * 2**level).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()

NodeAt = Callable[[int, int], bytes]


class MerkleError(ValueError):
    """Sizes, indices or hash counts that cannot belong together."""


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def perfect_subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The fewest perfect subtrees (level, idx) that cover leaves [start, end), left to right."""
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield level, start >> level
        start += 1 << level


# -- compact range ---------------------------------------------------------------------------------------------------


def extend(frontier: list[bytes], size: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The frontier after pushing leaf *hashes* onto that of a tree of `size` leaves; `frontier` itself is unchanged."""
    _check_frontier(frontier, size)
    _check_hashes(leaves)
    grown = list(frontier)
    for position, leaf in enumerate(leaves, start=size):
        carried = leaf
        # Every trailing one bit of the position is a finished subtree waiting for its right sibling.
        for _ in range((position ^ (position + 1)).bit_length() - 1):
            carried = node_hash(grown.pop(), carried)
        grown.append(carried)
    return grown


def root_of(frontier: Sequence[bytes], size: int) -> bytes:
    _check_frontier(frontier, size)
    return _fold(frontier)


def _check_frontier(frontier: Sequence[bytes], size: int) -> None:
    if size < 0 or len(frontier) != size.bit_count():
        raise MerkleError(f"A tree of {size} leaves has no frontier of {len(frontier)} hashes.")
    _check_hashes(frontier)


def _check_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(each) != HASH_SIZE for each in hashes):
        raise MerkleError(f"Every hash must be {HASH_SIZE} bytes long.")


def _fold(roots: Sequence[bytes]) -> bytes:
    if not roots:
        return EMPTY_ROOT
    folded = roots[-1]
    for left in reversed(roots[:-1]):
        folded = node_hash(left, folded)
    return folded


# -- proofs ----------------------------------------------------------------------------------------------------------


def _subtree_root(start: int, end: int, node: NodeAt) -> bytes:
    """MTH(D[start:end]); `start` must be a split point of the tree, as all ranges met in proofs are."""
    return _fold([node(level, idx) for level, idx in perfect_subtrees(start, end)])


def _split(start: int, end: int) -> int:
    """The largest power of two smaller than the width, counted from `start` (k of RFC 9162 §2.1.1)."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def inclusion_proof(index: int, size: int, hash_at: NodeAt) -> list[bytes]:
    """PATH(index, D[size]) of RFC 9162 §2.1.3.1, leaf end first."""
    if not 0 <= index < size:
        raise MerkleError(f"Index {index} lies outside a tree of {size} leaves.")
    start, end = 0, size
    path: list[bytes] = []
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            path.append(_subtree_root(middle, end, hash_at))
            end = middle
        else:
            path.append(_subtree_root(start, middle, hash_at))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: NodeAt) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 9162 §2.1.4.1. Nothing is consistent with an empty tree, so 0 is refused."""
    if not 0 < old <= new:
        raise MerkleError(f"There is no consistency proof from {old} to {new} leaves.")
    start, end = 0, new
    path: list[bytes] = []
    while end != old:
        middle = _split(start, end)
        if old <= middle:
            path.append(_subtree_root(middle, end, node))
            end = middle
        else:
            path.append(_subtree_root(start, middle, node))
            start = middle
    if start:
        # The old tree ends inside the right edge: the verifier cannot know this subtree, so it is told.
        path.append(_subtree_root(start, end, node))
    return path[::-1]


def range_proof(start: int, end: int, size: int, node: NodeAt) -> tuple[list[bytes], list[bytes]]:
    """The perfect subtrees left of `start` and right of `end`; with the leaves between they rebuild the root."""
    if not 0 <= start <= end <= size:
        raise MerkleError(f"Entries {start} to {end} do not lie in a tree of {size} leaves.")
    left = [node(level, idx) for level, idx in perfect_subtrees(0, start)]
    right = [node(level, idx) for level, idx in perfect_subtrees(end, size)]
    return left, right


# -- verification ----------------------------------------------------------------------------------------------------


def _lengths_ok(*hashes: bytes) -> bool:
    return all(len(each) == HASH_SIZE for each in hashes)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 §2.1.3.2. `leaf` is the leaf hash. False for anything malformed."""
    if not 0 <= index < size or not _lengths_ok(leaf, root, *proof):
        return False
    fn, sn = index, size - 1
    computed = leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            computed = node_hash(sibling, computed)
            fn, sn = _climb_to_right_child(fn, sn)
        else:
            computed = node_hash(computed, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and computed == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """RFC 9162 §2.1.4.2; equal sizes need equal roots and no proof, 0 is refused. False for anything malformed."""
    if not 0 < old <= new or not _lengths_ok(old_root, new_root, *proof):
        return False
    if old == new:
        return not proof and old_root == new_root
    if not proof:
        return False
    hashes = list(proof)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return _roots_agree(hashes, fn, sn, old_root, new_root)


def _roots_agree(hashes: Sequence[bytes], fn: int, sn: int, old_root: bytes, new_root: bytes) -> bool:
    old_computed = new_computed = hashes[0]
    for sibling in hashes[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old_computed = node_hash(sibling, old_computed)
            new_computed = node_hash(sibling, new_computed)
            fn, sn = _climb_to_right_child(fn, sn)
        else:
            new_computed = node_hash(new_computed, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and old_computed == old_root and new_computed == new_root


def _climb_to_right_child(fn: int, sn: int) -> tuple[int, int]:
    """On the right edge, skip the levels at which this node has no sibling."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def root_from_range(
    start: int, end: int, size: int, leaf_hashes: Sequence[bytes], left: Sequence[bytes], right: Sequence[bytes]
) -> bytes:
    """The root that leaves [start, end) and a range proof stand for. Raises MerkleError when the counts do not fit."""
    if not 0 <= start <= end <= size or len(leaf_hashes) != end - start:
        raise MerkleError(f"{len(leaf_hashes)} leaf hashes are not entries {start} to {end} of {size}.")
    after = [level for level, _ in perfect_subtrees(end, size)]
    if len(right) != len(after):
        raise MerkleError(f"{len(right)} hashes to the right of entry {end} of {size}; {len(after)} are needed.")
    _check_hashes(right)
    frontier = extend(list(left), start, leaf_hashes)
    position = end
    for level, carried in zip(after, right, strict=True):
        grown = carried
        for _ in range(((position >> level) ^ ((position >> level) + 1)).bit_length() - 1):
            grown = node_hash(frontier.pop(), grown)
        frontier.append(grown)
        position += 1 << level
    return root_of(frontier, size)


class MemoryTree:
    """All perfect subtrees of a list of leaf hashes, for tests and small exports."""

    def __init__(self, leaf_hashes: Sequence[bytes]) -> None:
        _check_hashes(leaf_hashes)
        self._levels: list[list[bytes]] = [list(leaf_hashes)]
        while len(below := self._levels[-1]) > 1:
            pairs = zip(below[::2], below[1::2], strict=False)  # an odd last node is not yet part of a perfect subtree
            self._levels.append([node_hash(left, right) for left, right in pairs])

    @property
    def size(self) -> int:
        return len(self._levels[0])

    def node(self, level: int, idx: int) -> bytes:
        return self._levels[level][idx]

    def root(self, size: int | None = None) -> bytes:
        """The root of the first `size` leaves (all by default)."""
        return _subtree_root(0, self.size if size is None else size, self.node)
