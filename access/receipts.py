"""Who may take a receipt: those who read the trail, and everyone of what they did themselves."""

from uuid import UUID

from access import checked, policy
from audit import receipts
from audit.actors import Actor
from audit.events import Action
from audit.subjects import TRAIL


def require(by: Actor, entry_id: UUID) -> None:
    """Return when ``by`` may have the proof of this entry; raise what reading the trail is refused with otherwise."""
    if receipts.is_by(by.account, entry_id):
        checked.note()
        return
    policy.require_read(by, Action.TRAIL_VIEW, TRAIL)
