"""Who can do this: the answer is what happens, for every act and every account, whatever the way a role is held."""

import pytest
from django.test import Client

from access import actions, policy, who_can
from access.authenticate import actor_of
from access.models import User
from access.policy import POLICY
from access.roles import Role
from audit.actors import SYSTEM
from audit.errors import Denied, Invalid
from audit.events import Action
from audit.subjects import Subject
from tests import factories
from tests.web.pages.case import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor() -> User:
    """Who asks, among accounts that hold roles in every way there is."""
    for role in Role:
        factories.account(role, username=f"all-{role.value}")
        factories.account(role, username=f"credit-{role.value}", pattern="credit-*")
    team = actions.create_group(by=SYSTEM, name="Validation")
    actions.grant_role(by=SYSTEM, group=team, role=Role.REVIEWER, pattern="credit-*")
    actions.add_member(by=SYSTEM, group=team, user=factories.account(username="member"))
    boss = factories.account(Role.ADMINISTRATOR, username="boss")
    actions.grant_role(by=actor_of(boss, "session"), user=boss, role=Role.REVIEWER)
    actions.create_user(by=SYSTEM, username="robot", password=None, is_service=True, owner=boss)
    actions.grant_role(by=SYSTEM, user=User.objects.get(username="robot"), role=Role.SERVICE)
    actions.close_account(by=SYSTEM, user=factories.account(Role.REVIEWER, username="closed"))
    return User.objects.get(username="all-auditor")


@pytest.mark.parametrize("scope", ["", "credit-risk", "fraud"])
def test_the_answer_is_what_happens(auditor: User, scope: str) -> None:
    by = actor_of(auditor, "session")
    everybody = list(User.objects.filter(is_active=True))
    for action, rule in POLICY.items():
        if not rule.roles:
            continue
        found = who_can.answer(by, who_can.question(action.value, scope), size=500)
        said = {holder.user.username for holder in found.holders if holder.why_not is None}
        subject = Subject("x", "1", scope)
        happens = {u.username for u in everybody if policy.why_not(actor_of(u, "session"), action, subject) is None}
        if not rule.anyone:
            assert said == happens, action


def test_it_says_through_what_and_why_not(auditor: User) -> None:
    asked = who_can.question("promotion.decide", "credit-risk")
    found = who_can.answer(actor_of(auditor, "session"), asked)
    by_name = {holder.user.username: holder for holder in found.holders}
    assert sorted(by_name) == [
        "all-reviewer",
        "all-risk_owner",
        "boss",
        "credit-reviewer",
        "credit-risk_owner",
        "member",
    ]
    assert [who_can.grant_words(held) for held in by_name["member"].through] == [
        "reviewer on credit-*, through the group “Validation”"
    ]
    assert by_name["member"].why_not is None
    assert str(by_name["boss"].why_not).startswith("You granted yourself the role this takes")
    assert [str(grant.group) for grant in found.groups] == ["Validation"]
    assert found.sentence == "To decide on a promotion takes the role reviewer or risk owner, held on credit-risk."


def test_pages_of_the_answer_hold_everybody_once(auditor: User) -> None:
    by, asked = actor_of(auditor, "session"), who_can.question("registry.view", "credit-risk")
    names, after = [], ""
    while True:
        part = who_can.answer(by, asked, after, size=4)
        names += [holder.user.username for holder in part.holders]
        after = part.after
        if not after:
            break
    everybody = [holder.user.username for holder in who_can.answer(by, asked, size=500).holders]
    assert names == everybody
    assert len(names) == len(set(names)) == 19


def test_only_who_sees_accounts_may_ask_and_only_for_what_there_is(auditor: User) -> None:
    with pytest.raises(Denied, match="You may not see accounts and roles"):
        who_can.answer(factories.actor(Role.REVIEWER), who_can.question("promotion.decide"))
    with pytest.raises(Invalid, match="There is no action named 'fly'"):
        who_can.question("fly")
    client: Client = client_of(auditor)
    assert client.get("/people/who-can/?action=fly").status_code == 400
    page = client.get("/people/who-can/?action=promotion.decide&person=all-viewer").content.decode()
    assert "You may not decide on a promotion: it takes the role reviewer or risk owner" in page
    unknown = client.get("/people/who-can/?action=promotion.decide&person=nobody")
    assert (unknown.status_code, "There is no account with this user name." in unknown.content.decode()) == (400, True)
    rest = client.get("/api/v1/who-can/?action=promotion.decide&person=all-viewer").json()
    assert [(each["username"], each["allowed"]) for each in rest["accounts"]] == [("all-viewer", False)]
    assert {each["action"] for each in client.get("/api/v1/permissions/").json()["actions"]} == {
        action.value for action in Action
    }
