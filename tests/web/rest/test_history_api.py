"""The past and lineage over REST: what each address answers, and what it refuses with which sentence."""

import json
from typing import Any

import pytest
from django.test import Client

from access.authenticate import actor_of
from access.models import User
from access.roles import Role
from audit import clock
from audit.clock import rfc3339
from audit.models import Event
from registry.actions import aliases, promotion
from registry.models import ModelVersion
from registry.states import DecisionKind
from tests import factories
from tests.web.rest.test_promotion_api import client_of, version_of

pytestmark = pytest.mark.django_db


class Told:
    """A version promoted by one and decided on by another; the instants before and after."""

    def __init__(self) -> None:
        self.ana = factories.account(Role.DATA_SCIENTIST, username="ana")
        self.rex = factories.account(Role.REVIEWER, username="rex")
        self.start = clock.now()
        self.version: ModelVersion = version_of(self.ana)
        by = self.actor(factories.account(Role.DATA_SCIENTIST, username="bea"))
        self.request = promotion.open_request(
            by=by, version=self.version, target_stage="Production", justification="Better."
        )
        self.asked = clock.now()
        digest = self.request.subject_digest
        promotion.decide(
            by=self.actor(self.rex), request=self.request, kind=DecisionKind.APPROVE, subject_digest=digest,
            comment="Read.",
        )  # fmt: skip
        self.approved = clock.now()
        self.grant = promotion.apply(by=by, request=self.request, subject_digest=digest)
        self.applied = clock.now()

    @staticmethod
    def actor(user: User) -> Any:
        return actor_of(user, "session", request_id="test", ip="192.0.2.1")


@pytest.fixture
def told() -> Told:
    return Told()


