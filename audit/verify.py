#!/usr/bin/env python3
"""Verify an export of the audit trail, offline: python3 verify.py [BUNDLE] [--key VERIFIER_KEY] [--previous CHECKPOINT]

One file for plain Python 3.8 or later with nothing installed, meant to be read before it is run. It imports nothing of
the service it checks, carries its own Ed25519 and writes nothing. BUNDLE is the ZIP or the unpacked folder; without it,
this file's own folder. Formats plimsoll-audit-export/1 and /2.

Checked: the checkpoint is signed; the entries rebuild the root it signs (chosen entries: each is proven to be in it);
an earlier checkpoint is the beginning of this log; the events of each object follow one another without a hole; entries
lie in time where the hourly ticks around them say; every disclosed value is committed to in its entry; no entry can be
read in two ways. Not checked: the views (CSV, OCSF, CloudEvents), anchors.json, README.txt; what manifest.json says of
query, exporter and date; whether an event was recorded at all. A key taken from the bundle only proves that the bundle
agrees with itself: use --key.

Exit codes: 0 verified within the scope it prints, 1 tampered, 2 less than was asked for, or a time that is not proven,
3 unusable input
"""

# ruff: noqa: B905, RUF007 - zip(strict=) and pairwise() are younger than Python 3.8
from __future__ import annotations

import argparse
import base64
import io
import json
import os
import re
import sys
import time
import zipfile
from array import array
from binascii import b2a_base64, crc32, hexlify
from collections import deque, namedtuple
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256, sha512
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple  # Any: JSON as read; whatever is wrong with it ends in exit code 3

EVENTS, PROOFS, DISCLOSURES, LISTING = "events.ndjson", "proofs.ndjson", "disclosures.ndjson", "leaf-hashes"
NEEDED = ("manifest.json", "checkpoint", "trust.json", EVENTS, LISTING)
OPTIONAL = ("range-proof", PROOFS, DISCLOSURES, "checkpoint.prev", "consistency")
FORMATS = {
    "plimsoll-audit-export/1": {"range", "inclusion"},
    "plimsoll-audit-export/2": {"range", "object", "inclusion"},
}
LOG_KEY, WITNESS_KEY = 1, 4  # type bytes of verifier keys: a log's signature, a witness's cosignature
LONGEST = 1 << 20  # bytes of a file that is read whole, and of a line (a leaf has at most 65,535)
DEEPEST, BIGGEST = 64, 2**53 - 1  # levels and integers on which all readers of JSON agree
BLOCK, APART = 1 << 18, 1 << 22  # bytes of entries examined together: here, and in another process
WORTH = 1 << 24  # bytes of entries from which on more processes pay
EMPTY = sha256(b"").digest()

# -- Ed25519 verification (RFC 8032 §5.1.7) ----------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)


def decode_point(encoded: bytes) -> tuple[int, int] | None:
    y, sign = int.from_bytes(encoded, "little") & ((1 << 255) - 1), encoded[31] >> 7
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_MINUS_1 % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None  # not the canonical encoding of a point on the curve
    return P - x if x & 1 != sign else x, y


def add(p: tuple[int, int], q: tuple[int, int]) -> tuple[int, int]:
    k = D * p[0] * q[0] * p[1] * q[1]
    x, y = (p[0] * q[1] + p[1] * q[0]) * pow(1 + k, -1, P), (p[1] * q[1] + p[0] * q[0]) * pow(1 - k, -1, P)
    return x % P, y % P


def multiply(scalar: int, point: tuple[int, int]) -> tuple[int, int]:
    total = (0, 1)
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
    return multiply(s, BASE) == add(r, multiply(k, a))


# -- Merkle tree (RFC 9162 §2.1) ---------------------------------------------------------------------------------------
# A subtree is (level, position, hash), perfect over leaves [position << level, (position + 1) << level).


