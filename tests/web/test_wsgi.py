"""What reaches Django: a body's charset can not break a request before any of our code runs."""

import io
import json
from typing import Any

import pytest

from web.wsgi import application

pytestmark = pytest.mark.django_db


def answer_to(charset: str, kind: str = "application/json") -> tuple[str, bytes]:
    seen: list[str] = []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/v1/tokens/",
        "QUERY_STRING": "a=%62",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "CONTENT_TYPE": f"{kind}; charset={charset}",
        "CONTENT_LENGTH": "1",
        "wsgi.input": io.BytesIO(b"x"),
        "wsgi.url_scheme": "http",
    }
    body = b"".join(application(environ, lambda status, headers, *rest: seen.append(status)))
    return seen[0], body


@pytest.mark.parametrize("charset", ["rot13", "zlib_codec", "hex", "base64", "no-such-codec", "utf-16", "latin-1"])
def test_a_charset_that_is_not_utf8_is_refused_in_our_words(charset: str) -> None:
    status, body = answer_to(charset)
    assert status.startswith("400")
    assert json.loads(body)["error"]["sentence"] == "Text is read as UTF-8 here: send it in that encoding."


@pytest.mark.parametrize("charset", ["rot13", "zlib_codec", "no-such-codec"])
def test_on_a_body_nobody_reads_it_changes_nothing(charset: str) -> None:
    assert answer_to(charset, "text/plain")[0].startswith("4")


def test_utf8_goes_through() -> None:
    assert answer_to("utf-8")[0].startswith("401")
