"""Lineage both ways, what a reader may not see, and what many things cost."""

from typing import Any

import pytest

from access.roles import Role
from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Invalid
from audit.events import Action
from registry.actions import promotion
from registry.models import DataSet, Evidence, ModelVersion, RegisteredModel, VersionDataSet, VersionParent, VersionRun
from registry.queries import lineage
from registry.queries.lineage import Direction
from registry.states import DecisionKind, ParentKind
from tests import factories

pytestmark = pytest.mark.django_db
HEX = "ab" * 32


class World:
    """A base model trained on one data set, a tuned one made from it on another, and a copy of that one."""

    def __init__(self) -> None:
        self.by = factories.actor(Role.DATA_SCIENTIST)
        subject = RegisteredModel(name="base").subject()
        with door.open(self.by, Action.MODEL_CREATE, on=subject) as entry:
            self.text, self.more = self.data("text"), self.data("more")
            self.base, self.tuned, self.copy = self.version("base"), self.version("tuned"), self.version("copy")
            self.link(self.base, self.text)
            self.link(self.tuned, self.more)
            self.grown(self.tuned, self.base, ParentKind.FINE_TUNED)
            self.grown(self.copy, self.tuned, ParentKind.COPY)
            VersionRun.objects.create(
                version=self.tuned, run_id="r" * 32, name="night run", commit="c" * 40, params={"lr": "0.1"}
            )
            self.evidence(self.tuned)
            entry.record(on=self.base.model)

    def data(self, name: str) -> DataSet:
        return DataSet.objects.create(
            name=name, number=1, role="training", digest=HEX, manifest={}, rows=10, columns=[], path="x",
            created_by=self.by.account,
        )  # fmt: skip

    def version(self, name: str, number: int = 1) -> ModelVersion:
        model, _ = RegisteredModel.objects.get_or_create(name=name, defaults={"created_by": self.by.account})
        return ModelVersion.objects.create(model=model, number=number, source="s", created_by=self.by.account)

    def link(self, version: ModelVersion, data: DataSet) -> None:
        VersionDataSet.objects.create(version=version, data_set=data, role="training", created_by=self.by.account)

    def grown(self, version: ModelVersion, parent: ModelVersion, kind: ParentKind) -> None:
        VersionParent.objects.create(
            version=version, parent=parent, parent_name=parent.model.name, parent_number=parent.number, kind=kind
        )

    def evidence(self, version: ModelVersion) -> None:
        Evidence.objects.create(version=version, kind="fairness", status="OK", inputs={}, result={}, result_digest=HEX)


@pytest.fixture
def world() -> World:
    return World()


def told(graph: lineage.Graph) -> set[tuple[str, str, str]]:
    """The edges by the labels of their ends; a hidden end is a question mark."""
    labels = {node.key: node.label or "?" for node in graph.nodes}
    return {(labels[edge.source], edge.kind, labels[edge.target]) for edge in graph.edges}


def test_up_is_what_it_was_made_of(world: World) -> None:
    graph = lineage.of_version(world.by, world.copy, Direction.UP, 3)
    assert told(graph) == {
        ("tuned v1", "copy", "copy v1"), ("base v1", "fine_tuned", "tuned v1"), ("more v1", "training", "tuned v1"),
        ("night run", "produced", "tuned v1"), ("cccccccccccc", "code", "night run"),
        ("text v1", "training", "base v1"),
    }  # fmt: skip
    steps = {node.label: node.step for node in graph.nodes}
    assert steps == {"copy v1": 0, "tuned v1": -1, "base v1": -2, "more v1": -2, "night run": -2, "cccccccccccc": -3,
                     "text v1": -3}  # fmt: skip
    run = next(node for node in graph.nodes if node.type == "run")
    assert run.facts["params"] == {"lr": "0.1"}
    assert graph.message == ""


def test_down_is_what_was_made_of_it(world: World) -> None:
    graph = lineage.of_version(world.by, world.base, Direction.DOWN, 3)
    assert told(graph) == {
        ("base v1", "fine_tuned", "tuned v1"), ("tuned v1", "measured", "fairness report"),
        ("tuned v1", "copy", "copy v1"),
    }  # fmt: skip


def test_down_from_a_data_set_is_what_was_built_on_it(world: World) -> None:
    graph = lineage.of_data_set(world.by, world.text, Direction.BOTH, 10)
    assert {node.label for node in graph.nodes if node.type == "model_version"} == {"base v1", "tuned v1", "copy v1"}
    assert ("more v1", "training", "tuned v1") not in told(graph)


def test_what_lies_behind_the_last_step_is_mentioned(world: World) -> None:
    graph = lineage.of_version(world.by, world.copy, Direction.UP, 1)
    assert told(graph) == {("tuned v1", "copy", "copy v1")}
    assert graph.message == "There is more behind the last of the 1 steps shown."


