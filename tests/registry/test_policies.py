"""What the shipped policies freeze, and what an installation that protects nothing leaves to everyone."""

import pytest
from django.db import DatabaseError

from access.roles import Role
from audit import door
from audit.actors import Actor
from audit.errors import Denied, DomainError, Invalid
from audit.events import Action
from registry import protection
from registry.actions import aliases, models, promotion, stages, tags, versions
from registry.models import ModelVersion, RegisteredModel
from registry.states import OPEN_TAGS, Stage
from tests import factories

PROMPT = {"mlflow.prompt.is_prompt": "true"}
ADDRESS = "http://127.0.0.1:8000/models/churn/versions/1/promote/"


@pytest.fixture
def by(db: None) -> Actor:
    return factories.actor(Role.DATA_SCIENTIST)


@pytest.fixture
def model(by: Actor) -> RegisteredModel:
    return models.create(by=by, name="churn")


def add(by: Actor, model: RegisteredModel) -> ModelVersion:
    return versions.create(by=by, model=model, source="dummy-source", tags=PROMPT)


def into(by: Actor, version: ModelVersion, stage: Stage) -> None:
    with door.open(by, Action.VERSION_STAGE, on=version) as entry:
        stages.move(entry.locked, stage, by=by)
        entry.record()


def refusal(act: object) -> str:
    with pytest.raises(DomainError) as caught:
        act()  # type: ignore[operator]
    return caught.value.code


@pytest.mark.parametrize("then", [Stage.PRODUCTION, Stage.ARCHIVED])
def test_what_is_or_was_in_production_is_frozen_and_says_why(by: Actor, model: RegisteredModel, then: Stage) -> None:
    version = add(by, model)
    into(by, version, Stage.PRODUCTION)
    into(by, version, then)
    before = ModelVersion.objects.values().get()
    for act, what in (
        (lambda: versions.update(by=by, version=version, description="x"), "its description cannot change"),
        (lambda: versions.delete(by=by, version=version), "it cannot be deleted"),
        (lambda: tags.set_version_tag(by=by, version=version, key="team", value="x"), "its tag team cannot change"),
        (lambda: tags.delete_version_tag(by=by, version=version, key="team"), "its tag team cannot change"),
    ):
        with pytest.raises(Denied) as caught:
            act()
        assert caught.value.code == "frozen"
        assert caught.value.sentence.startswith(f"churn v1 is or was in Production and is frozen: {what}")
        assert caught.value.sentence.endswith(f"{ADDRESS} .")
    for act in (
        lambda: models.rename(by=by, model=model, new_name="other"),
        lambda: models.delete(by=by, model=model),
    ):
        assert refusal(act) == "protected_stage"
    assert ModelVersion.objects.values().get() == before


@pytest.mark.parametrize(
    ("key", "stays_open"),
    [
        ("ops.owner", True),
        ("deployment", True),
        ("deployment.url", True),
        ("monitoring.drift", True),
        ("ticket", True),
        ("ops", False),
        ("Ops.owner", False),
        ("team", False),
        ("x.ops.y", False),
        ("tickets", False),
    ],
)
def test_tags_that_say_how_a_version_is_run_stay_open(
    by: Actor, model: RegisteredModel, key: str, stays_open: bool
) -> None:
    version = add(by, model)
    into(by, version, Stage.PRODUCTION)
    for act in (
        lambda: tags.set_version_tag(by=by, version=version, key=key, value="x"),
        lambda: tags.delete_version_tag(by=by, version=version, key=key),
    ):
        if stays_open:
            act()
        else:
            with pytest.raises(Denied, match=r"tags that can: " + ", ".join(OPEN_TAGS).replace(".", r"\.")[:10]):
                act()


def test_another_version_of_the_same_model_is_not_frozen(by: Actor, model: RegisteredModel) -> None:
    into(by, add(by, model), Stage.PRODUCTION)
    second = add(by, model)
    versions.update(by=by, version=second, description="x")
    tags.set_version_tag(by=by, version=second, key="team", value="x")
    versions.delete(by=by, version=second)


