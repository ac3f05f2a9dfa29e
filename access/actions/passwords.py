"""Passwords: changed by whom they belong to, reset by an administrator; and the links that sign in without one."""

from datetime import timedelta
from typing import Final

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from access import authenticate, endings
from access import secrets as tokens
from access.models import SignInLink, User
from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, Invalid, Unauthenticated
from audit.events import Action
from audit.ids import uuid7
from audit.subjects import Subject

LINK_LIFETIME = timedelta(hours=24)
_MOST: Final = 1_000


def set_password(user: User, password: str | None) -> None:
    """Put a password on the row (not saved); None leaves no password. Raises Invalid for one that is too weak."""
    if password is None:
        user.set_unusable_password()
        return
    if len(password) > _MOST or "\x00" in password:
        raise Invalid(f"A password has at most {_MOST} characters, none of them NUL.", code="weak_password")
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), code="weak_password") from None
    user.set_password(password)


def change_password(*, by: Actor, current: str | None, new: str, session: str = "") -> User:
    """Change one's own password. Every session but ``session`` ends; tokens go on working.

    ``current`` is asked for unless the account has none (it signed in by link). Raises Invalid for a wrong one, which
    counts as a failed sign-in, and for a new one that is too weak or the old one; TooMany after too many failures.
    """
    user = User.objects.filter(pk=by.account or uuid7()).first()
    if user is not None and user.has_usable_password():
        _check_current(user, current, by)
    with door.open(by, Action.PASSWORD_CHANGE, on=user or Subject(type="user", id=by.account or "")) as entry:
        row: User = entry.locked
        if row.is_service:
            raise Conflict("A service account signs in by token only.", code="service_password")
        if user is None or row.password != user.password:
            raise Conflict("The password was changed a moment ago: try again.", code="changed_meanwhile")
        if current is not None and current == new:
            raise Invalid("This is the password you have: choose another.", code="same_password")
        set_password(row, new)
        row.must_change_password = False
        row.save(update_fields=["password", "must_change_password"])
        endings.spend_links(row)
        entry.record(after={"sessions_ended": endings.end_sessions_of(row, by, but=session)})
        return row


def _check_current(user: User, current: str | None, by: Actor) -> None:
    try:
        authenticate.by_password(user.username, current or "", ip=by.ip)
    except Unauthenticated:
        raise Invalid("The current password is wrong.", code="wrong_password") from None


def reset_password(*, by: Actor, user: User, reason: str = "") -> str:
    """Take an account's password away and end its sessions; the secret of a link that signs its holder in once, to
    choose another. Nobody but the holder ever knows the new one.
    """
    with door.open(by, Action.PASSWORD_RESET, on=user) as entry:
        row: User = entry.locked
        _check_takes_links(row)
        row.set_unusable_password()
        row.must_change_password = True
        row.save(update_fields=["password", "must_change_password"])
        ended = endings.end_sessions_of(row, by)
        endings.spend_links(row)
        secret, link = _new_link(row)
        entry.record(after={"sessions_ended": ended, "expires_at": link.expires_at.isoformat()}, reason=reason)
        return secret


def create_sign_in_link(*, by: Actor, user: User) -> str:
    """A secret that signs ``user`` in once within 24 hours."""
    with door.open(by, Action.LINK_CREATE, on=user) as entry:
        _check_takes_links(entry.locked)
        secret, link = _new_link(entry.locked)
        entry.record(after={"expires_at": link.expires_at.isoformat()})
        return secret


def _check_takes_links(user: User) -> None:
    if user.is_service:
        raise Conflict("A service account signs in by token only.", code="service_password")
    if not user.is_active:
        raise Conflict("This account is closed: reopen it first.", code="account_closed")


def _new_link(user: User) -> tuple[str, SignInLink]:
    secret = tokens.new_token()
    link = SignInLink.objects.create(user=user, digest=tokens.digest(secret), expires_at=now() + LINK_LIFETIME)
    return secret, link
