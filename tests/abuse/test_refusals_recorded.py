"""Every refusal of every act that changes something: one entry that says who, what, on what and why; and no change.

The table is refusal_table.py. What is refused before an act is known (an unreadable body, an address of nothing) is in
test_rest_matrix.py and leaves no entry.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from access.policy import POLICY
from audit.actors import ANONYMOUS
from audit.errors import DomainError
from audit.events import ACCESS_LOG, Action
from audit.models import Event
from audit.pseudonyms import actor_ref
from registry.actions import artifacts
from tests.abuse.refusal_table import ACTS, ANYONE, OWN, REFUSALS
from tests.abuse.refusal_world import Refusal, World
from tests.abuse.surface import state

pytestmark = pytest.mark.django_db


def refused(act: Callable[[], Any]) -> tuple[DomainError, dict[str, Any]]:
    """Do it, see it refused, with nothing changed and one entry that says so: the refusal and the entry."""
    before, known = state(), set(Event.objects.values_list("id", flat=True))
    with pytest.raises(DomainError) as caught:
        act()
    assert state() == before
    (event,) = Event.objects.exclude(id__in=known)
    assert (event.log, event.outcome) == ("admin", "denied")
    assert caught.value.sentence
    return caught.value, json.loads(bytes(event.leaf_data))


def check(entry: dict[str, Any], action: Action, on: str, code: str) -> None:
    assert (entry["action"], entry["object"]["type"], entry["reason_code"]) == (action.value, on, code)
    assert entry["outcome"] == "denied"
    assert entry["change"].keys() <= {"on"}, "a refusal changes nothing, and says nothing of what was wanted"


@pytest.mark.parametrize(
    ("action", "on", "act"), ACTS, ids=[f"{a.value}-{on}-{n}" for n, (a, on, _) in enumerate(ACTS)]
)
def test_who_has_no_role_for_it_is_refused_and_named(action: Action, on: str, act: Callable[..., Any]) -> None:
    world = World()
    error, entry = refused(lambda: act(world, world.viewer))
    assert error.code == "role_missing"
    check(entry, action, on, "role_missing")
    assert entry["actor"]["ref"] == actor_ref(world.viewer)


@pytest.mark.parametrize(
    ("action", "on", "act"), ACTS + ANYONE, ids=[f"{a.value}-{on}-{n}" for n, (a, on, _) in enumerate(ACTS + ANYONE)]
)
def test_nobody_is_asked_to_sign_in_and_that_is_recorded(action: Action, on: str, act: Callable[..., Any]) -> None:
    world = World()
    error, entry = refused(lambda: act(world, ANONYMOUS))
    assert error.code == "unauthenticated"
    check(entry, action, on, "unauthenticated")
    assert entry["actor"]["type"] == "anonymous"


@pytest.mark.parametrize(("action", "on", "act"), OWN, ids=[a.value for a, _, _ in OWN])
def test_what_plimsoll_does_itself_no_account_may_do(action: Action, on: str, act: Callable[..., Any]) -> None:
    world = World()
    world.job()
    with pytest.raises(DomainError) as caught:
        act(world, world.boss)
    assert caught.value.code == "system_only"
    event = Event.objects.get(outcome="denied")
    check(json.loads(bytes(event.leaf_data)), action, on, "system_only")


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_a_refusal_is_recorded_once_and_changes_nothing(refusal: Refusal) -> None:
    world = World()
    arranged = refusal.arrange(world)
    error, entry = refused(lambda: refusal.act(world, arranged))
    assert error.code == refusal.code, error.sentence
    check(entry, refusal.action, refusal.on, refusal.code)


def test_every_act_that_changes_something_is_in_the_table() -> None:
    covered = {action for action, _, _ in ACTS + ANYONE + OWN}
    # Tracking's own writes are passed on to it (tests/web/mlflow); verifying is done by workers alone.
    # What the operator's commands and the sequencer do is tested with them (tests/audit).
    own = {Action.TICK, Action.PRUNE, Action.KEY_ROTATE, Action.KEY_RETIRE}
    # What jobs find and write down is tested with them (tests/registry).
    jobs = {Action.ARTIFACT_PIN, Action.ARTIFACT_ALARM, Action.RUN_RECORD, Action.DATA_SET_ADOPT}
    elsewhere = {Action.TRACKING_WRITE, Action.ERASURE_VERIFY, *jobs, *own}
    assert set(POLICY) - ACCESS_LOG - elsewhere <= covered | {Action.TRAIL_EXPORT}
    assert all(POLICY[action].roles == frozenset() for action in elsewhere - {Action.TRACKING_WRITE})


def test_pinning_by_an_account_is_refused() -> None:
    world = World()
    job = world.job()
    with pytest.raises(DomainError):
        artifacts._pin(world.boss, job, {"files": [{"path": "a", "size": 1, "sha256": "0" * 64}]})
    entry = json.loads(bytes(Event.objects.get(outcome="denied").leaf_data))
    check(entry, Action.ARTIFACT_PIN, "model_version", "system_only")
