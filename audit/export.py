"""Exports of the trail: which leaves, which proofs, which openings go into a bundle (``audit/bundle.py`` writes it).

A whole log is exported with everything that proves nothing is missing; a filtered one proves only that each entry is in
the log, and its manifest says so. Only what is signed is exported.
"""

from dataclasses import dataclass
from typing import Any, BinaryIO

from audit import bundle, door, merkle, sequencer, vault
from audit.actors import Actor
from audit.clock import now, rfc3339
from audit.errors import Unavailable
from audit.events import Action
from audit.models import Event, Leaf
from audit.pseudonyms import actor_ref
from audit.queries import Filter, matching, state
from audit.subjects import TRAIL


@dataclass(frozen=True)
class Exported:
    """What was written: entries in it, size of the signed log, SHA-256 of the ZIP."""

    entries: int
    size: int
    digest: str


def export(*, by: Actor, chosen: Filter, out: BinaryIO) -> Exported:
    """Write the bundle for ``chosen`` to ``out`` and record it, with the bundle's digest.

    Raises Invalid for a filter no entry can match, Unavailable while nothing of the log is signed yet.
    """
    with door.open(by, Action.TRAIL_EXPORT, on=TRAIL) as entry:
        chosen.check()
        head = state(chosen.log)
        if head.signed_size == 0:
            raise Unavailable("Nothing of this log is signed yet; try again in a moment.", code="nothing_signed")
        places = _places(chosen, head.signed_size)
        events = {event.id: event for event in Event.objects.filter(id__in=[event_id for _, event_id in places])}
        leaves = [bytes(events[event_id].leaf_data) for _, event_id in places]
        digest = bundle.write_bundle(
            out,
            log=chosen.log,
            origin=sequencer.origin(chosen.log),
            start=0,
            leaves=leaves,
            size=head.signed_size,
            checkpoint_note=head.note,
            verifier_keys=head.verifiers,
            disclosures=_disclosures(list(events)),
            query=_described(chosen),
            exporter=actor_ref(by),
            made_at=rfc3339(now()),
            **_proofs(chosen, head.signed_size, [index for index, _ in places]),
        )
        entry.record(
            after={"log": chosen.log, "entries": len(leaves), "size": head.signed_size, "sha256": digest},
            private={"query": str(_described(chosen))},
        )
        return Exported(entries=len(leaves), size=head.signed_size, digest=digest)


def _places(chosen: Filter, size: int) -> list[tuple[int, Any]]:
    rows = Leaf.objects.filter(log=chosen.log, seq__lt=size).order_by("seq")
    if not chosen.is_whole_log():
        rows = rows.filter(event_id__in=matching(chosen).values("id"))
    return list(rows.values_list("seq", "event_id"))


def _proofs(chosen: Filter, size: int, indices: list[int]) -> dict[str, Any]:
    if chosen.is_whole_log():
        return {"left": [], "right": [], "completeness": "range"}
    hashes = Leaf.objects.filter(log=chosen.log, seq__lt=size).order_by("seq").values_list("leaf_hash", flat=True)
    tree = merkle.MemoryTree([bytes(value) for value in hashes])
    return {
        "left": [],
        "right": [],
        "completeness": "inclusion",
        "indices": indices,
        "proofs": [merkle.inclusion_proof(index, size, tree.node) for index in indices],
    }


def _disclosures(event_ids: list[Any]) -> list[dict[str, str]]:
    opened = vault.openings(event_ids)
    return [
        {"event_id": str(event_id), "path": path, "disclosure": text}
        for event_id, texts in sorted(opened.items())
        for path, text in sorted(texts.items())
    ]


def _described(chosen: Filter) -> dict[str, str]:
    """The query as the manifest states it."""
    fields = {name: value for name, value in vars(chosen).items() if value}
    return {name: value if isinstance(value, str) else rfc3339(value) for name, value in fields.items()}
