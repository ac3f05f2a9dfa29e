"""From a credential to an actor: password, bearer token, one-time link. Nothing here decides what the actor may do."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from datetime import timedelta
from threading import Lock

from django.contrib.auth.hashers import check_password, make_password

from access import secrets as tokens
from access.models import Attempt, SignInLink, Token, User
from audit import door
from audit.actors import ANONYMOUS, Actor
from audit.clock import now
from audit.errors import TooMany, Unauthenticated
from audit.events import Action
from audit.keys import secret
from audit.subjects import INSTALLATION

WRONG = "The user name or the password is wrong."
_WINDOW = timedelta(minutes=15)
_MOST_FAILURES = 10
# MLflow's client sends the password with every call, and checking one costs a third of a second by design: a password
# found right is remembered for a minute, as a keyed digest in this process only. The stored hash is part of the digest,
# so a changed password is forgotten at once.
_REMEMBER_SECONDS = 60.0
_REMEMBER_MOST = 1_000
_remembered: OrderedDict[bytes, float] = OrderedDict()
_remembered_lock = Lock()
_process_key = secrets.token_bytes(32)


def actor_of(user: User, auth: str, *, request_id: str = "", ip: str = "") -> Actor:
    """The actor for an account that has proved who it is."""
    return Actor(
        kind="service" if user.is_service else "user",
        account=str(user.pk),
        name=user.username,
        auth=auth,
        request_id=request_id,
        ip=ip,
    )


def by_password(username: str, password: str, *, ip: str = "") -> User:
    """The account with this name and password.

    Raises ``Unauthenticated`` (the same sentence for an unknown name and a wrong password, in the same time) or
    ``TooMany`` after ten failures in fifteen minutes for this name from this address. A failure is recorded.
    """
    if "\x00" in username or len(username) > 150 or len(password) > 1_000:
        raise Unauthenticated(WRONG, code="wrong_password")
    user = User.objects.filter(username__iexact=username, is_active=True).first()
    memory = _memory_key(user, password)
    if user is not None and _is_remembered(memory):
        return user
    key = _attempt_key(username, ip)
    if Attempt.objects.filter(key=key, at__gt=now() - _WINDOW).count() >= _MOST_FAILURES:
        raise TooMany("Too many failed sign-ins for this name; try again in fifteen minutes.")
    if user is None:
        make_password(password)  # as slow as a real check, so that names cannot be guessed by the clock
    elif user.has_usable_password() and check_password(password, user.password):
        _remember(memory)
        return user
    Attempt.objects.create(key=key)
    Attempt.objects.filter(at__lt=now() - timedelta(hours=1)).delete()
    error = Unauthenticated(WRONG, code="wrong_password")
    door.refuse(ANONYMOUS, Action.SESSION_OPEN, user.subject() if user else INSTALLATION, error)
    raise error


def by_bearer(token: str) -> User:
    """The account a bearer token belongs to; ``Unauthenticated`` when it is unknown, expired or revoked."""
    row = Token.objects.select_related("user").filter(digest=tokens.digest(token)).first()
    if row is None or not row.user.is_active:
        raise Unauthenticated("This token is not known.", code="unknown_token")
    if row.revoked_at is not None:
        raise Unauthenticated("This token was revoked.", code="revoked_token")
    if row.expires_at is not None and row.expires_at <= now():
        raise Unauthenticated("This token has expired.", code="expired_token")
    return row.user


def link_for(link: str) -> SignInLink:
    """The unused, unexpired sign-in link with this secret; ``Unauthenticated`` otherwise."""
    row = SignInLink.objects.select_related("user").filter(digest=tokens.digest(link)).first()
    if row is None or row.used_at is not None or row.expires_at <= now() or not row.user.is_active:
        raise Unauthenticated("This sign-in link was used already or has expired.", code="spent_link")
    return row


def _attempt_key(username: str, ip: str) -> str:
    return hmac.new(secret("writer"), f"attempt\0{username.casefold()}\0{ip}".encode(), hashlib.sha256).hexdigest()


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
