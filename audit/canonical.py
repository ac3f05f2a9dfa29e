"""The bytes of a leaf: RFC 8785 canonical JSON, narrowed to a profile every JSON reader agrees on.

Only the writing side belongs here. Stored leaves are hashed as they are and never canonicalised again.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any

import rfc8785

MAX_BYTES = 65_535  # an entry bundle of the C2SP tile format gives each entry's length in a uint16
MAX_INTEGER = 2**53 - 1  # the largest integer that JSON readers using doubles keep exact
MAX_DEPTH = 64  # keeps every reader's recursion far from its limit


class CanonicalError(ValueError):
    """The event breaks a rule of the leaf profile; the message is a sentence naming the place and the rule."""


def encode(event: Mapping[str, object]) -> bytes:
    """The canonical leaf bytes of `event`. They hold no raw newline, so one line of an export is one leaf."""
    if not isinstance(event, Mapping):
        raise CanonicalError(f"An event must be a mapping, not {type(event).__name__}.")
    leaf = rfc8785.dumps(_plain_mapping(event, "", 1))
    if len(leaf) > MAX_BYTES:
        raise CanonicalError(
            f"The event is {len(leaf)} bytes long and at most {MAX_BYTES} are allowed: "
            "store the large part elsewhere and record its sha256 digest."
        )
    return leaf


# Any: rfc8785 publishes no name for the values its dumps takes.
def _plain(value: object, path: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _plain_integer(value, path)
    if isinstance(value, str):
        return _plain_text(value, path)
    if isinstance(value, float):
        raise CanonicalError(f"{_place(path)} is a float: write it as a decimal string.")
    if depth >= MAX_DEPTH:
        raise CanonicalError(f"{_place(path)} is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, Mapping):
        return _plain_mapping(value, path, depth + 1)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{number}]", depth + 1) for number, item in enumerate(value)]
    raise CanonicalError(f"{_place(path)} is a {type(value).__name__}, which JSON cannot hold.")


def _plain_mapping(value: Mapping[str, object], path: str, depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str) or not key.isascii():
            raise CanonicalError(f"{_place(path)} has the key {key!r}: keys must be ASCII text.")
        plain[str(key)] = _plain(item, f"{path}.{key}" if path else key, depth)
    return plain


def _plain_integer(value: int, path: str) -> int:
    if abs(value) > MAX_INTEGER:
        raise CanonicalError(f"{_place(path)} is beyond ±(2^53−1): write it as a string.")
    return int(value)


def _plain_text(value: str, path: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise CanonicalError(f"{_place(path)} holds a lone surrogate, which is not text.")
    if not unicodedata.is_normalized("NFC", value):
        raise CanonicalError(f"{_place(path)} is not in Unicode normal form C: normalise it first.")
    return value


def _place(path: str) -> str:
    return f"“{path}”" if path else "The event"
