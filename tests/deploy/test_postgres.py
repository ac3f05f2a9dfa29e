"""The embedded server: starts, starts again, survives being killed, keeps strangers out."""

import os
import pwd
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from deploy.run import account, addresses, children, databases
from deploy.run.addresses import DJANGO_ROLES, ROLES
from deploy.run.environment import StartRefusedError
from deploy.run.postgres import LONGEST_SOCKET_PATH, Embedded


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="plimsoll-") as place, Embedded(Path(place)) as running:
        databases.prepare(running.admin_conninfo)
        yield running


def as_nobody(command: str) -> bool:
    """Whether a shell command succeeds for an account without rights."""
    nobody = pwd.getpwnam("nobody")
    shell = ["/bin/sh", "-c", command]
    identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return subprocess.run(shell, cwd="/", capture_output=True, check=False, **identity).returncode == 0


def pid_of(running: Embedded) -> int:
    return int((running.directory / "postmaster.pid").read_text().splitlines()[0])


def test_each_role_connects_to_its_own_database_and_to_no_other(server):
    for name, url in addresses.embedded(server.socket_directory).items():
        plain = "postgresql://" + url.split("://", 1)[1]
        with psycopg.connect(plain) as connection:
            expected = DJANGO_ROLES.get(name)
            assert expected is None or connection.info.user == expected
            assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (
                False,
            )
    for role, database in (
        ("plimsoll_app", "tracking"),
        ("plimsoll_tracking", "plimsoll"),
        ("plimsoll_broker", "plimsoll"),
    ):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(addresses.on_socket(role, database, server.socket_directory))


def test_the_runtime_role_cannot_make_tables(server):
    url = addresses.embedded(server.socket_directory)["PLIMSOLL_DB_APP"]
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE TABLE mine (x int)")


def test_preparing_twice_changes_nothing(server):
    databases.prepare(server.admin_conninfo)
    with psycopg.connect(server.admin_conninfo) as connection:
        found = connection.execute("SELECT count(*) FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)]).fetchone()
        settings = dict(
            connection.execute(
                "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'listen_addresses')"
            ).fetchall()
        )
    assert found == (len(ROLES),)
    assert settings == {"fsync": "on", "full_page_writes": "on", "listen_addresses": ""}


def test_nobody_else_on_this_machine_can_enter(server):
    assert stat.S_IMODE(server.socket_directory.stat().st_mode) == 0o700
    rules = (server.directory / "pg_hba.conf").read_text()
    assert rules == "local all all peer map=plimsoll\n"
    if os.geteuid() != 0:
        return  # needs root to become someone else
    assert not as_nobody(f"ls {server.socket_directory}")


def test_data_written_before_a_kill_is_there_after_the_next_start(tmp_path):
    first = Embedded(tmp_path)
    first.start()
    with psycopg.connect(first.admin_conninfo) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS x")
    stale = (first.directory / "postmaster.pid").read_text()
    os.kill(pid_of(first), signal.SIGKILL)
    first.stop()
    # as after a power cut: the file is there, and its number may by now belong to another process of the same account
    (first.directory / "postmaster.pid").write_text(stale.replace(stale.splitlines()[0], str(os.getpid()), 1))
    with Embedded(tmp_path) as second, psycopg.connect(second.admin_conninfo) as connection:
        assert connection.execute("SELECT x FROM kept").fetchone() == (42,)


def test_a_server_left_behind_is_ended_before_the_next_one_starts(tmp_path):
    left = Embedded(tmp_path)
    left.start()
    old = pid_of(left)
    with Embedded(tmp_path) as second:
        assert pid_of(second) != old
        with psycopg.connect(second.admin_conninfo) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    left.stop()
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


def test_a_deep_directory_gets_a_short_socket(tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with Embedded(deep) as running, psycopg.connect(running.admin_conninfo) as connection:
        assert len(str(running.socket_directory / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH
        assert running.socket_directory.stat().st_mode & 0o077 == 0
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_files_of_another_version_are_refused_with_a_sentence(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("14\n")
    with pytest.raises(StartRefusedError, match="written by PostgreSQL 14"):
        Embedded(tmp_path).start()


def test_a_directory_with_other_things_in_it_is_refused(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "holiday.jpg").touch()
    with pytest.raises(StartRefusedError, match="not a PostgreSQL database"):
        Embedded(tmp_path).start()


@pytest.mark.parametrize("login", ["CREATEROLE", "NOCREATEROLE"])
def test_a_server_of_ones_own(tmp_path, login):
    with Embedded(tmp_path) as running:
        with psycopg.connect(running.admin_conninfo, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE someone LOGIN {login}")
            connection.execute("CREATE DATABASE gov OWNER someone")
        url = addresses.on_socket("someone", "gov", running.socket_directory)
        if login == "NOCREATEROLE":
            with pytest.raises(StartRefusedError, match="DATABASE_OWNER_URL") as refused:
                databases.prepare_server(url, None)
            assert all(role in str(refused.value) for role in ROLES)
            return
        databases.prepare_server(url, None)
        databases.prepare_server(url, None)
        told = addresses.on_server(url, None)
        with psycopg.connect(told["PLIMSOLL_DB_OWNER"]) as connection:
            connection.execute("CREATE TABLE ours (x int)")
        with psycopg.connect(told["PLIMSOLL_DB_APP"]) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("plimsoll_app",)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM ours")
        store = "postgresql://" + told["TRACKING_STORE_URL"].split("://", 1)[1]
        with psycopg.connect(store) as connection:
            connection.execute("CREATE TABLE runs (x int)")
            assert connection.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'runs'").fetchone() == (
                "tracking",
            )


def test_a_server_that_is_not_there_is_a_sentence():
    with pytest.raises(StartRefusedError, match="cannot be reached") as refused:
        databases.prepare_server("postgresql://u:hunter22@127.0.0.1:1/d", None)
    assert "hunter22" not in str(refused.value)


def test_passage_is_granted_for_passing_only(tmp_path):
    if os.geteuid() != 0:
        return  # only root changes accounts
    closed = tmp_path / "closed"
    (closed / "inside").mkdir(parents=True)
    (closed / "inside" / "file").touch()
    closed.chmod(0o700)
    assert not as_nobody(f"ls {closed}/inside")
    someone = pwd.getpwnam("nobody")
    account.let_through(account.Account(someone.pw_uid, someone.pw_gid, "nobody"), closed / "inside")
    assert as_nobody(f"ls {closed}/inside")
    assert not as_nobody(f"ls {closed}")


def test_waiting_has_an_end():
    assert children.wait_until(lambda: False, 0.05) is False
