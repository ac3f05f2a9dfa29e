"""Where this process last saw chains end and people stand, so that an append need not ask before it inserts.

An expectation is only ever compared: the database inserts the event when chain, pseudonym and key are still what was
expected, under the object's lock, and otherwise says what they are. A stale one (another process wrote, a transaction
was rolled back, a person was erased) costs the append that meets it one leaf written twice, and nothing else.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from audit.actors import Actor
from audit.subjects import Subject

CAPACITY: Final = 10_000
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Person:
    """An actor in the trail: the pseudonym and the wrapped key of the openings."""

    ref: str
    wrapped: bytes | None


@dataclass(frozen=True)
class End:
    """The newest event of an object: its number and its leaf hash."""

    n: int
    leaf: bytes


class _Recent(Generic[Key, Value]):
    """The values kept last, at most ``CAPACITY``; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            return self._kept.get(key)

    def keep(self, key: Key, value: Value) -> None:
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            if len(self._kept) > CAPACITY:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


_people: _Recent[tuple[str | None, str], Person] = _Recent()
_ends: _Recent[tuple[str, str], End] = _Recent()


def person(by: Actor) -> Person | None:
    """What was last seen of an actor."""
    return _people.get((by.account, by.kind))


def keep_person(by: Actor, seen: Person) -> None:
    """Remember an actor."""
    _people.keep((by.account, by.kind), seen)


def end(subject: Subject) -> End | None:
    """Where the chain of an object was last seen to end; None also when it was never seen."""
    return _ends.get((subject.type, subject.id))


def keep_end(subject: Subject, seen: End) -> None:
    """Remember the event just inserted. It may still be rolled back: then the next expectation is not met."""
    _ends.keep((subject.type, subject.id), seen)


def forget() -> None:
    """Expect nothing any more."""
    _people.clear()
    _ends.clear()
