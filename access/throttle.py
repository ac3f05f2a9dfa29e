"""Failed sign-ins, counted for a while: by name and address together, by name, and by address.

A name is kept only as a keyed digest, and an unknown name counts like a known one, so that nothing can be learned from
being locked out. Attempts are written before the password is checked and taken back when it was right: many at once do
not get more guesses than one after the other.
"""

import hashlib
import hmac
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from access.models import Attempt
from audit.clock import now
from audit.errors import TooMany
from audit.keys import secret

WINDOW: Final = timedelta(minutes=15)
_KEPT: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Limit:
    """So many failures within the window; ``what`` was tried too often."""

    most: int
    what: str


# One person who mistypes is stopped early, from that address only. Somebody who tries one name from many addresses, or
# many names from one, is stopped later, since a name must not be easy to lock for its holder, nor an office's address.
PAIR: Final = Limit(10, "for this name")
NAME: Final = Limit(50, "for this name")
ADDRESS: Final = Limit(100, "from this address")


@dataclass(frozen=True)
class Tried:
    """The rows of one attempt, to take back when it was right."""

    rows: tuple[int, ...]


def begin(username: str, ip: str) -> Tried:
    """Count an attempt. Raises TooMany with the time to wait when there were too many failures before it."""
    limits = _limits(username, ip)
    rows = Attempt.objects.bulk_create([Attempt(key=key) for key in limits])
    tried = Tried(tuple(row.pk for row in rows))
    failures: dict[str, list[float]] = {key: [] for key in limits}
    since = now() - WINDOW
    found = Attempt.objects.filter(key__in=limits, at__gt=since).exclude(pk__in=tried.rows).order_by("-at")
    for key, at in found.values_list("key", "at"):
        failures[key].append((at - since).total_seconds())
    waits = {limit: failures[key][limit.most - 1] for key, limit in limits.items() if len(failures[key]) >= limit.most}
    if waits:
        take_back(tried)
        limit, wait = max(waits.items(), key=lambda each: each[1])
        raise _too_many(limit, wait)
    return tried


def take_back(tried: Tried) -> None:
    """The password was right: this attempt was no failure."""
    Attempt.objects.filter(pk__in=tried.rows).delete()


def sweep() -> None:
    """Forget old attempts."""
    Attempt.objects.filter(at__lt=now() - _KEPT).delete()


def _too_many(limit: Limit, seconds: float) -> TooMany:
    minutes = math.ceil(seconds / 60)
    wait = "a minute" if minutes <= 1 else f"{minutes} minutes"
    return TooMany(
        f"Too many failed sign-ins {limit.what}: try again in {wait}.",
        code="too_many_attempts",
        details={"retry_after": math.ceil(seconds)},
    )


def _limits(username: str, ip: str) -> dict[str, Limit]:
    name = username.casefold()
    return {
        key_of("attempt", name, ip): PAIR,
        key_of("name", name): NAME,
        **({key_of("address", ip): ADDRESS} if ip else {}),
    }


def key_of(*parts: str) -> str:
    """A keyed digest: who reads the table learns no name that was tried."""
    return hmac.new(secret("writer"), "\0".join(parts).encode(), hashlib.sha256).hexdigest()
