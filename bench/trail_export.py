"""How fast the trail is exported, and in how much memory: python -m bench.trail_export [ENTRIES] [WITH OPENINGS]

A log of real leaves is put into a fresh database, and bundles of it are made as a worker makes them, each in a process
of its own. The budget holds for the whole bundle with all of its views, of a log without openings: at least 100,000
entries a second, in memory that does not grow with the entries. What decrypting openings costs is printed beside it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._fresh import ROOT, fresh
from bench._log import fill

BUDGET = 100_000
GROWTH = 1.25  # peak memory of the whole log over that of a tenth of it
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))


def measure(views: str, disclosures: bool, size: int) -> dict[str, float]:
    """Make one bundle in this process; entries a second, megabytes of the ZIP, and of the process at its largest."""
    import django

    django.setup()
    from audit import export
    from audit.export import VIEWS, Asked
    from audit.queries import Filter

    asked = Asked(Filter(), views={"all": VIEWS, "csv": ("csv",)}.get(views, ()), disclosures=disclosures)
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder, tempfile.TemporaryFile() as out:
        began, used = time.perf_counter(), time.process_time()
        made = export.build(asked, size, Path(folder), out, exporter="p:1", made_at="2026-03-09T00:00:00.000000Z")
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
    # Not getrusage: what the parent process once had is in there too.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "rate": made.entries / seconds,
        "cpu": cpu / made.entries * 1e6,
        "zip": made.bytes / 1e6,
        "peak": int(status["VmHWM"].split()[0]) / 1024,
    }


def apart(views: str, disclosures: bool, size: int) -> dict[str, float]:
    """The best of a few rounds, each in a process of its own."""
    command = [sys.executable, "-m", "bench.trail_export", "--one", views, str(disclosures), str(size)]
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        rounds.append(json.loads(done.stdout.splitlines()[-1]))
    return max(rounds, key=lambda each: each["rate"])


def line(name: str, found: dict[str, Any]) -> None:
    print(
        f"{name:54} {found['rate']:>9,.0f} entries/s   {found['cpu']:5.1f} µs CPU each   ZIP {found['zip']:7.1f} MB"
        f"   peak {found['peak']:5.0f} MB"
    )


def sign_at(admin: str, sizes: list[int]) -> None:
    """Checkpoints at smaller sizes as well, so that a part of the log can be exported."""
    import psycopg

    from audit import merkle, sequencer
    from audit.note import Checkpoint, SigningKey

    key = SigningKey.generate(sequencer.origin("admin"))
    with psycopg.connect(admin) as connection:
        for size in sizes:
            hashes = [
                bytes(row[0])
                for row in connection.execute(
                    "SELECT leaf_hash FROM audit_leaf WHERE log = 'admin' AND seq < %s ORDER BY seq", [size]
                )
            ]
            frontier = merkle.extend([], 0, hashes)
            root = merkle.root_of(frontier, size)
            note = key.sign(Checkpoint(sequencer.origin("admin"), size, root).text())
            tree = "INSERT INTO audit_tree (log, size, root, frontier) VALUES ('admin', %s, %s, %s)"
            connection.execute(tree, [size, root, frontier])
            connection.execute("INSERT INTO audit_checkpoint (log, size, note) VALUES ('admin', %s, %s)", [size, note])


def main(entries: int, openings: int) -> int:
    with fresh() as made:
        fill(made.database, entries, openings=openings)
        tenth = entries // 10
        sign_at(made.database, sorted({tenth, openings} - {0, entries}))
        line(f"(a) authoritative members of {entries:,} entries", apart("none", False, entries))
        line("    with the table (CSV) as the only view", apart("csv", False, entries))
        whole = apart("all", True, entries) if not openings else apart("all", False, entries)
        line(f"(b) whole bundle, all views, {entries:,} entries", whole)
        part = apart("all", False, tenth)
        line(f"    the same of the first {tenth:,}", part)
        if openings:
            line(f"(c) whole bundle of {openings:,} with two openings each", apart("all", True, openings))
    held = whole["rate"] >= BUDGET and whole["peak"] <= GROWTH * part["peak"]
    print(
        f"budget: (b) at least {BUDGET:,} entries/s, and at most {GROWTH} of the memory of a tenth of the entries"
        f" ({whole['peak'] / part['peak']:.2f}): {'holds' if held else 'DOES NOT HOLD'}"
    )
    return 0 if held else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3] == "True", int(sys.argv[4]))))
        sys.exit(0)
    numbers = [int(each) for each in sys.argv[1:]]
    sys.exit(main(numbers[0] if numbers else 1_000_000, numbers[1] if numbers[1:] else 100_000))
