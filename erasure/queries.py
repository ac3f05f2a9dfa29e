"""Reads of erasure: what an actor may see, and what a request reaches. Fetch and authorise together."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Case, Q, QuerySet, When

from access import policy, reads
from audit.actors import Actor
from audit.clock import now
from audit.errors import NotFound
from audit.events import Action
from audit.models import Tree
from audit.queries import Entry, life_of
from audit.subjects import INSTALLATION
from erasure import rules
from erasure.models import ErasureCertificate, ErasureRequest, ErasureTask, ModelObligation
from erasure.rules import Asset, Due
from erasure.states import CLOSED, Act, State, TaskState
from registry.models import DataSet, Evidence, ModelVersion, VersionDataSet
from registry.states import DataState

EMPTY_ROOT: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # RFC 6962: of no entries
# Under which names a report's inputs mention the data set whose rows its file was made from.
_ROW_INPUTS: Final = ("evaluation", "rows", "background", "training")


def requests(by: Actor) -> QuerySet[ErasureRequest]:
    """The erasure requests ``by`` may see: all, or none."""
    found = ErasureRequest.objects.all()
    return found if "*" in policy.patterns_for(by, Action.ERASURE_VIEW) else found.none()


def board(by: Actor) -> QuerySet[ErasureRequest]:
    """The requests for a list; who may see none at all is refused, not shown an empty one."""
    policy.require_read(by, Action.ERASURE_VIEW, INSTALLATION)
    return requests(by).defer("plan", "box")


def open_requests(by: Actor) -> QuerySet[ErasureRequest]:
    """What is still to be done, the most urgent first."""
    return board(by).exclude(state__in=[state.value for state in CLOSED]).order_by("nominal_due", "id")


def closed_requests(by: Actor) -> QuerySet[ErasureRequest]:
    """What has come to an end, unordered."""
    return board(by).filter(state__in=[state.value for state in CLOSED])


def in_order(by: Actor) -> QuerySet[ErasureRequest]:
    """All of them: the open ones by urgency, then the closed ones, the newest first."""
    closed = Case(When(state__in=[state.value for state in CLOSED], then=True), default=False)
    return board(by).annotate(closed=closed).order_by("closed", "-closed_at", "nominal_due", "id")


def due(request: ErasureRequest) -> Due:
    """How the days of a request stand today."""
    return rules.due(request, now().date())


def file_name(certificate: ErasureCertificate) -> str:
    """What the certificate's file is called when it is downloaded."""
    return f"erasure-{certificate.request.short}.json"


def request(by: Actor, request_id: str | uuid.UUID) -> ErasureRequest:
    """One request by id; NotFound when there is none or it is not visible."""
    try:
        key = request_id if isinstance(request_id, uuid.UUID) else uuid.UUID(request_id)
    except ValueError:
        raise NotFound("There is nothing with such an id.") from None
    found = requests(by).filter(pk=key).first()
    if found is None:
        raise NotFound("There is no such erasure request.")
    return found


def certificate(by: Actor, request_id: str | uuid.UUID) -> ErasureCertificate:
    """The certificate of a completed request."""
    found = ErasureCertificate.objects.select_related("request").filter(request=request(by, request_id)).first()
    if found is None:
        raise NotFound("This request has no certificate: one is issued when it is signed off.")
    return found


@dataclass(frozen=True)
class View:
    """One request with everything its page and its API answer show."""

    request: ErasureRequest
    due: Due
    moved: bool
    tasks: Sequence[ErasureTask]
    obligations: Sequence[ModelObligation]
    certificate: ErasureCertificate | None
    entries: Sequence[Entry]
    why_not: dict[str, str | None]

    @property
    def available_actions(self) -> list[str]:
        return [name for name, sentence in self.why_not.items() if sentence is None]


def view(by: Actor, request: ErasureRequest) -> View:
    """Put a request together for one viewer."""
    tasks = tasks_of(request)
    moved = request.state == State.PLAN_READY and has_moved(request, tasks)
    obligations = request.obligations.select_related("version__model", "data_set")
    return View(
        request=request,
        due=due(request),
        moved=moved,
        tasks=tasks,
        obligations=list(obligations.order_by("version__model__name", "version__number", "data_set__number")),
        certificate=ErasureCertificate.objects.defer("content").filter(request=request).first(),
        entries=life_of("erasure_request", str(request.pk), paths=reads.openings(by)),
        why_not=_why_not(by, request, moved=moved, began=has_begun(tasks)),
    )


def _why_not(by: Actor, request: ErasureRequest, *, moved: bool, began: bool) -> dict[str, str | None]:
    """For each act: the sentence that refuses it now, or None. *Who* comes first, then *when*."""
    return {
        "approve": policy.why_not(by, Action.ERASURE_APPROVE, request)
        or rules.why_not_approvable(request, moved=moved),
        "refuse": policy.why_not(by, Action.ERASURE_REFUSE, request)
        or rules.why_not_stoppable(request, Act.REFUSE, began=began),
        "cancel": policy.why_not(by, Action.ERASURE_CANCEL, request)
        or rules.why_not_stoppable(request, Act.CANCEL, began=began),
        "discover": policy.why_not(by, Action.ERASURE_DISCOVER, request) or rules.why_not_searchable(request),
        "execute": policy.why_not(by, Action.ERASURE_EXECUTE, request) or rules.why_not_retriable(request),
        "sign_off": policy.why_not(by, Action.ERASURE_SIGN, request) or rules.why_not(request, Act.SIGN),
    }


