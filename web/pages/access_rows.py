"""Tokens and sessions as rows of pages: last uses in one query, live and ended apart."""

from collections.abc import Callable, Iterable
from typing import Any

from access import uses
from access.models import Session, Token
from access.scopes import SCOPES, TokenScope
from audit.clock import now

_MOST = 200


def token_rows(
    rows: Iterable[Token], revoke_url: Callable[[Token], str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tokens in use, and tokens that ended."""
    known = list(rows)[:_MOST]
    used = uses.of(row.pk for row in known)
    live: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    for row in known:
        over = row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now())
        shown = {
            "row": row,
            "scope": SCOPES[TokenScope(row.scope)].label,
            "used": used.get(row.pk),
            "revoke_url": "" if over else revoke_url(row),
        }
        (ended if over else live).append(shown)
    return live, ended


def session_rows(rows: Iterable[Session], end_url: Callable[[Session], str], *, here: str = "") -> list[dict[str, Any]]:
    """Sessions; ``here`` is the id of the one the page is read in."""
    known = list(rows)[:_MOST]
    used = uses.of(row.pk for row in known)
    return [
        {
            "row": row,
            "browser": row.browser or "a browser that does not say",
            "used": used.get(row.pk),
            "here": str(row.pk) == here,
            "end_url": end_url(row),
        }
        for row in known
    ]
