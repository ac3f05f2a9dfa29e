"""MLflow's wire as plain JSON: reading a request into typed values, and the shape of answers.

What each call takes is ``calls.py``; how a row looks is ``messages.py``; errors go through ``web/errors.py``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse

from audit.errors import Invalid, TooLarge
from registry.event_names import mlflow_name

# JSON as a client sent it: checked field by field below.
Json = Any

MOST_BODY: Final = 16 * 1024 * 1024
_LEAST_INT64, _MOST_INT64 = -(2**63), 2**63 - 1
_HINT: Final = "See the API docs for more information about request parameters."


class Kind(Enum):
    """The types that occur in the registry's requests."""

    TEXT = "a string"
    INTEGER = "an integer"
    FLAG = "a boolean"
    TEXTS = "a list of strings"
    TAGS = "a list of {key, value}"
    EVENT = "an event {entity, action}"
    EVENTS = "a list of events {entity, action}"


@dataclass(frozen=True)
class Field:
    """One field of a request, in ``snake_case``. A required text may not be empty."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = False
    # Raises Invalid for a value that could not be looked up at all.
    rule: Callable[[str], object] | None = None


class Values:
    """The fields of one request; absent ones are None (lists: empty)."""

    def __init__(self, found: Mapping[str, Json]) -> None:
        self._found = found

    def text(self, name: str) -> str:
        return str(self._found.get(name) or "")

    def optional(self, name: str) -> str | None:
        value = self._found.get(name)
        return None if value is None else str(value)

    def integer(self, name: str, default: int) -> int:
        value = self._found.get(name)
        return default if value is None else int(value)

    def flag(self, name: str) -> bool:
        return bool(self._found.get(name))

    def texts(self, name: str) -> list[str]:
        return list(self._found.get(name) or [])

    def events(self, name: str) -> list[str]:
        """Events of webhooks by their names."""
        return list(self._found.get(name) or [])

    def tags(self, name: str) -> dict[str, str]:
        """Tags as a mapping: of two with one key the last wins."""
        return dict(self._found.get(name) or {})


def read(request: HttpRequest, fields: Sequence[Field], path: Mapping[str, str] | None = None) -> Values:
    """The values of a request, and the parts of its path. Raises Invalid, naming the first field that is missing or of
    the wrong type. What takes no fields may come without a body.
    """
    given: dict[str, Json] = {}
    if fields:
        given = _query(request, fields) if request.method == "GET" else _body(request, fields)
    found: dict[str, Json] = dict(path or {})
    for field in fields:
        value = given.get(field.name)
        if value is not None:
            found[field.name] = _typed(field, value)
        if field.required and found.get(field.name) in (None, ""):
            raise Invalid(f"Missing value for required parameter '{field.name}'. {_HINT}", code="missing")
        if field.rule is not None:
            field.rule(str(found[field.name]))
    return Values(found)


def answer(body: Mapping[str, Json] | None = None) -> HttpResponse:
    """A success: always 200, because MLflow's client takes every other status for a failure."""
    return JsonResponse(dict(body or {}))


def no_such_endpoint(request: HttpRequest) -> HttpResponse:
    """For an unknown path or method. The code is what makes the client try another method."""
    message = f"{request.method} {request.path_info[:200]} is not an address of the model registry."
    return JsonResponse({"error_code": "ENDPOINT_NOT_FOUND", "message": message}, status=404)


def _query(request: HttpRequest, fields: Sequence[Field]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for field in fields:
        if field.name in request.GET:
            listed = request.GET.getlist(field.name)
            found[field.name] = listed if field.kind is Kind.TEXTS else listed[0]
    return found


def _body(request: HttpRequest, fields: Sequence[Field]) -> dict[str, Json]:
    if request.content_type != "application/json":
        raise Invalid("Bad Request. Content-Type must be one of ['application/json'].", code="bad_content_type")
    given = _parsed(_bytes(request))
    found: dict[str, Json] = {}
    for field in fields:
        camel = _camel(field.name)
        if camel != field.name and field.name in given and camel in given:
            raise Invalid(
                f"Request specifies both '{field.name}' and '{camel}'; provide only one of them.", code="given_twice"
            )
        found[field.name] = given.get(field.name) if given.get(field.name) is not None else given.get(camel)
    return found


def _bytes(request: HttpRequest) -> bytes:
    """The body, also one that was sent in chunks, of which Django by itself reads nothing."""
    if request.META.get("CONTENT_LENGTH") or not request.META.get("wsgi.input_terminated"):
        return request.body
    body: bytes = request.META["wsgi.input"].read(MOST_BODY + 1)
    if len(body) > MOST_BODY:
        raise TooLarge("The request is larger than this address accepts.")
    return body


def _parsed(body: bytes) -> dict[str, Json]:
    """The object in ``body``; empty for what does not parse, so that the answer names the first missing field."""
    try:
        found = json.loads(body, parse_constant=_refuse_constant)
        if isinstance(found, str):
            found = json.loads(found, parse_constant=_refuse_constant)  # old clients encode twice
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _typed(field: Field, value: Json) -> Json:
    converted = _CONVERTERS[field.kind](value, field.name)
    if converted is None:
        shown = json.dumps(value)[:60] if not isinstance(value, str) else value[:60]
        raise Invalid(
            f"Invalid value {shown} for parameter '{field.name}' supplied: it must be {field.kind.value}. {_HINT}",
            code="wrong_type",
        )
    return converted


def _text(value: Json, name: str) -> str | None:
    if not isinstance(value, str):
        return None
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise Invalid(f"'{name}' holds a character that is not text (NUL or half of a pair).", code="bad_text")
    return value


def _integer(value: Json, name: str) -> int | None:
    if isinstance(value, str) and value.lstrip("-").isascii() and value.lstrip("-").isdigit() and len(value) < 20:
        value = int(value) if value.count("-") <= 1 else None
    if isinstance(value, bool) or not isinstance(value, int) or not _LEAST_INT64 <= value <= _MOST_INT64:
        return None
    return value


def _flag(value: Json, name: str) -> bool | None:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return value if isinstance(value, bool) else None


def _texts(value: Json, name: str) -> list[str] | None:
    if not isinstance(value, list):
        return None
    found = [_text(entry, name) for entry in value]
    return None if None in found else [text for text in found if text is not None]


def _tags(value: Json, name: str) -> dict[str, str] | None:
    if not isinstance(value, list):
        return None
    found: dict[str, str] = {}
    for entry in value:
        key = _text(entry.get("key"), f"{name}.key") if isinstance(entry, dict) else None
        text = _text("" if entry.get("value") is None else entry["value"], f"{name}.value") if key else None
        if key is None or text is None:
            return None
        found[key] = text
    return found


def _event(value: Json, name: str) -> str | None:
    pair = (value.get("entity"), value.get("action")) if isinstance(value, dict) else (None, None)
    entity, action = pair
    if not isinstance(entity, str) or not isinstance(action, str):
        return None
    return mlflow_name(entity, action)


def _events(value: Json, name: str) -> list[str] | None:
    if not isinstance(value, list):
        return None
    found = [_event(entry, name) for entry in value]
    return None if None in found else [event for event in found if event is not None]


_CONVERTERS: Final = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.FLAG: _flag,
    Kind.TEXTS: _texts,
    Kind.TAGS: _tags,
    Kind.EVENT: _event,
    Kind.EVENTS: _events,
}
