"""The export bundle: one deterministic ZIP that an auditor can verify with nothing but the `verify.py` inside it.

Pure: takes leaves, proof, checkpoint and disclosures, and writes files. Choosing entries, deciding what an exporter may
see and recording the export belong elsewhere. The same arguments give the same bytes (for one version of zlib).
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Literal, TypedDict, cast

from audit.merkle import leaf_hash

FORMAT = "plimsoll-audit-export/1"
COLUMNS = (
    "index", "time", "log", "id", "action", "outcome", "actor_type", "actor_ref",
    "object_type", "object_id", "object_n", "reason_code", "leaf_hash",
)  # fmt: skip

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a ZIP can state; a real one would make equal exports differ
_READABLE = 0o100644 << 16
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_MAX_LEAF_BYTES = 65_535

Completeness = Literal["range", "inclusion"]

_STATEMENTS: dict[Completeness, str] = {
    "range": "Every entry of the range is here: with the hashes in range-proof they rebuild the signed root, so none "
    "can be missing, added, changed or moved.",
    "inclusion": "Each entry here is proven to be in the log. That no other entry matches the query is not proven.",
}

_README = """How to verify this export of the audit trail

    python3 verify.py --key VERIFIER_KEY

Python 3.8 or later is enough; nothing is installed, no network is used. Get the verifier key from the operator by some
way other than this bundle, for instance a signed letter. Without --key the key in trust.json is used, which only shows
that the bundle agrees with itself. Read verify.py before you run it, or use a tool of your own: the formats are
RFC 6962 and RFC 9162 (Merkle tree), C2SP signed-note and tlog-checkpoint, RFC 8785 (JSON) and RFC 9901 (disclosures).

Exit codes: 0 verified, 1 tampered, 2 a required witness or the required whole log is not there, 3 unusable input.
Further options: --require-witness, --require-complete.

events.ndjson       the entries; one line is one leaf, its hash is SHA-256(0x00 || line without the newline)
leaf-hashes         their leaf hashes, so that a changed entry can be named
range-proof         the subtrees left and right of the entries (in a filtered export: proofs.ndjson, one path per entry)
checkpoint          the signed size and root of the log
disclosures.ndjson  personal values the exporter may see; a value that was erased or withheld is only a digest
trust.json          verifier keys and the sizes for which they signed
manifest.json       what was asked, by whom and when; this statement is not signed
events.csv          a table to read; not authoritative and not checked
verify.py           the verifier
"""


class VerifierKey(TypedDict):
    """A verifier key and the tree sizes it signed; `to_size` is None while it is in use."""

    key: str
    from_size: int
    to_size: int | None


class _Sink:
    """Hashes what passes. It cannot seek, so zipfile writes strictly forwards and any stream will do as a target."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.digest = sha256()

    def write(self, block: bytes) -> int:
        self.digest.update(block)
        self._out.write(block)
        return len(block)

    def flush(self) -> None:
        self._out.flush()


@dataclass(frozen=True)
class _Export:
    """Which leaves stand at which index, and what proves them."""

    indices: Sequence[int]
    leaves: Sequence[bytes]
    proof_name: str
    proof: list[str]

    def numbered(self) -> Iterator[tuple[int, bytes]]:
        return zip(self.indices, self.leaves, strict=True)


def write_bundle(
    out: BinaryIO,
    *,
    log: str,
    origin: str,
    start: int,
    leaves: Sequence[bytes],
    size: int,
    left: list[bytes],
    right: list[bytes],
    checkpoint_note: str,
    verifier_keys: Sequence[VerifierKey],
    disclosures: Iterable[Mapping[str, str]],
    query: Mapping[str, object],
    exporter: str,
    made_at: str,
    completeness: Completeness,
    indices: Sequence[int] | None = None,
    proofs: Sequence[Sequence[bytes]] | None = None,
) -> str:
    """Write the bundle to `out` and return the SHA-256 of the ZIP in hex.

    "range": `leaves` are entries [start, start + len(leaves)) and `left`, `right` their range proof.
    "inclusion": `leaves` are chosen entries at rising `indices`, each with its inclusion proof in `proofs`; `start`,
    `left` and `right` are ignored.
    Nothing is verified here: a damaged log must be exportable too, so that the verifier can show the damage.
    Raises ValueError when the arguments do not belong together or a leaf cannot be one line.
    """
    if completeness == "range":
        export = _range_export(start, leaves, size, left, right)
    else:
        export = _inclusion_export(leaves, indices, proofs)
    opened = [_json({name: str(value) for name, value in each.items()}) for each in disclosures]
    manifest = {
        "authoritative": "events.ndjson with checkpoint and proof; events.csv is only a view and is not checked",
        "format": FORMAT,
        "log": log,
        "origin": origin,
        "size": size,
        "entries": len(leaves),
        "first_index": export.indices[0] if export.indices else None,
        "last_index": export.indices[-1] if export.indices else None,
        "completeness": completeness,
        "completeness_statement": _STATEMENTS[completeness],
        "disclosures": len(opened),
        "query": dict(query),
        "exporter": exporter,
        "made_at": made_at,
    }
    files: dict[str, Iterable[str | bytes]] = {
        "README.txt": [_README],
        "checkpoint": [checkpoint_note],
        "disclosures.ndjson": (line + "\n" for line in opened),
        "events.csv": _csv_rows(export),
        "events.ndjson": _event_lines(leaves),
        "leaf-hashes": (leaf_hash(leaf).hex() + "\n" for leaf in leaves),
        "manifest.json": [json.dumps(manifest, indent=1, ensure_ascii=False), "\n"],
        export.proof_name: export.proof,
        "trust.json": [json.dumps({"origin": origin, "keys": list(verifier_keys)}, indent=1), "\n"],
        "verify.py": [Path(__file__).with_name("verify.py").read_bytes()],
    }
    return _write_zip(out, files)


