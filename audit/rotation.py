"""Which key signs which sizes of a log: announcing a new one, retiring an old one, and telling the auditor.

A new key is announced by an entry and signs beside the old one until that is retired, so an auditor who knows either
can verify. Private halves are files (``audit/keys.py``); here are their ranges, which stand in the database and in the
trust file. Not here: signing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypedDict

from django.db import connection

from audit import anchors, door, keys, sequencer
from audit.actors import Actor
from audit.bundle import VerifierKey
from audit.errors import Conflict, NotFound
from audit.events import LOGS, Action
from audit.models import Checkpoint, LogKey, LogKeyEnd
from audit.note import NoteError, SigningKey, Verifier, open_note
from audit.subjects import Subject

_KEYS = 1886152557


class Trust(TypedDict):
    """What an auditor's verifier must know of a log beforehand: the content of ``trust.json``."""

    origin: str
    keys: list[VerifierKey]
    witnesses: list[str]


@dataclass(frozen=True)
class Range:
    """A verifier key and the sizes it signs, both ends included; no end while it is in use."""

    verifier: str
    from_size: int
    to_size: int | None

    def covers(self, size: int) -> bool:
        return self.from_size <= size and (self.to_size is None or size <= self.to_size)

    @property
    def key_id(self) -> str:
        return self.verifier.partition("+")[2].partition("+")[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the verifier key's text, in groups of four digits: what to print on paper."""
        digest = sha256(self.verifier.encode()).hexdigest()
        return " ".join(digest[place : place + 4] for place in range(0, len(digest), 4))


def hold(log_name: str) -> None:
    """Keep the ranges of a log as they are until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_KEYS, 100 + LOGS.index(log_name)])


def ranges(log_name: str) -> list[Range]:
    """Every key a log ever had, the first one first."""
    rows = list(LogKey.objects.filter(log=log_name).order_by("from_size", "verifier"))
    ends = dict(LogKeyEnd.objects.filter(pk__in=[row.pk for row in rows]).values_list("verifier", "to_size"))
    return [Range(row.verifier, row.from_size, ends.get(row.verifier)) for row in rows]


def active(log_name: str, signers: Sequence[SigningKey], size: int) -> list[SigningKey]:
    """Those of ``signers`` that are announced and not retired for ``size``."""
    covering = {each.verifier for each in ranges(log_name) if each.covers(size)}
    return [key for key in signers if key.verifier in covering]


def trust(log_name: str) -> Trust:
    """The trust file of a log."""
    origin = sequencer.origin(log_name)
    return Trust(
        origin=origin,
        keys=[
            VerifierKey(key=each.verifier, from_size=each.from_size, to_size=each.to_size)
            for each in ranges(log_name)
            if each.verifier.startswith(f"{origin}+")
        ],
        witnesses=[each.verifier for each in anchors.configured() if each.verifier and log_name in each.logs],
    )


def rotate(*, by: Actor, log_name: str) -> Range:
    """Make a second key in the sequencer's folder and announce it; it signs from the size after the newest one on.

    To be run under the sequencer's account. Raises Conflict while the log has no first key, or two already.
    """
    _check(log_name)
    origin = sequencer.origin(log_name)
    subject = Subject(type="log", id=log_name)
    with keys.drafted(origin) as key, door.open(by, Action.KEY_ROTATE, on=subject) as entry:
        hold(log_name)
        open_now = _open_ranges(log_name, origin)
        if not open_now:
            raise Conflict(f"The log {log_name} has no key yet; start the sequencer once.", code="no_key")
        if len(open_now) > 1:
            raise Conflict(
                f"The log {log_name} already has {len(open_now)} keys in use; retire one before bringing in another.",
                code="rotation_under_way",
            )
        size, _ = sequencer.head(log_name)
        made = Range(key.verifier, size + 1, None)
        LogKey.objects.bulk_create([LogKey(verifier=made.verifier, log=log_name, from_size=made.from_size)])
        entry.record(before=_told(open_now), after=_told([*open_now, made]))
    return made


def retire(*, by: Actor, log_name: str, verifier: str) -> Range:
    """Close a key's range at the newest signed size, then destroy its private half.

    ``verifier`` is the verifier key or its key id. Raises NotFound, or Conflict for the only key in use and while no
    other key has signed yet.
    """
    _check(log_name)
    origin = sequencer.origin(log_name)
    with door.open(by, Action.KEY_RETIRE, on=Subject(type="log", id=log_name)) as entry:
        hold(log_name)
        open_now = _open_ranges(log_name, origin)
        chosen = next((each for each in open_now if verifier in (each.verifier, each.key_id)), None)
        if chosen is None:
            raise NotFound(f"The log {log_name} has no such key in use.")
        others = [each for each in open_now if each is not chosen]
        if not others:
            raise Conflict(
                f"This is the only key of the log {log_name}. Bring in another first: manage.py audit_key rotate.",
                code="last_key",
            )
        to_size = max(_newest_signed_by(log_name, others), chosen.from_size)
        end = Range(chosen.verifier, chosen.from_size, to_size)
        LogKeyEnd.objects.bulk_create([LogKeyEnd(verifier=end.verifier, to_size=to_size)])
        entry.record(before=_told(open_now), after=_told([end, *others]))
    keys.destroy(origin, end.verifier)
    return end


def _check(log_name: str) -> None:
    if log_name not in LOGS:
        raise NotFound(f"There is no log named {log_name[:40]!r}; the logs are {' and '.join(LOGS)}.")


def _open_ranges(log_name: str, origin: str) -> list[Range]:
    return [each for each in ranges(log_name) if each.to_size is None and each.verifier.startswith(f"{origin}+")]


def _newest_signed_by(log_name: str, others: Sequence[Range]) -> int:
    """The newest signed size, which one of ``others`` must have signed: so that no size is left without a key."""
    newest = Checkpoint.objects.filter(log=log_name).order_by("-size").first()
    try:
        if newest is not None:
            open_note(newest.note, [Verifier.parse(each.verifier) for each in others])
            return newest.size
    except NoteError:
        pass
    raise Conflict(
        f"The new key has not signed the log {log_name} yet. Wait until the sequencer has; it must be running.",
        code="new_key_unused",
    )


def _told(known: Sequence[Range]) -> dict[str, Any]:
    """Keys as an entry states them (``Any`` is what JSON is)."""
    stated = [{"key": each.verifier, "from_size": each.from_size, "to_size": each.to_size} for each in known]
    return {"keys": stated}
