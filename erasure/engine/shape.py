"""How a rewritten Parquet file keeps the shape of its source.

Belongs here: the schema without dictionaries, the writer's options, footer metadata that may be kept, and the check
that nothing but rows would change. Does not belong here: moving rows.
"""

import base64
import binascii
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from erasure.engine.errors import EngineError
from erasure.engine.identifiers import IdentifierType, canonical, normalise_all
from erasure.engine.kept import plain_type
from erasure.engine.needles import Needles

_ARROW_SCHEMA: Final = b"ARROW:schema"
_CODECS: Final = {"UNCOMPRESSED": "NONE", "LZ4_RAW": "LZ4"}
# Whether a type was written in the old or the new notation says nothing about the values.
_NOTATION: Final = re.compile(r", is_from_converted_type=\w+, force_set_converted_type=\w+")
_WORD_BREAK: Final = re.compile(r"[^\w.@+-]+")


def plain_schema(source: Any) -> Any:
    """The source's Arrow schema with dictionary columns as plain values, without metadata of the whole."""
    fields = [field.with_type(plain_type(field.type)) for field in source.schema_arrow]
    return pa.schema(fields)


def physical_layout(schema: Any) -> str:
    """The Parquet schema as text, without the root's name and the notation of types."""
    return _NOTATION.sub("", str(schema).partition("{")[2])


def writer_options(source: Any, target: Any) -> dict[str, Any]:
    """Options with which an empty file gets exactly the source's physical schema.

    Raises EngineError when there are none (INT96 timestamps, legacy lists): rewriting would change values or types in
    silence.
    """
    wanted = physical_layout(source.schema)
    if any(source.schema.column(index).physical_type == "INT96" for index in range(len(source.schema))):
        raise EngineError(
            "shape_int96", "The file holds INT96 timestamps, which change when rewritten; migrate it first."
        )
    for version, compliant in product(("2.6", "2.4", "1.0"), (True, False)):
        options: dict[str, Any] = {"version": version, "use_compliant_nested_type": compliant, "store_schema": False}
        trial = io.BytesIO()
        try:
            with pq.ParquetWriter(trial, target, **options):
                pass
        except (pa.ArrowException, NotImplementedError):
            continue
        if physical_layout(pq.ParquetFile(trial).schema) == wanted:
            return {**options, **_storage_options(source)}
    raise EngineError("shape_changes", "Rewriting would change the physical types of the file; it was left as it is.")


def _storage_options(source: Any) -> dict[str, Any]:
    if not source.metadata.num_row_groups:
        return {}
    group = source.metadata.row_group(0)
    chunks = [group.column(index) for index in range(group.num_columns)]
    return {
        "compression": {chunk.path_in_schema: _CODECS.get(chunk.compression, chunk.compression) for chunk in chunks},
        "write_page_index": any(chunk.has_column_index for chunk in chunks),
        "sorting_columns": group.sorting_columns or None,
    }


def clean_metadata(
    stored: Mapping[bytes, bytes] | None, identifiers: Sequence[str], kind: IdentifierType
) -> tuple[dict[bytes, bytes], int]:
    """The footer's key-value pairs that do not name the person, and how many were left out.

    The Arrow schema among them holds a copy of the other pairs and notes of its own on every field; those are cleaned
    too.
    """
    wanted = frozenset(normalise_all(kind, identifiers))
    needles = Needles(kind, identifiers)
    pairs = dict(stored or {})
    arrow = pairs.pop(_ARROW_SCHEMA, None)
    kept, dropped = _clean_pairs(pairs, wanted, needles)
    if arrow is not None:
        cleaned, gone = _clean_arrow_schema(arrow, wanted, needles)
        dropped += gone
        kept |= {} if cleaned is None else {_ARROW_SCHEMA: cleaned}
    return kept, dropped


def _clean_pairs(
    pairs: Mapping[bytes, bytes] | None, wanted: frozenset[str], needles: Needles
) -> tuple[dict[bytes, bytes], int]:
    given = dict(pairs or {})
    kept = {
        key: value
        for key, value in given.items()
        if not any(_names_someone(key, content, wanted, needles) for content in (key, value))
    }
    return kept, len(given) - len(kept)


def _clean_arrow_schema(stored: bytes, wanted: frozenset[str], needles: Needles) -> tuple[bytes | None, int]:
    """The stored schema and how many notes on fields were left out of it.

    It stays byte for byte when it is clean, is written anew without what was not, and is None when that is not enough.
    Copies of the file's own pairs are not counted a second time.
    """
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored, validate=True)))
    except (binascii.Error, pa.ArrowException, OSError):
        return None, 1
    notes, copies = _clean_pairs(schema.metadata, wanted, needles)
    fields, dropped = [], 0
    for field in schema:
        own, gone = _clean_pairs(field.metadata, wanted, needles)
        fields.append(field.with_metadata(own or None) if gone else field)
        dropped += gone
    if copies or dropped:
        schema = pa.schema(fields, notes or None)
        stored = base64.b64encode(schema.serialize().to_pybytes())
    if needles.hits(schema.serialize().to_pybytes()):
        return None, dropped + 1
    return stored, dropped


def _names_someone(key: bytes, content: bytes, wanted: frozenset[str], needles: Needles) -> bool:
    if needles.hits(content):
        return True
    try:
        decoded = base64.b64decode(content, validate=True) if len(content) > 16 else b""
    except binascii.Error:
        decoded = b""
    if needles.hits(decoded):
        return True
    return any(canonical(needles.kind, word) in wanted for text in _texts(key, content) for word in _words(text))


def _words(text: str) -> Iterator[str]:
    yield text
    yield from _WORD_BREAK.split(text)


def _texts(key: bytes, content: bytes) -> list[str]:
    """The texts of a value. Numbers in JSON count, but for those of pandas, which are index bounds and counts."""
    text = content.decode("utf-8", errors="replace")
    try:
        node = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    return list(_scalars(node, numbers=key != b"pandas")) if isinstance(node, dict | list) else [text]


def _scalars(node: object, *, numbers: bool) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
        for value in node.values():
            yield from _scalars(value, numbers=numbers)
    elif isinstance(node, list):
        for item in node:
            yield from _scalars(item, numbers=numbers)
    elif isinstance(node, str) or (numbers and isinstance(node, int)):
        yield str(node)
