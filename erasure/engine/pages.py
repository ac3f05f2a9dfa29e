"""The pages inside a Parquet file, decompressed one at a time.

Belongs here: walking column chunks page by page, which pyarrow does not offer, and the small part of Thrift's compact
protocol that page headers need (Parquet format, `PageHeader`). Does not belong here: looking for anyone in them.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from erasure.engine.errors import EngineError

DATA_PAGE: Final = 0
DICTIONARY_PAGE: Final = 2
DATA_PAGE_V2: Final = 3

_CODECS: Final = {
    "SNAPPY": "snappy",
    "GZIP": "gzip",
    "ZSTD": "zstd",
    "BROTLI": "brotli",
    "LZ4_RAW": "lz4_raw",
    "LZ4": "lz4_raw",
}
_MAX_PAGE_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a column: where its body lies in the file, and its content without compression."""

    column: str
    kind: int
    start: int
    stop: int
    values: int
    content: bytes


class _Compact:
    """A cursor over Thrift's compact protocol; a struct becomes {field id: value}, text stays bytes."""

    def __init__(self, buffer: Any, position: int) -> None:
        self.buffer = buffer
        self.position = position

    def _byte(self) -> int:
        byte = int(self.buffer[self.position])
        self.position += 1
        return byte

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._zigzag()
            fields[field] = head & 0x0F == 1 if head & 0x0F in (1, 2) else self._value(head & 0x0F)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (1, 2, 3):
            return self._byte()
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 8:
            length = self._varint()
            self.position += length
            return bytes(self.buffer[self.position - length : self.position])
        if kind == 12:
            return self.struct()
        raise ValueError("a page header holds a Thrift type it must not hold")


def pages(mapped: mmap.mmap, metadata: Any) -> Iterator[Page]:
    """Every page of every column chunk. `metadata` is pyarrow's FileMetaData of the same file.

    Raises EngineError when a page cannot be read: a search that skips what it cannot read proves nothing.
    """
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(index)
            try:
                yield from _chunk_pages(mapped, chunk)
            except (ValueError, IndexError, KeyError, OSError, pa.ArrowException):
                where = f"column {chunk.path_in_schema!r}, row group {group}"
                raise EngineError(
                    "page_unreadable", f"A page of {where} cannot be read, so it cannot be searched."
                ) from None


def _chunk_pages(mapped: mmap.mmap, chunk: Any) -> Iterator[Page]:
    start = int(chunk.data_page_offset)
    if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
        start = min(start, int(chunk.dictionary_page_offset))
    position, end = start, start + int(chunk.total_compressed_size)
    while position < end:
        cursor = _Compact(mapped, position)
        header = cursor.struct()
        body, size = cursor.position, int(header[3])
        if not 0 <= size <= end - body or not 0 <= int(header[2]) <= _MAX_PAGE_BYTES:
            raise ValueError("a page is larger than its column chunk")
        content = _plain(bytes(mapped[body : body + size]), header, chunk.compression)
        details = header.get(5) or header.get(7) or header.get(8) or {}
        yield Page(chunk.path_in_schema, int(header[1]), body, body + size, int(details.get(1, 0)), content)
        position = body + size


def _plain(body: bytes, header: dict[int, Any], compression: str) -> bytes:
    levels = 0
    if header[1] == DATA_PAGE_V2:
        levels = int(header[8].get(5, 0)) + int(header[8].get(6, 0))
        if header[8].get(7, True) is False:
            return body
    expected = int(header[2]) - levels
    if compression == "UNCOMPRESSED" or expected == 0:
        return body
    content = pa.decompress(body[levels:], decompressed_size=expected, codec=_CODECS[compression], asbytes=True)
    return body[:levels] + bytes(content)
