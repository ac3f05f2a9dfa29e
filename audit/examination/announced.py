"""Rows that count only because an entry announced them: signing keys after the first, and what retention dropped.

Without this, whoever can write into the tables could bring in a key of their own, or hide a deletion as retention.
"""

from collections.abc import Iterator
from typing import Any, Final

from audit import rotation
from audit.events import LOGS, Action
from audit.examination.entry import Leaf, inner, read
from audit.findings import TAMPERED, Finding, Severity
from audit.models import Event, Minimum
from audit.models import Leaf as PlacedLeaf
from audit.rotation import Range

AREA: Final = "announcements"
_KEYS: Final = {Action.KEY_ROTATE.value, Action.KEY_RETIRE.value}


class Announcements:
    """Collects from the log of changes what was announced of keys, and compares."""

    def __init__(self) -> None:
        self._keys: dict[str, set[tuple[str, int, int | None]]] = {log: set() for log in LOGS}

    def look(self, leaf: Leaf) -> None:
        """Take note of an entry of the log of changes."""
        if leaf.get("action") not in _KEYS or leaf.get("outcome") != "success":
            return
        told = inner(inner(leaf, "change"), "after").get("keys")
        log = str(inner(leaf, "object").get("id"))
        for each in told if isinstance(told, list) else ():
            if isinstance(each, dict) and log in self._keys:
                self._keys[log].add(
                    (str(each.get("key")), _number(each.get("from_size")) or 0, _number(each.get("to_size")))
                )

    def keys(self) -> Iterator[Finding]:
        """Keys that no entry announced. The first of each name needs none: it stands on the auditors' paper."""
        for log in LOGS:
            first: set[str] = set()
            for each in rotation.ranges(log):
                name = each.verifier.partition("+")[0]
                if name not in first:
                    first.add(name)
                    if each.to_size is None:
                        continue
                if self._stated(each) not in self._keys[log]:
                    sentence = f"No entry announces the key {each.key_id} of the log {log} for the sizes it signs."
                    yield Finding(Severity.BROKEN, AREA, "key-unannounced", sentence, TAMPERED)

    @staticmethod
    def _stated(each: Range) -> tuple[str, int, int | None]:
        return (each.verifier, each.from_size, each.to_size)


def minimums() -> Iterator[Finding]:
    """Drops that no entry announced."""
    for row in Minimum.objects.order_by("log", "minimum_index"):
        event = Event.objects.filter(log="admin", id=row.event_id).first()
        placed = PlacedLeaf.objects.filter(event_id=row.event_id).first()
        leaf = read(bytes(event.leaf_data)) if event is not None else None
        if event is None and placed is not None and placed.seq < _dropped("admin"):
            continue  # the announcement itself has since been dropped
        if leaf is None or placed is None or not _announces(leaf, row):
            sentence = f"No entry announces that the log {row.log} begins at index {row.minimum_index}."
            yield Finding(Severity.BROKEN, AREA, "minimum-unannounced", sentence, TAMPERED)


def _announces(leaf: Leaf, row: Minimum) -> bool:
    stated = inner(inner(leaf, "change"), "after").get("minimum_index")
    subject = inner(leaf, "object")
    return (leaf.get("action"), leaf.get("outcome"), subject.get("type"), subject.get("id"), stated) == (
        Action.PRUNE.value,
        "success",
        "log",
        row.log,
        row.minimum_index,
    )


def _dropped(log: str) -> int:
    newest = Minimum.objects.filter(log=log).order_by("-minimum_index").first()
    return newest.minimum_index if newest else 0


def _number(value: Any) -> int | None:  # Any: JSON as read
    return value if isinstance(value, int) and not isinstance(value, bool) else None
