"""What an anchor is: a party outside this database that keeps what was signed, and can say what it holds.

Here: the words shared by all kinds. Each kind is a module beside this one; the file that lists them is read in
``configured.py``; when they are asked and told is ``audit/anchoring.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from audit.note import Verifier

MOST_RECEIPT = 1_000


class AnchorError(Exception):
    """An anchor did not take what it was given, or cannot be asked; trying again later is right. The message is a
    sentence without secrets.
    """


class OtherHistory(AnchorError):
    """An anchor holds what this log cannot have become: more entries, or others. Signing must stop."""


@dataclass(frozen=True)
class Statement:
    """One signed checkpoint to be kept outside.

    ``prove(old)`` gives the consistency proof from an older size; it raises AnchorError when there is none.
    ``verifiers`` are the keys the log ever signed with.
    """

    log: str
    origin: str
    size: int
    root: bytes
    note: str
    verifiers: tuple[Verifier, ...]
    prove: Callable[[int], list[bytes]]


@dataclass(frozen=True)
class Head:
    """The newest an anchor holds of a log; ``root`` is None when it does not say."""

    size: int
    root: bytes | None


@dataclass(frozen=True)
class Receipt:
    """That an anchor took a statement: what it answered, and the cosignature lines if it is a witness."""

    text: str
    lines: tuple[str, ...] = ()


class Anchor(Protocol):
    """One configured party. ``logs`` names the logs it is given, ``min_interval`` the seconds between two statements of
    one log, ``verifier`` the verifier key of a witness (empty for other kinds).
    """

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def logs(self) -> tuple[str, ...]: ...
    @property
    def min_interval(self) -> float: ...
    @property
    def verifier(self) -> str: ...

    def head(self, newest: Statement) -> Head | None:
        """What it holds of the log of ``newest``; None for nothing, or when it cannot be asked at all. Raises
        AnchorError, and OtherHistory when it knows better than the caller that histories differ.
        """
        ...

    def submit(self, statement: Statement) -> Receipt:
        """Hand a statement over. Raises AnchorError, and OtherHistory when the anchor holds another history."""
        ...


def refuse_other(held: Head | None, statement: Statement) -> None:
    """Raise OtherHistory when ``held`` is larger than ``statement``, or has another root at its size."""
    if held is None or held.size < statement.size:
        return
    if held.size > statement.size:
        raise OtherHistory(f"It holds size {held.size}.")
    if held.root is not None and held.root != statement.root:
        raise OtherHistory(f"It holds another root at size {held.size}.")


def printable(text: str, most: int = 160) -> str:
    """Somebody else's words, fit to stand in one line of ours."""
    line = " ".join(text.split())
    return "".join(character for character in line[:most] if character.isprintable())
