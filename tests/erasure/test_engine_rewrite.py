"""Writing a file without a person: nothing of them stays, nothing else changes."""

import base64
import csv
import io
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasure.engine import rewrite
from erasure.engine.errors import EngineError
from erasure.engine.identifiers import IdentifierType
from erasure.engine.kept import KeptDigest
from erasure.engine.rewrite import Rewritten, rewrite_without
from erasure.engine.verify import compare_kept, verify_absent

ROW_ID, EMAIL = IdentifierType.ROW_ID, IdentifierType.EMAIL
PERSON = "person7@example.org"


def erase(source: Path, ids: list[str], kind: IdentifierType = ROW_ID, column: str = "id") -> tuple[Path, Rewritten]:
    target = source.with_name(f"{source.name}.erased")
    target.unlink(missing_ok=True)
    return target, rewrite_without(source, target, column, ids, kind)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_null_keys_stay(tmp_path: Path) -> None:
    source = tmp_path / "f"
    pq.write_table(pa.table({"id": ["a", "b", None, "c", "d", "e"]}), source)
    target, done = erase(source, ["a"])
    assert (done.rows_in, done.erased, done.rows_out) == (6, 1, 5)
    assert pq.read_table(target)["id"].to_pylist() == ["b", None, "c", "d", "e"]


@pytest.mark.parametrize("row_group_size", [50, 1000])
def test_no_dictionary_keeps_the_person_not_even_in_untouched_groups(tmp_path: Path, row_group_size: int) -> None:
    people = [f"person{number % 40}@example.org" if number < 500 else "other@example.org" for number in range(1000)]
    source = tmp_path / "f"
    pd.DataFrame({"id": pd.Categorical(people), "v": range(1000)}).to_parquet(
        source, row_group_size=row_group_size, compression=None, index=False
    )
    assert source.read_bytes().count(PERSON.encode()) >= 1000 // row_group_size

    target, done = erase(source, [PERSON], EMAIL)

    assert done.erased == 13
    assert PERSON.encode() not in target.read_bytes()
    assert verify_absent(target, "id", [PERSON], EMAIL).clean
    # Readers still see a categorical column.
    assert pq.ParquetFile(target).schema_arrow.equals(pq.ParquetFile(source).schema_arrow)
    expected = [person for person in people if person != PERSON]
    assert pd.read_parquet(target)["id"].astype(str).tolist() == expected


def test_nested_dictionaries_leave_no_residue(tmp_path: Path) -> None:
    names = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int8()), pa.array([PERSON, "x@y.zz"]))
    table = pa.table({"id": names, "s": pa.StructArray.from_arrays([names], ["mail"])})
    source = tmp_path / "f"
    pq.write_table(table, source, compression="none")
    target, done = erase(source, [PERSON], EMAIL)
    assert (done.erased, done.rows_out) == (2, 1)
    assert PERSON.encode() not in target.read_bytes()


def test_footer_metadata_that_names_the_person_is_dropped(tmp_path: Path) -> None:
    source = tmp_path / "f"
    table = pa.table({"id": ["17", "18"], "m": [PERSON, "x@y.zz"]})
    notes = {
        "export": '{"subject": 17}',
        "who": PERSON,
        "free": "case of 17, urgent",
        "version": "1.17",
        "owner": "bank",
    }
    table = table.set_column(1, pa.field("m", pa.string(), metadata={"seen": PERSON}), table["m"])
    pq.write_table(table.replace_schema_metadata(notes), source)
    target, done = erase(source, ["17"])
    assert done.metadata_dropped == 2
    # The stored Arrow schema holds a copy of every note.
    assert set(pq.ParquetFile(target).schema_arrow.metadata) == {b"who", b"version", b"owner"}
    assert b"case of 17" not in base64.b64decode(pq.ParquetFile(target).metadata.metadata[b"ARROW:schema"])
    assert set(pq.ParquetFile(target).metadata.metadata) == {b"who", b"version", b"owner", b"ARROW:schema"}
    # The note of the file and the one on the field.
    target, done = erase(source, [PERSON], EMAIL, "m")
    assert done.metadata_dropped == 2
    assert b"who" not in pq.ParquetFile(target).metadata.metadata
    assert PERSON.encode() not in base64.b64decode(pq.ParquetFile(target).metadata.metadata[b"ARROW:schema"])
    assert verify_absent(target, "m", [PERSON], EMAIL).clean


