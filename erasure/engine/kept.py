"""A digest over the rows that stay, the same before and after a rewrite.

Belongs here: the canonical byte streams of Arrow columns. Does not belong here: what is kept and why.

Arrow IPC bytes of equal rows differ with batch borders, offsets, unused validity bitmaps and whatever lies under a
NULL, so they cannot be compared between two files. Here every leaf column feeds three streams of its own: positions of
NULLs, lengths, and the values that are there. A stream does not know where a batch ended, hence the digest does not
either. Dictionary columns count as their values.
"""

import hashlib
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from erasure.engine.errors import EngineError

_VERSION: Final = b"plimsoll kept rows 1\n"


def plain_type(arrow: Any) -> Any:
    """`arrow` with every dictionary, also nested ones, replaced by the type of its values."""
    if pa.types.is_dictionary(arrow):
        return plain_type(arrow.value_type)
    if pa.types.is_struct(arrow):
        return pa.struct([_plain_field(arrow.field(index)) for index in range(arrow.num_fields)])
    if pa.types.is_map(arrow):
        return pa.map_(_plain_field(arrow.key_field), _plain_field(arrow.item_field), keys_sorted=arrow.keys_sorted)
    if pa.types.is_large_list(arrow):
        return pa.large_list(_plain_field(arrow.value_field))
    if pa.types.is_fixed_size_list(arrow):
        return pa.list_(_plain_field(arrow.value_field), arrow.list_size)
    if pa.types.is_list(arrow):
        return pa.list_(_plain_field(arrow.value_field))
    return arrow


def _plain_field(field: Any) -> Any:
    return field.with_type(plain_type(field.type))


class KeptDigest:
    """SHA-256 over the rows given to `update`, in order, whatever the batches."""

    def __init__(self) -> None:
        self.rows = 0
        self._streams: dict[str, Any] = {}
        self._counts: dict[str, int] = {}

    def update(self, rows: Any) -> None:
        """Take in a record batch or table."""
        for index, field in enumerate(rows.schema):
            column = rows.column(index)
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                self._add(f"{index}:{field.name}", chunk.cast(plain_type(chunk.type)))
        self.rows += int(rows.num_rows)

    def hexdigest(self) -> str:
        total = hashlib.sha256(_VERSION + f"{self.rows}\n".encode())
        for name in sorted(self._streams):
            total.update(f"{len(name)}:{name}:{self._counts.get(name, 0)}:".encode())
            total.update(self._streams[name].digest())
        return total.hexdigest()

    def _feed(self, name: str, content: Any) -> None:
        self._streams.setdefault(name, hashlib.sha256()).update(content)

    def _add(self, name: str, cells: Any) -> None:
        """Feed the streams of one column chunk: NULL positions first, then only what is there."""
        start = self._counts.get(name, 0)
        self._counts[name] = start + len(cells)
        nulls = np.flatnonzero(cells.is_null().to_numpy(zero_copy_only=False)) + start
        self._feed(name, f"{cells.type}\n".encode() if start == 0 and len(cells) else b"")
        self._feed(f"{name}/null", nulls.astype("<i8").tobytes())
        present = cells.drop_null() if len(nulls) else cells
        if isinstance(cells.type, pa.BaseExtensionType):
            present = present.storage
        self._add_present(name, present)

    def _add_present(self, name: str, cells: Any) -> None:
        arrow = cells.type
        if pa.types.is_null(arrow):
            return
        if pa.types.is_struct(arrow):
            for index, child in enumerate(cells.flatten()):
                self._add(f"{name}/{index}:{arrow.field(index).name}", child)
        elif pa.types.is_nested(arrow):
            self._add_lists(name, cells)
        elif _is_bytes(arrow):
            self._add_bytes(name, cells.cast(pa.large_binary()))
        else:
            self._feed(name, _fixed_width(cells))

    def _add_lists(self, name: str, cells: Any) -> None:
        arrow = cells.type
        if pa.types.is_map(arrow):
            cells = cells.cast(pa.list_(pa.struct([arrow.key_field, arrow.item_field])))
        elif pa.types.is_union(arrow):
            raise EngineError(
                "column_type_unsupported", "A column of a union type cannot be compared before and after."
            )
        self._feed(f"{name}/length", pc.list_value_length(cells).cast(pa.int64()).to_numpy().astype("<i8").tobytes())
        self._add(f"{name}/item", cells.flatten())

    def _add_bytes(self, name: str, cells: Any) -> None:
        self._feed(f"{name}/length", pc.binary_length(cells).to_numpy().astype("<i8").tobytes())
        _, offsets, content = cells.buffers()
        if content is None or not len(cells):
            return
        bounds = np.frombuffer(offsets, np.int64)[cells.offset : cells.offset + len(cells) + 1]
        self._feed(name, memoryview(content)[int(bounds[0]) : int(bounds[-1])])


def _is_bytes(arrow: Any) -> bool:
    checks = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
    )
    return any(check(arrow) for check in checks)


def _fixed_width(cells: Any) -> Any:
    """The value bytes of an array without NULL, little-endian as Arrow lays them out."""
    if pa.types.is_boolean(cells.type):
        return cells.cast(pa.uint8()).to_numpy().tobytes()
    try:
        width = cells.type.bit_width // 8
    except ValueError:
        raise EngineError(
            "column_type_unsupported", f"A column of type {cells.type} cannot be compared before and after."
        ) from None
    content = cells.buffers()[1]
    if content is None or not len(cells):
        return b""
    return memoryview(content)[cells.offset * width : (cells.offset + len(cells)) * width]
