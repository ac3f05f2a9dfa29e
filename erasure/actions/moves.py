"""Moving a request from state to state, and waking who is to work on it: what every action here shares.

One action, one door; these functions are called inside it. Which moves there are is ``erasure/states.py``.
"""

import logging
from collections.abc import Callable
from typing import Final

from celery import current_app
from django.db import transaction

from audit.clock import now
from audit.errors import Conflict, Invalid
from erasure import rules, sealing
from erasure.models import ErasureRequest
from erasure.states import CLOSED, Act

log = logging.getLogger("plimsoll.erasure")

DISCOVER: Final = "erasure.tasks.discover"
EXECUTE: Final = "erasure.tasks.execute"


class LeaseLostError(Conflict):
    """Another worker holds this request now; whatever the first one has made does not count."""

    code = "lease_lost"


def move(request: ErasureRequest, act: Act) -> None:
    """Put a locked request into the state the act leads to. Raises Conflict when the act is not possible now."""
    request.state = rules.state_after(request, act).value


def close(request: ErasureRequest, *, by: str, outcome: str) -> None:
    """Give a request that has just come to its end its outcome, and take box and key away for good."""
    if request.state not in CLOSED:
        raise RuntimeError("Only a request that has come to its end is closed.")
    request.outcome, request.closed_by, request.closed_at = outcome, by, now()
    request.box, request.leased_until = None, None
    key = request.pk
    transaction.on_commit(lambda: sealing.shred(key), robust=True)


def take(request: ErasureRequest, total_bytes: int) -> None:
    """Give the request to the worker that asks, for as long as this much content may take."""
    request.fence += 1
    request.attempts += 1
    request.leased_until = now() + rules.lease(total_bytes)


def unless_taken(claim: Callable[[], ErasureRequest | None]) -> ErasureRequest | None:
    """What ``claim`` gives; None as well when another worker was faster by a moment."""
    try:
        return claim()
    except LeaseLostError:
        log.info("another worker was faster")
        return None


def check_held(request: ErasureRequest, fence: int) -> None:
    """Refuse a worker that lost the request to another one. ``request`` is locked."""
    if request.fence != fence:
        raise LeaseLostError("Another worker has taken this request over.")


def forget_approval(request: ErasureRequest) -> None:
    """An approval holds for one plan; a new search ends it."""
    request.approver, request.approved_plan_digest, request.approved_at = "", "", None


def wake(task: str, request: ErasureRequest) -> None:
    """Tell the workers when the open transaction has committed. A broker that is down is made up for by the sweep."""
    key = str(request.pk)
    transaction.on_commit(lambda: current_app.send_task(task, [key], retry=False), robust=True)


def text_of(value: str, request: ErasureRequest, *, needed: bool = False) -> str:
    """A comment or a reason as it may be kept: of ordinary length, and without the identifier."""
    text = value.replace("\r\n", "\n").strip()
    if "\x00" in text:
        raise Invalid("The text holds a NUL character.", code="bad_text")
    if len(text) > rules.MOST_REASON:
        raise Invalid(
            f"The text has {len(text):,} characters; at most {rules.MOST_REASON:,} are kept.", code="too_long"
        )
    if needed and not text:
        raise Invalid("Say why: the reason is empty.", code="no_reason")
    identifier = sealing.value_or_none(request)
    if identifier is not None and rules.names_person(text, request.identifier_type, identifier):
        raise Invalid(
            "The text names the data subject. What is written here is kept; leave the identifier out.",
            code="names_person",
        )
    return text
