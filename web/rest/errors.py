"""DRF's exceptions in the one voice of ``web/errors.py``."""

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response

from audit import errors as domain
from web import errors


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: every refusal has the same body."""
    request = context["request"]._request
    if isinstance(error, exceptions.APIException):
        ours, status = _translated(error), error.status_code
    else:
        ours = errors.domain_error_of(error)
        status = int(errors.face_of(ours).status)
    response = Response(errors.body_of(ours, request), status=status)
    if status == 401:
        response["WWW-Authenticate"] = 'Basic realm="Plimsoll", charset="UTF-8"'
    return response


def _translated(error: exceptions.APIException) -> domain.DomainError:
    if isinstance(error, exceptions.ValidationError):
        return domain.Invalid(_sentence(error.detail), details={"fields": error.get_full_details()})
    return domain.Invalid(str(error.detail), code=str(error.default_code))


def _sentence(detail: Any) -> str:
    """The first complaint, with the field it is about."""
    if isinstance(detail, dict):
        field, first = next(iter(detail.items()))
        return f"{field}: {_sentence(first)}" if field != "non_field_errors" else _sentence(first)
    if isinstance(detail, list):
        return _sentence(detail[0]) if detail else "The request is not valid."
    return str(detail)
