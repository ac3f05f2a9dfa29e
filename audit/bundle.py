"""The export bundle, format 2: a ZIP that an auditor can verify with nothing but the `verify.py` inside it.

Pure: takes entries in steps, proofs, openings and facts, and writes files. Choosing entries, deciding what an exporter
may see and recording the export belong elsewhere. The same arguments give the same bytes (for one version of isal).
What grows with the entries is spooled piece by piece (``audit/spool.py``), so a bundle needs the same memory whatever
its size, and an interrupted one goes on behind its last whole piece.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Literal, NotRequired, Self, TypedDict

from audit import archive, bundle_words
from audit.merkle import leaf_hash
from audit.spool import Spool
from audit.step import HASH, STEP, Step
from audit.views import FILES, Views

FORMAT: Final = "plimsoll-audit-export/2"
PIECE: Final = 8 * STEP  # entries between two places from which an interrupted export can go on, at most
PIECE_BYTES: Final = 8 * 1024 * 1024
UNWITNESSED: Final = "UNWITNESSED"
_MAX_LEAF_BYTES = 65_535

Completeness = Literal["range", "object", "inclusion"]
Opening = tuple[str, str, str]  # event id, path, disclosure
Proof = Sequence[bytes]


class VerifierKey(TypedDict):
    """A verifier key and the tree sizes it signed; `to_size` is None while it is in use."""

    key: str
    from_size: int
    to_size: int | None


class Confirmation(TypedDict):
    """What an anchor outside confirmed; `root` in hex."""

    anchor: str
    kind: str
    size: int
    root: str
    at: str
    receipt: str


@dataclass(frozen=True)
class Previous:
    """The checkpoint that an auditor took away earlier, and the proof that the log only grew since."""

    size: int
    note: str
    proof: Proof


@dataclass(frozen=True)
class Scope:
    """Which entries are in it. `start` and `end` bound a "range", `subject` is the (type, id) of an "object", and
    `remarks` are further sentences for the manifest.
    """

    completeness: Completeness
    start: int = 0
    end: int = 0
    left: Proof = ()
    right: Proof = ()
    subject: tuple[str, str] | None = None
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class Facts:
    """What is said of the log and of the export. `note` is the checkpoint with its cosignature lines."""

    log: str
    origin: str
    size: int
    note: str
    keys: Sequence[VerifierKey]
    query: Mapping[str, object]
    exporter: str
    made_at: str
    version: str = ""
    witnesses: Sequence[str] = ()
    confirmations: Sequence[Confirmation] = ()
    minimum_index: int = 0
    previous: Previous | None = None


class Mark(TypedDict):
    """How far the spool is: entries done, lines of events and of openings in it, first and last index."""

    done: int
    lines: int
    disclosures: int
    first: NotRequired[int]
    last: NotRequired[int]


class Writer:
    """Writes one bundle into `folder`. `of` names what it is made of; a folder begun for something else starts anew.

    `done` entries are there already when an interrupted bundle is taken up again: add those behind them.
    """

    def __init__(self, folder: Path, views: Views, *, has_proofs: bool, of: str) -> None:
        self._views = views
        proofs = ["proofs.ndjson"] if has_proofs else []
        names = ["disclosures.ndjson", "events.ndjson", "leaf-hashes", *proofs, *views.files()]
        self._spool = Spool(folder, names, of=of)
        self._mark: Mark = {"done": 0, "lines": 0, "disclosures": 0, **self._spool.mark}  # type: ignore[typeddict-item]
        self._piece: dict[str, list[bytes]] = {name: [] for name in names}
        self._held = self._bytes = 0
        if not self._spool.mark:
            for name, line in views.opening().items():
                self._piece[name].append(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._spool.__exit__(kind, error, at)

    @property
    def done(self) -> int:
        return self._mark["done"]

    def add(self, step: Step, proofs: Sequence[Proof] | None = None, openings: Iterable[Opening] = ()) -> bool:
        """Add some entries; whether a piece was completed with them."""
        parts = {
            "events.ndjson": step.lines,
            "leaf-hashes": step.hashes.hex("\n", HASH).encode() + b"\n",
            **self._views.of(step),
        }
        if proofs is not None:
            pairs = zip(step.indices, proofs, strict=True)
            parts["proofs.ndjson"] = b"".join(_line({"index": at, "hashes": _hex(proof)}) for at, proof in pairs)
        opened = [_line({"event_id": event, "path": path, "disclosure": text}) for event, path, text in openings]
        parts["disclosures.ndjson"] = b"".join(opened)
        for name, part in parts.items():
            self._piece[name].append(part)
        self._mark = {
            "done": self.done + len(step.indices),
            "lines": self._mark["lines"] + len(step.indices) - len(step.gone),
            "disclosures": self._mark["disclosures"] + len(opened),
            "first": self._mark.get("first", step.indices[0]),
            "last": step.indices[-1],
        }
        self._held += len(step.indices)
        self._bytes += len(step.lines)
        if self._held < PIECE and self._bytes < PIECE_BYTES:
            return False
        self._flush()
        return True

    def _flush(self) -> None:
        self._spool.append(self._piece, dict(self._mark))
        self._piece = {name: [] for name in self._piece}
        self._held = self._bytes = 0

    def finish(self, out: BinaryIO, scope: Scope, facts: Facts) -> tuple[str, int]:
        """Write the ZIP to `out`; its SHA-256 in hex, and its length."""
        self._flush()
        members = [*self._spool.members(), *(archive.whole(*each) for each in _documents(scope, facts, self._mark))]
        return archive.write(out, sorted(members, key=lambda member: member.stored.name))


def _documents(scope: Scope, facts: Facts, mark: Mark) -> Iterator[tuple[str, bytes]]:
    """The members that do not grow with the entries."""
    yield "README.txt", bundle_words.README.encode()
    yield "anchors.json", _document(list(facts.confirmations))
    yield "checkpoint", facts.note.encode()
    yield "manifest.json", _document(_manifest(scope, facts, mark))
    trust = {"origin": facts.origin, "keys": list(facts.keys), "witnesses": list(facts.witnesses)}
    yield "trust.json", _document(trust)
    yield "verify.py", Path(__file__).with_name("verify.py").read_bytes()
    if scope.completeness == "range":
        sides = {"left": _hex(scope.left), "right": _hex(scope.right)}
        yield "range-proof", _document({"start": scope.start, "end": scope.end, "size": facts.size, **sides})
    if facts.previous is not None:
        yield "checkpoint.prev", facts.previous.note.encode()
        told = {"from": facts.previous.size, "to": facts.size, "hashes": _hex(facts.previous.proof)}
        yield "consistency", _document(told)


def _manifest(scope: Scope, facts: Facts, mark: Mark) -> dict[str, object]:
    names = sorted({each["anchor"] for each in facts.confirmations})
    return {
        "authoritative": bundle_words.AUTHORITATIVE,
        "format": FORMAT,
        "log": facts.log,
        "origin": facts.origin,
        "size": facts.size,
        "entries": mark["done"],
        "first_index": mark.get("first"),
        "last_index": mark.get("last"),
        "minimum_index": facts.minimum_index,
        "completeness": scope.completeness,
        "completeness_statement": " ".join([bundle_words.STATEMENTS[scope.completeness], *scope.remarks]),
        "object": {"type": scope.subject[0], "id": scope.subject[1]} if scope.subject else None,
        "disclosures": mark["disclosures"],
        "witnessed": names or UNWITNESSED,
        "confirmed": [{name: each[name] for name in ("anchor", "kind", "size")} for each in facts.confirmations],
        "query": dict(facts.query),
        "exporter": facts.exporter,
        "made_at": facts.made_at,
        "tool_version": facts.version,
    }


# -- a bundle at once --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Given:
    """Leaves and what proves them, checked to belong together."""

    scope: Scope
    indices: Sequence[int]
    proofs: Sequence[Proof] | None = field(default=None)


def write_bundle(
    out: BinaryIO,
    *,
    log: str,
    origin: str,
    start: int,
    leaves: Sequence[bytes],
    size: int,
    left: Proof,
    right: Proof,
    checkpoint_note: str,
    verifier_keys: Sequence[VerifierKey],
    disclosures: Iterable[Mapping[str, str]],
    query: Mapping[str, object],
    exporter: str,
    made_at: str,
    completeness: Completeness,
    indices: Sequence[int] | None = None,
    proofs: Sequence[Proof] | None = None,
    subject: tuple[str, str] | None = None,
    views: Iterable[str] = tuple(FILES),
    **more: object,
) -> str:
    """Write the bundle of some leaves to `out` and return the SHA-256 of the ZIP in hex.

    "range": `leaves` are entries [start, start + len(leaves)) and `left`, `right` their range proof. Otherwise they are
    chosen entries at rising `indices`, each with its inclusion proof in `proofs`, and `start`, `left` and `right` are
    ignored. `more` are further fields of `Facts`.
    Nothing is verified here: a damaged log must be exportable too, so that the verifier can show the damage.
    Raises ValueError when the arguments do not belong together or a leaf cannot be one line.
    """
    if completeness == "range":
        given = _range(start, leaves, size, left, right)
    else:
        given = _chosen(completeness, leaves, indices, proofs, subject)
    if any(not leaf or b"\n" in leaf or len(leaf) > _MAX_LEAF_BYTES for leaf in leaves):
        raise ValueError("A leaf must be one line of 1 to 65,535 bytes.")
    facts = Facts(
        log, origin, size, checkpoint_note, verifier_keys, query, exporter, made_at, **more  # type: ignore[arg-type]
    )  # fmt: skip
    opened = [(each["event_id"], each["path"], each["disclosure"]) for each in disclosures]
    seen = Views(log, origin, views, facts.version)
    with (
        tempfile.TemporaryDirectory(prefix="plimsoll-export-") as folder,
        Writer(Path(folder), seen, has_proofs=given.proofs is not None, of="") as writer,
    ):
        for at in range(0, len(leaves), STEP):
            some = leaves[at : at + STEP]
            lines = b"".join(leaf + b"\n" for leaf in some)
            step = Step(given.indices[at : at + STEP], b"".join(map(leaf_hash, some)), b"", lines)
            writer.add(step, given.proofs and given.proofs[at : at + STEP], opened if at == 0 else ())
        return writer.finish(out, given.scope, facts)[0]


def _range(start: int, leaves: Sequence[bytes], size: int, left: Proof, right: Proof) -> _Given:
    end = start + len(leaves)
    if not 0 <= start <= end <= size:
        raise ValueError(f"{len(leaves)} entries from {start} on do not fit into a log of {size}.")
    return _Given(Scope("range", start, end, left, right), range(start, end))


def _chosen(
    completeness: Completeness,
    leaves: Sequence[bytes],
    indices: Sequence[int] | None,
    proofs: Sequence[Proof] | None,
    subject: tuple[str, str] | None,
) -> _Given:
    if indices is None or proofs is None or not len(leaves) == len(indices) == len(proofs):
        raise ValueError("A filtered export needs one index and one inclusion proof for each entry.")
    if any(later <= earlier for earlier, later in pairwise(indices)):
        raise ValueError("The indices of a filtered export must rise.")
    return _Given(Scope(completeness, subject=subject), indices, proofs)


def _hex(hashes: Proof) -> list[str]:
    return [each.hex() for each in hashes]


def _line(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _document(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"
