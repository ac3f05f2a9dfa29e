"""The three outcomes of a gate, and that nothing undefined ever passes."""

from typing import Any

import pytest

from fairness.engine.catalogue import DEFAULT_BANDS
from fairness.engine.errors import SpecError
from fairness.engine.gate import REASONS, GateOutcome, decide, evaluate

BAND = (0.8, 1.25)


@pytest.mark.parametrize(
    ("low", "high", "limitation", "expected"),
    [
        (0.85, 1.1, None, ("PASS", None)),
        (0.8, 1.25, None, ("PASS", None)),
        (0.5, 0.79, None, ("FAIL", None)),
        (1.26, 1.9, None, ("FAIL", None)),
        (0.5, 0.8, None, ("INCONCLUSIVE", "straddles")),
        (0.79, 1.1, None, ("INCONCLUSIVE", "straddles")),
        (0.5, 2.0, None, ("INCONCLUSIVE", "straddles")),
        (0.9, 1.1, "small_group", ("INCONCLUSIVE", "small_group")),
        (0.1, 0.2, "undefined", ("INCONCLUSIVE", "undefined")),
        (None, None, "no_positives", ("INCONCLUSIVE", "no_positives")),
        (None, None, None, ("INCONCLUSIVE", "undefined")),
        (float("nan"), float("nan"), None, ("INCONCLUSIVE", "undefined")),
        (0.9, float("nan"), None, ("INCONCLUSIVE", "undefined")),
        (0.9, float("inf"), None, ("INCONCLUSIVE", "undefined")),
    ],
)
def test_an_interval_decides(low: Any, high: Any, limitation: str | None, expected: tuple[str, str | None]) -> None:
    assert decide(low, high, limitation, BAND) == expected


def _report(**change: Any) -> Any:
    metric = {"name": "disparate_impact", "value": 0.9, "low": 0.85, "high": 0.95, "limitation": None, **change}
    return {"attributes": [{"name": "Age", "metrics": [metric]}]}


def test_the_same_report_meets_other_bands() -> None:
    assert [gate.outcome for gate in evaluate(_report(), DEFAULT_BANDS)] == ["PASS"]
    (strict,) = evaluate(_report(), {"disparate_impact": (0.96, 1.04)})
    assert strict == GateOutcome("Age", "disparate_impact", (0.96, 1.04), 0.9, 0.85, 0.95, "FAIL", None)


def test_a_metric_without_a_band_is_not_judged() -> None:
    assert evaluate(_report(), {"average_odds_difference": (-0.1, 0.1)}) == []


@pytest.mark.parametrize(
    ("bands", "sentence"),
    [
        ({"four_fifths": (0.8, 1.25)}, "no fairness metric “four_fifths”"),
        ({"disparate_impact": (1.25, 0.8)}, "the lower end must come first"),
        ({"disparate_impact": (0.8,)}, "must be two finite numbers"),
        ({"disparate_impact": (0.8, float("nan"))}, "must be two finite numbers"),
        ({"disparate_impact": "ab"}, "must be two finite numbers"),
    ],
)
def test_a_wrong_band_is_refused_with_a_sentence(bands: Any, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        evaluate(_report(), bands)


def test_every_reason_has_a_sentence() -> None:
    assert set(REASONS) == {
        "no_positives",
        "no_negatives",
        "small_group",
        "zero_reference_rate",
        "undefined",
        "straddles",
    }
    assert all(sentence.endswith(".") for sentence in REASONS.values())
