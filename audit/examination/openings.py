"""The openings of personal values against the digests in the entries they belong to. Nothing that is opened is told.

An opening that is gone together with its person's key was erased, which is no finding.
"""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from django.db import connection

from audit import disclosure, vault
from audit.disclosure import DisclosureError
from audit.examination.entries import Place
from audit.examination.entry import Leaf, inner, told
from audit.findings import EACH, TAMPERED, Finding, Severity
from audit.models import Disclosure, SubjectKey

_CHANGE: Final = "change/"


class Openings:
    """Examines the openings of one log's entries; ``count`` is how many could be opened."""

    def __init__(self, log: str) -> None:
        self.area: Final = f"{log}/openings"
        self.count = 0

    def look(self, seen: Sequence[tuple[Place, Leaf]]) -> Iterator[Finding]:
        """Examine the openings of some entries."""
        ids = [place.event_id for place, _ in seen]
        opened = vault.openings(ids)
        shut: dict[UUID, list[tuple[str, str]]] = {}
        for event_id, path, subject in Disclosure.objects.filter(event_id__in=ids).values_list(
            "event_id", "path", "subject_id"
        ):
            if path not in opened.get(event_id, {}):
                shut.setdefault(event_id, []).append((path, subject))
        refs = {str(inner(leaf, "actor").get("ref")) for _, leaf in seen}
        known = refs | {subject for each in shut.values() for _, subject in each}
        held = set(SubjectKey.objects.filter(pk__in=known).values_list("pk", flat=True))
        for place, leaf in seen:
            self.count += len(opened.get(place.event_id, {}))
            changed = shut.get(place.event_id, [])
            for path, subject in sorted(changed):
                yield self._shut(place, path, has_key=subject in held)
            expected = not changed and str(inner(leaf, "actor").get("ref")) in held
            yield from self._entry(place, leaf, opened.get(place.event_id, {}), expected=expected)

    def _shut(self, place: Place, path: str, *, has_key: bool) -> Finding:
        """An opening that is there and opens nothing."""
        if has_key:
            return self._broken("opening-changed", f"{told(place)}: the opening “{path}” was changed or moved.")
        sentence = f"{told(place)}: the opening “{path}” is there without its person's key."
        return Finding(Severity.OPEN, self.area, "opening-without-key", sentence, "Let the erasure finish.")

    def _entry(self, place: Place, leaf: Leaf, texts: dict[str, str], *, expected: bool) -> Iterator[Finding]:
        """The openings of one entry against its digests; ``expected`` is whether each of the actor's should be there.

        What the change says in private may concern somebody else, who was erased: its entry does not tell.
        """
        committed = {where: _digests(leaf, where) for where in ("", "actor/", "request/", _CHANGE)}
        for path, text in sorted(texts.items()):
            where, name = path[: path.rfind("/") + 1], path[path.rfind("/") + 1 :]
            if disclosure.digest(text) not in committed.get(where, set()) or _name(text) != name:
                yield self._broken("opening-differs", f"{told(place)}: the opening “{path}” is not what was signed.")
        own = [path for path in texts if not path.startswith(_CHANGE)]
        missing = sum(len(digests) for where, digests in committed.items() if where != _CHANGE) - len(own)
        if expected and missing > 0:
            sentence = f"{told(place)} has {missing} values whose opening is gone, and nobody was erased."
            yield Finding(Severity.OPEN, self.area, "opening-missing", sentence, TAMPERED)

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
