"""The files of a folder, which are one table, as one file that can be rewritten and proved clean like any other."""

import csv
from pathlib import Path

import pyarrow.parquet as pq

from erasure.engine.errors import EngineError

_PARQUET = b"PAR1"


def gathered(paths: list[Path], target: Path) -> Path:
    """All rows of ``paths``, in this order, in the new file ``target``; or the only file there is, as it lies.

    Raises EngineError when the files cannot be put together without changing a value.
    """
    if len(paths) == 1:
        return paths[0]
    with paths[0].open("rb") as file:
        parquet = file.read(4) == _PARQUET
    if parquet:
        _gather_parquet(paths, target)
    else:
        _gather_csv(paths, target)
    return target


def _gather_parquet(paths: list[Path], target: Path) -> None:
    schema = pq.read_schema(paths[0]).remove_metadata()
    with pq.ParquetWriter(target, schema) as writer:
        for path in paths:
            with pq.ParquetFile(path) as reader:
                if not reader.schema_arrow.remove_metadata().equals(schema):
                    raise EngineError(
                        "shape_changes", "The files of the folder hold different types; they were left as they are."
                    )
                for batch in reader.iter_batches():
                    writer.write_batch(batch.cast(schema))


def _gather_csv(paths: list[Path], target: Path) -> None:
    """The first file, and the others without their header: every line stays as it is written."""
    with target.open("w", encoding="utf-8", newline="") as whole:
        for number, path in enumerate(paths):
            last = "\n"
            with path.open(encoding="utf-8-sig" if number else "utf-8", newline="") as lines:
                if number:
                    next(csv.reader(iter(lines.readline, "")))  # the header, also one that goes over several lines
                for line in iter(lines.readline, ""):
                    whole.write(line)
                    last = line
            if not last.endswith(("\n", "\r")):
                whole.write("\n")
