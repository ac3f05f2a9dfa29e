"""OpenLineage events: what specification 2-0-2 asks of them, and who gets to see which."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import jsonschema
import pytest

from access.roles import Role
from audit import door
from audit.clock import now, rfc3339
from audit.errors import Invalid
from audit.events import Action
from registry.models import VersionRun
from registry.queries import lineage_feed
from tests import factories
from tests.registry.test_lineage import World

pytestmark = pytest.mark.django_db

# What the published schemas require: of the event (2-0-2), of every facet, and of the facets that are used here.
_TEXT, _URI = {"type": "string", "minLength": 1}, {"type": "string", "pattern": "^[a-z]+://"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _facets(**known: Any) -> dict[str, Any]:
    every = _object(_producer=_URI, _schemaURL=_URI)
    return {
        "type": "object",
        "additionalProperties": every,
        "properties": {k: {"allOf": [every, v]} for k, v in known.items()},
    }


_FIELDS = {"type": "array", "items": _object(name=_TEXT, type=_TEXT)}
_DATASET = {
    **_object(namespace=_TEXT, name=_TEXT),
}
_DATASET["properties"] |= {
    "facets": _facets(version=_object(datasetVersion=_TEXT), schema=_object(fields=_FIELDS)),
    "inputFacets": _facets(),
    "outputFacets": _facets(),
}
_JOB = _object(namespace=_TEXT, name=_TEXT)
_JOB["properties"] |= {
    "facets": _facets(
        jobType=_object(processingType={"enum": ["BATCH"]}, integration=_TEXT),
        sourceCodeLocation=_object(type=_TEXT, url=_URI),
    )
}
_RUN = _object(runId={"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"})
_RUN["properties"] |= {"facets": _facets()}
EVENT = _object(
    eventType={"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
    eventTime={"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"},
    producer=_URI,
    schemaURL={"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
    run=_RUN,
    job=_JOB,
    inputs={"type": "array", "items": _DATASET},
    outputs={"type": "array", "items": _DATASET},
)


@pytest.fixture
def world() -> World:
    found = World()
    with door.open(found.by, Action.VERSION_UPDATE, on=found.base) as entry:
        VersionRun.objects.filter(version=found.tuned).update(repository="https://git.example.org/x.git")
        type(found.text).objects.filter(pk=found.more.pk).update(columns=[{"name": "age", "type": "BIGINT"}])
        entry.record()
    return found


def feed(by: Any, after: str = "") -> lineage_feed.Page:
    return lineage_feed.page(by, after, until=now() + timedelta(seconds=1))


def test_every_event_is_as_the_specification_asks(world: World) -> None:
    events = feed(world.by).events
    assert len(events) == 5
    for event in events:
        jsonschema.validate(event, EVENT)
    assert [(event["job"]["name"], event["eventType"]) for event in events] == [
        ("models/base/register", "COMPLETE"), ("models/tuned/register", "COMPLETE"),
        ("models/copy/register", "COMPLETE"), ("models/base/link", "COMPLETE"), ("models/tuned/link", "COMPLETE"),
    ]  # fmt: skip
    assert len({event["run"]["runId"] for event in events}) == 5


def test_a_registration_names_what_went_in_and_what_came_out(world: World) -> None:
    event = feed(world.by).events[1]
    assert event["eventTime"] == rfc3339(world.tuned.created_at)
    assert UUID(event["run"]["runId"]) == world.tuned.pk
    inputs = {entry["name"]: entry for entry in event["inputs"]}
    assert set(inputs) == {"data-sets/more", "models/base"}
    more = inputs["data-sets/more"]
    assert more["facets"]["version"]["datasetVersion"] == "1"
    assert more["facets"]["schema"]["fields"] == [{"name": "age", "type": "BIGINT"}]
    assert more["facets"]["plimsoll_content"]["sha256"] == "ab" * 32
    assert more["inputFacets"]["plimsoll_role"]["role"] == "training"
    assert inputs["models/base"]["inputFacets"]["plimsoll_role"]["role"] == "fine_tuned"
    (output,) = event["outputs"]
    assert (output["name"], output["facets"]["version"]["datasetVersion"]) == ("models/tuned", "1")
    location = event["job"]["facets"]["sourceCodeLocation"]
    assert (location["type"], location["url"], location["version"]) == (
        "git", "https://git.example.org/x.git", "c" * 40,
    )  # fmt: skip


def test_what_a_reader_may_not_see_is_counted_without_a_name(world: World) -> None:
    page = feed(factories.actor(Role.VIEWER, pattern="tuned"))
    assert [event["job"]["name"] for event in page.events] == ["models/tuned/register", "models/tuned/link"]
    registered, linked = page.events
    assert (registered["inputs"], registered["run"]["facets"]["plimsoll_registration"]["hiddenInputs"]) == ([], 2)
    assert (linked["inputs"], linked["run"]["facets"]["plimsoll_link"]["hiddenInputs"]) == ([], 1)
    assert not re.search(r"\bbase\b|\bmore\b|\btext\b", repr(page.events))


def test_the_feed_goes_on_where_it_was_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [event["run"]["runId"] for event in feed(world.by).events]
    monkeypatch.setattr(lineage_feed, "MOST", 2)
    found, after, sizes = [], "", []
    for _ in range(4):
        page = feed(world.by, after)
        sizes.append(len(page.events))
        found += [event["run"]["runId"] for event in page.events]
        after = page.after
    assert (found, sizes) == (whole, [2, 2, 1, 0])
    with door.open(world.by, Action.VERSION_UPDATE, on=world.base) as entry:
        world.link(world.copy, world.text)
        entry.record()
    assert [event["job"]["name"] for event in feed(world.by, after).events] == ["models/copy/link"]


def test_what_may_still_commit_waits(world: World) -> None:
    assert lineage_feed.page(world.by).events == []
    assert lineage_feed.page(world.by).after == f"{'0' * 32}-0"


@pytest.mark.parametrize("after", ["x", "1-1", "g" * 32 + "-0", "0" * 32 + "-" + "9" * 19, "0" * 32 + "-٣"])
def test_no_place_in_the_feed_is_refused(world: World, after: str) -> None:
    with pytest.raises(Invalid):
        lineage_feed.page(world.by, after)


@pytest.mark.parametrize("count", [1, 15])
def test_a_page_costs_the_same_for_many(world: World, count: int, django_assert_num_queries: Any) -> None:
    with door.open(world.by, Action.VERSION_UPDATE, on=world.base) as entry:
        for number in range(count):
            world.link(world.version("more-models", number + 1), world.text)
        entry.record()
    with django_assert_num_queries(5):
        assert len(feed(world.by).events) == 5 + 2 * count
