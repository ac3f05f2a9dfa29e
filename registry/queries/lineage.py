"""Lineage: from a version or a data set up to what it was made of, and down to what was made of it.

The walk goes step by step, with a fixed number of queries per step whatever the number of things found. What the
reader may not see is there, so that nobody takes a part for the whole, but without a name, and the walk stops at it.
Drawing is ``web/pages/lineage.py``; events for other systems are ``registry/openlineage.py``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from access import grants, policy
from audit.actors import Actor
from audit.errors import Invalid
from audit.events import Action
from registry.models import (
    DataSet,
    Evidence,
    Grant,
    ModelVersion,
    PromotionRequest,
    VersionDataSet,
    VersionParent,
    VersionRun,
)

MOST_NODES: Final = 300
MOST_DEPTH: Final = 10
USUAL_DEPTH: Final = 3
_TOO_MANY: Final = (
    f"There is more than the {MOST_NODES} things that are shown: look in one direction only, take fewer steps, or start"
    " from a thing nearer to what you look for."
)
# What no node shows and may be large.
_DATA_HEAVY: Final = ("manifest", "columns", "identifiers", "protected", "favourable", "excluded")


class Direction(StrEnum):
    """Which way to walk: to the origins, to the offspring, or both from where it starts."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


@dataclass(frozen=True)
class Node:
    """One thing. ``key`` is unique in its graph; ``step`` is negative above the start and positive below it. A hidden
    node has no label, no facts, and a key that says nothing.
    """

    key: str
    type: str
    label: str
    step: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    hidden: bool = False


@dataclass(frozen=True)
class Edge:
    """``source`` went into ``target``; ``kind`` says as what."""

    source: str
    target: str
    kind: str


@dataclass(frozen=True)
class Graph:
    """What was found. ``message`` says what was left out, and is empty when nothing was."""

    start: str
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    direction: str
    depth: int
    message: str = ""


def asked(direction: str, depth: str) -> tuple[Direction, int]:
    """Direction and depth as a reader sends them; both may be empty. Raises Invalid."""
    if direction not in {"", *(each.value for each in Direction)}:
        raise Invalid(f"The direction is up, down or both, not {direction[:40]!r}.", code="bad_direction")
    if depth and not (depth.isascii() and depth.isdigit() and len(depth) < 4 and 1 <= int(depth) <= MOST_DEPTH):
        raise Invalid(f"The depth is a number of steps from 1 to {MOST_DEPTH}, not {depth[:40]!r}.", code="bad_depth")
    return Direction(direction or "both"), int(depth or USUAL_DEPTH)


def of_version(by: Actor, version: ModelVersion, direction: Direction, depth: int) -> Graph:
    """The lineage of a version that the caller has fetched as visible."""
    walk = _Walk(by, version_node(version, 0))
    walk.go(direction, depth, [version], [])
    return walk.graph(direction, depth)


def of_data_set(by: Actor, data_set: DataSet, direction: Direction, depth: int) -> Graph:
    """The lineage of a data set: what was built on it is down."""
    walk = _Walk(by, data_node(data_set, 0))
    walk.go(direction, depth, [], [data_set])
    return walk.graph(direction, depth)


# -- nodes -----------------------------------------------------------------------------------------------------------


def version_node(row: ModelVersion, step: int) -> Node:
    """A model version; deleted ones stay in the lineage of others."""
    facts = {
        "model": row.model.name,
        "version": row.number,
        "stage": row.stage,
        "digest": row.artifact_digest,
        "registered_at": row.created_at,
        "deleted": row.deleted_at is not None,
    }
    return Node(f"model_version:{row.pk}", "model_version", str(row), step, facts)


def data_node(row: DataSet, step: int) -> Node:
    """A data set."""
    facts = {
        "name": row.name,
        "version": row.number,
        "digest": row.digest,
        "rows": row.rows,
        "state": row.state,
        "registered_at": row.created_at,
    }
    return Node(f"data_set:{row.pk}", "data_set", str(row), step, facts)


def _run_node(row: VersionRun, step: int) -> Node:
    facts = {
        "run_id": row.run_id,
        "name": row.name,
        "experiment": row.experiment,
        "status": row.status,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "params": row.params,
        "data": row.data,
        "fetched_at": row.fetched_at,
    }
    return Node(f"run:{row.run_id}", "run", row.name or row.run_id, step, facts)


def _code_node(row: VersionRun, step: int) -> Node:
    facts = {"commit": row.commit, "repository": row.repository, "entry_point": row.entry_point}
    return Node(f"code:{row.commit}", "code", row.commit[:12], step, facts)