def test_a_note_on_a_field_that_names_the_person_is_dropped(tmp_path: Path) -> None:
    source = tmp_path / "f"
    schema = pa.schema([pa.field("id", pa.string(), metadata={"first": "17", "unit": "number"})])
    pq.write_table(pa.table({"id": ["17", "18"]}, schema), source)
    target, done = erase(source, ["17"])
    assert done.metadata_dropped == 1
    assert pq.ParquetFile(target).schema_arrow.field("id").metadata == {b"unit": b"number"}


def test_pandas_metadata_stays_although_it_holds_numbers(tmp_path: Path) -> None:
    source = tmp_path / "f"
    pd.DataFrame({"id": [str(number) for number in range(17)]}).to_parquet(source)
    target, done = erase(source, ["16"])
    assert done.metadata_dropped == 0
    assert b"pandas" in pq.ParquetFile(target).metadata.metadata
    assert pd.read_parquet(target)["id"].tolist() == [str(number) for number in range(16)]


def test_german_credit_loses_two_applicants(tmp_path: Path) -> None:
    source = Path(__file__).parent.parent.parent / "demo" / "data" / "german.parquet"
    target = tmp_path / "german.parquet"
    done = rewrite_without(source, target, "row_id", ["17", "999"], ROW_ID)
    assert done.sha256_source == "cc6c51e43ad06b9fc8c973711a8d2661808415afcac6a897b84fdbf85c21e2a8"
    assert (done.rows_in, done.erased, done.rows_out) == (1000, 2, 998)
    assert verify_absent(source, "row_id", ["17", "999"], ROW_ID).residual == 2
    assert verify_absent(target, "row_id", ["17", "999"], ROW_ID).clean
    assert compare_kept(source, target, "row_id", ["17", "999"], ROW_ID).agree
    expected = pd.read_parquet(source).drop(index=[17, 999]).reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.read_parquet(target), expected)


def test_every_row_may_go(tmp_path: Path) -> None:
    source = tmp_path / "f"
    pq.write_table(pa.table({"id": pa.array([17, 17], pa.int32()), "t": ["x", "y"]}), source)
    target, done = erase(source, ["17"])
    assert (done.rows_in, done.erased, done.rows_out) == (2, 2, 0)
    assert pq.read_table(target).schema == pq.read_table(source).schema
    verified = verify_absent(target, "id", ["17"], ROW_ID)
    assert (verified.rows, verified.clean) == (0, True)


def test_erasing_someone_who_is_not_there_changes_no_row(tmp_path: Path) -> None:
    source = tmp_path / "f"
    pq.write_table(pa.table({"id": [1, 2]}), source)
    target, done = erase(source, ["3"])
    assert (done.erased, done.rows_out) == (0, 2)
    assert pq.read_table(target).equals(pq.read_table(source))


def wide_table() -> pa.Table:
    """One column per type a data set may hold, with NULL in each."""
    instant = datetime(2026, 3, 5, 12, 30, 15, 123456, tzinfo=UTC)
    columns: dict[str, Any] = {
        "id": pa.array([1, 2, None, 1, 5]),
        "text": pa.array(["a", None, "", "\u00e4\u00f6", "e"]),
        "large": pa.array(["a", None, "", "d", "e"], pa.large_string()),
        "raw": pa.array([b"\x00", None, b"", b"d", b"e"]),
        "fixed": pa.array([b"ab", None, b"cd", b"ef", b"gh"], pa.binary(2)),
        "flag": pa.array([True, None, False, True, False]),
        "small": pa.array([1, None, -3, 4, 5], pa.int8()),
        "unsigned": pa.array([1, None, 2**64 - 1, 4, 5], pa.uint64()),
        "real": pa.array([1.5, None, float("nan"), -0.0, float("inf")]),
        "half": pa.array([1.5, None, 2.5, 3.5, 4.5], pa.float32()),
        "money": pa.array([Decimal("1.23"), None, Decimal("-4.56"), Decimal(0), Decimal(1)], pa.decimal128(12, 2)),
        "day": pa.array([instant.date(), None, *[instant.date()] * 3]),
        "ns": pa.array([1, None, 3, 4, 2**60 + 1], pa.timestamp("ns")),
        "zoned": pa.array([instant, None, *[instant] * 3]),
        "list": pa.array([[1, None], None, [], [4], [5, 6]]),
        "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": None}, {"a": 4, "b": "y"}, {"a": 5, "b": ""}]),
        "map": pa.array([[("k", 1)], None, [], [("l", None)], [("m", 3)]], pa.map_(pa.string(), pa.int64())),
        "deep": pa.array([[{"x": ["p"]}], None, [None], [{"x": None}], [{"x": ["q", None]}]]),
        "nothing": pa.nulls(5),
        "category": pa.array(["u", None, "v", "u", "w"]).dictionary_encode(),
    }
    return pa.table(columns)


