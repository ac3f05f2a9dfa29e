"""Logs of any size in a database of the test's own: events inserted in bulk, then sequenced and signed for real."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
from django.conf import settings
from django.db import connection, connections, transaction

from audit import clock, sequencer
from audit.mac import writer_mac
from audit.models import Checkpoint, LogKey, Tree
from audit.note import Checkpoint as CheckpointText
from audit.note import SigningKey

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENTS_A_MINUTE = 1_000


@contextmanager
def as_role(setting: str = "PLIMSOLL_DB_SEQUENCER") -> Iterator[None]:
    """Run a block under the database role that this address names."""
    named = psycopg.conninfo.conninfo_to_dict(os.environ[setting])
    wrapped = connections["default"]
    before = wrapped.settings_dict["USER"]
    wrapped.close()
    wrapped.settings_dict["USER"] = named["user"]
    try:
        yield
    finally:
        wrapped.close()
        wrapped.settings_dict["USER"] = before


def a_key(log: str = "access") -> SigningKey:
    """A new key for a log of this installation."""
    return SigningKey.generate(f"{settings.PLIMSOLL_ORIGIN}/audit/{log}")


def leaf_of(number: int) -> bytes:
    """What the event ``number`` of a grown log says."""
    return b'{"action":"registry.view","log":"access","n":%d,"v":1}' % number


def id_of(number: int) -> uuid.UUID:
    """A version 7 UUID whose time is that of the event."""
    milliseconds = int(time_of(number).timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0x2 << 62 | number)


def time_of(number: int) -> datetime:
    return BEGAN + timedelta(minutes=number / EVENTS_A_MINUTE)


def insert(start: int, end: int, log: str = "access") -> None:
    """Events ``start`` to ``end`` of a log without object chains, in one transaction, as the app would write them."""
    with transaction.atomic(), connection.cursor() as cursor:
        columns = "id, recorded_at, log, action, outcome, object_type, object_id, actor_ref, leaf_data, mac"
        with cursor.copy(f"COPY audit_event ({columns}) FROM STDIN") as copy:
            for number in range(start, end):
                leaf = leaf_of(number)
                row = (id_of(number), time_of(number), log, "registry.view", "success", "registry", "x", "p:1", leaf)
                copy.write_row((*row, writer_mac(leaf)))


def sign(key: SigningKey, log: str = "access", batch: int = 5_000) -> int:
    """Sequence everything that waits, as the sequencer, and sign the result; its size."""
    with as_role():
        LogKey.objects.bulk_create([LogKey(verifier=key.verifier, log=log, from_size=0)], ignore_conflicts=True)
        while sequencer.step(log, batch):
            pass
        head = Tree.objects.filter(log=log).order_by("-size").first()
        if head is None:
            return 0
        text = CheckpointText(key.name, head.size, bytes(head.root)).text()
        rows = [Checkpoint(log=log, size=head.size, note=key.sign(text), made_at=clock.now())]
        Checkpoint.objects.bulk_create(rows, ignore_conflicts=True)
    return head.size


def grow(key: SigningKey, *sizes: int, log: str = "access") -> None:
    """Let an empty log grow to each of these sizes in turn, signed at each."""
    before = 0
    for size in sizes:
        insert(before, size, log)
        assert sign(key, log) == size
        before = size
