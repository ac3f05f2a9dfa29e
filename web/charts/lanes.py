"""The drawings: lanes with estimates, bars and groups, and the axis below them.

Not here: legends and tables (figures.py), what the rows are (rows.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from web.charts.rows import Band, BarRow, GroupRate, IntervalRow, drawable, finite, group_name, missing_words
from web.charts.scale import Scale, fitted, grounded, number, percent, tick_text
from web.charts.svg import BESIDE_FIGURES, WHOLE_LINE, arrow, at, drawing, element, label, mark, mark_of

_ROW = 48  # height of a row: a line of words above a lane
_WORDS = 14  # baseline of the words in a row
_LANE = 29  # middle of the lane in a row
_AXIS = 22  # height of the axis under the rows


@dataclass(frozen=True, slots=True)
class _Lane:
    """What every row comes down to before it is drawn."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    reason: str
    words: Callable[[float | None], str] = number

    def sentence(self) -> str:
        if not drawable(self.value):
            return f"{self.name}: {missing_words(self.value, self.reason)}"
        if self.low is None or self.high is None:
            return f"{self.name}: {self.words(self.value)}, no interval"
        return f"{self.name}: {self.words(self.value)} ({self.words(self.low)} to {self.words(self.high)})"

    def head(self, top: int) -> SafeString:
        """The name at the left, and at the right the figures or nothing."""
        if not drawable(self.value):
            reason = missing_words(self.value, self.reason)
            return SafeString(
                label(self.name, top + _WORDS, WHOLE_LINE, class_="c-name")
                + label(reason, top + _LANE + 4, WHOLE_LINE, class_="c-missing")
            )
        name = label(self.name, top + _WORDS, BESIDE_FIGURES, class_="c-name")
        parts = [element("tspan", self.words(self.value), class_="c-value")]
        if self.low is not None and self.high is not None:
            parts.append(element("tspan", f"{self.words(self.low)} to {self.words(self.high)}", dx=8, class_="c-range"))
        return SafeString(name + element("text", *parts, x="100%", y=top + _WORDS, text_anchor="end"))


def interval_chart(
    rows: Sequence[IntervalRow], band: Band | None = None, reference: float | None = None, *, title: str = "Estimates"
) -> SafeString:
    """One lane per metric: the estimate with its interval against what is acceptable (a row's own band wins)."""
    bands = [row.band or band for row in rows]
    core = finite(reference, *(end for held in bands if held for end in (held.low, held.high)))
    scale = fitted(finite(*(value for row in rows for value in (row.value, row.low, row.high))), core)
    lanes = [_Lane(row.name, row.value, row.low, row.high, row.reason) for row in rows]
    drawn = []
    for index, (row, held, lane) in enumerate(zip(rows, bands, lanes, strict=True)):
        y = index * _ROW + _LANE
        behind = _band(held, scale, y) + _reference(reference, scale, y)
        drawn.append(_estimate(lane, scale, index * _ROW, behind, *mark_of(row.outcome)))
    return _chart(drawn, lanes, scale, title, tick_text)


def bar_chart(rows: Sequence[BarRow], *, title: str = "Magnitudes") -> SafeString:
    """One bar per row from zero, its value above it and its interval across its end."""
    scale = grounded(finite(*(value for row in rows for value in (row.value, row.low, row.high))))
    lanes = [_Lane(row.name, row.value, row.low, row.high, row.reason) for row in rows]
    drawn = [_bar(lane, scale, index * _ROW) for index, lane in enumerate(lanes)]
    return _chart(drawn, lanes, scale, title, tick_text)


def group_rates_chart(rows: Sequence[GroupRate], *, title: str = "Rates by group") -> SafeString:
    """One lane per group from 0 to 100 %: the rate with its interval, and a line at the reference group's rate."""
    scale = Scale(0.0, 1.0)
    reference = next((row.rate for row in rows if row.reference and drawable(row.rate)), None)
    lanes = [_Lane(group_name(row), row.rate, row.low, row.high, row.reason, percent) for row in rows]
    drawn = [
        _estimate(lane, scale, index * _ROW, _reference(reference, scale, index * _ROW + _LANE), "", "ring")
        for index, lane in enumerate(lanes)
    ]
    return _chart(drawn, lanes, scale, title, lambda value, _step: f"{value * 100:.0f} %")