def test_the_database_insists_on_one_in_production_whoever_forgets(by: Actor, model: RegisteredModel) -> None:
    first, second = add(by, model), add(by, model)
    into(by, first, Stage.PRODUCTION)
    with pytest.raises(DatabaseError, match="registry_version_one_in_production"):
        into(by, second, Stage.PRODUCTION)
    with pytest.raises(DatabaseError, match="registry_version_open_stage"):
        sly(by, second)


def sly(by: Actor, version: ModelVersion) -> None:
    with door.open(by, Action.VERSION_STAGE, on=version) as entry:
        ModelVersion.objects.filter(pk=version.pk).update(stage="Staging", stage_open=True)
        entry.record()


def test_where_nothing_is_protected_several_share_production(by: Actor, model: RegisteredModel, settings) -> None:  # type: ignore[no-untyped-def]
    settings.PLIMSOLL_POLICIES = "open"
    first, second, third = add(by, model), add(by, model), add(by, model)
    for version in (first, second):
        versions.transition(by=by, version=version, stage="Production", archive_existing=False)
    aliases.set_alias(by=by, model=model, alias="champion", version=first)
    assert set(ModelVersion.objects.values_list("number", "stage", "stage_open")) == {
        (1, "Production", True), (2, "Production", True), (3, "None", False),
    }  # fmt: skip
    versions.transition(by=by, version=third, stage="Production", archive_existing=True)
    assert set(ModelVersion.objects.values_list("number", "stage", "stage_open")) == {
        (1, "Archived", False), (2, "Archived", False), (3, "Production", True),
    }  # fmt: skip
    with pytest.raises(Invalid, match="This installation protects no stage"):
        promotion.open_request(by=by, version=first, target_stage="Production", justification="x")
    versions.delete(by=by, version=third)
    aliases.delete_alias(by=by, model=model, alias="champion")
    models.delete(by=by, model=model)
    assert not RegisteredModel.objects.exists()


def test_what_came_there_while_all_was_open_is_protected_when_it_is_not_any_more(
    by: Actor,
    model: RegisteredModel,
    settings,  # type: ignore[no-untyped-def]
) -> None:
    settings.PLIMSOLL_POLICIES = "open"
    pair = [add(by, model), add(by, model)]
    for version in pair:
        versions.transition(by=by, version=version, stage="Production", archive_existing=False)
    other = add(by, model)
    aliases.set_alias(by=by, model=model, alias="Champion", version=other)
    settings.PLIMSOLL_POLICIES = "shipped"
    for version in pair:
        assert refusal(lambda version=version: versions.delete(by=by, version=version)) == "frozen"
        move = {"by": by, "version": version, "stage": "Archived", "archive_existing": False}
        assert refusal(lambda move=move: versions.transition(**move)) == "protected_stage"
    assert refusal(lambda: versions.delete(by=by, version=other)) == "protected_alias"


def test_the_setting_has_two_values_and_any_other_stops_the_start() -> None:
    import os
    import subprocess
    import sys

    for value, ends_well in (("open", True), ("shipped", True), ("", True), ("Open", False), ("none", False)):
        ran = subprocess.run(
            [sys.executable, "-c", "from django.conf import settings; print(settings.PLIMSOLL_POLICIES)"],
            env={**os.environ, "PLIMSOLL_POLICIES": value},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode == 0) is ends_well
        if ends_well:
            assert ran.stdout.strip() == (value or "shipped")
        else:
            assert f"PLIMSOLL_POLICIES must be shipped or open, not '{value}'." in ran.stderr


def test_nothing_is_protected_under_the_open_set_alone(settings) -> None:  # type: ignore[no-untyped-def]
    assert (protection.stages(), set(protection.aliases())) == ({Stage.PRODUCTION}, {"champion", "production"})
    settings.PLIMSOLL_POLICIES = "open"
    assert (protection.stages(), dict(protection.aliases())) == (frozenset(), {})
