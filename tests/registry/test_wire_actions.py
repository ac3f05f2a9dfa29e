"""The acts behind MLflow's wire: numbers, renaming and deleting under governance, and what the trail keeps of them."""

import json
import threading
from contextlib import closing

import pytest
from django.db import connection

from access.roles import Role
from audit import door
from audit.actors import Actor
from audit.errors import Conflict, Denied, Duplicate, Invalid, NotFound
from audit.events import Action
from audit.models import Event
from registry import jobs
from registry.actions import aliases, models, promotion, stages, tags, versions
from registry.models import Alias, Evidence, Job, ModelVersion, RegisteredModel, StageChange, VersionDataSet, VersionTag
from registry.states import EvidenceKind, JobKind, Stage
from tests import factories

PROMPT = {"mlflow.prompt.is_prompt": "true"}


@pytest.fixture
def by(db: None) -> Actor:
    return factories.actor(Role.DATA_SCIENTIST)


def model_of(by: Actor, name: str = "churn") -> RegisteredModel:
    return models.create(by=by, name=name, description="words", tags={"team": "risk"})


def version_of(by: Actor, model: RegisteredModel) -> ModelVersion:
    """A version that needs no tracking server to be made: a prompt's."""
    return versions.create(
        by=by, model=model, source="dummy-source", tags={**PROMPT, "k": "sesame"}, description="words"
    )


def into(by: Actor, version: ModelVersion, stage: Stage) -> None:
    with door.open(by, Action.VERSION_STAGE, on=version) as entry:
        stages.move(entry.locked, stage, by=by)
        entry.record()


def leaf(action: str) -> dict:
    return json.loads(bytes(Event.objects.filter(action=action).latest("recorded_at").leaf_data))


def test_numbers_are_never_used_again(by: Actor) -> None:
    model = model_of(by)
    first, second = version_of(by, model), version_of(by, model)
    versions.delete(by=by, version=second)
    assert [first.number, second.number, version_of(by, model).number] == [1, 2, 3]
    assert first.created_by == by.account


def test_free_text_is_in_the_trail_only_as_a_digest(by: Actor) -> None:
    version = version_of(by, model_of(by))
    for action, secrets in (
        ("registered_model.create", ("words", "risk")),
        ("model_version.create", ("words", "sesame")),
    ):
        text = json.dumps(leaf(action))
        assert not [secret for secret in secrets if secret in text]
        assert len(leaf(action)["change"]["_sd"]) == 2
    tags.set_version_tag(by=by, version=version, key="owner", value="Ada Lovelace")
    assert leaf("model_version.tag")["change"]["after"] == {"key": "owner", "new": True}
    assert "Ada" not in json.dumps(leaf("model_version.tag"))


def test_a_deleted_version_keeps_its_number_and_digest_and_says_nothing_of_people(by: Actor) -> None:
    model = model_of(by)
    version = version_of(by, model)
    with door.open(by, Action.VERSION_UPDATE, on=version) as entry:
        ModelVersion.objects.filter(pk=version.pk).update(
            source="runs:/x/ada", run_id="x", run_link="http://ada", storage_location="mlflow-artifacts:/ada",
            logged_model_id="m-ada", artifact_digest="d" * 64, artifact_manifest={"files": []},
        )  # fmt: skip
        entry.record()
    aliases.set_alias(by=by, model=model, alias="blue", version=version)
    versions.delete(by=by, version=version)
    row = ModelVersion.objects.values().get(pk=version.pk)
    assert row["deleted_at"] is not None
    assert (row["source"], row["run_id"], row["run_link"]) == (
        "REDACTED-SOURCE-PATH", "REDACTED-RUN-ID", "REDACTED-RUN-LINK",
    )  # fmt: skip
    assert (row["description"], row["status_message"], row["storage_location"], row["logged_model_id"]) == (
        None,
        "",
        "",
        "",
    )
    assert (row["number"], row["artifact_digest"]) == (1, "d" * 64)
    assert not VersionTag.objects.exists()
    assert not Alias.objects.exists()


def test_a_deleted_version_cannot_be_changed(by: Actor) -> None:
    model = model_of(by)
    version = version_of(by, model)
    versions.delete(by=by, version=version)
    for act in (
        lambda: versions.update(by=by, version=version, description="x"),
        lambda: versions.transition(by=by, version=version, stage="Staging", archive_existing=False),
        lambda: versions.delete(by=by, version=version),
        lambda: tags.set_version_tag(by=by, version=version, key="a", value="b"),
        lambda: tags.delete_version_tag(by=by, version=version, key="a"),
        lambda: aliases.set_alias(by=by, model=model, alias="blue", version=version),
    ):
        with pytest.raises(NotFound, match=r"There is no version 1 of churn\."):
            act()


def test_what_is_or_was_protected_is_not_moved_renamed_or_deleted(by: Actor) -> None:
    model = model_of(by)
    version = version_of(by, model)
    into(by, version, Stage.PRODUCTION)
    address = "/models/churn/versions/1/promote/"
    with pytest.raises(Denied, match=address):
        versions.delete(by=by, version=version)
    for stage in ("Staging", "Archived", "None"):
        with pytest.raises(Denied, match=address):
            versions.transition(by=by, version=version, stage=stage, archive_existing=False)
    for _ in ("now in it", "was in it"):
        with pytest.raises(Denied, match=address):
            models.rename(by=by, model=model, new_name="other")
        with pytest.raises(Denied, match=address):
            models.delete(by=by, model=model)
        into(by, version, Stage.ARCHIVED)
    assert RegisteredModel.objects.get().name == "churn"
    assert Event.objects.filter(outcome="denied").count() == 8


