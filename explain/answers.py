"""Read what a sandboxed child wrote, as hostile bytes: exact shape or a `bad_output` error. No meaning is judged here.

Arrow messages are checked one at a time before their columns are touched, and what passes is written again by us.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from explain.sandbox import SandboxError

JSON_BYTES = 16 * 1024 * 1024
NAME_LENGTH = 256
NAMES = 50  # libraries, notes: more is not an honest answer
Json = dict[str, Any]  # parsed JSON of unknown shape, until checked


def bad(detail: str) -> SandboxError:
    return SandboxError("bad_output", f"The model's process gave an answer that cannot be accepted: {detail}.")


# --- JSON ---


def read_json(path: Path) -> Json:
    """One JSON object within the size cap, without NaN or repeated names."""
    if path.stat().st_size > JSON_BYTES:
        raise bad("it is too large")
    return parse_json(path.read_bytes())


def parse_json(raw: bytes) -> Json:
    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is not a number")

    def unique(pairs: list[tuple[str, Any]]) -> Json:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a name is repeated")
        return dict(pairs)

    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=refuse, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise bad("it is not JSON") from error
    if not isinstance(value, dict):
        raise bad("it is not a JSON object")
    return value


def exact_names(value: Any, names: Sequence[str], where: str) -> Json:
    if not isinstance(value, dict) or set(value) != set(names):
        raise bad(f"{where} does not have exactly the expected names")
    return value


def number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad(f"{where} is not a number")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise bad(f"{where} is not finite")
    return float(value)


def count(value: Any, at_most: int, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= at_most:
        raise bad(f"{where} is not a count between 0 and {at_most}")
    return value


def numbers(value: Any, length: int, where: str) -> list[float]:
    if not isinstance(value, list) or len(value) != length:
        raise bad(f"{where} is not a list of {length} numbers")
    return [number(item, where) for item in value]


def text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > NAME_LENGTH or not value.isprintable():
        raise bad(f"{where} is not a short line of text")
    return value


def texts(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or len(value) > NAMES:
        raise bad(f"{where} is not a short list")
    return [text(item, where) for item in value]


def text_map(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > NAMES:
        raise bad(f"{where} is not a short list of names")
    return {text(name, where): text(item, where) for name, item in value.items()}


def columns(value: Any, known: Sequence[str]) -> list[str]:
    """Feature names: some of the columns we sent, each once."""
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise bad("the features are not a list of names")
    if len(set(value)) != len(value) or not set(value) <= set(known):
        raise bad("the features are not columns of the data")
    return value


# --- Arrow ---


def is_compressed(metadata: bytes) -> bool:
    """Whether a record batch message says its buffers are compressed, read from the FlatBuffers bytes.

    Decompressing is where a few kilobytes become gigabytes, and pyarrow does it without asking. Layout (Message.fbs of
    the Arrow format): field 2 of Message is the header, and field 3 of RecordBatch is the compression.
    """

    def field(table: int, index: int) -> int:
        """Where the field's value is, 0 when the table leaves it out."""
        vtable = table - struct.unpack_from("<i", metadata, table)[0]
        size = struct.unpack_from("<H", metadata, vtable)[0]
        at = 4 + 2 * index
        offset = struct.unpack_from("<H", metadata, vtable + at)[0] if at + 2 <= size else 0
        return table + offset if offset else 0

    try:
        message = struct.unpack_from("<I", metadata, 0)[0]
        header = field(message, 2)
        batch = header + struct.unpack_from("<I", metadata, header)[0]
        return field(batch, 3) != 0
    except struct.error as error:
        raise bad("an Arrow message cannot be read") from error


def read_batches(path: Path, schema: pa.Schema, rows: int) -> tuple[Json, Iterator[pa.RecordBatch]]:
    """The metadata of an Arrow stream with exactly this schema, and its batches, checked, `rows` in all."""
    messages = _messages(path)
    first = next(messages, None)
    if first is None or first.type != "schema":
        raise bad("it is not an Arrow stream")
    try:
        found = pa.ipc.read_schema(first)
    except pa.ArrowException as error:
        raise bad("its schema cannot be read") from error
    raw: Mapping[bytes, bytes] = found.metadata or {}
    if not found.remove_metadata().equals(schema, check_metadata=True):
        raise bad("its columns are not the expected ones")
    if set(raw) != {b"plimsoll"} or len(raw[b"plimsoll"]) > JSON_BYTES:
        raise bad("its description is missing")
    return parse_json(raw[b"plimsoll"]), _batches(messages, schema, rows)


def _messages(path: Path) -> Iterator[pa.Message]:
    with pa.memory_map(str(path)) as source:
        try:
            reader = pa.ipc.MessageReader.open_stream(source)
            while True:
                yield reader.read_next_message()
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise bad("it is not an Arrow stream") from error


def _batches(messages: Iterator[pa.Message], schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    seen = 0
    for message in messages:
        if message.type != "record batch" or is_compressed(message.metadata.to_pybytes()):
            raise bad("it holds something else than plain rows")
        try:
            batch = pa.ipc.read_record_batch(message, schema)
            batch.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            raise bad("its rows cannot be read") from error
        if batch.num_rows == 0:
            raise bad("it holds an empty batch")
        seen += batch.num_rows
        if seen > rows:
            raise bad(f"it has more than the {rows} rows of the data")
        yield batch
    if seen != rows:
        raise bad(f"it has {seen} rows where the data has {rows}")
