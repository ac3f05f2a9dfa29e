"""What is told, and when: with the change or not at all, in MLflow's words where MLflow has any."""

import json
import os
from typing import Any

import psycopg
import pytest
from django.db import Error

from access.authenticate import actor_of
from access.roles import Role
from audit.actors import Actor
from audit.models import Event
from registry import outbox
from registry.actions import aliases, models, promotion, tags, versions
from registry.event_names import EVENTS, MLFLOW, MLFLOW_EVENTS, OWN_EVENTS, example
from registry.models import OutboxEvent, PromotionRequest, RegisteredModel
from registry.states import DecisionKind
from tests import erasure_cases, factories
from tests.web.rest.test_promotion_api import HEX
from tests.web.rest.test_promotion_api import version_of as complete_version

PROMPT = {"mlflow.prompt.is_prompt": "true"}


def told() -> list[tuple[str, dict[str, Any]]]:
    """What was told since the last look."""
    rows = list(OutboxEvent.objects.order_by("id"))
    OutboxEvent.objects.all().delete()
    return [(row.name, row.payload) for row in rows]


@pytest.fixture
def by(db: None) -> Actor:
    return factories.actor(Role.DATA_SCIENTIST, Role.SERVICE)


def test_each_act_on_a_model_tells_what_mlflow_tells_and_more(by: Actor) -> None:
    model = models.create(by=by, name="churn", description="words", tags={"team": "risk"})
    models.update(by=by, model=model, description="other")
    tags.set_model_tag(by=by, model=model, key="k", value="v")
    tags.delete_model_tag(by=by, model=model, key="k")
    tags.delete_model_tag(by=by, model=model, key="k")
    models.rename(by=by, model=model, new_name="stay")
    models.delete(by=by, model=RegisteredModel.objects.get())
    assert told() == [
        ("registered_model.created", {"name": "churn", "tags": {"team": "risk"}, "description": "words"}),
        ("registered_model.updated", {"name": "churn", "changed": ["description"]}),
        ("registered_model_tag.set", {"name": "churn", "key": "k", "value": "v"}),
        ("registered_model_tag.deleted", {"name": "churn", "key": "k"}),
        ("registered_model.renamed", {"name": "stay", "former_name": "churn"}),
        ("registered_model.deleted", {"name": "stay"}),
    ]


def test_each_act_on_a_version_too(by: Actor) -> None:
    author = factories.account(Role.DATA_SCIENTIST)
    complete_version(author, name="churn", complete=False)
    version = complete_version(author, name="churn", number=2, complete=False)
    told()
    named = {"name": "churn", "version": "2"}
    versions.update(by=by, version=version, description="x")
    tags.set_version_tag(by=by, version=version, key="k", value="v")
    tags.delete_version_tag(by=by, version=version, key="k")
    aliases.set_alias(by=by, model=version.model, alias="blue", version=version)
    aliases.delete_alias(by=by, model=version.model, alias="blue")
    aliases.delete_alias(by=by, model=version.model, alias="blue")
    versions.transition(by=by, version=version, stage="Staging", archive_existing=False)
    other = version.model.versions.get(number=1)
    versions.transition(by=by, version=other, stage="Staging", archive_existing=True)
    versions.delete(by=by, version=version)
    assert told() == [
        ("model_version.updated", {**named, "changed": ["description"]}),
        ("model_version_tag.set", {**named, "key": "k", "value": "v"}),
        ("model_version_tag.deleted", {**named, "key": "k"}),
        ("model_version_alias.created", {"name": "churn", "alias": "blue", "version": "2"}),
        ("model_version_alias.deleted", {"name": "churn", "alias": "blue"}),
        ("model_version.transitioned", {**named, "from_stage": "None", "to_stage": "Staging"}),
        ("model_version.transitioned", {**named, "from_stage": "Staging", "to_stage": "Archived"}),
        ("model_version.transitioned", {**named, "version": "1", "from_stage": "None", "to_stage": "Staging"}),
        ("model_version.deleted", named),
    ]


def test_of_a_prompt_the_same_is_told_under_its_own_names(by: Actor) -> None:
    model = models.create(by=by, name="greeting", tags={**PROMPT, "_mlflow_prompt_type": "text", "lang": "en"})
    version = versions.create(
        by=by,
        model=model,
        source="dummy-source",
        tags={**PROMPT, "mlflow.prompt.text": "Hello {{name}}!", "k": "v"},
    )
    tags.set_model_tag(by=by, model=model, key="a", value="b")
    tags.set_version_tag(by=by, version=version, key="c", value="d")
    aliases.set_alias(by=by, model=model, alias="blue", version=version)
    models.update(by=by, model=model, description="other")
    assert told() == [
        ("prompt.created", {"name": "greeting", "tags": {"lang": "en"}, "description": ""}),
        (
            "prompt_version.created",
            {
                "name": "greeting",
                "version": "1",
                "template": "Hello {{name}}!",
                "tags": {"k": "v"},
                "description": None,
            },
        ),
        ("prompt_tag.set", {"name": "greeting", "key": "a", "value": "b"}),
        ("prompt_version_tag.set", {"name": "greeting", "version": "1", "key": "c", "value": "d"}),
        ("prompt_alias.created", {"name": "greeting", "alias": "blue", "version": "1"}),
        ("prompt.updated", {"name": "greeting", "changed": ["description"]}),
    ]


