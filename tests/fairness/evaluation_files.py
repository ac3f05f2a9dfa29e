"""Writes small evaluations (a Parquet data set and its Arrow predictions) for the fairness engine's tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fairness.engine.spec import FairnessSpec

GERMAN = Path(__file__).parents[2] / "demo" / "data" / "german.parquet"

AGE_OVER_25 = {"column": "age", "name": "Age", "privileged": {"op": ">", "value": 25}}
AGE_FROM_25 = {"column": "age", "name": "Age from 25", "privileged": {"op": ">=", "value": 25}}
SEX = {"column": "sex", "name": "Sex", "privileged": {"op": "in", "value": ["male"]}}
GROUP = {"column": "g", "name": "Group", "privileged": {"op": "in", "value": ["a"]}}


def spec_for(*protected: Mapping[str, object], label: str = "y", **more: object) -> FairnessSpec:
    return FairnessSpec.from_json({"label": label, "favourable": 1, "protected": list(protected), **more})


def write_data(path: Path, columns: Mapping[str, Any]) -> Path:
    pq.write_table(pa.table(dict(columns)), path, row_group_size=300)
    return path


def write_predictions(
    path: Path, predictions: Any, scores: Sequence[float | None] | None = None, **override: Any
) -> Path:
    n = len(predictions)
    columns = {
        "row": pa.array(range(n), pa.int64()),
        "prediction": predictions,
        "score": pa.array(scores if scores is not None else [None] * n, pa.float64()),
        **override,
    }
    table = pa.table({name: column for name, column in columns.items() if column is not None})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=128)
    return path


def from_counts(folder: Path, counts: Mapping[str | None, tuple[int, int, int, int]]) -> tuple[Path, Path]:
    """Files with, per group, these numbers of true positives, false negatives, false positives, true negatives."""
    groups, labels, predictions = [], [], []
    for group, numbers in counts.items():
        for count, label, prediction in zip(numbers, (1, 1, 0, 0), (1, 0, 1, 0), strict=True):
            groups += [group] * count
            labels += [label] * count
            predictions += [prediction] * count
    data = write_data(folder / "data.parquet", {"g": pa.array(groups, pa.string()), "y": pa.array(labels, pa.int64())})
    return data, write_predictions(folder / "predictions.arrow", pa.array(predictions, pa.int64()))
