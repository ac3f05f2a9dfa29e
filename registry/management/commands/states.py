"""``manage.py states``: the life of a promotion as a page for people, ``docs/reference/promotion-states.md``.

Only the rendering belongs here. States and transitions are ``registry/states.py``, what a stage asks for is
``registry/rules.py``; a test compares the page with them.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any, Final

from django.core.management.base import BaseCommand

from registry.rules import POLICIES, REQUIREMENTS
from registry.states import (
    LIVE,
    PROTECTED_ALIASES,
    PROTECTED_STAGES,
    TRANSITIONS,
    DecisionKind,
    GrantState,
    Outcome,
    RequestAct,
    RequestState,
    Stage,
)

INTRODUCTION: Final = """\
# The states of a promotion

<!-- Made by `python manage.py states > docs/reference/promotion-states.md`. Do not edit: change registry/states.py. -->

What can happen to a promotion request, printed from [registry/states.py](../../registry/states.py) and
[registry/rules.py](../../registry/rules.py). *Who* may do it stands in [who may do what](permissions.md).
"""


def page() -> str:
    """The whole page, ending in a newline."""
    parts = [INTRODUCTION, *_diagram(), *_transitions(), *_protected(), *_policies(), *_words()]
    return "\n".join(parts)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _diagram() -> Iterator[str]:
    yield from ("```mermaid", "stateDiagram-v2", f"    [*] --> {RequestState.OPEN.value}")
    for act, state in product(RequestAct, RequestState):  # not the table's own order: a set helped to build it
        if (state, act) in TRANSITIONS:
            yield f"    {state.value} --> {TRANSITIONS[state, act].value}: {_plain(act)}"
    for state in RequestState:
        if state not in LIVE:
            yield f"    {state.value} --> [*]"
    yield from ("```", "")


def _plain(act: RequestAct) -> str:
    return act.value.replace("_", " ")


def _transitions() -> Iterator[str]:
    live = ", ".join(f"`{state.value}`" for state in RequestState if state in LIVE)
    yield f"A request is *live* in {live}."
    yield "A model has at most one live request for each protected stage. In every other state it is closed for good."
    yield from ("", _row(["in state", *(f"`{state.value}`" for state in RequestState if state in LIVE)]))
    yield "|---|" + "---|" * len(LIVE)
    for act in RequestAct:
        after = (TRANSITIONS.get((state, act)) for state in RequestState if state in LIVE)
        yield _row([_plain(act), *(f"`{state.value}`" if state else "" for state in after)])
    yield ""


def _protected() -> Iterator[str]:
    stages = ", ".join(stage.value for stage in Stage if stage in PROTECTED_STAGES)
    yield from ("## What is protected", "")
    yield f"The stages are {', '.join(stage.value for stage in Stage)}; protected: **{stages}**."
    yield "A version enters or leaves a protected stage only when an approved promotion is applied."
    yield from ("", _row(["alias", "belongs to"]), "|---|---|")
    for alias, stage in PROTECTED_ALIASES.items():
        yield _row([f"`{alias}`", stage.value])
    yield ""


def _policies() -> Iterator[str]:
    for stage, policy in POLICIES.items():
        yield from (
            f"## What {stage.value} asks for",
            "",
            f"Policy `{policy['id']}`, revision {policy['revision']}.",
            "",
        )
        yield from (f"- {REQUIREMENTS[name]}" for name in policy["requires"])
        yield from (f"- {sentence}" for sentence in _numbers(policy))
        yield ""


def _numbers(policy: Mapping[str, Any]) -> list[str]:
    quorum = policy["quorum"]
    roles = " or ".join(role.replace("_", " ") for role in quorum["roles"])
    return [
        f"Approvals needed: {quorum['count']}, by a {roles}",
        f"A request expires after {policy['request_days']} days",
        f"An approval can be applied for {policy['approval_days']} days",
        f"A grant is valid for {policy['grant_days']} days",
    ]


def _words() -> Iterator[str]:
    yield from ("## Words", "", _row(["word", "values"]), "|---|---|")
    for name, values in (("decision", DecisionKind), ("gate", Outcome), ("grant", GrantState)):
        yield _row([name, ", ".join(f"`{value.value}`" for value in values)])
    yield ""


class Command(BaseCommand):
    """Print the page."""

    help = "Print docs/reference/promotion-states.md from the tables of states."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own type

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(page(), ending="")
