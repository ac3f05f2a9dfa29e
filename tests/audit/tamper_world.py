"""A small installation's trail for the tamper matrix, and what somebody with the whole database can do to it.

Built once: accounts, entries with openings, two signed sizes, an anchor. ``early`` is a copy at the first size, when
the backup was made. Each row of the matrix gets a copy of everything.
"""

import io
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections

from access import actions
from access.roles import Role
from audit import anchoring, anchors, clock, export, merkle, published, publisher, sequencer, ticks
from audit.actors import SYSTEM
from audit.errors import DomainError
from audit.events import LOGS
from audit.models import AnchorReceipt, Checkpoint
from audit.note import SigningKey
from tests import factories
from tests.audit.grown_log import as_role
from tests.audit.sample_log import judge

EVENT = "id, recorded_at, log, action, outcome, object_type, object_id, object_n, actor_ref, leaf_data, mac"
Admin = psycopg.Connection[Any]


@dataclass
class World:
    """``sound`` and ``early`` name databases, ``size`` and ``early_size`` are their signed sizes of the admin log.
    ``kept`` is the checkpoint of ``size`` that the auditor took away.
    """

    sound: str
    early: str
    folder: Path
    early_size: int
    size: int
    kept: str
    signers: dict[str, list[SigningKey]]

    @property
    def key(self) -> SigningKey:
        return self.signers["admin"][0]


def admin_of(database: str) -> Admin:
    """The superuser on one database."""
    return psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], dbname=database, autocommit=True)


def copy_of(database: str) -> str:
    """A new database with the same content. Nobody may be connected to the old one."""
    connections.close_all()
    name = f"plimsoll_tamper_{secrets.token_hex(4)}"
    with admin_of("postgres") as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{database}"')
        admin.execute(f'GRANT CONNECT ON DATABASE "{name}" TO plimsoll_app, plimsoll_sequencer, plimsoll_eraser')
    return name


def verdict(world: World, folder: Path) -> str:
    """What the auditor learns: they ask for a new export of the whole log that continues the checkpoint they kept, and
    verify it with the key on their paper. Exit code and kind, or that the service refused.
    """
    folder.mkdir()
    out = io.BytesIO()
    for previous in (world.size, None):
        try:
            size = published.newest("admin").size
            asked = export.Asked(previous_size=previous)
            export.build(
                asked, size, folder / f"made-{previous}", out, exporter="p:auditor", made_at="2026-01-01T00:00:00Z"
            )
            break
        except DomainError as error:
            refusal = error.code
    else:
        return f"refused {refusal}"
    (folder / "export.zip").write_bytes(out.getvalue())
    (folder / "kept").write_text(world.kept)
    paper = ("--key", world.key.verifier, "--previous", str(folder / "kept"), "--jobs", "1")
    code, said = judge(folder / "export.zip", *paper)
    last = said.splitlines()[-1]
    kind = re.search(r"^TAMPERED  ([a-z-]+):|^NOT ENOUGH .*?; ([a-z]+):|^UNUSABLE  (\w+)", last)
    return f"{code} {next(filter(None, kind.groups())) if kind else ''}".strip()


def drop(database: str) -> None:
    connections.close_all()
    with admin_of("postgres") as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


def use(database: str) -> None:
    """Let this process work on one database."""
    for alias in connections:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = database


@contextmanager
def built(folder: Path) -> Iterator[World]:
    """The world; its databases vanish at the end."""
    database = connections["default"].settings_dict["NAME"]
    made: list[str] = []
    with _settled_in(folder):
        try:
            made.append(copy_of("plimsoll"))
            use(made[0])
            yield _filled(folder, made)
        finally:
            use(database)
            for each in made:
                drop(each)


@contextmanager
def copied(world: World, folder: Path, database: str = "") -> Iterator[str]:
    """A copy of the world: of one of its databases, of the signing keys and of what the anchor holds."""
    before = connections["default"].settings_dict["NAME"]
    shutil.copytree(world.folder, folder, dirs_exist_ok=True)
    name = copy_of(database or world.sound)
    with _settled_in(folder):
        use(name)
        try:
            yield name
        finally:
            use(before)
            drop(name)


