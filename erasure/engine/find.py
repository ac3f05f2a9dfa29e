"""Finding a person's rows: how many there are, never which.

Belongs here: the counting scan behind discovery and the plan. Does not belong here: changing a file, and the verifying
re-scan.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from erasure.engine.formats import BATCH_ROWS, DataFormat, format_of, key_type, open_parquet
from erasure.engine.identifiers import IdentifierType, canonical, normalise_all
from erasure.engine.matching import Matcher
from erasure.engine.records import read_header, read_records


@dataclass(frozen=True, slots=True)
class Found:
    """Counts for the plan. `row_groups` is 0 for CSV; `rows_without_key` are attributable to nobody by this column."""

    rows_total: int
    rows_matched: int
    rows_without_key: int
    row_groups: int
    row_groups_hit: int
    bytes: int


def find_rows(path: Path, column: str, identifiers: Sequence[str], kind: IdentifierType) -> Found:
    """Count the rows whose `column` holds one of `identifiers`, reading only that column, in batches.

    Raises EngineError for an unreadable file, an unknown column or a bad identifier.
    """
    if format_of(path) is DataFormat.PARQUET:
        return _find_parquet(path, column, identifiers, kind)
    return _find_csv(path, column, identifiers, kind)


def _find_parquet(path: Path, column: str, identifiers: Sequence[str], kind: IdentifierType) -> Found:
    source = open_parquet(path)
    matcher = Matcher(kind, identifiers, key_type(source, column))
    matched = missing = hit = 0
    with source:
        groups = source.metadata.num_row_groups
        for group in range(groups):
            in_group = 0
            for batch in source.iter_batches(BATCH_ROWS, row_groups=[group], columns=[column]):
                cells = batch.column(0)
                in_group += int(matcher.mask(cells).true_count)
                missing += int(cells.null_count)
            matched += in_group
            hit += bool(in_group)
        return Found(int(source.metadata.num_rows), matched, missing, int(groups), hit, path.stat().st_size)


def _find_csv(path: Path, column: str, identifiers: Sequence[str], kind: IdentifierType) -> Found:
    wanted = frozenset(normalise_all(kind, identifiers))
    total = matched = missing = 0
    for record in read_records(path, read_header(path, column)):
        if record.key is None:
            continue
        total += 1
        matched += canonical(kind, record.key) in wanted
        missing += not record.key
    return Found(total, matched, missing, 0, 0, path.stat().st_size)
