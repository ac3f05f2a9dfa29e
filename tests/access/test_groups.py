"""Groups and service accounts: what is held through a group, who is one person, and nobody decides on their own."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from access import actions, grants, policy
from access.authenticate import actor_of
from access.models import Group, Membership, RoleGrant, User
from access.roles import Role
from audit import door
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.errors import Conflict
from audit.events import Action
from audit.models import Event
from audit.subjects import INSTALLATION, Subject
from tests import factories

pytestmark = pytest.mark.django_db
DECIDE = Action.PROMOTION_DECIDE


def of(user: User, auth: str = "session") -> Actor:
    return actor_of(user, auth)


def request(**involved: User) -> Subject:
    found = {relation: frozenset({str(user.pk)}) for relation, user in involved.items()}
    return Subject("promotion_request", "1", "credit", involved=found)


def group(*members: User, role: Role | None = Role.REVIEWER, pattern: str = "*", by: Actor = SYSTEM) -> Group:
    made = actions.create_group(by=SYSTEM, name=f"team {Group.objects.count()}")
    for user in members:
        actions.add_member(by=SYSTEM, group=made, user=user)
    if role:
        actions.grant_role(by=by, group=made, role=role, pattern=pattern)
    return made


def service(owner: User | None, *roles: Role) -> User:
    made = actions.create_user(
        by=SYSTEM, username=f"robot{User.objects.count()}", password=None, is_service=True, owner=owner
    )
    for role in roles:
        actions.grant_role(by=SYSTEM, user=made, role=role)
    return made


def may(user: User, subject: Subject = INSTALLATION, action: Action = DECIDE) -> bool:
    return policy.why_not(of(user), action, subject) is None


def test_a_member_holds_what_the_group_holds_where_it_holds_it() -> None:
    ana, outsider = factories.account(), factories.account()
    group(ana, pattern="credit-*")
    assert may(ana, Subject("promotion_request", "1", "credit-risk"))
    assert not may(ana, Subject("promotion_request", "1", "fraud"))
    assert not may(outsider, Subject("promotion_request", "1", "credit-risk"))
    assert [(held.role, held.pattern, held.group) for held in grants.in_force(str(ana.pk))] == [
        (Role.REVIEWER, "credit-*", "team 0")
    ]


ENDINGS: dict[str, Callable[[Group, User], object]] = {
    "leaving": lambda team, user: actions.remove_member(by=SYSTEM, group=team, user=user),
    "closing the group": lambda team, user: actions.close_group(by=SYSTEM, group=team),
    "revoking the role": lambda team, user: actions.revoke_role(by=SYSTEM, grant=RoleGrant.objects.get(group=team)),
    "closing the account": lambda team, user: actions.close_account(by=SYSTEM, user=user),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_ends_ends_at_once(ending: str) -> None:
    ana = factories.account()
    team = group(ana)
    assert may(ana)
    ENDINGS[ending](team, ana)
    assert not may(ana)
    assert grants.in_force(str(ana.pk)) == ()
    assert grants.holders(frozenset({Role.REVIEWER}), "credit") == []


def test_a_group_grant_that_is_over_gives_nothing() -> None:
    ana = factories.account()
    team = group(ana, role=None)
    until = now() + timedelta(seconds=0.2)
    actions.grant_role(by=SYSTEM, group=team, role=Role.REVIEWER, until=until)
    assert may(ana)
    while now() < until:
        pass
    assert not may(ana)
    actions.grant_role(by=SYSTEM, group=team, role=Role.REVIEWER)  # the one that is over stands in nobody's way
    assert may(ana)


def test_joining_twice_or_a_name_twice_is_refused_and_a_closed_name_is_free() -> None:
    ana = factories.account()
    team = group(ana)
    with pytest.raises(Exception, match="in the group already"):
        actions.add_member(by=SYSTEM, group=team, user=ana)
    with pytest.raises(Exception, match="There is a group with this name already"):
        actions.create_group(by=SYSTEM, name="TEAM 0")
    actions.close_group(by=SYSTEM, group=team)
    assert actions.create_group(by=SYSTEM, name="Team 0").pk != team.pk
    assert Membership.objects.get().removed_at is not None


def test_holders_are_found_directly_and_through_groups_each_once() -> None:
    both, one, other = factories.account(Role.REVIEWER), factories.account(Role.REVIEWER), factories.account()
    group(both, other, pattern="cr*")
    found = grants.holders(frozenset({Role.REVIEWER}), "credit")
    assert sorted(found, key=lambda user: user.username) == sorted([both, one, other], key=lambda u: u.username)
    assert {user.pk for user in grants.holders(frozenset({Role.REVIEWER}), "fraud")} == {both.pk, one.pk}


# -- to oneself ------------------------------------------------------------------------------------------------------


def test_a_role_granted_through_a_group_to_oneself_is_self_granted() -> None:
    boss = factories.account(Role.ADMINISTRATOR)
    group(boss, by=of(boss))
    refusal = policy.why_not(of(boss), DECIDE, request())
    assert refusal == (
        "You granted yourself the role this takes, so you may not decide on a promotion: someone independent has to."
    )


def test_putting_oneself_into_a_group_that_has_the_role_is_self_granted_too() -> None:
    boss = factories.account(Role.ADMINISTRATOR)
    team = group()
    actions.add_member(by=of(boss), group=team, user=boss)
    assert not may(boss, request())
    other = factories.actor(Role.ADMINISTRATOR)
    actions.remove_member(by=other, group=team, user=boss)
    actions.add_member(by=other, group=team, user=boss)
    assert may(boss, request())


def test_having_ones_service_account_grant_the_role_is_self_granted() -> None:
    boss = factories.account(Role.ADMINISTRATOR)
    robot = service(boss, Role.ADMINISTRATOR)
    actions.grant_role(by=of(robot, "bearer"), user=boss, role=Role.REVIEWER)
    refusal = policy.why_not(of(boss), DECIDE, request())
    assert refusal is not None
    assert refusal.startswith("You granted yourself the role this takes")


# -- one person ------------------------------------------------------------------------------------------------------


def test_a_service_account_and_its_owner_are_one_person() -> None:
    owner, stranger = factories.account(Role.REVIEWER), factories.account(Role.REVIEWER)
    robot, brother = service(owner, Role.SERVICE, Role.REVIEWER), service(owner, Role.REVIEWER)
    assert policy.why_not(of(owner), DECIDE, request(requester=robot)) == (
        "You filed this request through another account that counts as yours, so you may not decide on a promotion:"
        " someone independent has to."
    )
    assert not may(robot, request(requester=owner))
    assert not may(brother, request(version_author=robot))
    assert may(stranger, request(requester=robot, version_author=owner))


def test_handing_a_service_account_over_frees_nobody() -> None:
    owner, other = factories.account(Role.REVIEWER), factories.account(Role.REVIEWER)
    robot = service(owner, Role.SERVICE)
    actions.set_owner(by=SYSTEM, service=robot, owner=other)
    assert not may(owner, request(requester=robot))
    assert not may(other, request(requester=robot))
    leaf = bytes(Event.objects.get(action="service_account.set_owner").leaf_data).decode()
    assert str(owner.pk) in leaf
    assert str(other.pk) in leaf


def test_a_service_account_works_only_while_its_owner_does() -> None:
    owner, other = factories.account(), factories.account()
    robot = service(owner, Role.SERVICE)
    assert may(robot, Subject("registered_model", "1", "x"), Action.MODEL_CREATE)
    actions.close_account(by=SYSTEM, user=owner)
    assert grants.in_force(str(robot.pk)) == ()
    assert grants.holders(frozenset({Role.SERVICE}), "x") == []
    actions.set_owner(by=SYSTEM, service=robot, owner=other)
    assert may(robot, Subject("registered_model", "1", "x"), Action.MODEL_CREATE)


def test_only_the_owner_makes_tokens_of_a_service_account() -> None:
    boss, owner = factories.account(Role.ADMINISTRATOR), factories.account()
    robot = service(owner)
    _, secret = actions.create_token(by=of(owner), user=robot, name="ci")
    assert secret.startswith("plim_")
    with pytest.raises(Exception, match="its holder has to"):
        actions.create_token(by=of(boss), user=robot, name="ci")


def test_whoever_makes_a_service_account_owns_it() -> None:
    boss = factories.account(Role.ADMINISTRATOR)
    robot = actions.create_user(by=of(boss), username="robot", password=None, is_service=True)
    assert robot.owner == boss


# -- the last administrator --------------------------------------------------------------------------------------------


LAST: dict[str, Callable[[User, Group], object]] = {
    "closing the account": lambda boss, team: actions.close_account(by=SYSTEM, user=boss),
    "revoking the role": lambda boss, team: actions.revoke_role(by=SYSTEM, grant=RoleGrant.objects.get(group=team)),
    "leaving the group": lambda boss, team: actions.remove_member(by=SYSTEM, group=team, user=boss),
    "closing the group": lambda boss, team: actions.close_group(by=SYSTEM, group=team),
}


@pytest.mark.parametrize("way", LAST)
def test_the_last_administrator_stays_whichever_way_the_role_is_held(way: str) -> None:
    boss = factories.account()
    team = group(boss, role=Role.ADMINISTRATOR)
    factories.account(Role.ADMINISTRATOR, pattern="credit-*")  # no administrator of the installation
    with pytest.raises(Conflict, match="This is the last administrator"):
        LAST[way](boss, team)
    assert grants.holders(frozenset({Role.ADMINISTRATOR}), "") == [boss]
    factories.account(Role.ADMINISTRATOR)
    LAST[way](boss, team)
    assert boss not in grants.holders(frozenset({Role.ADMINISTRATOR}), "")


def test_the_database_insists_on_one_holder_of_a_grant_and_owners_of_services_only() -> None:
    from django.db import IntegrityError, transaction

    ana, bea, team = factories.account(), factories.account(), group(role=None)
    for values in ({"user": ana, "group": team}, {}):
        with pytest.raises(IntegrityError), door.guard.allow("test"), transaction.atomic():
            RoleGrant.objects.create(role=Role.VIEWER, **values)
    with pytest.raises(IntegrityError), door.guard.allow("test"), transaction.atomic():
        User.objects.filter(pk=ana.pk).update(owner=bea)
