"""Charts drawn on the server as SVG: estimates with intervals, bars, and rates by group.

Here: how numbers already computed are drawn. Not here: computing them, judging them, or fetching them.
"""

from web.charts.figures import Figure, bar_figure, group_rates_figure, interval_figure
from web.charts.lanes import bar_chart, group_rates_chart, interval_chart
from web.charts.rows import Band, BarRow, GroupRate, IntervalRow
from web.charts.scale import number

__all__ = [
    "Band",
    "BarRow",
    "Figure",
    "GroupRate",
    "IntervalRow",
    "bar_chart",
    "bar_figure",
    "group_rates_chart",
    "group_rates_figure",
    "interval_chart",
    "interval_figure",
    "number",
]
