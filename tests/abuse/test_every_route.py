"""Every role on every address of all surfaces, on objects inside and outside what it reaches.

What is expected is computed from the policy table; what happens is asked over HTTP, in one world that is put back after
every request. Whoever may not is told so (403), or that there is no such thing (404); whoever may is told neither.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from django.db import transaction
from django.test import Client

from access import actions, grants
from access.policy import POLICY
from access.roles import Role
from audit.actors import SYSTEM
from audit.events import Action
from tests import factories
from tests.abuse import route_table, surface
from tests.abuse.route_table import LISTED, OWN, Row
from tests.abuse.surface import send
from tests.web.pages import case as pages_case

HIDDEN = (b'"credit"', b">credit<", b'"credit-training-1"', b">credit-training-1<")


@contextmanager
def put_back() -> Iterator[None]:
    """A transaction in which doors open as if it were none, and of which nothing stays."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined] # as Django's own test cases mark theirs
    with block:
        yield
        transaction.set_rollback(True)


@dataclass(frozen=True)
class Caller:
    """An account with one role on one pattern, and its client. Nobody has neither."""

    client: Client
    role: Role | None = None
    pattern: str = "*"
    known: bool = True

    def may(self, row: Row) -> bool:
        rule = POLICY[row.action]
        if row.scope == OWN:
            return self.known
        if rule.anyone:
            return self.known
        if row.scope == LISTED and not row.name.startswith("proxy"):
            return self.known
        if self.role not in rule.roles:
            return False
        return row.scope == LISTED or grants.covers(self.pattern, row.scope)


class World:
    """One of everything, every address to it, and somebody of every kind."""

    def __init__(self) -> None:
        case = surface.case()
        pages_case.waiting(route_table.REVIEWED)
        self.rows = route_table.rows(case)
        self.nobody = Caller(Client(raise_request_exception=False), known=False)
        self.roleless = Caller(_client(), None)

    def somebody(self, role: Role, pattern: str = "*") -> Caller:
        return Caller(_client(role, pattern), role, pattern)


def _client(role: Role | None = None, pattern: str = "*") -> Client:
    user = factories.account(*([role] if role else []), pattern=pattern)
    _, secret = actions.create_token(by=SYSTEM, user=user, name="matrix")
    return Client(headers={"Authorization": f"Bearer {secret}"}, raise_request_exception=False)


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker) -> Iterator[World]:
    with django_db_blocker.unblock(), put_back():
        yield World()


def faults(caller: Caller, rows: list[Row]) -> list[str]:
    """What goes otherwise than the table says. Closing a streamed answer by hand would end the world's connection."""
    found = []
    for row in rows:
        with put_back():
            answer = send(caller.client, row.method, row.address, row.body, row.kind)
            content = b"".join(answer) if answer.streaming else answer.content
        if fault := _fault(caller, row, answer.status_code, content, answer.headers.get("Location", "")):
            found.append(f"{row}: {fault}")
    return found


def _fault(caller: Caller, row: Row, status: int, content: bytes, location: str) -> str:
    if not caller.known:
        asked = status == 401 or (status == 302 and location.startswith("/sign-in/"))
        return "" if asked else f"a stranger is answered {status}"
    if status >= 500 and status not in {502, 503}:
        return f"{status}: {content[:200]!r}"
    if caller.may(row):
        refused = status in {401, 403} or (row.exact and status == 404)
        if status == 403 and row.name in route_table.OTHERWISE:
            return "" if route_table.OTHERWISE[row.name] in content else f"refused: {content[:200]!r}"
        leaks = row.scope == LISTED and not _sees(caller, row) and any(name in content for name in HIDDEN)
        return f"may, and is answered {status}: {content[:300]!r}" if refused else "is shown a name" if leaks else ""
    if status in {403, 404} or (status == 400 and not row.exact):
        return ""
    return f"may not, and is answered {status}"


def _sees(caller: Caller, row: Row) -> bool:
    return caller.role in POLICY[row.action].roles and grants.covers(caller.pattern, route_table.MODEL)


def check(caller: Caller, rows: list[Row]) -> None:
    assert rows
    found = faults(caller, rows)
    assert not found, f"{len(found)} of {len(rows)} answers:\n" + "\n".join(found)


def test_strangers_are_asked_to_sign_in_everywhere(world: World) -> None:
    check(world.nobody, world.rows)


def test_an_account_without_a_role_has_what_is_everybodys_and_no_more(world: World) -> None:
    check(world.roleless, world.rows)


@pytest.mark.parametrize("role", list(Role))
def test_a_role_everywhere_does_what_the_table_says(world: World, role: Role) -> None:
    check(world.somebody(role), world.rows)


@pytest.mark.parametrize("role", list(Role))
def test_a_role_elsewhere_reaches_nothing_here(world: World, role: Role) -> None:
    check(world.somebody(role, "elsewhere-*"), narrowed(world, role))


def narrowed(world: World, role: Role) -> list[Row]:
    """Where a role's pattern matters: what the role may somewhere, and lists."""
    return [row for row in world.rows if role in POLICY[row.action].roles and row.scope != OWN]


@pytest.mark.parametrize("role", list(Role))
def test_a_role_on_these_names_does_here_what_the_table_says(world: World, role: Role) -> None:
    check(world.somebody(role, "credit*"), [row for row in narrowed(world, role) if row.scope])


def test_every_surface_and_most_of_the_policy_are_in_the_matrix(world: World) -> None:
    assert {row.name.partition(":")[0] for row in world.rows} == {"rest", "page", "wire", "log", "proxy"}
    covered = {row.action for row in world.rows}
    offered = {action for action, rule in POLICY.items() if rule.roles}
    assert offered - covered == {Action.EVIDENCE_VIEW}, (
        "evidence is seen by whoever sees its version, and noted as this"
    )
