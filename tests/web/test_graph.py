"""The drawing of a graph: both layouts hold every box once, names are escaped and cut, lines lead from box to box."""

import re
from xml.etree import ElementTree as ET

from web.charts.graph import Box, Line, graph

NAME = '<script>"&' + "x" * 100


def drawings(boxes: list[Box], lines: list[Line]) -> list[ET.Element]:
    """The two drawings, parsed: what is no well-formed XML fails here."""
    return list(ET.fromstring(f"<root>{graph(boxes, lines, title='Lineage of x')}</root>"))


BOXES = [
    Box("a", "Data set", NAME, -1, "/data-sets/a/1/"),
    Box("b", "Model version, Production", "credit v1", 0, tone="is-start"),
    Box("c", "Evidence", "fairness report", 1, "/evidence/c/"),
    Box("d", "Model version, not visible to you", "", 1, tone="is-hidden"),
]
LINES = [Line("a", "b", "training"), Line("b", "c", "measured"), Line("b", "d", "copied"), Line("b", "nowhere", "x")]


def test_both_drawings_hold_every_box_and_line_once() -> None:
    wide, narrow = drawings(BOXES, LINES)
    for drawn in (wide, narrow):
        boxes = list(drawn.iter("rect"))
        assert len(boxes) == 4
        assert [link.get("href") for link in drawn.iter("a")] == ["/data-sets/a/1/", "/evidence/c/"]
        assert sum(path.get("class") == "g-line" for path in drawn.iter("path")) == 3
        assert (drawn.get("role"), drawn.get("aria-label")) == ("group", "Lineage of x")
        assert not [element for element in drawn.iter() if "style" in element.attrib]


def test_columns_follow_each_other_and_rows_do_not_overlap() -> None:
    wide, narrow = drawings(BOXES, LINES)
    places = [(int(box.get("x", "")), int(box.get("y", ""))) for box in wide.iter("rect")]
    assert [x for x, _ in places] == [0, 238, 476, 476]
    assert len(set(places)) == 4
    assert [int(box.get("y", "")) for box in narrow.iter("rect")] == [0, 64, 128, 192]
    assert narrow.get("viewBox") == "-2 -2 358 244"


def test_a_long_name_is_cut_and_whole_in_its_title() -> None:
    for drawn, length in zip(drawings(BOXES, LINES), (21, 39), strict=True):
        link = next(drawn.iter("a"))
        (title,), texts = [one.text for one in link.iter("title")], [one.text for one in link.iter("text")]
        assert title == f"Data set: {NAME}"
        assert texts[1] == NAME[: length - 1] + "…"


def test_a_line_ends_at_its_box() -> None:
    wide, _ = drawings(BOXES, LINES)
    ends = {path.get("d") for path in wide.iter("path") if path.get("class") == "g-line"}
    first = next(d for d in ends if d and d.startswith("M166 "))
    assert re.fullmatch(r"M166 (\d+)C202 \1 195 \1 231 \1", first)
