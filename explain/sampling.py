"""Choose and copy the rows a child gets to see: by seed, proportional by protected group, and never the label.

Chosen in the trusted worker, so a model decides neither which rows explain it nor what they are compared with.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BATCH_ROWS = 50_000
COMPARISONS = {">": pc.greater, ">=": pc.greater_equal, "<": pc.less, "<=": pc.less_equal}
PRIVILEGED, UNPRIVILEGED, UNKNOWN = 1, 0, -1


class RowsError(ValueError):
    """The data set or a rule does not fit the job; the message is the sentence to show."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    rows: int
    groups: dict[str, list[int]]  # protected column → PRIVILEGED, UNPRIVILEGED or UNKNOWN for each row


def open_rows(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise RowsError("The data set cannot be read as a Parquet file.") from error


def group_codes(column: pa.ChunkedArray, rule: Mapping[str, Any]) -> np.ndarray:
    """Shape (rows,): PRIVILEGED where the rule {"op", "value"} holds, UNKNOWN where the value is missing."""
    operator, value = rule.get("op"), rule.get("value")
    try:
        if operator == "in" and isinstance(value, (list, tuple)):
            holds = pc.is_in(column, value_set=pa.array(value))
        elif operator in COMPARISONS:
            holds = COMPARISONS[operator](column, value)
        else:
            raise RowsError(f"The rule of a protected attribute cannot be read: {dict(rule)!r}.")
    except pa.ArrowException as error:
        raise RowsError(f"The rule of a protected attribute does not fit its column: {dict(rule)!r}.") from error
    codes = np.where(np.asarray(pc.fill_null(holds, False)), PRIVILEGED, UNPRIVILEGED)
    return np.where(np.asarray(pc.is_null(column)), UNKNOWN, codes)


def choose(total: int, wanted: int, seed: Sequence[int], strata: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Sorted positions of `wanted` rows, proportional by stratum: evenly spaced in a shuffle sorted by stratum."""
    if total <= wanted:
        return np.arange(total)
    order = np.random.default_rng(list(seed)).permutation(total)
    if strata:
        order = order[np.lexsort([codes[order] for codes in strata])]
    every = np.floor((np.arange(wanted) + 0.5) * total / wanted).astype(np.int64)
    return np.sort(order[every])


def sample(
    source: Path,
    target: Path,
    *,
    columns: Sequence[str],
    wanted: int,
    seed: Sequence[int],
    groups: Mapping[str, Mapping[str, Any]],
) -> Sample:
    """Write `columns` of the chosen rows to `target` (Parquet)."""
    rows = open_rows(source)
    _require([*columns, *groups], rows)
    if rows.metadata.num_rows == 0:
        raise RowsError("The data set has no rows.")
    codes = {name: group_codes(rows.read(columns=[name]).column(0), rule) for name, rule in groups.items()}
    chosen = choose(rows.metadata.num_rows, wanted, seed, list(codes.values()))
    _write(target, rows, columns, chosen)
    return Sample(rows=len(chosen), groups={name: found[chosen].tolist() for name, found in codes.items()})


def without(source: Path, target: Path, *, label: str) -> pq.ParquetFile:
    """Write every column but the label to `target`, and return the opened source."""
    rows = open_rows(source)
    _require([label], rows)
    _write(target, rows, [name for name in rows.schema_arrow.names if name != label], None)
    return rows


def _require(columns: Sequence[str], rows: pq.ParquetFile) -> None:
    missing = [name for name in dict.fromkeys(columns) if name not in rows.schema_arrow.names]
    if missing:
        raise RowsError(f"The data set lacks the columns {', '.join(missing)}.")


def _write(target: Path, rows: pq.ParquetFile, columns: Sequence[str], chosen: np.ndarray | None) -> None:
    schema = pa.schema([rows.schema_arrow.field(name) for name in columns])
    with pq.ParquetWriter(target, schema) as writer:
        for batch in _batches(rows, columns, chosen):
            writer.write_batch(batch.select(list(columns)).cast(schema))


def _batches(rows: pq.ParquetFile, columns: Sequence[str], chosen: np.ndarray | None) -> Iterator[pa.RecordBatch]:
    first = 0
    for batch in rows.iter_batches(batch_size=BATCH_ROWS, columns=list(columns)):
        if chosen is None:
            yield batch
        else:
            low, high = np.searchsorted(chosen, [first, first + batch.num_rows])
            yield batch.take(pa.array(chosen[low:high] - first))
        first += batch.num_rows


def digest(path: Path, columns: Sequence[str]) -> str:
    """SHA-256 over one JSON line of names and types, then one JSON line a row, in the given order of columns."""
    table = pq.read_table(path, columns=list(columns)).select(list(columns))
    found = hashlib.sha256(_line([[field.name, str(field.type)] for field in table.schema]))
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            found.update(_line(list(row)))
    return found.hexdigest()


def _line(values: list[Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), default=str).encode() + b"\n"