def _range_export(
    start: int, leaves: Sequence[bytes], size: int, left: Sequence[bytes], right: Sequence[bytes]
) -> _Export:
    end = start + len(leaves)
    if not 0 <= start <= end <= size:
        raise ValueError(f"{len(leaves)} entries from {start} on do not fit into a log of {size}.")
    proof = {"start": start, "end": end, "size": size, "left": _hex(left), "right": _hex(right)}
    return _Export(range(start, end), leaves, "range-proof", [json.dumps(proof, indent=1), "\n"])


def _inclusion_export(
    leaves: Sequence[bytes], indices: Sequence[int] | None, proofs: Sequence[Sequence[bytes]] | None
) -> _Export:
    if indices is None or proofs is None or not len(leaves) == len(indices) == len(proofs):
        raise ValueError("A filtered export needs one index and one inclusion proof for each entry.")
    if any(later <= earlier for earlier, later in pairwise(indices)):
        raise ValueError("The indices of a filtered export must rise.")
    numbered = zip(indices, proofs, strict=True)
    lines = [_json({"index": index, "hashes": _hex(proof)}) + "\n" for index, proof in numbered]
    return _Export(indices, leaves, "proofs.ndjson", lines)


def _event_lines(leaves: Sequence[bytes]) -> Iterator[bytes]:
    for leaf in leaves:
        if not leaf or b"\n" in leaf or len(leaf) > _MAX_LEAF_BYTES:
            raise ValueError("A leaf must be one line of 1 to 65,535 bytes.")
        yield leaf + b"\n"


def _csv_rows(export: _Export) -> Iterator[str]:
    row = io.StringIO()
    writer = csv.writer(row)
    writer.writerow(COLUMNS)
    for index, leaf in export.numbered():
        yield _drained(row)
        writer.writerow([_cell(value) for value in _columns(index, leaf)])
    yield _drained(row)


def _drained(row: io.StringIO) -> str:
    text = row.getvalue()
    row.seek(0)
    row.truncate()
    return text


def _columns(index: int, leaf: bytes) -> list[object]:
    try:
        event = _mapping(json.loads(leaf))
    except (ValueError, RecursionError):
        event = {}  # a damaged leaf still gets its row
    actor, subject = _mapping(event.get("actor")), _mapping(event.get("object"))
    return [
        index,
        *(event.get(name) for name in ("time", "log", "id", "action", "outcome")),
        *(actor.get(name) for name in ("type", "ref")),
        *(subject.get(name) for name in ("type", "id", "n")),
        event.get("reason_code"),
        leaf_hash(leaf).hex(),
    ]


def _mapping(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _cell(value: object) -> str:
    """Spreadsheets run a cell that looks like a formula; a leading apostrophe makes it text."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


def _write_zip(out: BinaryIO, files: Mapping[str, Iterable[str | bytes]]) -> str:
    sink = _Sink(out)
    with zipfile.ZipFile(cast("BinaryIO", sink), "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it was written
            entry.external_attr = _READABLE
            # Sizes are not known beforehand, and without room for 64-bit ones a file beyond 2 GiB would fail half-way.
            with archive.open(entry, "w", force_zip64=True) as file:
                for block in files[name]:
                    file.write(block.encode() if isinstance(block, str) else block)
    return sink.digest.hexdigest()


def _hex(hashes: Sequence[bytes]) -> list[str]:
    return [each.hex() for each in hashes]


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
