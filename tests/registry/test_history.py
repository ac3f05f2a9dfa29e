"""The history of stages and aliases: written with every change, whoever makes it, and never rewritten."""

import importlib
import json
import os
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import Error, connection

from access.roles import Role
from audit import clock, door
from audit.actors import Actor
from audit.events import Action
from registry.actions import aliases, models, versions
from registry.models import Alias, ModelVersion, RegisteredModel, Tenure
from tests import factories

PROMPT = {"mlflow.prompt.is_prompt": "true"}


@pytest.fixture
def by(db: None) -> Actor:
    return factories.actor(Role.DATA_SCIENTIST)


@pytest.fixture
def model(by: Actor) -> RegisteredModel:
    return models.create(by=by, name="churn")


def version_of(by: Actor, model: RegisteredModel) -> ModelVersion:
    return versions.create(by=by, model=model, source="dummy-source", tags=PROMPT)


def told(model: RegisteredModel) -> list[tuple[str, str, int, bool]]:
    """What the history says, oldest first: kind, name, version, whether it lasts."""
    rows = Tenure.objects.filter(model=model).order_by("id").select_related("version")
    return [(row.kind, row.name, row.version.number, row.period.upper is None) for row in rows]


def test_a_stage_lasts_from_one_move_to_the_next(by: Actor, model: RegisteredModel) -> None:
    version = version_of(by, model)
    assert told(model) == []
    before = clock.now()
    versions.transition(by=by, version=version, stage="Staging", archive_existing=False)
    between = clock.now()
    versions.transition(by=by, version=version, stage="Archived", archive_existing=False)
    assert told(model) == [("stage", "Staging", 1, False), ("stage", "Archived", 1, True)]
    first, second = Tenure.objects.order_by("id")
    assert before <= first.period.lower <= between <= first.period.upper == second.period.lower
    assert (first.by, first.action, first.ended_by, first.ended_action) == (
        by.account, "model_version.transition_stage", by.account, "model_version.transition_stage",
    )  # fmt: skip
    assert (second.ended_by, second.ended_action, second.sole) == ("", "", False)


def test_an_alias_names_one_version_at_a_time(by: Actor, model: RegisteredModel) -> None:
    one, two, other = (version_of(by, model), version_of(by, model), factories.actor(Role.DATA_SCIENTIST))
    aliases.set_alias(by=by, model=model, alias="blue", version=one)
    aliases.set_alias(by=by, model=model, alias="blue", version=one)
    aliases.set_alias(by=other, model=model, alias="blue", version=two)
    aliases.delete_alias(by=by, model=model, alias="blue")
    assert told(model) == [("alias", "blue", 1, False), ("alias", "blue", 2, False)]
    first, second = Tenure.objects.order_by("id")
    assert [first.by, first.ended_by, second.by, second.ended_by] == [
        by.account, other.account, other.account, by.account,
    ]  # fmt: skip
    assert second.ended_action == "alias.delete"


def test_deleting_ends_what_a_version_holds_and_keeps_that_it_did(by: Actor, model: RegisteredModel) -> None:
    version = version_of(by, model)
    aliases.set_alias(by=by, model=model, alias="blue", version=version)
    versions.transition(by=by, version=version, stage="Staging", archive_existing=False)
    versions.delete(by=by, version=version)
    assert told(model) == [("alias", "blue", 1, False), ("stage", "Staging", 1, False)]
    assert {row.ended_action for row in Tenure.objects.all()} == {"model_version.delete"}
    assert {row.ended_by for row in Tenure.objects.all()} == {by.account}


def test_history_outlives_its_model(by: Actor, model: RegisteredModel) -> None:
    version = version_of(by, model)
    aliases.set_alias(by=by, model=model, alias="blue", version=version)
    gone = model.pk
    models.delete(by=by, model=model)
    row = Tenure.objects.get(model_id=gone)
    assert (row.name, row.version_id, row.ended_action) == ("blue", version.pk, "registered_model.delete")
    assert row.period.upper is not None


def test_sql_that_moves_a_stage_is_in_the_history_too(by: Actor, model: RegisteredModel) -> None:
    version = version_of(by, model)
    with door.open(by, Action.VERSION_UPDATE, on=version) as entry:
        ModelVersion.objects.filter(pk=version.pk).update(stage="Production")
        entry.record()
    row = Tenure.objects.get(version=version)
    assert (row.name, row.sole, row.by, row.action) == ("Production", True, "", "")


_ROW = """
INSERT INTO registry_tenure
    (kind, name, model_id, version_id, period, sole, by, action, ended_by, ended_action)
VALUES (%s, %s, %s, %s, tstzrange(%s, %s), %s, '', '', '', '')
"""
_NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
_EARLY = _NOON + timedelta(minutes=59)
_ONE, _TWO, _MODEL, _OTHER = (uuid.UUID(int=number) for number in (1, 2, 3, 4))


