"""The sweep: wake what nobody works on, and shred keys that outlived their request."""

import logging
import time
from datetime import timedelta
from typing import Final

from celery import current_app
from django.db.models import Q

from audit.clock import now
from erasure import sealing
from erasure.actions import moves
from erasure.models import ErasureRequest
from erasure.states import CLOSED, State

log = logging.getLogger("plimsoll.erasure")

# A key is written just before its request is committed.
_ORPHAN_SECONDS: Final = 3600
# A wake-up that was sent gets this long before it counts as lost.
_LOST_AFTER: Final = timedelta(seconds=20)
_WAKES: Final = {
    State.RECEIVED: moves.DISCOVER,
    State.DISCOVERING: moves.DISCOVER,
    State.APPROVED: moves.EXECUTE,
    State.EXECUTING: moves.EXECUTE,
    State.VERIFYING: moves.EXECUTE,
}


def sweep() -> int:
    """Wake requests whose worker died or was never woken; how many. Waking one that is in work does nothing."""
    moment = now()
    free = Q(leased_until=None) | Q(leased_until__lte=moment)
    recent = Q(filed_at__gt=moment - _LOST_AFTER) | Q(approved_at__gt=moment - _LOST_AFTER)
    waiting = ErasureRequest.objects.filter(free, state__in=[state.value for state in _WAKES]).exclude(recent)
    woken = 0
    for row in waiting.only("id", "state"):
        current_app.send_task(_WAKES[State(row.state)], [str(row.pk)], retry=False)
        woken += 1
    shredded = shred_left_keys()
    if woken or shredded:
        log.info("erasure swept", extra={"woken": woken, "shredded": shredded})
    return woken


def shred_left_keys() -> int:
    """Shred the keys of requests that are closed, or that were never committed; how many."""
    kept = sealing.kept()
    known = dict(ErasureRequest.objects.filter(pk__in=[key for key, _ in kept]).values_list("pk", "state"))
    closed = {state.value for state in CLOSED}
    left = [
        key
        for key, written in kept
        if known.get(key) in closed or (key not in known and written < time.time() - _ORPHAN_SECONDS)
    ]
    for key in left:
        sealing.shred(key)
    return len(left)
