"""The sealed box of a request: where its key lives, how it is opened, and how it is shredded.

The box is a column; its key is a file of its own outside the database, overwritten and unlinked when the request
closes. A copy of the database alone, now or later, names nobody. What a box is made of is ``engine/identifiers.py``.
"""

import os
import secrets
import uuid
from pathlib import Path

from django.conf import settings

from audit.errors import Conflict
from erasure.engine import identifiers
from erasure.engine.errors import EngineError
from erasure.models import ErasureRequest

FOLDER = "erasure"


def folder() -> Path:
    """Where the keys of open requests lie."""
    return Path(settings.PLIMSOLL_KEYS) / FOLDER


def seal(request_id: uuid.UUID, value: str) -> bytes:
    """The box around ``value``, under a new key kept for this request alone."""
    key = identifiers.new_key()
    path = _path(request_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    _flush(path.parent)
    return identifiers.seal(key, value, context=str(request_id))


def value_of(request: ErasureRequest) -> str:
    """The identifier of an open request. Raises Conflict when box or key is gone or the one does not fit the other."""
    try:
        if request.box is not None:
            return identifiers.unseal(_path(request.pk).read_bytes(), bytes(request.box), context=str(request.pk))
    except (OSError, EngineError):
        pass
    raise Conflict(
        "The sealed identifier of this request cannot be opened: its key is gone or does not fit. Refuse or cancel it"
        " and file it again.",
        code="box_closed",
    )


def value_or_none(request: ErasureRequest) -> str | None:
    """The identifier where it can still be had, for checks that make no difference to a request without one."""
    try:
        return value_of(request)
    except Conflict:
        return None


def shred(request_id: uuid.UUID) -> None:
    """Overwrite and unlink the key of a request. No key is no error."""
    path = _path(request_id)
    try:
        handle = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(identifiers.KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    path.unlink(missing_ok=True)
    _flush(path.parent)


def kept() -> list[tuple[uuid.UUID, float]]:
    """The requests whose key is there, each with the time it was written (Unix seconds)."""
    found = []
    for path in folder().glob("*.key"):
        try:
            found.append((uuid.UUID(path.stem), path.stat().st_mtime))
        except (ValueError, FileNotFoundError):
            continue
    return found


def _path(request_id: uuid.UUID) -> Path:
    return folder() / f"{request_id}.key"


def _flush(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
