"""An append-only file: one JSON line per statement, on a disk or a share that the operator alone cannot rewrite.

How it is kept append-only (another machine, ``chattr +a``, a bucket with a retention lock) is the keeper's business;
here every line is checked to be one that this log signed, in rising order.
"""

import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from audit import clock
from audit.anchors.base import AnchorError, Head, Receipt, Statement, refuse_other
from audit.note import NoteError, Verifier, open_note, parse_checkpoint

_TAIL = 256 * 1024
_AT_ONCE = 2_000  # lines checked per question, so that a long file delays nobody


@dataclass
class FileAnchor:
    """Appends to ``path``. Both logs may share a file; a line says whose it is."""

    name: str
    logs: tuple[str, ...]
    min_interval: float
    path: Path
    kind: str = "file"
    verifier: str = ""
    _checked: dict[str, tuple[int, int, int]] = field(default_factory=dict, repr=False)  # log: offset, line, size

    def head(self, newest: Statement) -> Head | None:
        """The last statement of this log in the file; a few more of the older lines are checked each time."""
        try:
            with self.path.open("rb") as file:
                self._check(file, newest)
                return _last(file, newest)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AnchorError(f"The file {self.path.name} cannot be read: {error.strerror}.") from None

    def submit(self, statement: Statement) -> Receipt:
        line = {
            "log": statement.log,
            "origin": statement.origin,
            "size": statement.size,
            "root": statement.root.hex(),
            "note": statement.note,
            "at": clock.rfc3339(clock.now()),
        }
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            with os.fdopen(descriptor, "r+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                held = _last(file, statement)
                refuse_other(held, statement)
                if held is None or held.size < statement.size:
                    end = file.seek(0, os.SEEK_END)
                    torn = b"\n" if end and _byte_at(file, end - 1) != b"\n" else b""  # a crash left half a line
                    file.write(torn + json.dumps(line, sort_keys=True).encode() + b"\n")
                    os.fsync(file.fileno())
                return Receipt(f"{self.path.name}: {file.seek(0, os.SEEK_END)} bytes")
        except OSError as error:
            raise AnchorError(f"The file {self.path.name} cannot be written: {error.strerror}.") from None

    def _check(self, file: BinaryIO, newest: Statement) -> None:
        """Read on from where the last check ended. Raises AnchorError for a line that is not ours, or out of order."""
        offset, number, size = self._checked.get(newest.log, (0, 0, 0))
        if offset > os.fstat(file.fileno()).st_size:
            self._checked.pop(newest.log)
            raise AnchorError(f"The file {self.path.name} has become shorter: lines were removed from it.")
        file.seek(offset)
        for _ in range(_AT_ONCE):
            line = file.readline()
            if not line.endswith(b"\n"):
                break
            offset, number = offset + len(line), number + 1
            told = _told(line, newest.log)
            if told is not None:
                held = _verified(told, newest)
                if held is None or held.size <= size:
                    raise AnchorError(f"Line {number} of the file {self.path.name} is not one that this log signed.")
                size = held.size
            self._checked[newest.log] = (offset, number, size)


def _byte_at(file: Any, place: int) -> bytes:  # Any: a raw file has no narrower common type here
    file.seek(place)
    return bytes(file.read(1))


def _last(file: Any, newest: Statement) -> Head | None:  # Any: see _byte_at
    """The last line of a log, wherever it stands in the file, looked for from the end."""
    end = file.seek(0, os.SEEK_END)
    start, rest = end, b""
    while start > 0:
        before = max(0, start - _TAIL)
        file.seek(before)
        block = file.read(start - before) + rest
        lines = block.split(b"\n")
        rest = lines.pop(0) if before else b""
        for line in reversed(lines):
            told = _told(line, newest.log)
            if told is not None:
                held = _verified(told, newest)
                if held is None:
                    raise AnchorError("The file's last line for this log is not one that this log signed.")
                return held
        start = before
    return None


def _told(line: bytes, log: str) -> dict[str, Any] | None:
    """A line about this log; None for one about another, and for half a line that a crash left."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) and told.get("log") == log else None


def _verified(told: dict[str, Any], newest: Statement) -> Head | None:
    """What a line holds, None when no key of this log signed it."""
    return head_of(told.get("note"), newest.origin, newest.verifiers)


def head_of(note: object, origin: str, verifiers: tuple[Verifier, ...]) -> Head | None:
    """Size and root of a note that a key of this log signed, None otherwise."""
    try:
        checkpoint = parse_checkpoint(open_note(note if isinstance(note, str) else "", verifiers)[0])
    except NoteError:
        return None
    return Head(checkpoint.size, checkpoint.root) if checkpoint.origin == origin else None
