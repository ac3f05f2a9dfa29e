"""The arithmetic the verifier carries inside: Ed25519 and Merkle proofs."""

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import merkle, verify
from tests.audit.sample_log import (
    VECTORS,
)

# RFC 8032 §7.1, tests 1 to 3: secret key, public key, message, signature
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize("case", RFC_8032, ids=["1", "2", "3"])
def test_ed25519_vectors_of_rfc_8032(case: tuple[str, str, str, str]) -> None:
    secret, public, message, signature = (bytes.fromhex(part) for part in case)
    assert verify.ed25519_verifies(public, message, signature)
    assert not verify.ed25519_verifies(public, message + b"\x00", signature)
    private = Ed25519PrivateKey.from_private_bytes(secret)
    assert private.public_key().public_bytes_raw() == public
    assert private.sign(message) == signature


def accepted_by_cryptography(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@settings(deadline=None, max_examples=30)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64), st.integers(0, 511), st.integers(0, 255))
def test_ed25519_agrees_with_cryptography(seed: bytes, message: bytes, bit: int, key_bit: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify.ed25519_verifies(public, message, signature)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not verify.ed25519_verifies(public, message, bytes(flipped))
    assert not accepted_by_cryptography(public, message, bytes(flipped))
    other = bytearray(public)
    other[key_bit // 8] ^= 1 << key_bit % 8
    assert not verify.ed25519_verifies(bytes(other), message, signature)


def test_ed25519_refuses_what_is_not_canonical() -> None:
    _, public, message, signature = (bytes.fromhex(part) for part in RFC_8032[1])
    larger = int.from_bytes(signature[32:], "little") + verify.L
    assert not verify.ed25519_verifies(public, message, signature[:32] + larger.to_bytes(32, "little"))
    assert not verify.ed25519_verifies(public, message, signature[:-1])
    assert not verify.ed25519_verifies(public[:-1], message, signature)
    one = (1).to_bytes(32, "little")
    assert verify.decode_point(one) == (0, 1)
    assert verify.decode_point((1 | 1 << 255).to_bytes(32, "little")) is None  # minus zero
    assert verify.decode_point((verify.P + 1).to_bytes(32, "little")) is None  # 1, written another way
    assert verify.decode_point((2).to_bytes(32, "little")) is None  # no point of the curve has this y


@pytest.mark.parametrize(
    "case",
    [case for case in json.loads((VECTORS / "merkle-inclusion.json").read_text())["vectors"] if case["leafHash"]],
    ids=lambda case: case["file"].removeprefix("testdata/"),
)
def test_the_carried_inclusion_check_agrees_with_the_published_cases(case: dict[str, Any]) -> None:
    leaf, root = base64.b64decode(case["leafHash"]), base64.b64decode(case["root"])
    path = [base64.b64decode(each) for each in case["proof"] or []]
    # The length of a hash is checked where the bundle's files are read.
    lengths_fit = all(len(each) == 32 for each in [leaf, root, *path])
    accepted = lengths_fit and verify.path_root(leaf, case["leafIdx"], case["treeSize"], path) == root
    assert accepted is not case["wantErr"]


def rebuilt(start: int, leaves: list[bytes], size: int, left: list[bytes], right: list[bytes], cuts: list[int]) -> Any:
    """The roots by size that the verifier makes of a range, cut into blocks wherever it may be cut."""
    ends = sorted({0, len(leaves), *cuts})
    blocks = [verify.subtrees_over(start + one, leaves[one:other]) for one, other in pairwise(ends)]
    beside = [
        [(*place, node) for place, node in zip(verify.places(*side), nodes, strict=True)]
        for side, nodes in (((0, start), left), ((start + len(leaves), size), right))
    ]
    return verify.roots_at(range(size + 1), [*beside[0], *(node for block in blocks for node in block), *beside[1]])


@given(st.data())
def test_the_carried_range_check_agrees_with_the_service(choose: st.DataObject) -> None:
    size = choose.draw(st.integers(0, 150))
    start = choose.draw(st.integers(0, size))
    end = choose.draw(st.integers(start, size))
    tree = merkle.MemoryTree([merkle.leaf_hash(b"%d" % number) for number in range(size)])
    left, right = merkle.range_proof(start, end, size, tree.node)
    leaves = [tree.node(0, index) for index in range(start, end)]
    cuts = choose.draw(st.lists(st.integers(0, end - start), max_size=6))
    roots = rebuilt(start, leaves, size, left, right, cuts)
    assert roots[size] == tree.root()
    assert {start + cut for cut in cuts if cut} <= set(roots)
    assert all(root == tree.root(at) for at, root in roots.items())
    for index in range(start, end):
        path = merkle.inclusion_proof(index, size, tree.node)
        assert verify.path_root(tree.node(0, index), index, size, path) == tree.root()


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in json.loads((VECTORS / "merkle-consistency.json").read_text())["vectors"]
        if 0 < case["size1"] < case["size2"]  # other sizes are judged without arithmetic
    ],
    ids=lambda case: case["file"].removeprefix("testdata/"),
)
def test_the_carried_consistency_check_agrees_with_the_published_cases(case: dict[str, Any]) -> None:
    old, new = base64.b64decode(case["root1"]), base64.b64decode(case["root2"])
    path = [base64.b64decode(each) for each in case["proof"] or []]
    lengths_fit = all(len(each) == 32 for each in [old, new, *path])
    accepted = lengths_fit and verify.agree(case["size1"], case["size2"], old, new, path)
    assert accepted is not case["wantErr"]


@given(st.data())
def test_the_carried_consistency_check_agrees_with_the_service(choose: st.DataObject) -> None:
    new = choose.draw(st.integers(2, 150))
    old = choose.draw(st.integers(1, new - 1))
    tree = merkle.MemoryTree([merkle.leaf_hash(b"%d" % number) for number in range(new)])
    path = merkle.consistency_proof(old, new, tree.node)
    assert verify.agree(old, new, tree.root(old), tree.root(), path)
    assert not verify.agree(old, new, tree.root(new - 1 if old != new - 1 else new), tree.root(), path)
    place = choose.draw(st.integers(0, len(path) - 1))
    assert not verify.agree(old, new, tree.root(old), tree.root(), [*path[:place], bytes(32), *path[place + 1 :]])
    assert not verify.agree(old, new, tree.root(old), tree.root(), path[:-1])
    assert not verify.agree(old, new, tree.root(old), tree.root(), [*path, path[-1]])
