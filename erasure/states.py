"""States, transitions and fixed words of erasure as data. *When* something may happen is read here and in ``rules.py``;
*who* may do it is ``access/policy.py``.
"""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where an erasure request stands."""

    RECEIVED = "received"
    DISCOVERING = "discovering"
    PLAN_READY = "plan_ready"
    APPROVED = "approved"
    EXECUTING = "executing"
    VERIFYING = "verifying"
    AWAITING_SIGNOFF = "awaiting_signoff"
    COMPLETED = "completed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    NEEDS_ATTENTION = "needs_attention"


class Act(StrEnum):
    """What can move a request."""

    SEARCH = "search"
    PLAN = "plan"
    APPROVE = "approve"
    REFUSE = "refuse"
    CANCEL = "cancel"
    EXECUTE = "execute"
    ALL_REPLACED = "all_replaced"
    PASS = "pass"  # noqa: S105 - a move
    FAIL = "fail"
    SIGN = "sign_off"


CLOSED: Final = frozenset({State.COMPLETED, State.REFUSED, State.CANCELLED})
# Nothing was erased yet, so the request can still be refused or taken back.
BEFORE_EXECUTION: Final = frozenset({State.RECEIVED, State.DISCOVERING, State.PLAN_READY})
# A worker holds the request by its lease, or is about to.
IN_WORK: Final = frozenset({State.DISCOVERING, State.EXECUTING, State.VERIFYING})

TRANSITIONS: Final[dict[tuple[State, Act], State]] = {
    # Searching starts the plan over. Data that moved sends a request back from any later state.
    **{
        (state, Act.SEARCH): State.DISCOVERING
        for state in (
            *BEFORE_EXECUTION,
            State.APPROVED,
            State.EXECUTING,
            State.VERIFYING,
            State.NEEDS_ATTENTION,
        )
    },
    (State.DISCOVERING, Act.PLAN): State.PLAN_READY,
    (State.PLAN_READY, Act.APPROVE): State.APPROVED,
    (State.APPROVED, Act.EXECUTE): State.EXECUTING,
    (State.NEEDS_ATTENTION, Act.EXECUTE): State.EXECUTING,
    (State.EXECUTING, Act.ALL_REPLACED): State.VERIFYING,
    (State.VERIFYING, Act.PASS): State.AWAITING_SIGNOFF,
    (State.AWAITING_SIGNOFF, Act.SIGN): State.COMPLETED,
    **{(state, Act.FAIL): State.NEEDS_ATTENTION for state in IN_WORK},
    **{(state, Act.REFUSE): State.REFUSED for state in (*BEFORE_EXECUTION, State.NEEDS_ATTENTION)},
    **{(state, Act.CANCEL): State.CANCELLED for state in (*BEFORE_EXECUTION, State.APPROVED, State.NEEDS_ATTENTION)},
}

STATE_WORDS: Final[dict[State, str]] = {
    State.RECEIVED: "received",
    State.DISCOVERING: "being searched for",
    State.PLAN_READY: "waiting for approval",
    State.APPROVED: "approved",
    State.EXECUTING: "being executed",
    State.VERIFYING: "being verified",
    State.AWAITING_SIGNOFF: "waiting for sign-off",
    State.COMPLETED: "completed",
    State.REFUSED: "refused",
    State.CANCELLED: "cancelled",
    State.NEEDS_ATTENTION: "in need of attention",
}


class Outcome(StrEnum):
    """How a request ended."""

    ERASED = "erased"
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class TaskState(StrEnum):
    """One data set of a plan: still to be replaced, replaced, or replaced with the old content gone."""

    WAITING = "waiting"
    REPLACED = "replaced"
    DONE = "done"


class ObligationKind(StrEnum):
    """What an erasure asks of a model version. A version built on erased rows is retrained unless somebody decides
    otherwise.
    """

    RETRAIN = "retrain"
    JUSTIFY = "justify"
    RETIRE = "retire"
    RESTRICT_OUTPUT = "restrict_output"


class ObligationState(StrEnum):
    """Whether an obligation was met."""

    OPEN = "open"
    MET = "met"


REGULATION: Final = "gdpr"
# Article 17(1) of the GDPR, in our own short words.
GROUNDS: Final[dict[str, str]] = {
    "17(1)(a)": "no longer needed for what it was collected for",
    "17(1)(b)": "consent withdrawn",
    "17(1)(c)": "objection to the processing",
    "17(1)(d)": "processed unlawfully",
    "17(1)(e)": "erasure is a legal duty",
    "17(1)(f)": "collected from a child for an online service",
}
IDENTIFIER_WORDS: Final[dict[str, str]] = {
    "row_id": "row id",
    "customer_id": "customer id",
    "email": "mail address",
    "string": "other text",
}