@contextmanager
def _settled_in(folder: Path) -> Iterator[None]:
    """Signing keys and the anchor's file lie in ``folder``."""
    before = {name: getattr(settings, name) for name in ("PLIMSOLL_SIGNING_KEYS", "PLIMSOLL_ANCHORS")}
    settings.PLIMSOLL_SIGNING_KEYS = folder / "signing-keys"
    settings.PLIMSOLL_ANCHORS = folder / "anchors.toml"
    shelf = folder / "shelf.ndjson"
    settings.PLIMSOLL_ANCHORS.write_text(f'[[anchor]]\nname = "shelf"\nkind = "file"\npath = "{shelf}"\n')
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


def _filled(folder: Path, made: list[str]) -> World:
    with as_role():
        signers = publisher.signing_keys()
        for log in LOGS:
            ticks.tick(log)
    actor = factories.actor(Role.ADMINISTRATOR)
    user = factories.account(Role.VIEWER)
    for number in range(12):
        actions.grant_role(by=actor, user=user, role=Role.REVIEWER, pattern=f"m-{number}", reason=f"Needed: {number}.")
    sign(signers)
    early = Checkpoint.objects.filter(log="admin").order_by("-size")[0]
    made.append(copy_of(made[0]))
    use(made[0])
    other = factories.account(Role.VIEWER)
    for number in range(270):
        actions.grant_role(by=SYSTEM, user=user if number % 3 else other, role=Role.VIEWER, pattern=f"n-{number}")
    with as_role():
        ticks.tick("admin")
    actions.grant_role(by=actor, user=other, role=Role.REVIEWER, reason="The last one.")
    sign(signers)
    newest = Checkpoint.objects.filter(log="admin").order_by("-size")[0]
    connections.close_all()
    return World(made[0], made[1], folder, early.size, newest.size, newest.note, signers)


def sign(signers: dict[str, list[SigningKey]]) -> None:
    """Sequence and sign what waits, and give it to the anchors."""
    with as_role():
        for log in LOGS:
            while sequencer.step(log):
                pass
            if publisher.publish(log, signers[log]) is not None:
                statement = anchoring.statement(log, "")
                assert statement is not None
                for anchor in anchors.configured():
                    told = anchor.submit(statement).text
                    receipt = AnchorReceipt(
                        log=log,
                        anchor=anchor.name,
                        kind=anchor.kind,
                        size=statement.size,
                        root=statement.root,
                        receipt=told,
                        made_at=clock.now(),
                    )
                    AnchorReceipt.objects.bulk_create([receipt])


# -- what somebody with the whole database can do --------------------------------------------------------------------


@contextmanager
def unguarded(admin: Admin, *tables: str) -> Iterator[None]:
    """The triggers of some tables are off, and on again afterwards as if nothing had been."""
    for table in tables:
        admin.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    for table in tables:
        admin.execute("SELECT audit_guard(relid) FROM pg_partition_tree(%s::regclass)", [table])
        if table != "audit_event":
            admin.execute("SELECT audit_guard(%s::regclass)", [table])


def one(admin: Admin, query: str, *values: Any) -> Any:
    row = admin.execute(query, values).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def event_at(admin: Admin, index: int) -> Any:
    """The id of the event at an index of the admin log."""
    return one(admin, "SELECT event_id FROM audit_leaf WHERE log = 'admin' AND seq = %s", index)


def change_leaf(admin: Admin, event_id: Any, change: Callable[[bytes], bytes]) -> None:
    """Change an event's bytes; the database computes its hash anew."""
    leaf = one(admin, "SELECT leaf_data FROM audit_event WHERE id = %s", event_id)
    changed = change(bytes(leaf))
    assert changed != bytes(leaf)
    with unguarded(admin, "audit_event"):
        admin.execute("UPDATE audit_event SET leaf_data = %s WHERE id = %s", [changed, event_id])


