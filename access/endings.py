"""What ends when an account is closed, a password changed or a person erased; and the one thing that never may:
somebody must be left who can administer. Called with a door open; recording it is for the action.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from access import grants
from access.models import Session, SignInLink, Token, User
from access.roles import Role
from audit.actors import Actor
from audit.clock import now
from audit.errors import Conflict

# Any number that nothing else locks: two administrators who take each other's role wait for one another here.
_LOCK = 0x706C_696D_0001


def end_sessions_of(user: User, by: Actor, *, but: str = "") -> int:
    """End every session of an account (``but`` one); how many."""
    rows = Session.objects.filter(user=user, ended_at=None, expires_at__gt=now())
    if but:
        rows = rows.exclude(pk=but)
    return rows.update(ended_at=now(), ended_by_id=by.account)


def end_access(user: User, by: Actor) -> dict[str, int]:
    """End sessions, tokens and unused sign-in links of an account; how many of the first two, for the entry."""
    sessions = end_sessions_of(user, by)
    tokens = Token.objects.filter(user=user, revoked_at=None).update(revoked_at=now(), revoked_by_id=by.account)
    spend_links(user)
    return {"sessions_ended": sessions, "tokens_revoked": tokens}


def spend_links(user: User) -> None:
    """No sign-in link made so far works any more."""
    SignInLink.objects.filter(user=user, used_at=None).update(used_at=now())


@contextmanager
def an_administrator_stays() -> Iterator[None]:
    """Round a change that may take the last administrator's role: raises Conflict then, and nothing happens."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    had = _administered()
    yield
    if had and not _administered():
        raise Conflict(
            "This is the last administrator: make someone else administrator first.", code="last_administrator"
        )


def _administered() -> bool:
    return bool(grants.holders(frozenset({Role.ADMINISTRATOR}), ""))
