"""Browser sessions: which account a session belongs to, and signing in and out of one."""

import uuid

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from access.models import User


class AccountBackend:
    """What Django's session helpers ask for; passwords are checked in ``access.authenticate`` only."""

    def get_user(self, user_id: str) -> User | None:
        return User.objects.filter(pk=user_id, is_active=True).first()


def begin(request: HttpRequest, user: User) -> None:
    """Sign the browser in as ``user`` under a fresh session key."""
    request.session.flush()
    request.session[SESSION_KEY] = str(user.pk)
    request.session[BACKEND_SESSION_KEY] = "web.sessions.AccountBackend"
    request.session[HASH_SESSION_KEY] = user.get_session_auth_hash()


def end(request: HttpRequest) -> None:
    """Forget the session."""
    request.session.flush()


def user_of(request: HttpRequest) -> User | None:
    """The account of this browser's session; None when there is none, it was closed, or the password has changed."""
    account = request.session.get(SESSION_KEY)
    if not isinstance(account, str):
        return None
    try:
        user = User.objects.filter(pk=uuid.UUID(account), is_active=True).first()
    except ValueError:
        return None
    known = request.session.get(HASH_SESSION_KEY, "")
    if user is None or not constant_time_compare(known, user.get_session_auth_hash()):
        request.session.flush()
        return None
    return user
