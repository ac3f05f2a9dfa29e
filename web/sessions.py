"""Browser sessions: which session of ``access`` a browser holds, and signing in and out of one.

Django's own session store keeps what the browser's cookie stands for (the id of our session, messages, the form token);
whether it still holds is asked of our row on every request, so that ending it there ends it at once.
"""

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest

from access import authenticate
from access.models import Session, User

OURS = "plimsoll_session"


class AccountBackend:
    """What Django's session helpers ask for; passwords are checked in ``access.authenticate`` only."""

    def get_user(self, user_id: str) -> User | None:
        return User.objects.filter(pk=user_id, is_active=True).first()


def begin(request: HttpRequest, user: User, session: Session) -> None:
    """Sign the browser in as ``user`` under a fresh session key."""
    request.session.flush()
    request.session[SESSION_KEY] = str(user.pk)
    request.session[BACKEND_SESSION_KEY] = "web.sessions.AccountBackend"
    request.session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    request.session[OURS] = str(session.pk)


def end(request: HttpRequest) -> None:
    """Forget the session."""
    request.session.flush()


def id_of(request: HttpRequest) -> str:
    """The id of this browser's session; empty when there is none."""
    found = request.session.get(OURS)
    return found if isinstance(found, str) else ""


def renew(request: HttpRequest, user: User) -> None:
    """Stay signed in after the password has changed, under a fresh session key."""
    request.session.cycle_key()
    request.session[HASH_SESSION_KEY] = user.get_session_auth_hash()


def user_of(request: HttpRequest) -> User | None:
    """The account of this browser's session; None when there is none, it ended, or the password has changed."""
    session = id_of(request)
    if not session:
        return None
    found = authenticate.by_session(session, request.session.get(HASH_SESSION_KEY, ""))
    if found is None or str(found.user_id) != request.session.get(SESSION_KEY):
        request.session.flush()
        return None
    return found.user