@pytest.mark.parametrize("codec", ["NONE", "SNAPPY", "GZIP", "ZSTD", "LZ4", "BROTLI"])
@pytest.mark.parametrize("page_version", ["1.0", "2.0"])
def test_every_type_and_codec_survives(tmp_path: Path, codec: str, page_version: str) -> None:
    source, table = tmp_path / "f", wide_table()
    pq.write_table(table, source, compression=codec, data_page_version=page_version, row_group_size=2)
    target, done = erase(source, ["1"])
    before, after = pq.ParquetFile(source), pq.ParquetFile(target)
    assert (done.rows_in, done.erased, done.rows_out) == (5, 2, 3)
    assert after.schema_arrow.equals(before.schema_arrow, check_metadata=True)
    assert after.schema.equals(before.schema)
    assert after.metadata.row_group(0).column(0).compression == before.metadata.row_group(0).column(0).compression
    expected = pq.read_table(source).take([1, 2, 4])
    for name in table.column_names:
        if name == "real":
            assert str(pq.read_table(target)[name].to_pylist()) == str(expected[name].to_pylist())
        else:
            assert pq.read_table(target)[name].to_pylist() == expected[name].to_pylist(), name
    assert verify_absent(target, "id", ["1"], ROW_ID).clean
    assert compare_kept(source, target, "id", ["1"], ROW_ID).agree


def test_int96_is_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    source = tmp_path / "f"
    table = pa.table({"id": [1], "t": pa.array([1], pa.timestamp("ns"))})
    pq.write_table(table, source, use_deprecated_int96_timestamps=True)
    with pytest.raises(EngineError, match="INT96"):
        erase(source, ["1"])
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize(
    "options", [{"version": "1.0"}, {"version": "2.4"}, {"use_compliant_nested_type": False}], ids=str
)
def test_older_physical_layouts_stay_what_they_are(tmp_path: Path, options: dict[str, Any]) -> None:
    source = tmp_path / "f"
    table = pa.table({"id": pa.array([1, 2], pa.uint32()), "t": pa.array([1, 2], pa.timestamp("us")), "l": [[1], [2]]})
    pq.write_table(table, source, **options)
    target, _ = erase(source, ["1"])
    assert pq.ParquetFile(target).schema.equals(pq.ParquetFile(source).schema)


def test_a_target_is_never_replaced_and_the_source_never_touched(tmp_path: Path) -> None:
    source = tmp_path / "f"
    pq.write_table(pa.table({"id": [1, 2]}), source)
    content = source.read_bytes()
    with pytest.raises(EngineError, match="never replaces"):
        rewrite_without(source, source, "id", ["1"], ROW_ID)
    target, done = erase(source, ["1"])
    with pytest.raises(EngineError, match="never replaces"):
        rewrite_without(source, target, "id", ["1"], ROW_ID)
    assert source.read_bytes() == content
    assert names(tmp_path) == ["f", "f.erased"]
    assert done.bytes_target == target.stat().st_size


@pytest.mark.parametrize(("rows", "digest"), [(-1, ""), (0, "0" * 64)])
def test_a_gate_that_fails_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, digest: str
) -> None:
    source = tmp_path / "f"
    pq.write_table(pa.table({"id": [1, 2, 3]}), source)
    real = rewrite.kept_digest

    def wrong(path: Path, column: str) -> tuple[int, str]:
        found, kept = real(path, column)
        return found + rows, digest or kept

    monkeypatch.setattr(rewrite, "kept_digest", wrong)
    with pytest.raises(EngineError):
        erase(source, ["1"])
    assert names(tmp_path) == ["f"]


