"""A log of many entries in a fresh database, by COPY as the superuser: what the benchmarks of reading work on.

The rows are those that writers and sequencer would have left: real leaves with chains and digests, leaf hashes, tiles,
the committed tree and its signed checkpoint. Openings only where asked for.
"""

import base64
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg

OBJECTS = 10_000
PEOPLE = 200
SPAN = timedelta(days=80)
_ACTS = ("model_version.create", "model_version.tag", "promotion.decide", "registered_model.update", "evidence.attach")
_BATCH = 20_000


@dataclass(frozen=True)
class Entry:
    """One event, as the row and as the leaf."""

    id: UUID
    at: datetime
    action: str
    object_id: str
    n: int
    ref: str
    leaf: bytes
    openings: tuple[tuple[str, str], ...]


def fill(admin: str, entries: int, *, openings: int = 0) -> None:
    """Put ``entries`` into the log ``admin`` of the database at ``admin`` (a connection string of the superuser).

    The first ``openings`` of them get theirs.
    """
    with psycopg.connect(admin) as connection:
        connection.execute("SELECT audit_make_months((now() - interval '3 months')::date, 5)")
        connection.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_enqueue")
        hashes = []
        batch: list[Entry] = []
        for number, entry in enumerate(_entries(entries, openings), start=1):
            batch.append(entry)
            hashes.append(sha256(b"\x00" + entry.leaf).digest())
            if len(batch) == _BATCH or number == entries:
                _copy(connection, batch, number - len(batch), hashes[number - len(batch) : number])
                batch.clear()
        connection.execute("ALTER TABLE audit_event ENABLE ALWAYS TRIGGER audit_enqueue")
        _integrate(connection, hashes)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _entries(entries: int, openings: int) -> Iterator[Entry]:
    from audit import canonical, disclosure

    chosen = random.Random(7)
    first = datetime.now(UTC).replace(microsecond=0) - SPAN
    refs = [f"p:{chosen.getrandbits(128):032x}" for _ in range(PEOPLE)]
    objects = [str(UUID(int=chosen.getrandbits(128), version=4)) for _ in range(OBJECTS)]
    last: dict[str, tuple[int, str]] = {}
    for number in range(entries):
        at = first + number * (SPAN / entries)
        milliseconds = int(at.timestamp() * 1000)
        event_id = UUID(
            int=milliseconds << 80 | 7 << 76 | chosen.getrandbits(12) << 64 | 2 << 62 | chosen.getrandbits(62)
        )
        object_id, ref, action = chosen.choice(objects), chosen.choice(refs), _ACTS[number % len(_ACTS)]
        n, prev = last.get(object_id, (0, ""))
        found: tuple[tuple[str, str], ...] = ()
        if number < openings:
            pairs = [disclosure.disclose("name", ref[2:12]), disclosure.disclose("ip", "192.0.2.7")]
            found = (("actor/name", pairs[0][0]), ("request/ip", pairs[1][0]))
            name, ip = pairs[0][1], pairs[1][1]
        else:
            name, ip = _digest(chosen), _digest(chosen)
        leaf = (
            b'{"action":"%b","actor":{"_sd":["%b"],"auth":"session","ref":"%b","type":"user"},"change":{"after":{'
            b'"stage":"Production"},"on":"credit-%d version %d"},"id":"%b","log":"admin","object":{"id":"%b","n":%d,'
            b'"prev":%b,"type":"model_version"},"outcome":"success","request":{"_sd":["%b"],"id":"%016x"},"time":"%b","v":1}'
        ) % (
            action.encode(), name.encode(), ref.encode(), number % 300, n + 1, str(event_id).encode(),
            object_id.encode(), n + 1, b'"%b"' % prev.encode() if n else b"null", ip.encode(), chosen.getrandbits(64),
            at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode(),
        )  # fmt: skip
        if number < 100:
            import json

            assert canonical.encode(json.loads(leaf)) == leaf
        last[object_id] = (n + 1, sha256(b"\x00" + leaf).hexdigest())
        yield Entry(event_id, at, action, object_id, n + 1, ref, leaf, found)


