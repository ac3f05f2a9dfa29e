"""Normalising, the keyed digest and the sealed box."""

import pytest

from erasure.engine.errors import EngineError
from erasure.engine.identifiers import (
    IdentifierType,
    identifier_type,
    keyed_digest,
    new_key,
    normalise,
    normalise_all,
    seal,
    unseal,
)

KEY = bytes(range(32))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (IdentifierType.EMAIL, "  Anna@Example.ORG\t", "anna@example.org"),
        (IdentifierType.EMAIL, "stra\u00dfe@x.de", "strasse@x.de"),
        (IdentifierType.EMAIL, "jose\u0301@x.es", "jos\u00e9@x.es"),
        (IdentifierType.CUSTOMER_ID, " A7 ", "A7"),
        (IdentifierType.ROW_ID, "17", "17"),
        (IdentifierType.STRING, " A7 ", " A7 "),
    ],
)
def test_each_type_has_its_own_rule(kind: IdentifierType, value: str, expected: str) -> None:
    assert normalise(kind, value) == expected


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (IdentifierType.EMAIL, "secret-person", "identifier_not_mail"),
        (IdentifierType.EMAIL, "secret@", "identifier_not_mail"),
        (IdentifierType.ROW_ID, "   ", "identifier_empty"),
        (IdentifierType.STRING, "", "identifier_empty"),
        (IdentifierType.ROW_ID, "secret\x00", "identifier_not_printable"),
        (IdentifierType.ROW_ID, "secret\ud800", "identifier_not_printable"),
        (IdentifierType.CUSTOMER_ID, "secret" * 200, "identifier_too_long"),
        (IdentifierType.ROW_ID, None, "identifier_not_text"),
        (IdentifierType.ROW_ID, 17, "identifier_not_text"),
    ],
)
def test_a_refusal_never_repeats_the_value(kind: IdentifierType, value: object, code: str) -> None:
    with pytest.raises(EngineError) as caught:
        normalise(kind, value)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


def test_a_list_with_null_an_empty_list_and_a_bare_text_are_refused() -> None:
    for wrong in (["a", None], [], "abc"):
        with pytest.raises(EngineError):
            normalise_all(IdentifierType.ROW_ID, wrong)  # type: ignore[arg-type]
    assert normalise_all(IdentifierType.ROW_ID, ["b", "a", " b"]) == ("a", "b")


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    assert identifier_type("email") is IdentifierType.EMAIL
    with pytest.raises(EngineError, match="email, customer_id, row_id, string"):
        identifier_type("shoe_size")


def test_the_digest_is_the_hmac_computed_elsewhere() -> None:
    # printf 'email\0anna@example.org' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f
    expected = "fe26b0d8704411b6641bc286cae9e2a6a86e06d28b07f3b874e0984f539c2032"
    assert keyed_digest(KEY, IdentifierType.EMAIL, " Anna@example.org ") == expected


def test_the_digest_depends_on_key_type_and_value() -> None:
    digests = {
        keyed_digest(key, kind, value)
        for key in (KEY, bytes(32))
        for kind in (IdentifierType.ROW_ID, IdentifierType.CUSTOMER_ID)
        for value in ("17", "18")
    }
    assert len(digests) == 8


def test_a_box_opens_with_its_key_and_context_only() -> None:
    key = new_key()
    box = seal(key, "anna@example.org", context="request-1")
    assert b"anna" not in box
    assert box != seal(key, "anna@example.org", context="request-1")
    assert unseal(key, box, context="request-1") == "anna@example.org"
    for wrong_key, wrong_box, context in (
        (new_key(), box, "request-1"),
        (key, box, "request-2"),
        (key, box[:-1] + bytes([box[-1] ^ 1]), "request-1"),
        (key, b"\x02" + box[1:], "request-1"),
        (key, b"", "request-1"),
    ):
        with pytest.raises(EngineError):
            unseal(wrong_key, wrong_box, context=context)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(EngineError, match="32 bytes"):
        keyed_digest(b"short", IdentifierType.ROW_ID, "17")
