"""A list costs as many queries for thirty rows as for one."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from access import actions
from access.authenticate import actor_of
from access.models import User
from access.roles import Role
from audit.actors import SYSTEM
from registry.actions import promotion
from registry.models import PromotionRequest
from registry.queries import promotion as promotion_queries
from tests import erasure_cases, factories
from tests.abuse.surface import caller
from tests.web.rest.test_promotion_api import version_of

pytestmark = pytest.mark.django_db

LISTS = {
    "models": "models/",
    "versions": "models/one/versions/",
    "data_sets": "data-sets/",
    "promotion_requests": "promotion-requests/",
    "erasure_requests": "erasure-requests/",
    "entries": "trail/?action=promotion.request",
    "people": "people/",
    "groups": "groups/",
    "service_accounts": "service-accounts/",
    "accounts": "who-can/?action=promotion.request&model=one",
    "tokens": "tokens/",
}


def one_more(number: int) -> None:
    """A model, two data sets, a version, a request and its entry, each by people of their own."""
    author = factories.account(Role.DATA_SCIENTIST)
    version = version_of(author, name=f"model-{number}")
    version_of(author, name="one", number=number)
    by = actor_of(factories.account(Role.DATA_SCIENTIST, Role.VIEWER), "session")
    promotion.open_request(by=by, version=version, target_stage="Production", justification="Better.")
    erasure_cases.file(factories.actor(Role.COMPLIANCE_OFFICER), external_id=f"case-{number}")
    group = actions.create_group(by=SYSTEM, name=f"group {number}")
    actions.add_member(by=SYSTEM, group=group, user=author)
    actions.grant_role(by=SYSTEM, group=group, role=Role.VIEWER)
    actions.create_user(by=SYSTEM, username=f"robot-{number}", password=None, is_service=True, owner=author)
    for reader in User.objects.filter(tokens__name="abuse"):
        actions.create_token(by=SYSTEM, user=reader, name=f"token {number}")


def asked(client: Client) -> dict[str, tuple[int, int]]:
    """For each list: rows and queries."""
    found = {}
    for name, path in LISTS.items():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = client.get(f"/api/v1/{path}")
        assert answer.status_code == 200, answer.content
        found[name] = (len(answer.json()[name]), len(queries))
    return found


def test_a_list_of_thirty_costs_what_a_list_of_one_costs() -> None:
    factories.account(Role.REVIEWER)
    client = caller(Role.REVIEWER, Role.AUDITOR)
    client.get("/api/v1/people/")  # the first read that is recorded makes the reader's pseudonym and key
    one_more(1)
    before = asked(client)
    for number in range(2, 31):
        one_more(number)
    after = asked(client)
    assert all(rows >= 30 for rows, _ in after.values()), after
    assert {name: queries for name, (_, queries) in after.items()} == {
        name: queries for name, (_, queries) in before.items()
    }
    assert max(queries for _, queries in after.values()) <= 14, after


def test_subjects_of_many_requests_take_one_query_and_are_those_of_each() -> None:
    factories.account(Role.REVIEWER)
    for number in range(1, 6):
        one_more(number)
    rows = list(PromotionRequest.objects.select_related("model", "version__model"))
    with CaptureQueriesContext(connection) as queries:
        subjects = PromotionRequest.subjects_of(rows)
    assert len(queries) == 1
    for row, subject in zip(rows, subjects, strict=True):
        assert subject.involved["requester"] == {row.requested_by}
        assert subject.involved["version_author"] == {row.version.created_by}
        assert subject.involved["data_owner"] == {link.data_set.created_by for link in row.version.data_links.all()}
        assert (subject.scope, subject.id) == (row.model.name, str(row.pk))


def test_the_inbox_says_of_each_request_what_the_request_says() -> None:
    reviewer = factories.account(Role.REVIEWER)
    for number in range(1, 4):
        one_more(number)
    own = version_of(reviewer, name="mine")
    factories.account(Role.REVIEWER)
    promotion.open_request(
        by=factories.actor(Role.DATA_SCIENTIST), version=own, target_stage="Production", justification="x"
    )
    by = actor_of(reviewer, "session")
    found = promotion_queries.waiting_for(by)
    assert [refusal is None for _, refusal in found] == [True, True, True, False]
    assert "You registered this model version" in str(found[-1][1])
