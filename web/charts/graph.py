"""Drawing a graph of things that went into each other: in columns where there is room, else as one list with rails.

Both drawings hold the same boxes and lines; the style sheet shows one of them. Every box with an address is a link, so
that a keyboard reaches it. Not here: which things there are, and their table (``web/pages/lineage.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from web.charts.svg import cut, element

# Wide: a box, and the room between two columns and two rows.
_WIDTH, _HEIGHT, _ACROSS, _BELOW = 166, 48, 72, 16
# Narrow: the rails lie left of the boxes, as many as fit.
_RAIL, _RAILS, _LEFT, _NARROW = 13, 4, 62, 354
_CHARACTERS, _NARROW_CHARACTERS, _WORD_CHARACTERS = 21, 39, 12
_MOST_LABELS = 30
# So many columns are still readable when they are made as narrow as the page; more are scrolled through.
_FITTING = 5


@dataclass(frozen=True, slots=True)
class Box:
    """One thing. ``column`` orders the things from first to last; ``tone`` is a class of the style sheet."""

    key: str
    kind: str
    name: str
    column: int
    url: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """From one box to another, and as what."""

    source: str
    target: str
    word: str


def graph(boxes: Sequence[Box], lines: Sequence[Line], *, title: str) -> SafeString:
    """Both drawings. ``lines`` between boxes that are not there are left out."""
    there = {box.key for box in boxes}
    drawn = [line for line in lines if line.source in there and line.target in there]
    return SafeString(_columns(boxes, drawn, title) + _list(boxes, drawn, title))


# -- in columns ------------------------------------------------------------------------------------------------------


def _columns(boxes: Sequence[Box], lines: Sequence[Line], title: str) -> SafeString:
    places = _places(boxes, lines)
    width = max(x for x, _ in places.values()) + _WIDTH
    height = max(y for _, y in places.values()) + _HEIGHT
    names = {box.key: box.name for box in boxes}
    drawn = [_curve(line, places, names, labelled=len(lines) <= _MOST_LABELS) for line in lines]
    drawn += [_box(box, *places[box.key], _WIDTH, _CHARACTERS) for box in boxes]
    few = len({box.column for box in boxes}) <= _FITTING
    return _svg(drawn, width, height, title, "graph-wide graph-fits" if few else "graph-wide")


def _places(boxes: Sequence[Box], lines: Sequence[Line]) -> dict[str, tuple[int, int]]:
    """Left upper corners. A column is ordered by where the neighbours in the columns already placed are."""
    columns = sorted({box.column for box in boxes})
    neighbours: dict[str, list[str]] = {box.key: [] for box in boxes}
    for line in lines:
        neighbours[line.source].append(line.target)
        neighbours[line.target].append(line.source)
    tallest = max(sum(box.column == column for box in boxes) for column in columns)
    middle: dict[str, float] = {}
    places: dict[str, tuple[int, int]] = {}
    for column in sorted(columns, key=abs):
        here = [box for box in boxes if box.column == column]
        here.sort(key=lambda box: _mean([middle[key] for key in neighbours[box.key] if key in middle]))
        top = (tallest - len(here)) * (_HEIGHT + _BELOW) // 2
        for place, box in enumerate(here):
            x, y = columns.index(column) * (_WIDTH + _ACROSS), top + place * (_HEIGHT + _BELOW)
            places[box.key], middle[box.key] = (x, y), y
    return places


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _curve(
    line: Line, places: Mapping[str, tuple[int, int]], names: Mapping[str, str], *, labelled: bool
) -> SafeString:
    (left, above), (right, below) = places[line.source], places[line.target]
    x1, y1, x2, y2 = left + _WIDTH, above + _HEIGHT // 2, right - 7, below + _HEIGHT // 2
    bend = max((x2 - x1) // 2, 36)
    parts = [
        element("title", f"{names[line.source] or 'not visible'} → {names[line.target] or 'not visible'}: {line.word}"),
        element("path", d=f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}", class_="g-line"),
        element("path", d=f"M{x2} {y2 - 4}l7 4l-7 4z", class_="g-tip"),
    ]
    if labelled:
        x, y = (x1 + x2) // 2, (y1 + y2) // 2 - 5
        parts.append(element("text", cut(line.word, _WORD_CHARACTERS), x=x, y=y, text_anchor="middle", class_="g-word"))
    return element("g", *parts)


# -- as a list -------------------------------------------------------------------------------------------------------


def _list(boxes: Sequence[Box], lines: Sequence[Line], title: str) -> SafeString:
    ordered = sorted(boxes, key=lambda box: box.column)
    rows = {box.key: place for place, box in enumerate(ordered)}
    drawn = [_rail(line, rows, lane) for line, lane in _lanes(lines, rows)]
    drawn += [
        _box(box, _LEFT, rows[box.key] * (_HEIGHT + _BELOW), _NARROW - _LEFT, _NARROW_CHARACTERS) for box in ordered
    ]
    return _svg(drawn, _NARROW, len(ordered) * (_HEIGHT + _BELOW) - _BELOW, title, "graph-narrow")


def _lanes(lines: Sequence[Line], rows: Mapping[str, int]) -> list[tuple[Line, int]]:
    """Each line with its rail: the innermost that is free where the line runs; the outermost takes the rest."""
    free = [-1] * _RAILS
    found = []
    for line in sorted(lines, key=lambda line: min(rows[line.source], rows[line.target])):
        start, end = sorted((rows[line.source], rows[line.target]))
        lane = next((place for place, until in enumerate(free) if until <= start), _RAILS - 1)
        free[lane] = max(free[lane], end)
        found.append((line, lane))
    return found


def _rail(line: Line, rows: Mapping[str, int], lane: int) -> SafeString:
    step = _HEIGHT + _BELOW
    x, tip = _LEFT - _RAIL * (lane + 1), _LEFT - 7
    # A line leaves below the middle of its box and arrives above it, so that two never share a stretch.
    y1, y2 = rows[line.source] * step + _HEIGHT // 2 + 7, rows[line.target] * step + _HEIGHT // 2 - 7
    return element(
        "g",
        element("title", line.word),
        element("path", d=f"M{_LEFT} {y1}H{x}V{y2}H{tip}", class_="g-line"),
        element("path", d=f"M{tip} {y2 - 4}l7 4l-7 4z", class_="g-tip"),
    )


# -- both ------------------------------------------------------------------------------------------------------------


def _box(box: Box, x: int, y: int, width: int, characters: int) -> SafeString:
    parts = [
        element("title", f"{box.kind}: {box.name}" if box.name else box.kind),
        element("rect", x=x, y=y, width=width, height=_HEIGHT, rx=6, class_=f"g-box {box.tone}".rstrip()),
        element("text", cut(box.kind, characters + 5), x=x + 10, y=y + 18, class_="g-kind"),
        element("text", cut(box.name, characters), x=x + 10, y=y + 36, class_="g-name"),
    ]
    if box.url:
        return element("a", *parts, href=box.url, class_="g-link")
    return element("g", *parts)


def _svg(drawn: Sequence[str], width: int, height: int, title: str, kind: str) -> SafeString:
    return element(
        "svg", *drawn, class_=f"graph {kind}", viewBox=f"-2 -2 {width + 4} {height + 4}", width=width + 4,
        height=height + 4, role="group", aria_label=title,
    )  # fmt: skip
