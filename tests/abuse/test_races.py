"""Two at once: one gets through, the other is told, and nothing is done twice, half, or on old ground.

Real threads with connections of their own, in a database in which transactions really commit.
"""

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from access import actions
from access.authenticate import actor_of
from access.models import RoleGrant, Token, User
from access.roles import Role
from audit import door
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.errors import Denied, DomainError, Stale
from audit.events import Action
from registry import fields, rules
from registry.actions import aliases, data_sets, models, promotion, versions
from registry.models import (
    DataSet,
    Decision,
    Evidence,
    Grant,
    ModelVersion,
    PromotionRequest,
    RegisteredModel,
    StageChange,
)
from registry.states import DecisionKind
from tests import factories
from tests.abuse.trail_checks import assert_sound, in_background, refusals, together, wait_until_blocked
from tests.web.rest.test_promotion_api import version_of

pytestmark = pytest.mark.usefixtures("fresh_database")
ROUNDS = range(4)


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    from web.celery import app

    app.set_current()
    monkeypatch.setattr(app, "send_task", lambda *args, **options: None)


class People:
    """Who takes part."""

    def __init__(self) -> None:
        self.author = factories.account(Role.DATA_SCIENTIST)
        self.ana = actor_of(self.author, "session")
        self.rex, self.rita = factories.actor(Role.REVIEWER), factories.actor(Role.RISK_OWNER)

    def filed(self, name: str) -> PromotionRequest:
        """An open request for a complete version of a new model."""
        return self.ask(version_of(self.author, name=name))

    def ask(self, version: ModelVersion) -> PromotionRequest:
        return promotion.open_request(by=self.ana, version=version, target_stage="Production", justification="Better.")

    def approved(self, name: str) -> PromotionRequest:
        request = self.filed(name)
        self.say(self.rex, request)()
        request.refresh_from_db()
        return request

    def say(self, by: Actor, request: PromotionRequest, kind: DecisionKind = DecisionKind.APPROVE) -> Callable[[], Any]:
        return lambda: promotion.decide(
            by=by, request=request, kind=kind, subject_digest=request.subject_digest, comment="So."
        )

    def carry_out(self, request: PromotionRequest) -> Callable[[], Any]:
        return lambda: promotion.apply(by=self.ana, request=request, subject_digest=request.subject_digest)

    def describe(self, version: ModelVersion) -> Callable[[], Any]:
        return lambda: versions.update(by=self.ana, version=version, description="With caveats.")


@pytest.fixture
def people(fresh_database: str) -> People:
    return People()


def state_of(request: PromotionRequest) -> str:
    return PromotionRequest.objects.get(pk=request.pk).state


def evidence_arrives(version: ModelVersion) -> None:
    with door.open(SYSTEM, Action.EVIDENCE_ATTACH, on=version) as entry:
        Evidence.objects.create(
            version=entry.locked, kind="fairness", status="OK", inputs={"artifact": version.artifact_digest},
            result={"attributes": [], "run": 2}, result_digest="1" * 64,
        )  # fmt: skip
        entry.record()


def test_two_reviewers_approve_at_once(people: People) -> None:
    for number in ROUNDS:
        request = people.filed(f"m{number}")
        found = together(people.say(people.rex, request), people.say(people.rita, request))
        assert refusals(found) == ["wrong_state"]
        assert state_of(request) == "APPROVED"
        assert Decision.objects.filter(request=request).count() == 1
    assert_sound()


def test_one_approves_while_another_rejects(people: People) -> None:
    for number in ROUNDS:
        request = people.filed(f"m{number}")
        acts = [people.say(people.rex, request), people.say(people.rita, request, DecisionKind.REJECT)]
        assert refusals(together(*acts)) == ["wrong_state"]
        decision = Decision.objects.get(request=request)
        assert (decision.kind, state_of(request)) in {("APPROVE", "APPROVED"), ("REJECT", "REJECTED")}
    assert_sound()


def test_evidence_arrives_while_somebody_decides(people: People) -> None:
    for number in ROUNDS:
        request = people.filed(f"m{number}")
        found = together(people.say(people.rex, request), lambda request=request: evidence_arrives(request.version))
        assert refusals(found) in ([], ["stale_digest"])
        # Whatever came first: what was approved before the evidence cannot be applied after it.
        with pytest.raises(DomainError) as caught:
            people.carry_out(request)()
        assert caught.value.code == ("not_appliable" if refusals(found) else "stale_digest")
    assert_sound()


