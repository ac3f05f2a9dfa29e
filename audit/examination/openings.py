"""The openings of personal values against the digests in the entries they belong to. Nothing that is opened is told.

An opening that is gone together with its person's key was erased, which is no finding.
"""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from django.db import connection

from audit import disclosure, vault
from audit.disclosure import DisclosureError
from audit.examination.entries import Place
from audit.examination.entry import Leaf, inner, told
from audit.findings import EACH, TAMPERED, Finding, Severity
from audit.models import Disclosure, SubjectKey

_Opened = dict[str, str | None]  # path: disclosure, None when it cannot be decrypted


class Openings:
    """Examines the openings of one log's entries; ``count`` is how many could be opened."""

    def __init__(self, log: str) -> None:
        self.area: Final = f"{log}/openings"
        self.count = 0

    def look(self, seen: Sequence[tuple[Place, Leaf]]) -> Iterator[Finding]:
        """Examine the openings of some entries."""
        ids = [place.event_id for place, _ in seen]
        opened = _opened(ids)
        keyless = self._keyless(seen)
        stored: dict[UUID, set[str]] = {}
        for event_id, path in Disclosure.objects.filter(event_id__in=ids).values_list("event_id", "path"):
            stored.setdefault(event_id, set()).add(path)
        for place, leaf in seen:
            texts = opened.get(place.event_id, {})
            self.count += len(texts)
            for path in sorted(stored.get(place.event_id, set()) - texts.keys()):
                sentence = f"{told(place)}: the opening “{path}” is there without its person's key."
                yield Finding(Severity.OPEN, self.area, "opening-without-key", sentence, "Let the erasure finish.")
            yield from self._entry(place, leaf, texts, erased=str(inner(leaf, "actor").get("ref")) in keyless)

    def _entry(self, place: Place, leaf: Leaf, texts: _Opened, *, erased: bool) -> Iterator[Finding]:
        committed = {where: _digests(leaf, where) for where in ("", "actor/", "request/", "change/")}
        found: set[str] = set()
        for path, text in sorted(texts.items()):
            where, name = path[: path.rfind("/") + 1], path[path.rfind("/") + 1 :]
            if text is None:
                yield self._broken("opening-changed", f"{told(place)}: the opening “{path}” was changed or moved.")
            elif disclosure.digest(text) not in committed.get(where, set()) or _name(text) != name:
                yield self._broken("opening-differs", f"{told(place)}: the opening “{path}” is not what was signed.")
            else:
                found.add(disclosure.digest(text))
        missing = set().union(*committed.values()) - found
        if missing and not erased and None not in texts.values():
            sentence = f"{told(place)} has {len(missing)} values whose opening is gone, and nobody was erased."
            yield Finding(Severity.OPEN, self.area, "opening-missing", sentence, TAMPERED)

    def _keyless(self, seen: Sequence[tuple[Place, Leaf]]) -> set[str]:
        """The pseudonyms among these whose key is gone: they were erased."""
        refs = {str(inner(leaf, "actor").get("ref")) for _, leaf in seen}
        return refs - set(SubjectKey.objects.filter(pk__in=refs).values_list("pk", flat=True))

    def strays(self) -> Iterator[Finding]:
        """Openings of events that are not there."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT d.event_id FROM audit_disclosure d WHERE NOT EXISTS"
                " (SELECT FROM audit_event e WHERE e.id = d.event_id) LIMIT %s",
                [EACH + 1],
            )
            for (event_id,) in cursor.fetchall():
                sentence = f"Openings of event {event_id} are there, and the event is not."
                yield Finding(Severity.OPEN, "queue", "opening-without-event", sentence, TAMPERED)

    def _broken(self, code: str, sentence: str) -> Finding:
        return Finding(Severity.BROKEN, self.area, code, sentence, TAMPERED)


def _opened(ids: Sequence[UUID]) -> dict[UUID, _Opened]:
    """The openings of some events by path; one by one when any of them cannot be decrypted."""
    try:
        return {event_id: dict(texts) for event_id, texts in vault.openings(list(ids)).items()}
    except (InvalidTag, ValueError):
        pass
    found: dict[UUID, _Opened] = {}
    rows = Disclosure.objects.filter(event_id__in=ids).values_list("event_id", "path")
    for event_id, path in rows:
        try:
            text = vault.openings([event_id], frozenset({path})).get(event_id, {}).get(path)
        except (InvalidTag, ValueError):
            found.setdefault(event_id, {})[path] = None
        else:
            if text is not None:
                found.setdefault(event_id, {})[path] = text
    return found


def _digests(leaf: Leaf, where: str) -> set[str]:
    """The digests an entry commits to at one place: the top (“”), or one of its parts (“actor/”)."""
    part = inner(leaf, where[:-1]) if where else leaf
    found = part.get("_sd")
    return {each for each in found if isinstance(each, str)} if isinstance(found, list) else set()


def _name(text: str) -> str | None:
    try:
        return disclosure.open_disclosure(text)[1]
    except DisclosureError:
        return None
