"""Figures: a chart with the legend of its marks and the same numbers as a table, ready for parts/chart.html.

Not here: the drawing itself (lanes.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from web.charts.lanes import bar_chart, group_rates_chart, interval_chart
from web.charts.rows import Band, BarRow, GroupRate, IntervalRow, drawable, finite, group_name, missing_words
from web.charts.scale import number, percent
from web.charts.svg import element, mark


@dataclass(frozen=True, slots=True)
class Key:
    """One line of a legend."""

    svg: SafeString
    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """What parts/chart.html shows."""

    title: str
    svg: SafeString
    legend: tuple[Key, ...]
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    empty: str = "no values were given."


def interval_figure(
    title: str,
    rows: Sequence[IntervalRow],
    *,
    band: Band | None = None,
    reference: float | None = None,
    interval: str = "95 % interval",
    note: str = "",
) -> Figure:
    """An interval chart with its legend and numbers."""
    legend = [Key(_key_estimate(), f"estimate with {interval}")]
    if band or any(row.band for row in rows):
        words = f"accepted: {_band_words(band)}" if band else "accepted"
        legend.append(Key(_key(element("rect", x=2, y=1, width=20, height=12, class_="c-band")), words))
    if reference is not None:
        legend.append(Key(_key_reference(), f"no difference: {number(reference)}"))
    table = tuple(
        (
            *(row.name, number(row.value), number(row.low), number(row.high), _count(row.n)),
            *(_band_words(row.band or band), _remark(row.value, row.reason, row.outcome.lower())),
        )
        for row in rows
    )
    headers = ("Metric", "Estimate", "Low", "High", "n", "Accepted", "Outcome")
    return Figure(title, interval_chart(rows, band, reference, title=title), tuple(legend), headers, table, note)


def bar_figure(title: str, rows: Sequence[BarRow], *, interval: str = "95 % interval", note: str = "") -> Figure:
    """A bar chart with its legend and numbers."""
    bar = element("rect", x=1, y=3, width=16, height=8, class_="c-bar")
    legend = [Key(_key(bar), "estimate")]
    if any(finite(row.low, row.high) for row in rows):
        legend.append(Key(_key(element("line", x1=3, x2=21, y1=7, y2=7, class_="c-error")), interval))
    table = tuple(
        (row.name, number(row.value), number(row.low), number(row.high), _remark(row.value, row.reason)) for row in rows
    )
    headers = ("Name", "Estimate", "Low", "High", "Remark")
    return Figure(title, bar_chart(rows, title=title), tuple(legend), headers, table, note)


def group_rates_figure(
    title: str, rows: Sequence[GroupRate], *, interval: str = "95 % Wilson interval", note: str = ""
) -> Figure:
    """A group rates chart with its legend and numbers."""
    legend = [Key(_key_estimate(), f"rate with {interval}")]
    if any(row.reference and drawable(row.rate) for row in rows):
        legend.append(Key(_key_reference(), "rate of the reference group"))
    table = tuple(
        (
            *(group_name(row), percent(row.rate), percent(row.low), percent(row.high), _count(row.n)),
            _remark(row.rate, row.reason),
        )
        for row in rows
    )
    headers = ("Group", "Rate", "Low", "High", "n", "Remark")
    return Figure(title, group_rates_chart(rows, title=title), tuple(legend), headers, table, note)


def _band_words(band: Band | None) -> str:
    if band is None or (band.low is None and band.high is None):
        return "–"
    if band.low is None:
        return f"at most {number(band.high)}"
    if band.high is None:
        return f"at least {number(band.low)}"
    return f"{number(band.low)} to {number(band.high)}"


def _remark(value: float | None, reason: str, otherwise: str = "") -> str:
    return otherwise if drawable(value) else missing_words(value, reason)


def _count(n: int | None) -> str:
    return "–" if n is None else f"{n:,}"


def _key(*children: str) -> SafeString:
    return element("svg", *children, width=24, height=14, viewBox="0 0 24 14", focusable="false")


def _key_estimate() -> SafeString:
    return _key(element("line", x1=1, x2=23, y1=7, y2=7, class_="c-whisker"), mark("ring", "12", 7))


def _key_reference() -> SafeString:
    return _key(element("line", x1=12, x2=12, y1=0, y2=14, class_="c-reference"))
