"""The pages of the past and of lineage: what they say, to whom, and at what cost."""

import re
from typing import Any

import pytest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access.roles import Role
from audit import clock, door
from audit.clock import rfc3339
from audit.events import Action
from registry.actions import aliases, promotion, versions
from registry.models import ModelVersion
from registry.states import DecisionKind
from tests.web.pages import case
from tests.web.pages.case import actor, browser
from web.pages import context

pytestmark = pytest.mark.django_db


class Served:
    """A version that was promoted, and the instants around it."""

    def __init__(self) -> None:
        found = case.waiting("credit")
        self.by, self.version = actor(found.scientist), found.version
        self.rex, _ = browser(Role.REVIEWER, username="rex")
        digest = found.request.subject_digest
        promotion.decide(by=actor(self.rex), request=found.request, kind=DecisionKind.APPROVE, subject_digest=digest)
        self.before = rfc3339(clock.now())
        promotion.apply(by=self.by, request=found.request, subject_digest=digest)
        self.after = rfc3339(clock.now())
        self.request = found.request


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
def reader() -> Client:
    return browser(Role.VIEWER)[1]


def text_of(client: Client, address: str, status: int = 200, **query: str) -> str:
    answer = client.get(address, query)
    assert answer.status_code == status, answer.content[:500]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_the_page_says_what_served_and_who_decided(served: Served, reader: Client) -> None:
    text = text_of(reader, "/models/credit/history/", as_of=served.after, held="stage:Production")
    assert re.search(r"Evidence by then artifact, explanation, fairness Decided approve by rex", text)
    text = text_of(reader, "/models/credit/history/", as_of=served.before, held="alias:champion")
    assert "No version held the alias champion at" in text
    assert "champion alias Version 1" in text


def test_a_browsers_field_sends_no_zone_and_means_utc(served: Served, reader: Client) -> None:
    assert "As it stood at 9 Mar 2020" not in text_of(reader, "/models/credit/", as_of="")
    assert "after 2020-03-09T14:05:00.000000Z" in text_of(reader, "/models/credit/", 404, as_of="2020-03-09T14:05")


@pytest.mark.parametrize("as_of", ["soon", "2999-01-01T00:00", "2026-02-30T00:00", "2026-03-09T14:05+25:00"])
@pytest.mark.parametrize("address", ["/models/credit/", "/models/credit/versions/1/", "/models/credit/history/"])
def test_what_is_no_past_instant_is_a_400_with_a_sentence(
    served: Served, reader: Client, address: str, as_of: str
) -> None:
    assert re.search(
        "as_of (is an instant|names an instant|lies in the future)", text_of(reader, address, 400, as_of=as_of)
    )


@pytest.mark.parametrize("held", ["stage:None", "stage:", "colour:red", "alias:"])
def test_a_question_about_nothing_is_a_400(served: Served, reader: Client, held: str) -> None:
    text_of(reader, "/models/credit/history/", 400, held=held)


def test_a_version_that_was_deleted_is_still_there_in_the_past(reader: Client) -> None:
    scientist, client = browser(Role.DATA_SCIENTIST)
    version = case.version(actor(scientist), "churn", "first words")
    versions.transition(by=actor(scientist), version=version, stage="Staging", archive_existing=False)
    at = rfc3339(clock.now())
    versions.delete(by=actor(scientist), version=version)
    text = text_of(client, "/models/churn/versions/1/", as_of=at)
    assert "The version has been deleted since." in text
    assert re.search(r"Stage Staging", text)
    assert "Source gone with the version" in text
    assert "first words" not in text
    assert "deleted since" in text_of(client, "/models/churn/", as_of=at)


@pytest.mark.parametrize(
    "address",
    ["/models/credit/history/", "/models/credit/versions/1/lineage/", "/data-sets/credit%20rows/1/lineage/",
     "/models/credit/?as_of=2026-01-01T00:00", "/models/credit/versions/1/?as_of=2026-01-01T00:00"],
)  # fmt: skip
def test_what_is_not_yours_is_not_there(served: Served, address: str) -> None:
    _, stranger = browser(Role.DATA_SCIENTIST, pattern="fraud-*")
    assert stranger.get(address).status_code == 404
    assert Client().get(address).status_code in {302, 401}


def test_lineage_is_the_same_in_the_picture_and_the_table(served: Served, reader: Client) -> None:
    page = reader.get("/models/credit/versions/1/lineage/").content.decode()
    drawn = re.search(r"<svg[^>]*graph-wide.*?</svg>", page, re.DOTALL)
    assert drawn is not None
    in_picture = set(re.findall(r'<a href="([^"]+)"', drawn[0]))
    table = page[page.index("The same as a table") :]
    assert in_picture
    assert in_picture <= set(re.findall(r'<a href="([^"]+)"', table))
    assert f"/promotions/{served.request.pk}/" in in_picture


def test_bad_directions_and_depths_are_refused(served: Served, reader: Client) -> None:
    for query in ({"direction": "sideways"}, {"depth": "0"}, {"depth": "99"}, {"depth": "x"}):
        text_of(reader, "/models/credit/versions/1/lineage/", 400, **query)


def _queries(client: Client, address: str) -> int:
    from django.db import connection

    client.get(address)
    context.forget_trail_line()  # asked for anew every few seconds: here, each time
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address).status_code == 200
    return len(seen)


@pytest.mark.parametrize(
    "address",
    ["/models/credit/history/", "/models/credit/?as_of={at}", "/models/credit/versions/1/lineage/",
     "/models/credit/history/?as_of={at}", "/data-sets/credit%20rows/1/lineage/?depth=2"],
)  # fmt: skip
def test_many_rows_cost_what_one_costs(served: Served, reader: Client, address: str) -> None:
    model, rows = served.version.model, served.version.data_links.all()[0].data_set

    def grow(first: int, last: int) -> None:
        for number in range(first, last):
            with door.open(served.by, Action.VERSION_CREATE, on=model) as entry:
                row = ModelVersion.objects.create(model=model, number=number, source="s", created_by=served.by.account)
                entry.record(on=row)
            case.link(served.by, row, rows)
            aliases.set_alias(by=served.by, model=model, alias=f"a{number}", version=row)

    grow(2, 4)
    few = _queries(reader, address.format(at=rfc3339(clock.now())))
    grow(4, 16)
    assert _queries(reader, address.format(at=rfc3339(clock.now()))) == few


def test_the_links_are_where_people_look(served: Served, reader: Client) -> None:
    said: dict[str, Any] = {
        "/models/credit/": "/models/credit/history/",
        "/models/credit/versions/1/": "/models/credit/versions/1/lineage/",
        "/data-sets/credit%20rows/1/": "/data-sets/credit%20rows/1/lineage/",
    }
    for address, link in said.items():
        assert f'href="{link}"' in reader.get(address).content.decode()
