"""Which kind of data file this is, and how it is opened.

Belongs here: recognising Parquet and CSV by content (a content-addressed store has no suffixes) and checking the key
column. Does not belong here: comparing values.
"""

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from erasure.engine.errors import EngineError

BATCH_ROWS: Final = 131_072
_PROBE_BYTES: Final = 65_536
_CHUNK_BYTES: Final = 1 << 20


class DataFormat(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"


def format_of(path: Path) -> DataFormat:
    """Parquet or CSV by the file's first bytes; anything else is refused."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_PROBE_BYTES)
    except OSError as error:
        raise EngineError("file_unreadable", f"The data file cannot be read: {error.strerror}.") from None
    if head[:4] == b"PAR1":
        return DataFormat.PARQUET
    if head[:4] == b"PARE":
        raise EngineError("file_encrypted", "The Parquet file is encrypted; it cannot be searched or rewritten.")
    # Compressed and binary formats hold zero bytes or bytes that are not UTF-8 within their first kilobytes.
    text = head.decode("utf-8", errors="ignore").encode() if head else b""
    if not head or b"\x00" in head or len(head) - len(text) > 3:
        raise EngineError("file_format", "The data file is neither Parquet nor CSV in UTF-8.")
    return DataFormat.CSV


def open_parquet(path: Path) -> Any:  # pyarrow ships no types
    """A `ParquetFile` that reads page by page instead of a whole row group at once."""
    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError):
        raise EngineError("file_broken", "The Parquet file cannot be opened; its footer is damaged.") from None


def key_type(source: Any, column: str) -> Any:
    """The Arrow type of the key column without its dictionary; refused when absent, repeated or of a wrong type."""
    found = source.schema_arrow.get_all_field_indices(column)
    if len(found) != 1:
        often = "no" if not found else "more than one"
        raise EngineError("column_unknown", f"The file has {often} column named {column!r}.")
    arrow = source.schema_arrow.field(found[0]).type
    arrow = arrow.value_type if pa.types.is_dictionary(arrow) else arrow
    if not (is_text(arrow) or is_number(arrow)):
        raise EngineError("column_type", f"The column {column!r} is of type {arrow}, which cannot hold an identifier.")
    return arrow


def is_text(arrow: Any) -> bool:
    return bool(pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow))


def is_number(arrow: Any) -> bool:
    whole_decimal = pa.types.is_decimal(arrow) and arrow.scale == 0
    return bool(pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or whole_decimal)


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's bytes in hex, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
