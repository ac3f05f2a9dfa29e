"""Merkle arithmetic against published vectors, and against the recursive definition of RFC 9162 as an oracle."""

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle

VECTORS = Path(__file__).parents[1] / "vectors" / "audit"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def data(size: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(size)]


def tree(size: int) -> merkle.MemoryTree:
    return merkle.MemoryTree([merkle.leaf_hash(each) for each in data(size)])


def b64s(values: list[str] | None) -> list[bytes]:
    return [base64.b64decode(each) for each in values or []]


def case_id(case: dict[str, Any]) -> str:
    return str(case["file"]).removeprefix("testdata/")


def test_reference_tree_of_rfc_6962() -> None:
    reference = load("rfc6962-reference-tree.json")
    hashes = [merkle.leaf_hash(bytes.fromhex(each)) for each in reference["leaf_inputs_hex"]]
    built = merkle.MemoryTree(hashes)
    for level, nodes in enumerate(reference["node_hashes_hex_by_level"]):
        assert [built.node(level, idx).hex() for idx in range(len(nodes))] == nodes
    roots = [bytes.fromhex(each) for each in reference["root_hashes_hex_by_size"]]
    assert [built.root(size) for size in range(9)] == roots
    assert roots[0] == merkle.EMPTY_ROOT
    frontier: list[bytes] = []
    for size, leaf in enumerate(hashes):
        assert merkle.root_of(frontier, size) == roots[size]
        frontier = merkle.extend(frontier, size, [leaf])
    assert merkle.root_of(frontier, 8) == roots[8]


@pytest.mark.parametrize("case", load("merkle-inclusion.json")["vectors"], ids=case_id)
def test_published_inclusion_case(case: dict[str, Any]) -> None:
    leaf, root = base64.b64decode(case["leafHash"]), base64.b64decode(case["root"])
    accepted = merkle.verify_inclusion(leaf, case["leafIdx"], case["treeSize"], b64s(case["proof"]), root)
    assert accepted is not case["wantErr"]


CONSISTENCY = [
    case
    for case in load("merkle-consistency.json")["vectors"]
    if "sizes-are-equal-one-and-proof-is-empty" not in case["file"]  # expects success for 12-byte roots
]


@pytest.mark.parametrize("case", CONSISTENCY, ids=case_id)
def test_published_consistency_case(case: dict[str, Any]) -> None:
    old_root, new_root = base64.b64decode(case["root1"]), base64.b64decode(case["root2"])
    accepted = merkle.verify_consistency(case["size1"], case["size2"], old_root, new_root, b64s(case["proof"]))
    assert accepted is not case["wantErr"]


def test_every_published_case_ran() -> None:
    assert len(load("merkle-inclusion.json")["vectors"]) == 98
    assert len(CONSISTENCY) == 97


def test_tessera_log_roots_and_tiles() -> None:
    log = load("tessera-testdata-log.json")
    hashes = [merkle.leaf_hash(each.encode()) for each in log["leaves_utf8"]]
    built = merkle.MemoryTree(hashes)
    for size in range(16):
        lines = base64.b64decode(log["files_b64"][f"checkpoint.{size}"]).decode().split("\n")
        assert lines[1] == str(size)
        assert base64.b64encode(built.root(size)).decode() == lines[2]
        if size:
            assert base64.b64decode(log["files_b64"][f"tile/0/000.p/{size}"]) == b"".join(hashes[:size])


def test_roots_of_every_size_agree_with_the_definition() -> None:
    whole = tree(70)
    for size in range(71):
        assert whole.root(size) == mth(data(size))


def test_every_inclusion_proof_up_to_size_40_verifies_and_only_for_its_own_place() -> None:
    whole = tree(40)
    for size in range(1, 41):
        root = whole.root(size)
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, whole.node)
            leaf = whole.node(0, index)
            assert merkle.verify_inclusion(leaf, index, size, proof, root)
            assert not merkle.verify_inclusion(whole.node(0, (index + 1) % 40), index, size, proof, root)
            assert not merkle.verify_inclusion(leaf, index, size, [*proof, leaf], root)
            if size > 1:
                assert not merkle.verify_inclusion(leaf, (index + 1) % size, size, proof, root)
                assert not merkle.verify_inclusion(leaf, index, size, proof[:-1], root)


def test_every_consistency_proof_up_to_size_40_verifies_and_only_for_its_own_roots() -> None:
    whole = tree(40)
    for new in range(1, 41):
        for old in range(1, new + 1):
            proof = merkle.consistency_proof(old, new, whole.node)
            assert merkle.verify_consistency(old, new, whole.root(old), whole.root(new), proof)
            assert not merkle.verify_consistency(old, new, whole.root(old), merkle.EMPTY_ROOT, proof)
            assert not merkle.verify_consistency(old, new, merkle.EMPTY_ROOT, whole.root(new), proof)
            too_long = [*proof, whole.root(new)]
            assert not merkle.verify_consistency(old, new, whole.root(old), whole.root(new), too_long)


