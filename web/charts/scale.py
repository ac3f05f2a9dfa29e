"""From values to places on an axis, and from values to words.

Places are percentages of the drawing's width, so that a chart fits any column without its text shrinking.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_EDGE = 2.0  # per cent kept free at either side, so that a mark at the end of the axis is whole
_FAR = 4.0  # how many core widths beyond the core an axis may reach before marks become arrows


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear axis from `low` to `high`."""

    low: float
    high: float
    edge: float = _EDGE

    def place(self, value: float) -> float:
        """Percentage of the width for a value; values outside the axis sit on its ends. Infinite values are allowed."""
        held = min(max(value, self.low), self.high)
        share = (held - self.low) / (self.high - self.low)
        return round(self.edge + share * (100 - 2 * self.edge), 3)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def ticks(self, wanted: int = 6) -> list[float]:
        """Round numbers on the axis, at most `wanted` + 1 of them."""
        step = _round_step((self.high - self.low) / wanted)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def fitted(values: Sequence[float], core: Sequence[float] = ()) -> Scale:
    """An axis around finite `values`. Far outliers do not flatten what lies near the `core` (band, reference)."""
    if core:
        width = (max(core) - min(core)) or max(abs(core[0]), 1.0) * 0.5
        reach = (min(core) - _FAR * width, max(core) + _FAR * width)
        low = max(min([*values, *core]), reach[0])
        high = min(max([*values, *core]), reach[1])
    elif values:
        low, high = min(values), max(values)
    else:
        return Scale(0.0, 1.0)
    if high - low <= abs(high) * 1e-9:
        margin = abs(high) * 0.5 or 0.5
        return Scale(low - margin, high + margin)
    margin = (high - low) * 0.04
    return Scale(low - margin, high + margin)


def grounded(values: Sequence[float]) -> Scale:
    """An axis for bars: zero is on it, and stands at the very edge when all values lie on one side."""
    low, high = min([0.0, *values]), max([0.0, *values])
    if low == high:
        return Scale(0.0, 1.0, edge=0.0)
    margin = high * 0.04 - low * 0.04
    return Scale(low - margin if low < 0 else 0.0, high + margin if high > 0 else 0.0, edge=0.0)


def _round_step(raw: float) -> float:
    """The least of 1, 2, 2.5, 5 × 10ᵏ that is not below `raw`."""
    power: float = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))


def number(value: float | None) -> str:
    """A number for people: three decimals near one, thousands apart, powers of ten when very large or small."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size != 0 and (size >= 1e6 or size < 5e-4):
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    else:
        text = f"{value:,.{3 if size < 10 else 1 if size < 1000 else 0}f}"
    return text.replace("-", "−")


def percent(value: float | None) -> str:
    """A proportion as a percentage with one decimal."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value * 100:.1f} %".replace("-", "−")


def tick_text(value: float, step: float) -> str:
    """A tick with as many decimals as its step needs."""
    if value == 0 or abs(value) < abs(step) * 1e-6:
        return "0"
    if abs(value) >= 1e6 or abs(step) < 1e-4:
        return f"{value:.3g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e").replace("-", "−")
    decimals = next(places for places in range(6) if math.isclose(round(step, places), step, rel_tol=1e-9))
    return f"{value:,.{decimals}f}".replace("-", "−")
