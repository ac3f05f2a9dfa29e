"""Values that do not exist: null with a reason, INCONCLUSIVE, never a number and never a PASS."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fairness.engine.compute import compute_report
from tests.fairness.evaluation_files import GROUP, from_counts, spec_for, write_data, write_predictions

SPD, DI = "statistical_parity_difference", "disparate_impact"
EOD, AOD = "equal_opportunity_difference", "average_odds_difference"


def _judged(report: Any) -> dict[str, tuple[bool, str, str | None]]:
    """Per metric: does it have a value, outcome, reason. Also checks that the report is strict JSON."""
    json.dumps(report, allow_nan=False)
    metrics = report["attributes"][0]["metrics"]
    for metric in metrics:
        if metric["value"] is None:
            assert (metric["low"], metric["high"], metric["closed_form"]) == (None, None, None)
    return {metric["name"]: (metric["value"] is not None, metric["outcome"], metric["reason"]) for metric in metrics}


@pytest.mark.parametrize("present", ["a", "b"])
def test_an_absent_group_leaves_nothing_to_compare(tmp_path: Path, present: str) -> None:
    report = compute_report(*from_counts(tmp_path, {present: (90, 10, 60, 40)}), spec_for(GROUP))
    assert set(_judged(report).values()) == {(False, "INCONCLUSIVE", "small_group")}
    absent = report["attributes"][0]["unprivileged" if present == "a" else "privileged"]
    assert (absent["n"], absent["rate"], absent["low"], absent["tpr"]["value"]) == (0, None, None, None)


def test_a_group_without_positives_has_no_true_positive_rate(tmp_path: Path) -> None:
    report = compute_report(*from_counts(tmp_path, {"b": (0, 0, 30, 70), "a": (90, 10, 60, 40)}), spec_for(GROUP))
    judged = _judged(report)
    assert judged[SPD] == (True, "FAIL", None)
    assert judged[EOD] == judged[AOD] == (False, "INCONCLUSIVE", "no_positives")


def test_a_single_label_value_leaves_only_selection(tmp_path: Path) -> None:
    all_good = compute_report(*from_counts(tmp_path, {"b": (60, 40, 0, 0), "a": (70, 30, 0, 0)}), spec_for(GROUP))
    assert _judged(all_good) == {
        SPD: (True, "INCONCLUSIVE", "straddles"),
        DI: (True, "INCONCLUSIVE", "straddles"),
        EOD: (True, "INCONCLUSIVE", "straddles"),
        AOD: (False, "INCONCLUSIVE", "no_negatives"),
    }
    all_bad = compute_report(*from_counts(tmp_path, {"b": (0, 0, 60, 40), "a": (0, 0, 70, 30)}), spec_for(GROUP))
    assert _judged(all_bad)[EOD] == (False, "INCONCLUSIVE", "no_positives")


def test_nobody_selected_gives_no_ratio_and_no_certainty(tmp_path: Path) -> None:
    """0/0 for the ratio; the difference is 0, but its interval is Newcombe's and not the bootstrap's empty [0, 0]."""
    report = compute_report(*from_counts(tmp_path, {"b": (0, 20, 0, 20), "a": (0, 50, 0, 50)}), spec_for(GROUP))
    assert _judged(report)[DI] == (False, "INCONCLUSIVE", "zero_reference_rate")
    parity = report["attributes"][0]["metrics"][0]
    # Newcombe with no hits on either side: from −z²/(100 + z²) to z²/(40 + z²).
    assert (parity["value"], parity["method"]) == (0.0, "Newcombe")
    assert (parity["low"], parity["high"]) == pytest.approx((-3.8415 / 103.8415, 3.8415 / 43.8415), abs=1e-5)


def test_something_over_zero_is_not_infinity(tmp_path: Path) -> None:
    report = compute_report(*from_counts(tmp_path, {"b": (20, 20, 20, 20), "a": (0, 50, 0, 50)}), spec_for(GROUP))
    assert _judged(report)[DI] == (False, "INCONCLUSIVE", "zero_reference_rate")


def test_everybody_selected_keeps_its_doubt(tmp_path: Path) -> None:
    """The bootstrap would give [1, 1] and PASS on 30 rows."""
    report = compute_report(*from_counts(tmp_path, {"b": (30, 0, 0, 0), "a": (30, 0, 0, 0)}), spec_for(GROUP))
    ratio = report["attributes"][0]["metrics"][1]
    assert (ratio["value"], ratio["method"]) == (1.0, "MOVER ratio")
    assert ratio["low"] == pytest.approx(30 / 33.8415, abs=1e-5)


def test_a_small_group_shows_its_value_but_gets_no_verdict(tmp_path: Path) -> None:
    counts = {"b": (10, 5, 8, 6), "a": (900, 100, 600, 400)}
    report = compute_report(*from_counts(tmp_path, counts), spec_for(GROUP))
    assert set(_judged(report).values()) == {(True, "INCONCLUSIVE", "small_group")}
    relaxed = compute_report(*from_counts(tmp_path, counts), spec_for(GROUP, minimum_group_size=10))
    assert "small_group" not in {reason for _, _, reason in _judged(relaxed).values()}


def test_the_minimum_counts_the_denominator_of_each_metric(tmp_path: Path) -> None:
    report = compute_report(*from_counts(tmp_path, {"b": (8, 7, 50, 60), "a": (90, 60, 60, 90)}), spec_for(GROUP))
    judged = _judged(report)
    assert judged[EOD][2] == judged[AOD][2] == "small_group"
    assert judged[SPD][2] != "small_group"


def test_missing_groups_are_counted_and_left_out(tmp_path: Path) -> None:
    counts = {"b": (40, 10, 20, 30), "a": (90, 10, 60, 40)}
    whole = compute_report(*from_counts(tmp_path, counts), spec_for(GROUP))
    with_missing = compute_report(*from_counts(tmp_path, {**counts, None: (7, 0, 4, 0)}), spec_for(GROUP))
    attribute = with_missing["attributes"][0]
    assert (with_missing["rows"], attribute["missing_n"]) == (311, 11)
    assert attribute["metrics"] == whole["attributes"][0]["metrics"]
    assert sum(cell["n"] for cell in with_missing["cells"] if cell["categories"] == ["__missing__"]) == 11


def test_not_a_number_is_missing_and_not_above_every_threshold(tmp_path: Path) -> None:
    ages = [30.0, 20.0, float("nan"), None] * 50
    data = write_data(tmp_path / "d.parquet", {"age": pa.array(ages, pa.float64()), "y": pa.array([1, 0] * 100)})
    predictions = write_predictions(tmp_path / "p.arrow", pa.array([1, 0, 1, 1] * 50))
    rule = {"column": "age", "privileged": {"op": ">", "value": 25}}
    attribute = compute_report(data, predictions, spec_for(rule))["attributes"][0]
    assert (attribute["privileged"]["n"], attribute["unprivileged"]["n"], attribute["missing_n"]) == (50, 50, 100)


def test_missing_labels_and_predictions_are_counted_and_left_out(tmp_path: Path) -> None:
    # Five rows: complete, no label, no prediction, neither, complete.
    groups, labels, predicted = (
        ["a", "b", "a", "b", "b"],
        [1.0, None, 0.0, float("nan"), 1.0],
        [1.0, 0.0, None, None, 0.0],
    )
    data = write_data(tmp_path / "d.parquet", {"g": groups * 20, "y": pa.array(labels * 20, pa.float64())})
    predictions = write_predictions(tmp_path / "p.arrow", pa.array(predicted * 20, pa.float64()))
    report = compute_report(data, predictions, spec_for(GROUP))
    assert report["missing"] == {"label": 40, "prediction": 40, "left_out": 60}
    attribute = report["attributes"][0]
    assert (report["rows"], attribute["privileged"]["n"], attribute["unprivileged"]["n"]) == (100, 20, 20)
