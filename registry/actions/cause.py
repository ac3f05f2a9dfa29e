"""Telling the database who is about to move a stage or an alias, and why: its triggers write that into the history."""

import json
from datetime import datetime
from uuid import UUID

from django.db import connection

from audit import guard
from audit.actors import Actor
from audit.clock import now, rfc3339


def tell(by: Actor, *, at: datetime | None = None, grant: UUID | None = None, sole: bool = False) -> None:
    """Say it for what follows in this transaction: call it right before the change.

    ``at`` is the instant that one stage ends and the next begins; ``sole`` that no other version may hold the stage.
    """
    cause = {
        "by": by.account or "",
        "action": guard.open_door() or "",
        "at": rfc3339(at or now()),
        "grant": str(grant) if grant else None,
        "sole": sole,
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('plimsoll.cause', %s, true)", [json.dumps(cause)])
