"""DRF's exceptions in the one voice of ``web/errors.py``."""

from typing import Any, Final

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import APIView

from audit import errors as domain
from web import errors

_MOST_TEXT: Final = 200
_MOST_COMPLAINTS: Final = 20


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: every refusal has the same body."""
    request = context["request"]._request
    if isinstance(error, exceptions.APIException):
        ours, status = _translated(error, context["view"]), error.status_code
    else:
        ours = errors.domain_error_of(error)
        status = int(errors.face_of(ours).status)
    response = Response(errors.body_of(ours, request), status=status)
    if status == 401:
        response["WWW-Authenticate"] = 'Basic realm="Plimsoll", charset="UTF-8"'
    return response


def _translated(error: exceptions.APIException, view: APIView) -> domain.DomainError:
    code = str(error.default_code)
    if isinstance(error, exceptions.ValidationError):
        return domain.Invalid(_sentence(error.detail), details={"fields": _shortened(error.get_full_details())})
    if isinstance(error, exceptions.MethodNotAllowed):
        return domain.Invalid(f"This address answers to {', '.join(view.allowed_methods)}.", code=code)
    if isinstance(error, exceptions.UnsupportedMediaType):
        taken = ", ".join(str(parser.media_type) for parser in view.parser_classes)
        return domain.Invalid(f"This address takes a body of the type {taken}.", code=code)
    if isinstance(error, exceptions.NotAcceptable):
        return domain.Invalid("This address answers with application/json; ask for that in Accept.", code=code)
    if isinstance(error, exceptions.ParseError):
        return domain.Invalid("The upload is cut short or malformed; send it again.", code="bad_upload")
    return domain.Invalid(str(error.detail), code=code)


def _sentence(detail: Any) -> str:
    """The first complaint, with the field it is about."""
    if isinstance(detail, dict):
        field, first = next(iter(detail.items()))
        return f"{field}: {_sentence(first)}" if field != "non_field_errors" else _sentence(first)
    if isinstance(detail, list):
        return _sentence(detail[0]) if detail else "The request is not valid."
    return _cut(str(detail))


def _shortened(detail: Any) -> Any:
    """The complaints about each field without the value at length, which some of them repeat."""
    if isinstance(detail, dict):
        return {_cut(str(name)): _shortened(each) for name, each in list(detail.items())[:_MOST_COMPLAINTS]}
    if isinstance(detail, list):
        return [_shortened(each) for each in detail[:_MOST_COMPLAINTS]]
    return _cut(detail) if isinstance(detail, str) else detail


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT // 2]}…{text[-_MOST_TEXT // 2 :]}"
