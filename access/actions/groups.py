"""Groups: making, editing and closing them, and who is in one. What a group may do is granted in ``roles.py``."""

import unicodedata
from typing import Final

from access.endings import an_administrator_stays
from access.models import Group, Membership, RoleGrant, User
from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, Duplicate, Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION

MOST_NAME: Final = 100
MOST_DESCRIPTION: Final = 1_000


def create_group(*, by: Actor, name: str, description: str = "") -> Group:
    """Make an empty group. Raises Invalid for a bad name, Duplicate for one in use (in any case)."""
    with door.open(by, Action.GROUP_CREATE, on=INSTALLATION) as entry:
        name, description = _checked(name, description)
        group = Group(name=name, description=description)
        # Two may ask for one name at once, as with accounts.
        Group.objects.bulk_create([group], ignore_conflicts=True)
        if not Group.objects.filter(pk=group.pk).exists():
            raise Duplicate("There is a group with this name already.", code="group_exists")
        entry.record(on=group, after={"name": name})
        return group


def update_group(*, by: Actor, group: Group, name: str, description: str) -> Group:
    """Rename a group, describe it anew."""
    with door.open(by, Action.GROUP_UPDATE, on=group) as entry:
        row = _open_row(entry.locked)
        before = row.name
        row.name, row.description = _checked(name, description, but=row)
        row.save(update_fields=["name", "description"])
        entry.record(before={"name": before}, after={"name": row.name})
        return row


def close_group(*, by: Actor, group: Group, reason: str = "") -> None:
    """End a group: nobody is in it any more, its roles are revoked. Its name is free again."""
    with door.open(by, Action.GROUP_CLOSE, on=group) as entry:
        row = _open_row(entry.locked)
        with an_administrator_stays():
            row.closed_at = now()
            row.save(update_fields=["closed_at"])
            left = Membership.objects.filter(group=row, removed_at=None).update(
                removed_at=row.closed_at, removed_by_id=by.account
            )
            revoked = RoleGrant.objects.filter(group=row, revoked_at=None).update(
                revoked_at=row.closed_at, revoked_by_id=by.account
            )
        entry.record(before={"members": left, "roles": revoked}, after={"members": 0, "roles": 0}, reason=reason)


def add_member(*, by: Actor, group: Group, user: User) -> Membership:
    """Put an account into a group. The entry stands in the life of the account, as a role's does."""
    with door.open(by, Action.MEMBER_ADD, on=user) as entry:
        row = _open_row(Group.objects.select_for_update().get(pk=group.pk))
        if not entry.locked.is_active:
            raise Conflict("This account is closed: reopen it first.", code="account_closed")
        if Membership.objects.filter(group=row, user=user, removed_at=None).exists():
            raise Duplicate("This account is in the group already.", code="member_already")
        made = Membership.objects.create(group=row, user=user, added_by_id=by.account)
        entry.record(after={"group": str(row.pk), "group_name": row.name})
        return made


def remove_member(*, by: Actor, group: Group, user: User) -> None:
    """Take an account out of a group; it loses what it held through it at once."""
    with door.open(by, Action.MEMBER_REMOVE, on=user) as entry:
        with an_administrator_stays():
            ended = Membership.objects.filter(group=group, user=user, removed_at=None).update(
                removed_at=now(), removed_by_id=by.account
            )
        if not ended:
            raise NotFound("This account is not in the group.")
        entry.record(before={"group": str(group.pk), "group_name": group.name})


def _open_row(group: Group) -> Group:
    if group.closed_at is not None:
        raise Conflict("This group is closed.", code="group_closed")
    return group


def _checked(name: str, description: str, but: Group | None = None) -> tuple[str, str]:
    name = unicodedata.normalize("NFC", name.strip())
    if not 1 <= len(name) <= MOST_NAME or not name.isprintable():
        raise Invalid(
            f"A group has a name of 1 to {MOST_NAME} characters, none of them invisible.", code="bad_group_name"
        )
    if len(description) > MOST_DESCRIPTION or "\x00" in description:
        raise Invalid(f"A description has at most {MOST_DESCRIPTION} characters, none of them NUL.", code="bad_text")
    same = Group.objects.filter(name__iexact=name, closed_at=None)
    if (same.exclude(pk=but.pk) if but else same).exists():
        raise Duplicate("There is a group with this name already.", code="group_exists")
    return name, description
