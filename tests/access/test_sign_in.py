"""Passwords, tokens, links: what lets somebody in, what does not, and what is written down."""

import json
from datetime import timedelta

import pytest

from access import actions, authenticate, throttle
from access.authenticate import actor_of
from access.models import Attempt, SignInLink, Token
from access.roles import Role
from audit.actors import SYSTEM
from audit.clock import now
from audit.errors import Denied, Duplicate, Invalid, NotFound, TooMany, Unauthenticated
from audit.models import Event
from tests import factories

pytestmark = pytest.mark.django_db

PASSWORD = factories.PASSWORD


@pytest.fixture
def user():
    return actions.create_user(by=SYSTEM, username="ana", password=PASSWORD)


def test_the_right_password_lets_in_and_any_other_does_not(user) -> None:
    assert authenticate.by_password("ana", PASSWORD) == user
    assert authenticate.by_password("ANA", PASSWORD) == user
    for name, word in (("ana", PASSWORD + "x"), ("nobody", PASSWORD), ("ana\x00", PASSWORD), ("ana", "")):
        with pytest.raises(Unauthenticated, match="The user name or the password is wrong."):
            authenticate.by_password(name, word)


def test_failures_are_recorded_without_name_or_password(user) -> None:
    with pytest.raises(Unauthenticated):
        authenticate.by_password("ana", "hunter2-hunter2")
    event = Event.objects.get(action="session.open", outcome="denied")
    leaf = bytes(event.leaf_data).decode()
    assert json.loads(leaf)["reason_code"] == "wrong_password"
    assert "ana" not in leaf
    assert "hunter2" not in leaf


def test_ten_failures_close_the_name_for_a_while_even_for_the_right_password(user) -> None:
    user.password = "!"
    for _ in range(10):
        Attempt.objects.create(key=throttle.key_of("attempt", "ana", "192.0.2.7"))
    with pytest.raises(TooMany):
        authenticate.by_password("ana", PASSWORD, ip="192.0.2.7")
    assert authenticate.by_password("ana", PASSWORD, ip="192.0.2.8")


def test_a_changed_password_is_forgotten_at_once(user) -> None:
    authenticate.by_password("ana", PASSWORD)
    from audit import door
    from audit.events import Action

    with door.open(SYSTEM, Action.USER_CREATE, on=user) as entry:
        user.set_password("another-long-word-4")
        user.save(update_fields=["password"])
        entry.record()
    with pytest.raises(Unauthenticated):
        authenticate.by_password("ana", PASSWORD)


def test_a_token_works_until_it_is_revoked_or_expires(user, monkeypatch: pytest.MonkeyPatch) -> None:
    token, secret = actions.create_token(by=SYSTEM, user=user, name="laptop")
    assert authenticate.by_bearer(secret) == user
    assert secret not in json.dumps(list(Token.objects.values()), default=str)
    actions.revoke_token(by=actor_of(user, "session"), token=token)
    with pytest.raises(Unauthenticated, match="revoked"):
        authenticate.by_bearer(secret)
    _, short = actions.create_token(by=SYSTEM, user=user, name="short", expires_at=now() + timedelta(hours=1))
    monkeypatch.setattr(authenticate, "now", lambda: now() + timedelta(hours=2))
    with pytest.raises(Unauthenticated, match="expired"):
        authenticate.by_bearer(short)
    with pytest.raises(Unauthenticated, match="not known"):
        authenticate.by_bearer("plim_nonsense")


def test_nobody_makes_a_token_for_somebody_else_and_only_administrators_revoke_one(user) -> None:
    admin, other = factories.actor(Role.ADMINISTRATOR), factories.actor(Role.AUDITOR)
    token, _ = actions.create_token(by=SYSTEM, user=user, name="mine")
    with pytest.raises(Denied, match="its holder has to"):
        actions.create_token(by=admin, user=user, name="theirs")
    with pytest.raises(Denied, match="it takes the role administrator"):
        actions.revoke_token(by=other, token=token)
    actions.revoke_token(by=admin, token=token)
    assert str(Token.objects.get().revoked_by_id) == admin.account


def test_a_link_signs_in_once(user) -> None:
    secret = actions.create_sign_in_link(by=SYSTEM, user=user)
    row = authenticate.link_for(secret)
    assert row.user == user
    actions.open_session(by=actor_of(user, "link"), link=secret)
    with pytest.raises(Unauthenticated, match="used already"):
        authenticate.link_for(secret)
    assert SignInLink.objects.get().used_at is not None
    actions.close_session(by=actor_of(user, "session"))
    assert Event.objects.filter(action="session.close", outcome="success").count() == 1


@pytest.mark.parametrize("word", ["short", "password1234", "", "ana-ana-ana-ana"[:11]])
def test_weak_passwords_are_refused_with_a_reason(word: str) -> None:
    with pytest.raises(Invalid, match="[Pp]assword|too"):
        actions.create_user(by=SYSTEM, username="weak", password=word)


@pytest.mark.parametrize("name", ["", "a b", "x" * 151, "na\u0000me", "../etc", "a/b", "<b>"])
def test_bad_user_names_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        actions.create_user(by=SYSTEM, username=name, password=None)


def test_a_user_name_is_taken_in_any_case(user) -> None:
    with pytest.raises(Duplicate):
        actions.create_user(by=SYSTEM, username="Ana", password=None)


def test_a_role_is_revoked_once() -> None:
    someone = factories.account(Role.VIEWER)
    grant = someone.role_grants.get()
    actions.revoke_role(by=SYSTEM, grant=grant)
    with pytest.raises(NotFound):
        actions.revoke_role(by=SYSTEM, grant=grant)
    assert Event.objects.filter(action="role.revoke", outcome="success").count() == 1


@pytest.mark.parametrize("pattern", ["", "x" * 257, "a[b]", "n\u0000"])
def test_bad_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(Invalid):
        actions.grant_role(by=SYSTEM, user=factories.account(), role=Role.VIEWER, pattern=pattern)
