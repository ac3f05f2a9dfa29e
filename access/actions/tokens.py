"""Bearer tokens: made by whom they belong to, revoked by them or by an administrator."""

from datetime import datetime

from access import secrets
from access.models import Token, User
from access.scopes import TokenScope
from audit import door
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict, Invalid, NotFound
from audit.events import Action


def create_token(
    *, by: Actor, user: User, name: str, scope: TokenScope = TokenScope.FULL, expires_at: datetime | None = None
) -> tuple[Token, str]:
    """Make a bearer token for ``user``; the secret is returned once and kept nowhere.

    People make tokens for themselves and for the service accounts they own; Plimsoll itself (the command line) makes
    them for anyone.
    """
    with door.open(by, Action.TOKEN_CREATE, on=user) as entry:
        if not 1 <= len(name.strip()) <= 100 or "\x00" in name:
            raise Invalid("A token needs a name of 1 to 100 characters, to tell it from your others.", code="bad_name")
        if expires_at is not None and expires_at <= now():
            raise Invalid("A token must expire in the future.", code="bad_expiry")
        if not entry.locked.is_active:
            raise Conflict("This account is closed: reopen it first.", code="account_closed")
        secret = secrets.new_token()
        token = Token.objects.create(
            user=user,
            name=name.strip(),
            prefix=secrets.prefix(secret),
            digest=secrets.digest(secret),
            scope=scope.value,
            created_by_id=by.account,
            expires_at=expires_at,
        )
        entry.record(
            after={
                "token": token.prefix,
                "scope": scope.value,
                "expires_at": expires_at.isoformat() if expires_at else None,
            }
        )
        return token, secret


def revoke_token(*, by: Actor, token: Token) -> None:
    """End a token now."""
    with door.open(by, Action.TOKEN_REVOKE, on=token.user) as entry:
        if not Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now(), revoked_by_id=by.account):
            raise NotFound("This token was revoked already.")
        entry.record(before={"token": token.prefix})
