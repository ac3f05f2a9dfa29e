"""Opening what an address names, for reading: a folder of this machine, an object store, the artifact store.

Only what lies below a root that the operator allowed is ever opened, and the artifact store of this installation.
Which roots there can be is ``registry/roots.py``; keeping what was read is ``registry/actions/data_sets.py``.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from django.conf import settings

from audit.errors import Conflict, DomainError, Invalid, NotFound, Unavailable
from registry import manifest, tracking
from registry.roots import LOCAL, OBJECT_STORES, TRACKING, is_plain

MOST_LOCATION: Final = 1000
_CHUNK: Final = 1024 * 1024
_DEEPEST: Final = 32


class Entry(NamedTuple):
    """One file at a place. ``stamp`` changes with its content, as far as the place can tell."""

    path: str  # below the folder; empty when the place is a file
    size: int
    stamp: str


class Place(Protocol):
    """What an address names."""

    @property
    def name(self) -> str: ...

    def entries(self) -> list[Entry]: ...

    def read(self, entry: Entry) -> Iterator[bytes]: ...


def find(location: str) -> Place:
    """The place that ``location`` names.

    Raises Invalid for an address that cannot be read or is not allowed, NotFound when nothing is there, Unavailable
    when it cannot be reached right now.
    """
    address = f"{LOCAL}://{location}" if location.startswith("/") else location
    if not address.strip() or len(address) > MOST_LOCATION or not address.isprintable() or "::" in address:
        raise Invalid("This is no address of a file or folder.", code="bad_location")
    try:
        parts = urlsplit(address)
    except ValueError:
        raise Invalid("This is no address of a file or folder.", code="bad_location") from None
    if "@" in parts.netloc:
        raise Invalid("An address must not hold credentials; the operator sets them.", code="credentials_in_location")
    if parts.query or parts.fragment or not is_plain(parts.path):
        raise Invalid(
            "An address is plain: no question mark, no number sign, no “..”, and nothing percent-encoded.",
            code="bad_location",
        )
    if parts.scheme == TRACKING:
        return _Tracked(address)
    root = _root_of(parts.scheme, parts.netloc, parts.path.rstrip("/"))
    inside = parts.path.rstrip("/").removeprefix(urlsplit(root).path).strip("/")
    if parts.scheme == LOCAL:
        return _Local(urlsplit(root).path or "/", inside)
    return _Stored(parts.scheme, f"{parts.netloc}{parts.path.rstrip('/')}")


def _root_of(scheme: str, host: str, path: str) -> str:
    """The allowed root that this address lies below."""
    if scheme in {LOCAL, *OBJECT_STORES}:
        for root in settings.PLIMSOLL_DATA_ROOTS:
            known = urlsplit(root)
            if (known.scheme, known.netloc) == (scheme, host) and f"{path}/".startswith(f"{known.path}/"):
                return str(root)
    raise Invalid(
        "Data is read only from the artifact store (mlflow-artifacts:/…) and from the places the operator allowed;"
        " this is none of them. Upload the file instead, or ask for its place to be added.",
        code="location_not_allowed",
    )


def is_data(path: str) -> bool:
    """Whether a file in a folder is part of its table: by custom, names with _ or . in front are marks of engines."""
    return not any(name.startswith(("_", ".")) for name in path.split("/"))


def _too_many(count: int) -> None:
    if count > manifest.MOST_FILES:
        raise Invalid(f"There are more than {manifest.MOST_FILES:,} files.", code="too_many_files")


# -- this machine ----------------------------------------------------------------------------------------------------


@dataclass
class _Local:
    """A file or folder below an allowed root. Every step is opened from the one before and no link is followed, so
    that nothing can be put in the way while we walk.
    """

    root: str
    inside: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.inside or self.root).name or "data"

    def entries(self) -> list[Entry]:
        with _told_plainly(), self._opened("") as handle:
            status = os.fstat(handle)
            if stat.S_ISREG(status.st_mode):
                return [_entry("", status)]
            return sorted(_below(handle, "", _DEEPEST))

    def read(self, entry: Entry) -> Iterator[bytes]:
        with _told_plainly(), self._opened(entry.path) as handle, os.fdopen(os.dup(handle), "rb") as file:
            if _entry(entry.path, os.fstat(handle)) != entry:
                raise moving(entry.path or self.name)
            while chunk := file.read(_CHUNK):
                yield chunk

    @contextmanager
    def _opened(self, more: str) -> Iterator[int]:
        names = [name for name in f"{self.inside}/{more}".split("/") if name]
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names:
                # A pipe would make an ordinary open wait for its other end.
                below = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
                os.close(handle)
                handle = below
            mode = os.fstat(handle).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise Invalid("This is neither a file nor a folder.", code="no_file")
            yield handle
        finally:
            os.close(handle)


def _entry(path: str, status: os.stat_result) -> Entry:
    return Entry(path, status.st_size, f"{status.st_ino}.{status.st_mtime_ns}.{status.st_ctime_ns}")


def _below(handle: int, above: str, deepest: int) -> Iterator[Entry]:
    if deepest == 0:
        raise Invalid("There are too many folders inside each other.", code="too_deep")
    with os.scandir(handle) as found:
        listed = list(found)
    _too_many(len(listed))
    for one in listed:
        path = f"{above}{one.name}"
        if not is_data(one.name):
            continue
        status = one.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            inner = os.open(one.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            try:
                yield from _below(inner, f"{path}/", deepest - 1)
            finally:
                os.close(inner)
        elif stat.S_ISREG(status.st_mode):
            yield _entry(path, status)
        else:
            raise Invalid(f"“{path[:200]}” is a link or no ordinary file; it is not followed.", code="link_in_folder")


@contextmanager
def _told_plainly() -> Iterator[None]:
    """What the system refuses, as a sentence that names nothing of the machine."""
    try:
        yield
    except FileNotFoundError:
        raise NotFound("There is nothing at this address.") from None
    except PermissionError:
        raise Invalid("Plimsoll's account may not read what is at this address.", code="not_readable") from None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.ENAMETOOLONG}:
            raise Invalid(
                "A link, a name that is too long, or something that is no folder stands in this address; it is not"
                " followed.",
                code="link_in_location",
            ) from None
        raise Unavailable("What is at this address cannot be read right now.", code="place_down") from None


def moving(name: str) -> Conflict:
    """The refusal of what is written while it is read."""
    return Conflict(
        f"“{name[:200]}” was changed while it was read; register it once nobody writes to it.", code="files_moving"
    )


# -- object stores ---------------------------------------------------------------------------------------------------


@dataclass
class _Stored:
    """An object, or all objects below a prefix, read through fsspec with the operator's own credentials."""

    scheme: str
    path: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name or "data"

    def entries(self) -> list[Entry]:
        with _reached():
            system = self._system()
            system.invalidate_cache()
            top = system.info(self.path)
            if top["type"] == "file":
                return [_object("", top)]
            found = system.find(self.path, detail=True)
            _too_many(len(found))
            start = system._strip_protocol(self.path).rstrip("/") + "/"
            listed = [_object(path.removeprefix(start), facts) for path, facts in found.items()]
            return sorted(entry for entry in listed if is_data(entry.path))

    def read(self, entry: Entry) -> Iterator[bytes]:
        path = f"{self.path}/{entry.path}" if entry.path else self.path
        with _reached(), self._system().open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def _system(self) -> Any:  # fsspec is not typed
        import fsspec  # noqa: PLC0415 - a library per store, and most installations read from none

        try:
            return fsspec.filesystem(self.scheme)
        except ImportError:
            raise Invalid(
                f"This installation cannot read {self.scheme}: the library for it is not installed.",
                code="no_library",
            ) from None


