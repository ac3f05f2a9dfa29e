"""What every page's template is given: who looks, where they can go, and where the trail stands.

Not here: permission to see a page. The navigation leaves out what a reader could not open; it decides nothing, and it
must not count as a permission check (``access.checked``), or a view that forgot its own would go unnoticed.
"""

import time
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.dateformat import format as format_date

from access import grants, policy, queries
from access.roles import LABELS
from audit.actors import Actor
from audit.events import Action
from audit.standing import Standing, standing

# label, url name, action, the first part of every address that belongs to it
_PLACES: Final = (
    ("Models", "models", Action.REGISTRY_VIEW, "/models/"),
    ("Data sets", "data-sets", Action.REGISTRY_VIEW, "/data-sets/"),
    ("Promotions", "promotions", Action.PROMOTION_VIEW, "/promotions/"),
    ("Webhooks", "webhooks", Action.WEBHOOK_VIEW, "/webhooks/"),
    ("Erasure", "erasure", Action.ERASURE_VIEW, "/erasure/"),
    ("Trail", "trail", Action.TRAIL_VIEW, "/trail/"),
    ("People", "people", Action.PEOPLE_VIEW, "/people/"),
)
_TRAIL_SECONDS: Final = 5.0
NOT_WITNESSED: Final = "No outside party holds this checkpoint; only this installation's own key vouches for it."


def page(request: HttpRequest) -> dict[str, Any]:
    """The context processor behind ``base.html``. An error page must be drawn even when the database is gone."""
    actor: Actor | None = getattr(request, "actor", None)
    found: dict[str, Any] = {
        "actor": actor,
        "request_id": getattr(request, "request_id", ""),
        "release": settings.PLIMSOLL_VERSION,
    }
    if actor is None or actor.account is None:
        return found | ({} if request.path == reverse("sign-in") else {"sign_in_url": reverse("sign-in")})
    try:
        return found | {
            "nav_items": nav_items(actor, request.path),
            "account": account(actor),
            "trail_line": trail_line(actor),
        }
    except DatabaseError:
        return found


def may_somewhere(actor: Actor, action: Action) -> bool:
    """Whether one of the actor's roles allows ``action`` on anything: for links and menus only."""
    return any(grant.role in policy.POLICY[action].roles for grant in grants.held_by(actor))


def url_or_none(name: str, *args: Any) -> str | None:
    """The address of a page, None when this installation has no such page."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return None


def client_command() -> str:
    """How to point the stock MLflow client at this installation."""
    return f"export MLFLOW_TRACKING_URI={settings.PLIMSOLL_PUBLIC_URL}\nexport MLFLOW_TRACKING_TOKEN=<your token>"


def trail_url(actor: Actor, object_type: str, object_id: str) -> str | None:
    """Where a reader of the trail finds everything recorded of one object."""
    return url_or_none("trail-object", object_type, object_id) if _reads_trail(actor) else None


def nav_items(actor: Actor, path: str) -> list[dict[str, Any]]:
    """The pages this actor can open."""
    items = []
    for label, name, action, root in _PLACES:
        url = url_or_none(name)
        if url is not None and may_somewhere(actor, action):
            items.append({"label": label, "url": url, "current": path.startswith(root)})
    return items


def account(actor: Actor) -> dict[str, Any]:
    """Who is signed in, as what."""
    held = sorted(grants.held_by(actor), key=lambda grant: (list(LABELS).index(grant.role), grant.pattern))
    return {
        "name": queries.display_names({actor.account or ""}).get(actor.account or "", actor.name),
        "roles": [role_words(grant.role, grant.pattern) for grant in held],
        "links": [
            {"label": "Your account", "url": reverse("account")},
            {"label": "Your tokens", "url": reverse("tokens")},
        ],
        "sign_out_url": reverse("sign-out"),
    }


def role_words(role: str, pattern: str) -> str:
    """``Reviewer, everywhere`` or ``Reviewer, on names like credit-*``."""
    where = "everywhere" if pattern == "*" else f"on names like {pattern}"
    return f"{LABELS[role].capitalize()}, {where}"  # type: ignore[index]


@dataclass
class _Remembered:
    """How the log of changes stands, and until when it is not asked for again."""

    head: Standing | None = None
    until: float = 0.0


_remembered = _Remembered()
_lock = Lock()


def fresh_standing(log: str) -> Standing:
    """How a log stands now; the foot of the same page will say the same."""
    head = standing(log)
    if log == "admin":
        with _lock:
            _remembered.head, _remembered.until = head, time.monotonic() + _TRAIL_SECONDS
    return head


def forget_trail_line() -> None:
    """Ask for the state of the log again on the next page."""
    _remembered.until = 0.0


def trail_line(actor: Actor) -> dict[str, Any]:
    """The foot of the page: how much of the trail is signed, and when. Asked at most every few seconds."""
    with _lock:
        if _remembered.head is None or _remembered.until < time.monotonic():
            _remembered.head, _remembered.until = standing("admin"), time.monotonic() + _TRAIL_SECONDS
        head = _remembered.head
    line = {"sentence": signed_words(head), "url": url_or_none("trail-logs") if _reads_trail(actor) else None}
    if head.overdue:
        line |= {
            "notice": "SIGNING STOPPED",
            "notice_title": "Entries wait for a signature for longer than they should.",
        }
    elif head.signed_size and not head.witnessed:
        line |= {"notice": "UNWITNESSED", "notice_title": NOT_WITNESSED}
    return line


def _reads_trail(actor: Actor) -> bool:
    return may_somewhere(actor, Action.TRAIL_VIEW)


def signed_words(head: Standing) -> str:
    """How far a log is signed, in words: ``entries 0–47 of 48, signed 9 Mar 2026, 14:05``."""
    if head.signed_size == 0 or head.signed_at is None:
        return "nothing is signed yet"
    return (
        f"entries 0–{head.signed_size - 1:,} of {max(head.size, head.signed_size):,}, signed"
        f" {format_date(head.signed_at, 'j M Y, H:i')} UTC"
    )
