"""Exports of the trail: which entries, which proofs, which openings go into a bundle (``audit/bundle.py`` writes it).

A contiguous range is exported with everything that proves nothing is missing, one object's entries with what proves
that none of them is; what any other filter finds is only proven to be in the log, and the manifest says so. Only what
is signed is exported. Exports that a worker makes are rows of their own: ``audit/exports.py``.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Final, Self
from uuid import UUID

from django.conf import settings

from audit import bundle_facts, door, leaves, merkle, published, queries, scopes, tiles, vault
from audit.actors import Actor
from audit.bundle import Opening, Scope, Writer
from audit.clock import now, rfc3339
from audit.errors import Conflict, DomainError, Invalid, TooLarge
from audit.events import Action
from audit.pseudonyms import actor_ref
from audit.queries import Filter, Paths
from audit.step import Step
from audit.stream import Source
from audit.subjects import TRAIL
from audit.views import FILES, Views

VIEWS: Final = tuple(FILES)
_INSTANTS: Final = ("since", "until")


@dataclass(frozen=True)
class Asked:
    """What is to be exported. ``previous_size`` is the size of the auditor's last checkpoint, ``paths`` are those of
    the openings that the exporter may see (None: all), and ``disclosures`` whether they want them.
    """

    chosen: Filter = field(default_factory=Filter)
    previous_size: int | None = None
    disclosures: bool = True
    views: tuple[str, ...] = VIEWS
    paths: Paths = None

    def check(self) -> None:
        """Raise Invalid for what cannot be exported, Denied for words that this exporter may not look for."""
        self.chosen.check()
        unknown = sorted(set(self.views) - set(VIEWS))
        if unknown:
            raise Invalid(f"There is no view {unknown[0][:40]!r}; there are {', '.join(VIEWS)}.", code="bad_view")
        if self.chosen.text:
            queries.require_text(self.paths)

    def told(self) -> dict[str, Any]:
        """All of it as JSON; ``restored`` reads it."""
        chosen = {name: value for name, value in vars(self.chosen).items() if value}
        return {
            "chosen": {name: rfc3339(value) if name in _INSTANTS else value for name, value in chosen.items()},
            "previous_size": self.previous_size,
            "disclosures": self.disclosures,
            "views": list(self.views),
            "paths": None if self.paths is None else sorted(self.paths),
        }

    @classmethod
    def restored(cls, told: dict[str, Any]) -> Self:
        """What was ``told``."""
        known = {each.name for each in fields(Filter)}
        chosen: dict[str, Any] = {
            name: queries.instant_of(value) if name in _INSTANTS else value
            for name, value in told["chosen"].items()
            if name in known
        }
        return cls(
            chosen=Filter(**chosen),
            previous_size=told["previous_size"],
            disclosures=told["disclosures"],
            views=tuple(told["views"]),
            paths=None if told["paths"] is None else frozenset(told["paths"]),
        )

    def described(self) -> dict[str, object]:
        """The query as the manifest states it."""
        options: dict[str, object] = {} if self.disclosures else {"disclosures": False}
        if self.previous_size is not None:
            options["previous_size"] = self.previous_size
        if set(self.views) != set(VIEWS):
            options["views"] = sorted(set(self.views))
        return {"log": self.chosen.log, **queries.described(self.chosen), **options}


@dataclass(frozen=True)
class Exported:
    """What was written: entries in it, size of the signed log, SHA-256 and length of the ZIP, what it proves."""

    entries: int
    size: int
    digest: str
    bytes: int
    completeness: str

    def told(self, log: str) -> dict[str, Any]:
        """What the entry about the export says."""
        made = asdict(self)
        return {"log": log, **{name: made[name] for name in ("entries", "size", "completeness")}, "sha256": self.digest}


@contextmanager
def asking(by: Actor) -> Iterator[None]:
    """The permission to export, asked before the work begins; a refusal of any kind is recorded."""
    try:
        door.authorise(by, Action.TRAIL_EXPORT, TRAIL)
        yield
    except DomainError as error:
        door.refuse(by, Action.TRAIL_EXPORT, TRAIL, error)
        raise


def needs_worker(asked: Asked) -> bool:
    """Whether this is too large to be made while somebody waits. Raises what ``export`` raises for the filter."""
    return scopes.has_more_than(settings.PLIMSOLL_EXPORT_INLINE, asked.chosen, signed_size(asked))


def signed_size(asked: Asked) -> int:
    """How many entries of the log are signed now, once it is clear that what is asked can be exported of them."""
    asked.check()
    size = published.newest(asked.chosen.log).size
    if asked.previous_size is not None:
        bundle_facts.previous(asked.chosen.log, asked.previous_size, size)
    return size


def export(*, by: Actor, out: BinaryIO, chosen: Filter | None = None, asked: Asked | None = None) -> Exported:
    """Write the bundle for what is ``asked`` (or just ``chosen``) to ``out`` and record it, with the bundle's digest.

    Raises Invalid for a filter no entry can match, TooLarge for what a worker has to make, Unavailable while nothing of
    the log is signed yet.
    """
    asked = asked or Asked(chosen or Filter())
    log = asked.chosen.log
    with asking(by):
        if needs_worker(asked):
            raise TooLarge(
                f"This export has more than {settings.PLIMSOLL_EXPORT_INLINE:,} entries, so a worker has to make it:"
                " ask for it under trail/exports/.",
                code="export_too_large",
            )
        size = signed_size(asked)
        with tempfile.TemporaryDirectory(prefix="plimsoll-export-") as folder:
            made = build(asked, size, Path(folder), out, exporter=actor_ref(by), made_at=rfc3339(now()))
    with door.open(by, Action.TRAIL_EXPORT, on=TRAIL) as entry:
        entry.record(after=made.told(log), private={"query": str(asked.described())})
    return made


def build(
    asked: Asked,
    size: int,
    folder: Path,
    out: BinaryIO,
    *,
    exporter: str,
    made_at: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Make the bundle of the first ``size`` entries in ``folder`` and write it to ``out``; nothing is recorded.

    ``folder`` may hold an interrupted attempt at the same, which is then completed. ``progress`` is told after each
    piece how many entries are done, and of how many.
    """
    log = asked.chosen.log
    facts = bundle_facts.facts(
        log, size, asked.previous_size, query=asked.described(), exporter=exporter, made_at=made_at
    )
    found = scopes.resolved(asked.chosen, size, folder)
    views = Views(log, facts.origin, asked.views, facts.version)
    is_range = found.scope.completeness == "range"
    of = repr((asked.told(), size, exporter, made_at, found.total))
    with Writer(folder / "spool", views, has_proofs=not is_range, of=of) as writer:
        progress(writer.done, found.total)
        for step in found.steps(Source(log), writer.done):
            if step.gone:
                _check_not_dropped(log, step)
            proofs = None if is_range else _proofs(log, size, step)
            if writer.add(step, proofs, _openings(asked, step) if asked.disclosures else ()):
                progress(writer.done, found.total)
        digest, length = writer.finish(out, _with_proof(found.scope, log, size), facts)
        progress(writer.done, found.total)
        return Exported(writer.done, size, digest, length, found.scope.completeness)


def _with_proof(scope: Scope, log: str, size: int) -> Scope:
    if scope.completeness != "range":
        return scope
    left, right = tiles.ranged(log, scope.start, scope.end, size)
    return Scope("range", scope.start, scope.end, left, right, None, scope.remarks)


def _proofs(log: str, size: int, step: Step) -> list[list[bytes]]:
    """One inclusion proof each. The tiles are read together, and forgotten with the step."""
    return tiles.proved(
        tiles.reader(log, size), lambda node: [merkle.inclusion_proof(index, size, node) for index in step.indices]
    )


def _openings(asked: Asked, step: Step) -> list[Opening]:
    opened = vault.openings(ids := [UUID(bytes=event) for event in step.event_ids()], asked.paths)
    return [(str(event), path, text) for event in ids for path, text in sorted(opened.get(event, {}).items())]


def _check_not_dropped(log: str, step: Step) -> None:
    """An event that is gone is either damage, which the verifier will show, or was dropped since we began."""
    if step.indices[min(step.gone)] < leaves.minimum_index(log):
        raise Conflict(
            "The oldest of these entries were dropped while they were exported, as their time was over: ask again.",
            code="dropped_meanwhile",
        )
