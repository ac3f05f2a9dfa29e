"""Who may do what, written down a second time, by hand: every action against every role, and the rules around it."""

from datetime import timedelta

import pytest

from access import grants, policy
from access.authenticate import actor_of
from access.roles import Role
from audit.actors import ANONYMOUS, SYSTEM, Actor
from audit.clock import now
from audit.errors import Denied, Unauthenticated
from audit.events import Action
from audit.models import Event
from audit.subjects import INSTALLATION, Subject
from tests import factories

pytestmark = pytest.mark.django_db

# V viewer, D data scientist, R reviewer, K risk owner, A auditor, C compliance officer, M administrator, S service;
# P: Plimsoll itself; O: whoever's account it is done to, whatever their roles.
LETTERS = dict(zip("VDRKACMS", Role, strict=True))
EXPECTED = """
session.open VDRKACMS
session.close VDRKACMS
session.revoke MPO
password.change O
password.reset MP
user.create MP
user.close MP
user.reopen MP
service_account.set_owner MP
group.create MP
group.update MP
group.close MP
group.add_member MP
group.remove_member MP
role.grant MP
role.revoke MP
token.create PO
token.revoke MPO
sign_in_link.create MP
people.view ACM
registry.view VDRKACMS
tracking.read VDRKACMSP
tracking.write DS
registered_model.create DS
registered_model.update DS
registered_model.rename DS
registered_model.delete DS
registered_model.tag DS
alias.set DS
alias.delete DS
model_version.create DS
model_version.update DS
model_version.tag DS
model_version.transition_stage DS
model_version.delete DS
data_set.create DS
data_set.link DS
data_set.adopt P
artifact.pin P
artifact.check DRKAMSP
artifact.alarm P
run.record P
evidence.request DRKSP
evidence.attach P
evidence.view VDRKACMS
job.fail P
webhook.view DACMS
webhook.create DCMS
webhook.update DCMS
webhook.delete DCMS
webhook.test DCMS
webhook.redeliver DCMS
promotion.view VDRKACMS
promotion.request DS
promotion.decide RK
promotion.apply DRKS
promotion.withdraw DS
trail.view ACM
trail.export A
audit.tick P
audit.prune P
audit_key.rotate P
audit_key.retire P
privacy.erase CP
erasure.view AC
erasure.file C
erasure.discover CP
erasure.approve C
erasure.refuse C
erasure.cancel C
erasure.execute CP
erasure.verify P
erasure.sign_off C
"""
TABLE: dict[str, str] = dict(line.split() for line in EXPECTED.strip().splitlines())
SUBJECT = Subject(type="registered_model", id="1", scope="credit", label="credit")


def test_the_table_covers_every_action() -> None:
    assert set(TABLE) == {action.value for action in Action}


@pytest.fixture
def by_letter() -> dict[str, Actor]:
    return {letter: factories.actor(role) for letter, role in LETTERS.items()}


@pytest.mark.parametrize("action", list(Action), ids=[action.value for action in Action])
def test_each_role_may_exactly_what_the_table_says(action: Action, by_letter: dict[str, Actor]) -> None:
    allowed = {letter for letter, actor in by_letter.items() if policy.why_not(actor, action, SUBJECT) is None}
    allowed |= {"P"} if policy.why_not(SYSTEM, action, SUBJECT) is None else set()
    holder = factories.account()
    nobody = actor_of(holder, "session")
    if policy.why_not(nobody, action, holder) is None and policy.why_not(nobody, action, SUBJECT) is not None:
        allowed.add("O")
    assert allowed == set(TABLE[action.value])


@pytest.mark.parametrize("action", list(Action), ids=[action.value for action in Action])
def test_a_stranger_may_do_nothing(action: Action) -> None:
    with pytest.raises(Unauthenticated, match="Sign in to"):
        policy.require(ANONYMOUS, action, SUBJECT)


def test_a_grant_on_a_pattern_reaches_only_matching_names() -> None:
    reviewer = factories.actor(Role.REVIEWER, pattern="credit-*")
    decide = Action.PROMOTION_DECIDE
    assert policy.why_not(reviewer, decide, Subject("promotion_request", "1", scope="credit-risk")) is None
    assert policy.why_not(reviewer, decide, Subject("promotion_request", "1", scope="fraud")) == (
        "You may not decide on a promotion: it takes the role reviewer or risk owner on fraud,"
        " and you have no role there."
    )
    assert policy.why_not(reviewer, decide, INSTALLATION) is not None


def test_a_grant_that_has_ended_does_not_count() -> None:
    until = now() + timedelta(seconds=1)
    user = factories.account(Role.REVIEWER, until=until)
    assert len(grants.in_force(str(user.pk))) == 1
    while now() < until:
        pass
    assert grants.in_force(str(user.pk)) == ()


def test_an_inactive_account_holds_no_role(django_capture_on_commit_callbacks) -> None:
    from access.models import User
    from audit import door

    user = factories.account(Role.ADMINISTRATOR)
    with door.open(SYSTEM, Action.USER_CREATE, on=user) as entry:
        User.objects.filter(pk=user.pk).update(is_active=False)
        entry.record()
    assert grants.in_force(str(user.pk)) == ()


@pytest.mark.parametrize(
    ("relation", "opening"),
    [
        ("requester", "You filed this request"),
        ("version_author", "You registered this model version"),
        ("evidence_author", "You produced evidence for this model version"),
        ("data_owner", "You registered data this model version was built on"),
    ],
)
def test_whoever_is_entangled_may_not_decide(relation: str, opening: str) -> None:
    reviewer = factories.actor(Role.REVIEWER, Role.ADMINISTRATOR)
    assert reviewer.account
    subject = Subject("promotion_request", "1", "credit", involved={relation: frozenset({reviewer.account})})
    sentence = f"{opening}, so you may not decide on a promotion: someone independent has to."
    assert policy.why_not(reviewer, Action.PROMOTION_DECIDE, subject) == sentence


def test_a_refused_read_is_recorded() -> None:
    viewer = factories.actor(Role.VIEWER)
    with pytest.raises(Denied):
        policy.require_read(viewer, Action.TRAIL_VIEW, INSTALLATION)
    assert Event.objects.filter(action="trail.view", outcome="denied", log="admin").count() == 1
