"""Granting roles to accounts and to groups, and taking them back."""

import unicodedata
from contextlib import nullcontext
from datetime import datetime

from access.endings import an_administrator_stays
from access.models import Group, RoleGrant, User
from access.roles import LABELS, Role
from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, Duplicate, Invalid, NotFound
from audit.events import Action


def grant_role(
    *,
    by: Actor,
    user: User | None = None,
    group: Group | None = None,
    role: Role,
    pattern: str = "*",
    until: datetime | None = None,
    reason: str = "",
) -> RoleGrant:
    """Give an account or a group a role on the models whose names match ``pattern`` (shell wildcards), until a date or
    for good. One of ``user`` and ``group`` is given.
    """
    holder = user or group
    if holder is None:
        raise ValueError("A role is granted to an account or to a group.")
    what = "account" if user else "group"
    with door.open(by, Action.ROLE_GRANT, on=holder) as entry:
        _check_pattern(pattern)
        if until is not None and until <= now():
            raise Invalid("The end date must lie in the future.", code="bad_until")
        _check_open(entry.locked)
        _end_overdue(holder, role, pattern)
        if RoleGrant.objects.filter(user=user, group=group, role=role, pattern=pattern, revoked_at=None).exists():
            raise Duplicate(f"This {what} already is {LABELS[role]} on {pattern}.", code="role_held")
        grant = RoleGrant.objects.create(
            user=user, group=group, role=role, pattern=pattern, until=until, granted_by_id=by.account
        )
        entry.record(
            after={"role": role.value, "pattern": pattern, "until": until.isoformat() if until else None}, reason=reason
        )
        return grant


def _check_open(holder: User | Group) -> None:
    if isinstance(holder, Group) and holder.closed_at is not None:
        raise Conflict("This group is closed.", code="group_closed")


def _end_overdue(holder: User | Group, role: Role, pattern: str) -> None:
    """A grant whose time is over stands in nobody's way: it is put away as ended when it did."""
    mine = RoleGrant.objects.filter(user=holder) if isinstance(holder, User) else RoleGrant.objects.filter(group=holder)
    for row in mine.filter(role=role, pattern=pattern, revoked_at=None, until__lte=now()):
        RoleGrant.objects.filter(pk=row.pk).update(revoked_at=row.until)


def _check_pattern(pattern: str) -> None:
    if not 1 <= len(pattern) <= 256 or set(pattern) & set("[]") or not pattern.isprintable():
        raise Invalid(
            "A pattern has 1 to 256 characters, no brackets and nothing invisible; * stands for any text, ? for one"
            " character.",
            code="bad_pattern",
        )
    if not unicodedata.is_normalized("NFC", pattern):
        raise Invalid("A pattern must be in Unicode normal form C, as names are.", code="bad_pattern")


def revoke_role(*, by: Actor, grant: RoleGrant, reason: str = "") -> None:
    """Take a role back. It stays on record as held until now. Raises Conflict for the last administrator's."""
    holder = grant.user or grant.group
    assert holder is not None, "a constraint gives every grant one holder"  # noqa: S101
    with door.open(by, Action.ROLE_REVOKE, on=holder) as entry:
        guarded = an_administrator_stays() if grant.role == Role.ADMINISTRATOR else nullcontext()
        with guarded:
            ended = RoleGrant.objects.filter(pk=grant.pk, revoked_at=None).update(
                revoked_at=now(), revoked_by_id=by.account
            )
        if not ended:
            raise NotFound("This role was revoked already.")
        entry.record(before={"role": grant.role, "pattern": grant.pattern}, reason=reason)
