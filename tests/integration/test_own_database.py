"""A PostgreSQL server of one's own: the whole installation on ``DATABASE_URL``, its runtime role owning nothing."""

import tempfile
import urllib.request
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from deploy.run.postgres import Embedded
from deploy.run.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")


def test_everything_runs_on_a_server_of_ones_own() -> None:
    with tempfile.TemporaryDirectory(prefix="plimsoll-own-") as folder, Embedded(Path(folder) / "server") as server:
        with psycopg.connect(server.admin_conninfo, autocommit=True) as admin:
            admin.execute("CREATE DATABASE governance")
            user = admin.info.user
        url = f"postgresql://{user}@/governance?host={quote(str(server.socket_directory), safe='')}"
        with Stack(Path(folder) / "data", port=0, environ={"DATABASE_URL": url}) as stack:
            with urllib.request.urlopen(f"{stack.url}/readyz", timeout=30) as answer:
                assert answer.status == 200
            assert not (Path(folder) / "data" / "postgres").exists()
        with psycopg.connect(server.admin_conninfo, dbname="governance") as admin:
            owners = admin.execute(
                "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename LIKE 'audit%' OR tablename LIKE 'registry%'"
            ).fetchall()
            assert owners == [("plimsoll_owner",)]
            entries = admin.execute("SELECT count(*) FROM audit_event").fetchone()
            assert entries is not None
            assert entries[0] >= 3
