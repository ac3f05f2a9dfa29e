"""What the trail costs a writer, and how soon an entry is signed.

Eight connections write as fast as they can, one entry per transaction, in turns: a plain INSERT of a ready leaf into an
ordinary table with the same columns and a primary key, then the statements of an append (object's lock and chain,
event, queue, head, indexes) while the sequencer runs: each writer to fifty objects of its own again and again, then to
objects nobody saw before, then with two openings. Both sides send prepared statements through the same driver. The
budget: at least 0.6 of the plain rate, and 99 of 100 entries under a signed checkpoint within a second. A hash chain
under one lock is run as well, and, without a budget, the whole append as the service does it (leaf, digests,
encryption, MAC) against the plain INSERT sent the way Django sends it.
"""

import hashlib
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import time
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from bench._fresh import ROOT, fresh

WRITERS = 8
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
BUDGET, LAG_BUDGET = 0.6, 1.0
PLAIN = (
    "CREATE TABLE bench_plain (id uuid, recorded_at timestamptz, log text, action text, outcome text, object_type text,"
    " object_id text, object_n bigint, actor_ref text, leaf_data bytea, mac bytea, PRIMARY KEY (id));"
    "CREATE TABLE bench_chain (n bigint PRIMARY KEY, leaf_data bytea, hash bytea);"
    "GRANT SELECT, INSERT, UPDATE, DELETE ON bench_plain, bench_chain TO plimsoll_app"
)
INSERT = "INSERT INTO bench_plain VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"


LEAF = b"{" + b"0123456789abcdef" * 33 + b"0123456789abc"  # 542 bytes, the size of an entry
LEAF_HASH = hashlib.sha256(b"\x00" + LEAF).digest()
OPENINGS = ("actor/name", "request/ip")


def row_of(number: int, name: str) -> list[Any]:
    from audit import clock
    from audit.ids import uuid7

    return [uuid7(), clock.now(), "admin", "model_version.tag", "success", "model_version", name, number, "p", LEAF]


def plain(number: int, name: str) -> None:
    from django.db import connection
    from psycopg import Cursor

    driver = connection.connection
    with driver.transaction():
        Cursor(driver).execute(INSERT, [*row_of(number, name), b"\x00" * 32], prepare=True)


def plain_by_django(number: int, name: str) -> None:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(INSERT, [*row_of(number, name), b"\x00" * 32])


def chained(number: int, name: str) -> None:
    from hashlib import sha256

    from django.db import connection
    from psycopg import Cursor

    driver = connection.connection
    with driver.transaction():
        cursor = Cursor(driver)
        cursor.execute("SELECT pg_advisory_xact_lock(42)", prepare=True)
        cursor.execute("SELECT n, hash FROM bench_chain ORDER BY n DESC LIMIT 1", prepare=True)
        last, before = cursor.fetchone() or (0, b"")
        row = [last + 1, LEAF, sha256(bytes(before) + LEAF).digest()]
        cursor.execute("INSERT INTO bench_chain VALUES (%s, %s, %s)", row, prepare=True)


def statements(number: int, name: str, paths: tuple[str, ...] = (), objects: int = 50) -> None:
    from django.db import connection
    from psycopg import Cursor

    from audit import expected, rows
    from audit.actors import SYSTEM
    from audit.subjects import Subject

    driver = connection.connection
    subject = Subject(type="model_version", id=f"{name}-{number % objects}")
    with driver.transaction():
        cursor = Cursor(driver)
        link: rows.Link | None
        if (likely := rows.likely("admin", subject, SYSTEM)) is None:
            link = rows.link(cursor, "admin", subject, SYSTEM)
        else:
            event, sealed = ready(number, subject.id, likely, paths)
            link = rows.insert_if(cursor, subject, SYSTEM, likely, event, sealed)
        if link is not None:
            event, sealed = ready(number, subject.id, link, paths)
            rows.insert(cursor, event, sealed)
        expected.keep_end(subject, expected.End(event.object_n or 0, LEAF_HASH))


def ready(number: int, name: str, link: Any, paths: tuple[str, ...]) -> tuple[Any, Any]:
    """An event's row and its openings, without making the leaf: the plain INSERT makes none either."""
    from audit import rows
    from audit.mac import writer_mac
    from audit.vault import Sealed

    sealed = [Sealed(link.ref, path, LEAF[:130], list(range(number, number + 8))) for path in paths]
    return rows.Event(*row_of(link.n or 0, name), writer_mac(LEAF)), sealed


def on_new_objects(number: int, name: str) -> None:
    statements(number, name, objects=1 << 30)


