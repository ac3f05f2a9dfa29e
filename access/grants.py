"""Which roles an actor holds, where, and since whose grant: read from the rows, remembered for one request."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from django.db.models import Q

from access.models import RoleGrant, User
from access.roles import Role
from audit.actors import Actor
from audit.clock import now


@dataclass(frozen=True)
class Held:
    """One role grant in force."""

    role: Role
    pattern: str
    granted_by: str | None


def in_force(account: str) -> tuple[Held, ...]:
    """The grants of an account that hold at this moment."""
    rows = RoleGrant.objects.filter(
        Q(until=None) | Q(until__gt=now()), user_id=account, user__is_active=True, revoked_at=None
    ).values_list("role", "pattern", "granted_by_id")
    return tuple(Held(Role(role), pattern, str(by) if by else None) for role, pattern, by in rows)


def held_by(actor: Actor) -> tuple[Held, ...]:
    """The grants of an actor, asked of the database once per request."""
    if actor.account is None:
        return ()
    known = actor.memo.get("grants")
    if not isinstance(known, tuple):
        known = actor.memo["grants"] = in_force(actor.account)
    return known


def covers(pattern: str, scope: str) -> bool:
    """Whether a grant on ``pattern`` reaches ``scope``; an installation-wide scope ("") needs the pattern ``*``."""
    return pattern == "*" or (scope != "" and fnmatchcase(scope, pattern))


def roles_on(held: Iterable[Held], scope: str) -> frozenset[Role]:
    """The roles among ``held`` that reach ``scope``."""
    return frozenset(grant.role for grant in held if covers(grant.pattern, scope))


def holders(roles: frozenset[Role], scope: str) -> list[User]:
    """The active accounts that hold one of ``roles`` on ``scope`` now."""
    rows = RoleGrant.objects.filter(
        Q(until=None) | Q(until__gt=now()),
        role__in=[role.value for role in roles],
        user__is_active=True,
        revoked_at=None,
    ).select_related("user")
    return list({grant.user_id: grant.user for grant in rows if covers(grant.pattern, scope)}.values())
