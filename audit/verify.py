#!/usr/bin/env python3
"""Verify an export of the audit trail, offline: python3 verify.py [BUNDLE] [--key VERIFIER_KEY] [--require-witness]

One file for plain Python 3.8 or later with nothing installed, meant to be read before it is run. It imports nothing of
the service it checks and writes nothing. BUNDLE is the ZIP or the unpacked folder; without it, this file's own folder.

Checked: the checkpoint is signed; the entries rebuild the root it signs (in a filtered export, each is proven to be in
it); the events of each object follow one another without a hole; every disclosed value is committed to in its entry.
Not checked: events.csv and README.txt, which are views; what manifest.json says of query, exporter and date; whether an
event was recorded at all. A key taken from the bundle only proves that the bundle agrees with itself: use --key.

Exit codes: 0 verified, 1 tampered, 2 a required witness or the required whole log is not there, 3 unusable input
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import sys
import time
import zipfile
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any, NamedTuple  # Any: JSON as read; whatever is wrong with it ends in exit code 3

NEEDED = ("manifest.json", "checkpoint", "trust.json", "events.ndjson", "leaf-hashes")
OPTIONAL = ("range-proof", "proofs.ndjson", "disclosures.ndjson")
LOG_KEY, WITNESS_KEY = 1, 4  # type bytes of verifier keys: a log's signature, a witness's cosignature

# -- Ed25519 verification (RFC 8032 §5.1.7), points as (X, Y, Z, T) ----------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)


def decode_point(encoded: bytes) -> tuple[int, ...] | None:
    y, sign = int.from_bytes(encoded, "little") & ((1 << 255) - 1), encoded[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_MINUS_1 % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None  # not the canonical encoding of a point on the curve
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def add(p: Sequence[int], q: Sequence[int]) -> tuple[int, ...]:
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Sequence[int]) -> Sequence[int]:
    total: Sequence[int] = (0, 1, 1, 0)
    while scalar:
        total = add(total, point) if scalar & 1 else total
        point, scalar = add(point, point), scalar >> 1
    return total


BASE = decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def ed25519_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = decode_point(public), decode_point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or BASE is None or s >= L:
        return False
    k = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = multiply(s, BASE), add(r, multiply(k, a))
    return not ((left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P)


# -- Merkle tree (RFC 9162 §2.1) ---------------------------------------------------------------------------------------


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def subtree_levels(start: int, end: int) -> Iterator[int]:
    """Levels of the fewest perfect subtrees that cover entries [start, end), left to right."""
    while start < end:
        level = (end - start).bit_length() - 1
        level = min(level, (start & -start).bit_length() - 1) if start else level
        yield level
        start += 1 << level


def range_root(start: int, size: int, leaves: Sequence[bytes], left: list[bytes], right: list[bytes]) -> bytes | None:
    """The root that these leaves and the subtrees beside them make; None when their numbers do not fit."""
    before, after = list(subtree_levels(0, start)), list(subtree_levels(start + len(leaves), size))
    if start + len(leaves) > size or len(left) != len(before) or len(right) != len(after):
        return None
    stack: list[tuple[int, bytes]] = []
    for level, node in zip([*before, *[0] * len(leaves), *after], [*left, *leaves, *right]):  # noqa: B905
        while stack and stack[-1][0] == level:
            level, node = level + 1, node_hash(stack.pop()[1], node)  # noqa: PLW2901 - siblings merge upwards
        stack.append((level, node))
    root = stack.pop()[1] if stack else sha256(b"").digest()
    while stack:
        root = node_hash(stack.pop()[1], root)
    return root


def path_root(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof makes of a leaf; no root at all when the proof's length does not fit."""
    if size <= 1 or not path:
        return leaf if size == 1 and index == 0 and not path else b""
    half = 1 << ((size - 1).bit_length() - 1)
    if index < half:
        return node_hash(path_root(leaf, index, half, path[:-1]), path[-1])
    return node_hash(path[-1], path_root(leaf, index - half, size - half, path[:-1]))


# -- checkpoint and keys (C2SP signed note) ----------------------------------------------------------------------------


