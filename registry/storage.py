"""Where content lies: files below the installation's data folder, under names made of their digests.

``data-sets/<digest>/<filename>``, ``artifacts/<digest>/…``, ``evidence/<id>.arrow``. A file is written elsewhere,
flushed to disk and renamed, so that a name never stands for half a file. What a digest covers is ``manifest.py``.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from django.conf import settings

from audit.errors import Conflict, NotFound, TooLarge
from audit.ids import uuid7
from registry.manifest import File, Manifest, safe_path

DATA_SETS: Final = "data-sets"
ARTIFACTS: Final = "artifacts"
EVIDENCE: Final = "evidence"
_INCOMING: Final = "incoming"
_FOLDERS: Final = frozenset({DATA_SETS, ARTIFACTS, EVIDENCE})
_CHUNK: Final = 1024 * 1024
# What a process that was killed has left behind may hold personal data and must not stay.
_LEFT_BEHIND: Final = 24 * 3600
_READ_ONLY: Final = 0o440


def place(relative: str) -> Path:
    """The path of ``relative``, one of ``data-sets/…``, ``artifacts/…``, ``evidence/…``, whether it exists or not.

    Raises Invalid for a path that is not below the data folder, Conflict for one that leads through a symbolic link.
    """
    names = safe_path(relative).split("/")
    if names[0] not in _FOLDERS or len(names) < 2:
        raise Conflict("This path is not part of the content store.", code="outside_store")
    found = Path(settings.PLIMSOLL_DATA)
    for name in names:
        found /= name
        if found.is_symlink():
            raise Conflict("A symbolic link stands in the content store; it is not followed.", code="link_in_store")
    return found


@contextmanager
def incoming() -> Iterator[Path]:
    """A folder of one's own on the same file system, for what is still being written; gone afterwards."""
    above = Path(settings.PLIMSOLL_DATA) / _INCOMING
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in above.iterdir():
        if old.stat().st_mtime < time.time() - _LEFT_BEHIND:
            shutil.rmtree(old, ignore_errors=True)
    folder = above / str(uuid7())
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def chunks_of(stream: BinaryIO) -> Iterator[bytes]:
    """What is left of ``stream``, in pieces of at most a mebibyte."""
    while chunk := stream.read(_CHUNK):
        yield chunk


def write(chunks: Iterable[bytes], folder: Path, path: str, *, most: int | None = None) -> File:
    """Write ``chunks`` to ``path`` below ``folder``, hashing on the way, and flush them to disk.

    Raises TooLarge once there are more than ``most`` bytes.
    """
    relative = safe_path(path)
    target = folder / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as file:
        for chunk in chunks:
            size += len(chunk)
            if most is not None and size > most:
                raise TooLarge(f"The file is larger than the {most:,} bytes that are accepted.")
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    target.chmod(_READ_ONLY)
    return File(relative, size, digest.hexdigest())


def settle(folder: Path, relative: str, manifest: Manifest) -> None:
    """Move a finished folder of ``incoming`` to its lasting place. Content that is there already, and whole, stays."""
    target = place(relative)
    if target.exists():
        if not differing(relative, manifest):
            return
        remove(relative)
    target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    folder.chmod(0o750)
    folder.rename(target)
    _flush(target)
    _flush(target.parent)


def new_file(relative: str) -> Path:
    """The path for a file that somebody else is about to write, with its folder made."""
    target = place(relative)
    target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    return target


def existing(relative: str) -> Path:
    """The path of content that is there. Raises NotFound when it is not."""
    found = place(relative)
    if not relative or not found.exists():
        raise NotFound("The content is not in the store any more.", code="content_gone")
    return found


def describe(relative: str) -> File:
    """Size and SHA-256 of one stored file, read in pieces."""
    path = existing(relative)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in chunks_of(file):
            digest.update(chunk)
        return File(path.name, file.tell(), digest.hexdigest())


def differing(relative: str, manifest: Manifest) -> str | None:
    """What in the stored folder is not as the manifest says, None when every byte is: a path, for people to read."""
    return next(_differences(relative, manifest), (None, ""))[0]


def differences(relative: str, manifest: Manifest) -> dict[str, str]:
    """Every path that is not as the manifest says: ``changed``, ``missing``, ``unexpected`` or ``a link``."""
    return dict(_differences(relative, manifest))


def _differences(relative: str, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """A file that the manifest does not know differs too: a model may read whatever lies beside it."""
    folder = place(relative)
    expected = {str(entry["path"]): entry for entry in manifest["files"]}
    yield from ((path, "unexpected") for path in sorted(_files_below(folder) - set(expected)))
    for path, entry in expected.items():
        try:
            there = place(f"{relative}/{path}").is_file()
        except Conflict:
            yield path, "a link"
            continue
        if not there:
            yield path, "missing"
            continue
        found = describe(f"{relative}/{path}")
        if (found.size, found.sha256) != (entry["size"], entry["sha256"]):
            yield path, "changed"


def remove(relative: str) -> None:
    """Delete a stored file or folder, and the folders above it that it leaves empty. Nothing there is no error."""
    target = place(relative)
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    above = target.parent
    while above.name not in _FOLDERS and above.is_dir() and not any(above.iterdir()):
        above.rmdir()
        above = above.parent
    if above.is_dir():
        _flush(above)


def _files_below(folder: Path) -> set[str]:
    """Everything in a folder that is not a folder itself; links count as what they are."""
    return {
        str((Path(above) / name).relative_to(folder))
        for above, folders, files in os.walk(folder)
        for name in [*files, *(name for name in folders if (Path(above) / name).is_symlink())]
    }


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
