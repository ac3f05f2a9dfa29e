"""Every search reads an index, at every depth: 20,000 versions of 5,000 models, filled in behind the application."""

import json
import os
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from access.roles import Role
from audit.actors import Actor
from registry.queries import search, wire
from tests import factories

FILL = """
INSERT INTO registry_registeredmodel (id, name, created_by, created_at, updated_at, last_number)
SELECT md5('model' || m)::uuid, 'model-' || lpad(m::text, 5, '0'), '', t, t, 4
FROM generate_series(0, 4999) m, LATERAL (SELECT timestamptz '2026-01-01' + m * interval '1 minute' AS t) at;

INSERT INTO registry_modelversion (id, model_id, number, source, storage_location, run_id, run_link, logged_model_id,
    stage, stage_open, status, status_message, created_by, created_at, updated_at, artifact_digest)
SELECT md5('version' || v)::uuid, md5('model' || v % 5000)::uuid, v / 5000 + 1, 's3://bucket/' || v,
    's3://bucket/' || v, md5('run' || v), '', '', 'None', false, 'READY', '', '', t, t, ''
FROM generate_series(0, 19999) v, LATERAL (SELECT timestamptz '2026-02-01' + v * interval '1 minute' AS t) at;

INSERT INTO registry_registeredmodel (id, name, created_by, created_at, updated_at, last_number)
VALUES (md5('big')::uuid, 'zz-big', '', '2026-01-01', '2026-01-01', 5000);
INSERT INTO registry_modelversion (id, model_id, number, source, storage_location, run_id, run_link, logged_model_id,
    stage, stage_open, status, status_message, created_by, created_at, updated_at, artifact_digest)
SELECT md5('big' || v)::uuid, md5('big')::uuid, v, 's3://big/' || v, '', md5('big run' || v), '', '',
    'None', false, 'READY', '', '', t, t, ''
FROM generate_series(1, 5000) v, LATERAL (SELECT timestamptz '2026-01-02' + v * interval '1 minute' AS t) at;

INSERT INTO registry_versiontag (version_id, key, value)
SELECT md5('version' || v)::uuid, tag.key, tag.value
FROM generate_series(0, 19999) v, LATERAL (
    VALUES ('rare', 'value-' || v / 10), ('common', (v % 3)::text), ('long', repeat('x', 3000))
) tag (key, value);
INSERT INTO registry_versiontag (version_id, key, value)
SELECT md5('version' || v)::uuid, 'mlflow.prompt.is_prompt', 'true' FROM generate_series(0, 19999, 40) v;
INSERT INTO registry_modeltag (model_id, key, value)
SELECT md5('model' || m)::uuid, 'rare', 'value-' || m FROM generate_series(0, 4999) m;
INSERT INTO registry_modeltag (model_id, key, value)
SELECT md5('model' || m)::uuid, 'mlflow.prompt.is_prompt', 'true' FROM generate_series(0, 4999, 40) m;
"""
ANALYZE = ("registeredmodel", "modelversion", "modeltag", "versiontag")
Search = Callable[[], Any]


@pytest.fixture
def by(fresh_database: str) -> Actor:
    owner = psycopg.conninfo.make_conninfo(os.environ["PLIMSOLL_TEST_ADMIN"], dbname=fresh_database)
    with psycopg.connect(owner, autocommit=True) as admin:
        admin.execute(FILL.encode())
        for table in ANALYZE:
            admin.execute(f"VACUUM ANALYZE registry_{table}".encode())
    return factories.actor(Role.VIEWER)


def plan(act: Search) -> dict[str, Any]:
    """The plan of the last SELECT that ``act`` asks, as it was carried out."""
    with CaptureQueriesContext(connection) as asked:
        act()
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + asked[-1]["sql"])
        found = cursor.fetchone()[0]
    return (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]


def whole(tables: set[str], node: dict[str, Any]) -> set[str]:
    """Which of ``tables`` are read from end to end anywhere in this plan."""
    here = {node["Relation Name"]} & tables if node["Node Type"] == "Seq Scan" else set()
    return here.union(*(whole(tables, below) for below in node.get("Plans", [])))


def indexes(node: dict[str, Any]) -> set[str]:
    here = {node["Index Name"]} if "Index Name" in node else set()
    return here.union(*(indexes(below) for below in node.get("Plans", [])))


def pages_read(node: dict[str, Any]) -> int:
    return int(node["Shared Hit Blocks"]) + int(node["Shared Read Blocks"])