def test_what_changes_while_an_application_waits_is_seen_by_it(people: People) -> None:
    """The application waits for the model; meanwhile the description changes: what was approved is not there now."""
    request = people.approved("credit")
    with transaction.atomic():
        RegisteredModel.objects.select_for_update().get(pk=request.model_id)
        applied = in_background(people.carry_out(request))
        wait_until_blocked()
        (changed,) = together(people.describe(request.version))
        assert not isinstance(changed, DomainError)
    assert isinstance(applied(), Stale)
    assert state_of(request) == "APPROVED"
    assert not Grant.objects.exists()
    assert_sound()


def test_an_application_and_a_change_have_an_order(people: People) -> None:
    for number in ROUNDS:
        request = people.approved(f"m{number}")
        applied, changed = together(people.carry_out(request), people.describe(request.version))
        if isinstance(applied, DomainError):
            assert (applied.code, state_of(request)) == ("stale_digest", "APPROVED")
        else:
            assert (changed.code, state_of(request)) == ("frozen", "APPLIED")
    assert_sound()


def test_applying_at_once_issues_one_grant(people: People) -> None:
    for number in ROUNDS:
        request = people.approved(f"m{number}")
        first, second, third = together(*[people.carry_out(request)] * 3)
        assert first.pk == second.pk == third.pk
        assert Grant.objects.filter(request=request).count() == 1
        assert StageChange.objects.filter(version=request.version).count() == 1
    assert_sound()


def test_one_applies_while_the_requester_withdraws(people: People) -> None:
    for number in ROUNDS:
        request = people.approved(f"m{number}")
        found = together(
            people.carry_out(request), lambda request=request: promotion.withdraw(by=people.ana, request=request)
        )
        codes = refusals(found)
        assert (codes, state_of(request)) in ((["wrong_state"], "APPLIED"), (["not_appliable"], "WITHDRAWN"))
    assert_sound()


def test_two_requests_for_one_model_and_stage(people: People) -> None:
    for number in ROUNDS:
        pair = [version_of(people.author, name=f"m{number}", number=each) for each in (1, 2)]
        found = together(*[lambda version=version: people.ask(version) for version in pair])
        assert refusals(found) == ["live_request"]
    assert_sound()


def test_an_expired_request_makes_way_once(people: People) -> None:
    for number in ROUNDS:
        old = people.filed(f"m{number}")
        with door.open(SYSTEM, Action.JOB_FAIL, on=old) as entry:
            PromotionRequest.objects.filter(pk=old.pk).update(expires_at=now())
            entry.record()
        found = together(
            lambda old=old: people.ask(old.version),
            lambda old=old: people.ask(old.version),
            lambda old=old: promotion.withdraw(by=people.ana, request=old),
        )
        made = [one for one in found[:2] if isinstance(one, PromotionRequest)]
        assert len(made) <= 1
        assert state_of(old) == ("WITHDRAWN" if not isinstance(found[2], DomainError) else "EXPIRED")
    assert_sound()


def test_filing_and_moving_one_version_wait_for_each_other_and_never_for_ever(people: People) -> None:
    for number in range(8):
        version = version_of(people.author, name=f"m{number}", complete=False)

        def move(version: ModelVersion = version) -> Any:
            return versions.transition(by=people.ana, version=version, stage="Staging", archive_existing=True)

        found = together(lambda version=version: people.ask(version), move, move)
        assert refusals(found) == []
    assert_sound()


def test_everything_about_one_model_at_once(people: People) -> None:
    """No order of locks in which two wait for each other for ever; a deadlock would come back as a database error."""
    for number in ROUNDS:
        first = people.approved(f"m{number}")
        second = version_of(people.author, name=f"m{number}", number=2)
        model = first.model
        found = together(
            people.carry_out(first),
            lambda second=second: people.ask(second),
            lambda first=first: evidence_arrives(first.version),
            people.say(people.rita, first, DecisionKind.REJECT),
            lambda second=second: versions.transition(
                by=people.ana, version=second, stage="Staging", archive_existing=True
            ),
            lambda model=model, second=second: aliases.set_alias(
                by=people.ana, model=model, alias="next", version=second
            ),
            lambda second=second: versions.delete(by=people.ana, version=second),
            lambda model=model: models.delete(by=people.ana, model=model),
        )
        assert isinstance(found[-1], DomainError), "a model with promotions was deleted"
    assert_sound()


