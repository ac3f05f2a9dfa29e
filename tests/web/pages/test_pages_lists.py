"""Lists ask the database as often for thirty rows as for one, and their pages follow each other without a gap."""

import re
from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from access import actions
from access.models import User
from access.roles import Role
from audit.actors import SYSTEM
from registry.actions import promotion
from tests import factories
from tests.web.pages import case
from tests.web.pages.case import actor, client_of
from web.pages import context

pytestmark = pytest.mark.django_db


class Crowd:
    """One person with every role and another who made everything, so that every list has something to show."""

    def __init__(self) -> None:
        self.reader = factories.account(*Role)
        self.maker = factories.account(Role.DATA_SCIENTIST)
        self.client = client_of(self.reader)
        self.count = 0

    def grow(self) -> None:
        """One more of everything: a model, version, data set, request, token, account and their entries."""
        self.count += 1
        row = case.version(actor(self.maker), f"model {self.count:03}")
        case.link(actor(self.maker), row, case.data_set(actor(self.maker), f"rows {self.count:03}"))
        case.reports(row)
        promotion.open_request(by=actor(self.maker), version=row, target_stage="Production", justification="x")
        actions.create_token(by=actor(self.reader), user=self.reader, name=f"token {self.count}")
        actions.create_user(by=SYSTEM, username=f"extra{self.count}", password=None)


def queries(client: Client, address: str) -> int:
    client.get(address)  # what is remembered for a while (the foot of the page) is remembered now
    context.forget_trail_line()
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    return len(asked)


LISTS = ["/", "/models/", "/data-sets/", "/promotions/", "/trail/", "/people/", "/tokens/"]


def test_no_list_asks_more_for_more_rows() -> None:
    crowd = Crowd()
    crowd.grow()
    few = {address: queries(crowd.client, address) for address in LISTS}
    for _ in range(29):
        crowd.grow()
    many = {address: queries(crowd.client, address) for address in LISTS}
    assert many == few
    assert max(many.values()) <= 40


def test_a_version_with_much_evidence_asks_no_more_than_one_with_little() -> None:
    found = case.waiting()
    client = client_of(found.reviewer)
    addresses = ["/models/credit/", "/models/credit/versions/1/", found.url]
    few = [queries(client, address) for address in addresses]
    for _ in range(9):
        case.reports(found.version)
    assert [queries(client, address) for address in addresses] == few


@pytest.mark.parametrize(
    ("address", "make", "pattern"),
    [
        ("/models/", lambda by, n: case.version(actor(by), f"model {n:03}"), r'href="/models/(model%20\d+)/"'),
        ("/data-sets/", lambda by, n: case.data_set(actor(by), f"rows {n:03}"), r'href="/data-sets/(rows%20\d+)/1/"'),
    ],
)
def test_pages_follow_each_other(address: str, make: Callable[[User, int], object], pattern: str) -> None:
    scientist = factories.account(Role.DATA_SCIENTIST)
    for number in range(65):
        make(scientist, number)
    client = client_of(scientist)
    seen: list[str] = []
    pages = 0
    following = address
    while following:
        body = client.get(following).content.decode()
        seen += re.findall(pattern, body)
        link = re.search(r'rel="next" href="([^"]+)"', body)
        following = address + link[1].replace("&amp;", "&") if link else ""
        pages += 1
    assert pages == 3
    assert len(seen) == 65 == len(set(seen))
    assert seen == sorted(seen)


def test_a_page_is_drawn_when_the_database_is_gone_for_the_frame() -> None:
    """The foot and the menu of an error page come from the database; without it the page still says what happened."""

    def broken(*_: object) -> None:
        raise DatabaseError("gone")

    request = RequestFactory().get("/models/")
    request.actor = actor(factories.account(Role.VIEWER))  # type: ignore[attr-defined]
    context.forget_trail_line()
    with connection.execute_wrapper(broken):
        assert "account" not in context.page(request)
    assert "account" in context.page(request)
