"""Discovery: search every data set that can be searched, and write down what an erasure would reach, as a plan.

Run by a worker; the request's row is the truth about who works on it. Nothing is changed here but the request.
"""

import logging
import uuid
from collections.abc import Iterable
from typing import Any

from audit import door
from audit.actors import SYSTEM, Actor
from audit.clock import now
from audit.errors import Conflict, DomainError
from audit.events import Action
from erasure import queries, rules, sealing
from erasure.actions import moves
from erasure.actions.failing import guarded
from erasure.engine.errors import EngineError
from erasure.engine.identifiers import IdentifierType
from erasure.models import ErasureRequest
from erasure.queries import Searchable
from erasure.states import Act, State
from registry import tabular
from registry.models import DataSet, VersionDataSet

log = logging.getLogger("plimsoll.erasure")

BACKUPS = (
    "Plimsoll makes no backups itself and cannot reach those that others make. Let them expire, and file this request"
    " again after restoring one."
)


def run(request_id: str | uuid.UUID) -> None:
    """Search for the person of a request, if nobody else does. Never raises for what goes wrong inside."""
    request = moves.unless_taken(lambda: claim(request_id))
    if request is not None:
        guarded(request, Action.ERASURE_DISCOVER, lambda: finish(request, made=search(request)))


def again(*, by: Actor, request: ErasureRequest) -> ErasureRequest:
    """Have the data searched again: the plan, and an approval of it, are void."""
    with door.open(by, Action.ERASURE_DISCOVER, on=request) as entry:
        request = entry.locked
        before = request.state
        sentence = rules.why_not_searchable(request)
        if sentence is not None:
            raise Conflict(sentence, code="wrong_state", details={"state": request.state})
        send_back(request)
        entry.record(before={"state": before}, after={"state": request.state})
        return request


def send_back(request: ErasureRequest) -> None:
    """Put a locked request before the search again, inside an open door."""
    moves.move(request, Act.SEARCH)
    moves.forget_approval(request)
    request.plan, request.plan_digest, request.planned_at = None, "", None
    request.leased_until, request.attempts, request.problem = None, 0, ""
    request.save()
    moves.wake(moves.DISCOVER, request)


def is_waiting(request: ErasureRequest) -> bool:
    """Whether a worker may begin to search for this request."""
    return request.state in {State.RECEIVED, State.DISCOVERING} and rules.is_free(request)


def claim(request_id: str | uuid.UUID) -> ErasureRequest | None:
    """Take a request for searching, or None when it is gone, moved on, or held.

    Raises LeaseLostError when another worker takes it at this very moment.
    """
    row = ErasureRequest.objects.filter(pk=request_id).first()
    if row is None or not is_waiting(row):
        log.info("erasure request is not to be searched for", extra={"request": str(request_id)})
        return None
    found, _ = queries.searchable(row.identifier_type)
    with door.open(SYSTEM, Action.ERASURE_DISCOVER, on=row) as entry:
        request: ErasureRequest = entry.locked
        before = request.state
        if not is_waiting(request):
            raise moves.LeaseLostError("Another worker searches for this request already.")
        if request.attempts >= rules.MOST_ATTEMPTS:
            moves.move(request, Act.FAIL)
            request.problem = f"The worker was lost {request.attempts} times while it searched."
            request.leased_until = None
        else:
            moves.move(request, Act.SEARCH)
            moves.take(request, sum(one.bytes for one in found))
        request.save()
        entry.record(before={"state": before}, after={"state": request.state, "attempt": request.attempts})
    return request if request.state == State.DISCOVERING else None


def search(request: ErasureRequest) -> dict[str, Any]:
    """The plan: what was searched, what was found, what it reaches, what is not covered."""
    value = sealing.value_of(request)
    kind = request.identifier_type
    inside, outside = queries.searchable(kind)
    hits, searched, uncovered = [], [], []
    for one in inside:
        try:
            hit = look(one, value, kind)
        except (EngineError, DomainError) as error:
            why = error.sentence if isinstance(error, DomainError) else str(error)
            uncovered.append({"asset": f"data set {one.data_set}", "reason": f"It could not be searched. {why}"})
        else:
            hits += [hit] if hit is not None else []
        # Searched or not, the plan is bound to it: once it changes, it is tried again.
        searched.append({"id": str(one.data_set.pk), "digest": one.data_set.digest, "columns": list(one.columns)})
    links = queries.links_to([uuid.UUID(hit["id"]) for hit in hits])
    return {
        "identifier": {"type": kind, "digests": 1},
        "searched": searched,
        "data_sets": hits,
        "versions": versions_of(links),
        "reports": queries.row_files(_digests(hits)).count() if hits else 0,
        "not_covered": uncovered + _uncovered(outside, links, kind),
    }