def test_versions_made_at_once_have_numbers_of_their_own(people: People) -> None:
    model = models.create(by=people.ana, name="prompt", tags={fields.PROMPT_TAG: "true"})

    def make() -> int:
        made = versions.create(by=people.ana, model=model, source="dummy-source", tags={fields.PROMPT_TAG: "true"})
        return made.number

    assert sorted(together(*[make] * 6)) == [1, 2, 3, 4, 5, 6]
    assert RegisteredModel.objects.get(pk=model.pk).last_number == 6
    assert_sound()


def test_identical_data_registered_at_once_is_one_data_set(people: People) -> None:
    def register(name: str) -> Callable[[], Any]:
        return lambda: data_sets.register(
            by=people.ana, name=name, content=io.BytesIO(b"id,age\n1,2\n"), filename="a.csv", role="training"
        )

    found = together(register("rows"), register("rows"), register("rows"), register("others"))
    assert refusals(found) == ["data_set_exists", "data_set_exists"]
    assert sorted(DataSet.objects.values_list("name", "number")) == [("others", 1), ("rows", 1)]
    assert len(set(DataSet.objects.values_list("path", flat=True))) == 1
    assert_sound()


def test_roles_tokens_and_accounts_made_at_once(people: People) -> None:
    boss, user = factories.actor(Role.ADMINISTRATOR), factories.account()
    own = actor_of(user, "session")
    found = together(*[lambda: actions.grant_role(by=boss, user=user, role=Role.AUDITOR)] * 3)
    assert refusals(found) == ["role_held", "role_held"]
    grant = RoleGrant.objects.get(user=user)
    together(*[lambda: actions.create_token(by=own, user=user, name="ci")] * 3)
    assert Token.objects.filter(user=user).count() == 3
    for number in ROUNDS:
        names = (f"Zoë{number}", f"zoË{number}")
        found = together(
            *[lambda name=name: actions.create_user(by=boss, username=name, password=None) for name in names]
        )
        assert refusals(found) == ["username_taken"]
        assert User.objects.filter(username__iexact=names[0]).count() == 1
    assert refusals(together(*[lambda: actions.revoke_role(by=boss, grant=grant)] * 3)) == ["not_found", "not_found"]
    secret = actions.create_sign_in_link(by=boss, user=user)
    spent = together(*[lambda: actions.open_session(by=own, link=secret)] * 2)
    assert refusals(spent) in (["not_found"], ["unauthenticated"], ["spent_link"])
    assert_sound()


def test_a_role_revoked_while_its_holder_waits_to_decide_does_not_count(people: People) -> None:
    request = people.filed("credit")
    grant = RoleGrant.objects.get(user_id=people.rex.account)
    with transaction.atomic():
        PromotionRequest.objects.select_for_update().get(pk=request.pk)
        decided = in_background(people.say(people.rex, request))
        wait_until_blocked()
        together(lambda: actions.revoke_role(by=factories.actor(Role.ADMINISTRATOR), grant=grant))
    assert isinstance(decided(), Denied)
    assert decided().code == "role_missing"
    assert state_of(request) == "OPEN"
    assert_sound()


def test_a_role_revoked_while_its_holder_decides(people: People) -> None:
    boss = factories.actor(Role.ADMINISTRATOR)
    for number in ROUNDS:
        request, user = people.filed(f"m{number}"), factories.account(Role.REVIEWER)
        grant = RoleGrant.objects.get(user=user)
        found = together(
            people.say(actor_of(user, "session"), request),
            lambda grant=grant: actions.revoke_role(by=boss, grant=grant),
        )
        assert refusals(found) in ([], ["role_missing"])
        assert state_of(request) == ("OPEN" if refusals(found) else "APPROVED")
    assert_sound()


def test_refusals_of_many_at_once_stand_in_one_chain(people: People) -> None:
    request, viewers = people.filed("credit"), [factories.actor(Role.VIEWER) for _ in range(5)]
    found = together(*[people.say(viewer, request) for viewer in viewers])
    assert refusals(found) == ["role_missing"] * 5
    assert rules.current(PromotionRequest.objects.get(pk=request.pk)).subject_digest == request.subject_digest
    assert_sound()
