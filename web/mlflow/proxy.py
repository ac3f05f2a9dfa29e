"""Passing requests on to the tracking server, both ways in a stream: a file of any size takes the same memory.

What may be passed on is ``paths.py``. The service's own questions to tracking are ``registry/tracking.py``.
"""

from collections.abc import Iterator
from typing import Any, Final, Protocol
from urllib.parse import quote

import urllib3
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from access import policy
from audit.actors import Actor
from audit.errors import Invalid, NotFound, Unavailable
from audit.events import Action
from audit.subjects import INSTALLATION
from web.mlflow import codec, entrance, paths

_CHUNK: Final = 256 * 1024
_WAIT: Final = urllib3.Timeout(connect=3.0, read=300.0)
# Not shared with registry/tracking.py: a thousand downloads must not keep a registration waiting for a connection.
_pool: Final = urllib3.PoolManager(num_pools=1, maxsize=32, block=False, retries=False, blocksize=_CHUNK)

# Only these pass. Credentials, cookies, Host, Origin, Forwarded and whatever a client thinks up stay here.
_TO_TRACKING: Final = (
    "Accept",
    "Accept-Encoding",
    "Content-Encoding",
    "Content-Type",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "Range",
    "User-Agent",
)
_TO_CLIENT: Final = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Last-Modified",
    "Retry-After",
)
# Files in a run are other people's: a browser that opens one runs nothing of it in our name.
_POLICY: Final = "sandbox; default-src 'none'"
_DOWN: Final = "The tracking server does not answer right now; try again in a moment."


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _CutShortError(Exception):
    """The client went away before its body was complete."""


class _Upload:
    """A request body in pieces, which notices when the client stops halfway."""

    def __init__(self, stream: _Readable, length: int | None) -> None:
        self._stream = stream
        self._left = length

    def __iter__(self) -> Iterator[bytes]:
        while self._left is None or self._left:
            found = self._stream.read(_CHUNK if self._left is None else min(_CHUNK, self._left))
            if not found:
                if self._left:
                    raise _CutShortError
                return
            if self._left is not None:
                self._left -= len(found)
            yield found


class _Download:
    """A response body that gives its connection back at the end, or closes it when the client left before."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer
        self._finished = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.stream(_CHUNK, decode_content=False)
        self._finished = True

    def close(self) -> None:
        if self._finished:
            self._answer.release_conn()
        else:
            self._answer.close()


def _view(request: HttpRequest, **_path: Any) -> HttpResponseBase:
    method = request.method or ""
    try:
        action = paths.passed_on(method, request.path_info)
    except NotFound:
        return codec.no_such_endpoint(request)
    _require(entrance.actor_of(request), action)
    headers = {name: request.headers[name] for name in _TO_TRACKING if name in request.headers}
    body = _body(request, headers)
    try:
        answer = _pool.request(
            method,
            _address(request),
            body=body,
            headers=headers,
            timeout=_WAIT,
            preload_content=False,
            decode_content=False,
            redirect=False,
        )
    except _CutShortError:
        raise Invalid("The request ended before its body was complete.", code="cut_short") from None
    except (urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise Unavailable(_DOWN, code="tracking_down") from error
    return _relayed(answer, method)


view = entrance.machine(Action.TRACKING_READ, _view)


def _require(by: Actor, action: Action) -> None:
    """Tracking has no models to limit a role to: a role on any pattern of names is enough."""
    if not policy.patterns_for(by, action):
        policy.require_read(by, action, INSTALLATION)


def _address(request: HttpRequest) -> str:
    query = request.META.get("QUERY_STRING", "")
    return f"{settings.PLIMSOLL_TRACKING_URL}{quote(request.path_info)}{'?' if query else ''}{query}"


def _body(request: HttpRequest, headers: dict[str, str]) -> _Upload | None:
    """The body as a stream, None when there is none. Chunked bodies have no length, and Django reads none of them."""
    stream: _Readable = request.META.get("wsgi.input", request)
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdigit():
        headers["Content-Length"] = length
        return _Upload(stream, int(length)) if int(length) else None
    chunked = request.META.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
    return _Upload(stream, None) if chunked and request.META.get("wsgi.input_terminated") else None


def _relayed(answer: urllib3.BaseHTTPResponse, method: str) -> HttpResponseBase:
    response: HttpResponseBase
    if method == "HEAD" or answer.status in {204, 304}:
        answer.release_conn()
        response = HttpResponse(status=answer.status)
    elif answer.status in range(300, 400):
        answer.close()
        raise Unavailable("The tracking server sent this request elsewhere, which is not followed.", code="redirected")
    else:
        response = StreamingHttpResponse(_Download(answer), status=answer.status)
    for name in _TO_CLIENT:
        if name in answer.headers:
            response[name] = answer.headers[name]
    response["Content-Security-Policy"] = _POLICY
    response["Cache-Control"] = "no-store"
    return response