def test_archiving_others_never_touches_a_protected_stage(by: Actor) -> None:
    model = model_of(by)
    first, second = version_of(by, model), version_of(by, model)
    into(by, first, Stage.PRODUCTION)
    with pytest.raises(Denied):
        versions.transition(by=by, version=second, stage="Production", archive_existing=True)
    first.refresh_from_db()
    assert first.stage == "Production"
    assert StageChange.objects.count() == 1


def test_a_live_request_holds_the_name_and_the_version(by: Actor) -> None:
    model = model_of(by)
    version = version_of(by, model)
    factories.account(Role.REVIEWER)
    request = promotion.open_request(by=by, version=version, target_stage="Production", justification="It is better.")
    with pytest.raises(Conflict, match="withdraw the request first"):
        versions.delete(by=by, version=version)
    with pytest.raises(Denied, match="while a promotion request for it is live"):
        models.rename(by=by, model=model, new_name="other")
    promotion.withdraw(by=by, request=request)
    models.rename(by=by, model=model, new_name="other")
    versions.delete(by=by, version=version)
    with pytest.raises(Conflict, match="promotion requests were filed for it"):
        models.delete(by=by, model=RegisteredModel.objects.get())


def test_a_model_with_reports_stays_and_one_with_a_digest_alone_goes(by: Actor) -> None:
    model = model_of(by)
    version = version_of(by, model)
    with door.open(by, Action.VERSION_UPDATE, on=version) as entry:
        jobs.enqueue(version=version, kind=JobKind.ARTIFACT, requested_by="")
        made = {"status": "OK", "inputs": {}, "result": {}, "result_digest": "", "version": version}
        Evidence.objects.create(kind=EvidenceKind.ARTIFACT.value, **made)
        report = Evidence.objects.create(kind=EvidenceKind.FAIRNESS.value, **made)
        entry.record()
    with pytest.raises(Conflict, match="recorded as evidence"):
        models.delete(by=by, model=model)
    assert Job.objects.count() == 1
    with door.open(by, Action.VERSION_UPDATE, on=version) as entry:
        report.delete()
        entry.record()
    models.delete(by=by, model=model)
    tables = (RegisteredModel, ModelVersion, Evidence, Job, VersionDataSet, VersionTag)
    assert [table.objects.count() for table in tables] == [0] * 6
    assert leaf("registered_model.delete")["change"]["before"] == {"name": "churn", "versions": 1, "last_number": 1}
    assert version_of(by, model_of(by)).number == 1


def test_renaming_takes_the_right_to_both_names(by: Actor) -> None:
    limited = factories.actor(Role.DATA_SCIENTIST, pattern="team-*")
    model = models.create(by=limited, name="team-a")
    with pytest.raises(Denied, match="on loot"):
        models.rename(by=limited, model=model, new_name="loot")
    assert models.rename(by=limited, model=model, new_name="team-b").name == "team-b"
    with pytest.raises(Denied):
        models.create(by=limited, name="loot")
    models.create(by=by, name="team-c")
    with pytest.raises(Duplicate):
        models.rename(by=limited, model=model, new_name="team-c")


def test_an_alias_of_another_model_s_version_is_refused(by: Actor) -> None:
    version = version_of(by, model_of(by))
    with pytest.raises(NotFound):
        aliases.set_alias(by=by, model=model_of(by, "risk"), alias="blue", version=version)


@pytest.mark.parametrize("alias", ["champion", "Champion", "CHAMPION", "production"])
def test_protected_aliases_are_protected_in_any_case(by: Actor, alias: str) -> None:
    model = model_of(by)
    version = version_of(by, model)
    with pytest.raises(Denied, match="/models/churn/versions/1/promote/"):
        aliases.set_alias(by=by, model=model, alias=alias, version=version)
    with pytest.raises(Denied, match="/models/churn/versions/1/promote/"):
        aliases.delete_alias(by=by, model=model, alias=alias)


def test_a_tag_s_key_must_be_normalised_text(by: Actor) -> None:
    with pytest.raises(Invalid):
        tags.set_model_tag(by=by, model=model_of(by), key="\u1112\u1161\u11ab", value="")


def test_concurrent_creates_number_every_version_once(fresh_database: str) -> None:
    by = factories.actor(Role.DATA_SCIENTIST)
    model = model_of(by)
    numbers: list[int] = []

    def create() -> None:
        with closing(connection):
            numbers.extend(version_of(by, model).number for _ in range(3))

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 13))


def test_of_concurrent_creates_of_one_name_one_succeeds_and_the_others_are_told(fresh_database: str) -> None:
    by = factories.actor(Role.DATA_SCIENTIST)
    outcomes: list[str] = []

    def create() -> None:
        with closing(connection):
            try:
                models.create(by=by, name="churn")
                outcomes.append("made")
            except Duplicate as error:
                outcomes.append(error.code)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "name_taken", "name_taken", "name_taken"]


def test_crossing_stage_changes_wait_for_each_other_and_never_for_ever(fresh_database: str) -> None:
    by = factories.actor(Role.DATA_SCIENTIST)
    model = model_of(by)
    pair = [version_of(by, model), version_of(by, model)]
    failures: list[Exception] = []

    def move(version: ModelVersion) -> None:
        with closing(connection):
            try:
                for _ in range(4):
                    versions.transition(by=by, version=version, stage="Staging", archive_existing=True)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                failures.append(error)

    threads = [threading.Thread(target=move, args=[version]) for version in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ModelVersion.objects.filter(stage="Staging").count() == 1
