"""Reading JSON so that everybody who reads it reads the same: no second value for a key, no NaN, no half characters.

What a body may say is for the serializers; here is only whether it can be read at all, and a sentence when it cannot.
"""

import json
from collections.abc import Mapping
from typing import IO, Any, Final

from django.conf import settings
from rest_framework.parsers import BaseParser

from audit.errors import Invalid, TooLarge

# Deeper than any body we know; far from where a reader's recursion ends.
MOST_DEPTH: Final = 32
# JSON as it was sent; the serializers check it field by field.
Json = Any


class StrictJSONParser(BaseParser):
    """``application/json`` in UTF-8, of a size that fits into memory many times."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Json:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(most + 1)
        if len(raw) > most:
            raise TooLarge(f"The body is larger than the {most:,} bytes that this address accepts.")
        return read(raw)


def read(raw: bytes | str) -> Json:
    """The value in ``raw``. Raises Invalid with a sentence that says what is wrong with it."""
    try:
        text = raw if isinstance(raw, str) else raw.decode()
    except UnicodeDecodeError:
        raise _unreadable("The body is not valid UTF-8.") from None
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise _unreadable(f"The body is not JSON: the fault is at character {error.pos + 1:,}.") from None
    except ValueError:
        raise _unreadable("The body holds a number with too many digits.") from None
    except RecursionError:
        raise _too_deep() from None
    _check(found)
    return found


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid(f"The field {twice[:60]!r} is there twice: say once what is meant.", code="field_twice")
    return found


def _no_constant(name: str) -> Json:
    raise _unreadable(f"{name} is no JSON.")


def _check(value: Json) -> None:
    """Refuse what is nested too deeply, and text that cannot be written as UTF-8, wherever it stands."""
    waiting: list[tuple[Json, int]] = [(value, 0)]
    while waiting:
        found, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise _too_deep()
        if isinstance(found, str):
            if any("\ud800" <= letter <= "\udfff" for letter in found):
                raise Invalid("The text holds half of a surrogate pair, which is no character.")
        elif isinstance(found, dict):
            waiting += [(entry, depth + 1) for pair in found.items() for entry in pair]
        elif isinstance(found, list):
            waiting += [(entry, depth + 1) for entry in found]


def _too_deep() -> Invalid:
    return _unreadable(f"The body is nested more than {MOST_DEPTH} levels deep.")


def _unreadable(sentence: str) -> Invalid:
    return Invalid(sentence, code="parse_error")
