"""Leaf bytes: RFC 8785 inside the profile, a sentence outside it."""

import base64
import json
import struct
import unicodedata
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import jcs
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit import canonical

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "audit" / "jcs.json").read_text())


@pytest.mark.parametrize("case", VECTORS["vectors"], ids=lambda case: case["name"])
def test_the_canonicaliser_we_build_on_agrees_with_the_published_file(case: dict[str, Any]) -> None:
    value = json.loads(base64.b64decode(case["input_b64"]))
    assert rfc8785.dumps(value) == base64.b64decode(case["output_b64"])


def test_the_canonicaliser_we_build_on_writes_doubles_as_the_rfc_does() -> None:
    for bits, text in VECTORS["rfc8785_appendix_B_ieee754"]:
        assert rfc8785.dumps(struct.unpack(">d", bytes.fromhex(bits))[0]).decode() == text


def test_published_file_inside_the_profile() -> None:
    case = next(case for case in VECTORS["vectors"] if case["name"] == "arrays.json")
    value = json.loads(base64.b64decode(case["input_b64"]))
    assert canonical.encode({"a": value}) == b'{"a":' + base64.b64decode(case["output_b64"]) + b"}"


def test_an_event_has_exactly_these_bytes() -> None:
    event = {"v": 1, "object": {"type": "model", "n": 2, "id": "é\n\u2028"}, "_sd": ["b", "a"], "x": None, "b": True}
    expected = '{"_sd":["b","a"],"b":true,"object":{"id":"é\\n\u2028","n":2,"type":"model"},"v":1,"x":null}'
    assert canonical.encode(event) == expected.encode()


TEXT = st.text().map(lambda text: unicodedata.normalize("NFC", text))
KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_inside_the_profile_three_canonicalisers_agree_and_a_leaf_is_one_line(event: dict[str, Any]) -> None:
    leaf = canonical.encode(event)
    assert leaf == jcs.canonicalize(event) == rfc8785.dumps(event)
    assert json.loads(leaf) == event
    assert b"\n" not in leaf
    assert canonical.encode(json.loads(leaf)) == leaf


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


def test_enumerations_and_tuples_are_written_as_their_values() -> None:
    assert canonical.encode({"a": Colour.RED, "b": Level.HIGH, "c": (1, "x")}) == b'{"a":"red","b":3,"c":[1,"x"]}'


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ({"a": {"b": [0, 0.5]}}, "“a.b[1]” is a float: write it as a decimal string."),
        ({"a": float("nan")}, "“a” is a float: write it as a decimal string."),
        ({"a": 2**53}, "“a” is beyond ±(2^53−1): write it as a string."),
        ({"a": -(2**53)}, "“a” is beyond ±(2^53−1): write it as a string."),
        ({"a": {"é": 1}}, "“a” has the key 'é': keys must be ASCII text."),
        ({"a": {1: 1}}, "“a” has the key 1: keys must be ASCII text."),
        ({"é": 1}, "The event has the key 'é': keys must be ASCII text."),
        ({"a": "e\u0301"}, "“a” is not in Unicode normal form C: normalise it first."),
        ({"a": "\ud800"}, "“a” holds a lone surrogate, which is not text."),
        ({"a": b"x"}, "“a” is a bytes, which JSON cannot hold."),
        ({"a": {1, 2}}, "“a” is a set, which JSON cannot hold."),
        (["a"], "An event must be a mapping, not list."),
        (nested(65), f"“{'.'.join('a' * 64)}” is nested deeper than 64 levels."),
        ({"a": "x" * 65_528}, "The event is 65536 bytes long and at most 65535 are allowed"),
    ],
)
def test_a_broken_rule_is_named(event: Any, sentence: str) -> None:
    with pytest.raises(canonical.CanonicalError) as caught:
        canonical.encode(event)
    assert str(caught.value).startswith(sentence)


def test_the_limits_themselves_are_allowed() -> None:
    assert len(canonical.encode({"a": "x" * 65_527})) == 65_535
    assert canonical.encode({"a": 2**53 - 1, "b": -(2**53) + 1}) == b'{"a":9007199254740991,"b":-9007199254740991}'
    assert canonical.encode(nested(64)) == b'{"a":' * 63 + b"{}" + b"}" * 63