def leaf_hashes(lines: Iterable[bytes]) -> list[bytes]:
    """The leaf hashes of lines that end in a newline. To copy a begun hash is cheaper than to begin a new one."""
    begun, found = sha256(b"\x00").copy, []
    for line in lines:
        leaf = begun()
        leaf.update(line[:-1])
        found.append(leaf.digest())
    return found


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def subtrees_over(start: int, nodes: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
    """The fewest subtrees over these leaves, left to right: level by level, what has no sibling here is put aside."""
    left, right, level, begun = [], [], 0, sha256(b"\x01").copy
    while nodes:
        if start & 1:
            left.append((level, start, nodes[0]))
            nodes, start = nodes[1:], start + 1
        if len(nodes) & 1:
            right.append((level, start + len(nodes) - 1, nodes[-1]))
        pairs, above = iter(nodes), []
        for one, other in zip(pairs, pairs):  # an odd last one was put aside
            node = begun()
            node.update(one + other)
            above.append(node.digest())
        nodes, start, level = above, start >> 1, level + 1
    return left + right[::-1]


def places(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Level and position of the fewest subtrees that cover leaves [start, end), left to right."""
    while start < end:
        level = (end - start).bit_length() - 1
        level = min(level, (start & -start).bit_length() - 1) if start else level
        yield level, start >> level
        start += 1 << level


def roots_at(sizes: Sequence[int], subtrees: Iterable[tuple[int, int, bytes]]) -> dict[int, bytes]:
    """The roots of a growing tree, of those sizes at which one of the subtrees, side by side from 0 on, ends."""
    nodes, found = [], {0: EMPTY}  # type: list[bytes], dict[int, bytes]
    for level, position, node in subtrees:
        end = (position + 1) << level
        while position & 1:  # a right child: its sibling is the last one before it
            position, node = position >> 1, node_hash(nodes.pop(), node)  # noqa: PLW2901 - upwards
        nodes.append(node)
        if end in sizes:
            found[end] = nodes[-1]
            for left in nodes[-2::-1]:
                found[end] = node_hash(left, found[end])
    return found


def path_root(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof makes of a leaf; no root at all when the proof's length does not fit."""
    if size <= 1 or not path:
        return leaf if size == 1 and index == 0 and not path else b""
    half = 1 << ((size - 1).bit_length() - 1)
    if index < half:
        return node_hash(path_root(leaf, index, half, path[:-1]), path[-1])
    return node_hash(path[-1], path_root(leaf, index - half, size - half, path[:-1]))


def agree(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a consistency proof shows that the first 0 < old < new leaves are those of old_root (RFC 9162 §2.1.4)."""
    known = old_root if old & (old - 1) == 0 else b""  # a subtree by itself, which the proof leaves out
    return both_roots(old, new, path, known) == (old_root, new_root)


def both_roots(old: int, new: int, path: Sequence[bytes], known: bytes) -> tuple[bytes, bytes]:
    if old == new or not path:
        node = known if known and not path else path[0] if len(path) == 1 and not known else b""
        return (node, node) if old == new else (b"", b"")
    half = 1 << ((new - 1).bit_length() - 1)
    if old <= half:
        before, after = both_roots(old, half, path[:-1], known)
        return before, node_hash(after, path[-1])
    before, after = both_roots(old - half, new - half, path[:-1], b"")
    return node_hash(path[-1], before), node_hash(path[-1], after)


# -- checkpoint and keys (C2SP signed note) ----------------------------------------------------------------------------

Key = namedtuple("Key", "name kind public key_id")
Checkpoint = namedtuple("Checkpoint", "text origin size root signatures")  # signatures by key name and key id

NOTE = re.compile(
    r"(([^\x00-\x1f]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n)\n"  # origin, size, root, blank line
    r"((?:— [^\s+]+ [A-Za-z0-9+/]+=*\n){1,100})"
)


def unbase64(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64 that is not canonical")
    return raw


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
    text, origin, size, root, signed = match.groups()
    signatures: dict[tuple[str, bytes], bytes] = {}
    for line in signed.split("\n")[:-1]:
        _, name, encoded = line.split(" ")
        raw = unbase64(encoded)
        signatures.setdefault((name, raw[:4]), raw[4:])
    return Checkpoint(text, origin, int(size), unbase64(root), signatures)


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


# -- JSON that all readers read alike ----------------------------------------------------------------------------------


def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object in it has a key twice")
    return value


def integer(text: str) -> int:
    return int(text) if abs(float(text)) <= BIGGEST else refused(text)


def refused(text: str) -> Any:
    raise ValueError(f"{text[:20]} in it is not the same number to all readers")


NUMBERS: Any = {"parse_int": integer, "parse_float": refused, "parse_constant": refused}
STRICT = json.JSONDecoder(object_pairs_hook=no_twins, **NUMBERS).decode
LENIENT: Any = json.JSONDecoder(**NUMBERS).scan_once  # type: ignore[attr-defined]
STRING = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\Z)', re.DOTALL)


def strict(text: bytes) -> Any:
    """The JSON value; ValueError for what is none, and for what two readers could take for two values."""
    if text.count(b"{") + text.count(b"[") > DEEPEST:
        steps = (1 if bracket in b"[{" else -1 for bracket in re.findall(rb"[\[{}\]]", STRING.sub(b"", text)))
        if max(accumulate(steps), default=0) > DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    value = STRICT(text.decode())
    if b"\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # fails for half a surrogate pair, which is no text
    return value


def whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!a} is no index or size")
    return value


def hashes(texts: Any) -> list[bytes]:
    if not isinstance(texts, list) or not all(isinstance(t, str) and re.fullmatch("[0-9a-f]{64}", t) for t in texts):
        raise ValueError("a hash in the bundle is not 32 bytes in lower-case hexadecimal")
    return [bytes.fromhex(text) for text in texts]


# -- the bundle --------------------------------------------------------------------------------------------------------


class Bundle:
    """The files of a folder or a ZIP. Small ones are read whole up to a limit, long ones pass by in blocks of lines."""

    def __init__(self, path: Path) -> None:
        self.path, self.archive = path, zipfile.ZipFile(str(path)) if path.is_file() else None
        names = {name for name in NEEDED + OPTIONAL if (path / name).is_file()}
        if self.archive:
            listed = [member.filename for member in self.archive.infolist()]
            names = set(listed)
            if len({name.casefold() for name in listed}) != len(listed):
                raise ValueError("the ZIP holds two files of one name: which one is read depends on the reader")
            if any({"..", ""} & set(re.split(r"[/\\]", name.rstrip("/"))) or ":" in name for name in listed):
                raise ValueError("the ZIP holds a file outside its own folder")
        self.names = names.intersection(NEEDED + OPTIONAL)
        lacking = [name for name in NEEDED if name not in names]
        if lacking or not {"range-proof", PROOFS} & names:
            raise ValueError("the bundle lacks " + ", ".join(lacking or ["range-proof"]))

    def open(self, name: str) -> IO[bytes]:
        return self.archive.open(name) if self.archive else (self.path / name).open("rb")

    def size(self, name: str) -> int:
        return self.archive.getinfo(name).file_size if self.archive else (self.path / name).stat().st_size

    def small(self, name: str) -> bytes:
        with self.open(name) as file:
            body = file.read(LONGEST + 1)
        if len(body) > LONGEST:
            raise ValueError(f"{name} is larger than {LONGEST} bytes")
        return body

    def blocks(self, name: str, size: int) -> Iterator[bytes]:
        """Whole lines, about `size` bytes of them at a time."""
        with self.open(name) as file:
            for block in iter(lambda: file.read(size), b""):
                if not block.endswith(b"\n"):
                    block += file.readline(LONGEST)  # noqa: PLW2901 - the rest of its last line
                    if not block.endswith(b"\n") and file.read(1):
                        raise ValueError(f"a line of {name} is longer than {LONGEST} bytes")
                yield block

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines, each with a newline; none when there is no such file."""
        for block in self.blocks(name, BLOCK) if name in self.names else ():
            yield from lines_of(block)


def lines_of(block: bytes) -> list[bytes]:
    return io.BytesIO(block if block.endswith(b"\n") or not block else block + b"\n").readlines()


# -- what an entry says ------------------------------------------------------------------------------------------------
# USUAL is the whole line as the service writes it, key by key in RFC 8785 order, with plain ASCII texts. Only "change"
# is free, and has to be JSON by itself. What matches is therefore JSON without a key twice, its fields are where the
# pattern saw them, and as no text in it can hold a quote, none can pass for a key. Other lines go the long way.


TEXT, UUID = rb'"[ !#-\[\]-~]*"', rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
DIGESTS, TIME = rb'"_sd":\[("[\w-]{43}"(?:,"[\w-]{43}")*)\]', rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
USUAL = re.compile(
    rb'\{%(sd)b"action":"([a-z_.]+)","actor":\{%(sd)b"auth":%(text)b,"ref":%(text)b,"type":%(text)b\},"change":(\{[^\\]*\}),'
    rb'"id":"(%(uuid)b)","log":%(text)b,"object":\{"id":(%(text)b)'
    rb'(?:,"n":([1-9]\d{0,14}),"prev":(?:null|"([0-9a-f]{64})"))?,"type":(%(text)b)\},"outcome":%(text)b,'
    rb'(?:"reason_code":%(text)b,)?"request":\{%(sd)b"id":%(text)b\},"time":"(%(time)b)","v":\d\}\n'
    % {b"sd": b"(?:%b,)?" % DIGESTS, b"text": TEXT, b"uuid": UUID, b"time": TIME}
).fullmatch
SALTED = re.compile(rb"(?<=[{,])" + DIGESTS)  # a quote after { or , opens a key: one inside a text would be escaped
CLAIM = re.compile(rb'\{"event_id":"(%b)","path":%b,"disclosure":"([\w-]+)"\}\n' % (UUID, TEXT)).fullmatch
URLSAFE = bytes.maketrans(b"+/", b"-_")
WHEN, HEX = re.compile(TIME).fullmatch, re.compile(rb"[0-9a-f]{64}").fullmatch
TICK, NEVER = b"audit.tick", b" " * 27  # NEVER: a time that cannot be read; it sorts before all others
NOTHING = None, NEVER, False, b"", 0, None, b""


def read(line: bytes) -> Any:
    """What an entry says: id, time, whether a tick, object (type and id as JSON), n (0: no chain), prev, digests.

    None for a line that is no JSON object; ValueError for one that two readers could read in two ways.
    """
    match = USUAL(line)
    if match:
        top, action, actor, change, event_id, name, n, prev, kind, request, when = match.groups()
        if plain(change):
            digests = (top or b"") + (actor or b"") + (request or b"")
            return event_id, when, action == TICK and moment(when) is not None, kind + name, int(n or 0), prev, digests
    if not line.lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"{"):
        return None
    event = strict(line)
    event_id, when, subject = (event.get(name) for name in ("id", "time", "object"))
    when = when.encode() if isinstance(when, str) and WHEN(when.encode()) else NEVER
    tick = event.get("action") == TICK.decode() and moment(when) is not None
    subject = subject if isinstance(subject, dict) else {}
    key, n, prev = as_key(subject), subject.get("n"), subject.get("prev")
    prev = prev.encode() if isinstance(prev, str) else prev
    if n is not None and not (type(n) is int and n > 0 and (prev is None or (type(prev) is bytes and HEX(prev)))):
        raise ValueError("its place among the events of its object is not a number and a hash")
    event_id = event_id.encode() if isinstance(event_id, str) else None
    return event_id, when, tick, key, n or 0, prev, b"".join(SALTED.findall(line))


def plain(change: bytes) -> bool:
    """Whether it is JSON without digests that strict() accepts: as many colons as keys, so no key was there twice."""
    try:
        value, end = LENIENT(change.decode(), 0) if len(change) < 400 else ({"_sd": None}, 0)
    except (ValueError, StopIteration):  # the latter for what is no JSON at all
        return False
    keys, digests = len(value), "_sd" in value
    for inner in value.values():
        if type(inner) is dict:
            keys += len(inner)
            digests = digests or "_sd" in inner
    return end == len(change) and change.count(b":") == keys and not digests


def as_key(subject: Any) -> bytes:
    return b"".join([json.dumps(subject.get(part), ensure_ascii=False).encode() for part in ("type", "id")])


def moment(when: bytes) -> datetime | None:
    try:
        return datetime.strptime(when.decode(), "%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: DTZ007 - all times here are UTC
    except ValueError:
        return None


def shifted(tick: datetime, by: timedelta) -> bytes:
    """A bound in the form of an entry's time, which compares as text; beyond the calendar nothing is bounded."""
    try:
        return (tick + by).isoformat(timespec="microseconds").encode() + b"Z"
    except OverflowError:
        return b"~" if by > timedelta(0) else b"0"


def link_fault(last: int, leaf: bytes, n: int, prev: bytes | None, gaps: bool) -> str:
    """What is wrong with an event of an object after number `last` with this leaf hash; -1 when none is known."""
    if last < 0:
        return "is the first event of its object but names one before it" if n == 1 and prev is not None else ""
    if n == last + 1:
        return "" if prev == (hexlify(leaf) or None) else "does not name the event of its object before it"
    return "" if gaps and n > last else f"counts as event {n} of its object; the one before it was {last}"


def marks(ids: Iterable[bytes | None]) -> list[int]:
    """64 bits that stand for each id: among a million different ones, two are alike once in thirty million logs."""
    return [crc32(each) << 32 | crc32(each[::-1]) if each else 0 for each in ids]


def claim_of(line: bytes) -> tuple[bytes, bytes] | None:
    """Event id and digest that a line of disclosures.ndjson claims; None when it is none."""
    usual = CLAIM(line)
    try:
        record = {} if usual else strict(line)
        event_id, text = (
            usual.groups() if usual else (record["event_id"].encode(), record["disclosure"].encode("ascii"))
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return event_id, b2a_base64(sha256(text).digest(), newline=False).translate(URLSAFE, b"=")


# -- a block of entries, here or in another process --------------------------------------------------------------------


class Rule(NamedTuple):
    """What every block is held against."""

    start: int | None  # index of the first entry of a contiguous range; None when each entry brings its own proof
    size: int
    root: bytes
    halts: Sequence[int] = ()  # earlier sizes whose roots are to be rebuilt on the way
    only_tree: bool = False
    gaps: bool = False  # entries of an object may be left out
    from_first: bool = True  # every object's first event is among the entries
    subject: bytes = b""  # the one object all entries must be of
    claims: Any = ()  # by event id, the digests of what is disclosed, with blanks between


class Part:
    """What was found in some entries that follow one another; ordinals count the lines of the file from 0."""

    def __init__(self, ordinal: int = 0) -> None:
        self.ordinal, self.count = ordinal, 0
        self.subtrees: list[tuple[int, int, bytes]] = []
        self.listed: list[tuple[int, bytes]] = []  # lines, and SHA-256 of what leaf-hashes should have for them
        self.indices, self.ids = array("q"), array("Q")  # of entries that bring their own proof; marks of ids
        self.times = bytearray()  # 27 bytes each
        self.ticks: list[int] = []
        self.chains: dict[bytes, Any] = {}  # by object: first ordinal, n and prev; last n and leaf hash
        self.faults: dict[str, tuple[int, str]] = {}  # by kind, the first one
        self.foreign = self.digests = self.met = self.shown = 0

    def fault(self, kind: str, ordinal: int, text: str) -> None:
        if text:
            self.faults[kind] = min(self.faults.get(kind, (ordinal, text)), (ordinal, text))

    def follow(self, later: Part, rule: Rule) -> None:
        """Takes in what was found in the entries right after these."""
        for key, link in later.chains.items():
            ordinal, n, prev, last, leaf = link
            known = self.chains.setdefault(key, link)
            before, hashed = known[3:] if known is not link else (0 if rule.from_first else -1, b"")
            if n != before + 1 or prev != hexlify(hashed):
                self.fault("chain", ordinal, link_fault(before, hashed, n, prev, rule.gaps))
            known[3:] = last, leaf
        for kind, (ordinal, text) in later.faults.items():
            self.fault(kind, ordinal, text)
        for name, value in vars(later).items():
            if name not in ("ordinal", "chains", "faults"):
                grown = getattr(self, name)
                grown += value  # in place, where there is much of it
                setattr(self, name, grown)

    def check_paths(self, rule: Rule, first: int, leaves: Sequence[bytes], proofs: Sequence[bytes]) -> None:
        for ordinal, line in enumerate(proofs):
            proof = strict(line)
            index, path = whole(proof["index"]), hashes(proof["hashes"])
            self.indices.append(index)
            leaf = leaves[ordinal] if ordinal < len(leaves) else b""
            if index >= rule.size or path_root(leaf, index, rule.size, path) != rule.root:
                self.fault("proof", first + ordinal, "its proof does not lead to the signed root")
        if len(leaves) > len(proofs):
            self.fault("proof", first + len(proofs), "there is no proof for it")

    def check_events(self, rule: Rule, first: int, lines: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        times, ids, chains, claims = [], [], self.chains, rule.claims
        for ordinal, (line, leaf) in enumerate(zip(lines, leaves), first):
            try:
                event = read(line)
            except ValueError as error:
                self.fault("ambiguous", ordinal, f"cannot be read in one way only: {error}")
                event = NOTHING
            self.foreign += event is None
            event_id, when, tick, key, n, prev, digests = event or NOTHING
            times.append(when)
            if tick:
                self.ticks.append(ordinal)
            if rule.subject and (key != rule.subject or not n):
                self.fault("chain", ordinal, "is no counted event of the object that manifest.json names")
            elif n:
                known = chains.get(key)
                if known is None:
                    chains[key] = [ordinal, n, prev, n, leaf]
                else:
                    if n != known[3] + 1 or prev != hexlify(known[4]):
                        self.fault("chain", ordinal, link_fault(known[3], known[4], n, prev, rule.gaps))
                    known[3], known[4] = n, leaf
            ids.append(event_id)
            if digests:
                self.digests += len(digests) // 46 + 1  # 45 bytes each, and commas between some
            if event_id and event_id in claims:
                self.check_claims(ordinal, event_id, claims[event_id], digests)
        self.times += b"".join(times)
        self.ids.extend(marks(ids))

    def check_claims(self, ordinal: int, event_id: bytes, claimed: bytes, digests: bytes) -> None:
        own = digests.split(b'"')[1::2]
        self.met += 1
        for digest in claimed.split():
            self.shown += digest in own
            self.fault("disclosure", ordinal, "" if digest in own else f"{event_id.decode()}\n{digest.decode()}")


def examine(rule: Rule, block: Any, proofs: Sequence[bytes], part: Part) -> Part:
    """Adds to the part all that can be said of the next block: its bytes, or where they stand in a file."""
    if isinstance(block, tuple):
        with Path(block[0]).open("rb") as file:
            file.seek(block[1])
            block = file.read(block[2])
    lines = lines_of(block)
    leaves, first = leaf_hashes(lines), part.ordinal + part.count
    part.count += len(lines)
    if rule.start is None:
        part.check_paths(rule, first, leaves, proofs)
    else:
        index = rule.start + first
        ends = [0, *(halt - index for halt in sorted(rule.halts) if 0 < halt - index < len(leaves)), len(leaves)]
        for begin, end in zip(ends, ends[1:]):
            part.subtrees += subtrees_over(index + begin, leaves[begin:end])
    if not rule.only_tree:
        listing = b"".join(leaves).hex("\n", 32).encode() + b"\n" * bool(leaves)
        part.listed.append((len(leaves), sha256(listing).digest()))
        part.check_events(rule, first, lines, leaves)
    return part


RULES: list[Rule] = []  # of a worker process: the one rule of its pool


def adopt(rule: Rule) -> None:
    RULES[:] = [rule]


def examine_apart(ordinal: int, block: Any, proofs: Sequence[bytes]) -> Part:
    return examine(RULES[0], block, proofs, Part(ordinal))


def workers(rule: Rule, jobs: int) -> Any:
    """A pool of processes; None where none can be made."""
    try:
        from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - not everywhere, and slow to load

        pool = ProcessPoolExecutor(jobs, initializer=adopt, initargs=(rule,))
        pool.submit(int).result()
    except (ImportError, OSError, NotImplementedError, RuntimeError, AssertionError):
        return None
    return pool


def blocks_to_examine(bundle: Bundle, rule: Rule, apart: bool) -> Iterator[tuple[int, Any, list[bytes]]]:
    """Blocks, with the number of entries before each where that is needed beforehand, and with their proofs."""
    ordinal = offset = 0
    proofs = bundle.lines(PROOFS) if rule.start is None else iter(())
    for block in bundle.blocks(EVENTS, APART if apart else BLOCK):
        count = block.count(b"\n") + (not block.endswith(b"\n")) if apart or rule.start is None else 0
        place = (str(bundle.path / EVENTS), offset, len(block))
        yield ordinal, place if apart and not bundle.archive else block, list(islice(proofs, count))
        ordinal, offset = ordinal + count, offset + len(block)
    left_over = list(islice(proofs, 1))
    if left_over:
        yield ordinal, b"", left_over


def parts(bundle: Bundle, rule: Rule, jobs: int) -> Iterator[Part]:
    """All entries examined, in their order: in one part, or in many by as many processes as wanted and possible."""
    pool = workers(rule, jobs) if jobs > 1 and bundle.size(EVENTS) >= WORTH else None
    blocks, part, waiting = blocks_to_examine(bundle, rule, pool is not None), Part(), deque()  # type: Any, Part, Any
    if pool is None:
        for _, block, proofs in blocks:
            examine(rule, block, proofs, part)
        yield part
        return
    with pool:
        for block in blocks:
            waiting.append(pool.submit(examine_apart, *block))
            if len(waiting) > 2 * jobs:  # enough to keep all busy, and no more in memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


# -- the report --------------------------------------------------------------------------------------------------------


class Case:
    """One bundle under examination: what it states, what was found in it, and the checks of one against the other.

    Prints one line per check, and keeps the first failure and the first thing that is not proven.
    """

    bad_first = lack_first = ""

    def __init__(self, bundle: Bundle, checkpoint: Checkpoint, given: Sequence[str]) -> None:
        self.bundle, self.checkpoint, self.found = bundle, checkpoint, Part()
        self.given = [parse_key(text) for text in given]
        self.manifest, self.trust = (strict(bundle.small(name)) for name in ("manifest.json", "trust.json"))
        self.start, self.end, self.left, self.right = None, 0, [], []  # type: Any, int, list[bytes], list[bytes]
        if "range-proof" in bundle.names:
            proof = strict(bundle.small("range-proof"))
            self.start, self.end, self.stated_size = (whole(proof[name]) for name in ("start", "end", "size"))
            self.left, self.right = hashes(proof["left"]), hashes(proof["right"])
            if self.start > self.end:
                raise ValueError("the numbers in range-proof cannot be")
        if self.manifest["format"] not in FORMATS:
            raise ValueError(f"this verifier does not know the format {self.manifest['format']!a}")

    def say(self, mark: str, text: str) -> None:
        print(f"{mark:6}{text}")

    def bad(self, kind: str, text: str) -> None:
        self.bad_first = self.bad_first or f"{kind}: {text}"
        self.say("BAD", f"{kind}: {text}")

    def lack(self, text: str) -> None:
        self.lack_first = self.lack_first or f"; {text}"
        self.say("LACK", text)

    def index(self, ordinal: int) -> int:
        if self.start is not None:
            return int(self.start) + ordinal
        listed = self.found.indices
        return listed[ordinal] if ordinal < len(listed) else listed[-1] + 1 if listed else 0

    def entry(self, ordinal: int) -> str:
        try:
            event = json.loads(next(islice(self.bundle.lines(EVENTS), ordinal, None), b""))
        except (ValueError, RecursionError):
            event = {}
        known = [part for part in ("id", "action") if part in event] if isinstance(event, dict) else []
        told = ", ".join(f"{part} {json.dumps(event[part])}" for part in known)
        return f"entry {self.index(ordinal)} ({told or 'not readable'})"

    def keys(self, size: int) -> list[Key]:
        """The keys that may sign a checkpoint of this size."""
        if self.given:
            return self.given
        listed = [key for key in self.trust["keys"] if whole(key["from_size"]) <= size]
        listed = [key["key"] for key in listed if key["to_size"] is None or size <= whole(key["to_size"])]
        return [parse_key(text) for text in listed + self.trust.get("witnesses", [])]

    def check_signatures(self, checkpoint: Checkpoint, name: str) -> list[str]:
        """Checks the log's signature and the witnesses'. Returns the witnesses, with the times they state."""
        by_log, witnesses, wrong = [], [], False
        for key in self.keys(checkpoint.size):
            good = signed_by(checkpoint, key)
            if good is False:
                wrong = True
                self.bad("signature", f"{name} is not what {key.name!a} signed")
            elif good and key.kind == LOG_KEY:
                by_log.append(ascii(key.name))
            elif good:
                seconds = int.from_bytes(checkpoint.signatures[key.name, key.key_id][:8], "big")
                at = time.gmtime(min(seconds, 253402300799))  # the last second with a year of four digits
                witnesses.append(ascii(key.name) + time.strftime(" on %Y-%m-%d at %H:%M:%S UTC", at))
        if by_log:
            log = f"{checkpoint.size} entries of log {checkpoint.origin!a}"
            self.say("ok", f"{name} of {log} is signed by {', '.join(by_log)}")
        elif not wrong:
            self.bad("signature", f"{name} is not signed by a trusted key of the log")
        return witnesses

    def check_tree(self, listed: bool, earlier: Sequence[int]) -> dict[int, bytes]:
        """Whether the entries are those of the log. Returns the roots that were rebuilt on the way, by size."""
        found, size, roots = self.found, self.checkpoint.size, {}  # type: Part, int, dict[int, bytes]
        if self.start is None:
            proven = "proof" not in found.faults and sorted(set(found.indices)) == list(found.indices)
        else:
            before, after = list(places(0, self.start)), list(places(self.end, size))
            stated = self.stated_size, len(self.left), len(self.right), found.count, max(self.end, size)
            if stated == (size, len(before), len(after), self.end - self.start, size):
                left, right = ((*at, node) for at, node in zip(before, self.left)), zip(after, self.right)
                roots = roots_at([*earlier, size], chain(left, found.subtrees, ((*at, node) for at, node in right)))
            proven = roots.get(size) == self.checkpoint.root
        if proven:
            self.say("ok", f"{found.count} entries are unchanged: with the proof they rebuild the signed root")
        if not proven or not listed:
            self.blame(proven)
        return roots if proven else {}

    def blame(self, proven: bool) -> None:
        """Names the entry. leaf-hashes is not trusted, but where it rebuilds the root it tells which entry is bad."""
        actual = leaf_hashes(self.bundle.lines(EVENTS))
        recorded = hashes([line[:-1].decode() for line in self.bundle.lines(LISTING)])
        if actual == recorded:
            ordinal, text = self.found.faults.get("proof", (0, ""))
            where = f" ({self.entry(ordinal)}: {text})" if text else ""
            told = f"entries and leaf-hashes agree, but do not rebuild the root with this proof{where}"
            return None if proven else self.bad("proof", told)
        if proven:
            return self.bad("leaf-hashes", "this file was changed; the entries themselves are proven without it")
        at = next((at for at, (mine, theirs) in enumerate(zip(actual, recorded)) if mine != theirs), -1)
        at = at if at >= 0 else min(len(actual), len(recorded))
        known = at == len(actual) or actual[at] in recorded
        kept = at == len(recorded) or (recorded[at] in actual and at < len(actual))
        kind = "changed" if not known and not kept else "missing" if not kept else "extra"
        if known and kept and len(actual) <= len(recorded):
            kind = "reordered"
        self.say("note", "what is named next is where entries differ from leaf-hashes, which itself proves nothing")
        return self.bad(kind, f"entry {self.index(at)}" if kind == "missing" else self.entry(at))

    def check_earlier(self, name: str, old: Checkpoint, roots: dict[int, bytes]) -> None:
        """An earlier checkpoint must be signed, and be the beginning of this log."""
        new, told = self.checkpoint, f"{name} of {old.size} entries"
        if old.origin != new.origin:
            raise ValueError(f"{told} is of another log, {old.origin!a}")
        self.check_signatures(old, name)
        given = "consistency" in self.bundle.names
        proof = strict(self.bundle.small("consistency")) if given else {"from": 0, "to": 0}
        if old.size > new.size:
            why = "the log was cut back, or this bundle is older"
            return self.bad("consistency", f"{told} is longer than this log of {new.size}: {why}")
        if old.size in (0, new.size):
            good = old.root == (new.root if old.size == new.size else EMPTY)
        elif (whole(proof["from"]), whole(proof["to"])) == (old.size, new.size):
            good = agree(old.size, new.size, old.root, new.root, hashes(proof["hashes"]))
        elif old.size in roots:
            good = roots[old.size] == old.root
        else:
            return self.lack(f"consistency: nothing here proves that {told} is the beginning of this log")
        if good:
            return self.say("ok", f"{told} is the beginning of this log: since then it only grew")
        return self.bad("consistency", f"{told} is not the beginning of this log: its history was replaced")

    def check_chains(self, gaps: bool) -> None:
        for kind in ("ambiguous", "chain"):
            if kind in self.found.faults:
                ordinal, text = self.found.faults[kind]
                self.bad(kind, f"{self.entry(ordinal)} {text}")
        if "chain" not in self.found.faults:
            begun = f"; what came before entry {self.start} is not here" if self.start else ""
            hole = "" if gaps else " without a hole"
            self.say("ok", f"events of {len(self.found.chains)} objects follow one another{hole}{begun}")
        ids = sorted(self.found.ids)
        twin = next((one for one, other in zip(ids, ids[1:]) if one == other != 0), 0)
        if twin:
            first, again = islice((at for at, one in enumerate(self.found.ids) if one == twin), 2)
            self.bad("duplicate", f"{self.entry(again)} has the id of entry {self.index(first)}")

    def check_times(self, skew: timedelta) -> None:
        """Each entry must lie in time between the ticks around it in the log; a tick not before the one before it."""
        found, begin, earliest, far, gaps, last = self.found, 0, b"0", [], [], None  # type: Any, int, Any, Any, Any, Any
        if not found.ticks:
            return self.say("note", "no tick among these entries: their times are the word of the service alone")
        for end in [*(ordinal + 1 for ordinal in found.ticks), found.count]:
            times = [bytes(found.times[27 * at : 27 * at + 27]) for at in range(begin, end)]
            tick = moment(times[-1]) if times and end <= found.ticks[-1] + 1 else None
            latest = shifted(tick, skew) if tick else b"~"
            if times and not earliest <= min(times) <= max(times) <= latest:
                far += [begin + at for at, when in enumerate(times) if not earliest <= when <= latest]
            if tick:
                gaps += [self.index(end - 1)] if last and tick - last > timedelta(hours=1) + skew else []
                last, earliest = tick, shifted(tick, -skew)
            begin = end
        if gaps and self.start is not None:
            self.say("note", f"{len(gaps)} times more than an hour without a tick, first before entry {gaps[0]}")
        if not far:
            return self.say("ok", f"times lie within {skew} of the {len(found.ticks)} ticks around them")
        told = f"{len(far)} in all, " if far[1:] else ""
        told = f"{self.entry(far[0])}: {told}its time is not within {skew} of the ticks around it"
        return self.lack(f"time: possible back-dating: {told}")

    def read_claims(self) -> tuple[dict[bytes, bytes], int]:
        """Digests of what is disclosed by event id, and the number of the first line that discloses nothing."""
        claims, malformed = {}, 0  # type: dict[bytes, bytes], int
        for number, line in enumerate(self.bundle.lines(DISCLOSURES), 1):
            claim = claim_of(line)
            if claim is None:
                malformed = malformed or number
            elif claim[1] not in claims.get(claim[0], b""):
                claims[claim[0]] = claims.get(claim[0], b"") + b" " + claim[1]
        return claims, malformed

    def check_disclosures(self, claims: dict[bytes, bytes], malformed: int) -> None:
        """Every disclosed value must be committed to in its entry; values not shown were erased or withheld."""
        found, number, where = self.found, malformed, "any entry here"
        lines = enumerate(self.bundle.lines(DISCLOSURES), 1)
        if not malformed and "disclosure" in found.faults:
            ordinal, told = found.faults["disclosure"]
            where, claim = self.entry(ordinal), tuple(told.encode().split(b"\n"))
            number = next(number for number, line in lines if claim_of(line) == claim)
        elif not malformed and found.met < len(claims):
            here = set(found.ids)
            number = next((number for number, line in lines if marks((claim_of(line) or (b"",))[:1])[0] not in here), 1)
        if number:
            self.bad("disclosure", f"line {number} of {DISCLOSURES} is no value that {where} committed to")
        self.say("note", f"personal values disclosed: {found.shown}; erased or withheld: {found.digests - found.shown}")

    def scope(self, subject: bytes) -> str:
        found, size = self.found, self.checkpoint.size
        told = (
            f"entries {self.start}–{self.index(found.count) - 1} of {size}" if found.count else f"no entries of {size}"
        )
        if self.start is None:
            told = f"{found.count} chosen entries of {size}; that no other entry matches the filter is not proven"
        if subject:
            first, last = (found.chains[subject][at] if subject in found.chains else 0 for at in (1, 3))
            name, dropped = subject.decode().replace('""', '" "'), "; earlier ones were dropped, as the manifest says"
            told = f"events {first}–{last} of {name} in a log of {size}{dropped if first > 1 else ''}"
            told += "; that none follows is not proven"
        return told + (f"; {found.foreign} of them not readable as events" if found.foreign else "")

    def examine(self, rule: Rule, jobs: int) -> bool:
        """Looks at every entry once. Returns whether the file leaf-hashes lists what was found."""
        for part in parts(self.bundle, rule, jobs):
            self.found.follow(part, rule)
        with self.bundle.open(LISTING) as listing:
            listed = all(sha256(listing.read(65 * count)).digest() == told for count, told in self.found.listed)
            return rule.only_tree or (listed and not listing.read(1))

    def judge(self, options: Any) -> int:
        size, stated = self.checkpoint.size, self.manifest
        if not self.given:
            self.say(
                "note", "WARNING: the key comes from the bundle itself; compare it with one you got elsewhere (--key):"
            )
            for key in self.keys(size):
                raw = base64.b64encode(bytes([key.kind]) + key.public).decode()
                text = f"{key.name}+{key.key_id.hex()}+{raw}"
                fingerprint = " ".join(re.findall("....", sha256(text.encode()).hexdigest()))
                self.say("note", f"{text!a} with the fingerprint {fingerprint}")
        witnesses = self.check_signatures(self.checkpoint, "the checkpoint")
        unwitnessed = "UNWITNESSED: no outside witness whose key is known has cosigned the checkpoint"
        self.say("ok" if witnesses else "note", f"witnessed by {', '.join(witnesses)}" if witnesses else unwitnessed)
        notes = {name: self.bundle.small(name) for name in ["checkpoint.prev"] if name in self.bundle.names}
        if options.previous:
            with Path(options.previous).open("rb") as file:
                notes["the earlier checkpoint"] = file.read(LONGEST)
        old = {name: parse_checkpoint(note) for name, note in notes.items()}
        kind, pruned = stated["completeness"], whole(stated.get("minimum_index", 0))
        subject = as_key(stated["object"]) if kind == "object" else b""
        claims, malformed = ({}, 0) if options.only_tree else self.read_claims()
        rule = Rule(
            self.start, size, self.checkpoint.root, [each.size for each in old.values()], options.only_tree,
            kind == "inclusion", self.start == 0 or (kind == "object" and not pruned), subject, claims,
        )  # fmt: skip
        roots = self.check_tree(self.examine(rule, options.jobs), rule.halts)
        ends = [self.index(0), self.index(self.found.count - 1)] if self.found.count else [None, None]
        told = [self.checkpoint.origin, size, self.found.count, *ends]
        fits = kind in FORMATS[stated["format"]] and (kind == "range") == (self.start is not None)
        if not fits or told != [stated[n] for n in ("origin", "size", "entries", "first_index", "last_index")]:
            self.bad("manifest", "manifest.json states another log, size, number of entries or completeness")
        for name, checkpoint in old.items():
            self.check_earlier(name, checkpoint, roots)
        if not self.bad_first and not options.only_tree:  # else an entry is named already, and this would repeat it
            self.check_chains(rule.gaps)
            self.check_times(timedelta(seconds=options.skew))
            self.check_disclosures(claims, malformed)
        scope = self.scope(subject) + ("; chains, times, disclosures not checked" if options.only_tree else "")
        return self.verdict(scope + ("" if witnesses else ", UNWITNESSED"), options, bool(witnesses))

    def verdict(self, scope: str, options: Any, witnessed: bool) -> int:
        whole_log = self.start == 0 and self.found.count == self.checkpoint.size
        if self.bad_first:
            print(f"TAMPERED  {self.bad_first}")
            return 1
        if (
            self.lack_first
            or (options.require_witness and not witnessed)
            or (options.require_complete and not whole_log)
        ):
            print(f"NOT ENOUGH  {scope}{self.lack_first}")
            return 2
        print(f"VERIFIED{'' if whole_log and not options.only_tree else ' IN PART'}  {scope}")
        return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify an export of the audit trail, offline.")
    parser.add_argument("bundle", nargs="?", default=str(Path(__file__).resolve().parent), help="ZIP file or folder")
    parser.add_argument("--key", action="append", default=[], help="verifier key of the log or a witness, repeatable")
    parser.add_argument(
        "--previous", metavar="FILE", help="a checkpoint kept from earlier, which this log must continue"
    )
    parser.add_argument("--require-witness", action="store_true", help="exit 2 unless a known witness has cosigned")
    parser.add_argument("--require-complete", action="store_true", help="exit 2 unless it holds the whole log")
    parser.add_argument("--skew", type=int, default=600, help="seconds an entry may lie beyond the ticks around it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes to use")
    parser.add_argument("--only-tree", action="store_true", help="check leaves, tree and signature, and nothing else")
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse ends with 2 for bad usage, which here would mean "not enough"
        return 3 if stop.code else 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a console that lacks a character must not stop the verdict
    bundle = None
    try:
        bundle = Bundle(Path(options.bundle))
        note = bundle.small("checkpoint")
        try:
            checkpoint = parse_checkpoint(note)
        except ValueError as error:
            print(f"TAMPERED  signature: the file checkpoint is damaged ({str(error)!a})")
            return 1
        return Case(bundle, checkpoint, options.key).judge(options)
    except Exception as error:  # noqa: BLE001 - nothing may end in Python's own exit code 1, which says tampered here
        print(f"UNUSABLE  {type(error).__name__}: {str(error)!a}")
    finally:
        if bundle is not None and bundle.archive is not None:
            bundle.archive.close()
    return 3


if __name__ == "__main__":
    sys.exit(main())
