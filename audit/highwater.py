"""The high-water mark: what a key signed last, kept beside it and outside the database.

A restored database has forgotten what it signed since the backup; this file has not. It is written before the note is
stored, so the mark is never behind the database; a crash in between leaves it ahead by a root that the tree still has,
and signing that again is harmless.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audit import keys
from audit.keys import KeyFileError
from audit.note import SigningKey

_SUFFIX: Final = ".signed"


@dataclass(frozen=True, order=True)
class Mark:
    """A size and the root that was signed for it."""

    size: int
    root: bytes


def path_of(key: SigningKey) -> Path:
    """The mark is the key's, not the log's: another key in another installation starts from nothing."""
    return keys.signing_folder() / f"{keys.stem(key.name)}.{key.key_id.hex()}{_SUFFIX}"


def read(key: SigningKey) -> Mark | None:
    """What ``key`` signed last, None when it never signed. Raises KeyFileError for a file that says nothing."""
    return _read(path_of(key))


def of_origin(origin: str) -> dict[str, Mark]:
    """What every key of a log signed last, by key id, whether the database knows the key or not; for examination.

    Raises KeyFileError for a folder or a file that cannot be read.
    """
    stem = f"{keys.stem(origin)}."
    try:
        names = sorted(path.name for path in keys.signing_folder().iterdir())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise KeyFileError(f"The folder of the signing keys cannot be read: {error.strerror}.") from None
    ours = [name for name in names if name.startswith(stem) and name.endswith(_SUFFIX)]
    marks = {name[len(stem) : -len(_SUFFIX)]: _read(keys.signing_folder() / name) for name in ours}
    return {key_id: mark for key_id, mark in marks.items() if mark is not None}


def _read(path: Path) -> Mark | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        mark = Mark(size=found["size"], root=bytes.fromhex(found["root"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise KeyFileError(f"The file {path.name} says what was signed last, and it cannot be read.") from None
    if type(mark.size) is not int or mark.size < 0 or len(mark.root) != 32:
        raise KeyFileError(f"The file {path.name} holds no size and root.")
    return mark


def write(key: SigningKey, mark: Mark) -> None:
    """Raise the mark; on disk when this returns."""
    keys.signing_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    keys.replace(path_of(key), json.dumps({"root": mark.root.hex(), "size": mark.size}) + "\n")
