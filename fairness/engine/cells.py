"""From files to counts: one scan turns a data set and its predictions into a small table of cells.

What belongs here: the GROUP BY, and the checks that need to see rows. What does not: schemas (`inputs`), metrics,
intervals, anything that needs more than counts.

A cell is one combination of protected categories, label and prediction. Rows are matched by position: the predictions
carry their row number, and the scan refuses files whose numbers do not run with the data set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairness.engine.errors import FileError
from fairness.engine.inputs import Inputs, first_line, open_inputs
from fairness.engine.spec import FairnessSpec, Protected, Scalar

#: The category of a row without a value in a protected column.
MISSING: Final = "__missing__"
#: More combinations than this are refused before the scan: counts would no longer be small, nor say anything.
MAX_CELLS: Final = 20_000
#: A label with more values than this is refused before the scan: it is no label of a binary task.
MAX_LABEL_VALUES: Final = 50


@dataclass(frozen=True)
class Cell:
    """One combination with its counts. `sides` holds True (privileged), False or None (missing) per attribute."""

    categories: tuple[str, ...]
    sides: tuple[bool | None, ...]
    label: Scalar | None
    prediction: Scalar | None
    n: int
    scored: int
    sum_w: float
    sum_w2: float
    sum_ws: float


@dataclass(frozen=True)
class Marginal:
    """The counts of one attribute, missing values left out.

    The arrays have shape (2, 2, 2): privileged? × label favourable? × prediction favourable?, each 0 or 1. `scored`
    counts the rows that carry a score. `missing_n` counts all rows without a value in the protected column.
    """

    counts: NDArray[np.int64]
    scored: NDArray[np.int64]
    score_sums: NDArray[np.float64]
    missing_n: int


@dataclass(frozen=True)
class CellTable:
    """All cells of one evaluation, in a fixed order, with the favourable value that reads them."""

    cells: tuple[Cell, ...]
    favourable: Scalar

    @property
    def rows(self) -> int:
        return sum(cell.n for cell in self.cells)

    @property
    def missing_labels(self) -> int:
        return sum(cell.n for cell in self.cells if cell.label is None)

    @property
    def missing_predictions(self) -> int:
        return sum(cell.n for cell in self.cells if cell.prediction is None)

    @property
    def left_out(self) -> int:
        """Rows without a label or without a prediction; no metric counts them."""
        return sum(cell.n for cell in self.cells if cell.label is None or cell.prediction is None)

    def marginal(self, attribute: int) -> Marginal:
        """Sum the cells over everything but attribute number `attribute`, label and prediction."""
        counts = np.zeros((2, 2, 2), dtype=np.int64)
        scored = np.zeros((2, 2, 2), dtype=np.int64)
        score_sums = np.zeros((2, 2, 2), dtype=np.float64)
        missing = 0
        for cell in self.cells:
            side = cell.sides[attribute]
            if side is None:
                missing += cell.n
            elif cell.label is not None and cell.prediction is not None:
                place = (int(side), int(cell.label == self.favourable), int(cell.prediction == self.favourable))
                counts[place] += cell.n
                scored[place] += cell.scored
                score_sums[place] += cell.sum_ws
        return Marginal(counts=counts, scored=scored, score_sums=score_sums, missing_n=missing)


def read_cells(data_path: Path, predictions_path: Path, spec: FairnessSpec) -> CellTable:
    """Count the rows of a Parquet data set against an Arrow file of predictions (`row`, `prediction`, `score`).

    Raises FileError with a sentence if a file cannot be read or does not fit the spec, if the two do not match row by
    row, or if there would be too many cells.
    """
    inputs = open_inputs(data_path, predictions_path, spec)
    try:
        # One thread: sums of scores then come out in one order and the digest of the report is reproducible. The scan
        # costs the same CPU seconds either way.
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.register("predictions", inputs.predictions)
            _check_cardinality(connection, inputs, spec)
            rows = _scan(connection, inputs, spec)
    except (duckdb.Error, pa.ArrowException) as error:
        raise FileError(f"The data set and its predictions could not be counted: {first_line(error)}") from error
    _check_rows(rows)
    table = CellTable(cells=_cells(rows, spec), favourable=spec.favourable)
    _check_binary(table, spec)
    return table


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _clean(expression: str, kind: pa.DataType) -> str:
    """SQL for a value with NaN as NULL: DuckDB sorts NaN above every number, so `NaN > 25` would be privileged."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_decimal(kind):
        return f"CAST({expression} AS DOUBLE)"
    if pa.types.is_floating(kind):
        return f"CASE WHEN isnan({expression}) THEN NULL ELSE {expression} END"
    return expression


def _column(name: str, inputs: Inputs) -> str:
    """SQL for a column of the data set."""
    return _clean(f"d.{_quoted(name)}", inputs.schema.field(name).type)


def _side(attribute: Protected, inputs: Inputs) -> str:
    """SQL for "is privileged", NULL for a missing value; its values are bound as parameters."""
    rule, column = attribute.privileged, _column(attribute.column, inputs)
    if rule.op == "in":
        return f"{column} IN ({', '.join('?' for _ in rule.values)})"
    return f"{column} {rule.op} ?"


def _category(attribute: Protected, inputs: Inputs) -> str:
    """SQL for the category of a cell: the value itself for a list rule, nothing more than the side for a threshold."""
    listed = attribute.privileged.op == "in"
    return f"CAST({_column(attribute.column, inputs) if listed else 'NULL'} AS VARCHAR)"