def gone_past(node: dict[str, Any]) -> int:
    """How many rows were read only to be left out again."""
    here = int(node.get("Rows Removed by Filter", 0)) * int(node["Actual Loops"])
    return here + sum(gone_past(below) for below in node.get("Plans", []))


def versions(by: Actor, text: str = "", *order: str, token: str = "", most: int = 100) -> Search:
    return lambda: search.versions(by, filter_text=text, order_by=order, most=most, token=token)


def models(by: Actor, text: str = "", *order: str, token: str = "", most: int = 100) -> Search:
    return lambda: search.models(by, filter_text=text, order_by=order, most=most, token=token)


TABLES = {"registry_modelversion", "registry_versiontag", "registry_modeltag", "registry_registeredmodel"}
VERSIONS = [
    ("", (), {"registry_version_recent"}),
    ("", ("last_updated_timestamp",), {"registry_version_recent"}),
    ("", ("creation_timestamp DESC",), {"registry_version_newest"}),
    ("", ("version_number DESC",), {"registry_version_highest"}),
    ("name = 'zz-big'", (), {"registry_version_of_model"}),
    ("name = 'zz-big'", ("version_number",), {"registry_version_number_once"}),
    ("name = 'model-00042'", (), {"registry_version_of_model", "registry_version_latest"}),
    ("name LIKE 'model-0004%'", (), {"registry_registeredmodel_name"}),
    ("name IN ('model-00042', 'model-00043')", (), {"registry_registeredmodel_name"}),
    ("run_id = '" + "0" * 32 + "'", (), {"registry_version_run"}),
    ("run_id LIKE '0123%'", (), {"registry_version_run"}),
    ("source_path = 's3://bucket/77'", (), {"registry_version_source"}),
    ("source_path LIKE 's3://bucket/123%'", (), {"registry_version_source"}),
    ("tags.rare = 'value-77'", (), {"registry_versiontag_found"}),
    ("tags.nobody LIKE 'x%'", (), {"registry_versiontag_found"}),
    ("tags.common = '1'", (), {"registry_version_recent"}),
    ("tags.`mlflow.prompt.is_prompt` = 'true'", (), {"registry_prompt_versions", "registry_versiontag_found"}),
]
MODELS = [
    ("", (), {"registry_registeredmodel_name"}),
    ("", ("name DESC",), {"registry_registeredmodel_name"}),
    ("", ("timestamp DESC",), {"registry_model_recent"}),
    ("", ("last_updated_timestamp",), {"registry_model_recent"}),
    ("name = 'model-00042'", (), {"registry_registeredmodel_name"}),
    ("name LIKE 'model-0004%'", (), {"registry_registeredmodel_name"}),
    ("tags.rare = 'value-77'", (), {"registry_modeltag_found"}),
    ("tags.`mlflow.prompt.is_prompt` = 'true'", (), {"registry_prompt_models", "registry_modeltag_found"}),
]


def test_every_search_reads_an_index_and_a_deep_page_costs_what_the_first_costs(by: Actor) -> None:
    for make, cases in ((versions, VERSIONS), (models, MODELS)):
        for text, order, expected in cases:
            found = plan(make(by, text, *order))
            said = f"{make.__name__} {text!r} {order}"
            assert not whole(TABLES, found), said
            used = {re.sub(r"_[0-9a-f]{8}_(like|uniq)$|_key$", "", name) for name in indexes(found)}
            assert used & expected, f"{said} used {used}"
            assert pages_read(found) < 6_000, said
    # Not by number alone: all models have a version 1, and those are to come by name, so that many are sorted.
    for make, orders, deep in (
        (versions, [(), ("creation_timestamp DESC",), ("name",)], 12_000),
        (models, [(), ("timestamp DESC",)], 3_000),
    ):
        for order in orders:
            first = pages_read(plan(make(by, "", *order)))
            token = make(by, "", *order, most=deep)().next_token
            last = plan(make(by, "", *order, token=token))
            assert not whole(TABLES, last), order
            assert pages_read(last) <= 2 * first + 100, (make.__name__, order, first, pages_read(last))
            assert gone_past(last) <= 100, (make.__name__, order, gone_past(last))


def test_the_latest_of_many_models_are_looked_up_and_not_gone_through(by: Actor) -> None:
    rows = search.models(by, most=100).rows
    with CaptureQueriesContext(connection) as asked:
        records = wire.models(rows)
    assert [record.latest[0].row.number for record in records] == [4] * 100
    assert len(asked) <= 6
    for query in asked:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (FORMAT JSON) " + query["sql"])
            found = cursor.fetchone()[0]
        node = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        assert not whole({"registry_modelversion", "registry_versiontag"}, node), query["sql"]
