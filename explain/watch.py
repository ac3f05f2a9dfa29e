"""Start a boxed command, read what it prints, stop it at the clock, and say how it ended.

Only the process: the walls and the names of errors are in `sandbox.py`.
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from explain.limits import MIB, Limits

LAST_BYTES = 4096
LAST_LINES = 20


class NotStartedError(Exception):
    """The sandbox program itself could not be started."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    stopped: str | None  # the limit we stopped it for: timeout or output_too_large
    started: bool  # the sandbox reported that the child ran
    exit_code: int  # a child killed by a signal: 128 plus its number
    wall_seconds: float
    last_lines: str


class Tail:
    """The end of what a child prints; the rest is counted and dropped, so a gigabyte costs four kilobytes here."""

    def __init__(self) -> None:
        self.total = 0
        self._kept = b""

    def add(self, chunk: bytes) -> None:
        self.total += len(chunk)
        self._kept = (self._kept + chunk)[-LAST_BYTES:]

    def text(self) -> str:
        decoded = self._kept.decode("utf-8", errors="replace")
        printable = "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in decoded)
        return "\n".join(printable.splitlines()[-LAST_LINES:])


def watch(command: list[str], system_call_filter: bytes, limits: Limits) -> Outcome:
    """Run to the end or to a limit. The child is dead and reaped when this returns or raises."""
    begun = time.monotonic()
    with _started(command, system_call_filter) as (child, status):
        assert child.stdout is not None  # noqa: S101 — asked for at the start; tells the type checker
        output, tail, started = child.stdout.fileno(), Tail(), True
        stopped = _read_until_end(child.pid, output, begun + limits.wall_seconds, tail, limits.printed_bytes)
        if stopped is None:
            child.wait()
            tail.add(_drain(output))
            # bubblewrap reports an exit code only for a command it got to run.
            started = b"exit-code" in _drain(status)
        return Outcome(
            stopped=stopped,
            started=started,
            exit_code=child.returncode or 0,
            wall_seconds=time.monotonic() - begun,
            last_lines=tail.text(),
        )


@contextlib.contextmanager
def _started(command: list[str], system_call_filter: bytes) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The running sandbox and the descriptor it reports its status on."""
    status_read, status_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    filter_read, filter_write = os.pipe2(os.O_CLOEXEC)
    os.write(filter_write, system_call_filter)  # a few hundred bytes: less than a pipe holds
    os.close(filter_write)
    own = ["--seccomp", str(filter_read), "--json-status-fd", str(status_write)]
    try:
        child = subprocess.Popen(
            [command[0], *own, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            cwd="/",
            pass_fds=(filter_read, status_write),
            start_new_session=True,
        )
    except OSError as error:
        os.close(status_read)
        raise NotStartedError(f"{command[0]} cannot be started ({error.strerror})") from error
    finally:
        os.close(filter_read)
        os.close(status_write)
    try:
        yield child, status_read
    finally:
        _kill(child)
        os.close(status_read)


def _kill(child: subprocess.Popen[bytes]) -> None:
    # The group is bubblewrap alone; its death takes the child's process namespace, and so every process in it, along.
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _read_until_end(pid: int, output: int, deadline: float, tail: Tail, printed_bytes: int) -> str | None:
    """Read what the child prints until it ends (None) or until a limit of ours says stop (its code)."""
    os.set_blocking(output, False)
    ended = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(output, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            ready = dict(poll.poll(min(left, 1.0) * 1000))
            if output in ready and not _read_chunk(output, tail):
                poll.unregister(output)
            if tail.total > printed_bytes:
                return "output_too_large"
            if ended in ready:
                return None
        return "timeout"
    finally:
        os.close(ended)


def _read_chunk(descriptor: int, tail: Tail) -> bool:
    """False at the end of the stream, which is not the end of the child: it may close its output and go on."""
    try:
        chunk = os.read(descriptor, 65536)
    except BlockingIOError:
        return True
    tail.add(chunk)
    return bool(chunk)


def _drain(descriptor: int) -> bytes:
    """What is left in a non-blocking pipe, at most a pipe's worth."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while len(found) < MIB and (chunk := os.read(descriptor, 65536)):
            found += chunk
    return found
