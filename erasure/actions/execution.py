"""Executing an approved plan: replace every data set it reaches, then prove that the old content is gone.

Run by a worker. A second run after a crash at any point goes on where the first one stopped: what is replaced stands
in the tasks, and content lies under names made of its digest. One data set is ``replacing.py``.
"""

import logging
import uuid

from audit import door
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.errors import Conflict
from audit.events import Action
from erasure import queries, rules, sealing
from erasure.actions import discovery, moves, replacing
from erasure.actions.failing import guarded
from erasure.models import ErasureRequest, ErasureTask
from erasure.states import Act, State, TaskState
from registry import outbox, storage
from registry.models import DataSet

log = logging.getLogger("plimsoll.erasure")

_WORKABLE = frozenset({State.APPROVED, State.EXECUTING, State.VERIFYING})


def run(request_id: str | uuid.UUID) -> None:
    """Execute the approved plan of a request, if nobody else does. Never raises for what goes wrong inside."""
    request = moves.unless_taken(lambda: claim(request_id))
    if request is None:
        return
    fence = request.fence
    if request.state == State.EXECUTING:
        guarded(request, Action.ERASURE_EXECUTE, lambda: execute(request))
        request.refresh_from_db()
    if request.state == State.VERIFYING and request.fence == fence:
        guarded(request, Action.ERASURE_VERIFY, lambda: verify(request))


def again(*, by: Actor, request: ErasureRequest) -> ErasureRequest:
    """Have an execution that stopped tried again; whoever asks for it is on record as its executor."""
    with door.open(by, Action.ERASURE_EXECUTE, on=request) as entry:
        request = entry.locked
        before = request.state
        sentence = rules.why_not_retriable(request)
        if sentence is not None:
            raise Conflict(sentence, code="wrong_state", details={"state": request.state})
        if request.state == State.NEEDS_ATTENTION:
            moves.move(request, Act.EXECUTE)
        request.executor, request.leased_until, request.attempts, request.problem = by.account or "", None, 0, ""
        request.save()
        moves.wake(moves.EXECUTE, request)
        entry.record(before={"state": before}, after={"state": request.state})
        return request


def is_waiting(request: ErasureRequest) -> bool:
    """Whether a worker may begin, or go on, with the execution."""
    return request.state in _WORKABLE and rules.is_free(request)


def claim(request_id: str | uuid.UUID) -> ErasureRequest | None:
    """Take a request for execution, or None when it is gone, moved on, sent back, or held.

    Raises LeaseLostError when another worker takes it at this very moment.
    """
    row = ErasureRequest.objects.filter(pk=request_id).first()
    if row is None or not is_waiting(row):
        log.info("erasure request is not to be executed", extra={"request": str(request_id)})
        return None
    with door.open(SYSTEM, Action.ERASURE_EXECUTE, on=row) as entry:
        request: ErasureRequest = entry.locked
        before = request.state
        if not is_waiting(request):
            raise moves.LeaseLostError("Another worker executes this request already.")
        why = _begin(request)
        entry.record(
            before={"state": before}, after={"state": request.state, "attempt": request.attempts}, reason_code=why
        )
    return request if request.state in {State.EXECUTING, State.VERIFYING} else None


def _begin(request: ErasureRequest) -> str:
    """Give the locked request to this worker, or send it where it belongs; the reason's code when it is the latter."""
    if request.state != State.VERIFYING and queries.has_moved(request, queries.tasks_of(request)):
        discovery.send_back(request)
        return "data_moved"
    if request.attempts >= rules.MOST_ATTEMPTS:
        _hold(request)
        moves.move(request, Act.FAIL)
        request.problem = f"The worker was lost {request.attempts} times while it executed the plan."
        request.leased_until = None
        request.save()
        return "worker_lost"
    _hold(request)
    moves.take(request, rules.bytes_reached(request))
    request.save()
    for hit in rules.reached(request):
        columns = [column["name"] for column in hit["columns"]]
        ErasureTask.objects.get_or_create(request=request, data_set_id=hit["id"], defaults={"columns": columns})
    return ""


