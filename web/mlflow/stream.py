"""One request to the tracking server and its answer, both in a stream: a file of any size takes the same memory.

Which requests may be passed on is ``paths.py``, for whom ``proxy.py``. The service's own questions to tracking are
``registry/tracking.py``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

import urllib3
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from audit.errors import Invalid, TooLarge, Unavailable
from registry import tracking

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
    # where the spans of a trace belong
    "X-MLflow-Experiment-Id",
    "X-MLflow-Run-Id",
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
SANDBOX: Final = {"Content-Security-Policy": "sandbox; default-src 'none'", "Cache-Control": "no-store"}
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


@dataclass
class Passed:
    """What goes on to tracking: the request's own body and query, unless something was put in their place."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: "_Upload | bytes | None" = None


def passed(request: HttpRequest, path: str) -> Passed:
    """The request as it came, to ``path`` (decoded) on the tracking server."""
    headers = {name: request.headers[name] for name in _TO_TRACKING if name in request.headers}
    going = Passed(request.method or "", path, request.META.get("QUERY_STRING", ""), headers)
    going.body = _body(request, headers)
    return going


def small(going: Passed, most: int) -> bytes:
    """The body that was to be passed on, taken in whole, to be examined. Raises TooLarge beyond ``most`` bytes."""
    pieces, total = [], 0
    for piece in going.body if isinstance(going.body, _Upload) else ():
        total += len(piece)
        if total > most:
            raise TooLarge("The request is larger than this address accepts.")
        pieces.append(piece)
    return b"".join(pieces)


def relay(going: Passed, extra: Mapping[str, str] = SANDBOX) -> HttpResponseBase:
    """Ask tracking and hand its answer on, with ``extra`` headers of ours. Raises Unavailable, Invalid."""
    return _relayed(_ask(going), going.method, extra)


def whole(going: Passed, most: int) -> tuple[int, bytes]:
    """Ask tracking for something small: status and body. Raises Unavailable, and TooLarge beyond ``most`` bytes."""
    answer = _ask(going)
    try:
        found: bytes = answer.read(most + 1)
    except (urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise Unavailable(_DOWN, code="tracking_down") from error
    finally:
        answer.close()
    if len(found) > most:
        raise TooLarge("The tracking server's answer is larger than this address passes on.")
    return answer.status, found


def _ask(going: Passed) -> urllib3.BaseHTTPResponse:
    headers = going.headers | tracking.login()
    address = f"{settings.PLIMSOLL_TRACKING_URL}{quote(going.path)}{'?' if going.query else ''}{going.query}"
    try:
        return _pool.request(
            going.method,
            address,
            body=going.body,
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


def _body(request: HttpRequest, headers: dict[str, str]) -> _Upload | None:
    """The body as a stream, None when there is none. Chunked bodies have no length, and Django reads none of them."""
    stream: _Readable = request.META.get("wsgi.input", request)
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdigit():
        headers["Content-Length"] = length
        return _Upload(stream, int(length)) if int(length) else None
    chunked = request.META.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
    return _Upload(stream, None) if chunked and request.META.get("wsgi.input_terminated") else None


def _relayed(answer: urllib3.BaseHTTPResponse, method: str, extra: Mapping[str, str]) -> HttpResponseBase:
    response: HttpResponseBase
    if method == "HEAD" or answer.status in {204, 304}:
        answer.release_conn()
        response = HttpResponse(status=answer.status)
    elif answer.status in range(300, 400):
        answer.close()
        raise Unavailable("The tracking server sent this request elsewhere, which is not followed.", code="redirected")
    elif answer.status in {401, 407}:
        answer.close()
        raise Unavailable("The tracking server does not accept this service's credentials.", code="tracking_login")
    else:
        response = StreamingHttpResponse(_Download(answer), status=answer.status)
    for name in _TO_CLIENT:
        if name in answer.headers:
            response[name] = answer.headers[name]
    for name, value in extra.items():
        response[name] = value
    return response
