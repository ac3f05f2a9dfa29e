"""When a token or a session was last used: written once a minute at most, outside every door and every transaction."""

import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from django.db import DatabaseError

from access.models import LastUse
from audit.clock import now

log = logging.getLogger("plimsoll.access")

_EVERY: Final = timedelta(minutes=1)
_MOST_KNOWN: Final = 10_000
# Which were noted in the last minute by this process; others find out from the row.
_noted: OrderedDict[uuid.UUID, float] = OrderedDict()
_lock = Lock()


def note(used: uuid.UUID) -> None:
    """Note a use now. That it could not be noted is no reason to refuse what was asked for."""
    if not _is_due(used):
        return
    try:
        moment = now()
        if not LastUse.objects.filter(pk=used, at__gt=moment - _EVERY).exists():
            LastUse.objects.bulk_create(
                [LastUse(pk=used, at=moment)], update_conflicts=True, unique_fields=["id"], update_fields=["at"]
            )
    except DatabaseError:
        log.exception("a last use could not be noted")


def _is_due(used: uuid.UUID) -> bool:
    moment = time.monotonic()
    with _lock:
        if _noted.get(used, 0.0) > moment:
            return False
        _noted[used] = moment + _EVERY.total_seconds()
        _noted.move_to_end(used)
        while len(_noted) > _MOST_KNOWN:
            _noted.popitem(last=False)
    return True


def of(rows: Iterable[uuid.UUID]) -> dict[uuid.UUID, datetime]:
    """When each was last used; those never used are missing."""
    return dict(LastUse.objects.filter(pk__in=list(rows)).values_list("pk", "at"))


def forget() -> None:
    """Begin anew, as a new process does."""
    with _lock:
        _noted.clear()