def _evidence_node(row: Evidence, step: int) -> Node:
    facts = {"id": str(row.pk), "kind": row.kind, "status": row.status, "digest": row.result_digest,
             "made_at": row.created_at}  # fmt: skip
    return Node(f"evidence:{row.pk}", "evidence", f"{row.kind} report", step, facts)


def _request_node(row: PromotionRequest, step: int) -> Node:
    facts = {"id": str(row.pk), "stage": row.target_stage, "state": row.state, "opened_at": row.opened_at}
    return Node(f"promotion_request:{row.pk}", "promotion_request", f"to {row.target_stage}", step, facts)


def _grant_node(row: Grant, step: int) -> Node:
    facts = {"id": str(row.pk), "stage": row.stage, "state": row.state, "issued_at": row.issued_at,
             "valid_until": row.valid_until}  # fmt: skip
    return Node(f"grant:{row.pk}", "grant", f"for {row.stage}", step, facts)


# -- the walk --------------------------------------------------------------------------------------------------------


class _Walk:
    """The graph as it grows, and what the reader may see of it."""

    def __init__(self, by: Actor, start: Node) -> None:
        self._start = start.key
        self._nodes: dict[str, Node] = {start.key: start}
        self._edges: dict[tuple[str, str, str], Edge] = {}
        self._seen = policy.patterns_for(by, Action.REGISTRY_VIEW)
        self._asked = policy.patterns_for(by, Action.PROMOTION_VIEW)
        self._hidden: dict[str, str] = {}
        self._message = ""
        self._beyond = ""

    def graph(self, direction: Direction, depth: int) -> Graph:
        nodes = sorted(self._nodes.values(), key=lambda node: abs(node.step))
        return Graph(self._start, nodes, list(self._edges.values()), direction.value, depth, self._message)

    def go(self, direction: Direction, depth: int, versions: list[ModelVersion], data: list[DataSet]) -> None:
        """Walk up, down, or first up and then down, each from the start."""
        if direction is not Direction.DOWN:
            self._steps(self._up, -1, depth, versions, data)
        if direction is not Direction.UP:
            self._steps(self._down, 1, depth, versions, data)

    def _steps(self, step: Any, sign: int, depth: int, versions: list[ModelVersion], data: list[DataSet]) -> None:
        for far in range(1, depth + 1):
            if not (versions or data):
                return
            versions, data = step(sign * far, versions, data)
        if (versions or data) and not self._message:
            # One step further, only to know whether there is one: a graph that ends by itself says nothing.
            self._beyond = f"There is more behind the last of the {depth} steps shown."
            step(sign * (depth + 1), versions, data)
            self._beyond = ""

    def _up(
        self, step: int, versions: list[ModelVersion], data: list[DataSet]
    ) -> tuple[list[ModelVersion], list[DataSet]]:
        near_versions, near_data = self._near(versions), self._near(data)
        found_data: list[DataSet] = []
        for link in self._some(
            VersionDataSet.objects.select_related("data_set")
            .defer(*(f"data_set__{name}" for name in _DATA_HEAVY))
            .filter(version__in=versions)
            .order_by("pk")
        ):
            key = self._data(link.data_set, step, found_data)
            self._join(key, near_versions[link.version_id], link.role)
        for row in self._some(
            DataSet.objects.defer(*_DATA_HEAVY).filter(pk__in=[row.parent_id for row in data]).order_by("pk")
        ):
            key = self._data(row, step, found_data)
            for child in (each for each in data if each.parent_id == row.pk):
                self._join(key, near_data[child.pk], "erased_into")
        found_versions: list[ModelVersion] = []
        for parent in self._some(
            VersionParent.objects.select_related("parent__model")
            .defer("parent__artifact_manifest")
            .filter(version__in=versions)
            .order_by("pk")
        ):
            self._join(self._parent(parent, step, found_versions), near_versions[parent.version_id], parent.kind)
        self._runs(step, versions, near_versions)
        return found_versions, found_data

    def _runs(self, step: int, versions: list[ModelVersion], near: Mapping[Any, str]) -> None:
        known = {row.version_id: row for row in VersionRun.objects.filter(version__in=versions)}
        for version in versions:
            row = known.get(version.pk)
            if row is None and version.run_id and version.deleted_at is None:
                facts = {"run_id": version.run_id, "fetched_at": None}
                key = self._add(Node(f"run:{version.run_id}", "run", version.run_id, step, facts))
            elif row is not None:
                key = self._add(_run_node(row, step))
                if row.commit:
                    self._join(self._add(_code_node(row, step - 1)), key, "code")
            else:
                continue
            self._join(key, near[version.pk], "produced")

    def _down(
        self, step: int, versions: list[ModelVersion], data: list[DataSet]
    ) -> tuple[list[ModelVersion], list[DataSet]]:
        near_versions, near_data = self._near(versions), self._near(data)
        found_versions: list[ModelVersion] = []
        found_data: list[DataSet] = []
        for link in self._some(
            VersionDataSet.objects.select_related("version__model")
            .defer("version__artifact_manifest")
            .filter(data_set__in=data)
            .order_by("pk")
        ):
            key = self._version(link.version, step, found_versions)
            self._join(near_data[link.data_set_id], key, link.role)
        for row in self._some(DataSet.objects.defer(*_DATA_HEAVY).filter(parent__in=data).order_by("pk")):
            self._join(near_data[row.parent_id], self._data(row, step, found_data), "erased_into")
        for child in self._some(
            VersionParent.objects.select_related("version__model")
            .defer("version__artifact_manifest")
            .filter(parent__in=versions)
            .order_by("pk")
        ):
            key = self._version(child.version, step, found_versions)
            self._join(near_versions[child.parent_id], key, child.kind)
        self._records(step, versions, near_versions)
        return found_versions, found_data

    def _records(self, step: int, versions: list[ModelVersion], near: Mapping[Any, str]) -> None:
        """Evidence, promotion requests and grants of versions that the reader sees."""
        for row in self._some(Evidence.objects.filter(version__in=versions).defer("result").order_by("pk")):
            self._join(near[row.version_id], self._add(_evidence_node(row, step)), "measured")
        asked = [row for row in versions if self._covers(self._asked, row.model.name)]
        for request in self._some(PromotionRequest.objects.filter(version__in=asked).order_by("pk")):
            self._join(near[request.version_id], self._add(_request_node(request, step)), "asked")
        for grant in self._some(Grant.objects.filter(version__in=asked).order_by("pk")):
            self._join(f"promotion_request:{grant.request_id}", self._add(_grant_node(grant, step + 1)), "granted")

    # -- what is added -----------------------------------------------------------------------------------------------

    @staticmethod
    def _near(rows: Iterable[ModelVersion | DataSet]) -> dict[Any, str]:
        return {row.pk: f"{'data_set' if isinstance(row, DataSet) else 'model_version'}:{row.pk}" for row in rows}

    def _some(self, rows: Any) -> list[Any]:
        """As many rows as there is room for, and one to tell that there are more."""
        room = max(MOST_NODES - len(self._nodes), 0) + 1
        found = list(rows[:room])
        if len(found) == room:
            self._message = _TOO_MANY
        return found

    def _add(self, node: Node) -> str:
        """The key of the node, which is there from now on; empty when there is no room for it."""
        if node.key not in self._nodes and self._beyond:
            self._message = self._beyond
            return ""
        if node.key not in self._nodes:
            if len(self._nodes) >= MOST_NODES:
                self._message = _TOO_MANY
                return ""
            self._nodes[node.key] = node
        return node.key

    def _join(self, source: str, target: str, kind: str) -> None:
        if source in self._nodes and target in self._nodes and not self._beyond:
            self._edges.setdefault((source, target, kind), Edge(source, target, kind))

    def _version(self, row: ModelVersion, step: int, found: list[ModelVersion]) -> str:
        if not self._covers(self._seen, row.model.name):
            return self._secret("model_version", str(row.pk), step)
        node = version_node(row, step)
        if node.key not in self._nodes and self._add(node):
            found.append(row)
        return node.key

    def _data(self, row: DataSet, step: int, found: list[DataSet]) -> str:
        if not self._covers(self._seen, row.name):
            return self._secret("data_set", str(row.pk), step)
        node = data_node(row, step)
        if node.key not in self._nodes and self._add(node):
            found.append(row)
        return node.key

    def _parent(self, row: VersionParent, step: int, found: list[ModelVersion]) -> str:
        """The parent, or its name when its model was deleted."""
        if row.parent is not None:
            return self._version(row.parent, step, found)
        key = f"{row.parent_name}/{row.parent_number}"
        if not self._covers(self._seen, row.parent_name):
            return self._secret("model_version", key, step)
        facts = {"model": row.parent_name, "version": row.parent_number, "deleted": True}
        label = f"{row.parent_name} v{row.parent_number}"
        return self._add(Node(f"model_version:{key}", "model_version", label, step, facts))

    def _secret(self, type_: str, key: str, step: int) -> str:
        """A thing that the reader may not see: counted, never named."""
        alias = self._hidden.setdefault(f"{type_}:{key}", f"hidden:{len(self._hidden) + 1}")
        return self._add(Node(alias, type_, "", step, hidden=True))

    @staticmethod
    def _covers(patterns: Iterable[str], name: str) -> bool:
        return any(grants.covers(pattern, name) for pattern in patterns)
