"""The export bundle as a file: its bytes, its contents, its table."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from audit import bundle, merkle, verify, views
from tests.audit.sample_log import BUNDLES, LOG, SIZE, Log, judge, unpacked


def test_the_same_export_gives_the_same_bytes() -> None:
    first, second = LOG.zip_of_range(), LOG.zip_of_range()
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as files:
        names = files.namelist()
        assert files.testzip() is None
        assert {each.date_time for each in files.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names == sorted(names)
    assert set(names) == {
        "README.txt", "anchors.json", "checkpoint", "disclosures.ndjson", "events.cloudevents.ndjson", "events.csv",
        "events.ndjson", "events.ocsf.ndjson", "leaf-hashes", "manifest.json", "range-proof", "trust.json", "verify.py",
    }  # fmt: skip


def test_the_files_hold_what_was_given() -> None:
    with zipfile.ZipFile(io.BytesIO(BUNDLES["part"])) as files:
        assert files.read("events.ndjson") == b"".join(leaf + b"\n" for leaf in LOG.leaves[7:29])
        assert files.read("checkpoint").decode() == LOG.checkpoint()
        assert files.read("verify.py") == Path(verify.__file__).read_bytes()
        manifest = json.loads(files.read("manifest.json"))
    assert next(iter(manifest)) == "authoritative"
    assert (manifest["first_index"], manifest["last_index"], manifest["entries"]) == (7, 28, 22)
    assert (manifest["disclosures"], manifest["exporter"], manifest["query"]) == (44, "p:2", {"log": "admin"})
    assert (manifest["format"], manifest["completeness"]) == ("plimsoll-audit-export/2", "range")
    assert (manifest["witnessed"], manifest["minimum_index"], manifest["object"]) == ("UNWITNESSED", 0, None)


def test_the_further_files_of_format_two() -> None:
    previous = bundle.Previous(5, "a note\n", merkle.consistency_proof(5, SIZE, LOG.tree.node))
    receipt: bundle.Confirmation = {
        "anchor": "board", "kind": "file", "size": 30, "root": "ab" * 32, "at": "2025-01-02T00:00:00Z", "receipt": "r",
    }  # fmt: skip
    archive = LOG.zip_of_range(
        previous=previous, confirmations=[receipt], witnesses=["w+1+2"], minimum_index=3, version="7", views=["csv"]
    )
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        assert files.read("checkpoint.prev") == b"a note\n"
        hashes = [each.hex() for each in previous.proof]
        assert json.loads(files.read("consistency")) == {"from": 5, "to": SIZE, "hashes": hashes}
        assert json.loads(files.read("anchors.json")) == [receipt]
        key = {"key": LOG.common()["verifier_keys"][0]["key"], "from_size": 0, "to_size": None}
        assert json.loads(files.read("trust.json")) == {
            "origin": LOG.common()["origin"], "keys": [key], "witnesses": ["w+1+2"],
        }  # fmt: skip
        manifest = json.loads(files.read("manifest.json"))
        assert {"events.ocsf.ndjson", "events.cloudevents.ndjson"}.isdisjoint(files.namelist())
        assert b"NOT AUTHORITATIVE" in files.read("README.txt")
    assert (manifest["witnessed"], manifest["minimum_index"], manifest["tool_version"]) == (["board"], 3, "7")
    assert manifest["confirmed"] == [{"anchor": "board", "kind": "file", "size": 30}]


def test_pieces_do_not_show_in_the_files() -> None:
    """More entries than one piece holds, and one object's proofs."""
    log = Log()
    for number in range(2 * bundle.PIECE // 8 + 5):
        log.append(f"m{number % 7}")
    indices = list(range(0, len(log.leaves), 2))
    proofs = [merkle.inclusion_proof(index, len(log.leaves), log.tree.node) for index in indices]
    out = io.BytesIO()
    bundle.write_bundle(
        out, start=0, leaves=[log.leaves[index] for index in indices], left=[], right=[], completeness="object",
        indices=indices, proofs=proofs, subject=("model_version", "m1"), **log.common(disclosures=[]),
    )  # fmt: skip
    with zipfile.ZipFile(out) as files:
        assert files.read("events.ndjson") == b"".join(log.leaves[index] + b"\n" for index in indices)
        assert files.read("leaf-hashes").split() == [merkle.leaf_hash(log.leaves[i]).hex().encode() for i in indices]
        told = [json.loads(line) for line in files.read("proofs.ndjson").splitlines()]
        assert json.loads(files.read("manifest.json"))["object"] == {"type": "model_version", "id": "m1"}
    assert told == [
        {"index": i, "hashes": [each.hex() for each in proof]} for i, proof in zip(indices, proofs, strict=True)
    ]


def test_the_table_cannot_run_formulas() -> None:
    log = Log()
    starts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"]
    for number, start in enumerate(starts):
        log.append(f"{start}", reason_code=f"{number}=", outcome=start)
    rows = list(
        csv.reader(io.StringIO(zipfile.ZipFile(io.BytesIO(log.zip_of_range())).read("events.csv").decode(), newline=""))
    )
    assert rows[0] == list(views.COLUMNS)
    assert [row[5] for row in rows[1:]] == ["'" + start for start in starts]
    assert [row[9] for row in rows[1:]] == ["'" + start for start in starts]
    assert [row[11] for row in rows[1:]] == [f"{number}=" for number in range(7)]
    assert [row[12] for row in rows[1:]] == [merkle.leaf_hash(leaf).hex() for leaf in log.leaves]


def test_a_damaged_leaf_is_exported_and_shown_as_damage(tmp_path: Path) -> None:
    damaged = [*LOG.leaves[:5], b"\xff not json", *LOG.leaves[6:]]
    left, right = merkle.range_proof(0, SIZE, SIZE, LOG.tree.node)
    out = io.BytesIO()
    bundle.write_bundle(
        out, start=0, leaves=damaged, left=left, right=right, completeness="range", **LOG.common(disclosures=[])
    )
    code, out_text = judge(unpacked(out.getvalue(), tmp_path / "bundle"))
    assert code == 1
    assert "TAMPERED  proof:" in out_text


@pytest.mark.parametrize(
    "changes",
    [
        {"leaves": [b"two\nlines"]},
        {"leaves": [b""]},
        {"leaves": [b"x" * 65_536]},
        {"size": 0},
        {"start": -1},
        {"completeness": "inclusion"},
        {"completeness": "inclusion", "indices": [0], "proofs": []},
        {"completeness": "inclusion", "indices": [1, 1], "proofs": [[], []], "leaves": [b"a", b"b"]},
    ],
)
def test_arguments_that_do_not_belong_together(changes: dict[str, Any]) -> None:
    arguments = LOG.common(disclosures=[], start=0, leaves=[b"leaf"], left=[], right=[], completeness="range")
    with pytest.raises(ValueError, match=r"entr|leaf|indices"):
        bundle.write_bundle(io.BytesIO(), **{**arguments, **changes})