def _estimate(lane: _Lane, scale: Scale, top: int, behind: str, tone: str, shape: str) -> SafeString:
    y = top + _LANE
    full = element("title", lane.sentence())
    if lane.value is None or not drawable(lane.value):
        return element("g", full, lane.head(top))
    line = element("line", x1=0, x2="100%", y1=y, y2=y, class_="c-lane")
    marks = [_whisker(lane, scale, y, "c-whisker"), _point(lane.value, shape, scale, y)]
    return element("g", full, lane.head(top), SafeString(behind), line, *marks, class_=f"c-row {tone}".rstrip())


def _bar(lane: _Lane, scale: Scale, top: int) -> SafeString:
    y = top + _LANE
    full = element("title", lane.sentence())
    if lane.value is None or not drawable(lane.value):
        return element("g", full, lane.head(top))
    start, end = sorted((scale.place(0.0), scale.place(lane.value)))
    track = element("rect", x=0, y=y - 5, width="100%", height=10, rx=2, class_="c-track")
    bar = element("rect", x=at(start), y=y - 5, width=at(end - start), height=10, class_="c-bar")
    return element("g", full, lane.head(top), track, bar, _whisker(lane, scale, y, "c-error"), class_="c-row")


def _whisker(lane: _Lane, scale: Scale, y: int, kind: str) -> SafeString:
    """The interval: a cap where it ends, an arrow where it continues beyond the axis."""
    if lane.low is None or lane.high is None or math.isnan(lane.low) or math.isnan(lane.high):
        return SafeString("")
    left, right = scale.place(lane.low), scale.place(lane.high)
    drawn = element("line", x1=at(left), x2=at(right), y1=y, y2=y, class_=kind)
    for value, place, leftwards in ((lane.low, left, True), (lane.high, right, False)):
        if scale.holds(value):
            drawn += element("line", x1=at(place), x2=at(place), y1=y - 4, y2=y + 4, class_=kind)
        else:
            drawn += arrow(at(place), y, leftwards=leftwards)
    return SafeString(drawn)


def _point(value: float, shape: str, scale: Scale, y: int) -> SafeString:
    place = at(scale.place(value))
    if scale.holds(value):
        return mark(shape, place, y)
    return arrow(place, y, leftwards=value < scale.low)


def _band(band: Band | None, scale: Scale, y: int) -> str:
    """The acceptable stretch of a lane. An open side runs to the end of the drawing."""
    if band is None or (band.low is None and band.high is None):
        return ""
    left = 0.0 if band.low is None else scale.place(band.low)
    right = 100.0 if band.high is None else scale.place(band.high)
    drawn = element("rect", x=at(left), y=y - 9, width=at(max(right - left, 0.0)), height=18, class_="c-band")
    for end, place in ((band.low, left), (band.high, right)):
        if end is not None:
            drawn += element("line", x1=at(place), x2=at(place), y1=y - 9, y2=y + 9, class_="c-band-edge")
    return drawn


def _reference(reference: float | None, scale: Scale, y: int) -> str:
    if reference is None or not drawable(reference):
        return ""
    place = at(scale.place(reference))
    return element("line", x1=place, x2=place, y1=y - 11, y2=y + 11, class_="c-reference")


def _chart(
    drawn: Sequence[str], lanes: Sequence[_Lane], scale: Scale, title: str, words: Callable[[float, float], str]
) -> SafeString:
    if not drawn:
        return drawing([], height=0, title=title, description="No values were given.")
    top = len(drawn) * _ROW
    marks: list[str] = [element("line", x1=0, x2="100%", y1=top, y2=top, class_="c-axis")]
    ticks = scale.ticks()
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    for value in ticks:
        place = scale.place(value)
        anchor = "start" if place < 4 else "end" if place > 96 else "middle"
        marks.append(element("line", x1=at(place), x2=at(place), y1=top, y2=top + 4, class_="c-axis"))
        marks.append(element("text", words(value, step), x=at(place), y=top + 17, text_anchor=anchor, class_="c-tick"))
    description = "; ".join(lane.sentence() for lane in lanes)
    return drawing([*drawn, *marks], height=top + _AXIS, title=title, description=description)
