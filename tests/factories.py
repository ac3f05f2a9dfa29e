"""Test objects, made through the actions, so that no test state lacks its entry."""

import itertools
from datetime import datetime

from access import actions
from access.authenticate import actor_of
from access.models import User
from access.roles import Role
from audit.actors import SYSTEM, Actor

PASSWORD = "correct-horse-battery-9"
_numbers = itertools.count(1)


def account(*roles: Role, username: str = "", pattern: str = "*", until: datetime | None = None) -> User:
    """An account with these roles."""
    user = actions.create_user(by=SYSTEM, username=username or f"person{next(_numbers)}", password=None)
    for role in roles:
        actions.grant_role(by=SYSTEM, user=user, role=role, pattern=pattern, until=until)
    return user


def actor(*roles: Role, username: str = "", pattern: str = "*") -> Actor:
    """The actor of a new account with these roles."""
    return actor_of(account(*roles, username=username, pattern=pattern), "session", request_id="test", ip="192.0.2.1")
