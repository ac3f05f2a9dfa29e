"""Django's system check of the trail's protection: ``manage.py check --database default``."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, OperationalError

from audit import protection
from audit.findings import Severity

_MESSAGES = {Severity.BROKEN: checks.Error, Severity.OPEN: checks.Warning, Severity.NOTE: checks.Info}


@checks.register(checks.Tags.database)
def protected(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """What of the protection is not as it should be. Nothing when no database answers, and nothing to the owner, whose
    ``migrate`` is what puts it right.
    """
    if DEFAULT_DB_ALIAS not in (databases or ()) or settings.PLIMSOLL_ROLE == "owner":
        return []
    try:
        found = protection.examine()
    except OperationalError:
        return []
    return [
        _MESSAGES[each.severity](each.sentence, hint=each.advice or None, id=f"audit.{each.code}") for each in found
    ]
