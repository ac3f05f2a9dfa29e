"""The stored tree read back: nodes, proofs, tiles and bundles, against a tree in memory and against published files."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import leaves, merkle, tiles
from audit.errors import Gone, NotFound, Unavailable
from audit.merkle import MemoryTree
from audit.tiles import TilePath
from tests.audit import grown_log
from tests.audit.grown_log import as_role, leaf_of

TESSERA: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors/audit/tessera-testdata-log.json").read_text(encoding="utf-8")
)
FILES = {name: base64.b64decode(content) for name, content in TESSERA["files_b64"].items()}
LOG = "access"


def memory(size: int) -> MemoryTree:
    return MemoryTree([merkle.leaf_hash(leaf_of(number)) for number in range(size)])


# -- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0/000", TilePath(0, 0)),
        ("63/000", TilePath(63, 0)),
        ("0/x001/x234/067", TilePath(0, 1_234_067)),
        ("2/x001/000.p/1", TilePath(2, 1_000, 1)),
        ("entries/273.p/112", TilePath(None, 273, 112)),
        ("entries/999.p/255", TilePath(None, 999, 255)),
        ("10/x999/x999/x999/x999/x999/x999/999", TilePath(10, 10**21 - 1)),
    ],
)
def test_a_tile_has_one_address(text: str, expected: TilePath) -> None:
    assert TilePath.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "0/", "0/0", "0/00", "0/0000", "0/x001", "00/000", "01/000", "64/000", "100/000", "-1/000", "+1/000",
        "0/-01", "0/x000/001", "0/001/067", "0/X001/067", "0/x1/067", "0/x001/x067", "0/000.p", "0/000.p/", "0/000.p/0",
        "0/000.p/00", "0/000.p/01", "0/000.p/256", "0/000.p/999", "0/000.p/1000", "0/000.p/-1", "0/000.p/1/",
        "0/000.P/1", "0/000p/1", "entries", "entries/", "entries/1", "Entries/000", "data/000", "0/000 ", " 0/000",
        "0/000\n", "0/٠٠٠", "٠/000", "0/０００", "0//000", "0/../000", "0/x001/../067", "0/000/.p/1", "x/000",
        "0/x001/x001/x001/x001/x001/x001/x001/001",
    ],
)  # fmt: skip
def test_every_other_spelling_is_no_address(text: str) -> None:
    with pytest.raises(NotFound, match="The address of a tile reads"):
        TilePath.parse(text)


# -- the test log of Tessera, byte for byte ---------------------------------------------------------------------------


@pytest.fixture
def tessera(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Its 15 leaves as a log of ours."""
    said = [text.encode() for text in TESSERA["leaves_utf8"]]
    monkeypatch.setattr(grown_log, "leaf_of", lambda number: said[number])
    grown_log.grow(grown_log.a_key(), len(said))
    return len(said)


def test_the_tiles_and_bundles_of_tessera_come_out_byte_for_byte(tessera: int) -> None:
    compared = 0
    for name, content in FILES.items():
        if not name.startswith("tile/"):
            continue
        path = TilePath.parse(name.removeprefix("tile/"))
        if path.level is None:
            assert tiles.bundle(LOG, path.index, path.width, tessera) == content
        else:
            assert tiles.tile(LOG, path.level, path.index, path.width, tessera) == content
        compared += 1
    assert compared == 30
    for width in (16, 255, 256):
        with pytest.raises(NotFound):
            tiles.tile(LOG, 0, 0, width, tessera)


