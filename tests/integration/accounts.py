"""Accounts in a running installation, for tests over HTTP: made through the actions, in a process of their own.

``tokens(stack, scientist="data_scientist", …)`` gives a bearer token per name. Run as a program, it is that process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "correct-horse-battery-9"


def tokens(stack, **roles: str) -> dict[str, str]:  # type: ignore[no-untyped-def]
    """Make an account per keyword, ``name="role"`` or ``name="role:pattern"`` (several with commas), with its token."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.integration.accounts", json.dumps(roles)],
        cwd=ROOT,
        env={**os.environ, **stack.environment, "DJANGO_SETTINGS_MODULE": "web.settings"},
        check=True,
        capture_output=True,
        text=True,
    )
    made: dict[str, str] = json.loads(ran.stdout)
    return made


def _make(roles: dict[str, str]) -> dict[str, str]:
    import django

    django.setup()
    from access import actions
    from access.models import User
    from access.roles import Role
    from audit.actors import SYSTEM

    made: dict[str, str] = {}
    for name, given in roles.items():
        user = User.objects.filter(username=name).first()
        if user is None:
            user = actions.create_user(by=SYSTEM, username=name, password=PASSWORD)
            for entry in filter(None, given.split(",")):
                role, _, pattern = entry.partition(":")
                actions.grant_role(by=SYSTEM, user=user, role=Role(role), pattern=pattern or "*")
        made[name] = actions.create_token(by=SYSTEM, user=user, name="tests")[1]
    return made


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_make(json.loads(sys.argv[1]))))
