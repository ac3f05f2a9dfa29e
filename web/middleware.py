"""What happens around every request: an id, an actor, errors in one voice, and the refusal of unchecked successes."""

import base64
import logging
import re
import secrets
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from access import authenticate, checked
from access.scopes import TokenScope
from audit.actors import ANONYMOUS, Actor
from audit.errors import Denied, DomainError, Invalid, NotFound, TooLarge, Unauthenticated
from web import errors, sessions
from web.routes import is_open

log = logging.getLogger("plimsoll.requests")

Handler = Callable[[HttpRequest], HttpResponse]
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}\Z")


class RequestMiddleware:
    """Give the request an id, and write one log line when it is done."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        request.request_id = given if _REQUEST_ID.match(given) else secrets.token_hex(8)  # type: ignore[attr-defined]
        request.actor = ANONYMOUS  # type: ignore[attr-defined]
        checked.begin()
        started = time.perf_counter()
        response = self.get_response(request)
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        # The path alone: query strings can carry names and tokens.
        log.info(
            "request",
            extra={
                "method": request.method,
                "path": _safe_path(request),
                "status": response.status_code,
                "ms": round((time.perf_counter() - started) * 1000, 1),
                "request_id": request.request_id,  # type: ignore[attr-defined]
            },
        )
        return response


def _safe_path(request: HttpRequest) -> str:
    return "/sign-in/link/…/" if request.path_info.startswith("/sign-in/link/") else request.path_info[:200]


class ErrorMiddleware:
    """Every error leaves in the voice of the surface it came to; none leaves as a traceback."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            if "\x00" in request.path_info or "\x00" in request.META.get("QUERY_STRING", ""):
                raise Invalid("The address holds a NUL character.", code="malformed")
            _read_as_utf8(request)
            response = self.get_response(request)
        except Exception as error:  # noqa: BLE001 - this is the outermost handler
            return errors.respond(request, error)
        if response.status_code == 404 and getattr(request, "resolver_match", None) is None and not response.streaming:
            return errors.respond(request, NotFound("There is nothing at this address."))
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse:
        return errors.respond(request, error)


_FORMS = frozenset({"application/json", "application/x-www-form-urlencoded", "multipart/form-data"})


def _read_as_utf8(request: HttpRequest) -> None:
    """Text is UTF-8 here. Django would take any codec a body names, for the address as well, compression included."""
    charset = request.content_params.get("charset", "utf-8") if request.content_params else "utf-8"
    if charset.strip().lower() in {"utf-8", "utf8", "us-ascii", "ascii"}:
        return
    if request.content_type in _FORMS:
        raise Invalid("Text is read as UTF-8 here: send it in that encoding.", code="bad_encoding")
    request.encoding = "utf-8"


class ActorMiddleware:
    """Find out who asks: bearer token or Basic on machine addresses, the browser's session elsewhere."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            request.actor = _actor(request)  # type: ignore[attr-defined]
            _refuse_large_from_strangers(request)
            if getattr(request, "password_change_due", False) and request.path_info not in _WHILE_DUE:
                return _asked_for_password(request)
        except DomainError as error:
            return errors.respond(request, error)
        return self.get_response(request)


# What a person whose password was reset can still reach.
_WHILE_DUE = frozenset({"/account/password/", "/sign-out/", "/healthz", "/readyz"})


def _asked_for_password(request: HttpRequest) -> HttpResponse:
    """To the page where a new password is chosen; what is not a page is refused."""
    if request.method in {"GET", "HEAD"} and not request.path_info.startswith(
        ("/api/", "/ajax-api/", "/log/", "/opendsr/")
    ):
        return HttpResponseRedirect("/account/password/")
    raise Denied("Choose a new password first, on the page of your account.", code="password_change_due")


def _refuse_large_from_strangers(request: HttpRequest) -> None:
    """Nobody we do not know makes us receive a file: reading a form's token reads its files too."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    known = request.actor.account is not None  # type: ignore[attr-defined]
    if not known and length.isascii() and length.isdigit() and int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise TooLarge("Sign in before sending something this large.")


def _actor(request: HttpRequest) -> Actor:
    request_id: str = request.request_id  # type: ignore[attr-defined]
    ip = request.META.get("REMOTE_ADDR", "")
    header = request.headers.get("Authorization", "")
    scheme, _, value = header.partition(" ")
    if header:
        # A request that carries its own credential cannot be forged by another site.
        request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
    if scheme.lower() == "bearer" and value:
        token = authenticate.token_for(value.strip())
        scope = token.scope if token.scope != TokenScope.FULL else ""
        return authenticate.actor_of(token.user, "bearer", request_id=request_id, ip=ip, token_scope=scope)
    if scheme.lower() == "basic" and value:
        user = authenticate.by_password(*_basic(value), ip=ip)
        if user.must_change_password:
            raise Denied(
                "Choose a new password first: sign in with a browser, which asks for it.", code="password_change_due"
            )
        return authenticate.actor_of(user, "basic", request_id=request_id, ip=ip)
    if header:
        raise Unauthenticated("Sign in with a bearer token or with HTTP Basic.", code="unknown_scheme")
    found = sessions.user_of(request)
    if found is None:
        return Actor(kind="anonymous", account=None, name="anonymous", auth="none", request_id=request_id, ip=ip)
    if found.must_change_password:
        request.password_change_due = True  # type: ignore[attr-defined]
    return authenticate.actor_of(found, "session", request_id=request_id, ip=ip)


def _basic(value: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(value, validate=True).decode()
    except ValueError:  # no Base64, no ASCII, no UTF-8
        raise Unauthenticated("The Basic credentials cannot be read.", code="bad_credentials") from None
    name, colon, password = text.partition(":")
    if not colon:
        raise Unauthenticated("The Basic credentials cannot be read.", code="bad_credentials")
    return name, password


class CheckedMiddleware:
    """A success for which no permission check ran becomes a denial: a forgotten check fails closed."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 and not checked.ran() and not is_open(request):
            log.critical("a success without a permission check was refused", extra={"path": request.path_info})
            return errors.respond(request, Denied("This address has no permission check.", code="unchecked"))
        return response
