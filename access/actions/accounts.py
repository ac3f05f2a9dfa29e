"""Making accounts of people and of services, closing and reopening them, and who answers for a service."""

import re
from typing import Final

from access.actions.passwords import set_password
from access.endings import an_administrator_stays, end_access
from access.models import FormerOwner, User
from audit import door
from audit.actors import Actor
from audit.errors import Conflict, Duplicate, Invalid
from audit.events import Action
from audit.subjects import INSTALLATION

_USERNAME = re.compile(r"[\w.@+-]{1,150}\Z")
_MOST_DISPLAY_NAME = 150
_MOST_EMAIL = 254
ERASED_MARK: Final = "erased-"


def create_user(
    *,
    by: Actor,
    username: str,
    password: str | None,
    display_name: str = "",
    email: str = "",
    is_service: bool = False,
    owner: User | None = None,
    must_change_password: bool = False,
) -> User:
    """Make an account; without a password it can only sign in by link or token.

    A service account signs in by token only. Whoever makes one answers for it, unless another ``owner`` is named; those
    that Plimsoll makes itself may have none, and are the operator's.
    Raises Invalid for a bad name, a weak password or an owner who cannot be one, Duplicate for a name in use (in any
    case).
    """
    with door.open(by, Action.USER_CREATE, on=INSTALLATION) as entry:
        _check_names(username, display_name, email)
        if is_service and owner is None and by.account:
            owner = User.objects.get(pk=by.account)
        _check_kind(is_service, password, owner)
        user = User(username=username, display_name=display_name, email=email, is_service=is_service, owner=owner)
        set_password(user, password)
        user.must_change_password = must_change_password and password is not None
        # Two may ask for one name at once: the constraint lets one through, and the other is told, not broken.
        User.objects.bulk_create([user], ignore_conflicts=True)
        if not User.objects.filter(pk=user.pk).exists():
            raise Duplicate("There is an account with this user name already.", code="username_taken")
        entry.record(
            on=user,
            after={"is_service": is_service, **({"owner": str(owner.pk)} if owner else {})},
            private={"username": username, "display_name": display_name, "email": email},
            concerns=str(user.pk),
        )
        return user


def _check_names(username: str, display_name: str, email: str) -> None:
    if not _USERNAME.match(username):
        raise Invalid("A user name has 1 to 150 letters, digits and the signs . @ + - _ .", code="bad_username")
    if username.casefold().startswith(ERASED_MARK):
        raise Invalid(f"Names that begin with {ERASED_MARK} stand for people who were erased.", code="bad_username")
    # A password takes long to hash; a name in use is seen before that.
    if User.objects.filter(username__iexact=username).exists():
        raise Duplicate("There is an account with this user name already.", code="username_taken")
    for text, most, what in ((display_name, _MOST_DISPLAY_NAME, "name shown"), (email, _MOST_EMAIL, "mail address")):
        if len(text) > most or not text.isprintable():
            raise Invalid(f"The {what} has at most {most} characters, none of them invisible.", code="bad_name")


def _check_kind(is_service: bool, password: str | None, owner: User | None) -> None:
    if is_service and password is not None:
        raise Invalid("A service account signs in by token only: give it no password.", code="service_password")
    if owner is not None and not is_service:
        raise Invalid("Only service accounts have an owner.", code="bad_owner")
    if owner is not None:
        _check_owner(owner)


def _check_owner(owner: User) -> None:
    if owner.is_service or not owner.is_active:
        raise Invalid("A service account is owned by a person whose account is open.", code="bad_owner")


def set_owner(*, by: Actor, service: User, owner: User) -> None:
    """Name who answers for a service account from now on. What it did before stays with who owned it then."""
    with door.open(by, Action.OWNER_SET, on=service) as entry:
        row: User = entry.locked
        if not row.is_service:
            raise Invalid("Only service accounts have an owner.", code="bad_owner")
        _check_owner(owner)
        if row.owner_id == owner.pk:
            raise Duplicate("This is the owner already.", code="owner_already")
        before = row.owner_id
        if before:
            FormerOwner.objects.create(service=row, owner_id=before)
        row.owner = owner
        row.save(update_fields=["owner"])
        entry.record(before={"owner": str(before) if before else None}, after={"owner": str(owner.pk)})


def close_account(*, by: Actor, user: User, reason: str = "") -> None:
    """Let nobody in by this account from now on: its sessions and tokens end at once, its roles rest.

    Raises Conflict for one's own account, for a closed one and for the last administrator.
    """
    with door.open(by, Action.USER_CLOSE, on=user) as entry:
        row: User = entry.locked
        if by.account == str(row.pk):
            raise Conflict("Nobody closes their own account: ask another administrator.", code="own_account")
        if not row.is_active:
            raise Conflict("This account is closed already.", code="closed_already")
        with an_administrator_stays():
            row.is_active = False
            row.save(update_fields=["is_active"])
        ended = end_access(row, by)
        entry.record(before={"is_active": True}, after={"is_active": False, **ended}, reason=reason)


def reopen_account(*, by: Actor, user: User, reason: str = "") -> None:
    """Let the holder of a closed account in again; roles that were not revoked hold again, tokens must be made anew."""
    with door.open(by, Action.USER_REOPEN, on=user) as entry:
        row: User = entry.locked
        if row.is_active:
            raise Conflict("This account is open.", code="open_already")
        if row.username.startswith(ERASED_MARK):
            raise Conflict("The person behind this account was erased: make a new account.", code="erased_already")
        row.is_active = True
        row.save(update_fields=["is_active"])
        entry.record(before={"is_active": False}, after={"is_active": True}, reason=reason)
