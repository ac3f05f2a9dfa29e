"""``manage.py permissions``: the policy table as a page for people, ``docs/reference/permissions.md``.

Only the rendering belongs here. What the table says is ``access/policy.py``; a test compares the page with it.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.core.management.base import BaseCommand

from access import scopes
from access.policy import ENTANGLED, POLICY, Rule
from access.roles import DESCRIPTIONS, LABELS, Role
from access.scopes import SCOPES, TokenScope
from audit.events import WORDS, Action, log_of

INTRODUCTION: Final = """\
# Who may do what

<!-- Made by `python manage.py permissions > docs/reference/permissions.md`. Do not edit: change access/policy.py. -->

Every permission in Plimsoll stands in one table, [access/policy.py](../../access/policy.py). This page is that table
printed out. *When* something is possible is another matter and stands in the
[states of a promotion](promotion-states.md).

A role is held everywhere or on the models and data sets whose names match a pattern, for good or until a date. What
concerns no single model (accounts, the trail, erasure) takes a role that is held everywhere. A role is granted to an
account, or to a group and so to whoever is in it. A service account and its owner are one person wherever someone
independent has to decide; it works only while its owner's account is open.

Who can do a particular thing right now, and through which grant, is answered at `/people/who-can/` and over REST at
`/api/v1/who-can/`, from the same table.
"""
MATRIX: Final = """\
## Actions

● the role may. ◐ the role may, unless one of the reasons under [separation of duties](#separation-of-duties) applies.
*own* is whoever's account it is done to, and for a service account its owner. *Plimsoll* stands for the service's own
jobs and command line. The name under an action is what the trail calls it;
its entries go to the log named beside it, refusals always to *admin*.
"""
TOKENS: Final = """\
## Token scopes

A token is narrowed by its scope; it never may more than its account. Passwords and sessions are not narrowed.
"""
DUTIES: Final = """\
## Separation of duties

These rules look at what was recorded about the subject, not at roles. Nobody is exempt, administrators and service
accounts included. The sentence is the one that pages and the API show.
"""


def page() -> str:
    """The whole page, ending in a newline."""
    return "\n".join([INTRODUCTION, *_roles(), MATRIX, *_matrix(), TOKENS, *_tokens(), DUTIES, *_duties()])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _roles() -> Iterator[str]:
    yield from ("## Roles", "", _row(["role", "what it is for"]), "|---|---|")
    for role in Role:
        yield _row([LABELS[role], DESCRIPTIONS[role]])
    yield ""


def _matrix() -> Iterator[str]:
    yield _row(["action", "log", *(LABELS[role] for role in Role), "own", "Plimsoll"])
    yield "|---|---|" + ":-:|" * (len(Role) + 2)
    for action, rule in POLICY.items():
        marks = (_mark(rule, role) for role in Role)
        system = "●" if rule.system else ""
        own = "●" if rule.own or rule.anyone else ""
        yield _row([f"{WORDS[action]}<br>`{action.value}`", log_of(action), *marks, own, system])
    yield ""


def _tokens() -> Iterator[str]:
    yield _row(["scope", "such a token may", "actions it reaches"])
    yield "|---|---|---|"
    for scope in TokenScope:
        reached = [f"`{action.value}`" for action in Action if scopes.reaches(scope, action)]
        every = "every action" if len(reached) == len(Action) else ", ".join(reached)
        yield _row([f"{SCOPES[scope].label} (`{scope.value}`)", SCOPES[scope].reach, every])
    yield ""


def _mark(rule: Rule, role: Role) -> str:
    if rule.anyone:
        return "●"
    if role not in rule.roles:
        return ""
    return "◐" if rule.unless else "●"


def _duties() -> Iterator[str]:
    for action, rule in POLICY.items():
        if rule.unless:
            yield f"- **{_capital(WORDS[action])}** is refused to whoever hears one of these:"
            yield from (f"  - “{ENTANGLED[relation]}” (`{relation.value}`)" for relation in rule.unless)
    yield ""
    yield _anyone()
    yield ""


def _anyone() -> str:
    free = [WORDS[action] for action in Action if POLICY[action].anyone]
    return f"Every signed-in account, whatever its roles, may for itself: {', '.join(free)}."


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


class Command(BaseCommand):
    """Print the page."""

    help = "Print docs/reference/permissions.md from the policy table."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own type

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(page(), ending="")
