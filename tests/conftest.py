"""One embedded PostgreSQL for the whole run, one database per worker, every test in a transaction of its own.

Tests run as the application's database role, so what that role may not do fails here too. ``fresh_database`` gives a
test that must really commit a database for itself.
"""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django.plugin import _setup_django

if TYPE_CHECKING:
    from deploy.run.stack import Stack

# How fast examples are made says nothing of the code on a machine that is busy.
hypothesis_settings.register_profile("plimsoll", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("plimsoll")

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = "plimsoll"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return  # a worker: the controller has prepared everything and we have inherited its environment
    _start(config)
    # pytest-django looks for settings before this file is read; only now is there a database for them to name.
    from django.conf import settings

    settings.DATABASES  # noqa: B018 - reading one setting loads them
    _setup_django(config)


def _start(config: pytest.Config) -> None:
    from deploy.run import addresses, databases
    from deploy.run.postgres import Embedded

    data = Path(tempfile.mkdtemp(prefix="plimsoll-tests-"))
    server = Embedded(data)
    server.start()
    config.add_cleanup(lambda: _stop(server, data))
    databases.prepare(server.admin_conninfo)
    os.environ.update(addresses.embedded(server.socket_directory))
    os.environ["PLIMSOLL_DATA"] = str(data)
    os.environ["PLIMSOLL_TEST_ADMIN"] = server.admin_conninfo
    os.environ["DJANGO_SETTINGS_MODULE"] = "web.settings"
    os.environ["PLIMSOLL_SEQUENCE_ON_COMMIT"] = "false"  # tests say themselves when events get their place
    os.environ["PLIMSOLL_PUBLIC_URL"] = "http://127.0.0.1:8000"
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        check=True,
        env={**os.environ, "PLIMSOLL_ROLE": "owner"},
    )


def _stop(server, data: Path) -> None:
    import shutil

    server.stop()
    shutil.rmtree(data, ignore_errors=True)


def _clone(name: str) -> None:
    with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" OWNER plimsoll_owner')
        connection.execute(f'GRANT CONNECT ON DATABASE "{name}" TO plimsoll_app, plimsoll_sequencer, plimsoll_eraser')


def _drop(name: str) -> None:
    with psycopg.connect(os.environ["PLIMSOLL_TEST_ADMIN"], autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _use(name: str) -> None:
    from django.db import connections

    for alias in connections:
        connections[alias].close()
        connections[alias].settings_dict["NAME"] = name


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker) -> Iterator[None]:
    """The worker's own database, cloned from the migrated template."""
    name = f"plimsoll_test_{secrets.token_hex(4)}"
    _clone(name)
    with django_db_blocker.unblock():
        _use(name)
    yield
    with django_db_blocker.unblock():
        _use(TEMPLATE)
    _drop(name)


@pytest.fixture
def signing_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings) -> Path:
    """A folder for the keys that sign the log: what was signed in another database binds them to it."""
    folder = tmp_path / "signing-keys"
    monkeypatch.setenv("PLIMSOLL_SIGNING_KEYS", str(folder))
    settings.PLIMSOLL_SIGNING_KEYS = folder
    return folder


@pytest.fixture
def fresh_database(django_db_setup, django_db_blocker, signing_keys: Path) -> Iterator[str]:
    """A database of the test's own, in which transactions really commit; yields its name."""
    from django.db import connections

    name = f"plimsoll_fresh_{secrets.token_hex(4)}"
    before = connections["default"].settings_dict["NAME"]
    _clone(name)
    with django_db_blocker.unblock():
        _use(name)
        yield name
        _use(before)
    _drop(name)


@pytest.fixture(scope="session")
def stack() -> Iterator["Stack"]:
    """A whole running installation on a free port, for tests over HTTP. Mark such tests ``xdist_group("stack")``."""
    from deploy.run.stack import Stack

    # Not below pytest's own folder: it closes that to the account the database runs under.
    with tempfile.TemporaryDirectory(prefix="plimsoll-stack-") as folder, Stack(Path(folder), port=0) as running:
        yield running
