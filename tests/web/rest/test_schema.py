"""The API document: whole, without a warning, and naming every address of the surface."""

from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

HOST = {"Host": "localhost"}
COMMITTED = Path(__file__).resolve().parents[3] / "docs/reference/openapi.yaml"


def test_the_document_is_valid_and_complete() -> None:
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    validate_schema(schema)
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache
    (rest,) = [entry for entry in get_resolver().url_patterns if str(entry.pattern) == "api/v1/"]
    patterns = [f"/api/v1/{entry.pattern}" for entry in rest.url_patterns]
    named = {each.replace("<str:", "{").replace("<path:", "{").replace(">", "}") for each in patterns}
    assert named - {"/api/v1/schema/"} == set(schema["paths"])


@pytest.mark.django_db
def test_anyone_can_read_the_document() -> None:
    answer = Client().get("/api/v1/schema/", headers=HOST)
    assert answer.status_code == 200
    assert b"openapi: 3" in answer.content


def test_the_committed_document_is_current(tmp_path: Path) -> None:
    call_command("spectacular", file=str(tmp_path / "openapi.yaml"))
    again = "run: .venv/bin/python manage.py spectacular --file docs/reference/openapi.yaml"
    assert COMMITTED.read_text(encoding="utf-8") == (tmp_path / "openapi.yaml").read_text(encoding="utf-8"), again
