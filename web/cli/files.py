"""The manifest of files on this machine, and how it differs from the registered one.

The rule is written out again here (paths in Unicode normal form C, sorted; size and SHA-256 of each; SHA-256 over the
RFC 8785 form), because the command must not need the service's code; a test holds the two to the same digests.
"""

import hashlib
import unicodedata
from pathlib import Path
from typing import Any, Final

import click
import rfc8785

_CHUNK: Final = 1 << 20


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of a file, or of all files below a folder. Links are not followed: they end the command."""
    if folder.is_file() and not folder.is_symlink():
        return {"files": [_entry(folder, folder.name)]}
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise click.ClickException(f"{path} is neither a file nor a folder; a manifest has no links.")
        if path.is_file():
            found.append(_entry(path, path.relative_to(folder).as_posix()))
    return {"files": sorted(found, key=lambda entry: str(entry["path"]))}


def digest_of(manifest: dict[str, Any]) -> str:
    """The digest that is the identity of the files."""
    return hashlib.sha256(rfc8785.dumps({"files": manifest["files"]})).hexdigest()


def differences(registered: dict[str, Any], here: dict[str, Any]) -> list[dict[str, str]]:
    """Every path at which the files here are not the registered ones, and how."""
    wanted = {entry["path"]: (entry["size"], entry["sha256"]) for entry in registered["files"]}
    there = {entry["path"]: (entry["size"], entry["sha256"]) for entry in here["files"]}
    return [
        {"path": path, "is": "missing" if path not in there else "not registered" if path not in wanted else "changed"}
        for path in sorted(wanted.keys() | there.keys())
        if wanted.get(path) != there.get(path)
    ]


def _entry(path: Path, name: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_CHUNK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}.") from None
    return {"path": unicodedata.normalize("NFC", name), "size": size, "sha256": digest.hexdigest()}
