"""The records of a CSV file as the bytes they are.

Belongs here: splitting at record ends (RFC 4180: a quoted field may hold line breaks) and reading one field of a
record. Does not belong here: re-writing a record; an untouched record is copied verbatim, so quoting and line ends stay
as they were.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from erasure.engine.errors import EngineError

# DuckDB, which verifies, reads no longer ones.
MAX_RECORD_BYTES: Final = 2_000_000
DELIMITERS: Final = (",", ";", "\t", "|")
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Header:
    raw: bytes
    names: tuple[str, ...]
    delimiter: str
    key: int


@dataclass(frozen=True, slots=True)
class Record:
    raw: bytes
    key: str | None
    """The key field; None for a blank line, which is no record and is copied as it is."""


def read_header(path: Path, column: str) -> Header:
    """The first record. The delimiter is the one of `, ; tab |` under which the header names `column`."""
    with path.open("rb") as stream:
        raw = next(_raw_records(stream), b"")
    for delimiter in DELIMITERS:
        names = _fields(raw.removeprefix(_BOM), delimiter, 1)
        if names.count(column) > 1:
            raise EngineError("column_unknown", f"The file has more than one column named {column!r}.")
        if column in names:
            return Header(raw, tuple(names), delimiter, names.index(column))
    raise EngineError("column_unknown", f"The file has no column named {column!r}.")


def read_records(path: Path, header: Header) -> Iterator[Record]:
    """Every record after the header. Joined, header and records are the file's bytes."""
    with path.open("rb") as stream:
        for number, raw in enumerate(_raw_records(stream), start=1):
            if number == 1:
                continue
            fields = _fields(raw, header.delimiter, number)
            if not fields:
                yield Record(raw, None)
                continue
            if len(fields) != len(header.names):
                raise EngineError(
                    "csv_fields", f"Record {number} of the CSV file does not have as many fields as the header."
                )
            yield Record(raw, fields[header.key])


def _raw_records(stream: BinaryIO) -> Iterator[bytes]:
    parts: list[bytes] = []
    size = quotes = 0
    while line := stream.readline(MAX_RECORD_BYTES + 1):
        parts.append(line)
        size += len(line)
        quotes += line.count(b'"')
        if size > MAX_RECORD_BYTES:
            raise EngineError(
                "csv_record", "A record of the CSV file is larger than 2 MB; perhaps a quote is not closed."
            )
        # A quote inside a quoted field is doubled, so an even count means that every quoted field is closed.
        if quotes % 2 == 0:
            yield b"".join(parts)
            parts, size, quotes = [], 0, 0
    if parts:
        raise EngineError("csv_record", "The CSV file ends inside a quoted field.")


def _fields(raw: bytes, delimiter: str, number: int) -> list[str]:
    try:
        rows = list(csv.reader([raw.decode("utf-8")], delimiter=delimiter, strict=True))
    except UnicodeDecodeError:
        raise EngineError("csv_encoding", f"Record {number} of the CSV file is not UTF-8.") from None
    except csv.Error:
        raise EngineError(
            "csv_record",
            f"Record {number} of the CSV file breaks the quoting rules of RFC 4180 or holds a field that is too long.",
        ) from None
    return rows[0] if rows else []
