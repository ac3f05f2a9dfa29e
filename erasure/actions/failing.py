"""What becomes of a request whose worker could not go on: it says so and waits for a person; it is never completed."""

import logging
import traceback
from collections.abc import Callable

from audit import door
from audit.actors import SYSTEM
from audit.errors import DomainError
from audit.events import Action
from erasure.actions import moves
from erasure.engine.errors import EngineError
from erasure.models import ErasureRequest
from erasure.states import Act

log = logging.getLogger("plimsoll.erasure")


def guarded(request: ErasureRequest, action: Action, work: Callable[[], object]) -> None:
    """Do ``work`` on a request that is held; whatever it dies of, its row says so afterwards."""
    facts = {"request": str(request.pk), "action": action.value}
    try:
        work()
    except moves.LeaseLostError:
        log.warning("the erasure request was taken over by another worker", extra=facts)
    except DomainError as error:
        fail(request, action, error.sentence)
    except EngineError as error:
        fail(request, action, str(error))
    except Exception as error:  # noqa: BLE001 - the row must say so, whatever it was
        # The message of a foreign library may quote a cell, so of it only the type and the place are written down.
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.error(
            "the erasure request failed",
            extra={**facts, "error": type(error).__name__, "place": f"{place.filename}:{place.lineno}"},
        )
        fail(request, action, f"The work ended with an unexpected error ({type(error).__name__}).")


def fail(request: ErasureRequest, action: Action, sentence: str) -> None:
    """Record why a request cannot go on. Does nothing when another worker has it by now."""
    try:
        with door.open(SYSTEM, action, on=request) as entry:
            locked: ErasureRequest = entry.locked
            moves.check_held(locked, request.fence)
            before = locked.state
            moves.move(locked, Act.FAIL)
            locked.problem, locked.leased_until = sentence, None
            locked.save()
            entry.record(before={"state": before}, after={"state": locked.state}, reason=sentence)
    except moves.LeaseLostError:
        log.warning("the erasure request was taken over by another worker", extra={"request": str(request.pk)})
