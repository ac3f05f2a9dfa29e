"""Whether files still are what a manifest says: the stored copy, and the files at the source. Reading only.

What could not be read says nothing of the files: that is INCONCLUSIVE, and told apart from a MISMATCH. What follows
from either is ``registry/actions/checks.py``.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from audit.errors import Conflict, DomainError, Invalid
from registry import manifest, storage
from registry.manifest import Manifest
from registry.models import ModelVersion
from registry.states import CheckOutcome

COPY: Final = "copy"
SOURCE: Final = "source"
PLACES: Final = {COPY: "the stored copy", SOURCE: "the files at the source"}
_MOST_NAMED: Final = 50


class Source(Protocol):
    """Where the files of a version come from; the module ``registry.tracking`` is one."""

    def artifact_location(self, version: ModelVersion) -> str: ...

    def iter_files(self, location: str) -> Iterator[tuple[str, int]]: ...

    def fetch(self, location: str, relative_path: str) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Found:
    """How one place came out. ``differing`` maps a path to ``changed``, ``missing``, ``unexpected`` or ``a link``."""

    outcome: CheckOutcome
    sentence: str
    differing: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """As it is stored: the first paths by name, and how many more there are."""
        named = sorted(self.differing.items())[:_MOST_NAMED]
        return {
            "outcome": self.outcome.value,
            "sentence": self.sentence,
            "differing": [{"path": path, "how": how} for path, how in named],
            "more": len(self.differing) - len(named),
        }


def folder_of(digest: str) -> str:
    """Where in the store the artifact with this digest lies."""
    return f"{storage.ARTIFACTS}/{digest}"


def overall(found: Mapping[str, Found]) -> CheckOutcome:
    """One mismatch is a mismatch; good is only what was read everywhere."""
    outcomes = {one.outcome for one in found.values()}
    if CheckOutcome.MISMATCH in outcomes:
        return CheckOutcome.MISMATCH
    return CheckOutcome.GOOD if outcomes == {CheckOutcome.GOOD} else CheckOutcome.INCONCLUSIVE


def of_copy(version: ModelVersion) -> Found:
    """The stored copy against the manifest, and the manifest against the pinned digest."""
    expected: Manifest = version.artifact_manifest or {"files": []}
    if manifest.digest(expected) != version.artifact_digest:
        sentence = "The recorded manifest does not hash to the digest that was pinned."
        return Found(CheckOutcome.MISMATCH, sentence, {"(manifest)": "changed"})
    relative = folder_of(version.artifact_digest)
    try:
        if not storage.place(relative).is_dir():
            return _unread("The stored copy is not there.")
        return _compared(storage.differences(relative, expected), COPY)
    except Conflict as error:  # a link stands in for the folder itself
        return Found(CheckOutcome.MISMATCH, error.sentence, {"(folder)": "a link"})
    except OSError as error:
        return _unread(f"The stored copy could not be read ({type(error).__name__}).")


def of_source(version: ModelVersion, source: Source) -> Found:
    """The files that clients download against the manifest, read in pieces and kept nowhere."""
    expected = {str(entry["path"]): entry for entry in (version.artifact_manifest or {"files": []})["files"]}
    differing: dict[str, str] = {}
    seen: set[str] = set()
    try:
        location = source.artifact_location(version)
        for path, size in source.iter_files(location):
            known = expected.get(_normal(path))
            if known is None or _normal(path) in seen:
                differing[path] = "unexpected"
                continue
            seen.add(_normal(path))
            if size != known["size"] or _sha256(source.fetch(location, path), size) != known["sha256"]:
                differing[path] = "changed"
    except _MovingError as error:
        return _unread(str(error))
    except DomainError as error:
        return _unread(f"The files at the source could not be read: {error.sentence}")
    if not seen and not differing:
        return _unread("There are no files at the source any more.")
    differing |= dict.fromkeys(set(expected) - seen, "missing")
    return _compared(differing, SOURCE)


class _MovingError(Exception):
    """A file was written while it was read."""


def _normal(path: str) -> str:
    try:
        return manifest.safe_path(path)
    except Invalid:
        return path  # no manifest holds it, so it is unexpected


def _sha256(chunks: Iterator[bytes], size: int) -> str:
    digest, read = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        read += len(chunk)
    if read != size:
        raise _MovingError(f"A file at the source was written while it was read: {read:,} bytes instead of {size:,}.")
    return digest.hexdigest()


def _compared(differing: Mapping[str, str], place: str) -> Found:
    if not differing:
        return Found(CheckOutcome.GOOD, "Every byte is as it was pinned.", {})
    count = len(differing)
    files = "file differs" if count == 1 else "files differ"
    return Found(CheckOutcome.MISMATCH, f"{count:,} {files} in {PLACES[place]}.", differing)


def _unread(sentence: str) -> Found:
    return Found(CheckOutcome.INCONCLUSIVE, sentence, {})
