"""One run of the case: who acts, what each step found, and one printed line per step."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from demo.client import Person

WAIT = 240.0


class Case:
    """One run of the case: what each step found, for the next."""

    def __init__(self, people: dict[str, Person], folder: Path) -> None:
        self.people = people
        self.folder = folder
        self.url = next(iter(people.values())).url
        self.trained: dict[str, Any] = {}
        self.version = ""
        self.data: dict[str, dict[str, Any]] = {}
        self.request: dict[str, Any] = {}

    def run(self, steps: "Sequence[Step]") -> None:
        """Carry out the steps in order, one line each."""
        for number, (name, step) in enumerate(steps, start=1):
            started = time.monotonic()
            found = step(self)
            print(f"{number}. {name:<9} {found} ({time.monotonic() - started:.1f} s)", flush=True)

    def __getitem__(self, name: str) -> Person:
        return self.people[name]


Step = tuple[str, Callable[[Case], str]]