def got(client: Client, address: str, **query: Any) -> Any:
    answer = client.get(f"/api/v1/{address}", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def refused(client: Client, address: str, **query: Any) -> tuple[int, str]:
    answer = client.get(f"/api/v1/{address}", query)
    return answer.status_code, answer.json()["error"]["code"]


def test_what_served_then_on_what_evidence_decided_by_whom(told: Told) -> None:
    client = client_of(told.ana)
    before = got(client, "models/credit/served/", as_of=rfc3339(told.approved))
    assert before["served"] == []
    found = got(client, "models/credit/served/", as_of=rfc3339(told.applied), stage="production")
    (served,) = found["served"]
    assert (found["kind"], found["name"], served["version"]["version"]) == ("stage", "Production", "1")
    entry = Event.objects.get(action="promotion.apply")
    tenure = served["tenure"]
    assert (tenure["by"], tenure["grant"], tenure["request"], tenure["entry"]) == (
        "bea", str(told.grant.pk), str(told.request.pk), str(entry.id),
    )  # fmt: skip
    assert [row["kind"] for row in served["version"]["evidence"]] == ["artifact", "fairness", "explanation"]
    (decision,) = served["promotion"]["decisions"]
    assert (decision["kind"], decision["by"], decision["counts"]) == ("APPROVE", "rex", True)
    champion = got(client, "models/credit/served/", alias="champion")
    assert [each["version"]["version"] for each in champion["served"]] == ["1"]


def test_reads_as_of_an_instant(told: Told) -> None:
    client = client_of(told.ana)
    asked, applied = rfc3339(told.asked), rfc3339(told.applied)
    assert got(client, "models/", as_of=rfc3339(told.start))["models"] == []
    (model,) = got(client, "models/", as_of=applied)["models"]
    assert (model["name"], model["newest_version"]) == ("credit", 1)
    stages = [got(client, "models/credit/versions/1/", as_of=at)["stage"] for at in (asked, applied)]
    assert stages == ["None", "Production"]
    (version,) = got(client, "models/credit/versions/", as_of=applied)["versions"]
    assert (version["aliases"], len(version["data_sets"]), version["jobs"]) == (["champion"], 2, [])
    assert "tags" in version["unknown"]
    states = [
        [row["state"] for row in got(client, "promotion-requests/", as_of=at)["promotion_requests"]]
        for at in (rfc3339(told.start), asked, rfc3339(told.approved), applied)
    ]
    assert states == [[], ["OPEN"], ["APPROVED"], []]
    one = got(client, f"promotion-requests/{told.request.pk}/", as_of=asked)
    assert (one["state"], one["decisions"], one["grant"]) == ("OPEN", [], None)
    evidence = told.version.evidence.all()[0]
    assert got(client, f"evidence/{evidence.pk}/", as_of=asked)["id"] == str(evidence.pk)


@pytest.mark.parametrize(
    "address",
    ["models/", "models/credit/versions/", "models/credit/versions/1/", "models/credit/served/", "promotion-requests/",
     "promotion-requests/{request}/", "evidence/{evidence}/"],
)  # fmt: skip
def test_every_read_refuses_what_is_no_past_instant(told: Told, address: str) -> None:
    client = client_of(told.ana)
    address = address.format(request=told.request.pk, evidence=told.version.evidence.all()[0].pk)
    assert refused(client, address, as_of="yesterday") == (400, "bad_as_of")
    assert refused(client, address, as_of="") == (400, "bad_as_of")
    assert refused(client, address, as_of="2999-01-01T00:00:00Z") == (400, "future_as_of")


@pytest.mark.parametrize(
    "address",
    ["models/credit/versions/", "models/credit/versions/1/", "models/credit/served/", "promotion-requests/{request}/",
     "evidence/{evidence}/"],
)  # fmt: skip
def test_what_was_not_there_then_is_not_found(told: Told, address: str) -> None:
    address = address.format(request=told.request.pk, evidence=told.version.evidence.all()[0].pk)
    assert refused(client_of(told.ana), address, as_of=rfc3339(told.start)) == (404, "not_found")


def test_the_history_comes_in_parts(told: Told) -> None:
    by = told.actor(told.ana)
    aliases.set_alias(by=by, model=told.version.model, alias="blue", version=told.version)
    aliases.delete_alias(by=by, model=told.version.model, alias="blue")
    client = client_of(told.ana)
    whole = got(client, "models/credit/history/")
    rows = [(row["kind"], row["name"], row["version"], row["until"] is None) for row in whole["history"]]
    assert rows == [("alias", "blue", "1", False), ("alias", "champion", "1", True), ("stage", "Production", "1", True)]
    assert whole["next"] == ""
    assert (whole["history"][0]["by"], whole["history"][0]["ended_action"]) == ("ana", "alias.delete")
    assert [row["name"] for row in got(client, "models/credit/history/", kind="alias", name="blue")["history"]] == [
        "blue"
    ]
    version = got(client, "models/credit/versions/1/history/")
    assert version["history"] == whole["history"]
    assert refused(client, "models/credit/history/", kind="colour") == (400, "bad_kind")
    assert refused(client, "models/credit/history/", after="x") == (400, "bad_page")


def test_lineage_is_a_graph_of_keys(told: Told) -> None:
    client = client_of(told.ana)
    graph = got(client, "models/credit/versions/1/lineage/", direction="both", depth=2)
    assert graph["start"] == f"model_version:{told.version.pk}"
    keys = {node["key"] for node in graph["nodes"]}
    assert {edge["source"] for edge in graph["edges"]} | {edge["target"] for edge in graph["edges"]} == keys
    assert sorted({node["type"] for node in graph["nodes"]}) == [
        "data_set", "evidence", "grant", "model_version", "promotion_request",
    ]  # fmt: skip
    below = got(client, "data-sets/credit-training-1/1/lineage/", direction="down", depth=1)
    assert [(edge["kind"], edge["target"]) for edge in below["edges"]] == [("training", graph["start"])]
    assert refused(client, "models/credit/versions/1/lineage/", direction="left") == (400, "bad_direction")
    assert refused(client, "data-sets/credit-training-1/1/lineage/", depth="11") == (400, "bad_depth")


def test_the_feed_of_events_is_read_on_from_its_place(told: Told) -> None:
    page = got(client_of(told.ana), "openlineage/")
    assert page == {"events": [], "next": f"{'0' * 32}-0"}  # what is this young may not be all of it
    assert refused(client_of(told.ana), "openlineage/", after="x") == (400, "bad_page")


@pytest.mark.parametrize(
    "address",
    ["models/credit/history/", "models/credit/served/", "models/credit/versions/1/history/",
     "models/credit/versions/1/lineage/", "data-sets/credit-training-1/1/lineage/"],
)  # fmt: skip
def test_what_is_not_yours_is_not_there(told: Told, address: str) -> None:
    stranger = client_of(factories.account(Role.DATA_SCIENTIST, pattern="fraud-*"))
    assert refused(stranger, address) == (404, "not_found")
    assert Client().get(f"/api/v1/{address}").status_code == 401


def test_nothing_here_says_more_than_the_version_itself(told: Told) -> None:
    """A viewer of the model sees its past; the names of data sets outside the viewer's grants are not in it."""
    reader = client_of(factories.account(Role.VIEWER, pattern="credit"))
    graph = got(reader, "models/credit/versions/1/lineage/", direction="up")
    assert "credit-training-1" not in json.dumps(graph)
    assert [node["hidden"] for node in graph["nodes"]] == [False, True, True]
