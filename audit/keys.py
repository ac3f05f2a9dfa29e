"""Keys, all of them outside the database: one file each under ``PLIMSOLL_KEYS``, mode 0600.

``writer`` signs event rows on their way to the sequencer, ``wrapping`` wraps the per-person keys of disclosures,
``search`` keys the words of openings, ``erasure`` keys the digests of erasure identifiers, ``grants`` and
``certificates`` are Ed25519 seeds, ``models`` seeds the elliptic-curve key that signs models' files. The Ed25519 keys
that sign checkpoints lie in a folder of their own, ``PLIMSOLL_SIGNING_KEYS``, and only the sequencer's process reads
them. Which of them sign which sizes is announced in the database: ``audit/rotation.py``.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from django.conf import settings

from audit.note import NoteError, SigningKey

SECRETS = ("writer", "wrapping", "search", "erasure", "grants", "certificates", "models")
_SUFFIX = ".key"


class KeyFileError(Exception):
    """A signing key that cannot be used as it lies there; the message is a sentence that names the file."""


def folder() -> Path:
    """Where the key files are."""
    return Path(settings.PLIMSOLL_KEYS)


@cache
def secret(name: str) -> bytes:
    """The 32 bytes of one secret; made on first use, never overwritten.

    Raises ValueError for a file that is not 64 hex digits.
    """
    path = folder() / f"{name}.key"
    if not path.exists():
        _create(path, secrets.token_hex(32))
    value = bytes.fromhex(path.read_text(encoding="ascii").strip())
    if len(value) != 32:
        raise ValueError(f"{path.name} does not hold 32 bytes in hex.")
    return value


# -- the keys that sign checkpoints ----------------------------------------------------------------------------------


def signing_folder() -> Path:
    """Where the keys that sign checkpoints are, and what they signed last."""
    return Path(settings.PLIMSOLL_SIGNING_KEYS)


def stem(origin: str) -> str:
    """An origin as part of a file name."""
    return origin.replace("/", "_").replace(":", "_")


def signing_keys(origin: str) -> list[SigningKey]:
    """Every key in the folder that signs for ``origin``, the oldest file's first.

    Raises KeyFileError when one of them could be read by others, cannot be read by us, or is not what it should be.
    """
    paths = _paths(origin)
    if paths:
        _check_private(signing_folder(), "folder", 0o700)
    return [load(path, origin) for path in paths]


def _paths(origin: str) -> list[Path]:
    """The key files of one origin: the first key's, then those of later ones, which carry their key id."""
    if not signing_folder().exists():
        return []
    try:
        names = [path.name for path in signing_folder().iterdir()]
    except OSError as error:
        raise KeyFileError(f"The folder of the signing keys cannot be read: {error.strerror}.") from None
    ours = [name for name in names if name.startswith(f"{stem(origin)}.") and name.endswith(_SUFFIX)]
    return [signing_folder() / name for name in sorted(ours, key=lambda name: (len(name), name))]


def load(path: Path, origin: str) -> SigningKey:
    """One signing key, checked to be ours alone and to sign for ``origin``. Raises KeyFileError."""
    _check_private(path, "signing key", 0o600)
    try:
        key = SigningKey.load(path)
    except OSError as error:
        raise KeyFileError(f"The signing key {path.name} cannot be read: {error.strerror}.") from None
    except (NoteError, UnicodeError):
        raise KeyFileError(
            f"The file {path.name} holds no whole signing key; bring it back from the backup of the keys."
        ) from None
    if key.name != origin:
        raise KeyFileError(f"The signing key {path.name} is for {key.name}, not for {origin}.")
    return key


@contextmanager
def drafted(origin: str) -> Iterator[SigningKey]:
    """A new signing key, in a file that the sequencer looks at only once the block has ended well."""
    _make_signing_folder()
    key = SigningKey.generate(origin)
    path = signing_folder() / f"{stem(origin)}.{key.key_id.hex()}.new"
    try:
        key.save(path)
        _sync(path)
        yield key
        _link(path, path.with_suffix(_SUFFIX))
        _sync(path.parent)
    finally:
        path.unlink(missing_ok=True)


def first_key(origin: str) -> SigningKey:
    """The first key of a log; of two processes that make one at once, the first wins."""
    _make_signing_folder()
    path = signing_folder() / f"{stem(origin)}{_SUFFIX}"
    temporary = path.with_suffix(f".{secrets.token_hex(8)}")
    SigningKey.generate(origin).save(temporary)
    _sync(temporary)
    _link(temporary, path)
    _sync(path.parent)
    return load(path, origin)


def destroy(origin: str, verifier: str) -> bool:
    """Overwrite and remove the private half of a retired key; False when it is not here."""
    for path in _paths(origin):
        if SigningKey.load(path).verifier == verifier:
            with path.open("r+b") as file:
                file.write(secrets.token_bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            _sync(path.parent)
            return True
    return False


def seen() -> tuple[tuple[str, int, int], ...]:
    """What the folder looks like: it differs once a key came, went or changed."""
    if not signing_folder().exists():
        return ()
    with os.scandir(signing_folder()) as files:
        found = [(file.name, file.stat()) for file in files if file.name.endswith(_SUFFIX)]
    return tuple(sorted((name, status.st_mtime_ns, status.st_mode) for name, status in found))


def _make_signing_folder() -> None:
    signing_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_private(signing_folder(), "folder", 0o700)


def _check_private(path: Path, what: str, mode: int) -> None:
    found = path.stat()
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise KeyFileError(
            f"The {what} {path.name} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}). Whoever has read"
            f" it can sign a second history: set it to {mode:04o}, and rotate the key if others have accounts here."
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(f"The {what} {path.name} belongs to another account than the one the sequencer runs under.")


# -- files -----------------------------------------------------------------------------------------------------------


def replace(path: Path, text: str) -> None:
    """Write a file anew so that after a crash it is wholly the old or wholly the new one, on disk before we return."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    _link(temporary, path)


def _link(temporary: Path, path: Path) -> None:
    """Give ``temporary`` its final name unless another process was first; the first one wins."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
