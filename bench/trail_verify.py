"""Verifying a million entries offline, against hashlib's own rate on 512-byte messages, in one run.

What belongs here: the budgets of `audit/verify.py`. What does not: what it accepts, which tests hold. Each figure is
taken in a fresh interpreter without site packages, as an auditor starts it. Exits 1 when a budget is missed.

    python -m bench.trail_verify [ENTRIES] [-v]
"""

import base64
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from audit import canonical, merkle, note, verify

ENTRIES = 1_000_000
TREE_RATIO = 0.45  # of hashlib.sha256 on 512-byte messages, one core
ALL_SECONDS = 10.0  # CPU, per million entries
ROUNDS = 8
ORIGIN = "bench.example.org/audit/admin"
SPAN = timedelta(days=80)
OBJECTS, PEOPLE, DISCLOSED = 10_000, 200, 10  # one entry in DISCLOSED shows what its digests stand for
ACTS = ("model_version.create", "model_version.tag", "promotion.decide", "registered_model.update", "evidence.attach")

LEAF = (
    '{"action":"%s","actor":{"_sd":["%s"],"auth":"session","ref":"%s","type":"user"},'
    '"change":{"after":{"alias":"%s"},"on":"%d"},"id":"%s","log":"admin",'
    '"object":{"id":"%s","n":%d,"prev":%s,"type":"model_version"},"outcome":"success",'
    '"request":{"_sd":["%s"],"id":"%s"},"time":"%s","v":1}'
)
TICK = (
    '{"action":"audit.tick","actor":{"auth":"","ref":"p:sequencer","type":"system"},"change":{"after":{"signed_size":%d}},'
    '"id":"%s","log":"admin","object":{"id":"admin","n":%d,"prev":%s,"type":"log"},"outcome":"success",'
    '"request":{"id":""},"time":"%s","v":1}'
)


class Made(NamedTuple):
    """One entry: its leaf, and its openings when it shows them."""

    event_id: str
    leaf: bytes
    openings: tuple[str, ...]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def entries(count: int) -> Iterator[Made]:
    chosen = random.Random(7)
    begun, step, hour = datetime(2025, 1, 1, tzinfo=UTC), SPAN / count, -1
    people = [f"p:{chosen.getrandbits(128):032x}" for _ in range(PEOPLE)]
    objects = [f"{chosen.getrandbits(48):012x}" for _ in range(OBJECTS)]
    last: dict[str, tuple[int, str]] = {}

    def link(name: str) -> tuple[int, str]:
        n, prev = last.get(name, (0, "null"))
        return n + 1, prev

    for number in range(count):
        at = begun + number * step
        when = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        bits = f"{int(at.timestamp() * 1000):012x}7{chosen.getrandbits(12):03x}{8 << 60 | chosen.getrandbits(60):016x}"
        event_id = "-".join((bits[:8], bits[8:12], bits[12:16], bits[16:20], bits[20:]))
        ticks = (at - begun) // timedelta(hours=1) != hour
        name = "admin" if ticks else objects[chosen.randrange(OBJECTS)]
        n, prev = link(name)
        openings: tuple[str, ...] = ()
        if ticks:
            hour = (at - begun) // timedelta(hours=1)
            text = TICK % (number, event_id, n, prev, when)
        else:
            salts = [b64(chosen.randbytes(32)) for _ in range(2)]
            openings = tuple(b64(f'["{salt}","name","A. N. Other {number}"]'.encode()) for salt in salts)
            digests = [b64(hashlib.sha256(opening.encode()).digest()) for opening in openings]
            text = LEAF % (
                ACTS[number % len(ACTS)], digests[0], people[number % PEOPLE], ("champion", "candidate")[number % 2],
                number % 100, event_id, name, n, prev, digests[1], bits[:8], when,
            )  # fmt: skip
        leaf = text.encode()
        last[name] = n, f'"{merkle.leaf_hash(leaf).hex()}"'
        yield Made(event_id, leaf, openings if number % DISCLOSED == 0 else ())


