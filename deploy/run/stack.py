"""A whole installation for the length of a `with` block: what tests and benchmarks start.

It is the real program in a process of its own, started the way a person starts it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.run import children, environment

LONGEST_START = 240.0
LONGEST_STOP = 20.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

# What a test's own surroundings must not pass on to the installation it starts.
_LEFT_OUT = ("PLIMSOLL_", "DATABASE_", "CELERY_", "MLFLOW_", "DJANGO_", "PORT")


class Stack:
    """`with Stack(tmp_path, port=0) as stack: requests.get(stack.url)`."""

    def __init__(
        self,
        data: Path,
        *,
        port: int = 0,
        environ: Mapping[str, str] | None = None,
        command: tuple[str, ...] = ("-m", "deploy.run", "run"),
    ) -> None:
        """`port=0` takes a free one. `environ` is added to the surroundings, which are cleared of Plimsoll's
        variables.
        """
        self.data = data.resolve()
        self._command = (sys.executable, *command)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
        self._environ = kept | dict(environ or {}) | {"PLIMSOLL_DATA": str(self.data), "PORT": str(port)}
        self._process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        """What the parts of the installation are told: addresses of databases, queue, tracking and pages."""

    @property
    def url(self) -> str:
        """Where the pages are."""
        return self.environment["PLIMSOLL_PUBLIC_URL"]

    @property
    def said(self) -> str:
        """What the console has shown so far."""
        return self._console.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        """The supervisor's process number."""
        if self._process is None:
            raise RuntimeError("This installation is not running.")
        return self._process.pid

    @property
    def _console(self) -> Path:
        return self.data / "console.txt"

    def start(self) -> None:
        """Start, and return when everything can serve. Raises RuntimeError with what the console showed."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._console.open("wb") as console:
            self._process = process = subprocess.Popen(
                self._command,
                cwd=environment.ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                # a test run that is killed takes its installations with it
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),  # noqa: PLW1509
            )
        children.wait_until(lambda: bool(self._record()) or process.poll() is not None, LONGEST_START, pause=0.05)
        self.environment = self._record()
        if not self.environment:
            self.stop()
            raise RuntimeError(f"The installation did not start. The console showed:\n{self.said}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and wait. Returns the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(number)
        try:
            code = self._process.wait(timeout=LONGEST_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        return code

    def _record(self) -> dict[str, str]:
        """Empty until everything is ready, because that is when the supervisor writes it."""
        if self._process is None or environment.recorded_by(self.data) != self._process.pid:
            return {}
        return environment.read_record(self.data)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
