"""The bytes of a leaf: RFC 8785 canonical JSON, narrowed to a profile every JSON reader agrees on.

Only the writing side belongs here. Stored leaves are hashed as they are and never canonicalised again.
"""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 65_535  # an entry bundle of the C2SP tile format gives each entry's length in a uint16
MAX_INTEGER = 2**53 - 1  # the largest integer that JSON readers using doubles keep exact
MAX_DEPTH = 64  # keeps every reader's recursion far from its limit

# Inside the profile (ASCII keys, no floats, small integers, NFC text) the standard library's encoder writes what RFC
# 8785 asks for, in a sixth of the time of a canonicaliser; a property test holds the two against each other.
_write = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


class CanonicalError(ValueError):
    """The event breaks a rule of the leaf profile; the message is a sentence naming the place and the rule."""


def encode(event: Mapping[str, object]) -> bytes:
    """The canonical leaf bytes of `event`. They hold no raw newline, so one line of an export is one leaf."""
    if not isinstance(event, Mapping):
        raise CanonicalError(f"An event must be a mapping, not {type(event).__name__}.")
    leaf = _write(event if _fits(event, 1) else _plain_mapping(event, "", 1)).encode()
    if len(leaf) > MAX_BYTES:
        raise CanonicalError(
            f"The event is {len(leaf)} bytes long and at most {MAX_BYTES} are allowed: "
            "store the large part elsewhere and record its sha256 digest."
        )
    return leaf


def _fits(value: object, depth: int) -> bool:
    """Whether the value is in the profile and of the very types JSON has: the common case, told without a path."""
    if isinstance(value, str):
        return type(value) is str and (value.isascii() or _is_plain_text(value))
    if isinstance(value, dict):
        for key, item in value.items():
            if not (type(key) is str and key.isascii() and _fits(item, depth + 1)):
                return False
        return depth <= MAX_DEPTH
    if isinstance(value, list):
        return depth <= MAX_DEPTH and all(_fits(item, depth + 1) for item in value)
    return value is None or type(value) is bool or (type(value) is int and abs(value) <= MAX_INTEGER)


def _is_plain_text(value: str) -> bool:
    return unicodedata.is_normalized("NFC", value) and not any("\ud800" <= each <= "\udfff" for each in value)


# Any: JSON values, of many types.
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
