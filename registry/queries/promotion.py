"""A promotion request as a reviewer reads it: gates, decisions, who may act and why not, fetched once."""

from collections.abc import Sequence
from dataclasses import dataclass

from access import policy
from audit.actors import Actor
from audit.events import Action
from registry import rules
from registry.models import Decision, Grant, PromotionRequest
from registry.queries import visible
from registry.states import LIVE, DecisionKind


@dataclass(frozen=True)
class View:
    """One request with everything its page and its API answer show."""

    request: PromotionRequest
    now: rules.Current
    gates: Sequence[rules.Gate]
    decisions: Sequence[Decision]
    counted: frozenset[str]
    need: int
    have: int
    moved: Sequence[str]
    grant: Grant | None
    why_not: dict[str, str | None]

    @property
    def available_actions(self) -> list[str]:
        return [name for name, sentence in self.why_not.items() if sentence is None]

    @property
    def evidence_ids(self) -> list[str]:
        """The evidence a reader of this view sees."""
        return sorted(str(row.pk) for row in self.now.record.evidence.values())


def view(by: Actor, request: PromotionRequest) -> View:
    """Put a request together for one viewer."""
    seen = rules.current(request)
    decisions = list(request.decisions.order_by("created_at"))
    counted = rules.effective(decisions, seen.subject_digest)
    gates = rules.gates(seen.record, request.policy)
    return View(
        request=request,
        now=seen,
        gates=gates,
        decisions=decisions,
        counted=frozenset(str(row.pk) for row in counted.values()),
        need=int(request.policy["quorum"]["count"]),
        have=len(rules.approvals(decisions, seen.subject_digest)),
        moved=rules.changed(request.sections, seen.sections) if request.state in LIVE else [],
        grant=Grant.objects.filter(request=request).first(),
        why_not=_why_not(by, request, seen, gates),
    )


def _why_not(
    by: Actor, request: PromotionRequest, seen: rules.Current, gates: Sequence[rules.Gate]
) -> dict[str, str | None]:
    """For each act: the sentence that refuses it now, or None. *Who* comes first, then *when*."""
    decide = policy.why_not(by, Action.PROMOTION_DECIDE, request) or rules.why_not_decidable(request, seen)
    own = rules.why_not_own(by.account, request)
    return {
        "approve": decide or rules.why_not_approvable(gates),
        "request_changes": decide,
        "reject": decide,
        "apply": policy.why_not(by, Action.PROMOTION_APPLY, request) or rules.why_not_appliable(request, seen),
        "withdraw": policy.why_not(by, Action.PROMOTION_WITHDRAW, request)
        or own
        or rules.why_not_withdrawable(request),
        "resubmit": policy.why_not(by, Action.PROMOTION_REQUEST, request)
        or own
        or rules.why_not_resubmittable(request),
    }


def waiting_for(by: Actor) -> list[tuple[PromotionRequest, str | None]]:
    """The live requests an actor can see, oldest first, each with why it is not theirs to decide (None: it is)."""
    rows = visible.promotion_requests(by).filter(state__in=[state.value for state in LIVE]).order_by("opened_at")
    listed = list(rows[:200])
    subjects = PromotionRequest.subjects_of(listed)
    refusals = [policy.why_not(by, Action.PROMOTION_DECIDE, subject) for subject in subjects]
    return list(zip(listed, refusals, strict=True))


KINDS = {
    "approve": DecisionKind.APPROVE,
    "request_changes": DecisionKind.REQUEST_CHANGES,
    "reject": DecisionKind.REJECT,
}