_SOURCE: Final = "read_parquet(?, file_row_number = true) d POSITIONAL JOIN predictions p"


def _check_cardinality(connection: duckdb.DuckDBPyConnection, inputs: Inputs, spec: FairnessSpec) -> None:
    """Refuse before the scan what would explode in it. Distinct counts are approximate, in constant memory."""
    listed = [attribute for attribute in spec.protected if attribute.privileged.op == "in"]
    columns = [f"d.{_quoted(spec.label)}", "p.prediction", *(f"d.{_quoted(attribute.column)}" for attribute in listed)]
    counted = ", ".join(f"approx_count_distinct({column})" for column in columns)
    # Column names are quoted identifiers of the file's own schema; every value is a parameter.
    sql = f"SELECT {counted} FROM {_SOURCE}"  # noqa: S608
    (found,) = connection.execute(sql, [str(inputs.data_path)]).fetchall()
    label_values, predicted_values, *categories = found
    most = max(label_values, predicted_values)
    if most > MAX_LABEL_VALUES:
        raise FileError(
            f"The label column “{spec.label}” or its prediction has about {most} values; binary classification has two."
        )
    possible = (label_values + 1) * (predicted_values + 1) * 3 ** (len(spec.protected) - len(listed))
    for count in categories:
        possible *= count + 1
    if possible > MAX_CELLS:
        widest = listed[categories.index(max(categories))].column if listed else spec.protected[0].column
        raise FileError(
            f"The protected attributes could form about {possible} combinations; the limit is {MAX_CELLS}. "
            f"Name fewer attributes or coarser ones, starting with “{widest}”."
        )


def _scan(connection: duckdb.DuckDBPyConnection, inputs: Inputs, spec: FairnessSpec) -> Sequence[tuple[Any, ...]]:
    """One row per cell: sides, categories, label, prediction, then counts. Any: DuckDB rows are untyped."""
    keys = [
        *(_side(attribute, inputs) for attribute in spec.protected),
        *(_category(attribute, inputs) for attribute in spec.protected),
        _column(spec.label, inputs),
        _clean("p.prediction", inputs.predictions.schema.field("prediction").type),
    ]
    score = _clean("CAST(p.score AS DOUBLE)", pa.float64())
    sql = (
        f"SELECT {', '.join(keys)}, count(*), count(d.file_row_number), count(p.row), "  # noqa: S608 (see above)
        f"count(*) FILTER (WHERE d.file_row_number IS DISTINCT FROM p.row), "
        f"count({score}), coalesce(sum({score}), 0.0), min({score}), max({score}) "
        f"FROM {_SOURCE} GROUP BY {', '.join(str(position) for position in range(1, len(keys) + 1))}"
    )
    values = [value for attribute in spec.protected for value in attribute.privileged.values]
    return connection.execute(sql, [*values, str(inputs.data_path)]).fetchall()


def _check_rows(rows: Sequence[tuple[Any, ...]]) -> None:
    in_data, in_predictions, misplaced = (sum(row[place] for row in rows) for place in (-7, -6, -5))
    if in_data == 0:
        raise FileError("The data set has no rows.")
    if in_data != in_predictions:
        raise FileError(f"The data set has {in_data} rows but the predictions have {in_predictions}.")
    if misplaced:
        raise FileError(
            f"In {misplaced} rows the predictions do not carry the number of the row they stand at; "
            "“row” must run from 0 upwards in the order of the data set."
        )
    scores = [value for row in rows for value in row[-2:] if value is not None]
    if scores and (min(scores) < 0 or max(scores) > 1):
        raise FileError(
            f"The scores run from {min(scores):.6g} to {max(scores):.6g}; a probability lies between 0 and 1."
        )


def _cells(rows: Sequence[tuple[Any, ...]], spec: FairnessSpec) -> tuple[Cell, ...]:
    width = len(spec.protected)
    cells = []
    for row in rows:
        sides, raw, (label, prediction) = row[:width], row[width : 2 * width], row[2 * width : 2 * width + 2]
        if MISSING in raw:
            raise FileError(f"A protected column holds the text “{MISSING}”, which is reserved for missing values.")
        n, scored, score_sum = row[-8], row[-4], row[-3]
        cells.append(
            Cell(
                categories=tuple(_named(side, text) for side, text in zip(sides, raw, strict=True)),
                sides=tuple(sides),
                label=label,
                prediction=prediction,
                n=n,
                scored=scored,
                # Every row weighs one until data sets carry weights; the columns are already there for merging.
                sum_w=float(n),
                sum_w2=float(n),
                sum_ws=float(score_sum),
            )
        )
    return tuple(sorted(cells, key=lambda cell: (cell.categories, _order(cell.label), _order(cell.prediction))))


def _named(side: bool | None, text: str | None) -> str:
    if side is None:
        return MISSING
    if text is not None:
        return text
    return "privileged" if side else "unprivileged"


def _order(value: Scalar | None) -> tuple[bool, str]:
    return value is None, str(value)


def _check_binary(table: CellTable, spec: FairnessSpec) -> None:
    found = {value for cell in table.cells for value in (cell.label, cell.prediction) if value is not None}
    others = sorted(found - {spec.favourable}, key=str)
    if len(others) > 1:
        shown = ", ".join(f"“{value}”" for value in others[:3]) + (" …" if len(others) > 3 else "")
        raise FileError(
            f"Besides the favourable value “{spec.favourable}”, label and prediction hold {len(others)} values "
            f"({shown}); binary classification has one."
        )
