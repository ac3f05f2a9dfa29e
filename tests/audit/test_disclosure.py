"""Disclosures against the worked example of RFC 9901 §4.2."""

import base64
import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import disclosure

# RFC 9901 §4.2.1 and §4.2.3
RFC_DISCLOSURE = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
RFC_DIGEST = "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_the_example_of_the_rfc() -> None:
    assert disclosure.digest(RFC_DISCLOSURE) == RFC_DIGEST
    assert disclosure.open_disclosure(RFC_DISCLOSURE) == ("_26bc4LT-ac6q2KI6cBW5es", "family_name", "Möbius")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text().filter(lambda name: name not in {"_sd", "..."}), VALUES)
def test_what_was_disclosed_can_be_opened(name: str, value: Any) -> None:
    text, digest = disclosure.disclose(name, value)
    salt, opened_name, opened = disclosure.open_disclosure(text)
    assert (opened_name, opened) == (name, value)
    assert len(base64.urlsafe_b64decode(salt + "=")) == 32
    assert digest == base64.urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
    assert "=" not in text + digest


def test_the_same_value_never_gives_the_same_digest() -> None:
    digests = {disclosure.disclose("email", "a@example.org")[1] for _ in range(50)}
    assert len(digests) == 50


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ä",
        RFC_DISCLOSURE + "=",
        RFC_DISCLOSURE + "\n",
        RFC_DISCLOSURE[:-2],
        "A",
        encoded({"salt": 1}),
        encoded(["salt", "value of an array element"]),
        encoded([1, "name", "value"]),
        encoded(["salt", 2, "value"]),
        encoded(["salt", "name", "value", "more"]),
        encoded(["salt", "_sd", "value"]),
        base64.urlsafe_b64encode(b"[" * 100_000).decode().rstrip("="),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(disclosure.DisclosureError):
        disclosure.open_disclosure(text)


@pytest.mark.parametrize(
    ("name", "value"), [("_sd", 1), ("...", 1), ("a", float("nan")), ("a", b"x"), ("a", "\ud800"), ("a", {1, 2})]
)
def test_what_cannot_be_disclosed_is_refused(name: str, value: object) -> None:
    with pytest.raises(disclosure.DisclosureError):
        disclosure.disclose(name, value)


def test_a_digest_is_of_ascii_text() -> None:
    with pytest.raises(disclosure.DisclosureError):
        disclosure.digest("é")
