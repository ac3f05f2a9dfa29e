"""Files that do not fit: one sentence each, and odd but honest files that must work."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fairness.engine.compute import compute_report
from fairness.engine.errors import FileError
from tests.fairness.evaluation_files import GROUP, spec_for, write_data, write_predictions

GOOD = {"g": ["a", "b"] * 50, "y": [1, 0, 0, 1] * 25, "age": list(range(100)), "when": [b"x"] * 100}
PREDICTED = [1, 1, 0, 0] * 25


def _refusal(data: Path, predictions: Path, spec: Any) -> str:
    with pytest.raises(FileError) as refused:
        compute_report(data, predictions, spec)
    return str(refused.value)


@pytest.mark.parametrize(
    ("columns", "spec", "sentence"),
    [
        ({}, spec_for(GROUP, label="outcome"), "The data set has no column “outcome”."),
        ({}, spec_for({**GROUP, "column": "G"}), "The data set has no column “G”."),
        ({"G": ["a"] * 100}, spec_for(GROUP), "The data set has several columns called “g”"),
        ({}, spec_for({**GROUP, "column": "when"}), "The protected column “when” is of type binary"),
        ({}, spec_for({**GROUP, "column": "age"}), "The rule “age is a” compares with a text, but “age” holds number"),
        (
            {},
            spec_for({"column": "g", "privileged": {"op": ">", "value": 3}}),
            "The rule “g > 3” compares with a number, but “g” holds text values.",
        ),
        ({}, spec_for(GROUP, favourable="1"), "holds number values, but the favourable value is a text."),
        ({"y": [True, False] * 50}, spec_for(GROUP), "holds boolean values, but the favourable value is a number."),
        ({"y": [1, 2, 3, 4] * 25}, spec_for(GROUP), "label and prediction hold 4 values (“0”, “2”, “3” …)"),
        ({"y": list(range(100))}, spec_for(GROUP), "binary classification has two."),
        ({"g": ["a", "__missing__"] * 50}, spec_for(GROUP), "“__missing__”, which is reserved for missing values."),
        ({"file_row_number": [0] * 100}, spec_for(GROUP), "“file_row_number”, a name the scan needs for itself"),
    ],
)
def test_a_data_set_that_does_not_fit(tmp_path: Path, columns: dict[str, Any], spec: Any, sentence: str) -> None:
    data = write_data(tmp_path / "d.parquet", {**GOOD, **columns})
    assert sentence in _refusal(data, write_predictions(tmp_path / "p.arrow", PREDICTED), spec)


@pytest.mark.parametrize(
    ("predicted", "override", "sentence"),
    [
        (PREDICTED[:-1], {}, "The data set has 100 rows but the predictions have 99."),
        ([*PREDICTED, 1], {}, "The data set has 100 rows but the predictions have 101."),
        ([], {}, "The data set has 100 rows but the predictions have 0."),
        (PREDICTED, {"row": pa.array(range(99, -1, -1))}, "In 100 rows the predictions do not carry the number"),
        (PREDICTED, {"row": pa.array([0, 0, *range(2, 100)])}, "In 1 rows the predictions do not carry the number"),
        (
            PREDICTED,
            {"row": pa.array([float(n) for n in range(100)])},
            "“row” of the predictions must hold whole numbers",
        ),
        (PREDICTED, {"row": None}, "must have exactly one column “row”."),
        (["1"] * 100, {}, "The predictions are of type string, but the label column “y” holds number values."),
        (PREDICTED, {"score": pa.array([1.5] * 100)}, "a probability lies between 0 and 1."),
        (PREDICTED, {"score": pa.array([float("inf")] * 100)}, "a probability lies between 0 and 1."),
        (PREDICTED, {"score": pa.array(["0.5"] * 100)}, "“score” of the predictions must hold floating point numbers"),
    ],
)
def test_predictions_that_do_not_fit(tmp_path: Path, predicted: Any, override: dict[str, Any], sentence: str) -> None:
    data = write_data(tmp_path / "d.parquet", GOOD)
    predictions = write_predictions(
        tmp_path / "p.arrow", pa.array(predicted, None if predicted else pa.int64()), **override
    )
    assert sentence in _refusal(data, predictions, spec_for(GROUP))


def test_files_that_are_no_files(tmp_path: Path) -> None:
    data = write_data(tmp_path / "d.parquet", GOOD)
    predictions = write_predictions(tmp_path / "p.arrow", PREDICTED)
    text = tmp_path / "text"
    text.write_text("not a table")
    broken = tmp_path / "broken.parquet"
    whole = data.read_bytes()
    broken.write_bytes(whole[:4] + bytes(200) + whole[204:])
    spec = spec_for(GROUP)
    assert _refusal(tmp_path / "none", predictions, spec) == "The data set file does not exist."
    assert _refusal(data, tmp_path / "none", spec) == "The predictions file does not exist."
    assert _refusal(text, predictions, spec).startswith("The data set is not a readable Parquet file")
    assert _refusal(data, text, spec).startswith("The predictions are not a readable Arrow IPC file")
    assert _refusal(broken, predictions, spec).startswith("The data set and its predictions could not be counted")
    assert "may not contain *, ? or [" in _refusal(tmp_path / "*.parquet", predictions, spec)


def test_an_empty_evaluation(tmp_path: Path) -> None:
    data = write_data(tmp_path / "d.parquet", {"g": pa.array([], pa.string()), "y": pa.array([], pa.int64())})
    predictions = write_predictions(tmp_path / "p.arrow", pa.array([], pa.int64()))
    assert _refusal(data, predictions, spec_for(GROUP)) == "The data set has no rows."


def test_too_many_combinations_are_refused_before_counting(tmp_path: Path) -> None:
    many = {f"c{place}": [f"v{number % 40}" for number in range(100)] for place in range(3)}
    data = write_data(tmp_path / "d.parquet", {**GOOD, **many})
    predictions = write_predictions(tmp_path / "p.arrow", PREDICTED)
    rules = [{"column": name, "privileged": {"op": "in", "value": ["v0"]}} for name in many]
    refusal = _refusal(data, predictions, spec_for(*rules))
    assert "the limit is 20000" in refusal
    assert "Name fewer attributes or coarser ones" in refusal
    assert compute_report(data, predictions, spec_for(rules[0]))["rows"] == 100


@pytest.mark.parametrize(
    ("label", "predicted", "favourable"),
    [
        (pa.array(["good", "bad"] * 50).dictionary_encode(), pa.array(["good"] * 100), "good"),
        (pa.array(["good", "bad"] * 50), pa.array(["good"] * 100).dictionary_encode(), "good"),
        (pa.array([True, False] * 50), pa.array([True] * 100), True),
        (pa.array([1, 0] * 50, pa.int8()), pa.array([1] * 100, pa.int64()), 1),
        (pa.array([1.0, 0.0] * 50), pa.array([1.0] * 100, pa.float32()), 1),
        (pa.array([1, 0] * 50).cast(pa.decimal128(21, 2)), pa.array([1] * 100, pa.int32()), 1),
    ],
)
def test_labels_of_every_ordinary_type(tmp_path: Path, label: Any, predicted: Any, favourable: Any) -> None:
    groups = np.repeat(["a", "b"], 50)
    data = write_data(tmp_path / "d.parquet", {"g": groups, "y": label})
    predictions = write_predictions(tmp_path / "p.arrow", predicted)
    group = compute_report(data, predictions, spec_for(GROUP, favourable=favourable))["attributes"][0]["privileged"]
    assert (group["n"], group["positives"], group["selected"]) == (50, 25, 50)


def test_names_and_values_cannot_leave_their_place_in_the_query(tmp_path: Path) -> None:
    name, value = 'g" ; DROP TABLE d; --', "a'); SELECT ('"
    data = write_data(tmp_path / "d.parquet", {name: [value, "b"] * 50, "y": [1, 0] * 50})
    predictions = write_predictions(tmp_path / "p.arrow", [1, 0] * 50)
    rule = {"column": name, "privileged": {"op": "in", "value": [value]}}
    assert compute_report(data, predictions, spec_for(rule))["attributes"][0]["privileged"]["n"] == 50