def _hold(request: ErasureRequest) -> None:
    if request.state == State.APPROVED:
        moves.move(request, Act.EXECUTE)


def execute(request: ErasureRequest) -> None:
    """Replace what is still to be replaced. Data that moved meanwhile sends the request back to the search."""
    identifier = sealing.value_of(request)
    for task in request.tasks.filter(state=TaskState.WAITING.value, data_set__in=_planned(request)):
        try:
            replacing.replace(request, task, identifier)
        except moves.LeaseLostError:
            raise
        except Conflict:
            if _sent_back(request):
                return
            raise
    with door.open(SYSTEM, Action.ERASURE_EXECUTE, on=request) as entry:
        locked: ErasureRequest = entry.locked
        moves.check_held(locked, request.fence)
        moves.move(locked, Act.ALL_REPLACED)
        locked.save()
        entry.record(before={"state": State.EXECUTING.value}, after={"state": locked.state})


def _planned(request: ErasureRequest) -> list[uuid.UUID]:
    return [uuid.UUID(hit["id"]) for hit in rules.reached(request)]


def _sent_back(request: ErasureRequest) -> bool:
    """Whether it was other people's work on the data that stopped us; the request is then searched for again."""
    if not queries.has_moved(request, queries.tasks_of(request)):
        return False
    with door.open(SYSTEM, Action.ERASURE_EXECUTE, on=request) as entry:
        locked: ErasureRequest = entry.locked
        moves.check_held(locked, request.fence)
        before = locked.state
        discovery.send_back(locked)
        entry.record(before={"state": before}, after={"state": locked.state}, reason_code="data_moved")
    return True


def verify(request: ErasureRequest) -> None:
    """Look at the storage after the fact: old files gone, new ones whole, no data set that the plan did not know."""
    for task in queries.tasks_of(request):
        if task.state != TaskState.WAITING:
            # A report that was being made meanwhile may have left a file of rows.
            replacing.empty_row_files(request, task)
            replacing.delete_leftovers(task)
            _check_at_rest(task)
    with door.open(SYSTEM, Action.ERASURE_VERIFY, on=request) as entry:
        locked: ErasureRequest = entry.locked
        moves.check_held(locked, request.fence)
        tasks = queries.tasks_of(locked)
        if queries.has_moved(locked, tasks):
            discovery.send_back(locked)
            entry.record(after={"state": locked.state}, reason_code="data_moved")
            return
        moves.move(locked, Act.PASS)
        locked.leased_until, locked.attempts = None, 0
        locked.save()
        replaced = [task for task in tasks if task.state != TaskState.WAITING]
        locked.tasks.filter(state=TaskState.REPLACED.value).update(
            state=TaskState.DONE.value, leftover=[], finished_at=now()
        )
        told = {"request": str(locked.pk), "data_sets": len(replaced)}
        outbox.tell("erasure", "executed", on=locked.subject(), data=told)
        entry.record(
            before={"state": State.VERIFYING.value},
            after={
                "state": locked.state,
                "data_sets": len(replaced),
                "residual": sum(t.residual or 0 for t in replaced),
            },
        )


def _check_at_rest(task: ErasureTask) -> None:
    for path in task.leftover:
        if storage.place(path).exists() and not replacing.is_shared(path):
            raise Conflict(f"The old content of {task.data_set} is still stored.", code="content_left")
    successor = task.successor
    if successor is None:
        raise Conflict(f"{task.data_set} was replaced and has no successor.", code="no_successor")
    # A later erasure may have replaced the successor in its turn.
    current = DataSet.objects.get(pk=successor.pk)
    if current.path:
        wrong = storage.differing(current.path.rpartition("/")[0], current.manifest)
        if wrong is not None:
            raise Conflict(f"The stored content of {current} is not what was verified: {wrong} differs.")
