"""The tracking server behind this installation, asked over loopback: runs, logged models, and their files.

Only ``settings.PLIMSOLL_TRACKING_URL`` is ever called: a location is turned into a path on that server, never into an
address of its own. Passing other people's requests on to tracking is ``web/mlflow/proxy.py``; what a version's source
may be is ``registry/sources.py``.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import urllib3
from django.conf import settings

from audit.errors import Invalid, NotFound, Unavailable
from registry.models import ModelVersion

SCHEME: Final = "mlflow-artifacts"
# A listing or a lookup is quick; a file may pause between two chunks when the disk is busy.
_QUICK: Final = urllib3.Timeout(connect=3.0, read=15.0)
_SLOW: Final = urllib3.Timeout(connect=3.0, read=60.0)
_CHUNK: Final = 1024 * 1024
_DEEPEST: Final = 64
_pool: Final = urllib3.PoolManager(num_pools=2, maxsize=16, block=False, retries=False)

# JSON that another program wrote; each field is checked where it is used.
Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A run, as far as a registered version needs to know it."""

    run_id: str
    artifact_uri: str
    model_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run logged: where its files are and which run made it."""

    model_id: str
    name: str
    artifact_location: str
    source_run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)


def run(run_id: str) -> Run | None:
    """The run with this id, None when tracking does not know it. Raises Unavailable."""
    answer = _ask("GET", "/api/2.0/mlflow/runs/get", {"run_id": run_id})
    if answer is None:
        return None
    body = answer.get("run", {})
    outputs = body.get("outputs", {}).get("model_outputs", [])
    return Run(
        run_id=run_id,
        artifact_uri=str(body["info"]["artifact_uri"]),
        model_ids=tuple(str(entry["model_id"]) for entry in outputs),
    )


def logged_model(model_id: str) -> LoggedModel | None:
    """The logged model with this id, None when tracking does not know it. Raises Unavailable."""
    answer = _ask("GET", f"/api/2.0/mlflow/logged-models/{quote(model_id, safe='')}")
    if answer is None:
        return None
    body = answer["model"]
    info = body["info"]
    return LoggedModel(
        model_id=model_id,
        name=str(info.get("name", "")),
        artifact_location=str(info["artifact_uri"]),
        source_run_id=str(info.get("source_run_id", "")),
        tags={str(tag["key"]): str(tag.get("value", "")) for tag in info.get("tags", [])},
    )


def tag_logged_model(model_id: str, tags: Mapping[str, str]) -> None:
    """Set tags on a logged model. Raises Unavailable."""
    body = {"model_id": model_id, "tags": [{"key": key, "value": value} for key, value in tags.items()]}
    _ask("PATCH", f"/api/2.0/mlflow/logged-models/{quote(model_id, safe='')}/tags", body=body)


def artifact_location(version: ModelVersion) -> str:
    """Where the files of ``version`` are: an ``mlflow-artifacts:/…`` location. Raises Invalid when it has none."""
    location = version.storage_location or version.source
    folder(location)
    return location


def list_artifacts(location: str, path: str = "") -> list[tuple[str, int | None]]:
    """What lies directly in ``path`` under ``location``, by name: ``(name, bytes)``, with None for a folder."""
    inside = "/".join(part for part in (folder(location), _inside(path)) if part)
    answer = _ask("GET", f"/api/2.0/{SCHEME}/artifacts", {"path": inside}) or {}
    found = [
        (str(entry["path"]), None if entry.get("is_dir") else int(entry.get("file_size", 0)))
        for entry in answer.get("files", [])
    ]
    return sorted(found)


def iter_files(location: str) -> Iterator[tuple[str, int]]:
    """Every file under ``location`` as ``(path relative to it, bytes)``, folders in order of name."""
    yield from _walk(location, "", _DEEPEST)


def _walk(location: str, path: str, deepest: int) -> Iterator[tuple[str, int]]:
    if deepest == 0:
        raise Invalid("The artifact has too many folders inside each other.", code="artifact_too_deep")
    for name, size in list_artifacts(location, path):
        below = f"{path}/{name}" if path else name
        if size is None:
            yield from _walk(location, below, deepest - 1)
        else:
            yield below, size


def fetch(location: str, relative_path: str) -> Iterator[bytes]:
    """The bytes of one file, in chunks of at most a mebibyte. Raises NotFound or Unavailable, also midway."""
    path = "/".join(part for part in (folder(location), _inside(relative_path)) if part)
    url = f"{settings.PLIMSOLL_TRACKING_URL}/api/2.0/{SCHEME}/artifacts/{quote(path)}"
    try:
        answer = _pool.request("GET", url, timeout=_SLOW, preload_content=False, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        raise _down() from error
    finished = False
    try:
        if answer.status != 200:
            raise NotFound(f"There is no file {relative_path} at {location}.") if answer.status < 500 else _down()
        yield from answer.stream(_CHUNK, decode_content=True)
        finished = True
    except urllib3.exceptions.HTTPError as error:
        raise _down() from error
    finally:
        if finished:
            answer.release_conn()
        else:
            answer.close()


def download(location: str, target: Path) -> int:
    """Copy every file under ``location`` into the folder ``target``; the number of bytes written."""
    written = 0
    for relative_path, _ in iter_files(location):
        place = target / relative_path
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            for chunk in fetch(location, relative_path):
                written += file.write(chunk)
    return written


def folder(location: str) -> str:
    """The path on the tracking server's artifact store that ``mlflow-artifacts:/<path>`` names.

    Raises Invalid for every other scheme, for a location with a host, and for one that climbs or hides a path.
    """
    parts = urlsplit(location)
    if parts.scheme != SCHEME or parts.netloc or parts.query or parts.fragment:
        raise Invalid(
            f"The files of a model version are read from the artifact store of this installation (mlflow-artifacts:/…),"
            f" and {location[:200]!r} is not there.",
            code="foreign_location",
        )
    return _inside(parts.path.strip("/"))


def _inside(path: str) -> str:
    """``path`` when it stays below where it starts, however often it is decoded; Invalid otherwise."""
    seen, decoded = path, unquote(path)
    while decoded != seen:
        seen, decoded = decoded, unquote(decoded)
    if "\x00" in decoded or "\\" in decoded or (path and {"", ".", ".."} & set(decoded.split("/"))):
        raise Invalid(f"The path {path[:200]!r} leaves the artifact it belongs to.", code="path_outside")
    return path


def _ask(method: str, path: str, query: Mapping[str, str] | None = None, body: Json | None = None) -> Json | None:
    """One call; None when tracking says that there is no such thing. A refusal of tracking is an Invalid."""
    url = settings.PLIMSOLL_TRACKING_URL + path
    try:
        if body is None:
            answer = _pool.request(method, url, fields=dict(query or {}), timeout=_QUICK, redirect=False)
        else:
            answer = _pool.request(method, url, json=body, timeout=_QUICK, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        raise _down() from error
    if answer.status >= 500:
        raise _down()
    found = _json(answer.data)
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise Invalid(f"Tracking refused this: {found.get('message', 'no reason given')}", code="tracking_refused")
    return found


def _json(body: bytes) -> Json:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _down() -> Unavailable:
    return Unavailable("The tracking server does not answer right now; try again in a moment.", code="tracking_down")