def test_what_a_reader_may_not_see_has_no_name(world: World) -> None:
    reader = factories.actor(Role.VIEWER, pattern="copy")
    graph = lineage.of_version(reader, world.copy, Direction.BOTH, 5)
    assert told(graph) == {("?", "copy", "copy v1")}
    (hidden,) = [node for node in graph.nodes if node.hidden]
    assert vars(hidden) == {
        "key": "hidden:1", "type": "model_version", "label": "", "step": -1, "facts": {}, "hidden": True,
    }  # fmt: skip
    assert "tuned" not in repr(graph)
    assert str(world.tuned.pk) not in repr(graph)


def test_a_hidden_data_set_and_a_hidden_descendant_have_no_name_either(world: World) -> None:
    reader = factories.actor(Role.VIEWER, pattern="base")
    graph = lineage.of_version(reader, world.base, Direction.BOTH, 5)
    assert told(graph) == {("?", "training", "base v1"), ("base v1", "fine_tuned", "?")}
    assert not [text for text in ("text", "tuned v1", str(world.text.pk), str(world.tuned.pk)) if text in repr(graph)]


def test_a_parent_whose_model_is_gone_keeps_its_name(world: World) -> None:
    with door.open(world.by, Action.MODEL_DELETE, on=world.tuned.model) as entry:
        VersionParent.objects.filter(version=world.tuned).delete()
        Evidence.objects.none().delete()
        VersionParent.objects.filter(version=world.copy).update(parent=None)
        entry.record()
    graph = lineage.of_version(world.by, world.copy, Direction.UP, 3)
    assert told(graph) == {("tuned v1", "copy", "copy v1")}
    assert [node.facts.get("deleted") for node in graph.nodes] == [False, True]


def test_promotions_and_grants_are_in_it() -> None:
    from tests.web.rest.test_promotion_api import version_of

    version = version_of(factories.account(Role.DATA_SCIENTIST))
    by, rex = factories.actor(Role.DATA_SCIENTIST), factories.actor(Role.REVIEWER)
    request = promotion.open_request(by=by, version=version, target_stage="Production", justification="Better.")
    digest = request.subject_digest
    promotion.decide(by=rex, request=request, kind=DecisionKind.APPROVE, subject_digest=digest)
    promotion.apply(by=by, request=request, subject_digest=digest)
    edges = told(lineage.of_version(by, version, Direction.DOWN, 1))
    assert {("credit v1", "asked", "to Production"), ("to Production", "granted", "for Production")} <= edges


@pytest.mark.parametrize(
    ("direction", "depth", "found"),
    [("", "", (Direction.BOTH, 3)), ("up", "10", (Direction.UP, 10)), ("down", "01", (Direction.DOWN, 1))],
)
def test_direction_and_depth_are_read(direction: str, depth: str, found: Any) -> None:
    assert lineage.asked(direction, depth) == found


@pytest.mark.parametrize(
    ("direction", "depth"), [("sideways", ""), ("UP", ""), ("", "0"), ("", "11"), ("", "-1"), ("", "x"), ("", "٣")]
)
def test_what_is_no_direction_or_depth_is_refused(direction: str, depth: str) -> None:
    with pytest.raises(Invalid):
        lineage.asked(direction, depth)


@pytest.mark.parametrize("count", [1, 20])
def test_many_things_cost_what_one_costs(world: World, count: int, django_assert_num_queries: Any) -> None:
    with door.open(world.by, Action.VERSION_UPDATE, on=world.base) as entry:
        for number in range(count):
            child = world.version("children", number + 1)
            world.grown(child, world.base, ParentKind.FINE_TUNED)
            world.evidence(child)
            world.link(child, world.text)
        entry.record()
    with django_assert_num_queries(8):  # children, evidence, requests, grants; and whether there are more
        graph = lineage.of_version(world.by, world.base, Direction.DOWN, 1)
    assert sum(node.type == "model_version" for node in graph.nodes) == count + 2


def test_too_many_things_are_cut_with_a_sentence(world: World) -> None:
    now_ = now()
    rows = [
        Evidence(version=world.base, kind="fairness", status="OK", inputs={}, result={}, result_digest=HEX,
                 created_at=now_)
        for _ in range(lineage.MOST_NODES + 5)
    ]  # fmt: skip
    with door.open(world.by, Action.VERSION_UPDATE, on=world.base) as entry:
        Evidence.objects.bulk_create(rows)
        entry.record()
    graph = lineage.of_version(world.by, world.base, Direction.BOTH, 2)
    assert len(graph.nodes) == lineage.MOST_NODES
    assert graph.message.startswith("There is more than the 300 things")
    keys = {node.key for node in graph.nodes}
    assert all(edge.source in keys and edge.target in keys for edge in graph.edges)


def test_an_actor_without_a_role_sees_no_names(world: World) -> None:
    nobody: Actor = factories.actor()
    graph = lineage.of_version(nobody, world.copy, Direction.BOTH, 3)
    assert [node.label for node in graph.nodes if node.step] == [""]