def tasks_of(request: ErasureRequest) -> list[ErasureTask]:
    """The data sets of a request's plans with what became of them."""
    return list(request.tasks.select_related("data_set", "successor").order_by("data_set__name", "data_set__number"))


def has_begun(tasks: Iterable[ErasureTask]) -> bool:
    """Whether content was replaced for a request."""
    return any(task.state != TaskState.WAITING for task in tasks)


# -- what a request reaches ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Searchable:
    """A data set whose content is there, and its columns with identifiers of the type that is asked for."""

    data_set: DataSet
    columns: tuple[str, ...]

    @property
    def asset(self) -> Asset:
        return Asset(str(self.data_set.pk), self.data_set.digest, self.columns)

    @property
    def bytes(self) -> int:
        return sum(int(entry["size"]) for entry in self.data_set.manifest["files"])


def searchable(kind: str) -> tuple[list[Searchable], list[DataSet]]:
    """The present data sets with columns that hold identifiers of type ``kind``, and those without.

    Equal bytes have equal columns: what was said of one data set holds for every other one with the same digest.
    """
    rows = list(DataSet.objects.filter(state=DataState.PRESENT.value).defer("columns").order_by("name", "number"))
    said: dict[str, set[str]] = {}
    for row in rows:
        said.setdefault(row.digest, set()).update(name for name, held in row.identifiers.items() if held == kind)
    inside = [Searchable(row, tuple(sorted(said[row.digest]))) for row in rows if said[row.digest]]
    return inside, [row for row in rows if not said[row.digest]]


def has_moved(request: ErasureRequest, tasks: Iterable[ErasureTask]) -> bool:
    """Whether the data sets are not those the plan was made for, its own replacements apart."""
    if request.plan is None:
        return True
    present = {found.asset for found in searchable(request.identifier_type)[0]}
    return present != rules.expected(request.plan, tasks)


def with_ancestors(data_set_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """These data sets and all they came from: whoever is in a successor was in its predecessors too."""
    found: set[uuid.UUID] = set()
    layer = set(data_set_ids)
    while layer:
        found |= layer
        above = DataSet.objects.filter(pk__in=layer).exclude(parent=None).values_list("parent_id", flat=True)
        layer = {key for key in above if key is not None} - found
    return found


def links_to(data_set_ids: Iterable[uuid.UUID]) -> list[VersionDataSet]:
    """What model versions were built or judged on these data sets or on their predecessors, in any role."""
    links = VersionDataSet.objects.filter(data_set__in=with_ancestors(data_set_ids))
    return list(
        links.select_related("version__model", "data_set").order_by(
            "version__model__name", "version__number", "role", "data_set__number"
        )
    )


def row_files(digests: Iterable[str]) -> QuerySet[Evidence]:
    """The evidence that keeps a file with one line per row of a data set with one of these digests."""
    wanted = list(digests)
    mentions = Q(pk__in=[])
    for name in _ROW_INPUTS:
        mentions |= Q(**{f"inputs__{name}__in": wanted})
    return Evidence.objects.exclude(path="").filter(mentions)


# Files beside a model that people put rows of data into, by their names.
_ROW_NAMES: Final = frozenset({"input_example.json", "serving_input_example.json", "serving_input_payload.json"})
_ROW_SUFFIXES: Final = (".parquet", ".csv", ".arrow", ".feather", ".npy", ".npz")


def row_like(version: ModelVersion) -> list[str]:
    """The files of a version that may hold raw rows."""
    entries = (version.artifact_manifest or {"files": []})["files"]
    paths = [str(entry["path"]) for entry in entries]
    return [path for path in paths if path.rpartition("/")[2] in _ROW_NAMES or path.lower().endswith(_ROW_SUFFIXES)]


def coverage() -> list[dict[str, Any]]:
    """For the form of a new case: how much can be searched by each type of identifier. Counts, no content."""
    counts: dict[str, dict[str, Any]] = {}
    for row in DataSet.objects.filter(state=DataState.PRESENT.value).only("identifiers", "rows"):
        for kind in set(row.identifiers.values()):
            entry = counts.setdefault(kind, {"type": kind, "data_sets": 0, "rows": 0})
            entry["data_sets"] += 1
            entry["rows"] += row.rows
    return [counts[kind] for kind in sorted(counts)]


def log_head() -> tuple[int, str]:
    """Size and root (hex) of the newest committed tree of the log of changes."""
    tree = Tree.objects.filter(log="admin").order_by("-size").first()
    return (0, EMPTY_ROOT) if tree is None else (tree.size, bytes(tree.root).hex())
