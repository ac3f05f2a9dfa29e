"""Django's PostgreSQL backend with the write guard built in, so that no connection can be made without it."""

from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base

from audit import guard


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose every statement passes ``guard.refuse_unguarded``; migrations run as the owner without it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.PLIMSOLL_ROLE != "owner":
            self.execute_wrappers.append(guard.refuse_unguarded)
