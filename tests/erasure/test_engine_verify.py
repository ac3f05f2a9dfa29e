"""The second engine and the search for residue: they must find what the eraser could have left."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from erasure.engine.errors import EngineError
from erasure.engine.identifiers import IdentifierType
from erasure.engine.needles import Needles
from erasure.engine.verify import Verified, compare_kept, verify_absent

EMAIL, ROW_ID = IdentifierType.EMAIL, IdentifierType.ROW_ID
PERSON = "person7@example.org"


def hits(verified: Verified) -> dict[str, int]:
    return {check.name: check.hits for check in verified.residue_checks if check.hits}


def residue_of_dictionary(path: Path, arrow: Any, values: list[Any], keep: int) -> Path:
    """A file as a careless eraser leaves it: no row of the first value, the value still in the dictionary."""
    column = pa.DictionaryArray.from_arrays(pa.array([keep] * 3, pa.int32()), pa.array(values, arrow))
    pq.write_table(pa.table({"id": column, "v": [1, 2, 3]}), path)
    return path


def test_a_dictionary_entry_without_rows_is_found(tmp_path: Path) -> None:
    path = residue_of_dictionary(tmp_path / "f", pa.string(), [PERSON, "other@example.org"], 1)
    verified = verify_absent(path, "id", [PERSON.upper()], EMAIL)
    assert (verified.rows, verified.residual, verified.clean) == (3, 0, False)
    assert hits(verified) == {"dictionaries of the key column": 1, "decompressed pages of all columns": 1}


def test_a_short_id_is_found_in_a_dictionary_by_value(tmp_path: Path) -> None:
    path = residue_of_dictionary(tmp_path / "f", pa.string(), ["17", "170", "2"], 1)
    verified = verify_absent(path, "id", ["17"], ROW_ID)
    assert hits(verified) == {"dictionaries of the key column": 1}
    assert verify_absent(path, "id", ["70"], ROW_ID).clean


def test_what_rows_still_name_is_counted_by_the_other_engine(tmp_path: Path) -> None:
    cells = ["Person7@Example.org", " person7@example.org\u00a0", "nobody@example.org", None, "xperson7@example.org"]
    path = tmp_path / "f"
    pq.write_table(pa.table({"id": cells}), path)
    verified = verify_absent(path, "id", [PERSON], EMAIL)
    assert (verified.rows, verified.residual) == (5, 2)
    assert verified.engine == f"duckdb {duckdb.__version__}"


@pytest.mark.parametrize("arrow", [pa.int16(), pa.uint64(), pa.float64(), pa.decimal128(20, 0)], ids=str)
def test_numbers_are_counted_by_the_other_engine(tmp_path: Path, arrow: Any) -> None:
    path = tmp_path / "f"
    pq.write_table(pa.table({"id": pa.array([17, 170, None, 17]).cast(arrow)}), path)
    verified = verify_absent(path, "id", ["17"], ROW_ID)
    assert (verified.rows, verified.residual) == (4, 2)


def test_statistics_alone_are_found(tmp_path: Path) -> None:
    path = tmp_path / "f"
    pq.write_table(pa.table({"id": [17, 18]}), path, use_dictionary=False)
    assert hits(verify_absent(path, "id", ["17"], ROW_ID)) == {"statistics of the key column": 1}


def test_footer_metadata_is_found(tmp_path: Path) -> None:
    path = tmp_path / "f"
    pq.write_table(pa.table({"id": ["x"]}).replace_schema_metadata({"subject": f"re: {PERSON}"}), path)
    assert hits(verify_absent(path, "id", [PERSON], EMAIL)) == {"footer, headers and gaps": 1}


def test_bytes_that_no_page_owns_are_found(tmp_path: Path) -> None:
    path = tmp_path / "f"
    pq.write_table(pa.table({"id": ["x"]}), path)
    content = path.read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    footer = len(content) - 8 - size
    path.write_bytes(content[:footer] + f"|{PERSON}|".encode() + content[footer:])
    assert pq.read_table(path)["id"].to_pylist() == ["x"]
    assert hits(verify_absent(path, "id", [PERSON], EMAIL)) == {"footer, headers and gaps": 1}


@pytest.mark.parametrize("codec", ["NONE", "SNAPPY", "GZIP", "ZSTD", "LZ4", "BROTLI"])
@pytest.mark.parametrize(
    "options", [{"data_page_version": "1.0"}, {"data_page_version": "2.0"}, {"use_dictionary": False}]
)
def test_a_mention_in_another_column_is_found_in_compressed_pages(
    tmp_path: Path, codec: str, options: dict[str, Any]
) -> None:
    path = tmp_path / "f"
    notes = [f"note {number} " * 20 for number in range(50)]
    notes[31] = f"please call {PERSON}, she waits " * 3
    pq.write_table(
        pa.table({"id": [str(number) for number in range(50)], "note": notes}), path, compression=codec, **options
    )
    found = verify_absent(path, "id", [PERSON], EMAIL)
    assert found.residual == 0
    assert dict(hits(found))["decompressed pages of all columns"] == 3
    assert verify_absent(path, "id", ["rson7@example.org"], EMAIL).clean


def test_prefix_sharing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "f"
    table = pa.table({"id": [PERSON[:-1], PERSON]})
    pq.write_table(
        table, path, use_dictionary=False, column_encoding={"id": "DELTA_BYTE_ARRAY"}, write_statistics=False
    )
    verified = verify_absent(path, "id", [PERSON], EMAIL)
    assert verified.residual == 1
    assert any("re-scan alone: id" in check.note for check in verified.residue_checks)


def test_another_person_whose_address_ends_the_same_is_no_residue() -> None:
    needles = Needles(EMAIL, ["anna@x.de"])
    assert needles.hits(b"\x0b\x00\x00\x00joanna@x.de") == 0
    assert needles.hits(b"\x0c\x00\x00\x00anna@x.de.uk") == 0
    assert needles.hits(b"\x09\x00\x00\x00anna@x.dea\x00\x00\x00") == 1
    assert needles.hits(b"call Anna@X.de now") == 1
    assert needles.hits(b"\x0cto anna@x.dea\x00\x00\x00") == 1
    assert needles.hits(b"anna@x.de") == 1


def test_a_value_across_two_windows_is_found(tmp_path: Path) -> None:
    path = tmp_path / "f"
    border = 4 << 20
    for at in (border - 19, border - 10, border - 1, border):
        head, filler = b"id,note\n", b"1," + b"x" * 1021 + b"\n"
        lines, rest = divmod(at - len(head), len(filler))
        path.write_bytes(head + filler * lines + b"1,".ljust(rest, b" ") + PERSON.encode() + b"\n")
        assert hits(verify_absent(path, "id", [PERSON], EMAIL))["bytes"] >= 1


def test_csv_is_scanned_and_searched(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text(f'id;note\n"PERSON7@example.org";x\nother@x.yz;"asked\nfor {PERSON}"\n')
    verified = verify_absent(path, "id", [PERSON], EMAIL)
    assert (verified.rows, verified.residual, hits(verified)) == (2, 1, {"bytes": 2})


def test_the_second_opinion_sees_a_changed_and_a_swapped_row(tmp_path: Path) -> None:
    source, target = tmp_path / "f", tmp_path / "g"
    pq.write_table(pa.table({"id": ["a", "b", None, "b"], "v": [1, 2, 3, 2]}), source)
    for rows, agree in (
        ({"id": ["b", None, "b"], "v": [2, 3, 2]}, True),
        ({"id": ["b", None, "b"], "v": [2, 3, 4]}, False),
        ({"id": ["b", None], "v": [2, 3]}, False),
        ({"id": [None, None, None], "v": [3, 3, 3]}, False),
    ):
        pq.write_table(pa.table(rows, pa.schema({"id": pa.string(), "v": pa.int64()})), target)
        compared = compare_kept(source, target, "id", ["a"], ROW_ID)
        assert (compared.rows_expected, compared.rows_found, compared.agree) == (3, len(rows["v"]), agree)


def test_what_cannot_be_searched_is_not_clean(tmp_path: Path) -> None:
    path = tmp_path / "f"
    pq.write_table(pa.table({"id": ["a" * 50] * 100}), path)
    content = bytearray(path.read_bytes())
    content[4:12] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(EngineError):
        verify_absent(path, "id", [PERSON], EMAIL)
    odd = tmp_path / "f[1]"
    pq.write_table(pa.table({"id": ["a"]}), odd)
    with pytest.raises(EngineError, match="pattern"):
        verify_absent(odd, "id", [PERSON], EMAIL)
    with pytest.raises(EngineError, match="no column"):
        verify_absent(path.with_name("f[1]").rename(tmp_path / "h"), "nobody", [PERSON], EMAIL)


def test_a_column_name_is_never_read_as_sql(tmp_path: Path) -> None:
    name = 'id"; DROP TABLE cells; --'
    path = tmp_path / "f"
    pq.write_table(pa.table({name: ["a'b", "c"]}), path)
    verified = verify_absent(path, name, ["a'b"], IdentifierType.STRING)
    assert (verified.rows, verified.residual) == (2, 1)