def look(one: Searchable, value: str, kind: str) -> dict[str, Any] | None:
    """Count the person's rows in one data set; None when neither a row nor a residue of them is there.

    A file without a matching row can still hold the identifier, in a dictionary that a filter left behind: so where
    no row is found, the other engine looks at every byte.
    """
    # Arrow and DuckDB are large: only a worker that searches carries them.
    from erasure.engine.find import find_rows  # noqa: PLC0415
    from erasure.engine.verify import verify_absent  # noqa: PLC0415

    paths, wanted = tabular.files_of(one.data_set), IdentifierType(kind)
    found = {name: [find_rows(path, name, [value], wanted) for path in paths] for name in one.columns}
    matched = {name: sum(count.rows_matched for count in counts) for name, counts in found.items()}
    rows = max(matched.values())
    clean = not rows and all(verify_absent(path, name, [value], wanted).clean for path in paths for name in one.columns)
    if clean:
        return None
    return {
        "id": str(one.data_set.pk),
        "name": one.data_set.name,
        "number": one.data_set.number,
        "digest": one.data_set.digest,
        "rows": one.data_set.rows,
        "bytes": one.bytes,
        # Of several columns the largest count: a row may hold the person in more than one.
        "rows_found": rows,
        "columns": [{"name": name, "rows_found": count} for name, count in matched.items()],
        "rows_without_key": max(sum(count.rows_without_key for count in counts) for counts in found.values()),
    }


def versions_of(links: Iterable[VersionDataSet]) -> list[dict[str, Any]]:
    """The model versions behind these links, each once, with what the data was to them."""
    found: dict[str, dict[str, Any]] = {}
    for link in links:
        version = link.version
        entry = found.setdefault(
            str(version.pk),
            {
                "id": str(version.pk),
                "model": version.model.name,
                "number": version.number,
                "stage": version.stage,
                "deleted": version.deleted_at is not None,
                "artifact": version.artifact_digest,
                "data": [],
            },
        )
        entry["data"].append({"role": link.role, "data_set": str(link.data_set)})
    return list(found.values())


def _digests(hits: list[dict[str, Any]]) -> list[str]:
    ancestors = queries.with_ancestors(uuid.UUID(hit["id"]) for hit in hits)
    return list(DataSet.objects.filter(pk__in=ancestors).values_list("digest", flat=True))


def _uncovered(outside: list[DataSet], links: list[VersionDataSet], kind: str) -> list[dict[str, str]]:
    """What was not searched, and why: said, never passed over."""
    found = [
        {"asset": f"data set {row}", "reason": f"No column of it is said to hold an identifier of type {kind}."}
        for row in outside
    ]
    for version in {link.version_id: link.version for link in links}.values():
        found += [
            {"asset": f"{version}: {path}", "reason": "A file beside the model may hold rows of the data as they were."}
            for path in queries.row_like(version)
        ]
        if not version.artifact_digest:
            found.append({"asset": f"{version}: its files", "reason": "They have not been read yet, so not searched."})
        if version.run_id:
            reason = "Files logged in tracking are not searched; look there for samples of the data."
            found.append({"asset": f"{version}: tracking run {version.run_id}", "reason": reason})
    return [*found, {"asset": "backups", "reason": BACKUPS}]


def finish(request: ErasureRequest, *, made: dict[str, Any]) -> ErasureRequest:
    """Attach the plan that was made and put it before a second officer."""
    with door.open(SYSTEM, Action.ERASURE_DISCOVER, on=request) as entry:
        locked: ErasureRequest = entry.locked
        moves.check_held(locked, request.fence)
        before = locked.state
        moves.move(locked, Act.PLAN)
        locked.plan, locked.plan_digest, locked.planned_at = made, rules.plan_digest(made), now()
        locked.leased_until, locked.attempts, locked.problem = None, 0, ""
        locked.save()
        entry.record(
            before={"state": before},
            after={
                "state": locked.state,
                "plan": locked.plan_digest,
                "searched": len(made["searched"]),
                "data_sets": len(made["data_sets"]),
                "rows": sum(hit["rows_found"] for hit in made["data_sets"]),
                "versions": len(made["versions"]),
                "not_covered": len(made["not_covered"]),
            },
        )
        return locked