@pytest.mark.parametrize(
    ("second", "refused"),
    [
        (
            ("stage", "Production", _MODEL, _TWO, _NOON + timedelta(minutes=59), None, True),
            "registry_tenure_one_holder",
        ),
        (("stage", "Production", _MODEL, _TWO, _NOON + timedelta(minutes=60), None, True), None),
        (("stage", "Production", _MODEL, _TWO, _NOON, None, False), None),
        (("stage", "Production", _OTHER, _TWO, _NOON, None, True), None),
        (("stage", "Staging", _MODEL, _ONE, _NOON, None, False), "registry_tenure_one_stage"),
        (("alias", "Production", _MODEL, _TWO, _NOON, None, True), None),
        (("stage", "Production", _MODEL, _TWO, _NOON, _NOON, True), "registry_tenure_period"),
    ],
)
def test_the_database_lets_one_version_hold_a_protected_stage_at_a_time(
    fresh_database: str, second: tuple[Any, ...], refused: str | None
) -> None:
    """The rows are the superuser's, with every trigger off: what refuses is the constraint."""
    with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], dbname=fresh_database, autocommit=True) as admin:
        admin.execute("SET session_replication_role = replica")
        first = ("stage", "Production", _MODEL, _ONE, _NOON, _NOON + timedelta(hours=1), True)
        admin.execute(_ROW, first)
        if refused is None:
            admin.execute(_ROW, second)
        else:
            with pytest.raises(psycopg.errors.IntegrityError, match=refused):
                admin.execute(_ROW, second)


_INSERT = """
INSERT INTO registry_tenure (kind, name, model_id, version_id, period, sole, by, action, ended_by, ended_action)
SELECT 'alias', '{}', model_id, version_id, tstzrange('2020-01-01Z', {}), true, '', '', '', ''
FROM registry_tenure LIMIT 1
"""
_OPEN, _CLOSED = "WHERE upper_inf(period)", "WHERE NOT upper_inf(period)"


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM registry_tenure",
        "UPDATE registry_tenure SET by = 'somebody'",
        f"UPDATE registry_tenure SET period = tstzrange(lower(period) - interval '1 day', NULL) {_OPEN}",
        f"UPDATE registry_tenure SET period = tstzrange(lower(period), now() + interval '1 day') {_OPEN}",
        f"UPDATE registry_tenure SET period = tstzrange(lower(period), NULL) {_CLOSED}",
        f"UPDATE registry_tenure SET period = tstzrange(lower(period), now() + interval '1 day') {_CLOSED}",
        _INSERT.format("red", "NULL"),
        _INSERT.format("blue", "'2020-01-02Z'"),
    ],
)
def test_the_service_itself_cannot_rewrite_history(by: Actor, model: RegisteredModel, sql: str) -> None:
    one, two = version_of(by, model), version_of(by, model)
    for version in (one, two):
        aliases.set_alias(by=by, model=model, alias="blue", version=version)
    before = list(Tenure.objects.order_by("id").values())
    with (
        pytest.raises(Error, match="history of stages and aliases is not changed"),
        door.open(by, Action.VERSION_UPDATE, on=one),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
    assert list(Tenure.objects.order_by("id").values()) == before
    assert len(before) == 2


def test_a_moment_that_is_made_up_does_not_count(by: Actor, model: RegisteredModel) -> None:
    version = version_of(by, model)
    with door.open(by, Action.ALIAS_SET, on=model) as entry:
        with connection.cursor() as cursor:
            said = json.dumps({"by": "somebody", "at": "2020-01-01T00:00:00Z"})
            cursor.execute("SELECT set_config('plimsoll.cause', %s, true)", [said])
        Alias.objects.create(model=model, name="blue", version=version)
        entry.record()
    row = Tenure.objects.get(name="blue")
    assert row.by == "somebody"
    assert abs(row.period.lower - clock.now()) < timedelta(minutes=1)


def test_what_was_recorded_before_is_carried_over(fresh_database: str) -> None:
    """Stage changes become ranges; a champion begins with its stage, another alias when the migration ran."""
    carry_over = importlib.import_module("registry.migrations.0006_history").CARRY_OVER
    by = factories.actor(Role.DATA_SCIENTIST)
    model = models.create(by=by, name="churn")
    one, two = version_of(by, model), version_of(by, model)
    with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], dbname=fresh_database) as admin:
        admin.execute("SET session_replication_role = replica")
        moves = [(one, "None", "Production", 0), (one, "Production", "Archived", 2), (two, "None", "Production", 2)]
        for version, before, after, hours in moves:
            admin.execute(
                "INSERT INTO registry_stagechange (version_id, from_stage, to_stage, at, by)"
                " VALUES (%s, %s, %s, %s, %s)",
                (version.pk, before, after, _NOON + timedelta(hours=hours), by.account),
            )
            admin.execute("UPDATE registry_modelversion SET stage = %s WHERE id = %s", (after, version.pk))
        for name, version in (("champion", two), ("blue", one)):
            row = "INSERT INTO registry_alias (model_id, name, version_id) VALUES (%s, %s, %s)"
            admin.execute(row, (model.pk, name, version.pk))
        admin.execute(carry_over)
    later = _NOON + timedelta(hours=2)
    rows = Tenure.objects.filter(model=model).order_by("kind", "period")
    assert [(row.name, row.version_id, row.period.lower, row.period.upper, row.sole) for row in rows] == [
        ("champion", two.pk, later, None, True),
        ("blue", one.pk, rows[1].period.lower, None, True),
        ("Production", one.pk, _NOON, later, True),
        ("Archived", one.pk, later, None, False),
        ("Production", two.pk, later, None, True),
    ]
    assert rows[1].period.lower > later
    assert {row.by for row in rows} == {by.account, ""}
