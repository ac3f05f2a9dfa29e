"""Turns what the processes print into logs: one JSON object per line, secrets masked, files bounded in size.

Not here: what Django logs and how (`web/settings.py`); this only receives it.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

MASK = "•••"
LARGEST_FILE = 5_000_000
FILES_KEPT = 3
LONGEST_LINE = 16_000
TAIL = 12

# Each pattern keeps its first group and masks the rest.
_SHAPES = (
    re.compile(r"(\w://[^\s:/@]*:)[^\s@/]+(?=@)"),
    re.compile(r"(\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE),
    re.compile(
        r"((?<![A-Za-z])(?:password|passwd|pwd|secret|token|api[_-]?key|sessionid|csrftoken)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]+",
        re.IGNORECASE,
    ),
    re.compile(r"(\bplim_)[A-Za-z0-9_-]{8,}"),  # a token of ours, wherever it stands
    re.compile(r"(/sign-in/(?:[a-z]+/)?)[A-Za-z0-9_.:-]{16,}"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*", re.DOTALL),
)
_SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|(?:^|_)KEY(?:$|_)|PASSPHRASE")
_PASSWORD_IN_ADDRESS = re.compile(r"://[^\s:/@]*:([^\s@/]+)@")


def secrets_in(environ: Mapping[str, str]) -> frozenset[str]:
    """The values of this environment that must never be seen in a log, wherever they turn up."""
    found: set[str] = set()
    for name, value in environ.items():
        if _SECRET_NAME.search(name):
            found.add(value)
        found.update(_PASSWORD_IN_ADDRESS.findall(value))
    # A value of a few characters would mask ordinary words.
    return frozenset(value for value in found if len(value) >= 6)


class Mask:
    """Replaces known secret values, and whatever has the shape of a secret."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first, so that a secret that contains another leaves no remainder.
        self._secrets = sorted(secrets, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        for shape in _SHAPES:
            text = shape.sub(rf"\1{MASK}", text)
        return text


class JsonFormatter(logging.Formatter):
    """One JSON object per record, secrets masked; what Django and Celery print inside our processes."""

    _own = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "request", "taskName"}

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        super().__init__()
        self._mask = Mask(secrets_in(os.environ))

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._mask(record.getMessage()),
        }
        entry.update({name: self._plain(value) for name, value in vars(record).items() if name not in self._own})
        if record.exc_info:
            entry["trace"] = self._mask(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)

    def _plain(self, value: object) -> object:
        return value if isinstance(value, bool | int | float | None) else self._mask(str(value))


class Log:
    """The log file of one process. Remembers its last lines for the sentence that explains a stop."""

    def __init__(self, directory: Path, name: str, mask: Mask, *, largest: int = LARGEST_FILE) -> None:
        self.path = directory / f"{name}.log"
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._name = name
        self._mask = mask
        self._largest = largest
        self._file: IO[str] | None = None

    def write(self, line: str) -> None:
        """Keep one line that the process printed. Blank lines are dropped."""
        line = self._mask(line.rstrip()[:LONGEST_LINE])
        if not line.strip():
            return
        self.tail.append(_words(line))
        file = self._open()
        file.write(json.dumps(_structured(self._name, line), ensure_ascii=False) + "\n")
        file.flush()
        if file.tell() > self._largest:
            self._rotate()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> IO[str]:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._file = os.fdopen(handle, "a", encoding="utf-8")
        return self._file

    def _rotate(self) -> None:
        self.close()
        for number in range(FILES_KEPT - 1, 0, -1):
            older = self.path.with_suffix(f".log.{number}")
            if older.exists():
                older.replace(self.path.with_suffix(f".log.{number + 1}"))
        self.path.replace(self.path.with_suffix(".log.1"))


def _structured(name: str, line: str) -> dict[str, object]:
    """A line that is a JSON object already stays one; anything else becomes its message."""
    entry: dict[str, object] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "process": name}
    said = _json_object(line)
    if said is None:
        return {**entry, "message": line}
    return {**entry, **said, "process": name}


def _words(line: str) -> str:
    said = _json_object(line)
    return str(said.get("message", line)) if said is not None else line


def _json_object(line: str) -> dict[str, object] | None:
    if not line.startswith("{"):
        return None
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None