def _digest(chosen: random.Random) -> str:
    return base64.urlsafe_b64encode(chosen.randbytes(32)).rstrip(b"=").decode()


def _copy(connection: psycopg.Connection[Any], batch: list[Entry], start: int, hashes: list[bytes]) -> None:
    columns = "id, recorded_at, log, action, outcome, object_type, object_id, object_n, actor_ref, leaf_data, mac"
    with connection.cursor().copy(f"COPY audit_event ({columns}) FROM STDIN") as copy:
        for each in batch:
            copy.write_row((each.id, each.at, "admin", each.action, "success", "model_version", each.object_id, each.n,
                            each.ref, each.leaf, bytes(32)))  # fmt: skip
    with connection.cursor().copy("COPY audit_leaf (log, seq, event_id, leaf_hash) FROM STDIN") as copy:
        for offset, (each, leaf_hash) in enumerate(zip(batch, hashes, strict=True)):
            copy.write_row(("admin", start + offset, each.id, leaf_hash))
    _copy_openings(connection, [each for each in batch if each.openings])


def _copy_openings(connection: psycopg.Connection[Any], batch: list[Entry]) -> None:
    from audit import keys, vault

    person_keys = {ref: sha256(b"bench" + ref.encode()).digest() for ref in {each.ref for each in batch}}
    for ref, key in person_keys.items():
        wrapped = vault._encrypt(keys.secret("wrapping"), key, ref.encode())
        connection.execute("INSERT INTO audit_subject_key VALUES (%s, %s) ON CONFLICT DO NOTHING", [ref, wrapped])
    columns = "event_id, path, subject_id, ciphertext, kid"
    with connection.cursor().copy(f"COPY audit_disclosure ({columns}) FROM STDIN") as copy:
        for each in batch:
            for path, text in each.openings:
                sealed = vault._encrypt(person_keys[each.ref], text.encode(), f"{each.id}/{path}".encode())
                copy.write_row((each.id, path, each.ref, sealed, vault.WRAPPING_KEY_ID))


def _integrate(connection: psycopg.Connection[Any], hashes: list[bytes]) -> None:
    """Tiles, tree, checkpoint and key of the whole log."""
    from audit import merkle, sequencer
    from audit.note import Checkpoint, SigningKey

    level, below = 0, hashes
    while len(below) >= 256:
        tiles = [below[i : i + 256] for i in range(0, len(below) - 255, 256)]
        with connection.cursor().copy("COPY audit_tile (log, level, idx, hashes) FROM STDIN") as copy:
            for idx, tile in enumerate(tiles):
                copy.write_row(("admin", level, idx, b"".join(tile)))
        below = [merkle.MemoryTree(tile).node(8, 0) for tile in tiles]
        level += 1
    frontier = merkle.extend([], 0, hashes)
    root = merkle.root_of(frontier, len(hashes))
    key = SigningKey.generate(sequencer.origin("admin"))
    note = key.sign(Checkpoint(sequencer.origin("admin"), len(hashes), root).text())
    connection.execute(
        "INSERT INTO audit_tree (log, size, root, frontier) VALUES ('admin', %s, %s, %s)", [len(hashes), root, frontier]
    )
    connection.execute("INSERT INTO audit_checkpoint (log, size, note) VALUES ('admin', %s, %s)", [len(hashes), note])
    connection.execute("INSERT INTO audit_log_key (verifier, log, from_size) VALUES (%s, 'admin', 0)", [key.verifier])


if __name__ == "__main__":
    import sys

    from bench._fresh import fresh

    with fresh() as made:
        began = time.perf_counter()
        fill(made.database, int(sys.argv[1]))
        print(f"{time.perf_counter() - began:.1f} s")
