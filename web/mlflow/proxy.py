"""Passing requests of MLflow's clients and pages on to the tracking server: for whom, and with what examined before.

Which addresses those are is ``paths.py``; the stream itself is ``stream.py``; MLflow's pages are ``ui.py``. The
service's own questions to tracking are ``registry/tracking.py``.
"""

import json
import posixpath
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from access import policy
from audit.actors import Actor
from audit.errors import Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION
from registry.actions import tracked_files
from web.mlflow import codec, entrance, origin, paths, stream

# A request that only names a file: no client sends more than a few hundred bytes.
_MOST_NAMING: Final = 1024 * 1024


def _view(request: HttpRequest, **_path: Any) -> HttpResponseBase:
    path = paths.without_ui(request.path_info)
    try:
        action = paths.passed_on(request.method or "", path)
    except NotFound:
        return codec.no_such_endpoint(request)
    by = entrance.actor_of(request)
    require(by, action)
    origin.check_shown(request)
    going = stream.passed(request, path)
    if action is Action.TRACKING_WRITE:
        _examine(by, request, going)
    return stream.relay(going)


view = entrance.machine(Action.TRACKING_READ, _view)


def require(by: Actor, action: Action) -> None:
    """Tracking has no models to limit a role to: a role on any pattern of names is enough."""
    if not policy.patterns_for(by, action):
        policy.require_read(by, action, INSTALLATION)


def _examine(by: Actor, request: HttpRequest, going: stream.Passed) -> None:
    """Refuse what would change the files of a registered version. Raises Denied."""
    kind, path = paths.written_file(going.path)
    if kind == "artifacts":
        check = tracked_files.check_removal if going.method == "DELETE" else tracked_files.check_upload
        check(by=by, path=path)
    elif kind == "mpu":
        naming = _naming(going)
        name = posixpath.basename(str(naming.get("path") or ""))
        tracked_files.check_upload(by=by, path=f"{path}/{name}")
        going.body = json.dumps(naming).encode()
        going.headers["Content-Length"] = str(len(going.body))
    elif kind == "upload-artifact":
        run_id, named = _only(request, "run_uuid"), _only(request, "path")
        paths.checked(f"/{named}")
        tracked_files.check_upload_to_run(by=by, run_id=run_id, path=named)
        going.query = urlencode({"run_uuid": run_id, "path": named})


def _naming(going: stream.Passed) -> dict[str, Any]:
    """The object that a multipart call sends, which says under which name the file will stand."""
    going.headers.pop("Content-Encoding", None)
    try:
        found = json.loads(stream.small(going, _MOST_NAMING) or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Invalid("This call takes a JSON object.", code="malformed")
    return found


def _only(request: HttpRequest, name: str) -> str:
    """A parameter that must be there once: two would be read differently here and there."""
    values = request.GET.getlist(name)
    if len(values) != 1 or not values[0]:
        raise Invalid(f"Request must specify {name}, once.", code="missing")
    return values[0]
