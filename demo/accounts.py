"""The demonstration's accounts, one per role. Their passwords are made once and kept beside the data, mode 0600.

Run as ``python -m demo.accounts``: makes what is missing and prints the accounts as JSON.
"""

import json
import os
import secrets
import sys
from pathlib import Path

# user name, name shown, role, and what waits for them on the first page
PEOPLE = (
    ("scientist", "Ana Sørensen", "data_scientist", "her promotion request"),
    ("reviewer", "Rafael Ortiz", "reviewer", "a promotion that waits for his decision"),
    ("riskowner", "Noor Haddad", "risk_owner", "the same promotion, as the business that bears the risk"),
    ("auditor", "Imke Vogel", "auditor", "the trail, its export and the verifier"),
    ("officer", "Jonas Weber", "compliance_officer", "erasure requests to file"),
    ("officer2", "Mei Tanaka", "compliance_officer", "erasure plans to approve"),
    ("viewer", "Tomás Rivera", "viewer", "everything there is to read"),
)


def _secrets(path: Path) -> dict[str, dict[str, str]]:
    if path.exists():
        known: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
        return known
    made = {name: {"password": f"{name}-{secrets.token_urlsafe(9)}"} for name, *_ in PEOPLE}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        json.dump(made, file)
    return made


def main() -> int:
    """Make the accounts in the database of the running installation."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")
    import django

    django.setup()
    from django.conf import settings

    from access import actions
    from access.models import RoleGrant, User
    from access.roles import Role
    from audit.actors import SYSTEM

    known = _secrets(Path(settings.PLIMSOLL_DATA) / "demo-accounts.json")
    for name, shown, role, _ in PEOPLE:
        user = User.objects.filter(username=name).first() or actions.create_user(
            by=SYSTEM, username=name, password=known[name]["password"], display_name=shown
        )
        if not RoleGrant.objects.filter(user=user, role=role, revoked_at=None).exists():
            actions.grant_role(by=SYSTEM, user=user, role=Role(role), reason="demonstration account")
        _, known[name]["token"] = actions.create_token(by=SYSTEM, user=user, name="demonstration")
    json.dump(known, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
