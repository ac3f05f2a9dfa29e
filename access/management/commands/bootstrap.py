"""``manage.py bootstrap``: after the first migration, the one account without which nobody could make any other.

With ``PLIMSOLL_ADMIN_USER`` and ``PLIMSOLL_ADMIN_PASSWORD`` it is made from them (unattended installs); without them a
one-time sign-in link is printed for ``admin``. Later runs change nothing.
"""

import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from access import actions
from access.models import RoleGrant, User
from access.roles import Role
from audit import keys
from audit.actors import SYSTEM
from audit.errors import DomainError


class Command(BaseCommand):
    """Make the administrator when there is none."""

    help = "Create keys and the administrator's account on a new installation."

    def handle(self, *args: Any, **options: Any) -> None:
        for name in keys.SECRETS:
            keys.secret(name)
        if RoleGrant.objects.filter(role=Role.ADMINISTRATOR, revoked_at=None).exists():
            return
        name = os.environ.get("PLIMSOLL_ADMIN_USER", "")
        password = os.environ.get("PLIMSOLL_ADMIN_PASSWORD", "")
        if bool(name) != bool(password):
            raise CommandError("Set both PLIMSOLL_ADMIN_USER and PLIMSOLL_ADMIN_PASSWORD, or neither.")
        try:
            user = User.objects.filter(username__iexact=name or "admin").first() or actions.create_user(
                by=SYSTEM, username=name or "admin", password=password or None, display_name="Administrator"
            )
            actions.grant_role(by=SYSTEM, user=user, role=Role.ADMINISTRATOR, reason="first start")
            if not name:
                link = actions.create_sign_in_link(by=SYSTEM, user=user)
                self.stdout.write(f"sign in once as admin: {settings.PLIMSOLL_PUBLIC_URL}/sign-in/link/{link}/")
        except DomainError as error:
            raise CommandError(error.sentence) from None
