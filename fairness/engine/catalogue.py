"""The metrics a fairness report offers: name, title, direction and the band a gate uses unless told otherwise.

What belongs here: facts about metrics that pages, policies and the engine share. What does not: any computing.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One comparison of the unprivileged with the privileged group. `band` is the range a gate accepts by default."""

    name: str
    title: str
    direction: str
    band: tuple[float, float]


_DIFFERENCE = "unprivileged − privileged"

METRICS: tuple[Metric, ...] = (
    Metric("statistical_parity_difference", "Statistical parity difference", _DIFFERENCE, (-0.1, 0.1)),
    Metric("disparate_impact", "Disparate impact", "unprivileged ÷ privileged", (0.8, 1.25)),
    Metric("equal_opportunity_difference", "Equal opportunity difference", _DIFFERENCE, (-0.1, 0.1)),
    Metric("average_odds_difference", "Average odds difference", _DIFFERENCE, (-0.1, 0.1)),
)

METRIC_NAMES: tuple[str, ...] = tuple(metric.name for metric in METRICS)

DEFAULT_BANDS: dict[str, tuple[float, float]] = {metric.name: metric.band for metric in METRICS}
