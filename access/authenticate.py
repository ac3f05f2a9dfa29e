"""From a credential to an actor: password, bearer token, session, one-time link. What the actor may do is not asked."""

import hashlib
import hmac
import secrets
import time
import uuid
from collections import OrderedDict
from threading import Lock

from django.contrib.auth.hashers import check_password, make_password
from django.utils.crypto import constant_time_compare

from access import secrets as tokens
from access import throttle, uses
from access.models import Session, SignInLink, Token, User
from audit import door
from audit.actors import ANONYMOUS, Actor
from audit.clock import now
from audit.errors import Unauthenticated
from audit.events import Action
from audit.subjects import INSTALLATION

WRONG = "The user name or the password is wrong."
# MLflow's client sends the password with every call, and checking one costs a third of a second by design: a password
# found right is remembered for a minute, as a keyed digest in this process only. The stored hash is part of the digest,
# so a changed password is forgotten at once.
_REMEMBER_SECONDS = 60.0
_REMEMBER_MOST = 1_000
_remembered: OrderedDict[bytes, float] = OrderedDict()
_remembered_lock = Lock()
_process_key = secrets.token_bytes(32)


def actor_of(user: User, auth: str, *, request_id: str = "", ip: str = "", token_scope: str = "") -> Actor:
    """The actor for an account that has proved who it is; ``token_scope`` when it did by a token that is narrowed."""
    return Actor(
        kind="service" if user.is_service else "user",
        account=str(user.pk),
        name=user.username,
        auth=auth,
        request_id=request_id,
        ip=ip,
        token_scope=token_scope,
    )


def by_password(username: str, password: str, *, ip: str = "") -> User:
    """The account with this name and password.

    Raises ``Unauthenticated`` (the same sentence for an unknown name and a wrong password, in the same time) or
    ``TooMany`` after too many failures (``access/throttle.py``). A failure is recorded.
    """
    if "\x00" in username or len(username) > 150 or len(password) > 1_000:
        raise Unauthenticated(WRONG, code="wrong_password")
    user = User.objects.filter(username__iexact=username, is_active=True).first()
    memory = _memory_key(user, password)
    if user is not None and _is_remembered(memory):
        return user
    tried = throttle.begin(username, ip)
    if user is None:
        make_password(password)  # as slow as a real check, so that names cannot be guessed by the clock
    elif user.has_usable_password() and check_password(password, user.password):
        throttle.take_back(tried)
        _remember(memory)
        return user
    throttle.sweep()
    error = Unauthenticated(WRONG, code="wrong_password")
    door.refuse(ANONYMOUS, Action.SESSION_OPEN, user.subject() if user else INSTALLATION, error)
    raise error


def token_for(token: str) -> Token:
    """The token with this secret, with its account; ``Unauthenticated`` when it is unknown, expired or revoked, or when
    nobody answers for it any more. Its use is noted.
    """
    row = Token.objects.select_related("user__owner").filter(digest=tokens.digest(token)).first()
    if row is None or not row.user.is_active:
        raise Unauthenticated("This token is not known.", code="unknown_token")
    if row.revoked_at is not None:
        raise Unauthenticated("This token was revoked.", code="revoked_token")
    if row.expires_at is not None and row.expires_at <= now():
        raise Unauthenticated("This token has expired.", code="expired_token")
    if row.user.owner is not None and not row.user.owner.is_active:
        raise Unauthenticated(
            "The account of this service account's owner is closed: an administrator has to name another owner.",
            code="owner_closed",
        )
    uses.note(row.pk)
    return row


def by_bearer(token: str) -> User:
    """The account a bearer token belongs to; raises as ``token_for`` does."""
    return token_for(token).user


def by_session(session: str, password_mark: str) -> Session | None:
    """The session with this id while it holds, with its account; None when it ended, its time is over, the account was
    closed, or the password has changed since (``password_mark`` is the account's session hash of then).
    """
    try:
        key = uuid.UUID(session)
    except ValueError:
        return None
    row = Session.objects.select_related("user").filter(pk=key, ended_at=None, expires_at__gt=now()).first()
    if row is None or not row.user.is_active:
        return None
    if not constant_time_compare(password_mark, row.user.get_session_auth_hash()):
        return None
    uses.note(row.pk)
    return row


def link_for(link: str) -> SignInLink:
    """The unused, unexpired sign-in link with this secret; ``Unauthenticated`` otherwise."""
    row = SignInLink.objects.select_related("user").filter(digest=tokens.digest(link)).first()
    if row is None or row.used_at is not None or row.expires_at <= now() or not row.user.is_active:
        raise Unauthenticated("This sign-in link was used already or has expired.", code="spent_link")
    return row


def _memory_key(user: User | None, password: str) -> bytes:
    stored = user.password if user else ""
    return hmac.new(_process_key, f"{stored}\0{password}".encode(), hashlib.sha256).digest()


def _is_remembered(memory: bytes) -> bool:
    with _remembered_lock:
        return _remembered.get(memory, 0.0) > time.monotonic()


def _remember(memory: bytes) -> None:
    with _remembered_lock:
        _remembered[memory] = time.monotonic() + _REMEMBER_SECONDS
        while len(_remembered) > _REMEMBER_MOST:
            _remembered.popitem(last=False)
