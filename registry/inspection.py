"""A program of its own: what is in a data file, and the same rows as Parquet. One JSON request in, one answer out.

It runs as a short child (``tabular.py`` starts it): the libraries that read tables would double the size of a web
process, and a file that crashes them ends this child and nothing else. Only DuckDB and the standard library here; no
Django, no project imports.
"""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb

MEMORY = "768MB"
# Text that merely looks like a truth value or a date stays text, as it does for most who read CSV.
CSV_TYPES = ["BIGINT", "DOUBLE", "VARCHAR"]
PARQUET_MARK = b"PAR1"
PARQUET_SEALED = b"PARE"


class UnreadableError(Exception):
    """The file cannot be taken; the message is the sentence to show."""


def format_of(path: Path) -> str:
    """``parquet`` or ``csv``, by content. Raises UnreadableError for anything else."""
    with path.open("rb") as file:
        head = file.read(65_536)
    if head[:4] == PARQUET_MARK:
        return "parquet"
    if head[:4] == PARQUET_SEALED:
        raise UnreadableError("The Parquet file is encrypted, so nobody could examine it.")
    # A chunk may end within a character of up to four bytes.
    whole = len(head.decode("utf-8", errors="ignore").encode())
    if not head.strip() or b"\x00" in head or len(head) - whole > 3:
        raise UnreadableError("The file is neither Parquet nor CSV in UTF-8.")
    return "csv"


def open_table(path: str, *allowed: str) -> duckdb.DuckDBPyRelation:
    """The table, on a connection that reaches this file, the ``allowed`` ones and nothing else."""
    connection = duckdb.connect(config={"threads": 2, "memory_limit": MEMORY, "temp_directory": ""})
    connection.execute("SET allowed_paths = ?", [[path, *allowed]])
    connection.execute("SET enable_external_access = false")
    if format_of(Path(path)) == "parquet":
        return connection.read_parquet(path)
    # sample_size −1: types hold for every row, not for the first ones.
    return connection.read_csv(
        path, header=True, quotechar='"', escapechar='"', sample_size=-1, auto_type_candidates=CSV_TYPES
    )


def describe(request: dict[str, Any]) -> dict[str, Any]:
    """Format, row count, and columns with DuckDB's names of types."""
    table = open_table(request["path"])
    columns = [{"name": name, "type": str(kind)} for name, kind in zip(table.columns, table.types, strict=True)]
    rows = table.aggregate("count(*)").fetchall()[0][0]
    return {"format": format_of(Path(request["path"])), "rows": rows, "columns": columns}


def count(request: dict[str, Any]) -> dict[str, Any]:
    """How many rows hold ``value`` in ``column``."""
    held = duckdb.ColumnExpression(request["column"]) == duckdb.ConstantExpression(request["value"])
    return {"held": open_table(request["path"]).filter(held).aggregate("count(*)").fetchall()[0][0]}


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the rows, in their order, to the Parquet file ``target``."""
    open_table(request["path"], request["target"]).write_parquet(request["target"])
    return {}


TASKS = {"describe": describe, "count": count, "convert": convert}


def main() -> None:
    """Answer one request with one JSON object on standard output: the result, or ``{"error": sentence}``."""
    request = json.load(sys.stdin)
    try:
        answer = TASKS[request["task"]](request)
    except UnreadableError as error:
        answer = {"error": str(error)}
    except (duckdb.Error, OSError) as error:
        line = (str(error).splitlines() or ["no reason was given"])[0]
        answer = {"error": f"The file cannot be read as a table: {line[:300]}"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
