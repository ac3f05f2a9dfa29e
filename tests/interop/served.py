"""A log of 70,000 entries, built by the sequencer in a real database and downloaded over its own addresses.

The verifiers of this folder get nothing but the files; the database is gone by then.
"""

import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.test import Client

from access import actions
from access.roles import Role
from audit.actors import SYSTEM
from tests import factories
from tests.audit import grown_log
from tests.conftest import _clone, _drop, _use

SIZES = (1, 255, 256, 257, 65_536, 65_537, 70_000)
SIZE = SIZES[-1]
INDICES = (0, 1, 255, 256, 32_767, 65_535, 65_536, 69_887, 69_888, 69_999)
UNSIGNED = ((1, 70_000), (1_000, 1_001), (65_535, 65_538), (40_000, 69_999), (70_000, 70_000), (69_888, 69_889))
NAME = f"plimsoll_interop_{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Served:
    """The files of the log, and the key to verify them with."""

    folder: Path
    vkey: str


def download(folder: Path) -> str:
    """Build the log, write to ``folder`` what it serves, drop it; its verifier key."""
    key = grown_log.a_key()
    with _database():
        grown_log.grow(key, *SIZES)
        _, secret = actions.create_token(by=SYSTEM, user=factories.account(Role.AUDITOR), name="interop")
        client = Client(headers={"Authorization": f"Bearer {secret}", "Host": "localhost"})
        for address, name in _addresses():
            answer = client.get(f"/log/access/{address}", headers={"Accept-Encoding": "identity"})
            assert answer.status_code == 200, (address, answer.content)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(answer.content)
    return key.verifier


@contextmanager
def _database() -> Iterator[None]:
    from django.db import connections

    before = connections["default"].settings_dict["NAME"]
    _clone(NAME)
    try:
        _use(NAME)
        yield
    finally:
        _use(before)
        _drop(NAME)


def _addresses() -> Iterator[tuple[str, str]]:
    """What is asked for, and the file it becomes."""
    yield "checkpoint", "checkpoint"
    for size in SIZES:
        yield f"checkpoint?size={size}", f"checkpoint.{size}"
    for path in _tile_paths():
        yield path, path
    for index in INDICES:
        yield f"entry/{index}", f"leaves/{index}"
        yield f"proof/{index}", f"proofs/{index}.tlog-proof"
        for size in SIZES:
            if size > index:
                yield f"proof/{index}?size={size}", f"proofs/{index}-of-{size}.tlog-proof"
    for old, new in (*itertools.combinations(SIZES, 2), *UNSIGNED):
        yield f"consistency?from={old}&to={new}", f"proofs/{old}-{new}.json"


def _tile_paths() -> Iterator[str]:
    """The tiles of 70,000 entries as the format counts them: 273 full and one of 112, one full and one of 17, one."""
    for kind in ("0", "entries"):
        yield from (f"tile/{kind}/{index:03}" for index in range(273))
        yield f"tile/{kind}/273.p/112"
    yield from ("tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1")
