"""That the sequencer's process is here: an advisory lock, held on a connection of its own for as long as it lives.

Writers ask for it (shared, without waiting) to learn whether a process takes care of sequencing. A second process waits
for it, so that two never sign.
"""

import logging
from typing import Final

from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

log = logging.getLogger("plimsoll.sequencer")

LOCK: Final = (1886152557, 1)
_PATIENCE = "500ms"


class Presence:
    """The lock, and the connection it lives on."""

    def __init__(self) -> None:
        self._own: BaseDatabaseWrapper | None = None

    def held(self) -> bool:
        """Whether this process holds the lock: still, or since just now.

        Waits half a second for another one that has it. Raises OperationalError when the database does not answer.
        """
        if self._own is not None:
            with self._own.cursor() as cursor:
                cursor.execute("SELECT 1")
            return True
        own = connection.copy()
        try:
            if self._take(own):
                self._own = own
                return True
        finally:
            if self._own is None:
                own.close()
        return False

    def leave(self) -> None:
        """Give the lock back, or forget it when its connection broke."""
        own, self._own = self._own, None
        if own is not None:
            own.close()

    def _take(self, own: BaseDatabaseWrapper) -> bool:
        with own.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [_PATIENCE])
            try:
                cursor.execute("SELECT pg_advisory_lock(%s, %s)", list(LOCK))
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", "") == "55P03":  # lock_not_available: somebody else has it
                    return False
                raise
        return True
