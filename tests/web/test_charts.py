"""Charts: where marks stand, what is said when a value is missing, and that nothing from outside becomes markup."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree as ET

import pytest

from web.charts import (
    Band,
    BarRow,
    GroupRate,
    IntervalRow,
    bar_chart,
    bar_figure,
    group_rates_chart,
    group_rates_figure,
    interval_chart,
    interval_figure,
    number,
)
from web.charts.scale import Scale, fitted, grounded, tick_text

HOSTILE = "<script>alert('x')</script> \" onload=\"y & z"


def parsed(svg: str) -> ET.Element:
    """The drawing as XML: fails when it is not well formed."""
    return ET.fromstring(svg)


def classed(svg: str, name: str) -> list[ET.Element]:
    return [found for found in parsed(svg).iter() if name in found.get("class", "").split()]


def words(svg: str) -> str:
    return " ".join(text.strip() for text in parsed(svg).itertext() if text.strip())


def share(text: str | None) -> float:
    assert text is not None
    return float(text.removesuffix("%"))


def test_group_rates_stand_at_their_percentage_of_the_axis() -> None:
    # The axis runs from 0 to 1 between 2 % and 98 % of the width: a rate r stands at 2 + 96 r.
    svg = group_rates_chart([GroupRate("a", 0.5, 0.25, 0.75, n=40)])
    whisker = classed(svg, "c-whisker")[0]
    assert (whisker.get("x1"), whisker.get("x2")) == ("26%", "74%")
    mark = next(found for found in parsed(svg).iter("svg") if found.get("x"))
    assert mark.get("x") == "50%"


def test_the_reference_groups_rate_is_a_line_in_every_lane() -> None:
    svg = group_rates_chart([GroupRate("a", 0.75, 0.7, 0.8, n=9, reference=True), GroupRate("b", 0.5, 0.4, 0.6, n=9)])
    assert [line.get("x1") for line in classed(svg, "c-reference")] == ["74%", "74%"]
    assert "a (reference)" in words(svg)


def test_bars_start_at_the_edge_and_are_proportional() -> None:
    # The largest end is 1.0; 4 % of room is left beyond it, so 1.0 is 100 / 1.04 wide.
    svg = bar_chart([BarRow("a", 1.0), BarRow("b", 0.5)])
    bars = classed(svg, "c-bar")
    assert [bar.get("x") for bar in bars] == ["0%", "0%"]
    assert share(bars[0].get("width")) == pytest.approx(100 / 1.04, abs=1e-3)
    assert share(bars[1].get("width")) == pytest.approx(50 / 1.04, abs=1e-3)


def test_negative_bars_grow_leftwards_from_zero() -> None:
    svg = bar_chart([BarRow("down", -1.0), BarRow("up", 1.0)])
    down, up = classed(svg, "c-bar")
    zero = share(down.get("x")) + share(down.get("width"))
    assert zero == pytest.approx(50.0, abs=1e-3)
    assert share(up.get("x")) == pytest.approx(50.0, abs=1e-3)


def test_the_band_lies_between_its_ends_and_a_rows_own_band_wins() -> None:
    rows = [IntervalRow("a", 1.0, 0.9, 1.1), IntervalRow("b", 1.0, 0.9, 1.1, band=Band(0.9, None))]
    svg = interval_chart(rows, Band(0.8, 1.25), 1.0)
    scale = fitted([0.9, 1.1], [0.8, 1.25])
    first, second = classed(svg, "c-band")
    assert share(first.get("x")) == pytest.approx(scale.place(0.8))
    assert share(first.get("x")) + share(first.get("width")) == pytest.approx(scale.place(1.25), abs=1e-3)
    assert share(second.get("x")) == pytest.approx(scale.place(0.9))
    assert share(second.get("x")) + share(second.get("width")) == pytest.approx(100.0, abs=1e-3)


def test_outcomes_differ_in_shape_as_well_as_in_colour() -> None:
    shapes = set()
    for outcome in ("PASS", "FAIL", "INCONCLUSIVE", "WAIVED"):
        svg = interval_chart([IntervalRow("a", 1.0, 0.9, 1.1, outcome=outcome)])
        mark = next(found for found in parsed(svg).iter("svg") if found.get("x"))
        shapes.add(tuple((child.tag, child.get("d")) for child in mark))
    assert len(shapes) == 4


def test_a_missing_value_is_said_and_not_drawn() -> None:
    for svg in (
        interval_chart([IntervalRow("a", None, reason="9 cases, 30 are needed")], Band(0.8, 1.25)),
        bar_chart([BarRow("a", None, reason="9 cases, 30 are needed")]),
        group_rates_chart([GroupRate("a", None, reason="9 cases, 30 are needed")]),
    ):
        assert "not computed: 9 cases, 30 are needed" in words(svg)
        assert not classed(svg, "c-dot")
        assert not classed(svg, "c-bar")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_without_a_place_says_so(value: float) -> None:
    for svg in (
        interval_chart([IntervalRow("a", value, 0.1, 0.2)]),
        bar_chart([BarRow("a", value)]),
        group_rates_chart([GroupRate("a", value)]),
    ):
        assert "the value is not a finite number" in words(svg)
        assert "nan" not in svg.lower()


def test_nothing_given_is_an_empty_drawing_and_no_table() -> None:
    for svg in (interval_chart([]), bar_chart([]), group_rates_chart([])):
        assert "No values were given." in words(svg)
    for figure in (interval_figure("t", []), bar_figure("t", []), group_rates_figure("t", [])):
        assert figure.rows == ()


def test_a_far_value_becomes_an_arrow_and_leaves_the_band_readable() -> None:
    svg = interval_chart([IntervalRow("a", 1e12, 0.9, math.inf), IntervalRow("b", 1.0, 0.9, 1.1)], Band(0.8, 1.25), 1.0)
    assert len(classed(svg, "c-arrow")) == 2  # the estimate and the upper end
    assert share(classed(svg, "c-band")[0].get("width")) > 10
    assert "1.00 × 10¹²" in words(svg)


@pytest.mark.parametrize("values", [[1e308, -1e308], [5.0, 5.0], [0.0], [-5e-324, 0.0], [1e-9, 2e-9], [1e15, 1e15 + 1]])
def test_extreme_values_still_give_well_formed_drawings_within_the_width(values: list[float]) -> None:
    for svg in (
        interval_chart([IntervalRow("a", value, value, value) for value in values]),
        bar_chart([BarRow("a", value, value, value) for value in values]),
        interval_chart([IntervalRow("a", value) for value in values], Band(0.8, 1.25), 1.0),
    ):
        parsed(svg)
        places = [float(found) for found in re.findall(r' x[12]?="(-?[\d.e+-]+)%"', svg)]
        assert places
        assert all(0 <= place <= 100 for place in places)


def test_everything_from_outside_is_text_and_nothing_is_styled_in_place() -> None:
    for svg in (
        interval_chart([IntervalRow(HOSTILE, 1.0, 0.9, 1.1), IntervalRow("b", None, reason=HOSTILE)], title=HOSTILE),
        bar_chart([BarRow(HOSTILE, 1.0), BarRow("b", None, reason=HOSTILE)], title=HOSTILE),
        group_rates_chart([GroupRate(HOSTILE, 0.5), GroupRate("b", None, reason=HOSTILE)], title=HOSTILE),
    ):
        tree = parsed(svg)
        assert {found.tag for found in tree.iter()} <= {
            "svg", "title", "desc", "g", "line", "rect", "text", "tspan", "circle", "path"
        }  # fmt: skip
        names = {name for found in tree.iter() for name in found.attrib}
        assert "style" not in names
        assert not [name for name in names if name.startswith("on")]
        assert HOSTILE in words(svg)


def test_a_long_name_is_cut_but_kept_whole_in_its_title() -> None:
    name = "a_feature_with_a_name_longer_than_any_column_could_ever_hold_beside_a_number"
    svg = bar_chart([BarRow(name, 1.0)])
    shown = [found.text for found in classed(svg, "c-name")]
    assert all(text and text.endswith("…") and len(text) <= 44 for text in shown)
    row_title = parsed(svg).find("g/title")
    assert row_title is not None
    assert row_title.text == f"{name}: 1.000, no interval"


def test_title_and_description_say_it_in_words() -> None:
    svg = interval_chart([IntervalRow("Ratio", 0.896, 0.801, 0.998)], title="Ratios")
    tree = parsed(svg)
    assert (tree.get("role"), tree.get("aria-label")) == ("img", "Ratios")
    assert tree[0].text == "Ratios"
    assert tree[1].text == "Ratio: 0.896 (0.801 to 0.998)"


def test_figures_carry_the_same_numbers_as_a_table() -> None:
    figure = interval_figure(
        "t",
        [IntervalRow("Ratio", 0.896, 0.801, 0.998, n=1000, outcome="PASS"), IntervalRow("Gone", None, reason="why")],
        band=Band(0.8, 1.25),
        reference=1.0,
    )
    assert figure.headers == ("Metric", "Estimate", "Low", "High", "n", "Accepted", "Outcome")
    assert figure.rows == (
        ("Ratio", "0.896", "0.801", "0.998", "1,000", "0.800 to 1.250", "pass"),
        ("Gone", "–", "–", "–", "–", "0.800 to 1.250", "not computed: why"),
    )
    assert [key.text for key in figure.legend] == [
        "estimate with 95 % interval", "accepted: 0.800 to 1.250", "no difference: 1.000"
    ]  # fmt: skip
    rates = group_rates_figure("t", [GroupRate("a", 0.5, 0.25, 0.75, n=40, reference=True)])
    assert rates.rows == (("a (reference)", "50.0 %", "25.0 %", "75.0 %", "40", ""),)
    bars = bar_figure("t", [BarRow("a", 0.5)])
    assert bars.rows == (("a", "0.500", "–", "–", ""),)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (math.nan, "–"), (math.inf, "∞"), (-math.inf, "−∞"), (0, "0.000"), (0.8, "0.800"),
        (-0.1234, "−0.123"), (9.9994, "9.999"), (12.34, "12.3"), (1234.5, "1,234"),
        (2_500_000, "2.50 × 10⁶"), (-3.1e-7, "−3.10 × 10⁻⁷"),
    ],
)  # fmt: skip
def test_numbers_read_well(value: float | None, text: str) -> None:
    assert number(value) == text


def test_ticks_are_round_numbers_on_the_axis() -> None:
    assert Scale(0.0, 1.0).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert Scale(-0.13, 0.12).ticks() == pytest.approx([-0.1, -0.05, 0, 0.05, 0.1])
    assert [tick_text(value, 0.25) for value in (-0.25, 0.0, 1.5)] == ["−0.25", "0", "1.50"]
    assert [tick_text(value, 200.0) for value in (0.0, 1200.0)] == ["0", "1,200"]


def test_an_axis_for_bars_always_holds_zero() -> None:
    assert grounded([2.0, 3.0]).low == 0.0
    assert grounded([-2.0, -3.0]).high == 0.0
    assert grounded([]) == Scale(0.0, 1.0, edge=0.0)