def test_nothing_is_consistent_with_an_empty_tree() -> None:
    whole = tree(4)
    with pytest.raises(merkle.MerkleError):
        merkle.consistency_proof(0, 4, whole.node)
    assert not merkle.verify_consistency(0, 0, merkle.EMPTY_ROOT, merkle.EMPTY_ROOT, [])
    assert not merkle.verify_consistency(0, 4, merkle.EMPTY_ROOT, whole.root(), [])


def test_every_range_up_to_size_24_rebuilds_the_root() -> None:
    whole = tree(24)
    for size in range(25):
        for start in range(size + 1):
            for end in range(start, size + 1):
                left, right = merkle.range_proof(start, end, size, whole.node)
                leaves = [whole.node(0, index) for index in range(start, end)]
                assert merkle.root_from_range(start, end, size, leaves, left, right) == mth(data(size))


def test_the_range_321_to_654_of_1000_needs_3_and_8_hashes() -> None:
    whole = tree(1000)
    left, right = merkle.range_proof(321, 654, 1000, whole.node)
    assert (len(left), len(right)) == (3, 8)
    leaves = [whole.node(0, index) for index in range(321, 654)]
    assert merkle.root_from_range(321, 654, 1000, leaves, left, right) == mth(data(1000))


@given(st.data())
def test_a_range_with_any_hash_changed_gives_another_root(draw: st.DataObject) -> None:
    size = draw.draw(st.integers(1, 200))
    start = draw.draw(st.integers(0, size - 1))
    end = draw.draw(st.integers(start + 1, size))
    whole = tree(size)
    left, right = merkle.range_proof(start, end, size, whole.node)
    parts = [left, [whole.node(0, index) for index in range(start, end)], right]
    assert merkle.root_from_range(start, end, size, parts[1], left, right) == whole.root()
    places = [(part, place) for part in range(3) for place in range(len(parts[part]))]
    part, place = draw.draw(st.sampled_from(places))
    parts[part][place] = sha256(parts[part][place]).digest()
    assert merkle.root_from_range(start, end, size, parts[1], left, right) != whole.root()


@given(st.lists(st.integers(0, 40), max_size=6))
def test_growing_by_batches_equals_growing_at_once(batches: list[int]) -> None:
    total = sum(batches)
    whole = tree(total)
    frontier: list[bytes] = []
    size = 0
    for batch in batches:
        before = list(frontier)
        grown = merkle.extend(frontier, size, [whole.node(0, index) for index in range(size, size + batch)])
        assert frontier == before
        frontier, size = grown, size + batch
    assert frontier == [whole.node(level, idx) for level, idx in merkle.perfect_subtrees(0, total)]
    assert merkle.root_of(frontier, total) == whole.root()


@pytest.mark.parametrize(
    "call",
    [
        lambda whole: merkle.root_of([], 1),
        lambda whole: merkle.root_of([whole.node(0, 0)], 3),
        lambda whole: merkle.extend([], 0, [b"not a hash"]),
        lambda whole: merkle.extend([b"short"], 1, []),
        lambda whole: merkle.extend([], -1, []),
        lambda whole: merkle.inclusion_proof(8, 8, whole.node),
        lambda whole: merkle.inclusion_proof(-1, 8, whole.node),
        lambda whole: merkle.consistency_proof(5, 4, whole.node),
        lambda whole: merkle.range_proof(3, 2, 8, whole.node),
        lambda whole: merkle.range_proof(0, 9, 8, whole.node),
        lambda whole: merkle.root_from_range(0, 2, 8, [whole.node(0, 0)], [], []),
        lambda whole: merkle.root_from_range(0, 8, 8, [whole.node(0, 0)] * 8, [whole.node(0, 0)], []),
        lambda whole: merkle.root_from_range(0, 1, 2, [whole.node(0, 0)], [], []),
        lambda whole: merkle.root_from_range(0, 1, 2, [whole.node(0, 0)], [], [b"short"]),
        lambda whole: merkle.MemoryTree([b"short"]),
    ],
)
def test_what_does_not_belong_together_is_refused(call: Any) -> None:
    with pytest.raises(merkle.MerkleError):
        call(tree(8))


def test_hashes_of_another_length_prove_nothing() -> None:
    assert not merkle.verify_inclusion(b"", 0, 1, [], b"")
    assert not merkle.verify_inclusion(b"x" * 31, 0, 1, [], b"x" * 31)
    assert not merkle.verify_consistency(1, 1, b"x" * 12, b"x" * 12, [])
