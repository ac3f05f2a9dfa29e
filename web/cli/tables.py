"""Answers on a terminal: tables and pairs for people, JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click


def as_json(value: Any) -> None:
    """Print JSON, for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def pairs(values: Mapping[str, Any]) -> None:
    """Print names and values, one to a line, values in one column."""
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        click.echo(f"{name:<{width}}  {shown(value)}")


def table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], empty: str) -> None:
    """Print rows under a head, or a sentence when there are none."""
    if not rows:
        click.echo(empty)
        return
    cells = [[shown(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(name), *(len(line[at]) for line in cells)) for at, name in enumerate(columns)]
    for line in [list(columns), *cells]:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def shown(value: Any) -> str:
    """A value on one line. Control characters are escaped: what an answer holds must not steer the terminal."""
    if value is None or value in ("", []):
        return "–"
    if isinstance(value, list):
        return ", ".join(shown(each) for each in value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in str(value))
