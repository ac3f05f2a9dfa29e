"""Who can do this? An act, on everything or on one name, answered from the policy table and the grants in force.

The same function that lets an act through or refuses it (``policy.why_not``) is asked for each account, so the answer
cannot differ from what happens.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from access import grants, policy
from access.authenticate import actor_of
from access.grants import Held
from access.models import RoleGrant, User
from access.policy import POLICY, Rule
from access.roles import LABELS, Role, either
from audit.actors import Actor
from audit.errors import Invalid
from audit.events import WORDS, Action
from audit.subjects import INSTALLATION, Subject

SIZE: Final = 50
_MOST_SCOPE: Final = 256


@dataclass(frozen=True)
class Question:
    """An act, and the name of a model or data set ("" for the installation as a whole)."""

    action: Action
    scope: str = ""

    @property
    def subject(self) -> Subject:
        return Subject(type="question", id=self.action.value, scope=self.scope)

    @property
    def rule(self) -> Rule:
        return POLICY[self.action]


@dataclass(frozen=True)
class Holder:
    """One account: the grants through which it may, and the sentence that refuses it all the same, if one does."""

    user: User
    through: tuple[Held, ...]
    why_not: str | None


@dataclass(frozen=True)
class Answer:
    """The accounts that hold a role for it, a page of them; ``after`` begins the next (empty on the last)."""

    question: Question
    sentence: str
    groups: tuple[RoleGrant, ...]
    holders: tuple[Holder, ...]
    after: str


def question(action: str, scope: str = "") -> Question:
    """Read what is asked. Raises Invalid for an act that does not exist, or a name that cannot be one."""
    if action not in set(Action):
        raise Invalid(f"There is no action named {action[:60]!r}.", code="unknown_action")
    if len(scope) > _MOST_SCOPE or "\x00" in scope:
        raise Invalid(f"A name has at most {_MOST_SCOPE} characters, none of them NUL.", code="bad_name")
    return Question(Action(action), scope)


def answer(by: Actor, asked: Question, after: str = "", size: int = SIZE) -> Answer:
    """Who can, in a fixed number of queries. Raises Denied for who may not see accounts, Invalid for a bad page."""
    policy.require_read(by, Action.PEOPLE_VIEW, INSTALLATION)
    if len(after) > 150 or "\x00" in after:
        raise Invalid("This page does not exist; start again from the first.", code="bad_page")
    given = grants.grants_on(asked.rule.roles, asked.scope)
    rows = User.objects.filter(grants.may(given)).select_related("owner").distinct().order_by("username")
    users = list(rows.filter(username__gt=after)[: size + 1])
    more, users = len(users) > size, users[:size]
    in_groups = RoleGrant.objects.filter(pk__in=[grant.pk for grant in given if grant.group_id], group__closed_at=None)
    return Answer(
        question=asked,
        sentence=sentence(asked),
        groups=tuple(in_groups.select_related("group").order_by("group__name", "role", "pattern")),
        holders=tuple(_holders(users, asked)),
        after=users[-1].username if more else "",
    )


def of(by: Actor, asked: Question, user: User) -> Holder:
    """One account: whether it can, through what, and why not."""
    policy.require_read(by, Action.PEOPLE_VIEW, INSTALLATION)
    (found,) = _holders([user], asked)
    return found


def _holders(users: Iterable[User], asked: Question) -> Iterable[Holder]:
    users = list(users)
    accounts = [str(user.pk) for user in users]
    held, selves = grants.of_many(accounts), grants.selves_of(accounts)
    for user in users:
        account = str(user.pk)
        if not user.is_active:
            yield Holder(user, (), "This account is closed.")
            continue
        actor = actor_of(user, "session")
        actor.memo.update(grants=held[account], selves=selves[account])
        usable = [g for g in held[account] if g.role in asked.rule.roles and grants.covers(g.pattern, asked.scope)]
        subject = asked.subject
        if asked.rule.own:
            subject = Subject(subject.type, subject.id, involved={policy.HOLDER: frozenset({account})})
        yield Holder(user, tuple(usable), policy.why_not(actor, asked.action, subject))


def sentence(asked: Question) -> str:
    """The rule itself in one sentence, before anybody is named."""
    rule, words = asked.rule, WORDS[asked.action]
    if rule.anyone:
        return f"Every signed-in account may {words}."
    said = []
    if rule.own:
        said.append(f"Every account may {words} of its own, and of the service accounts it owns.")
    if rule.roles:
        roles = "any role" if rule.roles == frozenset(Role) else f"the role {either(rule.roles)}"
        where = f"on {asked.scope}" if asked.scope else "everywhere"
        said.append(f"To {words}{' of others' if rule.own else ''} takes {roles}, held {where}.")
    if rule.system:
        said.append("Plimsoll itself may." if said else f"Only Plimsoll itself may {words}.")
    return " ".join(said)


def grant_words(held: Held) -> str:
    """``reviewer on credit-*, through the group “Validation”``."""
    where = "everywhere" if held.pattern == "*" else f"on {held.pattern}"
    through = f", through the group “{held.group}”" if held.group else ""
    return f"{LABELS[held.role]} {where}{through}"
