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
# In an address of the artifact store over HTTP, what stands before the path.
_ANCHOR: Final = f"/api/2.0/{SCHEME}/artifacts/"
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
    experiment_id: str = ""
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
        experiment_id=str(body["info"].get("experiment_id", "")),
        model_ids=tuple(str(entry["model_id"]) for entry in outputs),
    )


def run_record(run_id: str) -> Json | None:
    """A run with its parameters, tags and data sets, as tracking tells it; None when it knows none. For ``runs.py``.

    Raises Unavailable, and Invalid for what can be no run's id.
    """
    answer = _ask("GET", "/api/2.0/mlflow/runs/get", {"run_id": run_id})
    return None if answer is None else dict(answer.get("run") or {})


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
    """Where the files of ``version`` are: an ``mlflow-artifacts:/…`` location.

    Raises Invalid when it has none here, Unavailable when tracking has to be asked and does not answer.
    """
    location = version.storage_location or version.source
    found = places(location)
    if not found:
        folder(location)
        raise Invalid("The run that this version comes from is not there any more.", code="no_such_run")
    for place in found[:-1]:
        if list_artifacts(place):
            return place
    return found[-1]


def places(location: str) -> list[str]:
    """Where files at ``location`` can lie in the artifact store, the likeliest place first; empty for elsewhere.

    A ``runs:/<run>/<path>`` names a path among the run's own files, or a model that the run logged under that name.
    """
    parts = urlsplit(location)
    if parts.scheme in {"http", "https"} and _ANCHOR in parts.path:
        return [f"{SCHEME}:/{_settled(parts.path.partition(_ANCHOR)[2])}"]
    if parts.scheme == SCHEME and not parts.netloc:
        return [f"{SCHEME}:/{_settled(parts.path)}"]
    if parts.scheme != "runs":
        return []
    run_id, _, path = parts.path.lstrip("/").partition("/")
    path = path.strip("/")
    source = run(run_id) if run_id else None
    if source is None:
        return []
    logged = (logged_model(model_id) for model_id in source.model_ids)
    named = [model.artifact_location for model in logged if model is not None and model.name == path]
    root = f"{source.artifact_uri}/{path}" if path else source.artifact_uri
    return [place for found in (root, *named) for place in places(found)]


def _settled(path: str) -> str:
    """``path`` as MLflow's server will read it in the end: it decodes percent signs until none is left."""
    return "/".join(part for part in decoded(path).split("/") if part)


def decoded(path: str) -> str:
    """``path`` without any percent-encoding, however often it was encoded."""
    seen, found = path, unquote(path)
    while found != seen:
        seen, found = found, unquote(found)
    return found


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


def file_address(location: str, relative_path: str) -> str:
    """Under which path (not quoted) the tracking server serves one file. Raises Invalid for one that leads outside."""
    path = "/".join(part for part in (folder(location), _inside(relative_path)) if part)
    return f"/api/2.0/{SCHEME}/artifacts/{path}"


def fetch(location: str, relative_path: str) -> Iterator[bytes]:
    """The bytes of one file, in chunks of at most a mebibyte. Raises NotFound or Unavailable, also midway."""
    url = settings.PLIMSOLL_TRACKING_URL + quote(file_address(location, relative_path))
    try:
        answer = _pool.request("GET", url, headers=login(), timeout=_SLOW, preload_content=False, redirect=False)
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
    found = decoded(path)
    if "\x00" in found or "\\" in found or (path and {"", ".", ".."} & set(found.split("/"))):
        raise Invalid(f"The path {path[:200]!r} leaves the artifact it belongs to.", code="path_outside")
    return path


def _ask(method: str, path: str, query: Mapping[str, str] | None = None, body: Json | None = None) -> Json | None:
    """One call; None when tracking says that there is no such thing. A refusal of tracking is an Invalid."""
    url = settings.PLIMSOLL_TRACKING_URL + path
    try:
        if body is None:
            answer = _pool.request(
                method, url, fields=dict(query or {}), headers=login(), timeout=_QUICK, redirect=False
            )
        else:
            answer = _pool.request(method, url, json=body, headers=login(), timeout=_QUICK, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        raise _down() from error
    if answer.status >= 500:
        raise _down()
    if answer.status in {401, 403}:
        raise Unavailable("The tracking server does not accept this service's credentials.", code="tracking_login")
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


def login() -> dict[str, str]:
    """The headers by which a tracking server that runs elsewhere knows this service; none for our own."""
    given = settings.PLIMSOLL_TRACKING_AUTHORIZATION
    return {"Authorization": given} if given else {}


def _down() -> Unavailable:
    return Unavailable("The tracking server does not answer right now; try again in a moment.", code="tracking_down")