def with_openings(number: int, name: str) -> None:
    statements(number, name, OPENINGS)


def whole(number: int, name: str) -> None:
    from django.db import transaction

    from audit import trail
    from audit.actors import Actor
    from audit.events import Action
    from audit.subjects import Subject

    by = Actor("user", name, "Ada Lovelace", "bearer", f"r{number}", "192.0.2.7")
    change = {"before": {"value": "0.81"}, "after": {"value": f"{number}", "key": "validation_status"}}
    subject = Subject(type="model_version", id=f"{name}-{number % 50}", scope="credit", label="credit 3")
    with transaction.atomic():
        trail.append(trail.Draft(by, Action.VERSION_TAG, "success", subject, change))


KINDS = {
    "plain INSERT": plain,
    "append": statements,
    "append to objects never seen": on_new_objects,
    "append with two openings": with_openings,
    "hash chain under a lock": chained,
    "plain INSERT by Django": plain_by_django,
    "the service's whole append": whole,
}
PEERS = {"the service's whole append": "plain INSERT by Django"}


def writer(kind: str, name: str, stop_at: "Synchronized[float]", count: Any) -> None:
    from django.db import connection

    connection.ensure_connection()
    write = KINDS[kind]
    write(0, name)
    number = 0
    while not stop_at.value:
        time.sleep(0.01)
    while time.monotonic() < stop_at.value:
        number += 1
        write(number, name)
    count.value = number


def rate(kind: str, turn: int) -> float:
    """Entries a second of all writers together."""
    context = multiprocessing.get_context("fork")
    stop_at = context.Value("d", 0.0)
    counts = [context.Value("q", 0) for _ in range(WRITERS)]
    writers = [
        context.Process(target=writer, args=(kind, f"{kind}{turn}-{i}", stop_at, counts[i])) for i in range(WRITERS)
    ]
    for each in writers:
        each.start()
    time.sleep(1.0)
    stop_at.value = time.monotonic() + SECONDS
    for each in writers:
        each.join()
    return sum(count.value for count in counts) / SECONDS


LAG = """
SELECT percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (ORDER BY extract(epoch FROM signed.made_at - e.recorded_at))
FROM audit_leaf l JOIN audit_event e ON e.id = l.event_id,
LATERAL (SELECT min(c.made_at) AS made_at FROM audit_checkpoint c WHERE c.log = l.log AND c.size > l.seq) signed
WHERE l.log = 'admin' AND e.action = 'model_version.tag'
"""


def lag(database: str) -> list[float]:
    """Seconds from an entry's time to the first checkpoint over it: median, 99th percentile, most."""
    import psycopg

    with psycopg.connect(database) as connection:
        for _ in range(200):
            row = connection.execute("SELECT count(*) FROM audit_pending").fetchone()
            if row == (0,):
                break
            time.sleep(0.1)
        time.sleep(0.5)
        found = connection.execute(LAG).fetchone()
    assert found is not None
    return [float(value) for value in found[0]]


def main() -> int:
    """Measure; 1 when a budget is missed."""
    import psycopg

    with fresh() as place:
        with psycopg.connect(place.database, autocommit=True) as connection:
            connection.execute(PLAIN)
        sequencer = subprocess.Popen(
            [sys.executable, "manage.py", "sequencer", "--skip-checks"],
            cwd=ROOT,
            env={**os.environ, "PLIMSOLL_ROLE": "sequencer", "PLIMSOLL_LOG_LEVEL": "ERROR"},
        )
        try:
            found: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for turn in range(ROUNDS):
                for kind in KINDS:
                    found[kind].append(rate(kind, turn))
            middle, late, worst = lag(place.database)
        finally:
            sequencer.send_signal(signal.SIGTERM)
            sequencer.wait()
    ratios = {}
    for kind, values in found.items():
        peer = PEERS.get(kind, "plain INSERT")
        ratios[kind] = statistics.median(mine / other for mine, other in zip(values, found[peer], strict=True))
        print(f"{kind}: {statistics.median(values):.0f}/s at {WRITERS} connections, {ratios[kind]:.2f} of a {peer}")
    print(f"append: {ratios['append']:.2f} of a plain INSERT (budget at least {BUDGET})")
    print(f"signed after: median {middle:.2f} s, p99 {late:.2f} s, worst {worst:.2f} s (budget p99 {LAG_BUDGET} s)")
    return int(ratios["append"] < BUDGET or late > LAG_BUDGET)


if __name__ == "__main__":
    sys.exit(main())
