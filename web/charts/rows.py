"""What a chart is given: one row per mark. Values may be missing; then the row says why.

Not here: any drawing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Band:
    """Values that are acceptable, both ends included; None leaves a side open."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """An estimate with its interval. `outcome` is the gate's (PASS, FAIL, …) and only changes colour and shape."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    outcome: str = ""
    reason: str = ""
    band: Band | None = None


@dataclass(frozen=True, slots=True)
class BarRow:
    """A magnitude, for instance a mean |SHAP| value, with an optional interval."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GroupRate:
    """A proportion between 0 and 1 in one group of `n` cases; `reference` marks the group others are compared with."""

    name: str
    rate: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reference: bool = False
    reason: str = ""


def drawable(value: float | None) -> bool:
    """Whether a value can be placed on an axis at all."""
    return value is not None and math.isfinite(value)


def finite(*values: float | None) -> list[float]:
    """The values an axis is made for. Beyond 10¹⁰⁰ a mark becomes an arrow; below 10⁻¹⁰⁰ it is zero to any eye."""
    return [0.0 if abs(value) < 1e-100 else value for value in values if value is not None and abs(value) < 1e100]


def missing_words(value: float | None, reason: str) -> str:
    """The words that stand where a mark would be."""
    if reason:
        return f"not computed: {reason}"
    if value is None:
        return "not computed: no reason was recorded"
    return "not computed: the value is not a finite number"


def group_name(row: GroupRate) -> str:
    """A group's name, saying so when it is the one others are compared with."""
    return f"{row.name} (reference)" if row.reference else row.name
