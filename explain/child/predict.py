"""Predict every row of the data set in batches and stream the answer as Arrow. No fairness, no judgement: only
predictions.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .load import Model, Scalar, load_with_columns, versions
from .refusal import RefusalError

BATCH_ROWS = 50_000


def write_predictions(request: dict[str, Any], inputs: Path, answer: Path) -> None:
    """Answer: an Arrow stream of (row, prediction, score), with what was loaded in the schema's metadata."""
    rows = pq.ParquetFile(inputs / "rows.parquet")
    available = list(rows.schema_arrow.names)
    model, columns = load_with_columns(inputs / "model", available=available, otherwise=request["otherwise"])
    favourable: Scalar = request["favourable"]
    text = request["label_type"] == "string"
    facts = {
        "flavour": model.flavour,
        "tier": model.tier,
        "model_class": model.model_class,
        "features": columns,
        "versions": versions(),
    }
    schema = _schema(text).with_metadata({"plimsoll": json.dumps(facts)})
    with pa.OSFile(str(answer), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        first = 0
        for frame in _frames(rows, columns):
            writer.write_batch(_batch(model, frame, favourable, first, schema))
            first += len(frame)


def _schema(text: bool) -> pa.Schema:
    return pa.schema(
        [("row", pa.int64()), ("prediction", pa.string() if text else pa.int64()), ("score", pa.float64())]
    )


def _frames(rows: pq.ParquetFile, columns: list[str]) -> Iterator[pd.DataFrame]:
    for batch in rows.iter_batches(batch_size=BATCH_ROWS, columns=columns):
        yield batch.to_pandas()[columns]


def _batch(model: Model, frame: pd.DataFrame, favourable: Scalar, first: int, schema: pa.Schema) -> pa.RecordBatch:
    score = model.probability(frame, favourable)
    columns = [
        pa.array(np.arange(first, first + len(frame), dtype=np.int64)),
        _decisions(model.predict(frame), schema.field("prediction").type),
        pa.nulls(len(frame), pa.float64()) if score is None else pa.array(np.asarray(score, dtype=np.float64)),
    ]
    return pa.record_batch(columns, schema=schema)


def _decisions(predicted: np.ndarray, kind: pa.DataType) -> pa.Array:
    """The model's decisions in the label's own type. A number that is no whole number is not a class."""
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    if predicted.ndim != 1:
        raise RefusalError(f"The model's predictions have {predicted.ndim} dimensions; one class a row is expected.")
    if pa.types.is_string(kind):
        return pa.array([str(value) for value in predicted.tolist()], type=kind)
    try:
        numbers = predicted.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise RefusalError("The model predicts text where the label is a number.") from error
    if not np.isfinite(numbers).all() or (numbers != np.rint(numbers)).any():
        raise RefusalError("The model's predictions are not classes: they are not whole numbers.")
    return pa.array(numbers.astype(np.int64))
