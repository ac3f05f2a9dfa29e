"""MLflow's own pages under /mlflow/, for whoever may read tracking; their requests for data go through the usual doors.

The pages ask for everything by relative addresses, so each of their requests arrives below /mlflow/: the registry's are
answered by the registry (``urls.py``), those of tracking are passed on (``proxy.py``), GraphQL is ``graphql.py``. The
policy below lets scripts come from the folder of the pages' own files alone: not from a run's artifacts, which lie on
this same site, and not from the page itself.
"""

from typing import Any, Final

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase

from access import policy
from audit.events import Action
from registry import tracking
from registry.queries import visible
from web.mlflow import codec, entrance, origin, paths, proxy, stream
from web.routes import OPEN, route

# The names of these files hold their digest, so a browser may keep them; they are for people who signed in.
_KEPT: Final = "private, max-age=2419200"
_FILES: Final = f"{paths.UI}/static-files/"


def _guarded(request: HttpRequest) -> None:
    """Raises Unauthenticated, which a page answers with the way to sign in, or Denied."""
    proxy.require(entrance.actor_of(request), Action.TRACKING_READ)


def _index(request: HttpRequest) -> HttpResponseBase:
    if request.method not in {"GET", "HEAD"}:
        return codec.no_such_endpoint(request)
    _guarded(request)
    return stream.relay(stream.Passed("GET", "/"), _headers(request, "no-cache"))


def _file(request: HttpRequest, **_path: Any) -> HttpResponseBase:
    path = paths.checked(request.path_info).removeprefix(paths.UI)
    if request.method not in {"GET", "HEAD"}:
        return codec.no_such_endpoint(request)
    _guarded(request)
    return stream.relay(stream.passed(request, path), _headers(request, _KEPT))


def _headers(request: HttpRequest, cache: str) -> dict[str, str]:
    files = f"{request.scheme}://{request.get_host()}{_FILES}"
    rules = (
        "default-src 'none'",
        f"script-src {files}",
        f"worker-src {files} blob:",
        # The pages write their styles into the document; a style can show things wrongly, but not act.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "frame-src blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return {"Content-Security-Policy": "; ".join(rules), "Cache-Control": cache}


def _version_file(request: HttpRequest) -> HttpResponseBase:
    """One file of a registered version, by its name, its number and a path: what MLflow's pages show of a version."""
    by = entrance.actor_of(request)
    if request.method not in {"GET", "HEAD"}:
        return codec.no_such_endpoint(request)
    name, number, path = (request.GET.get(part, "") for part in ("name", "version", "path"))
    origin.check_shown(request)
    version = visible.version(by, name, number)
    policy.require_read(by, Action.REGISTRY_VIEW, version)
    paths.checked(f"/{path}")
    going = stream.passed(request, tracking.file_address(tracking.artifact_location(version), path))
    going.query = ""
    return stream.relay(going)


@route(OPEN)
def to_index(request: HttpRequest) -> HttpResponseBase:
    """The address without its last slash, from which relative addresses would lead elsewhere."""
    return HttpResponseRedirect(f"{paths.UI}/")


index = entrance.machine(Action.TRACKING_READ, _index)
file = entrance.machine(Action.TRACKING_READ, _file)
version_file = entrance.machine(Action.REGISTRY_VIEW, _version_file)
