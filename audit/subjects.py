"""What an act is done to: a type, an id, the scope permissions are given on, and who was involved in its making."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Subject:
    """A governed thing, as the door, the policy table and the trail see it.

    ``scope`` is what a role grant's pattern is matched against (a model's or data set's name, or "" for the whole
    installation). ``label`` is a name for people without personal data. ``involved`` maps a relation ("requester",
    "version_author", …) to account ids, computed from recorded history.
    """

    type: str
    id: str
    scope: str = ""
    label: str = ""
    involved: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)


@runtime_checkable
class Governed(Protocol):
    """A row that knows its subject."""

    def subject(self) -> Subject: ...


INSTALLATION = Subject(type="installation", id="plimsoll")
TRAIL = Subject(type="trail", id="admin", label="the trail")


def subject_of(on: "Governed | Subject") -> Subject:
    """The subject of a row, or the subject itself."""
    return on if isinstance(on, Subject) else on.subject()
