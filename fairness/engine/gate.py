"""Gates with three outcomes: what an interval says about a band.

What belongs here: the rule, the reason codes and their sentences. What does not: which bands a stage asks for, and who
may waive a gate. A gate looks at the whole interval, never at the point value alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fairness.engine.catalogue import DEFAULT_BANDS, METRIC_NAMES
from fairness.engine.errors import SpecError
from fairness.engine.report import FairnessReport, MetricReport

PASS: Final = "PASS"  # noqa: S105 (a gate outcome)
FAIL: Final = "FAIL"
INCONCLUSIVE: Final = "INCONCLUSIVE"

Band = tuple[float, float]

#: Why a gate could not decide, for people. The first five are also why a metric may have no value.
REASONS: Final[dict[str, str]] = {
    "no_positives": "A group has no row with the favourable label, so its true positive rate does not exist.",
    "no_negatives": "A group has no row with an unfavourable label, so its false positive rate does not exist.",
    "small_group": "A group has fewer rows than the minimum this report asks for.",
    "zero_reference_rate": "Nobody in the privileged group was selected, so nothing can be divided by its rate.",
    "undefined": "The value is not defined on these counts.",
    "straddles": "The interval reaches over an edge of the band: the data allow both answers. More rows narrow it.",
}


@dataclass(frozen=True)
class GateOutcome:
    """One metric of one attribute against one band. `reason` is a key of REASONS, set only when INCONCLUSIVE."""

    attribute: str
    metric: str
    band: Band
    value: float | None
    low: float | None
    high: float | None
    outcome: str
    reason: str | None


def decide(low: float | None, high: float | None, limitation: str | None, band: Band) -> tuple[str, str | None]:
    """PASS if the whole interval lies in the band (edges included), FAIL if all of it lies outside, else INCONCLUSIVE.

    A limitation makes any interval INCONCLUSIVE, and so does a missing or non-finite end.
    """
    if limitation is not None:
        return INCONCLUSIVE, limitation
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return INCONCLUSIVE, "undefined"
    floor, ceiling = band
    if floor <= low and high <= ceiling:
        return PASS, None
    if high < floor or low > ceiling:
        return FAIL, None
    return INCONCLUSIVE, "straddles"


def evaluate(report: FairnessReport, bands: Mapping[str, Band] = DEFAULT_BANDS) -> list[GateOutcome]:
    """Hold every metric that has a band against it, in the report's order. Raises SpecError on a wrong band."""
    _check(bands)
    return [
        _outcome(attribute["name"], metric, bands[metric["name"]])
        for attribute in report["attributes"]
        for metric in attribute["metrics"]
        if metric["name"] in bands
    ]


def _outcome(attribute: str, metric: MetricReport, band: Band) -> GateOutcome:
    outcome, reason = decide(metric["low"], metric["high"], metric["limitation"], band)
    return GateOutcome(
        attribute=attribute,
        metric=metric["name"],
        band=band,
        value=metric["value"],
        low=metric["low"],
        high=metric["high"],
        outcome=outcome,
        reason=reason,
    )


def _check(bands: Mapping[str, Band]) -> None:
    for name, band in bands.items():
        if name not in METRIC_NAMES:
            raise SpecError(f"There is no fairness metric “{name}”; there are {', '.join(METRIC_NAMES)}.")
        if not isinstance(band, tuple | list) or len(band) != 2 or not all(_is_number(end) for end in band):
            raise SpecError(f"The band of “{name}” must be two finite numbers, the lower one first.")
        if band[0] > band[1]:
            raise SpecError(
                f"The band of “{name}” runs from {band[0]:g} to {band[1]:g}; the lower end must come first."
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
