"""The canonical manifest of a set of files, and the digest that is their identity.

``{"files": [{"path", "size", "sha256"}, …]}`` sorted by path; the digest is SHA-256 over its RFC 8785 form. Which paths
a manifest may hold is decided here; reading and storing the bytes is ``storage.py``.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from audit import digests
from audit.errors import Invalid

Manifest = dict[str, Any]  # JSON

MOST_FILES: Final = 10_000
MOST_PATH: Final = 1000
_MOST_NAME_BYTES: Final = 255  # what Linux file systems take for one name
_OUTSIDE: Final = frozenset({"", ".", ".."})


@dataclass(frozen=True)
class File:
    """One file: its path below the root of the set, with ``/`` between names, its bytes, and their SHA-256 in hex."""

    path: str
    size: int
    sha256: str


def safe_path(path: str) -> str:
    """``path`` in Unicode normal form C. Raises Invalid for one that is absolute, climbs, or cannot be stored."""
    normal = unicodedata.normalize("NFC", path)
    names = normal.split("/")
    if _OUTSIDE & set(names):
        raise _unsafe(path, "it is absolute, empty in part, or climbs out of its folder")
    if any(unicodedata.category(letter) in {"Cc", "Cs"} or letter == "\\" for letter in normal):
        raise _unsafe(path, "it holds a control character, a backslash or half a character")
    if len(normal) > MOST_PATH or any(len(name.encode()) > _MOST_NAME_BYTES for name in names):
        raise _unsafe(path, "it is too long")
    return normal


def of(files: Iterable[File]) -> Manifest:
    """The manifest of these files. Raises Invalid for an unsafe path, for one that occurs twice, and for too many."""
    entries: dict[str, dict[str, Any]] = {}
    for file in files:
        path = safe_path(file.path)
        if path in entries:
            raise _unsafe(file.path, "it occurs twice")
        entries[path] = {"path": path, "size": file.size, "sha256": file.sha256}
    if len(entries) > MOST_FILES:
        raise Invalid(f"There are {len(entries):,} files; at most {MOST_FILES:,} are taken.", code="too_many_files")
    _refuse_folders(entries)
    return {"files": [entries[path] for path in sorted(entries)]}


def _refuse_folders(paths: Iterable[str]) -> None:
    """A path that is a file cannot be a folder of another one as well."""
    known = set(paths)
    for path in known:
        names = path.split("/")
        above = {"/".join(names[:depth]) for depth in range(1, len(names))}
        if above & known:
            raise _unsafe(path, "a file stands where its folder would be")


def digest(manifest: Manifest) -> str:
    """SHA-256 in hex over the RFC 8785 form of the manifest: the identity of an artifact or a data set."""
    return digests.of_json(manifest)


def differences(expected: Manifest, found: Manifest) -> dict[str, str]:
    """Every path in which ``found`` is not ``expected``: ``changed``, ``missing`` or ``unexpected``."""
    known = {str(entry["path"]): entry for entry in expected["files"]}
    there = {str(entry["path"]): entry for entry in found["files"]}
    return {
        **dict.fromkeys(set(known) - set(there), "missing"),
        **dict.fromkeys(set(there) - set(known), "unexpected"),
        **{path: "changed" for path in set(known) & set(there) if known[path] != there[path]},
    }


def size(manifest: Manifest) -> int:
    """The bytes of all files together."""
    return sum(int(entry["size"]) for entry in manifest["files"])


def _unsafe(path: str, why: str) -> Invalid:
    shown = path[:200].encode("unicode_escape").decode("ascii")
    return Invalid(f"The path “{shown}” cannot be part of a manifest: {why}.", code="unsafe_path")