# -- against a tree in memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 1_000])
def test_every_proof_and_node_is_that_of_the_tree_in_memory(fresh_database: str, size: int) -> None:
    grown_log.grow(grown_log.a_key(), size)
    tree, step = memory(size), max(1, size // 37)
    node = tiles.reader(LOG, size)
    for level in range(size.bit_length()):
        assert [node(level, idx) for idx in range(size >> level)] == [
            tree.node(level, idx) for idx in range(size >> level)
        ]
    for index in {*range(0, size, step), size - 1}:
        assert tiles.inclusion(LOG, index, size) == merkle.inclusion_proof(index, size, tree.node)
        old = index + 1
        assert tiles.consistency(LOG, old, size) == merkle.consistency_proof(old, size, tree.node)
        assert tiles.ranged(LOG, index // 2, old, size) == merkle.range_proof(index // 2, old, size, tree.node)


def test_older_sizes_of_a_log_that_went_on_are_proven_as_they_were(fresh_database: str) -> None:
    grown_log.grow(grown_log.a_key(), 300, 700, 1_300)
    tree = memory(1_300)
    for size in (1, 255, 256, 257, 299, 300, 512, 699, 700, 769, 1_024, 1_299):
        for index in {0, 255, 256, size // 3, size - 1}:
            if index < size:
                assert tiles.inclusion(LOG, index, size) == merkle.inclusion_proof(index, size, tree.node)
                assert tiles.consistency(LOG, index + 1, size) == merkle.consistency_proof(index + 1, size, tree.node)


def test_the_right_edge_is_not_remembered_across_another_history(fresh_database: str) -> None:
    grown_log.grow(grown_log.a_key(), 1_000)
    tiles.inclusion(LOG, 0, 1_000)
    known = tiles._edges[LOG, 1]
    assert known.hashes == tuple(memory(1_000).node(8, position) for position in range(3))
    stale = (b"\x00" * 32, *known.hashes[1:])  # as a process has it from before a restore
    tiles._edges[LOG, 1] = tiles._Edge(0, stale, (b"\x01" * 32, *known.frontier[1:]))
    assert tiles.inclusion(LOG, 900, 1_000) == merkle.inclusion_proof(900, 1_000, memory(1_000).node)
    assert tiles._edges[LOG, 1] == known


def test_tiles_that_do_not_give_the_committed_frontier_prove_nothing(fresh_database: str) -> None:
    grown_log.grow(grown_log.a_key(), 1_000)
    with as_role("PLIMSOLL_DB_OWNER"), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_tile DISABLE TRIGGER audit_append_only")
        cursor.execute("UPDATE audit_tile SET hashes = set_byte(hashes, 5, 255 - get_byte(hashes, 5)) WHERE idx = 1")
    tiles._edges.clear()
    with pytest.raises(Unavailable, match="contradicts itself"):
        tiles.inclusion(LOG, 900, 1_000)


def test_a_proof_takes_few_queries(fresh_database: str) -> None:
    grown_log.grow(grown_log.a_key(), 2_000)
    tiles.inclusion(LOG, 0, 2_000)
    for proof in (lambda: tiles.inclusion(LOG, 1_234, 2_000), lambda: tiles.consistency(LOG, 1_234, 2_000)):
        with CaptureQueriesContext(
            connection,
        ) as seen:
            proof()
        assert len(seen) <= 3, [query["sql"][:80] for query in seen.captured_queries]


def test_a_node_outside_of_the_size_is_refused(fresh_database: str) -> None:
    grown_log.grow(grown_log.a_key(), 300)
    node = tiles.reader(LOG, 300)
    for level, idx in ((0, 300), (0, -1), (8, 1), (9, 0), (-1, 0), (63, 0)):
        with pytest.raises(merkle.MerkleError):
            node(level, idx)


# -- tiles and bundles ------------------------------------------------------------------------------------------------


def test_tiles_of_a_log_hold_what_the_format_says(fresh_database: str) -> None:
    grown_log.grow(grown_log.a_key(), 600)
    tree = memory(600)
    leaf_hashes = [tree.node(0, number) for number in range(600)]
    assert tiles.tile(LOG, 0, 0, 256, 600) == b"".join(leaf_hashes[:256])
    assert tiles.tile(LOG, 0, 2, 88, 600) == b"".join(leaf_hashes[512:])
    assert tiles.tile(LOG, 0, 2, 1, 600) == leaf_hashes[512]
    assert tiles.tile(LOG, 0, 1, 40, 600) == b"".join(leaf_hashes[256:296])  # a partial one of an earlier size
    assert tiles.tile(LOG, 1, 0, 2, 600) == tree.node(8, 0) + tree.node(8, 1)
    for level, index, width in ((0, 2, 89), (0, 2, 256), (0, 3, 1), (1, 0, 3), (2, 0, 1), (63, 0, 1), (0, 10**21, 1)):
        with pytest.raises(NotFound, match="600 entries"):
            tiles.tile(LOG, level, index, width, 600)
    assert tiles.bundle(LOG, 2, 2, 600) == b"".join(
        len(leaf_of(number)).to_bytes(2, "big") + leaf_of(number) for number in (512, 513)
    )
    with pytest.raises(NotFound):
        tiles.bundle(LOG, 2, 89, 600)


def test_nothing_beyond_the_given_size_is_shown_although_it_is_stored(fresh_database: str) -> None:
    grown_log.grow(grown_log.a_key(), 600)
    assert tiles.tile(LOG, 0, 1, 44, 300) == tiles.tile(LOG, 0, 1, 256, 600)[: 44 * 32]
    for width in (45, 256):
        with pytest.raises(NotFound, match="300 entries"):
            tiles.tile(LOG, 0, 1, width, 300)
    with pytest.raises(NotFound):
        tiles.bundle(LOG, 1, 256, 300)


def test_dropped_entries_are_gone_and_their_hashes_stay(fresh_database: str) -> None:
    grown_log.grow(grown_log.a_key(), 600)
    before = tiles.tile(LOG, 0, 0, 256, 600)
    with as_role("PLIMSOLL_DB_OWNER"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_minimum (log, minimum_index, event_id) VALUES (%s, 512, %s)", [LOG, grown_log.id_of(0)]
        )
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_append_only")
        for (name,) in _partitions(cursor):
            cursor.execute(f"ALTER TABLE {name} DISABLE TRIGGER audit_append_only")
        cursor.execute("DELETE FROM audit_event WHERE log = %s AND id < %s", [LOG, grown_log.id_of(512)])
    assert leaves.minimum_index(LOG) == 512
    for index in (0, 1):
        with pytest.raises(Gone) as refused:
            tiles.bundle(LOG, index, 256, 600)
        assert refused.value.details == {"minimum_index": 512}
    assert tiles.bundle(LOG, 2, 88, 600) == tiles.encoded(leaf_of(number) for number in range(512, 600))
    assert tiles.tile(LOG, 0, 0, 256, 600) == before
    assert tiles.inclusion(LOG, 3, 600) == merkle.inclusion_proof(3, 600, memory(600).node)


def test_an_entry_that_is_missing_without_a_reason_is_not_passed_over(fresh_database: str) -> None:
    grown_log.grow(grown_log.a_key(), 20)
    with as_role("PLIMSOLL_DB_OWNER"), connection.cursor() as cursor:
        for (name,) in _partitions(cursor):
            cursor.execute(f"ALTER TABLE {name} DISABLE TRIGGER audit_append_only")
        cursor.execute("DELETE FROM audit_event WHERE log = %s AND id = %s", [LOG, grown_log.id_of(7)])
    with pytest.raises(Unavailable, match="missing"):
        tiles.bundle(LOG, 0, 20, 20)


def _partitions(cursor: Any) -> list[tuple[str]]:
    cursor.execute("SELECT relid::regclass::text FROM pg_partition_tree('audit_event') WHERE isleaf")
    found: list[tuple[str]] = cursor.fetchall()
    return found
