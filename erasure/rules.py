"""Pure rules of erasure: what is possible when, how long a worker may hold a request, how the days are counted.

*Who* may act is ``access/policy.py``; states and transitions are ``states.py``. Nothing here reads or writes tables.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from audit import digests
from audit.clock import now
from audit.errors import Conflict
from erasure.engine.identifiers import IdentifierType, canonical
from erasure.engine.needles import is_searchable
from erasure.models import ErasureRequest, ErasureTask
from erasure.states import (
    CLOSED,
    IN_WORK,
    STATE_WORDS,
    TRANSITIONS,
    Act,
    State,
    TaskState,
)

MOST_REASON: Final = 10_000
MOST_EXTERNAL_ID: Final = 200
# The first day the regulation applied; nobody can have asked under it before.
EARLIEST_RECEIPT: Final = date(2018, 5, 25)
OBLIGATION_DAYS: Final = 90
MOST_ATTEMPTS: Final = 3
WARN_DAYS: Final = 7
_LEASE: Final = timedelta(minutes=5)
# A tenth of what the slowest step was measured to do; a worker that is slower still loses its lease, not its head.
_BYTES_PER_SECOND: Final = 3_000_000

Plan = Mapping[str, Any]  # JSON, made by actions/discovery.py


@dataclass(frozen=True)
class Asset:
    """A data set that can be searched for identifiers of one type, as far as a plan is bound to it."""

    id: str
    digest: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Due:
    """How the days stand against the nominal date, the one to be alarmed by."""

    days: int | None
    words: str
    tone: str


def due(request: ErasureRequest, today: date) -> Due:
    """The day counter of a request."""
    if request.state in CLOSED:
        return Due(None, "closed", "none")
    left = (request.nominal_due - today).days
    if left < 0:
        return Due(left, f"{-left} {_days(-left)} overdue", "bad")
    if left == 0:
        return Due(left, "due today", "warn")
    return Due(left, f"{left} {_days(left)} left", "warn" if left <= WARN_DAYS else "ok")


def _days(count: int) -> str:
    return "day" if count == 1 else "days"


def obligation_due(today: date) -> date:
    """Until when a version that was built on erased rows must be dealt with."""
    return today + timedelta(days=OBLIGATION_DAYS)


def plan_digest(plan: Plan) -> str:
    """What an approval is bound to."""
    return digests.of_json(plan)


def lease(total_bytes: int) -> timedelta:
    """How long a worker may be silent over this much content before another takes over."""
    return _LEASE + timedelta(seconds=total_bytes // _BYTES_PER_SECOND)


def is_free(request: ErasureRequest) -> bool:
    """Whether no living worker holds the request."""
    return request.leased_until is None or request.leased_until <= now()


def state_after(request: ErasureRequest, act: Act) -> State:
    """The state an act leads to. Raises Conflict when the act is not possible now."""
    state = TRANSITIONS.get((State(request.state), act))
    if state is None:
        raise Conflict(_not_now(request, act), code="wrong_state", details={"state": request.state})
    return state


def _not_now(request: ErasureRequest, act: Act) -> str:
    wanted = [STATE_WORDS[state] for (state, one) in TRANSITIONS if one is act]
    done = _DONE_WORDS.get(act, "moved on")
    return f"This request is {words(request)}; it would have to be {_either(wanted)} to be {done}."


_DONE_WORDS: Final[dict[Act, str]] = {
    Act.SEARCH: "searched for again",
    Act.APPROVE: "approved",
    Act.REFUSE: "refused",
    Act.CANCEL: "cancelled",
    Act.EXECUTE: "executed",
    Act.SIGN: "signed off",
}


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def words(request: ErasureRequest) -> str:
    """The state as people read it."""
    return STATE_WORDS[State(request.state)]


def reached(request: ErasureRequest) -> list[dict[str, Any]]:
    """The data sets the plan replaces; none while there is no plan."""
    return list(request.plan["data_sets"]) if request.plan else []


def bytes_reached(request: ErasureRequest) -> int:
    """How much content the plan replaces."""
    return sum(int(hit["bytes"]) for hit in reached(request))


def expected(plan: Plan, tasks: Iterable[ErasureTask]) -> set[Asset]:
    """The data sets there should be now: those of the plan, the replaced ones with their successors in their place."""
    replaced = {str(task.data_set_id): task.successor for task in tasks if task.state != TaskState.WAITING}
    found = set()
    for entry in plan["searched"]:
        successor = replaced.get(entry["id"])
        columns = tuple(entry["columns"])
        if successor is None:
            found.add(Asset(entry["id"], entry["digest"], columns))
        else:
            found.add(Asset(str(successor.pk), successor.digest, columns))
    return found


# -- when ------------------------------------------------------------------------------------------------------------


def why_not(request: ErasureRequest, act: Act) -> str | None:
    """The sentence that refuses an act in the present state, None when the table lets it through."""
    return None if (State(request.state), act) in TRANSITIONS else _not_now(request, act)


def why_not_searchable(request: ErasureRequest) -> str | None:
    """Why an officer cannot have the data searched again now. What was replaced stays so; a new plan has the rest."""
    if request.state == State.DISCOVERING and not is_free(request):
        return "This request is being searched for right now."
    if request.state in {State.APPROVED, State.EXECUTING, State.VERIFYING}:
        return f"This request is {words(request)}; it goes back to the search by itself when data has changed."
    return why_not(request, Act.SEARCH)


def why_not_approvable(request: ErasureRequest, *, moved: bool) -> str | None:
    """Why nobody can approve now."""
    sentence = why_not(request, Act.APPROVE)
    if sentence is None and moved:
        return MOVED
    return sentence


MOVED: Final = "The data sets have changed since this plan was made. Search again, and approve what is found then."


def why_not_stoppable(request: ErasureRequest, act: Act, *, began: bool) -> str | None:
    """Why a request cannot be refused or cancelled now: once rows are erased there is no way back."""
    if began and request.state not in CLOSED:
        return "Rows were erased for this request already; it can only be finished."
    return why_not(request, act)


def why_not_retriable(request: ErasureRequest) -> str | None:
    """Why an officer cannot have the execution tried again now."""
    if request.state == State.NEEDS_ATTENTION and not request.approved_plan_digest:
        return "There is no approved plan to execute; search again."
    stuck = request.state in {State.APPROVED, State.EXECUTING, State.VERIFYING} and is_free(request)
    if stuck:
        return None
    if request.state in IN_WORK:
        return f"This request is {words(request)} right now."
    return why_not(request, Act.EXECUTE)


def names_person(text: str, kind: str, value: str) -> bool:
    """Whether a text that will be kept holds the identifier, also as a part of something longer.

    One too short to mean anything inside a sentence ('17') counts only when it is the whole text.
    """
    wanted, said = (canonical(IdentifierType(kind), part).casefold() for part in (value, text))
    return said.strip() == wanted.strip() or (is_searchable(wanted) and wanted in said)
