"""Reading requests: spellings, types, encodings and sizes that clients send, and those they should not."""

import io
import json

import pytest
from django.test import RequestFactory

from audit.errors import Invalid
from web.mlflow import codec
from web.mlflow.codec import Field, Kind

FIELDS = (
    Field("name", required=True),
    Field("max_results", Kind.INTEGER),
    Field("archive_existing_versions", Kind.FLAG),
    Field("order_by", Kind.TEXTS),
    Field("tags", Kind.TAGS),
)


def read(
    body: object, *, raw: bytes | None = None, kind: str = "application/json", method: str = "POST"
) -> codec.Values:
    sent = raw if raw is not None else json.dumps(body).encode()
    return codec.read(RequestFactory().generic(method, "/", sent, content_type=kind), FIELDS)


def test_both_spellings_of_a_field_are_read() -> None:
    assert read({"name": "a", "maxResults": 3, "archiveExistingVersions": True}).integer("max_results", 9) == 3
    given = read({"name": "a", "max_results": 4, "archive_existing_versions": False, "unknown": 1})
    assert (given.integer("max_results", 9), given.flag("archive_existing_versions")) == (4, False)


def test_a_field_given_in_both_spellings_is_refused() -> None:
    for value in (3, None):
        with pytest.raises(Invalid, match="Request specifies both 'max_results' and 'maxResults'; provide only one"):
            read({"name": "a", "max_results": value, "maxResults": 3})


def test_delete_and_patch_carry_a_body() -> None:
    for method in ("DELETE", "PATCH", "POST"):
        assert read({"name": "a"}, method=method).text("name") == "a"


def test_json_inside_a_json_string_is_read() -> None:
    assert read(json.dumps({"name": "twice"})).text("name") == "twice"


def test_numbers_may_come_as_text_and_absent_ones_take_the_default() -> None:
    assert read({"name": "a", "max_results": "12"}).integer("max_results", 9) == 12
    assert read({"name": "a", "max_results": None}).integer("max_results", 9) == 9


def test_of_two_tags_with_one_key_the_last_wins() -> None:
    given = read({"name": "a", "tags": [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}, {"key": "e"}]})
    assert given.tags("tags") == {"k": "2", "e": ""}


def test_a_query_string_repeats_lists_and_is_read_in_snake_case_only() -> None:
    request = RequestFactory().get("/?name=a&order_by=x&order_by=y&maxResults=3&archive_existing_versions=TRUE")
    given = codec.read(request, FIELDS)
    assert given.texts("order_by") == ["x", "y"]
    assert given.integer("max_results", 9) == 9
    assert given.flag("archive_existing_versions") is True


def test_a_chunked_body_is_read() -> None:
    factory = RequestFactory()
    request = factory.generic("POST", "/", b"-", content_type="application/json")
    del request.META["CONTENT_LENGTH"]
    request.META["wsgi.input"] = io.BytesIO(b'{"name": "chunks"}')
    request.META["wsgi.input_terminated"] = True
    assert codec.read(request, FIELDS).text("name") == "chunks"


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_another_content_type_is_refused(kind: str) -> None:
    with pytest.raises(Invalid, match="Content-Type must be one of"):
        read({"name": "a"}, kind=kind)


@pytest.mark.parametrize(
    "raw",
    [
        b" ",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b'{"name": NaN}',
        b"[" * 100_000,
        b'"{"',
        b'{"name": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_does_not_parse_counts_as_empty(raw: bytes) -> None:
    with pytest.raises(Invalid, match="Missing value for required parameter 'name'"):
        read(None, raw=raw)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 7),
        ("name", ["a"]),
        ("name", {}),
        ("name", True),
        ("name", "nul\x00"),
        ("name", "half \ud800 pair"),
        ("max_results", "many"),
        ("max_results", "--5"),
        ("max_results", "५"),
        ("max_results", 1.5),
        ("max_results", True),
        ("max_results", 2**63),
        ("archive_existing_versions", 1),
        ("archive_existing_versions", "maybe"),
        ("order_by", "name"),
        ("order_by", [1]),
        ("order_by", ["\x00"]),
        ("tags", {"key": "a"}),
        ("tags", ["a"]),
        ("tags", [{"value": "keyless"}]),
        ("tags", [{"key": 1}]),
        ("tags", [{"key": "k", "value": 5}]),
        ("tags", [{"key": "k", "value": "\x00"}]),
    ],
)
def test_a_wrong_type_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(Invalid, match=field):
        read({"name": "a"} | {field: value})


@pytest.mark.parametrize("value", ["", None])
def test_a_required_field_may_not_be_empty(value: object) -> None:
    with pytest.raises(Invalid, match="Missing value for required parameter 'name'. See the API docs"):
        read({"name": value})
