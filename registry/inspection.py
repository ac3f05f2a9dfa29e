"""A program of its own: what is in a data file, and the same rows as Parquet. One JSON request in, one answer out.

It runs as a short child (``tabular.py`` starts it): the libraries that read tables would double the size of a web
process, and a file that crashes them ends this child and nothing else. Only DuckDB and the standard library here; no
Django, no project imports.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

MEMORY = "768MB"
# Text that merely looks like a truth value or a date stays text, as it does for most who read CSV.
CSV_TYPES = ["BIGINT", "DOUBLE", "VARCHAR"]
PARQUET_MARK = b"PAR1"
PARQUET_SEALED = b"PARE"


Read = Callable[[duckdb.DuckDBPyConnection, list[str]], duckdb.DuckDBPyRelation]


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


def files_of(path: Path) -> list[str]:
    """The files of a table in the order of their paths: the file itself, or all below a folder."""
    if not path.is_dir():
        return [str(path)]
    below = [one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file()]
    return [str(path / name) for name in sorted(below)]


def open_table(path: str, *allowed: str) -> duckdb.DuckDBPyRelation:
    """The table, on a connection that reaches its files, the ``allowed`` ones and nothing else."""
    files = files_of(Path(path))
    connection = duckdb.connect(config={"threads": 2, "memory_limit": MEMORY, "temp_directory": ""})
    connection.execute("SET allowed_paths = ?", [[*files, *allowed]])
    connection.execute("SET enable_external_access = false")
    formats = {format_of(Path(file)) for file in files}
    if len(formats) > 1:
        raise UnreadableError("The folder holds both Parquet and CSV files; a table is of one format.")
    read = parquet if formats == {"parquet"} else csv
    _refuse_mixed(connection, files, read)
    table = read(connection, files)
    if len(files) > 1 and _rows(table) != sum(_rows(read(connection, [file])) for file in files):
        raise UnreadableError("The files of the folder cannot be read as one table: some of their rows are lost.")
    return table


def parquet(connection: duckdb.DuckDBPyConnection, files: list[str]) -> duckdb.DuckDBPyRelation:
    """Parquet files as one table."""
    return connection.read_parquet(files, hive_partitioning=False)


def csv(connection: duckdb.DuckDBPyConnection, files: list[str]) -> duckdb.DuckDBPyRelation:
    """CSV files as one table. ``sample_size`` −1: types hold for every row, not for the first ones."""
    return connection.read_csv(
        files,  # type: ignore[arg-type] # the stub knows one file only
        header=True,
        quotechar='"',
        escapechar='"',
        sample_size=-1,
        auto_type_candidates=CSV_TYPES,
        hive_partitioning=False,
    )


def _refuse_mixed(connection: duckdb.DuckDBPyConnection, files: list[str], read: Read) -> None:
    """The files of one table are written in one way: the same columns in the same order, of the same types in Parquet,
    with the same delimiter and line ends in CSV. DuckDB reads all of them as it found the first, and would leave out
    the rows of one that is written otherwise without a word.
    """
    first = None
    for file in files if len(files) > 1 else ():
        table = read(connection, [file])
        written = [str(kind) for kind in table.types] if read is parquet else _dialect(connection, file)
        shape = (table.columns, written)
        first = first or shape
        if shape != first:
            what = "have the same columns" if shape[0] != first[0] or read is parquet else "have the same line ends"
            raise UnreadableError(f"The files of the folder do not {what}: {Path(file).name[:100]} differs.")


def _dialect(connection: duckdb.DuckDBPyConnection, file: str) -> list[str]:
    query = "SELECT Delimiter, NewLineDelimiter, SkipRows FROM sniff_csv(?)"
    return [str(value) for row in connection.execute(query, [file]).fetchall() for value in row]


def _rows(table: duckdb.DuckDBPyRelation) -> int:
    return int(table.aggregate("count(*)").fetchall()[0][0])


def describe(request: dict[str, Any]) -> dict[str, Any]:
    """Format, row count, and columns with DuckDB's names of types."""
    table = open_table(request["path"])
    columns = [{"name": name, "type": str(kind)} for name, kind in zip(table.columns, table.types, strict=True)]
    return {"format": format_of(Path(files_of(Path(request["path"]))[0])), "rows": _rows(table), "columns": columns}


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
