"""``migrate``, and then the rights: without them a new table could be used by nobody, or changed by anybody."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connection

from audit import rights


class Command(migrate.Command):
    """Django's migrate, run as the owner, followed by ``audit.rights``."""

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
            )
            tables = [row[0] for row in cursor.fetchall()]
            for statement in rights.statements(tables):
                cursor.execute(statement)
