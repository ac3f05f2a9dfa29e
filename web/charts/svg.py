"""Writing SVG: elements, text that is cut when too long, and the marks charts are made of.

Only classes and presentation attributes are written, never style, so that pages keep a strict content policy.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.html import conditional_escape, escape
from django.utils.safestring import SafeString

# Characters that fit in a narrow and in a wide column: a name beside its figures, and a line of its own.
BESIDE_FIGURES = (30, 44)
WHOLE_LINE = (52, 80)

# Outcome → (tone class, mark). A ring with its line, lengthened by the interval, is the Plimsoll mark itself.
_MARKS = {
    "PASS": ("tone-ok", "ring"),
    "FAIL": ("tone-bad", "diamond"),
    "INCONCLUSIVE": ("tone-warn", "hollow"),
    "ERROR": ("tone-bad", "hollow"),
    "WAIVED": ("tone-info", "square"),
}


def element(tag: str, *children: str, **attributes: str | float) -> SafeString:
    """One element, its text escaped. Names take `_` for `-`, and a trailing `_` where Python keeps the word."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_plain(value))}"' for name, value in attributes.items()
    )
    return SafeString(f"<{tag}{written}>{''.join(conditional_escape(child) for child in children)}</{tag}>")


def _plain(value: str | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def at(percentage: float) -> str:
    return f"{percentage:g}%"


def drawing(children: Iterable[str], *, height: int, title: str, description: str) -> SafeString:
    """A whole chart, as wide as its column."""
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *children,
        class_="chart",
        width="100%",
        height=height,
        role="img",
        aria_label=title,
    )


def label(text: str, y: float, lengths: tuple[int, int], **attributes: str | float) -> SafeString:
    """Words at the left edge, cut for narrow and for wide columns. The row's <title> holds all of them."""
    short, long = (cut(text, length) for length in lengths)
    if short == long:
        return element("text", short, x=0, y=y, **attributes)
    kind = attributes.pop("class_", "")
    return SafeString(
        element("text", short, x=0, y=y, class_=f"{kind} c-narrow", **attributes)
        + element("text", long, x=0, y=y, class_=f"{kind} c-wide", **attributes)
    )


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def mark_of(outcome: str) -> tuple[str, str]:
    """Tone class and shape for a gate outcome; anything else is drawn in the accent."""
    return _MARKS.get(outcome, ("", "ring"))


def mark(shape: str, x: str, y: float) -> SafeString:
    """A mark centred on (x, y), where x may be a percentage."""
    if shape == "diamond":
        inner = element("path", d="M0-6.5L6.5 0L0 6.5L-6.5 0z", class_="c-dot is-solid")
    elif shape == "square":
        inner = element("path", d="M-5-5h10v10h-10z", class_="c-dot")
    elif shape == "hollow":
        inner = element("circle", r=5, class_="c-dot")
    else:
        inner = SafeString(element("circle", r=5, class_="c-dot") + element("path", d="M-5 0h10", class_="c-line"))
    return element("svg", inner, x=x, y=y, overflow="visible")


def arrow(x: str, y: float, *, leftwards: bool) -> SafeString:
    """Says that something continues beyond the axis."""
    path = "M0-5L-7 0L0 5z" if leftwards else "M0-5L7 0L0 5z"
    return element("svg", element("path", d=path, class_="c-arrow"), x=x, y=y, overflow="visible")
