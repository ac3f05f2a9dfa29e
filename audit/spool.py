"""A folder in which an archive grows: every member as pieces of its deflate stream, and how far all of them are.

After each piece the state file is replaced, with the files' bytes on the disk before it: whoever opens the folder again
cuts every file back to the recorded length and goes on behind the last whole piece. The pieces are cut where the writer
says, so an interrupted and an uninterrupted run give the same archive. Compressing and writing run in a thread of their
own, one piece behind the caller.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from audit import archive
from audit.archive import Member, Stored

_STATE: Final = "state.json"
_BLOCK: Final = 1 << 20


class Spool:
    """``names`` are the members that grow; ``of`` tells whose folder it is: one that was begun for something else is
    begun anew. ``mark`` is what the writer noted with the last piece (empty at the start).
    """

    def __init__(self, folder: Path, names: Iterable[str], *, of: str) -> None:
        self._folder = folder
        self._of = of
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = _state(folder)
        if known.get("of") != of or set(known["members"]) != set(names):
            known = {"of": of, "mark": {}, "members": {name: [0, 0, 0] for name in names}}
        self.mark: dict[str, Any] = known["mark"]
        self._members: dict[str, Stored] = {
            name: Stored(name, crc, compressed, size) for name, (compressed, size, crc) in known["members"].items()
        }
        self._files = {name: self._opened(stored) for name, stored in self._members.items()}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        for file in self._files.values():
            os.close(file)

    def _opened(self, stored: Stored) -> int:
        file = os.open(self._folder / stored.name, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(file, stored.compressed)
        os.lseek(file, 0, os.SEEK_END)
        return file

    def append(self, piece: Mapping[str, Sequence[bytes]], mark: dict[str, Any]) -> None:
        """Add to the members and note ``mark``. Raises here or at the next call what went wrong with the disk."""
        self._settle()
        self._last = self._thread.submit(self._write, piece, mark)

    def _settle(self) -> None:
        if self._last is not None:
            self._last.result()
            self._last = None

    def _write(self, piece: Mapping[str, Sequence[bytes]], mark: dict[str, Any]) -> None:
        for name, parts in piece.items():
            known, (stream, crc, size) = self._members[name], archive.deflated(parts)
            _write_all(self._files[name], stream)
            crc = archive.crc_of_both(known.crc, crc, size)
            self._members[name] = Stored(name, crc, known.compressed + len(stream), known.size + size)
        for file in self._files.values():
            os.fdatasync(file)
        members = {name: [kept.compressed, kept.size, kept.crc] for name, kept in self._members.items()}
        _replace(self._folder / _STATE, json.dumps({"of": self._of, "mark": mark, "members": members}))
        self.mark = mark

    def members(self) -> list[Member]:
        """What was gathered, each stream with its end."""
        self._settle()
        return [self._member(stored) for stored in self._members.values()]

    def _member(self, stored: Stored) -> Member:
        closed = Stored(stored.name, stored.crc, stored.compressed + len(archive.END_OF_STREAM), stored.size)
        return Member(closed, self._blocks(self._files[stored.name]))

    def _blocks(self, file: int) -> Iterator[bytes]:
        position = 0
        while block := os.pread(file, _BLOCK, position):
            position += len(block)
            yield block
        yield archive.END_OF_STREAM


def _state(folder: Path) -> dict[str, Any]:
    """The recorded state; an empty one when there is none, or when a file is shorter than it should be."""
    nothing: dict[str, Any] = {"members": {}}
    try:
        known: dict[str, Any] = json.loads((folder / _STATE).read_bytes())
        whole = all((folder / name).stat().st_size >= length for name, (length, _, _) in known["members"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return nothing
    return known if whole else nothing


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fdatasync(file.fileno())
    temporary.replace(path)


def _write_all(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]
