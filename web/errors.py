"""One table: what was refused → HTTP status, MLflow ``error_code``, page title. No other place maps errors."""

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
)
from django.db import InterfaceError, OperationalError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    UnreadablePostError,
)
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.urls import reverse

from audit import errors

log = logging.getLogger("plimsoll.web")


@dataclass(frozen=True)
class Face:
    """How one kind of refusal looks on each surface."""

    status: HTTPStatus
    mlflow: str
    title: str


FACES: Final[dict[type[errors.DomainError], Face]] = {
    errors.Invalid: Face(HTTPStatus.BAD_REQUEST, "INVALID_PARAMETER_VALUE", "Something in it is not right"),
    errors.Duplicate: Face(HTTPStatus.CONFLICT, "RESOURCE_ALREADY_EXISTS", "It is there already"),
    errors.NotFound: Face(HTTPStatus.NOT_FOUND, "RESOURCE_DOES_NOT_EXIST", "Not found"),
    errors.Gone: Face(HTTPStatus.GONE, "RESOURCE_DOES_NOT_EXIST", "Gone"),
    errors.Unauthenticated: Face(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED", "Sign in first"),
    errors.Denied: Face(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED", "Not allowed"),
    errors.Stale: Face(HTTPStatus.CONFLICT, "RESOURCE_CONFLICT", "It changed meanwhile"),
    errors.Conflict: Face(HTTPStatus.CONFLICT, "RESOURCE_CONFLICT", "Not now"),
    errors.TooLarge: Face(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "INVALID_PARAMETER_VALUE", "Too large"),
    errors.TooMany: Face(HTTPStatus.TOO_MANY_REQUESTS, "REQUEST_LIMIT_EXCEEDED", "Too many attempts"),
    errors.Unavailable: Face(HTTPStatus.SERVICE_UNAVAILABLE, "TEMPORARILY_UNAVAILABLE", "Not reachable right now"),
    errors.NotBuilt: Face(HTTPStatus.NOT_IMPLEMENTED, "NOT_IMPLEMENTED", "Not built yet"),
}
BROKEN: Final = errors.DomainError(
    "Something went wrong on our side. It was written to the log under the request id below.", code="internal"
)
_BROKEN_FACE: Final = Face(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "Something went wrong")

# What Django raises for a request it cannot read → what we say.
_DJANGO: Final[tuple[tuple[type[Exception], errors.DomainError], ...]] = (
    (Http404, errors.NotFound("There is nothing at this address.")),
    (DisallowedHost, errors.Invalid("This service does not answer under that host name.", code="bad_host")),
    (RequestDataTooBig, errors.TooLarge("The request is larger than this address accepts.")),
    (TooManyFieldsSent, errors.TooLarge("The form has too many fields.")),
    (MultiPartParserError, errors.Invalid("The upload is cut short or malformed; send it again.", code="bad_upload")),
    (UnreadablePostError, errors.Invalid("The request ended before its body was complete.", code="cut_short")),
    (PermissionDenied, errors.Denied("You may not do this.")),
    (SuspiciousOperation, errors.Invalid("The request is malformed.", code="malformed")),
    (BadRequest, errors.Invalid("The request is malformed.", code="malformed")),
    (UnicodeError, errors.Invalid("The request is not valid UTF-8.", code="bad_encoding")),
    (OperationalError, errors.Unavailable("The database does not answer right now; try again in a moment.")),
    (InterfaceError, errors.Unavailable("The database does not answer right now; try again in a moment.")),
)


# Addresses whose answers MLflow's clients and pages read.
_WIRE: Final = ("/api/2.0/", "/api/3.0/", "/ajax-api/", "/v1/", "/mlflow/ajax-api/", "/mlflow/graphql")
_WIRE_ALONE: Final = frozenset({"/version", "/model-versions/get-artifact"})


def face_of(error: errors.DomainError) -> Face:
    """The nearest entry of the table for this error's class."""
    for kind in type(error).__mro__:
        if kind in FACES:
            return FACES[kind]
    return _BROKEN_FACE


def domain_error_of(error: Exception) -> errors.DomainError:
    """The refusal behind any exception; what we did not foresee is logged in full and says nothing of itself."""
    if isinstance(error, errors.DomainError):
        return error
    for kind, ours in _DJANGO:
        if isinstance(error, kind):
            if isinstance(ours, errors.Unavailable):
                log.error("the database does not answer", exc_info=error)
            return ours
    log.error("an unforeseen error", exc_info=error)
    return BROKEN


def respond(request: HttpRequest, error: Exception) -> HttpResponse:
    """The answer to a refused request on the surface it came to."""
    ours = domain_error_of(error)
    face = face_of(ours)
    path = request.path_info
    if path.startswith(_WIRE) or path in _WIRE_ALONE:
        response: HttpResponse = JsonResponse(
            {"error_code": face.mlflow, "message": ours.sentence}, status=wire_status(face)
        )
    elif path.startswith(("/api/", "/opendsr/", "/log/")):
        response = JsonResponse(body_of(ours, request), status=face.status)
    else:
        response = _page(request, ours, face)
    if face.status == HTTPStatus.UNAUTHORIZED and path.startswith(("/api/", "/ajax-api/", "/log/", "/opendsr/")):
        response["WWW-Authenticate"] = 'Basic realm="Plimsoll", charset="UTF-8"'
    return response


def wire_status(face: Face) -> int:
    """MLflow answers 400 where HTTP would say 409 for a duplicate."""
    return 400 if face.mlflow == "RESOURCE_ALREADY_EXISTS" else int(face.status)


def body_of(error: errors.DomainError, request: HttpRequest) -> dict[str, object]:
    """The REST body of a refusal."""
    return {
        "error": {
            "code": error.code,
            "sentence": ended(error.sentence),
            "details": error.details,
            "request_id": getattr(request, "request_id", ""),
        }
    }


def ended(sentence: str) -> str:
    """A sentence with its full stop: MLflow's own wording, which the wire repeats to the letter, has none."""
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def _page(request: HttpRequest, error: errors.DomainError, face: Face) -> HttpResponse:
    actions: list[dict[str, str]] = []
    if face.status == HTTPStatus.UNAUTHORIZED:
        sign_in = f"{reverse('sign-in')}?{urlencode({'next': request.get_full_path()})}"
        if request.method in {"GET", "HEAD"} and "Authorization" not in request.headers:
            return HttpResponseRedirect(sign_in)
        actions.append({"label": "Sign in", "url": reverse("sign-in"), "kind": "primary"})
    context = {
        "sentence": ended(error.sentence),
        "code": error.code,
        "request_id": getattr(request, "request_id", ""),
        "actions": actions,
    }
    try:
        return render(request, f"errors/{int(face.status)}.html", context, status=face.status)
    except Exception:  # the page itself is broken: say the sentence plainly rather than nothing
        log.exception("an error page could not be rendered")
        return HttpResponse(error.sentence, status=face.status, content_type="text/plain; charset=utf-8")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's answer to a form without a valid token, in our words."""
    return respond(
        request,
        errors.Denied(
            "This form is out of date or did not come from this site. Go back, reload the page and try again.",
            code="csrf",
        ),
    )


def from_django(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """What Django's own machinery refuses (a bad host, a malformed path), in the same voice."""
    return respond(request, exception or BROKEN)
