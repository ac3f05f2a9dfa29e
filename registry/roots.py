"""The places data sets may be read from, as the setting ``PLIMSOLL_DATA_ROOTS`` lists them. Pure; read by the settings.

A root is an address without credentials: ``file:///srv/data``, ``s3://bucket/curated``. What lies below one may be
registered by whoever may register data sets; nothing else is ever opened. Opening is ``registry/locations.py``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

# Object stores and file systems that fsspec reads, each once its own library is installed. Not here: whatever fetches
# addresses over the web (it follows redirects anywhere) and whatever wraps another protocol.
OBJECT_STORES: Final = ("s3", "gs", "gcs", "abfs", "abfss", "az", "adl", "hdfs", "oci", "oss", "memory")
LOCAL: Final = "file"
TRACKING: Final = "mlflow-artifacts"


def parse(text: str, never: Sequence[Path]) -> tuple[str, ...]:
    """The roots in a comma-separated list. Raises ValueError with a sentence for one that cannot be allowed.

    ``never`` are folders of our own: a root may neither hold one of them nor lie in one.
    """
    return tuple(_root(entry.strip(), never) for entry in text.split(",") if entry.strip())


def _root(entry: str, never: Sequence[Path]) -> str:
    parts = urlsplit(entry)
    if parts.scheme not in {LOCAL, *OBJECT_STORES}:
        known = ", ".join([LOCAL, *OBJECT_STORES])
        raise ValueError(f"{entry!r} has none of the schemes {known}.")
    if "@" in parts.netloc or parts.query or parts.fragment or "::" in entry or not is_plain(parts.path):
        raise ValueError(f"{entry!r} is no plain address: no credentials, no query, no .. and nothing encoded.")
    if parts.scheme == LOCAL:
        _check_folder(entry, parts.netloc, Path(parts.path), never)
    elif not parts.netloc:
        raise ValueError(f"{entry!r} names no bucket or host.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _check_folder(entry: str, host: str, folder: Path, never: Sequence[Path]) -> None:
    if host or not folder.is_absolute():
        raise ValueError(f"{entry!r} must be a folder of this machine: file:///path.")
    real = folder.resolve()
    for own in never:
        if real.is_relative_to(own.resolve()) or own.resolve().is_relative_to(real):
            raise ValueError(f"{entry!r} overlaps the folder {own}, where Plimsoll keeps its own files.")


def is_plain(path: str) -> bool:
    """Whether a path says what it means: no ``.``, ``..`` or empty part, nothing encoded, no control character."""
    names = path.strip("/").split("/")
    return (
        unquote(path) == path
        and "\\" not in path
        and path.isprintable()
        and (names == [""] or not {"", ".", ".."} & set(names))
    )