def unbase64(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 that is not canonical")
    return raw


Key = namedtuple("Key", "name kind public key_id")
Checkpoint = namedtuple("Checkpoint", "text origin size root signatures")  # signatures by key name and key id

NOTE = re.compile(
    r"(([^\x00-\x1f]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n)\n"  # origin, size, root, blank line
    r"((?:— [^\s+]+ [A-Za-z0-9+/]+=*\n){1,100})"
)


def parse_key(text: str) -> Key:
    name, stated, encoded = text.split("+", 2)
    raw = unbase64(encoded)
    key = Key(name, raw[0], raw[1:], sha256(name.encode() + b"\n" + raw).digest()[:4])
    if len(raw) != 33 or key.kind not in (LOG_KEY, WITNESS_KEY) or key.key_id.hex() != stated:
        raise ValueError(f"{text!a} is not a verifier key")
    return key


def parse_checkpoint(note: bytes) -> Checkpoint:
    match = NOTE.fullmatch(note.decode())
    if match is None:
        raise ValueError("not the form of a signed checkpoint")
    signatures: dict[tuple[str, bytes], bytes] = {}
    for line in match.group(5).split("\n")[:-1]:
        _, name, encoded = line.split(" ")
        raw = unbase64(encoded)
        signatures.setdefault((name, raw[:4]), raw[4:])
    return Checkpoint(match.group(1), match.group(2), int(match.group(3)), unbase64(match.group(4)), signatures)


def signed_by(checkpoint: Checkpoint, key: Key) -> bool | None:
    """Whether the key's signature is good; None when there is none. A witness signs the time it states as well."""
    signature = checkpoint.signatures.get((key.name, key.key_id))
    if signature is None:
        return None
    message = checkpoint.text.encode()
    if key.kind == WITNESS_KEY:
        message = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big") + message
        signature = signature[8:]
    return ed25519_verifies(key.public, message, signature)


# -- the bundle --------------------------------------------------------------------------------------------------------


def load(path: Path) -> dict[str, bytes]:
    if path.is_dir():
        files = {name: (path / name).read_bytes() for name in NEEDED + OPTIONAL if (path / name).is_file()}
    elif path.is_file() and zipfile.is_zipfile(str(path)):
        with zipfile.ZipFile(str(path)) as archive:
            files = {name: archive.read(name) for name in NEEDED + OPTIONAL if name in archive.namelist()}
    else:
        raise ValueError(f"{str(path)!a} is neither a folder nor a ZIP file")
    lacking = [name for name in NEEDED if name not in files]
    if lacking or not ("range-proof" in files or "proofs.ndjson" in files):
        raise ValueError("the bundle lacks " + ", ".join(lacking or ["range-proof"]))
    return files


def lines_of(body: bytes) -> list[bytes]:
    return (body[:-1] if body.endswith(b"\n") else body).split(b"\n") if body else []


def hashes(texts: Sequence[str]) -> list[bytes]:
    if not all(re.fullmatch("[0-9a-f]{64}", text) for text in texts):
        raise ValueError("a hash in the bundle is not 32 bytes in lower-case hexadecimal")
    return [bytes.fromhex(text) for text in texts]


def as_object(line: bytes) -> Any:
    """The JSON object on a line, or an empty one when there is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


class Entry(NamedTuple):
    number: int
    leaf: bytes  # its hash
    event: Any

    def __str__(self) -> str:
        told = ", ".join(f"{part} {json.dumps(self.event[part])}" for part in ("id", "action") if part in self.event)
        return f"entry {self.number} ({told or 'not readable'})"


class Report:
    """Prints one line per check and keeps the first failure."""

    first = ""

    def say(self, mark: str, text: str) -> None:
        print(f"{mark:6}{text}")

    def bad(self, kind: str, text: str) -> None:
        self.first = self.first or f"{kind}: {text}"
        self.say("BAD", f"{kind}: {text}")


# -- the checks --------------------------------------------------------------------------------------------------------


def check_signatures(report: Report, checkpoint: Checkpoint, keys: Sequence[Key]) -> bool:
    """Checks the log's signature and the witnesses'; returns whether there is a witness."""
    signers, witnesses = [], []
    for key in keys:
        good = signed_by(checkpoint, key)
        if good is False:
            report.bad("signature", f"the checkpoint is not what {key.name!a} signed")
        elif good and key.kind == LOG_KEY:
            signers.append(ascii(key.name))
        elif good:
            seconds = int.from_bytes(checkpoint.signatures[key.name, key.key_id][:8], "big")
            witnesses.append(ascii(key.name) + time.strftime(" on %Y-%m-%d at %H:%M:%S UTC", time.gmtime(seconds)))
    if signers:
        log = f"{checkpoint.size} entries of log {checkpoint.origin!a}"
        report.say("ok", f"checkpoint of {log} is signed by {', '.join(signers)}")
    elif not report.first:
        report.bad("signature", "the checkpoint is not signed by a trusted key of the log")
    unwitnessed = "UNWITNESSED: no outside witness whose key is known has cosigned the checkpoint"
    report.say("ok" if witnesses else "note", f"witnessed by {', '.join(witnesses)}" if witnesses else unwitnessed)
    return bool(witnesses)


def difference(position: int, actual: list[bytes], recorded: list[bytes]) -> str:
    """What happened at the first position where the entries differ from the recorded leaf hashes."""
    if position >= len(actual) or position >= len(recorded):
        return "missing" if position >= len(actual) else "extra"
    known, kept = actual[position] in recorded, recorded[position] in actual
    if known and kept:
        return "extra" if len(actual) > len(recorded) else "reordered"
    return "missing" if known else "extra" if kept else "changed"


def check_entries(
    report: Report, entries: list[Entry], recorded: list[bytes], indices: Sequence[int], proves: Callable[..., bool]
) -> None:
    """`recorded` is the file leaf-hashes: not trusted, but if it rebuilds the root it tells which entry is bad."""
    actual = [entry.leaf for entry in entries]
    if proves(actual):
        report.say("ok", f"{len(entries)} entries are unchanged: with the proof they rebuild the signed root")
        if actual != recorded:
            report.bad("leaf-hashes", "this file was changed; the entries themselves are proven without it")
    elif actual == recorded:
        report.bad("proof", "entries and leaf-hashes agree, but do not rebuild the root with this proof and checkpoint")
    else:
        if not proves(recorded):
            report.say("note", "leaf-hashes does not rebuild the root either: what is named next only differs from it")
        same = [mine == theirs for mine, theirs in zip(actual, recorded)]  # noqa: B905
        position = same.index(False) if False in same else len(same)
        kind = difference(position, actual, recorded)
        number = indices[position] if position < len(indices) else indices[-1] + 1 if indices else 0
        report.bad(kind, f"entry {number}" if kind == "missing" else str(entries[position]._replace(number=number)))


def check_chains(report: Report, entries: Sequence[Entry], from_first: bool, gaps: bool) -> None:
    """object.n rises by one per object, and object.prev is the leaf hash of that object's previous event."""
    last: dict[tuple[str, str], tuple[int, str | None]] = {}
    for entry in entries:
        subject = entry.event.get("object")
        if not isinstance(subject, dict) or not isinstance(subject.get("n"), int):
            continue  # the log of reads has no chains
        key, n = (str(subject.get("type")), str(subject.get("id"))), subject["n"]
        known = last.get(key, (0, None) if from_first else None)
        if known and n == known[0] + 1 and subject.get("prev") != known[1]:
            return report.bad("changed", f"{entry} does not name the event of its object before it")
        if known and n != known[0] + 1 and not (gaps and n > known[0]):
            kind = "missing" if n > known[0] else "extra"
            return report.bad(kind, f"{entry} counts as event {n} of its object; the one before it was {known[0]}")
        last[key] = (n, entry.leaf.hex())
    return report.say("ok", f"events of {len(last)} objects follow one another{'' if gaps else ' without a hole'}")


def digests_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (str(digest) for digest in value.get("_sd") or ())
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from digests_in(inner)


def check_disclosures(report: Report, entries: Sequence[Entry], lines: Sequence[bytes]) -> None:
    by_id = {str(entry.event["id"]): entry for entry in entries if "id" in entry.event}
    committed = {(key, digest) for key, entry in by_id.items() for digest in digests_in(entry.event)}
    shown = set()
    for number, line in enumerate(lines, start=1):
        record = as_object(line)
        raw = sha256(str(record.get("disclosure")).encode()).digest()
        pair = (str(record.get("event_id")), base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
        if pair in committed:
            shown.add(pair)
        else:
            where = by_id.get(pair[0], "any entry here")
            report.bad("disclosure", f"line {number} of disclosures.ndjson is no value that {where} committed to")
    report.say("note", f"personal values disclosed: {len(shown)}; erased or withheld: {len(committed) - len(shown)}")


# -- putting it together -----------------------------------------------------------------------------------------------


def trusted_keys(report: Report, files: dict[str, bytes], given: Sequence[str], size: int) -> list[Key]:
    if given:
        return [parse_key(text) for text in given]
    report.say("note", "WARNING: the key comes from the bundle itself; compare it with one you got elsewhere (--key):")
    texts = []
    for each in json.loads(files["trust.json"])["keys"]:
        if each["from_size"] <= size and (each["to_size"] is None or size <= each["to_size"]):
            texts.append(each["key"])
            report.say("note", ascii(each["key"]))
    return [parse_key(text) for text in texts]


def read_proof(files: dict[str, bytes], checkpoint: Checkpoint) -> tuple[Sequence[int], Callable[..., bool]]:
    """The indices the bundle says it holds, and the test of leaf hashes for them."""
    size, root = checkpoint.size, checkpoint.root
    if "proofs.ndjson" in files:
        proofs = [json.loads(line) for line in lines_of(files["proofs.ndjson"])]
        indices, paths = [int(proof["index"]) for proof in proofs], [hashes(proof["hashes"]) for proof in proofs]
        rising = sorted(set(indices)) == indices
        return (
            indices,
            lambda leaves: (
                (rising and len(leaves) == len(indices))
                and all(path_root(leaf, indices[i], size, paths[i]) == root for i, leaf in enumerate(leaves))
            ),
        )
    proof = json.loads(files["range-proof"])
    start, end, left, right = int(proof["start"]), int(proof["end"]), hashes(proof["left"]), hashes(proof["right"])
    if not 0 <= start <= end < 2**63:
        raise ValueError("the numbers in range-proof cannot be")
    return (
        range(start, end),
        lambda leaves: (
            (proof["size"] == size and len(leaves) == end - start)
            and range_root(start, size, leaves, left, right) == root
        ),
    )


def check_all(report: Report, files: dict[str, bytes], checkpoint: Checkpoint) -> tuple[str, bool]:
    """Everything but the signatures. Returns the scope in words, and whether it is the whole log."""
    indices, proves = read_proof(files, checkpoint)
    lines, filtered, size = lines_of(files["events.ndjson"]), "proofs.ndjson" in files, checkpoint.size
    start = indices[0] if indices else 0
    numbers = indices if len(indices) == len(lines) else range(start, start + len(lines))
    entries = [Entry(number, sha256(b"\x00" + line).digest(), as_object(line)) for number, line in zip(numbers, lines)]  # noqa: B905
    recorded = hashes([line.decode() for line in lines_of(files["leaf-hashes"])])
    check_entries(report, entries, recorded, indices, proves)
    manifest = json.loads(files["manifest.json"])
    claimed = (manifest["origin"], manifest["size"], manifest["entries"], manifest["completeness"])
    if claimed != (checkpoint.origin, size, len(lines), "inclusion" if filtered else "range"):
        report.bad("manifest", "manifest.json states another log, size, number of entries or completeness")
    if not report.first:  # else the entry is already named, and its object's chain would only repeat it
        check_chains(report, entries, from_first=start == 0, gaps=filtered)
    times = [str(entry.event.get("time")) for entry in entries]
    late = sum(times[i] < times[i - 1] for i in range(1, len(times)))
    report.say("note", f"times earlier than the entry before: {late} (no fault: a long transaction is recorded late)")
    check_disclosures(report, entries, lines_of(files.get("disclosures.ndjson", b"")))
    whole = not filtered and len(lines) == size
    scope = f"entries {start}–{start + len(lines) - 1} of {size}" if lines else f"no entries of {size}"
    if filtered:
        scope = f"{len(lines)} chosen entries of {size}; that no other entry matches the filter is not proven"
    return scope, whole


def verify(files: dict[str, bytes], given_keys: Sequence[str], need_witness: bool, need_whole: bool) -> int:
    report = Report()
    try:
        checkpoint = parse_checkpoint(files["checkpoint"])
    except ValueError as error:
        print(f"TAMPERED  signature: the file checkpoint is damaged ({str(error)!a})")
        return 1
    witnessed = check_signatures(report, checkpoint, trusted_keys(report, files, given_keys, checkpoint.size))
    scope, whole = check_all(report, files, checkpoint)
    if report.first:
        print(f"TAMPERED  {report.first}")
        return 1
    if (need_witness and not witnessed) or (need_whole and not whole):
        print(f"NOT ENOUGH  {scope}{'' if witnessed else ', UNWITNESSED'}")
        return 2
    print(f"VERIFIED{'' if whole else ' IN PART'}  {scope}{'' if witnessed else ', UNWITNESSED'}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify an export of the audit trail, offline.")
    parser.add_argument("bundle", nargs="?", default=str(Path(__file__).resolve().parent), help="ZIP file or folder")
    parser.add_argument("--key", action="append", default=[], help="verifier key of the log or a witness, repeatable")
    parser.add_argument("--require-witness", action="store_true", help="exit 2 unless a known witness has cosigned")
    parser.add_argument("--require-complete", action="store_true", help="exit 2 unless it holds the whole log")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse ends with 2 for bad usage, which here would mean "not enough"
        return 3 if stop.code else 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a console that lacks a character must not stop the verdict
    try:
        return verify(load(Path(options.bundle)), options.key, options.require_witness, options.require_complete)
    except Exception as error:  # noqa: BLE001 - nothing may end in Python's own exit code 1, which says tampered here
        print(f"UNUSABLE  {type(error).__name__}: {str(error)!a}")
    return 3


if __name__ == "__main__":
    sys.exit(main())