def test_a_source_that_changes_meanwhile_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "f"
    source.write_bytes(b"id,v\n1,2\n3,4\n")
    real = rewrite.kept_digest

    def meanwhile(path: Path, column: str) -> tuple[int, str]:
        source.write_bytes(b"id,v\n1,2\n3,4\n5,6\n")
        return real(path, column)

    monkeypatch.setattr(rewrite, "kept_digest", meanwhile)
    with pytest.raises(EngineError, match="changed while"):
        erase(source, ["1"])
    assert names(tmp_path) == ["f"]


def test_the_kept_digest_ignores_batches_and_nothing_else() -> None:
    table = wide_table()
    whole, pieces, sliced = KeptDigest(), KeptDigest(), KeptDigest()
    whole.update(table)
    for start in range(5):
        pieces.update(table.slice(start, 1))
    sliced.update(pa.concat_tables([table, table]).slice(5, 5).combine_chunks())
    assert whole.hexdigest() == pieces.hexdigest() == sliced.hexdigest()
    digests = {whole.hexdigest()}
    for name in table.column_names:
        if name == "nothing":
            continue
        index = table.column_names.index(name)
        swapped = table.set_column(index, name, table[name].take([1, 0, 2, 3, 4]))
        changed = KeptDigest()
        changed.update(swapped)
        digests.add(changed.hexdigest())
    assert len(digests) == len(table.column_names)


def test_csv_keeps_untouched_records_byte_for_byte(tmp_path: Path) -> None:
    head, first, second, third = b'"id",v,note\r\n', b'1,"a",x\r\n', b'2, b ,"two\r\nlines, ""1"""\r\n', b'"1",c,\n'
    last = b"4,'d',\"last\""
    source = tmp_path / "f"
    source.write_bytes(head + first + second + third + b"\r\n" + last)
    target, done = erase(source, ["1"])
    assert target.read_bytes() == head + second + b"\r\n" + last
    assert (done.rows_in, done.erased, done.rows_out) == (4, 2, 2)
    assert done.kept_digest_after == done.sha256_target
    assert compare_kept(source, target, "id", ["1"], ROW_ID).agree


KEYS = st.one_of(
    st.lists(st.none() | st.integers(-3, 3), min_size=1, max_size=60).map(lambda cells: pa.array(cells, pa.int64())),
    st.lists(
        st.none() | st.sampled_from(["1", "2", "-1", "A", "a", " 1", "1\t", "\u00e91"]), min_size=1, max_size=60
    ).map(lambda cells: pa.array(cells, pa.string())),
)


@settings(max_examples=25, deadline=None)
@given(
    keys=KEYS,
    encode=st.booleans(),
    group=st.integers(1, 20),
    wanted=st.sets(st.sampled_from(["1", "2", "-1", "a", "\u00e91"]), min_size=1),
)
def test_kept_rows_are_the_same_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, keys: Any, encode: bool, group: int, wanted: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("round")
    source = folder / "f"
    table = pa.table({"id": keys.dictionary_encode() if encode else keys, "v": pa.array(range(len(keys)))})
    pq.write_table(table, source, row_group_size=group)
    target, done = erase(source, sorted(wanted))

    stays = [row for row in table.to_pylist() if row["id"] is None or str(row["id"]).strip() not in wanted]
    assert pq.read_table(target).to_pylist() == stays
    assert done.rows_in - done.erased == done.rows_out == len(stays)
    assert verify_absent(target, "id", sorted(wanted), ROW_ID).clean
    before = verify_absent(source, "id", sorted(wanted), ROW_ID)
    assert before.residual == done.erased
    assert compare_kept(source, target, "id", sorted(wanted), ROW_ID).agree


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["1", " 1", "2", "x"]), st.text(alphabet='a",\n;\u00e9 ', max_size=6)), max_size=30
    ),
    ending=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_csv_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], ending: str, quoting: Any
) -> None:
    source = tmp_path_factory.mktemp("round") / "f"
    text = io.StringIO()
    csv.writer(text, lineterminator=ending, quoting=quoting).writerows([("id", "note"), *rows])
    source.write_bytes(text.getvalue().encode())
    target, done = erase(source, ["1"])
    kept = list(csv.reader(io.StringIO(target.read_bytes().decode(), newline="")))
    assert kept[1:] == [list(row) for row in rows if row[0].strip() != "1"]
    assert done.erased == sum(count for key, count in Counter(row[0] for row in rows).items() if key.strip() == "1")
    verified = verify_absent(target, "id", ["1"], ROW_ID)
    assert (verified.rows, verified.clean) == (done.rows_out, True)
