"""A small installation's trail for the tamper matrix, and what somebody with the whole database can do to it.

Built once: accounts, entries with openings, two signed sizes, an anchor. ``early`` is a copy at the first size, when
the backup was made. Each row of the matrix gets a copy of everything.
"""

import io
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections

from access import actions
from access.roles import Role
from audit import anchoring, anchors, clock, export, published, publisher, sequencer, ticks
from audit.actors import SYSTEM
from audit.errors import DomainError
from audit.events import LOGS
from audit.models import AnchorReceipt, Checkpoint
from audit.note import SigningKey
from tests import factories
from tests.audit.grown_log import as_role
from tests.audit.sample_log import judge

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
    paper = ("--key", world.key.verifier, "--previous", str(folder / "kept"), "--jobs", "1", "--require-complete")
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
