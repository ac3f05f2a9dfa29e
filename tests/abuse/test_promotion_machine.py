"""Any order of acts on promotion requests against the table of transitions: allowed is what the table allows, no more.

Hypothesis walks; the model beside it is ``registry.states.TRANSITIONS`` and three facts about the request: whether its
content has moved since it was last judged, whether its time is over, and which version holds the stage.
"""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from access.authenticate import actor_of
from access.roles import Role
from audit import door
from audit.actors import SYSTEM
from audit.clock import now
from audit.errors import Conflict, DomainError, Duplicate, Stale
from audit.events import Action
from audit.models import Event
from registry import rules
from registry.actions import promotion, versions
from registry.models import Alias, Decision, Grant, ModelVersion, PromotionRequest
from registry.queries import promotion as promotion_queries
from registry.states import LIVE, TRANSITIONS, DecisionKind, RequestAct, RequestState
from tests import factories
from tests.web.rest.test_promotion_api import version_of

ACT_OF = {
    DecisionKind.APPROVE: RequestAct.REACH_QUORUM,
    DecisionKind.REJECT: RequestAct.REJECT,
    DecisionKind.REQUEST_CHANGES: RequestAct.REQUEST_CHANGES,
}


class PromotionMachine(RuleBasedStateMachine):
    """One model, two versions, two reviewers, and whatever order of acts is thought of."""

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block._from_testcase = True  # type: ignore[attr-defined] # the door insists on being outermost
        self.block.__enter__()
        author = factories.account(Role.DATA_SCIENTIST)
        self.ana = actor_of(author, "session")
        self.reviewers = [factories.actor(Role.REVIEWER), factories.actor(Role.RISK_OWNER)]
        self.versions = [version_of(author, number=number) for number in (1, 2)]
        self.edits = self.entries = 0
        self.moved = self.expired = False
        self.in_stage: int | None = None
        self.request = self._file(0)
        self.state = RequestState.OPEN

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    def _file(self, which: int) -> PromotionRequest:
        return promotion.open_request(
            by=self.ana, version=self.versions[which], target_stage="Production", justification="Better."
        )

    def _expect(self, kind: type[DomainError] | None, act: Any) -> Any:
        """Do it: it must be refused with ``kind``, or succeed. A refusal adds one entry and changes nothing."""
        before = Event.objects.count()
        if kind is None:
            return act()
        stored = PromotionRequest.objects.filter(pk=self.request.pk).values()[0]
        with pytest.raises(kind):
            act()
        assert Event.objects.count() == before + 1
        assert Event.objects.order_by("-recorded_at", "-id")[0].outcome == "denied"
        assert PromotionRequest.objects.filter(pk=self.request.pk).values()[0] == stored
        return None

    def _digest(self, *, fresh: bool) -> str:
        return rules.current(PromotionRequest.objects.get(pk=self.request.pk)).subject_digest if fresh else "0" * 64

    def _reopened(self) -> RequestState:
        """The state a decision meets: an approval of what has moved is open again."""
        stale = (self.state, RequestAct.GO_STALE)
        return TRANSITIONS[stale] if self.moved and stale in TRANSITIONS else self.state

    @rule(who=st.integers(0, 1), kind=st.sampled_from(DecisionKind), fresh=st.sampled_from([True, True, True, False]))
    def decide(self, who: int, kind: DecisionKind, fresh: bool) -> None:
        met = self._reopened()
        refusal: type[DomainError] | None = None
        if met is not RequestState.OPEN or self.expired:
            refusal = Conflict
        elif not fresh:
            refusal = Stale
        digest = self._digest(fresh=fresh)
        self._expect(
            refusal,
            lambda: promotion.decide(
                by=self.reviewers[who], request=self.request, kind=kind, subject_digest=digest, comment="So."
            ),
        )
        if refusal is None:
            self.state = TRANSITIONS[met, ACT_OF[kind]] if kind in ACT_OF else met
            self.moved = False

    @rule()
    def resubmit(self) -> None:
        allowed = (self.state, RequestAct.RESUBMIT) in TRANSITIONS and not self.expired
        act = lambda: promotion.resubmit(by=self.ana, request=self.request, comment="")  # noqa: E731 - done or refused
        self._expect(None if allowed else Conflict, act)
        if allowed:
            self.state, self.moved = TRANSITIONS[self.state, RequestAct.RESUBMIT], False

    @rule()
    def withdraw(self) -> None:
        allowed = (self.state, RequestAct.WITHDRAW) in TRANSITIONS
        self._expect(None if allowed else Conflict, lambda: promotion.withdraw(by=self.ana, request=self.request))
        if allowed:
            self.state = TRANSITIONS[self.state, RequestAct.WITHDRAW]

    @rule(fresh=st.sampled_from([True, True, True, False]))
    def apply(self, fresh: bool) -> None:
        digest = self._digest(fresh=fresh)
        refusal: type[DomainError] | None = None
        if self.state is not RequestState.APPLIED:
            if (self.state, RequestAct.APPLY) not in TRANSITIONS:
                refusal = Conflict
            elif self.moved or not fresh:
                refusal = Stale
        self._expect(refusal, lambda: promotion.apply(by=self.ana, request=self.request, subject_digest=digest))
        if refusal is None and self.state is not RequestState.APPLIED:
            self.state = TRANSITIONS[self.state, RequestAct.APPLY]
            self.in_stage = self.request.version.number

    @rule()
    def edit(self) -> None:
        """The card changes: what was judged is not what stands there."""
        self.edits += 1
        versions.update(by=self.ana, version=self.request.version, description=f"Edit {self.edits}.")
        self.moved = True

    @precondition(lambda self: self.state in LIVE and not self.expired)
    @rule()
    def time_passes(self) -> None:
        with door.open(SYSTEM, Action.JOB_FAIL, on=self.request) as entry:
            PromotionRequest.objects.filter(pk=self.request.pk).update(expires_at=now() - timedelta(seconds=1))
            entry.record()
        self.expired = True

    @rule(which=st.integers(0, 1))
    def file(self, which: int) -> None:
        refusal: type[DomainError] | None = None
        live = self.state in LIVE
        expires = self.expired and (self.state, RequestAct.EXPIRE) in TRANSITIONS
        if self.in_stage == self.versions[which].number:
            refusal = Conflict
        elif live and not expires:
            refusal = Duplicate
        made = self._expect(refusal, lambda: self._file(which))
        if made is not None:
            if live:
                assert self._stored() is TRANSITIONS[self.state, RequestAct.EXPIRE]
            self.request, self.state, self.moved, self.expired = made, RequestState.OPEN, False, False

    def _stored(self) -> RequestState:
        return RequestState(PromotionRequest.objects.get(pk=self.request.pk).state)

    @invariant()
    def what_is_stored_is_what_the_table_says(self) -> None:
        assert self._stored() is self.state
        live = PromotionRequest.objects.filter(state__in=[state.value for state in LIVE])
        assert live.count() == (1 if self.state in LIVE else 0)

    @invariant()
    def stage_alias_and_grants_follow_the_applications(self) -> None:
        applied = PromotionRequest.objects.filter(state="APPLIED").count()
        assert Grant.objects.count() == applied
        assert Grant.objects.filter(state="ACTIVE").count() == (1 if applied else 0)
        held = list(ModelVersion.objects.filter(stage="Production").values_list("number", flat=True))
        assert held == ([self.in_stage] if self.in_stage else [])
        named = list(Alias.objects.filter(name="champion").values_list("version__number", flat=True))
        assert named == held

    @invariant()
    def what_is_offered_is_what_is_possible(self) -> None:
        """A button says what the act will say."""
        found = promotion_queries.view(self.reviewers[0], PromotionRequest.objects.get(pk=self.request.pk))
        open_now = self._reopened() is RequestState.OPEN and not self.expired
        assert ("approve" in found.available_actions) == open_now
        assert ("apply" in found.available_actions) == (self.state is RequestState.APPROVED and not self.moved)
        own = promotion_queries.view(self.ana, PromotionRequest.objects.get(pk=self.request.pk))
        assert ("withdraw" in own.available_actions) == (self.state in LIVE)
        asked = self.state is RequestState.CHANGES_REQUESTED and not self.expired
        assert ("resubmit" in own.available_actions) == asked

    @invariant()
    def every_decision_has_its_entry_in_one_chain(self) -> None:
        events = list(Event.objects.filter(object_type="promotion_request", object_id=str(self.request.pk)))
        assert sorted(event.object_n for event in events) == list(range(1, len(events) + 1))
        decided = [event for event in events if event.action == "promotion.decide" and event.outcome == "success"]
        assert len(decided) == Decision.objects.filter(request=self.request).count()
        said = [json.loads(bytes(event.leaf_data))["change"]["after"]["state"] for event in decided]
        assert set(said) <= {state.value for state in RequestState}


@pytest.mark.django_db
def test_promotion_requests_follow_the_table_in_any_order() -> None:
    run_state_machine_as_test(
        PromotionMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=14,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
