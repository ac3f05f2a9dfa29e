"""What an export holds and proves, on logs in a database of the test's own, judged by the verifier in the bundle."""

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from access import actions
from access.roles import Role
from audit import bundle, export, merkle, queries, stream
from audit.actors import SYSTEM, Actor
from audit.clock import rfc3339
from audit.errors import Denied, Invalid, TooLarge, Unavailable
from audit.events import Action
from audit.export import Asked
from audit.models import Checkpoint, Event, Leaf, Tree
from audit.queries import Filter
from audit.step import STEP
from audit.stream import Source
from tests import factories
from tests.audit import grown_log


def grants(count: int) -> str:
    """As many entries on one new account as ``count``, its creation among them; its id."""
    user = factories.account()
    for number in range(count - 1):
        actions.grant_role(by=SYSTEM, user=user, role=Role.VIEWER, pattern=f"model-{number}")
    return str(user.pk)


@pytest.fixture
def auditor(fresh_database: str) -> Actor:
    return factories.actor(Role.AUDITOR)


def exported(by: Actor, folder: Path, **asked: Any) -> tuple[Path, dict[str, Any]]:
    """The unpacked bundle and its manifest."""
    out = io.BytesIO()
    made = export.export(by=by, asked=Asked(**asked), out=out)
    with zipfile.ZipFile(out) as files:
        assert files.testzip() is None
        files.extractall(folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert (manifest["entries"], manifest["size"]) == (made.entries, made.size)
    return folder, manifest


def judged(folder: Path, key: str) -> tuple[int, str]:
    run = [sys.executable, "-I", "-S", str(folder / "verify.py"), "--key", key]
    done = subprocess.run(run, env={}, capture_output=True, check=False, text=True)
    assert done.stderr == ""
    return done.returncode, done.stdout


def leaves_in(folder: Path) -> list[bytes]:
    return (folder / "events.ndjson").read_bytes().splitlines()


def leaves_of(log: str, start: int, end: int) -> list[bytes]:
    ids = list(
        Leaf.objects.filter(log=log, seq__gte=start, seq__lt=end).order_by("seq").values_list("event_id", flat=True)
    )
    known = {row.id: bytes(row.leaf_data) for row in Event.objects.filter(id__in=ids)}
    return [known[event] for event in ids]


def test_the_whole_log(auditor: Actor, signed_log: Callable[[], str], tmp_path: Path) -> None:
    grants(20)
    key = signed_log()
    folder, manifest = exported(auditor, tmp_path)
    assert judged(folder, key)[0] == 0
    assert (manifest["completeness"], manifest["first_index"], manifest["last_index"]) == (
        "range",
        0,
        manifest["size"] - 1,
    )
    assert leaves_in(folder) == leaves_of("admin", 0, manifest["size"])
    assert json.loads((folder / "range-proof").read_bytes()) == {
        "start": 0, "end": manifest["size"], "size": manifest["size"], "left": [], "right": [],
    }  # fmt: skip
    assert manifest["witnessed"] == "UNWITNESSED"
    assert manifest["exporter"].startswith("p:")
    assert "does not" not in manifest["completeness_statement"]


def test_a_period_is_a_range_that_holds_all_of_it(
    auditor: Actor, signed_log: Callable[[], str], tmp_path: Path
) -> None:
    grants(30)
    key = signed_log()
    times = list(Event.objects.filter(log="admin").order_by("recorded_at").values_list("recorded_at", flat=True))
    folder, manifest = exported(auditor, tmp_path, chosen=Filter(since=times[10], until=times[20]))
    assert judged(folder, key)[0] == 0
    assert (manifest["completeness"], manifest["first_index"], manifest["last_index"]) == ("range", 10, 19)
    assert leaves_in(folder) == leaves_of("admin", 10, 20)
    assert manifest["query"] == {"log": "admin", "since": rfc3339(times[10]), "until": rfc3339(times[20])}
    assert "every entry recorded in the period" in manifest["completeness_statement"]


def test_a_period_without_entries_proves_nothing_and_says_so(
    auditor: Actor, signed_log: Callable[[], str], tmp_path: Path
) -> None:
    key = signed_log()
    first = Event.objects.order_by("recorded_at")[0].recorded_at
    folder, manifest = exported(auditor, tmp_path, chosen=Filter(until=first - timedelta(days=1)))
    assert (manifest["completeness"], manifest["entries"], manifest["first_index"]) == ("inclusion", 0, None)
    assert manifest["completeness_statement"].endswith("No entry matched; nothing is proven by that.")
    assert judged(folder, key)[0] == 0


def test_all_entries_of_one_object(auditor: Actor, signed_log: Callable[[], str], tmp_path: Path) -> None:
    grants(5)
    account = grants(7)
    grants(5)
    key = signed_log()
    folder, manifest = exported(auditor, tmp_path, chosen=Filter(object_type="user", object_id=account))
    assert judged(folder, key)[0] == 0
    assert (manifest["completeness"], manifest["object"]) == ("object", {"type": "user", "id": account})
    assert [json.loads(leaf)["object"]["n"] for leaf in leaves_in(folder)] == [1, 2, 3, 4, 5, 6, 7]
    size = Tree.objects.filter(log="admin").order_by("-size")[0]
    for line, leaf in zip((folder / "proofs.ndjson").read_bytes().splitlines(), leaves_in(folder), strict=True):
        told = json.loads(line)
        path = [bytes.fromhex(each) for each in told["hashes"]]
        assert merkle.verify_inclusion(merkle.leaf_hash(leaf), told["index"], size.size, path, bytes(size.root))
    folder = tmp_path / "reads"
    _, manifest = exported(auditor, folder, chosen=Filter(object_type="user", object_id=account, outcome="success"))
    assert (manifest["completeness"], manifest["object"]) == ("inclusion", None)


def test_what_another_filter_finds_is_only_included(
    auditor: Actor, signed_log: Callable[[], str], tmp_path: Path
) -> None:
    grants(9)
    key = signed_log()
    folder, manifest = exported(auditor, tmp_path / "a", chosen=Filter(action="user.create"))
    assert judged(folder, key)[0] == 0
    assert (manifest["completeness"], manifest["entries"]) == ("inclusion", 2)
    assert "not proven" in manifest["completeness_statement"]
    _, manifest = exported(auditor, tmp_path / "b", chosen=Filter(text="plimsoll"))
    assert manifest["completeness"] == "inclusion"


def test_words_are_not_looked_for_on_behalf_of_those_who_may_not_see_all(auditor: Actor) -> None:
    with pytest.raises(Denied):
        export.export(by=auditor, asked=Asked(Filter(text="ana"), paths=frozenset({"actor/name"})), out=io.BytesIO())


def test_the_auditors_earlier_checkpoint(auditor: Actor, signed_log: Callable[[], str], tmp_path: Path) -> None:
    signed_log()
    grants(12)
    key = signed_log()
    old, new = list(Checkpoint.objects.filter(log="admin").order_by("size"))
    folder, manifest = exported(auditor, tmp_path, previous_size=old.size)
    assert judged(folder, key)[0] == 0
    assert (folder / "checkpoint.prev").read_text() == old.note
    told = json.loads((folder / "consistency").read_bytes())
    roots = [bytes(Tree.objects.get(log="admin", size=each.size).root) for each in (old, new)]
    path = [bytes.fromhex(each) for each in told["hashes"]]
    assert (told["from"], told["to"]) == (old.size, new.size)
    assert merkle.verify_consistency(old.size, new.size, roots[0], roots[1], path)
    assert manifest["query"]["previous_size"] == old.size
    with pytest.raises(Invalid, match=f"nearest are at {old.size} and {new.size}"):
        exported(auditor, tmp_path, previous_size=old.size + 1)
    for wrong in (0, new.size + 1):
        with pytest.raises(Invalid, match=f"from 1 to {new.size}"):
            exported(auditor, tmp_path, previous_size=wrong)


def test_personal_values_only_as_far_as_they_may_be_seen(
    auditor: Actor, signed_log: Callable[[], str], tmp_path: Path
) -> None:
    user = factories.account()
    actions.grant_role(by=factories.actor(Role.ADMINISTRATOR), user=user, role=Role.VIEWER, pattern="m")
    signed_log()

    def paths(name: str, **asked: Any) -> set[str]:
        folder, manifest = exported(auditor, tmp_path / name, **asked)
        lines = [json.loads(line) for line in (folder / "disclosures.ndjson").read_bytes().splitlines()]
        assert manifest["disclosures"] == len(lines)
        return {line["path"] for line in lines}

    assert paths("all") == {"actor/name", "change/username", "request/ip"}
    assert paths("some", paths=frozenset({"actor/name"})) == {"actor/name"}
    assert paths("none", disclosures=False) == set()


def test_nothing_signed_and_too_much(auditor: Actor, signed_log: Callable[[], str], settings) -> None:
    with pytest.raises(Unavailable):
        export.export(by=auditor, out=io.BytesIO())
    signed_log()
    settings.PLIMSOLL_EXPORT_INLINE = 1
    with pytest.raises(TooLarge, match="more than 1 entries"):
        export.export(by=auditor, out=io.BytesIO())
    assert [row.outcome for row in Event.objects.filter(action=Action.TRAIL_EXPORT.value)] == ["denied", "denied"]
    assert not export.needs_worker(Asked(Filter(action="user.create")))


def test_the_export_is_an_entry_with_its_digest(auditor: Actor, signed_log: Callable[[], str]) -> None:
    signed_log()
    made = export.export(by=auditor, chosen=Filter(action="user.create"), out=(out := io.BytesIO()))
    (entry,) = queries.search(Filter(log="access"), paths=None).entries
    assert entry.leaf["change"]["after"] == {
        "log": "admin", "entries": 1, "size": made.size, "completeness": "inclusion", "sha256": made.digest,
    }  # fmt: skip
    assert made.bytes == len(out.getvalue())
    assert entry.disclosed["change/query"] == "{'log': 'admin', 'action': 'user.create'}"


# -- larger logs -------------------------------------------------------------------------------------------------------


def superuser(name: str, *statements: str) -> None:
    with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], dbname=name) as admin:
        admin.execute("SET session_replication_role = replica")
        for table in ("audit_event", "audit_event_access"):
            admin.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        for (part,) in admin.execute("SELECT relid::regclass::text FROM pg_partition_tree('audit_event')").fetchall():
            admin.execute(f"ALTER TABLE {part} DISABLE TRIGGER ALL")
        for statement in statements:
            assert admin.execute(statement).rowcount > 0