def insert_event(admin: Admin, row: Sequence[Any]) -> None:
    """As the database lets its owner: with the triggers on, so that it waits for its place like any other."""
    admin.execute(f"INSERT INTO audit_event ({EVENT}) VALUES ({', '.join(['%s'] * 11)})", list(row))


def event_row(admin: Admin, event_id: Any) -> list[Any]:
    found = one(admin, f"SELECT {EVENT} FROM audit_event WHERE id = %s", event_id)
    return [bytes(each) if isinstance(each, memoryview) else each for each in found]


def places(admin: Admin) -> list[tuple[Any, bytes]]:
    """Event ids and hashes of the admin log, in order."""
    rows = admin.execute("SELECT event_id, leaf_hash FROM audit_leaf WHERE log = 'admin' ORDER BY seq").fetchall()
    return [(event_id, bytes(leaf_hash)) for event_id, leaf_hash in rows]


def rebuild(admin: Admin, wanted: Sequence[tuple[Any, bytes]], key: SigningKey | None = None) -> None:
    """Make the stored log one of these entries: places, tiles and trees, and with ``key`` the checkpoints as well.

    Sizes that were stored stay stored as far as the new log reaches, and its whole size is one of them.
    """
    tables = ("audit_leaf", "audit_tile", "audit_tree", "audit_checkpoint", "audit_anchor_receipt")
    sizes = [row[0] for row in admin.execute("SELECT size FROM audit_tree WHERE log = 'admin'").fetchall()]
    tree = merkle.MemoryTree([leaf_hash for _, leaf_hash in wanted])
    with unguarded(admin, *tables):
        admin.execute("DELETE FROM audit_leaf WHERE log = 'admin'")
        for seq, (event_id, leaf_hash) in enumerate(wanted):
            admin.execute(
                "INSERT INTO audit_leaf (log, seq, event_id, leaf_hash) VALUES ('admin', %s, %s, %s)",
                [seq, event_id, leaf_hash],
            )
        admin.execute("DELETE FROM audit_tile WHERE log = 'admin'")
        for tile in range(len(wanted) // 256):
            hashes = b"".join(leaf_hash for _, leaf_hash in wanted[tile * 256 : (tile + 1) * 256])
            admin.execute(
                "INSERT INTO audit_tile (log, level, idx, hashes) VALUES ('admin', 0, %s, %s)", [tile, hashes]
            )
        admin.execute("DELETE FROM audit_tree WHERE log = 'admin'")
        for size in sorted({*(size for size in sizes if size <= len(wanted)), len(wanted)}):
            frontier = merkle.extend([], 0, [leaf_hash for _, leaf_hash in wanted[:size]])
            admin.execute(
                "INSERT INTO audit_tree (log, size, root, frontier) VALUES ('admin', %s, %s, %s)",
                [size, tree.root(size), frontier],
            )
        for table in ("audit_checkpoint", "audit_anchor_receipt"):
            admin.execute(f"DELETE FROM {table} WHERE log = 'admin' AND size > %s", [len(wanted)])
        if key is not None:
            forge_notes(admin, tree, key)


def forge_notes(admin: Admin, tree: merkle.MemoryTree, key: SigningKey) -> None:
    """Sign every stored size anew, as whoever has stolen the key can, and make the receipts agree."""
    from audit.note import Checkpoint as Text

    for (size,) in admin.execute("SELECT size FROM audit_tree WHERE log = 'admin'").fetchall():
        note = key.sign(Text(key.name, size, tree.root(size)).text())
        admin.execute(
            "INSERT INTO audit_checkpoint (log, size, note) VALUES ('admin', %s, %s)"
            " ON CONFLICT (log, size) DO UPDATE SET note = excluded.note",
            [size, note],
        )
        admin.execute(
            "UPDATE audit_anchor_receipt SET root = %s WHERE log = 'admin' AND size = %s", [tree.root(size), size]
        )
