"""The kill test: eight writers at work, and the sequencer, the web, the database and their parts killed without a word.

Whatever happened, every committed change has exactly one entry, every entry its change, indices are contiguous and all
checkpoints are of one history. ``PLIMSOLL_KILL_ROUNDS`` sets how many rounds, ``PLIMSOLL_KILL_SEED`` repeats a choice.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit import merkle
from audit.note import Verifier, open_note, parse_checkpoint
from deploy.run.stack import Stack
from tests.integration import accounts
from tests.integration.kill_load import Load, Victims

pytestmark = pytest.mark.xdist_group("kill")

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("PLIMSOLL_KILL_ROUNDS", "50"))
SEED = int(os.environ.get("PLIMSOLL_KILL_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
EACH = 10  # rounds between two looks at everything
WRITTEN = 16  # acknowledged changes after which a round is over
PATIENCE = 90.0

KEYS = (
    "SELECT object_name, key, count(*) FROM (SELECT m.name AS object_name,"
    " convert_from(e.leaf_data, 'UTF8')::jsonb #>> '{change,after,key}' AS key"
    " FROM audit_event e JOIN registry_registeredmodel m ON m.id::text = e.object_id"
    " WHERE e.log = 'admin' AND e.action = 'registered_model.tag' AND e.outcome = 'success') told GROUP BY 1, 2"
)
CHANGES = "SELECT m.name, t.key, count(*) FROM registry_modeltag t JOIN registry_registeredmodel m ON m.id = t.model_id"


def test_nothing_is_lost_doubled_or_forked_however_parts_are_killed() -> None:
    chance = random.Random(SEED)
    killed: Counter[str] = Counter()
    kept: dict[tuple[str, int], str] = {}
    with tempfile.TemporaryDirectory(prefix="plimsoll-kill-") as folder, Stack(Path(folder), port=0) as stack:
        token = accounts.tokens(stack, kill_ada="data_scientist")["kill_ada"]
        load = Load(stack.url, token, threads=8)
        victims = Victims(stack, chance)
        load.start()
        began = time.monotonic()
        try:
            for number in range(1, ROUNDS + 1):
                time.sleep(chance.uniform(0.05, 0.6))
                killed[victims.kill_one()] += 1
                _wait_for_writers(load, stack)
                if number % EACH == 0 or number == ROUNDS:
                    _assert_sound(stack, load, kept)
            load.stop()
            _settle(stack)
            _assert_sound(stack, load, kept, whole=True)
            _assert_doctor_agrees(stack)
        except BaseException:
            sys.stdout.write(f"PLIMSOLL_KILL_SEED={SEED}; killed: {dict(killed)}; console:\n{stack.said[-3000:]}")
            raise
        seconds = time.monotonic() - began
        sys.stdout.write(
            f"{ROUNDS} rounds in {seconds:.0f} s, killed {dict(killed)}; {len(load.acknowledged)} changes acknowledged,"
            f" not answered or refused by status {dict(load.failures)}, {len(kept)} checkpoints\n"
        )


def _wait_for_writers(load: Load, stack: Stack) -> None:
    """Until writing goes on, after whatever was killed is back."""
    wanted, until = len(load.acknowledged) + WRITTEN, time.monotonic() + PATIENCE
    while len(load.acknowledged) < wanted:
        assert time.monotonic() < until, f"Nothing is written any more. The console says:\n{stack.said[-3000:]}"
        time.sleep(0.02)


def _connected(stack: Stack) -> psycopg.Connection[Any]:
    """The database as the service sees it; it may be on its way back."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return psycopg.connect(stack.environment["PLIMSOLL_DB_APP"])
        except psycopg.OperationalError:
            assert time.monotonic() < until
            time.sleep(0.1)


def _asked(stack: Stack, *queries: str) -> list[list[Any]]:
    """The answers to some queries, all seen at one instant."""
    with _connected(stack) as database:
        database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return [database.execute(query.encode()).fetchall() for query in queries]


def _settle(stack: Stack) -> None:
    """Until everything is sequenced and signed."""
    until = time.monotonic() + PATIENCE
    sizes: list[Any] = [("?",)]
    while sizes:
        assert time.monotonic() < until, f"Something waits for ever: {sizes}\n{stack.said[-3000:]}"
        (sizes,) = _asked(
            stack,
            "SELECT 'pending', count(*) FROM audit_pending HAVING count(*) > 0 UNION ALL"
            " SELECT l.log, l.entries - coalesce(c.size, 0) FROM (SELECT log, count(*) AS entries FROM audit_leaf"
            " GROUP BY log) l LEFT JOIN (SELECT log, max(size) AS size FROM audit_checkpoint GROUP BY log) c"
            " ON c.log = l.log WHERE l.entries <> coalesce(c.size, 0)",
        )
        time.sleep(0.1)


def _assert_sound(stack: Stack, load: Load, kept: dict[tuple[str, int], str], *, whole: bool = False) -> None:
    """Everything that must hold at any instant; ``whole`` also what holds once nobody writes and all is signed."""
    acknowledged = set(load.acknowledged)  # before the database is asked, which may know more
    told, changes, leaves, checkpoints, keys, set_aside = _asked(
        stack,
        KEYS,
        f"{CHANGES} GROUP BY 1, 2",
        "SELECT log, seq, leaf_hash FROM audit_leaf ORDER BY log, seq",
        "SELECT log, size, note FROM audit_checkpoint ORDER BY log, size",
        "SELECT verifier FROM audit_log_key",
        "SELECT * FROM audit_quarantine",
    )
    assert load.refusals == []
    assert set(load.failures) <= {0, 500, 502, 503}
    assert set_aside == []
    assert {count for *_, count in (*told, *changes)} <= {1}
    entries = {(model, key) for model, key, _ in told}
    assert entries == {(model, key) for model, key, _ in changes}
    assert acknowledged <= entries
    known = [Verifier.parse(verifier) for (verifier,) in keys]
    for log in ("admin", "access"):
        hashes = [bytes(leaf_hash) for name, _, leaf_hash in leaves if name == log]
        assert [seq for name, seq, _ in leaves if name == log] == list(range(len(hashes)))
        signed = [(size, note) for name, size, note in checkpoints if name == log]
        _assert_one_history(hashes, signed, known)
        for size, note in signed:
            assert kept.setdefault((log, size), note) == note
        assert {size for name, size in kept if name == log} == {size for size, _ in signed}
        assert not whole or signed[-1][0] == len(hashes)


def _assert_one_history(hashes: list[bytes], signed: list[tuple[int, str]], known: list[Verifier]) -> None:
    """Every checkpoint is signed, is over exactly these entries, and is proven to continue the one before it."""
    tree = merkle.MemoryTree(hashes)
    before: tuple[int, bytes] | None = None
    for size, note in signed:
        checkpoint = parse_checkpoint(open_note(note, known)[0])
        assert checkpoint.size == size
        assert checkpoint.root == tree.root(size)
        if before is not None:
            proof = merkle.consistency_proof(before[0], size, tree.node)
            assert merkle.verify_consistency(before[0], size, before[1], checkpoint.root, proof)
        before = (size, checkpoint.root)


def _assert_doctor_agrees(stack: Stack) -> None:
    """The doctor finds nothing but that nobody outside has confirmed this installation."""
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        cwd=ROOT,
        env={**os.environ, **stack.environment, "DJANGO_SETTINGS_MODULE": "web.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    found = {each["code"]: each["sentence"] for each in report["findings"] if each["severity"] != "note"}
    assert set(found) <= {"unwitnessed"}, found
    assert done.returncode == 2
