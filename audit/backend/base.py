"""Django's PostgreSQL backend with the write guard built in, so that no connection can be made without it."""

from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base

from audit import guard

_EXPLICIT_ONLY = 1_000_000  # None would refuse even an explicit wish


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose every statement passes ``guard.refuse_unguarded``; migrations run as the owner without it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.PLIMSOLL_ROLE != "owner":
            self.execute_wrappers.append(guard.refuse_unguarded)

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, with prepared statements for those who ask for them (``audit/rows.py``); Django never does."""
        params: dict[str, Any] = super().get_connection_params()
        return params | {"prepare_threshold": _EXPLICIT_ONLY}
