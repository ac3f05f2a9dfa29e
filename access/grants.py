"""Which roles an account holds, where, and by whose doing; and which accounts are one person.

Read from the rows, remembered for one request. An account holds what was granted to it and what was granted to its
groups. A service account whose owner's account is closed holds nothing: nobody answers for it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final

from django.db import connection
from django.db.models import Q

from access.models import FormerOwner, Membership, RoleGrant, User
from access.roles import Role
from audit.actors import Actor
from audit.clock import now

# Asked with nearly every request, so it is not put together anew each time.
_LIVE: Final = "g.revoked_at IS NULL AND (g.until IS NULL OR g.until > %(now)s)"
_WORKS: Final = (
    "JOIN access_user u ON u.id = {holder} AND u.is_active LEFT JOIN access_user o ON o.id = u.owner_id"
    " WHERE {holder} = ANY(%(accounts)s::uuid[]) AND o.is_active IS NOT FALSE"
)
_HELD: Final = (
    "SELECT g.user_id, g.id, g.role, g.pattern, g.granted_by_id, g.until, NULL::uuid, ''"  # noqa: S608 - our own words
    f" FROM access_rolegrant g {_WORKS.format(holder='g.user_id')} AND {_LIVE}"
    " UNION ALL SELECT m.user_id, g.id, g.role, g.pattern, g.granted_by_id, g.until, m.added_by_id, p.name"
    " FROM access_membership m JOIN access_group p ON p.id = m.group_id AND p.closed_at IS NULL"
    f" JOIN access_rolegrant g ON g.group_id = p.id {_WORKS.format(holder='m.user_id')}"
    f" AND m.removed_at IS NULL AND {_LIVE}"
)


@dataclass(frozen=True)
class Held:
    """One role grant in force. ``given_by`` are the accounts without which it would not be held: who granted the role,
    and who put the holder into the group (named in ``group``).
    """

    role: Role
    pattern: str
    given_by: frozenset[str]
    grant: str = ""
    group: str = ""
    until: datetime | None = None


def in_force(account: str) -> tuple[Held, ...]:
    """The grants of an account that hold at this moment, in one query."""
    return of_many((account,))[account]


def of_many(accounts: Collection[str]) -> Mapping[str, tuple[Held, ...]]:
    """``{account: the grants it holds at this moment}``, in one query however many they are."""
    found: dict[str, list[Held]] = {account: [] for account in accounts}
    with connection.cursor() as cursor:
        cursor.execute(_HELD, {"accounts": list(accounts), "now": now()})
        for account, grant, role, pattern, granted_by, until, added_by, group in cursor.fetchall():
            given_by = frozenset(str(each) for each in (granted_by, added_by) if each)
            found[str(account)].append(Held(Role(role), pattern, given_by, str(grant), group, until))
    return {account: tuple(held) for account, held in found.items()}


def live(prefix: str = "") -> Q:
    """What makes a role grant hold now: not revoked, not over."""
    return Q(**{f"{prefix}revoked_at": None}) & (Q(**{f"{prefix}until": None}) | Q(**{f"{prefix}until__gt": now()}))


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
    """The accounts that hold one of ``roles`` on ``scope`` now, directly or through a group."""
    return list(User.objects.filter(may(grants_on(roles, scope))).distinct())


def grants_on(roles: frozenset[Role], scope: str) -> list[RoleGrant]:
    """The grants in force of one of ``roles`` that reach ``scope``; names and groups are matched here, not in SQL."""
    rows = RoleGrant.objects.filter(live(), role__in=[role.value for role in roles])
    return [grant for grant in rows if covers(grant.pattern, scope)]


def may(given: Iterable[RoleGrant]) -> Q:
    """The accounts that hold one of these grants. Use with ``distinct``."""
    users = [grant.user_id for grant in given if grant.user_id]
    groups = [grant.group_id for grant in given if grant.group_id]
    members = Membership.objects.filter(group__in=groups, removed_at=None, group__closed_at=None)
    works = Q(is_active=True) & (Q(owner=None) | Q(owner__is_active=True))
    return works & (Q(pk__in=users) | Q(pk__in=members.values("user_id")))


# -- who is one person -------------------------------------------------------------------------------------------------


def selves(actor: Actor) -> frozenset[str]:
    """The accounts whose acts count as the actor's own, asked of the database once per request."""
    if actor.account is None:
        return frozenset()
    known = actor.memo.get("selves")
    if not isinstance(known, frozenset):
        known = actor.memo["selves"] = selves_of((actor.account,))[actor.account]
    return known


def selves_of(accounts: Collection[str]) -> Mapping[str, frozenset[str]]:
    """``{account: itself, its owners, and every service account that it or they own}``, former ones included, in two
    queries. Otherwise an owner could have a service file what they then approve, or hand it over in between.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for service, owner in _owned(service_in=accounts):
        owners[service].add(owner)
    persons = {account: {account} | owners[account] for account in accounts}
    services: dict[str, set[str]] = defaultdict(set)
    for service, owner in _owned(owner_in={person for each in persons.values() for person in each}):
        services[owner].add(service)
    return {account: frozenset(each.union(*(services[person] for person in each))) for account, each in persons.items()}


def _owned(**chosen: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of a service account and someone who owns or owned it, of these services or of these owners."""
    now_owned, once_owned = User.objects.exclude(owner=None), FormerOwner.objects.all()
    if "service_in" in chosen:
        now_owned = now_owned.filter(pk__in=list(chosen["service_in"]))
        once_owned = once_owned.filter(service_id__in=list(chosen["service_in"]))
    if "owner_in" in chosen:
        now_owned = now_owned.filter(owner_id__in=list(chosen["owner_in"]))
        once_owned = once_owned.filter(owner_id__in=list(chosen["owner_in"]))
    rows = now_owned.values_list("pk", "owner_id").union(once_owned.values_list("service_id", "owner_id"), all=True)
    return [(str(service), str(owner)) for service, owner in rows]
