"""A fresh embedded database for a benchmark, with Django set up on it. What is measured there is not here."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import conninfo

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from deploy.run import addresses, databases  # noqa: E402
from deploy.run.postgres import Embedded  # noqa: E402


@dataclass(frozen=True)
class Fresh:
    """``admin`` is the superuser's connection string to the server, ``database`` the one to Plimsoll's database."""

    data: Path
    admin: str

    @property
    def database(self) -> str:
        return conninfo.make_conninfo(self.admin, dbname="plimsoll")


@contextmanager
def fresh() -> Iterator[Fresh]:
    """Start the server, migrate, set Django up in this process; everything is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder:
        data = Path(folder)
        data.chmod(0o755)  # the database may run under another account
        server = Embedded(data)
        server.start()
        try:
            databases.prepare(server.admin_conninfo)
            os.environ.update(addresses.embedded(server.socket_directory))
            os.environ |= {"PLIMSOLL_DATA": str(data), "DJANGO_SETTINGS_MODULE": "web.settings"}
            migrate = [sys.executable, "manage.py", "migrate", "--skip-checks", "--verbosity", "0"]
            subprocess.run(migrate, cwd=ROOT, check=True, env={**os.environ, "PLIMSOLL_ROLE": "owner"})
            import django

            django.setup()
            yield Fresh(data, server.admin_conninfo)
        finally:
            server.stop()
