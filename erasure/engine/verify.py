"""Checking an erasure with another engine than the one that erased.

Belongs here: the DuckDB re-scan, the second opinion on the rows that stay, and the gathering of residue checks. Does
not belong here: pyarrow's reading of rows (that is the eraser's path) and deciding what a failed check means for the
request.

The comparison is written twice on purpose. DuckDB matches printable ASCII by itself; cells with anything else come out
of DuckDB as distinct values and go through the normalising rule, whose home is `identifiers`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from erasure.engine.errors import EngineError
from erasure.engine.formats import DataFormat, format_of
from erasure.engine.identifiers import IdentifierType, canonical, normalise_all
from erasure.engine.records import read_header
from erasure.engine.residue import ResidueCheck, search_csv, search_parquet

_SETTINGS: Final = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET memory_limit = '512MB'",
    "SET preserve_insertion_order = false",
    "SET threads = 2",
)
_INTEGERS: Final = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
)
_FETCH: Final = 10_000


@dataclass(frozen=True, slots=True)
class Verified:
    """`residual` counts rows that still name the person; `clean` also asks that no residue check found anything."""

    rows: int
    residual: int
    engine: str
    residue_checks: tuple[ResidueCheck, ...]

    @property
    def clean(self) -> bool:
        return self.residual == 0 and not any(check.hits for check in self.residue_checks)


@dataclass(frozen=True, slots=True)
class KeptComparison:
    """Rows that had to stay, rows that are there, and whether their contents agree as a multiset."""

    rows_expected: int
    rows_found: int
    agree: bool
    engine: str


def verify_absent(path: Path, column: str, identifiers: Sequence[str], kind: IdentifierType) -> Verified:
    """Re-scan `path` for `identifiers` with DuckDB and search its bytes for residue.

    Raises EngineError when the file cannot be read to its end: what was not searched is not clean.
    """
    form = format_of(path)
    with _scan(path, column, form) as scan:
        rows = scan.number("SELECT count(*) FROM cells")
        residual = _residual(scan, kind, normalise_all(kind, identifiers))
    search = (
        search_csv(path, identifiers, kind)
        if form is DataFormat.CSV
        else search_parquet(path, column, identifiers, kind)
    )
    return Verified(rows, residual, f"duckdb {duckdb.__version__}", tuple(search))


def compare_kept(
    source: Path, target: Path, column: str, identifiers: Sequence[str], kind: IdentifierType
) -> KeptComparison:
    """Compare, in DuckDB, the rows of `source` that do not name the person with all rows of `target`.

    Count, exclusive-or and sum of DuckDB's 64-bit row hashes: a second opinion by another engine beside the SHA-256 of
    `rewrite`, not a cryptographic proof.
    """
    wanted = normalise_all(kind, identifiers)
    with _scan(source, column, format_of(source)) as scan:
        texts = _matching_texts(scan, kind, wanted)
        expected = scan.row("SELECT {hash} FROM cells WHERE NOT coalesce(list_contains($texts, {text}), false)", texts)
    with _scan(target, column, format_of(target)) as scan:
        found = scan.row("SELECT {hash} FROM cells WHERE len($texts) >= 0", texts)
    return KeptComparison(int(expected[0]), int(found[0]), expected == found, f"duckdb {duckdb.__version__}")


class _Scan:
    """One file as the view `cells`; `{text}` in a statement stands for the key as text."""

    def __init__(self, connection: Any, text: str) -> None:
        self._connection = connection
        self._text = text

    def run(self, statement: str, texts: Sequence[str] | None = None) -> Any:
        row_hash = "count(*), bit_xor(hash(cells)), sum(hash(cells)::HUGEINT)"
        sql = statement.replace("{text}", self._text).replace("{hash}", row_hash)
        try:
            return self._connection.execute(sql, {} if texts is None else {"texts": list(texts)})
        except duckdb.Error:
            # The engine's message may quote a cell.
            raise EngineError("rescan_failed", "The re-scan could not read the file to its end.") from None

    def row(self, statement: str, texts: Sequence[str] | None = None) -> tuple[Any, ...]:
        return tuple(self.run(statement, texts).fetchone())

    def number(self, statement: str, texts: Sequence[str] | None = None) -> int:
        return int(self.row(statement, texts)[0])


@contextmanager
def _scan(path: Path, column: str, form: DataFormat) -> Iterator[_Scan]:
    if set("*?[]") & set(str(path)):
        raise EngineError(
            "path_pattern", "The file's path holds one of * ? [ ], which the re-scan would read as a pattern."
        )
    with duckdb.connect(":memory:") as connection:
        for setting in _SETTINGS:
            connection.execute(setting)
        try:
            relation = _relation(connection, path, column, form)
        except duckdb.Error:
            raise EngineError("rescan_failed", "The re-scan could not open the file.") from None
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        if column not in types:
            raise EngineError("column_unknown", f"The file has no column named {column!r}.")
        relation.create_view("cells")
        yield _Scan(connection, _as_text(column, types[column]))


def _relation(connection: Any, path: Path, column: str, form: DataFormat) -> Any:
    if form is DataFormat.PARQUET:
        return connection.read_parquet(str(path), hive_partitioning=False)
    header = read_header(path, column)
    return connection.read_csv(
        str(path),
        columns=dict.fromkeys(header.names, "VARCHAR"),
        delimiter=header.delimiter,
        quotechar='"',
        escapechar='"',
        header=True,
        auto_detect=False,
        parallel=False,
        hive_partitioning=False,
    )


def _as_text(column: str, type_name: str) -> str:
    quoted = '"' + column.replace('"', '""') + '"'
    if type_name in ("DOUBLE", "FLOAT"):
        whole = f"{quoted} = trunc({quoted}) AND abs({quoted}) < 9007199254740992"
        return f"CASE WHEN {whole} THEN CAST(CAST({quoted} AS BIGINT) AS VARCHAR) END"
    if type_name.startswith(("VARCHAR", "ENUM", "DECIMAL")) or type_name in _INTEGERS:
        return f"CAST({quoted} AS VARCHAR)"
    raise EngineError("column_type", f"The column {column!r} is of type {type_name}, which cannot hold an identifier.")


def _residual(scan: _Scan, kind: IdentifierType, wanted: tuple[str, ...]) -> int:
    texts = _matching_texts(scan, kind, wanted)
    return scan.number("SELECT count(*) FROM cells WHERE list_contains($texts, {text})", texts)


def _matching_texts(scan: _Scan, kind: IdentifierType, wanted: tuple[str, ...]) -> list[str]:
    """The distinct spellings in the file that name the person."""
    statement = (
        "SELECT DISTINCT {text} AS spelling FROM cells WHERE list_contains($texts, lower({text}))"
        " OR list_contains($texts, {text}) OR regexp_matches({text}, '[^\\x21-\\x7E]')"
    )
    result = scan.run(statement, [*wanted, *(text.lower() for text in wanted)])
    found: list[str] = []
    while rows := result.fetchmany(_FETCH):
        found += [spelling for (spelling,) in rows if canonical(kind, spelling) in wanted]
    return found