def _object(path: str, facts: dict[str, Any]) -> Entry:
    marks = (facts.get(key) for key in ("ETag", "etag", "md5", "mtime", "LastModified", "last_modified", "created"))
    return Entry(path, int(facts["size"]), " ".join(str(mark) for mark in marks if mark is not None))


@contextmanager
def _reached() -> Iterator[None]:
    """Stores fail in as many ways as there are libraries: what is not there, what is forbidden, and all the rest."""
    try:
        yield
    except DomainError:
        raise
    except FileNotFoundError:
        raise NotFound("There is nothing at this address.") from None
    except PermissionError:
        raise Invalid("The store refuses to let this installation read it.", code="not_readable") from None
    except Exception as error:
        raise Unavailable("The store that holds this cannot be reached right now.", code="place_down") from error


# -- the artifact store ----------------------------------------------------------------------------------------------


@dataclass
class _Tracked:
    """Files in this installation's artifact store, asked of the tracking server."""

    location: str

    @property
    def name(self) -> str:
        return PurePosixPath(tracking.folder(self.location)).name or "data"

    def entries(self) -> list[Entry]:
        listed = [Entry(path, size, "") for path, size in tracking.iter_files(self.location) if is_data(path)]
        _too_many(len(listed))
        return sorted(listed) or self._one()

    def _one(self) -> list[Entry]:
        """The address may name a file: then its folder lists it."""
        above, _, name = self.location.rpartition("/")
        found = dict(tracking.list_artifacts(above))
        size = found.get(name)
        if size is None:
            raise NotFound("There is nothing at this address.")
        return [Entry("", size, "")]

    def read(self, entry: Entry) -> Iterator[bytes]:
        if entry.path:
            return tracking.fetch(self.location, entry.path)
        above, _, name = self.location.rpartition("/")
        return tracking.fetch(above, name)
