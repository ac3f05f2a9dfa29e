"""One supervised process while it lives: its output, its readiness, its restarts and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping

from deploy.run import children
from deploy.run.environment import ROOT
from deploy.run.logs import Log
from deploy.run.probe import Probe
from deploy.run.processes import Process, Step

QUICK = 10.0  # seconds; a process that dies sooner than this after its start died quickly
TOO_MANY = 3  # quick deaths in a row
FIRST_PAUSE = 0.5  # seconds before a restart; doubles with each quick death


class Output:
    """What a child prints, cut into lines."""

    def __init__(self, log: Log) -> None:
        self._read, self.write_end = os.pipe()
        os.set_blocking(self._read, False)
        self._log = log
        self._rest = b""

    def fileno(self) -> int:
        return self._read

    def take(self) -> list[str] | None:
        """The complete lines that are waiting, already logged; None once everyone has closed the other end."""
        try:
            read = os.read(self._read, 1 << 16)
        except BlockingIOError:
            return []
        *lines, self._rest = (self._rest + read).split(b"\n")
        if not read and self._rest:
            lines, self._rest = [self._rest], b""
        elif not read:
            return None
        decoded = [line.decode("utf-8", errors="replace") for line in lines]
        for line in decoded:
            self._log.write(line)
        return decoded

    def child_has_it(self) -> None:
        os.close(self.write_end)

    def close(self) -> None:
        os.close(self._read)


class Running:
    """A process or step of the plan, started and perhaps restarted."""

    def __init__(
        self, what: Process | Step, environ: Mapping[str, str], log: Log, listening: socket.socket | None
    ) -> None:
        self.what = what
        self.log = log
        self.listening = listening
        self.popen: subprocess.Popen[bytes] | None = None
        self.output: Output | None = None
        self.is_ready = False
        self.started_at = 0.0
        self.restart_at: float | None = None
        self.quick_deaths = 0
        self.last_pid = 0
        self._environ = {**environ, **what.environ}
        self._probe: Probe | None = None

    @property
    def name(self) -> str:
        return self.what.name

    def start(self) -> Output:
        """Start it, and return its output for the loop to read."""
        what = self.what
        self.restart_at = None
        self.started_at = time.monotonic()
        environ = dict(self._environ)
        fds: tuple[int, ...] = ()
        if isinstance(what, Process):
            if what.before is not None:
                what.before()
            if what.listening and self.listening is not None:
                environ[what.listening] = str(self.listening.fileno())
                fds = (self.listening.fileno(),)
        self.output = Output(self.log)
        self.popen = children.spawn(
            what.argv,
            cwd=ROOT,
            environ=environ,
            output=self.output.write_end,
            pass_fds=fds,
            account=what.account if isinstance(what, Process) else None,
            orphan_signal=what.orphan_signal if isinstance(what, Process) else signal.SIGKILL,
        )
        self.output.child_has_it()
        return self.output

    def becomes_ready(self) -> bool:
        """Whether it has just turned ready. Steps never do: they end."""
        if self.is_ready or self.popen is None or isinstance(self.what, Step):
            return False
        self.is_ready = self._shows_readiness(self.what)
        return self.is_ready

    def _shows_readiness(self, what: Process) -> bool:
        if what.probe and self.listening is not None:
            if self._probe is None:
                self._probe = Probe(reachable(self.listening), what.probe)
            return self._probe.succeeds()
        return what.ready() if what.ready is not None else True

    @property
    def last_answer(self) -> str:
        return self._probe.answer if self._probe else ""

    def ended(self) -> int | None:
        """The exit code if it has ended since the last question, after which nothing of its group is left."""
        if self.popen is None or (code := self.popen.poll()) is None:
            return None
        children.signal_group(self.popen.pid, signal.SIGKILL)  # whatever it started and left behind
        self.last_pid = self.popen.pid
        self.popen = None
        return code

    def note_death(self) -> bool:
        """Plan a restart after a death. Returns False when it has died too often, too quickly."""
        quick = time.monotonic() - self.started_at < QUICK
        self.quick_deaths = self.quick_deaths + 1 if quick else 1
        if quick and self.quick_deaths >= TOO_MANY:
            return False
        self.restart_at = time.monotonic() + FIRST_PAUSE * 2 ** (self.quick_deaths - 1)
        return True

    def forget_output(self) -> None:
        if self.output is not None:
            self.output.close()
            self.output = None

    def close(self) -> None:
        self.forget_output()
        if self._probe is not None:
            self._probe.close()
        if self.listening is not None:
            self.listening.close()
        self.log.close()


def reachable(listening: socket.socket) -> tuple[str, int]:
    """An address at which this machine reaches that socket."""
    host, port = listening.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)  # noqa: S104


def describe_end(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
