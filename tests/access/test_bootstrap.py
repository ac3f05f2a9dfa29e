"""The first start: the account without which nobody could make any other, once."""

import io

import pytest
from django.core.management import CommandError, call_command

from access import authenticate
from access.models import RoleGrant, User
from access.roles import Role
from audit.models import Event

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery-9"


@pytest.fixture(autouse=True)
def _no_administrator_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLIMSOLL_ADMIN_USER", raising=False)
    monkeypatch.delenv("PLIMSOLL_ADMIN_PASSWORD", raising=False)


def bootstrap() -> str:
    out = io.StringIO()
    call_command("bootstrap", stdout=out)
    return out.getvalue()


def test_an_unattended_install_makes_the_administrator_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIMSOLL_ADMIN_USER", "root")
    monkeypatch.setenv("PLIMSOLL_ADMIN_PASSWORD", PASSWORD)
    assert bootstrap() == ""
    user = authenticate.by_password("root", PASSWORD)
    assert [grant.role for grant in user.role_grants.all()] == [Role.ADMINISTRATOR]


def test_without_one_a_link_is_printed_that_signs_in_once() -> None:
    said = bootstrap()
    link = said.rstrip().rstrip("/").rpartition("/")[2]
    assert said.startswith("sign in once as admin: http://127.0.0.1:8000/sign-in/link/")
    assert authenticate.link_for(link).user.username == "admin"
    assert Event.objects.filter(action="sign_in_link.create", outcome="success").count() == 1


def test_a_second_start_changes_and_prints_nothing() -> None:
    bootstrap()
    assert bootstrap() == ""
    assert User.objects.count() == RoleGrant.objects.count() == 1


@pytest.mark.parametrize("only", ["PLIMSOLL_ADMIN_USER", "PLIMSOLL_ADMIN_PASSWORD"])
def test_half_of_the_pair_is_a_sentence(only: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(only, "something-long-enough")
    with pytest.raises(CommandError, match="Set both PLIMSOLL_ADMIN_USER and PLIMSOLL_ADMIN_PASSWORD, or neither."):
        bootstrap()


def test_a_weak_password_is_a_sentence_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIMSOLL_ADMIN_USER", "root")
    monkeypatch.setenv("PLIMSOLL_ADMIN_PASSWORD", "password")
    with pytest.raises(CommandError, match="too short"):
        bootstrap()
    assert not User.objects.exists()


def test_the_token_command_prints_a_working_token_and_nothing_else() -> None:
    bootstrap()
    out = io.StringIO()
    call_command("token", "admin", stdout=out)
    assert authenticate.by_bearer(out.getvalue().strip()).username == "admin"
    with pytest.raises(CommandError, match="There is no account with this user name."):
        call_command("token", "nobody", stdout=out)
