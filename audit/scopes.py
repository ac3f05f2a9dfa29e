"""Which entries an export holds, and what it can prove of them: a range of indices, one object, or a choice.

The places of a choice are written to a file first, in order of index: a choice may be as large as the log.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from django.db.models import Max, Min

from audit import bundle_words, leaves
from audit.bundle import Completeness, Scope
from audit.models import Event, Leaf
from audit.queries import Filter, matching
from audit.step import EVENT, HASH, STEP, Step
from audit.stream import Source

_PLACE: Final = struct.Struct(f">Q{HASH}s{EVENT}s")  # index, leaf hash, event id
_CHUNK: Final = 5_000


@dataclass(frozen=True)
class Found:
    """``total`` entries; ``steps`` reads them, without the first ``done``."""

    scope: Scope
    total: int
    steps: Callable[[Source, int], Iterator[Step]]


def completeness_of(chosen: Filter) -> Completeness:
    """What can be proven of all that ``chosen`` finds. A field that is not named here leaves inclusion only."""
    asked = {each.name for each in fields(chosen) if getattr(chosen, each.name) and each.name != "log"}
    if asked <= {"since", "until"}:
        return "range"
    return "object" if asked == {"object_type", "object_id"} and chosen.log == "admin" else "inclusion"


def has_more_than(most: int, chosen: Filter, size: int) -> bool:
    """Whether an export of the first ``size`` entries would hold more than ``most``; counts no further than that."""
    if chosen.is_whole_log():
        return size - leaves.minimum_index(chosen.log) > most
    return matching(chosen).values("id")[: most + 1].count() > most


def resolved(chosen: Filter, size: int, folder: Path) -> Found:
    """The entries of ``chosen`` among the first ``size``."""
    completeness = completeness_of(chosen)
    bounds = _bounds(chosen, size) if completeness == "range" else None
    if bounds is None:
        return _choice(chosen, size, "inclusion" if completeness == "range" else completeness, folder)
    start, end = bounds
    minimum = leaves.minimum_index(chosen.log)
    remarks = [] if chosen.is_whole_log() else [bundle_words.OF_PERIOD]
    if start < minimum:
        start = min(minimum, end)
        remarks.append(bundle_words.FROM_MINIMUM.format(minimum=minimum))
    scope = Scope("range", start, end, remarks=remarks)
    return Found(scope, end - start, lambda source, done: source.between(start + done, end))


def _bounds(chosen: Filter, size: int) -> tuple[int, int] | None:
    """The smallest range of indices with every entry of a period; None when there is no entry."""
    if chosen.is_whole_log():
        return 0, size
    rows = Leaf.objects.filter(log=chosen.log, seq__lt=size, event_id__in=matching(chosen).values("id"))
    found = rows.aggregate(first=Min("seq"), last=Max("seq"))
    return None if found["first"] is None else (found["first"], found["last"] + 1)


def _choice(chosen: Filter, size: int, completeness: Completeness, folder: Path) -> Found:
    places = folder / "places"
    if not places.exists():
        _write_places(places, chosen, size)
    total = places.stat().st_size // _PLACE.size
    remarks = [] if total else [bundle_words.NOTHING_FOUND]
    subject = None
    if completeness == "object":
        subject = (chosen.object_type, chosen.object_id)
        remarks += _dropped(chosen, places)
    return Found(
        Scope(completeness, subject=subject, remarks=remarks),
        total,
        lambda source, done: source.chosen(_read_places(places, done)),
    )


def _write_places(path: Path, chosen: Filter, size: int) -> None:
    """The file is there only when it is whole."""
    rows = Leaf.objects.filter(log=chosen.log, seq__lt=size, event_id__in=matching(chosen).values("id"))
    found = rows.order_by("seq").values_list("seq", "leaf_hash", "event_id")
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        for index, leaf_hash, event in found.iterator(_CHUNK):
            file.write(_PLACE.pack(index, bytes(leaf_hash), event.bytes))
    temporary.replace(path)


def _read_places(path: Path, done: int) -> Iterator[Step]:
    with path.open("rb") as file:
        file.seek(done * _PLACE.size)
        while block := file.read(STEP * _PLACE.size):
            indices, hashes, events = zip(*_PLACE.iter_unpack(block), strict=True)
            yield Step(indices, b"".join(hashes), b"".join(events), b"")


def _dropped(chosen: Filter, places: Path) -> list[str]:
    """A remark when the object's first entries are not held any more."""
    with places.open("rb") as file:
        block = file.read(_PLACE.size)
    if not block:
        return []
    first = Event.objects.filter(
        log="admin", object_type=chosen.object_type, object_id=chosen.object_id, leaf_hash=_PLACE.unpack(block)[1]
    ).first()
    number = first.object_n if first else None
    return [bundle_words.FIRST_DROPPED.format(missing=number - 1, first=number)] if number and number > 1 else []
