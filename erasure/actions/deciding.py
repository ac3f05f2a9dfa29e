"""What people decide about a request before anything is erased: approve its plan, refuse it, take it back."""

from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, Stale
from audit.events import Action
from erasure import queries, rules
from erasure.actions import moves
from erasure.models import ErasureRequest
from erasure.states import Act, Outcome


def approve(*, by: Actor, request: ErasureRequest, plan_digest: str, comment: str = "") -> ErasureRequest:
    """Approve exactly the plan with this digest; the execution begins.

    Raises Stale when the plan is another one now, or the data sets are not those it was made for.
    """
    with door.open(by, Action.ERASURE_APPROVE, on=request) as entry:
        request = entry.locked
        before = request.state
        text = moves.text_of(comment, request)
        moves.move(request, Act.APPROVE)
        if plan_digest != request.plan_digest:
            raise Stale(
                "The plan you judged is not the one that stands there now. Read it again and approve what it says now.",
                details={"plan_digest": request.plan_digest},
            )
        if queries.has_moved(request, queries.tasks_of(request)):
            raise Stale(rules.MOVED, details={"plan_digest": request.plan_digest})
        request.approver, request.approved_plan_digest, request.approved_at = by.account or "", plan_digest, now()
        request.executor = ""
        request.save()
        moves.wake(moves.EXECUTE, request)
        entry.record(before={"state": before}, after={"state": request.state, "plan": plan_digest}, reason=text)
        return request


def refuse(*, by: Actor, request: ErasureRequest, reason: str) -> ErasureRequest:
    """End a request without erasing, with the reason that the person will be told."""
    return _stop(by, request, Action.ERASURE_REFUSE, Act.REFUSE, Outcome.REFUSED, reason)


def cancel(*, by: Actor, request: ErasureRequest, reason: str) -> ErasureRequest:
    """Take a request back before it is executed."""
    return _stop(by, request, Action.ERASURE_CANCEL, Act.CANCEL, Outcome.WITHDRAWN, reason)


def _stop(
    by: Actor, request: ErasureRequest, action: Action, act: Act, outcome: Outcome, reason: str
) -> ErasureRequest:
    with door.open(by, action, on=request) as entry:
        request = entry.locked
        before = request.state
        sentence = rules.why_not_stoppable(request, act, began=queries.has_begun(queries.tasks_of(request)))
        if sentence is not None:
            raise Conflict(sentence, code="wrong_state", details={"state": request.state})
        request.reason = moves.text_of(reason, request, needed=True)
        moves.move(request, act)
        moves.close(request, by=by.account or "", outcome=outcome.value)
        request.save()
        entry.record(
            before={"state": before},
            after={"state": request.state, "outcome": request.outcome},
            reason=request.reason,
        )
        return request
