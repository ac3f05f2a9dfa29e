"""Writing a data file again without a person.

Belongs here: the streaming rewrite, its gates, and putting the new file in place. Does not belong here: choosing what
to erase, registering the new data set version, deleting the old file.

The source is never touched. The new file appears under its name only when it is complete, flushed to disk, and every
gate holds: rows out = rows in − rows of the person, the kept rows have the same digest read back as they had in the
source, the schema is the same, and the source did not change meanwhile.
"""

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from erasure.engine.errors import EngineError
from erasure.engine.formats import BATCH_ROWS, DataFormat, format_of, key_type, open_parquet, sha256_of
from erasure.engine.identifiers import IdentifierType, canonical, normalise_all
from erasure.engine.kept import KeptDigest
from erasure.engine.matching import Matcher
from erasure.engine.records import read_header, read_records
from erasure.engine.shape import clean_metadata, physical_layout, plain_schema, writer_options


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What the rewrite did; digests are SHA-256 in hex. `metadata_dropped` counts footer notes naming the person."""

    rows_in: int
    erased: int
    rows_out: int
    kept_digest_before: str
    kept_digest_after: str
    sha256_source: str
    sha256_target: str
    bytes_source: int
    bytes_target: int
    metadata_dropped: int
    engine: str


@dataclass(frozen=True, slots=True)
class _Pass:
    rows_in: int
    erased: int
    kept_digest: str
    metadata_dropped: int = 0


def rewrite_without(
    source: Path, target: Path, column: str, identifiers: Sequence[str], kind: IdentifierType
) -> Rewritten:
    """Write to `target` the rows of `source` whose `column` holds none of `identifiers`.

    `target` must not exist; its directory must. Rows keep their order, and rows with NULL in the key stay. A file of
    which nothing remains keeps its schema. Raises EngineError, leaving no target, when a gate fails or the file cannot
    be rewritten faithfully.
    """
    if target.exists():
        raise EngineError("target_exists", "The file to be written already exists; a rewrite never replaces a file.")
    form = format_of(source)
    before = _fingerprint(source)
    sha256_source = sha256_of(source)
    with _new_file(target) as part:
        write = _write_parquet if form is DataFormat.PARQUET else _write_csv
        done = write(source, part, column, identifiers, kind)
        rows_out, kept_after = kept_digest(part, column)
        _check(done, rows_out, kept_after)
        if _fingerprint(source) != before:
            raise EngineError("source_changed", "The source file changed while it was being rewritten.")
        sha256_target, size = sha256_of(part), part.stat().st_size
    engine = f"pyarrow {pa.__version__}" if form is DataFormat.PARQUET else "record filter 1"
    return Rewritten(
        rows_in=done.rows_in,
        erased=done.erased,
        rows_out=rows_out,
        kept_digest_before=done.kept_digest,
        kept_digest_after=kept_after,
        sha256_source=sha256_source,
        sha256_target=sha256_target,
        bytes_source=before[2],
        bytes_target=size,
        metadata_dropped=done.metadata_dropped,
        engine=engine,
    )


def _check(done: _Pass, rows_out: int, kept_after: str) -> None:
    if rows_out != done.rows_in - done.erased:
        raise EngineError(
            "rows_do_not_add_up", "The new file does not have the rows of the source less those of the person."
        )
    if kept_after != done.kept_digest:
        raise EngineError("kept_rows_changed", "The rows that stay are not the same in the new file; it was discarded.")


def _fingerprint(path: Path) -> tuple[int, int, int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` that becomes it when the block ends well, and vanishes when it does not."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        part.touch(mode=0o600, exist_ok=False)
        yield part
        _flush_to_disk(part)
        part.replace(target)
        _flush_to_disk(target.parent)
    finally:
        part.unlink(missing_ok=True)


def _flush_to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_parquet(source: Path, part: Path, column: str, identifiers: Sequence[str], kind: IdentifierType) -> _Pass:
    digest = KeptDigest()
    erased = 0
    with open_parquet(source) as reader:
        matcher = Matcher(kind, identifiers, key_type(reader, column))
        schema = plain_schema(reader)
        options = writer_options(reader, schema)
        metadata, dropped = clean_metadata(reader.metadata.metadata, identifiers, kind)
        # The stored Arrow schema is among the metadata and carried over as bytes: readers still see their categorical
        # columns, although the values were written plain and no old dictionary came along.
        with pq.ParquetWriter(part, schema, **options) as writer:
            if metadata:
                writer.add_key_value_metadata(metadata)
            for batch in _batches(reader):
                table = pa.Table.from_batches([batch]).cast(schema)
                mask = matcher.mask(table.column(column).combine_chunks())
                kept = table.filter(pc.invert(mask))
                erased += table.num_rows - kept.num_rows
                digest.update(kept)
                if kept.num_rows:
                    writer.write_table(kept, row_group_size=BATCH_ROWS)
        rows_in, layout = int(reader.metadata.num_rows), physical_layout(reader.schema)
    with open_parquet(part) as result:
        if physical_layout(result.schema) != layout:
            raise EngineError(
                "shape_changes", "Rewriting would change the physical types of the file; it was left as it is."
            )
    return _Pass(rows_in, erased, digest.hexdigest(), dropped)


def _batches(reader: Any) -> Iterator[Any]:
    """Batches that do not cross row groups, so that the new file keeps their borders where they are small enough."""
    for group in range(reader.metadata.num_row_groups):
        yield from reader.iter_batches(BATCH_ROWS, row_groups=[group])


def _write_csv(source: Path, part: Path, column: str, identifiers: Sequence[str], kind: IdentifierType) -> _Pass:
    wanted = frozenset(normalise_all(kind, identifiers))
    header = read_header(source, column)
    digest = hashlib.sha256()
    rows = erased = 0
    with part.open("wb") as output:
        output.write(header.raw)
        digest.update(header.raw)
        for record in read_records(source, header):
            rows += record.key is not None
            if record.key is not None and canonical(kind, record.key) in wanted:
                erased += 1
                continue
            output.write(record.raw)
            digest.update(record.raw)
    return _Pass(rows, erased, digest.hexdigest())


def kept_digest(path: Path, column: str) -> tuple[int, str]:
    """Rows and kept-row digest of a whole file. CSV records are verbatim, so there it is the digest of the bytes."""
    if format_of(path) is DataFormat.CSV:
        records = read_records(path, read_header(path, column))
        return sum(record.key is not None for record in records), sha256_of(path)
    digest = KeptDigest()
    with open_parquet(path) as reader:
        for batch in _batches(reader):
            digest.update(batch)
    return digest.rows, digest.hexdigest()
