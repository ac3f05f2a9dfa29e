"""What an examination of the trail finds: one sentence for people, one code for machines, and what to do about it.

A sentence names entries by index and id, and tables and roles by name; never a person and never a value.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """``BROKEN``: changed, or open to change. ``OPEN``: incomplete, late, or not proven. ``NOTE``: to be known."""

    BROKEN = "broken"
    OPEN = "open"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing found. ``area`` is the part of the examination, ``code`` never changes once released."""

    severity: Severity
    area: str
    code: str
    sentence: str
    advice: str = ""


TAMPERED: Final = (
    "Stop the service, keep the database and its log files as they are, and compare with the last backup and with what"
    " the auditors hold."
)
EACH: Final = 20  # findings of one code that are told one by one


class Findings:
    """Collects findings; of each code the first few in full, so that a wholly damaged log stays readable."""

    def __init__(self) -> None:
        self.told: list[Finding] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._severities: dict[tuple[str, str], Severity] = {}

    def add(self, found: Finding) -> None:
        """Take up one finding."""
        key = (found.area, found.code)
        self._counts[key] += 1
        self._severities[key] = found.severity
        if self._counts[key] <= EACH:
            self.told.append(found)

    def extend(self, found: Iterable[Finding]) -> None:
        """Take up several."""
        for each in found:
            self.add(each)

    def all(self) -> list[Finding]:
        """What was told, and for each code that was cut short a line that says how many more there are."""
        more = [
            Finding(self._severities[key], key[0], key[1], f"And {count - EACH:,} more like this.")
            for key, count in self._counts.items()
            if count > EACH
        ]
        return [*self.told, *more]

    def count(self, area: str, *severities: Severity) -> int:
        """How many findings of these severities an area has, those that were cut short included."""
        return sum(
            count for key, count in self._counts.items() if key[0] == area and self._severities[key] in severities
        )


def exit_code(found: Iterable[Finding]) -> int:
    """0 sound, 1 tampered or unprotected, 2 incomplete, late or not witnessed. Notes change nothing."""
    severities = {each.severity for each in found}
    if Severity.BROKEN in severities:
        return 1
    return 2 if Severity.OPEN in severities else 0