def write_bundle(folder: Path, count: int) -> None:
    """A format 2 bundle of the whole log, unpacked; its leaves are checked to be what the service would write."""
    hashes, shown = [], 0
    with (folder / "events.ndjson").open("wb") as events, (folder / "disclosures.ndjson").open("w") as disclosures:
        for number, made in enumerate(entries(count)):
            if number < 200:
                assert canonical.encode(json.loads(made.leaf)) == made.leaf
            events.write(made.leaf + b"\n")
            hashes.append(merkle.leaf_hash(made.leaf))
            for opening in made.openings:
                shown += 1
                disclosures.write(f'{{"event_id":"{made.event_id}","path":"actor/name","disclosure":"{opening}"}}\n')
    key = note.SigningKey(ORIGIN, hashlib.sha256(b"a key for a benchmark").digest())
    checkpoint = note.Checkpoint(ORIGIN, count, merkle.MemoryTree(hashes).root())
    manifest = {
        "format": "plimsoll-audit-export/2", "log": "admin", "origin": ORIGIN, "size": count, "entries": count,
        "first_index": 0, "last_index": count - 1, "completeness": "range", "disclosures": shown, "minimum_index": 0,
    }  # fmt: skip
    documents: dict[str, Any] = {
        "manifest.json": manifest,
        "trust.json": {"origin": ORIGIN, "keys": [{"key": key.verifier, "from_size": 0, "to_size": None}]},
        "range-proof": {"start": 0, "end": count, "size": count, "left": [], "right": []},
    }
    for name, value in documents.items():
        (folder / name).write_text(json.dumps(value))
    (folder / "leaf-hashes").write_text("".join(each.hex() + "\n" for each in hashes))
    (folder / "checkpoint").write_text(key.sign(checkpoint.text()))
    shutil.copy(verify.__file__, folder / "verify.py")


HASHING = """
import json, sys, time
from hashlib import sha256
count = int(sys.argv[1])
messages = [number.to_bytes(4, "big") * 128 for number in range(50_000)]  # 25 MB: out of memory, as entries come
begun = time.process_time(), time.perf_counter()
for _ in range(count // 50_000):
    for message in messages:
        sha256(message).digest()
print(json.dumps([0, time.process_time() - begun[0], time.perf_counter() - begun[1], 0]))
"""

VERIFYING = """
import io, json, re, sys, time
sys.path.insert(0, sys.argv[1])
import verify
told, sys.stdout = sys.stdout, io.StringIO()
begun = time.process_time(), time.perf_counter()
code = verify.main(sys.argv[1:])
spent = time.process_time() - begun[0], time.perf_counter() - begun[1]
most = re.search(r"VmHWM:\\s+([0-9]+)", open("/proc/self/status").read())
print(json.dumps([code, *spent, int(most.group(1)) // 1024]), file=told)
"""


class Spent(NamedTuple):
    code: int
    cpu: float
    wall: float
    megabytes: int


def alone(program: str, *arguments: str) -> Spent:
    command = [sys.executable, "-I", "-S", "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    spent = Spent(*json.loads(done.stdout))
    if spent.code:
        raise SystemExit(f"the bundle did not verify: exit code {spent.code}")
    return spent


def least(runs: list[Spent]) -> Spent:
    """Every figure at its least, so that one interruption does not decide."""
    return Spent(*(min(figures) for figures in zip(*runs, strict=True)))


def line(what: str, figure: str, budget: str, holds: bool) -> bool:
    print(f"{what}: {figure} (budget {budget}: {'holds' if holds else 'MISSED'})")
    return holds


def main() -> int:
    count = next((int(each) for each in sys.argv[1:] if each.isdigit()), ENTRIES) // 50_000 * 50_000
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        write_bundle(folder, count)
        size = (folder / "events.ndjson").stat().st_size
        hashing, tree, serial, double = [], [], [], []
        for _ in range(ROUNDS):
            hashing.append(alone(HASHING, str(count)))
            tree.append(alone(VERIFYING, path, "--jobs", "1", "--only-tree"))
        for _ in range(ROUNDS // 2):
            serial.append(alone(VERIFYING, path, "--jobs", "1"))
            double.append(alone(VERIFYING, path, "--jobs", "2"))
    peer, bare, one, two = least(hashing), least(tree), least(serial), least(double)
    ratio, twice, seconds = peer.cpu / bare.cpu, two.wall / one.wall, one.cpu / count * 1_000_000
    if "-v" in sys.argv:
        print(f"{count} entries of {size / count:.0f} bytes; sha256 of 512 bytes {count / peer.cpu:,.0f}/s")
        print(f"tree: {count / bare.cpu:,.0f}/s in {bare.megabytes} MB; everything: {count / one.cpu:,.0f}/s "
              f"in {one.megabytes} MB, {peer.cpu / one.cpu:.3f} of sha256")  # fmt: skip
        print(f"wall: one process {one.wall:.2f} s, two {two.wall:.2f} s ({two.megabytes} MB in the first)")
    held = [
        line(
            "leaves, tree and signature / sha256 on 512 bytes, per core",
            f"{ratio:.3f}",
            f"{TREE_RATIO}",
            ratio >= TREE_RATIO,
        ),
        line("every check, CPU seconds per million", f"{seconds:.2f}", f"{ALL_SECONDS}", seconds <= ALL_SECONDS),
        line("every check, two processes / one, wall", f"{twice:.2f}", "below 1", twice < 1),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
