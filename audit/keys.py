"""Keys, all of them outside the database: one file each under ``PLIMSOLL_KEYS``, mode 0600.

``writer`` signs event rows on their way to the sequencer, ``wrapping`` wraps the per-person keys of disclosures,
``erasure`` keys the digests of erasure identifiers, ``grants`` and ``certificates`` are Ed25519 seeds. The Ed25519 keys
that sign checkpoints live in the sequencer's own folder and are read by that process alone.
"""

import os
import secrets
from functools import cache
from pathlib import Path

from django.conf import settings

from audit.note import SigningKey

SECRETS = ("writer", "wrapping", "erasure", "grants", "certificates")


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


def signing_key(folder_name: str, name: str) -> SigningKey:
    """The Ed25519 key ``name`` under ``folder_name``; made on first use."""
    slug = name.replace("/", "_").replace(":", "_")
    path = folder() / folder_name / f"{slug}.key"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{secrets.token_hex(8)}")
        SigningKey.generate(name).save(temporary)
        _link(temporary, path)
    return SigningKey.load(path)


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
