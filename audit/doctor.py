"""Is the trail intact, and would anybody see it if it were not: everything that can be told from inside, in one run.

What each part looks at is in ``audit/examination`` and ``audit/protection.py``; here is the order, the one snapshot of
the database that all parts see, and the sums. Reads only, as any role that may read the trail.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from django.db import connection, transaction

from audit import anchors, keys, leaves, merkle, protection, rotation, ticks
from audit.clock import now, rfc3339
from audit.events import LOGS
from audit.examination import announced, queue
from audit.examination.announced import Announcements
from audit.examination.entries import chunks
from audit.examination.entry import Entries
from audit.examination.objects import Chains
from audit.examination.openings import Openings
from audit.examination.outside import Outside
from audit.examination.signatures import Signatures
from audit.examination.tree import Claim, GrowingTree
from audit.findings import TAMPERED, Finding, Findings, Severity, exit_code
from audit.merkle import MerkleError
from audit.models import Leaf, Tree

TAIL: Final = 1_000  # entries that a quick look reads, at least
Progress = Callable[[str, int, int], None]  # log, entries read, entries there


@dataclass(frozen=True)
class Area:
    """One part of the examination: what was looked at, in words."""

    name: str
    seen: str


@dataclass
class Report:
    """What was looked at, and what was found."""

    areas: list[Area] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)

    @property
    def exit_code(self) -> int:
        """0 sound, 1 tampered or unprotected, 2 incomplete, late or not witnessed."""
        return exit_code(self.findings.all())


def alarms() -> list[str]:
    """What pages must say aloud: the protection is not what it should be, or events were set aside. About 20 queries
    of the catalogue; the caller keeps the answer for a while. Raises ``django.db.Error``.
    """
    found = Findings()
    found.extend(protection.examine())
    found.extend(queue.quarantined())
    return [each.sentence for each in found.all() if each.severity is Severity.BROKEN]


def examine(logs: Sequence[str] = LOGS, *, quick: bool = False, progress: Progress | None = None) -> Report:
    """Look at everything, or with ``quick`` at the protection and the newest entries only.

    Raises ``django.db.Error`` when the database cannot be read.
    """
    report = Report()
    found = report.findings
    found.extend(protection.examine())
    report.areas.append(Area(protection.AREA, "triggers, functions, rights, roles and keys of the trail's tables"))
    if any(each.code in ("not-migrated", "table-missing") for each in found.told):
        return report
    outside = {log: Outside(log) for log in logs}
    for each in outside.values():
        found.extend(each.ask())
    with _snapshot():
        _queue(report, quick=quick)
        announcements = Announcements()
        for log in logs:
            _log(report, log, outside[log].claims, announcements, quick=quick, progress=progress)
            report.areas.append(Area(outside[log].area, f"{outside[log].heard} marks and anchors outside were asked"))
        if "admin" in logs and not quick:
            _objects(report, announcements)
    return report


@contextmanager
def _snapshot() -> Iterator[None]:
    """All parts see the database at one instant, and none can change it."""
    connection.ensure_connection()
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _queue(report: Report, *, quick: bool) -> None:
    report.findings.extend(queue.quarantined())
    report.findings.extend(queue.waiting())
    if not quick:
        report.findings.extend(queue.lost())
    looked = "events set aside or waiting" if quick else "events set aside, waiting, lost on the way or there twice"
    report.areas.append(Area(queue.AREA, looked))


def _log(
    report: Report,
    log: str,
    claims: Sequence[Claim],
    announcements: Announcements,
    *,
    quick: bool,
    progress: Progress | None,
) -> None:
    """One log from its first entry (or its tail) to its last."""
    found = report.findings
    start, frontier = _tail(log) if quick else (0, [])
    entries = Entries(log, _secret(report, "writer", log), leaves.minimum_index(log))
    openings = Openings(log) if _secret(report, "wrapping", log) is not None else None
    tree = GrowingTree(log, claims, _signatures(log), start, frontier)
    read, total = 0, _count(log) - start
    for chunk in chunks(log, start):
        try:
            found.extend(tree.take(chunk))
        except MerkleError as error:
            found.add(Finding(Severity.BROKEN, tree.area, "tree-unreadable", str(error), TAMPERED))
            tree.broken_at = tree.size
        seen = []
        for place in chunk:
            leaf, wrong = entries.look(place)
            found.extend(wrong)
            if leaf is not None:
                seen.append((place, leaf))
                announcements.look(leaf)
        if openings is not None:
            found.extend(openings.look(seen))
        read += len(chunk)
        if progress is not None:
            progress(log, read, total)
    found.extend(entries.finish())
    found.extend(tree.finish())
    found.extend(_ticking(log))
    which = "the newest " if quick else ""
    report.areas.append(Area(entries.area, f"{which}{read:,} entries: bytes, copies, writers and times"))
    report.areas.append(
        Area(tree.area, f"{tree.trees:,} sizes and {tree.checkpoints:,} checkpoints{'' if quick else ', tiles'}")
    )
    if openings is not None:
        report.areas.append(Area(openings.area, f"{openings.count:,} openings"))
        if not quick:
            found.extend(openings.strays())


def _objects(report: Report, announcements: Announcements) -> None:
    pruned = leaves.minimum_index("admin") > 0
    chains = Chains(pruned=pruned)
    report.findings.extend(chains.examine())
    report.areas.append(Area("admin/objects", f"{chains.count:,} objects, each with its chain"))
    report.findings.extend(announced.minimums())
    if pruned:
        sentence = "Announcements of keys may be among the entries that retention dropped; keys were not compared."
        report.findings.add(Finding(Severity.NOTE, announced.AREA, "keys-not-compared", sentence))
    else:
        report.findings.extend(announcements.keys())
    report.areas.append(Area(announced.AREA, "keys and drops against the entries that announce them"))


def _signatures(log: str) -> Signatures:
    witnesses = [each.verifier for each in anchors.configured() if each.verifier and log in each.logs]
    return Signatures(log, rotation.ranges(log), witnesses)


def _tail(log: str) -> tuple[int, list[bytes]]:
    """Where a quick look begins: at the nearest stored tree that leaves at least ``TAIL`` entries."""
    tree = Tree.objects.filter(log=log, size__lte=max(0, _count(log) - TAIL)).order_by("-size").first()
    if tree is None:
        return 0, []
    frontier = [bytes(part) for part in tree.frontier]
    try:
        merkle.root_of(frontier, tree.size)
    except MerkleError:
        return 0, []
    return tree.size, frontier


def _count(log: str) -> int:
    newest = Leaf.objects.filter(log=log).order_by("-seq").values_list("seq", flat=True).first()
    return 0 if newest is None else newest + 1


def _secret(report: Report, name: str, log: str) -> bytes | None:
    """A key that lies outside the database, if this account can read it. It is never made here."""
    try:
        if (keys.folder() / f"{name}.key").exists():
            return keys.secret(name)
    except (OSError, ValueError):
        pass
    sentence = f"The key {name}.key cannot be read from here: what it protects was not examined."
    advice = "Run the doctor under the account of the service, with its PLIMSOLL_KEYS."
    report.findings.add(Finding(Severity.OPEN, f"{log}/entries", "cannot-see", sentence, advice))
    return None


def _ticking(log: str) -> Iterator[Finding]:
    last = ticks.last(log)
    if last is not None and now() - last > 2 * ticks.EVERY:
        sentence = f"The last tick of the log {log} is of {rfc3339(last)}; there should be one every hour."
        yield Finding(Severity.OPEN, f"{log}/entries", "tick-late", sentence, "See that the sequencer runs.")