def test_a_promotion_is_told_from_request_to_stage_without_what_people_wrote(by: Actor) -> None:
    author = factories.account(Role.DATA_SCIENTIST)
    version = complete_version(author)
    reviewer = factories.actor(Role.REVIEWER)
    told()
    mine = actor_of(author, "session")
    request = promotion.open_request(by=mine, version=version, target_stage="Production", justification="Zebedee")
    promotion.decide(
        by=reviewer,
        request=request,
        kind=DecisionKind.REQUEST_CHANGES,
        subject_digest=request.subject_digest,
        comment="Zebedee",
    )
    promotion.resubmit(by=mine, request=request, comment="Zebedee")
    digest = PromotionRequest.objects.get().subject_digest
    promotion.decide(by=reviewer, request=request, kind=DecisionKind.APPROVE, subject_digest=digest, comment="Zebedee")
    grant = promotion.apply(by=mine, request=request, subject_digest=digest)
    named = {"name": "credit", "version": "1"}
    about = {**named, "request": str(request.pk), "stage": "Production"}
    found = told()
    assert found == [
        ("promotion.requested", {**about, "state": "OPEN", "subject_digest": digest}),
        (
            "promotion.decided",
            {**about, "state": "CHANGES_REQUESTED", "decision": "REQUEST_CHANGES", "subject_digest": digest},
        ),
        ("promotion.resubmitted", {**about, "state": "OPEN", "subject_digest": digest}),
        ("promotion.decided", {**about, "state": "APPROVED", "decision": "APPROVE", "subject_digest": digest}),
        ("model_version.transitioned", {**named, "from_stage": "None", "to_stage": "Production"}),
        ("model_version_alias.created", {"name": "credit", "alias": "champion", "version": "1"}),
        ("promotion.applied", {**about, "state": "APPLIED", "alias": "champion", "grant": str(grant.pk)}),
    ]
    for secret in ("Zebedee", str(author.pk), author.username, str(reviewer.account)):
        assert secret not in json.dumps(found)


def test_a_withdrawal_evidence_and_an_erasure_are_told(by: Actor) -> None:
    author = factories.account(Role.DATA_SCIENTIST)
    factories.account(Role.REVIEWER)
    version = complete_version(author)
    mine = actor_of(author, "session")
    request = promotion.open_request(by=mine, version=version, target_stage="Production", justification="x")
    told()
    promotion.withdraw(by=mine, request=request)
    assert [(name, data["state"]) for name, data in told()] == [("promotion.withdrawn", "WITHDRAWN")]
    from registry import jobs
    from registry.actions import evidence
    from registry.states import EvidenceKind, JobKind
    from tests import evidence_cases

    held = jobs.claim(evidence_cases.job(version, JobKind.ARTIFACT).pk)
    assert held is not None
    finding = evidence.Finding(kind=EvidenceKind.ARTIFACT, inputs={"artifact": HEX}, result={"files": 1})
    row = evidence.attach(job=held, fence=held.fence, finding=finding)
    assert told()[0] == (
        "evidence.attached",
        {
            "name": "credit",
            "version": "1",
            "evidence": str(row.pk),
            "kind": "artifact",
            "status": "OK",
            "result_digest": row.result_digest,
        },
    )


def test_an_erasure_is_told_by_its_number_alone(by: Actor) -> None:
    officer, other = erasure_cases.officer(), erasure_cases.officer()
    erasure_cases.people(by)
    told()
    request = erasure_cases.completed(officer, other)
    found = told()
    assert [name for name, _ in found] == ["erasure.executed", "erasure.completed"]
    assert found[0][1] == {"request": str(request.pk), "data_sets": 1}
    assert set(found[1][1]) == {"request", "outcome", "certificate"}
    assert erasure_cases.MAIL not in json.dumps(found)


def test_a_refused_act_tells_nothing(by: Actor) -> None:
    from audit.errors import Duplicate

    models.create(by=by, name="churn")
    told()
    with pytest.raises(Duplicate):
        models.create(by=by, name="churn")
    assert told() == []


def test_an_event_belongs_into_a_transaction(fresh_database: str) -> None:
    from audit.subjects import INSTALLATION

    with pytest.raises(RuntimeError, match="belongs into the transaction"):
        outbox.tell("evidence", "attached", on=INSTALLATION, data={})


@pytest.mark.parametrize("table", ["registry_outboxevent", "registry_delivery"])
def test_what_cannot_be_told_does_not_happen(fresh_database: str, table: str) -> None:
    by = factories.actor(Role.DATA_SCIENTIST)
    model = models.create(by=by, name="churn", description="before")
    before = Event.objects.filter(outcome="success").count()
    admin = os.environ["PLIMSOLL_TEST_ADMIN"].replace("dbname=postgres", f"dbname={fresh_database}")
    with psycopg.connect(admin, dbname=fresh_database, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME TO away")
    with pytest.raises(Error):
        models.update(by=by, model=model, description="after")
    with pytest.raises(Error):
        models.create(by=by, name="other")
    model.refresh_from_db()
    assert model.description == "before"
    assert RegisteredModel.objects.count() == 1
    assert Event.objects.filter(outcome="success").count() == before
    assert Event.objects.filter(outcome="error").count() == 2


def test_the_names_are_those_of_the_stock_client_and_the_examples_too() -> None:
    from mlflow.entities.webhook import VALID_ENTITY_ACTIONS, WebhookEvent
    from mlflow.webhooks.types import get_example_payload_for_event

    theirs = {entity.value: {action.value for action in found} for entity, found in VALID_ENTITY_ACTIONS.items()}
    assert {entity: set(actions) for entity, actions in MLFLOW.items()} == theirs
    for name in MLFLOW_EVENTS:
        assert example(name) == get_example_payload_for_event(WebhookEvent.from_str(name)), name
    assert not MLFLOW_EVENTS & OWN_EVENTS
    for name in EVENTS:
        assert example(name), name
