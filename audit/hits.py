"""Which events hold all of some tokens in their openings, newest first: the search behind ``queries.search``.

Two ways, one after the other. Words that are common are met at once by walking back through the newest openings; all
others are left to the index, month by month from the newest, so that a page never costs more than one month's matches
however long the log is. Both ways order by event id, which rises with time.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db import connection

from audit import clock, ids, words

# Openings that are read before the index is asked; an event has about three.
WALK: Final = 2_000
_FIRST, _LAST = uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)
_MOST_MONTHS = 1_200

_ENDS = (
    "SELECT (SELECT event_id FROM audit_disclosure WHERE event_id >= %s AND event_id < %s ORDER BY event_id LIMIT 1),"
    " (SELECT event_id FROM audit_disclosure WHERE event_id >= %s AND event_id < %s ORDER BY event_id DESC LIMIT 1)"
)
_WALK = (
    "WITH newest AS MATERIALIZED (SELECT event_id, words FROM audit_disclosure WHERE event_id >= %s AND event_id < %s"
    " ORDER BY event_id DESC, path DESC LIMIT %s)"
    " SELECT (SELECT count(*) FROM newest),"
    " ARRAY(SELECT DISTINCT event_id FROM newest WHERE {} ORDER BY event_id DESC LIMIT %s)"
)
# Materialized, and the ids compared afterwards: the planner cannot know how rare the words are, and must not trade
# their index for a walk through everything that is older than where a page begins.
_BY_MONTH = (
    "SELECT hit.event_id FROM unnest(%s::text[]) WITH ORDINALITY AS month (tokens, n), LATERAL ("
    "WITH found AS MATERIALIZED (SELECT event_id FROM audit_disclosure WHERE words @> month.tokens::bigint[])"
    " SELECT DISTINCT event_id FROM found WHERE event_id >= %s AND event_id < %s ORDER BY event_id DESC LIMIT %s"
    ") AS hit LIMIT %s"
)

# A word or a mark: its kind and value (``audit/words.py``).
Sought = tuple[str, str]


@dataclass(frozen=True)
class Span:
    """The ids a search can meet: from ``low``, below ``high``. ``scopes`` are the log's months in it, newest first."""

    low: uuid.UUID
    high: uuid.UUID
    scopes: list[str]

    def tokens(self, sought: Sought) -> list[int]:
        """The tokens of one word or mark, one for each month. An event holds at most one of them: that of its month."""
        return [words.token(scope, *sought) for scope in self.scopes]


def span(
    log: str, *, before: uuid.UUID | None = None, since: datetime | None = None, until: datetime | None = None
) -> Span:
    """What of ``log`` lies in a period and before an event; without months when there is nothing."""
    low = ids.first_id(since) if since else _FIRST
    high = min(ids.first_id(until) if until else _LAST, before or _LAST)
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, [low, high, low, high])
        oldest, youngest = cursor.fetchone()
    return Span(low, high, [] if oldest is None else _scopes(log, oldest, youngest))


def newest(within: Span, sought: Sequence[Sought], *, most: int) -> list[uuid.UUID]:
    """The newest ``most`` events of a span that hold everything that is sought."""
    if not within.scopes:
        return []
    low, high = within.low, within.high
    with connection.cursor() as cursor:
        each = " AND ".join(["words && %s::bigint[]"] * len(sought))
        held = [within.tokens(one) for one in sought]
        cursor.execute(_WALK.format(each), [low, high, WALK, *held, most])
        walked, found = cursor.fetchone()
        if len(found) < most and walked == WALK:
            months = [_literal(month) for month in zip(*held, strict=True)]
            cursor.execute(_BY_MONTH, [months, low, high, most, most])
            found = [row[0] for row in cursor.fetchall()]
    return sorted(found, reverse=True)


def _literal(tokens: Sequence[int]) -> str:
    return "{" + ",".join(map(str, tokens)) + "}"


def _scopes(log: str, oldest: uuid.UUID, youngest: uuid.UUID) -> list[str]:
    """The months of a log between two ids, the newest first."""
    first, last = _moment(oldest), _moment(youngest)
    found: list[str] = []
    year, month = last.year, last.month
    while (year, month) >= (first.year, first.month) and len(found) < _MOST_MONTHS:
        found.append(words.scope(log, datetime(year, month, 1, tzinfo=UTC)))
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
    return found


def _moment(made: uuid.UUID) -> datetime:
    """When an id was made; an id that is not ours may name a time that no calendar has."""
    try:
        return min(ids.instant_of(made), clock.now())
    except OverflowError:
        return clock.now()
