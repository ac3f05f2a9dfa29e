"""Reads that are recorded: who looked at what that is sensitive, and which openings of the trail a reader may see.

A surface calls ``seen`` for one evidence, a promotion request, accounts and roles, an erasure case, and every look into
the trail. Lists of models and data sets, and reads of runs and artifacts, are not recorded one by one: they are many
and show little. A read that cannot be recorded is not answered.
"""

import unicodedata
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from access import grants, policy
from access.roles import Role
from audit import door, queries
from audit.actors import Actor
from audit.clock import now
from audit.errors import Denied
from audit.events import Action
from audit.pseudonyms import actor_ref
from audit.subjects import TRAIL, Governed, Subject, subject_of

# One person who reloads a page has read it once.
RELOAD: Final = timedelta(minutes=5)

# Which openings (by path in the leaf) a reader of the trail may see; None is every one. Who acted is needed to run an
# installation; what people wrote and the addresses they came from is for those who audit and who answer for privacy.
_OPENINGS: Final[dict[Role, queries.Paths]] = {
    Role.AUDITOR: None,
    Role.COMPLIANCE_OFFICER: None,
    Role.ADMINISTRATOR: frozenset({"actor/name"}),
}


def seen(
    by: Actor,
    action: Action,
    on: Governed | Subject,
    *,
    told: Mapping[str, Any] | None = None,
    private: Mapping[str, str] | None = None,
    once_per: timedelta | None = None,
) -> None:
    """Require the permission, then record that ``by`` saw ``on``; call it before the answer is given.

    ``told`` holds no personal data, ``private`` may. With ``once_per`` the same read (account, act, object and what was
    told) is not recorded again when it was recorded so recently. Raises Denied or Unauthenticated; a refusal is
    recorded too.
    """
    policy.require_read(by, action, on)
    subject = subject_of(on)
    if once_per is not None:
        before = queries.last_seen(actor_ref(by), action, subject, since=now() - once_per)
        if before == dict(told or {}):
            return
    door.saw(by, action, on=subject, told=told, private=private)


# -- the trail -------------------------------------------------------------------------------------------------------


def openings(by: Actor) -> queries.Paths:
    """The paths of the openings that ``by`` may see in the trail: a set, or None for every path."""
    held = grants.roles_on(grants.held_by(by), TRAIL.scope)
    found: frozenset[str] = frozenset()
    for role in held & _OPENINGS.keys():
        paths = _OPENINGS[role]
        if paths is None:
            return None
        found |= paths
    return found


def permitted(by: Actor, path: str) -> bool:
    """Whether ``by`` may see the opening at ``path`` (``actor/name``, ``request/ip``, ``reason``, ``change/…``)."""
    paths = openings(by)
    return paths is None or path in paths


def require_text(by: Actor) -> None:
    """Require the right to search in what people wrote; its refusal is recorded."""
    try:
        queries.require_text(openings(by))
    except Denied as error:
        door.refuse(by, Action.TRAIL_VIEW, TRAIL, error)
        raise


def search(by: Actor, chosen: queries.Filter, after: str = "") -> queries.Page:
    """A page of the trail, recorded with what was asked for and how much was shown."""
    policy.require_read(by, Action.TRAIL_VIEW, TRAIL)
    if chosen.text:
        require_text(by)
    page = queries.search(chosen, after, paths=openings(by))
    asked = queries.described(chosen)
    told = {"entries": len(page.entries), "filters": sorted(asked)}
    # What was asked for may name a person; the leaf only says by which filters.
    seen(by, Action.TRAIL_VIEW, _log(chosen.log), told=told, private={"query": _text(asked)})
    return page


def entry(by: Actor, entry_id: uuid.UUID) -> queries.Entry:
    """One entry, recorded."""
    policy.require_read(by, Action.TRAIL_VIEW, TRAIL)
    found = queries.entry(entry_id, paths=openings(by))
    on = Subject(type="trail_entry", id=str(found.id))
    seen(by, Action.TRAIL_VIEW, on, told={"log": found.leaf["log"], "index": found.index}, once_per=RELOAD)
    return found


def life(by: Actor, object_type: str, object_id: str, after: int = 0) -> queries.Life:
    """A part of one object's life, recorded as a look at that object."""
    policy.require_read(by, Action.TRAIL_VIEW, TRAIL)
    found = queries.life(object_type, object_id, after=after, paths=openings(by))
    on = Subject(type=object_type, id=object_id)
    numbers = [found.entries[0].leaf["object"]["n"], found.entries[-1].leaf["object"]["n"]] if found.entries else []
    seen(by, Action.TRAIL_VIEW, on, told={"numbers": numbers}, once_per=RELOAD)
    return found


def _log(name: str) -> Subject:
    return Subject(type="trail", id=name, label=f"the log “{name}”")


def _text(asked: Mapping[str, str]) -> str:
    return unicodedata.normalize("NFC", ", ".join(f"{name}: {value}" for name, value in asked.items()))
