"""Reading a run as tracking tells it: which facts lineage keeps of it, cut to a size that a row can hold.

Nothing of who ran it is kept. Asking tracking is ``registry/tracking.py``, keeping is ``registry/actions/runs.py``.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

MOST_PARAMS: Final = 500
MOST_DATA: Final = 100
MOST_TEXT: Final = 500
# Of a run that tracking does not know.
UNKNOWN: Final = "UNKNOWN"

# Facts by the name of their column in ``VersionRun``.
Facts = dict[str, Any]


def facts(record: Mapping[str, Any] | None) -> Facts:
    """The columns of a run from what tracking answered. What has another shape than expected is left out."""
    if record is None:
        return {"status": UNKNOWN}
    info, content = _object(record.get("info")), _object(record.get("data"))
    tags = _pairs(content.get("tags"))
    return {
        "name": _text(info.get("run_name") or tags.get("mlflow.runName"), 250),
        "experiment": _text(info.get("experiment_id"), 64),
        "status": _text(info.get("status"), 20),
        "started_at": _moment(info.get("start_time")),
        "ended_at": _moment(info.get("end_time")),
        "commit": _text(tags.get("mlflow.source.git.commit"), 64),
        "repository": _address(tags.get("mlflow.source.git.repoURL")),
        "entry_point": _text(tags.get("mlflow.project.entryPoint") or tags.get("mlflow.source.name"), 500),
        "params": dict(sorted(_pairs(content.get("params")).items())[:MOST_PARAMS]),
        "data": [_data(entry) for entry in _objects(_object(record.get("inputs")).get("dataset_inputs"))[:MOST_DATA]],
    }


def _data(entry: Mapping[str, Any]) -> dict[str, str]:
    """A data set that the run logged. The digest is MLflow's: a note, no identity."""
    told, tags = _object(entry.get("dataset")), _pairs(entry.get("tags"))
    return {
        "name": _text(told.get("name")),
        "digest": _text(told.get("digest")),
        "source_type": _text(told.get("source_type")),
        "context": _text(tags.get("mlflow.data.context")),
    }


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _pairs(value: object) -> dict[str, str]:
    """MLflow's lists of {key, value}, the last of one key counting."""
    return {_text(entry.get("key")): _text(entry.get("value")) for entry in _objects(value) if entry.get("key")}


def _text(value: object, most: int = MOST_TEXT) -> str:
    text = "" if value is None else str(value).replace("\x00", "\ufffd")
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _moment(value: object) -> datetime | None:
    """Milliseconds since 1970 as an instant; None for what is none."""
    if not isinstance(value, int | str) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(int(value) / 1000, UTC) if int(value) > 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def _address(value: object) -> str:
    """An address without the login that some write into it."""
    text = _text(value)
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    bare = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, bare, parts.path, "", "")) if parts.netloc else text.partition("?")[0]


def lines(text: str) -> Iterable[str]:
    """The lines of a text that say something."""
    return (line.strip() for line in text.splitlines() if line.strip())