def test_entries_are_read_in_order_whatever_their_times(fresh_database: str) -> None:
    """The log has events of a long transaction, and one that is years older than its neighbours."""
    size = 2 * STEP + 50
    grown_log.grow(grown_log.a_key(), size)
    far = grown_log.id_of(STEP + 7)
    superuser(
        fresh_database,
        f"UPDATE audit_event SET recorded_at = recorded_at - interval '400 days' WHERE id = '{far}'",
        f"UPDATE audit_event SET recorded_at = recorded_at + interval '1 minute' WHERE id = '{grown_log.id_of(3)}'",
    )
    steps = list(Source("access").between(5, size))
    assert [index for step in steps for index in step.indices] == list(range(5, size))
    assert b"".join(step.lines for step in steps) == b"".join(
        grown_log.leaf_of(number) + b"\n" for number in range(5, size)
    )
    assert not any(step.gone or step.changed for step in steps)
    assert all(len(step.indices) <= STEP for step in steps)


def test_a_damaged_log_is_exported_and_the_verifier_names_the_entry(
    auditor: Actor, fresh_database: str, tmp_path: Path
) -> None:
    key = grown_log.a_key()
    grown_log.grow(key, 300)
    superuser(
        fresh_database,
        f"UPDATE audit_event SET leaf_data = '{{\"a\":\n1}}' WHERE id = '{grown_log.id_of(120)}'",
    )
    folder, _ = exported(auditor, tmp_path / "changed", chosen=Filter(log="access"))
    code, said = judged(folder, key.verifier)
    assert (code, "120" in said) == (1, True), said
    superuser(fresh_database, f"DELETE FROM audit_event WHERE id = '{grown_log.id_of(77)}'")
    folder, _ = exported(auditor, tmp_path / "gone", chosen=Filter(log="access"))
    assert len(leaves_in(folder)) == 299
    code, said = judged(folder, key.verifier)
    assert (code, "77" in said) == (1, True), said


