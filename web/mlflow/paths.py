"""Which addresses go on to tracking, and whether a request there reads or writes. Pure.

Only what stands here is passed on: MLflow's server also has a registry, a gateway to other services, job runners and an
assistant, and none of them may be reached through this door.
"""

from typing import Final
from urllib.parse import unquote

from audit.errors import Invalid, NotBuilt, NotFound
from audit.events import Action

# First segments below …/mlflow/ of MLflow's tracking API, by API version.
_TRACKING: Final[dict[str, frozenset[str]]] = {
    "2.0": frozenset(
        {
            "artifacts",
            "experiments",
            "get-online-trace-details",
            "get-trace-artifact",
            "logged-models",
            "metrics",
            "runs",
            "traces",
            "unified-traces",
            "upload-artifact",
        }
    ),
    "3.0": frozenset(
        {
            "datasets",
            "get-trace-artifact",
            "issues",
            "label-schemas",
            "review-queues",
            "scorers",
            "server-info",
            "traces",
        }
    ),
}
# First segments below …/2.0/mlflow-artifacts/.
_ARTIFACTS: Final = frozenset({"artifacts", "mpu", "presigned"})
# They call other services from the server, or start work there.
_REFUSED: Final = frozenset({"invoke", "create-promptlab-run"})
# Outside those trees: the version that clients ask for before they send spans, and where they send them.
_SINGLE: Final = {("GET", "/version"): Action.TRACKING_READ, ("POST", "/v1/traces"): Action.TRACKING_WRITE}
# MLflow's own pages stand below this; their requests are the same ones with this in front.
UI: Final = "/mlflow"
# What only those pages ask for.
_OF_UI: Final = frozenset({"/get-artifact"})

_READING_POSTS: Final = frozenset(
    {
        "2.0/mlflow/experiments/search",
        "2.0/mlflow/experiments/search-datasets",
        "2.0/mlflow/logged-models/search",
        "2.0/mlflow/runs/search",
        "3.0/mlflow/datasets/search",
        "3.0/mlflow/issues/search",
        "3.0/mlflow/traces/batchGetInfos",
        "3.0/mlflow/traces/calculate-filter-correlation",
        "3.0/mlflow/traces/metrics",
        "3.0/mlflow/traces/search",
    }
)
_READING: Final = frozenset({"GET", "HEAD"})
_METHODS: Final = _READING | {"POST", "PUT", "PATCH", "DELETE"}


def checked(path: str) -> str:
    """``path`` (decoded once, as the web server gives it) when it means the same to every reader.

    Raises Invalid for a path that another decoding or another normalisation would read differently.
    """
    seen, decoded = path, unquote(path)
    while decoded != seen:
        seen, decoded = decoded, unquote(decoded)
    hidden = decoded.count("/") != path.count("/") or any(
        ord(character) < 32 or character == "\x7f" for character in decoded
    )
    parts = decoded.split("/")[1:]
    if hidden or "\\" in decoded or {".", ".."} & set(parts) or "" in parts[:-1]:
        raise Invalid("This address holds relative, empty or hidden parts.", code="bad_path")
    return path


def without_ui(path: str) -> str:
    """The address on the tracking server that one of MLflow's pages means; any other path as it is."""
    below = path.removeprefix(UI)
    return below if below != path and below.startswith(("/ajax-api/", *_OF_UI)) else path


def written_file(path: str) -> tuple[str, str]:
    """How a writing request to ``path`` (one that is passed on) names a file, and the path it names, if it does.

    ``artifacts``: the path is the file. ``mpu``: it is the folder, and the body has the name. ``upload-artifact``: the
    query has a run and a path in it. Anything else names no file.
    """
    _, _, _, house, *rest = [*path.split("/"), "", "", "", ""]
    if house == "mlflow-artifacts" and rest[0] == "artifacts":
        return "artifacts", "/".join(rest[1:]).strip("/")
    if house == "mlflow-artifacts" and rest[0] == "mpu":
        return "mpu", "/".join(rest[2:]).strip("/")
    return ("upload-artifact", "") if house == "mlflow" and rest[0] == "upload-artifact" else ("", "")


def passed_on(method: str, path: str) -> Action:
    """What a request to tracking takes to be allowed.

    Raises NotFound for what is not passed on, Invalid for a path that can be read in two ways, NotBuilt for an address
    to upload to past this service: it would outlive the permission, and nobody would see what is written there.
    """
    checked(path)
    if single := _SINGLE.get((method, path)):
        return single
    if method in _READING and path in _OF_UI:
        return Action.TRACKING_READ
    _, surface, version, house, *rest = [*path.split("/"), "", "", ""]
    known: frozenset[str] = frozenset()
    if house == "mlflow":
        known = _TRACKING.get(version, known)
    elif house == "mlflow-artifacts" and version == "2.0":
        known = _ARTIFACTS
    refused = house == "mlflow" and bool(_REFUSED & set(rest))
    if house == "mlflow" and "presigned-upload-url" in rest:
        raise NotBuilt("Uploads past this service are not offered: send the file to mlflow-artifacts instead.")
    if surface not in {"api", "ajax-api"} or rest[0] not in known or refused or method not in _METHODS:
        raise NotFound(f"{method} {path[:200]} is not passed on to the tracking server.", code="not_passed_on")
    reads = method in _READING or (method == "POST" and "/".join((version, house, *rest)).rstrip("/") in _READING_POSTS)
    return Action.TRACKING_READ if reads else Action.TRACKING_WRITE
