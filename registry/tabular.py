"""Data files as tables, read by a child process (``inspection.py``) so that no process of ours has to grow for it.

What belongs here: asking the child. What columns mean is ``columns.py``; where files lie is ``storage.py``.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audit.errors import Conflict, Invalid
from registry import storage
from registry.models import DataSet
from registry.states import DataState

_PROGRAM: Final = Path(__file__).with_name("inspection.py")
_SECONDS: Final = 300
_PARQUET_MARK: Final = b"PAR1"
Scalar = str | int | float | bool


@dataclass(frozen=True)
class Table:
    """What is in a file. ``columns`` are {"name", "type"} in their order, with DuckDB's names of types."""

    format: str
    rows: int
    columns: list[dict[str, str]]


def describe(path: Path) -> Table:
    """What is in the file at ``path``. Raises Invalid when it is no table we can read."""
    answer = _ask({"task": "describe", "path": str(path)})
    return Table(answer["format"], answer["rows"], answer["columns"])


def rows_with(path: Path, column: str, value: Scalar) -> int:
    """How many rows hold ``value`` in ``column``. Raises Invalid when the two cannot be compared."""
    return int(_ask({"task": "count", "path": str(path), "column": column, "value": value})["held"])


def content_of(data_set: DataSet) -> Path:
    """The file of a data set, or its folder of files, after every byte has been hashed again.

    Raises Conflict when the content was erased or is not what was registered.
    """
    if data_set.state == DataState.ERASED:
        raise Conflict(f"The content of {data_set} was erased.", code="data_erased")
    above = data_set.path.rpartition("/")[0]
    wrong = storage.differing(above, data_set.manifest)
    if wrong is not None:
        raise Conflict(
            f"The stored content of {data_set} is not what was registered: {wrong} differs.", code="content_changed"
        )
    return storage.existing(data_set.path)


def files_of(data_set: DataSet) -> list[Path]:
    """Every file of a data set by itself, hashed again like ``content_of``."""
    path = content_of(data_set)
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def as_parquet(data_set: DataSet, scratch: Path) -> Path:
    """The rows of a data set as a Parquet file: its own file, or a converted copy in ``scratch``."""
    path = content_of(data_set)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(4) == _PARQUET_MARK:
                return path
    target = scratch / f"{data_set.pk}.parquet"
    if not target.exists():
        _ask({"task": "convert", "path": str(path), "target": str(target)})
    return target


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    """One request to a new child, with none of our environment. ``Any`` is what JSON is."""
    command = [sys.executable, "-I", str(_PROGRAM)]
    try:
        done = subprocess.run(
            command, input=json.dumps(request), capture_output=True, text=True, timeout=_SECONDS, env={}, check=False
        )
    except subprocess.TimeoutExpired:
        raise Invalid(f"Reading the file took longer than {_SECONDS} seconds.", code="unreadable_table") from None
    if done.returncode != 0:
        raise Invalid("The file ended the program that reads tables; it may be damaged.", code="unreadable_table")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "error" in answer:
        raise Invalid(answer["error"], code="unreadable_table")
    return answer
