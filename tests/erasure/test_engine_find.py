"""Counting a person's rows in Parquet and CSV."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasure.engine.errors import EngineError
from erasure.engine.find import Found, find_rows
from erasure.engine.identifiers import IdentifierType, canonical
from erasure.engine.matching import Matcher

KINDS = list(IdentifierType)


def parquet(path: Path, cells: Any, arrow: Any = None, **options: Any) -> Path:
    pq.write_table(pa.table({"id": pa.array(cells, arrow), "v": pa.array(range(len(cells)))}), path, **options)
    return path


def test_counts_rows_groups_and_null(tmp_path: Path) -> None:
    path = parquet(tmp_path / "f", ["a", "b", None, "a", "c", "c"], row_group_size=2)
    found = find_rows(path, "id", ["a"], IdentifierType.ROW_ID)
    assert found == Found(6, 2, 1, 3, 2, path.stat().st_size)


@pytest.mark.parametrize(
    "arrow",
    [
        pa.int8(),
        pa.int64(),
        pa.uint8(),
        pa.float32(),
        pa.float64(),
        pa.decimal128(18, 0),
        pa.string(),
        pa.large_string(),
    ],
    ids=str,
)
def test_a_number_is_found_by_its_text(tmp_path: Path, arrow: Any) -> None:
    cells: list[Any] = [1, 17, None, 71, 17]
    if pa.types.is_decimal(arrow):
        cells = [None if cell is None else Decimal(cell) for cell in cells]
    elif pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
        cells = [None if cell is None else str(cell) for cell in cells]
    path = parquet(tmp_path / "f", cells, arrow)
    assert find_rows(path, "id", ["17"], IdentifierType.ROW_ID).rows_matched == 2
    assert find_rows(path, "id", ["017", "1e1", "x", "99999999999"], IdentifierType.ROW_ID).rows_matched == 0


def test_ids_too_large_for_a_float_column_are_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "f", [1.0, float(2**53), None], pa.float64())
    with pytest.raises(EngineError, match="floating-point"):
        find_rows(path, "id", [str(2**53 + 1)], IdentifierType.ROW_ID)


def test_blanks_case_and_accents_escape_nobody(tmp_path: Path) -> None:
    cells = ["Anna@X.de", " anna@x.de ", "anna@x.de\u00a0", "ANNA@X.DE", "joanna@x.de", "anna@x.de.", None]
    path = parquet(tmp_path / "f", cells)
    assert find_rows(path, "id", ["anna@x.de"], IdentifierType.EMAIL).rows_matched == 4
    assert find_rows(path, "id", ["anna@x.de"], IdentifierType.ROW_ID).rows_matched == 2
    assert find_rows(path, "id", ["anna@x.de"], IdentifierType.STRING).rows_matched == 0


@given(
    cells=st.lists(
        st.none() | st.text(alphabet="aAbB \t\x1c\u00df\u0130\u00e9e\u0301@.\u00a0", max_size=4), max_size=30
    ),
    wanted=st.text(alphabet="aAbB\u00df\u0130\u00e9e\u0301", min_size=1, max_size=2),
    kind=st.sampled_from([kind for kind in KINDS if kind is not IdentifierType.EMAIL]),
)
def test_the_fast_comparison_is_the_rule(cells: list[str | None], wanted: str, kind: IdentifierType) -> None:
    expected = [cell is not None and canonical(kind, cell) == canonical(kind, wanted) for cell in cells]
    for arrow in (pa.string(), pa.large_string()):
        assert Matcher(kind, [wanted], arrow).mask(pa.array(cells, arrow)).to_pylist() == expected


@given(
    cells=st.lists(st.text(alphabet="aA\u00df\u0130sS\u017f \u00a0", max_size=3), max_size=30),
    local=st.text(alphabet="aA\u00df\u0130sS\u017f", min_size=1, max_size=3),
)
def test_the_fast_comparison_of_mail_is_the_rule(cells: list[str], local: str) -> None:
    kind = IdentifierType.EMAIL
    mails = [f"{cell}@x.de" for cell in cells]
    expected = [canonical(kind, mail) == canonical(kind, f"{local}@x.de") for mail in mails]
    assert Matcher(kind, [f"{local}@x.de"], pa.string()).mask(pa.array(mails, pa.string())).to_pylist() == expected


def test_csv_with_quoted_line_breaks_and_another_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes('\ufeffid;note\r\n17;"two\r\nlines; ""17"""\r\n18;17\r\n\r\n" 17";x\r\n;y'.encode())
    assert find_rows(path, "id", ["17"], IdentifierType.ROW_ID) == Found(4, 2, 1, 0, 0, path.stat().st_size)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_format"),
        (b"\x00\x01\x02", "file_format"),
        (b"\x1f\x8b\x08 gzip \xff\xfe\xfd\xfc", "file_format"),
        (b"PARE....", "file_encrypted"),
        (b"PAR1....", "file_broken"),
        (b"name,v\n1,2\n", "column_unknown"),
        (b"id,id\n1,2\n", "column_unknown"),
        (b"id,v\n1\n", "csv_fields"),
        (b'id,v\n1,"2\n', "csv_record"),
        (b"id,v\n1,2\r3,4\n", "csv_record"),
        (b'id,v\n1,"' + b"x\n" * 1_000_001 + b'"\n', "csv_record"),
        (b'id,v\n1,"2"x\n', "csv_record"),
        (b"id,v\nfine," + b"x" * 70_000 + b"\n1,\xff\n", "csv_encoding"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        find_rows(path, "id", ["17"], IdentifierType.ROW_ID)
    assert caught.value.code == code


def test_a_missing_file_and_columns_of_other_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        find_rows(tmp_path / "absent", "id", ["17"], IdentifierType.ROW_ID)
    for cells in ([True], [b"x"], [{"a": 1}], [["x"]]):
        path = parquet(tmp_path / "f", cells)
        with pytest.raises(EngineError, match="cannot hold an identifier"):
            find_rows(path, "id", ["17"], IdentifierType.ROW_ID)
    with pytest.raises(EngineError, match="no column named 'nobody'"):
        find_rows(path, "nobody", ["17"], IdentifierType.ROW_ID)
