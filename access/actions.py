"""Changes to accounts, roles, tokens and sign-in links. Each is one function, one transaction, one entry."""

import re
import unicodedata
from datetime import datetime, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from access import secrets as tokens
from access.authenticate import link_for
from access.models import RoleGrant, SignInLink, Token, User
from access.roles import LABELS, Role
from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Duplicate, Invalid, NotFound
from audit.events import Action
from audit.subjects import INSTALLATION, Subject

_USERNAME = re.compile(r"[\w.@+-]{1,150}\Z")
_MOST_DISPLAY_NAME = 150
_MOST_EMAIL = 254
LINK_LIFETIME = timedelta(hours=24)


def create_user(
    *, by: Actor, username: str, password: str | None, display_name: str = "", email: str = "", is_service: bool = False
) -> User:
    """Make an account; without a password it can only sign in by link or token.

    Raises Invalid for a bad name or a weak password, Duplicate for a name in use (in any case).
    """
    with door.open(by, Action.USER_CREATE, on=INSTALLATION) as entry:
        _check_names(username, display_name, email)
        user = User(username=username, display_name=display_name, email=email, is_service=is_service)
        _set_password(user, password)
        # Two may ask for one name at once: the constraint lets one through, and the other is told, not broken.
        User.objects.bulk_create([user], ignore_conflicts=True)
        if not User.objects.filter(pk=user.pk).exists():
            raise Duplicate("There is an account with this user name already.", code="username_taken")
        entry.record(
            on=user,
            after={"is_service": is_service},
            private={"username": username, "display_name": display_name, "email": email},
            concerns=str(user.pk),
        )
        return user


def _check_names(username: str, display_name: str, email: str) -> None:
    if not _USERNAME.match(username):
        raise Invalid("A user name has 1 to 150 letters, digits and the signs . @ + - _ .", code="bad_username")
    # A password takes long to hash; a name in use is seen before that.
    if User.objects.filter(username__iexact=username).exists():
        raise Duplicate("There is an account with this user name already.", code="username_taken")
    for text, most, what in ((display_name, _MOST_DISPLAY_NAME, "name shown"), (email, _MOST_EMAIL, "mail address")):
        if len(text) > most or not text.isprintable():
            raise Invalid(f"The {what} has at most {most} characters, none of them invisible.", code="bad_name")


def _set_password(user: User, password: str | None) -> None:
    if password is None:
        user.set_unusable_password()
        return
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), code="weak_password") from None
    user.set_password(password)


def grant_role(
    *, by: Actor, user: User, role: Role, pattern: str = "*", until: datetime | None = None, reason: str = ""
) -> RoleGrant:
    """Give ``user`` a role on the models whose names match ``pattern`` (shell wildcards), until a date or for good."""
    with door.open(by, Action.ROLE_GRANT, on=user) as entry:
        _check_pattern(pattern)
        if until is not None and until <= now():
            raise Invalid("The end date must lie in the future.", code="bad_until")
        if RoleGrant.objects.filter(user=user, role=role, pattern=pattern, revoked_at=None).exists():
            raise Duplicate(f"This account already is {LABELS[role]} on {pattern}.", code="role_held")
        grant = RoleGrant.objects.create(user=user, role=role, pattern=pattern, until=until, granted_by_id=by.account)
        entry.record(
            after={"role": role.value, "pattern": pattern, "until": until.isoformat() if until else None}, reason=reason
        )
        return grant


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
    """Take a role back. It stays on record as held until now."""
    with door.open(by, Action.ROLE_REVOKE, on=grant.user) as entry:
        ended = RoleGrant.objects.filter(pk=grant.pk, revoked_at=None).update(
            revoked_at=now(), revoked_by_id=by.account
        )
        if not ended:
            raise NotFound("This role was revoked already.")
        entry.record(before={"role": grant.role, "pattern": grant.pattern}, reason=reason)


def create_token(*, by: Actor, user: User, name: str, expires_at: datetime | None = None) -> tuple[Token, str]:
    """Make a bearer token for ``user``; the secret is returned once and kept nowhere.

    People make tokens for themselves; Plimsoll itself (the command line) makes them for anyone.
    """
    with door.open(by, Action.TOKEN_CREATE, on=user) as entry:
        if by.kind != "system" and by.account != str(user.pk):
            raise NotFound("There is no such account.")
        if not 1 <= len(name.strip()) <= 100 or "\x00" in name:
            raise Invalid("A token needs a name of 1 to 100 characters, to tell it from your others.", code="bad_name")
        if expires_at is not None and expires_at <= now():
            raise Invalid("A token must expire in the future.", code="bad_expiry")
        secret = tokens.new_token()
        token = Token.objects.create(
            user=user,
            name=name.strip(),
            prefix=tokens.prefix(secret),
            digest=tokens.digest(secret),
            expires_at=expires_at,
        )
        entry.record(after={"token": token.prefix, "expires_at": expires_at.isoformat() if expires_at else None})
        return token, secret


def revoke_token(*, by: Actor, token: Token) -> None:
    """End a token now."""
    with door.open(by, Action.TOKEN_REVOKE, on=token.user) as entry:
        if by.kind != "system" and by.account != str(token.user_id):
            raise NotFound("There is no such token.")
        if not Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now()):
            raise NotFound("This token was revoked already.")
        entry.record(before={"token": token.prefix})


def create_sign_in_link(*, by: Actor, user: User) -> str:
    """A secret that signs ``user`` in once within 24 hours."""
    with door.open(by, Action.LINK_CREATE, on=user) as entry:
        secret = tokens.new_token()
        link = SignInLink.objects.create(user=user, digest=tokens.digest(secret), expires_at=now() + LINK_LIFETIME)
        entry.record(after={"expires_at": link.expires_at.isoformat()})
        return secret


def open_session(*, by: Actor, link: str | None = None) -> None:
    """Record a sign-in; with ``link``, spend it."""
    with door.open(by, Action.SESSION_OPEN, on=Subject(type="user", id=by.account or "")) as entry:
        if link is not None:
            row = link_for(link)
            if not SignInLink.objects.filter(pk=row.pk, used_at=None).update(used_at=now()):
                raise NotFound("This sign-in link was used already.")
        entry.record(after={"auth": by.auth})


def close_session(*, by: Actor) -> None:
    """Record a sign-out."""
    with door.open(by, Action.SESSION_CLOSE, on=Subject(type="user", id=by.account or "")) as entry:
        entry.record()
