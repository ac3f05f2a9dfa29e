"""Which roles an account holds, where, and by whose doing; and which accounts are one person.

Read from the rows, remembered for one request. An account holds what was granted to it and what was granted to its
groups. A service account whose owner's account is closed holds nothing: nobody answers for it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from django.db.models import CharField, F, Q, QuerySet, UUIDField, Value

from access.models import FormerOwner, Membership, RoleGrant, User
from access.roles import Role
from audit.actors import Actor
from audit.clock import now

_NO_ACCOUNT: Final = Value(None, output_field=UUIDField())
_NO_NAME: Final = Value("", output_field=CharField())


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
    direct = RoleGrant.objects.filter(live(), _works("user"), user_id__in=accounts)
    joined = Membership.objects.filter(
        live("group__role_grants__"),
        _works("user"),
        user_id__in=accounts,
        removed_at=None,
        group__closed_at=None,
        group__role_grants__isnull=False,
    )
    rows = _columns(direct, "", _NO_ACCOUNT, _NO_NAME).union(
        _columns(joined, "group__role_grants__", F("added_by_id"), F("group__name")), all=True
    )
    for account, grant, role, pattern, granted_by, until, added_by, group in rows:
        given_by = frozenset(str(each) for each in (granted_by, added_by) if each)
        found[str(account)].append(Held(Role(role), pattern, given_by, str(grant), group, until))
    return {account: tuple(held) for account, held in found.items()}


def _columns(rows: QuerySet[Any], prefix: str, added_by: Any, group: Any) -> QuerySet[Any, tuple[Any, ...]]:
    """The same columns of a direct grant and of one through a group. ``Any``: the two come from different models."""
    found: QuerySet[Any, tuple[Any, ...]] = rows.annotate(
        holder=F("user_id"),
        grant_id=F(f"{prefix}id"),
        held=F(f"{prefix}role"),
        on=F(f"{prefix}pattern"),
        giver=F(f"{prefix}granted_by_id"),
        ends=F(f"{prefix}until"),
        adder=added_by,
        through=group,
    ).values_list("holder", "grant_id", "held", "on", "giver", "ends", "adder", "through")
    return found


def live(prefix: str = "") -> Q:
    """What makes a role grant hold now: not revoked, not over."""
    return Q(**{f"{prefix}revoked_at": None}) & (Q(**{f"{prefix}until": None}) | Q(**{f"{prefix}until__gt": now()}))


def _works(user: str) -> Q:
    """An account that is not closed, nor its owner's."""
    return Q(**{f"{user}__is_active": True}) & (
        Q(**{f"{user}__owner": None}) | Q(**{f"{user}__owner__is_active": True})
    )


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
