"""The export bundle as a file: its bytes, its contents, its table."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from audit import bundle, merkle, verify
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
        "README.txt", "checkpoint", "disclosures.ndjson", "events.csv", "events.ndjson", "leaf-hashes",
        "manifest.json", "range-proof", "trust.json", "verify.py",
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


def test_the_table_cannot_run_formulas() -> None:
    log = Log()
    starts = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"]
    for number, start in enumerate(starts):
        log.append(f"{start}", reason_code=f"{number}=", outcome=start)
    rows = list(
        csv.reader(io.StringIO(zipfile.ZipFile(io.BytesIO(log.zip_of_range())).read("events.csv").decode(), newline=""))
    )
    assert rows[0] == list(bundle.COLUMNS)
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
