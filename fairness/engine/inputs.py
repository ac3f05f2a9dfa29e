"""The two files of an evaluation: opened, and checked against the spec and each other by their schemas.

What belongs here: everything that can be refused before a row is read. What does not: counting (`cells`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from fairness.engine.errors import FileError
from fairness.engine.spec import FairnessSpec, kind_of

_PREDICTION_COLUMNS: Final = ("row", "prediction", "score")


@dataclass(frozen=True)
class Inputs:
    """Files whose columns fit the spec. `predictions` is opened lazily: nothing is read into memory."""

    data_path: Path
    schema: pa.Schema
    predictions: pads.Dataset


def open_inputs(data_path: Path, predictions_path: Path, spec: FairnessSpec) -> Inputs:
    """Open both files. Raises FileError if one cannot be read, lacks a column or has a column of the wrong type."""
    schema = _data_schema(data_path)
    predictions = _predictions(predictions_path)
    _check_columns(schema, predictions.schema, spec)
    return Inputs(data_path=data_path, schema=schema, predictions=predictions)


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:300]


def _data_schema(path: Path) -> pa.Schema:
    if any(character in str(path) for character in "*?["):
        raise FileError("The path of the data set may not contain *, ? or [: they would name several files.")
    if not path.is_file():
        raise FileError("The data set file does not exist.")
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise FileError(f"The data set is not a readable Parquet file: {first_line(error)}") from error
    if any(name.lower() == "file_row_number" for name in schema.names):
        raise FileError("The data set has a column “file_row_number”, a name the scan needs for itself; rename it.")
    return schema


def _predictions(path: Path) -> pads.Dataset:
    if not path.is_file():
        raise FileError("The predictions file does not exist.")
    try:
        predictions = pads.dataset(path, format="ipc")
    except (pa.ArrowInvalid, OSError) as error:
        raise FileError(f"The predictions are not a readable Arrow IPC file: {first_line(error)}") from error
    for name in _PREDICTION_COLUMNS:
        if predictions.schema.names.count(name) != 1:
            raise FileError(f"The predictions must have exactly one column “{name}”.")
    return predictions


def _column_kind(kind: pa.DataType) -> str | None:
    """The kind of the values of an Arrow type as `spec.kind_of` names it, None for types that are no category."""
    if pa.types.is_dictionary(kind):
        return _column_kind(kind.value_type)
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return None


def _kind_in(schema: pa.Schema, column: str, what: str) -> str:
    """The kind of a column. It must exist once: DuckDB ignores case, so a twin differing only in case is a trap."""
    if column not in schema.names:
        raise FileError(f"The data set has no column “{column}”.")
    if [name.lower() for name in schema.names].count(column.lower()) > 1:
        raise FileError(f"The data set has several columns called “{column}” in one spelling or another.")
    kind = _column_kind(schema.field(column).type)
    if kind is None:
        raise FileError(
            f"{what} “{column}” is of type {schema.field(column).type}; it must hold text, numbers or booleans."
        )
    return kind


def _check_columns(schema: pa.Schema, predictions: pa.Schema, spec: FairnessSpec) -> None:
    label = _kind_in(schema, spec.label, "The label column")
    if kind_of(spec.favourable) != label:
        wanted = kind_of(spec.favourable)
        raise FileError(
            f"The label column “{spec.label}” holds {label} values, but the favourable value is a {wanted}."
        )
    predicted = predictions.field("prediction").type
    if _column_kind(predicted) != label:
        raise FileError(
            f"The predictions are of type {predicted}, but the label column “{spec.label}” holds {label} values."
        )
    if not pa.types.is_integer(predictions.field("row").type):
        raise FileError("The column “row” of the predictions must hold whole numbers.")
    score = predictions.field("score").type
    if not pa.types.is_floating(score) and not pa.types.is_null(score):
        raise FileError("The column “score” of the predictions must hold floating point numbers or be empty.")
    for attribute in spec.protected:
        kind = _kind_in(schema, attribute.column, "The protected column")
        wanted = kind_of(attribute.privileged.values[0])
        if kind != wanted:
            rule = attribute.privileged.text(attribute.column)
            raise FileError(
                f"The rule “{rule}” compares with a {wanted}, but “{attribute.column}” holds {kind} values."
            )
