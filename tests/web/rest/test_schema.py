"""The API document: whole, without a warning, and naming every address of the surface."""

import pytest
from django.test import Client
from django.urls import get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

HOST = {"Host": "localhost"}


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
