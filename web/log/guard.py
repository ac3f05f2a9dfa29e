"""What every address of the log begins with: its method, the permission, the parameters it takes; and how files go out.

Refusals are raised and answered by the one table of ``web/errors.py``, as JSON, like those of the REST surface.
"""

import gzip
import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from access import policy
from audit import published
from audit.actors import Actor
from audit.errors import Invalid
from audit.events import Action
from audit.subjects import TRAIL
from web.errors import body_of
from web.routes import route

View = Callable[..., HttpResponse]

TEXT: Final = "text/plain; charset=utf-8"
BYTES: Final = "application/octet-stream"
# What is signed never changes, but it is for those who may read the trail: a shared cache must not keep it.
IMMUTABLE: Final = "private, max-age=31536000, immutable"
FRESH: Final = "private, no-cache"
_METHODS: Final = ("GET", "HEAD")


def of_log(*parameters: str) -> Callable[[View], View]:
    """Mark a view of one log, with the query parameters it takes. Answers GET and HEAD of those who read the trail."""

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, name: str, **parts: Any) -> HttpResponse:
            if request.method not in _METHODS:
                return _wrong_method(request)
            policy.require_read(actor_of(request), Action.TRAIL_VIEW, TRAIL)
            published.known(name)
            _check_parameters(request, parameters)
            response = view(request, name, **parts)
            patch_vary_headers(response, ("Authorization", "Cookie"))
            return response

        return csrf_exempt(route(Action.TRAIL_VIEW)(guarded))

    return guard


def actor_of(request: HttpRequest) -> Actor:
    """Who asks, as the middleware found out."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    return actor


def file(
    request: HttpRequest, content: bytes, kind: str, *, cache: str, name: str = "", packed: bool = False
) -> HttpResponse:
    """An answer that is a file: with its digest as ETag, 304 for who has it, compressed when asked and worth it."""
    digest = hashlib.sha256(content).hexdigest()[:32]
    if packed and _takes_gzip(request):
        content, digest = gzip.compress(content, 6, mtime=0), f"{digest}-gzip"
        packing = {"Content-Encoding": "gzip"}
    else:
        packing = {}
    headers = {"Cache-Control": cache, "ETag": f'"{digest}"', **packing}
    if name:
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response = HttpResponse(content, content_type=kind, headers=headers)
    if packed:
        patch_vary_headers(response, ("Accept-Encoding",))
    return get_conditional_response(request, etag=headers["ETag"], response=response) or response


def _takes_gzip(request: HttpRequest) -> bool:
    asked = request.headers.get("Accept-Encoding", "").lower().replace(" ", "").split(",")
    return "gzip" in asked


def _check_parameters(request: HttpRequest, taken: tuple[str, ...]) -> None:
    for name, values in request.GET.lists():
        if name not in taken:
            known = f"takes {' and '.join(taken)}" if taken else "takes no parameters"
            raise Invalid(f"There is no parameter {name[:40]!r} here; this address {known}.", code="unknown_parameter")
        if len(values) > 1:
            raise Invalid(f"The parameter {name} is there twice: say once what is meant.", code="parameter_twice")


def _wrong_method(request: HttpRequest) -> HttpResponse:
    error = Invalid(
        "This address answers to GET and HEAD: nothing of the log can be changed.", code="method_not_allowed"
    )
    return JsonResponse(body_of(error, request), status=405, headers={"Allow": ", ".join(_METHODS)})