def test_a_range_begins_where_retention_ends(auditor: Actor, fresh_database: str, tmp_path: Path) -> None:
    key = grown_log.a_key()
    grown_log.grow(key, 300)
    superuser(
        fresh_database,
        f"DELETE FROM audit_event WHERE log = 'access' AND recorded_at < '{grown_log.time_of(100).isoformat()}'",
        "INSERT INTO audit_minimum (log, minimum_index, event_id) SELECT 'access', 100, gen_random_uuid()",
    )
    folder, manifest = exported(auditor, tmp_path, chosen=Filter(log="access"))
    assert (manifest["first_index"], manifest["entries"], manifest["minimum_index"]) == (100, 200, 100)
    assert "Entries before 100 were dropped" in manifest["completeness_statement"]
    assert leaves_in(folder) == [grown_log.leaf_of(number) for number in range(100, 300)]
    assert judged(folder, key.verifier)[0] == 0


class Stopped(Exception):
    pass


@pytest.mark.parametrize("chosen", [Filter(log="access"), Filter(log="access", action="registry.view")])
def test_an_interrupted_export_goes_on_and_gives_the_same_bytes(
    fresh_database: str, tmp_path: Path, chosen: Filter
) -> None:
    size = 2 * bundle.PIECE + 2 * STEP + 3
    grown_log.grow(grown_log.a_key(), size)
    told: list[tuple[int, int]] = []

    def build(folder: str, stop_at: int | None = None) -> bytes:
        out = io.BytesIO()

        def progress(done: int, total: int) -> None:
            told.append((done, total))
            if done == stop_at:
                raise Stopped

        asked = Asked(chosen)
        export.build(asked, size, tmp_path / folder, out, exporter="p:1", made_at="2026-03-09", progress=progress)
        return out.getvalue()

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    straight = build("a")
    assert told == [(0, size), (bundle.PIECE, size), (2 * bundle.PIECE, size), (size, size)]
    with pytest.raises(Stopped):
        build("b", stop_at=2 * bundle.PIECE)
    told.clear()
    assert build("b") == straight
    assert told[0] in {(bundle.PIECE, size), (2 * bundle.PIECE, size)}


def test_steps_and_windows_are_as_large_as_they_say() -> None:
    ids = [grown_log.id_of(number).bytes for number in range(640)]
    first, last = stream._window(ids)
    assert (last - first).total_seconds() == pytest.approx(38.34 + 0.1, abs=0.01)
    lone = (1_000).to_bytes(6, "big") + bytes(10)
    assert stream._window([lone, *ids]) == pytest.approx((stream._window(ids[10:])[0], last), abs=timedelta(seconds=1))
